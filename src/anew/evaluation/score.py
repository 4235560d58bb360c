"""A metric (`MetricSpec`) and one measured value of it (`Score`).

The spec alone says how a metric is named, explained, drawn and ranked. The report, its charts, the comparison, the model card
and the JSON files all read it.
"""

from __future__ import annotations

import math
from dataclasses import KW_ONLY, dataclass
from enum import Enum, StrEnum
from typing import Literal, TypedDict, Unpack

Better = Literal["lower", "higher", "closer to real"]
Role = Literal["metric", "reference", "fact"]
ValueFormat = Literal["number", "percent", "ratio", "seconds", "count"]
Question = Literal["closeness", "variety"]

# Items of each set that usually suffice for a comparison. No sentence asks for fewer, so that all ask for the same number.
USUALLY_ENOUGH_ITEMS = 300
# Items with which the interval of a rare share, such as of malformed records, is narrow enough to rule out a share that matters.
ENOUGH_FOR_RARE_SHARES = 2_000
# Items from which on a share counts if it shows a difference: with exact intervals it does so no more often by chance than with 50
LEAST_OF_SHARES = 20
GUESSING = 0.5  # share of pairs of a sample and a real item in which guessing finds the sample


class Division(Enum):
    """How real items were divided into the part to train on and held-out ones.

    Attributes:
        ITEMS: At random, each item (with its near-duplicates) by itself.
        FILES: At random, but what lies together in a file (its clips or passages) stays in one part.
        GIVEN: The parts are the user's own.
    """

    ITEMS = "items"
    FILES = "files"
    GIVEN = "given"


class Group(StrEnum):
    """Groups of metrics by the question they help to answer, with their titles in the report, in the order of the page."""

    FIDELITY = "How close the samples are to real data"
    DIVERSITY = "How varied they are"
    NOVELTY = "How new they are"
    PREDICTION = "How well held-out data is predicted"
    INTERPOLATION = "How smoothly it interpolates"
    COST = "What it costs"


@dataclass(frozen=True, slots=True)
class Tolerance:
    """How far samples may be on the worse side of real data before it matters. A metric with a tolerance is a part of a grade.

    The numbers were chosen on CIFAR-10 and Austen's novels, so that real data passes and faults that a reader sees do not,
    and checked on other data (`bench/verdicts.py`; docs/log.md: "Verdicts by intervals").

    Attributes:
        question: The question that the metric helps to answer.
        small: Differences up to this do not matter.
        large: Differences from this on are plain.
        clause: The figure within a sentence, with the fields {value} of the samples and {real} of real data; {guessing} becomes
            the value of guessing, with that of real data where real data is above it, and {aside} the note, after a comma.
        agreement: The same where samples pass, for a clause that says that something differs; empty: `clause` says neither.
        relative: Differences are shares of the real baseline.
        exact_baseline: The baseline is known to be at least this, without error (0.5 of guessing); None: it is as uncertain
            as the figure.
        decisive: The question is answered with yes only if this metric was measured.
        least: With fewer items the figure counts only if its difference is plain.
        least_to_pass: With fewer items the figure counts only if it shows a difference. Its interval is too wide to rule one
            out, and other figures of the same items do that with more certainty.
        explains_others: A difference is named before those of other figures with the same grade, since they follow from it.
        sees_all: The metric sees whole items, by many features at once, not one thing.
    """

    question: Question
    small: float
    large: float
    clause: str
    _: KW_ONLY
    agreement: str = ""
    relative: bool = False
    exact_baseline: float | None = None
    decisive: bool = False
    least: int = 0
    least_to_pass: int = 0
    explains_others: bool = False
    sees_all: bool = False


