"""Counts of records by class as buffers of the counting head. They are mixed with the counts of all records, which few classes share.

Legend for shapes: n targets or rows, B records, L targets of a record, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from anew.core.arrays import Doubles, Ints
from anew.estimators.kneser_ney import KneserNey
from anew.families.transformer.counts.added_counts import COMPARED_TOKENS, HELD_OUT, AddedCounts, best_shares


class ClassCounts(AddedCounts):
    """Kneser-Ney counts whose contexts begin with the class of a record.

    Args:
        order: Longest context, the class included.
        num_classes: Number of classes; 0 without.
    """

    def __init__(self, vocab_size: int, order: int, num_classes: int) -> None:
        super().__init__(vocab_size, order, num_classes, "counts by class")
        self.num_classes = num_classes

    def count(self, sequences: Sequence[Ints], classes: Ints) -> None:
        """Count sequences (B,) of these classes (B,), if all are known."""
        if not self.num_classes or not self.order or not len(sequences) or bool((classes < 0).any()):
            return
        share = self._share_of(sequences, classes)
        self.set_counts(self._fit(sequences, classes), share)

    def _fit(self, sequences: Sequence[Ints], classes: Ints) -> KneserNey:
        return KneserNey.fit(sequences, self.vocab_size, self.order, classes, self.num_classes)

    def _share_of(self, sequences: Sequence[Ints], classes: Ints) -> Doubles:
        """The share at which both kinds of counts of most records predict the others best."""
        step = 1 + sum(map(len, sequences)) // COMPARED_TOKENS
        sequences, classes = sequences[::step], classes[::step]
        is_held_out = np.arange(len(sequences)) % HELD_OUT == HELD_OUT - 1
        known = [sequence for sequence, is_out in zip(sequences, is_held_out, strict=True) if not is_out]
        by_class = self._fit(known, classes[~is_held_out])
        of_all = KneserNey.fit(known, self.vocab_size, self.order)
        chances: list[NDArray[np.floating]] = [np.ones((0, 2))]
        for row in np.flatnonzero(is_held_out).tolist():
            ids, depth = sequences[row], np.arange(len(sequences[row]))
            contexts = by_class.walk(ids, depth, classes=np.full(len(ids), classes[row]))
            chances.append(np.stack((by_class.probability(contexts, ids), of_all.score(ids)), 1)[1:])
        return best_shares(*np.concatenate(chances).T)

    def last_contexts(self, ids: Ints, labels: Ints | None) -> Ints | None:
        """Contexts (order + 1, n) of the token that follows each row of ids (n, L) of these classes (n,)."""
        if not self.is_counted or labels is None:
            return None
        recent = ids[:, max(0, ids.shape[1] - self.order) :].tolist()
        rows = [self.counts.tail(row, label) for row, label in zip(recent, labels.tolist(), strict=True)]
        return np.array(rows, dtype=np.int64).T

    def contexts(self, ids: Ints, labels: Ints | None) -> Ints | None:
        """Contexts (order + 1, B*L) of the token that follows each id of ids (B, L), none across rows; classes (B,)."""
        if not self.is_counted or labels is None:
            return None
        return self.counts.walk_rows(ids, labels)


def known_classes(labels: Tensor | None) -> Ints | None:
    """The classes of all rows; None if one is not known."""
    return None if labels is None or bool((labels < 0).any()) else labels.cpu().numpy()
