"""Samples of lists whose records are JSON parse, and one that does not is drawn again."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from anew.core.arrays import Ints
from anew.core.grammars.record_languages import RECORD_LANGUAGES
from anew.core.specs import Batch, SampleRequest, Tokens
from anew.families.transformer.config import TransformerConfig, TransformerSampling
from anew.families.transformer.drawing.record_syntax import RecordSyntax
from anew.families.transformer.family import Transformer

JSON = RECORD_LANGUAGES[0]
LETTERS = "[]12,</a>"
BEGIN, END, PAD = len(LETTERS), len(LETTERS) + 1, len(LETTERS) + 2
SPELLINGS = (*(letter.encode() for letter in LETTERS), b"\0", b"\0", b"\0")
SPECIAL = {"begin": BEGIN, "end": END, "pad": PAD}


def ids(text: str) -> list[int]:
    return [LETTERS.index(letter) for letter in text]


def spelt(tokens: Ints) -> str:
    return "".join(LETTERS[token] for token in tokens.tolist() if token < BEGIN)


def arrays(n: int) -> list[str]:
    """Arrays of numbers and of arrays, which few letters before do not tell from each other."""
    rng = np.random.default_rng(0)
    numbers = [",".join(rng.choice(["1", "2", "11"], rng.integers(1, 4))) for _ in range(n)]
    return [f"[{text}]" if number % 3 else f"[[{text}],2]" for number, text in enumerate(numbers)]


def records(lines: list[str]) -> list[Ints]:
    return [np.array([BEGIN, *ids(line), END]) for line in lines]


def fitted(lines: list[str]) -> RecordSyntax:
    syntax = RecordSyntax(SPELLINGS, SPECIAL)
    syntax.fit(records(lines))
    return syntax


@pytest.fixture(scope="module")
def family() -> Transformer:
    config = TransformerConfig(layers=1, width=16, heads=2, mlp_size=24, ngram_order=3, precision="fp32", ngrams=True)
    torch.manual_seed(0)
    family = Transformer(Tokens(len(SPELLINGS), 20, SPECIAL, packed=False, spellings=SPELLINGS), config).eval()
    batches = [Batch(torch.from_numpy(record)[None]) for record in records(arrays(300))]
    family.fit_closed_form(batches)
    return family


def drawn(family: Transformer, n: int = 60, **sampling: object) -> list[str]:
    settings = TransformerSampling(avoid_known=False, **sampling)  # type: ignore[arg-type]
    *_, rows = family.sample(SampleRequest(n, sampling=settings), 0)
    return [spelt(row) for row in rows.numpy()]


def test_samples_parse_and_those_that_did_stay(family: Transformer) -> None:
    free, samples = drawn(family, match_error_rates=False), drawn(family)
    num_free, num_parsing = (sum(map(JSON.is_whole, texts)) for texts in (free, samples))
    assert 10 < num_free < 45 and num_parsing > 55, (num_free, num_parsing)
    assert all(after == before for before, after in zip(free, samples, strict=True) if JSON.is_whole(before))


def test_records_that_are_cut_parse_as_far_as_they_go(family: Transformer) -> None:
    free, samples = drawn(family, max_tokens=6, match_error_rates=False), drawn(family, max_tokens=6)
    assert np.mean(list(map(JSON.can_go_on, samples))) > 0.95 > np.mean(list(map(JSON.can_go_on, free)))


@pytest.mark.parametrize(("prompt", "is_asked"), [("", True), ("[1,", True), ("[1]]", False), ("a", False)])
def test_prompts_with_which_no_record_begins_are_gone_on_with(prompt: str, is_asked: bool) -> None:
    row = np.array([[*ids(prompt), *ids("]]"), END, PAD]])
    assert fitted(arrays(50)).are_broken(row, np.array([ids(prompt)], dtype=np.int64)).tolist() == [is_asked]


def test_other_records_are_not_asked() -> None:
    for lines in (["a"] * 20, ["12"] * 20, [*arrays(50), "["]):
        syntax = fitted(lines)
        assert not syntax.is_fitted and not syntax.left_out
        syntax.check()
    assert "JSON" in fitted(arrays(50)).left_out[0] and "XML" in fitted(["<a/>"] * 20).left_out[0]


@pytest.mark.parametrize("stored", [[9], [0, 0]])
def test_an_inconsistent_language_is_refused(stored: list[int]) -> None:
    syntax = fitted(arrays(50))
    syntax.check()
    syntax.set_buffers({"language": np.array(stored, dtype=np.uint8)})
    with pytest.raises(ValueError, match="inconsistent"):
        syntax.check()
