"""Counts that know the field of a row, and how the field begins that tells most about it, as buffers of the counting head.

Legend for shapes: n targets or rows, B records, L targets of a record, V vocabulary, W fields.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from anew.core.arrays import Doubles, Floats, Ints
from anew.estimators.kneser_ney import KneserNey
from anew.estimators.record_fields import NUM_ELEMENTS, ORDER, FieldReader
from anew.families.transformer.counts.added_counts import COMPARED_TOKENS, HELD_OUT, SHARE, AddedCounts, best_shares

ROLES, PARENTS = "roles", "parents"  # buffers: those of `FieldReader`
MIN_GAIN = 0.005  # share of the bits of held-out records that these counts must save to be kept, as aligned records
# The counts of all records are left out of a field if that costs at most this share of its bits. They do not know the field, and
# even with a weight of 3% they end numbers early (docs/log.md, 2026-11-29)
MAX_LOSS = 0.01


class FieldCounts(AddedCounts):
    """Kneser-Ney counts whose contexts are those of `FieldReader`, for records that are rows.

    Args:
        order: Longest context of the counts of all records, with which these are compared.
        spellings: (V,) the bytes of each token; () where there are none, so that fields are not looked for.
    """

    def __init__(self, vocab_size: int, order: int, spellings: Sequence[bytes]) -> None:
        super().__init__(vocab_size, ORDER, NUM_ELEMENTS, "counts by field")
        self.dtypes = {**self.dtypes, ROLES: torch.uint8, PARENTS: torch.int64}
        self.order_of_all, self.spellings = order, spellings
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
        """(n,) the weight of these counts in the field of each target; what is in no known place has that of no field."""
        if self._shares is None:
            by_field = self.get_buffer(SHARE).cpu().numpy().astype(np.float32)
            fields = np.minimum(self.counts.levels[1].contexts, len(by_field) - 1)
            self._shares = np.append(by_field[fields], by_field[-1])  # by the first context; UNSEEN is the last one
        shares: Floats = self._shares[contexts[1]]
        return shares

    def count(self, sequences: Sequence[Ints]) -> None:
        """Count records, if they are rows and these counts predict them better."""
        sequences = [sequence for sequence in sequences if len(sequence) > 1]
        reader = FieldReader.learn(sequences, self.spellings) if self.spellings and sequences else None
        if reader is None:
            return
        share = self._share_of(reader, sequences)
        if share is None:
            return
        self.set_buffers({ROLES: reader.roles, PARENTS: reader.parents})
        self.set_counts(self._fit(reader, sequences), share)

    def _fit(self, reader: FieldReader, sequences: Sequence[Ints]) -> KneserNey:
        targets, elements, depth = reader.targets(sequences)
        return KneserNey.fit_elements(targets, elements, depth, self.vocab_size, NUM_ELEMENTS)

    def _share_of(self, reader: FieldReader, sequences: Sequence[Ints]) -> Doubles | None:
        """The shares by field at which both kinds of counts of most records predict the others best; None if they save less than
        MIN_GAIN."""
        sequences = sequences[:: 1 + sum(map(len, sequences)) // COMPARED_TOKENS]
        is_held_out = np.arange(len(sequences)) % HELD_OUT == HELD_OUT - 1
        known = [sequence for sequence, is_out in zip(sequences, is_held_out, strict=True) if not is_out]
        held_out = [sequence for sequence, is_out in zip(sequences, is_held_out, strict=True) if is_out]
        if not held_out:
            return None
        by_field, of_all = self._fit(reader, known), KneserNey.fit(known, self.vocab_size, self.order_of_all)
        targets, elements, depth = reader.targets(held_out)
        chances = by_field.probability(by_field.walk_elements(elements, depth), targets)
        other = np.concatenate([of_all.score(ids)[1:] for ids in held_out])
        fields, num_shares = elements[0], len(reader.parents) + 1
        shares = best_shares(chances, other, fields, num_shares)
        before, alone, mixed = (
            np.bincount(fields, weights=-np.log(p), minlength=num_shares)
            for p in (other, chances, shares[fields] * chances + (1.0 - shares[fields]) * other)
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

    def last_contexts(self, ids: Ints) -> Ints | None:
        """Contexts (order + 1, n) of the token that follows each row of ids (n, L), which begin a record."""
        return self._walk(ids, ids.shape[1] - 1)

    def contexts(self, ids: Ints) -> Ints | None:
        """Contexts (order + 1, B*L) of the token that follows each id of ids (B, L), which begin records."""
        return self._walk(ids, 0)

    def _walk(self, ids: Ints, first: int) -> Ints | None:
        return self.counts.walk_elements(*self.reader.contexts(ids, first)) if self.is_counted else None
