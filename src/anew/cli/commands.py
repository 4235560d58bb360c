"""One function a command."""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path
from typing import Any

from anew.errors import ConfigError


def run(arguments: argparse.Namespace, started: float) -> int:
    """Carry out the parsed command."""
    if arguments.version:
        import anew

        print(anew.__version__)
        return 0
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
    return 0


def _print_json(value: Any) -> None:
    print(json.dumps(value, ensure_ascii=False))


def _settings(arguments: argparse.Namespace) -> dict[str, str]:
    return dict(arguments.set)


def _look(arguments: argparse.Namespace, started: float) -> None:
    from anew import api
    from anew.cli.show import describe

    how = {"modality": arguments.modality, "prefer": arguments.prefer, "seed": arguments.seed}
    found = api.look(arguments.data, settings=_settings(arguments), **how)
    if arguments.json:
        _print_json(found)
    else:
        print(describe(found))


def _train(arguments: argparse.Namespace, started: float) -> None:
    from anew import api
    from anew.cli.show import ProgressLine

    # Named here already: an interrupted training returns no model that would say it.
    run = api._run_of(arguments.data) if arguments.run is None else arguments.run
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
            return
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
            return
    _ended(model.folder.path)


def _interrupted(progress: Any, run: str | Path) -> None:
    if progress.steps == 0:
        raise KeyboardInterrupt
    if _first():
        progress.say(f"stopped; the state is saved, go on with `anew resume {run}`")


def _first() -> bool:
    """Whether this process speaks for all that torchrun began."""
    return os.environ.get("RANK", "0") == "0"


def _ended(folder: Path) -> None:
    if _first():
        print(
            f"run: {folder}\nreport: {folder / 'report' / 'report.html'}\nmore samples: anew sample {folder} --out DIR"
        )


def _sample(arguments: argparse.Namespace, started: float) -> None:
    from anew import api

    how: dict[str, Any] = _settings(arguments)
    if arguments.stop is not None:
        how["stop"] = arguments.stop
    out = _new_folder(arguments.out)
    model = api.load(arguments.run, trust_code=arguments.trust_code)
    prompt, suffix = arguments.prompt, arguments.suffix
    if arguments.prompt_file is not None:
        prompt = _read("--prompt-file", model.modality, Path(arguments.prompt_file))
    if arguments.suffix_file is not None:
        suffix = _read("--suffix-file", model.modality, Path(arguments.suffix_file))
    samples = model.sample(arguments.n, seed=arguments.seed, prompt=prompt, suffix=suffix, label=arguments.label, **how)
    paths = samples.save(out)
    if len(paths) == 1:  # all in one file, or one alone: nothing that a sheet would show besides
        print(f"{len(samples)} item{'s' * (len(samples) != 1)} in {paths[0]}")
        return
    sheet = samples.save_sheet(out)
    shown = "all" if samples.on_sheet == len(samples) else f"the first {samples.on_sheet}"
    print(f"{len(paths)} items in {out}, and {shown} of them in {sheet.name}")


def _new_folder(name: str) -> Path:
    out = Path(name)
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise ConfigError(f"--out {name!r} exists and is not empty; give another folder")
    return out


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
        _print_json(found)
    else:
        said = "" if found["bound"] == "exact" else f" ({found['bound']})"
        for name, value in found.items():
            if isinstance(value, float):
                print(f"{name}: {value:.6g}{said * name.startswith('bits')}")
        for note in found["notes"]:
            print(note)


def _evaluate(arguments: argparse.Namespace, started: float) -> None:
    from anew import api
    from anew.cli.show import ProgressLine

    if arguments.n < 1:
        raise ConfigError(f"-n {arguments.n} is out of range; give at least 1")
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
        _print_json(report.to_json())
    elif report.folder is not None:
        print(f"report: {report.folder / 'report.html'}")


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
        _print_json(report.to_json())
        return
    print(f"\n{report.table}\n* the best, and whatever differs from it by no more than chance\n")
    for sentence in report.findings:
        print(sentence)
    for claim in report.claims:
        if claim.outcome != "not tested":
            print(f"{claim.claim}: {claim.outcome} ({claim.evidence})")
    for note in report.notes:
        print(note)
    print(f"page: {report.folder / 'compare.html'}")


def _walk(arguments: argparse.Namespace, started: float) -> None:
    from anew import api

    out, ends = _new_folder(arguments.out), None
    if arguments.start is not None or arguments.end is not None:
        if arguments.start is None or arguments.end is None:
            given, missing = ("--to", "--from") if arguments.start is None else ("--from", "--to")
            raise ConfigError(f"{given} was given without {missing}; give both, or neither to walk between samples")
        if arguments.stops is not None:
            raise ConfigError("both --stops and --from were given; a walk between two items has no other stops")
        ends = (arguments.start, arguments.end)
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
    strip, moving = walk.save(out)
    within = "" if walk.label is None else f" within the class {walk.label!r}"
    print(f"{len(walk.frames)} frames{within} in {out / 'frames'}; {strip} shows them at once, {moving} moves")


def _example(arguments: argparse.Namespace, started: float) -> None:
    from anew import api
    from anew.workflows import examples

    if arguments.name is None:
        for name, line in examples.EXAMPLES.items():
            print(f"{name}: {line}")
        return
    if arguments.dir is None:
        raise ConfigError(f"the folder is missing; give `anew example {arguments.name} DIR`")
    print(f"wrote {api.example(arguments.name, arguments.dir)}")
