"""An evaluation that is stopped keeps what it has; sampling too."""

from __future__ import annotations

import contextlib
import json
import shutil
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import anew
from anew.core.deadline import TimeIsUp
from anew.core.reporter import SilentReporter
from anew.data.dataset import Dataset
from anew.data.types import DataBudget
from anew.evaluation.item_sets import ItemSets
from anew.evaluation.items_in_time import WITHIN_TIME
from anew.evaluation.measure import BOTH, Unmeasured
from anew.evaluation.memorization.item_types import count_passages
from anew.evaluation.modalities.text import TextEvaluation
from anew.evaluation.notes import Announcements
from anew.evaluation.reporting.supply import Supply
from anew.evaluation.score import Division, Score
from anew.sampling.samples import Samples
from anew.workflows.evaluate import Sampling, _first_chunk, _sampled, audit_pool, division_of, evaluate_run
from anew.workflows.item_inputs import item_inputs
from anew.workflows.run_report import SAMPLE_NAMES, Measurements, save_samples
from anew.workflows.timing.measuring import COPIES_MISSING, measure_all
from anew.workflows.timing.pace import Pace
from anew.workflows.timing.sample_counts import SampleTargets
from anew.workflows.timing.time_left import missing_samples
from anew.workflows.timing.time_limit import TimeLimit
from samples import names, prose, shapes
from scores import score

SILENT = Announcements(in_limited_time=False)


class Heard(SilentReporter):
    """A reporter that remembers."""

    def __init__(self) -> None:
        self.said: list[str] = []
        self.parts: list[tuple[str, int, int]] = []

    def message(self, text: str) -> None:
        self.said.append(text)

    def progress(self, task: str, count: int, total: int) -> None:
        self.parts.append((task, count, total))


def test_figures_up_to_the_interruption_are_kept() -> None:
    def scores() -> Iterator[Score]:
        yield score("coverage", 0.5, real_baseline=0.9)
        raise KeyboardInterrupt

    heard = Heard()
    inputs = SimpleNamespace(samples=["a", "b"])
    evaluation = SimpleNamespace(
        inputs=inputs,
        announcements=SILENT,
        answer_scores=scores,
        copy_tests=lambda: iter(()),
        sets=ItemSets({}, {}, Supply()),
        unmeasured={"further figures": BOTH},
    )
    copies = measure_all(evaluation, heard)  # type: ignore[arg-type]
    assert [s.name for s in copies.scores] == ["coverage"] and copies.copies is None
    sentences = [note.sentence for note in copies.notes]
    assert "Stopped before the end" in sentences[0] and sentences[1] == "Not measured: the copying test (stopped)."
    assert copies.ended_by == "the evaluation was stopped before it was measured"
    assert "coverage: 0.5 (real data: 0.9)" in heard.said[1]
    assert heard.said[0] == "measuring 2 samples against the data"


def test_a_copying_test_that_the_time_cut_off_is_named() -> None:
    def no_time() -> Iterator[object]:
        raise TimeIsUp
        yield

    evaluation = SimpleNamespace(
        inputs=SimpleNamespace(samples=["a", "b"]),
        announcements=SILENT,
        answer_scores=lambda: iter(()),
        copy_tests=no_time,
        further_scores=lambda: iter(()),
        sets=ItemSets({}, {}, Supply()),
        unmeasured={},
    )
    measured = measure_all(evaluation, SilentReporter())  # type: ignore[arg-type]
    assert measured.copies is None and measured.notes[0].sentence == "Not measured: the copying test (out of time)."
    assert measured.ended_by == "time was up before it was measured"


def test_no_naive_model_takes_time_of_the_copying_test() -> None:
    evaluation = SimpleNamespace(
        inputs=SimpleNamespace(samples=["a", "b"]),
        announcements=SILENT,
        answer_scores=lambda: iter([score("coverage", 0.5)]),
        copy_tests=lambda: iter([heard.message("copies")]),
        further_scores=lambda: iter([score("bits_per_character_xz", 2.0)]),
        sets=ItemSets({}, {}, Supply()),
        unmeasured={},
    )
    heard = Heard()
    measured = measure_all(evaluation, heard)  # type: ignore[arg-type]
    assert [s.name for s in measured.scores] == ["coverage", "bits_per_character_xz"]
    assert [said.split(":")[0].strip() for said in heard.said[-3:]] == [
        "looking for copies of training items",
        "copies",
        "bits_per_character_xz",
    ]


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


