"""Routes of the Studio for the views of how a model works."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, TypeVar

from fastapi import FastAPI
from pydantic import Field, Strict
from starlette.requests import Request
from starlette.responses import Response

from anew.server.bodies import parse
from anew.server.guard import json_body
from anew.server.limits import MAX_ROWS
from anew.server.worker import Channel
from anew.studio_app.event_streams import MakeWork, SampleOptionsBody, player_of, stream
from anew.studio_app.insight_work import (
    DiscriminatorWork,
    FieldWork,
    MapWork,
    NoiseWork,
    PlaceWork,
    SentenceWork,
    SoftnessWork,
)
from anew.studio_app.job_routes import LIMITS, RunBody
from anew.studio_app.loaded_models import Player, Players
from anew.studio_app.sample_work import PlayWork
from anew.studio_app.studio import Studio

Coordinate = Annotated[float, Strict(), Field(ge=-10.0, le=10.0, allow_inf_nan=False)]
MAX_STEP = 10**15  # the most that file names of weights have digits for


class StepBody(RunBody):
    """step: A step whose weights were kept, and are used; None: the newest."""

    step: Annotated[int, Strict(), Field(ge=0, le=MAX_STEP)] | None = None


BodyT = TypeVar("BodyT", bound=StepBody)


class StepOptionsBody(StepBody, SampleOptionsBody):
    """Sample options for a model at a step."""


class PlacesBody(StepBody):
    """places: Positions on the map of latents, in standard deviations from its centre."""

    places: Annotated[list[tuple[Coordinate, Coordinate]], Field(min_length=1, max_length=MAX_ROWS)]


class NoiseBody(StepOptionsBody):
    """each_label: Whether to show one starting point with each label."""

    each_label: Annotated[bool, Strict()] = False


def add_insights(app: FastAPI, studio: Studio, players: Players) -> None:
    """Add the routes."""

    def add(path: str, body_type: type[BodyT], work_of: Callable[[BodyT], MakeWork]) -> None:
        async def answer(request: Request) -> Response:
            body = parse(body_type, await json_body(request, LIMITS))
            make = work_of(body)

            def make_at_step(player: Player, channel: Channel[object]) -> PlayWork:
                work = make(player, channel)
                work.step = body.step
                return work

            return stream(await player_of(studio, players, body.run), make_at_step)

        app.add_api_route(path, answer, methods=["POST"])

    add(
        "/noise",
        NoiseBody,
        lambda body: lambda player, channel: NoiseWork(player, channel, body.options(1), body.each_label),
    )
    add("/field", StepBody, lambda body: FieldWork)
    add(
        "/sentence",
        StepOptionsBody,
        lambda body: lambda player, channel: SentenceWork(player, channel, body.options(1)),
    )
    add(
        "/softness",
        StepOptionsBody,
        lambda body: lambda player, channel: SoftnessWork(player, channel, body.options(1)),
    )
    add(
        "/discriminator",
        StepOptionsBody,
        lambda body: lambda player, channel: DiscriminatorWork(player, channel, body.options(1)),
    )
    add("/map", StepBody, lambda body: MapWork)
    add("/place", PlacesBody, lambda body: lambda player, channel: PlaceWork(player, channel, body.places))
