"""Choice of the size and colours of clips, from those of the files. Functions add their decisions to `notes`."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from anew.data.formats.images import image_size, pixel_blocks
from anew.data.formats.images.image_size import choose_size, keeping_clause, size_notes, size_setting, usual_size
from anew.data.formats.video.frames import STEADY_TOLERANCE, Timing
from anew.data.types import DataBudget

MAX_SUGGESTED_SIDE = 256  # largest side in pixels that a note suggests
SIDES = (16, 64)  # smallest and largest side in pixels that is chosen by a budget
MAX_FRAMES = 32  # most frames of a clip: bounds memory and time of a step
WHOLE_SHARE = 0.95  # each video is one clip if so many of them are short enough; chosen
LONG_VIDEO_RATE = 12.5  # frames a second of clips cut out of long videos: the fewest that look smooth
MIN_FRAMES = 4  # fewest frames of the grid, and of a file that is written


def size_limits(budget: DataBudget) -> tuple[int, int]:
    """(pixels along a side, frames) that the budget can learn; 32 and 16 without a budget.

    They are 25 and 8 in a minute of one CPU thread, 33 and 12 in five. Clips up to one and a half times as large keep their size
    (`choose_size`), such as sprites of 64 x 64 in ten minutes of two threads (docs/log.md, 2026-11-27).
    """
    if budget.thread_seconds is None:
        return 32, 16
    minutes = budget.thread_seconds / 60.0
    side, frames = 25.0 * minutes**0.18, 8.0 * minutes**0.25
    return round(float(np.clip(side, *SIDES))), int(np.clip(frames, MIN_FRAMES, MAX_FRAMES))


def frame(setting: str, sizes: Sequence[tuple[int, int]], see_through: bool) -> str:
    """Choose how clips of another shape are fitted: "crop" or "pad"."""
    if setting != "auto":
        return setting
    return "pad" if len(set(sizes)) > 1 and see_through else "crop"


def settings_like(timings: Sequence[Timing], real: Sequence[Timing], side: int, max_frames: int) -> dict[str, object]:
    """Settings that give real clips the size, length and rate of samples, as far as these are smaller.

    Sizes, and rates below that of the data, must be uniform. Clips are at most `side` pixels a side and `max_frames` frames long;
    the rate is lowered until they are.
    """
    sizes, real_sizes = ([(timing.width, timing.height) for timing in part] for part in (timings, real))
    settings = image_size.settings_like(sizes, real_sizes, side)
    own_rates, real_rate = {round(t.rate, 2) for t in timings}, float(np.median([t.rate for t in real]))
    is_slower = len(own_rates) == 1 and min(own_rates) < 0.99 * real_rate
    rate = min(own_rates) if is_slower else real_rate
    usual_length = float(np.median([len(t.times) for t in real]))
    longest = max(len(t.at(rate)) for t in timings)
    is_shorter = max(len(t.times) for t in timings) < usual_length and longest < usual_length
    if is_shorter and longest <= MAX_FRAMES:
        thinning = -(-longest // max_frames)
        # The rate is given even if it is the data's own: without it, clips would be thinned to so many frames, not cut
        return settings | {"frames": -(-longest // thinning), "rate": round(rate / thinning, 3)}
    return settings | ({"rate": rate} if is_slower else {})


def drawn_size(
    blocks: Sequence[int],
    sizes: Sequence[tuple[int, int]],
    budget: DataBudget,
    requested: tuple[int, int] | None,
    frame: str,
    notes: list[str],
) -> tuple[int, tuple[int, int]]:
    """Choose the side of the blocks of enlarged pixel art, 1 for other clips, and (width, height), both even.

    blocks: `pixel_blocks.block_side` of clips, see `pixel_blocks.affordable`.
    """
    if not requested and not budget.only_compared:
        block, drawn = pixel_blocks.affordable(blocks, sizes, size_limits(budget)[0], frame)
        if block > 1 and not any(length % 2 for length in drawn):
            as_files = choose_size(sizes, MAX_SUGGESTED_SIDE, frame)
            notes.append(pixel_blocks.note("videos", block, drawn, size_setting(as_files, MAX_SUGGESTED_SIDE)))
            return block, drawn
    return 1, even_size(sizes, budget, lambda longer: size_limits(longer)[0], requested, frame, notes)


def even_size(
    sizes: Sequence[tuple[int, int]],
    budget: DataBudget,
    side_limit: Callable[[DataBudget], int],
    requested: tuple[int, int] | None,
    frame: str,
    notes: list[str],
) -> tuple[int, int]:
    """Choose (width, height), both even, as video files require. side_limit: returns the side in pixels that a budget affords."""
    width, height = requested or choose_size(sizes, side_limit(budget), frame)
    even = (width + width % 2, height + height % 2)
    usual = usual_size(sizes)
    reason = budget.reason(True) if requested else ""
    if not requested and usual == (width, height):
        reason = "video files have even sides"
    elif not requested:
        whole = usual or choose_size(sizes, MAX_SUGGESTED_SIDE, frame)
        if usual or (width, height) != whole:
            reason = budget.reason(False) + keeping_clause(
                size_setting(whole, MAX_SUGGESTED_SIDE),
                "every pixel" if usual is not None and max(usual) <= MAX_SUGGESTED_SIDE else "more",
                budget,
                lambda longer: choose_size(sizes, side_limit(longer), frame) == whole,
            )
    notes += size_notes(sizes, even, frame, "videos", reason, budget.use)
    return even


@dataclass(frozen=True, slots=True)
class ClipLength:
    """How clips are cut from the frames of videos.

    Attributes:
        stride: One in so many frames is kept.
        span: Most frames of a clip before some are left out.
        only_beginnings: Whether each video is cut to its first `span` frames; else longer ones are cut into several clips.
        notes: Sentences for the user.
    """

    stride: int
    span: int
    only_beginnings: bool
    notes: list[str]


def choose_length(
    frame_counts: Sequence[int], rate: float, fixed_frames: int, is_rate_fixed: bool, budget: DataBudget
) -> ClipLength:
    """Decide how long a clip is and which of its frames are kept.

    Args:
        frame_counts: Frames of each video, at the common rate.
        rate: That rate, in frames a second.
        fixed_frames: Most frames of a clip as a setting has them; 0: the budget decides.
        is_rate_fixed: Whether a setting has the rate. If both are set, no frame in between is left out.
        budget: The budget, which decides how many frames are learned.
    """
    max_frames = fixed_frames or size_limits(budget)[1]
    usual_count = round(float(np.quantile(frame_counts, WHOLE_SHARE)))
    reason = budget.reason(fixed_frames > 0)
    if usual_count > MAX_FRAMES:
        stride = 1 if fixed_frames and is_rate_fixed else max(1, round(rate / LONG_VIDEO_RATE))
        span = stride * max_frames
        # `Video.split_records` rounds the number of clips, so those of a video just too short for one more are longer
        longest = math.ceil((math.ceil(1.5 * span) - 1) / stride)
        note = (
            f"Videos have up to {max(frame_counts):,} frames: long ones are cut into clips of about {max_frames} frames (at most "
            f"{longest}) at {rate / stride:.3g} per second, {reason}; short ones stay whole."
        )
        return ClipLength(stride, span, only_beginnings=False, notes=[note])
    if fixed_frames and is_rate_fixed:
        longest = max(frame_counts)
        note = f"Clips have up to {longest} frames, of which the first {max_frames} are used: {reason}."
        return ClipLength(1, max_frames, only_beginnings=True, notes=[note] if longest > max_frames else [])
    stride = max(1, math.ceil(usual_count / max_frames))
    if not fixed_frames:
        setting = f"frames={usual_count}"
        reason += keeping_clause(setting, "every frame", budget, lambda longer: size_limits(longer)[1] >= usual_count)
    used = f"{math.ceil(usual_count / stride)} of {usual_count}"
    varied = "" if len(set(frame_counts)) == 1 else "mostly up to "
    note = f"One frame in {stride} of a clip is used, {varied}{used}: {reason}."
    return ClipLength(stride, stride * max_frames, only_beginnings=False, notes=[note] if stride > 1 else [])


def rate_notes(timings: Sequence[Timing], rate: float, shown_for: str) -> list[str]:
    """A sentence on videos that are read at another rate than their own, or at a steady one; [] if all have this steady rate.

    Args:
        timings: Timings of the videos.
        rate: The rate at which they are read, in frames a second.
        shown_for: How long samples show a frame, a clause; it may be empty.
    """
    own_rates = np.array([timing.rate for timing in timings])
    are_steady = all(timing.steady for timing in timings)
    if are_steady and (np.abs(own_rates / rate - 1.0) < STEADY_TOLERANCE).all():
        return []
    slowest, fastest = f"{own_rates.min():.3g}", f"{own_rates.max():.3g}"
    span = slowest if slowest == fastest else f"{slowest} to {fastest}"
    uneven = "" if are_steady else ", not all at a steady rate"
    return [
        f"Videos have {span} frames per second{uneven}: all are read at {rate:.3g}{', and ' if shown_for else ''}{shown_for}."
    ]


def padded(clip: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """A clip (T, ...) of at least MIN_FRAMES frames: a shorter one repeats its last frame."""
    missing = MIN_FRAMES - len(clip)
    return clip if missing <= 0 else np.concatenate([clip, clip[-1:].repeat(missing, 0)])
