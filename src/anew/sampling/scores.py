"""Scores of data under a model: of all data, of each file and of each record; as JSON and as CSV."""

from __future__ import annotations

import csv
import html
import io
import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from anew.core import files
from anew.core.arguments import new_file
from anew.core.wording import plural
from anew.errors import ConfigError

REPR_ITEMS = 5  # records or samples that `repr` shows at most, as pandas does
NOTEBOOK_ITEMS = 64  # records or samples that a notebook shows: more images make its file too large to open
FORMULA = ("=", "+", "-", "@", "\t", "\r")  # a spreadsheet takes a cell that begins so for a formula


@dataclass(frozen=True)
class Likelihood:
    """Likelihood of data under a model.

    Attributes:
        bits: -log2 of its probability, or the bound that the family gives.
        units: Number of units: characters, residues or dimensions.
        tokens: Number of tokens that were predicted, the end of a record included; 0 for a model without tokens.
    """

    bits: float
    units: float
    tokens: int = 0

    @property
    def bits_per_unit(self) -> float:
        """Bits per character, residue or dimension."""
        return self.bits / self.units if self.units else 0.0

    @property
    def bits_per_token(self) -> float:
        """Bits per predicted token; 0 for a model without tokens."""
        return self.bits / self.tokens if self.tokens else 0.0

    @property
    def log_likelihood(self) -> float:
        """Log-likelihood in nats."""
        return -self.bits * math.log(2.0)

    def figures(self, unit: str) -> dict[str, object]:
        """The figures as JSON values, with names that contain the unit."""
        counted: dict[str, object] = {"tokens": self.tokens} if self.tokens else {}
        per_token = {"bits_per_token": self.bits_per_token} if self.tokens else {}
        measured = {"log_likelihood": self.log_likelihood, "bits": self.bits}
        return {**counted, f"{unit}s": self.units, **measured, **per_token, f"bits_per_{unit}": self.bits_per_unit}


@dataclass(frozen=True)
class ItemScore(Likelihood):
    """The likelihood of one record.

    Attributes:
        file: Path of its file; "" for an item that was given directly.
        record: Number of the record in its file or in the list, from 1; of a list in a file, that of its line.
        name: Its name in the file (the first word of a FASTA header), or "".
        in_training: Whether the model was trained on it; None if that is not known.
    """

    file: str = ""
    record: int = 1
    name: str = ""
    in_training: bool | None = None

    def to_json(self, unit: str) -> dict[str, object]:
        """As JSON values, named after the unit."""
        file = {"file": self.file} if self.file else {}
        name = {"name": self.name} if self.name else {}
        training = {} if self.in_training is None else {"in_training": self.in_training}
        return {**file, "record": self.record, **name, **self.figures(unit), **training}


@dataclass(frozen=True)
class FileScore(Likelihood):
    """The likelihood of all records of a file.

    Attributes:
        file: Path of the file in the data.
        records: Number of its records.
    """

    file: str = ""
    records: int = 0

    def to_json(self, unit: str) -> dict[str, object]:
        """As JSON values, named after the unit."""
        return {"file": self.file, "records": self.records, **self.figures(unit)}


