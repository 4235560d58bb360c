"""Samples made elsewhere, and the training and held-out items that they are compared with."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable
from functools import cached_property

import numpy as np

from anew.core.arrays import Integers
from anew.core.specs import Tokens
from anew.core.wording import plural
from anew.data.dataset import Dataset, num_texts
from anew.data.splitting.split import NAMES
from anew.data.types import DecodedItem
from anew.errors import DataError
from anew.evaluation.inputs import MAX_POOL, MIN_ITEMS, RealPool
from anew.evaluation.memorization.thresholds import ALPHA
from anew.evaluation.parts_of_texts import beginnings_of_long_records
from anew.evaluation.score import Division
from anew.workflows.real_pools import division_of, grouped_pool, pool_limit, real_pool

# Characters of each of samples, training and held-out texts: bounds memory and the time of the copying test; chosen.
MAX_TEXT_CHARACTERS = 16_000_000

NUM_DIVISIONS = 499  # random divisions of real items that held-out ones are compared with: enough for ALPHA

# Items, and the class number of each; None where items have no classes of their own
LabelledItems = tuple[list[DecodedItem], Integers | None]


class EvaluatedItems:
    """Generated, training and held-out items. Held-out items are given by the user, or are parts of the data.

    Attributes:
        is_of_run: Whether the data is that of a run, divided as there.
        textual, packed: Whether items are texts, and long ones, of which only passages are compared.
        samples, sample_classes: The generated items and the class number of each, see `LabelledItems`.
        classes: Names of the classes of the data.
    """

    def __init__(
        self,
        real: Dataset,
        generated: Dataset,
        held_out: Dataset | None,
        n: int,
        seed: int,
        *,
        is_of_run: bool = False,
    ) -> None:
        """
        Args:
            real, generated: Data, and what is compared with it.
            held_out: Items that the generator has not seen, if they are not parts of the data.
            n: Generated items that are read, at most.
            seed: Seed of the order of items.
            is_of_run: See the class.

        Raises:
            DataError: There is no usable sample.
        """
        self.real, self.generated, self.held_out, self.seed = real, generated, held_out, seed
        self.is_of_run = is_of_run
        self.textual = isinstance(real.spec, Tokens)
        self.packed = isinstance(real.spec, Tokens) and real.spec.packed
        parts = [part for part in NAMES if real.scan.parts.get(part)]
        if is_of_run:
            self.held_out_parts, self.train_parts = list(real.held_out()[0]), parts[:1]
        else:
            # Only parts that the data came with are held out. The generator knew nothing of parts that were split off here.
            own = real.own_held_out_parts
            self.held_out_parts = [part for part in parts[1:] if part not in own] if held_out is None else []
            self.train_parts = [part for part in parts if part not in self.held_out_parts]
        self.classes = real.scan.labels if real.spec.classes else ()
        self.samples, self.sample_classes = self._labelled_items([(generated, "all")], n)
        if not self.samples:
            raise DataError(f"{generated.path!r} holds no usable samples")
        # Texts are limited by their characters
        self._max_real = MAX_POOL if self.textual else min(MAX_POOL, pool_limit(self.samples[:1], real.modality.name))
        self._left_out = Counter[bytes]()  # how often each held-out item is left out
        self._num_left_out = 0

    def cut_long_samples(self) -> list[str]:
        """Cut samples to the length of the longest record that is read of the data. Returns notes on that."""
        if self.packed or not isinstance(self.real.spec, Tokens):
            return []
        records, notes = beginnings_of_long_records(list(map(str, self.samples)), self.real.spec.length)
        self.samples = [*records]
        return notes

    @property
    def has_held_out(self) -> bool:
        """Whether there are held-out items."""
        return self.held_out is not None or bool(self.held_out_parts)

    @property
    def division(self) -> Division:
        """How the items of `train_and_test` were divided."""
        if self.is_of_run:
            return division_of(self.real)
        if self.has_held_out:
            return Division.GIVEN
        return Division.FILES if self.packed else Division.ITEMS

    def leave_out_training_items(self, held_out: Dataset) -> list[str]:
        """Drop held-out items that were taken from the training data, and return a note on those that are in it.

        Data that repeats itself repeats held-out items, too: these are kept, since samples repeat training items as often. Only if
        there are more than a random division explains, as many are dropped as exceed what the data repeats of itself.

        Raises:
            DataError: All held-out items are also training items, or are the same draws; or all samples are held-out items.
        """
        items = self._items([(held_out, "all")], self._max_real)
        train_counts, counts = (Counter(map(_key, part)) for part in (self.train(self._max_real), items))
        shared = train_counts.keys() & counts.keys()
        num_overlapping = sum(counts[key] for key in shared)
        if counts == train_counts or (num_overlapping == len(items) and not self.real.are_draws):
            raise DataError(
                f"all of {plural(len(items), 'item')} of `held_out` {held_out.path!r} are also in the data {self.real.path!r}; "
                "give items that the generator was not trained on"
            )
        if len(self.samples) >= MIN_ITEMS and not self.real.are_draws and counts.keys() >= set(map(_key, self.samples)):
            raise DataError(
                f"all of {plural(len(self.samples), 'sample')} of {self.generated.path!r} are also in `held_out` "
                f"{held_out.path!r}, with which they would be compared; give items that are not samples"
            )
        if not num_overlapping or self.real.are_draws:
            return []
        at_least = "At least " if max(train_counts.total(), len(items)) >= self._max_real else ""  # not all were read
        fact = f"{at_least}{num_overlapping:,} of {len(items):,} held-out items are also in the training data"
        if overlap_p(train_counts, counts, self.seed) > ALPHA:
            return [f"{fact}, as a random division explains; they are compared like all others."]
        num_repeats = sum(count for count in train_counts.values() if count > 1)
        num_usual = (len(items) - num_overlapping) * num_repeats / max(train_counts.total() - num_repeats, 1)
        num_kept = min(round(num_usual), num_overlapping)
        self._num_left_out = num_overlapping - num_kept
        repeating = np.flatnonzero([_key(item) in shared for item in items])
        chosen = np.random.default_rng(self.seed).permutation(repeating)[num_kept:]
        self._left_out = Counter(_key(items[i]) for i in chosen)
        if not self._num_left_out:
            return [f"{fact}, no more than it repeats of itself; they are compared like all others."]
        if not num_kept:
            return [f"{fact}; they are left out."]
        return [f"{fact}, more than it repeats of itself; {self._num_left_out:,} of them are left out."]

    def _items(self, parts: list[tuple[Dataset, str]], n: int) -> list[DecodedItem]:
        """The items of `_labelled_items`."""
        return self._labelled_items(parts, n)[0]

    def _labelled_items(self, parts: list[tuple[Dataset, str]], n: int) -> LabelledItems:
        """Up to n items of some parts in random order; for long texts, all texts in their own order."""
        items: list[DecodedItem]
        if self.textual:
            items = [text for data, part in parts for text in data.text(part, MAX_TEXT_CHARACTERS)]
            if self.packed:
                return items, None
        else:
            items = [item for data, part in parts for item in data.items(part, n, self.seed)]
        numbers = None
        if self.classes:
            num_read = MAX_POOL if self.textual else n
            numbers = np.concatenate([data.item_labels(part, num_read, self.seed)[1] for data, part in parts])
            # A long record makes several examples, each with a label
            numbers = numbers if len(numbers) == len(items) else None
        usable = np.array([i for i, item in enumerate(items) if not isinstance(item, str) or item], dtype=np.intp)
        order = usable[np.random.default_rng(self.seed).permutation(len(usable))[:n]]
        return [items[i] for i in order], None if numbers is None else numbers[order]

    def train(self, n: int) -> list[DecodedItem]:
        return self._labelled_train(n)[0]

    def _labelled_train(self, n: int) -> LabelledItems:
        return self._labelled_items([(self.real, part) for part in self.train_parts], n)

    def held_out_items(self, n: int) -> list[DecodedItem]:
        return self._labelled_held_out(n)[0]

    def _labelled_held_out(self, n: int) -> LabelledItems:
        if self.held_out is not None:
            items, numbers = self._labelled_items([(self.held_out, "all")], n + self._num_left_out)
            left_out, new = self._left_out.copy(), []
            for i, item in enumerate(items):
                if left_out[key := _key(item)]:
                    left_out[key] -= 1
                else:
                    new.append(i)
            new = new[:n]
            return [items[i] for i in new], None if numbers is None else numbers[new]
        return self._labelled_items([(self.real, part) for part in self.held_out_parts], n)

    def num_held_out(self) -> int:
        """The number of items that samples can be compared with; without held-out ones, half of the data."""
        if self.has_held_out and self.textual and not self.packed:
            num_texts = len(self.held_out_items(MAX_POOL + 1))
            if num_texts <= MAX_POOL:  # parts count examples, of which a long record makes several
                return num_texts
        if self.held_out is not None:
            return self.held_out.part_size("all") - self._num_left_out
        if self.held_out_parts:
            return sum(self.real.part_size(part) for part in self.held_out_parts)
        return sum(self.real.part_size(part) for part in self.train_parts) // 2

    def train_and_test(self) -> tuple[Callable[[int], LabelledItems], Callable[[int], LabelledItems]]:
        """Readers of (training, held-out) items for metrics: two random halves of the data if nothing is held out."""
        if self.has_held_out:
            return self._labelled_train, self._labelled_held_out
        items, numbers = self._labelled_train(self._max_real)

        def half(first: int) -> Callable[[int], LabelledItems]:
            return lambda n: (items[first::2][:n], None if numbers is None else numbers[first::2][:n])

        return half(0), half(1)

    @cached_property
    def _num_train_texts(self) -> int:
        """The number of all training texts. It is kept, since to count them is to read them."""
        texts = {part: self.real.text(part, MAX_TEXT_CHARACTERS) for part in self.train_parts}
        return sum(num_texts(self.real, part, read, MAX_TEXT_CHARACTERS) for part, read in texts.items())

    def pool(self, n: int) -> RealPool[DecodedItem]:
        """At most n real items for the memorization test; of a run, those of its own report."""
        if self.is_of_run:
            return real_pool(self.real, n, self.seed)
        n = n if self.textual else min(n, pool_limit(self.samples[:1], self.real.modality.name))
        train, held_out = self.train(n), self.held_out_items(n // 2) if self.has_held_out else []
        total = len(train) if len(train) < n else sum(self.real.part_size(part) for part in self.train_parts)
        if self.textual:  # parts count examples, of which a long record makes several
            total = self._num_train_texts
        if self.packed:
            return RealPool(train, held_out, None, total, randomly_held_out=False, fills_memory=True)
        return grouped_pool(
            self.real, train[: n - len(held_out)], held_out, total, randomly_held_out=False, seed=self.seed
        )


def overlap_p(train: Counter[bytes], held_out: Counter[bytes], seed: int) -> float:
    """The share of random divisions of these items, by their keys, in which as many held-out items are also training items."""
    # Sorted: the order of a set of bytes differs between processes, and items are drawn by their places
    keys = sorted(key for key in train.keys() | held_out.keys() if train[key] + held_out[key] > 1)
    repeated = np.array([(train[key], held_out[key]) for key in keys], dtype=np.int64).reshape(-1, 2)  # (k, 2)
    totals = repeated.sum(axis=1)  # (k,)
    owner = np.repeat(np.arange(len(totals)), totals)  # (r,)

    def overlap(counts: Integers) -> int:
        return int((totals - counts)[counts > 0].sum())

    rng, observed = np.random.default_rng(seed), overlap(repeated[:, 0])
    # The draw is from all items, of which only repetitions count
    num_repeated_train = rng.hypergeometric(train.total(), held_out.total(), len(owner), NUM_DIVISIONS)
    num_as_large = 0
    for num_train in num_repeated_train.tolist():
        labels = rng.permutation(np.arange(len(owner)) < num_train)  # (r,)
        num_as_large += overlap(np.bincount(owner[labels], minlength=len(totals))) >= observed
    return (1 + num_as_large) / (1 + NUM_DIVISIONS)


def _key(item: DecodedItem) -> bytes:
    """A key that is equal for equal items."""
    if isinstance(item, str):
        return item.encode("utf-8", "surrogatepass")
    return str(item.shape).encode() + hashlib.sha256(np.ascontiguousarray(item).tobytes()).digest()
