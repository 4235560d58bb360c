"""The steps that give samples the values of real pixels; `pixel_matching` learns them. It needs only NumPy, `plain_areas` and
`detail_bands`: exports copy all three files.

Legend for shapes: n images, C channels, H rows, W columns, P colours. Values are levels from 0 to 255, colour multiplied by
alpha. A curve is a pair of K distances each, before and after.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from anew.data.formats.images.detail_bands import detail
from anew.data.formats.images.plain_areas import Curve, Indices, Levels, distances, plain, shifts, shrink

SOFTENING = 4.0  # neighbours within this squared distance have about the same weight
PIXELS_AT_ONCE = 1 << 14  # pixels whose distances to all colours are computed at once: bounds memory
HALF = 127.5  # alpha from which a pixel counts as opaque
# An image that should have more colours keeps its own: the time for choosing them grows with their number.
MAX_FEW_COLOURS = 64
# Distance that is added between opaque pixels and others, more than between any two colours, so that no opaque pixel becomes a little
# transparent
OPAQUE_OFFSET = 512.0
# Rounds in which fringes are removed, and how many of the eight pixels around one must be background. Chosen; twice as many rounds, or one
# pixel, are no better (docs/log.md, 2026-11-30)
FRINGE_ROUNDS, MIN_BESIDE = 3, 3
MAX_CLUSTERED = 1 << 12  # pixels that decide the colours of a clip, at most: bounds the time
ROUNDS = 4  # rounds of k-means: more change hardly a pixel


def matched(x: NDArray[np.number], steps: Sequence[Mapping[str, object]]) -> Levels:
    """Levels (n, C, H, W) after all steps, each given by its name `step` and its numbers.

    The images are the frames of one clip if one of the steps is `clip_colours`.
    """
    functions: dict[str, Callable[..., Levels]] = {"islands": islands, "alpha": alpha, "specks": specks}
    functions |= {
        "few_colours": few_colours,
        "clip_colours": clip_colours,
        "flat": flat,
        "fringe": fringe,
    }
    functions |= {
        "palette": palette,
        "margin": margin,
        "plain": plain,
        "opaque_images": opaque_images,
        "detail": detail,
    }
    levels = np.clip(x.astype(np.float32), 0.0, 255.0)
    for step in steps:
        numbers = {name: value for name, value in step.items() if name != "step"}
        levels = functions[str(step["step"])](levels, **numbers)
    return levels


def islands(x: Levels, dots: float, holes: float, colour: Sequence[int] | None = None, reach: float = 0.0) -> Levels:
    """Give single pixels that lie in the background, or are holes in what is before it, the mean of their neighbours.

    Args:
        x: Levels.
        dots: How far such a pixel may be from the background, at most, beyond where it begins.
        holes: How far into the background such a hole may be, at most.
        colour: Colour of the background; None where it is transparent.
        reach: Distance from that colour at which the background ends.
    """
    depth = foreground_depth(x, colour, reach)
    is_dot, is_hole = single_pixels(depth)
    changed = (is_dot & (depth <= dots)) | (is_hole & (-depth <= holes))
    return np.where(changed[:, None], sum(shifts(x)) / np.float32(8.0), x)


def foreground_depth(x: Levels, colour: Sequence[int] | None, reach: float) -> Levels:
    """How far each pixel is beyond the background, in levels, (n, H, W); below 0 within it. For the arguments see `islands`."""
    return x[:, 3] - np.float32(HALF) if colour is None else distances(x, as_pixel(colour)) - np.float32(reach)


def single_pixels(depth: Levels) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """The single pixels in the background and those that are holes, by the depth of `foreground_depth`, both (n, H, W)."""
    inside = depth >= 0.0
    count = sum(shifts(inside.astype(np.uint8)))
    return inside & (count == 0), ~inside & (count == 8)


def fringe(x: Levels, strength: float, colour: Sequence[int]) -> Levels:
    """Give the background's colour to pixels that are at most `strength` levels from it and beside it: MIN_BESIDE of the pixels around
    them have it. This is done FRINGE_ROUNDS times, so shades of limbs vanish, and what is inside of a figure stays."""
    is_faint = foreground_depth(x, colour, 0.0) <= strength
    is_background = has_colour(x, colour)
    for _ in range(FRINGE_ROUNDS):
        num_beside = sum(shifts(is_background.astype(np.uint8)))
        is_background |= is_faint & (num_beside >= MIN_BESIDE)
    return np.where(is_background[:, None], as_pixel(colour), x)


def has_colour(x: Levels, colour: Sequence[int]) -> NDArray[np.bool_]:
    """Which pixels (n, H, W) have this colour once rounded."""
    return np.asarray((np.rint(x) == as_pixel(colour)).all(axis=1))


def alpha(x: Levels, clear: Curve, opaque: Curve) -> Levels:
    """Move alpha towards clear or opaque; colour keeps its ratio to alpha."""
    before = x[:, 3]  # (n, H, W)
    after = np.where(before < HALF, shrink(before, clear), 255.0 - shrink(255.0 - before, opaque))
    scale = after / np.maximum(before, 1.0)
    colour = np.minimum(x[:, :3] * scale[:, None], after[:, None])
    return np.concatenate([colour, after[:, None]], axis=1).astype(np.float32)  # (n, 4, H, W)


def opaque_images(x: Levels, shortfall: float) -> Levels:
    """Make images opaque whose alpha is at most so many levels below 255 in the mean; colour keeps its ratio to alpha."""
    alpha_of = x[:, 3:]  # (n, 1, H, W)
    is_nearly_opaque = (255.0 - alpha_of).mean(axis=(1, 2, 3), keepdims=True) <= shortfall
    colour = np.minimum(x[:, :3] * (255.0 / np.maximum(alpha_of, 1.0)), 255.0)
    opaque = np.concatenate([colour, np.full_like(alpha_of, 255.0)], axis=1)
    return np.where(is_nearly_opaque, opaque, x).astype(np.float32)


def specks(x: Levels, sharpness: float, apart: Curve) -> Levels:
    """Move pixels towards the neighbours that are most like them: pixels of edges and lines have such neighbours, specks do not."""
    mean = neighbourhood(x, sharpness)
    distance = distances(x, mean)
    scale = shrink(distance, apart) / np.maximum(distance, 1e-6)
    return np.asarray(mean + (x - mean) * scale[:, None], dtype=np.float32)


def few_colours(
    x: Levels,
    slope: float,
    intercept: float,
    flat: Sequence[Sequence[int]] = (),
    common: Sequence[Sequence[int]] = (),
    reach: float = 0.0,
    more: Curve | None = None,
) -> Levels:
    """Give each image as few colours as real images of its area have: usually exp(intercept) * area ** slope, by k-means.

    The area is the number of opaque pixels; others stay as they are. Colours differ in alpha too, and pixels that are exactly opaque
    stay so. An image that has no more colours, or should have more than MAX_FEW_COLOURS, is left alone.

    Args:
        x: Levels.
        slope, intercept: See above.
        flat: Colours that pixels keep.
        common: Colours that many real images have.
        reach: Colours that are at most so far from a common one become that.
        more: A curve from how far the usual number of colours is from an image (`colour_error`) to how many times as many it has.
            Without it, all have the usual number.
    """
    out = x.copy()
    table = np.asarray(common, dtype=np.float64).reshape(-1, x.shape[1])  # (P, C)
    for image, opaque in zip(out, opaque_pixels(x), strict=True):
        usual = float(np.exp(intercept) * max(int(opaque.sum()), 1) ** slope)
        times = 1.0 if more is None else float(np.interp(colour_error(image, opaque, usual, flat), *more))
        if max(usual, usual * times) < MAX_FEW_COLOURS + 0.5:
            free = _free_pixels(image, opaque, usual * times, flat)
            if free.fewer is not None:
                image[:, free.places] = snapped(free.fewer, table, reach).T
    return out


def colour_error(image: Levels, opaque: NDArray[np.bool_], count: float, flat: Sequence[Sequence[int]]) -> float:
    """How far the pixels of an image (C, H, W) are from so few colours, in levels: the root of the mean square.

    It is 0 for an image that has no more, and large for one that needs more. For the arguments see `_free_pixels`.
    """
    if count >= MAX_FEW_COLOURS + 0.5:
        return 0.0
    free = _free_pixels(image, opaque, count, flat)
    if free.fewer is None:
        return 0.0
    return float(np.sqrt(((free.colours - free.fewer) ** 2).sum() / max(int(opaque.sum()), 1)))


class _FreePixels(NamedTuple):
    """The opaque pixels of an image that have no flat colour.

    Attributes:
        places: (H, W) which ones they are.
        colours: (N, C) their colours.
        fewer: (N, C) the colours that they take instead, to be as few as asked; None if they have no more.
    """

    places: NDArray[np.bool_]
    colours: NDArray[np.float64]
    fewer: NDArray[np.float64] | None


def _free_pixels(image: Levels, opaque: NDArray[np.bool_], count: float, flat: Sequence[Sequence[int]]) -> _FreePixels:
    """The pixels that may change so that an image has few colours.

    Args:
        image: (C, H, W).
        opaque: (H, W) which pixels are opaque.
        count: How many colours the image is to have, the flat ones that it has included.
        flat: Colours that pixels keep.
    """
    is_free, num_flat = opaque.copy(), 0
    for colour in flat:
        is_flat = opaque & (np.rint(image) == as_pixel(colour)[0]).all(axis=0)
        is_free &= ~is_flat
        num_flat += int(is_flat.any())
    num_free = max(int(count + 0.5) - num_flat, 1)
    pixels = image[:, is_free].T.astype(np.float64)  # (N, C)
    if len(np.unique(np.rint(pixels), axis=0)) <= num_free:
        return _FreePixels(is_free, pixels, None)
    return _FreePixels(is_free, pixels, quantised(_apart(pixels), num_free)[:, : len(image)])


def opaque_pixels(x: Levels) -> NDArray[np.bool_]:
    """Which pixels (n, H, W) are opaque: all where there is no alpha."""
    return x[:, 3] >= HALF if x.shape[1] == 4 else np.ones((len(x), *x.shape[2:]), dtype=np.bool_)


def clip_colours(
    x: Levels, slope: float, intercept: float, flat: Sequence[Sequence[int]] = (), hold: float = 0.0
) -> Levels:
    """Give the frames of a clip as few colours as real clips of its area have, the same in all frames; see `few_colours`.

    The area is that of all frames together. Pixels of many colours lose a part of their contrast as they come to share a few, so
    these are moved apart until the contrast is as before.

    Args:
        x: Levels of the frames, in their order.
        slope, intercept, flat: As for `few_colours`.
        hold: A pixel changes its colour only where it then is nearer by this share of the mean squared distance to them.
    """
    opaque = opaque_pixels(x)
    usual = float(np.exp(intercept) * max(int(opaque.sum()), 1) ** slope)
    if usual >= MAX_FEW_COLOURS + 0.5:
        return x
    flat_number = np.where(opaque, -1, 0)  # (n, H, W): 0 for clear pixels, a number for each flat colour, -1 for others
    for number, colour in enumerate(flat, 1):
        flat_number[opaque & (np.rint(x) == as_pixel(colour)).all(axis=1)] = number
    pixels = np.moveaxis(x, 1, -1)[flat_number < 0].astype(np.float64)  # (N, C)
    pixels = pixels[:: max(1, -(-len(pixels) // MAX_CLUSTERED))]
    num_free = max(int(usual + 0.5) - len(np.unique(flat_number[flat_number > 0])), 1)
    if len(np.unique(np.rint(pixels), axis=0)) <= num_free:
        return x
    centres = clusters(_apart(pixels), num_free)
    nearest_centre = centres[_nearest_centres(_apart(pixels), centres)]
    cost = hold * float(((_apart(pixels) - nearest_centre) ** 2).sum(1).mean())
    colours = spread(centres[:, : x.shape[1]], pixels, nearest_centre[:, : x.shape[1]])
    return _with_colours(x, flat_number, centres, colours, cost, len(flat) + 1)


def spread(
    centres: NDArray[np.float64], pixels: NDArray[np.float64], nearest_centre: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Colours (P, C), moved from the mean of the pixels (N, C) so far that pixels of these colours differ as much as before.

    nearest_centre: (N, C) the colour of each pixel. Alpha stays as it is.
    """
    channels = slice(0, 3)
    mean = pixels[:, channels].mean(axis=0)
    before, after = (((p[:, channels] - mean) ** 2).sum(1).mean() for p in (pixels, nearest_centre))
    moved = np.clip(mean + (centres[:, channels] - mean) * np.sqrt(before / max(after, 1.0)), 0.0, 255.0)
    if centres.shape[1] < 4:
        return np.asarray(moved)
    return np.concatenate([np.minimum(moved, centres[:, 3:]), centres[:, 3:]], axis=1)


