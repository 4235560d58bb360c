"""The arguments of every command. Nothing heavy is imported here: `anew --help` answers at once."""

from __future__ import annotations

import argparse
import re
import textwrap
from collections.abc import Callable, Sequence
from typing import Any, NoReturn

from anew.cli.option_hints import option_hint
from anew.cli.values import OncePerKey, check_text_file, choice, integer, process_count, setting, share
from anew.core.arguments import PREFERENCES
from anew.core.exit_codes import MEANINGS
from anew.errors import ConfigError, did_you_mean, shorten

TAGLINE = (
    "New data from your data: the right model for it, in the time you have, with measured evidence that it is new."
)
RUN_HELP = "folder or address of the run"
DATA_HELP = "a folder, a file, an address (s3://, https://, ...), or a Hugging Face dataset (owner/name)"
MODALITY_HELP = "kind of data: text, code, image, audio, video, protein or molecule (default: detected)"
READING_HELP = "text_column (texts), image_column and label_column (images), header (tables), encoding (texts and code)"
SEED_HELP = "random seed (default: 0)"
RUN_SEED_HELP = "seed of the weights and the training (default: 0); with --steps, the same seed gives the same result"
SAMPLE_SEED_HELP = "random seed (default: 0); the same seed gives the same samples"
OPTIONS_OF_ARGUMENTS = {
    "settings": "--set",
    "ends": "--from and --to",
    "folder": "DIR",
    "runs": "RUN",
}  # where names differ
EPILOG = """examples:
  anew look photos/                          describe the data and recommend a model
  anew train photos/ --budget 10m            train, sample and evaluate within ten minutes
  anew sample runs/photos-1 --out new -n 100 generate 100 more samples

exit codes:
""" + "\n".join(
    textwrap.fill(meaning, 110, initial_indent=f"  {code:<4}", subsequent_indent=" " * 6)
    for code, meaning in MEANINGS.items()
)

ONE_PATH = "; DATA is one path: to give several files, give the folder that holds them"

NEGATIVE = re.compile(r"-\.?\d")
TIME_OPTIONS = ("--budget", "--unload-after")
TEXT_OPTIONS = ("--stop", "--prompt", "--suffix", "--text")  # whose text may be `--`


class CommandParser(argparse.ArgumentParser):
    """A parser that raises ConfigError and knows how each of its arguments is shown."""

    def __init__(self, **keywords: Any) -> None:
        self.shown: dict[str, str] = {}  # what stands for an argument in sentences, by its name in the namespace
        self.options: list[str] = []
        self.arguments: list[argparse.Action] = []
        keywords |= {"allow_abbrev": False, "formatter_class": argparse.RawDescriptionHelpFormatter}
        super().__init__(**keywords)

    def add_argument(self, *args: Any, **keywords: Any) -> argparse.Action:
        if not args[0].startswith("-"):
            keywords.setdefault("metavar", args[0].upper())  # the form of sentences and of the documentation
        action = super().add_argument(*args, **keywords)
        self.options += action.option_strings
        self.arguments.append(action)
        self.shown[action.dest] = action.option_strings[-1] if action.option_strings else action.dest.upper()
        return action

    def _get_values(self, action: argparse.Action, arg_strings: list[str]) -> object:
        # argparse of Python 3.11 takes `--` away, whose value in `--stop=--` it is
        if action.option_strings and action.nargs is None and arg_strings == ["--"]:
            return "--"
        return super()._get_values(action, arg_strings)

    def error(self, message: str) -> NoReturn:
        raise ConfigError(f"{message} (see `{self.prog} --help`)")

    def fill(self, arguments: argparse.Namespace, leftover: Sequence[str]) -> list[str]:
        """Give words that were left over to optional arguments without a value; returns the others.

        argparse takes all arguments from the first row of words without an option: in `nearest RUN -n 2 ITEMS` none is ITEMS.
        """
        empty = [
            action.dest
            for action in self.arguments
            if action.nargs == "?" and not action.option_strings and getattr(arguments, action.dest) is None
        ]
        if any(word.startswith("-") for word in leftover):
            return list(leftover)
        for dest, word in zip(empty, leftover, strict=False):
            setattr(arguments, dest, word)
        return list(leftover[len(empty) :])

    def refuse(self, leftover: Sequence[str]) -> NoReturn:
        """Raise ConfigError for words that belong to no argument; options come first, since a value may follow them."""
        option = next((word for word in leftover if word.startswith("-")), None)
        if option is None:
            has_data = any(action.dest == "data" and not action.option_strings for action in self.arguments)
            advice = ONE_PATH if has_data else ""
            advice += "; runs stand after --runs" if "--runs" in self.options else ""
            self.error(f"unexpected argument {shorten(leftover[0])}{advice}")
        if option in self.options:  # it was found before the command
            raise ConfigError(f"{option} must stand after `{self.prog}`")
        positional = [str(action.metavar) for action in self.arguments if not action.option_strings]
        hint = option_hint(option.partition("=")[0], self.options, positional, self.prog.split()[-1])
        raise ConfigError(f"unknown option {shorten(option)}{hint}")


