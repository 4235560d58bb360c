"""Samples of any kind. Samples of several requests are drawn as one batch, and drafts can be sent on the way."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from anew.core.specs import Condition, SampleRequest
from anew.sampling.drawing import recordable
from anew.sampling.latents import in_family_space
from anew.sampling.model import Model
from anew.sampling.origins import Origin
from anew.sampling.samples import Samples
from anew.server.worker import Channel, Task, threads_for

if TYPE_CHECKING:
    from _typeshed import DataclassInstance


@dataclass(frozen=True, slots=True)
class ItemRequest:
    """A request for items.

    Attributes:
        first_index: Index of the first sample.
        n: Number of samples.
        seed: Random seed.
        label: Class of the samples; None draws each, see `Generator.sample_labels`.
        condition: Condition of each sample, None without one.
        sampling: The family's sampling settings.
        stop: String before which each text ends.
        prompt: Beginning of each text, as it was sent.
        suffix: End of each text.
        num_partials: Number of drafts to send before the samples.
        follows_keys: Whether it can be drawn as one batch with requests of other seeds.
    """

    first_index: int
    n: int
    seed: int
    label: str | None
    condition: Condition | None
    sampling: DataclassInstance
    stop: str | None = None
    prompt: str | None = None
    suffix: str | None = None
    num_partials: int = 0
    follows_keys: bool = True


@dataclass(frozen=True, slots=True)
class Draft:
    """A partial result: its number, from 0, and the unfinished samples."""

    number: int
    first_index: int
    samples: Samples


@dataclass(frozen=True, slots=True)
class FinishedSamples:
    """The samples of one task, with their files."""

    first_index: int
    samples: Samples


class ItemTask(Task):
    """The samples of a request, or some of them."""

    def __init__(self, request: ItemRequest, channel: Channel[object], max_rows: int) -> None:
        super().__init__()
        self.request, self.channel, self.size, self.max_rows = request, channel, request.n, max_rows

    def batch_key(self) -> Hashable:
        request = self.request
        if not request.follows_keys or request.stop is not None:
            return None
        condition = request.condition
        condition_key = None if condition is None else (tuple(condition.x.shape), condition.ending)
        return ("items", request.sampling, condition_key)

    def run(self, model: Model, group: Sequence[Task]) -> None:
        with threads_for(model):
            _draw(model, [task for task in group if isinstance(task, ItemTask)])

    def partials_at(self, num_drafts: int) -> list[int]:
        """After which drafts, counted from 1, partial results are sent: evenly spaced."""
        num_partials = self.request.num_partials
        return sorted(
            {max(1, num_drafts * part // (num_partials + 1)) for part in range(1, num_partials + 1)} - {num_drafts}
        )


def _draw(model: Model, tasks: Sequence[ItemTask]) -> None:
    """Draw the samples of these tasks as one batch, and send them."""
    request = _joint_request(model, tasks)
    num_drafts = model.family.num_drafts(request)
    last: Tensor | None = None
    for number, draft in enumerate(model.family.sample(request, tasks[0].request.seed), 1):
        if all(task.channel.is_cancelled for task in tasks):
            return
        last = draft
        _send_drafts(model, tasks, request, draft, number, num_drafts)
    if last is None:
        raise RuntimeError("the family returned no samples")
    for task, rows in _rows_of_tasks(tasks):
        if not task.channel.is_cancelled:
            samples = _samples(model, task, request, last[rows], rows)
            samples.origins = _origins(model, task.request)
            _ = samples.artifacts  # writes the files here, not in the event loop
            task.channel.put(FinishedSamples(task.request.first_index, samples))


def _joint_request(model: Model, tasks: Sequence[ItemTask]) -> SampleRequest:
    """One sample request for all tasks."""
    requests = [task.request for task in tasks]
    drawn_labels = [model.sample_labels(r.n, r.seed, r.label, r.first_index, r.sampling, r.condition) for r in requests]
    labels = [label for label in drawn_labels if label is not None]
    keys = [(r.seed, r.first_index + i) for r in requests for i in range(r.n)]
    condition = _joint_condition(requests)
    return SampleRequest(
        len(keys),
        torch.cat(labels) if labels else None,
        None if condition is None else in_family_space(model, condition),
        requests[0].sampling,
        requests[0].first_index,
        tuple(keys) if len(requests) > 1 else None,
    )


def _joint_condition(requests: Sequence[ItemRequest]) -> Condition | None:
    conditions = [request.condition for request in requests]
    first = conditions[0]
    if first is None or len(requests) == 1:
        return first
    values, masks = [], []
    for request in requests:
        condition = request.condition
        assert condition is not None
        repeats = (request.n, *[1] * condition.x.ndim)
        values.append(condition.x[None].repeat(repeats))
        mask = torch.ones_like(condition.x) if condition.mask is None else condition.mask.expand(condition.x.shape)
        masks.append(mask[None].repeat(repeats))
    x = torch.cat(values)  # (n, *shape) or (n, L)
    return Condition(x, torch.cat(masks) if x.is_floating_point() else None, ending=first.ending)


def _rows_of_tasks(tasks: Sequence[ItemTask]) -> list[tuple[ItemTask, slice]]:
    """Each task with its rows in the batch."""
    parts, start = [], 0
    for task in tasks:
        parts.append((task, slice(start, start + task.size)))
        start += task.size
    return parts


def _send_drafts(
    model: Model, tasks: Sequence[ItemTask], request: SampleRequest, draft: Tensor, number: int, num_drafts: int
) -> None:
    """Send a draft to the tasks that want a partial result at this point."""
    for task, rows in _rows_of_tasks(tasks):
        draft_numbers = task.partials_at(num_drafts)
        if number in draft_numbers and not task.channel.is_cancelled:
            samples = _samples(model, task, request, draft[rows], rows)
            _ = samples.artifacts
            task.channel.put(Draft(draft_numbers.index(number), task.request.first_index, samples))


def _samples(model: Model, task: ItemTask, request: SampleRequest, x: Tensor, rows: slice) -> Samples:
    """Rows of the batch as items."""
    labels = None if request.labels is None else request.labels[rows]
    request_condition = task.request.condition
    condition = None if request_condition is None else replace(request_condition, items=request_condition)
    row_request = replace(request, n=len(x), labels=labels, condition=condition)
    items = model.decode_items(x.cpu(), row_request, task.request.stop)
    return Samples(items, model.label_names(labels, len(items)), model.item_modality)


def _origins(model: Model, request: ItemRequest) -> list[Origin]:
    """Origins of the samples, as if the request was drawn alone."""
    is_text = request.prompt is not None or request.suffix is not None
    is_given = request.condition is not None and not is_text
    batch, label = (request.first_index, request.n), model.class_name(request.label)
    texts = (request.prompt, request.suffix, request.stop)
    origin = Origin(*model.identity, request.seed, 0, batch, label, *texts, is_given=is_given)
    common = recordable(origin, model, request.sampling)
    return [replace(common, index=request.first_index + i) for i in range(request.n)]
