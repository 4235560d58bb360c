"""How the latents of a trained network lie: fitted at the end of a training, and with few items whenever samples are shown
before."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

from anew.core.specs import Batch
from anew.families.base import Family
from anew.workflows.job import TrainingJob

MOST_ITEMS = 10_240  # that latents are fitted to: seconds of an encoder, and more hardly move a fit; chosen
FEW_ITEMS = 512  # where samples of an unfinished network are to be shown: a tenth of a second or two; chosen


def latent_batches(job: TrainingJob, items: int = MOST_ITEMS) -> Iterator[Batch]:
    """Training items, at most so many, in an order of chance of their own, on the job's device."""
    size, items = job.plan.batch, min(items, job.data.train_items)
    for step in range(-(-items // size)):
        batch = job.data.batch(step, "latents", 0, min(size, items - step * size), size)
        yield batch.to(job.world.device)


@contextmanager
def fitted_latents(family: Family, sweep: Iterable[Batch]) -> Iterator[dict[str, Tensor]]:
    """While the context lasts, the family's latents are fitted to these items; its buffers are what they were after it, so
    that a training goes on as if nothing had been shown. Gives the buffers that the fit changed, by name."""
    before = {name: buffer.clone() for name, buffer in family.named_buffers()}
    with torch.no_grad():
        family.fit_latents(sweep)
    try:
        yield {name: b for name, b in family.named_buffers() if not torch.equal(b, before[name])}
    finally:
        for name, buffer in family.named_buffers():
            buffer.copy_(before[name])
