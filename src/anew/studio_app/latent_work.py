"""A space of latents shown on its own data: its map, its strongest directions, and why samples are softer."""

from __future__ import annotations

from collections.abc import Iterator

import torch

from anew.core.specs import Codec
from anew.errors import ConfigError
from anew.functional.plane import Plane, principal_directions
from anew.sampling.model import Model
from anew.server.work import Channel
from anew.studio_app.insight_work import data_values, pictures_of
from anew.studio_app.play_work import Json, PlayWork, Wish, can_be_explained
from anew.studio_app.players import Player

MAPPED = 300  # items of the map of latents: enough to see clusters, few enough to point at one; chosen
MAP_REACH = 2.5  # deviations from the middle to the edge of the map: the middle 99% of a normal
# Strongest ones, and deviations that are shown of each, to where the map ends; chosen.
DIRECTIONS, STRIP = 6, (-2.5, -1.5, -0.75, 0.0, 0.75, 1.5, 2.5)
# Samples, and the temperatures that each is shown at: from none to half as much again as the model has; chosen.
SOFT_ITEMS, TEMPERATURES = 6, (0.0, 0.2, 0.4, 0.6, 0.8, 1.0, 1.25, 1.5)


class MapWork(PlayWork):
    """A map of data in latent space: its two strongest directions, and items next to what they are remembered as."""

    def events(self, model: Model) -> Iterator[Json]:
        codec, x = self._codec(model), data_values(self.player, model, MAPPED)[0]
        latents = codec.encode(x.to(model.device)).cpu()  # (n, *latent)
        plane = self.player.notes[f"plane {self.step}"] = Plane.of(latents)
        places = plane.places(latents)  # (n, 2)
        test, _ = data_values(self.player, model, 12, "test")
        remembered = codec.decode(codec.encode(test.to(model.device)))
        yield {
            "share": plane.share,
            "reach": MAP_REACH,
            "points": [
                {"x": float(place[0]), "y": float(place[1]), "src": src}
                for place, src in zip(places, pictures_of(model, x), strict=True)
            ],
            "directions": self._directions(codec, latents, model),
            "softness": hasattr(model.sampling_config(), "temperature"),
            "pairs": [
                list(pair) for pair in zip(pictures_of(model, test), pictures_of(model, remembered), strict=True)
            ],
        }

    @staticmethod
    def _directions(codec: Codec, latents: torch.Tensor, model: Model) -> list[Json]:
        """Items along each of the strongest directions, from the middle."""
        rows = latents.flatten(1)
        centre = rows.mean(0)
        directions, deviations, _ = principal_directions(rows - centre, DIRECTIONS)
        total = float((rows - centre).square().sum()) / max(1, len(rows) - 1)
        strips: list[Json] = []
        for direction, deviation in zip(directions, deviations, strict=True):
            z = centre + torch.tensor(STRIP)[:, None] * deviation * direction  # (s, D)
            decoded = codec.decode(z.view(len(STRIP), *latents.shape[1:]).to(model.device))
            strips.append({"share": float(deviation) ** 2 / max(total, 1e-12), "items": pictures_of(model, decoded)})
        return strips

    @staticmethod
    def _codec(model: Model) -> Codec:
        if can_be_explained(model) != "map" or not isinstance(model.family, Codec):
            raise ConfigError("this model has no latents that could be shown on a map")
        return model.family


class PlaceWork(PlayWork):
    """The items that places on the map of latents stand for."""

    def __init__(self, player: Player, channel: Channel[object], places: list[tuple[float, float]]) -> None:
        super().__init__(player, channel)
        self.places = places

    def events(self, model: Model) -> Iterator[Json]:
        codec = MapWork._codec(model)
        note = f"plane {self.step}"
        plane = self.player.notes.get(note)
        if not isinstance(plane, Plane):
            plane = Plane.of(codec.encode(data_values(self.player, model, MAPPED)[0].to(model.device)).cpu())
            self.player.notes[note] = plane
        z = plane.points(torch.tensor(self.places))
        yield {"items": pictures_of(model, codec.decode(z.to(model.device)))}


class SoftnessWork(PlayWork):
    """The same samples with less and more of the noise that latents of detail have: why they are soft, or broken."""

    def __init__(self, player: Player, channel: Channel[object], wish: Wish) -> None:
        super().__init__(player, channel)
        self.wish = wish

    def events(self, model: Model) -> Iterator[Json]:
        wish = self.wish
        usual = model.sampling_config(wish.settings)
        if not hasattr(usual, "temperature") or can_be_explained(model) != "map":
            raise ConfigError("this model has no noise in its details that could be turned down")
        for temperature in TEMPERATURES:
            sampling = model.sampling_config({**wish.settings, "temperature": str(temperature)})
            request = model.request(SOFT_ITEMS, wish.seed, label=wish.label, sampling=sampling)
            generated = model.generate(request, wish.seed)
            # Neighbouring pixels of a soft picture differ little.
            detail = sum(float(generated.diff(dim=axis).abs().mean()) for axis in (-2, -1))
            yield {"temperature": temperature, "items": pictures_of(model, generated), "detail": detail}
        real, _ = data_values(self.player, model, 64)
        yield {"real_detail": sum(float(real.diff(dim=axis).abs().mean()) for axis in (-2, -1))}
