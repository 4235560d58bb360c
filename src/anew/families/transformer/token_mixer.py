"""What is mixed with the network: the interface of context mixing (`contexts`) and of n-gram counts (`counts`).

Legend for shapes: B rows of a batch, L targets of a row, n samples, t tokens so far, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Callable
from copy import copy
from typing import Self

from torch import Tensor

from anew.core.arrays import Floats, Ints
from anew.core.specs import Batch
from anew.families.transformer.counts.fixed_share import FixedShare
from anew.families.transformer.fitted_buffers import FittedBuffers

# Held-out targets to which weights, or the gate, are fitted: 16,384 cost 0.02 bits on clusters of proteins (docs/log.md, 2026-11-25)
MAX_FITTED_TARGETS = 131_072
LogitsOf = Callable[[Batch], Tensor]  # (B, L, V) of a batch, in fp32
NetworkOf = Callable[[slice], Floats]  # log-probabilities of the network for some rows of a prompt


class RowState:
    """A mixer's state of n samples that grow together. Only the mixer that made it can use it.

    Attributes:
        share: Weights of the mixture, of the network alone and of the uniform distribution.
    """

    def __init__(self, n: int) -> None:
        self.share = FixedShare(n)

    def select(self, rows: Ints) -> Self:
        """State of samples (k,) of these, by their numbers; a sample may be taken several times."""
        selected = copy(self)
        selected.share = self.share.select(rows)
        return selected

    def observe(self, tokens: Ints, is_drawn: bool = True) -> None:
        """Read the tokens (n,) that follow those read so far. is_drawn: whether they are samples, not those of a prompt."""
        raise NotImplementedError


class TokenMixer(FittedBuffers):
    """Statistical models of tokens, mixed with the network.

    Attributes:
        uniform: (V,) the uniform distribution over tokens that can follow others.
    """

    uniform: Floats

    @property
    def is_fitted(self) -> bool:
        """Whether anything was counted. Otherwise the network stands alone."""
        raise NotImplementedError

    def drawing(self) -> TokenMixer:
        """The models with which samples are drawn."""
        return self

    def unigram(self) -> Floats:
        """(V,) frequency of each token."""
        raise NotImplementedError

    def read_prompt(
        self, ids: Ints, num_known: int, network_of: NetworkOf, adapts: bool = True, labels: Ints | None = None
    ) -> RowState:
        """State after reading prompts, before the first new token.

        Args:
            ids: (n, t) ids of the prompts.
            num_known: Number of the last tokens that the network sees.
            network_of: Its log-probabilities (rows * (num_known - 1), V) of all of these but the first, for some rows.
            adapts: Whether drawn tokens count as part of the document, as in scoring.
            labels: (n,) classes; None where no class is known.
        """
        raise NotImplementedError

    def weights_after(self, ids: Ints, logits: Floats, state: RowState) -> Floats:
        """(n, V) probabilities of the next tokens under models and network together; the state observes them afterwards.

        Args:
            ids: (n, t) ids so far, which the state has read.
            logits: (n, V) logits of the network.
        """
        raise NotImplementedError

    def log_probs_by_side(self, batch: Batch, logits_of: LogitsOf) -> dict[str, Tensor]:
        """(B, L) log-probabilities of the targets in nats; see `Attends.log_probs_by_side`. 0 for targets that are not read."""
        raise NotImplementedError
