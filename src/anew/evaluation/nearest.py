"""The nearest training item of a sample, for display: exact search, no index to build.

Passages are found by hashing every window of k characters; matches longer than k are runs of windows on one diagonal.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Codes = NDArray[np.uint32]
Hashes = NDArray[np.uint64]


def codes(text: str) -> Codes:
    """Unicode code points of a text, (n,)."""
    return np.frombuffer(text.encode("utf-32-le", "surrogatepass"), dtype=np.uint32)


def window_hashes(x: Codes, k: int) -> Hashes:
    """64-bit hashes of all windows of k characters, (n - k + 1,); k is a power of two: hashes of halves are combined."""
    value = x.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    value ^= value >> np.uint64(29)
    span = 1
    while span < k:
        value = value[:-span] * np.uint64(0xBF58476D1CE4E5B9) + value[span:]
        value ^= value >> np.uint64(29)
        span *= 2
    return value


def covered(text: str, known: Hashes, k: int) -> int:
    """How many characters of the text lie in a window of k characters whose hash is in `known` (sorted)."""
    if len(text) < k or not len(known):
        return 0
    hashes = window_hashes(codes(text), k)
    place = np.minimum(np.searchsorted(known, hashes), len(known) - 1)
    hit = np.flatnonzero(known[place] == hashes)
    change = np.zeros(len(text) + 1, dtype=np.int64)
    np.add.at(change, hit, 1)
    np.add.at(change, hit + k, -1)
    return int((np.cumsum(change) > 0).sum())


@dataclass(frozen=True, slots=True)
class Match:
    """text[start : start + length] == training text[place : place + length]."""

    start: int
    length: int
    place: int


def longest_matches(texts: Sequence[str], training: Codes, k: int = 8) -> list[Match | None]:
    """The longest passage of each text that stands in the training text; None where not even k characters do."""
    known = window_hashes(training, k) if len(training) >= k else np.zeros(0, dtype=np.uint64)
    rows = [window_hashes(codes(t), k) if len(t) >= k else np.zeros(0, dtype=np.uint64) for t in texts]
    wanted = np.unique(np.concatenate([np.zeros(0, dtype=np.uint64), *rows]))
    if not len(wanted) or not len(known):
        return [None] * len(texts)
    slot = np.minimum(np.searchsorted(wanted, known), len(wanted) - 1)
    places = np.flatnonzero(wanted[slot] == known)  # where in the training text some window of the texts begins
    order = places[np.argsort(slot[places], kind="stable")]
    starts = np.searchsorted(slot[order], np.arange(len(wanted) + 1))
    return [_longest(np.searchsorted(wanted, row), order, starts, k) for row in rows]


def _longest(slots: NDArray[np.intp], order: NDArray[np.intp], starts: NDArray[np.intp], k: int) -> Match | None:
    """The longest run along a diagonal among all pairs (position in the text, position in training) of one text."""
    first, count = starts[slots], starts[slots + 1] - starts[slots]
    if not count.sum():
        return None
    position = np.repeat(np.arange(len(slots)), count)
    within = np.arange(count.sum()) - np.repeat(np.cumsum(count) - count, count)
    place = order[np.repeat(first, count) + within]
    sort = np.lexsort((position, place - position))
    position, place = position[sort], place[sort]
    follows = (np.diff(position) == 1) & (np.diff(place) == 1)
    begin = np.flatnonzero(np.concatenate(([True], ~follows)))
    length = np.diff(np.append(begin, len(position)))
    best = int(np.argmax(length))
    return Match(int(position[begin[best]]), int(length[best]) + k - 1, int(place[begin[best]]))


def edit_distances(text: str, records: Sequence[str], longest: int = 128) -> NDArray[np.int32]:
    """Levenshtein distance of a short text to each record, (n,), on the first `longest` characters of each."""
    rows = [codes(r[:longest]) for r in records]
    lengths = np.array([len(r) for r in rows], dtype=np.intp)
    table = np.zeros((int(lengths.max(initial=0)), len(rows)), dtype=np.uint32)  # (characters, records)
    for index, row in enumerate(rows):
        table[: len(row), index] = row
    before = np.repeat(np.arange(len(table) + 1, dtype=np.int32)[:, None], len(rows), axis=1)
    for index, code in enumerate(codes(text[:longest])):
        here = np.empty_like(before)
        here[0] = index + 1
        swap = before[:-1] + (table != code)
        drop = before[1:] + 1
        np.minimum(swap, drop, out=here[1:])
        for j in range(1, len(here)):
            np.minimum(here[j], here[j - 1] + 1, out=here[j])
        before = here
    return np.asarray(before[lengths, np.arange(len(rows))])


def nearest_pixels(images: NDArray[Any], training: NDArray[Any]) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
    """Index of the nearest training image of each image and the root mean squared difference of their values, both (n,).

    images (n, ...), training (m, ...): uint8 of the same shape.
    """
    flat = images.reshape(len(images), -1).astype(np.float32)
    best = np.full(len(flat), np.inf)
    index = np.zeros(len(flat), dtype=np.intp)
    for start in range(0, len(training), 512):
        part = training[start : start + 512].reshape(-1, flat.shape[1]).astype(np.float32)
        square = (flat * flat).sum(1)[:, None] + (part * part).sum(1)[None] - 2.0 * (flat @ part.T)
        here = square.argmin(axis=1)
        value = square[np.arange(len(flat)), here]
        index = np.where(value < best, here + start, index)
        best = np.minimum(value, best)
    exact = ((flat - training[index].reshape(len(flat), -1).astype(np.float32)) ** 2).mean(axis=1)
    return index, np.sqrt(exact.astype(np.float64))
