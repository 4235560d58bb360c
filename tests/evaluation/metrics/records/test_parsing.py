"""The share of samples that parse, where records are JSON or XML."""

from __future__ import annotations

import json

import pytest

from anew.evaluation.metrics.records.parsing import parsing_scores
from anew.evaluation.metrics.records.record_sets import RecordSets


def scores(records: list[str], samples: list[str]) -> RecordSets:
    return RecordSets(samples, records[:100], records[100:200], records[200:], 0)


def test_records_that_do_not_parse_are_counted() -> None:
    records = [json.dumps({"a": [number]}) for number in range(300)]
    (score,) = parsing_scores(scores(records, [*records[:90], *(record[:-1] for record in records[:10])]))
    assert score.value == pytest.approx(0.9) and score.real_baseline == 1.0 and score.note == "as JSON"
    (score,) = parsing_scores(scores([f"<a>{number}</a>" for number in range(300)], ["<a></b>", "<a/>"]))
    assert score.value == 0.5 and score.note == "as XML"


def test_other_records_have_no_score() -> None:
    assert not list(parsing_scores(scores([str(number) for number in range(300)], ["1"])))
