"""Samples while training: sheets to look at, and a warning if the samples are all alike."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from anew.core.deadline import TimeIsUp, hard_stop
from anew.core.specs import Grid, Tokens
from anew.data.types import DecodedItem
from anew.families.base import collapse_warning
from anew.functional.adversarial import POOLED_SIDE, diversity_ratio
from anew.sampling.generator import Generator
from anew.training.progress import TimeProgress
from anew.training.trainer import StepResult, Trainer
from anew.workflows.job import TrainingJob
from anew.workflows.latents import FEW_ITEMS, latent_batches

SAMPLES, TEXTS = 16, 2  # samples of a preview; texts are fewer: all are drawn while training waits
JUDGED_FROM = 0.35  # progress in each phase before samples are judged: earlier, all may be the same blur; chosen
JUDGED_STEPS = 200  # steps before samples are judged: earlier, weights have hardly moved; chosen
# Shares of the training time: for all previews, and for one before it is given up; chosen.
TOTAL_SHARE, MAX_SHARE = 0.01, 0.1
# Real items that differ by a smaller share of the range of values have no variety to compare with.
MIN_VARIETY = 0.01


class Previews:
    """Writes samples of the averaged weights into `samples/` while training, as long as their cost stays under TOTAL_SHARE.

    A preview that would take MAX_SHARE of a time-limited training is given up: on busy cores little time may be left for it.
    Called after each step; returns a warning if the samples have collapsed.
    """

    def __init__(self, job: TrainingJob, trainer: Trainer) -> None:
        self.job = job
        self.trainer = trainer
        self.points = job.train_config.previews
        self.num_drawn = 0
        self.cost = 0.0

    def __call__(self, result: StepResult) -> str | None:
        if self.points == 0 or result.progress * (self.points + 1) < self.num_drawn + 1:
            return None
        self.num_drawn = int(result.progress * (self.points + 1))
        progress = self.trainer.progress
        total = progress.seconds if isinstance(progress, TimeProgress) else None
        is_costly = total is not None and self.cost > TOTAL_SHARE * total
        if self.job.world.broadcast(is_costly):
            return None
        start, warning = time.monotonic(), None
        # A whole copy on one process: sharded weights cannot be sampled from.
        weights = self.trainer.weights()
        if self.job.world.is_main:
            try:
                with hard_stop(None if total is None else MAX_SHARE * total):
                    warning = self._draw(weights, result)
            except TimeIsUp:
                pass
        self.cost += time.monotonic() - start
        return warning

    def _draw(self, weights: Mapping[str, Tensor], result: StepResult) -> str | None:
        """Write samples of these weights; return a warning if they have collapsed."""
        record = self.job.record
        family = self.job.rebuilt(weights)
        with torch.no_grad():
            family.fit_latents(latent_batches(self.job, FEW_ITEMS))
        model = Generator(family, self.job.data.modality, record.data.labels, record.label_shares)
        n = TEXTS if isinstance(model.item_spec, Tokens) else SAMPLES
        seed = self.job.plan.seed
        samples = model.generate_samples(model.request(n, seed), seed)
        samples.save_sheet(self.job.folder.path / "samples", f"step-{result.step:08d}", overwrite=True)
        return self._collapse(model, samples, result) if self._judged(result) else None

    def _judged(self, result: StepResult) -> bool:
        """Whether training is far enough to judge samples: in all phases, since any may be the one that makes them varied."""
        phases = self.trainer.phases
        return result.step >= JUDGED_STEPS and all(p.progress_within(result.progress) >= JUDGED_FROM for p in phases)

    def _collapse(self, model: Generator, samples: Sequence[DecodedItem], result: StepResult) -> str | None:
        """A warning if samples are far less varied than as many training items, taken from the last step."""
        if not isinstance(model.item_spec, Grid):
            return None
        data, trainer = self.job.data, self.trainer
        count = min(len(samples), trainer.batch_size)
        x = data.batch(result.step - 1, trainer.phases[0].name, 0, count, trainer.batch_size).x
        if isinstance(model.spec, Tokens):
            x = x[:, 1:]  # the first token stands in front of the codes
        real = data.modality.decode_real(x)
        pictures = data.modality.pictures
        generated = pooled(pictures(list(samples)[:count]))
        return collapse(generated, pooled(pictures(real[:count])), trainer.family.collapse_advice)


def pooled(pictures: Sequence[DecodedItem]) -> Tensor:
    """Average pictures (H, W) or (H, W, C), uint8 of any sizes, down to (n, C, 16, 16) in [0, 1]."""
    rows = []
    for picture in pictures:
        values = torch.from_numpy(np.array(picture, dtype=np.float32)) / 255.0
        values = values[None] if values.ndim == 2 else values.permute(2, 0, 1)  # (C, H, W)
        rows.append(functional.adaptive_avg_pool2d(values, POOLED_SIDE))
    return torch.stack(rows)


def collapse(generated: Tensor, real: Tensor, advice: str) -> str | None:
    """The warning for generated items (n, C, H, W) that are all alike where real ones are not, else None. advice: The family's."""
    if len(generated) < 2 or float(real.var(0).mean().sqrt()) < MIN_VARIETY:
        return None
    return collapse_warning(float(diversity_ratio(generated, real)), advice)
