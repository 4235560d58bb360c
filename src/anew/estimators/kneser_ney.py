"""Counting models of token sequences: interpolated modified Kneser-Ney, as sorted arrays and binary searches.

Chen and Goodman, "An empirical study of smoothing techniques for language modeling" (1999), section 3 and equations 21-26.
A context of order k is the k tokens before a target. Contexts form a tree that grows backwards in time: the key of a
context is (id of the context one token shorter) * vocab + (its oldest token), so that keys never overflow and one
walk from order 0 up finds every order that was seen.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Floats = NDArray[np.float32]
ARRAYS = ("contexts", "starts", "tokens", "values", "backoff")


@dataclass(frozen=True, slots=True)
class Level:
    """All contexts of one order. C contexts, P pairs of a context and a token that followed it.

    contexts: (C,) sorted keys. starts: (C+1,) where each context's pairs begin. tokens: (P,) what followed, sorted in
    each context. values: (P,) interpolated probability of the pair. backoff: (C,) mass left for the shorter context.
    """

    contexts: Ints
    starts: Ints
    tokens: NDArray[np.int32]
    values: Floats
    backoff: Floats
    pairs: Ints = field(init=False)  # (P,) sorted keys: context id * vocab + token

    def index(self, vocab: int) -> None:
        owner = np.repeat(np.arange(len(self.contexts), dtype=np.int64), np.diff(self.starts))
        object.__setattr__(self, "pairs", owner * vocab + self.tokens)


@dataclass(frozen=True, slots=True)
class KneserNey:
    """P(token | up to `order` tokens before it). Every token of the vocabulary has a probability above zero."""

    vocab: int
    levels: tuple[Level, ...]
    unseen: Floats = field(init=False)  # (vocab,) after no context at all

    def __post_init__(self) -> None:
        level = self.levels[0]
        row = np.full(self.vocab, level.backoff[0] / self.vocab, dtype=np.float32)
        row[level.tokens] = level.values
        object.__setattr__(self, "unseen", row)

    @property
    def order(self) -> int:
        return len(self.levels) - 1

    @classmethod
    def fit(cls, stretches: Iterable[Sequence[int] | NDArray[np.integer]], vocab: int, order: int) -> KneserNey:
        """Count sequences that do not continue each other. order: longest context in tokens, at least 0."""
        parts = [np.asarray(s, dtype=np.int64) for s in stretches]
        parts = [p for p in parts if len(p)]
        ids = np.concatenate(parts) if parts else np.zeros(0, dtype=np.int64)
        depth = np.concatenate([np.arange(len(p)) for p in parts]) if parts else ids
        contexts, places = _tree(ids, depth, vocab, order)
        return cls(vocab, _levels(ids, depth, contexts, places, vocab))

    def walk(self, ids: Ints, depth: Ints, at: Ints | None = None) -> Ints:
        """Context ids (order+1, n), -1 where unseen, of the targets ids[at] (None: all), each with depth[i] known tokens
        before it."""
        at = np.arange(len(ids)) if at is None else at
        found = np.full((self.order + 1, len(at)), -1, dtype=np.int64)
        found[0] = 0
        for k in range(1, self.order + 1):
            live = np.flatnonzero((found[k - 1] >= 0) & (depth >= k))
            wanted = found[k - 1, live] * self.vocab + ids[at[live] - k]
            found[k, live] = search(self.levels[k].contexts, wanted)
        return found

    def tail(self, ids: Sequence[int]) -> list[int]:
        """One column of `walk`, for what follows a sequence: plain numbers, for a sampler's single step."""
        found = [0]
        for k in range(1, self.order + 1):
            place = -1
            if found[-1] >= 0 and k <= len(ids):
                keys, wanted = self.levels[k].contexts, found[-1] * self.vocab + ids[-k]
                place = int(keys.searchsorted(wanted))
                place = place if place < len(keys) and keys[place] == wanted else -1
            found.append(place)
        return found

    def probability(self, found: Ints, targets: Ints) -> Floats:
        """(n,) of each target after the contexts that `walk` found."""
        value = np.full(len(targets), 0.0, dtype=np.float32)
        carried = np.ones(len(targets), dtype=np.float32)
        open_ = np.arange(len(targets))
        for k in range(self.order, -1, -1):
            here = open_[found[k, open_] >= 0]
            level, context = self.levels[k], found[k, here]
            pair = search(level.pairs, context * self.vocab + targets[here])
            hit = pair >= 0
            value[here[hit]] = carried[here[hit]] * level.values[pair[hit]]
            carried[here[~hit]] *= level.backoff[context[~hit]]
            done = np.zeros(len(targets), dtype=bool)
            done[here[hit]] = True
            open_ = open_[~done[open_]]
        value[open_] = carried[open_] / self.vocab
        return value

    def distribution(self, found: Ints) -> Floats:
        """(n, vocab) after the contexts that `walk` found, from order 0 up."""
        if found.shape[1] == 1:
            return self._one(found[:, 0].tolist())[None]
        out = np.repeat(self.unseen[None], found.shape[1], axis=0)
        for k in range(1, self.order + 1):
            rows = np.flatnonzero(found[k] >= 0)
            if not len(rows):
                break
            level, context = self.levels[k], found[k, rows]
            out[rows] *= level.backoff[context, None]
            first, size = level.starts[context], level.starts[context + 1] - level.starts[context]
            within = np.arange(size.sum()) - np.repeat(np.cumsum(size) - size, size)
            pair = np.repeat(first, size) + within
            out[np.repeat(rows, size), level.tokens[pair]] = level.values[pair]
        return out

    def _one(self, found: Sequence[int]) -> Floats:
        """One row of `distribution`: slices instead of gathers, for a sampler's single stream."""
        out = self.unseen.copy()
        for k in range(1, self.order + 1):
            context = found[k]
            if context < 0:
                break
            level = self.levels[k]
            out *= level.backoff[context]
            pairs = slice(level.starts[context], level.starts[context + 1])
            out[level.tokens[pairs]] = level.values[pairs]
        return out

    def score(self, ids: Sequence[int] | NDArray[np.integer]) -> Floats:
        """(n,) probability of each token of one sequence given those before it."""
        row = np.asarray(ids, dtype=np.int64)
        return self.probability(self.walk(row, np.arange(len(row))), row)

    def arrays(self) -> dict[str, NDArray[np.generic]]:
        """All that `restore` needs, by name."""
        return {f"{name}_{k}": getattr(level, name) for k, level in enumerate(self.levels) for name in ARRAYS}

    @classmethod
    def restore(cls, vocab: int, arrays: Mapping[str, NDArray[np.generic]]) -> KneserNey:
        """Undo `arrays`."""
        levels: list[Level] = []
        while f"contexts_{len(levels)}" in arrays:
            k = len(levels)
            levels.append(Level(*(arrays[f"{name}_{k}"] for name in ARRAYS)))  # type: ignore[arg-type]
            levels[k].index(vocab)
        return cls(vocab, tuple(levels))


