"""Latent variables: moving between two of them, and what it costs to say them."""

from __future__ import annotations

import torch
from torch import Tensor


def slerp(one: Tensor, other: Tensor, share: Tensor) -> Tensor:
    """(n, K) points at `share` (n,) of the way from one (K,) to other (K,) along the arc between them.

    Shoemake 1985: sin((1 - t) a) / sin a, sin(t a) / sin a for the angle a between the two; lengths are interpolated
    with them, so that normal numbers stay as long as normal numbers are. Nearly parallel ends are joined by a line.
    """
    cosine = torch.nn.functional.cosine_similarity(one, other, dim=0, eps=1e-12).clamp(-1.0, 1.0)
    angle = torch.arccos(cosine)
    if float(angle) < 1e-3 or float(angle) > torch.pi - 1e-3:
        return torch.lerp(one[None], other[None], share[:, None])
    weights = [torch.sin((1 - share) * angle) / torch.sin(angle), torch.sin(share * angle) / torch.sin(angle)]
    return weights[0][:, None] * one + weights[1][:, None] * other


def normal_divergence(mean: Tensor, log_scale: Tensor, other_mean: Tensor, other_log_scale: Tensor) -> Tensor:
    """KL(N(mean, exp(log_scale)^2) || N(other_mean, exp(other_log_scale)^2)) of each value, in nats."""
    gap = log_scale - other_log_scale
    distance = (mean - other_mean) * torch.exp(-other_log_scale)
    return 0.5 * (torch.exp(2 * gap) + distance.square() - 1.0) - gap


def free_nats(divergence: Tensor, free: float) -> Tensor:
    """(B,) sums of divergences (B, G), where each group has `free` nats that cost no more when they are given back.

    Free bits (arXiv 1606.04934, appendix C.8) of each example instead of a batch's mean, so that how a batch is cut
    changes nothing. A group below its free nats has no gradient.
    """
    return divergence.clamp(min=free).sum(1)


def unit_scale(means: Tensor, log_scales: Tensor) -> tuple[Tensor, Tensor]:
    """(c,) centres and (c,) scales that bring posterior means (N, c, h, w) to unit deviation over all channels.

    Channels are measured by the spread of samples, so that one whose means hardly move stays small beside the others
    and its noise is not blown up.
    """
    centre, total = means.mean((0, 2, 3)), (2 * log_scales).exp().mean((0, 2, 3))
    spread = (means.var((0, 2, 3), correction=0) + total).sqrt()
    shape = (-1, 1, 1)
    whole = ((means - centre.view(shape)) / spread.view(shape)).square().mean().sqrt()
    return centre, (spread * whole).clamp(min=1e-6)
