"""Classes of running text: whole samples have one, not their pieces, so they are compared with the beginnings of documents."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from anew.evaluation.compared_texts import Beginnings
from anew.evaluation.inputs import EvaluationInputs
from anew.evaluation.item_sets import Embedder
from anew.evaluation.metrics.classes import ClassMetrics, LabelledFeatures
from anew.evaluation.score import Score


@dataclass(frozen=True)
class LabelledTexts:
    """Beginnings of documents, n of each part, with their classes.

    Attributes:
        names: Names of the classes.
        embed: Function from texts to features.
        labels: The class numbers of the texts of "samples", "test" and "train", of which the first n are compared.
    """

    beginnings: Beginnings
    names: Sequence[str]
    labels: dict[str, NDArray[np.intp]]
    embed: Embedder[str]
    seed: int

    @classmethod
    def of(
        cls, inputs: EvaluationInputs[str], beginnings: Beginnings | None, embed: Embedder[str] | None
    ) -> Self | None:
        """Labelled texts of an evaluation, whose empty samples are left out of `beginnings`; None without classes or features."""
        labels = inputs.labels
        if labels is None or beginnings is None or embed is None:
            return None
        names, train = labels.train(len(beginnings.train))
        samples = labels.samples[[bool(text) for text in inputs.samples]]
        numbers = {"samples": samples, "test": labels.test(len(beginnings.test))[1], "train": train}
        as_indices = {part: np.asarray(of_part, dtype=np.intp) for part, of_part in numbers.items()}
        return cls(beginnings, names, as_indices, embed, inputs.seed)

    @property
    def n(self) -> int:
        return self.beginnings.n

    @property
    def further(self) -> list[str]:
        """Training texts that are not compared, for a classifier."""
        return self.beginnings.further("train")

    def scores(self, num_probe: int, noun: str, skip: Callable[[str, str], None]) -> Iterator[Score]:
        """Yield the figures of classes; none if num_probe, the number of further texts for the classifier, is 0.

        noun, skip: See `ClassMetrics`."""
        if not num_probe:
            return
        rows = {part: self.embed(self.beginnings.compared(part)) for part in self.labels}
        sets = {part: LabelledFeatures(rows[part], numbers[: self.n]) for part, numbers in self.labels.items()}
        yield from ClassMetrics(
            names=self.names,
            probe_items=LabelledFeatures(
                self.embed(self.further[:num_probe]), self.labels["train"][self.n : self.n + num_probe]
            ),
            samples=sets["samples"],
            held_out=sets["test"],
            train=sets["train"],
            naive=None,
            noun=noun,
            seed=self.seed,
            skip=skip,
        ).scores()
