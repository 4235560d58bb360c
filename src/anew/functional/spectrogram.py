"""Sound and its spectrogram: short-time Fourier transform, mel bands, and the way back without a phase.

Legend for shapes: B clips, N samples, F frequencies (n_fft / 2 + 1), M mel bands, T frames (N / hop).
"""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

LOWEST_HZ = 30.0  # where the first mel band begins: below, speakers give hardly anything and microphones rumble; chosen
MOMENTUM = 0.99  # momentum of the fast Griffin-Lim algorithm (Perraudin, Balazs and Søndergaard 2013)
TINY = 1e-8  # keeps divisions by silence finite
MEL_ROUNDS = 10  # with so many, bands of speech are within 0.05 dB on average (docs/log.md); exports do as many
# Share by which neighbours must differ not to count as equal, so that rounding, which differs between programs, makes no peaks.
FLAT = 1e-5
# Bins on each side of a peak that its tone reaches under a Hann window and mel bands; 2 and 4: docs/log.md, 2026-11-28.
LOBE = 3
# Rounds of `match_bands`: 8 bring drums nearer, speech and effects hardly, and take twice the time (docs/log.md, 2026-11-29).
# Exports do as many.
MATCHING_ROUNDS = 4
MAX_RATIO = 10.0  # a round raises no band by more: one that is nearly silent would only be noise; chosen
# Width of the transition from tones to noise, relative to its frequency: a hard edge would be heard; chosen.
BLEND = 0.15


@dataclass(frozen=True, slots=True)
class Frames:
    """Framing of a clip of N samples: windows (Hann) of `size` samples every `hop`, N / hop of them, centred on their hop."""

    rate: int
    size: int
    hop: int

    def stft(self, x: Tensor) -> Tensor:
        """(B, N) -> (B, F, T) complex."""
        edge = (self.size - self.hop) // 2
        padded = functional.pad(x, (edge, self.size - self.hop - edge))
        window = _window(self.size)
        return torch.stft(padded, self.size, self.hop, window=window, center=False, return_complex=True)

    def istft(self, spectrum: Tensor, length: int) -> Tensor:
        """(B, F, T) complex -> (B, length): the least-squares inverse (Griffin and Lim 1984). Frequencies may be left out at the
        top: they are silent."""
        window = _window(self.size)
        count = spectrum.shape[2]
        # Frames are made contiguous: across strides, the rounding of a transform depends on how many clips there are.
        frames = spectrum.transpose(1, 2).contiguous()  # (B, T, F)
        pieces = torch.fft.irfft(frames, self.size) * window  # (B, T, size)
        square = window.square()
        added = torch.zeros(len(pieces), (count - 1) * self.hop + self.size)
        weight = torch.zeros(added.shape[1])
        for frame in range(count):  # `fold` takes ten times as long
            place = slice(frame * self.hop, frame * self.hop + self.size)
            added[:, place] += pieces[:, frame]
            weight[place] += square
        edge = (self.size - self.hop) // 2
        return (added / weight.clamp_min(1e-3))[:, edge : edge + length]


@functools.lru_cache(maxsize=8)
def _window(size: int) -> Tensor:
    return torch.hann_window(size)


