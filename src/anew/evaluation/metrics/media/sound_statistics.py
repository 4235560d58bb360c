"""Sound statistics that people notice first: pulses at the frame rate, silence, attack, decay, width and balance of stereo.

Legend for shapes: n clips, N samples of each, F frames.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from anew.core.arrays import Numbers
from anew.data.formats.sound.audio import end_of
from anew.evaluation.metrics.distances import Array
from anew.evaluation.metrics.item_statistics import ItemStatistic, statistic_spec
from anew.evaluation.score import MetricSpec, Tolerance
from anew.functional.envelope import LAGS

QUIET_DB = 40.0  # decibels below the loudest frame at which a frame counts as silent
FRAME = 0.01  # seconds of a frame: shorter than any pause of speech


# A smaller share of the power of a clip is not heard beside the rest, so it is on neither side.
INAUDIBLE = 1e-6
# Parts of a clip in which tones have a place; chosen: as many as 300 clips can say something of
PLACE_TIMES, PLACE_BANDS = 4, 4
MAX_PLACE_DB = 20.0  # if one channel is louder than the other by more, sound is heard on that side alone
HEARD_DB = 40.0  # dB below the loudest tone of a clip; softer ones are hardly heard, and are left out of both sets
MAX_DELAY = 1e-3  # seconds from one ear to the other: 0.7 ms at most
HEARD_CORRELATION = 0.02  # steps of correlation: less is hardly heard, not even of clips that are nearly mono; chosen
ONSET_FRAME = 0.002  # seconds of a frame of attacks: whether one is shorter is hardly heard
NOTICED = 0.2  # seconds of silence at an end of a file: less is hardly noticed, and encoders add some; chosen
SHORTEST = 0.02  # seconds of a sound that is heard as one; chosen
LENGTH_STEP = 0.05  # step in which the logarithm of a length is counted; chosen
LENGTH_MEANING = "seconds of sound between silent ends, in steps of a twentieth"
ONSET, RISEN = 0.1, 0.5  # amplitudes between which an attack is measured, as shares of the peak
CHANNEL_CORRELATION = statistic_spec(
    "channel_correlation", "Correlation of left and right", "correlation of left and right"
)
PULSE_DISTANCE = MetricSpec(
    "pulse_distance",
    "Buzzing",
    "How much more, or less, the high tones of samples go up and down at a steady rate than real ones do (0 = the same).",
    tolerance=Tolerance(
        "closeness",
        0.1,
        0.3,
        "high tones pulse steadily, more or less than real ones do (by {value:.2f}; real data: {real:.2f})",
        agreement="high tones pulse steadily as much as real ones do (within {value:.2f}; real data: {real:.2f})",
    ),
)
PULSE_SOURCE = (
    "largest difference of the mean autocorrelation of envelopes above 2 kHz, at any lag of "
    f"{LAGS[0] * 1e3:.0f} to {LAGS[1] * 1e3:.0f} ms"
)
SILENCE_SHARE = statistic_spec("silence_share", "Silence", "share of silence")
ATTACK = statistic_spec("attack", "Attack", "attack (how fast it becomes loud)")
DECAY = statistic_spec("decay", "Decay", "decay (how fast it fades)")
SILENCE_BEFORE = statistic_spec("silence_before", "Silence at the beginning", "silence at the beginning")
SILENCE_AFTER = statistic_spec("silence_after", "Silence at the end", "silence at the end")
LENGTH = statistic_spec("length", "Length", "length")


def silence(items: Sequence[Numbers] | Numbers, rate: int) -> Array:
    """(n,) share of frames that are QUIET_DB below the loudest frame of their clip (N,)."""
    power = _frame_power(items, rate, FRAME)
    return np.asarray((power <= power.max(axis=1, keepdims=True) * 10.0 ** (-QUIET_DB / 10.0)).mean(axis=1))


def attack(items: Sequence[Numbers] | Numbers, rate: int) -> Array:
    """(n,) milliseconds in which clips (N,) rise from a tenth to half of the amplitude of their loudest frame."""
    power = _frame_power(items, rate, ONSET_FRAME)
    peak = power.max(axis=1, keepdims=True)
    frames = (power >= RISEN**2 * peak).argmax(axis=1) - (power >= ONSET**2 * peak).argmax(axis=1)
    return np.asarray(1e3 * ONSET_FRAME * frames)


def decay(items: Sequence[Numbers] | Numbers, rate: int) -> Array:
    """(n,) decibels a second by which clips (N,) fall from their loudest frame until QUIET_DB below it, by least squares."""
    power = _frame_power(items, rate, FRAME)
    peak = np.maximum(power.max(axis=1, keepdims=True), 1e-20)
    level = np.maximum(10.0 * np.log10(power / peak + 1e-20), -QUIET_DB)  # (n, F)
    frame = np.arange(power.shape[1])[None]
    is_loud = level > -QUIET_DB
    last = power.shape[1] - is_loud[:, ::-1].argmax(axis=1)  # the first frame after all that are loud
    weight = ((frame >= power.argmax(axis=1)[:, None]) & (frame <= last[:, None])).astype(np.float64)
    total = weight.sum(axis=1, keepdims=True)
    from_mean = frame - (weight * frame).sum(axis=1, keepdims=True) / total
    slope = (weight * from_mean * level).sum(axis=1) / np.maximum((weight * from_mean**2).sum(axis=1), 1e-9)
    return np.asarray(-slope / FRAME)


def _frame_power(items: Sequence[Numbers] | Numbers, rate: int, seconds: float) -> Array:
    """(n, F) mean power of frames of clips (N,) that are so long."""
    width = max(round(seconds * rate), 1)
    x = np.stack([np.asarray(item, dtype=np.float64) for item in items])
    frames = max(x.shape[1] // width, 1)
    return np.asarray(np.square(x[:, : frames * width]).reshape(len(x), frames, -1).mean(axis=2))


def stereo_width(items: Sequence[Numbers] | Numbers) -> Array:
    """(n,) power of the difference of both channels of clips (N, 2), as a share of the whole: 0 mono, 0.5 unrelated channels."""
    x = _channels(items)
    difference = np.square(x[:, :, 0] - x[:, :, 1]).sum(axis=1) / 2.0
    return np.asarray(difference / np.maximum(np.square(x).sum(axis=(1, 2)), 1e-12))


def balance(items: Sequence[Numbers] | Numbers) -> Array:
    """(n,) decibels by which the left channel of clips (N, 2) is louder than the right."""
    power = np.square(_channels(items)).sum(axis=1)  # (n, 2)
    level = 10.0 * np.log10(power + INAUDIBLE * power.sum(axis=1, keepdims=True) + 1e-20)
    return np.asarray(level[:, 0] - level[:, 1])


def stereo_places(items: Sequence[Numbers] | Numbers, rate: int) -> Array:
    """(n, 16) where the tones of clips (N, 2) at a rate in Hz stand, in PLACE_TIMES parts of the clip and PLACE_BANDS mel bands each.

    This is how many decibels louder they are on the left, at most MAX_PLACE_DB, and less, the softer they are: 0 from HEARD_DB below
    the loudest of the clip on. It shows which tones are on which side, and how they move.
    """
    x = _channels(items)
    width = max(x.shape[1] // PLACE_TIMES, 2 * PLACE_BANDS)
    x = np.pad(x, ((0, 0), (0, max(PLACE_TIMES * width - x.shape[1], 0)), (0, 0)))[:, : PLACE_TIMES * width]
    spectra = np.fft.rfft(x.reshape(len(x), PLACE_TIMES, width, 2), axis=2)
    mel = np.log1p(np.fft.rfftfreq(width, 1.0 / rate) / 700.0)
    first = np.searchsorted(mel, np.linspace(0.0, mel[-1], PLACE_BANDS, endpoint=False))
    first = np.maximum(first, np.arange(PLACE_BANDS))  # no band is empty
    power = np.add.reduceat(np.square(np.abs(spectra)), first, axis=2)  # (n, times, bands, 2)
    total = power.sum(axis=3)
    loudest = total.max(axis=(1, 2), keepdims=True) + 1e-20
    weight = np.maximum(1.0 + 10.0 * np.log10(total / loudest + 1e-9) / HEARD_DB, 0.0)
    level = 10.0 * np.log10(power + INAUDIBLE * loudest[..., None])
    places = np.clip(level[..., 0] - level[..., 1], -MAX_PLACE_DB, MAX_PLACE_DB) * weight
    return np.asarray(places.reshape(len(x), -1))


def channel_correlation(items: Sequence[Numbers] | Numbers, rate: int) -> Array:
    """(n,) sum of the largest and the smallest correlation of both channels of clips (N, 2) at delays of up to MAX_DELAY.

    If one channel is inverted, its sign changes, whatever the delay between channels; the correlation at one delay is near 0 if they
    come at different times. A tone correlates as much with the opposite sign half a period later, so it says little, rightly.
    """
    return np.array(
        [_correlation(np.asarray(item, dtype=np.float64), max(round(MAX_DELAY * rate), 1)) for item in items]
    )


def _correlation(clip: Array, max_delay: int) -> float:
    """`channel_correlation` of a clip (N, 2), at delays of up to so many samples."""
    size = 2 ** (len(clip) + max_delay).bit_length()
    left, right = np.fft.rfft(clip, size, axis=0).T
    products = np.fft.irfft(left * right.conj(), size)
    energy = np.square(clip).sum(axis=0)
    floor = INAUDIBLE * energy.sum() + 1e-20
    near = np.concatenate([products[-max_delay:], products[: max_delay + 1]]) / np.sqrt(np.prod(energy + floor))
    return HEARD_CORRELATION * round(float(near.max() + near.min()) / HEARD_CORRELATION)


def _channels(items: Sequence[Numbers] | Numbers) -> Array:
    """(n, N, 2) clips of one length."""
    return np.stack([np.asarray(item, dtype=np.float64) for item in items])


STEREO_WIDTH = ItemStatistic(
    statistic_spec("stereo_width", "Stereo width", "stereo width"),
    stereo_width,
    "power of the difference of both channels, as a share of the whole",
)
BALANCE = ItemStatistic(
    statistic_spec("balance", "Left and right", "balance of left and right"),
    balance,
    "decibels by which the left channel is louder than the right",
)


def stereo_statistics(rate: int) -> tuple[ItemStatistic, ...]:
    """The statistics of stereo clips at a rate in Hz."""
    correlation = ItemStatistic(
        CHANNEL_CORRELATION,
        lambda items: channel_correlation(items, rate),
        f"largest plus smallest correlation of both channels at delays of up to {1e3 * MAX_DELAY:.0f} ms",
    )
    return (STEREO_WIDTH, BALANCE, correlation)


def pulse_spec(samples: Numbers, real: Numbers) -> MetricSpec:
    """PULSE_DISTANCE in words that say which of both pulse more. samples, real: pulses (n, lags)."""
    difference = np.asarray(samples.mean(axis=0) - real.mean(axis=0), dtype=np.float64)
    is_more = difference[np.abs(difference).argmax()] > 0.0
    words = "high tones buzz more than" if is_more else "high tones have less of a steady pulse than"
    tolerance = PULSE_DISTANCE.tolerance
    assert tolerance is not None
    clause = f"{words} real ones (by {{value:.2f}}; real data: {{real:.2f}})"
    return replace(PULSE_DISTANCE, tolerance=replace(tolerance, clause=clause))


def length(items: Sequence[Numbers] | Numbers, rate: int) -> Array:
    """(n,) seconds of clips (N,) up to the last frame that can be heard, as `rounded_length` has them."""
    return rounded_length(np.array([end_of(np.asarray(item, dtype=np.float32)) for item in items]) / rate)


def rounded_length(seconds: Array) -> Array:
    """Lengths (n,) in seconds, rounded in steps of a twentieth: smaller differences are hardly heard."""
    return np.asarray(np.exp(LENGTH_STEP * np.round(np.log(np.maximum(seconds, SHORTEST)) / LENGTH_STEP)))


def file_statistics() -> tuple[ItemStatistic, ...]:
    """The statistics of whole files, of which (n, 3) seconds of silence before and after the sound, and of the sound, are given."""
    return (
        ItemStatistic(
            SILENCE_BEFORE,
            lambda extents: np.maximum(np.asarray(extents)[:, 0], NOTICED),
            f"seconds of silence before the sound in files, at least {NOTICED}",
        ),
        ItemStatistic(
            SILENCE_AFTER,
            lambda extents: np.maximum(np.asarray(extents)[:, 1], NOTICED),
            f"seconds of silence after the sound in files, at least {NOTICED}",
        ),
        ItemStatistic(
            LENGTH, lambda extents: rounded_length(np.asarray(extents, dtype=np.float64)[:, 2]), LENGTH_MEANING
        ),
    )


def envelope_statistics(rate: int) -> tuple[ItemStatistic, ...]:
    """The statistics of mono clips at a rate in Hz."""
    return (
        ItemStatistic(
            SILENCE_SHARE,
            lambda items: silence(items, rate),
            f"share of 10 ms frames that are {QUIET_DB:.0f} dB below the loudest",
        ),
        ItemStatistic(
            ATTACK,
            lambda items: attack(items, rate),
            f"milliseconds from {ONSET:.0%} to {RISEN:.0%} of the loudest amplitude, in steps of {1e3 * ONSET_FRAME:.0f}",
        ),
        ItemStatistic(
            DECAY,
            lambda items: decay(items, rate),
            f"decibels a second after the loudest 10 ms, until {QUIET_DB:.0f} dB below it",
        ),
    )
