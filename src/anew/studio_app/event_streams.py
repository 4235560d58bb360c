"""Shared by the routes that use models: the model of a run, sample options, and works as streams of events."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from typing import Annotated, TypeVar

from fastapi import FastAPI
from pydantic import Field, Strict
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from anew.errors import AnewError
from anew.server.bodies import parse
from anew.server.faults import ApiError, bad_request
from anew.server.guard import json_body
from anew.server.worker import Channel
from anew.studio_app.job_routes import LIMITS, RunBody, Seed, ShortText
from anew.studio_app.loaded_models import Player, Players
from anew.studio_app.sample_work import PlayWork, SampleOptions
from anew.studio_app.studio import Studio

MAX_PROMPT = 20_000  # characters: several times what a model sees at once
BodyT = TypeVar("BodyT", bound=RunBody)
MakeWork = Callable[[Player, Channel[object]], PlayWork]


class SampleOptionsBody(RunBody):
    """Sample options of a request."""

    seed: Seed = 0
    label: ShortText | None = None
    prompt: Annotated[str, Strict(), Field(max_length=MAX_PROMPT)] | None = None
    settings: dict[ShortText, Annotated[str, Strict(), Field(max_length=200)]] = Field(default_factory=dict)

    def options(self, n: int) -> SampleOptions:
        """The options for n samples."""
        return SampleOptions(n, self.seed, self.label, self.prompt, self.settings)


async def player_of(studio: Studio, players: Players, name: str) -> Player:
    """The model of the run of this name."""
    return await run_in_threadpool(lambda: players.player(studio.run(name)))


async def work_events(player: Player, make: MakeWork) -> AsyncIterator[dict[str, object]]:
    """Events of a work until its end. The work is cancelled when the iteration stops."""
    channel: Channel[object] = Channel()
    work = make(player, channel)
    player.worker.submit([work])
    try:
        while True:
            event = await channel.get()
            assert isinstance(event, dict)
            yield event
            if "end" in event:
                return
    finally:
        player.worker.cancel([work])


class WorkRoutes:
    """Adds routes whose answers are the events of a work."""

    def __init__(self, app: FastAPI, studio: Studio, players: Players) -> None:
        self._app, self._studio, self._players = app, studio, players

    def add(
        self, path: str, body_type: type[BodyT], work_of: Callable[[BodyT, Player, Channel[object]], PlayWork]
    ) -> None:
        """Add a route. work_of: makes the work that a body asks for, of the model of the run that it names."""

        async def answer(request: Request) -> Response:
            body = parse(body_type, await json_body(request, LIMITS))
            player = await player_of(self._studio, self._players, body.run)
            return stream(player, lambda player, channel: work_of(body, player, channel))

        self._app.add_api_route(path, answer, methods=["POST"])


def stream(player: Player, make: MakeWork) -> Response:
    """A response that streams the events of a work."""
    return StreamingResponse(_server_sent_events(player, make), media_type="text/event-stream")


async def _server_sent_events(player: Player, make: MakeWork) -> AsyncIterator[str]:
    """The events as server-sent events; an error is the last of them."""
    try:
        async for event in work_events(player, make):
            yield f"data: {json.dumps(event)}\n\n"
    except ApiError as error:
        yield f"data: {json.dumps(error.body())}\n\n"
    except AnewError as error:
        yield f"data: {json.dumps(bad_request(str(error)).body())}\n\n"
