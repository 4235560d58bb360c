"""Groups of items, which count as one: near-duplicates, a cluster of relatives, passages of one text.

Groups are numbers from 0 on, as 32-bit integers, and what is asked of each group is looked up in a table: sorting ten million
of them takes 250 MB.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from anew.core.arrays import Bools, Int32s, Integers

# Share of the mixed groups of a random division of single items from which on a division counts as such; chosen: far from both
MIN_MIXED_SHARE = 0.5
AT_ONCE = 65_536  # items whose groups are sorted at once: bounds memory


def group_numbers(groups: Integers) -> Int32s:
    """(n,) numbers from 0 to 2 n that are equal for items of one group. groups: (n,) of any integers."""
    if len(groups) and (groups.min() < 0 or groups.max() > 2 * len(groups)):
        groups = np.unique(groups, return_inverse=True)[1]
    return groups.astype(np.int32, copy=False)


def exchangeable_groups(groups: Integers, is_train: Bools) -> tuple[Int32s, int]:
    """The groups (n,) within which labels do not vary, numbered from 0 on, and how many held-out items are in groups that have training
    items, too.

    A division that does not keep near-duplicates together divides single items, so each item is a group then. Splitting only the mixed
    groups would make groups depend on labels: an item of a mixed pair that poses as a sample always finds its twin in
    training, one of any other pair never. Only where far fewer groups are mixed than such a division gives, it kept groups
    together, and the few exceptions are split.
    """
    numbers = _dense(group_numbers(groups))
    sizes, num_train = np.bincount(numbers), np.bincount(numbers[is_train], minlength=int(numbers.max(initial=-1)) + 1)
    is_mixed = (num_train > 0) & (num_train < sizes)
    share = is_train.mean()
    # Of each size once: of millions of groups, fractions would take 300 MB
    num_of_size = np.bincount(sizes)
    size = np.arange(len(num_of_size))
    num_expected = (num_of_size * (1.0 - share**size - (1.0 - share) ** size))[1:].sum()
    mixed = is_mixed[numbers]
    num_held_out = int((mixed & ~is_train).sum())
    if is_mixed.sum() >= MIN_MIXED_SHARE * num_expected > 0.0:
        return np.arange(len(numbers), dtype=np.int32), num_held_out
    items = np.flatnonzero(mixed)
    numbers[items] = len(sizes) + items
    return _dense(numbers), num_held_out


class GroupLabels(NamedTuple):
    """The groups of some items, and the label of each.

    Attributes:
        exists: (g,) whether a group has any of the items, by its number.
        is_train: (g,) whether its items are training items.
    """

    exists: Bools
    is_train: Bools

    @property
    def num_train(self) -> int:
        """How many groups are training items."""
        return int(self.is_train.sum())

    @property
    def num_held_out(self) -> int:
        """How many groups are held-out items."""
        return int(self.exists.sum()) - self.num_train

    @property
    def train_share(self) -> float:
        """The share of the groups that are training items."""
        return self.num_train / (self.num_train + self.num_held_out)


def group_labels(groups: Int32s, is_train: Bools, items: Integers) -> GroupLabels:
    """The labels of the groups of some items.

    Args:
        groups: (n,) the group of each item.
        is_train: (n,) or longer, whether each is a training item.
        items: (k,) those that count. They are looked at in parts: the groups of ten million take 40 MB.

    Raises:
        ValueError: A group has both labels.
    """
    parts = [items[first : first + AT_ONCE] for first in range(0, len(items), AT_ONCE)]
    size = max((int(groups[part].max()) for part in parts), default=-1) + 1
    labels = GroupLabels(np.zeros(size, dtype=np.bool_), np.zeros(size, dtype=np.bool_))
    for part in parts:
        labels.exists[groups[part]] = True
        labels.is_train[groups[part[is_train[part]]]] = True
    if any((labels.is_train[groups[part]] != is_train[part]).any() for part in parts):
        raise ValueError("a group of near-duplicates has training and held-out items; leave those out first")
    return labels


def are_in(groups: Int32s, chosen: Integers) -> Bools:
    """(n,) whether the group of each item is one of some. chosen: (k,) groups."""
    is_chosen = np.zeros(int(max(groups.max(initial=-1), chosen.max(initial=-1))) + 1, dtype=np.bool_)
    is_chosen[chosen] = True
    return np.asarray(is_chosen[groups])


def are_alone(groups: Int32s) -> Bools:
    """(n,) whether no other item is in the group of each."""
    exists, has_several = (np.zeros(int(groups.max(initial=-1)) + 1, dtype=np.bool_) for _ in range(2))
    for first in range(0, len(groups), AT_ONCE):
        part, counts = np.unique(groups[first : first + AT_ONCE], return_counts=True)
        has_several[part[exists[part] | (counts > 1)]] = True
        exists[part] = True
    return np.asarray(~has_several[groups])


def with_queries(groups: Int32s, sample_groups: Integers | None, num_samples: int, num_planted: int) -> Int32s:
    """The groups of real items, then those of samples; planted copies have one of their own each."""
    samples = np.arange(num_samples) if sample_groups is None else np.unique(sample_groups, return_inverse=True)[1]
    samples = groups.max() + 1 + samples
    return np.concatenate([groups, samples, samples.max() + 1 + np.arange(num_planted)], dtype=np.int32)


def with_match_groups(groups: Int32s, whole: bool) -> tuple[Int32s, Int32s]:
    """Groups, and those of the match test, in which a whole item is alone. Where both are the same division, they are one array."""
    if not whole:
        return groups, groups
    single = np.arange(len(groups), dtype=np.int32)
    return (single if are_alone(groups).all() else groups), single


def _dense(groups: Int32s) -> Int32s:
    """The same groups in the same order, numbered from 0 on without gaps."""
    exists = np.zeros(int(groups.max(initial=-1)) + 1, dtype=np.bool_)
    exists[groups] = True
    number = np.cumsum(exists, dtype=np.int32) - 1
    return np.asarray(number[groups], dtype=np.int32)
