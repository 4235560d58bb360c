"""Every container that holds what strangers give, and a maker of small valid files of each."""

from __future__ import annotations

import csv
import functools
import gzip
import io
import json
import random
import struct
import tarfile
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import soundfile
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageSequence

from samples import WORDS, molecule, moving_dot, program, tone

GOOD = 30  # good files that a batch holds


@dataclass(frozen=True, slots=True)
class Format:
    """make: a valid file from a number; modality: what its items are; name: where it lies, from its stem; beside: writes
    what belongs to the file into its folder."""

    make: Callable[[int], bytes]
    modality: str
    name: str
    beside: Callable[[Path, int], None] | None = None

    @property
    def ending(self) -> str:
        return self.name.rpartition("/")[2].replace("{}", "").lstrip("-")


def _pixels(seed: int, mode: str = "RGB", size: tuple[int, int] = (20, 16)) -> Image.Image:
    source = random.Random(seed)
    image = Image.new("RGB", size, (seed * 37 % 256, 40, 90))
    draw = ImageDraw.Draw(image)
    for _ in range(3):
        x, y = source.randrange(size[0]), source.randrange(size[1])
        colour = (source.randrange(256), source.randrange(256), source.randrange(256))
        draw.ellipse((x - 4, y - 3, x + 4, y + 3), fill=colour)
    return image.convert(mode)


def _image(form: str, *modes: str, **options: Any) -> Callable[[int], bytes]:
    def make(seed: int) -> bytes:
        out = io.BytesIO()
        _pixels(seed, modes[seed % len(modes)]).save(out, form, **options)
        return out.getvalue()

    return make


def _tiff(seed: int) -> bytes:
    out = io.BytesIO()
    packing = (None, "tiff_lzw", "tiff_deflate", "packbits", "jpeg")[seed % 5]
    values = np.asarray(_pixels(seed, "L"), np.uint16) * 200
    deep = (Image.fromarray(values), Image.fromarray(values.astype(np.float32)))
    image = deep[seed % 2] if seed % 7 == 3 and packing != "jpeg" else _pixels(seed)
    image.save(out, "TIFF", compression=packing)
    return out.getvalue()


def _sound(form: str, *subtypes: str, rate: int = 8000) -> Callable[[int], bytes]:
    def make(seed: int) -> bytes:
        out = io.BytesIO()
        soundfile.write(out, tone(seed, rate, 0.15), rate, format=form, subtype=subtypes[seed % len(subtypes)])
        return out.getvalue()

    return make


def _video(form: str, *codecs: str) -> Callable[[int], bytes]:
    def make(seed: int) -> bytes:
        out = io.BytesIO()
        with av.open(out, "w", format=form) as container:
            stream: Any = container.add_stream(codecs[seed % len(codecs)], rate=10)
            stream.width, stream.height = 32, 24
            stream.pix_fmt = "yuvj420p" if codecs[seed % len(codecs)] == "mjpeg" else "yuv420p"
            for step in range(5):
                image = _pixels(seed, size=(32, 24))
                ImageDraw.Draw(image).rectangle((4 * step, 8, 4 * step + 6, 14), fill=(250, 250, 10))
                container.mux(stream.encode(av.VideoFrame.from_image(image)))
            container.mux(stream.encode())
        return out.getvalue()

    return make


def _sentence(source: random.Random, words: int = 8) -> str:
    return " ".join(source.choice(WORDS) for _ in range(words)).capitalize() + "."


ENCODINGS = ("utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "cp1252", "cp1251", "latin-1", "koi8-r",
             "shift_jis", "gb18030", "euc-kr", "big5")  # fmt: skip
FOREIGN = {"cp1251": "Старый дом у реки.", "koi8-r": "Старый дом у реки.", "shift_jis": "古い家と川。", "gb18030": "老房子和河。",
           "euc-kr": "강가의 오래된 집.", "big5": "老房子和河。", "utf-8": "Ein altes Häuschen – naïve 中文 😀."}  # fmt: skip


