from __future__ import annotations

import pytest
import torch
from torch.nn import functional

from anew.nets.conv_blocks import Attention, ChannelNorm, Conv, Linear, depth_to_space, space_to_depth
from anew.nets.unet import UNet


@pytest.mark.parametrize(("channels", "height", "breadth", "patch"), [(1, 8, 8, 1), (3, 28, 20, 2), (4, 50, 33, 4)])
def test_keeps_the_size_of_any_grid(channels: int, height: int, breadth: int, patch: int) -> None:
    net = UNet(
        2 * channels,
        channels,
        num_components=3,
        channels=16,
        channel_mults=(1, 2),
        depth=1,
        patch_size=patch,
        attention=True,
    )
    x = torch.randn(2, 2 * channels, height, breadth)
    out = net(x, torch.tensor([0.1, 1.0]), torch.tensor([0, 2]))
    assert out.shape == (2, channels, height, breadth)


def test_keeps_the_size_of_a_row_and_pads_along_it_alone() -> None:
    net = UNet(2, 1, num_components=1, channels=16, channel_mults=(1, 2, 2), depth=1, patch_size=4, is_row=True)
    torch.nn.init.normal_(net.out.weight, std=0.1)
    x, level, component = torch.randn(2, 2, 1, 1001), torch.ones(2), torch.zeros(2, dtype=torch.long)
    out = net(x, level, component)
    assert out.shape == (2, 1, 1, 1001) and out[..., -1].abs().min() > 0.0
    assert {tuple(conv.weight.shape[2:]) for conv in net.modules() if isinstance(conv, Conv)} == {(1, 1), (1, 5)}


@pytest.mark.parametrize(("channels", "num_heads"), [(8, 1), (48, 1), (50, 1), (96, 3), (100, 2), (127, 1), (512, 16)])
def test_heads_divide_any_number_of_channels(channels: int, num_heads: int) -> None:
    attention = Attention(channels)
    x = torch.randn(1, channels, 2, 3)
    assert attention.num_heads == num_heads and attention(x).shape == x.shape


def test_starts_at_zero_and_learns_from_every_weight() -> None:
    net = UNet(2, 1, num_components=3, channels=16, channel_mults=(1, 2), depth=1, patch_size=2)
    x, level, component = torch.randn(4, 2, 8, 8), torch.rand(4) + 0.1, torch.tensor([0, 1, 2, 0])
    assert net(x, level, component).abs().max() == 0
    for parameter in net.parameters():
        torch.nn.init.normal_(parameter, std=0.1)
    net(x, level, component).square().sum().backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in net.parameters())


def test_computes_in_the_dtype_of_its_input() -> None:
    net = UNet(2, 1, num_components=1, channels=16, channel_mults=(1, 2), depth=1, patch_size=2)
    torch.nn.init.normal_(net.out.weight, std=0.1)
    x, level, component = torch.randn(2, 2, 8, 8), torch.rand(2) + 0.1, torch.zeros(2, dtype=torch.long)
    exact, rough = net(x, level, component), net(x.bfloat16(), level, component)
    assert rough.dtype == torch.bfloat16
    torch.testing.assert_close(rough.float(), exact, atol=0.1, rtol=0.1)


def test_depth_and_space_are_inverse() -> None:
    x = torch.randn(2, 3, 12, 8)
    assert space_to_depth(x, 4).shape == (2, 48, 3, 2)
    assert torch.equal(depth_to_space(space_to_depth(x, 4), 4), x)
    torch.testing.assert_close(space_to_depth(x, 1), x)
    assert space_to_depth(x, (1, 4)).shape == (2, 12, 12, 2)
    assert torch.equal(depth_to_space(space_to_depth(x, (1, 4)), (1, 4)), x)


def test_blocks_agree_with_the_stock_ones() -> None:
    x = torch.randn(2, 8, 5, 6)
    conv, linear, norm = Conv(8, 4), Linear(8, 4), ChannelNorm(8)
    torch.testing.assert_close(conv(x), functional.conv2d(x, conv.weight, conv.bias, padding=1))
    torch.testing.assert_close(linear(x[:, :, 0, 0]), functional.linear(x[:, :, 0, 0], linear.weight, linear.bias))
    torch.testing.assert_close(norm(x).mean(1), torch.zeros(2, 5, 6), atol=1e-5, rtol=0)
    assert torch.equal(Attention(8)(x), x)
