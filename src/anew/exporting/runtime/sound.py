"""Sound from log-mel grids in NumPy: magnitudes of all frequencies, phases of steady tones, then Griffin-Lim.

Legend for shapes: N samples, F frequencies (window / 2 + 1), M mel bands, T frames.
"""

import io
import math
import wave
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.number]
Scale = Mapping[str, Any]  # the numbers of sampler.json
# The same numbers as those of Anew, which the grids were made with.
LOWEST_HZ = 30.0  # where the first mel band begins
MOMENTUM = 0.99  # of the fast Griffin-Lim algorithm (Perraudin, Balazs and Søndergaard 2013)
TINY = 1e-8  # keeps divisions finite
LEVEL = 1e-5  # neighbours that differ by less are level: rounding makes no peaks
BLEND = 0.15  # width of the transition from tones to noise, as a share of its frequency
INAUDIBLE_SHARE = 1e-3  # share of tones below which their phases are not needed
MAX_IMAGE = 0.5  # largest value of a stereo image
MAX_BALANCE_DB = 20.0  # level difference of two channels that MAX_IMAGE stands for
DELAY_SECONDS = 0.012  # of the side signal, which makes channels differ


def waves(samples: Array, item: Scale) -> list[Array]:
    """Grids (n, 1 or 3, M, T) in [-1, 1] -> (N,) or (N, 2) each. item: the numbers of sampler.json."""
    bank = mel_bank(item["rate"], item["window"], item["bands"])
    sounds = []
    for grid in np.clip(np.nan_to_num(samples.astype(np.float64)), -1.0, 1.0):
        unit = grid[0].copy()  # (M, T)
        audible = np.flatnonzero(unit.max(0) > item["tail"] + 1e-4)  # behind the last of these frames is silence
        unit[:, audible[-1] + 1 if len(audible) else 0 :] = -1.0
        bands = np.where(unit <= -1.0, 0.0, 10.0 ** (((unit - 1.0) * (item["depth"] / 2.0) + item["top"]) / 20.0))
        magnitude = from_mel(bands, bank)
        sound = sound_of(magnitude, item) / item["gain"]
        if len(grid) == 3:
            sound = to_stereo(sound, grid[1:], bank, item)
        peak = item["peak"] if item.get("levels") is None else level_of(unit, item["levels"], item["peak"])
        sound = fade_ends(sound, item["fade"])
        highest = max(np.abs(sound).max(), TINY)
        sounds.append(sound / max(highest, 1.0) if peak is None else sound * (peak / highest))
    return sounds


def level_of(unit: Array, levels: Scale, peak: float) -> float:
    """The largest value of a sample (M, T), by which samples are as loud as the data."""
    total = float(np.concatenate([unit.mean(1), unit.max(1)]) @ levels["weights"])
    decibels = float(np.interp(total, levels["sums"], levels["decibels"]))
    return float(min(peak * 10.0 ** (decibels / 20.0), 1.0))


def fade_ends(sound: Array, edge: int) -> Array:
    """(N,) or (N, 2) with both ends brought to zero within `edge` samples."""
    ramp = np.minimum(np.arange(len(sound)) / edge, 1.0)
    return np.asarray(sound * (ramp * ramp[::-1]).reshape(-1, *[1] * (sound.ndim - 1)))


def sound_of(magnitude: Array, item: Scale) -> Array:
    """(N,) of magnitudes (F, T): steady tones below `noise_from`, noise above it."""
    share = np.zeros((len(magnitude), 1))
    if item["noise_from"] is not None:
        hertz = np.arange(len(magnitude)) * (item["rate"] / item["window"])
        share = 1.0 / (1.0 + np.exp((item["noise_from"] - hertz) / (BLEND * item["noise_from"])))[:, None]
    bins = int((share < 1.0 - INAUDIBLE_SHARE).sum())
    phase = np.zeros_like(magnitude)
    phase[:bins] = steady_phase(magnitude[:bins], item["window"], item["hop"])
    tones = griffin_lim(magnitude * (1.0 - share), phase, item)
    noise = stft(np.random.default_rng(0).standard_normal((item["length"],)), item)
    return tones + istft(magnitude * share * noise / np.maximum(np.abs(noise).mean(), TINY), item)


def to_stereo(sound: Array, image: Array, bank: Array, item: Scale) -> Array:
    """(N, 2) of a sound (N,) and its stereo image (2, M, T): how much louder the left channel is, and how similar both are."""
    lag = min(round(DELAY_SECONDS * item["rate"]), len(sound) - 1)
    delayed = np.concatenate([np.zeros(lag), sound])[: len(sound)]
    spread = (bank / np.maximum(bank.sum(0), 1e-12)).T  # (F, M)
    balance, similarity = np.clip(image, -MAX_IMAGE, MAX_IMAGE)
    ratio = 10.0 ** (spread @ balance * (MAX_BALANCE_DB / (10.0 * MAX_IMAGE)))
    angle = (math.pi / 2.0) * (spread @ (MAX_IMAGE - similarity))
    middle, side = stft(sound, item) * np.cos(angle), stft(delayed, item) * np.sin(angle)
    left, right = np.sqrt(2.0 * ratio / (1.0 + ratio)), np.sqrt(2.0 / (1.0 + ratio))
    return np.stack([istft(left * (middle + side), item), istft(right * (middle - side), item)], 1)


