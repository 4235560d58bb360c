"""The order of words in names."""

from __future__ import annotations

import numpy as np
import pytest

from anew.evaluation.metrics.records.record_sets import RecordSets
from anew.evaluation.metrics.records.word_order import word_order_scores
from anew.evaluation.reporting.grading import Part, part_of

FIRST = ("New", "Old", "Upper", "Lower", "Saint", "North", "East Little")
SYLLABLES = ("ber", "lin", "os", "mar", "ket", "dal", "wen", "hol", "tar", "ri")


def towns(n: int, seed: int, share: float = 1.0) -> list[str]:
    """Names of places, a share of which have several words."""
    rng = np.random.default_rng(seed)
    names = ["".join(rng.choice(SYLLABLES, 3)).capitalize() for _ in range(n)]
    return [f"{rng.choice(FIRST)} {name}" if rng.random() < share else name for name in names]


def graded(samples: list[str], share: float = 1.0) -> Part:
    (score,) = word_order_scores(RecordSets(samples, towns(300, 1, share), [], towns(800, 2, share), 0))
    part = part_of(score)
    assert part is not None
    return part


@pytest.mark.parametrize("change", [lambda words: words[::-1], lambda words: words[1:] + words[:1]])
def test_words_in_another_order_are_told(change) -> None:
    assert graded(towns(300, 0)).grade == "good"
    assert graded([" ".join(change(name.split())) for name in towns(300, 0)]).grade == "poor"


def test_names_whose_words_are_all_new_are_judged_by_their_letters() -> None:
    rng = np.random.default_rng(3)
    greek = [f"{a}os {b}a" for a, b in rng.choice([x + y for x in "klmnprst" for y in "aeiou"], (1_400, 2))]
    backwards = [" ".join(name.split()[::-1]) for name in greek[:300]]
    for samples, grade in ((greek[:300], "good"), (backwards, "poor")):
        part = part_of(next(word_order_scores(RecordSets(samples, greek[300:600], [], greek[600:], 0))))
        assert part is not None and part.grade == grade


def test_what_a_model_knows_by_heart_is_no_fault() -> None:
    held_out = towns(300, 1)
    (score,) = word_order_scores(RecordSets(held_out[:150] * 2, towns(300, 4), [], held_out, 0))
    assert score.value <= 0.55 and score.low == 0.5


def test_few_names_of_several_words_and_rows_have_no_order() -> None:
    assert not list(word_order_scores(RecordSets(towns(100, 0, 0.2), towns(100, 1, 0.2), [], towns(500, 2), 0)))
    rows = [f"{name} {i},{i % 7},{i % 3}" for i, name in enumerate(towns(600, 0))]
    assert not list(word_order_scores(RecordSets(rows[:200], rows[200:400], [], rows[400:], 0)))
    assert not list(word_order_scores(RecordSets([], [], [], [], 0))) and not list(
        word_order_scores(RecordSets([" "] * 90, [""] * 90, [], ["a"], 0))
    )
