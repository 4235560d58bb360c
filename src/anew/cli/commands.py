"""One function per command: arguments in, one call of `anew.api`, lines for people or one JSON object out."""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import anew
from anew import api
from anew.cli.figures import compare, evaluate, nearest, score
from anew.cli.output_folder import OutputFolder
from anew.cli.printing import LateDetails, print_lines, print_notes, progress_of, requests_printed
from anew.cli.progress import ProgressLine
from anew.cli.summary import closing, describe, describe_run, places, score_table, setting_lines
from anew.cli.terminal import write, write_json
from anew.core import arguments as checked
from anew.core.exit_codes import DONE
from anew.core.processes.launcher import is_first_process, num_processes
from anew.core.wording import are, listed, plural
from anew.errors import ConfigError, UnsentError, command, shorten

LOOK_WAIT = 5.0  # seconds that `look` takes in silence, twice as many as on idle cores; chosen
PRESENTATION = ("out", "debug", "json", "verbose")  # arguments that do not change which files a command writes


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


def _sample(arguments: argparse.Namespace) -> None:
    out = checked.new_path("out", arguments.out)
    if not is_first_process() and arguments.again is None:
        _drawn(arguments)  # its part, which the first process writes
        return
    with OutputFolder(out, _request(arguments)) as folder:
        samples, interrupted = _drawn(arguments) if arguments.again is None else (_drawn_again(arguments), False)
        num_repeated = 0 if arguments.again is not None else api.num_repeated(samples, arguments.run)
        samples = samples.enlarged(arguments.scale)
        samples = samples if arguments.format is None else samples.in_format(arguments.format)
        samples.num_planned = arguments.n
        folder.begin()
        # The folder holds the mark that it is unfinished, or files of the same command, which was stopped.
        paths = samples.save(out, overwrite=True)
        # One file, of all samples or of the only one, needs no sheet; and several shares have no common one.
        has_sheet = len(paths) > 1 and arguments.share is None
        sheet = samples.save_sheet(out, overwrite=True) if has_sheet else None
        sprite_sheet = samples.save_sprite_sheet(out, overwrite=True) if has_sheet else []
        if interrupted:
            write(f"the first {plural(len(samples), 'sample')} are in {out}; the same command draws all", sys.stderr)
            raise KeyboardInterrupt
    num_empty = 0 if arguments.stop is None else sum(not item for item in samples if isinstance(item, str))
    if num_empty:
        write(f"{plural(num_empty, 'sample')} {are(num_empty)} empty: the --stop text came first", sys.stderr)
    _print_if_prompt_is_strange(samples)
    _print_if_nothing_follows(samples)
    if num_repeated:
        subject = f"the first {num_repeated:,} are" if num_repeated > 1 else "the first is"
        seed = 1 if arguments.seed == 0 else 0
        write(f"{subject} also in {Path(arguments.run) / 'samples'}; --seed {seed} gives others", sys.stderr)
    if arguments.json:
        files = {"files": [str(path) for path in paths], "sheet": None if sheet is None else str(sheet)}
        files["sprite_sheet"] = [str(path) for path in sprite_sheet]
        write_json({"folder": str(out), "samples": len(samples), **files})
    elif sheet is None:
        place = paths[0] if len(paths) == 1 else out
        write(f"{plural(len(samples), 'item')} in {place}")
    else:
        selection = "all" if samples.num_on_sheet == len(samples) else f"the first {samples.num_on_sheet}"
        atlas = "".join(f"; {path.name} has them without gaps" for path in sprite_sheet[:1])
        write(f"{len(paths):,} items in {out}, {selection} of them in {sheet.name}{atlas}")


def _print_if_prompt_is_strange(samples: anew.Samples) -> None:
    """Print which characters of the prompt the training text does not have, on standard error."""
    absent = samples.absent_characters
    if absent:
        write(
            f"the training text has no {listed([repr(c) for c in absent])}, so the model cannot know what follows",
            sys.stderr,
        )