def _text(seed: int) -> bytes:
    source, encoding = random.Random(seed), ENCODINGS[seed % len(ENCODINGS)]
    own = FOREIGN.get(encoding, "Ein altes Häuschen.")
    body = "\n".join(f"{_sentence(source, 10)} {own}" for _ in range(12))
    mark = {"utf-16-le": b"\xff\xfe", "utf-16-be": b"\xfe\xff"}.get(encoding, b"")
    return mark + body.encode(encoding, "ignore")


def _rows(seed: int) -> list[tuple[str, str]]:
    source = random.Random(seed)
    return [(_sentence(source), source.choice("ab")) for _ in range(12)]


def _separated(delimiter: str) -> Callable[[int], bytes]:
    def make(seed: int) -> bytes:
        out = io.StringIO()
        writer = csv.writer(out, delimiter=delimiter)
        writer.writerows([("text", "label"), *_rows(seed), ('a "quoted", one\nof two lines', "a")])
        return out.getvalue().encode()

    return make


def _jsonl(seed: int) -> bytes:
    return "".join(json.dumps({"text": text, "label": label}) + "\n" for text, label in _rows(seed)).encode()


def _parquet(table: dict[str, Any], seed: int) -> bytes:
    out = io.BytesIO()
    packing = ("snappy", "zstd", "none", "gzip")[seed % 4]
    pq.write_table(pa.table(table), out, compression=packing, row_group_size=6, use_dictionary=seed % 2 == 0)
    return out.getvalue()


def _parquet_text(seed: int) -> bytes:
    texts, labels = zip(*_rows(seed), strict=True)
    return _parquet({"text": list(texts), "label": list(labels)}, seed)


def _parquet_images(seed: int) -> bytes:
    png = _image("PNG", "RGB")
    cells = [{"bytes": png(100 * seed + i), "path": f"{i}.png"} for i in range(4)]
    return _parquet({"image": cells, "label": [i % 2 for i in range(4)]}, seed)


def _sequences(seed: int) -> bytes:
    source = random.Random(seed)
    records = (
        f">sp|P{seed:05d}|M{i} made OS=Genus a OX=1\n"
        + "".join(source.choice("ACDEFGHIKLMNPQRSTVWY") for _ in range(60))
        for i in range(8)
    )
    return ("\n".join(records) + "\n").encode()


def _tar(mode: str) -> Callable[[int], bytes]:
    def make(seed: int) -> bytes:
        out, png = io.BytesIO(), _image("PNG", "RGB")
        form = (tarfile.PAX_FORMAT, tarfile.GNU_FORMAT, tarfile.USTAR_FORMAT)[seed % 3]
        with tarfile.open(fileobj=out, mode=mode, format=form) as archive:  # type: ignore[call-overload]
            for i in range(4):
                long = 20 if form == tarfile.USTAR_FORMAT else 40  # USTAR holds names of 100 characters
                name = "long" * long + f"{i}" if seed % 5 == 0 else f"{i:04d}"
                for ending, data in ((".png", png(100 * seed + i)), (".cls", b"%d\n" % (i % 2))):
                    info = tarfile.TarInfo(name + ending)
                    info.size = len(data)
                    archive.addfile(info, io.BytesIO(data))
        return out.getvalue()

    return make


def _numbers(seed: int) -> NDArray[np.uint8]:
    return np.stack([np.asarray(_pixels(10 * seed + i, "L", (10, 10))) for i in range(6)])


def _idx(seed: int) -> bytes:
    values = _numbers(seed)
    return struct.pack(f">BBBB{values.ndim}I", 0, 0, 8, values.ndim, *values.shape) + values.tobytes()


def _npy(seed: int) -> bytes:
    out = io.BytesIO()
    np.save(out, _numbers(seed))
    return out.getvalue()


def _npz(seed: int) -> bytes:
    labels, out = io.BytesIO(), io.BytesIO()
    np.save(labels, np.arange(6) % 2)
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(zipfile.ZipInfo("x.npy"), _npy(seed))
        archive.writestr(zipfile.ZipInfo("y.npy"), labels.getvalue())
    return out.getvalue()