# ---- arguments that several commands share ----


def _common(p: CommandParser) -> None:
    p.add_argument(
        "--json", action="store_true", help="print one JSON object to standard output; progress goes to standard error"
    )
    p.add_argument(
        "--debug",
        action="store_true",
        default=argparse.SUPPRESS,
        help="show the traceback of an error instead of writing it to a file (also: ANEW_DEBUG=1)",
    )


def _integer(p: CommandParser, name: str, help: str, default: int | None = None) -> None:
    p.add_argument(name, type=integer(name), default=default, metavar="N", help=help)


def _seed(p: CommandParser, help: str = SEED_HELP) -> None:
    _integer(p, "--seed", help, 0)


def _processes(p: CommandParser) -> None:
    p.add_argument(
        "--processes",
        type=process_count,
        default=0,
        metavar="N",
        help="processes on this machine that train together (default: one for each GPU)",
    )


def _settings(p: CommandParser, help: str, example: str) -> None:
    p.add_argument("--set", action=OncePerKey, type=setting(example), default=[], metavar="KEY=VALUE", help=help)


def _prefer(p: CommandParser) -> None:
    p.add_argument(
        "--prefer",
        type=choice("--prefer", PREFERENCES),
        default="quality",
        metavar="|".join(PREFERENCES),
        help="optimise for sample quality, sampling speed, or an interpolable latent space (default: quality)",
    )


def _trust_code(p: CommandParser) -> None:
    p.add_argument(
        "--trust-code",
        action="store_true",
        help="run the Python code (family.py) that is stored in the run; read it first",
    )


def _verbose(p: CommandParser) -> None:
    p.add_argument("--verbose", action="store_true", help="also show details and the table of all figures")


# ---- commands ----


def _look(p: CommandParser) -> None:
    p.add_argument("data", help=f"{DATA_HELP}; or a run")
    p.add_argument("--modality", help=MODALITY_HELP)
    _prefer(p)
    p.add_argument("--budget", metavar="TIME", help="estimate for this budget: 90s, 10m, 2h (default: several)")
    _seed(p)
    _settings(p, "a setting of this kind of data; may be repeated (see `anew settings data`)", "layout=list")


def _train(p: CommandParser) -> None:
    p.add_argument("data", help=DATA_HELP)
    p.add_argument(
        "--run",
        metavar="DIR",
        help="folder to create for the run, or an address (s3://, gs://, az://) (default: runs/NAME-N)",
    )
    p.add_argument("--budget", metavar="TIME", help="wall-clock time for everything: 90s, 10m, 2h (default: 10m)")
    _integer(p, "--steps", "train for N steps instead of a budget; repeating the command repeats the run exactly")
    p.add_argument("--plan", metavar="RUN", help="replay another run (a folder or an address) step by step")
    p.add_argument(
        "--family",
        help="transformer, diffusion, gan or vae, or a FILE.py with a family of your own (default: chosen for the data)",
    )
    p.add_argument("--modality", help=MODALITY_HELP)
    _prefer(p)
    _seed(p, RUN_SEED_HELP)
    _settings(p, "a setting; may be repeated (see `anew settings`)", "width=64")
    _processes(p)
    _verbose(p)


def _resume(p: CommandParser) -> None:
    p.add_argument("run", help=RUN_HELP)
    p.add_argument("--budget", metavar="TIME", help="additional time: 90s, 10m, 2h")
    _integer(p, "--steps", "new total number of steps")
    p.add_argument("--data", help="new location of the data, if it was moved")
    _processes(p)
    _trust_code(p)
    _verbose(p)


