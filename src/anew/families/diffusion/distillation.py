"""Consistency distillation (arXiv 2303.01469, algorithm 2): a student of the denoiser that leads from the highest noise level to a
sample in one step.

The denoiser goes from a noise level to the next lower one along the probability flow, and the student learns to estimate before
this step what it estimates after it. Its target at the lowest level is the denoiser's estimate, so that all levels of a path come to lead
to the end of that path. The teacher has the denoiser's last weights, not their average: the learning rate has
fallen to zero by then, so that both are equally good (docs/log.md, 2026-11-29).

Legend for shapes: B examples, D values of one example.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import torch
from torch import Tensor, nn

from anew.core.random import StepContext
from anew.core.specs import Batch, Grid
from anew.errors import ConfigError
from anew.families.diffusion.config import DiffusionSampling
from anew.families.diffusion.denoiser import DiffusionModel
from anew.families.diffusion.layout import SMALLEST_SIGMA
from anew.families.phases import Loss, OptimizerConfig
from anew.functional.noise import karras_sigmas

NUM_NOISE_LEVELS = 6  # noise levels of a path: 4, 8 and 12 came no closer (docs/log.md, 2026-11-28)
# Learning rates of the student as a share of the denoiser's, from whose weights it starts (docs/log.md, 2026-11-28).
LEARNING_RATE_FACTOR = 0.5


def check_distillable(spec: Grid) -> None:
    """Raise ConfigError for clips, whose frames have noise levels of their own."""
    if spec.axes != "CHW":
        raise ConfigError("distillation is for images and sounds, not for clips; leave it out")


def distillation_loss(teacher: DiffusionModel, student: nn.Module, batch: Batch, context: StepContext) -> Loss:
    """Squared error of the student's output F; its target is its own estimate one step further along the path of the denoiser."""
    x = batch.x.flatten(1).float()  # (B, D)
    component = teacher.mixture.assign(x, batch.labels if teacher.spec.classes else None)
    levels = path_levels(teacher).to(x.device)
    level_index = (context.uniform("path", (len(x),)) * NUM_NOISE_LEVELS).long().clamp(max=NUM_NOISE_LEVELS - 1)  # (B,)
    sigma, sigma_next = levels[level_index][:, None], levels[level_index + 1][:, None]  # (B, 1)
    y = x + sigma * context.normal("noise", x.shape)  # (B, D)
    with torch.no_grad(), _evaluating(teacher.net):
        y_next, end = _heun_step(teacher, y, sigma, sigma_next, component)
        c_skip_y, c_out, F = teacher.precondition(student, y_next, sigma_next, component)
        is_last = (level_index == NUM_NOISE_LEVELS - 1)[:, None]
        target = torch.where(is_last, end, c_skip_y + c_out * F)  # (B, D)
    c_skip_y, c_out, F = teacher.precondition(student, y, sigma, component)
    error = F - (target - c_skip_y) / c_out
    return Loss(error.square().mean(1).sum(), len(x), {"student_error": (error * c_out).square().mean().detach()})


def path_levels(teacher: DiffusionModel) -> Tensor:
    """(NUM_NOISE_LEVELS + 1,) falling noise levels, in data units."""
    sampling, std = DiffusionSampling(), teacher.spec.std
    return karras_sigmas(NUM_NOISE_LEVELS + 1, SMALLEST_SIGMA * std, teacher.config.sigma_max * std, sampling.rho)[:-1]


def _heun_step(
    teacher: DiffusionModel, y: Tensor, sigma: Tensor, sigma_next: Tensor, component: Tensor
) -> tuple[Tensor, Tensor]:
    """A step of the probability flow (arXiv 2206.00364, algorithm 1), and the denoised estimate at its end, both (B, D). The estimate
    is that of the first-order step, which is known already."""

    weight = teacher.autoguidance_weight()

    def estimate(y: Tensor, sigma: Tensor) -> Tensor:
        c_skip_y, c_out, F = teacher.precondition(teacher.net, y, sigma, component)
        return teacher.autoguide(c_skip_y + c_out * F, y, sigma, weight)

    slope = (y - estimate(y, sigma)) / sigma
    y_euler = y + (sigma_next - sigma) * slope
    denoised = estimate(y_euler, sigma_next)
    slope_next = (y_euler - denoised) / sigma_next
    return y + (sigma_next - sigma) * (slope + slope_next) / 2, denoised


def student_optimizer(optimizer: OptimizerConfig) -> OptimizerConfig:
    """The optimizer of the student, from that of the denoiser."""
    return replace(
        optimizer, groups=tuple(replace(group, lr=LEARNING_RATE_FACTOR * group.lr) for group in optimizer.groups)
    )


@torch.no_grad()
def copy_weights(source: nn.Module, destination: nn.Module) -> None:
    """Copy the weights into a network of the same kind, which may lack those of augmentations. Sharded weights stay where they are."""
    weights = dict(source.named_parameters())
    for name, copied in destination.named_parameters():
        copied.data.copy_(weights[name].data)


@contextmanager
def _evaluating(net: nn.Module) -> Iterator[None]:
    """Within this context, the network has no dropout."""
    was_training = net.training
    net.eval()
    try:
        yield
    finally:
        net.train(was_training)
