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

from anew.core.specs import Batch
from anew.core.threads import available_threads, map_in_threads
from anew.families.transformer.context_head import ContextHead, PathLogits, Segment

MAX_FITTED_TARGETS = 131_072  # held-out targets to which weights are fitted; as many as for the gate, see `family.py`
# Tokens that the network scores at a time, which bounds the memory of its log-probabilities (32 MB at 1,024 sub-words)
TOKENS_AT_ONCE = 8192
LogitsOf = Callable[[Batch], Tensor]  # (B, L, V) of a batch, in fp32
Ints = NDArray[np.int64]


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
    def of_piece(piece: Batch) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
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


def collected(sweep: Iterable[Batch], documents: list[Ints]) -> Iterator[Batch]:
    """Yield the batches of a sweep, and append the documents of each to a list."""
    for batch in sweep:
        targets = _targets(batch)
        documents.extend(np.append(segment.opening, targets[segment.places]) for segment in segments_of(batch))
        yield batch


def segments_of(batch: Batch) -> Iterator[Segment]:
    """The targets of a batch in the order in which they are read: all that count and, in a row that does not continue another one,
    those before them."""
    ids = batch.x.cpu().numpy()
    length = ids.shape[1] - 1
    counts = np.ones((len(ids), length), dtype=bool) if batch.mask is None else batch.mask.cpu().numpy() > 0
    continues = np.zeros(len(ids), dtype=bool) if batch.continues is None else batch.continues.cpu().numpy()
    places: list[Ints] = []
    opening = 0
    for row in range(len(ids)):
        counted = np.flatnonzero(counts[row])
        if not len(counted):
            continue
        continues_last = bool(continues[row]) and bool(places)
        if not continues_last and places:
            yield Segment(np.concatenate(places), opening)
            places = []
        first = int(counted[0]) if continues_last else 0
        if not continues_last:
            opening = int(ids[row, 0])
        places.append(row * length + np.arange(first, int(counted[-1]) + 1))
    if places:
        yield Segment(np.concatenate(places), opening)
