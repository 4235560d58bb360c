"""The Transformer family: exact bits, draws that depend on their own index alone, counts that help and are kept."""

from __future__ import annotations

import itertools
import math
from dataclasses import replace

import pytest
import torch

from anew.core.random import StepContext
from anew.core.specs import Batch, Condition, SampleRequest, Tokens
from anew.errors import ConfigError
from anew.families.base import Scale
from anew.families.transformer.config import TransformerConfig, TransformerSampling
from anew.families.transformer.family import EXPORT, Transformer
from anew.planning.build import suggest_config

PACKED = Tokens(vocab=12, length=16)
RECORDS = Tokens(vocab=13, length=8, special={"begin": 10, "end": 11, "pad": 12}, classes=3, packed=False)
SMALL = {"batch_size": 4, "layers": 2, "width": 16, "heads": 2, "mlp_size": 24, "ngram_order": 2, "precision": "fp32"}


def _family(spec: Tokens = PACKED, **settings: object) -> Transformer:
    torch.manual_seed(0)
    family = Transformer(spec, TransformerConfig(**(SMALL | settings)))  # type: ignore[arg-type]
    for parameter in family.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    return family.eval()


def _stream(n: int = 400) -> torch.Tensor:
    """A text with a rule: each token is followed by itself plus one or two."""
    steps = torch.randint(1, 3, (n,), generator=torch.Generator().manual_seed(1))
    return steps.cumsum(0) % 12


def _counted(spec: Tokens = PACKED) -> Transformer:
    family = _family(spec)
    family.fit_closed_form([Batch(_stream()[None])])
    return family


def _last(family: Transformer, request: SampleRequest, seed: int = 0) -> torch.Tensor:
    return list(family.sample(request, seed))[-1]


def test_bits_are_the_sum_of_what_one_token_after_another_costs() -> None:
    family = _counted()
    ids = _stream(17)
    whole = family.bits(Batch(ids[None]))
    steps = []
    for i in range(1, 17):
        mask = torch.zeros(1, i)
        mask[0, -1] = 1.0
        steps.append(family.bits(Batch(ids[None, : i + 1], mask=mask)))
    assert torch.allclose(whole, torch.stack(steps).sum(0), atol=1e-3)


@pytest.mark.parametrize("part", ["all", "network"])
def test_probabilities_of_all_tokens_sum_to_one(part: str) -> None:
    family = _counted()
    rows = torch.cat((_stream(5).expand(12, -1), torch.arange(12)[:, None]), 1)
    mask = torch.zeros(12, 5)
    mask[:, -1] = 1.0
    batch = Batch(rows, mask=mask)
    bits = family.bits_by_part(batch)["network"] if part == "network" else family.bits(batch)
    assert (0.5**bits).sum().item() == pytest.approx(1.0, abs=1e-4)


def test_counts_beat_an_untrained_network_and_the_gate_learns_so() -> None:
    family = _counted()
    held_out = Batch(_stream(1000)[-340:].view(20, 17))
    before, alone = family.bits(held_out).sum(), family.bits_by_part(held_out)["network"].sum()
    family.calibrate([held_out])
    after = family.bits(held_out).sum()
    assert after < before < alone
    assert after.item() / (20 * 16) == pytest.approx(1.0, abs=0.15)  # one of two tokens follows: one bit


def test_state_with_counts_loads_into_a_new_family() -> None:
    family = _counted()
    family.calibrate([Batch(_stream(170).view(10, 17))])
    state = {name: tensor.clone() for name, tensor in family.state_dict().items()}
    again = _family()
    again.allocate_buffers({name: tensor.shape for name, tensor in state.items()})
    again.load_state_dict(state)
    batch = Batch(_stream(17)[None])
    assert torch.equal(family.bits(batch), again.bits(batch))


def test_loss_in_bits_equals_the_networks_bits() -> None:
    family = _family(RECORDS)
    batch = Batch(torch.randint(0, 13, (5, 9)), torch.tensor([0, 1, 2, 0, 1]), (torch.rand(5, 8) > 0.3).float())
    loss = family.loss(batch, StepContext(0, 0))
    assert loss.total.item() / math.log(2) == pytest.approx(family.bits(batch).sum().item(), rel=1e-3)
    assert float(loss.count) == batch.mask.sum()  # type: ignore[union-attr]


def test_a_label_changes_the_bits() -> None:
    family = _family(RECORDS)
    rows = torch.randint(0, 13, (1, 9)).expand(4, -1)
    bits = family.bits(Batch(rows, torch.tensor([0, 1, 2, -1])))
    assert len(set(bits.tolist())) == 4
    assert torch.allclose(bits[3], family.bits(Batch(rows[:1]))[0])


