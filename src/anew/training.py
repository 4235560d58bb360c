"""From a request to a finished run: read, plan, train, finish, sample, report. Every step is in the run folder before the next."""

from __future__ import annotations

import dataclasses
import platform
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import torch

from anew import config as cfg
from anew.data.dataset import Dataset
from anew.data.modality import Size
from anew.errors import BudgetError, ConfigError, RunError, nearest
from anew.families.family import Family, Scale
from anew.find import find, names
from anew.plan import (
    DEFAULT_DIAL,
    Candidate,
    Plan,
    TrainConfig,
    build,
    choose,
    evaluation_slice,
    measure,
    micro_rows,
    saving_slice,
    suggest,
    too_little,
)
from anew.spec import Batch, spec_to_json
from anew.train import events as events_file
from anew.train.distributed import World, join
from anew.train.events import Events
from anew.train.listen import Listener, Validation, Watch
from anew.train.pace import Pace, ReplayPace, StepPace, TimePace
from anew.train.run import RunFolder, write_tensors
from anew.train.trainer import Stepped, Trainer

VALIDATION_EXAMPLES = 256
MAIN_SEED_USE = "train"


class Reporter(Protocol):
    """Who shows how it goes. `say`: a sentence; `step`: a finished step and the seconds left, where known."""

    def say(self, text: str) -> None: ...

    def step(self, stepped: Stepped, left: float | None) -> None: ...


class Quiet:
    """A Reporter that shows nothing."""

    def say(self, text: str) -> None: ...

    def step(self, stepped: Stepped, left: float | None) -> None: ...


@dataclass(frozen=True, slots=True)
class Request:
    """What the user asked for. budget: seconds in all; steps: their number; plan_from: a run whose plan is replayed."""

    data: str
    budget: float | None = None
    steps: int | None = None
    family: str | None = None
    modality: str | None = None
    seed: int = 0
    settings: Mapping[str, Any] = field(default_factory=dict)
    plan_from: str | None = None


def choose_family(spec: Any, name: str | None) -> tuple[str, type[Family]]:
    """The family asked for, if it accepts the spec, else the one that follows from the data."""
    if name is not None:
        kind = find("families", name)
        if not isinstance(spec, kind.accepts):
            fit = [n for n in names("families") if isinstance(spec, find("families", n).accepts)]
            raise ConfigError(f"the family {name!r} does not take {spec.kind} data{nearest('', fit)}")
        return name, kind
    for candidate in names("families"):
        kind = find("families", candidate)
        if isinstance(spec, kind.accepts) and "quality" in kind.best_for:
            return candidate, kind
    raise ConfigError(f"no family here takes {spec.kind} data; give --family FILE.py")


def owners(family: str | None, modality: str | None) -> dict[str, type]:
    """Whose settings `--set` may name, before the data is read: all of them where a name is not given yet."""
    kinds = {"train": TrainConfig}
    for room, name in (("families", family), ("data", modality)):
        for one in [name] if name else names(room):
            kinds[one] = find(room, one).Config
    return kinds


