"""Samples of text for completions. Samples of several requests grow as one batch, and each is sent in the form that its request
asks for."""

from __future__ import annotations

import time
from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

import numpy as np
import torch
from numpy.typing import NDArray

from anew.core.specs import Condition, PromptEnding, SampleRequest
from anew.data.modalities.text import Text
from anew.families.base import SamplesTokens, TokenDraft
from anew.sampling.generator import STOP_CHECK_STEPS
from anew.sampling.model import Model
from anew.server.worker import Channel, Task, threads_for

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

# Between two pieces of a stream; a reader notices no shorter pause, and each piece decodes the text again.
SECONDS_BETWEEN_PIECES = 0.03
FinishReason = Literal["stop", "length"]


@dataclass(frozen=True, slots=True)
class TokenLogProb:
    """A token: its text, its log-probability (None for the first one), and the most probable alternatives."""

    text: str
    log_prob: float | None
    top: dict[str, float]


@dataclass(frozen=True, slots=True)
class TextPiece:
    """New text of a sample. The last piece has a reason and the number of tokens."""

    index: int
    text: str
    log_probs: tuple[TokenLogProb, ...] = ()
    finish_reason: FinishReason | None = None
    num_tokens: int = 0


@dataclass(frozen=True, slots=True)
class TextRequest:
    """A request for one prompt.

    Attributes:
        first_index: Index of the first sample among the choices of the answer.
        n: Number of samples.
        seed: Random seed; sample j of the answer has the index j.
        prompt: (L,) ids that each sample starts from, including begin tokens.
        ending: Replacements for the last ids of the prompt; None: they stay.
        num_begin_tokens: Number of these begin tokens.
        label: Class of the samples; None draws each by the prompt, see `Generator.sample_labels`.
        max_tokens: Most new tokens; 0 only measures the prompt.
        stops: Strings before which new text ends.
        sampling: The family's sampling settings.
        num_log_probs: Number of alternatives to name for each token; None: no log-probabilities.
        reads_prompt: Whether to give log-probabilities of the prompt as well.
        streams: Whether to send text while it grows.
    """

    first_index: int
    n: int
    seed: int
    prompt: NDArray[np.int64]
    ending: PromptEnding | None
    num_begin_tokens: int
    label: str | None
    max_tokens: int
    stops: tuple[str, ...]
    sampling: DataclassInstance
    num_log_probs: int | None
    reads_prompt: bool
    streams: bool

    @property
    def condition(self) -> Condition:
        """The prompt, as the family reads it."""
        return Condition(torch.from_numpy(self.prompt), ending=self.ending)


class TextTask(Task):
    """The samples of one prompt."""

    def __init__(self, request: TextRequest, channel: Channel[object]) -> None:
        super().__init__()
        self.request, self.channel, self.size = request, channel, request.n

    def batch_key(self) -> Hashable:
        r = self.request
        return ("text", len(r.prompt), r.ending, replace(r.sampling, max_tokens=0), r.reads_prompt)

    def run(self, model: Model, group: Sequence[Task]) -> None:
        with threads_for(model):
            _draw(model, [task for task in group if isinstance(task, TextTask)])


def _draw(model: Model, tasks: Sequence[TextTask]) -> None:
    """Draw the samples of these tasks as one batch, and send them."""
    rows = [GrowingText(model, task, number) for task in tasks for number in range(task.size)]
    for draft in _drafts(model, tasks):
        for number, row in enumerate(rows):
            if not row.is_finished:
                row.read(draft, number)
        if all(row.is_finished for row in rows):
            return
    for row in rows:
        row.finish()


def _drafts(model: Model, tasks: Sequence[TextTask]) -> Iterator[TokenDraft]:
    """Drafts of all samples of these tasks, one row for each."""
    family = model.family
    assert isinstance(family, SamplesTokens)
    requests = [task.request for task in tasks]
    keys = [(r.seed, r.first_index + number) for r in requests for number in range(r.n)]
    prompts = np.concatenate([np.tile(r.prompt, (r.n, 1)) for r in requests])  # (n, L)
    labels = [model.sample_labels(r.n, r.seed, r.label, r.first_index, r.sampling, r.condition) for r in requests]
    request = SampleRequest(
        len(keys),
        torch.cat([label for label in labels if label is not None]) if model.spec.classes else None,
        Condition(torch.from_numpy(prompts), ending=requests[0].ending),
        replace(requests[0].sampling, max_tokens=max(1, *(r.max_tokens for r in requests))),
    )
    return family.sample_tokens(request, keys, requests[0].reads_prompt)


