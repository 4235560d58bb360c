"""Ranking of several runs on the same data by the same metrics: the best run at what, and which textbook claims hold."""

from __future__ import annotations

import itertools
import math
import statistics
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Literal

from anew.core.arrays import Numbers
from anew.core.wording import BARELY_TRAINED, listed, plural
from anew.data.types import DecodedItem
from anew.evaluation.reporting.content import ReportItem
from anew.evaluation.score import Group, MetricSpec, Score

# Interpolations are compared only if their share of real-looking frames is at least this share of the best: noise moves evenly.
MIN_REALISM_SHARE = 0.5
COMMON_SCORE = "two_sample_auc"  # which every report that compares features has
TIE_SHARE = 0.05  # relative difference below which scores without an interval are called a tie; chosen

ClaimOutcome = Literal["yes", "no", "partly", "tie", "not tested"]


@dataclass(frozen=True, slots=True)
class CopyingSummary:
    """Summary of the copying test in a run's own report; for the fields see `CopyTestResult`."""

    detected: bool
    p: float
    share: float
    detection_limit: float | None
    samples: int
    verdict: str


@dataclass
class RunResult:
    """One run in a comparison.

    Attributes:
        name: Its name in the comparison.
        family: Name of its family.
        repeated_family: Its family as it was asked for, if that is trained with several seeds; "" if it is trained once.
        run: Where it lies, relative to the comparison.
        scores: Its scores by name, costs included.
        samples: Generated items, the same number for each run.
        players, real_players: The first samples, and held-out items, that can be played; empty unless they are sound or clips.
        paths: Interpolations, each a list of frames.
        spectrum, real_spectrum: Mean power by ring of samples, and of held-out images.
        no_interpolation: Why it cannot interpolate; "" if it can, and of texts, which no family interpolates.
        failed: Why it was not measured; "" if it was.
        training_seed: Seed of its training.
        weights: SHA-256 of its weights; "" if it was not measured.
        out_of_time: Figures for which there was no time, in words.
        notes: Sentences on figures that were not measured, or on fewer samples.
        copies: The copying test in the run's own report; None without one.
    """

    name: str
    family: str
    run: str = ""
    scores: dict[str, Score] = field(default_factory=dict)
    samples: list[DecodedItem] = field(default_factory=list)
    players: list[ReportItem] = field(default_factory=list)
    real_players: list[ReportItem] = field(default_factory=list)
    paths: list[list[DecodedItem]] = field(default_factory=list)
    spectrum: Numbers | None = None
    real_spectrum: Numbers | None = None
    no_interpolation: str = ""
    failed: str = ""
    notes: list[str] = field(default_factory=list)
    out_of_time: list[str] = field(default_factory=list)
    training_seed: int = 0
    weights: str = ""
    copies: CopyingSummary | None = None
    repeated_family: str = ""

    @property
    def is_hardly_trained(self) -> bool:
        """Whether it had too few steps to represent its family. Such a run is in the table, and in no ranking."""
        return "steps" in self.scores and self.scores["steps"].value < BARELY_TRAINED

    def add(self, scores: Iterable[Score]) -> None:
        self.scores |= {score.name: score for score in scores}

    def add_cost(self, spec: MetricSpec, value: float | None, source: str) -> None:
        """Add a score without an interval, unless its value is None."""
        if value is not None:
            self.add([Score(spec, float(value), source=source)])


def leave_out_uncommon(runs: Sequence[RunResult]) -> list[str]:
    """Remove from all runs the figures for which a run had no time, so that all are measured alike.

    Returns:
        The figures that are left out, in words, each once.
    """
    late = [run for run in runs if run.out_of_time]
    measured = {name for run in runs for name, score in run.scores.items() if score.spec.group != Group.COST}
    for name in measured:
        if any(name not in run.scores for run in late):
            for run in runs:
                run.scores.pop(name, None)
    return list(dict.fromkeys(figure for run in late for figure in run.out_of_time))


def ranked_metrics(runs: Sequence[RunResult]) -> list[MetricSpec]:
    """All metrics that some run has, in the order of the table, without reference rows."""
    specs = {score.name: score.spec for run in runs for score in run.scores.values()}
    return sorted((s for s in specs.values() if s.role != "reference"), key=lambda spec: (spec.order, spec.name))


def badness(score: Score) -> float:
    """A number that is lower for better scores, whatever the metric."""
    if score.better == "closer to real":
        return abs(math.log(max(score.value, 1e-12)))
    return -score.value if score.better == "higher" else score.value