def _idx_labels(path: Path, seed: int) -> None:
    body = struct.pack(">BBBBI", 0, 0, 8, 1, 6) + bytes(i % 2 for i in range(6))
    labels = path.with_name(path.name.replace("images-idx3", "labels-idx1"))
    labels.write_bytes(gzip.compress(body, mtime=0) if path.name.endswith(".gz") else body)


def _two_pictures(path: Path, seed: int) -> None:
    for i in range(2):
        (path.parent / f"{i}.png").write_bytes(_image("PNG", "RGB")(1000 * seed + i))


def _metadata(form: str) -> Callable[[int], bytes]:
    def make(seed: int) -> bytes:
        rows = [{"file_name": f"{i}.png", "label": "ab"[(seed + i) % 2]} for i in range(2)]
        if form == "jsonl":
            return "".join(json.dumps(row) + "\n" for row in rows).encode()
        if form == "csv":
            return "".join(",".join(row) + "\n" for row in [list(rows[0]), *(list(r.values()) for r in rows)]).encode()
        return _parquet({name: [row[name] for row in rows] for name in rows[0]}, seed)

    return make


def _code(seed: int) -> bytes:
    return program(seed).encode()


def _smiles(seed: int) -> bytes:
    return "".join(f"{molecule(100 * seed + i)}\tmade-{i}\n" for i in range(12)).encode()


def _animation(kind: str, seed: int) -> bytes:
    with Image.open(io.BytesIO(moving_dot(seed))) as image:
        pictures = [frame.convert("RGB") for frame in ImageSequence.Iterator(image)]
    out = io.BytesIO()
    pictures[0].save(out, kind, save_all=True, append_images=pictures[1:], duration=100, loop=0)
    return out.getvalue()


