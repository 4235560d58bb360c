"""Samples in batches of one layout, so that a share of them, or one of them once more, is the same to the last bit."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from anew.core import settings as cfg
from anew.core.settings import SettingValue, check_int
from anew.core.specs import Condition
from anew.errors import ConfigError, shorten
from anew.sampling.conditioning import class_index, condition_from_prompt
from anew.sampling.generator import SAMPLE_BATCH, Generator
from anew.sampling.origins import LONGEST_TEXT, Origin
from anew.sampling.samples import Samples

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

MAX_SAMPLES = 1_000_000  # in one call: they are held in memory; `share` divides more
MAX_SHARES = 100_000  # more than any cluster has processes, so that a slip of the hand is refused


def draw_samples(
    generator: Generator,
    origin: Origin,
    condition: Condition | None,
    sampling: DataclassInstance,
    n: int,
    first_index: int = 0,
    share: tuple[int, int] | None = None,
) -> Samples:
    """n samples, or a share of them.

    Args:
        generator: What draws.
        origin: What holds for all of them.
        condition: What is given of each.
        sampling: The family's sampling settings.
        n: How many there are with all shares.
        first_index: Index of the first of them.
        share: (i, k) draws the i-th of k shares alone.
    """
    start, stop = (0, n) if share is None else share_range(n, share)
    common = replace(origin, settings=unusual_settings(generator, sampling) or None)
    samples = Samples([], [], generator.item_modality)
    for offset in range(start // SAMPLE_BATCH * SAMPLE_BATCH, stop, SAMPLE_BATCH):
        # The whole batch, also for a part of it: sums round by the size of the batch.
        count, first = min(SAMPLE_BATCH, n - offset), first_index + offset
        batch = generator.generate_samples(
            count,
            origin.seed,
            label=origin.label,
            condition=condition,
            sampling=sampling,
            stop=origin.stop,
            first_index=first,
        )
        batch.origins = [replace(common, index=first + i, batch=(first, count)) for i in range(count)]
        samples += batch[max(start - offset, 0) : stop - offset]
    if share is not None:
        samples.first, samples.total = start, n
    return samples


def request_origin(
    generator: Generator,
    identity: tuple[str, str],
    seed: int,
    label: str | int | None = None,
    prompt: str | None = None,
    suffix: str | None = None,
    stop: str | None = None,
    is_given: bool = False,
) -> Origin:
    """The origin common to all samples of a request, as their files record it.

    Args:
        generator: What draws.
        identity: As `Model.identity`.
        seed: Seed of the samples.
        label: The class that was asked for.
        prompt: What they begin with.
        suffix: What they end with.
        stop: The text that they end before.
        is_given: Whether they follow from something that a file cannot hold.
    """
    run, weights = identity
    if label is not None:
        generator.sample_labels(1, 0, label)  # refuses an unknown class
        label = generator.labels[class_index(generator.labels, label)]
    if any(text is not None and len(text) > LONGEST_TEXT for text in (prompt, suffix, stop)):
        is_given = True
    texts = (None, None) if is_given else (prompt, suffix)
    return Origin(run, weights, seed, 0, (0, 1), label, *texts, stop, is_given=is_given)


def share_range(n: int, share: tuple[int, int]) -> tuple[int, int]:
    """The first sample of a share, and the one behind its last; at ends of batches where there are enough of them.

    Raises:
        ConfigError: The share is not one of 1/K to K/K, or holds no sample.
    """
    try:
        number, of = share
    except (TypeError, ValueError):
        raise ConfigError(f"`share` must be a pair, like (1, 4) (got {shorten(share)})") from None
    of = check_int("share", of, 1, MAX_SHARES)
    number = check_int("share", number, 1, of)
    if of > n:
        raise ConfigError(f"{of} shares of {n} samples are too many: some would hold none; give at most {n}")
    unit = SAMPLE_BATCH if -(-n // SAMPLE_BATCH) >= of else 1
    num_units = -(-n // unit)
    return min(n, (number - 1) * num_units // of * unit), min(n, number * num_units // of * unit)


def unusual_settings(generator: Generator, sampling: DataclassInstance) -> dict[str, SettingValue]:
    """Sampling settings that are not those that suit the data."""
    usual, chosen = cfg.to_json(generator.sampling_config()), cfg.to_json(sampling)
    return {name: value for name, value in chosen.items() if value != usual[name]}  # type: ignore[misc]


def draw_again(generator: Generator, origins: Sequence[Origin]) -> Samples:
    """Samples once more, each with the batch that it was drawn in.

    Raises:
        ConfigError: One follows from what its file does not hold, or more batches are named than anybody has drawn.
    """
    samples = Samples([], [], generator.item_modality)
    last: tuple[Origin, Samples] | None = None
    drawn = sum(common.batch[1] for common, _ in itertools.groupby(replace(origin, index=0) for origin in origins))
    if drawn > MAX_SAMPLES:
        raise ConfigError(
            f"the file asks for {drawn:,} samples to be drawn again, and {MAX_SAMPLES:,} are the most; cut it"
        )
    for origin in origins:
        if origin.is_given:
            raise ConfigError(
                "the file was made from a given prompt, pixels or frames that it does not hold; repeat the command instead"
            )
        common = replace(origin, index=0)
        if last is None or last[0] != common:
            last = common, _batch_of(generator, origin)
        place = origin.index - origin.batch[0]
        samples += last[1][place : place + 1]
    return samples


def _batch_of(generator: Generator, origin: Origin) -> Samples:
    """The batch that a sample was drawn in."""
    first, count = origin.batch
    condition = condition_from_prompt(generator.modality, origin.prompt, origin.suffix)
    sampling = generator.sampling_config(origin.settings or {})
    return draw_samples(generator, replace(origin, index=0), condition, sampling, count, first)
