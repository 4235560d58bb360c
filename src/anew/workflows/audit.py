"""`evaluate` with `samples`: samples made elsewhere, measured and audited against the data that they are to be like."""

from __future__ import annotations

import contextlib
import hashlib
import tempfile
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType

import numpy as np

from anew.core.arrays import Integers
from anew.core.provenance import Provenance
from anew.core.reporter import Reporter, SilentReporter
from anew.core.specs import UNKNOWN_CLASS, Tokens
from anew.core.threads import use_threads
from anew.core.wording import are, listed, plural
from anew.data.dataset import Dataset, listed_items
from anew.data.formats.pixels import OPAQUE
from anew.data.modality import load_modality
from anew.data.reading_settings import WITHOUT_RUN, check_reading_settings, reading_settings
from anew.data.skipped import describe_skipped
from anew.data.sources.columns import ColumnChoice
from anew.data.sources.open import detect_modality, sample_of
from anew.data.splitting.split import NAMES
from anew.data.types import DataBudget, DecodedItem
from anew.errors import ConfigError, DataError
from anew.evaluation.base import load_evaluation
from anew.evaluation.inputs import MAX_POOL, MIN_ITEMS, AuditPool, EvaluationInputs, Labels
from anew.evaluation.metrics.feature_sets import FeatureSets
from anew.evaluation.reporting.report import EvaluationReport, write_report
from anew.evaluation.score import Division
from anew.evaluation.stretches import beginnings_of_long_records
from anew.workflows.evaluate import grouped_pool, report_content
from anew.workflows.measuring import measure_all
from anew.workflows.pool_size import pool_limit
from anew.workflows.time_limit import TimeLimit

# Characters of each of samples, training and held-out texts: bounds memory and the time of the copying test; chosen.
MAX_TEXT_CHARACTERS = 16_000_000
ONLY_COMPARED = DataBudget(None, 0, 0, only_compared=True)
NUM_PEEKED = 300  # items in which transparency is looked for; chosen
NOT_HELD_OUT = (
    "No held-out items were given, so closeness and variety are measured against items that the generator may have been "
    "trained on: one that copies them looks perfect there. Give held-out items, or data with train/ and test/ folders."
)

DRAWS = "Most items of the data repeat another: they count as draws from a distribution, which samples may repeat, too."


def evaluate_samples(
    samples: str,
    data: str,
    out: Path,
    *,
    held_out: str | None = None,
    n: int,
    seed: int = 0,
    modality: str | None = None,
    settings: Mapping[str, object] | None = None,
    features: FeatureSets | None = None,
    reporter: Reporter | None = None,
    ends_at: float | None = None,
) -> EvaluationReport:
    """Measure samples made elsewhere against data and write report.json and report.html into `out`.

    Args:
        samples, data, held_out: Folders or files; held_out: items of the same source that the generator has not seen.
        out: Where the report goes.
        n: Items of each that are compared, at most.
        seed: Seed of all that is drawn.
        modality: Modality of the data, None to find out.
        settings: How the data is read, by name, see `WITHOUT_RUN`; samples and held-out items too, where they have the columns.
        features, reporter: As in `evaluate_run`.
        ends_at: `time.monotonic()` at which the command must be over; None for no limit.

    Raises:
        BudgetError: The command must be over before the data is read.
    """
    use_threads()
    reporter = reporter or SilentReporter()
    reading = dict(settings or {})
    with contextlib.ExitStack() as stack:
        real, form_notes = _open_real(samples, data, modality, seed, reading, reporter)
        stack.callback(real.close)
        real.fit(ONLY_COMPARED)
        with tempfile.TemporaryDirectory() as folder:
            real.modality.save(Path(folder))
            generated = _like(real, Path(folder), samples, samples=True, reading={} if real.table_notes else reading)
            stack.callback(generated.close)
            held_out_data = None if held_out is None else _like(real, Path(folder), held_out)
        if held_out_data is not None:
            stack.callback(held_out_data.close)
        sets = Sets(real, generated, held_out_data, n, seed)
        for sentence in (sets.summary(data, held_out or ""), *form_notes, *sets.warnings):
            reporter.message(sentence)
        data_notes = [*form_notes, *sets.notes, *describe_skipped(generated.scan)]
        limit = None if ends_at is None else TimeLimit.until(ends_at, "the data was read")
        inputs = replace(sets.inputs(features), seconds=None if limit is None else limit.remaining())
        evaluation = load_evaluation(real.modality.name)(inputs)
        measurements = measure_all(evaluation, reporter, None if limit is None else limit.stop_at)
        names = {"samples": Path(samples).name, "data": Path(data).name, "held_out": Path(held_out or "").name}
        report = EvaluationReport.of(
            measurements.scores,
            measurements.copies,
            run=Path(samples).name,
            family="unknown",
            modality=real.modality.name,
            notes=[*data_notes, *evaluation.skipped, *(note.sentence for note in measurements.notes)],
            too_few=measurements.too_few,
            unmeasured=measurements.unmeasured,
            supply=measurements.supply,
            ended_by=measurements.ended_by,
            folder=out,
            provenance=Provenance.now(seed, real.fingerprint),
        )
        write_report(
            out,
            report,
            content=report_content(evaluation, None if limit is None else limit.page_at),
            settings={name: value for name, value in names.items() if value} | reading,
            subtitle=" ".join([sets.summary(names["data"], names["held_out"]), *real.table_notes]),
        )
        return report