def _sample(p: CommandParser) -> None:
    p.add_argument(
        "run", nargs="?", help=f"{RUN_HELP} (with --again, needed only if the run cannot be found by its name)"
    )
    p.add_argument("--out", required=True, metavar="DIR", help="output folder")
    _integer(p, "-n", "number of samples (default: 16)", 16)
    _seed(p, SAMPLE_SEED_HELP)
    p.add_argument("--prompt", help="text the sample must start with")
    p.add_argument(
        "--prompt-file", metavar="FILE", help="file with the prompt; for clips: a video, an image or a folder of frames"
    )
    p.add_argument(
        "--suffix", help="text the sample must end with (infilling for code, right-to-left generation for sequences)"
    )
    p.add_argument("--suffix-file", metavar="FILE", help="file with the suffix")
    p.add_argument("--stop", help="stop the text before this string")
    p.add_argument(
        "--label",
        help="a class of the data (default: classes as common as in the data, or as likely as the prompt makes them)",
    )
    p.add_argument(
        "--share",
        type=share,
        metavar="I/K",
        help="draw only share I of K; all K together equal one command without --share",
    )
    p.add_argument("--again", metavar="FILE", help="regenerate the sample in this file")
    _integer(p, "--scale", "images: write each pixel as a square of N x N, so that sprites stay sharp (default: 1)", 1)
    p.add_argument(
        "--format",
        metavar="NAME",
        help="format of the files: png, webp or jpeg; wav or flac; mp4 or gif (default: png; that of the run; mp4 and gif)",
    )
    _settings(p, "a sampling setting; may be repeated (see `anew settings sampling`)", "temperature=0.8")
    _trust_code(p)


def _score(p: CommandParser) -> None:
    p.add_argument("run", help=RUN_HELP)
    p.add_argument("data", help=DATA_HELP)
    p.add_argument("--per-item", action="store_true", help="one row for each record, as CSV (or JSON, with --json)")
    p.add_argument("--out", metavar="FILE.csv", help="write the rows of --per-item to this file")
    _settings(p, f"how the data is read; may be repeated: {READING_HELP}", "text_column=quote")
    _trust_code(p)


def _nearest(p: CommandParser) -> None:
    p.add_argument("run", help=RUN_HELP)
    p.add_argument(
        "items", nargs="?", metavar="ITEMS", help="a folder or a file of items (default: the samples in RUN)"
    )
    p.add_argument("--text", action="append", default=[], metavar="TEXT", help="a text to look up; may be repeated")
    _integer(p, "-n", "at most N items are looked up (default: 100)", 100)
    p.add_argument(
        "--out",
        metavar="PLACE",
        help="also draw each item next to its nearest training item, in a file (.png) or a folder",
    )
    p.add_argument("--data", help="new location of the data, if it was moved")


def _evaluate(p: CommandParser) -> None:
    p.add_argument("run", nargs="?", help=f"{RUN_HELP} (or give --samples and --data)")
    _integer(p, "-n", "samples to measure (default: 2000)", 2000)
    p.add_argument(
        "--budget",
        metavar="TIME",
        help="wall-clock time for everything: 90s, 10m; fewer samples are measured if it ends first (default: no limit)",
    )
    p.add_argument("--samples", metavar="DIR", help="samples of another tool, or of the run: those in DIR are measured")
    p.add_argument(
        "--data",
        help="the real data to compare --samples with; for a run, the new location of its data, if it was moved",
    )
    p.add_argument("--held-out", metavar="DIR", help="real data that the generator of --samples was not trained on")
    p.add_argument(
        "--features",
        metavar="FILE",
        help="safetensors file with your own features: samples, held_out and train, each (n, d)",
    )
    p.add_argument("--modality", help=f"for --samples: {MODALITY_HELP}")
    p.add_argument(
        "--out", metavar="DIR", help="folder for the report (default: in RUN; for --samples: runs/NAME-report-N)"
    )
    p.add_argument(
        "--fail-on",
        metavar="CONDITIONS",
        help="end with exit code 3 if one of these holds, was not measured, or could not have been noticed, for example "
        "copies,coverage<0.8",
    )
    _seed(p)
    _settings(
        p,
        f"for --samples: how --data is read; may be repeated: {READING_HELP}, layout (texts and proteins)",
        "text_column=quote",
    )
    _trust_code(p)
    _verbose(p)


