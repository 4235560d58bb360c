"""Lengths of known records as buffers of the counting head, and the weights by which they correct the probability of an end.

Legend for shapes: n targets or rows, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch

from anew.core.arrays import Doubles, Floats, Ints
from anew.estimators.record_lengths import EndModel, count_lengths
from anew.families.transformer.fitted_buffers import FittedBuffers

LENGTHS, WEIGHTS = "lengths", "weights"  # buffers: how many known records have each length; weights of `EndModel`
WEIGHTS_ALONE = "weights_alone"  # the weights without aligned records, if samples are drawn without them
# Share of the known records that may be cut without samples losing the shortest length: the last record that is counted may be cut, and in
# a list those that are far longer than usual.
MAX_CUT = 0.01


class RecordEnds(FittedBuffers):
    """Ends of records by their lengths. Until they are counted, probabilities stay as they are.

    Args:
        end_id: The last id of a record; None if the lengths of known sequences do not say where it stands.
    """

    dtypes: Mapping[str, torch.dtype] = {LENGTHS: torch.int64, WEIGHTS: torch.float64, WEIGHTS_ALONE: torch.float64}

    def __init__(self, end_id: int | None) -> None:
        super().__init__()
        self.end_id = end_id
        self._models: dict[str, EndModel] = {}  # models by the buffer of their weights

    @property
    def is_counted(self) -> bool:
        """Whether lengths are known."""
        return LENGTHS in self._buffers

    @property
    def fitted_weights(self) -> Doubles:
        """(2,) the weights; 0 without lengths."""
        return self.get_buffer(WEIGHTS).cpu().numpy() if self.is_counted else np.zeros(2)

    @property
    def shortest(self) -> int:
        """Targets of the shortest known record; 0 if lengths are not known, or records are cut."""
        if not self.is_counted:
            return 0
        lengths = self.get_buffer(LENGTHS).cpu().numpy()
        whole = np.flatnonzero(lengths[1:])
        return int(whole[0]) + 1 if len(whole) and lengths[0] <= max(1, MAX_CUT * lengths.sum()) else 0

    def clear_cache(self) -> None:
        self._models.clear()

    def count(self, sequences: Sequence[Ints]) -> None:
        """Count the lengths of whole records among sequences."""
        if self.end_id is not None:
            self.set_buffers({LENGTHS: count_lengths(sequences, self.end_id), WEIGHTS: np.zeros(2)})

    def set_weights(self, name: str, weights: Doubles) -> None:
        """Set the weights (2,) in the buffer of that name; without lengths there are none."""
        if self.is_counted:
            self.set_buffers({name: weights})

    def drop_weights_alone(self) -> None:
        """Draw samples by the same weights again."""
        self.drop_buffers(WEIGHTS_ALONE)

    def check(self) -> None:
        lengths, weights = self._buffers.get(LENGTHS), self._buffers.get(WEIGHTS)
        # The records of such a run were not counted by length
        if lengths is None and weights is None:
            return
        alone = self._buffers.get(WEIGHTS_ALONE, weights)
        if lengths is None or weights is None or alone is None or not weights.shape == alone.shape == (2,):
            raise ValueError("the lengths of records are inconsistent")
        if lengths.ndim != 1 or len(lengths) < 2 or bool((lengths < 0).any()):
            raise ValueError("the lengths of records are inconsistent")

    def fit(self, log_probs: Floats, places: Ints, targets: Ints) -> None:
        """Fit the weights to held-out targets (n,), which had these log-probabilities (n, V) before. places: (n,) the number of each in its
        record, from 1."""
        if self.is_counted and self.end_id is not None:
            lengths = self.get_buffer(LENGTHS).cpu().numpy()
            model = EndModel.fit(lengths, log_probs[:, self.end_id], places, targets == self.end_id)
            self.set_weights(WEIGHTS, model.weights)

    def weigh(self, log_probs: Floats, places: Ints | int, alone: bool = False) -> Floats:
        """(n, V) log-probabilities, normalized, with those of an end corrected.

        Args:
            places: (n,) the number of each target in its record, from 1, or that of all rows.
            alone: Whether they come from a mixture without aligned records.
        """
        if not self.is_counted or self.end_id is None:
            return log_probs
        name = WEIGHTS_ALONE if alone and WEIGHTS_ALONE in self._buffers else WEIGHTS
        if name not in self._models:
            self._models[name] = EndModel(self.get_buffer(LENGTHS).cpu().numpy(), self.get_buffer(name).cpu().numpy())
        return self._models[name].weigh(log_probs, self.end_id, places)
