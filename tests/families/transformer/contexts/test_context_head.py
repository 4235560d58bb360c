"""Contexts beside the network: exact bits over the windows of a document, draws from the same distribution, and what is kept."""

from __future__ import annotations

import math
from itertools import islice

import numpy as np
import pytest
import torch

from anew.core.specs import Batch, Condition, SampleRequest, Tokens
from anew.errors import ConfigError
from anew.estimators.context_mixing.error_rates import NUM_ERRORS
from anew.estimators.own_passages import NUM_KINDS
from anew.families.base import Scale
from anew.families.transformer.config import TransformerConfig, TransformerSampling
from anew.families.transformer.contexts.context_state import ContextState
from anew.families.transformer.drawing.context_drawing import DrawingLimits, draw_next
from anew.families.transformer.drawing.own_passage_limit import OwnSurplusLimit
from anew.families.transformer.family import Transformer
from anew.families.transformer.token_sequences import segments_of

SPELLINGS = (*(bytes([97 + i]) for i in range(10)), b" ", b"\n")
TEXT = Tokens(vocab=12, length=16, spellings=SPELLINGS)
SMALL = {"batch_size": 4, "layers": 1, "width": 16, "heads": 2, "mlp_size": 24, "precision": "fp32"}


def stream(n: int, seed: int = 1) -> torch.Tensor:
    steps = torch.randint(1, 3, (n,), generator=torch.Generator().manual_seed(seed))
    return steps.cumsum(0) % 12


def windows(ids: torch.Tensor, length: int = 16, stride: int = 8, whole: bool = True) -> list[Batch]:
    """All targets of ids behind the first once, in overlapping windows: one batch, or a batch for each window."""
    starts = range(0, len(ids) - length, stride)
    x = torch.stack([ids[start : start + length + 1] for start in starts])
    mask = torch.zeros(len(x), length, dtype=torch.bool)
    mask[:, -stride:] = True
    mask[0] = True
    continues = torch.arange(len(x)) > 0
    batch = Batch(x, mask=mask, continues=continues)
    return [batch] if whole else [batch.rows(i, i + 1) for i in range(len(x))]


def fitted(num_seen: int) -> Transformer:
    """A family whose text has the first `num_seen` tokens alone."""
    torch.manual_seed(0)
    family = Transformer(TEXT, TransformerConfig(**SMALL, ngrams=False, contexts=True))  # type: ignore[arg-type]
    for parameter in family.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    family.fit_closed_form([Batch(stream(2000)[None] % num_seen)])
    family.calibrate(windows(stream(400, seed=2) % num_seen))
    list(islice(family.calibrate_drawing(windows(stream(400, seed=2) % num_seen), lambda n, _: SampleRequest(n)), 20))
    return family.eval()


@pytest.fixture(scope="module")
def family() -> Transformer:
    return fitted(12)


def test_a_document_is_read_on_over_its_windows(family: Transformer) -> None:
    ids = stream(97, seed=3)
    together = float(family.bits(windows(ids)[0]).sum())
    # The network sees other contexts in other windows, so only the contexts' share is compared: with one window all is seen.
    long = Batch(ids[None, :17])
    steps = []
    for i in range(1, 17):
        mask = torch.zeros(1, i)
        mask[0, -1] = 1.0
        steps.append(family.bits(Batch(ids[None, : i + 1], mask=mask)))
    assert torch.allclose(family.bits(long), torch.stack(steps).sum(0), atol=1e-3)
    apart = sum(float(family.bits(batch).sum()) for batch in windows(ids, whole=False))
    assert together < apart  # what came before helps


def test_probabilities_of_all_tokens_sum_to_one(family: Transformer) -> None:
    ids = stream(9, seed=4)
    rows = ids.repeat(12, 1)
    rows[:, -1] = torch.arange(12)
    mask = torch.zeros(12, 8)
    mask[:, -1] = 1.0
    assert math.isclose(float((2.0 ** -family.bits(Batch(rows, mask=mask))).sum()), 1.0, abs_tol=1e-4)


