"""Scenes of a film: items on a fixed map, or one fixed text as the network reads it.

Legend for shapes: n items, L tokens, D values of a pooled item.
"""

from __future__ import annotations

import io
import math
import time
from collections.abc import Mapping
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from torch.nn import functional

from anew.core.specs import Batch, Codec, Grid, SampleRequest, Tokens
from anew.families.base import Family
from anew.families.explaining import Attends, Denoises, Discriminates
from anew.functional.plane import Plane
from anew.sampling.generator import sampling_config
from anew.workflows.job import TrainingJob

REAL = 256  # items of the map; as many made ones at most
LEAST_MADE = 16
POOLED = 32  # values along an axis that the map is fitted on
THUMB, THUMB_COLUMNS = 16, 16  # pixels of an item on the sheet of a frame, items in a row
FIELD_SIDE, FIELD_REACH = 16, 2.5  # places of the critic's field, and how many deviations it reaches
PAIRS = 32  # real items that are shown beside what a codec reads back
TEXT_TOKENS = 48  # of the text that is read again and again
MAX_HEADS = 24
LEVELS = 8  # of noise at which the error is measured
NOISED = 32  # items that it is measured on
Arrays = dict[str, NDArray[np.generic]]


class Scene(Protocol):
    """The constant and the changing part of a film."""

    def fixed(self) -> tuple[Arrays, dict[str, object]]:
        """Arrays and facts of the scene's own file."""
        ...

    def frame(self, family: Family) -> tuple[Arrays, dict[str, object]]:
        """Arrays and facts of one frame, from the family as it is now, in evaluation mode."""
        ...


def scene_of(job: TrainingJob, seconds: float) -> Scene | None:
    """The scene of a training; None where there is nothing to show.

    Args:
        job: What is trained.
        seconds: That one frame may take.
    """
    spec = job.data.spec
    if isinstance(spec, Grid):
        return MapScene(job, seconds)
    if isinstance(job.family, Attends) and not spec.shape:
        return TextScene(job, spec)
    return None


def pooled(x: Tensor) -> Tensor:
    """(n, C, *axes) with at most POOLED values along each axis."""
    *frames, height, width = (min(POOLED, side) for side in x.shape[2:])
    if frames:
        return functional.adaptive_avg_pool3d(x, (frames[0], height, width))
    return functional.adaptive_avg_pool2d(x, (height, width))


def unpooled(x: Tensor, shape: tuple[int, ...]) -> Tensor:
    """(n, C, *axes) grown to items of this shape."""
    return x if tuple(x.shape[1:]) == shape else functional.interpolate(x, size=shape[1:], mode="nearest")


