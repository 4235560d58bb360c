from __future__ import annotations

import pytest
import torch

from anew.functional.augment import MAX_P, NUM_UNIFORMS, UNUSED, augment, updated_p


def uniform(n: int, seed: int = 0) -> torch.Tensor:
    return torch.rand(n, NUM_UNIFORMS, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 9, 14), (4, 12, 10)])
def test_at_strength_zero_nothing_changes_and_rows_stand_alone(shape: tuple[int, ...]) -> None:
    x, numbers = torch.rand(6, *shape) * 2 - 1, uniform(6)
    assert torch.equal(augment(x, numbers, 0.0), x)
    whole = augment(x, numbers, 0.7)
    assert whole.shape == x.shape
    assert bool(torch.isfinite(whole).all())
    torch.testing.assert_close(whole[2:4], augment(x[2:4], numbers[2:4], 0.7), atol=1e-5, rtol=0)


def test_every_number_but_one_has_an_effect() -> None:
    x = torch.rand(1, 3, 16, 16, generator=torch.Generator().manual_seed(1))
    numbers = uniform(1)
    changed_one = torch.where(torch.eye(NUM_UNIFORMS, dtype=torch.bool), (numbers + 0.37) % 1.0, numbers)
    items = augment(x.expand(NUM_UNIFORMS, -1, -1, -1), changed_one, 1.0)[
        4:
    ]  # the first four say whether changes happen
    has_effect = (items - augment(x, numbers, 1.0)).abs().amax((1, 2, 3)) > 1e-3
    assert torch.nonzero(~has_effect).flatten().tolist() == [UNUSED - 4]


def test_most_items_stay_as_they_are_at_a_low_strength() -> None:
    x = torch.rand(400, 3, 8, 8) * 2 - 1
    same = (augment(x, uniform(400), 0.1) - x).abs().amax((1, 2, 3)) < 1e-3
    assert 0.9**4 - 0.08 < float(same.float().mean()) < 0.9**4 + 0.08


def test_gradients_reach_the_items() -> None:
    x = (torch.rand(8, 3, 8, 8) * 2 - 1).requires_grad_(True)
    (grad,) = torch.autograd.grad(augment(x, uniform(8), 1.0).square().sum(), x)
    assert bool(torch.isfinite(grad).all())
    assert bool((grad.abs().amax((1, 2, 3)) > 0).all())


def test_transparency_keeps_its_values_under_colour_changes() -> None:
    x, numbers = torch.rand(5, 4, 8, 8), uniform(5)
    numbers[:, :4] = torch.tensor([0.0, 1.0, 1.0, 1.0])  # colour alone is on
    changed = augment(x, numbers, 0.5)
    torch.testing.assert_close(changed[:, 3], x[:, 3], atol=1e-5, rtol=0)
    assert float((changed[:, :3] - x[:, :3]).abs().mean()) > 0.01


def test_only_the_level_of_stereo_sound_changes_with_brightness() -> None:
    x, numbers = torch.rand(5, 3, 8, 8), uniform(5)
    numbers[:, :4] = torch.tensor([0.0, 1.0, 1.0, 1.0])  # brightness alone is on
    changed = augment(x, numbers, 0.5, brightness_channels=1)
    torch.testing.assert_close(changed[:, 1:], x[:, 1:], atol=1e-5, rtol=0)
    torch.testing.assert_close(changed[:, :1], augment(x[:, :1], numbers, 0.5))
    assert float((changed[:, 0] - x[:, 0]).abs().mean()) > 0.01


def test_augmentation_follows_how_well_the_discriminator_separates_items() -> None:
    strength = torch.tensor(0.3)
    assert float(updated_p(strength, torch.tensor(0.9), 0.6, 0.01)) == pytest.approx(0.31)
    assert float(updated_p(strength, torch.tensor(0.2), 0.6, 0.01)) == pytest.approx(0.29)
    assert float(updated_p(torch.tensor(MAX_P), torch.tensor(1.0), 0.6, 0.1)) == pytest.approx(MAX_P)
    assert float(updated_p(torch.tensor(0.0), torch.tensor(0.0), 0.6, 0.1)) == 0.0
