"""One function per command: arguments in, one call of `anew.api`, lines for people or one JSON object out."""

from __future__ import annotations

import argparse
import dataclasses
import os
import sys
from collections.abc import Callable
from pathlib import Path

import anew
from anew import api
from anew.cli.figures import compare, evaluate, nearest, score
from anew.cli.output_folder import OutputFolder, request_of
from anew.cli.printing import LateDetails, print_lines, progress_of, requests_printed
from anew.cli.progress import ProgressLine
from anew.cli.sampling import sample
from anew.cli.summary import closing, describe, describe_run, places, score_table, setting_lines
from anew.cli.terminal import write, write_json
from anew.core import arguments as checked
from anew.core.exit_codes import DONE
from anew.core.processes.launcher import is_first_process
from anew.errors import ConfigError, UnsentError, command

LOOK_WAIT = 5.0  # seconds that `look` takes in silence, twice as many as on idle cores; chosen


def run(arguments: argparse.Namespace, started: float) -> int:
    """Carry out a parsed command, to its exit code.

    Args:
        arguments: What `anew.cli.parser.parse` returned.
        started: time.monotonic() when the process began; a budget counts from there.

    Raises:
        KeyboardInterrupt: A signal stopped it before its end.
    """
    if arguments.version:
        write(anew.__version__)
        return DONE
    if arguments.command in TIMED_COMMANDS:
        return TIMED_COMMANDS[arguments.command](arguments, started) or DONE
    return COMMANDS[arguments.command](arguments) or DONE


def _look(arguments: argparse.Namespace) -> None:
    with LateDetails(LOOK_WAIT, sys.stderr) as progress:
        inspection = api.look(
            arguments.data,
            modality=arguments.modality,
            prefer=arguments.prefer,
            budget=arguments.budget,
            seed=arguments.seed,
            settings=dict(arguments.set),
            reporter=progress,
        )
    if arguments.json:
        write_json(inspection.to_json())
    elif isinstance(inspection, api.RunInspection):
        print_lines(describe_run(inspection))
    else:
        print_lines(describe(inspection))


# ---- training ----


def _train(arguments: argparse.Namespace, started: float) -> None:
    # Named here already: an interrupted training returns no model that would say it.
    run = str(api.default_run(checked.path("data", arguments.data))) if arguments.run is None else arguments.run

    def train(progress: ProgressLine) -> anew.Model:
        return api.train(
            arguments.data,
            run,
            budget=arguments.budget,
            steps=arguments.steps,
            family=arguments.family,
            modality=arguments.modality,
            prefer=arguments.prefer,
            seed=arguments.seed,
            settings=dict(arguments.set),
            plan=arguments.plan,
            reporter=progress,
            started=started,
        )

    _to_the_end(train, run, arguments)


def _resume(arguments: argparse.Namespace, started: float) -> None:
    def resume(progress: ProgressLine) -> anew.Model:
        return api.resume(
            arguments.run,
            budget=arguments.budget,
            steps=arguments.steps,
            data=arguments.data,
            trust_code=arguments.trust_code,
            reporter=progress,
            started=started,
        )

    _to_the_end(resume, arguments.run, arguments)


def _to_the_end(train: Callable[[ProgressLine], anew.Model], run: str, arguments: argparse.Namespace) -> None:
    """Train with progress, then say how good the run is and where; or how to continue, if it was interrupted."""
    try:
        with progress_of(arguments) as progress:
            folder = _trained(train, progress, run).folder
    except UnsentError as error:
        if is_first_process():
            _print_run(error.folder, arguments)
        raise
    if is_first_process():
        _print_run(folder.path, arguments, folder.address)


def _trained(train: Callable[[ProgressLine], anew.Model], progress: ProgressLine, run: str) -> anew.Model:
    try:
        return train(progress)
    except KeyboardInterrupt:
        if is_first_process() and api.is_begun(run):
            saved = "state saved; " if progress.steps else ""
            progress.message(f"{saved}continue with `{command('anew', 'resume', run)}`")
        raise


def _print_run(folder: Path, arguments: argparse.Namespace, address: str | None = None) -> None:
    report = api.read_report(folder)
    if arguments.json:
        location = {} if address is None else {"address": address}
        write_json({"folder": str(folder), **location, "report": report})
        return
    record = api.as_record(report)
    print_lines([[], *closing(record), []])
    if arguments.verbose:
        print_lines([*score_table(record), []])
    print_lines(places(folder, record, address))


# ---- samples ----


