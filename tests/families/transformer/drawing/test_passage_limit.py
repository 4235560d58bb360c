"""Samples go on with passages of the training text as often as the model does, hardly more often than held-out text."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import numpy as np
import pytest
import torch

from anew.core.arrays import Floats, Ints
from anew.core.specs import Batch, Condition, SampleRequest, Tokens
from anew.estimators.passages import MAX_PASSAGE, PassageIndex, continuation_rates
from anew.families.transformer.config import TransformerConfig, TransformerSampling
from anew.families.transformer.drawing.context_drawing import DrawingLimits, draw_next
from anew.families.transformer.drawing.passage_limit import MAX_ODDS_RATIO, PassageLimit, TextSurplusLimit
from anew.families.transformer.drawing.program_state import ProgramLimitState
from anew.families.transformer.family import Transformer
from anew.functional.token_choice import above_min_p, sample_tokens

SPELLINGS = tuple(bytes([33 + i]) for i in range(60))
TEXT = Tokens(vocab=60, length=32, spellings=SPELLINGS)
SMALL = {"layers": 1, "width": 16, "heads": 2, "mlp_size": 24, "precision": "fp32"}
TRAIN = np.random.default_rng(0).integers(0, 60, 3000).astype(np.int32)
CUT = partial(above_min_p, min_p=0.2)


def started(n: int, rate: float, ids: list[int]) -> TextSurplusLimit:
    """n samples that end with the same tokens; the text has 0 1 2 3 4 twice, then 5 or 6."""
    text = np.array([0, 1, 2, 3, 4, 5, 9, 0, 1, 2, 3, 4, 6, 9, 8, 1, 2, 3, 4, 7, 9], dtype=np.int32)
    limit = TextSurplusLimit(PassageIndex(text), np.full(MAX_PASSAGE + 1, rate), n)
    limit.read(np.array([ids] * n, dtype=np.int64))
    return limit


def test_tokens_that_go_on_have_their_share_and_are_cut_among_themselves() -> None:
    weights = np.array([[0.02, 0, 0, 0, 0.001, 0.7, 0.1, 0.15, 0.02, 0.009]], dtype=np.float32)
    limited = started(1, 1.0, [0, 1, 2, 3, 4]).cut_apart(weights, np.arange(1), CUT)[0]
    assert np.allclose(limited[5:7].sum(), 0.8, atol=1e-6) and limited[6] == 0.0  # too improbable beside 5
    assert limited[7] > 0.0 and not limited[[0, 4, 8, 9]].any()  # the others are compared with 7
    nothing = started(1, 0.5, [5, 6, 7, 8]).cut_apart(weights, np.arange(1), CUT)[0]
    assert np.allclose(nothing / nothing.sum(), CUT(weights)[0] / CUT(weights).sum(), atol=1e-6)


def test_all_tokens_that_continue_a_passage_are_lowered_by_the_samples_own_surplus() -> None:
    limit, weights = started(2, 0.5, [0, 1, 2, 3, 4]), np.full((2, 10), 0.1, dtype=np.float32)
    limit.surplus[:] = 1.0, 9.0
    lowered = limit.lower(weights, np.arange(2))
    assert np.allclose(lowered[:, [5, 6]].T, [0.1 * np.exp(-1.0), 0.1 / MAX_ODDS_RATIO])
    assert np.allclose(np.delete(lowered, [5, 6], 1), 0.1) and (weights == np.float32(0.1)).all()
    selected = limit.select(np.array([1]))
    selected.read(np.array([[0, 1, 2, 3, 4, 5]]))
    assert np.allclose(selected.ratios, 1.0 / MAX_ODDS_RATIO)


def shares_of(passages: TextSurplusLimit, masses: Sequence[float]) -> list[float]:
    """The share of the tokens that go on, where they have these masses, one token after another."""
    shares = []
    for mass in masses:
        weights = np.zeros((1, 10), dtype=np.float32)
        weights[0, [5, 7]] = mass, 1.0 - mass
        shares.append(float(passages.cut_apart(weights, np.arange(1), CUT)[0, 5]))
    return shares


def test_what_a_sample_did_not_use_is_left_for_later() -> None:
    shares = shares_of(started(1, 0.5, [0, 1, 2, 3, 4]), (0.3, 0.7, 0.9, 0.9, 0.2))
    odds = np.exp([0.4, shares[3] - 0.1])  # went on more often than in half of the tokens
    assert np.allclose(shares[:3], [0.3, 0.7, 0.9], atol=1e-6)
    assert np.allclose(shares[3:], [0.9 / (0.9 + 0.1 * odds[0]), 0.2 / (0.2 + 0.8 * odds[1])], atol=1e-6)


def test_nothing_is_saved_up_where_there_is_no_passage() -> None:
    """The rate of length 0 is that of the shortest passage, not 0: 35 tokens without a passage let a sample copy some 29 more."""
    passages = started(2, 0.9, [5, 6, 7, 8])
    weights = np.full((2, 10), 0.1, dtype=np.float32)
    for _ in range(35):
        passages.cut_apart(weights, np.arange(2), CUT)
    passages.read(np.array([[8, 0, 1, 2, 3, 4], [8, 8, 8, 8, 8, 8]]))  # only the first one follows a passage
    weights[0], weights[0, [5, 7]] = 0.0, (0.95, 0.05)
    shares = [float(passages.cut_apart(weights, np.arange(2), CUT)[0, 5]) for _ in range(2)]
    assert np.allclose(shares, [0.95, 0.95 / (0.95 + 0.05 * np.exp(0.05))], atol=1e-6)


def test_a_sample_is_not_made_to_leave_where_hardly_anything_else_can_come() -> None:
    """Each token that went on beyond the rate was drawn from the rest, as `{` after a key that has text in all of the data: 20% of
    JSON samples were JSON."""
    shares = shares_of(started(1, 0.6, [0, 1, 2, 3, 4]), [0.9999] * 40 + [0.7])
    assert min(shares[:40]) > 0.9994 and shares[40] == pytest.approx(0.7 / (0.7 + 0.3 * MAX_ODDS_RATIO))


def test_a_passage_that_nothing_else_may_leave_goes_on() -> None:
    weights = np.zeros((1, 10), dtype=np.float32)
    weights[0, 5] = 1.0
    limited = started(1, 0.1, [0, 1, 2, 3, 4]).cut_apart(weights, np.arange(1), CUT)
    assert sample_tokens(limited, np.array([0.99], dtype=np.float32))[0] == 5


@pytest.mark.parametrize(("rate", "expected"), [(1.0, 0.9), (0.4, 0.9 / (0.9 + 0.1 * np.exp(0.5)))])
def test_drawn_tokens_stay_as_often_as_they_may(rate: float, expected: float) -> None:
    n = 20_000
    passages = started(n, rate, [8, 1, 2, 3, 4])  # goes on with 7 alone
    weights = np.zeros((n, 10), dtype=np.float32)
    weights[:, 7], weights[:, 3] = 0.9, 0.1
    passages.cut_apart(weights, np.arange(n), CUT)  # which goes on 0.5 times more than the lower rate
    rng = np.random.default_rng(0)
    tokens = np.where(rng.random(n) < 0.9, 7, 3)
    stays, has_left, again = passages.accept(tokens, np.where(tokens == 7, 0.9, 0.1), rng.random(n).astype(np.float32))
    assert abs(stays.mean() - expected) < 0.01 and (stays ^ has_left).all()
    assert abs(again[has_left].mean() - 0.5) < 0.01 and 0.0 <= again.min() <= again.max() < 1.0
    assert not passages.cut_apart(weights, np.arange(n), CUT, has_left)[has_left, 7].any()


def test_rates_that_are_none_are_refused() -> None:
    limit = PassageLimit()
    limit.check()
    limit.register_buffer("rates", torch.full((MAX_PASSAGE + 1,), 1.5))
    with pytest.raises(ValueError, match="rates"):
        limit.check()


def held_out(seed: int, num_tokens: int = 1200) -> torch.Tensor:
    """Passages of 6 to 14 tokens of the training text, one after another."""
    rng, parts = np.random.default_rng(seed), [TRAIN[:1]]
    while sum(map(len, parts)) < num_tokens:
        start = rng.integers(0, 2900)
        parts.append(TRAIN[start : start + rng.integers(6, 15)])
    return torch.from_numpy(np.concatenate(parts)[:num_tokens].astype(np.int64))


@pytest.fixture(scope="module", params=["ngrams", "contexts"])
def family(request: pytest.FixtureRequest) -> Transformer:
    torch.manual_seed(0)
    heads = {"ngrams": request.param == "ngrams", "contexts": request.param == "contexts"}
    family = Transformer(TEXT, TransformerConfig(**SMALL, **heads)).eval()  # type: ignore[arg-type]
    family.fit_closed_form([Batch(torch.from_numpy(TRAIN.astype(np.int64))[None])])
    windows = [held_out(seed).unfold(0, 33, 32) for seed in range(4)]
    family.calibrate([Batch(x, continues=torch.arange(len(x)) > 0) for x in windows])
    return family


@pytest.mark.parametrize("sampling", [{"min_p": 0.2}, {"min_p": 0.05}, {"temperature": 0.5}, {"top_k": 3}])
def test_samples_go_on_with_passages_as_often_as_held_out_text(family: Transformer, sampling: dict[str, float]) -> None:
    """Code was drawn with min-p, which cut all that left a passage: 66% of it was verbatim, and 20% of held-out code."""
    settings = TransformerSampling(max_tokens=300, **sampling)  # type: ignore[arg-type]
    samples = list(family.sample(SampleRequest(12, sampling=settings), 0))[-1].numpy()
    index = PassageIndex(TRAIN)
    rates, real = (continuation_rates(index, texts) for texts in (list(samples), [held_out(9).numpy()]))
    assert rates is not None and real is not None
    for length in (5, 8):
        assert 0.7 < real[length] < 0.97 and rates[length] < real[length] + 0.04


class RefusesAll(ProgramLimitState):
    """A grammar that accepts none of the tokens that were drawn first."""

    def refused(self, tokens: Ints, uniforms: Floats) -> Ints:
        return np.arange(len(tokens))

    def drawn_again(self, rows: Ints, candidates: Floats, weights: Floats, tokens: Ints, uniforms: Floats) -> Ints:
        return candidates.argmax(1)


def test_a_token_in_place_of_one_that_the_grammar_refuses_counts_once(family: Transformer) -> None:
    if not family.contexts.is_fitted:
        return
    head, n = family.contexts, 50
    ids = TRAIN[:20].astype(np.int64)[None].repeat(n, 0)
    uniforms = ((np.arange(n) + 0.5) / n).astype(np.float32)
    surpluses = []
    for programs in (None, RefusesAll([])):
        passages = TextSurplusLimit(family.passages.index, np.full(MAX_PASSAGE + 1, 0.5), n)
        passages.read(ids)
        assert passages.is_following.all()
        state = head.read_prompt(ids[:1], 1, lambda rows: np.zeros((0, 60), np.float32), adapts=False)
        state = state.select(np.zeros(n, np.int64))
        limits = DrawingLimits(passages=passages, programs=programs)
        draw_next(head, np.zeros((n, 60), np.float32), state, (uniforms, uniforms), 0.1, limits)
        surpluses.append(passages.surplus)
    assert surpluses[0].any() and np.array_equal(*surpluses)


def test_a_sample_depends_on_its_own_index(family: Transformer) -> None:
    sampling = TransformerSampling(max_tokens=60, min_p=0.1)
    together = list(family.sample(SampleRequest(3, sampling=sampling), 7))[-1]
    alone = list(family.sample(SampleRequest(1, sampling=sampling, first_index=2), 7))[-1]
    assert torch.equal(together[2], alone[0])


def test_what_is_always_the_most_probable_token_needs_no_chance(family: Transformer) -> None:
    for sampling in (TransformerSampling(max_tokens=30, temperature=0.0), TransformerSampling(max_tokens=30, top_k=1)):
        prompt = Condition(torch.from_numpy(TRAIN[:6].astype(np.int64)))  # without one, the first token is drawn
        requests = [SampleRequest(1, condition=prompt, sampling=sampling)] * 2
        first, second = (list(family.sample(request, seed))[-1] for seed, request in enumerate(requests))
        assert torch.equal(first, second)


def test_a_run_keeps_text_and_rates(family: Transformer) -> None:
    state = family.state_dict()
    restored = Transformer(TEXT, family.config).eval()
    restored.allocate_buffers({name: tensor.shape for name, tensor in state.items()})
    restored.load_state_dict(state)
    restored.check_state()
    sampling = TransformerSampling(max_tokens=40, min_p=0.1)
    drawn, again = (list(f.sample(SampleRequest(2, sampling=sampling), 3))[-1] for f in (family, restored))
    assert torch.equal(drawn, again)


def test_a_run_that_kept_no_text_is_not_limited(family: Transformer) -> None:
    if family.contexts.is_fitted:
        return
    state = {name: tensor for name, tensor in family.state_dict().items() if not name.startswith("passages.")}
    resumed = Transformer(TEXT, family.config).eval()
    resumed.allocate_buffers({name: tensor.shape for name, tensor in state.items()})
    resumed.load_state_dict(state)
    resumed.calibrate([Batch(held_out(0).unfold(0, 33, 32))])
    assert resumed.passages.start(1) is None
