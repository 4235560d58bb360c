"""How often errors are accepted (see `error_rates`): so seldom that samples have as many as held-out documents.

What is drawn at the places of held-out documents would not do. There each bracket is closed in time, while a sample that leaves one
open goes on as if it were closed.

Legend for shapes: L targets of a row, G kinds of errors.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
from numpy.typing import NDArray

from anew.core.specs import Batch, SampleRequest
from anew.families.transformer.config import TransformerSampling
from anew.families.transformer.context_head import ContextHead
from anew.families.transformer.context_state import ContextState
from anew.families.transformer.sampler import SampledFamily, TokenSampler

SAMPLES_AT_ONCE = 8  # few, so that they become long in little time: brackets go wrong late; chosen
TOKENS_BETWEEN = 64  # drawn before the rates are computed again
MAX_TOKENS = 8192  # drawn in all: calibration ends with the step that reaches them; chosen
MAX_ROUNDS = 64  # of samples, in case all of them end at once
FIRST_SEED = 2**31  # not one that users are likely to take
Floats = NDArray[np.float32]
Ints = NDArray[np.int64]


def calibrate_errors(family: SampledFamily, head: ContextHead, documents: Iterable[Batch]) -> Iterator[Floats]:
    """Draw samples, and accept errors ever more nearly as often as they are in documents.

    Args:
        documents: One a batch, whole from its beginning; see `documents_of`.

    Yields:
        (G,) the probabilities so far, which are kept each time; the caller may stop.
    """
    from anew.estimators.context_mixing.error_rates import NUM_ERRORS, acceptance_rates  # not above: it loads Numba

    document_errors = np.zeros(NUM_ERRORS, dtype=np.int64)
    for batch in documents:
        opening, targets = int(batch.x[0, 0]), _targets(batch)
        # Without the first token, as samples are tallied
        document_errors += head.count_errors(opening, targets) - head.count_errors(opening, targets[:1])
    tallies = np.zeros((NUM_ERRORS, 2), dtype=np.int64)
    num_tallied = 0
    for seed in range(FIRST_SEED, FIRST_SEED + MAX_ROUNDS if document_errors.any() else FIRST_SEED):
        keys = [(seed, index) for index in range(SAMPLES_AT_ONCE)]
        sampler = TokenSampler(family, SampleRequest(n=SAMPLES_AT_ONCE), TransformerSampling(), keys)
        for _ in sampler:
            state = sampler.state
            assert isinstance(state, ContextState)
            # There is no state before the first token, so it is not counted
            state.tallies, num_drawn = tallies, int(tallies[:, 1].sum())
            if num_drawn < num_tallied + TOKENS_BETWEEN:
                continue
            num_tallied = num_drawn
            state.accepted = acceptance_rates(tallies[:, 0], num_tallied, document_errors)
            head.accept_errors(state.accepted)
            yield state.accepted
            if num_tallied >= MAX_TOKENS:
                return


def _targets(batch: Batch) -> NDArray[np.int32]:
    """(T,) targets of a document (B, L), whose windows may overlap."""
    ids = batch.x[:, 1:].flatten().cpu().numpy().astype(np.int32)
    return ids if batch.mask is None else ids[batch.mask.flatten().cpu().numpy() > 0]
