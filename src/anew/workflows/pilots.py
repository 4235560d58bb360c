"""Pilots: begin the training of each family that could win, and continue the one whose samples promise to come nearest to
the data, measured on validation items as in the report.

A pilot is the beginning of a whole training, an ordinary run in RUN/pilots/NAME. The winner's run becomes the run itself, so
that its steps count and a replay needs no pilots. A kill before that loses the pilots only: they begin again.
"""

from __future__ import annotations

import copy
import os
import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from statistics import median

import numpy as np
import torch

from anew.core.arrays import Numbers
from anew.core.reporter import SilentReporter
from anew.data.dataset import Dataset
from anew.data.types import DecodedItem
from anew.errors import TrainingError
from anew.evaluation.base import load_evaluation
from anew.evaluation.inputs import EMBEDDER_ITEMS, EvaluationInputs
from anew.evaluation.item_sets import Embedder
from anew.evaluation.metrics.frechet import frechet_distance
from anew.evaluation.metrics.two_sample import two_sample_test
from anew.planning.budget import MIN_TRAINING, time_to_train
from anew.planning.context import RunContext, TrainingTask
from anew.planning.family_choice import FamilyChoice
from anew.planning.pilots import (
    MIN_ITEMS,
    can_judge,
    describe_pilots,
    expected_distance,
    is_long_enough,
    num_kept,
    num_rounds,
    pilot_seconds,
    ranked,
)
from anew.planning.planner import describe_plan
from anew.planning.train_config import TrainConfig
from anew.runs import events as events_file
from anew.runs.folder import RunFolder
from anew.runs.record import Pilot, Request, RunRecord
from anew.runs.state import Checkpoint
from anew.sampling.generator import Generator
from anew.sampling.restore import newest_weights
from anew.training.loop import Listener
from anew.training.trainer import StepResult, Trainer
from anew.workflows.fit import calibrate_modality, fit, prepare
from anew.workflows.job import TrainingJob, begin_job, latest_checkpoint, reopen_job
from anew.workflows.latents import FEW_ITEMS, latent_batches

FOLDER, CHECKPOINTS = "pilots", "checkpoints"
# Most validation items and samples that pilots are judged by; samples are drawn in chunks of MIN_ITEMS. With 100 items, the floor of
# the distance hides late differences (docs/log.md, 2026-11-26).
MAX_ITEMS = 250
# Random halves of the samples, whose distances spread as those of other samples would: as measured, or up to a half more;
# drawn with replacement they spread twice as much (docs/log.md, 2026-11-28).
HALVES = 16
# Samples on the wrong side: where none is, the error that the classifier measures is zero; chosen
MIN_AUC_ERROR = 0.5
REAL_SETS = 3  # sets of training items, whose median distance stands for real items: a single set may hold an outlier
SETUP_SHARE = 0.5  # no further pilot is set up after this share of all time, so that the others still train; chosen
MEASURING_SHARE = 0.15  # share of all time for timing model sizes: more would be lost to training; chosen
# Share of a pilot's first turn that is kept for judging it; later it is known what that takes; chosen.
JUDGING_SHARE = 0.2


@dataclass
class Trial:
    """A pilot under way.

    Attributes:
        record: Contents of that run's config.json; None before it is planned.
        progress: Share of its training that is done.
        seconds: Seconds of its training so far.
        features: (n, d) features of its newest samples.
        judging_s: Seconds that the last judging took.
    """

    choice: FamilyChoice
    folder: RunFolder
    record: RunRecord | None = None
    progress: float = 0.0
    seconds: float = 0.0
    features: Numbers | None = None
    judging_s: float = 0.0


