"""The thread of a model: it loads the model when it is needed, carries out tasks in order, and unloads the model when idle.

Tasks send events to the event loop through channels.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import math
import sys
import threading
import time
import traceback
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Hashable, Sequence
from typing import Generic, TypeVar

from anew.core.machine.device import release_unused_memory
from anew.core.machine.threads import one_thread
from anew.core.specs import Tokens
from anew.errors import AnewError, ConfigError, out_of_memory
from anew.sampling.model import Model
from anew.server.errors import ApiError, from_config_error
from anew.server.limits import MAX_ROWS, Limits

E = TypeVar("E")
GATHER_SECONDS = 0.004  # a task waits so long for others to be batched with: less than a step of most models
# Weight of the newest batch in the running mean of its seconds, from which a full queue derives Retry-After; chosen
NEWEST_WEIGHT = 0.3
STOPPING = "the server is stopping; try again later"
FAILED = "the thread of this model ended by a bug in Anew; the log of the server has its traceback"


class Channel(Generic[E]):
    """Events of one request, from the thread of its model to the event loop, in which it must be created."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._events: asyncio.Queue[E | Exception] = asyncio.Queue()
        self.is_cancelled = False

    def put(self, event: E | Exception) -> None:
        """Send an event, from the thread; an exception ends the request."""
        with contextlib.suppress(RuntimeError):  # the loop is closed: the server has stopped, nobody waits
            self._loop.call_soon_threadsafe(self._events.put_nowait, event)

    async def get(self) -> E:
        """The next event; an exception that was sent is raised."""
        event = await self._events.get()
        if isinstance(event, Exception):
            raise event
        return event

    def cancel(self) -> None:
        """Mark the request as cancelled; the thread stops at its next check."""
        self.is_cancelled = True


class Task(ABC):
    """A part of a request, to be done by the thread of one model.

    Attributes:
        channel: Receives its events.
        size: Number of samples.
        max_rows: Largest number of samples in a batch.
        began: `time.monotonic()` when it was created.
    """

    channel: Channel[object]
    size: int
    max_rows: int = MAX_ROWS

    def __init__(self) -> None:
        self.began = time.monotonic()

    @abstractmethod
    def batch_key(self) -> Hashable:
        """Tasks with the same key can be done as one batch; None: this one only alone."""

    @abstractmethod
    def run(self, model: Model, group: Sequence[Task]) -> None:
        """Carry out the tasks of `group`, of which this is the first, and send their events. Stops when `channel.is_cancelled`."""

    def fail(self, error: Exception) -> None:
        """End the request with an error."""
        self.channel.put(error)


def threads_for(model: Model) -> contextlib.AbstractContextManager[None]:
    """A context for sampling: one thread for tokens on a CPU, since their steps are many small matrix products."""
    is_small = isinstance(model.spec, Tokens) and model.device.type == "cpu"
    return one_thread() if is_small else contextlib.nullcontext()


