"""Whether networks are compiled is asked for, or follows from a trial in long budgets; a missing compiler is said."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from unittest import mock

import pytest

import anew
from anew.errors import ConfigError
from anew.runs.folder import RunFolder
from anew.workflows import compilation, job
from anew.workflows.compilation import choose_compilation
from anew.workflows.job import TrainingJob
from reporters import Lines
from samples import TINY, names, trained

SETTINGS = {"evaluate_samples": 4, "previews": 0, **TINY}


@pytest.fixture(scope="module")
def trained_job(tmp_path_factory: pytest.TempPathFactory) -> TrainingJob:
    """A training of one step."""
    jobs: list[TrainingJob] = []
    begin_job = job.begin_job

    def keep(*arguments: object, **options: object) -> TrainingJob:
        jobs.append(begin_job(*arguments, **options))
        return jobs[-1]

    place = tmp_path_factory.mktemp("job")
    with mock.patch("anew.workflows.train.begin_job", keep):
        trained(names(place / "names.txt", 300), place / "run", steps=1, settings=SETTINGS)
    return jobs[0]


@pytest.fixture
def begun(trained_job: TrainingJob, tmp_path: Path) -> TrainingJob:
    """A training that was just begun, of two hours, in a folder of its own."""
    shutil.copytree(trained_job.folder.path, tmp_path / "run")
    plan = replace(trained_job.plan, train_s=7200.0, steps=None)
    record = trained_job.record.model_copy(update={"plan": plan})
    return replace(trained_job, folder=RunFolder(tmp_path / "run"), record=record)


def timed(monkeypatch: pytest.MonkeyPatch, plain: float, compiled: float, *with_graphs: float) -> None:
    """Let steps take so many seconds."""
    seconds = iter((plain, compiled, *with_graphs))
    monkeypatch.setattr(compilation, "missing_compiler", lambda device: "")
    monkeypatch.setattr(compilation, "compile_blocks", lambda family, graphs: None)
    monkeypatch.setattr(compilation, "median_step_seconds", lambda *arguments, **options: next(seconds))


def test_a_trial_decides_in_long_budgets(begun: TrainingJob, monkeypatch: pytest.MonkeyPatch) -> None:
    timed(monkeypatch, 0.3, 0.2)
    plan = choose_compilation(begun).plan
    assert plan.compile
    assert plan.notes[-1].startswith(
        "networks are compiled: a step took 0.2 s compiled and 0.3 s as it is; compiling took"
    )
    assert begun.folder.record().plan.compile


def test_what_gains_nothing_is_not_compiled(begun: TrainingJob, monkeypatch: pytest.MonkeyPatch) -> None:
    timed(monkeypatch, 0.3, 0.29)
    plan = choose_compilation(begun).plan
    assert not plan.compile
    assert plan.notes[-1] == "networks are not compiled: a step took 0.29 s compiled and 0.3 s as it is"


@pytest.mark.parametrize(
    ("seconds", "is_compiled", "graphs", "note"),
    [
        (
            (0.3, 0.2, 0.1),
            True,
            True,
            "networks are compiled into CUDA graphs: a step took 0.2 s compiled, 0.1 s as CUDA",
        ),
        (
            (0.3, 0.2, 0.195),
            True,
            False,
            "networks are compiled: a step took 0.2 s compiled, 0.195 s as CUDA graphs and",
        ),
        (
            (0.3, 0.3, 0.1),
            True,
            True,
            "networks are compiled into CUDA graphs: a step took 0.3 s compiled, 0.1 s as CUDA",
        ),
        (
            (0.3, 0.3, 0.31),
            False,
            False,
            "networks are not compiled: a step took 0.3 s compiled, 0.31 s as CUDA graphs",
        ),
    ],
)
def test_cuda_graphs_are_tried_where_they_can_be_used(
    seconds: tuple[float, float, float],
    is_compiled: bool,
    graphs: bool,
    note: str,
    begun: TrainingJob,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    timed(monkeypatch, *seconds)
    monkeypatch.setattr(compilation, "can_use_graphs", lambda spec, device: True)
    plan = choose_compilation(begun).plan
    assert (plan.compile, plan.graphs) == (is_compiled, graphs)
    assert plan.notes[-1].startswith(note)
    assert begun.folder.record().plan.graphs == graphs


def test_cuda_graphs_that_fail_are_not_used(begun: TrainingJob, monkeypatch: pytest.MonkeyPatch) -> None:
    def compile_without_graphs(family: object, graphs: bool) -> None:
        if graphs:
            raise RuntimeError("cannot be captured")

    timed(monkeypatch, 0.3, 0.2)
    monkeypatch.setattr(compilation, "can_use_graphs", lambda spec, device: True)
    monkeypatch.setattr(compilation, "compile_blocks", compile_without_graphs)
    plan = choose_compilation(begun).plan
    assert plan.compile and not plan.graphs
    cut = replace(begun, record=begun.record.model_copy(update={"plan": replace(begun.plan, micro_batch=1)}))
    timed(monkeypatch, 0.3, 0.2)  # the gradients of several micro-batches cannot be summed so
    assert not choose_compilation(cut).plan.graphs


def test_networks_that_cannot_be_compiled_train_as_they_are(
    begun: TrainingJob, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(family: object, graphs: bool) -> None:
        raise ConfigError("torch.compile failed on these networks (a reason)")

    timed(monkeypatch, 0.3, 0.2)
    monkeypatch.setattr(compilation, "compile_blocks", fail)
    note = "networks are not compiled: torch.compile failed on these networks (a reason)"
    assert choose_compilation(begun).plan.notes[-1] == note


def test_a_short_budget_pays_for_no_trial(begun: TrainingJob, monkeypatch: pytest.MonkeyPatch) -> None:
    timed(monkeypatch, 0.3, 0.2)
    short = replace(begun, record=begun.record.model_copy(update={"plan": replace(begun.plan, train_s=3000.0)}))
    assert choose_compilation(short) is short


def test_a_long_budget_without_a_compiler_says_so(begun: TrainingJob, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compilation, "missing_compiler", lambda device: "a C++ compiler")
    assert choose_compilation(begun).plan.notes[-1] == "networks are not compiled: a C++ compiler is missing"


def test_asked_for_without_a_compiler_is_refused_before_any_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compilation, "missing_compiler", lambda device: "a C++ compiler")
    with pytest.raises(ConfigError, match="compile=on needs a C\\+\\+ compiler; install it, or leave `compile` out"):
        anew.train(names(tmp_path / "n.txt", 300), tmp_path / "run", steps=1, settings={**SETTINGS, "compile": "on"})
    assert not (tmp_path / "run").exists()


def test_asked_for_and_resumed_where_there_is_no_compiler(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[int] = []
    monkeypatch.setattr(compilation, "missing_compiler", lambda device: "")
    monkeypatch.setattr(compilation, "compile_blocks", lambda family, graphs: calls.append(len(family.phases())))
    run, reporter = tmp_path / "run", Lines()
    settings = {**SETTINGS, "compile": "on"}
    model = anew.train(names(tmp_path / "n.txt", 300), run, steps=1, settings=settings, reporter=reporter)
    assert calls == [1, 1] and model.record.plan.compile and "compiled as asked: all networks" in reporter.lines
    monkeypatch.setattr(compilation, "missing_compiler", lambda device: "a C++ compiler")
    anew.resume(run, steps=2, reporter=reporter)
    assert calls == [1, 1]  # once to compile, once to train
    assert any("not compiled here: a C++ compiler is missing, so results differ" in line for line in reporter.lines)


def test_a_replayed_plan_is_followed_unless_off_is_asked_for(begun: TrainingJob) -> None:
    plan, request = replace(begun.plan, compile=True), replace(begun.request, plan_from=str(begun.folder.path))
    record = begun.record.model_copy(update={"plan": plan, "request": request})
    replayed = replace(begun, record=record)
    assert choose_compilation(replayed).plan.compile
    turned_off = replace(replayed, train_config=replace(begun.train_config, compile="off"))
    assert not choose_compilation(turned_off).plan.compile


def test_a_budget_that_compiling_would_eat_is_refused(begun: TrainingJob) -> None:
    plan, config = replace(begun.plan, train_s=20.0), replace(begun.train_config, compile="on")
    short = replace(begun, record=begun.record.model_copy(update={"plan": plan}), train_config=config)
    with pytest.raises(
        ConfigError, match="for which this budget leaves 20 s; give at least 3 min, or leave `compile` out"
    ):
        choose_compilation(short)


def test_recomputed_activations_exclude_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compilation, "missing_compiler", lambda device: "")
    settings = {**SETTINGS, "compile": "on", "recompute": "on"}
    with pytest.raises(ConfigError, match="cannot be combined; leave one of them out"):
        anew.train(names(tmp_path / "n.txt", 300), tmp_path / "run", steps=1, settings=settings)
