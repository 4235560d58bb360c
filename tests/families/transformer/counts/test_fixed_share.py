"""The floor under the mixture: a proper distribution that never costs much more than its best expert, whatever the mixture does."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from anew.core.specs import Batch, Condition, SampleRequest, Tokens
from anew.families.transformer.config import TransformerConfig, TransformerSampling
from anew.families.transformer.counts.fixed_share import PRIOR, SWITCH_RATE, FixedShare, log_of, shared_log_probs
from anew.families.transformer.counts.ngram_mixer import state_after
from anew.families.transformer.family import Transformer

LETTERS = Tokens(vocab=30, length=200, special={"begin": 28, "end": 29}, packed=False)
SMALL = {"batch_size": 4, "layers": 1, "width": 16, "heads": 2, "mlp_size": 24, "ngram_order": 3, "precision": "fp32"}


def test_against_each_expert_it_costs_little_more() -> None:
    rng = np.random.default_rng(0)
    for scale in (0.1, 1.0, 30.0):
        log_probs = -scale * rng.exponential(size=(50, 100, 3))
        cost = -shared_log_probs(FixedShare(50), log_probs).sum(1) / np.log(2)
        for i, prior in enumerate(PRIOR):
            bound = -log_probs[:, :, i].sum(1) / np.log(2) - np.log2(prior) - 99 * np.log2(1 - SWITCH_RATE)
            assert (cost <= bound + 1e-9).all()


def test_it_may_turn_from_one_expert_to_another_and_back() -> None:
    log_probs = np.full((1, 90, 3), -50.0)
    for begin, expert in ((0, 0), (30, 2), (60, 0)):
        log_probs[:, begin : begin + 30, expert] = -1.0
    cost = -shared_log_probs(FixedShare(1), log_probs)[0] / np.log(2)
    assert cost.sum() < 90 / np.log(2) + 30  # bits: two turns, of at most log2(1 / (0.002 * 0.003)) = 17 each
    assert cost[[29, 59, 89]].max() < 1.5


def test_weights_of_zero_probabilities_are_finite() -> None:
    share = FixedShare(1)
    with np.errstate(all="raise", under="ignore"):
        joint = share.observe(log_of(np.array([[0.0, 0.0, 0.1]], dtype=np.float32)))
        share.observe(np.array([[-1e4, -1e5, -3.0]]))
    assert np.isfinite(joint).all() and share.weights.sum() == pytest.approx(1.0)
    assert share.weights[0, 2] > 0.99


def counted(spec: Tokens, aligned: bool, gate_scale: float) -> Transformer:
    """A model of a cyclic alphabet with any gate."""
    torch.manual_seed(0)
    family = Transformer(spec, TransformerConfig(**SMALL, aligned=aligned))  # type: ignore[arg-type]
    for parameter in family.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    rows = torch.arange(60)[None] % 25 + torch.randint(0, 2, (20, 60))
    rows[:, 0], rows[:, -1] = 28, 29
    family.fit_closed_form([Batch(rows, mask=torch.ones(20, 59))])
    family.mixer.gate.normal_(std=gate_scale)
    family.mixer.clear_cache()
    return family.eval()


@pytest.mark.parametrize("aligned", [False, True])
@pytest.mark.parametrize("gate_scale", [0.3, 3.0, 30.0])
def test_no_text_costs_much_more_than_under_network_or_uniform(aligned: bool, gate_scale: float) -> None:
    family = counted(LETTERS, aligned, gate_scale)
    rng = torch.Generator().manual_seed(1)
    like_data = torch.arange(151)[None] % 25
    repeated = torch.full((1, 151), 7)
    rows = torch.cat((like_data, repeated, torch.randint(0, 28, (6, 151), generator=rng)))
    rows[:, 0] = 28
    bits, parts = family.bits_and_parts(Batch(rows))
    better = parts["network"].clamp(max=150 * np.log2(30))
    assert (bits <= 1.15 * better + 8.5).all()
    random_rows = slice(2, None)
    assert (bits[random_rows] <= 1.15 * better[random_rows]).all()
    assert torch.allclose(bits, family.bits(Batch(rows))) and torch.equal(
        parts["network"], family.bits_by_part(Batch(rows))["network"]
    )


def test_what_never_follows_has_no_share_and_a_prompt_leaves_the_uniform_one_as_it_was() -> None:
    family = counted(LETTERS, aligned=False, gate_scale=30.0)
    assert family.mixer.uniform[28] == 0 and family.mixer.uniform.sum() == pytest.approx(1.0)
    prompt = torch.cat((torch.tensor([28]), torch.randint(0, 28, (40,))))
    network = np.full((40, 30), -np.log(30), dtype=np.float32)
    network[:, 0] = -20.0
    share = state_after(family.mixer, prompt.numpy()[None], network).share
    assert share.weights[0, 2] == pytest.approx(PRIOR[2]) and share.weights.sum() == pytest.approx(1.0)
    request = SampleRequest(3, condition=Condition(prompt), sampling=TransformerSampling(max_tokens=20))
    drafts = list(family.sample(request, 0))
    assert (drafts[-1][:, 41:] != 28).all()
