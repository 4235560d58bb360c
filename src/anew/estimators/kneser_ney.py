"""Counting models of token sequences: interpolated modified Kneser-Ney, as sorted arrays and binary searches.

Chen and Goodman, "An empirical study of smoothing techniques for language modeling" (1999), section 3 and equations 21-26.
A context of order k is the k tokens before a target. Contexts form a tree that grows backwards in time: the key of a
context is (id of the context one token shorter) * vocab_size + (its oldest token), so that keys never overflow and one
walk from order 0 up finds every order that was seen.

If sequences have classes, the class is the first element of a context, as if it were the token just before the target: each class
has counts of its own, which share only the frequencies of tokens. Contexts may also consist of any other elements, given as an array.

Legend for shapes: n targets, V vocabulary, C contexts of one order, P pairs of a context and a token that followed it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from anew.core.arrays import Doubles, Floats, Int32s, Ints

UNSEEN = -1  # the id of a context that was not seen
NOT_COUNTED = -1  # the depth of a token that is not a target
# Discounts if counts of counts are too few to estimate discounts; about their usual values
DEFAULT_DISCOUNTS = 0.0, 0.5, 0.75, 0.9
FEW_ROWS = 8  # up to so many, plain numbers are faster than arrays; measured
ARRAYS = ("contexts", "starts", "tokens", "values", "backoff")


@dataclass(frozen=True, slots=True)
class Level:
    """All contexts of one order.

    Attributes:
        contexts: (C,) sorted keys.
        starts: (C+1,) where each context's pairs begin.
        tokens: (P,) tokens that followed, sorted in each context.
        values: (P,) interpolated probability of the pair.
        backoff: (C,) probability left for the shorter context.
        pairs: (P,) sorted keys: context id * vocab_size + token.
    """

    contexts: Ints
    starts: Ints
    tokens: Int32s
    values: Floats
    backoff: Floats
    pairs: Ints = field(init=False)

    def build_pairs(self, vocab_size: int) -> None:
        """Fill in `pairs`.

        Raises:
            ValueError: The arrays are inconsistent, or an index is out of bounds.
        """
        if not self._is_valid(vocab_size):
            raise ValueError("the counts are inconsistent")  # refused before memory is allocated for them
        context = np.repeat(np.arange(len(self.contexts), dtype=np.int64), np.diff(self.starts))
        object.__setattr__(self, "pairs", context * vocab_size + self.tokens)

    def _is_valid(self, vocab_size: int) -> bool:
        starts, tokens = self.starts, self.tokens
        if not len(starts) == len(self.contexts) + 1 == len(self.backoff) + 1 or len(tokens) != len(self.values):
            return False
        in_order = int(starts[0]) == 0 and int(starts[-1]) == len(tokens) and bool((np.diff(starts) >= 0).all())
        in_vocabulary = bool(((tokens >= 0) & (tokens < vocab_size)).all())
        return in_order and in_vocabulary and bool((self.values >= 0).all()) and bool((self.backoff >= 0).all())


@dataclass(frozen=True, slots=True)
class KneserNey:
    """P(token | up to `order` tokens before it). Every token of the vocabulary has a probability above zero.

    Attributes:
        levels: Counts from order 0 up.
        num_elements: Number of different elements of contexts, where they are more than tokens: classes, or elements of any kind.
        unigram: (V,) after no context at all.
    """

    vocab_size: int
    levels: tuple[Level, ...]
    num_elements: int = 0
    unigram: Floats = field(init=False)

    def __post_init__(self) -> None:
        level = self.levels[0]
        unigram = np.full(self.vocab_size, level.backoff[0] / self.vocab_size, dtype=np.float32)
        unigram[level.tokens] = level.values
        object.__setattr__(self, "unigram", unigram)

    @property
    def order(self) -> int:
        return len(self.levels) - 1

    @property
    def _base(self) -> int:
        """How many elements a context may be extended by: tokens or others."""
        return max(self.vocab_size, self.num_elements)

    @classmethod
    def fit(
        cls,
        sequences: Iterable[Sequence[int] | NDArray[np.integer]],
        vocab_size: int,
        order: int,
        classes: Ints | None = None,
        num_classes: int = 0,
        first_is_given: bool = False,
    ) -> KneserNey:
        """Count sequences that do not continue each other.

        Args:
            order: Longest context in tokens, at least 0; the class counts as one.
            classes: The class of each sequence; None without classes.
            first_is_given: Whether the first token of each sequence is a context alone, as a begin token is, and never predicted.
        """
        arrays = [np.asarray(sequence, dtype=np.int64) for sequence in sequences]
        lengths = np.array([len(array) for array in arrays], dtype=np.int64)
        ids = np.concatenate([*arrays, np.zeros(0, dtype=np.int64)])
        depth = np.arange(len(ids)) - np.repeat(np.cumsum(lengths) - lengths, lengths)
        elements = Elements(ids, None if classes is None else np.repeat(classes, lengths))
        depth += classes is not None
        if first_is_given:
            depth[(np.cumsum(lengths) - lengths)[lengths > 0]] = NOT_COUNTED
        contexts, context_of = _context_tree(elements, depth, max(vocab_size, num_classes), order)
        levels = _count_levels(ids, depth, contexts, context_of, vocab_size, max(vocab_size, num_classes))
        return cls(vocab_size, levels, num_classes)

    @classmethod
    def fit_elements(cls, targets: Ints, elements: Ints, depth: Ints, vocab_size: int, num_elements: int) -> KneserNey:
        """Count tokens after contexts of any elements.

        Args:
            targets: (n,) token ids.
            elements: (order, n) what the context of each target consists of, the most general element first.
            depth: (n,) how many of these elements it has.
            num_elements: Number of different elements, at most 2**32.
        """
        base = max(vocab_size, num_elements)
        contexts, context_of = _context_tree(ElementRows(elements), depth, base, len(elements))
        return cls(vocab_size, _count_levels(targets, depth, contexts, context_of, vocab_size, base), num_elements)

    # -- contexts -------------------------------------------------------------------------------------------------------

    def walk(self, ids: Ints, depth: Ints, targets: Ints | None = None, classes: Ints | None = None) -> Ints:
        """Contexts of targets in a sequence.

        Args:
            depth: (n,) how many known tokens stand before each target.
            targets: (n,) positions of the targets; None for all.
            classes: The class at each position of the sequence; None without classes.

        Returns:
            (order+1, n) context ids, UNSEEN where a context was not seen.
        """
        targets = np.arange(len(ids)) if targets is None else targets
        return self._walk(Elements(ids, classes), depth + (classes is not None), targets)

    def walk_elements(self, elements: Ints, depth: Ints) -> Ints:
        """Contexts (order+1, n) as `walk` gives them. elements, depth: see `fit_elements`."""
        return self._walk(ElementRows(elements), depth, np.arange(len(depth)))

    def _walk(self, elements: ContextElements, depth: Ints, targets: Ints) -> Ints:
        contexts = np.full((self.order + 1, len(targets)), UNSEEN, dtype=np.int64)
        contexts[0] = 0
        for k in range(1, self.order + 1):
            is_open = np.flatnonzero((contexts[k - 1] >= 0) & (depth >= k))
            keys = contexts[k - 1, is_open] * self._base + elements.before(targets[is_open], k)
            contexts[k, is_open] = search(self.levels[k].contexts, keys)
        return contexts

    def walk_rows(self, ids: Ints, classes: Ints | None = None) -> Ints:
        """Contexts (order+1, n*L) of the token that follows each id of ids (n, L), none across rows. classes: (n,)."""
        batch, length = ids.shape
        # A walk needs a target at each place, so each row gets one more token, whose value is never used.
        extended = np.zeros((batch, length + 1), dtype=np.int64)
        extended[:, :-1] = ids
        depth = np.arange(1, length + 1)
        targets = (np.arange(batch)[:, None] * (length + 1) + depth).ravel()
        of_places = None if classes is None else np.repeat(classes, length + 1)
        return self.walk(extended.ravel(), np.tile(depth, batch), targets, of_places)

    def tail(self, ids: Sequence[int], label: int | None = None) -> list[int]:
        """One column of `walk`, for the token after a sequence, in plain numbers for a sampler's single step.

        label: Its class; None without classes."""
        contexts, ids = [0], ids if label is None else [*ids, label]
        for k in range(1, self.order + 1):
            context = UNSEEN
            if contexts[-1] >= 0 and k <= len(ids):
                keys, key = self.levels[k].contexts, contexts[-1] * self._base + ids[-k]
                index = int(keys.searchsorted(key))
                context = index if index < len(keys) and keys[index] == key else UNSEEN
            contexts.append(context)
        return contexts

    def last_contexts(self, ids: Ints, classes: Ints | None = None) -> Ints:
        """Contexts (order+1, n) of the token that follows each row of ids (n, L). classes: (n,); None without."""
        recent = ids[:, max(0, ids.shape[1] - self.order) :]  # no more are read
        if len(ids) <= FEW_ROWS:
            labels = [None] * len(ids) if classes is None else classes.tolist()
            columns = [self.tail(row, label) for row, label in zip(recent.tolist(), labels, strict=True)]
            return np.array(columns, dtype=np.int64).T
        nearest_elements = recent.T[::-1] if classes is None else np.concatenate((classes[None], recent.T[::-1]))
        depth = len(nearest_elements)
        elements = np.zeros((max(self.order, depth), len(ids)), dtype=np.int64)
        elements[:depth] = nearest_elements
        return self.walk_elements(elements, np.full(len(ids), depth))

    # -- probabilities --------------------------------------------------------------------------------------------------

    def probability(self, contexts: Ints, targets: Ints) -> Floats:
        """(n,) probability of each target (n,) after the contexts (order+1, n) of `walk`."""
        probabilities = np.full(len(targets), 0.0, dtype=np.float32)
        carried = np.ones(len(targets), dtype=np.float32)  # probability left by longer contexts
        remaining = np.arange(len(targets))
        for k in range(self.order, -1, -1):
            rows = remaining[contexts[k, remaining] >= 0]
            level, context = self.levels[k], contexts[k, rows]
            pair = search(level.pairs, context * self.vocab_size + targets[rows])
            is_hit = pair >= 0
            hit_rows, miss_rows = rows[is_hit], rows[~is_hit]
            probabilities[hit_rows] = carried[hit_rows] * level.values[pair[is_hit]]
            carried[miss_rows] *= level.backoff[context[~is_hit]]
            is_done = np.zeros(len(targets), dtype=bool)
            is_done[hit_rows] = True
            remaining = remaining[~is_done[remaining]]
        probabilities[remaining] = carried[remaining] / self.vocab_size
        return probabilities

    def distribution(self, contexts: Ints) -> Floats:
        """(n, V) distribution of the next token after the contexts (order+1, n) of `walk`."""
        if contexts.shape[1] == 1:
            return self._one_distribution(contexts[:, 0].tolist())[None]
        probabilities = np.repeat(self.unigram[None], contexts.shape[1], axis=0)
        for k in range(1, self.order + 1):
            rows = np.flatnonzero(contexts[k] >= 0)
            if not len(rows):
                break
            level, context = self.levels[k], contexts[k, rows]
            probabilities[rows] *= level.backoff[context, None]
            first = level.starts[context]
            num_pairs = level.starts[context + 1] - first
            offset = np.arange(num_pairs.sum()) - np.repeat(np.cumsum(num_pairs) - num_pairs, num_pairs)
            pair = np.repeat(first, num_pairs) + offset
            probabilities[np.repeat(rows, num_pairs), level.tokens[pair]] = level.values[pair]
        return probabilities

    def _one_distribution(self, contexts: Sequence[int]) -> Floats:
        """One row of `distribution`: slices instead of gathers, for a sampler's single row."""
        probabilities = self.unigram.copy()
        for k in range(1, self.order + 1):
            context = contexts[k]
            if context < 0:
                break
            level = self.levels[k]
            probabilities *= level.backoff[context]
            pairs = slice(level.starts[context], level.starts[context + 1])
            probabilities[level.tokens[pairs]] = level.values[pairs]
        return probabilities

    def score(self, ids: Sequence[int] | NDArray[np.integer], label: int | None = None) -> Floats:
        """(n,) probability of each token of one sequence given those before it. label: Its class; None without classes."""
        row = np.asarray(ids, dtype=np.int64)
        classes = None if label is None else np.full(len(row), label)
        return self.probability(self.walk(row, np.arange(len(row)), classes=classes), row)

    # -- state ----------------------------------------------------------------------------------------------------------

    def arrays(self) -> dict[str, NDArray[np.generic]]:
        """The arrays that `restore` needs, by name."""
        return {f"{name}_{k}": getattr(level, name) for k, level in enumerate(self.levels) for name in ARRAYS}

    @classmethod
    def restore(cls, vocab_size: int, arrays: Mapping[str, NDArray[np.generic]], num_elements: int = 0) -> KneserNey:
        """The counts from the result of `arrays`. num_elements: see the class.

        Raises:
            ValueError: The arrays are inconsistent, or an index is out of bounds.
        """
        levels: list[Level] = []
        while f"contexts_{len(levels)}" in arrays:
            k = len(levels)
            levels.append(Level(*(arrays[f"{name}_{k}"] for name in ARRAYS)))  # type: ignore[arg-type]
            levels[k].build_pairs(vocab_size)
        return cls(vocab_size, tuple(levels), num_elements)


