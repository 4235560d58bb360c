"""torchgan's DCGAN as its introductory tutorial builds and trains it: least squares losses, batches of 64.

Runs as a script of its own in an environment that has the package (`images.py` starts it, pinned to one core). Models,
losses and the training step of both are the package's; 32 channels a step, 100 latent dimensions, Adam at 1e-4 for the
generator and 3e-4 for the discriminator, betas .5 and .999, as in the tutorial. The loop is a plain one in the order of
its trainer, which takes a number of epochs and not a time. Its networks want a power of two: the tutorial rescales
digits to 32 x 32; here they are padded with their background and cut again, which loses nothing. The last line it
prints is JSON.
"""

from __future__ import annotations

import json
import time

import torch
from torch import Tensor, nn
from torch.nn import functional
from torchgan import losses as package_losses
from torchgan.models import DCGANDiscriminator, DCGANGenerator

from _peer import begin, load, options, save, seconds_of

BATCH = 64
LOSSES = {"lsgan": "LeastSquares", "minimax": "Minimax"}


def padded(images: Tensor) -> Tensor:
    """To the next power of two on both sides, values in [-1, 1]."""
    height, width = images.shape[-2:]
    side = max(16, 1 << (max(height, width) - 1).bit_length())
    top, left = (side - height) // 2, (side - width) // 2
    border = [left, side - width - left, top, side - height - top]
    return functional.pad(images * 2 - 1, border, value=-1.0)


def cut(images: Tensor, height: int, width: int) -> Tensor:
    top, left = (images.shape[-2] - height) // 2, (images.shape[-1] - width) // 2
    return (images[..., top : top + height, left : left + width] + 1) / 2


def train(
    generator: nn.Module,
    discriminator: nn.Module,
    images: Tensor,
    seconds: float,
    rates: tuple[float, float],
    loss: str,
) -> int:
    betas = (0.5, 0.999)
    first = torch.optim.Adam(generator.parameters(), lr=rates[0], betas=betas)
    second = torch.optim.Adam(discriminator.parameters(), lr=rates[1], betas=betas)
    generating = getattr(package_losses, f"{LOSSES[loss]}GeneratorLoss")()
    judging = getattr(package_losses, f"{LOSSES[loss]}DiscriminatorLoss")()
    device = torch.device("cpu")
    steps, begun = 0, time.process_time()
    while time.process_time() - begun < seconds:
        for rows in torch.split(torch.randperm(len(images)), BATCH):
            real = images[rows]
            generating.train_ops(generator, discriminator, first, device, len(real))
            judging.train_ops(generator, discriminator, second, real, device)
            steps += 1
            if time.process_time() - begun >= seconds:
                break
    return steps


def main() -> None:
    words = options(__doc__, 1e-4, "the generator's learning rate")
    words.add_argument("--times", type=float, default=3.0, help="how many times it the discriminator's is")
    words.add_argument("--loss", choices=list(LOSSES), default="lsgan")
    arguments = begin(words)

    plain = load(arguments.images)
    height, width = plain.shape[-2:]
    images = padded(plain)
    channels, side = images.shape[1], images.shape[-1]
    leaky, sizes = nn.LeakyReLU(0.2), {"step_channels": 32, "nonlinearity": nn.LeakyReLU(0.2)}
    generator = DCGANGenerator(100, side, channels, last_nonlinearity=nn.Tanh(), **sizes)
    discriminator = DCGANDiscriminator(side, channels, last_nonlinearity=leaky, **sizes)
    begun = time.process_time()
    steps = train(
        generator,
        discriminator,
        images,
        arguments.seconds,
        (arguments.rate, arguments.rate * arguments.times),
        arguments.loss,
    )
    trained = time.process_time() - begun
    generator.eval()

    @torch.inference_mode()
    def sample(count: int) -> Tensor:
        sizes = [min(500, count - first) for first in range(0, count, 500)]
        return torch.cat([generator(torch.randn(size, 100)) for size in sizes])

    save(arguments.out, cut(sample(arguments.samples), height, width))
    print(
        json.dumps(
            {
                "steps": steps,
                "train_seconds": trained,
                "sample_seconds_1000": seconds_of(sample),
                "parameters": sum(p.numel() for net in (generator, discriminator) for p in net.parameters()),
                "loss": arguments.loss,
                "passes": 1,
            }
        )
    )


if __name__ == "__main__":
    main()
