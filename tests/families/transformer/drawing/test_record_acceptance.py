"""Samples that are less probable than held-out records are drawn again, so often that there are no more of them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch

from anew.core.specs import Batch, Condition, SampleRequest, Tokens
from anew.families.transformer.config import TransformerConfig, TransformerSampling
from anew.families.transformer.drawing.acceptance_calibration import (
    MAX_HELD_OUT,
    MAX_ROUNDS,
    MIN_HELD_OUT,
    NUM_DRAWN,
    HeldOutRecords,
    calibrate_acceptance,
)
from anew.families.transformer.drawing.record_acceptance import QUANTILES, RecordAcceptance
from anew.families.transformer.drawing.record_sampler import RecordSampler
from anew.families.transformer.drawing.sampler import TokenSampler
from anew.families.transformer.family import Transformer
from toys import score_as_drawn

LENGTH = 20
BEGIN, END = 10, 11
SPEC = Tokens(12, LENGTH + 1, {"begin": BEGIN, "end": END}, packed=False)
SMALL: dict[str, Any] = {"layers": 1, "width": 16, "heads": 1, "mlp_size": 24, "ngram_order": 6, "precision": "fp32"}


def keys(n: int) -> list[tuple[int, int]]:
    return [(0, index) for index in range(n)]


def variants(rng: np.random.Generator, n: int) -> Batch:
    """Records that differ from one ancestor in one place."""
    ancestor = np.arange(LENGTH) * 7 % 10
    rows = np.tile(ancestor, (n, 1))
    rows[np.arange(n), rng.integers(0, LENGTH, n)] = rng.integers(0, 10, n)
    begin, end = np.full((n, 1), BEGIN), np.full((n, 1), END)
    return Batch(torch.from_numpy(np.concatenate((begin, rows, end), 1)), mask=torch.ones(n, LENGTH + 1))


def plain(n: int, seed: int) -> SampleRequest:
    return SampleRequest(n)


@pytest.fixture(scope="module")
def family() -> Transformer:
    """One whose drawing is calibrated to variants, as after a training that was far too short."""
    rng = np.random.default_rng(0)
    torch.manual_seed(0)
    family = Transformer(SPEC, TransformerConfig(**SMALL)).eval()
    family.fit_closed_form([variants(rng, 150)])
    family.calibrate([variants(rng, 100)])
    for _ in family.calibrate_drawing((), plain):
        pass
    return family


def test_attempts_that_are_drawn_together_give_the_same_samples(
    family: Transformer, monkeypatch: pytest.MonkeyPatch
) -> None:
    samples, numbers_kept = [], []
    for limit in (1, 4):
        monkeypatch.setattr("anew.families.transformer.drawing.record_sampler.ATTEMPTS_AT_ONCE", limit)
        sampler = RecordSampler(family, plain(6, 0), TransformerSampling(), keys(6))
        drafts, most_kept = [], 0
        for draft in sampler:
            drafts.append(draft)
            most_kept = max(most_kept, len(sampler._attempts))
        samples.append([row[row < END].tolist() for row in drafts[-1].numpy()])
        numbers_kept.append(most_kept)
    assert samples[0] == samples[1]
    assert numbers_kept[0] == 1 < numbers_kept[1]  # some were drawn again


def test_improbable_samples_become_as_rare_as_records() -> None:
    rng = np.random.default_rng(1)
    held_out, drawn = rng.gamma(4.0, 0.1, 2000), rng.gamma(4.0, 0.15, 2000)
    acceptance = RecordAcceptance()
    acceptance.fit(held_out, drawn)
    shares = acceptance.arrays()["shares"]
    assert shares[0] == 1.0 and (np.diff(shares) <= 0).all() and 0 < shares[-1] < 0.2
    more = rng.gamma(4.0, 0.15, 8000)
    accepted = more[~acceptance.are_refused(more, keys(8000), 0)]
    for share in QUANTILES:
        bound = np.quantile(held_out, share)
        assert (accepted > bound).mean() == pytest.approx(1.0 - share, abs=0.04)
        assert (more > bound).mean() > 1.0 - share + 0.1


def test_random_numbers_follow_from_the_key_and_the_attempt() -> None:
    acceptance = RecordAcceptance()
    acceptance.set_buffers({"bounds": np.array([1.0]), "shares": np.array([1.0, 0.5])})
    bits = np.full(200, 2.0)
    first = acceptance.are_refused(bits, keys(200), 0)
    assert 70 < first.sum() < 130
    assert (acceptance.are_refused(bits[:9], keys(200)[9:18], 0) == first[9:18]).all()
    assert (acceptance.are_refused(bits, keys(200), 1) != first).any()
    assert not acceptance.are_refused(np.full(200, 0.9), keys(200), 0).any()


@pytest.mark.parametrize("scale", [1.0, 0.5])
def test_samples_that_are_no_less_probable_are_all_accepted(scale: float) -> None:
    rng = np.random.default_rng(2)
    acceptance = RecordAcceptance()
    acceptance.fit(rng.gamma(4.0, 0.1, 200), rng.gamma(4.0, 0.2, 64))
    assert acceptance.is_fitted and len(acceptance.left_out) == 1
    acceptance.fit(rng.gamma(4.0, 0.1, 200), scale * rng.gamma(4.0, 0.1, 64))
    assert not acceptance.is_fitted and acceptance.left_out == ()


@pytest.mark.parametrize(
    ("bounds", "shares"), [([1.0], [1.0]), ([2.0, 1.0], [1.0, 0.5, 0.5]), ([1.0], [1.0, 0.0]), ([1.0], [1.0, np.nan])]
)
def test_damaged_ones_are_refused(bounds: list[float], shares: list[float]) -> None:
    acceptance = RecordAcceptance()
    acceptance.check()
    acceptance.set_buffers({"bounds": np.array(bounds), "shares": np.array(shares)})
    with pytest.raises(ValueError, match="acceptance of records"):
        acceptance.check()
    acceptance.drop_buffers("bounds")
    with pytest.raises(ValueError, match="acceptance of records"):
        acceptance.check()


def test_the_bits_of_samples_are_those_of_scores(family: Transformer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(family.mixer, "noise", family.mixer.noise)  # restored afterwards
    score_as_drawn(family)
    sampler = TokenSampler(
        family, SampleRequest(12), TransformerSampling(match_error_rates=False), keys(12), counts_bits=True
    )
    *_, draft = sampler
    for ids, bits in zip(draft, sampler.bits.per_token, strict=True):
        length = int((ids == END).nonzero()[0, 0]) + 1 if (ids == END).any() else len(ids)
        row = torch.cat((torch.tensor([BEGIN]), ids[:length]))[None]
        assert float(family.bits(Batch(row))[0]) / length == pytest.approx(bits, rel=1e-4)


def test_samples_differ_from_records_in_as_many_places(family: Transformer) -> None:
    assert family.acceptance.is_fitted

    def improbable(**sampling: Any) -> float:
        sampler = RecordSampler(
            family, SampleRequest(200), TransformerSampling(**sampling), keys(200), counts_bits=True
        )
        for _ in sampler:
            pass
        return float((sampler.bits_per_token > family.acceptance.arrays()["bounds"][-1]).mean())

    share = improbable()
    assert share < 0.12 and 2 * share < improbable(match_error_rates=False)


def test_a_sample_is_the_same_whatever_is_drawn_with_it(family: Transformer) -> None:
    *_, together = family.sample(SampleRequest(16), 0)
    for index in range(16):
        *_, alone = family.sample(SampleRequest(1, first_index=index), 0)
        width = min(together.shape[1], alone.shape[1])
        assert torch.equal(together[index, :width], alone[0, :width]), index


def test_what_was_asked_for_is_not_drawn_again(family: Transformer) -> None:
    def acceptance(request: SampleRequest, **sampling: Any) -> RecordAcceptance | None:
        return RecordSampler(family, request, TransformerSampling(**sampling), keys(1)).acceptance

    assert acceptance(SampleRequest(1)) is family.acceptance
    assert acceptance(SampleRequest(1, condition=Condition(torch.tensor([[1]])))) is None
    for sampling in ({"temperature": 1.2}, {"min_p": 0.1}, {"max_tokens": 3}, {"match_error_rates": False}):
        assert acceptance(SampleRequest(1), **sampling) is None


def test_the_first_whole_records_that_are_read_forwards_are_kept() -> None:
    batch = variants(np.random.default_rng(0), 100)
    backwards = Batch(batch.x.clone(), mask=batch.mask)
    backwards.x[:, 0] = 9
    cut = Batch(batch.x[:, :-1], mask=batch.mask[:, :-1])  # type: ignore[index]
    records = HeldOutRecords([batch, backwards, cut, batch, batch, batch], BEGIN, END)
    assert len(list(records)) == 6
    assert records.num_kept >= MAX_HELD_OUT and records.num_kept < MAX_HELD_OUT + 100
    assert all(records.are_whole(kept).all() for kept in records.kept)


def test_rounds_are_drawn_until_it_is_clear_and_none_is_lost(
    family: Transformer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of two runs on the same names, one had its samples accepted by their bits: one round of samples left it to chance."""
    counts: list[int] = []
    fit = RecordAcceptance.fit

    def counted(acceptance: RecordAcceptance, held_out: Any, drawn: Any) -> bool:
        counts.append(len(drawn))
        fit(acceptance, held_out, drawn)
        return False

    monkeypatch.setattr(RecordAcceptance, "fit", counted)
    records = HeldOutRecords([variants(np.random.default_rng(3), 100)], BEGIN, END)
    assert len(list(records)) == 1
    for _ in calibrate_acceptance(family, records, family._fp32_logits, plain):
        assert not counts or family.acceptance.is_fitted  # whenever the caller stops
    assert counts == [NUM_DRAWN * number for number in range(1, MAX_ROUNDS + 1)]


def test_too_few_records_and_a_stop_leave_all_samples_accepted(family: Transformer) -> None:
    def steps(n: int) -> Iterator[int]:
        records = HeldOutRecords([variants(np.random.default_rng(3), n)], BEGIN, END)
        assert len(list(records)) == 1
        return calibrate_acceptance(family, records, family._fp32_logits, plain)

    shares = family.acceptance.arrays()["shares"]
    assert list(steps(MIN_HELD_OUT - 1)) == []
    assert next(steps(MIN_HELD_OUT)) == 1
    assert (family.acceptance.arrays()["shares"] == shares).all()
