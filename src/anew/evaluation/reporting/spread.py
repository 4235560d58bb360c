"""Figures over several trainings of a family, each with another seed: how much of a difference is the family, and how much the seed."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from anew.core.wording import listed
from anew.evaluation.reporting.ranking import (
    RunResult,
    badness,
    cautions,
    decisive_metrics,
    ranked_metrics,
    within_sentence,
)
from anew.evaluation.score import MetricSpec, Score


@dataclass(frozen=True, slots=True)
class Spread:
    """One figure of the trainings of a family.

    Attributes:
        family: The family, as it was asked for.
        scores: Score of each training, in the order of the seeds.
    """

    family: str
    scores: tuple[Score, ...]

    @property
    def median(self) -> float:
        """The middle value of the trainings."""
        return statistics.median(score.value for score in self.scores)

    @property
    def low(self) -> float:
        """The lowest value of a training."""
        return min(score.value for score in self.scores)

    @property
    def high(self) -> float:
        """The highest value of a training."""
        return max(score.value for score in self.scores)

    @property
    def badness(self) -> tuple[float, float]:
        """That of the best and of the worst training."""
        values = [badness(score) for score in self.scores]
        return min(values), max(values)

    def __str__(self) -> str:
        shown = self.scores[0].spec.format_value
        return f"{shown(self.median)} ({shown(self.low)} to {shown(self.high)})"

    def to_json(self) -> dict[str, object]:
        """JSON values."""
        return {
            "median": self.median,
            "low": self.low,
            "high": self.high,
            "values": [score.value for score in self.scores],
        }


def spreads(runs: Sequence[RunResult], metric: str) -> list[Spread]:
    """The spread of a metric over the trainings of each family, in their order. Runs that were hardly trained, and families with one
    training that has the metric, are left out."""
    by_family: dict[str, list[Score]] = {}
    for run in runs:
        if run.trainings and metric in run.scores and not run.is_hardly_trained:
            by_family.setdefault(run.trainings, []).append(run.scores[metric])
    return [Spread(family, tuple(scores)) for family, scores in by_family.items() if len(scores) > 1]


def repeated_families(runs: Sequence[RunResult]) -> list[str]:
    """The families that were trained several times, in their order."""
    return list(dict.fromkeys(run.trainings for run in runs if run.trainings))


def spread_metrics(runs: Sequence[RunResult]) -> list[MetricSpec]:
    """The metrics whose spread is known, in the order of the table."""
    return [spec for spec in ranked_metrics(runs) if spreads(runs, spec.name)]


def spread_findings(runs: Sequence[RunResult]) -> list[str]:
    """The cautions, then a sentence for each award: the best family, or those whose order is not settled."""
    decisive = decisive_metrics(runs, lambda spec: spec.role != "fact" and len(spreads(runs, spec.name)) > 1)
    return [*cautions(runs), *(_award(runs, award, spec) for award, spec in decisive.items())]


def _award(runs: Sequence[RunResult], award: str, spec: MetricSpec) -> str:
    ordered = sorted(spreads(runs, spec.name), key=lambda spread: sum(spread.badness))
    # Those of which some training is no worse than the worst of the best family: their order may be that of the seeds.
    first = [spread for spread in ordered if spread.badness[0] <= ordered[0].badness[1]]
    figures = "; ".join(f"{spread.family} {spread}" for spread in ordered)
    names = listed([spread.family for spread in first])
    answer = names if len(first) == 1 else f"not settled between {names}, whose trainings overlap"
    return f"{award}: {answer} ({within_sentence(spec.title)}, median and range of {len(first[0].scores)} trainings: {figures})."
