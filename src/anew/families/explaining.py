"""Views into how families work, besides samples: taps on the ordinary path, not copies of it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from torch import Tensor

from anew.core.specs import Batch, SampleRequest


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

    def denoise_items(self, noisy: Tensor, sigma: float, labels: Tensor | None = None) -> Tensor:
        """Clean estimates of noisy items.

        Args:
            noisy: (n, *shape) items with noise.
            sigma: Its level, in the units of the data.
            labels: (n,) their classes, where the data has any.

        Returns:
            (n, *shape) clean items.
        """
        ...

    def denoising_errors(self, x: Tensor, labels: Tensor | None, count: int) -> tuple[Tensor, Tensor]:
        """Distance of clean estimates from the items, by noise level.

        Args:
            x: (n, *shape) items.
            labels: (n,) their classes, where the data has any.
            count: Noise levels, from the highest to the lowest that sampling passes.

        Returns:
            (count,) levels and (count,) mean squared errors; the noise is the same each time.
        """
        ...


@runtime_checkable
class Discriminates(Protocol):
    """A family with a discriminator, which tells real items from generated ones."""

    def discriminator_logits(self, x: Tensor, labels: Tensor | None = None) -> Tensor:
        """The discriminator's logits of real items.

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


@runtime_checkable
class Attends(Protocol):
    """A family that reads tokens with attention, perhaps mixed with models that count."""

    def attention_weights(self, batch: Batch) -> Tensor:
        """Attention weights of each head.

        Returns:
            (layers, heads, B, L, L): the share that each input position took from each one up to it. A label, where there
            are classes, is the first position.
        """
        ...

    def network_log_probs(self, batch: Batch) -> Tensor:
        """(B, L) nats that the network alone gave each target."""
        ...

    def log_probs_by_side(self, batch: Batch) -> dict[str, Tensor]:
        """Log-probabilities of each target of one text by each side of the model alone.

        Returns:
            (B, L) nats by name: "network"; "counts" and perhaps "records", where such are mixed with it; and "together", whose
            sum is what `Family.bits` says.
        """
        ...
