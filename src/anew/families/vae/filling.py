"""Part of an item is given and the rest is made anew: a chain in which latents and the rest take turns.

Each sweep reads z2 from the item as it stands; takes z1 of the places that are given from the item, and of the others from what z2
says of them; decodes, and puts back what is given. This is pseudo-Gibbs sampling (Rezende, Mohamed and Wierstra, arXiv 1401.4082,
appendix F), with the given places of z1 held as blended latents hold them (arXiv 2206.02779).

Legend for shapes: B items, K top numbers, c channels, h rows and w columns of bottom latents.
"""

from __future__ import annotations

import torch
from torch import Tensor

from anew.nets.autoencoder import VariationalAutoencoder

SWEEPS = 30


def sweep(
    autoencoder: VariationalAutoencoder,
    x: Tensor,
    places: Tensor,
    noise: Tensor,
    deviations: Tensor,
    dtype: torch.dtype,
) -> Tensor:
    """One turn of the chain.

    Args:
        autoencoder: All networks.
        x: (B, C, H, W) the item as it stands, with what is given.
        places: (B, 1, h, w), 1 at places of z1 that are given.
        noise: (B, K) normal, of z2.
        deviations: (B, c, h, w) of z1 from what z2 says, in standard deviations.
        dtype: What is computed in.

    Returns:
        (B, C, H, W) the whole item, in which what is given is to be put back.
    """
    bottom, top = autoencoder.encode(x, dtype)
    prior = autoencoder.bottom_prior(top.mean + top.log_scale.exp() * noise, dtype)
    made = prior.mean + prior.log_scale.exp() * deviations
    return autoencoder.decode(torch.where(places > 0.5, bottom.mean, made), dtype).mean()
