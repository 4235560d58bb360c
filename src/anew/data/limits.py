"""Upper limits on the contents of each file format: the one place for bounds on data from untrusted sources.

A small file may take any amount of memory or time: it may be sparse or packed, or its header may lie. Readers compare with these
limits and refuse by name what exceeds them. The size of a file is known from the listing, so checking it costs nothing.
"""

from __future__ import annotations

from dataclasses import dataclass

KB, MB, GB = 1 << 10, 1 << 20, 1 << 30  # bytes
WHOLE_BYTES = 16 * MB  # text up to this size is read and kept whole
WHOLE_ITEMS = 100_000  # if the listing has no more items: each costs 0.1 ms, however small it is

FILE_BYTES = 256 * MB  # one file that is held in memory as a whole (a picture, a short text)
SMALL_FILES_TEXT_BYTES = 256 * MB  # all text of a source of small files, unpacked
# Bytes of a file at an address whose size the server does not state. Of other files no more is read than it states
FETCHED_BYTES = 4 * GB

GZIP_RATIO = 1032  # unpacked bytes for each packed one; the format allows no more
GZIP_TEXT_BYTES = 64 * MB  # a packed file of text or sequences, unpacked

FASTA_RECORD_BYTES = 256 * MB  # one sequence of a plain file (a chromosome has up to 250 MB)

IDX_IMAGE_BYTES = 256 * MB  # one image in the format of MNIST
IDX_LABELS_BYTES = 64 * MB  # one file of labels
IDX_INFLATED_BYTES = 8 * GB  # all packed images of a source, unpacked into temporary files

# Bytes of one row of a table in text (CSV, TSV or JSON lines), within which a quote must be closed. A longer row is a sign of damage;
# parsed as JSON it takes twenty times as much memory
ROW_BYTES = 32 * MB
ROW_CELLS = 10_000

# Bytes of all archives of a source up to which their members are listed; larger archives are read in spans
TAR_LISTED_BYTES = 1 * GB
TAR_MEMBERS = 1_000_000  # members that are listed, of all archives of a source
TAR_MEMBER_BYTES = 256 * MB  # a member that is read
TAR_INFLATED_BYTES = 8 * GB  # all packed archives of a source, unpacked into temporary files
TAR_DESCRIPTION_BYTES = 1 * MB  # a member that describes another one (its caption or class)
TAR_HEADER_BYTES = 1 * MB  # an extended header

ZIP_DIRECTORY_BYTES = (
    128 * MB
)  # the list of an archive's members, which takes ten times as much memory: a million files

# Samples for each byte of a sound file, by format: most samples of a frame divided by its fewest bytes
AUDIO_SAMPLES_PER_BYTE = {"FLAC": 65_535 / 10, "MPEG": 1152 / 24, "MP3": 1152 / 24}
OTHER_AUDIO_SAMPLES_PER_BYTE = 4096.0  # for Ogg, whose smallest packet has two bytes, and for all other formats
AUDIO_CLIPS = 100_000  # that one part of a recording is cut into

GIF_FRAMES = 10_000  # that are used; to reach a frame, all before it are decoded
GIF_PIXELS = 1 << 34  # these frames together
VIDEO_PIXELS = 1 << 40  # all frames of other videos: 100,000 frames of 4K


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


PARQUET = ParquetLimits()


def size(count: int) -> str:
    """A number of bytes in words: `256 MB`."""
    for unit, name in ((GB, "GB"), (MB, "MB"), (KB, "KB")):
        if count >= unit:
            return f"{count / unit:.3g} {name}"
    return f"{count} bytes"
