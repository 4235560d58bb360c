"""Images: every mode and depth in, one shape out, PNG back; damaged ones refused in a clause."""

from __future__ import annotations

import io
import json
import time
import tracemalloc
import zlib
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from PIL import Image as Pillow

from anew.core.settings import from_json
from anew.core.specs import Condition, Grid
from anew.data.formats.images import pixels
from anew.data.formats.images.image_size import choose_size, parse_size
from anew.data.modalities.image import Image, ImageConfig, side_limit
from anew.data.types import DataBudget, Item
from anew.errors import ConfigError, DataError

MINUTE = DataBudget(60.0, 100, 10_000, 1)
HOUR = DataBudget(3600.0, 100, 10_000, 1)


def encoded(image: Pillow.Image, file_format: str = "PNG", **options: Any) -> bytes:
    out = io.BytesIO()
    image.save(out, format=file_format, **options)
    return out.getvalue()


def ramp(height: int = 12, width: int = 16) -> np.ndarray:
    return np.linspace(0, 255, height * width).reshape(height, width).astype(np.uint8)


def coloured(height: int = 12, width: int = 16) -> np.ndarray:
    return np.stack([ramp(height, width), ramp(height, width)[::-1], ramp(height, width)[:, ::-1]], axis=2)


def items(*images: bytes | np.ndarray) -> list[Item]:
    return [Item(f"{i}.png", data) for i, data in enumerate(images)]


def fitted(*images: bytes | np.ndarray, size: DataBudget = HOUR, labels: tuple[str, ...] = (), **config: str) -> Image:
    modality = Image(ImageConfig(**config))
    modality.fit(items(*images), size, labels)
    return modality


def through(modality: Image, data: bytes | np.ndarray) -> np.ndarray:
    """One image stored, batched, decoded and written, read back from the PNG."""
    stored = modality.encode(Item("one", data))
    assert stored.dtype == np.uint8
    assert stored.shape == modality.spec.shape  # type: ignore[union-attr]
    batch = modality.batch(stored[None], None, None)
    artifact = modality.save_item(modality.decode(batch.x)[0])
    assert artifact.suffix == ".png"
    return np.asarray(Pillow.open(io.BytesIO(artifact.data)))


def test_grey_comes_back_as_it_was() -> None:
    modality = fitted(ramp())
    assert modality.spec.shape == (1, 12, 16)  # type: ignore[union-attr]
    assert (through(modality, ramp()) == ramp()).all()
    assert (through(modality, encoded(Pillow.fromarray(ramp()))) == ramp()).all()


def test_items_of_many_rows_take_little_more_memory_than_the_rows() -> None:
    modality = fitted(coloured())
    rows = np.zeros((2000, *modality.spec.shape), dtype=np.uint8)  # type: ignore[union-attr]
    tracemalloc.start()
    items = modality.to_items(rows)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert len(items) == 2000 and peak < 1.5 * rows.nbytes


def test_grey_saved_as_colour_is_learned_as_grey() -> None:
    data = encoded(Pillow.fromarray(ramp()).convert("RGB"))
    assert (through(fitted(data, data), data) == ramp()).all()


@pytest.mark.parametrize("file_format", ["PNG", "BMP", "TIFF", "PPM", "TGA", "GIF"])
def test_formats_without_loss(file_format: str) -> None:
    image = Pillow.fromarray(ramp()) if file_format == "GIF" else Pillow.fromarray(coloured())
    data = encoded(image, file_format)
    assert (through(fitted(data), data) == np.asarray(image)).all()


def test_jpeg_and_webp() -> None:
    for file_format, options in (("JPEG", {"quality": 95, "subsampling": 0}), ("WEBP", {"lossless": True})):
        smooth = Pillow.fromarray(coloured()).resize((64, 64))
        data = encoded(smooth, file_format, **options)
        assert np.abs(through(fitted(data), data).astype(int) - np.asarray(smooth)).mean() < 3


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "YCbCr"])
def test_every_mode_has_a_shape(mode: str) -> None:
    image = Pillow.fromarray(coloured()).convert(mode)
    data = encoded(image, "TIFF" if mode in ("CMYK", "YCbCr") else "PNG")
    modality = fitted(data)
    expected = {"1": 1, "L": 1, "LA": 1}.get(mode, 3)
    assert modality.spec.shape[0] == expected  # type: ignore[union-attr]
    through(modality, data)


