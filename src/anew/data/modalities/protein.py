"""Sequences of residues: proteins, DNA and RNA, from FASTA and back to it.

A token is a residue. Each sequence is a record with its begin and its end; learned in both directions, it has two codings,
one of which begins with another token and holds the residues from last to first (as ProGen2, arXiv 2206.13517, and RITA
do). Long sequences (genomes) are one text instead.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from anew.core.settings import knob
from anew.core.specs import Batch, Spec, Tokens
from anew.data.formats import fasta, learned
from anew.data.formats.fasta_labels import Headers
from anew.data.formats.reading import read_whole
from anew.data.formats.text_encoding import plain
from anew.data.limits import WHOLE_BYTES
from anew.data.modalities.text import PLAIN, Text
from anew.data.types import Artifact, Item, Size
from anew.errors import ConfigError, DataError
from anew.estimators import sequence_clusters

LEAST = 200  # residues without which nothing can be learned or held out
LONG = 4096  # residues; where the median sequence is longer, all of them are read as one text
LONGEST = 1024  # residues that the model sees at once
KMER = {"protein": sequence_clusters.K, "dna": 8, "rna": 8}  # few letters need longer words to be told by


@dataclass(frozen=True, slots=True)
class ProteinConfig:
    """How sequences are read."""

    alphabet: str = knob("auto", "what the letters are", choices=("auto", *fasta.ALPHABETS))
    layout: str = knob("auto", "whether each sequence is a record, or all are one text",
                       choices=("auto", "list", "document"))  # fmt: skip
    context: int = knob(
        0, "residues that the model sees at once; 0 follows the data", unit="residues", low=0, high=8192
    )
    direction: str = knob(
        "forward", "from first to last residue, or half of the time from last to first", choices=("forward", "both")
    )
    labels: str = knob(
        "none", "classes: none, folder, or from headers: organism, family, or a pattern with one (group)"
    )
    relatives: float = knob(
        0.25,
        "shared 5-mers (bases: 8-mers), as a share of the smaller set, that make two sequences relatives",
        low=0.05,
        high=1.0,
    )


class Residues:
    """Ids are the letters of an alphabet, those that occur first. Any other letter is the unknown one."""

    kind = "residues"

    def __init__(self, alphabet: str, letters: str, seen: int) -> None:
        self.alphabet = fasta.ALPHABETS[alphabet]
        self.letters, self.seen, self.size = letters, seen, len(letters)
        self.rare = seen if seen < len(letters) else None
        self._table = np.full(256, letters.index(self.alphabet.unknown), dtype=np.uint16)
        self._table[np.frombuffer(letters.encode(), dtype=np.uint8)] = np.arange(len(letters), dtype=np.uint16)

    @classmethod
    def fit(cls, alphabet: str, texts: Iterable[str]) -> Residues:
        """Letters in the order of the alphabet, those first that the texts hold."""
        found = set().union(*map(set, texts))
        letters = fasta.ALPHABETS[alphabet].all
        seen = [letter for letter in letters if letter in found]
        return cls(alphabet, "".join([*seen, *(x for x in letters if x not in found)]), len(seen))

    def encode(self, text: str) -> NDArray[np.uint16]:
        return self._table[np.frombuffer(text.encode("ascii", "replace"), dtype=np.uint8)]

    def decode(self, ids: Sequence[int]) -> str:
        return "".join(self.letters[i] for i in ids)

    def widths(self) -> NDArray[np.float32]:
        return np.ones(self.size, dtype=np.float32)

    def state(self) -> dict[str, Any]:
        key = next(k for k, v in fasta.ALPHABETS.items() if v is self.alphabet)
        return {"kind": self.kind, "alphabet": key, "letters": self.letters, "seen": self.seen}

    def tokenizer(self, special: Sequence[str]) -> Any:
        from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers

        vocabulary = {letter: i for i, letter in enumerate(self.letters)}
        out = Tokenizer(models.WordLevel(vocabulary, unk_token=self.alphabet.unknown))
        out.pre_tokenizer = pre_tokenizers.Split(Regex(r"[\s\S]"), "isolated")
        out.decoder = decoders.Fuse()
        out.add_special_tokens([AddedToken(name, special=True, normalized=False) for name in special])
        return out


class Protein(Text):
    """Residues count as bits do in lists of text: the end of each sequence, which must be predicted too, counts as one."""

    name = "protein"
    noun = "sequence"
    suffixes = frozenset(
        f".{name}{packed}"
        for name in ("fasta", "fa", "faa", "fna", "fas", "ffn", "frn", "fsa", "afa")
        for packed in ("", ".gz")
    )
    Config: ClassVar[type] = ProteinConfig
    unit = "residue"
    names: ClassVar[Mapping[str, str]] = {**Text.names, "back": "<|back|>"}
    record = b">"
    related = WHOLE_BYTES  # bytes, and residues where these are packed: 10 s of one core, and 0.6 GB

    def __init__(self, config: Any) -> None:
        super().__init__(config)
        self.layout = "list"
        self.alphabet = config.alphabet
        self.classed = config.labels != "none"
        self._headers = Headers(config.labels)
        self.labels_read = self._headers.read
        self._seen: Counter[str] = Counter()  # what was mended in reading
        self._names: Counter[str] = Counter()

    # ---- what items are ----

    @classmethod
    def claims(cls, head: bytes) -> float:
        return 0.9 if fasta.looks_like(head) else PLAIN / 2 * plain(head)

    def survey(self, sample: Sequence[Item]) -> list[str]:
        sequences = [fasta.cleaned(r.sequence)[0] for item in sample for r in self._parsed(item)]
        sequences = [s for s in sequences if s]
        notes = []
        if self.alphabet == "auto":
            self.alphabet = fasta.recognised(sequences)
            name = fasta.ALPHABETS[self.alphabet].name
            notes.append(f"the letters are {name}, by what occurs; the setting alphabet says otherwise")
        long = bool(sequences) and float(np.median([len(s) for s in sequences])) > LONG
        self.layout = ("document" if long else "list") if self.config.layout == "auto" else self.config.layout
        if long and self.config.layout == "auto":
            which = "half of the sequences are" if len(sequences) > 1 else "the sequence is"
            notes.append(f"{which} longer than {LONG:,} residues: read as one text, not as records")
        if self.config.direction == "both" and self.layout == "document":
            notes.append("direction=both is left out: one text is learned from first to last residue only")
        return notes

    def _parsed(self, item: Item) -> Iterator[fasta.Record]:
        if isinstance(item.data, str):  # a cell of a table, or a record already
            yield fasta.Record("", item.data)
            return
        try:
            text = fasta.decoded(bytes(item.data))
        except ValueError:
            return
        yield from fasta.parse(text)

    def expand(self, item: Item) -> Iterator[Item]:
        if isinstance(item.data, str):
            yield Item(item.name, self._cleaned(item.data), item.label)
            return
        text = fasta.decoded(bytes(item.data))
        found = False
        for number, record in enumerate(fasta.parse(text)):
            self._seen["bare"] += number == 0 and ">" not in text
            found = True
            if record.name:
                self._names[record.name] += 1
            name = f"{item.name}:{record.name or number + 1}"
            yield Item(name, self._cleaned(record.sequence), self._headers.label(record.header, item.label))
        if not found:
            raise ValueError("holds no sequence")

    def _cleaned(self, sequence: str) -> str:
        """Residues in upper case; what had to be mended is counted. A letter of no alphabet stays, and `accepts` refuses it."""
        clean, gaps = fasta.cleaned(sequence)
        alphabet = fasta.ALPHABETS["protein" if self.alphabet == "auto" else self.alphabet]
        self._seen["gaps"] += gaps
        self._seen["lower"] += any(map(str.islower, sequence))
        if "*" in clean:
            self._seen["stops"] += 1
            clean = clean.replace("*", alphabet.unknown)
        odd = {c for c in set(clean) if c not in alphabet.all and c.isascii() and c.isalpha()}
        if odd:
            self._seen["odd"] += 1
            clean = clean.translate({ord(c): alphabet.nearest(c) for c in odd})
        return clean

    def read(self, item: Item) -> str:
        if isinstance(item.data, str):
            return item.data
        return "".join(fasta.cleaned(record.sequence)[0] for record in self._parsed(item))

    def accepts(self, item: Item) -> str | None:
        if not isinstance(item.data, str):
            head = bytes(item.data[:8192])
            if not head.strip():
                return "is empty"
            return None if fasta.is_packed(head) or plain(head) else "is binary, no FASTA"
        if not item.data:
            return "has no residues"
        strange = sorted(set(item.data) - set(fasta.ALPHABETS["protein"].all + "N"))
        return f"holds {strange[0]!r}, which is no residue" if strange else None

    def remarks(self) -> list[str]:
        said = {
            "lower": "had lower case, read as upper case",
            "gaps": "held gaps, which were taken out (an alignment?)",
            "stops": "held a stop (*) inside, read as an unknown residue",
            "odd": "held letters outside the alphabet, read as unknown residues (T and U as each other)",
        }
        counts = {key: self._seen[key] for key in said if self._seen[key]}
        notes = [f"{n:,} sequence{'s' * (n != 1)} {said[key]}" for key, n in counts.items()]
        if self._seen["bare"]:
            files = "1 file has" if self._seen["bare"] == 1 else f"{self._seen['bare']:,} files have"
            notes.append(f"{files} no header (>), so that all its lines were read as one sequence")
        repeated = sum(n for n in self._names.values() if n > 1)
        if repeated:
            notes.append(f"{repeated:,} records share their name with another; each is kept")
        return [*notes, *self._headers.remarks()]

    # ---- parts ----

    def kin(self, items: Sequence[Item]) -> sequence_clusters.Kin | None:
        if self.layout != "list" or sum(len(item.data) for item in items) > self.related:
            return None
        return sequence_clusters.Kin([item.data for item in items], self.config.relatives, KMER[self.alphabet])

    # ---- learning the tokens ----

    def fit(self, items: Iterable[Item], size: Size, labels: Sequence[str]) -> Spec:
        items = list(items)
        texts = [self.read(item) for item in items]
        total = sum(map(len, texts))
        if total < LEAST:
            raise DataError(
                f"the sequences have only {total} residues to learn from; give at least {LEAST}, better 100,000"
            )
        self.book = Residues.fit(self.alphabet, texts)
        self.classes = len(labels)
        if self.layout == "document":
            length = min(self.config.context or 256, max(total // 8, 8))
        else:
            longest = max(map(len, texts)) + 1
            length = min(self.config.context or min(longest, LONGEST), longest)
        self._set_spec(length, many=len({item.name for item in items}) > 1)  # spans of one have one name
        return self.spec

    def _set_spec(self, length: int, many: bool) -> None:
        super()._set_spec(length, many)
        special, vocab = dict(self.spec.special), self.spec.vocab
        if self.config.direction == "both" and self.layout == "list":
            special["back"] = vocab
            vocab += 1
            self._widths = np.append(self._widths, np.float32(0))
        self.spec = Tokens(vocab, length, special, getattr(self, "classes", 0), self.spec.packed)

    def _encode_lines(self, lines: Sequence[str]) -> list[NDArray[np.uint16]]:
        return [self.book.encode(line) for line in lines]

    # ---- directions ----

    def views(self, batch: Batch) -> list[Batch]:
        """From first to last residue; where both directions are learned also from last to first, save pieces of long ones."""
        special = self.spec.special
        if "back" not in special:
            return [batch]
        import torch

        x = batch.x.numpy()
        sizes = np.full(len(x), x.shape[1]) if batch.mask is None else batch.mask.sum(1).numpy() + 1
        inside, last = np.arange(x.shape[1]), sizes - 1
        whole = (x[:, 0] == special["begin"]) & (x[np.arange(len(x)), last] == special["end"])  # (B,)
        place = np.where((inside > 0) & (inside < last[:, None]) & whole[:, None], last[:, None] - inside, inside)
        turned = np.take_along_axis(x, place, 1)
        turned[whole, 0] = special["back"]
        return [batch, replace(batch, x=torch.from_numpy(turned))]

    # ---- ids ----

    def _decode_one(self, row: Sequence[int]) -> str:
        text = super()._decode_one([i for i in row if i != self.spec.special.get("back", -1)])
        return text[::-1] if row and row[0] == self.spec.special.get("back", -1) else text

    def _ended(self, row: Sequence[int], given: Sequence[int], stop: str) -> str | None:
        """A sequence that grows towards its start ends where the last `stop` before what was given does."""
        if not given or given[0] != self.spec.special.get("back", -1):
            return super()._ended(row, given, stop)
        text = self._decode_one(row)
        at = text.rfind(stop, 0, len(text) - len(self._decode_one(given)))
        return None if at < 0 else text[at + len(stop) :]

    def save_item(self, item: str) -> Artifact:
        return Artifact(".fasta", fasta.written([fasta.Record("sample", item)]).encode(), item)

    def together(self, artifacts: Sequence[Artifact], labels: Sequence[str | None]) -> Artifact | None:
        records = [
            fasta.Record(f"sample{number}" + (f" {label}" if label else ""), artifact.text or "")
            for number, (artifact, label) in enumerate(zip(artifacts, labels, strict=True), 1)
        ]
        return Artifact(".fasta", fasta.written(records).encode(), None)

    def condition_from_prompt(self, prompt: str, suffix: str = "") -> Any:
        """Residues that samples begin with; or, where both directions were learned, that they end with."""
        import torch

        clean = [fasta.given(part, fasta.ALPHABETS[self.alphabet]) for part in (prompt, suffix)]
        letters = self.book.decode(range(self.book.size))
        strange = sorted(set("".join(clean)) - set(letters))
        if strange:
            raise ConfigError(f"the prompt holds {strange[0]!r}, which is no residue; give letters of {letters}")
        special = self.spec.special
        if suffix:
            if self.layout == "document":
                raise ConfigError(
                    "this run learned its sequences as one text, from first to last residue only, so that no end can be given; "
                    "give a `prompt` instead"
                )
            if "back" not in special or prompt:
                raise ConfigError(
                    "an end can be given alone, to a run that was trained with direction=both; give a `prompt` instead"
                )
            return torch.tensor([special["back"], *self.book.encode(clean[1][::-1]).tolist()])
        first = special.get("begin", special.get("end"))
        ids = self.book.encode(clean[0]).astype(np.int64)
        return torch.from_numpy(ids if first is None else np.concatenate([[first], ids]))

    def prompt_file(self, path: Path) -> str:
        return fasta.first(read_whole(path))

    # ---- keeping ----

    def state(self) -> dict[str, Any]:
        return super().state() | {"alphabet": self.alphabet, "classes": self.spec.classes}

    def restore(self, state: dict[str, Any], folder: Path) -> None:
        learned.check(learned.LearnedText, state)
        self.layout, self.alphabet, self.classes = state["layout"], state["alphabet"], state["classes"]
        kept = state["tokens"]
        self.book = Residues(kept["alphabet"], kept["letters"], kept["seen"])
        self._set_spec(state["length"], state["many"])


EXPORT = Protein
