"""From a request to opened data, a family, and a plan."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from anew.core import settings as cfg
from anew.core.registry import available, load
from anew.core.reporter import Reporter
from anew.data.dataset import Dataset
from anew.data.skipped import skipped
from anew.data.types import Scan, Size
from anew.errors import ConfigError, RunError, restoring
from anew.families.base import Family, Scale
from anew.families.phases import decay_share
from anew.planning.budget import (
    DEFAULT_MODEL_SIZE,
    TrainConfig,
    build,
    choose,
    evaluation_slice,
    measure,
    saving_slice,
    suggest,
    too_little,
)
from anew.runs import events as events_file
from anew.runs.folder import CONFIG, OWN_FAMILY, RunFolder
from anew.runs.record import Candidate, Plan, Request
from anew.training.distributed import World, init

PREFERENCES = ("quality", "speed", "latent")  # what may decide between families for continuous data


def choose_family(
    spec: Any,
    name: str | None,
    prefer: str = "quality",
    first_stage: bool = False,
    what: str = "this data",
    own: type[Family] | None = None,
) -> tuple[str, type[Family]]:
    """The family asked for, if it accepts the spec or what a codec makes of it, else the one that follows from the data and
    from what is preferred. first_stage: a codec is being learned, which need not generate. what: the data in sentences. own:
    the class that the name `family.py` stands for.

    Only one family takes discrete data, whatever is preferred; continuous data has one for each preference."""
    kinds = {n: load("families", n) for n in available("families")}
    if name is not None:
        kind = family_named(name, own)
        if not kind.generates and not first_stage:
            on_it = [n for n, k in kinds.items() if k.generates and kind.latent_spec_type in k.spec_types]
            raise ConfigError(
                f"the family {name!r} is a codec and draws nothing by itself; "
                f"give a family that works on its codes: {' or '.join(on_it)}"
            )
        if not kind.supports(spec) and not codecs_for(spec, kind):
            takers = [n for n, k in kinds.items() if k.generates and (k.supports(spec) or codecs_for(spec, k))]
            raise ConfigError(f"the family {name!r} does not take {what}; give {_one_of(takers)}")
        return name, kind
    fit = [n for n, kind in kinds.items() if kind.generates and kind.supports(spec)]
    for wanted in (prefer, "quality"):
        for candidate in fit:
            if wanted in load("families", candidate).preferred_for:
                return candidate, load("families", candidate)
    raise ConfigError(f"no family here takes {what}; give a `family` of your own, FILE.py")


def family_named(name: str, own: type[Family] | None) -> type[Family]:
    """The family of this name; of `family.py` the class that was loaded from there."""
    kind: type[Family] = own if name == OWN_FAMILY and own is not None else load("families", name)
    return kind


def _one_of(takers: Sequence[str]) -> str:
    return " or ".join(takers) or "a family of your own, FILE.py"


def codec_families() -> dict[str, type[Family]]:
    """Families that can serve as a codec, by name."""
    kinds = {name: load("families", name) for name in available("families")}
    return {name: kind for name, kind in kinds.items() if kind.codec_config is not None}


def codecs_for(spec: Any, kind: type[Family]) -> list[str]:
    """Names of the codecs that stand between data of this spec and a family: they take the one and give what the other takes.
    None where the family has latents of its own."""
    if kind.codec_config is not None:
        return []
    return [n for n, k in codec_families().items() if k.supports(spec) and k.latent_spec_type in kind.spec_types]


def owners(family: str | None, modality: str | None, own: type[Family] | None = None) -> dict[str, type]:
    """Whose settings may be named, before the data is read: all of them where a name is not given yet."""
    kinds: dict[str, type] = {"train": TrainConfig}
    for one in [family] if family else available("families"):
        kinds[one] = family_named(one, own).Config
    for one in [modality] if modality else available("data"):
        kinds[one] = load("data", one).Config
    return kinds | {name: kind.Config for name, kind in codec_families().items() if name not in kinds}


class Planner:
    """Reads the data and settles sizes. `started`: time.monotonic() when the command began, which the budget counts from;
    own: the class of a family of the user's own."""

    def __init__(self, request: Request, reporter: Reporter, started: float, own: type[Family] | None = None) -> None:
        self.request, self.reporter, self.started, self.own = request, reporter, started, own
        cfg.assign(
            request.settings, owners(request.family, request.modality, own)
        )  # unknown names fail before any reading
        self.train_config: TrainConfig = cfg.from_json(TrainConfig, self.given("train", TrainConfig))
        self.world: World = init(self.train_config.device)
        self._said: list[str] = []  # what was said of items that were refused
        self.least: float | None = None  # seconds of training that are taken even where the budget has less left

    def given(self, owner: str, kind: type) -> dict[str, Any]:
        """The settings that this owner has."""
        return {
            key: value
            for name, text in self.request.settings.items()
            if name.rpartition(".")[0] in ("", owner) and name.rpartition(".")[2] in cfg.knobs(kind)
            for key, value in cfg.assign({name: text}, {owner: kind})[owner].items()
        }

    data: Any  # a Dataset, or one seen through a codec
    codec: str | None = None  # the family of that codec

    def elapsed(self) -> float:
        return time.monotonic() - self.started

    def open_data(self) -> Dataset:
        """The data, with what was skipped and why said, and its modality fitted."""
        modality = self.request.modality

        def settings(kind: str) -> dict[str, Any]:
            return self.given(kind, load("data", kind).Config)

        seconds = self.request.budget or self.request.fit_seconds
        size = Size(seconds, 0, 0, torch.get_num_threads(), self.world.device.type)
        data = Dataset.open(self.request.data, modality=modality, settings=settings, seed=self.request.seed, size=size)
        self.data = data
        scan = data.scan
        data.fit(size)
        for note in scan.notes:  # fit adds what it decided: size, colours, tokens
            self.reporter.message(note)
        self.say_skipped(data.scan)
        return data

    def say_skipped(self, scan: Scan) -> None:
        """What was refused, where that was not said yet: most bodies are read only when they are used."""
        lines = skipped(scan)
        for line in lines:
            if line not in self._said:
                self.reporter.message(line)
        self._said = lines

    def take(self, data: Dataset) -> Dataset:
        """Data that was opened and fitted already."""
        self.data = data
        return data

    def scale(self, train_s: float | None, model_size: int = DEFAULT_MODEL_SIZE) -> Scale:
        return Scale(
            self.data.train_items,
            self.data.train_units,
            train_s,
            model_size,
            self.world.device.type,
            torch.get_num_threads(),
        )

    def check_settings(self, name: str, kind: type[Family]) -> None:
        """ConfigError for a setting that neither the training, the family, its codec nor the data has."""
        modality = self.data.modality
        homes = {"train": TrainConfig, name: kind.Config, modality.name: type(modality).Config}
        homes |= {} if self.codec is None else {self.codec: load("families", self.codec).Config}
        cfg.assign(self.request.settings, homes)

    def plan(self, name: str, kind: type[Family]) -> tuple[Plan, Any]:
        """The plan and the family's Config."""
        if self.request.plan_from is not None:
            return self._replayed(name, kind)
        given = self.given(name, kind.Config)
        budget = self.request.budget
        train_s = self.seconds_to_train()
        scale = self.scale(train_s, max(self.train_config.model_size, DEFAULT_MODEL_SIZE))
        candidates: list[Candidate] = []
        if train_s is not None:
            candidates = self._measured(kind, scale, given)
            picked = choose(candidates)
            scale = dataclasses.replace(scale, model_size=picked.model_size)
        config = suggest(kind, self.data.spec, scale, given)
        family = build(kind, self.data.spec, config, 0, torch.device("cpu"))
        steps = self.request.steps
        expected = steps if train_s is None else int(train_s / picked.step_s)
        plan = Plan(
            seed=self.request.seed,
            model_size=scale.model_size,
            batch=config.batch_size,
            micro_batch=self.train_config.micro_batch,
            decay=decay_share(family.phases()),
            parameters=sum(p.numel() for p in family.parameters()),
            steps=steps if train_s is None else None,
            budget_s=budget,
            train_s=train_s,
            evaluate_s=None if budget is None else evaluation_slice(budget),
            expected_steps=expected,
            calibration_units=self._calibration_units(picked if train_s is not None else None),
            epochs=None if expected is None else round(expected * config.batch_size / max(1, self.data.train_items), 3),
            candidates=tuple(candidates),
        )
        return plan, config

    def _calibration_units(self, picked: Candidate | None) -> float:
        """Units of validation data that fitting the head at the end may read: 300,000, or what a fiftieth of the budget
        allows at a third of the training rate (a forward pass in full precision, and the counts)."""
        if self.request.budget is None or picked is None:
            return 300_000.0
        each: float = self.data.train_units / max(1, self.data.train_items)
        affordable = 0.02 * self.request.budget * picked.batch / picked.step_s * each / 3
        return round(min(300_000.0, max(4_000.0, affordable)))

    def _measured(self, kind: type[Family], scale: Scale, given: Mapping[str, Any]) -> list[Candidate]:
        assert scale.seconds is not None
        if self.train_config.model_size >= 0:
            fixed = type(
                "Fixed",
                (kind,),
                {"candidate_sizes": classmethod(lambda cls, spec, at: (self.train_config.model_size,))},
            )
            return measure(fixed, self.data.spec, scale, given, self.data, self.world, min(2.0, scale.seconds / 30))
        return measure(kind, self.data.spec, scale, given, self.data, self.world, min(15.0, scale.seconds / 25))

    def seconds_to_train(self) -> float | None:
        """Seconds of training that the request leaves from now on; None where it counts steps."""
        budget, wanted = self.request.budget, float(self.train_config.train_seconds)
        if wanted:
            return wanted
        return None if budget is None else self.time_to_train(budget, finish_cost(budget), self.least)

    def time_to_train(self, budget: float, needed: float, least: float | None = None) -> float:
        """Seconds left for training. BudgetError where that is under a second, unless `least` is to be taken then."""
        left = budget - self.elapsed() - evaluation_slice(budget) - saving_slice(budget) - needed
        if left < 1.0 and least is None:
            raise too_little(budget, self.elapsed(), needed)
        return float(self.world.broadcast(max(left, least or 1.0)))

    def _replayed(self, name: str, kind: type[Family]) -> tuple[Plan, Any]:
        """The plan and the logged progress of another run: the same steps again, whatever the clock says."""
        other = RunFolder.open(Path(str(self.request.plan_from)))
        record = other.record()
        if record.spec != self.data.spec:
            raise RunError(f"the plan of {str(other.path)!r} was made for other data; give the data of that run")
        steps = len(events_file.progress_record(other.path / events_file.NAME))
        plan = dataclasses.replace(record.plan, steps=steps, budget_s=None, train_s=None, evaluate_s=None)
        with restoring(other.path / CONFIG):
            return plan, cfg.from_json(kind.Config, record.family.config)


def finish_cost(budget: float) -> float:
    """Seconds kept for choosing the weights and fitting what needs validation data at the end."""
    return min(30.0, 0.02 * budget + min(1.0, budget / 60))


def plan_sentence(family: str, plan: Plan, data: Dataset) -> str:
    """The plan in a few lines."""
    lines = [f"{family}: {plan.parameters:,} parameters, batches of {plan.batch} (size {plan.model_size})"]
    if plan.train_s is not None:
        lines.append(
            f"{plan.train_s:.0f} s of training, about {plan.expected_steps:,} steps, {plan.epochs:g} passes over the data"
        )
    elif plan.steps is not None:
        lines.append(f"{plan.steps:,} step{'s' * (plan.steps != 1)}")
    for c in plan.candidates:
        rate = c.batch / c.step_s
        lines.append(
            f"  size {c.model_size}: {c.parameters:,} parameters, {rate:,.0f} examples/s, wants {c.target_examples:,.0f} of them"
        )
    return "\n".join([*lines, *plan.notes])
