"""Records of data that older versions wrote."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from anew.core.data_record import DataRecord

RECORD = {
    "path": "data",
    "seed": 0,
    "modality": "text",
    "asked": False,
    "config": {},
    "learned": {},
    "labels": [],
    "rates": {},
    "fingerprint": "f",
    "parts": {"train": 1},
    "notes": [],
    "refused": 0,
    "refusals": [],
    "seconds": None,
}


def test_runs_of_older_versions_that_read_all_shards_are_read() -> None:
    assert DataRecord.model_validate({**RECORD, "unread": []}).row_steps == []


def test_runs_of_older_versions_that_left_out_shards_are_refused() -> None:
    with pytest.raises(ValidationError, match="left out shards"):
        DataRecord.model_validate({**RECORD, "unread": [3]})
