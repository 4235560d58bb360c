"""A metric is one place: what is said of it is read from its spec everywhere."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from anew.evaluation import metrics
from anew.evaluation.metrics.feature_sets import FeatureComparison, FeatureSets, feature_metrics, fidelity_scores
from anew.evaluation.reporting import charts, comparison
from anew.evaluation.reporting.content import ReportContent
from anew.evaluation.reporting.measurements import Measurements
from anew.evaluation.reporting.model_card import card
from anew.evaluation.reporting.ranking import RunResult, findings, ranked_metrics
from anew.evaluation.reporting.report import EvaluationReport, write_report
from anew.evaluation.score import MetricSpec, Score
from scores import catalogue, score

TOY = """
from anew.evaluation.metrics.feature_sets import FeatureMetric
from anew.evaluation.score import Group, MetricSpec, Score

TOY = MetricSpec(
    "toy_share", "Toy share", "Share of samples that are toys.", better="higher", group=Group.DIVERSITY, maximum=1.0,
    full_axis=True, order=1, award="Most toys", format="percent",
)


def compute(comparison):
    real, naive = comparison.baselines(comparison.sets, lambda a, b: float(a.mean()))
    yield Score(TOY, 0.75, real_baseline=real, naive_baseline=naive, n=len(comparison.sets.samples), source="toys")


EXPORT = FeatureMetric("toys", compute, order=1)
"""


def test_a_metric_is_one_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One new file, known to nobody: it is computed, and stands in the report, its chart, the ranking and the card."""
    (tmp_path / "toy_metric.py").write_text(TOY)
    monkeypatch.setattr(metrics, "__path__", [*metrics.__path__, str(tmp_path)])
    assert feature_metrics()[0].label == "toys"
    rows = np.random.default_rng(0).normal(size=(30, 4))
    sets = FeatureSets(rows, rows + 1.0, rows + 0.5)
    toy = next(fidelity_scores(FeatureComparison.of(sets, 0, lambda share: False), lambda measure, reason: None))
    assert toy.name == "toy_share" and toy.real_baseline == pytest.approx((rows + 0.5).mean())

    report = EvaluationReport.of(Measurements(scores=[toy]), run="r", family="f", modality="image")
    write_report(tmp_path / "report", report, content=ReportContent(), history=[], settings={}, plan={})
    (plain,) = json.loads((tmp_path / "report" / "report.json").read_text())["scores"]
    assert (plain["name"], plain["title"], plain["better"]) == ("toy_share", "Toy share", "higher")
    page = (tmp_path / "report" / "report.html").read_text()
    assert "Toy share" in page and "Share of samples that are toys." in page and "How varied they are" in page
    scale = charts.scale_chart(toy)
    assert scale is not None and scale.end == "1" and scale.better == "better →"
    assert "Toy share" in card(report, data="d", parameters=None) and 'type: "toy_share"' in card(
        report, data="d", parameters=1
    )

    runs = [RunResult(name, name) for name in ("gan", "vae")]
    for run, value in zip(runs, (0.75, 0.25), strict=True):
        run.add([Score(toy.spec, value), score("coverage", value)])
    assert [spec.name for spec in ranked_metrics(runs)] == ["toy_share", "coverage"]
    assert findings(runs)[0] == "Most toys: gan (toy share 75%; vae 25%)."
    assert "Toy share" in comparison.table(runs)


def test_every_metric_has_words_for_readers() -> None:
    specs = catalogue()
    assert len(specs) > 60
    for spec in specs.values():
        assert spec.name == spec.name.lower() and " " not in spec.name
        assert spec.title and (spec.meaning.endswith(".") or spec.name == "steps"), spec.name
        assert spec.role == "metric" or not spec.award


def test_score_as_json_has_the_fixed_keys_and_no_number_that_json_lacks() -> None:
    plain = score("clipped_density", float("nan"), real_baseline=1.0, n=5, source="x").to_json()
    keys = ["name", "title", "value", "low", "high", "real_baseline", "naive_baseline", "better", "n", "source"]
    assert list(plain) == keys and plain["better"] == "higher"
    assert json.loads(json.dumps(plain, allow_nan=False))["value"] is None


@pytest.mark.parametrize(
    ("metric_format", "value", "text"),
    [
        ("number", 0.12345, "0.123"),
        ("percent", 0.756, "76%"),
        ("ratio", 1.5, "1.50"),
        ("seconds", 3.21, "3.2 s"),
        ("count", 1234.5, "1,234"),
    ],
)
def test_values_are_written_as_their_metric_says(metric_format: str, value: float, text: str) -> None:
    assert MetricSpec("x", "X", format=metric_format).format_value(value) == text  # type: ignore[arg-type]
