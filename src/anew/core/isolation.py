"""Decoding in a process of its own: a file from anybody may crash a native library, hang it or fill the memory, and that must
cost this one file alone.

The worker is a plain Python process that speaks over its two pipes. It ends when its parent does, since its pipe does. Requests are
batches of items, which keeps the overhead small; results are sent as they are ready. If a batch brings it down, each item without an answer
is tried alone, if need be in a new worker, so that only the guilty one is refused.
"""

from __future__ import annotations

import atexit
import contextlib
import faulthandler
import io
import os
import pickle
import signal
import subprocess
import sys
import tempfile
import threading
import time
import weakref
from collections.abc import Callable, Iterable, Iterator, Sequence
from types import MethodType
from typing import IO, NoReturn, Protocol, TypeVar, TypeVarTuple, cast

import numpy as np

from anew.core.deadline import uninterrupted
from anew.core.stop_signals import stop_signals
from anew.core.worker_pipe import Installment, get, put, received
from anew.errors import AnewError

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

# Seconds of CPU that one item may take where it is tried alone; among others, half as many. A picture of 64 megapixels takes 0.35
# (docs/log.md, 2026-11-27).
SECONDS = 20.0
WALL_TIME_FACTOR = 4  # times as many by the clock: on a busy machine nothing else may be refused than on an idle one
# Bytes of memory that decoding may take (on Linux, where a process can be held to it): three times what fuzzing
# reached.
MAX_MEMORY_BYTES = 3 << 30
# Items, and bytes of them, that are sent at a time: 16 cost more, 256 gain nothing (docs/log.md, 2026-11-26).
BATCH_ITEMS, BATCH_BYTES = 128, 1 << 25
ANSWER_SECONDS, ANSWER_BYTES = 0.25, 1 << 25  # the worker then sends what it has: it would be lost if it died
# Bytes that glibc keeps when they are freed: the next file asks for as much, and fresh pages cost as much as decoding.
MALLOC_OPTIONS = {"TRIM_THRESHOLD": 1 << 26, "TOP_PAD": 1 << 22, "MMAP_THRESHOLD": 1 << 23}
# Bytes that may wait in a pipe, where the system allows so many: each time one is full costs a context switch.
PIPE_BYTES = 1 << 20
_WORKER_PROGRAM = ("import sys; sys.path[:] = sys.argv[1:]", "from anew.core.isolation import serve", "serve()")
_HUNG = 1  # exit code of faulthandler's watchdog
_TIMED_OUT = {-getattr(signal, name) for name in ("SIGALRM", "SIGPROF") if hasattr(signal, name)} | {_HUNG}
_BROKEN = 70  # exit code where `serve` itself fails
S = TypeVar("S")  # what decodes
X = TypeVar("X")  # an item
R = TypeVar("R")  # what is made of it
E = TypeVar("E", bound="EncodedItem")
More = TypeVarTuple("More")  # further arguments
_inside = False  # whether this process is a worker


class ItemDecoder(Protocol):
    """Whose methods decode items. native: C libraries do it."""

    @property
    def native(self) -> bool: ...


class EncodedItem(Protocol):
    """An item as it lies in its source."""

    @property
    def data(self) -> object: ...


class _WorkerDied(Exception):
    """The worker has ended in the middle of its work; the message is a clause about the item."""


