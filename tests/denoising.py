"""The random numbers that diffusion draws, for samplers that are compared with it."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from anew.core.random import evenly_spread, normal_rows, sample_generator
from anew.core.specs import SampleRequest
from anew.families.known import KnownValues


def drawn_inputs(family: Any, request: SampleRequest, seed: int, known: KnownValues | None = None) -> dict[str, Tensor]:
    """What a portable sampler is given, by name, to make the samples of the family. known: Values that are given."""
    keys = request.sample_keys(seed)
    generators = [sample_generator(row_seed, "draw", index) for row_seed, index in keys]
    noise, shape, size = family._noise(generators), family.spec.shape, family.layout.size
    renoise = [normal_rows(generators, size).view(-1, *shape) for _ in range(family.num_drafts(request) - 1)]
    component = family._choose_component(request, evenly_spread(keys, "component"), known)
    inputs = {name: noise[name] for name in ("basis_noise", "residual_noise")}
    inputs |= {"noise": noise["noise"].view(-1, *shape), "component": component}
    inputs |= {"renoise": torch.stack(renoise, 1)} if renoise else {}
    parts = family.layout.sampled_parts(family.mixture, component, noise["choices"], known)
    return inputs if parts is None else inputs | {"last": parts.sum(1) - 1}
