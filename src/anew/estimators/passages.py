"""Passages of a training text that another text repeats: how long they are, the tokens that continue them, and how often held-out text
does.

Legend for shapes: N tokens of the training text, T tokens of another text, k occurrences.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from anew.core.arrays import Doubles, Floats, Int32s, Ints

MIN_MATCH = 4  # tokens that must agree, as for matches of context mixing
LONGER = (4, 8, 16)  # a passage is lengthened by so many tokens at a time: most are short
# Tokens beyond which lengths are not told apart: some 100 characters of code, which held-out text leaves once in 50 tokens
# (docs/log.md, 2026-11-29)
MAX_PASSAGE = MIN_MATCH + sum(LONGER)
# Places of held-out text at which it is looked up whether a passage is continued: in a second; chosen
MAX_PLACES = 8_192
# Occurrences above which they are sorted by the tokens before them instead of compared one by one: four blanks are a tenth of some
# programs. Chosen.
MANY_OCCURRENCES = 1024
# Tokens by which they are sorted at a time, and the bits of each in a key; 0 stands for the beginning of the text
SORTED_TOKENS, TOKEN_BITS = 3, 20


class Passage(NamedTuple):
    """The longest passage of the training text that ends a text.

    Attributes:
        length: Its tokens, at most MAX_PASSAGE; 0 if they are fewer than MIN_MATCH.
        places: (k,) positions in the training text that follow its occurrences.
    """

    length: int
    places: Ints


NO_PASSAGE = Passage(0, np.zeros(0, dtype=np.int64))


class _SortedOccurrences(NamedTuple):
    """Occurrences of a passage, sorted by the tokens before it, the nearest first.

    Attributes:
        keys: (k,) a number for the SORTED_TOKENS tokens before each.
        starts: (k,) where its last MIN_MATCH tokens begin.
    """

    keys: Ints
    starts: Ints

    def search(self, before: Sequence[int]) -> tuple[int, int, int]:
        """Which occurrences follow most of some tokens, at most SORTED_TOKENS and the nearest first: the first one, the end, and how
        many tokens they follow."""
        for length in range(len(before), 0, -1):
            step = 1 << TOKEN_BITS * (SORTED_TOKENS - length)
            low = step * sum((token + 1) << TOKEN_BITS * (length - 1 - n) for n, token in enumerate(before[:length]))
            first, stop = self.keys.searchsorted((low, low + step)).tolist()
            if first < stop:
                return first, stop, length
        return 0, len(self.keys), 0


class PassageIndex:
    """All passages of a text. text: (N,) tokens."""

    def __init__(self, text: Int32s) -> None:
        self.text = text
        self._sorted: dict[tuple[int, ...], _SortedOccurrences] = {}
        keys = _keys(text[:-1])  # nothing follows what ends the text
        self._starts = np.argsort(keys, kind="stable")
        self._keys = keys[self._starts]

    def endings(self, ids: Ints) -> list[Passage]:
        """The passages that end texts (n, T)."""
        if ids.shape[1] < MIN_MATCH:
            return [NO_PASSAGE] * len(ids)
        keys = _keys(ids[:, -MIN_MATCH:].T)[0]  # (n,)
        firsts, stops = (self._keys.searchsorted(keys, side).tolist() for side in ("left", "right"))
        spans = zip(firsts, stops, ids, strict=True)
        return [self._longest(slice(first, stop), row) if first < stop else NO_PASSAGE for first, stop, row in spans]

    def _longest(self, span: slice, ids: Ints) -> Passage:
        """The passage that ends a text (T,). span: the keys of its last MIN_MATCH tokens."""
        starts, length = self._starts[span], MIN_MATCH
        path: tuple[int, ...] = (span.start,)
        while len(starts) > MANY_OCCURRENCES:
            occurrences = self._sorted.get(path) or self._sort(path, starts, length)
            num_before = min(SORTED_TOKENS, MAX_PASSAGE - length, len(ids) - length)
            before = ids[len(ids) - length - num_before : len(ids) - length][::-1].tolist()
            first, stop, num_agreeing = occurrences.search(before)
            starts, length, path = occurrences.starts[first:stop], length + num_agreeing, (*path, first)
            if num_agreeing < SORTED_TOKENS:
                return Passage(length, starts + MIN_MATCH)
        return self._compare(starts + MIN_MATCH, length, ids)

    def _sort(self, path: tuple[int, ...], starts: Ints, length: int) -> _SortedOccurrences:
        """Sort the occurrences of a passage of `length` tokens, and keep them under the path by which they were found."""
        before = starts[:, None] + (MIN_MATCH - length - 1) - np.arange(SORTED_TOKENS)  # (k, SORTED_TOKENS)
        tokens = np.where(before >= 0, self.text[np.maximum(before, 0)].astype(np.int64) + 1, 0)
        keys = tokens @ (1 << TOKEN_BITS * np.arange(SORTED_TOKENS)[::-1])
        order = np.argsort(keys, kind="stable")
        self._sorted[path] = _SortedOccurrences(keys[order], starts[order])
        return self._sorted[path]

    def _compare(self, places: Ints, length: int, ids: Ints) -> Passage:
        """The passage that ends a text (T,). places: (k,) what follows the occurrences of its last `length` tokens."""
        for width in LONGER:
            before = ids[: len(ids) - length][::-1][: min(width, MAX_PASSAGE - length)]
            back = places[:, None] - length - 1 - np.arange(len(before))  # (k, w)
            agrees = (self.text[np.maximum(back, 0)] == before) & (back >= 0)
            further = np.logical_and.accumulate(agrees, 1).sum(1)  # (k,)
            max_further = int(further.max())
            places, length = places[further == max_further], length + max_further
            if max_further < width:
                break
        return Passage(length, places)

    def after(self, passages: Sequence[Passage], ids: Ints) -> list[Passage]:
        """The passages that end texts (n, T), from those that ended them before their last token."""
        longer = [
            self._lengthened(passage, token) for passage, token in zip(passages, ids[:, -1].tolist(), strict=True)
        ]
        others = [row for row, passage in enumerate(longer) if not passage.length]
        if others:
            for row, passage in zip(others, self.endings(ids[others]), strict=True):
                longer[row] = passage
        return longer

    def _lengthened(self, passage: Passage, token: int) -> Passage:
        """The passage with one more token, if the text has it."""
        if not passage.length:
            return NO_PASSAGE
        places = passage.places[self.text[passage.places] == token] + 1
        places = places[places < len(self.text)]  # nothing follows what ends the text
        return Passage(min(passage.length + 1, MAX_PASSAGE), places) if len(places) else NO_PASSAGE

    def followers(self, passage: Passage) -> Ints:
        """The tokens that follow a passage."""
        tokens = self.text[passage.places].astype(np.int64)
        return np.unique(tokens) if len(tokens) > 1 else tokens


def continuation_rates(index: PassageIndex, documents: Sequence[Ints]) -> Floats | None:
    """(MAX_PASSAGE + 1,) how often texts that were not indexed continue a passage, by its length: the longer, the more often.
    None if they repeat no passage."""
    num_places = sum(max(0, len(ids) - 1) for ids in documents)
    step = max(1, -(-num_places // MAX_PLACES))
    totals, counts = np.zeros(MAX_PASSAGE + 1), np.zeros(MAX_PASSAGE + 1)
    offset = 0
    for ids in documents:
        for place in range(1 + offset, len(ids), step):
            passage = index.endings(ids[None, max(0, place - MAX_PASSAGE) : place])[0]
            totals[passage.length] += 1
            counts[passage.length] += passage.length > 0 and bool((index.text[passage.places] == ids[place]).any())
        offset = (offset - max(0, len(ids) - 1)) % step
    totals[0] = 0.0
    return _increasing(totals, counts) if totals.any() else None


def _increasing(totals: Doubles, counts: Doubles) -> Floats:
    """Shares counts / totals that never fall, nearest to the measured ones (pool adjacent violators). A length that does not occur has the
    share of the next shorter one that occurs, else that of the shortest."""
    pools: list[tuple[float, float, int]] = []  # total, count and the first length of each
    for length in np.flatnonzero(totals).tolist():
        pools.append((totals[length], counts[length], length))
        while len(pools) > 1 and pools[-2][1] * pools[-1][0] >= pools[-1][1] * pools[-2][0]:
            total, count, _ = pools.pop()
            pools[-1] = (pools[-1][0] + total, pools[-1][1] + count, pools[-1][2])
    rates = np.full(len(totals), pools[0][1] / pools[0][0], dtype=np.float32)
    for total, count, first in pools[1:]:
        rates[first:] = count / total
    return rates


def _keys(ids: NDArray[np.integer]) -> Ints:
    """(T - MIN_MATCH + 1, ...) a number for each MIN_MATCH tokens of (T, ...), equal for equal ones: 16 bits for each token."""
    size = max(0, len(ids) - MIN_MATCH + 1)
    keys = np.zeros((size, *ids.shape[1:]), dtype=np.int64)
    for offset in range(MIN_MATCH):
        keys = keys * 65_536 + ids[offset : offset + size]
    return keys
