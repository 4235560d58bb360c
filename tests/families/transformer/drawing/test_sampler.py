"""Samples that ended leave the batch: the others are the same, and take less time."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from anew.core.specs import Batch, Condition, PromptEnding, SampleRequest, Tokens
from anew.errors import RunError
from anew.families.transformer.config import TransformerConfig, TransformerSampling
from anew.families.transformer.drawing import sampler
from anew.families.transformer.family import Transformer
from anew.nets.incremental import CachedDecoder, NumpyDecoder

DOCUMENTS = Tokens(vocab=9, length=12, special={"end": 8})
RECORDS = Tokens(vocab=11, length=20, special={"begin": 8, "end": 9, "pad": 10}, classes=2, packed=False)
SMALL = {"layers": 2, "width": 16, "heads": 2, "mlp_size": 24, "ngram_order": 2, "precision": "fp32"}


def make_family(spec: Tokens, counted: bool) -> Transformer:
    torch.manual_seed(0)
    family = Transformer(spec, TransformerConfig(**SMALL)).eval()  # type: ignore[arg-type]
    for parameter in family.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    if counted:
        ids = torch.randint(0, 9, (1, 400), generator=torch.Generator().manual_seed(1))
        family.fit_closed_form([Batch(ids)])
    return family


@pytest.mark.parametrize("prompt", [None, [3, 1, 4, 1, 5]])
@pytest.mark.parametrize(("spec", "counted"), [(DOCUMENTS, False), (DOCUMENTS, True), (RECORDS, False)])
def test_dropping_ended_samples_changes_no_other(
    monkeypatch: pytest.MonkeyPatch, spec: Tokens, counted: bool, prompt: list[int] | None
) -> None:
    family, sizes = make_family(spec, counted), []
    original = NumpyDecoder.keep

    def keep(decoder: NumpyDecoder, rows: np.ndarray) -> None:
        sizes.append(len(rows))
        original(decoder, rows)

    monkeypatch.setattr(NumpyDecoder, "keep", keep)
    request = SampleRequest(
        24,
        labels=torch.arange(24) % 2 if spec.classes else None,
        condition=None if prompt is None else Condition(torch.tensor(prompt)),
        sampling=TransformerSampling(max_tokens=0 if spec.classes else 60, avoid_known=False),
    )
    drafts = list(family.sample(request, 0))
    assert len(sizes) > 3 and sizes == sorted(sizes, reverse=True)  # samples were dropped several times
    monkeypatch.setattr(sampler, "DROPPED_SHARE", 2.0)
    whole = list(family.sample(request, 0))
    assert len(drafts) == len(whole) and all(map(torch.equal, drafts, whole))


@pytest.mark.parametrize("counted", [False, True])
def test_a_network_that_gives_no_numbers_draws_no_tokens(monkeypatch: pytest.MonkeyPatch, counted: bool) -> None:
    family = make_family(DOCUMENTS, counted)
    monkeypatch.setattr(NumpyDecoder, "feed", lambda decoder, ids: np.full((len(ids), 9), np.nan, np.float32))
    sampling = TransformerSampling(max_tokens=3, avoid_known=False)
    with pytest.raises(RunError, match="not finite numbers"):
        list(family.sample(SampleRequest(2, sampling=sampling), 0))


@pytest.mark.parametrize("special", [{}, {"end": 8}])
def test_a_sample_without_a_prompt_goes_on_after_the_opening(special: dict[str, int]) -> None:
    family = make_family(Tokens(vocab=9, length=12, special=special, opening=(7, 7)), True)
    sampling = TransformerSampling(max_tokens=20)
    *_, hidden = family.sample(SampleRequest(4, sampling=sampling), 0)
    prompt = Condition(torch.tensor([8, 7, 7] if special else [7, 7]))
    *_, shown = family.sample(SampleRequest(4, condition=prompt, sampling=sampling), 0)
    if not special:
        assert torch.equal(hidden, shown[:, 2:])
    plain = make_family(Tokens(vocab=9, length=12, opening=(7, 7)), True)
    *_, expected = plain.sample(SampleRequest(4, sampling=sampling), 0)
    assert torch.equal(hidden[:, 0], expected[:, 0])  # the end token does not come before it


@pytest.mark.parametrize("temperature", [1.0, 0.5])
@pytest.mark.parametrize("counted", [False, True])
def test_a_passage_is_not_empty_however_probable_its_end(
    monkeypatch: pytest.MonkeyPatch, counted: bool, temperature: float
) -> None:
    family = make_family(Tokens(vocab=9, length=12, special={"end": 8}, opening=(7,)), counted)
    logits = np.where(np.arange(9) == 8, 60.0, 0.0).astype(np.float32)
    monkeypatch.setattr(NumpyDecoder, "feed", lambda decoder, ids: np.tile(logits, (len(ids), 1)))
    *_, ids = family.sample(SampleRequest(6, sampling=TransformerSampling(max_tokens=20, temperature=temperature)), 0)
    assert (ids[:, 0] != 8).all()
    is_over = (ids == 8).cumsum(1) > 0
    assert (ids[is_over] == 8).all() and int(
        is_over[:, -1].sum()
    ) >= 3  # counts have seen no end, and make it less probable
    assert counted or (ids.shape == (6, 2) and is_over[:, 1].all())


def test_a_passage_of_white_space_alone_does_not_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """One of 400 sayings was a line end, and its file was empty."""
    spellings = (b"a", b"b", b"c", b"d", b" ", b"\n", b"\n\n", b"f", b"")
    spec = Tokens(vocab=9, length=12, special={"end": 8}, opening=(7,), spellings=spellings)
    family = make_family(spec, False)
    logits = np.where(np.arange(9) == 8, 60.0, np.where(np.isin(np.arange(9), (4, 5, 6)), 1.0, 0.0)).astype(np.float32)
    monkeypatch.setattr(NumpyDecoder, "feed", lambda decoder, ids: np.tile(logits, (len(ids), 1)))
    *_, ids = family.sample(SampleRequest(20, sampling=TransformerSampling(max_tokens=30)), 0)
    texts = [b"".join(spellings[token] for token in row if token != 8) for row in ids.tolist()]
    assert all(text.strip() for text in texts) and any(text != text.strip() for text in texts)


def test_a_decoder_goes_on_with_some_of_its_sequences() -> None:
    net = make_family(DOCUMENTS, False).net
    ids = np.random.default_rng(0).integers(0, 8, (5, 7))
    for decoder_class in (CachedDecoder, NumpyDecoder):
        with torch.inference_mode():
            decoder, alone = decoder_class(net, 5), decoder_class(net, 2)
            decoder.feed(ids[:, :4])
            decoder.keep(np.array([1, 4]))
            alone.feed(ids[[1, 4], :4])
            for place in range(4, 7):
                next_ids = ids[[1, 4], place : place + 1]
                assert np.allclose(decoder.feed(next_ids), alone.feed(next_ids), atol=1e-5)


@pytest.mark.parametrize("max_tokens", [1, 5])
@pytest.mark.parametrize("spec", [DOCUMENTS, Tokens(vocab=9, length=12), Tokens(vocab=9, length=12, opening=(2, 2))])
@pytest.mark.parametrize("prompt", [[3, 1, 4], [4]])
def test_the_end_of_a_prompt_is_drawn_again_as_one_of_its_sequences(
    spec: Tokens, prompt: list[int], max_tokens: int
) -> None:
    family = make_family(spec, True)
    ending = PromptEnding((4,), ((4,), (5, 6), (5, 7), (2,)))
    condition = Condition(torch.tensor(prompt), ending=ending)
    request = SampleRequest(40, condition=condition, sampling=TransformerSampling(max_tokens=max_tokens))
    drafts = list(family.sample(request, 0))
    num_kept = len(prompt) - 1
    rows = drafts[0].numpy()
    assert (rows[:, :num_kept] == prompt[:num_kept]).all()
    drawn = {next(s for s in ending.sequences if tuple(row[num_kept:])[: len(s)] == s) for row in rows.tolist()}
    assert len(drawn) > 2
    assert condition.num_kept == num_kept
    for row in drafts[-1].tolist():
        num_known = num_kept + ending.num_known(row[num_kept:])
        num_new = sum(token not in (spec.special.get("end"), sampler.NO_TOKEN) for token in row[num_known:])
        assert num_new == max_tokens or (num_new < max_tokens and "end" in spec.special)


@pytest.mark.parametrize("is_counted", [False, True])
def test_without_max_tokens_a_record_is_hardly_longer_than_those_of_the_data(is_counted: bool) -> None:
    family = make_family(Tokens(vocab=9, length=12, special={"begin": 0, "end": 8}, packed=False), is_counted)
    ending = PromptEnding((4,), ((4,), (5, 6, 7), (5, 1, 3)))
    # The second prompt leaves no room: one new token follows the longest of its ways to go on
    for prompt, longest in (([0, 3, 4], 13), ([0, *[3] * 11, 4], 15)):
        condition = Condition(torch.tensor(prompt), ending=ending)
        *_, last = family.sample(SampleRequest(20, condition=condition, sampling=TransformerSampling()), 0)
        assert last.shape[1] <= longest
