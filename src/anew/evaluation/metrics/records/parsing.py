"""Lists whose records are written in a language such as JSON: how many samples parse."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from anew.core.grammars.record_languages import language_of
from anew.evaluation.metrics.records.record_sets import RecordSets
from anew.evaluation.metrics.shares import share_score
from anew.evaluation.score import LEAST_OF_SHARES, Score, Tolerance, bounded_spec

PARSING_RECORDS = bounded_spec(
    "parsing_records",
    "Records parse",
    "Share of samples that parse, where all records of the data are JSON objects or arrays, or XML elements.",
    Tolerance(
        "closeness",
        small=0.03,
        large=0.15,
        clause="{value:.0%} of samples parse{aside} (real data: {real:.0%})",
        least=LEAST_OF_SHARES,
        explains_others=True,
    ),
    better="higher",
)
MAX_ASKED = 4000  # training records that show the language: JSON takes 10 us each; chosen
MAX_BROKEN = 0.001  # share of those that may not parse: as in drawing


def parsing_scores(sets: RecordSets) -> Iterator[Score]:
    """Yield the score of samples that parse; none where records have no such language."""
    language = language_of(sets.known[:MAX_ASKED], MAX_BROKEN)
    if language is None or not sets.samples or not sets.held_out:
        return
    samples, held_out = ([language.is_whole(record) for record in part] for part in (sets.samples, sets.held_out))
    score = share_score(PARSING_RECORDS, samples, held_out, f"records of the data are {language.name}")
    yield replace(score, note=f"as {language.name}")
