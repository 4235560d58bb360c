"""`walk`: a path through the space that a run's samples start from, between samples or between two given items."""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from anew.core import files
from anew.core.arguments import path
from anew.core.settings import check_int
from anew.core.specs import SampleRequest
from anew.errors import ConfigError, shorten
from anew.families.base import Family
from anew.sampling.latents import read
from anew.sampling.model import AT_ONCE, Model, Samples

MOST_FRAMES = 10_000
COLUMNS = 11  # frames that a row of the strip shows
SIDE = 192  # least pixels a side of the moving picture
MOVING, RESTING = 70, 500  # milliseconds that a frame stays, and that a stop does


@dataclass(frozen=True)
class Walk:
    """Frames in order, as `Samples` that have pictures. stops: index of the frame at each stop; ends: the two items given, as the run sees
    them, None between samples; label: the class that the walk stays in, None where it is free."""

    frames: Samples
    stops: list[int]
    ends: list[NDArray[Any]] | None
    label: str | None

    def save(self, folder: str | Path) -> list[Path]:
        """Write frames/, strip.png and walk.gif into the folder (made if missing); returns the paths of the last two."""
        target = path("folder", folder)
        self.frames.save(target / "frames")
        paths = [target / "strip.png", target / "walk.gif"]
        for place, data in zip(paths, (self.strip(), self.gif()), strict=True):
            files.write(place, data)
        return paths

    def strip(self, columns: int = COLUMNS) -> bytes:
        """PNG with a row for each stretch between two stops, in even steps; the items given stand beside the row."""
        from anew.evaluation.reporting.sheet import sheet

        columns = check_int("columns", columns, 1, 1000)
        wide = max(2, min(columns, 1 + max(b - a for a, b in zip(self.stops, self.stops[1:], strict=False))))
        rows = [np.linspace(a, b, wide).round().astype(int) for a, b in zip(self.stops, self.stops[1:], strict=False)]
        pictures = self.frames.pictures() or []
        shown = [pictures[int(i)] for row in rows for i in row]
        if self.ends is None:
            return sheet(shown, columns=wide)
        shares = [f"{share:.0%}" for share in np.linspace(0, 1, wide)]
        first, last = self.frames.modality.pictures(self.ends)
        return sheet([first, *shown, last], columns=wide + 2, labels=["given", *shares, "given"])

    def gif(self) -> bytes:
        """The frames forth and back as an animated GIF that goes on for ever."""
        from anew.evaluation.reporting.sheet import rgb, zoom

        pictures = self.frames.pictures() or []
        height, width = pictures[0].shape[:2]
        factor = zoom(height, width, SIDE)
        forth = [
            Image.fromarray(np.repeat(np.repeat(rgb(f), factor, axis=0), factor, axis=1)).quantize(256)
            for f in pictures
        ]
        order = [*range(len(forth)), *range(len(forth) - 2, 0, -1)]
        buffer = io.BytesIO()
        stay = [RESTING if i in self.stops else MOVING for i in order]
        images = [forth[i] for i in order]
        images[0].save(buffer, "GIF", save_all=True, append_images=images[1:], duration=stay, loop=0, disposal=1)
        return buffer.getvalue()


def walked(
    model: Model,
    n: int,
    stops: int,
    seed: int,
    label: str | int | None,
    ends: tuple[Any, Any] | None,
    how: dict[str, Any],
) -> Walk:
    """What `Model.walk` returns."""
    if ends is not None and (not isinstance(ends, tuple | list) or len(ends) != 2):
        raise ConfigError(f"`ends` must be a pair, the two items to walk between (got {shorten(ends)})")
    n, stops, seed = _checked(n, 2 if ends else stops), check_int("stops", stops), check_int("seed", seed)
    settings = model.how(how)
    family = model.family
    one = _label(model, seed, label)
    if type(family).generate is Family.generate:
        Family.initial_latents(family, SampleRequest(1), seed)  # says why there is no space to walk in
    if ends is None:
        names = _labels(model, stops, seed) if one is None else one.expand(stops)
        marks, items = family.initial_latents(SampleRequest(stops, names, sampling=settings), seed), None
    else:
        items = torch.cat([read(model, end) for end in ends])
        marks = family.encode_to_latents(items.to(model.device), None if one is None else one.expand(2)).cpu()
    x = torch.cat(list(_frames(model, marks.cpu(), one, settings, n)))
    frames_items = model.modality.decode(x)
    frames = Samples(frames_items, list(map(model.modality.save_item, frames_items)), [None] * n, model.modality)
    if frames.pictures() is None:
        raise ConfigError(f"a walk is shown as pictures, and {model.modality.name} has none; give a run of images")
    places = [round(i * (n - 1) / (len(marks) - 1)) for i in range(len(marks))]
    shown = None if items is None else model.modality.decode(items)
    return Walk(frames, places, shown, None if one is None else model.labels[int(one)])


def _checked(n: int, stops: int) -> int:
    """n as a number that has a frame for each stop."""
    stops, n = check_int("stops", stops, 2, 1000), check_int("n", n, 1, MOST_FRAMES)
    if n < stops:
        raise ConfigError(f"n={n} is out of range; give {stops} (a frame for each stop) to {MOST_FRAMES:,}")
    return n


def _label(model: Model, seed: int, label: str | int | None) -> Tensor | None:
    """(1,) the class of the whole walk: the one asked for, or one drawn as the data has them where the family must be
    told one; None where the walk is free."""
    free = model.spec.classes == 0 or model.family.interpolates_across_classes
    return None if free and label is None else model.labels_of(1, seed, label)


def _labels(model: Model, n: int, seed: int) -> Tensor | None:
    return model.labels_of(n, seed) if model.spec.classes else None


def _frames(model: Model, marks: Tensor, label: Tensor | None, how: Any, n: int) -> Any:
    """(<= AT_ONCE, *shape) at a time: n frames at even shares of the way along the stops."""
    place = torch.linspace(0, len(marks) - 1, n, dtype=torch.float64)
    start = place.floor().long().clamp(max=len(marks) - 2)
    points = [
        model.family.interpolate(marks[i], marks[i + 1], (place[start == i] - i).float()) for i in range(len(marks) - 1)
    ]
    for part in torch.split(torch.cat(points), AT_ONCE):
        request = SampleRequest(len(part), None if label is None else label.expand(len(part)), sampling=how)
        *_, x = model.family.generate(part.to(model.device), request)
        yield x.cpu()


def between_pairs(model: Model, count: int, frames: int, seed: int) -> list[list[Any]]:
    """`count` walks of `frames` items each, between samples of the seed two by two, both of one class where there are any."""
    one = model.labels_of(count, seed)
    label = None if one is None else one.repeat_interleave(2)
    settings = model.how({})
    marks = model.family.initial_latents(SampleRequest(2 * count, label, sampling=settings), seed).cpu()
    share = torch.linspace(0, 1, frames)
    points = torch.cat([model.family.interpolate(marks[i], marks[i + 1], share) for i in range(0, len(marks), 2)])
    label = None if one is None else one.repeat_interleave(frames)
    found: list[Any] = []
    for start in range(0, len(points), AT_ONCE):
        part = points[start : start + AT_ONCE].to(model.device)
        told = None if label is None else label[start : start + AT_ONCE]
        *_, x = model.family.generate(part, SampleRequest(len(part), told, sampling=settings))
        found += model.modality.decode(x.cpu())
    return [found[i : i + frames] for i in range(0, len(found), frames)]
