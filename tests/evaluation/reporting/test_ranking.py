"""Who wins, and which claims held, on figures that are given."""

from __future__ import annotations

from anew.evaluation.metrics.statistics import Score
from anew.evaluation.reporting.ranking import Entrant, at_floor, best, claims, copied, findings, rows, tie


def entrant(name: str, **values: float | tuple[float, float]) -> Entrant:
    """A figure as its value, or as (value, half of its interval)."""
    one = Entrant(name, name.partition(":")[0])
    for key, given in values.items():
        value, half = given if isinstance(given, tuple) else (given, None)
        better = "higher" if key in ("coverage", "walk_evenness") else "lower"
        ends = (None, None) if half is None else (value - half, value + half)
        floor = 2.0 if key == "frechet_distance" else None
        one.scores[key] = Score(key, value, *ends, floor, better)  # type: ignore[arg-type]
    return one


VAE = entrant("vae", frechet_distance=(9.0, 0.5), fine_detail=(0.4, 0.02), walk_length=(1.5, 0.1),
              walk_evenness=(0.8, 0.05), seconds_per_1000=0.5)  # fmt: skip
GAN = entrant("gan", frechet_distance=(5.0, 0.5), fine_detail=(0.9, 0.05), walk_length=(2.5, 0.1),
              walk_evenness=(0.5, 0.05), seconds_per_1000=0.2)  # fmt: skip
DIFFUSION = entrant("diffusion:pixel", frechet_distance=(4.8, 0.5), fine_detail=(1.05, 0.05), walk_length=(3.0, 0.1),
                    walk_evenness=(0.3, 0.05), seconds_per_1000=9.0)  # fmt: skip


def held(*entrants: Entrant) -> dict[str, str]:
    return {c.claim.split()[-1]: c.held for c in claims(entrants)}


def test_winners_and_ties() -> None:
    three = [VAE, GAN, DIFFUSION]
    assert [e.name for e in best(three, "frechet_distance")] == ["diffusion:pixel", "gan"]
    assert [e.name for e in best(three, "walk_length")] == ["vae"]
    assert [e.name for e in best(three, "fine_detail")] == ["diffusion:pixel", "gan"]
    assert best([VAE], "walk_length") == best(three, "coverage") == []
    said = findings(three)
    assert any("diffusion:pixel and gan, too close to call" in s and "real against real 2" in s for s in said)
    assert any(s.startswith("Fastest sampling: gan (") for s in said)


def test_both_at_the_floor_is_a_tie() -> None:
    one, other = (Score("frechet_distance", v, v - 0.1, v + 0.1, 2.0) for v in (1.5, 2.05))
    assert at_floor(one) and at_floor(other) and tie(one, other)
    assert not tie(one, Score("frechet_distance", 3.0, 2.9, 3.1, 2.0))


def test_claims_follow_the_figures() -> None:
    assert held(VAE, GAN, DIFFUSION) == {"GAN": "yes", "GAN's": "yes", "quality": "tie", "time": "yes"}
    blurry = entrant("gan", fine_detail=(0.2, 0.02), walk_length=(1.0, 0.1), walk_evenness=(0.5, 0.1))
    assert held(VAE, blurry)["GAN's"] == "no"
    assert held(VAE, blurry)["GAN"] == "partly"
    assert held(VAE)["GAN"] == held(VAE, GAN)["quality"] == "not tested"
    slow = entrant("vae", frechet_distance=(1.0, 0.1), seconds_per_1000=20.0)
    assert held(slow, DIFFUSION)["quality"] == held(slow, DIFFUSION)["time"] == "no"


def test_rows_are_in_order() -> None:
    names = rows([VAE, entrant("x", parameters=5, odd_share=0.1, bits_per_dimension=3.0)])
    assert names[0] == "frechet_distance"
    assert names[-4:] == ["bits_per_dimension", "odd_share", "seconds_per_1000", "parameters"]


def test_noise_wins_no_walk_and_a_run_of_one_step_tests_no_claim() -> None:
    real = {"walk_realness": (0.8, 0.05)}
    walker = entrant("vae", walk_length=(1.5, 0.1), walk_evenness=(0.8, 0.05), **real)
    other = entrant("gan", walk_length=(1.9, 0.1), walk_evenness=(0.7, 0.05), **real)
    noise = entrant("gan:x", walk_length=(1.0, 0.0), walk_evenness=(1.0, 0.0), walk_realness=(0.0, 0.0), steps=1)
    assert [e.name for e in best([walker, other, noise], "walk_length")] == ["vae"]
    assert next(e.name for e in best([walker, other, noise], "walk_evenness")) == "vae"
    assert held(walker, noise)["GAN"] == "not tested"
    assert held(walker, other, noise)["GAN"] == held(walker, other)["GAN"]


def test_who_copies_is_said_before_who_wins() -> None:
    copies = {"found": True, "verdict": "Copying found: about 40% of the samples.", "samples": 100}
    copier = Entrant("gan", "gan", scores={"frechet_distance": Score("frechet_distance", 1.0)}, copies=copies)
    other = Entrant("vae", "vae", scores={"frechet_distance": Score("frechet_distance", 9.0)})
    first, *rest = findings([copier, other])
    assert first == "gan: Copying found: about 40% of the samples. (100 samples) What it wins, it may owe to that."
    assert rest and "no audit" in copied(other)
