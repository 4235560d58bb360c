"""Routes of the Studio for trying out a model. Most answer with a stream of events."""

from __future__ import annotations

import base64
import binascii
import dataclasses
import re
import tempfile
from functools import partial
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
from fastapi import FastAPI
from numpy.typing import NDArray
from pydantic import Field, Strict
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from torch import Tensor

from anew.core.arrays import Numbers
from anew.core.settings import MAX_INT
from anew.core.specs import Condition
from anew.data.modalities.audio import Audio
from anew.errors import ConfigError
from anew.sampling.latents import values_of
from anew.sampling.model import Model
from anew.sampling.origins import origins_in
from anew.sampling.samples import Samples
from anew.server.errors import bad_request
from anew.server.guard import stream_body
from anew.server.items import zip_of
from anew.server.limits import MAX_ROWS
from anew.studio_app.event_streams import MAX_PROMPT, SampleOptionsBody, TaskRoutes, loaded_model, task_events
from anew.studio_app.job_bodies import RunBody, ShortText
from anew.studio_app.loaded_models import LoadedModel, LoadedModels
from anew.studio_app.sample_tasks import (
    PlayTask,
    SampleOptions,
    about_events,
    fill_in_mode,
    nearest_events,
    sampling_events,
    text_token_events,
    walk_events,
)
from anew.studio_app.studio import Studio

# Tokens of a request; frames of a walk; samples that it passes through: no more than a user waits for; chosen.
MAX_TOKENS, MAX_FRAMES, MAX_STOPS = 2_000, 240, 20
# Largest file whose origin is looked up: it is held in memory.
MAX_ORIGIN_BYTES = 64 * 2**20
Share = Annotated[float, Field(ge=0.0, le=1.0, allow_inf_nan=False)]
NumSamples = Annotated[int, Strict(), Field(ge=1, le=MAX_ROWS)]


class SampleBody(SampleOptionsBody):
    """first_index: Index of the first sample of the seed. samples, index: A sample of which to keep a part. mask: Base64 of one bit per
    pixel, 1 where it is kept. stretch: Instead of a mask, the stretch of time to fill in, as shares of the length. suffix: End of a
    program. stop: Text before which new text ends."""

    n: NumSamples = 9
    first_index: Annotated[int, Strict(), Field(ge=0, le=MAX_INT - MAX_ROWS)] = 0
    samples: ShortText | None = None
    index: Annotated[int, Strict(), Field(ge=0)] = 0
    # A mask of 1024 x 1024 pixels has 174,764 characters
    mask: Annotated[str, Strict(), Field(max_length=200_000)] | None = None
    stretch: tuple[Share, Share] | None = None
    suffix: Annotated[str, Strict(), Field(max_length=MAX_PROMPT)] | None = None
    stop: ShortText | None = None

    def options(self, n: int) -> SampleOptions:
        return dataclasses.replace(super().options(n), first_index=self.first_index, suffix=self.suffix, stop=self.stop)


class TokensBody(SampleOptionsBody):
    """max_tokens: Largest number of new tokens."""

    max_tokens: Annotated[int, Strict(), Field(ge=1, le=MAX_TOKENS)] = 100


class WalkBody(SampleOptionsBody):
    """n: Number of frames. stops: Number of samples on the way."""

    n: Annotated[int, Strict(), Field(ge=2, le=MAX_FRAMES)] = 48
    stops: Annotated[int, Strict(), Field(ge=2, le=MAX_STOPS)] = 4


class NearestBody(RunBody):
    """samples, index: A sample."""

    samples: ShortText
    index: Annotated[int, Strict(), Field(ge=0)] = 0


def add_play(app: FastAPI, studio: Studio, loaded_models: LoadedModels) -> None:
    """Add the routes."""

    @app.get("/about")
    async def about(request: Request) -> Response:
        loaded = await loaded_model(studio, loaded_models, request.query_params.get("run", ""))
        (event,) = [event async for event in task_events(PlayTask(loaded, about_events)) if "end" not in event]
        return JSONResponse(event)

    routes = TaskRoutes(app, studio, loaded_models)
    routes.add(
        "/sample",
        SampleBody,
        lambda body, task, model: sampling_events(
            task,
            model,
            body.options(body.n),
            None if body.samples is None else partial(_condition, task.loaded, body),
        ),
    )
    routes.add(
        "/tokens",
        TokensBody,
        lambda body, task, model: text_token_events(model, body.options(1), body.max_tokens),
    )
    routes.add("/walk", WalkBody, lambda body, task, model: walk_events(task, model, body.options(body.n), body.stops))
    routes.add("/nearest", NearestBody, lambda body, task, model: nearest_events(task, model, body.samples, body.index))

    @app.post("/origin")
    async def origin(request: Request) -> Response:
        data = await _small_file(request)
        return JSONResponse(await run_in_threadpool(origin_of, studio, data))

    @app.get("/file")
    async def file(request: Request) -> Response:
        query = request.query_params
        loaded, index = await loaded_model(studio, loaded_models, query.get("run", "")), query.get("index", "0")
        if not index.isdecimal() or len(index) > 6:
            raise bad_request("'index' must be the number of a sample")
        samples = loaded.samples(query.get("samples", ""), int(index))
        artifact = await run_in_threadpool(samples.artifact, int(index))
        return _download(artifact.data, artifact.media, f"{int(index):04d}{artifact.suffix}")

    @app.get("/zip")
    async def archive(request: Request) -> Response:
        query = request.query_params
        loaded = await loaded_model(studio, loaded_models, query.get("run", ""))
        samples = loaded.samples(query.get("samples", ""))
        return _download(await run_in_threadpool(zip_of, samples), "application/zip", f"{_stem(loaded, samples)}.zip")


