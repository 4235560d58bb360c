"""Counts of records by class as buffers of the counting head. They are mixed with the counts of all records, which few classes share.

Legend for shapes: n targets or rows, B records, L targets of a record, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from torch import Tensor

from anew.core.arrays import Floats, Ints
from anew.estimators.kneser_ney import KneserNey
from anew.families.transformer.counts.added_counts import AddedCounts


class ClassCounts(AddedCounts):
    """Kneser-Ney counts whose contexts begin with the class of a record.

    Args:
        order: Longest context, the class included.
        num_classes: Number of classes; 0 without.
    """

    def __init__(self, vocab_size: int, order: int, num_classes: int) -> None:
        super().__init__(vocab_size, order, num_classes, "counts by class", order)
        self.num_classes = num_classes

    def count(self, sequences: Sequence[Ints], classes: Ints) -> None:
        """Count sequences (B,) of these classes (B,), if all are known."""
        if not self.num_classes or not self.order or not len(sequences) or bool((classes < 0).any()):
            return

        def fit(numbers: Ints) -> KneserNey:
            counted = [sequences[i] for i in numbers]
            return KneserNey.fit(counted, self.vocab_size, self.order, classes[numbers], self.num_classes)

        def score(by_class: KneserNey, numbers: Ints) -> tuple[Floats, Ints]:
            chances = np.concatenate([by_class.score(sequences[i], int(classes[i]))[1:] for i in numbers])
            return chances, np.zeros(len(chances), dtype=np.int64)

        self.learn(sequences, fit, score)

    def last_contexts(self, ids: Ints, labels: Ints | None) -> Ints | None:
        if not self.is_counted or labels is None:
            return None
        return self.counts.last_contexts(ids, labels)

    def contexts(self, ids: Ints, labels: Ints | None) -> Ints | None:
        return None if not self.is_counted or labels is None else self.counts.walk_rows(ids, labels)


def known_classes(labels: Tensor | None) -> Ints | None:
    """The classes of all rows; None if one is not known."""
    return None if labels is None or bool((labels < 0).any()) else labels.cpu().numpy()
