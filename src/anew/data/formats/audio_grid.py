"""Stored clips -> log-mel magnitudes in [-1, 1], and back to a sound, for which a phase is found.

Legend for shapes: B clips, N samples, M bands, T frames.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from anew.core.arrays import Numbers, Values
from anew.data.formats import audio
from anew.data.formats.audio_clips import Shape

if TYPE_CHECKING:
    from torch import Tensor

DEEP = 70.0  # decibels below the loudest that a spectrogram reaches
STORED = 32767.0  # of a stored sample, for 1
AT_ONCE = 64  # clips whose phases are found at a time
PICTURE = 96  # least height and width of a picture
# From silence to the loudest, ever brighter: it reads the same in grey and without red or green.
COLOURS = ((0, 0, 4), (59, 15, 112), (140, 41, 129), (222, 73, 104), (254, 159, 109), (252, 253, 191))


@dataclass(frozen=True, slots=True)
class Scale:
    """top: decibels of the loudest that become 1; gain: what samples are multiplied by before."""

    shape: Shape
    top: float = 0.0
    gain: float = 1.0

    @classmethod
    def of(cls, shape: Shape, rows: Numbers, keep: bool, peak: float) -> Scale:
        """For stored rows (n, N); keep: their loudness is not levelled, so the loudest clip is brought to `peak`."""
        gain = peak / max(float(np.abs(rows).max()) / STORED, audio.SILENT) if keep else 1.0
        loudest = cls(shape, 0.0, gain).decibels(rows).flatten(1).amax(1)  # (n,)
        return cls(shape, float(np.quantile(loudest.numpy(), 0.99)), gain)

    def decibels(self, rows: Numbers) -> Tensor:
        """(B, N) stored -> (B, M, T)."""
        import torch

        from anew.functional.spectrogram import Frames, mel_bank

        shape = self.shape
        x = torch.from_numpy(np.asarray(rows, dtype=np.float32)) * (self.gain / STORED)
        size = Frames(shape.rate, shape.window, shape.hop).stft(x).abs()
        level: Tensor = 20.0 * (mel_bank(shape.rate, shape.window, shape.bands) @ size).clamp_min(1e-7).log10()
        return level

    def grid(self, rows: Numbers) -> Tensor:
        """(B, N) stored -> (B, M, T) in [-1, 1]."""
        return ((self.decibels(rows) - self.top) * (2.0 / DEEP) + 1.0).clamp(-1.0, 1.0)

    def waves(self, x: Values, rounds: int) -> list[audio.Samples]:
        """(B, 1, M, T) in [-1, 1] -> (N,) each: magnitudes of the bands, then a phase that lets tones go on, then `rounds` of
        Griffin-Lim."""
        import torch

        from anew.functional.spectrogram import Frames, from_mel, griffin_lim, mel_bank, steady_phase

        shape = self.shape
        frames, bank = Frames(shape.rate, shape.window, shape.hop), mel_bank(shape.rate, shape.window, shape.bands)
        waves: list[audio.Samples] = []
        for part in torch.split(torch.as_tensor(x).detach().float().cpu()[:, 0], AT_ONCE):
            unit = part.nan_to_num().clamp(-1.0, 1.0)  # (b, M, T)
            bands = 10.0 ** (((unit - 1.0) * (DEEP / 2.0) + self.top) / 20.0)
            magnitude = from_mel(torch.where(unit <= -1.0, torch.zeros_like(bands), bands), bank)
            wave = griffin_lim(magnitude, frames, shape.length, rounds, steady_phase(magnitude, frames))
            waves += list(wave.numpy() / np.float32(self.gain))
        return waves

    def picture(self, item: audio.Samples) -> NDArray[np.uint8]:
        """(H, W, 3) of (N,) samples: the spectrogram in colour, low tones below."""
        level = self.decibels(np.asarray(item, dtype=np.float32)[None] * STORED)[0].numpy()[::-1]
        unit = np.clip((level - self.top) / DEEP + 1.0, 0.0, 1.0)
        tall, wide = (max(1, -(-PICTURE // side)) for side in unit.shape)
        large = np.repeat(np.repeat(unit, tall, axis=0), wide, axis=1)
        channels = [
            np.interp(large, np.linspace(0.0, 1.0, len(COLOURS)), column) for column in zip(*COLOURS, strict=True)
        ]
        return np.stack(channels, axis=-1).round().astype(np.uint8)
