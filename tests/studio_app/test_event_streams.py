"""Events of a task as a page reads them."""

from __future__ import annotations

import asyncio
import json
from types import SimpleNamespace
from typing import Any

from anew.server.server_sent_events import event_stream
from anew.server.worker import Channel
from anew.studio_app.event_streams import task_events


def lines_of(*events: dict[str, object]) -> list[dict[str, Any]]:
    """What a page gets of a task that sends these events."""

    async def read() -> list[bytes]:
        loaded = SimpleNamespace(worker=SimpleNamespace(submit=lambda tasks: None, cancel=lambda tasks: None))
        task: Any = SimpleNamespace(loaded=loaded, channel=Channel())
        for event in events:
            task.channel.put(event)
        answer: Any = event_stream(task_events(task))
        return [line async for line in answer.body_iterator]

    return [json.loads(line.removeprefix(b"data: "), parse_constant=lambda name: 1 / 0) for line in asyncio.run(read())]


def test_events_come_one_after_the_other() -> None:
    assert lines_of({"belief": 0.5}, {"end": True}) == [{"belief": 0.5}, {"end": True}]


def test_numbers_that_json_lacks_end_the_stream_with_a_message() -> None:
    # `JSON.parse` refuses them, and the page would say nothing
    first, last = lines_of({"step": 1}, {"belief": float("nan")}, {"end": True})
    assert first == {"step": 1} and "not finite numbers" in last["error"]["message"]
