"""Threads of this process, as they suit tensors."""

from __future__ import annotations

import os
from collections.abc import Callable

import torch

SHARED = "other programs use the cores too: one thread does more than all"


def available() -> int:
    """As many threads as this process may run on (taskset, containers), shared with the others that torchrun started."""
    count = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else (os.cpu_count() or 1)
    return max(1, count // int(os.environ.get("LOCAL_WORLD_SIZE", "1")))


def use_threads() -> int:
    """Use all that are available."""
    count = available()
    if torch.get_num_threads() != count:
        torch.set_num_threads(count)
    return count


def faster_alone(step_s: float, again: Callable[[], float]) -> float:
    """Seconds of a step, measured with all threads or, where that is faster, by `again` with one, which stays then."""
    threads = torch.get_num_threads()
    if threads == 1:
        return step_s
    torch.set_num_threads(1)
    alone = again()
    if alone * Crew.FASTER < step_s:
        return alone
    torch.set_num_threads(threads)
    return step_s


class Crew:
    """All threads, or one of them where other programs want the cores too; tell it what each step `took`.

    Some oneDNN kernels (gradients of convolution weights in bf16) wait for their other threads in a loop, and lose a time
    slice of the scheduler wherever one of those is not running: two trainings on the same two cores fell to a twentieth
    of their rate. One thread waits for nobody. Turns to it after three steps that took more than twice as long as usual,
    if it is faster then, and tries all threads again from time to time.
    """

    SLOW, FASTER = 2.0, 1.25  # how much slower than usual is suspect, and what another number of threads has to win
    AGAIN_S, LONGEST_S = 10.0, 160.0  # seconds until the next trial, which double while trials say the same

    def __init__(self, say: Callable[[str], None], everyone: int) -> None:
        self.say, self.everyone = say, everyone
        self.usual = float("inf")
        self.recent: list[float] = []
        self.compared: float | None = None  # while another number of threads is tried: what a step took before
        self.waited, self.again = 0.0, self.AGAIN_S

    def took(self, seconds: float) -> None:
        """A step took that long; the next may have another number of threads."""
        if self.everyone == 1:
            return
        self.recent = [*self.recent, seconds][-3:]
        self.waited += seconds
        hopeless = self.compared is not None and seconds > 2 * self.compared
        if len(self.recent) < 3 and not hopeless:
            return
        now = min(self.recent)
        if self.compared is not None:
            self._judge(now)
        elif torch.get_num_threads() == 1:
            if self.waited > self.again:
                self._try(self.everyone, now)
        elif now > self.SLOW * self.usual and self.waited > 1.0:
            self._try(1, now)
        else:
            self.usual = min(self.usual, sorted(self.recent)[1])

    def _try(self, threads: int, now: float) -> None:
        torch.set_num_threads(threads)
        self.compared, self.recent = now, []

    def _judge(self, now: float) -> None:
        """Keep the number of threads that is being tried, or go back to the one before."""
        assert self.compared is not None
        tried, won = torch.get_num_threads(), now * self.FASTER < self.compared
        self.again = self.AGAIN_S if won else min(2 * self.again, self.LONGEST_S)
        if won:
            self.say(SHARED if tried == 1 else "the cores are free: all threads work again")
        else:
            torch.set_num_threads(self.everyone if tried == 1 else 1)
            self.usual = self.compared if tried == 1 else self.usual
        self.compared, self.recent, self.waited = None, [], 0.0
