"""The identity of a recording, a file of sound or video, by which its decoded contents are kept."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from anew.data.types import FileSlice


class RecordingId(NamedTuple):
    """Identity of a recording.

    Attributes:
        path: Path of its file.
        size: Bytes of the file.
        version: A number that changes with the content.
    """

    path: str
    size: int
    version: int

    @classmethod
    def of_file(cls, path: Path) -> RecordingId:
        """The identity of a file. Raises OSError."""
        stat = path.stat()
        return cls(str(path), stat.st_size, stat.st_mtime_ns)

    @classmethod
    def of_slice(cls, file_slice: FileSlice) -> RecordingId | None:
        """The identity of the recording of a slice; None if the file is gone."""
        if file_slice.body is not None:
            return cls(str(file_slice.path), len(file_slice.body), hash(file_slice.body))
        try:
            return cls.of_file(file_slice.path)
        except OSError:
            return None
