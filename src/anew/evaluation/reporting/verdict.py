"""What the scores say, for readers who know no statistics: grades and whole sentences for a few questions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from anew.evaluation.memorization.result import CopyTestResult
from anew.evaluation.metrics.classes import class_mix_warning
from anew.evaluation.score import Group, Score
from anew.evaluation.wording import plural

Grade = Literal["good", "fair", "poor"]

FEW = 200  # samples under which scores are rough
BARELY_TRAINED = 50  # steps of training under which a run says little about its family
QUESTIONS = {
    "closeness": "Does it look like your data?",
    "variety": "Is it as varied?",
    "novelty": "Is it new, or copied?",
}
FURTHER = ("prediction", "verbatim")  # questions that stand under the three cards
LEVELS = (
    "indistinguishable from held-out data by these metrics",
    "very close to the data",
    "close to the data, with visible differences",
    "clearly different from the data",
    "far from the data",
)
RUN_LEVELS = (
    "put together as in real text",
    "close to those of real text",
    "clearly different from those of real text",
    "far from those of real text",
)
CLOSENESS_GRADES: tuple[Grade, ...] = ("good", "good", "fair", "fair", "poor")  # of LEVELS
RUN_GRADES: tuple[Grade, ...] = ("good", "good", "fair", "poor")  # of RUN_LEVELS
HELD_OUT = {"character": "held-out text", "residue": "held-out sequences"}


@dataclass(frozen=True, slots=True)
class Finding:
    """What one metric says of closeness. level: of LEVELS, 0 the best; clause: the same with its number."""

    level: int
    clause: str


@dataclass(frozen=True, slots=True)
class Card:
    """One of the questions that the page answers first."""

    name: str
    question: str
    answer: str
    grade: str


def cards(verdict: Mapping[str, str], grades: Mapping[str, str]) -> list[Card]:
    """The three questions that the page answers first, with their sentence and grade."""
    missing = "Not measured; the notes at the end say why."
    return [
        Card(name, question, verdict.get(name, missing), grades.get(name, "unknown"))
        for name, question in QUESTIONS.items()
    ]


def grade(scores: Sequence[Score], copies: CopyTestResult | None = None) -> dict[str, Grade]:
    """Grades of closeness, variety and novelty, where they were measured."""
    by_name = {score.name: score for score in scores}
    grades: dict[str, Grade] = {}
    worst, run_level = _worst(by_name), _run_level(by_name)
    if worst is not None:
        grades["closeness"] = CLOSENESS_GRADES[worst.level]
    elif run_level is not None:
        grades["closeness"] = RUN_GRADES[run_level]
    diversity = by_name.get("diversity")
    if diversity is not None:
        share = _diversity_share(diversity)
        grades["variety"] = "good" if share >= 0.9 else "fair" if share >= 0.6 else "poor"
        if grades["variety"] == "good" and (_repetition(by_name) or class_mix_warning(by_name)):
            grades["variety"] = "fair"
    if copies is not None:
        proven = copies.method == "scan" and copies.detection_limit is not None and not copies.invalid
        # What looks like nothing real is new, too, and deserves no praise for it.
        proven = proven and grades.get("closeness") != "poor"
        grades["novelty"] = "poor" if copies.found else "good" if proven else "fair"
    return grades


def verdict(scores: Sequence[Score], copies: CopyTestResult | None = None, steps: int | None = None) -> dict[str, str]:
    """Answers by question (closeness, variety, ...), whole sentences; questions that were not measured are absent.

    steps: of training, where they are known.
    """
    by_name = {score.name: score for score in scores}
    hardly_trained = _hardly_trained(steps)
    closeness, variety = _closeness(by_name), _variety(by_name, may_collapse=not hardly_trained)
    answers = {
        "closeness": [closeness, hardly_trained] if closeness else [],
        "variety": [variety, class_mix_warning(by_name), _repetition(by_name)],
        "novelty": [] if copies is None else [copies.verdict(), _says_little(by_name, copies)],
        "prediction": [_likelihood(by_name), _overfitting(scores)],
        "verbatim": [_verbatim(by_name)],
    }
    joined = {question: " ".join(filter(None, sentences)) for question, sentences in answers.items()}
    return {question: answer for question, answer in joined.items() if answer}


def _hardly_trained(steps: int | None) -> str:
    if steps is None or steps >= BARELY_TRAINED:
        return ""
    return f"The model was hardly trained ({plural(steps, 'step')}): give it more time, or check what else is using the CPU."


def _says_little(scores: Mapping[str, Score], copies: CopyTestResult) -> str:
    """Samples that are unlike the data are not copies either."""
    worst = _worst(scores)
    if worst is None or worst.level < len(LEVELS) - 1 or copies.found:
        return ""
    return "This says little: the samples do not look like your data."


# ---- prediction ----


def _likelihood(scores: Mapping[str, Score]) -> str:
    unit = next((unit for unit in HELD_OUT if f"bits_per_{unit}" in scores), None)
    if unit is None:
        return ""
    model = scores[f"bits_per_{unit}"]
    sentence = f"The model needs {model.value:.2f} bits per {unit} of {HELD_OUT[unit]}"
    counts = scores.get(f"bits_per_{unit}_kneser_ney")
    if counts is None:
        return f"{sentence}."
    saved = 100.0 * (counts.value - model.value) / counts.value
    if abs(saved) < 0.5:
        return f"{sentence}, about as many as mere n-gram counts ({counts.value:.2f})."
    word = "fewer" if saved > 0 else "more"
    return f"{sentence}, {abs(saved):.0f}% {word} than mere n-gram counts ({counts.value:.2f})."


def _overfitting(scores: Sequence[Score]) -> str:
    """Whether training items are predicted better than chance explains, and much better."""
    gap = next((score for score in scores if score.name == "bits_gap"), None)
    if gap is None or gap.low is None:
        return ""
    if gap.low <= 0.0:
        return "Training items are predicted no better than held-out ones: no sign of overfitting."
    bits = [s.value for s in scores if s.spec.group is Group.PREDICTION and s.spec.role == "metric"]
    if bits and gap.value > 0.1 * bits[0]:
        return f"Training items are predicted {gap.value:.2f} bits better than held-out ones, a sign of overfitting."
    return f"Training items are predicted a little better than held-out ones ({gap.value:.2g} bits)."


def _verbatim(scores: Mapping[str, Score]) -> str:
    score = scores.get("verbatim_share")
    if score is None or score.real_baseline is None:
        return ""
    return (
        f"{score.value:.1%} of the generated text stands word for word in the training data "
        f"(held-out text: {score.real_baseline:.1%})."
    )


# ---- closeness ----


def _worst(scores: Mapping[str, Score]) -> Finding | None:
    """The worst of several metrics decides: each is blind to something, and none may hide what another sees."""
    findings = (_frechet(scores), _kernel(scores), _spectrum(scores), _classifier(scores), *_neighbours(scores))
    return max((f for f in findings if f is not None), key=lambda finding: finding.level, default=None)


def _closeness(scores: Mapping[str, Score]) -> str:
    worst, classifier = _worst(scores), _classifier(scores)
    if worst is None:
        return _runs(scores)
    summary = f"The samples are {LEVELS[worst.level]}"
    if classifier is None:
        return f"{summary} ({worst.clause})."
    if worst.level == 0 or worst == classifier:
        sentences = [f"{summary}: {classifier.clause}."]
    else:
        sentences = [f"{summary}: {worst.clause}.", f"{classifier.clause[0].upper()}{classifier.clause[1:]}."]
    n = scores["two_sample_auc"].n
    if 0 < n < FEW:
        sentences.append(f"Only {plural(n, 'sample')} {'was' if n == 1 else 'were'} compared, so this is rough.")
    return " ".join(sentences)


def _runs(scores: Mapping[str, Score]) -> str:
    level = _run_level(scores)
    if level is None:
        return ""
    score = scores["fourgram_divergence"]
    numbers = f"divergence {score.value:.2f}; real data: {score.real_baseline:.2f}; nothing in common: 1"
    return f"Runs of four characters in the samples are {RUN_LEVELS[level]} ({numbers})."


def _run_level(scores: Mapping[str, Score]) -> int | None:
    score = scores.get("fourgram_divergence")
    if score is None or score.real_baseline is None or score.real_baseline >= 1.0:
        return None
    # The divergence ends at 1, nothing in common; so it is the way from the real baseline to there that says how far.
    return _level((score.value - score.real_baseline) / (1.0 - score.real_baseline), (0.05, 0.15, 0.4))


def _classifier(scores: Mapping[str, Score]) -> Finding | None:
    """A classifier sees the least difference, also one that does not matter; so it never says "far"."""
    score = scores.get("two_sample_auc")
    if score is None:
        return None
    level = _level(score.value, (0.6, 0.7, 0.85)) if score.low is None or score.low > 0.5 else 0
    clause = f"a classifier picks the generated item out of a pair {score.value:.0%} of the time (guessing: 50%)"
    return Finding(level, clause)


def _level(value: float, steps: Sequence[float]) -> int:
    """How many of the steps a value is above."""
    return sum(value > step for step in steps)


def _frechet(scores: Mapping[str, Score]) -> Finding | None:
    score = scores.get("frechet_distance")
    # With few items the real baseline is mostly the bias of fitting a Gaussian, and the ratio says nothing.
    if score is None or not score.real_baseline or score.real_baseline < 0 or score.n < 500:
        return None
    ratio = score.value / score.real_baseline
    clause = f"the Fréchet distance is {ratio:.2g} times that between real items"
    return Finding(_level(ratio, (1.15, 2.0, 4.0, 10.0)), clause)


def _kernel(scores: Mapping[str, Score]) -> Finding | None:
    score = scores.get("kernel_distance")
    if score is None or score.real_baseline is None:
        return None
    significant = score.low is None or score.low > max(score.real_baseline, 0.0)
    level = 1 + _level(score.value, (0.003, 0.01, 0.05)) if significant else 0
    clause = f"their features differ overall (kernel distance {score.value:.2g}; real data: {score.real_baseline:.2g})"
    return Finding(level, clause)


def _spectrum(scores: Mapping[str, Score]) -> Finding | None:
    score = scores.get("spectrum_distance")
    if score is None or score.real_baseline is None:
        return None
    level = _level(score.value, (0.3, 0.7, 1.2, 4.0)) if score.value > 2.0 * score.real_baseline else 0
    clause = f"fine and coarse detail differ by {score.value:.1f} dB (real data: {score.real_baseline:.1f} dB)"
    return Finding(level, clause)


def _neighbours(scores: Mapping[str, Score]) -> list[Finding]:
    words = {"precision": "of samples look like a real item", "recall": "of real items look like a sample"}
    findings = []
    for name, clause in words.items():
        score = scores.get(name)
        if score is not None and score.real_baseline:
            level = _level(1.0 - score.value / score.real_baseline, (0.1, 0.2, 0.3, 0.6))
            findings.append(Finding(level, f"{score.value:.0%} {clause} (real data: {score.real_baseline:.0%})"))
    return findings


# ---- variety ----


def _diversity_share(diversity: Score) -> float:
    """Diversity as a share of what real data gets."""
    return diversity.value / diversity.real_baseline if diversity.real_baseline else diversity.value


def _variety(scores: Mapping[str, Score], may_collapse: bool) -> str:
    diversity, coverage = scores.get("diversity"), scores.get("coverage")
    if diversity is None:
        return ""
    share = _diversity_share(diversity)
    if share < 0.3 and may_collapse:
        return f"The generator has collapsed: the samples have {share:.0%} of the variety of the data."
    words = "as varied as" if share >= 0.9 else "less varied than" if share >= 0.6 else "far less varied than"
    sentence = f"The samples are {words} real items ({share:.0%} of their variety)"
    if coverage is None or not coverage.real_baseline:
        return f"{sentence}."
    only = "only " if coverage.value < 0.9 * coverage.real_baseline else ""
    near = f"{coverage.value:.0%} of real items have a sample close by (real data: {coverage.real_baseline:.0%})"
    return f"{sentence}, {'but' if only and share >= 0.9 else 'and'} {only}{near}."


def _repetition(scores: Mapping[str, Score]) -> str:
    score = scores.get("repetition_rate")
    if score is None or score.real_baseline is None:
        return ""
    if score.value < max(3.0 * score.real_baseline, score.real_baseline + 0.05):
        return ""
    real = f"real text: {score.real_baseline:.0%}"
    return f"The samples repeat themselves: {score.value:.0%} of passages repeat an earlier one ({real})."
