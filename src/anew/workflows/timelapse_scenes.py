"""Scenes of a timelapse: items on a fixed map, or a held-out text, or an item as a row of codes, that the network reads in every frame.

Legend for shapes: n items, L tokens, D values of a pooled item.
"""

from __future__ import annotations

import io
import math
import time
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from torch.nn import functional

from anew.core.specs import Batch, Codec, Grid, SampleRequest, Tokens
from anew.data.latent_dataset import LatentModality
from anew.data.modalities.text import Text
from anew.data.modality import Modality
from anew.evaluation.reporting.sheet import png, shrink
from anew.families.base import Family
from anew.families.explaining import Attends, Denoises, Discriminates
from anew.functional.plane import Plane
from anew.sampling.request_checks import sampling_config
from anew.workflows.job import TrainingJob
from anew.workflows.latents import fitted_latents

POOLED = 32  # values along an axis that the map is fitted on: enough to show whole items; bounds the time
# Pixels along a side of a thumbnail, and thumbnails in a row: a frame of 256 items stays small.
THUMB_SIDE, THUMB_COLUMNS = 16, 16
DECODED_AT_ONCE = 16  # latents whose items are made in one call of the codec: bounds memory beside a training
Arrays = dict[str, NDArray[np.generic]]
# Tokens of the text that each frame reads: all are shown, and attention for each pair of them; chosen.
TEXT_TOKENS = 48
MAX_HEADS = 24  # attention heads that are drawn: bounds the size of a frame; chosen
PICTURE_SIDE = 128  # pixels of the item whose codes are read: enough to see it; bounds the size of a scene
NUM_CODE_SAMPLES = 4  # items that each frame makes, if there is time: each takes a pass for every code
MAX_REAL = 256  # real items on the map, and most generated ones: enough to show a shape; each frame generates them anew
MIN_GENERATED = 16  # least generated items: fewer show no shape; their time says how many more later frames can have
NUM_PAIRS = 32  # real items that are shown next to their reconstructions by a codec; chosen
NOISE_LEVELS = 8  # noise levels at which the error is measured: as many as samples pass through
NUM_NOISED = 8  # items that the error is measured on; 32 made the first frame too slow (docs/log.md, 2026-11-26)


def pooled(x: Tensor) -> Tensor:
    """Average x (n, C, *axes) down to at most POOLED values along each axis."""
    *frames, height, width = (min(POOLED, side) for side in x.shape[2:])
    if frames:
        return functional.adaptive_avg_pool3d(x, (frames[0], height, width))
    return functional.adaptive_avg_pool2d(x, (height, width))


def unpooled(x: Tensor, shape: tuple[int, ...]) -> Tensor:
    """Enlarge x (n, C, *axes) to items of this shape, by repeating values."""
    return x if tuple(x.shape[1:]) == shape else functional.interpolate(x, size=shape[1:], mode="nearest")


