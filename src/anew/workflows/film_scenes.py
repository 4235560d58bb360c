"""Scenes of a film: items on a fixed map, or a text or item that the network reads in every frame.

Legend for shapes: n items, L tokens, D values of a pooled item.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Protocol

import torch
from torch import Tensor

from anew.core.specs import Batch, Codec, Grid, SampleRequest
from anew.data.latent_dataset import LatentModality
from anew.families.base import Family
from anew.families.explaining import Attends, Denoises, Discriminates
from anew.functional.plane import Plane
from anew.sampling.request_checks import sampling_config
from anew.workflows.film_pictures import THUMB, THUMB_COLUMNS, Arrays, decoded, float32, pooled, thumbnails, unpooled
from anew.workflows.film_reading import CodeScene, TextScene
from anew.workflows.job import TrainingJob
from anew.workflows.latents import fitted_latents

REAL = 256  # real items on the map, and most generated ones: enough to show a shape; each frame generates them anew
MIN_GENERATED = 16  # least generated items: fewer show no shape; their time says how many more later frames can have
# Points along a side of the discriminator's field, and its reach in standard deviations: the middle 99% of a normal.
FIELD_SIDE, FIELD_REACH = 16, 2.5
PAIRS = 32  # real items that are shown next to their reconstructions by a codec; chosen
LEVELS = 8  # noise levels at which the error is measured: as many as samples pass through
NOISED = 8  # items that the error is measured on; 32 made the first frame too slow (docs/log.md, 2026-11-26)


class Scene(Protocol):
    """The constant and the changing part of a film."""

    def fixed(self) -> tuple[Arrays, dict[str, object]]:
        """Arrays and facts of the scene's own file."""
        ...

    def frame(self, family: Family) -> tuple[Arrays, dict[str, object]]:
        """Arrays and facts of one frame, from the family as it is now, in evaluation mode."""
        ...


def scene_of(job: TrainingJob, seconds: float) -> Scene | None:
    """The scene of a training; None if there is nothing to show. seconds: seconds that one frame may take."""
    spec = job.data.spec
    if isinstance(spec, Grid):
        return MapScene(job, seconds)
    modality = job.data.modality
    if isinstance(job.family, Attends) and isinstance(modality, LatentModality):
        return CodeScene(job, modality, seconds)
    if isinstance(job.family, Attends) and not spec.shape:
        return TextScene(job, spec)
    return None


