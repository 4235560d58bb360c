"""Sound from log-mel grids in NumPy: magnitudes of all frequencies, phases of steady tones, then Griffin-Lim.

Legend for shapes: N samples, F frequencies (window / 2 + 1), M mel bands, T frames; C channels and R rows of a grid.
"""

import io
import itertools
import math
import wave
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.number]
Scale = Mapping[str, Any]  # the numbers of sampler.json
# Constants of Anew, with which the grids were computed.
LOWEST_HZ = 30.0  # where the first mel band begins
MEL_ROUNDS = 10  # with so many, bands of speech are within 0.05 dB on average
MOMENTUM = 0.99  # momentum of the fast Griffin-Lim algorithm (Perraudin, Balazs and Søndergaard 2013)
TINY = 1e-8  # keeps divisions finite
LOBE = 3  # bins on each side of a peak whose centroid is its frequency
FLAT = 1e-5  # neighbours that differ by a smaller share count as equal: rounding makes no peaks
MATCHING_ROUNDS = 4  # rounds that bring the bands of a sound to those of its grid
MAX_RATIO = 10.0  # a round raises no band by more
BLEND = 0.15  # width of the transition from tones to noise, relative to its frequency
SILENT = 1e-4  # a value below this share of the peak is not heard (-80 dB)
ZERO = 0.5 / 32767.0  # values up to this become zero in a file of 16 bits
SINC_LOBES = 16  # zeros of the sinc on each side, by which signals are resampled; chosen
KEPT_SECONDS = 0.01  # so much of the silence at the end of a clip is kept
INAUDIBLE_SHARE = 1e-3  # share of tones below which their phases are not needed
DETAIL = 0.5  # factor of the differences of paired bands
MAX_IMAGE = 0.5  # largest value of a stereo image
MAX_BALANCE_DB = 20.0  # level difference of two channels that MAX_IMAGE stands for
DELAY_SECONDS = 0.012  # the signal that makes channels differ is the sound, this much later
PITCH_HZ = (60.0, 400.0)  # lowest and highest pitch
RESOLVED_HZ = 1200.0  # up to which single harmonics show
VOICED = (0.6, 0.9)  # autocorrelation from which a frame pulses at all, and from which it has no noise
OCTAVE_COST = 0.05  # each octave below the highest pitch must be worth this much autocorrelation
MIN_OVERLAP = 0.1  # least overlap of the window with itself at a lag, which keeps divisions finite
MAX_GAIN_DB = 20.0  # no band of a slow signal is raised or lowered by more
FAINTEST = 1e-12  # least power of a slow signal, which keeps logarithms finite
TINY_POWER = 1e-30  # keeps divisions finite


def waves(samples: Array, item: Scale) -> list[Array]:
    """The waveforms (N,), or (N, 2) of stereo, of grids (n, C, R, T) in [-1, 1]. item: of sampler.json."""
    sounds = []
    grids = np.clip(np.nan_to_num(samples.astype(np.float64)), -1.0, 1.0)
    if item["bands"] == 1:
        return [signal(grid[:, 0], item) for grid in grids]
    bank = mel_bank(item["rate"], item["window"], item["bands"])
    for grid in unpair_bands(grids) if item["bands_per_row"] == 2 else grids:  # (1 or 3, M, T)
        level = steady(grid[0], item["steadiness"])
        unit = np.where(level <= item["floor"], -1.0, level)  # (M, T)
        audible = np.flatnonzero(unit.max(0) > item["tail"] + 1e-4)  # the last of these is the last that sounds
        unit[:, audible[-1] + 1 if len(audible) else 0 :] = -1.0
        bands = np.where(unit <= -1.0, 0.0, 10.0 ** (((unit - 1.0) * (item["depth"] / 2.0) + item["top"]) / 20.0))
        magnitude = from_mel(bands, bank)
        sound = match_bands(waveform(magnitude, item), bands, bank, item) / item["gain"]
        if len(grid) == 3:
            sound = to_stereo(sound, grid[1:], bank, item)
        peak = item["peak"] if item.get("levels") is None else peak_level(unit, item["levels"], item["peak"])
        heard = audible[-1] + 1 if len(audible) else 0  # frames
        end = max(end_of(heard, unit.shape[1], len(sound), item), 2 * item["fade"])
        sound[:end], sound[end:] = fade_ends(sound[:end], item["fade"]), 0.0
        sounds.append(at_peak(sound, peak))
    return sounds