def is_tie(a: Score, b: Score) -> bool:
    """Whether two scores differ by no more than chance (by their 95% intervals), or both are as good as real data."""
    half_a, half_b = _half_width(a), _half_width(b)
    if half_a is None or half_b is None:
        return abs(a.value - b.value) <= TIE_SHARE * max(abs(a.value), abs(b.value))
    if abs(badness(a) - badness(b)) <= math.hypot(half_a, half_b):
        return True
    return is_as_good_as_real(a) and is_as_good_as_real(b)


def _half_width(score: Score) -> float | None:
    """Half the 95% interval, on the scale of `badness`; None without one."""
    if score.low is None or score.high is None:
        return None
    half = (score.high - score.low) / 2
    return half / max(score.value, 1e-12) if score.better == "closer to real" else half


def is_as_good_as_real(score: Score) -> bool:
    """Whether real data in the samples' place scores no better."""
    if score.real_baseline is None:
        return False
    return badness(score) <= badness(Score(score.spec, score.real_baseline)) + (_half_width(score) or 0.0)


def best_runs(runs: Sequence[RunResult], name: str) -> list[RunResult]:
    """The best run by a metric and those that tie with it, best first; empty if fewer than two have the metric."""
    candidates = [run for run in comparable(runs, name) if has_figure(run, name)]
    candidates.sort(key=lambda run: badness(run.scores[name]))
    if len(candidates) < 2 or candidates[0].scores[name].spec.role == "fact":
        return []
    if not has_common_scale([run.scores[name] for run in candidates]):
        return []
    best = candidates[0]
    return [run for run in candidates if run is best or is_tie(run.scores[name], best.scores[name])]


def has_figure(run: RunResult, metric: str) -> bool:
    """Whether a run has a finite figure of a metric."""
    return metric in run.scores and math.isfinite(run.scores[metric].value)


def has_common_scale(scores: Sequence[Score]) -> bool:
    """Whether scores of one metric can be compared. Scores of whole samples and of pieces of text cannot."""
    return len({score.counted for score in scores}) <= 1


def comparable(runs: Sequence[RunResult], name: str) -> list[RunResult]:
    """The runs that may win by a metric: those that were trained for long enough and, for interpolations, whose frames look about
    as real as those of the best run."""
    trained = [run for run in runs if not run.is_hardly_trained]
    realism = {run.name: run.scores["path_realism"].value for run in trained if "path_realism" in run.scores}
    if name not in ("path_length", "path_evenness") or not realism:
        return trained
    return [run for run in trained if realism.get(run.name, 0.0) >= MIN_REALISM_SHARE * max(realism.values())]


def comparable_groups(runs: Sequence[RunResult], metric: str) -> list[list[RunResult]]:
    """The comparable runs that have a metric: those of a family that was trained several times together, each other run alone.

    A family of which one training is left is in no ranking, and is left out."""
    groups: dict[tuple[str, str], list[RunResult]] = {}
    for run in comparable(runs, metric):
        if has_figure(run, metric):
            key = (run.repeated_family, "") if run.repeated_family else ("", run.name)
            groups.setdefault(key, []).append(run)
    return [group for group in groups.values() if len(group) > 1 or not group[0].repeated_family]


# ---- who wins what ----


def cautions(runs: Sequence[RunResult]) -> list[str]:
    """Sentences on runs that are in no ranking, and on runs that copy."""
    copiers = [run for run in runs if run.copies and run.copies.detected]
    sentences = _hardly_trained(runs)
    sentences += [f"{run.name}: {copy_summary(run)} Its good scores may be due to that." for run in copiers]
    counted = sorted({f"{run.scores[COMMON_SCORE].counted}s" for run in runs if COMMON_SCORE in run.scores})
    if len(counted) > 1:
        sentences.append(
            f"The runs read the data differently: whole samples of some were compared, and pieces of others ({' and '.join(counted)}). "
            "Their figures have no common scale, so none of them is the best."
        )
    return sentences


def findings(runs: Sequence[RunResult]) -> list[str]:
    """The cautions, then a sentence on the winner of each award."""
    decisive = decisive_metrics(runs, lambda spec: bool(best_runs(runs, spec.name)))
    return [*cautions(runs), *(_award(runs, award, spec) for award, spec in decisive.items())]


def decisive_metrics(runs: Sequence[RunResult], decides: Callable[[MetricSpec], bool]) -> dict[str, MetricSpec]:
    """The first metric of each award that decides it, by award."""
    candidates: dict[str, list[MetricSpec]] = {}
    for spec in ranked_metrics(runs):
        if spec.award:
            candidates.setdefault(spec.award, []).append(spec)
    deciding = {award: next(filter(decides, specs), None) for award, specs in candidates.items()}
    return {award: spec for award, spec in deciding.items() if spec is not None}


