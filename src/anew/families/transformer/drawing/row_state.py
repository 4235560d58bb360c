"""Where samples are in their rows, and which tokens may come next; see `RowLimit`.

Legend for shapes: n samples, k of them, S views of a field, T views, K values of a field, P pairs, W fields, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Mapping
from copy import copy
from dataclasses import dataclass

import numpy as np

from anew.core.arrays import Bools, Floats, Ints
from anew.estimators.closed_fields import ClosedFields
from anew.estimators.record_fields import DIGIT, ESCAPE, MARK, QUOTE, Roles
from anew.families.transformer.drawing.value_tree import NO_NODE, NO_VALUE, ValueTree


@dataclass(frozen=True, slots=True)
class Symbols:
    """The roles of tokens.

    Attributes:
        roles: (V,) see `FieldReader`.
        begin, end: Ids of the tokens around a record.
        zero: The id that stands for digits which a view does not see.
    """

    roles: Roles
    begin: int
    end: int
    zero: int


@dataclass(frozen=True, slots=True)
class RowValues:
    """The values of closed fields, arranged for drawing.

    Attributes:
        closed: The values.
        tree: The same as a tree.
        symbols: The roles of tokens.
        views: (W + 1, S) the views of each field, and of what follows the last; T in place of further ones.
        pair_keys: (P,) each pair as one number, in rising order.
        parents: For the number of each view, the numbers of views of earlier fields whose values go together with its own.
        first_values, num_values: (T + 1,) of each view, and of none.
    """

    closed: ClosedFields
    tree: ValueTree
    symbols: Symbols
    views: Ints
    pair_keys: Ints
    parents: Mapping[int, list[int]]
    first_values: Ints
    num_values: Ints

    @classmethod
    def of(cls, closed: ClosedFields, width: int, symbols: Symbols) -> RowValues:
        """The values of rows of so many fields."""
        fields, num_views = closed.views[:, 0], len(closed.views)
        places = np.arange(num_views) - np.searchsorted(fields, fields)
        views = np.full((width + 1, int(places.max()) + 1), num_views)
        views[fields, places] = np.arange(num_views)
        earlier, later = closed.owners[closed.pairs].T
        return cls(
            closed,
            ValueTree.build(closed, len(symbols.roles)),
            symbols,
            views,
            closed.pairs[:, 0] * len(closed.owners) + closed.pairs[:, 1],
            {view: np.unique(earlier[later == view]).tolist() for view in np.unique(later).tolist()},
            np.searchsorted(closed.owners, np.arange(num_views + 1)),
            np.bincount(closed.owners, minlength=num_views + 1),
        )

    @property
    def width(self) -> int:
        """W."""
        return len(self.views) - 1

    def digits(self, views: Ints, places: Ints, numbers: Ints) -> tuple[Bools, Bools]:
        """(n,) whether views (n,) see digits at these places of these numbers, and whether the zero before stands for them, too; see
        `DigitView`. No view sees none."""
        leading, first, last = np.append(self.closed.views[:, 1:], [[0, 0, 0]], axis=0)[views].T
        is_seen = (places < leading) | ((numbers >= first) & (numbers < last))
        return is_seen, ~is_seen & (last > 0) & (places > 0)

    def num_agreeing(self, values: Ints, view: int) -> Ints:
        """(k, K) with how many values of earlier fields each value of a view goes together. values: (k, T + 1) those that samples have
        in each view, or NO_VALUE."""
        first, num_values = int(self.first_values[view]), int(self.num_values[view])
        counts = np.zeros((len(values), num_values), dtype=np.int64)
        for parent in self.parents[view]:
            known = np.flatnonzero(values[:, parent] != NO_VALUE)
            keys = values[known, parent] * len(self.closed.owners) + first
            begins, stops = (np.searchsorted(self.pair_keys, keys + shift) for shift in (0, num_values))
            sizes = stops - begins
            places = np.arange(sizes.sum()) - np.repeat(np.cumsum(sizes) - sizes, sizes) + np.repeat(begins, sizes)
            counts[np.repeat(known, sizes), self.closed.pairs[places, 1] - first] += 1
        return counts


class RowLimitState:
    """The places of n samples in their rows.

    Args:
        rows: The values of closed fields.
        uniforms: (n, T) random numbers of each sample in [0, 1): where they are below the rate of a view, it has any value.
    """

    def __init__(self, rows: RowValues, uniforms: Floats) -> None:
        n = len(uniforms)
        self._rows, self._symbols = rows, rows.symbols
        # (n, T + 1)
        self._roots = np.pad(
            np.where(uniforms < rows.closed.rates, NO_NODE, rows.tree.roots), ((0, 0), (0, 1)), constant_values=NO_NODE
        )
        self._is_digit: Bools = (rows.symbols.roles & DIGIT) > 0
        most = max((int(rows.num_values[view]) for view in rows.parents), default=0)
        self._fields: Ints = np.zeros(n, dtype=np.int64)
        self._is_quoted, self._is_escaped = np.zeros(n, dtype=bool), np.zeros(n, dtype=bool)
        # Digits just before the next token, and numbers of its field so far
        self._num_digits, self._num_numbers = np.zeros((2, n), dtype=np.int64)
        self._nodes: Ints = self._roots[:, rows.views[0]]  # (n, S)
        self._values: Ints = np.full_like(self._roots, NO_VALUE)
        # (n, S, K + 1) how many of the first values of a view go together with the fields before; all 0 if any may come
        self._num_together = np.zeros((n, self._nodes.shape[1], most + 1), dtype=np.int32)

    def select(self, rows: Ints) -> RowLimitState:
        """State of samples (k,) of these, by their numbers."""
        selected = copy(self)
        for name, value in vars(self).items():
            if isinstance(value, np.ndarray) and name != "_is_digit":
                setattr(selected, name, value[rows])
        return selected

    # -- what may come --------------------------------------------------------------------------------------------------

    def allowed(self, allowed: Floats | None) -> Floats:
        """(n, V) 1 for tokens that may come next, else 0. allowed: (n, V) those that others allow; None: all."""
        mask = self._of_rows()
        for place in range(self._nodes.shape[1]):
            within = np.flatnonzero(self._nodes[:, place] != NO_NODE)
            if len(within):
                both = mask[within] * self._of_values(within, place)
                mask[within] = np.where(both.any(1, keepdims=True), both, mask[within])
        if allowed is None:
            return mask
        both = mask * allowed
        return np.where(both.any(1, keepdims=True), both, allowed)

    def _of_rows(self) -> Floats:
        """(n, V) tokens that leave no field out and add none."""
        mask = np.ones((len(self._fields), len(self._is_digit)), dtype=np.float32)
        last = self._rows.width - 1
        mask[self._fields < last, self._symbols.end] = 0.0
        is_last = np.flatnonzero((self._fields == last) & ~self._is_quoted)
        mask[np.ix_(is_last, np.flatnonzero(self._symbols.roles & MARK))] = 0.0
        return mask

    def _of_values(self, rows: Ints, place: int) -> Floats:
        """(k, V) tokens with which some value goes on, in the view of this place of the fields of samples (k,)."""
        tree = self._rows.tree
        owners, edges = tree.children(self._nodes[rows, place])
        is_kept = self._go_together(rows, place, owners, tree.num_roots + edges)
        mask = np.zeros((len(rows), len(self._is_digit)), dtype=np.float32)
        mask[owners[is_kept], tree.tokens[edges[is_kept]]] = 1.0
        is_seen, is_implied = self._next_digit(rows, place)
        may_be_any = np.flatnonzero(is_implied | ~is_seen & (mask[:, self._symbols.zero] > 0.0))
        mask[np.ix_(may_be_any, np.flatnonzero(self._is_digit))] = 1.0
        return mask

    def _go_together(self, rows: Ints, place: int, owners: Ints, nodes: Ints) -> Bools:
        """Whether a value that begins with each node goes together with the fields before. If none of a sample does, as after a prompt,
        all are taken to. owners: (k,) places among `rows` of the samples that the nodes belong to."""
        tree, of_row = self._rows.tree, rows[owners]
        is_limited = self._num_together[of_row, place, -1] > 0
        first = self._rows.first_values[self._rows.views[self._fields[of_row], place]]
        before, after = (np.where(is_limited, n - first, 0) for n in (tree.first[nodes], tree.last[nodes] + 1))
        agree = self._num_together[of_row, place, after] > self._num_together[of_row, place, before]
        has_any = np.bincount(owners[agree], minlength=len(rows)) > 0
        is_kept: Bools = agree | ~has_any[owners]
        return is_kept

    def _next_digit(self, rows: Ints, place: int) -> tuple[Bools, Bools]:
        """(k,) see `RowValues.digits`, of the next token, if that is a digit, in the view of this place."""
        views = self._rows.views[self._fields[rows], place]
        num_digits = self._num_digits[rows]
        return self._rows.digits(views, num_digits, self._num_numbers[rows] - (num_digits > 0))

    # -- what came ------------------------------------------------------------------------------------------------------

    def observe(self, tokens: Ints) -> None:
        """Read the tokens (n,) that follow those read so far."""
        all_rows, is_content = np.arange(len(tokens)), tokens != self._symbols.begin
        tokens = np.maximum(tokens, 0)
        roles, is_digit = self._symbols.roles[tokens], self._is_digit[tokens]
        nodes = self._nodes.copy()
        for place in range(nodes.shape[1]):
            is_seen, is_implied = self._next_digit(all_rows, place)
            masked = np.where(is_seen | ~is_digit, tokens, self._symbols.zero)
            after = self._rows.tree.after(nodes[:, place], masked)
            nodes[:, place] = np.where(is_content & ~(is_digit & is_implied), after, nodes[:, place])
        self._is_quoted ^= ((roles & QUOTE) > 0) & ~self._is_escaped
        self._is_escaped = (roles & ESCAPE) > 0
        is_mark = ((roles & MARK) > 0) & ~self._is_quoted
        self._num_numbers = np.where(is_mark, 0, self._num_numbers + (is_digit & (self._num_digits == 0)))
        self._num_digits = np.where(is_digit, self._num_digits + 1, 0)
        self._nodes = np.where((tokens == self._symbols.end)[:, None], NO_NODE, nodes)
        self._begin_fields(np.flatnonzero(is_mark & (self._fields < self._rows.width)))

    def _begin_fields(self, rows: Ints) -> None:
        """Let samples (k,) go on with the next field."""
        complete = np.append(self._rows.tree.values, NO_VALUE)[self._nodes[rows]]  # (k, S); NO_NODE is -1
        self._values[rows[:, None], self._rows.views[self._fields[rows]]] = complete
        self._fields[rows] += 1
        views = self._rows.views[self._fields[rows]]  # (k, S)
        self._nodes[rows] = self._roots[rows[:, None], views]
        self._num_together[rows] = 0
        for place, of_place in enumerate(views.T):
            for view in np.intersect1d(of_place, list(self._rows.parents)).tolist():
                in_view = rows[of_place == view]
                counts = self._rows.num_agreeing(self._values[in_view], view)  # (k, K)
                most = counts.max(1, keepdims=True)
                # Where no value goes together with all fields, those do that go together with most
                together = np.cumsum((counts == most) & (most > 0), axis=1)
                num_values = together.shape[1]
                self._num_together[in_view, place, 1 : num_values + 1] = together
                self._num_together[in_view, place, num_values + 1 :] = together[:, -1:]
