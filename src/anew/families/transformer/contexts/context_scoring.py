"""Scores text under contexts and network together: the order in which targets are read, and their probabilities.

Legend for shapes: B rows of a batch, L targets of a row, T targets that are read, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from anew.core.arrays import Floats, Ints
from anew.core.machine.threads import available_threads, map_in_threads
from anew.core.specs import Batch
from anew.families.transformer.contexts.context_head import ContextHead, PathLogits
from anew.families.transformer.sweep_sequences import segments_of

# Held-out targets to which weights, or the gate, are fitted: 16,384 cost .02 bits on clusters of proteins (docs/log.md, 2026-11-25)
MAX_FITTED_TARGETS = 131_072
# Tokens that the network scores at a time, which bounds the memory of its log-probabilities (32 MB at 1,024 sub-words)
TOKENS_AT_ONCE = 8192
LogitsOf = Callable[[Batch], Tensor]  # (B, L, V) of a batch, in fp32


def fit_joint(head: ContextHead, sweep: Iterable[Batch], logits_of: LogitsOf) -> None:
    """Fit the weights of contexts and network on held-out text."""
    parts: list[tuple[NDArray[Any], ...]] = []
    for batch in sweep:
        segments = list(segments_of(batch))
        if not segments:
            continue
        ids = _targets(batch).astype(np.int32)
        places = np.concatenate([segment.places for segment in segments])
        network = path_logits(head, batch, logits_of).logits[places]
        parts.append((ids[places], *head.read(ids, segments), network))
        if sum(len(part[0]) for part in parts) >= MAX_FITTED_TARGETS:
            break
    if parts:
        tokens, contexts, orders, networks = (np.concatenate(column) for column in zip(*parts, strict=True))
        head.fit_joint(tokens, contexts, networks, orders)


def score(head: ContextHead, batch: Batch, logits_of: LogitsOf) -> tuple[Tensor, Tensor]:
    """Log-probabilities (B * L,) under both together (0 for targets that are not read), and under the network alone."""
    network = path_logits(head, batch, logits_of)
    joint = head.joint_log_probs(_targets(batch).astype(np.int32), network, list(segments_of(batch)))
    return torch.from_numpy(joint), torch.from_numpy(network.log_probs)


def path_logits(head: ContextHead, batch: Batch, logits_of: LogitsOf) -> PathLogits:
    """The network's logits along the paths of all targets of a batch, computed on all threads."""

    @torch.inference_mode()
    def of_piece(piece: Batch) -> tuple[Floats, Floats]:
        log_probs = logits_of(piece).flatten(0, 1).log_softmax(-1)
        target_log_probs = log_probs.gather(1, piece.x[:, 1:].flatten()[:, None])[:, 0]
        return head.path_logits(log_probs.exp().cpu().numpy(), _targets(piece)), target_log_probs.cpu().numpy()

    pieces = list(pieces_of(batch))
    workers = min(len(pieces), available_threads()) if batch.x.device.type == "cpu" else 1
    logits, log_probs = zip(*map_in_threads(of_piece, pieces, workers), strict=True)
    return PathLogits(np.concatenate(logits), np.concatenate(log_probs))


def pieces_of(batch: Batch) -> Iterator[Batch]:
    """The batch in pieces that the network scores at a time."""
    rows = max(1, TOKENS_AT_ONCE // max(1, batch.x.shape[1] - 1))
    for first in range(0, len(batch), rows):
        yield batch.rows(first, first + rows)


def _targets(batch: Batch) -> Ints:
    """(B * L,)."""
    targets: Ints = batch.x[:, 1:].flatten().cpu().numpy()
    return targets
