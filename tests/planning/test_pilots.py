"""How long pilots may take, what is expected of one, and how they are described."""

from __future__ import annotations

from dataclasses import replace

import pytest

from anew.families.diffusion.family import Diffusion
from anew.families.gan.family import Gan
from anew.planning import pilots
from anew.runs.record import Pilot


def pilot(family: str, distance: float, expected: float) -> Pilot:
    return Pilot(
        family=family, seconds=12.3, progress=0.05, items=200, distance=distance, two_sample_auc=0.9, real=9.1, expected=expected
    )  # fmt: skip


def test_pilots_take_a_share_of_a_budget_that_is_large_enough() -> None:
    assert pilots.pilot_seconds(pilots.MIN_BUDGET - 1) == 0.0
    assert pilots.pilot_seconds(600.0) == pytest.approx(72.0)
    assert pilots.pilot_seconds(1e6) == pilots.MAX_SECONDS


def test_pilots_that_would_tell_nothing_are_foreseen() -> None:
    """22 s of 180 on cores that others use left each of two pilots hardly a step besides set-up and judging."""
    assert pilots.can_tell(21.6, 2, 125.0, slowdown=1.0)
    assert not pilots.can_tell(21.6, 2, 125.0, slowdown=4.0)
    assert pilots.can_tell(72.0, 2, 480.0, slowdown=4.0)
    assert pilots.describe_too_short(21.6, ["diffusion", "gan"]).startswith(
        "22 s are too short to tell diffusion and gan"
    )


@pytest.mark.parametrize("family", [Diffusion, Gan])
def test_what_is_expected_falls_from_the_distance_now_to_that_of_real_items(family: type[Diffusion | Gan]) -> None:
    at = [pilots.expected_distance(family, 90.0, 10.0, progress) for progress in (1.0, 0.5, 0.05, 1e-6)]
    assert at == sorted(at, reverse=True) and at[0] == 90.0 and at[-1] >= 10.0
    assert pilots.expected_distance(family, 8.0, 10.0, 0.05) == 10.0


def test_each_round_halves() -> None:
    assert [pilots.num_rounds(n) for n in (2, 3, 4, 5)] == [1, 2, 2, 3]
    assert [pilots.num_kept(n) for n in (2, 3, 4, 5)] == [1, 2, 2, 3]


def test_a_description_names_each_family_and_why_the_winner_won() -> None:
    assert pilots.describe_pilots([]) == "" and pilots.describe_trying(["gan"]) == ""
    assert pilots.describe_pilots([pilot("gan", 34.0, 12.0), pilot("vae", 49.0, 20.0)]) == (
        "Tried: gan 34 after 12 s, vae 49 after 12 s (Fréchet distance of 200 samples to validation items; real items 9.1). "
        "As each learns at its own pace, gan is expected to end closest; so gan was trained further."
    )
    hasty = replace(pilot("gan", 34.0, 12.0), progress=pilots.MIN_PROGRESS / 2)
    assert pilots.describe_pilots([hasty, pilot("vae", 49.0, 20.0)]) == (
        "Tried: gan 12 s, vae 12 s. That was too short to tell them apart, so gan was trained further, which most often comes "
        "closest."
    )


def test_a_difference_within_its_noise_decides_nothing() -> None:
    likelier = replace(pilot("diffusion", 71.1, 69.9), expected_error=0.4, two_sample_auc=0.59, auc_error=0.06)
    other = replace(pilot("gan", 70.6, 69.8), expected_error=0.4, two_sample_auc=0.82, auc_error=0.05)
    # The distance of fifty samples is mostly their number; the classifier tells.
    assert pilots.criterion([likelier, other]) == "classifier"
    assert [p.family for p in pilots.ranked([likelier, other])] == ["diffusion", "gan"]
    sentence = pilots.describe_pilots([likelier, other])
    assert (
        "too few samples to choose by the distance" in sentence
        and "in 59% (diffusion) and 82% (gan) of cases; so diffusion" in sentence
    )
    # Neither does: the likelier family goes on, though both figures of the other are the better by a little.
    close = replace(other, two_sample_auc=0.55)
    assert pilots.criterion([likelier, close]) == "none" and pilots.ranked([likelier, close])[0] is likelier
    assert "too close to tell them apart, so diffusion" in pilots.describe_pilots([likelier, close])
    # The distance does, against the order.
    ahead = replace(close, expected=65.0)
    assert pilots.criterion([likelier, ahead]) == "distance" and pilots.ranked([likelier, ahead])[0] is ahead
    hasty = replace(ahead, progress=pilots.MIN_PROGRESS / 2)
    assert pilots.criterion([likelier, hasty]) == "none" and pilots.ranked([likelier, hasty])[0] is likelier
    assert "gan and vae are tried on your data first, in 12% of the time" in pilots.describe_trying(["gan", "vae"])
