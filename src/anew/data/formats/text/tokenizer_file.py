"""Contents of tokenizer.json as Anew writes it, checked before the library `tokenizers` reads them.

The format can hold much more: normalizers, padding, templates, any regular expression. With these a file of a few bytes
crashes the library, fills the memory, or takes years to match. Anew writes none of them, so all are refused.
"""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import Field, StringConstraints, model_validator

from anew.core.schema import Record, Whole

MAX_IDS = 65_000  # ids are stored in 16 bits, a few are left for special tokens
_INSIDE = r"(?:\\.|[^\[\]\\])+"
_SET = re.compile(rf"\[\^?{_INSIDE}\]", re.DOTALL)
# All characters of a run of spaces but its last
_NOT_BEFORE_OTHERS = re.compile(rf"\[({_INSIDE})\]\+\(\?!\[\^\1\]\)", re.DOTALL)
_BRANCH = re.compile(r"(?: \?)?S(?:\+|S\*)?|(?: \?)?S\{1,\d{1,2}\}(?:\(\?!S\))?|'\(\?:S/re/ve/ll\)|\\n\{1,4\}S\{0,64\}")


def is_linear(rule: str) -> bool:
    """Whether a regular expression takes time in proportion to the text: all its branches are one set of characters, repeated
    or followed by a repeated one, with little around it."""
    shape = _SET.sub("S", _NOT_BEFORE_OTHERS.sub(r"[\1]+", rule)).replace("'(?:S|re|ve|ll)", "'(?:S/re/ve/ll)")
    return "S" not in _SET.sub("", rule) and all(_BRANCH.fullmatch(branch) for branch in shape.split("|"))


class _Pattern(Record):
    Regex: Annotated[str, StringConstraints(strict=True, max_length=2**16)]

    @model_validator(mode="after")
    def _is_rule(self) -> _Pattern:
        if not is_linear(self.Regex):
            raise ValueError("Regex is not one that Anew writes")
        return self


class _Split(Record):
    type: Literal["Split"]
    pattern: _Pattern
    behavior: Literal["Isolated"]
    invert: Literal[False]


class _Bytes(Record):
    type: Literal["ByteLevel"]
    add_prefix_space: Literal[False]
    trim_offsets: bool
    use_regex: Literal[False]


class _PreTokenizer(Record):
    type: Literal["Sequence"]
    pretokenizers: tuple[_Split, _Bytes]


class _ByteLevelDecoder(Record):
    type: Literal["ByteLevel"]
    add_prefix_space: bool
    trim_offsets: bool
    use_regex: bool


Piece = Annotated[str, StringConstraints(strict=True, min_length=1, max_length=2**16)]


class _BpeModel(Record):
    """vocab: the id of each piece. merges: pairs of pieces, as two strings or with a space between them."""

    type: Literal["BPE"]
    dropout: None = None
    unk_token: None = None
    continuing_subword_prefix: Literal["", None] = None
    end_of_word_suffix: Literal["", None] = None
    fuse_unk: Literal[False] = False
    byte_fallback: Literal[False] = False
    ignore_merges: Literal[False] = False
    vocab: Annotated[dict[Piece, Whole], Field(min_length=256, max_length=MAX_IDS)]
    merges: Annotated[list[Piece] | list[tuple[Piece, Piece]], Field(max_length=MAX_IDS)]

    @model_validator(mode="after")
    def _ids_are_dense(self) -> _BpeModel:
        if set(self.vocab.values()) != set(range(len(self.vocab))):
            raise ValueError("the ids of vocab must be 0, 1, 2 and so on")
        return self


class TokenizerFile(Record):
    """The whole file, without the special tokens, which the run's own settings name."""

    version: Literal["1.0"]
    truncation: None
    padding: None
    added_tokens: Annotated[list[object], Field(max_length=0)]
    normalizer: None
    pre_tokenizer: _PreTokenizer
    post_processor: None
    decoder: _ByteLevelDecoder
    model: _BpeModel
