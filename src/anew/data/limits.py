"""What the bytes of each format may hold at most: the one place for bounds on data that comes from anybody.

A file is small on the disk and may still stand for any amount of memory or time: it is sparse, packed, or its header
lies. Each format says here where it ends, as one frozen dataclass and its one instance; readers ask the instance and
refuse by name what goes beyond it. Bytes of a file are known from the listing, so the first bound costs nothing.
"""

from __future__ import annotations

from dataclasses import dataclass

KB, MB, GB = 1 << 10, 1 << 20, 1 << 30


@dataclass(frozen=True, slots=True)
class Listing:
    """A folder that is listed. shown: characters of a path in a sentence."""

    shown: int = 120


@dataclass(frozen=True, slots=True)
class Whole:
    """A file that is read into memory whole (a picture, a short text). bytes: of it."""

    bytes: int = 256 * MB


@dataclass(frozen=True, slots=True)
class Gzip:
    """A gzip stream. ratio: bytes that one of its bytes can stand for (deflate allows no more)."""

    ratio: int = 1032


@dataclass(frozen=True, slots=True)
class Fasta:
    """inflated: bytes of a packed file; record: bytes of one sequence in a plain one (a chromosome has up to 250 MB)."""

    inflated: int = 64 * MB
    record: int = 256 * MB


@dataclass(frozen=True, slots=True)
class Idx:
    """MNIST's files. inflated: bytes of all packed images of one source, which lie in temporary files; labels: of one
    file."""

    inflated: int = 8 * GB
    labels: int = 100_000_000


@dataclass(frozen=True, slots=True)
class Rows:
    """A table in text. row: bytes of one (more is damage: a quote that never closes); cells: of one row."""

    row: int = 128 * MB
    cells: int = 10_000


@dataclass(frozen=True, slots=True)
class Parquet:
    """A table in parquet. cell: bytes of one, decoded; batch: of the cells that are decoded at once; columns: of a file."""

    cell: int = 16 * MB
    batch: int = 64 * MB
    columns: int = 10_000


@dataclass(frozen=True, slots=True)
class Tar:
    """An archive. members: of one; member: bytes of one that is read; inflated: bytes of all packed archives of one source,
    which lie in temporary files; described: bytes of a member that describes another; header: of an extended header."""

    members: int = 2_000_000
    member: int = 256 * MB
    inflated: int = 8 * GB
    described: int = 1 * MB
    header: int = 1 * MB


LISTING, WHOLE, GZIP, FASTA, IDX, ROWS, PARQUET, TAR = (
    Listing(), Whole(), Gzip(), Fasta(), Idx(), Rows(), Parquet(), Tar(),
)  # fmt: skip


def size(count: int) -> str:
    """Bytes as a sentence says them: `256 MB`."""
    for unit, name in ((GB, "GB"), (MB, "MB"), (KB, "KB")):
        if count >= unit:
            return f"{count / unit:.3g} {name}"
    return f"{count} bytes"
