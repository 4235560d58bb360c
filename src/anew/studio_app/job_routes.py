"""Routes of the Studio that start and stop commands."""

from __future__ import annotations

from typing import Annotated

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

    @app.post("/api/train")
    async def train(request: Request) -> Response:
        body = parse(TrainBody, await json_body(request, LIMITS))
        job = await run_in_threadpool(
            commands.train,
            studio,
            body.data,
            budget=body.budget,
            steps=body.steps,
            family=body.family,
            modality=body.modality,
            prefer=body.prefer,
            seed=body.seed,
            settings=body.settings,
        )
        return _queued(job)

    @app.post("/api/resume")
    async def resume(request: Request) -> Response:
        body = parse(ResumeBody, await json_body(request, LIMITS))
        return _queued(await run_in_threadpool(commands.resume, studio, body.run, body.budget))

    @app.post("/api/again")
    async def again(request: Request) -> Response:
        body = parse(AgainBody, await json_body(request, LIMITS))
        return _queued(await run_in_threadpool(commands.train_again, studio, body.run, body.seed))

    @app.post("/api/evaluate")
    async def evaluate(request: Request) -> Response:
        body = parse(EvaluateBody, await json_body(request, LIMITS))
        return _queued(await run_in_threadpool(commands.evaluate, studio, body.run, body.n, body.data))

    @app.post("/api/evaluate-samples")
    async def evaluate_samples(request: Request) -> Response:
        body = parse(EvaluateSamplesBody, await json_body(request, LIMITS))
        job = await run_in_threadpool(commands.evaluate_samples, studio, body.run, body.samples, body.held_out, body.n)
        return _queued(job)

    @app.post("/api/stop")
    async def stop(request: Request) -> Response:
        body = parse(RunBody, await json_body(request, LIMITS))
        await run_in_threadpool(commands.stop, studio, body.run)
        return JSONResponse({"id": body.run})

    @app.post("/api/discard")
    async def discard(request: Request) -> Response:
        body = parse(RunBody, await json_body(request, LIMITS))
        await run_in_threadpool(commands.discard, studio, body.run)
        return JSONResponse({"id": body.run})

    _add_comparisons(app, studio)


def _add_comparisons(app: FastAPI, studio: Studio) -> None:
    @app.post("/api/compare")
    async def compare(request: Request) -> Response:
        body = parse(CompareBody, await json_body(request, LIMITS))
        return _queued(await run_in_threadpool(commands.compare, studio, body.runs))

    @app.post("/api/comparison/again")
    async def repeat_comparison(request: Request) -> Response:
        body = parse(RunBody, await json_body(request, LIMITS))
        return _queued(await run_in_threadpool(commands.repeat_comparison, studio, body.run))

    @app.post("/api/comparison/discard")
    async def discard_comparison(request: Request) -> Response:
        body = parse(RunBody, await json_body(request, LIMITS))
        await run_in_threadpool(commands.discard_comparison, studio, body.run)
        return JSONResponse({"id": body.run})


def _queued(job: Job) -> Response:
    return JSONResponse({"id": job.run, "job": job.id})
