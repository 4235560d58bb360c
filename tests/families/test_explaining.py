"""Taps are the ordinary path: what families show of themselves equals what they do."""

from __future__ import annotations

import pytest
import torch

from anew.core.random import StepContext
from anew.core.specs import Batch, Grid, SampleRequest
from anew.families.diffusion.config import DiffusionConfig, DiffusionSampling
from anew.families.diffusion.family import Diffusion
from anew.families.explaining import Denoises, Discriminates
from anew.families.gan.family import Gan, GanConfig
from anew.functional.adversarial import relativistic_loss

SPEC = Grid((1, 8, 8), "CHW", 2, 0.8)
GAN = GanConfig(width=8, channel_mults=(1,), patch_size=1, latent_dim=8, num_clusters=2, rank=4, gradient_penalty=0.0,
                augment_examples=0, precision="fp32")  # fmt: skip


def items(n: int) -> Batch:
    source = torch.Generator().manual_seed(0)
    return Batch(torch.rand((n, 1, 8, 8), generator=source) * 2 - 1, torch.arange(n) % 2)


@pytest.fixture(scope="module")
def diffusion() -> Diffusion:
    torch.manual_seed(0)
    family = Diffusion(SPEC, DiffusionConfig(width=8, num_components=2, rank=4, precision="fp32"))
    family.fit_closed_form([items(32)])
    with torch.no_grad():
        for parameter in family.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
    return family.eval()


@pytest.fixture(scope="module")
def gan() -> Gan:
    torch.manual_seed(0)
    family = Gan(SPEC, GAN)
    family.fit_closed_form([items(32)])
    with torch.no_grad():
        for parameter in family.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
    return family.eval()


@pytest.mark.parametrize("solver", ["euler", "heun", "multistep"])
@pytest.mark.parametrize("guidance", [1.0, 2.0])
def test_noise_levels_are_those_of_samples(diffusion: Diffusion, solver: str, guidance: float) -> None:
    request = SampleRequest(
        3, torch.tensor([0, 1, 1]), sampling=DiffusionSampling(steps=5, solver=solver, guidance=guidance)
    )
    assert isinstance(diffusion, Denoises) and not isinstance(diffusion, Discriminates)
    drafts = list(diffusion.sample(request, 7))
    levels = list(diffusion.noise_levels(request, 7))
    assert len(levels) == len(drafts) == 5
    for level, draft in zip(levels, drafts, strict=True):
        assert torch.equal(level.estimate, draft)
    sigmas = [level.sigma for level in levels]
    assert sigmas == sorted(sigmas, reverse=True) and sigmas[-1] > 0


def test_an_estimate_follows_from_what_is_shown(diffusion: Diffusion) -> None:
    request = SampleRequest(2, torch.tensor([0, 1]), sampling=DiffusionSampling(steps=4))
    component = diffusion._choose_component(request, diffusion._noise(request, 3)["kind"][:, 0], None)
    for level in diffusion.noise_levels(request, 3):
        estimate = diffusion._denoise(level.noisy.flatten(1), torch.tensor(level.sigma), component)
        assert torch.allclose(level.estimate.flatten(1), estimate.clamp(-1, 1), atol=1e-5)


def test_belief_is_what_the_loss_is_made_of(gan: Gan) -> None:
    batch, context = items(6), StepContext(0, 0, phase="discriminator")
    assert isinstance(gan, Discriminates) and not isinstance(gan, Denoises)
    component = gan._assign(batch)
    with torch.no_grad():
        made = gan._generate_like(component, context)
        made_logits = gan.discriminator(made, component, torch.float32)
        loss = gan._discriminator_loss(batch, context)
    expected = relativistic_loss(gan.discriminator_logits(batch.x, batch.labels), made_logits).sum()
    assert torch.allclose(loss.total, expected, atol=1e-5)


def test_flattery_raises_belief(gan: Gan) -> None:
    batch = items(4)
    direction = gan.input_gradient(batch.x, batch.labels)
    assert direction.shape == batch.x.shape and not direction.requires_grad
    component, step = gan._assign(batch), 1e-3
    with torch.no_grad():
        ahead = gan.discriminator(batch.x + step * direction, component, torch.float32)
        behind = gan.discriminator(batch.x - step * direction, component, torch.float32)
    measured = (ahead - behind) / (2 * step)
    assert torch.allclose(measured, direction.flatten(1).square().sum(1), rtol=0.02, atol=1e-3)
