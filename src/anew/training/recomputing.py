"""Activation checkpointing (Chen et al. 2016, arXiv 1604.06174): only the input of each block is kept, and its activations are
recomputed in the backward pass."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import partial

import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

from anew.core import random
from anew.families.phases import Phase


def can_recompute(phases: tuple[Phase, ...]) -> bool:
    """Whether a family is one network with blocks. Networks that are differentiated twice cannot be recomputed."""
    return len(phases) == 1 and bool(repeated_blocks(phases[0].module))


def repeated_blocks(module: nn.Module) -> list[nn.Module]:
    """The blocks of a network: the members of its outermost module lists."""
    blocks: list[nn.Module] = []
    for child in module.children():
        if isinstance(child, nn.ModuleList):
            blocks += [block for block in child if not isinstance(block, nn.ModuleList | nn.ModuleDict)]
        else:
            blocks += repeated_blocks(child)
    return blocks


def recompute_blocks(module: nn.Module) -> None:
    """Set each block of a network to keep only its input for the backward pass. Gradients stay the same."""
    for block in repeated_blocks(module):
        block.forward = _recomputed(block.forward)


def _recomputed(forward: Callable[..., object]) -> Callable[..., object]:
    def recomputed(*args: object, **kwargs: object) -> object:
        if not torch.is_grad_enabled():
            return forward(*args, **kwargs)
        block = partial(forward, **kwargs)
        return checkpoint(block, *args, use_reentrant=False, context_fn=_same_randomness)

    return recomputed


def _same_randomness() -> tuple[AbstractContextManager[None], AbstractContextManager[None]]:
    """The contexts of a block in both passes, so that dropout draws the same numbers when it is recomputed."""
    context = random.active_context()
    if context is None:
        return nullcontext(), nullcontext()
    before = context.streams_so_far()
    return nullcontext(), _continued(context, before)


@contextmanager
def _continued(context: random.StepContext, streams: dict[str, int]) -> Iterator[None]:
    later = context.streams_so_far()
    context.continue_streams(streams)
    try:
        yield
    finally:
        context.continue_streams(later)
