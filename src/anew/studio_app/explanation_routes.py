"""Routes of the Studio for the views of how a model works."""

from __future__ import annotations

from typing import Annotated

from fastapi import FastAPI
from pydantic import Field, Strict

from anew.server.limits import MAX_ROWS
from anew.studio_app.event_streams import SampleOptionsBody, StepBody, TaskRoutes
from anew.studio_app.explanation_tasks import (
    discriminator_events,
    field_events,
    map_events,
    noise_events,
    place_events,
    sentence_events,
    softness_events,
)
from anew.studio_app.loaded_models import LoadedModels
from anew.studio_app.studio import Studio

Coordinate = Annotated[float, Strict(), Field(ge=-10.0, le=10.0, allow_inf_nan=False)]


class StepOptionsBody(StepBody, SampleOptionsBody):
    """Sample options for a model at a step."""


class PlacesBody(StepBody):
    """places: Positions on the map of latents, in standard deviations from its centre."""

    places: Annotated[list[tuple[Coordinate, Coordinate]], Field(min_length=1, max_length=MAX_ROWS)]


class NoiseBody(StepOptionsBody):
    """each_label: Whether to show one starting point with each label."""

    each_label: Annotated[bool, Strict()] = False


def add_explanations(app: FastAPI, studio: Studio, loaded_models: LoadedModels) -> None:
    """Add the routes."""
    routes = TaskRoutes(app, studio, loaded_models)
    routes.add("/noise", NoiseBody, lambda body, task, model: noise_events(model, body.options(1), body.each_label))
    routes.add("/field", StepBody, lambda body, task, model: field_events(task, model))
    routes.add("/map", StepBody, lambda body, task, model: map_events(task, model))
    routes.add("/place", PlacesBody, lambda body, task, model: place_events(task, model, body.places))
    routes.add("/sentence", StepOptionsBody, lambda body, task, model: sentence_events(model, body.options(1)))
    routes.add("/softness", StepOptionsBody, lambda body, task, model: softness_events(task, model, body.options(1)))
    routes.add(
        "/discriminator", StepOptionsBody, lambda body, task, model: discriminator_events(task, model, body.options(1))
    )
