"""Samples that wrap: what a network sees of them has no border, and what is drawn shows no seam."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from anew.core.processes.world import World
from anew.core.specs import Batch, Grid, SampleRequest
from anew.errors import ConfigError
from anew.families.diffusion.config import DiffusionConfig, DiffusionSampling
from anew.families.diffusion.family import Diffusion
from anew.families.diffusion.wrapping import Wrapped, roll_images
from anew.nets.unet import UNet
from anew.training.progress import StepProgress
from anew.training.trainer import Trainer


class Mean(nn.Module):
    """The mean over 5 x 5, zeros beyond the border."""

    def forward(self, x: Tensor, sigma: Tensor, component: Tensor) -> Tensor:
        return nn.functional.avg_pool2d(x, 5, 1, 2)


@pytest.mark.parametrize("size", [(8, 8), (12, 20), (4, 4)])
def test_a_network_sees_no_border(size: tuple[int, int]) -> None:
    x = torch.randn(2, 3, *size)
    wrapped = Wrapped(Mean(), 4)
    for shift in ((1, 3), (size[0] // 2, 5)):
        moved = wrapped(x.roll(shift, (2, 3)), torch.ones(2), torch.zeros(2))
        torch.testing.assert_close(moved, wrapped(x, torch.ones(2), torch.zeros(2)).roll(shift, (2, 3)))


def test_a_u_net_follows_moves_by_its_patches() -> None:
    torch.manual_seed(0)
    net = UNet(1, 1, num_components=1, channels=8, channel_mults=(1,), depth=1, patch_size=2)
    nn.init.normal_(net.out.weight, std=0.1)
    wrapped = Wrapped(net, net.multiple)
    x, sigma, component = torch.randn(1, 1, 24, 24), torch.ones(1), torch.zeros(1, dtype=torch.long)
    moved = wrapped(x.roll((8, 4), (2, 3)), sigma, component)
    torch.testing.assert_close(moved, wrapped(x, sigma, component).roll((8, 4), (2, 3)), atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("level", [0, 1, 7])
def test_turning_back_undoes_turning(level: int) -> None:
    x = torch.randn(3, 2 * 6 * 10)
    assert torch.equal(roll_images(roll_images(x, (2, 6, 10), level), (2, 6, 10), level, inverse=True), x)


def ramps(count: int, seed: int) -> Tensor:
    """(n, 1, 16, 16) cuts of waves of any phase whose length does not divide the side, so that opposite edges differ."""
    rng = torch.Generator().manual_seed(seed)
    phase = 6.28 * torch.rand(count, 2, 1, 1, generator=rng)
    place = torch.arange(16.0)
    rows, columns = place[None, :, None], place[None, None, :]
    waves = torch.sin(6.28 * rows / 11 + phase[:, 0]) + torch.sin(6.28 * columns / 11 + phase[:, 1])
    return 0.4 * waves[:, None]


class Ramps:
    def batch(self, step: int, phase: str, first: int, count: int, size: int) -> Batch:
        return Batch(ramps(count, step), None, None, torch.full((count,), 256.0))

    def prefetch(self, step: int, phase: str, first: int, count: int, size: int) -> None:
        return None


def seam(x: Tensor) -> float:
    """Difference across the border, relative to that of neighbours."""
    ratios = [float((x.select(a, 0) - x.select(a, -1)).abs().mean() / x.diff(dim=a).abs().mean()) for a in (2, 3)]
    return sum(ratios) / 2


def test_samples_wrap_where_they_are_asked_to() -> None:
    torch.manual_seed(0)
    spec = Grid((1, 16, 16), "CHW", 0, 0.4)
    config = DiffusionConfig(width=16, num_components=4, rank=8, batch_size=32, precision="fp32")
    family = Diffusion(spec, config)
    family.fit_closed_form([Ramps().batch(0, "", 0, 256, 256)])
    trainer = Trainer(family, Ramps(), StepProgress(60), seed=0, batch_size=32, micro_batch=32, world=World())
    for _ in trainer:
        pass
    family.load_state_dict(trainer.weights())
    drawn = {}
    for tile in (False, True):
        *_, drawn[tile] = family.sample(SampleRequest(32, sampling=DiffusionSampling(tile=tile)), 1)
    # Waves of this length cannot wrap without a bend, which is no seam.
    assert seam(drawn[True]) < 0.7 * seam(drawn[False])
    again = SampleRequest(2, first_index=5, sampling=DiffusionSampling(tile=True))
    *_, part = family.sample(again, 1)
    torch.testing.assert_close(part, drawn[True][5:7], atol=1e-3, rtol=1e-3)


@pytest.mark.parametrize(
    ("labels", "settings", "reason"),
    [
        (torch.tensor([1]), {}, "tile follows no label"),
        (None, {"guidance": 2.0}, "neither guidance nor autoguidance"),
        (None, {"autoguidance": 1.5}, "neither guidance nor autoguidance"),
    ],
)
def test_what_wrapped_samples_cannot_follow_is_refused(
    labels: Tensor | None, settings: dict[str, float], reason: str
) -> None:
    family = Diffusion(Grid((1, 8, 8), "CHW", 2, 0.5), DiffusionConfig(width=8, num_components=2, rank=4))
    sampling = DiffusionSampling(tile=True, **settings)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match=reason):
        list(family.sample(SampleRequest(1, labels, sampling=sampling), 0))


@pytest.mark.parametrize(
    ("spec", "reason"),
    [
        (Grid((4, 8, 8), "CHW", 0, 1.0, bounded=False), "space=pixel"),
        (Grid((1, 4, 8, 8), "CTHW", 0, 0.5), "images only"),
    ],
)
def test_what_cannot_wrap_is_refused(spec: Grid, reason: str) -> None:
    family = Diffusion(spec, DiffusionConfig(width=8, num_components=0, rank=4))
    with pytest.raises(ConfigError, match=reason):
        list(family.sample(SampleRequest(1, sampling=DiffusionSampling(tile=True)), 0))
