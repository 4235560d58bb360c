"""Routes of the Studio that start and stop commands."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, TypeVar

from fastapi import FastAPI
from pydantic import BaseModel, ConfigDict, Field, Strict
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from anew.core.settings import EXACT_INT
from anew.planning.request import MAX_MEASURED
from anew.server.bodies import parse
from anew.server.guard import json_body
from anew.server.limits import Limits
from anew.studio_app import commands
from anew.studio_app.jobs import Job
from anew.studio_app.studio import Studio

LIMITS = Limits(body_bytes=2**18)
ShortText = Annotated[str, Strict(), Field(min_length=1, max_length=1000)]
# Larger seeds would arrive as others: a browser holds whole numbers as floats.
Seed = Annotated[int, Strict(), Field(ge=0, le=EXACT_INT - 1)]
SampleCount = Annotated[int, Strict(), Field(ge=1, le=MAX_MEASURED)]
Settings = dict[ShortText, Annotated[str, Strict(), Field(max_length=1000)]]
BodyT = TypeVar("BodyT", bound=BaseModel)


class StudioBody(BaseModel):
    """A body that refuses unknown fields."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class TrainBody(StudioBody):
    """A new training run; fields as in `anew.train`."""

    data: ShortText
    budget: ShortText | None = None
    steps: Annotated[int, Strict()] | None = None
    family: ShortText | None = None
    modality: ShortText | None = None
    prefer: ShortText = "quality"
    seed: Seed = 0
    settings: Settings = {}


class RunBody(StudioBody):
    """run: Name of a run."""

    run: ShortText


class ResumeBody(RunBody):
    """budget: Additional time."""

    budget: ShortText | None = None


class AgainBody(RunBody):
    """seed: Seed of the new run."""

    seed: Seed


class EvaluateBody(RunBody):
    """n: Number of samples. data: Where the run's data lies now, if it was moved."""

    n: SampleCount
    data: ShortText | None = None


class EvaluateSamplesBody(RunBody):
    """run: The run whose data the samples are compared with. samples, held_out: Names below the start folder."""

    samples: ShortText
    held_out: ShortText | None = None
    n: SampleCount


class CompareBody(StudioBody):
    """runs: Names of runs."""

    runs: list[ShortText]


def add_jobs(app: FastAPI, studio: Studio) -> None:
    """Add the routes."""

    def add(path: str, body_type: type[BodyT], command: Callable[[BodyT], Job | None]) -> None:
        """Add the route of a command, which is added to the queue, or else acts at once on a run."""

        async def answer(request: Request) -> Response:
            body = parse(body_type, await json_body(request, LIMITS))
            job = await run_in_threadpool(command, body)
            if job is not None:
                return JSONResponse({"id": job.run, "job": job.id})
            assert isinstance(body, RunBody)
            return JSONResponse({"id": body.run})

        app.add_api_route(f"/api/{path}", answer, methods=["POST"])

    add("train", TrainBody, lambda body: commands.train(studio, **dict(body)))
    add("resume", ResumeBody, lambda body: commands.resume(studio, body.run, body.budget))
    add("again", AgainBody, lambda body: commands.train_again(studio, body.run, body.seed))
    add("evaluate", EvaluateBody, lambda body: commands.evaluate(studio, body.run, body.n, body.data))
    add(
        "evaluate-samples",
        EvaluateSamplesBody,
        lambda body: commands.evaluate_samples(studio, body.run, body.samples, body.held_out, body.n),
    )
    add("stop", RunBody, lambda body: commands.stop(studio, body.run))
    add("discard", RunBody, lambda body: commands.discard(studio, body.run))
    add("compare", CompareBody, lambda body: commands.compare(studio, body.runs))
    add("comparison/again", RunBody, lambda body: commands.repeat_comparison(studio, body.run))
    add("comparison/discard", RunBody, lambda body: commands.discard_comparison(studio, body.run))
