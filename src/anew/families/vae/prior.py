"""Learned prior of vectors, a small denoiser, for latents that have no closed form."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from anew.core.random import StepContext
from anew.functional.noise import karras_sigmas, lognormal_sigmas
from anew.functional.ode import SOLVERS
from anew.nets.autoencoder import VectorDenoiser

# Noise levels, in deviations of the vectors: at the largest nothing of a vector is left; chosen.
SIGMA_MIN, SIGMA_MAX = 0.005, 20.0
# Of the noise levels in training, higher and wider than EDM's -1.2 and 1.2 for images; chosen.
LOG_SIGMA_MEAN, LOG_SIGMA_STD = -0.6, 1.4
RHO = 5.0  # crowding of a sample's noise levels towards clean, less than EDM's 7; chosen
ROWS = 1024  # vectors that go through the network at a time: bounds memory; chosen


class VectorPrior(nn.Module):
    """Vectors (B, size) of about unit deviation, of classes 0 .. classes - 1; the label `classes` stands for any.

    Args:
        size: Numbers of a vector.
        classes: Number of classes, 0 without labels.
        hidden_size: Size of the network's residual stream.
        depth: Layers of the network.
    """

    def __init__(self, size: int, classes: int, hidden_size: int, depth: int) -> None:
        super().__init__()
        self.any_class = classes
        self.net = VectorDenoiser(size, classes + 1, hidden_size, depth)

    def loss(self, z: Tensor, labels: Tensor, context: StepContext, dtype: torch.dtype) -> Tensor:
        """Squared error at several noise levels of each vector, over its expected size.

        Args:
            z: (B, R, size), R draws of each vector.
            labels: (B,).
            context: Where the random numbers come from.
            dtype: What the network computes in.

        Returns:
            (B,).
        """
        batch, repeats = z.shape[:2]
        uniform = context.uniform("level", (batch, repeats))
        sigma = lognormal_sigmas(uniform, LOG_SIGMA_MEAN, LOG_SIGMA_STD, SIGMA_MIN, SIGMA_MAX)
        y = z + sigma[..., None] * context.normal("noise", z.shape)
        repeated_labels = labels[:, None].expand(batch, repeats).flatten()
        c_skip_y, c_out, F = self._precondition(y.flatten(0, 1), sigma.flatten(), repeated_labels, dtype)
        error = F - (z.flatten(0, 1) - c_skip_y) / c_out
        return error.square().mean(1).view(batch, repeats).mean(1)

    def _precondition(
        self, y: Tensor, sigma: Tensor, labels: Tensor, dtype: torch.dtype
    ) -> tuple[Tensor, Tensor, Tensor]:
        """c_skip y, c_out and the network's output F; the denoised estimate is c_skip y + c_out F (EDM, arXiv 2206.00364,
        table 1, for data of unit deviation)."""
        variance = 1.0 + sigma.square()[:, None]
        c_in = variance.rsqrt()
        F = self.net((y * c_in).to(dtype), sigma, labels).float()
        return y / variance, sigma[:, None] * variance.rsqrt(), F

    def sample(
        self, noise: Tensor, labels: Tensor, dtype: torch.dtype, *, steps: int, solver: str, guidance: float
    ) -> Tensor:
        """Vectors that the model makes of noise.

        Args:
            noise: (n, size) standard normal numbers.
            labels: (n,).
            dtype: What the network computes in.
            steps: Noise levels that a vector passes through.
            solver: Name of the solver.
            guidance: How much the label counts; 1 is the plain model.

        Returns:
            (n, size).
        """
        sigmas = karras_sigmas(steps, SIGMA_MIN, SIGMA_MAX, RHO).to(noise.device)
        parts = []
        for rows, row_labels in zip(torch.split(noise, ROWS), torch.split(labels, ROWS), strict=True):

            def denoise(y: Tensor, sigma: Tensor, labels: Tensor = row_labels) -> Tensor:
                return self._denoise_guided(y, sigma, labels, dtype, guidance)

            sample = rows
            for draft in SOLVERS[solver](denoise, rows * math.sqrt(1.0 + SIGMA_MAX**2), sigmas):
                sample = draft
            parts.append(sample)
        return torch.cat(parts)

    def _denoise_guided(self, y: Tensor, sigma: Tensor, labels: Tensor, dtype: torch.dtype, guidance: float) -> Tensor:
        conditional = self.denoise(y, sigma, labels, dtype)
        if guidance == 1.0:
            return conditional
        unconditional = self.denoise(y, sigma, torch.full_like(labels, self.any_class), dtype)
        return unconditional + guidance * (conditional - unconditional)

    def denoise(self, y: Tensor, sigma: Tensor, labels: Tensor, dtype: torch.dtype) -> Tensor:
        """Estimates (n, size) of vectors y (n, size) at noise levels (n,) or (), of labels (n,)."""
        c_skip_y, c_out, F = self._precondition(y, sigma.expand(y.shape[0]), labels, dtype)
        return c_skip_y + c_out * F