def test_sixteen_bits_are_scaled_not_cut() -> None:
    deep = np.linspace(0, 65535, 192).reshape(12, 16).astype(np.uint16)
    out = through(fitted(encoded(Pillow.fromarray(deep))), encoded(Pillow.fromarray(deep)))
    assert np.abs(out.astype(float) - deep / 257.0).max() <= 0.51


def test_twelve_bits_in_sixteen_are_not_black() -> None:
    deep = np.linspace(0, 4095, 192).reshape(12, 16).astype(np.uint16)
    data = encoded(Pillow.fromarray(deep))
    assert through(fitted(data), data).max() == 255


@pytest.mark.parametrize("top", [1.0, 255.0, 7.5])
def test_float_images(top: float) -> None:
    values = (np.linspace(0, 1, 192).reshape(12, 16) * top).astype(np.float32)
    data = encoded(Pillow.fromarray(values), "TIFF")
    out = through(fitted(data), data)
    assert out.max() == (255 if top != 7.5 else 8)  # 7.5 lies on the scale to 255


def test_thirty_two_bit_and_negative_values_span_the_sample() -> None:
    values = np.linspace(-100_000, 300_000, 192).reshape(12, 16).astype(np.int32)
    data = encoded(Pillow.fromarray(values), "TIFF")
    out = through(fitted(data), data)
    assert (out.min(), out.max()) == (0, 255)


def test_palette_with_transparency() -> None:
    palette = Pillow.new("P", (8, 8), 1)
    palette.putpalette([0, 0, 0, 255, 0, 0])
    palette.paste(0, (0, 0, 4, 8))
    data = encoded(palette, transparency=0)
    out = through(fitted(data), data)
    assert out.shape == (8, 8, 4)
    assert (out[:, :4, 3] == 0).all()
    assert (out[:, 4:] == (255, 0, 0, 255)).all()


def test_invisible_pixels_carry_no_colour() -> None:
    noise = np.random.default_rng(0).integers(0, 256, (8, 8, 4), dtype=np.uint8)
    noise[:, :4, 3] = 0
    noise[:, 4:, 3] = 255
    modality = fitted(noise)
    stored = modality.encode(Item("x", noise))
    assert (stored[:, :, :4] == 0).all()
    out = through(modality, noise)
    assert (out[:, 4:] == noise[:, 4:]).all()
    assert (out[:, :4] == 0).all()


def test_half_transparent_colour_is_kept_within_rounding() -> None:
    half = np.full((4, 4, 4), (200, 100, 50, 128), np.uint8)
    assert np.abs(through(fitted(half), half).astype(int) - half).max() <= 1


def test_few_transparent_images_are_laid_on_white_and_this_is_said() -> None:
    clear = coloured()
    see_through = np.concatenate([clear, np.zeros((12, 16, 1), np.uint8)], axis=2)
    modality = fitted(*[clear] * 19, see_through)
    assert modality.spec.shape[0] == 3  # type: ignore[union-attr]
    assert (through(modality, see_through) == 255).all()
    assert any("white" in note for note in modality.remarks())


def test_that_some_transparent_images_make_all_so_is_said() -> None:
    """One in seven turned the white background of all others into a canvas of four channels, without a word."""
    clear = coloured()
    see_through = np.concatenate([clear, np.zeros((12, 16, 1), np.uint8)], axis=2)
    modality = fitted(*[clear] * 6, see_through)
    assert modality.spec.shape[0] == 4  # type: ignore[union-attr]
    notes = modality.remarks()
    assert (
        "1 of 7 images that were looked at have transparent pixels, so transparency is learned (channels=rgb lays all on white)."
        in notes
    )
    assert not any("transparent" in note for note in fitted(clear, *[see_through] * 6).remarks())


