"""The arguments of every command. Nothing heavy is imported here: `anew --help` answers at once."""

from __future__ import annotations

import argparse
import re
from collections.abc import Sequence
from typing import NoReturn

from anew.core import arguments as checked
from anew.errors import ConfigError, did_you_mean

DEBUG = "show the traceback of an error instead of writing it to a file (also: ANEW_DEBUG=1)"
ENDS = """exit codes:
  0   done
  1   a bug in Anew: the traceback is in a file that is named
  2   something given has to change, or the machine has no room for it: one sentence says what
  75  stopped by Ctrl-C or SIGTERM: `anew resume RUN`, or the same `anew compare`, goes on"""


class _Parser(argparse.ArgumentParser):
    """Errors become one sentence that names the nearest option or command."""

    def error(self, message: str) -> NoReturn:
        unknown = re.match(r"unrecognized arguments: (.*)", message)
        if unknown:
            word = next((w for w in unknown[1].split() if w.startswith("-")), unknown[1].split()[0])
            raise ConfigError(
                f"{word!r} is no option of `{self.prog}`{did_you_mean(word.partition('=')[0], self._option_string_actions)}"
            )
        choice = re.match(r"argument (\S+): invalid choice: '?([^']*?)'? \(", message)
        if choice:
            action = next(a for a in self._actions if a.choices)
            raise ConfigError(
                f"{choice[2]!r} is no {choice[1]}{did_you_mean(choice[2], [str(c) for c in action.choices or ()])}"
            )
        raise ConfigError(f"{message} (see `{self.prog} --help`)")


def _setting(text: str) -> tuple[str, str]:
    key, equals, value = text.partition("=")
    if not equals or not key:
        raise ConfigError(f"--set {text!r} is not like key=value; give for example --set width=64")
    return key.strip(), value.strip()


def _parser() -> _Parser:
    parser = _Parser(
        prog="anew",
        description="New data from your data: the right model for it, in the time you have, with proof that it is new.",
        epilog=ENDS,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="store_true", help="print the version")
    parser.add_argument("--debug", action="store_true", help=DEBUG)
    commands = parser.add_subparsers(dest="command", metavar="command", parser_class=_Parser)
    _look(commands)
    _train(commands)
    _resume(commands)
    _sample(commands)
    _score(commands)
    _evaluate(commands)
    _compare(commands)
    _walk(commands)
    _example(commands)
    return parser


def _trust(p: _Parser) -> None:
    p.add_argument("--trust-code", action="store_true", help="run the family.py of a run whose family is its own code")


def _add(commands: argparse._SubParsersAction[_Parser], name: str, help: str) -> _Parser:
    p = commands.add_parser(name, help=help, description=help, allow_abbrev=False)
    p.add_argument("--debug", action="store_true", default=argparse.SUPPRESS, help=DEBUG)
    return p


def _look(commands: argparse._SubParsersAction[_Parser]) -> None:
    p = _add(commands, "look", "say what DATA is, which family follows from it, and what each budget would buy")
    p.add_argument("data", help="a folder, a file, or a hub name like owner/name")
    p.add_argument("--modality", help="text, image, video, ..., where DATA holds several")
    p.add_argument(
        "--prefer",
        choices=("quality", "speed", "latent"),
        default="quality",
        help="what decides between families for continuous data: samples, their time, or a space to walk in",
    )
    p.add_argument("--seed", type=int, default=0)
    p.add_argument("--set", action="append", type=_setting, default=[], metavar="KEY=VALUE")
    p.add_argument("--json", action="store_true", help="one JSON object on standard output")


