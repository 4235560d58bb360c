"""Samples that begin documents, and the beginnings of as many real documents: beginnings may be unlike the rest, as a licence is."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from anew.core.wording import are, plural
from anew.evaluation.inputs import MIN_ITEMS

MAX_BEGINNINGS = 1_000  # documents of a part that are read: more take seconds, and say little more
ReadBeginnings = Callable[[str, int], list[str]]  # see `EvaluationInputs.beginnings`


class Beginnings(NamedTuple):
    """Beginnings of documents. The first n of each are compared.

    Attributes:
        samples, test, train: Texts; there may be more than n.
    """

    n: int
    samples: list[str]
    test: list[str]
    train: list[str]

    def compared(self, part: str) -> list[str]:
        return self.of(part)[: self.n]

    def further(self, part: str) -> list[str]:
        return self.of(part)[self.n :]

    def of(self, part: str) -> list[str]:
        """All texts of "samples", "test" or "train"."""
        return {"samples": self.samples, "test": self.test, "train": self.train}[part]

    def equal_sets(self, seed: int) -> tuple[list[str], list[str], list[str]]:
        """Those that are compared, in random order, the three with one number cut to one length: the longest ones are cut alike."""
        ranked = [sorted(self.compared(part), key=len) for part in ("samples", "test", "train")]
        lengths = [min(map(len, texts)) for texts in zip(*ranked, strict=True)]
        order = np.random.default_rng(seed).permutation(self.n)
        samples, test, train = ([texts[i][: lengths[i]] for i in order] for texts in ranked)
        return samples, test, train


def equal_beginnings(samples: Sequence[str], read: ReadBeginnings) -> tuple[Beginnings | None, str]:
    """As many beginnings of real documents as there are samples; None if there are too few. Also a note, or ""."""
    test, train = (read(part, MAX_BEGINNINGS) for part in ("test", "train"))
    if min(len(test), len(train)) < min(len(samples), MIN_ITEMS):
        return None, (
            f"Samples begin documents, of which only {len(test):,} {are(len(test))} held out: they were compared with passages from "
            "anywhere in the data. Where documents begin alike, even real beginnings differ from these."
        )
    n = min(len(samples), len(test), len(train))
    extent = "they" if n == len(samples) else f"{n:,} of {len(samples):,}"
    return Beginnings(n, list(samples), test, train), (
        f"Samples begin documents, so {extent} were compared with the beginnings of {plural(len(test), 'held-out document')}, cut to "
        "the length of samples."
    )
