"""What is marked in two records that differ."""

from __future__ import annotations

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
    nearest = nearest_records(
        samples, lambda n: training[:n], 1.0
    )  # there is no time to compare all, but to look them up
    assert [pair.distance for pair in nearest.pairs[:20]] == [0.0] * 20
    assert "The nearest of 20 training records, drawn at random" in nearest.explanation
    assert "identical ones were looked up among 2,000" in nearest.explanation
    assert all(pair.nearest is not None and pair.train is not None for pair in nearest.pairs)
