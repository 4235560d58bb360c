"""Programs: each file a document, sub-words that keep indentation whole, and gaps that are filled in.

A share of the training windows is shown out of order, as prefix, suffix, middle (Bavarian et al., arXiv 2207.14255), so that
a middle can be asked for; nothing of it is counted in the bits of a text.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from anew.core import files
from anew.core.random import splitmix64
from anew.core.settings import knob
from anew.core.specs import Batch, Spec, Tokens
from anew.data.file_names import suffix_of
from anew.data.formats import tokenizer
from anew.data.formats.text_encoding import plain
from anew.data.modalities.text import PLAIN, Text
from anew.data.types import Artifact, Item, Size
from anew.errors import ConfigError

_SUFFIXES = (
    "py pyi c h cc cpp hpp cxx java js mjs jsx ts tsx go rs rb php pl pm lua r jl m swift kt kts scala clj ex exs erl hs ml"
    " mli fs cs vb sh bash zsh fish ps1 bat sql html htm css scss xml yaml yml toml ini cfg json lisp el scm vim asm s f90 f"
    " pas dart nim zig v sv vhd cmake"
)
FIM = ("fim_prefix", "fim_suffix", "fim_middle")


@dataclass(frozen=True, slots=True)
class CodeConfig:
    """How programs become tokens."""

    tokens: str = knob("auto", "what one token is", choices=("auto", "characters", "bpe"))
    vocab: int = knob(
        0, "size of the sub-word vocabulary; 0 follows the amount of code", low=0, high=tokenizer.MOST_IDS
    )
    context: int = knob(
        0, "tokens that the model sees at once; 0 follows budget and data", unit="tokens", low=0, high=8192
    )
    fim: float = knob(
        0.1, "share of training windows with a middle to fill in; 0: gaps cannot be filled", low=0.0, high=0.9
    )
    layout: str = knob("document", "files are documents", choices=("document",))


class Code(Text):
    """Characters count as in the original. Samples are files of the commonest ending of the training files."""

    name = "code"
    suffixes = frozenset(f".{name}" for name in _SUFFIXES.split())
    Config: ClassVar[type] = CodeConfig
    sampling: ClassVar[Mapping[str, Any]] = {"min_p": 0.05}  # one symbol out of place, and a function does not parse
    words: ClassVar[str] = tokenizer.INDENTED
    names: ClassVar[Mapping[str, str]] = {**Text.names, **{name: f"<|{name}|>" for name in FIM}}

    def __init__(self, config: Any) -> None:
        super().__init__(config)
        self.suffix = ".py"

    @classmethod
    def claims(cls, head: bytes) -> float:
        return (
            0.5 if head.startswith((b"#!", b"<?php", b"<?xml", b"<!DOCTYPE", b"<!doctype")) else PLAIN / 2 * plain(head)
        )

    def survey(self, sample: Sequence[Item]) -> list[str]:
        found = Counter(ending for item in sample if (ending := suffix_of(item.name)) in self.suffixes)
        self.suffix = found.most_common(1)[0][0] if found else self.suffix
        if len(found) < 2:
            return []
        said = ", ".join(f"{n} {ending}" for ending, n in found.most_common(6))
        return [f"programs in several languages ({said} of those looked at); samples are written as {self.suffix}"]

    def fit(self, items: Iterable[Item], size: Size, labels: Sequence[str]) -> Spec:
        spec: Spec = super().fit(items, size, labels)
        return spec

    def _set_spec(self, length: int, many: bool) -> None:
        super()._set_spec(length, True)  # a gap ends where a file does
        spec, special = self.spec, dict(self.spec.special)
        special |= {name: spec.vocab + i for i, name in enumerate(FIM)}
        self._widths = np.append(self._widths, np.zeros(len(FIM), dtype=np.float32))
        self.spec = Tokens(spec.vocab + len(FIM), length, special, packed=True)

    # ---- gaps ----

    def trained(self, batch: Batch, numbers: NDArray[np.uint64]) -> Batch:
        """Some windows as prefix, suffix, middle, end; those that hold parts of several files stay as they are."""
        import torch

        x = batch.x.numpy()
        chance = np.stack([splitmix64(numbers + np.uint64(i)) for i in range(3)]) / 2.0**64  # (3, B)
        end, length = self.spec.special["end"], x.shape[1] - len(FIM) - 1
        chosen = np.flatnonzero((chance[0] < self.config.fim) & ~(x[:, :length] == end).any(1))
        if length < 8 or not len(chosen):
            return batch
        out = x.copy()
        for at in chosen.tolist():
            start, stop = sorted(int(c * (length + 1)) for c in chance[1:, at])
            out[at] = self._gap(x[at, :start], x[at, stop:length], x[at, start:stop], [end])
        return replace(batch, x=torch.from_numpy(out))

    def _gap(self, *parts: Any) -> NDArray[np.int64]:
        """Prefix, suffix, middle and what follows it, each behind its token."""
        marks = [self.spec.special[name] for name in FIM]
        pieces = [piece for mark, part in zip(marks, parts, strict=False) for piece in ([mark], part)]
        return np.concatenate([*pieces, *parts[len(FIM) :]]).astype(np.int64)

    def condition_from_prompt(self, prompt: str, suffix: str = "") -> Any:
        """Ids of a beginning; with a suffix those of a gap. What does not fit in the window stands before the gap's tokens:
        the start of the prefix, a suffix token, and the end of the suffix."""
        import torch

        if not suffix:
            return super().condition_from_prompt(prompt)
        if not self.config.fim:
            raise ConfigError("this run was trained with fim=0 and fills no gaps; leave `suffix` out")
        before, after = self.book.encode(prompt), self.book.encode(suffix)
        room = max(self.spec.length // 2, 8)
        keep = (max(room // 2, room - len(after)), max(room // 2, room - len(before)))
        cut = max(len(before) - keep[0], 0)
        far = [before[:cut], [self.spec.special[FIM[1]]], after[keep[1] :]]
        return torch.from_numpy(np.concatenate([*far, self._gap(before[cut:], after[: keep[1]], [])]).astype(np.int64))

    def _decode_one(self, row: Sequence[int]) -> str:
        marks = [self.spec.special[name] for name in FIM]
        if marks[0] not in row or marks[2] not in row:
            return super()._decode_one([i for i in row if i not in marks])
        return self._text([i for part in self._filled(row) for i in part])

    def _text(self, ids: Sequence[int]) -> str:
        return self.book.decode([i for i in ids if 0 <= i < self.book.size])

    def _ended(self, row: Sequence[int], given: Sequence[int], stop: str) -> str | None:
        """What stands behind a gap stays, and no `stop` is looked for in it."""
        if self.spec.special[FIM[0]] not in given:
            return super()._ended(row, given, stop)
        before, inside, after = self._filled(row)
        text = self._text([*before, *inside, *after])
        high = len(text) - len(self._text(after))
        at = text.find(stop, len(self._text(before)), high)
        return None if at < 0 else text[:at] + text[high:]

    def _filled(self, row: Sequence[int]) -> tuple[list[int], list[int], list[int]]:
        """What stands before a gap, in it, and after it."""
        prefix, suffix, middle = (self.spec.special[name] for name in FIM)
        place = row.index(prefix)
        far, gap = row[:place], row[place + 1 :]
        first, last = _cut(far, suffix)
        known, inside = _cut(gap, middle)
        before, after = _cut(known, suffix)
        end = self.spec.special["end"]
        inside = inside[: inside.index(end)] if end in inside else inside
        return [*first, *before], inside, [*after, *last]

    def save_item(self, item: str) -> Artifact:
        return Artifact(self.suffix, item.encode("utf-8", "replace"), item)

    # ---- keeping ----

    def state(self) -> dict[str, Any]:
        return super().state() | {"suffix": self.suffix}

    def restore(self, state: dict[str, Any], folder: Path) -> None:
        self.suffix = state["suffix"]
        if not isinstance(self.suffix, str) or not re.fullmatch(files.SUFFIX, self.suffix):
            raise ValueError(f"suffix must be the ending of a file, like .py (got {self.suffix!r:.40})")
        super().restore(state, folder)


def _cut(row: Sequence[int], mark: int) -> tuple[list[int], list[int]]:
    """What stands before and after the first `mark`."""
    place = list(row).index(mark) if mark in row else len(row)
    return list(row[:place]), list(row[place + 1 :])


EXPORT = Code
