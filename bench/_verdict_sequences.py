"""Texts, programs and records whose faults are known: see `_verdict_cases`."""

from __future__ import annotations

import gzip
import itertools
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
from sklearn.feature_extraction.text import TfidfVectorizer

from _verdict_cases import Cases, Fault, Source, each, least, repeated
from anew.evaluation.base import Evaluation
from anew.evaluation.modalities.code import CodeEvaluation
from anew.evaluation.modalities.molecule import MoleculeEvaluation
from anew.evaluation.modalities.protein import ProteinEvaluation
from anew.evaluation.modalities.text import TextEvaluation

STRETCH, PIECES = 1_024, 4  # characters of a passage, and the pieces of it that are judged each
MOST_TEXT, MOST_RECORDS, MOST_FILES = 4_000_000, 6_000, 600


def texts(path: Path) -> Cases:
    """Passages of the texts of a folder or of a file."""
    faults: dict[str, Fault] = {"real": lambda x, _: x}
    faults |= {f"letters {r}": each(lambda x, source, r=r: letters(x, source, r)) for r in (0.002, 0.02, 0.1)}
    faults |= {f"shuffled {r}": each(lambda x, source, r=r: shuffled(x, source, r, " ")) for r in (0.05, 0.3, 1.0)}
    faults |= {f"repeat {k}": repeated(k) for k in (2, 8)}
    faults["loops"] = each(lambda x, _: (x[: STRETCH // 4] * 4)[:STRETCH])
    faults |= {f"swapped {r}": each(lambda x, source, r=r: swapped_words(x, source, r)) for r in (0.03, 0.3)}
    faults["lower case"] = each(lambda x, _: x.lower())
    faults["commas lost"] = each(lambda x, _: (x.replace(",", "") + x[:64])[:STRETCH])
    whole = "\n".join(read(path, ".txt"))[:MOST_TEXT]
    items = [whole[i : i + STRETCH] for i in range(0, len(whole) - STRETCH, STRETCH)]
    return of_passages(path, TextEvaluation, items, faults)


def code(path: Path) -> Cases:
    """Passages of programs."""
    faults: dict[str, Fault] = {"real": lambda x, _: x}
    faults |= {f"letters {r}": each(lambda x, source, r=r: letters(x, source, r)) for r in (0.001, 0.01, 0.1)}
    faults |= {f"lines shuffled {r}": each(lambda x, source, r=r: shuffled(x, source, r, "\n")) for r in (0.1, 1.0)}
    faults |= {f"words shuffled {r}": each(lambda x, source, r=r: shuffled(x, source, r, " ")) for r in (0.1, 0.5)}
    faults["no indentation"] = each(lambda x, _: "\n".join(line.lstrip() for line in x.split("\n")).ljust(STRETCH, "#"))
    faults["brackets lost"] = each(lambda x, _: (x.replace("(", " ").replace("[", " "))[:STRETCH])
    faults["repeat 8"] = repeated(8)
    endings = Counter(p.suffix for p in path.rglob("*") if p.is_file())
    ending = endings.most_common(1)[0][0]
    items = [stretch for text in read(path, ending) for stretch in stretches_of_blocks(text)]
    return of_passages(path, CodeEvaluation, items, faults, ending)


def read(path: Path, ending: str) -> list[str]:
    paths = [path] if path.is_file() else sorted(p for p in path.rglob("*") if p.suffix == ending)[:MOST_FILES]
    return [p.read_text(encoding="utf-8") for p in paths]


def stretches_of_blocks(text: str) -> Iterator[str]:
    """Stretches of a program that begin with a statement at the left edge, as generated ones do, side by side."""
    place = 0
    for start in [match.start() for match in re.finditer(r"^(?=[@a-zA-Z_])", text, re.MULTILINE)]:
        if place <= start <= len(text) - STRETCH:
            yield text[start : start + STRETCH]
            place = start + STRETCH


def of_passages(
    path: Path, evaluation: type[Evaluation[Any]], items: list[str], faults: dict[str, Fault], suffix: str = ""
) -> Cases:
    return Cases(path.stem, evaluation, items, faults, list, tfidf(), 10.0, PIECES, SimpleNamespace(suffix=suffix))


def records(path: Path) -> Cases:
    """One record a line."""
    faults = record_faults((0.01, 0.1, 0.4))
    faults["words backwards"] = each(lambda x, _: " ".join(x.split()[::-1]))
    return Cases(path.stem, TextEvaluation, lines(path), faults, list, tfidf(), 10.0)


def proteins(path: Path) -> Cases:
    """Sequences of a FASTA file, or of the files of a folder, compressed or not."""
    paths = sorted(p for p in path.rglob("*") if p.is_file()) if path.is_dir() else [path]
    contents = [p.read_bytes() for p in paths]
    whole = "".join((gzip.decompress(x) if x[:2] == b"\x1f\x8b" else x).decode() for x in contents)
    sequences = {"".join(record.split("\n")[1:]) for record in whole.split(">")[1:]}
    faults = record_faults((0.01, 0.05, 0.3))
    faults |= {f"shuffled {r}": each(lambda x, source, r=r: letters_shuffled(x, source, r)) for r in (0.1, 1.0)}
    return Cases(path.stem, ProteinEvaluation, some(sorted(sequences)), faults, list, tfidf(), 10.0)


def molecules(path: Path) -> Cases:
    """SMILES, one a line."""
    faults = record_faults((0.005, 0.03, 0.2))
    return Cases(path.stem, MoleculeEvaluation, lines(path), faults, list, tfidf(), 10.0)


def record_faults(rates: Sequence[float]) -> dict[str, Fault]:
    faults: dict[str, Fault] = {"real": lambda x, _: x}
    faults |= {f"letters {r}": each(lambda x, source, r=r: letters(x, source, r)) for r in rates}
    faults |= {f"repeat {k}": repeated(k) for k in (2, 8)}
    faults |= {f"cut to {s}": each(lambda x, _, s=s: x[: max(round(s * len(x)), 1)]) for s in (0.95, 0.8)}
    faults |= {f"short {s}": least(s, len) for s in (0.9, 0.5)}
    faults["backwards"] = each(lambda x, _: x[::-1])
    return faults


def lines(path: Path) -> list[str]:
    return some([line for line in dict.fromkeys(path.read_text(encoding="utf-8").split("\n")) if line])


def some(items: list[str]) -> list[str]:
    return [items[i] for i in np.random.default_rng(0).permutation(len(items))[:MOST_RECORDS]]


def tfidf() -> TfidfVectorizer:
    return TfidfVectorizer(analyzer=grams, sublinear_tf=True, min_df=2)


def grams(text: str) -> list[str]:
    """Runs of 1 to 5 characters, words and pairs of words, and the length."""
    words = text.split()
    runs = [text[i : i + width] for width in (1, 2, 3, 4, 5) for i in range(len(text) - width + 1)]
    pairs = [f"w:{a} {b}" for a, b in itertools.pairwise(words)]
    return [
        *runs,
        *(f"w:{w}" for w in words),
        *pairs,
        f"^{text[:2]}",
        f"{text[-2:]}$",
        f"length {len(text).bit_length()}",
    ]


def letters(text: str, source: Source, rate: float) -> str:
    """A share of the letters exchanged for letters of the same text."""
    characters = np.array(list(text))
    places = np.flatnonzero(source.random(len(characters)) < rate)
    characters[places] = characters[source.integers(0, len(characters), len(places))]
    return "".join(characters)


def letters_shuffled(text: str, source: Source, share: float) -> str:
    characters = np.array(list(text))
    places = np.flatnonzero(source.random(len(characters)) < share)
    characters[places] = characters[source.permutation(places)]
    return "".join(characters)


def shuffled(text: str, source: Source, share: float, separator: str) -> str:
    """A share of the words (or lines) in another order."""
    words = np.array(text.split(separator), dtype=object)
    places = np.flatnonzero(source.random(len(words)) < share)
    words[places] = words[source.permutation(places)]
    return separator.join(words)


def swapped_words(text: str, source: Source, share: float) -> str:
    """A share of the words exchanged with the next one: every word is known, the order is not English."""
    words, place = text.split(" "), 0
    while place + 1 < len(words):
        if source.random() < share:
            words[place], words[place + 1] = words[place + 1], words[place]
            place += 1
        place += 1
    return " ".join(words)