@dataclass(frozen=True, repr=False)
class Scores:
    """The likelihood of data under a model.

    Attributes:
        unit: Unit by which bits are divided: "character", "residue" or "dimension".
        bits: Bits of all the data.
        units: Number of units of the data.
        bits_per_unit_by_part: Bits per unit of parts of a mixed model alone, by name.
        bound: "exact", or "an upper bound" of the bits (a lower bound of the log-likelihood).
        items: Scores of each record, if items were given or `per_item` was set; else empty.
        skipped: Number of items that could not be used.
        notes: Sentences that say which, and why.
        tokens: Number of tokens that were predicted; 0 for a model without tokens.
        files: Scores of each file, in order; empty if items were given, or `limit` was.
    """

    unit: str
    bits: float
    units: float
    bits_per_unit_by_part: dict[str, float]
    bound: str
    items: tuple[ItemScore, ...] = ()
    skipped: int = 0
    notes: tuple[str, ...] = ()
    tokens: int = 0
    files: tuple[FileScore, ...] = ()

    @property
    def bits_per_unit(self) -> float:
        """Bits per character, residue or dimension of all the data."""
        return self.bits / self.units

    @property
    def log_likelihood(self) -> float:
        """Log-likelihood in nats."""
        return -self.bits * math.log(2.0)

    def __repr__(self) -> str:
        rows = [f"  {item.record}  {item.bits_per_unit:.4g}" for item in self.items[:REPR_ITEMS]]
        more = ["  ..."] if len(self.items) > REPR_ITEMS else []
        return "\n".join([f"Scores({', '.join(self._facts())})", *rows, *more, *(f"  {note}" for note in self.notes)])

    def _repr_html_(self) -> str:
        """HTML for notebooks: the figures, and a row for each of the first records."""
        rows = "".join(f"<tr><td>{item.record}<td>{item.bits_per_unit:.4g}" for item in self.items[:NOTEBOOK_ITEMS])
        table = f"<table><tr><th>record<th>bits per {self.unit}{rows}</table>" if rows else ""
        notes = "".join(f"<p>{html.escape(note)}</p>" for note in self.notes)
        return f"<p><b>{', '.join(self._facts())}</b></p>{table}{notes}"

    def _facts(self) -> list[str]:
        """The figures of all the data in words."""
        records = [plural(len(self.items), "record")] if self.items else []
        return [
            f"{self.bits_per_unit:.4g} bits per {self.unit}",
            self.bound,
            plural(round(self.units), self.unit),
            *records,
        ]

    def to_json(self) -> dict[str, object]:
        """JSON values, with names that contain the unit: `bits_per_character`, `characters`, ..."""
        name = f"bits_per_{self.unit}"
        parts = {f"{name}_{part}": value for part, value in self.bits_per_unit_by_part.items()}
        tokens = {"tokens": self.tokens} if self.tokens else {}
        totals = {name: self.bits_per_unit, **parts, f"{self.unit}s": self.units, **tokens}
        totals |= {"bits": self.bits, "log_likelihood": self.log_likelihood}
        scores = {"files": [file.to_json(self.unit) for file in self.files]} if self.files else {}
        scores |= {"items": [item.to_json(self.unit) for item in self.items]} if self.items else {}
        return {**totals, **scores, "bound": self.bound, "skipped": self.skipped, "notes": list(self.notes)}

    def to_csv(self) -> str:
        """A CSV table with one row per record: its place, tokens and units, log-likelihood in nats, bits, and whether it was trained on.

        Raises:
            ConfigError: The scores were not kept per record.
        """
        if not self.items:
            raise ConfigError("these scores are not per record; set `per_item`")
        training = ["in_training"] if any(item.in_training is not None for item in self.items) else []
        name_columns = ["name"] if any(item.name for item in self.items) else []
        names = ["file", "record", *name_columns, "tokens", f"{self.unit}s", "log_likelihood", "bits"]
        names += ["bits_per_token", f"bits_per_{self.unit}", *training]
        if not self.tokens:
            names = [name for name in names if "token" not in name]
        table = io.StringIO()
        writer = csv.DictWriter(table, names, restval="", lineterminator="\n")
        writer.writeheader()
        for item in self.items:
            row = item.to_json(self.unit)
            writer.writerow({key: _cell(value) for key, value in row.items()})
        return table.getvalue()

    def save(self, path: str | Path) -> Path:
        """Write `to_csv` into a new file.

        Args:
            path: Path of the file; its folder is made if missing.

        Returns:
            The path of the file.

        Raises:
            ConfigError: The file exists, or its folder cannot be made.
        """
        target = new_csv_file(path)
        files.write_text(target, self.to_csv())
        return target


def _cell(value: object) -> object:
    """A value for a cell. Names come from the data, so those that look like a formula are quoted to be safe."""
    if isinstance(value, float):
        return int(value) if value.is_integer() else f"{value:.10g}"  # counts are exact
    return f"'{value}" if isinstance(value, str) and value.startswith(FORMULA) else value


def new_csv_file(path: str | Path) -> Path:
    """A CSV file that does not exist yet, see `arguments.new_file`."""
    return new_file(path, ".csv", "; with `json`, the figures are printed as JSON")


def by_file(items: Iterable[ItemScore]) -> tuple[FileScore, ...]:
    """The sums over each file, in natural order: 2 before 10."""
    records: dict[str, list[ItemScore]] = {}
    for item in items:
        records.setdefault(item.file, []).append(item)
    return tuple(
        FileScore(
            bits=sum(item.bits for item in members),
            units=sum(item.units for item in members),
            tokens=sum(item.tokens for item in members),
            file=file,
            records=len(members),
        )
        for file, members in sorted(records.items(), key=lambda pair: natural_key(pair[0]))
    )


def training_notes(items: Sequence[ItemScore], unit: str, noun: str) -> list[str]:
    """A sentence on how many of these items were trained on, if any are known to be. noun: what one item is."""
    num_trained = sum(item.in_training is True for item in items)
    if not num_trained:
        return []
    subject = f"{num_trained:,} of {plural(len(items), noun)}"
    trained_on = f"is a training {noun}" if num_trained == 1 else f"are training {noun}s"
    note = f"{subject} {trained_on}, whose likelihood says nothing about new data"
    new = [item for item in items if item.in_training is False]
    bits, units = sum(item.bits for item in new), sum(item.units for item in new)
    return [f"{note}; those that are not take {bits / units:.4g} bits per {unit}." if units else f"{note}."]


def natural_key(name: str) -> list[tuple[int, str]]:
    """A sort key for names in natural order, where numbers are compared by their values."""
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in re.split(r"(\d+)", name)]
