from __future__ import annotations

from dataclasses import replace
from functools import cache
from typing import Any

import pytest
import torch
from torch import Tensor

from anew.core import settings as cfg
from anew.core.processes.world import World
from anew.core.random import StepContext
from anew.core.specs import Batch, Codec, Condition, Grid, SampleRequest
from anew.errors import ConfigError
from anew.families.base import Scale
from anew.families.vae.family import Vae, VaeConfig, VaeSampling
from anew.functional.likelihood import HALF_BIN
from anew.training.progress import StepProgress
from anew.training.trainer import Trainer

SMALL = VaeConfig(
    batch_size=32,
    width=16,
    patch_size=1,
    latent_channels=2,
    top_dim=6,
    num_clusters=16,
    precision="fp32",
)


def stripes(n: int, classes: int, seed: int = 0) -> Batch:
    """Images of 8 x 8 whose rows (class 0) or columns (class 1) are bright in a random half."""
    rng = torch.Generator().manual_seed(seed)
    label = torch.randint(2, (n,), generator=rng)
    bright = torch.rand((n, 4), generator=rng) < 0.5
    lines = torch.where(bright, 0.8, -0.8).repeat_interleave(2, 1)
    x = torch.where(label[:, None, None] == 0, lines[:, :, None], lines[:, None, :]).expand(n, 8, 8)
    x = ((x + 1) / (2 * HALF_BIN)).round() * 2 * HALF_BIN - 1
    return Batch(x[:, None].contiguous(), label if classes else None)


class Stripes:
    def __init__(self, classes: int) -> None:
        self.classes = classes

    def batch(self, step: int, phase: str, first: int, count: int, size: int) -> Batch:
        return stripes(size, self.classes, step).rows(first, first + count)

    def prefetch(self, *where: object) -> None: ...


@cache
def trained(classes: int = 2, steps: int = 100) -> Vae:
    torch.manual_seed(0)
    family = Vae(Grid((1, 8, 8), "CHW", classes, 0.8), SMALL)
    trainer = Trainer(
        family, Stripes(classes), StepProgress(steps), seed=1, batch_size=32, micro_batch=32, world=World()
    )
    for _ in trainer:
        pass
    family.load_state_dict(trainer.weights())
    family.eval().fit_latents([stripes(64, classes, seed) for seed in range(800, 816)])
    family.calibrate([stripes(64, classes, seed) for seed in range(900, 904)])
    return family


def last(family: Vae, n: int, label: Tensor | None = None, seed: int = 3, first: int = 0, **settings: Any) -> Tensor:
    return list(family.sample(SampleRequest(n, label, None, cfg.from_json(VaeSampling, settings), first), seed))[-1]


def test_it_is_a_codec_of_unit_deviation() -> None:
    family = trained()
    assert isinstance(family, Codec)
    held_out = stripes(128, 0, 5000).x
    z = family.encode(held_out)
    assert isinstance(family.latent, Grid)
    assert z.shape == (128, *family.latent.shape)
    assert family.latent.std == 1.0
    assert float(z.std()) == pytest.approx(1.0, abs=0.15)
    error = (family.decode(z) - held_out).abs().mean()
    assert float(error) < 0.2 * float(held_out.abs().mean())


def test_bits_are_a_bound_that_training_lowers() -> None:
    held_out = stripes(64, 0, 5000)
    fresh = Vae(Grid((1, 8, 8), "CHW", 0, 0.8), SMALL).eval()
    before, after = (float(f.bits(held_out).mean()) / 64 for f in (fresh, trained()))
    assert after < 0.5 * before
    assert after > 5 / 64  # an image holds five random bits: no bound is below its entropy


def test_noise_costs_hardly_more_than_under_the_uniform_distribution() -> None:
    levels = torch.randint(256, (16, 1, 8, 8), generator=torch.Generator().manual_seed(0))
    bits = trained().bits(Batch(levels / 127.5 - 1.0))
    assert (bits <= 8 * 64 + 8).all()
    assert float(bits.mean()) > 8 * 64


def test_bits_depend_on_the_item_alone() -> None:
    family, batch = trained(), stripes(6, 0, 5000)
    together = family.bits(batch)
    reversed_bits = family.bits(Batch(batch.x.flip(0)))
    assert torch.allclose(together.flip(0), reversed_bits, rtol=1e-5)


def test_labels_are_kept() -> None:
    family = trained()
    label = torch.arange(32) % 2
    x = last(family, 32, label)[:, 0]
    rows_differ = x.mean(2).std(1) > x.mean(1).std(1)
    assert float((rows_differ == (label == 0)).float().mean()) > 0.75