def _compare(p: CommandParser) -> None:
    p.add_argument("data", nargs="?", help=DATA_HELP)
    p.add_argument("--out", required=True, metavar="DIR", help="folder for the runs, compare.html and compare.json")
    p.add_argument("--families", help="comma-separated names, for example vae,gan,diffusion:pixel,diffusion:latent")
    p.add_argument("--runs", nargs="+", default=[], metavar="RUN", help="existing runs, instead of families to train")
    p.add_argument("--budget", metavar="TIME", help="wall-clock time for each training: 90s, 10m, 2h (default: 5m)")
    _integer(p, "--steps", "train for N steps each time instead of a budget")
    p.add_argument("--modality", help=MODALITY_HELP)
    _integer(p, "-n", "samples measured per run (default: as many as the slowest draws in 8 s, at most 1000)")
    _seed(p, RUN_SEED_HELP)
    seeds_help = "train each family N times, with --seed and the following ones, and give median and range (default: 1)"
    _integer(p, "--seeds", seeds_help, 1)
    _settings(p, "a setting; may be repeated; gan.width=32 applies to the GAN only", "width=64")
    _trust_code(p)


def _walk(p: CommandParser) -> None:
    p.add_argument("run", help=RUN_HELP)
    p.add_argument("--out", required=True, metavar="DIR", help="folder for strip.png, walk.gif and frames/")
    _integer(p, "-n", "number of frames (default: 60)", 60)
    _integer(p, "--stops", "number of samples to pass through (default: 5)")
    _seed(p, SAMPLE_SEED_HELP)
    p.add_argument("--label", help="use one class of the data only")
    p.add_argument("--from", dest="start", metavar="FILE", help="start from the item in this file (with --to)")
    p.add_argument("--to", dest="end", metavar="FILE", help="end at the item in this file (with --from)")
    _settings(p, "a sampling setting; may be repeated (see `anew settings sampling`)", "guidance=2")
    _trust_code(p)


def _export(p: CommandParser) -> None:
    p.add_argument("run", help=RUN_HELP)
    p.add_argument(
        "--to",
        required=True,
        metavar="NAME",
        help="the format: html (one page that works offline), transformers or gguf (text), onnx (every family), hub",
    )
    p.add_argument("--out", required=True, metavar="PATH", help="folder to create, or FILE.html for html")
    p.add_argument(
        "--number-type",
        metavar="NAME",
        help="number format of the weights: f32, f16, bf16, q8_0 (default: f32; html: f16)",
    )
    p.add_argument(
        "--push", metavar="OWNER/NAME", help="upload the folder (--to hub) to a private repository, made if missing"
    )
    _trust_code(p)


def _serve(p: CommandParser) -> None:
    p.add_argument("run", nargs="+", help="folders of finished runs; the name of the folder is that of the model")
    p.add_argument("--host", default="127.0.0.1", metavar="ADDRESS", help="address to listen on (default: 127.0.0.1)")
    _integer(p, "--port", "port; 0 takes a free one (default: 8000)", 8000)
    p.add_argument(
        "--api-key",
        action="append",
        metavar="KEY",
        help="key that requests must give; may be repeated (default: the environment variable ANEW_API_KEY, or none)",
    )
    p.add_argument(
        "--allow-origin",
        action="append",
        metavar="ORIGIN",
        help="site whose pages may use the server, like http://localhost:3000; may be repeated (default: none; *: any, which is risky)",
    )
    p.add_argument(
        "--unload-after",
        default="10m",
        metavar="TIME",
        help="unload a model after this long without a request: 90s, 10m, 2h or never (default: 10m)",
    )
    p.add_argument(
        "--chat",
        metavar="plain",
        help="also answer chats: `plain` continues the last message as text (default: refuse chats)",
    )
    _trust_code(p)


def _studio(p: CommandParser) -> None:
    p.add_argument("run", nargs="*", help="folders of runs to open first")
    p.add_argument(
        "--folder",
        metavar="DIR",
        help="folder whose runs are shown, and below which data is chosen (default: the current one)",
    )
    _integer(p, "--port", "port; 0 takes a free one (default: 8686)", 8686)
    p.add_argument("--no-browser", action="store_true", help="print the address instead of opening a browser")


