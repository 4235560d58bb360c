"""Which figures of texts there are."""

from __future__ import annotations

import tracemalloc
from unittest import mock

import numpy as np
import pytest

from anew.evaluation.metrics.records import record_sets
from anew.evaluation.metrics.text.text_statistics import TextStatistics
from anew.evaluation.reporting.grading import part_of


def test_what_costs_next_to_nothing_is_measured_first() -> None:
    """Variety stayed open for want of the repetition of 388 rows, which is the size of a set."""
    rows = [f"{i};{i * 7 % 90};{i * i % 13 / 4}" for i in range(300)]
    statistics = TextStatistics(rows[:50], rows[50:100], rows[100:150], rows[:50], lambda: rows[100:], True, 0)
    assert [*statistics.measures()][:3] == ["repetition", "values that never repeat", "fields of rows"]


def test_rows_are_rows_however_few_samples_there_are() -> None:
    """A report of 21 samples called a third of malformed rows new formats: 21 training rows showed no format."""
    rows = [f"{i};{i * 7 % 90};{i * i % 13 / 4}" for i in range(300)]
    few = rows[:21]
    statistics = TextStatistics(few, few, few, few, lambda: rows, True, 0)
    assert "fields of rows" in statistics.measures()
    assert "fields of rows" not in TextStatistics(few, few, few, few, lambda: few, True, 0).measures()


def test_the_format_of_rows_is_found_once() -> None:
    """Rows with dates take a second of it; a report found it five times."""
    rows = [f"{i};{i * 7 % 90};{i * i % 13 / 4}" for i in range(600)]
    statistics = TextStatistics(rows[:100], rows[100:200], rows[200:300], rows[:100], lambda: rows, True, 0)
    with mock.patch.object(record_sets, "row_format", wraps=record_sets.row_format) as row_format:
        list(statistics.words(rows))
        for measure in [*statistics.measures().values(), *statistics.measures().values()]:
            list(measure.compute())
    assert row_format.call_count == 1


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
    scores = [
        *statistics.words(train),
        *(score for measure in statistics.measures().values() for score in measure.compute()),
    ]
    parts = [part for score in scores if (part := part_of(score)) is not None]
    assert len(parts) >= 5 and all(part.high is not None and part.grade not in ("fair", "poor") for part in parts)


def test_rare_symbols_take_no_table_of_counts() -> None:
    """A million characters of Chinese took 1.9 GB."""
    rng = np.random.default_rng(0)
    parts = [["".join(map(chr, rng.integers(0x4E00, 0x5200, 20_000)))] for _ in range(3)]
    statistics = TextStatistics(*parts, parts[0], lambda: parts[2], False, 0)
    tracemalloc.start()
    (score,) = statistics._fourgrams()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert score.value > 0.9 and peak < 15e6


def test_records_too_short_for_four_characters_have_no_figure_of_them() -> None:
    parts = ["abc", "xyz"] * 40, ["def", "ghi"] * 40, ["jkl"] * 40
    assert not list(TextStatistics(*parts, parts[0], lambda: parts[2], True, 0)._fourgrams())


def test_each_measure_names_the_questions_that_its_figures_answer() -> None:
    """A report gave four names as the reason why variety was open, and three of them say nothing of it."""
    records = [f"{i:04d};{i * 7 % 90};name {i % 37}, {i * i % 13 / 4}" for i in range(1_200)]
    statistics = TextStatistics(
        records[:200], records[200:400], records[400:600], records[:200], lambda: records[400:], True, 0
    )
    for name, measure in statistics.measures().items():
        tolerances = [score.spec.tolerance for score in measure.compute()]
        answered = {tolerance.question for tolerance in tolerances if tolerance is not None}
        assert answered <= {*measure.questions}, name
