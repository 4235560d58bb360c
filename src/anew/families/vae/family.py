"""A variational autoencoder: a network says items in few numbers and another says them back, and new items form from
new numbers.

Two scales of latents form a chain z2 -> z1 -> x. The bottom one, z1, is a grid; items are decoded from it alone, so that
it is the latent of a `Codec`, in which other families can work. The top one, z2, is a vector that says how z1 is
distributed. What z2 itself looks like is learned in a second phase by a small denoiser of vectors, since a plain normal
distribution is where samples of such a model fail (arXiv 2106.05931 trains a prior the same way).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any, ClassVar

import torch
from torch import Tensor

from anew.core.random import StepContext, generator
from anew.core.settings import knob
from anew.core.specs import Batch, Grid, SampleRequest
from anew.errors import ConfigError
from anew.families.base import Family, Scale
from anew.families.phases import Loss, OptimizerConfig, ParameterGroup, Phase
from anew.families.vae.prior import VectorPrior
from anew.functional.latents import normal_kl, slerp, sum_with_free_bits, unit_scale
from anew.functional.ode import SOLVERS
from anew.nets.autoencoder import Autoencoder
from anew.nets.precision import arithmetic

APPETITE = 110.0  # examples for each square of the width: digits in 5 minutes on one core take width 32
ROWS = 128  # examples that go through a network at a time, where they are small
VALUES = 4_000_000  # their values together at most
MEASURED = 128  # samples, and items, whose detail is compared
ENOUGH = 0.75  # of the detail of held-out items: what noise adds beyond is noise
TEMPERATURES = (0.0, 0.25, 0.5, 0.75, 1.0)


@dataclass(frozen=True, slots=True)
class VaeConfig:
    batch: int = knob(64, "examples a step", low=1)
    width: int = knob(48, "channels at the largest size", low=8, high=4096)
    mults: tuple[int, ...] = knob((1, 2), "channels of each size, as multiples of width")
    depth: int = knob(1, "blocks a size and side", low=1, high=64)
    patch: int = knob(2, "side of the patches that the networks see as one position", low=1, high=64)
    channels: int = knob(8, "channels of the bottom latents", low=1, high=256)
    top: int = knob(32, "numbers in the top latents", low=1, high=4096)
    logistics: int = knob(1, "logistic distributions in the mixture of each pixel", low=1, high=64)
    beta: float = knob(
        1.0, "weight of what bottom latents cost beyond the top ones; 1 is the bound", low=0.0, high=100.0
    )
    beta_top: float = knob(1.0, "weight of what top latents cost; 1 is the bound", low=0.0, high=100.0)
    free: float = knob(0.0, "nats of each bottom channel and of the top that cost nothing", low=0.0, high=100.0)
    rise: float = knob(0.1, "share of the first phase in which both weights rise from 0", low=0.0, high=1.0)
    through: float = knob(0.25, "share of examples that are decoded from what the top alone says", low=0.0, high=1.0)
    prior_share: float = knob(0.4, "last share of the run, in which the prior is learned", low=0.0, high=0.9)
    prior_width: int = knob(384, "hidden numbers of the prior's network", low=8, high=8192)
    prior_depth: int = knob(3, "layers of the prior's network", low=1, high=64)
    prior_repeat: int = knob(16, "noise levels that the prior sees of each example of a step", low=1, high=1024)
    label_drop: float = knob(0.1, "share of examples whose label is hidden from the prior", low=0.0, high=1.0)
    rate: float = knob(0.02, "peak learning rate of matrices (Muon)", low=0.0, high=1.0)
    rate_rest: float = knob(0.002, "peak learning rate of the rest (AdamW)", low=0.0, high=1.0)
    decay: float = knob(0.5, "last share of each phase in which the rate falls", low=0.0, high=1.0)
    average: float = knob(0.05, "relative width of the average of weights", low=0.0, high=0.25)
    weight_decay: float = knob(0.0, "decoupled weight decay of matrices", low=0.0, high=10.0)
    precision: str = knob("auto", "arithmetic of the networks", choices=("auto", "fp32", "bf16"))


@dataclass(frozen=True, slots=True)
class VaeSampling:
    prior: str = knob("learned", "where top latents come from", choices=("learned", "normal"))
    steps: int = knob(20, "noise levels that top latents pass through in the learned prior", low=1, high=1000)
    solver: str = knob("multistep", "rule that moves from level to level", choices=tuple(SOLVERS))
    temperature: float = knob(
        -1.0,
        "how much bottom latents vary around what the top says; -1: as much as the detail of held-out items needs",
        low=-1.0,
        high=2.0,
    )
    pixels: str = knob("mean", "what is taken of each pixel's distribution", choices=("mean", "sample"))
    guidance: float = knob(1.0, "how much the label counts; 1 is the plain model", low=0.0, high=20.0)


class Vae(Family):
    """A two-scale variational autoencoder with a learned prior.

    `bits` is a bound: the negative evidence lower bound with a standard normal z2, from one pair of opposite noises that
    the item itself determines. The learned prior, which samples come from, has no likelihood and plays no part in it.
    """

    Config: ClassVar[type] = VaeConfig
    Sampling: ClassVar[type] = VaeSampling
    spec_types: ClassVar[tuple[type, ...]] = (Grid,)
    axes: ClassVar[tuple[str, ...] | None] = ("CHW",)
    preferred_for: ClassVar[frozenset[str]] = frozenset({"latent"})
    # The first phase's loss says nothing about the second one, whose weights would be thrown away with it.
    early_stopping: ClassVar[bool] = False
    rationale: ClassVar[str] = "continuous values on a grid: a smooth space of latents, and a bound on the likelihood"

    codec_config: ClassVar[Mapping[str, Any] | None] = {"prior_share": 0.0}

    spec: Grid
    config: VaeConfig
    centre: Tensor  # (c,) of z1, by channel
    scale: Tensor  # (c,)
    temperature: Tensor  # () of samples, where none is asked for

    def __init__(self, spec: Grid, config: VaeConfig) -> None:
        super().__init__(spec, config)
        if spec.axes != "CHW":
            raise ConfigError(f"vae takes grids with axes 'CHW', and this one has {spec.axes!r}")
        if not spec.bounded:
            raise ConfigError(
                "vae gives a likelihood to 8-bit values, and these have no ends; use the family 'diffusion'"
            )
        c = config
        self.codec = Autoencoder(
            spec.shape,
            widths=tuple(c.width * m for m in c.mults),
            depth=c.depth,
            patch=c.patch,
            channels=c.channels,
            top=c.top,
            logistics=c.logistics,
        )
        self.rows = max(1, min(ROWS, VALUES // math.prod(spec.shape)))
        self.prior = VectorPrior(c.top, spec.classes, c.prior_width, c.prior_depth)
        self.register_buffer("centre", torch.zeros(c.channels))
        self.register_buffer("scale", torch.ones(c.channels))
        self.register_buffer("temperature", torch.ones(()))

    @classmethod
    def suggest(cls, spec: Grid, scale: Scale) -> VaeConfig:
        side = max(spec.shape[1:])
        small = scale.device == "cpu"
        return VaeConfig(
            batch=(64 if side <= 64 else 32 if side <= 128 else 16) * (1 if small else 4),
            width=(32, 48, 64, 96, 128, 192, 256)[min(max(scale.model_size, 0), 6)],
            depth=1 if scale.model_size <= 3 else 2,
            patch=1 if side <= 12 else 2 if side <= 72 else 4 if side <= 256 else 8,
            top=32 if spec.shape[0] == 1 and side <= 40 else 64,
        )

    @classmethod
    def candidate_sizes(cls, spec: Grid, scale: Scale) -> tuple[int, ...]:
        return (0, 1, 2, 3) if scale.device == "cpu" else (2, 3, 4, 5, 6)

    @classmethod
    def target_examples(cls, spec: Grid, config: VaeConfig, scale: Scale) -> float:
        """Examples of a whole run at the rate of the first phase, which is what the planner measures."""
        return APPETITE * config.width**2

    # -- learn ----------------------------------------------------------------------------------------------------------

    def phases(self) -> tuple[Phase, ...]:
        turn = 1.0 - self.config.prior_share
        codec = Phase("codec", self.codec, self._codec_loss, self.optimizer(), span=(0.0, turn))
        if turn >= 1.0:
            return (codec,)
        return codec, Phase("prior", self.prior, self._prior_loss, self.optimizer(), span=(turn, 1.0))

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
        inner = any(f".{part}." in f".{name}" for part in ("stages", "blocks", "shrink", "grow", "up", "down"))
        return parameter.ndim >= 2 and inner

    def _codec_loss(self, batch: Batch, context: StepContext) -> Loss:
        """The negative bound with weighted costs, in nats a value."""
        c, codec, kind = self.config, self.codec, self._dtype()
        x = batch.x.float()
        bottom, top = codec.infer(x, kind)
        z1, z2 = (
            mean + scale.exp() * context.normal(use, mean.shape) for use, (mean, scale) in (("z1", bottom), ("z2", top))
        )
        told = codec.below(z2, kind)
        cost = normal_kl(*bottom, *told).sum((2, 3))  # (B, c)
        cost_top = normal_kl(*top, torch.zeros(()), torch.zeros(())).sum(1, keepdim=True)  # (B, 1)
        if c.through and context.training:
            alone = context.uniform("through", (len(x), 1, 1, 1)) < c.through
            z1 = torch.where(alone, told[0], z1)
        wrong = -codec.pixels(z1, kind).log_prob(x)  # (B,)
        rise = self._rise(context)
        costs = rise * (c.beta * sum_with_free_bits(cost, c.free) + c.beta_top * sum_with_free_bits(cost_top, c.free))
        size = math.prod(self.spec.shape)
        logs = {"pixels": wrong.mean() / size, "bottom": cost.sum(1).mean() / size, "top": cost_top.mean() / size}
        return Loss((wrong + costs).sum() / size, len(x), {name: log.detach() for name, log in logs.items()})

    def _rise(self, context: StepContext) -> float:
        length = self.config.rise * (1.0 - self.config.prior_share)
        return min(1.0, context.progress / length) if context.training and length > 0 else 1.0

    def _prior_loss(self, batch: Batch, context: StepContext) -> Loss:
        """Squared error of the denoiser of z2, as a share of what is to be expected."""
        c, size, kind = self.config, len(batch), self._dtype()
        with torch.no_grad():
            _, (mean, log_scale) = self.codec.infer(batch.x.float(), kind)
        noise = context.normal("posterior", (size, c.prior_repeat, c.top))
        z2 = mean[:, None] + log_scale.exp()[:, None] * noise  # (B, R, K)
        label = torch.full((size,), self.spec.classes, device=z2.device)
        if self.spec.classes and batch.label is not None:
            hidden = context.uniform("hide", (size,)) < c.label_drop
            label = torch.where(hidden, self.spec.classes, batch.label)
        return Loss(self.prior.loss(z2, label, context, kind).sum(), size)

    def _dtype(self) -> torch.dtype:
        return arithmetic(self.config.precision, self.device)

    @torch.no_grad()
    def calibrate(self, sweep: Iterable[Batch]) -> None:
        """Measure where bottom latents lie, so that `encode` gives unit deviation, and how much samples should vary."""
        found: list[tuple[Tensor, Tensor]] = []
        some: list[Tensor] = []
        for batch in sweep:
            x = batch.x.float()
            found.append(self.codec.infer(x, self._dtype())[0])
            some += [x] if sum(len(one) for one in some) < MEASURED else []
        if not found:
            return
        means, log_scales = (torch.cat(part) for part in zip(*found, strict=True))
        for buffer, value in zip((self.centre, self.scale), unit_scale(means, log_scales), strict=True):
            buffer.copy_(value)
        if self.config.prior_share:
            self.temperature.fill_(fitting_temperature(self, detail(torch.cat(some)[:MEASURED])))

    # -- code -----------------------------------------------------------------------------------------------------------

    @property
    def latent(self) -> Grid:
        """What `encode` gives: the bottom latents, of about unit deviation."""
        return Grid((self.config.channels, *self.codec.sides), "CHW", self.spec.classes, 1.0, bounded=False)

    @torch.no_grad()
    def encode(self, x: Tensor) -> Tensor:
        """(B, *latent.shape) mean of z1 given x (B, *shape), scaled to unit deviation."""
        kind, device = self._dtype(), self.device
        parts = [self.codec.infer(some.to(device).float(), kind)[0][0] for some in torch.split(x, self.rows)]
        return (torch.cat(parts) - self.centre[:, None, None]) / self.scale[:, None, None]

    @torch.no_grad()
    def decode(self, z: Tensor) -> Tensor:
        """(B, *shape) expected items given scaled bottom latents z (B, *latent.shape)."""
        return self._shown(z.to(self.device) * self.scale[:, None, None] + self.centre[:, None, None])

    def _shown(self, bottom: Tensor, numbers: Callable[[int, int], Tensor] | None = None) -> Tensor:
        """(B, *shape) what bottom latents stand for: expected values, or sampled ones with numbers(first, count)."""
        kind, first, found = self._dtype(), 0, []
        for some in torch.split(bottom, self.rows):
            mixture = self.codec.pixels(some, kind)
            found.append(mixture.mean() if numbers is None else mixture.sample(numbers(first, len(some))))
            first += len(some)
        return torch.cat(found)

    @torch.no_grad()
    def bits(self, batch: Batch) -> Tensor:
        """(B,) bits of each item at most: see the class."""
        x, kind = batch.x.float(), torch.float32
        bottom, top = self.codec.infer(x, kind)
        noise = [noise_of(x, use, mean.shape) for use, (mean, _) in (("z1", bottom), ("z2", top))]
        cost_top = normal_kl(*top, torch.zeros(()), torch.zeros(())).sum(1)  # (B,)
        found = torch.zeros(len(x), dtype=torch.float64, device=x.device)
        for sign in (1.0, -1.0):
            z1, z2 = (m + sign * s.exp() * n for (m, s), n in zip((bottom, top), noise, strict=True))
            cost = normal_kl(*bottom, *self.codec.below(z2, kind)).flatten(1).sum(1)
            wrong = -self.codec.pixels(z1, kind).log_prob(x)
            found += 0.5 * (wrong.double() + cost.double() + cost_top.double())
        return found / math.log(2.0)

    # -- draw -----------------------------------------------------------------------------------------------------------

    def sample(self, request: SampleRequest, seed: int) -> Iterator[Tensor]:
        how: VaeSampling = request.sampling or VaeSampling()
        if request.condition is not None:
            raise ConfigError("vae cannot keep given values in a sample; leave them out, or use the family 'diffusion'")

        def numbers(first: int, count: int) -> Tensor:
            return pixel_numbers(self.spec, seed, request.first_index + first, count).to(self.device)

        yield self._grown(self.initial_latents(request, seed), numbers if how.pixels == "sample" else None)

    @torch.no_grad()
    def initial_latents(self, request: SampleRequest, seed: int) -> Tensor:
        """(n, K + c h w): z2, then z1 in deviations from what z2 says; row i is a function of (seed, request.first_index + i)."""
        how: VaeSampling = request.sampling or VaeSampling()
        top = self.config.top
        size = top + math.prod(self.latent.shape)
        rows = [torch.randn(size, generator=generator(seed, "draw", request.first_index + i)) for i in range(request.n)]
        numbers = torch.stack(rows).to(self.device)
        z2 = numbers[:, :top]
        if how.prior == "learned":
            plan: dict[str, Any] = {"steps": how.steps, "solver": how.solver, "guidance": how.guidance}
            z2 = self.prior.sample(z2, kinds(self.spec, request, self.device), self._dtype(), **plan)
        spread = self.temperature if how.temperature < 0 else how.temperature
        return torch.cat([z2, spread * numbers[:, top:]], 1)

    def generate(self, latents: Tensor, request: SampleRequest) -> Iterator[Tensor]:
        """One draft, the items; where pixels are to be sampled, their mean is taken."""
        yield self._grown(latents)

    @torch.no_grad()
    def _grown(self, latents: Tensor, numbers: Callable[[int, int], Tensor] | None = None) -> Tensor:
        latents, kind = latents.to(self.device), self._dtype()
        top, rest = latents[:, : self.config.top], latents[:, self.config.top :]
        told = [self.codec.below(some, kind) for some in torch.split(top, self.rows)]
        mean, log_scale = (torch.cat(part) for part in zip(*told, strict=True))
        return self._shown(mean + log_scale.exp() * rest.view_as(mean), numbers)

    @torch.no_grad()
    def encode_to_latents(self, x: Tensor, label: Tensor | None = None) -> Tensor:
        """(n, K + c h w): the means of both scales given x; `generate` leads back to what `decode(encode(x))` is."""
        kind, found = self._dtype(), []
        for some in torch.split(x.to(self.device).float(), self.rows):
            (bottom, _), (top, _) = self.codec.infer(some, kind)
            mean, log_scale = self.codec.below(top, kind)
            found.append(torch.cat([top, ((bottom - mean) / log_scale.exp()).flatten(1)], 1))
        return torch.cat(found)

    def interpolate(self, one: Tensor, other: Tensor, share: Tensor) -> Tensor:
        """Each scale of latents goes along its own sphere."""
        top = self.config.top
        return torch.cat([slerp(one[part], other[part], share) for part in (slice(top), slice(top, None))], 1)


def kinds(spec: Grid, request: SampleRequest, device: torch.device) -> Tensor:
    """(n,) what the prior is told: the label, or that there is none."""
    if request.labels is None:
        return torch.full((request.n,), spec.classes, device=device)
    if not spec.classes:
        raise ConfigError("a label was given, but the data had no labels; leave it out")
    return torch.where(request.labels < 0, spec.classes, request.labels).to(device)


def fitting_temperature(family: Vae, wanted: float) -> float:
    """The least temperature whose samples have nearly as much detail as is wanted: each bottom latent varies by itself,
    which breaks what the top gets right, but where the top knows little, samples are blurs without."""
    for temperature in TEMPERATURES[:-1]:
        *_, made = family.sample(SampleRequest(MEASURED, sampling=VaeSampling(temperature=temperature)), 0)
        if detail(made) >= ENOUGH * wanted:
            return temperature
    return TEMPERATURES[-1]


def detail(x: Tensor) -> float:
    """Mean squared difference of neighbouring values of x (B, C, H, W), down and across."""
    return sum(float(x.diff(dim=axis).square().mean()) for axis in (2, 3) if x.shape[axis] > 1)


def noise_of(x: Tensor, use: str, shape: torch.Size) -> Tensor:
    """Normal numbers of `shape` (rows first), a function of each row's item."""
    rows = x.contiguous().cpu().numpy()
    sources = (generator("bits", use, blake2b(row.tobytes(), digest_size=8).hexdigest()) for row in rows)
    return torch.stack([torch.randn(shape[1:], generator=source) for source in sources]).to(x.device)


def pixel_numbers(spec: Grid, seed: int, first: int, count: int) -> Tensor:
    """(count, 1 + C, H, W) uniform numbers for `LogisticMixture.sample`, a row a function of (seed, first + i)."""
    channels, *sides = spec.shape
    sources = (generator(seed, "pixels", first + i) for i in range(count))
    return torch.stack([torch.rand((1 + channels, *sides), generator=source) for source in sources])


EXPORT = Vae