def _open_real(
    samples: str, data: str, modality: str | None, seed: int, reading: Mapping[str, object], reporter: Reporter
) -> tuple[Dataset, list[str]]:
    """The data, not yet fitted, in the form of the samples, and sentences on what is brought there. reading: settings for reading."""
    check_reading_settings(reading, modality)
    reporter.message("  reading the data")
    # A column may be that of samples in a table, whose data is none
    columns = ColumnChoice.of(reading, needs_tables=False)
    form, form_settings, notes = _form_of(samples, data, modality, columns)

    def settings_for(name: str) -> dict[str, object]:
        return reading_settings(reading, name, WITHOUT_RUN) | (form_settings if name == form else {})

    real = Dataset.open(data, modality=modality, seed=seed, settings=settings_for, columns=columns, size=ONLY_COMPARED)
    return real, notes


def _form_of(
    samples: str, data: str, modality: str | None, columns: ColumnChoice
) -> tuple[str, dict[str, object], list[str]]:
    """The modality of the samples, settings that bring the data to the form of the samples, and sentences on what is brought there.

    Settings are returned where the samples are smaller than the data: both are then compared at the size of the samples, as is usual.
    Larger samples are brought to the size of the data. Returns ("", {}, []) where either cannot be read; the error is raised later,
    when it is opened.
    """
    try:
        chosen = detect_modality(samples, modality, True, columns=replace(columns, needed=()))
        real = detect_modality(data, modality, columns=columns)
    except DataError:
        return "", {}, []
    modality_class = load_modality(chosen.modality)
    reader = modality_class(modality_class.Config())
    parts = [sample_of(part, reader)[0] for part in (chosen, real) if part.modality == chosen.modality]
    if len(parts) < 2 or not all(parts):
        return chosen.modality, {}, []
    settings = reader.settings_like(*parts)
    notes = _form_notes("Real items are brought to the form of the samples", settings)
    notes = notes or _form_notes("Samples are brought to the form of the data", reader.settings_like(*parts[::-1]))
    if "channels" in settings:
        notes.append("Items of the data have transparent pixels, no sample has any: real items are laid on white.")
    return chosen.modality, settings, notes


def _form_notes(action: str, settings: Mapping[str, object]) -> list[str]:
    form = ", ".join(f"{name}={value}" for name, value in settings.items() if name != "channels")
    return [f"{action}: {form}."] if form else []


def _like(
    real: Dataset, folder: Path, path: str, samples: bool = False, reading: Mapping[str, object] = MappingProxyType({})
) -> Dataset:
    """Open other items and bring them to the form of the data. Raises DataError if they are of another kind."""
    settings = reading_settings(reading, real.modality.name, WITHOUT_RUN)
    try:
        return Dataset.open_like(real.state(), folder, path, samples, settings)
    except DataError as error:
        raise DataError(f"{error} (it must hold {real.modality.traits.plural}, as the data does)") from None


