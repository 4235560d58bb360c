"""What is remembered and counted of records that are too many: some from everywhere."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
import torch

from anew.core.specs import Batch, Tokens
from anew.families.transformer import closed_form
from anew.families.transformer.config import TransformerConfig
from anew.families.transformer.family import Transformer
from anew.families.transformer.token_sequences import documents_from_beginnings, thinned_sequences

LENGTH, BEGIN, END = 8, 20, 21
SPEC = Tokens(22, LENGTH, {"begin": BEGIN, "end": END}, packed=False)
SMALL = {"layers": 1, "width": 16, "heads": 1, "mlp_size": 24, "ngram_order": 2, "precision": "fp32"}


def sorted_records(n: int) -> Batch:
    """Records of which the first half has tokens below 10, and the others have none of these."""
    rng = np.random.default_rng(0)
    rows = rng.integers(0, 10, (n, LENGTH - 1)) + 10 * (np.arange(n) >= n // 2)[:, None]
    begin, end = np.full((n, 1), BEGIN), np.full((n, 1), END)
    return Batch(torch.from_numpy(np.concatenate((begin, rows, end), 1)), mask=torch.ones(n, LENGTH))


@pytest.fixture
def records() -> Batch:
    return sorted_records(400)


@pytest.fixture
def family(records: Batch, monkeypatch: pytest.MonkeyPatch) -> Transformer:
    monkeypatch.setattr(closed_form, "MAX_KNOWN_TOKENS", 100 * (LENGTH + 1))
    family = Transformer(SPEC, TransformerConfig(**SMALL)).eval()  # type: ignore[arg-type]
    family.fit_closed_form([records])
    return family


def test_records_are_left_out_everywhere() -> None:
    def batches() -> Iterator[Batch]:
        for number in range(10):
            yield Batch(torch.full((100, 4), number), labels=torch.full((100,), number), mask=torch.ones(100, 3))

    sequences, classes, are_all = thinned_sequences(batches(), 4 * 300)
    assert not are_all and 225 <= len(sequences) <= 300
    assert [int(ids[0]) for ids in sequences] == classes and classes == sorted(classes)
    assert min(np.bincount(classes)) >= 20 and max(np.bincount(classes)) <= 32
    everything, _, are_all = thinned_sequences(batches(), 4000)
    assert are_all and len(everything) == 1000


def test_both_orders_of_a_sequence_are_kept_or_neither() -> None:
    def batches() -> Iterator[Batch]:
        for number in range(10):
            x = torch.arange(number * 50, number * 50 + 50)[:, None] + 100
            yield Batch(torch.cat((torch.full((50, 1), BEGIN), x), 1))
            yield Batch(torch.cat((torch.full((50, 1), END + 1), x), 1))

    sequences, _, are_all = thinned_sequences(batches(), 2 * 400, back_id=END + 1)
    orders = [{int(ids[1]) for ids in sequences if ids[0] == first} for first in (BEGIN, END + 1)]
    assert not are_all and orders[0] == orders[1] and 150 <= len(orders[0]) <= 200


def test_it_is_not_known_of_records_that_are_not_remembered_whether_they_were_trained_on(
    family: Transformer, records: Batch
) -> None:
    answers = family.training_records(list(records.x.numpy()))
    assert answers is not None and set(answers) == {True, None}
    of_halves = [sum(answer is True for answer in half) for half in (answers[:200], answers[200:])]
    assert min(of_halves) > 35
    (remark,) = family.remarks()
    assert f"remembers {sum(of_halves)} training records" in remark
    state = family.state_dict()
    restored = Transformer(SPEC, TransformerConfig(**SMALL)).eval()  # type: ignore[arg-type]
    restored.allocate_buffers({name: value.shape for name, value in state.items()})
    restored.load_state_dict(state)
    restored.check_state()
    assert restored.training_records(list(records.x.numpy())) == answers and restored.remarks() == (remark,)


def test_counts_are_of_records_from_everywhere(family: Transformer) -> None:
    frequencies = family.mixer.unigram()
    assert frequencies[:10].sum() == pytest.approx(frequencies[10:20].sum(), rel=0.25)


def test_whole_data_has_no_other_records(records: Batch) -> None:
    family = Transformer(SPEC, TransformerConfig(**SMALL)).eval()  # type: ignore[arg-type]
    family.fit_closed_form([records])
    new = np.full(LENGTH + 1, 5)
    new[0], new[-1] = BEGIN, END
    assert family.training_records([records.x[0].numpy(), new]) == [True, False] and family.remarks() == ()
    family.note_partial_pass()
    assert family.training_records([records.x[0].numpy(), new]) == [True, None]


def test_documents_are_counted_from_their_beginnings() -> None:
    """All documents end with the same token 19; counted as one stream, those that begin with 1 were as rare as the only one with 2."""
    spec = Tokens(22, LENGTH, {"end": END}, packed=True)
    beginnings = [1] * 40 + [2]
    documents = np.concatenate([[token, 5, 19, END] for token in beginnings])
    family = Transformer(spec, TransformerConfig(**SMALL)).eval()  # type: ignore[arg-type]
    stretches = [Batch(torch.from_numpy(part)[None]) for part in (documents[:50], documents[50:])]
    family.fit_closed_form(stretches)
    counts = family.mixer.counts
    after_end = counts.distribution(counts.walk_rows(np.array([[END]])))[0]
    assert after_end[1] > 0.9 and after_end[2] < 0.05
    # A stretch of a pass may begin within a document
    parts, classes = documents_from_beginnings([documents[:48], documents[48:]], END, [0, 1])
    assert [part.tolist() for part in parts] == [[END, token, 5, 19, END] for token in beginnings]
    assert classes == [0] * 12 + [1] * 29
    parts, classes = documents_from_beginnings([documents[:50], documents[50:]], END, [-1, -1])
    assert len(parts) == 41 and classes == [-1] * 41


def test_a_training_document_is_known_without_context_mixing() -> None:
    spec = Tokens(22, LENGTH, {"end": END}, packed=True)
    family = Transformer(spec, TransformerConfig(**SMALL)).eval()  # type: ignore[arg-type]
    assert family.training_records([np.array([1, 5, END])]) is None  # nothing has been counted
    family.fit_closed_form([Batch(torch.tensor([[1, 5, END, 2, 6, 7, END]]))])
    assert not family.contexts.is_fitted
    rows = [np.array([2, 6, 7, END]), np.array([6, 7, END]), np.array([3, 5, END])]
    assert family.training_records(rows) == [True, None, None]