def test_margins_of_opaque_images_are_transparent_where_transparency_is_learned() -> None:
    tall = Pillow.new("RGBA", (12, 24), "#c03020ff")
    tall.paste((0, 0, 0, 0), (0, 0, 6, 6))
    opaque = encoded(Pillow.new("RGB", (12, 24), "#2040c0"))
    modality = fitted(*[encoded(tall)] * 3, opaque, encoded(Pillow.new("RGBA", (24, 24), "#00000000")), size=HOUR)
    assert modality.spec.shape == (4, 24, 24)
    stored = modality.encode(items(opaque)[0])
    assert not stored[:, :, :6].any()
    assert (stored[3, :, 6:18] == 255).all()


def test_opaque_alpha_is_dropped() -> None:
    opaque = np.concatenate([coloured(), np.full((12, 16, 1), 255, np.uint8)], axis=2)
    assert (through(fitted(opaque), opaque) == coloured()).all()


def test_exif_orientation_is_applied() -> None:
    exif = Pillow.Exif()
    exif[0x0112] = 6  # to be turned a quarter clockwise
    data = encoded(Pillow.fromarray(coloured()), "PNG", exif=exif)
    modality = fitted(data)
    assert modality.spec.shape == (3, 16, 12)  # type: ignore[union-attr]
    assert (through(modality, data) == np.rot90(coloured(), -1)).all()


def test_animation_gives_its_first_frame() -> None:
    frames = [Pillow.fromarray(np.full((8, 8), value, np.uint8)) for value in (10, 200)]
    data = encoded(frames[0], "GIF", save_all=True, append_images=frames[1:])
    assert (through(fitted(data), data) == 10).all()


@pytest.mark.parametrize("side", [1, 8, 512])
def test_extreme_sizes(side: int) -> None:
    image = np.random.default_rng(1).integers(0, 256, (side, side), dtype=np.uint8)
    modality = fitted(image, size=MINUTE)
    assert max(modality.spec.shape) <= 48  # type: ignore[union-attr]
    through(modality, image)


def test_flat_images_are_said_to_be_flat() -> None:
    modality = fitted(np.full((8, 8), 7, np.uint8))
    assert modality.spec.std > 0  # type: ignore[union-attr]
    assert any("flat" in note for note in modality.remarks())


def test_std_is_that_of_the_scaled_values() -> None:
    image = np.repeat(np.array([[0, 255]], np.uint8), 8, axis=0)
    assert fitted(image).spec.std == pytest.approx(1.0)  # type: ignore[union-attr]


# ---- sizes ----


def test_limit_doubles_for_sixty_times_the_work() -> None:
    assert side_limit(MINUTE) == 32
    assert side_limit(HOUR) == 64
    assert side_limit(DataBudget(None, 1, 1)) == 64
    assert side_limit(DataBudget(60.0, 1, 1, 1, "cuda")) > 64
    assert side_limit(DataBudget(0.01, 1, 1)) >= 8


@pytest.mark.parametrize("side", [8, 16, 28, 32])
def test_small_native_sizes_stay_in_a_minute(side: int) -> None:
    assert choose_size([(side, side)] * 3, 32, "crop") == (side, side)


def test_sixty_four_stays_in_an_hour_and_halves_in_a_minute() -> None:
    assert choose_size([(64, 64)], 64, "crop") == (64, 64)
    assert choose_size([(64, 64)], 32, "crop") == (32, 32)


def test_odd_native_shape_stays() -> None:
    assert choose_size([(31, 17)] * 2, 32, "crop") == (31, 17)


def test_photographs_of_one_aspect_keep_it() -> None:
    width, height = choose_size([(4000, 3000), (2000, 1500), (800, 600)], 64, "crop")
    assert width / height == pytest.approx(4 / 3, rel=0.1)
    assert width * height <= 1.1 * 64 * 64


