"""Choice of the size to which images are scaled, and of a budget that would keep more of them."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from anew.core.durations import parse_duration
from anew.core.wording import are
from anew.data.formats.images import pixels
from anew.data.types import DataBudget
from anew.errors import ConfigError

# Sides in pixels that a network can halve several times
RUNGS = (8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512)

CHANNELS = {"grey": 1, "rgb": 3, "rgba": 4}  # by the setting `channels`
TRANSPARENT_SHARE = 0.1  # share of the images with transparent pixels from which on transparency is learned
# Where a smaller share is transparent, it is said that transparency is learned, since it may be an accident; chosen.
MOST_TRANSPARENT_SHARE = 0.5

MAX_SIDE = 1024  # pixels a side

USUAL_SHARE = 0.95  # a size that so many have is the size of all: the others are accidents; chosen

COMMON_SHARE = 0.9  # an aspect that so many have is that of all; chosen
SAME_ASPECT = 0.1  # logarithms of width over height that differ by less are one aspect: a tenth of a side; chosen

FITTING = {"crop": "scaled to cover and cropped at the centre at", "pad": "centred on a canvas of"}  # by `frame`

BUDGETS = ("2m", "5m", "10m", "20m", "30m", "1h", "2h", "4h", "8h")  # that a note may name
LARGER = 1.5  # times the area: less is hardly seen; chosen


def keeping_clause(setting: str, detail: str, budget: DataBudget, affords: Callable[[DataBudget], bool] | None) -> str:
    """The setting that keeps more of items than the budget does, and the shortest budget that keeps as much: the end of a sentence,
    empty if items are only compared.

    Args:
        setting: Name of the setting that gives the size.
        detail: The detail that it keeps.
        affords: Whether a longer budget keeps as much; None: none does.
    """
    if budget.only_compared:
        return ""
    clause = f"; {setting} keeps {detail}"
    enough = "" if affords is None else _shortest(budget, affords)
    return f"{clause}, as a budget of {enough} would" if enough else clause


def enlarging_clause(
    chosen: tuple[int, int], budget: DataBudget, size_within: Callable[[DataBudget], tuple[int, int]]
) -> str:
    """The shortest longer budget with which items are learned at a larger (width, height) than the chosen one, and that size: the end of
    a sentence, or empty."""
    if budget.only_compared:
        return ""
    enough = _shortest(budget, lambda longer: _area(size_within(longer)) >= LARGER * _area(chosen))
    if not enough:
        return ""
    size = size_within(replace(budget, seconds=parse_duration(enough)))
    return f"; in {enough} they are learned at {_by(size)}"


def _shortest(budget: DataBudget, affords: Callable[[DataBudget], bool]) -> str:
    """The shortest of BUDGETS that is longer and affords something; "" if none is."""
    if budget.seconds is None:
        return ""
    longer = (name for name in BUDGETS if parse_duration(name) > budget.seconds)
    return next((name for name in longer if affords(replace(budget, seconds=parse_duration(name)))), "")


def parse_size(text: object) -> tuple[int, int] | None:
    """(width, height) that the setting `size` asks for, or None for "auto". Raises ConfigError."""
    match = re.fullmatch(r"\s*(\d{1,5})(?:\s*[xX×]\s*(\d{1,5}))?\s*", str(text))
    if str(text).strip().lower() in ("auto", "0"):
        return None
    sides = [int(side) for side in match.groups() if side] if match else []
    if not sides or not all(1 <= side <= MAX_SIDE for side in sides):
        allowed = f"give auto, a side such as 64, or WIDTHxHEIGHT, up to {MAX_SIDE}"
        raise ConfigError(f"size={text!r} is not allowed; {allowed}", "size")
    return sides[0], sides[-1]


def settings_like(
    sizes: Sequence[tuple[int, int]], real_sizes: Sequence[tuple[int, int]], limit: int
) -> dict[str, object]:
    """The setting that gives real images, or clips, the (width, height) of samples.

    It is empty unless all samples have one size, with sides of RUNGS[0] to `limit` pixels, which is smaller than that of most
    real ones, or than the canvas on which real ones of many sizes lie.
    """
    width, height = sizes[0]
    canvas = choose_size(real_sizes, limit, "pad") if usual_size(real_sizes) is None else (0, 0)
    area = max(float(np.median([w * h for w, h in real_sizes])), canvas[0] * canvas[1])
    is_one = len(set(sizes)) == 1 and RUNGS[0] <= min(width, height) and max(width, height) <= limit
    return {"size": f"{width}x{height}"} if is_one and width * height < area else {}


def usual_size(sizes: Sequence[tuple[int, int]]) -> tuple[int, int] | None:
    """The size that at least USUAL_SHARE of all images have, or None."""
    size, count = Counter(sizes).most_common(1)[0]
    return size if count >= USUAL_SHARE * len(sizes) else None


def size_notes(
    sizes: Sequence[tuple[int, int]],
    chosen: tuple[int, int],
    frame: str,
    plural: str,
    reason: str,
    use: str = "learned",
) -> list[str]:
    """Sentences on what happens to items of the train part of these (width, height); [] if all keep theirs.

    Args:
        chosen: The size in which they are learned.
        frame: How those of another shape are fitted: "crop" or "pad".
        reason: Why a size is not kept, a clause; it may be empty if sizes differ.
        use: Use of the images, see `DataBudget.use`.
    """
    usual = usual_size(sizes)
    odd = [size for size in sizes if size != usual]
    notes = []
    if usual is not None and chosen != usual:
        notes.append(f"{plural.capitalize()} of {_by(usual)} are {use} at {_by(chosen)}: {reason}.")
    if not odd:
        return notes
    shrunk = sum(width > chosen[0] or height > chosen[1] for width, height in odd) if frame == "pad" else 0
    smallest, largest = (_by(extreme(odd, key=_area)) for extreme in (min, max))
    span = smallest if smallest == largest else f"from {smallest} to {largest}"
    fitted = f"{FITTING[frame]} {_by(chosen)}"
    if usual is None:
        because = f", {reason}" if reason else ""
        count = "all" if shrunk == len(sizes) else f"{shrunk:,} of the {len(sizes):,}"
        scaled = f"; {count} looked at {are(shrunk)} larger and scaled down" if shrunk else ""
        return [f"{plural.capitalize()} differ in size ({span}): each is {fitted}{scaled}{because}."]
    count, verb = f"{len(odd):,} of the {len(sizes):,} {plural} looked at", "is" if len(odd) == 1 else "are"
    others = "has another size" if len(odd) == 1 else "have other sizes"
    scaled = ""
    if shrunk:
        scaled = "scaled down and " if shrunk == len(odd) else "scaled down if larger and "
    return [*notes, f"{count} {others} ({span}) and {verb} {scaled}{fitted}."]


def form(shape: Sequence[int]) -> str:
    """The size and the colours of a picture of this shape, (channels, ..., height, width), in words."""
    colours = {1: "in shades of grey", 3: "in colour", 4: "in colour with transparency"}
    return f"{shape[-1]}x{shape[-2]} pixels, {colours[shape[0]]}"


def channels(
    setting: str, images: Sequence[Image.Image], plural: str, budget: DataBudget, notes: list[str]
) -> tuple[int, bool]:
    """The channels of items (1 grey, 3 colour, 4 colour with transparency), and whether these keep the transparency of many.

    Args:
        setting: The setting `channels`.
        images: 8-bit images.
        plural: What they are in sentences.
        notes: Receives a sentence if not most of them are transparent, but some.
    """
    num_transparent = sum(map(pixels.has_transparency, images))
    are_many = num_transparent >= TRANSPARENT_SHARE * len(images)
    if setting != "auto":
        return CHANNELS[setting], are_many and CHANNELS[setting] == 4
    if are_many:
        if num_transparent < MOST_TRANSPARENT_SHARE * len(images):
            advice = "" if budget.only_compared else " (channels=rgb lays all on white)"
            counts = f"{num_transparent:,} of {len(images):,} {plural} that were looked at"
            notes.append(f"{counts} have transparent pixels, so transparency is learned{advice}.")
        return 4, True
    if num_transparent:
        advice = "" if budget.only_compared else " (channels=rgba keeps transparency)"
        notes.append(f"Few {plural} are transparent, so they are flattened on white{advice}.")
    return 3 if any(map(pixels.has_colour, images)) else 1, False


def size_setting(size: tuple[int, int], limit: int) -> str:
    """The setting `size` for images of (width, height), whose longer side is at most `limit` pixels."""
    scale = min(1.0, limit / max(size))
    width, height = (max(1, round(side * scale)) for side in size)
    return f"size={width}" if width == height else f"size={width}x{height}"


def _area(size: tuple[int, int]) -> int:
    return size[0] * size[1]


def _by(size: tuple[int, int]) -> str:
    return f"{size[0]}x{size[1]}"


def choose_size(sizes: Sequence[tuple[int, int]], limit: int, frame: str) -> tuple[int, int]:
    """Choose (width, height) for images of these sizes.

    If all sizes are equal, or nearly all (`usual_size`), this size is kept up to one and a half times the limit (a side is the
    root of the area), so that 28 or 64 stay as they are; larger images are scaled down to the largest of RUNGS within the limit.
    Otherwise the shape is the median shape if nearly all share it, else a square. If images are cropped, its shorter side is the
    median shorter side; if they are padded, its longer side is the 90th percentile of the longer sides; all within the limit.
    """
    ordered = np.asarray(sizes, dtype=np.float64)  # (n, 2)
    rung = max(r for r in RUNGS if r <= max(limit, RUNGS[0]))
    usual = usual_size(sizes)
    if usual is not None:
        side = float(np.sqrt(usual[0] * usual[1]))
        return usual if side <= 1.5 * limit else _scale(*usual, rung / side)
    common = _common_aspect(ordered)
    shape = (max(1.0, float(np.exp(common))), max(1.0, float(np.exp(-common))))
    if frame == "pad":
        longer = min(rung, 4 * int(np.ceil(np.quantile(ordered.max(axis=1), 0.9) / 4)))
        return _scale(*shape, longer / max(shape))
    shorter = max(1.0, float(np.median(ordered.min(axis=1))))
    side = min(shorter * float(np.sqrt(shape[0] * shape[1])), float(rung))
    return _scale(*shape, side / float(np.sqrt(shape[0] * shape[1])))


def _common_aspect(sizes: NDArray[np.float64]) -> float:
    """Logarithm of the aspect that COMMON_SHARE of the sizes (n, 2) nearly have; 0 if they have none, or nearly that of a square."""
    aspects = np.log(sizes[:, 0] / sizes[:, 1])
    common = float(np.median(aspects))
    is_common = float((np.abs(aspects - common) < SAME_ASPECT).mean()) >= COMMON_SHARE
    return common if is_common and abs(common) >= SAME_ASPECT else 0.0


def _scale(width: float, height: float, ratio: float) -> tuple[int, int]:
    """Multiply both sides by a ratio, and round them to multiples of 4 if they are at least 4 (networks halve them)."""
    scaled = [side * ratio for side in (width, height)]
    return tuple(max(4 * round(s / 4), 4) if s >= 4 else max(1, round(s)) for s in scaled)  # type: ignore[return-value]