class Job:
    """One training in this process. `started`: time.monotonic() when the command began, which the budget counts from."""

    def __init__(self, folder: RunFolder, request: Request, reporter: Reporter, started: float) -> None:
        self.folder, self.request, self.reporter, self.started = folder, request, reporter, started
        cfg.assign(request.settings, owners(request.family, request.modality))  # unknown names fail before any reading
        self.train_config = cfg.from_json(TrainConfig, self._given("train", TrainConfig))
        self.world: World = join(self.train_config.device)
        self.record: dict[str, Any] = {}
        self.replay: list[float] | None = None

    def _given(self, owner: str, kind: type) -> dict[str, Any]:
        """The settings that this owner has."""
        return {
            key: value
            for name, text in self.request.settings.items()
            if name.rpartition(".")[0] in ("", owner) and name.rpartition(".")[2] in cfg.knobs(kind)
            for key, value in cfg.assign({name: text}, {owner: kind})[owner].items()
        }

    def elapsed(self) -> float:
        return time.monotonic() - self.started

    # -- read and plan ------------------------------------------------------------------------------------------------

    def begin(self) -> None:
        """Read the data, choose family and sizes, write config.json. What follows needs the run folder alone."""
        self._open_data()
        name, kind = choose_family(self.data.spec, self.request.family)
        self.kind = kind
        given = self._given(name, kind.Config)
        cfg.assign(
            self.request.settings, {"train": TrainConfig, name: kind.Config, self.data.modality.name: type(self.data.modality).Config}
        )
        if self.request.plan_from is not None:
            self.plan, config = self._replayed(name, kind)
        else:
            self.plan, config = self._planned(kind, given)
        self.family = build(kind, self.data.spec, config, self.plan.seed, self.world.device)
        if self.plan.micro == 0:
            self.plan = dataclasses.replace(self.plan, micro=micro_rows(self.family, config, self.data, self.world))
        self.record = {
            "request": dataclasses.asdict(self.request),
            "status": "training",
            "family": {"name": name, "config": cfg.to_json(config)},
            "spec": spec_to_json(self.data.spec),
            "data": self.data.state(),
            "train": cfg.to_json(self.train_config),
            "plan": cfg.to_json(self.plan),
            "versions": {"python": platform.python_version(), "torch": torch.__version__, "anew": _version()},
        }
        if self.world.first:
            self.data.modality.save(self.folder.path)
            self.folder.write_config(self.record)
        self.reporter.say(plan_sentence(name, self.plan, self.data))

    def _open_data(self) -> None:
        modality = self.request.modality
        settings = self._modality_settings(modality)
        self.data = Dataset.open(self.request.data, modality=modality, settings=settings, seed=self.request.seed)
        scan = self.data.scan
        for note in scan.notes:
            self.reporter.say(note)
        for refusal in scan.refusals[:5]:
            self.reporter.say(f"skipped {refusal.name}: {refusal.reason}")
        if scan.refused:
            self.reporter.say(f"skipped in all: {scan.refused}")
        size = Size(self.request.budget, scan.items, scan.bytes, torch.get_num_threads(), self.world.device.type)
        self.data.fit(size)

    def _modality_settings(self, name: str | None) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for one in [name] if name else names("data"):
            found |= self._given(one, find("data", one).Config)
        return found

    def _scale(self, train_s: float | None, dial: int) -> Scale:
        return Scale(
            self.data.train_items, self.data.train_units, train_s, dial, self.world.device.type, torch.get_num_threads()
        )

    def _planned(self, kind: type[Family], given: Mapping[str, Any]) -> tuple[Plan, Any]:
        budget, wanted = self.request.budget, self.train_config.train_seconds
        train_s = wanted or (None if budget is None else self._time_to_train(budget, 0.0))
        scale = self._scale(train_s, max(self.train_config.dial, DEFAULT_DIAL))
        candidates: list[Candidate] = []
        if train_s is not None:
            candidates = self._measured(kind, scale, given)
            picked = choose(candidates)
            scale = dataclasses.replace(scale, dial=picked.dial)
        config = suggest(kind, self.data.spec, scale, given)
        family = build(kind, self.data.spec, config, 0, torch.device("cpu"))
        steps = self.request.steps
        expected = steps if train_s is None else int(train_s / picked.step_s)
        plan = Plan(
            seed=self.request.seed,
            dial=scale.dial,
            batch=config.batch,
            micro=self.train_config.micro,
            decay=max(p.optim.decay for p in family.phases()),
            parameters=sum(p.numel() for p in family.parameters()),
            steps=steps if train_s is None else None,
            budget_s=budget,
            train_s=train_s,
            evaluate_s=None if budget is None else evaluation_slice(budget),
            expected_steps=expected,
            epochs=None if expected is None else round(expected * config.batch / max(1, self.data.train_items), 3),
            candidates=tuple(candidates),
        )
        return plan, config

    def _measured(self, kind: type[Family], scale: Scale, given: Mapping[str, Any]) -> list[Candidate]:
        assert scale.seconds is not None
        if self.train_config.dial >= 0:
            fixed = type("Fixed", (kind,), {"dials": classmethod(lambda cls, spec, at: (self.train_config.dial,))})
            return measure(fixed, self.data.spec, scale, given, self.data, self.world, min(2.0, scale.seconds / 30))
        return measure(kind, self.data.spec, scale, given, self.data, self.world, min(15.0, scale.seconds / 25))

    def _time_to_train(self, budget: float, needed: float) -> float:
        left = budget - self.elapsed() - evaluation_slice(budget) - saving_slice(budget) - needed
        if left < 1.0:
            raise too_little(budget, self.elapsed(), needed)
        return float(self.world.agree(left))

    def _replayed(self, name: str, kind: type[Family]) -> tuple[Plan, Any]:
        """The plan and the logged progress of another run: the same steps again, whatever the clock says."""
        other = RunFolder.open(Path(str(self.request.plan_from)))
        config = other.config()
        if config["family"]["name"] != name or config["spec"] != spec_to_json(self.data.spec):
            raise RunError(f"the plan of {str(other.path)!r} was made for other data or another family; give its own data")
        self.replay = events_file.progress_record(other.path / "events.jsonl")
        plan = cfg.from_json(Plan, config["plan"])
        steps = self.request.steps or len(self.replay)
        plan = dataclasses.replace(plan, steps=min(steps, len(self.replay)), budget_s=None, train_s=None, evaluate_s=None)
        return plan, cfg.from_json(kind.Config, config["family"]["config"])

    # -- go on with a run ---------------------------------------------------------------------------------------------

    def reopen(self, data: str | None) -> None:
        """Everything from the run folder instead of `begin`. data: where the data lies now, if it was moved."""
        self.record = self.folder.config()
        self.train_config = cfg.from_json(TrainConfig, self.record["train"])
        self.plan = cfg.from_json(Plan, self.record["plan"])
        self.kind = find("families", self.record["family"]["name"])
        self.data = Dataset.reopen(self.record["data"], self.folder.path, data)
        if spec_to_json(self.data.spec) != self.record["spec"]:
            raise RunError(f"the data does not fit the run {str(self.folder.path)!r} any more; train a new run")
        config = cfg.from_json(self.kind.Config, self.record["family"]["config"])
        self.family = build(self.kind, self.data.spec, config, self.plan.seed, self.world.device)
        if self.request.plan_from is not None:
            self.replay = events_file.progress_record(Path(self.request.plan_from) / "events.jsonl")

    # -- train --------------------------------------------------------------------------------------------------------

    def train(self, listeners: list[Listener], state: dict[str, Any] | None = None) -> str:
        """Prepare, step until the plan is done, choose the weights, write model.safetensors. Returns the outcome."""
        if state is None:
            torch.manual_seed(0)
            self.family.prepare(b.to(self.world.device) for b in self.data.sweep("train"))
        else:
            sizes = {n.partition("/")[2]: t.shape for n, t in state["tensors"].items() if n.startswith("weights/")}
            self.family.size_state(sizes)
        spent = 0.0 if state is None else float(state["meta"].get("spent", 0.0))
        pace = self._pace(spent)
        trainer = Trainer(
            self.family,
            self.data,
            pace,
            seed=self.plan.seed,
            batch=self.plan.batch,
            micro=self.plan.micro,
            world=self.world,
            shard=self.train_config.parallel == "fsdp",
        )
        validation = self._validation(trainer)
        if state is not None:
            trainer.load_state_dict(state)
            if validation is not None:
                validation.load(state)
        outcome = self._watch(trainer, pace, listeners, validation, spent)
        if outcome != "interrupted":
            self._keep(trainer, validation)
        return outcome

    def _pace(self, spent: float) -> Pace:
        if self.replay is not None:
            return ReplayPace(self.replay[: self.plan.steps])
        if self.plan.steps is not None:
            return StepPace(self.plan.steps)
        seconds = self.plan.train_s
        if self.train_config.train_seconds:
            return TimePace(self.train_config.train_seconds, spent, only_training=True)
        if self.plan.budget_s is not None and spent == 0.0:
            # Known exactly only now: reading, measuring and preparing are over.
            seconds = self._time_to_train(self.plan.budget_s, self.finish_cost())
        assert seconds is not None
        return TimePace(seconds, spent)

    def finish_cost(self) -> float:
        """Seconds that choosing the weights and fitting the head take at the end; a share of what is left."""
        return 0.0 if self.plan.budget_s is None else min(30.0, 0.02 * self.plan.budget_s)

    def _validation(self, trainer: Trainer) -> Validation | None:
        repeated = self.plan.epochs is None or self.plan.epochs > 1.5
        if not (self.train_config.validation and repeated and self.family.watch and self.data.part_size("validation")):
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
        self, trainer: Trainer, pace: Pace, listeners: list[Listener], validation: Validation | None, spent: float
    ) -> str:
        zero = time.monotonic() - spent
        events = Events(self.folder.path / "events.jsonl") if self.world.first else None
        watch = Watch(
            trainer,
            self.folder,
            events,
            [lambda stepped: self.reporter.step(stepped, pace.left(stepped.step)), *listeners],
            validation,
            self.train_config.checkpoint_seconds,
            spent=lambda: time.monotonic() - zero,
        )
        self.trainer = trainer
        try:
            return watch.run()
        finally:
            if events is not None:
                events.close()

    def _keep(self, trainer: Trainer, validation: Validation | None) -> None:
        """The weights to sample from, with what the family fits on validation data, into model.safetensors."""
        weights, step = (trainer.weights(), None) if validation is None else validation.final()
        if step is not None:
            self.reporter.say(f"kept the weights of step {step}: later ones did worse on validation data")
        if self.world.first:
            whole = build(self.kind, self.data.spec, self.family.config, self.plan.seed, self.world.device)
            whole.size_state({n: t.shape for n, t in weights.items()})
            whole.load_state_dict(weights)
            whole.eval()
            with torch.no_grad():
                whole.finish(b.to(self.world.device) for b in self._finishing())
            write_tensors(self.folder.path / "model.safetensors", {n: t.cpu() for n, t in whole.state_dict().items()})
            self._status("trained")
        self.world.barrier()

    def _finishing(self) -> Iterator[Batch]:
        if self.data.part_size("validation"):
            yield from self.data.scoring("validation", limit=300_000)

    def _status(self, status: str) -> None:
        self.record["status"] = status
        self.folder.write_config(self.record)

    def extend(self, budget: float | None, steps: int | None) -> dict[str, Any] | None:
        """Give a run more: a new total of steps, or further seconds. Returns the state to go on from, undecayed."""
        latest, notes = self.folder.latest()
        for note in notes:
            self.reporter.say(note)
        start = self.folder.decay_start()
        state = latest
        if start is not None and (latest is None or latest["meta"]["step"] > start["meta"]["step"]):
            state = start
        if steps is not None:
            done = 0 if state is None else int(state["meta"]["step"])
            if steps <= done:
                raise ConfigError(f"--steps {steps} is no more than the {done} steps that are done; give a larger total")
            self.plan = dataclasses.replace(self.plan, steps=steps, train_s=None, budget_s=None, expected_steps=steps)
        elif budget is not None:
            spent = 0.0 if state is None else float(state["meta"]["spent"])
            more = self._time_to_train(budget, min(30.0, 0.02 * budget))
            self.plan = dataclasses.replace(
                self.plan, steps=None, budget_s=budget, train_s=spent + more, evaluate_s=evaluation_slice(budget)
            )
        self.record["plan"] = cfg.to_json(self.plan)
        self._status("training")
        return state


def plan_sentence(family: str, plan: Plan, data: Dataset) -> str:
    """The plan in a few lines."""
    lines = [f"{family}: {plan.parameters:,} parameters, batches of {plan.batch} (size {plan.dial})"]
    if plan.train_s is not None:
        lines.append(f"{plan.train_s:.0f} s of training, about {plan.expected_steps:,} steps, {plan.epochs:g} passes over the data")
    elif plan.steps is not None:
        lines.append(f"{plan.steps:,} steps")
    for c in plan.candidates:
        rate = c.batch / c.step_s
        lines.append(f"  size {c.dial}: {c.parameters:,} parameters, {rate:,.0f} examples/s, wants {c.appetite:,.0f} of them")
    return "\n".join([*lines, *plan.notes])


def _version() -> str:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("anew")
    except PackageNotFoundError:
        return "source"


def command_line() -> str:
    """The command that began this process, for the report."""
    return " ".join(["anew", *sys.argv[1:]])


__all__ = ["BudgetError", "Job", "Quiet", "Reporter", "Request", "choose_family", "plan_sentence"]
