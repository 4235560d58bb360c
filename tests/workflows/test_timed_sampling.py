"""The samples of a report, as far as there is time for them."""

from __future__ import annotations

from typing import Any

import pytest

from anew.core.reporter import Reporter, SilentReporter
from anew.evaluation.items_in_time import WITHIN_TIME
from anew.sampling.samples import Samples
from anew.workflows.run_report import Measurements
from anew.workflows.timed_sampling import TimedSampling, first_chunk
from anew.workflows.timing.pace import FIRST_CHUNK, Pace
from anew.workflows.timing.sample_counts import SampleTargets
from anew.workflows.timing.time_left import missing_samples
from anew.workflows.timing.time_limit import TimeLimit
from reporters import Lines

TARGETS = SampleTargets(100, 300)


class Drawn:
    """A model whose samples are numbers, stopped after some."""

    item_modality: Any = None
    item_spec: Any = None

    def __init__(self, stop: int) -> None:
        self.stop = stop

    def sample(self, n: int, seed: int, first_index: int) -> Samples:
        if first_index >= self.stop:
            raise KeyboardInterrupt
        return Samples(list(range(first_index, first_index + n)), [None] * n, None)  # type: ignore[arg-type]


def sampled(
    model: Any,
    n: int,
    targets: SampleTargets,
    seconds: float | None,
    reporter: Reporter,
    first: int = FIRST_CHUNK,
    pace: Pace | None = None,
) -> tuple[Samples, list[str], bool]:
    """The samples of a model, the notes on them, and whether drawing them was stopped."""
    sampling = TimedSampling(model, n, targets, 0, pace or Pace(), Samples([], [], model.item_modality))
    sampling.draw(seconds, reporter, first)
    return sampling.samples, sampling.notes, sampling.is_stopped


def test_samples_up_to_the_interruption_are_measured() -> None:
    heard = Lines()
    samples, notes, stopped = sampled(Drawn(424), 5000, TARGETS, None, heard)
    assert stopped and list(samples) == list(range(424))
    assert notes == ["424 samples instead of 5,000, because it was stopped; measuring them may take 20 s then."]
    assert heard.parts[-1] == ("sampling", 424, 5000)
    with pytest.raises(KeyboardInterrupt):
        sampled(Drawn(0), 100, TARGETS, None, heard)


def test_as_many_samples_as_asked_leave_no_note() -> None:
    samples, notes, stopped = sampled(Drawn(10**6), 300, TARGETS, None, SilentReporter())
    assert len(samples) == 300 and notes == [] and not stopped


@pytest.mark.parametrize(("seconds_each", "said"), [(0.1, "about 4 min"), (0.01, "about 50 s"), (0.001, None)])
def test_long_sampling_without_a_limit_is_announced(
    monkeypatch: pytest.MonkeyPatch, seconds_each: float, said: str | None
) -> None:
    clock, heard = [0.0], Lines()

    class Timed(Drawn):
        def sample(self, n: int, seed: int, first_index: int) -> Samples:
            clock[0] += 2.0 * (seconds_each > 0.001) + seconds_each * n
            return super().sample(n, seed, first_index)

    monkeypatch.setattr("anew.workflows.timed_sampling.time.monotonic", lambda: clock[0])
    sampled(Timed(10**6), 2_000, TARGETS, None, heard)
    announced = [text for text in heard.lines if "a budget limits both" in text]
    assert announced == (
        []
        if said is None
        else [f"drawing 2,000 samples takes {said}, and measuring them takes further time; a budget limits both"]
    )