class GrowingText:
    """One sample while it grows."""

    def __init__(self, model: Model, task: TextTask, number: int) -> None:
        self.request, self.channel = task.request, task.channel
        self.index = task.request.first_index + number
        assert isinstance(model.item_modality, Text)
        self.modality = model.item_modality
        self.end_id = model.item_spec.special.get("end", -1)  # type: ignore[union-attr]
        self.num_ids = self.modality.tokenizer.size
        self.prompt: list[int] = task.request.prompt.tolist()
        self.can_stream = task.request.streams and self.modality.grows_forwards(self.prompt)
        self.num_kept = task.request.condition.num_kept
        # Ids that have the text of the prompt, so far as is known; see `PromptEnding.num_known`
        self.num_known = len(self.prompt)
        self.ids: list[int] = self.prompt[: self.num_kept]
        self.num_read = len(self.prompt) if not task.request.reads_prompt else 0
        self.log_probs: list[TokenLogProb] = []
        self.num_sent = 0  # characters
        self.sent_at = 0.0
        self._finished = False
        self._has_prompt = False  # whether the text of the ids has all of the prompt's

    @property
    def is_finished(self) -> bool:
        """Whether no more of it is needed."""
        return self._finished or self.channel.is_cancelled

    @property
    def num_new(self) -> int:
        """Number of new tokens so far."""
        return max(0, len(self.ids) - self.num_known)

    def read(self, draft: TokenDraft, number: int) -> None:
        """Read the new tokens in row `number` of a draft."""
        row = draft.ids[number]
        is_prompt = len(row) <= len(self.ids)
        if self.request.num_log_probs is not None and (is_prompt or self.request.max_tokens):
            self._append_log_probs(row, draft.weights[number])
        if len(row) >= len(self.prompt) and not self.request.max_tokens:  # nothing new was asked for
            self.finish()
        if is_prompt or self._finished:
            return
        for token in row[len(self.ids) :].tolist():
            self._append(token)
            if token == self.end_id or self.num_new >= self.request.max_tokens:
                break
        has_ended = self.ids[-1] == self.end_id
        if has_ended or self.num_new >= self.request.max_tokens:
            self.finish("stop" if has_ended else "length")
        elif self.request.stops or self.can_stream:
            self._send_or_stop()

    def _append(self, token: int) -> None:
        self.ids.append(token)
        ending = self.request.ending
        if ending is not None and not self._has_prompt:
            drawn = self.ids[self.num_kept :]
            self.num_known = self.num_kept + ending.num_known(drawn)
            self._has_prompt = tuple(drawn) in ending.sequences

    def _send_or_stop(self) -> None:
        """From time to time, search for a stop and send the text that no further token can change."""
        now = time.monotonic()
        is_due = self.can_stream and now - self.sent_at >= SECONDS_BETWEEN_PIECES
        if not is_due and not (self.request.stops and self.num_new % STOP_CHECK_STEPS == 0):
            return
        text, was_stopped = self._text()
        if was_stopped:
            self.finish("stop")
        elif is_due:
            self._send(text[: _num_stable_characters(text, self.request.stops)])
            self.sent_at = now

    def finish(self, reason: FinishReason = "length") -> None:
        """Send the rest of the text, once."""
        if self.is_finished:
            return
        self._finished = True
        text, was_stopped = self._text()
        if was_stopped:
            self._drop_after_stop()
        self._send(text, "stop" if was_stopped else reason)

    def _drop_after_stop(self) -> None:
        """Drop the tokens after the one that completed a stop: how many there are depends on when it was searched for."""
        while self.num_new > 1 and self._text(self.ids[:-1])[1]:
            token = self.ids.pop()
            if self.log_probs and 0 <= token < self.num_ids:
                self.log_probs.pop()

    def _text(self, ids: list[int] | None = None) -> tuple[str, bool]:
        """The new text up to a stop, and whether there was one. ids: None: all."""
        text = self.modality.continuation(self.ids if ids is None else ids, self.prompt)
        if self.modality.grows_forwards(self.prompt):
            starts = [start for stop in self.request.stops if (start := text.find(stop)) >= 0]
            return (text[: min(starts)], True) if starts else (text, False)
        ends = [start + len(stop) for stop in self.request.stops if (start := text.rfind(stop)) >= 0]
        return (text[max(ends) :], True) if ends else (text, False)

    def _send(self, text: str, reason: FinishReason | None = None) -> None:
        new = text[self.num_sent :]
        if not new and reason is None:
            return
        self.num_sent = max(self.num_sent, len(text))
        log_probs, self.log_probs = tuple(self.log_probs), []
        self.channel.put(TextPiece(self.index, new, log_probs, reason, self.num_new))

    def _append_log_probs(self, row: NDArray[np.int64], weights: NDArray[np.float32]) -> None:
        """Append the log-probabilities of the tokens since the last draft. Only the newest token has weights."""
        num_begin = self.request.num_begin_tokens
        new = [(position, int(row[position])) for position in range(max(self.num_read, num_begin), len(row))]
        self.num_read = len(row)
        for position, token in new:
            if not 0 <= token < self.num_ids:  # a token without text, such as the end token
                continue
            has_weights = position == len(row) - 1 and position > 0
            self.log_probs.append(self._log_prob(token, weights if has_weights else None))

    def _log_prob(self, token: int, weights: NDArray[np.float32] | None) -> TokenLogProb:
        text = self.modality.tokenizer.decode([token])
        if weights is None:
            return TokenLogProb(text, None, {})
        with np.errstate(divide="ignore"):
            log_probs = np.maximum(np.log(weights / weights.sum(dtype=np.float64)), -100.0)  # JSON has no infinity
        num_top = min(self.request.num_log_probs or 0, self.num_ids)
        best = np.argsort(-log_probs[: self.num_ids], kind="stable")[:num_top].tolist()
        top: dict[str, float] = {}
        for index in best:  # several bytes of a character have the same text: keep the most probable one
            top.setdefault(self.modality.tokenizer.decode([index]), float(log_probs[index]))
        return TokenLogProb(text, float(log_probs[token]), top)


def _num_stable_characters(text: str, stops: Sequence[str]) -> int:
    """Number of first characters that no further token can change: not an incomplete character, nor the beginning of a stop."""
    num_final = len(text.rstrip("\ufffd"))
    for stop in stops:
        longest = min(len(stop) - 1, num_final)
        overlaps = (size for size in range(longest, 0, -1) if text[:num_final].endswith(stop[:size]))
        num_final -= next(overlaps, 0)
    return num_final
