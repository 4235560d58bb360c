"""What a model drew: items, ordinary files of them, and how they look in a notebook."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from anew.core import files
from anew.core.arguments import optional_text, path
from anew.core.settings import check_int
from anew.data.modality import Modality
from anew.data.types import Artifact
from anew.errors import ConfigError

SHEET = 100  # images on one sheet


class Samples(Sequence[Any]):
    """New items, as people see them (str, or arrays), and as ordinary files. modality: how they are drawn."""

    def __init__(
        self, items: list[Any], artifacts: list[Artifact], labels: list[str | None], modality: Modality
    ) -> None:
        self._items = items
        self.artifacts = artifacts
        self.labels = labels
        self.modality = modality

    def __getitem__(self, index: Any) -> Any:
        return self._items[index]

    def __len__(self) -> int:
        return len(self._items)

    def head(self, n: int) -> Samples:
        """The first n."""
        n = check_int("n", n)
        return Samples(self._items[:n], self.artifacts[:n], self.labels[:n], self.modality)

    def with_more(self, more: Samples) -> Samples:
        """These and then the others."""
        artifacts, labels = [*self.artifacts, *more.artifacts], [*self.labels, *more.labels]
        return Samples([*self._items, *more._items], artifacts, labels, self.modality)

    def pictures(self) -> list[Any] | None:
        """(H, W) or (H, W, C) uint8 of each; None where samples are read, not looked at."""
        found = self.modality.pictures(self._items)
        return None if isinstance(found[0], str) else found

    def save(self, folder: str | Path) -> list[Path]:
        """Write one file a sample (one of all, where such items are kept so) into the folder, made if missing, and beside it
        its other formats; returns the paths of the first."""
        target = _made(folder)
        joint = self.modality.merge_files(self.artifacts, self.labels)
        if joint is not None:
            return [files.write_inside(target, f"samples{joint.suffix}", joint.data)]
        digits = max(4, len(str(len(self.artifacts) - 1)))
        paths = []
        for index, artifact in enumerate(self.artifacts):
            label = self.labels[index]
            stem = f"{index:0{digits}d}" if label is None else f"{index:0{digits}d}-{_safe(label)}"
            paths.append(files.write_inside(target, f"{stem}{artifact.suffix}", artifact.data))
            for other in artifact.also:
                files.write_inside(target, f"{stem}{other.suffix}", other.data)
        return paths

    @property
    def on_sheet(self) -> int:
        """How many `save_sheet` shows, the first."""
        return len(self) if self.head(1).pictures() is None else min(SHEET, len(self))

    def save_sheet(self, folder: str | Path, stem: str = "all") -> Path:
        """Samples in one file to look at: a sheet of pictures of the first, or one text (a record a line for short records)."""
        target, stem = _made(folder), optional_text("stem", stem) or ""
        if Path(stem).name != stem:
            raise ConfigError(f"`stem` must be the beginning of a file's name (got {stem!r})")
        pictures = self.head(SHEET).pictures()
        if pictures is not None:
            from anew.evaluation.reporting.sheet import sheet

            place, data = target / f"{stem}.png", sheet(pictures)
        else:
            short = all("\n" not in str(i) and len(str(i)) < 200 for i in self._items)
            between = "\n" if short else "\n\n----\n\n"
            place, data = target / f"{stem}.txt", between.join(map(str, self._items)).encode()
        files.write(place, data)
        return place

    def _repr_html_(self) -> str:
        return f"<div>{''.join(artifact.html() for artifact in self.artifacts[:64])}</div>"


def _made(folder: str | Path) -> Path:
    """A folder to write samples into. The user may name a link to one; that of a run is none, see `RunFolder.open`."""
    target = path("folder", folder)
    try:
        target.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(f"cannot make the folder {str(folder)!r} ({error.strerror}); give another") from None
    return target


def _safe(label: str) -> str:
    return "".join(c if c.isalnum() or c in "-_" else "_" for c in label)[:60] or "label"
