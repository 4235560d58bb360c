"""Rows of tokens as batches, and samples as lists of ids.

Legend for shapes: B examples, L targets of an example, n samples.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from anew.core.arrays import Integers, Numbers, Values
from anew.core.specs import Batch


def token_batch(rows: Numbers, labels: Integers | None, lengths: Integers | None, width_of: Numbers) -> Batch:
    """Rows (B, L+1) of ids as a batch. For the others see `Modality.batch`; width_of: the characters that each id stands for."""
    import torch

    if lengths is not None:  # cut off columns that are padding in all rows
        rows = rows[:, : max(int(np.max(lengths)), 2)]
    x = rows.astype(np.int64)  # (B, L+1)
    widths = width_of[x[:, 1:]]  # (B, L)
    mask = None
    if lengths is not None:
        is_real = np.arange(x.shape[1] - 1) < np.asarray(lengths)[:, None] - 1  # (B, L)
        widths = widths * is_real
        mask = torch.from_numpy(is_real)
    label = None if labels is None else torch.from_numpy(np.asarray(labels, dtype=np.int64))
    return Batch(torch.from_numpy(x), label, mask, torch.from_numpy(widths.sum(1)))


def content_ids(row: Sequence[int], special: Mapping[str, int]) -> Sequence[int]:
    """The ids of a sample between the tokens around it."""
    begin, end = special.get("begin", -1), special.get("end", -1)
    start = 0
    while start < len(row) and row[start] in (begin, end) and not (row[start] == end and begin >= 0):
        start += 1
    return row[start : row.index(end, start) if end >= 0 and end in row[start:] else None]


def ordinary_ids(ids: Sequence[int], size: int) -> Sequence[int]:
    """Ids without those of special tokens, which come after the `size` ones of the tokenizer."""
    return ids if ids and 0 <= min(ids) <= max(ids) < size else [i for i in ids if 0 <= i < size]


def rows_and_prompts(x: Values, prompt_ids: Values | None) -> list[tuple[list[int], list[int]]]:
    """The ids of each sample and of its prompt. prompt_ids: (L,) of all samples, or (n, L); None: no prompt."""
    prompts = [[]] if prompt_ids is None else as_lists(prompt_ids) or [[]]
    return [(row, prompts[index % len(prompts)]) for index, row in enumerate(as_lists(x))]


def as_lists(x: Values | Sequence[Sequence[int]]) -> list[list[int]]:
    """The ids (n, L) of samples, or of one (L,), as plain numbers."""
    rows: Any = x if isinstance(x, Sequence) else x.tolist()
    rows = [rows] if rows and not isinstance(rows[0], list | tuple) else rows
    return [list(map(int, row)) for row in rows] if isinstance(x, Sequence) else rows
