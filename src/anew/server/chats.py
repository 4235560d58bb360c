"""`POST /v1/chat/completions`: the last message of the user as a prompt, for programs that support only chats."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from anew.server.bodies import ChatBody, CompletionBody
from anew.server.catalog import CatalogEntry
from anew.server.completions import Answer, Json
from anew.server.faults import bad_request
from anew.server.text_work import FinishReason, TextRequest, TokenLogProb

CHAT_TOKENS = 256  # new tokens if a chat sets no maximum; chosen, as OpenAI has no limit


def completion_of(body: ChatBody) -> CompletionBody:
    """The request for a completion that a chat amounts to; ApiError 400 if it does not fit."""
    messages = [message.text for message in body.messages if message.role == "user"]
    if not messages:
        raise bad_request("messages must hold one with the role user, which is the prompt", "messages")
    if body.top_logprobs is not None and not body.logprobs:
        raise bad_request("top_logprobs needs logprobs=true", "top_logprobs")
    maxima = (body.max_tokens, body.max_completion_tokens)
    if None not in maxima and maxima[0] != maxima[1]:
        raise bad_request("max_tokens and max_completion_tokens differ; give only one of them", "max_tokens")
    if 0 in maxima:  # of completions, it asks for the prompt's likelihood alone
        name = "max_completion_tokens" if body.max_tokens is None else "max_tokens"
        raise bad_request(f"{name} must be at least 1 (got 0)", name)
    max_tokens = next((number for number in maxima if number is not None), CHAT_TOKENS)
    shared_fields = (
        "model",
        "temperature",
        "top_p",
        "top_k",
        "min_p",
        "seed",
        "n",
        "stream",
        "stream_options",
        "label",
    )
    translated = {
        "prompt": messages[-1],
        "stop": list(body.stop),
        "max_tokens": max_tokens,
        "logprobs": (body.top_logprobs or 0) if body.logprobs else None,
    }
    return CompletionBody.model_validate({name: getattr(body, name) for name in shared_fields} | translated)


class ChatAnswer(Answer):
    """A completion in the format of a chat."""

    def __init__(self, body: CompletionBody, entry: CatalogEntry, requests: Sequence[TextRequest]) -> None:
        super().__init__(body, entry, requests)
        self.id = self.id.replace("cmpl-", "chatcmpl-")

    @property
    def object_name(self) -> str:
        return "chat.completion.chunk" if self.body.stream else "chat.completion"

    def _choice(
        self,
        index: int,
        text: str,
        log_probs: Iterable[TokenLogProb],
        reason: FinishReason | None,
        offset: int | None = None,
    ) -> Json:
        log_probs_json = (
            None if self.body.logprobs is None else {"content": list(map(_token_json, log_probs)), "refusal": None}
        )
        role = {"role": "assistant"} if offset is None else {}
        message: Json = {**role, "content": text}
        if not self.body.stream:
            message["refusal"] = None
        name = "delta" if self.body.stream else "message"
        return {"index": index, name: message, "logprobs": log_probs_json, "finish_reason": reason}


def _token_json(token: TokenLogProb) -> Json:
    top = [_with_bytes(text, log_prob) for text, log_prob in token.top.items()]
    return {**_with_bytes(token.text, token.log_prob), "top_logprobs": top}


def _with_bytes(text: str, log_prob: float | None) -> Json:
    return {"token": text, "logprob": log_prob, "bytes": list(text.encode())}
