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
    comparable_groups,
    decisive_metrics,
    has_common_scale,
    has_figure,
    ranked_metrics,
    realism_clause,
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
        """Badness of the best and of the worst training."""
        values = [badness(score) for score in self.scores]
        return min(values), max(values)

    def __str__(self) -> str:
        text = self.scores[0].spec.format_value
        return f"{text(self.median)} ({text(self.low)} to {text(self.high)})"

    def to_json(self) -> dict[str, object]:
        """JSON values."""
        return {
            "median": self.median,
            "low": self.low,
            "high": self.high,
            "values": [score.value for score in self.scores],
        }


def spreads(runs: Sequence[RunResult], metric: str) -> list[Spread]:
    """The spread of a metric over the trainings of each family, in their order, for a table. Runs that were hardly trained, figures
    that are not finite, and families of which one training is left are left out."""
    return _spreads([run for run in runs if not run.is_hardly_trained and has_figure(run, metric)], metric)


def ranked_spreads(runs: Sequence[RunResult], metric: str) -> list[Spread]:
    """The spreads of the families that can be ranked by a metric, best first; empty if fewer than two can."""
    ranked = _spreads([run for group in comparable_groups(runs, metric) for run in group], metric)
    if len(ranked) < 2 or ranked[0].scores[0].spec.role == "fact":
        return []
    if not has_common_scale([score for spread in ranked for score in spread.scores]):
        return []
    return sorted(ranked, key=lambda spread: sum(spread.badness))


def leading_spreads(ranked: Sequence[Spread]) -> list[Spread]:
    """The first of ranked spreads, and those whose best training is no worse than its worst one."""
    return [spread for spread in ranked if spread.badness[0] <= ranked[0].badness[1]]


def repeated_families(runs: Sequence[RunResult]) -> list[str]:
    """The families that were trained several times, in their order."""
    return list(dict.fromkeys(run.repeated_family for run in runs if run.repeated_family))


def spread_metrics(runs: Sequence[RunResult]) -> list[MetricSpec]:
    """The metrics whose spread is known, in the order of the table."""
    return [spec for spec in ranked_metrics(runs) if spreads(runs, spec.name)]


def spread_findings(runs: Sequence[RunResult]) -> list[str]:
    """The cautions, then a sentence for each award: the best family, or those whose order is not settled.

    runs: all runs, also those that failed, which count as trainings of their family.
    """
    measured = [run for run in runs if not run.failed]
    decisive = decisive_metrics(measured, lambda spec: bool(ranked_spreads(measured, spec.name)))
    sentences = [*cautions(measured), *_too_few_trainings(runs)]
    return [*sentences, *(_award(measured, award, spec) for award, spec in decisive.items())]


def _spreads(runs: Sequence[RunResult], metric: str) -> list[Spread]:
    """The spread of each family with two or more of these runs, which all have the metric."""
    by_family: dict[str, list[Score]] = {}
    for run in runs:
        if run.repeated_family:
            by_family.setdefault(run.repeated_family, []).append(run.scores[metric])
    return [Spread(family, tuple(scores)) for family, scores in by_family.items() if len(scores) > 1]


def _usable_trainings(runs: Sequence[RunResult], family: str) -> list[RunResult]:
    """The trainings of a family that were measured and not hardly trained."""
    return [run for run in runs if run.repeated_family == family and not run.failed and not run.is_hardly_trained]


def _too_few_trainings(runs: Sequence[RunResult]) -> list[str]:
    """A sentence on each family that has no range, since fewer than two of its trainings are left."""
    sentences = []
    for family in repeated_families(runs):
        usable, trainings = _usable_trainings(runs, family), [run for run in runs if run.repeated_family == family]
        if len(usable) < 2:
            sentences.append(
                f"{family} has no range, which needs two trainings that were measured and ran for long enough ({len(usable)} of "
                f"{len(trainings)}). It is in no ranking."
            )
    return sentences


def _unranked_families(runs: Sequence[RunResult], ranked: set[str], figure: str) -> list[str]:
    """The families with two usable trainings or more that are not ranked, although some training has the figure."""
    families = []
    for family in repeated_families(runs):
        usable = _usable_trainings(runs, family)
        if family not in ranked and len(usable) > 1 and any(figure in run.scores for run in usable):
            families.append(family)
    return families


def _award(runs: Sequence[RunResult], award: str, spec: MetricSpec) -> str:
    ranked = ranked_spreads(runs, spec.name)
    leading = leading_spreads(ranked)
    names = listed([spread.family for spread in leading])
    answer = names if len(leading) == 1 else f"not settled between {names}, whose trainings overlap"
    counts = {len(spread.scores) for spread in ranked}
    of_all = f" of {counts.pop()} trainings" if len(counts) == 1 else ""
    figures = [f"{spread.family} {spread}{'' if of_all else f' of {len(spread.scores)}'}" for spread in ranked]
    unranked = _unranked_families(runs, {spread.family for spread in ranked}, spec.name)
    figures += [f"not ranked, with fewer than two comparable trainings: {listed(unranked)}"] if unranked else []
    figures += realism_clause([run for run in runs if not run.is_hardly_trained]) if spec.name == "path_length" else []
    return f"{award}: {answer} ({spec.title_in_sentence}, median and range{of_all}: {'; '.join(figures)})."
