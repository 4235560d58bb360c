"""Who wins, and which claims held, on figures that are given."""

from __future__ import annotations

from dataclasses import replace

from anew.evaluation.reporting.comparison import table
from anew.evaluation.reporting.ranking import (
    MORE_DETAIL,
    CopyingSummary,
    RunResult,
    best_runs,
    claims,
    copy_summary,
    findings,
    is_as_good_as_real,
    is_tie,
    ranked_metrics,
)
from scores import score


def result(name: str, **values: float | tuple[float, float]) -> RunResult:
    """A run with scores, each a value or (value, half of its interval)."""
    run = RunResult(name, name.partition(":")[0])
    for key, figures in values.items():
        value, half = figures if isinstance(figures, tuple) else (figures, None)
        low, high = (None, None) if half is None else (value - half, value + half)
        run.add([score(key, value, low, high, 2.0 if key == "frechet_distance" else None)])
    return run


VAE = result("vae", frechet_distance=(9.0, 0.5), fine_detail=(0.4, 0.02), path_length=(1.5, 0.1),
              path_evenness=(0.8, 0.05), seconds_per_1000=0.5)  # fmt: skip
GAN = result("gan", frechet_distance=(5.0, 0.5), fine_detail=(0.9, 0.05), path_length=(2.5, 0.1),
              path_evenness=(0.5, 0.05), seconds_per_1000=0.2)  # fmt: skip
DIFFUSION = result("diffusion:pixel", frechet_distance=(4.8, 0.5), fine_detail=(1.05, 0.05), path_length=(3.0, 0.1),
                    path_evenness=(0.3, 0.05), seconds_per_1000=9.0)  # fmt: skip


def test_figures_of_records_and_of_pieces_have_no_winner() -> None:
    records, pieces = result("list", two_sample_auc=(0.6, 0.01)), result("text", two_sample_auc=(0.9, 0.01))
    assert best_runs([records, pieces], "two_sample_auc") == [records]
    pieces.scores = {name: replace(s, counted="text piece") for name, s in pieces.scores.items()}
    assert best_runs([records, pieces], "two_sample_auc") == []
    (sentence,) = findings([records, pieces])
    assert sentence.startswith("The runs read the data differently: ") and "(samples and text pieces)" in sentence


def outcomes(*runs: RunResult) -> dict[str, str]:
    return {claim.claim.split()[-1]: claim.outcome for claim in claims(runs)}


def test_winners_and_ties() -> None:
    three = [VAE, GAN, DIFFUSION]
    assert [e.name for e in best_runs(three, "frechet_distance")] == ["diffusion:pixel", "gan"]
    assert [e.name for e in best_runs(three, "path_length")] == ["vae"]
    assert [e.name for e in best_runs(three, "fine_detail")] == ["diffusion:pixel", "gan"]
    assert best_runs([VAE], "path_length") == best_runs(three, "coverage") == []
    sentences = findings(three)
    assert any("diffusion:pixel and gan, too close to call (" in s and "real data 2" in s for s in sentences)
    assert any(s.startswith("Fastest sampling: gan (") for s in sentences)


def test_both_as_good_as_real_data_is_a_tie() -> None:
    first, other = (score("frechet_distance", v, v - 0.1, v + 0.1, 2.0) for v in (1.5, 2.05))
    assert is_as_good_as_real(first) and is_as_good_as_real(other) and is_tie(first, other)
    assert not is_tie(first, score("frechet_distance", 3.0, 2.9, 3.1, 2.0))


def test_claims_follow_the_figures() -> None:
    assert outcomes(VAE, GAN, DIFFUSION) == {"GAN": "yes", "GAN's": "yes", "quality": "tie", "sample": "yes"}
    blurry = result("gan", fine_detail=(0.2, 0.02), path_length=(1.0, 0.1), path_evenness=(0.5, 0.1))
    assert outcomes(VAE, blurry)["GAN's"] == "no"
    assert outcomes(VAE, blurry)["GAN"] == "partly"
    assert outcomes(VAE)["GAN"] == outcomes(VAE, GAN)["quality"] == "not tested"
    slow = result("vae", frechet_distance=(1.0, 0.1), seconds_per_1000=20.0)
    assert outcomes(slow, DIFFUSION)["quality"] == outcomes(slow, DIFFUSION)["sample"] == "no"


