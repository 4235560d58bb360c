"""Naive models of text, as rows beside a trained one: counting (Kneser-Ney) and general compressors.

All say bits for the characters of a test part given the training part; what separates records counts as a character
where the data has line ends between them, and is free between documents.
"""

from __future__ import annotations

import bz2
import lzma
import math
import time
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from anew.estimators.kneser_ney import KneserNey
from anew.evaluation.memorization.nearest import codes

UNICODE = math.log2(0x110000)  # bits that name a character which the training part never shows


def kneser_ney_bits(train: Sequence[str], test: Sequence[str], order: int, records: bool) -> NDArray[np.float64]:
    """Bits of each test character under an interpolated Kneser-Ney model of `order` characters of context, (n,).

    Records are read from line end to line end, so that the model knows where one begins and pays for where it ends.
    """
    known = np.unique(codes("".join(train) + ("\n" if records else "")))

    def numbered(text: str) -> NDArray[np.int64]:
        raw = codes(f"\n{text}\n" if records else text)
        place = np.minimum(np.searchsorted(known, raw), len(known) - 1)
        return np.where(known[place] == raw, place, len(known)).astype(np.int64)

    model = KneserNey.fit((numbered(t) for t in train), len(known) + 1, order)
    rows = [row for row in map(numbered, test) if len(row)]
    ids = np.concatenate(rows)
    depth = np.concatenate([np.arange(len(row)) for row in rows])
    probability = model.probability(model.walk(ids, depth), ids).astype(np.float64)
    bits = -np.log2(np.maximum(probability, 1e-30)) + np.where(ids == len(known), UNICODE, 0.0)
    return np.asarray(bits[depth > 0] if records else bits)


def kneser_ney_seconds(train: Sequence[str], test: Sequence[str], order: int, records: bool) -> float:
    """What `kneser_ney_bits` would take here, from a trial on a small part."""
    size, total = 0, sum(map(len, train)) + sum(map(len, test))
    part: list[str] = []
    for text in train:
        part.append(text[: max(30_000 - size, 0)])
        size += len(part[-1])
        if size >= 30_000:
            break
    start = time.perf_counter()
    kneser_ney_bits(part, ["a"], order, records)
    return 1.2 * (time.perf_counter() - start) * max(total / max(size, 1), 1.0)  # sorting and caches: a bit over linear


def _xz(data: bytes) -> bytes:
    reach = 1 << max(len(data).bit_length(), 16)  # the dictionary spans all that was given
    chain = {"id": lzma.FILTER_LZMA2, "preset": 9, "dict_size": min(reach, 1 << 29)}
    return lzma.compress(data, format=lzma.FORMAT_XZ, check=lzma.CHECK_NONE, filters=[chain])


COMPRESSORS: dict[str, tuple[Callable[[bytes], bytes], float]] = {
    # name -> (compress, bytes a second that a slow core still manages)
    "xz": (_xz, 6e5),
    "bz2": (bz2.compress, 4e6),
}


def compressed_bits(name: str, train: Sequence[str], test: Sequence[str], records: bool) -> float:
    """Bits that the test part adds to the compressed training part."""
    compress = COMPRESSORS[name][0]
    end = "\n" if records else ""
    first = "".join(t + end for t in train).encode("utf-8", "surrogatepass")
    second = "".join(t + end for t in test).encode("utf-8", "surrogatepass")
    return 8.0 * (len(compress(first + second)) - len(compress(first)))
