"""From a body that requests items to tasks of a model, and to their samples."""

from __future__ import annotations

import io
import math
import zipfile
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import replace

from anew.core.specs import Condition, Grid, Tokens
from anew.errors import ConfigError, did_you_mean, shorten
from anew.families.base import label_conflict
from anew.sampling.conditioning import check_stop, condition_from_prompt
from anew.sampling.request_checks import class_named, sampling_config
from anew.sampling.samples import Samples
from anew.server.catalog import CatalogEntry
from anew.server.errors import bad_request, from_config_error
from anew.server.item_bodies import ItemsBody, SamplesBody
from anew.server.item_tasks import Draft, FinishedSamples, ItemRequest, ItemTask
from anew.server.limits import MAX_TOKENS, MAX_VALUES, random_seed
from anew.server.metrics import RequestClock
from anew.server.worker import Channel

LONG_TEXT_TOKENS = 500  # length of a sample of running text, if the request gives no maximum
ANY_CLASS = ("", "any", "auto")  # instead of a class: each with its share in the data


def item_request(
    body: ItemsBody,
    entry: CatalogEntry,
    n: int,
    *,
    label: str | None,
    condition: Condition | None = None,
    num_partials: int = 0,
) -> ItemRequest:
    """The item request of a body.

    Args:
        n: Number of samples.
        label: Class of the samples, see `class_of`.
        condition: Condition of each sample.
        num_partials: Number of drafts to send.

    Raises:
        ApiError: 400 the body does not fit the model, or asks for too much.
    """
    try:
        sampling = sampling_config(entry.sampling, entry.modality.traits, body.settings)
    except ConfigError as error:
        raise from_config_error(error, "settings") from None
    conflict = label_conflict(sampling)
    if label is not None and conflict:
        raise bad_request(f"{conflict} follows no label; leave one of them out", "settings")
    values = n * _values_per_sample(entry, sampling)
    limit = MAX_TOKENS if isinstance(entry.spec, Tokens) else MAX_VALUES
    if values > limit:
        is_text = isinstance(entry.spec, Tokens)
        remedy = "; give fewer, or fewer tokens each (settings.max_tokens)" if is_text else "; give fewer"
        raise bad_request(
            f"n samples of up to {values // n:,} {'tokens' if is_text else 'values'} are {values:,}, and the limit is "
            f"{limit:,}{remedy}",
            "n",
        )
    seed = random_seed() if body.seed is None else body.seed
    first_index = body.first_index if isinstance(body, SamplesBody) else 0
    stop = body.stop if isinstance(body, SamplesBody) else None
    return ItemRequest(
        first_index=first_index,
        n=n,
        seed=seed,
        label=label,
        condition=condition,
        sampling=sampling,
        stop=stop,
        prompt=body.prompt if isinstance(body, SamplesBody) else None,
        suffix=body.suffix if isinstance(body, SamplesBody) else None,
        num_partials=num_partials,
        follows_keys=entry.follows_keys,
    )


def _values_per_sample(entry: CatalogEntry, sampling: object) -> int:
    """Largest number of tokens, or of values of a grid, of one sample."""
    if isinstance(entry.spec, Tokens):
        shortest = LONG_TEXT_TOKENS if entry.spec.packed else 0  # records end by themselves
        return int(getattr(sampling, "max_tokens", 0)) or max(entry.spec.length, shortest)
    frames = int(getattr(sampling, "frames", 0))
    values = math.prod(entry.spec.shape)
    if not frames or "T" not in entry.spec.axes:
        return values
    return values // entry.spec.shape[entry.spec.axes.index("T")] * frames


