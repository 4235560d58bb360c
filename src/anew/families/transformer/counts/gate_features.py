"""Gate features of a target: how sure each model is, and how well it did on the tokens before.

Legend for shapes: n targets, V vocabulary, F features, S models (network, counts and perhaps aligned records).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from anew.core.arrays import Bools, Doubles, Floats, Ints
from anew.estimators.kneser_ney import KneserNey
from anew.families.transformer.counts.added_counts import CountContexts

MAX_LOG_ODDS = 30.0  # most nats of evidence for a relative: with more, the probability is 1 in float32
LOG_ODDS_SCALE = 0.1  # scales them to about the size of the other features


@dataclass(frozen=True, slots=True)
class GateInputs:
    """Gate inputs of n targets.

    Attributes:
        contexts: Contexts in the counts.
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


def num_features(order: int, has_aligned: bool) -> int:
    """F, for contexts of up to `order` tokens: one for each length of the context (from 0), 2 of the longest one, 2 of each model, 5 of
    how network and counts did before, and 1; with aligned records 2 of these, 1 of the evidence, and 4 of how they did."""
    return order + (20 if has_aligned else 13)


def gate_features(
    counts: KneserNey, contexts: Ints, models: Sequence[Distribution], recent: Doubles, log_odds: Floats | None
) -> Doubles:
    """(n, F) features of n targets.

    Args:
        counts: The counts to which contexts belong.
        contexts: (order + 1, n) contexts that `KneserNey.walk` found.
        models: Network, counts and perhaps aligned records.
        recent: (n, S) how well each model did on the tokens before.
        log_odds: (n,) evidence for a relative; None without aligned records.
    """
    longest = (contexts >= 0).sum(0) - 1  # (n,)
    # Log of the number of tokens that followed it, what it leaves to shorter ones
    of_longest = np.empty((len(longest), 2))  # (n, 2)
    for k in set(longest.tolist()):
        rows = np.flatnonzero(longest == k)
        level, context = counts.levels[k], contexts[k, rows]
        of_longest[rows, 0] = np.log(np.maximum(level.starts[context + 1] - level.starts[context], 1))
        of_longest[rows, 1] = level.backoff[context]
    one_hot = np.eye(len(contexts))[longest]  # (n, order + 1)
    # Entropy and largest probability of each, (n, 2)
    sureness = [np.stack((-np.vecdot(m.probs, m.log_probs), m.probs.max(1)), 1) for m in models]
    of_both = recent[:, :2]
    columns = [one_hot, of_longest, *sureness[:2], of_both, of_both**2, of_both[:, :1] * of_both[:, 1:]]
    if log_odds is not None:
        evidence = np.minimum(log_odds, MAX_LOG_ODDS)[:, None] * LOG_ODDS_SCALE
        columns += [sureness[2], evidence, recent[:, 2:], recent[:, 2:] * recent]
    return np.concatenate([*columns, np.ones((len(longest), 1))], 1)
