"""Gate features of a target: how sure each model is, and how well it did on the tokens before.

Legend for shapes: n targets, V vocabulary, F features, S models (network, counts and perhaps aligned records).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, fields
from functools import cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from anew.estimators.kneser_ney import KneserNey

MAX_LOG_ODDS = 30.0  # most nats of evidence for a relative: with more, the probability is 1 in float32
LOG_ODDS_SCALE = 0.1  # scales them to about the size of the other features
Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]
Bools = NDArray[np.bool_]
Ints = NDArray[np.int64]


class CountContexts(NamedTuple):
    """Contexts of n targets in each of the counts.

    Attributes:
        of_all: (order + 1, n) in the counts of all records.
        by_class: (order + 1, n) in the counts by class; None where no class is known.
        by_field: (order + 1, n) in the counts by field; None where records are not rows.
    """

    of_all: Ints
    by_class: Ints | None = None
    by_field: Ints | None = None

    def rows(self, chosen: Bools | Ints) -> CountContexts:
        """Those of the targets that a mask or indices choose."""
        by_class = None if self.by_class is None else self.by_class[:, chosen]
        by_field = None if self.by_field is None else self.by_field[:, chosen]
        return CountContexts(self.of_all[:, chosen], by_class, by_field)

    @classmethod
    def concatenate(cls, parts: Sequence[CountContexts]) -> CountContexts:
        """Contexts of all parts, one after another."""
        of_all = np.concatenate([part.of_all for part in parts], 1)
        by_class = [part.by_class for part in parts if part.by_class is not None]
        by_field = [part.by_field for part in parts if part.by_field is not None]
        return cls(of_all, _joined(by_class, len(parts)), _joined(by_field, len(parts)))


@dataclass(frozen=True, slots=True)
class GateInputs:
    """Gate inputs of n targets.

    Attributes:
        contexts: Those of the counts.
        network: (n, V) log-probabilities of the network.
        recent: (n, S) how well each model did on the tokens before.
        places: (n,) the number of each target in its record, from 1.
        aligned: (n, V) log-probabilities of aligned records; None without them, as are the next two.
        log_odds: (n,) nats of evidence for a relative.
        is_near: (n,) whether a relative is nearly a copy.
    """

    contexts: CountContexts
    network: Floats
    recent: Doubles
    places: Ints
    aligned: Floats | None = None
    log_odds: Floats | None = None
    is_near: Bools | None = None

    def rows(self, chosen: Bools | Ints) -> GateInputs:
        """Inputs of the targets that a mask or indices choose."""
        arrays = {name: array[chosen] for name, array in self._arrays().items()}
        return GateInputs(contexts=self.contexts.rows(chosen), **arrays)

    @classmethod
    def concatenate(cls, parts: Sequence[GateInputs]) -> GateInputs:
        """Inputs of all parts, one after another."""
        rows = [part._arrays() for part in parts]
        arrays = {name: np.concatenate([arrays[name] for arrays in rows]) for name in rows[0]}
        return cls(contexts=CountContexts.concatenate([part.contexts for part in parts]), **arrays)

    def _arrays(self) -> dict[str, NDArray[Any]]:
        """All but the contexts, by name."""
        values = {field.name: getattr(self, field.name) for field in fields(self) if field.name != "contexts"}
        return {name: value for name, value in values.items() if value is not None}


class Distribution(NamedTuple):
    """Probabilities of the next token and their logarithms, each (n, V)."""

    probs: Floats
    log_probs: Floats


@dataclass(frozen=True, slots=True)
class FeatureLayout:
    """Layout of the features in a row of `size`.

    Attributes:
        order: Longest context that is counted.
        longest: One-hot, (order + 1): length of the longest context that was seen.
        log_types: Log of the number of different tokens that followed it.
        backoff: Probability that it leaves to shorter contexts.
        network: Entropy of the network's distribution, and its largest probability.
        counts: Entropy and largest probability of the counts' distribution.
        recent: How well network and counts did on the tokens before.
        recent_squares: Squares of these.
        recent_product: Their product.
        aligned: Entropy and largest probability of the aligned records.
        log_odds: Evidence that a relative is followed.
        aligned_recent: How well the aligned records did on the tokens before.
        aligned_products: Its products with all three models' own.
        bias: 1.
    """

    order: int
    longest: slice
    log_types: slice
    backoff: slice
    network: slice
    counts: slice
    recent: slice
    recent_squares: slice
    recent_product: slice
    aligned: slice
    log_odds: slice
    aligned_recent: slice
    aligned_products: slice
    bias: slice

    @classmethod
    @cache
    def make(cls, order: int, has_aligned: bool) -> FeatureLayout:
        """has_aligned: whether there are aligned records; their slices are empty otherwise."""
        aligned = int(has_aligned)
        widths = {
            "longest": order + 1,
            "log_types": 1,
            "backoff": 1,
            "network": 2,
            "counts": 2,
            "recent": 2,
            "recent_squares": 2,
            "recent_product": 1,
            "aligned": 2 * aligned,
            "log_odds": aligned,
            "aligned_recent": aligned,
            "aligned_products": 3 * aligned,
            "bias": 1,
        }
        slices, start = {}, 0
        for name, width in widths.items():
            slices[name] = slice(start, start + width)
            start += width
        return cls(order, **slices)

    @property
    def size(self) -> int:
        """F."""
        return int(self.bias.stop)


def _joined(contexts: Sequence[Ints], num_parts: int) -> Ints | None:
    """Contexts of so many parts one after another; None where a part has none."""
    return np.concatenate(contexts, 1) if len(contexts) == num_parts else None


def gate_features(
    layout: FeatureLayout,
    counts: KneserNey,
    contexts: Ints,
    models: Sequence[Distribution],
    recent: Doubles,
    log_odds: Floats | None,
) -> Doubles:
    """(n, F) features of n targets.

    Args:
        counts: The counts to which contexts belong.
        contexts: (order + 1, n) contexts that `KneserNey.walk` found.
        models: Network, counts and perhaps aligned records.
        recent: (n, S) how well each model did on the tokens before.
        log_odds: (n,) evidence for a relative; None without aligned records.
    """
    n = contexts.shape[1]
    if n == 1:
        one_log_odds = None if log_odds is None else float(log_odds[0])
        return one_row_of_features(layout, counts, contexts[:, 0].tolist(), models, recent[0].tolist(), one_log_odds)
    longest = (contexts >= 0).sum(0) - 1  # (n,)
    features = np.zeros((n, layout.size))
    features[np.arange(n), longest] = 1.0
    for k in set(longest.tolist()):
        rows = np.flatnonzero(longest == k)
        level, context = counts.levels[k], contexts[k, rows]
        num_types = level.starts[context + 1] - level.starts[context]
        features[rows, layout.log_types] = np.log(np.maximum(num_types, 1))[:, None]
        features[rows, layout.backoff] = level.backoff[context][:, None]
    for where, model in zip((layout.network, layout.counts, layout.aligned), models, strict=False):
        entropy = -np.vecdot(model.probs, model.log_probs)
        features[:, where] = np.stack((entropy, model.probs.max(1)), 1)
    features[:, layout.recent] = recent[:, :2]
    features[:, layout.recent_squares] = recent[:, :2] ** 2
    features[:, layout.recent_product] = recent[:, :1] * recent[:, 1:2]
    if log_odds is not None:
        features[:, layout.log_odds] = np.minimum(log_odds, MAX_LOG_ODDS)[:, None] * LOG_ODDS_SCALE
        features[:, layout.aligned_recent] = recent[:, 2:]
        features[:, layout.aligned_products] = recent[:, 2:] * recent
    features[:, layout.bias] = 1.0
    return features


def one_row_of_features(
    layout: FeatureLayout,
    counts: KneserNey,
    contexts: Sequence[int],
    models: Sequence[Distribution],
    recent: Sequence[float],
    log_odds: float | None,
) -> Doubles:
    """(1, F) as `gate_features` gives them, in the order of the layout's fields.

    Computed with plain numbers, of which one array is made at the end: calls take most of the time of a single sampling step.
    """
    longest = sum(context >= 0 for context in contexts) - 1
    level, context = counts.levels[longest], contexts[longest]
    num_types = int(level.starts[context + 1]) - int(level.starts[context])
    confidence = [(-model.probs[0].dot(model.log_probs[0]), model.probs[0].max()) for model in models]
    network, counted = recent[:2]
    row = [0.0] * (layout.order + 1)
    row[longest] = 1.0
    row += (math.log(max(num_types, 1)), level.backoff[context])
    row += (*confidence[0], *confidence[1])
    row += (network, counted, network * network, counted * counted, network * counted)
    if log_odds is not None:
        aligned = recent[2]
        row += confidence[2]
        row += (min(log_odds, MAX_LOG_ODDS) * LOG_ODDS_SCALE, aligned)
        row += (aligned * network, aligned * counted, aligned * aligned)
    row.append(1.0)
    return np.array([row], dtype=np.float64)
