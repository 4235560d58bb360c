"""Real items of a data set, with faults from invisible to gross, and the reference that says which of them show."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import StratifiedGroupKFold, cross_val_predict
from sklearn.pipeline import make_pipeline

from anew.core.specs import Grid, Spec, Tokens
from anew.evaluation.base import Evaluation
from anew.evaluation.inputs import EvaluationInputs

Source = np.random.Generator
Fault = Callable[[list[Any], Source], list[Any]]
TRAINING = 1_200  # items of the training part besides those that are compared
REFERENCE = 400  # items of each set of the reference test, where there are as many


@dataclass(frozen=True)
class Cases:
    """A data set.

    Attributes:
        name: Of the table.
        evaluation: How a report judges such items.
        items: Real ones.
        faults: By name; "real" changes nothing.
        features: Of the reference: what turns items into rows, then what scales them.
        scale: The transformer that rows go through before the regression.
        strength: Of the regression (C).
        pieces: Judged pieces of an item: passages of long texts are cut.
        modality: What the evaluation asks of its modality.
        most_samples: Judged samples that there are of each fault but "real"; None: as many as items.
    """

    name: str
    evaluation: type[Evaluation[Any]]
    items: list[Any]
    faults: dict[str, Fault]
    features: Callable[[Sequence[Any]], Any]
    scale: Any
    strength: float
    pieces: int = 1
    modality: Any = field(default_factory=SimpleNamespace)
    most_samples: int | None = None

    @property
    def most(self) -> int:
        """Judged items of each of three sets that there are: a smaller training part would bound what is compared."""
        return len(self.items) * self.pieces // 3

    def available(self, name: str) -> int:
        """Judged items of each set with which a case can be judged."""
        return self.most if name == "real" or self.most_samples is None else min(self.most, self.most_samples)

    def draw(self, n: int, seed: int) -> tuple[list[Any], list[Any], list[Any]]:
        """Disjoint (held-out, training, further) items, n judged ones of each; the further ones become samples."""
        n //= self.pieces
        order = np.random.default_rng(seed).permutation(len(self.items))
        parts = order[:n], order[2 * n : 3 * n + TRAINING], order[n : 2 * n]
        held_out, train, further = ([self.items[i] for i in part] for part in parts)
        return held_out, train, further

    def faulty(self, name: str, items: list[Any], seed: int) -> list[Any]:
        return self.faults[name](items, np.random.default_rng(seed))

    def inputs(self, train: list[Any], held_out: list[Any], samples: list[Any], seed: int) -> EvaluationInputs[Any]:
        text = isinstance(self.items[0], str)
        spec: Spec = Tokens(vocab=256, length=64, packed=self.pieces > 1) if text else Grid((1, 8, 8), "CHW")
        return EvaluationInputs(
            modality=self.modality,
            spec=spec,
            train=lambda n: train[:n],
            test=lambda n: held_out[:n],
            train_text=(lambda most: train) if text else None,
            test_text=(lambda most: held_out) if text else None,
            samples=samples,
            bits=None,
            seconds=None,
            seed=seed,
        )

    def _pieces(self, items: list[Any]) -> list[Any]:
        """The judged pieces of items, in order, as many of each."""
        if self.pieces == 1:
            return items
        sizes = [len(item) // self.pieces for item in items]
        return [
            item[i * size : (i + 1) * size] for item, size in zip(items, sizes, strict=True) for i in range(self.pieces)
        ]

    def reference_auc(self, name: str, seed: int) -> float:
        """How often a logistic regression, read out in 5 folds, picks the faulty item out of a pair."""
        real, _, further = self.draw(min(REFERENCE, self.most), seed)
        samples = self.faulty(name, further, seed)
        rows, target = self._pieces([*samples, *real]), np.repeat([1, 0], [len(samples), len(real)])
        owner = np.arange(len(target)).repeat(self.pieces)  # pieces of one item resemble each other
        model = make_pipeline(self.scale, LogisticRegression(C=self.strength, max_iter=500))
        folds = StratifiedGroupKFold(5, shuffle=True, random_state=0)
        features, target = self.features(rows), target.repeat(self.pieces)
        rating = cross_val_predict(model, features, target, groups=owner, cv=folds, method="predict_proba")
        return float(roc_auc_score(target, rating[:, 1]))


def each(change: Callable[..., Any]) -> Fault:
    """A fault that changes every item by itself; change: from an item and a source of randomness."""
    return lambda items, source: [change(item, source) for item in items]


def repeated(times: int) -> Fault:
    """A share of the items, each so many times."""
    return lambda items, _: [items[i // times] for i in range(len(items))]


def least(share: float, size: Callable[[Any], float]) -> Fault:
    """Only the share of the items with the least of a number, each repeated to as many."""

    def change(items: list[Any], _: Source) -> list[Any]:
        order = np.argsort([size(item) for item in items], kind="stable")[: max(round(share * len(items)), 1)]
        return [items[order[i % len(order)]] for i in range(len(items))]

    return change
