"""Duplicates in a folder of samples: the same sample in another format, or on a sheet of many."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Sequence

from anew.data.file_names import suffix_of
from anew.data.modality import Modality
from anew.data.sources.listing import File

_SINGLE = re.compile(r"samples|\d{4,}(-.*)?")  # names that `Samples.save` gives to single samples
_SHEET = re.compile(r"all|final|sheet|step-\d{8}")  # names of sheets of samples and of previews


def drop_duplicate_formats(
    files: Sequence[File], modality: type[Modality], names: Iterable[str]
) -> tuple[list[File], list[str]]:
    """Drop sheets that lie next to single samples and, except for text, files that differ from another only in their suffix.

    Args:
        files: Files of one modality.
        names: Paths of all files of the folder.

    Returns:
        The remaining files, and sentences on those left out.
    """
    folders = {_stem(name)[0] for name in names if _SINGLE.fullmatch(_stem(name)[1])}  # folders of single samples
    sheets = [f for f in files if _stem(f.path)[0] in folders and _SHEET.fullmatch(_stem(f.path)[1])]
    set_aside = set(sheets)
    singles = [f for f in files if f not in set_aside]
    notes = [f"Left out, since each sample is also a file of its own: {_name_files(sheets)}."] if sheets else []
    if modality.traits.is_text:  # `list.c` and `list.h` are two samples
        return singles, notes
    by_stem: dict[tuple[str, str], list[File]] = defaultdict(list)
    for file in singles:
        by_stem[_stem(file.path)].append(file)

    def preference(file: File) -> tuple[bool, bool, int]:
        # A format that belongs to this modality only is better (a GIF may be an image), then the largest file.
        is_exact = bool(_SINGLE.fullmatch(_stem(file.path)[1])) and suffix_of(file.path) == modality.traits.exact_suffix
        return is_exact, suffix_of(file.path) in modality.suffixes, file.bytes

    best = {max(copies, key=preference) for copies in by_stem.values()}
    duplicates = [f for f in singles if f not in best]
    if duplicates:
        notes.append(f"Left out, since another sample differs only in the suffix: {_name_files(duplicates)}.")
    return [f for f in singles if f in best], notes


def _stem(path: str) -> tuple[str, str]:
    """(folder, name without its suffix)."""
    folder, _, name = path.rpartition("/")
    return folder, name[: len(name) - len(suffix_of(name))]


def _name_files(files: Sequence[File]) -> str:
    return files[0].path if len(files) == 1 else f"{files[0].path} and {len(files) - 1} more"
