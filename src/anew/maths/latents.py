"""Latent variables: moving between two of them."""

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
