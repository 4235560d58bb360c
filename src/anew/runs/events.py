"""events.jsonl, to which each event of a run is appended as a line."""

from __future__ import annotations

import contextlib
import itertools
import json
import math
import os
import time
from collections.abc import Collection, Iterator
from pathlib import Path
from statistics import fmean
from typing import BinaryIO, Literal, TypeAlias, TypedDict, get_args

from anew.core import files
from anew.core.reporter import RATE_STEPS, loss_steps
from anew.errors import RunError

NAME = "events.jsonl"
FLUSH_SECONDS = 1.0  # time between writes to the file: readers see the course of a training; chosen
EventValue: TypeAlias = str | int | float | None
# Most bytes of a log, which are 39 million steps (docs/log.md, 2026-11-27): a longer file is damaged or no log
MAX_LOG_BYTES = 2**31
# Most bytes of a line; longer lines are skipped. Those that Anew writes have some hundreds (docs/log.md, 2026-11-27).
MAX_LINE_BYTES = 2**16
MAX_FIELDS = 64  # fields of an event; a step has one for each loss of the family, and about ten others
MAX_SHOWN_BYTES = 2**26  # bytes of a log that are read to show its course: 256 MB took 63 s (docs/log.md, 2026-11-27)
LAST_LINES = 100_000  # the last step is searched among so many lines: only a few samples and warnings come after it
FIRST_LINES = 1_000  # the first start is searched among so many lines: only a few events come before it
PIECE = 2**20  # bytes of each of the evenly spaced pieces of a long log
NON_FINITE = b'"non_finite"'  # which the lines of these events contain, so that other lines need not be parsed
TEXT_FIELDS = {"event", "text", "name", "phase"}  # fields that are text; all others are numbers
# Events of what was read or done outside of steps, as often as there was time; a replay repeats it as often
BatchesEvent = Literal["closed_form", "closed_form_turns", "latents", "calibration", "documents", "drawing", "samples"]
# Fields that an event of each type must have, where they are read
NEEDED: dict[str, tuple[str, ...]] = {
    "step": ("step", "progress"),
    "warning": ("step", "text"),
    "validation": ("step", "loss"),
    "threads": ("step", "threads"),
    **dict.fromkeys(get_args(BatchesEvent), ("batches",)),
    "kept": ("step",),
    "kept_previous": ("step",),
    "start": ("step", "processes", "hosts"),
    "non_finite": ("step", "back_to"),
}


class Event(TypedDict, total=False):
    """A line of the log. Steps also have other numbers, such as `loss_generator`.

    Attributes:
        event: "step", "validation", "warning", ...
        time: Seconds since 1970.
        step: Number of finished steps; of "kept", of the weights that are sampled from, where they are not the last; of
            "kept_previous", of the earlier training, whose weights were better than those of the longer one before this line.
        progress: Progress of the training after a step, 0 to 1.
        examples: Examples seen up to a step.
        seconds: Seconds of training up to a step.
        loss: Loss of a step or a validation; null if it was not finite.
        text: Text of a warning, one clause.
        threads: Number of CPU threads from the step on.
        batches: Number of batches read: of training data to fit a prior of latents, or of validation data to calibrate.
        back_to: The step from which training continued after a loss that was not finite.
        processes: Processes that train from the step of a "start" on: at the beginning, and whenever the run goes on.
        hosts: Machines that these run on.
    """

    event: str
    time: float
    step: int
    progress: float
    examples: int
    seconds: float | None
    loss: float | None
    text: str
    threads: int
    batches: int
    back_to: int
    processes: int
    hosts: int


class Events:
    """Appends JSON lines; flushed every FLUSH_SECONDS at most, and on close."""

    def __init__(self, path: Path) -> None:
        self._flushed = time.monotonic()
        cut = path.exists() and not _is_whole(path)
        self._file = files.open_to_append(path)
        if cut:
            self._file.write("\n")  # a kill left half a line; the next event must begin a new one

    def write(self, event_type: str, **fields: EventValue) -> None:
        """Append an event. A number that is not finite, for example of a gradient, becomes null, since JSON has no such numbers.

        Raises:
            RunError: The disk is full.
        """
        numbers = {
            name: None if isinstance(value, float) and not math.isfinite(value) else value
            for name, value in fields.items()
        }
        event = {"event": event_type, "time": round(time.time(), 3), **numbers}
        with _sentence_of_failure():  # a full buffer is written in between
            self._file.write(json.dumps(event, allow_nan=False) + "\n")
        if time.monotonic() - self._flushed >= FLUSH_SECONDS:
            self.flush()

    def flush(self) -> None:
        """Pass all written lines to the operating system.

        Raises:
            RunError: The disk is full.
        """
        with _sentence_of_failure():
            self._file.flush()
        self._flushed = time.monotonic()

    def sync(self) -> None:
        """Write all lines to the disk: events up to a checkpoint must survive a power failure."""
        self.flush()
        with _sentence_of_failure():
            os.fsync(self._file.fileno())

    def close(self) -> None:
        try:
            self.sync()
        finally:
            with contextlib.suppress(OSError):  # the disk is full, and closing tries to write once more
                self._file.close()


