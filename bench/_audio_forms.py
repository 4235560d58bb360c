"""Sound in other forms than log-mel magnitudes. Processes that decode import this module, so it imports no PyTorch by itself."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

import _common  # noqa: F401  (with it the package of this checkout is found)
from anew.core.arrays import Integers, Numbers, Values
from anew.core.specs import Batch, Grid, Spec
from anew.data.formats.sound import audio as sound_files
from anew.data.formats.sound.stored_clips import PEAK
from anew.data.modalities import audio
from anew.data.types import DataBudget, Item

if TYPE_CHECKING:
    from torch import Tensor

    from anew.functional.spectrogram import Frames

POWER = 0.4  # compression of amplitudes: the complex form


class Other(audio.Audio):
    """The same clips, all with one peak, as a grid that has an exact inverse."""

    _span: float  # what becomes 1 in a grid

    def to_grid(self, x: Tensor) -> Tensor:
        raise NotImplementedError

    def from_grid(self, x: Tensor) -> Tensor:
        raise NotImplementedError

    @property
    def length(self) -> int:
        """Samples of a clip that fill whole windows of 64."""
        assert self.clip_shape is not None
        return self.clip_shape.length // 64 * 64

    def fit(self, items: Iterable[Item], budget: DataBudget, labels: Sequence[str]) -> Spec:
        import torch

        items = list(items)
        spec = super().fit(items, budget, labels)
        assert isinstance(spec, Grid)
        rows = np.stack([self.encode(item) for item in items[: audio.FITTED_CLIPS]])
        self._span = 1.0
        grid = self.to_grid(self._waves(rows))
        self._span = float(torch.quantile(grid.abs().flatten()[:: max(1, grid.numel() // 1_000_000)], 0.9995))
        grid = self.to_grid(self._waves(rows))
        self.spec = Grid(tuple(grid.shape[1:]), "CHW", spec.classes, float(grid.std()))
        return self.spec

    def _waves(self, rows: Numbers) -> Tensor:
        import torch

        return torch.from_numpy(np.stack([sound_files.scale_to_peak(wave, PEAK) for wave in self.to_items(rows)]))

    def batch(self, rows: Numbers, labels: Integers | None, lengths: Integers | None) -> Batch:
        import torch

        x = self.to_grid(self._waves(rows)).clamp(-1, 1)
        label = torch.from_numpy(np.asarray(labels).astype(np.int64)) if labels is not None else None
        return Batch(x, label, None, torch.full((len(x),), float(x[0].numel())))

    def decode(self, x: Values) -> list[sound_files.Samples]:
        import torch

        waves = self.from_grid(torch.as_tensor(x).float().cpu()).numpy()
        return [sound_files.scale_to_peak(wave, PEAK) for wave in waves]

    def decode_real(self, x: Values) -> list[sound_files.Samples]:
        return self.decode(x)

    def calibration_size(self) -> tuple[int, int]:
        return 0, 0

    def state(self) -> dict[str, object]:
        assert self.clip_shape is not None and isinstance(self.spec, Grid)
        # `shape` is the one that the clips have as a spectrogram
        own = {"shape": list(self.clip_shape.grid_shape), "own_shape": list(self.spec.shape), "span": self._span}
        return {**super().state(), **own}

    def restore(self, state: Mapping[str, object], folder: Path) -> None:
        shape, span = state["own_shape"], state["span"]
        super().restore({name: value for name, value in state.items() if name not in ("own_shape", "span")}, folder)
        assert isinstance(span, float) and isinstance(shape, list) and isinstance(self.spec, Grid)
        self._span = span
        self.spec = Grid(tuple(shape), "CHW", self.spec.classes, self.spec.std)


class Complex(Other):
    """Real and imaginary part of a short-time Fourier transform, amplitudes to the power of POWER: (2, 64, frames)."""

    def _own(self) -> Frames:
        from anew.functional.spectrogram import Frames

        return Frames(self.rate, 128, 64)

    def to_grid(self, x: Tensor) -> Tensor:
        import torch

        spectrum = self._own().stft(x[:, : self.length])[:, :64]  # without the highest frequency
        size = spectrum.abs().clamp_min(1e-7)
        spectrum = spectrum / size * size**POWER
        return torch.stack([spectrum.real, spectrum.imag], 1) / self._span

    def from_grid(self, x: Tensor) -> Tensor:
        import torch

        spectrum = torch.complex(x[:, 0], x[:, 1]) * self._span
        size = spectrum.abs().clamp_min(1e-7)
        spectrum = spectrum / size * size ** (1 / POWER)
        spectrum = torch.nn.functional.pad(spectrum, (0, 0, 0, 1))
        return self._own().istft(spectrum, self.length)


class Raw(Other):
    """Samples as they are, folded: 64 rows of a window each side by side, (1, 64, length / 64)."""

    def to_grid(self, x: Tensor) -> Tensor:
        return x[:, : self.length].view(len(x), 1, -1, 64).transpose(2, 3).contiguous() / self._span

    def from_grid(self, x: Tensor) -> Tensor:
        return x[:, 0].transpose(1, 2).reshape(len(x), -1) * self._span


FORMS = {"mel": audio.Audio, "complex": Complex, "raw": Raw}
