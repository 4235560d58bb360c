"""Matching of clips, frame by frame, to the values that real pixels have; see `pixel_matching`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from anew.core.arrays import Numbers, Values, as_array
from anew.core.specs import Condition
from anew.data.formats.images import pixels
from anew.data.formats.images.pixel_matching import PixelMatching, as_levels, as_unit
from anew.data.types import DecodedItem

SAMPLED_PIXELS = 1 << 17  # pixels of samples that are compared with real clips: bounds the time of sampling them
REAL_PIXELS = 1 << 21  # pixels of real clips that are searched for a palette
SAMPLED_CLIPS = (4, 16)  # least and most samples
REAL_CLIPS = (16, 512)  # least and most real clips


def sizes(shape: Sequence[int]) -> tuple[int, int]:
    """The numbers of samples and of real clips of this shape (C, T, H, W) that are compared."""
    volume = int(np.prod(shape[1:]))
    return int(np.clip(SAMPLED_PIXELS // volume, *SAMPLED_CLIPS)), int(np.clip(REAL_PIXELS // volume, *REAL_CLIPS))


def learn_matching(samples: Values, real: Values) -> PixelMatching:
    """Learn the matching from samples and real clips, both (n, C, T, H, W) in [-1, 1]."""
    generated, true = (as_levels(np.concatenate([frames_first(c) for c in as_array(x)])) for x in (samples, real))
    return PixelMatching.learn(generated, true, num_frames=samples.shape[2])


def match_clips(clips: Numbers, matching: PixelMatching) -> Iterator[Numbers]:
    """Match each clip (C, T, H, W); yields its frames (T, C, H, W)."""
    for clip in clips:
        frames = frames_first(clip)
        yield as_unit(matching(as_levels(frames))) if matching.steps else frames


def frames_first(clip: Numbers) -> Numbers:
    """(C, T, H, W) -> (T, C, H, W)."""
    return clip.swapaxes(0, 1)


def as_bytes(clips: Iterable[Numbers]) -> list[NDArray[np.uint8]]:
    """Turn the frames (T, C, H, W) in [-1, 1] of each clip into uint8 as people see them: (T, H, W) or (T, H, W, C)."""
    return [np.stack([pixels.as_bytes(frame) for frame in clip]) for clip in clips]


def keep_known(items: Sequence[DecodedItem], condition: Condition) -> list[NDArray[np.uint8]]:
    """Restore given values in clips exactly. condition: x (C, T, H, W), and a mask of the given values."""
    values = frames_first(as_array(condition.x))  # (T, C, H, W)
    mask = np.ones(1) if condition.mask is None else as_array(condition.mask)
    masks = np.broadcast_to(mask, condition.x.shape)[0] >= 1.0  # (T, H, W)
    clips = []
    for item in items:
        clip = np.array(item)
        for index in range(min(len(clip), len(values))):
            clip[index][masks[index]] = pixels.as_bytes(values[index])[masks[index]]
        clips.append(clip)
    return clips


def joined(
    begin: list[NDArray[np.uint8]], end: list[NDArray[np.uint8]], length: int
) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    """A beginning and an end with blank frames between, (1, C, T, H, W), and a mask, (1, T, 1, 1): 1 where a frame is given."""
    if end:
        keep = max(1, (length - length // 4) // (2 if begin else 1))
        begin, end = begin[-keep:], end[:keep]
    free = max(1, length - len(begin) - len(end)) if end or len(begin) < length else 0
    blank = [np.zeros_like((begin or end)[0])] * free
    row = np.stack([*begin, *blank, *end], axis=1)[None]  # (1, C, T, H, W)
    mask = np.zeros((1, row.shape[2], 1, 1), np.float32)
    mask[:, : len(begin)] = 1.0
    if end:
        mask[:, -len(end) :] = 1.0
    return row, mask
