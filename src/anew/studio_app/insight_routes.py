"""Routes of the Studio for the views of how a model works."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, TypeVar

from fastapi import FastAPI
from pydantic import Field, Strict

from anew.server.limits import MAX_ROWS
from anew.server.worker import Channel
from anew.studio_app.event_streams import SampleOptionsBody, WorkRoutes
from anew.studio_app.insight_work import (
    DiscriminatorWork,
    FieldWork,
    MapWork,
    NoiseWork,
    PlaceWork,
    SentenceWork,
    SoftnessWork,
)
from anew.studio_app.job_routes import RunBody
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

    works = WorkRoutes(app, studio, players)

    def add(path: str, body_type: type[BodyT], work_of: Callable[[BodyT, Player, Channel[object]], PlayWork]) -> None:
        def work_at_step(body: BodyT, player: Player, channel: Channel[object]) -> PlayWork:
            work = work_of(body, player, channel)
            work.step = body.step
            return work

        works.add(path, body_type, work_at_step)

    add(
        "/noise",
        NoiseBody,
        lambda body, player, channel: NoiseWork(player, channel, body.options(1), body.each_label),
    )
    add("/field", StepBody, lambda body, player, channel: FieldWork(player, channel))
    add("/map", StepBody, lambda body, player, channel: MapWork(player, channel))
    add("/place", PlacesBody, lambda body, player, channel: PlaceWork(player, channel, body.places))
    add("/sentence", StepOptionsBody, lambda body, player, channel: SentenceWork(player, channel, body.options(1)))
    add("/softness", StepOptionsBody, lambda body, player, channel: SoftnessWork(player, channel, body.options(1)))
    add(
        "/discriminator",
        StepOptionsBody,
        lambda body, player, channel: DiscriminatorWork(player, channel, body.options(1)),
    )