def _started(stderr: IO[bytes]) -> subprocess.Popen[bytes]:
    """A process that decodes; what it says on standard error goes into a file."""
    single_threaded = {name: "1" for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")}
    keeps_memory = {f"MALLOC_{name}_": str(size) for name, size in MALLOC_OPTIONS.items()}
    process = subprocess.Popen(
        [sys.executable, "-P", "-c", "\n".join(_WORKER_PROGRAM), *sys.path],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=stderr,
        env=os.environ | single_threaded | keeps_memory,
    )
    for pipe in (process.stdin, process.stdout):
        _widen(cast(IO[bytes], pipe))
    return process


def _widen(pipe: IO[bytes]) -> None:
    """Let PIPE_BYTES wait in a pipe. Linux limits the bytes of all pipes of a user, who may have many workers."""
    if fcntl is not None and hasattr(fcntl, "F_SETPIPE_SZ"):
        with contextlib.suppress(OSError):
            fcntl.fcntl(pipe, fcntl.F_SETPIPE_SZ, PIPE_BYTES)


class Worker:
    """One process, started when it is first needed and again after it died. Thread-safe."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._is_ready = False
        self._stderr: IO[bytes] | None = None
        self._lock = threading.Lock()
        self._closed = False
        _workers.add(self)

    def start(self) -> None:
        """Start the process, if there is none, without waiting until it is ready."""
        with self._lock:
            self._running()

    def run(self, function: Callable[[S, X], R], subject: S, items: Sequence[X]) -> list[R | ValueError]:
        """[function(subject, item) for item in items] in the process; a ValueError (one clause) in the place of each item
        that cannot be decoded, whatever the reason. function: one of a module; an AnewError that it raises is raised."""
        results: list[R | ValueError] = []
        with self._lock:
            try:
                self._ask(function, subject, items, SECONDS / 2, results)
            except _WorkerDied:
                results += [self._run_one(function, subject, item) for item in items[len(results) :]]
        for result in results:
            if isinstance(result, AnewError):
                raise result
        return results

    def close(self) -> None:
        """End the process for good."""
        self._closed = True
        self._end()

    # ---- inside the lock ----

    def _run_one(self, function: Callable[[S, X], R], subject: S, item: X) -> R | ValueError:
        results: list[R | ValueError] = []
        try:
            self._ask(function, subject, [item], SECONDS, results)
        except _WorkerDied as death:
            return ValueError(str(death))
        return results[0]

    def _ask(
        self,
        function: Callable[[S, X], R],
        subject: S,
        items: Sequence[X],
        seconds: float,
        results: list[R | ValueError],
    ) -> None:
        """Append what comes of the items to the results, up to the death of the process."""
        message = pickle.dumps((function, subject, items, seconds, MAX_MEMORY_BYTES), 5)
        process = self._running()
        assert process.stdin is not None and process.stdout is not None
        try:
            if not self._is_ready:
                self._wait_until_ready(process)
            put(process.stdin, message)
            end = len(results) + len(items)
            while len(results) < end:
                results += cast(list[R | ValueError], received(process.stdout, end - len(results)))
        except (EOFError, OSError):
            code = self._end()
            raise _WorkerDied(self._cause_of_death(code)) from None
        except BaseException:  # interrupted: the answer would be taken for that to the next question
            self._end()
            raise

    def _running(self) -> subprocess.Popen[bytes]:
        if self._closed:
            raise RuntimeError("the worker is closed")
        if self._process is None:
            with uninterrupted():  # else nobody would know of the process
                stderr = tempfile.TemporaryFile()  # noqa: SIM115 (closed in `_end`)
                try:
                    self._process = _started(stderr)
                except BaseException:  # Ctrl-C, too
                    stderr.close()
                    raise
                self._stderr = stderr
                self._is_ready = False
        return self._process

    def _wait_until_ready(self, process: subprocess.Popen[bytes]) -> None:
        assert process.stdout is not None
        try:
            get(process.stdout)
        except (EOFError, OSError):
            if self._closed:
                raise
            assert self._stderr is not None
            self._stderr.seek(0)
            lines = self._stderr.read().decode(errors="replace").strip().splitlines()
            self._end()
            raise AnewError(
                f"the process that decodes files does not start ({lines[-1] if lines else 'it says nothing'}); "
                f"check that {sys.executable!r} runs"
            ) from None
        self._is_ready = True

    def _end(self) -> int:
        """Its exit code."""
        with uninterrupted():  # else the process would run on
            return self._end_now()

    def _end_now(self) -> int:
        process, self._process = self._process, None
        if process is None:
            return 0
        for pipe in (process.stdin, process.stdout):
            with contextlib.suppress(OSError):  # what was not sent yet
                assert pipe is not None
                pipe.close()
        with contextlib.suppress(subprocess.TimeoutExpired):  # dead, or about to end since its pipe has
            process.wait(0.05)
        process.kill()
        code = process.wait()
        if self._stderr is not None:
            self._stderr.close()
        return code

    def _cause_of_death(self, code: int) -> str:
        if self._closed:
            raise RuntimeError("the worker is closed")
        if code in _TIMED_OUT:
            return f"it takes more than {SECONDS:g} s to decode"
        return f"it brings its decoder down ({_signal_name(-code) if code < 0 else f'exit code {code}'})"

    def _forget(self) -> None:
        """In a forked child: the process is the parent's, and its pipe must end with the parent."""
        process, self._process = self._process, None
        self._lock = threading.Lock()
        if process is not None:
            process.returncode = 0
            for pipe in (process.stdin, process.stdout):
                cast(io.BufferedReader, pipe).raw.close()  # not flushed: what is buffered is the parent's


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:  # a real-time signal
        return f"signal {number}"


def _forget_all() -> None:
    for worker in list(_workers):
        worker._forget()


_workers: weakref.WeakSet[Worker] = weakref.WeakSet()
_worker = Worker()
atexit.register(_worker.close)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_all)


