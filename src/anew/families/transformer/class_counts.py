"""Counts of records by class as buffers of the counting head. They are mixed with the counts of all records, which few classes share.

Legend for shapes: n targets or rows, B records, L targets of a record, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from anew.estimators.kneser_ney import ARRAYS, KneserNey

SHARE = "share"  # buffer: the weight of the counts by class, beside those of all records
HELD_OUT = 10  # each so many-th record is held out while the share is learned; chosen
COMPARED_TOKENS = 200_000  # tokens of the records that it is learned from: takes a second
ROUNDS = 20  # of expectation and maximisation: the share is right to a hundredth
DTYPES = {"contexts": torch.int64, "starts": torch.int64, "tokens": torch.int32}  # of the counts; else float32
Floats = NDArray[np.float32]
Ints = NDArray[np.int64]


class ClassCounts(nn.Module):
    """Kneser-Ney counts whose contexts begin with the class of a record. Until they are counted, nothing changes.

    Args:
        vocab_size: V.
        order: Longest context, the class included.
        num_classes: Number of classes; 0 without.
    """

    def __init__(self, vocab_size: int, order: int, num_classes: int) -> None:
        super().__init__()
        self.vocab_size, self.order, self.num_classes = vocab_size, order, num_classes
        self._counts: KneserNey | None = None
        self.register_load_state_dict_post_hook(lambda module, _: module.clear_cache())  # type: ignore[no-untyped-call]

    @property
    def is_counted(self) -> bool:
        """Whether anything has been counted."""
        return SHARE in self._buffers

    @property
    def counts(self) -> KneserNey:
        if self._counts is None:
            arrays = {name: buffer.cpu().numpy() for name, buffer in self.named_buffers() if name != SHARE}
            self._counts = KneserNey.restore(self.vocab_size, arrays, self.num_classes)
        return self._counts

    def clear_cache(self) -> None:
        """Must be called after buffers have changed."""
        self._counts = None

    def count(self, sequences: Sequence[Ints], classes: Ints, device: torch.device) -> None:
        """Count sequences (B,) of these classes (B,), if all are known."""
        if not self.num_classes or not self.order or not len(sequences) or bool((classes < 0).any()):
            return
        share = self._share_of(sequences, classes)
        for name, array in self._fit(sequences, classes).arrays().items():
            self.register_buffer(name, torch.from_numpy(array).to(device))
        self.register_buffer(SHARE, torch.tensor([share], dtype=torch.float64, device=device))
        self.clear_cache()

    def _fit(self, sequences: Sequence[Ints], classes: Ints) -> KneserNey:
        return KneserNey.fit(sequences, self.vocab_size, self.order, classes, self.num_classes)

    def _share_of(self, sequences: Sequence[Ints], classes: Ints) -> float:
        """The share at which both kinds of counts of most records predict the others best."""
        step = 1 + sum(map(len, sequences)) // COMPARED_TOKENS
        sequences, classes = sequences[::step], classes[::step]
        is_held_out = np.arange(len(sequences)) % HELD_OUT == HELD_OUT - 1
        known = [sequence for sequence, is_out in zip(sequences, is_held_out, strict=True) if not is_out]
        by_class = self._fit(known, classes[~is_held_out])
        of_all = KneserNey.fit(known, self.vocab_size, self.order)
        chances: list[NDArray[np.floating]] = [np.ones((0, 2))]
        for row in np.flatnonzero(is_held_out).tolist():
            ids, depth = sequences[row], np.arange(len(sequences[row]))
            contexts = by_class.walk(ids, depth, classes=np.full(len(ids), classes[row]))
            chances.append(np.stack((by_class.probability(contexts, ids), of_all.score(ids)), 1)[1:])
        by_class_chances, other = np.concatenate(chances).T
        share = 0.5
        for _ in range(ROUNDS if len(other) else 0):
            share = float(np.mean(share * by_class_chances / (share * by_class_chances + (1.0 - share) * other)))
        return share

    def allocate_buffers(self, shapes: Mapping[str, torch.Size], device: torch.device) -> None:
        """Make empty buffers for a state dict, whose names have no prefix."""
        for name in [f"{array}_{k}" for k in range(self.order + 1) for array in ARRAYS]:
            if name in shapes:
                dtype = DTYPES.get(name.rpartition("_")[0], torch.float32)
                self.register_buffer(name, torch.zeros(shapes[name], dtype=dtype, device=device))
        if SHARE in shapes:
            self.register_buffer(SHARE, torch.zeros(shapes[SHARE], dtype=torch.float64, device=device))
        self.clear_cache()

    def check(self) -> None:
        """Check the buffers, which may come from anybody.

        Raises:
            ValueError: They are inconsistent.
        """
        if not self.is_counted:
            return
        share = self.get_buffer(SHARE)
        if share.shape != (1,) or not bool((share >= 0.0).all() and (share <= 1.0).all()):
            raise ValueError("the share of counts by class is not between 0 and 1")
        if len(self.counts.levels) != self.order + 1:
            raise ValueError(f"counts by class of {len(self.counts.levels)} orders instead of {self.order + 1}")

    def last_contexts(self, ids: Ints, labels: Ints | None) -> Ints | None:
        """Contexts (order + 1, n) of the token that follows each row of ids (n, L) of these classes (n,)."""
        if not self.is_counted or labels is None:
            return None
        recent = ids[:, max(0, ids.shape[1] - self.order) :].tolist()
        rows = [self.counts.tail(row, label) for row, label in zip(recent, labels.tolist(), strict=True)]
        return np.array(rows, dtype=np.int64).T

    def contexts(self, ids: Ints, labels: Ints | None) -> Ints | None:
        """Contexts (order + 1, B*L) of the token that follows each id of ids (B, L), none across rows; classes (B,)."""
        if not self.is_counted or labels is None:
            return None
        return self.counts.walk_rows(ids, labels)

    def mix_distributions(self, distribution: Floats, contexts: Ints | None) -> Floats:
        """(n, V) a distribution of all records, mixed with that of the class where contexts are given."""
        if contexts is None:
            return distribution
        return self._mix(distribution, self.counts.distribution(contexts))

    def mix_probabilities(self, probability: Floats, contexts: Ints | None, targets: Ints) -> Floats:
        """(n,) probabilities of targets (n,) under all records, mixed with those of the class where contexts are given."""
        if contexts is None:
            return probability
        return self._mix(probability, self.counts.probability(contexts, targets))

    def _mix(self, of_all: Floats, by_class: Floats) -> Floats:
        share = np.float32(self.get_buffer(SHARE).item())
        return share * by_class + (np.float32(1.0) - share) * of_all


def known_classes(labels: Tensor | None) -> NDArray[np.int64] | None:
    """The classes of all rows; None if one is not known."""
    return None if labels is None or bool((labels < 0).any()) else labels.cpu().numpy()
