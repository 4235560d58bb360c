from __future__ import annotations

import math
from dataclasses import replace
from functools import cache
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from anew.core.random import StepContext, generator, use_context
from anew.core.settings import settings_of
from anew.core.specs import Batch, Condition, Grid, SampleRequest
from anew.errors import ConfigError
from anew.families.base import Scale
from anew.families.diffusion.config import DiffusionConfig, DiffusionSampling
from anew.families.diffusion.denoiser import LAYOUTS
from anew.families.diffusion.family import Diffusion
from anew.families.known import known_values
from anew.functional.ode import SOLVERS, STOCHASTIC
from toys import last_draft, stripes

SMALL = DiffusionConfig(batch_size=16, width=16, depth=1, num_components=6, rank=8, precision="fp32")


def rows_of(batch: Batch) -> Batch:
    """The stripes that are rows."""
    is_rows = (batch.x.diff(dim=3) == 0).flatten(1).all(1)
    return Batch(batch.x[is_rows])


@cache
def trained(classes: int, steps: int, augment_p: float = 0.0) -> Diffusion:
    """A model of stripes; with augmentation, of rows alone, of which the closed form knows little."""
    torch.manual_seed(0)
    family = Diffusion(
        Grid((1, 8, 8), "CHW", classes, 0.8), replace(SMALL, augment_p=augment_p, rank=1 if augment_p else 8)
    )

    def batch(size: int, seed: int = 0) -> Batch:
        drawn = stripes(size, classes, seed)
        return rows_of(drawn) if augment_p else drawn

    family.fit_closed_form([batch(512)])
    optimiser = torch.optim.Adam(family.parameters(), 3e-3)
    for step in range(steps):
        loss = family.loss(batch(32, step), StepContext(0, step))
        optimiser.zero_grad()
        (loss.total / loss.count).backward()
        optimiser.step()
    return family.eval()


def test_starts_at_the_closed_form_and_learns() -> None:
    before, after = trained(0, 0), trained(0, 100)
    batch = stripes(128, 0, 1000)
    with torch.no_grad():
        first = float(before.loss(batch, StepContext(5, 0, training=False)).total) / len(batch)
        second = float(after.loss(batch, StepContext(5, 0, training=False)).total) / len(batch)
    assert first == pytest.approx(1.0, abs=0.35)
    assert second < 0.98 * first


def test_augmentations_are_learned_and_not_drawn() -> None:
    """A network that is shown rows as columns, too, draws rows, and denoises columns if it is told that they are such."""
    family = trained(0, 400, augment_p=0.5)
    rows = rows_of(stripes(256, 0, 1000))
    drawn = last_draft(family, SampleRequest(64))
    assert float(drawn.diff(dim=3).abs().mean()) < 0.2 * float(drawn.diff(dim=2).abs().mean())
    x = rows.x.flatten(1)
    y = x + StepContext(0, 0, phase="test").normal("noise", x.shape)
    sigma, component = torch.ones(len(x), 1), family.mixture.assign(x)
    with torch.no_grad():
        closed_form, _ = family.mixture.posterior(y, sigma, component)
        transposes = torch.tensor([[0.0, 0.0, 1.0]]).expand(len(x), -1)
        as_rows, as_columns = (
            c_skip_y + c_out * F
            for c_skip_y, c_out, F in (
                family.precondition(family.net, y, sigma, component, augmentations)
                for augmentations in (None, transposes)
            )
        )
    errors = [float((estimate - x).square().mean()) for estimate in (closed_form, as_rows, as_columns)]
    assert errors[1] < 0.97 * errors[0]
    assert errors[2] < 0.98 * errors[0]


def test_noise_levels_that_do_not_fall_are_refused() -> None:
    family = Diffusion(Grid((1, 8, 8), "CHW", 0, 0.8), replace(SMALL, sigma_max=0.5))
    request = SampleRequest(1, sampling=DiffusionSampling(sigma_min=0.5))
    with pytest.raises(ConfigError, match=r"sigma_min well below the model's sigma_max of 0\.5"):
        last_draft(family, request)


def test_the_last_noise_level_suits_the_data() -> None:
    """Images end at a higher one than signals and latents; one that is asked for is taken."""
    lowest = {}
    for name, grid in {
        "image": Grid((1, 8, 8), "CHW"),
        "signal": Grid((1, 1, 64), "CHW"),
        "latent": Grid((4, 8, 8), "CHW", bounded=False),
    }.items():
        family = Diffusion(grid, SMALL)
        lowest[name], requested = (
            float(family._sigmas(sampling, 4)[-2]) / grid.std
            for sampling in (DiffusionSampling(), DiffusionSampling(sigma_min=0.2))
        )
        assert requested == pytest.approx(0.2)
    assert lowest == pytest.approx({"image": 0.06, "signal": 0.03, "latent": 0.03})
    with pytest.raises(ConfigError, match="sigma_min must be 0 or at least"):
        last_draft(
            Diffusion(Grid((1, 8, 8), "CHW"), SMALL), SampleRequest(1, sampling=DiffusionSampling(sigma_min=1e-6))
        )


