"""Streams of events."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator
from typing import Any

from anew.server.server_sent_events import Json, event_stream


def test_numbers_that_json_lacks_end_a_stream_with_an_error() -> None:
    """A stream of completions held `NaN`, which no reader of JSON takes."""

    async def values() -> AsyncGenerator[Json, None]:
        yield {"type": "piece", "logprob": -0.5}
        yield {"logprob": float("nan")}
        yield {"logprob": -1.0}

    async def read() -> list[bytes]:
        answer: Any = event_stream(values(), "data: [DONE]\n\n")
        return [event async for event in answer.body_iterator]

    first, error, last = asyncio.run(read())
    assert first == b'event: piece\ndata: {"type": "piece", "logprob": -0.5}\n\n' and last == b"data: [DONE]\n\n"
    assert "not finite numbers" in json.loads(error.removeprefix(b"data: "))["error"]["message"]
