"""What every evaluation does: the items that are compared, over-fitting, features of the user's own."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from anew.evaluation.inputs import Clock, EvaluationInputs, RealPool
from anew.evaluation.items_in_time import affordable_items, comparable_items, num_affordable_items
from anew.evaluation.measure import BOTH, CLOSENESS
from anew.evaluation.metrics.bits import network_gap
from anew.evaluation.metrics.feature_sets import FeatureSets
from anew.evaluation.modalities.image import EXPORT as IMAGE
from anew.evaluation.notes import out_of_time
from anew.evaluation.reporting.supply import Supply
from small_pools import HELD, TRAIN, pictures


@pytest.mark.parametrize(("seconds", "items"), [(4.0, 125), (10.0, 300), (30.0, 375), (float("inf"), float("inf"))])
def test_more_than_some_hundred_items_leave_time_for_other_figures(seconds: float, items: float) -> None:
    """An item takes 4 ms, in each of four sets."""
    assert num_affordable_items(seconds, 0.004) == pytest.approx(items)


@pytest.mark.parametrize("n", [114, 342])
def test_cheap_features_are_measured_of_all_items_though_half_of_the_time_is_spent(
    n: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of 8 s, other figures took 4.5; an item takes half a millisecond. A report on proteins compared 40 of 114."""
    clock = Clock(8.0)
    monkeypatch.setattr(clock, "spent", lambda: 4.5)
    assert affordable_items(n, clock, 0.0005, lambda: 2.0) == n
    assert affordable_items(n, clock, 0.01, lambda: 2.0) == 43


@pytest.mark.parametrize(("num_samples", "supply"), [(100, 2_000), (len(HELD) + 100, len(HELD))])
def test_all_held_out_items_count_not_only_those_compared(
    make_inputs: Callable[..., EvaluationInputs], num_samples: int, supply: int
) -> None:
    evaluation = IMAGE(make_inputs(TRAIN, HELD, pictures(num_samples, 2), num_held_out=2_000))
    next(evaluation.scores())
    assert evaluation.sets.supply == Supply(supply, compared=min(num_samples, len(HELD)))


def test_the_classifier_keeps_near_duplicates_in_one_half(make_inputs: Callable[..., EvaluationInputs]) -> None:
    """Each part has five copies of each of its pictures, as after a random split that keeps copies together."""
    train, held_out = ([x for x in pictures(30, seed) for _ in range(5)] for seed in (3, 4))
    samples = pictures(150, 5)
    real = []
    for near_duplicate_groups in (None, lambda items: [hash(item.tobytes()) % 2**62 for item in items]):
        scores = IMAGE(make_inputs(train, held_out, samples, near_duplicate_groups=near_duplicate_groups)).scores()
        real.append(next(score.real_baseline for score in scores if score.name == "two_sample_auc"))
    assert real[0] > 0.8 and real[1] < 0.7


def test_repeated_samples_are_not_told_by_their_copies(make_inputs: Callable[..., EvaluationInputs]) -> None:
    samples = [x for x in pictures(50, 5) for _ in range(4)]
    values = []
    for near_duplicate_groups in (None, lambda items: [hash(item.tobytes()) % 2**62 for item in items]):
        scores = IMAGE(make_inputs(TRAIN, HELD, samples, near_duplicate_groups=near_duplicate_groups)).scores()
        values.append(next(score.value for score in scores if score.name == "two_sample_auc"))
    assert values[0] > 0.75 and values[1] < 0.65


def test_what_falls_to_the_time_is_named(make_inputs: Callable[..., EvaluationInputs]) -> None:
    evaluation = IMAGE(make_inputs(TRAIN, HELD, pictures(200, 2)))
    scores = evaluation.scores()
    next(scores)
    assert [*evaluation.unmeasured] == ["further figures"]  # stopped here, nothing more is known
    names = [next(scores).name]
    while "spectrum_distance" not in names:
        names.append(next(scores).name)
    assert [*evaluation.unmeasured] == ["the spectrum"]  # its other scores may follow
    list(scores)
    assert not evaluation.unmeasured and {"colours", "the spectrum"} <= evaluation.measured
    evaluation = IMAGE(make_inputs(TRAIN, HELD, pictures(200, 2)))
    evaluation.note_out_of_time("the spectrum", CLOSENESS)
    assert evaluation.unmeasured == {"the spectrum": CLOSENESS, "further figures": BOTH}
    assert evaluation.notes == [out_of_time("the spectrum")]


def test_a_part_of_a_pool_is_half_held_out_where_it_can_be() -> None:
    pool = RealPool(list(range(100)), list(range(100, 130)), np.arange(130), 500)
    assert pool.head(130) is pool
    smaller = pool.head(40)
    assert (smaller.train, smaller.held_out) == (
        list(range(20)),
        list(range(100, 120)),
    ) and smaller.num_train_total == 500
    assert smaller.groups is not None and smaller.groups.tolist() == [*range(20), *range(100, 120)]
    larger = pool.head(100)
    assert (len(larger.train), len(larger.held_out)) == (70, 30)


def test_the_gap_to_training_items_has_an_interval(make_inputs: Callable[..., EvaluationInputs]) -> None:
    rng = np.random.default_rng(0)

    def bits(part: str, units: float) -> list[tuple[float, float]]:
        level = 100.0 if part == "test" else 60.0
        return [(level + x, 50.0) for x in rng.normal(size=80)]

    scores = {s.name: s for s in IMAGE(make_inputs(TRAIN, HELD, pictures(40, 2), gradient_bits=bits)).scores()}[
        "bits_gap"
    ]
    assert scores.low < 0.8 < scores.high and scores.low > 0.7 and scores.real_baseline == 0.0 and scores.n == 160
    with_counts = make_inputs(TRAIN, HELD, pictures(40, 2), gradient_bits=bits, has_counts=True)
    assert next(s for s in IMAGE(with_counts).scores() if s.name == "bits_gap").spec == network_gap()


def test_features_of_the_user_take_the_place_of_ours(make_inputs: Callable[..., EvaluationInputs]) -> None:
    rows = [np.random.default_rng(i).normal(size=(60, 4)) + (i == 0) for i in range(3)]
    own = FeatureSets(rows[0], rows[1], rows[2], description="features of mine.safetensors")
    scores = {s.name: s for s in IMAGE(make_inputs(TRAIN, HELD, pictures(60, 2), features=own)).scores()}
    assert scores["kernel_distance"].n == 60 and "mine.safetensors" in scores["kernel_distance"].source
    assert scores["kernel_distance"].p < 0.05 and "spectrum_distance" in scores


def test_fewer_items_are_compared_where_that_takes_too_long() -> None:
    """A minute on busy cores compared 1,000 names, and had no time for their combinations of letters."""
    assert comparable_items(6.0, 1.0) > 1000 > comparable_items(6.0, 2.0) > comparable_items(6.0, 4.0) > 500
    assert comparable_items(0.1, 9.0) == 300
