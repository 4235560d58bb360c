from __future__ import annotations

import torch

from anew.estimators.clip_mixture import ClipMixture, fit_clip_mixture

SHAPE = (2, 4, 3, 3)


def made(n: int = 400) -> torch.Tensor:
    """Clips whose frames follow from the first by a fixed rule, and a little noise."""
    rng = torch.Generator().manual_seed(0)
    first = torch.randn((n, 2, 1, 3, 3), generator=rng)
    steps = torch.tensor([1.0, 0.8, 0.3, -0.2]).view(1, 1, 4, 1, 1)
    return first * steps + 0.05 * torch.randn((n, *SHAPE), generator=rng)


def fitted() -> tuple[ClipMixture, torch.Tensor]:
    x = made()
    length = torch.where(torch.arange(len(x)) % 4 == 0, 3, 4)
    return fit_clip_mixture(
        x, length, None, rank=18, num_clusters=1, classes=0, rng=torch.Generator().manual_seed(1)
    ), x


def test_one_sigma_for_all_frames_is_the_plain_posterior() -> None:
    mixture, x = fitted()
    component = torch.full((50,), 1)
    sigma = torch.full((50, 4), 0.3)
    y = x[:50].flatten(1) + 0.3 * torch.randn(50, 72, generator=torch.Generator().manual_seed(2))
    clean, error = mixture.posterior(y, sigma, component)
    real = (clean - x[:50].flatten(1)).square().mean().sqrt()
    assert real < 0.25  # far less than the noise
    assert abs(float(error.square().mean().sqrt() / real) - 1.0) < 0.3


def test_known_frames_tell_the_others() -> None:
    mixture, x = fitted()
    component = torch.full((50,), 1)
    sigma = torch.tensor([0.01, torch.inf, torch.inf, torch.inf]).expand(50, 4)
    y = x[:50].clone()
    y[:, :, 1:] = 0.0
    clean, error = mixture.posterior(y.flatten(1), sigma, component)
    difference = (clean.view(50, *SHAPE) - x[:50])[:, :, 1:].square().mean().sqrt()
    assert difference < 0.2  # values have a deviation of about 0.5 there
    assert bool((error[:, 1:] > error[:, :1]).all())


def test_lengths_are_counted_by_component() -> None:
    mixture, _ = fitted()
    assert mixture.length_counts[-1].tolist() == [0, 0, 100, 300]
    assert mixture.length_counts[:-1].sum(0).tolist() == [0, 0, 100, 300]


def test_frames_share_the_basis() -> None:
    mixture, _ = fitted()
    torch.testing.assert_close(mixture.frame_grams.sum(0), torch.eye(18), atol=1e-4, rtol=0)
    expanded = mixture.per_value(torch.arange(4.0)[None]).view(SHAPE)
    assert (expanded[:, 2] == 2.0).all() and expanded.shape == SHAPE
