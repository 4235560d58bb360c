"""Two networks against each other: the loss, the penalty that makes it converge, and signs that it does not."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional

POOLED = 16  # sides that variety is measured at
KEPT = 0.95  # of the running means
COLLAPSED = 0.25  # of the variety of real items: what has less has collapsed


def ahead(mine: Tensor, other: Tensor) -> Tensor:
    """(B,) losses that fall as the logits `mine` (B,) rise over those of their partners: softplus(other - mine).

    The relativistic pairing loss (arXiv 1807.00734; R3GAN, arXiv 2501.05441, eq. 2): each generated item is judged against
    a real one, so that no mode of the data can be left out without a loss.
    """
    return functional.softplus(other - mine)


def squared_slope(critic: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    """(B,) squared norm of the gradient of each row's logit by the row x (B, ...), itself differentiable: the zero-centred
    penalty R1 on real items and R2 on generated ones (arXiv 1801.04406, eq. 9)."""
    x = x.detach().requires_grad_(True)
    (slope,) = torch.autograd.grad(critic(x).sum(), x, create_graph=True)
    return slope.float().flatten(1).square().sum(1)


def penalised(step: int, first: int, count: int, every: int) -> Tensor:
    """Indices of the rows, of `count` from the global row `first` on, whose turn it is: an `every`-th part of the rows a
    step instead of all rows each `every`-th step, so that steps cost the same. A function of global rows alone."""
    return torch.arange(min(count, (step - first) % every), count, every)


@torch.no_grad()
def variety(made: Tensor, real: Tensor) -> Tensor:
    """How far apart items made (B, C, H, W) lie, as a share of how far apart real ones do, about 1 when all is well.

    The smaller of two ratios: of mean distances (all items alike) and of mean distances to the nearest other one (few kinds
    of items, each many times). 1 where real ones are all alike or there is but one.
    """
    if len(made) < 2:
        return torch.ones((), device=made.device)
    ratios = [a / b for a, b in zip(_distances(made), _distances(real), strict=True) if float(b) > 1e-6]
    return torch.stack(ratios).min() if ratios else torch.ones((), device=made.device)


def _distances(x: Tensor) -> tuple[Tensor, Tensor]:
    """Mean distance and mean distance to the nearest other row."""
    pooled = (min(POOLED, x.shape[2]), min(POOLED, x.shape[3]))
    flat = functional.adaptive_avg_pool2d(x.float(), pooled).flatten(1)
    apart = torch.cdist(flat, flat)
    others = apart + torch.diag(torch.full((len(x),), torch.inf, device=x.device))
    return apart.sum() / (len(x) * (len(x) - 1)), others.min(1).values.mean()


def running(mean: Tensor, value: float) -> Tensor:
    """The running mean after one more value."""
    return mean * KEPT + value * (1.0 - KEPT)
