"""What the verbs of `anew.api` do: a run from its request to its report."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Mapping
from typing import Any

from anew.core.specs import Tokens
from anew.core.threads import use_threads
from anew.data.dataset import Dataset
from anew.data.skipped import skipped
from anew.errors import DataError
from anew.planning.budget import saving_slice
from anew.runs import events as events_file
from anew.runs.folder import RunFolder
from anew.sampling.model import Model, scorable
from anew.training.distributed import leave
from anew.training.loop import Listener
from anew.training.trainer import Stepped
from anew.workflows.evaluate import REPORT_PASSAGES, evaluate_run
from anew.workflows.job import OWN_FAMILY, Job, Quiet, Reporter, Request
from anew.workflows.previews import Previews


def new_run(
    folder: RunFolder, request: Mapping[str, Any], reporter: Reporter | None, started: float, undo: str
) -> Model:
    """Carry out a request in its folder. undo: what to remove if it cannot be begun: "nothing", the "files" that were
    written so far, or the "folder" with them."""
    use_threads()
    try:
        job = Job(folder, Request(**request), reporter or Quiet(), started)
        job.begin()
    except Exception:
        if os.environ.get("RANK", "0") == "0" and undo != "nothing":
            _remove_begun(folder, undo == "folder")
        raise
    return _through(job, None)


def _remove_begun(folder: RunFolder, whole: bool) -> None:
    """A request that could not be begun leaves no run behind, and nothing that was not its own is touched."""
    for name in ("config.json", "tokenizer.json", OWN_FAMILY):
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
    config = folder.config()
    job = Job(folder, Request(**config["request"]), reporter, started)
    more = budget is not None or steps is not None
    if config["status"] == "finished" and not more:
        reporter.say("this run is finished; give --budget or --steps to go on with it")
        return Model(folder, trust_code=trust_code)
    job.reopen(data, trust_code)
    if config["status"] == "trained" and not more:
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
    if job.world.first:
        events_file.truncate(folder.path / "events.jsonl", step)
    return _through(job, state)


def _through(job: Job, state: dict[str, Any] | None) -> Model:
    """Train, then report. An interrupted training is saved and can be resumed."""
    try:
        listeners: list[Listener] = [Previews(job), *_tensorboard(job)]
        outcome = job.train(listeners, state)
        if outcome == "interrupted":
            raise KeyboardInterrupt
        if outcome == "shortened":
            job.reporter.say("validation data said that more training would make it worse: the run ended early")
        job.planner.say_skipped(job.data.scan)
        return _report(job)
    finally:
        job.data.close()
        leave()


def _report(job: Job) -> Model:
    if not job.world.first:
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
    job.record["data"] |= job.data.scan.left_out()
    job._status("finished")
    return model


def _tensorboard(job: Job) -> list[Callable[[Stepped], None]]:
    if not job.train_config.tensorboard or not job.world.first:
        return []
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        raise DataError("tensorboard=true needs TensorBoard; install it with `pip install 'anew[track]'`") from None
    writer = SummaryWriter(str(job.folder.path))

    def write(stepped: Stepped) -> None:
        for name, value in stepped.losses.items():
            writer.add_scalar("train/loss" if len(stepped.losses) == 1 else f"train/loss_{name}", value, stepped.step)
        for name, value in stepped.norms.items():
            writer.add_scalar(
                "train/grad_norm" if len(stepped.norms) == 1 else f"train/grad_norm_{name}", value, stepped.step
            )
        writer.add_scalar("train/learning_rate", stepped.rate, stepped.step)
        if stepped.step % 100 == 0:
            writer.flush()

    return [write]


def scored(model: Model, path: str, limit: float | None) -> dict[str, Any]:
    """Bits per unit of all items of other data, with the tokens and sizes of the run; see Model.score."""
    use_threads()
    scorable(model)
    state = model.config["data"]
    data = Dataset.open_like(state, model.folder.path, path)
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
