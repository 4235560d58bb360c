"""Several trainings of a family: the spread of its figures, and what it settles."""

from __future__ import annotations

from pathlib import Path

from anew.evaluation.reporting.comparison import ComparisonReport, page
from anew.evaluation.reporting.ranking import RunResult
from anew.evaluation.reporting.spread import spread_findings, spreads
from scores import score


def trainings(family: str, *distances: float) -> list[RunResult]:
    return [
        RunResult(
            f"{family} {i}", family, scores={"frechet_distance": score("frechet_distance", value)}, trainings=family
        )
        for i, value in enumerate(distances)
    ]


def test_median_and_range() -> None:
    (spread,) = spreads([*trainings("gan", 4.0, 2.0, 9.0), *trainings("vae", 5.0)], "frechet_distance")
    assert (spread.family, spread.low, spread.median, spread.high) == ("gan", 2.0, 4.0, 9.0)
    assert spread.to_json()["values"] == [4.0, 2.0, 9.0]


def test_families_whose_trainings_overlap_are_not_ranked() -> None:
    (apart,) = spread_findings([*trainings("vae", 9.0, 8.0), *trainings("gan", 4.0, 5.0)])
    assert apart.startswith(
        "Closest to the data: gan (Fréchet distance, median and range of 2 trainings: gan 4.5 (4 to 5); vae 8.5"
    )
    (overlapping,) = spread_findings([*trainings("vae", 9.0, 4.5), *trainings("gan", 4.0, 5.0)])
    assert overlapping.startswith("Closest to the data: not settled between gan and vae, whose trainings overlap (")


def test_the_page_has_a_table_of_them() -> None:
    runs = tuple([*trainings("gan", 4.0, 5.0), *trainings("vae", 9.0)])
    report = ComparisonReport(Path("duel"), runs, {})
    text = page(report, title="digits", subtitle="", real=[], command=None)
    assert "<h2>Several trainings of each family</h2>" in text and "<th>vae</th>" in text
    assert report.to_json()["trainings"] == {
        "gan": {"frechet_distance": spreads(runs, "frechet_distance")[0].to_json()}
    }
