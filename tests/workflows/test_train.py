"""Training from its request to its report, where the caller or the run folder is not as usual."""

from __future__ import annotations

import contextlib
import json
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

import anew
from anew.core.exit_codes import STOPPED
from anew.core.stores.addresses import OutageError
from anew.errors import ChangedDataError, DataError, RunError
from anew.planning.request import make_request
from anew.runs.events import Events, last_step
from anew.runs.folder import RunFolder
from anew.runs.record import BegunRun
from anew.runs.report_record import is_stopped, read_record
from anew.workflows import train
from anew.workflows.train import _planned_report, _rest_of_budget, _resume_message
from processes import together
from reporters import Lines
from samples import TINY, names, shapes, trained

SETTINGS = {"evaluate_samples": 4, "previews": 0, **TINY}


@pytest.mark.parametrize("context", [torch.no_grad, torch.inference_mode])
def test_a_caller_without_gradients_trains_resumes_and_looks(context: type[torch.no_grad], tmp_path: Path) -> None:
    data, run = names(tmp_path / "names.txt", 300), tmp_path / "run"
    with context():
        anew.train(data, run, steps=2, settings=SETTINGS)
        model = anew.resume(run, steps=4)
        anew.look(data)
    assert model.record.plan.steps == 4


def test_the_same_request_again_goes_on_with_its_run(tmp_path: Path) -> None:
    data, run, reporter = names(tmp_path / "names.txt", 300), tmp_path / "run", Lines()
    run.mkdir()
    (run / ".lock").write_text("{}")  # a kill before anything else was written
    anew.train(data, run, steps=2, settings=SETTINGS)
    before = (run / "model.safetensors").stat().st_mtime_ns
    anew.train(data, run, steps=2, settings=SETTINGS, reporter=reporter)
    assert reporter.lines == [f"this run is finished; `anew resume {run} --budget 10m` trains it further"]
    assert (run / "model.safetensors").stat().st_mtime_ns == before
    with pytest.raises(
        RunError, match="already holds a run of another request \\(steps differs\\); give another folder"
    ):
        anew.train(data, run, steps=3, settings=SETTINGS)


def test_a_run_that_lost_the_code_of_its_family_is_not_continued(tmp_path: Path) -> None:
    """The same command again ended in a traceback: there was no file to compare with."""
    data, own = names(tmp_path / "names.txt", 300), tmp_path / "mine.py"
    own.write_text("EXPORT = None")
    RunFolder.create(tmp_path / "run").write_config(BegunRun(request=make_request(data, steps=2, family=own)))
    with pytest.raises(RunError, match=r"of another request \(the file .*mine\.py' differs\)"):
        anew.train(data, tmp_path / "run", steps=2, family=own)


def test_the_size_in_which_pictures_are_learned_is_said(tmp_path: Path) -> None:
    reporter = Lines()
    anew.train(
        shapes(tmp_path / "d", 40),
        tmp_path / "run",
        steps=1,
        family="gan",
        settings={"evaluate_samples": 4, "previews": 0},
        reporter=reporter,
    )
    assert "learned at 12x12 pixels, in shades of grey" in reporter.lines


def test_a_damaged_tokenizer_that_can_be_derived_is_written_again(tmp_path: Path) -> None:
    data, run = names(tmp_path / "names.txt", 300), tmp_path / "run"
    anew.train(data, run, steps=1, settings=SETTINGS)
    whole = (run / "tokenizer.json").read_bytes()
    (run / "tokenizer.json").write_bytes(whole[:-20])
    anew.resume(run, steps=2)
    assert (run / "tokenizer.json").read_bytes() == whole


