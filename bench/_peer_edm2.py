"""EDM2 (Karras et al. 2024, arXiv 2312.02696) at a size that a CPU core can train: its network, loss, schedule and average of
weights, written from the paper, as no package has them.

Network (configuration G): layers that keep magnitudes, weights that are normalised at each step, blocks without biases or
normalisation layers, attention at the coarsest maps, a gain of the output that begins at zero. Loss: EDM's preconditioning with an
uncertainty that is learned for each noise level (equations 14 and 15). Rate: a warm-up, then the inverse square root (equation
67). Average: a power function of the step (section 3.1). Sampler: Heun's, 32 steps, no noise added. The paper's widths and
batches are for GPUs: here they are arguments. The last line it prints is JSON.
"""

from __future__ import annotations

import copy
import json
import math
import time

import torch
from torch import Tensor, nn
from torch.nn import functional

from _peer import begin, load, options, save

MEAN, DEVIATION = -0.4, 1.0  # log sigma in training
LOWEST, HIGHEST, RHO, STEPS = 0.002, 80.0, 7.0, 32  # the sampler's noise levels
BLOCKS, HEAD = 2, 16  # blocks of a resolution; channels of a head of attention
EXPONENT = 6.94  # exponent of the average: a width of a tenth of the run
WARM_UP = 0.02  # share of the run
HOLD = 0.2  # share of the run after which the rate falls


def normalised(x: Tensor, dims: tuple[int, ...]) -> Tensor:
    """Vectors along `dims` brought to a mean square of one."""
    norm: Tensor = torch.linalg.vector_norm(x, dim=dims, keepdim=True)
    size = x.numel() / norm.numel()
    return x / (norm / math.sqrt(size) + 1e-4)


def silu(x: Tensor) -> Tensor:
    return functional.silu(x) / 0.596


def mix(a: Tensor, b: Tensor, share: float) -> Tensor:
    """A sum that keeps the magnitude."""
    return torch.lerp(a, b, share) / math.sqrt((1 - share) ** 2 + share**2)


def join(a: Tensor, b: Tensor) -> Tensor:
    """A concatenation to which both parts contribute alike."""
    scale = math.sqrt((a.shape[1] + b.shape[1]) / 2)
    return torch.cat([a * (scale / math.sqrt(a.shape[1])), b * (scale / math.sqrt(b.shape[1]))], 1)