def test_every_sampling_setting_acts() -> None:
    family = trained()
    label = torch.arange(4) % 2
    plain = last(family, 4, label)
    settings: dict[str, Any] = {
        "prior": "normal",
        "temperature": 1.7,
        "pixels": "sample",
    }
    for name, value in settings.items():
        assert not torch.allclose(last(family, 4, label, **{name: value}), plain, atol=1e-6), name


def test_a_negative_temperature_is_refused_but_for_the_one_with_a_meaning() -> None:
    assert cfg.from_json(VaeSampling, {"temperature": -1.0}) == VaeSampling()
    with pytest.raises(ConfigError, match=r"temperature=-0\.5 is not allowed; give -1, or 0 to 2"):
        cfg.from_json(VaeSampling, {"temperature": -0.5})


def test_samples_vary_as_much_as_the_detail_of_held_out_items_needs() -> None:
    family, batch = trained(), stripes(64, 2, 900)
    assert float(family.temperature) < 1.0  # the top knows stripes
    smooth = replace(batch, x=torch.full_like(batch.x, 0.2))
    rough = replace(batch, x=torch.where(torch.arange(8) % 2 == 0, 1.0, -1.0).expand_as(batch.x))
    state = {name: value.clone() for name, value in family.state_dict().items()}
    results = []
    for items in (smooth, rough):
        family.calibrate([items])
        results.append(float(family.temperature))
    family.load_state_dict(state)
    assert results == [0.0, 1.0]


@pytest.mark.parametrize("pixels", ["mean", "sample"])
def test_a_sample_depends_on_its_own_number_alone(pixels: str) -> None:
    family = trained()
    samples = last(family, 5, pixels=pixels, temperature=1.0)
    assert torch.allclose(samples[3:], last(family, 2, first=3, pixels=pixels, temperature=1.0), atol=0.02)


def test_samples_are_generated_from_their_latents() -> None:
    family = trained()
    request = SampleRequest(4, None, None, VaeSampling(temperature=0.7))
    latents = family.initial_latents(request, 3)
    (grown,) = family.generate(latents, request)
    assert torch.allclose(grown, last(family, 4, temperature=0.7), atol=1e-5)


def test_what_is_given_is_kept_and_the_rest_fits_it() -> None:
    family, batch = trained(), stripes(60, 2, 7000)
    assert batch.labels is not None
    held_out = batch.x[batch.labels == 0][:24]  # rows, whose right half follows from the left one
    mask = torch.ones_like(held_out)
    mask[..., 4:] = 0
    *_, filled = family.sample(SampleRequest(24, None, Condition(held_out, mask)), 5)
    assert torch.equal(filled[..., :4], held_out[..., :4])
    error, chance = ((x - held_out)[..., 4:].square().mean() for x in (filled, last(family, 24)))
    assert float(error) < 0.7 * float(chance)
    (*_, part) = family.sample(SampleRequest(4, None, Condition(held_out[20:], mask[20:]), None, 20), 5)
    assert torch.allclose(part, filled[20:], atol=0.05)


def test_pixels_that_are_filled_in_are_sampled_if_asked_for() -> None:
    """`pixels=sample` changed nothing where values were given."""
    family, batch = trained(), stripes(3, 2, 7000)
    mask = torch.ones_like(batch.x)
    mask[..., 4:] = 0
    condition = Condition(batch.x, mask)
    means, samples = (
        list(family.sample(SampleRequest(3, None, condition, VaeSampling(pixels=pixels)), 5))
        for pixels in ("mean", "sample")
    )
    assert all(torch.equal(x, y) for x, y in zip(means[:-1], samples[:-1], strict=True))
    levels = (samples[-1] + 1) / (2 * HALF_BIN)
    assert torch.allclose(levels, levels.round(), atol=1e-3)  # samples lie on the levels of 8 bits
    assert not torch.equal(means[-1], samples[-1]) and torch.equal(samples[-1][..., :4], batch.x[..., :4])
    last_request = SampleRequest(1, None, Condition(batch.x[2:], mask[2:]), VaeSampling(pixels="sample"), 2)
    *_, alone = family.sample(last_request, 5)
    assert torch.allclose(alone, samples[-1][2:], atol=0.05)


def test_inverted_items_lead_back() -> None:
    family, held_out = trained(), stripes(8, 0, 5000).x
    latents = family.encode_to_latents(held_out)
    assert latents.shape == family.initial_latents(SampleRequest(8), 0).shape
    (grown,) = family.generate(latents, SampleRequest(8))
    assert torch.allclose(grown, family.decode(family.encode(held_out)), atol=1e-3)


