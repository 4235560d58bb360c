"""Whole samples of running text have classes, and are compared with beginnings of documents."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from anew.evaluation.compared_texts import Beginnings
from anew.evaluation.features.kmers import Kmers
from anew.evaluation.inputs import Labels
from anew.evaluation.text_classes import LabelledTexts

NAMES = (".md", ".rst")


def documents(n: int, seed: int) -> tuple[list[str], np.ndarray]:
    """Documents whose letters tell their class, and the class of each."""
    rng = np.random.default_rng(seed)
    classes = rng.integers(0, 2, n)
    return ["".join(rng.choice(list(("abcd ", "cdef ")[label]), 200)) for label in classes], classes


@pytest.mark.parametrize(("is_right", "low", "high"), [(True, 0.9, 1.0), (False, 0.0, 0.1)])
def test_samples_of_another_class_than_their_label_are_noticed(
    make_inputs: Any, is_right: bool, low: float, high: float
) -> None:
    (train, of_train), (test, of_test), (samples, of_samples) = (documents(n, n) for n in (140, 40, 41))
    requested = np.append(of_samples if is_right else 1 - of_samples, 0)  # the last sample is empty
    labels = Labels(lambda n: (NAMES, of_train[:n]), lambda n: (NAMES, of_test[:n]), requested)
    inputs = make_inputs(train, test, [*samples, ""], labels=labels)
    beginnings, embed = Beginnings(40, samples, test, train), Kmers(train)
    assert LabelledTexts.of(inputs, None, embed) is None and LabelledTexts.of(inputs, beginnings, None) is None
    texts = LabelledTexts.of(inputs, beginnings, embed)
    assert texts is not None and len(texts.further) == 100
    scores = {score.name: score for score in texts.scores(100, "texts", lambda name, reason: None)}
    assert low <= scores["label_accuracy"].value <= high and scores["label_accuracy"].n == 40
    assert list(texts.scores(0, "texts", lambda name, reason: None)) == []
