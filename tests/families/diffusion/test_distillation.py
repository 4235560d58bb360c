"""The student of diffusion: when it learns, what it learns, and which samples it draws."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import pytest
import torch

import denoising
from anew.core.processes.world import World
from anew.core.random import StepContext
from anew.core.specs import Batch, Condition, Grid, SampleRequest
from anew.errors import ConfigError
from anew.families.diffusion.config import DiffusionConfig, DiffusionSampling
from anew.families.diffusion.distillation import NUM_NOISE_LEVELS, path_levels
from anew.families.diffusion.family import Diffusion
from anew.training.progress import StepProgress
from anew.training.trainer import Trainer
from toys import last_draft

SMALL = DiffusionConfig(
    batch_size=32, width=16, depth=1, num_components=6, rank=8, precision="fp32", distillation=0.5, dropout=0.1
)
SPEC = Grid((1, 8, 8), "CHW", 0, 0.8)


def stripes(n: int, seed: int = 0) -> Batch:
    """Images of 8 x 8 with bright rows."""
    rng = torch.Generator().manual_seed(seed)
    lines = torch.where(torch.rand((n, 8), generator=rng) < 0.5, 0.8, -0.8)
    return Batch(lines[:, None, :, None].expand(n, 1, 8, 8).contiguous())


class Stripes:
    """Batches of stripes as a trainer takes them."""

    def batch(self, step: int, phase: str, first: int, count: int, size: int) -> Batch:
        return stripes(size, step).rows(first, first + count)

    def prefetch(self, step: int, phase: str, first: int, count: int, size: int) -> None: ...


def trainer(total: int) -> Trainer:
    torch.manual_seed(0)
    family = Diffusion(SPEC, SMALL)
    family.fit_closed_form([stripes(512)])
    return Trainer(
        family, Stripes(), StepProgress(total), seed=0, batch_size=SMALL.batch_size, micro_batch=16, world=World()
    )


@cache
def trained() -> Diffusion:
    run = trainer(80)
    for _ in run:
        pass
    run.family.load_state_dict(run.weights())
    return run.family.eval()


def weights_of(net: torch.nn.Module | None) -> torch.Tensor:
    assert net is not None
    return torch.cat([weight.detach().flatten() for weight in net.parameters()])


def test_the_student_of_a_denoiser_that_was_told_augmentations_is_told_none() -> None:
    family = Diffusion(SPEC, replace(SMALL, augment_p=0.5))
    family.on_step_end({})
    assert family.student is not None
    denoiser, student = (dict(net.named_parameters()) for net in (family.net, family.student))
    assert set(denoiser) - set(student) == {"condition.augmentation.weight"}
    assert all(torch.equal(student[name], denoiser[name]) for name in student)


def test_the_student_follows_the_denoiser_and_then_learns_alone() -> None:
    run = trainer(20)
    steps = iter(run)
    for number in range(1, 21):
        before = weights_of(run.family.net)
        result = next(steps)
        is_second_half = number > 10
        assert set(result.losses) == ({"student"} if is_second_half else {"main"})
        assert bool(run.family.is_distilled) == is_second_half
        assert torch.equal(weights_of(run.family.net), before) == is_second_half
        assert torch.equal(weights_of(run.family.net), weights_of(run.family.student)) != is_second_half


def test_the_average_of_the_student_begins_with_its_first_update() -> None:
    run = trainer(20)
    steps = iter(run)
    for _ in range(11):
        next(steps)
    averages = torch.cat(
        [run.average[f"student.{name}"].flatten() for name, _ in run.family.student.named_parameters()]
    )
    assert torch.equal(averages, weights_of(run.family.student))


def test_one_step_of_the_student_is_closer_to_the_end_of_the_path() -> None:
    family = trained()
    assert family.num_drafts(SampleRequest(4)) == 1
    path = DiffusionSampling(steps=24, solver="heun")
    end = last_draft(family, SampleRequest(64, sampling=path))
    one_step = last_draft(family, SampleRequest(64))
    assert torch.equal(one_step, last_draft(family, SampleRequest(64, sampling=DiffusionSampling(steps=1))))
    family.is_distilled.fill_(False)
    without = last_draft(family, SampleRequest(64, sampling=DiffusionSampling(steps=1)))
    family.is_distilled.fill_(True)
    assert float((one_step - end).square().mean()) < 0.8 * float((without - end).square().mean())


@pytest.mark.parametrize(
    "change", [{"guidance": 2.0}, {"autoguidance": 1.0}, {"solver": "heun"}, {"tile": True}, {"steps": 12}]
)
def test_the_denoiser_draws_what_the_student_has_not_learned(change: dict[str, float]) -> None:
    family, sampling = trained(), DiffusionSampling(**change)  # type: ignore[arg-type]
    assert family.num_drafts(SampleRequest(2, sampling=sampling)) == 12
    assert len(list(family.sample(SampleRequest(2, sampling=sampling), 0))) == 12


def test_known_values_are_filled_in_by_the_denoiser() -> None:
    mask = torch.zeros(1, 8, 8)
    mask[:, :4] = 1
    x = stripes(3).x
    request = SampleRequest(3, condition=Condition(x, mask))
    drafts = list(trained().sample(request, 0))
    assert len(drafts) == trained().num_drafts(request) == 12
    assert torch.equal(drafts[-1][:, :, :4], x[:, :, :4])


def test_the_portable_sampler_is_the_student() -> None:
    family, request = trained(), SampleRequest(3)
    sampler = family.portable_sampler()
    step = next(step for step in sampler.steps if step["step"] == "denoise")
    assert len(step["sigmas"]) == 2 and not step.get("renoise")  # type: ignore[arg-type]
    inputs = denoising.drawn_inputs(family, request, 0)
    start, denoiser = (graph.function for graph in sampler.graphs)
    sigma = torch.tensor(step["sigmas"])[:1]
    y = start(inputs["component"], inputs["basis_noise"], inputs["residual_noise"]) + sigma * inputs["noise"]
    x = denoiser(y, sigma.expand(3), inputs["component"]).clamp(-1, 1)
    torch.testing.assert_close(x, last_draft(family, request), atol=1e-5, rtol=0)


def test_a_path_goes_from_the_first_noise_level_of_sampling_to_the_last() -> None:
    levels = path_levels(trained())
    assert len(levels) == NUM_NOISE_LEVELS + 1
    assert levels[0] == pytest.approx(SMALL.sigma_max * SPEC.std) and levels[-1] == pytest.approx(0.03 * SPEC.std)


def test_clips_are_refused() -> None:
    with pytest.raises(ConfigError, match="not for clips"):
        Diffusion(Grid((1, 4, 8, 8), "CTHW"), replace(SMALL, frame_group=2))


def test_loss_does_not_depend_on_the_micro_batch() -> None:
    family, batch = trained(), stripes(32)
    loss = family.phases()[1].loss
    whole = loss(batch, StepContext(0, 3)).total
    parts = [loss(batch.rows(i, i + 8), StepContext(0, 3, first_row=i)).total for i in range(0, 32, 8)]
    torch.testing.assert_close(whole, torch.stack(parts).sum(), rtol=1e-4, atol=1e-4)