@given(
    st.lists(st.tuples(st.integers(1, 5000), st.integers(1, 5000)), min_size=1, max_size=20),
    st.integers(8, 512),
    st.sampled_from(["crop", "pad"]),
)
def test_any_sizes_give_a_shape_within_the_limit(sizes: list[tuple[int, int]], limit: int, frame: str) -> None:
    width, height = choose_size(sizes, limit, frame)
    assert min(width, height) >= 1
    assert width * height <= (1.5 * limit) ** 2 * 1.6 + 16 * max(width, height)


def test_mixed_sizes_are_cropped_and_said() -> None:
    wide, tall = coloured(40, 80), coloured(80, 40)
    modality = fitted(wide, tall)
    assert modality.spec.shape == (3, 40, 40)  # type: ignore[union-attr]
    assert (through(modality, wide) == wide[:, 20:60]).all()
    assert "differ in size" in modality.remarks()[-1]


def test_mixed_sprites_are_padded_not_cut() -> None:
    def sprite(height: int, width: int) -> np.ndarray:
        image = np.full((height, width, 4), 255, np.uint8)
        image[0, :, 3] = 0
        return image

    modality = fitted(sprite(20, 30), sprite(32, 16))
    assert modality.spec.shape == (4, 32, 32)  # type: ignore[union-attr]
    out = through(modality, sprite(20, 30))
    assert (out[..., 3] > 0).sum() == 19 * 30


def test_size_setting() -> None:
    assert parse_size("auto") is None
    assert parse_size(0) is None
    assert parse_size("64") == (64, 64)
    assert parse_size(" 48x32 ") == (48, 32)
    assert fitted(coloured(), size=MINUTE, channels="grey").spec.shape == (1, 12, 16)  # type: ignore[union-attr]
    modality = Image(ImageConfig(size="20x10"))
    assert modality.fit(items(coloured()), MINUTE, ()) == modality.spec
    assert modality.spec.shape == (3, 10, 20)  # type: ignore[union-attr]
    for invalid in ("big", "0x5", "-3", "99999", "3x"):
        with pytest.raises(ConfigError, match="is not allowed; give auto"):
            parse_size(invalid)


def test_unknown_choice_names_the_nearest() -> None:
    with pytest.raises(ConfigError, match="did you mean 'rgb'"):
        from_json(ImageConfig, {"channels": "rbg"})


# ---- labels ----


def test_labels_condition_unless_off_or_too_many() -> None:
    assert fitted(ramp(), labels=("a", "b")).spec.classes == 2
    off = Image(ImageConfig(labels="off"))
    off.fit(items(ramp()), HOUR, ("a", "b"))
    assert off.spec.classes == 0
    assert off.batch(off.encode(Item("x", ramp()))[None], np.array([1]), None).labels is None
    assert fitted(ramp(), labels=("only",)).spec.classes == 0
    modality = fitted(ramp(), labels=tuple(map(str, range(60))))
    assert modality.spec.classes == 0
    assert any("too many" in note for note in modality.remarks())


def test_batch_is_fast_and_of_the_right_kind() -> None:
    modality = fitted(ramp(28, 28), labels=("a", "b"))
    rows = np.random.default_rng(0).integers(0, 256, (64, 1, 28, 28), dtype=np.uint8)
    rows.flags.writeable = False  # as a memory-mapped cache gives them
    batch = modality.batch(rows, np.arange(64, dtype=np.uint16) % 2, None)
    assert batch.x.dtype.is_floating_point
    assert (float(batch.x.min()), float(batch.x.max())) == (-1.0, pytest.approx(1.0))
    assert batch.labels is not None and str(batch.labels.dtype) == "torch.int64"
    assert batch.units is not None and float(batch.units[0]) == 784
    seconds = []
    for _ in range(20):
        start = time.process_time()
        modality.batch(rows, None, None)
        seconds.append(time.process_time() - start)
    assert min(seconds) < 1e-3


