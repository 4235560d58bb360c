"""Which field of rows, how it ends, or which two together, tell samples from real rows."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import combinations
from statistics import NormalDist

import numpy as np

from anew.evaluation.metrics.distances import Array
from anew.evaluation.metrics.records.row_formats import RowFormat
from anew.evaluation.metrics.records.text_fields import FieldEndings
from anew.evaluation.metrics.two_sample import auc

Rows = Sequence[Sequence[str]]  # rows of fields

# Share of pairs of a sample and a real row that a field has to tell, and by how much more two fields have to tell than either
# of them alone: less does not matter; chosen
MIN_AUC, MIN_AUC_GAIN = 0.6, 0.05
MAX_FALSE_NAMES = 0.05  # how often a field may be named although none differs
MAX_COLUMNS = 20  # that are looked at; bounds the time
VARIANCE_FLOOR = 1e-6  # least variance of a direction, as a share of the mean one: fields are rounded


def odd_fields(form: RowFormat, samples: Rows, real: Rows, known: Rows, endings: FieldEndings) -> str:
    """The difference by which samples are told from real rows, a clause: "by field 3", "by how field 3 ends", or "by how field 1
    and field 2 go together"; "" if nothing does.

    Fields are rated by how far their numbers are from the mean of known rows, in standard deviations of each direction.

    Args:
        form: How records are divided into fields.
        samples, real: Rows that are compared.
        known: Training rows, by which they are rated.
        endings: How numbers and dates end in training rows.
    """
    columns = range(min(len(form.columns), MAX_COLUMNS))
    parts = (known, samples, real)
    if min(map(len, parts)) < 2:
        return ""
    features = [[form.columns[i].features([row[i] for row in part]) for part in parts] for i in columns]
    single = [_separation(*of_column) for of_column in features]
    pairs = {
        (i, j): _separation(*(np.concatenate(part, axis=1) for part in zip(features[i], features[j], strict=True)))
        for i, j in combinations(columns, 2)
    }
    by_ending = _ending_separations(endings, parts)
    min_auc = _min_auc(len(samples), len(real), len(single) + len(pairs) + len(by_ending))
    gains = {pair: share - max(single[i] for i in pair) for pair, share in pairs.items() if share >= min_auc}
    best_pair = max(gains, key=lambda pair: gains[pair], default=None)
    if best_pair is not None and gains[best_pair] >= MIN_AUC_GAIN:
        return f"by how {' and '.join(form.layout.name(i) for i in best_pair)} go together"
    by_clause = {f"by {form.layout.name(i)}": single[i] for i in columns}
    by_clause |= {f"by how {form.layout.name(i)} ends": share for i, share in by_ending.items()}
    best = max(by_clause, key=lambda clause: by_clause[clause])
    return best if by_clause[best] >= min_auc else ""


def _min_auc(num_samples: int, num_real: int, num_rated: int) -> float:
    """The least AUC that matters and is beyond chance among `num_rated` ratings. The variance of an AUC without a difference is
    that of Mann and Whitney (1947)."""
    error = math.sqrt((num_samples + num_real + 1) / (12.0 * num_samples * num_real))
    return max(MIN_AUC, 0.5 + NormalDist().inv_cdf(1.0 - MAX_FALSE_NAMES / num_rated) * error)


def _ending_separations(endings: FieldEndings, parts: Sequence[Rows]) -> dict[int, float]:
    """How the ending of each column that has learned ones tells samples, by its number. parts: known, samples and real rows."""
    features = [endings.features(part) for part in parts]
    return {
        i: _separation(*(part[:, [place]] for part in features))
        for place, i in enumerate(endings.log_shares)
        if i < MAX_COLUMNS
    }


def _separation(known: Array, samples: Array, real: Array) -> float:
    """The share of pairs of a sample and a real row (n, d) of which the sample is farther from known rows."""
    centre, deviation = known.mean(axis=0), known.std(axis=0)
    scale = np.where(deviation > 0.0, deviation, 1.0)
    scaled = [(part - centre) / scale for part in (known, samples, real)]
    variances, directions = np.linalg.eigh(scaled[0].T @ scaled[0] / len(known))
    weights = 1.0 / np.maximum(variances, VARIANCE_FLOOR * max(float(variances.mean()), 1e-12))
    distances = [((part @ directions) ** 2) @ weights for part in scaled[1:]]
    return auc(distances[0], distances[1])[0]
