"""Remembers which whole records were in the training part, so that samples can differ from them.

Copies of a record stay in one part when the data is split, so a held-out record is never one of the training part. A model of
the symbols does not know that; redrawing samples that are training records conditions on it. It is also what people expect of a
model of names, molecules or proteins: new ones. If most records repeat, as the lines of a log do, repetition is a property of the
data: then nothing is kept, and samples may repeat records, as held-out records do where the split has not kept copies together.

The same holds of a field in which no two records agree, such as a code: see `KeyField`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from hashlib import blake2b
from typing import overload

import numpy as np
import torch

from anew.core.arrays import Bools, Ints, Numbers
from anew.estimators.key_fields import DELIMITERS, MAX_COLUMNS, KeyField, find_key_fields, hardly_repeat
from anew.families.transformer.fitted_buffers import FittedBuffers

# Samples avoid known records up to this share of records that occur more than once: in a list of names with 8%, copies were
# reported (docs/log.md, 2026-11-27).
MAX_REPEATED = 0.5


class KnownRecords(FittedBuffers):
    """Hashes of training records, and of what they have in their key fields, as buffers.

    Args:
        special: Ids of the symbols that are not part of a record's content, by name.
        spellings: (V,) the bytes of each token, by which fields are found; () where there are none.
    """

    # Key fields (F, 2): code points of their delimiters, and their columns. They are there only if records hardly repeat; "recurring"
    # are those that were left out of them, and "others" is there if training records were left out
    dtypes: Mapping[str, torch.dtype] = {
        "hashes": torch.int64,
        "fields": torch.int64,
        "keys": torch.int64,
        "recurring": torch.int64,
        "others": torch.bool,
    }

    def __init__(self, special: Mapping[str, int], spellings: Sequence[bytes] = ()) -> None:
        super().__init__()
        self.begin_id, self.end_id, self.back_id = (special.get(name) for name in ("begin", "end", "back"))
        self.spellings = spellings

    @property
    def is_fitted(self) -> bool:
        return "hashes" in self._buffers

    @property
    def left_out(self) -> tuple[str, ...]:
        redraws = "the check that draws a sample again if it is a training record, so some samples may be copies"
        return (redraws,) if self.is_fitted else ()

    def stored(self) -> Ints:
        """(K,) hashes in rising order."""
        hashes: Ints = self.get_buffer("hashes").cpu().numpy()
        return hashes

    def fit(self, sequences: Sequence[Ints]) -> None:
        """Keep the hashes of records (ids with begin and end), and of the beginnings of those that were too long, unless most
        records repeat. Others are passed over: the same records read backwards, and later parts of long ones."""
        sequences = [ids for ids in sequences if self.begin_id is None or (len(ids) and ids[0] == self.begin_id)]
        record_hashes = self.hashes_of(sequences)
        whole_hashes = [record_hash for record_hash in record_hashes if record_hash is not None]
        unique, counts = np.unique(np.array(whole_hashes, dtype=np.int64), return_counts=True)
        if len(unique) and counts[counts > 1].sum() <= MAX_REPEATED * len(whole_hashes):
            cut = [ids for ids, record_hash in zip(sequences, record_hashes, strict=True) if record_hash is None]
            beginnings = [_hash(ids[1:]) for ids in cut if self._is_beginning(ids)]
            stored = np.union1d(unique, np.array(beginnings, dtype=np.int64))
            self.set_buffers({"hashes": stored})
            if hardly_repeat(whole_hashes):
                self._fit_keys(sequences)

    def _fit_keys(self, sequences: Sequence[Ints]) -> None:
        texts = _Texts(self._text_of, [ids for ids in sequences if self._has_text(ids)])
        fields = find_key_fields(texts)
        keys: set[int | None] = set()
        if fields:  # else no text needs to be made
            keys.update(_key_of(field, text) for text in texts for field in fields)
        stored = np.array(sorted(key for key in keys if key is not None), dtype=np.int64)
        self.set_buffers({"fields": _as_rows(fields), "keys": stored})

    @property
    def never_repeat(self) -> bool:
        """Whether hardly any training record is there twice."""
        return "fields" in self._buffers

    @property
    def key_fields(self) -> tuple[KeyField, ...]:
        """The fields in which hardly any two training records agree."""
        return self._fields("fields")

    @property
    def recurring_fields(self) -> tuple[KeyField, ...]:
        """Fields in which hardly any two training records agree, and samples may have the value of a training record nevertheless."""
        return self._fields("recurring")

    def _fields(self, name: str) -> tuple[KeyField, ...]:
        if name not in self._buffers:
            return ()
        return tuple(KeyField(chr(mark), column) for mark, column in self.get_buffer(name).tolist())

    def leave_out_fields(self, fields: Sequence[KeyField]) -> None:
        """Let samples have known values in these key fields."""
        if fields:
            remaining = [field for field in self.key_fields if field not in fields]
            keys = self.get_buffer("keys").cpu().numpy()
            self.set_buffers(
                {
                    "fields": _as_rows(remaining),
                    "recurring": _as_rows([*self.recurring_fields, *fields]),
                    "keys": keys[np.isin(keys % MAX_COLUMNS, [field.column for field in remaining])],
                }
            )

    def known_shares(self, rows: Ints, prompts: Ints) -> dict[KeyField, float]:
        """The share of samples that have the value of a training record in each key field. For the arguments see `keys_of`."""
        pairs = list(zip(rows, prompts, strict=True))
        return {
            field: float(self.have_known_keys([self._keys_of([field], *pair) for pair in pairs]).mean())
            for field in self.key_fields
        }

    def keys_of(self, rows: Ints, prompts: Ints) -> list[list[int]]:
        """For each sample, hashes of its values in the key fields, except in fields that the prompt already holds in full.

        Args:
            rows: (n, L) the samples, the prompt first.
            prompts: (n, l).
        """
        fields = self.key_fields
        if not fields:
            return [[] for _ in rows]
        return [self._keys_of(fields, ids, prompt) for ids, prompt in zip(rows, prompts, strict=True)]

    def _keys_of(self, fields: Sequence[KeyField], ids: Ints, prompt: Ints) -> list[int]:
        if not self._has_text(ids):
            return []
        text, prompt_text = self._text_of(ids), self._text_of(prompt) if self._has_text(prompt) else ""
        judged = [field for field in fields if not prompt_text or field.value(prompt_text) != field.value(text)]
        return [key for field in judged if (key := _key_of(field, text)) is not None]

    def have_known_keys(self, keys: Sequence[Sequence[int]]) -> Bools:
        """(n,) whether a training record has one of the keys of each sample, as `keys_of` gives them."""
        are_known = np.zeros(len(keys), dtype=bool)
        if any(keys):
            owners = np.repeat(np.arange(len(keys)), [len(of_sample) for of_sample in keys])
            values = np.array([key for of_sample in keys for key in of_sample], dtype=np.int64)
            is_there = _are_in(self.get_buffer("keys").cpu().numpy(), values)
            are_known[owners[is_there]] = True
        return are_known

    def _has_text(self, ids: Ints) -> bool:
        """Whether a record's ids can be spelt: not where it was read backwards, or tokens have no spellings."""
        return bool(self.spellings) and not (len(ids) and ids[0] == self.back_id)

    def _text_of(self, ids: Ints) -> str:
        """The text of a record's ids, up to its end."""
        content = ids.tolist()
        first = int(len(content) > 0 and content[0] == self.begin_id)
        stop = content.index(self.end_id) if self.end_id in content else None
        return b"".join([self.spellings[token] for token in content[first:stop]]).decode("utf-8", "replace")

    def note_others(self) -> None:
        """Note that there are more training records than those that are kept."""
        if self.is_fitted:
            self.set_buffers({"others": np.array(True)})

    @property
    def are_all(self) -> bool:
        """Whether all training records are kept."""
        return self.is_fitted and "others" not in self._buffers

    def hashes_of(self, rows: Ints | Sequence[Ints]) -> list[int | None]:
        """Hash of each row's record, with or without its begin token, the same if it is read backwards; None for rows without an end.

        rows: (n, L) ids, or sequences of any lengths.
        """
        lengths = np.fromiter(map(len, rows), dtype=np.int64, count=len(rows))
        ids = np.concatenate([*rows, np.zeros(0, dtype=np.int64)])
        starts = np.cumsum(lengths) - lengths
        # Where each has its first end; one after its last token, if it has none
        ends = np.append(np.flatnonzero(ids == self.end_id), len(ids))
        ends = ends[np.searchsorted(ends, starts)]
        opening = np.append(ids, -1)[starts]
        is_backwards = (opening == self.back_id) & (lengths > 0)
        first = starts + (is_backwards | (opening == self.begin_id))
        content = ids.astype("<i4")
        return [
            None if end >= start + length else _hash(content[begin:end][:: -1 if backwards else 1])
            for start, length, begin, end, backwards in zip(
                starts.tolist(), lengths.tolist(), first.tolist(), ends.tolist(), is_backwards.tolist(), strict=True
            )
        ]

    def _is_beginning(self, ids: Ints) -> bool:
        """Whether ids are the beginning of a record that was cut."""
        return len(ids) > 1 and ids[0] == self.begin_id and self.end_id not in ids

    def among(self, rows: Ints | Sequence[Ints]) -> Ints:
        """Indices of those rows, (n, L) or of any lengths, that are training records."""
        row_hashes = self.hashes_of(rows)
        is_known = _are_in(self.stored(), np.array([value or 0 for value in row_hashes], dtype=np.int64))
        return np.flatnonzero(is_known & np.array([value is not None for value in row_hashes], dtype=bool))

    def are_known(self, rows: Sequence[Numbers], max_length: int) -> list[bool | None] | None:
        """Whether each of these records (ids) is a training record. None for a record of which that is not known: it begins as one that was
        cut, or not all records are kept. None if no records are kept.

        max_length: ids that follow the begin token in the longest record that is not cut.
        """
        if not self.is_fitted:
            return None
        known = set(self.among([row.astype(np.int64) for row in rows]).tolist())
        answers: list[bool | None] = []
        for i, row in enumerate(rows):
            if i in known:
                answers.append(True)
            else:
                may_be_known = not self.are_all or self._begins_as_known(row, max_length)
                answers.append(None if may_be_known else False)
        return answers

    def _begins_as_known(self, row: Numbers, max_length: int) -> bool:
        content = row[int(row[0] == self.begin_id) :]
        return len(content) > max_length and bool(np.isin(_hash(content[:max_length]), self.stored()))

    def check(self) -> None:
        for name in ("hashes", "keys"):
            hashes = self.get_buffer(name).cpu().numpy() if name in self._buffers else np.zeros(0, dtype=np.int64)
            if hashes.ndim != 1 or (np.diff(hashes) <= 0).any():
                raise ValueError("the hashes of known records are inconsistent")
        if self.never_repeat:
            names = [name for name in ("fields", "recurring") if name in self._buffers]
            are_valid = all(_are_key_fields(self.get_buffer(name).cpu().numpy()) for name in names)
            if "keys" not in self._buffers or not are_valid:
                raise ValueError("the key fields of known records are inconsistent")


