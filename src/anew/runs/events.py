"""events.jsonl: one line an event, appended; the record of progress that replays a budgeted run."""

from __future__ import annotations

import contextlib
import itertools
import json
import math
import os
import time
from array import array
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import BinaryIO, TypeAlias, TypedDict

from anew.core import files
from anew.errors import RunError

NAME = "events.jsonl"
EventValue: TypeAlias = str | int | float | None
BYTES = 2**31  # of the file, at most: 39 million steps (docs/log.md, 2026-11-27): a longer file is damaged or not a log
# Bytes of a line, at most: those of ours have some hundreds; longer lines are skipped (docs/log.md, 2026-11-27).
LINE = 2**16
FIELDS = 64  # of an event, at most; those of a step are as many as the losses of a family and about ten besides
SPREAD = 2**26  # bytes of a log that are read where its course is shown: 256 MB took 63 s (docs/log.md, 2026-11-27)
LAST_LINES = 100_000  # among which the last step is looked for: behind it lie a few samples and warnings
PIECE = 2**20  # bytes that are read at a time, from places at even distances
TEXTS = {"event", "text", "name", "phase"}  # fields that are text; all others are numbers
NEEDED = {
    "step": ("step", "progress"),
    "warning": ("step", "text"),
    "validation": ("step", "loss"),
    "threads": ("step", "threads"),
    "latents": ("batches",),
    "calibration": ("batches",),
}


