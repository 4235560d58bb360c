"""The records that figures of lists compare, and the format of those that are rows of fields."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from anew.evaluation.metrics.duplicate_groups import KeysOf, equal_keys
from anew.evaluation.metrics.records.row_formats import MAX_READ, RowFormat, row_format


@dataclass(frozen=True)
class RecordSets:
    """Records of a list, and the training records by which they are judged.

    Attributes:
        samples, held_out, train: Records, as many of each; `train` takes the samples' place for the real baseline.
        training: All training records.
        seed: Seed of all choices of records, and of the halves of classifiers.
        keys_of: Returns a number for each of some texts, which near-duplicates share.
        field_names: Names of the fields of rows; () if they have none.
    """

    samples: Sequence[str]
    held_out: Sequence[str]
    train: Sequence[str]
    training: Sequence[str]
    seed: int
    keys_of: KeysOf[str] = equal_keys
    field_names: tuple[str, ...] = ()

    @cached_property
    def known(self) -> list[str]:
        """Training records in random order, MAX_READ at most: what always or often holds is learned from them."""
        rng = np.random.default_rng(self.seed)
        return [self.training[i] for i in rng.permutation(len(self.training))[:MAX_READ]]

    @cached_property
    def row_format(self) -> RowFormat | None:
        """The format of `known` records that are rows of fields; None for others. It is found once: with dates it takes a second."""
        return row_format(self.known, self.field_names)
