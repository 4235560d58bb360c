"""A VAE as graphs: the prior of top latents, the decoder of both, and the encoder."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from anew.families import portable
from anew.families.portable import Graph, PortableSampler
from anew.families.vae.filling import sweep

if TYPE_CHECKING:
    from anew.families.vae.family import Vae

DTYPE = torch.float32


def vae_sampler(family: Vae) -> PortableSampler:
    """Top latents by the fitted prior, bottom latents around what these say, then the decoder. Pixels are means."""
    size, top_dim, autoencoder, prior = (
        math.prod(family.latent.shape),
        family.config.top_dim,
        family.autoencoder,
        family.prior,
    )
    num_components = prior.num_clusters + 1

    def draw(weights: Tensor, noise: Tensor) -> Tensor:
        top: Tensor = prior(weights, noise)
        return top

    def decode(top: Tensor, deviations: Tensor) -> Tensor:
        given_top = autoencoder.bottom_prior(top, DTYPE)
        bottom = given_top.mean + given_top.log_scale.exp() * deviations.view_as(given_top.mean)
        return autoencoder.decode(bottom, DTYPE).mean()

    def fill(x: Tensor, places: Tensor, noise: Tensor, deviations: Tensor) -> Tensor:
        bottom = sweep(autoencoder, x, places, noise, deviations.view(-1, *family.latent.shape), DTYPE)
        return autoencoder.decode(bottom, DTYPE).mean()

    top = torch.zeros(2, top_dim)
    prior_inputs = {"weights": torch.zeros(2, num_components), "noise": top}
    graphs = (
        Graph("prior", family, draw, prior_inputs, ("top",)),
        Graph("decoder", family, decode, {"top": top, "deviations": torch.zeros(2, size)}, ("x",)),
        vae_encoder(family),
    )
    item = {"x": torch.zeros(2, *family.spec.shape)}
    filling = item | {
        "places": torch.zeros(2, 1, *family.latent.shape[1:]),
        "noise": top,
        "deviations": torch.zeros(2, size),
    }
    views = (Graph("fill", family, fill, filling, ("filled",)),)
    steps = (
        portable.choose("component", prior.weights, prior.component_class, prior.num_clusters),
        portable.one_hot("weights", "component", num_components),
        portable.normal("noise", top_dim),
        portable.run("prior", "weights", "noise", out="top"),
        portable.normal("deviations", size, scale=float(family.temperature)),
        portable.run("decoder", "top", "deviations", out="x"),
    )
    return PortableSampler(graphs, steps, views=views)


def vae_decoder(family: Vae) -> Graph:
    """From scaled bottom latents to items."""

    def decode(latents: Tensor) -> Tensor:
        bottom = latents * family.scale[:, None, None] + family.centre[:, None, None]
        return family.autoencoder.decode(bottom, DTYPE).mean()

    return Graph("codec", family, decode, {"latents": torch.zeros(2, *family.latent.shape)}, ("x",))


def vae_encoder(family: Vae) -> Graph:
    """From items to scaled bottom latents."""

    def encode(x: Tensor) -> Tensor:
        bottom, _ = family.autoencoder.encode(x, DTYPE)
        return (bottom.mean - family.centre[:, None, None]) / family.scale[:, None, None]

    return Graph("encoder", family, encode, {"x": torch.zeros(2, *family.spec.shape)}, ("latents",))
