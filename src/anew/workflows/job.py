"""From a request to a finished run: read, plan, train, finish, sample, report. Every step is in the run folder before the next."""

from __future__ import annotations

import dataclasses
import platform
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor

from anew import __version__
from anew.core import settings as cfg
from anew.core.reporter import Reporter
from anew.core.specs import Batch
from anew.core.threads import Crew, available
from anew.data.dataset import Dataset
from anew.errors import ConfigError, RunError, command, restoring
from anew.families.base import Family
from anew.planning.budget import TrainConfig, build, evaluation_slice, micro_rows
from anew.planning.planner import Planner, choose_family, finish_cost, plan_sentence
from anew.runs import events as events_file
from anew.runs.events import Events
from anew.runs.folder import CONFIG, RunFolder
from anew.runs.record import CodecRecord, DataRecord, FamilyRecord, Request, RunRecord
from anew.runs.tensors import read_tensors, write_tensors
from anew.sampling.restore import WEIGHTS
from anew.training.loop import Listener, TrainingLoop
from anew.training.progress import (
    Progress,
    ReplayProgress,
    StepProgress,
    TimeProgress,
)
from anew.training.trainer import Trainer
from anew.training.validation import Validation, validation_loss
from anew.workflows import codec_stage

VALIDATION_EXAMPLES = 256