def test_samples_depend_on_their_own_index_alone() -> None:
    family = trained(0, 5)
    whole = last_draft(family, SampleRequest(5))
    part = last_draft(family, SampleRequest(2, first_index=3))
    torch.testing.assert_close(whole[3:], part, atol=1e-4, rtol=0)
    assert not torch.allclose(whole[0], whole[1], atol=1e-2)
    assert not torch.allclose(whole, last_draft(family, SampleRequest(5), seed=1), atol=1e-2)


def test_drafts_are_as_many_as_steps_and_in_range() -> None:
    drafts = list(trained(0, 5).sample(SampleRequest(3, sampling=DiffusionSampling(steps=4)), 0))
    assert len(drafts) == 4
    assert all(d.shape == (3, 1, 8, 8) and float(d.abs().max()) <= 1 for d in drafts)


@pytest.mark.parametrize("guidance", [1.0, 2.0])
def test_labels_are_followed(guidance: float) -> None:
    family = trained(2, 100)
    sampling = DiffusionSampling(guidance=guidance)
    for label in (0, 1):
        x = last_draft(family, SampleRequest(32, labels=torch.full((32,), label), sampling=sampling))[:, 0]
        along_rows, along_columns = x.var(2).mean(), x.var(1).mean()
        assert (along_rows < along_columns) == (label == 0)


def test_known_values_are_kept_and_the_rest_fits_them() -> None:
    family = trained(0, 100)
    truth = stripes(24, 2, 77)
    assert truth.labels is not None
    mask = torch.zeros(1, 8, 8)
    mask[:, :, :4] = 1
    x = last_draft(family, SampleRequest(24, condition=Condition(truth.x, mask)))
    assert torch.equal(x[..., :4], truth.x[..., :4])
    rows = truth.labels == 0  # there the left half says what the right half is
    assert float((x - truth.x)[rows][..., 4:].abs().mean()) < 0.65  # 0.8 by chance


class LargestTensor(TorchFunctionMode):
    """Numbers in the largest tensor that is made inside."""

    size = 0

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        self.size = max(self.size, result.numel() if isinstance(result, Tensor) else 0)
        return result


def test_the_component_nearest_to_known_values_needs_no_array_of_all_differences() -> None:
    torch.manual_seed(0)
    family = Diffusion(Grid((3, 8, 8), "CHW"), DiffusionConfig(width=8, num_components=20, rank=4, precision="fp32"))
    family.mixture_weights.fill_(1.0)
    family.mixture_centre.normal_()
    family.mixture_means.normal_()
    family.mixture_basis.normal_()
    condition = Condition(torch.randn(16, 3, 8, 8), (torch.rand(16, 3, 8, 8) < 0.3).float())
    known = known_values(condition, 16, (3, 8, 8), torch.device("cpu"))
    assert known is not None
    with LargestTensor() as largest:
        chosen = family._choose_component(SampleRequest(16, condition=condition), torch.rand(16), known)
    centres = family.mixture_centre + family.mixture_means @ family.mixture_basis.T
    distance = ((known.values[:, None] - centres).square() * known.mask[:, None]).sum(2)
    assert chosen.tolist() == distance.argmin(1).tolist() and len(set(chosen.tolist())) > 3
    assert largest.size <= len(centres) * 192


def test_known_values_of_another_shape_are_refused() -> None:
    with pytest.raises(ConfigError, match="must have the shape"):
        last_draft(trained(0, 0), SampleRequest(2, condition=Condition(torch.zeros(3, 8, 8))))


def test_other_axes_are_refused() -> None:
    with pytest.raises(ConfigError, match="CHW"):
        Diffusion(Grid((2, 64), "CT"), SMALL)


