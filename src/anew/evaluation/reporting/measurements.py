"""What an evaluation measured, and what it did not."""

from __future__ import annotations

from dataclasses import dataclass, field

from anew.evaluation.measure import Unmeasured
from anew.evaluation.memorization.result import CopyTestResult
from anew.evaluation.notes import Note
from anew.evaluation.reporting.supply import Supply
from anew.evaluation.score import Score


@dataclass
class Measurements:
    """Results of an evaluation, complete or up to where it was stopped.

    Attributes:
        scores: All scores that were measured.
        copies: The result of the copying test; None if it did not end.
        notes: Notes on what was left out, and on how the report was made.
        unmeasured: Names of what was not measured for lack of time, and the questions that it helps to answer.
        too_few: Why closeness and variety were not measured, if there were too few items; else "".
        supply: What limits the number of items that were compared.
        is_sampling_stopped: Whether a signal ended the sampling.
        is_measuring_stopped: Whether a signal ended the measuring.
        is_out_of_time: Whether the clock ended the measuring.
        score_seconds: How long the scores that carry answers took, without likelihoods.
        copies_seconds: How long the copying test took.
    """

    scores: list[Score] = field(default_factory=list)
    copies: CopyTestResult | None = None
    notes: list[Note] = field(default_factory=list)
    unmeasured: Unmeasured = field(default_factory=dict)
    too_few: str = ""
    supply: Supply = field(default_factory=Supply)
    is_sampling_stopped: bool = False
    is_measuring_stopped: bool = False
    is_out_of_time: bool = False
    score_seconds: float = 0.0
    copies_seconds: float = 0.0

    @property
    def is_stopped(self) -> bool:
        """Whether a signal ended the sampling or the measuring."""
        return self.is_sampling_stopped or self.is_measuring_stopped

    @property
    def ended_by(self) -> str:
        """Why the measuring ended before everything was measured, one clause; "" if it did not."""
        if self.is_measuring_stopped:
            return "the evaluation was stopped before it was measured"
        return "time was up before it was measured" if self.is_out_of_time else ""