def _walk(arguments: argparse.Namespace) -> None:
    out, ends = checked.new_path("out", arguments.out), (arguments.start, arguments.end)
    if (arguments.start is None) != (arguments.end is None):
        raise ConfigError("--from and --to are used together; give both, or neither to walk between samples")
    if arguments.start is not None and arguments.stops is not None:
        raise ConfigError("--stops and --from are mutually exclusive: a walk between two items has no other stops")
    with OutputFolder(out, request_of(arguments)) as folder:
        walk = api.walk(
            arguments.run,
            arguments.n,
            **({} if arguments.stops is None else {"stops": arguments.stops}),
            seed=arguments.seed,
            label=arguments.label,
            ends=None if arguments.start is None else ends,
            settings=dict(arguments.set),
            trust_code=arguments.trust_code,
        )
        folder.begin()
        strip, animation = walk.save(out, overwrite=True)
    if arguments.json:
        paths = {"strip": str(strip), "animation": str(animation), "frames_folder": str(out / "frames")}
        write_json({"folder": str(out), "frames": len(walk.frames), "label": walk.label, **paths})
    else:
        label = "" if walk.label is None else f" of class {walk.label!r}"
        write(f"{len(walk.frames)} frames{label} in {out / 'frames'}\nstrip: {strip}\nanimation: {animation}")


def _export(arguments: argparse.Namespace) -> None:
    export = api.export(
        arguments.run,
        arguments.to,
        arguments.out,
        number_type=arguments.number_type,
        push=arguments.push,
        trust_code=arguments.trust_code,
    )
    if arguments.json:
        write_json(export.to_json())
        return
    size = sum(path.stat().st_size for path in export.files)
    if export.files == (export.folder,):
        write(f"wrote {export.folder} ({size / 1e6:,.1f} MB); open it in a browser")
    else:
        write(f"wrote {len(export.files)} files ({size / 1e6:,.1f} MB) to {export.folder}")
    for note in export.notes:
        write(note)
    if export.address is not None:
        write(f"pushed to {export.address}")


def _serve(arguments: argparse.Namespace) -> None:
    def ready(address: str, names: list[str]) -> None:
        if arguments.json:
            write_json({"address": address, "models": names})
        else:
            write(f"serving {', '.join(names)} at {address}/v1; Ctrl-C stops")
        sys.stdout.flush()

    if "*" in (arguments.allow_origin or ()):
        write("--allow-origin '*': any page that a browser opens may use these models", sys.stderr)
    key_of_environment = os.environ.get("ANEW_API_KEY")
    with requests_printed():
        api.serve(
            arguments.run,
            host=arguments.host,
            port=arguments.port,
            api_key=arguments.api_key or ([key_of_environment] if key_of_environment else None),
            unload_after=arguments.unload_after,
            chat=arguments.chat,
            allow_origin=arguments.allow_origin,
            trust_code=arguments.trust_code,
            on_ready=ready,
        )


def _studio(arguments: argparse.Namespace) -> None:
    def ready(address: str) -> None:
        if arguments.json:
            write_json({"address": address})
        else:
            write(f"the Studio is at {address}\ntraining continues without it; Ctrl-C stops only the Studio")
        sys.stdout.flush()

    api.studio(
        arguments.run,
        folder=arguments.folder,
        port=arguments.port,
        browser=not (arguments.no_browser or arguments.json),
        on_ready=ready,
    )


# ---- settings and examples ----


def _settings(arguments: argparse.Namespace) -> None:
    settings = api.settings(arguments.name)
    if arguments.json:
        write_json({"settings": [dataclasses.asdict(setting) for setting in settings]})
    else:
        print_lines(setting_lines(api.setting_groups(), settings))


def _example(arguments: argparse.Namespace) -> None:
    if arguments.name is None:
        examples = api.examples()
        if arguments.json:
            write_json({"examples": dict(examples)})
        else:
            print_lines([[(f"{name:<14}", "bold"), (meaning, "")] for name, meaning in examples.items()])
        return
    if arguments.dir is None:
        api.check_example(arguments.name)
        raise ConfigError(f"the folder is missing; use `anew example {arguments.name} DIR`")
    folder = api.example(arguments.name, arguments.dir)
    if arguments.json:
        write_json({"name": arguments.name, "folder": str(folder)})
    else:
        write(f"wrote {folder}\nnext: {command('anew', 'train', folder, '--budget', '2m')}")


# Commands whose budget counts from the time that the process began
TIMED_COMMANDS: dict[str, Callable[[argparse.Namespace, float], int | None]] = {
    "train": _train,
    "resume": _resume,
    "evaluate": evaluate,
}
COMMANDS: dict[str, Callable[[argparse.Namespace], int | None]] = {
    "look": _look,
    "sample": sample,
    "score": score,
    "nearest": nearest,
    "compare": compare,
    "walk": _walk,
    "export": _export,
    "serve": _serve,
    "studio": _studio,
    "settings": _settings,
    "example": _example,
}
