"""Records of random symbols: a proper distribution under which no record of a few symbols or more costs much more than under the
uniform one."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from anew.core.specs import Batch, Tokens
from anew.families.transformer.config import TransformerConfig
from anew.families.transformer.counts.fixed_share import PRIOR, uniform_distribution
from anew.families.transformer.counts.record_noise import COST_LIMIT, FEWEST_SYMBOLS, MAX_SHARE, RecordNoise
from anew.families.transformer.family import Transformer

VOCABULARIES = [3, 5, 20, 28, 71, 256]  # tokens that can follow others
LENGTHS = (*range(60), 1_000, 100_000)


def noise_of(vocab: int) -> RecordNoise:
    """Token 0 never follows anything, the last one is the end."""
    return RecordNoise(uniform_distribution(vocab + 1, [0]), vocab)


def bits_of_record(noise: RecordNoise, num_symbols: int, end_id: int) -> float:
    targets = np.append(np.ones(num_symbols, dtype=np.int64), end_id)
    nats = noise.log_probs(targets, np.arange(1, num_symbols + 2)).sum() + math.log(noise.prior[-1])
    return float(-nats / math.log(2))


@pytest.mark.parametrize("vocab", VOCABULARIES)
def test_short_records_cost_what_they_may_and_long_ones_hardly_more_than_under_the_uniform_distribution(
    vocab: int,
) -> None:
    noise = noise_of(vocab)
    costs = {n: bits_of_record(noise, n, vocab) for n in LENGTHS}
    uniform = {n: (n + 1) * math.log2(vocab) for n in LENGTHS}
    within = [n for n in LENGTHS if costs[n] <= (1 + 1e-6) * COST_LIMIT * uniform[n]]
    shortest = {3: 6, 5: 6}.get(vocab, FEWEST_SYMBOLS)
    assert within == [n for n in LENGTHS if n >= shortest]
    assert all(costs[n] <= (1 + 1e-6) * (uniform[n] - math.log2(PRIOR[-1])) for n in LENGTHS)


@pytest.mark.parametrize("vocab", VOCABULARIES)
def test_all_records_together_have_the_probability_one(vocab: int) -> None:
    noise = noise_of(vocab)
    lengths = np.arange(200 * vocab)
    places = lengths + 1
    ends = np.exp(noise.log_probs(np.full(len(places), vocab), places))
    symbols = np.exp(noise.log_probs(np.ones(len(places), dtype=np.int64), places))
    np.testing.assert_allclose(ends + (vocab - 1) * symbols, 1.0, rtol=1e-5)
    assert noise.log_probs(np.zeros(3, dtype=np.int64), np.arange(1, 4)).max() < -80.0  # what never follows
    surviving = np.concatenate(([1.0], np.cumprod(1.0 - ends)[:-1]))
    assert (ends * surviving).sum() == pytest.approx(1.0, abs=1e-5)
    assert noise.prior.sum() == pytest.approx(1.0) and PRIOR[-1] < noise.prior[-1] < PRIOR[-1] + MAX_SHARE


def test_records_of_the_tokens_that_occur_cost_little_more_than_a_choice_among_these() -> None:
    """Shuffled nucleotides cost 1.28 times what a choice among those of the data costs, as there are codes for 11 more."""
    spec = Tokens(18, 61, {"begin": 16, "end": 17}, packed=False)
    rng = np.random.default_rng(0)

    def batch(high: int, n: int) -> Batch:
        rows = rng.integers(0, high, (n, 60))
        ids = np.concatenate((np.full((n, 1), 16), rows, np.full((n, 1), 17)), 1)
        return Batch(torch.from_numpy(ids), mask=torch.ones(n, 61))

    config = TransformerConfig(layers=1, width=16, heads=1, mlp_size=24, precision="fp32")
    family = Transformer(spec, config).eval()
    ordered = batch(4, 60)
    ordered.x[:, 1:-1] = torch.arange(60) // 15
    family.fit_closed_form([ordered])
    family.calibrate([ordered])
    few, many = (float(family.bits(batch(high, 20)).mean()) for high in (4, 16))
    assert few < 1.1 * 61 * math.log2(5)
    assert many < COST_LIMIT * 61 * math.log2(17)


def test_without_an_end_it_is_the_uniform_distribution() -> None:
    noise = RecordNoise(uniform_distribution(9, [0]), None)
    np.testing.assert_allclose(noise.log_probs(np.arange(1, 9), np.arange(1, 9)), -math.log(8), rtol=1e-6)
    np.testing.assert_allclose(noise.prior, PRIOR)


@pytest.mark.parametrize("num_symbols", [2, 3, 7, 12])
def test_a_model_of_records_does_not_charge_absurdly_for_short_noise(num_symbols: int) -> None:
    torch.manual_seed(0)
    spec = Tokens(vocab=30, length=80, special={"begin": 28, "end": 29}, packed=False)
    config = TransformerConfig(batch_size=4, layers=1, width=16, heads=2, mlp_size=24, ngram_order=3, precision="fp32")
    family = Transformer(spec, config)
    rows = torch.arange(60)[None] % 25 + torch.randint(0, 2, (20, 60))
    rows[:, 0], rows[:, -1] = 28, 29
    family.fit_closed_form([Batch(rows, mask=torch.ones(20, 59))])
    family.mixer.gate.normal_(std=3.0)
    family.mixer.clear_cache()
    noise = torch.randint(0, 28, (40, num_symbols + 2))
    noise[:, 0], noise[:, -1] = 28, 29
    bits = family.eval().bits(Batch(noise))
    allowed = COST_LIMIT * (num_symbols + 1) * math.log2(29)
    assert (bits <= allowed + 0.003 * (num_symbols + 1)).all()  # `SWITCH_RATE` returns a little weight at each token