def test_rows_are_in_order() -> None:
    names = [
        spec.name for spec in ranked_metrics([VAE, result("x", parameters=5, odd_share=0.1, bits_per_dimension=3.0)])
    ]
    assert names[0] == "frechet_distance"
    assert names[-4:] == ["bits_per_dimension", "odd_share", "seconds_per_1000", "parameters"]


def test_noise_wins_no_walk_and_a_run_of_one_step_tests_no_claim() -> None:
    real = {"path_realism": (0.8, 0.05)}
    walker = result("vae", path_length=(1.5, 0.1), path_evenness=(0.8, 0.05), **real)
    other = result("gan", path_length=(1.9, 0.1), path_evenness=(0.7, 0.05), **real)
    noise = result("gan:x", path_length=(1.0, 0.0), path_evenness=(1.0, 0.0), path_realism=(0.0, 0.0), steps=1)
    assert [e.name for e in best_runs([walker, other, noise], "path_length")] == ["vae"]
    assert next(e.name for e in best_runs([walker, other, noise], "path_evenness")) == "vae"
    assert outcomes(walker, noise)["GAN"] == "not tested"
    assert outcomes(walker, other, noise)["GAN"] == outcomes(walker, other)["GAN"]


def test_a_hardly_trained_run_is_named_and_in_no_ranking() -> None:
    short = result("gan", frechet_distance=(1.0, 0.1), seconds_per_1000=0.1, steps=37)
    runs = [VAE, DIFFUSION, short]
    assert [e.name for e in best_runs(runs, "seconds_per_1000")] == ["vae"]
    first, *others = findings(runs)
    assert first.startswith("gan (37 steps) was hardly trained") and "in the table, but in no ranking" in first
    assert others and not any("gan" in sentence for sentence in others)
    reasons = {claim.claim.split()[-1]: claim.evidence for claim in claims(runs) if claim.outcome == "not tested"}
    assert reasons == {"GAN": "gan was hardly trained", "GAN's": "gan was hardly trained"}
    assert {claim.evidence for claim in claims([VAE]) if claim.outcome == "not tested"} == {
        "one of the two was not run"
    }


def test_a_hardly_trained_run_that_is_better_than_all_others_is_said_to_be() -> None:
    """It was in no ranking, so that of two families none won, and nothing was said of the better one."""
    vae = result("vae", two_sample_auc=(0.995, 0.003), steps=53)
    for value, is_better in ((0.93, True), (0.99, False)):
        (sentence,) = findings([vae, result("gan", two_sample_auc=(value, 0.02), steps=31)])[:1]
        assert sentence.startswith("gan (31 steps) was hardly trained")
        assert (
            "The samples of gan are nevertheless harder to tell from real ones than all others" in sentence
        ) == is_better


def test_the_table_says_which_way_is_better() -> None:
    header, *rows = table([VAE, GAN]).splitlines()
    assert header.endswith("better") and all(row.endswith(("lower", "higher", "closer to real", "-")) for row in rows)


def test_who_copies_is_said_before_who_wins() -> None:
    verdict = "Copying found: about 40% of the samples."
    copies = CopyingSummary(detected=True, p=0.001, share=0.4, detection_limit=None, samples=100, verdict=verdict)
    copier = RunResult("gan", "gan", scores={"frechet_distance": score("frechet_distance", 1.0)}, copies=copies)
    other = RunResult("vae", "vae", scores={"frechet_distance": score("frechet_distance", 9.0)})
    first, *other_findings = findings([copier, other])
    assert first == "gan: Copying found: about 40% of the samples. (100 samples) Its good scores may be due to that."
    assert other_findings and "no copying test" in copy_summary(other)


def test_an_interval_that_ends_at_zero_is_one() -> None:
    wide, other = score("fine_detail", -0.5, -1.0, 0.0), score("fine_detail", -0.1)
    assert (
        MORE_DETAIL.compare([other], [wide]) == 0
    )  # the upper end was taken for none, and the interval for half as wide
    assert MORE_DETAIL.compare([score("fine_detail", 0.1)], [wide]) == 1
