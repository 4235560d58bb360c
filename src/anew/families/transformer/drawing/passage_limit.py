"""Samples of running text repeat passages of the training text no longer than held-out text does.

Cuts such as min-p cut what leaves a passage: each such token is improbable, though together they are not, so that passages are
hardly ever left. So the tokens that continue a passage are drawn as often as without cuts, and in a sample hardly more often than
held-out text goes on with passages of the same lengths: beyond that, what leaves a passage becomes more probable, but never where it
is nearly impossible, as before the only bracket that can close. The cuts compare tokens only among those that go on, and among those
that leave.

Legend for shapes: n samples, k of them, t tokens so far, V vocabulary, N tokens of the training text.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from copy import copy

import numpy as np
import torch
from torch import Tensor, nn

from anew.core.arrays import Bools, Doubles, Floats, Ints
from anew.core.specs import Batch
from anew.estimators.passages import MAX_PASSAGE, NO_PASSAGE, PassageIndex, continuation_rates
from anew.families.transformer.fitted_buffers import FittedBuffers
from anew.families.transformer.sweep_sequences import documents_of

Cut = Callable[["Floats"], "Floats"]  # weights (k, V) without the tokens that the settings do not allow
# Odds that a passage is left are multiplied by e for each token that a sample went on more often than held-out text does, and at
# most by this. A sample that must leave where the model allows only one token goes on with nonsense. 5 is enough to go on as often as
# held-out text does, and with 20 fewer samples were valid JSON (docs/log.md, 2026-11-29)
MAX_ODDS = 5.0


class PassageLimit(FittedBuffers):
    """How often held-out text goes on with passages, as a buffer, and the training text where no other head keeps it.

    Args:
        head: The head that keeps the training text; None if it is kept here.
    """

    dtypes: Mapping[str, torch.dtype] = {"text": torch.int32, "rates": torch.float32}

    def __init__(self, head: nn.Module | None = None) -> None:
        super().__init__()
        self._heads = () if head is None else (head,)  # not a part of this module
        self._documents: list[Ints] = []
        self._index: PassageIndex | None = None

    def keep(self, sequences: Iterable[Ints]) -> list[Ints]:
        """The sequences of a training text, which is kept."""
        sequences = list(sequences)
        text = np.concatenate([*sequences, np.zeros(0, dtype=np.int64)]).astype(np.int32)
        self.set_buffers({"text": text})
        return sequences

    def watched(self, sweep: Iterable[Batch]) -> Iterator[Batch]:
        """Yield the batches of held-out documents, which are kept until `fit`."""
        self._documents = []
        for batch in sweep:
            self._documents += documents_of(batch)
            yield batch

    def fit(self) -> None:
        """Measure how often the held-out documents that were watched continue passages of the training text, if that was kept."""
        documents, self._documents = self._documents, []
        if self._text is None:
            return
        index = self.index
        rates = continuation_rates(index, documents)
        if rates is not None:
            self.set_buffers({"rates": rates})
            self._index = index  # of the text, which is the same

    def check(self) -> None:
        rates = self._buffers.get("rates")
        if rates is not None and (rates.shape != (MAX_PASSAGE + 1,) or not bool(((rates >= 0) & (rates <= 1)).all())):
            raise ValueError("the rates of passages are inconsistent")

    def clear_cache(self) -> None:
        self._index = None

    @property
    def _text(self) -> Tensor | None:
        """(N,) the training text; None before it is counted, and in checkpoints of runs that did not keep it."""
        text: Tensor | None = (*self._heads, self)[0]._buffers.get("text")
        return text

    @property
    def index(self) -> PassageIndex:
        if self._index is None:
            assert self._text is not None
            self._index = PassageIndex(self._text.cpu().numpy())
        return self._index

    def rows(self, n: int) -> PassageRows | None:
        """The passages of n samples of which nothing has been read; None if it is not known how often held-out text goes on."""
        if "rates" not in self._buffers:
            return None
        return PassageRows(self.index, self.get_buffer("rates").cpu().numpy(), n)


class PassageRows:
    """The passages that n samples follow.

    Args:
        index: All passages of the training text.
        rates: (MAX_PASSAGE + 1,) how often held-out text continues passages, by length.
    """

    def __init__(self, index: PassageIndex, rates: Floats, n: int) -> None:
        self._index, self._rates = index, rates
        self._num_read = -1
        self._passages = [NO_PASSAGE] * n
        self._followers: list[Ints] = []
        # (n,) lengths of passages; the only token that continues each, else -1
        self._lengths = self._single = np.zeros(0, dtype=np.int64)
        # Times that each sample has continued passages more often than held-out text does
        self._surplus: Doubles = np.zeros(n)

    def select(self, rows: Ints) -> PassageRows:
        """Those of samples (k,), by their numbers; to be read before anything else is asked."""
        selected = copy(self)
        selected._passages = [self._passages[row] for row in rows.tolist()]
        selected._surplus = self._surplus[rows]
        return selected

    def read(self, ids: Ints) -> None:
        """Find the passages that end the samples. ids: (n, t)."""
        recent, follows_last = ids[:, -MAX_PASSAGE:], ids.shape[1] == self._num_read + 1
        self._passages = self._index.after(self._passages, recent) if follows_last else self._index.endings(recent)
        self._num_read = ids.shape[1]
        self._followers = [self._index.followers(passage) for passage in self._passages]
        self._lengths = np.array([passage.length for passage in self._passages], dtype=np.int64)
        self._single = np.array([tokens[0] if len(tokens) == 1 else -1 for tokens in self._followers], dtype=np.int64)

    @property
    def is_following(self) -> Bools:
        """(n,) whether samples follow a passage."""
        follows: Bools = self._lengths > 0
        return follows

    @property
    def has_several_continuations(self) -> Bools:
        """(n,) whether samples follow passages with several continuations."""
        has_several: Bools = (self._lengths > 0) & (self._single < 0)
        return has_several

    def limited(self, weights: Floats, rows: Ints, cut: Cut, has_left: Bools | None = None) -> Floats:
        """Weights from which the next tokens are drawn.

        Args:
            weights: (k, V) in proportion to the probabilities without cuts.
            rows: (k,) samples; each may be asked once a token.
            cut: The cuts; gives each row some token.
            has_left: (k,) rows of which it has been decided that they leave their passage; None: none.

        Returns:
            (k, V).
        """
        goes_on = np.zeros(weights.shape, dtype=bool)
        for i, row in enumerate(rows.tolist()):
            goes_on[i, self._followers[row]] = True
        parts = [np.where(goes_on, weights, 0.0).astype(np.float32), np.where(goes_on, 0.0, weights).astype(np.float32)]
        sums = np.stack([part.sum(1, dtype=np.float64) for part in parts])  # (2, k)
        share = self._count_taken(rows, sums[0] / sums.sum(0))
        share = np.where(sums[1] == 0.0, 1.0, share if has_left is None else np.where(has_left, 0.0, share))
        # A part without tokens has no share, but cuts need weights
        truncated = [
            cut(np.where(total[:, None] > 0.0, part, weights)) for part, total in zip(parts, sums, strict=True)
        ]
        shares = np.stack([share, 1.0 - share]) / np.stack([part.sum(1) for part in truncated])  # (2, k)
        mixed: Floats = (shares[0, :, None] * truncated[0] + shares[1, :, None] * truncated[1]).astype(np.float32)
        return mixed

    def accept(self, tokens: Ints, probabilities: Doubles, uniform: Floats) -> tuple[Bools, Bools, Floats]:
        """Decide which drawn tokens stay, where a passage has a single continuation.

        Args:
            tokens: (n,) drawn without cuts.
            probabilities: (n,) their probabilities.
            uniform: (n,) in [0, 1), which decide.

        Returns:
            (n,) samples whose token goes on and stays; those of which it was decided that they leave their passage; and numbers
            that are uniform in [0, 1) again for all that did not stay.
        """
        goes_on = (self._single >= 0) & (tokens == self._single)
        limit = np.ones(len(tokens))
        limit[goes_on] = self._share(np.flatnonzero(goes_on), probabilities[goes_on]) / probabilities[goes_on]
        stays = goes_on & (uniform < limit)
        self._count_taken(np.flatnonzero(stays), probabilities[stays])
        refused = goes_on & ~stays
        again = uniform.copy()
        again[refused] = (uniform[refused] - limit[refused]) / (1.0 - limit[refused])
        return stays, (self._single >= 0) & ~stays, np.minimum(again, 1.0 - 2.0**-24).astype(np.float32)

    def _share(self, rows: Ints, shares: Doubles) -> Doubles:
        """(k,) the probability that tokens which go on get, where it would be `shares` without a limit."""
        odds = np.exp(np.clip(self._surplus[rows], 0.0, math.log(MAX_ODDS)))
        share: Doubles = shares / (shares + (1.0 - shares) * odds)
        return share

    def _count_taken(self, rows: Ints, shares: Doubles) -> Doubles:
        """As `_share`, and count it, against how often held-out text goes on."""
        taken = self._share(rows, shares)
        lengths = self._lengths[rows]
        # Outside of a passage, at length 0, nothing counts, though the rates have an entry for it
        self._surplus[rows] += np.where(lengths > 0, taken - self._rates[lengths], 0.0)
        return taken
