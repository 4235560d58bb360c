"""The classes of the files of a folder: what a table says of each, else its folder, else the first word of its name."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from anew.core.stores.text_column import coded, different
from anew.data.file_names import Parts, folder_of, label_of, part_of, shared_folder

NAME_CLASSES_RANGE = (2, 100)  # least and most classes that file names may give; chosen
MIN_FILES_PER_NAME = 5  # least files of each such class; chosen
_NAMED = re.compile(r"([^\W_]+)(?:[-_ ].*)?[-_ ]\d+")


class FileClasses:
    """The class of each file.

    Attributes:
        notes: A sentence on names that give the classes; empty where they do not.
    """

    def __init__(
        self,
        paths: Sequence[str],
        parts: Parts,
        by_path: Mapping[str, str | None],
        *,
        may_be_words: bool = False,
    ) -> None:
        """
        Args:
            paths: The files.
            parts: Which part each of them belongs to.
            by_path: Classes from tables, by path. Where it is empty, folders give the classes.
            may_be_words: Whether the first words of names give the classes where nothing else does.
        """
        self._parts, self._by_path = parts, by_path
        self._shared_folder = shared_folder(paths)  # it holds all files, and is not a class
        self._labels: dict[str, tuple[str | None, str | None]] = {}  # see `_labels_of_folder`
        self._are_words = False
        folders = () if by_path else different(paths, folder_of)
        # Where no folder has the name of a part, a file has the class of its folder
        self._are_folders = not by_path and all(a == b for a, b in map(self._labels_of_folder, folders))
        self.notes = self._take_words(paths) if may_be_words else []

    def label(self, path: str) -> str | None:
        """The class of a file; None without one."""
        if self._by_path:  # files that no table describes have no class, whatever their folder
            return self._by_path.get(path)
        if self._are_words:
            return _first_word(path)
        label, undivided = self._labels_of_folder(folder_of(path))
        # The parts in a path are looked up where they matter alone: that takes time, with a million files.
        if label == undivided:
            return label
        return label if self._parts.part(path) is not None or part_of(path) is None else undivided

    def labels(self, paths: Sequence[str]) -> list[str | None]:
        """The class of each of these files."""
        if not self._are_folders:
            return [self.label(path) for path in paths]
        folders, codes = coded(paths, folder_of)
        known = self._labels
        return [known[folders[code]][0] for code in codes.tolist()]

    def different(self, paths: Sequence[str]) -> tuple[str, ...]:
        """The different classes of these files, in order."""
        if self._are_folders:
            labels = {self._labels_of_folder(folder)[0] for folder in different(paths, folder_of)}
        else:
            labels = {self.label(path) for path in paths}
        return tuple(sorted(label for label in labels if label is not None))

    def _labels_of_folder(self, folder: str) -> tuple[str | None, str | None]:
        """The class that a folder names, and the one where folders with names of parts are classes."""
        if folder not in self._labels:
            below = folder.removeprefix(self._shared_folder)
            self._labels[folder] = label_of(below), label_of(below, has_parts=False)
        return self._labels[folder]

    def _take_words(self, paths: Sequence[str]) -> list[str]:
        """Without any other classes, take the first word of file names (`dog_3.wav`, `0_anna_12.wav`) as classes, if all have one."""
        if self._by_path or len(paths) < 2 or self.different(paths):
            return []
        counts = Counter(map(_first_word, paths))
        low, high = NAME_CLASSES_RANGE
        if None in counts or not low <= len(counts) <= high or min(counts.values()) < MIN_FILES_PER_NAME:
            return []
        self._are_words, self._are_folders = True, False
        path = paths[0]
        return [
            f"The first word of every file name is taken as a class ({_first_word(path)!r} of {Path(path).name!r}), "
            f"{len(counts)} in all, since every name ends with a number; the setting labels=off learns none."
        ]


def _first_word(path: str) -> str | None:
    """The first word of a file name that ends with a number."""
    match = _NAMED.fullmatch(Path(path).stem)
    return match.group(1) if match else None