def start() -> None:
    """Start the worker in the background, since it will be needed."""
    if not _inside:
        _worker.start()


def call(function: Callable[[S, X], R], subject: S, item: X) -> R:
    """function(subject, item) in the worker. Raises ValueError (one clause) where that cannot be decoded."""
    result = function(subject, item) if _inside else _worker.run(function, subject, [item])[0]
    if isinstance(result, ValueError):
        raise result
    return result


def each(method: Callable[[E, *More], R], items: Iterable[E], *more: *More) -> Iterator[R | ValueError]:
    """The result of a method for each item, in order; an iterator becomes a list.

    Args:
        method: A bound method of an `ItemDecoder` (a modality). If that is `native`, items that are not arrays go to the worker.

    Yields:
        The result, or a ValueError (one clause) in the place of an item that the method refuses.
    """
    decoder = cast(ItemDecoder, cast(MethodType, method).__self__)
    if _inside or not decoder.native:
        yield from (_done((method, more), item) for item in items)
        return
    for batch in batches(items):
        if all(isinstance(item.data, np.ndarray) for item in batch):
            yield from (_done((method, more), item) for item in batch)
        else:
            yield from _worker.run(_done, (method, more), batch)


def batches(items: Iterable[X], most: int = BATCH_ITEMS) -> Iterator[list[X]]:
    """Lists of `most` items in a row, or of about BATCH_BYTES."""
    batch: list[X] = []
    size = 0
    for item in items:
        data = getattr(item, "data", b"")
        data = getattr(data, "body", data)  # if it is a FileSlice
        batch.append(item)
        size += len(data) if isinstance(data, bytes) else 0
        if len(batch) == most or size >= BATCH_BYTES:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def _done(subject: tuple[Callable[[E, *More], R], tuple[*More]], item: E) -> R | ValueError:
    method, more = subject
    try:
        result = method(item, *more)
        return cast(R, list(result)) if isinstance(result, Iterator) else result
    except ValueError as error:
        return ValueError(str(error))


# ---- in the worker ----