@pytest.mark.parametrize("spec", [PACKED, RECORDS])
def test_a_sample_depends_on_seed_and_index_alone(spec: Tokens) -> None:
    family = _counted(spec)
    sampling = TransformerSampling(max_tokens=40)
    label = torch.tensor([0, 1, 2, 0, 1]) if spec.classes else None
    batched = _last(family, SampleRequest(5, labels=label, sampling=sampling, first_index=10))
    sample = _last(
        family, SampleRequest(1, labels=None if label is None else label[3:4], sampling=sampling, first_index=13)
    )
    assert torch.equal(batched[3, : sample.shape[1]], sample[0])
    assert not torch.equal(
        batched, _last(family, SampleRequest(5, labels=label, sampling=sampling, first_index=10), seed=1)
    )


def test_drafts_grow_by_one_token_and_keep_what_came_before() -> None:
    drafts = list(_counted().sample(SampleRequest(2, sampling=TransformerSampling(max_tokens=30)), 0))
    assert len(drafts) == 30
    for short, long in itertools.pairwise(drafts):
        assert long.shape[1] == short.shape[1] + 1
        assert torch.equal(long[:, :-1], short)


def test_a_prompt_is_kept_and_may_be_longer_than_the_context() -> None:
    prompt = _stream(50)
    out = _last(_counted(), SampleRequest(2, condition=Condition(prompt), sampling=TransformerSampling(max_tokens=7)))
    assert out.shape == (2, 57)
    assert torch.equal(out[:, :50], prompt.expand(2, -1))


@pytest.mark.parametrize("spec", [PACKED, RECORDS])
def test_what_follows_a_prompt_is_what_scoring_it_expects(spec: Tokens) -> None:
    """The gate has seen how network and counts did on the prompt, whichever way it is read."""
    family = _counted(spec)
    # Not far from even weights: a bad mixture leaves to the uniform distribution, which is scored but not drawn from
    family.mixer.gate.add_(0.1 * torch.randn(family.mixer.gate.shape))
    family.mixer.clear_cache()
    begin = 10 if spec.classes else int(_stream(1)[0])
    prompt = torch.cat((torch.tensor([begin]), _stream(6) % 10))
    label = torch.tensor([1]) if spec.classes else None
    out = _last(
        family,
        SampleRequest(
            1, condition=Condition(prompt), labels=label, sampling=TransformerSampling(temperature=0, max_tokens=2)
        ),
    )[0]
    for place in range(7, len(out)):
        mask = torch.zeros(spec.vocab, place)
        mask[:, -1] = 1.0
        rows = torch.cat((out[:place].expand(spec.vocab, -1), torch.arange(spec.vocab)[:, None]), 1)
        bits = family.bits(Batch(rows, None if label is None else label.expand(spec.vocab), mask))
        assert int(bits.argmin()) == int(out[place])
        if int(out[place]) == spec.special.get("end"):  # padding follows
            break


def test_records_stop_at_their_end_and_are_padded() -> None:
    family = _family(RECORDS)
    out = _last(family, SampleRequest(64, labels=torch.zeros(64, dtype=torch.int64)))
    ended = (out == 11).any(1)
    assert bool(ended.any())
    for row in out[ended]:
        assert bool((row[row.tolist().index(11) + 1 :] == 12).all())
    assert out.shape[1] <= RECORDS.length + 1


@pytest.mark.parametrize("counted", [True, False])
@pytest.mark.parametrize("temperature", [0.0, 1.0, 10.0])
def test_ids_that_no_training_text_has_are_never_drawn(counted: bool, temperature: float) -> None:
    spec = Tokens(vocab=12, length=16, special={"rare": 3, "end": 11})
    family = _counted(spec) if counted else _family(spec, ngrams=False)
    sampling = TransformerSampling(temperature=temperature, max_tokens=20)
    for condition in (None, Condition(torch.tensor([11, 1, 2])), Condition(torch.tensor([11, 1, 5]))):
        drawn = _last(family, SampleRequest(8, condition=condition, sampling=sampling))
        drawn = drawn if condition is None else drawn[:, 3:]
        assert drawn.shape[1] and not ((drawn >= 3) & (drawn < 11)).any()


def test_greedy_samples_repeat_the_rule() -> None:
    family = _counted()
    out = _last(
        family,
        SampleRequest(1, condition=Condition(_stream(20)), sampling=TransformerSampling(temperature=0.0, max_tokens=5)),
    )
    assert torch.equal(
        out,
        _last(
            family,
            SampleRequest(
                1, condition=Condition(_stream(20)), sampling=TransformerSampling(temperature=0.0, max_tokens=5)
            ),
            9,
        ),
    )


