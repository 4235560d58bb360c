"""`look`: describe the data, the family that suits it, and what budgets would buy."""

from __future__ import annotations

import dataclasses
import html
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from anew.core import settings as cfg
from anew.core.arguments import PREFERENCES
from anew.core.durations import parse_duration
from anew.core.machine.threads import measure_slowdown, use_threads
from anew.core.processes.world import World
from anew.core.reading_time import DIVISION_SHARE, ReadingTime
from anew.core.reporter import Reporter, SilentReporter
from anew.core.specs import Spec, Tokens
from anew.core.wording import duration, plural
from anew.data.dataset import Dataset
from anew.data.modality import load_modality
from anew.data.skipped import lines_of
from anew.data.sources.columns import ColumnChoice
from anew.data.splitting.split import ENOUGH_ITEMS, held_out_share
from anew.data.types import DataBudget
from anew.errors import about
from anew.families.base import num_parameters
from anew.planning.benchmark import measure_candidates
from anew.planning.budget import MIN_TRAINING, largest_affordable, longest_training
from anew.planning.build import family_outline
from anew.planning.context import RunContext
from anew.planning.family_choice import FamilyChoice, choose_family, contenders, rationale_of
from anew.planning.pilots import can_judge, describe_trying
from anew.planning.planner import planned_batch, scale_of, seconds_after_fitting
from anew.planning.request import DEFAULT_BUDGET
from anew.runs.record import Candidate
from anew.workflows.timing.report_length import few_held_out

if TYPE_CHECKING:
    from anew.families.base import FamilyConfig, Scale

BUDGETS = (60.0, 600.0, 3600.0)  # seconds; estimated if the user gives no budget: a minute, ten minutes, an hour
# Seconds before the first step: starting, reading and timing sizes. Measured 5 to 6 s for proteins, molecules, sounds and clips.
PREPARING_SECONDS = 6.0
# Share of the time of training that steps have; validation and previews have the rest. Measured .87 to .93 for these.
STEPS_SHARE = 0.9
# Timing model sizes takes so long: enough for two, and `look` stays quick (docs/log.md, 2026-11-25)
# The first network is timed for longer, since the first steps of a process take up to twice as long: of 860 and 910 steps 540 were
# forecast (docs/log.md, 2026-12-03)
FIRST_SECONDS, MEASURING_SECONDS = 2.4, 0.8
# Seconds in which items are read to be divided, by far the longest part of a look at many sounds; chosen: so long a user waits
READING_SECONDS = 20.0
READING_LIMIT = f"in the {READING_SECONDS:.0f} s that `anew look` takes for it; counts are estimated from these"
SHOWN_LABELS = 8  # names of classes that a line has room for
SHOWN_SKIPPED = 5  # skipped files that are named: a few show what is wrong with all


@dataclass(frozen=True, slots=True)
class Alternative:
    """The family that another preference would choose, and why."""

    family: str
    reason: str

    def to_json(self) -> dict[str, str]:
        """As JSON values."""
        return {"family": self.family, "reason": self.reason}


@dataclass(frozen=True, slots=True)
class BudgetEstimate:
    """What a budget would buy on this machine.

    Attributes:
        seconds: The budget of the whole command.
        model_size: 0 for the smallest model that the family proposes; each +1 about doubles the cost of a step.
        parameters: Number of parameters of the model.
        steps: Number of training steps, about.
        epochs: Passes over the data, about.
        batch: Examples of each step: fewer where there would be few steps otherwise.
    """

    seconds: float
    model_size: int
    parameters: int
    steps: int
    epochs: float
    batch: int

    @property
    def duration(self) -> str:
        """The budget in words."""
        return duration(self.seconds)

    @property
    def training(self) -> str:
        """What the budget would buy, in words."""
        steps = f"about {plural(self.steps, 'step')} of {plural(self.batch, 'example')}"
        return f"{self.parameters:,} parameters, {steps}, {about(self.epochs)} passes over the data"

    def __str__(self) -> str:
        return f"{self.duration}: {self.training}"


