"""Samples that are identical to training items, against real items that are identical to each other.

Two or three exact copies are too few for the scan and the match test, whose labels cannot prove so little. But where real items
hardly ever repeat each other, even they are no accident, and no answer should be a plain yes. The null hypothesis is that a
sample repeats a training item as often as any two real items are equal. Under it the number of repeated training items is
binomial, given the number of all repetitions (a conditional test of two Poisson rates). In simulated draws, uniform and of
Zipf's law, it raised an alarm in at most 3.5% of the cases (docs/log.md, 2026-11-28).

A generator that repeats held-out items as often reaches real items by itself, as happens with names. Pictures and long records are
out of reach (`reach`): there it has seen the held-out items, too, so that they excuse nothing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from anew.evaluation.memorization.copying_test import Indices
from anew.evaluation.memorization.match_test import binomial_tail
from anew.evaluation.memorization.thresholds import ALPHA, LABEL_ALPHA
from anew.functional.intervals import clopper_pearson


@dataclass(frozen=True, slots=True)
class RepeatedItems:
    """Items that repeat others.

    Attributes:
        samples: Number of samples that are identical to a training item.
        items: How many different training items these repeat.
        held_out: How many different held-out items samples repeat.
        n_samples: Number of all samples.
        real: Number of real items that are identical to another real one.
        n_real: Number of real items that were compared with all others.
        n_train, n_held_out: Numbers of training and held-out items.
        held_out_samples: Number of samples that are identical to a held-out item, and to no training item.
        out_of_reach: How many of the different held-out items no generator reaches by itself.
    """

    samples: int
    items: int
    held_out: int
    n_samples: int
    real: int
    n_real: int
    n_train: int
    n_held_out: int
    held_out_samples: int = 0
    out_of_reach: int = 0

    @property
    def seen_p(self) -> float:
        """The probability of so many repeated held-out items out of reach, if samples repeat real items as these each other."""
        return self._chance(self.out_of_reach, self.n_held_out, self.held_out_samples - self.held_out)

    @property
    def saw_held_out(self) -> bool:
        """Whether the generator has probably seen held-out items."""
        return self.seen_p <= ALPHA

    @property
    def p(self) -> float:
        """The probability of so many repeated training items if samples repeat real items as often as these each other.

        It is 1 if samples repeat held-out items as often, for their numbers: then the generator reaches real items by itself, unless
        it saw these.
        """
        if self.held_out and not self.saw_held_out:
            n_pool = self.n_train + self.n_held_out
            p_labels = binomial_tail(self.items, self.items + self.held_out, self.n_train / n_pool)
            if p_labels > LABEL_ALPHA:
                return 1.0
        return self._chance(self.items, self.n_train, self.samples - self.items)

    def _chance(self, items: int, n_part: int, n_again: int) -> float:
        """The probability of so many repeated items of a part of `n_part` real items, of which samples repeat some `n_again` times."""
        if not items or not self.n_real:
            return 1.0
        n_pool = self.n_train + self.n_held_out
        once = 1.0 - self.n_real / (2.0 * n_pool)  # two real items that are equal are one event, not two
        expected = (self.n_samples - n_again) * n_part / n_pool
        share = expected / (expected + once * self.n_real)
        return binomial_tail(items, items + once * self.real, share)

    def at_least(self, share: float, low: float, n_visible: float) -> tuple[float, float]:
        """A share of copies and its lower end, raised to that of the samples that repeat training items beyond chance.

        A test may see fewer: the scan does not count copies that are as near to each other as real items are. By chance, samples
        repeat training items as often as real items do each other, or as they repeat held-out items, whichever is more.

        Args:
            share, low: The share by another test.
            n_visible: Number of samples whose originals were compared.
        """
        n_pool = self.n_train + self.n_held_out
        by_real = self.n_samples * self.real / max(self.n_real, 1) * self.n_train / max(n_pool, 1)
        by_held_out = (0 if self.saw_held_out else self.held_out) * self.n_train / max(self.n_held_out, 1)
        repeated = min((self.samples - max(by_real, by_held_out)) / n_visible, 1.0)
        if repeated <= share:
            return share, low
        return repeated, max(low, clopper_pearson(repeated * n_visible, n_visible)[0])


def count_repeats(
    samples: Sequence[Sequence[Hashable]],
    real: Sequence[Sequence[Hashable]],
    stand_ins: Indices,
    is_train: NDArray[np.bool_],
    is_out_of_reach: Callable[[Indices], NDArray[np.bool_]] = lambda items: np.zeros(len(items), dtype=np.bool_),
) -> RepeatedItems:
    """Count samples and real items that are identical to another real item: that share a key with it.

    Args:
        samples: The keys of each sample.
        real: (n,) the keys of each real item.
        stand_ins: (h,) indices of the real items that are compared with all others.
        is_train: (n,) whether each real item is a training item.
        is_out_of_reach: Whether no generator reaches each of some real items by itself.
    """
    # One item for each key, a training item if possible
    item_of = {key: i for part in (~is_train, is_train) for i in np.flatnonzero(part).tolist() for key in real[i]}
    items = [[item_of[key] for key in keys if key in item_of] for keys in samples]
    # One for each sample that repeats an item, a training item if possible
    repeated = np.array(
        [max(candidates, key=lambda i: is_train[i]) for candidates in items if candidates], dtype=np.intp
    )
    different, counts = np.unique(repeated), Counter(key for keys in real for key in set(keys))
    held_out = different[~is_train[different]]
    return RepeatedItems(
        samples=int(is_train[repeated].sum()),
        items=int(is_train[different].sum()),
        held_out=len(held_out),
        n_samples=len(samples),
        real=sum(any(counts[key] > 1 for key in real[i]) for i in stand_ins.tolist()),
        n_real=len(stand_ins),
        n_train=int(is_train.sum()),
        n_held_out=int((~is_train).sum()),
        held_out_samples=int((~is_train[repeated]).sum()),
        out_of_reach=int(is_out_of_reach(held_out).sum()) if len(held_out) else 0,
    )