@functools.lru_cache(maxsize=8)
def mel_bank(rate: int, size: int, bands: int) -> Tensor:
    """(M, F) triangles, even on the mel scale from LOWEST_HZ to half the rate; each sums to one.

    A band narrower than a frequency bin takes the two bins about its centre: none is empty, so that all can be undone."""
    top = _mel(rate / 2)
    points = 700.0 * (10.0 ** (torch.linspace(_mel(LOWEST_HZ), top, bands + 2, dtype=torch.float64) / 2595.0) - 1.0)
    step = rate / size
    low, centre, high = points[:-2, None], points[1:-1, None], points[2:, None]
    low, high = torch.minimum(low, centre - step), torch.maximum(high, centre + step)
    bins = torch.arange(size // 2 + 1, dtype=torch.float64) * step
    bank = torch.minimum((bins - low) / (centre - low), (high - bins) / (high - centre)).clamp_min(0.0)
    return (bank / bank.sum(1, keepdim=True)).float()


def _mel(hertz: float) -> float:
    return 2595.0 * math.log10(1.0 + hertz / 700.0)


def from_mel(mel: Tensor, bank: Tensor, rounds: int = MEL_ROUNDS) -> Tensor:
    """(B, M, T) mel magnitudes -> (B, F, T) magnitudes, none negative, whose bands are near: multiplicative updates of the
    divergence (Lee and Seung 1999), which are right for quiet bands beside loud ones too, from the bands' weighted mean."""
    weight = bank.sum(0)[:, None].clamp_min(TINY)  # (F, 1)
    magnitude: Tensor = (bank.T @ mel) / weight
    for _ in range(rounds):
        magnitude = magnitude * (bank.T @ (mel / (bank @ magnitude).clamp_min(TINY))) / weight
    return magnitude


def steady_phase(magnitude: Tensor, frames: Frames) -> Tensor:
    """(B, F, T) a phase for magnitudes (B, F, T) in which every peak goes on as a steady tone from frame to frame, the bins
    about it in step with it (Beauregard, Harish and Wyse 2015: single-pass inversion).

    The frequency of a peak is the centroid of the bins within LOBE, which mel bands keep: their triangles add up to straight lines.
    The parabola through its top is that of the bands' shape, and up to 60 cents off (docs/log.md, 2026-11-28)."""
    batch, bins, count = magnitude.shape
    place = torch.arange(bins).expand(batch, bins)
    far = torch.full_like(place, 2 * bins)
    before = torch.zeros(batch, bins)
    out = torch.empty_like(magnitude)
    steps = torch.arange(-LOBE, LOBE + 1, dtype=magnitude.dtype)
    for frame in range(count):
        wide = functional.pad(magnitude[:, :, frame], (1, 1))
        low, middle, high = wide[:, :-2], wide[:, 1:-1], wide[:, 2:]
        peak = (middle > low * (1.0 + FLAT)) & (middle >= high * (1.0 - FLAT))
        windows = functional.pad(magnitude[:, :, frame], (LOBE, LOBE)).unfold(1, 2 * LOBE + 1, 1)  # (B, F, 2 LOBE + 1)
        offset = ((windows @ steps) / windows.sum(2).clamp_min(TINY)).clamp(-1.0, 1.0)
        turned = before + frames.hop * 2 * math.pi * (place + offset) / frames.size
        left = torch.where(peak, place, -far).cummax(1).values
        right = torch.where(peak, place, far).flip(1).cummin(1).values.flip(1)
        near = torch.where(place - left <= right - place, left, right).clamp(0, bins - 1)
        before = turned.gather(1, near)
        out[:, :, frame] = before + math.pi * (place - near)  # a Hann window turns neighbouring bins by half a turn
    return out


def power(spectrum: Tensor) -> Tensor:
    """The squared magnitudes of a spectrum: `abs` and `square` take three times as long."""
    return spectrum.real.square() + spectrum.imag.square()


def griffin_lim(magnitude: Tensor, frames: Frames, length: int, rounds: int, phase: Tensor) -> Tensor:
    """(B, length) a signal whose magnitudes come near (B, F, T), from a first phase: fast Griffin-Lim.

    Frequencies may be left out at the top: they are silent, and cost nothing."""
    bins = magnitude.shape[1]
    turn = torch.polar(torch.ones_like(magnitude), phase)
    last: Tensor | None = None
    for _ in range(rounds):
        real = frames.stft(frames.istft(magnitude * turn, length))[:, :bins]
        extrapolated = real if last is None else real + MOMENTUM * (real - last)
        turn, last = extrapolated / extrapolated.abs().clamp_min(TINY), real
    return frames.istft(magnitude * turn, length)


def noise_share(frames: Frames, noise_from: float) -> Tensor:
    """(F, 1) how much of each frequency is noise, 0 to 1, where noise begins at `noise_from` Hz."""
    hertz = torch.arange(frames.size // 2 + 1) * (frames.rate / frames.size)
    return torch.sigmoid((hertz - noise_from) / (BLEND * noise_from))[:, None]


def filter_source(magnitude: Tensor, frames: Frames, source: Tensor) -> Tensor:
    """(B, N) a source (B, N), such as white noise, with the spectrogram (B, F, T): a filter that changes with time.

    A spectrogram in bands is smooth, and any phase that is made up for a smooth one gathers each frame's energy in a pulse.
    The spectrogram of real noise is not smooth, and has a phase that fits it."""
    spectrum = frames.stft(source)  # (B, F, T)
    return frames.istft(magnitude * spectrum / spectrum.abs().mean(1, keepdim=True).clamp_min(TINY), source.shape[-1])


def noise_seeds(magnitude: Tensor) -> list[int]:
    """A seed for the noise of each clip with magnitudes (B, F, T): its mean level in hundredths of a decibel, above the lowest one.

    So clips do not share a noise, which would add up where they sound together, and none depends on its neighbours.
    """
    level = 20.0 * torch.log10(magnitude.double().mean((1, 2)).nan_to_num().clamp_min(TINY) / TINY)  # (B,)
    return [round(100.0 * decibels) for decibels in level.tolist()]


def match_bands(sound: Tensor, mel: Tensor, frames: Frames, bank: Tensor, rounds: int = MATCHING_ROUNDS) -> Tensor:
    """(B, N) a sound (B, N) whose mel bands are brought near to (B, M, T), band by band in each frame.

    Windows overlap, so a sound made from magnitudes has other ones: attacks begin early, and gaps are filled. Griffin-Lim would
    bring each frequency to its magnitude, and those of bands are smooth. Here all frequencies of a band change by the
    same factor, so what is finer than a band stays, as the fluctuations of noise do."""
    spread = (bank / bank.sum(0, keepdim=True).clamp_min(TINY)).T  # (F, M)
    for _ in range(rounds):
        spectrum = frames.stft(sound)
        ratio = (mel / (bank @ spectrum.abs()).clamp_min(TINY)).clamp_max(MAX_RATIO)  # (B, M, T)
        sound = frames.istft(spectrum * (spread @ ratio), sound.shape[1])
    return sound
