"""Slow signals (ECG, seismograms, vibration) as grids of their own values, without a spectrogram.

A clip of such a signal has at most some thousand values, no more than its spectrogram would have, which lacks the phase that the
signal is read by.

Legend for shapes: B clips, N samples, T frames; C channels. Clips are (N,) of one channel and (N, 2) of two.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from anew.core.arrays import Numbers, Values
from anew.core.reading_time import ReadingTime
from anew.data.formats.sound import audio
from anew.data.formats.sound.audio_clips import Shape
from anew.data.formats.sound.audio_grid import RANGE_DB, STORED_SCALE, SoundScale
from anew.data.formats.sound.clip_levels import FULL_SCALE
from anew.data.types import DecodedItem

if TYPE_CHECKING:
    from torch import Tensor

# Largest value of signals of the data in a grid, below its bound of 1, so that samples may exceed them: with 0.95, many beats of an ECG
# were cut flat at 1
LARGEST_VALUE = 0.75
PICTURE_HEIGHT, PICTURE_WIDTH = 96, 256  # pixels of the picture of a signal, at most so wide; chosen
INK, PAPER = 0, 255  # grey levels


@dataclass(frozen=True, slots=True)
class SignalScale(SoundScale):
    """A `SoundScale` whose grids (B, C, 1, N) hold the values of clips. Levels are those of frames of `hop` values, (B, 1, T)."""

    @classmethod
    def of(
        cls, shape: Shape, rows: Numbers, keep: bool, peak: float, reading: ReadingTime | None = None
    ) -> tuple[SoundScale, Tensor]:
        loudest = max(float(np.abs(rows).max()) / STORED_SCALE, audio.SILENT) if keep else peak
        gain = LARGEST_VALUE / loudest
        scale = cls(shape, 0.0, gain)
        return scale, scale.grid(rows)

    def grid(self, rows: Numbers) -> Tensor:
        """(B, N) or (B, N, 2) stored -> (B, C, 1, N) in [-1, 1]."""
        import torch

        x = torch.from_numpy(np.asarray(rows, dtype=np.float32)) * (self.gain / STORED_SCALE)
        channels = x.movedim(2, 1) if x.ndim == 3 else x[:, None]  # (B, C, N)
        return channels[:, :, None].contiguous()

    def waves(self, x: Values, rounds: int) -> list[audio.Samples]:
        from anew.functional.band_levels import match_band_levels

        matched = (
            _values(x) if self.band_levels is None else match_band_levels(_values(x), self.band_levels)
        )  # (B, C, N)
        values = matched.numpy() / np.float32(self.gain)
        return [wave[0] if len(wave) == 1 else np.ascontiguousarray(wave.T) for wave in values]

    def _raw_levels(self, x: Values) -> Tensor:
        # Channels may be opposite, so powers are averaged, not values
        power = _values(x).square().mean(1)  # (B, N)
        power = power.reshape(-1, self.shape.frames, self.shape.hop).mean(2)  # (B, T)
        levels: Tensor = 20.0 / RANGE_DB * power.clamp_min(1e-12).log10() + 1.0
        return levels.clamp(-1.0, 1.0)[:, None]

    def as_steady_as(self, samples: Values, real: Values) -> SoundScale:
        """The scale with the `band_levels` that make bands of samples (n, C, 1, N) as loud as those of real clips (m, C, 1, N)."""
        from anew.functional.band_levels import fit_band_levels

        return replace(self, band_levels=fit_band_levels(_values(samples), _values(real)))

    def as_silent_as(self, samples: Values, real: Values) -> SoundScale:
        return self

    def picture(self, item: audio.Samples) -> NDArray[np.uint8]:
        """Draw the curve of samples (N,) or (N, 2), one channel below the other, (H, W, 3)."""
        wave = np.asarray(item, np.float32)
        curves = _curves((wave[:, None] if wave.ndim == 1 else wave).T[None])  # (1, H, W, 3)
        return np.asarray(curves[0])


def scale_type(shape: Shape) -> type[SoundScale]:
    """The type of scale of clips of this shape."""
    return SignalScale if shape.is_signal else SoundScale


def with_known(
    samples: Sequence[DecodedItem], signals: Sequence[audio.Samples], mask: NDArray[np.bool_]
) -> list[audio.Samples]:
    """Samples whose known values are exactly the given ones; the others keep their loudness relative to them.

    Only where a sample would be clipped in a file is all of it softer.

    Args:
        samples: (N,) or (N, 2) each.
        signals: The given signals, of the same shapes.
        mask: (n, C, 1, N) which values are known.
    """
    masks = mask[:, :, 0].swapaxes(1, 2)  # (n, N, C)
    return [
        _with_known(sample, signal, is_known) for sample, signal, is_known in zip(samples, signals, masks, strict=True)
    ]


def _with_known(sample: DecodedItem, signal: audio.Samples, is_known: NDArray[np.bool_]) -> audio.Samples:
    """One of `with_known`. is_known: (N, C)."""
    wave, is_known = np.asarray(sample, np.float32), is_known.reshape(signal.shape)
    power, given_power = (float(np.square(x[is_known], dtype=np.float64).sum()) for x in (wave, signal))
    factor = np.sqrt(given_power / power) if power and given_power else 1.0
    filled = np.where(is_known, signal, wave * np.float32(factor))
    return np.asarray(filled / max(float(np.abs(filled).max()) / FULL_SCALE, 1.0), np.float32)


def signal_pictures(x: Tensor) -> Tensor:
    """Draw grids (B, C, 1, N) as in `SignalScale.picture`, (B, 3, H, W) in [-1, 1]."""
    import torch

    curves = _curves((_values(x) / LARGEST_VALUE).numpy())  # (B, H, W, 3)
    return torch.from_numpy(curves).movedim(-1, 1).float().div(127.5).sub(1.0)


def _values(x: Values) -> Tensor:
    """(B, C, N) of grids (B, C, 1, N)."""
    import torch

    return torch.as_tensor(x).detach().float().cpu()[:, :, 0].nan_to_num().clamp(-1.0, 1.0)


def _curves(x: NDArray[np.float32]) -> NDArray[np.uint8]:
    """(B, H, W, 3) curves of signals (B, C, N)."""
    height = PICTURE_HEIGHT // x.shape[1]
    channels = [_curve(x[:, channel], height) for channel in range(x.shape[1])]
    return np.repeat(np.concatenate(channels, axis=1)[..., None], 3, axis=3)


def _curve(x: NDArray[np.float32], height: int) -> NDArray[np.uint8]:
    """(B, height, W) of (B, N): from the lowest to the highest value of each column, and of the one before."""
    width = min(PICTURE_WIDTH, x.shape[1])
    bounds = np.linspace(0, x.shape[1], width + 1).astype(int)
    first = bounds[:-1]
    before = x[:, np.maximum(first - 1, 0)]  # the last value of the column before, so that columns touch
    low = np.minimum(np.minimum.reduceat(x, first, axis=1), before)  # (B, W)
    high = np.maximum(np.maximum.reduceat(x, first, axis=1), before)
    top, bottom = (np.rint((1.0 - values.clip(-1.0, 1.0)) / 2.0 * (height - 1)) for values in (high, low))
    line = np.arange(height)[None, :, None]
    is_ink = (line >= top[:, None]) & (line <= bottom[:, None])  # (B, height, W)
    return np.where(is_ink, np.uint8(INK), np.uint8(PAPER))
