"""diffusers' UNet2DModel on grey or colour images, trained as its unconditional tutorial does, sampled with DDIM.

Runs as a script of its own in an environment that has the package (`images.py` starts it, pinned to one core): AdamW,
linear warm-up, the cosine schedule of the tutorial over the time given, gradient norm 1. The last line it prints is
JSON.
"""

from __future__ import annotations

import json
import math
import time

import torch
from diffusers import DDIMScheduler, DDPMScheduler, UNet2DModel

from _peer import begin, load, options, save


def network(size: int, channels: int) -> UNet2DModel:
    return UNet2DModel(
        sample_size=size,
        in_channels=channels,
        out_channels=channels,
        layers_per_block=1,
        block_out_channels=(16, 32, 64),
        norm_num_groups=8,
        down_block_types=("DownBlock2D", "DownBlock2D", "AttnDownBlock2D"),
        up_block_types=("AttnUpBlock2D", "UpBlock2D", "UpBlock2D"),
    )


def train(model: UNet2DModel, images: torch.Tensor, seconds: float, rate: float) -> int:
    """Trains for that many process CPU seconds; the learning rate follows the share of the time that has passed."""
    scheduler = DDPMScheduler(num_train_timesteps=1000)
    optimiser = torch.optim.AdamW(model.parameters(), lr=rate)
    steps, begun = 0, time.process_time()
    while (passed := (time.process_time() - begun) / seconds) < 1:
        for group in optimiser.param_groups:
            group["lr"] = rate * min(1.0, passed / 0.05) * 0.5 * (1 + math.cos(math.pi * passed))
        clean = images[torch.randint(len(images), (32,))]  # (B, C, H, W)
        noise, context = torch.randn_like(clean), torch.randint(1000, (len(clean),))
        predicted = model(scheduler.add_noise(clean, noise, context), context, return_dict=False)[0]
        loss = torch.nn.functional.mse_loss(predicted, noise)
        optimiser.zero_grad()
        torch.autograd.backward(loss)
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        steps += 1
    return steps


@torch.inference_mode()
def sample(model: UNet2DModel, count: int, shape: torch.Size, passes: int) -> torch.Tensor:
    scheduler = DDIMScheduler(num_train_timesteps=1000)
    scheduler.set_timesteps(passes)
    generated = []
    for first in range(0, count, 100):
        x = torch.randn(min(100, count - first), *shape)
        for context in scheduler.timesteps:
            x = scheduler.step(model(x, context, return_dict=False)[0], context, x, eta=0.0).prev_sample
        generated.append(x)
    return torch.cat(generated)


def main() -> None:
    arguments = begin(options(__doc__, 1e-3, "learning rate; the tutorial's 1e-4 is for long runs"))

    images = load(arguments.images) * 2 - 1  # (N, C, H, W)
    model = network(images.shape[-1], images.shape[1])
    begun, wall = time.process_time(), time.monotonic()
    steps = train(model, images, arguments.seconds, arguments.rate)
    trained, wall = time.process_time() - begun, time.monotonic() - wall
    begun = time.process_time()
    generated = sample(model.eval(), arguments.samples, images.shape[1:], 30)
    sampling = time.process_time() - begun
    save(arguments.out, (generated + 1) / 2)
    print(
        json.dumps(
            {
                "steps": steps,
                "train_seconds": trained,
                "train_wall": wall,
                "sample_seconds_1000": 1000 * sampling / arguments.samples,
                "parameters": sum(p.numel() for p in model.parameters()),
                "passes": 30,
            }
        )
    )


if __name__ == "__main__":
    main()
