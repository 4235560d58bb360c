"""Measurements of one run for a comparison: samples and their cost, scores, interpolations."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import torch
from torch import nn

from anew.core.specs import Grid, Tokens
from anew.data.dataset import Dataset
from anew.data.types import DecodedItem
from anew.evaluation.base import Evaluation, load_evaluation
from anew.evaluation.metrics.cost import PARAMETERS, PASSES_PER_1000, SECONDS_PER_1000, STEPS, TRAINING_SECONDS
from anew.evaluation.modalities.image_comparison import ImageComparison
from anew.evaluation.reporting.content import ReportItem
from anew.evaluation.reporting.ranking import RunResult
from anew.families.base import Family, num_parameters
from anew.runs import events
from anew.sampling.interpolation import interpolate_pairs
from anew.sampling.model import Model
from anew.sampling.origins import SAMPLE_BATCH
from anew.workflows.evaluate import evaluation_inputs

# Time to sample one run; all runs are then measured at the number of samples that the slowest had time for; chosen.
SAMPLE_SECONDS = 8.0
TEXT_SECONDS = 12.0  # time for the metrics of one run of text, so that a few runs are compared within a minute; chosen
BITS_ITEMS, BITS_SECONDS = 256, 4.0  # held-out items that are scored, and the time for them; chosen
PATHS, FRAMES = 24, 13  # interpolations, and frames of each: a mean over pairs, and twelve equal steps; chosen
PLAYERS = 6  # samples that can be played: each adds its sound to the page; chosen
# Real items that are compared; as many as samples, if those are more, as a distance depends on the number of both; chosen
MIN_REAL = 1_000


def draw(model: Model, result: RunResult, n: int, seed: int, in_time: bool = True) -> None:
    """Add n samples to the result, or only as many as there is time for, and what sampling and training cost."""
    with counted(model) as calls:
        drafts = _drawn(model, 2, seed, 0)[1]
    passes = calls.per_weight()
    begin = time.monotonic()
    while len(result.samples) < n:
        spent, drawn = time.monotonic() - begin, len(result.samples)
        count = SAMPLE_BATCH
        if in_time:
            rest = int(max(0.0, drawn / spent * (SAMPLE_SECONDS - spent))) if drawn else SAMPLE_BATCH // 4
            count = min(count, rest)  # the time of a first chunk says how many more there are
        count = min(count, n - drawn)
        if count < 1:
            break
        result.samples += _drawn(model, count, seed, drawn)[0]
    seconds = time.monotonic() - begin
    num_drawn = len(result.samples)
    source = f"{num_drawn:,} samples on {model.device.type}, {torch.get_num_threads()} threads, no files written"
    result.add_cost(SECONDS_PER_1000, 1000 * seconds / num_drawn, source)
    if isinstance(model.spec, Tokens) or not passes:
        result.add_cost(PASSES_PER_1000, 1000 * drafts, "drafts: a pass for each symbol")
    else:
        weights = "calls of each module, weighted by its parameters, over all that sampling calls"
        result.add_cost(PASSES_PER_1000, 1000 * passes, weights)
    _add_training_cost(model, result)


def _drawn(model: Model, n: int, seed: int, first: int) -> tuple[list[DecodedItem], int]:
    """n samples, beginning with sample number `first`, and the number of drafts that they went through."""
    request, shares = model.request(n, seed, first_index=first), list[float]()
    x = model.generate(request, seed, report=shares.append)
    return list(model.decode_items(x, request)), len(shares)


class CallCounter:
    """Forward hook that counts the calls of each module."""

    def __init__(self) -> None:
        self.count: dict[nn.Module, int] = {}

    def __call__(self, module: nn.Module, inputs: object, output: object) -> None:
        self.count[module] = self.count.get(module, 0) + 1

    def per_weight(self) -> float:
        """The number of calls, averaged over all weights of the modules that were called; 0 if none was."""
        sizes = {module: sum(p.numel() for p in module.parameters(recurse=False)) for module in self.count}
        total = sum(sizes.values())
        return sum(self.count[module] * size for module, size in sizes.items()) / total if total else 0.0


@contextmanager
def counted(model: Model) -> Iterator[CallCounter]:
    """Within this context, count the calls of modules of the family and of its codec that have parameters of their own."""
    calls = CallCounter()
    modules = [module for network in _networks(model) for module in network.modules()]
    hooks = [module.register_forward_hook(calls) for module in modules if list(module.parameters(recurse=False))]
    try:
        yield calls
    finally:
        for hook in hooks:
            hook.remove()


def _networks(model: Model) -> list[nn.Module]:
    """The family, and the codec that it works on, if any."""
    return [model.family, *([model.codec] if isinstance(model.codec, nn.Module) else [])]


def _add_training_cost(model: Model, result: RunResult) -> None:
    last = events.sampled_step(model.folder.path)
    result.add_cost(TRAINING_SECONDS, _training_seconds(model, last), events.NAME)
    result.add_cost(STEPS, last.get("step"), events.NAME)
    parameters = num_parameters(*_networks(model))
    result.add_cost(PARAMETERS, parameters, "weights in the run")


def _training_seconds(model: Model, last_step: events.Event) -> float | None:
    """Seconds of training of a run, those of its codec included; None if they are not known."""
    seconds, codec = last_step.get("seconds"), model.record.codec
    if codec is None or seconds is None:
        return seconds
    return None if codec.seconds is None else seconds + codec.seconds


def measure(model: Model, result: RunResult, data: Dataset, seed: int) -> None:
    """Add all scores of the run's samples, against the held-out part, to the result."""
    is_grid = isinstance(data.spec, Grid)
    seconds = None if is_grid else TEXT_SECONDS  # the number of images is bounded, and must be the same of every run
    inputs = evaluation_inputs(model, data, result.samples, seconds, seed)
    if isinstance(data.spec, Grid) and inputs.bits is not None:
        max_units = BITS_ITEMS * float(torch.Size(data.spec.shape).numel())
        inputs = replace(inputs, bits=lambda _: model.bits(data.scoring("test", limit=max_units), BITS_SECONDS))
    evaluation = load_evaluation(data.modality.name)(inputs)
    result.add(evaluation.scores())
    result.notes += [note.sentence for note in evaluation.notes if not note.is_out_of_time]
    result.out_of_time = [note.subject for note in evaluation.notes if note.is_out_of_time]
    if not is_grid:
        return
    result.no_interpolation = _no_interpolation(model)
    result.players, result.real_players = _players(evaluation)
    n = max(len(result.samples), MIN_REAL)
    pictures = data.modality.pictures
    images = ImageComparison(pictures(data.items("train", n, seed)), pictures(data.items("test", n, seed)), seed)
    score, result.spectrum = images.fine_detail(pictures(result.samples))
    result.real_spectrum = images.spectrum
    result.add([score])
    if not result.no_interpolation:
        paths = [pictures(path) for path in interpolate_pairs(model, PATHS, FRAMES, seed)]
        result.add(images.interpolations(paths))
        result.paths = [list(path) for path in paths]


def _players(evaluation: Evaluation[DecodedItem]) -> tuple[list[ReportItem], list[ReportItem]]:
    """The first samples and held-out items if they are sound or clips, else empty lists."""
    samples = [evaluation.report_item(sample) for sample in evaluation.inputs.samples[:1]]
    if not samples or samples[0].media is None:
        return [], []
    return (
        [evaluation.report_item(sample) for sample in evaluation.inputs.samples[:PLAYERS]],
        [evaluation.report_item(item) for item in evaluation.inputs.test(PLAYERS)],
    )


def _no_interpolation(model: Model) -> str:
    """Why a run cannot interpolate, "" if it can."""
    if type(model.family).generate is not Family.generate:
        return ""
    return f"it has no continuous latent space; {type(model.family).no_interpolation_reason}"
