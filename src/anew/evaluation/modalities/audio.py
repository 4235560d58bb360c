"""Evaluation of sound: samples against held-out clips in an embedding of spectrograms, in loudness, spectrum and tone.

Legend for shapes: n clips, N samples of a clip, M bands, T frames.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Protocol, cast

import numpy as np
import torch
from numpy.typing import NDArray

from anew.core.arrays import Numbers
from anew.core.random import key
from anew.data.formats.sound.audio import Samples
from anew.data.formats.sound.audio_clips import Shape
from anew.data.formats.sound.sound_extents import file_extents
from anew.evaluation.base import Evaluation
from anew.evaluation.features import audio
from anew.evaluation.features.random_conv import FEATURES, NAME, GridEmbedder
from anew.evaluation.inputs import MIN_ITEMS
from anew.evaluation.item_sets import Embedder
from anew.evaluation.measure import Measure
from anew.evaluation.metrics.distances import earth_mover
from anew.evaluation.metrics.feature_sets import MAX_ITEMS_WITHOUT_SAVING, MAX_PAIR_ITEMS, FeatureSets, bootstrap_score
from anew.evaluation.metrics.item_classifiers import stereo_classifier
from anew.evaluation.metrics.item_statistics import ItemStatistic, compare
from anew.evaluation.metrics.media.sound_statistics import (
    LENGTH,
    LENGTH_MEANING,
    PULSE_SOURCE,
    envelope_statistics,
    file_statistics,
    length,
    pulse_spec,
    stereo_statistics,
)
from anew.evaluation.metrics.media.spectrum import (
    MIN_POWER,
    coarse_levels_and_loudness,
    level_distance,
    sound_spectrum,
    sound_spectrum_auc,
)
from anew.evaluation.metrics.two_sample import classifier_score
from anew.evaluation.notes import Note
from anew.evaluation.reporting import sheet
from anew.evaluation.reporting.content import (
    EXACT_COPY,
    NearestPairs,
    ReportContent,
    ReportItem,
    nearest_explanation,
    nearest_pairs,
)
from anew.evaluation.score import MetricSpec, Score, difference_tolerance
from anew.functional.envelope import pulse_distance, pulses

# Clips on the sheet, samples and held-out clips with players, and samples next to their nearest training clip.
SHEET, PLAYERS, PLAYERS_REAL, PAIRS = 36, 12, 6, 12
EXACT_DB = 0.1  # a smaller difference is one of rounding
SAME_LOUDNESS_DB = 0.5  # a smaller difference is not heard
FILES = 300  # so many samples and real files have their ends measured: decoding each takes a few milliseconds
MAX_SEARCHED = 4_000  # training clips that are searched for the nearest one

PERIODICITY_DISTANCE = MetricSpec(
    "periodicity_distance",
    "Tone",
    "How tonal the sounds are, compared with real ones (0 = the same).",
    tolerance=difference_tolerance(0.06, 0.25, "the tonality of sounds", "{:.2f}"),
)
LOUDNESS_DISTANCE = MetricSpec(
    "loudness_distance",
    "Loudness",
    "How far the spread of loudness is from that of real sounds, in decibels (0 = the same).",
    tolerance=difference_tolerance(2.0, 8.0, "loudness"),
)
PERIODICITY_SOURCE = (
    "distance of the distributions of how exactly clips repeat themselves at a pitch (0 noise, 1 a steady tone)"
)
LOUDNESS_SOURCE = "distance in decibels of the distributions of the loudest tenth of a second"


class SoundModality(Protocol):
    """The part of the modality of sound that its evaluation reads."""

    @property
    def rate(self) -> int: ...
    @property
    def compared_rate(self) -> int: ...
    @property
    def clip_shape(self) -> Shape: ...
    @property
    def trims(self) -> bool: ...


class AudioEvaluation(Evaluation[Samples]):
    """Samples against held-out clips; items are (N,) or (N, 2) float32 of one length."""

    noun = "clips"
    feature_description = f"{FEATURES} features of the {NAME} of log-mel spectrograms"
    item_type = audio.CLIPS

    @property
    def _modality(self) -> SoundModality:
        return cast(SoundModality, self.inputs.modality)

    @property
    def rate(self) -> int:
        """Samples a second, at which clips are compared."""
        return self._modality.compared_rate

    @property
    def _are_signals(self) -> bool:
        """Whether clips are slow signals, which are compared as if they were played faster."""
        return self._modality.clip_shape.is_signal

    def embedder(self, train: Sequence[Samples]) -> Embedder[Samples]:
        return GridEmbedder(self._unit_spectrograms, train, at_once=256, work=self.inputs.work)

    def _unit_spectrograms(self, items: Sequence[Samples]) -> torch.Tensor:
        """(n, 1, M, T) in [-1, 1]."""
        return audio.spectrograms(items, self.rate)[:, None] * (2.0 / audio.FLOOR_DB) + 1.0

    def naive(self, train: Sequence[Samples], n: int, rng: np.random.Generator) -> list[Samples]:
        """Noise with the spectra of training clips: its tones are right, but not when they sound."""
        clips = []
        for index in rng.integers(len(train), size=n):
            magnitude = np.abs(np.fft.rfft(train[index], axis=0))
            phase = np.exp(2j * np.pi * rng.random(magnitude.shape))
            noise = np.fft.irfft(magnitude * phase, len(train[index]), axis=0)
            gain = np.abs(train[index]).max() / max(np.abs(noise).max(), 1e-9)
            clips.append((noise * gain).astype(np.float32))
        return clips

    def modality_metrics(self) -> Iterator[Score]:
        if not self.sets:
            return
        if self._are_signals:
            true_rate = self._modality.rate
            self.notes.append(
                Note(
                    f"Signals are compared like sounds, as if their {true_rate:,} values a second were played at {self.rate:,} Hz."
                )
            )
        metrics = {
            "pulses, silence, attack and decay": Measure(self._statistics),
            "length": Measure(self._lengths),
            "the spectrum": Measure(self._spectrum),
            "tone": Measure(lambda: self._distribution(PERIODICITY_DISTANCE, audio.periodicity, PERIODICITY_SOURCE)),
            "loudness": Measure(lambda: self._distribution(LOUDNESS_DISTANCE, audio.loudness, LOUDNESS_SOURCE)),
        }
        yield from self.metrics_in_time(metrics, MAX_ITEMS_WITHOUT_SAVING)

    def _statistics(self) -> Iterator[Score]:
        """Sound statistics that need no features."""
        parts = ("samples", "test", "train", "naive")
        curves = FeatureSets(*(pulses(audio.mono(self.sets[part][:MAX_PAIR_ITEMS]), self.rate) for part in parts))
        spec = pulse_spec(curves.samples, curves.held_out)
        yield bootstrap_score(spec, pulse_distance, curves, seed=self.inputs.seed, source=PULSE_SOURCE, minimum=0.0)
        samples, test, train = (self.sets[part][:MAX_PAIR_ITEMS] for part in parts[:3])
        mono = [audio.mono(part) for part in (samples, test, train)]
        for statistic in envelope_statistics(self.rate):
            yield compare(statistic, *map(statistic.compute, mono))
        if np.ndim(samples[0]) == 2:
            for statistic in stereo_statistics(self.rate):
                yield compare(statistic, *map(statistic.compute, (samples, test, train)))
            yield from self.classifier_scores([stereo_classifier(self.rate)], MAX_PAIR_ITEMS)

    def _lengths(self) -> Iterator[Score]:
        """Yield how long sounds are, and how silent the ends of files are that samples and data were read from."""
        if self._modality.trims and self.inputs.files is not None:
            shape = self._modality.clip_shape
            samples, real = (file_extents(self.inputs.files(part, FILES), shape) for part in ("samples", "train"))
            if len(samples) >= MIN_ITEMS and len(real) >= 2 * MIN_ITEMS:
                for statistic in file_statistics():
                    own, held_out, train = map(statistic.compute, (samples, real[::2], real[1::2]))
                    yield compare(statistic, own, held_out, train)
                return
        if self._modality.trims:
            self.notes.append(Note("Not judged: silence at the beginning and the end of sounds, which is trimmed."))
        mono = [audio.mono(self.sets[part][:MAX_PAIR_ITEMS]) for part in ("samples", "test", "train")]
        statistic = ItemStatistic(LENGTH, lambda items: length(items, self.rate), LENGTH_MEANING)
        yield compare(statistic, *map(statistic.compute, mono))

    def _spectrum(self) -> Iterator[Score]:
        rows = {part: self._levels(part) for part in ("samples", "test", "train", "naive")}
        spectra = self.sets.with_features(rows, self.feature_description)
        seed, source = self.inputs.seed, "mean difference of the mean levels of clips, in decibels, in mel bands"
        yield bootstrap_score(sound_spectrum(), level_distance, spectra, seed=seed, source=source)
        source = (
            f"a kernel classifier of the levels of {audio.BANDS} mel bands, or of coarse bands and loudness, trained on one half and "
            "tested on the other"
        )
        levels_and_loudness = {part: self._levels_and_loudness(part, levels) for part, levels in rows.items()}
        views = (audio.BANDS, levels_and_loudness["samples"].shape[1] - audio.BANDS)
        spectra = replace(self.sets.with_features(levels_and_loudness, self.feature_description), views=views)
        yield classifier_score(sound_spectrum_auc(), spectra, seed, source)

    def _levels(self, part: str) -> NDArray[np.float64]:
        """(n, M) level of the mean power of each band of each clip of a set, in decibels."""
        level = audio.spectrograms(self.sets[part][:MAX_PAIR_ITEMS], self.rate).double()  # (n, M, T)
        return np.asarray(10.0 * ((10.0 ** (level / 10.0)).mean(2) + MIN_POWER).log10().numpy())

    def _levels_and_loudness(self, part: str, levels: NDArray[np.float64]) -> Numbers:
        """(n, M + 2 c) the levels (n, M) of a set, then coarse ones and the loudness of each clip."""
        loudness = audio.loudness(self.sets[part][: len(levels)], self.rate)
        seed = key(self.inputs.seed, "loudness", part)  # no two sets are blurred alike
        return np.concatenate([levels, coarse_levels_and_loudness(levels, loudness, seed)], axis=1)

    def _distribution(
        self, spec: MetricSpec, number_of: Callable[[Sequence[Samples], int], Numbers], source: str
    ) -> Iterator[Score]:
        """Yield the score of a number that every clip has, by the distance of its distributions."""
        parts = (self.sets[part][:MAX_PAIR_ITEMS] for part in ("samples", "test", "train", "naive"))
        numbers = FeatureSets(*(number_of(items, self.rate) for items in parts))
        source += (
            f"; median of samples {np.median(numbers.samples):.3g}, of held-out clips {np.median(numbers.held_out):.3g}"
        )
        yield bootstrap_score(spec, earth_mover, numbers, seed=self.inputs.seed, source=source, minimum=0.0)

    def probe_embedder(self) -> Embedder[Samples]:
        """The function that computes coarse spectrograms, which show best what is said, and take little time."""
        return self._coarse_spectrograms

    def _coarse_spectrograms(self, items: Sequence[Samples]) -> Numbers:
        """(n, 32 x 32)."""
        coarse = torch.nn.functional.adaptive_avg_pool2d(audio.spectrograms(items, self.rate), (32, 32))
        return np.asarray(coarse.flatten(1).numpy())

    def report_content(self) -> ReportContent:
        """Spectrograms with players."""
        samples = self.inputs.samples
        if not samples:
            return ReportContent()
        held_out = self.held_out_items(SHEET)
        nearest = self.nearest(samples[:PAIRS], 1.0 if self.total_clock.remaining() > 2.0 else 1 / 8)
        draw = self.inputs.modality.pictures
        return ReportContent(
            sheet=sheet.sheet(draw(samples[:SHEET]), gap=2, columns=6),
            real_sheet=sheet.sheet(draw(held_out), gap=2, columns=6) if held_out else None,
            samples=[self.report_item(sample) for sample in samples[:PLAYERS]],
            real=[self.report_item(clip) for clip in held_out[:PLAYERS_REAL]],
            pairs=nearest.pairs,
            explanation=nearest.explanation,
            closest_pairs=self.closest_pairs,
        )

    def nearest(self, items: Sequence[Samples], effort: float = 1.0) -> NearestPairs:
        """Distances are root mean squared differences of spectrograms in decibels, next to those that held-out clips usually have."""
        requested = int(MAX_SEARCHED * effort)
        (training, compared), held_out = self.searched_items(requested), self.held_out_items(SHEET)
        index, distances = audio.nearest_clips([*items, *held_out], compared, self.rate)
        typical = float(np.median(distances[len(items) :])) if held_out else 0.0
        index, distances = index[: len(items)], distances[: len(items)]
        if others := training[len(compared) :]:  # not for held-out items, which are among them
            other_index, other_distances = audio.nearest_clips(items, others, self.rate)
            index = np.where(other_distances < distances, len(compared) + other_index, index)
            distances = np.minimum(distances, other_distances)
        pictured = "Curves" if self._are_signals else "Spectrograms: time from left to right, low tones at the bottom"
        explanation = nearest_explanation(
            f"{pictured}. Nearest by spectrogram, among "
            f"{len(training):,} training clips. The number is the difference of the spectrograms (0 = exact copy)",
            "clip",
            f"{typical:.1f} dB" if held_out else None,
            len(held_out),
            self.inputs.are_halves,
        )
        pairs = nearest_pairs(
            self.report_item,
            items,
            training,
            index,
            distances,
            typical,
            exact=EXACT_DB,
            form="difference {:.1f} dB",
            caption_of_copy=_caption_of_copy,
        )
        return NearestPairs(pairs, explanation, requested)

    def report_item(self, item: Samples) -> ReportItem:
        file = self.inputs.modality.save_item(item)
        picture = self.inputs.modality.picture(item)
        png = None if picture is None else sheet.png(picture)
        return ReportItem(png, file.data, file.media, is_playable=file.is_playable)


def _caption_of_copy(item: Samples, training: Samples) -> str:
    """The caption of a clip that is the same as a training clip but perhaps for its loudness, and for when it begins."""
    peaks = [max(float(np.abs(clip).max()), 1e-9) for clip in (item, training)]
    change = 20.0 * float(np.log10(peaks[0] / peaks[1]))
    differences = [] if abs(change) < SAME_LOUDNESS_DB else [f"its loudness ({change:+.0f} dB)"]
    differences += [] if audio.begin_together(item, training) else ["its beginning"]
    return f"the same except for {' and '.join(differences)}" if differences else EXACT_COPY


EXPORT = AudioEvaluation