@contextlib.contextmanager
def _sentence_of_failure() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise RunError(
            f"cannot write {NAME} ({files.clause(error)}); free some space or check the permissions, then continue with `anew resume RUN`"
        ) from error


def read(path: Path) -> Iterator[Event]:
    """The events of all whole lines, one after another, without damaged ones. Without a file there are none."""
    return (event for event in _lines(path) if event is not None)


def steps_of(run: Path) -> Iterator[Event]:
    """The steps in the log of a run folder, one at a time, since a long training has millions."""
    return (event for event in read(run / NAME) if event["event"] == "step")


def spread(path: Path, max_bytes: int = MAX_SHOWN_BYTES) -> Iterator[Event]:
    """Events that show the course of a log: all of them, or of a log longer than `max_bytes` those in evenly spaced pieces. Steps
    that were undone after a non-finite loss are left out."""
    if not path.exists() and not path.is_symlink():
        return
    size = path.stat().st_size  # it may grow meanwhile
    marked = (parse(line) for line in _spread_lines(path, size, max_bytes) if NON_FINITE in line)
    back_to = [event["back_to"] for event in marked if event is not None and event["event"] == "non_finite"]
    for line in _spread_lines(path, size, max_bytes):
        event = parse(line)
        if event is not None and event["event"] == "non_finite":
            back_to = back_to[1:]  # a log that was replaced meanwhile may have others
        elif event is not None and event.get("step", 0) <= min(back_to, default=math.inf):
            yield event


def _spread_lines(path: Path, size: int, max_bytes: int) -> Iterator[bytes]:
    """The lines of the first `size` bytes of a log or, where they are more than `max_bytes`, of evenly spaced pieces of it."""
    with files.open_checked(path, MAX_LOG_BYTES) as file:
        if size > max_bytes:
            for piece in pieces(file, 0, size, max_bytes):
                yield from piece.split(b"\n")[:-1]
        else:
            yield from (line for line in _raw_lines(file, size) if line is not None)