@settings(max_examples=40, deadline=None)
@given(arrays.arrays(np.uint8, st.tuples(st.integers(1, 20), st.integers(1, 20), st.sampled_from([1, 3]))))
def test_round_trip_of_any_opaque_image(image: np.ndarray) -> None:
    image = image[:, :, 0] if image.shape[2] == 1 else image
    modality = Image(ImageConfig(channels="grey" if image.ndim == 2 else "rgb"))
    modality.fit(items(image), HOUR, ())
    assert (through(modality, image) == image).all()


def test_decode_survives_what_a_model_may_say() -> None:
    modality = fitted(coloured())
    wild = np.full((1, 3, 12, 16), np.nan, np.float32)
    wild[0, 0] = 9.0
    wild[0, 1] = -9.0
    out = modality.decode(wild)[0]
    assert (out[..., 0] == 255).all()
    assert (out[..., 1] == 0).all()


def test_state_restores_in_json(tmp_path: Any) -> None:
    deep = encoded(Pillow.fromarray(np.full((12, 16), 4095, np.uint16)))
    modality = fitted(deep, labels=("a", "b"))
    again = Image(ImageConfig())
    again.restore(json.loads(json.dumps(modality.state())), tmp_path)
    assert again.spec == modality.spec
    assert isinstance(again.spec, Grid)
    assert (again.encode(Item("x", deep)) == modality.encode(Item("x", deep))).all()
    assert again.remarks() == modality.remarks()


# ---- bad input ----


def test_refusals_are_clauses() -> None:
    modality = Image(ImageConfig())
    whole = encoded(Pillow.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)))
    assert modality.validate_header(Item("a", whole)) is None
    assert modality.validate_header(Item("a", b"")) == "the file is empty"
    assert "not an image" in str(modality.validate_header(Item("a", b"hello, this is no picture")))
    assert modality.validate_header(Item("a", np.zeros((3, 3), np.float32))) is not None
    assert modality.validate_header(Item("a", whole[:20])) is not None


