"""Samples of byte-level tokens are valid UTF-8, whatever the network would draw."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from anew.core.specs import Batch, Condition, SampleRequest, Tokens
from anew.families.transformer.config import TransformerConfig, TransformerSampling
from anew.families.transformer.drawing.whole_characters import INVALID, WholeCharacters, whole_characters
from anew.families.transformer.family import Transformer

TEXT = "a\x7f\x80\u07ff\u0800\ud7ff\ue000\uffff\U00010000\U000fffff\U0010ffff日本é"
PIECES = ["日".encode(), "日".encode()[1:], "日".encode()[:2], "é日".encode()[1:4], "日本".encode()[2:], b"ab"]
SPELLINGS = (*(bytes([byte]) for byte in range(256)), *PIECES, b"\0")
SMALL = {"layers": 1, "width": 16, "heads": 1, "mlp_size": 24, "ngram_order": 2, "precision": "fp32"}


def none_rare() -> WholeCharacters:
    return WholeCharacters(SPELLINGS, np.zeros(len(SPELLINGS), dtype=bool))


def test_exactly_the_bytes_of_valid_text_may_come() -> None:
    table = none_rare()
    state = np.zeros(1, dtype=np.int64)
    for byte in TEXT.encode():
        assert table.next_state[state[0], byte] != INVALID
        state = table.after(state, np.array([byte]))
    assert state[0] == 0
    rng = np.random.default_rng(0)
    for _ in range(4000):  # short rows of the bytes at the bounds of what may come
        row = bytes(rng.choice([0x41, 0x80, 0x8F, 0x90, 0x9F, 0xA0, 0xBF, 0xC1, 0xC2, 0xE0, 0xED, 0xF0, 0xF4, 0xF5], 4))
        path = 0
        for byte in row:
            path = path if path == INVALID else int(table.next_state[path, byte])
        try:
            row.decode()
            assert path == 0
        except UnicodeDecodeError:
            assert path != 0


def test_the_last_tokens_end_the_character() -> None:
    table = none_rare()
    first = np.zeros(1, dtype=np.int64)
    begins_long = 0xF1
    may_begin = [bool(table.allowed(first, np.array([num_after]))[0, begins_long]) for num_after in range(4)]
    assert may_begin == [False, False, True, True]
    assert table.tokens_to_end[3] == 2  # by a token of two bytes and one more


def test_a_prompt_that_only_unseen_bytes_could_complete_is_left_as_it_is() -> None:
    is_continuation = np.array([0x80 <= spelling[0] <= 0xBF for spelling in SPELLINGS])
    table = WholeCharacters(SPELLINGS, is_continuation)
    assert table.after_prompt(np.array([[0x61, 0xF0], [0x61, 0x62]])).tolist() == [0, 0]
    assert table.allowed(np.zeros(1, dtype=np.int64), np.array([3])).any()


def test_without_parts_of_characters_nothing_is_limited() -> None:
    assert whole_characters(("é".encode(), b"a", b"\0"), ()) is None
    assert whole_characters((), ()) is None


@pytest.mark.parametrize("counted", [False, True])
@pytest.mark.parametrize("temperature", [1.0, 5.0])
def test_samples_are_valid(counted: bool, temperature: float) -> None:
    special = {"end": len(SPELLINGS) - 1, "rare": 250}
    spec = Tokens(len(SPELLINGS), 16, special, spellings=SPELLINGS)
    assert spec.rare_ids == range(250, len(SPELLINGS) - 1)
    torch.manual_seed(0)
    family = Transformer(spec, TransformerConfig(**SMALL)).eval()  # type: ignore[arg-type]
    for parameter in family.parameters():
        torch.nn.init.normal_(parameter, std=1.0)
    if counted:
        family.fit_closed_form([Batch(torch.randint(0, 250, (1, 400)))])
    for prompt in (None, [0x61, 0xF0, 0x9F]):  # a prompt that ends within a character
        condition = None if prompt is None else Condition(torch.tensor(prompt))
        sampling = TransformerSampling(temperature=temperature, max_tokens=11)
        *_, draft = family.sample(SampleRequest(64, condition=condition, sampling=sampling), 0)
        texts = [b"".join(SPELLINGS[token] for token in row).decode() for row in draft.tolist()]
        assert any(not text.isascii() for text in texts)
