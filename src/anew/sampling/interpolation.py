"""`walk`: a path through the latent space that samples start from, between samples or between two given items."""

from __future__ import annotations

import base64
import io
import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from anew.core import files
from anew.core.arrays import Numbers
from anew.core.settings import SettingValue, check_int
from anew.core.specs import SampleRequest
from anew.data.types import DecodedItem
from anew.errors import ConfigError, shorten
from anew.families.base import Family
from anew.sampling.generator import Generator
from anew.sampling.latents import GivenItem, values_of
from anew.sampling.origins import SAMPLE_BATCH
from anew.sampling.output_folders import make_empty_folder
from anew.sampling.request_checks import frame_count
from anew.sampling.samples import Samples

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

STRIP_COLUMNS = 11  # frames in a row of the strip: with both ends, ten equal steps
GIF_SIDE = 192  # least pixels along a side of the GIF: smaller ones are hard to see on today's screens
# Milliseconds for which a frame, and a stop, is shown: smooth to the eye, with time to look at a sample; chosen.
FRAME_MS, STOP_MS = 70, 500


@dataclass(frozen=True, repr=False)
class Walk:
    """Frames in order.

    Attributes:
        frames: The frames, as `Samples` that have pictures.
        stops: Index of the frame at each stop.
        ends: The two given items, as the run sees them; None for a walk between samples.
        label: The class that the walk stays in; None if it is free.
    """

    frames: Samples
    stops: list[int]
    ends: list[Numbers] | None
    label: str | None

    def __repr__(self) -> str:
        label = "" if self.label is None else f", label={self.label!r}"
        return f"Walk({len(self.frames):,} frames, {self.frames.modality.name!r}, stops={self.stops}{label})"

    def _repr_html_(self) -> str:
        return f'<img src="data:image/gif;base64,{base64.b64encode(self.gif()).decode()}">'

    def save(self, folder: str | Path, *, overwrite: bool = False) -> list[Path]:
        """Write frames/, strip.png and walk.gif.

        Args:
            folder: Folder of the files, new or empty.
            overwrite: Whether the folder may hold something; files of the same names are then replaced.

        Returns:
            The paths of strip.png and walk.gif.

        Raises:
            ConfigError: The folder is not empty, or cannot be made.
        """
        target = make_empty_folder(folder, overwrite)
        self.frames.save(target / "frames", overwrite=overwrite)
        paths = [target / "strip.png", target / "walk.gif"]
        for place, data in zip(paths, (self.strip(), self.gif()), strict=True):
            files.write(place, data)
        return paths

    def strip(self, columns: int = STRIP_COLUMNS) -> bytes:
        """A picture with a row of evenly spaced frames for each stretch between two stops.

        Args:
            columns: Most frames in a row; given items are shown next to it.

        Returns:
            The bytes of a PNG.
        """
        from anew.evaluation.reporting.sheet import sheet

        columns = check_int("columns", columns, 1, 1000)
        stretches = list(itertools.pairwise(self.stops))
        width = max(2, min(columns, 1 + max(end - start for start, end in stretches)))
        pictures = self.frames.pictures() or []
        rows = [np.linspace(start, end, width).round().astype(int) for start, end in stretches]
        cells = [pictures[int(index)] for row in rows for index in row]
        if self.ends is None:
            return sheet(cells, columns=width)
        fractions = [f"{fraction:.0%}" for fraction in np.linspace(0, 1, width)]
        first, last = self.ends
        return sheet([first, *cells, last], columns=width + 2, labels=["given", *fractions, "given"])

    def gif(self) -> bytes:
        """The frames, forwards and backwards, as an animated GIF that loops."""
        from anew.evaluation.reporting.sheet import rgb, zoom

        pictures = self.frames.pictures() or []
        height, width = pictures[0].shape[:2]
        factor = zoom(height, width, GIF_SIDE)
        enlarged = [
            Image.fromarray(np.repeat(np.repeat(rgb(f), factor, axis=0), factor, axis=1)).quantize(256)
            for f in pictures
        ]
        order = [*range(len(enlarged)), *range(len(enlarged) - 2, 0, -1)]
        durations = [STOP_MS if index in self.stops else FRAME_MS for index in order]
        images = [enlarged[index] for index in order]
        buffer = io.BytesIO()
        images[0].save(buffer, "GIF", save_all=True, append_images=images[1:], duration=durations, loop=0, disposal=1)
        return buffer.getvalue()