def class_of(entry: CatalogEntry, names: Mapping[str, str | None]) -> str | None:
    """The class that one of these fields names; None if none does.

    Args:
        names: Values of the fields that may name a class.

    Raises:
        ApiError: 400 there is no such class, or two fields name different ones.
    """
    chosen = {
        field: class_named(entry.labels, name) or name
        for field, name in names.items()
        if name is not None and (class_named(entry.labels, name) or name not in ANY_CLASS)
    }
    for field, name in chosen.items():
        if not entry.spec.classes:
            message = f"this model has no classes, so {field} cannot choose one; leave it empty"
            raise bad_request(message, field)
        if name not in entry.labels:
            labels = ", ".join(entry.labels[:20]) + (", ..." if len(entry.labels) > 20 else "")
            guess = did_you_mean(name, entry.labels)
            guess = guess if guess.endswith("?") else ""  # else it lists the labels, too
            raise bad_request(
                f"{field} must be a class of this model (got {shorten(name)}){guess}; its classes: {labels}", field
            )
    if len(set(chosen.values())) > 1:
        raise bad_request(f"{' and '.join(chosen)} name different classes; give one", next(iter(chosen)))
    return next(iter(chosen.values()), None)


def check_size(entry: CatalogEntry, size: str | None) -> None:
    """Raise ApiError 400 if the size is not that of the model's items."""
    assert isinstance(entry.spec, Grid)
    if size not in (None, "auto", size_of(entry)):
        raise bad_request(f"size must be {size_of(entry)} for this model (got {size}); leave it out", "size")


def size_of(entry: CatalogEntry) -> str:
    """Width and height of the model's items, as OpenAI writes them."""
    assert isinstance(entry.spec, Grid)
    height, width = entry.spec.shape[-2:]
    return f"{width}x{height}"


def prompt_condition(body: SamplesBody, entry: CatalogEntry) -> Condition | None:
    """The condition from the prompt and suffix of a text; None for other modalities.

    Raises:
        ApiError: 400 the model takes no prompt, or not this one.
    """
    for field in ("prompt", "suffix", "stop"):
        if getattr(body, field) and not isinstance(entry.spec, Tokens):
            raise bad_request(
                f"this model generates {entry.modality.traits.plural}, which take no {field}; leave it out", field
            )
    if not isinstance(entry.spec, Tokens):
        return None  # elsewhere a prompt of clips is a path, and no request may name paths
    try:
        check_stop(entry.modality, body.stop)
        return condition_from_prompt(entry.modality, body.prompt, body.suffix)
    except ConfigError as error:
        raise from_config_error(error) from None


def tasks_of(request: ItemRequest, entry: CatalogEntry, channel: Channel[object]) -> list[ItemTask]:
    """The request in parts of at most `max_rows` samples."""
    starts = range(0, request.n, entry.max_rows)
    parts = [
        replace(request, first_index=request.first_index + start, n=min(entry.max_rows, request.n - start))
        for start in starts
    ]
    return [ItemTask(part, channel, entry.max_rows) for part in parts]


async def sample_events(
    tasks: Sequence[ItemTask], entry: CatalogEntry, clock: RequestClock
) -> AsyncIterator[Draft | FinishedSamples]:
    """Drafts and finished samples. The caller submits the first task, which a full queue refuses. The others are submitted one after
    another, so that requests of other clients are served in between."""
    for number, task in enumerate(tasks):
        if number:
            entry.worker.submit([task], is_continuation=True)
        event: object = None
        while not isinstance(event, FinishedSamples):
            event = await task.channel.get()
            assert isinstance(event, Draft | FinishedSamples)
            clock.on_piece()
            yield event
        clock.samples += len(event.samples)
    clock.reason = "stop"


async def all_samples(tasks: Sequence[ItemTask], entry: CatalogEntry, clock: RequestClock) -> Samples:
    """The samples of all tasks, in order."""
    samples = None
    async for event in sample_events(tasks, entry, clock):
        if isinstance(event, FinishedSamples):
            samples = event.samples if samples is None else samples + event.samples
    assert samples is not None
    return samples


def zip_of(samples: Samples) -> bytes:
    """A zip of the files that `Samples.save` writes."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_STORED) as archive:
        for name, data in samples.files():
            archive.writestr(zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0)), data)
    return out.getvalue()
