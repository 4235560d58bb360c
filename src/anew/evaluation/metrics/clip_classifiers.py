"""Classifiers that see a few numbers of each clip: in which directions things move, and how fast."""

from __future__ import annotations

from anew.evaluation.metrics.item_classifiers import ItemClassifier, few_numbers_spec
from anew.evaluation.metrics.motion import direction_numbers, speed_numbers

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
