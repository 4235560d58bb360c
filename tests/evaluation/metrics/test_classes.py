"""Classes as a probe sees them, on items whose classes are known."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from anew.evaluation.inputs import EvaluationInputs, Labels
from anew.evaluation.metrics.classes import (
    ClassAccuracy,
    ClassMetrics,
    LabelledFeatures,
    affordable_probe,
    class_mix_warning,
    label_accuracy_spec,
    total_variation,
)
from anew.evaluation.modalities.image import EXPORT as IMAGE
from anew.evaluation.reporting.grading import part_of, parts
from anew.evaluation.reporting.verdict import Verdict
from anew.evaluation.score import Score
from scores import score

NAMES = ["cat", "dog", "fox", "owl"]


def labels(n: int, seed: int, weights: tuple[float, ...] = (0.25,) * 4) -> Any:
    return np.random.default_rng(seed).choice(4, size=n, p=weights)


def rows(numbers: Any, seed: int, apart: float = 4.0) -> LabelledFeatures:
    rng = np.random.default_rng(seed)
    return LabelledFeatures(rng.normal(size=(len(numbers), 6)) + apart * np.eye(6)[numbers], np.asarray(numbers))


def scores_of(
    generated: Any, requested: Any = None, apart: float = 4.0, num_train: int = 400
) -> tuple[dict[str, Score], list[str]]:
    """Scores where samples are of the classes `generated`, and were asked to be of the classes `requested`."""
    left: list[str] = []
    samples = LabelledFeatures(
        rows(generated, 3, apart).rows, np.asarray(generated if requested is None else requested)
    )
    sets = [rows(labels(n, seed), seed, apart) for n, seed in ((num_train, 0), (500, 1), (500, 2))]
    class_metrics = ClassMetrics(
        NAMES,
        sets[0],
        samples,
        sets[1],
        sets[2],
        None,
        "items",
        0,
        lambda measure, reason: left.append(f"{measure} {reason}"),
    )
    return {s.name: s for s in class_metrics.scores()}, left


def test_a_generator_with_the_classes_of_the_data_meets_the_floor() -> None:
    scores, left = scores_of(labels(500, 5))
    mix = scores["label_histogram"]
    assert mix.value < 0.1 and mix.low is not None and mix.low <= mix.value and not mix.note and not left
    assert class_mix_warning(scores) == "" and scores["label_accuracy"].value > 0.95


def test_the_naive_accuracy_is_that_of_a_generator_that_ignores_labels() -> None:
    scores, _ = scores_of(labels(500, 5))
    assert scores["label_accuracy"].naive_baseline == pytest.approx(0.25, abs=0.05)
    mix = (0.9, 0.1, 0.0, 0.0)
    scores, _ = scores_of(labels(500, 5), labels(500, 6, mix))
    shares = np.bincount(labels(500, 2), minlength=4) / 500
    requested = np.bincount(labels(500, 6, mix), minlength=4) / 500
    assert scores["label_accuracy"].naive_baseline == pytest.approx(float(shares @ requested))


def test_classes_that_are_too_common_and_too_rare_are_named() -> None:
    scores, _ = scores_of(labels(500, 5, (0.5, 0.25, 0.25, 0.0)), labels(500, 6))
    mix = scores["label_histogram"]
    assert mix.value == pytest.approx(0.25, abs=0.08) and mix.low is not None and mix.low > mix.real_baseline
    assert (
        "'cat' is too common (5" in mix.note
        and "'owl' is too rare (0.8% of samples look like it to a classifier, 31% of real items of the classes asked for)"
        in mix.note
        and "dog" not in mix.note
    )
    assert scores["label_accuracy"].value < 0.5 and mix.to_json()["note"] == mix.note
    varied = {"diversity": score("diversity", 1.0, real_baseline=1.0)}
    sentence = Verdict([*scores.values(), *varied.values()]).sentences()["variety"]
    assert "The class mix differs from the data's: 'cat' is too common" in sentence
    assert Verdict([*scores.values(), *varied.values()]).grades["variety"] == "fair"


def test_a_weak_classifier_tells_labels_that_mean_nothing_from_those_of_the_data() -> None:
    """Its accuracy on them is 12 points below that on real items, which would not matter of a good classifier."""
    generated = labels(500, 7)
    right, left = scores_of(generated, apart=0.9)
    wrong, _ = scores_of(generated, labels(500, 6), apart=0.9)
    assert left and "label_histogram" not in right
    accuracy, shuffled = part_of(right["label_accuracy"]), part_of(wrong["label_accuracy"])
    assert accuracy is not None and shuffled is not None and accuracy.grade != "fair"
    assert 0.1 < wrong["label_accuracy"].real_baseline - wrong["label_accuracy"].value < 0.2
    assert shuffled.grade in ("fair", "poor")
    scores, left = scores_of(generated, apart=0.0)
    assert not scores and "the class mix, and whether samples match their classes" in left[0]


@pytest.mark.parametrize("shares", [(0.5, 0.5), (0.7, 0.3), (0.85, 0.15), (0.25,) * 4])
def test_labels_that_mean_nothing_are_poor_however_unequal_the_classes(shares: tuple[float, ...]) -> None:
    """Of two classes of 85% and 15%, labels without meaning were only fair."""
    naive = sum(share**2 for share in shares)
    for accuracy in (0.9, 0.95):
        spec, loss = label_accuracy_spec(accuracy, naive), accuracy - naive
        assert spec.tolerance is not None and spec.tolerance.large == pytest.approx(0.4 * loss)
        assert spec.tolerance.least_to_pass >= 500
        halves = (naive - 0.02, naive + 0.02)
        part = part_of(Score(spec, naive, low=halves[0], high=halves[1], real_baseline=accuracy, n=1_000, source="x"))
        assert part is not None and part.grade == "poor"
    assert label_accuracy_spec(0.95, 0.25).tolerance.least_to_pass == 500  # type: ignore[union-attr]
    assert label_accuracy_spec(0.5, 0.25).tolerance.least_to_pass == 8_000  # type: ignore[union-attr]


def twenty(n: int, seed: int, weights: Any = None) -> Any:
    return np.random.default_rng(seed).choice(20, size=n, p=weights)


def twenty_scores(asked: Any, generated: Any, is_requested: bool = True) -> dict[str, Score]:
    """Scores of 20 classes, the first of which has braces in its name, all told apart by the classifier."""

    def items(numbers: Any, seed: int) -> Any:
        rng = np.random.default_rng(seed)
        return rng.normal(size=(len(numbers), 20)) + 6.0 * np.eye(20)[numbers]

    real = [LabelledFeatures(items(numbers, i), numbers) for i, numbers in enumerate(twenty(600, i) for i in range(3))]
    samples = LabelledFeatures(items(generated, 9), asked)
    names = ["{a}", *(f"class {i}" for i in range(1, 20))]
    metrics = ClassMetrics(names, real[0], samples, real[1], real[2], None, "items", 0, print, is_requested)
    return {s.name: s for s in metrics.scores()}


def test_one_class_of_twenty_that_is_another_is_found_and_named() -> None:
    """Two folders that were exchanged cost a tenth of all labels, which alone would pass."""
    requested = twenty(600, 5)
    generated = np.where(requested == 0, 7, np.where(requested == 7, 0, requested))
    worst = part_of(twenty_scores(requested, generated)["worst_class_accuracy"])
    assert worst is not None and worst.grade in ("fair", "poor")
    assert worst.clause.startswith(
        ("of the samples that should be '{a}', a classifier", "of the samples that should be 'class 7'")
    )
    assert "a classifier agrees with 0% (real data: " in worst.clause and "; it takes 100% for" in worst.clause
    for seed in range(5):
        right = part_of(twenty_scores(twenty(600, 20 + seed), twenty(600, 20 + seed))["worst_class_accuracy"])
        assert right is not None and right.grade not in ("fair", "poor")


def test_a_class_that_the_classifier_hardly_knows_refuses_no_real_items_a_yes() -> None:
    """Of 600 real items of either class, with accuracies of .9 and .2, a fourth of the reports once lost their yes."""
    rng = np.random.default_rng(0)
    for _ in range(100):
        hits = rng.binomial(600, [[0.9, 0.2], [0.9, 0.2]])
        accuracies = [
            ClassAccuracy.of(label, *(np.where(np.arange(600) < n[label], label, 1 - label) for n in hits))
            for label in range(2)
        ]
        worst = max(accuracies, key=lambda accuracy: accuracy.loss(0.025)[0])
        low, high = worst.interval(0.025)
        score = Score(worst.spec(["a", "b"]), worst.value, low=low, high=high, real_baseline=worst.real, n=600)
        assert parts([score]) == []


def test_the_loss_of_a_class_is_as_uncertain_as_both_its_shares() -> None:
    """Of five real items that happen to be right, four of five samples that are right differ by chance."""
    few = ClassAccuracy.of(0, np.array([0] * 40 + [1] * 20), np.zeros(5, dtype=np.intp))
    many = ClassAccuracy.of(0, np.array([0] * 40 + [1] * 20), np.zeros(500, dtype=np.intp))
    assert few.loss(0.05)[0] < 0.0 < 0.2 < many.loss(0.05)[0] < 1.0 / 3.0 < many.loss(0.05)[1]
    low, high = many.interval(0.05)
    assert low < many.value < high and many.real - many.loss(0.05)[0] != high


def test_a_class_without_samples_is_missing_where_nobody_asked_for_others() -> None:
    """Samples made elsewhere whose folders hold two of three classes were said to have the class mix of the data."""
    asked = twenty(400, 5, np.array([0.5, 0.5, *(18 * [0.0])]))
    requested, not_requested = (twenty_scores(asked, asked, flag)["label_histogram"] for flag in (True, False))
    assert requested.value < 0.1 and not_requested.value > 0.8


def test_of_samples_like_no_real_item_nothing_is_said() -> None:
    scores, _ = scores_of(np.zeros(500, dtype=int), labels(500, 6))
    assert "'cat' is too common (99%" in class_mix_warning(scores)
    assert class_mix_warning(scores | {"precision": score("precision", 0.0, real_baseline=0.9)}) == ""


def test_where_one_class_was_asked_for_it_is_compared_with_that_class() -> None:
    constant = np.full(500, 2)
    scores, _ = scores_of(constant)
    mix = scores["label_histogram"]
    assert mix.value < 0.05 and "of the classes asked for" in mix.source and not mix.note
    wrong, _ = scores_of(np.full(500, 1), constant)
    assert wrong["label_histogram"].value > 0.9 and "'dog' is too common" in wrong["label_histogram"].note


def test_a_few_held_out_items_of_another_mix_do_not_make_the_mix_of_samples_wrong() -> None:
    """Of clips that were half of each language, 72% of 40 held-out ones were of one: samples were said to be 45% off."""
    half, sets = np.arange(40) % 2, [rows(labels(400, 0, (0.5, 0.5, 0.0, 0.0)), 0), rows(np.arange(40) % 4 // 3, 1)]
    train, samples = rows(half, 2), rows(half, 3)
    metrics = ClassMetrics(NAMES, sets[0], samples, sets[1], train, None, "clips", 0, print)
    scores = {s.name: s for s in metrics.scores()}
    assert scores["label_histogram"].value < 0.05 and class_mix_warning(scores) == ""
    wrong = replace(metrics, samples=LabelledFeatures(rows(np.arange(40) % 4 // 3, 4).rows, half))
    (mix, *_) = wrong.scores()
    assert mix.value == pytest.approx(0.25) and "of the classes asked for" in mix.source


def test_accuracy_is_compared_with_that_of_real_items_of_the_same_classes() -> None:
    constant = np.full(500, 2)
    own_sets = [rows(labels(400, seed), seed, apart) for seed, apart in ((0, 3.0), (1, 3.0), (2, 3.0))]
    for real in own_sets:  # two of the classes cannot be told apart
        real.rows[:, 2:4] = real.rows[:, 3:1:-1] / 2.0 + real.rows[:, 2:4] / 2.0
    samples = rows(constant, 4, 3.0)
    samples.rows[:, 2:4] = samples.rows[:, 2:4].mean(axis=1, keepdims=True)
    scores = {
        s.name: s for s in ClassMetrics(NAMES, own_sets[0], samples, *own_sets[1:], None, "items", 0, print).scores()
    }
    accuracy = scores["label_accuracy"]
    alike = own_sets[1].match_labels(constant)
    assert accuracy.real_baseline is not None and len(alike.rows) == 500 and abs(accuracy.real_baseline - 0.75) > 0.05
    assert part_of(accuracy) is not None and accuracy.value == pytest.approx(accuracy.real_baseline, abs=0.15)


@pytest.mark.parametrize(
    ("apart", "num_train", "reason"), [(0.0, 400, "and guessing on"), (4.0, 12, "too few for a classifier")]
)
def test_where_a_probe_tells_nothing_it_is_said(apart: float, num_train: int, reason: str) -> None:
    scores, left = scores_of(labels(500, 5), apart=apart, num_train=num_train)
    assert not scores and len(left) == 1 and reason in left[0]


def test_total_variation_is_half_the_sum_of_differences() -> None:
    assert total_variation([0, 0, 1, 1], [0, 1, 1, 1], 3) == pytest.approx(0.25)
    assert total_variation([0], [2], 3) == 1.0


def test_a_probe_is_as_large_as_its_time() -> None:
    assert affordable_probe(5000, 1e-3, float("inf")) == 2000 and affordable_probe(700, 1e-3, 10.0) == 700
    assert affordable_probe(5000, 1e-3, 0.6) == 500 and affordable_probe(5000, 1e-3, 0.01) == 0


def pictures(numbers: Any, seed: int) -> list[Any]:
    """One corner is bright: which one is the class."""
    rng, images = np.random.default_rng(seed), []
    for number in numbers:
        image = rng.integers(0, 90, (16, 16))
        row, column = divmod(int(number), 2)
        image[row * 8 : row * 8 + 8, column * 8 : column * 8 + 8] += 150
        images.append(image.astype(np.uint8))
    return images


def test_every_kind_with_labels_measures_them(make_inputs: Callable[..., EvaluationInputs]) -> None:
    parts = {name: labels(n, seed) for name, n, seed in (("train", 900, 0), ("test", 300, 1))}

    def items(name: str, seed: int) -> Callable[[int], list[Any]]:
        images = pictures(parts[name], seed)
        return lambda n: images[:n]

    def labels_of(name: str) -> Callable[[int], Any]:
        return lambda n: (NAMES, parts[name][:n])

    labels_asked = labels(200, 2)
    sets = Labels(labels_of("train"), labels_of("test"), labels_asked)
    base = make_inputs([], [], pictures(labels_asked, 2), labels=sets)
    base = replace(base, train=items("train", 0), test=items("test", 1))
    scores = {s.name: s for s in IMAGE(base).scores()}
    assert scores["label_accuracy"].value > 0.95 and scores["label_accuracy"].real_baseline > 0.95
    assert scores["label_histogram"].value < 0.2
    short = IMAGE(replace(base, seconds=0.05))
    assert "label_histogram" not in {s.name for s in short.scores()}
    assert any(
        "the class mix, and whether samples match their classes (out of time)" in note.sentence for note in short.notes
    )


def test_where_no_training_items_are_left_for_a_probe_it_is_said(make_inputs: Callable[..., EvaluationInputs]) -> None:
    train, test = labels(25, 0), labels(60, 1)
    real_labels = Labels(lambda n: (NAMES, train[:n]), lambda n: (NAMES, test[:n]), labels(40, 2))
    base = make_inputs([], [], pictures(labels(40, 2), 2), labels=real_labels)
    few_items = IMAGE(replace(base, train=lambda n: pictures(train, 0)[:n], test=lambda n: pictures(test, 1)[:n]))
    assert "label_histogram" not in {s.name for s in few_items.scores()}
    assert any("no training images are left to train a classifier on" in note.sentence for note in few_items.notes)
