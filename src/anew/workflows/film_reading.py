"""Scenes for the film of a network that reads tokens: a held-out text, or a held-out item as a row of codes.

Legend for shapes: n items, L tokens.
"""

from __future__ import annotations

import math
import time

import numpy as np
import torch

from anew.core.specs import Batch, SampleRequest, Tokens
from anew.data.latent_dataset import LatentModality
from anew.data.modalities.text import Text
from anew.data.modality import Modality
from anew.evaluation.reporting.sheet import png, shrink
from anew.families.base import Family
from anew.families.explaining import Attends
from anew.sampling.request_checks import sampling_config
from anew.workflows.film_pictures import THUMB, THUMB_COLUMNS, Arrays, decoded, float32, thumbnails
from anew.workflows.job import TrainingJob

# Tokens of the text that each frame reads: all are shown, and attention for each pair of them; chosen.
TEXT_TOKENS = 48
MAX_HEADS = 24  # attention heads that are drawn: bounds the size of a frame; chosen
PICTURE_SIDE = 128  # pixels of the item whose codes are read: enough to see it; bounds the size of a scene
CODES_MADE = 4  # items that each frame makes, if there is time: each takes a pass for every code


def held_out_row(job: TrainingJob) -> Batch:
    """The first row of the validation part, or of the train part if there is no validation part."""
    part = "validation" if job.data.part_size("validation") else "train"
    return next(iter(job.data.scoring(part))).rows(0, 1)


class TextScene:
    """Information content of each token of one held-out text under the network, and the attention weights.

    Args:
        job: The training, on Tokens.
        spec: Spec of the data.
    """

    def __init__(self, job: TrainingJob, spec: Tokens) -> None:
        first_row = held_out_row(job)
        length = min(TEXT_TOKENS, first_row.x.shape[1] - 1)
        if first_row.mask is not None:
            length = max(1, min(length, int((first_row.mask[0] > 0).nonzero().max()) + 1))
        self.batch = Batch(first_row.x[:, : length + 1], first_row.labels).to(job.world.device)
        self.job, self.spec = job, spec

    def fixed(self) -> tuple[Arrays, dict[str, object]]:
        ids = self.batch.x[0].cpu().numpy()
        modality = self.job.data.modality
        texts = [_token_text(modality, self.spec, int(token)) for token in ids]
        return {"ids": ids.astype(np.int32)}, {"scene": "text", "tokens": texts, "vocabulary": self.spec.vocab}

    def frame(self, family: Family) -> tuple[Arrays, dict[str, object]]:
        assert isinstance(family, Attends)
        bits = -family.network_log_probs(self.batch)[0] / math.log(2)  # (L,)
        weights = family.attention_weights(self.batch)[:, :, 0]  # (layers, heads, L, L)
        skipped = weights.shape[2] - (self.batch.x.shape[1] - 1)  # a label in front
        heads = weights.flatten(0, 1)[:MAX_HEADS, skipped:, skipped:]
        levels = heads.mul(255).round().clamp(0, 255).byte().cpu().numpy()
        facts: dict[str, object] = {"heads": weights.shape[1], "bits": float(bits.mean())}
        return {"token_bits": float32(bits), "attention": levels}, facts


class CodeScene:
    """One held-out item as a row of codes: bits of each code under the network, and samples with the same seed each time.

    Args:
        job: The training, on codes of items.
        modality: The modality with the codec.
        seconds: Seconds that one frame may take; samples that take longer are not made again.
    """

    def __init__(self, job: TrainingJob, modality: LatentModality, seconds: float) -> None:
        self.job, self.modality, self.seconds = job, modality, seconds
        row = held_out_row(job)
        self.batch = Batch(row.x, row.labels).to(job.world.device)
        self.labels = row.labels
        self.makes_items = True

    def fixed(self) -> tuple[Arrays, dict[str, object]]:
        spec = self.job.data.spec
        assert isinstance(spec, Tokens)
        codes = self.batch.x[:, 1:]  # (1, L) without the token in front
        arrays: Arrays = {"ids": codes[0].cpu().numpy().astype(np.int32)}
        picture = self.modality.picture(self.modality.decode(codes.cpu())[0])
        if picture is not None:
            arrays["picture"] = np.frombuffer(png(shrink(picture, PICTURE_SIDE)), np.uint8)
        facts: dict[str, object] = {"scene": "codes", "shape": list(spec.shape), "vocabulary": spec.vocab}
        return arrays, facts | {"columns": THUMB_COLUMNS, "thumb": THUMB}

    def frame(self, family: Family) -> tuple[Arrays, dict[str, object]]:
        assert isinstance(family, Attends)
        bits = -family.network_log_probs(self.batch)[0] / math.log(2)  # (L,)
        arrays: Arrays = {"token_bits": float32(bits)}
        items = self._make(family) if self.makes_items else None
        if items is not None:
            arrays["generated_sheet"] = thumbnails(self.modality.base.draw_grids(items))
        return arrays, {"bits": float(bits.mean()), "generated": 0 if items is None else len(items)}

    def _make(self, family: Family) -> torch.Tensor:
        """CODES_MADE samples (CODES_MADE, *shape). If this takes too long, later frames have none."""
        begun = time.monotonic()
        sampling = sampling_config(type(family).Sampling, self.modality.traits)
        labels = None if self.labels is None else self.labels.repeat(CODES_MADE)
        *_, codes = family.sample(SampleRequest(CODES_MADE, labels, sampling=sampling), self.job.plan.seed)
        items = decoded(codes.cpu(), self.modality, math.inf)
        self.makes_items = time.monotonic() - begun <= self.seconds
        return items


def _token_text(modality: Modality, spec: Tokens, token: int) -> str:
    if token in spec.special.values():
        return ""
    return modality.tokenizer.decode([token]) if isinstance(modality, Text) else str(token)
