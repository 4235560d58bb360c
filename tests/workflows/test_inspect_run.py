"""`look` at a run: what it is at each state of its life, and what is data though it has a config.json."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

import anew
from anew.runs.report_record import read_record
from anew.workflows.inspect_run import RunInspection, inspect_run, is_run
from anew.workflows.next_step import next_step
from samples import TINY, names, prose


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("run")
    settings = {"evaluate_samples": 8, "previews": 0, **TINY}
    return anew.train(names(folder / "names.txt"), folder / "run", steps=6, settings=settings).folder.path


def with_status(run: Path, copy: Path, status: str) -> Path:
    copy.mkdir()
    config = json.loads((run / "config.json").read_text())
    config["status"] = status
    if status == "begun":
        config = {name: config[name] for name in ("format", "status", "request")}
    (copy / "config.json").write_text(json.dumps(config))
    return copy


def test_a_finished_run_says_what_it_is_and_how_good(run: Path) -> None:
    result = anew.look(run)
    assert isinstance(result, RunInspection)
    assert (result.status, result.family, result.modality, result.steps) == ("finished", "transformer", "text", 6)
    assert result.data.endswith("names.txt") and result.parts["train"] >= 900 and result.parameters > 1000
    assert result.request["steps"] == 6 and result.loss["loss"] > 0 and 0 < result.passes < 1
    assert set(result.grades) <= {"closeness", "variety", "novelty"}
    assert result.commands["more"].startswith("anew sample ")
    step = next_step(str(run), read_record(run))
    assert step.text in (*result.commands.values(), result.advice) and result.to_json()["advice"] == result.advice
    sentence = repr(result)
    assert (
        sentence.startswith(f"run: {run} (finished)")
        and "6 steps in" in sentence
        and "names.txt (text: train " in sentence
    )
    assert json.loads(json.dumps(result.to_json()))["parameters"] == result.parameters
    assert "<pre>" in result._repr_html_()


def test_a_longer_training_that_was_not_kept_is_said(run: Path, tmp_path: Path) -> None:
    shutil.copytree(run, tmp_path / "run")
    with (tmp_path / "run" / "events.jsonl").open("a") as log:
        log.write('{"event": "kept_previous", "step": 666, "seconds": 33.0, "examples": 500, "loss": 2.2}\n')
    result = anew.look(tmp_path / "run")
    assert isinstance(result, RunInspection)
    assert (result.steps, result.discarded_steps, result.loss) == (666, 6, {"loss": 2.2})
    so_far = result.facts()["so far"]
    assert so_far.startswith("666 steps in 33 s, ") and "(a longer training of 6 steps in " in so_far


def test_data_that_is_gone_is_said(run: Path, tmp_path: Path) -> None:
    shutil.copytree(run, tmp_path / "run")  # the path of the data is relative to the run
    assert not any("its data" in note for note in inspect_run(run).notes)
    assert any("its data cannot be read at that place now" in note for note in inspect_run(tmp_path / "run").notes)


def test_answers_of_earlier_weights_are_said_to_be_such(run: Path, tmp_path: Path) -> None:
    shutil.copytree(run, tmp_path / "run")
    path = tmp_path / "run" / "report" / "report.json"
    report = json.loads(path.read_text())
    steps = report["basis"]["steps"]
    assert not any("the answers are those" in note for note in inspect_run(tmp_path / "run").notes)
    report["basis"]["steps"] = steps - 1
    path.write_text(json.dumps(report))
    assert (
        f"the answers are those of the weights after {steps - 1:,} step"
        in inspect_run(tmp_path / "run").facts()["note"]
    )


@pytest.mark.parametrize("status", ["begun", "training", "trained"])
def test_a_run_that_stopped_names_the_command_that_goes_on(run: Path, tmp_path: Path, status: str) -> None:
    copy = with_status(run, tmp_path / "copy", status)
    result = inspect_run(copy)
    assert result.status == status and result.report is None and result.steps == 0
    assert result.commands == {"finish": f"anew resume {copy}"}
    assert "so far" not in result.facts() and ("stopped" in repr(result) or status == "trained")


def test_what_looks_like_a_run_and_does_not_fit_is_refused_and_other_data_is_data(run: Path, tmp_path: Path) -> None:
    copy = with_status(run, tmp_path / "copy", "done")
    with pytest.raises(anew.RunError, match="does not describe a run"):
        anew.look(copy)
    data = prose(tmp_path / "data" / "book.txt").parent
    for text in ("{}", "[1]", "not json", '{"format": 1}'):
        (data / "config.json").write_text(text)
        assert not is_run(data)
    assert not is_run(tmp_path / "nothing")


@pytest.mark.parametrize("argument", [{"budget": "1m"}, {"modality": "text"}, {"settings": {"layout": "list"}}])
def test_arguments_for_data_are_refused(run: Path, argument: dict[str, object]) -> None:
    with pytest.raises(anew.ConfigError, match=f"is a run, and `{next(iter(argument))}` is for data; leave it out"):
        anew.look(run, **argument)  # type: ignore[arg-type]


def test_a_run_whose_config_cannot_be_read_is_no_data(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{")
    assert not is_run(tmp_path)
    (tmp_path / "events.jsonl").write_text("")
    assert is_run(tmp_path)


@pytest.mark.parametrize(
    ("first", "last", "text"),
    [(1, 1, ""), (2, 2, ", by 2 processes on 1 machine"), (2, 1, ", by 1 process on 1 machine (begun with 2)")],
)
def test_it_says_by_how_many_processes_it_was_trained(
    run: Path, tmp_path: Path, first: int, last: int, text: str
) -> None:
    shutil.copytree(run, tmp_path / "run")
    log = tmp_path / "run" / "events.jsonl"
    start = '{"event": "start", "step": 0, "processes": %d, "hosts": 1}\n'
    lines = [line for line in log.read_text().splitlines(keepends=True) if '"start"' not in line]
    log.write_text(start % first + start % last + "".join(lines))
    result = anew.look(tmp_path / "run")
    so_far = result.facts()["so far"]
    assert so_far.endswith(text) and ("machine" in so_far) == bool(text)
    assert (result.to_json()["processes"], result.to_json()["first_processes"]) == (last, first)
