"""Runs and comparisons of Anew in a data folder. They are left out, since samples of a model are not data."""

from __future__ import annotations

import os.path
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

from anew.core import files as stored
from anew.core.files import JsonValue
from anew.core.own_folders import COMPARISON_MARK, RUN_MARK, is_comparison_request, is_run_config
from anew.core.wording import listed, plural
from anew.data.file_names import suffix_of
from anew.data.sources.listing import FileTable
from anew.data.types import SkippedItem
from anew.errors import DataError, RunError

MAX_NAMED = 3  # runs that a sentence names
_MARK_SUFFIXES = frozenset(map(suffix_of, (RUN_MARK, COMPARISON_MARK)))


def drop_own_folders(text: str, root: Path, files: FileTable) -> tuple[FileTable, list[SkippedItem]]:
    """The files outside of runs and comparisons below `root`, and an entry for each of those.

    Args:
        text: The path as the user gave it.
        root: The folder that paths are relative to.

    Raises:
        DataError: There are no other files.
    """
    is_mark = files.ending(_MARK_SUFFIXES, lambda path: path.endswith((f"/{RUN_MARK}", f"/{COMPARISON_MARK}")))
    marks = files.paths.take(is_mark)
    noun_of = {path.rpartition("/")[0]: noun for path in marks if (noun := _noun_of(root / path))}
    if not noun_of:
        return files, []
    outermost = {folder: noun for folder, noun in noun_of.items() if not _is_below(folder, noun_of)}
    skipped = [
        SkippedItem(folder, f"it is a {noun} that Anew made, not data") for folder, noun in sorted(outermost.items())
    ]
    others = files.with_paths(lambda path: not _is_below(path, noun_of))
    if not others:
        raise DataError(_own_folders_alone(text, outermost))
    return others, skipped


def _own_folders_alone(text: str, own: Mapping[str, str]) -> str:
    """A sentence on a folder that holds runs and comparisons alone. own: "run" or "comparison" by folder."""
    counts = Counter(own.values())
    holds = listed([plural(counts[noun], noun) for noun in ("run", "comparison") if noun in counts])
    names = [*sorted(own)[:MAX_NAMED], *(["others"] if len(own) > MAX_NAMED else [])]
    return (
        f"{text!r} holds no data, but {holds} that Anew made: {listed(names)}; look at one of them, or give the data that "
        "they were made from"
    )


def _is_below(path: str, folders: dict[str, str]) -> bool:
    while "/" in path:
        path = path.rpartition("/")[0]
        if path in folders:
            return True
    return False


def _noun_of(mark: Path) -> str:
    """The kind of folder that a file named RUN_MARK or COMPARISON_MARK marks; "" if Anew did not write it."""
    value = _json_of(mark)
    if mark.name == RUN_MARK:
        return "run" if is_run_config(value) else ""
    return "comparison" if is_comparison_request(value) else ""


def _json_of(path: Path) -> JsonValue:
    """The JSON value in a file; None if it cannot be read."""
    try:
        return stored.read_json(path)
    except RunError:
        return None


def refuse_own_folder(text: str, place: Path, files: FileTable) -> None:
    """Raise DataError if the data is itself a run or a comparison.

    Args:
        text: The path as the user gave it.
        place: The folder, or a file.
    """
    if not place.is_dir():
        return
    marks = (RUN_MARK, COMPARISON_MARK)
    mark_paths = files.paths.take(files.ending(_MARK_SUFFIXES, marks.__contains__))
    nouns = [_noun_of(place / mark) for mark in mark_paths]
    if "comparison" in nouns:
        raise DataError(f"{text!r} is a comparison that Anew made, not data; give the data that it was made from")
    if "run" in nouns:
        data = f"the data that it was trained on{_data_phrase(place)}"
        raise DataError(
            f"{text!r} is a run that Anew made, not data; did you mean {data}, or samples that were drawn from it?"
        )


def _data_phrase(run: Path) -> str:
    """`, 'PATH'` of the data that a run names; "" if it names none."""
    value = _json_of(run / RUN_MARK)
    request = value.get("request") if is_run_config(value) else None
    data = request.get("data") if isinstance(request, dict) else None
    if not isinstance(data, str):
        return ""
    # Runs name data by its place relative to their own folder.
    return f", {os.path.normpath(run.resolve() / data) if data.startswith(('./', '../')) else data!r}"
