"""Results of an audit for copies: numbers, and sentences for readers. See `audit`."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field

import numpy as np

from anew.core.wording import are, percent, plural, rounded_up
from anew.evaluation.memorization import copying_test
from anew.evaluation.memorization.scan_picture import ScanPicture
from anew.evaluation.memorization.thresholds import (
    ALPHA,
    CONTROL_ALPHA,
    DETECTION_POWER,
    IDENTICAL_ALPHA,
    LABEL_ALPHA,
    MIN_RELATIVE_LOWER_END,
    RATES,
)
from anew.evaluation.score import Group, MetricSpec, Score

REACHABLE = 10**7  # held-out items that somebody may have: advice to bring more would help nobody
# Pairs farther apart than this share of the usual distance are no plain copies: those with up to a fifth of their characters
# changed are nearer in most data; chosen
MIN_ALTERED_DISTANCE = 0.4
# Share of the training items that were compared below which a verdict gives this as its reason.
SMALL_COMPARED_SHARE = 0.5
MIN_SAMPLES = 20  # with fewer, one copy is already more than 5%, so finding none proves nothing; chosen

COPIED_SHARE = MetricSpec(
    "copied_share",
    "Copies",
    "Share of samples that are copies of training items, or nearly so.",
    group=Group.NOVELTY,
    maximum=1.0,
)
NOVELTY_AUC = MetricSpec(
    "novelty_auc",
    "Distance from training data",
    "How often a sample is farther from its nearest training item than a held-out item is (0.5 = as new as real data).",
    better="higher",
    group=Group.NOVELTY,
    maximum=1.0,
    full_axis=True,
)
METHODS = {
    "scan": "permutation tests: training and held-out items in one pool, their labels exchanged; samples that match real "
    "items, against real items that match each other",
    "shifted": "the held-out items were not drawn one by one from the source of the training items: samples against the nearest "
    "distances among all real items, not assumption-free",
    "reference": "no held-out items: samples against the nearest distances among your own items, not assumption-free",
}
# Why a test did not hold, and what would help: a sentence, and the same as a clause.
NO_RANDOM_DRAW = {
    False: (
        "with real items in the samples' place it raises an alarm, too, so the held-out items seem to be no random draw from "
        "the source of the training items; draw them at random from the same source",
        "no sign of copying, but the held-out items seem to be no random draw, so the test cannot prove it",
    ),
    True: (
        "whole files were held out, and items of one file resemble each other, so that even real items look like copies; it needs "
        "more files, each with fewer items",
        "no sign of copying, but items of one file resemble each other too much for the test to prove it",
    ),
}
# What is compared, by the unit of a result
UNITS = {"item": "items", "passage": "passages", "stretch": "stretches of texts"}
LIMITS = {
    "": "",
    "time": " in the time given (`anew evaluate` on the run has no time limit)",
    "memory": ", as many as memory holds",
}


@dataclass(frozen=True, slots=True)
class ClosestPair:
    """A sample and the training item nearest to it.

    Attributes:
        sample, train: Indices of the two items.
        distance: Distance between them.
        usual: Distance from that training item to its own nearest real item.
        sample_start, train_start: Offsets of their first characters in both texts, if items are passages.
    """

    sample: int
    train: int
    distance: float
    usual: float
    sample_start: int = 0
    train_start: int = 0


@dataclass(frozen=True, slots=True)
class PlantedControl:
    """Detection of planted copies.

    Attributes:
        kind: "exact" or "disturbed".
        rate: Share of the samples that were replaced by copies.
        caught: Share of the draws in which the test found them.
    """

    kind: str
    rate: float
    caught: float


@dataclass(frozen=True, slots=True)
class TrainingDistance:
    """Distances of samples from training items, compared with those of held-out items.

    Attributes:
        auc: Probability that a sample is farther than a held-out item, in [0, 1]: 0.5 is as far, less is closer.
        low, high: Ends of its 95% interval.
    """

    auc: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class CopyTestResult:
    """Result of the copying test; report.json holds it under `copies`.

    Attributes:
        found: Whether there are copies (p <= NUM_TESTS * ALPHA and the test holds).
        p: P-value of the scan and the match test together.
        share: Estimated share of the samples that are copies which the tests see, 0 if none are found.
        low: Lower end of its 95% interval: at least so many samples are copies. Tests miss copies, so there is no upper end.
        detection_limit: Lowest planted rate that was caught, exact and disturbed; None if not even 10% was.
        method: A key of METHODS.
        pairs: The closest pairs of a sample and a training item.
        distance: Name of the distance that decided.
        samples, train, held_out: Numbers of items that were compared.
        n_train_total: Training items in all, of which `train` were compared.
        unit: What these three numbers count, a key of UNITS: of long texts only passages or stretches are compared.
        reference_p: p-value of the test that is not free of assumptions.
        control_p: p-value of held-out items posing as samples or, if the user held items out, the smaller of theirs and of
            training items'; None if it was not run.
        identical: Number of samples that are identical to a training item, whatever the tests say about them; None if items
            are draws, where it says nothing.
        real_compared: Number of real items that were compared with all other real items.
        real_identical: How many of those are identical to another one: what chance gives.
        identical_p: p-value of so many identical samples if chance gives as many as among real items, see `identical`; None if
            items are draws.
        held_out_identical: Number of samples that are identical to a held-out item, and to no training item; None if items are draws.
        seen_p: p-value of so many of those that no generator makes by chance: pictures and long records; None if items are draws.
        match_p: p-value of the match test alone; None if it was not run.
        held_out_together: Whether recordings or files were held out as wholes.
        scope, likeness: Which copies are seen and which are not, and what is identical, see `ItemType`.
        shortened: Whether there was no time for some of the controls; the notes name them.
        limited_by: Why fewer than all training items were compared: "time" or "memory"; "" if all were.
        training_distance: Distances from training items; None if they were not measured.
        controls: How often planted copies were caught.
        notes: Sentences on what was left out.
        picture: The scan, sample by sample; None without a scan.
    """

    found: bool
    p: float
    share: float
    low: float
    detection_limit: float | None
    method: str
    pairs: list[ClosestPair]
    distance: str
    samples: int
    train: int
    held_out: int
    n_train_total: int
    reference_p: float | None = None
    control_p: float | None = None
    identical: int | None = 0
    real_compared: int = 0
    real_identical: int = 0
    identical_p: float | None = None
    held_out_identical: int | None = 0
    seen_p: float | None = None
    match_p: float | None = None
    held_out_together: bool = False
    scope: str = ""
    likeness: str = ""
    shortened: bool = False
    limited_by: str = ""
    unit: str = "item"
    training_distance: TrainingDistance | None = None
    controls: list[PlantedControl] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    picture: ScanPicture | None = None

    def to_json(self) -> dict[str, object]:
        return asdict(self) | {
            "method": METHODS[self.method],
            "exact_limit": self.exact_limit,
            "verdict": self.verdict(),
        }

    def scores(self) -> list[Score]:
        """The result as scores. Of copies that are found the least share is given, else 0 up to the detection limit."""
        items = f"{self.train:,} training and {self.held_out:,} held-out {self._units}"
        source = f"{self.counted(self.samples)}, {items}, by {self.distance}"
        has_limit = not self.found and self.detection_limit is not None
        scores = [
            Score(
                COPIED_SHARE,
                self.least_share,
                low=0.0 if has_limit else None,
                high=self.detection_limit if has_limit else None,
                real_baseline=0.0,
                naive_baseline=1.0,
                n=self.samples,
                source=source,
                p=self.p,
                note="at least so many" if self.found else "",
            )
        ]
        if self.training_distance is not None:
            scores.append(
                Score(
                    NOVELTY_AUC,
                    self.training_distance.auc,
                    low=self.training_distance.low,
                    high=self.training_distance.high,
                    real_baseline=0.5,
                    naive_baseline=0.0,
                    n=self.samples,
                    source=f"distance to the nearest training item, samples against held-out items, by {self.distance}",
                )
            )
        return scores

    @property
    def compared(self) -> str:
        """How many of the training items were compared, a phrase."""
        return f"{self.train:,} of {self.n_train_total:,} training {self._units}"

    @property
    def _units(self) -> str:
        return UNITS[self.unit]

    def counted(self, n: int) -> str:
        """A number of what `samples` counts."""
        return plural(n, "sample passage" if self.unit == "passage" else "sample")

    @property
    def exact_limit(self) -> float | None:
        """The lowest rate of exact planted copies that was caught; None if not even 10% was."""
        return min((p.rate for p in self.controls if p.kind == "exact" and p.caught >= DETECTION_POWER), default=None)

    @property
    def invalid(self) -> bool:
        """Whether even held-out items look like copies, so that the test's findings do not count."""
        return self.method == "scan" and self.control_p is not None and self.control_p <= CONTROL_ALPHA

    @property
    def least_share(self) -> float:
        """The least share of copies: identical samples are counted, unless real items are identical to each other, too."""
        counts = self.found and self.method == "scan" and self.real_compared > 0 and not self.real_identical
        return max(self.low, (self.identical or 0) / self.samples) if counts else self.low

    @property
    def has_too_few_samples(self) -> bool:
        """Whether nothing was found, and samples are too few for that to mean anything."""
        return self.samples < MIN_SAMPLES and not (self.found or self.identical or self.invalid)

    @property
    def repeats_too_often(self) -> bool:
        """Whether samples are identical to training items more often than real items are to each other, beyond chance."""
        return self.identical_p is not None and self.identical_p <= IDENTICAL_ALPHA

    @property
    def saw_held_out(self) -> bool:
        """Whether the generator has probably seen held-out items, so that the test misses copies, and no other answer is certain."""
        return self.seen_p is not None and self.seen_p <= ALPHA

    def verdict(self) -> str:
        """A sentence or two for a reader who knows no statistics."""
        return self._words()[0]

    def clause(self) -> str:
        """The verdict in one short clause, with the same reason."""
        return self._words()[1]

    def _words(self) -> tuple[str, str]:
        """The verdict in sentences, and as a clause."""
        if self.invalid:
            return (
                "The copying test is not valid here: even held-out items look like copies, so they and the training items "
                "are not random draws from one source."
            ), "the test is not valid: even held-out items look like copies"
        identical = (
            f"{_identical(self)}{' identical to another' if self.real_compared else ''}. " if self.identical else ""
        )
        if self.has_too_few_samples:
            counted, verb = self.counted(self.samples), "was" if self.samples == 1 else "were"
            return (
                f"Too few to tell: {counted} {verb} compared with training items; at least {MIN_SAMPLES} are needed.",
                f"{counted} compared; at least {MIN_SAMPLES} are needed",
            )
        if self.saw_held_out and not self.found:
            seen = "the generator has probably seen the held-out items"
            fact = _identical(self)
            real = f"; of {plural(self.real_compared, 'real item')} {_real_identical(self)} identical to another"
            return (
                f"{fact}{real}. So {seen} (p = {self.seen_p:.2g}), and the test, which compares with them, misses copies. "
                "Hold out items that it was not trained on."
            ), f"{fact}: {seen}"
        if self.found:
            sentence, clause = self._found()
            if self.saw_held_out:
                sentence += f" Besides, {_identical_to_held_out(self)}: it has probably seen the held-out items, too."
            return (sentence if self.method == "scan" else f"{identical}{sentence}"), clause
        sentence, clause = self._not_found()
        if self.repeats_too_often:
            clause = _identical(self)
            identical += (
                f"Chance hardly explains that (p = {self.identical_p:.2g}), although it is too little to prove copying"
                f"{self._proof_needs()}. "
            )
        return f"{identical}{sentence}{self._sharper_than_real()}", clause

    def _proof_needs(self) -> str:
        """With how many held-out items the labels would confirm the identical samples; a clause, or ""."""
        assert self.identical is not None and self.identical_p is not None
        # The share of training items with which so many are no chance; at half the level, since some matches are held-out items
        share = (LABEL_ALPHA / 2.0) ** (1.0 / max(self.identical, 1))
        needed = int(np.ceil(self.train * (1.0 - share) / share))
        # Where they are few, or nearly as frequent among real items, the match test could not prove them
        if (
            self.method != "scan"
            or self.identical_p > ALPHA / copying_test.NUM_INDEPENDENT_STEPS
            or not self.held_out < needed <= REACHABLE
        ):
            return ""
        return f" with {self.held_out:,} held-out {self._units}; about {rounded_up(needed):,} would settle it"

    def _found(self) -> tuple[str, str]:
        extent, unknown = f"at least about {percent(self.low)} of the samples", ""
        if self.low < MIN_RELATIVE_LOWER_END * self.share:
            extent, unknown = "some samples", "; how many is not known"
        if self.train < SMALL_COMPARED_SHARE * self.n_train_total:
            unknown += f" (only {self.compared} were compared)"
        if self.method != "scan":
            clause = f"{extent} are nearer to one of your items than real items usually are{unknown}"
            return (
                f"Suspicion of copying: {extent} are nearer to one of your items than your items are to their nearest ones{unknown}. "
                "Without held-out items drawn at random this is not proof: a generator that is sharper than its data looks the same."
            ), f"suspicion: {_identical(self) if self.repeats_too_often else clause}"
        if self._are_altered:
            return (
                f"Copying found: {extent} are altered copies of training items, or follow single ones closely{unknown}; the closest "
                f"pair still differs by {self._closest():.0%} of the usual distance (p = {self.p:.2g}).",
                f"{extent} are altered copies of training items{unknown}",
            )
        fact = clause_fact = ""
        if self.identical == self.samples:
            clause = f"all {self.counted(self.samples)} are identical to a training {self.unit}{self.likeness}"
            return f"Copying found: {clause} (p = {self.p:.2g}).", clause
        if self.identical:
            verb = f"{are(self.identical)} identical to one{self.likeness}"
            fact = f"{self.identical:,} of {self.counted(self.samples)} {verb}"
            clause_fact = f"{self.identical:,} of {self.samples:,} {verb}"
        if (least := self.least_share) > self.low:
            extent = f"at least {percent(least)} of the samples are copies of training items"
            return f"Copying found: {extent}: {fact} (p = {self.p:.2g}).", f"{extent}: {clause_fact}"
        fact, clause_fact = (f"; {words}" if words else "" for words in (fact, clause_fact))
        return (
            f"Copying found: {extent} are copies of training items, or nearly so{unknown}{fact} (p = {self.p:.2g}).",
            f"{extent} are copies of training items{unknown}{clause_fact}",
        )

    def _closest(self) -> float:
        """The distance of the closest pair, in the distances that are usual there; 0 if no pair is known."""
        return min((pair.distance / pair.usual for pair in self.pairs if pair.usual > 0.0), default=0.0)

    @property
    def _are_altered(self) -> bool:
        """Whether even the closest pair differs visibly, so that samples are no plain copies."""
        return not self.identical and self._closest() >= MIN_ALTERED_DISTANCE

    def _not_found(self) -> tuple[str, str]:
        none = "No further copying found" if self.repeats_too_often else "No copying found"
        if self.method == "reference":
            needed = max(self.train // 9, 200)
            return (
                "No sign of copying, but without held-out items the test cannot prove it; "
                f"about {needed:,} held-out {self._units}, drawn at random, would prove more."
            ), "no sign of copying, but without held-out items the test cannot prove it"
        if self.method == "shifted":
            reason, clause = NO_RANDOM_DRAW[self.held_out_together]
            return f"No sign of copying, but the test cannot prove it: {reason}.", clause
        if self.detection_limit is not None:
            limit = percent(self.detection_limit)
            compared = f"{self.compared} were compared"
            is_whole = self.train >= SMALL_COMPARED_SHARE * self.n_train_total
            return (
                f"{none}; {limit} copies or more would have been noticed{'' if is_whole else f', although only {compared}'}.",
                f"no copies found; {limit} or more would have been noticed{'' if is_whole else f' ({compared})'}",
            )
        if self.train < SMALL_COMPARED_SHARE * self.n_train_total:
            compared = f"only {self.compared} were compared"
            return (
                f"{none}, but {compared}{LIMITS[self.limited_by]}, too few to be sure of catching even "
                f"{percent(RATES[-1])} copies."
            ), f"no copies found, but {compared}"
        if all(p.caught >= DETECTION_POWER for p in self.controls) and round(RATES[-1] * self.samples) >= 1:
            reason = ", for lack of time" if self.shortened else ""
            return (
                f"{none}; how few copies would have been noticed was not measured{reason}.",
                f"no copies found; how few would have been noticed was not measured{reason}",
            )
        if self.exact_limit is not None:
            limit = percent(self.exact_limit)
            return (
                f"{none}; {limit} exact copies or more would have been noticed. Lightly changed copies are hardly closer to their "
                f"originals than your items are to each other: even if {percent(RATES[-1])} of the samples were such, they could be missed."
            ), f"no copies found; {limit} exact copies or more would have been noticed, altered ones perhaps not"
        return self._too_few_to_tell(none)

    def _too_few_to_tell(self, none: str) -> tuple[str, str]:
        held_out, samples = map(rounded_up, self.needed(RATES[-1]))
        ways = [self.counted(samples)] if samples > self.samples else []
        # Where more samples would do, nobody collects many times the data
        reachable = self.n_train_total + self.held_out if ways else REACHABLE
        ways += [f"{held_out:,} held-out {self._units}"] if self.held_out < held_out <= reachable else []
        missed = f"could miss even {percent(RATES[-1])} copies"
        unsure = f"{none}, but this test {missed}"
        if not ways:
            return (
                f"{unsure}: lightly changed copies are hardly closer to their originals than your items are to each other.",
                f"no copies found, but the test {missed}",
            )
        compared = f"{self.held_out:,} held-out {self._units} and {self.counted(self.samples)}"
        return (
            f"{unsure}: {compared} are too few; about {' or '.join(ways)} are needed.",
            f"no copies found, but the test {missed}",
        )

    def _sharper_than_real(self) -> str:
        if self.method == "scan" and self.reference_p is not None and self.reference_p <= ALPHA:
            return (
                " Samples are closer to real items than real items are to each other; a generator that is sharper or less "
                "varied than its data looks like that, too."
            )
        return ""

    def needed(self, rate: float) -> tuple[int, int]:
        """How many held-out items, or else how many samples, are needed to catch a share `rate` of copies.

        Each is for the present number of the other.
        """
        share = self.train / max(self.train + self.held_out, 1)
        samples = copying_test.least_copies(share) / rate if 0.0 < share < 1.0 else float("inf")
        held_out = copying_test.held_out_needed(rate * self.samples, self.train)
        return held_out, int(np.ceil(min(samples, 1e12)))


def _identical(result: CopyTestResult) -> str:
    """How many samples are identical to real items, a fact that needs no test, and how many real items are."""
    assert result.identical is not None
    if result.saw_held_out and not result.identical:
        return _identical_to_held_out(result)
    if result.saw_held_out:
        return f"{_identical_to_training(result)} and {result.held_out_identical:,} to a held-out one"
    if not result.real_compared:
        return _identical_to_training(result)
    return f"{_identical_to_training(result)}; of {plural(result.real_compared, 'real item')} {_real_identical(result)}"


def _identical_to_training(result: CopyTestResult) -> str:
    assert result.identical is not None
    samples = f"{result.identical:,} of {result.counted(result.samples)} {are(result.identical)}"
    return f"{samples} identical to a training {result.unit}{result.likeness}"


def _identical_to_held_out(result: CopyTestResult) -> str:
    assert result.held_out_identical is not None
    samples = f"{result.held_out_identical:,} of {result.counted(result.samples)} {are(result.held_out_identical)}"
    return f"{samples} identical to a held-out {result.unit}{result.likeness}"


def _real_identical(result: CopyTestResult) -> str:
    return f"{result.real_identical:,} {are(result.real_identical)}" if result.real_identical else "none is"
