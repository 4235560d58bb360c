"""How samples are drawn so that they have errors (see `error_rates`), and repeat themselves, as seldom as the data.

Drawing the next token at places of held-out documents would not show how often. There each bracket is closed in time, while a sample
that leaves one open goes on as if it were closed; and each loop ends there, while a sample takes its own as evidence.

Legend for shapes: L targets of a row, G kinds of errors.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np

from anew.core.arrays import Int32s
from anew.core.specs import Batch
from anew.families.base import RequestOf
from anew.families.transformer.config import TransformerSampling
from anew.families.transformer.contexts.context_head import ContextHead
from anew.families.transformer.contexts.context_state import ContextState
from anew.families.transformer.drawing.own_passage_limit import OddsFit
from anew.families.transformer.drawing.sampler import TokenSampler
from anew.families.transformer.parts import TransformerParts

DOCUMENTS_AT_ONCE = 8  # few samples, so that they become long in little time: brackets go wrong late; chosen
RECORDS_AT_ONCE = 32  # which are short; chosen
TOKENS_BETWEEN = 64  # drawn before the rates are computed again
MAX_TOKENS = 8192  # drawn in all: calibration ends with the step that reaches them; chosen
# Calibration ends after so many rounds of samples if nothing was drawn too often, as in most lists; chosen
MIN_ROUNDS = 2
MAX_ROUNDS = 64  # in case all samples end at once
FIRST_SEED = 2**31  # not one that users are likely to take


def calibrate_samples(family: TransformerParts, documents: Iterable[Batch], request_of: RequestOf) -> Iterator[int]:
    """Draw samples, and let them have errors, and repeat themselves, ever more nearly as often as the data.

    Args:
        family: One whose `own_passages` have counted how often the data repeats itself.
        documents: Held-out ones in which errors are counted, one a batch, whole from its beginning; see `documents_of`.
        request_of: See `Family.calibrate_drawing`. Settings other than those of the samples would give other ratios.

    Yields:
        The number of tokens drawn so far; the caller may stop, and then the tokens since the last update count for nothing.
    """
    head, limit = family.token_mixer, family.own_passages
    errors = _ErrorFit(head, documents) if isinstance(head, ContextHead) else None
    fit, num_fitted = OddsFit(limit.rates, limit.odds_ratios), 0
    n = DOCUMENTS_AT_ONCE if family.spec.packed else RECORDS_AT_ONCE
    for number in range(MAX_ROUNDS):
        is_good = bool((fit.odds_ratios == 1.0).all()) and (errors is None or not errors.has_documents)
        if is_good and number >= MIN_ROUNDS:
            return
        seed = FIRST_SEED + number
        request = request_of(n, seed)
        sampler = TokenSampler(family, request, request.sampling_as(TransformerSampling), request.sample_keys(seed))
        for _ in sampler:
            assert sampler.own_passages is not None, "the limit has counted"
            sampler.own_passages.fit, sampler.own_passages.odds_ratios = fit, fit.odds_ratios
            if errors is not None:
                errors.attach_tallies(sampler)
            if fit.num_tokens < min(num_fitted + TOKENS_BETWEEN, MAX_TOKENS):
                yield fit.num_tokens
                continue
            num_fitted = fit.num_tokens
            fit.update()
            limit.set_odds_ratios(fit.odds_ratios)
            if errors is not None:
                errors.update(sampler)
            yield num_fitted
            if num_fitted >= MAX_TOKENS:
                return


class _ErrorFit:
    """Finds how often errors are accepted: so seldom that samples have as many as documents.

    Args:
        documents: See `calibrate_samples`.

    Attributes:
        has_documents: Whether there are any.
    """

    def __init__(self, head: ContextHead, documents: Iterable[Batch]) -> None:
        from anew.estimators.context_mixing.error_rates import NUM_ERRORS  # not above: it loads Numba

        self._head = head
        self._document_errors = np.zeros(NUM_ERRORS, dtype=np.int64)
        for batch in documents:
            opening, targets = int(batch.x[0, 0]), _targets(batch)
            # Without the first token, as samples are tallied
            self._document_errors += head.count_errors(opening, targets) - head.count_errors(opening, targets[:1])
        self.has_documents = bool(self._document_errors.any())
        self._tallies = np.zeros((NUM_ERRORS, 2), dtype=np.int64)

    def attach_tallies(self, sampler: TokenSampler) -> None:
        """Count the errors of the next tokens, from the second one on: the first is drawn before there is a state."""
        _state_of(sampler).tallies = self._tallies

    def update(self, sampler: TokenSampler) -> None:
        """Change how often errors are accepted, also in the samples that are being drawn."""
        from anew.estimators.context_mixing.error_rates import acceptance_rates

        if self.has_documents:
            num_drawn = int(self._tallies[:, 1].sum())
            accepted = acceptance_rates(self._tallies[:, 0], num_drawn, self._document_errors)
            _state_of(sampler).accepted = accepted
            self._head.accept_errors(accepted)


def _state_of(sampler: TokenSampler) -> ContextState:
    assert isinstance(sampler.state, ContextState)
    return sampler.state


def _targets(batch: Batch) -> Int32s:
    """(T,) targets of a document (B, L), whose windows may overlap."""
    ids = batch.x[:, 1:].flatten().cpu().numpy().astype(np.int32)
    return ids if batch.mask is None else ids[batch.mask.flatten().cpu().numpy() > 0]
