"""Paths that make new images, and that fill in a part of a given one.

As in OpenAI's API, that part is where a mask, or the image itself, is transparent.
"""

from __future__ import annotations

import base64
import time
from collections.abc import AsyncIterator
from dataclasses import replace

import numpy as np
import torch
from fastapi import FastAPI
from numpy.typing import NDArray
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from anew.core import isolation
from anew.core.specs import Condition, Grid
from anew.data.formats.images.transparency import AlphaReader
from anew.data.types import Artifact, Item
from anew.errors import ConfigError
from anew.families.base import families_that
from anew.sampling.latents import values_of
from anew.server.answer_schemas import ImageData, ImagesResponse
from anew.server.bodies import parse, parse_form
from anew.server.catalog import CatalogEntry
from anew.server.errors import bad_request, from_config_error
from anew.server.guard import form_body, json_body
from anew.server.item_bodies import ImageBody
from anew.server.item_tasks import FinishedSamples, ItemRequest, ItemTask
from anew.server.items import all_samples, check_size, class_of, item_request, sample_events, size_of, tasks_of
from anew.server.metrics import RequestClock
from anew.server.schemas import EVENTS, route_schema
from anew.server.server_sent_events import Json
from anew.server.service import Service
from anew.server.worker import Channel

TAG = "Images"
EMPTY_USAGE = {"input_tokens": 0, "output_tokens": 0, "total_tokens": 0}  # clients expect the field
MIN_OPAQUE_ALPHA = 128  # alpha from which a pixel is kept: half of the scale


def add_image_routes(app: FastAPI, service: Service) -> None:
    """Add the paths to an app."""

    image_models, edit_models = service.catalog.names_for("image"), service.catalog.names_for("edits")

    @app.post(
        "/v1/images/generations",
        summary="Generate images",
        **route_schema("create_images", TAG, ImageBody, EVENTS, answer=ImagesResponse, models=image_models),
    )
    async def generations(request: Request) -> ImagesResponse | Response:
        body = parse(ImageBody, await json_body(request, service.limits))
        entry = service.catalog.item_entry(body.model, "image")
        return await _image_response(service, request, "image_generation", entry, body, _request(body, entry))

    @app.post(
        "/v1/images/edits",
        summary="Fill in a part of an image",
        **route_schema(
            "edit_image", TAG, ImageBody, EVENTS, answer=ImagesResponse, models=edit_models, files=("image", "mask")
        ),
    )
    async def edits(request: Request) -> ImagesResponse | Response:
        fields, files = await form_body(request, service.limits)
        body = parse_form(ImageBody, fields)
        entry = service.catalog.item_entry(body.model, "image")
        if unknown := sorted(set(files) - {"image", "mask"}):
            raise bad_request(f"unknown file {unknown[0][:60]}; send image and mask", unknown[0][:60])
        if "image" not in files:
            raise bad_request("image is missing; send it as a file in the form", "image")
        if not entry.fills_in:
            able = families_that(lambda family: family.fills_in)
            raise bad_request(f"this model ({entry.family}) cannot keep given pixels; use a model of {able}", "model")
        sample_request = _request(body, entry)
        condition = await run_in_threadpool(condition_from_files, entry, files["image"], files.get("mask"))
        sample_request = replace(sample_request, condition=condition)
        return await _image_response(service, request, "image_edit", entry, body, sample_request)


def _request(body: ImageBody, entry: CatalogEntry) -> ItemRequest:
    """The checked item request of a body."""
    check_size(entry, body.size)
    if body.partial_images and not body.stream:
        raise bad_request("partial_images needs stream=true; leave it out", "partial_images")
    label = class_of(entry, {"prompt": body.prompt, "label": body.label})
    return item_request(body, entry, body.n or 1, label=label, num_partials=body.partial_images or 0)


async def _image_response(
    service: Service,
    request: Request,
    event_name: str,
    entry: CatalogEntry,
    body: ImageBody,
    sample_request: ItemRequest,
) -> ImagesResponse | Response:
    """The answer, whole or as a stream of events."""
    tasks = tasks_of(sample_request, entry, Channel())
    entry.worker.submit(tasks[:1])
    if body.stream:

        def events(clock: RequestClock) -> AsyncIterator[Json]:
            return _events(event_name, tasks, entry, clock)

        return service.stream(request, entry, tasks, events, ends_with_done=False)

    async def whole(clock: RequestClock) -> ImagesResponse:
        samples = await all_samples(tasks, entry, clock)
        data = [
            ImageData(b64_json=_base64(artifact), label=label, index=index)
            for index, (artifact, label) in enumerate(zip(samples.artifacts, samples.labels, strict=True))
        ]
        return ImagesResponse(
            created=int(time.time()),
            size=size_of(entry),
            output_format="png",
            seed=sample_request.seed,
            data=data,
        )

    return await service.answer(request, entry, tasks, whole)


async def _events(
    event_name: str, tasks: list[ItemTask], entry: CatalogEntry, clock: RequestClock
) -> AsyncIterator[dict[str, object]]:
    """Events of partial images, then of finished ones."""
    common: dict[str, object] = {
        "size": size_of(entry),
        "quality": "auto",
        "background": "auto",
        "output_format": "png",
        "seed": tasks[0].request.seed,
    }
    async for event in sample_events(tasks, entry, clock):
        is_finished = isinstance(event, FinishedSamples)
        name = f"{event_name}.{'completed' if is_finished else 'partial_image'}"
        details = (
            {"usage": EMPTY_USAGE} if isinstance(event, FinishedSamples) else {"partial_image_index": event.number}
        )
        for offset, artifact in enumerate(event.samples.artifacts):
            image = {"b64_json": _base64(artifact), "index": event.first_index + offset}
            yield {"type": name, "created_at": int(time.time()), **image, **common, **details}


def _base64(artifact: Artifact) -> str:
    return base64.b64encode(artifact.data).decode()


def condition_from_files(entry: CatalogEntry, image: bytes, mask: bytes | None) -> Condition:
    """The condition that keeps a part of an image. Slow, so not for the event loop.

    Args:
        image: An image file.
        mask: An image file whose transparent pixels are filled in; None: those of the image.

    Raises:
        ApiError: 400 a file cannot be used.
    """
    files = {"image": image} if mask is None else {"image": image, "mask": mask}
    items = [Item(name, data) for name, data in files.items()]
    alphas: dict[str, NDArray[np.uint8]] = {}
    assert isinstance(entry.spec, Grid)
    height, width = entry.spec.shape[1:]
    for name, alpha in zip(files, isolation.each(AlphaReader().read, items), strict=True):
        if isinstance(alpha, ValueError):
            raise bad_request(f"the {name} cannot be used: {alpha}", name)
        if alpha.shape != (height, width):
            size = f"{alpha.shape[1]}x{alpha.shape[0]}"
            raise bad_request(f"the {name} is {size}, and this model needs {width}x{height}; resize it", name)
        alphas[name] = alpha
    alpha = alphas["image" if mask is None else "mask"]
    if (alpha >= MIN_OPAQUE_ALPHA).all():
        where = "image, or send a mask that is" if mask is None else "mask"
        raise bad_request(f"no pixel is to be filled in; make some transparent in the {where}", "mask")
    try:
        x = values_of(entry.modality, image)[0]  # (C, H, W)
    except ConfigError as error:
        raise from_config_error(error, "image") from None
    return Condition(x, torch.from_numpy((alpha >= MIN_OPAQUE_ALPHA).astype(np.float32))[None])
