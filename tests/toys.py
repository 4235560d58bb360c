"""Small families and data with known answers, for tests of what is around them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from anew.core.random import Dropout, StepContext, generator
from anew.core.settings import setting
from anew.core.specs import Batch, Grid, SampleRequest
from anew.families.base import Family, Scale
from anew.families.phases import Loss, OptimizerConfig, ParameterGroup, Phase
from anew.families.transformer.counts.record_noise import RecordNoise
from anew.families.transformer.family import Transformer


class Points:
    """Batches of points around a circle: a pure function of (step, row)."""

    def __init__(self, poison: int | None = None) -> None:
        self.poison = poison
        self.seen: list[tuple[int, int, int]] = []

    def batch(self, step: int, phase: str, first: int, count: int, size: int) -> Batch:
        self.seen.append((step, first, count))
        angle = torch.rand(size, generator=generator("points", step)) * 6.2832
        x = torch.stack([angle.cos(), angle.sin()], dim=1).view(size, 1, 1, 2)
        if self.poison is not None and step == self.poison:
            x = x * float("nan")
        return Batch(x[first : first + count])

    def prefetch(self, step: int, phase: str, first: int, count: int, size: int) -> None: ...


@dataclass(frozen=True, slots=True)
class ToyConfig:
    batch_size: int = setting(16, "examples per step", low=1)
    width: int = setting(16, "hidden width", low=2, high=4096)
    dropout: float = setting(0.1, "share dropped", low=0.0, high=0.9)


@dataclass(frozen=True, slots=True)
class ToySampling:
    spread: float = setting(1.0, "size of the noise", low=0.0, high=10.0)


def groups(lr: float = 0.01) -> OptimizerConfig:
    matrix = ParameterGroup(lambda name, p: p.ndim == 2, "muon", lr)
    return OptimizerConfig((matrix, ParameterGroup(lambda name, p: True, "adamw", lr)), warmup_steps=2, decay=0.5)


class Toy(Family):
    """Predicts a point from the point with noise on it."""

    Config: ClassVar[type] = ToyConfig
    Sampling: ClassVar[type] = ToySampling
    spec_types: ClassVar[tuple[type, ...]] = (Grid,)

    def __init__(self, spec: Any, config: Any) -> None:
        super().__init__(spec, config)
        size = int(torch.tensor(spec.shape).prod())
        self.blocks = nn.ModuleList([nn.Linear(size, config.width), nn.Linear(config.width, size)])
        self.drop = Dropout(config.dropout)

    @classmethod
    def suggest(cls, spec: Any, scale: Scale) -> ToyConfig:
        return ToyConfig(width=16 * 2**scale.model_size)

    def optimizer(self) -> OptimizerConfig:
        return groups()

    def net(self, x: Tensor) -> Tensor:
        hidden = self.drop(torch.tanh(self.blocks[0](x.flatten(1))))
        return self.blocks[1](hidden).view(x.shape)

    def loss(self, batch: Batch, context: StepContext) -> Loss:
        noise = context.normal("noise", batch.x.shape)
        error = (self.net(batch.x + 0.3 * noise) - batch.x).square().flatten(1).mean(1)
        return Loss(error.sum(), len(batch))

    def sample(self, request: SampleRequest, seed: int) -> Iterator[Tensor]:
        sampling = request.sampling or ToySampling()
        with torch.no_grad():
            x = (
                StepContext(seed, 0, phase="sample", first_row=request.first_index).normal(
                    "noise", (request.n, *self.spec.shape)
                )
                * sampling.spread
            )
            yield self.net(x)


class TwoPhase(Toy):
    """Two modules with a loss each, the second acting in the later half."""

    def __init__(self, spec: Any, config: Any) -> None:
        super().__init__(spec, config)
        self.discriminator = nn.Linear(2, 1)

    def phases(self) -> tuple[Phase, ...]:
        return (
            Phase("discriminator", self.discriminator, self.discriminator_loss, groups()),
            Phase("generator", self.blocks, self.loss, groups(), span=(0.5, 1.0)),
        )

    def discriminator_loss(self, batch: Batch, context: StepContext) -> Loss:
        generated = self.net(context.normal("z", batch.x.shape)).flatten(1)
        return Loss((self.discriminator(generated) - self.discriminator(batch.x.flatten(1))).square().sum(), len(batch))


POINT = Grid((1, 1, 2), "CHW", 0, 0.7)
EXPORT = Toy


def last_draft(family: Family, request: SampleRequest, seed: int = 0) -> Tensor:
    """The samples that a family draws."""
    *_, samples = family.sample(request, seed)
    return samples


def score_as_drawn(family: Family) -> None:
    """From now on, score records with the uniform distribution with which samples are drawn, not with `RecordNoise`."""
    assert isinstance(family, Transformer)
    family.mixer.noise = RecordNoise(family.mixer.uniform, None)


def stripes(n: int, classes: int, seed: int = 0) -> Batch:
    """Images of 8 x 8 whose rows (class 0) or columns (class 1) are bright in a random half."""
    rng = torch.Generator().manual_seed(seed)
    label = torch.randint(2, (n,), generator=rng)
    bright = torch.rand((n, 8), generator=rng) < 0.5
    lines = torch.where(bright, 0.8, -0.8)
    x = torch.where(label[:, None, None] == 0, lines[:, :, None], lines[:, None, :]).expand(n, 8, 8)
    return Batch(x[:, None].contiguous(), label if classes else None)
