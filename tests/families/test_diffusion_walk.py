"""Diffusion's deterministic path: numbers to items and back."""

from __future__ import annotations

import pytest
import torch

from anew.errors import ConfigError
from anew.families.diffusion import Diffusion, DiffusionSampling
from anew.spec import Ask
from families.test_diffusion import last, stripes, trained


def grown(family: Diffusion, z: torch.Tensor, label: torch.Tensor | None = None, **how: int) -> torch.Tensor:
    *_, x = family.grow(z, Ask(len(z), label, how=DiffusionSampling(**how)))
    return x


def test_latents_depend_on_their_own_index_alone() -> None:
    family = trained(0, 0)
    whole = family.latents(Ask(5), 3)
    assert whole.shape == (5, 64)
    assert torch.equal(whole[3:], family.latents(Ask(2, first=3), 3))
    assert not torch.equal(whole, family.latents(Ask(5), 4))


@pytest.mark.parametrize("classes", [0, 2])
def test_an_item_comes_back(classes: int) -> None:
    family, batch = trained(classes, 100), stripes(16, classes, 50)
    z = family.invert(batch.x, batch.label)
    assert float((grown(family, z, batch.label) - batch.x).abs().mean()) < 0.02
    assert float(z.square().mean()) < 3.0


def test_a_walk_is_smooth() -> None:
    family = trained(0, 100)
    one, other = family.latents(Ask(2), 0)
    x = grown(family, family.between(one, other, torch.linspace(0, 1, 33)))
    step = (x[1:] - x[:-1]).flatten(1).norm(dim=1)
    assert float(step.max()) < 0.5 * float((x[-1] - x[0]).norm())


def test_what_grows_is_like_what_is_drawn() -> None:
    family = trained(0, 100)
    x, y = grown(family, family.latents(Ask(256), 0)), last(family, Ask(256))
    assert float((x.mean(0) - y.mean(0)).abs().mean()) < 0.15
    assert float(x.std()) == pytest.approx(float(y.std()), rel=0.15)


def test_a_label_keeps_to_its_class() -> None:
    family = trained(2, 100)
    for one in (0, 1):
        x = grown(family, family.latents(Ask(32), 0), torch.full((32,), one))[:, 0]
        assert (x.var(2).mean() < x.var(1).mean()) == (one == 0)
    with pytest.raises(ConfigError, match="no labels"):
        grown(trained(0, 0), trained(0, 0).latents(Ask(2), 0), torch.zeros(2))
