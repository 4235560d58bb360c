"""A VAE as graphs: the denoiser of top latents, the decoder of both, and the encoder."""

from __future__ import annotations

import math
from typing import Protocol

import torch
from torch import Tensor, nn

from anew.core.specs import Grid
from anew.families import portable
from anew.families.portable import Graph, PortableSampler
from anew.families.vae.filling import sweep
from anew.families.vae.prior import RHO, SIGMA_MAX, SIGMA_MIN, VectorPrior
from anew.functional.noise import karras_sigmas
from anew.nets.autoencoder import VariationalAutoencoder

DTYPE = torch.float32


class PortableVae(Protocol):
    """The part of the family that is used here."""

    spec: Grid
    autoencoder: VariationalAutoencoder
    prior: VectorPrior
    centre: Tensor
    scale: Tensor
    temperature: Tensor

    @property
    def latent(self) -> Grid: ...


def vae_sampler(family: PortableVae, owner: nn.Module, top_dim: int, prior_steps: int) -> PortableSampler:
    """Top latents by the learned prior, bottom latents around what these say, then the decoder. Pixels are means.

    Args:
        family: The VAE.
        owner: The same, as a module.
        top_dim: Numbers of top latents.
        prior_steps: Noise levels that these pass through.
    """
    size, autoencoder = math.prod(family.latent.shape), family.autoencoder

    def denoise(y: Tensor, sigma: Tensor, label: Tensor) -> Tensor:
        return family.prior.denoise(y, sigma, label, DTYPE)

    def decode(top: Tensor, deviations: Tensor) -> Tensor:
        prior = autoencoder.bottom_prior(top, DTYPE)
        bottom = prior.mean + prior.log_scale.exp() * deviations.view_as(prior.mean)
        return autoencoder.decode(bottom, DTYPE).mean()

    def fill(x: Tensor, places: Tensor, noise: Tensor, deviations: Tensor) -> Tensor:
        return sweep(autoencoder, x, places, noise, deviations.view(-1, *family.latent.shape), DTYPE)

    top = torch.zeros(2, top_dim)
    prior_inputs = {"y": top, "sigma": torch.ones(2), "label": torch.zeros(2, dtype=torch.long)}
    graphs = (
        Graph("prior", owner, denoise, prior_inputs, ("denoised",)),
        Graph("decoder", owner, decode, {"top": top, "deviations": torch.zeros(2, size)}, ("x",)),
        vae_encoder(family, owner),
    )
    item = {"x": torch.zeros(2, *family.spec.shape)}
    filling = item | {
        "places": torch.zeros(2, 1, *family.latent.shape[1:]),
        "noise": top,
        "deviations": torch.zeros(2, size),
    }
    views = (Graph("fill", owner, fill, filling, ("filled",)),)
    sigmas = karras_sigmas(prior_steps, SIGMA_MIN, SIGMA_MAX, RHO)
    start_scale = math.sqrt(1.0 + SIGMA_MAX**2)
    steps = (
        portable.label("label", family.prior.any_class),
        portable.normal("noise", top_dim),
        portable.denoise("prior", "noise", sigmas, "label", out="top", scale=start_scale),
        portable.normal("deviations", size, scale=float(family.temperature)),
        portable.run("decoder", "top", "deviations", out="x"),
    )
    return PortableSampler(graphs, steps, views=views)


def vae_decoder(family: PortableVae, owner: nn.Module) -> Graph:
    """From scaled bottom latents to items."""

    def decode(latents: Tensor) -> Tensor:
        bottom = latents * family.scale[:, None, None] + family.centre[:, None, None]
        return family.autoencoder.decode(bottom, DTYPE).mean()

    return Graph("codec", owner, decode, {"latents": torch.zeros(2, *family.latent.shape)}, ("x",))


def vae_encoder(family: PortableVae, owner: nn.Module) -> Graph:
    """From items to scaled bottom latents."""

    def encode(x: Tensor) -> Tensor:
        bottom, _ = family.autoencoder.encode(x, DTYPE)
        return (bottom.mean - family.centre[:, None, None]) / family.scale[:, None, None]

    return Graph("encoder", owner, encode, {"x": torch.zeros(2, *family.spec.shape)}, ("latents",))
