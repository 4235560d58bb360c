"""Files in a data folder that are not data: descriptions, and leftovers of file managers."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import PurePosixPath

import numpy as np

from anew.core.wording import are
from anew.data.file_names import folder_of, suffix_of
from anew.data.sources.listing import File, FileTable

# Words that begin other titles ("Copying Beethoven.txt", "Sources of Chinese Tradition.txt") only where they stand alone
_DESCRIPTION = re.compile(
    r"(readme|licen[cs]e|citation|changelog|attribution)([-_ .][^/]*)?|(copying|notice|sources?)([-_.0-9][^/ ]*)?",
    re.IGNORECASE,
)
_TEXT_ENDINGS = frozenset({"", ".txt", ".md", ".rst", ".html"})
_LEFTOVERS = ("thumbs.db", "desktop.ini", "ehthumbs.db")  # files of file managers; those of macOS are hidden
_LEFTOVER_SUFFIXES = frozenset(map(suffix_of, _LEFTOVERS))
_MAX_NAMED = 3  # files that a sentence names

CONVERSIONS = {
    **dict.fromkeys((".docx", ".doc", ".odt", ".rtf", ".pdf", ".epub", ".pages"), "plain text (.txt)"),
    **{f"{suffix}.gz": suffix for suffix in (".csv", ".tsv", ".jsonl", ".ndjson")},
    **dict.fromkeys((".xlsx", ".xls", ".ods", ".numbers"), "CSV (.csv)"),
    **dict.fromkeys((".h5", ".hdf5", ".mat"), "PNG, WAV, text, or images in a NumPy array (.npy)"),
}
# Archives that are not read beside other files, and what else than unpacking them is possible
PACKED = {".zip": ", or give one of them by itself", ".7z": "", ".rar": ""}


def drop_side_files(files: Sequence[File]) -> tuple[FileTable, list[str]]:
    """The files that are data, and a sentence on those that describe it.

    A file with such a name (`README.md`, `LICENSE`, `SOURCE.txt`) is a description only at the top of the folder and beside other
    files: a file that was given by itself, and the READMEs of many projects, are data.
    """
    table = FileTable.of(files)
    data = table.without(table.ending(_LEFTOVER_SUFFIXES, _is_leftover))
    at_top = data.paths.named(folder_of, lambda folder: not folder)
    numbers = at_top[np.array([_is_description(path) for path in data.paths.take(at_top)], dtype=np.bool_)]
    if not len(numbers):
        return data or table, []
    described, names = data.without(numbers), list(data.take(numbers).paths)
    if not described.sizes.any():
        return data, []
    more = f" and {len(names) - _MAX_NAMED} more" if len(names) > _MAX_NAMED else ""
    return described, [
        f"{', '.join(names[:_MAX_NAMED])}{more} {are(len(names))} ignored: by its name, such a file describes the data (to train on "
        "it, give it by itself)."
    ]


def _is_leftover(path: str) -> bool:
    return path[path.rfind("/") + 1 :].lower() in _LEFTOVERS


def _is_description(name: str) -> bool:
    return PurePosixPath(name).suffix.lower() in _TEXT_ENDINGS and bool(_DESCRIPTION.fullmatch(name))
