"""`evaluate` with `samples`: samples made elsewhere, measured and audited against the data that they are to be like."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from anew.core.provenance import command_line
from anew.core.registry import load
from anew.core.reporter import Reporter, SilentReporter
from anew.core.specs import Tokens
from anew.core.threads import use_threads
from anew.data.dataset import Dataset
from anew.data.skipped import skipped
from anew.data.splitting.split import NAMES
from anew.data.types import DataBudget
from anew.errors import ConfigError, DataError
from anew.evaluation.base import LEAST, POOL_MOST, Evaluation, Evidence, Pool
from anew.evaluation.metrics.fidelity import Features
from anew.workflows.evaluate import measured, pooled

TEXT = 16_000_000  # characters of each of samples, training and held-out texts
KNOWN = (
    "No held-out items were given, so closeness and variety are measured against items that the generator may have been "
    "trained on: one that copies them looks perfect there. Give held-out items, or data with train/ and test/ folders."
)


def audited(
    samples: str,
    data: str,
    held_out: str | None,
    n: int,
    seed: int,
    modality: str | None,
    out: Path,
    features: Features | None,
    reporter: Reporter | None,
) -> dict[str, Any]:
    """Measure samples against data, write report.json and report.html into `out`, return what report.json holds."""
    from anew.evaluation.reporting.report import write_report

    use_threads()
    reporter = reporter or SilentReporter()
    real = Dataset.open(data, modality=modality, seed=seed)
    real.fit(DataBudget(None, real.scan.items, real.scan.bytes))
    with tempfile.TemporaryDirectory() as folder:
        real.modality.save(Path(folder))
        made = _like(real, Path(folder), samples, samples=True)
        held = None if held_out is None else _like(real, Path(folder), held_out)
    try:
        sets = Sets(real, made, held, n, seed)
        reporter.message(sets.sentence())
        evaluation: Evaluation = load("evaluation", real.modality.name)(sets.evidence(features))
        found = measured(evaluation, reporter)
        return write_report(
            out,
            run=Path(samples).name,
            family="unknown",
            modality=real.modality.name,
            scores=found.scores,
            copies=found.copies,
            shown=evaluation.show(),
            history=[],
            settings={"samples": samples, "data": data, "held-out": held_out, "seed": seed},
            plan={},
            notes=[*sets.notes, *skipped(made.scan), *evaluation.left_out, *found.notes],
            command=command_line(),
            subtitle=sets.sentence(),
        )
    finally:
        for one in (real, made, held):
            if one is not None:
                one.close()


def _like(real: Dataset, folder: Path, path: str, samples: bool = False) -> Dataset:
    """Other items in the form of the data. Raises DataError where they are of another kind."""
    try:
        return Dataset.open_like(real.state(), folder, path, samples)
    except DataError as error:
        raise DataError(f"{error} (it must hold {real.modality.traits.plural}, as the data does)") from None


class Sets:
    """Items of three kinds: made, training, and held out, by the user or as parts of the data."""

    def __init__(self, real: Dataset, made: Dataset, held: Dataset | None, n: int, seed: int) -> None:
        self.real, self.made, self.held, self.seed = real, made, held, seed
        spec = real.spec
        self.packed = isinstance(spec, Tokens) and spec.packed
        self.textual = isinstance(spec, Tokens)
        there = [p for p in NAMES if real.scan.parts.get(p)]
        self.own = [p for p in there[1:] if p not in real.carved] if held is None else []
        self.rest = [p for p in there if p not in self.own]
        self.samples = self._items([(made, "all")], n)
        if not self.samples:
            raise DataError(f"{made.path!r} holds no usable samples")
        self.notes = [*real.scan.notes, *(f"samples: {note}" for note in made.scan.notes)]
        self.notes += [] if self.proved else [KNOWN]
        if len(self.samples) < LEAST:
            self.notes.append(f"{len(self.samples)} samples are too few for most figures; give {LEAST} or more.")

    @property
    def proved(self) -> bool:
        """Whether there are held-out items."""
        return self.held is not None or bool(self.own)

    def sentence(self) -> str:
        where = (
            f"held-out items of {self.held.path!r}" if self.held is not None else f"its {' and '.join(self.own)} part"
        )
        beside = f", and with {where}" if self.proved else "; no held-out items were given"
        return f"{len(self.samples):,} sample{'s' * (len(self.samples) != 1)} made elsewhere, compared with {self.real.path!r}{beside}."

    def _items(self, parts: list[tuple[Dataset, str]], n: int) -> list[Any]:
        """n items of some parts in an order of chance; of long texts whole texts, as they lie."""
        if self.textual:
            texts = [t for data, part in parts for t in data.text(part, TEXT)]
            if self.packed:
                return texts
            found: list[Any] = [t for t in texts if t]
        else:
            found = [item for data, part in parts for item in data.items(part, n, self.seed)]
        return [found[i] for i in np.random.default_rng(self.seed).permutation(len(found))[:n]]

    def _train(self, n: int) -> list[Any]:
        return self._items([(self.real, part) for part in self.rest], n)

    def _held(self, n: int) -> list[Any]:
        if self.held is not None:
            return self._items([(self.held, "all")], n)
        return self._items([(self.real, part) for part in self.own], n)

    def _halves(self) -> tuple[Callable[[int], list[Any]], Callable[[int], list[Any]]]:
        """(training, held-out) items for figures: without held-out ones, two halves of the data by chance."""
        if self.proved:
            return self._train, self._held
        known = self._train(POOL_MOST)
        return lambda n: known[0::2][:n], lambda n: known[1::2][:n]

    def _pool(self, n: int) -> Pool:
        train, held = self._train(n), self._held(n // 2) if self.proved else []
        if self.packed:
            return Pool(train, held, None, len(train), drawn=False)
        of = sum(self.real.part_size(part) for part in self.rest)
        return pooled(self.real, train[: n - len(held)], held, of, False, self.seed)

    def evidence(self, features: Features | None) -> Evidence:
        train, held = self._halves()

        def texts(source: Callable[[int], list[Any]]) -> Callable[[int | None], list[str]]:
            def read(limit: int | None) -> list[str]:
                kept, left = [], TEXT if limit is None else limit
                for text in source(POOL_MOST):
                    if left <= 0:
                        break
                    kept.append(str(text)[:left])
                    left -= len(kept[-1])
                return kept

            return read

        return Evidence(
            modality=self.real.modality,
            spec=self.real.spec,
            train=train,
            test=held,
            train_text=texts(train) if self.textual else None,
            test_text=texts(held) if self.textual else None,
            samples=self.samples,
            bits=None,
            seconds=None,
            seed=self.seed,
            features=features,
            pool=self._pool,
        )


def read_features(path: str) -> Features:
    """The user's own features: a safetensors file with `samples`, `held_out` and `train`, (n, d) numbers each, and `naive`
    where there is a naive generator. As many rows of each are compared as the scarcest has."""
    from safetensors.numpy import load_file

    try:
        found = load_file(path)
    except Exception as error:  # whatever a damaged file makes of the reader
        raise ConfigError(f"`features` {path!r} cannot be read as safetensors ({str(error)[:80]})") from None
    missing = [name for name in ("samples", "held_out", "train") if name not in found]
    if missing:
        raise ConfigError(f"`features` {path!r} lacks the tensor {missing[0]!r}; it needs samples, held_out and train")
    rows = {k: found[k].astype(np.float64) for k in ("samples", "held_out", "train", "naive") if k in found}
    shapes = {k: v.shape for k, v in rows.items()}
    if any(len(s) != 2 for s in shapes.values()) or len({s[1] for s in shapes.values()}) != 1:
        raise ConfigError(f"`features` {path!r} holds shapes {shapes}; give (n, d) with the same d for all")
    if not all(np.isfinite(v).all() for v in rows.values()):
        raise ConfigError(f"`features` {path!r} holds numbers that are not finite; leave those rows out")
    n = min(len(v) for v in rows.values())
    if n < LEAST:
        raise ConfigError(f"`features` {path!r} has {n} rows of one kind; give at least {LEAST} of each")
    what = f"{shapes['samples'][1]} features of {Path(path).name}"
    naive = rows["naive"][:n] if "naive" in rows else None
    return Features(rows["samples"][:n], rows["held_out"][:n], rows["train"][:n], naive, what, "items")
