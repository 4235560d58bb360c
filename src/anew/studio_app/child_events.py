"""The events that a process of the Studio writes to its standard output, a line of JSON each, for the page that waits for them."""

from __future__ import annotations

import asyncio
import contextlib
import json
import math
import sys
import time
from collections.abc import AsyncGenerator, AsyncIterator, Sequence

from starlette.requests import Request

from anew.core.programs import own_command
from anew.server.errors import bad_request
from anew.server.server_sent_events import Json

EXIT_SECONDS = 5.0  # a process should end within this time after its last event; chosen
# Seconds between two checks whether the page is still open: a process for which nobody waits ends soon
SECONDS_BETWEEN_CHECKS = 0.25
# Size of one event, which holds the items of a sheet: several times the largest ones.
MAX_EVENT_BYTES = 1 << 28


async def child_events(
    request: Request,
    module: str,
    words: Sequence[str],
    *,
    failure: str,
    stdin: bytes = b"",
    seconds: float = math.inf,
    too_late: str = "",
) -> AsyncGenerator[Json, None]:
    """The events of a process, up to the one with "end" or "error"; none after the page has disconnected. The process is killed with the
    iteration. Lines that are not events go to the standard error of the Studio, and so does what a process that fails writes to its own.

    Args:
        module, words: The process, as `python -m module words`.
        failure: Says that it ended before its last event.
        stdin: Its standard input.
        seconds: Time that it may take.
        too_late: Says that it took longer.

    Raises:
        ApiError: It failed, or took too long.
    """
    ends_at = time.monotonic() + seconds
    async with _child_process(own_command(module, *words), stdin) as process:
        assert process.stdout is not None and process.stderr is not None
        error_output = asyncio.ensure_future(process.stderr.read())
        is_last = False
        try:
            async for event in _events_of(request, process.stdout, ends_at):
                is_last = _is_last(event)
                yield event
        except ConnectionAbortedError:
            return
        except TimeoutError:
            raise bad_request(too_late) from None
        with contextlib.suppress(asyncio.TimeoutError):
            await asyncio.wait_for(process.wait(), EXIT_SECONDS)
        if process.returncode:
            sys.stderr.buffer.write(await error_output)
        if not is_last:
            raise bad_request(failure)


@contextlib.asynccontextmanager
async def _child_process(command: Sequence[str], stdin: bytes) -> AsyncIterator[asyncio.subprocess.Process]:
    """A process that is killed at the end of the context, if it still runs. stdin: its standard input."""
    process = await asyncio.create_subprocess_exec(
        *command,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        limit=MAX_EVENT_BYTES,
    )
    try:
        assert process.stdin is not None
        process.stdin.write(stdin)
        process.stdin.write_eof()
        yield process
    finally:
        # The process is ended before anything is awaited: when a page was left, Starlette cancels an `await` at once
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
        await process.wait()


async def _events_of(request: Request, stream: asyncio.StreamReader, ends_at: float) -> AsyncGenerator[Json, None]:
    """The events in a stream up to the last one; errors as of `_next_line`."""
    while line := await _next_line(request, stream, ends_at):
        if event := _event(line):
            yield event
            if _is_last(event):
                return


def _is_last(event: Json) -> bool:
    return "end" in event or "error" in event


def _event(line: bytes) -> Json:
    """The event in a line; an empty one where something else has printed the line, which goes to standard error."""
    with contextlib.suppress(ValueError):
        event = json.loads(line)
        if isinstance(event, dict):
            return event
    sys.stderr.buffer.write(line)
    return {}


async def _next_line(request: Request, stream: asyncio.StreamReader, ends_at: float) -> bytes:
    """The next line of a stream, b"" at its end.

    Raises:
        TimeoutError: `time.monotonic()` is `ends_at`.
        ConnectionAbortedError: The page has disconnected.
    """
    line = asyncio.ensure_future(stream.readline())
    try:
        while not line.done():
            if await request.is_disconnected():
                raise ConnectionAbortedError
            if time.monotonic() >= ends_at:
                raise TimeoutError
            await asyncio.wait([line], timeout=SECONDS_BETWEEN_CHECKS)
        return line.result()
    finally:
        line.cancel()
