"""Samples repeat passages of themselves as seldom as the training data does.

A model that repeats itself takes its own words as evidence: counts in the sample, the longest match and the gate all trust whatever
did well on the last tokens. Therefore it never leaves a loop that text leaves after a few rounds. Whether what continues a passage of
the sample is drawn too often is measured in samples, kind by kind (see `own_passages`); its odds are lowered until it is not. Repetitions
that the data has, such as runs of dashes or rhymes, stay.

Legend for shapes: n samples, k of them, t tokens so far, V vocabulary, K kinds of places, N tokens of a text.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Self

import numpy as np
import torch

from anew.core.arrays import Bools, Doubles, Floats, Ints, piece_bounds
from anew.estimators.own_passages import (
    NUM_KINDS,
    NUM_LENGTHS,
    OwnPassage,
    largest_surplus,
    own_passages,
    tally_passages,
)
from anew.families.transformer.drawing.surplus_limit import SurplusLimit
from anew.families.transformer.fitted_buffers import FittedBuffers

if TYPE_CHECKING:
    from anew.estimators.context_mixing.drawing import LoweredTokens

# Passages are counted in so many tokens of the training data, in 0.2 s; chosen.
COUNTED_TOKENS = 262_144
# Tokens of the pieces in which documents are counted: long ones have more to repeat than a sample of the usual length
PIECE_TOKENS = 512
# Standard deviations, besides one place, by which samples must continue passages more or less often since a ratio was last changed, to
# change it: one place alone tells nothing
MIN_DEVIATIONS = 2.0
# Largest factor by which the ratio of a kind changes at once: one sample in a loop says little of others; chosen
MAX_CHANGE = 3.0
# Least ratio: with lower ones, samples would leave passages where the model knows of nothing else; chosen
MIN_ODDS_RATIO = 1e-3
MAX_EXCESS = 30.0  # tokens, by which odds fall to 1e-13: enough for any loop that fp32 lets a model leave
# Share of the pieces that repeat themselves less than a sample may before it is made to leave its passages
USUAL_SHARE = 0.99


class OwnPassageLimit(FittedBuffers):
    """How often training data continues passages of its own, and by what the odds of that are multiplied in samples, as buffers."""

    # "odds" (K,) are the ratios
    dtypes: Mapping[str, torch.dtype] = {
        "tallies": torch.int64,
        "odds": torch.float32,
        "usual_surplus": torch.float32,
    }

    def count(self, texts: Iterable[Ints], end_id: int | None) -> None:
        """Count in texts (N,) that follow each other, with `end_id` at the end of each document or record."""
        text = np.concatenate([*texts, np.zeros(0, dtype=np.int64)])
        pieces = _pieces(text, end_id, max(1, math.ceil(len(text) / COUNTED_TOKENS)))
        places = [own_passages(piece) for piece in pieces]
        tallies = tally_passages(np.concatenate([*places, np.zeros((0, 2), dtype=np.int64)]))
        rates = _rates(tallies)
        surplus = np.quantile([0.0, *(largest_surplus(of_piece, rates) for of_piece in places)], USUAL_SHARE)
        ratios = np.ones(NUM_KINDS, dtype=np.float32)
        self.set_buffers({"tallies": tallies, "odds": ratios, "usual_surplus": np.array(surplus, dtype=np.float32)})

    def check(self) -> None:
        if not self.is_counted:
            return
        tallies, odds = self.get_buffer("tallies"), self._buffers.get("odds")
        if tallies.shape != (NUM_KINDS, 2) or bool((tallies < 0).any()):
            raise ValueError("the counts of passages that repeat are inconsistent")
        if odds is None or odds.shape != (NUM_KINDS,) or not bool(((odds > 0) & (odds <= 1)).all()):
            raise ValueError("the odds of passages that repeat are inconsistent")
        surplus = self._buffers.get("usual_surplus")
        if surplus is None or surplus.shape != () or not bool(surplus >= 0):
            raise ValueError("the usual surplus of passages that repeat is inconsistent")

    @property
    def is_counted(self) -> bool:
        """Whether anything was counted."""
        return "tallies" in self._buffers

    @property
    def left_out(self) -> tuple[str, ...]:
        return ("the check that makes samples repeat themselves less often",) if self.is_counted else ()

    @property
    def rates(self) -> Doubles:
        """(K,) how often the data continues passages of its own; 0.5 for kinds that it does not have."""
        return _rates(self.get_buffer("tallies").cpu().numpy())

    @property
    def odds_ratios(self) -> Floats:
        """(K,) factors of the odds that samples continue their passages."""
        ratios: Floats = self.get_buffer("odds").cpu().numpy()
        return ratios

    def set_odds_ratios(self, ratios: Floats) -> None:
        """Multiply the odds by these (K,) from now on."""
        self.set_buffers({"odds": ratios})

    def start(self, n: int) -> OwnSurplusLimit | None:
        """The limit of n samples of which nothing has been read; None if nothing was counted."""
        if not self.is_counted:
            return None
        return OwnSurplusLimit(self.rates, self.odds_ratios, float(self.get_buffer("usual_surplus")), n)


class OwnSurplusLimit(SurplusLimit):
    """The limit of n samples on passages of themselves, whose classes are the kinds of `own_passages`.

    Args:
        rates, odds_ratios, usual_surplus: See `SurplusLimit`. The surplus is that of the last PIECE_TOKENS: over a text of any length it
            grows without end.

    Attributes:
        fit: Counts how often the samples continue passages; None: not counted.
    """

    def __init__(self, rates: Doubles, odds_ratios: Floats, usual_surplus: float, n: int) -> None:
        super().__init__(n, rates, odds_ratios, usual_surplus, MAX_EXCESS)
        # (n,) tokens by which each continued passages more often than the data so far, and the same before each of the last tokens
        self._sums: Doubles = np.zeros(n)
        self._sums_before: Doubles = np.zeros((n, PIECE_TOKENS))
        self._num_observed = 0
        self.fit: OddsFit | None = None
        self._passages: list[OwnPassage] = []

    def select(self, rows: Ints) -> Self:
        selected = super().select(rows)
        selected._sums, selected._sums_before = self._sums[rows], self._sums_before[rows]
        selected._passages = [self._passages[row] for row in rows.tolist()]
        return selected

    def read(self, ids: Ints) -> None:
        if self._passages:
            for passage, token in zip(self._passages, ids[:, -1].tolist(), strict=True):
                passage.read(token)
        elif (ids == ids[0]).all():  # a prompt that all share is read once
            self._passages = [_read(ids[0])]
            self._passages += [self._passages[0].copy() for _ in ids[1:]]
        else:
            self._passages = [_read(row) for row in ids]
        self.next_tokens = np.array([passage.next_token for passage in self._passages], dtype=np.int64)
        self.classes = np.array([passage.kind for passage in self._passages], dtype=np.int64)

    def continuations(self, row: int) -> Ints:
        return self.next_tokens[row : row + 1]

    def observe(self, tokens: Ints, is_counted: Bools) -> None:
        """Count the tokens (n,) that were drawn after the last `read`. is_counted: (n,) samples that have not ended."""
        continued = tokens == self.next_tokens
        self._sums_before[:, self._num_observed % PIECE_TOKENS] = self._sums
        self._num_observed += 1
        self._sums = self._sums + self.excess_of(np.arange(len(tokens)), continued)
        self.surplus = np.maximum(self._sums - self._sums_before.min(1), 0.0)
        if self.fit is not None:
            follows = is_counted & self.is_following
            self.fit.count(self.classes[follows], continued[follows])
            self.fit.num_tokens += int(is_counted.sum())

    def lowered_tokens(self, expert_weights: Doubles, network: Floats, uniform: Floats) -> LoweredTokens:
        """The tokens that continue passages, as context mixing draws them.

        Args:
            expert_weights: (n, 3) of contexts and network together, of the network and of the uniform distribution.
            network: (n, V) probabilities of the network.
            uniform: (V,) the uniform distribution.
        """
        from anew.estimators.context_mixing.drawing import LoweredTokens  # not above: it loads Numba

        tokens, shares = self.next_tokens, expert_weights / expert_weights.sum(1, keepdims=True)  # (n,), (n, 3)
        # For samples without such a token (-1), this takes the last token of the vocabulary; the value is not used
        remainders = shares[:, 1] * network[np.arange(len(tokens)), tokens] + shares[:, 2] * uniform[tokens]  # (n,)
        return LoweredTokens(tokens, self.ratios.astype(np.float32), shares[:, 0].copy(), remainders)


class OddsFit:
    """Finds the odds ratios with which samples continue passages of their own as often as data does.

    Args:
        rates: (K,) how often the data does.
        odds_ratios: (K,) those to begin with.

    Attributes:
        odds_ratios: (K,) those found so far.
        num_tokens: Drawn in samples that are watched.
    """

    def __init__(self, rates: Doubles, odds_ratios: Floats) -> None:
        self._rates = rates
        self.odds_ratios, self.num_tokens = odds_ratios.copy(), 0
        self._tallies = np.zeros((len(rates), 2), dtype=np.int64)  # tallies since the ratio of a kind was changed
        self._is_fitted = np.zeros(len(rates), dtype=bool)

    def count(self, kinds: Ints, continued: Bools) -> None:
        """Count passages that samples could continue. kinds: (k,) of them, continued: (k,) whether they did."""
        np.add.at(self._tallies[:, 0], kinds, 1)
        np.add.at(self._tallies[:, 1], kinds[continued], 1)

    def update(self) -> None:
        """Change the ratios of kinds that samples continued too often, or too seldom after they were lowered."""
        num, num_continued = self._tallies.T.astype(np.float64)
        excess = num_continued - num * self._rates
        deviations = np.sqrt(num * self._rates * (1.0 - self._rates))
        # And one more: one hit at one place is many deviations where data hardly ever goes on, and is asked about after each turn
        is_certain = np.abs(excess) > MIN_DEVIATIONS * deviations + 1.0
        changed = np.flatnonzero(is_certain & ((excess > 0) | (self.odds_ratios < 1.0)) & (num > 0))
        target_rates, sample_rates = self._rates[changed], (num_continued[changed] + 0.5) / (num[changed] + 1.0)
        ratios = target_rates / (1.0 - target_rates) / (sample_rates / (1.0 - sample_rates))
        factors = np.clip(ratios, 1.0 / MAX_CHANGE, MAX_CHANGE)
        # All are marked before any is changed, so that none gets the change of a shorter one on top of its own
        self._is_fitted[changed] = True
        for index, factor in zip(changed.tolist(), factors.tolist(), strict=True):
            self._multiply(index, factor)

    def _multiply(self, kind: int, factor: float) -> None:
        """Change the ratio of a kind, and with it those of longer passages that were too few so far."""
        ratio, stop = np.clip(self.odds_ratios[kind] * factor, MIN_ODDS_RATIO, 1.0), kind + 1
        while (stop - 1) % NUM_LENGTHS and not self._is_fitted[stop]:
            stop += 1
        self.odds_ratios[kind:stop], self._tallies[kind:stop] = ratio, 0


def _rates(tallies: Ints) -> Doubles:
    rates: Doubles = (tallies[:, 1] + 0.5) / (tallies[:, 0] + 1.0)
    return rates


def _pieces(text: Ints, end_id: int | None, step: int) -> list[Ints]:
    """Every `step`-th piece of the documents of a text."""
    ends = np.flatnonzero(text == end_id) + 1 if end_id is not None else np.zeros(0, dtype=np.int64)
    firsts, lasts = piece_bounds(np.append(0, ends), np.append(ends, len(text)), PIECE_TOKENS)
    return [text[first:last] for first, last in zip(firsts[::step].tolist(), lasts[::step].tolist(), strict=True)]


def _read(ids: Ints) -> OwnPassage:
    passage = OwnPassage()
    for token in ids.tolist():
        passage.read(token)
    return passage
