"""Threads of this process, as they suit tensors."""

from __future__ import annotations

import functools
import os
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, nullcontext
from typing import TypeVar

import torch
from threadpoolctl import ThreadpoolController

from anew.core.machine.cores import count_cores
from anew.core.machine.schedule import scheduled_seconds

T = TypeVar("T")
R = TypeVar("R")

MEASURED_S = 0.1  # processor time that is spent on measuring how busy cores are; chosen
# Slowdown from which on cores count as busy: less is everyday noise; chosen.
MIN_SLOWDOWN = 1.5
MIN_METERED = 0.25  # seconds on a core, some 60 turns on busy ones: in less, a few turns of others decide
SHARED_CORES = "other programs use the CPU too: one thread is faster now than all of them"


def available_threads() -> int:
    """As many threads as there are cores for this process, shared with the others that torchrun started."""
    return max(1, count_cores() // int(os.environ.get("LOCAL_WORLD_SIZE", "1")))


def use_threads(count: int | None = None) -> int:
    """Let PyTorch use `count` threads, all that are available by default; returns how many."""
    count = available_threads() if count is None else count
    if torch.get_num_threads() != count:
        torch.set_num_threads(count)
    return count


@contextmanager
def one_thread() -> Iterator[None]:
    """PyTorch and NumPy work in the calling thread alone: for many small products, where waiting for each other costs more than it
    saves. Where other programs want the cores, two threads took 13 times as long as one (docs/log.md, 2026-11-26)."""
    _SINGLE.enter()
    try:
        yield
    finally:
        _SINGLE.leave()


@contextmanager
def one_thread_if_busy(slowdown: float | None) -> Iterator[None]:
    """All threads, or one where other programs want the cores. slowdown: how many times longer work takes; None to measure it now."""
    use_threads()
    slowdown = measure_slowdown() if slowdown is None else slowdown
    with one_thread() if slowdown >= MIN_SLOWDOWN else nullcontext():
        yield


class _SingleThread:
    """The pools of threads, limited to one while somebody needs that. Uses may overlap and end in any order: the last one restores
    what was before the first."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.num_users = 0
        self.own = threading.local()  # PyTorch counts for each thread, NumPy's OpenBLAS for all

    def enter(self) -> None:
        depth: int = getattr(self.own, "depth", 0)
        if depth == 0:
            self.own.before = torch.get_num_threads()
            torch.set_num_threads(1)
        self.own.depth = depth + 1
        with self.lock:
            if self.num_users == 0:
                self.limit = _blas_libraries().limit(limits=1)
            self.num_users += 1

    def leave(self) -> None:
        depth: int = getattr(self.own, "depth", 0)
        if depth == 1:
            torch.set_num_threads(self.own.before)
        self.own.depth = max(0, depth - 1)  # 0: a generator that was dropped is closed wherever that is noticed
        with self.lock:
            self.num_users -= 1
            if self.num_users == 0:
                self.limit.restore_original_limits()


_SINGLE = _SingleThread()


@functools.cache
def _blas_libraries() -> ThreadpoolController:
    """BLAS libraries that this process has loaded, cached because the search is slow. OpenMP is left to PyTorch."""
    return ThreadpoolController().select(user_api="blas")


class SlowdownMeter:
    """Slowdown of this thread by other programs since the meter was made.

    It is the ratio of the time on a core and waiting for one to the time on a core, as Linux counts them. Waiting for files does
    not count.
    """

    def __init__(self) -> None:
        self._on_core, self._queued = scheduled_seconds()

    @classmethod
    def since(cls, seconds: float) -> SlowdownMeter:
        """A meter that began so many seconds ago, if this thread has begun since then; else one that begins now."""
        meter = cls()
        if meter._on_core + meter._queued <= seconds:
            meter._on_core = meter._queued = 0.0
        return meter

    def read(self) -> float:
        """At least 1 (idle cores). Measured now if the meter has hardly run, or the system does not count the times."""
        on_core, queued = scheduled_seconds()
        if on_core - self._on_core < MIN_METERED:
            return measure_slowdown()
        return 1.0 + (queued - self._queued) / (on_core - self._on_core)

    def read_at_once(self) -> float:
        """The same for when no time is left to measure: by the turns so far, however few."""
        on_core, queued = scheduled_seconds()
        return 1.0 + (queued - self._queued) / max(on_core - self._on_core, 1e-3)


def measure_slowdown() -> float:
    """Slowdown of single-threaded work by other programs at this moment, at least 1 (idle cores)."""
    begin, cpu_begin = time.monotonic(), time.thread_time()
    while (used := time.thread_time() - cpu_begin) < MEASURED_S:
        sum(range(1000))
    return max(1.0, (time.monotonic() - begin) / used)


def stretched(seconds: float, slowdown: float, most: float) -> float:
    """Seconds that something takes on idle cores, longer by a factor where they are busy, up to `most`; no less than there."""
    return max(seconds, min(seconds * slowdown, most))


def map_in_threads(function: Callable[[T], R], arguments: Iterable[T], workers: int) -> Iterator[R]:
    """`function` of each argument, in order, several at a time; what PyTorch does within one call takes one thread meanwhile.

    Args:
        function: Releases the lock of the interpreter for most of its time, as tensors do.
        arguments: Taken one by one, a few ahead of what is finished.
        workers: Threads; with 1 PyTorch keeps its own.
    """
    if workers <= 1:
        yield from map(function, arguments)
        return
    with one_thread(), ThreadPoolExecutor(workers) as pool:
        yield from _in_order(pool, function, arguments, workers)


def _in_order(
    pool: ThreadPoolExecutor, function: Callable[[T], R], arguments: Iterable[T], max_ahead: int
) -> Iterator[R]:
    """Results in the order of the arguments, of which `max_ahead` are taken ahead."""
    futures: deque[Future[R]] = deque()
    try:
        for argument in arguments:
            futures.append(pool.submit(function, argument))
            if len(futures) > max_ahead:
                yield futures.popleft().result()
        while futures:
            yield futures.popleft().result()
    finally:
        # Whoever was stopped waits for what has begun, but not for the rest
        for future in futures:
            future.cancel()


def choose_thread_count(step_seconds: float, measure: Callable[[], float]) -> float:
    """Keep the number of threads, all or one, or change to the other where that is faster.

    Args:
        step_seconds: Seconds of a step with the present number.
        measure: Measures the seconds of a step again.

    Returns:
        Seconds of a step with the threads that are kept.
    """
    present, all_threads = torch.get_num_threads(), available_threads()
    if all_threads == 1:
        return step_seconds
    torch.set_num_threads(1 if present > 1 else all_threads)
    other_seconds = measure()
    if other_seconds * ThreadTuner.MIN_SPEEDUP < step_seconds:
        return other_seconds
    torch.set_num_threads(present)
    return step_seconds


class ThreadTuner:
    """All threads, or one of them where other programs want the cores too; tell it the seconds of each step.

    Some oneDNN kernels (gradients of convolution weights in bf16) wait for their other threads in a loop, and lose a time
    slice of the scheduler wherever one of those is not running: two trainings on the same two cores fell to a twentieth
    of their rate. One thread waits for nobody. Turns to it after three steps that took more than twice as long as usual,
    if it is faster then, and tries all threads again from time to time: soon at first, as most programs of others are short,
    and not while the one thread itself waits for a core, since a single step with all of them may take as long as 70 with one.

    Args:
        say: Shows the user a sentence, where one thread works for longer.
    """

    SUSPECT_SLOWDOWN = 2.0  # times the usual seconds of a step: from here on another number of threads is tried
    MIN_SPEEDUP = 1.25  # what another number of threads has to win to be kept
    FIRST_RETRY_S, LAST_RETRY_S = 3.0, 160.0  # until the next trial; doubles while trials say the same
    WORTH_SAYING_S = (
        10.0  # with one thread: programs that others start and end for a second or two are nobody's concern
    )
    MIN_WAIT_S = 1.0  # before the first trial: the first steps of a training are slow by themselves
    WINDOW = 3  # steps that are looked at together

    def __init__(self, say: Callable[[str], None], num_threads: int) -> None:
        self.say = say
        self.num_threads = num_threads
        self.usual_s = float("inf")
        self.recent_s: list[float] = []
        self.before_trial_s: float | None = None  # seconds of a step before the trial that is going on
        self.waited_s = 0.0
        self.retry_s = self.FIRST_RETRY_S
        self.has_said = False  # that one thread works
        self.meter = SlowdownMeter()  # since the last trial

    def record_step(self, seconds: float) -> None:
        """A step took that long; the next may have another number of threads."""
        if self.num_threads == 1:
            return
        self.recent_s = [*self.recent_s, seconds][-self.WINDOW :]
        self.waited_s += seconds
        is_hopeless = self.before_trial_s is not None and seconds > 2 * self.before_trial_s
        if len(self.recent_s) < self.WINDOW and not is_hopeless:
            return
        fastest = min(self.recent_s)
        if self.before_trial_s is not None:
            self._end_trial(fastest, self.before_trial_s)
        elif torch.get_num_threads() == 1:
            if self.waited_s > self.retry_s:
                self._retry(fastest)
        elif fastest > self.SUSPECT_SLOWDOWN * self.usual_s and self.waited_s > self.MIN_WAIT_S:
            self._start_trial(1, fastest)
        else:
            self.usual_s = min(self.usual_s, sorted(self.recent_s)[1])

    def _retry(self, seconds: float) -> None:
        """Try all threads again, unless other programs still keep the one thread waiting. seconds: those of its steps."""
        if self.meter.read() < MIN_SLOWDOWN:
            self._start_trial(self.num_threads, seconds)
            return
        self._say_shared()
        self._wait()

    def _start_trial(self, threads: int, seconds: float) -> None:
        torch.set_num_threads(threads)
        self.before_trial_s = seconds
        self.recent_s = []

    def _end_trial(self, seconds: float, before: float) -> None:
        """Keep the number of threads that is being tried, or go back to the one before."""
        num_threads = torch.get_num_threads()
        is_faster = seconds * self.MIN_SPEEDUP < before
        self.retry_s = self.FIRST_RETRY_S if is_faster else min(2 * self.retry_s, self.LAST_RETRY_S)
        if is_faster and num_threads > 1 and self.has_said:
            self.say("the cores are free again: all threads work")
            self.has_said = False
        if not is_faster:
            torch.set_num_threads(self.num_threads if num_threads == 1 else 1)
            self.usual_s = before if num_threads == 1 else self.usual_s
            if num_threads > 1 and self.retry_s >= self.WORTH_SAYING_S:
                self._say_shared()
        self.before_trial_s = None
        self._wait()

    def _wait(self) -> None:
        """Wait for `retry_s` from now on."""
        self.recent_s = []
        self.waited_s = 0.0
        self.meter = SlowdownMeter()

    def _say_shared(self) -> None:
        if not self.has_said:
            self.say(SHARED_CORES)
            self.has_said = True
