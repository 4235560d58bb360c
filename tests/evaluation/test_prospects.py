"""What a report will be able to answer, by counts and time."""

from __future__ import annotations

from dataclasses import replace

import pytest

from anew.evaluation.audit_schedule import FIRST_AUDIT, AuditSize
from anew.evaluation.inputs import RealItems
from anew.evaluation.prospects import (
    AuditCosts,
    closeness_prospect,
    has_too_few_items,
    held_out_needed,
    novelty_prospect,
)

FEW = AuditCosts(RealItems(970, 30), 1000, 2000, ((FIRST_AUDIT, 0.5),))
MANY = AuditCosts(RealItems(1500, 380), 1880, 2000, ((FIRST_AUDIT, 0.5),))


def test_few_held_out_items_prove_nothing_in_any_time() -> None:
    assert novelty_prospect(FEW, 1000) == novelty_prospect(FEW, 1000, 100.0) == "unlikely"
    assert novelty_prospect(MANY, 1000) == novelty_prospect(MANY, 1000, 100.0) == "likely"
    assert novelty_prospect(replace(FEW, available=RealItems(1000, 0)), 1000, 100.0) == "unlikely"


def test_time_may_be_too_short_for_an_audit_that_would_do() -> None:
    prospects = [novelty_prospect(MANY, 1000, seconds) for seconds in (0.4, 1.5, 100.0)]
    assert prospects == ["unlikely", "unlikely", "likely"]
    assert novelty_prospect(MANY, 20, 100.0) == "unlikely"  # samples that there was no time for


def test_the_second_trial_tells_what_is_fixed() -> None:
    mostly_fixed = replace(MANY, trials=((FIRST_AUDIT, 0.5), (AuditSize(64, 512), 0.55)))
    assert novelty_prospect(MANY, 1000, 3.0) != "likely" == novelty_prospect(mostly_fixed, 1000, 3.0)


def test_a_trial_that_was_not_at_its_end_promises_nothing() -> None:
    incomplete = replace(MANY, has_ended=False)
    assert novelty_prospect(incomplete, 1000, 100.0) == "perhaps"
    assert novelty_prospect(incomplete, 1000) == "likely"  # whatever an audit takes


@pytest.mark.parametrize("n_samples", [125, 300, 1000])
def test_as_many_held_out_items_as_are_needed_may_do(n_samples: int) -> None:
    total = FEW.available.total
    needed = held_out_needed(FEW, n_samples)
    enough = replace(FEW, available=RealItems(total - needed, needed))
    too_few = replace(FEW, available=RealItems(total - needed + 2, needed - 2))
    assert (novelty_prospect(enough, n_samples), novelty_prospect(too_few, n_samples)) == ("perhaps", "unlikely")


def test_passages_of_a_sample_count_each() -> None:
    costs = AuditCosts(RealItems(3800, 500), 4300, 0, ((FIRST_AUDIT, 0.1),))
    assert novelty_prospect(costs, 125) == "unlikely"
    assert novelty_prospect(replace(costs, pieces=10.0), 125) == "likely"


def test_copies_of_few_items_prove_nothing_however_many_there_are() -> None:
    """A thousand samples of a model of six images could not be told to be copies, by four that were held out."""
    few = replace(MANY, available=RealItems(6, 4), max_real=10)
    assert has_too_few_items(few.available) and novelty_prospect(few, 100_000) == "unlikely"
    assert not has_too_few_items(RealItems(90, 10)) and not has_too_few_items(FEW.available)


def test_closeness_needs_as_many_items_as_a_yes() -> None:
    assert [closeness_prospect(n) for n in (149, 150, 299, 300)] == ["unlikely", "perhaps", "perhaps", "likely"]
