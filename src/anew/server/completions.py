"""`POST /v1/completions`: from a body to tasks of a model, and from their pieces to an answer or a stream.

`POST /v1/chat/completions` takes the last message of the user as a prompt, for programs that support only chats.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import dataclass, field

import torch

from anew.core.specs import Condition
from anew.data.modalities.text import Text
from anew.errors import ConfigError
from anew.sampling.conditioning import condition_from_prompt
from anew.sampling.request_checks import sampling_config
from anew.server.bodies import ChatBody, CompletionBody, Prompt
from anew.server.catalog import CatalogEntry
from anew.server.errors import bad_request, from_config_error
from anew.server.items import class_of
from anew.server.limits import MAX_ROWS, MAX_TOKENS, random_seed
from anew.server.metrics import RequestClock
from anew.server.text_tasks import FinishReason, TextPiece, TextRequest, TextTask, TokenLogProb
from anew.server.worker import Channel

DEFAULT_MAX_TOKENS = 16  # OpenAI's default
CHAT_TOKENS = 256  # new tokens if a chat sets no maximum; chosen, as OpenAI has no limit
Json = dict[str, object]


def requests_of(body: CompletionBody, entry: CatalogEntry) -> list[TextRequest]:
    """The text request of each prompt of a body. Slow for long prompts, so not for the event loop.

    Raises:
        ApiError: 400 the body does not fit the model, or asks for too much.
    """
    n = body.n or 1
    if body.best_of not in (None, n):
        raise bad_request("best_of must equal n, since all samples are returned; leave it out", "best_of")
    if body.stream_options is not None and not body.stream:
        raise bad_request("stream_options needs stream=true; leave it out", "stream_options")
    if n * len(body.prompt) > MAX_ROWS:
        raise bad_request(
            f"n times the number of prompts may be at most {MAX_ROWS} (got {n * len(body.prompt)}); send several requests",
            "n",
        )
    max_tokens = DEFAULT_MAX_TOKENS if body.max_tokens is None else body.max_tokens
    if max_tokens == 0 and not body.echo:
        raise bad_request("max_tokens may be 0 only with echo=true; give at least 1", "max_tokens")
    try:
        sampling = sampling_config(entry.sampling, entry.modality.traits, _settings(body))
    except ConfigError as error:
        raise from_config_error(error) from None
    label = class_of(entry, {"label": body.label})
    conditions = [_condition(prompt, body.suffix, entry) for prompt in body.prompt]
    _check_size([len(condition.x) for condition in conditions], n, max_tokens)
    seed = random_seed() if body.seed is None else body.seed
    num_begin_tokens = len(_condition("", None, entry).x) if not body.suffix else 0
    # Log-probabilities are of the tokens after the prompt as it is
    keeps_prompt = body.logprobs is not None or max_tokens == 0
    return [
        TextRequest(
            first_index=number * n,
            n=n,
            seed=seed,
            prompt=condition.x.numpy(),
            ending=None if keeps_prompt else condition.ending,
            num_begin_tokens=num_begin_tokens,
            label=label,
            max_tokens=max_tokens,
            stops=body.stop,
            sampling=sampling,
            num_log_probs=body.logprobs,
            reads_prompt=bool(body.echo) and body.logprobs is not None,
            streams=bool(body.stream),
        )
        for number, condition in enumerate(conditions)
    ]


def _settings(body: CompletionBody) -> dict[str, object]:
    """The sampling settings that the body sets; the others keep the defaults of the data."""
    top_k = None if body.top_k is None else max(body.top_k, 0)
    settings = {"temperature": body.temperature, "top_p": body.top_p, "top_k": top_k, "min_p": body.min_p}
    return {name: value for name, value in settings.items() if value is not None}


def _check_size(lengths: Sequence[int], n: int, max_tokens: int) -> None:
    """Raise ApiError if the request is too large. lengths: tokens of its prompts."""
    total = n * sum(length + max_tokens for length in lengths)
    if total > MAX_TOKENS:
        raise bad_request(
            f"the request needs {total:,} tokens, n times those of prompts and continuations, and the limit is {MAX_TOKENS:,}; "
            "send a shorter prompt, or reduce max_tokens or n",
            "max_tokens",
        )


def _condition(prompt: Prompt, suffix: str | None, entry: CatalogEntry) -> Condition:
    """The (L,) ids that a sample starts from, begin tokens included. Ids that were sent stay as they are."""
    try:
        if isinstance(prompt, str):
            condition = condition_from_prompt(entry.modality, prompt, suffix)
            assert condition is not None
            return condition
        if suffix:
            raise bad_request("a suffix needs a prompt of text, not of token ids", "suffix")
        opening = _condition("", None, entry).x
    except ConfigError as error:
        raise from_config_error(error, error.argument or ("suffix" if suffix else "prompt")) from None
    num_ids = _text_of(entry).tokenizer.size
    if max(prompt, default=0) >= num_ids:
        raise bad_request(f"token ids of this model are from 0 to {num_ids - 1} (got {max(prompt)})", "prompt")
    return Condition(torch.cat((opening, torch.tensor(prompt, dtype=torch.int64))))


def _text_of(entry: CatalogEntry) -> Text:
    assert isinstance(entry.modality, Text)
    return entry.modality


# ---- answers ----


@dataclass(slots=True)
class Choice:
    """One sample of an answer, as far as it has been generated."""

    text: str = ""
    log_probs: list[TokenLogProb] = field(default_factory=list)
    finish_reason: FinishReason | None = None
    num_tokens: int = 0

    def add(self, piece: TextPiece) -> None:
        self.text += piece.text
        self.log_probs += piece.log_probs
        self.finish_reason = piece.finish_reason
        self.num_tokens = piece.num_tokens or self.num_tokens


class Answer:
    """The answer to one body.

    Args:
        body: The request.
        requests: Requests of its prompts, see `requests_of`.
    """

    def __init__(self, body: CompletionBody, entry: CatalogEntry, requests: Sequence[TextRequest]) -> None:
        self.body, self.entry, self.requests = body, entry, requests
        self.id = f"cmpl-{secrets.token_hex(12)}"
        self.created = int(time.time())
        self.channel: Channel[object] = Channel()
        self.tasks = [TextTask(request, self.channel) for request in requests]
        self.num_choices = sum(request.n for request in requests)
        self.choices = [Choice() for _ in range(self.num_choices)]

    @property
    def object_name(self) -> str:
        """OpenAI's name of the answer's type."""
        return "text_completion"

    async def pieces(self, clock: RequestClock) -> AsyncIterator[TextPiece]:
        """Pieces as they arrive, until every choice has its last one."""
        missing = self.num_choices
        while missing:
            piece = await self.channel.get()
            assert isinstance(piece, TextPiece)
            clock.on_piece()
            missing -= piece.finish_reason is not None
            self.choices[piece.index].add(piece)
            yield piece
        prompt, new = self._num_tokens()
        clock.prompt_tokens, clock.new_tokens, clock.samples = prompt, new, self.num_choices
        clock.reason = "stop" if all(choice.finish_reason == "stop" for choice in self.choices) else "length"

    async def whole(self, clock: RequestClock) -> Json:
        """The answer in one piece."""
        async for _ in self.pieces(clock):
            pass
        choices = [
            self._choice(index, self._echo(index) + choice.text, choice.log_probs, choice.finish_reason)
            for index, choice in enumerate(self.choices)
        ]
        return self._answer(choices) | {"usage": self.usage()}

    async def chunks(self, clock: RequestClock) -> AsyncIterator[Json]:
        """The answer piece by piece, then the usage if the request asks for it."""
        # For each choice that has begun, where its next token begins
        offsets: dict[int, int] = {}
        async for piece in self.pieces(clock):
            offset = offsets.get(piece.index)
            text = piece.text if offset is not None else self._echo(piece.index) + piece.text
            yield self._answer([self._choice(piece.index, text, piece.log_probs, piece.finish_reason, offset)])
            # Offsets count the text of tokens, not the text that was sent: text that may begin a stop is held back, but its tokens are not
            offsets[piece.index] = (offset or 0) + sum(len(token.text) for token in piece.log_probs)
        if self.body.stream_options is not None and self.body.stream_options.include_usage:
            yield self._answer([]) | {"usage": self.usage()}

    def usage(self) -> Json:
        """Numbers of tokens of prompts and of continuations."""
        prompt, completion = self._num_tokens()
        return {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion}

    def _num_tokens(self) -> tuple[int, int]:
        return (
            sum(len(r.prompt) - r.num_begin_tokens for r in self.requests),
            sum(choice.num_tokens for choice in self.choices),
        )

    def _answer(self, choices: list[Json]) -> Json:
        return {
            "id": self.id,
            "object": self.object_name,
            "created": self.created,
            "model": self.entry.name,
            "choices": choices,
            "seed": self.requests[0].seed,
        }

    def _echo(self, index: int) -> str:
        """The prompt, if the request asks for it before its continuation, else ""."""
        if not self.body.echo:
            return ""
        prompt = self.body.prompt[index // (self.body.n or 1)]
        return prompt if isinstance(prompt, str) else _text_of(self.entry).tokenizer.decode(prompt)

    def _choice(
        self,
        index: int,
        text: str,
        log_probs: Iterable[TokenLogProb],
        reason: FinishReason | None,
        offset: int | None = None,
    ) -> Json:
        """A choice, or a piece of it. offset: of the first of these tokens in the text of the choice; None where it begins."""
        log_probs_json = None if self.body.logprobs is None else _log_probs(log_probs, offset or 0)
        return {"index": index, "text": text, "logprobs": log_probs_json, "finish_reason": reason}


def _log_probs(tokens: Iterable[TokenLogProb], offset: int) -> Json:
    """OpenAI's four lists of log-probabilities. offset: of the first token in the text of the choice."""
    tokens = list(tokens)
    offsets = []
    for token in tokens:
        offsets.append(offset)
        offset += len(token.text)
    return {
        "tokens": [token.text for token in tokens],
        "token_logprobs": [token.log_prob for token in tokens],
        "top_logprobs": [token.top if token.log_prob is not None else None for token in tokens],
        "text_offset": offsets,
    }


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
    # In a completion, 0 asks for the prompt's likelihood alone
    if 0 in maxima:
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
