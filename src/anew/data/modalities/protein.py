"""Sequences of residues: proteins, DNA and RNA, from FASTA and back to it.

A token is a residue, and each sequence is a record between a begin and an end token. If both directions are learned, a
sequence has a second ordering, which starts with a token of its own and has the residues from last to first (as in ProGen2,
arXiv 2206.13517, and RITA). Long sequences (genomes) are read as one text instead.
"""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from numpy.typing import NDArray

from anew.core.settings import setting
from anew.core.specs import Batch, Spec, Tokens
from anew.core.wording import percent, plural
from anew.data.formats import learned_schemas
from anew.data.formats.file_bytes import read_whole
from anew.data.formats.gzip_files import is_packed
from anew.data.formats.text import alignments, fasta
from anew.data.formats.text.fasta import Headers
from anew.data.formats.text.text_encoding import looks_like_text
from anew.data.limits import WHOLE_BYTES
from anew.data.modalities.text import TEXT_CONFIDENCE, Text
from anew.data.types import Artifact, DataBudget, DecodedItem, Item
from anew.errors import ConfigError, DataError
from anew.estimators.sequence_clusters import DEFAULT_K as PROTEIN_KMER
from anew.estimators.sequence_clusters import SequenceClusters

if TYPE_CHECKING:
    from tokenizers import Tokenizer
    from torch import Tensor

MIN_RESIDUES = 200  # with fewer residues nothing can be learned or held out
LONG_SEQUENCE = 4096  # residues; if the median sequence is longer, all of them are read as one text
MAX_CONTEXT = 1024  # residues that the model sees at once
KMER_LENGTH = {"protein": PROTEIN_KMER, "dna": 8, "rna": 8}  # with four letters, shorter ones would be shared by chance

# Notes on sequences that were corrected in reading, by the kind of error.
CORRECTIONS = {
    "lower": "had letters in lower case, read as upper case",
    "aligned": "came from an alignment, whose gaps were removed",
    "gaps": "contained gaps, which were removed (an alignment?)",
    "digits": "contained digits between letters, which were left out",
    "stops": "contained a stop (*), read as an unknown residue",
    "nucleic": "looked like DNA or RNA (A, C, G, T, U and N alone), read as protein; such sequences belong in a folder of their own",
    "foreign": "contained letters outside the alphabet, read as unknown residues (T and U as each other)",
}


READ = "read"  # the key of the number of all sequences that were read


class _Corrections(Counter[str]):
    """How many sequences were read, and in how many of them what was corrected, by the keys of CORRECTIONS."""

    def why_unlike(self, alphabet: str) -> str:
        """A clause, if most sequences hold letters that are not in the alphabet of this name; else ""."""
        num_foreign, num_read = self["foreign"], self[READ]
        if 2 * num_foreign <= num_read:
            return ""
        return f"{percent(num_foreign / num_read)} of its sequences hold letters outside the alphabet of {alphabet}"

    def remarks(self) -> list[str]:
        """A sentence on each kind of correction that was made."""
        return [f"{plural(self[key], 'sequence')} {remark}." for key, remark in CORRECTIONS.items() if self[key]]


@dataclass(frozen=True, slots=True)
class ProteinConfig:
    """Settings for reading sequences."""

    alphabet: str = setting("auto", "alphabet of the sequences", choices=("auto", *fasta.ALPHABETS))
    layout: str = setting(
        "auto", "whether each sequence is a record, or all are one text", choices=("auto", "list", "document")
    )
    context: int = setting(0, "context length in residues; 0: suited to the data", unit="residues", low=0, high=8192)
    direction: str = setting(
        "forward", "learn from first to last residue, or in both directions", choices=("forward", "both")
    )
    labels: str = setting(
        "off", "classes: off, folder, or from headers: organism, family, or a pattern with one (group)"
    )
    relatives: float = setting(
        0.25,
        "two sequences count as relatives if they share at least this part of the 5-mers (DNA and RNA: 8-mers) of the one "
        "that has fewer",
        low=0.05,
        high=1.0,
    )
    text_column: str = setting("", "table column of the sequences; empty: found by its name")
    header: bool = setting(True, "the first row of a table in CSV or TSV names its columns; false: it is data")


