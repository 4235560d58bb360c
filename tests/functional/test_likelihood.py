from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from anew.functional.likelihood import HALF_BIN, LogisticMixture, bits_with_noise

LEVELS = torch.arange(256) * 2 * HALF_BIN - 1.0


def mixture(
    seed: int = 0, count: int = 1, components: int = 3, channels: int = 1, spread: float = 1.0
) -> LogisticMixture:
    rng = torch.Generator().manual_seed(seed)
    size = LogisticMixture.num_parameters(components, channels)
    return LogisticMixture.from_network(spread * torch.randn(count, size, 2, 2, generator=rng), components, channels)


def one_pixel(raw: list[float], values: Tensor) -> LogisticMixture:
    return LogisticMixture.from_network(
        torch.tensor(raw).view(1, -1, 1, 1).expand(len(values), -1, 1, 1), len(raw) // 3, 1
    )


@given(st.lists(st.floats(-6, 6), min_size=6, max_size=6))
@settings(deadline=None)
def test_masses_of_all_levels_sum_to_one(raw: list[float]) -> None:
    values = LEVELS.view(-1, 1, 1, 1)
    assert float(one_pixel(raw, values).log_prob(values).exp().sum()) == pytest.approx(1.0, abs=1e-3)


def test_a_mass_is_a_difference_of_the_distribution_function() -> None:
    values = torch.tensor([-1.0, -0.2, 0.6, 1.0]).view(-1, 1, 1, 1)
    values = ((values + 1) / (2 * HALF_BIN)).round() * 2 * HALF_BIN - 1
    masses = one_pixel([0.0, 0.1, -0.125], values).log_prob(values).exp()

    def below(x: Tensor) -> Tensor:
        return torch.sigmoid((x - 0.1) / torch.exp(torch.tensor(-2.0)))

    x = values.flatten()
    upper = torch.where(x > 0.99, 1.0, below(x + HALF_BIN))
    lower = torch.where(x < -0.99, 0.0, below(x - HALF_BIN))
    assert torch.allclose(masses, upper - lower, atol=1e-5)


@pytest.mark.parametrize("output", [-50.0, 50.0])
def test_the_narrowest_and_widest_components_stay_finite_with_gradient(output: float) -> None:
    raw = torch.full((1, LogisticMixture.num_parameters(2, 3), 2, 2), output, requires_grad=True)
    for value in (-1.0, 0.0, 1.0):
        nats = LogisticMixture.from_network(raw, 2, 3).log_prob(torch.full((1, 3, 2, 2), value))
        nats.sum().backward()
        assert torch.isfinite(nats).all()
    assert raw.grad is not None
    assert torch.isfinite(raw.grad).all()


def test_samples_have_the_frequencies_of_the_masses() -> None:
    count = 40_000
    values = LEVELS.view(-1, 1, 1, 1)
    raw = [0.5, -0.5, -0.6, 0.7, 0.1, -0.1]
    masses = one_pixel(raw, values).log_prob(values).exp()
    uniform = torch.rand((count, 2, 1, 1), generator=torch.Generator().manual_seed(0))
    drawn = one_pixel(raw, uniform).sample(uniform)
    index = ((drawn.flatten() + 1) / (2 * HALF_BIN)).round().long()
    shares = torch.bincount(index, minlength=256) / count
    assert float((shares - masses).abs().sum()) < 0.1
    assert float(drawn.mean()) == pytest.approx(float((masses * LEVELS).sum()), abs=0.02)


def test_the_mean_is_between_the_centres() -> None:
    distribution = mixture(count=5, channels=3, spread=0.5)
    centres = distribution.means.clamp(-1, 1)  # (B, K, C, H, W)
    assert (distribution.mean() <= centres.amax(1) + 1e-6).all()
    assert (distribution.mean() >= centres.amin(1) - 1e-6).all()


def test_channels_share_the_component() -> None:
    """With two far components, channels agree about which one it is."""
    raw = torch.zeros(1, LogisticMixture.num_parameters(2, 3), 1, 1)
    raw[0, 2:8, 0, 0] = torch.tensor([-0.8, -0.8, -0.8, 0.8, 0.8, 0.8])
    raw[0, 8:] = -1.0
    uniform = torch.rand((64, 4, 1, 1), generator=torch.Generator().manual_seed(0))
    drawn = LogisticMixture.from_network(raw.expand(64, -1, 1, 1), 2, 3).sample(uniform)
    assert ((drawn > 0).sum((1, 2, 3)) % 3 == 0).all()
    assert 10 < int((drawn[:, 0] > 0).sum()) < 54


@pytest.mark.parametrize("num_values", [1, 64, 100_000])
def test_an_item_costs_at_most_what_noise_costs_and_8_bits(num_values: int) -> None:
    uniform = 8.0 * num_values
    bits = torch.tensor([0.0, 0.5 * uniform, uniform, 10.0 * uniform, torch.inf], dtype=torch.float64)
    mixed = bits_with_noise(bits, num_values)
    assert mixed.dtype == torch.float64
    assert (mixed <= bits + 0.006).all()
    assert (mixed <= uniform + 8.0 + 1e-6).all()
    assert mixed[-1] == pytest.approx(uniform + 8.0)


def test_masses_of_a_model_and_noise_sum_to_one() -> None:
    levels = mixture(components=1, channels=1)
    pixel = LogisticMixture(levels.logits[..., :1, :1], levels.means[..., :1, :1], levels.log_scales[..., :1, :1])
    bits = -pixel.log_prob(LEVELS.view(-1, 1, 1, 1)) / torch.log(torch.tensor(2.0))
    assert float((-bits_with_noise(bits, 1)).exp2().sum()) == pytest.approx(1.0, abs=1e-4)
