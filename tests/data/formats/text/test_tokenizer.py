"""Ids give the text back, whatever it is, and count its characters."""

from __future__ import annotations

import json
import random
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from anew.data.formats.text import tokenizer
from anew.data.formats.text.tokenizer import Characters, SubWords, TextTokenizer, clean, restore_tokenizer
from anew.data.formats.text.word_rules import sub_word_rule
from anew.errors import DataError, RunError

SAMPLE = (
    "The quick brown fox jumps over the lazy dog.\n\tfor i in range(10): print(i)\n" * 40 + "naïve café — 東京 🎉\n"
)
WORDS = SubWords.fit([SAMPLE], 300)
TOKENIZERS: list[TextTokenizer] = [Characters.fit([SAMPLE[:2000]]), WORDS]
ANY = st.text(st.characters(exclude_categories=["Cs", "Cn"]), max_size=60) | st.text(
    "the fox\n\t <|end|>0123é東", max_size=60
)


@pytest.mark.parametrize("tokenizer", TOKENIZERS, ids=lambda b: b.vocabulary_type)
@given(text=ANY)
@settings(max_examples=150, deadline=None)
def test_round_trip_and_character_count(tokenizer: TextTokenizer, text: str) -> None:
    ids = tokenizer.encode(text)
    assert ids.dtype == np.uint16 and (not len(ids) or int(ids.max()) < tokenizer.size)
    assert tokenizer.decode(ids.tolist()) == text
    assert tokenizer.widths()[ids].sum() == len(text)


LETTERS = st.text(
    st.sampled_from("aZ'sdtmrevl ’é東0¾²\t\n\r\u00a0\u2003\x85\x1c_-—😀\U00020000\U0001d7d9"), max_size=40
)


@given(text=ANY | LETTERS)
@settings(max_examples=300, deadline=None)
def test_words_are_those_of_gpt_2(text: str) -> None:
    from tokenizers import pre_tokenizers

    theirs = [text[slice(*span)] for _, span in pre_tokenizers.ByteLevel(False).pre_tokenize_str(text)]
    assert re.findall(sub_word_rule(with_marks=False), text) == theirs
    if all(ord(letter) <= 0xFFFF for letter in text):
        assert re.findall(sub_word_rule(with_marks=False, last_point=0xFFFF), text) == theirs


def test_sub_words_keep_the_marks_on_letters(tmp_path: Path) -> None:
    """They were cut at each vowel sign, so that a piece had one letter or two, and signs came without their letters."""
    text = "दस्तावेज़ों का प्रबंधन करें।\n" * 40
    tokens = SubWords.fit([text], 300)
    assert tokens.decode(tokens.encode(text).tolist()) == text
    assert len(tokens.encode("दस्तावेज़ों")) == 1
    tokens.tokenizer(["<|end|>"]).save(str(tmp_path / "tokenizer.json"))
    assert (
        restore_tokenizer(tokens.state(), tmp_path, ["<|end|>"]).encode(text).tolist() == tokens.encode(text).tolist()
    )


def test_text_without_marks_has_the_rule_that_llama_cpp_has() -> None:
    assert tokenizer.word_pattern(WORDS.json) == sub_word_rule(with_marks=False)


@pytest.mark.parametrize("tokens", [Characters.fit([SAMPLE]), WORDS], ids=lambda tokens: tokens.vocabulary_type)
def test_characters_that_the_training_text_lacks_are_known(tokens: TextTokenizer) -> None:
    assert tokenizer.absent_characters(tokens, "the Ω of\u2003Ω λ and é") == "Ωλ"
    assert tokenizer.absent_characters(tokens, "東京 quick") == ""
    tokens_of_all = Characters.fit([SAMPLE], max_characters=10)  # which others occur is not kept
    assert tokenizer.absent_characters(tokens_of_all, "Ω") == ""


def test_any_word_is_encoded_also_where_it_is_too_long_to_be_kept() -> None:
    tokenizer = SubWords.fit([SAMPLE], 300)
    text = "東京" * 2000 + " " + "x" * 100
    assert tokenizer.decode(tokenizer.encode(text).tolist()) == text and not any(
        len(word) > 64 for word in tokenizer._words
    )


@pytest.mark.parametrize("tokenizer", TOKENIZERS, ids=lambda b: b.vocabulary_type)
def test_any_ids_decode_to_some_text(tokenizer: TextTokenizer) -> None:
    rng = random.Random(0)
    for _ in range(50):
        text = tokenizer.decode([rng.randrange(tokenizer.size) for _ in range(30)])
        assert isinstance(text, str)
        text.encode()  # no lone surrogates


def test_long_text_is_cut_where_ids_stay_the_same() -> None:
    tokenizer = SubWords.fit([SAMPLE], 300)
    text = SAMPLE * 30
    whole = tokenizer._model.encode(text, add_special_tokens=False).ids
    assert tokenizer.encode(text).tolist() == whole