def _hardly_trained(runs: Sequence[RunResult]) -> list[str]:
    """A sentence on the runs that are in no ranking, or nothing."""
    names = [f"{run.name} ({plural(int(run.scores['steps'].value), 'step')})" for run in runs if run.is_hardly_trained]
    if not names:
        return []
    was, it_is = ("was", "It is") if len(names) == 1 else ("were", "They are")
    return [
        f"{listed(names)} {was} hardly trained, which says little about a family. {it_is} in the table, but in no ranking; give "
        f"a longer budget or more steps.{_better_nevertheless(runs)}"
    ]


def _better_nevertheless(runs: Sequence[RunResult]) -> str:
    """A sentence on the hardly trained run that is better than all others by COMMON_SCORE, after a space; "" if none is."""
    scored = [run for run in runs if COMMON_SCORE in run.scores]
    rivals = [run for run in scored if not run.is_hardly_trained]
    candidate = min(
        (run for run in scored if run.is_hardly_trained),
        key=lambda run: badness(run.scores[COMMON_SCORE]),
        default=None,
    )
    if (
        candidate is None
        or not rivals
        or any(_compare_groups([candidate], [rival], COMMON_SCORE) <= 0 for rival in rivals)
    ):
        return ""
    spec = candidate.scores[COMMON_SCORE].spec
    figures = ", ".join(
        f"{run.name} {spec.format_value(run.scores[COMMON_SCORE].value)}" for run in (candidate, *rivals)
    )
    return (
        f" The samples of {candidate.name} are nevertheless harder to tell from real ones than all others "
        f"({spec.title_in_sentence}: {figures})."
    )


def copy_summary(run: RunResult) -> str:
    """The result of the run's own copying test in words, with the number of samples."""
    if run.copies is None:
        return "The run's report has no copying test."
    return f"{run.copies.verdict} ({plural(run.copies.samples, 'sample')})"


def _award(runs: Sequence[RunResult], award: str, spec: MetricSpec) -> str:
    """A sentence on the best runs by a metric, with their figures and those of the others."""
    winners = best_runs(runs, spec.name)
    losers = [run for run in runs if spec.name in run.scores and run not in winners and not run.is_hardly_trained]
    losers.sort(key=lambda run: badness(run.scores[spec.name]))

    def value(run: RunResult) -> str:
        return spec.format_value(run.scores[spec.name].value)

    clauses = [f"{spec.title_in_sentence} {listed([value(run) for run in winners])}"]
    compared = [f"{run.name} {value(run)}" for run in losers]
    real = winners[0].scores[spec.name].real_baseline
    compared += [] if real is None else [f"real data {spec.format_value(real)}"]
    clauses += [", ".join(compared)] if compared else []
    clauses += realism_clause([run for run in runs if not run.is_hardly_trained]) if spec.name == "path_length" else []
    tie = ", too close to call" if len(winners) > 1 else ""
    return f"{award}: {listed([run.name for run in winners])}{tie} ({'; '.join(clauses)})."


def realism_clause(runs: Sequence[RunResult]) -> list[str]:
    """A clause on how real frames in between look, which belongs next to smoothness: a cross-fade is smooth, too."""
    scores = [(run.name, run.scores["path_realism"]) for run in runs if "path_realism" in run.scores]
    shares = [f"{name} {score.spec.format_value(score.value)}" for name, score in scores]
    return [f"frames in between that look real: {', '.join(shares)}"] if shares else []


# ---- claims of textbooks ----


@dataclass(frozen=True)
class Claim:
    """A textbook claim, its outcome on this data, and the evidence as one clause."""

    claim: str
    outcome: ClaimOutcome
    evidence: str

    def to_json(self) -> dict[str, str]:
        return {"claim": self.claim, "outcome": self.outcome, "evidence": self.evidence}


@dataclass(frozen=True, slots=True)
class _Criterion:
    """The rule by which a score is better for a claim.

    Attributes:
        badness: A number that is lower for better scores.
        is_tie: Whether two scores differ by no more than chance.
    """

    badness: Callable[[Score], float]
    is_tie: Callable[[Score, Score], bool]

    def compare(self, left: Sequence[Score], right: Sequence[Score]) -> int:
        """1 if the scores on the left are better, -1 if those on the right are, 0 if it is not settled.

        For single trainings, intervals decide; for several trainings of a family, whether their ranges overlap."""
        if len(left) == len(right) == 1 and self.is_tie(left[0], right[0]):
            return 0
        left_badness, right_badness = ([self.badness(score) for score in scores] for scores in (left, right))
        if max(left_badness) < min(right_badness):
            return 1
        return -1 if max(right_badness) < min(left_badness) else 0


