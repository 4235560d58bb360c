"""Distance of whole texts by what they share with a single other text, word for word.

Passages that several real texts share (licences, set phrases, tables) say nothing about the source of a sample. Passages that occur
in one real text alone do: a sample of a page with half a page of one training text is a copy.

Legend for shapes: n items, q queries, p pool, e pairs of a window and an item that holds it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from anew.core.arrays import Integers
from anew.evaluation.memorization.copying_test import Array, Distance, Indices
from anew.functional.text_hashes import Hashes, code_points, window_hashes

# Characters of a window: of longer ones too few are left where one character of twenty was changed (docs/log.md, 2026-11-28)
WINDOW = 16
MAX_WINDOWS = 20_000_000  # windows of all texts that are kept, drawn by their hashes: they take 30 bytes each
# Share of a text that it may have in common with a single other one without being close to it. A match is three times that: of real
# texts, 2% to 8% have so much in common with one other (documentation, programs), of novels none.
USUAL_SHARE = 0.05
# In a planted copy that is joined from two texts, the share that comes from the text near which it is to be found.
LARGER_PART = 0.6


@dataclass(frozen=True, slots=True)
class WholeText:
    """A text, and the part of it that is compared with other texts.

    Attributes:
        start, stop: The compared part.
        size: Characters that a share is a share of; more than the part has if the text is a part of a sample.
    """

    text: str
    start: int
    stop: int
    size: int


class SoleSourceDistance(Distance):
    """1 / the share of a text that occurs in exactly one text of the pool."""

    name = "text that it shares with a single text"
    # The same for all texts, as passages that occur in several texts of the pool do not count anyway
    scale = 1.0 / USUAL_SHARE

    def __init__(self, items: Sequence[WholeText], groups: Integers) -> None:
        """groups: (n,) of any integers; at most one text of a group may be in a pool."""
        self.set_groups(groups)
        step = sum(len(item.text) for item in items) // MAX_WINDOWS + 1
        self._size = np.ones(len(items))  # distinct windows that a share is a share of
        hashes, owners, in_parts = [], [], []
        for number, item in enumerate(items):
            windows, in_part = _windows(item, step)
            hashes.append(windows)
            owners.append(np.full(len(windows), number, dtype=np.int32))
            in_parts.append(in_part)
            part = max(item.stop - item.start, 1)
            self._size[number] = max(float(in_part.sum()) * item.size / part, 1.0)
        joined = np.concatenate(hashes)
        order = np.argsort(joined, kind="stable")
        joined = joined[order]
        is_new = np.append(True, joined[1:] != joined[:-1])[: len(joined)]
        window = np.cumsum(is_new) - 1
        is_shared = np.bincount(window)[window] > 1 if len(window) else is_new
        # (e,) by window, then by item
        self._window = np.unique(window[is_shared], return_inverse=True)[1].astype(np.int64)
        self._owner = np.concatenate(owners)[order][is_shared].astype(np.int64)
        self._is_in_cut = np.concatenate(in_parts)[order][is_shared]

    def nearest(self, queries: Indices, pool: Indices) -> tuple[Indices, Array]:
        n = len(self._group)
        in_pool, is_query = np.zeros(n, dtype=bool), np.zeros(n, dtype=bool)
        in_pool[pool] = is_query[queries] = True
        # The text of the pool that is of a group
        text_of_group = np.full(int(self._group.max()) + 1, -1, dtype=np.int64)
        text_of_group[self._group[pool]] = pool
        rows = in_pool[self._owner]
        window, owner = self._window[rows], self._owner[rows]
        num_windows = int(self._window.max(initial=-1)) + 1
        count = np.bincount(window, minlength=num_windows)  # texts of the pool that hold each window
        owner_sum = np.bincount(window, weights=owner, minlength=num_windows).astype(np.int64)
        pairs = window * n + owner  # rising
        rows = is_query[self._owner] & self._is_in_cut
        window, query = self._window[rows], self._owner[rows]
        own_text = text_of_group[self._group[query]]
        is_own = (own_text >= 0) & _contains(pairs, window * n + own_text)
        is_sole = count[window] - is_own == 1
        source = (owner_sum[window] - np.where(is_own, own_text, 0))[is_sole]
        shared, num_shared = np.unique(query[is_sole] * n + source, return_counts=True)
        order = np.argsort(num_shared, kind="stable")
        query, source, num_shared = shared[order] // n, shared[order] % n, num_shared[order]
        largest = np.full(n, -1, dtype=np.intp)
        largest[query] = source  # the last of several values for an index is kept
        is_source = num_shared >= USUAL_SHARE * self._size[query]
        total = np.bincount(query, np.where(is_source, num_shared, 0), minlength=n)
        with np.errstate(divide="ignore"):
            return largest[queries], self._size[queries] / total[queries]


def _windows(item: WholeText, step: int) -> tuple[Hashes, NDArray[np.bool_]]:
    """Hashes of the distinct windows of a text, about one in `step`, rising, and whether each is in the compared part."""
    if len(item.text) < WINDOW:
        return np.zeros(0, dtype=np.uint64), np.zeros(0, dtype=bool)
    hashes = window_hashes(code_points(item.text), WINDOW)
    windows, part = np.unique(hashes), np.unique(hashes[item.start : max(item.stop - WINDOW + 1, item.start)])
    in_part = np.isin(windows, part, assume_unique=True)
    is_drawn = windows % np.uint64(step) == 0
    return windows[is_drawn], in_part[is_drawn]


def _contains(values: Integers, wanted: Integers) -> NDArray[np.bool_]:
    """Whether each wanted value is among `values`, which rise."""
    if not len(values):
        return np.zeros(len(wanted), dtype=bool)
    return np.asarray(values[np.minimum(np.searchsorted(values, wanted), len(values) - 1)] == wanted)


def texts_cut_to_lengths(texts: Sequence[str], others: Sequence[str], rng: np.random.Generator) -> list[WholeText]:
    """The texts with the parts, cut out at random places, in which they are no longer than the others."""
    lengths, other_lengths = (np.array([len(text) for text in part], dtype=np.intp) for part in (texts, others))
    whole_texts = []
    for text, size in zip(texts, cut_lengths(lengths, other_lengths), strict=True):
        start = int(rng.integers(len(text) - size + 1))
        whole_texts.append(WholeText(text, start, start + int(size), int(size)))
    return whole_texts


def joined_parts(item: WholeText, other: WholeText, rng: np.random.Generator) -> WholeText:
    """A sample that is joined from LARGER_PART of the compared part and a smaller part of another text.

    Generators rarely copy whole texts.
    """
    size = round(LARGER_PART * (item.stop - item.start))
    other_size = round(min(size * (1.0 / LARGER_PART - 1.0), (1.0 - LARGER_PART) * (other.stop - other.start)))
    parts = [_random_part(item, size, rng), _random_part(other, other_size, rng)]
    text = "".join(parts[i] for i in rng.permutation(2))
    return WholeText(text, 0, len(text), len(text))


def _random_part(item: WholeText, size: int, rng: np.random.Generator) -> str:
    start = int(rng.integers(item.start, item.stop - size + 1))
    return item.text[start : start + size]


def cut_lengths(lengths: Integers, other_lengths: Integers) -> Indices:
    """The lengths, in characters, to which texts are cut: the longest to at most that of the longest other text, the second longest to at
    most that of the second, and so on.

    A long text has more in common with others by chance. Samples and the real texts that pose as samples are cut by each other's
    lengths, so both have the same distribution of lengths.

    Args:
        lengths: (n,) of the texts.
        other_lengths: (m,) of the others.
    """
    rank = np.empty(len(lengths))
    rank[np.argsort(lengths, kind="stable")] = (np.arange(len(lengths)) + 0.5) / len(lengths)
    limit = np.quantile(other_lengths, rank, method="inverted_cdf")
    return np.minimum(lengths, limit).astype(np.intp)