@pytest.mark.parametrize("tokenizer", TOKENIZERS, ids=lambda b: b.vocabulary_type)
def test_saved_tokenizer_is_the_same(tokenizer: TextTokenizer, tmp_path: Path) -> None:
    from transformers import PreTrainedTokenizerFast

    tokenizer.tokenizer(["<|end|>"]).save(str(tmp_path / "tokenizer.json"))
    again = restore_tokenizer(tokenizer.state(), tmp_path, ["<|end|>"])
    assert again.encode(SAMPLE).tolist() == tokenizer.encode(SAMPLE).tolist()
    stock = PreTrainedTokenizerFast(tokenizer_file=str(tmp_path / "tokenizer.json"))
    assert stock.encode(SAMPLE[:500], add_special_tokens=False) == tokenizer.encode(SAMPLE[:500]).tolist()
    assert stock.convert_tokens_to_ids("<|end|>") == tokenizer.size


def test_bytes_that_do_not_occur_are_a_block_at_the_end(tmp_path: Path) -> None:
    plain = SAMPLE[:3000]
    ascii_only = SubWords.fit([plain], 300)
    assert ascii_only.rare is not None
    block = ascii_only.pieces[ascii_only.rare :]
    assert sorted(block) == sorted(bytes([byte]) for byte in set(range(256)) - set(plain.encode()))
    assert not set(block) & set(ascii_only.pieces[: ascii_only.rare])
    assert max(ascii_only.encode(plain)) < ascii_only.rare
    assert ascii_only.decode(ascii_only.encode("né 東 🎉").tolist()) == "né 東 🎉"  # coded like any other
    assert {bytes([byte]) for byte in "é".encode()}.isdisjoint(
        (seen := SubWords.fit([plain], 300, [plain, "é"])).pieces[seen.rare :]  # texts beyond the sample count
    )
    ascii_only.tokenizer([]).save(str(tmp_path / "tokenizer.json"))
    assert restore_tokenizer(ascii_only.state(), tmp_path, []).rare == ascii_only.rare
    older = {name: value for name, value in ascii_only.state().items() if name != "rare"}
    assert restore_tokenizer(older, tmp_path, []).rare is None
    for rare in (-1, 3, True, "300", ascii_only.size):
        with pytest.raises(DataError, match="bytes that do not occur cannot begin at"):
            restore_tokenizer({**older, "rare": rare}, tmp_path, [])


def test_another_tokenizer_is_refused(tmp_path: Path) -> None:
    SubWords.fit([SAMPLE[::-1]], 290).tokenizer([]).save(str(tmp_path / "tokenizer.json"))
    with pytest.raises(DataError, match="is not the tokenizer"):
        restore_tokenizer(TOKENIZERS[1].state(), tmp_path, [])
    (tmp_path / "tokenizer.json").write_text("{")
    with pytest.raises(RunError, match="cannot be read"):
        restore_tokenizer(TOKENIZERS[1].state(), tmp_path, [])


def test_lone_surrogates_become_one_character() -> None:
    assert clean("a\ud800b") == "a\ufffdb"
    assert TOKENIZERS[1].decode(TOKENIZERS[1].encode("a\ud800b").tolist()) == "a\ufffdb"


def _set(path: str, value: object) -> Callable[[dict[str, Any]], None]:
    def change(data: dict[str, Any]) -> None:
        *outer, last = [int(key) if key.isdecimal() else key for key in path.split(".")]
        for key in outer:
            data = data[key]
        data[last] = value

    return change


PADDING = {"strategy": {"Fixed": 10**12}, "direction": "Right", "pad_id": 0, "pad_type_id": 0, "pad_token": "a"}
REGEX = "pre_tokenizer.pretokenizers.0.pattern.Regex"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (_set("padding", PADDING), "padding"),
        (_set("truncation", {"max_length": 1, "strategy": "LongestFirst", "stride": 5, "direction": "Right"}), "trunc"),
        (_set("normalizer", {"type": "Precompiled", "precompiled_charsmap": "AAAA"}), "normalizer"),
        (_set("normalizer", {"type": "Replace", "pattern": {"String": "a"}, "content": "a" * 1000}), "normalizer"),
        (_set("model.continuing_subword_prefix", "\u00e9\u00e9"), "continuing_subword_prefix"),
        (_set("model.vocab.a", 4 * 10**9), "vocab"),
        (_set(REGEX, "(a+)+$"), "Regex"),
        (_set(REGEX, "[a]+[a]+[a]+[a]+[a]+$"), "Regex"),
        (_set(REGEX, "[a]+(?![a-z])"), "Regex"),
    ],
)
def test_what_ours_never_hold_reaches_no_library(
    change: Callable[[dict[str, Any]], None], message: str, tmp_path: Path
) -> None:
    data = json.loads(WORDS.json)
    change(data)
    (tmp_path / "tokenizer.json").write_text(json.dumps(data))
    with pytest.raises(DataError, match=message):
        restore_tokenizer(WORDS.state(), tmp_path, [])


def test_a_rule_that_finds_nothing_gives_no_ids() -> None:
    data = json.loads(WORDS.json)
    _set(REGEX, "[a]+")(data)
    assert len(SubWords(json.dumps(data)).encode("bcd")) == 0


def test_a_short_text_waits_for_no_other_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    pauses: list[float] = []
    monkeypatch.setattr(tokenizer.time, "sleep", pauses.append)
    WORDS.encode("a short text")
    assert not pauses
    WORDS.encode("many words\n" * 100_000)
    assert pauses
