"""One function a command."""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from anew.cli.terminal import write, write_json
from anew.core import arguments as checked
from anew.errors import ConfigError, command

UNFINISHED = ".unfinished.json"  # in a folder of samples while they are written: which command it is that writes them


def run(arguments: argparse.Namespace, started: float) -> None:
    """Carry out the parsed command. KeyboardInterrupt where a signal stopped it before its end."""
    if arguments.version:
        import anew

        write(anew.__version__)
        return
    handler = {
        "look": _look,
        "train": _train,
        "resume": _resume,
        "sample": _sample,
        "score": _score,
        "evaluate": _evaluate,
        "compare": _compare,
        "walk": _walk,
        "example": _example,
    }[arguments.command]
    handler(arguments, started)


def _settings(arguments: argparse.Namespace) -> dict[str, str]:
    return dict(arguments.set)


def _look(arguments: argparse.Namespace, started: float) -> None:
    from anew import api
    from anew.cli.show import describe

    how = {"modality": arguments.modality, "prefer": arguments.prefer, "seed": arguments.seed}
    found = api.look(arguments.data, settings=_settings(arguments), **how)
    if arguments.json:
        write_json(found)
    else:
        write(describe(found))


def _train(arguments: argparse.Namespace, started: float) -> None:
    from anew import api
    from anew.cli.show import ProgressLine

    # Named here already: an interrupted training returns no model that would say it.
    run = api.default_run(checked.path("data", arguments.data)) if arguments.run is None else arguments.run
    with ProgressLine() as progress:
        try:
            model = api.train(
                arguments.data,
                run,
                budget=arguments.budget,
                steps=arguments.steps,
                family=arguments.family,
                modality=arguments.modality,
                prefer=arguments.prefer,
                seed=arguments.seed,
                settings=_settings(arguments),
                plan=arguments.plan,
                reporter=progress,
                started=started,
            )
        except KeyboardInterrupt:
            _interrupted(progress, run)
            raise
    _ended(model.folder.path)


def _resume(arguments: argparse.Namespace, started: float) -> None:
    from anew import api
    from anew.cli.show import ProgressLine

    with ProgressLine() as progress:
        try:
            model = api.resume(
                arguments.run,
                budget=arguments.budget,
                steps=arguments.steps,
                data=arguments.data,
                trust_code=arguments.trust_code,
                reporter=progress,
                started=started,
            )
        except KeyboardInterrupt:
            _interrupted(progress, arguments.run)
            raise
    _ended(model.folder.path)


def _interrupted(progress: Any, run: str | Path) -> None:
    if _first() and (Path(run) / "config.json").exists():
        state = "the state is saved, go on" if progress.steps else "go on"
        progress.say(f"{state} with `{command('anew', 'resume', run)}`")


def _first() -> bool:
    """Whether this process speaks for all that torchrun began."""
    return os.environ.get("RANK", "0") == "0"


def _ended(folder: Path) -> None:
    if _first():
        more = command("anew", "sample", folder, "--out", "DIR")
        write(f"run: {folder}\nreport: {folder / 'report' / 'report.html'}\nmore samples: {more}")


def _sample(arguments: argparse.Namespace, started: float) -> None:
    from anew import api

    out = checked.path("out", arguments.out)
    with _filling(out, arguments):
        model = api.load(arguments.run, trust_code=arguments.trust_code)
        how = checked.keywords(_settings(arguments), model.sample)
        if arguments.stop is not None:
            how["stop"] = arguments.stop
        prompt, suffix = arguments.prompt, arguments.suffix
        if arguments.prompt_file is not None:
            prompt = _read("--prompt-file", model.modality, Path(arguments.prompt_file))
        if arguments.suffix_file is not None:
            suffix = _read("--suffix-file", model.modality, Path(arguments.suffix_file))
        seed, label = arguments.seed, arguments.label
        samples = model.sample(arguments.n, seed=seed, prompt=prompt, suffix=suffix, label=label, **how)
        _begin(out, arguments)
        paths = samples.save(out)
        if len(paths) == 1:  # all in one file, or one alone: nothing that a sheet would show besides
            said = f"{len(samples)} item{'s' * (len(samples) != 1)} in {paths[0]}"
        else:
            sheet = samples.save_sheet(out)
            shown = "all" if samples.on_sheet == len(samples) else f"the first {samples.on_sheet}"
            said = f"{len(paths)} items in {out}, and {shown} of them in {sheet.name}"
    write(said)


@contextlib.contextmanager
def _filling(out: Path, arguments: argparse.Namespace) -> Iterator[None]:
    """A folder that must be new, empty, or left half-written by the same command, which then writes it again."""
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        mark = out / UNFINISHED
        if not mark.is_file():
            raise ConfigError(f"--out {str(out)!r} exists and is not empty; give another folder")
        if mark.read_text(encoding="utf-8", errors="replace") != _asked(arguments):
            raise ConfigError(
                f"--out {str(out)!r} holds part of what another command wrote, which was stopped; "
                "give that command again, or another folder"
            )
        for left in [*out.glob(".*.tmp"), *out.glob("*/.*.tmp")]:
            left.unlink(missing_ok=True)
    yield
    (out / UNFINISHED).unlink(missing_ok=True)


