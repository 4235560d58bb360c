"""Several trainings of a family: the spread of its figures, and what it settles."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from anew.evaluation.reporting.comparison import ComparisonReport, page
from anew.evaluation.reporting.ranking import RunResult, claims
from anew.evaluation.reporting.spread import spread_findings, spreads
from scores import score


def trainings(family: str, *distances: float, **more: Any) -> list[RunResult]:
    """Trainings of a family with these Fréchet distances; more: further fields of their scores."""
    return [
        RunResult(
            f"{family} {i}",
            family,
            scores={"frechet_distance": score("frechet_distance", value, **more)},
            repeated_family=family,
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
    text = page(report, title="digits", subtitle="", real=[])
    assert "<h2>Several trainings of each family</h2>" in text and "<th>vae</th>" in text
    assert report.to_json()["trainings"] == {
        "gan": {"frechet_distance": spreads(runs, "frechet_distance")[0].to_json()}
    }


def walkers(family: str, realism: float, *lengths: float) -> list[RunResult]:
    """Trainings of a family with interpolations of these lengths, whose frames look real at this rate."""
    return [
        RunResult(
            f"{family} {i}",
            family,
            scores={"path_realism": score("path_realism", realism), "path_length": score("path_length", length)},
            repeated_family=family,
        )
        for i, length in enumerate(lengths)
    ]


def test_figures_without_a_common_scale_rank_no_family() -> None:
    runs = [*trainings("vae", 9.0, 8.0, counted="record"), *trainings("gan", 4.0, 5.0, counted="text piece")]
    assert spread_findings(runs) == []
    assert [spread.family for spread in spreads(runs, "frechet_distance")] == ["vae", "gan"]  # the table has them


def test_interpolations_that_look_like_noise_are_not_ranked() -> None:
    runs = [*walkers("vae", 1.0, 2.0, 2.1), *walkers("gan", 0.1, 1.0, 1.1), *walkers("transformer", 0.9, 3.0, 3.1)]
    (smoothest,) = [sentence for sentence in spread_findings(runs) if sentence.startswith("Smoothest")]
    assert smoothest.startswith("Smoothest interpolation: vae (")
    assert "not ranked, with fewer than two comparable trainings: gan" in smoothest


def test_a_figure_that_is_no_number_is_left_out() -> None:
    for values in ((float("nan"), 5.0), (5.0, float("nan"))):
        runs = [*trainings("gan", *values), *trainings("vae", 9.0, 8.0), *trainings("diffusion", 2.0, 3.0)]
        (sentence,) = spread_findings(runs)
        assert sentence.startswith("Closest to the data: diffusion (") and "nan" not in sentence
        assert sentence.endswith("not ranked, with fewer than two comparable trainings: gan).")


def test_a_family_of_which_one_training_is_left_is_named() -> None:
    (lost,) = trainings("diffusion", 1.0)
    failed = RunResult("diffusion 1", "diffusion", failed="out of memory", repeated_family="diffusion")
    runs = [*trainings("vae", 9.0, 8.0), *trainings("gan", 4.0, 5.0), lost, failed]
    caution, award = ComparisonReport(Path("duel"), tuple(runs), {}).findings
    assert caution == (
        "diffusion has no range, which needs two trainings that were measured and ran for long enough (1 of 2). It is in no ranking."
    )
    assert award.startswith("Closest to the data: gan (") and "diffusion" not in award


def test_single_trainings_are_not_ranked_where_several_were_asked_for() -> None:
    runs = (*trainings("vae", 9.0), *trainings("gan", 4.0))
    report = ComparisonReport(Path("duel"), runs, {})
    assert [sentence.split()[0] for sentence in report.findings] == ["vae", "gan"]
    assert report.best("frechet_distance") == [] and report.to_json()["best"] == {}


def test_the_number_of_trainings_is_that_of_each_family() -> None:
    (sentence,) = spread_findings([*trainings("vae", 9.0, 8.0, 8.5), *trainings("gan", 4.0, 5.0)])
    assert sentence.endswith("median and range: gan 4.5 (4 to 5) of 2; vae 8.5 (8 to 9) of 3).")


def test_no_training_of_a_family_has_a_star_and_the_best_are_families() -> None:
    report = ComparisonReport(Path("duel"), (*trainings("vae", 9.0, 4.5), *trainings("gan", 4.0, 5.0)), {})
    text = page(report, title="digits", subtitle="", real=[])
    assert 'class="best"' not in text and "★ the best" not in text and "*" not in report.table
    assert report.to_json()["best"] == {"frechet_distance": ["gan", "vae"]} and report.to_json()["format"] == 3


def test_claims_hold_where_the_ranges_are_apart() -> None:
    def quality(*diffusion: float) -> str:
        runs = [*trainings("diffusion", *diffusion), *trainings("gan", 4.0, 5.0), *trainings("vae", 9.0, 9.5)]
        return next(claim.outcome for claim in claims(runs) if claim.claim == "Diffusion has the best quality")

    assert quality(1.0, 3.9) == "yes"
    assert quality(1.0, 4.5) == "tie"  # the best training of diffusion is far better than the best GAN
    assert quality(6.0, 7.0) == "no"
    assert quality(1.0) == "not tested"