@pytest.mark.parametrize(("least", "ample", "share"), [(20, 40, 0.15), (40, 5000, 0.3), (5000, 5000, 0.5)])
def test_sampling_takes_more_of_the_time_only_until_there_are_enough(
    monkeypatch: pytest.MonkeyPatch, least: int, ample: int, share: float
) -> None:
    clock = [0.0]

    class Timed(Drawn):
        def sample(self, n: int, seed: int, first_index: int) -> Samples:
            clock[0] += 0.5 + 0.01 * n
            return super().sample(n, seed, first_index)

    monkeypatch.setattr("anew.workflows.timed_sampling.time.monotonic", lambda: clock[0])
    targets = SampleTargets(least, ample)
    samples, notes, _ = sampled(Timed(10**6), 5000, targets, 20.0, SilentReporter())
    assert (share - 0.1) * 20.0 < clock[0] <= share * 20.0 and WITHIN_TIME in notes[0]
    assert len(samples) >= 40


@pytest.mark.parametrize(("per_sample", "most"), [(0.05, 20), (0.001, 5000)])
def test_in_a_short_report_on_busy_cores_few_samples_are_measured_before_more_are_drawn(
    monkeypatch: pytest.MonkeyPatch, per_sample: float, most: int
) -> None:
    """A resumed run drew 64 samples in its 20 s, and measured none of them."""
    clock = [0.0]

    class Timed(Drawn):
        def sample(self, n: int, seed: int, first_index: int) -> Samples:
            clock[0] += 0.3 + per_sample * n
            return super().sample(n, seed, first_index)

    monkeypatch.setattr("anew.workflows.timed_sampling.time.monotonic", lambda: clock[0])
    targets = SampleTargets(300, 2_000).in_short_report(is_busy=True)
    samples, _, _ = sampled(Timed(10**6), 5_000, targets, 11.0, SilentReporter(), 1)
    assert 20 <= len(samples) <= most and clock[0] <= 0.25 * 11.0
    assert most == 20 or len(samples) > 100  # those that take hardly any time


def test_samples_beyond_those_that_answers_need_wait_until_these_are_measured() -> None:
    """88 further samples were drawn "as there was time", and then time was up before two answers."""
    targets = SampleTargets(300, 2_000)
    for few, most in ((targets.with_figures_first(), 300), (targets.in_short_report(False), 300), (targets, 5_000)):
        samples, _, _ = sampled(Drawn(10**6), 5_000, few, 60.0, SilentReporter())
        assert len(samples) == most


def test_the_note_on_few_samples_names_the_number_that_the_progress_names(monkeypatch: pytest.MonkeyPatch) -> None:
    """The page said "20 samples instead of 196", the terminal "20 of 118"."""
    clock = [0.0]

    class Timed(Drawn):
        def sample(self, n: int, seed: int, first_index: int) -> Samples:
            clock[0] += 0.5 * n
            return super().sample(n, seed, first_index)

    monkeypatch.setattr("anew.workflows.timed_sampling.time.monotonic", lambda: clock[0])
    heard = Lines()
    samples, notes, _ = sampled(Timed(10**6), 196, SampleTargets(118, 500), 20.0, heard)
    assert {total for _, _, total in heard.parts} == {118}
    assert notes == [f"{len(samples)} samples instead of the 118 that answers usually need, {WITHIN_TIME}."]


def test_progress_counts_the_samples_that_are_needed_if_there_may_be_no_time_for_more() -> None:
    """It ended at 180 of 1,000, "1:00 left", in a report that was over half a minute later."""
    heard = Lines()
    samples, _, _ = sampled(Drawn(10**6), 5_000, SampleTargets(300, 600), 60.0, heard)
    counts = [(count, total) for _, count, total in heard.parts]
    assert len(samples) > 300 and counts[-1] == (300, 300) and counts.count((300, 300)) == 1
    assert all(total == 300 for _, total in counts)


