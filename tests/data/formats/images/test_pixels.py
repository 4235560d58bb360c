"""Pixels brought to one size and shape."""

from __future__ import annotations

import io
import time

import numpy as np
import pytest
from PIL import Image

from anew.data.formats.images import pixels


@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA"])
def test_of_a_long_strip_the_middle_alone_is_scaled(mode: str) -> None:
    rng = np.random.default_rng(0)
    strip = Image.fromarray(rng.integers(0, 256, (2, 4096, 4), dtype=np.uint8), "RGBA").convert(mode)
    begin = time.process_time()
    shaped = pixels.fit_frame(strip, 24, 24, "crop")
    assert shaped.size == (24, 24) and time.process_time() - begin < 0.05
    whole = strip.resize((4096 * 12, 24), Image.Resampling.BICUBIC)
    middle = whole.crop((2048 * 12 - 12, 0, 2048 * 12 + 12, 24))
    assert np.abs(np.asarray(shaped, np.int16) - np.asarray(middle, np.int16)).max() <= 2


@pytest.mark.parametrize("step", ["PIL.Image.open", "PIL.Image.Image.load"])
def test_a_picture_that_takes_too_much_memory_is_not_called_damaged(step: str, monkeypatch: pytest.MonkeyPatch) -> None:
    file = io.BytesIO()
    Image.new("L", (8, 8)).save(file, "PNG")

    def greedy(*arguments: object, **keywords: object) -> None:
        raise MemoryError

    monkeypatch.setattr(step, greedy)
    with pytest.raises(MemoryError):
        pixels.load(pixels.open_image(file.getvalue()))


def test_a_missing_palette_is_said() -> None:
    image, out = Image.new("P", (8, 8)), io.BytesIO()
    image.putpalette([1, 2, 3] * 4)
    image.save(out, "PNG")
    data = out.getvalue()
    start = data.index(b"PLTE") - 4
    stop = start + 12 + int.from_bytes(data[start : start + 4], "big")
    with pytest.raises(ValueError, match="palette is missing"):
        pixels.to_eight_bits(pixels.load(pixels.open_image(data[:start] + data[stop:])))