def search(keys: Ints, wanted: Ints) -> Ints:
    """Index of each wanted value in sorted keys, -1 where it is not among them."""
    if not len(keys):
        return np.full(len(wanted), -1, dtype=np.int64)
    place = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
    return np.where(keys[place] == wanted, place, -1)


def _tree(ids: Ints, depth: Ints, vocab: int, order: int) -> tuple[list[Ints], list[Ints]]:
    """Sorted context keys of each order, and the context id of each position (-1 where the sequence is too short)."""
    contexts, places = [np.zeros(1, dtype=np.int64)], [np.zeros(len(ids), dtype=np.int64)]
    for k in range(1, order + 1):
        deep = np.flatnonzero(depth >= k)
        keys, inverse = np.unique(places[-1][deep] * vocab + ids[deep - k], return_inverse=True)
        place = np.full(len(ids), -1, dtype=np.int64)
        place[deep] = inverse
        contexts.append(keys)
        places.append(place)
    return contexts, places


def _levels(ids: Ints, depth: Ints, contexts: list[Ints], places: list[Ints], vocab: int) -> tuple[Level, ...]:
    """Counts from the longest order down (types of left extension below it), probabilities from order 0 up."""
    counted: list[tuple[Ints, Ints]] = []
    longer: Ints | None = None
    for k in range(len(contexts) - 1, -1, -1):
        # Where a sequence begins there is no longer context to be a type of: such an occurrence counts as itself.
        own = np.flatnonzero(depth == k) if longer is not None else np.flatnonzero(depth >= k)
        keys = places[k][own] * vocab + ids[own]
        if longer is not None:
            parent = contexts[k + 1][longer // vocab] // vocab
            keys = np.concatenate((keys, parent * vocab + longer % vocab))
        pairs, counts = np.unique(keys, return_counts=True)
        counted.append((pairs, counts))
        longer = pairs
    levels: list[Level] = []
    for k, (pairs, counts) in enumerate(reversed(counted)):
        levels.append(_level(contexts, k, pairs, counts, levels[-1] if levels else None, vocab))
    return tuple(levels)


def _level(contexts: list[Ints], k: int, pairs: Ints, counts: Ints, shorter: Level | None, vocab: int) -> Level:
    owner, tokens = pairs // vocab, pairs % vocab
    starts = np.searchsorted(owner, np.arange(len(contexts[k]) + 1))
    total = np.add.reduceat(counts, starts[:-1]) if len(pairs) else np.zeros(len(contexts[k]), dtype=np.int64)
    kept = (counts - discounts(counts)[np.minimum(counts, 3)]) / total[owner]
    spread = 1.0 - np.bincount(owner, weights=kept, minlength=len(contexts[k]))
    if shorter is None:
        below = np.full(len(pairs), 1.0 / vocab)
    else:
        below = shorter.values[search(shorter.pairs, contexts[k][owner] // vocab * vocab + tokens)]
    values = (kept + spread[owner] * below).astype(np.float32)
    level = Level(contexts[k], starts, tokens.astype(np.int32), values, spread.astype(np.float32))
    object.__setattr__(level, "pairs", pairs)
    return level


def discounts(counts: Ints) -> NDArray[np.float64]:
    """(4,): what is taken from counts of 0, 1, 2, and 3 or more (equation 26); the usual values where counts are too few."""
    n1, n2, n3, n4 = (int((counts == c).sum()) for c in (1, 2, 3, 4))
    if min(n1, n2, n3, n4) == 0:
        return np.array([0.0, 0.5, 0.75, 0.9])
    base = n1 / (n1 + 2 * n2)
    found = np.array([0.0, 1 - 2 * base * n2 / n1, 2 - 3 * base * n3 / n2, 3 - 4 * base * n4 / n3])
    found = np.asarray(np.clip(found, 0.05, np.array([1.0, 0.95, 1.9, 2.9])), np.float64)
    found[0] = 0.0
    return found