def _with_colours(
    x: Levels,
    flat_number: Indices,
    centres: NDArray[np.float64],
    colours: NDArray[np.float64],
    cost: float,
    num_flat: int,
) -> Levels:
    """Frames whose pixels take one of the colours (P, C) instead of the nearest centre (P, C or more).

    Args:
        x: Frames.
        flat_number: (n, H, W) below 0 for these pixels; others stay as they are, and those of one number are of one colour.
        centres: Centres, each of one colour.
        colours: Their colours.
        cost: How much nearer (squared) another colour has to be for a pixel to change.
        num_flat: How many numbers of `flat_number` there are.
    """
    places = np.argwhere((flat_number < 0).any(axis=0)).T  # (2, M) that change
    strip = max(1, PIXELS_AT_ONCE // len(x))
    out = x.copy()
    for start in range(0, places.shape[1], strip):
        rows, columns = places[:, start : start + strip]
        numbers = flat_number[:, rows, columns]  # (n, M)
        is_free = numbers < 0
        pixels = _apart(x[:, :, rows, columns].transpose(0, 2, 1).reshape(-1, x.shape[1]).astype(np.float64))
        # Squared distances, less the squares of the pixels, which are the same for all centres
        squares = (centres**2).sum(1) - 2.0 * (pixels @ centres.T)
        free = np.where(is_free[..., None], squares.reshape(*is_free.shape, -1), np.inf)
        others = np.where(numbers[..., None] == np.arange(num_flat), 0.0, np.inf)
        chosen = steady(np.concatenate([others, free], axis=2), cost) - num_flat
        times, at = np.nonzero(is_free)
        out[times, :, rows[at], columns[at]] = colours[chosen[is_free]]
    return out


def steady(distance: NDArray[np.float64], cost: float) -> Indices:
    """The choices (T, N) over time with the least sum of distances (T, N, P) and of the cost of each change (Viterbi's algorithm)."""
    total, before = distance[0], []
    for later in distance[1:]:
        best = total.argmin(axis=-1)[:, None]  # (N, 1)
        changed = np.take_along_axis(total, best, axis=1) + cost
        stays = total <= changed
        before.append(np.where(stays, np.arange(total.shape[1]), best))
        total = np.where(stays, total, changed) + later
    choice = total.argmin(axis=-1)
    choices = [choice]
    for previous in reversed(before):
        choice = np.take_along_axis(previous, choice[:, None], axis=1)[:, 0]
        choices.append(choice)
    return np.stack(choices[::-1])


def _apart(pixels: NDArray[np.float64]) -> NDArray[np.float64]:
    """Pixels (N, C), with a further value where they have alpha: OPAQUE_OFFSET for those that are exactly opaque."""
    return np.concatenate([pixels, OPAQUE_OFFSET * (np.rint(pixels[:, 3:]) == 255.0)], axis=1)


def quantised(pixels: NDArray[np.float64], count: int) -> NDArray[np.float64]:
    """Pixels (N, C) with `count` colours, see `clusters`."""
    centres = clusters(pixels, count)
    return np.asarray(centres[_nearest_centres(pixels, centres)])


def clusters(pixels: NDArray[np.float64], count: int) -> NDArray[np.float64]:
    """So many colours (count, C) of pixels (N, C): k-means, which begins with colours that are far from those before them."""
    centres = pixels.mean(axis=0, keepdims=True)  # (1, C)
    distance = ((pixels - centres) ** 2).sum(1)
    for _ in range(count - 1):
        farthest = pixels[distance.argmax()]
        centres = np.concatenate([centres, farthest[None]])
        distance = np.minimum(distance, ((pixels - farthest) ** 2).sum(1))
    for _ in range(ROUNDS):
        index = _nearest_centres(pixels, centres)
        sizes = np.bincount(index, minlength=count)
        sums = np.stack([np.bincount(index, channel, count) for channel in pixels.T], axis=1)  # (count, C)
        centres = np.where(sizes[:, None] > 0, sums / np.maximum(sizes, 1)[:, None], centres)
    return np.asarray(centres)


def snapped(pixels: NDArray[np.float64], table: NDArray[np.float64], reach: float) -> NDArray[np.float64]:
    """Pixels (N, C), of which those that are at most `reach` from a colour of the table (P, C) have that colour."""
    if not len(table):
        return pixels
    nearest_colour = table[_nearest_centres(pixels, table)]
    is_near = ((pixels - nearest_colour) ** 2).sum(1) <= reach**2
    return np.where(is_near[:, None], nearest_colour, pixels)


def _nearest_centres(pixels: NDArray[np.float64], centres: NDArray[np.float64]) -> Indices:
    return np.asarray(np.argmin((centres**2).sum(1) - 2.0 * (pixels @ centres.T), axis=1))


def flat(x: Levels, colour: Sequence[int], reach: float, near: Curve) -> Levels:
    """Move pixels that are within `reach` of a colour towards it."""
    middle = as_pixel(colour)
    distance = distances(x, middle)
    scale = np.where(distance < reach, shrink(distance, near) / np.maximum(distance, 1e-6), 1.0)
    return np.asarray(middle + (x - middle) * scale[:, None], dtype=np.float32)


def palette(x: Levels, colours: Sequence[Sequence[int]], lenience: float) -> Levels:
    """Give each pixel the nearest colour. If no neighbour has it, take a neighbour's that is at most `lenience` farther."""
    table = np.asarray(colours, dtype=np.float32)  # (P, C)
    index = nearest(x, table)
    if lenience > 0.0 and min(index.shape[1:]) > 1:
        farther, neighbour_index = nearest_of_neighbours(x, table, index)
        index = np.where(alone(index) & (farther <= lenience), neighbour_index, index)
    return np.ascontiguousarray(np.moveaxis(table[index], -1, 1))


def margin(x: Levels, colour: Sequence[int], sides: Sequence[int]) -> Levels:
    """Give so many pixels from each side (top, right, bottom, left) a colour."""
    top, right, bottom, left = sides
    height, width = x.shape[2:]
    out = np.empty_like(x)
    out[:] = as_pixel(colour)
    inner = (slice(None), slice(None), slice(top, height - bottom), slice(left, width - right))
    out[inner] = x[inner]
    return out


def neighbourhood(x: Levels, sharpness: float) -> Levels:
    """The mean (n, C, H, W) of each pixel's eight neighbours, weighted by squared distance to the power of -sharpness."""
    total, weight = np.zeros_like(x), np.zeros((len(x), 1, *x.shape[2:]), dtype=np.float32)
    for shifted in shifts(x):
        likeness = ((((shifted - x) ** 2).sum(axis=1, keepdims=True) + SOFTENING) / SOFTENING) ** -sharpness
        total += likeness * shifted
        weight += likeness
    return np.asarray(total / weight, dtype=np.float32)


def nearest(x: Levels, table: Levels) -> Indices:
    """(n, H, W) numbers of the nearest colours of the table (P, C)."""
    pixels = np.moveaxis(x, 1, -1).reshape(-1, x.shape[1])  # (n*H*W, C)
    squares = (table**2).sum(1)
    strips = (pixels[start : start + PIXELS_AT_ONCE] for start in range(0, len(pixels), PIXELS_AT_ONCE))
    index = [np.argmin(squares - 2.0 * (strip @ table.T), axis=1) for strip in strips]
    return np.concatenate(index).reshape(x.shape[0], *x.shape[2:])


def nearest_of_neighbours(x: Levels, table: Levels, index: Indices) -> tuple[Levels, Indices]:
    """How much farther than its own colour the nearest colour of a pixel's neighbours is, and its number, (n, H, W)."""
    target = np.moveaxis(x, 1, -1)  # (n, H, W, C)
    distance_here = np.sqrt(((target - table[index]) ** 2).sum(-1))
    best, choice = np.full(index.shape, np.inf, dtype=np.float32), index
    for shifted in shifts(index):
        distance = np.sqrt(((target - table[shifted]) ** 2).sum(-1))
        choice, best = np.where(distance < best, shifted, choice), np.minimum(distance, best)
    return best - distance_here, choice


def alone(index: Indices) -> NDArray[np.bool_]:
    """Whether no neighbour has the same number, (n, H, W)."""
    is_alone = np.ones(index.shape, dtype=np.bool_)
    for shifted in shifts(index):
        is_alone &= shifted != index
    return is_alone


def as_pixel(colour: Sequence[int]) -> Levels:
    """A colour as an array (1, C, 1, 1)."""
    return np.asarray(colour, dtype=np.float32).reshape(1, -1, 1, 1)
