"""pythae's variational autoencoder, with two of its samplers: the normal prior and a mixture of ten Gaussians.

Runs as a script of its own in an environment that has the package (`images.py` starts it, pinned to one core). Model,
losses and networks are the package's: squared error (its default) or cross-entropy, the multilayer perceptrons that it
takes by default, or the convolutional networks that it proposes for the data set (`--network conv`). Adam at 1e-3 and
batches of 100. The loop is a plain one with the step of its trainer, which takes a number of epochs and not a time. The
last line it prints is JSON; each sampler's images go to a file of their own (`OUT_normal.npy`, `OUT_mixture.npy`).
"""

from __future__ import annotations

import json
import time
from typing import Any

import torch
from pythae.models import VAE, VAEConfig
from pythae.models.nn.benchmarks.cifar import Decoder_Conv_AE_CIFAR, Encoder_Conv_VAE_CIFAR
from pythae.models.nn.benchmarks.mnist import Decoder_Conv_AE_MNIST, Encoder_Conv_VAE_MNIST
from pythae.samplers import GaussianMixtureSampler, GaussianMixtureSamplerConfig, NormalSampler
from torch import Tensor

from _peer import begin, load, options, save, seconds_of

BATCH = 100
COMPONENTS = 10


def build(images: Tensor, latent: int, network: str, loss: str) -> VAE:
    shape = tuple(images.shape[1:])
    config = VAEConfig(input_dim=shape, latent_dim=latent, reconstruction_loss=loss)
    if network == "mlp":
        return VAE(config)
    made_for = {
        (1, 28, 28): (Encoder_Conv_VAE_MNIST, Decoder_Conv_AE_MNIST),
        (3, 32, 32): (Encoder_Conv_VAE_CIFAR, Decoder_Conv_AE_CIFAR),
    }
    if shape not in made_for:
        raise SystemExit(f"pythae proposes convolutional networks for {list(made_for)}, not for {shape}")
    encoder, decoder = made_for[shape]
    return VAE(config, encoder=encoder(config), decoder=decoder(config))


def train(model: VAE, images: Tensor, seconds: float, rate: float) -> int:
    optimiser = torch.optim.Adam(model.parameters(), lr=rate)
    steps, begun = 0, time.process_time()
    model.train()
    while time.process_time() - begun < seconds:
        for rows in torch.split(torch.randperm(len(images)), BATCH):
            loss = model({"data": images[rows]}).loss
            optimiser.zero_grad()
            torch.autograd.backward(loss)
            optimiser.step()
            steps += 1
            if time.process_time() - begun >= seconds:
                break
    return steps


def main() -> None:
    words = options(__doc__, 1e-3, "learning rate of Adam; its documents use 1e-3")
    words.add_argument("--latent", type=int, default=16)
    words.add_argument("--network", choices=["mlp", "conv"], default="mlp")
    words.add_argument("--loss", choices=["mse", "bce"], default="mse", help="of the reconstruction")
    arguments = begin(words)

    images = load(arguments.images)
    model = build(images, arguments.latent, arguments.network, arguments.loss)
    begun = time.process_time()
    steps = train(model, images, arguments.seconds, arguments.rate)
    trained = time.process_time() - begun
    model.eval()

    normal = NormalSampler(model)
    mixture = GaussianMixtureSampler(model, GaussianMixtureSamplerConfig(n_components=COMPONENTS))
    begun = time.process_time()
    mixture.fit(images)
    fitted = time.process_time() - begun
    endings: dict[str, dict[str, Any]] = {}
    for name, sampler in (("_normal", normal), ("_mixture", mixture)):
        with torch.inference_mode():
            save(arguments.out.with_name(f"{arguments.out.stem}{name}.npy"), sampler.sample(arguments.samples))
            endings[name] = {"sample_seconds_1000": seconds_of(sampler.sample)}
    endings["_mixture"]["fit_seconds"] = fitted
    print(
        json.dumps(
            {
                "steps": steps,
                "train_seconds": trained,
                "parameters": sum(p.numel() for p in model.parameters()),
                "network": arguments.network,
                "latent": arguments.latent,
                "loss": arguments.loss,
                "passes": 1,
                "endings": endings,
            }
        )
    )


if __name__ == "__main__":
    main()