def _settings_command(p: CommandParser) -> None:
    p.add_argument(
        "name",
        nargs="?",
        help="show only a setting (width), a family (gan), a kind of data (image), or one of training, data, family, sampling",
    )


def _example(p: CommandParser) -> None:
    p.add_argument("name", nargs="?", help="the dataset (default: list all)")
    p.add_argument("dir", nargs="?", help="folder to create")


COMMANDS: dict[str, tuple[str, Callable[[CommandParser], None]]] = {
    "look": ("describe DATA, recommend a family and estimate what budgets can train; or describe a run", _look),
    "train": ("train a generator on DATA within a time budget, then sample and evaluate it", _train),
    "resume": ("finish an interrupted run, or train a finished one for longer", _resume),
    "sample": ("generate new items as ordinary files", _sample),
    "score": ("measure how likely other data is under a model, as a whole or record by record", _score),
    "nearest": ("find the training item nearest to each sample, or to items of your own", _nearest),
    "evaluate": ("measure samples of a run or of any other tool, and check them for copies", _evaluate),
    "compare": ("train several families on the same data and budget, or compare existing runs", _compare),
    "walk": ("morph between samples: a strip, an animation and single frames", _walk),
    "export": ("write a run in a format that other programs read without Anew", _export),
    "serve": ("serve runs over HTTP with an OpenAI-compatible API, until Ctrl-C", _serve),
    "studio": ("open a web page to train, watch and play with models, until Ctrl-C", _studio),
    "settings": ("list all settings with their default, range and meaning", _settings_command),
    "example": ("write an example dataset as ordinary files", _example),
}


def parsers() -> tuple[CommandParser, dict[str, CommandParser]]:
    """The parser of the program and that of each command."""
    program = CommandParser(prog="anew", description=TAGLINE, epilog=EPILOG)
    program.add_argument("--version", action="store_true", help="print the version")
    program.add_argument("--debug", action="store_true", help="show the traceback of an error (also: ANEW_DEBUG=1)")
    subparsers = program.add_subparsers(dest="command", metavar="command", parser_class=CommandParser)
    commands = {}
    for name, (help, add_arguments) in COMMANDS.items():
        commands[name] = subparsers.add_parser(name, help=help, description=help[0].upper() + help[1:] + ".")
        add_arguments(commands[name])
        _common(commands[name])
    return program, commands


def parse(argv: Sequence[str]) -> argparse.Namespace:
    """The arguments of a command line; an empty one asks for help.

    Raises:
        ConfigError: They are wrong; one sentence.
        SystemExit: Help was asked for and printed.
    """
    program, commands = parsers()
    # The program's own options take no values, so the first other word is the command.
    command = next((word for word in argv if not word.startswith("-")), None)
    if command is not None and command not in commands:
        raise ConfigError(f"unknown command {shorten(command)}{did_you_mean(command, commands)}")
    arguments, leftover = program.parse_known_args(_with_dashes(argv) or ["--help"])
    if command is not None:
        leftover = commands[command].fill(arguments, leftover)
    if leftover:
        (program if command is None else commands[command]).refuse(leftover)
    if command is None and not arguments.version:
        program.error("no command was given")
    for name in ("prompt", "suffix"):
        check_text_file(arguments, name)
    return arguments


def _with_dashes(argv: Sequence[str]) -> list[str]:
    """The words, with `--stop --` as `--stop=--`, and so negative times: argparse takes no value that looks like an option."""
    words: list[str] = []
    for word in argv:
        before = words[-1] if words else ""
        if (word == "--" and before in TEXT_OPTIONS) or (NEGATIVE.match(word) and before in TIME_OPTIONS):
            words[-1] += f"={word}"
        else:
            words.append(word)
    return words


def options_in(sentence: str, argv: Sequence[str]) -> str:
    """A sentence of the library, whose arguments stand in backticks, with the options of the command that was given."""
    _, commands = parsers()
    parser = next((commands[word] for word in argv if word in commands), None)
    options = OPTIONS_OF_ARGUMENTS | ({} if parser is None else parser.shown)
    if any(word.partition("=")[0] == "--text" for word in argv):  # `nearest` takes these instead of ITEMS
        options = options | {"items": "--text"}
    return re.sub(r"`(\w+)`", lambda match: options.get(match[1], match[1]), sentence)
