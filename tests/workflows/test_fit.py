"""Training a job: what is recorded so that a replay is equal to the byte."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from anew.core.machine import threads
from anew.core.processes.world import World
from anew.core.specs import Batch, Grid, SampleRequest, Tokens
from anew.data.formats.images.pixel_matching import PixelMatching
from anew.data.modalities.image import ImageConfig
from anew.planning.build import build_family
from anew.planning.context import RunContext
from anew.runs import events
from anew.runs.folder import RunFolder
from anew.runs.step_record import step_record
from anew.training.loop import TrainingLoop
from anew.training.progress import Progress, ReplayProgress, StepProgress, TimeProgress
from anew.training.trainer import Trainer
from anew.workflows import fit
from reporters import Lines
from samples import shapes, trained, weights_digest
from toys import POINT, Points, Toy, ToyConfig

BUDGET = 300.0


@pytest.mark.slow
@pytest.mark.skipif(threads.available_threads() < 2, reason="one core: there is one number of threads")
def test_a_replay_takes_each_step_with_as_many_threads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = shapes(tmp_path / "data")
    settings = {"evaluate_samples": 1, "previews": 0, "batch_size": 16}
    with monkeypatch.context() as patch:
        patch.setattr(threads, "available_threads", lambda: 1)
        alone = trained(data, run=tmp_path / "alone", family="vae", steps=3, settings=settings)
    all_threads = trained(data, run=tmp_path / "both", family="vae", steps=3, settings=settings)
    assert (alone.record.plan.threads, all_threads.record.plan.threads) == (1, threads.available_threads())
    for name in ("alone", "both"):
        again = trained(data, run=tmp_path / f"{name}-again", plan=tmp_path / name, settings={"evaluate_samples": 1})
        assert weights_digest(again.folder.path) == weights_digest(tmp_path / name)
        logs = [step_record(tmp_path / run / events.NAME).threads for run in (name, f"{name}-again")]
        assert logs[0] == logs[1] and list(logs[0]) == [0]
    assert torch.get_num_threads() == threads.available_threads()


class Heals(Points):
    """Poisoned until step 5 was reached once."""

    def batch(self, step: int, phase: str, first: int, count: int, size: int) -> Any:
        batch = super().batch(step, phase, first, count, size)
        self.poison = None if step == 5 else self.poison
        return batch


def test_a_replay_takes_the_steps_that_were_not_taken_back_at_their_rates(tmp_path: Path) -> None:
    """It took those before a loss that was not finite, too, and all of them at the full learning rate."""

    def trainer(progress: Progress, data: Any) -> Trainer:
        family = build_family(Toy, POINT, ToyConfig(), 0, torch.device("cpu"))
        return Trainer(family, data, progress, seed=3, batch_size=16, micro_batch=16, world=World())

    log = events.Events(tmp_path / events.NAME)
    run = trainer(StepProgress(20), Heals(poison=5))
    TrainingLoop(run, RunFolder(tmp_path), log, checkpoint_seconds=1e9).run()
    log.close()
    record = step_record(tmp_path / events.NAME)
    progress = ReplayProgress(record.progress)
    again = trainer(progress, Points())
    progress.before_step = fit._step_replay(record, again)
    assert TrainingLoop(again, RunFolder(tmp_path), None, checkpoint_seconds=1e9).run() == "finished"
    assert again.step == run.step == 20
    for name, value in run.weights().items():
        assert torch.equal(value, again.weights()[name])


def test_samples_have_the_pixel_values_of_the_data(tmp_path: Path) -> None:
    data = shapes(tmp_path / "data", 60)
    settings = {"evaluate_samples": 1, "previews": 0, "width": 8, "batch_size": 16}
    model = trained(data, run=tmp_path / "run", family="diffusion", steps=2, settings=settings)
    modality: Any = model.item_modality
    assert [step.step for step in modality.matching.steps][:4] == ["islands", "specks", "specks", "flat"]
    matched = model.sample(32)
    modality.matching = PixelMatching()
    real = [np.asarray(Image.open(path)) for path in sorted(data.rglob("*.png"))]
    before, after, expected = (float((np.stack(list(x)) == 0).mean()) for x in (model.sample(32), matched, real))
    assert abs(after - expected) < abs(before - expected)
    assert type(modality)(ImageConfig(match_pixels=False)).calibration_size() == (0, 0)


def test_busy_cores_calibrate_by_fewer_samples_and_a_replay_by_as_many(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    context = RunContext(Lines(), time.monotonic(), World(), slowdown=9.0)
    job: Any = SimpleNamespace(
        plan=SimpleNamespace(budget_s=60.0),
        context=context,
        request=SimpleNamespace(plan_from=None),
        folder=SimpleNamespace(path=tmp_path),
    )
    assert [fit._calibration_samples(job, usual) for usual in (4, 8, 128)] == [4, 8, 32]
    monkeypatch.setattr(fit, "replayed_run", lambda path: SimpleNamespace(path=path))
    replay: Any = SimpleNamespace(**vars(job) | {"request": SimpleNamespace(plan_from=tmp_path)})
    replay.context = RunContext(Lines(), time.monotonic(), World())
    assert fit._calibration_samples(replay, 128) == 32
    job.context = replay.context
    assert fit._calibration_samples(job, 128) == 128


def test_closed_forms_of_grids_read_until_a_third_of_the_budget_and_a_replay_as_much(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [0.0]
    monkeypatch.setattr(fit, "time", SimpleNamespace(monotonic=lambda: now[0]))

    def one_pass(part: str, limit: int | None) -> Iterator[int]:
        assert limit is None
        for number in range(20):
            now[0] += 4.0
            yield number

    job: Any = SimpleNamespace(
        plan=SimpleNamespace(budget_s=90.0),
        context=SimpleNamespace(elapsed=lambda: now[0]),
        world=World(),
        request=SimpleNamespace(plan_from=None),
        folder=SimpleNamespace(path=tmp_path),
        data=SimpleNamespace(spec=Grid((1, 8, 8), "CRT"), one_pass=one_pass),
        family=SimpleNamespace(max_fitted_examples=None),
    )
    assert len(list(fit._closed_form_batches(job))) == 7  # 28 s; the next one comes after 30
    monkeypatch.setattr(fit, "replayed_run", lambda path: SimpleNamespace(path=path))
    job.request.plan_from, job.plan.budget_s = tmp_path, None
    assert len(list(fit._closed_form_batches(job))) == 7
    job.request.plan_from, now[0] = None, 0.0
    assert len(list(fit._closed_form_batches(job))) == 20
    job.plan.budget_s, job.data.spec = 90.0, Tokens(10, 8)
    assert len(list(fit._closed_form_batches(job))) == 20


def test_closed_forms_are_worked_on_until_a_third_of_the_budget_and_a_replay_as_long(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Fitting that of clips took 75 of 180 s on busy cores, and left one step."""
    now = [0.0]
    monkeypatch.setattr(fit, "time", SimpleNamespace(monotonic=lambda: now[0]))
    num_turns: list[int] = []

    def fit_closed_form(batches: Iterable[Batch], turns: Iterator[object]) -> None:
        now[0] += 20.0  # reading
        num_turns.append(sum(1 for number, _ in zip(range(24), turns, strict=False) if advance(4.0)))

    def advance(seconds: float) -> bool:
        now[0] += seconds
        return True

    part = SimpleNamespace(reads_all=True)
    job: Any = SimpleNamespace(
        plan=SimpleNamespace(budget_s=180.0, threads=None),
        context=SimpleNamespace(elapsed=lambda: now[0]),
        world=World(),
        request=SimpleNamespace(plan_from=None),
        folder=SimpleNamespace(path=tmp_path),
        data=SimpleNamespace(opened_part=lambda part_name: (part, 0)),
        family=SimpleNamespace(fit_closed_form=fit_closed_form),
    )
    monkeypatch.setattr(fit, "_closed_form_batches", lambda job: iter(()))
    monkeypatch.setattr(fit, "replayed_run", lambda path: SimpleNamespace(path=path))
    fit.prepare(job, None)
    job.request.plan_from, job.plan.budget_s = tmp_path, None
    fit.prepare(job, None)
    job.request.plan_from = None
    fit.prepare(job, None)
    assert num_turns == [11, 11, 24]  # up to 64 s: a turn that was begun is ended


