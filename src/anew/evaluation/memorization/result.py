"""Results of a memorization test. See `MemorizationTest`; `copy_verdict` puts them into words."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, get_args

import numpy as np

from anew.core.wording import plural
from anew.evaluation.memorization import copying_test
from anew.evaluation.memorization.near_share import NearShares
from anew.evaluation.memorization.scan_picture import ScanPicture
from anew.evaluation.memorization.thresholds import (
    ALPHA,
    CONFIRMED_P,
    CONTROL_ALPHA,
    DETECTION_POWER,
    IDENTICAL_ALPHA,
    MAX_COUNTED_DISTANCE,
    MIN_ALTERED_DISTANCE,
    MIN_LEANING_DISTANCE,
    PLANTED_RATES,
)
from anew.evaluation.score import Group, MetricSpec, Score
from anew.functional.intervals import clopper_pearson

MANY_NEAR = PLANTED_RATES[-1] / 2.0  # share of samples near to real items that is worth saying; chosen
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
Variant = Literal["exact", "disturbed"]
VARIANTS: tuple[Variant, ...] = get_args(Variant)
Method = Literal["scan", "shifted", "reference"]
Unit = Literal["item", "passage", "excerpt"]
Limit = Literal["", "time", "memory"]
# The compared items in words, by the unit of a result
UNITS: dict[Unit, str] = {"item": "items", "passage": "passages", "excerpt": "excerpts of texts"}


@dataclass(frozen=True, slots=True)
class ClosestPair:
    """A sample and the training item nearest to it.

    Attributes:
        sample, train: Indices of the two items.
        distance: Distance between them.
        usual: Distance from that training item to the nearest real item that is not of its group.
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
        variant: Whether the copies were exact, or lightly disturbed.
        rate: Share of the samples that were replaced by copies.
        caught: Share of the draws in which the test found them; of disturbed ones, for the alteration that is the hardest to notice.
    """

    variant: Variant
    rate: float
    caught: float


@dataclass(frozen=True, slots=True)
class TrainingDistance:
    """Distances of samples from training items, compared with those of held-out items.

    Attributes:
        auc: Probability that a sample is farther than a held-out item, in [0, 1]: 0.5 is as far, less is closer.
        low, high: Ends of its 95% interval.
        measure: Name of the distance.
        n: Samples that were compared.
    """

    auc: float
    low: float
    high: float
    measure: str
    n: int


@dataclass(frozen=True, slots=True)
class CopyTestResult:
    """Result of the copying test; report.json holds it under `copies`.

    Attributes:
        detected: Whether there are copies (p <= NUM_TESTS * ALPHA and the test holds).
        p: P-value of the scan and the match test together.
        share: Estimated share of the samples that are copies which the tests see, 0 if none are found.
        low: Lower end of its 95% interval: at least so many samples are copies. Tests miss copies, so there is no upper end.
        plain_low: The same, of the samples that are identical to training items or match them: none of these only leans to the data.
        detection_limit: Lowest planted rate that was caught, exact and disturbed; None if not even 10% was.
        near: Shares of items that are as near to a real item as copies are; None if they were not counted.
        method: How it was tested, see METHODS of `copy_verdict`.
        pairs: The closest pairs of a sample and a training item.
        distance: Name of the distance that decided.
        samples, train, held_out: Numbers of items that were compared.
        n_train_total: Training items in all, of which `train` were compared.
        unit: Unit of these three numbers, a key of UNITS: of long texts only passages or excerpts are compared.
        reference_p: p-value of the test that is not free of assumptions; None if the scan found nothing to confirm.
        control_p: p-value of held-out items posing as samples or, if the user held items out, the smaller of theirs and of
            training items'; None if it was not run.
        identical: Number of samples that are identical to a training item, whatever the tests say about them; None if items
            are draws, where it says nothing.
        real_compared: Number of real items that were compared with all other real items.
        real_identical: How many of those are identical to another one: what chance gives.
        identical_p: p-value of so many identical samples if chance gives as many as among real items, see `identical`; None if
            items are draws.
        held_out_identical: Number of samples that are identical to a held-out item, and to no training item; None if items are draws.
        seen_p: p-value of so many of those that are unguessable: pictures and long records; None if items are draws.
        has_proven_copies: Whether samples are identical to training items that no generator makes unseen (`RepeatedItems.copied_p`).
        match_p: p-value of the match test alone; None if it was not run.
        held_out_together: Whether recordings or files were held out as wholes.
        is_coarse: Whether items were compared coarsely, see `ItemType`.
        scope, likeness: Which copies are seen and which are not, and what is identical, see `ItemType`.
        shortened: Whether there was no time for some of the controls; the notes name them.
        limited_by: Why fewer than all training items were compared: "time" or "memory"; "" if all were.
        training_distance: Distances from training items; None if they were not measured.
        controls: How often planted copies were caught.
        notes: Sentences on what was left out.
        picture: The scan, sample by sample; None without a scan.
        copied_distance: Distance of the farthest pair among as many of the closest ones as `low` says are copies, in the distances that
            are usual there; None if no copies are found.
    """

    detected: bool
    p: float
    share: float
    low: float
    detection_limit: float | None
    method: Method
    pairs: list[ClosestPair]
    distance: str
    samples: int
    train: int
    held_out: int
    n_train_total: int  # the name in report.json
    reference_p: float | None = None
    control_p: float | None = None
    identical: int | None = 0
    real_compared: int = 0
    real_identical: int = 0
    identical_p: float | None = None
    held_out_identical: int | None = 0
    seen_p: float | None = None
    has_proven_copies: bool = False
    match_p: float | None = None
    held_out_together: bool = False
    is_coarse: bool = False
    scope: str = ""
    likeness: str = ""
    shortened: bool = False
    limited_by: Limit = ""
    unit: Unit = "item"
    training_distance: TrainingDistance | None = None
    controls: list[PlantedControl] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    picture: ScanPicture | None = None
    copied_distance: float | None = None
    plain_low: float = 0.0
    near: NearShares | None = None

    def scores(self) -> list[Score]:
        """The result as scores. The share of copies is the least one if copies were found, else 0 up to the detection limit."""
        items = f"{self.train:,} training and {self.held_out:,} held-out {self.units}"
        source = f"{self.count_phrase(self.samples)}, {items}, by {self.distance}"
        has_limit = not self.detected and self.limit is not None
        scores = [
            Score(
                COPIED_SHARE,
                self.least_share,
                low=0.0 if has_limit else None,
                high=self.limit if has_limit else None,
                real_baseline=0.0,
                naive_baseline=1.0,
                n=self.samples,
                source=source,
                p=self.p,
                note=("at least so many" if self.least_share else "how many is not known") if self.detected else "",
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
                    n=self.training_distance.n,
                    source="distance to the nearest training item, samples against held-out items, by "
                    f"{self.training_distance.measure}",
                )
            )
        return scores

    @property
    def compared(self) -> str:
        """How many of the training items were compared, a phrase."""
        return f"{self.train:,} of {self.n_train_total:,} training {self.units}"

    @property
    def identical_unit(self) -> str:
        """What samples are identical to: also where excerpts are compared, whole texts are."""
        return "text" if self.unit == "excerpt" else self.unit

    @property
    def units(self) -> str:
        """The plural of `unit`."""
        return UNITS[self.unit]

    def count_phrase(self, n: int) -> str:
        """A number of what `samples` counts."""
        return plural(n, "sample passage" if self.unit == "passage" else "sample")

    @property
    def exact_limit(self) -> float | None:
        """The lowest rate of exact planted copies that was caught; None if not even 10% was."""
        return min(
            (p.rate for p in self.controls if p.variant == "exact" and p.caught >= DETECTION_POWER), default=None
        )

    @property
    def exact_bound(self) -> float | None:
        """The upper end of the 95% interval of the share of samples that are identical to a training item, for which no test is needed.

        None if items are draws or parts of texts.
        """
        if self.identical is None or self.unit != "item":
            return None
        visible_share = self.train / self.n_train_total
        return min(clopper_pearson(self.identical, self.samples)[1] / visible_share, 1.0)

    @property
    def is_among_relatives(self) -> bool:
        """Whether only altered copies could be missed, since many samples are as near to a real item as these are: then real items are
        near to each other, too, and the numbers of items in `needed`, which know of no relatives, are far too low."""
        is_near = self.near is not None and self.near.samples >= MANY_NEAR
        return is_near and self.exact_bound is not None and self.exact_bound <= PLANTED_RATES[-1]

    @property
    def limit(self) -> float | None:
        """The largest share of copies that may have been missed; None if that is not known."""
        bound = None if self.near is None else self.near.bound
        return bound if self.detection_limit is None else self.detection_limit

    @property
    def invalid(self) -> bool:
        """Whether even held-out items look like copies, so that the test's findings do not count."""
        return self.method == "scan" and self.control_p is not None and self.control_p <= CONTROL_ALPHA

    @property
    def counted_low(self) -> float:
        """The lower end of the share of copies, without samples that may only lean to the data; 0 if it is not known.

        For a coarse comparison all models lean to their data.
        """
        is_doubtful = self.counts_distant or (self.is_coarse and self.lacks_plain_copies)
        return self.plain_low if is_doubtful else self.low

    @property
    def least_share(self) -> float:
        """The least share of copies: all identical samples are counted, unless real items are identical to each other, too."""
        counts = self.detected and self.method == "scan" and self.real_compared > 0 and not self.real_identical
        return max(self.counted_low, (self.identical or 0) / self.samples) if counts else self.counted_low

    @property
    def closest(self) -> float:
        """The distance of the closest pair, in the distances that are usual there; 0 if no pair is known."""
        return min((pair.distance / pair.usual for pair in self.pairs if pair.usual > 0.0), default=0.0)

    @property
    def lacks_plain_copies(self) -> bool:
        """Whether no sample is identical to a training item, and even the closest pair differs visibly, or samples match training items no
        more often than chance has it: of thousands of samples some come close."""
        has_matches = self.plain_low > 0.0 or self.match_p is None
        return not self.identical and (self.closest >= MIN_ALTERED_DISTANCE or not has_matches)

    @property
    def needs_confirmation(self) -> bool:
        """Whether no sample is identical to a training item, and chance may explain the alarm; or no pair shows a copy, and a model may
        explain it that leans to its data.

        All models do, and their samples are smoother than the data. For thumbnails that is enough for an alarm.
        """
        may_lean = self.lacks_plain_copies and (self.is_coarse or self.counts_leaning)
        return self.detected and self.method == "scan" and (may_lean or self.may_be_chance)

    @property
    def may_be_chance(self) -> bool:
        """Whether chance explains the samples that are identical to a training item, if there are any, and the others are not near enough
        for plain copies; or none is, and p is barely small enough, as pairs are close by chance in families of near-twins."""
        if not self.identical and self.p > CONFIRMED_P:
            return True
        is_explained = self.identical_p is not None and not (self.repeats_too_often or self.has_proven_copies)
        is_explained = is_explained or not self.identical
        return is_explained and self.match_p is not None and not self.plain_low and self.counts_distant

    @property
    def is_suspicion(self) -> bool:
        """Whether copying was found without held-out items that were drawn at random, and by no item that is surely copied: a generator
        that is sharper than its data, or one that reaches most of short records by itself, looks the same."""
        return self.detected and self.method != "scan" and not self.has_proven_copies

    @property
    def counts_leaning(self) -> bool:
        """Whether `low` counts samples that only lean to the data: among so many of the closest ones, some are hardly nearer to a training
        item than real items are to each other. A coarse comparison does not tell."""
        return not self.is_coarse and self.copied_distance is not None and self.copied_distance >= MIN_LEANING_DISTANCE

    @property
    def counts_distant(self) -> bool:
        """Whether `low` counts samples that may only lean to the data: among so many of the closest ones, some are not near enough for
        plain copies."""
        is_distant = self.copied_distance is not None and self.copied_distance >= MAX_COUNTED_DISTANCE
        return self.counts_leaning or is_distant

    @property
    def only_leans(self) -> bool:
        """Whether samples are near to training items in this way only, and no pair is a plain copy."""
        return self.counts_leaning and self.lacks_plain_copies

    @property
    def has_too_few_samples(self) -> bool:
        """Whether nothing was found, and samples are too few for that to mean anything."""
        return self.samples < MIN_SAMPLES and not (self.detected or self.identical or self.invalid)

    @property
    def has_power(self) -> bool:
        """Whether copies would have been noticed: the test is valid, and its limit was measured."""
        is_valid = self.method == "scan" and not (self.invalid or self.has_too_few_samples or self.saw_held_out)
        return is_valid and self.limit is not None

    @property
    def repeats_too_often(self) -> bool:
        """Whether samples are identical to training items more often than real items are to each other, beyond chance."""
        return self.identical_p is not None and self.identical_p <= IDENTICAL_ALPHA

    @property
    def saw_held_out(self) -> bool:
        """Whether the generator has probably seen held-out items, so that the test misses copies, and no other answer is certain."""
        return self.seen_p is not None and self.seen_p <= ALPHA

    def needed(self, rate: float) -> tuple[int, int]:
        """How many held-out items, or else how many samples, are needed to catch a share `rate` of copies.

        Each is for the present number of the other.
        """
        share = self.train / max(self.train + self.held_out, 1)
        samples = copying_test.least_copies(share) / rate if 0.0 < share < 1.0 else float("inf")
        held_out = copying_test.held_out_needed(rate * self.samples, self.train)
        return held_out, int(np.ceil(min(samples, 1e12)))
