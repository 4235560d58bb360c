"""Values that never repeat in the data, but occur again in samples: codes, numbers or names that exist already."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np

from anew.estimators.key_fields import are_keys, find_key_fields
from anew.evaluation.metrics.shares import share_score
from anew.evaluation.score import Group, MetricSpec, Score
from anew.functional.intervals import TAIL, clopper_pearson

KNOWN_KEYS = MetricSpec(
    "known_keys",
    "Known keys",
    "Share of samples with a value of a training record, in fields where hardly any two records of the data share a value.",
    group=Group.NOVELTY,
    maximum=1.0,
)


def key_scores(
    samples: Sequence[str], held_out: Sequence[str], known: Sequence[str], training: Sequence[str]
) -> Iterator[Score]:
    """Yield the share of samples with a known key, of the field that stands out most among those of held-out records; nothing of records
    without keys. Its interval holds for all key fields together.

    Args:
        samples, held_out: Records, one of each at least.
        known: Training records in random order, by which keys are recognised.
        training: All training records.
    """
    values_by_field = {field: [field.value(record) for record in training] for field in find_key_fields(known)}
    # Some of many records may be too few to show that values repeat, or are used up
    values_by_field = {field: values for field, values in values_by_field.items() if are_keys(values)}
    alpha = 2.0 * TAIL / max(1, len(values_by_field))
    scores = []
    for field, values in values_by_field.items():
        known_values = {value for value in values if value is not None}
        name = f"field {field.column + 1}"
        is_known, is_real_known = (
            np.array([field.value(record) in known_values for record in part]) for part in (samples, held_out)
        )
        source = f"{name} of samples that one of {len(training):,} training records has, too; real: held-out records"
        score = share_score(KNOWN_KEYS, is_known, is_real_known, source, alpha)
        real_high = clopper_pearson(float(is_real_known.sum()), len(held_out), alpha)[1]
        scores.append(replace(score, note=name, real_high=real_high))
    if scores:
        yield max(scores, key=lambda score: (score.low or 0.0) - (score.real_high or 0.0))
