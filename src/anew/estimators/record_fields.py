"""Fields of records that are rows of a table, or flat JSON objects, and which earlier field tells most about each.

A context of counts of tokens holds the last few tokens alone, so it does not know in which field a record is, nor what an earlier
field holds. `FieldReader` gives contexts that do: the field, the tokens before, the field so far, and how another field begins.

Legend for shapes: B records, L tokens of the longest, W fields, R records that fields are compared in, H of them held
out, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from anew.core.arrays import Bools, Doubles, Integers, Ints, evenly_spaced

MARKS = (b",", b";", b"\t", b"|")  # what divides fields; of several that could, the one that makes most fields
OBJECT_MARKS = (b",", b":")  # the same for JSON objects, whose keys are fields of their own
MIN_FIELDS = 3  # two may be a sentence with a comma
SAME_FIELDS = 0.99  # share of records that must have the same number of fields
MARK, QUOTE, BLANK, DIGIT, ESCAPE = 1, 2, 4, 8, 16  # roles of tokens, which are added up
# So many tokens before are elements of a context; with two or four, bits are the same within 1% (docs/log.md)
LAST_TOKENS = 3
LEADING = 4  # tokens at the beginning of another field that are elements of a context: five save nothing more
OWN_ELEMENTS = 3 + LAST_TOKENS  # field, place in it, last tokens, field so far
ORDER = OWN_ELEMENTS + LEADING
# Contexts: what a field holds so far is one number of 32 bits.
NUM_ELEMENTS = 2**32
# Records with more fields are not read as rows: bounds the time, and the memory that the arrays of an untrusted run can ask for
MAX_FIELDS = 1_000
MAX_SKIPPED = 2  # blanks and quotes before the first character of a value
MAX_DIGITS = 63  # longer runs of digits count as this many
MAX_NUMBERS = 7  # more numbers in a field count as this many; a date and time has six
COMPARED_RECORDS = 8_000  # that parents are chosen by
COMPARED_PAIRS = 2_500_000  # pairs of fields times records, which take about a second
COMPARED_LEADING = 2  # leading tokens of a field that another one is to tell: with three, too few records agree
HELD_OUT = 10  # each so many-th record is held out while parents are chosen
# The mean of the bits that a parent saves must exceed 0 by so many of its deviations: many pairs are tried.
MIN_DEVIATIONS = 3.0
CHUNK = 512  # records that are read at a time, which bounds memory
_POWER = np.uint64(0x9E3779B97F4A7C15)  # odd, so that it has an inverse modulo 2**64
_INVERSE = np.uint64(pow(int(_POWER), -1, 2**64))
_MIX = np.uint64(0xBF58476D1CE4E5B9)
Hashes = NDArray[np.uint64]
Roles = NDArray[np.uint8]


class FieldTargets(NamedTuple):
    """Tokens to predict, with their contexts.

    Attributes:
        tokens: (n,) ids.
        elements: (ORDER, n) the elements of their contexts.
        depths: (n,) how many elements each context has.
    """

    tokens: Ints
    elements: Ints
    depths: Ints


@dataclass(frozen=True, slots=True)
class FieldReader:
    """Reads the fields of records.

    Attributes:
        roles: (V,) what each token is: the sum of MARK, QUOTE and the like.
        parents: (W,) the earlier field whose beginning tells most about each field; -1 where none tells anything.
    """

    roles: Roles
    parents: Ints

    @classmethod
    def learn(cls, records: Sequence[Ints], spellings: Sequence[bytes]) -> FieldReader | None:
        """The reader of rows; None where records are not rows. records: ids of tokens, of which the first one begins a record; spellings:
        bytes of the V tokens."""
        reader = cls.without_parents(records, spellings)
        return (
            None
            if reader is None
            else cls(reader.roles, reader._choose_parents(evenly_spaced(records, COMPARED_RECORDS)))
        )

    @classmethod
    def without_parents(cls, records: Sequence[Ints], spellings: Sequence[bytes]) -> FieldReader | None:
        """A reader that does not know which field tells about which. The arguments are those of `learn`."""
        compared = evenly_spaced(records, COMPARED_RECORDS)
        readers = []
        for possible_roles in _possible_roles(compared, spellings):
            layouts = (cls._layout(compared, roles) for roles in possible_roles)
            readers += [reader for reader in layouts if reader is not None][:1]
        return max(readers, key=lambda reader: len(reader.parents), default=None)

    @classmethod
    def _layout(cls, records: Sequence[Ints], roles: Roles) -> FieldReader | None:
        """A reader without parents, if by these roles nearly all records have the same number of fields."""
        reader = cls(roles, np.full(MAX_FIELDS, -1))
        widths = np.concatenate([reader.cells(ids).fields.max(1) + 1 for ids in padded_chunks(records)])
        values, counts = np.unique(widths, return_counts=True)
        width, count = int(values[counts.argmax()]), int(counts.max())
        if not MIN_FIELDS <= width < MAX_FIELDS or count < SAME_FIELDS * len(records):
            return None
        return cls(roles, np.full(width, -1))

    def check(self) -> None:
        """Check the arrays, which may come from anybody.

        Raises:
            ValueError: They are inconsistent.
        """
        width = len(self.parents)
        is_before = (self.parents >= -1) & (self.parents < np.arange(width))
        if not MIN_FIELDS <= width < MAX_FIELDS or not bool(is_before.all()):
            raise ValueError("the fields of rows are inconsistent")

    # -- contexts -------------------------------------------------------------------------------------------------------

    def contexts(self, ids: Ints, first: int = 0) -> tuple[Ints, Ints]:
        """Elements (ORDER, n) of the context of the token that follows each id of ids (B, L), and how many it has (n,).

        first: The place of the first id in a record that is asked for: n is B * (L - first)."""
        cells = self.cells(ids)
        fields, starts = cells.fields[:, first:], cells.starts[:, first:]  # (B, L - first)
        parents = np.append(self.parents, -1)[fields]  # (B, L - first); none beyond the last field
        elements = np.empty((ORDER, *fields.shape), dtype=np.int64)
        elements[0], elements[1] = fields, self._digit_positions(ids, cells)[:, first:]
        places, rows = np.arange(first, ids.shape[1]), np.arange(len(ids))[:, None]
        for k in range(LAST_TOKENS):
            # The end of the field before would leave few records that agree in it and in the parent
            is_read = places - k >= np.where(parents >= 0, starts, 0)
            elements[2 + k] = np.where(is_read, ids[rows, np.maximum(places - k, 0)], len(self.roles))
        stops = np.tile(np.arange(1, ids.shape[1] + 1), (len(ids), 1))
        elements[2 + LAST_TOKENS] = _shuffled(span_hashes(ids, cells.starts, stops)[:, first:]) >> np.uint64(32)
        elements[OWN_ELEMENTS:] = self._leading(ids, cells)[:, rows, np.maximum(parents, 0)]
        depth = np.where(parents >= 0, ORDER, OWN_ELEMENTS)
        return elements.reshape(ORDER, -1), depth.ravel()

    def targets(self, records: Sequence[Ints]) -> FieldTargets:
        """All tokens but the first of each record, with their contexts."""
        targets, elements, depths = [], [], []
        lengths = np.array([len(record) for record in records])
        for first, ids in zip(range(0, len(records), CHUNK), padded_chunks(records), strict=True):
            is_target = (np.arange(1, ids.shape[1]) < lengths[first : first + CHUNK, None]).ravel()
            contexts, depth = self.contexts(ids[:, :-1])
            targets.append(ids[:, 1:].ravel()[is_target])
            elements.append(contexts[:, is_target])
            depths.append(depth[is_target])
        return FieldTargets(np.concatenate(targets), np.concatenate(elements, 1), np.concatenate(depths))

    # -- fields ---------------------------------------------------------------------------------------------------------

    def cells(self, ids: Ints) -> Cells:
        """Where the fields of records (B, L) lie."""
        batch, length = ids.shape
        roles, width = self.roles[ids], len(self.parents)  # (B, L)
        is_quote = (roles & QUOTE) > 0
        is_quote[:, 1:] &= (roles[:, :-1] & ESCAPE) == 0
        is_mark = ((roles & MARK) > 0) & (np.cumsum(is_quote, 1) % 2 == 0)
        fields = np.minimum(np.cumsum(is_mark, 1), width)
        places = np.arange(1, length + 1)
        starts = np.maximum.accumulate(np.where(is_mark, places, 1), 1)
        first_positions = np.full((batch, width + 1), length + 1)
        first_positions[:, 0] = 1
        rows, columns = np.nonzero(is_mark)
        is_inside = np.cumsum(is_mark, 1)[rows, columns] <= width
        rows, columns = rows[is_inside], columns[is_inside]
        first_positions[rows, fields[rows, columns]] = columns + 1
        return Cells(fields, starts, first_positions)

    def _digit_positions(self, ids: Ints, cells: Cells) -> Ints:
        """(B, L) how many digits stand just before the token that follows each id, and how many numbers there are so far in its field:
        the parts of a date, or what stands before and after a point."""
        after = np.arange(1, ids.shape[1] + 1)
        is_digit = (self.roles[ids] & DIGIT) > 0
        digits_from = np.maximum(np.maximum.accumulate(np.where(is_digit, 0, after), 1), cells.starts)  # (B, L)
        begins = is_digit.copy()
        begins[:, 1:] &= ~is_digit[:, :-1]
        numbers = np.cumsum(np.pad(begins, ((0, 0), (1, 0))), 1)  # (B, L + 1) those that begin before each place
        num_numbers: Ints = numbers[:, 1:] - np.take_along_axis(numbers, cells.starts, 1)
        num_digits = np.minimum(after - digits_from, MAX_DIGITS)
        places: Ints = num_digits * (MAX_NUMBERS + 1) + np.minimum(num_numbers, MAX_NUMBERS)
        return places

    def _leading(self, ids: Ints, cells: Cells) -> Ints:
        """(LEADING, B, W) the first tokens of each field without quotes and blanks; the first with the number of digits there.

        Numbers of different sizes may begin alike, so digits are counted. What a field does not have is V."""
        nothing, rows = len(self.roles), np.arange(len(ids))[:, None]
        padded = np.concatenate((ids, np.full((len(ids), LEADING + MAX_SKIPPED), nothing)), 1)
        roles = np.append(self.roles, np.uint8(0))[padded]
        first, ends = cells.first_positions[:, :-1], cells.first_positions[:, 1:] - 1  # (B, W)
        for _ in range(MAX_SKIPPED):
            first = first + ((first < ends) & ((roles[rows, first] & BLANK) > 0))
        is_digit = (roles & DIGIT) > 0
        places = np.arange(padded.shape[1])
        after_digits = np.minimum.accumulate(np.where(is_digit, padded.shape[1], places)[:, ::-1], 1)[:, ::-1]
        number = first + ~is_digit[rows, first]  # a sign may stand before it
        num_digits = np.clip(np.minimum(after_digits[rows, number], ends) - number, 0, MAX_DIGITS)
        leading = np.stack([np.where(first + k < ends, padded[rows, first + k], nothing) for k in range(LEADING)])
        leading[0] = leading[0] * (MAX_DIGITS + 1) + num_digits
        return leading

    # -- parents --------------------------------------------------------------------------------------------------------

    def _choose_parents(self, records: Sequence[Ints]) -> Ints:
        """(W,) for each field, the earlier one whose beginning saves most bits of its beginning, in records held out."""
        width = len(self.parents)
        pairs = max(1, width * (width - 1) // 2)
        compared = evenly_spaced(records, COMPARED_PAIRS // pairs)
        leading = [self._leading(ids, self.cells(ids)) for ids in padded_chunks(compared)]
        codes = _prefix_codes(np.concatenate(leading, 1))
        parents = np.full(width, -1)
        varied = [field for field in range(width) if int(codes[0][:, field].max()) > 0]
        for field in varied:
            children = [code[:, field] for code in codes[:COMPARED_LEADING]]
            alone = np.sum([_held_out_bits(child, []) for child in children], 0)
            most = 0.0
            for other in varied[: varied.index(field)]:
                beginnings = [code[:, other] for code in codes]
                saved = alone - np.sum([_held_out_bits(child, beginnings) for child in children], 0)  # (H,) bits
                mean = float(saved.mean()) if len(saved) else 0.0
                if mean > max(most, MIN_DEVIATIONS * float(saved.std()) / len(saved) ** 0.5):
                    most, parents[field] = mean, other
        return parents


@dataclass(frozen=True, slots=True)
class Cells:
    """Where the fields of records lie.

    Attributes:
        fields: (B, L) the field of the token that follows each token; W beyond the last field.
        starts: (B, L) where that field begins.
        first_positions: (B, W + 1) where each field begins, and what follows the last; L + 1 if it was not reached.
    """

    fields: Ints
    starts: Ints
    first_positions: Ints


def _possible_roles(records: Sequence[Ints], spellings: Sequence[bytes]) -> Iterator[tuple[Roles, Roles]]:
    """(V,) roles of tokens for each way in which records could be divided: with quotes, and with quotes that are letters."""
    groups = [OBJECT_MARKS] if _are_objects(records, spellings) else [(mark,) for mark in MARKS]
    used = np.unique(np.concatenate([*records, np.zeros(0, dtype=np.int64)]))
    used_spellings = {spellings[token] for token in used.tolist()}
    for marks in groups:
        if not used_spellings.isdisjoint(marks):
            roles = _roles(spellings, marks)
            yield roles, roles & np.uint8(255 - QUOTE)


def _are_objects(records: Sequence[Ints], spellings: Sequence[bytes]) -> bool:
    opened = sum(len(record) > 1 and spellings[int(record[1])].startswith(b"{") for record in records)
    return len(records) > 0 and opened >= SAME_FIELDS * len(records)


def _roles(spellings: Sequence[bytes], marks: Collection[bytes]) -> Roles:
    roles = np.zeros(len(spellings), dtype=np.uint8)
    for token, spelling in enumerate(spellings):
        roles[token] += MARK * (spelling in marks) + QUOTE * (spelling == b'"')
        roles[token] += BLANK * (spelling in (b" ", b'"')) + DIGIT * (len(spelling) == 1 and spelling.isdigit())
        roles[token] += ESCAPE * (spelling == b"\\" and marks == OBJECT_MARKS)
    return roles


def padded_chunks(records: Sequence[Ints]) -> Iterator[Ints]:
    """Records (B, L) of at least one token, CHUNK at a time, each padded with its own last token."""
    for first in range(0, len(records), CHUNK):
        chunk = records[first : first + CHUNK]
        length = max(len(record) for record in chunk)
        yield np.stack([np.pad(record, (0, length - len(record)), mode="edge") for record in chunk])


def span_hashes(ids: Integers, starts: Ints, stops: Ints, is_kept: Bools | None = None) -> Hashes:
    """(B, N) a number for what stands from starts to stops (B, N) in ids (B, L), alike where it is alike. is_kept: (B, L) whether a token
    counts; None: all do."""
    length = ids.shape[1]
    powers = np.multiply.accumulate(np.full(length + 1, _POWER))  # (L + 1,)
    inverses = np.multiply.accumulate(np.full(length + 1, _INVERSE))
    sums = np.zeros((len(ids), length + 1), dtype=np.uint64)
    if is_kept is None:
        np.cumsum((ids + 1).astype(np.uint64) * powers[:length], axis=1, out=sums[:, 1:])
        places = starts
    else:
        # (B, L + 1) of each token among those that count
        ranks = np.pad(np.cumsum(is_kept, 1, dtype=np.int64), ((0, 0), (1, 0)))
        np.cumsum(np.where(is_kept, (ids + 1).astype(np.uint64) * powers[ranks[:, :-1]], 0), axis=1, out=sums[:, 1:])
        places = np.take_along_axis(ranks, starts, 1)
    before, after = (np.take_along_axis(sums, of_spans, 1) for of_spans in (starts, stops))
    hashes: Hashes = (after - before) * inverses[places]
    return hashes


def _shuffled(hashes: Hashes) -> Hashes:
    """Hashes whose upper half depends on all bits."""
    mixed: Hashes = (hashes ^ (hashes >> np.uint64(31))) * _MIX
    return mixed ^ (mixed >> np.uint64(29))


def _prefix_codes(leading: Ints) -> list[Ints]:
    """Numbers (R, W) from 0 of the first 1, 2, ... tokens of each field. leading: (LEADING, R, W)."""
    codes: list[Ints] = []
    before = np.zeros(leading.shape[1:], dtype=np.int64)
    for tokens in leading:
        columns = [np.unique(column, return_inverse=True)[1] for column in (before * 2**33 + tokens).T]
        before = np.stack(columns, 1)
        codes.append(before)
    return codes


def _held_out_bits(children: Ints, parents: Sequence[Ints]) -> Doubles:
    """(H,) bits of each value that is held out, given the parent that tells most about all of them.

    Frequencies after a parent are smoothed with those of all values, by the number of different values (Witten and Bell, 1991).
    children: (R,) numbers of values. parents: (R,) each.
    """
    is_out = np.arange(len(children)) % HELD_OUT == HELD_OUT - 1
    num_values = int(children.max()) + 1
    counts = np.bincount(children[~is_out], minlength=num_values) + 0.5
    chances = (counts / counts.sum())[children[is_out]]
    least: Doubles = -np.log2(chances)
    for parent in parents:
        pairs, pair_of = np.unique(parent * num_values + children, return_inverse=True)
        num_pairs = np.bincount(pair_of[~is_out], minlength=len(pairs))
        num_parents, num_types = (
            np.bincount(pairs // num_values, weights=weights, minlength=int(parent.max()) + 1)[parent[is_out]]
            for weights in (num_pairs, num_pairs > 0)
        )
        total = np.maximum(num_parents + num_types, 1.0)
        after_parent = (num_pairs[pair_of[is_out]] + num_types * chances) / total
        bits = -np.log2(np.where(num_parents > 0, after_parent, chances))
        least = bits if bits.sum() < least.sum() else least
    return least
