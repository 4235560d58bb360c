"""Verdicts: scores in whole sentences, for readers who know no statistics. For grades see `grading`."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from anew.core.wording import (
    QUESTIONS,
    UNMEASURED,
    are,
    first_listed,
    listed,
    plural,
    sentence,
    short_training_warning,
    unsigned_zero,
)
from anew.evaluation.measure import Unmeasured
from anew.evaluation.memorization.copy_verdict import copy_verdict
from anew.evaluation.memorization.result import CopyTestResult
from anew.evaluation.metrics.bits import network_gap
from anew.evaluation.metrics.classes import class_mix_warning
from anew.evaluation.metrics.text.text_statistics import VERBATIM_SHARE
from anew.evaluation.metrics.text.words import PAIRS_BEYOND_REAL
from anew.evaluation.reporting.grading import (
    Answer,
    Grade,
    Grading,
    Part,
    baseline_warning,
    grade_by_question,
    looks_like_nothing_real,
)
from anew.evaluation.reporting.outlook import Outlook
from anew.evaluation.reporting.repeats import (
    is_recited,
    keys_clause,
    repeated_keys,
    repeated_text,
    verbatim_clause,
    verbatim_sentence,
)
from anew.evaluation.reporting.supply import UNLIMITED, Supply
from anew.evaluation.score import Group, Question, Score

COLLAPSE_EXCESS = 0.7  # if more than this share of the variety of real data is missing, it is called a collapse; chosen
LARGE_GAP = 0.1  # share of the bits by which training items are predicted better, from which on this is a sign of overfitting; chosen
MAX_SINGLE_PASS = 0.9  # passes over the data below which many items were not seen at all; chosen
EQUAL_BITS = 0.005  # a difference of bits, as a share of them, that is not worth a word: it would be shown as 0%
# Reference rows that are named if they need fewer bits than the model
SIMPLER = ("unigram", "profile", "xz", "bz2", "ppmd")
MAX_FIGURES = 3  # figures in a sentence: more are not read
FURTHER_QUESTIONS = ("outlook", "prediction", "verbatim")  # questions below the three cards
SUMMARIES: dict[Question, dict[Grade, str]] = {
    "closeness": {
        "good": "Close to the data",
        "fair": "Noticeably different from the data",
        "poor": "Clearly different from the data",
    },
    "variety": {
        "good": "As varied as the data",
        "fair": "Less varied than the data",
        "poor": "Far less varied than the data",
    },
}
HELD_OUT = {"character": "held-out text", "residue": "held-out sequences"}


@dataclass(frozen=True, slots=True)
class Card:
    """One of the three questions that the page answers first.

    Attributes:
        name, question: Its name, and the question in words.
        answer: Sentences.
    """

    name: str
    question: str
    answer: str
    grade: str


def cards(verdict: Mapping[str, str], grades: Mapping[str, str]) -> list[Card]:
    """The three questions that the page answers first. verdict, grades: see `EvaluationReport`."""
    return [Card(name, question, verdict[name], grades[name]) for name, question in QUESTIONS.items()]


@dataclass(frozen=True)
class Verdict:
    """The answers of a report, for scores and the copying test.

    Attributes:
        scores: All figures.
        copies: Result of the copying test, if there was one.
        unmeasured: Names of what was not measured for lack of time, and the questions that it helps to answer.
        supply: What limits the number of items that are compared.
    """

    scores: Sequence[Score]
    copies: CopyTestResult | None = None
    unmeasured: Unmeasured = field(default_factory=dict)
    supply: Supply = UNLIMITED

    @cached_property
    def gradings(self) -> Mapping[Question, Grading]:
        """The gradings of closeness and variety, if they were measured."""
        return grade_by_question(self.scores, self.unmeasured, self.supply)

    @cached_property
    def grades(self) -> dict[str, Answer]:
        """The grades of closeness, variety and novelty, if they were measured."""
        grades: dict[str, Answer] = {question: grading.answer for question, grading in self.gradings.items()}
        if self.copies is None:
            return grades
        # Samples are compared with the held-out items: that both are alike says nothing where the generator saw these
        if self.copies.saw_held_out:
            grades = {question: "fair" if answer == "good" else answer for question, answer in grades.items()}
        return {**grades, "novelty": self._novelty_grade(self.copies)}

    def _novelty_grade(self, copies: CopyTestResult) -> Answer:
        if self._recited_text is not None or (
            copies.detected and not copies.needs_confirmation and not copies.is_suspicion
        ):
            return "poor"
        if copies.detected:
            return "fair"
        is_known = self._repeated_text is not None or self._known_keys is not None
        if copy_verdict(copies).lacks_items and not is_known and not self._unmeasured_novelty:
            return "too_few"
        repeats = copies.repeats_too_often or is_known
        is_proven = copies.has_power and not repeats and not self._unmeasured_novelty
        # Samples that are unlike the data are new, too, and deserve no praise for it
        return "good" if is_proven and not self._is_nothing_real else "fair"

    @cached_property
    def figures(self) -> dict[str, str]:
        """The decisive figure of each grade as a clause; for too few items, how many there were and how many are needed."""
        clauses: dict[str, str] = {}
        copies = self.copies
        for question, grading in self.gradings.items():
            clauses[question] = grading.count(self.supply) if grading.grade == "too_few" else grading.weakest.clause
            if grading.together:
                clauses[question] = "; ".join(part.clause for part in grading.together)
            if grading.is_perhaps_poor:
                clauses[question] = f"{_too_few(grading, self.supply)} to rule out a no; {grading.weakest.clause}"
            if grading.is_at_best_fair:
                clauses[question] = f"at best partly: {grading.weakest.clause}; {_missing(grading)}"
            if self._is_explained_by_copies(grading):
                clauses[question] += "; copying explains that"
            if copies is not None and copies.saw_held_out:
                clauses[question] += f"; but {_held_out_samples(copies)}"
        if copies is not None:
            clauses["novelty"] = self._novelty_clause(copies)
        return clauses

    @property
    def deciding(self) -> dict[str, tuple[str, ...]]:
        """Names of the figures that decide closeness and variety: those that the answers name."""
        parts_by_question = {
            q: [grading.weakest, *grading.differing[:MAX_FIGURES]] for q, grading in self.gradings.items()
        }
        return {q: tuple(dict.fromkeys(part.score.name for part in parts)) for q, parts in parts_by_question.items()}

    @property
    def samples_needed(self) -> dict[str, int]:
        """How many samples would help with each question with too few; 0 if only more data would. See `Supply.samples_for`."""
        too_few = {q: g for q, g in self.gradings.items() if g.grade == "too_few" and g.is_settled}
        needed: dict[str, int] = {question: self.supply.samples_for(grading) for question, grading in too_few.items()}
        if self.copies is not None and self.grades["novelty"] == "too_few":
            needed["novelty"] = copy_verdict(self.copies).samples_needed
        return needed

    @property
    def needs_data(self) -> tuple[str, ...]:
        """Questions with too few items that a yes could answer only with more held-out ones."""
        return tuple(q for q, g in self.gradings.items() if q in self.samples_needed and not self.supply.can_settle(g))

    def sentences(self, steps: int | None = None, outlook: Outlook | None = None) -> dict[str, str]:
        """Answers in whole sentences, by question (closeness, variety, ...), without questions that were not measured.

        Args:
            steps: Number of training steps, if known.
            outlook: Benefit of more training, if known; not mentioned if the model was hardly trained, or if samples are as
                close as real data and it is small.
        """
        by_name = {score.name: score for score in self.scores}
        warning = short_training_warning(steps)
        closeness, variety = self._closeness, self.gradings.get("variety")
        seen_warning = "" if self.copies is None else _seen_warning(self.copies)
        of_closeness: list[str] = []
        if closeness is not None:
            of_closeness = [
                _answer("closeness", closeness, self.supply),
                "Copying explains that." if self._is_explained_by_copies(closeness) else "",
                warning,
                baseline_warning(self.scores, self.supply),
                seen_warning,
            ]
        answers = {
            "closeness": of_closeness,
            "variety": [
                _variety(variety, self.supply, may_collapse=not warning),
                class_mix_warning(by_name),
                "" if variety is None else seen_warning,
            ],
            "novelty": [] if self.copies is None else self._novelty(self.copies),
            # A few steps say nothing of what many would bring
            "outlook": [] if warning else [_outlook(closeness, outlook)],
            "prediction": [_likelihood(by_name), self._overfitting(outlook)],
            "verbatim": [verbatim_sentence(by_name.get(VERBATIM_SHARE.name))],
        }
        joined = {question: " ".join(filter(None, sentences)) for question, sentences in answers.items()}
        return {question: answer for question, answer in joined.items() if answer}

    # ---- facts that several answers need ----

    @property
    def _closeness(self) -> Grading | None:
        return self.gradings.get("closeness")

    @cached_property
    def _is_nothing_real(self) -> bool:
        return looks_like_nothing_real(self.scores)

    def _is_explained_by_copies(self, grading: Grading) -> bool:
        """Whether samples differ only as copies do, in how much of them is from the training text."""
        names, copies = {part.score.name for part in grading.differing}, self.copies
        return copies is not None and copies.detected and copies.method == "scan" and names == {PAIRS_BEYOND_REAL.name}

    @cached_property
    def _verbatim_text(self) -> Score | None:
        """The verbatim share of samples, if it is far above that of held-out items; else None."""
        return repeated_text(self.scores)

    @property
    def _repeated_text(self) -> Score | None:
        """The same, where it counts against samples: held-out text must be a random draw. The end of a log repeats less of its beginning
        than its beginning does itself."""
        is_random = self.copies is not None and self.copies.method == "scan" and not self.copies.invalid
        return self._verbatim_text if is_random else None

    @cached_property
    def _known_keys(self) -> Score | None:
        """The share of samples with a value that never repeats in the data and stands there already, if it is plain; else None."""
        return repeated_keys(self.scores)

    @cached_property
    def _unmeasured_novelty(self) -> str:
        """A clause on what was not measured and might show that samples are not new; "" if nothing is missing."""
        names = [name for name, questions in self.unmeasured.items() if "novelty" in questions]
        return f"{UNMEASURED}: {first_listed(names, MAX_FIGURES)}" if names else ""

    @cached_property
    def _recited_text(self) -> Score | None:
        """The verbatim share of samples of running text, if it is so far above that of held-out text that they are copied."""
        score = self._repeated_text
        return score if score is not None and is_recited(score) else None

    # ---- novelty and overfitting ----

    def _novelty_clause(self, copies: CopyTestResult) -> str:
        copying = copy_verdict(copies)
        if self._recited_text is not None:
            return verbatim_clause(self._recited_text, copying.clause if copies.detected else "")
        repeated = self._verbatim_text
        clause = copying.clause if repeated is None else verbatim_clause(repeated, copying.clause)
        if copies.detected:
            return clause
        keys = self._known_keys
        clause = clause if keys is None else f"{keys_clause(keys)}; {clause}"
        if self._unmeasured_novelty:
            clause = f"at best partly: {clause}; {self._unmeasured_novelty}"
        conjunction = "and" if copying.has_but else "but"
        if self._is_nothing_real:
            return f"{clause}; {conjunction} the samples do not look like your data"
        is_open = copies.has_power if self._closeness is None else self._closeness.grade == "too_few"
        if is_open:
            return f"{clause}; {conjunction} whether the samples look like your data is not known"
        return clause

    def _novelty(self, copies: CopyTestResult) -> list[str]:
        """The sentences on whether samples are new."""
        verbatim = verbatim_sentence(self._repeated_text)
        if self._recited_text is None:
            repeated = "" if self._repeated_text is None else f"Much of the text repeats training data: {verbatim}"
            keys = self._known_keys
            known = "" if keys is None else f"{keys_clause(keys)}, where it hardly ever repeats."
            missing = self._unmeasured_novelty
            missing = sentence(f"{missing}; the notes say why") if missing and not copies.detected else ""
            return [repeated, known, copy_verdict(copies).sentence, missing, self._novelty_caveat(copies)]
        others = "The copying test, which compares whole passages, does not prove it by itself."
        return [f"The text is copied: {verbatim}", copy_verdict(copies).sentence if copies.detected else others]

    def _novelty_caveat(self, copies: CopyTestResult) -> str:
        """A caveat if samples are, or may be, unlike the data: noise is not a copy either. Else ""."""
        if copies.detected:
            return ""
        if self._is_nothing_real:
            return "This says little: the samples do not look like your data."
        if self._closeness is None or self._closeness.grade == "too_few":
            return "This says little while it is not known whether the samples look like your data: noise is new, too."
        return ""

    def _overfitting(self, outlook: Outlook | None) -> str:
        """A sentence on whether training items are predicted better than held-out ones, and by how much; or ""."""
        gap = next((score for score in self.scores if score.name == "bits_gap"), None)
        if gap is None or gap.low is None:
            return ""
        subject = "Training items are predicted"
        if gap.spec == network_gap():
            subject = "The network alone, without the counts that have read the training items, predicts training items"
        model = next((s for s in self.scores if s.spec.group is Group.PREDICTION and s.spec.role == "metric"), None)
        large_gap = math.inf if model is None else LARGE_GAP * model.value
        unit = "bits" if model is None else f"bits {model.spec.title.removeprefix('Bits ')}"
        if gap.low <= 0.0 and gap.high is not None and gap.high > large_gap:
            difference = f"the difference is {gap.value:.2g} {unit}, 95% interval {gap.low:.2g} to {gap.high:.2g}"
            return f"{subject} neither clearly better than held-out ones nor clearly as well: {difference}."
        if gap.low <= 0.0:
            # Data that a family keeps, such as counts, can be copied although the network does not overfit.
            has_copied = self._recited_text is not None or (self.copies is not None and self.copies.detected)
            conclusion = ", but samples are copied all the same" if has_copied else ": no sign of overfitting"
            return f"{subject} no better than held-out ones{conclusion}."
        if gap.value > large_gap:
            fact = f"{subject} {gap.value:.2f} {unit} better than held-out ones"
            if outlook is not None and outlook.is_learning:
                return f"{fact}, not yet a sign of overfitting: {_why_not_overfitted(outlook)}."
            return f"{fact}, a sign of overfitting."
        return f"{subject} a little better than held-out ones ({gap.value:.2g} {unit})."


def _held_out_samples(copies: CopyTestResult) -> str:
    return f"{copies.held_out_identical:,} of {plural(copies.samples, 'sample')} are held-out items"


def _seen_warning(copies: CopyTestResult) -> str:
    """A warning where samples are held-out items, with which they are compared; else ""."""
    if not copies.saw_held_out:
        return ""
    return f"But {_held_out_samples(copies)}, the same that samples are compared with: new samples may be worse."


def _outlook(closeness: Grading | None, outlook: Outlook | None) -> str:
    if outlook is None or closeness is None:
        return ""
    # Figures do not see everything: a loss that still falls says that there is more to learn.
    if closeness.grade == "good":
        return outlook.sentence() if outlook.is_learning else ""
    if closeness.grade == "poor":
        return f"The samples are still far from the data. {outlook.sentence()}"
    return outlook.sentence()


# ---- closeness and variety ----


def _answer(question: Question, grading: Grading, supply: Supply) -> str:
    """The answer of a grading in words, with the figures that decide it."""
    if grading.grade == "too_few" and not grading.is_settled:
        reason = sentence(f"{grading.count(supply)}; the notes say why")
        return f"Not settled. {reason} So far: {_preliminary_clause(grading.weakest)}."
    if grading.has_weak_reference:  # `baseline_warning` says how weak, and why
        return f"Too few to tell. So far: {_preliminary_clause(grading.weakest)}."
    if grading.grade == "too_few":
        real = "real" if supply.are_halves else "held-out"
        if supply.held_out is not None and supply.held_out > grading.n and supply.can_settle(grading):
            real = f"of the {supply.held_out:,} {real}"
        return (
            f"Too few to tell: {_items(grading, supply)} {'was' if grading.n == 1 else 'were'} compared with as many "
            f"{real} ones, and about {grading.needed:,} would do.{_yes_needs(grading, supply)} "
            f"So far: {_preliminary_clause(grading.weakest)}."
        )
    summary = SUMMARIES[question][grading.grade]
    if grading.is_at_best_fair:
        differences = "; ".join(part.clause for part in grading.differing[:MAX_FIGURES])
        return f"Not settled, but at best partly: {differences}. {sentence(f'{_missing(grading)}; the notes say why')}"
    if grading.is_perhaps_poor:
        summary = f"{summary}, or clearly different ({_too_few(grading, supply)} to tell which)"
    if grading.grade == "good":
        measured = f"{plural(len(grading.parts), 'figure')} of {_items(grading, supply)}"
        return f"{summary}, by {measured}. The weakest: {_with_interval(grading.weakest)}."
    return f"{summary}: {'; '.join(part.clause for part in grading.differing[:MAX_FIGURES])}."


def _items(grading: Grading, supply: Supply) -> str:
    """The number of items compared and, if they are pieces, of how many samples."""
    count = plural(grading.n, grading.counted)
    if grading.counted == "sample" or not supply.num_samples:
        return count
    return f"{count} of one text" if supply.num_samples == 1 else f"{count} cut from {supply.num_samples:,} samples"


def _too_few(grading: Grading, supply: Supply) -> str:
    """That there are too few items to tell a partly from a no, the beginning of a clause: held-out ones where all are compared."""
    n = min(grading.weakest.score.n, grading.n)  # figures of words count these
    if supply.held_out is not None and grading.n >= supply.held_out and not supply.are_halves:
        return f"the {supply.held_out:,} held-out items are too few"
    return f"{plural(n, grading.counted)} {are(n)} too few"


def _missing(grading: Grading) -> str:
    return f"{UNMEASURED}: {first_listed(grading.unmeasured, MAX_FIGURES)}"


def _yes_needs(grading: Grading, supply: Supply) -> str:
    """A sentence on what helps if held-out items are too few for a yes; else ""."""
    if supply.can_settle(grading):
        return ""
    more = " More samples can show a difference, though." if supply.samples_for(grading) else ""
    texts = supply.texts_for(grading)
    pieces = f": about {texts:,} held-out texts instead of {supply.num_texts:,}" if texts else ""
    return f" But {supply.held_out_clause()}, so a yes probably needs more data{pieces}.{more}"


def _with_interval(part: Part) -> str:
    return f"{part.clause}, 95% interval {part.interval}" if part.interval else part.clause


def _preliminary_clause(part: Part) -> str:
    """A figure and its interval in words, without a judgement."""
    if part.tolerance.relative:  # its clause says what it is a multiple of
        return _with_interval(part)
    values = [part.score.shown_value, part.score.shown_baseline or 0.0]
    unit = f" {part.score.spec.unit}" if part.score.spec.unit and not part.is_percent else ""
    value, real = (unsigned_zero(f"{format(number, part.number_format)}{unit}") for number in values)
    interval = f", 95% interval {part.interval}" if part.interval else ""
    return f"{part.score.spec.title_in_sentence} {value} (real data: {real}){interval}"


def _variety(grading: Grading | None, supply: Supply, may_collapse: bool) -> str:
    if grading is None:
        return ""
    diversity = next((part for part in grading.parts if part.score.name == "diversity"), None)
    if may_collapse and diversity is not None and diversity.excess > COLLAPSE_EXCESS and diversity.grade == "poor":
        return f"The generator has collapsed: {diversity.clause}."
    return _answer("variety", grading, supply)


# ---- prediction ----


def _likelihood(scores: Mapping[str, Score]) -> str:
    unit = next((unit for unit in HELD_OUT if f"bits_per_{unit}" in scores), None)
    if unit is None:
        return ""
    model = scores[f"bits_per_{unit}"]
    comparison = f"The model needs {model.value:.2f} bits per {unit} of {HELD_OUT[unit]}"
    counts = scores.get(f"bits_per_{unit}_kneser_ney")
    if counts is not None:
        saved = (counts.value - model.value) / counts.value
        word = "fewer" if saved > 0 else "more"
        difference = "about as many as" if abs(saved) < EQUAL_BITS else f"{abs(saved):.0%} {word} than"
        comparison = f"{comparison}, {difference} n-gram counts ({counts.value:.2f})"
    rivals = [scores.get(f"bits_per_{unit}_{name}") for name in SIMPLER]
    better = [score for score in rivals if score is not None and score.value < (1.0 - EQUAL_BITS) * model.value]
    if not better:
        return f"{comparison}."
    names = listed([f"{score.spec.title.removeprefix('… ')} ({score.value:.2f})" for score in better])
    return f"{comparison}. But {names} {'needs' if len(better) == 1 else 'need'} fewer."


def _why_not_overfitted(outlook: Outlook) -> str:
    """The evidence against overfitting, where the loss still falls, a clause."""
    if outlook.measured_on == "validation" or outlook.passes is None:
        return f"the {outlook.measured_on} loss still fell"
    if outlook.passes < MAX_SINGLE_PASS:
        return f"the training made only {outlook.passes:.2g} of a pass over the data"
    return "each was seen only about once"
