"""How often errors are accepted, as it is fitted to documents and samples, and what is drawn then."""

from __future__ import annotations

from itertools import islice
from typing import Any

import numpy as np
import pytest
import torch

from anew.core.specs import Batch, Condition, SampleRequest, Tokens
from anew.data.loading.rows import PackedExamples
from anew.data.modality import Modality
from anew.estimators.context_mixing.error_rates import NEW_BEGINNING, UNOPENED
from anew.families.transformer.config import TransformerConfig, TransformerSampling
from anew.families.transformer.drawing import error_calibration
from anew.families.transformer.drawing.own_passage_limit import OddsFit
from anew.families.transformer.drawing.sampler import TokenSampler
from anew.families.transformer.family import Transformer

LETTERS = "\0ab() "
END = LETTERS.index("\0")
TEXT = Tokens(vocab=6, length=16, special={"end": END}, spellings=tuple(letter.encode() for letter in LETTERS))
SMALL = {"layers": 1, "width": 16, "heads": 2, "mlp_size": 24, "precision": "fp32", "ngrams": False, "contexts": True}


def ids(text: str) -> np.ndarray:
    return np.array([LETTERS.index(letter) for letter in text], dtype=np.uint16)


class Plain:
    """Makes batches of packed text."""

    spec = TEXT

    def batch(self, rows: np.ndarray, labels: None, lengths: None) -> Batch:
        return Batch(torch.from_numpy(rows.astype(np.int64)))

    def widths(self) -> None:
        return None


def documents(text: str, limit: int = 8192) -> list[Batch]:
    examples = PackedExamples(ids(text), TEXT.length, np.ones(TEXT.vocab), END, np.zeros(0, dtype=np.int64))
    modality: Modality = Plain()  # type: ignore[assignment]
    return list(examples.documents(modality, limit))


def plain(n: int, seed: int) -> SampleRequest:
    return SampleRequest(n)


def calibrate(family: Transformer, text: str, updates: int = 20) -> None:
    """Calibrate drawing by documents, and stop after so many updates."""
    enough = updates * error_calibration.TOKENS_BETWEEN
    for num_drawn in family.calibrate_drawing(documents(text), plain):
        if num_drawn >= enough:  # type: ignore[operator]
            return


@pytest.fixture
def family() -> Transformer:
    """A family that has seen each `ab` in brackets."""
    torch.manual_seed(0)
    family = Transformer(TEXT, TransformerConfig(**SMALL))  # type: ignore[arg-type]
    family.fit_closed_form([Batch(torch.from_numpy(ids("(ab) (ab) \0" * 60).astype(np.int64))[None])])
    return family.eval()


def test_documents_are_read_from_their_beginnings_and_spread_over_all() -> None:
    text = "".join(letter * 2500 + "\0" for letter in "ab() ")
    batches = documents(text, limit=4000)
    assert [len(batch.x.unique()) for batch in batches] == [2] * len(batches) and len(batches) == 4
    assert [int(batch.x[0, 0]) for batch in batches] == [END] * 4
    assert sum(int(batch.mask.sum()) for batch in batches if batch.mask is not None) == 4000
    single = documents("ab" * 3000 + "\0", limit=4000)[0]
    assert single.mask is not None and int(single.mask.sum()) == 4000 and single.continues is not None
    assert single.continues.tolist() == [False, *[True] * (len(single) - 1)]


def test_windows_from_the_middle_of_documents_say_nothing_of_closing_brackets(family: Transformer) -> None:
    windows = torch.from_numpy(ids("ab) (ab) " * 200).astype(np.int64)).unfold(0, 17, 9)
    family.calibrate([Batch(windows)])
    assert family.contexts.accepted_errors is None
    calibrate(family, "ab ab ab ab ab ab\0" * 20)
    accepted = family.contexts.accepted_errors
    assert accepted is not None and accepted[UNOPENED] < 0.1