def _train(commands: argparse._SubParsersAction[_Parser]) -> None:
    p = _add(
        commands, "train", "train a generator on DATA from scratch within a time budget, then sample and measure it"
    )
    p.add_argument("data", help="a folder, a file, or a hub name like owner/name")
    p.add_argument("--run", help="folder to make for the run (default: runs/NAME-N)")
    p.add_argument("--budget", help="wall-clock time for all of it: 90s, 10m, 2h (default: 10m)")
    p.add_argument(
        "--steps", type=int, help="number of steps instead of a budget: nothing is measured, the run can be repeated"
    )
    p.add_argument("--plan", metavar="RUN", help="replay the plan and the logged progress of another run, step by step")
    p.add_argument("--family", help="a family by name, or a FILE.py that defines EXPORT (default: follows the data)")
    p.add_argument("--modality", help="text, image, video, ... (default: follows the data)")
    p.add_argument(
        "--prefer",
        choices=("quality", "speed", "latent"),
        default="quality",
        help="what decides between families for continuous data: samples, their time, or a space to walk in",
    )
    p.add_argument("--seed", type=int, default=0)
    p.add_argument(
        "--set", action="append", type=_setting, default=[], metavar="KEY=VALUE", help="a setting; may be repeated"
    )


def _resume(commands: argparse._SubParsersAction[_Parser]) -> None:
    p = _add(commands, "resume", "finish a run that was stopped, or give it more time")
    p.add_argument("run")
    _trust(p)
    p.add_argument("--budget", help="additional time: 90s, 10m, 2h")
    p.add_argument("--steps", type=int, help="the new total of steps")
    p.add_argument("--data", help="where the data lies now, if it was moved")


def _sample(commands: argparse._SubParsersAction[_Parser]) -> None:
    p = _add(commands, "sample", "write new items as ordinary files")
    p.add_argument("run")
    _trust(p)
    p.add_argument("--out", required=True, help="folder for the files")
    p.add_argument("-n", type=int, default=16, help="how many (default: 16)")
    p.add_argument("--seed", type=int, default=0)
    p.add_argument("--prompt", help="what text starts with")
    p.add_argument(
        "--prompt-file", help="a file that holds the prompt; for clips a video, a picture or a folder of frames"
    )
    p.add_argument(
        "--suffix", help="what it ends with: code is filled in between, a sequence is grown towards its start"
    )
    p.add_argument("--suffix-file", help="a file that holds the suffix")
    p.add_argument("--stop", help="text ends where this appears")
    p.add_argument("--label", help="a class of the data (default: as the data has them)")
    p.add_argument("--set", action="append", type=_setting, default=[], metavar="KEY=VALUE", help="a sampling setting")


def _score(commands: argparse._SubParsersAction[_Parser]) -> None:
    p = _add(commands, "score", "bits per character of other data under a run's model")
    p.add_argument("run")
    _trust(p)
    p.add_argument("data")
    p.add_argument("--json", action="store_true", help="one JSON object on standard output")


def _evaluate(commands: argparse._SubParsersAction[_Parser]) -> None:
    p = _add(commands, "evaluate", "measure samples of a run, or of any other tool, and audit them for copies")
    p.add_argument("run", nargs="?", help="a run (or give --samples)")
    _trust(p)
    p.add_argument("-n", type=int, default=2000, help="samples to measure (default: 2000)")
    p.add_argument("--samples", metavar="DIR", help="samples made elsewhere, instead of a run")
    p.add_argument("--data", help="the data they are to be like; of a run: where its data lies now, if it was moved")
    p.add_argument(
        "--held-out", metavar="DIR", help="items like those of the data that the generator was not trained on"
    )
    p.add_argument("--features", metavar="FILE", help="safetensors: samples, held_out and train, (n, d) each")
    p.add_argument("--modality", help="of samples made elsewhere (default: follows the data)")
    p.add_argument(
        "--out", metavar="DIR", help="folder for the report on samples made elsewhere (default: runs/NAME-report-N)"
    )
    p.add_argument("--seed", type=int, default=0)
    p.add_argument("--json", action="store_true", help="one JSON object on standard output")


