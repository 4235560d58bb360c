"""Diffusion on clips: one model that generates, goes on, and fills between."""

from __future__ import annotations

from functools import cache

import pytest
import torch

from anew.core.random import StepContext
from anew.core.specs import Batch, Condition, Grid, SampleRequest
from anew.errors import ConfigError
from anew.families.base import Scale
from anew.families.diffusion.clip import ClipLayout
from anew.families.diffusion.config import DiffusionConfig, DiffusionSampling
from anew.families.diffusion.denoiser import add_noise
from anew.families.diffusion.family import Diffusion
from toys import last_draft

FRAMES = 6
CONFIG = DiffusionConfig(
    batch_size=16,
    width=16,
    channel_mults=(1, 2),
    depth=1,
    patch_size=2,
    frame_group=2,
    num_components=2,
    rank=16,
    p_conditioning=0.5,
    precision="fp32",
)


def bars(n: int, seed: int = 0) -> Batch:
    """A bar that moves right (class 0, six frames) or left (class 1, four) over 8 columns, a column a frame."""
    rng = torch.Generator().manual_seed(seed)
    label = torch.randint(2, (n,), generator=rng)
    start = torch.randint(8, (n, 1), generator=rng)
    place = (start + torch.arange(FRAMES) * (1 - 2 * label[:, None])) % 8  # (n, T)
    own = torch.arange(FRAMES) < torch.where(label == 0, 6, 4)[:, None]
    place = torch.where(own, place, place[:, 3:4])
    x = torch.full((n, 1, FRAMES, 8, 8), -0.7)
    x.scatter_(4, place[:, None, :, None, None].expand(-1, -1, -1, 8, 1), 0.7)
    return Batch(x, label, own)


@cache
def trained(steps: int = 120) -> Diffusion:
    torch.manual_seed(0)
    family = Diffusion(Grid((1, FRAMES, 8, 8), "CTHW", 2, 0.5), CONFIG)
    family.fit_closed_form([bars(256)])
    optimiser = torch.optim.Adam(family.parameters(), 3e-3)
    for step in range(steps):
        loss = family.loss(bars(32, step), StepContext(0, step))
        optimiser.zero_grad()
        (loss.total / loss.count).backward()
        optimiser.step()
    return family.eval()


def columns(x: torch.Tensor) -> torch.Tensor:
    """(n, T) the brightest column of each frame."""
    return x[:, 0].mean(2).argmax(2)


def test_clips_are_not_augmented() -> None:
    with pytest.raises(ConfigError, match="augment_p applies to images only"):
        Diffusion(Grid((1, 4, 8, 8), "CTHW"), DiffusionConfig(augment_p=0.3))


def test_samples_move_as_their_class_does_and_are_as_long() -> None:
    x = last_draft(trained(), SampleRequest(96, labels=torch.arange(96) % 2))
    place = columns(x)
    right, left = place[0::2], place[1::2]
    assert ((right[:, 1:] - right[:, :-1]) % 8 == 1).float().mean() > 0.8
    assert ((left[:, 1:4] - left[:, :3]) % 8 == 7).float().mean() > 0.8
    assert torch.equal(x[1::2, :, 4], x[1::2, :, 3]) and torch.equal(x[1::2, :, 5], x[1::2, :, 3])


def test_goes_on_from_a_beginning_and_fills_between() -> None:
    truth = bars(32, 77)
    assert truth.labels is not None
    truth = Batch(truth.x[truth.labels == 0], truth.labels[truth.labels == 0])
    for given_frames in ([1, 1, 0, 0, 0, 0], [1, 0, 0, 0, 0, 1]):
        mask = torch.tensor(given_frames, dtype=torch.float).view(1, FRAMES, 1, 1)
        x = last_draft(trained(), SampleRequest(len(truth), labels=truth.labels, condition=Condition(truth.x, mask)))
        keep = torch.tensor(given_frames, dtype=torch.bool)
        assert torch.equal(x[:, :, keep], truth.x[:, :, keep])
        assert (columns(x) == columns(truth.x)).float().mean() > 0.8