def test_what_is_drawn_from_is_what_is_scored(family: Transformer) -> None:
    ids = stream(14, seed=5)
    request = SampleRequest(2, condition=Condition(ids), sampling=TransformerSampling(max_tokens=1))
    drafts = list(family.sample_tokens(request, [(0, 0), (0, 1)], reads_prompt=True))
    for place, draft in enumerate(drafts[:-1], 1):
        mask = torch.zeros(1, place)
        mask[0, -1] = 1.0
        bits = float(family.bits(Batch(ids[None, : place + 1], mask=mask)))
        weights = draft.weights[0] / draft.weights[0].sum()
        assert math.isclose(-math.log2(weights[int(ids[place])]), bits, abs_tol=0.02)


def test_tokens_that_are_not_allowed_are_never_drawn_and_the_others_as_often_as_before() -> None:
    head, n = fitted(10).contexts, 500
    ids = (stream(20, seed=8) % 10).numpy()[None].repeat(n, 0)
    allowed = (np.arange(12) < 10).astype(np.float32)[None].repeat(n, 0)
    logits = np.random.default_rng(0).normal(0, 1, (1, 12)).astype(np.float32).repeat(n, 0)
    logits[:, 10:] += 3.0  # the network would draw them most of the time

    def state() -> ContextState:
        return head.read_prompt(ids[:1], 1, lambda rows: np.zeros((0, 12), np.float32)).select(np.zeros(n, np.int64))

    uniform = ((np.arange(n) + 0.5) / n).astype(np.float32)
    drawn = (
        np.bincount(draw_next(head, logits, state(), (uniform, uniform), limits=DrawingLimits(allowed)), minlength=12)
        / n
    )
    masked = np.where(allowed > 0, logits, -30.0)
    expected = head.weights_after(ids, masked, state())[0] * allowed[0]
    assert drawn[10:].sum() == 0.0
    assert np.abs(drawn - expected / expected.sum()).sum() < 0.04


def test_odds_are_multiplied_in_the_mixture_of_contexts_and_network() -> None:
    head, n, odds = fitted(10).contexts, 4000, 0.1
    ids = (stream(20, seed=8) % 10).numpy()[None].repeat(n, 0)
    logits = np.zeros((n, 12), dtype=np.float32)
    passages = OwnSurplusLimit(np.full(NUM_KINDS, 0.5), np.full(NUM_KINDS, odds, np.float32), 9.0, n)

    def state() -> ContextState:
        start = head.read_prompt(ids[:1], 1, lambda rows: np.zeros((0, 12), np.float32)).select(np.zeros(n, np.int64))
        start.share.weights[:] = [0.4, 0.5, 0.1]
        return start

    weights = head.weights_after(ids, logits, state())[0].astype(np.float64)
    token = int(weights.argmax())
    passages.next_tokens[:], passages.classes[:] = token, 1
    start = state()
    start.tallies = np.zeros((NUM_ERRORS, 2), dtype=np.int64)
    uniform = ((np.arange(n) + 0.5) / n).astype(np.float32)
    drawn = draw_next(head, logits, start, (uniform, uniform), limits=DrawingLimits(own_passages=passages))
    expected = weights / weights.sum()
    lowered_probability = expected[token] * odds / (expected[token] * odds + 1.0 - expected[token])
    assert expected[token] > 0.2 and np.mean(drawn == token) == pytest.approx(lowered_probability, abs=0.015)
    # Tokens that were refused are not tallied, nor are those that came in their place
    assert start.tallies[:, 1].sum() == pytest.approx(n * (1.0 - expected[token] + lowered_probability), rel=0.02)


@pytest.mark.parametrize("min_p", [0.02, 0.3, 1.0])
@pytest.mark.parametrize("has_rare", [False, True])
def test_min_p_keeps_the_ratios_of_the_tokens_that_stay(min_p: float, has_rare: bool) -> None:
    head, n = fitted(10).contexts, 4000
    ids = (stream(20, seed=8) % 10).numpy()[None].repeat(n, 0)
    logits = np.random.default_rng(0).normal(0, 2, (1, 12)).astype(np.float32).repeat(n, 0)
    allowed = (np.arange(12) < 10).astype(np.float32)[None].repeat(n, 0) if has_rare else None

    def state() -> ContextState:
        start = head.read_prompt(ids[:1], 1, lambda rows: np.zeros((0, 12), np.float32), False)
        return start.select(np.zeros(n, np.int64))

    weights = head.weights_after(ids, logits if allowed is None else np.where(allowed > 0, logits, -30.0), state())[0]
    weights = weights if allowed is None else weights * allowed[0]
    expected = np.where(weights >= min_p * weights.max(), weights, 0.0)
    uniform = ((np.arange(n) + 0.5) / n).astype(np.float32)
    again = np.random.default_rng(1).permutation(uniform)
    drawn = (
        np.bincount(draw_next(head, logits, state(), (uniform, again), min_p, DrawingLimits(allowed)), minlength=12) / n
    )
    assert drawn[expected == 0.0].sum() == 0.0
    assert np.abs(drawn - expected / expected.sum()).sum() < 0.03


