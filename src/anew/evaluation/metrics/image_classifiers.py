"""Classifiers that see a few numbers of each image: areas, slopes of brightness, faint patterns."""

from __future__ import annotations

from anew.evaluation.metrics.areas import area_numbers
from anew.evaluation.metrics.item_classifiers import ItemClassifier, few_numbers_spec
from anew.evaluation.metrics.slopes import repeat_numbers, slope_numbers

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
