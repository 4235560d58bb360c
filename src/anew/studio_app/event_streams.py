"""Shared by the routes that use models: the model of a run, sample options, and tasks as streams of events."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Iterator
from functools import partial
from typing import Annotated, TypeVar

from fastapi import FastAPI
from pydantic import Field, Strict
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from anew.sampling.model import Model
from anew.server.bodies import parse
from anew.server.guard import json_body
from anew.server.server_sent_events import event_stream
from anew.studio_app.job_bodies import LIMITS, RunBody, Seed, ShortText
from anew.studio_app.loaded_models import LoadedModel, LoadedModels
from anew.studio_app.sample_tasks import Json, PlayTask, SampleOptions
from anew.studio_app.studio import Studio

MAX_PROMPT = 20_000  # characters: several times what a model sees at once
BodyT = TypeVar("BodyT", bound=RunBody)
MAX_STEP = 10**15  # the most that file names of weights have digits for


class StepBody(RunBody):
    """step: A step whose weights were kept, and are used; None: the newest."""

    step: Annotated[int, Strict(), Field(ge=0, le=MAX_STEP)] | None = None


class SampleOptionsBody(RunBody):
    """Sample options of a request."""

    seed: Seed = 0
    label: ShortText | None = None
    prompt: Annotated[str, Strict(), Field(max_length=MAX_PROMPT)] | None = None
    settings: dict[ShortText, Annotated[str, Strict(), Field(max_length=200)]] = Field(default_factory=dict)

    def options(self, n: int) -> SampleOptions:
        """The options for n samples."""
        return SampleOptions(n, self.seed, self.label, self.prompt, self.settings)


async def loaded_model(studio: Studio, loaded_models: LoadedModels, name: str) -> LoadedModel:
    """The model of the run of this name."""
    return await run_in_threadpool(lambda: loaded_models.get(studio.run(name)))


async def task_events(task: PlayTask) -> AsyncGenerator[Json, None]:
    """Events of a task until its end. The task is cancelled when the iteration stops."""
    task.loaded.worker.submit([task])
    try:
        while True:
            event = await task.channel.get()
            assert isinstance(event, dict)
            yield event
            if "end" in event:
                return
    finally:
        task.loaded.worker.cancel([task])


class TaskRoutes:
    """Adds routes whose answers are the events of a task."""

    def __init__(self, app: FastAPI, studio: Studio, loaded_models: LoadedModels) -> None:
        self._app, self._studio, self._models = app, studio, loaded_models

    def add(
        self, path: str, body_type: type[BodyT], events: Callable[[BodyT, PlayTask, Model], Iterator[Json]]
    ) -> None:
        """Add a route. events: those that a body asks for, of the model of the run that it names."""

        async def answer(request: Request) -> Response:
            body = parse(body_type, await json_body(request, LIMITS))
            loaded = await loaded_model(self._studio, self._models, body.run)
            step = body.step if isinstance(body, StepBody) else None
            return event_stream(task_events(PlayTask(loaded, partial(events, body), step)))

        self._app.add_api_route(path, answer, methods=["POST"])
