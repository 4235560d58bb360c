"""One score of a distance between two sets, with its interval and baselines."""

from __future__ import annotations

import pkgutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from anew.core.arrays import Numbers
from anew.evaluation import metrics
from anew.evaluation.inputs import Clock
from anew.evaluation.metrics import duplicates, kernel
from anew.evaluation.metrics.feature_sets import FeatureComparison, FeatureSets, bootstrap_score, fidelity_scores
from anew.evaluation.metrics.kernel import Grams, rbf_kernel
from anew.evaluation.score import MetricSpec, Score
from anew.functional.intervals import clopper_pearson

SPEC = MetricSpec("gap", "Gap", "How far the means are apart.")


def gap(a: Numbers, b: Numbers) -> float:
    return abs(float(a.mean()) - float(b.mean()))


def rows(mean: float, n: int = 400) -> Numbers:
    return np.random.default_rng(round(100 * mean)).normal(mean, 0.1, n)


def test_real_and_naive_items_stand_in_for_the_samples() -> None:
    score = bootstrap_score(SPEC, gap, FeatureSets(rows(1.0), rows(0.8), rows(0.82), rows(3.0)), seed=0, source="means")
    assert score.value == pytest.approx(0.2, abs=0.03) and score.n == 400
    assert score.real_baseline == pytest.approx(0.02, abs=0.03)
    assert score.naive_baseline == pytest.approx(2.2, abs=0.03)
    assert score.low is not None and score.high is not None and score.low < score.value < score.high


def test_an_interval_ends_where_the_distance_does_and_a_naive_generator_may_be_missing() -> None:
    near = FeatureSets(rows(1.0), rows(1.01), rows(1.02))
    score = bootstrap_score(SPEC, gap, near, seed=0, source="means", minimum=0.0)
    assert score.low == 0.0 and score.naive_baseline is None


N = 320


def cloud(seed: int, n: int = N, shift: float = 0.0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(n, 6)) + shift


def scores_of(samples: np.ndarray, naive: np.ndarray | None = None, seconds: float | None = None) -> dict[str, Score]:
    comparison = FeatureComparison.of(FeatureSets(samples, cloud(1), cloud(2), naive), 0, Clock(seconds).over)
    return {s.name: s for s in fidelity_scores(comparison, lambda measure, questions: LEFT.append(measure))}


LEFT: list[str] = []


def test_samples_of_the_same_distribution_meet_every_real_baseline() -> None:
    scores = scores_of(cloud(3), cloud(4, shift=3.0))
    assert list(scores) == [
        "frechet_distance", "two_sample_auc", "precision", "recall", "clipped_density", "coverage", "kernel_distance", "diversity",
        "duplicate_share",
    ]  # fmt: skip
    for score in scores.values():
        assert score.real_baseline is not None and score.naive_baseline is not None and score.n == N
        assert score.low is not None and score.high is not None and score.low <= score.value <= score.high
        ours, worst = abs(score.value - score.real_baseline), abs(score.naive_baseline - score.real_baseline)
        # The naive items of these two are as varied as real ones, so they are no measure of a large difference
        assert ours < (0.02 if score.name in ("diversity", "duplicate_share") else 0.3 * worst)
    assert scores["kernel_distance"].p > 0.01 and "permutation p" in scores["kernel_distance"].source
    assert scores["two_sample_auc"].low < 0.5 < scores["two_sample_auc"].high


def test_each_fault_is_seen_by_name() -> None:
    apart = scores_of(cloud(3, shift=0.7))
    assert apart["kernel_distance"].p < 0.01 and apart["two_sample_auc"].low > 0.7
    collapsed = scores_of(np.repeat(cloud(3, 32), 10, axis=0))
    assert collapsed["duplicate_share"].value == 1.0 and collapsed["duplicate_share"].real_baseline < 0.05
    assert collapsed["coverage"].value < 0.6 * collapsed["coverage"].real_baseline
    narrow = scores_of(0.3 * cloud(3))
    assert narrow["recall"].value < 0.7 * narrow["recall"].real_baseline < narrow["precision"].value


