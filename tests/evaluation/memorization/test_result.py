"""The audit: what it finds, what it says, what its controls say of it."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from anew.evaluation.memorization import item_types
from anew.evaluation.memorization.audit import Audit, audit, limit_of, proved
from anew.evaluation.memorization.result import METHODS, RATES, Copies, Planted
from anew.evaluation.memorization.statistics import Excess


def points(n: int, seed: int) -> list[Any]:
    return list(np.random.default_rng(seed).normal(size=(n, 6)))


FEATURES = item_types.features_kind(np.stack(points(500, 0)))
TRAIN, HELD, SAMPLES = points(300, 1), points(300, 2), points(300, 3)


def test_nothing_is_found_where_nothing_is_copied() -> None:
    found = audit(FEATURES, SAMPLES, TRAIN, HELD, seed=0)
    assert not found.found and found.p > 0.01 and found.share == 0.0
    assert found.detection_limit in (0.05, 0.1)
    assert found.control_p is not None and found.control_p > 0.01
    assert found.reference_p is not None and found.reference_p > 0.01
    assert found.words() == f"No copying found; this audit would catch {100 * found.detection_limit:.0f}% or more."
    assert {p.kind for p in found.controls} == {"exact", "disturbed"}


def test_copies_are_found_and_the_limit_is_that_of_clean_samples() -> None:
    clean = audit(FEATURES, SAMPLES, TRAIN, HELD, seed=0)
    found = audit(FEATURES, [*TRAIN[:30], *SAMPLES[30:]], TRAIN, HELD, seed=0)
    assert found.found and found.p <= 0.01
    assert 0.1 <= found.share <= 0.13 and found.low < 0.1 <= found.high
    assert found.detection_limit in (0.05, 0.1) and clean.detection_limit in (0.05, 0.1)
    assert [p.sample for p in found.pairs] == [p.train for p in found.pairs] and len(found.pairs) == 12
    assert found.words().startswith("Copying found: about 1")
    again = audit(FEATURES, [*TRAIN[:30], *SAMPLES[30:]], TRAIN, HELD, seed=0)
    assert again == found


def test_ties_do_not_lean_to_training_items() -> None:
    # Every sample is at one distance from all real items, and the first of them is taken as its nearest.
    near = []
    for seed in range(200):
        one = Audit(item_types.RECORDS, ["zz"], ["ab"], ["cd"], seed=seed, controls=False)
        near.append(bool(one.train[one.distances[0].near(np.array([2]), one.pool).item[0]]))
    assert 70 <= sum(near) <= 130


def test_a_part_of_the_training_items_proves_less_and_says_so() -> None:
    found = audit(FEATURES, SAMPLES[:100], TRAIN[:40], HELD[:40], of=40 * len(TRAIN), seed=0)
    assert found.detection_limit is None
    assert f"among 40 of {40 * len(TRAIN):,} training items" in found.words()


def test_a_copycat_is_found_by_the_weaker_method_too() -> None:
    found = audit(FEATURES, TRAIN, TRAIN, [], seed=0)
    assert found.found and found.method == "reference" and found.held_out == 0 and found.share > 0.3
    assert found.share >= found.same / found.samples and "by chance" not in found.words()
    assert "no proof" in found.words()
    clean = audit(FEATURES, SAMPLES, TRAIN, [], seed=0)
    assert not clean.found and "cannot prove" in clean.words() and "would catch" not in clean.words()


def test_too_few_held_out_items_say_what_is_needed() -> None:
    found = audit(FEATURES, SAMPLES[:100], TRAIN, HELD[:6], seed=0)
    assert found.detection_limit is None
    held, samples = found.needed(RATES[-1])
    assert held > 6 and samples > 100
    assert f"about {samples:,} samples or {held:,} held-out items are needed" in found.words()


def test_a_split_that_is_not_random_is_told_by_the_control() -> None:
    """Held-out items that are noisy versions of training ones are nearer to train than chance has it."""
    source = np.random.default_rng(0)
    held = [t + 0.05 * source.normal(size=6) for t in TRAIN]
    found = audit(FEATURES, SAMPLES, TRAIN, held, seed=0)
    assert found.control_p is not None and found.control_p <= 0.001
    assert "does not hold" in found.words()


def test_held_out_twins_are_left_out() -> None:
    groups = np.concatenate([np.arange(300), np.arange(300) + 300])
    groups[300:310] = np.arange(10)
    found = audit(FEATURES, SAMPLES, TRAIN, HELD, groups, seed=0, controls=False)
    assert found.held_out == 290 and "10 held-out items have twins" in found.notes[0]
    assert "no time" in found.words()


def test_controls_that_time_forbids_are_said() -> None:
    found = audit(FEATURES, SAMPLES, TRAIN, HELD, seed=0, late=lambda: True)
    assert len(found.notes) == 4 and all(n.startswith("Not measured") for n in found.notes)
    assert found.controls == [] and found.control_p is None and found.reference_p is None


def test_json_has_the_fixed_names() -> None:
    plain = audit(FEATURES, SAMPLES, TRAIN, HELD, seed=0, controls=False).to_json()
    assert {"found", "p", "share", "detection_limit", "method", "pairs"} <= set(plain)
    assert plain["method"] == METHODS["scan"]
    assert json.loads(json.dumps(plain))["pairs"][0].keys() >= {"sample", "train", "distance", "usual"}


def test_words_promise_no_privacy() -> None:
    base = audit(FEATURES, SAMPLES, TRAIN, HELD, seed=0, controls=False)
    every: list[Copies] = [
        replace(base, found=found, method=method, detection_limit=limit, controls=controls, reference_p=reference)
        for found in (True, False)
        for method in METHODS
        for limit, controls in ((0.01, [Planted("exact", 0.01, 1.0)]), (None, [Planted("exact", 0.1, 0.2)]))
        for reference in (None, 0.001)
    ]
    for copies in every:
        words = copies.words().lower()
        assert words.endswith(".") and "private" not in words and "anonym" not in words
    assert "or more" in replace(base, detection_limit=0.005, found=False).words()


def test_the_limit_is_the_least_rate_caught_of_both_kinds() -> None:
    rows = [Planted("exact", r, 1.0) for r in (0.1, 0.05, 0.02)]
    assert limit_of([*rows, Planted("disturbed", 0.1, 1.0), Planted("disturbed", 0.05, 0.9)]) == 0.05
    assert limit_of([*rows, Planted("disturbed", 0.1, 0.5)]) is None
    assert limit_of([]) is None


def test_nothing_to_audit() -> None:
    with pytest.raises(ValueError, match="samples and training items"):
        audit(FEATURES, [], TRAIN, HELD)


def test_leaning_to_training_items_is_no_copying_where_samples_are_no_closer() -> None:
    assert proved(0.001, Excess(0.1, 5, 4.0)) == 0.001
    assert proved(0.001, Excess(0.5, 5, 0.0)) == 0.5
    assert proved(0.3, Excess(0.001, 5, 4.0)) == 0.3  # sharper than the data, yet not towards training items
    assert proved(0.001, None) == 0.001


def test_what_is_the_same_is_said_whatever_the_test_can_prove() -> None:
    one = audit(FEATURES, TRAIN[:1], TRAIN, HELD, seed=0)
    assert not one.found and one.same == 1
    assert one.words().startswith("1 of 1 sample is the same as a training item")
    assert "no time" not in one.words() and "are needed" in one.words()
    all_of_them = audit(FEATURES, TRAIN, TRAIN, [], seed=0)
    assert all_of_them.same == len(TRAIN) and all_of_them.to_json()["same"] == len(TRAIN)
    assert audit(FEATURES, SAMPLES, TRAIN, HELD, seed=0).same == 0
