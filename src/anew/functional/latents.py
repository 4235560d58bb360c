"""Latent variables: the way between two of them, and what it costs to encode them."""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor

NEARLY_PARALLEL = 1e-3  # radians: below, the sine in the denominator loses its digits


def slerp(start: Tensor, end: Tensor, fractions: Tensor) -> Tensor:
    """(n, K) points at these shares (n,) of the way along the arc from `start` to `end`, (K,) each (spherical linear interpolation,
    Shoemake 1985).

    Lengths are interpolated with the directions, so that normal numbers stay as long as normal numbers are. Nearly
    parallel or opposite ends are joined by a line."""
    cosine = torch.nn.functional.cosine_similarity(start, end, dim=0, eps=1e-12).clamp(-1.0, 1.0)
    angle = torch.arccos(cosine)
    if float(angle) < NEARLY_PARALLEL or float(angle) > torch.pi - NEARLY_PARALLEL:
        return torch.lerp(start[None], end[None], fractions[:, None])
    start_weight = torch.sin((1 - fractions) * angle) / torch.sin(angle)  # (n,)
    end_weight = torch.sin(fractions * angle) / torch.sin(angle)  # (n,)
    return start_weight[:, None] * start + end_weight[:, None] * end


def normal_kl(mean: Tensor, log_scale: Tensor, prior_mean: Tensor, prior_log_scale: Tensor) -> Tensor:
    """KL(N(mean, exp(log_scale)^2) || N(prior_mean, exp(prior_log_scale)^2)) of each value, in nats."""
    log_ratio = log_scale - prior_log_scale
    distance = (mean - prior_mean) * torch.exp(-prior_log_scale)
    return 0.5 * (torch.exp(2 * log_ratio) + distance.square() - 1.0) - log_ratio


def kl_from_wider_normals(
    mean: Tensor, log_scale: Tensor, prior_mean: Tensor, prior_log_scale: Tensor, factors: Mapping[float, float]
) -> Tensor:
    """(B,) bounds on the divergence of all values of an item together from a mixture of priors that are wider by a factor.

    KL(q || sum_k w_k p_k) <= -log sum_k w_k exp(-KL(q || p_k)), by Jensen's inequality.

    Args:
        mean, log_scale, prior_mean, prior_log_scale: (B, ...), see `normal_kl`.
        factors: The weight w_k of each factor.
    """
    bounds = [
        math.log(weight)
        - normal_kl(mean, log_scale, prior_mean, prior_log_scale + math.log(factor)).flatten(1).sum(1).cpu().double()
        for factor, weight in factors.items()
    ]
    return -torch.stack(bounds).logsumexp(0)


def sum_with_free_bits(kl: Tensor, free_nats: float) -> Tensor:
    """(B,) sums of divergences (B, G), of which the first `free_nats` of each group cost the same whether they are used or not.

    Free bits (arXiv 1606.04934, appendix C.8) of each example instead of a batch's mean, so that how a batch is cut
    changes nothing. A group below its free nats has no gradient."""
    return kl.clamp(min=free_nats).sum(1)


def unit_scale(means: Tensor, log_scales: Tensor) -> tuple[Tensor, Tensor]:
    """Centre (c,) and scale (c,) of each channel that bring posterior means (N, c, h, w) to unit deviation over all channels.

    The spread of a channel includes its noise, so that a channel whose means hardly move stays small and its noise is not
    amplified."""
    centre = means.mean((0, 2, 3))  # (c,)
    noise_variance = (2 * log_scales).exp().mean((0, 2, 3))  # (c,)
    spread = (means.var((0, 2, 3), correction=0) + noise_variance).sqrt()  # (c,)
    per_channel = (-1, 1, 1)
    overall = ((means - centre.view(per_channel)) / spread.view(per_channel)).square().mean().sqrt()
    return centre, (spread * overall).clamp(min=1e-6)


def latent_mask(mask: Tensor, sides: tuple[int, int]) -> Tensor:
    """(B, 1, *sides) 1 at the latents around which all values are given. mask: (B, C, H, W) 1 where a value is given."""
    is_open = torch.nn.functional.adaptive_max_pool2d(1.0 - mask.amin(1, keepdim=True), sides)  # (B, 1, h, w)
    return 1.0 - is_open