def _begin(out: Path, arguments: argparse.Namespace) -> None:
    """From here on the folder is unfinished."""
    try:
        out.mkdir(parents=True, exist_ok=True)
        (out / UNFINISHED).write_text(_asked(arguments), encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"--out {str(out)!r} cannot be written ({error.strerror}); give another folder") from None


def _asked(arguments: argparse.Namespace) -> str:
    return json.dumps({name: value for name, value in vars(arguments).items() if name not in ("out", "debug")})


def _read(option: str, modality: Any, path: Path) -> str:
    try:
        found: str = modality.prompt_file(path)
        return found
    except IsADirectoryError:
        raise ConfigError(f"{option} {str(path)!r} is a folder; give a file") from None
    except (ValueError, OSError) as error:
        raise ConfigError(f"{option} {str(path)!r} cannot be used: {error}; give another file") from None


def _score(arguments: argparse.Namespace, started: float) -> None:
    from anew import api

    found = api.score(arguments.run, arguments.data, trust_code=arguments.trust_code)
    if arguments.json:
        write_json(found)
    else:
        said = "" if found["bound"] == "exact" else f" ({found['bound']})"
        for name, value in found.items():
            if isinstance(value, float):
                write(f"{name}: {value:.6g}{said * name.startswith('bits')}")
        for note in found["notes"]:
            write(note)


def _evaluate(arguments: argparse.Namespace, started: float) -> None:
    from anew import api
    from anew.cli.show import ProgressLine

    with ProgressLine(sys.stderr if arguments.json else sys.stdout) as progress:
        report = api.evaluate(
            arguments.run,
            arguments.n,
            samples=arguments.samples,
            data=arguments.data,
            held_out=arguments.held_out,
            features=arguments.features,
            modality=arguments.modality,
            out=arguments.out,
            seed=arguments.seed,
            trust_code=arguments.trust_code,
            reporter=progress,
        )
    if arguments.json:
        write_json(report.to_json())
    elif report.folder is not None:
        write(f"report: {report.folder / 'report.html'}")


def _compare(arguments: argparse.Namespace, started: float) -> None:
    from anew import api
    from anew.cli.show import ProgressLine

    with ProgressLine(sys.stderr if arguments.json else sys.stdout) as progress:
        report = api.compare(
            arguments.data,
            arguments.out,
            families=arguments.families or (),
            runs=arguments.runs,
            budget=arguments.budget,
            steps=arguments.steps,
            modality=arguments.modality,
            seed=arguments.seed,
            settings=_settings(arguments),
            n=arguments.n,
            trust_code=arguments.trust_code,
            reporter=progress,
        )
    if arguments.json:
        write_json(report.to_json())
        return
    write(f"\n{report.table}\n* the best, and whatever differs from it by no more than chance\n")
    for sentence in report.findings:
        write(sentence)
    for claim in report.claims:
        if claim.outcome != "not tested":
            write(f"{claim.claim}: {claim.outcome} ({claim.evidence})")
    for note in report.notes:
        write(note)
    write(f"page: {report.folder / 'compare.html'}")


def _walk(arguments: argparse.Namespace, started: float) -> None:
    from anew import api

    out, ends = checked.path("out", arguments.out), None
    if arguments.start is not None or arguments.end is not None:
        if arguments.start is None or arguments.end is None:
            given, missing = ("--to", "--from") if arguments.start is None else ("--from", "--to")
            raise ConfigError(f"{given} was given without {missing}; give both, or neither to walk between samples")
        if arguments.stops is not None:
            raise ConfigError("both --stops and --from were given; a walk between two items has no other stops")
        ends = (arguments.start, arguments.end)
    with _filling(out, arguments):
        walk = api.walk(
            arguments.run,
            arguments.n,
            stops=5 if arguments.stops is None else arguments.stops,
            seed=arguments.seed,
            label=arguments.label,
            ends=ends,
            settings=_settings(arguments),
            trust_code=arguments.trust_code,
        )
        _begin(out, arguments)
        strip, moving = walk.save(out)
    within = "" if walk.label is None else f" within the class {walk.label!r}"
    write(f"{len(walk.frames)} frames{within} in {out / 'frames'}; {strip} shows them at once, {moving} moves")


def _example(arguments: argparse.Namespace, started: float) -> None:
    from anew import api
    from anew.workflows import examples

    if arguments.name is None:
        for name, line in examples.EXAMPLES.items():
            write(f"{name}: {line}")
        return
    if arguments.dir is None:
        raise ConfigError(f"the folder is missing; give `anew example {arguments.name} DIR`")
    write(f"wrote {api.example(arguments.name, arguments.dir)}")