FORMATS: dict[str, Format] = {
    "png": Format(_image("PNG", "RGB", "L", "RGBA", "P", "1", "I;16"), "image", "{}.png"),
    "jpeg": Format(_image("JPEG", "RGB", "L", "CMYK", quality=80), "image", "{}.jpg"),
    "gif": Format(_image("GIF", "P", "L"), "image", "{}.gif"),
    "webp": Format(_image("WEBP", "RGB", "RGBA", quality=60), "image", "{}.webp"),
    "tiff": Format(_tiff, "image", "{}.tif"),
    "bmp": Format(_image("BMP", "RGB", "L", "P", "1"), "image", "{}.bmp"),
    "ppm": Format(_image("PPM", "RGB", "L", "1"), "image", "{}.ppm"),
    "tga": Format(_image("TGA", "RGB", "L", "RGBA"), "image", "{}.tga"),
    "ico": Format(_image("ICO", "RGBA", "RGB", sizes=[(16, 16)]), "image", "{}.ico"),
    "pcx": Format(_image("PCX", "RGB", "L", "P"), "image", "{}.pcx"),
    "sgi": Format(_image("SGI", "RGB", "L", "RGBA"), "image", "{}.sgi"),
    "jp2": Format(_image("JPEG2000", "RGB", "L"), "image", "{}.jp2"),
    "avif": Format(_image("AVIF", "RGB", quality=40, speed=10, max_threads=1), "image", "{}.avif"),
    "gif-moving": Format(lambda seed: moving_dot(seed), "video", "{}.gif"),
    "webp-moving": Format(lambda seed: _animation("WEBP", seed), "video", "{}.webp"),
    "png-moving": Format(lambda seed: _animation("PNG", seed), "video", "{}.png"),
    "mp4": Format(_video("mp4", "libx264", "mpeg4"), "video", "{}.mp4"),
    "mov": Format(_video("mov", "mjpeg", "libx264"), "video", "{}.mov"),
    "webm": Format(_video("webm", "libvpx"), "video", "{}.webm"),
    "avi": Format(_video("avi", "mpeg4", "mjpeg"), "video", "{}.avi"),
    "mkv": Format(_video("matroska", "libx264", "ffv1"), "video", "{}.mkv"),
    "wav": Format(_sound("WAV", "PCM_16", "PCM_U8", "FLOAT", "ULAW", "IMA_ADPCM"), "audio", "{}.wav"),
    "flac": Format(_sound("FLAC", "PCM_16", "PCM_24"), "audio", "{}.flac"),
    "ogg": Format(_sound("OGG", "VORBIS"), "audio", "{}.ogg"),
    "opus": Format(_sound("OGG", "OPUS"), "audio", "{}.opus"),
    "mp3": Format(_sound("MP3", "MPEG_LAYER_III", rate=16000), "audio", "{}.mp3"),
    "aiff": Format(_sound("AIFF", "PCM_16", "FLOAT"), "audio", "{}.aiff"),
    "au": Format(_sound("AU", "PCM_16", "ULAW"), "audio", "{}.au"),
    "caf": Format(_sound("CAF", "PCM_16", "ALAC_16"), "audio", "{}.caf"),
    "w64": Format(_sound("W64", "PCM_16"), "audio", "{}.w64"),
    "fasta": Format(_sequences, "protein", "{}.fasta"),
    "fasta.gz": Format(lambda seed: gzip.compress(_sequences(seed), mtime=0), "protein", "{}.fasta.gz"),
    "smiles": Format(_smiles, "molecule", "{}.smi"),
    "code": Format(_code, "code", "{}.py"),
    "text": Format(_text, "text", "{}.txt"),
    "text.gz": Format(lambda seed: gzip.compress(_text(seed), mtime=0), "text", "{}.txt.gz"),
    "csv": Format(_separated(","), "text", "{}.csv"),
    "tsv": Format(_separated("\t"), "text", "{}.tsv"),
    "jsonl": Format(_jsonl, "text", "{}.jsonl"),
    "parquet-text": Format(_parquet_text, "text", "{}.parquet"),
    "parquet-images": Format(_parquet_images, "image", "{}.parquet"),
    "tar": Format(_tar("w"), "image", "{}.tar"),
    "tar.gz": Format(_tar("w:gz"), "image", "{}.tar.gz"),
    "idx": Format(_idx, "image", "{}-images-idx3-ubyte", _idx_labels),
    "idx.gz": Format(lambda seed: gzip.compress(_idx(seed), mtime=0), "image", "{}-images-idx3-ubyte.gz", _idx_labels),
    "npy": Format(_npy, "image", "{}.npy"),
    "npz": Format(_npz, "image", "{}.npz"),
    "metadata-csv": Format(_metadata("csv"), "image", "{}/metadata.csv", _two_pictures),
    "metadata-jsonl": Format(_metadata("jsonl"), "image", "{}/metadata.jsonl", _two_pictures),
    "metadata-parquet": Format(_metadata("parquet"), "image", "{}/metadata.parquet", _two_pictures),
}  # fmt: skip

# What strangers hand over, by what decodes it; a format may hold two of these.
CONTAINERS: dict[str, tuple[str, ...]] = {
    "pictures": ("png", "jpeg", "gif", "webp", "tiff", "bmp", "ppm", "tga", "ico", "pcx", "sgi", "jp2", "avif"),
    "video": ("gif-moving", "webp-moving", "png-moving", "mp4", "mov", "webm", "avi", "mkv"),
    "sound": ("wav", "flac", "ogg", "opus", "mp3", "aiff", "au", "caf", "w64"),
    "tables": (
        "csv",
        "tsv",
        "jsonl",
        "parquet-text",
        "parquet-images",
        "metadata-csv",
        "metadata-jsonl",
        "metadata-parquet",
    ),
    "archives": ("tar", "tar.gz", "idx", "idx.gz", "npy", "npz"),
    "text": ("text", "text.gz", "code"),
    "sequences": ("fasta", "fasta.gz", "smiles"),
}


@functools.cache
def good_files(name: str) -> tuple[bytes, ...]:
    """The good files of a format: the same in every batch."""
    return tuple(FORMATS[name].make(seed) for seed in range(GOOD))


def write(folder: Path, name: str, stem: str, data: bytes, seed: int) -> Path:
    """Put a file of this format, and what belongs to it, into a folder of data."""
    form = FORMATS[name]
    path = folder / form.name.format(stem)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    if form.beside is not None:
        form.beside(path, seed)
    return path
