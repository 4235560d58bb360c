"""`compare`: the same data, split, seed and budget for several families, or runs that exist already, side by side."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from anew.core import files
from anew.core.provenance import command_line
from anew.core.reporter import Reporter, SilentReporter
from anew.core.specs import Tokens
from anew.core.threads import use_threads
from anew.data.dataset import Dataset
from anew.data.types import DataBudget
from anew.errors import ConfigError, RunError, UserError
from anew.evaluation.reporting import comparison
from anew.evaluation.reporting.ranking import Entrant
from anew.runs.folder import RunFolder
from anew.runs.record import RunRecord
from anew.sampling.model import Model
from anew.workflows.compare.measure import REAL, draw, measure
from anew.workflows.compare.subprocesses import Contestant, contestants, log_of, train_all

REQUEST = "request.json"  # in the comparison's folder: what it compares, so that the same command goes on with it


@dataclass(frozen=True)
class Compared:
    """What `compare` returns. found: what compare.json holds; table: the figures for a terminal."""

    folder: Path
    found: dict[str, Any]
    table: str


def compared(
    out: Path, request: dict[str, Any], runs: Sequence[str | Path], n: int, trust_code: bool, reporter: Reporter | None
) -> Compared:
    """request: data, families, budget (seconds) or steps, seed, modality, settings; runs: finished ones instead."""
    reporter = reporter or SilentReporter()
    use_threads()
    if not 20 <= n <= 10_000:
        raise ConfigError(f"n={n} is out of range; give 20 to 10,000")
    if runs:
        entries = _given(runs)
        request = {"runs": [str(Path(r).resolve()) for r in runs]}
        failed: dict[str, str] = {}
    else:
        entries = contestants(request["families"], out)
        request = {**request, "families": [e.asked for e in entries]}
        _fits(entries, request)
        _claim(out, request)
        failed = train_all(entries, request, reporter.message)
        if len(failed) == len(entries) and not any(e.folder.exists() for e in entries):
            _unclaim(out, entries)
        _some(failed, entries)
    return _judged(out, entries, failed, request, n, trust_code, reporter)


def _given(runs: Sequence[str | Path]) -> list[Contestant]:
    """Finished runs under names that tell them apart: their folders', or as many parents with it as it takes."""
    paths = [Path(run).resolve() for run in runs]
    if len(set(paths)) < len(paths) or len(paths) < 2:
        raise ConfigError(f"`runs` names {len(set(paths))} different runs; give two or more, each once")
    depth = next(d for d in range(1, 99) if len({p.parts[-d:] for p in paths}) == len(paths))
    return [Contestant("/".join(p.parts[-depth:]), Path(run)) for p, run in zip(paths, runs, strict=True)]


def _claim(out: Path, request: Mapping[str, Any]) -> None:
    """Make the folder, or find that it holds the same comparison; ConfigError where it is in the way."""
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        if not (out / REQUEST).is_file():
            raise ConfigError(f"`out` {str(out)!r} exists and is no comparison; give another folder")
        before = files.read_json(out / REQUEST)
        if ("runs" in before) != ("runs" in request):
            raise ConfigError(f"`out` {str(out)!r} holds another comparison; give another folder")
        other = next((k for k in {**before, **request} if before.get(k) != request.get(k)), None)
        if other is not None:
            was, now = before.get(other), request.get(other)
            raise ConfigError(
                f"`out` {str(out)!r} holds another comparison ({other} was {was}, now {now}); give another"
            )
        return
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(f"cannot make the folder {str(out)!r} ({error.strerror}); give another") from None
    files.write_json(out / REQUEST, dict(request))


def _unclaim(out: Path, entries: Sequence[Contestant]) -> None:
    """Nothing could be begun: leave the folder as it was, so that a better request may have it."""
    for path in (out / REQUEST, *(log_of(e) for e in entries)):
        path.unlink(missing_ok=True)
    with contextlib.suppress(OSError):
        out.rmdir()


def _fits(entries: Sequence[Contestant], request: Mapping[str, Any]) -> None:
    """Refuse, before anything is trained, families that cannot take the data."""
    from anew.planning.choose import choose_family

    size = DataBudget(request["budget"], 0, 0, 1, "cpu")
    data = Dataset.open(request["data"], modality=request["modality"], seed=request["seed"], size=size)
    try:
        data.fit(size)
        for entry in entries:
            choose_family(data.spec, entry.family, description=data.modality.traits.plural)
    finally:
        data.close()


def _some(failed: Mapping[str, str], entries: Sequence[Contestant]) -> None:
    """RunError where no family is left to measure."""
    if len(failed) == len(entries):
        reasons = dict.fromkeys(failed.values())
        said = next(iter(reasons)) if len(reasons) == 1 else "; ".join(f"{k}: {v}" for k, v in failed.items())
        raise RunError(f"no family could be trained: {said}")


