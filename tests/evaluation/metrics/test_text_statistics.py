"""Which figures of texts there are."""

from __future__ import annotations

from anew.evaluation.metrics.text_statistics import TextStatistics


def test_rows_are_rows_however_few_samples_there_are() -> None:
    """A report of 21 samples called a third of malformed rows new formats: 21 training rows showed no format."""
    rows = [f"{i};{i * 7 % 90};{i * i % 13 / 4}" for i in range(300)]
    few = rows[:21]
    statistics = TextStatistics(few, few, few, few, lambda: rows, True, 0)
    assert "fields of rows" in statistics.measures()
    assert "fields of rows" not in TextStatistics(few, few, few, few, lambda: few, True, 0).measures()
