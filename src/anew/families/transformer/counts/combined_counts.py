"""The counts of all records, mixed with those by class and those by field.

Legend for shapes: n targets or rows, B records, L targets of a record, V vocabulary.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from anew.core.arrays import Floats, Ints
from anew.estimators.kneser_ney import KneserNey
from anew.families.transformer.counts.class_counts import ClassCounts
from anew.families.transformer.counts.field_counts import FieldCounts
from anew.families.transformer.counts.gate_features import CountContexts


@dataclass(frozen=True, slots=True)
class CombinedCounts:
    """All counts together.

    Attributes:
        of_all: Those of all records.
        by_class: Those by class; without effect until they are counted, or where no class is known.
        by_field: Those by field; without effect until they are counted.
    """

    of_all: KneserNey
    by_class: ClassCounts
    by_field: FieldCounts

    def last_contexts(self, ids: Ints, labels: Ints | None = None) -> CountContexts:
        """Contexts of the token that follows each row of ids (n, L). labels: (n,) classes; None where no class is known."""
        recent = ids[:, max(0, ids.shape[1] - self.of_all.order) :].tolist()
        of_all = np.array([self.of_all.tail(row) for row in recent], dtype=np.int64).T
        return CountContexts(of_all, self.by_class.last_contexts(ids, labels), self.by_field.last_contexts(ids))

    def contexts(self, ids: Ints, labels: Ints | None = None) -> CountContexts:
        """Contexts of the token that follows each id of ids (B, L), none across rows. labels: (B,) classes or None."""
        by_class, by_field = self.by_class.contexts(ids, labels), self.by_field.contexts(ids)
        return CountContexts(self.of_all.walk_rows(ids), by_class, by_field)

    def distribution(self, contexts: CountContexts) -> Floats:
        """(n, V) distribution of the next token."""
        distribution = self.of_all.distribution(contexts.of_all)
        distribution = self.by_class.mix_distributions(distribution, contexts.by_class)
        return self.by_field.mix_distributions(distribution, contexts.by_field)

    def probability(self, contexts: CountContexts, targets: Ints) -> Floats:
        """(n,) probabilities of targets (n,)."""
        probability = self.of_all.probability(contexts.of_all, targets)
        probability = self.by_class.mix_probabilities(probability, contexts.by_class, targets)
        return self.by_field.mix_probabilities(probability, contexts.by_field, targets)
