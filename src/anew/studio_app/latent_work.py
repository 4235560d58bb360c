"""Views of a VAE's latent space on the run's own data: a map, its principal directions, and why samples are soft."""

from __future__ import annotations

from collections.abc import Iterator

import torch

from anew.core.specs import Codec
from anew.errors import ConfigError
from anew.functional.plane import Plane, principal_components
from anew.sampling.model import Model
from anew.server.work import Channel
from anew.studio_app.insight_work import data_values, images_of
from anew.studio_app.loaded_models import Player
from anew.studio_app.sample_work import Json, PlayWork, SampleOptions, insight_view

NUM_MAPPED = 300  # items on the map of latents: enough to see clusters, few enough to point at one; chosen
NUM_RECONSTRUCTED = 12  # held-out items next to the map: a row or two of the page; chosen
NUM_REAL = 64  # items whose sharpness the samples are compared with; chosen
MAP_REACH = 2.5  # standard deviations from the centre to the edge of the map: the middle 99% of a normal
# Principal directions, and standard deviations at which each is shown, up to the edge of the map; chosen.
NUM_DIRECTIONS, STRIP_DEVIATIONS = 6, (-2.5, -1.5, -0.75, 0.0, 0.75, 1.5, 2.5)
# Samples, and the temperatures at which each is shown, up to half as much again as the model's; chosen.
SOFT_ITEMS, TEMPERATURES = 6, (0.0, 0.2, 0.4, 0.6, 0.8, 1.0, 1.25, 1.5)


class MapWork(PlayWork):
    """A map of the data in latent space, in its two principal directions, and held-out items with their reconstructions."""

    def events(self, model: Model) -> Iterator[Json]:
        codec, x = self._codec(model), data_values(self.player, model, NUM_MAPPED)[0]
        latents = codec.encode(x.to(model.device)).cpu()  # (n, *latent)
        plane = self.player.cache[f"plane {self.step}"] = Plane.of(latents)
        places = plane.places(latents)  # (n, 2)
        test, _ = data_values(self.player, model, NUM_RECONSTRUCTED, "test")
        reconstructed = codec.decode(codec.encode(test.to(model.device)))
        yield {
            "share": plane.share,
            "reach": MAP_REACH,
            "points": [
                {"x": float(place[0]), "y": float(place[1]), "src": src}
                for place, src in zip(places, images_of(model, x), strict=True)
            ],
            "directions": self._directions(codec, latents, model),
            "softness": hasattr(model.sampling_config(), "temperature"),
            "pairs": [list(pair) for pair in zip(images_of(model, test), images_of(model, reconstructed), strict=True)],
        }

    @staticmethod
    def _directions(codec: Codec, latents: torch.Tensor, model: Model) -> list[Json]:
        """Items along each principal direction, through the centre."""
        rows = latents.flatten(1)
        centre = rows.mean(0)
        directions, deviations, _ = principal_components(rows - centre, NUM_DIRECTIONS)
        total = float((rows - centre).square().sum()) / max(1, len(rows) - 1)
        strips: list[Json] = []
        for direction, deviation in zip(directions, deviations, strict=True):
            z = centre + torch.tensor(STRIP_DEVIATIONS)[:, None] * deviation * direction  # (s, D)
            decoded = codec.decode(z.view(len(STRIP_DEVIATIONS), *latents.shape[1:]).to(model.device))
            strips.append({"share": float(deviation) ** 2 / max(total, 1e-12), "items": images_of(model, decoded)})
        return strips

    @staticmethod
    def _codec(model: Model) -> Codec:
        if insight_view(model) != "map" or not isinstance(model.family, Codec):
            raise ConfigError("this model has no latents to show on a map")
        return model.family


class PlaceWork(PlayWork):
    """The decoded items at positions on the map of latents."""

    def __init__(self, player: Player, channel: Channel[object], places: list[tuple[float, float]]) -> None:
        super().__init__(player, channel)
        self.places = places

    def events(self, model: Model) -> Iterator[Json]:
        codec = MapWork._codec(model)
        key = f"plane {self.step}"
        plane = self.player.cache.get(key)
        if not isinstance(plane, Plane):
            plane = Plane.of(codec.encode(data_values(self.player, model, NUM_MAPPED)[0].to(model.device)).cpu())
            self.player.cache[key] = plane
        z = plane.points(torch.tensor(self.places))
        yield {"items": images_of(model, codec.decode(z.to(model.device)))}


class SoftnessWork(PlayWork):
    """The same samples at several temperatures of the detail latents, which shows why they are soft, or fall apart."""

    def __init__(self, player: Player, channel: Channel[object], options: SampleOptions) -> None:
        super().__init__(player, channel)
        self.options = options

    def events(self, model: Model) -> Iterator[Json]:
        options = self.options
        usual = model.sampling_config(options.settings)
        if not hasattr(usual, "temperature") or insight_view(model) != "map":
            raise ConfigError("this model has no temperature of details")
        for temperature in TEMPERATURES:
            sampling = model.sampling_config({**options.settings, "temperature": str(temperature)})
            request = model.request(SOFT_ITEMS, options.seed, label=options.label, sampling=sampling)
            generated = model.generate(request, options.seed)
            # Neighbouring pixels of a soft image differ little.
            detail = sum(float(generated.diff(dim=axis).abs().mean()) for axis in (-2, -1))
            yield {"temperature": temperature, "items": images_of(model, generated), "detail": detail}
        real, _ = data_values(self.player, model, NUM_REAL)
        yield {"real_detail": sum(float(real.diff(dim=axis).abs().mean()) for axis in (-2, -1))}
