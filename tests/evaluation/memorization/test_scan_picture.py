"""The picture of the scan: its line is where the test alarms, and planted copies cross it."""

from __future__ import annotations

import json

import numpy as np
import pytest

from anew.evaluation.memorization.copy_verdict import result_json
from anew.evaluation.memorization.copying_test import deviance_root
from anew.evaluation.memorization.memorization_test import MemorizationTest
from anew.evaluation.memorization.scan_picture import alarm_line, ranks_to_show
from evaluation.memorization.test_memorization_test import HELD, POINTS, SAMPLES, TRAIN


def test_the_line_is_where_the_statistic_is() -> None:
    effective = np.array([4.0, 40.0, 400.0, 1.0])
    line = alarm_line(effective, 0.6, 3.5)
    assert line[-1] == 1.0 and (line > 0.6).all()
    reached = deviance_root(line[1:3], 0.6) * np.sqrt(effective[1:3])
    assert reached == pytest.approx([3.5, 3.5], abs=1e-4)


def test_ranks_rise_and_end_with_all() -> None:
    ranks = ranks_to_show(300)
    assert ranks[0] == 4 and ranks[-1] == 300 and (np.diff(ranks) > 0).all()
    assert not len(ranks_to_show(3))


def test_what_copies_nothing_stays_below_and_planted_copies_cross() -> None:
    outcome = MemorizationTest(POINTS, SAMPLES, TRAIN, HELD).run()
    picture = outcome.picture
    assert picture is not None and not outcome.detected
    assert all(share < line for share, line in zip(picture.shares, picture.line, strict=True))
    assert 4 <= picture.tested < len(SAMPLES)  # nobody asks about those further away
    assert picture.planted is not None and picture.planted_rate is not None
    # Lower rates: by the match test
    assert outcome.exact_limit is not None and picture.planted_rate >= outcome.exact_limit
    assert any(share >= line for share, line in zip(picture.planted, picture.line, strict=True))
    assert json.loads(json.dumps(result_json(outcome)))["picture"]["expected"] == pytest.approx(0.5, abs=0.01)


def test_copies_cross_the_line() -> None:
    outcome = MemorizationTest(POINTS, [*TRAIN[:60], *SAMPLES[:240]], TRAIN, HELD).run()
    assert outcome.detected and outcome.picture is not None
    assert any(share >= line for share, line in zip(outcome.picture.shares, outcome.picture.line, strict=True))


def test_planted_copies_have_the_curve_of_the_samples_they_are_planted_among() -> None:
    leaning = [*TRAIN[:60], *SAMPLES[:240]]
    picture = MemorizationTest(POINTS, leaning, TRAIN, HELD).run().picture
    assert picture is not None and picture.planted is not None and picture.planted_rate is not None
    missing = picture.planted_rate * len(leaning)
    for rank, share, planted in zip(picture.ranks, picture.shares, picture.planted, strict=True):
        assert rank * (share - planted) <= missing + 1e-9
