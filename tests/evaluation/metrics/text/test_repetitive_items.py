"""Samples that run away in repetitions."""

from __future__ import annotations

import numpy as np
import pytest

from anew.evaluation.metrics.text.repetitive_items import in_tandem_repeats, repeated_shares, repetitive_score
from anew.evaluation.reporting.grading import part_of

RESIDUES = list("ACDEFGHIKLMNPQRSTVWY")


def proteins(n: int, seed: int, num_runs: int = 0) -> list[str]:
    """Sequences, of which the first ones end with a long run."""
    rng = np.random.default_rng(seed)
    return ["".join(rng.choice(RESIDUES, 80)) + "P" * 80 * (i < num_runs) for i in range(n)]


def test_the_share_of_a_text_that_is_repetition() -> None:
    sentence = "You should have received a copy of it. "
    shares = repeated_shares(
        ["MKTAYIAKQR", "A" * 50, "KT" + "A" * 8, sentence, sentence + "Else see below. " + sentence, ""]
    )
    assert shares == pytest.approx([0.0, 1.0, 0.8, 0.0, len(sentence) / (2 * len(sentence) + 16), 0.0])


@pytest.mark.parametrize(("num_runs", "grade"), [(2, "too_few"), (12, "fair"), (23, "poor")])
def test_a_few_samples_that_run_away_are_named(num_runs: int, grade: str) -> None:
    """A fifth is plain among 114 samples; as many as among real sequences are not held against them."""
    (score,) = repetitive_score(proteins(114, 0, num_runs), proteins(514, 1, 9))
    part = part_of(score)
    assert part is not None and part.grade == grade and score.value == pytest.approx(num_runs / 114)
    assert part.explains_others == (num_runs > 2) and "repeat themselves" in part.clause


def test_data_that_repeats_itself_may_be_repeated() -> None:
    samples, real = proteins(100, 0, 30), proteins(200, 1, 30)
    (score,) = repetitive_score(samples, real)
    assert score.value == 0.0
    assert not list(repetitive_score(samples[:19], real)) and not list(repetitive_score(samples, real[:90]))


def texts_of_shares(n: int) -> list[str]:
    """Texts of 1,000 characters, of which evenly spaced shares are one long run."""
    rng = np.random.default_rng(2)
    lengths = np.round(1_000 * (np.arange(n) + 0.5) / n).astype(int)
    return ["".join(rng.choice(RESIDUES, 1_000 - length)) + "P" * length for length in lengths]


@pytest.mark.parametrize(("num_real", "rank"), [(98, 1), (120, 1), (200, 3), (300, 6)])
def test_a_limit_that_hangs_on_one_or_two_real_texts_is_the_higher_one(num_real: int, rank: int) -> None:
    """By the second of 98, 4% of reports on 2,000 samples that are drawn alike called them repetitive."""
    (score,) = repetitive_score(texts_of_shares(500), texts_of_shares(num_real))
    assert score.value == pytest.approx((rank - 0.5) / num_real, abs=0.004)


def repeats(*items: str) -> str:
    """Items joined, with what is in no tandem repeat replaced by dots."""
    symbols = np.array([ord(c) for item in items for c in item])
    numbers = np.repeat(np.arange(len(items)), [len(item) for item in items])
    inside = in_tandem_repeats(symbols, numbers)
    return "".join(chr(c) if is_inside else "." for c, is_inside in zip(symbols, inside, strict=True))


def test_runs_and_groups_that_stand_three_times_are_repeats() -> None:
    assert repeats("MKAAAAATV") == "..AAAAA.."
    assert repeats("MKAAAATV") == "........"  # four of one letter are common in real sequences
    assert repeats("xababaBy") == "........"
    assert repeats("xabababy") == ".ababab."
    assert repeats("banana mississippi") == "." * 18
    assert repeats("GSTGSTGSTP") == "GSTGSTGST."
    passage = "sixteen letters."
    assert repeats(passage * 3) == passage * 3 and repeats(passage * 2) == "." * 32


def test_a_repeat_does_not_cross_items() -> None:
    assert repeats("AAA", "AAA", "AAA") == "." * 9
    assert repeats("A", "", "AAAAAA") == ".AAAAAA"


def test_short_and_empty_sequences_have_none() -> None:
    assert repeats("") == "" and repeats("A") == "." and repeats("AA") == ".."
