"""Stored clips -> log-mel magnitudes in [-1, 1], and back to sound, for which phases are reconstructed.

Legend for shapes: B clips, N samples, M bands, T frames; C channels and R rows of a grid. Clips are (N,) of mono and (N, 2) of
stereo sound. A spectrogram has one map, the level, and for stereo sound two more (see `anew.functional.stereo`). A row of a grid is
a band, or a pair of them (see `anew.functional.band_pairs`).
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

if TYPE_CHECKING:
    from torch import Tensor

    from anew.functional.band_levels import BandLevels
    from anew.functional.spectrogram import Frames
    from anew.functional.steadiness import Stages

RANGE_DB = 70.0  # range of a spectrogram in decibels: quieter sound is hardly heard
STORED_SCALE = 32767.0  # 16-bit value that stands for 1
CLIPS_AT_ONCE = 64  # clips whose phases are estimated at once: bounds memory
# Values of the windows that are transformed at once: of more, the memory (100 MB here) takes more time than the transform
VALUES_AT_ONCE = 1 << 22
# Candidates in Hz for the frequency above which a sound is made of noise, highest first.
NOISE_FROM = (6000.0, 4500.0, 3500.0, 3000.0, 2500.0, 2000.0, 1500.0)
# Largest value that may count as silence anywhere, 3 decibels above the quietest that is kept; chosen.
LOUDEST_FLOOR = -0.92
ROUNDING = 1e-4  # silence may differ so much from -1 after the way to pairs of bands and back
LOUDEST_TAIL = -0.3  # largest value of a grid that may count as silence: 45 decibels below the loudest
MIN_ENDING = 8  # clips that must end before the grid does for `lag` to be learned; chosen
COMPARED_CLIPS = 32  # clips by whose pulses the candidate is chosen
ROUND_TRIP_CLIPS = 16  # clips by which bands are chosen: 3 s at 44.1 kHz with 32
CLIPS_IN_TURN = 4  # clips that are compared between two looks at the clock, and at least; chosen
# Loss of the round trip with pairs of bands, as a share of that without, up to which bands are paired: notes (0.46), drums (0.69) and
# spoken names (0.73) came closer with pairs, game effects (0.78) and spoken digits (0.90) did not (docs/log.md, 2026-11-30).
# Between names and effects lies 0.75. It is 0.04 less, by which the loss of 16 clips differs from that of 32: in doubt, no pairs.
MAX_LOSS_OF_PAIRS = 0.71
INAUDIBLE_SHARE = 1e-3  # phases of tones with a smaller share are not needed
# Improvement of `pulse_distance` that a lower candidate must bring: without a gain from noise, tones sound better.
MIN_IMPROVEMENT = 0.02
MIN_PICTURE_SIDE = 96  # pixels: smaller pictures are hard to see
# Colours from silence to the loudest, ever brighter, which read the same in grey and for colour-blind readers.
COLOURS = ((0, 0, 4), (59, 15, 112), (140, 41, 129), (222, 73, 104), (254, 159, 109), (252, 253, 191))


@dataclass(frozen=True, slots=True)
class SoundScale:
    """Scaling of stored clips, and the grid that sounds are generated from.

    Attributes:
        shape: Shape of the clips.
        top: Level in decibels that becomes 1.
        gain: Factor by which samples are multiplied before that.
        noise_from: Hz above which sounds are shaped noise instead of steady tones; None for tones only.
        pitched: Whether that noise gives way to pulses where a voice has a pitch.
        floor: Value of a grid up to which a sample is silent there; -1 for the silence of the clips themselves.
        tail: Value of a grid up to which the end of a sample is silence.
        lag: Samples of the waveform from the end of the last audible frame to the end of the sound, mostly below 0, since the
            window of that frame may begin just before the end; None if clips do not end before the grid does.
        longest: Samples of the waveform after which no clip sounds: fewer than the grid holds, as where files of one length are shorter;
            None if a clip sounds to its end.
        steadiness: Stages of `anew.functional.steadiness` that levels of samples go through; none for clips, see `of_clips`.
        band_levels: How levels of bands of samples of slow signals become those of clips; None for clips, and for sounds.
    """

    shape: Shape
    top: float = 0.0
    gain: float = 1.0
    noise_from: float | None = None
    pitched: bool = False
    floor: float = -1.0
    tail: float = -1.0
    lag: int | None = None
    steadiness: Stages = ()
    band_levels: BandLevels | None = None
    longest: int | None = None

    @classmethod
    def of(
        cls, shape: Shape, rows: Numbers, keep: bool, peak: float, reading: ReadingTime | None = None
    ) -> tuple[SoundScale, Tensor]:
        """The scale of stored clips, and their grids (n, C, R, T). Bands are paired where that keeps more of these clips.

        Args:
            shape: Shape of the clips, without pairs.
            rows: (n, N) or (n, N, 2) stored clips.
            keep: Whether clips keep their own loudness; then only the loudest one is scaled to `peak`.
            peak: Largest value of a clip.
            reading: Once it is over, fewer clips are compared; None for no limit.
        """
        reading = ReadingTime() if reading is None else reading
        gain = peak / max(float(np.abs(rows).max()) / STORED_SCALE, audio.SILENT) if keep else 1.0
        compared = rows[:COMPARED_CLIPS]
        compared = compared if compared.ndim == 2 else compared.mean(axis=2)  # (n, N)
        shape = _best_shape(shape, compared, gain, reading)
        scale, unscaled = cls._topped(shape, rows, gain)
        compared = compared[:CLIPS_IN_TURN] if reading.is_over() else compared
        mono = replace(scale, shape=replace(scale.shape, channels=1))
        noise_from, pitched = mono._pulsing_as_real(compared)
        return replace(scale, noise_from=noise_from, pitched=pitched), scale._as_grid(scale._scaled(unscaled))

    @classmethod
    def _topped(cls, shape: Shape, rows: Numbers, gain: float) -> tuple[SoundScale, Tensor]:
        """The scale by the loudest levels of stored clips, and their `decibels`."""
        unscaled = cls(shape, 0.0, gain).decibels(rows)
        loudest = unscaled[:, 0].flatten(1).amax(1)  # (n,)
        return cls(shape, float(np.quantile(loudest.numpy(), 0.99)), gain), unscaled

    def round_trip_losses(self, rows: Numbers) -> list[float]:
        """How far the magnitudes of each of mono clips (n, N) are from themselves after the way to the grid and back, as a share
        of them (spectral convergence)."""
        import torch

        magnitude = self.frames.stft(torch.from_numpy(np.asarray(rows, np.float32) * (self.gain / STORED_SCALE))).abs()
        sounds = torch.from_numpy(np.stack(self.waves(self.grid(rows), rounds=2))) * self.gain
        errors = (self.frames.stft(sounds).abs() - magnitude).flatten(1).norm(dim=1)
        losses: list[float] = (errors / magnitude.flatten(1).norm(dim=1).clamp_min(audio.SILENT)).tolist()
        return losses

    @property
    def frames(self) -> Frames:
        """Frames that clips are cut into."""
        from anew.functional.spectrogram import Frames

        return Frames(self.shape.rate, self.shape.window, self.shape.hop)

    def numbers(self) -> dict[str, object]:
        """The numbers that a program needs to turn grids into sound."""
        shape = self.shape
        sizes = {
            "rate": shape.rate,
            "window": shape.window,
            "hop": shape.hop,
            "bands": shape.bands,
            "bands_per_row": shape.bands_per_row,
            "length": shape.length,
        }
        levels = {"channels": shape.channels, "depth": RANGE_DB, "top": self.top, "gain": self.gain}
        sources = {"noise_from": self.noise_from, "pitched": self.pitched}
        endings = {"floor": self.floor, "tail": self.tail, "lag": self.lag, "longest": self.longest}
        calibration = {"steadiness": self.steadiness, "band_levels": self.band_levels}
        return {**sizes, **levels, **sources, **endings, **calibration}

    def of_clips(self) -> SoundScale:
        """The scale without what makes samples as clips are."""
        return replace(self, steadiness=(), band_levels=None)

    def _pulsing_as_real(self, rows: Numbers) -> tuple[float | None, bool]:
        """Choose the frequency in Hz above which noise replaces tones (None: tones only), and whether it pulses at a pitch.

        With these, stored clips (B, N) that are resynthesised from their own spectrograms pulse most like the clips themselves.
        """
        from anew.functional.envelope import pulse_distance, pulses
        from anew.functional.pitch import can_show_pitch
        from anew.functional.spectrogram import from_mel, noise_share

        frames, rate = self.frames, self.shape.rate
        magnitude = from_mel(self._mel(self._scaled(self.decibels(rows))[:, 0]), self._bank)
        tones = self._tones(magnitude, rounds=0)
        real, tonal = pulses(rows, rate), frames.stft(tones)
        best: tuple[float | None, bool] = (None, False)
        best_distance = pulse_distance(pulses(tones.numpy(), rate), real)
        for pitched in (False, True) if can_show_pitch(frames) else (False,):
            noisy = frames.stft(replace(self, pitched=pitched)._filtered(magnitude, magnitude))
            for noise_from in (hertz for hertz in NOISE_FROM if hertz < 0.45 * rate):
                share = noise_share(frames, noise_from)
                mixed = frames.istft(tonal * (1.0 - share) + noisy * share, self.shape.length)
                distance = pulse_distance(pulses(mixed.numpy(), rate), real)
                if distance < best_distance - MIN_IMPROVEMENT:
                    best, best_distance = (noise_from, pitched), distance
        return best

    def decibels(self, rows: Numbers) -> Tensor:
        """Stored clips (B, N) or (B, N, 2) -> (B, 1 or 3, M, T): decibels of the mean power of the channels, and where two stand."""
        import torch

        at_once = max(1, VALUES_AT_ONCE // (self.shape.frames * self.shape.window))
        pieces = [rows[start : start + at_once] for start in range(0, len(rows), at_once)]
        return torch.cat([self._decibels(piece) for piece in pieces])

    def _decibels(self, rows: Numbers) -> Tensor:
        """`decibels` of a few clips."""
        import torch

        from anew.functional.spectrogram import power
        from anew.functional.stereo import stereo_image

        x = torch.from_numpy(np.asarray(rows, dtype=np.float32)) * (self.gain / STORED_SCALE)
        spectra = [self.frames.stft(channel) for channel in (x.unbind(2) if x.ndim == 3 else [x])]  # (B, F, T) each
        size = torch.stack(list(map(power, spectra))).mean(0).sqrt()
        level = 20.0 * (self._bank @ size).clamp_min(1e-7).log10()[:, None]
        if len(spectra) == 1:
            return level
        return torch.cat([level, stereo_image(spectra[0], spectra[1], self._bank)], 1)

    def _scaled(self, decibels: Tensor) -> Tensor:
        """The spectrograms (B, 1 or 3, M, T) of `decibels`, in [-1, 1]."""
        import torch

        level = ((decibels[:, :1] - self.top) * (2.0 / RANGE_DB) + 1.0).clamp(-1.0, 1.0)
        return torch.cat([level, decibels[:, 1:]], 1)

    @property
    def _bank(self) -> Tensor:
        from anew.functional.spectrogram import mel_bank

        return mel_bank(self.shape.rate, self.shape.window, self.shape.bands)

    def grid(self, rows: Numbers) -> Tensor:
        """(B, N) or (B, N, 2) stored -> (B, C, R, T) in [-1, 1]."""
        return self._as_grid(self._scaled(self.decibels(rows)))

    def _as_grid(self, maps: Tensor) -> Tensor:
        from anew.functional.band_pairs import pair_bands

        return maps if self.shape.bands_per_row == 1 else pair_bands(maps)

    def deviation(self, grids: Tensor) -> float:
        """Standard deviation of the values of grids (n, C, R, T) about the mean of each channel, but for differences of pairs."""
        variance = grids.var((0, 2, 3))  # (C,)
        if self.shape.bands_per_row == 2:
            variance = variance[[0, *range(2, len(variance))]]
        return float(variance.mean().sqrt())

    def waves(self, x: Values, rounds: int) -> list[audio.Samples]:
        """Turn grids (B, C, R, T) in [-1, 1] into sounds, (N,) or (N, 2) each, with the magnitudes of the bands.

        Below `noise_from`, phases let tones continue, and are refined by `rounds` of Griffin-Lim; above it there is noise. Then the
        bands of the sound are brought to those of the grid.
        """
        import torch

        from anew.functional.spectrogram import from_mel, match_bands
        from anew.functional.stereo import to_stereo

        waves: list[audio.Samples] = []
        for grids in torch.split(torch.as_tensor(x).detach().float().cpu(), CLIPS_AT_ONCE):
            image = maps_of(grids, self.shape.bands_per_row)[:, 1:].nan_to_num()
            mel = self._mel(self.levels(grids))
            sound = match_bands(self._sound(from_mel(mel, self._bank), rounds), mel, self.frames, self._bank)
            if image.shape[1]:
                sound = to_stereo(sound, image, self.frames, self._bank)
            waves += list(sound.numpy() / np.float32(self.gain))
        return waves

    def levels(self, x: Values) -> Tensor:
        """The level (B, M, T) in [-1, 1] of grids (B, C, R, T), as steady as clips, with silence in and after each sound."""
        import torch

        level = self._steady_levels(x)
        level = level.masked_fill(level <= self.floor, -1.0)
        return torch.where(_is_tail(level, self.tail), -torch.ones_like(level), level)

    def _raw_levels(self, x: Values) -> Tensor:
        """(B, M, T) of grids (B, C, R, T)."""
        import torch

        return maps_of(torch.as_tensor(x).detach().float().cpu(), self.shape.bands_per_row)[:, 0]

    def _steady_levels(self, x: Values) -> Tensor:
        """`levels` without silence."""
        from anew.functional.steadiness import steady

        return steady(self._raw_levels(x).nan_to_num().clamp(-1.0, 1.0), self.steadiness)

    def lagging_as(self, grids: Values, lengths: Sequence[int]) -> SoundScale:
        """The scale with the mean `lag`, and `longest`, of clips, whose grids are (n, C, R, T) and whose sounds end after these lengths."""
        frames = _num_audible_frames(self.levels(grids))
        lags = [
            n - count * self.shape.hop for n, count in zip(lengths, frames, strict=True) if count < self.shape.frames
        ]
        # A clip that is full may end in some silent values
        longest, full = max(lengths, default=0), self.shape.length - round(audio.LEVEL_SECONDS * self.shape.rate)
        return replace(
            self,
            lag=round(float(np.mean(lags))) if len(lags) >= MIN_ENDING else None,
            longest=int(longest) if len(lengths) >= MIN_ENDING and 0 < longest < full else None,
        )

    def ends(self, x: Values) -> list[int]:
        """The length of the sound of each grid (n, C, R, T), in samples of the waveform; silence follows."""
        shape, lag = self.shape, self.lag
        longest = shape.length if self.longest is None else self.longest
        frames = _num_audible_frames(self.levels(x))
        return [
            longest if lag is None or n == shape.frames else min(max(0, n * shape.hop + lag), longest) for n in frames
        ]

    def as_steady_as(self, samples: Values, real: Values) -> SoundScale:
        """The scale with the `steadiness` that makes samples (n, C, R, T) fluctuate no more than real clips (m, C, R, T)."""
        from anew.functional.steadiness import fit_stages

        plain = self.of_clips()
        return replace(self, steadiness=fit_stages(plain._steady_levels(samples), plain._steady_levels(real)))

    def as_silent_as(self, samples: Values, real: Values) -> SoundScale:
        """The scale with the `floor` that makes samples (n, C, R, T) silent in as many places as real clips (m, C, R, T).

        A generator of continuous values comes near to silence, and does not reach it: it leaves a faint noise.
        """
        share = float((self._raw_levels(real) <= -1.0 + ROUNDING).float().mean())
        floor = float(np.quantile(self._steady_levels(samples).numpy(), share)) if share else -1.0
        return replace(self, floor=round(float(np.clip(floor, -1.0, LOUDEST_FLOOR)), 4))

    def ending_as(self, samples: Values, real: Values) -> SoundScale:
        """The scale with the `tail` that makes samples (n, C, R, T) on average as long as real clips (m, C, R, T)."""
        level, real_level = (
            replace(self, tail=-1.0).levels(samples),
            replace(self.of_clips(), floor=-1.0, tail=-1.0).levels(real),
        )

        def mean_length(levels: Tensor, tail: float) -> float:
            return float((~_is_tail(levels, tail))[:, 0].float().sum(1).mean())

        real_length = mean_length(real_level, -1.0)
        for tail in np.linspace(-1.0, LOUDEST_TAIL, 71).round(2):
            if mean_length(level, tail) <= real_length:
                break
        return replace(self, tail=float(tail))

    def _mel(self, grid: Tensor) -> Tensor:
        """(B, M, T) magnitudes of the bands, from (B, M, T) in [-1, 1]."""
        import torch

        mel = 10.0 ** (((grid - 1.0) * (RANGE_DB / 2.0) + self.top) / 20.0)
        return torch.where(grid <= -1.0, torch.zeros_like(mel), mel)

    def _sound(self, magnitude: Tensor, rounds: int) -> Tensor:
        """(B, N) of magnitudes (B, F, T)."""
        from anew.functional.spectrogram import noise_share

        if self.noise_from is None:
            return self._tones(magnitude, rounds)
        share = noise_share(self.frames, self.noise_from)  # (F, 1)
        bins = int((share < 1.0 - INAUDIBLE_SHARE).sum())  # frequencies whose phases are needed
        return self._tones(magnitude * (1.0 - share), rounds, bins) + self._filtered(magnitude, magnitude * share)

    def _tones(self, magnitude: Tensor, rounds: int, bins: int | None = None) -> Tensor:
        """Sounds (B, N) with phases in which tones continue, of the first `bins` frequencies (None: all)."""
        from anew.functional.spectrogram import griffin_lim, steady_phase

        tonal = magnitude[:, :bins]
        return griffin_lim(tonal, self.frames, self.shape.length, rounds, steady_phase(tonal, self.frames))

    def _filtered(self, magnitude: Tensor, wanted: Tensor) -> Tensor:
        """Noise, or pulses at the pitch of clips with magnitudes (B, F, T), filtered to the magnitudes wanted (B, F, T): (B, N).

        The noise is drawn by NumPy, as in exports.
        """
        import torch

        from anew.functional.pitch import pitched_source
        from anew.functional.spectrogram import filter_source, noise_seeds

        rngs = [np.random.default_rng(seed) for seed in noise_seeds(magnitude)]
        noise = np.stack([rng.standard_normal(self.shape.length, dtype=np.float32) for rng in rngs])
        source = torch.from_numpy(noise)  # (B, N)
        return filter_source(
            wanted, self.frames, pitched_source(magnitude, self.frames, source) if self.pitched else source
        )

    def picture(self, item: audio.Samples) -> NDArray[np.uint8]:
        """Draw the spectrogram of samples (N,) or (N, 2) in colour, low tones at the bottom, (H, W, 3)."""
        level = self.decibels(np.asarray(item, dtype=np.float32)[None] * STORED_SCALE)[0, 0].numpy()[::-1]
        unit = np.clip((level - self.top) / RANGE_DB + 1.0, 0.0, 1.0)
        tall, wide = (max(1, -(-MIN_PICTURE_SIDE // side)) for side in unit.shape)
        return level_colours(np.repeat(np.repeat(unit, tall, axis=0), wide, axis=1))


def maps_of(grids: Tensor, bands_per_row: int) -> Tensor:
    """The spectrograms (B, 1 or 3, M, T) of grids (B, C, R, T)."""
    from anew.functional.band_pairs import unpair_bands

    return grids if bands_per_row == 1 else unpair_bands(grids)


def _best_shape(shape: Shape, rows: Numbers, gain: float, reading: ReadingTime) -> Shape:
    """The shape, or that with pairs of bands where these keep clearly more of stored mono clips (n, N), or of those in time."""
    finer = shape.with_pairs
    if finer is None:
        return shape
    rows = rows[:ROUND_TRIP_CLIPS]
    plain, paired = (SoundScale._topped(replace(s, channels=1), rows, gain)[0] for s in (shape, finer))
    loss, loss_of_pairs = 0.0, 0.0
    for first in range(0, len(rows), CLIPS_IN_TURN):
        clips = rows[first : first + CLIPS_IN_TURN]
        loss += sum(plain.round_trip_losses(clips))
        loss_of_pairs += sum(paired.round_trip_losses(clips))
        if reading.is_over():
            break
    return finer if loss_of_pairs <= MAX_LOSS_OF_PAIRS * loss else shape


def spectrogram_pictures(x: Tensor, bands_per_row: int) -> Tensor:
    """Draw grids (n, C, R, T) as in `picture`: spectrograms in colour, low tones at the bottom, (n, 3, M, T) in [-1, 1]."""
    import torch

    level = maps_of(x.detach().float().cpu(), bands_per_row)[:, 0].clamp(-1.0, 1.0).flip(1)  # (n, M, T)
    colours = torch.from_numpy(level_colours(level.add(1.0).div(2.0).numpy()))  # (n, M, T, 3)
    return colours.movedim(-1, 1).float().div(127.5).sub(1.0)


def level_colours(unit: Numbers) -> NDArray[np.uint8]:
    """Colours (..., 3) of levels (...) from 0, silence, to 1, the loudest."""
    places = np.linspace(0.0, 1.0, len(COLOURS))
    channels = [np.interp(np.asarray(unit, np.float64), places, column) for column in zip(*COLOURS, strict=True)]
    return np.stack(channels, axis=-1).round().astype(np.uint8)


def _num_audible_frames(level: Tensor) -> list[int]:
    """The number of frames up to the last one that is not silent, of each level (n, M, T)."""
    return [int(count) for count in (~_is_tail(level, -1.0))[:, 0].sum(1)]


def _is_tail(grid: Tensor, level: float) -> Tensor:
    """Which frames (B, 1, T) are after the last frame of a grid (B, M, T) that is above a level."""
    is_above = (grid.amax(1, keepdim=True) > level + ROUNDING).float()
    return is_above.flip(2).cummax(2).values.flip(2) == 0.0
