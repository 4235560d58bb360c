"""Taps are the ordinary path: what families show of themselves equals what they do."""

from __future__ import annotations

import math

import pytest
import torch

from anew.core.random import StepContext
from anew.core.specs import Batch, Grid, SampleRequest, Tokens
from anew.families.diffusion.config import DiffusionConfig, DiffusionSampling
from anew.families.diffusion.family import Diffusion
from anew.families.explaining import Attends, Denoises, Discriminates
from anew.families.gan.family import Gan, GanConfig
from anew.families.transformer.config import TransformerConfig
from anew.families.transformer.family import Transformer
from anew.functional.adversarial import relativistic_loss
from anew.nets.attention import causal_attention
from denoising import drawn_inputs

SPEC = Grid((1, 8, 8), "CHW", 2, 0.8)
GAN = GanConfig(width=8, channel_mults=(1,), patch_size=1, latent_dim=8, num_clusters=2, rank=4, gradient_penalty=0.0,
                augment_examples=0, precision="fp32")  # fmt: skip


def items(n: int) -> Batch:
    rng = torch.Generator().manual_seed(0)
    return Batch(torch.rand((n, 1, 8, 8), generator=rng) * 2 - 1, torch.arange(n) % 2)


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


@pytest.mark.parametrize("solver", ["euler", "heun", "multistep", "sde-multistep"])
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
    request = SampleRequest(2, torch.tensor([0, 1]), sampling=DiffusionSampling(steps=4, autoguidance=1.0))
    component = drawn_inputs(diffusion, request, 3)["component"]
    for level in diffusion.noise_levels(request, 3):
        estimate = diffusion.denoise(level.noisy.flatten(1), torch.tensor(level.sigma), component)
        assert torch.allclose(level.estimate.flatten(1), estimate.clamp(-1, 1), atol=1e-5)


def test_belief_is_what_the_loss_is_made_of(gan: Gan) -> None:
    batch, context = items(6), StepContext(0, 0, phase="discriminator")
    assert isinstance(gan, Discriminates) and not isinstance(gan, Denoises)
    component = gan._assign(batch)
    with torch.no_grad():
        generated = gan._generate_like(component, context)
        made_logits = gan.discriminator(generated, component, torch.float32)
        loss = gan._discriminator_loss(batch, context)
    expected = relativistic_loss(gan.discriminator_logits(batch.x, batch.labels), made_logits).sum()
    assert torch.allclose(loss.total, expected, atol=1e-5)


def test_flattery_raises_belief(gan: Gan) -> None:
    batch = items(4)
    direction = gan.input_gradient(batch.x, batch.labels)
    assert direction.shape == batch.x.shape and not direction.requires_grad
    component, step = gan._assign(batch), 1e-3
    with torch.no_grad():
        above = gan.discriminator(batch.x + step * direction, component, torch.float32)
        below = gan.discriminator(batch.x - step * direction, component, torch.float32)
    measured = (above - below) / (2 * step)
    assert torch.allclose(measured, direction.flatten(1).square().sum(1), rtol=0.02, atol=1e-3)


RECORDS = Tokens(12, 10, {"end": 10, "pad": 11}, classes=2, packed=False)
STREAM = Tokens(12, 16, {"end": 10}, packed=True, spellings=(*(bytes([97 + i]) for i in range(10)), b"\0", b"z"))


def texts(spec: Tokens, n: int = 8) -> Batch:
    rng = torch.Generator().manual_seed(1)
    ids = torch.randint(0, 9, (n, spec.length + 1), generator=rng)
    ids[:, 0] = 10
    mask = torch.ones(n, spec.length)
    return Batch(ids, torch.arange(n) % 2 if spec.classes else None, mask)


def transformer(spec: Tokens, **settings: object) -> Transformer:
    torch.manual_seed(0)
    values = {"width": 32, "heads": 2, "layers": 2, "mlp_size": 64, "batch_size": 4, "precision": "fp32", **settings}
    family = Transformer(spec, TransformerConfig(**values))  # type: ignore[arg-type]
    with torch.no_grad():
        for parameter in family.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return family.eval()


def test_attention_is_that_of_the_network() -> None:
    family = transformer(RECORDS, ngrams=False)
    batch = texts(RECORDS, 3)
    weights = family.attention_weights(batch)
    assert isinstance(family, Attends) and weights.shape == (2, 2, 3, 11, 11)  # the label in front
    assert torch.allclose(weights.sum(-1), torch.ones(()), atol=1e-5) and float(weights.triu(1).max()) == 0
    net, ids = family.net, family._input_ids(batch)
    positions = net.positions().span(0, ids.shape[1], torch.float32)
    x = net.embed(ids)
    with torch.no_grad():
        for layer, block in enumerate(net.blocks):
            qkv = block._queries_keys_values(x)
            value = qkv.view(3, 11, 3, 2, 16)[:, :, 2].transpose(1, 2)  # (B, H, L, D)
            attended = (weights[layer].transpose(0, 1) @ value).transpose(1, 2).reshape(3, 11, 32)
            expected = causal_attention(qkv, positions, 2, net.config.attention_scale)
            assert torch.allclose(attended, expected, atol=1e-5)
            x = block(x, positions)


@pytest.mark.parametrize(("spec", "settings"), [
    (RECORDS, {"ngrams": True}),
    (RECORDS, {"ngrams": True, "aligned": True}),
    (RECORDS, {"ngrams": False}),
    (STREAM, {"ngrams": False, "contexts": True}),
])  # fmt: skip
def test_the_sides_of_a_mixture_sum_to_its_bits(spec: Tokens, settings: dict[str, object]) -> None:
    family = transformer(spec, **settings)
    train = texts(spec)
    family.fit_closed_form([train] if not spec.packed else [Batch(train.x.reshape(1, -1))])
    family.calibrate([texts(spec)])
    batch = texts(spec, 2)
    sides = family.log_probs_by_side(batch)
    bits, parts = family.bits_and_parts(batch)
    assert torch.allclose(-sides["together"].sum(1) / math.log(2), bits, atol=1e-5)
    assert torch.allclose(family.network_log_probs(batch).double(), sides["network"], atol=1e-5)
    if parts:
        assert torch.allclose(-sides["network"].sum(1) / math.log(2), parts["network"].double(), atol=1e-5)
        assert "counts" in sides and float(sides["counts"].max()) < 0 and sides["counts"].isfinite().all()


def test_errors_are_those_of_clean_estimates(diffusion: Diffusion) -> None:
    batch = items(6)
    sigmas, errors = diffusion.denoising_errors(batch.x, batch.labels, 4)
    assert (sigmas.diff() < 0).all() and errors.shape == (4,) and float(errors[0]) > float(errors[-1]) > 0
    exact = diffusion.denoise_items(batch.x, float(sigmas[-1]), batch.labels)
    assert exact.shape == batch.x.shape and float((exact - batch.x).square().mean()) < float(errors[0])
