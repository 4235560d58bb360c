"""Copies among records that are rows of fields: by edits, and by how many fields differ.

A row that was copied but for its longest field is far from its original by edits. JSON objects are compared by their values, so
other spacing, or another order of keys, makes no difference.

Legend for shapes: n rows, q queries, p rows of the pool, c columns.
"""

from __future__ import annotations

import copy
from collections.abc import Hashable, Sequence
from dataclasses import replace

import numpy as np

from anew.core.arrays import Integers
from anew.evaluation.memorization.copying_test import Array, Distance, Indices
from anew.evaluation.memorization.item_type import ItemType
from anew.evaluation.memorization.item_types import RECORDS
from anew.evaluation.memorization.texts import EditDistance
from anew.evaluation.metrics.row_formats import MAX_READ, RowFormat, row_format

MIN_FIELDS = 3  # of two fields, rows that share one are nothing special
PAIRS_AT_ONCE = 4_000_000  # pairs of rows that are compared at once: bounds memory
SCOPE = (
    "Seen are records of which a few characters or one field were changed, whatever its length, and JSON objects with other "
    "spacing or order of keys. Not seen are those with several fields changed or, if they have few fields, in other letter case."
)


class FieldDistance(Distance):
    """Share of the fields in which two rows differ; a malformed row differs from all others in all fields."""

    name = "fields that differ"
    at_once = 256  # so that the progress of a search is seen; chosen

    def __init__(self, records: Sequence[str], groups: Integers, form: RowFormat) -> None:
        self._group = np.asarray(groups)
        rows = [form.fields(record) for record in records]
        width = len(form.columns)
        self._codes = np.empty((len(records), width), dtype=np.int32)  # (n, c)
        for column in range(width):
            numbers: dict[str, int] = {}
            self._codes[:, column] = [
                -1 - i if fields is None else numbers.setdefault(fields[column], len(numbers))
                for i, fields in enumerate(rows)
            ]
        self.resolution = 1.0 / width

    def with_groups(self, groups: Integers) -> FieldDistance:
        regrouped = copy.copy(self)
        regrouped._group = np.asarray(groups)
        return regrouped

    def nearest(self, queries: Indices, pool: Indices) -> tuple[Indices, Array]:
        item, distance = np.full(len(queries), -1, dtype=np.intp), np.full(len(queries), np.inf)
        size = max(PAIRS_AT_ONCE // max(len(pool), 1), 1)
        for start in range(0, len(queries), size) if len(pool) else ():
            part = queries[start : start + size]
            equal = np.zeros((len(part), len(pool)), dtype=np.int16)  # (q, p) fields in common, -1 in one group
            for column in self._codes.T:
                equal += column[part][:, None] == column[pool][None]
            equal[self._group[part][:, None] == self._group[pool][None]] = -1
            best = equal.argmax(axis=1)
            num_equal = equal[np.arange(len(part)), best]
            item[start : start + size] = np.where(num_equal < 0, -1, pool[best])
            distance[start : start + size] = np.where(num_equal < 0, np.inf, 1.0 - num_equal / self._codes.shape[1])
        return item, distance


def records_type(records: Sequence[str]) -> ItemType[str]:
    """How records are compared for copies: RECORDS, and by fields too if nearly all are rows of at least MIN_FIELDS.

    records: Training records.
    """
    form = row_format(records[:MAX_READ])
    if form is None or len(form.columns) < MIN_FIELDS:
        return RECORDS

    def distances(items: Sequence[str], groups: Integers) -> list[Distance]:
        return [EditDistance(items, groups), FieldDistance(items, groups, form)]

    def keys(record: str) -> list[Hashable]:
        fields = form.fields(record)
        return [record if fields is None else tuple(fields)]

    return replace(RECORDS, distances=distances, keys=keys, scope=SCOPE)
