"""Which figures of texts there are."""

from __future__ import annotations

import numpy as np
import pytest

from anew.evaluation.metrics.text_statistics import TextStatistics
from anew.evaluation.reporting.grading import part_of


def test_rows_are_rows_however_few_samples_there_are() -> None:
    """A report of 21 samples called a third of malformed rows new formats: 21 training rows showed no format."""
    rows = [f"{i};{i * 7 % 90};{i * i % 13 / 4}" for i in range(300)]
    few = rows[:21]
    statistics = TextStatistics(few, few, few, few, lambda: rows, True, 0)
    assert "fields of rows" in statistics.measures()
    assert "fields of rows" not in TextStatistics(few, few, few, few, lambda: few, True, 0).measures()


@pytest.mark.parametrize("num_texts", [1, 2, 3, 5])
def test_few_long_real_texts_differ_in_nothing(num_texts: int) -> None:
    """One file of real text was "clearly different" by its unknown words, and never as varied: a file has no interval."""
    lexicon = ["".join(np.random.default_rng(i).choice(list("aeilnorst"), 2 + i % 6)) for i in range(900)]
    weights = 1.0 / np.arange(1, 901)
    samples, test, train = (
        [" ".join(rng.choice(lexicon, 4_000 // num_texts, p=weights / weights.sum())) for _ in range(num_texts)]
        for rng in map(np.random.default_rng, (1, 2, 3))
    )
    statistics = TextStatistics(samples, test, train, samples, lambda: train, False, 0)
    scores = [*statistics.words(train), *(score for measure in statistics.measures().values() for score in measure())]
    parts = [part for score in scores if (part := part_of(score)) is not None]
    assert len(parts) >= 5 and all(part.high is not None and part.grade not in ("fair", "poor") for part in parts)
