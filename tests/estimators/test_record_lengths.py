"""How likely a record is to end, by its length so far."""

from __future__ import annotations

import numpy as np
import pytest

from anew.estimators.record_lengths import MAX_LOG_ODDS, EndModel, count_lengths, end_log_odds

END = 9


def records(lengths: list[int], whole: bool = True) -> list[np.ndarray]:
    return [np.array([8, *[0] * (length - 1), END if whole else 0]) for length in lengths]


def hazards(counts: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-end_log_odds(counts)[1:]))


def test_whole_records_are_counted_by_targets_and_others_apart() -> None:
    counts = count_lengths([*records([3, 3, 5]), *records([4], whole=False), np.array([8])], END)
    assert counts.tolist() == [2, 0, 0, 2, 0, 1]


@pytest.mark.parametrize("seed", range(4))
def test_hazards_are_those_of_a_distribution_near_the_counts(seed: int) -> None:
    rng = np.random.default_rng(seed)
    lengths = rng.negative_binomial(5, 0.3, 2000) + 1
    counts = count_lengths(records(lengths.tolist()), END)
    hazard = hazards(counts)
    assert len(hazard) == len(counts) and ((hazard > 0) & (hazard <= 1)).all()
    alive = np.cumprod(np.concatenate(([1.0], 1 - hazard[:-2])))
    probability = alive * hazard[:-1]
    assert probability.sum() == pytest.approx(1.0, abs=1e-3)
    assert abs((probability * np.arange(1, len(counts))).sum() - lengths.mean()) < 0.05 * lengths.mean()
    assert np.abs(probability - counts[1:] / 2000).sum() < 0.25


def test_records_of_one_length_end_there_alone() -> None:
    log_odds = end_log_odds(count_lengths(records([238] * 700), END))
    assert log_odds[1:200].max() < -10 and log_odds[237] < -1 and log_odds[238] == log_odds[239]
    assert log_odds[238] == pytest.approx(MAX_LOG_ODDS, abs=0.1)


def test_records_that_are_cut_say_that_others_go_on() -> None:
    cut = end_log_odds(count_lengths(records([5] * 10) + records([9] * 90, whole=False), END))
    assert cut[5] == pytest.approx(np.log(0.1 / 0.9), abs=0.7)


@pytest.mark.parametrize("lengths", [[], [1], [1, 1], [1, 2, 500]])
def test_few_records(lengths: list[int]) -> None:
    assert np.isfinite(end_log_odds(count_lengths(records(lengths), END))).all()


def fitted(lengths: list[int], guess: float, seed: int = 0) -> EndModel:
    """The model of ends of records of these lengths, under a model that gives each target the same probability of an end."""
    rng = np.random.default_rng(seed)
    held_out = rng.choice(lengths, 400)
    places = np.concatenate([np.arange(1, length + 1) for length in held_out])
    is_end = np.concatenate([np.arange(1, length + 1) == length for length in held_out])
    log_probs = np.full(len(places), np.log(guess), dtype=np.float32)
    return EndModel.fit(count_lengths(records(lengths), END), log_probs, places, is_end)


@pytest.mark.parametrize("guess", [0.001, 0.05, 0.5])
def test_a_fitted_model_ends_records_where_known_ones_end(guess: float) -> None:
    lengths = np.random.default_rng(1).poisson(20, 1_000) + 1
    model = fitted(lengths.tolist(), guess)
    log_probs = np.log(np.tile([(1 - guess) / 2, (1 - guess) / 2, guess], (60, 1))).astype(np.float32)
    probs = np.exp(model.weigh(log_probs, 2, np.arange(60)))
    np.testing.assert_allclose(probs.sum(1), 1.0, rtol=1e-5)
    np.testing.assert_allclose(probs[:, 0], probs[:, 1])
    alive = np.cumprod(np.concatenate(([1.0], 1 - probs[1:-1, 2])))
    mean = (alive * probs[1:, 2] * np.arange(1, 60)).sum()
    assert mean == pytest.approx(lengths.mean(), rel=0.05)
    assert probs[1:5, 2].max() < 0.01 and probs[45:, 2].min() > 0.5


def test_weights_of_zero_change_nothing_and_lengths_that_say_nothing_get_none() -> None:
    log_probs = np.log(np.random.default_rng(0).dirichlet(np.ones(4), 30)).astype(np.float32)
    counts = count_lengths(records([7, 9, 30]), END)
    np.testing.assert_array_equal(EndModel(counts, np.zeros(2)).weigh(log_probs, 3, np.arange(30)), log_probs)
    places = np.tile(np.arange(1, 31), 100)
    against = EndModel.fit(counts, np.full(3_000, -3.0, dtype=np.float32), places, places == 3)  # where none has ended
    assert not against.weights.any()


def test_no_step_of_the_fit_raises_the_loss(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first one went far too far where the ends of held-out records were called all but impossible."""
    monkeypatch.setattr("anew.estimators.record_lengths.NEWTON_STEPS", 1)
    lengths = [5] * 90 + [6] * 10
    model = fitted(lengths, 0.002)
    probs = np.exp(model.weigh(np.log([[0.998, 0.002]]).astype(np.float32).repeat(6, 0), 1, np.arange(1, 7)))
    nats = -np.log([np.prod(probs[: length - 1, 0]) * probs[length - 1, 1] for length in lengths]).sum()
    nats_before = -np.log([0.998 ** (length - 1) * 0.002 for length in lengths]).sum()
    assert model.weights[0] > 0.0 and nats + (model.weights**2).sum() / 2 < nats_before


def test_certain_probabilities_stay_finite() -> None:
    model = fitted([20] * 50, 0.05)
    sure = np.array([[0.0, -np.inf, -np.inf], [-np.inf, -np.inf, 0.0]], dtype=np.float32)
    with np.errstate(invalid="raise"):
        np.testing.assert_allclose(np.exp(model.weigh(sure, 2, 5)).sum(1), 1.0, rtol=1e-6)


def test_many_lengths_take_little_memory() -> None:
    """A run may come from anybody."""
    counts = np.zeros(1_000_001, dtype=np.int64)
    counts[[1_000, 1_000_000]] = 5
    log_odds = end_log_odds(counts)
    assert np.isfinite(log_odds).all() and log_odds[1_000] > log_odds[2_000]