def test_a_walk_begins_and_ends_at_its_items() -> None:
    family = trained()
    first, other = family.initial_latents(SampleRequest(2, None, None, VaeSampling(temperature=1.0)), 0)
    ends = family.interpolate(first, other, torch.tensor([0.0, 1.0]))
    assert torch.allclose(ends, torch.stack([first, other]), atol=1e-4)


def test_a_fitted_prior_brings_samples_nearer() -> None:
    """Stripes have hard edges at even places; between them lie few samples of the fitted prior, and many of a normal one."""
    family = trained()

    def blur(prior: str) -> float:
        return float((last(family, 128, prior=prior, temperature=0.0).abs() - 0.8).abs().mean())

    assert blur("mixture") < 0.7 * blur("normal")


def test_bits_are_fewer_under_the_fitted_prior() -> None:
    family, held_out = trained(), stripes(64, 0, 5000)
    fitted = float(family.bits(held_out).mean())
    plain = Vae(family.spec, replace(SMALL, num_clusters=0)).eval()
    state = {n: t for n, t in family.state_dict().items() if not n.startswith("prior.")}
    plain.load_state_dict(plain.state_dict() | state)
    assert fitted < float(plain.bits(held_out).mean())


def test_without_clusters_labels_are_refused() -> None:
    family = Vae(Grid((1, 8, 8), "CHW", 2, 0.8), replace(SMALL, num_clusters=0)).eval()
    assert last(family, 2).shape == (2, 1, 8, 8)
    with pytest.raises(ConfigError, match="num_clusters=0 and knows no classes"):
        last(family, 2, torch.zeros(2, dtype=torch.long))


@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 9, 14), (1, 1, 5), (3, 64, 64), (1, 96, 130), (3, 512, 512)])
def test_a_plan_fits_any_size(shape: tuple[int, int, int]) -> None:
    spec = Grid(shape, "CHW", 0, 0.5)
    config = Vae.suggest(spec, Scale(500, 1e6, 60.0))
    family = Vae(spec, replace(config, width=8)).eval()
    x = torch.rand(1, *shape) * 2 - 1
    z = family.encode(x)
    assert tuple(z.shape[1:]) == family.latent.shape
    assert family.decode(z).shape == x.shape
    assert last(family, 1).shape == x.shape


@pytest.mark.parametrize("value", [-1.0, 0.0, 1.0])
def test_constant_images_stay_finite(value: float) -> None:
    class Constant(Stripes):
        def batch(self, step: int, phase: str, first: int, count: int, size: int) -> Batch:
            return Batch(torch.full((count, 1, 8, 8), value))

    family = Vae(Grid((1, 8, 8), "CHW", 0, 0.0), SMALL)
    trainer = Trainer(family, Constant(0), StepProgress(20), seed=1, batch_size=8, micro_batch=8, world=World())
    for stepped in trainer:
        assert all(abs(loss) < 1e4 for loss in stepped.losses.values())
    family.load_state_dict(trainer.weights())
    family.eval().calibrate([Batch(torch.full((3, 1, 8, 8), value))])
    assert torch.isfinite(family.encode(torch.full((2, 1, 8, 8), value))).all()
    assert torch.isfinite(last(family, 2)).all()
    assert torch.isfinite(family.bits(Batch(torch.full((2, 1, 8, 8), value)))).all()


def test_free_bits_and_the_warm_up_act() -> None:
    torch.manual_seed(0)
    family, batch = Vae(Grid((1, 8, 8), "CHW", 0, 0.8), SMALL), stripes(8, 0)
    (codec,) = family.phases()
    early, late = (codec.loss(batch, StepContext(0, 0, progress)).total.item() for progress in (0.0, 0.5))
    assert early < late
    freed = Vae(Grid((1, 8, 8), "CHW", 0, 0.8), replace(SMALL, free_bits=50.0))
    freed.load_state_dict(family.state_dict())
    assert freed.phases()[0].loss(batch, StepContext(0, 0, 0.5)).total.item() > late


def test_what_it_cannot_do_is_said() -> None:
    family = trained()
    with pytest.raises(ConfigError, match="known values must have the shape"):
        list(family.sample(SampleRequest(1, None, Condition(torch.zeros(1, 8, 7))), 0))
    with pytest.raises(ConfigError, match="no classes"):
        last(Vae(Grid((1, 8, 8), "CHW", 0, 0.8), SMALL), 1, torch.zeros(1, dtype=torch.int64))
    with pytest.raises(ConfigError, match="CHW"):
        Vae(Grid((8,), "T"), SMALL)
    unbounded = Grid((1, 8, 8), "CHW", 0, 0.8, bounded=False)
    assert not Vae.supports(unbounded)
    with pytest.raises(ConfigError, match=r"use the family diffusion or gan$"):
        Vae(unbounded, SMALL)