class _Texts(Sequence[str]):
    """Texts of records, each made when it is asked for.

    Args:
        text_of: The text of a record.
        records: Their ids.
    """

    def __init__(self, text_of: Callable[[Ints], str], records: Sequence[Ints]) -> None:
        self._text_of, self._records = text_of, records

    def __len__(self) -> int:
        return len(self._records)

    @overload
    def __getitem__(self, place: int) -> str: ...

    @overload
    def __getitem__(self, place: slice) -> _Texts: ...

    def __getitem__(self, place: int | slice) -> str | _Texts:
        if isinstance(place, slice):
            return _Texts(self._text_of, self._records[place])
        return self._text_of(self._records[place])


def _are_in(stored: Ints, values: Ints) -> Bools:
    """(n,) whether each of the values (n,) is among the stored ones (K,), which rise."""
    places = np.searchsorted(stored, values).clip(max=len(stored) - 1)
    is_there: Bools = stored[places] == values if len(stored) else np.zeros(len(values), dtype=bool)
    return is_there


def _hash(content: Numbers) -> int:
    return _hash_of_bytes(content.astype("<i4").tobytes())


def _hash_of_bytes(content: bytes) -> int:
    return int.from_bytes(blake2b(content, digest_size=8).digest(), "little", signed=True)


