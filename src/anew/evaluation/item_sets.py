"""The items that an evaluation compares, and sentences on their number."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Generic, TypeAlias

from anew.core.arrays import Integers, Numbers
from anew.data.types import ItemT
from anew.evaluation.features.kmers import TAIL, Kmers
from anew.evaluation.features.random_conv import DETAIL, NAME, GridEmbedder
from anew.evaluation.inputs import MIN_ITEMS
from anew.evaluation.items_in_time import compared_sentence, reason_for_fewer
from anew.evaluation.metrics.duplicate_groups import KeysOf, duplicate_groups
from anew.evaluation.metrics.feature_sets import MAX_PAIR_ITEMS, FeatureSets
from anew.evaluation.metrics.two_sample import MAX_ROWS as CLASSIFIED
from anew.evaluation.notes import NUM_COMPARED, Note
from anew.evaluation.reporting.supply import Supply

DETAIL_DESCRIPTION = f"{DETAIL:,} read-outs of cells, or those of whole items, of the {NAME}"

Embedder: TypeAlias = Callable[[Sequence[ItemT]], Numbers]


class ItemSets(Mapping[str, list[ItemT]], Generic[ItemT]):
    """Items that are compared, equally many of each: "samples", "test", "train" and, if there is a naive generator, "naive".

    Empty until `take`: first it is asked how many there may be.

    Args:
        candidates: Items of "samples", "test" and "train", of which the first are taken.
        requested: How many real items were asked for, by the same names.
        supply: What limits the number of items.
        noun: Name of the items, plural.
        counted: What a compared item of samples is, singular: a sample, or a piece of one.

    Attributes:
        supply: The argument, with the number of items that have not been compared yet.
        compared_note: A sentence on how many samples are compared, if not all are.
        too_few: Why nothing can be compared, if there are too few items; else "".
        groups: Group numbers of the first samples, held-out and training items; near-duplicates share one. Empty if that is not
            known.
    """

    def __init__(
        self,
        candidates: Mapping[str, list[ItemT]],
        requested: Mapping[str, int],
        supply: Supply,
        noun: str = "items",
        counted: str = "sample",
    ) -> None:
        self.supply, self.noun, self.counted = supply, noun, counted
        self.compared_note, self.too_few = "", ""
        self.groups: list[Integers] = []
        self._candidates, self._requested = candidates, requested
        self._taken: dict[str, list[ItemT]] = {}

    def __getitem__(self, part: str) -> list[ItemT]:
        return self._taken[part]

    def __iter__(self) -> Iterator[str]:
        return iter(self._taken)

    def __len__(self) -> int:
        return len(self._taken)

    @property
    def available(self) -> int:
        """The number of items of each set that can be compared."""
        return min(map(len, self._candidates.values()), default=0)

    @property
    def further_train(self) -> list[ItemT]:
        """Training items that are in no set."""
        return self._candidates["train"][len(self["train"]) :]

    def candidates(self, part: str) -> list[ItemT]:
        """Items of "samples", "test" or "train", of which the first are taken."""
        return self._candidates[part]

    def counts(self, part: str) -> tuple[int, int]:
        """(requested, received) numbers of items of "test" or "train"."""
        return self._requested[part], len(self._candidates[part])

    def refuse(self) -> str:
        """A clause that says of which items there are too few."""
        counts = {f"{self.counted}s": len(self._candidates["samples"])} | self._real_counts()
        name = min(counts, key=lambda name: counts[name])
        counted = f"1 {_singular(name)} is" if counts[name] == 1 else f"{counts[name]:,} {name} are"
        self.too_few = f"{counted} too few; at least {MIN_ITEMS} are needed"
        return self.too_few

    def take(self, n: int, naive: Callable[[Sequence[ItemT], int], list[ItemT]]) -> None:
        """Take the first n items of each set. naive: returns n samples of a naive generator of training items, or none."""
        num_samples, counts = len(self._candidates["samples"]), self._real_counts()
        if n < num_samples:
            reason = reason_for_fewer(n, self.available, num_samples, min(counts, key=lambda name: counts[name]))
            self.compared_note = compared_sentence(n, num_samples, self.counted, reason)
        self.supply = replace(self.supply, left_out=self.available)
        self._taken = {part: items[:n] for part, items in self._candidates.items()}
        if naive_samples := naive(self["train"], n):
            self._taken["naive"] = naive_samples

    def _real_counts(self) -> dict[str, int]:
        """Numbers of held-out and training items, by what they are called."""
        pieces = "" if self.counted == "sample" else "pieces of "
        names = {f"{pieces}held-out {self.noun}": "test", f"{pieces}training {self.noun}": "train"}
        return {name: len(self._candidates[part]) for name, part in names.items()}

    def group(self, keys_of: KeysOf[ItemT]) -> None:
        """Find groups of near-duplicates among those items of which pairs are compared.

        keys_of: Returns a number for each of some items, which near-duplicates share.
        """
        parts = [self[part][:MAX_PAIR_ITEMS] for part in ("samples", "test", "train")]
        self.groups = list(duplicate_groups(parts, keys_of))

    def note_compared(self) -> list[Note]:
        """Count the items taken as compared; not before they are, since time may be up until then. Returns notes on that."""
        self.supply = replace(self.supply, left_out=self.supply.compared - len(self["samples"]))
        notes = [Note(self.compared_note, NUM_COMPARED)] if self.compared_note else []
        if len(self["samples"]) > CLASSIFIED:
            number = f"{CLASSIFIED:,} {self.counted}s of each set"
            notes.append(Note(f"The classifier took {number}, since its time grows with the cube of their number."))
        return notes

    def embedded(self, embedder: Embedder[ItemT], description: str) -> FeatureSets:
        """The sets as features of an embedder. description: that of the features, one clause."""
        if not isinstance(embedder, GridEmbedder):
            rows = {name: embedder(items) for name, items in self.items()}
            return replace(self.with_features(rows, description), tail=TAIL if isinstance(embedder, Kmers) else 0.0)
        feature_pairs = {name: embedder.detailed(items) for name, items in self.items()}
        rows, detailed = ({name: pair[i] for name, pair in feature_pairs.items()} for i in (0, 1))
        detail = self.with_features({name: part[:CLASSIFIED] for name, part in detailed.items()}, DETAIL_DESCRIPTION)
        return replace(self.with_features(rows, description), detail=replace(detail, views=embedder.views))

    def with_features(self, rows: Mapping[str, Numbers], description: str) -> FeatureSets:
        """The sets as features.

        Args:
            rows: Features (n, d), by the name of the set.
            description: Description of the features, one clause.
        """
        n = len(rows["test"])
        sample_groups, held_out_groups, train_groups = [part[:n] for part in self.groups] or (None, None, None)
        return FeatureSets(
            samples=rows["samples"],
            held_out=rows["test"],
            train=rows["train"],
            naive=rows.get("naive"),
            description=description,
            noun=self.noun,
            counted=self.counted,
            sample_groups=sample_groups,
            held_out_groups=held_out_groups,
            train_groups=train_groups,
        )


def _singular(name: str) -> str:
    """One of the items with this name: "piece of held-out texts", "sample"."""
    return name.replace("pieces", "piece", 1) if name.startswith("pieces ") else name.removesuffix("s")
