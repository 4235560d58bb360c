"""What the verbs of `anew.api` do: a run from its request to its report."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable
from typing import Any

from anew.core.extras import require
from anew.core.specs import Tokens
from anew.core.threads import use_threads
from anew.data.dataset import Dataset
from anew.data.skipped import skipped
from anew.errors import DataError
from anew.families.base import Family
from anew.planning.budget import saving_slice
from anew.runs import events as events_file
from anew.runs import lock
from anew.runs.folder import CONFIG, OWN_FAMILY, RunFolder
from anew.runs.record import Request
from anew.sampling.model import Model, scorable
from anew.sampling.restore import family_of
from anew.training.distributed import shutdown
from anew.training.loop import Listener
from anew.training.trainer import StepResult
from anew.workflows.evaluate import REPORT_PASSAGES, evaluate_run
from anew.workflows.job import Job, Quiet, Reporter
from anew.workflows.previews import Previews


def new_run(
    folder: RunFolder,
    request: Request,
    reporter: Reporter | None,
    started: float,
    undo: str,
    own: Callable[[], type[Family] | None],
) -> Model:
    """Carry out a request in its folder. undo: what to remove if it cannot be begun: "nothing", the "files" that were
    written so far, or the "folder" with them. own: gives the class of a family of the user's own."""
    use_threads()
    try:
        job = Job(folder, request, reporter or Quiet(), started, own())
        job.begin()
    except Exception:
        if os.environ.get("RANK", "0") == "0" and undo != "nothing":
            _remove_begun(folder, undo == "folder")
        raise
    return _through(job, None)


def _remove_begun(folder: RunFolder, whole: bool) -> None:
    """A request that could not be begun leaves no run behind, and nothing that was not its own is touched."""
    for name in (CONFIG, "tokenizer.json", OWN_FAMILY, lock.NAME):
        with contextlib.suppress(OSError):  # Windows keeps files that are open
            (folder.path / name).unlink(missing_ok=True)
    if whole:
        with contextlib.suppress(OSError):
            folder.path.rmdir()


def continue_run(
    folder: RunFolder,
    budget: float | None,
    steps: int | None,
    data: str | None,
    reporter: Reporter | None,
    started: float,
    trust_code: bool,
) -> Model:
    """Finish a run, or give it more."""
    use_threads()
    reporter = reporter or Quiet()
    folder.clear_temporary()
    record = folder.record()
    kind = family_of(record.family.name, folder.path, trust_code)
    more = budget is not None or steps is not None
    if record.status == "finished" and not more:
        reporter.say("this run is finished; give it more budget or steps to go on with it")
        return Model(folder, trust_code=trust_code)
    job = Job(folder, record.request, reporter, started, kind if record.family.name == OWN_FAMILY else None)
    job.reopen(kind, data)
    if record.status == "trained" and not more:
        return _report(job)
    if more:
        state = job.extend(budget, steps)
    else:
        state, notes = folder.latest()
        for note in notes:
            reporter.say(note)
        if state is None:
            state, notes = folder.decay_start()
            for note in notes:
                reporter.say(note)
    step = 0 if state is None else int(state["meta"]["step"])
    reporter.say(f"going on from step {step}")
    if job.world.is_main:
        lost = events_file.truncate(folder.path / events_file.NAME, step)
        if lost:
            reporter.say(f"{events_file.NAME}: {lost} damaged line{'s' * (lost != 1)} left out")
    return _through(job, state)


def _through(job: Job, state: dict[str, Any] | None) -> Model:
    """Train, then report. An interrupted training is saved and can be resumed."""
    try:
        listeners: list[Listener] = [Previews(job), *_tensorboard(job)]
        outcome = job.train(listeners, state)
        if outcome == "interrupted":
            raise KeyboardInterrupt
        if outcome == "stopped_early":
            job.reporter.say("stopped early: validation loss had stopped improving")
        job.planner.say_skipped(job.data.scan)
        return _report(job)
    finally:
        job.data.close()
        shutdown()


def _report(job: Job) -> Model:
    if not job.world.is_main:
        return Model(job.folder, trust_code=True)
    model = Model(job.folder, str(job.world.device), trust_code=True)
    budget = job.plan.budget_s
    left = (
        None if budget is None else max(1.0, budget - job.elapsed() - saving_slice(budget) - 0.3)
    )  # leaving takes its part
    passages = isinstance(model.item_spec, Tokens) and model.item_spec.packed
    n = job.train_config.evaluate_samples
    n = -(-n // REPORT_PASSAGES) if passages else n
    evaluate_run(model, n, seconds=left, reporter=job.reporter, opened=job.data)
    job.planner.say_skipped(job.data.scan)
    data = job.record.data.model_copy(update=job.data.scan.left_out())
    job.record = job.record.model_copy(update={"data": data})
    job._status("finished")
    return model


def _tensorboard(job: Job) -> list[Callable[[StepResult], None]]:
    if not job.train_config.tensorboard or not job.world.is_main:
        return []
    require("tensorboard", extra="track", purpose="tensorboard=true")
    from torch.utils.tensorboard import SummaryWriter

    writer = SummaryWriter(str(job.folder.path))

    def write(result: StepResult) -> None:
        for name, value in result.losses.items():
            writer.add_scalar("train/loss" if len(result.losses) == 1 else f"train/loss_{name}", value, result.step)
        for name, value in result.grad_norms.items():
            writer.add_scalar(
                "train/grad_norm" if len(result.grad_norms) == 1 else f"train/grad_norm_{name}", value, result.step
            )
        writer.add_scalar("train/learning_rate", result.lr_factor, result.step)
        if result.step % 100 == 0:
            writer.flush()

    return [write]


def scored(model: Model, path: str, limit: float | None) -> dict[str, Any]:
    """Bits per unit of all items of other data, with the tokens and sizes of the run; see Model.score."""
    use_threads()
    scorable(model)
    data = Dataset.open_like(model.record.data.model_dump(), model.folder.path, path)
    pairs = model.bits(data.scoring("all", limit=limit))
    bits, units = sum(b for b, _ in pairs), sum(u for _, u in pairs)
    if units <= 0:
        raise DataError(f"{path!r} holds nothing to score; give text files like those the run was trained on")
    unit = model.modality.unit
    parts = model.bits_by_part(data.scoring("all", limit=limit))
    data.close()
    alone = {f"bits_per_{unit}_{name}": value for name, value in parts.items()}
    figures = {f"bits_per_{unit}": bits / units, **alone, f"{unit}s": units, "bits": bits}
    bound = "exact" if isinstance(model.spec, Tokens) else "an upper bound"
    return {**figures, "bound": bound, "skipped": data.scan.refused, "notes": skipped(data.scan)}