def end_of(heard: int, frames: int, length: int, item: Scale) -> int:
    """Where a sound of `length` samples ends, of whose frames the first `heard` are not silent."""
    longest = item.get("longest") or length
    if item["lag"] is None or heard == frames:
        return int(longest)
    return int(min(max(heard * item["hop"] + item["lag"], 0), longest))


def at_peak(sound: Array, peak: float | None) -> Array:
    """A waveform with this largest value; without one, it is only scaled down if it would be clipped."""
    highest = max(np.abs(sound).max(), TINY)
    return np.asarray(sound / max(highest, 1.0) if peak is None else sound * (peak / highest))


def signal(values: Array, item: Scale) -> Array:
    """The waveform (N,), or (N, 2) of two channels, of a slow signal whose values (C, N) are learned as they are."""
    matched = matched_bands(values, item) if item["band_levels"] else values
    power = (
        np.square(values).mean(0).reshape(-1, item["hop"]).mean(1)
    )  # (T,), of each channel, since they may be opposite
    unit = np.clip(10.0 * np.log10(np.maximum(power, 1e-12)) * (2.0 / item["depth"]) + 1.0, -1.0, 1.0)
    audible = np.flatnonzero(unit > item["tail"] + 1e-4)
    heard = audible[-1] + 1 if len(audible) else 0  # frames
    unit[heard:] = -1.0
    sound = (matched.T if len(matched) == 2 else matched[0]) / item["gain"]
    sound[end_of(heard, len(unit), len(sound), item) :] = 0.0
    levels, peak = item.get("levels"), item["peak"]
    return at_peak(sound, peak if levels is None else peak_level(unit[None], levels, peak))


def matched_bands(values: Array, item: Scale) -> Array:
    """Signals (C, N), mirrored at their ends, whose bands are as loud as those of clips."""
    edges, *tables = item["band_levels"]
    means, shifts, factors = (np.array(rows) for rows in tables)  # each (C, K)
    length = values.shape[1]
    spectrum = np.fft.rfft(np.concatenate([values, values[:, ::-1]], 1))  # (C, F)
    power = np.square(np.abs(spectrum))
    power = power / max(power.sum(), TINY_POWER)
    bands = list(itertools.pairwise(edges))
    levels = 10.0 * np.log10(np.stack([power[:, low:high].mean(1) for low, high in bands], 1) + FAINTEST)
    gains = np.clip(shifts + (factors - 1.0) * (levels - means), -MAX_GAIN_DB, MAX_GAIN_DB)
    middles = [(low + high - 1) / 2.0 for low, high in bands]
    decibels = np.stack([np.interp(np.arange(length + 1), middles, row) for row in gains])
    return np.asarray(np.fft.irfft(spectrum * 10.0 ** (decibels / 20.0), 2 * length)[:, :length])


