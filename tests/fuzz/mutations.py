"""Damage to bytes: blind mutations, and lies that know a format. All are functions of a random source and their input."""

from __future__ import annotations

import functools
import gzip
import io
import random
import re
import struct
import zlib
from collections.abc import Callable, Sequence

import pyarrow as pa
import pyarrow.parquet as pq

Mutation = Callable[[random.Random, bytes], bytes]

EXTREMES_32 = (0, 1, 2, 0x7F, 0xFF, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFE, 0xFFFFFFFF)
EXTREMES_16 = (0, 1, 0x7FFF, 0x8000, 0xFFFF)
EXTREMES_64 = (0, 2**31, 2**32, 2**53, 2**63 - 1, 2**64 - 1)
MAGICS = (
    b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff\xe0", b"GIF89a", b"RIFF", b"II*\0", b"MM\0*", b"BM", b"P6\n", b"fLaC", b"OggS",
    b"ID3\x04", b"\xff\xfb\x90", b"FORM", b".snd", b"caff", b"\0\0\0\x20ftypisom", b"\x1a\x45\xdf\xa3", b"PAR1",
    b"\x1f\x8b\x08", b"BZh9", b"\xfd7zXZ\0", b"PK\x03\x04", b"%PDF", b"\0\0\x08\x03", b">sp|", b"\xef\xbb\xbf", b"\xff\xfe",
)  # fmt: skip


def _place(source: random.Random, data: bytes, width: int = 1) -> int:
    """A place in the data, in half of all cases near the start, where headers are."""
    last = max(len(data) - width, 0)
    return source.randint(0, min(last, 96)) if source.random() < 0.5 else source.randint(0, last)


def _written(data: bytes, place: int, value: bytes) -> bytes:
    return data[:place] + value + data[place + len(value) :]


def flip_bits(source: random.Random, data: bytes) -> bytes:
    out = bytearray(data)
    for _ in range(source.choice((1, 1, 2, 8, 64))):
        if out:
            out[_place(source, data)] ^= 1 << source.randrange(8)
    return bytes(out)


def overwrite_bytes(source: random.Random, data: bytes) -> bytes:
    value = bytes(
        source.choice((0, 0xFF, 0x7F, 0x80, source.randrange(256))) for _ in range(source.choice((1, 2, 4, 16)))
    )
    return _written(data, _place(source, data, len(value)), value)


