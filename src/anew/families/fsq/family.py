"""A codec of codes: a convolutional autoencoder whose latents are rounded, so that an item is a short row of whole numbers.

The first of them names the kind of item, one of some clusters of the data: whoever draws codes one after another then
knows at once what the whole is to be, which a few hundred steps of training hardly teach. The others are read off a small
grid, row by row. Each place of a small grid holds a few numbers, each rounded to one of a few levels (finite scalar quantisation, arXiv
2309.15505); together they are one code. No codebook is learned, and nearly all codes come into use. What learns how codes
follow each other, and so makes new items, is a family that takes `Tokens`. With `sharp`, a discriminator that sees each item
beside what became of it (the relativistic pairs of `maths.adversarial`) keeps fine detail that squared errors would blur.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from anew.core.random import StepContext, generator
from anew.core.settings import knob
from anew.core.specs import Batch, Grid, SampleRequest, Tokens
from anew.errors import ConfigError
from anew.estimators.gaussian_mixture import kmeans, principal
from anew.families.base import Family, Scale
from anew.families.phases import Loss, OptimizerConfig, ParameterGroup, Phase
from anew.functional import fsq
from anew.functional.adversarial import gradient_penalty, lazy_rows, relativistic_loss
from anew.nets.codec import Coder
from anew.nets.precision import arithmetic
from anew.nets.resnet import Discriminator, bounded

APPETITE = 60.0  # examples for each square of the width
SMALL = 16  # side of the small copies of items in which kinds are looked for
RANK = 40  # principal directions of them that tell kinds apart
MOST, MOST_VALUES = 20_000, 30_000_000  # items that kinds are found from, and values of their copies
FAR = 1e6
KINDS, LEAST = 100, 40  # kinds at most, and items of a kind at least, on average
ROWS = 128  # examples that go through a network at a time, where they are small
VALUES = 4_000_000  # their values together at most


@dataclass(frozen=True, slots=True)
class CodesConfig:
    batch: int = knob(64, "examples a step", low=1)
    width: int = knob(32, "channels at the largest size", low=8, high=4096)
    mults: tuple[int, ...] = knob((1, 2), "channels of each size, as multiples of width")
    depth: int = knob(1, "blocks a size and side", low=1, high=64)
    patch: int = knob(2, "side of the patches that the networks see as one position", low=1, high=64)
    levels: tuple[int, ...] = knob((4, 4, 4), "levels of each number of a code, 2 or more; their product is all codes")
    kinds: int = knob(100, "clusters of items that the first code names; 0: there is no such code", low=0, high=65536)
    sharp: float = knob(
        0.0, "weight of what a discriminator says of decoded items; 0: none is trained", low=0.0, high=1e3
    )
    sharp_from: float = knob(0.5, "share of the run after which there is a discriminator", low=0.0, high=0.99)
    judge: int = knob(16, "channels of the discriminator at the largest size", low=8, high=4096)
    penalty: float = knob(1.0, "weight of the discriminator's squared slope at items", low=0.0, high=1e4)
    penalty_every: int = knob(8, "the slope is measured at one of so many items of a step", low=1, high=1024)
    rate: float = knob(0.02, "peak learning rate of matrices (Muon)", low=0.0, high=1.0)
    rate_rest: float = knob(0.002, "peak learning rate of the rest (AdamW)", low=0.0, high=1.0)
    decay: float = knob(0.5, "last share of the run in which the rate falls", low=0.0, high=1.0)
    average: float = knob(0.05, "relative width of the average of weights", low=0.0, high=0.25)
    precision: str = knob("auto", "arithmetic of the networks", choices=("auto", "fp32", "bf16"))


@dataclass(frozen=True, slots=True)
class CodesSampling:
    """A codec draws nothing."""


class Codes(Family):
    """Grids with axes CHW, or CTHW, whose frames are coded one by one."""

    Config: ClassVar[type] = CodesConfig
    Sampling: ClassVar[type] = CodesSampling
    spec_types: ClassVar[tuple[type, ...]] = (Grid,)
    axes: ClassVar[tuple[str, ...] | None] = ("CHW", "CTHW")
    preferred_for: ClassVar[frozenset[str]] = frozenset()
    # What counts is how good items look; with a discriminator the squared error even rises.
    early_stopping: ClassVar[bool] = False
    rationale: ClassVar[str] = "continuous values on a grid, as a row of codes"
    codec_config: ClassVar[Mapping[str, Any] | None] = {}
    latent_spec_type: ClassVar[type] = Tokens
    codec_time_share: ClassVar[float] = (
        0.2  # it is learned long before the family that learns how codes follow each other
    )
    generates: ClassVar[bool] = False

    spec: Grid
    config: CodesConfig
    centre: Tensor  # (P,) mean of small copies of items
    basis: Tensor  # (P, R) their principal directions
    means: Tensor  # (kinds, R) where each kind lies in them

    def __init__(self, spec: Grid, config: CodesConfig) -> None:
        super().__init__(spec, config)
        if spec.axes not in ("CHW", "CTHW"):
            raise ConfigError(f"codes takes grids with axes 'CHW' or 'CTHW', and this one has {spec.axes!r}")
        c = config
        if not c.levels or min(c.levels) < 2:
            raise ConfigError(f"levels={','.join(map(str, c.levels))} is not allowed; give 2 or more for each number")
        shape = (spec.shape[0], *spec.shape[-2:])
        self.coder = Coder(shape, tuple(c.width * m for m in c.mults), c.depth, c.patch, len(c.levels))
        if c.sharp:
            widths = tuple(c.judge * min(2**size, 4) for size in range(len(c.mults)))
            self.judge = Discriminator(0, shape, widths, 1, c.patch)
        self.rows = max(1, min(ROWS, VALUES // math.prod(spec.shape)))
        if c.kinds:
            size = math.prod(self._small())
            self.register_buffer("centre", torch.zeros(size))
            self.register_buffer("basis", torch.zeros(size, min(RANK, size)))
            self.register_buffer("means", torch.zeros(c.kinds, min(RANK, size)))

    @classmethod
    def suggest(cls, spec: Grid, scale: Scale) -> CodesConfig:
        """Few places and few codes: what is learned before is soon good enough, and what learns the codes is soon too small."""
        side = max(spec.shape[-2:])
        small = scale.device == "cpu"
        mults = (1, 2) if side <= 40 else (1, 2, 2)
        places = 6 if side <= 40 else 8 if side <= 128 else 16
        return CodesConfig(
            batch=(64 if side <= 64 else 32 if side <= 128 else 16) * (1 if small else 4),
            width=(32, 48, 64, 96, 128, 192, 256)[min(max(scale.model_size, 0), 6)],
            mults=mults,
            depth=1 if scale.model_size <= 3 else 2,
            patch=math.ceil(side / (places * 2 ** (len(mults) - 1))),
            levels=(4, 4, 4) if spec.shape[0] == 1 else (8, 8, 8),
            kinds=min(KINDS, scale.items // LEAST),
        )

    @classmethod
    def candidate_sizes(cls, spec: Grid, scale: Scale) -> tuple[int, ...]:
        return (0, 1, 2, 3) if scale.device == "cpu" else (2, 3, 4, 5, 6)

    @classmethod
    def target_examples(cls, spec: Grid, config: CodesConfig, scale: Scale) -> float:
        return APPETITE * config.width**2

    # -- learn ----------------------------------------------------------------------------------------------------------

    def fit_closed_form(self, sweep: Iterable[Batch]) -> None:
        """Find the kinds: k-means among principal components of small copies of the items."""
        if not self.config.kinds:
            return
        found: list[Tensor] = []
        for batch in sweep:
            found.append(self._copies(batch.x).cpu())
            if sum(map(len, found)) >= min(MOST, MOST_VALUES / len(self.centre)):
                break
        x, source = torch.cat(found), generator("kinds")
        centre = x.mean(0)
        basis = principal(x - centre, self.basis.shape[1], source)
        inside = (x - centre) @ basis
        where = kmeans(inside, self.config.kinds, source)
        counts = torch.bincount(where, minlength=self.config.kinds)[:, None]
        means = torch.zeros(self.means.shape).index_add_(0, where, inside) / counts.clamp(min=1)
        means[counts[:, 0] == 0] = FAR  # fewer different items than kinds: nothing is nearest to such a one
        for buffer, value in ((self.centre, centre), (self.basis, basis), (self.means, means)):
            buffer.copy_(value)

    def _small(self) -> tuple[int, ...]:
        """The shape of a small copy of an item."""
        *rest, height, breadth = self.spec.shape
        return (*rest, min(SMALL, height), min(SMALL, breadth))

    def _copies(self, x: Tensor) -> Tensor:
        """(B, *shape) -> (B, P) small copies."""
        frames = x.float().flatten(1, -3)  # (B, C, H, W) or (B, C * T, H, W)
        height, breadth = self._small()[-2:]
        return torch.nn.functional.adaptive_avg_pool2d(frames, (height, breadth)).flatten(1)

    def _kind(self, x: Tensor) -> Tensor:
        """(B, 1) the kind of each item x (B, *shape)."""
        inside = (self._copies(x) - self.centre) @ self.basis
        return torch.cdist(inside, self.means).argmin(1, keepdim=True)

    def phases(self) -> tuple[Phase, ...]:
        c = self.config
        coder = Phase("coder", self.coder, self._coder_loss, self.optimizer())
        if not c.sharp:
            return (coder,)
        opponent = OptimizerConfig(
            (
                ParameterGroup(self._is_matrix, "muon", c.rate, momentum=0.8),
                ParameterGroup(lambda name, parameter: True, "adamw", c.rate_rest, betas=(0.0, 0.99)),
            ),
            warmup_steps=20,
            decay=c.decay,
            ema_width=c.average,
            grad_clip=0.0,
        )
        return Phase("judge", self.judge, self._judge_loss, opponent, span=(c.sharp_from, 1.0)), coder

    def optimizer(self) -> OptimizerConfig:
        c = self.config
        return OptimizerConfig(
            (
                ParameterGroup(self._is_matrix, "muon", c.rate),
                ParameterGroup(lambda name, parameter: True, "adamw", c.rate_rest, betas=(0.9, 0.99)),
            ),
            warmup_steps=20,
            decay=c.decay,
            ema_width=c.average,
        )

    @staticmethod
    def _is_matrix(name: str, parameter: Tensor) -> bool:
        return parameter.ndim == 4 and any(f".{part}." in f".{name}" for part in ("stages", "shrink", "grow"))

    def _coder_loss(self, batch: Batch, context: StepContext) -> Loss:
        """Squared error in variances of the data, and what the discriminator says."""
        c, kind, x = self.config, self._dtype(), self._frames(batch.x.float())
        y = self._shown(self._rounded(x, kind), kind)
        wrong = (y - x).square().flatten(1).mean(1) / self.spec.std**2  # (B * T,)
        frames = len(x) // len(batch)
        logs = {"wrong": wrong.mean().detach()}
        total = wrong.sum()
        if c.sharp and context.training and context.progress >= c.sharp_from:
            made = self.judge(y, None, kind)
            with torch.no_grad():
                real = self.judge(x, None, kind)
            total = total + c.sharp * relativistic_loss(made, real).sum()
        return Loss(total / frames, len(batch), logs)

    def _judge_loss(self, batch: Batch, context: StepContext) -> Loss:
        c, kind, x = self.config, self._dtype(), self._frames(batch.x.float())
        with torch.no_grad():
            y = self._shown(self._rounded(x, kind), kind)
        size = len(x)
        logits = self.judge(torch.cat([x, y]), None, kind)
        total = relativistic_loss(logits[:size], logits[size:]).sum()
        turn = lazy_rows(context.step, context.first_row, size, c.penalty_every).to(x.device)
        if len(turn) and c.penalty:
            slope = gradient_penalty(lambda seen: self.judge(seen, None, kind), torch.cat([x[turn], y[turn]]))
            total = total + 0.5 * c.penalty * c.penalty_every * slope.sum()
        apart = torch.sign((logits[:size] - logits[size:]).detach()).mean()
        return Loss(total * len(batch) / size, len(batch), {"apart": apart})

    def _frames(self, x: Tensor) -> Tensor:
        """(B, C, T, H, W) -> (B * T, C, H, W); what has no frames stays as it is."""
        return x.transpose(1, 2).flatten(0, 1) if x.ndim == 5 else x

    def _rounded(self, x: Tensor, kind: torch.dtype) -> Tensor:
        """(B, C, H, W) -> (B, n, h, w) levels."""
        return fsq.quantize(fsq.bound(self.coder.said(x, kind)), self.config.levels)

    def _shown(self, z: Tensor, kind: torch.dtype) -> Tensor:
        x = self.coder.shown(z, kind)
        return bounded(x) if self.spec.bounded else x

    def _dtype(self) -> torch.dtype:
        return arithmetic(self.config.precision, self.device)

    # -- code -----------------------------------------------------------------------------------------------------------

    @property
    def latent(self) -> Tokens:
        """What `encode` gives, and the token that begins each row, which is never drawn. Kinds come behind the codes."""
        begin = math.prod(self.config.levels) + self.config.kinds
        shape = (*self.spec.shape[1:-2], *self.coder.sides)
        length = math.prod(shape) + (1 if self.config.kinds else 0)
        return Tokens(begin + 1, length, {"begin": begin, "rare": begin}, self.spec.classes, packed=False, shape=shape)

    @torch.no_grad()
    def encode(self, x: Tensor) -> Tensor:
        """(B, L) int64 codes of x (B, *shape): its kind, then places row by row."""
        kind, found = self._dtype(), []
        for some in torch.split(x.to(self.device), self.rows):
            z = self._rounded(self._frames(some.float()), kind)
            codes = fsq.values_to_codes(z, self.config.levels).reshape(len(some), -1)
            if self.config.kinds:
                codes = torch.cat([math.prod(self.config.levels) + self._kind(some), codes], 1)
            found.append(codes)
        return torch.cat(found)

    @torch.no_grad()
    def decode(self, z: Tensor) -> Tensor:
        """(B, *shape) items of codes z (B, L); where a row is shorter, as a draft is, its end is the middle of all levels."""
        kind, found = self._dtype(), []
        for some in torch.split(z.to(self.device), self.rows):
            found.append(self._decoded(some, kind))
        return torch.cat(found)

    def _decoded(self, codes: Tensor, kind: torch.dtype) -> Tensor:
        shape, most = self.latent.shape, math.prod(self.config.levels) - 1
        if self.config.kinds:
            codes = codes[:, 1:]
        # A kind where a code should be is improbable, not impossible; it counts as the last code.
        values = fsq.codes_to_values(codes.clamp(max=most), self.config.levels)  # (B, n, l)
        values = torch.nn.functional.pad(values, (0, math.prod(shape) - values.shape[2]))
        if self.spec.axes == "CHW":
            return self._shown(values.view(len(codes), -1, *shape), kind)
        frames = self._frames(values.view(len(codes), -1, *shape))
        shown = self._shown(frames, kind)  # (B * T, C, H, W)
        return shown.view(len(codes), -1, *shown.shape[1:]).transpose(1, 2)

    def sample(self, request: SampleRequest, seed: int) -> Iterator[Tensor]:
        raise ConfigError(
            "codes is a codec and draws nothing by itself; sample a run of a family that works on its codes"
        )


EXPORT = Codes
