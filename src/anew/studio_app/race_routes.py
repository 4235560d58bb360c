"""The route of the page Compare families, on which four families learn one cloud of points side by side."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Annotated

from fastapi import FastAPI
from pydantic import Field
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from anew.core.programs import own_command
from anew.server.bodies import parse
from anew.server.guard import json_body
from anew.studio_app.job_routes import LIMITS, Seed, StudioBody

# Of a race, which takes one core; and bytes of a line of its report, which holds images; chosen.
MAX_SECONDS, MAX_LINE = 600.0, 4 * 2**20
ONE_RACE = asyncio.Semaphore(1)  # at a time: two would share the cores, and show no family as it is


class RaceBody(StudioBody):
    """seconds: Training time of all families together."""

    seconds: Annotated[float, Field(ge=1.0, le=MAX_SECONDS, allow_inf_nan=False)] = 60.0
    seed: Seed = 0


def add_race(app: FastAPI) -> None:
    """Add the route."""

    @app.post("/api/race")
    async def race(request: Request) -> Response:
        body = parse(RaceBody, await json_body(request, LIMITS))
        return StreamingResponse(_lines(body), media_type="text/event-stream")


async def _lines(body: RaceBody) -> AsyncIterator[str]:
    """Lines of the process as server-sent events. The process is killed when the page disconnects."""
    if ONE_RACE.locked():
        yield f"data: {json.dumps({'waiting': True})}\n\n"
    async with ONE_RACE:
        process = await asyncio.create_subprocess_exec(
            *own_command("anew.studio_app.race_process", str(body.seconds), str(body.seed)),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            limit=MAX_LINE,
        )
        try:
            assert process.stdout is not None
            async for line in process.stdout:
                yield f"data: {line.decode().strip()}\n\n"
            failed = await process.wait() != 0
            message = {"error": {"message": "training failed; the terminal in which the Studio runs says why"}}
            yield f"data: {json.dumps(message if failed else {'end': True})}\n\n"
        finally:
            if process.returncode is None:
                process.kill()
