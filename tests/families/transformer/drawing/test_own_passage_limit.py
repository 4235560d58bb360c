"""Samples that repeat themselves more than the data are made to leave; those that do not are left alone."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from anew.core.specs import Batch, SampleRequest, Tokens
from anew.estimators.own_passages import NUM_KINDS, NUM_LENGTHS
from anew.families.transformer.config import TransformerConfig, TransformerSampling
from anew.families.transformer.drawing import sampler
from anew.families.transformer.drawing.own_passage_limit import MAX_CHANGE, OddsFit, OwnPassageLimit, OwnSurplusLimit
from anew.families.transformer.family import Transformer

END = 0
RECORDS = Tokens(vocab=8, length=40, special={"begin": 7, "end": END})
LOOP = np.array([1, 1, 1, 1, 1])  # after which a loop of one token can go on


def started(ratio: float, rate: float = 0.5, surplus: float = 9.0, n: int = 2) -> OwnSurplusLimit:
    limit = OwnSurplusLimit(np.full(NUM_KINDS, rate), np.full(NUM_KINDS, ratio, np.float32), surplus, n)
    limit.read(np.array([LOOP, [1, 2, 3, 4, 5]])[:n])
    return limit


def test_odds_of_what_goes_on_are_multiplied_and_others_keep_their_ratios() -> None:
    weights = np.full((2, 8), 0.125, dtype=np.float32)
    limited = started(0.25).lower(weights, np.arange(2))
    assert limited[0].tolist() == [0.125, 0.03125, *[0.125] * 6] and limited[1].tolist() == weights[1].tolist()
    assert started(0.25).lower(weights[1:], np.array([1])).tolist() == weights[1:].tolist()
    assert started(1.0).lower(weights, np.arange(2)) is weights


def test_a_sample_that_repeats_itself_more_than_nearly_all_data_is_made_to_leave() -> None:
    limit, ids = started(1.0, surplus=2.0), np.array([LOOP, [1, 2, 3, 4, 5]])
    ratios = []
    for _ in range(10):
        ratios.append(float(limit.ratios[0]))
        limit.observe(np.array([1, 6]), np.ones(2, dtype=bool))
        ids = np.concatenate((ids, [[1], [6]]), 1)
        limit.read(ids)
    assert ratios[:5] == [1.0] * 5 and ratios[6] == pytest.approx(np.exp(-1.0)) and ratios[8] < ratios[6]
    selected = limit.select(np.array([0]))
    assert float(selected.ratios[0]) == pytest.approx(np.exp(-3.0))


def test_odds_are_fitted_so_that_samples_go_on_as_often_as_data() -> None:
    rng, fit = np.random.default_rng(0), OddsFit(np.full(NUM_KINDS, 0.6), np.ones(NUM_KINDS, dtype=np.float32))
    for _ in range(200):
        odds = np.array([19.0, 1.0]) * fit.odds_ratios[[1, 8]]  # .95 and .5 by themselves
        continued = rng.random((30, 2)) < odds / (odds + 1.0)
        fit.count(np.tile([1, 8], 30), continued.ravel())
        fit.update()
    assert 0.03 < fit.odds_ratios[1] < 0.2  # 1.5 / 19 = .08
    assert fit.odds_ratios[8] == 1.0  # it went on less often than the data
    # Longer passages of the same distance were not seen, and have the odds of those
    assert (fit.odds_ratios[1 : 1 + NUM_LENGTHS] == fit.odds_ratios[1]).all() and (
        fit.odds_ratios[1 + NUM_LENGTHS :] == 1.0
    ).all()


def test_one_sample_in_a_loop_changes_odds_by_a_limited_factor() -> None:
    fit = OddsFit(np.full(NUM_KINDS, 0.5), np.ones(NUM_KINDS, dtype=np.float32))
    fit.count(np.full(500, 3), np.ones(500, dtype=bool))
    fit.update()
    assert fit.odds_ratios[3] == pytest.approx(1.0 / MAX_CHANGE)
    fit.update()  # nothing new was counted
    assert fit.odds_ratios[3] == pytest.approx(1.0 / MAX_CHANGE)


def test_kinds_that_change_together_change_by_a_limited_factor_each() -> None:
    fit = OddsFit(np.full(NUM_KINDS, 0.5), np.ones(NUM_KINDS, dtype=np.float32))
    for kind in range(1, NUM_LENGTHS):
        fit.count(np.full(20, kind), np.ones(20, dtype=bool))
    fit.update()
    np.testing.assert_allclose(
        fit.odds_ratios[1 : 1 + NUM_LENGTHS], 1.0 / MAX_CHANGE
    )  # the longest is as the one before it
    assert (fit.odds_ratios[1 + NUM_LENGTHS :] == 1.0).all()


def test_one_hit_where_data_hardly_ever_goes_on_says_nothing() -> None:
    fit = OddsFit(np.full(NUM_KINDS, 0.05), np.ones(NUM_KINDS, dtype=np.float32))
    fit.count(np.array([3]), np.array([True]))
    fit.update()
    assert (fit.odds_ratios == 1.0).all()
    fit.count(np.full(2, 3), np.ones(2, dtype=bool))
    fit.update()
    assert fit.odds_ratios[3] == pytest.approx(1.0 / MAX_CHANGE)


def test_what_a_long_sample_repeated_long_ago_is_forgotten() -> None:
    limit, is_counted = started(1.0, surplus=2.0, n=1), np.ones(1, dtype=bool)
    ratios = []
    # Goes on by .5 of a token too many each 50 tokens, so 10 in all, of which 5 in any 512 tokens
    for place in range(1000):
        limit.classes[:] = int(place % 50 == 0)
        limit.next_tokens[:] = 1 if place % 50 == 0 else -1
        limit.observe(np.array([1]), is_counted)
        ratios.append(float(limit.ratios[0]))
    assert ratios[100] == 1.0 and min(ratios) == pytest.approx(np.exp(-3.5), rel=1e-5)


@pytest.mark.parametrize(("shape", "num_read"), [((4, 10), 0), ((), 3)])
def test_no_more_is_read_than_the_network_alone_needs(
    shape: tuple[int, ...], num_read: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("anew.families.transformer.family.COUNTED_TOKENS", 100)
    config = TransformerConfig(layers=1, width=16, heads=2, mlp_size=24, precision="fp32", ngrams=False)
    family = Transformer(Tokens(vocab=8, length=40, shape=shape, packed=not shape), config)
    batches = iter([Batch(torch.ones(1, 40, dtype=torch.int64)) for _ in range(8)])
    family.fit_closed_form(batches)
    assert 8 - len(list(batches)) == num_read


def test_exports_of_a_network_alone_say_that_they_lack_the_limit() -> None:
    config = TransformerConfig(layers=1, width=16, heads=2, mlp_size=24, precision="fp32", ngrams=False)
    family = Transformer(Tokens(vocab=8, length=40, packed=True), config)
    assert family.stock_decoder().left_out == ()
    family.fit_closed_form([Batch(torch.ones(1, 40, dtype=torch.int64))])
    (left_out,) = family.stock_decoder().left_out
    assert "repeat themselves less often" in left_out


def test_no_more_tokens_are_counted_than_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("anew.families.transformer.drawing.own_passage_limit.COUNTED_TOKENS", 2048)
    limit = OwnPassageLimit()
    limit.count([np.ones(4000, dtype=np.int64)], None)
    assert limit.get_buffer("tallies")[:, 0].sum() <= 2048


def test_state_that_makes_no_sense_is_refused() -> None:
    limit = OwnPassageLimit()
    limit.check()
    limit.count([np.tile(LOOP, 30)], None)
    limit.check()
    limit.set_odds_ratios(np.full(NUM_KINDS, 2.0, dtype=np.float32))
    with pytest.raises(ValueError, match="odds"):
        limit.check()
    limit.count([LOOP], None)
    limit.set_buffers({"usual_surplus": np.array(np.nan, dtype=np.float32)})
    with pytest.raises(ValueError, match="surplus"):
        limit.check()


def longest_run(sample: list[int]) -> int:
    """The longest run of one token of records, without what follows the end."""
    longest = run = 0
    for before, token in zip([-1, *sample], sample, strict=False):
        run = run + 1 if token == before else 1
        longest = max(longest, 0 if token == END else run)
    return longest


def test_samples_of_a_model_in_a_loop_leave_it_as_the_data_does_and_do_not_depend_on_each_other(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    config = TransformerConfig(layers=1, width=16, heads=2, mlp_size=24, precision="fp32", ngrams=False)
    family = Transformer(RECORDS, config).eval()
    text = np.random.default_rng(0).integers(1, 7, (60, 32))
    text[:, 0], text[:, -1] = 7, END
    family.fit_closed_form([Batch(torch.from_numpy(text))])
    # Nearly always token 1, whatever came before
    chances = np.array([0.01, 0.95, 0.01, 0.01, 0.01, 0.01, 0.0, 0.0], dtype=np.float32)
    monkeypatch.setattr(sampler, "softmax", lambda logits: (chances[None].repeat(len(logits), 0), None))

    def samples(n: int, first: int = 0, **settings: bool) -> list[list[int]]:
        sampling = TransformerSampling(max_tokens=39, avoid_known=False, **settings)
        request = SampleRequest(n, sampling=sampling, first_index=first)
        return [list(map(int, sample)) for sample in list(family.sample(request, 3))[-1]]

    free = samples(24, match_error_rates=False)
    before = samples(24)
    for _ in family.calibrate_drawing([], lambda n, _: SampleRequest(n)):
        pass
    now = samples(24)
    runs = [float(np.mean([longest_run(sample) for sample in drawn])) for drawn in (free, before, now)]
    assert runs[0] > 1.2 * runs[1] > 1.44 * runs[2] and runs[2] < 10
    assert samples(1, first=5)[0] == now[5][: len(samples(1, first=5)[0])]
