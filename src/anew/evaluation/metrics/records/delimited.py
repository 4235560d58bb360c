"""Lists whose records are rows of fields (`17.99,10.38` or `{"name": "Oslo", "lat": 59.9}`): well-formed rows, relations of columns.

Other figures read records as characters. They hardly notice a field too many, nor columns that no longer belong together.

Legend for shapes: n rows, d features.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np

from anew.evaluation.metrics.distances import Array
from anew.evaluation.metrics.duplicate_groups import are_mostly_distinct
from anew.evaluation.metrics.feature_sets import FeatureSets
from anew.evaluation.metrics.records.odd_fields import odd_fields
from anew.evaluation.metrics.records.record_sets import RecordSets
from anew.evaluation.metrics.records.row_formats import MAX_READ, MIN_ROWS, RowFormat
from anew.evaluation.metrics.records.text_fields import FieldEndings, TextRelations
from anew.evaluation.metrics.shares import share_score
from anew.evaluation.metrics.two_sample import classifier_score
from anew.evaluation.score import LEAST_OF_SHARES, Score, Tolerance, bounded_spec, guessing_spec

MALFORMED_ROWS = bounded_spec(
    "malformed_rows",
    "Malformed rows",
    "Share of samples with another number of fields than rows of the data, without a number or a valid date where rows have one (null "
    "is allowed in JSON), or without a key that their JSON objects have.",
    Tolerance(
        "closeness",
        small=0.03,
        large=0.15,
        clause="{value:.0%} of samples are not rows as the data has them: a field too many or too few, or one of another kind "
        "(real data: {real:.0%})",
        least=LEAST_OF_SHARES,
        explains_others=True,
    ),
)
COLUMNS_AUC = guessing_spec(
    "columns_auc",
    "Classifier of columns",
    "How often a classifier of the fields, and of how they go together, picks the generated row out of a pair of a sample and a "
    "real row",
    "a classifier of the fields of rows picks the sample out of a pair",
    least=50,
    ending="{aside}",
)
NAMED_FROM = 0.65  # share of pairs told from which on the fields that tell most are named: less does not matter
VARIANCE_FLOOR = 1e-6  # least variance of a direction, as a share of the mean one: fields are rounded


def row_scores(sets: RecordSets) -> Iterator[Score]:
    """Yield the scores of samples whose data are rows of fields; none for other data.

    Real malformed rows are counted in `held_out`, since columns are learned from the others.
    """
    rng = np.random.default_rng(sets.seed)
    samples, held_out, train, training = sets.samples, sets.held_out, sets.train, sets.training
    form = sets.row_format
    if form is None:
        return
    rows = [[fields for record in part if (fields := form.fields(record))] for part in (samples, held_out, train)]
    malformed, real_malformed = ([not form.fields(record) for record in part] for part in (samples, held_out))
    source = f"rows of the data have {form.layout.description}"
    yield share_score(MALFORMED_ROWS, malformed, real_malformed, source)
    n = min(map(len, rows))
    if n < MIN_ROWS:
        return
    other_rows = _other_rows(form, training, {*samples, *held_out, *train}, rng)
    relations = TextRelations.learn(form.columns, other_rows)
    endings = FieldEndings.learn(form.columns, other_rows)
    centre, whiten = _whitening(form.features([fields for row in training[:MAX_READ] if (fields := form.fields(row))]))
    rows = [part[:n] for part in rows]
    end_features = [endings.features(part) for part in rows]
    # Values are compressed by a logarithm: where real rows hardly depart from a relation, others are a hundred deviations away.
    # Endings are a view of their own, too: among many columns, the ending of one would hardly count
    features = [
        np.concatenate(
            [_compressed((form.features(part) - centre) @ whiten), relations.features(part), ends, ends], axis=1
        )
        for part, ends in zip(rows, end_features, strict=True)
    ]
    if are_mostly_distinct(training):
        # Names of columns, which stand in each record of some formats, make no near-duplicates
        texts = [["\t".join(fields) for fields in part] for part in rows]
        compared = FeatureSets.with_duplicates(features, texts, sets.keys_of)
    else:
        compared = FeatureSets(*features)
    num_endings = end_features[0].shape[1]
    views = (features[0].shape[1] - num_endings, num_endings) if num_endings else ()
    source = (
        "a kernel classifier of numbers, also of those within fields, ranks, endings of numbers and frequent values of well-formed rows, "
        "and of what their texts say about other fields, trained on one half and tested on the other"
    )
    score = classifier_score(COLUMNS_AUC, replace(compared, views=views), sets.seed, source)
    odd = odd_fields(form, rows[0], rows[1], other_rows, endings) if score.value > NAMED_FROM else ""
    yield replace(score, note=f"above all {odd}" if odd else "")


def _other_rows(
    form: RowFormat, training: Sequence[str], compared: set[str], rng: np.random.Generator
) -> list[list[str]]:
    """Rows of training records, in random order, without those that are compared, whose fields would be known by heart."""
    order = rng.permutation(len(training))[:MAX_READ]
    return [fields for i in order if training[i] not in compared and (fields := form.fields(training[i]))]


def _whitening(features: Array) -> tuple[Array, Array]:
    """The mean (d,) of features of the data, and directions (d, d) in which they vary equally.

    Rows that break a relation between columns are far out in one of these directions.
    """
    centre, deviation = features.mean(axis=0), features.std(axis=0)
    deviation = np.where(deviation > 0.0, deviation, 1.0)
    scaled = (features - centre) / deviation
    variances, directions = np.linalg.eigh(scaled.T @ scaled / len(scaled))
    scale = 1.0 / np.sqrt(np.maximum(variances, VARIANCE_FLOOR * variances.mean()))
    return centre, directions * scale / deviation[:, None]


def _compressed(whitened: Array) -> Array:
    """(n, 2 d) logarithmic features of whitened ones (n, d): signed, and of their size alone."""
    return np.concatenate([np.arcsinh(whitened), np.log1p(np.abs(whitened))], axis=1)