def thumbnails(x: Tensor) -> NDArray[np.uint8]:
    """The bytes of a JPEG with all items x (n, C, *axes) in rows of THUMB_COLUMNS; of clips the middle frame is shown."""
    if x.dim() == 5:
        x = x[:, :, x.shape[2] // 2]
    values = functional.interpolate(x.float(), size=(THUMB, THUMB), mode="area")
    if values.shape[1] == 4:  # on grey, where it is see-through
        alpha = values[:, 3:].add(1).div(2).clamp(0, 1)
        values = values[:, :3] * alpha + 0.6 * (1 - alpha)
    elif values.shape[1] != 3:
        values = values.mean(1, keepdim=True).expand(-1, 3, -1, -1)
    levels = values.add(1).mul(127.5).clamp(0, 255).round().byte()  # (n, 3, THUMB, THUMB)
    rows = -(-len(levels) // THUMB_COLUMNS)
    sheet = torch.full((rows * THUMB_COLUMNS, 3, THUMB, THUMB), 128, dtype=torch.uint8)
    sheet[: len(levels)] = levels.cpu()
    grid = sheet.view(rows, THUMB_COLUMNS, 3, THUMB, THUMB).permute(0, 3, 1, 4, 2)
    picture = Image.fromarray(grid.reshape(rows * THUMB, THUMB_COLUMNS * THUMB, 3).numpy())
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=85)
    return np.frombuffer(buffer.getvalue(), np.uint8)


class MapScene:
    """Real and made items on the plane in which real ones differ most, with what the family can say of them.

    Args:
        job: What is trained, on a Grid.
        seconds: That one frame may take; they decide how many items are made.
    """

    def __init__(self, job: TrainingJob, seconds: float) -> None:
        spec = job.data.spec
        assert isinstance(spec, Grid)
        self.job, self.spec, self.seconds = job, spec, seconds
        count = min(REAL, max(2, job.data.part_size("train")))
        batch = job.data.batch(0, "film", 0, count, count)
        self.real, self.labels = batch.x.float(), batch.labels if spec.classes else None
        self.plane = Plane.of(pooled(self.real))
        self.num_made = 0
        self.is_bounded = spec.bounded

    def fixed(self) -> tuple[Arrays, dict[str, object]]:
        arrays: Arrays = {"real": _float32(self.plane.places(pooled(self.real)))}
        if self.is_bounded:
            arrays["real_sheet"] = thumbnails(self.real)
        facts = {
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
        generated, labels = self._make(family, self.num_made or LEAST_MADE)
        if not self.num_made:  # how long the first few took says how many there is time for
            affordable = LEAST_MADE * self.seconds / max(time.monotonic() - begun, 1e-6)
            self.num_made = int(max(LEAST_MADE, min(REAL, affordable // LEAST_MADE * LEAST_MADE)))
            generated, labels = self._make(family, self.num_made)
        arrays: Arrays = {"made": _float32(self.plane.places(pooled(generated)))}
        facts: dict[str, object] = {"made": len(generated)}
        if self.is_bounded:
            arrays["made_sheet"] = thumbnails(generated)
        if isinstance(family, Discriminates):
            arrays |= self._beliefs(family, generated, labels)
        if isinstance(family, Codec) and self.is_bounded:
            restored = family.decode(family.encode(self.real[:PAIRS].to(family.device))).float().cpu()
            arrays["restored_sheet"] = thumbnails(restored)
            facts["error"] = float((restored - self.real[:PAIRS]).square().mean())
        if isinstance(family, Denoises):
            errors = family.denoising_errors(self.real[:NOISED], self._labels(family, NOISED), LEVELS)
            arrays |= {"sigmas": _float32(errors[0]), "errors": _float32(errors[1])}
        return arrays, facts

    def _labels(self, family: Family, count: int) -> Tensor | None:
        return None if self.labels is None else self.labels[:count].to(family.device)

    def _make(self, family: Family, count: int) -> tuple[Tensor, Tensor | None]:
        """(count, *shape) items from the same start each time, and their labels (count,)."""
        sampling = sampling_config(type(family).Sampling, self.job.data.modality.traits)
        labels = None if self.labels is None else self.labels.repeat(-(-count // len(self.labels)))[:count]
        request = SampleRequest(count, labels, sampling=sampling)
        *_, generated = family.sample(request, self.job.plan.seed)
        return generated.float().cpu(), labels

    def _beliefs(self, family: Discriminates, generated: Tensor, labels: Tensor | None) -> Arrays:
        """The discriminator's belief in real and generated items and on the plane, and its gradient at generated items."""
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
            "real_belief": _float32(family.discriminator_logits(self.real.to(device), real_labels)),
            "made_belief": _float32(family.discriminator_logits(generated.to(device), device_labels)),
            "field": _float32(family.discriminator_logits(on_plane.to(device), None)),
            "push": _float32(self.plane.along(pooled(gradient))),
        }


class TextScene:
    """Probability of each token of one held-out text under the network, and its attention weights.

    Args:
        job: What is trained, on Tokens.
        spec: Of the data.
    """

    def __init__(self, job: TrainingJob, spec: Tokens) -> None:
        part = "validation" if job.data.part_size("validation") else "train"
        source = next(iter(job.data.scoring(part)))
        first_row = source.rows(0, 1)
        length = min(TEXT_TOKENS, first_row.x.shape[1] - 1)
        if first_row.mask is not None:
            length = max(1, min(length, int((first_row.mask[0] > 0).nonzero().max()) + 1))
        self.batch = Batch(first_row.x[:, : length + 1], first_row.labels).to(job.world.device)
        self.job, self.spec = job, spec

    def fixed(self) -> tuple[Arrays, dict[str, object]]:
        ids = self.batch.x[0].cpu().numpy()
        modality = self.job.data.modality
        texts = [_token_text(modality, self.spec, int(token)) for token in ids]
        return {"ids": ids.astype(np.int32)}, {"scene": "text", "tokens": texts, "vocabulary": self.spec.vocab}

    def frame(self, family: Family) -> tuple[Arrays, dict[str, object]]:
        assert isinstance(family, Attends)
        bits = -family.network_log_probs(self.batch)[0] / math.log(2)  # (L,)
        weights = family.attention_weights(self.batch)[:, :, 0]  # (layers, heads, L, L)
        skipped = weights.shape[2] - (self.batch.x.shape[1] - 1)  # a label in front
        heads = weights.flatten(0, 1)[:MAX_HEADS, skipped:, skipped:]
        levels = heads.mul(255).round().clamp(0, 255).byte().cpu().numpy()
        facts: dict[str, object] = {"heads": weights.shape[1], "bits": float(bits.mean())}
        return {"token_bits": _float32(bits), "attention": levels}, facts


def _token_text(modality: object, spec: Tokens, token: int) -> str:
    if token in spec.special.values():
        return ""
    tokenizer = getattr(modality, "tokenizer", None)
    return str(tokenizer.decode([token])) if tokenizer is not None else str(token)


def _float32(x: Tensor) -> NDArray[np.float32]:
    values: NDArray[np.float32] = x.detach().float().cpu().numpy()
    return values


def facts_of(values: Mapping[str, object], step: int, seconds: float) -> dict[str, object]:
    """The facts of a frame with when it was made."""
    return {**values, "step": step, "seconds": round(seconds, 3)}
