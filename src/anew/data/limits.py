"""Upper limits on the contents of each file format: the one place for bounds on data from untrusted sources.

A small file may take any amount of memory or time: it may be sparse or packed, or its header may lie. Each format has one
frozen dataclass of limits with one instance. Readers compare with the instance and refuse by name what exceeds it. The size
of a file is known from the listing, so checking it costs nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

KB, MB, GB = 1 << 10, 1 << 20, 1 << 30  # bytes
WHOLE_BYTES = 16 * 1024 * 1024  # text up to this size is read and kept whole
WHOLE_ITEMS = 100_000  # if the listing has no more items: each costs 0.1 ms, however small it is


@dataclass(frozen=True, slots=True)
class ListingLimits:
    """Limits of a folder that is listed.

    Attributes:
        shown: Characters of a path in a sentence.
    """

    shown: int = 120


@dataclass(frozen=True, slots=True)
class WholeFileLimits:
    """Limits of what is held in memory as a whole.

    Attributes:
        bytes: Bytes of one file (a picture, a short text).
        text: Bytes of all text of a source of small files, unpacked.
    """

    bytes: int = 256 * MB
    text: int = 256 * MB


@dataclass(frozen=True, slots=True)
class FetchLimits:
    """Limits of a file at an address.

    Attributes:
        bytes: Bytes of a file whose size the server does not state. Of other files no more is read than it states.
    """

    bytes: int = 4 * GB


@dataclass(frozen=True, slots=True)
class GzipLimits:
    """Limits of a gzip stream.

    Attributes:
        ratio: Unpacked bytes for each packed one; the format allows no more.
        text: Bytes of a packed file of text or sequences, unpacked.
    """

    ratio: int = 1032
    text: int = 64 * MB


@dataclass(frozen=True, slots=True)
class FastaLimits:
    """Limits of a FASTA file.

    Attributes:
        record: Bytes of one sequence of a plain file (a chromosome has up to 250 MB).
    """

    record: int = 256 * MB


@dataclass(frozen=True, slots=True)
class IdxLimits:
    """Limits of IDX files, the format of MNIST.

    Attributes:
        image: Bytes of one image.
        labels: Bytes of one file of labels.
        inflated: Bytes of all packed images of a source, unpacked into temporary files.
    """

    image: int = 256 * MB
    labels: int = 64 * MB
    inflated: int = 8 * GB


@dataclass(frozen=True, slots=True)
class TextTableLimits:
    """Limits of a table in text: CSV, TSV or JSON lines.

    Attributes:
        row: Bytes of one row, within which a quote must be closed. A longer row is a sign of damage; parsed as JSON it takes
            twenty times as much memory.
        cells: Cells of one row.
    """

    row: int = 32 * MB
    cells: int = 10_000


@dataclass(frozen=True, slots=True)
class ParquetLimits:
    """Limits of a Parquet file. Its dictionary lets a few bytes stand for the same long cell in every row.

    Attributes:
        cell: Bytes of all cells of one row, decoded.
        batch: Bytes of the rows that are decoded at a time.
        columns: Columns of a file.
        growth: Decoded bytes of a shard, as a multiple of the bytes that the file states for it.
        least: Decoded bytes that every shard may have, whatever the file states.
        most: Decoded bytes that no shard may exceed.
        rows: Rows that any file may have.
        rows_per_byte: Rows for each byte of a file that has more than `rows`. Rows beyond that repeat the same few values.
    """

    cell: int = 64 * MB
    batch: int = 64 * MB
    columns: int = 10_000
    growth: int = 16
    least: int = 16 * MB
    most: int = 2 * GB
    rows: int = 1 << 20
    rows_per_byte: int = 64

    def shard(self, stated: int) -> int:
        """Bytes that the rows of a shard may decode to, where the file states this many."""
        return min(self.most, max(self.least, self.growth * stated))


@dataclass(frozen=True, slots=True)
class TarLimits:
    """Limits of tar archives.

    Attributes:
        listed: Bytes of all archives of a source up to which their members are listed; larger archives are read in spans.
        members: Members that are listed, of all archives of a source.
        member: Bytes of a member that is read.
        inflated: Bytes of all packed archives of a source, unpacked into temporary files.
        described: Bytes of a member that describes another one (its caption or class).
        header: Bytes of an extended header.
    """

    listed: int = 1 * GB
    members: int = 1_000_000
    member: int = 256 * MB
    inflated: int = 8 * GB
    described: int = 1 * MB
    header: int = 1 * MB


@dataclass(frozen=True, slots=True)
class ImageLimits:
    """Limits of an image file.

    Attributes:
        bytes: Bytes of the file.
    """

    bytes: int = 256 * MB


@dataclass(frozen=True, slots=True)
class AudioLimits:
    """Limits of a sound file.

    Attributes:
        samples_per_byte: Samples for each byte of a file, by format: most samples of a frame divided by its fewest bytes.
        other_samples_per_byte: The same for Ogg, whose smallest packet has two bytes, and for all other formats.
        clips: Clips that one part of a recording is cut into.
    """

    samples_per_byte: Mapping[str, float] = field(
        default_factory=lambda: {"FLAC": 65_535 / 10, "MPEG": 1152 / 24, "MP3": 1152 / 24}
    )
    other_samples_per_byte: float = 4096.0
    clips: int = 100_000


@dataclass(frozen=True, slots=True)
class VideoLimits:
    """Limits of a film or a moving picture.

    Attributes:
        gif_frames: Frames of a GIF that are used; to reach a frame, all before it are decoded.
        gif_pixels: Pixels of these frames together.
        pixels: Pixels of all frames of other films: 100,000 frames of 4K.
    """

    gif_frames: int = 10_000
    gif_pixels: int = 1 << 34
    pixels: int = 1 << 40


LISTING = ListingLimits()
WHOLE = WholeFileLimits()
FETCHED = FetchLimits()
GZIP = GzipLimits()
FASTA = FastaLimits()
IDX = IdxLimits()
ROWS = TextTableLimits()
PARQUET = ParquetLimits()
TAR = TarLimits()
IMAGE = ImageLimits()
AUDIO = AudioLimits()
VIDEO = VideoLimits()


def size(count: int) -> str:
    """A number of bytes in words: `256 MB`."""
    for unit, name in ((GB, "GB"), (MB, "MB"), (KB, "KB")):
        if count >= unit:
            return f"{count / unit:.3g} {name}"
    return f"{count} bytes"
