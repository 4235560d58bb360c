"""Programs: each file is a document, and the model can learn to fill gaps in one.

To learn this, a share of the training windows is rearranged as prefix, suffix, middle (Bavarian et al., arXiv 2207.14255). The
likelihood of a text is always that of its tokens in their order.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, TypeAlias

import numpy as np
from numpy.typing import NDArray

from anew.core.encodings import AUTO, why_not_encoding
from anew.core.grammars.names import grammar_of_suffix
from anew.core.settings import setting
from anew.core.specs import GAP_MARKS, Batch
from anew.core.splitmix import splitmix64
from anew.core.wording import listed
from anew.data.file_names import PROGRAM_SUFFIXES
from anew.data.formats.file_bytes import with_line_feeds
from anew.data.formats.gzip_files import inflate_head
from anew.data.formats.text.suffix_classes import PLAIN_SUFFIX, checked_suffix, name_ending
from anew.data.formats.text.text_encoding import looks_like_text
from anew.data.formats.text.tokenizer_file import MAX_IDS
from anew.data.modalities.text import TEXT_CONFIDENCE, Text
from anew.data.types import DataBudget, Item
from anew.errors import ConfigError

if TYPE_CHECKING:
    from torch import Tensor

Ids: TypeAlias = Sequence[int] | NDArray[np.integer]

PAGES = (".html", ".htm", ".xhtml")
# Suffixes of pages, styles, settings and data
_OTHER_NAMES = "html htm xhtml css scss sass less xml xsl xslt yaml yml toml ini cfg json sql"
# The ending of samples if most files have none, by the program that their first line (`#!`) names
_INTERPRETED = {
    **dict.fromkeys(("sh", "bash", "dash", "ash", "ksh"), ".sh"),
    **{name: f".{name}" for name in ("zsh", "fish", "php", "lua", "tcl", "groovy", "raku")},
    "python": ".py",
    "perl": ".pl",
    "ruby": ".rb",
    "node": ".js",
    "rscript": ".r",
    **dict.fromkeys(("tclsh", "wish", "expect"), ".tcl"),
    **dict.fromkeys(("awk", "gawk", "mawk", "nawk"), ".awk"),
    "bb": ".clj",
    "clojure": ".clj",
    "elixir": ".exs",
    "escript": ".erl",
    "guile": ".scm",
    "julia": ".jl",
    "ocaml": ".ml",
    "pwsh": ".ps1",
    "racket": ".rkt",
    "runghc": ".hs",
    "runhaskell": ".hs",
    "scala": ".scala",
    "make": ".mk",
}
_FIRST_LINE_BYTES = 256  # longer than any path that the kernel takes in a `#!` line
# Kinds of file of one language, between which the forms of programs differ
_KINDS = (
    frozenset({".ml", ".mli"}),
    frozenset({".c", ".h"}),
    frozenset({".cc", ".cpp", ".cxx", ".h", ".hh", ".hpp", ".hxx"}),
    frozenset({".py", ".pyi"}),
    frozenset({".adb", ".ads"}),
    frozenset({".ts", ".tsx"}),
    frozenset({".js", ".mjs", ".cjs", ".jsx"}),
)
MIN_KIND_SHARE = 0.1  # samples are of the kinds of code whose suffix this share of the files has; chosen
MIN_GAP_WINDOW = 8  # least tokens of a window with a gap: shorter ones have no context to learn from


@dataclass(frozen=True, slots=True)
class CodeConfig:
    """Settings for turning programs into tokens."""

    tokens: str = setting("auto", "what one token is", choices=("auto", "characters", "bpe"))
    vocab: int = setting(0, "size of the sub-word vocabulary; 0: suited to the amount of code", low=0, high=MAX_IDS)
    context: int = setting(
        0, "context length in tokens; 0: suited to the budget and the data", unit="tokens", low=0, high=8192
    )
    fim: float = setting(
        0.1, "share of training windows with a middle to fill in; 0: gaps cannot be filled", low=0.0, high=0.9
    )
    labels: str = setting("auto", "learn classes, by the suffixes of files", choices=("auto", "off"))
    encoding: str = setting(
        AUTO, "encoding of files that are not UTF-8, such as koi8-r; auto: recognised", why_not=why_not_encoding
    )


class Code(Text):
    """Source code. Sample files have the most common suffix of the training files, see `_ending`.

    Attributes:
        kinds: The common suffixes of the training files, the commonest first.
    """

    name = "code"
    suffixes = PROGRAM_SUFFIXES | {f".{name}" for name in _OTHER_NAMES.split()}
    Config = CodeConfig
    traits = replace(
        Text.traits,
        singular="source file",
        default_sampling={"min_p": 0.05},  # a single wrong symbol keeps a function from parsing
    )
    only_lines = True
    special_names: ClassVar[Mapping[str, str]] = {**Text.special_names, **{name: f"<|{name}|>" for name in GAP_MARKS}}

    config: CodeConfig

    def __init__(self, config: CodeConfig, *, generated: bool = False) -> None:
        super().__init__(config, generated=generated)
        self.kinds: tuple[str, ...] = ()

    @classmethod
    def sniff(cls, head: bytes) -> float:
        if head.startswith((b"#!", b"<?php", b"<?xml", b"<!DOCTYPE", b"<!doctype", b"<svg")):
            return 0.5
        return TEXT_CONFIDENCE / 2 * looks_like_text(head)

    def inspect(self, sample: Sequence[Item], budget: DataBudget | None = None) -> list[str]:
        suffixes = Counter(map(self._ending, sample))
        if suffixes:
            self.suffix = suffixes.most_common(1)[0][0] or PLAIN_SUFFIX
        least = MIN_KIND_SHARE * suffixes.total()
        self.kinds = tuple(suffix for suffix, count in suffixes.most_common() if suffix and count >= least)
        class_notes, notes = self._inspect_suffixes(budget), []
        if 2 * sum(suffixes[suffix] for suffix in PAGES) > suffixes.total():
            notes.append(
                f"Pages are learned with their tags; to learn their text alone, convert {self.suffix} files to .txt files."
            )
        if len(suffixes) < 2:
            return notes
        counts = ", ".join(f"{count} {suffix or 'without an ending'}" for suffix, count in suffixes.most_common(6))
        are_of_one_language = any(set(suffixes) <= kinds for kinds in _KINDS)
        variety = f"{len(suffixes)} kinds of file" if are_of_one_language else "several languages"
        written = [] if budget is not None and budget.only_compared else [self._about_samples()]
        return [f"The source files are in {variety} ({counts} of those looked at).", *(class_notes or written), *notes]

    def _about_samples(self) -> str:
        """A sentence on the suffix of samples and, where files of several kinds are no classes, on how to learn one kind alone."""
        mixed = (
            f", but may mix {listed(self.kinds)}; to learn {self.suffix} files alone, train on a copy of the folder without "
            "the others"
        )
        return f"Samples are written as {self.suffix}{mixed if len(self.kinds) > 1 else ''}."

    def _ending(self, item: Item) -> str:
        """The suffix of a program's file; without one, that of the language that its `#!` line names, or ""."""
        suffix = name_ending(item.name)
        if suffix or not isinstance(item.data, bytes) or not item.begins:
            return suffix
        line = inflate_head(item.data)[:_FIRST_LINE_BYTES].partition(b"\n")[0].decode("utf-8", "replace")
        if not line.startswith("#!"):
            return ""
        programs = [word.rpartition("/")[2] for word in line[2:].split() if not word.startswith("-")]
        program = next((name for name in programs if name != "env"), "")
        return _INTERPRETED.get(program.lower().rstrip("0123456789."), "")

    def _set_spec(self, length: int, several_documents: bool) -> None:
        super()._set_spec(length, several_documents=True)  # so that there is an end token, which also ends a gap
        vocab = self.spec.vocab
        special = {**self.spec.special, **{name: vocab + index for index, name in enumerate(GAP_MARKS)}}
        self._widths = np.append(self._widths, np.zeros(len(GAP_MARKS), dtype=np.float32))
        spellings = (*self.spec.spellings, *[b"\0"] * len(GAP_MARKS))
        self.spec = replace(
            self.spec, vocab=vocab + len(GAP_MARKS), special=special, spellings=spellings, grammar=self.grammar
        )

    @property
    def grammar(self) -> str:
        """The name of the grammar of all kinds of file; "" if they have none, or several."""
        grammars = {grammar_of_suffix(suffix) for suffix in self.kinds or (self.suffix,)}
        return (grammars.pop() or "") if len(grammars) == 1 else ""

    # ---- gaps ----

    def augment(self, batch: Batch, numbers: NDArray[np.uint64]) -> Batch:
        """Rearrange some windows as prefix, suffix, middle, end; windows with parts of several files stay as they are."""
        import torch

        x = batch.x.numpy()  # (B, L+1)
        uniform = np.stack([splitmix64(numbers + np.uint64(i)) for i in range(3)]) / 2.0**64  # (3, B)
        end = self.spec.special["end"]
        length = x.shape[1] - len(GAP_MARKS) - 1  # tokens that are left beside those that mark the gap and its end
        in_one_file = ~(x[:, :length] == end).any(1)  # (B,)
        chosen = np.flatnonzero((uniform[0] < self.config.fim) & in_one_file)
        if length < MIN_GAP_WINDOW or not len(chosen):
            return batch
        augmented = x.copy()
        for row in chosen.tolist():
            start, stop = sorted(int(u * (length + 1)) for u in uniform[1:, row])
            prefix, middle, suffix = x[row, :start], x[row, start:stop], x[row, stop:length]
            augmented[row] = self._with_gap(prefix, suffix, middle, [end])
        return replace(batch, x=torch.from_numpy(augmented))

    def _with_gap(self, prefix: Ids, suffix: Ids, middle: Ids, ending: Sequence[int] = ()) -> NDArray[np.int64]:
        """Prefix, suffix and middle, each after its token, and what follows the middle."""
        prefix_token, suffix_token, middle_token = (self.spec.special[name] for name in GAP_MARKS)
        pieces = [[prefix_token], prefix, [suffix_token], suffix, [middle_token], middle, ending]
        return np.concatenate(pieces).astype(np.int64)

    @property
    def takes_suffix(self) -> bool:
        """Whether the model learned to fill gaps, so that a prompt may have a suffix."""
        return self.config.fim > 0

    def condition_from_prompt(self, prompt: str, suffix: str = "") -> Tensor:
        """Ids of a beginning or, with a suffix, of a gap. Text that does not fit in the window comes before the tokens of the
        gap: the start of the prefix, a suffix token, and the end of the suffix."""
        import torch

        if not suffix:
            return super().condition_from_prompt(prompt)
        if not self.config.fim:
            raise ConfigError("this run was trained with fim=0 and fills no gaps; leave `suffix` out")
        prefix, tail = (self.tokenizer.encode(with_line_feeds(text)) for text in (prompt, suffix))
        max_tokens = max(self.spec.length // 2, 8)
        max_prefix = max(max_tokens // 2, max_tokens - len(tail))
        max_suffix = max(max_tokens // 2, max_tokens - len(prefix))
        cut = max(len(prefix) - max_prefix, 0)
        suffix_token = self.spec.special[GAP_MARKS[1]]
        outer = [prefix[:cut], [suffix_token], tail[max_suffix:]]
        gap = self._with_gap(prefix[cut:], tail[:max_suffix], [])
        return torch.from_numpy(np.concatenate([*outer, gap]).astype(np.int64))

    def _decode_row(self, row: Sequence[int]) -> str:
        prefix_token, suffix_token, middle_token = (self.spec.special[name] for name in GAP_MARKS)
        if prefix_token not in row or middle_token not in row:
            return super()._decode_row([i for i in row if i not in (prefix_token, suffix_token, middle_token)])
        before, middle, after = self._split_gap(row)
        return self._text([*before, *middle, *after])

    def _text(self, ids: Sequence[int]) -> str:
        return self.tokenizer.decode([i for i in ids if 0 <= i < self.tokenizer.size])

    def _truncate_at(self, row: Sequence[int], prompt: Sequence[int], stop: str) -> str | None:
        """As in `Text`, but the text after a gap is kept, and not searched for `stop`."""
        if self.spec.special[GAP_MARKS[0]] not in prompt:
            return super()._truncate_at(row, prompt, stop)
        before, middle, after = self._split_gap(row)
        text = self._text([*before, *middle, *after])
        after_start = len(text) - len(self._text(after))
        index = text.find(stop, len(self._text(before)), after_start)
        return None if index < 0 else text[:index] + text[after_start:]

    def _end_well(self, row: Sequence[int], prompt: Sequence[int]) -> str:
        """As in `Text`, but a gap, after which text follows, ends where it was cut."""
        return self._decode_row(row) if self.spec.special[GAP_MARKS[0]] in prompt else super()._end_well(row, prompt)

    def continuation(self, row: Sequence[int], prompt: Sequence[int]) -> str:
        if self.spec.special[GAP_MARKS[0]] not in prompt:
            return super().continuation(row, prompt)
        return self._text(self._split_gap(row)[1])

    def _split_gap(self, row: Sequence[int]) -> tuple[list[int], list[int], list[int]]:
        """Ids before a gap, in it, and after it; for a sample whose prompt comes from `condition_from_prompt`."""
        prefix_token, suffix_token, middle_token = (self.spec.special[name] for name in GAP_MARKS)
        # far prefix | suffix token | far suffix | prefix token | near prefix | suffix token | near suffix | middle token | middle
        outer, near = _cut(row, prefix_token)
        far_prefix, far_suffix = _cut(outer, suffix_token)
        before_middle, middle = _cut(near, middle_token)
        near_prefix, near_suffix = _cut(before_middle, suffix_token)
        middle, _ = _cut(middle, self.spec.special["end"])
        return [*far_prefix, *near_prefix], middle, [*near_suffix, *far_suffix]

    # ---- keeping ----

    def state(self) -> dict[str, object]:
        return super().state() | {"kinds": list(self.kinds)}

    def restore(self, state: Mapping[str, object], folder: Path) -> None:
        super().restore(state, folder)
        kinds = state.get("kinds", [self.suffix])  # runs of earlier versions know the commonest alone
        if not isinstance(kinds, list):
            raise ValueError(f"kinds must be a list of endings of files (got {kinds!r:.40})")
        self.kinds = tuple(map(checked_suffix, kinds))


def _cut(row: Sequence[int], token: int) -> tuple[list[int], list[int]]:
    """Ids before and after the first `token`; without one, all ids are before it."""
    ids = list(row)
    index = ids.index(token) if token in ids else len(ids)
    return ids[:index], ids[index + 1 :]


EXPORT = Code
