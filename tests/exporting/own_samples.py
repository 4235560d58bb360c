"""Samples of a run by its own family, with which those of exported programs and pages are compared."""

from __future__ import annotations

from torch import Tensor

import anew
from anew.core.specs import SampleRequest

N, SEED = 5, 3


def values(model: anew.Model) -> tuple[Tensor, SampleRequest]:
    """Samples of the run (N, *shape), and the request that asks for them."""
    request = model.request(N, SEED)
    *_, x = model.family.sample(request, SEED)
    return (x if model.codec is None else model.codec.decode(x)), request
