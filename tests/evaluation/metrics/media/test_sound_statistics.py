"""A click in each frame is noticed, and so is silence."""

from __future__ import annotations

import numpy as np
import pytest

from anew.evaluation.metrics.feature_sets import FeatureSets, bootstrap_score
from anew.evaluation.metrics.item_classifiers import stereo_classifier
from anew.evaluation.metrics.item_statistics import compare
from anew.evaluation.metrics.media.sound_statistics import (
    PULSE_DISTANCE,
    attack,
    balance,
    channel_correlation,
    decay,
    pulse_spec,
    silence,
    stereo_places,
    stereo_statistics,
)
from anew.functional.envelope import LAGS, pulse_distance, pulses

RATE = 16_000


def hits(n: int, seed: int) -> list[np.ndarray]:
    """Half a second of noise that dies away, as of drums."""
    rng = np.random.default_rng(seed)
    time = np.arange(RATE // 2) / RATE
    return [
        (rng.normal(size=len(time)) * np.exp(-time * rng.uniform(8, 20)) * 0.3).astype(np.float32) for _ in range(n)
    ]


def test_a_buzz_at_the_rate_of_frames_is_told() -> None:
    real, held_out, train = hits(40, 0), hits(40, 1), hits(40, 2)
    buzz = [x * (1.0 + 1.5 * (np.arange(len(x)) % 256 < 40)).astype(np.float32) for x in real]
    test, training = pulses(held_out, RATE), pulses(train, RATE)
    buzzing, fine = (
        bootstrap_score(
            PULSE_DISTANCE, pulse_distance, FeatureSets(pulses(part, RATE), test, training), seed=0, source=""
        )
        for part in (buzz, real)
    )
    assert (buzzing.low or 0) > 0.3 and (fine.high or 1) < 0.1
    worst = np.abs(pulses(buzz, RATE).mean(0) - test.mean(0)).argmax()
    assert LAGS[0] + worst * 8 / RATE == pytest.approx(256 / RATE, abs=1e-3)  # an envelope of 2,000 Hz
    assert not pulses([np.zeros(100, dtype=np.float32)], RATE).any()
    assert pulses([np.zeros(10, dtype=np.float32)], RATE).tolist() == [[0.0]]


def test_voices_of_other_pitch_do_not_buzz() -> None:
    """Each clip pulses at a rate of its own, so no rate stands out."""
    rng = np.random.default_rng(0)
    voices = [x * (1.0 + 1.5 * (np.arange(len(x)) % rng.integers(70, 500) < 40)) for x in hits(200, 3)]
    first, second = pulses(voices[:100], RATE), pulses(voices[100:], RATE)
    assert first.max(1).mean() > 0.3 and pulse_distance(first, second) < 0.1


def test_silence_is_a_share_of_frames() -> None:
    clip = np.ones(RATE, dtype=np.float32)
    clip[RATE // 4 :] = 0.001
    assert silence([clip], RATE).tolist() == [0.75] and silence([np.ones(RATE)], RATE).tolist() == [0.0]


def test_attack_and_decay_are_those_of_the_envelope() -> None:
    time = np.arange(RATE) / RATE
    noise = np.sign(np.random.default_rng(0).normal(size=RATE))
    clips = [
        noise * np.minimum(time / rise, 1.0) * 10.0 ** (-fall * time / 20.0) for rise, fall in ((1e-4, 60), (0.05, 120))
    ]
    times, slopes = attack(clips, RATE), decay(clips, RATE)
    assert times[0] == 0.0 and times[1] == pytest.approx(13.0, abs=3.0)  # from .1 to .5 of the largest product
    assert slopes[0] == pytest.approx(60.0, rel=0.02) and slopes[1] == pytest.approx(120.0, rel=0.1)
    plateau = noise * (time < 0.38)
    assert decay([plateau], RATE)[0] < 40.0  # a steady sound that is cut
    assert attack([np.zeros(RATE)], RATE).tolist() == [0.0] and decay([np.zeros(RATE)], RATE).tolist() == [0.0]
    assert np.isfinite(decay([np.ones(5)], RATE)).all() and np.isfinite(attack([np.ones(5)], RATE)).all()


def test_it_is_said_which_of_both_pulse_more() -> None:
    plain, steady = np.zeros((3, 4)), np.full((3, 4), 0.5)
    assert "high tones buzz more than real ones" in pulse_spec(steady, plain).tolerance.clause  # type: ignore[union-attr]
    assert "have less of a steady pulse than real" in pulse_spec(plain, steady).tolerance.clause  # type: ignore[union-attr]


def panned(n: int, seed: int) -> list[np.ndarray]:
    """Low tones anywhere between left and right, with a faint hiss on the right."""
    rng = np.random.default_rng(seed)
    time = np.arange(RATE // 4) / RATE
    tones = [np.sin(2 * np.pi * rng.uniform(100, 900) * time) for _ in range(n)]
    pans = rng.uniform(0.2, 0.8, n)
    return [
        np.stack([x * np.sqrt(1 - pan), x * np.sqrt(pan) + 0.02 * rng.normal(size=len(x))], axis=1)
        for x, pan in zip(tones, pans, strict=True)
    ]


def told_by_places(samples: list[np.ndarray], held_out: list[np.ndarray], train: list[np.ndarray]) -> float:
    classifier = stereo_classifier(RATE)
    return classifier.score(FeatureSets(*map(classifier.numbers, (samples, held_out, train))), 0).value


def test_what_passes_in_the_other_direction_is_told() -> None:
    """Of a clip as a whole nothing differs, and in mono it is the same."""
    sets = [hits(150, seed) for seed in range(3)]
    way = np.linspace(0.0, np.pi / 2, len(sets[0][0]))
    passing = [[np.stack([x * np.cos(way), x * np.sin(way)], axis=1) for x in part] for part in sets]
    assert told_by_places(*passing) < 0.65
    assert told_by_places([clip[:, ::-1] for clip in passing[0]], *passing[1:]) > 0.95


def test_left_and_right_exchanged_are_told() -> None:
    """The mono mix and the width of stereo are the same."""
    real, held_out, train = panned(150, 0), panned(150, 1), panned(150, 2)
    swapped = [clip[:, ::-1] for clip in real]
    for samples, expected in ((real, False), (swapped, True)):
        scores = {s.spec.name: compare(s, *map(s.compute, (samples, held_out, train))) for s in stereo_statistics(RATE)}
        assert (told_by_places(samples, held_out, train) > 0.95) == expected
        assert scores["stereo_width"].value < 0.65 and scores["balance"].value < 0.65


def test_balance_is_in_decibels_and_silence_has_none() -> None:
    clip = np.random.default_rng(0).normal(size=(RATE // 4, 1))
    louder = np.concatenate([clip, clip / 10.0], axis=1)
    assert balance([louder])[0] == pytest.approx(20.0, abs=0.1)
    assert balance([np.concatenate([clip, 0 * clip], axis=1)])[0] == pytest.approx(60.0, abs=0.1)
    assert balance([np.zeros((9, 2))]).tolist() == [0.0]
    assert not stereo_places([np.zeros((9, 2))], RATE).any() and np.isfinite(stereo_places([louder], RATE)).all()


def delayed(n: int, seed: int) -> list[np.ndarray]:
    """Noise that comes a little earlier on one side, so that its channels hardly correlate at one time."""
    rng = np.random.default_rng(seed)
    clips = []
    for delay in rng.integers(2, 9, n):
        noise = rng.normal(size=RATE // 8 + delay)
        clips.append(0.1 * np.stack([noise[delay:], noise[:-delay] + rng.normal(size=RATE // 8)], axis=1))
    return clips


def test_an_inverted_channel_is_told_although_width_and_balance_are_the_same() -> None:
    real, held_out, train = delayed(150, 0), delayed(150, 1), delayed(150, 2)
    inverted = [clip * [1.0, -1.0] for clip in real]
    for samples, expected in ((real, False), (inverted, True)):
        scores = {s.spec.name: compare(s, *map(s.compute, (samples, held_out, train))) for s in stereo_statistics(RATE)}
        assert (scores["channel_correlation"].value > 0.95) == expected
        assert max(scores[name].value for name in ("stereo_width", "balance")) < 0.65


def test_correlation_of_channels_does_not_depend_on_loudness_and_of_silence_is_none() -> None:
    noise = np.random.default_rng(0).normal(size=(RATE // 4, 1))
    for gain in (1e-3, 1.0):
        same = gain * np.concatenate([noise, noise], axis=1)
        assert 0.85 < channel_correlation([same], RATE)[0] <= 1.0
        assert channel_correlation([same * [1, -1]], RATE)[0] == -channel_correlation([same], RATE)[0]
    assert channel_correlation([np.zeros((9, 2)), 0 * noise + [1.0, 0.0]], RATE).tolist() == [0.0, 0.0]
