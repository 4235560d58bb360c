"""R3GAN (Huang et al. 2024, arXiv 2501.05441) at a size that a CPU core can train: its networks, loss and optimiser, written from
the paper, as no package has them.

Networks (section 3.3 and table 2, configuration E): blocks of 1 x 1, grouped 3 x 3 and 1 x 1 convolutions with leaky ReLUs
and no normalisation, initialised as in Fixup; bilinear resampling outside of them; a learned basis of the coarsest map. Loss
(section 2): relativistic pairing with gradient penalties on real and generated images. The paper's widths and batches (some
hundred) are for GPUs: here they are arguments. The last line it prints is JSON.
"""

from __future__ import annotations

import argparse
import copy
import itertools
import json
import math
import time

import torch
from torch import Tensor, nn
from torch.nn import functional

from _peer import begin, load, options, save, seconds_of

LATENTS, BLOCKS, EXPANSION, GROUP = 64, 2, 2, 8  # numbers; blocks of a stage; their inner width; channels of a group
COARSEST = 7  # pixels a side of the learned basis, at most
SLOPE = 0.2  # slope of the leaky ReLU
HALF_LIFE = 0.05  # half-life of the average of weights, as a share of the images seen so far


def scaled(layer: nn.Conv2d | nn.Linear, gain: float) -> nn.Conv2d | nn.Linear:
    fan_in = layer.weight[0].numel()
    nn.init.normal_(layer.weight, 0.0, gain / math.sqrt(fan_in))
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
    return layer


