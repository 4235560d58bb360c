"""Formats of records, and characters and words that samples lack."""

from __future__ import annotations

import json

import numpy as np
import pytest

from anew.evaluation.metrics.records.record_formats import FORMATS, format_scores
from anew.evaluation.metrics.records.record_sets import RecordSets
from anew.evaluation.metrics.records.row_formats import Delimited, row_format
from anew.evaluation.reporting.grading import grade_by_question, part_of
from anew.evaluation.score import Score

N = 300


def log_lines(n: int, seed: int) -> list[str]:
    rng = np.random.default_rng(seed)
    lines = []
    for status in rng.choice([200, 304, 404], n, p=[0.8, 0.1, 0.1]):
        address = ".".join(map(str, rng.integers(1, 255, 4)))
        size = 0 if status == 304 else int(rng.gamma(2.0, 800.0))
        path = rng.choice(["/", "/index.html", "/img/logo.png"])
        lines.append(
            f'{address} - - [03/Nov/2023:0{rng.integers(10)}:1{rng.integers(10)}] "GET {path}" {status} {size}'
        )
    return lines


def scores(samples: list[str], held_out: list[str], training: list[str]) -> dict[str, Score]:
    return {
        score.name: score
        for score in format_scores(RecordSets(samples, held_out, training[: len(samples)], training, 0))
    }


def log_scores(samples: list[str]) -> dict[str, Score]:
    return scores(samples, log_lines(N, 1), log_lines(3_000, 2))


def grades(result: dict[str, Score]) -> dict[str, str]:
    """The grades of the questions that these figures alone answer."""
    answers = grade_by_question(list(result.values()))
    return {question: answer.grade for question, answer in answers.items()}


def test_real_records_have_known_formats_and_miss_nothing() -> None:
    result = log_scores(log_lines(N, 3))
    assert result["new_formats"].value < 0.02 and result["missing_parts"].value == 0.0
    assert result["missing_parts"].real_baseline == 0.0 and grades(result) == {}


def test_addresses_with_a_number_too_few_are_new_formats() -> None:
    broken = [line.split(".", 1)[1] for line in log_lines(N, 3)]
    result = log_scores([*broken[:100], *log_lines(N, 4)[100:]])
    assert result["new_formats"].value == pytest.approx(1 / 3, abs=0.02)
    assert grades(result) == {"closeness": "poor"}


@pytest.mark.parametrize("is_json", [False, True])
def test_the_field_with_a_new_format_is_named_with_an_example(is_json: bool) -> None:
    rng = np.random.default_rng(0)

    def rows(n: int, price: str) -> list[str]:
        cells = [(f"{rng.integers(100, 999)}", price.format(rng.integers(10, 99)), "abc") for _ in range(n)]
        return [
            json.dumps(dict(zip(("id", "price", "name"), row, strict=True))) if is_json else ";".join(row)
            for row in cells
        ]

    mixed = [*rows(100, "{}e-0"), *rows(N - 100, "{}.5")]
    score = scores(mixed, rows(N, "{}.5"), rows(1_000, "{}.5"))["new_formats"]
    field = "the field 'price'" if is_json else "field 2"
    assert score.note.startswith(f"mostly in {field}, such as '") and "e-0" in score.note
    part = part_of(score)
    assert part is not None and f"has, {score.note} (real data: 0%)" in part.clause
    lines = log_scores([*log_lines(N - 1, 4), "?!"])["new_formats"]
    assert lines.note == "such as '?!'"


def test_a_status_that_samples_lack_is_missing() -> None:
    result = log_scores([line for line in log_lines(2 * N, 3) if " 404 " not in line][:N])
    assert result["missing_parts"].value == pytest.approx(0.1, abs=0.05)
    assert "'404'" in result["missing_parts"].source and grades(result) == {"variety": "fair"}


def test_a_rare_path_that_a_sixth_of_samples_have_is_too_frequent() -> None:
    real, known, held_out = log_lines(N, 3), log_lines(3_000, 2), log_lines(N, 1)
    known[::100] = [line.replace("GET /", "GET /pending/") for line in known[::100]]
    samples = [line.replace("GET /", "GET /pending/") if i % 6 == 0 else line for i, line in enumerate(real)]
    result = scores(samples, held_out, known)
    assert result["frequent_parts"].value == pytest.approx(1 / 6, abs=0.01)
    assert "'pending'" in result["frequent_parts"].source and grades(result) == {"closeness": "fair"}
    assert log_scores(real)["frequent_parts"].value == 0.0 == log_scores(real)["frequent_parts"].real_baseline
    assert scores(real[:200] * 3, held_out, known)["frequent_parts"].value == 0.0  # repeated, not frequent


def test_a_letter_that_samples_hardly_have_is_missing() -> None:
    rng = np.random.default_rng(0)
    words = ["".join(rng.choice(list("abdeklmäö"), 8)) for _ in range(4_000)]
    samples = [word.replace("ä", "a") for word in words[:N]]
    result = scores(samples, words[N : 2 * N], words[2 * N :])
    assert result["missing_parts"].value > 0.4
    # Of words, only their number is a format: names of more words were said to have a new one
    assert "new_formats" not in result


def test_sentences_have_no_format() -> None:
    rng = np.random.default_rng(0)
    marks = np.array([" ", ", ", "; ", " 7 ", "-", " (", ") ", ". "])
    texts = ["".join(f"word{mark}" for mark in rng.choice(marks, 14)) for _ in range(2_000)]
    assert "new_formats" not in scores(texts[:N], texts[N : 2 * N], texts[2 * N :])


def test_formats_from_fine_to_coarse() -> None:
    assert [format_of("GET Ada a1 12345.0") for format_of in FORMATS] == [
        "A Aa a0 0000.0",
        "a a a0 0000.0",
        "a a a0 0.0",
    ]


def test_short_lists_have_no_scores() -> None:
    assert scores(["a 1"] * 60, ["a 1"] * 60, ["a 1"] * 90) == {}


def test_log_lines_are_rows_but_names_are_not() -> None:
    form = row_format(log_lines(400, 0))
    assert form is not None and form.layout == Delimited(" ", 7) and len(form.columns) == 7
    assert row_format(["Ada Lovelace", "Grace Hopper", "Kurt Gödel"] * 60) is None


def test_what_is_not_there_is_said_in_words() -> None:
    records = ["".join(row) for row in np.random.default_rng(0).choice(list("ACDE"), (1_000, 40))]
    sources = [
        score.source
        for score in format_scores(RecordSets(records[:200], records[200:400], records[400:600], records[600:], 0))
    ]
    assert not any("0;" in source or "none," in source or "1 formats" in source for source in sources)
    assert any(source.endswith("samples lack none") for source in sources)
    assert any(source.endswith("training records: none") for source in sources)
