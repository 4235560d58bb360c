"""A family of one's own that hands out its graph."""

from __future__ import annotations

OWN_FAMILY = """
from dataclasses import dataclass

import torch
from torch import nn

from anew.core.random import StepContext, generator
from anew.core.settings import setting
from anew.core.specs import Grid
from anew.families import portable
from anew.families.base import Family
from anew.families.phases import Loss, OptimizerConfig, ParameterGroup


@dataclass(frozen=True, slots=True)
class Config:
    batch_size: int = setting(8, "examples per step", low=1)


@dataclass(frozen=True, slots=True)
class Sampling:
    pass


class Own(Family):
    Config, Sampling, spec_types = Config, Sampling, (Grid,)

    def __init__(self, spec, config):
        super().__init__(spec, config)
        self.net = nn.Linear(4, 144)

    @classmethod
    def suggest(cls, spec, scale):
        return Config()

    def optimizer(self):
        return OptimizerConfig((ParameterGroup(lambda name, p: True, "adamw", 0.01),))

    def loss(self, batch, context):
        made = self.net(context.normal("z", (len(batch), 4)))
        return Loss((made - batch.x.flatten(1)).square().sum(), len(batch))

    def make(self, z):
        return torch.tanh(self.net(z)).view(-1, 1, 12, 12)

    @torch.no_grad()
    def sample(self, request, seed):
        rows = [torch.randn(4, generator=generator(seed, i)) for i in range(request.n)]
        yield self.make(torch.stack(rows))

    def portable_sampler(self):
        graph = portable.Graph("maker", self, self.make, {"z": torch.zeros(2, 4)}, ("x",))
        return portable.PortableSampler((graph,), (portable.normal("z", 4), portable.run("maker", "z", out="x")))


EXPORT = Own
"""