def latent_walk(
    generator: Generator,
    n: int,
    *,
    stops: int,
    seed: int,
    label: str | int | None,
    ends: tuple[GivenItem, GivenItem] | None,
    sampling: Mapping[str, SettingValue],
) -> Walk:
    """A walk; for the arguments see `Model.walk`."""
    if ends is not None and (not isinstance(ends, tuple | list) or len(ends) != 2):
        raise ConfigError(f"`ends` must be a pair, the two items to walk between (got {shorten(ends)})")
    n = frame_count(n, 2 if ends else stops)
    stops, seed = check_int("stops", stops), check_int("seed", seed)
    family = generator.family
    config = generator.sampling_config(sampling)
    walk_label = _walk_label(generator, seed, label, config)  # (1,)
    if type(family).generate is Family.generate:
        # Raises the error that says why there is no latent space
        Family.initial_latents(family, SampleRequest(1), seed)
    if ends is None:
        labels = (
            generator.sample_labels(stops, seed, sampling=config) if walk_label is None else walk_label.expand(stops)
        )
        latents = family.initial_latents(SampleRequest(stops, labels, sampling=config), seed)  # (stops, K)
        end_items = None
    else:
        x = torch.cat([values_of(generator.modality, item) for item in ends])  # (2, *shape)
        end_items = generator.modality.pictures(generator.modality.decode_real(x))
        end_labels = None if walk_label is None else walk_label.expand(2)
        latents = family.encode_to_latents(x.to(generator.device), end_labels).cpu()  # (2, K)
    points = _points_along(family, latents.cpu(), n)
    request = SampleRequest(n, None if walk_label is None else walk_label.expand(n), sampling=config)
    modality = generator.item_modality
    frames = Samples(list(_items_at(generator, points, request)), [None] * n, modality)
    if frames.pictures() is None:
        raise ConfigError(f"a walk is shown as pictures, and {modality.name} has none; give a run of images")
    stop_frames = [round(i * (n - 1) / (len(latents) - 1)) for i in range(len(latents))]
    return Walk(frames, stop_frames, end_items, None if walk_label is None else generator.labels[int(walk_label)])


def interpolate_pairs(generator: Generator, count: int, frames: int, seed: int) -> list[list[DecodedItem]]:
    """`count` walks of `frames` items each between pairs of samples, both of one class if there are classes."""
    labels = generator.sample_labels(count, seed)  # (count,)
    pair_labels = None if labels is None else labels.repeat_interleave(2)
    config = generator.sampling_config()
    start_request = SampleRequest(2 * count, pair_labels, sampling=config)
    latents = generator.family.initial_latents(start_request, seed).cpu()  # (2 * count, K)
    fractions = torch.linspace(0, 1, frames)
    pairs = zip(latents[::2], latents[1::2], strict=True)
    points = torch.cat([generator.family.interpolate(start, end, fractions) for start, end in pairs])
    frame_labels = None if labels is None else labels.repeat_interleave(frames)
    items = list(_items_at(generator, points, SampleRequest(len(points), frame_labels, sampling=config)))
    return [items[i : i + frames] for i in range(0, len(items), frames)]


def _walk_label(generator: Generator, seed: int, label: str | int | None, sampling: DataclassInstance) -> Tensor | None:
    """The class (1,) of the whole walk: the requested one, or one that is drawn if the family needs one.

    Returns None if the walk is free.
    """
    is_free = generator.spec.classes == 0 or generator.family.interpolates_across_classes
    return None if is_free and label is None else generator.sample_labels(1, seed, label, sampling=sampling)


def _points_along(family: Family, latents: Tensor, n: int) -> Tensor:
    """Points (n, K) at equal distances along the way through the stops (stops, K)."""
    position = torch.linspace(0, len(latents) - 1, n, dtype=torch.float64)  # (n,)
    stretch = position.floor().long().clamp(max=len(latents) - 2)  # (n,)
    parts = [
        family.interpolate(latents[i], latents[i + 1], (position[stretch == i] - i).float())
        for i in range(len(latents) - 1)
    ]
    return torch.cat(parts)


def _items_at(generator: Generator, points: Tensor, request: SampleRequest) -> Iterator[DecodedItem]:
    """Yield the item that is generated from each of the points (n, K)."""
    for start in range(0, len(points), SAMPLE_BATCH):
        part = points[start : start + SAMPLE_BATCH]
        labels = None if request.labels is None else request.labels[start : start + SAMPLE_BATCH]
        part_request = SampleRequest(len(part), labels, sampling=request.sampling)
        *_, x = generator.family.generate(part.to(generator.device), part_request)
        yield from generator.modality.decode(x.cpu())
