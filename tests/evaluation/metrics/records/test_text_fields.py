"""What texts of rows say about other fields."""

from __future__ import annotations

import numpy as np

from anew.evaluation.metrics.records.row_formats import RowFormat, row_format
from anew.evaluation.metrics.records.text_fields import Classes, ClassPrediction, NGrams, TextRelations

SYLLABLES = {"JP": ["ka", "to", "shi", "mu", "ro", "ha"], "NO": ["vik", "fjor", "sund", "hav", "berg", "nes"]}


def rows(n: int, seed: int, related: bool = True) -> list[list[str]]:
    """A name of three syllables, its country, and a number that nothing tells."""
    rng = np.random.default_rng(seed)
    countries = rng.choice(["JP", "NO"], n)
    names = ["".join(rng.choice(SYLLABLES[country], 3)) + str(rng.integers(99)) for country in countries]
    if not related:
        countries = rng.permutation(countries)
    return [[name, country, str(rng.integers(1000))] for name, country in zip(names, countries, strict=True)]


def learned(training: list[list[str]]) -> TextRelations:
    form = row_format([",".join(row) for row in training])
    assert isinstance(form, RowFormat)
    return TextRelations.learn(form.columns, training)


def test_names_tell_the_country_and_not_the_number() -> None:
    relations = learned(rows(600, 0))
    assert [(relation.text, relation.other) for relation in relations.relations] == [(0, 1)]
    real, shuffled = (relations.features(rows(300, 1, related))[:, 0] for related in (True, False))
    assert real.min() > 0.3 and np.mean(shuffled < 0.0) > 0.4


def test_nothing_is_learned_where_there_is_nothing_or_little() -> None:
    assert learned(rows(600, 0, related=False)).relations == ()
    assert learned(rows(150, 0)).relations == ()
    assert learned(rows(150, 0)).features(rows(20, 1)).shape == (20, 0)


def test_log_ratios_are_those_of_probabilities() -> None:
    ngrams = NGrams.of(["aaa", "aab", "bbb", ""])
    prediction = ClassPrediction.learn(ngrams, np.array([0, 0, 1, 1]), 2)
    ratios = prediction.log_ratios(ngrams)  # (n, k)
    np.testing.assert_allclose((np.exp(ratios) * np.exp(prediction.prior)).sum(axis=1), 1.0)
    assert ratios[0, 0] > 0.0 > ratios[2, 0]


def test_classes_are_frequent_values_or_quarters() -> None:
    fields = ["a"] * 30 + ["b"] * 20 + [str(i) for i in range(5)]
    classes = Classes.of(fields, None)
    assert classes is not None and classes.values == ("a", "b") and len(classes) == 3
    assert classes.numbers_of(["b", "?", "a"], None).tolist() == [1, 2, 0]
    assert Classes.of(["a"] * 50, None) is None and Classes.of([str(i) for i in range(50)], None) is None
    quarters = Classes.of([], np.arange(100.0))
    assert quarters is not None and quarters.numbers_of([], np.array([0.0, 30.0, 99.0])).tolist() == [0, 1, 3]
    assert Classes.of([], np.ones(9)) is not None  # one value may be exceeded
