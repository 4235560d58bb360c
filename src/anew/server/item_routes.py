"""Paths for sound, and for files of any kind in a zip."""

from __future__ import annotations

from fastapi import FastAPI
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from anew.sampling.samples import Samples
from anew.server.bodies import parse
from anew.server.catalog import CatalogEntry
from anew.server.guard import json_body
from anew.server.item_bodies import AudioBody, SamplesBody
from anew.server.items import all_samples, class_of, item_request, prompt_condition, tasks_of, zip_of
from anew.server.metrics import RequestClock
from anew.server.schemas import route_schema
from anew.server.service import Service
from anew.server.worker import Channel


def add_item_routes(app: FastAPI, service: Service) -> None:
    """Add the paths to an app."""
    names, media = service.catalog.names_for("audio"), ("audio/wav", "audio/flac")
    files = route_schema("create_samples", "Files", SamplesBody, "application/zip", models=service.catalog.names_for())

    @app.post(
        "/v1/audio/generate",
        summary="Generate a sound",
        **route_schema("create_sound", "Sound", AudioBody, *media, models=names),
    )
    @app.post(
        "/v1/audio/speech",
        summary="Generate a sound, under OpenAI's name",
        **route_schema("create_speech", "Sound", AudioBody, *media, models=names),
    )
    async def sound(request: Request) -> Response:
        body = parse(AudioBody, await json_body(request, service.limits))
        entry = service.catalog.item_entry(body.model, "audio")
        label = class_of(entry, {"input": body.input, "voice": body.voice, "label": body.label})
        tasks = tasks_of(item_request(body, entry, 1, label=label), entry, Channel())
        entry.worker.submit(tasks[:1])

        async def whole(clock: RequestClock) -> Response:
            samples = await all_samples(tasks, entry, clock)
            data, file_format = await run_in_threadpool(_sound_file, samples, entry, body.response_format)
            return Response(data, media_type=f"audio/{file_format}")

        return await service.answer(request, entry, tasks, whole)

    @app.post("/v1/samples", summary="Generate samples of any kind, as files in a zip", **files)
    async def samples(request: Request) -> Response:
        body = parse(SamplesBody, await json_body(request, service.limits))
        entry = service.catalog.entry(body.model)
        label = class_of(entry, {"label": body.label})
        condition = await run_in_threadpool(prompt_condition, body, entry)
        tasks = tasks_of(item_request(body, entry, body.n, label=label, condition=condition), entry, Channel())
        entry.worker.submit(tasks[:1])

        async def whole(clock: RequestClock) -> Response:
            samples = await all_samples(tasks, entry, clock)
            data = await run_in_threadpool(zip_of, samples)
            headers = {"Content-Disposition": 'attachment; filename="samples.zip"'}
            return Response(data, media_type="application/zip", headers=headers)

        return await service.answer(request, entry, tasks, whole)


def _sound_file(samples: Samples, entry: CatalogEntry, file_format: str | None) -> tuple[bytes, str]:
    """The first sample as a file, and its format. file_format: None takes that of the run."""
    artifact = samples.artifact(0)
    media_format = artifact.media.partition("/")[2]
    if file_format is None or file_format == media_format:
        return artifact.data, media_format
    return entry.modality.save_as(samples[0], file_format).data, file_format