def test_cut_off_bodies_are_refused_when_encoded() -> None:
    noise = Pillow.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8))
    modality = fitted(encoded(noise))
    for file_format in ("PNG", "JPEG", "WEBP", "BMP", "TIFF"):
        data = encoded(noise, file_format)
        with pytest.raises(ValueError, match=r"damaged|truncated|header"):
            modality.encode(Item("a", data[: len(data) // 2]))
        (result,) = modality.encode_many([Item("a", data[: len(data) // 2])])
        assert isinstance(result, str)


def test_oversized_images_are_refused_from_their_header() -> None:
    modality = Image(ImageConfig())
    for side, expected in ((9000, "over the limit of 64 megapixels"), (30_000, "more than the limit")):
        header = bytearray(encoded(Pillow.new("1", (1, 1))))
        header[16:24] = side.to_bytes(4, "big") * 2
        header[29:33] = zlib.crc32(bytes(header[12:29])).to_bytes(4, "big")
        assert expected in str(modality.validate_header(Item("bomb.png", bytes(header))))


FITTED = fitted(coloured())


def test_some_altered_files_can_still_be_read() -> None:
    body = encoded(Pillow.fromarray(coloured()), "BMP")
    altered = [Item("x", body[:at] + bytes([body[at] ^ 1]) + body[at + 1 :]) for at in range(54, len(body))]
    results = FITTED.encode_many(altered)
    assert all(not isinstance(result, str) and result.shape == (3, 12, 16) for result in results)


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_altered_files_never_raise_anything_else(data: st.DataObject) -> None:
    file_format = data.draw(st.sampled_from(["PNG", "JPEG", "GIF", "BMP", "TIFF", "WEBP", "TGA", "PPM"]))
    body = bytearray(encoded(Pillow.fromarray(coloured()), file_format))
    for _ in range(data.draw(st.integers(1, 4))):
        body[data.draw(st.integers(0, len(body) - 1))] = data.draw(st.integers(0, 255))
    item = Item("x", bytes(body))
    (result,) = FITTED.encode_many([item])
    try:
        FITTED.signature(item)
    except ValueError:
        assert isinstance(result, str)  # what it finds damaged is refused in any case


def test_nothing_readable_is_one_sentence() -> None:
    with pytest.raises(DataError, match=r"no image of the train part can be read; the first one: 0\.png"):
        fitted(b"nothing")


def test_one_corrupt_image_does_not_stop_fit() -> None:
    assert fitted(b"broken", coloured()).spec.shape == (3, 12, 16)  # type: ignore[union-attr]


# ---- near-duplicates ----


def test_signature_is_shared_by_re_encoded_copies() -> None:
    modality = Image(ImageConfig())
    smooth = Pillow.fromarray(coloured()).resize((64, 64), Pillow.Resampling.BICUBIC)
    other = Pillow.fromarray(ramp()[:, ::-1].copy()).resize((64, 64), Pillow.Resampling.BICUBIC)
    signatures = {
        modality.signature(Item("a", encoded(smooth))),
        modality.signature(Item("b", encoded(smooth, "BMP"))),
        modality.signature(Item("c", np.asarray(smooth))),
    }
    assert len(signatures) == 1
    assert modality.signature(Item("d", encoded(other))) not in signatures
    with pytest.raises(ValueError, match="not an image of a known format"):
        modality.signature(Item("e", b"broken"))


def test_pictures_without_a_contour_share_a_signature_only_if_their_pixels_are_equal() -> None:
    """Plaster, rust and cloth have no edges that a thumbnail of 10 x 10 shows."""
    modality, rng = Image(ImageConfig()), np.random.default_rng(0)
    plain = [Pillow.fromarray((rng.normal(level, 9, (64, 64, 3))).astype(np.uint8)) for level in (60, 60, 90, 200)]
    signatures = [modality.signature(Item("a", encoded(image))) for image in plain]
    assert len(set(signatures)) == 4
    assert modality.signature(Item("b", encoded(plain[0], "BMP"))) == signatures[0]
    modality.signature_version = 1  # as in runs of older versions, whose division stays
    assert len({modality.signature(Item("a", encoded(image))) for image in plain}) == 1


def test_headers_of_a_thousand_images_are_quick() -> None:
    data = encoded(Pillow.fromarray(ramp(28, 28)))
    modality = Image(ImageConfig())
    start = time.process_time()
    for index in range(1000):
        assert modality.validate_header(Item(str(index), data)) is None
    assert time.process_time() - start < 0.5  # 10,000 within 5 s


def test_large_photographs_decode_at_a_fraction() -> None:
    image = Pillow.fromarray(coloured(60, 80)).resize((1600, 1200))
    data = encoded(image, "JPEG")
    modality = Image(ImageConfig(size="32x24"))
    modality.fit(items(data), MINUTE, ())
    reduced = pixels.load(pixels.open_image(data), min_size=modality._decoding_size((1600, 1200), 32, 24))
    assert reduced.width <= 400
    expected = np.asarray(image.resize((32, 24), Pillow.Resampling.BICUBIC)).astype(int)
    assert np.abs(through(modality, data) - expected).mean() < 6


def test_what_is_known_of_a_sample_is_kept_exactly() -> None:
    modality = fitted(coloured(), coloured())
    items = modality.decode(np.zeros((2, 3, 12, 16), np.float32))
    values = torch.from_numpy(modality.batch(modality.encode(Item("one", coloured()))[None], None, None).x.numpy()[0])
    mask = torch.zeros(1, 12, 16)
    mask[:, :5] = 1.0
    for item in modality.keep_known(items, Condition(values, mask)):
        assert (item[:5] == coloured()[:5]).all() and (item[5:] == items[0][5:]).all()


def test_real_images_come_in_the_form_of_small_samples_of_one_size() -> None:
    def form(*sizes: tuple[int, int], real: tuple[int, int] = (72, 72)) -> dict[str, object]:
        arrays = [np.zeros((height, width), np.uint8) for width, height in (*sizes, real)]
        *samples, real_item = [Item(str(i), array) for i, array in enumerate(arrays)]
        return Image(ImageConfig()).settings_like(samples, [real_item])

    assert form((24, 32), (24, 32)) == {"size": "24x32"}
    assert form((24, 32), (32, 32)) == form((128, 128)) == form((1, 1)) == form((32, 32), real=(28, 28)) == {}


def test_real_images_are_laid_on_white_where_no_sample_is_transparent() -> None:
    clear = np.full((16, 16, 4), 200, np.uint8)
    clear[:8, :, 3] = 0
    opaque = np.dstack([coloured()[:12, :12], np.full((12, 12), 255, np.uint8)])

    def form(samples: list[np.ndarray], real: list[np.ndarray]) -> dict[str, object]:
        both = ([Item(str(i), array) for i, array in enumerate(arrays)] for arrays in (samples, real))
        return Image(ImageConfig(size="auto")).settings_like(*both)

    grey, red = clear.copy(), clear.copy()
    red[..., 1:3] = 0
    assert form([opaque] * 3, [grey] * 3) == {"size": "12x12", "channels": "grey"}
    assert form([opaque[..., :3]] * 3, [red] * 3)["channels"] == "rgb"
    assert "channels" not in form([opaque, red], [red] * 3)
    assert "channels" not in form([opaque] * 3, [opaque] * 19 + [red])
    assert "channels" not in form([grey] * 3, [opaque] * 3)


def enlarged_art(count: int, side: int, factor: int) -> list[np.ndarray]:
    drawings = np.random.default_rng(0).integers(0, 2, (count, side, side), dtype=np.uint8) * 225 + 20
    return list(drawings.repeat(factor, 1).repeat(factor, 2))


def test_enlarged_pixel_art_is_learned_at_its_true_size_and_written_enlarged() -> None:
    art = enlarged_art(20, 24, 4)
    files = [encoded(Pillow.fromarray(image)) for image in art]
    modality = fitted(*files, size=MINUTE)
    assert modality.spec.shape == (1, 24, 24)  # type: ignore[union-attr]
    for data, image in zip(files, art, strict=True):
        assert np.array_equal(through(modality, data), image)
    (note,) = [note for note in modality.remarks() if "pixel art" in note]
    assert "enlarged 4 times" in note and "24x24" in note and "size=96" in note
    assert any("2 levels of grey" in note for note in modality.remarks())
    restored = Image(ImageConfig())
    restored.restore(json.loads(json.dumps(modality.state())), None)  # type: ignore[arg-type]
    assert np.array_equal(through(restored, files[0]), art[0])
    sheet = modality.sheet_files([modality.decode(torch.zeros(1, 1, 24, 24))[0]], ["0000.png"], "sheet")
    assert Pillow.open(io.BytesIO(sheet["sheet.png"])).size == (96, 96)


def test_enlarged_pixel_art_is_left_as_it_is_where_that_is_asked_or_would_lose_something() -> None:
    art = [encoded(Pillow.fromarray(image)) for image in enlarged_art(20, 24, 2)]
    assert Image(ImageConfig(size="48")).fit(items(*art), MINUTE, ()).shape == (1, 48, 48)  # type: ignore[union-attr]
    compared = DataBudget(None, 0, 0, only_compared=True)
    assert fitted(*art, size=compared).spec.shape == (1, 48, 48)  # type: ignore[union-attr]
    smooth = [encoded(Pillow.fromarray(coloured()).resize((48, 48))) for _ in range(20)]
    assert fitted(*smooth, size=HOUR).spec.shape == (3, 48, 48)  # type: ignore[union-attr]
    large = [encoded(Pillow.fromarray(image)) for image in enlarged_art(20, 200, 2)]
    modality = fitted(*large, size=MINUTE)
    assert modality.spec.shape == (1, 32, 32)  # type: ignore[union-attr]
    assert through(modality, large[0]).shape == (32, 32)
