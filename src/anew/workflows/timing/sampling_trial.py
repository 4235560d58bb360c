"""How fast samples are drawn, measured before the training by a few of them."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

from torch import Tensor

from anew.core import settings as cfg
from anew.core.deadline import TimeIsUp, hard_stop
from anew.core.specs import Tokens
from anew.data.dataset import Dataset
from anew.data.document_heads import begins_documents
from anew.sampling.generator import Generator
from anew.workflows.job import TrainingJob
from anew.workflows.timing.pace import FIRST_CHUNK, Pace
from anew.workflows.timing.sample_counts import PIECES, SampleCounts, is_running_text

# Samples of tokens that are drawn together, one chunk after the other: where the last one is cut short, the two before it tell the pace
TOKEN_CHUNKS = (1, 8, 32)
TRIAL_TOKENS = 24  # of each sample; all of them would take too long; chosen
LENGTH_RECORDS = 64  # records whose lengths are read; chosen
# How many times longer whole samples took in reports than the first tokens suggested: they come in smaller chunks, from colder caches
WHOLE_SAMPLES = 1.3
# How often a record is drawn, on average, and in how many batches, each smaller than the one before: 2.2 times for proteins and 2.6 for
# names after a minute of training, in 7 batches
DRAWS_OF_RECORD, BATCHES_OF_RECORDS = 2.2, 7


def trial_sampling(job: TrainingJob, weights: Mapping[str, Tensor], seconds: float) -> Pace | None:
    """The pace of sampling with these weights, from the first samples.

    Samples that are not drawn within `seconds` are taken to need that long. None for tokens if what drawing needs was not loaded in that
    time.
    """
    family, record, seed = job.rebuilt(weights), job.record, job.plan.seed
    generator = Generator(family, job.data.modality, record.data.labels, record.label_shares)
    are_tokens, is_text = isinstance(job.data.spec, Tokens), is_running_text(job.data.base.spec)
    trial_settings: dict[str, object] = {"max_tokens": TRIAL_TOKENS} if are_tokens else {}
    if are_tokens and not is_text:
        # A network that was not trained finds no end and no syntax, so that many drafts would be drawn again
        trial_settings |= {"avoid_known": False, "match_error_rates": False}
    sampling = generator.sampling_config(cfg.subset(trial_settings, type(family).Sampling))

    def draw(count: int) -> None:
        generator.generate_samples(generator.request(count, seed, sampling=sampling), seed)

    if not are_tokens:
        return measured_pace(draw, (1, FIRST_CHUNK), seconds)
    begin = time.monotonic()
    try:
        with hard_stop(seconds):
            draw(1)
    except TimeIsUp:
        return None
    pace = measured_pace(draw, TOKEN_CHUNKS, max(seconds - (time.monotonic() - begin), seconds / 2))
    longest = generator.family.num_drafts(generator.request(1, seed))
    if is_text:
        ratio = WHOLE_SAMPLES * longest / TRIAL_TOKENS
        # The longest document of a chunk holds up the others, which take no time once they have ended
        share = min(SampleCounts.of(job.data).pieces / PIECES, 1.0) if begins_documents(job.data.base.spec) else 1.0
        return pace.scaled(ratio, ratio * share)
    ratio = WHOLE_SAMPLES * _mean_length(job.data, longest) / TRIAL_TOKENS
    return pace.scaled(ratio * BATCHES_OF_RECORDS, ratio * DRAWS_OF_RECORD)


def _mean_length(data: Dataset, longest: int) -> float:
    """The tokens of a record, on average; the longest number where no batch says it."""
    count = min(LENGTH_RECORDS, data.base.train_items)
    batch = data.base.batch(0, "trial", 0, count, count)
    return longest if batch.mask is None else float(batch.mask.float().sum(1).mean())


def measured_pace(draw: Callable[[int], None], counts: tuple[int, ...], seconds: float) -> Pace:
    """The pace of drawing some numbers of samples, one after the other, in about `seconds` at most: a chunk that is cut short is taken to
    need so long if that is longer than the one before it took."""
    pace, begin, chunk_seconds = Pace(), time.monotonic(), 0.0
    for number, count in enumerate(counts):
        chunk_begin = time.monotonic()
        left = begin + seconds - chunk_begin
        # Where a chunk cannot be stopped, at least no further one begins
        if number and left <= 0.0:
            break
        is_over, before = True, chunk_seconds
        try:
            with hard_stop(left):
                draw(count)
        except TimeIsUp:
            is_over = False
        chunk_seconds = time.monotonic() - chunk_begin
        if is_over or chunk_seconds > before:
            pace.add(count, chunk_seconds)
        if not is_over:
            break
    return pace
