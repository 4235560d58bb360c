"""A VAE as graphs: the prior of top latents, the decoder of both, and the encoder."""

from __future__ import annotations

import math
from typing import Protocol

import torch
from torch import Tensor, nn

from anew.core.specs import Grid
from anew.families import portable
from anew.families.portable import Graph, PortableSampler
from anew.families.vae.filling import gibbs_sweep
from anew.families.vae.prior import MixturePrior
from anew.nets.autoencoder import VariationalAutoencoder

DTYPE = torch.float32


class PortableVae(Protocol):
    """The part of the family that is used here."""

    spec: Grid
    autoencoder: VariationalAutoencoder
    prior: MixturePrior
    centre: Tensor
    scale: Tensor
    temperature: Tensor

    @property
    def latent(self) -> Grid: ...


def vae_sampler(family: PortableVae, owner: nn.Module, top_dim: int) -> PortableSampler:
    """Top latents by the fitted prior, bottom latents around what these say, then the decoder. Pixels are means."""
    size, autoencoder, prior = math.prod(family.latent.shape), family.autoencoder, family.prior
    num_components = prior.num_clusters + 1

    def draw(weights: Tensor, noise: Tensor) -> Tensor:
        top: Tensor = prior(weights, noise)
        return top

    def decode(top: Tensor, deviations: Tensor) -> Tensor:
        given_top = autoencoder.bottom_prior(top, DTYPE)
        bottom = given_top.mean + given_top.log_scale.exp() * deviations.view_as(given_top.mean)
        return autoencoder.decode(bottom, DTYPE).mean()

    def fill(x: Tensor, places: Tensor, noise: Tensor, deviations: Tensor) -> Tensor:
        bottom = gibbs_sweep(autoencoder, x, places, noise, deviations.view(-1, *family.latent.shape), DTYPE)
        return autoencoder.decode(bottom, DTYPE).mean()

    top = torch.zeros(2, top_dim)
    prior_inputs = {"weights": torch.zeros(2, num_components), "noise": top}
    graphs = (
        Graph("prior", owner, draw, prior_inputs, ("top",)),
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
    steps = (
        portable.choose("component", prior.weights, prior.component_class, prior.num_clusters),
        portable.one_hot("weights", "component", num_components),
        portable.normal("noise", top_dim),
        portable.run("prior", "weights", "noise", out="top"),
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