def _print_if_nothing_follows(samples: anew.Samples) -> None:
    """Print how many samples add nothing to the prompt, on standard error."""
    num_empty = samples.num_empty_continuations
    if num_empty:
        write(
            f"{num_empty:,} of {plural(len(samples), 'sample')} {'adds' if num_empty == 1 else 'add'} nothing to the prompt: the "
            "model ended there, perhaps because nothing in the data begins like this",
            sys.stderr,
        )


def _drawn(arguments: argparse.Namespace) -> tuple[anew.Samples, bool]:
    """New samples of a run, or a share of them, and whether a signal came before all were drawn. Several processes draw them
    together."""
    if arguments.run is None:
        raise ConfigError("RUN is missing; give the folder of a run, or --again with a file that one made")
    settings = dict(arguments.set)
    if num_processes() == 1:  # of several, the first one alone can read the run
        api.check_files(arguments.run, arguments.format, arguments.scale)
    with api.loaded_together(arguments.run, arguments.trust_code, arguments.n, arguments.label, settings) as (
        model,
        world,
    ):
        if is_first_process():
            print_notes(model)
        if world is not None:
            api.check_files(model, arguments.format, arguments.scale)
        # Progress belongs to standard error, as the last line alone says where the files are.
        with ProgressLine(sys.stderr) as progress:
            draw = partial(
                model.sample,
                seed=arguments.seed,
                prompt=_prompt("prompt", arguments, model),
                suffix=_prompt("suffix", arguments, model),
                stop=arguments.stop,
                label=arguments.label,
                **checked.keywords(settings, model.sample),  # type: ignore[arg-type]  # none is an argument of its own
            )
            return api.sample_together(model, world, arguments.n, draw, share=arguments.share, reporter=progress)


def _drawn_again(arguments: argparse.Namespace) -> anew.Samples:
    """The samples of a file once more. The file says all else that they follow from."""
    usual = {"n": 16, "seed": 0, "set": []}
    names = ("n", "seed", "prompt", "prompt_file", "suffix", "suffix_file", "stop", "label", "share", "set")
    for name in names:
        if getattr(arguments, name) != usual.get(name):
            option = "-n" if name == "n" else f"--{name.replace('_', '-')}"
            raise ConfigError(f"--again repeats what the file records, so {option} has no effect; leave it out")
    return api.again(arguments.again, arguments.run, trust_code=arguments.trust_code)


def _request(arguments: argparse.Namespace) -> str:
    """The request that identifies a command that writes files."""
    return json.dumps({name: value for name, value in vars(arguments).items() if name not in PRESENTATION})


def _prompt(name: str, arguments: argparse.Namespace, model: anew.Model) -> str | None:
    """The text of --prompt or --suffix, or what their file stands for."""
    option, file = f"--{name}-file", getattr(arguments, f"{name}_file")
    if file is None:
        text: str | None = getattr(arguments, name)
        return text
    try:
        return model.modality.prompt_file(Path(file))
    except IsADirectoryError:
        raise ConfigError(f"{option} {shorten(file)} is a folder; give a file") from None
    except (ValueError, OSError) as error:
        raise ConfigError(f"{option} {shorten(file)} cannot be used: {error}; give another file") from None


def _walk(arguments: argparse.Namespace) -> None:
    out, ends = checked.new_path("out", arguments.out), (arguments.start, arguments.end)
    if (arguments.start is None) != (arguments.end is None):
        raise ConfigError("--from and --to are used together; give both, or neither to walk between samples")
    if arguments.start is not None and arguments.stops is not None:
        raise ConfigError("--stops and --from are mutually exclusive: a walk between two items has no other stops")
    with OutputFolder(out, _request(arguments)) as folder:
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
        write(f"{export.folder} of {size / 1e6:,.1f} MB; open it in a browser")
    else:
        write(f"{len(export.files)} files of {size / 1e6:,.1f} MB in {export.folder}")
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
    "sample": _sample,
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