def test_any_length_is_made_by_going_on() -> None:
    family = trained()
    x = last_draft(
        family, SampleRequest(6, labels=torch.zeros(6, dtype=torch.long), sampling=DiffusionSampling(frames=15))
    )
    assert x.shape == (6, 1, 15, 8, 8)
    place = columns(x)
    assert ((place[:, 1:] - place[:, :-1]) % 8 == 1).float().mean() > 0.7
    assert last_draft(family, SampleRequest(2, sampling=DiffusionSampling(frames=4))).shape[2] == 4
    long = torch.cat([bars(1, 3).x] * 2, 2)
    x = last_draft(family, SampleRequest(2, condition=Condition(long[0])))
    assert x.shape[2] == 15 and torch.equal(x[0, :, :12], long[0])


def test_a_sample_depends_on_its_own_index_alone() -> None:
    family = trained(0)
    whole, part = last_draft(family, SampleRequest(5)), last_draft(family, SampleRequest(2, first_index=3))
    torch.testing.assert_close(whole[3:], part, atol=1e-4, rtol=0)


def test_frames_that_are_not_there_change_nothing() -> None:
    family, batch = trained(0), bars(16, 5)
    other = Batch(batch.x.clone(), batch.labels, batch.mask)
    with torch.no_grad():
        component = torch.zeros(16, dtype=torch.long)
        level = torch.where(batch.mask, 0.3, torch.inf)  # type: ignore[arg-type]
        noise = torch.randn(16, 384, generator=torch.Generator().manual_seed(1))
        other.x[:, :, 4:][batch.labels == 1] = 0.3  # type: ignore[index]
        first, second = (
            family.denoise(add_noise(b.x.flatten(1), family.mixture.per_value(level), noise), level, component)
            for b in (batch, other)
        )
    own = batch.mask[:, None, :, None, None].expand_as(batch.x).flatten(1)  # type: ignore[index]
    torch.testing.assert_close(first[own], second[own])


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(ConfigError, match="any number of frames"):
        last_draft(trained(0), SampleRequest(2, condition=Condition(torch.zeros(1, 6, 9, 8))))
    still = Diffusion(Grid((1, 8, 8), "CHW"), DiffusionConfig(width=16, num_components=2, rank=4))
    with pytest.raises(ConfigError, match="clips only"):
        last_draft(still, SampleRequest(1, sampling=DiffusionSampling(frames=5)))


@pytest.mark.parametrize(
    ("side", "device", "width", "channel_mults", "patch_size", "frame_group", "batch_size"),
    [
        (12, "cpu", 24, (1, 2), 1, 1, 4),
        (32, "cpu", 24, (1, 2, 4), 1, 1, 4),
        (64, "cpu", 24, (1, 2, 4, 8), 1, 1, 4),
        (96, "cpu", 48, (1, 2, 2), 4, 2, 32),
        (64, "cuda", 48, (1, 2), 4, 2, 64),
    ],
)
def test_networks_on_a_cpu_see_single_pixels_of_single_frames(
    side: int,
    device: str,
    width: int,
    channel_mults: tuple[int, ...],
    patch_size: int,
    frame_group: int,
    batch_size: int,
) -> None:
    """In patches, sprites were grainy."""
    spec = Grid((3, 8, side, side), "CTHW", 0, 0.5)
    config = Diffusion.suggest(spec, Scale(1000, 1000.0, 600.0, model_size=1, device=device))
    assert (config.width, config.channel_mults) == (width, channel_mults)
    assert (config.patch_size, config.frame_group, config.batch_size) == (patch_size, frame_group, batch_size)
    # Few clips a step make more steps of as many examples, so fewer are enough
    assert ClipLayout(spec).examples_per_parameter(config) == (0.06 if device == "cpu" and side <= 64 else 0.15)
