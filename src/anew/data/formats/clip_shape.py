"""Choice of the size and colours of clips, from those of the files. Functions add their decisions to `notes`."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from PIL import Image as Pillow

from anew.data.formats import image_size, pixels
from anew.data.formats.frames import Timing
from anew.data.formats.image_size import choose_size, size_notes, size_setting, usual_size, what_keeps
from anew.data.types import DataBudget

MAX_SUGGESTED_SIDE = 256  # largest side in pixels that a note suggests
SIDES = (16, 64)  # smallest and largest side in pixels that is chosen by a budget
MAX_FRAMES = 32  # most frames of a clip: bounds memory and time of a step
WHOLE_SHARE = 0.95  # each video is one clip if so many of them are short enough; chosen
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


def channels(setting: str, frames: Sequence[Pillow.Image], see_through: bool, notes: list[str]) -> int:
    """Choose the channels of clips: 1 grey, 3 colour, 4 colour with transparency. frames: 8-bit pictures."""
    if setting != "auto":
        return {"grey": 1, "rgb": 3, "rgba": 4}[setting]
    if see_through:
        return 4
    if any(map(pixels.has_transparency, frames)):
        notes.append("Few clips are transparent, so they are flattened on white (channels=rgba keeps transparency).")
    return 3 if any(map(pixels.has_colour, frames)) else 1


def frame(setting: str, sizes: Sequence[tuple[int, int]], see_through: bool) -> str:
    """Choose how clips of another shape are fitted: "crop" or "pad"."""
    if setting != "auto":
        return setting
    return "pad" if len(set(sizes)) > 1 and see_through else "crop"


def settings_like(timings: Sequence[Timing], real: Sequence[Timing], side: int, most_frames: int) -> dict[str, object]:
    """Settings that give real clips the size, length and rate of samples, as far as these are smaller.

    Sizes, and rates below that of the data, must be uniform. Clips are at most `side` pixels a side and `most_frames` frames long;
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
        thinning = -(-longest // most_frames)
        # The rate is given even if it is the data's own: without it, clips would be thinned to so many frames, not cut
        return settings | {"frames": -(-longest // thinning), "rate": round(rate / thinning, 3)}
    return settings | ({"rate": rate} if is_slower else {})


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
    reason = "as asked" if requested else ""
    if not requested and usual == (width, height):
        reason = "video files have even sides"
    elif not requested:
        whole = usual or choose_size(sizes, MAX_SUGGESTED_SIDE, frame)
        if usual or (width, height) != whole:
            reason = f"to fit {budget.describe()}; " + what_keeps(
                size_setting(whole, MAX_SUGGESTED_SIDE),
                usual is not None and max(usual) <= MAX_SUGGESTED_SIDE,
                budget,
                lambda longer: choose_size(sizes, side_limit(longer), frame) == whole,
            )
    notes += size_notes(sizes, even, frame, "videos", reason)
    return even


def length_notes(
    frame_counts: Sequence[int], stride: int, max_frames: int, only_beginnings: bool, is_asked: bool, budget: DataBudget
) -> list[str]:
    """Sentences on what is left out of videos that are a clip each; [] if nothing is.

    Args:
        frame_counts: Frames of each, at the common rate.
        stride: One in so many of these is used.
        max_frames: Most frames of a clip.
        only_beginnings: Whether later frames are left out.
        is_asked: Whether the user chose the number of frames.
        budget: The budget that it fits, if not.
    """
    if only_beginnings:
        longest = max(frame_counts)
        return [f"Of clips of up to {longest} frames, the first {max_frames} are used."] if longest > max_frames else []
    if stride == 1:
        return []
    if is_asked:
        reason = "as asked"
    else:
        needed = usual_frames(frame_counts)
        keeps = what_keeps(f"frames={needed}", True, budget, lambda longer: size_limits(longer)[1] >= needed)
        reason = f"to fit {budget.describe()}; {keeps}"
    return [f"One frame in {stride} of a clip is used, at most {max_frames} in all: {reason}."]


def usual_frames(frame_counts: Sequence[int]) -> int:
    """The number of frames that nearly all videos do not exceed."""
    return round(float(np.quantile(frame_counts, WHOLE_SHARE)))
