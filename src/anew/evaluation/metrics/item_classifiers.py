"""Classifiers that see a few numbers of each item, and the metrics that they give.

The classifier two-sample test sees so much that it overlooks what is small everywhere; each of these is shown one thing alone.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from anew.core.arrays import Numbers
from anew.evaluation.metrics.distances import Array
from anew.evaluation.metrics.feature_sets import FeatureSets
from anew.evaluation.metrics.media.image_numbers import area_numbers, repeat_numbers, slope_numbers
from anew.evaluation.metrics.media.motion import direction_numbers, speed_numbers
from anew.evaluation.metrics.media.sound_statistics import stereo_places
from anew.evaluation.metrics.two_sample import classifier_score
from anew.evaluation.score import USUALLY_ENOUGH_ITEMS, MetricSpec, Score, guessing_spec


@dataclass(frozen=True, slots=True)
class ItemClassifier:
    """A classifier of a few numbers of each item, and the metric that it gives.

    Attributes:
        numbers: Function from items to their numbers (n, d).
        meaning: Meaning of the numbers, a noun phrase.
    """

    spec: MetricSpec
    numbers: Callable[[Sequence[Numbers] | Numbers], Array]
    meaning: str

    def score(self, sets: FeatureSets, seed: int) -> Score:
        """The score, given the numbers of items."""
        source = f"a kernel classifier of {sets.samples.shape[1]} {self.meaning}, trained on one half and tested on the other"
        return classifier_score(self.spec, sets, seed, source)


def few_numbers_spec(
    name: str, title: str, sees: str, clause: str, *, least_to_pass: int = USUALLY_ENOUGH_ITEMS, order: int = 100
) -> MetricSpec:
    """The metric. sees: what the classifier sees, a clause; clause: by what it tells samples, a noun phrase."""
    return guessing_spec(
        name,
        title,
        f"How often a classifier that only sees {sees} picks the sample out of a pair of a sample and a real item",
        f"a sample is told from a real item by {clause}",
        large=0.4,  # chosen: a classifier of two dozen numbers sees more than the eye does, so its 85% is not yet obvious; 96% is
        least_to_pass=least_to_pass,
        order=order,
    )


AREAS = ItemClassifier(
    few_numbers_spec(
        "areas",
        "Plain and rough areas",
        "how plain, striped and rough areas are",
        "its plain, striped and rough areas",
    ),
    area_numbers,
    "shares of pixels that differ from the mean of their neighbours in lightness or colour",
)
SLOPES = ItemClassifier(
    few_numbers_spec(
        "slopes",
        "Slopes of brightness",
        "in which directions brightness rises and falls",
        "the directions in which brightness rises and falls",
    ),
    slope_numbers,
    "numbers of how steep and how frequent slopes of brightness are in each direction",
)
FAINT_PATTERNS = ItemClassifier(
    few_numbers_spec(
        "faint_patterns",
        "Faint patterns",
        "which fine detail repeats every 8 pixels",
        "what repeats in it every 8 pixels, visible or not,",
    ),
    repeat_numbers,
    "places of a tile that fine detail repeats in",
)
IMAGE_CLASSIFIERS = (AREAS, SLOPES, FAINT_PATTERNS)


DIRECTIONS = ItemClassifier(
    few_numbers_spec(
        "motion_directions",
        "Directions of motion",
        "in which directions things move, and what would be the other way round if time ran backwards",
        "the directions in which things move and change",
    ),
    direction_numbers,
    "numbers of the directions of motion in the quarters of the picture, and of changes that time backwards would reverse",
)
SPEEDS = ItemClassifier(
    few_numbers_spec(
        "motion_speeds",
        "Speeds",
        "how fast things move, how steadily, and how long clips are",
        "how fast things move, how steadily, and how long it is,",
    ),
    speed_numbers,
    "numbers of speeds, of how they vary within a clip, and of its length",
)
CLIP_CLASSIFIERS = (DIRECTIONS, SPEEDS)

STEREO_PLACES = few_numbers_spec(
    "stereo_places",
    "Stereo placement",
    "which tones are on the left and on the right, from the beginning to the end,",
    "which of its tones are on the left and on the right, and when,",
)


def stereo_classifier(rate: int) -> ItemClassifier:
    """The classifier of the places of tones in stereo clips at a rate in Hz."""
    return ItemClassifier(
        STEREO_PLACES,
        lambda items: stereo_places(items, rate),
        "numbers of how much louder low to high tones are on the left, from the beginning of a clip to its end",
    )