def test_a_sample_depends_on_its_own_index(family: Transformer) -> None:
    sampling = TransformerSampling(max_tokens=300)  # more than its memory has room for at first
    together = list(family.sample(SampleRequest(3, sampling=sampling), 7))[-1]
    alone = list(family.sample(SampleRequest(1, sampling=sampling, first_index=2), 7))[-1]
    assert torch.equal(together[2], alone[0])


def test_what_is_cut_does_not_feed_on_itself(family: Transformer) -> None:
    head = family.contexts
    ids = stream(40, seed=8).numpy()
    network = np.full((1, 12), 1 / 12, dtype=np.float32)

    def after(adapts: bool, is_drawn: bool) -> np.ndarray:
        state = head.read_prompt(ids[None, :20], 1, lambda rows: np.zeros((0, 12), np.float32), adapts)
        for token in ids[20:]:
            state.propose([network, network, head.uniform])
            state.observe(np.array([token]), is_drawn)
        return head.mixer.step(state.rows, state.joint, network)

    counted, drawn = after(True, True), after(False, True)
    assert np.array_equal(counted, after(False, False))
    assert not np.array_equal(counted, drawn)


def test_a_restored_family_is_the_same(family: Transformer) -> None:
    state = {name: tensor.clone() for name, tensor in family.state_dict().items()}
    other = Transformer(Tokens(vocab=12, length=16), TransformerConfig(**SMALL, ngrams=False, contexts=True))  # type: ignore[arg-type]
    other.allocate_buffers({name: tensor.shape for name, tensor in state.items()})
    other.load_state_dict(state)
    other.check_state()
    batch = windows(stream(97, seed=6))[0]
    assert torch.equal(family.bits(batch), other.eval().bits(batch))


def test_probabilities_of_other_kinds_of_errors_are_refused(family: Transformer) -> None:
    state = {key: tensor.clone() for key, tensor in family.state_dict().items()}
    state["contexts.acceptance"] = torch.ones(NUM_ERRORS + 1)
    other = Transformer(TEXT, TransformerConfig(**SMALL, ngrams=False, contexts=True))  # type: ignore[arg-type]
    other.allocate_buffers({key: tensor.shape for key, tensor in state.items()})
    other.load_state_dict(state)
    with pytest.raises(ValueError, match="inconsistent"):
        other.check_state()


@pytest.mark.parametrize("num_kinds", [1, 26])  # earlier versions had 26
def test_errors_of_kinds_that_a_run_does_not_know_are_accepted(family: Transformer, num_kinds: int) -> None:
    state = {key: tensor.clone() for key, tensor in family.state_dict().items()}
    state["contexts.acceptance"] = torch.full((num_kinds,), 0.5)
    other = Transformer(TEXT, TransformerConfig(**SMALL, ngrams=False, contexts=True)).eval()  # type: ignore[arg-type]
    other.allocate_buffers({key: tensor.shape for key, tensor in state.items()})
    other.load_state_dict(state)
    other.check_state()
    assert other.contexts.accepted_errors is not None
    assert other.contexts.accepted_errors.tolist() == [0.5] * num_kinds + [1.0] * (NUM_ERRORS - num_kinds)
    *_, last = other.sample(SampleRequest(2, sampling=TransformerSampling(max_tokens=8, min_p=0.05)), 0)  # type: ignore[call-arg]
    assert last.shape[1] >= 8


