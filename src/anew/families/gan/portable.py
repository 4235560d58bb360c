"""A GAN as a graph: from normal numbers and the weights of components to items."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from anew.families import portable
from anew.families.gan.coarse_prior import CoarsePrior
from anew.families.portable import Graph, PortableSampler
from anew.nets.resnet import ResNetGenerator


def gan_sampler(
    owner: nn.Module, prior: CoarsePrior, generator: ResNetGenerator, latent_dim: int, is_bounded: bool
) -> PortableSampler:
    """One pass of the generator. owner: the family; is_bounded: whether items are in [-1, 1]."""

    def generate(z: Tensor, weights: Tensor) -> tuple[Tensor, ...]:
        """The coarse item, the mean size of the features after each stage (the smallest stage first), and the item."""
        magnitudes: list[Tensor] = []

        def keep(stage: nn.Module, inputs: object, output: Tensor) -> None:
            magnitudes.append(output.abs().mean(1, keepdim=True))

        handles = [stage.register_forward_hook(keep) for stage in generator.stages]
        coarse = prior(z, weights)
        x: Tensor = generator(z, weights, coarse, prior.mixing, torch.float32)
        for handle in handles:
            handle.remove()
        return (coarse, *magnitudes, x.clamp(-1.0, 1.0) if is_bounded else x)

    inputs = {"z": torch.zeros(2, latent_dim), "weights": torch.zeros(2, prior.num_components)}
    steps = (
        portable.choose("component", prior.weights, prior.component_class, prior.num_components - 1),
        portable.one_hot("weights", "component", prior.num_components),
        portable.normal("z", latent_dim),
        portable.run("generator", "z", "weights", out="x"),
    )
    names = ("coarse", *(f"stage {i}" for i in range(1, len(generator.stages) + 1)), "x")
    graph = Graph("generator", owner, generate, inputs, ("x",), places=(len(names) - 1,))
    view = Graph("stages", owner, generate, inputs, names)
    return PortableSampler((graph,), steps, views=(view,))
