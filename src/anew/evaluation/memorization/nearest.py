"""The nearest training item of a sample, for display: exact search, no index to build.

What stands where begins with the same characters lies together in the order of all suffixes, so the longest match of a
place is with a neighbour in that order: time and memory follow the length of the texts, whatever they repeat.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rapidfuzz import process
from rapidfuzz.distance import Levenshtein

Codes = NDArray[np.uint32]
Hashes = NDArray[np.uint64]
Places = NDArray[np.intp]


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
    """The longest passage of each text that stands in the training text; None where not even k characters do.

    Of equally long ones the first in the text, where it first stands in the training text."""
    from pydivsufsort import divsufsort

    rows = [codes(t) for t in texts]
    if not len(training) or not any(map(len, rows)):
        return [None] * len(texts)
    ids = _joined(training, rows)
    order = divsufsort(ids)  # places in the order of what begins there
    start, before, after = _neighbours(order, len(training) + 1)
    owner = np.repeat(np.arange(len(rows)), [len(row) + 1 for row in rows])
    ends = len(training) + np.cumsum([len(row) + 1 for row in rows])
    own = owner[start - len(training) - 1]
    left = ends[own] - start  # characters of the text from there
    length = np.maximum(_shared(ids, start, before, left), _shared(ids, start, after, left))
    found: list[Match | None] = []
    for number, end in enumerate(ends):
        mine = np.flatnonzero(own == number)
        best = mine[np.lexsort((start[mine], -length[mine]))[0]]
        if length[best] < k:
            found.append(None)
            continue
        first = int(end - len(rows[number]))
        places = _places(ids, order, int(start[best]), int(length[best]))
        place = int(places[places < len(training)].min())
        found.append(Match(int(start[best]) - first, int(length[best]), place))
    return found


def _joined(training: Codes, rows: Sequence[Codes]) -> NDArray[Any]:
    """The training text and the others as small numbers, 0 after each; all characters that no text has are one."""
    letters = np.unique(np.concatenate(rows))
    kind = np.min_scalar_type(len(letters) + 1)
    table = np.ones(int(max(letters.max(), training.max())) + 1, dtype=kind)
    table[letters] = np.arange(2, len(letters) + 2)
    end = np.zeros(1, dtype=kind)
    return np.concatenate([part for row in (training, *rows) for part in (table[row], end)])


def _neighbours(order: Places, known: int) -> tuple[Places, Places, Places]:
    """Places of at least `known`, and for each the last one before it in the order that is less, and the first one after it.
    They share the most with what begins there. -1: none."""
    rank = np.flatnonzero(order >= known)
    gaps = np.diff(rank) > 1
    breaks = np.flatnonzero(gaps) + 1
    run = np.append(0, np.cumsum(gaps))
    low, high = rank[np.append(0, breaks)] - 1, rank[np.append(breaks, len(rank)) - 1] + 1
    padded = np.append(order, -1)
    return order[rank], padded[low][run], padded[high][run]


def _shared(ids: NDArray[Any], one: Places, other: Places, most: Places) -> Places:
    """Characters that are the same from two places on, at most so many; 0 where there is no other place."""
    length = np.zeros(len(one), dtype=np.intp)
    alive = np.flatnonzero((other >= 0) & (most > 0))
    step = np.arange(32)
    while len(alive):
        here = length[alive, None] + step
        a, b = (np.minimum(place[alive, None] + here, len(ids) - 1) for place in (one, other))
        same = (ids[a] == ids[b]) & (here < most[alive, None])
        length[alive] += np.where(same.all(axis=1), len(step), same.argmin(axis=1))
        alive = alive[same.all(axis=1)]
    return length


def _places(ids: NDArray[Any], order: Places, start: int, length: int) -> Places:
    """Where these characters stand: in the order all such places lie together."""
    wanted = ids[start : start + length]

    def side(place: int) -> int:
        here = ids[order[place] : order[place] + length]
        odd = np.flatnonzero(here != wanted[: len(here)])
        if len(odd):
            return -1 if here[odd[0]] < wanted[odd[0]] else 1
        return 0 if len(here) == length else -1

    everywhere = range(len(order))
    return order[bisect_left(everywhere, 0, key=side) : bisect_right(everywhere, 0, key=side)]


def edit_distances(text: str, records: Sequence[str], longest: int = 128) -> NDArray[np.int32]:
    """Levenshtein distance of a short text to each record, (n,), on the first `longest` characters of each."""
    rows = [record[:longest] for record in records]
    found = process.cdist([text[:longest]], rows, scorer=Levenshtein.distance, dtype=np.int32)
    return np.asarray(found, dtype=np.int32).reshape(-1)


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
