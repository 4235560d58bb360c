"""Paths that continue or score text: completions, chats, scores."""

from __future__ import annotations

from fastapi import FastAPI
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from anew.server.answer_schemas import ChatCompletion, Completion, ScoredItems
from anew.server.bodies import ChatBody, CompletionBody, ScoreBody, parse
from anew.server.completions import Answer, ChatAnswer, completion_of, requests_of
from anew.server.faults import ApiError
from anew.server.guard import json_body
from anew.server.metrics import RequestClock
from anew.server.schemas import EVENTS, route_schema
from anew.server.scores import score_answer, score_work
from anew.server.service import Service

TAG = "Text"


def add_text_routes(app: FastAPI, service: Service) -> None:
    """Add the paths to an app."""

    texts, scoring = service.catalog.names("text"), service.catalog.names("scores")

    @app.post(
        "/v1/completions",
        summary="Continue texts",
        **route_schema("create_completion", TAG, CompletionBody, EVENTS, answer=Completion, models=texts),
    )
    async def completions(request: Request) -> Response:
        body = parse(CompletionBody, await json_body(request, service.limits))
        entry = service.catalog.text_entry(body.model)
        return await _text_response(
            service, request, Answer(body, entry, await run_in_threadpool(requests_of, body, entry))
        )

    @app.post(
        "/v1/chat/completions",
        summary="Continue the last message of a chat",
        **route_schema("create_chat_completion", TAG, ChatBody, EVENTS, answer=ChatCompletion, models=texts),
    )
    async def chats(request: Request) -> Response:
        chat = parse(ChatBody, await json_body(request, service.limits))
        entry = service.catalog.text_entry(chat.model)
        if not service.chats:
            message = (
                "this model continues texts and has not learned to chat; use /v1/completions, or start the server with "
                "`--chat plain`, which takes the last message as a prompt"
            )
            raise ApiError(400, message, code="no_chat_template")
        body = completion_of(chat)
        return await _text_response(
            service, request, ChatAnswer(body, entry, await run_in_threadpool(requests_of, body, entry))
        )

    @app.post(
        "/v1/score",
        summary="How likely items are under a model",
        **route_schema("score_items", TAG, ScoreBody, answer=ScoredItems, models=scoring),
    )
    async def score(request: Request) -> Response:
        body = parse(ScoreBody, await json_body(request, service.limits))
        entry = service.catalog.entry(body.model)
        work = score_work(body, entry)
        entry.worker.submit([work])

        async def whole(clock: RequestClock) -> Response:
            answer = await score_answer(work, entry)
            clock.reason = "stop"
            return JSONResponse(answer)

        return await service.answer(request, entry, [work], whole)


async def _text_response(service: Service, request: Request, answer: Answer) -> Response:
    """The response, whole or as a stream."""
    answer.entry.worker.submit(answer.works)
    if answer.body.stream:
        return service.stream(request, answer.entry, answer.works, answer.chunks)

    async def whole(clock: RequestClock) -> Response:
        return JSONResponse(await answer.whole(clock))

    return await service.answer(request, answer.entry, answer.works, whole)
