"""denoising-diffusion-pytorch on grey or colour images: its U-Net, its diffusion, its average of weights, its trainer's settings.

Runs as a script of its own in an environment that has the package (`images.py` starts it, pinned to one core). The
loop is a plain one, because the package's trainer takes a number of steps and not a time; everything in the loop
(Adam, betas .9 and .99, gradient norm 1, average of weights .995 every 10 steps) is as in that trainer, but for the
learning rate: its 1e-4 is for long runs, and 1e-3 does far better in minutes. A second average, taken every step, does
better still in a short run: it is sampled too, so that the peer is shown at its best. The last line it prints is JSON.
"""

from __future__ import annotations

import json
import time

import torch
from denoising_diffusion_pytorch import GaussianDiffusion, Unet
from ema_pytorch import EMA
from torch import Tensor

from _peer import begin, load, options, save


@torch.inference_mode()
def sample(diffusion: GaussianDiffusion, count: int) -> Tensor:
    sizes = [min(100, count - first) for first in range(0, count, 100)]
    return torch.cat([diffusion.sample(batch_size=size) for size in sizes])  # (n, C, H, W) in [0, 1]


def main() -> None:
    arguments = begin(options(__doc__, 1e-3, "learning rate; the trainer's own default is 1e-4"))

    images = load(arguments.images)  # (N, C, H, W)
    channels = images.shape[1]
    # two heads of 16 instead of four of 32: attention as narrow as the network, a third less time a step
    network = Unet(dim=16, dim_mults=(1, 2, 4), channels=channels, attn_heads=2, attn_dim_head=16)
    diffusion = GaussianDiffusion(network, image_size=images.shape[-1], timesteps=1000, sampling_timesteps=20)
    optimiser = torch.optim.Adam(diffusion.parameters(), lr=arguments.rate, betas=(0.9, 0.99))
    averages = {
        "": EMA(diffusion, beta=0.995, update_every=10),
        "_every_step": EMA(diffusion, beta=0.995, update_every=1),
    }

    steps, begun = 0, time.process_time()
    while time.process_time() - begun < arguments.seconds:
        loss = diffusion(images[torch.randint(len(images), (32,))])
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(diffusion.parameters(), 1.0)
        optimiser.step()
        for average in averages.values():
            average.update()
        steps += 1
    trained = time.process_time() - begun

    begun = time.process_time()
    for name, average in averages.items():
        generated = sample(average.ema_model.eval(), arguments.samples)
        save(arguments.out.with_name(f"{arguments.out.stem}{name}.npy"), generated)
    sampling = (time.process_time() - begun) / len(averages)
    print(
        json.dumps(
            {
                "steps": steps,
                "train_seconds": trained,
                "sample_seconds_1000": 1000 * sampling / arguments.samples,
                "parameters": sum(p.numel() for p in network.parameters()),
                "passes": 20,
            }
        )
    )


if __name__ == "__main__":
    main()