def test_each_step_that_calibrates_drawing_is_logged_and_a_replay_takes_as_many(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now, numbers = [0.0], []

    def steps(documents: Iterator[Batch], request_of: Callable[[int, int], SampleRequest]) -> Iterator[int]:
        for number in range(40):
            now[0] += 1.0
            numbers.append(number)
            yield number

    monkeypatch.setattr(fit, "time", SimpleNamespace(monotonic=lambda: now[0]))
    monkeypatch.setattr(fit, "documents_of", lambda *_: [])
    monkeypatch.setattr(fit, "replayed_run", lambda path: SimpleNamespace(path=path))
    monkeypatch.setattr(fit, "calibration_slice", lambda budget, slowdown: 9.0)
    job: Any = SimpleNamespace(
        plan=SimpleNamespace(budget_s=90.0),
        context=SimpleNamespace(slowdown=1.0),
        world=World(),
        request=SimpleNamespace(plan_from=None),
        folder=SimpleNamespace(path=tmp_path),
        data=SimpleNamespace(base=None, modality=None, part_size=lambda part: 1),
        record=SimpleNamespace(data=SimpleNamespace(labels=[]), label_shares=[]),
    )
    family: Any = SimpleNamespace(calibrate_drawing=steps)
    fit._calibrate_drawing(job, family, 1000)
    assert len(numbers) == events.batches_record(tmp_path / events.NAME, "drawing") == 7
    job.request.plan_from, job.plan.budget_s = tmp_path, None
    fit._calibrate_drawing(job, family, 8)
    assert len(numbers) == 14
    job.request.plan_from = None
    fit._calibrate_drawing(job, family, 3)
    assert len(numbers) == 17


def test_calibration_reads_no_more_than_the_family_and_that_from_everywhere(tmp_path: Path) -> None:
    limits = []

    def scoring(part: str, limit: float) -> list[Batch]:
        limits.append(limit)
        return []

    store = SimpleNamespace(rows=lambda number: SimpleNamespace(units_of=lambda targets: targets / 2))
    job: Any = SimpleNamespace(
        plan=SimpleNamespace(budget_s=None, calibration_units=300.0),
        request=SimpleNamespace(plan_from=None),
        folder=SimpleNamespace(path=tmp_path),
        family=SimpleNamespace(max_calibrated_targets=None),
        data=SimpleNamespace(part_size=lambda part: 1, scoring=scoring, opened_part=lambda part: (store, 1)),
    )
    for max_targets in (None, 1000, 100):
        job.family.max_calibrated_targets = max_targets
        assert list(fit._calibration_batches(job)) == []
    assert limits == [300.0, 300.0, 50.0]


@pytest.mark.parametrize(("slowdown", "is_calibrated"), [(1.0, True), (5.0, False)])
def test_busy_cores_end_a_calibration_that_the_report_has_no_time_for(
    slowdown: float, is_calibrated: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    heard, calls = Lines(), []

    def calibrate(*_: object) -> None:
        time.sleep(0.8)
        calls.append(True)

    monkeypatch.setattr(fit, "calibrate_modality", calibrate)
    context = RunContext(heard, time.monotonic() - 59.0, World(), slowdown=slowdown)
    job: Any = SimpleNamespace(
        plan=SimpleNamespace(budget_s=60.0), context=context, data=SimpleNamespace(modality=None)
    )
    fit._calibrate_in_time(job, None)  # type: ignore[arg-type]
    assert bool(calls) == is_calibrated and ("no time was left" in "".join(heard.lines)) != is_calibrated


@pytest.mark.parametrize(("loss", "kept"), [(2.3, True), (2.1, False)])
def test_what_the_kept_weights_took_is_logged(
    loss: float, kept: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run that kept its weights of 666 steps said in each place that it had 507."""
    (tmp_path / events.NAME).write_text(
        '{"event": "step", "step": 507, "progress": 1.0, "loss": 2.3, "seconds": 40.0}\n'
    )
    monkeypatch.setattr(fit, "validation_loss", lambda family, *_: 2.2 if family == "previous" else loss)
    monkeypatch.setattr(fit, "_can_validate", lambda job: True)
    job: Any = SimpleNamespace(
        previous_weights={},
        previous_training={"step": 666, "seconds": 33.0, "examples": 42_624, "loss": 2.2},
        rebuilt=lambda weights: "previous",
        validation_batches=list,
        plan=SimpleNamespace(seed=0),
        context=SimpleNamespace(reporter=Lines()),
        folder=SimpleNamespace(path=tmp_path),
    )
    assert fit._previous_if_better(job, "longer") == ("previous" if kept else None)  # type: ignore[arg-type,comparison-overlap]
    assert events.sampled_step(tmp_path)["step"] == (666 if kept else 507)


def test_a_training_that_was_made_longer_is_resumed_with_its_length() -> None:
    plan = SimpleNamespace(steps=None, train_s=180.0, budget_s=BUDGET)
    job: Any = SimpleNamespace(
        plan=plan,
        request=SimpleNamespace(plan_from=None),
        train_config=SimpleNamespace(train_seconds=0.0),
        world=SimpleNamespace(size=2, device=None),
    )
    lengths = [fit._progress(job, None, 150.0, length, False) for length in (0.0, 260.0)]
    assert [progress.seconds for progress in lengths if isinstance(progress, TimeProgress)] == [180.0, 260.0]


def test_a_training_that_was_stopped_before_its_first_checkpoint_has_the_planned_time() -> None:
    """Sound took so long to read again that a resumed run had 1 s of the 28 s that it promised."""
    plan = SimpleNamespace(steps=None, train_s=28.0, budget_s=BUDGET)
    job: Any = SimpleNamespace(
        plan=plan,
        request=SimpleNamespace(plan_from=None),
        train_config=SimpleNamespace(train_seconds=0.0),
        world=World(),
        context=RunContext(Lines(), time.monotonic() - BUDGET, World(), slowdown=1.0),
    )
    lengths = [fit._progress(job, None, 0.0, 0.0, is_divided_now) for is_divided_now in (True, False)]
    seconds = [progress.seconds for progress in lengths if isinstance(progress, TimeProgress)]
    assert seconds[0] <= 1.0 and seconds[1] == 28.0
