"""Numbers of samples that reports and comparisons draw.

A sample of long text is a passage of many characters, and each character is a symbol to draw. So it takes as long as many records
or images, and says as much: fewer are drawn. Short documents (quotes, messages) say less each, and take less time.
"""

from __future__ import annotations

import math
import sys
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from anew.core.specs import Spec, Tokens
from anew.data.dataset import Dataset
from anew.evaluation.inputs import MAX_SAMPLES, MIN_ITEMS, RealItems
from anew.evaluation.items_in_time import WITHIN_TIME
from anew.evaluation.memorization.item_types import PASSAGE
from anew.evaluation.memorization_schedule import samples_needed
from anew.evaluation.score import USUALLY_ENOUGH_ITEMS
from anew.workflows.item_inputs import held_out_size, num_held_out_documents, num_items

PIECES = 4  # pieces of a passage that are judged, at least, so that a passage is not one accident alone; chosen
# The number of samples of running text is divided by these; a comparison samples several runs.
REPORT_PASSAGES, COMPARISON_PASSAGES = 8, 32
# Samples are drawn for this many times the pieces that any figure needs: lengths of 60 documents vary by an eighth together, and
# samples may be shorter than documents; chosen.
SPARE_PIECES = 1.25
# Up to so many times the number of samples are drawn in time that is left over: the copying test then notices fewer copies; chosen
MAX_FURTHER = 4
# So much held-out text is read: its documents say how long samples will be; chosen.
MEASURED_CHARACTERS = 400_000


class SampleTargets(NamedTuple):
    """Numbers of samples that decide what share of the time sampling may take.

    Attributes:
        least: Answers stay open with fewer samples, so sampling may take GRADED_SHARE of the time until then.
        ample: With so many, the figures compare all they can, and the copying test proves its rates. Further samples are drawn only within
            EXTRA_SHARE of the time.
        held_out: Number of held-out items; 0 for running text, whose pieces are not counted as samples are.
        few_first: Whether samples that any figure needs are measured before more are drawn, which takes EXTRA_SHARE of the time at most.
        most: No more are drawn before they are measured.
        required: Samples that any figure needs: more than MIN_ITEMS where several of them make a piece.
    """

    least: int
    ample: int
    held_out: int = 0
    few_first: bool = False
    most: int = sys.maxsize
    required: int = MIN_ITEMS

    def in_short_report(self, is_busy: bool) -> SampleTargets:
        """The same for a report without time to measure more samples than the answers need.

        is_busy: Whether cores are so busy that drawing these may leave no time to measure any.
        """
        return self.with_figures_first()._replace(ample=min(self.least, self.ample), few_first=is_busy)

    def with_figures_first(self) -> SampleTargets:
        """The same where the figures that the answers need may take long: more samples are drawn once these are measured."""
        return self._replace(most=max(self.least, self.required))

    def reason(self, n: int) -> str:
        """Why n samples were drawn and no more, if nothing stopped the sampling; a clause."""
        if n == self.held_out:
            return "as many as there are held-out items to compare them with"
        return "as many as the answers usually need" if n in (self.least, self.ample) else WITHIN_TIME


@dataclass(frozen=True, slots=True)
class SampleCounts:
    """The values that decide how many samples are drawn.

    Attributes:
        is_text: Whether items are running text, which is compared in pieces of PASSAGE characters, not whole records.
        held_out: Number of held-out items, or pieces, that samples are compared with for closeness and variety.
        pieces: Pieces that a sample has: as many as a document on average, at most PIECES; below 1 for short ones. 1 for records.
    """

    is_text: bool
    held_out: int
    pieces: float = 1.0

    @classmethod
    def of(cls, data: Dataset) -> SampleCounts:
        """The counts for samples of a model of this data."""
        if not is_running_text(data.base.spec):
            return cls(is_text=False, held_out=held_out_size(data))
        lengths = np.array([len(text) for text in data.text("test", MEASURED_CHARACTERS)])
        pieces = float(np.minimum(lengths / PASSAGE, PIECES).mean()) if len(lengths) else PIECES
        return cls(
            is_text=True, held_out=int(lengths.sum()) // PASSAGE, pieces=max(pieces, PIECES / COMPARISON_PASSAGES)
        )

    def enough(self) -> int:
        """The number of samples by which closeness and variety can usually be told: no more than held-out items."""
        return (
            math.ceil(USUALLY_ENOUGH_ITEMS / self.pieces) if self.is_text else min(USUALLY_ENOUGH_ITEMS, self.held_out)
        )

    def required(self) -> int:
        """The number of samples that any figure needs."""
        return max(MIN_ITEMS, math.ceil(SPARE_PIECES * MIN_ITEMS / self.pieces)) if self.is_text else MIN_ITEMS

    def of_report(self, n: int) -> int:
        """How many samples a report draws instead of n: fewer passages of text."""
        return self._fewer(n, REPORT_PASSAGES)

    def of_comparison(self, n: int) -> int:
        """How many samples a comparison draws instead of n: fewer passages of text, and no more than held-out items."""
        return max(4, self._fewer(n, COMPARISON_PASSAGES)) if self.is_text else max(20, min(n, self.held_out))

    def _fewer(self, n: int, passages: int) -> int:
        """The number of samples that are as much text as n / passages passages; at most n."""
        return min(n, math.ceil(n / passages * PIECES / self.pieces)) if self.is_text else n


def sample_targets(data: Dataset) -> SampleTargets:
    """The targets of a report on this data."""
    counts = SampleCounts.of(data)
    if counts.is_text:
        return SampleTargets(counts.enough(), MAX_SAMPLES, required=counts.required())
    ample = max(USUALLY_ENOUGH_ITEMS, counts.held_out, samples_for_novelty(data))
    return SampleTargets(counts.enough(), ample, counts.held_out)


def samples_for_novelty(data: Dataset) -> int:
    """How many samples the copying test needs, usually, to be sure of a rate of copies; 0 if that is not known, as for running text."""
    if is_running_text(data.base.spec):
        return 0
    num_held_out = sum(num_items(data, part) for part in data.held_out()[0])
    return samples_needed(RealItems(num_items(data, "train"), num_held_out))


def held_out_pieces(data: Dataset) -> tuple[int, int]:
    """How many documents are held out, and about how many pieces of them samples are compared with: they are cut as samples are.

    Of fewer than MIN_ITEMS, passages from anywhere are compared, see `ComparedTexts.beginnings`.
    """
    num_texts, counts = num_held_out_documents(data), SampleCounts.of(data)
    if num_texts < MIN_ITEMS:
        return data.scan.parts.get("test", 0), counts.held_out
    return num_texts, int(num_texts * counts.pieces)


def is_running_text(spec: Spec) -> bool:
    """Whether items are texts that are compared in passages, not whole records."""
    return isinstance(spec, Tokens) and spec.packed
