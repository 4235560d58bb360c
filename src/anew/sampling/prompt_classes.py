"""How likely a prompt is in each class: without a label, the classes of its samples are drawn by this.

Legend for shapes: C classes, m prompts, L ids of a prompt, V vocabulary.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from anew.core.specs import Batch, Condition, PromptEnding, SampleRequest, Tokens
from anew.families.base import Family, SamplesTokens

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

# Tokens of a prompt under all classes together, of which the last are scored: bounds the time for a long prompt; chosen
MAX_SCORED_TOKENS = 262_144
MIN_SCORED_TOKENS = 16  # tokens scored in each class, however many classes there are; chosen
CLASSES_AT_ONCE = 256  # rows that are scored together, which bounds memory; chosen


@torch.inference_mode()
def class_weights(family: Family, condition: Condition, shares: Tensor, sampling: DataclassInstance) -> Tensor:
    """How likely each class is, given a prompt.

    Args:
        condition: Ids that samples start with, (L,) or (m, L).
        shares: (C,) share of each class in the training data, in float64.
        sampling: Settings of the family's sampler.

    Returns:
        (1, C) or (m, C) weights that sum to 1; the shares where the family gives texts no likelihood, or none that depends on a class.
    """
    spec: object = family.spec
    has_ids = isinstance(spec, Tokens) and not condition.x.is_floating_point()
    if not isinstance(spec, Tokens) or not has_ids or not family.scores_by_class or type(family).bits is Family.bits:
        return (shares / shares.sum())[None]
    rows = condition.x.cpu().long().numpy().reshape(-1, condition.x.shape[-1])  # (m, L)
    prompts, owners = np.unique(rows, axis=0, return_inverse=True)
    weights = [_weights_of(family, spec, torch.from_numpy(ids), condition.ending, shares, sampling) for ids in prompts]
    return torch.stack(weights)[torch.from_numpy(owners.reshape(-1))]


def _weights_of(
    family: Family,
    spec: Tokens,
    prompt: Tensor,
    ending: PromptEnding | None,
    shares: Tensor,
    sampling: DataclassInstance,
) -> Tensor:
    """(C,) how likely each class is, given the ids (L,) of one prompt."""
    if ending is not None and not isinstance(family, SamplesTokens):
        ending = None
    ids = _with_begin_token(spec, prompt if ending is None else prompt[: len(prompt) - len(ending.replaced)])
    log_weights = shares.log()
    present = torch.nonzero(shares > 0)[:, 0]
    for first in range(0, len(present), CLASSES_AT_ONCE):
        classes = present[first : first + CLASSES_AT_ONCE]
        if len(ids) > 1:
            log_weights[classes] -= math.log(2.0) * _bits(family, spec, ids, classes, len(present))
        if ending is not None:
            log_weights[classes] += _log_probs_of_ending(family, ids, ending, classes, sampling)
    return log_weights.softmax(0)


def _with_begin_token(spec: Tokens, ids: Tensor) -> Tensor:
    """Ids after the one that samples begin with, where the data has it."""
    begin = spec.special.get("begin", spec.special.get("end"))
    if begin is None or ids[:1].tolist() == [begin]:
        return ids
    return torch.cat((torch.tensor([begin]), ids))


def _bits(family: Family, spec: Tokens, ids: Tensor, classes: Tensor, num_classes: int) -> Tensor:
    """(C,) bits of these ids as a text of each class, without the first id, and only of the last window if there are too many."""
    max_tokens = max(MAX_SCORED_TOKENS // num_classes, MIN_SCORED_TOKENS)
    window = ids[-min(spec.length, max_tokens) - 1 :]
    bits = family.bits(Batch(window.expand(len(classes), -1), classes).to(family.device))
    assert bits is not None, "`class_weights` has checked it"
    return bits.cpu().double()


def _log_probs_of_ending(
    family: Family, ids: Tensor, ending: PromptEnding, classes: Tensor, sampling: DataclassInstance
) -> Tensor:
    """(C,) log-probability that a token follows with which the end of a prompt may begin, see `PromptEnding`."""
    assert isinstance(family, SamplesTokens)
    first = sorted({sequence[0] for sequence in ending.sequences})
    request = SampleRequest(len(classes), classes, Condition(ids), replace(sampling, max_tokens=1))
    draft = next(family.sample_tokens(request, request.sample_keys(0)))
    weights = torch.from_numpy(draft.weights).double()  # (C, V)
    return (weights[:, first].sum(1) / weights.sum(1)).clamp(min=1e-300).log()
