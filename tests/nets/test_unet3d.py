from __future__ import annotations

import pytest
import torch

from anew.nets.unet3d import SpaceTimeAttention, UNet3d, rope_3d


def net(group: int = 2, **more: int) -> UNet3d:
    return UNet3d(
        3,
        2,
        num_components=3,
        channels=16,
        channel_mults=(1, 2),
        depth=1,
        patch_size=2,
        frame_group=group,
        dropout=0.0,
        **more,
    )


@pytest.mark.parametrize(
    ("frames", "height", "breadth", "group"), [(4, 8, 8, 2), (5, 10, 7, 2), (1, 8, 12, 1), (9, 8, 8, 4)]
)
def test_keeps_the_size_of_any_clip(frames: int, height: int, breadth: int, group: int) -> None:
    x, level = torch.randn(2, 3, frames, height, breadth), torch.rand(2, frames) + 0.1
    assert net(group)(x, level, torch.tensor([0, 2])).shape == (2, 2, frames, height, breadth)


@pytest.mark.parametrize("channels", [9, 33, 50, 74, 100])
def test_attention_takes_any_number_of_channels(channels: int) -> None:
    attention = SpaceTimeAttention(channels)
    torch.nn.init.normal_(attention.proj.weight)
    x = torch.randn(6, channels, 2, 3)
    out = attention(x, 3)
    assert out.shape == x.shape and not torch.allclose(out, x)


def test_starts_at_zero_and_learns_from_every_weight() -> None:
    network = net()
    x, level, component = torch.randn(3, 3, 6, 8, 8), torch.rand(3, 6) + 0.1, torch.tensor([0, 1, 2])
    assert network(x, level, component).abs().max() == 0
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter, std=0.1)
    network(x, level, component).square().sum().backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in network.parameters())


def test_every_frame_hears_of_every_other_and_of_its_level() -> None:
    network = net(1)
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter, std=0.1)
    x, level, component = torch.randn(1, 3, 6, 8, 8), torch.full((1, 6), 0.5), torch.tensor([0])
    before = network(x, level, component)
    other = x.clone()
    other[:, :, 5] += 1.0
    assert (network(other, level, component) - before)[:, :, 0].abs().max() > 1e-6
    noisy = level.clone()
    noisy[:, 3] = 2.0
    assert (network(x, noisy, component) - before)[:, :, 3].abs().max() > 1e-4


def test_turns_keep_lengths_and_differ_by_place() -> None:
    cosine, sine = rope_3d((2, 3, 4), 32, torch.device("cpu"))
    assert cosine.shape == (24, 16)
    torch.testing.assert_close(cosine.square() + sine.square(), torch.ones(24, 16))
    assert len({tuple(row.tolist()) for row in torch.cat([cosine, sine], 1)}) == 24
