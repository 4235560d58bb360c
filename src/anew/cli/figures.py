"""The commands that measure: score, nearest, evaluate, compare."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from anew import api
from anew.cli.printing import print_lines, print_notes, progress_of
from anew.cli.progress import ProgressLine
from anew.cli.summary import after_evaluation, closing, nearest_lines, score_lines, score_table
from anew.cli.terminal import write, write_json
from anew.core.exit_codes import DONE, FAILED_CHECK
from anew.core.processes.launcher import is_first_process
from anew.core.wording import plural
from anew.errors import ConfigError


def score(arguments: argparse.Namespace) -> None:
    """`anew score`."""
    if arguments.out is not None and not arguments.per_item:
        raise ConfigError("--out is for the rows of --per-item; give both")
    out = None if arguments.out is None else api.new_csv_file(arguments.out)
    api.check_scored(arguments.run, arguments.data, dict(arguments.set))
    model = api.load(arguments.run, trust_code=arguments.trust_code)
    print_notes(model)
    # Progress belongs to standard error, whatever the rows are written to.
    with ProgressLine(sys.stderr) as progress:
        scores = model.score(
            Path(arguments.data), per_item=arguments.per_item, settings=dict(arguments.set), reporter=progress
        )
    if out is not None:
        scores.save(out)
    if arguments.json:
        write_json(scores.to_json() | ({} if out is None else {"items": str(out)}))
    elif arguments.per_item and out is None:
        write(scores.to_csv().removesuffix("\n"))
        for note in scores.notes:
            write(note, sys.stderr)
    else:
        print_lines(score_lines(scores))
        if out is not None:
            write(f"{plural(len(scores.items), 'row')} in {out}")


def nearest(arguments: argparse.Namespace) -> None:
    """`anew nearest`."""
    if arguments.text and arguments.items is not None:
        raise ConfigError("ITEMS and --text are mutually exclusive")
    out = None if arguments.out is None else api.new_picture_file(arguments.out)
    with ProgressLine(sys.stderr) as progress:
        nearest_items = api.nearest(
            arguments.run, arguments.text or arguments.items, arguments.n, data=arguments.data, reporter=progress
        )
        picture = None if out is None else nearest_items.save(out)
    if arguments.json:
        write_json(nearest_items.to_json() | ({} if picture is None else {"picture": str(picture)}))
        return
    print_lines(nearest_lines(nearest_items))
    if picture is not None:
        write(f"drawn in {picture}")


def evaluate(arguments: argparse.Namespace, started: float) -> int:
    """`anew evaluate`."""
    requirements = [] if arguments.fail_on is None else api.parse_requirements(arguments.fail_on)
    with progress_of(arguments) as progress:
        report = api.evaluate(
            arguments.run,
            arguments.n,
            samples=arguments.samples,
            data=arguments.data,
            held_out=arguments.held_out,
            features=arguments.features,
            modality=arguments.modality,
            out=arguments.out,
            budget=arguments.budget,
            seed=arguments.seed,
            settings=dict(arguments.set),
            trust_code=arguments.trust_code,
            reporter=progress,
            started=started,
        )
    if not is_first_process():
        return DONE
    outcomes = api.check_requirements(report, requirements) if requirements else []
    passed = all(outcome.passed for outcome in outcomes)
    if arguments.json:
        checks = [{"condition": o.requirement.text, "passed": o.passed, "measured": o.sentence} for o in outcomes]
        write_json(report.to_json() | ({"checks": checks} if outcomes else {}))
        return DONE if passed else FAILED_CHECK
    record = api.as_record(report.to_json())
    print_lines([[], *closing(record), []])
    if arguments.verbose:
        print_lines([*score_table(record), []])
    if report.folder is not None:
        print_lines([[("report   ", "bold"), (str(report.folder / "report.html"), "")]])
        # The folder is that of a copy in the cache
        is_in_run = arguments.samples is None and arguments.out is None
        if arguments.run is not None and is_in_run and "://" in arguments.run:
            print_lines([[("kept at  ", "bold"), (f"{arguments.run.rstrip('/')}/{report.folder.name}", "")]])
        if arguments.run is not None and is_in_run:
            print_lines(after_evaluation(arguments.run, record))
    for outcome in outcomes:
        print_lines(
            [
                [
                    ("passed   " if outcome.passed else "failed   ", "bold"),
                    (f"{outcome.requirement.text}: {outcome.sentence}", ""),
                ]
            ]
        )
    return DONE if passed else FAILED_CHECK


def compare(arguments: argparse.Namespace) -> int:
    """`anew compare`, to its exit code."""
    with progress_of(arguments) as progress:
        report = api.compare(
            arguments.data,
            out=arguments.out,
            families=arguments.families or (),
            runs=arguments.runs,
            budget=arguments.budget,
            steps=arguments.steps,
            modality=arguments.modality,
            seed=arguments.seed,
            seeds=arguments.seeds,
            settings=dict(arguments.set),
            n=arguments.n,
            trust_code=arguments.trust_code,
            reporter=progress,
        )
    code = FAILED_CHECK if report.failure else DONE
    if arguments.json:
        write_json(report.to_json())
        return code
    legend = "* the best, or no worse than chance explains\n" if "*" in report.table else ""
    write(f"\n{report.table}\n{legend}")
    for sentence in report.findings:
        write(sentence)
    tested = [claim for claim in report.claims if claim.outcome != "not tested"]
    if tested:
        write("Textbook claims, checked on this data:")
    for claim in tested:
        write(f"  {claim.claim}: {claim.outcome} ({claim.evidence})")
    for note in report.notes:
        write(note)
    if report.failure:
        write(report.failure)
    print_lines([[("page     ", "bold"), (str(report.folder / "compare.html"), "")]])
    return code
