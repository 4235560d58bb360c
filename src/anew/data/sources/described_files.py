"""Files that a table beside them describes: `metadata.csv|jsonl|parquet`, or a small one that names images (`labels.csv`)."""

from __future__ import annotations

import posixpath
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from anew.core.wording import are, plural
from anew.data.file_names import suffix_of
from anew.data.sources.base import MAX_NAMED_TABLES, SAMPLE_ITEMS, TABLE_SUFFIXES
from anew.data.sources.listing import File, FileTable
from anew.errors import DataError

MAX_NAMING_BYTES = 64 * 1024 * 1024  # size of a table that may name the image files next to it; chosen: a million names
MAX_NAMED = 3  # tables that a note on missing files names
_METADATA = frozenset({"metadata.csv", "metadata.jsonl", "metadata.parquet"})


class DescribedFiles(NamedTuple):
    """Files that are data, without the tables that describe them.

    Attributes:
        files: The files.
        classes: The class of each described file by its path; None where its table gives none.
        notes: Sentences on damaged tables, and on files that tables name and the folder does not hold.
    """

    files: FileTable
    classes: dict[str, str | None]
    notes: list[str]


def described_files(root: Path, files: FileTable) -> DescribedFiles:
    """Read the tables that describe other files.

    Args:
        root: The folder that paths are relative to.

    Raises:
        DataError: None of these tables can be read.
    """
    describing = _describing_tables(root, files)
    if not describing:
        return DescribedFiles(files, {}, [])
    from anew.data.sources import tables

    classes: dict[str, str | None] = {}
    errors: list[DataError] = []
    for table in describing:
        folder = PurePosixPath(table.path).parent
        try:
            rows = tables.metadata(root / table.path)
        except DataError as error:
            errors.append(error)
            continue
        classes |= {posixpath.normpath(folder / name): label for name, label in rows.items()}
    if len(errors) == len(describing):
        raise errors[0]
    paths = {table.path for table in describing}
    data = files.with_paths(lambda path: path not in paths)
    missing = set(classes)
    missing.difference_update(data.paths)
    return DescribedFiles(data, classes, _damage_notes(errors) + _missing_notes(sorted(missing), describing))


def _describing_tables(root: Path, files: FileTable) -> list[File]:
    """The tables that describe other files, in the order of paths; [] if there are only tables, which are data."""
    listed = files.take(files.paths.named(suffix_of, TABLE_SUFFIXES.__contains__))
    if not listed or len(listed) == len(files):
        return []
    from anew.data.sources import tables

    by_name = {table for table in listed if PurePosixPath(table.path).name.lower() in _METADATA}
    small = [t for t in listed if suffix_of(t.path) != ".parquet" and t.bytes <= MAX_NAMING_BYTES][:SAMPLE_ITEMS]
    by_content = {table for table in small if table not in by_name and tables.names_files(root / table.path)}
    return sorted(by_name | by_content)


def _damage_notes(errors: Sequence[DataError]) -> list[str]:
    """Sentences on tables that cannot be read."""
    notes = [f"{error}; what it describes has no class." for error in errors[:MAX_NAMED_TABLES]]
    more = [f"{len(errors)} tables cannot be read in all."] if len(errors) > MAX_NAMED_TABLES else []
    return notes + more


def _missing_notes(names: Sequence[str], tables: Sequence[File]) -> list[str]:
    """A sentence on files that tables name but the folder does not hold, if there are any. Files outside of the folder are never read."""
    if not names:
        return []
    table_names = " and ".join(table.path for table in tables[:MAX_NAMED])
    num_outside = sum(name.startswith(("../", "/")) for name in names)
    outside = f", {num_outside} of them outside the folder" if num_outside else ""
    named, verb = f"{plural(len(names), 'file')} that {table_names} names", are(len(names))
    return [f"{named} {verb} not in the folder and {verb} left out{outside}; the first is {names[0]!r}."]
