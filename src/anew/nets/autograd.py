"""Saved state of functions with a backward pass of their own."""

from __future__ import annotations

from typing import Protocol

from torch import Tensor


class SavedTensors(Protocol):
    """The context that PyTorch hands to both passes of a `torch.autograd.Function`."""

    saved_tensors: tuple[Tensor, ...]

    def save_for_backward(self, *tensors: Tensor) -> None:
        """Keep what the backward pass reads."""