def mel_bank(rate: int, window: int, bands: int) -> Array:
    """(M, F) triangles, even on the mel scale; each sums to one, and none is narrower than two bins."""
    lowest, top = (2595.0 * math.log10(1.0 + hertz / 700.0) for hertz in (LOWEST_HZ, rate / 2))
    points = 700.0 * (10.0 ** (np.linspace(lowest, top, bands + 2) / 2595.0) - 1.0)
    low, centre, high = points[:-2, None], points[1:-1, None], points[2:, None]
    low, high = np.minimum(low, centre - rate / window), np.maximum(high, centre + rate / window)
    bins = np.arange(window // 2 + 1) * (rate / window)
    bank = np.maximum(np.minimum((bins - low) / (centre - low), (high - bins) / (high - centre)), 0.0)
    return np.asarray(bank / bank.sum(1, keepdims=True))


def from_mel(mel: Array, bank: Array, rounds: int = 10) -> Array:
    """(M, T) -> (F, T) magnitudes whose bands are near (multiplicative updates of Lee and Seung 1999, divergence)."""
    weight = np.maximum(bank.sum(0)[:, None], TINY)
    magnitude: Array = (bank.T @ mel) / weight
    for _ in range(rounds):
        magnitude = magnitude * (bank.T @ (mel / np.maximum(bank @ magnitude, TINY))) / weight
    return magnitude


def steady_phase(magnitude: Array, window: int, hop: int) -> Array:
    """(F, T) phases in which every peak is a steady tone (Beauregard, Harish and Wyse 2015)."""
    bins, count = magnitude.shape
    place, before, phase = np.arange(bins), np.zeros(bins), np.empty_like(magnitude)
    for frame in range(count):
        wide = np.pad(magnitude[:, frame], 1)
        low, middle, high = wide[:-2], wide[1:-1], wide[2:]
        peak = (middle > low * (1.0 + LEVEL)) & (middle >= high * (1.0 - LEVEL))
        bend = low - 2 * middle + high
        is_bent = np.abs(bend) > TINY
        offset = np.clip(np.where(is_bent, 0.5 * (low - high) / np.where(is_bent, bend, 1.0), 0.0), -0.5, 0.5)
        turned = before + hop * 2 * math.pi * (place + offset) / window
        left = np.maximum.accumulate(np.where(peak, place, -2 * bins))
        right = np.minimum.accumulate(np.where(peak, place, 2 * bins)[::-1])[::-1]
        near = np.clip(np.where(place - left <= right - place, left, right), 0, bins - 1)
        before = turned[near]
        phase[:, frame] = before + math.pi * (place - near)  # a Hann window turns neighbouring bins by half a turn
    return phase


def griffin_lim(magnitude: Array, phase: Array, item: Scale) -> Array:
    """(N,) a signal whose magnitudes come near, from a first phase."""
    turn, last = np.exp(1j * phase), None
    for _ in range(item["rounds"]):
        real = stft(istft(magnitude * turn, item), item)
        extrapolated = real if last is None else real + MOMENTUM * (real - last)
        turn, last = extrapolated / np.maximum(np.abs(extrapolated), TINY), real
    return istft(magnitude * turn, item)


def _hann(size: int) -> Array:
    return np.asarray(0.5 - 0.5 * np.cos(2 * math.pi * np.arange(size) / size))


def stft(sound: Array, item: Scale) -> Array:
    """(N,) -> (F, T) complex."""
    size, hop = item["window"], item["hop"]
    edge = (size - hop) // 2
    padded = np.pad(sound, (edge, size - hop - edge))
    pieces = np.lib.stride_tricks.sliding_window_view(padded, size)[::hop]  # (T, size)
    return np.asarray(np.fft.rfft(pieces * _hann(size), axis=1).T)


def istft(spectrum: Array, item: Scale) -> Array:
    """(F, T) complex -> (N,): the least-squares inverse (Griffin and Lim 1984)."""
    size, hop, length = item["window"], item["hop"], item["length"]
    window, count = _hann(size), spectrum.shape[1]
    pieces = np.fft.irfft(spectrum, size, axis=0).T * window  # (T, size)
    added, weight = np.zeros((count - 1) * hop + size), np.zeros((count - 1) * hop + size)
    for i, piece in enumerate(pieces):
        added[i * hop : i * hop + size] += piece
        weight[i * hop : i * hop + size] += window**2
    edge = (size - hop) // 2
    return np.asarray((added / np.maximum(weight, 1e-3))[edge : edge + length])


def wav(sound: Array, rate: int) -> bytes:
    """A WAV of 16 bits; sound: (N,) or (N, 2)."""
    out = io.BytesIO()
    with wave.open(out, "wb") as file:
        file.setnchannels(sound.ndim)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(np.rint(np.clip(sound, -1.0, 1.0) * 32767.0).astype("<i2").tobytes())
    return out.getvalue()
