"""A click in each frame is noticed, and so is silence."""

from __future__ import annotations

import numpy as np

from anew.evaluation.metrics.item_statistics import compare
from anew.evaluation.metrics.sound_statistics import pulses, silence, sound_statistics

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
    statistic = sound_statistics(RATE)[0]
    score, fine = (
        compare(statistic, *(statistic.compute(part) for part in (part, held_out, train))) for part in (buzz, real)
    )
    assert score.name == "pulses" and (score.low or 0) > 0.85 and fine.value < 0.65
    assert np.median(pulses(buzz, RATE)) > np.median(pulses(real, RATE))
    assert pulses([np.zeros(100, dtype=np.float32)], RATE).tolist() == [0.0]


def test_silence_is_a_share_of_frames() -> None:
    clip = np.ones(RATE, dtype=np.float32)
    clip[RATE // 4 :] = 0.001
    assert silence([clip], RATE).tolist() == [0.75] and silence([np.ones(RATE)], RATE).tolist() == [0.0]
