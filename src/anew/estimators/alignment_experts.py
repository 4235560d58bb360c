"""Places in known records that lie beside what a new record has shown so far, and what stands next there.

An expert follows one place step by step and foretells what stands there, with the trust that its own hits have earned: the
expert model of Cao, Dix, Allison and Mears, "A simple statistical algorithm for biological sequence compression" (DCC 2007).
Unlike a counted context it goes on where a token differs: relatives that share every second residue share no six in a row.

Legend for shapes: N known tokens, V vocabulary, n rows, K experts of a row, M proposals to a row.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

EXPERTS = 64
PROPOSALS = 64  # places that a step offers to a row, evenly among all that share its last tokens
BACK = 32  # tokens before a proposal that its first score comes from
KEEP = 0.97  # what a score shrinks to with each token: relatives part from each other along the way
KEEP_HITS = 0.95  # the same of an expert's hits and tries
TRUST, DOUBT = 0.45, 2.0  # share of hits that is expected of a new expert, and tries' worth of it
MOST_TRUST = 0.55  # more would let a gate draw copies of known records, for which held-out records give no reason
SHARPNESS = 0.5  # experts that follow relatives of one another are no independent evidence
CHANCE_HITS = 16  # places that share a context by chance alone: it is as long as brings them to this number
LEARNED = 50_000  # tokens of records that show which one stands in for which
PRIOR = 20.0  # tokens' worth of how common they are, added to what was seen
EMPTY = np.float32(-1e9)  # the score of a slot without an expert
ROWS = 256  # rows whose proposals are looked at together; bounds memory
Floats = NDArray[np.float32]
Ints = NDArray[np.int64]
Places = NDArray[np.int32]


class Ahead(NamedTuple):
    """What n rows expect next. chance: (n, V) probabilities above 0; evidence: (n,) nats that a relative is followed; near:
    (n,) whether it is so near that its experts are trusted as much as any may be."""

    chance: Floats
    evidence: Floats
    near: NDArray[np.bool_]


class Aligned:
    """Known records. ids: (N,) tokens, one record behind the other; lengths: (records,); change: (V, V) probability of the
    column's token where the row's one was expected and did not come."""

    def __init__(self, ids: Places, lengths: Ints, vocab: int, change: Floats | None = None) -> None:
        self.ids, self.lengths, self.vocab = ids, lengths, vocab
        starts = np.cumsum(lengths) - lengths
        self.owner = np.repeat(np.arange(len(lengths), dtype=np.int32), lengths)  # (N,)
        self.depth = (np.arange(len(ids)) - starts[self.owner]).astype(np.int32)  # (N,) tokens before it in its record
        common = np.bincount(ids, minlength=vocab) + 0.5
        self.common: Floats = (common / common.sum()).astype(np.float32)  # (V,)
        self.change = _off_diagonal(np.zeros((vocab, vocab)), self.common) if change is None else change
        self.log_common, self.log_change = np.log(self.common), np.log(np.maximum(self.change, 1e-9))
        self.context = context_of(len(ids), self.common)
        self._index()

    @classmethod
    def fit(cls, sequences: Iterable[Sequence[int] | NDArray[np.integer]], vocab: int) -> Aligned:
        """Of records; some of them are read again without themselves, to learn what stands in for what."""
        parts = [np.asarray(one, dtype=np.int32) for one in sequences if len(one)] or [np.zeros(1, dtype=np.int32)]
        ids = np.concatenate(parts)
        lengths = np.array([len(one) for one in parts], dtype=np.int64)
        known = cls(ids, lengths, vocab)
        many = max(1, LEARNED // int(lengths.max()))
        which = np.unique(np.linspace(0, len(parts) - 1, many).round().astype(np.int64))
        seen = np.zeros((vocab, vocab))
        rows = np.zeros((len(which), int(lengths[which].max())), dtype=np.int64)
        for row, one in zip(rows, which, strict=True):
            row[: lengths[one]] = parts[one]
        following = known.follow(len(which), without=which)
        for place in range(rows.shape[1]):
            if place:
                following.ahead()
                live = np.flatnonzero(place < lengths[which])
                following.count_changes(seen, live, rows[:, place])
            following.came(rows[:, place])
        return cls(ids, lengths, vocab, _off_diagonal(seen, known.common))

    def _index(self) -> None:
        """Places (N',) in the order of the `context` tokens before them, and these as one number each."""
        places = np.flatnonzero(self.depth >= self.context)
        keys = np.zeros(len(places), dtype=np.int64)
        for back in range(self.context, 0, -1):
            keys = keys * self.vocab + self.ids[places - back]
        order = np.argsort(keys, kind="stable")
        self.keys, self.places = keys[order], places[order].astype(np.int32)

    def follow(self, n: int, without: Ints | None = None) -> Following:
        """For n rows that grow together. without: (n,) a record that a row's experts keep away from."""
        return Following(self, n, without)


class Following:
    """The experts of n rows. Rows do not depend on each other."""

    def __init__(self, known: Aligned, n: int, without: Ints | None) -> None:
        self.known, self.without = known, without
        self.history = np.full((n, BACK), -1, dtype=np.int64)
        self.places = np.full((n, EXPERTS), -1, dtype=np.int32)  # the known token that comes next
        self.scores = np.full((n, EXPERTS), EMPTY)  # nats above how common tokens are
        self.hits = np.zeros((n, EXPERTS), dtype=np.float32)
        self.tries = np.zeros((n, EXPERTS), dtype=np.float32)

    def repeated(self, n: int) -> Following:
        """n rows of what this one row has shown."""
        other = Following(self.known, n, None)
        for name in ("history", "places", "scores", "hits", "tries"):
            setattr(other, name, getattr(self, name).repeat(n, 0))
        return other

    def ahead(self) -> Ahead:
        """Of what comes next."""
        n, known = len(self.places), self.known
        for first in range(0, n, ROWS):
            self._propose(slice(first, min(first + ROWS, n)))
        level = np.where(self.scores > EMPTY / 2, self.scores * SHARPNESS, EMPTY)
        top = np.maximum(level.max(1), 0.0)  # (n,)
        self._weights = np.exp(level - top[:, None])  # (n, K)
        nobody = np.exp(-top)
        total = self._weights.sum(1) + nobody
        self._weights /= total[:, None]
        told, trust = known.ids[self.places], self._trust()  # (n, K)
        slots = (np.arange(n)[:, None] * known.vocab + told).ravel()
        sure = self._weights * trust
        copied, changed = (
            np.bincount(slots, part.ravel(), n * known.vocab).reshape(n, -1).astype(np.float32)
            for part in (sure, self._weights - sure)
        )
        chance = copied + changed @ known.change + (nobody / total)[:, None] * known.common
        chance /= chance.sum(1, keepdims=True)
        near = (self._weights * (trust >= MOST_TRUST)).sum(1) > 0.5
        return Ahead(chance, np.log(total) + top, near)

    def came(self, tokens: Ints) -> None:
        """tokens: (n,) that came next."""
        known, live = self.known, self.scores > EMPTY / 2
        told, token = known.ids[self.places], tokens[:, None]
        same = told == token
        gained = _gain(same, told, token, self._trust(), known)
        self.scores = np.where(live, KEEP * self.scores + gained, EMPTY).astype(np.float32)
        self.hits, self.tries = KEEP_HITS * self.hits + same, KEEP_HITS * self.tries + 1.0
        self.places = np.where(live, self.places + 1, -1).astype(np.int32)
        over = self.places >= len(known.ids)
        self.places[over] = -1
        ended = over | (known.depth[self.places] == 0)  # the next record has begun
        self.scores[ended], self.places[ended] = EMPTY, -1
        self.history = np.concatenate((self.history[:, 1:], token), 1)

    def count_changes(self, seen: NDArray[np.float64], rows: Ints, tokens: Ints) -> None:
        """Add to `seen` (V, V) what came (n,) where experts of these rows were wrong; after `ahead`."""
        told = self.known.ids[self.places[rows]]
        came = np.broadcast_to(tokens[rows, None], told.shape)
        wrong = self._weights[rows] * (1.0 - self._trust()[rows]) * (told != came)
        np.add.at(seen, (told, came), wrong)

    def _trust(self) -> Floats:
        return _trust(self.hits, self.tries)

    def _propose(self, rows: slice) -> None:
        """Places that share the last tokens take the slots of experts that score less."""
        known, history = self.known, self.history[rows]
        places, good = self._shared(history)
        good &= ~(places[:, :, None] == self.places[rows, None, :]).any(2)
        if self.without is not None:
            good &= known.owner[places] != self.without[rows, None]
        back = np.arange(1, BACK + 1)
        before = known.ids[np.maximum(places[:, :, None] - back, 0)]  # (n, M, BACK)
        shown = history[:, None, ::-1]
        real = (known.depth[places][:, :, None] >= back) & (shown >= 0)
        same = (before == shown) & real
        weights = (KEEP_HITS ** (back - 1.0)).astype(np.float32)
        hits, tries = same @ weights, real @ weights  # (n, M)
        gained = _gain(same, before, shown, _trust(hits, tries)[:, :, None], known) * real
        scores = gained @ (KEEP ** (back - 1.0)).astype(np.float32)
        scores[~good] = EMPTY
        parts = ((self.scores, scores), (self.hits, hits), (self.tries, tries), (self.places, places))
        joined = [np.concatenate((old[rows], new), 1) for old, new in parts]
        best = np.argpartition(-joined[0], EXPERTS - 1, axis=1)[:, :EXPERTS]
        for (old, _), new in zip(parts, joined, strict=True):
            old[rows] = np.take_along_axis(new, best, 1)

    def _shared(self, history: Ints) -> tuple[Places, NDArray[np.bool_]]:
        """(n, M) places behind the same last tokens, and which of them are real."""
        known = self.known
        recent = history[:, history.shape[1] - known.context :]
        keys = np.zeros(len(recent), dtype=np.int64)
        for column in recent.T:
            keys = keys * known.vocab + column
        keys[(recent < 0).any(1)] = -1
        low = np.searchsorted(known.keys, keys)[:, None]
        count = np.searchsorted(known.keys, keys, side="right")[:, None] - low
        step = np.arange(PROPOSALS)
        spread = (count * ((step + 0.5) / PROPOSALS)).astype(np.int64)
        chosen = low + np.where(count <= PROPOSALS, step, spread)  # (n, M)
        if not len(known.places):  # no record is longer than a context
            return np.zeros(chosen.shape, dtype=np.int32), np.zeros(chosen.shape, dtype=bool)
        return known.places[np.minimum(chosen, len(known.places) - 1)], step < count


def context_of(tokens: int, common: Floats) -> int:
    """How many last tokens make a place a proposal: as many as few places share by chance."""
    entropy = max(float(-(common * np.log(common)).sum()), 0.1)
    wanted = round(math.log(max(tokens, 1) / CHANCE_HITS) / entropy) if tokens > CHANCE_HITS else 1
    return max(2, min(wanted, BACK, int(62 / math.log2(max(len(common), 2)))))


def _trust(hits: Floats, tries: Floats) -> Floats:
    """The probability that an expert is right, from its own record."""
    trust: Floats = np.minimum((hits + np.float32(TRUST * DOUBT)) / (tries + np.float32(DOUBT)), np.float32(MOST_TRUST))
    return trust


def _gain(same: NDArray[np.bool_], told: Places, came: Ints, trust: Floats, known: Aligned) -> Floats:
    """Nats by which experts foretold what came better than how common it is."""
    right, wrong = np.log(trust), np.log1p(-trust) + known.log_change[told, came]
    gain: Floats = np.where(same, right, wrong) - known.log_common[came]
    return gain


def _off_diagonal(seen: NDArray[np.float64], common: Floats) -> Floats:
    """(V, V) rows of probabilities from what was seen and how common tokens are, none for the token itself."""
    counts = seen + PRIOR * common
    np.fill_diagonal(counts, 0.0)
    rows: Floats = (counts / np.maximum(counts.sum(1, keepdims=True), 1e-30)).astype(np.float32)
    return rows
