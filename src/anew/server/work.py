"""Messages between the event loop and the thread of a model."""

from __future__ import annotations

import asyncio
import contextlib
import time
from abc import ABC, abstractmethod
from collections.abc import Hashable, Sequence
from typing import Generic, TypeVar

from anew.core.specs import Tokens
from anew.core.threads import one_thread
from anew.sampling.model import Model
from anew.server.limits import MAX_ROWS

E = TypeVar("E")


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


class Work(ABC):
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
        """Works with the same key can be done as one batch; None: this one only alone."""

    @abstractmethod
    def run(self, model: Model, group: Sequence[Work]) -> None:
        """Do the works of `group`, of which this is the first, and send their events. Stops when `channel.is_cancelled`."""

    def fail(self, error: Exception) -> None:
        """End the request with an error."""
        self.channel.put(error)


def threads_for(model: Model) -> contextlib.AbstractContextManager[None]:
    """A context for sampling: one thread for tokens on a CPU, since their steps are many small matrix products."""
    is_small = isinstance(model.spec, Tokens) and model.device.type == "cpu"
    return one_thread() if is_small else contextlib.nullcontext()