def resampled(sound: Array, rate: int, new_rate: int) -> Array:
    """A waveform (N,) or (N, 2) at a higher rate, by a windowed sinc."""
    if new_rate == rate:
        return sound
    place = np.arange(len(sound) * new_rate // rate) * (rate / new_rate)
    first = np.floor(place).astype(int)
    out = np.zeros((len(place), *sound.shape[1:]))
    for offset in range(1 - SINC_LOBES, SINC_LOBES + 1):
        distance = place - (first + offset)
        weight = np.sinc(distance) * np.cos(distance * (math.pi / 2.0 / SINC_LOBES)) ** 2
        index = first + offset
        is_inside = (index >= 0) & (index < len(sound))
        weight = np.where(is_inside, weight, 0.0).reshape(-1, *[1] * (sound.ndim - 1))
        out += weight * sound[np.clip(index, 0, len(sound) - 1)]
    return out


def unpair_bands(grids: Array) -> Array:
    """Maps (n, 1 or 3, M, T) of grids (n, C, R, T) with two bands in a row: means, and as second channel their difference in level."""
    mean = np.delete(grids, 1, axis=1)  # (n, 1 or 3, R, T)
    half = np.zeros_like(mean)
    room = 1.0 - np.abs(mean[:, 0])  # near silence there is little room for a difference
    half[:, 0] = np.clip(grids[:, 1] / DETAIL, -room, room)
    n, maps, rows, frames = mean.shape
    return np.stack([mean + half, mean - half], 3).reshape(n, maps, 2 * rows, frames)


def steady(level: Array, stages: Sequence[tuple[int, Sequence[float], Sequence[float]]]) -> Array:
    """Levels (M, T) whose distances from running medians are multiplied by factors, which depend on the median.

    stages: the window of the median, levels, and the factor of each."""
    for window, places, factors in stages:
        padded = np.pad(level, ((0, 0), (window // 2, window // 2)), mode="edge")
        median = np.median(np.lib.stride_tricks.sliding_window_view(padded, window, axis=1), axis=2)
        level = median + np.interp(median, places, factors) * (level - median)
    return level


def peak_level(unit: Array, levels: Scale, peak: float) -> float:
    """The peak of the waveform of a grid (M, T), chosen such that samples are as loud as the data."""
    total = float(np.concatenate([unit.mean(1), unit.max(1)]) @ levels["weights"])
    decibels = float(np.interp(total, levels["sums"], levels["decibels"]))
    return float(min(peak * 10.0 ** (decibels / 20.0), 1.0))


def fade_ends(sound: Array, edge: int) -> Array:
    """A waveform (N,) or (N, 2) that fades in and out within `edge` samples."""
    ramp = np.minimum(np.arange(len(sound)) / edge, 1.0)
    return np.asarray(sound * (ramp * ramp[::-1]).reshape(-1, *[1] * (sound.ndim - 1)))


def cut_tail(sound: Array, rate: int) -> Array:
    """A waveform (N,) or (N, 2) without the silence at its end, except for KEPT_SECONDS; a silent one stays as it is."""
    size = np.abs(sound).reshape(len(sound), -1).max(1)
    audible = np.flatnonzero(size > max(SILENT * float(size.max(initial=0.0)), ZERO))
    return sound[: audible[-1] + 1 + round(KEPT_SECONDS * rate)] if len(audible) else sound


def waveform(magnitude: Array, item: Scale) -> Array:
    """A waveform (N,) with magnitudes (F, T): steady tones below `noise_from`, noise above it."""
    share = np.zeros((len(magnitude), 1))
    if item["noise_from"] is not None:
        hertz = np.arange(len(magnitude)) * (item["rate"] / item["window"])
        share = 1.0 / (1.0 + np.exp((item["noise_from"] - hertz) / (BLEND * item["noise_from"])))[:, None]
    bins = int((share < 1.0 - INAUDIBLE_SHARE).sum())
    tonal = (magnitude * (1.0 - share))[:bins]
    tones = griffin_lim(tonal, steady_phase(tonal, item["window"], item["hop"]), item)
    # A noise of its own for each clip, by its mean level in hundredths of a decibel
    seed = round(2000.0 * float(np.log10(max(float(magnitude.mean()), TINY) / TINY)))
    noise = np.random.default_rng(seed).standard_normal((item["length"],), dtype=np.float32).astype(np.float64)
    source = stft(pitched_source(magnitude, noise, item) if item["pitched"] else noise, item)
    return tones + istft(magnitude * share * source / np.maximum(np.abs(source).mean(0), TINY), item)


def pitched_source(magnitude: Array, noise: Array, item: Scale) -> Array:
    """(N,) pulses at the pitch of magnitudes (F, T) where they are voiced, and noise (N,) elsewhere."""
    time = (np.arange(len(noise)) + 0.5) / item["hop"] - 0.5  # (N,) time of each sample, in frames
    hertz, voicing = (np.interp(time, np.arange(magnitude.shape[1]), values) for values in pitch(magnitude, item))
    share = np.clip((voicing - VOICED[0]) / (VOICED[1] - VOICED[0]), 0.0, 1.0)
    cycles = hertz / item["rate"]  # a sample
    turns = np.cumsum(cycles)
    heights = np.diff(np.floor(turns), prepend=0.0) * np.sqrt(1.5 / cycles)  # sharing takes a third of the power
    heights[0] = 0.0
    before = heights * (turns % 1.0) / cycles  # the share of the sample before, by the time since the pulse
    pulses = heights - before + np.append(before[1:], 0.0)
    return np.asarray(np.sqrt(share) * pulses + np.sqrt(1.0 - share) * noise)


def pitch(magnitude: Array, item: Scale) -> tuple[Array, Array]:
    """The pitch in Hz of each frame of magnitudes (F, T), and its autocorrelation there, (T,) each (Boersma 1993)."""
    rate, size = item["rate"], item["window"]
    hertz = np.arange(len(magnitude)) * (rate / size)
    correlation = np.fft.irfft(np.where(hertz[:, None] < RESOLVED_HZ, magnitude**2, 0.0), size, axis=0)  # (lags, T)
    window = 0.5 - 0.5 * np.cos(2.0 * math.pi * np.arange(size) / size)
    overlap = np.correlate(window, window, "full")[size - 1 :]
    overlap = np.maximum(overlap / overlap[0], MIN_OVERLAP)
    correlation = correlation / np.maximum(correlation[:1], TINY**2) / overlap[:, None]
    low, high = max(2, math.ceil(rate / PITCH_HZ[1])), min(int(rate / PITCH_HZ[0]), size // 2 - 1)
    cost = OCTAVE_COST * np.log2(np.arange(low, high + 1) / low)
    lag = low + (correlation[low : high + 1] - cost[:, None]).argmax(0)
    before, middle, after = (np.take_along_axis(correlation, (lag + step)[None], 0)[0] for step in (-1, 0, 1))
    bend = before - 2.0 * middle + after
    is_bent = bend < -TINY
    offset = np.clip(np.where(is_bent, 0.5 * (before - after) / np.where(is_bent, bend, 1.0), 0.0), -0.5, 0.5)
    return rate / (lag + offset), middle


def to_stereo(sound: Array, image: Array, bank: Array, item: Scale) -> Array:
    """(N, 2) from mono (N,) and a stereo image (2, M, T): how much louder the left channel is, and how similar both are."""
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
    """(M, F) triangles, evenly spaced on the mel scale; each sums to 1 and is at least two bins wide."""
    lowest, top = (2595.0 * math.log10(1.0 + hertz / 700.0) for hertz in (LOWEST_HZ, rate / 2))
    points = 700.0 * (10.0 ** (np.linspace(lowest, top, bands + 2) / 2595.0) - 1.0)
    low, centre, high = points[:-2, None], points[1:-1, None], points[2:, None]
    low, high = np.minimum(low, centre - rate / window), np.maximum(high, centre + rate / window)
    bins = np.arange(window // 2 + 1) * (rate / window)
    bank = np.maximum(np.minimum((bins - low) / (centre - low), (high - bins) / (high - centre)), 0.0)
    return np.asarray(bank / bank.sum(1, keepdims=True))


def from_mel(mel: Array, bank: Array, rounds: int = MEL_ROUNDS) -> Array:
    """Magnitudes (F, T) whose mel bands are close to (M, T) (multiplicative updates of Lee and Seung 1999, divergence)."""
    weight = np.maximum(bank.sum(0)[:, None], TINY)
    magnitude: Array = (bank.T @ mel) / weight
    for _ in range(rounds):
        magnitude = magnitude * (bank.T @ (mel / np.maximum(bank @ magnitude, TINY))) / weight
    return magnitude


def match_bands(sound: Array, mel: Array, bank: Array, item: Scale) -> Array:
    """A waveform (N,) whose mel bands are brought near to (M, T); what is finer than a band stays."""
    spread = (bank / np.maximum(bank.sum(0), TINY)).T  # (F, M)
    for _ in range(MATCHING_ROUNDS):
        spectrum = stft(sound, item)
        ratio = np.minimum(mel / np.maximum(bank @ np.abs(spectrum), TINY), MAX_RATIO)
        sound = istft(spectrum * (spread @ ratio), item)
    return sound


def steady_phase(magnitude: Array, window: int, hop: int) -> Array:
    """Phases (F, T) in which every peak is a steady tone (Beauregard, Harish and Wyse 2015)."""
    bins, num_frames = magnitude.shape
    positions, previous_phase, phase = np.arange(bins), np.zeros(bins), np.empty_like(magnitude)
    for frame in range(num_frames):
        padded = np.pad(magnitude[:, frame], 1)
        low, middle, high = padded[:-2], padded[1:-1], padded[2:]
        peak = (middle > low * (1.0 + FLAT)) & (middle >= high * (1.0 - FLAT))
        windows = np.lib.stride_tricks.sliding_window_view(np.pad(magnitude[:, frame], LOBE), 2 * LOBE + 1)
        centroid = (windows @ np.arange(-LOBE, LOBE + 1)) / np.maximum(windows.sum(1), TINY)
        offset = np.clip(centroid, -1.0, 1.0)
        advanced = previous_phase + hop * 2 * math.pi * (positions + offset) / window
        left = np.maximum.accumulate(np.where(peak, positions, -2 * bins))
        right = np.minimum.accumulate(np.where(peak, positions, 2 * bins)[::-1])[::-1]
        nearest = np.clip(np.where(positions - left <= right - positions, left, right), 0, bins - 1)
        previous_phase = advanced[nearest]
        # Under a Hann window neighbouring bins differ by half a turn
        phase[:, frame] = previous_phase + math.pi * (positions - nearest)
    return phase


def griffin_lim(magnitude: Array, phase: Array, item: Scale) -> Array:
    """A waveform (N,) whose magnitudes are close to (F, T), from an initial phase; frequencies left out at the top are silent."""
    rotation, last = np.exp(1j * phase), None
    for _ in range(item["rounds"]):
        real = stft(istft(magnitude * rotation, item), item)[: len(magnitude)]
        extrapolated = real if last is None else real + MOMENTUM * (real - last)
        rotation, last = extrapolated / np.maximum(np.abs(extrapolated), TINY), real
    return istft(magnitude * rotation, item)


def _hann(size: int) -> Array:
    return np.asarray(0.5 - 0.5 * np.cos(2 * math.pi * np.arange(size) / size))


def stft(sound: Array, item: Scale) -> Array:
    """Short-time Fourier transform: (N,) -> (F, T), complex."""
    size, hop = item["window"], item["hop"]
    edge = (size - hop) // 2
    padded = np.pad(sound, (edge, size - hop - edge))
    pieces = np.lib.stride_tricks.sliding_window_view(padded, size)[::hop]  # (T, size)
    return np.asarray(np.fft.rfft(pieces * _hann(size), axis=1).T)


def istft(spectrum: Array, item: Scale) -> Array:
    """Least-squares inverse of `stft`: (F, T), complex -> (N,) (Griffin and Lim 1984)."""
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
    """A 16-bit WAV file of a waveform (N,) or (N, 2)."""
    out = io.BytesIO()
    with wave.open(out, "wb") as file:
        file.setnchannels(sound.ndim)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(np.rint(np.clip(sound, -1.0, 1.0) * 32767.0).astype("<i2").tobytes())
    return out.getvalue()
