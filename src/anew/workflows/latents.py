"""Fitting of the latent distribution of a network: with many items at the end of a training, with few whenever samples of
the unfinished network are shown."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

from anew.core.specs import Batch
from anew.families.base import Family
from anew.workflows.job import TrainingJob

MAX_ITEMS = 10_240  # items that latents are fitted to at most: seconds of an encoder; more hardly move a fit; chosen
FEW_ITEMS = 512  # items for samples of an unfinished network: a tenth of a second or two; chosen


def latent_batches(job: TrainingJob, items: int = MAX_ITEMS) -> Iterator[Batch]:
    """Yield at most `items` training items in a random order of their own, on the job's device."""
    size, items = job.plan.batch, min(items, job.data.train_items)
    for step in range(-(-items // size)):
        batch = job.data.batch(step, "latents", 0, min(size, items - step * size), size)
        yield batch.to(job.world.device)


@contextmanager
def fitted_latents(family: Family, batches: Iterable[Batch]) -> Iterator[dict[str, Tensor]]:
    """Within this context, the family's latents are fitted to these items. Gives the buffers that the fit changed, by name.

    Afterwards the buffers are restored, so that a training continues as if nothing had happened.
    """
    before = {name: buffer.clone() for name, buffer in family.named_buffers()}
    with torch.no_grad():
        family.fit_latents(batches)
    try:
        yield {name: b for name, b in family.named_buffers() if not torch.equal(b, before[name])}
    finally:
        for name, buffer in family.named_buffers():
            buffer.copy_(before[name])
