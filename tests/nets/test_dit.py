from __future__ import annotations

import pytest
import torch

from anew.nets.dit import DiT, apply_rope, rope_2d


@pytest.mark.parametrize(("channels", "height", "breadth"), [(1, 8, 8), (3, 28, 20), (4, 50, 33)])
def test_keeps_the_size_of_any_grid(channels: int, height: int, breadth: int) -> None:
    net = DiT(2 * channels, channels, num_components=3, hidden_size=32, depth=2, num_heads=2, patch_size=4)
    x = torch.randn(2, 2 * channels, height, breadth)
    out = net(x, torch.tensor([0.1, 1.0]), torch.tensor([0, 2]))
    assert out.shape == (2, channels, height, breadth)


def test_starts_at_zero_and_learns_from_every_weight() -> None:
    net = DiT(2, 1, num_components=3, hidden_size=32, depth=1, num_heads=2, patch_size=2)
    x, level, component = torch.randn(4, 2, 8, 8), torch.rand(4) + 0.1, torch.tensor([0, 1, 2, 0])
    assert net(x, level, component).abs().max() == 0
    for parameter in net.parameters():
        torch.nn.init.normal_(parameter, std=0.1)
    net(x, level, component).square().sum().backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in net.parameters())


def test_rotation_makes_products_depend_on_the_distance_alone() -> None:
    cosine, sine = rope_2d(4, 4, 8, torch.device("cpu"))
    query, key = torch.randn(8), torch.randn(8)
    turned_query = apply_rope(query.expand(1, 1, 16, 8), cosine, sine)[0, 0].reshape(4, 4, 8)
    turned_key = apply_rope(key.expand(1, 1, 16, 8), cosine, sine)[0, 0].reshape(4, 4, 8)
    product = turned_query[0, 1] @ turned_key[2, 2]
    other = turned_query[1, 2] @ turned_key[3, 3]
    torch.testing.assert_close(product, other)
