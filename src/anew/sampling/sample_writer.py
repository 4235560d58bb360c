"""Samples written into a folder as they are drawn, so that they are never all in memory."""

from __future__ import annotations

import contextlib
import json
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from anew.core import files
from anew.core.files import GrowingFile, clause
from anew.data.types import Artifact
from anew.errors import RunError
from anew.sampling.origins import SidePieces, side_name
from anew.sampling.samples import (
    LINE_SEPARATOR,
    PASSAGE_SEPARATOR,
    SHEET_SIZE,
    SYNCED_ONE_BY_ONE,
    Samples,
    bare,
    fits_one_line,
    joint_file,
    named_files,
)


class SampleWriter:
    """Writes samples into a folder in parts. The files are those that `save`, `save_sheet` and `save_sprite_sheet` of all samples
    write; files of the same names are replaced. Files that hold or show many samples have their names once `finish` is called.

    Args:
        folder: An existing folder.
        planned: About how many samples there will be.
        has_sheets: Whether sheets are written, too, if there is more than one file.

    Attributes:
        count: Number of samples so far.
        paths: The first file, and the last one if there are more.
        sheet, sprite_sheet: What `finish` wrote of them.
    """

    def __init__(self, folder: Path, planned: int, *, has_sheets: bool) -> None:
        self.count = 0
        self.paths: list[Path] = []
        self.sheet: Path | None = None
        self.sprite_sheet: list[Path] = []
        self._folder = folder
        self._one_by_one = planned <= SYNCED_ONE_BY_ONE or not files.syncs_all()
        self._has_sheets = has_sheets
        self._joint: GrowingFile | None = None
        self._side: GrowingFile | None = None
        self._side_pieces = SidePieces()
        self._shown: Samples | None = None  # the first ones, for sheets
        self._texts: _TextSheet | None = None

    def close(self) -> None:
        """Delete what is not finished."""
        for growing in (self._joint, self._side):
            if growing is not None:
                growing.discard()
        if self._texts is not None:
            self._texts.close()

    def add(self, samples: Samples) -> list[Path]:
        """Write samples, which follow those before.

        Returns:
            The path of each sample's first file, or of the one file.

        Raises:
            RunError: They cannot be written.
        """
        joint = joint_file(samples, continues=self._joint is not None)
        paths = self._add_files(samples) if joint is None else [self._add_joint(*joint.popitem())]
        self._add_origins(samples, [path.name for path in paths])
        self.count += len(samples)
        self.paths = [self.paths[0], paths[-1]] if self.paths and joint is None else [paths[0], *paths[1:][-1:]]
        if self._has_sheets and joint is None:
            self._keep_for_sheets(samples)
        return paths

    @property
    def num_on_sheet(self) -> int:
        """Number of samples that the sheet shows, from the first."""
        return self.count if self._shown is None else min(SHEET_SIZE, self.count)

    def _add_files(self, samples: Samples) -> list[Path]:
        paths = []
        for names in named_files(samples):
            written = [
                files.write_inside(self._folder, name, artifact.data, sync=self._one_by_one)
                for name, artifact in names.items()
            ]
            paths.append(written[0])
        return paths

    def _add_joint(self, name: str, joint: Artifact) -> Path:
        if self._joint is None:
            self._joint = GrowingFile(files.place_inside(self._folder, name))
        self._joint.add(joint.data)
        return self._joint.path

    def _add_origins(self, samples: Samples, names: Sequence[str]) -> None:
        if not samples.origins or samples.modality.traits.files_hold_comments:
            return
        if self._side is None:
            self._side = GrowingFile(self._folder / side_name(None if samples.total is None else samples.first))
        if self._joint is not None:
            self._side.add(self._side_pieces.piece(names[0], samples.origins))
            return
        for name, origin in zip(names, samples.origins, strict=True):
            self._side.add(self._side_pieces.piece(name, [origin]))

    def _keep_for_sheets(self, samples: Samples) -> None:
        if samples.head(1).pictures() is None:
            self._texts = self._texts or _TextSheet()
            self._texts.add(samples)
            return
        if self._shown is None:
            self._shown = bare(samples, 0)
        most = max(SHEET_SIZE, samples.modality.num_on_sheet(samples[0]))
        self._shown += bare(samples, max(0, most - len(self._shown)))

    def finish(self) -> None:
        """Write what shows or holds many samples. At least one was added."""
        if self._joint is not None:
            self._joint.finish()
        if self._side is not None:
            self._side.add(self._side_pieces.end)
            self._side.finish()
        if not self._one_by_one:
            files.sync_all()
        if len(self.paths) < 2:
            return
        if self._texts is not None:
            self.sheet = self._folder / "all.txt"
            files.write_parts(self.sheet, self._texts.content())
        elif self._shown is not None:
            self.sheet = self._shown.save_sheet(self._folder, overwrite=True)
            self.sprite_sheet = self._shown.save_sprite_sheet(self._folder, overwrite=True)


class _TextSheet:
    """Texts, which wait in a temporary file: how they are divided on a sheet depends on all of them."""

    def __init__(self) -> None:
        self._fit_lines = True
        try:
            self._file = tempfile.TemporaryFile("w+", encoding="ascii")  # noqa: SIM115  closed by close
        except OSError as error:
            raise _no_space(error) from None

    def add(self, samples: Samples) -> None:
        texts = list(map(str, samples))
        self._fit_lines &= all(fits_one_line(text, samples.modality) for text in texts)
        try:
            self._file.writelines(json.dumps(text) + "\n" for text in texts)
        except OSError as error:
            raise _no_space(error) from None

    def content(self) -> Iterator[bytes]:
        """The file, in pieces."""
        try:
            self._file.seek(0)
        except OSError as error:
            raise _no_space(error) from None
        separator = LINE_SEPARATOR if self._fit_lines else PASSAGE_SEPARATOR
        for number, line in enumerate(self._file):
            text = json.loads(line)
            yield (f"{separator}{text}" if number else text).encode("utf-8", "replace")
        yield b"\n"

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._file.close()


def _no_space(error: OSError) -> RunError:
    return RunError(
        f"the texts of all.txt cannot be kept in {tempfile.gettempdir()} ({clause(error)}); free space there, or set TMPDIR to "
        "another folder"
    )
