"""Naive models of text to compare a trained model with: n-gram counts (Kneser-Ney) and general compressors.

Each gives the bits of the characters of a test part given the training part. The end of a record counts as a character if
line ends separate records; the end of a document costs nothing.
"""

from __future__ import annotations

import bz2
import importlib.util
import lzma
import math
import time
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from anew.core.extras import require
from anew.estimators.kneser_ney import KneserNey
from anew.functional.text_hashes import code_points

UNICODE_BITS = math.log2(0x110000)  # bits to name a character that the training part does not have
TRIAL = 30_000  # characters of a trial, which takes a few hundredths of a second
PPMD_ORDER, MAX_PPMD_MEMORY = 6, 256 << 20  # 7-Zip's default order; bytes
JOINED_TEXTS = 1_000  # that are turned into ids at once: bounds memory; chosen
OVERHEAD = 1.2  # factor by which larger data takes longer than in proportion, for sorting and caches
PACKAGES = {"ppmd": "pyppmd"}  # packages of compressors that are not in the standard library


def kneser_ney_bits(train: Sequence[str], test: Sequence[str], order: int, records: bool) -> NDArray[np.float64]:
    """The bits (n,) of each test character under an interpolated Kneser-Ney model of `order` characters of context.

    Records are read with a line end before and after, so that the model knows where one begins and must predict its end.
    """
    alphabet = np.unique(code_points("".join(train) + ("\n" if records else "")))
    unknown = len(alphabet)

    def to_ids(texts: Sequence[str]) -> Iterator[NDArray[np.int64]]:
        # Many at once, since calls take most of the time for short ones
        for first in range(0, len(texts), JOINED_TEXTS):
            batch = [f"\n{text}\n" if records else text for text in texts[first : first + JOINED_TEXTS]]
            raw = code_points("".join(batch))
            index = np.minimum(np.searchsorted(alphabet, raw), unknown - 1)
            ids = np.where(alphabet[index] == raw, index, unknown).astype(np.int64)
            bounds = np.cumsum([0, *map(len, batch)]).tolist()
            yield from (ids[start:stop] for start, stop in pairwise(bounds))

    model = KneserNey.fit(to_ids(train), unknown + 1, order)
    rows = [row for row in to_ids(test) if len(row)]
    lengths = np.array([len(row) for row in rows])
    ids = np.concatenate(rows)
    depth = np.arange(len(ids)) - np.repeat(np.cumsum(lengths) - lengths, lengths)
    probability = model.probability(model.walk(ids, depth), ids).astype(np.float64)
    bits = -np.log2(np.maximum(probability, 1e-30)) + np.where(ids == unknown, UNICODE_BITS, 0.0)
    return np.asarray(bits[depth > 0] if records else bits)


def kneser_ney_seconds(train: Sequence[str], test: Sequence[str], order: int, records: bool) -> float:
    """Estimate the seconds that `kneser_ney_bits` would take, from a trial on the first TRIAL characters."""
    trial: list[str] = []
    size = 0
    for text in train:
        trial.append(text[: max(TRIAL - size, 0)])
        size += len(trial[-1])
        if size >= TRIAL:
            break
    start = time.perf_counter()
    kneser_ney_bits(trial, ["a"], order, records)
    total = sum(map(len, train)) + sum(map(len, test))
    return OVERHEAD * (time.perf_counter() - start) * max(total / max(size, 1), 1.0)


def _xz(data: bytes) -> bytes:
    dictionary = 1 << max(len(data).bit_length(), 16)  # spans all the data, up to half a gigabyte
    chain = {"id": lzma.FILTER_LZMA2, "preset": 9, "dict_size": min(dictionary, 1 << 29)}
    return lzma.compress(data, format=lzma.FORMAT_XZ, check=lzma.CHECK_NONE, filters=[chain])


def _ppmd(data: bytes) -> bytes:
    pyppmd = require("pyppmd", extra="compressors", purpose="PPMd compression")
    encoder = pyppmd.Ppmd7Encoder(PPMD_ORDER, min(max(MAX_PPMD_MEMORY >> 4, 32 * len(data)), MAX_PPMD_MEMORY))
    return bytes(encoder.encode(data) + encoder.flush())


# The function that compresses, and the bytes a second that a slow core can compress, by name.
COMPRESSORS: dict[str, tuple[Callable[[bytes], bytes], float]] = {
    "xz": (_xz, 6e5),
    "bz2": (bz2.compress, 4e6),
    "ppmd": (_ppmd, 1e6),
}


def is_available(name: str) -> bool:
    """Whether the compressor can be used here."""
    return name not in PACKAGES or importlib.util.find_spec(PACKAGES[name]) is not None


def compressed_bits(name: str, train: Sequence[str], test: Sequence[str], records: bool) -> float:
    """The bits that the test part adds to the compressed training part."""
    compress = COMPRESSORS[name][0]
    end = "\n" if records else ""
    train_bytes, test_bytes = (
        "".join(text + end for text in texts).encode("utf-8", "surrogatepass") for texts in (train, test)
    )
    return 8.0 * (len(compress(train_bytes + test_bytes)) - len(compress(train_bytes)))
