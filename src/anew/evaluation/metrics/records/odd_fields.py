"""Which field of rows, or which two together, tell samples from real rows."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations

import numpy as np

from anew.evaluation.metrics.distances import Array
from anew.evaluation.metrics.records.row_formats import RowFormat
from anew.evaluation.metrics.two_sample import auc

Rows = Sequence[Sequence[str]]  # rows of fields

# Share of pairs of a sample and a real row that a field has to tell, and by how much more two fields have to tell than either
# of them alone: less does not matter, or may be chance; chosen
LEAST, LEAST_GAIN = 0.6, 0.05
MAX_COLUMNS = 20  # that are looked at; bounds the time
VARIANCE_FLOOR = 1e-6  # least variance of a direction, as a share of the mean one: fields are rounded


def odd_fields(form: RowFormat, samples: Rows, real: Rows, known: Rows) -> str:
    """What tells samples from real rows, a clause: "by field 3", or "by how field 1 and field 2 go together"; "" if nothing does.

    Fields are rated by how far their numbers are from the mean of known rows, in standard deviations of each direction.

    Args:
        form: How records are divided into fields.
        samples, real: Rows that are compared.
        known: Training rows, by which they are rated.
    """
    columns = range(min(len(form.columns), MAX_COLUMNS))
    if min(map(len, (samples, real, known))) < 2:
        return ""
    features = [
        [form.columns[i].features([row[i] for row in part]) for part in (known, samples, real)] for i in columns
    ]
    single = [_told(*parts) for parts in features]
    pairs = {
        (i, j): _told(*(np.concatenate(parts, axis=1) for parts in zip(features[i], features[j], strict=True)))
        for i, j in combinations(columns, 2)
    }
    gains = {pair: share - max(single[i] for i in pair) for pair, share in pairs.items() if share >= LEAST}
    best = max(gains, key=lambda pair: gains[pair], default=None)
    if best is not None and gains[best] >= LEAST_GAIN:
        return f"by how {' and '.join(form.layout.name(i) for i in best)} go together"
    column = int(np.argmax(single))
    return f"by {form.layout.name(column)}" if single[column] >= LEAST else ""


def _told(known: Array, samples: Array, real: Array) -> float:
    """The share of pairs of a sample and a real row (n, d) of which the sample is farther from known rows."""
    centre, deviation = known.mean(axis=0), known.std(axis=0)
    scale = np.where(deviation > 0.0, deviation, 1.0)
    scaled = [(part - centre) / scale for part in (known, samples, real)]
    variances, directions = np.linalg.eigh(scaled[0].T @ scaled[0] / len(known))
    weights = 1.0 / np.maximum(variances, VARIANCE_FLOOR * max(float(variances.mean()), 1e-12))
    distances = [((part @ directions) ** 2) @ weights for part in scaled[1:]]
    return auc(distances[0], distances[1])[0]