def pieces(file: BinaryIO, start: int, stop: int, max_bytes: int) -> Iterator[bytes]:
    """Evenly spaced pieces of a log, including its first and its last bytes. Each begins with a whole line."""
    count = max(2, max_bytes // PIECE)
    for number in range(count):
        file.seek(start + (stop - start - PIECE) * number // (count - 1))
        piece = file.read(PIECE)
        yield piece.partition(b"\n")[2] if number else piece


def last_step(run: Path, max_lines: int = LAST_LINES) -> Event:
    """The last step in the log of a run folder; empty if there is none among its last `max_lines` lines."""
    return _last(run / NAME, "step", max_lines)


def sampled_step(run: Path) -> Event:
    """The step whose weights are sampled from, with what its training took: the last one or, where a longer training did no better
    and was not kept, that of the training before; empty if there is none."""
    return _kept_previous(run) or last_step(run)


def discarded_step(run: Path) -> Event:
    """The last step of a longer training that did no better than the one before, and was not kept; empty if there is none."""
    return last_step(run) if _kept_previous(run) else Event()


def _kept_previous(run: Path) -> Event:
    """The event that says that the weights of an earlier training were kept; empty unless it comes after the last step."""
    last = next(_latest(run / NAME, ("step", "kept_previous"), LAST_LINES), Event())
    return last if last.get("event") == "kept_previous" else Event()


def starts(run: Path) -> tuple[Event, Event]:
    """The first and the last start in the log of a run folder; empty where it has none, as logs of older releases."""
    path = run / NAME
    beginning = itertools.islice(read(path), FIRST_LINES)
    first = next((event for event in beginning if event["event"] == "start"), Event())
    return first, _last(path, "start", LAST_LINES) or first


def _last(path: Path, event_type: str, max_lines: int) -> Event:
    """The last event of a type; empty if there is none among the last `max_lines` lines."""
    return next(_latest(path, (event_type,), max_lines), Event())


def _latest(path: Path, event_types: Collection[str], max_lines: int) -> Iterator[Event]:
    """The events of some types among the last `max_lines` lines, the last one first."""
    if not path.exists() and not path.is_symlink():
        return
    with files.open_checked(path, MAX_LOG_BYTES) as file:
        lines = (line for line in _backwards(file) if len(line) < MAX_LINE_BYTES and line.strip(b"\0 \r"))
        for line in itertools.islice(lines, max_lines):
            event = parse(line)
            if event is not None and event["event"] in event_types:
                yield event


def _backwards(file: BinaryIO) -> Iterator[bytes]:
    """The lines of a file from the last to the first. Only parts may come of a line that is longer than any event."""
    place, rest = file.seek(0, os.SEEK_END), b""
    while place:
        start = max(0, place - MAX_LINE_BYTES)
        file.seek(start)
        first, *lines = (file.read(place - start) + rest).split(b"\n")
        yield from reversed(lines)
        place, rest = start, first if len(first) < MAX_LINE_BYTES else b""
    yield rest


def losses(step: Event) -> dict[str, float]:
    """The losses of a step by name: `loss`, `loss_NAME`."""
    return {name: value for name, value in step.items() if name.startswith("loss") and isinstance(value, int | float)}


def recent_losses(run: Path) -> dict[str, float]:
    """The losses of the training that is sampled from, by name, as means of the last steps (see `loss_steps`)."""
    if previous := _kept_previous(run):
        return losses(previous)
    latest = itertools.islice(_latest(run / NAME, ("step", "non_finite"), LAST_LINES), RATE_STEPS)
    steps = list(itertools.takewhile(lambda event: event["event"] == "step", latest))
    recent = [losses(step) for step in steps[: loss_steps(steps[0]["step"])]] if steps else []
    names = recent[0] if recent else {}
    return {name: fmean(step[name] for step in recent if name in step) for name in names}


def _lines(path: Path) -> Iterator[Event | None]:
    """The event of each line that is not empty; None for a damaged line."""
    if not path.exists() and not path.is_symlink():
        return
    with files.open_checked(path, MAX_LOG_BYTES) as file:
        yield from (None if line is None else parse(line) for line in _raw_lines(file, MAX_LOG_BYTES))


def _raw_lines(file: BinaryIO, stop: int) -> Iterator[bytes | None]:
    """The lines of a file that begin before `stop` and are not empty; None for one that is longer than any event."""
    is_rest = False  # whether the piece continues such a line
    while file.tell() < stop and (piece := file.readline(MAX_LINE_BYTES)):
        is_cut = len(piece) == MAX_LINE_BYTES and not piece.endswith(b"\n")
        if not is_rest and (is_cut or piece.strip()):
            yield None if is_cut else piece
        is_rest = is_cut


def _is_whole(path: Path) -> bool:
    """Whether the file ends with a line end, or is empty."""
    with files.open_checked(path, MAX_LOG_BYTES) as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(size - 1, 0))
        return file.read(1) in (b"", b"\n")


def parse(line: bytes) -> Event | None:
    """The event of a line; None if it is not one. Fields must be finite numbers (or null), those of TEXT_FIELDS text."""
    try:
        event: Event = json.loads(line)
    except (ValueError, RecursionError):
        return None
    if not isinstance(event, dict) or not isinstance(event.get("event"), str) or len(event) > MAX_FIELDS:
        return None
    fits = all(_fits(name, value) for name, value in event.items())
    return event if fits and all(name in event for name in NEEDED.get(event["event"], ())) else None


def _fits(name: str, value: object) -> bool:
    if name in TEXT_FIELDS:
        return isinstance(value, str)
    if name in ("step", "examples", "threads", "batches", "processes", "hosts", "back_to"):
        least = name in ("threads", "processes", "hosts")
        return isinstance(value, int) and not isinstance(value, bool) and least <= value < 2**63
    if value is None:
        return name != "progress"
    if not isinstance(value, int | float) or isinstance(value, bool):
        return False
    return 0.0 <= value <= 1.0 if name == "progress" else _is_finite(value)


def _is_finite(value: float) -> bool:
    try:
        return math.isfinite(value)
    except OverflowError:  # whole numbers in JSON may be of any length
        return False


def truncate(path: Path, step: int) -> int:
    """Remove events after `step`: a resumed run takes those steps again, so their warnings and measurements no longer apply.
    Events without a step stay, and so does a return to an earlier step, if training went on from there up to `step`.

    Returns:
        How many damaged lines were left out, not counting one that a kill cut short.
    """
    bad = 0

    def lines_before() -> Iterator[bytes]:
        nonlocal bad
        for event in _lines(path):
            if event is None:
                bad += 1
            elif event.get("step", step) <= step or (event["event"] == "non_finite" and event["back_to"] < step):
                yield json.dumps(event).encode() + b"\n"

    cut = path.exists() and not _is_whole(path)
    files.write_parts(path, lines_before())
    return bad - min(bad, cut)


def batches_record(path: Path, event: BatchesEvent) -> int | None:
    """The batches that were read at the last event of this name; None if there was none."""
    last = None
    for entry in read(path):
        if entry["event"] == event:
            last = entry["batches"]
    return last
