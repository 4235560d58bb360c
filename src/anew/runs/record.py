"""config.json of a run, as typed records. A value that does not fit raises a RunError that names the file and the field."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, Literal, Self, cast

from pydantic import ConfigDict, Field, PlainSerializer, PlainValidator, ValidationError, model_validator
from pydantic.dataclasses import dataclass

from anew.core import files
from anew.core.arguments import Preference
from anew.core.data_record import DataRecord
from anew.core.schema import Count, Name, NotNegative, Positive, Record, Share, Text, Whole, described
from anew.core.specs import Grid, Spec, Tokens, spec_from_json, spec_to_json
from anew.errors import ConfigError, RunError
from anew.runs.paths import OWN_FAMILY
from anew.runs.portable import absolute_paths

# Version of config.json, as in `BegunRun` and `RunRecord`; incremented when older ones can no longer be read.
FORMAT = 1
# Present names of settings by those in runs from before 0.2
EARLIER_SETTINGS = {"film": "timelapse", "train.film": "train.timelapse"}
FILE_BYTES = 64 * 2**20  # most bytes of config.json, as of any JSON file of a run

STRICT = ConfigDict(extra="forbid")


def _family(value: object) -> str:
    if value == OWN_FAMILY or (isinstance(value, str) and value.isidentifier() and len(value) < 100):
        return str(value)
    raise ValueError(f"a family's name or {OWN_FAMILY!r} is expected")


def _spec(value: object) -> Spec:
    if isinstance(value, Grid | Tokens):
        return value
    if not isinstance(value, Mapping):
        raise ValueError("an object is expected")
    try:
        return spec_from_json(value)
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise ValueError(f"it does not describe data ({type(error).__name__}: {files.clause(error)})") from None


Status = Literal["training", "trained", "finished"]  # "trained": its report is not written yet
FamilyName = Annotated[str, PlainValidator(_family)]
SpecField = Annotated[
    Grid | Tokens, PlainValidator(_spec), PlainSerializer(spec_to_json, return_type=dict[str, object])
]
Settings = dict[str, object]  # values of a dataclass of settings, which checks them


@dataclass(frozen=True, slots=True, config=STRICT)
class Request:
    """The user's request.

    Attributes:
        data: The data, as a path, an address or a hub name.
        budget: Seconds in total.
        steps: Number of training steps instead.
        family: A name, or `family.py` in the run; None: it is chosen.
        modality: The kind of data; None: it is found out.
        prefer: The criterion for choosing a family.
        seed: Seed of the weights and the training.
        plan_from: A run whose plan is replayed.
        fit_seconds: If a plan is replayed, the budget from which sizes were chosen.
    """

    data: Text
    budget: Positive | None = None
    steps: Count | None = None
    family: FamilyName | None = None
    modality: Name | None = None
    prefer: Preference = "quality"
    seed: Annotated[int, Field(strict=True, ge=0, lt=2**63)] = 0
    settings: Mapping[Text, Text] = Field(default_factory=dict)
    plan_from: Text | None = None
    fit_seconds: Positive | None = None


@dataclass(frozen=True, slots=True, config=STRICT)
class Candidate:
    """A model size whose speed was measured.

    Attributes:
        batch: Examples a step.
        step_s: Seconds a step.
        examples: Examples that it would see in the budget.
        target_examples: Examples that it should see.
    """

    model_size: Annotated[int, Field(strict=True)]
    parameters: Whole
    batch: Count
    step_s: NotNegative
    examples: NotNegative
    target_examples: NotNegative


@dataclass(frozen=True, slots=True, config=STRICT)
class Pilot:
    """A family that trained for a while, to see whether it should continue.

    Attributes:
        seconds: Seconds of its training.
        progress: Share of the whole training that this was.
        items: Number of samples that were compared with validation items.
        distance: Fréchet distance of these samples.
        two_sample_auc: Two-sample AUC of the same samples.
        real: Fréchet distance of as many training items.
        expected: Distance that was expected at the end of training.
        expected_error, auc_error: Standard errors of `expected` and `two_sample_auc`; 0 in older runs.
    """

    family: FamilyName
    seconds: NotNegative
    progress: Share
    items: Count
    distance: NotNegative
    two_sample_auc: Share
    real: NotNegative
    expected: NotNegative
    expected_error: NotNegative = 0.0
    auc_error: NotNegative = 0.0


@dataclass(frozen=True, slots=True, config=STRICT)
class Plan:
    """The plan of a training; saved in the run. Seconds are wall-clock, None if the number of steps decides.

    Attributes:
        seed: Seed of the weights and the training.
        batch: Examples a step.
        micro_batch: Most examples that a process computes at once; 0 until it is measured.
        decay: Share of the training in which the learning rate falls.
        budget_s: Seconds in total.
        train_s: Seconds of training.
        evaluate_s: Seconds of the report.
        expected_steps: Number of steps expected in this time.
        epochs: How often each example is seen, as expected.
        calibration_units: Units of validation data that calibration reads.
        threads: CPU threads at the first step, since sums round differently with another number.
        parallel: How several processes share the model.
        recompute: Whether activations are computed again instead of kept.
        compile: Whether networks are compiled for training.
        graphs: Whether what is compiled runs as CUDA graphs.
        pilots: Families that trained for a while to choose one.
        candidates: Model sizes that were measured.
        notes: Sentences for the user.
    """

    seed: Annotated[int, Field(strict=True, ge=0, lt=2**63)]
    model_size: Annotated[int, Field(strict=True)]
    batch: Count
    micro_batch: Whole
    decay: Share
    parameters: Whole
    steps: Whole | None = None
    budget_s: Positive | None = None
    train_s: NotNegative | None = None
    evaluate_s: NotNegative | None = None
    expected_steps: Whole | None = None
    epochs: NotNegative | None = None
    calibration_units: NotNegative = 300_000.0
    threads: Count | None = None
    parallel: Literal["ddp", "fsdp"] = "ddp"
    recompute: bool = False
    compile: bool = False
    graphs: bool = False
    pilots: tuple[Pilot, ...] = ()
    candidates: tuple[Candidate, ...] = ()
    notes: tuple[Text, ...] = ()

    def passes(self, examples: float) -> float | None:
        """How often each example was seen once this many were trained on; None if that is not known."""
        expected = (self.steps or self.expected_steps or 0) * self.batch
        return self.epochs * examples / expected if expected and self.epochs is not None else None

    def extended(self, steps: int) -> Plan:
        """The plan with `steps` as its expected steps, and as many passes over the data as they take."""
        passes = self.passes(steps * self.batch)
        return replace(self, expected_steps=steps, epochs=None if passes is None else round(passes, 3))


class FamilyRecord(Record):
    """The family and its Config."""

    name: FamilyName
    config: Settings


class CodecRecord(Record):
    """The codec whose latents the family works in. Its family is built in: a user's own would be code to run.

    seconds: Seconds of its training; None in runs of older versions.
    """

    class CodecFamily(Record):
        name: Name
        config: Settings

    family: CodecFamily
    spec: SpecField
    plan: Plan
    seconds: NotNegative | None = None


class BegunRun(Record):
    """A run whose plan is not made yet: only the request."""

    format: Literal[1] = 1
    status: Literal["begun"] = "begun"
    request: Request


class RunRecord(Record):
    """All of config.json. label_shares: share of each class in the train part, empty without classes."""

    format: Literal[1] = 1
    request: Request
    status: Status
    family: FamilyRecord
    spec: SpecField
    data: DataRecord
    label_shares: list[Share]
    train: Settings
    plan: Plan
    versions: dict[str, Text]
    codec: CodecRecord | None = None

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if (self.request.family == OWN_FAMILY) != (self.family.name == OWN_FAMILY):
            raise ValueError(f"request.family is {self.request.family!r} and family.name {self.family.name!r}")
        classes = self.spec.classes
        if len(self.data.labels) < classes:
            raise ValueError(f"data.labels has {len(self.data.labels)} names for {classes} classes")
        if self.label_shares and (len(self.label_shares) != classes or not sum(self.label_shares)):
            raise ValueError(f"label_shares must have one share for each of {classes} classes, and not all 0")
        return self

    @property
    def described_family(self) -> str:
        """The family, and what it works on if that is not the data itself: "transformer on codes of fsq"."""
        if self.codec is None:
            return self.family.name
        latents = "codes" if isinstance(self.spec, Tokens) else "latents"
        return f"{self.family.name} on {latents} of {self.codec.family.name}"

    def to_json(self) -> dict[str, object]:
        """As JSON values."""
        return self.model_dump(exclude_none=False)


def requested(values: Mapping[str, object]) -> Request:
    """The request of a user. Raises ConfigError if a value has another type."""
    try:
        return Request(**cast(Mapping[str, Any], values))  # pydantic checks them
    except ValidationError as error:
        raise ConfigError(f"{described(error)}; give another value") from None


def read(path: Path) -> BegunRun | RunRecord:
    """The record in a file, with absolute paths. Raises RunError if it is missing, damaged, of another format, or does not fit."""
    if not path.exists() and not path.is_symlink():
        raise RunError(f"{str(path.parent)!r} is not a run (it has no {path.name}); give a folder that train made")
    value = files.read_json(path, FILE_BYTES)
    if not isinstance(value, dict) or "request" not in value:
        raise RunError(f"{str(path)!r} does not describe a run; restore it or train again")
    if value.get("format") != FORMAT or isinstance(value["format"], bool):
        saved_format = f"format {value['format']!r:.40}" if "format" in value else "a format without a number"
        raise RunError(f"{str(path)!r} has {saved_format}, and this version of anew reads format {FORMAT}; train again")
    record_class = BegunRun if value.get("status") == "begun" else RunRecord
    try:
        return record_class.model_validate(_with_present_names(absolute_paths(value, path.parent)))
    except (ValidationError, RecursionError) as error:
        reason = described(error) if isinstance(error, ValidationError) else "it is nested too deep"
        raise RunError(f"{str(path)!r} does not describe a run: {reason}; restore it or train again") from None


def _with_present_names(value: dict[str, object]) -> dict[str, object]:
    """The record with the present names of its settings. Whatever is not a record stays as it is, and is refused later."""
    present = dict(value)
    if isinstance(request := value.get("request"), dict) and isinstance(request.get("settings"), dict):
        present["request"] = request | {"settings": _renamed(request["settings"])}
    if isinstance(train := value.get("train"), dict):
        present["train"] = _renamed(train)
    return present


def _renamed(settings: dict[str, object]) -> dict[str, object]:
    return {EARLIER_SETTINGS.get(name, name): value for name, value in settings.items()}
