"""Figures of sound, on sounds whose answer is known."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from anew.core.specs import Grid
from anew.data.formats.sound.audio import to_file
from anew.data.formats.sound.audio_clips import Shape
from anew.data.types import Artifact, Item
from anew.evaluation.features import audio
from anew.evaluation.inputs import EvaluationInputs, Labels
from anew.evaluation.metrics.classes import Probe
from anew.evaluation.metrics.media.spectrum import level_distance, spectrum_distance
from anew.evaluation.modalities.audio import AudioEvaluation
from anew.evaluation.reporting.grading import part_of, parts
from samples import tone

RATE = 8000


def tones(first: int, n: int) -> list[Any]:
    return [tone(i, RATE) for i in range(first, first + n)]


def noises(n: int) -> list[Any]:
    rng = np.random.default_rng(0)
    return [(0.3 * rng.normal(size=len(tone(0)))).astype(np.float32) for _ in range(n)]


def make_inputs(samples: list[Any], labels: Labels | None = None) -> EvaluationInputs:
    modality: Any = SimpleNamespace(
        rate=RATE,
        compared_rate=RATE,
        trims=True,
        clip_shape=Shape(RATE, 128, 512, 48, 32),
        picture=lambda item: np.zeros((8, 8, 3), np.uint8),
        pictures=lambda items: [np.zeros((8, 8, 3), np.uint8) for _ in items],
        save_item=lambda item: Artifact(".wav", b"RIFF", media="audio/wav"),
    )
    return EvaluationInputs(
        modality=modality, spec=Grid((1, 16, 16), "CHW"), train=lambda n: tones(1000, 60)[:n], samples=samples,
        test=lambda n: tones(2000, 40)[:n], train_text=None, test_text=None, bits=None, seconds=None, seed=0, labels=labels,
    )  # fmt: skip


def test_tones_are_periodic_and_noise_is_not() -> None:
    assert np.median(audio.periodicity(tones(0, 8), RATE)) > 0.9
    assert np.median(audio.periodicity(noises(8), RATE)) < 0.6


def test_loudness_follows_level() -> None:
    full, half = audio.loudness([tone(0), 0.5 * tone(0)], RATE)
    assert full - half == pytest.approx(6.02, abs=0.01)


def test_good_samples_score_near_real_data_and_noise_near_the_naive_baseline() -> None:
    good, bad = ({s.name: s for s in AudioEvaluation(make_inputs(x)).scores()} for x in (tones(0, 40), noises(40)))
    assert good["frechet_distance"].value < 0.2 * bad["frechet_distance"].value
    for name in ("spectrum_distance", "periodicity_distance"):
        assert good[name].value < 0.5 * bad[name].value
        assert good[name].real_baseline is not None and good[name].naive_baseline is not None


@pytest.mark.parametrize("trim", [True, False])
def test_it_is_said_that_silence_at_the_ends_is_not_compared(trim: bool) -> None:
    inputs = make_inputs(tones(0, 40))
    inputs.modality.trims = trim  # type: ignore[attr-defined]
    evaluation = AudioEvaluation(inputs)
    list(evaluation.answer_scores())
    assert any("silence at the beginning and the end" in note.sentence for note in evaluation.notes) == trim


def test_a_probe_knows_what_was_asked() -> None:
    def labels_of(n: int, count: int) -> tuple[list[str], Any]:
        return ["low", "high"], np.arange(min(n, count)) % 2

    def sounds(first: int, n: int) -> list[Any]:
        return [clip * (np.arange(len(clip)) < len(clip) // (1 + i % 2)) for i, clip in enumerate(tones(first, n))]

    right = Labels(lambda n: labels_of(n, 60), lambda n: labels_of(n, 40), np.arange(40) % 2)
    base = make_inputs(sounds(0, 40), right)
    own_inputs = EvaluationInputs(
        **{**base.__dict__, "train": lambda n: sounds(1000, 60)[:n], "test": lambda n: sounds(2000, 40)[:n]}
    )
    score = {s.name: s for s in AudioEvaluation(own_inputs).scores()}["label_accuracy"]
    assert score.value > 0.9 and (score.real_baseline or 0) > 0.9
    wrong = EvaluationInputs(
        **{**own_inputs.__dict__, "labels": Labels(right.train, right.test, 1 - np.arange(40) % 2)}
    )
    assert {s.name: s for s in AudioEvaluation(wrong).scores()}["label_accuracy"].value < 0.1


def test_probe_separates_what_can_be_separated() -> None:
    rng = np.random.default_rng(0)
    labels = np.arange(200) % 4
    rows = rng.normal(size=(200, 8)) + 4.0 * np.eye(8)[labels]
    assert (Probe(rows[:100], labels[:100], 4)(rows[100:]) == labels[100:]).mean() > 0.95


def test_what_is_shown_can_be_seen_and_heard() -> None:
    content = AudioEvaluation(make_inputs([*tones(1000, 1), *tones(0, 20)])).report_content()
    first, second = content.pairs[:2]
    assert first.close and first.caption == "exact copy" and not second.close
    assert first.sample.media_type == "audio/wav" and first.sample.media == b"RIFF"
    assert content.sheet is not None and content.real_sheet is not None and content.layout == "players"
    assert (
        len(content.samples) == 12
        and len(content.real) == 6
        and all(item.media for item in [*content.samples, *content.real])
    )


def test_signals_have_no_player_in_reports() -> None:
    inputs = make_inputs([*tones(1000, 1), *tones(0, 20)])
    inputs.modality.clip_shape = Shape(RATE, 8, 8, 1, 32)  # type: ignore[attr-defined]
    inputs.modality.save_item = lambda item: Artifact(".wav", b"RIFF", media="audio/wav", is_playable=False)  # type: ignore[method-assign]
    content = AudioEvaluation(inputs).report_content()
    assert content.explanation.startswith("Curves.") and content.layout == "players"
    assert not any(item.is_playable for item in [*content.samples, *content.real])


def test_altered_clips_stay_clips() -> None:
    rng = np.random.default_rng(0)
    for _ in range(3):
        for alter in audio.CLIPS.alterations:
            other = alter(tone(0), rng)
            assert other.shape == tone(0).shape and np.isfinite(other).all() and not np.array_equal(other, tone(0))


def test_a_few_loud_clips_do_not_decide_the_spectrum() -> None:
    levels = np.random.default_rng(0).normal(-40.0, 1.0, (200, 8))
    loud = levels.copy()
    loud[:3] += 40.0
    assert level_distance(loud, levels) < 0.7 < 10.0 < spectrum_distance(10.0 ** (loud / 10.0), 10.0 ** (levels / 10.0))
    assert level_distance(levels + 3.0, levels) == pytest.approx(3.0)


def notes(n: int, seed: int, gain_db: float = 0.0) -> list[Any]:
    """Notes of any pitch and brightness, as different as plucked strings; gain_db: of tones from 1 to 2 kHz."""
    rng = np.random.default_rng(seed)
    t, clips = np.arange(2000) / RATE, []
    for _ in range(n):
        pitch, fall = rng.uniform(80, 500), rng.uniform(0.2, 2.5)
        partials = np.arange(1, int(RATE / 2 / pitch))
        level = partials**-fall * 10 ** np.where((partials * pitch > 1000) & (partials * pitch < 2000), gain_db / 20, 0)
        sound = (level[:, None] * np.sin(2 * np.pi * partials[:, None] * pitch * t + 1.0)).sum(0)
        sound = sound + rng.normal(0, 10 ** rng.uniform(-3.5, -1), len(t)) * np.abs(sound).max()
        clips.append((0.5 * sound / np.abs(sound).max()).astype(np.float32))
    return clips


def test_low_and_high_tones_of_250_sounds_say_enough() -> None:
    """Mean levels alone would ask for four times as many, since sounds differ by 8 dB in each band."""
    sets = {"train": notes(260, 1), "test": notes(260, 2)}
    for samples, grades in ((notes(260, 3), {"good"}), (notes(260, 3, gain_db=6.0), {"fair", "poor"})):
        inputs = replace(make_inputs(samples), train=lambda n: sets["train"][:n], test=lambda n: sets["test"][:n])
        scores = [s for s in AudioEvaluation(inputs).scores_without_features() if s.name.startswith("spectrum")]
        assert [score.name for score in scores] == ["spectrum_distance", "spectrum_auc"]
        graded = {part.score.name: part.grade for part in parts(scores)}
        assert graded["spectrum_auc"] in grades and graded.get("spectrum_distance", "fair") != "good"
        levels = part_of(scores[0])
        assert levels is not None and levels.times_needed > 3.0


def test_that_loud_and_soft_sounds_have_exchanged_their_loudness_is_told() -> None:
    """Spectra are the same, and so is the distribution of loudness."""

    def two_kinds(seed: int, loud: int) -> list[Any]:
        rng, t, clips = np.random.default_rng(seed), np.arange(1000) / RATE, []
        for i in range(260):
            gain = (0.5 if i % 2 == loud else 0.15) * rng.uniform(0.85, 1.15)
            clips.append((gain * np.sin(2 * np.pi * (300 + 400 * (i % 2)) * t)).astype(np.float32))
        return clips

    sets = {"train": two_kinds(1, 0), "test": two_kinds(2, 0)}
    for loud, high in ((0, 0.65), (1, 1.0)):
        inputs = replace(
            make_inputs(two_kinds(3, loud)), train=lambda n: sets["train"][:n], test=lambda n: sets["test"][:n]
        )
        score = next(s for s in AudioEvaluation(inputs).scores_without_features() if s.name == "spectrum_auc")
        assert high - 0.3 < score.value <= high


def test_a_softer_copy_is_the_same_but_for_its_loudness() -> None:
    original = tones(1000, 1)[0]
    pairs = AudioEvaluation(make_inputs(tones(0, 20))).nearest([0.5 * original, original]).pairs
    assert [pair.caption for pair in pairs] == ["the same except for its loudness (-6 dB)", "exact copy"]


def test_a_later_copy_is_the_same_but_for_its_beginning() -> None:
    hop = -(-len(tone(0)) // 64)  # hop of the compared spectrograms
    original = (tone(0) * np.hanning(len(tone(0))) ** 16).astype(np.float32)
    base = make_inputs(tones(0, 20))
    inputs = EvaluationInputs(**{**base.__dict__, "train": lambda n: [original, *tones(1000, 60)][:n]})
    pairs = AudioEvaluation(inputs).nearest([np.roll(original, 3 * hop), 0.5 * np.roll(original, 3 * hop)]).pairs
    assert [pair.train for pair in pairs] == [0, 0]
    assert pairs[0].caption == "the same except for its beginning"
    assert pairs[1].caption == "the same except for its loudness (-6 dB) and its beginning"


def shortened(clips: list[Any], seed: int, least: float) -> list[Any]:
    """Clips that end after a share of between `least` and 1.5 times that."""
    shares = np.random.default_rng(seed).uniform(least, 1.5 * least, len(clips))
    return [
        np.where(np.arange(len(clip)) < share * len(clip), clip, 0.0).astype(np.float32)
        for clip, share in zip(clips, shares, strict=True)
    ]


def test_lengths_of_sounds_are_compared() -> None:
    real = shortened(tones(1000, 60), 0, 0.4)
    for least, is_told in ((0.4, False), (0.6, True)):
        inputs = replace(make_inputs(shortened(tones(0, 40), 2, least)), train=lambda n: real[:n])
        evaluation = AudioEvaluation(replace(inputs, test=lambda n: shortened(tones(2000, 40), 1, 0.4)[:n]))
        (score,) = [score for score in evaluation.scores_without_features() if score.name == "length"]
        assert (score.low is not None and score.low > 0.9) == is_told


def test_silence_at_the_ends_of_files_is_compared_where_samples_are_files() -> None:
    inputs = make_inputs(tones(0, 40))
    inputs.modality.clip_shape = Shape(RATE, 128, 512, 48, 64)  # type: ignore[attr-defined]

    def files(part: str, n: int) -> list[Item]:
        late = np.zeros(RATE // 3 if part == "samples" else 0)
        return [
            Item(str(i), to_file(np.concatenate([late, clip]).astype(np.float32), RATE, "wav", ""))
            for i, clip in enumerate(tones(3000, 40))
        ]

    evaluation = AudioEvaluation(replace(inputs, files=files))
    scores = {score.name: score for score in evaluation.scores_without_features()}
    assert scores["silence_before"].value == 1.0 and scores["silence_after"].value < 0.7 > scores["length"].value
    assert not any("silence at the beginning" in note.sentence for note in evaluation.notes)