def serve() -> NoReturn:
    """Answer what is asked until the pipe ends."""
    global _inside
    _inside = True
    for number in {*stop_signals()} - {signal.SIGTERM}:  # a terminal sends them to the whole group; the parent decides
        signal.signal(number, signal.SIG_IGN)
    requests, answers = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    null = os.open(os.devnull, os.O_RDWR)
    for stream in range(3):  # libraries may write what they like
        os.dup2(null, stream)
    _let_timers_end_it()
    try:
        put(answers, b"")
        while True:
            function, subject, items, seconds, max_bytes = pickle.loads(get(requests))
            _limit_memory(max_bytes)
            for installment in _installments(_timed(function, subject, items, seconds, null)):
                installment.send(answers)
    except (EOFError, BrokenPipeError):
        os._exit(0)
    except BaseException:  # the protocol itself failed: what fails about an item was answered
        os._exit(_BROKEN)


def _let_timers_end_it() -> None:
    """Have the signals of timers end this process, whatever it was started under."""
    if hasattr(signal, "pthread_sigmask"):
        timers = (signal.SIGALRM, signal.SIGPROF)
        for number in timers:
            signal.signal(number, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, timers)


def _installments(results: Iterable[object]) -> Iterator[Installment]:
    """The results in portions of what came within ANSWER_SECONDS or takes ANSWER_BYTES."""
    ready, due = Installment(), time.monotonic() + ANSWER_SECONDS
    for result in results:
        ready.add(result)
        if ready.size >= ANSWER_BYTES or time.monotonic() >= due:
            yield ready
            ready, due = Installment(), time.monotonic() + ANSWER_SECONDS
    if ready.pickles:
        yield ready


def _timed(
    function: Callable[[S, X], R], subject: S, items: Sequence[X], seconds: float, null: int
) -> Iterator[R | Exception]:
    """Apply the function to each item; the process ends when one item takes longer than the limit in seconds."""
    if not hasattr(signal, "setitimer"):  # Windows, where the clock alone counts
        yield from _watched(function, subject, items, seconds, null)
        return
    for item in items:
        signal.setitimer(signal.ITIMER_PROF, seconds)
        signal.setitimer(signal.ITIMER_REAL, WALL_TIME_FACTOR * seconds)
        result = _tried(function, subject, item)
        signal.setitimer(signal.ITIMER_REAL, 0.0)  # before anything waits for the other process
        signal.setitimer(signal.ITIMER_PROF, 0.0)
        yield result


def _watched(
    function: Callable[[S, X], R], subject: S, items: Sequence[X], seconds: float, null: int
) -> Iterator[R | Exception]:
    slack, armed = min(1.0, seconds / 4), -1e9  # arming it for every item would cost a thread each
    try:
        for item in items:
            if time.monotonic() > armed + slack:
                faulthandler.dump_traceback_later(WALL_TIME_FACTOR * seconds + slack, exit=True, file=null)
                armed = time.monotonic()
            yield _tried(function, subject, item)
    finally:
        faulthandler.cancel_dump_traceback_later()


def _tried(function: Callable[[S, X], R], subject: S, item: X) -> R | Exception:
    try:
        return function(subject, item)
    except (ValueError, AnewError) as error:
        return error if isinstance(error, AnewError) else ValueError(str(error))
    except MemoryError:
        return ValueError("decoding it takes more memory than is allowed")
    except Exception as error:  # readers of libraries raise almost anything on damaged files
        text = str(error).strip().splitlines()
        return ValueError(
            f"it cannot be decoded ({type(error).__name__}{': ' if text else ''}{text[0] if text else ''})"
        )


def _limit_memory(max_bytes: int) -> None:
    """Let this process take no more than `max_bytes` bytes beyond what it has, and leave no image of it where it crashes."""
    global _held
    if sys.platform != "linux" or _held:
        return
    _held = True
    import resource

    with open("/proc/self/statm") as stream:
        limit = int(stream.read().split()[0]) * resource.getpagesize() + max_bytes
    hard_limit = resource.getrlimit(resource.RLIMIT_AS)[1]
    soft_limit = limit if hard_limit == resource.RLIM_INFINITY else min(limit, hard_limit)
    resource.setrlimit(resource.RLIMIT_AS, (soft_limit, hard_limit))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


_held = False  # whether this process is held to its share of memory