@dataclass(frozen=True, slots=True)
class SkippedFile:
    """A file, or a record of one, that cannot be used, and why."""

    name: str
    reason: str
    count: int = 1  # files or records with this reason, of which this is the first


@dataclass(frozen=True, repr=False)
class Inspection:
    """Result of `anew.look` on data.

    Attributes:
        path: The path of the data, as it was given.
        modality: The kind of data: "image", "text", ...
        item_name: The noun for one item ("image", "clip").
        items: Number of items.
        bytes: Size of the items in bytes.
        family: The recommended family.
        reason: The reason for it, one clause.
        tried: Families that a budget of three minutes or more tries on the data, before one of them is trained further.
        alternatives: The family for each other preference ("speed", "latent").
        labels: Names of the classes, if there are any.
        parts: Number of items (or spans of text) by part: train, validation and test.
        examples: Number of examples in one epoch of training: items, or windows of text.
        shape: Shape of an example as the family sees it: axes of a grid, or a number of tokens.
        notes: Sentences on how the data was read and split.
        skipped: Number of items that cannot be used.
        skipped_files: Some of these, each with the reason.
        not_taken: Number of items of other kinds in the same folder, by modality or suffix.
        budgets: Estimates of what several budgets can train.
        fingerprint: A digest of the data.
        is_estimate: Whether the numbers of items are estimates, since not all of the data was read.
        form: The size in which items are learned, and their channels, in words; empty if they have none.
        noted_kinds: The modalities in `not_taken` that a note names.
        is_split_noted: Whether a note says how many items each part has.
    """

    path: str
    modality: str
    item_name: str
    items: int
    bytes: int
    family: str
    reason: str
    tried: tuple[str, ...]
    alternatives: Mapping[str, Alternative]
    labels: tuple[str, ...]
    parts: Mapping[str, int]
    examples: int
    shape: tuple[int, ...]
    notes: tuple[str, ...]
    skipped: int
    skipped_files: tuple[SkippedFile, ...]
    not_taken: Mapping[str, int]
    budgets: tuple[BudgetEstimate, ...]
    fingerprint: str
    is_estimate: bool = False
    form: str = ""
    noted_kinds: tuple[str, ...] = ()
    is_split_noted: bool = False

    def to_json(self) -> dict[str, object]:
        """As JSON values: what `anew look` prints as JSON."""
        return {
            "modality": self.modality,
            "item_name": self.item_name,
            "items": self.items,
            "is_estimate": self.is_estimate,
            "bytes": self.bytes,
            "family": self.family,
            "reason": self.reason,
            "tried": {"families": list(self.tried), "reason": describe_trying(self.tried)} if self.tried else None,
            "alternatives": {
                preference: alternative.to_json() for preference, alternative in self.alternatives.items()
            },
            "path": self.path,
            "fingerprint": self.fingerprint,
            "labels": list(self.labels),
            "parts": dict(self.parts),
            "examples": self.examples,
            "shape": list(self.shape),
            "form": self.form,
            "notes": list(self.notes),
            "skipped": self.skipped,
            "skipped_files": [{"name": file.name, "reason": file.reason} for file in self.skipped_files],
            "not_taken": dict(self.not_taken),
            "noted_kinds": list(self.noted_kinds),
            "budgets": [dataclasses.asdict(estimate) for estimate in self.budgets],
        }

    def __repr__(self) -> str:
        return "\n".join([self._headline(), *(f"  {line}" for line in self._lines())])

    def _repr_html_(self) -> str:
        """HTML for notebooks."""
        details = "".join(f"<li>{html.escape(line)}</li>" for line in self._lines())
        return f"<p><b>{html.escape(self._headline())}</b></p><ul>{details}</ul>"

    @property
    def amount(self) -> str:
        """How much data there is, in words."""
        return f"{_number_of(self.items, self.item_name, self.is_estimate)}, {_amount(self.bytes)}"

    def _headline(self) -> str:
        because = f": {self.reason}" if self.reason else ""
        return f"{self.amount} -> {self.family}{because}"

    def details(self) -> list[str]:
        """Facts about the data for people, one line each."""
        lines = [f"learned at {self.form}"] if self.form else []
        if self.labels:
            more = ", ..." if len(self.labels) > SHOWN_LABELS else ""
            lines.append(f"classes: {len(self.labels)} ({', '.join(self.labels[:SHOWN_LABELS])}{more})")
        if self.parts and not self.is_split_noted:
            count_of = about if self.is_estimate else "{:,}".format
            # Parts of a few long documents are their pieces
            is_pieces = not self.is_estimate and sum(self.parts.values()) > self.items
            begin = "split, about: " if self.is_estimate else "split: "
            counts = {name: plural(n, "span") if is_pieces else count_of(n) for name, n in self.parts.items()}
            lines.append(begin + ", ".join(f"{name} {count}" for name, count in counts.items()))
        lines += self.notes
        if unnamed := {kind: n for kind, n in self.not_taken.items() if kind not in self.noted_kinds}:
            lines.append("not used: " + ", ".join(f"{count:,} {name}" for name, count in unnamed.items()))
        if self.skipped:
            lines.append(f"skipped: {plural(self.skipped, 'item')}")
            files = self.skipped_files[:SHOWN_SKIPPED]
            lines += [f"  {line}" for line in lines_of((file.name, file.reason) for file in files)]
            num_more = self.skipped - sum(file.count for file in files)
            lines += [f"  and {plural(num_more, 'more item')}"] if num_more > 0 else []
        if trying := describe_trying(self.tried):
            lines.append(trying)
        return lines

    def _lines(self) -> list[str]:
        preferences = [f"prefer={name!r}: {a.family} ({a.reason})" for name, a in self.alternatives.items()]
        return [*self.details(), *preferences, *map(str, self.budgets)]


