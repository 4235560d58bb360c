"""Matching of samples to the values that real pixels have: clear and opaque alpha, images that are opaque everywhere, flat colours, a
palette, a margin, few specks, plain areas, few colours, no single pixels in the background; how strong detail is, of drawings that of
colours alone.

A generator of continuous values only comes near to exact values of real pixels. Once after training, histogram matching of samples
and training images learns how near: each curve below turns a distance (to a value, to a colour, to the neighbours) into the distance
that as many real pixels have. Distances only shrink, and only within bounds, so images without such values stay as they are.

Legend for shapes: as in `pixel_steps`, which carries out the steps.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Annotated, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BeforeValidator, Field

from anew.core.arrays import Numbers
from anew.core.schema import NotNegative, Record
from anew.data.formats.images import palettes, pixel_steps
from anew.data.formats.images.background_matching import Colour, FringeStep, IslandStep
from anew.data.formats.images.detail_matching import DetailStep
from anew.data.formats.images.pixel_steps import as_pixel, neighbourhood
from anew.data.formats.images.plain_areas import Levels, distances
from anew.data.formats.images.plain_matching import Curve, PlainStep, curve, has_plain_areas

COMPARED_PIXELS = 1 << 18  # real pixels that curves are learned from: bounds the time
# Real pixels that curves of detail are learned from: photographs and crops came nearer with 1,000 than with 256 images of 32 x 32
# (docs/log.md, 2026-12-01)
DETAIL_PIXELS = 1 << 19
SHARPNESS = (4.0, 4.0)  # sharpness of each round against specks: smaller ones blur small details, see docs/log.md
MIN_MARGIN_IMAGES = 16  # with fewer images, a row of pixels may be empty in all of them by chance; chosen
MIN_BACKGROUND = 0.1  # a flat colour of at least this share of all pixels is a background; chosen
MAX_COMMON = 256  # most colours that images have in common: the time to find the nearest one grows with their number
MIN_COMMON_SHARE = 0.001  # each of them must have this share of the opaque pixels; chosen
MIN_SHARED = 0.5  # share of the opaque pixels that they have together, without which they say little; chosen
MIN_AREA = 16  # images with fewer opaque pixels do not tell how many colours images have; chosen
# An image has too many colours if it has this many times those of real images of its area; chosen.
TOO_MANY_COLOURS = 1.25
# Samples have too many if MIN_TOO_MANY of them do; where areas became plain, fewer do: then if MIN_SURPLUS of them do beyond the share
# of real images. Chosen.
MIN_TOO_MANY, MIN_SURPLUS = 0.5, 0.1
# Images with more than this many times the colours expected, such as photographs among drawings, do not say how many a drawing
# has, and samples that are left as they are take their place. The usual number is that of most images, so they are no more than
# half.
MAX_SPREAD = 4.0
MAX_DETAILED_SHARE = 0.5
# Largest growth of the total variation distance between the colours of samples and of real clips, in coarse steps. Where
# samples mix colours, one mean of them is none of them: from 0.24 to 0.50 on stick figures, from 0.32 to 0.34 on sprites.
# Any value from 0.03 to 0.26 decides the same for both.
MAX_SHIFT = 0.1
# Tried in this order by `ClipColoursStep`; with 4, clips moved visibly less than before (docs/log.md, 2026-11-29).
HOLDS = (0.25, 0.5, 1.0, 2.0)
# If fewer real clips have at most MAX_SPREAD times the usual number of colours, a clip of many would lose them; chosen.
MIN_USUAL_SHARE = 0.95
# If so many real images have no half-transparent pixel, samples have none, as otherwise each had those of a few images; chosen.
MOSTLY_HARD = 0.75

# Share of real images that are opaque in every pixel, below which it may be chance; and how far the alpha of a sample that becomes so may
# be below 255, in levels in the mean of its pixels: one in fifty may be clear. Both chosen.
MIN_OPAQUE, MAX_SHORTFALL = 0.02, 5.0

MarginWidth = Annotated[int, Field(strict=True, ge=0, le=2**16)]


class AlphaStep(Record):
    """See `pixel_steps.alpha`."""

    step: Literal["alpha"] = "alpha"
    clear: Curve
    opaque: Curve

    @classmethod
    def learn(cls, samples: Levels, real: Levels) -> AlphaStep:
        is_hard = np.isin(np.rint(real[:, 3]), (0.0, 255.0)).all(axis=(1, 2))  # (n,)
        if is_hard.mean() >= MOSTLY_HARD:
            real = real[is_hard]
        clear = [x[:, 3][x[:, 3] < pixel_steps.HALF] for x in (samples, real)]
        opaque = [255.0 - x[:, 3][x[:, 3] >= pixel_steps.HALF] for x in (samples, real)]
        return cls(clear=curve(*clear), opaque=curve(*opaque))


class OpaqueStep(Record):
    """See `pixel_steps.opaque_images`: afterwards as many images are opaque in every pixel as real ones."""

    step: Literal["opaque_images"] = "opaque_images"
    shortfall: NotNegative

    @classmethod
    def learn(cls, samples: Levels, real: Levels) -> OpaqueStep | None:
        """None where hardly any real image is opaque."""
        share = float((np.rint(real[:, 3]) == 255.0).all(axis=(1, 2)).mean())
        if share < MIN_OPAQUE:
            return None
        shortfall = (255.0 - samples[:, 3]).mean(axis=(1, 2))  # (m,)
        return cls(shortfall=round(min(float(np.quantile(shortfall, share)), MAX_SHORTFALL), 2))


class SpeckStep(Record):
    """See `pixel_steps.specks`: afterwards as many pixels differ from their neighbours as in real images."""

    step: Literal["specks"] = "specks"
    sharpness: NotNegative
    apart: Curve

    @classmethod
    def learn(cls, samples: Levels, real: Levels, sharpness: float) -> SpeckStep:
        apart = [distances(x, neighbourhood(x, sharpness)) for x in (samples, real)]
        return cls(sharpness=sharpness, apart=curve(*apart))


class FewColoursStep(Record):
    """See `pixel_steps.few_colours`."""

    step: Literal["few_colours"] = "few_colours"
    slope: Annotated[float, Field(ge=0.0, le=1.0)]
    intercept: Annotated[float, Field(ge=-20.0, le=20.0)]
    flat: Annotated[tuple[Colour, ...], Field(max_length=palettes.MAX_FLAT_COLOURS)] = ()
    common: Annotated[tuple[Colour, ...], Field(max_length=MAX_COMMON)] = ()
    reach: NotNegative = 0.0
    more: Curve | None = None

    @classmethod
    def learn(
        cls, samples: Levels, real: Levels, flat: tuple[Colour, ...], *, is_plain: bool = False
    ) -> FewColoursStep | None:
        """None unless samples have too many colours (see MIN_TOO_MANY), and most real images few.

        Args:
            samples, real: As in `PixelMatching.learn`.
            flat: Colours that pixels keep.
            is_plain: Whether areas of the samples became plain.
        """
        areas, counts = _colour_counts(real)
        sample_areas, sample_counts = _colour_counts(samples)
        if len(areas) < 2 or not len(sample_areas):
            return None
        slope, intercept = _usual_counts(areas, counts)
        excess = counts - slope * areas - intercept  # logarithms
        if np.mean(excess > np.log(MAX_SPREAD)) > MAX_DETAILED_SHARE:
            return None
        expected = intercept + slope * sample_areas
        is_few = expected <= np.log(pixel_steps.MAX_FEW_COLOURS)
        has_too_many = is_few & (sample_counts > expected + np.log(TOO_MANY_COLOURS))
        most = np.mean(excess > np.log(TOO_MANY_COLOURS)) + MIN_SURPLUS if is_plain else MIN_TOO_MANY
        if has_too_many.mean() < most:
            return None
        step = cls(slope=round(slope, 4), intercept=round(float(np.clip(intercept, -20.0, 20.0)), 4), flat=flat)
        return step.with_more_colours(samples, excess).with_common_colours(samples, real)

    def with_more_colours(self, samples: Levels, excess: NDArray[np.float64]) -> FewColoursStep:
        """The step with a curve that lets the samples which need most colours have as many as the real images with most.

        excess: Logarithms of how many times as many colours real images have as expected."""
        opaque = pixel_steps.opaque_pixels(samples)
        areas = opaque.sum(axis=(1, 2))  # (m,)
        expected = np.exp(self.intercept) * np.maximum(areas, 1) ** self.slope
        rows = zip(samples[areas >= MIN_AREA], opaque[areas >= MIN_AREA], expected[areas >= MIN_AREA], strict=True)
        errors = [pixel_steps.colour_error(image, mask, count, self.flat) for image, mask, count in rows]
        return self.model_copy(update={"more": curve(np.array(errors), np.exp(excess))})

    def with_common_colours(self, samples: Levels, real: Levels) -> FewColoursStep:
        """The step with the colours that most pixels of real images share, if most do: as many pixels of samples get them."""
        colours, counts = np.unique(_opaque_colours(real), axis=0, return_counts=True)
        order = np.argsort(-counts, kind="stable")[:MAX_COMMON]
        order = order[counts[order] >= MIN_COMMON_SHARE * counts.sum()]
        share = counts[order].sum() / counts.sum()
        if share < MIN_SHARED:
            return self
        table = colours[order].astype(np.float64)
        pixels = _opaque_colours(pixel_steps.matched(samples, [self.model_dump()])).astype(np.float64)
        deviations = np.sqrt(((pixels - pixel_steps.snapped(pixels, table, np.inf)) ** 2).sum(1))
        reach = min(float(np.quantile(deviations, share)), palettes.MAX_REACH)
        return self.model_copy(update={"common": tuple(map(tuple, colours[order].tolist())), "reach": round(reach, 2)})


class ClipColoursStep(Record):
    """See `pixel_steps.clip_colours`: afterwards at most as many pixels stay as they are from frame to frame as in real clips."""

    step: Literal["clip_colours"] = "clip_colours"
    slope: Annotated[float, Field(ge=0.0, le=1.0)]
    intercept: Annotated[float, Field(ge=-20.0, le=20.0)]
    flat: Annotated[tuple[Colour, ...], Field(max_length=palettes.MAX_FLAT_COLOURS)] = ()
    hold: Annotated[float, Field(ge=0.0, le=2.0)] = 0.0

    @classmethod
    def learn(
        cls,
        samples: Levels,
        real: Levels,
        num_frames: int,
        flat: tuple[Colour, ...],
        palette: NDArray[np.uint8] | None = None,
    ) -> ClipColoursStep | None:
        """None unless most samples have too many colours, nearly all real clips few, and samples of few have real colours.

        Args:
            samples, real: Frames of clips, in their order.
            num_frames: Frames of each clip.
            flat: Colours that pixels keep.
            palette: (P, C) colours that samples have in the end; None if they may have any.
        """
        (areas, counts), (sample_areas, sample_counts) = (
            _colour_counts(_laid_out(x, num_frames)) for x in (real, samples)
        )
        if len(areas) < 2 or not len(sample_areas):
            return None
        slope, intercept = _usual_counts(areas, counts)
        is_usual = counts - slope * areas - intercept <= np.log(MAX_SPREAD)
        expected = intercept + slope * sample_areas
        is_few = expected <= np.log(pixel_steps.MAX_FEW_COLOURS)
        has_too_many = is_few & (sample_counts > expected + np.log(TOO_MANY_COLOURS))
        if is_usual.mean() < MIN_USUAL_SHARE or has_too_many.mean() < MIN_TOO_MANY:
            return None
        step = cls(slope=round(slope, 4), intercept=round(float(np.clip(intercept, -20.0, 20.0)), 4), flat=flat)
        before, after_step, goal = (
            _histogram(x if palette is None else pixel_steps.palette(x, palette.tolist(), 0.0), flat)
            for x in (samples, after(samples, step, num_frames), real)
        )
        if np.abs(after_step - goal).sum() / 2.0 > np.abs(before - goal).sum() / 2.0 + MAX_SHIFT:
            return None
        real_share = _held_share(real, num_frames)
        for hold in HOLDS:
            holding = step.model_copy(update={"hold": hold})
            if _held_share(after(samples, holding, num_frames), num_frames) > real_share:
                break
            step = holding
        return step


class FlatStep(Record):
    """See `pixel_steps.flat`: a colour that many real pixels have exactly, such as a background."""

    step: Literal["flat"] = "flat"
    colour: Colour
    reach: NotNegative
    near: Curve

    @classmethod
    def learn(cls, samples: Levels, real: Levels, colour: Colour, reach: float) -> FlatStep:
        near = [apart[apart < reach] for apart in (distances(x, as_pixel(colour)) for x in (samples, real))]
        return cls(colour=colour, reach=reach, near=curve(*near))


class PaletteStep(Record):
    """See `pixel_steps.palette`: afterwards as few pixels have a colour that no neighbour has as in real images."""

    step: Literal["palette"] = "palette"
    colours: Annotated[tuple[Colour, ...], Field(min_length=1, max_length=palettes.MAX_COLOURS)]
    lenience: NotNegative

    @classmethod
    def learn(cls, samples: Levels, real: Levels, colours: NDArray[np.uint8]) -> PaletteStep:
        table = colours.astype(np.float32)
        index, real_index = pixel_steps.nearest(samples, table), pixel_steps.nearest(real, table)
        alone, real_share = pixel_steps.alone(index), float(pixel_steps.alone(real_index).mean())
        surplus = 1.0 - real_share / max(float(alone.mean()), 1e-9)
        lenience = 0.0
        if surplus > 0.0 and alone.any():
            farther, _ = pixel_steps.nearest_of_neighbours(samples, table, index)
            lenience = float(np.quantile(farther[alone], surplus))
        return cls(colours=tuple(tuple(colour) for colour in colours.tolist()), lenience=round(max(lenience, 0.0), 2))


class MarginStep(Record):
    """See `pixel_steps.margin`: rows and columns of pixels at the sides that have one colour in all real images."""

    step: Literal["margin"] = "margin"
    colour: Colour
    sides: Annotated[tuple[MarginWidth, ...], Field(min_length=4, max_length=4)]


Step = (
    DetailStep
    | IslandStep
    | FringeStep
    | OpaqueStep
    | AlphaStep
    | SpeckStep
    | PlainStep
    | FewColoursStep
    | ClipColoursStep
    | FlatStep
    | PaletteStep
    | MarginStep
)


def _without_stray(steps: object) -> object:
    """Without the step for stray groups of pixels, which older runs have: samples are as near without (docs/log.md, 2026-11-30)."""
    if not isinstance(steps, list | tuple):
        return steps
    return [step for step in steps if not (isinstance(step, dict) and step.get("step") == "stray")]


class PixelMatching(Record):
    """The steps of the matching in their order; without any, samples stay as they are."""

    steps: Annotated[
        tuple[Annotated[Step, Field(discriminator="step")], ...], Field(max_length=64), BeforeValidator(_without_stray)
    ] = ()

    @classmethod
    def learn(cls, samples: Numbers, real: Numbers, *, num_frames: int = 0) -> PixelMatching:
        """Learn the steps from samples and training images.

        Args:
            samples: (m, C, H, W) levels.
            real: (n, C, H, W) levels, whole numbers.
            num_frames: Frames of each clip, where both are those of clips, in their order; 0: they are stills.
        """
        count = max(8, COMPARED_PIXELS // (real.shape[2] * real.shape[3]))
        clips = real[: num_frames * (len(real) // max(num_frames, 1))].astype(np.float32)
        if num_frames:  # the first frames would be those of few clips
            real = real[np.random.default_rng(0).permutation(len(real))]
        subset = real[:count].astype(np.float32)
        x = np.clip(samples.astype(np.float32), 0.0, 255.0)
        steps: list[Step] = []
        for learn in _learners(real, clips, num_frames, steps):
            step = learn(x, subset)
            if step is not None:
                steps.append(step)
                x = after(x, step, num_frames)
        edge = margin_of(real)
        return cls(steps=(*steps, edge) if edge is not None else tuple(steps))

    @property
    def is_paletted(self) -> bool:
        """Whether all pixels have colours of a palette."""
        return any(isinstance(step, PaletteStep) for step in self.steps)

    def check(self, channels: int) -> None:
        """Raise ValueError (one clause) if the steps are not for images of so many channels."""
        colours = [step.colour for step in self.steps if isinstance(step, FlatStep | MarginStep)]
        islands = [step.colour for step in self.steps if isinstance(step, IslandStep | FringeStep)]
        colours += [colour for colour in islands if colour is not None]
        few_colours_steps = [step for step in self.steps if isinstance(step, FewColoursStep | ClipColoursStep)]
        colours += [colour for step in few_colours_steps for colour in step.flat]
        colours += [colour for step in few_colours_steps if isinstance(step, FewColoursStep) for colour in step.common]
        colours += [colour for step in self.steps if isinstance(step, PaletteStep) for colour in step.colours]
        has_alpha = any(isinstance(step, AlphaStep | OpaqueStep) for step in self.steps) or None in islands
        if {len(colour) for colour in colours} - {channels} or (has_alpha and channels != 4):
            raise ValueError(f"data.learned.matching is not for images of {channels} channels")

    def __call__(self, x: Numbers) -> Levels:
        """Levels (n, C, H, W) after the matching."""
        return pixel_steps.matched(x, self.model_dump()["steps"])


def as_levels(x: Numbers) -> Levels:
    """[-1, 1] -> 0 to 255."""
    return np.asarray((np.nan_to_num(x.astype(np.float32)) + 1.0) * 127.5, dtype=np.float32)


def as_unit(levels: Numbers) -> Levels:
    """0 to 255 -> [-1, 1]."""
    return np.asarray(levels.astype(np.float32) / np.float32(127.5) - np.float32(1.0), dtype=np.float32)


def after(x: Levels, step: Step, num_frames: int) -> Levels:
    """Levels (n, C, H, W) after a step. num_frames: Frames of each clip, where they are those of clips; else 0."""
    parts = np.split(x, len(x) // num_frames) if num_frames else [x]
    return np.concatenate([pixel_steps.matched(part, [step.model_dump()]) for part in parts])


def _histogram(x: Levels, flat: tuple[Colour, ...]) -> NDArray[np.float64]:
    """The shares of cubes of 64 levels among the opaque pixels of images (n, C, H, W) that have no flat colour."""
    pixels = _opaque_colours(x)
    is_flat = (
        (pixels[:, None] == np.array(flat, dtype=np.int64).reshape(-1, x.shape[1])).all(axis=2).any(axis=1)
    )  # (N,)
    cubes = pixels[~is_flat] // 64 @ (4 ** np.arange(x.shape[1], dtype=np.int64))
    return np.asarray(np.bincount(cubes, minlength=4 ** x.shape[1]) / max(len(cubes), 1))


def _laid_out(frames: Levels, num_frames: int) -> Levels:
    """Clips as images: frames (n * T, C, H, W), below each other, (n, C, T * H, W)."""
    clips = frames.reshape(-1, num_frames, *frames.shape[1:]).swapaxes(1, 2)
    return clips.reshape(*clips.shape[:2], -1, frames.shape[3])


def _held_share(frames: Levels, num_frames: int) -> float:
    """The share of the pixels of clips, frames (n * T, C, H, W), that are as they were in the frame before."""
    clips = np.rint(frames).reshape(-1, num_frames, *frames.shape[1:])
    return float((clips[:, 1:] == clips[:, :-1]).all(axis=2).mean())


def _learners(
    real: Numbers, clips: Levels, num_frames: int, steps: Sequence[Step]
) -> Iterator[Callable[[Levels, Levels], Step | None]]:
    """Yield the function that learns each step, from samples after the earlier steps, and from real images.

    Args:
        real: Real images, or frames of clips in any order.
        clips: Frames of clips in their order.
        num_frames: Frames of each clip; 0 for stills.
        steps: The learned steps, which grow meanwhile.
    """
    has_alpha, has_neighbours = real.shape[1] == 4, min(real.shape[2:]) > 1
    colours, counts = palettes.colours_of(real)
    flat_colours = list(palettes.flat_colours(colours, counts))
    has_background = bool(flat_colours) and counts.max() >= MIN_BACKGROUND * counts.sum()
    detailed = real[: max(8, DETAIL_PIXELS // (real.shape[2] * real.shape[3]))].astype(np.float32)
    # Matching detail of brightness, too, took drawings farther from the data (docs/log.md, 2026-12-01 and 2026-12-02)
    is_drawing = has_alpha or has_background or has_plain_areas(detailed)
    if not num_frames and (real.shape[1] >= 3 or not is_drawing):
        yield lambda samples, _: DetailStep.learn(samples, detailed, keeps_brightness=is_drawing)
    if has_neighbours and has_alpha:
        yield IslandStep.learn
    elif has_neighbours and has_background:
        colour, reach = flat_colours[0]
        yield partial(IslandStep.learn, colour=colour, reach=reach)
    if has_alpha:
        yield AlphaStep.learn
    if has_alpha and not num_frames:
        yield OpaqueStep.learn
    if has_neighbours:
        yield from (partial(SpeckStep.learn, sharpness=sharpness) for sharpness in SHARPNESS)
    if has_neighbours and not num_frames:
        yield PlainStep.learn
    if has_alpha:  # specks of transparency are gone now
        yield AlphaStep.learn
    has_fringes = has_neighbours and has_background and not has_alpha
    yield from _flat_learners(flat_colours, num_frames, has_fringes=has_fringes)
    flat = tuple(colour for colour, _ in flat_colours)
    palette = (
        palettes.palette_of(clips, np.arange(len(clips)) // num_frames) if num_frames else palettes.palette_of(real)
    )
    if real.shape[1] > 1 and num_frames > 1:
        yield lambda samples, _: ClipColoursStep.learn(samples, clips, num_frames, flat, palette)
    elif real.shape[1] > 1:
        yield partial(FewColoursStep.learn, flat=flat, is_plain=any(isinstance(step, PlainStep) for step in steps))
    if palette is not None:
        yield partial(PaletteStep.learn, colours=palette)


def _flat_learners(
    flat_colours: Sequence[tuple[Colour, float]], num_frames: int, *, has_fringes: bool
) -> Iterator[Callable[[Levels, Levels], Step | None]]:
    """As `_learners`, for flat colours, each with its reach; the first is the background's, which may have fringes."""
    for place, (colour, reach) in enumerate(flat_colours):
        yield partial(FlatStep.learn, colour=colour, reach=reach)
        if has_fringes and place == 0:
            yield partial(FringeStep.learn, colour=colour, num_frames=num_frames)


