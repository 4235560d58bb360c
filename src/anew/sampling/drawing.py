"""Drawing of samples in fixed batches, so that any part of them can be drawn again with bitwise equal results."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from anew.core import settings as cfg
from anew.core.reporter import Reporter
from anew.core.settings import SettingValue, check_int
from anew.core.specs import Condition
from anew.core.wording import plural
from anew.data.modality import Modality
from anew.errors import ConfigError, shorten
from anew.sampling.conditioning import condition_from_prompt
from anew.sampling.generator import Generator
from anew.sampling.origins import MAX_TEXT, SAMPLE_BATCH, Origin
from anew.sampling.samples import Samples

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

# Samples of one call, of which `sample` holds texts and origins in memory; `share` divides more.
MAX_SAMPLES = 1_000_000
MIN_PROGRESS_S = 2.0  # drawing that takes less needs no progress; chosen
PREVIEW_INTERVAL_S = 0.5  # time between two states of it; chosen
MAX_SHARES = 100_000  # more than any cluster has processes: a larger number is a slip


def draw_batches(
    generator: Generator,
    origin: Origin,
    condition: Condition | None,
    sampling: DataclassInstance,
    n: int,
    *,
    first_index: int,
    share: tuple[int, int] | None = None,
    reporter: Reporter | None = None,
) -> Iterator[Samples]:
    """Draw n samples, or a share of them, and yield them in parts of at most a batch, numbered as parts of the whole.

    Args:
        origin: The origin that all of them have in common.
        n: Number of samples in all shares.
        share: (i, k) draws only the i-th of k shares.
        reporter: Shows the progress, unless the samples are drawn soon.
    """
    start, stop = (0, n) if share is None else share_range(n, share)
    common = recordable(origin, generator, sampling)
    progress = DrawingProgress(reporter, stop - start)

    def draw(offset: int) -> Samples:
        # Draw the whole batch even if only a part is needed: sums round by the size of the batch.
        count, first = min(SAMPLE_BATCH, n - offset), first_index + offset
        request = generator.request(
            count, origin.seed, label=origin.label, condition=condition, sampling=sampling, first_index=first
        )
        report = progress.after(max(0, offset - start))
        batch = generator.generate_samples(request, origin.seed, origin.stop, report)
        batch.origins = [replace(common, index=first + i, batch=(first, count)) for i in range(count)]
        part = batch[max(start - offset, 0) : stop - offset]
        part.first, part.total, part.num_planned = max(start, offset), None if share is None else n, n
        return part

    offsets = range(start // SAMPLE_BATCH * SAMPLE_BATCH, stop, SAMPLE_BATCH)
    return progress.to_the_end(map(draw, offsets))


def joined(parts: Iterable[Samples], modality: Modality) -> Samples:
    """Samples that came in parts, numbered from those of the first part."""
    samples = Samples([], [], modality)
    for number, part in enumerate(parts):
        if number == 0:
            samples.first, samples.total = part.first, part.total
        samples += part
    return samples


class DrawingProgress:
    """Shows how many samples are drawn, where that takes long."""

    def __init__(self, reporter: Reporter | None, total: int) -> None:
        """total: number of samples."""
        self._reporter = reporter
        self._total = total
        self._count = 0
        self._next_at = time.monotonic() + MIN_PROGRESS_S

    def after(self, before: int) -> Callable[[float], None]:
        """A function to show how many samples are drawn of those that follow `before` others."""
        return lambda drawn: self.show(before + drawn)

    def show(self, drawn: float) -> None:
        """Show how many samples are drawn, where unfinished ones count in part."""
        count, now = min(int(drawn), self._total - 1), time.monotonic()
        if self._reporter is not None and count > self._count and now >= self._next_at:
            self._count, self._next_at = count, now + PREVIEW_INTERVAL_S
            self._reporter.progress("drawing samples", count, self._total)

    def to_the_end(self, parts: Iterable[Samples]) -> Iterator[Samples]:
        """Yield the samples as they are drawn, then `end`."""
        yield from parts
        self.end()

    def end(self) -> None:
        """Show that all are drawn, if anything was shown before."""
        if self._reporter is not None and self._count:
            self._reporter.progress("drawing samples", self._total, self._total)


def share_range(n: int, share: tuple[int, int]) -> tuple[int, int]:
    """The range (start, stop) of a share; shares consist of whole batches if there are enough batches.

    Raises:
        ConfigError: The share is not one of 1/K to K/K, or holds no sample.
    """
    try:
        number, count = share
    except (TypeError, ValueError):
        raise ConfigError(f"`share` must be a pair, like (1, 4) (got {shorten(share)})") from None
    count = check_int("share", count, 1, MAX_SHARES)
    number = check_int("share", number, 1, count)
    if count > n:
        raise ConfigError(
            f"{count:,} shares of {plural(n, 'sample')} are too many: some would hold none; give at most {n}"
        )
    unit = SAMPLE_BATCH if -(-n // SAMPLE_BATCH) >= count else 1
    num_units = -(-n // unit)
    return min(n, (number - 1) * num_units // count * unit), min(n, number * num_units // count * unit)


def recordable(origin: Origin, generator: Generator, sampling: DataclassInstance) -> Origin:
    """An origin as files of samples record it: with the sampling settings that are not the usual ones for this data, and without texts that
    are too long for a comment."""
    usual, chosen = cfg.to_json(generator.sampling_config()), cfg.to_json(sampling)
    settings: dict[str, SettingValue] = {name: value for name, value in chosen.items() if value != usual[name]}  # type: ignore[misc]
    texts = (origin.prompt, origin.suffix, origin.stop)
    if origin.is_given or any(text is not None and len(text) > MAX_TEXT for text in texts):
        origin = replace(origin, prompt=None, suffix=None, is_given=True)
    return replace(origin, settings=settings or None)


def draw_again(generator: Generator, origins: Sequence[Origin]) -> Samples:
    """Draw samples again, each with the batch that it was drawn in, and as large as it was; they are numbered by their index.

    Raises:
        ConfigError: There are no origins, a sample depends on something that its file does not record, or the batches are too large
            in all.
    """
    if not origins:
        raise ConfigError("`origins` must hold the origin of at least one sample (got none)")
    num_drawn = sum(common.batch[1] for common, _ in itertools.groupby(map(_in_common, origins)))
    if num_drawn > MAX_SAMPLES:
        raise ConfigError(
            f"the file asks for {num_drawn:,} samples to be drawn again, and {MAX_SAMPLES:,} are the most; cut it"
        )
    if any(origin.is_given for origin in origins):
        raise ConfigError(
            "the file was made from a given prompt, pixels or frames that it does not hold; repeat the command instead"
        )
    samples = Samples([], [], generator.item_modality)
    for _, group in itertools.groupby(origins, _in_common):
        batch_origins = list(group)
        batch = _batch_of(generator, batch_origins[0])
        for origin in batch_origins:
            place = origin.index - origin.batch[0]
            samples += batch[place : place + 1].enlarged(origin.scale or 1)
    if [origin.index for origin in origins] == list(range(origins[0].index, origins[0].index + len(origins))):
        samples.first = origins[0].index
    return samples


def _in_common(origin: Origin) -> Origin:
    """The common part of the origins of all samples in a batch."""
    return replace(origin, index=0, scale=None)


def _batch_of(generator: Generator, origin: Origin) -> Samples:
    """Draw the batch again that a sample was drawn in."""
    first, count = origin.batch
    condition = condition_from_prompt(generator.modality, origin.prompt, origin.suffix)
    sampling = generator.sampling_config(origin.settings or {})
    parts = draw_batches(generator, _in_common(origin), condition, sampling, count, first_index=first)
    return joined(parts, generator.item_modality)