class MapScene:
    """Real and generated items on the plane in which real ones differ most, with what the family can tell about them.

    Args:
        job: The training, on a Grid.
        seconds: Seconds that one frame may take; they decide how many items are generated.
    """

    def __init__(self, job: TrainingJob, seconds: float) -> None:
        spec = job.data.spec
        assert isinstance(spec, Grid)
        self.job, self.spec, self.seconds = job, spec, seconds
        count = min(REAL, max(2, job.data.part_size("train")))
        batch = job.data.batch(0, "film", 0, count, count)
        self.real, self.labels = batch.x.float(), batch.labels if spec.classes else None
        self.plane = Plane.of(pooled(self.real))
        self.num_generated = 0
        self.is_bounded = spec.bounded
        modality = job.data.modality
        self.latent_modality = modality if isinstance(modality, LatentModality) else None
        self.item_modality = modality if self.latent_modality is None else self.latent_modality.base

    def fixed(self) -> tuple[Arrays, dict[str, object]]:
        arrays: Arrays = {"real": float32(self.plane.places(pooled(self.real)))}
        pictures = self._visible_part(self.real)
        if pictures is not None:
            arrays["real_sheet"] = thumbnails(pictures)
        facts = {
            "shown": 0 if pictures is None else len(pictures),
            "scene": "map",
            "share": self.plane.share,
            "columns": THUMB_COLUMNS,
            "thumb": THUMB,
            "field_reach": FIELD_REACH,
            "field_side": FIELD_SIDE,
        }
        return arrays, facts

    def frame(self, family: Family) -> tuple[Arrays, dict[str, object]]:
        begun = time.monotonic()
        with fitted_latents(family, [Batch(self.real, self.labels).to(family.device)]):
            generated, labels = self._make(family, self.num_generated or MIN_GENERATED)
        pictures = self._visible_part(generated)
        if not self.num_generated:  # how long the first few took says how many the next frames have time for
            affordable = MIN_GENERATED * self.seconds / max(time.monotonic() - begun, 1e-6)
            self.num_generated = int(max(MIN_GENERATED, min(REAL, affordable // MIN_GENERATED * MIN_GENERATED)))
        arrays: Arrays = {"generated": float32(self.plane.places(pooled(generated)))}
        facts: dict[str, object] = {"generated": len(generated), "shown": 0 if pictures is None else len(pictures)}
        if pictures is not None:
            arrays["generated_sheet"] = thumbnails(pictures)
        if isinstance(family, Discriminates):
            arrays |= self._beliefs(family, generated, labels)
        if isinstance(family, Codec) and self.is_bounded:
            restored = family.decode(family.encode(self.real[:PAIRS].to(family.device))).float().cpu()
            arrays["restored_sheet"] = thumbnails(self.item_modality.draw_grids(restored))
            facts["error"] = float((restored - self.real[:PAIRS]).square().mean())
        if isinstance(family, Denoises):
            errors = family.denoising_errors(self.real[:NOISED], self._labels(family, NOISED), LEVELS)
            arrays |= {"sigmas": float32(errors[0]), "errors": float32(errors[1])}
        return arrays, facts

    def _visible_part(self, x: Tensor) -> Tensor | None:
        """What thumbnails show of items or latents x (n, *shape), perhaps only of the first ones; None for nothing."""
        latent = self.latent_modality
        if latent is not None:
            is_shown = isinstance(latent.base.spec, Grid) and latent.base.spec.bounded
            return self.item_modality.draw_grids(decoded(x, latent, self.seconds)) if is_shown else None
        return self.item_modality.draw_grids(x) if self.is_bounded else None

    def _labels(self, family: Family, count: int) -> Tensor | None:
        return None if self.labels is None else self.labels[:count].to(family.device)

    def _make(self, family: Family, count: int) -> tuple[Tensor, Tensor | None]:
        """Samples (count, *shape) with the same seed each time, and their labels (count,)."""
        sampling = sampling_config(type(family).Sampling, self.job.data.modality.traits)
        labels = None if self.labels is None else self.labels.repeat(-(-count // len(self.labels)))[:count]
        request = SampleRequest(count, labels, sampling=sampling)
        *_, generated = family.sample(request, self.job.plan.seed)
        return generated.float().cpu(), labels

    def _beliefs(self, family: Discriminates, generated: Tensor, labels: Tensor | None) -> Arrays:
        """The discriminator's logits of real and generated items and on the plane, and its gradient at generated ones."""
        device = self.job.world.device
        device_labels = None if labels is None else labels.to(device)
        ticks = torch.linspace(-FIELD_REACH, FIELD_REACH, FIELD_SIDE)
        places = torch.cartesian_prod(ticks, ticks).flip(1)  # rows from the top, (x, y) each
        on_plane = unpooled(self.plane.points(places), tuple(self.spec.shape))
        if self.is_bounded:
            on_plane = on_plane.clamp(-1, 1)
        real_labels = None if self.labels is None else self.labels.to(device)
        gradient = family.input_gradient(generated.to(device), device_labels).cpu()
        return {
            "real_belief": float32(family.discriminator_logits(self.real.to(device), real_labels)),
            "generated_belief": float32(family.discriminator_logits(generated.to(device), device_labels)),
            "field": float32(family.discriminator_logits(on_plane.to(device), None)),
            "push": float32(self.plane.along(pooled(gradient))),
        }


def facts_of(values: Mapping[str, object], step: int, seconds: float) -> dict[str, object]:
    """The facts of a frame, with the step and the seconds at which it was made."""
    return {**values, "step": step, "seconds": round(seconds, 3)}
