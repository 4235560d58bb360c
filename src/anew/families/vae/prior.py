"""What vectors look like, learned by a small denoiser: the prior of latents that have no closed form."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from anew.core.random import StepContext
from anew.functional.noise import karras_sigmas, lognormal_sigmas
from anew.functional.ode import SOLVERS
from anew.nets.autoencoder import VectorDenoiser

LEVELS = (0.005, 20.0)  # smallest and largest noise level, in deviations of the vectors
LOG_LEVEL = (-0.6, 1.4)  # mean and deviation of the log noise level in training
CROWDING = 5.0  # of a sample's noise levels towards clean
ROWS = 1024  # vectors that go through the network at a time


class VectorPrior(nn.Module):
    """Vectors (B, size) of about unit deviation, of kinds 0 .. kinds - 1; the kind `kinds` stands for any."""

    def __init__(self, size: int, kinds: int, width: int, depth: int) -> None:
        super().__init__()
        self.kinds = kinds
        self.net = VectorDenoiser(size, kinds + 1, width, depth)

    def loss(self, z: Tensor, kind: Tensor, context: StepContext, precision: torch.dtype) -> Tensor:
        """(B,) squared error at several noise levels of each of z (B, R, size), over its expected size. kind: (B,)."""
        size, repeat = z.shape[:2]
        level = lognormal_sigmas(context.uniform("level", (size, repeat)), *LOG_LEVEL, *LEVELS)
        y = z + level[..., None] * context.normal("noise", z.shape)
        kinds = kind[:, None].expand(size, repeat).flatten()
        skip, out, correction = self._parts(y.flatten(0, 1), level.flatten(), kinds, precision)
        error = correction - (z.flatten(0, 1) - skip) / out
        return error.square().mean(1).view(size, repeat).mean(1)

    def _parts(self, y: Tensor, level: Tensor, kind: Tensor, precision: torch.dtype) -> tuple[Tensor, Tensor, Tensor]:
        """The clean estimate is skip + out * correction (EDM, arXiv 2206.00364, table 1, for data of unit deviation)."""
        total = 1.0 + level.square()[:, None]
        correction = self.net((y * total.rsqrt()).to(precision), level, kind).float()
        return y / total, level[:, None] * total.rsqrt(), correction

    def sample(
        self, numbers: Tensor, kind: Tensor, precision: torch.dtype, *, steps: int, solver: str, guidance: float
    ) -> Tensor:
        """(n, size) vectors of kinds (n,) that the model makes of standard normal numbers (n, size)."""
        low, high = LEVELS
        levels = karras_sigmas(steps, low, high, CROWDING).to(numbers.device)
        found = []
        for some, wanted in zip(torch.split(numbers, ROWS), torch.split(kind, ROWS), strict=True):

            def denoise(y: Tensor, level: Tensor, wanted: Tensor = wanted) -> Tensor:
                clean = self._clean(y, level, wanted, precision)
                if guidance == 1.0:
                    return clean
                plain = self._clean(y, level, torch.full_like(wanted, self.kinds), precision)
                return plain + guidance * (clean - plain)

            clean = some
            for draft in SOLVERS[solver](denoise, some * math.sqrt(1.0 + high**2), levels):
                clean = draft
            found.append(clean)
        return torch.cat(found)

    def _clean(self, y: Tensor, level: Tensor, kind: Tensor, precision: torch.dtype) -> Tensor:
        skip, out, correction = self._parts(y, level.expand(len(y)), kind, precision)
        return skip + out * correction
