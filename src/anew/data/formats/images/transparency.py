"""The transparency of a picture, decoded in a worker because files may be hostile; see `core/isolation.py`."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from anew.data.formats.images import pixels
from anew.data.types import Item


class AlphaReader:
    """Decodes the alpha channel; given to `isolation.each`."""

    native = True

    def read(self, item: Item) -> NDArray[np.uint8]:
        """(H, W) alpha, all 255 if the picture has none. Raises ValueError (one clause)."""
        image = pixels.to_eight_bits(pixels.load(pixels.open_image(item.data)))
        if image.mode != "RGBA":
            return np.full((image.height, image.width), 255, np.uint8)
        return np.ascontiguousarray(np.asarray(image)[..., 3])