def _number_of(count: int, name: str, is_estimate: bool) -> str:
    return f"about {about(count)} {name}s" if is_estimate else plural(count, name)


def _amount(size: int) -> str:
    if size > 1e9:
        return f"{size / 1e9:.2f} GB"
    return f"{size / 1e6:.2f} MB" if size > 1e5 else f"{size:,} bytes"


@torch.inference_mode(False)  # gradients, wherever the caller has turned them off
def inspect_data(
    path: str,
    *,
    modality: str | None = None,
    prefer: str = "quality",
    budget: float | None = None,
    seed: int = 0,
    settings: Mapping[str, object] | None = None,
    visit: Callable[[Dataset, Inspection], None] = lambda data, inspection: None,
    reporter: Reporter | None = None,
) -> Inspection:
    """Describe the data at a path and what can be learned from it; see `anew.look`.

    Args:
        path: A folder, a file or a hub name.
        modality: Modality of the data; None finds it out.
        prefer: The criterion for choosing a family.
        budget: Seconds to estimate, by which sizes of the data are chosen, too; None for sizes of 10 minutes and three
            estimates.
        seed: Seed of the samples of data by which the look is made.
        settings: Settings of the modality.
        visit: Called with the data while it is open, and with what is known of it before budgets are estimated, which takes long.
        reporter: Shows what is being done.
    """
    use_threads()
    reporter = reporter or SilentReporter()

    def modality_settings(name: str) -> dict[str, object]:
        return cfg.route_settings(settings or {}, {name: load_modality(name).Config}, cfg.LOOK_ARGUMENTS)[name]

    size = _data_budget(budget)
    columns = ColumnChoice.of(settings or {})
    reporter.message("  listing the data, and reading a sample of it")
    data = Dataset.open(path, modality=modality, settings=modality_settings, seed=seed, size=size, columns=columns)
    try:
        parts = _parts_of_all(data)
        items = data.scan.items if data.share_read == 1.0 else sum(parts.values())
        amount = _number_of(items, data.modality.noun, _is_estimate(data))
        reporter.message(f"  {amount}; choosing the form in which {'it is' if items == 1 else 'they are'} learned")
        data.fit(size)
        rivals = contenders(data, prefer)
        items_name = data.modality.traits.plural
        choice = rivals[0] if rivals else choose_family(data.spec, None, prefer, description=items_name)
        tried = [rival.name for rival in rivals] if can_judge(parts) else []
        inspection = _describe(data, size, choice, items=items, parts=parts, tried=tried)
        visit(data, inspection)
        reporter.message(f"  {amount}; timing small trainings, which takes a minute on busy cores")
        estimates = _estimates(data, choice, BUDGETS if budget is None else (budget,))
        return dataclasses.replace(inspection, budgets=estimates)
    finally:
        data.close()