class Judge:
    """Compares samples with validation items, in the features of the report.

    Args:
        data: The data that is learned.
        seed: Seed of what is drawn.
    """

    def __init__(self, data: Dataset, seed: int) -> None:
        self.seed = seed
        evaluation = load_evaluation(data.modality.name)(
            EvaluationInputs(
                modality=data.modality.base,
                spec=data.spec,
                train=lambda n: data.items("train", n, seed),
                test=lambda n: data.items("validation", n, seed),
                train_text=None,
                test_text=None,
                samples=[],
                bits=None,
                seconds=None,
                seed=seed,
            )
        )
        train = evaluation.items("train", max(EMBEDDER_ITEMS, REAL_SETS * MAX_ITEMS))
        self.embed: Embedder[DecodedItem] = evaluation.embedder(train[:EMBEDDER_ITEMS])
        self.validation = self.embed(evaluation.items("test", MAX_ITEMS))  # (n, d)
        self.train = self.embed(train[: REAL_SETS * MAX_ITEMS])  # (m, d)

    def features(self, job: TrainingJob, seconds: float) -> Numbers:
        """Features (n, d) of samples of the newest weights.

        Draws as many samples as the seconds allow: at least one chunk, at most as many as validation items.
        """
        begin = time.monotonic()
        family = job.rebuilt(newest_weights(job.folder, "training").state)
        with torch.no_grad():
            family.fit_latents(latent_batches(job, FEW_ITEMS))
            family.calibrate(batch.to(job.world.device) for batch in job.validation_batches())
        modality = copy.deepcopy(job.data.modality)  # the run's own modality is calibrated by the trained network later
        calibrate_modality(job, family, modality)
        generator = Generator(family, modality, job.record.data.labels, job.record.label_shares)
        items: list[DecodedItem] = []
        max_items = min(len(self.validation), len(self.train))
        while len(items) < max_items and (not items or time.monotonic() - begin < seconds):
            count = min(MIN_ITEMS, max_items - len(items))
            request = generator.request(count, self.seed, first_index=len(items))
            items += list(generator.generate_samples(request, self.seed))
        return self.embed(items)

    def compare(self, trials: Sequence[Trial]) -> list[Pilot]:
        """Compare trials that have features with all validation items, by the same number of samples of each."""
        n = min(len(trial.features) for trial in trials if trial.features is not None)
        starts = range(0, max(1, len(self.train) - n + 1), n)
        real = max(0.0, median(frechet_distance(self.train[i : i + n], self.validation) for i in starts))
        return [self._pilot(trial, n, real) for trial in trials]

    def _pilot(self, trial: Trial, n: int, real: float) -> Pilot:
        assert trial.features is not None
        samples, progress = trial.features[:n], trial.progress
        distance = max(0.0, frechet_distance(samples, self.validation))
        classified = two_sample_test(samples, self.validation, self.seed)
        return Pilot(
            family=trial.choice.name,
            seconds=trial.seconds,
            progress=progress,
            items=n,
            distance=distance,
            two_sample_auc=classified.auc,
            real=real,
            expected=expected_distance(trial.choice.family_class, distance, real, progress),
            expected_error=expected_distance(trial.choice.family_class, self._spread(samples), 0.0, progress),
            auc_error=max(classified.error, MIN_AUC_ERROR / n),
        )

    def _spread(self, samples: Numbers) -> float:
        """The standard error of the distance of samples (n, d): the deviation of random halves (Shao and Wu 1989)."""
        rng = np.random.default_rng(self.seed)
        halves = (rng.permutation(len(samples))[: len(samples) // 2] for _ in range(HALVES))
        return float(np.std([frechet_distance(samples[half], self.validation) for half in halves]))


class _Stop:
    """Listener that stops a training at a deadline, on all processes after the same step."""

    def __init__(self, trial: Trial, deadline: float) -> None:
        self.trial = trial
        self.deadline = deadline
        self.reached = False
        self.trainer: Trainer | None = None

    def listeners(self, trainer: Trainer) -> list[Listener]:
        self.trainer = trainer
        return [self]

    def __call__(self, result: StepResult) -> None:
        assert self.trainer is not None
        self.trial.progress = result.progress
        is_due = bool(self.trainer.world.broadcast(time.monotonic() >= self.deadline))
        self.reached = is_due and not self.trainer.stopping  # a stop by hand takes precedence
        self.trainer.stopping = self.trainer.stopping or is_due


@dataclass(frozen=True)
class Pilots:
    """Trains and judges pilots in rounds; each round keeps half of them.

    Attributes:
        task: What is trained; its request has a budget.
    """

    folder: RunFolder
    task: TrainingTask[Dataset]

    @property
    def context(self) -> RunContext:
        return self.task.context

    def run(self, choices: Sequence[FamilyChoice], seconds: float) -> tuple[TrainingJob, Checkpoint | None]:
        """The training that continues, and its checkpoint.

        Args:
            choices: Families that could win, the likeliest first.
            seconds: Time for all pilots together.

        Raises:
            TrainingError: No family could be trained.
            KeyboardInterrupt: The pilots were interrupted; nothing of them is kept.
        """
        end = time.monotonic() + seconds
        names = " and ".join(choice.name for choice in choices)
        self.context.reporter.message(
            f"trying {names} on your data for {seconds:.0f} s; the better one is then trained further"
        )
        trials = [Trial(choice, RunFolder(self.folder.path / FOLDER / choice.name)) for choice in choices]
        trials = self._set_up(trials, seconds, end)
        judged: dict[str, Pilot] = {}
        if len(trials) > 1:
            judge = Judge(self.task.data, self.task.request.seed) if self.context.world.is_main else None
            for rounds_left in range(num_rounds(len(trials)), 0, -1):
                round_end = end - (end - time.monotonic()) * (rounds_left - 1) / rounds_left
                trials = self._round(judge, trials, round_end)
                ranking = self._compared(judge, trials)
                judged |= {pilot.family: pilot for pilot in ranking}
                order = [pilot.family for pilot in ranking]
                trials = sorted(trials, key=lambda trial: order.index(trial.choice.name))[: num_kept(len(trials))]
        winner = trials[0]
        pilots = sorted(judged.values(), key=lambda pilot: (pilot.family != winner.choice.name, pilot.expected))
        if pilots:
            self.context.reporter.message(describe_pilots(pilots))
        return self._adopted(winner, tuple(pilots))

    def _set_up(self, trials: Sequence[Trial], seconds: float, end: float) -> list[Trial]:
        """Plan each training, fit its closed form and take a step, so that all have the same time for further steps.

        Returns those that did not fail. On a busy machine, the last ones are left out if too little time is left for them, or too little to
        tell them apart.
        """
        begin, latest = time.monotonic(), end - (1.0 - SETUP_SHARE) * seconds
        measuring_seconds = MEASURING_SHARE * seconds / len(trials)
        ready: list[Trial] = []

        def set_up(trial: Trial) -> None:
            is_late = len(ready) > 0 and time.monotonic() > latest
            is_short = len(ready) == 1 and self._will_be_too_short(ready[0], len(trials), time.monotonic() - begin, end)
            if self.context.world.broadcast(is_late or is_short):
                self.context.reporter.message(f"no time left to try {trial.choice.name}")
                return
            reserved = max(0.0, end - time.monotonic()) * (1.0 - 1.0 / len(trials))  # the time of the other pilots
            trial.folder.path.mkdir(parents=True, exist_ok=True)
            job = begin_job(
                trial.folder,
                replace(self.task, context=self._quiet(reserved)),
                trial.choice,
                minimum_seconds=MIN_TRAINING,
                measuring_seconds=measuring_seconds,
            )
            trial.record = job.record
            self._train(trial, job, None, deadline=0.0)
            ready.append(trial)

        self._each(trials, set_up)
        return ready

    def _will_be_too_short(self, first: Trial, count: int, setup_seconds: float, end: float) -> bool:
        """Whether the turns that are left will be too short to compare anything, if all set-ups take as long as the first."""
        assert first.record is not None
        turns = end - time.monotonic() - (count - 1) * setup_seconds
        training = first.seconds + (1.0 - JUDGING_SHARE) * turns / count / num_rounds(count)
        return not is_long_enough(training, first.record.plan.train_s or 0.0)

    def _round(self, judge: Judge | None, trials: Sequence[Trial], round_end: float) -> list[Trial]:
        """Train and judge each trial, in turns of equal length. Returns those whose training did not fail."""
        healthy: list[Trial] = []

        def take_turn(trial: Trial) -> None:
            begin = time.monotonic()
            turn = max(0.0, round_end - begin) / (len(trials) - trials.index(trial))
            job = self._reopened(trial)
            judging = trial.judging_s or JUDGING_SHARE * turn
            self._train(trial, job, latest_checkpoint(job), deadline=begin + turn - judging)
            begin = time.monotonic()
            if judge is not None:
                trial.features = judge.features(job, JUDGING_SHARE * turn)
            trial.judging_s = time.monotonic() - begin
            healthy.append(trial)

        self._each(trials, take_turn)
        return healthy

    def _each(self, trials: Sequence[Trial], act: Callable[[Trial], None]) -> None:
        """Call `act` with each trial. A failure of its training is reported; it is raised only if all fail."""
        failures: list[TrainingError] = []
        for trial in trials:
            try:
                act(trial)
            except TrainingError as failure:
                failures.append(failure)
                self.context.reporter.message(f"{trial.choice.name} failed: {failure}")
        if len(failures) == len(trials):
            raise failures[-1]

    def _train(self, trial: Trial, job: TrainingJob, checkpoint: Checkpoint | None, deadline: float) -> None:
        """Train a trial until the deadline, for one step at least."""
        stop = _Stop(trial, deadline)
        prepare(job, checkpoint)
        if fit(job, checkpoint, stop.listeners) == "interrupted" and not stop.reached:
            raise KeyboardInterrupt
        state = latest_checkpoint(job)
        trial.seconds = 0.0 if state is None else float(state["meta"]["spent"])

    def _compared(self, judge: Judge | None, trials: Sequence[Trial]) -> list[Pilot]:
        """The comparison of the trials, the same on all processes.

        The most promising comes first; if that cannot be told yet, the order is that of the trials, the likeliest first.
        """
        compared = [] if judge is None else [asdict(pilot) for pilot in judge.compare(trials)]
        pilots = [Pilot(**values) for values in self.context.world.broadcast(compared)]
        return ranked(pilots)

    def _reopened(self, trial: Trial) -> TrainingJob:
        assert trial.record is not None
        return reopen_job(trial.folder, trial.record, trial.choice.family_class, self._quiet(), self.task.data)

    def _quiet(self, reserved: float = 0.0) -> RunContext:
        """The context of a pilot, with `reserved` seconds kept for the other pilots."""
        return replace(self.context, reporter=SilentReporter(), reserved=reserved)

    def _adopted(self, winner: Trial, pilots: tuple[Pilot, ...]) -> tuple[TrainingJob, Checkpoint | None]:
        """Make the winner's training that of the run. config.json, which marks it as begun, is written last."""
        assert winner.record is not None and self.task.request.budget is not None
        if self.context.world.is_main:
            for name in (CHECKPOINTS, events_file.NAME):
                os.replace(winner.folder.path / name, self.folder.path / name)
        self.context.world.barrier()
        train_s = winner.seconds + time_to_train(self.task.request.budget, self.context, MIN_TRAINING)
        plan = replace(winner.record.plan, train_s=train_s, pilots=pilots)
        record = winner.record.model_copy(update={"plan": plan})
        job = reopen_job(self.folder, record, winner.choice.family_class, self.context, self.task.data)
        self.task.data.modality.save(self.folder.path)
        job.write_status("training")
        if self.context.world.is_main:
            shutil.rmtree(self.folder.path / FOLDER, ignore_errors=True)
        self.context.reporter.message(describe_plan(winner.choice.name, plan))
        return job, latest_checkpoint(job)


def affordable_seconds(
    request: Request, train_config: TrainConfig, data: Dataset, choices: Sequence[FamilyChoice]
) -> float:
    """The seconds for pilots: 0 for a single family, no budget or a small one, or too few items to judge by."""
    if request.budget is None or train_config.train_seconds or len(choices) < 2:
        return 0.0
    sizes = {part: data.part_size(part) for part in ("train", "validation")}
    return pilot_seconds(request.budget) if can_judge(sizes) else 0.0


def clear(folder: RunFolder) -> None:
    """Remove what stopped pilots left in a run that was not begun."""
    for name in (FOLDER, CHECKPOINTS):
        shutil.rmtree(folder.path / name, ignore_errors=True)
    (folder.path / events_file.NAME).unlink(missing_ok=True)
