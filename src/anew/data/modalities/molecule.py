"""Molecules as SMILES, one a line: a list of records."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from anew.core.settings import setting
from anew.core.wording import plural
from anew.data.formats.text.text_encoding import looks_like_text
from anew.data.formats.text.tokenizer_file import MAX_IDS
from anew.data.modalities.text import TEXT_CONFIDENCE, Text
from anew.data.types import Artifact, DataBudget, DecodedItem, Item

MAX_CHARACTERS = 400  # longer strings are large polymers, or not SMILES; chosen
MIN_LINES = 20  # lines that a file needs to be recognized by its content
# Share of the lines of such a file that must open like a molecule, as a few may be damaged; share with rings, branches or bonds, and
# the confidence then; all chosen.
OPENING_SHARE, STRUCTURED_SHARE, CONFIDENCE = 0.95, 0.5, 0.9
COMMENT = "#"  # a triple bond within a molecule, but none begins with it
_SMILES = re.compile(r"(?:\[[^\[\]\s]+\]|Br|Cl|[BCNOPSFIbcnops*]|[=#$:~/\\.()+-]|%\d\d|\d)+")
_ATOM = re.compile(r"[A-Za-z*]")
_OPENS = re.compile(r"[\[A-Za-z*]")  # not a digit: dates, numbers and IP addresses consist of the same characters


@dataclass(frozen=True, slots=True)
class MoleculeConfig:
    """Settings for turning molecules into tokens."""

    tokens: str = setting("auto", "what one token is", choices=("auto", "characters", "bpe"))
    vocab: int = setting(0, "size of the sub-word vocabulary; 0: suited to the amount of text", low=0, high=MAX_IDS)
    context: int = setting(0, "context length in tokens; 0: suited to the data", unit="tokens", low=0, high=8192)
    text_column: str = setting("", "table column of the molecules; empty: found by its name")
    header: bool = setting(True, "the first row of a table in CSV or TSV names its columns; false: it is data")


class Molecule(Text):
    """Molecules. The first word of a line is the molecule; a name after it is ignored. The end of each counts as one character."""

    name = "molecule"
    suffixes = frozenset({".smi", ".smiles", ".can", ".ism"})
    sub_words_in_lists = (
        True  # rings and groups recur: fewer bits, and more samples are valid (docs/log.md, 2026-11-30)
    )
    Config = MoleculeConfig
    traits = replace(
        Text.traits,
        singular="molecule",
        singular_of_list="",
        default_sampling={"min_p": 0.05},  # a single wrong symbol makes a molecule invalid
    )

    def __init__(self, config: MoleculeConfig, *, generated: bool = False) -> None:
        super().__init__(config, generated=generated)
        self.layout = "list"
        self._left_out: dict[object, tuple[int, int]] = {}  # number of names and of comments, by span

    @classmethod
    def sniff(cls, head: bytes) -> float:
        lines = head.decode("ascii", "replace").split("\n")[:-1]
        words = [line.split(None, 1)[0] for line in lines if line.strip() and not line.lstrip().startswith(COMMENT)]
        if len(words) < MIN_LINES or sum(map(_opens_smiles, words)) < OPENING_SHARE * len(words):
            return TEXT_CONFIDENCE / 2 * looks_like_text(head)
        # A list of short words in capitals looks like SMILES too, but it has no rings and branches.
        with_structure = sum(any(c in "()=#1" for c in word) for word in words)
        return CONFIDENCE if with_structure >= STRUCTURED_SHARE * len(words) else TEXT_CONFIDENCE / 2

    def inspect(self, sample: Sequence[Item], budget: DataBudget | None = None) -> list[str]:
        return []

    def split_records(self, item: Item) -> Iterator[Item]:
        molecules = with_names = comments = 0
        text = self.read(item)
        for number, line in enumerate(text.split("\n"), 1):
            words = line.split(None, 1)
            if words and line.lstrip().startswith(COMMENT):
                comments += 1
                continue
            is_header = number == 1 and bool(words) and words[0].lower() in ("smiles", "canonical_smiles")
            if not words or is_header:
                continue
            molecules += 1
            with_names += len(words) > 1
            yield Item(f"{item.name}:{number}", words[0], item.label)
        span = item.name, len(text), text[:64]  # spans may be read more than once
        self._left_out[span] = (with_names, comments)
        if not molecules:
            raise ValueError("it holds no molecule")

    def validate_header(self, item: Item) -> str | None:
        if not isinstance(item.data, str):
            return super().validate_header(item)
        if len(item.data) > MAX_CHARACTERS:
            return f"it is longer than {MAX_CHARACTERS} characters"
        if self.generated or _is_smiles(item.data):
            return None
        return "it is not SMILES (it contains characters that SMILES does not use)"

    def remarks(self) -> list[str]:
        notes = super().remarks()
        with_names = sum(names for names, _ in self._left_out.values())
        comments = sum(count for _, count in self._left_out.values())
        if with_names:
            notes.append(f"Names after the molecule are ignored, in {plural(with_names, 'line')}.")
        if comments:
            notes.append(f"Comments are ignored: {plural(comments, 'line')} with {COMMENT} at the beginning.")
        return notes

    def save_item(self, item: DecodedItem, comment: str = "") -> Artifact:
        return Artifact(".smi", f"{item}\n".encode("utf-8", "replace"), str(item))

    def merge_files(
        self, artifacts: Sequence[Artifact], labels: Sequence[str | None], first: int = 0, continues: bool = False
    ) -> Artifact | None:
        return Artifact(".smi", b"".join(artifact.data for artifact in artifacts))


def _is_smiles(word: str) -> bool:
    balanced = word.count("(") == word.count(")")
    return balanced and _SMILES.fullmatch(word) is not None and _ATOM.search(word) is not None


def _opens_smiles(word: str) -> bool:
    return _OPENS.match(word) is not None and _is_smiles(word)


EXPORT = Molecule
