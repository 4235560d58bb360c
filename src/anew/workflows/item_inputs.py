"""The inputs of every evaluation: real and generated items.

Samples are compared with items of the test part, and of validation if the test part has too few.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from functools import cache
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from anew.core.specs import UNKNOWN_CLASS, Tokens
from anew.data.dataset import Dataset
from anew.data.document_heads import begins_documents, document_heads, document_labels, num_tokens_of
from anew.data.types import DecodedItem
from anew.evaluation.inputs import EvaluationInputs

T = TypeVar("T")
LabelReader = Callable[[int], tuple[list[str], NDArray[np.int64]]]  # n -> class names and (n,) class numbers

PARTS = ("validation", "test")
MEASURED_SAMPLES = 500  # samples of which the longest says how far samples reach; chosen: many are as long as it


def held_out_items(data: Dataset, n: int, seed: int = 0) -> list[DecodedItem]:
    """n random items to compare samples with, or all."""
    items = data.items("test", n, seed)
    return items + data.items("validation", n - len(items), seed) if adds_validation(data, len(items), n) else items


def held_out_labels(data: Dataset, n: int, seed: int) -> tuple[list[str], NDArray[np.int64]]:
    """(class names, (n,) class numbers) of the items that `held_out_items` gives for the same arguments."""
    names, numbers = data.item_labels("test", n, seed)
    if not adds_validation(data, len(numbers), n):
        return names, numbers
    return names, np.concatenate((numbers, data.item_labels("validation", n - len(numbers), seed)[1]))


def held_out_size(data: Dataset) -> int:
    """How many items `held_out_items` has at most."""
    num_test = num_items(data, "test")
    return num_test + (num_items(data, "validation") if adds_validation(data, num_test, num_test + 1) else 0)


def num_items(data: Dataset, part: str) -> int:
    """The number of items in a part: fewer than its examples if long records are cut into several."""
    size = data.part_size(part)
    is_packed = isinstance(data.spec, Tokens) and data.spec.packed
    return size if is_packed else min(size, data.scan.parts.get(part, size))


def part_units(data: Dataset, part: str) -> float:
    """The units of a held-out part, see `Dataset.scoring`."""
    store, number = data.opened_part(part)
    return store.rows(number).units


def num_held_out_documents(data: Dataset) -> int:
    """How many documents `EvaluationInputs.beginnings` gives of "test" at most."""
    return sum(data.scan.parts.get(part, 0) for part in (PARTS if _are_one_draw(data) else ("test",)))


def adds_validation(data: Dataset, num_test: int, n: int) -> bool:
    """Whether validation items are added to num_test test items: if these are too few records and both parts come from one division.

    A run learns little from validation items: they only choose its weights and a gate.
    """
    is_packed = isinstance(data.spec, Tokens) and data.spec.packed
    return num_test < n and not is_packed and _are_one_draw(data)


def _are_one_draw(data: Dataset) -> bool:
    """Whether there are validation and test items, and both come from one division."""
    return len({name in data.own_held_out_parts for name in PARTS}) == 1 and all(map(data.scan.parts.get, PARTS))


def item_inputs(data: Dataset, samples: list[DecodedItem], seed: int) -> EvaluationInputs[DecodedItem]:
    """These samples and the real items of their data, without a model or a time limit.

    Args:
        samples: Generated items.
        seed: Seed of all draws.
    """
    spec = data.base.spec
    is_text = isinstance(spec, Tokens)
    return EvaluationInputs(
        modality=data.modality.base,
        spec=spec,
        train=lambda n: data.items("train", n, seed),
        test=lambda n: held_out_items(data, n, seed),
        train_text=(lambda limit: data.text("train", limit)) if is_text else None,
        test_text=(lambda limit: data.text("test", limit)) if is_text else None,
        beginnings=_beginnings(data, samples, seed) if begins_documents(spec) else None,
        samples=samples,
        bits=None,
        seconds=None,
        seed=seed,
        field_names=data.scan.field_names,
    )


def _beginnings(data: Dataset, samples: Sequence[DecodedItem], seed: int) -> Callable[[str, int], list[str]]:
    """Function from a part and n to n documents of it as far as the longest sample reaches, see `_of_documents`.

    Each is read once, since finding its end takes two milliseconds.
    """
    num_tokens = cache(lambda: num_tokens_of(data, list(map(str, samples[:MEASURED_SAMPLES]))))
    heads: dict[str, list[str]] = defaultdict(list)

    def read(part: str, n: int) -> list[str]:
        known = heads[part]
        if len(known) < n:
            known += document_heads(data, part, n, num_tokens(), seed, first=len(known))
        return known[:n]

    return lambda part, n: _of_documents(data, part, n, read)


def label_readers(data: Dataset, seed: int) -> tuple[LabelReader, LabelReader] | None:
    """Readers of the classes of training and held-out items, see `Labels`; None for passages of few long texts, which have none."""
    spec = data.base.spec
    if begins_documents(spec):
        return lambda n: _beginning_labels(data, "train", n, seed), lambda n: _beginning_labels(data, "test", n, seed)
    if isinstance(spec, Tokens) and spec.packed:
        return None
    return lambda n: data.item_labels("train", n, seed), lambda n: held_out_labels(data, n, seed)


def _beginning_labels(data: Dataset, part: str, n: int, seed: int) -> tuple[list[str], NDArray[np.int64]]:
    """(class names, (n,) class numbers) of the documents that `EvaluationInputs.beginnings` gives, UNKNOWN_CLASS without a class."""
    names = list(data.scan.labels)
    numbers = {name: number for number, name in enumerate(names)}
    labels = _of_documents(data, part, n, lambda p, k: document_labels(data, p, k, seed))
    return names, np.array([numbers.get(label or "", UNKNOWN_CLASS) for label in labels], dtype=np.int64)


def _of_documents(data: Dataset, part: str, n: int, read: Callable[[str, int], list[T]]) -> list[T]:
    """The texts of n documents of a part, as they are read; "test" has validation documents, too, if it has fewer."""
    values = read(part, n)
    if part == "test" and len(values) < n and _are_one_draw(data):
        values += read("validation", n - len(values))
    return values
