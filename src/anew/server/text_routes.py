"""Paths that continue text (completions, chats), and that score texts, or files of images, sound and clips."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Hashable, Sequence

from fastapi import FastAPI
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from anew.core.specs import Tokens
from anew.errors import ConfigError, DataError, ItemError
from anew.sampling.class_mixture import class_notes
from anew.sampling.model import Model
from anew.server.answer_schemas import ChatCompletion, Completion, ScoredItem, ScoredItems
from anew.server.bodies import ChatBody, CompletionBody, ScoreBody, parse
from anew.server.catalog import CatalogEntry
from anew.server.completions import Answer, ChatAnswer, completion_of, requests_of
from anew.server.errors import ApiError, bad_request
from anew.server.guard import json_body
from anew.server.items import class_of
from anew.server.limits import MAX_SCORED_CHARACTERS
from anew.server.metrics import RequestClock
from anew.server.schemas import EVENTS, route_schema
from anew.server.server_sent_events import Json
from anew.server.service import Service
from anew.server.worker import Channel, Task

TAG = "Text"


def add_text_routes(app: FastAPI, service: Service) -> None:
    """Add the paths to an app."""

    text_models, scoring_models = service.catalog.names_for("text"), service.catalog.names_for("scores")

    @app.post(
        "/v1/completions",
        summary="Continue texts",
        **route_schema("create_completion", TAG, CompletionBody, EVENTS, answer=Completion, models=text_models),
    )
    async def completions(request: Request) -> Json | Response:
        body = parse(CompletionBody, await json_body(request, service.limits))
        entry = service.catalog.text_entry(body.model)
        return await _text_response(service, request, Answer, body, entry)

    @app.post(
        "/v1/chat/completions",
        summary="Continue the last message of a chat",
        **route_schema("create_chat_completion", TAG, ChatBody, EVENTS, answer=ChatCompletion, models=text_models),
    )
    async def chats(request: Request) -> Json | Response:
        chat = parse(ChatBody, await json_body(request, service.limits))
        entry = service.catalog.text_entry(chat.model)
        if not service.chats:
            message = (
                "this model continues texts and has not learned to chat; use /v1/completions, or start the server with "
                "`--chat plain`, which takes the last message as a prompt"
            )
            raise ApiError(400, message, code="no_chat_template")
        body = completion_of(chat)
        return await _text_response(service, request, ChatAnswer, body, entry)

    @app.post(
        "/v1/score",
        summary="How likely items are under a model",
        **route_schema("score_items", TAG, ScoreBody, answer=ScoredItems, models=scoring_models),
    )
    async def score(request: Request) -> ScoredItems | Response:
        body = parse(ScoreBody, await json_body(request, service.limits))
        entry = service.catalog.entry(body.model)
        task = score_task(body, entry)
        entry.worker.submit([task])

        async def whole(clock: RequestClock) -> ScoredItems:
            answer = await score_answer(task, entry)
            clock.reason = "stop"
            return answer

        return await service.answer(request, entry, [task], whole)


async def _text_response(
    service: Service, request: Request, answer_type: type[Answer], body: CompletionBody, entry: CatalogEntry
) -> Json | Response:
    """The answer, whole or as a stream."""
    answer = answer_type(body, entry, await run_in_threadpool(requests_of, body, entry))
    answer.entry.worker.submit(answer.tasks)
    if answer.body.stream:
        return service.stream(request, answer.entry, answer.tasks, answer.chunks)
    return await service.answer(request, answer.entry, answer.tasks, answer.whole)


class ScoreTask(Task):
    """Items to score, one after another, so that a disconnected client is noticed between two."""

    def __init__(self, items: Sequence[str | bytes], label: str | None, channel: Channel[object]) -> None:
        super().__init__()
        self.items, self.label, self.channel, self.size = items, label, channel, 1

    def batch_key(self) -> Hashable:
        return None

    def run(self, model: Model, group: Sequence[Task]) -> None:
        for index, item in enumerate(self.items):
            if self.channel.is_cancelled:
                return
            try:
                scores = model.score([item], label=self.label)
            except ItemError as error:
                raise bad_request(f"item {index + 1}: {error.reason}", "input") from None
            except (ConfigError, DataError) as error:
                raise bad_request(str(error), "input") from None
            self.channel.put(
                ScoredItem(
                    index=index,
                    bits=scores.bits,
                    units=scores.units,
                    tokens=scores.tokens,
                    bits_per_unit=scores.bits / scores.units if scores.units else None,
                )
            )


def score_task(body: ScoreBody, entry: CatalogEntry) -> ScoreTask:
    """The task of a body; ApiError 400 if its items or its label do not fit the model."""
    if not entry.has_likelihood:
        raise bad_request(
            f"the model {entry.name!r} ({entry.family}) has no likelihood, so it cannot score items", "model"
        )
    label = class_of(entry, {"label": body.label})
    if label is not None and not entry.mixed_classes:
        raise bad_request(f"the bits of this model ({entry.family}) are those of all classes; leave label out", "label")
    return ScoreTask(_items_of(body, entry), label, Channel())


def _items_of(body: ScoreBody, entry: CatalogEntry) -> list[str | bytes]:
    texts = [body.input] if isinstance(body.input, str) else body.input
    if any(not text for text in texts):
        raise bad_request("input must not be empty", "input")
    if isinstance(entry.spec, Tokens):
        if sum(map(len, texts)) > MAX_SCORED_CHARACTERS:
            raise bad_request(
                f"input may have at most {MAX_SCORED_CHARACTERS:,} characters in all; send several requests", "input"
            )
        return list(texts)
    try:
        return [base64.b64decode(text, validate=True) for text in texts]
    except (binascii.Error, ValueError):
        message = f"this model scores {entry.modality.traits.plural}: input must hold files as base64"
        raise bad_request(message, "input") from None


async def score_answer(task: ScoreTask, entry: CatalogEntry) -> ScoredItems:
    """The answer, once all items are scored."""
    data: list[ScoredItem] = []
    while len(data) < len(task.items):
        item = await task.channel.get()
        assert isinstance(item, ScoredItem)
        data.append(item)
    units = sum(item.units for item in data)
    num_mixed = len(data) if entry.mixed_classes and task.label is None else 0
    return ScoredItems(
        object="list",
        model=entry.name,
        unit=entry.modality.unit,
        bound="exact" if isinstance(entry.spec, Tokens) else "an upper bound",
        bits_per_unit=sum(item.bits for item in data) / units if units else None,
        notes=class_notes(num_mixed, len(data), entry.mixed_classes, entry.modality.noun),
        data=data,
    )
