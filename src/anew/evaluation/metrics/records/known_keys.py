"""Values that never repeat in the data and stand in samples again: codes, numbers or names that exist already."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np

from anew.evaluation.metrics.shares import share_score
from anew.evaluation.score import Group, MetricSpec, Score
from anew.functional.intervals import clopper_pearson
from anew.functional.key_fields import find_key_fields

KNOWN_KEYS = MetricSpec(
    "known_keys",
    "Known keys",
    "Share of samples with a value of a field that a training record has, where hardly two records of the data share one.",
    group=Group.NOVELTY,
    maximum=1.0,
)


def key_scores(
    samples: Sequence[str], held_out: Sequence[str], known: Sequence[str], training: Sequence[str]
) -> Iterator[Score]:
    """Yield the share of samples with a known key, of the field in which most have one; nothing of records without keys.

    Args:
        samples, held_out: Records, one of each at least.
        known: Training records in random order, by which keys are recognised.
        training: All training records.
    """
    scores = []
    for field in find_key_fields(known):
        values, name = {field.value(record) for record in training} - {None}, f"field {field.column + 1}"
        is_known, is_real_known = (
            np.array([field.value(record) in values for record in part]) for part in (samples, held_out)
        )
        source = f"{name} of samples that one of {len(training):,} training records has, too; real: held-out records"
        real_high = clopper_pearson(float(is_real_known.sum()), len(held_out))[1]
        scores.append(replace(share_score(KNOWN_KEYS, is_known, is_real_known, source), note=name, real_high=real_high))
    if scores:
        yield max(scores, key=lambda score: score.value)
