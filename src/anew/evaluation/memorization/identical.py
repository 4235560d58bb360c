"""Samples that are identical to training items, against real items that are identical to each other.

Two or three exact copies are too few for the scan and the match test, whose labels cannot prove so little. But where real items
hardly ever repeat each other, even they are not an accident, and no answer should be a plain yes. The null hypothesis is that a
sample repeats a training item as often as any two real items are equal. Under it the number of repeated training items is
binomial, given the number of all repetitions (a conditional test of two Poisson rates). In simulated draws (uniform, and by Zipf's law) it
raised an alarm in at most 3.5% of the cases (docs/log.md, 2026-11-28).

Memorised items are mostly few, and repeated many times. For the permutation of labels, each of them is one event. Therefore the samples
that repeat training items are counted, too, and how often they repeat each: real items do so with chances that do not depend on what was
held out.

A generator that repeats held-out items as often makes real items by itself, as happens with names. Pictures and long
records are unguessable (`min_unguessable_bits`): there it has seen the held-out items, too, so that they excuse nothing. One that is
a training item and is repeated far more often than among real items is a copy; so are several that are each repeated once, if these are
far more than real items repeat. One or two unguessable held-out items that samples repeat, too, are a doubt; so many that the generator
has seen them are none: whoever mixes copies of all of the data into samples has taken them from all parts.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Generic

import numpy as np
from numpy.typing import NDArray

from anew.core.arrays import Integers
from anew.core.sequences import MadeSequence, by_place, places_of, taken
from anew.data.types import ItemT
from anew.evaluation.memorization.copy_counts import NO_COPIES, CopyCount, count_copies
from anew.evaluation.memorization.copying_test import Distance, Indices
from anew.evaluation.memorization.match_test import binomial_tail
from anew.evaluation.memorization.result import CopyTestResult
from anew.evaluation.memorization.thresholds import ALPHA, COPIED_ALPHA, LABEL_ALPHA


@dataclass(frozen=True, slots=True)
class RepeatedItem:
    """A training item that samples repeat.

    Attributes:
        samples: Number of samples that are identical to it.
        real: Number of real items that are, itself included.
        is_unguessable: Whether no generator makes it unseen; False if that was not asked, since real items repeat it about as often.
    """

    samples: int
    real: int
    is_unguessable: bool = False

    def p(self, num_samples: int, num_real: int) -> float:
        """The probability of at least as many samples if it is as frequent among `num_samples` samples as among `num_real` real items."""
        return binomial_tail(self.samples, self.samples + self.real, num_samples / (num_samples + num_real))


@dataclass(frozen=True, slots=True)
class RepeatedItems:
    """Items that repeat others.

    Attributes:
        samples: Number of samples that are identical to a training item.
        items: How many different training items these repeat.
        held_out: How many different held-out items samples repeat.
        num_samples: Number of all samples.
        real: Number of real items that are identical to another real one.
        num_real: Number of real items that were compared with all others.
        num_train, num_held_out: Numbers of training and held-out items.
        held_out_samples: Number of samples that are identical to a held-out item, and to no training item.
        unguessable: How many of the different held-out items are unguessable.
        unguessable_training: How many of the different training items are; 0 if that was not asked, since real items repeat about as many.
        repeated_items: The training items that more than one sample repeats.
        max_other_repeats: The largest number of samples that are identical to each other, and to no training item.
        real_train_share: The chance that a real item which repeats others repeats a training item: the more often an item is there,
            the more surely one of them is in the training data. None: the share of training items, as of items that are there once.
    """

    samples: int
    items: int
    held_out: int
    num_samples: int
    real: int
    num_real: int
    num_train: int
    num_held_out: int
    held_out_samples: int = 0
    unguessable: int = 0
    unguessable_training: int = 0
    repeated_items: tuple[RepeatedItem, ...] = ()
    max_other_repeats: int = 0
    real_train_share: float | None = None

    @property
    def seen_p(self) -> float:
        """The probability of at least as many unguessable held-out items, if samples repeat real items as these each other."""
        return self._chance(self.unguessable, 1.0 - self._train_share, self.held_out_samples - self.held_out)

    @property
    def saw_held_out(self) -> bool:
        """Whether the generator has probably seen held-out items."""
        return self.seen_p <= ALPHA

    @property
    def p(self) -> float:
        """The probability of at least as many repetitions of training items if samples repeat real items as often as these each other.

        If samples repeat held-out items as often, for their numbers, the generator makes real items by itself, unless it saw these.
        Then only a training item counts that samples repeat more often than anything else that they repeat.
        """
        if self.held_out and not self.saw_held_out:
            p_labels = binomial_tail(self.items, self.items + self.held_out, self._train_share)
            if p_labels > LABEL_ALPHA:
                return max(self._most_frequent_p(self.repeated_items), self._own_p)
        return min(self.different_p(self.items), self._samples_p, self._most_frequent_p(self.repeated_items))

    def different_p(self, items: int) -> float:
        """The probability of at least as many different training items, if samples repeat real items as often as these each other."""
        share = self._train_share if self.real_train_share is None else self.real_train_share
        return self._chance(items, share, self.samples - self.items)

    @property
    def copied_p(self) -> float:
        """The p of unguessable training items: of the one that samples repeat most often, for its frequency among real items, or of how
        many different ones they repeat, unless they repeat a few unguessable held-out items, too; by Bonferroni for the two."""
        most_frequent_p = self._most_frequent_p([item for item in self.repeated_items if item.is_unguessable])
        if self.unguessable and not self.saw_held_out:
            return most_frequent_p
        return min(2.0 * min(most_frequent_p, self.different_p(self.unguessable_training)), 1.0)

    def _most_frequent_p(self, items: Sequence[RepeatedItem]) -> float:
        """The least p of some of the training items, by Bonferroni for all of those that samples repeat."""
        num_pool = self.num_train + self.num_held_out
        return min([1.0, *(self.items * item.p(self.num_samples, num_pool) for item in items)])

    @property
    def _own_p(self) -> float:
        """The p of the training item that samples repeat most often, for how often they repeat something else."""
        max_samples = max((item.samples for item in self.repeated_items), default=0)
        return min(self.items * binomial_tail(max_samples, max_samples + self.max_other_repeats, 0.5), 1.0)

    @property
    def _samples_p(self) -> float:
        """The probability of at least as many samples that repeat training items, each counted."""
        if not self.samples or not self.num_real:
            return 1.0
        weight = self._event_weight
        return binomial_tail(
            self.samples,
            self.samples + weight * self.real,
            self.num_samples / (self.num_samples + weight * self.num_real),
        )

    @property
    def _event_weight(self) -> float:
        """How many events a repetition among real items counts for: two real items that are equal are one, not two."""
        return 1.0 - self.num_real / (2.0 * (self.num_train + self.num_held_out))

    @property
    def _train_share(self) -> float:
        return self.num_train / (self.num_train + self.num_held_out)

    def _chance(self, items: int, part: float, num_again: int) -> float:
        """The probability of at least as many repeated items of a part of the real items, of which samples repeat some `num_again` times.

        part: The share of repetitions that repeat this part.
        """
        if not items or not self.num_real:
            return 1.0
        weight = self._event_weight
        expected = (self.num_samples - num_again) * part
        share = expected / (expected + weight * self.num_real)
        return binomial_tail(items, items + weight * self.real, share)

    @property
    def copies(self) -> CopyCount:
        """The number of samples that are copies, of those that repeat training items.

        By chance, samples repeat training items as often as real items repeat each other or as samples repeat held-out items, whichever is
        more. The scan does not see copies that are as near to each other as real items are.
        """

        def p_without(count: int) -> float:
            fewer = replace(self, samples=self.samples - count)
            by_held_out = 0 if self.saw_held_out else self.held_out_samples
            p_labels = binomial_tail(fewer.samples, fewer.samples + by_held_out, self._train_share)
            return max(fewer._samples_p, p_labels if by_held_out else 0.0)

        return count_copies(p_without, self.samples) if self.num_real else NO_COPIES


def keys_of_same(
    distances: Sequence[Sequence[Distance]], queries: Sequence[Indices], pool: Indices
) -> dict[int, list[Hashable]]:
    """Keys that items share with the nearest one of a pool, by index, where a distance takes the two for the same.

    Args:
        distances, queries: Sets of distances, and the items (q,) that are compared by each set.
        pool: Indices of the items that they are compared with.
    """
    keys: dict[int, list[Hashable]] = {}
    pairs = [(distance, rows) for group, rows in zip(distances, queries, strict=True) for distance in group]
    for distance, rows in pairs:
        items = distance.nearest(rows, pool)[0]
        rows, items = rows[items >= 0], items[items >= 0]
        are_same = distance.are_same(rows, items)
        for query, item in zip(rows[are_same].tolist(), items[are_same].tolist(), strict=True):
            keys.setdefault(query, []).append(("same", item))
            keys.setdefault(item, []).append(("same", item))
    return keys


def count_repeats(
    samples: Sequence[Sequence[Hashable]],
    real: Sequence[Sequence[Hashable]],
    stand_ins: Indices,
    is_train: NDArray[np.bool_],
    is_unguessable: Callable[[Indices], NDArray[np.bool_]] = lambda items: np.zeros(len(items), dtype=np.bool_),
) -> RepeatedItems:
    """Count samples and real items that are identical to another real item: that share a key with it.

    Args:
        samples: The keys of each sample.
        real: (n,) the keys of each real item.
        stand_ins: (h,) indices of the real items that are compared with all others.
        is_train: (n,) whether each real item is a training item.
        is_unguessable: For each of some real items, whether no generator makes it unseen.
    """
    sampled = {key for keys in samples for key in keys}
    real_keys = taken(real, stand_ins)
    counted = sampled.union(*real_keys)
    item_of, counts = _found(real, sampled, counted, is_train)
    items = [[item_of[key] for key in keys if key in item_of] for keys in samples]
    # One for each sample that repeats an item, a training item if possible
    repeated = np.array(
        [max(candidates, key=lambda i: is_train[i]) for candidates in items if candidates], dtype=np.intp
    )
    different, times = np.unique(repeated, return_counts=True)
    # Further keys of items that have several
    if others := {key for i in different.tolist() for key in real[i]} - counted:
        counts |= _found(real, set(), others, is_train)[1]
    held_out = different[~is_train[different]]
    is_repeated = is_train[different] & (times > 1)
    often = different[is_repeated]
    repeated_items = [
        RepeatedItem(n, max(counts[key] for key in real[i]))
        for i, n in zip(often.tolist(), times[is_repeated].tolist(), strict=True)
    ]
    is_frequent = np.array([item.p(len(samples), len(real)) <= COPIED_ALPHA for item in repeated_items], dtype=np.bool_)
    num_real_of = np.array([max((counts[key] for key in keys), default=1) for keys in real_keys])
    num_others = num_real_of[num_real_of > 1] - 1
    own_keys = (keys for keys, candidates in zip(samples, items, strict=True) if not is_train[candidates].any())
    counts_of_own = Counter(key for keys in own_keys for key in set(keys))
    repeats = RepeatedItems(
        samples=int(is_train[repeated].sum()),
        items=int(is_train[different].sum()),
        held_out=len(held_out),
        num_samples=len(samples),
        real=len(num_others),
        num_real=len(stand_ins),
        num_train=int(is_train.sum()),
        num_held_out=int((~is_train).sum()),
        held_out_samples=int((~is_train[repeated]).sum()),
        unguessable=int(is_unguessable(held_out).sum()) if len(held_out) else 0,
        repeated_items=tuple(_with_unguessable(repeated_items, often, is_frequent, is_unguessable)),
        max_other_repeats=max(counts_of_own.values(), default=0),
        real_train_share=float(np.mean(1.0 - (1.0 - is_train.mean()) ** num_others)) if len(num_others) else None,
    )
    if repeats.different_p(repeats.items) > COPIED_ALPHA:
        return repeats
    return replace(repeats, unguessable_training=int(is_unguessable(different[is_train[different]]).sum()))


def _with_unguessable(
    repeated_items: Sequence[RepeatedItem],
    indices: Indices,
    is_asked: NDArray[np.bool_],
    is_unguessable: Callable[[Indices], NDArray[np.bool_]],
) -> list[RepeatedItem]:
    """Training items that samples repeat, with whether they are unguessable, which takes seconds to find out.

    Args:
        repeated_items: The items.
        indices: (k,) their indices among the real items.
        is_asked: (k,) whether it is found out for each.
        is_unguessable: See `count_repeats`.
    """
    if not is_asked.any():
        return list(repeated_items)
    flags = np.zeros(len(repeated_items), dtype=np.bool_)
    flags[is_asked] = is_unguessable(indices[is_asked])
    return [replace(item, is_unguessable=bool(flag)) for item, flag in zip(repeated_items, flags, strict=True)]


def _found(
    real: Sequence[Sequence[Hashable]], wanted: set[Hashable], counted: set[Hashable], is_train: NDArray[np.bool_]
) -> tuple[dict[Hashable, int], Counter[Hashable]]:
    """A real item that has each key, a training item if possible, and how many have each.

    Args:
        real, is_train: See `count_repeats`.
        wanted: The keys whose item is wanted.
        counted: The keys that are counted; a dictionary of all keys would not fit in memory beside the items.
    """
    item_of: dict[Hashable, int] = {}
    counts: Counter[Hashable] = Counter()
    for i, keys in by_place(real):
        for key in counted.intersection(keys):
            counts[key] += 1
            if key in wanted:
                item_of[key] = max(item_of.get(key, i), i, key=lambda item: (is_train[item], item))
    return item_of, counts


class ItemKeys(MadeSequence[Sequence[Hashable]], Generic[ItemT]):
    """The keys of some items, which are made each time they are asked for: those of all would take more memory than the items."""

    def __init__(
        self,
        keys_of: Callable[[ItemT], Sequence[Hashable]],
        items: Sequence[ItemT],
        further: Mapping[int, Sequence[Hashable]] = MappingProxyType({}),
        first: int = 0,
    ) -> None:
        """
        Args:
            keys_of: Makes the keys of an item.
            items: The items.
            further: More keys of items, by their index.
            first: The index of the first of the items.
        """
        self._keys_of, self._items, self._further, self._first = keys_of, items, further, first
        self.is_stored = isinstance(items, MadeSequence) and items.is_stored

    def __len__(self) -> int:
        return len(self._items)

    def take(self, numbers: Integers) -> list[Sequence[Hashable]]:
        return [self._keys(*pair) for pair in zip(numbers.tolist(), taken(self._items, numbers), strict=True)]

    def places(self) -> Integers:
        return places_of(self._items)

    def _keys(self, place: int, item: ItemT) -> list[Hashable]:
        return [*self._keys_of(item), *self._further.get(self._first + place, ())]


def with_repeats(result: CopyTestResult, repeats: RepeatedItems) -> CopyTestResult:
    """The result with the numbers of identical items."""
    return replace(
        result,
        identical=repeats.samples,
        real_compared=repeats.num_real,
        real_identical=repeats.real,
        identical_p=repeats.p,
        held_out_identical=repeats.held_out_samples,
        seen_p=repeats.seen_p,
        has_proven_copies=repeats.copied_p <= COPIED_ALPHA,
    )