def test_shares_of_no_sample_and_of_all_have_exact_intervals() -> None:
    samples = np.concatenate([cloud(3, N // 2), cloud(3, N // 2) + 1e-6])
    scores = scores_of(np.concatenate([samples, samples])[:N] + 50.0)
    assert scores["precision"].value == 0.0 and scores["duplicate_share"].value == 1.0
    few, all_of_them = clopper_pearson(0, N), clopper_pearson(N, N)
    assert (scores["precision"].low, scores["precision"].high) == few and few[1] > 0.0
    assert (scores["duplicate_share"].low, scores["duplicate_share"].high) == all_of_them and all_of_them[0] < 1.0
    distant = scores_of(100.0 * cloud(3))["duplicate_share"]
    assert (distant.value, distant.low, distant.high) == (0.0, *few)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_identical_samples_are_duplicates_where_real_items_repeat(dtype: type[np.floating]) -> None:
    """Distances of identical items are rounding noise, and so was the threshold that they were compared with."""
    rng = np.random.default_rng(0)
    held_out, train, samples = (rng.normal(size=(1_000, 128)).astype(dtype) for _ in range(3))
    held_out[:40], train[:40] = held_out[40:80], train[40:80]
    samples[:300] = samples[300:600]
    sets = FeatureSets(samples, train, held_out)
    (score,) = duplicates.compute(FeatureComparison.of(sets, 0, Clock(None).over))
    assert score.value == pytest.approx(0.6) and score.real_baseline == pytest.approx(0.08)


@pytest.mark.parametrize("n", [20, 40, 150, 500])
def test_near_duplicates_are_what_they_are_called_however_few_items_there_are(n: int) -> None:
    """The smallest distance of 40 real items was a threshold under which 6% of 40 real items lay, at times 35%, and 32% of samples that
    were only less spread."""
    shares: dict[str, list[float]] = {"real": [], "less spread": [], "half": []}
    for seed in range(5):
        rng = np.random.default_rng(seed)
        held_out, train, real = (rng.normal(size=(n, 8)) for _ in range(3))
        half = np.concatenate([real[: n // 2 + n // 4], real[: n // 4] + 0.02 * rng.normal(size=(n // 4, 8))])
        for name, samples in (("real", real), ("less spread", 0.7 * real), ("half", half)):
            sets = FeatureSets(samples, held_out[: len(samples)], train[: len(samples)])
            (score,) = duplicates.compute(FeatureComparison.of(sets, 0, Clock(None).over))
            assert score.low is not None and score.high is not None and score.low <= score.value <= score.high
            shares[name].append(score.value)
    assert max(shares["real"]) <= 0.05 and np.mean(shares["less spread"]) < 0.02
    assert np.mean(shares["half"]) == pytest.approx(2 * (n // 4) / (n // 2 + n // 4 + n // 4), abs=0.03)


def test_the_chance_of_the_threshold_widens_the_interval() -> None:
    """Samples at .6 of each other, where real items usually are at 2 (a third: .67), give or take .3 by chance (.57 to .77)."""
    line = np.cumsum(np.linspace(1.0, 3.0, 40))[:, None]
    samples = 0.6 * np.arange(40.0)[:, None]
    (score,) = duplicates.compute(FeatureComparison.of(FeatureSets(samples, line, line), 0, Clock(None).over))
    assert score.value == 1.0 and score.low < 0.1


def test_what_there_is_no_time_for_is_left_out_by_name() -> None:
    LEFT.clear()
    assert scores_of(cloud(3), seconds=0.0) == {} and len(LEFT) == 6


def test_few_items_are_measured_whatever_the_time() -> None:
    sets = FeatureSets(cloud(3, 40), cloud(1, 40), cloud(2, 40))
    scores = list(fidelity_scores(FeatureComparison.of(sets, 0, Clock(0.0).over), lambda measure, reason: None))
    assert len(scores) == 9 and all(s.naive_baseline is None for s in scores)


@pytest.mark.parametrize("same", [True, False])
def test_p_of_the_kernel_distance_is_uniform_under_no_difference(same: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kernel, "PERMUTATIONS", 99)
    values = []
    for seed in range(60):
        a, b = cloud(2 * seed, 25), cloud(2 * seed + 1, 20, 0.0 if same else 0.8)
        grams = Grams.of(a, b, lambda x, y: rbf_kernel(x, y, 3.0))
        values.append(grams.permutation_p(np.random.default_rng(seed)))
    assert np.mean(np.array(values) <= 0.1) < 0.25 if same else np.mean(np.array(values) <= 0.1) > 0.9


def test_a_classifier_sees_the_detail_where_there_is_some() -> None:
    features = FeatureSets(cloud(3), cloud(1), cloud(2))
    detail = FeatureSets(cloud(6, shift=2.0), cloud(4), cloud(5), description="detail")
    sets = replace(features, detail=detail)
    comparison = FeatureComparison.of(sets, 0, Clock(None).over)
    scores = {score.name: score for score in fidelity_scores(comparison, lambda measure, reason: None)}
    assert scores["two_sample_auc"].value > 0.95 and "detail" in scores["two_sample_auc"].source
    assert scores["kernel_distance"].p > 0.01  # computed on the features, like everything else
    shorter = sets.head(40).detail
    assert shorter is not None and len(shorter.samples) == len(shorter.train) == 40


def test_metrics_of_embedded_items_lie_where_they_are_looked_for() -> None:
    subpackages = [info.name for info in pkgutil.iter_modules(metrics.__path__) if info.ispkg]
    assert subpackages
    for path in (path for name in subpackages for path in (Path(metrics.__path__[0]) / name).glob("*.py")):
        assert "EXPORT = FeatureMetric" not in path.read_text(encoding="utf-8"), f"{path} would not be found"
