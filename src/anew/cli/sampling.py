"""The command that draws samples and writes their files."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from contextlib import closing
from functools import partial
from pathlib import Path

import anew
from anew import api
from anew.cli.output_folder import PRESENTATION, OutputFolder, request_of
from anew.cli.printing import print_notes
from anew.cli.progress import ProgressLine
from anew.cli.terminal import write, write_json
from anew.core import arguments as checked
from anew.core.processes.launcher import is_first_process, num_processes
from anew.core.wording import are, listed, plural
from anew.errors import ConfigError, shorten

PLACES = ("run", "prompt_file", "suffix_file")  # arguments that may differ among machines
# Files that --json names one by one, 1.5 MB of paths of 150 bytes; of more, it says their number; chosen.
MOST_NAMED = 10_000


def sample(arguments: argparse.Namespace) -> None:
    """`anew sample`. Files are written as samples are drawn, so that a million of them are never in memory."""
    out = checked.new_path("out", arguments.out)
    if not is_first_process() and arguments.again is None:
        _draw(arguments, lambda part: None)  # its batches, which the first process writes
        return
    with OutputFolder(out, request_of(arguments)) as folder, closing(_WrittenSamples(arguments, folder)) as written:
        try:
            (_draw if arguments.again is None else _draw_again)(arguments, written.add)
        except KeyboardInterrupt:
            if written.count:
                written.finish()
                write(
                    f"the first {plural(written.count, 'sample')} are in {out}; the same command draws all", sys.stderr
                )
            raise
        written.finish()
    written.print_remarks()
    if arguments.json:
        written.print_json()
    else:
        written.print_places()


class _WrittenSamples:
    """Samples of a command, which are written as they come, and what is to be said of them."""

    def __init__(self, arguments: argparse.Namespace, folder: OutputFolder) -> None:
        self._arguments = arguments
        self._folder = folder
        self._writer: api.SampleWriter | None = None
        self._repeated: api.RepeatedSamples | None = None
        # The files and their number are for --json alone; at most MOST_NAMED files are named.
        self._files: list[str] = []
        self._num_files = 0
        self._num_empty = 0
        self._num_without_continuation = 0
        self._absent_characters = ""

    @property
    def count(self) -> int:
        """Number of samples so far."""
        return 0 if self._writer is None else self._writer.count

    def add(self, part: anew.Samples) -> None:
        """Write samples that follow those before."""
        arguments = self._arguments
        if self._writer is None:
            if arguments.again is None:
                self._repeated = api.repeated_samples(arguments.run)
            self._absent_characters = part.absent_characters
            self._folder.begin()
            # The folder holds the mark that it is unfinished, or files of the same command, which was stopped. Several shares have
            # no common sheet.
            self._writer = api.sample_writer(self._folder.path, arguments.n, has_sheets=arguments.share is None)
        if self._repeated is not None:
            self._repeated.add(part.origins)
        self._num_without_continuation += part.num_empty_continuations
        if arguments.stop is not None:
            self._num_empty += sum(not item for item in part if isinstance(item, str))
        part.num_planned = part.num_planned or arguments.n
        part = part.enlarged(arguments.scale)
        part = part if arguments.format is None else part.in_format(arguments.format)
        self._note_files(self._writer.add(part))

    def _note_files(self, paths: Sequence[Path]) -> None:
        """Take note of what --json says of files. Batches that go into one file have the same path."""
        if not self._arguments.json:
            return
        names = [name for name in map(str, paths) if name not in self._files[:1]]
        self._num_files += len(names)
        if self._num_files <= MOST_NAMED:
            self._files += names

    def finish(self) -> None:
        """Write what belongs to many samples."""
        if self._writer is not None:
            self._writer.finish()

    def close(self) -> None:
        """Give up what is not finished."""
        if self._writer is not None:
            self._writer.close()

    def print_remarks(self) -> None:
        """Print what is strange about the samples, on standard error."""
        if self._num_empty:
            write(
                f"{plural(self._num_empty, 'sample')} {are(self._num_empty)} empty: the --stop text came first",
                sys.stderr,
            )
        print_strange_prompt(self._absent_characters)
        print_num_without_continuation(self._num_without_continuation, self.count)
        num_repeated = 0 if self._repeated is None else self._repeated.count
        if num_repeated:
            subject = f"the first {num_repeated:,} are" if num_repeated > 1 else "the first is"
            seed = 1 if self._arguments.seed == 0 else 0
            place = Path(self._arguments.run) / "samples"
            write(f"{subject} also in {place}; --seed {seed} gives others", sys.stderr)

    def print_json(self) -> None:
        """Print where the files are, as JSON."""
        assert self._writer is not None
        sheet = self._writer.sheet
        write_json(
            {
                "folder": str(self._folder.path),
                "samples": self.count,
                "num_files": self._num_files,
                "files": self._files if self._num_files <= MOST_NAMED else None,
                "sheet": None if sheet is None else str(sheet),
                "sprite_sheet": [str(path) for path in self._writer.sprite_sheet],
            }
        )

    def print_places(self) -> None:
        """Print where the files are."""
        assert self._writer is not None
        writer, out = self._writer, self._folder.path
        if writer.sheet is None:
            place = writer.paths[0] if len(writer.paths) == 1 else out
            write(f"{plural(self.count, 'item')} in {place}")
            return
        selection = "all" if writer.num_on_sheet == self.count else f"the first {writer.num_on_sheet}"
        atlas = "".join(f"; {path.name} has them without gaps" for path in writer.sprite_sheet[:1])
        write(f"{self.count:,} items in {out}, {selection} of them in {writer.sheet.name}{atlas}")


def print_strange_prompt(absent_characters: str) -> None:
    """Print which characters of the prompt the training text does not have, on standard error."""
    if absent_characters:
        write(
            f"the training text has no {listed([repr(c) for c in absent_characters])}, so the model cannot know what follows",
            sys.stderr,
        )


def print_num_without_continuation(num_empty: int, total: int) -> None:
    """Print how many samples add nothing to the prompt, on standard error."""
    if num_empty:
        write(
            f"{num_empty:,} of {plural(total, 'sample')} {'adds' if num_empty == 1 else 'add'} nothing to the prompt: the "
            "model ended there, perhaps because nothing in the data begins like this",
            sys.stderr,
        )


def _draw(arguments: argparse.Namespace, add: Callable[[anew.Samples], None]) -> None:
    """Draw new samples of a run, or a share of them, and hand on each batch. Several processes draw them together."""
    if arguments.run is None:
        raise ConfigError("RUN is missing; give the folder of a run, or --again with a file that one made")
    settings = dict(arguments.set)
    # Of several processes, the first one alone can read the run
    if num_processes() == 1:
        api.check_files(arguments.run, arguments.format, arguments.scale)
    with api.loaded_together(
        arguments.run, arguments.trust_code, arguments.n, arguments.label, settings, request=_common_request(arguments)
    ) as (model, world):
        if is_first_process():
            print_notes(model)
        if world is not None:
            api.check_files(model, arguments.format, arguments.scale)
        # Progress belongs to standard error, as the last line alone says where the files are.
        with ProgressLine(sys.stderr) as progress:
            draw = partial(
                model.sample_batches,
                seed=arguments.seed,
                prompt=_prompt("prompt", arguments, model),
                suffix=_prompt("suffix", arguments, model),
                stop=arguments.stop,
                label=arguments.label,
                **checked.keywords(settings, model.sample_batches),  # type: ignore[arg-type]  # none is an argument of its own
            )
            for part in api.sample_together(model, world, arguments.n, draw, share=arguments.share, reporter=progress):
                add(part)


def _common_request(arguments: argparse.Namespace) -> dict[str, object]:
    """The arguments that several processes must have in common. Places may differ among machines."""
    return {name: value for name, value in vars(arguments).items() if name not in (*PRESENTATION, *PLACES)}


def _draw_again(arguments: argparse.Namespace, add: Callable[[anew.Samples], None]) -> None:
    """Draw the samples of a file once more. The file says all else that they follow from."""
    usual = {"n": 16, "seed": 0, "set": []}
    names = ("n", "seed", "prompt", "prompt_file", "suffix", "suffix_file", "stop", "label", "share", "set")
    for name in names:
        if getattr(arguments, name) != usual.get(name):
            option = "-n" if name == "n" else f"--{name.replace('_', '-')}"
            raise ConfigError(f"--again repeats what the file records, so {option} has no effect; leave it out")
    add(api.again(arguments.again, arguments.run, trust_code=arguments.trust_code))


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
