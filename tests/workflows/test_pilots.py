"""Pilots: the winner's training goes on in the run, a replay repeats it without any, and a stop at any instant is mended."""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import anew
from anew.data.dataset import Dataset
from anew.data.formats.images.pixel_matching import PixelMatching
from anew.data.modality import Modality
from anew.data.types import DataBudget
from anew.errors import TrainingError
from anew.families.base import Family
from anew.planning import pilots as rules
from anew.planning.context import RunContext
from anew.planning.family_choice import choose_families, contenders, train_config_of
from anew.planning.request import make_request
from anew.runs.events import NAME
from anew.runs.record import Request
from anew.runs.step_record import step_record
from anew.workflows import open_data, pilots
from anew.workflows.fit import calibrate_modality
from anew.workflows.job import TrainingJob
from processes import together
from reporters import Lines
from samples import shapes, tones, weights_digest

SETTINGS = {"width": 8, "batch_size": 16, "model_size": 0, "evaluate_samples": 24, "previews": 0}
BUDGET = 11.0


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return shapes(tmp_path_factory.mktemp("data") / "shapes", 900, 16)


@pytest.fixture
def small_budgets(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pilots for any budget, by a clock that each look at it moves: their steps do not depend on the machine. Reading and planning
    take no time of the budget, of which busy cores left nothing."""
    ticks = count()
    monkeypatch.setattr(rules, "MIN_BUDGET", 1.0)
    monkeypatch.setattr(rules, "MIN_PROGRESS", 0.0)
    monkeypatch.setattr(rules, "OVERHEAD_SECONDS", 0.0)
    monkeypatch.setattr(RunContext, "elapsed", lambda context: 0.0)
    monkeypatch.setattr(open_data, "seconds_to_read", lambda *arguments: None)
    monkeypatch.setattr(pilots, "time", SimpleNamespace(monotonic=lambda: 0.1 * next(ticks)))


def opened(folder: Path) -> Iterator[Dataset]:
    dataset = Dataset.open(folder)
    dataset.fit(DataBudget(None, dataset.scan.items, dataset.scan.bytes))
    yield dataset
    dataset.close()


@pytest.mark.usefixtures("small_budgets")
def test_the_winner_goes_on_and_a_replay_needs_no_pilots(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    matched: list[Any] = []

    def calibrate(job: TrainingJob, family: Family, modality: Modality) -> None:
        calibrate_modality(job, family, modality)
        assert modality is not job.data.modality  # the run's own is matched once, to the trained network
        matched.append(modality)

    monkeypatch.setattr(pilots, "calibrate_modality", calibrate)
    lines = Lines()
    run, again = tmp_path / "run", tmp_path / "again"
    model = anew.train(data, run, budget=BUDGET, settings=SETTINGS, reporter=lines)
    tried = model.record.plan.pilots
    assert {pilot.family for pilot in tried} == {"diffusion", "gan"}
    assert tried[0].family == model.family_name == rules.ranked(tried)[0].family
    assert all(pilot.expected_error > 0.0 and pilot.auc_error > 0.0 for pilot in tried)
    assert all(0.0 < pilot.progress < 1.0 and pilot.items >= pilots.MIN_ITEMS for pilot in tried)
    assert sorted(path.name for path in run.iterdir() if path.is_dir()) == ["checkpoints", "report", "samples"]
    assert tried[0].progress in step_record(run / NAME).progress  # steps of the pilot are steps of the run
    # Samples of a pilot have the pixel values of the data, as those of a run have: half-clear pixels would decide else.
    assert len(matched) >= 2 and all(isinstance(modality.matching, PixelMatching) for modality in matched)
    sentence = rules.describe_pilots(tried)
    assert sentence in lines.lines
    assert json.loads((run / "report" / "report.json").read_text())["notes"][0] == sentence
    assert sentence in (run / "README.md").read_text()

    replay = Lines()
    anew.train(data, again, plan=run, settings={"evaluate_samples": 24}, reporter=replay)
    assert weights_digest(again) == weights_digest(run)
    assert not any(line.startswith("trying") for line in replay.lines)


TOGETHER = """
from itertools import count
from types import SimpleNamespace
import torch
import anew
from anew.planning import pilots as rules
from anew.planning.context import RunContext
from anew.workflows import open_data, pilots
torch.set_num_threads(1)
ticks = count()
rules.MIN_BUDGET, rules.MIN_PROGRESS, rules.OVERHEAD_SECONDS = 1.0, 0.0, 0.0
RunContext.elapsed = lambda context: 0.0
open_data.seconds_to_read = lambda *arguments: None
pilots.time = SimpleNamespace(monotonic=lambda: 0.1 * next(ticks))
model = anew.train({data!r}, {run!r}, budget={budget}, settings={settings})
print([pilot.family for pilot in model.record.plan.pilots])
"""


@pytest.mark.slow
@pytest.mark.parametrize("parallel", ["ddp", "fsdp"])
def test_two_processes_try_families_together(data: Path, tmp_path: Path, parallel: str) -> None:
    settings = {**SETTINGS, "parallel": parallel}
    script = TOGETHER.format(data=str(data), run=str(tmp_path / "run"), budget=BUDGET, settings=settings)
    ended = together(script)
    assert [process.code for process in ended] == [0, 0], ended
    assert "diffusion" in ended[0].out and "gan" in ended[0].out


@pytest.mark.usefixtures("small_budgets")
@pytest.mark.slow
@pytest.mark.parametrize("instant", ["judging", "adopting"])
def test_a_stop_within_the_pilots_loses_them_alone(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, instant: str
) -> None:
    run = tmp_path / "run"

    def stopped(*arguments: object) -> float:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        if instant == "judging":
            patch.setattr(pilots.Judge, "features", stopped)
        else:
            patch.setattr(pilots, "time_to_train", stopped)  # after the winner's files were moved
        with pytest.raises(KeyboardInterrupt):
            anew.train(data, run, budget=BUDGET, settings=SETTINGS)
    assert (run / "pilots").exists() and json.loads((run / "config.json").read_text())["status"] == "begun"
    model = anew.resume(run)
    assert len(model.record.plan.pilots) == 2 and not (run / "pilots").exists()
    steps = len(step_record(run / NAME).progress)
    assert json.loads((run / "config.json").read_text())["status"] == "finished" and steps > 2


@pytest.mark.usefixtures("small_budgets")
def test_a_family_that_cannot_be_trained_is_out(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fit = pilots.fit

    def failing(job, *arguments):  # type: ignore[no-untyped-def]
        if job.record.family.name == "diffusion":
            raise TrainingError("the loss is not finite")
        return fit(job, *arguments)

    monkeypatch.setattr(pilots, "fit", failing)
    lines = Lines()
    model = anew.train(data, tmp_path / "run", budget=BUDGET, settings=SETTINGS, reporter=lines)
    assert model.family_name == "gan" and not model.record.plan.pilots  # nobody was left to judge it against
    assert "diffusion failed: the loss is not finite" in lines.lines


@pytest.mark.slow
@pytest.mark.usefixtures("small_budgets")
@pytest.mark.parametrize(
    ("module", "name", "value", "message"),
    [
        (pilots, "SETUP_SHARE", 0.0, "no time left to try gan"),
        # What is left after the first set-up is foreseen; by the rules it would depend on the time of its step.
        (pilots, "is_long_enough", lambda *seconds: False, "no time left to try gan"),
        (rules, "OVERHEAD_SECONDS", 9.0, "1 s are too short to tell diffusion and gan apart at the present load"),
    ],
)
def test_where_time_is_short_the_likeliest_family_goes_on(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, module: Any, name: str, value: Any, message: str
) -> None:
    monkeypatch.setattr(module, name, value)
    lines = Lines()
    model = anew.train(data, tmp_path / "run", budget=BUDGET, settings=SETTINGS, reporter=lines)
    assert model.family_name == "diffusion" and any(message in line for line in lines.lines)
    assert not model.record.plan.pilots


@pytest.mark.parametrize(
    ("arguments", "families"),
    [
        ({"budget": 600}, ["diffusion", "gan"]),
        ({"budget": 600, "family": "vae"}, ["vae"]),
        ({"budget": 600, "prefer": "speed"}, ["gan"]),
        ({"budget": 600, "settings": {"space": "latent"}}, ["diffusion"]),
        ({"budget": 600, "settings": {"parallel": "fsdp"}}, ["diffusion", "gan"]),
        ({"budget": 600, "settings": {"num_clusters": 4}}, ["gan"]),
        ({"budget": 600, "settings": {"gan.width": 8}}, ["gan"]),
    ],
)
def test_what_a_request_leaves_open(data: Path, arguments: dict, families: list[str]) -> None:  # type: ignore[type-arg]
    request: Request = make_request(data, **arguments)
    for dataset in opened(data):
        choices = choose_families(dataset, request, train_config_of(request), None)
        assert [choice.name for choice in choices] == families
        seconds = pilots.affordable_seconds(request, train_config_of(request), dataset, choices)
        assert (seconds > 0.0) == (len(families) > 1)


@pytest.mark.parametrize("arguments", [{"steps": 10}, {"budget": 60}, {"settings": {"train_seconds": 300}}])
def test_without_a_large_budget_nothing_is_tried(data: Path, arguments: dict) -> None:  # type: ignore[type-arg]
    request = make_request(data, **arguments)
    for dataset in opened(data):
        config = train_config_of(request)
        choices = choose_families(dataset, request, config, None)
        assert pilots.affordable_seconds(request, config, dataset, choices) == 0.0


def test_too_few_items_to_judge_by_and_sound_are_not_tried(tmp_path: Path) -> None:
    request = make_request(shapes(tmp_path / "few", 200), budget=600)
    for dataset in opened(tmp_path / "few"):
        choices = choose_families(dataset, request, train_config_of(request), None)
        assert len(choices) == 2
        assert pilots.affordable_seconds(request, train_config_of(request), dataset, choices) == 0.0
    for dataset in opened(tones(tmp_path / "sound")):
        assert contenders(dataset, "quality") == []
