"""The decoder: gradients of its fused layers, causality, and equality with a stock Qwen3."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from anew.nets import attention, decoder
from anew.nets.decoder import Decoder, DecoderConfig, to_qwen3
from anew.nets.incremental import CachedDecoder, NumpyDecoder


def _random(shape: DecoderConfig) -> Decoder:
    torch.manual_seed(0)
    net = Decoder(shape)
    for parameter in net.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    return net.eval()


@pytest.mark.parametrize("tied", [False, True])
def test_logits_equal_a_stock_qwen3(tied: bool) -> None:
    transformers = pytest.importorskip("transformers")
    net = _random(
        DecoderConfig(
            vocab_size=50,
            hidden_size=32,
            num_layers=3,
            num_heads=2,
            mlp_size=48,
            context_length=16,
            tie_embeddings=tied,
        )
    )
    state, config = to_qwen3(net.state_dict(), net.config)
    stock = transformers.Qwen3ForCausalLM(transformers.Qwen3Config(**config)).eval()
    missing, unexpected = stock.load_state_dict(state, strict=False)
    assert not missing and not unexpected
    ids = torch.randint(0, 50, (3, 16))
    with torch.no_grad():
        assert torch.allclose(stock(ids).logits, net(ids), atol=1e-4)


@pytest.mark.parametrize("offsets", [(), (3, 6)], ids=["sequence", "grid"])
@pytest.mark.parametrize("first", [1, 2, 7])
def test_a_later_token_changes_no_earlier_logit(first: int, offsets: tuple[int, ...]) -> None:
    net = _random(
        DecoderConfig(
            vocab_size=20,
            hidden_size=16,
            num_layers=2,
            num_heads=2,
            mlp_size=24,
            context_length=12,
            neighbour_offsets=offsets,
            num_prefix=3,
        )
    )
    ids = torch.randint(0, 20, (2, 12))
    other = ids.clone()
    other[:, first:] = (other[:, first:] + 1) % 20
    with torch.no_grad():
        assert torch.equal(net(ids)[:, :first], net(other)[:, :first])


def test_a_token_on_a_grid_sees_what_stands_above_it_and_where_it_is() -> None:
    net = _random(
        DecoderConfig(
            vocab_size=20,
            hidden_size=16,
            num_layers=0,
            num_heads=2,
            mlp_size=24,
            context_length=12,
            neighbour_offsets=(4,),
            num_prefix=1,
        )
    )
    ids = torch.randint(1, 20, (1, 12))
    with torch.no_grad():
        before = net(ids)
        other = ids.clone()
        other[0, 3] = 0  # the third target
        changed = (net(other) - before).abs().amax((0, 2)) > 0
    # Of the fourth target it is the token before, of the seventh the one above.
    assert changed.nonzero().flatten().tolist() == [3, 6]
    with torch.no_grad():
        alike = net(torch.full((1, 12), 5))
    assert len(torch.unique(alike[0], dim=0)) == 12
    with pytest.raises(ValueError, match="Qwen3"):
        to_qwen3(net.state_dict(), net.config)


def test_padding_behind_records_is_left_out_and_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attention, "ROW_MULTIPLE", 4)
    net = _random(
        DecoderConfig(vocab_size=20, hidden_size=16, num_layers=2, num_heads=2, mlp_size=24, context_length=12)
    )
    ids, counted = torch.randint(0, 20, (3, 12)), torch.ones(3, 12)
    counted[0, 5:] = counted[2, 9:] = 0
    counted[1, :4] = 0  # context of targets that count elsewhere: computed all the same
    rows = attention.UnpaddedRows.up_to_last(counted)
    assert rows.indices.tolist() == [*range(5), *range(12, 33), 5, 6]  # two of padding make a multiple of four
    weights = rows.gather(counted.flatten())[:, None] * torch.randn(28, 20)
    results = []
    for logits in (net(ids, rows=rows), rows.gather(net(ids).flatten(0, 1))):
        weighted = weights * logits
        results.append((weighted, *torch.autograd.grad(weighted.sum(), list(net.parameters()))))
    assert all(torch.allclose(a, b, atol=1e-4, rtol=1e-3) for a, b in zip(*results, strict=True))


def test_rms_norm_has_the_gradient_of_the_library_one() -> None:
    x = torch.randn(5, 8, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(attention.rms_norm, (x,))
    assert torch.allclose(attention.rms_norm(x), F.rms_norm(x, (8,), eps=attention.EPSILON))


def test_attention_has_the_right_gradient() -> None:
    at = attention.PositionTables.make(5, 4, 100.0).span(0, 5, torch.float64)
    joint = torch.randn(2, 5, 3 * 3 * 4, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda x: attention.causal_attention(x, at, 3, 0.7), (joint,))


def test_cross_entropy_equals_the_library_one() -> None:
    logits = torch.randn(6, 9, dtype=torch.float64, requires_grad=True)
    target = torch.randint(0, 9, (6,))
    assert torch.allclose(
        attention.cross_entropy(logits, target).double(), F.cross_entropy(logits, target, reduction="none")
    )
    ours = torch.autograd.grad(attention.cross_entropy(logits, target).sum(), logits)[0]
    theirs = torch.autograd.grad(F.cross_entropy(logits, target, reduction="sum"), logits)[0]
    assert torch.allclose(ours, theirs)


def test_cross_entropy_in_bf16_stays_finite_far_from_the_target() -> None:
    logits = torch.tensor([[200.0, 0.0]], dtype=torch.bfloat16)
    assert attention.cross_entropy(logits, torch.tensor([1])).item() == pytest.approx(200.0)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_attention_equals_the_fused_kernel(dtype: torch.dtype) -> None:
    at = attention.PositionTables.make(7, 8, 100.0).span(0, 7, dtype)
    joint = torch.randn(2, 7, 3 * 3 * 8).to(dtype)
    q, k, v = joint.view(2, 7, 3, 3, 8).permute(2, 0, 3, 1, 4)
    q, k = (at.rotate(F.rms_norm(t, (8,), eps=attention.EPSILON)) for t in (q, k))
    fused = F.scaled_dot_product_attention(q, k, v, is_causal=True, scale=0.5)
    ours = attention.causal_attention(joint, at, 3, 0.5)
    assert torch.allclose(ours, fused.transpose(1, 2).reshape(2, 7, 24), atol=1e-5 if dtype == torch.float32 else 3e-2)


@pytest.mark.parametrize("offsets", [(), (3, 6)], ids=["sequence", "grid"])
@pytest.mark.parametrize("decoder_class", [CachedDecoder, NumpyDecoder])
def test_a_stream_gives_the_logits_of_a_whole_pass(
    decoder_class: type[CachedDecoder], offsets: tuple[int, ...]
) -> None:
    net = _random(
        DecoderConfig(
            vocab_size=20,
            hidden_size=16,
            num_layers=2,
            num_heads=2,
            mlp_size=24,
            context_length=12,
            neighbour_offsets=offsets,
            num_prefix=2,
        )
    )
    ids = torch.randint(0, 20, (3, 12))
    with torch.inference_mode():
        stream = decoder_class(net, 3)
        prompt = ids.numpy()
        parts = [stream.feed(prompt[:, :1]), stream.feed(prompt[:, 1:5])]
        parts += [stream.feed(prompt[:, i : i + 1]) for i in range(5, 12)]
        assert torch.allclose(torch.from_numpy(np.stack(parts, 1)), net(ids)[:, [0, *range(4, 12)]], atol=1e-4)


def test_attention_of_large_heads_stays_finite(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decoder, "QK_GAIN", 40.0)  # as large scores as heads of 10,000
    net = _random(DecoderConfig(20, hidden_size=16, num_layers=1, num_heads=1, mlp_size=24, context_length=12))
    with torch.no_grad():
        net.blocks[0].key.copy_(net.blocks[0].query)  # type: ignore[union-attr, operator]
    ids = torch.randint(0, 20, (3, 12)).numpy()
    with torch.inference_mode():
        steps = [NumpyDecoder(net, 3), CachedDecoder(net, 3)]
        for i in range(12):
            first, second = (stream.feed(ids[:, i : i + 1]) for stream in steps)
            np.testing.assert_allclose(first, second, atol=1e-3)
