"""How fast samples are drawn, measured before the training by a few of them."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

from torch import Tensor

from anew.core import settings as cfg
from anew.core.deadline import TimeIsUp, hard_stop
from anew.core.specs import Tokens
from anew.data.dataset import Dataset
from anew.sampling.generator import Generator
from anew.workflows.job import TrainingJob
from anew.workflows.timing.pace import FIRST_CHUNK, Pace
from anew.workflows.timing.sample_counts import is_running_text

# Samples of tokens that are drawn together, one chunk after the other. The first one loads what drawing needs, and where the last one is
# cut short, the two before it tell the pace.
TOKEN_CHUNKS = (1, 1, 8, 32)
TRIAL_TOKENS = 24  # of each sample; all of them would take too long; chosen
LENGTH_RECORDS = 64  # records whose lengths are read; chosen
# How many times longer whole samples took in reports than the first tokens promised: they come in smaller chunks, from colder caches
WHOLE_SAMPLES = 1.3
# How often a record is drawn, on average, and in how many batches, each smaller than the one before: 2.2 times for proteins and 2.6 for
# names after a minute of training, in 7 batches
DRAWS_OF_RECORD, BATCHES_OF_RECORDS = 2.2, 7


def trial_sampling(job: TrainingJob, weights: Mapping[str, Tensor], seconds: float) -> Pace:
    """The pace of sampling with these weights, from the first samples.

    Samples that are not drawn within `seconds` are taken to need that long.
    """
    family, record = job.rebuilt(weights), job.record
    generator = Generator(family, job.data.modality, record.data.labels, record.label_shares)
    is_short = isinstance(job.data.spec, Tokens)
    # A network that was not trained finds no end, and many drafts would be drawn again
    brief = {"max_tokens": TRIAL_TOKENS, "avoid_known": False} if is_short else {}
    sampling = generator.sampling_config(cfg.subset(brief, type(family).Sampling))

    def draw(count: int) -> None:
        generator.generate_samples(generator.request(count, job.plan.seed, sampling=sampling), job.plan.seed)

    pace = measured_pace(draw, TOKEN_CHUNKS if is_short else (1, FIRST_CHUNK), seconds)
    if not is_short:
        return pace
    usual = generator.family.num_drafts(generator.request(1, job.plan.seed))
    batches, draws, length = 1.0, 1.0, float(usual)
    if not is_running_text(job.data.base.spec):
        batches, draws, length = BATCHES_OF_RECORDS, DRAWS_OF_RECORD, _mean_length(job.data, usual)
    scale = WHOLE_SAMPLES * length / TRIAL_TOKENS
    return pace.times(scale * batches, scale * draws)


def _mean_length(data: Dataset, longest: int) -> float:
    """The tokens of a record, on average."""
    count = min(LENGTH_RECORDS, data.base.train_items)
    batch = data.base.batch(0, "trial", 0, count, count)
    return longest if batch.mask is None else float(batch.mask.float().sum(1).mean())


def measured_pace(draw: Callable[[int], None], counts: tuple[int, ...], seconds: float) -> Pace:
    """The pace of drawing some numbers of samples, one after the other, in `seconds` at most."""
    pace, begin = Pace(), time.monotonic()
    for number, count in enumerate(counts):
        chunk_begin = time.monotonic()
        try:
            with hard_stop(begin + seconds - chunk_begin):
                draw(count)
        except TimeIsUp:
            # Two numbers of samples tell more than how long a third one takes at least
            if len(set(counts[:number])) < 2:
                pace.add(count, time.monotonic() - chunk_begin)
            break
        pace.add(count, time.monotonic() - chunk_begin)
    return pace
