"""Insight into a model on its own data: from noise to samples, and the discriminator's belief."""

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
from anew.studio_app.play_work import Json, PlayWork, Wish, can_be_explained
from anew.studio_app.players import Player
from anew.studio_app.shown_items import data_address

LEVEL_ITEMS = 3  # samples whose noise levels are shown: a row each
# Items that the error of each level is measured on: the curve is smooth, and takes a second or two; chosen.
LEVEL_ERRORS = 64
MAX_LEVELS = 24  # that are shown of it: a row has room for no more
JUDGED = 48  # real items, and as many generated ones: a picture of each is shown; chosen
MAX_LABELS = 6  # that the same start is shown with: a row has room for no more
# Items, arrows a side, deviations, noise levels: enough to show a shape, the middle 99% of a normal; chosen.
FIELD_ITEMS, FIELD_SIDE, FIELD_REACH, FIELD_LEVELS = 256, 11, 2.5, 8
PICTURE_SIDE = 256  # pixels of a picture on the page, which is not shown larger
MAX_KEPT_BYTES = 64 * 2**20  # of items of the data that stay in memory, for each request of another size; chosen


def pictures_of(model: Model, x: Tensor) -> list[str]:
    """Items or latents (n, *shape) as data addresses of pictures: sounds as spectrograms, clips as their middle frames."""
    spec, modality = model.item_spec, model.item_modality
    assert isinstance(spec, Grid)
    values = x.cpu() if model.codec is None else model.codec.decode(x.to(model.device)).cpu()
    values = values.clamp(-1, 1) if spec.bounded else values
    is_image = modality.name == "image"  # others would be decoded for seconds, to be drawn again
    pictures = modality.pictures(modality.decode(values)) if is_image else _drawn(modality.drawn(values))
    return [data_address("image/png", png(shrink(picture, PICTURE_SIDE), 64)) for picture in pictures]


def _drawn(x: Tensor) -> list[NDArray[np.uint8]]:
    """(n, C, *axes) in [-1, 1] as pictures."""
    levels = _middle(x).movedim(1, -1).add(1).mul(127.5).round().byte()  # (n, H, W, C)
    return [picture[..., 0] if picture.shape[-1] == 1 else picture for picture in levels.numpy()]


