"""Upper limits on the contents of each file format: the one place for bounds on data from untrusted sources.

A file is small on the disk and may still stand for any amount of memory or time: it is sparse, packed, or its header
lies. Each format says here where it ends, as one frozen dataclass and its one instance; readers ask the instance and
refuse by name what goes beyond it. Bytes of a file are known from the listing, so the first bound costs nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

KB, MB, GB = 1 << 10, 1 << 20, 1 << 30


@dataclass(frozen=True, slots=True)
class ListingLimits:
    """A folder that is listed. shown: characters of a path in a sentence."""

    shown: int = 120


@dataclass(frozen=True, slots=True)
class WholeFileLimits:
    """What is kept in memory whole. bytes: of one file (a picture, a short text); text: of all the text of a source whose
    files are small, however much they expand to."""

    bytes: int = 256 * MB
    text: int = 256 * MB


@dataclass(frozen=True, slots=True)
class FetchLimits:
    """A file at an address. bytes: of one whose size the server does not say; of others it is what it says."""

    bytes: int = 4 * GB


@dataclass(frozen=True, slots=True)
class GzipLimits:
    """A gzip stream. ratio: bytes that one of its bytes can stand for (deflate allows no more); text: bytes of a packed file
    of text or sequences."""

    ratio: int = 1032
    text: int = 64 * MB


@dataclass(frozen=True, slots=True)
class FastaLimits:
    """record: bytes of one sequence (a chromosome has up to 250 MB)."""

    record: int = 256 * MB


@dataclass(frozen=True, slots=True)
class IdxLimits:
    """MNIST's files. image: bytes of one; labels: bytes of one file of them; inflated: bytes of all packed images of one
    source, which lie in temporary files."""

    image: int = 256 * MB
    labels: int = 64 * MB
    inflated: int = 8 * GB


@dataclass(frozen=True, slots=True)
class TextTableLimits:
    """A table in text. row: bytes of one (more is damage: a quote that never closes, and JSON takes twenty times as much
    memory); cells: of one row."""

    row: int = 32 * MB
    cells: int = 10_000


@dataclass(frozen=True, slots=True)
class ParquetLimits:
    """A table in parquet. Through its dictionary, a few bytes may stand for the same long cell in every row. cell: bytes of
    the cells of one row, decoded; batch: of the rows that are decoded at once; columns: of a file. The rows of one shard may
    decode to `growth` times what the file says that they take, but always to `least` and never to more than `most`. A file
    of more than `rows` rows may have `rows_per_byte` of them for each of its bytes: more are the same few values again and again."""

    cell: int = 64 * MB
    batch: int = 64 * MB
    columns: int = 10_000
    growth: int = 16
    least: int = 16 * MB
    most: int = 2 * GB
    rows: int = 1 << 20
    rows_per_byte: int = 64

    def shard(self, stated: int) -> int:
        """Bytes that the rows of a shard may decode to. stated: what the file says."""
        return min(self.most, max(self.least, self.growth * stated))


@dataclass(frozen=True, slots=True)
class TarLimits:
    """An archive. listed: bytes of all archives of one source up to which their members are listed; members: of all archives of one
    source that are listed; member: bytes of one that is read; inflated: bytes of all packed
    archives of one source, which lie in temporary files; described: bytes of a member that describes another; header: of an
    extended header."""

    listed: int = 1 * GB
    members: int = 1_000_000
    member: int = 256 * MB
    inflated: int = 8 * GB
    described: int = 1 * MB
    header: int = 1 * MB


@dataclass(frozen=True, slots=True)
class ImageLimits:
    """A picture. bytes: of one file."""

    bytes: int = 256 * MB


@dataclass(frozen=True, slots=True)
class AudioLimits:
    """A sound. samples_per_byte: that a frame of a format holds at most, by its fewest bytes; other_samples_per_byte: of Ogg (a
    packet of one byte and its length) and whatever else; clips: that one part of a recording is cut into."""

    samples_per_byte: Mapping[str, float] = field(
        default_factory=lambda: {"FLAC": 65_535 / 10, "MPEG": 1152 / 24, "MP3": 1152 / 24}
    )
    other_samples_per_byte: float = 4096.0
    clips: int = 100_000


@dataclass(frozen=True, slots=True)
class VideoLimits:
    """A clip. gif_frames: of a GIF that are used, since one of its frames is found by going through all before it; gif_pixels:
    of all these together; pixels: of other films, 100,000 frames of 4K."""

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
    """Bytes as a sentence says them: `256 MB`."""
    for unit, name in ((GB, "GB"), (MB, "MB"), (KB, "KB")):
        if count >= unit:
            return f"{count / unit:.3g} {name}"
    return f"{count} bytes"


WHOLE_BYTES = 16 * 1024 * 1024  # text up to this size is read and kept whole
WHOLE_ITEMS = 100_000  # and up to so many items of the listing: each costs 0.1 ms, however small it is
