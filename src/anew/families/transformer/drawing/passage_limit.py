"""Samples of running text repeat passages of the training text no longer than held-out text does.

Cuts such as min-p remove the tokens that leave a passage: each of them is improbable, though all together are not, so samples would
hardly ever leave a passage. Therefore cuts are applied separately to the tokens that continue a passage and to those that leave it, and
passages are continued as often as without cuts. If a sample has continued them more often than held-out text continues passages of
the same lengths, leaving becomes more probable, except where it is nearly impossible, as before the only bracket that can close.

Legend for shapes: n samples, k of them, t tokens so far, V vocabulary, N tokens of the training text.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple, Self

import numpy as np
import torch
from torch import Tensor, nn

from anew.core.arrays import Bools, Doubles, Floats, Ints
from anew.core.specs import Batch
from anew.estimators.passages import MAX_PASSAGE, NO_PASSAGE, PassageIndex, continuation_rates
from anew.families.transformer.drawing.surplus_limit import SurplusLimit
from anew.families.transformer.fitted_buffers import FittedBuffers
from anew.families.transformer.token_sequences import documents_of

# Weights (k, V) without the tokens that the settings do not allow; some stay in each row
Cut = Callable[[Floats], Floats]
# Largest factor by which the odds that a passage is left are multiplied. A sample that must leave where the model allows only one token
# goes on with nonsense. 5 is enough to continue passages as often as held-out text, and with 20 fewer samples were valid JSON
# (docs/log.md, 2026-11-29)
MAX_ODDS_RATIO = 5.0


class PassageLimit(FittedBuffers):
    """How often held-out text continues passages, as a buffer, and the training text where no other head keeps it.

    Args:
        head: The head that may keep the training text; None if it is kept here.
    """

    dtypes: Mapping[str, torch.dtype] = {"text": torch.int32, "rates": torch.float32}

    def __init__(self, head: nn.Module | None = None) -> None:
        super().__init__()
        self._heads = () if head is None else (head,)  # not a part of this module
        self._documents: list[Ints] = []
        self._index: PassageIndex | None = None

    def keep(self, sequences: Sequence[Ints]) -> None:
        """Keep the sequences of a training text."""
        self.set_buffers({"text": np.concatenate([*sequences, np.zeros(0, dtype=np.int64)]).astype(np.int32)})

    def watched(self, batches: Iterable[Batch]) -> Iterator[Batch]:
        """Yield the batches of held-out documents, which are kept until `fit` if there is a training text."""
        self._documents = []
        for batch in batches:
            if self.stored_text is not None:
                self._documents += documents_of(batch)
            yield batch

    def fit(self) -> None:
        """Measure how often the held-out documents that were watched continue passages of the training text, if that was kept."""
        documents, self._documents = self._documents, []
        if self.stored_text is None:
            return
        index = self.index
        rates = continuation_rates(index, documents)
        if rates is not None:
            self.set_buffers({"rates": rates})
            self._index = index  # the index of the text, which is the same

    def check(self) -> None:
        rates = self._buffers.get("rates")
        if rates is not None and (rates.shape != (MAX_PASSAGE + 1,) or not bool(((rates >= 0) & (rates <= 1)).all())):
            raise ValueError("the rates of passages are inconsistent")

    def clear_cache(self) -> None:
        self._index = None

    @property
    def stored_text(self) -> Tensor | None:
        """(N,) the training text; None before it is counted, and in checkpoints of runs that did not keep it."""
        texts = (module._buffers.get("text") for module in (*self._heads, self))
        return next((text for text in texts if text is not None), None)

    @property
    def index(self) -> PassageIndex:
        if self._index is None:
            assert self.stored_text is not None
            self._index = PassageIndex(self.stored_text.cpu().numpy())
        return self._index

    def start(self, n: int) -> TextSurplusLimit | None:
        """The limit of n samples of which nothing has been read; None if it is not known how often held-out text continues passages."""
        if "rates" not in self._buffers:
            return None
        return TextSurplusLimit(self.index, self.get_buffer("rates").cpu().numpy().astype(np.float64), n)


class PassageDecisions(NamedTuple):
    """What becomes of the drawn tokens of n samples.

    Attributes:
        stays: (n,) whether the token continues a passage and stays.
        has_left: (n,) whether the sample is to leave its passage.
        uniforms: (n,) numbers that are uniform in [0, 1) again for all that did not stay.
    """

    stays: Bools
    has_left: Bools
    uniforms: Floats


class TextSurplusLimit(SurplusLimit):
    """The limit of n samples on passages of the training text, whose classes are their lengths.

    Args:
        index: All passages of the training text.
        rates: (MAX_PASSAGE + 1,) how often held-out text continues passages, by length.
    """

    def __init__(self, index: PassageIndex, rates: Doubles, n: int) -> None:
        super().__init__(n, rates, np.ones(len(rates), dtype=np.float32), 0.0, math.log(MAX_ODDS_RATIO))
        self._index, self._num_read = index, -1
        self._passages = [NO_PASSAGE] * n
        self._continuations: list[Ints] = []

    def select(self, rows: Ints) -> Self:
        selected = super().select(rows)
        selected._passages = [self._passages[row] for row in rows.tolist()]
        return selected

    def read(self, ids: Ints) -> None:
        recent, follows_last = ids[:, -MAX_PASSAGE:], ids.shape[1] == self._num_read + 1
        self._passages = self._index.after(self._passages, recent) if follows_last else self._index.endings(recent)
        self._num_read = ids.shape[1]
        self._continuations = [self._index.followers(passage) for passage in self._passages]
        self.classes = np.array([passage.length for passage in self._passages], dtype=np.int64)
        self.next_tokens = np.array([row[0] if len(row) == 1 else -1 for row in self._continuations], dtype=np.int64)

    def continuations(self, row: int) -> Ints:
        return self._continuations[row]

    @property
    def has_several_continuations(self) -> Bools:
        """(n,) whether samples follow passages with several continuations."""
        return self.is_following & (self.next_tokens < 0)

    def cut_apart(
        self, weights: Floats, rows: Ints, cut: Cut, has_left: Bools | None = None, *, is_counted: bool = True
    ) -> Floats:
        """Weights from which the next tokens are drawn.

        Args:
            weights: (k, V) in proportion to the probabilities without cuts.
            rows: (k,) samples.
            cut: The cuts.
            has_left: (k,) rows that have been chosen to leave their passage; None: none.
            is_counted: Whether the surplus grows by how probable it was that passages are continued: once for each token.

        Returns:
            (k, V).
        """
        continues = np.zeros(weights.shape, dtype=bool)
        for i, row in enumerate(rows.tolist()):
            continues[i, self.continuations(row)] = True
        lowered, zero = weights * self.ratios[rows, None].astype(np.float32), np.float32(0.0)
        parts = [np.where(continues, lowered, zero), np.where(continues, zero, weights)]
        sums = np.stack([part.sum(1, dtype=np.float64) for part in parts])  # (2, k)
        share = sums[0] / sums.sum(0)
        if is_counted:
            self.surplus[rows] += self.excess_of(rows, share)
        if has_left is not None:
            share = np.where(has_left & (sums[1] > 0.0), 0.0, share)
        # A part without tokens has no share, but cuts need weights
        truncated = [
            cut(np.where(total[:, None] > 0.0, part, weights)) for part, total in zip(parts, sums, strict=True)
        ]
        shares = np.stack([share, 1.0 - share]) / np.stack([part.sum(1) for part in truncated])  # (2, k)
        mixed: Floats = (shares[0, :, None] * truncated[0] + shares[1, :, None] * truncated[1]).astype(np.float32)
        return mixed

    def accept(self, tokens: Ints, probabilities: Doubles, uniform: Floats) -> PassageDecisions:
        """Decide which drawn tokens stay, where a passage has a single continuation.

        Args:
            tokens: (n,) drawn without cuts.
            probabilities: (n,) their probabilities.
            uniform: (n,) in [0, 1), which decide.
        """
        has_single = self.next_tokens >= 0
        continues = np.flatnonzero(has_single & (tokens == self.next_tokens))
        p, ratios = probabilities[continues], self.ratios[continues]
        kept_share, renewed = ratios / (p * ratios + 1.0 - p), uniform.copy()
        is_kept: Bools = np.zeros(len(tokens), dtype=bool)
        is_kept[continues] = uniform[continues] < kept_share
        stays = is_kept[continues]
        self.surplus[continues[stays]] += self.excess_of(continues[stays], (p * kept_share)[stays])
        refused = continues[~stays]
        renewed[refused] = (uniform[refused] - kept_share[~stays]) / (1.0 - kept_share[~stays])
        renewed = np.minimum(renewed, 1.0 - 2.0**-24).astype(np.float32)
        return PassageDecisions(stays=is_kept, has_left=has_single & ~is_kept, uniforms=renewed)