@pytest.mark.parametrize("seconds", [5.0, 60.0, 1800.0, None])
@pytest.mark.parametrize("spec", [PACKED, RECORDS, Tokens(1024, 128), Tokens(32_000, 256)])
def test_suggestions_are_usable(spec: Tokens, seconds: float | None) -> None:
    scale = Scale(items=3000, units=1e6, seconds=seconds)
    candidate_sizes = Transformer.candidate_sizes(spec, scale)
    costs = []
    for model_size in candidate_sizes:
        result = Scale(items=3000, units=1e6, seconds=seconds, model_size=model_size)
        config = EXPORT.suggest(spec, result)
        assert config.width % config.heads == 0 and (config.width // config.heads) % 2 == 0
        assert Transformer.target_examples(spec, config, result) >= 0
        costs.append(config.layers * config.width**2 * config.batch_size)
    assert costs == sorted(costs)


@pytest.mark.parametrize("name", ["ngrams", "contexts"])
@pytest.mark.parametrize("value", [True, False])
@pytest.mark.parametrize("spec", [PACKED, RECORDS, Tokens(vocab=4, length=16, spellings=(b"a", b"b", b"c", b"d"))])
def test_counts_that_are_switched_alone_are_no_contradiction(spec: Tokens, value: bool, name: str) -> None:
    """Names have n-grams and aligned records, and running text has context mixing: --set ngrams=false named `aligned`."""
    config = suggest_config(Transformer, spec, Scale(items=3000, units=1e6, seconds=60.0), {name: value})
    assert getattr(config, name) == value
    assert not (config.aligned and not config.ngrams) and not (config.contexts and config.ngrams)


def test_aligned_records_are_refused_without_ngrams() -> None:
    with pytest.raises(ConfigError, match="aligned=true needs ngrams=true; give ngrams=true with it, or leave"):
        _family(aligned=True, ngrams=False)


@pytest.mark.parametrize(
    ("loops_ready", "note"),
    [(True, ""), (False, "without context mixing, which predicts text better: its loops could not be compiled")],
)
def test_context_mixing_is_used_where_its_loops_are_compiled(loops_ready: bool, note: str) -> None:
    spec = Tokens(vocab=4, length=16, spellings=(b"a", b"b", b"c", b"d"))
    scale = Scale(items=3000, units=1e6, seconds=60.0, loops_ready=loops_ready)
    config = Transformer.suggest(spec, scale)
    assert config.contexts == loops_ready and config.ngrams != loops_ready
    assert "".join(Transformer.plan_notes(spec, scale, config)).startswith(note)


def test_on_busy_cores_less_text_is_counted() -> None:
    spec = Tokens(vocab=4, length=16, spellings=(b"a", b"b", b"c", b"d"))
    scale = Scale(items=3000, units=1e6, seconds=20.0)
    idle, busy = (Transformer.suggest(spec, replace(scale, slowdown=slowdown)) for slowdown in (1.0, 4.0))
    assert busy.context_tokens == idle.context_tokens // 4 and busy.context_learned == idle.context_learned // 4


def test_a_plan_says_that_fewer_tokens_are_counted_than_there_are() -> None:
    spec = Tokens(vocab=28, length=128, packed=False, special={"begin": 26, "end": 27})
    scale = Scale(items=20_000, units=2e6, seconds=11.0, slowdown=4.0)
    config = Transformer.suggest(spec, scale)
    assert Transformer.plan_notes(spec, scale, config) == (
        "in this time 165,000 training tokens are counted; a longer budget counts more",
    )
    few = replace(scale, items=1000, units=1e5)
    assert Transformer.plan_notes(spec, few, Transformer.suggest(spec, few)) == ()


def test_a_width_that_does_not_fit_the_heads_is_refused() -> None:
    with pytest.raises(ConfigError, match="multiple of 6"):
        _family(width=16, heads=3)


def test_a_training_step_lowers_the_loss() -> None:
    family = Transformer(PACKED, TransformerConfig(**SMALL))  # type: ignore[arg-type]
    batch = Batch(_stream(340).view(20, 17))
    optimiser = torch.optim.AdamW(family.parameters(), lr=0.01)
    first = None
    for step in range(30):
        loss = family.loss(batch, StepContext(0, step))
        (loss.total / loss.count).backward()
        optimiser.step()
        optimiser.zero_grad()
        first = first or loss.total.item()
    assert loss.total.item() < 0.7 * first