class Residues:
    """A tokenizer whose ids are the letters of an alphabet, those that occur in training first.

    Args:
        alphabet: Its name in `fasta.ALPHABETS`. Any other letter is read as its unknown one.
        letters: All letters in the order of their ids.
        num_seen: How many of them, from the first, occur in training.
    """

    vocabulary_type = "residues"

    def __init__(self, alphabet: str, letters: str, num_seen: int) -> None:
        self.alphabet_name = alphabet
        self.alphabet = fasta.ALPHABETS[alphabet]
        self.letters, self.num_seen, self.size = letters, num_seen, len(letters)
        self.rare = num_seen if num_seen < len(letters) else None  # the first id that does not occur
        self._ids = np.full(256, letters.index(self.alphabet.unknown), dtype=np.uint16)  # ids by ASCII code
        self._ids[np.frombuffer(letters.encode(), dtype=np.uint8)] = np.arange(len(letters), dtype=np.uint16)

    @classmethod
    def fit(cls, alphabet: str, texts: Iterable[str]) -> Residues:
        """Letters in the order of the alphabet, but those that occur in the texts first."""
        occurring = set().union(*map(set, texts))
        letters = fasta.ALPHABETS[alphabet].all
        letters_seen = [letter for letter in letters if letter in occurring]
        unseen = [letter for letter in letters if letter not in occurring]
        return cls(alphabet, "".join(letters_seen + unseen), len(letters_seen))

    def encode(self, text: str) -> NDArray[np.uint16]:
        """(n,) ids of the letters."""
        return self._ids[np.frombuffer(text.encode("ascii", "replace"), dtype=np.uint8)]

    def decode(self, ids: Sequence[int]) -> str:
        """The letters of ids."""
        return "".join(map(self.letters.__getitem__, ids))

    def widths(self) -> NDArray[np.float32]:
        """(size,) residues that each id stands for."""
        return np.ones(self.size, dtype=np.float32)

    def spellings(self) -> list[bytes]:
        return [letter.encode() for letter in self.letters]

    def state(self) -> dict[str, object]:
        """JSON values from which it can be made again."""
        return {
            "kind": self.vocabulary_type,
            "alphabet": self.alphabet_name,
            "letters": self.letters,
            "seen": self.num_seen,
        }

    def tokenizer(self, special: Sequence[str]) -> Tokenizer:
        """A `tokenizers.Tokenizer` with the same ids, and the special tokens after them."""
        from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers

        vocabulary = {letter: index for index, letter in enumerate(self.letters)}
        tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token=self.alphabet.unknown))
        tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex(r"[\s\S]"), "isolated")
        tokenizer.decoder = decoders.Fuse()
        tokenizer.add_special_tokens([AddedToken(name, special=True, normalized=False) for name in special])
        return tokenizer