def delete_chunk(source: random.Random, data: bytes) -> bytes:
    place, size = _place(source, data), source.choice((1, 2, 4, 16, 256, len(data) // 3 + 1))
    return data[:place] + data[place + size :]


def duplicate_chunk(source: random.Random, data: bytes) -> bytes:
    place, size = _place(source, data), source.choice((1, 4, 16, 256, len(data) // 3 + 1))
    return data[: place + size] + data[place : place + size] * source.choice((1, 1, 2, 20)) + data[place + size :]


def swap_chunks(source: random.Random, data: bytes) -> bytes:
    size = source.choice((1, 4, 16, 128))
    first, second = sorted((_place(source, data, size), _place(source, data, size)))
    if second < first + size:
        return flip_bits(source, data)
    return (
        data[:first]
        + data[second : second + size]
        + data[first + size : second]
        + data[first : first + size]
        + data[second + size :]
    )


def truncate(source: random.Random, data: bytes) -> bytes:
    return data[: _place(source, data)]


def lie_about_length(source: random.Random, data: bytes) -> bytes:
    """Some whole number of 16, 32 or 64 bits, of either byte order, becomes an extreme one."""
    width, values = source.choice(((2, EXTREMES_16), (4, EXTREMES_32), (4, EXTREMES_32), (8, EXTREMES_64)))
    value = source.choice(values).to_bytes(width, source.choice(("little", "big")))
    return _written(data, _place(source, data, width), value)


def nudge_length(source: random.Random, data: bytes) -> bytes:
    """Some whole number of 32 bits becomes a little larger or smaller."""
    place, order = _place(source, data, 4), source.choice(("little", "big"))
    value = int.from_bytes(data[place : place + 4], order) + source.choice((-1, 1, 2, 16, 256, 65536))
    return _written(data, place, (value & 0xFFFFFFFF).to_bytes(4, order))


def insert_noise(source: random.Random, data: bytes) -> bytes:
    place = _place(source, data)
    return data[:place] + source.randbytes(source.choice((1, 4, 64, 1024))) + data[place:]


def swap_magic(source: random.Random, data: bytes) -> bytes:
    return _written(data, 0, source.choice(MAGICS))


def lie_about_number(source: random.Random, data: bytes) -> bytes:
    """A number in digits becomes an extreme one (text headers, tables, JSON)."""
    numbers = list(re.finditer(rb"\d+", data[:4096]))
    if not numbers:
        return overwrite_bytes(source, data)
    value = source.choice((b"0", b"-1", b"99999999", b"4294967296", b"9" * 40, b"1e999", b"NaN"))
    chosen = source.choice(numbers)
    return data[: chosen.start()] + value + data[chosen.end() :]


BLIND: tuple[Mutation, ...] = (
    flip_bits, overwrite_bytes, delete_chunk, duplicate_chunk, swap_chunks, truncate, lie_about_length, nudge_length,
    insert_noise, swap_magic, lie_about_number,
)  # fmt: skip


# ---- lies that know a format ----


def _at(place: int, width: int, order: str, values: Sequence[int]) -> Mutation:
    """The field at a fixed place becomes one of these values."""

    def lie(source: random.Random, data: bytes) -> bytes:
        return _written(data, place, source.choice(values).to_bytes(width, order))  # type: ignore[arg-type]

    return lie


def _after(mark: bytes, skip: int, width: int, order: str, values: Sequence[int]) -> Mutation:
    """The field some bytes after a mark becomes one of these values; blind damage where the mark is missing."""

    def lie(source: random.Random, data: bytes) -> bytes:
        places = [match.end() for match in re.finditer(re.escape(mark), data)]
        if not places:
            return lie_about_length(source, data)
        value = source.choice(values).to_bytes(width, order)  # type: ignore[arg-type]
        return _written(data, source.choice(places) + skip, value)

    return lie


def png_header(source: random.Random, data: bytes) -> bytes:
    """Width, height, depth or colour type of IHDR, with the checksum put right."""
    fields = list(struct.unpack(">IIBBBBB", data[16:29])) if len(data) > 33 else []
    if not fields:
        return flip_bits(source, data)
    index = source.randrange(len(fields))
    fields[index] = source.choice(EXTREMES_32[1:8] if index < 2 else (0, 1, 2, 3, 4, 6, 8, 16, 255))
    header = b"IHDR" + struct.pack(">IIBBBBB", *fields)
    return data[:12] + header + zlib.crc32(header).to_bytes(4, "big") + data[33:]


def png_checksums(source: random.Random, data: bytes) -> bytes:
    """Damage inside a chunk, with its checksum put right, so that it reaches the decoder."""
    place, chunks = 8, []
    while place + 12 <= len(data):
        size = int.from_bytes(data[place : place + 4], "big")
        chunks.append((place, size))
        place += 12 + size
    if not chunks:
        return flip_bits(source, data)
    place, size = source.choice(chunks)
    body = data[place + 4 : place + 8] + overwrite_bytes(source, data[place + 8 : place + 8 + size])
    return (
        data[:place]
        + (len(body) - 4).to_bytes(4, "big")
        + body
        + zlib.crc32(body).to_bytes(4, "big")
        + data[place + 12 + size :]
    )


def flac_samples(source: random.Random, data: bytes) -> bytes:
    """STREAMINFO claims another number of samples (36 bits, from the low half of byte 21)."""
    if len(data) < 26:
        return flip_bits(source, data)
    out, claim = bytearray(data), source.choice((0, 1, 10**6, 10**9, 6 * 10**10, 2**36 - 1))
    out[21] = (out[21] & 0xF0) | (claim >> 32)
    out[22:26] = (claim & 0xFFFFFFFF).to_bytes(4, "big")
    return bytes(out)


def parquet_footer(source: random.Random, data: bytes) -> bytes:
    """The length of the footer, or bytes within the footer."""
    if len(data) < 16:
        return flip_bits(source, data)
    size = int.from_bytes(data[-8:-4], "little")
    if source.random() < 0.3 or size > len(data) - 8:
        claim = source.choice((*EXTREMES_32, size - 1, size + 1)) & 0xFFFFFFFF
        return _written(data, len(data) - 8, claim.to_bytes(4, "little"))
    return data[: -8 - size] + source.choice(BLIND[:6])(source, data[-8 - size : -8]) + data[-8:]


def repacked(inner: Sequence[Mutation]) -> Mutation:
    """Damage to what a gzip file holds, packed again."""

    def lie(source: random.Random, data: bytes) -> bytes:
        try:
            unpacked = gzip.decompress(data)
        except (OSError, EOFError, zlib.error):  # an earlier mutation has broken it
            return flip_bits(source, data)
        return gzip.compress(source.choice(inner)(source, unpacked), 6, mtime=0)

    return lie


# ---- little files that hold a great deal ----


@functools.cache
def _packed_zeros(head: bytes, unit: bytes, count: int) -> bytes:
    packer = zlib.compressobj(6, wbits=31)
    parts = [packer.compress(head), *(packer.compress(unit) for _ in range(count)), packer.flush()]
    return b"".join(parts)


@functools.cache
def _parquet_bomb() -> bytes:
    """Thousands of rows that name one long string through the dictionary."""
    cells = pa.DictionaryArray.from_arrays(pa.array([0] * 4000, pa.int32()), pa.array(["x y " * 5_000_000]))
    out = io.BytesIO()
    pq.write_table(pa.table({"text": cells}), out, compression="zstd")
    return out.getvalue()


def bomb(make: Callable[[], bytes]) -> Mutation:
    """Seldom a file that holds far more than its size, else blind damage: each takes its time, and all are alike."""

    def lie(source: random.Random, data: bytes) -> bytes:
        return make() if source.random() < 0.02 else source.choice(BLIND)(source, data)

    return lie


MB = 1 << 20
fasta_bomb = bomb(lambda: _packed_zeros(b">s1 made\n", b"A" * MB, 256))
idx_bomb = bomb(lambda: _packed_zeros(b"\0\0\x08\x03" + struct.pack(">III", 2**20, 16, 16), bytes(MB), 256))
tar_bomb = bomb(lambda: _packed_zeros(b"a.png".ljust(124, b"\0") + b"77777777777\0", bytes(MB), 256))
parquet_bomb = bomb(_parquet_bomb)


def unicode_mess(source: random.Random, data: bytes) -> bytes:
    """Characters that text code trips over: NUL, surrogates, control codes, marks of direction, quotes, long lines."""
    mess = source.choice(
        (b"\0", b"\xed\xa0\x80", b"\xff\xff", b"\x1b[2J", "\u202e".encode(), b'"', b'"' * 3, b"\r", b"\x85", b"\\",
         "\u2028".encode(), b"\t" * 50, b"x" * 70_000, b"(" * 3000, b"[" * 3000, "\U0001f600".encode(), b"\n" * 2000)
    )  # fmt: skip
    place = _place(source, data)
    return data[:place] + mess + data[place:]


SIZES_16 = EXTREMES_16
MP4_BOXES = (b"moov", b"mdat", b"trak", b"mdia", b"minf", b"stbl", b"stsz", b"stco", b"stsc", b"stts", b"avcC", b"ctts")


def mp4_box(source: random.Random, data: bytes) -> bytes:
    """A box claims another size, or a table of samples claims another number of entries."""
    mark = source.choice([box for box in MP4_BOXES if box in data] or [b"ftyp"])
    skip = -8 if source.random() < 0.5 else source.choice((4, 8, 12))
    return _after(mark, skip, 4, "big", EXTREMES_32)(source, data)


def ico_entry(source: random.Random, data: bytes) -> bytes:
    return _at(source.choice((4, 6, 10, 14, 18)), 2, "little", SIZES_16)(source, data)


def tiff_entry(source: random.Random, data: bytes) -> bytes:
    """A field of a TIFF directory: size, depth, compression, place of the strips, number of values."""
    if len(data) < 8:
        return flip_bits(source, data)
    start = int.from_bytes(data[4:8], "little")
    entries = int.from_bytes(data[start : start + 2], "little")
    place = start + 2 + 12 * source.randrange(max(entries, 1)) + source.choice((0, 2, 4, 8))
    value = source.choice((*EXTREMES_32, 3, 5, 6, 7, 8, 32773, 34712)).to_bytes(4, "little")
    return _written(data, place, value) if place + 4 <= len(data) else flip_bits(source, data)


LIES: dict[str, tuple[Mutation, ...]] = {
    "png": (png_header, png_checksums),
    "jpeg": (_after(b"\xff\xc0", 3, 2, "big", SIZES_16), _after(b"\xff\xc0", 5, 2, "big", SIZES_16),
             _after(b"\xff\xc4", 0, 2, "big", SIZES_16), _after(b"\xff\xdb", 0, 2, "big", SIZES_16)),
    "gif": (_at(6, 2, "little", SIZES_16), _at(8, 2, "little", SIZES_16), _after(b"\x2c", 4, 2, "little", SIZES_16)),
    "gif-moving": (_at(6, 2, "little", SIZES_16), _at(8, 2, "little", SIZES_16), _after(b"\x21\xf9\x04", 1, 2, "little", SIZES_16),
                   _after(b"\x2c", 4, 2, "little", SIZES_16)),
    "webp-moving": (_at(24, 3, "little", SIZES_16), _after(b"ANMF", 4, 3, "little", SIZES_16), _after(b"ANMF", 16, 3, "little", SIZES_16)),
    "png-moving": (png_header, _after(b"acTL", 0, 4, "big", EXTREMES_32), _after(b"fcTL", 4, 4, "big", EXTREMES_32),
                   _after(b"fcTL", 20, 2, "big", SIZES_16)),
    "tiff": (tiff_entry,),
    "bmp": (_at(18, 4, "little", EXTREMES_32), _at(22, 4, "little", EXTREMES_32), _at(28, 2, "little", (0, 1, 2, 4, 8, 16, 32)),
            _at(10, 4, "little", EXTREMES_32), _at(30, 4, "little", (1, 2, 3, 6))),
    "tga": (_at(12, 2, "little", SIZES_16), _at(14, 2, "little", SIZES_16), _at(2, 1, "little", (1, 2, 3, 9, 10, 11))),
    "ico": (ico_entry,),
    "pcx": (_at(8, 2, "little", SIZES_16), _at(10, 2, "little", SIZES_16), _at(65, 1, "little", (0, 1, 3, 4, 255))),
    "sgi": (_at(6, 2, "big", SIZES_16), _at(8, 2, "big", SIZES_16), _at(10, 2, "big", SIZES_16), _at(2, 2, "big", (0, 1, 256))),
    "ppm": (lie_about_number,),
    "webp": (_at(4, 4, "little", EXTREMES_32), _at(16, 4, "little", EXTREMES_32), _at(26, 2, "little", SIZES_16)),
    "jp2": (_after(b"ihdr", 0, 4, "big", EXTREMES_32), _after(b"\xff\x51", 4, 4, "big", EXTREMES_32)),
    "avif": (_after(b"ispe", 4, 4, "big", EXTREMES_32), _after(b"iloc", 8, 4, "big", EXTREMES_32)),
    "wav": (_at(4, 4, "little", EXTREMES_32), _after(b"data", 0, 4, "little", EXTREMES_32), _at(22, 2, "little", (0, 1, 2, 255, 65535)),
            _at(24, 4, "little", EXTREMES_32), _at(32, 2, "little", SIZES_16), _at(34, 2, "little", (0, 8, 24, 32, 64))),
    "flac": (flac_samples, flac_samples, _at(8, 2, "big", SIZES_16)),
    "ogg": (_at(6, 8, "little", EXTREMES_64), _after(b"vorbis", 5, 4, "little", EXTREMES_32)),
    "opus": (_at(6, 8, "little", EXTREMES_64), _after(b"OpusHead", 1, 1, "little", (0, 2, 255))),
    "mp3": (_after(b"Xing", 4, 4, "big", EXTREMES_32), _after(b"Info", 4, 4, "big", EXTREMES_32)),
    "aiff": (_after(b"COMM", 6, 4, "big", EXTREMES_32), _after(b"SSND", 0, 4, "big", EXTREMES_32),
             _after(b"COMM", 12, 4, "big", EXTREMES_32)),
    "au": (_at(4, 4, "big", EXTREMES_32), _at(8, 4, "big", EXTREMES_32), _at(16, 4, "big", EXTREMES_32), _at(20, 4, "big", EXTREMES_32)),
    "caf": (_after(b"data", 0, 8, "big", EXTREMES_64), _after(b"desc", 16, 8, "big", EXTREMES_64)),
    "w64": (_at(16, 8, "little", EXTREMES_64), _after(b"data", 12, 8, "little", EXTREMES_64)),
    "mp4": (mp4_box,), "mov": (mp4_box,),
    "avi": (_after(b"avih", 4, 4, "little", EXTREMES_32), _after(b"strh", 4, 4, "little", EXTREMES_32),
            _after(b"strf", 8, 4, "little", EXTREMES_32), _after(b"movi", -8, 4, "little", EXTREMES_32)),
    "parquet-text": (parquet_footer, parquet_bomb), "parquet-images": (parquet_footer,),
    "tar": (_at(124, 8, "big", (int.from_bytes(b"77777777", "big"), 0)), _at(156, 1, "big", tuple(b"0123456gxLKS"))),
    "tar.gz": (repacked((*BLIND, _at(124, 8, "big", (int.from_bytes(b"77777777", "big"),)))), tar_bomb),
    "idx": (_at(4, 4, "big", EXTREMES_32), _at(8, 4, "big", EXTREMES_32), _at(12, 4, "big", EXTREMES_32),
            _at(2, 2, "big", (0, 0x803, 0x804, 0xD02, 0xB01))),
    "idx.gz": (repacked((*BLIND, _at(4, 4, "big", EXTREMES_32), _at(8, 4, "big", EXTREMES_32))), idx_bomb),
    "npy": (_after(b"'shape': (", 0, 4, "big", EXTREMES_32), _after(b"descr': '", 0, 2, "big", (0x7C4F, 0x3C66)), unicode_mess),
    "npz": (_after(b"PK\x01\x02", 20, 4, "little", EXTREMES_32), _after(b"PK\x01\x02", 4, 2, "little", SIZES_16),
            _after(b"PK\x05\x06", 8, 4, "little", EXTREMES_32), _after(b"PK\x05\x06", 12, 4, "little", EXTREMES_32)),
    "fasta.gz": (repacked((*BLIND, unicode_mess)), fasta_bomb), "text.gz": (repacked((*BLIND, unicode_mess)), fasta_bomb),
    "fasta": (unicode_mess,), "csv": (unicode_mess,), "tsv": (unicode_mess,), "jsonl": (unicode_mess,), "text": (unicode_mess,),
    "smiles": (unicode_mess,), "code": (unicode_mess,), "metadata-csv": (unicode_mess,), "metadata-jsonl": (unicode_mess,),
    "metadata-parquet": (parquet_footer,),
}  # fmt: skip


def mutated(source: random.Random, format_name: str, good: Sequence[bytes], strangers: Sequence[bytes]) -> bytes:
    """One damaged file: a good one of this format after one to three mutations, or spliced with another file."""
    data = source.choice(good)
    lies = LIES.get(format_name, ())
    if source.random() < 0.06:
        other = source.choice(strangers if source.random() < 0.5 else good)
        data = data[: source.randint(0, len(data))] + other[source.randint(0, len(other)) :]
    for _ in range(source.choice((1, 1, 1, 2, 3))):
        pool = lies if lies and source.random() < 0.35 else BLIND
        data = source.choice(pool)(source, data)
    return data
