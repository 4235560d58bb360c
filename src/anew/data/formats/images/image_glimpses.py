"""Properties of images from which their common shape is chosen."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from PIL import Image as Pillow

from anew.core import isolation
from anew.core.arrays import Numbers
from anew.data.formats.images import pixel_blocks, pixels
from anew.data.types import ItemData

SIZED_IMAGES = 2048  # images of the sample whose headers decide the size
DECODED_IMAGES = 1024  # the pixels of so many of these images decide channels, depth and scale
MIN_DECODED = 16  # so many are decoded, unless they have more than MAX_DECODED_PIXELS
DECODED_PIXELS = 1 << 27  # no more images than MIN_DECODED are decoded after so many (about two seconds of PNG)
MAX_DECODED_PIXELS = 1 << 28  # no more are decoded after so many, even if they are fewer than MIN_DECODED
KEPT_PIXELS = 1 << 24  # most pixels of the thumbnails together: 50 MB in colour
CHUNK = 4  # least images that the worker gets at a time; after each chunk the decoded pixels are counted


@dataclass(frozen=True, slots=True)
class ImageGlimpse:
    """Properties of one image that `fit` needs.

    Attributes:
        size: (width, height) of the image.
        thumbnail: (h, w) or (h, w, C) of 8 bits, or the values of a deep image as floats; None: it was not decoded. It has one
            pixel for each block of `block`.
        value_range: Smallest and largest value of a deep image.
        is_float: Whether these values are floating-point numbers.
        has_palette: Whether the file has a palette.
        block: Side of the blocks of one colour that it consists of; 0 if all of it has one colour.
    """

    size: tuple[int, int]
    thumbnail: Numbers | None = None
    decoded_pixels: int = 0
    value_range: pixels.ValueRange | None = None
    is_float: bool = False
    has_palette: bool = False
    block: int = 1


@dataclass(slots=True)
class ImageGlimpses:
    """Properties of all images of the sample that `fit` needs.

    Attributes:
        sizes: (width, height) of each.
        thumbnails: Small copies of those decoded.
        value_ranges: Smallest and largest value of each deep image.
        is_float: Whether any has floating-point values.
        num_paletted: How many of those decoded have palettes.
        blocks: Side of the blocks of each thumbnail's image, see `ImageGlimpse`.
        first_error: Why the first unusable image cannot be used.
        decoded_pixels: Pixels decoded so far.
        kept_pixels: Pixels of the thumbnails.
    """

    sizes: list[tuple[int, int]] = field(default_factory=list)
    thumbnails: list[Pillow.Image] = field(default_factory=list)
    value_ranges: list[pixels.ValueRange] = field(default_factory=list)
    is_float: bool = False
    num_paletted: int = 0
    blocks: list[int] = field(default_factory=list)
    first_error: str = ""
    decoded_pixels: int = 0
    kept_pixels: int = 0

    @property
    def is_complete(self) -> bool:
        """Whether enough images were seen."""
        return len(self.sizes) >= SIZED_IMAGES

    @property
    def num_decoded(self) -> int:
        """Images whose pixels were decoded."""
        return len(self.thumbnails)

    @property
    def needs_bodies(self) -> bool:
        """Whether more images should be decoded."""
        if len(self.thumbnails) >= DECODED_IMAGES:
            return False
        if self.decoded_pixels < DECODED_PIXELS and self.kept_pixels <= KEPT_PIXELS:
            return True
        return len(self.thumbnails) < MIN_DECODED and self.decoded_pixels < MAX_DECODED_PIXELS

    @property
    def piece(self) -> int:
        """How many images to look at next: half of those that are probably left to decode, judging by the images so far."""
        if not self.needs_bodies:
            return isolation.BATCH_ITEMS
        decoded = len(self.thumbnails)
        shares = [
            DECODED_IMAGES / max(decoded, 1),
            DECODED_PIXELS / max(self.decoded_pixels, 1),
            KEPT_PIXELS / max(self.kept_pixels, 1),
        ]
        return int(np.clip(decoded * (min(shares) - 1) / 2, CHUNK, isolation.BATCH_ITEMS))

    def add(self, glimpse: ImageGlimpse) -> None:
        """Add an image."""
        self.sizes.append(glimpse.size)
        if glimpse.thumbnail is None:
            return
        self.decoded_pixels += glimpse.decoded_pixels
        self.num_paletted += glimpse.has_palette
        self.blocks.append(glimpse.block)
        if glimpse.value_range is not None:
            self.value_ranges.append(glimpse.value_range)
            self.is_float = self.is_float or glimpse.is_float
        thumbnail = Pillow.fromarray(glimpse.thumbnail)
        self.kept_pixels += _area(thumbnail.size)
        self.thumbnails.append(thumbnail)


def glimpse_of(data: ItemData, side: int) -> ImageGlimpse:
    """Size and thumbnail of an image. Raises ValueError (one clause). side: pixels that a side of the thumbnail needs; 0: none is made."""
    image = pixels.open_image(data)
    size = pixels.size_of(image)
    if not side:
        return ImageGlimpse(size)
    has_palette = image.mode == "P"
    if not isinstance(data, np.ndarray):
        image = pixels.load(image, min_size=(side, side))
    # Decoding a JPEG at an eighth of its size costs about as much as a sixteenth of its pixels
    decoded_pixels = max(_area(image.size), _area(size) // 16)
    if pixels.is_deep(image):
        thumbnail = pixels.block_means(np.asarray(image), 2 * side)
        return ImageGlimpse(size, thumbnail, decoded_pixels, pixels.span(image), image.mode == "F")
    block = 1
    # Otherwise it is a JPEG that was decoded to a smaller size, or slow to search
    if image.size == size and _area(size) <= pixels.MAX_UNREDUCED_PIXELS:
        image = pixels.to_eight_bits(image)
        block = pixel_blocks.block_side(image)
        image = pixel_blocks.drawing(image, max(block, 1))
    image = pixels.to_eight_bits(pixels.smaller(image, 2 * side))
    if max(image.size) > 2 * side:  # keep the sample small in memory
        image = image.copy()
        image.thumbnail((2 * side, 2 * side))
    return ImageGlimpse(size, np.asarray(image), decoded_pixels, has_palette=has_palette, block=block)


def _area(size: tuple[int, int]) -> int:
    return size[0] * size[1]
