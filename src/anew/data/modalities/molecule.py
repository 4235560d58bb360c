"""Molecules as SMILES, one a line: a list of records, each a string of characters."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from anew.core.settings import knob
from anew.data.formats import tokenizer
from anew.data.formats.text_encoding import plain
from anew.data.modalities.text import PLAIN, Text
from anew.data.types import Artifact, Item

LONGEST = 400  # characters of a molecule
FEWEST = 20  # lines that a file must show to be known by content
COMMENT = "#"  # a triple bond, which opens no molecule
_SMILES = re.compile(r"(?:\[[^\[\]\s]+\]|Br|Cl|[BCNOPSFIbcnops*]|[=#$:~/\\.()+-]|%\d\d|\d)+")
_ATOM = re.compile(r"[A-Za-z*]")
_OPENS = re.compile(r"[\[A-Za-z*]")  # dates, numbers, addresses of machines are written with the same signs


@dataclass(frozen=True, slots=True)
class MoleculeConfig:
    """How molecules become tokens."""

    tokens: str = knob("characters", "what one token is", choices=("characters", "bpe"))
    vocab: int = knob(
        0, "size of the sub-word vocabulary; 0 follows the amount of text", low=0, high=tokenizer.MOST_IDS
    )
    context: int = knob(0, "tokens that the model sees at once; 0 follows the data", unit="tokens", low=0, high=8192)
    layout: str = knob("list", "each line is a record", choices=("list",))


class Molecule(Text):
    """The first word of a line is the molecule; names behind it are left out. The end of each counts as one character."""

    name = "molecule"
    suffixes = frozenset({".smi", ".smiles", ".can", ".ism"})
    Config: ClassVar[type] = MoleculeConfig
    sampling: ClassVar[Mapping[str, Any]] = {"min_p": 0.05}  # one symbol out of place, and it is no molecule

    def __init__(self, config: Any) -> None:
        super().__init__(config)
        self.layout = "list"
        self._lines: dict[Any, tuple[int, int]] = {}  # by what was read: lines with names, and comments

    @classmethod
    def claims(cls, head: bytes) -> float:
        lines = head.decode("ascii", "replace").split("\n")[:-1]
        words = [line.split(None, 1)[0] for line in lines if line.strip() and not line.lstrip().startswith(COMMENT)]
        if len(words) < FEWEST or sum(_opens(word) for word in words) < 0.95 * len(words):
            return PLAIN / 2 * plain(head)
        # A list of short capitals would pass as well; rings and branches do not occur in it.
        return 0.9 if sum(any(c in "()=#1" for c in word) for word in words) >= 0.5 * len(words) else PLAIN / 2

    def survey(self, sample: Sequence[Item]) -> list[str]:
        return []

    def expand(self, item: Item) -> Iterator[Item]:
        found = False
        with_names = comments = 0
        for number, line in enumerate(self.read(item).splitlines()):
            words = line.split(None, 1)
            if words and line.lstrip().startswith(COMMENT):
                comments += 1
                continue
            if not words or (number == 0 and words[0].lower() in ("smiles", "canonical_smiles")):
                continue
            found = True
            with_names += len(words) > 1
            yield Item(f"{item.name}:{number + 1}", words[0], item.label)
        self._lines[item.name, len(item.data), item.data[:64]] = (
            with_names,
            comments,
        )  # spans may be read more than once
        if not found:
            raise ValueError("holds no molecule")

    def accepts(self, item: Item) -> str | None:
        if not isinstance(item.data, str):
            return super().accepts(item)
        if len(item.data) > LONGEST:
            return f"is longer than {LONGEST} characters"
        return (
            None if self.made or _is_smiles(item.data) else "is no SMILES (it holds what no molecule is written with)"
        )

    def remarks(self) -> list[str]:
        found = super().remarks()
        with_names, comments = (sum(one) for one in zip((0, 0), *self._lines.values(), strict=True))
        if with_names:
            found.append(f"{with_names:,} lines have a name behind the molecule, which is left out")
        if comments:
            found.append(f"{comments:,} lines begin with {COMMENT} and are left out as comments")
        return found

    def save_item(self, item: str) -> Artifact:
        return Artifact(".smi", f"{item}\n".encode("utf-8", "replace"), item)

    def together(self, artifacts: Sequence[Artifact], labels: Sequence[str | None]) -> Artifact | None:
        return Artifact(".smi", b"".join(artifact.data for artifact in artifacts))


def _is_smiles(word: str) -> bool:
    whole = _SMILES.fullmatch(word) is not None and word.count("(") == word.count(")")
    return whole and _ATOM.search(word) is not None


def _opens(word: str) -> bool:
    return _OPENS.match(word) is not None and _is_smiles(word)


EXPORT = Molecule
