"""What a report lacks is measured in the time that is left, in pieces that end in time."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from types import SimpleNamespace
from typing import Any, ClassVar

import pytest

from anew.core.reporter import SilentReporter
from anew.core.specs import Grid, Spec, Tokens
from anew.evaluation.measure import BOTH, Unmeasured
from anew.evaluation.memorization.result import ClosestPair, CopyTestResult, Limit, PlantedControl
from anew.evaluation.metrics.feature_sets import MAX_ITEMS_WITHOUT_SAVING
from anew.evaluation.notes import COPIES, NUM_COMPARED, Note, not_measured, out_of_time
from anew.evaluation.reporting.supply import Supply
from anew.evaluation.score import Score
from anew.workflows.run_report import Measurements
from anew.workflows.timing.time_left import (
    Supplement,
    _affordable,
    _latest,
    _says_more,
    _supply,
    measure_in_time_left,
    missing_samples,
)
from scores import score

FURTHER: Unmeasured = {"further figures": BOTH}
GRID = Grid((1, 8, 8), "CHW")


@dataclass
class Inputs:
    samples: list[int]
    seconds: float | None = None
    bits: Any = None
    features: Any = None
    spec: Spec = GRID


class Slow:
    """An evaluation whose figures take a hundredth of a second for each sample; there is no copying test."""

    item_type = None
    counted = "sample"
    pieces: ClassVar[list[int]] = []

    def __init__(self, inputs: Inputs) -> None:
        self.inputs, self.notes, self.unmeasured, self.measured = inputs, [], FURTHER, set()
        self.sets = SimpleNamespace(supply=Supply(compared=len(inputs.samples)))
        self.announcements = SimpleNamespace(reporter=None)

    @property
    def has_further(self) -> bool:
        return self.unmeasured == FURTHER

    def forget_unmeasured(self) -> None:
        self.unmeasured = FURTHER

    def scores_without_features(self) -> Iterator[Score]:
        if "sharpness and noise" not in self.measured:
            yield score("sharpness", 0.5, n=len(self.inputs.samples))
            self.measured.add("sharpness and noise")

    def answer_scores(self) -> Any:
        n = len(self.inputs.samples)
        self.pieces.append(n)
        time.sleep(0.01 * n)
        yield score("coverage", 0.5, n=n)
        self.unmeasured = {}


@pytest.mark.parametrize(
    ("seconds", "pieces", "missing"), [(30.0, [32, MAX_ITEMS_WITHOUT_SAVING], {}), (0.5, [], FURTHER)]
)
def test_a_larger_piece_follows_where_it_ends_in_time(seconds: float, pieces: list[int], missing: Unmeasured) -> None:
    Slow.pieces = []
    evaluation: Any = Slow(Inputs(list(range(1_000))))
    measured = Measurements(unmeasured=FURTHER)
    supplement = measure_in_time_left(evaluation, measured, time.monotonic() + seconds, 1.0, SilentReporter())
    assert supplement is not None and Slow.pieces == pieces
    assert (
        supplement.measurements.unmeasured == missing
        and supplement.measurements.scores[0].n == MAX_ITEMS_WITHOUT_SAVING
    )
    assert ("coverage" in [s.name for s in supplement.measurements.scores]) == bool(pieces)


@pytest.mark.parametrize(("spec", "begins"), [(Tokens(30, 20), True), (GRID, False)])
def test_pieces_of_sequences_take_less_time(spec: Spec, begins: bool) -> None:
    """20 V genes were left without their classifier with 7 s to spare."""
    Slow.pieces = []
    evaluation: Any = Slow(Inputs(list(range(20)), spec=spec))
    measured = Measurements(unmeasured=FURTHER)
    supplement = measure_in_time_left(evaluation, measured, time.monotonic() + 7.0, 9.0, SilentReporter())
    assert supplement is not None and Slow.pieces == ([20] if begins else [])


def test_what_came_first_for_want_of_time_is_not_measured_again() -> None:
    class Plain(Slow):
        def scores_without_features(self) -> Iterator[Score]:
            raise AssertionError("measured before")

    evaluation: Any = Plain(Inputs(list(range(20))))
    evaluation.measured = {"sharpness and noise"}
    supplement = measure_in_time_left(
        evaluation, Measurements(unmeasured=FURTHER), time.monotonic() + 30.0, 1.0, SilentReporter()
    )
    assert supplement is not None and not supplement.measurements.unmeasured


def test_samples_of_which_figures_were_measured_are_not_said_to_be_left_out() -> None:
    """A report with 20 figures of 20 samples had "time to compare only 0 of 20 samples"."""

    class CutOff(Slow):
        def answer_scores(self) -> Iterator[Score]:
            yield score("coverage", 0.5, n=20)
            time.sleep(30.0)

    evaluation: Any = CutOff(Inputs(list(range(20))))
    measured = Measurements(unmeasured=FURTHER, supply=Supply(compared=20, left_out=20))
    supplement = measure_in_time_left(evaluation, measured, time.monotonic() + 1.5, 1.0, SilentReporter())
    assert supplement is not None and supplement.measurements.supply.left_out == 0
    assert supplement.measurements.unmeasured == FURTHER


@pytest.mark.parametrize("missing", [[], ["coverage"]])
def test_what_was_measured_without_features_is_not_said_to_be_missing(missing: list[str]) -> None:
    """A report named "composition" as not measured above the figure for it, and gave no answer because of it."""
    Slow.pieces = []
    evaluation: Any = Slow(Inputs(list(range(100))))
    names = [*missing, "sharpness and noise"]
    evaluation.unmeasured = dict.fromkeys(names, BOTH)
    evaluation.notes = [Note("A note."), *map(out_of_time, names)]
    measured = Measurements(unmeasured=evaluation.unmeasured, supply=Supply(compared=100))
    supplement = measure_in_time_left(evaluation, measured, time.monotonic() + 0.5, 1.0, SilentReporter())
    assert supplement is not None and [*supplement.measurements.unmeasured] == missing and Slow.pieces == []
    assert supplement.evaluation.notes == [Note("A note."), *map(out_of_time, missing)]


def test_what_was_measured_on_fewer_samples_is_not_said_to_be_missing() -> None:
    """After further samples, thirteen figures that stood in the report were "not measured (out of time)", and an answer was not settled."""

    class Late(Slow):
        def answer_scores(self) -> Iterator[Score]:
            yield from super().answer_scores()
            self.unmeasured = {"lengths": BOTH, "formats": BOTH}
            self.notes += map(out_of_time, self.unmeasured)

    evaluation: Any = Late(Inputs(list(range(100))))
    measured = Measurements(supply=Supply(compared=100, left_out=60), scores=[score("coverage", 0.5, n=40)])
    assert (supplement := later(evaluation, measured)) is not None and not supplement.measurements.unmeasured
    assert [note.sentence for note in supplement.evaluation.notes] == [
        "Measured on fewer samples than other figures, for lack of time: lengths and formats."
    ]
    # What no batch had time for stays missing
    supplement = later(evaluation, replace(measured, unmeasured={"formats": BOTH}))
    assert supplement is not None and supplement.measurements.unmeasured == {"formats": BOTH}
    assert out_of_time("formats") in supplement.evaluation.notes


def test_what_only_a_smaller_batch_measured_is_said_to_be_of_fewer_samples() -> None:
    """Repetition of 107 samples was "too few", as if 300 were not there."""

    class OfFew(Slow):
        def answer_scores(self) -> Iterator[Score]:
            yield from super().answer_scores()
            if len(self.inputs.samples) == 32:
                self.measured.add("repetition")
            else:
                self.unmeasured = {"repetition": BOTH}
                self.notes.append(out_of_time("repetition"))

    evaluation: Any = OfFew(Inputs(list(range(1_000))))
    supplement = later(evaluation, Measurements(unmeasured=FURTHER))
    assert supplement is not None and not supplement.measurements.unmeasured
    assert supplement.measurements.supply.partly == BOTH
    last = supplement.evaluation.notes[-1].sentence
    assert last == "Measured on fewer samples than other figures, for lack of time: repetition."


def later(evaluation: Any, measured: Measurements) -> Supplement | None:
    return measure_in_time_left(evaluation, measured, time.monotonic() + 30.0, 1.0, SilentReporter())


def test_what_is_still_missing_has_the_last_reason_alone() -> None:
    """Of 117 samples it was said that there are 40, too few, and in another note that time was up."""

    class Later(Slow):
        def answer_scores(self) -> Iterator[Score]:
            yield from super().answer_scores()
            self.notes, self.unmeasured = [out_of_time("order")], {"order": BOTH}

    evaluation: Any = Later(Inputs(list(range(60))))
    evaluation.notes = [Note("A note."), not_measured("order", "there are 20 samples", "order")]
    measured = Measurements(unmeasured=FURTHER, supply=Supply(compared=20, left_out=40))
    supplement = measure_in_time_left(evaluation, measured, time.monotonic() + 30.0, 1.0, SilentReporter())
    assert supplement is not None
    reasons = [note.sentence for note in supplement.evaluation.notes if note.subject == "order"]
    assert reasons == [out_of_time("order").sentence]


@pytest.mark.parametrize("left_out", [0, 60])
def test_what_was_measured_on_all_samples_is_not_repeated(left_out: int) -> None:
    """Words measured again what was known, and had no time left for what was missing."""
    Slow.pieces = []
    evaluation: Any = Slow(Inputs(list(range(100))))
    evaluation.measured, evaluation.unmeasured = {"sharpness and noise"}, {"coverage": BOTH}
    measured = Measurements(unmeasured={"coverage": BOTH}, supply=Supply(compared=100, left_out=left_out))
    supplement = measure_in_time_left(evaluation, measured, time.monotonic() + 0.5, 1.0, SilentReporter())
    assert (supplement is not None) == bool(left_out) and Slow.pieces == []


@pytest.mark.parametrize(("seconds", "unmeasured"), [(0.1, FURTHER), (30.0, {})])
def test_nothing_is_measured_without_time_or_need(seconds: float, unmeasured: Unmeasured) -> None:
    evaluation: Any = Slow(Inputs(list(range(100))))
    measured = Measurements(unmeasured=unmeasured)
    assert measure_in_time_left(evaluation, measured, time.monotonic() + seconds, 1.0, SilentReporter()) is None


def test_samples_that_were_left_out_for_lack_of_time_are_measured() -> None:
    Slow.pieces = []
    evaluation: Any = Slow(Inputs(list(range(223))))
    extent = Note(
        "Distances, variety and many other figures were measured on 40 of 223 samples, for lack of time.", NUM_COMPARED
    )
    evaluation.notes = [extent, out_of_time("the spectrum")]
    supply = Supply(476, compared=223, left_out=183)
    measured = Measurements(scores=[score("coverage", 0.5, n=40)], supply=supply)
    evaluation.sets.supply = supply
    supplement = measure_in_time_left(evaluation, measured, time.monotonic() + 30.0, 1.0, SilentReporter())
    assert supplement is not None and Slow.pieces == [60, 223]
    assert supplement.measurements.supply.left_out == 0 and supplement.measurements.scores[0].n == 223
    assert supplement.evaluation.notes == [out_of_time("the spectrum")]
    # A piece has no more samples than were measured
    enough = Measurements(supply=Supply(476, compared=476, left_out=176))
    assert measure_in_time_left(evaluation, enough, time.monotonic() + 30.0, 1.0, SilentReporter()) is None


def test_of_a_part_of_the_samples_the_report_says_so() -> None:
    piece = Supply(476, compared=32)
    assert _supply(Supply(), piece, 223 / 32) == Supply(476, compared=223, left_out=191)
    earlier = Supply(476, compared=223, left_out=183)
    assert _supply(earlier, piece, 223 / 32) == Supply(476, compared=223, left_out=183)
    assert _supply(Supply(), Supply(100, compared=100), 2.0) == Supply(100, compared=100)


class Copied(Slow):
    """An evaluation whose copying test compares more training items each time."""

    item_type, may_compare_thoroughly = object(), False

    def continue_tests(self, earlier: object) -> None:
        assert isinstance(earlier, Copied)

    def copy_tests(self) -> Iterator[CopyTestResult]:
        self.closest_pairs = ["pair"]
        yield copies(train=self.train)


def copies(train: int, limited_by: Limit = "time") -> CopyTestResult:
    return CopyTestResult(
        detected=False,
        p=0.5,
        share=0.0,
        low=0.0,
        detection_limit=None,
        method="scan",
        pairs=[],
        distance="edits",
        samples=64,
        train=train,
        held_out=64,
        n_train_total=1_454,
        limited_by=limited_by,
        notes=[f"{train} compared"],
    )


@pytest.mark.parametrize(("train", "is_better"), [(900, True), (152, True), (57, False)])
def test_a_copying_test_that_was_cut_short_goes_on(train: int, is_better: bool) -> None:
    evaluation: Any = Copied(Inputs(list(range(64))))
    Copied.train = train  # type: ignore[attr-defined]
    evaluation.notes = [
        not_measured("copies of the other training items", "there was time to compare only 152", COPIES)
    ]
    measured = Measurements(
        copies=copies(train=152),
        notes=[Note("152 compared", COPIES), Note("a note")],
        scores=copies(train=152).scores(),
    )
    supplement = measure_in_time_left(evaluation, measured, time.monotonic() + 30.0, 1.0, SilentReporter())
    if not is_better:
        assert supplement is None
        return
    assert supplement is not None and supplement.evaluation.notes == [] and supplement.closest_pairs == ["pair"]
    further = supplement.measurements
    assert further.copies is not None and further.copies.train == train
    assert [note.sentence for note in further.notes] == ["a note", f"{train} compared"]
    assert [s.name for s in further.scores] == [s.name for s in copies(train=train).scores()]


@pytest.mark.parametrize("is_extended", [True, False])
def test_samples_that_were_drawn_after_the_copying_test_are_looked_at(is_extended: bool) -> None:
    evaluation: Any = Copied(Inputs(list(range(96))))
    Copied.train = 900  # type: ignore[attr-defined]
    measured = Measurements(copies=copies(train=152, limited_by=""), supply=Supply(64, compared=64))
    ends_at = time.monotonic() + 30.0
    supplement = measure_in_time_left(
        evaluation, measured, ends_at, 1.0, SilentReporter(), has_further_samples=is_extended
    )
    assert (supplement is not None) == is_extended


def test_a_copying_test_that_misses_copies_lacks_samples() -> None:
    """33 s of 180 were left where 2% of copies were missed, and 9 s of 130 where 31 more samples would have done."""
    blind = replace(copies(train=1_454, limited_by=""), samples=100)
    needed = blind.needed(0.1)[1]
    assert needed > 100
    measured = Measurements(copies=blind, copies_seconds=3.0, score_seconds=8.0)
    assert missing_samples(measured, 100, 75, 0.5) == (needed, 6.0)
    # Of 200 passages, cut from 100 samples
    assert missing_samples(replace(measured, copies=replace(blind, samples=200)), 100, 75, 0.5) == (needed / 2, 6.0)
    controls = [PlantedControl("exact", rate, caught) for rate, caught in ((0.02, 0.3), (0.1, 1.0))]
    seeing = replace(blind, detection_limit=0.1, controls=controls)
    assert missing_samples(replace(measured, copies=seeing), 100, 75, 0.5) == (150, 6.0)
    assert missing_samples(replace(measured, copies=replace(seeing, detected=True)), 100, 75, 0.5) == (150, 6.0)
    # What is compared with further held-out items takes time, too: an answer was "not settled" for 187 samples that New? needed
    for num_held_out, seconds in ((100, 6.0), (600, 16.0)):
        supply = replace(measured.supply, held_out=num_held_out, compared=100)
        assert missing_samples(replace(measured, copies=seeing, supply=supply), 100, 75, 0.5) == (150, seconds)
    doubtful = replace(seeing, detected=True, p=0.002, is_coarse=True, pairs=[ClosestPair(0, 5, 0.6, 1.0)])
    assert missing_samples(replace(measured, copies=doubtful), 100, 75, 0.5) is None
    sharp = replace(seeing, controls=[PlantedControl("exact", 0.005, 1.0)])
    assert missing_samples(replace(measured, copies=sharp), 100, 75, 0.5) is None
    assert missing_samples(replace(measured, copies=sharp), 100, 200, 0.5) == (150, 10.0)
    cut_off = replace(measured, copies=seeing, unmeasured={"coverage": BOTH})
    assert missing_samples(cut_off, 100, 75, 0.5) is None and missing_samples(cut_off, 100, 200, 0.5) is None
    assert missing_samples(replace(measured, copies=copies(train=152)), 100, 75, 0.5) is None
    # Once all was tried that could be measured of these samples
    assert missing_samples(cut_off, 100, 75, 0.5, is_complete=True) == (150, 6.0)
    assert missing_samples(cut_off, 100, 200, 0.5, is_complete=True) == (150, 10.0)


def test_a_copying_test_of_more_samples_that_notices_less_replaces_none() -> None:
    """Of 1,000 Spanish words 10% copies would have been noticed, of 3,334 not: *New?* went from yes to partly."""
    fewer = replace(copies(train=100, limited_by=""), detection_limit=0.1)
    more = replace(fewer, detection_limit=None, samples=10_000)
    assert not _says_more(more, fewer) and _says_more(replace(more, detection_limit=0.05), fewer)
    assert _says_more(replace(more, detected=True, p=0.001), fewer)
    assert _says_more(more, replace(fewer, limited_by="time"))


def test_a_coarse_copying_test_replaces_no_full_one_that_knows_better() -> None:
    """Of 300 digits the full test found no copies; of 622 a coarse one, with an alarm that leaning to the data explains, was reported."""
    full = replace(copies(train=1_454, limited_by=""), samples=300)
    clean = replace(full, samples=622, is_coarse=True)
    doubtful = replace(clean, detected=True, p=0.002, pairs=[ClosestPair(0, 5, 0.6, 1.0)])
    plain = replace(doubtful, pairs=[ClosestPair(0, 5, 0.1, 1.0)])
    assert _says_more(full, None) and _says_more(clean, full) and _says_more(plain, full)
    assert not _says_more(doubtful, full) and not _says_more(clean, replace(full, detected=True))
    assert _says_more(replace(full, samples=622), replace(doubtful, samples=622)) and not _says_more(full, doubtful)


def test_a_further_piece_counts_half_of_the_time_as_fixed() -> None:
    assert _affordable(32, 4.0, 6.0, 300) == 64
    assert _affordable(32, 4.0, 60.0, 300) == 300 and _affordable(32, 4.0, 1.0, 300) == 0


def test_of_two_scores_the_one_of_more_samples_counts() -> None:
    earlier, later = [score("a", 1.0, n=100), score("b", 1.0, n=32)], [score("a", 2.0, n=32), score("b", 2.0, n=32)]
    assert [s.value for s in _latest(earlier, later)] == [1.0, 2.0]
