"""Bits of examples whose class is not known: under the mixture of all classes, by their shares of the training data.

Legend for shapes: B examples.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import replace

import torch
from torch import Tensor

from anew.core.specs import UNKNOWN_CLASS, Batch
from anew.core.wording import plural
from anew.functional.likelihood import mean_bits
from anew.sampling.generator import Generator

BitsByPart = Mapping[str, Tensor]  # (B,) bits of each example, by the part of the model


def log_shares(generator: Generator) -> dict[int, float]:
    """The log2 of the share of each class of the training data; empty if the bits of an example do not depend on its class."""
    classes = generator.spec.classes
    if not classes or not generator.family.scores_by_class:
        return {}
    shares = generator.label_shares or [1.0] * classes
    return {label: math.log2(share / sum(shares)) for label, share in enumerate(shares) if share > 0}


def labels_of(batch: Batch) -> Tensor:
    """(B,) the class of each example, UNKNOWN_CLASS where it is not known."""
    return torch.full((len(batch),), UNKNOWN_CLASS) if batch.labels is None else batch.labels


def mixture_bits(generator: Generator, batch: Batch, bits_of: Callable[[Batch], BitsByPart]) -> dict[str, Tensor]:
    """(B,) float64 bits of examples by the part of the model, under the mean of their orderings and, where the class is not known, the
    mixture of the classes, which takes a pass for each.

    bits_of: Computes the bits of a batch on the device of the model, given the labels."""
    labels, shares = labels_of(batch), log_shares(generator)
    is_unknown = labels < 0
    if not shares or not bool(is_unknown.any()):
        return _mean_over_orderings(generator, batch, bits_of)
    log_probs: dict[str, Tensor] = {}
    for label, log_share in shares.items():
        # The shares sum to 1, so that an example with a class keeps its bits
        given_class = replace(batch, labels=torch.where(is_unknown, label, labels))
        for name, bits in _mean_over_orderings(generator, given_class, bits_of).items():
            joint = log_share - bits
            log_probs[name] = torch.logaddexp2(log_probs[name], joint) if name in log_probs else joint
    return {name: -log_prob for name, log_prob in log_probs.items()}


def _mean_over_orderings(
    generator: Generator, batch: Batch, bits_of: Callable[[Batch], BitsByPart]
) -> dict[str, Tensor]:
    """(B,) bits under the mean of the orderings, by the part of the model."""
    orderings = [bits_of(ordering.to(generator.device)) for ordering in generator.modality.orderings(batch)]
    return {name: mean_bits([bits[name] for bits in orderings]) for name in orderings[0]}


def class_notes(num_unknown: int, num_items: int, num_classes: int, noun: str) -> list[str]:
    """A sentence on how the items without a known class are scored, if there are any. noun: what one item is."""
    if not num_unknown:
        return []
    has, are = ("has", "is") if num_unknown == 1 else ("have", "are")
    return [
        f"{num_unknown:,} of {plural(num_items, noun)} {has} no label that the model knows and {are} scored by the mean of "
        f"all {num_classes:,} classes, weighted by their shares of the training data (a pass for each class)."
    ]
