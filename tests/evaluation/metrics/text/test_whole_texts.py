"""Whole texts: what their beginnings, ends, lines and halves tell."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, timedelta

import numpy as np
import pytest

from anew.evaluation.metrics.duplicate_groups import equal_keys
from anew.evaluation.metrics.text.whole_texts import NUMBERS, have_similar_lengths, text_numbers, whole_text_scores
from anew.evaluation.reporting.grading import grade_by_question, parts
from anew.evaluation.score import Score

SUBJECTS = [
    [f"{a}{b}{c}" for a in "bdfklmst" for b in ("alo", "eri", "onu", "uva") for c in (x, y)]
    for x, y in zip(("na", "rd", "sh", "go", "pi"), ("me", "tu", "ka", "lo", "re"), strict=True)
]


def letters(n: int, seed: int) -> list[str]:
    """Greetings, some lines on one of five subjects, and a name."""
    rng = np.random.default_rng(seed)
    texts = []
    for _ in range(n):
        words = SUBJECTS[rng.integers(len(SUBJECTS))]
        lines = [" ".join(rng.choice(words, rng.integers(5, 11))).capitalize() + "." for _ in range(rng.integers(3, 7))]
        texts.append("\n".join([f"Dear {rng.choice(words)},", *lines, f"    -- {rng.choice(words).capitalize()}"]))
    return texts


def score(samples: Sequence[str]) -> Score:
    return next(whole_text_scores(samples, letters(300, 1), letters(300, 2), seed=0))


def grade(result: Score) -> str:
    return grade_by_question([result])["closeness"].parts[0].grade


def test_real_texts_differ_in_nothing() -> None:
    result = score(letters(300, 3))
    assert abs(result.value - 0.5) < 0.07 and abs(result.real_baseline - 0.5) < 0.07 and grade(result) == "good"


def test_lines_in_another_order_are_told() -> None:
    rng = np.random.default_rng(4)
    result = score(["\n".join(rng.permutation(text.split("\n"))) for text in letters(300, 3)])
    assert result.value > 0.9 and grade(result) == "poor"
    assert any(name in result.source for name in NUMBERS)


def test_texts_joined_from_halves_of_two_are_told() -> None:
    lines = [text.split("\n") for text in letters(300, 3)]
    joined = [[*a[: len(a) // 2], *b[len(b) // 2 :]] for a, b in zip(lines, lines[1:] + lines[:1], strict=True)]
    result = score(["\n".join(text) for text in joined])
    assert result.value > 0.7 and grade(result) in ("fair", "poor")
    assert "that both halves share" in result.source


def test_first_and_last_lines_of_other_texts_are_told() -> None:
    lines = [text.split("\n") for text in letters(300, 3)]
    others = lines[1:] + lines[:1]
    for samples, name in (
        ([[b[0], *a[1:]] for a, b in zip(lines, others, strict=True)], "first line"),
        ([[*a[:-1], b[-1]] for a, b in zip(lines, others, strict=True)], "last line"),
    ):
        result = score(["\n".join(sample) for sample in samples])
        assert result.value > 0.7 and grade(result) in ("fair", "poor")
        assert f"share of the {name} that the rest repeats" in result.source


def test_a_number_that_changes_and_a_wrong_weekday_are_told() -> None:
    """Dialogues in which the days of an offer changed from line to line were close to the data, and so were wrong weekdays."""

    def offers(n: int, seed: int, changes: bool, days: int) -> list[str]:
        rng = np.random.default_rng(seed)
        texts = letters(n, seed)
        for i, text in enumerate(texts):
            counts = rng.integers(2, 60, 2) if changes else np.repeat(rng.integers(2, 60), 2)
            day = date.fromordinal(int(rng.integers(730_000, 738_000)))
            weekday = (day + timedelta(days)).strftime("%a")
            texts[i] = f"{text}\nIt is {counts[0]} days, {weekday}, {day:%d %b %Y}. So {counts[1]} days."
        return texts

    held_out, train = (offers(300, seed, False, 0) for seed in (1, 2))
    values = [
        next(whole_text_scores(offers(300, 3, changes, days), held_out, train, seed=0)).value
        for changes, days in ((False, 0), (True, 0), (False, 1))
    ]
    assert values[0] < 0.6 and min(values[1:]) > 0.85


def test_repeated_texts_and_lines_alone_are_no_others() -> None:
    assert abs(score(letters(150, 3) * 2).value - 0.5) < 0.1
    for text in ("", "one line", "ab\nabc", "\ud800x\n\n\ud800xyz"):
        assert list(whole_text_scores([text] * 60, [text] * 60, [text] * 60, seed=0))


def test_versions_of_real_texts_in_both_halves_do_not_tell_samples_apart() -> None:
    held_out, train = ([f"{text}{'.' * i}" for text in letters(60, seed) for i in range(5)] for seed in (1, 2))
    samples = [f"{text}{'.' * (i % 5)}" for i, text in enumerate(letters(300, 3))]

    def keys(texts: Sequence[str]) -> list[int]:
        return equal_keys([text.rstrip(".") for text in texts])

    alone = next(whole_text_scores(samples, held_out, train, 0))
    grouped = next(whole_text_scores(samples, held_out, train, 0, keys))
    assert grouped.value < 0.65 < alone.value and grouped.real_baseline < 0.65 < alone.real_baseline


def test_texts_that_were_cut_off_are_told() -> None:
    assert score([text[: len(text) * 4 // 5] for text in letters(300, 3)]).value > 0.9


def test_few_texts_do_not_pass_and_very_few_are_not_measured() -> None:
    few = next(whole_text_scores(letters(100, 3), letters(100, 1), letters(100, 2), seed=0))
    assert parts([few]) == []
    assert not list(whole_text_scores(letters(50, 3), letters(300, 1), letters(300, 2), seed=0))


@pytest.mark.parametrize("text", ["", "\n", "   ", "a", "-- \n\n", "ß", "((("])
def test_any_text_has_all_numbers(text: str) -> None:
    numbers = text_numbers(text, 40)
    assert numbers.shape == (len(NUMBERS),) and np.isfinite(numbers).all()


def test_excerpts_are_not_compared_with_whole_texts() -> None:
    assert have_similar_lengths(["a" * 80], ["a" * 100]) and not have_similar_lengths(["a" * 100], ["a" * 300])
