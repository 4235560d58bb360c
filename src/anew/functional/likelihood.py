"""Log-likelihood of 8-bit values under mixtures of logistic distributions (PixelCNN++, arXiv 1701.05517, section 2.1).

Values lie on the 256 levels of [-1, 1]; the mass of a level is the integral of the density over its bin, and the
outermost bins reach to infinity, so that all masses sum to 1.

Legend for shapes: B items, K components, C channels, H rows, W columns.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from anew.core.machine.device import move

HALF_BIN = 1.0 / 255.0  # half of the distance between two levels
BITS_PER_LEVEL = 8.0  # of a value under the uniform distribution of the levels
# One item in so many is taken for noise: 0.006 bits for an item like the data, 8 above the uniform distribution for any other; chosen.
ITEMS_PER_NOISE = 256
LOG_SCALE_GAIN = 4.0  # scales range over several orders of magnitude, so that they must move faster than centres do
INITIAL_LOG_SCALE = -1.5  # in an untrained network a bin holds little of the mass, so that all pixels have a gradient
# A level's bin holds at most 97% of the mass, so that a value costs 0.04 bits at least: little where values cost whole bits, and
# gradients stay finite.
MIN_LOG_SCALE = -7.0
# Largest log scale of a component: one this wide gives the inner levels one part in 10,000, and a wider one gains nothing. Unbounded
# scales end in the logarithm of 0.
MAX_LOG_SCALE = 9.0


@dataclass(frozen=True, slots=True)
class LogisticMixture:
    """A mixture for each position, whose components span the channels: given the component, channels are independent.

    Attributes:
        logits: (B, K, H, W) log weights up to a constant.
        means: (B, K, C, H, W).
        log_scales: (B, K, C, H, W).
    """

    logits: Tensor
    means: Tensor
    log_scales: Tensor

    @classmethod
    def num_parameters(cls, num_components: int, channels: int) -> int:
        """Numbers per position that `from_network` reads."""
        return num_components * (1 + 2 * channels)

    @classmethod
    def from_network(cls, output: Tensor, num_components: int, channels: int) -> LogisticMixture:
        """The mixture that a network's output (B, K (1 + 2 C), H, W) describes. Zeros are wide components that lie apart from
        each other."""
        output = output.float()
        sizes = [num_components, num_components * channels, num_components * channels]
        logits, means, scales = torch.split(output, sizes, 1)
        shape = (output.shape[0], num_components, channels, *output.shape[2:])
        offsets = torch.linspace(-0.5, 0.5, num_components) if num_components > 1 else torch.zeros(1)
        means = means.reshape(shape) + move(offsets, output.device)[:, None, None, None]
        log_scales = (LOG_SCALE_GAIN * scales.reshape(shape) + INITIAL_LOG_SCALE).clamp(MIN_LOG_SCALE, MAX_LOG_SCALE)
        return cls(logits, means, log_scales)

    def log_prob(self, x: Tensor) -> Tensor:
        """(B,) nats of x (B, C, H, W), summed over positions."""
        x = x[:, None]  # (B, 1, C, H, W)
        inverse_scale = torch.exp(-self.log_scales)
        centred = x - self.means
        upper = inverse_scale * (centred + HALF_BIN)
        lower = inverse_scale * (centred - HALF_BIN)
        # sigmoid(a) - sigmoid(b) = sigmoid(a) sigmoid(-b) (1 - exp(b - a)): no difference of nearly equal numbers.
        log_below_upper = torch.where(x > 1.0 - HALF_BIN, 0.0, functional.logsigmoid(upper))
        log_above_lower = torch.where(x < HALF_BIN - 1.0, 0.0, functional.logsigmoid(-lower))
        log_bin_width = torch.log(-torch.expm1(-2 * HALF_BIN * inverse_scale))
        is_inner = (x.abs() < 1.0 - HALF_BIN).to(log_bin_width.dtype)
        by_component = (log_below_upper + log_above_lower + is_inner * log_bin_width).sum(2)  # (B, K, H, W)
        return torch.logsumexp(self.logits.log_softmax(1) + by_component, 1).flatten(1).sum(1)

    def mean(self) -> Tensor:
        """(B, C, H, W) expected values, each component's centre taken within [-1, 1]."""
        return (self.logits.softmax(1)[:, :, None] * self.means.clamp(-1.0, 1.0)).sum(1)

    def sample(self, uniform: Tensor) -> Tensor:
        """(B, C, H, W) values on the 256 levels from uniform numbers (B, 1 + C, H, W) in [0, 1)."""
        cumulative = self.logits.softmax(1).cumsum(1)  # (B, K, H, W)
        component = (uniform[:, :1] >= cumulative).sum(1).clamp(max=cumulative.shape[1] - 1)  # (B, H, W)
        noise = torch.logit(uniform[:, 1:].clamp(1e-6, 1 - 1e-6))  # (B, C, H, W) standard logistic
        value = self._of_component(self.means, component)
        value = value + noise * self._of_component(self.log_scales, component).exp()
        levels: Tensor = ((value.clamp(-1.0, 1.0) + 1.0) / (2 * HALF_BIN)).round() * (2 * HALF_BIN) - 1.0
        return levels

    @staticmethod
    def _of_component(values: Tensor, component: Tensor) -> Tensor:
        """(B, C, H, W) of values (B, K, C, H, W) at the components (B, H, W)."""
        index = component[:, None, None].expand(-1, 1, values.shape[2], -1, -1)
        return values.gather(1, index).squeeze(1)


def mean_bits(codings: Sequence[Tensor]) -> Tensor:
    """(B,) bits of the mean of the probabilities that several codings of the same items have, from their bits (B,)."""
    if len(codings) == 1:
        return codings[0].cpu().double()
    log_probs = torch.stack([bits.cpu().double() for bits in codings]) * -math.log(2.0)  # (codings, B)
    return -(log_probs.logsumexp(0) - math.log(len(codings))) / math.log(2.0)


def bits_with_noise(bits: Tensor, num_values: int) -> Tensor:
    """(B,) bits of items of num_values values that cost `bits` (B,) under a model, if one item in `ITEMS_PER_NOISE` may be noise
    on the levels: at most 8 bits a value, and 8 bits more."""
    by_model = bits.cpu().double() * -math.log(2.0) + math.log1p(-1.0 / ITEMS_PER_NOISE)  # (B,) nats
    by_noise = torch.full_like(by_model, -math.log(2.0) * BITS_PER_LEVEL * num_values - math.log(ITEMS_PER_NOISE))
    return torch.logaddexp(by_model, by_noise) / -math.log(2.0)
