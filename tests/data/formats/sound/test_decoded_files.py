"""Decoded sound files that are kept in memory."""

from __future__ import annotations

import numpy as np
import pytest

from anew.data.formats.sound import decoded_files
from anew.data.formats.sound.decoded_files import DecodedFiles


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decoded_files, "MAX_BYTES", 80)


def test_what_was_not_asked_for_the_longest_time_is_dropped() -> None:
    decoded, samples = DecodedFiles(), np.zeros(2, np.float32)
    for number in range(10):
        decoded.keep(number, samples, 8000)
    assert decoded.get(0) == (samples, 8000) and not samples.flags.writeable
    decoded.keep("another", samples, 8000)
    assert decoded.get(0) is not None and decoded.get(1) is None and decoded.get("another") is not None


def test_a_long_file_does_not_drive_out_the_others() -> None:
    decoded = DecodedFiles()
    decoded.keep("short", np.zeros(1, np.float32), 8000)
    decoded.keep("long", np.zeros(9, np.float32), 8000)
    assert decoded.get("long") is None and decoded.get("short") is not None
