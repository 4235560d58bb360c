"""Views of how diffusion models and GANs work, on the run's own data: denoising, and the discriminator's logits."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from typing import cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from anew.core.specs import Grid, SampleRequest
from anew.data.dataset import Dataset
from anew.errors import ConfigError
from anew.evaluation.reporting.sheet import png, shrink
from anew.families.explaining import Denoises, Discriminates
from anew.functional.plane import Plane
from anew.sampling.model import Model
from anew.server.work import Channel
from anew.studio_app.item_views import data_url
from anew.studio_app.loaded_models import Player
from anew.studio_app.sample_work import Json, PlayWork, SampleOptions, insight_view

LEVEL_ITEMS = 3  # samples that are shown at each noise level
# Items on which the error at each level is measured: enough for a smooth curve, in a second or two; chosen.
LEVEL_ERRORS = 64
MAX_LEVELS = 24  # noise levels that are shown: a row has room for no more
NUM_JUDGED = 48  # real items, and as many generated ones: an image of each is shown; chosen
MAX_LABELS = 6  # with which one starting point is shown: a row has room for no more
# Items; arrows per side; standard deviations from the centre, the middle 99% of a normal; noise levels; chosen.
FIELD_ITEMS, FIELD_SIDE, FIELD_REACH, FIELD_LEVELS = 256, 11, 2.5, 8
IMAGE_SIDE = 256  # pixels: the page shows these images no larger
MAX_CACHED_BYTES = 64 * 2**20  # of data items that stay in memory, for each number of items; chosen


def images_of(model: Model, x: Tensor) -> list[str]:
    """Items or latents (n, *shape) as data URLs of images: sounds as spectrograms, clips as their middle frames."""
    spec, modality = model.item_spec, model.item_modality
    assert isinstance(spec, Grid)
    values = x.cpu() if model.codec is None else model.codec.decode(x.to(model.device)).cpu()
    values = values.clamp(-1, 1) if spec.bounded else values
    is_image = modality.name == "image"  # decoding others would take seconds, and their grids are shown anyway
    images = modality.pictures(modality.decode(values)) if is_image else _grid_images(modality.draw_grids(values))
    return [data_url("image/png", png(shrink(image, IMAGE_SIDE), 64)) for image in images]


def _grid_images(x: Tensor) -> list[NDArray[np.uint8]]:
    """(n, C, *axes) in [-1, 1] as images (H, W) or (H, W, C)."""
    levels = _middle(x).movedim(1, -1).add(1).mul(127.5).round().byte()  # (n, H, W, C)
    return [image[..., 0] if image.shape[-1] == 1 else image for image in levels.numpy()]


def _middle(x: Tensor) -> Tensor:
    """(n, C, H, W), the middle frames of clips (n, C, T, H, W)."""
    return x[:, :, x.shape[2] // 2] if x.dim() == 5 else x


class NoiseWork(PlayWork):
    """Samples at each noise level: the noisy input of the model, and its estimate of the clean items.

    Args:
        channel: Receives events.
        each_label: Whether to show one starting point with each of the first labels, instead of several starting points.
    """

    def __init__(
        self, player: Player, channel: Channel[object], options: SampleOptions, each_label: bool = False
    ) -> None:
        super().__init__(player, channel)
        self.options, self.each_label = options, each_label

    def events(self, model: Model) -> Iterator[Json]:
        family, options = model.family, self.options
        if insight_view(model) != "noise" or not isinstance(family, Denoises):
            raise ConfigError("this model does not turn noise into samples step by step")
        request = self._request(model)
        levels = list(family.noise_levels(request, options.seed))
        names = model.label_names(request.labels, request.n)
        yield {"labels": names, "levels": len(levels)}
        shown_levels = sorted(
            {*np.linspace(0, len(levels) - 1, min(MAX_LEVELS, len(levels))).round().astype(int).tolist()}
        )
        for index in shown_levels:
            level = levels[index]
            # Scaled to the range of items: otherwise the image would be black and white.
            noisy = level.noisy / max(1.0, level.sigma)
            yield {
                "step": index + 1,
                "sigma": level.sigma,
                "noisy": images_of(model, noisy),
                "estimate": images_of(model, level.estimate),
            }

    def _request(self, model: Model) -> SampleRequest:
        sampling = model.sampling_config(self.options.settings)
        if not self.each_label:
            return model.request(LEVEL_ITEMS, self.options.seed, label=self.options.label, sampling=sampling)
        if not model.spec.classes:
            raise ConfigError("this model has no classes")
        count = min(MAX_LABELS, model.spec.classes)
        keys = ((self.options.seed, 0),) * count
        return SampleRequest(count, torch.arange(count), sampling=sampling, keys=keys)


class FieldWork(PlayWork):
    """The vector field of a denoiser at each noise level, on a plane through the data and projected onto it."""

    def events(self, model: Model) -> Iterator[Json]:
        family = model.family
        if insight_view(model) != "noise" or not isinstance(family, Denoises):
            raise ConfigError("this model does not remove noise")
        x, labels = data_values(self.player, model, FIELD_ITEMS)
        plane = Plane.of(x)
        ticks = torch.linspace(-FIELD_REACH, FIELD_REACH, FIELD_SIDE)
        starts = torch.cartesian_prod(ticks, ticks)  # (n, 2)
        sigmas, errors = family.denoising_errors(
            x[:LEVEL_ERRORS], None if labels is None else labels[:LEVEL_ERRORS], FIELD_LEVELS
        )
        on_plane = plane.points(starts)
        yield {
            "share": plane.share,
            "reach": FIELD_REACH,
            "levels": len(sigmas),
            "points": plane.places(x).tolist(),
            "starts": starts.tolist(),
        }
        for sigma, error in zip(sigmas.tolist(), errors.tolist(), strict=True):
            ends = plane.places(family.denoise_items(on_plane, sigma).cpu())
            yield {"sigma": sigma, "off_by": error, "ends": ends.tolist()}


def data_values(player: Player, model: Model, n: int, part: str = "train") -> tuple[Tensor, Tensor | None]:
    """(n, *shape) data items as the model sees them, and (n,) their classes if it has any; cached with the model."""
    key = f"{part} {n}"
    if key not in player.cache:
        values = _read_values(model, n, part)
        if values[0].nbytes > MAX_CACHED_BYTES:
            return values
        player.cache[key] = values
    return cast(tuple[Tensor, Tensor | None], player.cache[key])


def _read_values(model: Model, n: int, part: str) -> tuple[Tensor, Tensor | None]:
    with closing(Dataset.reopen(model.record.data, model.folder.path, None)) as data:
        rows = data.stored_rows(part, n)
        names, numbers = data.item_labels(part, n)
    assert isinstance(rows, np.ndarray), "running text has no pictures"
    x = model.modality.batch(rows, None, None).x.float()
    has_labels = model.spec.classes > 0 and len(numbers) == len(rows)
    labels = None
    if has_labels:
        labels = torch.tensor([model.labels.index(names[int(number)]) for number in numbers])
    return x, labels


class DiscriminatorWork(PlayWork):
    """The discriminator's logits of real and generated items, and the gradients by which generated ones would fool it better."""

    def __init__(self, player: Player, channel: Channel[object], options: SampleOptions) -> None:
        super().__init__(player, channel)
        self.options = options

    def events(self, model: Model) -> Iterator[Json]:
        family, options = model.family, self.options
        if insight_view(model) != "discriminator" or not isinstance(family, Discriminates):
            raise ConfigError("this model has no discriminator")
        real, real_labels = data_values(self.player, model, NUM_JUDGED)
        request = model.request(
            len(real), options.seed, label=options.label, sampling=model.sampling_config(options.settings)
        )
        generated = model.generate(request, options.seed)
        device = model.device
        real_logits = family.discriminator_logits(
            real.to(device), None if real_labels is None else real_labels.to(device)
        ).cpu()
        labels = None if request.labels is None else request.labels.to(device)
        generated_logits = family.discriminator_logits(generated.to(device), labels).cpu()
        differences = real_logits[:, None] - generated_logits[None]
        auc = (differences > 0).double().mean() + (differences == 0).double().mean() / 2  # ties tell nothing
        direction = _middle(family.input_gradient(generated.to(device), labels).cpu())
        if model.item_modality.name == "audio":
            direction = direction.flip(-2)  # low frequencies at the bottom, as in the spectrogram
        yield {
            "auc": float(auc),
            "real": _judged(images_of(model, real), real_logits),
            "generated": _judged(images_of(model, generated), generated_logits),
            "directions": [_direction(image) for image in direction.numpy()],
        }


def _judged(images: list[str], belief: Tensor) -> list[Json]:
    return [{"src": src, "belief": float(value)} for src, value in zip(images, belief, strict=True)]


def _direction(gradient: NDArray[np.float32]) -> str:
    """A gradient (C, H, W) as an image: blue where the item should be brighter, red where darker, white where it does not matter."""
    values = gradient.mean(0)
    strength = np.clip(np.abs(values) / max(float(np.quantile(np.abs(values), 0.99)), 1e-12), 0, 1)[..., None]
    colour = np.where(values[..., None] > 0, np.array([[[40, 70, 220]]]), np.array([[[200, 40, 30]]]))
    mixed = 255 * (1 - strength) + colour * strength
    return data_url("image/png", png(mixed.round().astype(np.uint8), 96))
