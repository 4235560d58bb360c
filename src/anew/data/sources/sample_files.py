"""Duplicates in a folder of samples: the same sample in another format, or on a sheet of many."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Sequence

from anew.data.file_names import suffix_of
from anew.data.modality import Modality
from anew.data.sources.listing import File

_SINGLE = re.compile(r"samples|\d{4,}(-.*)?")  # as `Samples.save` names what a sheet shows
_SHEET = re.compile(r"all|final|sheet|step-\d{8}")  # as sheets of samples and previews are named


def drop_duplicate_formats(
    files: Sequence[File], modality: type[Modality], names: Iterable[str]
) -> tuple[list[File], list[str]]:
    """The files of one kind without sheets that lie next to single samples and, of media, without files that differ from
    another in their ending alone; and sentences on those left out. names: all files of the folder, of whatever kind."""
    apart = {_stem(name)[0] for name in names if _SINGLE.fullmatch(_stem(name)[1])}
    sheets = [f for f in files if _stem(f.path)[0] in apart and _SHEET.fullmatch(_stem(f.path)[1])]
    kept = [f for f in files if f not in set(sheets)]
    notes = [f"left out: {_listed(sheets)}, sheets of the samples beside them"] if sheets else []
    if modality.traits.is_text:  # `list.c` and `list.h` are two
        return kept, notes
    same: dict[tuple[str, str], list[File]] = defaultdict(list)
    for file in kept:
        same[_stem(file.path)].append(file)
    # The format that is this kind's alone (a GIF may be an image), then what was packed the least.
    best = {max(copies, key=lambda f: (suffix_of(f.path) in modality.suffixes, f.bytes)) for copies in same.values()}
    again = [f for f in kept if f not in best]
    if again:
        notes.append(f"left out: {_listed(again)}, which differ from another sample only in their extension")
    return [f for f in kept if f in best], notes


def _stem(path: str) -> tuple[str, str]:
    """(folder, name without its ending)."""
    folder, _, name = path.rpartition("/")
    return folder, name[: len(name) - len(suffix_of(name))]


def _listed(files: Sequence[File]) -> str:
    return files[0].path if len(files) == 1 else f"{files[0].path} and {len(files) - 1} more"
