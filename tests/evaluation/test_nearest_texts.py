"""What is marked in two records that differ."""

from __future__ import annotations

import numpy as np
import pytest

from anew.evaluation import nearest_texts
from anew.evaluation.nearest_texts import edited_records, nearest_records


def test_characters_that_differ_are_marked_in_both_records() -> None:
    sample, train = edited_records("MKVLAAGGQ", "MKVISAAGG", 3)
    assert sample.marked == ["MKV", "L", "AAGG", "Q", ""] and train.marked == ["MKV", "IS", "AAGG"]
    assert [item.marks for item in edited_records("abc", "abc", 0)] == [(), ()]
    assert [item.marks for item in edited_records("abc", "xyz", 3)] == [(), ()]  # marking all would show nothing


def test_one_long_sample_hides_no_copies(monkeypatch: pytest.MonkeyPatch) -> None:
    """The square of its length divided the number of records that were searched for all: 20 of 800."""
    training = [f"name{number:04d}" for number in range(2_000)]
    samples = [*training[::100], "name0100x", "x" * 20_000]
    nearest = nearest_records(samples, lambda n: training[:n], 1.0)
    assert [pair.distance for pair in nearest.pairs[:-1]] == [0.0] * 20 + [1.0]
    assert [pair.train for pair in nearest.pairs[:20]] == list(range(0, 2_000, 100))
    assert "The nearest of 2,000 training records:" in nearest.explanation
    monkeypatch.setattr(nearest_texts, "EDIT_WORK", 1 << 20)
    # There is no time to compare all, but to look them up
    nearest = nearest_records(samples, lambda n: training[:n], 1.0)
    assert [pair.distance for pair in nearest.pairs[:20]] == [0.0] * 20
    assert "The nearest of 20 training records, drawn at random" in nearest.explanation
    assert "identical ones were looked up among 2,000" in nearest.explanation
    assert all(pair.nearest is not None and pair.train is not None for pair in nearest.pairs)


def test_a_record_in_capitals_is_said_to_be_the_same() -> None:
    training = [f"a quiet evening by the sea, number {number}" for number in range(50)]
    nearest = nearest_records([training[7].upper(), training[7], training[7] + "!"], lambda n: training[:n], 1.0)
    captions = [pair.caption for pair in nearest.pairs]
    assert nearest.pairs[0].train == 7 and captions == ["27 edits, all of upper and lower case", "identical", "1 edit"]


def test_a_short_sample_is_next_to_the_record_with_the_most_similar_part() -> None:
    """Whole records all need as many edits as they are longer, so the shortest of them was the nearest."""
    rng = np.random.default_rng(0)
    train = ["".join(rng.choice(list("ACDEFGHIKLMNPQRSTVWY"), size)) for size in (300, 320, 330, 340, 250)]
    part = train[3][100:120] + "W" + train[3][121:130]
    nearest = nearest_records([part], lambda n: train[:n], 1.0)
    assert "compared with parts of records" in nearest.explanation and "the nearest part is marked" in nearest.marking
    (pair,) = nearest.pairs
    assert pair.train == 3 and pair.nearest is not None and pair.nearest.marks == ((100, 130),)
    assert pair.caption.endswith("to a part of it") and pair.distance <= 1
    nearest = nearest_records([train[1][:-3]], lambda n: train[:n], 1.0)
    assert "part" not in nearest.explanation + nearest.marking
    (whole,) = nearest.pairs
    assert whole.train == 1 and whole.caption == "3 edits"
