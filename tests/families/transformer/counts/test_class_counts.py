"""Counts by class: samples of a class follow it, and a class that is not known changes nothing."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
import torch

from anew.core.specs import Batch, SampleRequest, Tokens
from anew.families.transformer.config import TransformerConfig, TransformerSampling
from anew.families.transformer.counts.class_counts import ClassCounts
from anew.families.transformer.family import Transformer

SPEC = Tokens(vocab=7, length=12, special={"begin": 5, "end": 6}, classes=2, packed=False)


def records(n: int, seed: int, follows_class: bool = True) -> tuple[list[np.ndarray], np.ndarray]:
    """Records in which 0 and 1 take turns (class 0) or come in pairs (class 1)."""
    source = np.random.default_rng(seed)
    classes = source.integers(0, 2, n)
    rows = []
    for label in classes if follows_class else source.integers(0, 2, n):
        start = source.integers(0, 4)
        pattern = np.array([0, 1, 0, 1, 0, 1, 0, 1, 0, 1, 0, 1] if label == 0 else [0, 0, 1, 1, 0, 0, 1, 1, 0, 0, 1, 1])
        rows.append(np.concatenate(([5], pattern[start : start + 6], [6])).astype(np.int64))
    return rows, classes


def batches(seed: int) -> Iterator[Batch]:
    rows, classes = records(400, seed)
    x = torch.from_numpy(np.stack(rows))
    yield Batch(x, torch.from_numpy(classes), torch.ones(x.shape[0], x.shape[1] - 1))


def test_the_share_says_how_much_a_class_tells() -> None:
    shares = []
    for follows_class in (True, False):
        counts = ClassCounts(7, 4, 2)
        counts.count(*records(400, 0, follows_class))
        shares.append(counts.get_buffer("share").item())
    assert shares[0] > 0.6 > 0.4 > shares[1]


def test_contexts_of_a_batch_are_those_of_its_last_tokens_and_unknown_classes_have_none() -> None:
    counts = ClassCounts(7, 4, 2)
    rows, classes = records(30, 1)
    assert counts.contexts(np.stack(rows), classes) is None and counts.last_contexts(np.stack(rows), classes) is None
    counts.count(rows, np.where(np.arange(30) == 3, -1, classes))
    assert not counts.is_counted
    counts.count(rows, classes)
    ids = np.stack(rows)
    together, last = counts.contexts(ids, classes), counts.last_contexts(ids, classes)
    assert together is not None and last is not None
    assert np.array_equal(together.reshape(5, 30, -1)[..., -1], last)
    assert counts.contexts(ids, None) is None
    plain = np.full((2, 7), 1 / 7, dtype=np.float32)
    assert counts.mix(plain, None) is plain
    mixed = counts.mix(plain, last[:, :2])
    of_targets = counts.mix(plain[:, 0], last[:, :2], np.array([1, 0]))
    assert np.allclose(mixed.sum(1), 1.0, atol=1e-5) and np.allclose(of_targets, mixed[[0, 1], [1, 0]], rtol=1e-4)


def test_buffers_come_back_and_are_checked() -> None:
    counts, again = ClassCounts(7, 4, 2), ClassCounts(7, 4, 2)
    rows, classes = records(30, 1)
    counts.count(rows, classes)
    state = counts.state_dict()
    again.allocate_buffers({name: tensor.shape for name, tensor in state.items()})
    again.load_state_dict(state)
    again.check()
    assert np.array_equal(again.last_contexts(np.stack(rows), classes), counts.last_contexts(np.stack(rows), classes))
    again.get_buffer("share").fill_(1.5)
    with pytest.raises(ValueError, match="share of counts by class"):
        again.check()


def test_samples_of_a_class_follow_it_though_the_network_knows_nothing() -> None:
    torch.manual_seed(0)
    config = TransformerConfig(layers=1, width=8, heads=2, mlp_size=8, ngram_order=4, precision="fp32")
    family = Transformer(SPEC, config).eval()
    family.fit_closed_form(batches(0))
    family.calibrate(batches(1))
    sampling = TransformerSampling(avoid_known=False)
    for label in (0, 1):
        request = SampleRequest(60, labels=torch.full((60,), label), sampling=sampling)
        *_, draft = family.sample(request, 0)
        repeats = (draft[:, 1:5] == draft[:, :4]).float().mean()
        assert (repeats < 0.1) if label == 0 else (0.35 < repeats < 0.65)
    known, unknown = (family.bits(Batch(b.x, labels, b.mask)).sum() for b in batches(2) for labels in (b.labels, None))
    assert known < 0.8 * unknown
    copy = Transformer(SPEC, config).eval()
    copy.allocate_buffers({name: tensor.shape for name, tensor in family.state_dict().items()})
    copy.load_state_dict(family.state_dict())
    copy.check_state()
    batch = next(iter(batches(2)))
    assert torch.equal(copy.bits(batch), family.bits(batch))
