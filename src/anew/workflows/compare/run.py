"""`compare`: the same data, split, seed and budget for several families, or runs that exist already, side by side."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from anew.core.specs import Tokens
from anew.core.threads import use_threads
from anew.data.dataset import Dataset
from anew.data.types import Size
from anew.errors import ConfigError, RunError, UserError
from anew.evaluation.reporting import comparison
from anew.evaluation.reporting.comparison import ComparisonReport
from anew.evaluation.reporting.ranking import RunResult
from anew.planning.planner import Quiet, Reporter
from anew.runs.folder import RunFolder, read_json, write_atomic, write_json
from anew.sampling.model import Model
from anew.workflows.compare.measure import REAL, draw, measure
from anew.workflows.compare.subprocesses import ComparedRun, log_of, parse_families, train_all
from anew.workflows.evaluate import COMPARISON_PASSAGES
from anew.workflows.job import command_line

REQUEST = "request.json"  # in the comparison's folder: what it compares, so that the same command goes on with it


__all__ = ["ComparisonReport", "compare_families"]


def compare_families(
    out: Path, request: dict[str, Any], runs: Sequence[str | Path], n: int, trust_code: bool, reporter: Reporter | None
) -> ComparisonReport:
    """request: data, families, budget (seconds) or steps, seed, modality, settings; runs: finished ones instead."""
    reporter = reporter or Quiet()
    use_threads()
    if not 20 <= n <= 10_000:
        raise ConfigError(f"n={n} is out of range; give 20 to 10,000")
    if runs:
        entries = _finished_runs(runs)
        request = {"runs": [str(Path(r).resolve()) for r in runs]}
        failed: dict[str, str] = {}
    else:
        entries = parse_families(request["families"], out)
        request = {**request, "families": [e.name for e in entries]}
        _check_families(entries, request)
        _reserve_folder(out, request)
        failed = train_all(entries, request, reporter.say)
        if len(failed) == len(entries) and not any(e.folder.exists() for e in entries):
            _release_folder(out, entries)
        _require_one(failed, entries)
    return _measure_and_write(out, entries, failed, request, n, trust_code, reporter)


def _finished_runs(runs: Sequence[str | Path]) -> list[ComparedRun]:
    """Finished runs under names that tell them apart: their folders', or as many parents with it as it takes."""
    paths = [Path(run).resolve() for run in runs]
    if len(set(paths)) < len(paths) or len(paths) < 2:
        raise ConfigError(f"--runs names {len(set(paths))} different runs; give two or more, each once")
    depth = 1
    while len({path.parts[-depth:] for path in paths}) < len(paths):  # ends, as the whole paths differ
        depth += 1
    return [ComparedRun("/".join(p.parts[-depth:]), Path(run)) for p, run in zip(paths, runs, strict=True)]


def _reserve_folder(out: Path, request: Mapping[str, Any]) -> None:
    """Make the folder, or find that it holds the same comparison; ConfigError where it is in the way."""
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        if not (out / REQUEST).is_file():
            raise ConfigError(f"--out {str(out)!r} exists and is no comparison; give another folder")
        before = read_json(out / REQUEST)
        if ("runs" in before) != ("runs" in request):
            raise ConfigError(f"--out {str(out)!r} holds another comparison; give another folder")
        other = next((k for k in {**before, **request} if before.get(k) != request.get(k)), None)
        if other is not None:
            was, now = before.get(other), request.get(other)
            raise ConfigError(
                f"--out {str(out)!r} holds another comparison ({other} was {was}, now {now}); give another"
            )
        return
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(f"cannot make the folder {str(out)!r} ({error.strerror}); give another") from None
    write_json(out / REQUEST, dict(request))


def _release_folder(out: Path, entries: Sequence[ComparedRun]) -> None:
    """Nothing could be begun: leave the folder as it was, so that a better request may have it."""
    for path in (out / REQUEST, *(log_of(e) for e in entries)):
        path.unlink(missing_ok=True)
    with contextlib.suppress(OSError):
        out.rmdir()


def _check_families(entries: Sequence[ComparedRun], request: Mapping[str, Any]) -> None:
    """ConfigError, before anything is trained, where a family cannot take the data."""
    from anew.planning.planner import choose_family

    size = Size(request["budget"], 0, 0, 1, "cpu")
    data = Dataset.open(request["data"], modality=request["modality"], seed=request["seed"], size=size)
    try:
        data.fit(size)
        for entry in entries:
            choose_family(data.spec, entry.family, what=data.modality.many())
    finally:
        data.close()


def _require_one(failed: Mapping[str, str], entries: Sequence[ComparedRun]) -> None:
    """RunError where no family is left to measure."""
    if len(failed) == len(entries):
        reasons = dict.fromkeys(failed.values())
        each = "; ".join(f"{name}: {reason}" for name, reason in failed.items())
        raise RunError(f"no family could be trained: {next(iter(reasons)) if len(reasons) == 1 else each}")


