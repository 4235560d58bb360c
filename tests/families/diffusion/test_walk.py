"""Diffusion's deterministic path: numbers to items and back."""

from __future__ import annotations

import pytest
import torch

from anew.core.specs import SampleRequest
from anew.families.diffusion.family import Diffusion
from families.diffusion.test_family import trained
from toys import last_draft, stripes


def grown(family: Diffusion, z: torch.Tensor) -> torch.Tensor:
    *_, x = family.generate(z, SampleRequest(len(z)))
    return x


def test_latents_lead_to_what_is_drawn() -> None:
    family = trained(2, 100)
    request = SampleRequest(8, torch.arange(8) % 2)
    z = family.initial_latents(request, 3)
    assert z.shape == (8, 64)
    assert float((grown(family, z) - last_draft(family, request, 3)).abs().mean()) < 0.1  # a toy, barely trained
    torch.testing.assert_close(
        z[5:], family.initial_latents(SampleRequest(3, request.labels[5:], first_index=5), 3), atol=1e-3, rtol=0
    )
    assert not torch.allclose(z, family.initial_latents(request, 4), atol=0.1)


@pytest.mark.parametrize("classes", [0, 2])
def test_an_item_comes_back(classes: int) -> None:
    family, batch = trained(classes, 100), stripes(16, classes, 50)
    z = family.encode_to_latents(batch.x, batch.labels)
    assert float((grown(family, z) - batch.x).abs().mean()) < 0.02
    assert float(z.square().mean()) < 3.0


def test_a_walk_is_smooth() -> None:
    family = trained(0, 100)
    first, other = family.initial_latents(SampleRequest(2), 0)
    x = grown(family, family.interpolate(first, other, torch.linspace(0, 1, 33)))
    step = (x[1:] - x[:-1]).flatten(1).norm(dim=1)
    assert float(step.max()) < 0.5 * float((x[-1] - x[0]).norm())