def _has_equal_detail(a: Score, b: Score) -> bool:
    """Whether two scores differ by no more than their intervals, whatever the value of real data."""
    half_widths = [0.0 if s.interval is None else (s.interval[1] - s.interval[0]) / 2 for s in (a, b)]
    return abs(a.value - b.value) <= math.hypot(*half_widths)


BETTER = _Criterion(badness, is_tie)
MORE_DETAIL = _Criterion(lambda score: -score.value, _has_equal_detail)


def claims(runs: Sequence[RunResult]) -> list[Claim]:
    """Check textbook claims about the families by what was measured on this data."""
    measured = [run for run in runs if not run.failed]
    vae, gan, diffusion = ([run for run in measured if run.family == family] for family in ("vae", "gan", "diffusion"))
    rivals = [run for run in measured if run.family != "diffusion"]
    return [
        _all_better("A VAE interpolates more smoothly than a GAN", vae, gan, ("path_length", "path_evenness")),
        _all_better("A VAE's samples are blurrier than a GAN's", gan, vae, ("fine_detail",), MORE_DETAIL),
        _best_quality(diffusion, rivals),
        _all_better("Diffusion is the slowest to sample", rivals, diffusion, ("seconds_per_1000",)),
    ]


def _compare_groups(
    left: Sequence[RunResult], right: Sequence[RunResult], metric: str, criterion: _Criterion = BETTER
) -> int:
    """`_Criterion.compare` of the scores of two groups of runs."""
    return criterion.compare([run.scores[metric] for run in left], [run.scores[metric] for run in right])


def _all_better(
    claim: str,
    left: Sequence[RunResult],
    right: Sequence[RunResult],
    names: Sequence[str],
    criterion: _Criterion = BETTER,
) -> Claim:
    """Check the claim that all families on the left are better than all on the right, by each of the named metrics."""
    outcomes = [
        _compare_groups(a, b, name, criterion)
        for name in names
        for a, b in itertools.product(comparable_groups(left, name), comparable_groups(right, name))
    ]
    if not outcomes:
        return Claim(claim, "not tested", _why_not_tested(left, right))
    clauses = []
    trained = [run for run in (*left, *right) if not run.is_hardly_trained]
    for name in names:
        scores = {run.name: run.scores[name] for run in trained if name in run.scores}
        title = next(iter(scores.values())).spec.title_in_sentence
        clauses.append(f"{title}: {', '.join(f'{run} {score.value:.3g}' for run, score in scores.items())}")
    if "path_length" in names:
        clauses += realism_clause(trained)
    return Claim(claim, _outcome(outcomes), "; ".join(clauses))


def _why_not_tested(left: Sequence[RunResult], right: Sequence[RunResult]) -> str:
    """Why no run on the left can be compared with one on the right, one clause."""
    names = [run.name for run in (*left, *right) if run.is_hardly_trained]
    if all(run.is_hardly_trained for run in left) or all(run.is_hardly_trained for run in right):
        if left and right and names:
            return f"{listed(names)} {'was' if len(names) == 1 else 'were'} hardly trained"
        return "one of the two was not run"
    return "it was not measured on runs of both kinds"


def _outcome(outcomes: Sequence[int]) -> ClaimOutcome:
    if all(outcome == 0 for outcome in outcomes):
        return "tie"
    if all(outcome > 0 for outcome in outcomes):
        return "yes"
    return "no" if all(outcome <= 0 for outcome in outcomes) else "partly"


def _best_quality(diffusion: Sequence[RunResult], rivals: Sequence[RunResult]) -> Claim:
    """Check the claim that the best diffusion is better than the best of the others; several trainings count by their median."""
    claim, name = "Diffusion has the best quality", "frechet_distance"
    best_diffusion, best_other = (
        min(
            comparable_groups(side, name),
            key=lambda group: statistics.median(badness(run.scores[name]) for run in group),
            default=None,
        )
        for side in (diffusion, rivals)
    )
    if best_diffusion is None or best_other is None:
        return Claim(claim, "not tested", _why_not_tested(diffusion, rivals))
    outcome = _compare_groups(best_diffusion, best_other, name)
    values = ", ".join(f"{run.name} {run.scores[name].value:.3g}" for run in (*best_diffusion, *best_other))
    return Claim(claim, _outcome([outcome]), f"Fréchet distance: {values}")