def _describe(
    data: Dataset, size: DataBudget, choice: FamilyChoice, *, items: int, parts: dict[str, int], tried: Sequence[str]
) -> Inspection:
    """What is known of data that was fitted, before budgets are estimated.

    Args:
        data, size: The data, and the budget that it was fitted to.
        choice: The family that is recommended.
        items, parts: How many items there are, and how many in each part.
        tried: Names of the families that a training tries first.
    """
    scan = data.scan
    return Inspection(
        path=data.path,
        modality=scan.modality,
        item_name=data.modality.noun,
        items=items,
        bytes=scan.bytes,
        family=choice.name,
        reason=rationale_of(choice, scan.modality),
        tried=tuple(tried),
        alternatives=_alternatives(data.spec, scan.modality, choice.name),
        labels=tuple(scan.labels),
        parts=parts,
        examples=round(data.train_items / data.share_read),
        shape=(data.spec.length,) if isinstance(data.spec, Tokens) else tuple(data.spec.shape),
        notes=(*scan.notes, *_note_on_clips(data, size), *few_held_out(data)),
        skipped=scan.skipped,
        skipped_files=tuple(SkippedFile(item.name, item.reason, item.count) for item in scan.skipped_items),
        not_taken=dict(scan.other),
        budgets=(),
        fingerprint=data.fingerprint,
        is_estimate=_is_estimate(data),
        form=data.modality.form(),
        noted_kinds=scan.noted_kinds,
        is_split_noted=scan.is_split_noted,
    )


def _note_on_clips(data: Dataset, size: DataBudget) -> list[str]:
    """A sentence, in a list, on why a training may have another number of items, where the budget is not known."""
    if not size.is_assumed or data.modality.layout != "items" or not data.scan.cuts_recordings:
        return []
    return ["Another budget may give clips of another length, and so another number of them."]


def _is_estimate(data: Dataset) -> bool:
    return data.scan.is_estimate or data.share_read < 1.0


def _parts_of_all(data: Dataset) -> dict[str, int]:
    """Number of items of each part, as a training divides the data that has time to read all of it."""
    parts = dict(data.scan.parts)
    # The parts that were divided were read in part; the user's own were read whole
    if data.share_read < 1.0:
        items = sum(parts[name] for name in ("train", *data.own_held_out_parts)) / data.share_read
        share = held_out_share(items, ENOUGH_ITEMS)
        parts |= dict.fromkeys(data.own_held_out_parts, round(share * items))
        parts["train"] = round(items) - len(data.own_held_out_parts) * round(share * items)
    return parts


def _data_budget(budget: float | None) -> DataBudget:
    """The budget that decides sizes, with the time that a look has for reading. budget: see `inspect_data`."""
    return DataBudget(
        budget or parse_duration(DEFAULT_BUDGET),
        0,
        0,
        torch.get_num_threads(),
        "cpu",
        is_assumed=budget is None,
        reading=ReadingTime(READING_SECONDS / DIVISION_SHARE, limit=READING_LIMIT),
    )


