"""Diffusion: a network learns to remove noise from data at every noise level, and samples form out of noise.

The network corrects a closed form. One pass over the data fits a mixture of Gaussians in principal components
(`anew.estimators.gaussian_mixture`); its posterior mean is the skip path of the denoiser (EDM's preconditioning, arXiv 2206.00364,
with a matrix in place of a number), the component is told to the network, and sampling starts from the mixture at a
noise level where the two distributions can hardly be told apart, instead of from pure noise.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, fields, replace
from typing import Any, ClassVar

import torch
from torch import Tensor

from anew.core.random import StepContext, generator
from anew.core.settings import knob
from anew.core.specs import Batch, Condition, Grid, SampleRequest
from anew.errors import ConfigError
from anew.estimators.gaussian_mixture import Mixture
from anew.families.base import Family, Scale, check_clusters, count_parameters
from anew.families.diffusion.layouts import LAYOUTS, layout
from anew.families.phases import Loss, OptimizerConfig, ParameterGroup
from anew.functional.noise import karras_sigmas
from anew.functional.ode import SOLVERS, encode_flow
from anew.nets.precision import arithmetic

FIT_VALUES = 48_000_000  # most values that the closed form is fitted on: bounds its memory to 200 MB
FIT_EXAMPLES = 10_000
EXAMPLES_A_PARAMETER = 0.15  # MNIST at 60 s and 250 s on one core: width 48 and 64
LATENT_SECONDS = 60.0  # of training, from which on a codec and a denoiser of latents do better than one of grey pixels
ROWS = 128  # samples that go through the network at a time
STEPS = 8  # noise levels that a sample passes through
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
    group: int = knob(2, "clips: frames that the network sees as one context", low=1, high=32)
    given: float = knob(0.3, "clips: share of examples in which some frames are given", low=0.0, high=1.0)
    apart: float = knob(0.1, "clips: share of examples whose frames have noise levels of their own", low=0.0, high=1.0)
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
    steps: int = knob(
        0, "noise levels a sample passes through; 0: 8, or 4 of latents, whose decoder forgives more", low=0, high=1000
    )
    solver: str = knob("multistep", "rule that moves from level to level", choices=tuple(SOLVERS))
    guidance: float = knob(1.0, "how much the component or label counts; 1 is the plain model", low=0.0, high=20.0)
    rho: float = knob(3.0, "crowding of noise levels towards clean", low=1.0, high=20.0)
    frames: int = knob(0, "clips: frames of each sample; 0 as the data has them", low=0, high=10_000)
    last: float = knob(0.03, "noise level of the last step, in deviations of the data", low=1e-4, high=0.5)


class Diffusion(Family):
    Config: ClassVar[type] = DiffusionConfig
    Sampling: ClassVar[type] = DiffusionSampling
    spec_types: ClassVar[tuple[type, ...]] = (Grid,)
    axes: ClassVar[tuple[str, ...] | None] = tuple(LAYOUTS)
    rationale: ClassVar[str] = "continuous values on a grid: the best quality for the time"
    interpolates_across_classes: ClassVar[bool] = True

    spec: Grid
    config: DiffusionConfig
    mixture_centre: Tensor  # the parts of a Mixture, as buffers
    mixture_basis: Tensor
    mixture_means: Tensor
    mixture_shares: Tensor
    mixture_owners: Tensor

    def __init__(self, spec: Grid, config: DiffusionConfig) -> None:
        super().__init__(spec, config)
        self.layout = layout(spec)
        check_clusters("components", config.components, spec.classes)
        rank, kinds = min(config.rank, self.layout.size), config.components + 1
        self._register(self.layout.empty(rank, kinds))
        self.net = self.layout.network(config)

    def _register(self, mixture: Mixture) -> None:
        for one in fields(mixture):
            self.register_buffer(f"mixture_{one.name}", getattr(mixture, one.name))

    @property
    def mixture(self) -> Mixture:
        kind = self.layout.mixture
        return kind(**{one.name: getattr(self, f"mixture_{one.name}") for one in fields(kind)})

    @classmethod
    def suggest(cls, spec: Grid, scale: Scale) -> DiffusionConfig:
        classes = max(1, spec.classes)
        components = min(256, scale.items // 32) // classes * classes
        # examples a second, about, over the 100 epochs where copying may begin
        rate = 5 if scale.device == "cpu" else 50
        config = DiffusionConfig(
            components=max(components, spec.classes),
            dropout=0.1 if scale.seconds is not None and scale.seconds * rate > scale.items else 0.0,
        )
        return replace(config, **layout(spec).sizes(scale))

    @classmethod
    def candidate_sizes(cls, spec: Grid, scale: Scale) -> tuple[int, ...]:
        return (0, 1, 2, 3) if scale.device == "cpu" else (2, 3, 4, 5, 6)

    @classmethod
    def target_examples(cls, spec: Grid, config: DiffusionConfig, scale: Scale) -> float:
        own = layout(spec)
        parameters = count_parameters(lambda: own.network(config))
        return EXAMPLES_A_PARAMETER * parameters / own.parts  # each frame of a clip is an example

    @classmethod
    def better_on_latents(cls, spec: Grid, scale: Scale) -> bool:
        """Grey images, given time to learn both: on digits a distance of 4 against 6 in five minutes, and a third of the
        sampling time. Eight latents keep what sixteen grey values say but not 48 of a colour photograph, on which pixels
        win."""
        grey = spec.axes == "CHW" and spec.shape[0] == 1 and spec.bounded
        return grey and scale.seconds is not None and scale.seconds >= LATENT_SECONDS

    def optimizer(self) -> OptimizerConfig:
        c = self.config
        return OptimizerConfig(
            (
                ParameterGroup(self._is_matrix, "muon", c.rate, weight_decay=c.weight_decay),
                ParameterGroup(lambda name, parameter: True, "adamw", c.rate_rest, betas=(0.9, 0.99)),
            ),
            warmup_steps=20,
            decay=c.decay,
            ema_width=c.average,
        )

    @staticmethod
    def _is_matrix(name: str, parameter: Tensor) -> bool:
        inner = any(part in name for part in (".down.", ".up.", ".shrink.", ".grow.", ".blocks."))
        return parameter.ndim >= 2 and inner and ".told." not in name

    def fit_closed_form(self, sweep: Iterable[Batch]) -> None:
        seen: list[Batch] = []
        most = min(FIT_EXAMPLES, max(2, FIT_VALUES // self.layout.size))
        for batch in sweep:
            seen.append(batch.to("cpu"))
            if sum(map(len, seen)) >= most:
                break
        x = torch.cat([batch.x.float() for batch in seen])[:most]
        label, there = (_joined([getattr(batch, name) for batch in seen], most) for name in ("label", "mask"))
        rank, components = self.mixture_basis.shape[1], self.config.components
        fitted = self.layout.fit(x, there, label if self.spec.classes else None, rank, components)
        for one in fields(fitted):
            getattr(self, f"mixture_{one.name}").copy_(getattr(fitted, one.name))

    def loss(self, batch: Batch, context: StepContext) -> Loss:
        c, std = self.config, self.spec.std
        x = batch.x.flatten(1).float()
        label = batch.label if self.spec.classes else None
        component = self.mixture.assign(x, label)
        if context.training and c.label_drop:
            hidden = context.uniform("hide", (len(x),)) < c.label_drop
            component = torch.where(hidden, c.components, component)
        level, weight = self.layout.levels(context, batch, c)
        y = self._noisy(x, std * level, context.normal("noise", x.shape))
        skip, out, correction = self._parts(y, std * level, component)
        error = correction - (x - skip) / out
        return Loss(self._mean(error, weight).sum(), len(x), {"clean_error": (error * out).square().mean().detach()})

    def _noisy(self, x: Tensor, level: Tensor, noise: Tensor) -> Tensor:
        """x (B, D) with noise of levels (B, F) on its parts; a part of infinite level is nothing."""
        spread = self.mixture.spread(level)
        return torch.where(spread.isinf(), 0.0, x + spread * noise)

    def _mean(self, error: Tensor, weight: Tensor | None) -> Tensor:
        """(B,) mean square of error (B, D); weight (B, F): what share each part has in it (None: all the same)."""
        if weight is None:
            return error.square().mean(1)
        share = self.mixture.spread(weight) * (self.layout.parts / self.layout.size)
        return (error.square() * share).sum(1)

    def _parts(self, y: Tensor, level: Tensor, component: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The clean estimate is skip + out * correction: (B, D), (B, D) or (B, 1), (B, D)."""
        mixture, std = self.mixture, self.spec.std
        skip, out = mixture.posterior(y, level, component)
        out = mixture.spread(out.clamp(min=1e-4))
        into = mixture.spread((level.square() + std**2).rsqrt())
        shape, kind = (len(y), *self.spec.shape), self._dtype()
        scaled = ((y * into).view(shape).to(kind), (skip / std).view(shape).to(kind))
        correction = self.layout.correct(self.net, *scaled, level / std, component)
        return skip, out, correction.float().flatten(1)

    def _dtype(self) -> torch.dtype:
        return arithmetic(self.config.precision, self.device)

    def sample(self, request: SampleRequest, seed: int) -> Iterator[Tensor]:
        """Drafts; of a length of its own, if the layout has one, that is other than the spec's."""
        return self.layout.whole(self._draw, replace(request, sampling=request.sampling or DiffusionSampling()), seed)

    @torch.no_grad()
    def _draw(self, request: SampleRequest, seed: int) -> Iterator[Tensor]:
        how: DiffusionSampling = request.sampling or DiffusionSampling()
        known = _known_values(request.condition, request.n, self.spec.shape, self.device) if request.condition else None
        numbers = self._numbers(request, seed)
        component = self._choose(request, numbers["kind"][:, 0], known)
        first = self.mixture.sample(component, numbers["inside"], numbers["outside"])
        levels = karras_sigmas(
            self._steps(how), how.last * self.spec.std, self.config.level_high * self.spec.std, how.rho
        )
        levels = levels.to(self.device)
        there = None if how.frames else self.layout.there(self.mixture, component, numbers["kind"][:, -1], known)
        given = None if known is None else self.layout.given(known[1])
        if known is not None:
            first = torch.where(known[1], known[0], first)

        def denoise(y: Tensor, level: Tensor) -> Tensor:
            each = level.expand(request.n, self.layout.parts)
            if known is not None and given is not None:
                y = torch.where(self.mixture.spread(given), known[0], y)
                each = torch.where(given, self.config.level_low * self.spec.std, each)
            clean = self._guided(
                y, each if there is None else each.masked_fill(~there, torch.inf), component, how.guidance
            )
            return clean if known is None else torch.where(known[1], known[0], clean)

        for clean in SOLVERS[how.solver](denoise, first + levels[0] * numbers["noise"], levels):
            yield self._shown(clean, there)

    def _shown(self, clean: Tensor, there: Tensor | None = None) -> Tensor:
        x = clean.view(len(clean), *self.spec.shape)
        x = x.clamp(-1, 1) if self.spec.bounded else x
        return x if there is None else self.layout.held(x, there)

    def initial_latents(self, request: SampleRequest, seed: int) -> Tensor:
        """(n, D) about normal numbers that lead to the samples of `draw`, as nearly as the flow can be undone."""
        *_, x = self._draw(request, seed)
        return self.encode_to_latents(x)

    @torch.no_grad()
    def generate(self, latents: Tensor, request: SampleRequest) -> Iterator[Tensor]:
        """Drafts along the probability flow from one Gaussian for all rows. Labels play no part, and components neither:
        they are chosen, and a choice would be a jump in the walk."""
        how: DiffusionSampling = request.sampling or DiffusionSampling()
        levels, component = self._path(how), torch.full((len(latents),), self.config.components, device=self.device)
        y = self.mixture.colour(latents.to(self.device), levels[0], component)
        for clean in SOLVERS[how.solver](lambda y, level: self._clean(y, level, component), y, levels):
            yield self._shown(clean)

    @torch.no_grad()
    def encode_to_latents(self, x: Tensor, label: Tensor | None = None) -> Tensor:
        """(n, D): the probability flow, run from the items up to the noise that leads back to them."""
        component = torch.full((len(x),), self.config.components, device=self.device)
        levels = self._path(DiffusionSampling())[:-1].flip(0)
        y = x.to(self.device).float().flatten(1)
        y = encode_flow(lambda y, level: self._clean(y, level, component), y, levels)
        return self.mixture.whiten(y, levels[-1], component)

    def _steps(self, how: DiffusionSampling) -> int:
        return how.steps or (STEPS if self.spec.bounded else STEPS // 2)

    def _path(self, how: DiffusionSampling) -> Tensor:
        low, high = how.last * self.spec.std, self.config.level_high * self.spec.std
        return karras_sigmas(PATH * (how.steps or STEPS), low, high, how.rho).to(self.device)

    def _guided(self, y: Tensor, level: Tensor, component: Tensor, guidance: float) -> Tensor:
        clean = self._clean(y, level, component)
        if guidance == 1.0:
            return clean
        plain = self._clean(y, level, torch.full_like(component, self.config.components))
        return plain + guidance * (clean - plain)

    def _clean(self, y: Tensor, level: Tensor, component: Tensor) -> Tensor:
        """(n, D) clean estimate at levels (n, F) or () of its parts, in rows that stay in a processor's cache."""
        parts, rows = [], max(1, ROWS // self.layout.parts)
        level = level.expand(len(y), self.layout.parts)
        y = torch.where(self.mixture.spread(level).isinf(), 0.0, y)
        for some, noise, kind in zip(*(torch.split(t, rows) for t in (y, level, component)), strict=True):
            skip, out, correction = self._parts(some, noise, kind)
            parts.append(skip + out * correction)
        return torch.cat(parts)

    def _numbers(self, request: SampleRequest, seed: int) -> dict[str, Tensor]:
        """Normal numbers by use, (n, count) each; row i is a function of (seed, request.first_index + i)."""
        size, rank = self.layout.size, self.mixture_basis.shape[1]
        counts = {"outside": size, "inside": rank, "noise": size, "kind": self.layout.choices}
        rows = [
            torch.randn(sum(counts.values()), generator=generator(seed, "draw", request.first_index + i))
            for i in range(request.n)
        ]
        parts = torch.split(torch.stack(rows).to(self.device), list(counts.values()), 1)
        return dict(zip(counts, parts, strict=True))

    def _choose(self, request: SampleRequest, number: Tensor, known: tuple[Tensor, Tensor] | None) -> Tensor:
        """(n,) a component for each sample: by its share, or the nearest one where values are known."""
        weight = self.mixture_shares.expand(request.n, -1)
        if request.labels is not None:
            if not self.spec.classes:
                raise ConfigError("a label was given, but the data had no labels; leave it out")
            weight = weight * (self.mixture_owners == request.labels.to(self.device)[:, None])
        if known is not None:
            centres = self.mixture_centre + self.mixture_means @ self.mixture_basis.T  # (K, D)
            distance = ((known[0][:, None] - centres).square() * known[1][:, None]).sum(2)  # (n, K)
            nearest = distance.masked_fill(weight == 0, torch.inf).argmin(1)
            return torch.where(weight.sum(1) > 0, nearest, self.config.components)
        total = weight.cumsum(1)
        uniform = torch.special.ndtr(number)[:, None] * total[:, -1:]
        chosen = (uniform >= total).sum(1).clamp(max=self.config.components)
        return torch.where(total[:, -1] > 0, chosen, self.config.components)


def _joined(parts: list[Tensor | None], most: int) -> Tensor | None:
    """The rows of all parts, at most `most`; None where a part is missing."""
    found = [part for part in parts if part is not None]
    return torch.cat(found)[:most] if found and len(found) == len(parts) else None


def _known_values(known: Condition, n: int, shape: tuple[int, ...], device: torch.device) -> tuple[Tensor, Tensor]:
    """Values (n, D) and where they are to be kept (n, D) bool."""
    mask = torch.ones_like(known.x) if known.mask is None else known.mask
    try:
        x = known.x.to(device).float().expand(n, *shape).flatten(1)
        return x, mask.to(device).expand(n, *shape).flatten(1) > 0.5
    except RuntimeError as problem:
        given = tuple(known.x.shape)
        raise ConfigError(f"known values of shape {given} do not fit {shape}; give that shape") from problem


EXPORT: Any = Diffusion
