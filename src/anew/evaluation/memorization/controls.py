"""Controls of the copying test: real items pose as the samples of a generator that copies nothing."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

import numpy as np

from anew.core.arrays import Bools, Int32s
from anew.core.sequences import numbers_to
from anew.evaluation.memorization import copying_test
from anew.evaluation.memorization.copying_test import Distance, Indices, LabelPermutations
from anew.evaluation.memorization.item_groups import are_in

# Choices of items in all after an alarm of the control, since a single choice may raise one by chance; odd. Chosen: more would
# hardly change the middle p
REPEATS = 5
MAX_CONTROLS = 500  # real items that pose as samples: twice as many hardly change their p


class Controls:
    """The controls of one memorization test.

    Attributes:
        notes: Sentences on what could not be measured.
    """

    def __init__(
        self,
        distances: Sequence[Distance],
        is_train: Bools,
        groups: Int32s,
        rng: np.random.Generator,
    ) -> None:
        """
        Args:
            distances: How items are compared.
            is_train: (n,) whether each real item is a training item.
            groups: (n,) or longer, the group of each item, of which all or none pose as samples.
            rng: Generator of all choices and permutations.
        """
        self.notes: list[str] = []
        self._distances, self._is_train, self._groups, self._rng = distances, is_train, groups, rng

    def set_aside(self, real: Indices) -> Indices:
        """Choose up to half of these real items, in whole groups, to pose as samples."""
        groups, sizes = np.unique(self._groups[real], return_counts=True)
        order = self._rng.permutation(len(groups))
        max_groups = max(int((np.cumsum(sizes[order]) <= MAX_CONTROLS).sum()), 1)
        is_chosen = are_in(self._groups[: len(self._is_train)], groups[order[: min(max_groups, len(groups) // 2)]])
        return np.flatnonzero(is_chosen)

    def scan_p(self, control: Indices) -> float | None:
        """p of the scan with these real items, of either part, in the samples' place; None if there are too few."""
        others = _all_but(control, len(self._is_train))
        if not len(control) or self._is_train[others].all():
            # Training items cannot pose as samples either where all others are training items
            is_train = len(control) > 0 and bool(self._is_train[control].all())
            part, lack = ("training", "too few held-out ones") if is_train else ("held-out", "too few")
            note = f"Not measured: the control with {part} items in the copying test (there are {lack})."
            self.notes = [*self.notes, *({note} - set(self.notes))]
            return None
        nearests = [distance.nearest_real(control, others) for distance in self._distances]
        items = np.concatenate([nearest.item for nearest in nearests])
        labels = LabelPermutations(self._is_train, self._groups, others, items, rng=self._rng)
        return copying_test.scan(nearests, labels, self._rng).p

    def both_p(self, control: Indices) -> float | None:
        """The smaller p of held-out and of training items posing as samples, by Bonferroni; None if there is neither."""
        train_control = self.set_aside(np.flatnonzero(self._is_train))
        controls = (self.scan_p(control), self.scan_p(train_control))
        ps = [p for p in controls if p is not None]
        return min(len(ps) * min(ps), 1.0) if ps else None

    def confirmed_p(
        self,
        control_p: Callable[[Indices], float | None],
        choice: Indices,
        level: float,
        remaining: Callable[[], float],
    ) -> float | None:
        """p of a control; an alarm is repeated with other choices of held-out items, if there is time, see `repeated_p`.

        Args:
            control_p: Measures it: `scan_p` or `both_p`.
            choice: The first choice of items, see `set_aside`.
            level: Significance level of an alarm.
            remaining: Returns the seconds left.
        """
        start = time.monotonic()
        p = control_p(choice)
        if p is None or p > level or remaining() < REPEATS * (time.monotonic() - start):
            return p
        held_out = np.flatnonzero(~self._is_train)
        return repeated_p(p, lambda: control_p(self.set_aside(held_out)))


def _all_but(chosen: Indices, count: int) -> Indices:
    """The numbers of `count` items without the chosen ones, rising."""
    is_other = np.ones(count, dtype=np.bool_)
    is_other[chosen] = False
    return numbers_to(count)[is_other]


def repeated_p(p: float, repeat: Callable[[], float | None]) -> float:
    """p of a control that depends on a random choice of items, after an alarm: the middle one of several choices, unless the first
    is larger. At level 0.01, one choice in a hundred raises an alarm by chance although nothing is wrong.

    It is a p-value however the choices depend on each other, since it is never smaller than the first one's.

    Args:
        p: p of the first choice.
        repeat: Returns p of another choice; None, if there were too few items, withdraws no alarm.
    """
    others = [0.0 if (other := repeat()) is None else other for _ in range(REPEATS - 1)]
    return max(p, sorted([p, *others])[REPEATS // 2])
