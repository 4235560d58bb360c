"""What a comparison measures of one run: samples and what they cost, figures, walks."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn

from anew.core.registry import load
from anew.core.specs import Grid, Tokens
from anew.data.dataset import Dataset
from anew.errors import ConfigError
from anew.evaluation.metrics.image_comparison import Yardstick
from anew.evaluation.metrics.statistics import Score, ratio_interval
from anew.evaluation.reporting.ranking import Entrant
from anew.families.base import Family
from anew.runs import events
from anew.sampling.generator import SAMPLE_BATCH
from anew.sampling.interpolation import interpolate_pairs
from anew.sampling.model import Model
from anew.workflows.evaluate import evidence

SAMPLE_SECONDS = 8.0  # for the samples of a run; all runs are measured at the number that the slowest had time for
TEXT_SECONDS = 12.0  # for the figures of a run of text
IMAGE_SECONDS = 40.0  # never spent in practice: the number of images is bounded instead
BITS_ITEMS, BITS_SECONDS = 256, 4.0
WALKS, FRAMES = 24, 13
REAL = 1_000


def draw(model: Model, entrant: Entrant, n: int, seed: int) -> None:
    """Samples, as many as there is time for, and what sampling and training cost."""
    with counted(model) as calls:
        drafts = _drawn(model, 2, seed, 0)[1]
    passes = calls.share()
    begin = time.monotonic()
    while len(entrant.samples) < n:
        spent, have = time.monotonic() - begin, len(entrant.samples)
        rate = have / spent if have else float("inf")
        room = SAMPLE_BATCH if have else SAMPLE_BATCH // 4
        count = int(min(n - have, room, max(0.0, rate * (SAMPLE_SECONDS - spent)) if have else room))
        if count < 1:
            break
        entrant.samples += _drawn(model, count, seed, have)[0]
    took = time.monotonic() - begin
    count = len(entrant.samples)
    source = f"{count:,} samples on {model.device.type}, {torch.get_num_threads()} threads, no files written"
    entrant.fact("seconds_per_1000", 1000 * took / count, source)
    weights = "calls of each module, weighted by its parameters, over all that sampling calls"
    symbols = isinstance(model.spec, Tokens)
    source = "drafts: a pass for each symbol" if symbols or not passes else weights
    entrant.fact("passes_per_1000", 1000 * (drafts if symbols or not passes else passes), source)
    _training(model, entrant)


def _drawn(model: Model, n: int, seed: int, first: int) -> tuple[list[Any], int]:
    """n samples from number `first` on, and through how many drafts they went."""
    request = model.request(n, seed, first_index=first)
    last, drafts = None, 0
    for draft in model.family.sample(request, seed):
        last, drafts = draft, drafts + 1
    if last is None:
        raise ConfigError("the family drew nothing; train the run again")
    return model.modality.decode(last.cpu()), drafts


class Calls:
    """How often modules with parameters of their own were called."""

    def __init__(self) -> None:
        self.count: dict[nn.Module, int] = {}

    def __call__(self, module: nn.Module, given: Any, result: Any) -> None:
        self.count[module] = self.count.get(module, 0) + 1

    def share(self) -> float:
        """Calls a weight has seen, on average over the weights of what was called; 0 where nothing was."""
        own = {m: sum(p.numel() for p in m.parameters(recurse=False)) for m in self.count}
        total = sum(own.values())
        return sum(self.count[m] * size for m, size in own.items()) / total if total else 0.0


@contextmanager
def counted(model: Model) -> Iterator[Calls]:
    """Count calls of the modules of the family, and of its codec, inside."""
    calls = Calls()
    codec = getattr(model, "codec", None)
    modules = [m for whole in (model.family, codec) if whole is not None for m in whole.modules()]
    hooks = [m.register_forward_hook(calls) for m in modules if any(True for _ in m.parameters(recurse=False))]
    try:
        yield calls
    finally:
        for hook in hooks:
            hook.remove()


def _training(model: Model, entrant: Entrant) -> None:
    steps = [e for e in events.read(model.folder.path / events.NAME) if e["event"] == "step"]
    whole = [model.family, getattr(model, "codec", None)]
    entrant.fact("training_seconds", steps[-1].get("seconds") if steps else None, "events.jsonl")
    entrant.fact("steps", steps[-1]["step"] if steps else None, "events.jsonl")
    parameters = sum(p.numel() for family in whole if family is not None for p in family.parameters())
    entrant.fact("parameters", parameters, "weights in the run")


def measure(model: Model, entrant: Entrant, data: Dataset, seed: int) -> None:
    """All figures of the entrant's samples against the held-out part."""
    images = isinstance(data.spec, Grid)
    seconds = IMAGE_SECONDS if images else TEXT_SECONDS
    found = load("evaluation", data.modality.name)(evidence(model, data, entrant.samples, seconds, seed))
    for score in found.scores():
        entrant.scores[score.name] = score
    if not images:
        entrant.no_walk = _why_not(model)
        return
    _bits(model, entrant, data, seed)
    n = max(len(entrant.samples), REAL)
    pictures = data.modality.pictures
    yard = Yardstick(pictures(data.items("train", n, seed)), pictures(data.items("test", n, seed)), seed)
    score, entrant.spectrum = yard.detail(pictures(entrant.samples))
    entrant.real_spectrum = yard.spectrum
    entrant.scores[score.name] = score
    entrant.no_walk = _why_not(model)
    if not entrant.no_walk:
        entrant.walks = [pictures(walk) for walk in interpolate_pairs(model, WALKS, FRAMES, seed)]
        entrant.scores |= {s.name: s for s in yard.walks(entrant.walks)}


def _why_not(model: Model) -> str:
    if type(model.family).generate is not Family.generate:
        return ""
    return f"it has no continuous space to walk in; {type(model.family).no_interpolation_reason}"


def _bits(model: Model, entrant: Entrant, data: Dataset, seed: int) -> None:
    """Bits of held-out items, where the family has a likelihood of them."""
    if getattr(model, "codec", None) is not None:
        return
    most = BITS_ITEMS * float(torch.Size(data.spec.shape).numel()) if isinstance(data.spec, Grid) else None
    try:
        pairs = model.bits(data.scoring("test", limit=most), BITS_SECONDS)
    except ConfigError:
        return
    bits, units = torch.tensor(pairs, dtype=torch.float64).T.numpy()
    low, high = ratio_interval(bits, units, seed)
    name = f"bits_per_{data.modality.unit}"
    source = f"{len(pairs)} held-out items"
    entrant.scores[name] = Score(name, float(bits.sum() / units.sum()), low, high, n=len(pairs), source=source)
