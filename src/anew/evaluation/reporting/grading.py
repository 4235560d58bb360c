"""The grades of a report: one rule for all figures that answer a question.

Every metric whose spec has a `Tolerance` is a part of a grade. A part says how far samples are on the worse side of real data:
the *excess*, with a 95% interval. Its baseline is the score of training items in the samples' place. It is measured on as many
items and so is as uncertain as the figure itself: the interval of the excess is that of the figure times the root of two. It is
not widened if the baseline is known without error (0.5 for guessing) and training items are within chance of it. If training and
held-out items themselves differ (as in a log whose end is held out), samples need not be closer than training items; where a
figure ends at 1, the excess is then a share of what is left up to 1 if even its better end is beyond `small`, or a classifier that
is always right would hardly count, and nothing is `good` whose worse end is beyond `small` as such a share. If a classifier plainly tells
training from held-out items (by more than `small`, beyond chance), samples may differ as much from either, so no yes can be shown.

The rule:

- `good`: the *worse* end of the interval is within `Tolerance.small`. So a difference that matters has been excluded at 97.5%.
  Few items cannot do that, since their interval is wide.
- `poor`: the better end is beyond `Tolerance.large`. Two parts may show it together for a question, see `plain_together`.
- `fair`: the better end is beyond `small`; or the estimate is beyond `small` and the better end beyond a third of `small` (with a
  dozen parts, 0 instead of a third would accuse real data too often); or the worse end is beyond `small` although as many items
  were compared as real data needs to pass.
- `too_few`: all others. Real data in the samples' place passes with 99% if the half-width is at most 1 / POWER of `small`, and
  half-widths fall with the root of the number of items. From this follows the number that would be enough. It is the largest of
  all parts: one that passes with few items may have been lucky, and figures that only count with more items (`least`) must pass
  then, too.

The grade of a question is that of its weakest part. No question is `good` without its decisive part (the classifier two-sample
test; coverage), with fewer than MIN_FOR_GOOD items in it, with a part that lacks its interval, or if time was up before
everything was measured. In that last case `fair` is not given as an answer either, since a metric that is missing could be
`poor`. A metric without a real baseline does not count. One of fewer items than it needs counts only if it is `poor`.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from anew.core.wording import UNMEASURED, first_listed, plural, rounded_up, unsigned_zero
from anew.evaluation.measure import BOTH, NOTHING, Unmeasured
from anew.evaluation.metrics.classes import LABEL_ACCURACY, LABEL_HISTOGRAM, WORST_CLASS_ACCURACY, class_mix_warning
from anew.evaluation.metrics.two_sample import TWO_SAMPLE_AUC
from anew.evaluation.reporting.supply import MIN_FOR_GOOD, UNLIMITED, Supply
from anew.evaluation.score import USUALLY_ENOUGH_ITEMS, Division, Question, Score, Tolerance

Grade = Literal["good", "fair", "poor", "too_few"]
Answer = Grade | Literal["not_settled", "not_measured"]

POWER = 2.2  # real data passes with 99% if this many half-widths of an excess are within `small`: (1.96 + 2.33) / 1.96
# A share that none of the real items has (or all) counts as this part of `small` where it is said how many items real data would need;
# chosen: with so many, real data passes (tests).
LEAST_SHARE = 0.25
# How much a classifier may separate training from held-out items without a warning, in AUC, beyond half its interval.
SEPARABILITY_SLACK = 0.05
# Why real items of two parts may differ, by how they were divided.
REASONS = {
    Division.ITEMS: "near-duplicates are in one part, or chance made it so",
    Division.FILES: "pieces of one file are in one part, and are alike; so are files that are nearly the same",
    Division.GIVEN: "they are of different times or sources, items of one file resemble each other, or many items are variants of few",
}
FORMAT = re.compile(r"\{value:([^}]*)\}")  # the format of a figure in the template of its clause
MAX_NAMED = 3  # names of what was not measured in a sentence: more are not read
MAX_NEEDED = 100_000  # advice to give more items than this would help nobody
DECISIVE_METRICS: dict[Question, str] = {"closeness": "classifier two-sample test", "variety": "coverage"}
WORST_FIRST: tuple[Grade, ...] = ("poor", "fair", "too_few", "good")


@dataclass(frozen=True, slots=True)
class Part:
    """The answer of one metric to a question.

    Attributes:
        score: Score of the metric.
        tolerance: Tolerance of the metric.
        excess: How far samples are on the worse side of real data.
        low, high: Its 95% interval; None if it could not be measured.
        grade: Grade of this part alone.
        times_needed: Multiple of the present number of items with which real data would pass; 0 if it is not known.
    """

    score: Score
    tolerance: Tolerance
    excess: float
    low: float | None
    high: float | None
    grade: Grade
    times_needed: float

    @property
    def weakness(self) -> float:
        """How near samples are to a plain difference if they differ, else to one that matters, by the worse end."""
        if self.grade in ("fair", "poor") or self.high is None:
            return self.excess / self.tolerance.large
        return self.high / self.tolerance.small

    @property
    def is_plain_by_value(self) -> bool:
        """Whether the difference is plain by the estimate, and matters even at the better end of the interval."""
        return self.low is not None and self.low > self.tolerance.small and self.excess > self.tolerance.large

    @property
    def explains_others(self) -> bool:
        """Whether samples differ by something from which differences by other figures follow."""
        return self.tolerance.explains_others and self.grade in ("fair", "poor")

    @property
    def clause(self) -> str:
        """The figure as a clause of a sentence, compared with that of real data."""
        real, exact = self.score.real_baseline or 0.0, self.tolerance.exact_baseline
        is_real_above = exact is not None and real - exact > _chance(self.score)
        real = real if exact is None else max(real, exact)
        guessing = f"(real data: {real:.0%}; guessing: 50%)" if is_real_above else "(guessing: 50%)"
        form = (self.tolerance.agreement if self.grade == "good" else "") or self.tolerance.clause
        aside = f", {self.score.note}" if self.score.note else ""
        numbers = {"value": self.score.shown_value, "real": real, "guessing": guessing}
        return aside.join(unsigned_zero(part.format(**numbers)) for part in form.split("{aside}"))

    @property
    def has_weak_reference(self) -> bool:
        """Whether real items themselves are told apart by more than what does not matter, beyond chance."""
        exact, real = self.tolerance.exact_baseline, self.score.real_baseline
        if exact is None or real is None or not self.tolerance.decisive:
            return False
        return real - exact - _chance(self.score) > self.tolerance.small

    @property
    def is_informative(self) -> bool:
        """Whether its clause says more than that samples and real data have none of what it counts."""
        values = self.score.value, self.score.real_baseline or 0.0
        return any(self._number(value) != self._number(0.0) for value in values)

    def _number(self, number: float) -> str:
        """A number in the format of the figure."""
        return unsigned_zero(format(number, self.number_format))

    @property
    def is_percent(self) -> bool:
        """Whether the figure is given in percent."""
        return self.number_format.endswith("%")

    @property
    def number_format(self) -> str:
        """The format of the figure in its clause."""
        match = FORMAT.search(self.tolerance.clause)
        return match[1] if match else ".3g"

    @property
    def interval(self) -> str:
        """The 95% interval of the figure as text, a share or a percentage as in its clause; "" without one."""
        ends = self.score.shown_interval
        if ends is None:
            return ""
        formats = [self.number_format]
        if self.is_percent:  # 0% to 0.4% of samples, never "0% to 0%"
            formats += [".1%", ".2%"]
        texts = [[unsigned_zero(format(end, form)) for end in ends] for form in formats]
        bounds = next((pair for pair in texts if pair[0] != pair[1] or ends[0] == ends[1]), texts[-1])
        return f"{' to '.join(bounds)} {self.score.spec.unit}".strip()

    def to_json(self) -> dict[str, object]:
        """Its entry in report.json."""
        return {
            "question": self.tolerance.question,
            "name": self.score.name,
            "grade": self.grade,
            "excess": self.excess,
            "low": self.low,
            "high": self.high,
            "small": self.tolerance.small,
            "large": self.tolerance.large,
            "n": self.score.n,
            "needed": math.ceil(self.times_needed * self.score.n),
            "clause": self.clause,
        }


def parts(scores: Iterable[Score]) -> list[Part]:
    """The parts of all scores that have a tolerance and enough items to count, in their order."""
    return [part for part in _all_parts(scores) if _is_informative(part)]


def _all_parts(scores: Iterable[Score]) -> list[Part]:
    """The parts of all scores that have a tolerance, of few items too."""
    measured = [part_of(score) for score in scores if score.spec.tolerance is not None]
    return [part for part in measured if part is not None]


def _is_informative(part: Part) -> bool:
    """Whether a part has enough items to say something, or shows a difference in spite of few items."""
    if part.score.n < part.tolerance.least:
        return part.grade == "poor" and part.high is not None
    return part.score.n >= part.tolerance.least_to_pass or part.grade in ("fair", "poor")


def part_of(score: Score) -> Part | None:
    """The part of a score; None without a baseline, or if the score is not finite."""
    tolerance, real = score.spec.tolerance, score.real_baseline
    if tolerance is None or real is None:
        return None
    scale = real if tolerance.relative else 1.0
    if not math.isfinite(score.value) or not math.isfinite(real) or scale <= 0.0:
        return None
    sign = -1.0 if score.better == "higher" else 1.0
    ends = score.interval
    if ends is None:
        excess = sign * (score.value - real) / scale
        grade = _grade(tolerance, excess, excess, math.inf, has_enough=False)
        return Part(score, tolerance, excess, None, None, grade, 0.0)
    better, worse = (score.value - ends[0], ends[1] - score.value)[:: int(sign)]
    exact, headroom = tolerance.exact_baseline, 1.0
    if exact is not None and sign * (real - exact) <= _chance(score):
        # Training items that are better than guessing are lucky, which must not excuse a fault of the samples.
        excess = max(sign * (score.value - exact) / scale, 0.0)
    else:
        better, worse = math.sqrt(2.0) * better, math.sqrt(2.0) * worse
        maximum, above = score.spec.maximum, score.value - real
        if exact is not None and maximum is not None and above > 0.0:
            headroom = (maximum - real) / (maximum - exact)
            # Items of few documents make both figures less certain than their intervals say: only what is beyond doubt counts.
            scale = headroom if (above - better) / headroom > tolerance.small else scale
        excess = sign * (score.value - real) / scale
    low, high = excess - better / scale, excess + worse / scale
    if score.better == "closer to real":  # both sides are worse
        excess, low, high = abs(excess), max(low, -high), max(abs(low), abs(high))
    times_needed = (POWER * (high - low) / 2.0 / tolerance.small) ** 2
    grade = _grade(tolerance, excess, low, high, has_enough=times_needed <= 1.0)
    if grade == "good" and headroom < 1.0 and high * scale > tolerance.small * headroom:
        # The nearer the baseline is to the end, the more a step towards it means
        grade, times_needed = "too_few", times_needed / headroom**2
    part = Part(score, tolerance, excess, low, high, grade, times_needed)
    if grade == "too_few" and part.is_percent and not tolerance.relative and exact is None:
        part = replace(part, times_needed=_times_of_real(score, tolerance, real, times_needed))
    return replace(part, grade="too_few") if grade == "good" and part.has_weak_reference else part


def _times_of_real(score: Score, tolerance: Tolerance, real: float, times_needed: float) -> float:
    """`Part.times_needed` for a share, corrected for real data: the interval of samples with errors is wider than that of real data
    with few. Returned unchanged where the number of items would suffice for real data."""
    least = LEAST_SHARE * tolerance.small
    shares = [min(max(share, least), 1.0 - least) for share in (real, score.value)]
    real_variance, variance = (share * (1.0 - share) for share in shares)
    times_of_real = times_needed * real_variance / variance
    return times_of_real if 1.0 < times_of_real < times_needed else times_needed


def _chance(score: Score) -> float:
    """How far the baseline of a classifier may be from guessing by chance alone: half a 95% interval.

    The interval of a figure near 1 is far narrower than that of guessing, so it would take an unlucky baseline for a difference.
    """
    ends = score.interval
    half = 0.0 if ends is None else (ends[1] - ends[0]) / 2.0
    return max(half, 1.96 / math.sqrt(6.0 * score.n)) if score.spec.maximum == 1.0 else half


def _grade(tolerance: Tolerance, excess: float, low: float, high: float, has_enough: bool) -> Grade:
    if low > tolerance.large:
        return "poor"
    if high <= tolerance.small:
        return "good"
    if low > tolerance.small or (excess > tolerance.small and low > tolerance.small / 3.0) or has_enough:
        return "fair"
    return "too_few"


@dataclass(frozen=True, slots=True)
class Grading:
    """The grade of a question, and why.

    Attributes:
        grade: Grade by all parts.
        parts: The parts, the weakest first.
        n: Number of items of the part that has too few, or else of the decisive part, or the smallest of all parts.
        counted: What n counts, singular.
        needed: Number of items that would be enough for an answer; 0 if there is an answer.
        is_decided: Whether a decisive part was measured; without one the grade cannot be "good".
        unmeasured: Names of what was not measured for lack of time, if that may make the answer worse, or leaves it open.
        left_out: Number of items that were left out for lack of time, if so few were compared that there is no answer.
        together: The parts that show a plain difference together, though none does by itself; see `plain_together`.
    """

    grade: Grade
    parts: tuple[Part, ...]
    n: int
    needed: int
    is_decided: bool = True
    unmeasured: tuple[str, ...] = ()
    counted: str = "sample"
    left_out: int = 0
    together: tuple[Part, ...] = ()

    @property
    def is_settled(self) -> bool:
        """Whether everything was measured that an answer needs."""
        return self.is_decided and not self.unmeasured and not self.left_out

    @property
    def is_at_best_fair(self) -> bool:
        """Whether there is a difference that matters, and what was not measured may differ plainly."""
        return self.grade == "fair" and bool(self.unmeasured)

    @property
    def answer(self) -> Answer:
        """The grade as reports give it: "not_settled" where time was missing, not items."""
        if self.is_at_best_fair or (self.grade == "too_few" and not self.is_settled):
            return "not_settled"
        return self.grade

    @property
    def weakest(self) -> Part:
        """The part that decides; of several with the same grade, the weakest that is worse than real data, if any."""
        equal_parts = [part for part in self.parts if part.grade == self.parts[0].grade]
        informative = [part for part in equal_parts if part.is_informative]
        # A figure that is better than that of real data is weak only by its interval, which its clause does not say
        return next((part for part in informative if part.excess > 0.0), next(iter(informative), self.parts[0]))

    @property
    def is_perhaps_poor(self) -> bool:
        """Whether the difference of the weakest part is plain by its estimate, and might be smaller by its interval."""
        return self.grade == "fair" and self.weakest.is_plain_by_value

    @property
    def has_weak_reference(self) -> bool:
        """Whether there is no answer because real items themselves differ too much: see `Part.has_weak_reference`."""
        return self.grade == "too_few" and self.is_settled and any(part.has_weak_reference for part in self.parts)

    @property
    def differing(self) -> list[Part]:
        """The parts that are fair or poor."""
        return [part for part in self.parts if part.grade in ("fair", "poor")]

    def count(self, supply: Supply) -> str:
        """The number of items compared, and how many would be enough; or what was not measured. A clause."""
        if self.left_out and self.is_decided and not self.unmeasured:
            # `n` would be too small for a figure of valid items alone
            compared = supply.compared - self.left_out
            return f"there was time to compare only {compared:,} of {plural(supply.compared, self.counted)}"
        if not self.is_settled:
            missing = self.unmeasured or (f"the {DECISIVE_METRICS[self.weakest.tolerance.question]}",)
            return f"{UNMEASURED}: {first_listed(missing, MAX_NAMED)}"
        if self.has_weak_reference:
            real = next(part.score.real_baseline or 0.0 for part in self.parts if part.has_weak_reference)
            parts = "two halves of the data" if supply.are_halves else "training and held-out items"
            return f"{parts} are themselves told apart {real:.0%} of the time (guessing: 50%)"
        counted = f"{self.n:,}" if self.counted == "sample" else plural(self.n, self.counted)
        clause = f"{counted} compared; about {self.needed:,} would do"
        if supply.held_out is None or supply.can_settle(self):
            return clause
        if self.n >= supply.held_out:
            share = "as many as half of the data holds" if supply.are_halves else "all that are held out"
            return f"{counted} compared, {share}; about {self.needed:,} would do"
        return f"{clause}, but {supply.held_out_clause()}"


def grade_question(
    scores: Sequence[Score], question: Question, unmeasured: Sequence[str] = (), supply: Supply = UNLIMITED
) -> Grading | None:
    """The grade of a question by all parts that answer it; None if there are none.

    Args:
        unmeasured: Names of what would help to answer it and was not measured for lack of time; only "poor" is an answer then.
        supply: What limits the number of items.
    """
    measured = [part for part in _all_parts(scores) if part.tolerance.question == question]
    answers = [part for part in measured if _is_informative(part)]
    if not answers:
        return None
    waiting = [part for part in measured if not _is_informative(part)]
    if class_mix_warning({score.name: score for score in scores}):
        answers = [
            replace(p, grade="fair") if p.score.name == LABEL_HISTOGRAM.name and p.grade != "poor" else p
            for p in answers
        ]
    answers.sort(key=lambda part: (WORST_FIRST.index(part.grade), not part.explains_others, -part.weakness))
    together = plain_together(answers)
    answers = [*together, *(part for part in answers if part not in together)]
    decisive = [part for part in answers if part.tolerance.decisive]
    fewest = min(decisive or answers, key=lambda part: part.score.n).score
    n = fewest.n
    grade: Grade = "poor" if together else answers[0].grade
    # More time does not settle what there are too few items for
    missing = tuple(unmeasured) if grade == "fair" or (grade == "good" and n >= MIN_FOR_GOOD) else ()
    open_parts = [part for part in answers if part.grade == "too_few"]
    if grade == "too_few" and n >= MIN_FOR_GOOD and all(part.low is None for part in open_parts):
        missing = tuple(f"the interval of {part.score.spec.title_in_sentence}" for part in open_parts)
    if grade == "good" and (missing or not decisive or n < MIN_FOR_GOOD):
        grade = "too_few"
    needed = 0
    if grade == "too_few":
        # Figures that count words or characters are measured on all items
        max_items = max(supply.compared - supply.left_out, n)
        n = _num_items(answers[0], max_items) if answers[0].grade == "too_few" else n
        needed = _items_needed(answers, waiting, n, max_items)
    # Real items that differ among themselves do so in any number
    is_hurried = grade == "too_few" and not any(part.has_weak_reference for part in answers)
    left_out = supply.left_out if is_hurried else 0
    if is_hurried and question in supply.partly:  # the open figure may be one of fewer items
        left_out = max(left_out, supply.compared - n)
    return Grading(grade, tuple(answers), n, needed, bool(decisive), missing, fewest.counted, left_out, together)


def plain_together(answers: Sequence[Part]) -> tuple[Part, ...]:
    """Two parts that show a plain difference together, the more certain one first; () where none do, or where one does by itself.

    One figure sees whole items, and the other a single property; two of a kind may see the same error. Both must show a difference
    that matters, and the estimate of one must be plain. The better ends of their intervals, as shares of `large`, must have squares
    that add up to more than 1, as the cues of an observer do that are independent of each other. But both are measured on the same
    samples: where both see one error, by which 80% are told apart, up to 19% of reports on 20 to 40 samples are `poor`, though
    `fair` is right; reports on real items never are (docs/log.md, 2026-11-30).
    """
    if any(part.grade == "poor" for part in answers):
        return ()
    shown = [(part.low / part.tolerance.large, part) for part in answers if part.low is not None]
    shown = [(share, part) for share, part in shown if part.low is not None and part.low > part.tolerance.small]
    of_kinds = [[pair for pair in shown if pair[1].tolerance.sees_all is sees_all] for sees_all in (True, False)]
    pairs = sorted((max(kind, key=lambda pair: pair[0]) for kind in of_kinds if kind), key=lambda pair: -pair[0])
    is_plain = any(part.is_plain_by_value for _, part in shown) and math.hypot(*(share for share, _ in pairs)) > 1.0
    return tuple(part for _, part in pairs) if is_plain else ()


def _items_needed(answers: Iterable[Part], waiting: Iterable[Part], n: int, most: int) -> int:
    """How many items would be enough for an answer.

    Args:
        answers: All parts that count.
        waiting: Parts that begin to count with more items, and must pass then.
        n: Items of the weakest part.
        most: Number of items compared; figures that count words have more.
    """

    def needed_by(part: Part) -> float:
        return part.times_needed * _num_items(part, most)

    needed = max([0.0, *map(needed_by, answers)])
    needed = max(needed if needed > n else 2.0 * n, USUALLY_ENOUGH_ITEMS)
    for counts_from, part in sorted(((_counts_from(part, most), part) for part in waiting), key=lambda pair: pair[0]):
        if needed >= counts_from:
            needed = max(needed, needed_by(part))
    return rounded_up(math.ceil(min(needed, MAX_NEEDED)))


def _num_items(part: Part, most: int) -> int:
    """The number of items that a part compares, also where it counts only some of them. most: number of all that are compared."""
    return min(part.score.among or part.score.n, most)


def _counts_from(part: Part, most: int) -> float:
    """The number of items from which on a part counts in any case."""
    least = max(part.tolerance.least, part.tolerance.least_to_pass)
    return least * min(part.score.n, most) / max(part.score.n, 1)


def baseline_warning(scores: Iterable[Score], supply: Supply) -> str:
    """A warning if a classifier can tell training from held-out items, so that real baselines are weak; else "".

    Items that were divided one by one at random hardly differ, so only what is beyond twice the chance of one figure counts there.
    """
    score = next((score for score in scores if score.name == TWO_SAMPLE_AUC.name), None)
    if score is None or score.real_baseline is None or score.interval is None:
        return ""
    chance = _chance(score) * (2.0 if supply.division is Division.ITEMS else 1.0)
    if score.real_baseline - 0.5 <= chance + SEPARABILITY_SLACK:
        return ""
    parts_told_apart = "two halves of the data" if supply.are_halves else "training from held-out items"
    return (
        f"A classifier tells {parts_told_apart} {'apart ' if supply.are_halves else ''}{score.real_baseline:.0%} of the time "
        f"(guessing: 50%): {REASONS[supply.division]}. So the figures of real data are a weak reference: samples may differ as "
        "much from either set."
    )


def looks_like_nothing_real(scores: Sequence[Score]) -> bool:
    """Whether samples are plainly unlike the data, by any figure but those of classes: new are they only as noise is."""
    of_classes = (LABEL_ACCURACY.name, WORST_CLASS_ACCURACY.name)
    grading = grade_question([score for score in scores if score.name not in of_classes], "closeness")
    return grading is not None and grading.grade == "poor"


def grade_by_question(
    scores: Sequence[Score], unmeasured: Unmeasured = NOTHING, supply: Supply = UNLIMITED
) -> Mapping[Question, Grading]:
    """The gradings of all questions that scores answer. unmeasured: of any question; supply: see `grade_question`."""
    missing = {question: [name for name, answered in unmeasured.items() if question in answered] for question in BOTH}
    gradings = {question: grade_question(scores, question, missing[question], supply) for question in BOTH}
    return {question: grading for question, grading in gradings.items() if grading is not None}
