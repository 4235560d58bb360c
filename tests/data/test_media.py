"""Pictures, sound and film from anybody: what is too much or too odd is refused by name, and nothing else is."""

from __future__ import annotations

import io
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from PIL import Image as Pillow

from anew.data import limits
from anew.data.dataset import Dataset
from anew.data.formats.images import pixels
from anew.data.formats.sound import audio, audio_clips
from anew.data.formats.video import frames
from anew.data.modalities.image import Image, ImageConfig
from anew.data.types import DataBudget, Item
from samples import tone


def flac(claimed: int | None = None) -> bytes:
    out = io.BytesIO()
    soundfile.write(out, tone(0, 8000, 0.5), 8000, format="FLAC")
    body = bytearray(out.getvalue())
    if claimed is not None:  # STREAMINFO: 36 bits, the low 4 of byte 21 and bytes 22 to 25
        body[21] = (body[21] & 0xF0) | claimed >> 32
        body[22:26] = (claimed & 0xFFFFFFFF).to_bytes(4, "big")
    return bytes(body)


def film(name: str = "mpeg4", n: int = 12) -> bytes:
    import av

    out = io.BytesIO()
    with av.open(out, "w", format="mp4") as container:
        stream: Any = container.add_stream(name, rate=10)
        stream.width = stream.height = 32
        stream.pix_fmt = "yuv420p"
        for k in range(n):
            values = np.zeros((32, 32, 3), np.uint8)
            values[:, k % 32] = 255
            container.mux(stream.encode(av.VideoFrame.from_ndarray(values, format="rgb24")))
        container.mux(stream.encode())
    return out.getvalue()


def gif(n: int, side: int = 32) -> bytes:
    step = bytes.fromhex("21f90404000000002c")
    head = b"GIF89a" + side.to_bytes(2, "little") * 2 + b"\x80\0\0" + bytes([0, 0, 0, 255, 255, 255])
    body = b"".join(step + bytes([k % 32, 0, 0, 0, 1, 0, 1, 0, 0]) + b"\x02\x02\x44\x01\x00" for k in range(n))
    return head + b"\x21\xff\x0bNETSCAPE2.0\x03\x01\0\0\0" + body + b";"


def test_a_header_may_not_claim_more_than_its_bytes_hold() -> None:
    assert audio.read_header(flac()).frames == 4000
    with pytest.raises(ValueError, match="claims 64,424,513,440 samples, but its bytes hold at most"):
        audio.read_header(flac(0xF_0000_0FA0))


def test_clips_of_one_file_are_bounded_and_made_one_by_one() -> None:
    shape = audio_clips.Shape(8000, 64, 512, 48, 48)
    cuts = audio_clips.cuts(10**8, 8000, shape, 0, 1)
    assert cuts is not None and next(iter(cuts)) == (0, 3072)
    with pytest.raises(ValueError, match="hours long: at most 100,000 clips"):
        audio_clips.cuts(10**10, 8000, shape, 0, 1)


def test_a_codec_that_nobody_knows_is_said() -> None:
    with pytest.raises(ValueError, match="codec is not known"):
        frames.timing(film().replace(b"stsd", b"stsX"))


def test_long_gifs_are_used_up_to_a_bound_and_huge_ones_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "GIF_FRAMES", 50)
    timing = frames.timing(gif(80))
    assert timing.cut and len(timing.times) == 50
    monkeypatch.setattr(limits, "GIF_PIXELS", 1 << 20)
    with pytest.raises(ValueError, match="5790x5790 are over"):
        frames.timing(gif(80, 5790))


@pytest.mark.parametrize(
    "values",
    [[[np.nan, 1.0]], [[np.inf, -np.inf]], [[3e38, -3e38]], [[0.0, 1e-45]], [[np.nan, np.nan]]],
)
def test_odd_floats_warn_of_nothing(values: Any) -> None:
    out = io.BytesIO()
    Pillow.fromarray(np.array(values * 2, dtype=np.float32)).save(out, "TIFF")
    modality = Image(ImageConfig())
    item = Item("a.tif", out.getvalue())
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        modality.fit([item], DataBudget(None, 1, 1), [])
        assert modality.encode(item).dtype == np.uint8
        assert modality.signature(item) is not None


def test_large_pictures_are_made_smaller_first(monkeypatch: pytest.MonkeyPatch) -> None:
    ramp = np.linspace(0, 255, 256).astype(np.uint8)[None].repeat(256, 0)
    plain = Pillow.fromarray(ramp)
    deep = Pillow.fromarray(ramp.astype(np.uint16) * 257)
    monkeypatch.setattr(pixels, "MAX_UNREDUCED_PIXELS", 1 << 10)
    assert pixels.smaller(plain, 64).size == pixels.smaller(deep, 64).size == (64, 64)
    small = np.asarray(pixels.to_eight_bits(pixels.smaller(deep, 64), (0.0, 65535.0)), dtype=int)
    assert np.abs(small - np.asarray(pixels.smaller(plain, 64), dtype=int)).max() <= 2


def test_a_picture_of_too_many_bytes_is_refused_unread(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for i in range(30):
        (tmp_path / f"{i}.png").write_bytes(_good("png", i))
    with open(tmp_path / "sparse.jpg", "wb") as file:
        file.truncate(30 << 30)
    data = Dataset.open(tmp_path)
    assert [(item.name, "what is read whole (256 MB)" in item.reason) for item in data.scan.skipped_items] == [
        ("sparse.jpg", True)
    ]


def mutated(body: bytes, chance: np.random.Generator) -> bytes:
    out = bytearray(body)
    for _ in range(int(chance.integers(1, 12))):
        out[int(chance.integers(len(out)))] = int(chance.integers(256))
    if chance.random() < 0.2:
        del out[int(chance.integers(len(out))) :]
    return bytes(out)


@pytest.mark.parametrize("medium", ["flac", "wav", "ogg", "mp3", "mp4", "gif", "png", "tif", "webp"])
def test_damaged_files_among_good_ones_are_skipped(
    tmp_path: Path, medium: str, capfd: pytest.CaptureFixture[str]
) -> None:
    chance = np.random.default_rng(7)
    for i in range(28):
        body = _good(medium, i)
        (tmp_path / f"f{i}.{medium}").write_bytes(mutated(body, chance) if i >= 20 else body)
    data = Dataset.open(tmp_path)
    data.fit(DataBudget(None, data.scan.items, data.scan.bytes))
    assert sum(len(batch) for batch in data.one_pass()) >= 10
    data.close()
    assert data.scan.skipped <= 8 and capfd.readouterr().err == ""


def _good(medium: str, number: int) -> bytes:
    out = io.BytesIO()
    if medium in ("flac", "wav", "ogg", "mp3"):
        soundfile.write(out, tone(number, 8000, 0.5), 8000, format=medium.upper())
    elif medium == "mp4":
        return film(n=12 + number)
    else:
        chance = np.random.default_rng(number)
        pictures = [Pillow.fromarray(chance.integers(0, 256, (12, 12, 3), dtype=np.uint8)) for _ in range(6)]
        more = {"save_all": True, "append_images": pictures[1:], "duration": 40} if medium == "gif" else {}
        pictures[0].save(out, {"tif": "TIFF"}.get(medium, medium.upper()), **more)
    return out.getvalue()
