"""Examples that are cut from encoded items."""

from __future__ import annotations

import numpy as np
import pytest

from anew.core.specs import Tokens
from anew.data.loading.rows import MAX_BEGINNING_SHARE, DocumentClasses, PackedExamples, beginnings_of, examples_of
from anew.data.modalities.code import Code, CodeConfig
from anew.data.types import DataBudget, Item
from samples import program

LENGTH, END = 16, 30
STREAM = Tokens(END + 1, LENGTH, {"end": END})


def documents(count: int, length: int) -> np.ndarray:
    rng = np.random.default_rng(count)
    return np.concatenate([np.append(rng.integers(0, END, length - 1), END) for _ in range(count)]).astype(np.uint16)


def packed(ids: np.ndarray, spec: Tokens = STREAM) -> PackedExamples:
    return PackedExamples(ids, LENGTH, np.ones(spec.vocab, np.float32), END, beginnings_of(ids, spec))


def share_of_beginnings(examples: PackedExamples, shift: int) -> float:
    rows = examples.take(np.arange(examples.count), shift).rows
    return float((rows[:, 0] == END).mean())


@pytest.mark.parametrize(("count", "length"), [(400, 100), (400, 1000)])
def test_some_windows_begin_where_documents_do(count: int, length: int) -> None:
    """Samples begin there. Of long documents few do, so that no beginning is learned by heart."""
    examples = packed(documents(count, length))
    expected = min(MAX_BEGINNING_SHARE, LENGTH / length)
    shares = [share_of_beginnings(examples, shift) for shift in range(1, LENGTH)]
    assert np.mean(shares) == pytest.approx(expected + (1 - expected) / length, rel=0.1)


def test_all_documents_take_part_and_other_windows_stay() -> None:
    ids = documents(200, 100)
    examples = packed(ids)
    numbers = np.arange(examples.count)
    rows = np.stack([examples.take(numbers, shift).rows for shift in range(LENGTH)])  # (shifts, windows, L+1)
    plain = ids[(numbers[None] * LENGTH + np.arange(LENGTH)[:, None])[..., None] + np.arange(LENGTH + 1)]
    has_moved = (rows != plain).any(2)
    assert (rows[has_moved][:, 0] == END).all() and has_moved.mean() == pytest.approx(MAX_BEGINNING_SHARE, rel=0.1)
    assert len(np.unique(rows[has_moved], axis=0)) >= 198  # the first document follows no other
    assert len({row.tobytes() for row in has_moved}) == LENGTH  # other windows in each epoch


def test_a_place_of_a_shard_gives_the_same_window_each_time_and_some_begin_a_document() -> None:
    examples = packed(documents(200, 100))
    fractions = np.linspace(0, 1, 2000, endpoint=False)
    rows = np.concatenate([examples.at_fraction(fraction).rows for fraction in fractions])
    assert (rows[:, 0] == END).mean() == pytest.approx(MAX_BEGINNING_SHARE, rel=0.25)
    assert (examples.at_fraction(fractions[7]).rows == rows[7]).all()


def test_windows_stay_where_samples_begin_within_a_document() -> None:
    ids = documents(200, 100)
    within = Tokens(END + 1, LENGTH, {"end": END}, opening=(3,))
    for spec in (within, Tokens(END + 1, LENGTH)):
        rows = packed(ids, spec).take(np.arange(50), 3).rows
        assert (rows == ids[np.arange(50)[:, None] * LENGTH + 3 + np.arange(LENGTH + 1)]).all()


def test_a_beginning_is_followed_by_a_whole_window() -> None:
    ids = documents(20, LENGTH)
    assert beginnings_of(ids, STREAM).max() + LENGTH == len(ids) - 1
    assert not len(beginnings_of(ids[:LENGTH], STREAM))
    examples = packed(ids[: 3 * LENGTH])
    assert examples.take(np.arange(examples.count)).rows.shape == (examples.count, LENGTH + 1)


def test_windows_have_the_class_of_their_document() -> None:
    ids = documents(6, 100)  # two classes of three documents each
    classes = DocumentClasses(np.arange(6) * 100, np.array([0, 0, 0, 1, 1, 1]))
    examples = PackedExamples(ids, LENGTH, np.ones(31, np.float32), END, beginnings_of(ids, STREAM), classes)
    numbers = np.arange(examples.count)
    rows = examples.take(numbers)
    place = {ids[i : i + LENGTH + 1].tobytes(): i for i in range(len(ids) - LENGTH)}
    first_targets = np.array([place[row.tobytes()] + 1 for row in rows.rows])
    assert rows.labels is not None and (rows.labels == (first_targets >= 300)).all()
    assert examples.class_counts() == {0: 3, 1: 3} and examples.labels is not None
    assert list(examples.labels) == [int(i * LENGTH >= 300) for i in range(examples.num_items)]


def test_a_pass_with_classes_keeps_to_rows_of_bounded_size(monkeypatch: pytest.MonkeyPatch) -> None:
    """Documents of one class are read together as far as they follow each other, and a long one is cut."""
    monkeypatch.setattr("anew.data.loading.rows.PASS_TOKENS", 1000)
    modality = Code(CodeConfig(context=32))
    items = [Item(f"{i}.py", program(i)) for i in range(40)]
    modality.inspect(items)
    modality.fit(items, DataBudget(60.0, 40, 40_000), ())
    end = modality.spec.special["end"]
    ids = np.ones(6000, dtype=np.uint16)
    ids[[*range(99, 2000, 100), 5999]] = end  # twenty documents of 100 tokens, one of 4,000
    classes = DocumentClasses(np.arange(21) * 100, np.arange(21) // 10)
    examples = PackedExamples(ids, 32, np.ones(end + 1, np.float32), end, beginnings_of(ids, modality.spec), classes)
    batches = list(examples.one_pass(modality, None))
    sizes = [batch.x.shape[-1] - 1 for batch in batches]
    assert sum(sizes) >= 6000 - len(sizes) and max(sizes) <= 1100 and len(sizes) < 21
    assert {int(batch.labels[0]) for batch in batches} == {0, 1, 2}


def test_documents_of_one_class_follow_each_other() -> None:
    modality = Code(CodeConfig(context=32))
    items = [Item(f"{i}.py", program(i)) for i in range(40)]
    modality.inspect(items)
    modality.fit(items, DataBudget(60.0, 40, 40_000), ("a", "b"))
    encoded = [row for row in modality.encode_many(items) if not isinstance(row, str)]
    examples = examples_of(modality, encoded, np.arange(40) % 2)
    assert isinstance(examples, PackedExamples)
    assert (examples.ids == np.concatenate([*encoded[::2], *encoded[1::2]])).all()
    num_first, counted = sum(map(len, encoded[::2])), np.zeros(2, np.int64)
    for batch in examples.scoring(modality, 8, None, None):
        assert batch.labels is not None and batch.mask is not None
        counted += np.bincount(batch.labels.numpy(), batch.mask.sum(1).numpy(), 2).astype(np.int64)
    assert counted.sum() == len(examples.ids) and abs(counted[0] - num_first) < examples.length
    for batch in examples.documents(modality, 2_000):
        assert batch.labels is not None and len(batch.labels.unique()) == 1