def test_more_of_the_time_goes_into_the_samples_that_any_figure_needs(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [0.0]

    class Timed(Drawn):
        def sample(self, n: int, seed: int, first_index: int) -> Samples:
            clock[0] += 2.5 + 0.02 * n  # a pass of an autoregressive network on busy cores
            return super().sample(n, seed, first_index)

    monkeypatch.setattr("anew.workflows.timed_sampling.time.monotonic", lambda: clock[0])
    samples, _, _ = sampled(Timed(10**6), 1_000, SampleTargets(150, 300), 17.0, SilentReporter(), 1)
    assert len(samples) >= 20 and clock[0] < 0.65 * 17.0


def test_all_that_any_figure_needs_is_drawn_first_if_it_fits(monkeypatch: pytest.MonkeyPatch) -> None:
    """A report ended with 16 proteins, and all three answers asked for four more."""
    clock = [0.0]

    class Timed(Drawn):
        def sample(self, n: int, seed: int, first_index: int) -> Samples:
            clock[0] += 0.9 * n
            return super().sample(n, seed, first_index)

    monkeypatch.setattr("anew.workflows.timed_sampling.time.monotonic", lambda: clock[0])
    arguments = (1_000, SampleTargets(150, 300), 26.0, SilentReporter(), 1)
    samples, _, _ = sampled(Timed(10**6), *arguments)
    assert len(samples) >= 20 and clock[0] <= 0.8 * 26.0


@pytest.mark.parametrize(("seconds", "is_extended"), [(8.0, True), (3.0, False)])
def test_time_after_the_page_brings_the_samples_that_any_figure_needs(
    seconds: float, is_extended: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock, pace = [0.0], Pace()
    pace.add(4, 4.0)
    pace.add(12, 12.0)

    class Timed(Drawn):
        def sample(self, n: int, seed: int, first_index: int) -> Samples:
            clock[0] += float(n)
            return super().sample(n, seed, first_index)

    monkeypatch.setattr("anew.workflows.timed_sampling.time.monotonic", lambda: clock[0])
    model = Timed(10**6)
    sampling = TimedSampling(model, 300, SampleTargets(300, 600), 0, pace, model.sample(16, 0, 0))  # type: ignore[arg-type]
    clock[0] = 0.0
    missing = missing_samples(Measurements(too_few="16 samples are too few", score_seconds=9.0), 16, 300, 0.5)
    # What 16 took is a likelihood, which is not measured again
    assert missing is not None and missing == (20, 0.5)
    assert sampling.extend(missing.worthwhile, seconds, SilentReporter()) is is_extended
    assert len(sampling.samples) == (20 if is_extended else 16) and clock[0] <= 0.8 * seconds


def test_more_further_samples_than_a_chunk_holds_are_drawn_after_the_page() -> None:
    """Where New? needed 360 more words and there were 10 s for them, none were drawn, as a chunk has at most 256."""
    pace, model = Pace(), Drawn(10**6)
    pace.add(64, 0.064)
    pace.add(256, 0.256)
    sampling = TimedSampling(model, 1_000, SampleTargets(300, 660), 0, pace, model.sample(300, 0, 0))  # type: ignore[arg-type]
    assert sampling.extend(660, 10.0, SilentReporter()) and len(sampling.samples) >= 660


@pytest.mark.parametrize(("most", "drawn"), [(0, 1_000), (4_000, 1_500)])
def test_more_samples_than_were_asked_for_are_drawn_only_in_time_that_is_left(most: int, drawn: int) -> None:
    """Reports of small pictures ended with 8 s of 60 unused, and noticed 10% copies."""
    pace, model = Pace(), Drawn(10**6)
    pace.add(64, 0.064)
    pace.add(256, 0.256)
    targets = SampleTargets(300, 660)
    sampling = TimedSampling(model, 1_000, targets, 0, pace, model.sample(1_000, 0, 0), most=most)  # type: ignore[arg-type]
    sampling.draw(10.0, SilentReporter(), 8)
    assert len(sampling.samples) == 1_000
    assert sampling.extend(1_500, 10.0, SilentReporter()) is (most > 0)
    assert drawn <= len(sampling.samples) <= max(most, 1_000) and not sampling.notes


def test_where_several_samples_make_a_piece_so_many_more_are_drawn_first(monkeypatch: pytest.MonkeyPatch) -> None:
    """24 aphorisms were drawn and measured: "7 text pieces are too few; at least 20 are needed"."""
    clock = [0.0]

    class Timed(Drawn):
        def sample(self, n: int, seed: int, first_index: int) -> Samples:
            clock[0] += 4.0 + 0.05 * n
            return super().sample(n, seed, first_index)

    monkeypatch.setattr("anew.workflows.timed_sampling.time.monotonic", lambda: clock[0])
    targets = SampleTargets(900, 10_000, required=75).in_short_report(is_busy=True)
    samples, _, _ = sampled(Timed(10**6), 300, targets, 40.0, SilentReporter())
    assert len(samples) >= 75
    assert missing_samples(Measurements(too_few="7 text pieces"), 24, 900, 0.5, required=75) == (75, 0.5)


def test_as_many_samples_as_held_out_items_are_not_said_to_be_for_want_of_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """169 samples of 1,000 were "as many as there seemed to be time for", which was the number of held-out items."""
    clock = [0.0]

    class Timed(Drawn):
        def sample(self, n: int, seed: int, first_index: int) -> Samples:
            clock[0] += 0.1 * n
            return super().sample(n, seed, first_index)

    monkeypatch.setattr("anew.workflows.timed_sampling.time.monotonic", lambda: clock[0])
    arguments = (1_000, SampleTargets(169, 300, held_out=169), 40.0, SilentReporter(), 1)
    samples, notes, _ = sampled(Timed(10**6), *arguments)
    assert len(samples) == 169
    assert notes == ["169 samples instead of 1,000, as many as there are held-out items to compare them with."]


def test_what_the_forecast_measured_tells_how_many_samples_are_next(monkeypatch: pytest.MonkeyPatch) -> None:
    """A report of busy cores ended with 5 samples, of which nothing can be measured."""
    clock = [0.0]

    class Timed(Drawn):
        def sample(self, n: int, seed: int, first_index: int) -> Samples:
            clock[0] += 3.0 + 0.1 * n
            return super().sample(n, seed, first_index)

    monkeypatch.setattr("anew.workflows.timed_sampling.time.monotonic", lambda: clock[0])
    forecast = Pace()
    forecast.add(1, 0.4)
    forecast.add(8, 0.5)
    counts = []
    for earlier in (None, forecast):
        clock[0] = 0.0
        targets = SampleTargets(300, 600)
        samples, _, _ = sampled(Timed(10**6), 1_000, targets, 14.0, SilentReporter(), 1, Pace(earlier))
        counts.append(len(samples))
        assert clock[0] <= 0.65 * 14.0
    assert counts[0] < 20 <= counts[1]


def test_samples_beyond_those_that_are_needed_are_announced() -> None:
    """ "sampling: 300 of 300" was followed by "measuring 334 samples"."""
    heard = Lines()
    samples, _, _ = sampled(Drawn(10**6), 5_000, SampleTargets(300, 600), 60.0, heard)
    assert f"{len(samples) - 300:,} further samples, as there was time" in heard.lines


def test_the_first_samples_are_fewer_where_they_may_take_too_long() -> None:
    slow, fast = Pace(), Pace()
    slow.add(1, 4.0)
    fast.add(1, 0.1)
    half_minute, busy = TimeLimit(0.0, 30.0), TimeLimit(0.0, 30.0, slowdown=2.0)
    assert first_chunk(None, slow, False) == 8 and first_chunk(half_minute, None, False) == 8
    assert first_chunk(half_minute, fast, False) == 8 and first_chunk(busy, fast, False) == 1
    assert first_chunk(half_minute, slow, False) == 6 and first_chunk(TimeLimit(0.0, 3.0), slow, False) == 1
    # A step of a Transformer takes nearly as long for one sample as for eight: 8.0 s and 12.9 s for genes
    assert first_chunk(busy, None, True) == 8
    # Where the pace is known, the first chunk takes a fifth of the time at most
    assert first_chunk(busy, fast, True) == 64
    assert 8 < first_chunk(half_minute, fast.scaled(1.0, 5.0), True) <= 0.2 * 30.0 / 0.25
    assert first_chunk(TimeLimit(0.0, 3.0, slowdown=2.0), slow, True) == 1
