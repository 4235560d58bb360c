"""Properties of clips from which their common shape is chosen."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from anew.data.formats.images import pixel_blocks, pixels
from anew.data.formats.video import frames

CHUNK = 16  # clips that the worker gets at a time; after each chunk the decoded pixels are counted
DECODED_CLIPS = 192  # clips of the train part that decide channels and scale: enough for both; chosen
KEPT_PIXELS = 1 << 26  # no more clips than MIN_DECODED are decoded after so many pixels of their frames
MIN_DECODED = 16  # with fewer clips, channels and scale would depend on chance; chosen
MAX_WHOLE_SIDE = 512  # frames with a longer shorter side are decoded to a smaller size at once: bounds time and memory


@dataclass(frozen=True, slots=True)
class ClipGlimpse:
    """Properties of one clip that `fit` needs.

    Attributes:
        size: (width, height) of its frames.
        num_frames: Number of frames that it keeps.
        frames: Some of them, (h, w) or (h, w, C) of 8 bits; empty if none was decoded.
        has_palette: Whether the file has palettes.
        block: Side of the blocks of one colour that these frames consist of, see `pixel_blocks.block_side`.
    """

    size: tuple[int, int]
    num_frames: int
    frames: list[NDArray[np.uint8]]
    has_palette: bool = False
    block: int = 1


@dataclass(slots=True)
class ClipGlimpses:
    """Properties of all clips that `fit` needs.

    Attributes:
        sizes: (width, height) of each.
        frame_counts: Frames that each keeps.
        clips: Some frames of each decoded one.
        first_error: Why the first unusable clip cannot be used.
        kept_pixels: Pixels of these frames.
        num_paletted: How many of the decoded clips have palettes.
        blocks: Side of the blocks of each decoded clip, see `ClipGlimpse`.
    """

    sizes: list[tuple[int, int]] = field(default_factory=list)
    frame_counts: list[int] = field(default_factory=list)
    clips: list[list[NDArray[np.uint8]]] = field(default_factory=list)
    first_error: str = ""
    kept_pixels: int = 0
    num_paletted: int = 0
    blocks: list[int] = field(default_factory=list)

    @property
    def is_complete(self) -> bool:
        """As `GlimpseSample` asks: never, since sizes and lengths of all clips are needed."""
        return False

    @property
    def num_decoded(self) -> int:
        """Clips of which frames were decoded."""
        return len(self.clips)

    @property
    def needs_bodies(self) -> bool:
        """Whether frames of more clips should be decoded."""
        count = len(self.clips)
        return count < DECODED_CLIPS and (self.kept_pixels < KEPT_PIXELS or count < MIN_DECODED)

    @property
    def piece(self) -> int:
        """How many clips to look at next."""
        return CHUNK

    def add(self, glimpse: ClipGlimpse) -> None:
        self.sizes.append(glimpse.size)
        self.frame_counts.append(glimpse.num_frames)
        if glimpse.frames:
            self.clips.append(glimpse.frames)
            self.num_paletted += glimpse.has_palette
            self.blocks.append(glimpse.block)
            self.kept_pixels += sum(frame.shape[0] * frame.shape[1] for frame in glimpse.frames)

    def drawings(self, block: int) -> list[Image.Image]:
        """The frames of decoded clips, with one pixel for each block of `block` pixels a side where clips consist of them."""
        return [
            pixel_blocks.drawing_of(Image.fromarray(frame), own_block, block)
            for clip, own_block in zip(self.clips, self.blocks, strict=True)
            for frame in clip
        ]


def of_file(clip: frames.Data, timing: frames.Timing, frame_numbers: NDArray[np.intp], side: int) -> ClipGlimpse:
    """Properties of a clip. Raises ValueError (one clause).

    Args:
        timing: The times of its file.
        frame_numbers: Numbers of the frames that the clip keeps.
        side: Pixels a side that frames need; 0: none is decoded.
    """
    size = (timing.width, timing.height)
    if not side:
        return ClipGlimpse(size, len(frame_numbers), [])
    # Blocks of one colour show only where no frame is scaled
    is_whole = frames.is_lossless(clip) and min(size) <= MAX_WHOLE_SIDE
    numbers = frame_numbers[:: max(1, len(frame_numbers) // 4)].tolist()
    decoded = frames.pictures(clip, numbers, timing.times, max(side, min(size)) if is_whole else side)
    images = [pixels.to_eight_bits(image) for image in decoded]
    block = math.gcd(*map(pixel_blocks.block_side, images)) if is_whole else 1
    images = [
        pixel_blocks.drawing(image, block) if block > 1 else pixel_blocks.thumbnail(image, side) for image in images
    ]
    return ClipGlimpse(size, len(frame_numbers), [*map(np.asarray, images)], frames.is_gif(clip), block)
