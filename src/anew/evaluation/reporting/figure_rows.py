"""The figures of a report as its page shows them: in groups, those that decided an answer first, all others folded away."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from anew.evaluation.reporting import charts
from anew.evaluation.reporting.charts import ScaleChart
from anew.evaluation.reporting.grading import part_of
from anew.evaluation.reporting.page import format_number
from anew.evaluation.score import Group, Score

FEW_FIGURES = 6  # a page with no more shows all of them: nothing is gained by folding them away


@dataclass(frozen=True, slots=True)
class FigureRow:
    """A figure of the page.

    Attributes:
        score: The figure.
        scale: Its scale; None without one.
        is_percent: Whether it is shown in percent, as sentences say it.
        counts_from: From how many items on it says something, if it was measured on fewer; else 0. It is not drawn then.
    """

    score: Score
    scale: ScaleChart | None
    is_percent: bool
    counts_from: int

    @property
    def source(self) -> str:
        return "; ".join(text for text in (self.score.source, self.score.note) if text)

    @property
    def value(self) -> str:
        return self._number(self.score.shown_value)

    @property
    def interval(self) -> str:
        """The ends of the 95% interval; "" without one."""
        ends = self.score.shown_interval
        return "" if ends is None else f"{self._number(ends[0])} to {self._number(ends[1])}"

    @property
    def baselines(self) -> list[str]:
        """The figures of real data and of a naive generator, if known."""
        baselines = {"real": self.score.shown_baseline, "naive": self.score.naive_baseline}
        return [f"{name}: {self._number(value)}" for name, value in baselines.items() if value is not None]

    def _number(self, value: float) -> str:
        return f"{100.0 * value:.3g}%" if self.is_percent else format_number(value)


@dataclass(frozen=True, slots=True)
class FigureGroup:
    """Figures under one title.

    Attributes:
        rows: Rows that are shown at once.
        folded: Rows that are shown on demand.
    """

    title: str
    rows: list[FigureRow]
    folded: list[FigureRow]


@dataclass(frozen=True, slots=True)
class Legend:
    """Which marks the scales of a page have besides that of the run."""

    has_real_baseline: bool
    has_naive_baseline: bool
    has_reference: bool

    @classmethod
    def of(cls, scores: Sequence[Score]) -> Legend:
        return cls(
            any(score.real_baseline is not None for score in scores),
            any(score.naive_baseline is not None for score in scores),
            any(score.spec.role == "reference" for score in scores),
        )


def group_figures(scores: Sequence[Score], deciding: Collection[str], too_few: Collection[str]) -> list[FigureGroup]:
    """Figures by group, with their scales. Bits per unit and the rows next to them share one scale.

    Args:
        scores: The figures.
        deciding: Names of those that decided an answer.
        too_few: Names of those that were measured on too few items to say something.
    """
    bits = [score for score in scores if score.spec.group is Group.PREDICTION]
    end = 1.1 * max((max(score.value, score.high or 0.0) for score in bits), default=0.0)

    def row(score: Score) -> FigureRow:
        least = score.spec.tolerance.least if score.spec.tolerance is not None and score.name in too_few else 0
        part = part_of(score)
        is_percent = part is not None and part.is_percent
        common_end = end if score.spec.group is Group.PREDICTION else None
        scale = None if least else charts.scale_chart(score, common_end, is_percent=is_percent)
        return FigureRow(score, scale, is_percent, least)

    groups = []
    for group in Group:
        rows = [row(score) for score in scores if score.spec.group is group]
        visible_rows = [row for row in rows if row.score.name in deciding] if len(scores) > FEW_FIGURES else rows
        if rows:
            groups.append(FigureGroup(group.value, visible_rows, [row for row in rows if row not in visible_rows]))
    return groups
