"""Naive rows: bits that add up, in units of the original text."""

from __future__ import annotations

import math

import numpy as np
import pytest

from anew.evaluation.metrics.text import baselines


def test_counting_model_learns_what_repeats() -> None:
    train = ["the cat sat on the mat. " * 200]
    bits = baselines.kneser_ney_bits(train, ["the cat sat on the mat. " * 3], 6, records=False)
    assert len(bits) == 72
    assert bits[24:].mean() < 0.2 < bits[:1].mean()


def test_uniform_text_costs_what_it_must() -> None:
    rng = np.random.default_rng(0)
    letters = list("abcdefgh")
    train = ["".join(rng.choice(letters, 30_000))]
    bits = baselines.kneser_ney_bits(train, ["".join(rng.choice(letters, 3_000))], 1, records=False)
    assert bits.mean() == pytest.approx(3.0, abs=0.02)


def test_probabilities_of_all_next_characters_sum_to_one() -> None:
    train = ["abracadabra, abracadabra"]
    letters = sorted(set(train[0]))
    bits = [baselines.kneser_ney_bits(train, [f"abr{c}"], 3, records=False)[-1] for c in letters]
    unseen = baselines.kneser_ney_bits(train, ["abrX"], 3, records=False)[-1] - baselines.UNICODE_BITS
    assert sum(2.0**-b for b in [*bits, unseen]) == pytest.approx(1.0, abs=1e-5)


def test_records_pay_for_their_line_end() -> None:
    train, test = ["anna", "hanna", "johanna"] * 20, ["hanna", "anna"]
    bits = baselines.kneser_ney_bits(train, test, 4, records=True)
    assert len(bits) == sum(len(t) + 1 for t in test)


def test_a_character_never_seen_costs_its_name() -> None:
    bits = baselines.kneser_ney_bits(["abc" * 50], ["abc☃"], 2, records=False)
    assert math.isfinite(bits[-1]) and bits[-1] > baselines.UNICODE_BITS


@pytest.mark.parametrize("name", list(baselines.COMPRESSORS))
def test_compressors_use_the_training_part(name: str) -> None:
    rng = np.random.default_rng(1)
    train = ["".join(rng.choice(list("abcdefghijklmnop"), 20_000))]
    alone = baselines.compressed_bits(name, [""], [train[0][:4_000]], False)
    seeded = baselines.compressed_bits(name, train, [train[0][:4_000]], False)
    assert seeded < 0.8 * alone and alone >= 4 * 4_000


def test_the_estimate_of_time_grows_with_the_text() -> None:
    train = ["so it goes, and so it went. " * 2_000]
    assert baselines.kneser_ney_seconds(train * 50, ["x"], 4, False) > baselines.kneser_ney_seconds(
        train, ["x"], 4, False
    )


def test_texts_are_turned_into_ids_together_as_they_are_one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    train, test = ["anna", "", "bob", "ann\na", "☃"] * 20, ["ann", "", "☃b", "Xa"]
    for records in (True, False):
        bits = []
        for together in (1, 3, 1_000):
            monkeypatch.setattr(baselines, "JOINED_TEXTS", together)
            bits.append(baselines.kneser_ney_bits(train, test, 3, records))
        assert np.array_equal(bits[0], bits[1]) and np.array_equal(bits[0], bits[2])
        assert len(bits[0]) == sum(map(len, test)) + records * len(test)
