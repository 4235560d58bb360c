"""Two networks against each other: the loss, the penalty that makes it converge, and signs that it does not."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional

POOLED_SIDE = 16  # sides that diversity is measured at: it is about whole items, not about their finest detail
# Decay of the running means, which cover about the last 20 steps: fewer would take one odd batch for a collapse; chosen.
RUNNING_DECAY = 0.95
# A diversity ratio below this is a collapse; chosen: samples of good runs had a variety of 0.74 at least
# (docs/log.md, 2026-11-25).
COLLAPSED = 0.25


def relativistic_loss(own_logits: Tensor, other_logits: Tensor) -> Tensor:
    """Losses that fall as logits rise over those of their partners: softplus(other - own).

    The relativistic pairing loss (arXiv 1807.00734; R3GAN, arXiv 2501.05441, eq. 2): each generated item is judged against
    a real one, so that no mode of the data can be left out without a loss.

    Args:
        own_logits: (B,) of the side whose loss it is.
        other_logits: (B,) of the other side.

    Returns:
        (B,).
    """
    return functional.softplus(other_logits - own_logits)


def gradient_penalty(discriminator: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    """(B,) squared norm of the gradient of each row's logit with respect to the row x (B, ...), itself differentiable: the
    zero-centred penalty R1 on real items and R2 on generated ones (arXiv 1801.04406, eq. 9)."""
    x = x.detach().requires_grad_(True)
    (grad,) = torch.autograd.grad(discriminator(x).sum(), x, create_graph=True)
    return grad.float().flatten(1).square().sum(1)


def lazy_rows(step: int, first_row: int, count: int, interval: int) -> Tensor:
    """Indices of the rows whose turn it is to be penalised.

    An `interval`-th part of the rows at each step, instead of all rows at each `interval`-th step (the lazy regularisation
    of StyleGAN2, arXiv 1912.04958), so that all steps cost the same. A function of global rows alone.

    Args:
        first_row: Global index of row 0.
        interval: One row in `interval` is chosen.
    """
    return torch.arange(min(count, (step - first_row) % interval), count, interval)


@torch.no_grad()
def diversity_ratio(generated: Tensor, real: Tensor) -> Tensor:
    """Mean distance between generated items, as a share of that between real ones: about 1 when all is well.

    The smaller of two ratios: of mean distances (all items alike) and of mean distances to the nearest other item (few
    kinds of items, each many times). 1 where real items are all alike or there is but one.

    Args:
        generated: (B, C, H, W).
        real: (B, C, H, W).

    Returns:
        A scalar.
    """
    if len(generated) < 2:
        return torch.ones((), device=generated.device)
    pairs = zip(_distances(generated), _distances(real), strict=True)
    # No number is read from the device, which would wait for all of its work
    ratios = [torch.where(theirs > 1e-6, ours / theirs, torch.inf) for ours, theirs in pairs]
    smallest = torch.stack(ratios).min()
    return torch.where(smallest.isinf(), 1.0, smallest)


def _distances(x: Tensor) -> tuple[Tensor, Tensor]:
    """Mean distance and mean distance to the nearest other row of x (B, C, H, W)."""
    sides = (min(POOLED_SIDE, x.shape[2]), min(POOLED_SIDE, x.shape[3]))
    rows = functional.adaptive_avg_pool2d(x.float(), sides).flatten(1)
    distances = torch.cdist(rows, rows)  # (B, B)
    to_others = distances + torch.diag(torch.full((len(x),), torch.inf, device=x.device))
    return distances.sum() / (len(x) * (len(x) - 1)), to_others.min(1).values.mean()


def update_running_mean(mean: Tensor, value: float) -> Tensor:
    """The running mean after one more value."""
    return mean * RUNNING_DECAY + value * (1.0 - RUNNING_DECAY)