@pytest.mark.parametrize(("name", "value"), [("text", 12), ("text", -1), ("spelling_starts", 99), ("acceptance", 2)])
def test_a_damaged_state_is_refused(family: Transformer, name: str, value: int) -> None:
    state = {key: tensor.clone() for key, tensor in family.state_dict().items()}
    state[f"contexts.{name}"][3] = value
    other = Transformer(TEXT, TransformerConfig(**SMALL, ngrams=False, contexts=True))  # type: ignore[arg-type]
    other.allocate_buffers({key: tensor.shape for key, tensor in state.items()})
    other.load_state_dict(state)
    with pytest.raises(ValueError, match=r"other tokens|inconsistent"):
        other.check_state()


def test_segments_begin_where_no_row_goes_on() -> None:
    x = torch.arange(20).reshape(4, 5)
    mask = torch.tensor([[1, 1, 1, 1], [0, 0, 1, 1], [0, 0, 1, 1], [0, 0, 0, 0]])
    segments = list(segments_of(Batch(x, mask=mask, continues=torch.tensor([False, True, False, True]))))
    assert [segment.places.tolist() for segment in segments] == [[0, 1, 2, 3, 6, 7], [8, 9, 10, 11]]
    assert [segment.opening for segment in segments] == [0, 10]
    of_classes = Batch(x[:3], torch.tensor([0, 1, 1]), mask[:3], continues=torch.tensor([False, True, True]))
    segments = list(segments_of(of_classes))
    assert [(segment.opening, segment.label) for segment in segments] == [(0, 0), (5, 1)]
    assert segments[1].places.tolist() == [4, 5, 6, 7, 10, 11]


def test_the_class_of_a_document_is_known_to_the_contexts() -> None:
    """What follows the beginning of a line in documents of its class, in the bits and in samples of a run that was saved."""
    spec = Tokens(vocab=13, length=16, special={"end": 12}, classes=2, spellings=(*SPELLINGS, b"\0"))
    torch.manual_seed(0)
    config = TransformerConfig(**SMALL, ngrams=False, contexts=True)  # type: ignore[arg-type]
    family = Transformer(spec, config)
    rng = np.random.default_rng(0)

    def document(label: int) -> torch.Tensor:
        lines = [[label, *rng.integers(2, 10, 3).tolist(), 11] for _ in range(10)]
        return torch.tensor([*(token for line in lines for token in line), 12])

    family.fit_closed_form(Batch(document(i % 2)[None], torch.tensor([i % 2])) for i in range(60))
    restored = Transformer(spec, config)
    state = family.state_dict()
    restored.allocate_buffers({key: tensor.shape for key, tensor in state.items()})
    restored.load_state_dict(state)
    restored.check_state()
    restored.eval()
    ids = torch.cat((torch.tensor([12]), document(1)[:16]))[None]
    bits = [float(restored.bits(Batch(ids, torch.tensor([label])))) for label in (0, 1)]
    assert bits[1] < bits[0] - 1.0
    labels = torch.tensor([0, 1] * 20)
    *_, samples = restored.sample(SampleRequest(40, labels, sampling=TransformerSampling(max_tokens=1)), 0)
    assert (samples[:, -1] == labels).float().mean() > 0.7
    state["contexts.classes"] = state["contexts.classes"] + 5
    restored.load_state_dict(state)
    with pytest.raises(ValueError, match="classes"):
        restored.check_state()


def test_text_gets_contexts_and_lists_do_not() -> None:
    scale = Scale(1000, 100_000.0, 30.0)
    assert Transformer.suggest(TEXT, scale).contexts
    assert not Transformer.suggest(TEXT, scale).ngrams
    assert not Transformer.suggest(Tokens(vocab=12, length=16, spellings=SPELLINGS, packed=False), scale).contexts
    assert not Transformer.suggest(Tokens(vocab=12, length=16), scale).contexts


def test_contexts_take_the_place_of_ngrams() -> None:
    with pytest.raises(ConfigError, match="ngrams=false"):
        Transformer(TEXT, TransformerConfig(**SMALL, contexts=True))  # type: ignore[arg-type]


def test_noise_costs_hardly_more_than_under_the_uniform_distribution(family: Transformer) -> None:
    ids = torch.from_numpy(np.random.default_rng(0).integers(0, 12, 161))
    bits = float(family.bits(windows(ids)[0]).sum())
    assert bits < 160 * math.log2(12) + 12