def _judged(
    out: Path,
    entries: Sequence[Contestant],
    failed: dict[str, str],
    request: Mapping[str, Any],
    n: int,
    trust_code: bool,
    reporter: Reporter,
) -> Compared:
    begin = time.monotonic()
    records: dict[str, RunRecord] = {}
    for entry in entries:
        if entry.asked not in failed:
            record = RunFolder.open(entry.folder).read()
            if record.status != "finished":
                raise RunError(f"the run {entry.asked!r} is not finished; finish it with resume, then compare")
            records[entry.asked] = record
    _same_kind(records)
    first = next(iter(records))
    folder = next(e.folder for e in entries if e.asked == first)
    # The same data is divided the same way whatever the seed, so no run was trained on what another is scored on.
    data = Dataset.reopen(records[first].data.model_dump(), folder, request.get("data"))
    try:
        if "runs" in request:
            _claim(out, request)
        entrants = _entrants(out, entries, failed, records, data, n, trust_code, reporter)
        _some({e.name: e.failed for e in entrants if e.failed}, entries)
        compared = _written(out, entrants, records, data, request)
    finally:
        data.close()
    reporter.message(f"compared in {time.monotonic() - begin:.0f} s")
    return compared


def _same_kind(records: Mapping[str, RunRecord]) -> None:
    """RunError where runs are of different data, or of images of different shapes."""
    first, *rest = records
    for other in rest:
        one, two = records[first].data, records[other].data
        if one.fingerprint != two.fingerprint:
            raise RunError(f"the runs {first!r} and {other!r} are of different data; give runs of the same data")
        shapes = [d.learned.get("shape") for d in (one, two)]
        if shapes[0] != shapes[1]:
            sizes = ["x".join(map(str, s or ())) for s in shapes]
            raise RunError(
                f"the runs {first!r} and {other!r} are of the same data at different sizes ({sizes[0]} and {sizes[1]}), "
                "whose figures cannot be compared; train both with the same setting size"
            )


def _entrants(
    out: Path,
    entries: Sequence[Contestant],
    failed: Mapping[str, str],
    records: Mapping[str, RunRecord],
    data: Dataset,
    n: int,
    trust_code: bool,
    reporter: Reporter,
) -> list[Entrant]:
    """All runs, measured at the same number of samples."""
    seed = next(iter(records.values())).data.seed
    found, models = [], {}
    for entry in entries:
        kind = records[entry.asked].family.name if entry.asked in records else entry.family
        one = Entrant(entry.asked, kind, os.path.relpath(entry.folder, out), failed=failed.get(entry.asked, ""))
        found.append(one)
        if one.failed:
            continue
        one.copies = _audit(entry.folder)
        reporter.message(f"{one.name}: sampling")
        try:
            models[one.name] = Model(RunFolder.open(entry.folder), trust_code=trust_code)
            draw(models[one.name], one, _amount(n, data), seed)
        except UserError as error:
            one.failed = str(error)
    at_once = min((len(e.samples) for e in found if not e.failed), default=0)
    for one in found:
        if not one.failed:
            reporter.message(f"{one.name}: measuring {at_once:,} samples")
            one.samples = one.samples[:at_once]
            measure(models.pop(one.name), one, data, seed)
    return found


def _audit(folder: Path) -> dict[str, Any] | None:
    """What the run's own report holds under `copies`."""
    try:
        found = files.read_json(folder / "report" / "report.json")
    except RunError:
        return None
    copies = found.get("copies") if isinstance(found, dict) else None
    return copies if isinstance(copies, dict) else None


def _amount(n: int, data: Dataset) -> int:
    """As many samples as there are held-out items; a passage of a stream holds as much as many records or images."""
    if isinstance(data.spec, Tokens) and data.spec.packed:
        return max(4, n // 32)
    return max(20, min(n, data.part_size("test")))


def _written(
    out: Path, entrants: list[Entrant], records: Mapping[str, RunRecord], data: Dataset, request: Mapping[str, Any]
) -> Compared:
    about_data = next(iter(records.values())).data
    notes = [f"{e.name} failed: {e.failed}" for e in entrants if e.failed]
    notes += [f"{e.name} has no walks: {e.no_walk}" for e in entrants if e.no_walk]
    measured = [e for e in entrants if not e.failed]
    count = len(measured[0].samples)
    about = {
        "data": about_data.path,
        "modality": data.modality.name,
        "fingerprint": data.fingerprint,
        "parts": dict(about_data.parts),
        "budget": request.get("budget"),
        "seed": about_data.seed,
        "n": count,
    }
    found = comparison.to_json(entrants, about, notes)
    held = data.modality.pictures(data.items("test", REAL, about_data.seed))
    for entrant in measured:
        entrant.samples = data.modality.pictures(entrant.samples)
    each = f" for {request['budget']:g} s each" if request.get("budget") else ""
    page = comparison.page(
        entrants,
        title=Path(about_data.path).name,
        subtitle=f"Trained on the same items{each} and measured on the same {data.part_size('test'):,} that none of them saw; "
        f"{count:,} samples each.",
        real=held,
        spectrum=next((e.real_spectrum for e in measured if e.real_spectrum is not None), None),
        notes=notes,
        command=command_line(),
    )
    files.write_json(out / "compare.json", found)
    files.write_text(out / "compare.html", page)
    return Compared(out, found, comparison.table(entrants))