def _middle(x: Tensor) -> Tensor:
    """(n, C, H, W): of clips (n, C, T, H, W) the middle frames."""
    return x[:, :, x.shape[2] // 2] if x.dim() == 5 else x


class NoiseWork(PlayWork):
    """Noise levels of samples: what the model was given at each, and what it took that for.

    Args:
        player: Whose model.
        channel: Where events go.
        wish: What is wanted.
        each_label: Whether one start is shown with each of the first labels, instead of several starts.
    """

    def __init__(self, player: Player, channel: Channel[object], wish: Wish, each_label: bool = False) -> None:
        super().__init__(player, channel)
        self.wish, self.each_label = wish, each_label

    def events(self, model: Model) -> Iterator[Json]:
        family, wish = model.family, self.wish
        if can_be_explained(model) != "noise" or not isinstance(family, Denoises):
            raise ConfigError("this model does not turn noise into samples step by step")
        request = self._request(model)
        levels = list(family.noise_levels(request, wish.seed))
        names = model.label_names(request.labels, request.n)
        yield {"labels": names, "levels": len(levels)}
        places = sorted({*np.linspace(0, len(levels) - 1, min(MAX_LEVELS, len(levels))).round().astype(int).tolist()})
        for place in places:
            level = levels[place]
            # Brought to the range of items: otherwise all of it would be black and white.
            noisy = level.noisy / max(1.0, level.sigma)
            yield {
                "step": place + 1,
                "sigma": level.sigma,
                "noisy": pictures_of(model, noisy),
                "estimate": pictures_of(model, level.estimate),
            }

    def _request(self, model: Model) -> SampleRequest:
        sampling = model.sampling_config(self.wish.settings)
        if not self.each_label:
            return model.request(LEVEL_ITEMS, self.wish.seed, label=self.wish.label, sampling=sampling)
        if not model.spec.classes:
            raise ConfigError("this model has no labels")
        count = min(MAX_LABELS, model.spec.classes)
        keys = ((self.wish.seed, 0),) * count
        return SampleRequest(count, torch.arange(count), sampling=sampling, keys=keys)


class FieldWork(PlayWork):
    """The vector field that a denoiser gives on a plane at each noise level, projected onto the plane."""

    def events(self, model: Model) -> Iterator[Json]:
        family = model.family
        if can_be_explained(model) != "noise" or not isinstance(family, Denoises):
            raise ConfigError("this model does not remove noise")
        x, labels = data_values(self.player, model, FIELD_ITEMS)
        plane = Plane.of(x)
        ticks = torch.linspace(-FIELD_REACH, FIELD_REACH, FIELD_SIDE)
        places = torch.cartesian_prod(ticks, ticks)  # (n, 2)
        sigmas, errors = family.denoising_errors(
            x[:LEVEL_ERRORS], None if labels is None else labels[:LEVEL_ERRORS], FIELD_LEVELS
        )
        on_plane = plane.points(places)
        yield {
            "share": plane.share,
            "reach": FIELD_REACH,
            "levels": len(sigmas),
            "points": plane.places(x).tolist(),
            "starts": places.tolist(),
        }
        for sigma, error in zip(sigmas.tolist(), errors.tolist(), strict=True):
            ends = plane.places(family.denoise_items(on_plane, sigma).cpu())
            yield {"sigma": sigma, "off_by": error, "ends": ends.tolist()}


def data_values(player: Player, model: Model, n: int, part: str = "train") -> tuple[Tensor, Tensor | None]:
    """(n, *shape) items of the data as the model sees them, and (n,) their classes where it has any; read once for a player."""
    note = f"{part} {n}"
    if note not in player.notes:
        values = _read_values(model, n, part)
        if values[0].nbytes > MAX_KEPT_BYTES:
            return values
        player.notes[note] = values
    return cast(tuple[Tensor, Tensor | None], player.notes[note])


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
    """The discriminator's belief in real and generated items, and the directions in which generated ones would fool it better."""

    def __init__(self, player: Player, channel: Channel[object], wish: Wish) -> None:
        super().__init__(player, channel)
        self.wish = wish

    def events(self, model: Model) -> Iterator[Json]:
        family, wish = model.family, self.wish
        if can_be_explained(model) != "discriminator" or not isinstance(family, Discriminates):
            raise ConfigError("this model has no discriminator")
        real, real_labels = data_values(self.player, model, JUDGED)
        request = model.request(len(real), wish.seed, label=wish.label, sampling=model.sampling_config(wish.settings))
        generated = model.generate(request, wish.seed)
        device = model.device
        real_logits = family.discriminator_logits(
            real.to(device), None if real_labels is None else real_labels.to(device)
        ).cpu()
        labels = None if request.labels is None else request.labels.to(device)
        generated_logits = family.discriminator_logits(generated.to(device), labels).cpu()
        told_apart = (real_logits[:, None] > generated_logits[None]).double().mean()
        direction = _middle(family.input_gradient(generated.to(device), labels).cpu())
        if model.item_modality.name == "audio":
            direction = direction.flip(-2)  # low tones below, as in the picture
        yield {
            "told_apart": float(told_apart),
            "real": _judged(pictures_of(model, real), real_logits),
            "generated": _judged(pictures_of(model, generated), generated_logits),
            "directions": [_direction(picture) for picture in direction.numpy()],
        }


def _judged(pictures: list[str], belief: Tensor) -> list[Json]:
    return [{"src": src, "belief": float(value)} for src, value in zip(pictures, belief, strict=True)]


def _direction(gradient: NDArray[np.float32]) -> str:
    """A gradient (C, H, W) as a picture: blue where it should be brighter, red where darker, white where it does not matter."""
    values = gradient.mean(0)
    strength = np.clip(np.abs(values) / max(float(np.quantile(np.abs(values), 0.99)), 1e-12), 0, 1)[..., None]
    colour = np.where(values[..., None] > 0, np.array([[[40, 70, 220]]]), np.array([[[200, 40, 30]]]))
    mixed = 255 * (1 - strength) + colour * strength
    return data_address("image/png", png(mixed.round().astype(np.uint8), 96))