def _measure_and_write(
    out: Path,
    entries: Sequence[ComparedRun],
    failed: dict[str, str],
    request: Mapping[str, Any],
    n: int,
    trust_code: bool,
    reporter: Reporter,
) -> ComparisonReport:
    """Measure the runs that were not lost and write compare.json and compare.html."""
    begin = time.monotonic()
    configs = {e.name: RunFolder.open(e.folder).config() for e in entries if e.name not in failed}
    unfinished = next((name for name, c in configs.items() if "plan" not in c or c["status"] != "finished"), None)
    if unfinished is not None:
        raise RunError(f"the run {unfinished!r} is not finished; finish it with `anew resume`, then compare")
    _check_comparable(configs)
    first = next(iter(configs))
    folder = next(e.folder for e in entries if e.name == first)
    # The same data is divided the same way whatever the seed, so no run was trained on what another is scored on.
    data = Dataset.reopen(configs[first]["data"], folder, request.get("data"))
    try:
        if "runs" in request:
            _reserve_folder(out, request)
        results = _run_results(out, entries, failed, configs, data, n, trust_code, reporter)
        _require_one({result.name: result.failed for result in results if result.failed}, entries)
        report = _written(out, results, configs, data, request)
    finally:
        data.close()
    reporter.say(f"compared in {time.monotonic() - begin:.0f} s")
    return report


def _check_comparable(configs: Mapping[str, Mapping[str, Any]]) -> None:
    """RunError where runs are of different data, or of images of different shapes."""
    first, *rest = configs
    for other in rest:
        data, other_data = configs[first]["data"], configs[other]["data"]
        if data["fingerprint"] != other_data["fingerprint"]:
            raise RunError(f"the runs {first!r} and {other!r} are of different data; give runs of the same data")
        shapes = [d["learned"].get("shape") for d in (data, other_data)]
        if shapes[0] != shapes[1]:
            sizes = ["x".join(map(str, s)) for s in shapes]
            raise RunError(
                f"the runs {first!r} and {other!r} are of the same data at different sizes ({sizes[0]} and {sizes[1]}), "
                "whose scores cannot be compared; train both with the same --set size=..."
            )


def _run_results(
    out: Path,
    entries: Sequence[ComparedRun],
    failed: Mapping[str, str],
    configs: Mapping[str, Any],
    data: Dataset,
    n: int,
    trust_code: bool,
    reporter: Reporter,
) -> list[RunResult]:
    """All runs, measured at the same number of samples."""
    seed = int(next(iter(configs.values()))["data"]["seed"])
    results, models = [], {}
    for entry in entries:
        family = configs[entry.name]["family"]["name"] if entry.name in configs else entry.family
        result = RunResult(entry.name, family, os.path.relpath(entry.folder, out), failed=failed.get(entry.name, ""))
        results.append(result)
        if result.failed:
            continue
        result.copies = _copies(entry.folder)
        reporter.say(f"{result.name}: sampling")
        try:
            models[result.name] = Model(RunFolder.open(entry.folder), trust_code=trust_code)
            draw(models[result.name], result, _sample_count(n, data), seed)
        except UserError as error:
            result.failed = str(error)
    common = min((len(result.samples) for result in results if not result.failed), default=0)
    for result in results:
        if not result.failed:
            reporter.say(f"{result.name}: measuring {common:,} samples")
            result.samples = result.samples[:common]
            measure(models.pop(result.name), result, data, seed)
    return results


def _copies(folder: Path) -> dict[str, Any] | None:
    """What the run's own report holds under `copies`; None without a report that can be read."""
    try:
        report: dict[str, Any] = read_json(folder / "report" / "report.json")
    except RunError:
        return None
    copies: dict[str, Any] | None = report.get("copies")
    return copies


def _sample_count(n: int, data: Dataset) -> int:
    """As many samples as there are held-out items, or fewer passages."""
    if isinstance(data.spec, Tokens) and data.spec.packed:
        return max(4, n // COMPARISON_PASSAGES)
    return max(20, min(n, data.part_size("test")))


def _written(
    out: Path, results: list[RunResult], configs: Mapping[str, Any], data: Dataset, request: Mapping[str, Any]
) -> ComparisonReport:
    """Write compare.json and compare.html."""
    config = next(iter(configs.values()))
    notes = [f"{result.name} failed: {result.failed}" for result in results if result.failed]
    notes += [f"{r.name} cannot interpolate: {r.no_interpolation}" for r in results if r.no_interpolation]
    measured = [result for result in results if not result.failed]
    n = len(measured[0].samples)
    about = {
        "data": config["data"]["path"],
        "modality": data.modality.name,
        "fingerprint": data.fingerprint,
        "parts": dict(config["data"]["parts"]),
        "budget": request.get("budget"),
        "seed": config["data"]["seed"],
        "n": n,
    }
    report = ComparisonReport(out, tuple(results), about, tuple(notes))
    real = data.modality.pictures(data.items("test", REAL, int(config["data"]["seed"])))
    for result in measured:
        result.samples = data.modality.pictures(result.samples)
    budget = f" for {request['budget']:g} s each" if request.get("budget") else ""
    page = comparison.page(
        report,
        title=Path(str(config["data"]["path"])).name,
        subtitle=f"Trained on the same items{budget}, and compared with the same {data.part_size('test'):,} held-out items; "
        f"{n:,} samples each.",
        real=real,
        command=command_line(),
    )
    write_json(out / "compare.json", report.to_json())
    write_atomic(out / "compare.html", page.encode("utf-8", "replace"))
    return report