class ContextElements(Protocol):
    """Elements of contexts."""

    def before(self, targets: Ints, k: int) -> Ints:
        """(n,) the k-th element of the contexts of targets (n,), from 1."""


class ElementRows(NamedTuple):
    """Elements that are given as an array (order, n)."""

    rows: Ints

    def before(self, targets: Ints, k: int) -> Ints:
        elements: Ints = self.rows[k - 1, targets]
        return elements


class Elements(NamedTuple):
    """What contexts consist of: the tokens of a sequence and, first of all, the class at each position, None without classes."""

    ids: Ints
    classes: Ints | None

    def before(self, targets: Ints, k: int) -> Ints:
        if self.classes is None:
            return self.ids[targets - k]
        return self.classes[targets] if k == 1 else self.ids[targets - k + 1]


def search(sorted_keys: Ints, keys: Ints) -> Ints:
    """Index of each key in sorted keys, -1 if it is not among them."""
    if not len(sorted_keys):
        return np.full(len(keys), -1, dtype=np.int64)
    index = np.minimum(np.searchsorted(sorted_keys, keys), len(sorted_keys) - 1)
    return np.where(sorted_keys[index] == keys, index, -1)


def _context_tree(
    elements: ContextElements, depth: Ints, num_elements: int, order: int
) -> tuple[list[Ints], list[Ints]]:
    """Sorted context keys of each order, and the context id of each position (UNSEEN if the sequence is too short)."""
    contexts, context_of = [np.zeros(1, dtype=np.int64)], [np.zeros(len(depth), dtype=np.int64)]
    for k in range(1, order + 1):
        deep_enough = np.flatnonzero(depth >= k)
        all_keys = context_of[-1][deep_enough] * num_elements + elements.before(deep_enough, k)
        keys, inverse = np.unique(all_keys, return_inverse=True)
        context = np.full(len(depth), UNSEEN, dtype=np.int64)
        context[deep_enough] = inverse
        contexts.append(keys)
        context_of.append(context)
    return contexts, context_of


