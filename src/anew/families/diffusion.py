"""Diffusion: a network learns to remove noise from data at every noise level, and samples form out of noise.

The network corrects a closed form. One pass over the data fits a mixture of Gaussians in principal components
(`anew.maths.mixture`); its posterior mean is the skip path of the denoiser (EDM's preconditioning, arXiv 2206.00364,
with a matrix in place of a number), the component is told to the network, and sampling starts from the mixture at a
noise level where the two distributions can hardly be told apart, instead of from pure noise.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, fields, replace
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from anew.config import knob
from anew.errors import ConfigError
from anew.families.family import Family, Group, Loss, Optim, Scale
from anew.maths.mixture import Mixture, fit
from anew.maths.paths import lognormal_levels, rho_levels
from anew.maths.solvers import SOLVERS, backwards
from anew.nets.dit import DiT
from anew.nets.precision import arithmetic
from anew.nets.unet import UNet
from anew.rng import Moment, generator
from anew.spec import Ask, Batch, Grid, Known

FIT_VALUES = 48_000_000  # most values that the closed form is fitted on: bounds its memory to 200 MB
FIT_EXAMPLES = 10_000
EXAMPLES_A_PARAMETER = 0.15  # MNIST at 60 s and 250 s on one core: width 48 and 64
LATENT_SECONDS = 60.0  # of training, from which on a codec and a denoiser of latents do better than one of grey pixels
ROWS = 128  # samples that go through the network at a time
PATH = 3  # times as many noise levels on a path that is to be walked back as a sample passes through


@dataclass(frozen=True, slots=True)
class DiffusionConfig:
    batch: int = knob(128, "examples a step", low=1)
    net: str = knob("unet", "U-Net for small grids, patch Transformer for large ones", choices=("unet", "dit"))
    width: int = knob(64, "channels (U-Net: at its largest size)", low=8, high=4096)
    mults: tuple[int, ...] = knob((1, 2), "U-Net: channels of each size, as multiples of width")
    depth: int = knob(1, "blocks (U-Net: a size and side)", low=1, high=64)
    patch: int = knob(2, "side of the patches that the network sees as one position", low=1, high=64)
    attention: bool = knob(False, "U-Net: attention at its smallest size")
    dropout: float = knob(0.0, "share of hidden values dropped", low=0.0, high=0.9)
    components: int = knob(128, "Gaussians in the closed form, without the one of all data", low=0, high=1024)
    rank: int = knob(64, "principal components in the closed form", low=1, high=1024)
    label_drop: float = knob(0.1, "share of examples whose component is hidden", low=0.0, high=1.0)
    level_mean: float = knob(-0.8, "mean of the log noise level in training, in deviations of the data")
    level_deviation: float = knob(1.2, "spread of the log noise level in training", low=0.05, high=5.0)
    level_low: float = knob(0.01, "smallest noise level, in deviations of the data", low=1e-4, high=0.5)
    level_high: float = knob(8.0, "noise level where samples start, in deviations of the data", low=0.5, high=200.0)
    rate: float = knob(0.02, "peak learning rate of matrices (Muon)", low=0.0, high=1.0)
    rate_rest: float = knob(0.002, "peak learning rate of the rest (AdamW)", low=0.0, high=1.0)
    decay: float = knob(0.6, "last share of the run in which the rate falls", low=0.0, high=1.0)
    average: float = knob(0.05, "relative width of the average of weights", low=0.0, high=0.25)
    weight_decay: float = knob(0.0, "decoupled weight decay of matrices", low=0.0, high=10.0)
    precision: str = knob("auto", "arithmetic of the network", choices=("auto", "fp32", "bf16"))


@dataclass(frozen=True, slots=True)
class DiffusionSampling:
    steps: int = knob(8, "noise levels a sample passes through", low=1, high=1000)
    solver: str = knob("multistep", "rule that moves from level to level", choices=tuple(SOLVERS))
    guidance: float = knob(1.0, "how much the component or label counts; 1 is the plain model", low=0.0, high=20.0)
    rho: float = knob(3.0, "crowding of noise levels towards clean", low=1.0, high=20.0)
    last: float = knob(0.03, "noise level of the last step, in deviations of the data", low=1e-4, high=0.5)


def _unet_sizes(dial: int, side: float) -> dict[str, Any]:
    """Width, mults and depth; `side` positions at the stem are halved down to 8 or fewer."""
    halvings = max(1, math.ceil(math.log2(side / 8))) if side >= 4 else 0
    widths = (32, 48, 64, 96, 128, 192, 256) if halvings < 2 else (24, 32, 48, 64, 96, 128, 192)
    width = widths[min(max(dial, 0), 6)]
    return {"net": "unet", "width": width, "mults": (1, *[2] * halvings), "depth": 1 if dial <= 3 else 2}


def _dit_sizes(dial: int, side: float) -> dict[str, Any]:
    width, depth = ((64, 4), (128, 4), (192, 6), (256, 8), (384, 8), (512, 12), (768, 12))[min(max(dial, 0), 6)]
    return {"net": "dit", "width": width, "depth": depth}


class Diffusion(Family):
    Config: ClassVar[type] = DiffusionConfig
    Sampling: ClassVar[type] = DiffusionSampling
    accepts: ClassVar[tuple[type, ...]] = (Grid,)
    why: ClassVar[str] = "continuous values on a grid: the best quality for the time"
    crosses: ClassVar[bool] = True

    spec: Grid
    config: DiffusionConfig
    mixture_centre: Tensor  # the parts of a Mixture, as buffers
    mixture_basis: Tensor
    mixture_means: Tensor
    mixture_shares: Tensor
    mixture_owners: Tensor

    def __init__(self, spec: Grid, config: DiffusionConfig) -> None:
        super().__init__(spec, config)
        if spec.axes != "CHW":
            raise ConfigError(f"diffusion takes grids with axes 'CHW', and this one has {spec.axes!r}")
        size = math.prod(spec.shape)
        rank, kinds = min(config.rank, size), config.components + 1
        self._register(
            Mixture(
                centre=torch.zeros(size),
                basis=torch.zeros(size, rank),
                colours=torch.eye(spec.shape[0]),
                rows=torch.eye(spec.shape[1]),
                columns=torch.eye(spec.shape[2]),
                rest=torch.full((size,), spec.std**2),
                means=torch.zeros(kinds, rank),
                axes=torch.zeros(kinds, rank, rank),
                variances=torch.zeros(kinds, rank),
                shares=torch.zeros(kinds),
                owners=torch.full((kinds,), -1),
            )
        )
        self.net = self._network(spec, config)

    @staticmethod
    def _network(spec: Grid, config: DiffusionConfig) -> nn.Module:
        channels, kinds = spec.shape[0], config.components + 1
        common: dict[str, Any] = {"kinds": kinds, "width": config.width, "depth": config.depth, "patch": config.patch}
        if config.net == "dit":
            heads = max(1, config.width // 64)
            if config.width % (4 * heads):
                raise ConfigError(f"width={config.width} does not fit the patch Transformer; give a multiple of 64")
            return DiT(2 * channels, channels, heads=heads, dropout=config.dropout, **common)
        more: dict[str, Any] = {"mults": config.mults, "dropout": config.dropout, "attention": config.attention}
        return UNet(2 * channels, channels, **common, **more)

    def _register(self, mixture: Mixture) -> None:
        for one in fields(mixture):
            self.register_buffer(f"mixture_{one.name}", getattr(mixture, one.name))

    @property
    def mixture(self) -> Mixture:
        return Mixture(**{one.name: getattr(self, f"mixture_{one.name}") for one in fields(Mixture)})

    @classmethod
    def suggest(cls, spec: Grid, scale: Scale) -> DiffusionConfig:
        side = max(spec.shape[1:])
        patch = 1 if side <= 12 else 2 if side <= 72 else 2 ** math.ceil(math.log2(side / 24))
        classes = max(1, spec.classes)
        components = min(256, scale.items // 32) // classes * classes
        rate = (
            5 if scale.device == "cpu" else 50
        )  # examples a second, about, over the 100 epochs where copying may begin
        hurry = scale.seconds is not None and scale.seconds < 100
        config = DiffusionConfig(
            batch=64 if scale.device == "cpu" and (hurry or side > 40) else 128,
            components=max(components, spec.classes),
            patch=patch,
            dropout=0.1 if scale.seconds is not None and scale.seconds * rate > scale.items else 0.0,
        )
        return replace(config, **(_unet_sizes if patch <= 2 else _dit_sizes)(scale.dial, side / patch))

    @classmethod
    def dials(cls, spec: Grid, scale: Scale) -> tuple[int, ...]:
        return (0, 1, 2, 3) if scale.device == "cpu" else (2, 3, 4, 5, 6)

    @classmethod
    def appetite(cls, spec: Grid, config: DiffusionConfig, scale: Scale) -> float:
        with torch.device("meta"):
            parameters = sum(p.numel() for p in cls._network(spec, config).parameters())
        return EXAMPLES_A_PARAMETER * parameters

    @classmethod
    def better_on_latents(cls, spec: Grid, scale: Scale) -> bool:
        """Grey images, given time to learn both: on digits a distance of 4 against 6 in five minutes, and a third of the
        sampling time. Eight latents keep what sixteen grey values say but not 48 of a colour photograph, on which pixels
        win."""
        grey = spec.axes == "CHW" and spec.shape[0] == 1 and spec.bounded
        return grey and scale.seconds is not None and scale.seconds >= LATENT_SECONDS

    def optim(self) -> Optim:
        c = self.config
        return Optim(
            (
                Group(self._is_matrix, "muon", c.rate, weight_decay=c.weight_decay),
                Group(lambda name, parameter: True, "adamw", c.rate_rest, betas=(0.9, 0.99)),
            ),
            warmup=20,
            decay=c.decay,
            average=c.average,
        )

    @staticmethod
    def _is_matrix(name: str, parameter: Tensor) -> bool:
        inner = any(part in name for part in (".down.", ".up.", ".shrink.", ".grow.", ".blocks."))
        return parameter.ndim >= 2 and inner and ".told." not in name

    def prepare(self, sweep: Iterable[Batch]) -> None:
        rows: list[Tensor] = []
        labels: list[Tensor] = []
        most = min(FIT_EXAMPLES, max(2, FIT_VALUES // math.prod(self.spec.shape)))
        for batch in sweep:
            rows.append(batch.x.float().cpu())
            labels.extend([] if batch.label is None else [batch.label.cpu()])
            if sum(map(len, rows)) >= most:
                break
        x = torch.cat(rows)[:most]
        label = torch.cat(labels)[:most] if labels and self.spec.classes else None
        rank, components = self.mixture_basis.shape[1], self.config.components
        fitted = fit(x, label, rank, components, self.spec.classes, generator("mixture"))
        for one in fields(fitted):
            getattr(self, f"mixture_{one.name}").copy_(getattr(fitted, one.name))

    def loss(self, batch: Batch, now: Moment) -> Loss:
        c, std = self.config, self.spec.std
        x = batch.x.flatten(1).float()
        label = batch.label if self.spec.classes else None
        component = self.mixture.assign(x, label)
        if now.training and c.label_drop:
            hidden = now.uniform("hide", (len(x),)) < c.label_drop
            component = torch.where(hidden, c.components, component)
        uniform = now.uniform("level", (len(x),))
        level = std * lognormal_levels(uniform, c.level_mean, c.level_deviation, c.level_low, c.level_high)
        y = x + level[:, None] * now.normal("noise", x.shape)
        skip, out, correction = self._parts(y, level, component)
        error = correction - (x - skip) / out
        return Loss(error.square().mean(1).sum(), len(x), {"clean_error": (error * out).square().mean().detach()})

    def _parts(self, y: Tensor, level: Tensor, component: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The clean estimate is skip + out * correction: (B, D), (B, 1), (B, D)."""
        skip = self.mixture.denoise(y, level, component)
        out = self.mixture.error(level, component).clamp(min=1e-4)[:, None]
        into = (level.square() + self.spec.std**2).rsqrt()[:, None]
        shape = (len(y), *self.spec.shape)
        seen = torch.cat([(y * into).view(shape), (skip / self.spec.std).view(shape)], 1)
        correction = self.net(seen.to(self._dtype()), level / self.spec.std, component)
        return skip, out, correction.float().flatten(1)

    def _dtype(self) -> torch.dtype:
        return arithmetic(self.config.precision, self.device)

    @torch.no_grad()
    def draw(self, ask: Ask, seed: int) -> Iterator[Tensor]:
        how: DiffusionSampling = ask.how or DiffusionSampling()
        c, std, size = self.config, self.spec.std, math.prod(self.spec.shape)
        known = _known_values(ask.known, ask.n, self.spec.shape, self.device) if ask.known else None
        numbers = self._numbers(ask, seed)
        component = self._choose(ask, numbers[:, -1], known)
        rank = self.mixture_basis.shape[1]
        levels = rho_levels(how.steps, how.last * std, c.level_high * std, how.rho).to(self.device)
        first = self.mixture.draw(component, numbers[:, size : size + rank], numbers[:, :size])
        if known is not None:
            first = torch.where(known[1], known[0], first)
        y = first + levels[0] * numbers[:, size + rank : 2 * size + rank]

        def denoise(y: Tensor, level: Tensor) -> Tensor:
            clean = self._guided(y, level, component, how.guidance)
            return clean if known is None else torch.where(known[1], known[0], clean)

        for clean in SOLVERS[how.solver](denoise, y, levels):
            x = clean.view(ask.n, *self.spec.shape)
            yield x.clamp(-1, 1) if self.spec.bounded else x

    def latents(self, ask: Ask, seed: int) -> Tensor:
        """(n, D) about normal numbers that lead to the samples of `draw`, as nearly as the flow can be undone."""
        *_, x = self.draw(ask, seed)
        return self.invert(x)

    @torch.no_grad()
    def grow(self, latents: Tensor, ask: Ask) -> Iterator[Tensor]:
        """Drafts along the probability flow from one Gaussian for all rows. Labels play no part, and components neither:
        they are chosen, and a choice would be a jump in the walk."""
        how: DiffusionSampling = ask.how or DiffusionSampling()
        levels, component = self._path(how), torch.full((len(latents),), self.config.components, device=self.device)
        y = self.mixture.colour(latents.to(self.device), levels[0], component)
        for clean in SOLVERS[how.solver](lambda y, level: self._clean(y, level, component), y, levels):
            x = clean.view(len(latents), *self.spec.shape)
            yield x.clamp(-1, 1) if self.spec.bounded else x

    @torch.no_grad()
    def invert(self, x: Tensor, label: Tensor | None = None) -> Tensor:
        """(n, D): the probability flow, run from the items up to the noise that leads back to them."""
        component = torch.full((len(x),), self.config.components, device=self.device)
        levels = self._path(DiffusionSampling())[:-1].flip(0)
        y = x.to(self.device).float().flatten(1)
        y = backwards(lambda y, level: self._clean(y, level, component), y, levels)
        return self.mixture.whiten(y, levels[-1], component)

    def _path(self, how: DiffusionSampling) -> Tensor:
        low, high = how.last * self.spec.std, self.config.level_high * self.spec.std
        return rho_levels(PATH * how.steps, low, high, how.rho).to(self.device)

    def _guided(self, y: Tensor, level: Tensor, component: Tensor, guidance: float) -> Tensor:
        clean = self._clean(y, level, component)
        if guidance == 1.0:
            return clean
        plain = self._clean(y, level, torch.full_like(component, self.config.components))
        return plain + guidance * (clean - plain)

    def _clean(self, y: Tensor, level: Tensor, component: Tensor) -> Tensor:
        """(n, D) clean estimate, in parts that stay in a processor's cache."""
        parts = []
        for some, kind in zip(torch.split(y, ROWS), torch.split(component, ROWS), strict=True):
            skip, out, correction = self._parts(some, level.expand(len(some)), kind)
            parts.append(skip + out * correction)
        return torch.cat(parts)

    def _numbers(self, ask: Ask, seed: int) -> Tensor:
        """(n, 2 D + R + 1) normal numbers; row i is a function of (seed, ask.first + i)."""
        count = 2 * math.prod(self.spec.shape) + self.mixture_basis.shape[1] + 1
        rows = [torch.randn(count, generator=generator(seed, "draw", ask.first + i)) for i in range(ask.n)]
        return torch.stack(rows).to(self.device)

    def _choose(self, ask: Ask, number: Tensor, known: tuple[Tensor, Tensor] | None) -> Tensor:
        """(n,) a component for each sample: by its share, or the nearest one where values are known."""
        weight = self.mixture_shares.expand(ask.n, -1)
        if ask.label is not None:
            if not self.spec.classes:
                raise ConfigError("a label was given, but the data had no labels; leave it out")
            weight = weight * (self.mixture_owners == ask.label.to(self.device)[:, None])
        if known is not None:
            centres = self.mixture_centre + self.mixture_means @ self.mixture_basis.T  # (K, D)
            distance = ((known[0][:, None] - centres).square() * known[1][:, None]).sum(2)  # (n, K)
            nearest = distance.masked_fill(weight == 0, torch.inf).argmin(1)
            return torch.where(weight.sum(1) > 0, nearest, self.config.components)
        total = weight.cumsum(1)
        uniform = torch.special.ndtr(number)[:, None] * total[:, -1:]
        chosen = (uniform >= total).sum(1).clamp(max=self.config.components)
        return torch.where(total[:, -1] > 0, chosen, self.config.components)


def _known_values(known: Known, n: int, shape: tuple[int, ...], device: torch.device) -> tuple[Tensor, Tensor]:
    """Values (n, D) and where they are to be kept (n, D) bool."""
    mask = torch.ones_like(known.x) if known.mask is None else known.mask
    try:
        x = known.x.to(device).float().expand(n, *shape).flatten(1)
        return x, mask.to(device).expand(n, *shape).flatten(1) > 0.5
    except RuntimeError as problem:
        given = tuple(known.x.shape)
        raise ConfigError(f"known values of shape {given} do not fit {shape}; give that shape") from problem


EXPORT: Any = Diffusion