class Event(TypedDict, total=False):
    """A line of the log. Steps have other numbers besides, such as `loss_generator`.

    Attributes:
        event: "step", "validation", "warning", ...
        time: Seconds since 1970.
        step: Step of the training, 0-based.
        progress: Progress of the training after a step, 0 to 1.
        examples: That were seen up to a step.
        seconds: Seconds of training up to a step.
        loss: Loss of a step or a validation; null where it was not finite.
        text: Text of a warning, one clause.
        threads: Number of CPU threads from the step on.
        batches: That were read, of training data to see how latents lie, or of validation data to calibrate.
        back_to: The step at which a training went on that had a loss that was not finite.
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


class Events:
    """Appends JSON lines; flushed at most every `every` seconds and on close."""

    def __init__(self, path: Path, every: float = 1.0) -> None:
        self._every = every
        self._flushed = time.monotonic()
        cut = path.exists() and not _is_whole(path)
        self._file = files.open_to_append(path)
        if cut:
            self._file.write("\n")  # a kill left half a line, and the next one is to be whole

    def write(self, event_type: str, **fields: EventValue) -> None:
        """Append an event. What is not finite, as a gradient may be, becomes null: JSON has no word for it."""
        numbers = {
            name: None if isinstance(value, float) and not math.isfinite(value) else value
            for name, value in fields.items()
        }
        event = {"event": event_type, "time": round(time.time(), 3), **numbers}
        self._file.write(json.dumps(event, allow_nan=False) + "\n")
        if time.monotonic() - self._flushed >= self._every:
            self.flush()

    def flush(self) -> None:
        """Hand what was written to the system.

        Raises:
            RunError: The disk is full.
        """
        try:
            self._file.flush()
        except OSError as error:
            reason = files.clause(error)
            raise RunError(f"cannot write {NAME} ({reason}); mend that, then continue with `anew resume`") from error
        self._flushed = time.monotonic()

    def sync(self) -> None:
        """Write all of it to the disk: what a checkpoint goes on from must not be lost with the power."""
        self.flush()
        os.fsync(self._file.fileno())

    def close(self) -> None:
        try:
            self.sync()
        finally:
            with contextlib.suppress(OSError):  # on a full disk, where it tries to write once more
                self._file.close()


def read(path: Path) -> Iterator[Event]:
    """The events of all whole lines, one after another; damaged ones are left out. None where there is no such file."""
    return (event for event in _lines(path) if event is not None)


def steps_of(run: Path) -> Iterator[Event]:
    """The steps in the log of a run folder, one after another: a long training has millions."""
    return (event for event in read(run / NAME) if event["event"] == "step")


def spread(path: Path, max_bytes: int = SPREAD) -> Iterator[Event]:
    """The events of a log whose course is shown: all of them, or of a longer log those in pieces at even distances."""
    if not path.exists() and not path.is_symlink():
        return
    with files.open_checked(path, BYTES) as file:
        size = file.seek(0, os.SEEK_END)
        if size > max_bytes:
            lines = (line for piece in pieces(file, 0, size, max_bytes) for line in piece.split(b"\n")[:-1])
            yield from (event for line in lines if (event := parse(line)) is not None)
            return
    yield from read(path)


def pieces(file: BinaryIO, start: int, stop: int, max_bytes: int) -> Iterator[bytes]:
    """Pieces of a log at even distances, the first and the last bytes among them. Each begins with a line."""
    count = max(2, max_bytes // PIECE)
    for number in range(count):
        file.seek(start + (stop - start - PIECE) * number // (count - 1))
        piece = file.read(PIECE)
        yield piece.partition(b"\n")[2] if number else piece


def last_step(run: Path) -> Event:
    """The last step in the log of a run folder; empty where there is none among its last lines."""
    path = run / NAME
    if not path.exists() and not path.is_symlink():
        return Event()
    with files.open_checked(path, BYTES) as file:
        lines = (line for line in _backwards(file) if len(line) < LINE and line.strip(b"\0 \r"))
        for line in itertools.islice(lines, LAST_LINES):
            event = parse(line)
            if event is not None and event["event"] == "step":
                return event
    return Event()


def _backwards(file: BinaryIO) -> Iterator[bytes]:
    """The lines of a file from the last to the first; of one that is longer than any event, parts at most."""
    place, rest = file.seek(0, os.SEEK_END), b""
    while place:
        start = max(0, place - LINE)
        file.seek(start)
        first, *lines = (file.read(place - start) + rest).split(b"\n")
        yield from reversed(lines)
        place, rest = start, first if len(first) < LINE else b""
    yield rest


def losses(step: Event) -> dict[str, float]:
    """The losses of a step by name: `loss`, `loss_NAME`."""
    return {name: value for name, value in step.items() if name.startswith("loss") and isinstance(value, int | float)}


def _lines(path: Path) -> Iterator[Event | None]:
    """The event of each line that is not empty, None for one that holds none."""
    if not path.exists() and not path.is_symlink():
        return
    with files.open_checked(path, BYTES) as file:
        is_rest = False  # of a line that is longer than any event
        while piece := file.readline(LINE):
            is_cut = len(piece) == LINE and not piece.endswith(b"\n")
            if not is_rest and (is_cut or piece.strip()):
                yield None if is_cut else parse(piece)
            is_rest = is_cut


def _is_whole(path: Path) -> bool:
    """Whether the file ends with a line end, or is empty."""
    with files.open_checked(path, BYTES) as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(size - 1, 0))
        return file.read(1) in (b"", b"\n")


def parse(line: bytes) -> Event | None:
    """The event of a line, None where it is none: fields are finite numbers (or null), text where text belongs."""
    try:
        event: Event = json.loads(line)
    except (ValueError, RecursionError):
        return None
    if not isinstance(event, dict) or not isinstance(event.get("event"), str) or len(event) > FIELDS:
        return None
    fits = all(_fits(name, value) for name, value in event.items())
    return event if fits and all(name in event for name in NEEDED.get(event["event"], ())) else None


def _fits(name: str, value: object) -> bool:
    if name in TEXTS:
        return isinstance(value, str)
    if name in ("step", "examples", "threads", "batches"):
        return isinstance(value, int) and not isinstance(value, bool) and (name == "threads") <= value < 2**63
    if value is None:
        return name != "progress"
    if not isinstance(value, int | float) or isinstance(value, bool):
        return False
    return 0.0 <= value <= 1.0 if name == "progress" else _is_finite(value)


def _is_finite(value: float) -> bool:
    try:
        return math.isfinite(value)
    except OverflowError:  # JSON has whole numbers of any length
        return False


def truncate(path: Path, step: int) -> int:
    """Forget what happened after `step`: a resumed run takes those steps again, and what was warned of or measured in them
    did not happen to it. Events without a step stay.

    Returns:
        How many damaged lines were left out, one that a kill cut short not counted.
    """
    bad = 0

    def kept() -> Iterator[bytes]:
        nonlocal bad
        for event in _lines(path):
            if event is None:
                bad += 1
            elif event.get("step", step) <= step:
                yield json.dumps(event).encode() + b"\n"

    cut = path.exists() and not _is_whole(path)
    files.write_parts(path, kept())
    return bad - min(bad, cut)


def progress_record(path: Path) -> Sequence[float]:
    """Progress by step, 0-based, of a run's steps; RunError where one is missing, since nothing could be replayed then."""
    record = array("d")  # a long training has millions
    for event in read(path):
        if event["event"] != "step":
            continue
        place = event["step"] - 1
        if not 0 <= place <= len(record):
            missing = len(record) + 1 if place > 0 else 1
            raise RunError(f"{str(path)!r} does not say how step {missing:,} went; restore it or give another run")
        record[place : place + 1] = array("d", [float(event["progress"])])
    return record


def thread_record(path: Path) -> dict[int, int]:
    """Threads of the CPU by the step, 0-based, from which on there were so many."""
    return {e["step"] - 1: e["threads"] for e in read(path) if e["event"] == "threads" and e["step"] > 0}


def batches_record(path: Path, event: str) -> int | None:
    """Batches that were read at the last event of this name; None where there was none."""
    last = None
    for entry in read(path):
        if entry["event"] == event:
            last = entry["batches"]
    return last
