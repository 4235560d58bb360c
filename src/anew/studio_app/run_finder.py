"""Finds the runs below a folder. Repeated searches are cheap: a folder is listed again only when its entries changed."""

from __future__ import annotations

import itertools
import os
from dataclasses import dataclass
from pathlib import Path

from anew.runs.paths import CONFIG
from anew.workflows.inspect_run import is_run

# Levels of folders below the root: `runs/`, a project, a comparison; deeper folders are mostly data.
DEPTH = 3
MAX_ENTRIES = 20_000  # of a folder that are read: a larger folder holds data
MAX_FOLDERS = 5_000  # that are searched: a home folder has more, and the page waits for the list; chosen


@dataclass(slots=True)
class _FolderContents:
    """Contents of a folder whose modification time was `stamp`."""

    stamp: int
    folders: list[str]
    has_config: bool


class RunFinder:
    """Finds runs below a folder."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._listings: dict[str, _FolderContents] = {}
        self._is_run: dict[str, tuple[int, bool]] = {}

    def find(self) -> list[Path]:
        """The folders of all runs, sorted by name."""
        runs: list[Path] = []
        listings: dict[str, _FolderContents] = {}
        pending = [(str(self.root), 0)]
        while pending and len(listings) < MAX_FOLDERS:
            folder, depth = pending.pop()
            listing = self._listing(folder)
            if listing is None:
                continue
            listings[folder] = listing
            if listing.has_config and self._holds_run(folder):
                runs.append(Path(folder))
            elif depth < DEPTH:
                pending += [(os.path.join(folder, name), depth + 1) for name in listing.folders]
        self._listings = listings
        self._is_run = {folder: value for folder, value in self._is_run.items() if folder in listings}
        return sorted(runs)

    def _listing(self, folder: str) -> _FolderContents | None:
        """Contents of a folder; None if it cannot be read."""
        try:
            stamp = os.stat(folder).st_mtime_ns
            cached = self._listings.get(folder)
            if cached is not None and cached.stamp == stamp:
                return cached
            with os.scandir(folder) as entries:
                first = list(itertools.islice(entries, MAX_ENTRIES))
            folders = [e.name for e in first if not e.name.startswith(".") and e.is_dir(follow_symlinks=False)]
            return _FolderContents(stamp, folders, any(entry.name == CONFIG for entry in first))
        except OSError:
            return None

    def _holds_run(self, folder: str) -> bool:
        try:
            stamp = os.lstat(os.path.join(folder, CONFIG)).st_mtime_ns
        except OSError:
            return False
        cached = self._is_run.get(folder)
        if cached is None or cached[0] != stamp:
            cached = self._is_run[folder] = (stamp, is_run(Path(folder)))
        return cached[1]