def _key_of(field: KeyField, record: str) -> int | None:
    """Hash of what a record has in a field, whose remainder by MAX_COLUMNS is the column; None if it has no such field."""
    value = field.value(record)
    if value is None:
        return None
    value_hash = _hash_of_bytes(value.encode("utf-8", "surrogatepass"))
    return value_hash // MAX_COLUMNS * MAX_COLUMNS + field.column


def _as_rows(fields: Sequence[KeyField]) -> Ints:
    """(F, 2) code points of the delimiters of fields, and their columns."""
    return np.array([(ord(field.delimiter), field.column) for field in fields], dtype=np.int64).reshape(-1, 2)


def _are_key_fields(fields: Ints) -> bool:
    if fields.ndim != 2 or fields.shape[1] != 2:
        return False
    columns = fields[:, 1]
    has_marks = np.isin(fields[:, 0], [ord(delimiter) for delimiter in DELIMITERS]).all()
    return bool(has_marks and ((columns >= 0) & (columns < MAX_COLUMNS)).all())


def are_documents_of(text: Numbers, end: int, rows: Sequence[Numbers]) -> list[bool | None]:
    """Whether each row (ids with `end`) is a whole document of a training text; None for others, since parts of them may be in it.

    text: (N,) ids of all documents, one after the other; `end` follows each.
    """
    stops = np.flatnonzero(text == end) + 1
    starts = np.concatenate(([0], stops[:-1])).astype(np.int64)
    # Few documents are as long as one of the rows, and hashing all takes seconds for a large text
    has_length = np.isin(stops - starts, [len(row) for row in rows])
    places = zip(starts[has_length].tolist(), stops[has_length].tolist(), strict=True)
    documents = {_hash(text[first:stop]) for first, stop in places}
    return [True if _hash(row) in documents else None for row in rows]
