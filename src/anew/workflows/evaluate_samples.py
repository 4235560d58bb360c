"""`evaluate` with `samples`: samples of a folder, measured and tested against data, or the data of a run, that they are to be like."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, field, replace
from pathlib import Path
from types import MappingProxyType

import numpy as np

from anew.core.arrays import Integers
from anew.core.deadline import TimeIsUp, hard_stop
from anew.core.machine.threads import SlowdownMeter, use_threads
from anew.core.provenance import Provenance
from anew.core.reporter import Reporter, SilentReporter
from anew.core.specs import UNKNOWN_CLASS
from anew.core.wording import are, listed, plural
from anew.data.dataset import Dataset, listed_items
from anew.data.formats.images.pixels import OPAQUE
from anew.data.modalities.grids import GridModality
from anew.data.modality import load_modality
from anew.data.reading_settings import WITHOUT_RUN, reading_settings
from anew.data.skipped import describe_skipped
from anew.data.sources.columns import ColumnChoice
from anew.data.sources.selected_data import detect_modality, sample_of
from anew.data.types import DataBudget, DecodedItem
from anew.errors import ConfigError, DataError
from anew.evaluation.base import load_evaluation
from anew.evaluation.inputs import MAX_POOL, MIN_ITEMS, EvaluationInputs, Labels
from anew.evaluation.metrics.feature_sets import FeatureSets
from anew.evaluation.reporting.report import EvaluationReport, write_report
from anew.runs.folder import RunFolder
from anew.workflows.evaluate import report_content
from anew.workflows.evaluated_items import MAX_TEXT_CHARACTERS, EvaluatedItems, LabelledItems
from anew.workflows.timing.measuring import all_notes, measure_all
from anew.workflows.timing.time_limit import (
    SHORT_REPORT,
    TEXT_REPORT,
    TimeLimit,
    budget_was_over,
    seconds_before_report,
)

ONLY_COMPARED = DataBudget(None, 0, 0, only_compared=True)
READING = "the data was read"
NUM_PEEKED = 300  # items in which transparency is looked for; chosen
NOT_HELD_OUT = (
    "No held-out items were given, so closeness and variety are measured against items that the generator may have been "
    "trained on: one that copies them looks perfect there. For these two, one half of the data is called held-out below, and the "
    "other one training; copies and nearest items are sought in all of it. Give held-out items, or data with train/ and test/ "
    "folders."
)
ONE_TEXT = "All figures are of pieces of this one text: another one may differ."
DRAWS = "Most items of the data repeat another: they count as draws from a distribution, which samples may repeat, too."


@dataclass(frozen=True)
class ForeignSamples:
    """Samples made elsewhere, the data that they are compared with, and how both are read.

    Attributes:
        samples, data: Folders, files or addresses. With a run, `data` is the new place of its data, or None.
        held_out: The same, of items of the source of the data that the generator has not seen; None if there are none.
        run: A run, with whose data samples are compared, read and divided as there; None to compare with `data`.
        n: Items of each that are compared, at most.
        seed: Seed of all that is drawn.
        modality: Modality of the data; None to find out.
        reading: Settings of how the data is read, by name, see `WITHOUT_RUN`; samples and held-out items too, where they have the columns.
    """

    samples: str
    data: str | None
    held_out: str | None = None
    _: KW_ONLY
    run: RunFolder | None = None
    n: int
    seed: int = 0
    modality: str | None = None
    reading: Mapping[str, object] = field(default_factory=dict)

    @property
    def places(self) -> dict[str, str]:
        """The paths of all that is compared, by role."""
        run = None if self.run is None else str(self.run.path)
        paths = {"samples": self.samples, "run": run, "data": self.data, "held_out": self.held_out}
        return {role: path for role, path in paths.items() if path is not None}


def evaluate_samples(
    compared: ForeignSamples,
    out: Path,
    *,
    features: FeatureSets | None = None,
    reporter: Reporter | None = None,
    ends_at: float | None = None,
) -> EvaluationReport:
    """Measure samples made elsewhere against data and write report.json and report.html into `out`.

    Args:
        compared: The samples and the data.
        out: Where the report goes.
        features: As in `EvaluationRequest`.
        reporter: Receives the progress.
        ends_at: `time.monotonic()` at which the command must be over; None for no limit.

    Raises:
        BudgetError: The command must be over before the data is read.
    """
    use_threads()
    reporter = reporter or SilentReporter()
    meter, report_seconds = SlowdownMeter(), SHORT_REPORT
    with contextlib.ExitStack() as stack:
        try:
            with hard_stop(None if ends_at is None else seconds_before_report(ends_at)):
                form = _common_form(compared, reporter)
                report_seconds = form.report_seconds
                items = _read(stack, compared, form)
                sets = SampleSets(items)
        except TimeIsUp:
            assert ends_at is not None, "without an end nothing is stopped"
            raise budget_was_over(ends_at, READING, meter.read_at_once(), report_seconds) from None
        real = items.real
        left_out = _left_out(items)
        paths = compared.places
        names = {role: Path(path).name for role, path in paths.items()}
        for sentence in (sets.summary(paths), *form.notes, *sets.warnings, *left_out):
            reporter.message(sentence)
        data_notes = [*form.notes, *sets.notes, *left_out]
        limit = None if ends_at is None else TimeLimit.until(ends_at, READING, meter, report_seconds)
        inputs = replace(sets.inputs(features), seconds=None if limit is None else limit.remaining())
        evaluation = load_evaluation(real.modality.name)(inputs)
        measurements = measure_all(evaluation, reporter, limit)
        report = EvaluationReport.of(
            measurements,
            run=names["samples"],
            family="unknown",
            modality=real.modality.name,
            notes=[*data_notes, *(note.sentence for note in all_notes(measurements, evaluation.notes))],
            folder=out,
            provenance=Provenance.now(compared.seed, real.fingerprint),
        )
        write_report(
            out,
            report,
            content=report_content(evaluation, limit),
            settings=names | dict(compared.reading),
            subtitle=" ".join([sets.summary(names), *real.table_notes]),
        )
        return report


@dataclass(frozen=True)
class _CommonForm:
    """The form in which samples and real items are compared.

    Attributes:
        modality: Modality of the samples; "" where samples or data cannot be read. The error is raised later, when they are opened.
        settings: Settings that convert the data to the form of the samples, where these are smaller, as is usual. Larger samples are
            resized to that of the data.
        notes: Sentences on what is converted.
    """

    modality: str = ""
    settings: Mapping[str, object] = field(default_factory=dict)
    notes: Sequence[str] = ()

    @property
    def report_seconds(self) -> float:
        """Seconds on idle cores of a report that says something of such items."""
        is_grid = not self.modality or issubclass(load_modality(self.modality), GridModality)
        return SHORT_REPORT if is_grid else TEXT_REPORT


def _read(stack: contextlib.ExitStack, compared: ForeignSamples, form: _CommonForm) -> EvaluatedItems:
    """The items. stack: closes what is opened."""
    if compared.run is not None:
        return _read_as_run(stack, compared, compared.run)
    samples, data, reading, seed = compared.samples, compared.data or "", compared.reading, compared.seed

    def settings_for(name: str) -> dict[str, object]:
        return reading_settings(reading, name, WITHOUT_RUN) | (dict(form.settings) if name == form.modality else {})

    # A column may be that of samples in a table, whose data is none
    columns = ColumnChoice.of(reading, needs_tables=False)
    real = Dataset.open(
        data, modality=compared.modality, seed=seed, settings=settings_for, columns=columns, size=ONLY_COMPARED
    )
    stack.callback(real.close)
    real.fit(ONLY_COMPARED)
    with tempfile.TemporaryDirectory() as folder:
        real.modality.save(Path(folder))
        generated = _open_like(real, Path(folder), samples, samples=True, reading={} if real.table_notes else reading)
        stack.callback(generated.close)
        held_out_data = None if compared.held_out is None else _open_like(real, Path(folder), compared.held_out)
    if held_out_data is not None:
        stack.callback(held_out_data.close)
    items = EvaluatedItems(real, generated, held_out_data, compared.n, seed)
    _check_alike(items)
    return items


def _read_as_run(stack: contextlib.ExitStack, compared: ForeignSamples, run: RunFolder) -> EvaluatedItems:
    """The items of `_read`, read and divided as in a run."""
    record = run.record().data
    real = Dataset.reopen(record, run.path, compared.data)
    stack.callback(real.close)
    generated = Dataset.open_like(record, run.path, compared.samples, samples=True)
    stack.callback(generated.close)
    items = EvaluatedItems(real, generated, None, compared.n, compared.seed, is_of_run=True)
    _check_alike(items)
    return items


def _check_alike(items: EvaluatedItems) -> None:
    """Raise DataError where samples are of another kind than the data."""
    if reason := items.generated.modality.why_unlike():
        raise DataError(
            f"{items.generated.path!r} is of another kind than the data: {reason}; "
            f"give samples that are like {items.real.path!r}"
        )


def _left_out(items: EvaluatedItems) -> list[str]:
    """Sentences on samples that cannot be read as the data is: how many, and the first ones by name."""
    scan = items.generated.scan
    if not scan.skipped:
        return []
    count = f"{plural(scan.skipped, 'sample')} cannot be read as {items.real.modality.traits.plural} and {are(scan.skipped)} left out."
    return [count, *describe_skipped(scan)]


def _common_form(compared: ForeignSamples, reporter: Reporter) -> _CommonForm:
    """Look at samples and data for the form in which both can be compared."""
    reporter.message("  reading the data")
    if compared.run is not None:
        return _CommonForm(compared.run.record().data.modality)
    columns = ColumnChoice.of(compared.reading, needs_tables=False)
    try:
        chosen = detect_modality(
            compared.samples, compared.modality, are_samples=True, columns=replace(columns, needed=())
        )
        real = detect_modality(compared.data or "", compared.modality, columns=columns)
    except DataError:
        return _CommonForm()
    modality_class = load_modality(chosen.modality)
    reader = modality_class(modality_class.Config())
    parts = [sample_of(part, reader)[0] for part in (chosen, real) if part.modality == chosen.modality]
    if len(parts) < 2 or not all(parts):
        return _CommonForm(chosen.modality)
    settings = reader.settings_like(*parts)
    notes = _form_notes("Real items are converted to the form of the samples", settings)
    notes = notes or _form_notes("Samples are converted to the form of the data", reader.settings_like(*parts[::-1]))
    if "channels" in settings:
        notes.append("Items of the data have transparent pixels, no sample has any: real items are laid on white.")
    return _CommonForm(chosen.modality, settings, notes)


def _form_notes(action: str, settings: Mapping[str, object]) -> list[str]:
    form = ", ".join(f"{name}={value}" for name, value in settings.items() if name != "channels")
    return [f"{action}: {form}."] if form else []


def _open_like(
    real: Dataset, folder: Path, path: str, samples: bool = False, reading: Mapping[str, object] = MappingProxyType({})
) -> Dataset:
    """Open other items, converted to the form of the data. Raises DataError if they are of another kind."""
    settings = reading_settings(reading, real.modality.name, WITHOUT_RUN)
    try:
        return Dataset.open_like(real.state(), folder, path, samples, settings)
    except DataError as error:
        raise DataError(f"{error} (it must hold {real.modality.traits.plural}, as the data does)") from None


class SampleSets:
    """The sets of items that are compared, and notes on them."""

    def __init__(self, items: EvaluatedItems) -> None:
        self.items = items
        real, held_out = items.real, items.held_out
        # The generator knew all of the data, however it would be divided here; not that of a run
        other_notes = [*([] if items.is_of_run else real.division_notes), *real.table_notes]
        own_notes = [note for note in real.scan.notes if note not in other_notes]
        own_notes += [DRAWS] if real.are_draws else []
        self.notes = [*own_notes, *(f"Samples: {note}" for note in items.generated.scan.notes)]
        self.notes += [] if items.has_held_out else [NOT_HELD_OUT]
        self.notes += [ONE_TEXT] if self.is_one_text else []
        if items.textual and sum(map(len, items.samples)) >= MAX_TEXT_CHARACTERS:
            self.notes.append(f"Only the first {MAX_TEXT_CHARACTERS:,} characters of the samples were read.")
        self.notes += items.cut_long_samples()
        # Columns that are not read are not compared, which is a warning
        self.warnings = list(real.table_notes)
        self.warnings += [] if held_out is None else items.leave_out_training_items(held_out)
        self.warnings += self._transparency_notes()
        self.notes += self.warnings
        self._train_and_test = items.train_and_test()
        self.labels, class_notes = self._compared_labels()
        self.notes += class_notes
        n = len(items.samples)
        if items.packed and n < MIN_ITEMS:
            # The reason may be that lines are not items of their own, and a note says how they would be
            self.warnings += own_notes
        elif n < MIN_ITEMS:
            self.notes.append(f"{plural(n, 'sample')} {are(n)} too few for most metrics; give {MIN_ITEMS} or more.")

    @property
    def is_one_text(self) -> bool:
        """Whether there is one sample, a long text, of which pieces are compared."""
        return self.items.packed and len(self.items.samples) == 1

    def summary(self, names: Mapping[str, str]) -> str:
        """A sentence on which items are compared with which. names: how the places of samples, run, data and held-out items are called."""
        if self.items.held_out is not None:
            held_out = f" and with held-out items of {names['held_out']!r}"
        elif self.items.held_out_parts:
            held_out = f" and with its {listed(self.items.held_out_parts)} part"
        else:
            held_out = "; no held-out items were given"
        num_samples, cut = len(self.items.samples), ""
        if (
            not self.items.textual
            and self.items.generated.scan.num_listed < num_samples == self.items.generated.part_size("all")
        ):
            cut = f", cut into {num_samples:,} {load_evaluation(self.items.real.modality.name).noun}"
            num_samples = self.items.generated.scan.num_listed
        counted = plural(num_samples, "sample")
        if self.items.is_of_run:
            compared = f"{counted} of {names['samples']!r}{cut}, compared with the data of the run {names['run']!r}."
        else:
            compared = f"{counted} made elsewhere{cut}, compared with {names['data']!r}{held_out}."
        return f"{compared} {ONE_TEXT}" if self.is_one_text else compared

    def _transparency_notes(self) -> list[str]:
        """A sentence where the data has transparent pixels and the samples have none."""
        samples, real = self.items.samples[:NUM_PEEKED], self.items.train(NUM_PEEKED)
        if any(map(_has_transparency, samples)) or not any(map(_has_transparency, real)):
            return []
        return ["Items of the data have transparent pixels; no sample has any."]

    def _compared_labels(self) -> tuple[Labels | None, list[str]]:
        """The classes of samples and real items, or None and why they are not compared; no note if the data has none."""
        if not self.items.classes:
            return None, []
        train, test = self._train_and_test
        for noun, numbers in (
            ("sample", self.items.sample_classes),
            ("held-out item", test(len(self.items.samples))[1]),
        ):
            if numbers is None:
                return None, ["Classes are not compared: records are long and were cut, so pieces have no class."]
            num_unknown = int((numbers == UNKNOWN_CLASS).sum())
            if num_unknown:
                facts = f"{len(self.items.classes)} classes, and {num_unknown:,} of {plural(len(numbers), noun)} {are(num_unknown)} in none"
                return None, [
                    f"Classes are not compared: the data has {facts} of them; name folders or labels of all as in the data."
                ]
        samples, names = self.items.sample_classes, self.items.classes
        assert samples is not None

        def numbers_of(reader: Callable[[int], LabelledItems]) -> Callable[[int], tuple[Sequence[str], Integers]]:
            return lambda n: (names, np.asarray(reader(n)[1], dtype=np.intp))

        return Labels(numbers_of(train), numbers_of(test), samples, are_requested=False), []

    def inputs(self, features: FeatureSets | None) -> EvaluationInputs[DecodedItem]:
        """Inputs of an evaluation of the samples."""
        labelled_train, labelled_test = self._train_and_test

        def train(n: int) -> list[DecodedItem]:
            return labelled_train(n)[0]

        def test(n: int) -> list[DecodedItem]:
            return labelled_test(n)[0]

        return EvaluationInputs(
            modality=self.items.real.modality,
            spec=self.items.real.spec,
            train=train,
            test=test,
            train_text=_text_reader(train) if self.items.textual else None,
            test_text=_text_reader(test) if self.items.textual else None,
            samples=self.items.samples,
            bits=None,
            seconds=None,
            seed=self.items.seed,
            features=features,
            pool=self.items.pool,
            labels=self.labels,
            near_duplicate_groups=self.items.real.near_duplicate_groups,
            num_held_out=self.items.num_held_out(),
            are_halves=not self.items.has_held_out,
            division=self.items.division,
            are_whole=True,
            field_names=self.items.real.scan.field_names,
            files=lambda part, n: listed_items(self.items.generated if part == "samples" else self.items.real, n),
        )


def _has_transparency(item: DecodedItem) -> bool:
    """Whether an image or clip has pixels that are not opaque."""
    has_alpha = isinstance(item, np.ndarray) and item.dtype == np.uint8 and item.ndim >= 3 and item.shape[-1] == 4
    return has_alpha and bool((np.asarray(item)[..., 3] < OPAQUE).any())


def _text_reader(items: Callable[[int], list[DecodedItem]]) -> Callable[[int | None], list[str]]:
    """A reader of texts, up to a given number of characters in all."""

    def read(limit: int | None) -> list[str]:
        texts: list[str] = []
        remaining = MAX_TEXT_CHARACTERS if limit is None else limit
        for text in items(MAX_POOL):
            if remaining <= 0:
                break
            texts.append(str(text)[:remaining])
            remaining -= len(texts[-1])
        return texts

    return read


def read_features(path: str) -> FeatureSets:
    """Read the user's own features from a safetensors file.

    It holds `samples`, `held_out` and `train`, each (n, d), and optionally `naive` for a naive generator. All are cut to
    the number of rows of the shortest.
    """
    from safetensors.numpy import load_file

    needed = ("samples", "held_out", "train")
    try:
        tensors = load_file(path)
    except Exception as error:  # a damaged file makes the reader raise errors of many types
        raise ConfigError(f"`features` {path!r} cannot be read as safetensors ({str(error)[:80]})") from None
    missing = [name for name in needed if name not in tensors]
    if missing:
        raise ConfigError(f"`features` {path!r} lacks the tensor {missing[0]!r}; expected samples, held_out and train")
    rows = {name: tensors[name].astype(np.float64) for name in (*needed, "naive") if name in tensors}
    shapes = {name: tensor.shape for name, tensor in rows.items()}
    if any(len(shape) != 2 for shape in shapes.values()) or len({shape[1] for shape in shapes.values()}) != 1:
        raise ConfigError(f"`features` {path!r} has shapes {shapes}; expected (n, d) with the same d for all")
    if not all(np.isfinite(tensor).all() for tensor in rows.values()):
        raise ConfigError(f"`features` {path!r} holds numbers that are not finite; leave those rows out")
    n = min(len(tensor) for tensor in rows.values())
    if n < MIN_ITEMS:
        raise ConfigError(f"`features` {path!r} has {n} rows of one tensor; expected at least {MIN_ITEMS} of each")
    return FeatureSets(
        samples=rows["samples"][:n],
        held_out=rows["held_out"][:n],
        train=rows["train"][:n],
        naive=rows["naive"][:n] if "naive" in rows else None,
        description=f"{shapes['samples'][1]} features of {Path(path).name}",
    )