class Job:
    """One training in this process. `started`: time.monotonic() when the command began, which the budget counts from; own: the
    class of a family of the user's own."""

    def __init__(
        self,
        folder: RunFolder,
        request: Request,
        reporter: Reporter,
        started: float,
        own: type[Family] | None = None,
    ) -> None:
        self.planner = Planner(request, reporter, started, own)
        self.train_config, self.world = self.planner.train_config, self.planner.world
        # Rank 0 made the folder; a default name that others found for themselves could be the next one.
        self.folder = RunFolder(Path(self.world.broadcast(str(folder.path))))
        self.request, self.reporter, self.started = request, reporter, started
        self.record: RunRecord
        self.codec: CodecRecord | None = None  # what describes the codec whose latents the family works in
        self.before: dict[str, Tensor] | None = None  # the weights of a finished run that is given more

    def elapsed(self) -> float:
        return time.monotonic() - self.started

    def begin(self, data: Dataset | None = None) -> None:
        """Read the data (or take it), choose family and sizes, write config.json. What follows needs the run folder alone."""
        self.data: Any = self.planner.open_data() if data is None else self.planner.take(data)
        wanted = self.request.family, self.request.prefer, data is not None, self.data.modality.many()
        name, self.kind = choose_family(self.data.spec, *wanted, own=self.planner.own)
        codec = None if data is not None else codec_stage.codec_of(self, name)
        self.planner.codec = codec
        if self.request.plan_from is None:
            self.planner.check_settings(name, self.kind)
        if codec is not None:
            self.data = self.planner.data = codec_stage.encoded(self, codec)
            codec_stage.shorter(self)
        self.plan, config = self.planner.plan(name, self.kind)
        self.family = build(self.kind, self.data.spec, config, self.plan.seed, self.world.device)
        if self.plan.micro_batch == 0:
            self.plan = dataclasses.replace(
                self.plan, micro_batch=micro_rows(self.family, config, self.data, self.world)
            )
        self.record = self._described(name, config)
        if self.world.is_main:
            self.data.modality.save(self.folder.path)
            self.folder.write_config(self.record)
            codec_stage.clear(self.folder)
        self.reporter.message(plan_sentence(name, self.plan, self.data))

    def _described(self, name: str, config: Any) -> RunRecord:
        """All of config.json."""
        return RunRecord(
            request=self.request,
            status="training",
            family=FamilyRecord(name=name, config=cfg.to_json(config)),
            spec=self.data.spec,
            data=DataRecord(**self.data.state()),
            label_shares=self.data.label_shares(),
            train=cfg.to_json(self.train_config),
            plan=self.plan,
            versions={"python": platform.python_version(), "torch": torch.__version__, "anew": __version__},
            codec=self.codec,
        )

    # -- go on with a run ---------------------------------------------------------------------------------------------

    def reopen(self, kind: type[Family], where: str | None = None, data: Dataset | None = None) -> None:
        """Everything from the run folder instead of `begin`. kind: its family's; where: where the data lies now, if it was
        moved."""
        record, folder = self.folder.record(), self.folder.path
        self.kind, self.plan, self.codec = kind, record.plan, record.codec
        with restoring(folder / CONFIG):
            self.train_config = cfg.from_json(TrainConfig, record.train)
            config: Any = cfg.from_json(kind.Config, record.family.config)
        opened = data or Dataset.reopen(record.data.model_dump(), folder, where)
        if where is not None:  # so that it need not be said again
            moved = record.data.model_copy(update={"path": str(Path(where).absolute())})
            record = record.model_copy(update={"data": moved})
        self.record = record
        self.data = codec_stage.reopened(record, folder, opened, self.world.device)
        if self.data.spec != record.spec:
            raise RunError(f"the data does not fit the run {str(folder)!r} any more; train a new run")
        with restoring(folder / CONFIG):
            self.family = build(kind, self.data.spec, config, self.plan.seed, self.world.device)

    # -- train --------------------------------------------------------------------------------------------------------

    def train(self, listeners: list[Listener], state: dict[str, Any] | None = None) -> str:
        """Prepare, step until the plan is done, choose the weights, write model.safetensors. Returns the outcome."""
        if state is None:
            torch.manual_seed(0)
            self.family.fit_closed_form(b.to(self.world.device) for b in self.data.sweep("train"))
        else:
            sizes = {n.partition("/")[2]: t.shape for n, t in state["tensors"].items() if n.startswith("weights/")}
            with restoring(self.folder.checkpoints):
                self.family.allocate_buffers(sizes)
        spent = 0.0 if state is None else float(state["meta"].get("spent", 0.0))
        progress = self._progress(spent)
        trainer = Trainer(
            self.family,
            self.data,
            progress,
            seed=self.plan.seed,
            batch_size=self.plan.batch,
            micro_batch=self.plan.micro_batch,
            world=self.world,
            shard=self.train_config.parallel == "fsdp",
        )
        validation = self._validation(trainer)
        if state is not None:
            with restoring(self.folder.checkpoints):
                trainer.load_state_dict(state)
                self.family.check_state()
                if validation is not None:
                    validation.load_state_dict(state)
        outcome = self._watch(trainer, progress, listeners, validation, spent)
        if outcome != "interrupted":
            self._keep(trainer, validation)
        return outcome

    def _progress(self, spent: float) -> Progress:
        if self.request.plan_from is not None:
            logged = events_file.progress_record(Path(self.request.plan_from) / events_file.NAME)
            return ReplayProgress(logged[: self.plan.steps])
        if self.plan.steps is not None:
            return StepProgress(self.plan.steps)
        seconds = self.plan.train_s
        # Several processes have their threads shared out; on a GPU the cores only feed it.
        alone = self.world.size == 1 and self.world.device.type == "cpu"
        on_step_time = Crew(self.reporter.message, available()).took if alone else (lambda seconds: None)
        if self.train_config.train_seconds:
            return TimeProgress(self.train_config.train_seconds, spent, only_training=True, on_step_time=on_step_time)
        if self.plan.budget_s is not None and spent == 0.0:
            # Known exactly only now: reading, measuring and preparing are over.
            seconds = self.planner.time_to_train(self.plan.budget_s, finish_cost(self.plan.budget_s), least=1.0)
        assert seconds is not None
        return TimeProgress(seconds, spent, on_step_time=on_step_time)

    def _validation(self, trainer: Trainer) -> Validation | None:
        repeated = self.plan.epochs is None or self.plan.epochs > 1.5
        if not (
            self.train_config.validation
            and repeated
            and self.family.early_stopping
            and self.data.part_size("validation")
        ):
            return None
        return Validation(trainer, self._validation_batches)

    def _validation_batches(self) -> Iterator[Batch]:
        seen = 0
        for batch in self.data.scoring("validation"):
            yield batch
            seen += len(batch)
            if seen >= VALIDATION_EXAMPLES:
                return

    def _watch(
        self,
        trainer: Trainer,
        progress: Progress,
        listeners: list[Listener],
        validation: Validation | None,
        spent: float,
    ) -> str:
        zero = time.monotonic() - spent
        events = Events(self.folder.path / events_file.NAME) if self.world.is_main else None
        watch = TrainingLoop(
            trainer,
            self.folder,
            events,
            [lambda result: self.reporter.step(result, progress.seconds_left(result.step)), *listeners],
            validation,
            self.train_config.checkpoint_seconds,
            spent=lambda: time.monotonic() - zero,
            say=self.reporter.message,
        )
        self.trainer = trainer
        try:
            return watch.run()
        finally:
            if events is not None:
                events.close()

    def _keep(self, trainer: Trainer, validation: Validation | None) -> None:
        """The weights to sample from, with what the family fits on validation data, into model.safetensors."""
        weights, step = (trainer.weights(), None) if validation is None else validation.final_weights()
        if step is not None:
            self.reporter.message(f"kept the weights of step {step}: later ones did worse on validation data")
        if self.world.is_main:
            whole = self.rebuilt(weights)
            if self.before is not None and self._was_better(whole):
                self.reporter.message(
                    "the weights from before did better on validation data and are kept; give more time"
                )
                whole = self.rebuilt(self.before)
            with torch.no_grad():
                whole.calibrate(b.to(self.world.device) for b in self._finishing())
            write_tensors(self.folder.path / WEIGHTS, {n: t.cpu() for n, t in whole.state_dict().items()})
            self._status("trained")
        self.world.barrier()

    def _was_better(self, now: Family) -> bool:
        """Whether the weights that the run had before it was given more time beat the new ones on validation data."""
        if self.before is None or not self.family.early_stopping or not self.data.part_size("validation"):
            return False
        old, new = (
            validation_loss(f, self._validation_batches(), self.plan.seed) for f in (self.rebuilt(self.before), now)
        )
        return old < new

    def rebuilt(self, weights: Mapping[str, Tensor]) -> Family:
        """The family on this process alone, with these whole weights, ready to sample."""
        whole = build(self.kind, self.data.spec, self.family.config, self.plan.seed, self.world.device)
        whole.allocate_buffers({n: t.shape for n, t in weights.items()})
        whole.load_state_dict(dict(weights))
        return whole.eval()

    def _finishing(self) -> Iterator[Batch]:
        if self.data.part_size("validation"):
            for batch in self.data.scoring("validation", limit=self.plan.calibration_units):
                yield from self.data.modality.views(batch)

    def _status(self, status: Literal["training", "trained", "finished"]) -> None:
        self.record = self.record.model_copy(update={"status": status})
        self.folder.write_config(self.record)

    def extend(self, budget: float | None, steps: int | None) -> dict[str, Any] | None:
        """Give a run more: a new total of steps, or further seconds. Returns the state to go on from, undecayed."""
        latest, notes = self.folder.latest()
        for note in notes:
            self.reporter.message(note)
        start, notes = self.folder.decay_start()
        for note in notes:
            self.reporter.message(note)
        state = latest
        if start is not None and (latest is None or latest["meta"]["step"] > start["meta"]["step"]):
            state = start
        if steps is not None:
            states = [s for s in (latest, start) if s is not None]
            done = max([len(events_file.progress_record(self.folder.path / events_file.NAME))]
                       + [int(s["meta"]["step"]) for s in states])  # fmt: skip
            if steps <= done:
                raise ConfigError(
                    f"`steps` {steps} is no more than the {done} steps that are done; give a larger total"
                )
            self.plan = dataclasses.replace(self.plan, steps=steps, train_s=None, budget_s=None, expected_steps=steps)
        elif budget is not None:
            spent = 0.0 if state is None else float(state["meta"]["spent"])
            more = self.planner.time_to_train(budget, finish_cost(budget))
            self.plan = dataclasses.replace(
                self.plan, steps=None, budget_s=budget, train_s=spent + more, evaluate_s=evaluation_slice(budget)
            )
        if (
            budget is not None and self.record.status != "training"
        ):  # by steps, a run equals one that was longer at once
            self.before = read_tensors(self.folder.path / WEIGHTS)
        self.record = self.record.model_copy(update={"plan": self.plan})
        if self.world.is_main:
            if state is not None:  # first, so that a kill in between leaves a finished run
                self.folder.forget_after(int(state["meta"]["step"]))
            self._status("training")
        return state


def command_line() -> str:
    """The command that began this process, for the report."""
    return command("anew", *sys.argv[1:])


__all__ = ["Job", "command_line"]
