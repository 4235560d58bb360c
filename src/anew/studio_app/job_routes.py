"""Routes of the Studio that start and stop commands."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from fastapi import FastAPI
from pydantic import BaseModel
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from anew.server.bodies import parse
from anew.server.guard import json_body
from anew.studio_app import commands
from anew.studio_app.job_bodies import (
    LIMITS,
    AgainBody,
    CompareBody,
    EvaluateBody,
    EvaluateSamplesBody,
    ResumeBody,
    RunBody,
    TrainBody,
)
from anew.studio_app.jobs import Job
from anew.studio_app.studio import Studio

BodyT = TypeVar("BodyT", bound=BaseModel)


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

    add("train", TrainBody, lambda body: commands.train(studio, body))
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