def _alternatives(spec: Spec, modality: str, chosen: str) -> dict[str, Alternative]:
    """The choices of other preferences, by preference."""
    alternatives: dict[str, Alternative] = {}
    for preference in PREFERENCES:
        choice = choose_family(spec, None, preference)
        if choice.name != chosen and preference in choice.family_class.preferred_for:
            alternatives[preference] = Alternative(choice.name, rationale_of(choice, modality))
    return alternatives


def _estimates(data: Dataset, choice: FamilyChoice, budgets: Sequence[float]) -> tuple[BudgetEstimate, ...]:
    """Estimate what budgets would buy, from one to three seconds of measuring for each that has networks of its own."""
    context = RunContext(SilentReporter(), 0.0, World(), slowdown=measure_slowdown())
    measured: list[tuple[list[FamilyConfig], tuple[list[Candidate], dict[int, FamilyConfig]]]] = []
    estimates = []
    for budget in budgets:
        seconds = _seconds_of_steps(budget)
        scale = scale_of(data, context, seconds, 0)
        configs = _suggested(data, choice, scale)
        known = [result for others, result in measured if others == configs]
        time_to_measure = MEASURING_SECONDS if measured else FIRST_SECONDS
        candidates, unbuilt = known[0] if known else _candidates(data, choice, scale, time_to_measure)
        measured.append((configs, (candidates, unbuilt)))
        seconds = seconds_after_fitting(choice.family_class, data.spec, configs[0], scale, seconds)
        affordable = [dataclasses.replace(c, examples=seconds / c.step_s * c.batch) for c in candidates]
        best = largest_affordable(affordable)
        batch, steps = planned_batch(choice.family_class, best, seconds, World().device.type)
        config = unbuilt.get(best.model_size)
        estimates.append(
            BudgetEstimate(
                seconds=budget,
                model_size=best.model_size,
                parameters=best.parameters if config is None else _num_parameters(data, choice, config),
                steps=steps,
                epochs=round(best.examples * data.share_read / max(1, data.train_items), 2),
                batch=batch,
            )
        )
    return tuple(estimates)


def _seconds_of_steps(budget: float) -> float:
    """The seconds of a budget in which steps are made."""
    return STEPS_SHARE * max(longest_training(budget) - PREPARING_SECONDS, MIN_TRAINING)


def _num_parameters(data: Dataset, choice: FamilyChoice, config: FamilyConfig) -> int:
    return num_parameters(family_outline(choice.family_class, data.spec, config))


def _suggested(data: Dataset, choice: FamilyChoice, scale: Scale) -> list[FamilyConfig]:
    """The settings of all model sizes of a scale."""
    family = choice.family_class
    sizes = family.candidate_sizes(data.spec, scale)
    return [family.suggest(data.spec, dataclasses.replace(scale, model_size=size)) for size in sizes]


def _candidates(
    data: Dataset, choice: FamilyChoice, scale: Scale, seconds: float
) -> tuple[list[Candidate], dict[int, FamilyConfig]]:
    """All model sizes that there may be time to train at this scale, and the settings of those whose parameters were not counted,
    as large networks take long to build.

    The smallest are measured, for about `seconds`; each size that there is no time to measure is assumed to be twice as slow as the one
    before.
    """
    family = choice.family_class
    candidates = measure_candidates(family, data.spec, scale, {}, data, World(), seconds=seconds)
    unbuilt: dict[int, FamilyConfig] = {}
    largest_measured = candidates[-1].model_size
    for model_size in [size for size in family.candidate_sizes(data.spec, scale) if size > largest_measured]:
        size_scale = dataclasses.replace(scale, model_size=model_size)
        config = unbuilt[model_size] = family.suggest(data.spec, size_scale)
        smaller = candidates[-1]
        candidates.append(
            Candidate(
                model_size=model_size,
                parameters=0,
                batch=config.batch_size,
                step_s=2 * smaller.step_s * config.batch_size / smaller.batch,
                examples=0.0,
                target_examples=family.target_examples(data.spec, config, size_scale),
            )
        )
    return candidates, unbuilt