class Block(nn.Module):
    """x + c(act(b(act(a(x))))); the last of the three begins at zero, the others are scaled by the number of blocks L to the power
    of -1/4 (Fixup, arXiv 1901.09321, with three layers in a block)."""

    def __init__(self, width: int, blocks: int) -> None:
        super().__init__()
        inner = EXPANSION * width
        gain = math.sqrt(2.0 / (1.0 + SLOPE**2)) * blocks ** (-1 / 4)
        self.a = scaled(nn.Conv2d(width, inner, 1), gain)
        self.b = scaled(nn.Conv2d(inner, inner, 3, padding=1, groups=inner // GROUP), gain)
        self.c = scaled(nn.Conv2d(inner, width, 1, bias=False), 0.0)

    def forward(self, x: Tensor) -> Tensor:
        y = functional.leaky_relu(self.a(x), SLOPE)
        y = functional.leaky_relu(self.b(y), SLOPE)
        difference: Tensor = self.c(y)
        return x + difference


class Generator(nn.Module):
    def __init__(self, widths: list[int], side: int, channels: int) -> None:
        super().__init__()
        count = BLOCKS * len(widths)
        self.basis = nn.Parameter(torch.randn(widths[0], side, side))
        self.mapping = scaled(nn.Linear(LATENTS, widths[0], bias=False), 1.0)
        self.stages = nn.ModuleList(nn.Sequential(*(Block(width, count) for _ in range(BLOCKS))) for width in widths)
        pairs = itertools.pairwise(widths)
        self.transitions = nn.ModuleList(scaled(nn.Conv2d(a, b, 1, bias=False), 1.0) for a, b in pairs)
        self.to_image = scaled(nn.Conv2d(widths[-1], channels, 1), 1.0)

    def forward(self, z: Tensor) -> Tensor:
        x = self.stages[0](self.basis * self.mapping(z)[:, :, None, None])
        for transition, stage in zip(self.transitions, self.stages[1:], strict=True):
            x = stage(functional.interpolate(transition(x), scale_factor=2, mode="bilinear", align_corners=False))
        images: Tensor = self.to_image(x)
        return images


class Discriminator(nn.Module):
    def __init__(self, widths: list[int], side: int, channels: int) -> None:
        super().__init__()
        count = BLOCKS * len(widths)
        self.from_image = scaled(nn.Conv2d(channels, widths[0], 1), 1.0)
        self.stages = nn.ModuleList(nn.Sequential(*(Block(width, count) for _ in range(BLOCKS))) for width in widths)
        pairs = itertools.pairwise(widths)
        self.transitions = nn.ModuleList(scaled(nn.Conv2d(a, b, 1, bias=False), 1.0) for a, b in pairs)
        self.basis = scaled(nn.Conv2d(widths[-1], widths[-1], side, groups=widths[-1], bias=False), 1.0)
        self.judgement = scaled(nn.Linear(widths[-1], 1, bias=False), 1.0)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stages[0](self.from_image(x))
        for transition, stage in zip(self.transitions, self.stages[1:], strict=True):
            x = stage(transition(functional.avg_pool2d(x, 2)))
        logits: Tensor = self.judgement(self.basis(x).flatten(1))
        return logits[:, 0]


def penalised(critic: Discriminator, x: Tensor) -> tuple[Tensor, Tensor]:
    """(B,) logits of images and the squared norms of their gradients."""
    x = x.detach().requires_grad_(True)
    logits = critic(x)
    (gradient,) = torch.autograd.grad(logits.sum(), x, create_graph=True)
    return logits, gradient.square().flatten(1).sum(1)


def anneal(progress: float, begin: float, end: float) -> float:
    """A cosine from one value to another over the first fifth of the run, as the paper's burn-in."""
    return end + (begin - end) * 0.5 * (1.0 + math.cos(math.pi * min(progress / 0.2, 1.0)))


def trained_generator(
    images: Tensor, generator: Generator, critic: Discriminator, arguments: argparse.Namespace
) -> tuple[Generator, int]:
    """The averaged generator after `seconds` of training on images (N, C, H, W), and the number of steps."""
    average = copy.deepcopy(generator)
    optimisers = [
        torch.optim.Adam(net.parameters(), lr=arguments.rate, betas=(0.0, 0.99)) for net in (critic, generator)
    ]
    steps, begun, batch = 0, time.process_time(), arguments.batch
    while (used := time.process_time() - begun) < arguments.seconds:
        progress = used / arguments.seconds
        gamma = anneal(progress, 10 * arguments.penalty, arguments.penalty)
        for optimiser in optimisers:
            optimiser.param_groups[0]["lr"] = anneal(progress, arguments.rate, arguments.rate / 4)
        real = images[torch.randint(len(images), (batch,))]
        with torch.no_grad():
            made = generator(torch.randn(batch, LATENTS))
        (of_real, steep_real), (of_made, steep_made) = penalised(critic, real), penalised(critic, made)
        penalty = 0.5 * gamma * (steep_real + steep_made)
        loss = (functional.softplus(of_made - of_real) + penalty).mean()
        optimisers[0].zero_grad()
        torch.autograd.backward(loss)
        optimisers[0].step()

        real = images[torch.randint(len(images), (batch,))]
        of_made = critic(generator(torch.randn(batch, LATENTS)))
        with torch.no_grad():
            of_real = critic(real)
        optimisers[1].zero_grad()
        torch.autograd.backward(functional.softplus(of_real - of_made).mean())
        optimisers[1].step()
        steps += 1
        keep = 0.5 ** (1.0 / max(HALF_LIFE * steps, 1.0))
        with torch.no_grad():
            torch._foreach_lerp_(list(average.parameters()), list(generator.parameters()), 1.0 - keep)
    return average, steps


def main() -> None:
    build = options(__doc__, 2e-4, "learning rate at first; a quarter of it after the burn-in")
    build.add_argument("--width", type=int, default=16, help="channels at full resolution; twice as many a stage below")
    build.add_argument("--batch", type=int, default=32)
    build.add_argument("--penalty", type=float, default=0.5, help="gamma after the burn-in; ten times as much at first")
    arguments = begin(build)

    images = load(arguments.images) * 2 - 1  # (N, C, H, W)
    channels, full = images.shape[1], images.shape[-1]
    halvings = max(0, math.ceil(math.log2(full / COARSEST)))
    side = math.ceil(full / 2**halvings)
    padded = functional.pad(images, (0, side * 2**halvings - full) * 2, value=-1.0)
    widths = [arguments.width * min(2**k, 4) for k in range(halvings + 1)]
    generator = Generator(widths[::-1], side, channels)
    critic = Discriminator(widths, side, channels)
    begun = time.process_time()
    average, steps = trained_generator(padded, generator, critic, arguments)
    trained = time.process_time() - begun

    @torch.inference_mode()
    def sample(count: int) -> Tensor:
        sizes = [min(100, count - first) for first in range(0, count, 100)]
        made = torch.cat([average(torch.randn(size, LATENTS)) for size in sizes])
        return made[:, :, :full, :full] / 2 + 0.5

    save(arguments.out, sample(arguments.samples))
    parameters = sum(p.numel() for p in generator.parameters())
    facts = {
        "steps": steps,
        "train_seconds": trained,
        "sample_seconds_1000": seconds_of(sample),
        "parameters": parameters,
    }
    print(json.dumps(facts))


if __name__ == "__main__":
    main()
