"""What families can show of how they work, besides samples: taps on the ordinary path, not copies of it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from torch import Tensor

from anew.core.specs import SampleRequest


@dataclass(frozen=True, slots=True)
class NoiseLevel:
    """One step from noise to samples.

    Attributes:
        sigma: Noise level, in the units of the data.
        noisy: (n, *shape) the samples at this level.
        estimate: (n, *shape) the clean items that the model takes them for; the last of them are the samples.
    """

    sigma: float
    noisy: Tensor
    estimate: Tensor


@runtime_checkable
class Denoises(Protocol):
    """A family that removes noise step by step."""

    def noise_levels(self, request: SampleRequest, seed: int) -> Iterator[NoiseLevel]:
        """The steps of `Family.sample` for the same arguments, with what each of them was given."""
        ...


@runtime_checkable
class Discriminates(Protocol):
    """A family with a critic that tells real items from made ones."""

    def discriminator_logits(self, x: Tensor, labels: Tensor | None = None) -> Tensor:
        """How real items look to the critic.

        Args:
            x: (n, *shape) items.
            labels: (n,) their classes, where the data has any.

        Returns:
            (n,) logits. Only differences mean something: an item of the higher logit is believed to be real.
        """
        ...

    def input_gradient(self, x: Tensor, labels: Tensor | None = None) -> Tensor:
        """In which direction items would look more real.

        Args:
            x: (n, *shape) items.
            labels: (n,) their classes.

        Returns:
            (n, *shape) gradient of `discriminator_logits` at each value.
        """
        ...