def thumbnails(x: Tensor) -> NDArray[np.uint8]:
    """The bytes of a JPEG with all items x (n, C, *axes), in rows of THUMB_COLUMNS; clips show their middle frame."""
    if x.dim() == 5:
        x = x[:, :, x.shape[2] // 2]
    values = functional.interpolate(x.float(), size=(THUMB_SIDE, THUMB_SIDE), mode="area")
    if values.shape[1] == 4:  # transparent pixels become light grey
        alpha = values[:, 3:].add(1).div(2).clamp(0, 1)
        values = values[:, :3] * alpha + 0.6 * (1 - alpha)
    elif values.shape[1] != 3:
        values = values.mean(1, keepdim=True).expand(-1, 3, -1, -1)
    levels = values.add(1).mul(127.5).clamp(0, 255).round().byte()  # (n, 3, THUMB_SIDE, THUMB_SIDE)
    rows = -(-len(levels) // THUMB_COLUMNS)
    sheet = torch.full((rows * THUMB_COLUMNS, 3, THUMB_SIDE, THUMB_SIDE), 128, dtype=torch.uint8)
    sheet[: len(levels)] = levels.cpu()
    grid = sheet.view(rows, THUMB_COLUMNS, 3, THUMB_SIDE, THUMB_SIDE).permute(0, 3, 1, 4, 2)
    picture = Image.fromarray(grid.reshape(rows * THUMB_SIDE, THUMB_COLUMNS * THUMB_SIDE, 3).numpy())
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=85)
    return np.frombuffer(buffer.getvalue(), np.uint8)


def decoded(z: Tensor, modality: LatentModality, seconds: float) -> Tensor:
    """Decode latents z (m, *latent) into items (n, *shape): the first ones, as many as there is time for, one chunk at least."""
    begin, parts = time.monotonic(), []
    for chunk in torch.split(z, DECODED_AT_ONCE):
        parts.append(modality.decode_latents(chunk).float())
        if time.monotonic() - begin > seconds:
            break
    return torch.cat(parts)


def float32(x: Tensor) -> NDArray[np.float32]:
    values: NDArray[np.float32] = x.detach().float().cpu().numpy()
    return values


def held_out_row(job: TrainingJob) -> Batch:
    """The first row of the validation part, or of the train part if there is no validation part."""
    part = "validation" if job.data.part_size("validation") else "train"
    return next(iter(job.data.scoring(part))).rows(0, 1)


class TextScene:
    """Information content of each token of one held-out text under the network, and the attention weights.

    Args:
        job: The training, on Tokens.
        spec: Spec of the data.
    """

    def __init__(self, job: TrainingJob, spec: Tokens) -> None:
        first_row = held_out_row(job)
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
        return {"token_bits": float32(bits), "attention": levels}, facts


class CodeScene:
    """One held-out item as a row of codes: bits of each code under the network, and samples with the same seed each time.

    Args:
        job: The training, on codes of items.
        modality: The modality with the codec.
        seconds: Seconds that one frame may take; samples that take longer are not made again.
    """

    def __init__(self, job: TrainingJob, modality: LatentModality, seconds: float) -> None:
        self.job, self.modality, self.seconds = job, modality, seconds
        row = held_out_row(job)
        self.batch = Batch(row.x, row.labels).to(job.world.device)
        self.labels = row.labels
        self.makes_items = True

    def fixed(self) -> tuple[Arrays, dict[str, object]]:
        spec = self.job.data.spec
        assert isinstance(spec, Tokens)
        codes = self.batch.x[:, 1:]  # (1, L) without the token in front
        arrays: Arrays = {"ids": codes[0].cpu().numpy().astype(np.int32)}
        picture = self.modality.picture(self.modality.decode(codes.cpu())[0])
        if picture is not None:
            arrays["picture"] = np.frombuffer(png(shrink(picture, PICTURE_SIDE)), np.uint8)
        facts: dict[str, object] = {"scene": "codes", "shape": list(spec.shape), "vocabulary": spec.vocab}
        return arrays, facts | {"columns": THUMB_COLUMNS, "thumb": THUMB_SIDE}

    def frame(self, family: Family) -> tuple[Arrays, dict[str, object]]:
        assert isinstance(family, Attends)
        bits = -family.network_log_probs(self.batch)[0] / math.log(2)  # (L,)
        arrays: Arrays = {"token_bits": float32(bits)}
        items = self._make(family) if self.makes_items else None
        if items is not None:
            arrays["generated_sheet"] = thumbnails(self.modality.base.draw_grids(items))
        return arrays, {"bits": float(bits.mean()), "generated": 0 if items is None else len(items)}

    def _make(self, family: Family) -> torch.Tensor:
        """NUM_CODE_SAMPLES samples (NUM_CODE_SAMPLES, *shape). If this takes too long, later frames have none."""
        begin = time.monotonic()
        sampling = sampling_config(type(family).Sampling, self.modality.traits)
        labels = None if self.labels is None else self.labels.repeat(NUM_CODE_SAMPLES)
        *_, codes = family.sample(SampleRequest(NUM_CODE_SAMPLES, labels, sampling=sampling), self.job.plan.seed)
        items = decoded(codes.cpu(), self.modality, math.inf)
        self.makes_items = time.monotonic() - begin <= self.seconds
        return items


def _token_text(modality: Modality, spec: Tokens, token: int) -> str:
    if token in spec.special.values():
        return ""
    return modality.tokenizer.decode([token]) if isinstance(modality, Text) else str(token)


# Draws the real items that are shown; another word would show others beside the frames of earlier runs.
REAL_ROWS = "film"
# Points along a side of the discriminator's field, and its reach in standard deviations: the middle 99% of a normal.
FIELD_SIDE, FIELD_REACH = 16, 2.5


class Scene(Protocol):
    """The constant and the changing part of a timelapse."""

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
        count = min(MAX_REAL, max(2, job.data.part_size("train")))
        batch = job.data.batch(0, REAL_ROWS, 0, count, count)
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
            "thumb": THUMB_SIDE,
            "field_reach": FIELD_REACH,
            "field_side": FIELD_SIDE,
        }
        return arrays, facts

    def frame(self, family: Family) -> tuple[Arrays, dict[str, object]]:
        begin = time.monotonic()
        with fitted_latents(family, [Batch(self.real, self.labels).to(family.device)]):
            generated, labels = self._make(family, self.num_generated or MIN_GENERATED)
        pictures = self._visible_part(generated)
        if not self.num_generated:  # how long the first few took says how many the next frames have time for
            affordable = MIN_GENERATED * self.seconds / max(time.monotonic() - begin, 1e-6)
            self.num_generated = int(max(MIN_GENERATED, min(MAX_REAL, affordable // MIN_GENERATED * MIN_GENERATED)))
        arrays: Arrays = {"generated": float32(self.plane.places(pooled(generated)))}
        facts: dict[str, object] = {"generated": len(generated), "shown": 0 if pictures is None else len(pictures)}
        if pictures is not None:
            arrays["generated_sheet"] = thumbnails(pictures)
        if isinstance(family, Discriminates):
            arrays |= self._beliefs(family, generated, labels)
        if isinstance(family, Codec) and self.is_bounded:
            restored = family.decode(family.encode(self.real[:NUM_PAIRS].to(family.device))).float().cpu()
            arrays["restored_sheet"] = thumbnails(self.item_modality.draw_grids(restored))
            facts["error"] = float((restored - self.real[:NUM_PAIRS]).square().mean())
        if isinstance(family, Denoises):
            errors = family.denoising_errors(self.real[:NUM_NOISED], self._labels(family, NUM_NOISED), NOISE_LEVELS)
            arrays |= {"sigmas": float32(errors[0]), "errors": float32(errors[1])}
        return arrays, facts

    def _visible_part(self, x: Tensor) -> Tensor | None:
        """Thumbnails of items or latents x (n, *shape), perhaps only of the first ones; None if they cannot be shown."""
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
