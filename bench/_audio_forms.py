"""`anew` with time counted in CPU seconds of the process, and with sound seen in another form than log-mel magnitudes.

python bench/_audio_forms.py FORM train DATA --run RUN ...      FORM: mel, complex, raw
"""

from __future__ import annotations

import sys
import time

time.monotonic = time.process_time  # before anything of Anew is imported: budgets are then of CPU time

from typing import Any  # noqa: E402

import numpy as np  # noqa: E402
import torch  # noqa: E402

import _common  # noqa: E402, F401  (with it the package of this checkout is found)
from anew import cli  # noqa: E402
from anew.core.specs import Batch, Grid  # noqa: E402
from anew.data.modalities import audio  # noqa: E402
from anew.functional.spectrogram import Frames  # noqa: E402

POWER = 0.4  # compression of amplitudes: the complex form


class Other(audio.Audio):
    """The same clips as a grid that has an exact inverse."""

    def to_grid(self, x: torch.Tensor) -> torch.Tensor:
        raise NotImplementedError

    def from_grid(self, x: torch.Tensor) -> torch.Tensor:
        raise NotImplementedError

    def fit(self, items: Any, size: Any, labels: Any) -> Any:
        super().fit(items := list(items), size, labels)
        rows = np.stack([self.encode(item) for item in items[: audio.FITTED_CLIPS]])
        self._span = 1.0
        grid = self.to_grid(self._waves(rows))
        self._span = float(torch.quantile(grid.abs().flatten()[:: max(1, grid.numel() // 1_000_000)], 0.9995))
        grid = self.to_grid(self._waves(rows))
        self.spec = Grid(tuple(grid.shape[1:]), "CHW", self.spec.classes, float(grid.std()))
        return self.spec

    def _waves(self, rows: Any) -> torch.Tensor:
        return torch.from_numpy(np.asarray(rows, dtype=np.float32)) / 32767.0

    def batch(self, rows: Any, labels: Any, lengths: Any) -> Batch:
        if not hasattr(self, "_span"):
            return super().batch(rows, labels, lengths)
        x = self.to_grid(self._waves(rows)).clamp(-1, 1)
        label = torch.from_numpy(np.asarray(labels).astype(np.int64)) if labels is not None else None
        return Batch(x, label, None, torch.full((len(x),), float(x[0].numel())))

    def decode(self, x: Any) -> Any:
        return [self._levelled(wave) for wave in self.from_grid(torch.as_tensor(x).float().cpu()).numpy()]

    def state(self) -> dict[str, Any]:
        return {**super().state(), "scale": self._span}

    def restore(self, state: dict[str, Any], folder: Any) -> None:
        super().restore(state, folder)
        self._span = state["scale"]


class Complex(Other):
    """Real and imaginary part of a short-time Fourier transform, amplitudes to the power of POWER: (2, 64, frames)."""

    def _own(self) -> Frames:
        return Frames(self._shape.rate, 128, 64)

    def to_grid(self, x: torch.Tensor) -> torch.Tensor:
        spectrum = self._own().stft(x[:, : x.shape[1] // 64 * 64])[:, :64]  # without the highest frequency
        size = spectrum.abs().clamp_min(1e-7)
        spectrum = spectrum / size * size**POWER
        return torch.stack([spectrum.real, spectrum.imag], 1) / self._span

    def from_grid(self, x: torch.Tensor) -> torch.Tensor:
        spectrum = torch.complex(x[:, 0], x[:, 1]) * self._span
        size = spectrum.abs().clamp_min(1e-7)
        spectrum = spectrum / size * size ** (1 / POWER)
        spectrum = torch.nn.functional.pad(spectrum, (0, 0, 0, 1))
        return self._own().istft(spectrum, self._shape.length // 64 * 64)


class Raw(Other):
    """Samples as they are, folded: 64 rows of a window each side by side, (1, 64, length / 64)."""

    def to_grid(self, x: torch.Tensor) -> torch.Tensor:
        return x[:, : x.shape[1] // 64 * 64].view(len(x), 1, -1, 64).transpose(2, 3).contiguous() / self._span

    def from_grid(self, x: torch.Tensor) -> torch.Tensor:
        return x[:, 0].transpose(1, 2).reshape(len(x), -1) * self._span


FORMS = {"mel": audio.Audio, "complex": Complex, "raw": Raw}


if __name__ == "__main__":
    audio.EXPORT = FORMS[sys.argv[1]]
    sys.exit(cli.main(sys.argv[2:]))
