"""Routes of the Studio for the views of how a model works."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, TypeVar

from fastapi import FastAPI
from pydantic import Field, Strict

from anew.server.limits import MAX_ROWS
from anew.server.worker import Channel
from anew.studio_app.event_streams import SampleOptionsBody, TaskRoutes
from anew.studio_app.insight_tasks import (
    DiscriminatorTask,
    FieldTask,
    MapTask,
    NoiseTask,
    PlaceTask,
    SentenceTask,
    SoftnessTask,
)
from anew.studio_app.job_routes import RunBody
from anew.studio_app.loaded_models import LoadedModel, LoadedModels
from anew.studio_app.sample_tasks import PlayTask
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


def add_insights(app: FastAPI, studio: Studio, loaded_models: LoadedModels) -> None:
    """Add the routes."""

    tasks = TaskRoutes(app, studio, loaded_models)

    def add(
        path: str, body_type: type[BodyT], task_of: Callable[[BodyT, LoadedModel, Channel[object]], PlayTask]
    ) -> None:
        def task_at_step(body: BodyT, loaded: LoadedModel, channel: Channel[object]) -> PlayTask:
            task = task_of(body, loaded, channel)
            task.step = body.step
            return task

        tasks.add(path, body_type, task_at_step)

    add(
        "/noise",
        NoiseBody,
        lambda body, loaded, channel: NoiseTask(loaded, channel, body.options(1), body.each_label),
    )
    add("/field", StepBody, lambda body, loaded, channel: FieldTask(loaded, channel))
    add("/map", StepBody, lambda body, loaded, channel: MapTask(loaded, channel))
    add("/place", PlacesBody, lambda body, loaded, channel: PlaceTask(loaded, channel, body.places))
    add("/sentence", StepOptionsBody, lambda body, loaded, channel: SentenceTask(loaded, channel, body.options(1)))
    add("/softness", StepOptionsBody, lambda body, loaded, channel: SoftnessTask(loaded, channel, body.options(1)))
    add(
        "/discriminator",
        StepOptionsBody,
        lambda body, loaded, channel: DiscriminatorTask(loaded, channel, body.options(1)),
    )
