from __future__ import annotations

import pytest
import torch

from anew.functional.symmetries import COLOUR_ORDERS, NUM_UNIFORMS, Symmetries

SHAPES = [(1, 6, 6), (3, 6, 6), (4, 6, 6), (4, 5, 7), (1, 5, 7)]


def uniform(count: int) -> torch.Tensor:
    return torch.rand(count, NUM_UNIFORMS, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("shape", SHAPES)
def test_what_is_moved_is_moved_back(shape: tuple[int, ...]) -> None:
    symmetries = Symmetries(shape, 3)
    drawn = symmetries.draw(uniform(200), 0.8)
    x = torch.rand(200, *shape)
    moved = symmetries.apply(x, drawn)
    assert torch.equal(symmetries.undo(moved, drawn), x)
    is_moved = (moved != x).flatten(1).any(1)
    assert torch.equal(is_moved, drawn.any(1))
    assert torch.equal(moved.flatten(1).sort(1).values, x.flatten(1).sort(1).values)


@pytest.mark.parametrize("shape", SHAPES)
def test_images_get_all_symmetries_that_they_can_have(shape: tuple[int, ...]) -> None:
    """A square has 8 of them and another image 4; each is as frequent as the others, and colours have 6 orders."""
    symmetries = Symmetries(shape, 3)
    flips = 8 if shape[1] == shape[2] else 4
    orders = 1 + len(COLOUR_ORDERS) if shape[0] >= 3 else 1
    x = torch.rand(1, *shape)
    drawn = symmetries.draw(uniform(4000), 1.0)
    moved = symmetries.apply(x.expand(4000, *shape), drawn)
    kinds, counts = torch.unique(moved.flatten(1), dim=0, return_counts=True)
    assert len(kinds) == flips * max(1, orders - 1)  # with probability 1, colours never stay
    assert counts.max() < 2 * counts.min()


def test_each_kind_of_symmetry_has_its_probability() -> None:
    symmetries = Symmetries((3, 6, 6), 3)
    drawn = symmetries.draw(uniform(20_000), 0.3)
    assert float(drawn[:, :3].any(1).float().mean()) == pytest.approx(0.3 * 7 / 8, abs=0.01)
    assert float(drawn[:, 3:].any(1).float().mean()) == pytest.approx(0.3, abs=0.01)
    assert not symmetries.draw(uniform(100), 0.0).any()


def test_transparency_stays_in_its_channel() -> None:
    symmetries = Symmetries((4, 6, 6), 3)
    x = torch.rand(50, 4, 6, 6)
    drawn = symmetries.draw(uniform(50), 1.0)
    drawn[:, :3] = 0
    assert torch.equal(symmetries.apply(x, drawn)[:, 3], x[:, 3])


def test_channels_without_colours_keep_their_order() -> None:
    assert Symmetries((3, 6, 6), 1).count == Symmetries((1, 6, 6), 3).count == 3