def test_loss_of_rows_does_not_depend_on_the_micro_batch() -> None:
    family, batch = trained(0, 5), stripes(32, 0)
    whole = family.loss(batch, StepContext(0, 3)).total
    parts = [family.loss(batch.rows(i, i + 8), StepContext(0, 3, first_row=i)).total for i in range(0, 32, 8)]
    torch.testing.assert_close(whole, torch.stack(parts).sum(), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    ("shape", "items", "net"),
    [
        ((1, 8, 8), 1200, "unet"),
        ((4, 24, 20), 900, "unet"),
        ((3, 50, 28), 40, "unet"),
        ((4, 64, 64), 3000, "unet"),
        ((3, 128, 96), 500, "dit"),
    ],
)
def test_suggestions_fit_any_grid(shape: tuple[int, ...], items: int, net: str) -> None:
    spec = Grid(shape, "CHW", 0, 0.5)
    scale = Scale(items, items * 1.0, 60.0)
    config = Diffusion.suggest(spec, scale)
    assert config.net == net
    family = Diffusion(spec, replace(config, precision="fp32"))
    x = torch.rand((3, *shape), generator=generator("x")) * 2 - 1
    family.fit_closed_form([Batch(x)])
    context = StepContext(0, 0)
    with use_context(context):
        assert bool(torch.isfinite(family.loss(Batch(x), context).total))
    family.eval()
    assert last_draft(family, SampleRequest(2, sampling=DiffusionSampling(steps=2))).shape == (2, *shape)
    costs = [
        Diffusion.target_examples(spec, Diffusion.suggest(spec, replace(scale, model_size=d)), scale) for d in range(4)
    ]
    assert costs == sorted(costs) and costs[0] > 0


def test_signals_are_learned_at_lower_noise_levels_than_pictures() -> None:
    """What is faint at high frequencies shows only where noise is fainter still."""
    signal, picture = (
        Diffusion.suggest(Grid(shape, "CHW", 0, 0.5), Scale(1000, 1.0, 60.0)) for shape in ((1, 1, 400), (1, 20, 20))
    )
    lowest, lowest_of_pictures = (c.sigma_log_mean - 2.0 * c.sigma_log_std for c in (signal, picture))
    assert lowest < lowest_of_pictures - 1.0


@pytest.mark.parametrize(
    ("shape", "seconds", "device", "patch_size", "batch_size"),
    [
        ((4, 48, 48), 60.0, "cpu", 1, 16),
        ((3, 32, 32), 60.0, "cpu", 1, 16),
        ((3, 32, 32), 250.0, "cpu", 2, 64),
        ((1, 28, 28), 30.0, "cpu", 2, 64),
        ((4, 64, 64), 60.0, "cpu", 2, 64),
        ((4, 8, 8), 60.0, "cpu", 1, 64),
        ((4, 48, 48), 60.0, "cuda", 2, 128),
    ],
)
def test_small_colour_images_are_seen_pixel_by_pixel_in_short_trainings_on_a_cpu(
    shape: tuple[int, ...], seconds: float, device: str, patch_size: int, batch_size: int
) -> None:
    """Short trainings left a hatch in icons of 48 x 48 with transparency."""
    config = Diffusion.suggest(Grid(shape, "CHW", 0, 0.5), Scale(1000, 1000.0, seconds, device=device))
    assert (config.net, config.patch_size, config.batch_size) == ("unet", patch_size, batch_size)


@pytest.mark.parametrize(
    ("shape", "changes", "expected"),
    [
        ((4, 48, 48), {}, 0.06),
        ((4, 48, 48), {"batch_size": 64}, 0.15),
        ((4, 48, 48), {"patch_size": 2}, 0.15),
        ((4, 48, 48), {"net": "dit", "width": 64}, 0.15),
        ((1, 28, 28), {"batch_size": 16}, 0.15),
        ((3, 4, 16, 16), {"batch_size": 16}, 0.15 / 4),
    ],
)
def test_fewer_examples_will_do_only_where_it_was_measured(
    shape: tuple[int, ...], changes: dict[str, Any], expected: float
) -> None:
    """Whatever had batches of 16 got networks that were 2.5 times as large."""
    spec, scale = Grid(shape, "CHW" if len(shape) == 3 else "CTHW", 0, 0.5), Scale(1000, 1000.0, 60.0)
    config = replace(Diffusion.suggest(spec, scale), **changes)
    parameters = sum(tensor.numel() for tensor in LAYOUTS[spec.axes](spec).network(config).parameters())
    assert Diffusion.target_examples(spec, config, scale) == pytest.approx(expected * parameters)


@pytest.mark.parametrize(("width", "nearest"), [(130, "128 and 136"), (66, "64 and 68"), (9, "8 and 12")])
def test_a_width_that_attention_cannot_divide_is_refused_with_the_nearest_ones(width: int, nearest: str) -> None:
    """It was said to have to be a multiple of 64, and 72 was taken nevertheless."""
    spec, config = Grid((1, 8, 8), "CHW", 0, 0.5), replace(SMALL, net="dit", depth=1)
    with pytest.raises(
        ConfigError, match=f"width={width} cannot be divided .* the nearest widths that can are {nearest}"
    ):
        Diffusion(spec, replace(config, width=width))
    for width_beside in map(int, nearest.split(" and ")):
        Diffusion(spec, replace(config, width=width_beside))


