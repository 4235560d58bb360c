"""Text: documents as one stream of tokens, or lists as one record a line; characters or sub-words."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import numpy as np
from numpy.typing import NDArray

from anew.core import files
from anew.core.settings import knob
from anew.core.specs import Batch, Spec, Tokens
from anew.data.formats import learned, line_records, tokenizer
from anew.data.formats.text_encoding import MIXED, decode_text, guessed_lines, plain
from anew.data.modality import Modality
from anew.data.types import Artifact, Item, Size
from anew.errors import ConfigError, DataError

PLAIN = 0.1  # how surely a plain text is text; kinds of text that only their ending tells claim half of it
LEAST = 200  # characters without which nothing can be learned or held out
SAMPLE_CHARACTERS = 2_000_000  # what sub-words are trained on


@dataclass(frozen=True, slots=True)
class TextConfig:
    """How text becomes tokens."""

    tokens: str = knob("auto", "what one token is", choices=("auto", "characters", "bpe"))
    vocab: int = knob(
        0, "size of the sub-word vocabulary; 0 follows the amount of text", low=0, high=tokenizer.MOST_IDS
    )
    context: int = knob(
        0, "tokens that the model sees at once; 0 follows budget and data", unit="tokens", low=0, high=8192
    )
    layout: str = knob("auto", "whether a file of lines is one document or a list of records",
                       choices=("auto", "document", "list"))  # fmt: skip


class Choice(NamedTuple):
    """What `choose` decides: kind "characters" or "bpe", ids, and tokens in a window."""

    kind: str
    vocab: int
    context: int


def choose(characters: int, distinct: int, seconds: float | None, layout: str) -> Choice:
    """The default tokens for this much text (characters of the train part, distinct ones) and this budget.

    Lists stay with characters: their records are short, and a sub-word hides how a molecule or a name is built. Documents get
    sub-words, which see more text a token: 1,024 of them won at short budgets on one megabyte of English and on code.
    """
    if layout == "list" and distinct <= 1024:
        return Choice("characters", 0, 0)
    if characters < 100_000 and distinct <= 256:
        return Choice("characters", 0, 128)
    megabytes = characters / 1e6
    vocab = 512 if megabytes < 0.4 else 1024 if megabytes < 20 else 2048 if megabytes < 200 else 4096
    if distinct > 1024:  # many-lettered scripts need room beside the 256 bytes
        vocab = max(vocab, 4096)
    return Choice("bpe", vocab, 256 if seconds is not None and seconds >= 900 else 128)


class Text(Modality):
    """Characters count as in the original, line ends included; in a list each record's line end counts as one."""

    name = "text"
    words: ClassVar[str] = tokenizer.WORDS
    shown = 8
    suffixes = frozenset({".txt", ".text", ".md", ".markdown", ".rst", ".tex", ".org", ".srt", ".log", ".abc"})
    names: ClassVar[Mapping[str, str]] = {"begin": tokenizer.BEGIN, "end": tokenizer.END}  # of special ids, for others
    Config: ClassVar[type] = TextConfig
    unit = "character"
    light = True
    textual = True
    classed = False

    config: Any
    spec: Tokens

    def __init__(self, config: Any) -> None:
        super().__init__(config)
        self.layout = "document"
        self.book: tokenizer.Codebook
        self._widths: NDArray[np.float32]
        self._guessed: dict[str, dict[tuple[int, bytes], int]] = {}  # name -> lines that are not UTF-8, {} for all

    @classmethod
    def claims(cls, head: bytes) -> float:
        return PLAIN if plain(head) else 0.0

    def survey(self, sample: Sequence[Item]) -> list[str]:
        if self.config.layout != "auto":
            self.layout = self.config.layout
            return []
        rows = [item.data for item in sample if isinstance(item.data, str)]
        files = [text for text in map(self._peek, (i for i in sample if not isinstance(i.data, str))) if text]
        if rows and not files:
            return self._survey_rows(rows)
        reasons = line_records.why_documents(files)
        if not reasons:
            return []
        if all(reason is None for reason in reasons):
            self.layout = "list"
            return [f"each line is a record of its own ({line_records.RULE}); layout=document reads it as one text"]
        lines = max(text.count("\n") for text in files)
        if lines >= line_records.LEAST_LINES and len(files) <= 3:
            reason = next(reason for reason in reasons if reason is not None)
            return [f"read as a document, not a list of lines: {reason}; layout=list takes each line as a record"]
        return []

    def _survey_rows(self, rows: Sequence[str]) -> list[str]:
        short = sum(len(row) <= line_records.LONGEST and "\n" not in row.strip("\n") for row in rows)
        if len(rows) >= line_records.LEAST_LINES and short >= 0.99 * len(rows):
            self.layout = "list"
            return ["each row is a short record of its own; layout=document joins the rows into one text"]
        return []

    def _peek(self, item: Item) -> str | None:
        try:
            return self.read(item)
        except ValueError:
            return None

    def read(self, item: Item) -> str:
        """The item's text. Raises ValueError (one clause) if it is binary."""
        if isinstance(item.data, str):
            return tokenizer.clean(item.data)
        data = bytes(item.data)
        text, encoding = decode_text(data)
        if encoding == MIXED:  # a large file comes in spans, and each may be read more than once
            self._guessed.setdefault(item.name, {})[len(data), data[:64]] = guessed_lines(data)
        elif encoding in ("cp1252", "latin-1"):
            self._guessed.setdefault(item.name, {})
        return text

    def expand(self, item: Item) -> Iterator[Item]:
        text = self.read(item)
        if self.layout == "document":
            yield Item(item.name, text, item.label, item.begins, item.ends)
            return
        found = line_records.records(text)
        for number, record in enumerate(found):
            yield Item(f"{item.name}:{number + 1}" if len(found) > 1 else item.name, record, item.label)

    def accepts(self, item: Item) -> str | None:
        if isinstance(item.data, str):
            return None if item.data.strip() or not (item.begins and item.ends) else "is empty"
        head = bytes(item.data[:8192])
        if not head.strip():
            return "is empty"
        try:
            decode_text(head, whole=False)
        except ValueError as error:
            return str(error)
        return None

    def remarks(self) -> list[str]:
        return _guesses(self._guessed)

    # ---- learning the tokens ----

    def fit(self, items: Iterable[Item], size: Size, labels: Sequence[str]) -> Spec:
        items = list(items)
        texts = [self.read(item) for item in items]
        characters = sum(map(len, texts))
        if characters < LEAST:
            raise DataError(
                f"the text has only {characters} characters to learn from; give at least {LEAST}, better 100,000 or more"
            )
        sample = _spread(texts, SAMPLE_CHARACTERS)
        distinct = len(set("".join(sample)))
        choice = choose(max(characters, size.bytes), distinct, size.seconds, self.layout)
        kind = choice.kind if self.config.tokens == "auto" else self.config.tokens
        if kind == "characters":
            self.book = tokenizer.Characters.fit(texts)
        else:
            self.book = tokenizer.SubWords.fit(sample, max(self.config.vocab or choice.vocab or 1024, 257), self.words)
        self._set_spec(self._length(texts, choice), many=len({item.name for item in items}) > 1)
        return self.spec

    def _length(self, texts: Sequence[str], choice: Choice) -> int:
        if self.layout == "document":
            wanted = int(self.config.context or choice.context or 128)
            if sum(map(len, texts)) > 200 * wanted:
                return wanted
            return max(min(wanted, sum(len(self.book.encode(text)) for text in texts) // 8), 8)
        lengths = np.array([len(ids) for ids in self._encode_lines(texts[:50_000])]) + 1
        if self.config.context:
            return min(int(self.config.context), int(lengths.max()))
        common = float(np.percentile(lengths, 99.5))
        return int(min(lengths.max(), max(1.5 * common, 16.0), 1024))

    def _encode_lines(self, lines: Sequence[str]) -> list[NDArray[np.uint16]]:
        """The ids of each line; all at once where a token is a character, since calls cost more than work."""
        if not lines or not isinstance(self.book, tokenizer.Characters):
            return [self.book.encode(line) for line in lines]
        ids = self.book.encode("".join(lines))
        firsts = np.append(np.flatnonzero(self.book.widths()[ids] > 0), len(ids))  # where each character begins
        cuts = firsts[np.cumsum([len(line) for line in lines])[:-1]] if lines else []
        return np.split(ids, cuts)

    def _set_spec(self, length: int, many: bool) -> None:
        n, widths = self.book.size, self.book.widths()
        if self.layout == "list":
            special, extra = {"begin": n, "end": n + 1}, [0.0, 1.0]  # the end of a record stands for its line end
        else:
            special, extra = ({"end": n}, [0.0]) if many else ({}, [])
        if self.book.rare is not None:
            special["rare"] = self.book.rare
        self._widths = np.concatenate([widths, np.array(extra, dtype=np.float32)])
        self.spec = Tokens(n + len(extra), length, special, packed=self.layout == "document")

    # ---- ids ----

    def encode(self, item: Item) -> NDArray[Any]:
        ids = self.book.encode(self.read(item))
        special = self.spec.special
        if "begin" in special:
            return np.concatenate([[special["begin"]], ids, [special["end"]]]).astype(np.uint16)
        if "end" in special and item.ends:
            return np.append(ids, np.uint16(special["end"]))
        return ids

    def encode_many(self, items: Sequence[Item]) -> list[NDArray[Any] | str]:
        if "begin" not in self.spec.special or not all(
            isinstance(item.data, str) and item.data.strip() for item in items
        ):
            return super().encode_many(items)
        begin, end = (np.array([self.spec.special[name]], dtype=np.uint16) for name in ("begin", "end"))
        return [np.concatenate((begin, ids, end)) for ids in self._encode_lines([self.read(item) for item in items])]

    def units(self, item: Item) -> int:
        return len(self.read(item)) + (self.layout == "list")

    def widths(self) -> NDArray[Any]:
        return self._widths

    def batch(self, rows: NDArray[Any], labels: NDArray[Any] | None, lengths: NDArray[Any] | None) -> Batch:
        import torch

        if lengths is not None:  # nothing is computed for what no row of this batch needs
            rows = rows[:, : max(int(np.max(lengths)), 2)]
        x = rows.astype(np.int64)  # (B, L+1)
        widths = self._widths[x[:, 1:]]  # (B, L)
        mask = None
        if lengths is not None:
            real = np.arange(x.shape[1] - 1) < np.asarray(lengths)[:, None] - 1  # (B, L)
            widths = widths * real
            mask = torch.from_numpy(real)
        label = None if labels is None else torch.from_numpy(np.asarray(labels, dtype=np.int64))
        return Batch(torch.from_numpy(x), label, mask, torch.from_numpy(widths.sum(1)))

    def decode(self, x: Any) -> list[str]:
        return [self._decode_one(row) for row in _rows(x)]

    def _decode_one(self, row: Sequence[int]) -> str:
        special = self.spec.special
        begin, end = special.get("begin", -1), special.get("end", -1)
        start = 0
        while start < len(row) and row[start] in (begin, end) and not (row[start] == end and begin >= 0):
            start += 1
        stop = row.index(end, start) if end >= 0 and end in row[start:] else len(row)
        return self.book.decode([i for i in row[start:stop] if 0 <= i < self.book.size])

    def save_item(self, item: str) -> Artifact:
        return Artifact(".txt", item.encode("utf-8", "replace"), item)

    def ended(self, x: Any, known: Any, stop: str) -> list[str | None]:
        given = ([] if known is None else _rows(known)) or [[]]  # of each sample, or one for all
        return [self._ended(row, given[i % len(given)], stop) for i, row in enumerate(_rows(x))]

    def _ended(self, row: Sequence[int], given: Sequence[int], stop: str) -> str | None:
        text = self._decode_one(row)
        at = text.find(stop, len(self._decode_one(given)))
        return None if at < 0 else text[:at]

    def condition_from_prompt(self, prompt: str, suffix: str = "") -> Any:
        """(n,) int64 ids. A record begins with its begin token, a text of many documents with the end of the one before."""
        import torch

        special = self.spec.special
        if suffix:
            raise ConfigError(f"{self.name} goes on from a prompt, and takes no end; leave `suffix` out")
        if self.layout == "list" and "\n" in prompt.strip("\n"):
            raise ConfigError("the prompt has several lines but each record of this list is one line; give one line")
        first = special.get("begin", special.get("end"))
        ids = self.book.encode(prompt).astype(np.int64)
        return torch.from_numpy(ids if first is None else np.concatenate([[first], ids]))

    # ---- keeping ----

    def state(self) -> dict[str, Any]:
        spec = self.spec
        return {
            "layout": self.layout,
            "tokens": self.book.state(),
            "length": spec.length,
            "many": "end" in spec.special,
        }

    def restore(self, state: dict[str, Any], folder: Path) -> None:
        learned.check(learned.LearnedText, state)
        self.layout = state["layout"]
        self.book = tokenizer.restored(state["tokens"], folder, tuple(self.names.values()))
        self._set_spec(state["length"], state["many"])

    def save(self, folder: Path) -> None:
        special = [self.names[n] for n, _ in sorted(self.spec.special.items(), key=lambda p: p[1]) if n in self.names]
        files.write_text(folder / "tokenizer.json", self.book.tokenizer(special).to_str(pretty=True))


def _guesses(guessed: Mapping[str, Mapping[Any, int]]) -> list[str]:
    """Sentences on files that are not UTF-8. guessed: name -> lines that are not, {} for all."""
    whole = sorted(name for name, lines in guessed.items() if not lines)
    mixed = sorted(name for name, lines in guessed.items() if lines)
    notes = []
    if whole:
        notes.append(f"{_files(whole)} not UTF-8; read as Windows-1252: {', '.join(whole[:3])}")
    if mixed:
        lines = sum(sum(guessed[name].values()) for name in mixed)
        notes.append(
            f"{_files(mixed)} UTF-8 in part only; {lines} lines that are not were read as Windows-1252: "
            f"{', '.join(mixed[:3])}"
        )
    return notes


def _files(names: Sequence[str]) -> str:
    return "1 file is" if len(names) == 1 else f"{len(names)} files are"


def _spread(texts: Sequence[str], limit: int) -> list[str]:
    """Pieces of the texts, evenly spread over all of them, of about `limit` characters in all."""
    total = sum(map(len, texts))
    if total <= limit:
        return list(texts)
    piece = 20_000
    whole = "".join(texts) if len(texts) < 50 else ""
    if whole:
        step = piece * total // limit
        return [whole[i : i + piece] for i in range(0, total, step)]
    every = max(1, round(total / limit))
    return [text[: 5 * piece] for text in texts[::every]]


def _rows(x: Any) -> list[list[int]]:
    if hasattr(x, "tolist"):
        x = x.tolist()
    return [list(map(int, row)) for row in ([x] if x and not isinstance(x[0], list | tuple) else x)]


EXPORT = Text