def _compare(commands: argparse._SubParsersAction[_Parser]) -> None:
    p = _add(
        commands, "compare", "train several families on the same data and budget, or take runs, and judge them alike"
    )
    p.add_argument("data", nargs="?", help="a folder, a file, or a hub name like owner/name")
    p.add_argument("--out", required=True, help="folder for the runs, compare.html and compare.json")
    p.add_argument("--families", help="names with commas between them: vae,gan,diffusion:pixel,diffusion:latent")
    p.add_argument("--runs", nargs="+", default=[], metavar="RUN", help="finished runs instead of families to train")
    p.add_argument("--budget", help="wall-clock time of each family: 90s, 10m, 2h (default: 5m)")
    p.add_argument("--steps", type=int, help="number of steps instead of a budget")
    p.add_argument("--modality", help="text, image, video, ... (default: follows the data)")
    p.add_argument("-n", type=int, default=1000, help="samples of each that are measured (default: 1000)")
    p.add_argument("--seed", type=int, default=0)
    p.add_argument(
        "--set",
        action="append",
        type=_setting,
        default=[],
        metavar="KEY=VALUE",
        help="a setting; gan.width=32 is for one",
    )
    p.add_argument("--json", action="store_true", help="one JSON object on standard output")
    _trust(p)


def _walk(commands: argparse._SubParsersAction[_Parser]) -> None:
    p = _add(
        commands, "walk", "move through the space that samples start from: a strip, a moving picture, and the frames"
    )
    p.add_argument("run")
    _trust(p)
    p.add_argument("--out", required=True, help="folder for strip.png, walk.gif and frames/")
    p.add_argument("-n", type=int, default=60, help="frames in all (default: 60)")
    p.add_argument("--stops", type=int, help="random samples that the walk passes (default: 5)")
    p.add_argument("--seed", type=int, default=0)
    p.add_argument("--label", help="a class of the data to stay in")
    p.add_argument("--from", dest="start", metavar="FILE", help="walk from the item in this file ...")
    p.add_argument("--to", dest="end", metavar="FILE", help="... to the item in this one, instead of between samples")
    p.add_argument("--set", action="append", type=_setting, default=[], metavar="KEY=VALUE", help="a sampling setting")


def _example(commands: argparse._SubParsersAction[_Parser]) -> None:
    p = _add(commands, "example", "write real data that an installed package ships as ordinary files")
    p.add_argument("name", nargs="?", help="which data; without it the names are listed")
    p.add_argument("dir", nargs="?", help="folder to make")


def parse(argv: Sequence[str]) -> argparse.Namespace:
    """Parsed arguments; ConfigError in one sentence where they are wrong. Without a command the help is printed."""
    parser = _parser()
    arguments, odd = parser.parse_known_args(list(argv) or ["--help"])
    if odd:
        # The command's own parser knows the options to compare with.
        _commands(parser).get(arguments.command, parser).error(f"unrecognized arguments: {' '.join(odd)}")
    if arguments.command is None and not arguments.version:
        parser.error("a command is missing")
    for name in ("prompt", "suffix"):
        path = getattr(arguments, f"{name}_file", None)
        if path is None:
            continue
        if getattr(arguments, name) is not None:
            raise ConfigError(f"both --{name} and --{name}-file were given; give one of them")
        place = checked.path(f"{name}_file", path)
        if not place.exists():
            raise ConfigError(f"--{name}-file {path!r} is no file; give the path of one that is there")
        if not (place.is_file() or place.is_dir()):  # to read a pipe or a device may never end
            raise ConfigError(f"--{name}-file {path!r} is not an ordinary file; give the path of one")
    return arguments


def _commands(parser: _Parser) -> dict[str, _Parser]:
    choices: dict[str, _Parser] = next(a for a in parser._actions if isinstance(a, argparse._SubParsersAction)).choices
    return choices


def options_in(sentence: str, argv: Sequence[str]) -> str:
    """A sentence of the library, whose arguments stand in backticks, with the options of the command that was given."""
    commands = _commands(_parser())
    parser = next((commands[word] for word in argv if word in commands), None)
    shown = {"settings": "--set", "ends": "--from and --to", "folder": "DIR"}
    for action in [] if parser is None else parser._actions:
        shown[action.dest] = action.option_strings[-1] if action.option_strings else action.dest.upper()
    return re.sub(r"`(\w+)`", lambda match: shown.get(match[1], match[1]), sentence)