class Layer(nn.Module):
    """A linear map or convolution whose weights have norm one for each output."""

    def __init__(self, wide: int, out: int, size: int = 0) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(out, wide, *([size, size] if size else [])))

    def forward(self, x: Tensor, gain: Tensor | float = 1.0) -> Tensor:
        dims = tuple(range(1, self.weight.ndim))
        if self.training:
            with torch.no_grad():
                self.weight.copy_(normalised(self.weight, dims))
        weight = normalised(self.weight, dims) * (gain / math.sqrt(self.weight[0].numel()))
        if weight.ndim == 2:
            return x @ weight.T
        return functional.conv2d(x, weight, padding=weight.shape[-1] // 2)


class Fourier(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.frequency = nn.Buffer(2 * math.pi * torch.randn(width))
        self.phase = nn.Buffer(2 * math.pi * torch.rand(width))

    def forward(self, x: Tensor) -> Tensor:
        return math.sqrt(2) * torch.cos(x[:, None] * self.frequency + self.phase)


class Block(nn.Module):
    def __init__(
        self, wide: int, width: int, embedded: int, up: bool, resample: str = "", attends: bool = False
    ) -> None:
        super().__init__()
        self.up, self.resample, self.attends = up, resample, attends
        self.skip = Layer(wide, width, 1) if wide != width else None
        self.first = Layer(wide if up else width, width, 3)
        self.second = Layer(width, width, 3)
        self.modulation = Layer(embedded, width)
        self.gain = nn.Parameter(torch.zeros(()))
        if attends:
            self.queries = Layer(width, 3 * width, 1)
            self.projection = Layer(width, width, 1)

    def forward(self, x: Tensor, embedding: Tensor) -> Tensor:
        if self.resample == "down":
            x = functional.avg_pool2d(x, 2)
        elif self.resample == "up":
            x = functional.interpolate(x, scale_factor=2)
        if not self.up:
            x = normalised(self.skip(x) if self.skip is not None else x, (1,))
        scale = self.modulation(embedding, self.gain) + 1
        y = self.second(silu(self.first(silu(x)) * scale[:, :, None, None]))
        if self.up and self.skip is not None:
            x = self.skip(x)
        x = mix(x, y, 0.3)
        if self.attends:
            x = mix(x, self._attend(x), 0.3)
        return x.clamp(-256, 256)

    def _attend(self, x: Tensor) -> Tensor:
        batch, width, high, wide = x.shape
        parts = self.queries(x).reshape(batch, width // HEAD, HEAD, 3, high * wide)
        q, k, v = normalised(parts, (2,)).unbind(3)  # (B, heads, HEAD, positions)
        y = functional.scaled_dot_product_attention(q.mT, k.mT, v.mT).mT
        attended: Tensor = self.projection(y.reshape(batch, width, high, wide))
        return attended


class Network(nn.Module):
    def __init__(self, channels: int, width: int, mults: list[int]) -> None:
        super().__init__()
        widths, embedded = [width * mult for mult in mults], width * max(mults)
        self.fourier, self.embed = Fourier(width), Layer(width, embedded)
        self.down, self.up = nn.ModuleList(), nn.ModuleList()
        self.input = Layer(channels + 1, widths[0], 3)
        here, skips = widths[0], [widths[0]]
        for level, out in enumerate(widths):
            last = level == len(widths) - 1
            for index in range(BLOCKS + (level > 0)):  # the first of a lower level halves the map
                resample = "down" if level and not index else ""
                self.down.append(
                    Block(here, here if resample else out, embedded, False, resample, last and not resample)
                )
                here = here if resample else out
                skips.append(here)
        self.middle = nn.ModuleList([Block(here, here, embedded, True, "", True), Block(here, here, embedded, True)])
        for level, out in reversed(list(enumerate(widths))):
            if level < len(widths) - 1:
                self.up.append(Block(here, here, embedded, True, "up"))
            for _ in range(BLOCKS + 1):
                self.up.append(Block(here + skips.pop(), out, embedded, True, "", level == len(widths) - 1))
                here = out
        self.output, self.gain = Layer(here, channels, 3), nn.Parameter(torch.zeros(()))

    def forward(self, x: Tensor, level: Tensor) -> Tensor:
        embedding = silu(self.embed(self.fourier(level)))
        x = self.input(torch.cat([x, torch.ones_like(x[:, :1])], 1))
        skips = [x]
        for block in self.down:
            x = block(x, embedding)
            skips.append(x)
        for block in self.middle:
            x = block(x, embedding)
        for block in self.up:
            x = block(x if block.resample else join(x, skips.pop()), embedding)
        images: Tensor = self.output(x, self.gain)
        return images


class Denoiser(nn.Module):
    def __init__(self, network: Network, deviation: float) -> None:
        super().__init__()
        self.network, self.deviation = network, deviation
        self.uncertainty = nn.Sequential(Fourier(64), Layer(64, 1))

    def forward(self, noisy: Tensor, sigma: Tensor) -> Tensor:
        s, d = sigma[:, None, None, None], self.deviation
        total = (s.square() + d**2).sqrt()
        predicted: Tensor = self.network(noisy / total, sigma.log() / 4)
        return d**2 / total.square() * noisy + s * d / total * predicted

    def loss(self, images: Tensor) -> Tensor:
        sigma = (MEAN + DEVIATION * torch.randn(len(images))).exp()
        noisy = images + sigma[:, None, None, None] * torch.randn_like(images)
        weight = (sigma.square() + self.deviation**2) / (sigma * self.deviation).square()
        denoised: Tensor = self(noisy, sigma)
        error = weight * (denoised - images).square().flatten(1).mean(1)
        u: Tensor = self.uncertainty(sigma.log() / 4)[:, 0]
        return (error / u.exp() + u).mean()


@torch.inference_mode()
def sample(denoiser: Denoiser, shape: tuple[int, ...]) -> Tensor:
    places = torch.arange(STEPS) / (STEPS - 1)
    levels: Tensor = (HIGHEST ** (1 / RHO) + places * (LOWEST ** (1 / RHO) - HIGHEST ** (1 / RHO))) ** RHO
    x = levels[0] * torch.randn(shape)
    for here, below in zip(levels, [*levels[1:], torch.zeros(())], strict=True):
        slope = (x - denoiser(x, here.expand(len(x)))) / here
        euler = x + (below - here) * slope
        if below > 0:
            corrected = (euler - denoiser(euler, below.expand(len(x)))) / below
            euler = x + (below - here) * (slope + corrected) / 2
        x = euler
    return x


def main() -> None:
    build = options(__doc__, 1e-2, "highest learning rate, as the paper's; weights have norm one")
    build.add_argument("--width", type=int, default=16, help="channels at full resolution")
    build.add_argument("--batch", type=int, default=32)
    arguments = begin(build)

    images = load(arguments.images) * 2 - 1  # (N, C, H, W)
    channels, side = images.shape[1], images.shape[-1]
    denoiser = Denoiser(Network(channels, arguments.width, [1, 2, 2] if side % 4 == 0 else [1, 2]), float(images.std()))
    average = copy.deepcopy(denoiser)
    optimiser = torch.optim.Adam(denoiser.parameters(), lr=arguments.rate, betas=(0.9, 0.99))

    steps, begun = 0, time.process_time()
    while (used := time.process_time() - begun) < arguments.seconds:
        progress = used / arguments.seconds
        optimiser.param_groups[0]["lr"] = (
            arguments.rate * min(1.0, progress / WARM_UP) / math.sqrt(max(progress / HOLD, 1.0))
        )
        loss = denoiser.loss(images[torch.randint(len(images), (arguments.batch,))])
        optimiser.zero_grad()
        torch.autograd.backward(loss)
        optimiser.step()
        steps += 1
        with torch.no_grad():
            new = 1.0 - (1.0 - 1.0 / steps) ** (EXPONENT + 1)
            torch._foreach_lerp_(list(average.parameters()), list(denoiser.parameters()), new)
    trained = time.process_time() - begun

    average.eval()
    begun = time.process_time()
    sizes = [min(100, arguments.samples - first) for first in range(0, arguments.samples, 100)]
    made = torch.cat([sample(average, (size, *images.shape[1:])) for size in sizes])
    save(arguments.out, made / 2 + 0.5)
    seconds = 1000 * (time.process_time() - begun) / arguments.samples
    facts = {"steps": steps, "train_seconds": trained, "sample_seconds_1000": seconds, "passes": 2 * STEPS - 1}
    print(json.dumps({**facts, "parameters": sum(p.numel() for p in denoiser.network.parameters())}))


if __name__ == "__main__":
    main()
