"""How a model works, shown on its own data: from noise to samples, the critic's belief, the map of latents."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from anew.core.specs import Codec, Grid
from anew.data.dataset import Dataset
from anew.errors import ConfigError
from anew.evaluation.reporting.sheet import png, shrink
from anew.families.explaining import Denoises, Discriminates
from anew.sampling.latents import item_values
from anew.sampling.model import Model
from anew.server.work import Channel
from anew.studio_app.play_work import Json, PlayWork, Wish, can_be_explained
from anew.studio_app.players import Player
from anew.studio_app.shown_items import data_address

LEVEL_ITEMS = 3  # samples of a film
MAX_LEVELS = 24  # that are shown of it
JUDGED = 48  # real items, and as many made ones
MAPPED = 300  # items of the map of latents
MAP_REACH = 2.5  # deviations from the middle to the edge of the map
PICTURE_SIDE = 256


def pictures_of(model: Model, x: Tensor) -> list[str]:
    """Items (n, *shape) as data addresses of pictures."""
    spec = model.item_spec
    assert isinstance(spec, Grid)
    values = x.clamp(-1, 1) if spec.bounded else x
    pictures = model.item_modality.pictures(model.modality.decode(values.cpu()))
    return [data_address("image/png", png(shrink(picture, PICTURE_SIDE), 64)) for picture in pictures]


class FilmWork(PlayWork):
    """Noise levels of samples: what the model was given at each, and what it took that for."""

    def __init__(self, player: Player, channel: Channel[object], wish: Wish) -> None:
        super().__init__(player, channel)
        self.wish = wish

    def events(self, model: Model) -> Iterator[Json]:
        family, wish = model.family, self.wish
        if can_be_explained(model) != "noise" or not isinstance(family, Denoises):
            raise ConfigError("this model does not go from noise to samples step by step")
        request = model.request(LEVEL_ITEMS, wish.seed, label=wish.label, sampling=model.sampling_config(wish.settings))
        levels = list(family.noise_levels(request, wish.seed))
        names = model.label_names(request.labels, LEVEL_ITEMS)
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


def training_values(model: Model, n: int, part: str = "train") -> tuple[Tensor, Tensor | None]:
    """(n, *shape) items of the data as the model sees them, and (n,) their classes where it has any."""
    with closing(Dataset.reopen(model.record.data.model_dump(), model.folder.path, None)) as data:
        items = data.items(part, n)
        names, numbers = data.item_labels(part, n)
    x = torch.cat([item_values(model, np.asarray(item)) for item in items])
    has_labels = model.spec.classes > 0 and len(numbers) == len(items)
    labels = None
    if has_labels:
        labels = torch.tensor([model.labels.index(names[int(number)]) for number in numbers])
    return x, labels


class CriticWork(PlayWork):
    """What the critic believes of real and of made items, and in which direction made ones would fool it."""

    def __init__(self, player: Player, channel: Channel[object], wish: Wish) -> None:
        super().__init__(player, channel)
        self.wish = wish

    def events(self, model: Model) -> Iterator[Json]:
        family, wish = model.family, self.wish
        if not isinstance(family, Discriminates):
            raise ConfigError("this model has no critic")
        real, real_labels = training_values(model, JUDGED)
        request = model.request(len(real), wish.seed, label=wish.label, sampling=model.sampling_config(wish.settings))
        made = model.generate(request, wish.seed)
        device = model.device
        real_logits = family.discriminator_logits(
            real.to(device), None if real_labels is None else real_labels.to(device)
        ).cpu()
        made_labels = None if request.labels is None else request.labels.to(device)
        made_logits = family.discriminator_logits(made.to(device), made_labels).cpu()
        told_apart = (real_logits[:, None] > made_logits[None]).double().mean()
        direction = family.input_gradient(made.to(device), made_labels).cpu()
        yield {
            "told_apart": float(told_apart),
            "real": _judged(pictures_of(model, real), real_logits),
            "made": _judged(pictures_of(model, made), made_logits),
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


class MapWork(PlayWork):
    """A map of data in latent space: its two strongest directions, and items beside what they are remembered as."""

    def events(self, model: Model) -> Iterator[Json]:
        codec, x = self._codec(model), training_values(model, MAPPED)[0]
        latents = codec.encode(x.to(model.device)).cpu()  # (n, *latent)
        plane = self.player.notes["plane"] = Plane.of(latents)
        places = plane.places(latents)  # (n, 2)
        test, _ = training_values(model, 12, "test")
        remembered = codec.decode(codec.encode(test.to(model.device)))
        yield {
            "share": plane.share,
            "reach": MAP_REACH,
            "points": [{"x": float(place[0]), "y": float(place[1]), "src": src}
                       for place, src in zip(places, pictures_of(model, x), strict=True)],
            "pairs": [list(pair) for pair in zip(pictures_of(model, test), pictures_of(model, remembered), strict=True)],
        }  # fmt: skip

    @staticmethod
    def _codec(model: Model) -> Codec:
        if can_be_explained(model) != "map" or not isinstance(model.family, Codec):
            raise ConfigError("this model has no space of latents that could be mapped")
        return model.family


@dataclass(frozen=True, slots=True)
class Plane:
    """The plane in which latents differ most.

    Attributes:
        centre: (*latent) their mean.
        directions: (2, *latent) orthonormal.
        spread: (2,) standard deviations along them.
        share: Of the variance that lies in the plane.
    """

    centre: Tensor
    directions: Tensor
    spread: Tensor
    share: float

    @classmethod
    def of(cls, latents: Tensor) -> Plane:
        """The plane of latents (n, *latent)."""
        rows = latents.flatten(1)
        centre = rows.mean(0)
        _, singular, components = torch.linalg.svd(rows - centre, full_matrices=False)
        directions = components[:2]
        # The sign of a direction is arbitrary: the largest entry is made positive, so that a map looks the same each time.
        signs = torch.sign(directions.gather(1, directions.abs().argmax(1, keepdim=True)))
        spread = (singular[:2] / max(1, len(rows) - 1) ** 0.5).clamp_min(1e-6)
        share = float(singular[:2].square().sum() / singular.square().sum().clamp_min(1e-12))
        shape = latents.shape[1:]
        return cls(centre.view(shape), (directions * signs).view(2, *shape), spread, share)

    def places(self, latents: Tensor) -> Tensor:
        """(n, 2) where latents (n, *latent) lie, in deviations from the centre."""
        return (latents - self.centre).flatten(1) @ self.directions.flatten(1).T / self.spread

    def latents(self, places: Tensor) -> Tensor:
        """(n, *latent) what lies at places (n, 2)."""
        offsets = (places * self.spread) @ self.directions.flatten(1)  # (n, D)
        return self.centre + offsets.view(len(places), *self.centre.shape)


class PlaceWork(PlayWork):
    """The items that places on the map of latents stand for."""

    def __init__(self, player: Player, channel: Channel[object], places: list[tuple[float, float]]) -> None:
        super().__init__(player, channel)
        self.places = places

    def events(self, model: Model) -> Iterator[Json]:
        codec = MapWork._codec(model)
        plane = self.player.notes.get("plane")
        if not isinstance(plane, Plane):
            plane = Plane.of(codec.encode(training_values(model, MAPPED)[0].to(model.device)).cpu())
            self.player.notes["plane"] = plane
        z = plane.latents(torch.tensor(self.places))
        yield {"items": pictures_of(model, codec.decode(z.to(model.device)))}
