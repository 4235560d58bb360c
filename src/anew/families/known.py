"""Known values of samples on a grid, which families keep."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from anew.core.specs import Condition
from anew.errors import ConfigError


class KnownValues(NamedTuple):
    """values: (n, D); mask: (n, D) bool, which of them are known."""

    values: Tensor
    mask: Tensor


def known_values(
    condition: Condition | None, n: int, shape: tuple[int, ...], device: torch.device
) -> KnownValues | None:
    """The known values of n samples, from a condition; None without one.

    Raises:
        ConfigError: It has another shape.
    """
    if condition is None:
        return None
    mask = torch.ones_like(condition.x) if condition.mask is None else condition.mask
    try:
        values = condition.x.to(device).float().expand(n, *shape).flatten(1)
        return KnownValues(values, mask.to(device).expand(n, *shape).flatten(1) > 0.5)
    except RuntimeError as error:
        x_shape = tuple(condition.x.shape)
        raise ConfigError(f"known values must have the shape {shape} (got {x_shape})") from error