def difference_tolerance(small: float, large: float, quantity: str, form: str = "{:.1f} dB") -> Tolerance:
    """The tolerance of how far a quantity is from that of real data. form: format of the difference."""
    value, real = (form.replace(":", f"{name}:") for name in ("value", "real"))
    clause, agreement = (f"{quantity} {verb} {value} (real data: {real})" for verb in ("differs by", "agrees within"))
    return Tolerance("closeness", small, large, clause, agreement=agreement)


@dataclass(frozen=True, slots=True)
class MetricSpec:
    """Description of a metric for readers and programs, whatever its value.

    Attributes:
        name: The key in JSON files and in Python, snake_case.
        title: Title in reports, a few words.
        meaning: One sentence for readers who do not know the metric.
        better: Which way is better; "closer to real": the nearer to 1, the value of real data, the better.
        group: The question it helps to answer.
        minimum: Beginning of its chart: the best or the smallest value that makes sense.
        maximum: The largest possible value; None if there is none.
        is_signed: Whether it may truly be negative, as a difference may; a distance is below 0 by chance only.
        full_axis: Whether its chart always extends to `maximum`, as for shares where 1 is the goal.
        order: Place in the table of a comparison; equal places are sorted by name.
        role: "reference" for a row next to another metric (a naive model, a part of the model), which is never ranked and
            has a grey marker; "fact" for what is not ranked either (parameters, steps).
        award: Title of the best run of a comparison; "" for no award. If several metrics have the same award, the first that
            was measured decides.
        format: Format of its value within a sentence.
        unit: Unit of its value; "" for shares and numbers without one.
        tolerance: Tolerance of a metric that is a part of a grade; None for others.
    """

    name: str
    title: str
    meaning: str = ""
    _: KW_ONLY
    better: Better = "lower"
    group: Group = Group.FIDELITY
    minimum: float = 0.0
    maximum: float | None = None
    is_signed: bool = False
    full_axis: bool = False
    order: int = 100
    role: Role = "metric"
    award: str = ""
    format: ValueFormat = "number"
    unit: str = ""
    tolerance: Tolerance | None = None

    def shown(self, value: float) -> float:
        """A value as readers see it: how often samples are told from real items is at least GUESSING, below which is chance alone."""
        is_guessing = self.tolerance is not None and self.tolerance.exact_baseline == GUESSING
        return max(value, GUESSING) if is_guessing else value

    @property
    def title_in_sentence(self) -> str:
        """The title as it is written within a sentence: names keep their capital."""
        first = self.title.partition(" ")[0]
        return self.title if first.isupper() or first == "Fréchet" else f"{self.title[0].lower()}{self.title[1:]}"

    def format_value(self, value: float) -> str:
        """The value as readers see it, as text within a sentence."""
        value = self.shown(value)
        if self.format == "percent":
            return f"{value:.0%}"
        if self.format == "ratio":
            return f"{value:.2f}"
        if self.format == "seconds":
            return f"{value:.2g} s" if value < 100 else f"{value:.0f} s"
        return f"{value:,.0f}" if self.format == "count" else f"{value:.3g}"


class ToleranceOptions(TypedDict, total=False):
    """Further attributes of a `Tolerance`."""

    agreement: str
    relative: bool
    decisive: bool
    least: int
    least_to_pass: int
    explains_others: bool
    sees_all: bool


def bounded_spec(
    name: str,
    title: str,
    meaning: str,
    tolerance: Tolerance,
    *,
    better: Better = "lower",
    order: int = 100,
    award: str = "",
) -> MetricSpec:
    """A metric from 0 to 1, a share or a distance, that is a part of a grade. Arguments: see `MetricSpec`."""
    group = Group.DIVERSITY if tolerance.question == "variety" else Group.FIDELITY
    return MetricSpec(
        name, title, meaning, better=better, group=group, maximum=1.0, order=order, award=award, tolerance=tolerance
    )


