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
from anew.core.specs import Grid, Spec, Tokens
from anew.data.dataset import Dataset
from anew.data.types import DataBudget
from anew.evaluation.item_sets import ItemSets
from anew.evaluation.items_in_time import WITHIN_TIME
from anew.evaluation.measure import BOTH, Unmeasured
from anew.evaluation.memorization.item_types import count_passages
from anew.evaluation.modalities.text import TextEvaluation
from anew.evaluation.notes import Announcements
from anew.evaluation.reporting.measurements import Measurements
from anew.evaluation.reporting.supply import Supply
from anew.evaluation.score import Division, Score
from anew.sampling.samples import Samples
from anew.workflows.evaluate import EvaluationRequest, _bits_in_time, evaluate_run, real_pool
from anew.workflows.item_inputs import item_inputs
from anew.workflows.real_pools import division_of
from anew.workflows.run_report import SAMPLE_NAMES, save_samples
from anew.workflows.timing.measuring import COPIES_MISSING, measure_all
from anew.workflows.timing.pace import Pace
from anew.workflows.timing.sample_counts import SampleTargets
from anew.workflows.timing.time_limit import TimeLimit
from reporters import Lines
from samples import names, prose, shapes
from scores import score

SILENT = Announcements(in_limited_time=False)


def test_figures_up_to_the_interruption_are_kept() -> None:
    def scores() -> Iterator[Score]:
        yield score("coverage", 0.5, real_baseline=0.9)
        raise KeyboardInterrupt

    reporter = Lines()
    inputs = SimpleNamespace(samples=["a", "b"])
    evaluation = SimpleNamespace(
        inputs=inputs,
        announcements=SILENT,
        answer_scores=scores,
        copy_tests=lambda: iter(()),
        sets=ItemSets({}, {}, Supply()),
        unmeasured={"further figures": BOTH},
    )
    copies = measure_all(evaluation, reporter)  # type: ignore[arg-type]
    assert [s.name for s in copies.scores] == ["coverage"] and copies.copies is None
    sentences = [note.sentence for note in copies.notes]
    assert "Stopped before the end" in sentences[0] and sentences[1] == "Not measured: the copying test (stopped)."
    assert copies.ended_by == "the evaluation was stopped before it was measured"
    assert "coverage: 0.5 (real data: 0.9)" in reporter.lines[1]
    assert reporter.lines[0] == "measuring 2 samples against the data"


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
        copy_tests=lambda: iter([reporter.message("copies")]),
        further_scores=lambda: iter([score("bits_per_character_xz", 2.0)]),
        sets=ItemSets({}, {}, Supply()),
        unmeasured={},
    )
    reporter = Lines()
    measured = measure_all(evaluation, reporter)  # type: ignore[arg-type]
    assert [s.name for s in measured.scores] == ["coverage", "bits_per_character_xz"]
    assert [line.split(":")[0].strip() for line in reporter.lines[-3:]] == [
        "looking for copies of training items",
        "copies",
        "bits_per_character_xz",
    ]


def test_the_time_of_a_pass_and_of_a_sample_are_told_apart() -> None:
    pace = Pace()
    pace.add(16, 1.16)
    assert pace.affordable(0.0) == 0 and pace.affordable(2.0) == 39  # half of the time of one chunk counts as fixed
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
    report = evaluate_run(anew.load(image_run), EvaluationRequest(n=400, limit=TimeLimit(time.monotonic(), seconds)))
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
    report = evaluate_run(anew.load(run), EvaluationRequest(n=60, data=data, limit=limit))
    assert sum(grade != "not_measured" for grade in report.grades.values()) == num_answers
    values = json.loads((run / "report" / "report.json").read_text())
    assert values["grades"] == dict(report.grades) and (report.copies is None) == (num_answers == 0)
    (*late,) = (note for note in values["notes"] if "(out of time)" in note)
    assert [COPIES_MISSING.subject in note for note in late] == [True] * (num_answers == 0)
    assert not (run / "reports").exists()


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
        counts.append(n)  # not of a draw that was cut off, as on busy cores
        return samples

    monkeypatch.setattr(model, "sample", slowly)
    limit = TimeLimit(time.monotonic(), 1.0, ends_at=time.monotonic() + 60.0)
    report = evaluate_run(model, EvaluationRequest(n=80, data=str(image_run.parent / "data"), limit=limit))
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
    """A model that recited the rest got: no copies found, 5% would have been noticed."""
    for number in range(60):
        prose(tmp_path / f"{number}.txt", 60, seed=number)
    monkeypatch.setattr("anew.data.dataset.DEFAULT_TEXT_LIMIT", 60_000)
    with contextlib.closing(Dataset.open(tmp_path)) as data:
        data.fit(DataBudget(None, 0, 0))
        pool = real_pool(data, 1_000, 0)
        assert len(pool.train) < pool.num_train_total == data.scan.parts["train"]
        evaluation = TextEvaluation(
            item_inputs(data, [prose(tmp_path / "sample.txt", 60, seed=999).read_text()] * 20, 0)
        )
        share = len(pool.train) / pool.num_train_total
        result = evaluation.run_memorization_test(pool, None, 20, controls=False)
        assert result.train / result.n_train_total == pytest.approx(share, rel=0.05)
        real = evaluation.real_items(pool)
        assert real.train == pytest.approx(count_passages(pool.train) / share, abs=1)
        assert evaluation.pool_size(pool) < real.total
        limited = replace(evaluation.inputs, seconds=60.0, pool=lambda n: real_pool(data, n, 0))
        *_, last = TextEvaluation(limited).copy_tests()
        assert last.limited_by == "memory"


def test_the_data_is_closed_after_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    closed: list[bool] = []
    dataset = SimpleNamespace(close=lambda: closed.append(True))
    monkeypatch.setattr("anew.workflows.evaluate.Dataset.reopen", lambda *arguments: dataset)
    monkeypatch.setattr("anew.workflows.evaluate.sample_targets", lambda *arguments: 1 / 0)
    model: Any = SimpleNamespace(record=SimpleNamespace(data=None), folder=SimpleNamespace(path=Path()), item_spec=None)
    with pytest.raises(ZeroDivisionError):
        evaluate_run(model, EvaluationRequest(n=4))
    assert closed


def test_of_millions_of_records_as_many_are_scored_as_their_bits_need() -> None:
    """All 760,000 held-out names took a quarter of an hour. Windows of running text need those before them, so all are scored."""

    def limit(spec: Spec, units: float, count: int) -> object:
        data = SimpleNamespace(
            spec=spec,
            opened_part=lambda part: (SimpleNamespace(rows=lambda number: SimpleNamespace(units=units)), 0),
            part_size=lambda part: count,
            scoring=lambda part, limit: limit,
        )
        return _bits_in_time(SimpleNamespace(bits=lambda scored: scored), data, None, "test")  # type: ignore[arg-type]

    assert limit(Tokens(30, 64, packed=False), 1.2e7, 760_000) == 1_000_000
    assert limit(Tokens(30, 64, packed=False), 3e7, 10_000) == 5_000 * 3_000
    assert limit(Tokens(30, 64), 1e9, 10**6) is None
    assert limit(Grid((1, 8, 8), "CHW", 0, 1.0), 1e9, 10**6) is None