def test_samples_up_to_the_interruption_are_measured() -> None:
    heard = Heard()
    samples, notes, stopped = _sampled(Drawn(424), 5000, TARGETS, 0, None, heard)  # type: ignore[arg-type]
    assert stopped and list(samples) == list(range(424))
    assert notes == ["424 samples instead of 5,000, because it was stopped; measuring them may take 20 s then."]
    assert heard.parts[-1] == ("sampling", 424, 5000)
    with pytest.raises(KeyboardInterrupt):
        _sampled(Drawn(0), 100, TARGETS, 0, None, heard)  # type: ignore[arg-type]


def test_as_many_samples_as_asked_leave_no_note() -> None:
    samples, notes, stopped = _sampled(Drawn(10**6), 300, TARGETS, 0, None, SilentReporter())  # type: ignore[arg-type]
    assert len(samples) == 300 and notes == [] and not stopped


@pytest.mark.parametrize(("seconds_each", "said"), [(0.1, "about 4 min"), (0.01, "about 50 s"), (0.001, None)])
def test_long_sampling_without_a_limit_is_announced(
    monkeypatch: pytest.MonkeyPatch, seconds_each: float, said: str | None
) -> None:
    clock, heard = [0.0], Heard()

    class Timed(Drawn):
        def sample(self, n: int, seed: int, first_index: int) -> Samples:
            clock[0] += 2.0 * (seconds_each > 0.001) + seconds_each * n
            return super().sample(n, seed, first_index)

    monkeypatch.setattr("anew.workflows.evaluate.time.monotonic", lambda: clock[0])
    _sampled(Timed(10**6), 2_000, TARGETS, 0, None, heard)  # type: ignore[arg-type]
    announced = [text for text in heard.said if "a budget limits both" in text]
    assert announced == (
        []
        if said is None
        else [f"drawing 2,000 samples takes {said}, and measuring them comes on top; a budget limits both"]
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

    monkeypatch.setattr("anew.workflows.evaluate.time.monotonic", lambda: clock[0])
    targets = SampleTargets(least, ample)
    samples, notes, _ = _sampled(Timed(10**6), 5000, targets, 0, 20.0, SilentReporter())  # type: ignore[arg-type]
    assert (share - 0.1) * 20.0 < clock[0] <= share * 20.0 and WITHIN_TIME in notes[0]
    assert len(samples) >= 40


@pytest.mark.parametrize(("per_sample", "most"), [(0.05, 20), (0.001, 5000)])
def test_in_a_short_report_on_crowded_cores_few_samples_are_measured_before_more_are_drawn(
    monkeypatch: pytest.MonkeyPatch, per_sample: float, most: int
) -> None:
    """A resumed run drew 64 samples in its 20 s, and measured none of them."""
    clock = [0.0]

    class Timed(Drawn):
        def sample(self, n: int, seed: int, first_index: int) -> Samples:
            clock[0] += 0.3 + per_sample * n
            return super().sample(n, seed, first_index)

    monkeypatch.setattr("anew.workflows.evaluate.time.monotonic", lambda: clock[0])
    targets = SampleTargets(300, 2_000).in_short_report(is_crowded=True)
    samples, _, _ = _sampled(Timed(10**6), 5_000, targets, 0, 11.0, SilentReporter(), 1)  # type: ignore[arg-type]
    assert 20 <= len(samples) <= most and clock[0] <= 0.25 * 11.0
    assert most == 20 or len(samples) > 100  # those that take hardly any time


def test_samples_beyond_those_that_answers_need_wait_until_these_are_measured() -> None:
    """88 further samples were drawn "as there was time", and then time was up before two answers."""
    targets = SampleTargets(300, 2_000)
    for few, most in ((targets.on_crowded_cores(), 300), (targets.in_short_report(False), 300), (targets, 5_000)):
        samples, _, _ = _sampled(Drawn(10**6), 5_000, few, 0, 60.0, SilentReporter())  # type: ignore[arg-type]
        assert len(samples) == most


def test_the_note_on_few_samples_names_the_number_that_the_progress_names(monkeypatch: pytest.MonkeyPatch) -> None:
    """The page said "20 samples instead of 196", the terminal "20 of 118"."""
    clock = [0.0]

    class Timed(Drawn):
        def sample(self, n: int, seed: int, first_index: int) -> Samples:
            clock[0] += 0.5 * n
            return super().sample(n, seed, first_index)

    monkeypatch.setattr("anew.workflows.evaluate.time.monotonic", lambda: clock[0])
    heard = Heard()
    samples, notes, _ = _sampled(Timed(10**6), 196, SampleTargets(118, 500), 0, 20.0, heard)  # type: ignore[arg-type]
    assert {total for _, _, total in heard.parts} == {118}
    assert notes == [f"{len(samples)} samples instead of the 118 that answers usually need, {WITHIN_TIME}."]


def test_progress_counts_the_samples_that_are_needed_if_there_may_be_no_time_for_more() -> None:
    """It ended at 180 of 1,000, "1:00 left", in a report that was over half a minute later."""
    heard = Heard()
    samples, _, _ = _sampled(Drawn(10**6), 5_000, SampleTargets(300, 600), 0, 60.0, heard)  # type: ignore[arg-type]
    counts = [(count, total) for _, count, total in heard.parts]
    assert len(samples) > 300 and counts[-1] == (300, 300) and counts.count((300, 300)) == 1
    assert all(total == 300 for _, total in counts)


def test_more_of_the_time_goes_into_the_samples_that_any_figure_needs(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [0.0]

    class Timed(Drawn):
        def sample(self, n: int, seed: int, first_index: int) -> Samples:
            clock[0] += 2.5 + 0.02 * n  # a pass of an autoregressive network on crowded cores
            return super().sample(n, seed, first_index)

    monkeypatch.setattr("anew.workflows.evaluate.time.monotonic", lambda: clock[0])
    samples, _, _ = _sampled(Timed(10**6), 1_000, SampleTargets(150, 300), 0, 17.0, SilentReporter(), 1)  # type: ignore[arg-type]
    assert len(samples) >= 20 and clock[0] < 0.65 * 17.0


def test_all_that_any_figure_needs_is_drawn_first_if_it_fits(monkeypatch: pytest.MonkeyPatch) -> None:
    """A report ended with 16 proteins, and all three answers asked for four more."""
    clock = [0.0]

    class Timed(Drawn):
        def sample(self, n: int, seed: int, first_index: int) -> Samples:
            clock[0] += 0.9 * n
            return super().sample(n, seed, first_index)

    monkeypatch.setattr("anew.workflows.evaluate.time.monotonic", lambda: clock[0])
    arguments = (1_000, SampleTargets(150, 300), 0, 26.0, SilentReporter(), 1)
    samples, _, _ = _sampled(Timed(10**6), *arguments)  # type: ignore[arg-type]
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

    monkeypatch.setattr("anew.workflows.evaluate.time.monotonic", lambda: clock[0])
    model = Timed(10**6)
    sampling = Sampling(model, 300, SampleTargets(300, 600), 0, pace, model.sample(16, 0, 0), [])  # type: ignore[arg-type]
    clock[0] = 0.0
    missing = missing_samples(Measurements(too_few="16 samples are too few", score_seconds=9.0), 16, 300, 0.5)
    # What 16 took is a likelihood, which is not measured again
    assert missing is not None and missing == (20, 0.5)
    assert sampling.extend(missing.worthwhile, seconds, SilentReporter()) is is_extended
    assert len(sampling.samples) == (20 if is_extended else 16) and clock[0] <= 0.8 * seconds


def test_where_several_samples_make_a_piece_so_many_more_are_drawn_first(monkeypatch: pytest.MonkeyPatch) -> None:
    """24 aphorisms were drawn and measured: "7 text pieces are too few; at least 20 are needed"."""
    clock = [0.0]

    class Timed(Drawn):
        def sample(self, n: int, seed: int, first_index: int) -> Samples:
            clock[0] += 4.0 + 0.05 * n
            return super().sample(n, seed, first_index)

    monkeypatch.setattr("anew.workflows.evaluate.time.monotonic", lambda: clock[0])
    targets = SampleTargets(900, 10_000, required=75).in_short_report(is_crowded=True)
    samples, _, _ = _sampled(Timed(10**6), 300, targets, 0, 40.0, SilentReporter())  # type: ignore[arg-type]
    assert len(samples) >= 75
    assert missing_samples(Measurements(too_few="7 text pieces"), 24, 900, 0.5, required=75) == (75, 0.5)


def test_as_many_samples_as_held_out_items_are_not_said_to_be_for_want_of_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """169 samples of 1,000 were "as many as there seemed to be time for", which was the number of held-out items."""
    clock = [0.0]

    class Timed(Drawn):
        def sample(self, n: int, seed: int, first_index: int) -> Samples:
            clock[0] += 0.1 * n
            return super().sample(n, seed, first_index)

    monkeypatch.setattr("anew.workflows.evaluate.time.monotonic", lambda: clock[0])
    arguments = (1_000, SampleTargets(169, 300, held_out=169), 0, 40.0, SilentReporter(), 1)
    samples, notes, _ = _sampled(Timed(10**6), *arguments)  # type: ignore[arg-type]
    assert len(samples) == 169
    assert notes == ["169 samples instead of 1,000, as many as there are held-out items to compare them with."]


def test_what_the_forecast_measured_tells_how_many_samples_are_next(monkeypatch: pytest.MonkeyPatch) -> None:
    """A report of crowded cores ended with 5 samples, of which nothing can be measured."""
    clock = [0.0]

    class Timed(Drawn):
        def sample(self, n: int, seed: int, first_index: int) -> Samples:
            clock[0] += 3.0 + 0.1 * n
            return super().sample(n, seed, first_index)

    monkeypatch.setattr("anew.workflows.evaluate.time.monotonic", lambda: clock[0])
    forecast = Pace()
    forecast.add(1, 0.4)
    forecast.add(8, 0.5)
    counts = []
    for earlier in (None, forecast):
        clock[0] = 0.0
        targets = SampleTargets(300, 600)
        samples, _, _ = _sampled(Timed(10**6), 1_000, targets, 0, 14.0, SilentReporter(), 1, Pace(earlier))  # type: ignore[arg-type]
        counts.append(len(samples))
        assert clock[0] <= 0.65 * 14.0
    assert counts[0] < 20 <= counts[1]


def test_samples_beyond_those_that_are_needed_are_announced() -> None:
    """ "sampling: 300 of 300" was followed by "measuring 334 samples"."""
    heard = Heard()
    samples, _, _ = _sampled(Drawn(10**6), 5_000, SampleTargets(300, 600), 0, 60.0, heard)  # type: ignore[arg-type]
    assert f"{len(samples) - 300:,} further samples, as there was time" in heard.said


def test_the_first_samples_are_fewer_where_they_may_take_too_long() -> None:
    slow, fast = Pace(), Pace()
    slow.add(1, 4.0)
    fast.add(1, 0.1)
    half_minute, crowded = TimeLimit(0.0, 30.0), TimeLimit(0.0, 30.0, crowding=2.0)
    assert _first_chunk(None, slow, False) == 8 and _first_chunk(half_minute, None, False) == 8
    assert _first_chunk(half_minute, fast, False) == 8 and _first_chunk(crowded, fast, False) == 1
    assert _first_chunk(half_minute, slow, False) == 6 and _first_chunk(TimeLimit(0.0, 3.0), slow, False) == 1
    # A step of a Transformer takes nearly as long for one sample as for eight: 8.0 s and 12.9 s for genes
    assert _first_chunk(crowded, None, True) == 8 and _first_chunk(crowded, fast, True) == 8
    assert _first_chunk(TimeLimit(0.0, 3.0, crowding=2.0), slow, True) == 1


def test_the_time_of_a_pass_and_of_a_sample_are_told_apart() -> None:
    pace = Pace()
    pace.add(16, 1.16)
    assert pace.affordable(0.0) == 0 and pace.affordable(2.0) == 39  # of one chunk half of the time counts as fixed
    pace.add(39, 1.39)
    assert pace.affordable(2.0) == 100 and pace.affordable(1.0) == 0 and pace.affordable(100.0) == 256


class Saved(Samples):
    """Samples that leave files of given names."""

    def __init__(self, names: list[str]) -> None:
        self.names = names

    def save(self, folder: Any, *, overwrite: bool = False) -> list[Path]:
        Path(folder).mkdir(exist_ok=True)
        return [self._touch(Path(folder) / name) for name in self.names]

    def files(self) -> Iterator[tuple[str, bytes]]:
        yield from ((name, b"") for name in self.names)

    def save_sprite_sheet(self, folder: Any, *, overwrite: bool = False) -> list[Path]:
        return []

    def save_sheet(self, folder: Any, stem: str = "all", *, overwrite: bool = False) -> Path:
        return self._touch(Path(folder) / f"{stem}.png")

    def _touch(self, path: Path) -> Path:
        path.touch()
        return path


def test_samples_of_an_earlier_evaluation_are_replaced_and_all_else_stays(tmp_path: Path) -> None:
    folder, earlier = tmp_path / "samples", [*(f"{i:04}-3.png" for i in range(2)), "samples.txt"]
    own = {"step-00000009.png", "mine.png", "2024.txt.bak", "2024.png", "20240101-notes.txt", "final.txt", "sheet.psd"}
    save_samples(Saved(earlier), folder)
    for name in own:
        (folder / name).touch()
    (folder / "samples.old").mkdir()
    save_samples(Saved(["0000-7.png"]), folder)
    expected = own | {"samples.old", "0000-7.png", "final.png", SAMPLE_NAMES}
    assert {path.name for path in folder.iterdir()} == expected
    for damaged in ("{", '["../config.json", 3]', '{"final.txt": 1}'):
        (folder / SAMPLE_NAMES).write_text(damaged)
        save_samples(Saved(["0000-7.png"]), folder)
        assert {path.name for path in folder.iterdir()} == expected


@pytest.fixture(scope="module")
def image_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("image-run")
    settings = {"evaluate_samples": 1, "previews": 0, "width": 8, "batch_size": 8}
    anew.train(shapes(place / "data"), run=place / "run", family="vae", steps=1, settings=settings)
    return place / "run"


@pytest.mark.parametrize("seconds", [0.05, 0.4, 1.2, 2.5])
def test_a_report_is_written_whenever_the_time_is_up(seconds: float, image_run: Path) -> None:
    report = evaluate_run(anew.load(image_run), 400, limit=TimeLimit(time.monotonic(), seconds))
    assert report.folder is not None
    # As it is typed in the folder that holds the run, without a home directory
    assert "anew train data --run AGAIN --plan run" in (report.folder / "report.html").read_text()
    values = json.loads((report.folder / "report.json").read_text())
    assert values["basis"]["samples"] >= 8


def cut_short(evaluation: Any, *arguments: Any) -> Measurements:
    """What is left of an evaluation whose time was up at once."""
    return Measurements(
        notes=[COPIES_MISSING],
        unmeasured=dict(evaluation.unmeasured),
        is_out_of_time=True,
    )


@pytest.mark.parametrize(("seconds_left", "num_answers"), [(30.0, 3), (0.0, 0)])
def test_time_that_is_left_after_the_page_goes_into_answers(
    seconds_left: float, num_answers: int, image_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = tmp_path / "run"
    shutil.copytree(image_run, run)
    for folder in ("report", "reports"):
        shutil.rmtree(run / folder, ignore_errors=True)
    monkeypatch.setattr("anew.workflows.evaluate.measure_all", cut_short)
    data = str(image_run.parent / "data")
    limit = TimeLimit(time.monotonic(), 1.0, ends_at=time.monotonic() + seconds_left)
    report = evaluate_run(anew.load(run), 60, data=data, limit=limit)
    assert sum(grade != "not_measured" for grade in report.grades.values()) == num_answers
    values = json.loads((run / "report" / "report.json").read_text())
    assert values["grades"] == dict(report.grades) and (report.copies is None) == (num_answers == 0)
    assert (COPIES_MISSING.sentence in values["notes"]) == (num_answers == 0) and not (run / "reports").exists()


def of_few(evaluation: Any, unmeasured: Unmeasured) -> Measurements:
    """An evaluation whose time was enough for figures of the few samples that there were. unmeasured: names of others."""
    n = len(evaluation.inputs.samples)
    supply = Supply(held_out=72, compared=n)
    return Measurements(scores=[score("coverage", 0.5, n=n)], supply=supply, unmeasured=unmeasured)


@pytest.mark.parametrize("unmeasured", [{}, {"the spectrum": BOTH}])
def test_time_that_is_left_after_the_page_goes_into_further_samples(
    unmeasured: Unmeasured, image_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A report of 36 s ended 9 s early with 20 samples of 83, and two answers open."""
    run = tmp_path / "run"
    shutil.copytree(image_run, run)
    for folder in ("report", "reports"):
        shutil.rmtree(run / folder, ignore_errors=True)
    monkeypatch.setattr("anew.workflows.evaluate.sample_targets", lambda data: SampleTargets(60, 300))
    monkeypatch.setattr("anew.workflows.evaluate.measure_all", lambda evaluation, *_: of_few(evaluation, unmeasured))
    counts, model = [], anew.load(run)
    draw = model.sample

    def slowly(n: int, **options: Any) -> Samples:
        time.sleep(0.03 * n)
        samples = draw(n, **options)
        counts.append(n)  # not of a draw that was cut off, as on crowded cores
        return samples

    monkeypatch.setattr(model, "sample", slowly)
    limit = TimeLimit(time.monotonic(), 1.0, ends_at=time.monotonic() + 60.0)
    report = evaluate_run(model, 80, data=str(image_run.parent / "data"), limit=limit)
    values = json.loads((run / "report" / "report.json").read_text())
    assert sum(counts) == values["basis"]["samples"] >= 60
    assert next(score for score in report.scores if score.name == "coverage").n >= 60
    notes = [note for note in values["notes"] if "samples instead of" in note]
    assert notes == ([] if sum(counts) == 80 else [f"{sum(counts)} samples instead of 80, {WITHIN_TIME}."])


def test_how_real_items_were_divided_decides_why_they_may_differ(tmp_path: Path) -> None:
    def division(path: Path) -> Division:
        with contextlib.closing(Dataset.open(path)) as data:
            data.fit(DataBudget(None, 0, 0))
            return division_of(data)

    images = shapes(tmp_path / "images", 60)
    assert division(images) is Division.ITEMS
    assert division(prose(tmp_path / "book.txt")) is Division.FILES
    assert division(names(tmp_path / "names.txt")) is Division.ITEMS
    parts = tmp_path / "parts"
    for part in ("train", "test"):
        shutil.copytree(images, parts / part)
    assert division(parts) is Division.GIVEN


def test_text_that_memory_does_not_hold_counts_as_not_compared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A model that recited the rest got: no copying found, 5% would have been noticed."""
    for number in range(60):
        prose(tmp_path / f"{number}.txt", 60, seed=number)
    monkeypatch.setattr("anew.data.dataset.DEFAULT_TEXT_LIMIT", 60_000)
    with contextlib.closing(Dataset.open(tmp_path)) as data:
        data.fit(DataBudget(None, 0, 0))
        pool = audit_pool(data, 1_000, 0)
        assert len(pool.train) < pool.n_train_total == data.scan.parts["train"]
        evaluation = TextEvaluation(
            item_inputs(data, [prose(tmp_path / "sample.txt", 60, seed=999).read_text()] * 20, 0)
        )
        share = len(pool.train) / pool.n_train_total
        result = evaluation.run_audit(pool, None, 20, controls=False)
        assert result.train / result.n_train_total == pytest.approx(share, rel=0.05)
        real = evaluation.real_items(pool)
        assert real.train == pytest.approx(count_passages(pool.train) / share, abs=1)
        assert evaluation.pool_size(pool) < real.total
        limited = replace(evaluation.inputs, seconds=60.0, pool=lambda n: audit_pool(data, n, 0))
        *_, last = TextEvaluation(limited).copy_tests()
        assert last.limited_by == "memory"


def test_the_data_is_closed_after_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    closed: list[bool] = []
    dataset = SimpleNamespace(close=lambda: closed.append(True))
    monkeypatch.setattr("anew.workflows.evaluate.Dataset.reopen", lambda *arguments: dataset)
    monkeypatch.setattr("anew.workflows.evaluate.sample_targets", lambda *arguments: 1 / 0)
    model: Any = SimpleNamespace(record=SimpleNamespace(data=None), folder=SimpleNamespace(path=Path()), item_spec=None)
    with pytest.raises(ZeroDivisionError):
        evaluate_run(model, 4, limit=None)
    assert closed
