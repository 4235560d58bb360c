"""Items of a Grid drawn on the CPU in small parts, each by a thread of its own.

Threads that share an operation wait for each other at its end, and there are thousands of short operations in a sample. Where other
programs want the cores, the one that is not running holds up the others each time: a batch took 40 times as long as on one
thread. Parts wait for nobody, take less time on idle cores, too, and their values do not depend on the number of threads.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError, ThreadPoolExecutor
from dataclasses import replace

import torch
from torch import Tensor

from anew.core.machine.threads import available_threads, one_thread
from anew.core.specs import Grid, SampleRequest
from anew.errors import RunError
from anew.families.base import Family, num_parameters

# Parameters times positions of all items of a part, a bound on its multiplications: in smaller parts of 28 x 28 pixels, calls of operations
# take as long as the operations. At most as many items.
PART_WORK, MAX_PART = 2**34, 64


def draws_in_parts(family: Family, request: SampleRequest) -> bool:
    """Whether a request is drawn in parts.

    Tokens have samplers of their own. One pass through a network has few operations, and few large items gain from several threads.
    """
    if not isinstance(family.spec, Grid) or family.device.type != "cpu" or family.num_drafts(request) == 1:
        return False
    return part_size(family) > 1 or request.n >= available_threads()


def part_size(family: Family) -> int:
    """The number of items of a part. It depends on the family alone, not on the machine."""
    num_positions: int = math.prod(family.spec.shape[1:])
    work: int = max(num_parameters(family) * num_positions, 1)  # of an item
    return min(max(PART_WORK // work, 1), MAX_PART)


def draw_in_parts(family: Family, request: SampleRequest, seed: int, report: Callable[[float], None]) -> Tensor:
    """The last draft of all samples (n, *shape).

    Args:
        family: A family of Grids, on the CPU.
        request: What is drawn.
        seed: Seed of the samples.
        report: Called by one thread at a time with about the share of the work that is done, below 1.
    """
    parts = list(split_request(request, part_size(family), len(family.spec.shape)))
    counter = _DraftCounter(len(parts) * max(family.num_drafts(request), 1), report)

    def draw(part: SampleRequest) -> Tensor:
        last = None
        for draft in family.sample(part, seed):
            last = draft
            counter.add_draft()
        if last is None:
            raise RunError("the family returned no samples; train the run again")
        return last

    workers = min(available_threads(), len(parts))
    if workers == 1:
        with one_thread():
            return torch.cat([draw(part) for part in parts])
    with one_thread(), ThreadPoolExecutor(workers) as pool:
        futures = [pool.submit(draw, part) for part in parts]
        try:
            return torch.cat([future.result() for future in futures])
        finally:
            # After a stop, the end of the pool waits for its threads, and what they draw is not wanted any more
            counter.cancel()


def split_request(request: SampleRequest, size: int, num_axes: int) -> Iterator[SampleRequest]:
    """Requests for `size` samples each, the last for fewer, which together ask for the same samples. num_axes: those of an item."""
    for start in range(0, request.n, size):
        rows = slice(start, min(start + size, request.n))
        condition = request.condition
        if condition is not None:
            mask = None if condition.mask is None else _rows_of(condition.mask, num_axes, rows)
            condition = replace(condition, x=_rows_of(condition.x, num_axes, rows), mask=mask)
        yield replace(
            request,
            n=rows.stop - start,
            labels=None if request.labels is None else request.labels[rows],
            condition=condition,
            first_index=request.first_index + start,
            keys=None if request.keys is None else request.keys[rows],
        )


def _rows_of(values: Tensor, num_axes: int, rows: slice) -> Tensor:
    """The rows of values that differ from sample to sample; the values themselves if they have only the axes of one sample."""
    return values if values.dim() <= num_axes else values[rows]


class _DraftCounter:
    """Drafts that were drawn by several threads.

    Args:
        num_planned: About how many there will be.
        report: Called with the share of these.
    """

    def __init__(self, num_planned: int, report: Callable[[float], None]) -> None:
        self._num_planned = num_planned
        self._num_drawn = 0
        self._report = report
        self._lock = threading.Lock()
        self._is_cancelled = False

    def add_draft(self) -> None:
        """Count a draft.

        Raises:
            CancelledError: Nobody waits for the samples.
        """
        with self._lock:
            if self._is_cancelled:
                raise CancelledError
            self._num_drawn += 1
            self._report(self._num_drawn / max(self._num_planned + 1, self._num_drawn + 1))

    def cancel(self) -> None:
        """Let all threads end with their next draft."""
        self._is_cancelled = True
