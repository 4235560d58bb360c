"""Counts by the field of a row, and by the beginning of the earlier field that tells most about it, as buffers of the counting head.

Legend for shapes: n targets or rows, B records, L targets of a record, V vocabulary, W fields.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from anew.core.arrays import Doubles, Floats, Ints
from anew.estimators.kneser_ney import KneserNey
from anew.estimators.record_fields import NUM_ELEMENTS, ORDER, FieldReader
from anew.families.transformer.counts.added_counts import SHARE, AddedCounts, best_shares

ROLES, PARENTS = "roles", "parents"  # buffers: those of `FieldReader`
MIN_GAIN = 0.005  # share of the bits of held-out records that these counts must save to be kept, as aligned records
# The counts of all records are left out of a field if that costs at most this share of its bits. They do not know the field, and
# even with a weight of 3% they end numbers early (docs/log.md, 2026-11-29)
MAX_LOSS = 0.01


class FieldCounts(AddedCounts):
    """Kneser-Ney counts whose contexts are those of `FieldReader`, for records that are rows.

    Args:
        order_of_all: Order of the counts of all records.
        spellings: (V,) the bytes of each token; () where there are none, so that fields are not looked for.
    """

    def __init__(self, vocab_size: int, order_of_all: int, spellings: Sequence[bytes]) -> None:
        super().__init__(vocab_size, ORDER, NUM_ELEMENTS, "counts by field", order_of_all)
        self.dtypes = {**self.dtypes, ROLES: torch.uint8, PARENTS: torch.int64}
        self.spellings = spellings
        self._reader: FieldReader | None = None
        self._shares: Floats | None = None

    @property
    def reader(self) -> FieldReader:
        if self._reader is None:
            roles, parents = (self.get_buffer(name).cpu().numpy() for name in (ROLES, PARENTS))
            self._reader = FieldReader(roles, parents)
        return self._reader

    def clear_cache(self) -> None:
        super().clear_cache()
        self._reader = self._shares = None

    @property
    def share_shape(self) -> tuple[int, ...]:
        return (len(self.get_buffer(PARENTS)) + 1,)

    def shares(self, contexts: Ints) -> Floats:
        """(n,) the weight of these counts in the field of each target; targets outside of known fields have the last weight."""
        if self._shares is None:
            by_field = self.get_buffer(SHARE).cpu().numpy().astype(np.float32)
            fields = np.minimum(self.counts.levels[1].contexts, len(by_field) - 1)
            # The weight by the first context; UNSEEN is the last one.
            self._shares = np.append(by_field[fields], by_field[-1])
        shares: Floats = self._shares[contexts[1]]
        return shares

    def count(self, sequences: Sequence[Ints]) -> None:
        """Count records, if they are rows and these counts predict them better."""
        sequences = [sequence for sequence in sequences if len(sequence) > 1]
        reader = FieldReader.learn(sequences, self.spellings) if self.spellings and sequences else None
        if reader is None:
            return

        def fit(numbers: Ints) -> KneserNey:
            targets, elements, depth = reader.targets([sequences[i] for i in numbers])
            return KneserNey.fit_elements(targets, elements, depth, self.vocab_size, NUM_ELEMENTS)

        def score(by_field: KneserNey, numbers: Ints) -> tuple[Floats, Ints]:
            targets, elements, depth = reader.targets([sequences[i] for i in numbers])
            return by_field.probability(by_field.walk_elements(elements, depth), targets), elements[0]

        if self.learn(sequences, fit, score, len(reader.parents) + 1):
            self.set_buffers({ROLES: reader.roles, PARENTS: reader.parents})

    def _best_shares(self, added: Floats, of_all: Floats, groups: Ints, num_groups: int) -> Doubles | None:
        if not len(added):
            return None
        shares = best_shares(added, of_all, groups, num_groups)
        before, alone, mixed = (
            np.bincount(groups, weights=-np.log(p), minlength=num_groups)
            for p in (of_all, added, shares[groups] * added + (1.0 - shares[groups]) * of_all)
        )
        is_alone = alone <= (1.0 + MAX_LOSS) * mixed
        nats = np.where(is_alone, alone, mixed).sum()
        return np.where(is_alone, 1.0, shares) if nats < (1.0 - MIN_GAIN) * before.sum() else None

    def check(self) -> None:
        if self.is_counted:
            roles, parents = self._buffers.get(ROLES), self._buffers.get(PARENTS)
            if roles is None or parents is None or roles.shape != (self.vocab_size,) or parents.ndim != 1:
                raise ValueError("the fields of rows are inconsistent")
            self.reader.check()
        super().check()

    # Rows of ids must begin where records do: the fields are counted from there.

    def last_contexts(self, ids: Ints, labels: Ints | None = None) -> Ints | None:
        return self._walk(ids, ids.shape[1] - 1)

    def contexts(self, ids: Ints, labels: Ints | None = None) -> Ints | None:
        return self._walk(ids, 0)

    def _walk(self, ids: Ints, first: int) -> Ints | None:
        return self.counts.walk_elements(*self.reader.contexts(ids, first)) if self.is_counted else None