def _opaque_colours(x: Levels) -> NDArray[np.int64]:
    """The colours (N, C) of all opaque pixels of images (n, C, H, W)."""
    pixels = np.moveaxis(np.rint(x), 1, -1)[pixel_steps.opaque_pixels(x)]
    return np.asarray(pixels, dtype=np.int64)


def _colour_counts(x: Levels) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Logarithms of the numbers of opaque pixels and of their colours, of each image (n, C, H, W) with MIN_AREA of them."""
    rows = []
    for image, opaque in zip(x, pixel_steps.opaque_pixels(x), strict=True):
        area = int(opaque.sum())
        if area >= MIN_AREA:
            rows.append((area, len(np.unique(palettes.codes(image[:, opaque][None, :, :, None])))))
    areas, counts = np.log(np.array(rows, dtype=np.float64).reshape(-1, 2)).T
    return areas, counts


def _usual_counts(areas: NDArray[np.float64], counts: NDArray[np.float64]) -> tuple[float, float]:
    """Slope and intercept of a line through logarithms of areas and colour counts, which images of far more colours do not lift."""
    slope = intercept = 0.0
    is_usual = np.ones(len(areas), dtype=np.bool_)
    for _ in range(2):
        area, count = areas[is_usual], counts[is_usual]
        varies = float(np.ptp(area)) > 0.0
        slope = float(np.clip(np.polyfit(area, count, 1)[0], 0.0, 1.0)) if varies else 0.0
        intercept = float(np.median(count - slope * area))
        is_usual = counts - slope * areas - intercept <= np.log(MAX_SPREAD)
    return slope, intercept


def margin_of(real: Numbers) -> MarginStep | None:
    """The margin of images (n, C, H, W), whose pixels have one colour in all of them; None without one.

    Blank images, all of whose pixels have that colour, have no margin. The colour is that of a corner: sides of other colours are
    not looked for.
    """
    if len(real) < MIN_MARGIN_IMAGES:
        return None
    colour = np.rint(real[0, :, 0, 0])  # (C,)
    differs = (np.rint(real) != colour[:, None, None]).any(axis=(0, 1))  # (H, W)
    if not differs.any():
        return None
    (rows,), (columns,) = (np.nonzero(differs.any(axis=axis)) for axis in (1, 0))
    height, width = differs.shape
    sides = (rows[0], width - 1 - columns[-1], height - 1 - rows[-1], columns[0])
    if not any(sides):
        return None
    return MarginStep(colour=tuple(colour.astype(int).tolist()), sides=tuple(map(int, sides)))
