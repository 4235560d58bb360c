"""What the verbs of `anew.api` do: a run from its request to its report."""

from __future__ import annotations

import contextlib
import ctypes
import os
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import torch

from anew.data.dataset import Dataset
from anew.errors import DataError
from anew.evaluation.evidence import Evidence
from anew.evaluation.metric import Score
from anew.families.family import Family
from anew.find import find
from anew.job import OWN_FAMILY, Job, Quiet, Reporter, Request, command_line
from anew.model import Model, Samples
from anew.plan import saving_slice
from anew.spec import Tokens
from anew.training import events as events_file
from anew.training.distributed import leave
from anew.training.events import Events
from anew.training.listen import Listener
from anew.training.run import RunFolder
from anew.training.trainer import Stepped


def use_threads() -> int:
    """As many threads as this process may run on (taskset, containers), shared with the others that torchrun started."""
    count = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else (os.cpu_count() or 1)
    count = max(1, count // int(os.environ.get("LOCAL_WORLD_SIZE", "1")))
    if torch.get_num_threads() != count:
        torch.set_num_threads(count)
    _keep_memory()
    return count


def _keep_memory() -> None:
    """Let glibc keep freed memory: a step frees and asks for the same large blocks, and fresh pages cost as much as the
    arithmetic on them."""
    with contextlib.suppress(OSError, AttributeError):
        glibc = ctypes.CDLL("libc.so.6")
        for option, value in (
            (-3, 1 << 30),
            (-1, (1 << 31) - 1),
            (-2, 64 << 20),
        ):  # M_MMAP_THRESHOLD, M_TRIM_, M_TOP_PAD
            glibc.mallopt(option, value)


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
    # A passage of a stream holds as much as many records or images.
    passages = isinstance(model.item_spec, Tokens) and model.item_spec.packed
    n = -(-job.train_config.evaluate_samples // 8) if passages else job.train_config.evaluate_samples
    evaluated(model, n, 0, None, left, job.reporter, job.data)
    job._status("finished")
    return model


class Previews:
    """Samples of the averaged weights into `samples/` while training, as often as their cost stays under a hundredth."""

    def __init__(self, job: Job) -> None:
        self.job = job
        self.points = job.train_config.previews
        self.done = 0
        self.cost = 0.0
        self.begun = time.monotonic()

    def __call__(self, stepped: Stepped) -> None:
        if self.points == 0 or stepped.progress * (self.points + 1) < self.done + 1:
            return
        self.done = int(stepped.progress * (self.points + 1))
        total = self.job.plan.train_s
        dear = total is not None and self.cost > total / 100
        if self.job.world.agree(dear):
            return
        start = time.monotonic()
        # A copy that is whole on one process: sharded weights cannot be sampled from.
        weights = self.job.trainer.weights()
        if self.job.world.first:
            model = Model.of(self.job.rebuilt(weights), self.job.data.modality, self.job.record)
            samples = model.sample(2 if isinstance(model.item_spec, Tokens) else 16, seed=self.job.plan.seed)
            samples.save_sheet(self.job.folder.path / "samples", f"step-{stepped.step:08d}")
        self.cost += time.monotonic() - start


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


# -- evaluate ---------------------------------------------------------------------------------------------------------


def evaluated(
    model: Model,
    n: int,
    seed: int,
    data: str | None,
    allowed_s: float | None,
    reporter: Reporter | None,
    opened: Dataset | None = None,
) -> dict[str, Any]:
    """Sample, measure, write samples/ and report/. allowed_s: seconds for all of it, None without a limit."""
    from anew.evaluation.card import write_card
    from anew.evaluation.report import write_report

    use_threads()
    begin = time.monotonic()
    reporter = reporter or Quiet()
    config, folder = model.config, model.folder.path
    dataset = opened or Dataset.reopen(config["data"], folder, data)
    share = 0.25 if isinstance(model.item_spec, Tokens) else 0.4  # text is judged by its bits first
    samples, notes = _samples_in_time(model, n, seed, None if allowed_s is None else share * allowed_s)
    shown = samples.head(model.modality.shown)
    shown.save(folder / "samples")
    shown.save_sheet(folder / "samples", "final")
    left = None if allowed_s is None else max(0.5, allowed_s - (time.monotonic() - begin))
    evaluation = find("evaluation", config["data"]["modality"])(evidence(model, dataset, list(samples), left, seed))
    events = Events(folder / "events.jsonl")
    scores = list(_said(evaluation.scores(), reporter))
    written = write_report(
        folder / "report",
        scores=scores,
        shown=evaluation.show(),
        history=_history(folder),
        notes=[*dataset.scan.notes, *_skipped(dataset), *notes, *evaluation.left_out],
        command=command_line(),
        **_described(folder, config),
    )
    write_card(folder, config, scores)
    events.write("report", seconds=round(time.monotonic() - begin, 3))
    events.close()
    if opened is None:
        dataset.close()
    return written


def _skipped(data: Dataset) -> list[str]:
    """What was refused, the first few by name."""
    scan = data.scan
    named = [f"skipped {r.name}: {r.reason}" for r in scan.refusals[:5]]
    return [*named, f"skipped in all: {scan.refused}"] if scan.refused else []


def _said(scores: Iterator[Score], reporter: Reporter) -> Iterator[Score]:
    """The scores, each shown as it is ready."""
    for one in scores:
        floor = "" if one.floor is None else f" (real against real: {one.floor:.4g})"
        reporter.say(f"  {one.name}: {one.value:.4g}{floor}")
        yield one


def _described(folder: Path, config: dict[str, Any]) -> dict[str, Any]:
    """What the report says of the run beside its figures."""
    data = config["data"]
    return {
        "run": folder.name,
        "family": config["family"]["name"],
        "modality": data["modality"],
        "settings": {"family": config["family"]["config"], "data": data["config"], "train": config["train"]},
        "plan": config["plan"],
    }


def _samples_in_time(model: Model, n: int, seed: int, allowed_s: float | None) -> tuple[Samples, list[str]]:
    """Up to n samples, a chunk at a time, within the seconds given; and a note where it became fewer."""
    begin = time.monotonic()
    chunk = 8 if isinstance(model.item_spec, Tokens) else 64
    items: list[Any] = []
    artifacts: list[Any] = []
    labels: list[str | None] = []
    while len(items) < max(1, n):
        count = min(chunk, max(1, n) - len(items))
        more = model.sample(count, seed=seed, first=len(items))
        items += list(more)
        artifacts += more.artifacts
        labels += more.labels
        spent = time.monotonic() - begin
        if allowed_s is not None:
            rate = len(items) / spent
            chunk = int(min(256, rate * max(0.0, allowed_s - spent)))
            if chunk < 1:
                break
        else:
            chunk = 256
    notes = [] if len(items) >= n else [f"{len(items):,} samples instead of {n:,}, for lack of time"]
    return Samples(items, artifacts, labels, model.modality), notes


def evidence(model: Model, data: Dataset, samples: list[Any], seconds: float | None, seed: int) -> Evidence:
    """What an evaluation of these samples receives."""
    text = isinstance(model.item_spec, Tokens)

    def bits(allowed: float | None) -> list[tuple[float, float]]:
        return _bits_in_time(model, data, allowed)

    return Evidence(
        modality=data.modality,
        spec=data.spec,
        train=lambda n: data.items("train", n, seed),
        test=lambda n: data.items("test", n, seed),
        train_text=(lambda limit: data.text("train", limit)) if text else None,
        test_text=(lambda limit: data.text("test", limit)) if text else None,
        samples=samples,
        bits=bits if text or (type(model.family).bits is not Family.bits and model.codec is None) else None,
        parts=(lambda: model.bits_by_part(data.scoring("test", limit=PARTS_MOST))) if text else None,
        seconds=seconds,
        seed=seed,
    )


PARTS_MOST = 120_000  # units of the test part, taken evenly, that parts of a mixed model are scored on
PROBE = 8_000  # units that are scored to learn how long the whole part would take


def _bits_in_time(model: Model, data: Dataset, allowed: float | None) -> list[tuple[float, float]]:
    """The whole test part, or as much of it, taken evenly, as the time allows: its beginning alone may be easier."""
    if allowed is None:
        return model.bits(data.scoring("test"))
    begin = time.monotonic()
    probe = model.bits(data.scoring("test", limit=PROBE))
    took = time.monotonic() - begin
    most = 0.7 * (allowed - took) / max(took, 1e-6) * sum(units for _, units in probe)
    return probe if most <= PROBE else model.bits(data.scoring("test", limit=most), allowed - took)


def _history(folder: Path) -> list[dict[str, Any]]:
    steps = [e for e in events_file.read(folder / "events.jsonl") if e.get("event") == "step"]
    every = max(1, len(steps) // 1000)
    return steps[::every]


# -- score -----------------------------------------------------------------------------------------------------------


def scored(model: Model, path: str, limit: float | None) -> dict[str, float]:
    """Bits per unit of all items of other data, with the tokens and sizes of the run."""
    use_threads()
    state = model.config["data"]
    data = Dataset.open_like(state, model.folder.path, path)
    pairs = model.bits(data.scoring("all", limit=limit))
    bits, units = sum(b for b, _ in pairs), sum(u for _, u in pairs)
    if units <= 0:
        raise DataError(f"{path!r} holds nothing to score; give text files like those the run was trained on")
    unit = model.modality.unit
    data.close()
    parts = model.bits_by_part(data.scoring("all", limit=limit))
    alone = {f"bits_per_{unit}_{name}": value for name, value in parts.items()}
    return {f"bits_per_{unit}": bits / units, **alone, f"{unit}s": units, "bits": bits}
