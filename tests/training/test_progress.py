"""Progress by the clock."""

from __future__ import annotations

import itertools

import pytest

from anew.training import progress
from anew.training.progress import TimeProgress


class Watch:
    """A clock that is set by hand."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 50.0
        monkeypatch.setattr(progress.time, "monotonic", lambda: self.now)


def test_a_run_that_is_made_longer_goes_on_from_where_it_is_and_ends_at_its_new_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    watch = Watch(monkeypatch)
    training = TimeProgress(100.0)
    reached = []
    for second in range(161):
        watch.now = 50.0 + second
        at = training.at(second)
        if at is None:
            break
        reached.append(at)
        if second == 40:
            training.extend(160.0)
    assert not any(after <= before for before, after in itertools.pairwise(reached))
    assert reached[40] == pytest.approx(40 / 99, abs=0.001)  # a step of a second that would not fit is not begun
    assert reached[100] == pytest.approx(0.4 + 0.6 / 2, abs=0.01) and len(reached) == 159
    assert training.is_extended and training.seconds_left(0) == pytest.approx(1.0)


def test_a_run_of_one_length_has_even_progress(monkeypatch: pytest.MonkeyPatch) -> None:
    watch = Watch(monkeypatch)
    training = TimeProgress(100.0, spent=20.0)
    assert training.at(0) == 0.2 and not training.is_extended
    watch.now += 50.0
    assert training.at(1) is None  # such a step would not fit