# Items, and the class number of each; None where items have no classes of their own
LabelledItems = tuple[list[DecodedItem], Integers | None]


class Sets:
    """Generated, training and held-out items. Held-out items are given by the user, or are parts of the data."""

    def __init__(self, real: Dataset, generated: Dataset, held_out: Dataset | None, n: int, seed: int) -> None:
        self.real, self.generated, self.held_out, self.seed = real, generated, held_out, seed
        self.textual = isinstance(real.spec, Tokens)
        self.packed = isinstance(real.spec, Tokens) and real.spec.packed
        parts = [part for part in NAMES if real.scan.parts.get(part)]
        # Only parts that the data came with are held out. The generator knew nothing of parts that were split off here.
        self.held_out_parts = [part for part in parts[1:] if part not in real.carved] if held_out is None else []
        self.train_parts = [part for part in parts if part not in self.held_out_parts]
        self.classes = real.scan.labels if real.spec.classes else ()
        self.samples, self._sample_classes = self._labelled_items([(generated, "all")], n)
        if not self.samples:
            raise DataError(f"{generated.path!r} holds no usable samples")
        # Texts are limited by their characters
        self._max_real = MAX_POOL if self.textual else min(MAX_POOL, pool_limit(self.samples[0], real.modality.name))
        # The generator knew all of the data, however it would be divided here
        apart = [*real.division_notes, *real.table_notes]
        own_notes = [note for note in real.scan.notes if note not in apart]
        own_notes += [DRAWS] if real.are_draws else []
        self.notes = [*own_notes, *(f"samples: {note}" for note in generated.scan.notes)]
        self.notes += [] if self.has_held_out else [NOT_HELD_OUT]
        if self.textual and sum(map(len, self.samples)) >= MAX_TEXT_CHARACTERS:
            self.notes.append(f"Only the first {MAX_TEXT_CHARACTERS:,} characters of the samples were read.")
        if isinstance(real.spec, Tokens) and not self.packed:
            records, long_notes = beginnings_of_long_records(list(map(str, self.samples)), real.spec.length)
            self.samples, self.notes = [*records], [*self.notes, *long_notes]
        self._training_keys: AbstractSet[bytes] = frozenset()
        self._num_left_out = 0
        # What is in no column that is read, nothing here says anything of
        self.warnings = list(real.table_notes)
        self.warnings += [] if held_out is None else self._leave_out_training_items(held_out)
        self.warnings += self._transparency_notes()
        self.notes += self.warnings
        self._train_and_test = self._labelled_train_and_test()
        self.labels, class_notes = self._compared_labels()
        self.notes += class_notes
        n = len(self.samples)
        if self.packed and n < MIN_ITEMS:
            # The reason may be that lines are no items of their own, and a note says how they would be
            self.warnings += own_notes
        elif n < MIN_ITEMS:
            self.notes.append(f"{plural(n, 'sample')} {are(n)} too few for most metrics; give {MIN_ITEMS} or more.")

    @property
    def has_held_out(self) -> bool:
        """Whether there are held-out items."""
        return self.held_out is not None or bool(self.held_out_parts)

    @property
    def _division(self) -> Division:
        """How the items of `_train_and_test` were divided."""
        if self.has_held_out:
            return Division.GIVEN
        return Division.FILES if self.packed else Division.ITEMS

    def summary(self, data: str, held_out_data: str) -> str:
        """A sentence on which items are compared with which. data, held_out_data: how their places are called in it."""
        if self.held_out is not None:
            held_out = f" and with held-out items of {held_out_data!r}"
        elif self.held_out_parts:
            held_out = f" and with its {listed(self.held_out_parts)} part"
        else:
            held_out = "; no held-out items were given"
        num_samples, cut = len(self.samples), ""
        if not self.textual and self.generated.scan.num_listed < num_samples == self.generated.part_size("all"):
            cut = f", cut into {num_samples:,} {load_evaluation(self.real.modality.name).noun}"
            num_samples = self.generated.scan.num_listed
        return f"{plural(num_samples, 'sample')} made elsewhere{cut}, compared with {data!r}{held_out}."

    def _leave_out_training_items(self, held_out: Dataset) -> list[str]:
        """Drop held-out items that are also training items, and return a note of how many there were.

        Where most items of the data repeat another, they are draws from a distribution, and so are held-out ones: all are kept.

        Raises:
            DataError: All held-out items are also training items, or are the same draws; or all samples are held-out items.
        """
        items = self._items([(held_out, "all")], self._max_real)
        train_counts, counts = (Counter(map(_key, part)) for part in (self._train(self._max_real), items))
        shared = train_counts.keys() & counts.keys()
        num_overlapping = sum(counts[key] for key in shared)
        if counts == train_counts or (num_overlapping == len(items) and not self.real.are_draws):
            raise DataError(
                f"all of {plural(len(items), 'item')} of `held_out` {held_out.path!r} are also in the data {self.real.path!r}; "
                "give items that the generator was not trained on"
            )
        if len(self.samples) >= MIN_ITEMS and not self.real.are_draws and counts.keys() >= set(map(_key, self.samples)):
            raise DataError(
                f"all of {plural(len(self.samples), 'sample')} of {self.generated.path!r} are also in `held_out` "
                f"{held_out.path!r}, with which they would be compared; give items that are no samples"
            )
        if not num_overlapping or self.real.are_draws:
            return []
        self._training_keys, self._num_left_out = shared, num_overlapping
        at_least = "At least " if max(train_counts.total(), len(items)) >= self._max_real else ""  # not all were read
        return [
            f"{at_least}{num_overlapping:,} of {len(items):,} held-out items are also in the training data; they are left out."
        ]

    def _transparency_notes(self) -> list[str]:
        """A sentence where the data has transparent pixels and the samples have none."""
        samples, real = self.samples[:NUM_PEEKED], self._train(NUM_PEEKED)
        if any(map(_has_transparency, samples)) or not any(map(_has_transparency, real)):
            return []
        return ["Items of the data have transparent pixels; no sample has any."]

    def _items(self, parts: list[tuple[Dataset, str]], n: int) -> list[DecodedItem]:
        """The items of `_labelled_items`."""
        return self._labelled_items(parts, n)[0]

    def _labelled_items(self, parts: list[tuple[Dataset, str]], n: int) -> LabelledItems:
        """Up to n items of some parts in random order; for long texts, all texts in their own order."""
        items: list[DecodedItem]
        if self.textual:
            items = [text for data, part in parts for text in data.text(part, MAX_TEXT_CHARACTERS)]
            if self.packed:
                return items, None
        else:
            items = [item for data, part in parts for item in data.items(part, n, self.seed)]
        numbers = None
        if self.classes:
            n_read = MAX_POOL if self.textual else n
            numbers = np.concatenate([data.item_labels(part, n_read, self.seed)[1] for data, part in parts])
            # A long record makes several examples, each with a label
            numbers = numbers if len(numbers) == len(items) else None
        usable = np.array([i for i, item in enumerate(items) if not isinstance(item, str) or item], dtype=np.intp)
        order = usable[np.random.default_rng(self.seed).permutation(len(usable))[:n]]
        return [items[i] for i in order], None if numbers is None else numbers[order]

    def _train(self, n: int) -> list[DecodedItem]:
        return self._labelled_train(n)[0]

    def _labelled_train(self, n: int) -> LabelledItems:
        return self._labelled_items([(self.real, part) for part in self.train_parts], n)

    def _held_out(self, n: int) -> list[DecodedItem]:
        return self._labelled_held_out(n)[0]

    def _labelled_held_out(self, n: int) -> LabelledItems:
        if self.held_out is not None:
            items, numbers = self._labelled_items([(self.held_out, "all")], n + self._num_left_out)
            new = [i for i, item in enumerate(items) if _key(item) not in self._training_keys][:n]
            return [items[i] for i in new], None if numbers is None else numbers[new]
        return self._labelled_items([(self.real, part) for part in self.held_out_parts], n)

    def _compared_labels(self) -> tuple[Labels | None, list[str]]:
        """The classes of samples and real items, or None and why they are not compared; no note if the data has none."""
        if not self.classes:
            return None, []
        train, test = self._train_and_test
        for noun, numbers in (("sample", self._sample_classes), ("held-out item", test(len(self.samples))[1])):
            if numbers is None:
                return None, ["Classes are not compared: records are long and were cut, so pieces have no class."]
            num_unknown = int((numbers == UNKNOWN_CLASS).sum())
            if num_unknown:
                clause = f"{num_unknown:,} of {plural(len(numbers), noun)} {are(num_unknown)} in none of them"
                return None, [
                    f"Classes are not compared: the data has {len(self.classes)} classes, and {clause}; name folders or labels of all "
                    "as in the data."
                ]
        samples, names = self._sample_classes, self.classes
        assert samples is not None

        def numbers_of(reader: Callable[[int], LabelledItems]) -> Callable[[int], tuple[Sequence[str], Integers]]:
            return lambda n: (names, np.asarray(reader(n)[1], dtype=np.intp))

        return Labels(numbers_of(train), numbers_of(test), samples), []

    def _num_held_out(self) -> int:
        """The number of items that samples can be compared with; without held-out ones, half of the data."""
        if self.has_held_out and self.textual and not self.packed:
            num_texts = len(self._held_out(MAX_POOL + 1))
            if num_texts <= MAX_POOL:  # parts count examples, of which a long record makes several
                return num_texts
        if self.held_out is not None:
            return self.held_out.part_size("all") - self._num_left_out
        if self.held_out_parts:
            return sum(self.real.part_size(part) for part in self.held_out_parts)
        return sum(self.real.part_size(part) for part in self.train_parts) // 2

    def _labelled_train_and_test(self) -> tuple[Callable[[int], LabelledItems], Callable[[int], LabelledItems]]:
        """Readers of (training, held-out) items for metrics: two random halves of the data if nothing is held out."""
        if self.has_held_out:
            return self._labelled_train, self._labelled_held_out
        items, numbers = self._labelled_train(self._max_real)

        def half(first: int) -> Callable[[int], LabelledItems]:
            return lambda n: (items[first::2][:n], None if numbers is None else numbers[first::2][:n])

        return half(0), half(1)

    def _pool(self, n: int) -> AuditPool[DecodedItem]:
        n = min(n, self._max_real)
        train, held_out = self._train(n), self._held_out(n // 2) if self.has_held_out else []
        if self.packed:
            return AuditPool(train, held_out, None, len(train), randomly_held_out=False)
        total = len(train) if len(train) < n else sum(self.real.part_size(part) for part in self.train_parts)
        return grouped_pool(self.real, train[: n - len(held_out)], held_out, total, False, self.seed)

    def inputs(self, features: FeatureSets | None) -> EvaluationInputs[DecodedItem]:
        """Inputs of an evaluation of the samples."""
        labelled_train, labelled_test = self._train_and_test

        def train(n: int) -> list[DecodedItem]:
            return labelled_train(n)[0]

        def test(n: int) -> list[DecodedItem]:
            return labelled_test(n)[0]

        return EvaluationInputs(
            modality=self.real.modality,
            spec=self.real.spec,
            train=train,
            test=test,
            train_text=_text_reader(train) if self.textual else None,
            test_text=_text_reader(test) if self.textual else None,
            samples=self.samples,
            bits=None,
            seconds=None,
            seed=self.seed,
            features=features,
            pool=self._pool,
            labels=self.labels,
            near_duplicate_groups=self.real.near_duplicate_groups,
            n_held_out=self._num_held_out(),
            are_halves=not self.has_held_out,
            division=self._division,
            are_whole=True,
            files=lambda part, n: listed_items(self.generated if part == "samples" else self.real, n),
        )


def _has_transparency(item: DecodedItem) -> bool:
    """Whether an image or clip has pixels that are not opaque."""
    has_alpha = isinstance(item, np.ndarray) and item.dtype == np.uint8 and item.ndim >= 3 and item.shape[-1] == 4
    return has_alpha and bool((np.asarray(item)[..., 3] < OPAQUE).any())


def _key(item: DecodedItem) -> bytes:
    """A key that is equal for equal items."""
    if isinstance(item, str):
        return item.encode("utf-8", "surrogatepass")
    return str(item.shape).encode() + hashlib.sha256(np.ascontiguousarray(item).tobytes()).digest()


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
    except Exception as error:  # whatever a damaged file makes of the reader
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
