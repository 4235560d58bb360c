"""Views into how families work, besides samples. They observe the ordinary computation instead of copying it."""

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
        estimate: (n, *shape) the model's estimates of the clean items; the last ones are the samples.
    """

    sigma: float
    noisy: Tensor
    estimate: Tensor


@runtime_checkable
class Denoises(Protocol):
    """A family that removes noise step by step."""

    def noise_levels(self, request: SampleRequest, seed: int) -> Iterator[NoiseLevel]:
        """The steps of `Family.sample` for the same arguments, with the input of each."""
        ...

    def denoise_items(self, noisy: Tensor, sigma: float, labels: Tensor | None = None) -> Tensor:
        """(n, *shape) clean estimates of items (n, *shape) with noise of level `sigma`, in the units of the data. labels: (n,) if the data
        has any."""
        ...

    def denoising_errors(self, x: Tensor, labels: Tensor | None, count: int) -> tuple[Tensor, Tensor]:
        """Distance of clean estimates from the items x (n, *shape), by noise level.

        Args:
            labels: (n,) their classes, if the data has any.
            count: Noise levels, from the highest to the lowest that sampling passes.

        Returns:
            (count,) levels and (count,) mean squared errors; the noise is the same each time.
        """
        ...


@runtime_checkable
class Discriminates(Protocol):
    """A family with a discriminator, which distinguishes real items from generated ones."""

    def discriminator_logits(self, x: Tensor, labels: Tensor | None = None) -> Tensor:
        """(n,) the discriminator's logits of real items x (n, *shape). labels: (n,) their classes, if the data has any.

        Only differences are meaningful: a higher logit means that an item looks more real."""
        ...

    def input_gradient(self, x: Tensor, labels: Tensor | None = None) -> Tensor:
        """(n, *shape) the direction in which items would look more real: the gradient of `discriminator_logits` at each value."""
        ...


@runtime_checkable
class Attends(Protocol):
    """A family that reads tokens with attention, perhaps mixed with models that count."""

    def attention_weights(self, batch: Batch) -> Tensor:
        """Attention weights of each head.

        Returns:
            (layers, heads, B, L, L) the weight that each input position gives to each one up to it. With classes, the label is the
            first position.
        """
        ...

    def network_log_probs(self, batch: Batch) -> Tensor:
        """(B, L) log-probability of each target in nats under the network alone."""
        ...

    def log_probs_by_side(self, batch: Batch) -> dict[str, Tensor]:
        """Log-probabilities of each target of one text by each side of the model alone.

        Returns:
            (B, L) nats by name: "network"; "counts" and perhaps "records", if these are mixed with it; and "together", which
            `Family.bits` sums.
        """
        ...
