"""`evaluate`: sample a run, or read samples made elsewhere; measure them, audit them for copies, write the report."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from anew.core import settings as cfg
from anew.core.provenance import command_line
from anew.core.registry import load
from anew.core.reporter import Reporter, SilentReporter
from anew.core.specs import Batch, Spec, Tokens
from anew.core.threads import use_threads
from anew.data.dataset import Dataset
from anew.data.skipped import skipped
from anew.evaluation.base import LEAST, Evaluation, Evidence, Labels, Pool
from anew.evaluation.memorization.result import Copies
from anew.evaluation.metrics.fidelity import Features
from anew.evaluation.metrics.statistics import Score
from anew.families.base import Family
from anew.runs import events as events_file
from anew.runs.events import Events
from anew.runs.record import RunRecord
from anew.sampling.model import Model
from anew.sampling.samples import Samples

POOL_BYTES = 192 * 2**20  # of real items that the audit for copies holds, which takes about ten times as much memory
STOPPED_SECONDS = 20.0  # for what is left once sampling was stopped by hand
PARTS_MOST = 120_000  # units of the test part, taken evenly, that parts of a mixed model are scored on
PROBE = 8_000  # units that are scored to learn how long the whole part would take


@dataclass
class Measured:
    """What an evaluation found, complete or up to where it was stopped."""

    scores: list[Score] = field(default_factory=list)
    copies: Copies | None = None
    notes: list[str] = field(default_factory=list)


def evaluated(
    model: Model,
    n: int,
    seed: int,
    data: str | None,
    allowed_s: float | None,
    reporter: Reporter | None,
    opened: Dataset | None = None,
    features: Features | None = None,
) -> dict[str, Any]:
    """Sample, measure, write samples/ and report/. allowed_s: seconds for all of it, None without a limit."""
    from anew.evaluation.reporting.model_card import write_card
    from anew.evaluation.reporting.report import write_report

    use_threads()
    begin = time.monotonic()
    reporter = reporter or SilentReporter()
    record, folder = model.record, model.folder.path
    dataset = opened or Dataset.reopen(record.data.model_dump(), folder, data)
    share = 0.25 if isinstance(model.item_spec, Tokens) else 0.4  # text is judged by its bits first
    samples, notes, stopped = _sampled(model, n, seed, None if allowed_s is None else share * allowed_s, reporter)
    shown = samples.head(model.modality.traits.num_saved_samples)
    shown.save(folder / "samples")
    shown.save_sheet(folder / "samples", "final")
    left = None if allowed_s is None else max(0.5, allowed_s - (time.monotonic() - begin))
    left = STOPPED_SECONDS if stopped and left is None else left
    evaluation: Evaluation = load("evaluation", record.data.modality)(
        evidence(model, dataset, list(samples), left, seed, features)
    )
    events = Events(folder / events_file.NAME)
    found = measured(evaluation, reporter)
    known = [*warnings(folder), *dataset.scan.notes, *skipped(dataset.scan)]
    written = write_report(
        folder / "report",
        scores=found.scores,
        copies=found.copies,
        shown=evaluation.show(),
        history=_history(folder),
        notes=[*known, *notes, *evaluation.left_out, *found.notes],
        command=command_line(),
        **_described(folder, record),
    )
    write_card(folder, record.model_dump(), found.scores, written["verdict"])
    events.write("report", seconds=round(time.monotonic() - begin, 3))
    events.close()
    if opened is None:
        dataset.close()
    return written


def measured(evaluation: Evaluation, reporter: Reporter) -> Measured:
    """All figures and the audit, each said as it is ready. Ctrl-C ends it; what there is by then is kept."""
    found = Measured()
    try:
        for score in evaluation.scores():
            found.scores.append(score)
            floor = "" if score.floor is None else f" (real against real: {score.floor:.4g})"
            reporter.message(f"  {score.name}: {score.value:.4g}{floor}")
        reporter.message("  looking for copies of training items")
        for copies in evaluation.copies():
            found.copies = copies
    except KeyboardInterrupt:
        found.notes.append("Stopped by hand: what is missing here was not measured.")
        reporter.message("stopped; what was measured so far is written")
    if found.copies is not None:
        found.scores += found.copies.scores()
        found.notes += found.copies.notes
        reporter.message(f"  {found.copies.words()}")
    return found


def warnings(folder: Path) -> list[str]:
    """What training warned of, in its last part, as sentences: a run that was given more time may have recovered."""
    found = [e for e in events_file.read(folder / events_file.NAME) if e["event"] == "warning" and e["text"]]
    return [f"Warning of step {e['step']:,} in training: {e['text']}." for e in found[-1:]]


def _described(folder: Path, record: RunRecord) -> dict[str, Any]:
    """What the report says of the run beside its figures."""
    return {
        "run": folder.name,
        "family": record.family.name,
        "modality": record.data.modality,
        "settings": {"family": record.family.config, "data": record.data.config, "train": record.train},
        "plan": cfg.to_json(record.plan),
    }


def _sampled(
    model: Model, n: int, seed: int, allowed_s: float | None, reporter: Reporter
) -> tuple[Samples, list[str], bool]:
    """Up to n samples, a chunk at a time, within the seconds given; a note where it became fewer; whether it was stopped
    by hand, after enough for figures."""
    begin = time.monotonic()
    chunk, stopped = (8 if isinstance(model.item_spec, Tokens) else 64), False
    found = Samples([], [], model.item_modality)
    while len(found) < max(1, n):
        try:
            more = model.sample(min(chunk, max(1, n) - len(found)), seed=seed, first_index=len(found))
        except KeyboardInterrupt:
            if len(found) < LEAST:
                raise
            stopped = True
            break
        found += more
        spent = time.monotonic() - begin
        reporter.progress("sampling", len(found), n)
        chunk = 256 if allowed_s is None else int(min(256, len(found) / spent * max(0.0, allowed_s - spent)))
        if chunk < 1:
            break
    why = "stopped by hand" if stopped else "for lack of time"
    notes = [] if len(found) >= n else [f"{len(found):,} samples instead of {n:,}, {why}"]
    return found, notes, stopped


def evidence(
    model: Model,
    data: Dataset,
    samples: list[Any],
    seconds: float | None,
    seed: int,
    features: Features | None = None,
) -> Evidence:
    """What an evaluation of these samples of a model receives."""
    text = isinstance(model.item_spec, Tokens)
    scores = text or (type(model.family).bits is not Family.bits and model.codec is None)
    clusters = text and "test_clusters" in data.scan.parts
    return Evidence(
        modality=data.modality.base,
        spec=model.item_spec,
        train=lambda n: data.items("train", n, seed),
        test=lambda n: data.items("test", n, seed),
        train_text=(lambda limit: data.text("train", limit)) if text else None,
        test_text=(lambda limit: data.text("test", limit)) if text else None,
        samples=samples,
        bits=(lambda allowed: _bits_in_time(model, data, allowed, "test")) if scores else None,
        parts=(lambda: model.bits_by_part(data.scoring("test", limit=PARTS_MOST))) if text else None,
        seen=(lambda part, limit: learned_bits(model, data.scoring(part, limit=limit))) if scores else None,
        seconds=seconds,
        seed=seed,
        features=features,
        pool=lambda n: pool_of(data, model.item_spec, n, seed),
        labels=_labels(model, data, len(samples), seed),
        clusters=(lambda allowed: _bits_in_time(model, data, allowed, "test_clusters")) if clusters else None,
        clusters_text=(lambda limit: data.text("test_clusters", limit)) if clusters else None,
    )


def _labels(model: Model, data: Dataset, n: int, seed: int) -> Labels | None:
    """Classes of n samples of the seed and of real items; None where the run has none."""
    asked = model.sample_labels(n, seed)
    if asked is None:
        return None

    def of(part: str) -> Callable[[int], Any]:
        return lambda count: data.item_labels(part, count, seed)

    return Labels(of("train"), of("test"), asked.numpy())


def pool_of(data: Dataset, spec: Spec, n: int, seed: int) -> Pool:
    """Real items of a run's data for the audit for copies, at most n, in an order of chance."""
    held, drawn = data.held_out()
    if isinstance(spec, Tokens) and spec.packed:
        train = data.text("train")
        return Pool(train, [text for part in held for text in data.text(part)], None, len(train), drawn)
    one = data.items("train", 1, seed)
    n = min(n, max(int(POOL_BYTES // max(size_of(one[0]), 1)), 1_000)) if one else n
    parts = [data.items(part, n // 2 // len(held), seed) for part in held]
    others = [item for part in parts for item in part]
    return pooled(data, data.items("train", n - len(others), seed), others, data.part_size("train"), drawn, seed)


def pooled(data: Dataset, train: list[Any], held: list[Any], of: int, drawn: bool, seed: int) -> Pool:
    """These items in an order of chance, with the groups of their twins."""
    source = np.random.default_rng(seed)
    ours, theirs = ([part[i] for i in source.permutation(len(part))] for part in (train, held))
    keys = np.array(data.twins([*ours, *theirs]), dtype=np.uint64)
    return Pool(ours, theirs, np.unique(keys, return_inverse=True)[1], max(of, len(train)), drawn)


def size_of(item: Any) -> int:
    """Bytes of an item in memory, about."""
    return int(getattr(item, "nbytes", 0)) or 4 * len(item)


def _bits_in_time(model: Model, data: Dataset, allowed: float | None, part: str) -> list[tuple[float, float]]:
    """A whole part, or as much of it, taken evenly, as the time allows: its beginning alone may be easier."""
    if allowed is None:
        return model.bits(data.scoring(part))
    begin = time.monotonic()
    probe = model.bits(data.scoring(part, limit=PROBE))
    took = time.monotonic() - begin
    most = 0.7 * (allowed - took) / max(took, 1e-6) * sum(units for _, units in probe)
    return probe if most <= PROBE else model.bits(data.scoring(part, limit=most), allowed - took)


def learned_bits(model: Model, batches: Iterator[Batch]) -> list[tuple[float, float]]:
    """(bits, units) of each example under what was learned by gradients: of a mixture with counts, which have read the
    training items letter by letter, the network alone."""
    return model.bits(batches, part="network")


def _history(folder: Path) -> list[dict[str, Any]]:
    steps = [e for e in events_file.read(folder / events_file.NAME) if e["event"] == "step"]
    every = max(1, len(steps) // 1000)
    return steps[::every]