class Protein(Text):
    """Sequences of proteins, DNA or RNA. The end of each, which is predicted too, counts as one residue."""

    name = "protein"
    suffixes = frozenset(
        f".{name}" for name in ("fasta", "fa", "faa", "fna", "fas", "ffn", "frn", "fsa", "afa", "sto", "stk")
    )
    Config = ProteinConfig
    unit = "residue"
    special_names: ClassVar[Mapping[str, str]] = {**Text.special_names, "back": "<|back|>"}
    traits = replace(
        Text.traits,
        singular="sequence",
        singular_of_list="",
        files_hold_comments=True,
        record_start=b">",
        max_cluster_bytes=WHOLE_BYTES,  # bytes (residues, if files are packed): takes 10 s of one core, and 0.6 GB
    )

    config: ProteinConfig

    def __init__(self, config: ProteinConfig, *, generated: bool = False) -> None:
        super().__init__(config, generated=generated)
        self.layout = "list"
        self.alphabet = config.alphabet
        self._headers = Headers(config.labels)
        self._num_classes = 0
        self.written = fasta.FastaLayout()  # how samples are written
        self.traits = replace(
            type(self).traits, supports_labels=config.labels != "off", labels_from_content=self._headers.read
        )
        self._corrected = _Corrections()
        self._name_counts: Counter[str] = Counter()

    # ---- what items are ----

    @classmethod
    def sniff(cls, head: bytes) -> float:
        return 0.95 if fasta.looks_like(head) else TEXT_CONFIDENCE / 2 * looks_like_text(head)

    def inspect(self, sample: Sequence[Item], budget: DataBudget | None = None) -> list[str]:
        cleaned = [fasta.clean_sequence(record.sequence)[0] for item in sample for record in self._records(item)]
        sequences = [sequence for sequence in cleaned if sequence]
        self.written = fasta.layout_of(self._texts(sample))
        only_compared = budget is not None and budget.only_compared
        notes = [] if only_compared else _layout_notes(self.written)
        if self.alphabet == "auto":
            self.alphabet = fasta.detect_alphabet(sequences)
            name = fasta.ALPHABETS[self.alphabet].name
            notes.append(
                f"The letters are {name}, judging by the letters found{'' if only_compared else ' (setting: alphabet)'}."
            )
        if self.config.layout != "auto":
            self.layout = "list" if self.config.layout == "list" else "document"
        elif sequences and float(np.median([len(sequence) for sequence in sequences])) > LONG_SEQUENCE:
            self.layout = "document"
            subject = "Half of the sequences are" if len(sequences) > 1 else "The sequence is"
            notes.append(f"{subject} longer than {LONG_SEQUENCE:,} residues, so all are read as one text.")
        else:
            self.layout = "list"
        if self.config.labels == "off" and len({item.label for item in sample} - {None}) > 1:
            notes.append("The classes of folders or of a table's column are not learned; labels=folder learns them.")
        if self.config.direction == "both" and self.layout == "document":
            notes.append("Since a long text is learned from first to last residue only, direction=both is ignored.")
        return notes

    @staticmethod
    def _texts(items: Sequence[Item]) -> Iterator[str]:
        """Yield the texts of the items that are readable files."""
        for item in items:
            if not isinstance(item.data, str):
                with contextlib.suppress(ValueError):
                    yield fasta.decode_file(item.content)

    def _records(self, item: Item) -> Iterator[fasta.FastaRecord]:
        if isinstance(item.data, str):  # a cell of a table, or already a record
            yield fasta.FastaRecord("", item.data)
            return
        try:
            text = fasta.decode_file(item.content)
        except ValueError:
            return
        yield from fasta.parse(text)

    def split_records(self, item: Item) -> Iterator[Item]:
        if isinstance(item.data, str):
            yield Item(item.name, self._cleaned(item.data), item.label)
            return
        text = fasta.decode_file(item.content)
        number = 0
        is_aligned = alignments.looks_like(text)
        self._corrected["no_header"] += ">" not in text and not is_aligned and not fasta.is_list(text)
        for number, record in enumerate(fasta.parse(text), 1):
            if record.name:
                self._name_counts[record.name] += 1
            self._corrected["digits"] += record.has_digits
            name = f"{item.name}:{record.name or number}"
            yield Item(name, self._cleaned(record.sequence, is_aligned), self._headers.label(record.header, item.label))
        if not number:
            raise ValueError("it holds no sequence")

    def _cleaned(self, sequence: str, is_aligned: bool = False) -> str:
        """Residues in upper case; corrections are counted. Characters that no alphabet has stay, and `validate_header` refuses them.

        is_aligned: whether the format is that of an alignment, so that gaps are expected.
        """
        clean, gaps = fasta.clean_sequence(sequence)
        alphabet = fasta.ALPHABETS["protein" if self.alphabet == "auto" else self.alphabet]
        self._corrected["aligned" if is_aligned else "gaps"] += gaps
        self._corrected["lower"] += any(map(str.islower, sequence))
        if "*" in clean:
            self._corrected["stops"] += 1
            clean = clean.replace("*", alphabet.unknown)
        self._corrected["nucleic"] += self.alphabet == "protein" and fasta.looks_like_nucleotides(clean)
        foreign = {c for c in set(clean) if c not in alphabet.all and c.isascii() and c.isalpha()}
        self._corrected[READ] += 1
        self._corrected["foreign"] += bool(foreign)
        return clean.translate({ord(letter): alphabet.nearest(letter) for letter in foreign})

    def read(self, item: Item) -> str:
        if isinstance(item.data, str):
            return item.data
        return "".join(fasta.clean_sequence(record.sequence)[0] for record in self._records(item))

    def validate_header(self, item: Item) -> str | None:
        if not isinstance(item.data, str):
            head = item.content[:8192]
            if not head.strip():
                return "it is empty"
            return None if is_packed(head) or looks_like_text(head) else "it is binary, not FASTA"
        if not item.data:
            return "it has no residues"
        unknown = sorted(set(item.data) - set(fasta.ALPHABETS["protein"].all + "N"))
        return f"it holds {unknown[0]!r}, which is not a residue" if unknown else None

    def why_unlike(self) -> str:
        return self._corrected.why_unlike(fasta.ALPHABETS[self.alphabet].name)

    def remarks(self) -> list[str]:
        notes = self._corrected.remarks()
        if num_bare := self._corrected["no_header"]:
            files_have = "1 file has" if num_bare == 1 else f"{num_bare:,} files have"
            notes.append(f"{files_have} no header (>), so all its lines were read as one sequence.")
        repeated = sum(count for count in self._name_counts.values() if count > 1)
        if repeated:
            notes.append(f"{repeated:,} records share their name with another; each is kept.")
        return [*notes, *self._headers.remarks(has_classes=self._num_classes > 1)]

    # ---- parts ----

    def sequence_clusters(self, items: Sequence[Item]) -> SequenceClusters | None:
        if self.layout != "list" or sum(item.size for item in items) > self.traits.max_cluster_bytes:
            return None
        return SequenceClusters([item.text for item in items], self.config.relatives, KMER_LENGTH[self.alphabet])

    # ---- learning the tokens ----

    def fit(self, items: Iterable[Item], budget: DataBudget, labels: Sequence[str]) -> Spec:
        items = list(items)
        texts = [self.read(item) for item in items]
        total = sum(map(len, texts))
        if total < MIN_RESIDUES:
            raise DataError(
                f"the sequences have only {total} residues to learn from; give at least {MIN_RESIDUES}, better 100,000"
            )
        self.tokenizer = Residues.fit(self.alphabet, texts)
        self._num_classes = len(labels)
        if self.layout == "document":
            length = min(self.config.context or 256, max(total // 8, 8))
        else:
            longest = max(map(len, texts)) + 1
            length = min(self.config.context or min(longest, MAX_CONTEXT), longest)
        several_documents = len({item.name for item in items}) > 1  # spans of one file have its name
        self._set_spec(length, several_documents)
        return self.spec

    def _set_spec(self, length: int, several_documents: bool) -> None:
        super()._set_spec(length, several_documents)
        special, vocab = dict(self.spec.special), self.spec.vocab
        if self.config.direction == "both" and self.layout == "list":
            special["back"] = vocab
            vocab += 1
            self._widths = np.append(self._widths, np.float32(0))
        self.spec = Tokens(vocab, length, special, self._num_classes, self.spec.packed)

    # ---- directions ----

    def orderings(self, batch: Batch) -> list[Batch]:
        """From first to last residue and, if both directions are learned, from last to first; parts of long sequences stay as
        they are."""
        special = self.spec.special
        if "back" not in special:
            return [batch]
        import torch

        x = batch.x.numpy()  # (B, L+1)
        lengths = np.full(len(x), x.shape[1]) if batch.mask is None else batch.mask.sum(1).numpy() + 1  # (B,)
        position, last = np.arange(x.shape[1]), lengths - 1
        is_whole = (x[:, 0] == special["begin"]) & (x[np.arange(len(x)), last] == special["end"])  # (B,)
        is_residue = (position > 0) & (position < last[:, None])  # (B, L+1): neither begin nor end
        source = np.where(is_residue & is_whole[:, None], last[:, None] - position, position)
        reversed_x = np.take_along_axis(x, source, 1)
        reversed_x[is_whole, 0] = special["back"]
        return [batch, replace(batch, x=torch.from_numpy(reversed_x))]

    # ---- ids ----

    @property
    def _back_token(self) -> int:
        """The token that begins a reversed sequence; -1 if only one direction is learned."""
        return self.spec.special.get("back", -1)

    def _decode_row(self, row: Sequence[int]) -> str:
        text: str = super()._decode_row([i for i in row if i != back] if (back := self._back_token) in row else row)
        return text[::-1] if row and row[0] == back else text

    def _truncate_at(self, row: Sequence[int], prompt: Sequence[int], stop: str) -> str | None:
        """As in `Text`, but a sequence that grows towards its start is cut after the last `stop` before the prompt."""
        if not prompt or prompt[0] != self._back_token:
            return super()._truncate_at(row, prompt, stop)
        text = self._decode_row(row)
        index = text.rfind(stop, 0, len(text) - len(self._decode_row(prompt)))
        return None if index < 0 else text[index + len(stop) :]

    def continuation(self, row: Sequence[int], prompt: Sequence[int]) -> str:
        if self.grows_forwards(prompt):
            return super().continuation(row, prompt)
        text = self._decode_row(row)
        return text[: len(text) - len(self._decode_row(prompt))]

    def grows_forwards(self, prompt: Sequence[int]) -> bool:
        return not prompt or prompt[0] != self._back_token

    def save_item(self, item: DecodedItem, comment: str = "") -> Artifact:
        header = f"sample {comment}".rstrip()
        record = fasta.to_fasta([fasta.FastaRecord(header, str(item))], self.written).encode()
        return Artifact(".fasta", record, str(item), comment=comment)

    def merge_files(
        self, artifacts: Sequence[Artifact], labels: Sequence[str | None], first: int = 0, continues: bool = False
    ) -> Artifact | None:
        records = [
            fasta.FastaRecord(" ".join(filter(None, (f"sample{number}", label, artifact.comment))), artifact.text or "")
            for number, (artifact, label) in enumerate(zip(artifacts, labels, strict=True), first + 1)
        ]
        return Artifact(".fasta", fasta.to_fasta(records, self.written).encode(), None)

    def condition_from_prompt(self, prompt: str, suffix: str = "") -> Tensor:
        """Ids of the residues that samples begin with or, if both directions were learned, end with (suffix)."""
        import torch

        alphabet = fasta.ALPHABETS[self.alphabet]
        beginning, end = fasta.normalise_residues(prompt, alphabet), fasta.normalise_residues(suffix, alphabet)
        letters = self.tokenizer.decode(range(self.tokenizer.size))
        unknown = sorted(set(beginning + end) - set(letters))
        if unknown:
            raise ConfigError(
                f"the prompt holds {unknown[0]!r}, which is not a residue; give letters of {letters}", "prompt"
            )
        special = self.spec.special
        if suffix:
            if self.layout == "document":
                raise ConfigError(
                    "this run learned its sequences as one text, from first to last residue only, so it takes no `suffix`; "
                    "give a `prompt` instead"
                )
            if "back" not in special or prompt:
                raise ConfigError(
                    "a `suffix` needs a run trained with direction=both, and no `prompt` beside it; give a `prompt` instead"
                )
            return torch.tensor([special["back"], *self.tokenizer.encode(end[::-1]).tolist()])
        opening = special.get("begin", special.get("end"))
        ids = self.tokenizer.encode(beginning).astype(np.int64)
        return torch.from_numpy(ids if opening is None else np.concatenate([[opening], ids]))

    def prompt_file(self, path: Path) -> str:
        return fasta.first_sequence(read_whole(path))

    # ---- keeping ----

    def state(self) -> dict[str, object]:
        sequence_state = {"alphabet": self.alphabet, "classes": self.spec.classes, "written": asdict(self.written)}
        return super().state() | sequence_state

    def restore(self, state: Mapping[str, object], folder: Path) -> None:
        record = learned_schemas.read(learned_schemas.LearnedProtein, state)
        self.layout, self.alphabet, self._num_classes = record.layout, record.alphabet, record.classes
        self.tokenizer = Residues(record.tokens.alphabet, record.tokens.letters, record.tokens.seen)
        written = record.written
        self.written = fasta.FastaLayout(written.width, written.has_crlf, written.has_stop)
        self._set_spec(record.length, record.many)


def _layout_notes(layout: fasta.FastaLayout) -> list[str]:
    """A note on how samples are written, if it is not as usual."""
    usual, parts = fasta.FastaLayout(), []
    if layout.width != usual.width:
        parts.append(f"lines of {layout.width} residues" if layout.width else "one line for each sequence")
    parts += ["CRLF line ends"] * layout.has_crlf + ["a final *"] * layout.has_stop
    return [f"Samples are written as most of the data: {', '.join(parts)}."] if parts else []


EXPORT = Protein
