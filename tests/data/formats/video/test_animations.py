from __future__ import annotations

import contextlib
import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from anew.data.dataset import Dataset
from anew.data.formats.images import pixels
from anew.data.formats.video import animations, frames
from anew.data.modalities.image import Image as ImageModality
from anew.data.modalities.video import Video
from anew.data.types import DataBudget
from samples import moving_dot

DURATIONS = [100, 100, 300, 100, 0]


def animation(kind: str, durations: Sequence[int] = DURATIONS, seed: int = 0, mode: str = "RGB") -> bytes:
    """Squares of noise that grow; with alpha what is around them is clear."""
    rng = np.random.default_rng(seed)
    pictures = []
    for index in range(len(durations)):
        picture = Image.new(mode, (16, 16), (90, 90, 30, 0)[: len(mode)])
        noise = Image.fromarray(rng.integers(0, 256, (4 + index, 4 + index, 3), dtype=np.uint8))
        picture.paste(noise.convert(mode), (2, 3))
        pictures.append(picture)
    out = io.BytesIO()
    later = {"save_all": True, "append_images": pictures[1:], "duration": list(durations), "loop": 0}
    pictures[0].save(out, kind, **later, **({"lossless": True, "exact": True} if kind == "WEBP" else {}))
    return out.getvalue()


@pytest.mark.parametrize("kind", ["WEBP", "PNG"])
def test_animations_are_clips_and_pictures_are_not(kind: str) -> None:
    still = animation(kind, [100])
    assert Video.sniff(still) == 0.0 and ImageModality.sniff(still) == 1.0
    moving = animation(kind)
    assert Video.sniff(moving) == 1.0 > ImageModality.sniff(moving)
    assert Video.sniff(moving[:100]) >= 0.8  # cut before the second frame
    assert all(0.0 <= Video.sniff(moving[:length]) <= 1.0 for length in range(200))


@pytest.mark.parametrize("kind", ["WEBP", "PNG"])
@pytest.mark.parametrize("mode", ["RGB", "RGBA"])
def test_frames_and_their_times_are_exact(kind: str, mode: str, tmp_path: Path) -> None:
    data = animation(kind, mode=mode)
    path = tmp_path / "a.bin"
    path.write_bytes(data)
    timing = frames.timing(path)
    assert (timing.width, timing.height) == (16, 16)
    # As browsers do, a frame of no time is shown for a tenth of a second
    assert timing.times.round(3).tolist() == [0.0, 0.1, 0.2, 0.5, 0.6] and round(timing.length, 3) == 0.7
    assert not timing.steady
    decoded = frames.pictures(path, [0, 1, 1, 4], timing.times, 64)
    with Image.open(io.BytesIO(data)) as image:
        for picture, number in zip(decoded, [0, 1, 1, 4], strict=True):
            image.seek(number)
            assert picture.mode == mode
            np.testing.assert_array_equal(np.asarray(picture), np.asarray(image.convert(mode)))
    assert frames.pictures(data, [2], timing.times, 4)[0].size == (8, 8)


def test_a_picture_before_the_animation_of_a_png_is_no_frame() -> None:
    pictures = [Image.new("RGB", (16, 16), (shade, 0, 0)) for shade in (0, 100, 200)]
    out = io.BytesIO()
    pictures[0].save(out, "PNG", save_all=True, append_images=pictures[1:], duration=40, default_image=True)
    timing = frames.timing(out.getvalue())
    assert len(timing.times) == 2 and round(timing.rate) == 25
    first, second = frames.pictures(out.getvalue(), [0, 1], timing.times, 64)
    assert first.getpixel((0, 0)) == (100, 0, 0) and second.getpixel((0, 0)) == (200, 0, 0)


@pytest.mark.parametrize("kind", ["WEBP", "PNG"])
def test_what_is_cut_off_or_damaged_is_refused(kind: str) -> None:
    data = animation(kind)
    for length in range(120, len(data) - 1, 7):
        with pytest.raises(ValueError, match=r"truncated|single frame"):
            frames.timing(data[:length])
    damaged = data[:200] + bytes(100) + data[300:]
    with pytest.raises(ValueError, match=r"damaged|truncated"):
        animations.decode(damaged, range(5), 16)


def test_chunks_of_a_hostile_file_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(animations, "MAX_CHUNKS", 4)
    with pytest.raises(ValueError, match="truncated"):
        frames.timing(animation("PNG"))


@pytest.mark.parametrize(("kind", "suffix"), [("WEBP", ".webp"), ("PNG", ".png"), ("PNG", ".apng")])
def test_a_folder_of_animations_is_learned_as_clips(kind: str, suffix: str, tmp_path: Path) -> None:
    for index in range(40):
        (tmp_path / f"{index:02d}{suffix}").write_bytes(animation(kind, [80] * 6, index))
    budget = DataBudget(60.0, 0, 0)
    with contextlib.closing(Dataset.open(tmp_path, size=budget)) as data:
        data.fit(budget)
        assert data.modality.name == "video"
        assert data.spec.shape[:2] == (3, 6)


def test_moving_pictures_of_any_format_are_one_data_set(tmp_path: Path) -> None:
    for index in range(39):
        kind, suffix = [("WEBP", "webp"), ("PNG", "png"), ("GIF", "gif")][index % 3]
        body = moving_dot(index, rate=12.5, frames=6) if kind == "GIF" else animation(kind, [80] * 6, index)
        (tmp_path / f"{index}.{suffix}").write_bytes(body)
    budget = DataBudget(60.0, 0, 0)
    with contextlib.closing(Dataset.open(tmp_path, size=budget)) as data:
        data.fit(budget)
        assert data.modality.name == "video" and data.scan.items == 39


def test_opaque_pictures_with_an_alpha_channel_are_not_called_transparent(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for index in range(40):
        values = rng.integers(0, 256, (12, 12, 4), dtype=np.uint8)
        values[..., 3] = 0 if index == 0 else 255
        (tmp_path / f"{index}.png").write_bytes(pixels.png(values))
    notes = {}
    for name in ("one", "none", "compared"):
        if name == "none":
            (tmp_path / "0.png").unlink()
        budget = DataBudget(60.0, 0, 0, only_compared=name == "compared")
        if name == "compared":
            (tmp_path / "0.png").write_bytes(pixels.png(np.zeros((12, 12, 4), np.uint8)))
        with contextlib.closing(Dataset.open(tmp_path, size=budget)) as data:
            data.fit(budget)
            notes[name] = [note for note in data.modality.remarks() if "transparent" in note]
    assert len(notes["one"]) == 1 and "channels=rgba" in notes["one"][0]
    assert notes["none"] == []
    assert len(notes["compared"]) == 1 and "channels=" not in notes["compared"][0]