def _count_levels(
    ids: Ints, depth: Ints, contexts: list[Ints], context_of: list[Ints], vocab_size: int, num_elements: int
) -> tuple[Level, ...]:
    """Counts from the longest order down (types of left extension below it), probabilities from order 0 up.

    depth: (n,) elements before each token, NOT_COUNTED for those that are contexts alone."""
    pair_counts: list[tuple[Ints, Ints]] = []  # the longest order first
    longer_pairs: Ints | None = None
    for k in range(len(contexts) - 1, -1, -1):
        # At the beginning of a sequence there is no longer context, so that an occurrence counts as a type of its own.
        counted = np.flatnonzero(depth >= k) if longer_pairs is None else np.flatnonzero(depth == k)
        keys = context_of[k][counted] * vocab_size + ids[counted]
        if longer_pairs is not None:
            shorter_context = contexts[k + 1][longer_pairs // vocab_size] // num_elements
            keys = np.concatenate((keys, shorter_context * vocab_size + longer_pairs % vocab_size))
        pairs, counts = np.unique(keys, return_counts=True)
        pair_counts.append((pairs, counts))
        longer_pairs = pairs
    levels: list[Level] = []
    for k, (pairs, counts) in enumerate(reversed(pair_counts)):
        shorter = levels[-1] if levels else None
        levels.append(_smooth(contexts[k], pairs, counts, shorter, vocab_size, num_elements))
    return tuple(levels)


def _smooth(
    contexts: Ints, pairs: Ints, counts: Ints, shorter: Level | None, vocab_size: int, num_elements: int
) -> Level:
    """The level of these contexts: discounted counts, interpolated with the shorter level (None: a uniform one)."""
    context, tokens = pairs // vocab_size, pairs % vocab_size
    starts = np.searchsorted(context, np.arange(len(contexts) + 1))
    total = np.add.reduceat(counts, starts[:-1]) if len(pairs) else np.zeros(len(contexts), dtype=np.int64)
    discounted = (counts - discounts(counts)[np.minimum(counts, 3)]) / total[context]
    backoff = 1.0 - np.bincount(context, weights=discounted, minlength=len(contexts))
    if shorter is None:
        shorter_values = np.full(len(pairs), 1.0 / vocab_size)
    else:
        shorter_pairs = contexts[context] // num_elements * vocab_size + tokens
        shorter_values = shorter.values[search(shorter.pairs, shorter_pairs)]
    values = (discounted + backoff[context] * shorter_values).astype(np.float32)
    level = Level(contexts, starts, tokens.astype(np.int32), values, backoff.astype(np.float32))
    object.__setattr__(level, "pairs", pairs)
    return level


def discounts(counts: Ints) -> Doubles:
    """(4,) discounts of counts of 0, 1, 2, and 3 or more (equation 26)."""
    n1, n2, n3, n4 = (int((counts == c).sum()) for c in (1, 2, 3, 4))
    if min(n1, n2, n3, n4) == 0:
        return np.array(DEFAULT_DISCOUNTS)
    y = n1 / (n1 + 2 * n2)
    estimates = np.array([0.0, 1 - 2 * y * n2 / n1, 2 - 3 * y * n3 / n2, 3 - 4 * y * n4 / n3])
    estimates = np.asarray(np.clip(estimates, 0.05, np.array([1.0, 0.95, 1.9, 2.9])), np.float64)
    estimates[0] = 0.0
    return estimates