async def _small_file(request: Request) -> bytes:
    """The bytes of a file that is the whole body."""
    parts, size = [], 0
    async for chunk in stream_body(request):
        size += len(chunk)
        if size > MAX_ORIGIN_BYTES:
            raise bad_request(f"the file is larger than {MAX_ORIGIN_BYTES:,} bytes; drop a single sample")
        parts.append(chunk)
    return b"".join(parts)


def _condition(loaded: LoadedModel, body: SampleBody, model: Model) -> tuple[Numbers, NDArray[np.bool_]] | Condition:
    """A sample, and the part of it that is kept."""
    item = loaded.samples(body.samples or "", body.index)[body.index]
    if isinstance(item, str):
        raise bad_request("text has no part to fill in")
    if body.stretch is not None:
        values = loaded.values(body.samples or "")
        assert values is not None, "samples that were drawn for the page have their values"
        modality = model.item_modality
        if isinstance(modality, Audio) and modality.clip_shape is not None and modality.clip_shape.is_signal:
            # The shown samples are kept, not those before the filter
            return _outside_stretch(body.stretch, values_of(modality, item)[0], model)
        return _outside_stretch(body.stretch, values[body.index].float(), model)
    if fill_in_mode(model) != "paint":
        raise bad_request(
            "this model has no pixels to fill in; clips and sound are filled in by a stretch of time", "mask"
        )
    try:
        packed = np.frombuffer(base64.b64decode(body.mask or "", validate=True), np.uint8)
    except (binascii.Error, ValueError):
        raise bad_request("the mask is not base64", "mask") from None
    height, width = item.shape[:2]
    if packed.size != -(-height * width // 8):
        raise bad_request("the mask must have a bit for each pixel of the sample", "mask")
    return item, np.unpackbits(packed, count=height * width).reshape(height, width) > 0


def _outside_stretch(stretch: tuple[float, float], x: Tensor, model: Model) -> Condition:
    """Mask of everything outside a stretch of time of a clip x (C, T, H, W) or a sound x (C, bands, T)."""
    mode = fill_in_mode(model)
    if mode not in ("ends", "stretch"):
        raise bad_request("this model cannot fill in a stretch of time", "stretch")
    frames = x.shape[1] if mode == "ends" else x.shape[2]
    first, stop = round(stretch[0] * frames), round(stretch[1] * frames)
    if first >= stop:
        raise bad_request("the stretch to fill in is shorter than a frame; make it longer", "stretch")
    if stop - first >= frames:
        raise bad_request("the stretch to fill in is the whole sample; keep a part of it", "stretch")
    positions = torch.arange(frames)
    is_outside = ((positions < first) | (positions >= stop)).float()
    mask = is_outside[:, None, None] if mode == "ends" else is_outside
    return Condition(x, mask.expand(x.shape[1:])[None])


def _stem(loaded: LoadedModel, samples: Samples) -> str:
    """The name of an archive of samples without its suffix: the run, the seed, and the label if it was chosen."""
    parts = [loaded.run.name]
    if samples.origins:
        origin = samples.origins[0]
        parts += [f"seed-{origin.seed}", *([] if origin.label is None else [str(origin.label)])]
    return re.sub("[^A-Za-z0-9._-]+", "_", "-".join(parts))[:100]


def _download(data: bytes, media: str, name: str) -> Response:
    return Response(data, media_type=media, headers={"content-disposition": f'attachment; filename="{name}"'})


def origin_of(studio: Studio, data: bytes) -> dict[str, object]:
    """The origin that is recorded in a file, as JSON values, with the runs of this Studio that have its run's name.

    Raises:
        ApiError: 400 the file records none.
    """
    with tempfile.TemporaryDirectory(prefix="anew-") as temporary:
        path = Path(temporary) / "the file"
        path.write_bytes(data)
        try:
            origin = origins_in(path)[0]
        except ConfigError as error:
            raise bad_request(str(error).replace(repr(str(path)), "this file")) from None
    runs = [name for name, folder in studio.runs().items() if folder.name == origin.run]
    return {**dataclasses.asdict(origin), "runs": runs}