@pytest.mark.parametrize("cut", [{}, {"min_p": 0.05}, {"top_k": 4}])
def test_samples_have_errors_as_rarely_as_documents_and_do_not_depend_on_each_other(
    family: Transformer, cut: dict[str, float]
) -> None:
    calibrate(family, "ab ab ab ab ab ab\0" * 20)

    def samples(n: int, first: int = 0, matches: bool = True) -> list[str]:
        sampling = TransformerSampling(max_tokens=40, match_error_rates=matches, **cut)  # type: ignore[arg-type]
        prompt = Condition(torch.from_numpy(ids("ab ab").astype(np.int64)))
        request = SampleRequest(n, condition=prompt, sampling=sampling, first_index=first)
        drawn = list(family.sample(request, 3))[-1]
        return ["".join(LETTERS[int(token)] for token in sample).rstrip("\0") for sample in drawn]

    def unopened(texts: list[str]) -> int:
        depths = [np.cumsum([(letter == "(") - (letter == ")") for letter in text]) for text in texts]
        return sum(int((depth < 0).any()) for depth in depths)

    together = samples(12)
    assert together[7] == samples(1, first=7)[0]
    assert unopened(together) <= 2 < 4 <= unopened(samples(12, matches=False))


def test_kinds_that_are_not_drawn_too_often_are_accepted(family: Transformer) -> None:
    calibrate(family, "ab ba ab\0" * 100)
    accepted = family.contexts.accepted_errors
    assert accepted is not None and accepted[UNOPENED] < 0.5 and accepted[NEW_BEGINNING] == 1.0


def test_no_more_tokens_are_drawn_than_allowed(family: Transformer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(error_calibration, "MAX_TOKENS", 4 * error_calibration.TOKENS_BETWEEN)
    *_, num_drawn = family.calibrate_drawing(documents("ab ab ab ab ab ab\0" * 20), plain)
    assert 0 <= num_drawn - error_calibration.MAX_TOKENS < error_calibration.DOCUMENTS_AT_ONCE


def test_the_caller_may_stop_after_each_token_and_then_what_follows_the_last_update_counts_for_nothing(
    family: Transformer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It could stop only between updates, each of which took seconds on busy cores."""
    updates: list[int] = []
    monkeypatch.setattr(OddsFit, "update", lambda fit: updates.append(fit.num_tokens))
    steps = family.calibrate_drawing(documents("ab ab ab ab ab ab\0" * 20), plain)
    between = error_calibration.TOKENS_BETWEEN
    num_drawn = list(islice(steps, 2 * between // error_calibration.DOCUMENTS_AT_ONCE - 1))
    assert max(np.diff(num_drawn)) <= error_calibration.DOCUMENTS_AT_ONCE and num_drawn[-1] < 2 * between
    assert len(updates) == 1 and between <= updates[0] < between + error_calibration.DOCUMENTS_AT_ONCE


def test_what_is_drawn_has_the_classes_and_the_settings_of_samples(monkeypatch: pytest.MonkeyPatch) -> None:
    spec = Tokens(vocab=6, length=16, special={"begin": 4, "end": 5, "pad": 5}, classes=3, packed=False)
    family = Transformer(spec, TransformerConfig(layers=1, width=16, heads=2, mlp_size=24, precision="fp32")).eval()  # type: ignore[arg-type]
    rows = torch.randint(0, 4, (40, 12), generator=torch.Generator().manual_seed(0))
    rows[:, 0], rows[:, -1] = 4, 5
    family.fit_closed_form([Batch(rows, labels=torch.arange(40) % 3)])
    drawn: list[TokenSampler] = []

    class Recorded(TokenSampler):
        def __init__(self, *arguments: Any) -> None:
            super().__init__(*arguments)
            drawn.append(self)

    monkeypatch.setattr(error_calibration, "TokenSampler", Recorded)

    def request_of(n: int, seed: int) -> SampleRequest:
        return SampleRequest(n, torch.arange(n) % 3, sampling=TransformerSampling(min_p=0.05))

    list(islice(family.calibrate_drawing([], request_of), 3))
    assert drawn and {sampler.sampling.min_p for sampler in drawn} == {0.05}
    assert sorted({int(label) for sampler in drawn for label in sampler.request.labels}) == [0, 1, 2]  # type: ignore[union-attr]
    with pytest.raises(ValueError, match="each sample needs one"):
        list(islice(family.calibrate_drawing([], plain), 1))