def test_label_shares_are_kept_without_being_asked() -> None:
    spec = Grid((1, 8, 8), "CHW", 2, 0.8)
    family = Diffusion(spec, SMALL)
    batch = stripes(400, 2)
    assert batch.labels is not None
    rare = Batch(batch.x[(batch.labels == 0) | (torch.arange(400) % 8 == 0)])
    label = batch.labels[(batch.labels == 0) | (torch.arange(400) % 8 == 0)]
    family.fit_closed_form([Batch(rare.x, label)])
    x = last_draft(family, SampleRequest(200, sampling=DiffusionSampling(steps=2)))[:, 0]
    share = float((x.var(2).mean(1) < x.var(1).mean(1)).float().mean())
    assert share == pytest.approx(float((label == 0).float().mean()), abs=0.12)


@pytest.mark.parametrize(("bounded", "count"), [(True, 12), (False, 4)])
def test_latents_pass_through_fewer_levels(bounded: bool, count: int) -> None:
    torch.manual_seed(0)
    config = DiffusionConfig(width=8, num_components=0, rank=4, precision="fp32")
    family = Diffusion(Grid((1, 8, 8), "CHW", bounded=bounded), config)
    assert len(list(family.sample(SampleRequest(2), 0))) == count
    assert len(list(family.sample(SampleRequest(2, sampling=DiffusionSampling(steps=3)), 0))) == 3


def test_autoguidance_moves_estimates_away_from_the_closed_form_at_high_noise_alone() -> None:
    family, y = trained(0, 20), stripes(2, 0).x.flatten(1)
    sigma = torch.tensor([[2.0], [0.5]]) * family.spec.std
    any_component = torch.full((2,), family.any_component)
    closed_form, _ = family.mixture.posterior(y, sigma, any_component)
    denoised = family.denoise(y, sigma, torch.zeros(2, dtype=torch.long))
    guided = family.autoguide(denoised, y, sigma, 1.5)
    torch.testing.assert_close(guided[0] - closed_form[0], 1.5 * (denoised - closed_form)[0])
    assert torch.equal(guided[1], denoised[1])
    assert torch.equal(family.autoguide(denoised, y, sigma, 1.0), denoised)


@pytest.mark.parametrize(
    ("steps", "expected"), [(0, 1.2), (1_000, 1.2), (2_450, 1.1), (6_000, 1.0), (50_000, 1.0), (None, 1.2)]
)
def test_the_longer_the_training_the_less_autoguidance(steps: int | None, expected: float) -> None:
    family = trained(0, 1)
    family.num_steps = None if steps is None else torch.tensor(steps)
    assert family.autoguidance_weight() == pytest.approx(expected, abs=1e-3)
    assert family.autoguidance_weight(1.5) == 1.5
    with pytest.raises(ConfigError, match=r"autoguidance=0\.5 is not allowed; give 0, or 1 to 3"):
        DiffusionSampling(autoguidance=0.5)


def test_steps_are_counted_and_a_run_that_did_not_count_them_loads() -> None:
    family = trained(0, 3)
    for _ in range(3):
        family.on_step_end({})
    assert family.num_steps is not None and int(family.num_steps) == 3
    weights = {name: tensor for name, tensor in family.state_dict().items() if name != "num_steps"}
    older = trained(0, 1)
    older.allocate_buffers({name: tensor.shape for name, tensor in weights.items()})
    older.load_state_dict(weights)
    older.on_step_end({})
    assert older.num_steps is None and "num_steps" not in older.state_dict()


def test_autoguidance_is_the_default_and_can_be_turned_off() -> None:
    family = trained(0, 20)
    plain = last_draft(family, SampleRequest(4, sampling=DiffusionSampling(autoguidance=1.0)))
    default = last_draft(family, SampleRequest(4))
    assert torch.equal(default, last_draft(family, SampleRequest(4, sampling=DiffusionSampling(autoguidance=1.2))))
    assert not torch.allclose(plain, default, atol=1e-2)


def test_the_setting_names_every_solver() -> None:
    assert settings_of(DiffusionSampling)["solver"].choices == ("auto", STOCHASTIC, *SOLVERS)


def test_few_pictures_are_augmented_and_other_grids_are_not() -> None:
    def augment_p(spec: Grid, items: int, seconds: float | None = 100.0) -> float:
        return Diffusion.suggest(
            spec, Scale(items=items, units=items * math.prod(spec.shape), seconds=seconds)
        ).augment_p

    picture = Grid((3, 16, 16), "CHW")
    assert augment_p(picture, 300) == 0.5
    assert augment_p(picture, 800) == pytest.approx(0.21)
    assert augment_p(picture, 2000) == augment_p(picture, 300, seconds=None) == 0.0
    spectrogram = Grid((1, 64, 64), "CHW", brightness_channels=1)
    row = Grid((1, 1, 4096), "CHW")
    latents = Grid((4, 8, 8), "CHW", bounded=False)
    clip = Grid((3, 8, 16, 16), "CTHW")
    assert [augment_p(spec, 300) for spec in (spectrogram, row, latents, clip)] == [0.0] * 4
