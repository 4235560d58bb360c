"""The route of the page Compare families, on which four families learn one cloud of points side by side."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator
from typing import Annotated

from fastapi import FastAPI
from pydantic import Field
from starlette.requests import Request
from starlette.responses import Response

from anew.server.bodies import parse
from anew.server.guard import json_body
from anew.server.server_sent_events import Json, event_stream
from anew.studio_app.child_events import child_events
from anew.studio_app.job_bodies import LIMITS, Seed, StudioBody

MAX_SECONDS = 600.0  # longest comparison, which takes one core; chosen
ONE_COMPARISON = asyncio.Semaphore(1)  # one at a time: two would share the cores, and show no family as it is


class ToyComparisonBody(StudioBody):
    """seconds: Training time of all families together."""

    seconds: Annotated[float, Field(ge=1.0, le=MAX_SECONDS, allow_inf_nan=False)] = 60.0
    seed: Seed = 0


def add_toy_comparison(app: FastAPI) -> None:
    """Add the route."""

    @app.post("/api/toy-comparison")
    async def toy_comparison(request: Request) -> Response:
        body = parse(ToyComparisonBody, await json_body(request, LIMITS))
        return event_stream(_comparison_events(request, body))


async def _comparison_events(request: Request, body: ToyComparisonBody) -> AsyncGenerator[Json, None]:
    """The events of a comparison, after one that says that it waits for another."""
    if ONE_COMPARISON.locked():
        yield {"waiting": True}
    failure = "training failed; the terminal in which the Studio runs says why"
    events = child_events(
        request, "anew.studio_app.toy_comparison_process", [str(body.seconds), str(body.seed)], failure=failure
    )
    async with ONE_COMPARISON, contextlib.aclosing(events):
        async for event in events:
            yield event
