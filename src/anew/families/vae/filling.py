"""Completes items from a given part, by a chain that updates latents and the missing part in turn.

Each Gibbs sweep encodes z2 from the current item; takes z1 from the item at given positions, and from its distribution given z2 elsewhere;
decodes, and restores the given values. This is pseudo-Gibbs sampling (Rezende, Mohamed and Wierstra, arXiv 1401.4082, appendix F);
z1 is kept at given positions as in blended latents (arXiv 2206.02779).

Legend for shapes: B items, K top numbers, c channels, h rows and w columns of bottom latents.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Protocol

import torch
from torch import Tensor

from anew.core.random import normal_rows, sample_generator
from anew.families.known import KnownValues
from anew.functional.latents import latent_mask
from anew.nets.autoencoder import VariationalAutoencoder

# Sweeps of the chain, which take equally long: 12 left an error of 1.04, 30 0.96, 60 0.88 (docs/log.md, 2026-11-26).
GIBBS_SWEEPS = 30


class FillsIn(Protocol):
    """The part of the family that is used here."""

    autoencoder: VariationalAutoencoder
    rows: int

    def expected_items(self, bottom: Tensor) -> Tensor: ...
    def sampled_items(self, bottom: Tensor, keys: Sequence[tuple[int, int]]) -> Tensor: ...


def filled(
    family: FillsIn,
    x: Tensor,
    deviations: Tensor,
    known: KnownValues,
    keys: Sequence[tuple[int, int]],
    dtype: torch.dtype,
    samples_pixels: bool,
) -> Iterator[Tensor]:
    """Drafts with the known values.

    Args:
        x: (B, C, H, W) samples to start from.
        deviations: (B, c, h, w) of their z1 from its mean given z2, in standard deviations.
        keys: The noise of row i is a function of keys[i].
        samples_pixels: Whether the last draft has samples of pixels, not their means.

    Yields:
        (B, C, H, W) after each of GIBBS_SWEEPS sweeps.
    """
    autoencoder = family.autoencoder
    mask, values = known.mask.view_as(x), known.values.view_as(x)
    position_mask = latent_mask(mask.float(), autoencoder.sides)  # (B, 1, h, w)
    generators = [sample_generator(row_seed, "fill", index) for row_seed, index in keys]
    x = torch.where(mask, values, x)
    for number in range(GIBBS_SWEEPS):
        noise = normal_rows(generators, autoencoder.top_dim)
        noise = noise.to(x) * (number < GIBBS_SWEEPS - 1)  # (B, K); the last sweep takes the mean
        parts = zip(*(torch.split(rows, family.rows) for rows in (x, position_mask, noise, deviations)), strict=True)
        bottom = torch.cat([gibbs_sweep(autoencoder, y, k, e, d, dtype) for y, k, e, d in parts])
        is_last = number == GIBBS_SWEEPS - 1
        items = family.sampled_items(bottom, keys) if is_last and samples_pixels else family.expected_items(bottom)
        x = torch.where(mask, values, items)
        yield x


def gibbs_sweep(
    autoencoder: VariationalAutoencoder,
    x: Tensor,
    position_mask: Tensor,
    noise: Tensor,
    deviations: Tensor,
    dtype: torch.dtype,
) -> Tensor:
    """The bottom latents after one Gibbs sweep.

    Args:
        x: (B, C, H, W) the current item, with the given values.
        position_mask: (B, 1, h, w), 1 at positions of z1 that are given.
        noise: (B, K) normal numbers for z2.
        deviations: (B, c, h, w) of z1 from its mean given z2, in standard deviations.

    Returns:
        (B, c, h, w) z1 of the next item.
    """
    bottom, top = autoencoder.encode(x, dtype)
    prior = autoencoder.bottom_prior(top.mean + top.log_scale.exp() * noise, dtype)
    sampled = prior.mean + prior.log_scale.exp() * deviations
    return torch.where(position_mask > 0.5, bottom.mean, sampled)
