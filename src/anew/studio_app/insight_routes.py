"""Routes of the Studio that show how a model works."""

from __future__ import annotations

from typing import Annotated

from fastapi import FastAPI
from pydantic import Field, Strict
from starlette.requests import Request
from starlette.responses import Response

from anew.server.bodies import parse
from anew.server.guard import json_body
from anew.server.limits import MAX_ROWS
from anew.studio_app.insight_work import CriticWork, FieldWork, NoiseWork
from anew.studio_app.job_routes import LIMITS, RunBody
from anew.studio_app.latent_work import MapWork, PlaceWork, SoftnessWork
from anew.studio_app.play_streams import WishBody, player_of, stream
from anew.studio_app.players import Players
from anew.studio_app.sentence_work import SentenceWork
from anew.studio_app.studio import Studio

Coordinate = Annotated[float, Strict(), Field(ge=-10.0, le=10.0, allow_inf_nan=False)]


class PlacesBody(RunBody):
    """places: on the map of latents, in deviations from its middle."""

    places: Annotated[list[tuple[Coordinate, Coordinate]], Field(min_length=1, max_length=MAX_ROWS)]


class NoiseBody(WishBody):
    """each_label: one start with each label."""

    each_label: Annotated[bool, Strict()] = False


def add_insights(app: FastAPI, studio: Studio, players: Players) -> None:
    """Add the routes."""

    @app.post("/noise")
    async def noise(request: Request) -> Response:
        body = parse(NoiseBody, await json_body(request, LIMITS))
        return stream(
            await player_of(studio, players, body.run),
            lambda player, channel: NoiseWork(player, channel, body.wish(1), body.each_label),
        )

    @app.post("/field")
    async def field(request: Request) -> Response:
        body = parse(RunBody, await json_body(request, LIMITS))
        return stream(await player_of(studio, players, body.run), FieldWork)

    @app.post("/sentence")
    async def sentence(request: Request) -> Response:
        body = parse(WishBody, await json_body(request, LIMITS))
        return stream(
            await player_of(studio, players, body.run),
            lambda player, channel: SentenceWork(player, channel, body.wish(1)),
        )

    @app.post("/softness")
    async def softness(request: Request) -> Response:
        body = parse(WishBody, await json_body(request, LIMITS))
        return stream(
            await player_of(studio, players, body.run),
            lambda player, channel: SoftnessWork(player, channel, body.wish(1)),
        )

    @app.post("/critic")
    async def critic(request: Request) -> Response:
        body = parse(WishBody, await json_body(request, LIMITS))
        return stream(
            await player_of(studio, players, body.run),
            lambda player, channel: CriticWork(player, channel, body.wish(1)),
        )

    @app.post("/map")
    async def latent_map(request: Request) -> Response:
        body = parse(RunBody, await json_body(request, LIMITS))
        return stream(await player_of(studio, players, body.run), MapWork)

    @app.post("/place")
    async def place(request: Request) -> Response:
        body = parse(PlacesBody, await json_body(request, LIMITS))
        return stream(
            await player_of(studio, players, body.run), lambda player, channel: PlaceWork(player, channel, body.places)
        )