class ModelWorker:
    """The thread of one model.

    Args:
        name: Name of the model, for logs.
        limits: Limits of the server.
        model: The model, if it is loaded already.
    """

    def __init__(self, name: str, load: Callable[[], Model], limits: Limits, model: Model | None = None) -> None:
        self.name, self.limits = name, limits
        self._load, self._model = load, model
        self._pending: deque[Task] = deque()
        self._num_running = 0
        self._seconds_per_group = 1.0
        self._changed = threading.Condition()
        self._stop_reason = ""  # not empty once it is to stop
        self._thread = threading.Thread(target=self._serve, name=f"anew-{name}", daemon=True)
        self._thread.start()

    @property
    def is_loaded(self) -> bool:
        """Whether the model is in memory."""
        return self._model is not None

    def counts(self) -> tuple[int, int]:
        """Numbers of tasks in progress and of tasks that are waiting."""
        with self._changed:
            return self._num_running, len(self._pending)

    def submit(self, tasks: Sequence[Task], is_continuation: bool = False) -> None:
        """Add tasks of one request to the queue.

        Args:
            is_continuation: Whether the request was accepted before, so that a full queue must not refuse it.

        Raises:
            ApiError: 429 the queue is full; 503 the thread was stopped.
        """
        with self._changed:
            self._drop_cancelled()
            if self._stop_reason:
                raise ApiError(503, self._stop_reason)
            if not is_continuation and len(self._pending) + len(tasks) > self.limits.queue:
                raise self._queue_is_full()
            self._pending.extend(tasks)
            self._changed.notify_all()

    def _queue_is_full(self) -> ApiError:
        seconds = max(1, math.ceil(self._seconds_per_group * (1 + len(self._pending) / MAX_ROWS)))
        message = f"the queue of {self.name!r} is full; try again in {seconds} s"
        return ApiError(429, message, code="queue_full", headers={"Retry-After": str(seconds)})

    def cancel(self, tasks: Sequence[Task]) -> None:
        """Cancel tasks, and remove them from the queue."""
        for task in tasks:
            task.channel.cancel()
        with self._changed:
            self._drop_cancelled()

    def request_stop(self, reason: str = STOPPING) -> None:
        """Let the thread end after its present task. Tasks that are waiting or submitted later are answered with 503.

        reason: message of that error.
        """
        with self._changed:
            self._stop_reason = reason
            self._changed.notify_all()

    def stop(self, reason: str = STOPPING) -> None:
        """`request_stop`, and wait for the end."""
        self.request_stop(reason)
        self._thread.join(timeout=self.limits.stop_seconds)

    def _drop_cancelled(self) -> None:
        self._pending = deque(task for task in self._pending if not task.channel.is_cancelled)

    # ---- in the thread ----

    def _serve(self) -> None:
        try:
            while (group := self._next_group()) is not None:
                if group:
                    self._run_group(group)
        # After a bug, too: requests would wait in vain for a thread that is gone
        finally:
            with self._changed:
                self._stop_reason = self._stop_reason or FAILED
            for task in self._pending:
                task.fail(ApiError(503, self._stop_reason))

    def _next_group(self) -> list[Task] | None:
        """The first task and those that can be batched with it; [] if there is none; None if the thread is to end."""
        with self._changed:
            if not self._pending and not self._stop_reason:
                was_changed = self._changed.wait(self.limits.idle_seconds if self.is_loaded else None)
                if not was_changed and not self._pending:
                    self._unload()
            if self._stop_reason:
                return None
            if not self._pending:
                return []
            may_be_batched = self._pending[0].batch_key() is not None
        if may_be_batched:
            time.sleep(GATHER_SECONDS)
        with self._changed:
            self._drop_cancelled()
            group = self._take_group()
            self._num_running = len(group)
        return group

    def _take_group(self) -> list[Task]:
        if not self._pending:
            return []
        group = [self._pending.popleft()]
        key, rows = group[0].batch_key(), group[0].size
        waiting: deque[Task] = deque()
        for task in self._pending:
            fits = key is not None and rows + task.size <= group[0].max_rows and task.batch_key() == key
            if fits:
                group.append(task)
                rows += task.size
            else:
                waiting.append(task)
        self._pending = waiting
        return group

    def _run_group(self, group: Sequence[Task]) -> None:
        begin = time.monotonic()
        try:
            if self._model is None:
                self._model = self._load()
            group[0].run(self._model, group)
        except Exception as error:  # whatever it is, clients get an answer and the thread continues
            api_error = self._to_api_error(error)
            for task in group:
                task.fail(api_error)
        finally:
            with self._changed:
                self._num_running = 0
                self._seconds_per_group += NEWEST_WEIGHT * (time.monotonic() - begin - self._seconds_per_group)

    def _to_api_error(self, error: Exception) -> ApiError:
        """The error for the client. Messages that may name paths go to the log only."""
        if isinstance(error, ApiError):
            return error
        if isinstance(error, ConfigError):
            return from_config_error(error)
        traceback.print_exception(error, file=sys.stderr)
        if out_of_memory(error):
            return ApiError(503, "not enough memory for this request; ask for fewer or shorter samples")
        if isinstance(error, AnewError):
            return ApiError(500, f"the model {self.name!r} cannot be used; the log of the server says why")
        return ApiError(500, "this is a bug in Anew; the log of the server has its traceback")

    def _unload(self) -> None:
        self._model = None
        gc.collect()
        release_unused_memory()