def guessing_spec(
    name: str,
    title: str,
    meaning: str,
    clause: str,
    *,
    large: float = 0.35,
    order: int = 100,
    one_sided: bool = False,
    ending: str = "",
    **options: Unpack[ToleranceOptions],
) -> MetricSpec:
    """The metric of how often samples are told from real items, 0.5 if by guessing alone; 65% does not matter, 85% is obvious.

    Args:
        name, title, order: See `MetricSpec`.
        meaning: How often what happens, a sentence without its end.
        clause: The difference that tells them apart, the beginning of the clause of the tolerance.
        large, options: See `Tolerance`.
        one_sided: Whether guessing also stands for less often than that.
        ending: End of the clause, after the numbers.
    """
    clause = f"{clause} {{value:.0%}} of the time {{guessing}}{ending}"
    half = "50% or less" if one_sided else "50%"
    sentence = f"{meaning} ({half} is guessing, 100% always)."
    tolerance = Tolerance("closeness", 0.15, large, clause, exact_baseline=GUESSING, **options)
    return MetricSpec(name, title, sentence, minimum=GUESSING, maximum=1.0, order=order, tolerance=tolerance)


@dataclass(frozen=True, slots=True)
class Score:
    """One measured value of a metric.

    Attributes:
        value: The value; not finite where it could not be computed.
        low, high: Ends of the 95% interval; None without one.
        real_baseline: The value for as many training items in the samples' place.
        naive_baseline: The value for a naive generator in the samples' place.
        n: Number of items or characters that were measured.
        source: Data and method of the measurement, one clause.
        p: P-value of the test that samples and real items have the same distribution, if there is one.
        note: A remark for readers; "" for none.
        counted: What n counts, singular: a sample, or a piece of one.
        among: Number of samples among which the n counted ones are, if only some are counted, such as valid ones; 0 if all are.
        real_high: Upper end of the 95% interval of the real baseline, where samples are accused of exceeding it.
    """

    spec: MetricSpec
    value: float
    _: KW_ONLY
    low: float | None = None
    high: float | None = None
    real_baseline: float | None = None
    naive_baseline: float | None = None
    n: int = 0
    source: str = ""
    p: float | None = None
    note: str = ""
    counted: str = "sample"
    among: int = 0
    real_high: float | None = None

    @property
    def name(self) -> str:
        return self.spec.name

    @property
    def title(self) -> str:
        return self.spec.title

    @property
    def better(self) -> Better:
        return self.spec.better

    @property
    def interval(self) -> tuple[float, float] | None:
        """The 95% interval, if there is one."""
        return None if self.low is None or self.high is None else (self.low, self.high)

    @property
    def shown_interval(self) -> tuple[float, float] | None:
        """The interval without values that the figure cannot have, such as distances below 0.

        Grades need all of it: the half below the value says how much chance may have added.
        """
        if self.low is None or self.high is None:
            return None
        if self.spec.is_signed:
            return self.low, self.high
        low = max(self.low, min(0.0, self.spec.minimum, self.value))
        return self.spec.shown(low), self.spec.shown(self.high)

    @property
    def shown_value(self) -> float:
        """The value as readers see it."""
        return self.spec.shown(self.value)

    @property
    def shown_baseline(self) -> float | None:
        """The real baseline as readers see it."""
        return None if self.real_baseline is None else self.spec.shown(self.real_baseline)

    def to_json(self) -> dict[str, object]:
        """The object for report.json; values that are not finite become null, as JSON has no such numbers."""
        numbers: dict[str, float | None] = {
            "value": self.value,
            "low": self.low,
            "high": self.high,
            "real_baseline": self.real_baseline,
            "naive_baseline": self.naive_baseline,
        }
        plain: dict[str, object] = {"name": self.name, "title": self.spec.title}
        plain |= {key: float(x) if x is not None and math.isfinite(x) else None for key, x in numbers.items()}
        plain |= {} if self.p is None else {"p": float(self.p)}
        plain |= {"note": self.note} if self.note else {}
        return plain | {"better": self.better, "n": int(self.n), "source": self.source}