def test_data_that_changes_while_it_is_read_ends_with_what_is_saved(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data, run = names(tmp_path / "names.txt", 300), tmp_path / "run"
    anew.train(data, run, steps=2, settings=SETTINGS)

    def change(*arguments: object, **options: object) -> None:
        raise ChangedDataError("'s3://bucket' changed while it was read: 9 of 90 files are gone")

    monkeypatch.setattr(train, "fit", change)
    with pytest.raises(DataError) as refusal:
        anew.resume(run, steps=4)
    assert str(refusal.value) == (
        "'s3://bucket' changed while it was read: 9 of 90 files are gone; step 2 is saved; put back what was there and repeat "
        "the command, which continues the training, or begin a new run"
    )


def test_a_store_that_fails_during_a_training_ends_with_a_code_by_which_launchers_repeat_the_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data, run = names(tmp_path / "names.txt", 300), tmp_path / "run"

    def fail(*arguments: object, **options: object) -> None:
        raise OutageError("'s3://bucket' cannot be read (timed out); check the address and the network")

    monkeypatch.setattr(train, "fit", fail)
    with pytest.raises(DataError) as refusal:
        anew.train(data, run, steps=2, settings=SETTINGS)
    assert str(refusal.value) == (
        "'s3://bucket' cannot be read (timed out); check the address and the network, then repeat the command, which continues "
        "the training"
    )
    assert refusal.value.exit_code == STOPPED


class Stopping(Lines):
    """A reporter that stops the command, as a signal does, in the middle of the report."""

    def message(self, text: str) -> None:
        super().message(text)
        if "looking for copies" in text:
            raise KeyboardInterrupt


def test_a_report_that_was_stopped_is_measured_again_by_the_same_command(tmp_path: Path) -> None:
    data, run, again, reporter = names(tmp_path / "names.txt", 300), tmp_path / "run", Lines(), Lines()
    settings = SETTINGS | {"evaluate_samples": 40}
    anew.train(data, run, steps=2, settings=settings, reporter=Stopping())
    assert is_stopped(run) and read_record(run).copies is None
    weights = (run / "model.safetensors").read_bytes()
    anew.train(data, run, steps=2, settings=settings, reporter=again)
    assert "the training is finished, but its report is not; measuring" in again.lines
    assert not is_stopped(run) and read_record(run).copies is not None
    assert (run / "model.safetensors").read_bytes() == weights
    anew.resume(run, reporter=reporter)
    assert reporter.lines == [f"this run is finished; `anew resume {run} --budget 10m` trains it further"]


@pytest.mark.slow
def test_a_finished_run_without_its_weights_is_given_more_time(tmp_path: Path) -> None:
    data, run, reporter = names(tmp_path / "names.txt", 300), tmp_path / "run", Lines()
    anew.train(data, run, steps=3, settings=SETTINGS)
    (run / "model.safetensors").unlink()
    model = anew.resume(run, budget=13, reporter=reporter)
    assert any(line.startswith("model.safetensors is missing; continuing") for line in reporter.lines)
    assert len(model.sample(2)) == 2


def test_a_run_given_more_time_says_how_much_of_it_is_training(tmp_path: Path) -> None:
    """120 s after a run of 120 s added 1 s of training, unsaid: it goes on from where the learning rate began to fall."""
    with contextlib.closing(Events(tmp_path / "events.jsonl")) as events:
        events.write("step", step=287, progress=0.99, rate=0.0, examples=18_368, loss=0.6, seconds=68.2)
    plan = SimpleNamespace(train_s=69.4, expected_steps=311)
    job: Any = SimpleNamespace(folder=RunFolder(tmp_path), plan=plan)
    sentence = _resume_message(job, 160, is_given_more=True, is_before_decay=True)
    assert sentence.endswith("69 s of training in all, 1 s more than before, are about 311 steps")
    report = {"modality": "text", "verdict": {}, "grades": {}, "figures": {}, "scores": [], "has_flattened": True}
    (tmp_path / "report").mkdir()
    (tmp_path / "report" / "report.json").write_text(json.dumps(report))
    sentence = _resume_message(job, 160, is_given_more=True, is_before_decay=True)
    assert sentence.endswith("are about 311 steps; by the report of the run, more time alone may bring little")


def test_a_stopped_run_goes_on_with_the_rest_of_its_budget(tmp_path: Path) -> None:
    """A run of 150 s that was stopped after 82 s took 146 s more, as its report had all of the budget again."""
    plan = SimpleNamespace(budget_s=150.0, train_s=47.0, evaluate_s=30.0)
    job: Any = SimpleNamespace(plan=plan, context=SimpleNamespace(slowdown=1.0))
    checkpoint: Any = {"meta": {"spent": 23.0}}
    assert _planned_report(job) == 30.0
    rest = _rest_of_budget(job, checkpoint, 30.0)
    assert rest == "; 24 s of training and 30 s for the report are left of the budget of 2.5 min"
    plan.budget_s = plan.train_s = None
    assert _planned_report(job) is None and not _rest_of_budget(job, checkpoint, 30.0)


def test_a_run_that_ended_early_takes_all_steps_that_it_is_given(tmp_path: Path) -> None:
    """Also one whose checkpoints are all from its early decay."""
    data, run, reporter = names(tmp_path / "names.txt", 300), tmp_path / "run", Lines()
    trained(data, run, steps=4, settings=SETTINGS)
    folder = RunFolder(run)
    state, _ = folder.latest()
    assert state is not None
    state["meta"]["early_decay"] = 0.25
    folder.save("step-00000004", state)
    shutil.rmtree(folder.checkpoints / "decay-start")
    anew.resume(run, steps=8, reporter=reporter)
    assert last_step(run)["step"] == 8 and not any("ended sooner" in line for line in reporter.lines)


COMPARED = """
import json, os
import fsspec
from anew.core.processes.world import together
from anew.data.dataset import Dataset
from anew.data.sources import store_listing
from anew.data.types import DataBudget
from anew.errors import AnewError
from anew.workflows.agreement import check_same_data

store_listing.MAX_COPIED_FILES = 10
system = fsspec.filesystem("memory")
for name in sorted(os.listdir("FOLDER/0")):
    with open(f"FOLDER/0/{name}", "rb") as file:
        system.pipe(f"/compared/{name}", file.read())

def compared(path, modality=None):
    data = Dataset.open(path, modality=modality)
    data.fit(DataBudget(None, 0, 0))
    try:
        check_same_data(world, data)
    except AnewError as error:
        return str(error), data.scan.notes, data.scan.skipped
    return "", data.scan.notes, data.scan.skipped

with together() as world:
    first = world.is_main
    print(json.dumps({
        "bucket": compared("memory://compared"),
        "bucket and copy": compared("memory://compared" if first else "FOLDER/1"),
        "stray": compared("FOLDER/0" if first else "FOLDER/stray"),
        "own run": compared("FOLDER/run" if first else "FOLDER/0"),
        "asked": compared("FOLDER/0", None if first else "text"),
    }))
"""


def test_processes_compare_data_and_not_sentences_about_it(tmp_path: Path) -> None:
    for folder in ("0", "1", "stray", "run"):
        (tmp_path / folder).mkdir()
        for number in range(30):
            (tmp_path / folder / f"{number:02}.txt").write_text(
                f"This is page {number}, and {number * 7} follows.\n" * 9
            )
    (tmp_path / "stray" / "notes.docx").write_bytes(b"PK")
    (tmp_path / "run" / "own").mkdir()
    shutil.copy(tmp_path / "0" / "01.txt", tmp_path / "run" / "own" / "sample.txt")
    begun_record = {"format": 1, "status": "begun", "request": {"data": ".."}}
    (tmp_path / "run" / "own" / "config.json").write_text(json.dumps(begun_record))
    ended = together(COMPARED.replace("FOLDER", str(tmp_path)))
    assert [process.code for process in ended] == [0, 0], ended
    first, second = (json.loads(process.out) for process in ended)
    for case in ("bucket", "bucket and copy", "stray", "own run"):
        assert (first[case][0], second[case][0]) == ("", ""), case
        # What differs is there, or the case would show nothing
        assert first[case] != second[case], case
    refusal = first["asked"][0]
    assert refusal == second["asked"][0] and refusal.startswith("process 1 on ")
    assert "in how the data is divided and encoded (asked: True and False); start all processes with" in refusal
