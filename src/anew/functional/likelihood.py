"""How likely 8-bit values are under mixtures of logistic distributions (PixelCNN++, arXiv 1701.05517, section 2.1).

Values lie on the 256 levels of [-1, 1]; the mass of a level is the integral of the density over its bin, and the
outermost bins reach to infinity, so that all masses sum to 1.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

HALF = 1.0 / 255.0  # half of the distance between two levels
PACE = 4.0  # log scale for a unit of a network's output
LOWEST = -7.0  # log scale under which a level's bin holds all of the mass anyway


@dataclass(frozen=True, slots=True)
class LogisticMixture:
    """A mixture for each position, whose components span the channels: given the component, channels are independent.

    logits (B, K, H, W): log weights up to a constant; means, log_scales (B, K, C, H, W).
    """

    logits: Tensor
    means: Tensor
    log_scales: Tensor

    @classmethod
    def parameters(cls, components: int, channels: int) -> int:
        """Numbers a position that `of` reads."""
        return components * (1 + 2 * channels)

    @classmethod
    def of(cls, raw: Tensor, components: int, channels: int) -> LogisticMixture:
        """From a network's output (B, K (1 + 2 C), H, W); raw zeros are wide components that lie apart from each other."""
        raw = raw.float()
        shape = (len(raw), components, channels, *raw.shape[2:])
        ends = components, components * (1 + channels)
        means, scales = raw[:, ends[0] : ends[1]].reshape(shape), raw[:, ends[1] :].reshape(shape)
        apart = torch.linspace(-0.5, 0.5, components) if components > 1 else torch.zeros(1)
        means = means + apart.to(raw.device)[:, None, None, None]
        # Scales range over several orders of magnitude, so that they move faster than centres do.
        return cls(raw[:, : ends[0]], means, (PACE * scales - 1.5).clamp(min=LOWEST))

    def log_probability(self, x: Tensor) -> Tensor:
        """(B,) nats of x (B, C, H, W), summed over positions."""
        x = x[:, None]  # (B, 1, C, H, W)
        steep = torch.exp(-self.log_scales)
        centred = x - self.means
        above, below = steep * (centred + HALF), steep * (centred - HALF)
        # sigmoid(a) - sigmoid(b) = sigmoid(a) sigmoid(-b) (1 - exp(b - a)): no difference of nearly equal numbers.
        left = torch.where(x > 1.0 - HALF, 0.0, functional.logsigmoid(above))
        right = torch.where(x < HALF - 1.0, 0.0, functional.logsigmoid(-below))
        width = torch.log(-torch.expm1(-2 * HALF * steep))
        inner = (x.abs() < 1.0 - HALF).to(width.dtype)
        each = (left + right + inner * width).sum(2)  # (B, K, H, W)
        return torch.logsumexp(self.logits.log_softmax(1) + each, 1).flatten(1).sum(1)

    def mean(self) -> Tensor:
        """(B, C, H, W) expected values, each component's centre taken within [-1, 1]."""
        return (self.logits.softmax(1)[:, :, None] * self.means.clamp(-1.0, 1.0)).sum(1)

    def sample(self, uniform: Tensor) -> Tensor:
        """(B, C, H, W) values on the 256 levels from uniform numbers (B, 1 + C, H, W) in [0, 1)."""
        ends = self.logits.softmax(1).cumsum(1)  # (B, K, H, W)
        chosen = (uniform[:, :1] >= ends).sum(1).clamp(max=ends.shape[1] - 1)
        place = torch.logit(uniform[:, 1:].clamp(1e-6, 1 - 1e-6))  # (B, C, H, W)
        value = self._of_component(self.means, chosen)
        value = value + place * self._of_component(self.log_scales, chosen).exp()
        levels: Tensor = ((value.clamp(-1.0, 1.0) + 1.0) / (2 * HALF)).round() * (2 * HALF) - 1.0
        return levels

    @staticmethod
    def _of_component(values: Tensor, chosen: Tensor) -> Tensor:
        """(B, C, H, W) of (B, K, C, H, W) at the components (B, H, W)."""
        index = chosen[:, None, None].expand(-1, 1, values.shape[2], -1, -1)
        return values.gather(1, index).squeeze(1)


def mean_bits(views: Sequence[Tensor]) -> Tensor:
    """(B,) bits of the mean of the probabilities that codings of the same items have."""
    if len(views) == 1:
        return views[0].double()
    stacked = torch.stack([view.double() for view in views]) * -math.log(2.0)  # (views, B)
    return -(stacked.logsumexp(0) - math.log(len(views))) / math.log(2.0)
