"""The pitch of voices is found, and a source pulses at it; noise has none."""

from __future__ import annotations

import math

import pytest
import torch

from anew.functional.envelope import pulses
from anew.functional.pitch import VOICED, can_show_pitch, pitch, pitched_source
from anew.functional.spectrogram import Frames, filter_source

FRAMES = Frames(8000, 512, 96)
COUNT = 40
TIME = torch.arange(COUNT * FRAMES.hop) / FRAMES.rate
NOISE = torch.randn(len(TIME), generator=torch.Generator().manual_seed(0))


def voice(hertz: float) -> torch.Tensor:
    """(1, N) harmonics that weaken with their number."""
    numbers = torch.arange(1, int(FRAMES.rate / 2 / hertz))[:, None]
    return ((2.0 * math.pi * hertz * numbers * TIME).sin() / numbers).sum(0, keepdim=True)


@pytest.mark.parametrize("hertz", [70.0, 123.0, 250.0, 380.0])
def test_the_pitch_of_a_voice_is_found(hertz: float) -> None:
    estimate, voicing = pitch(FRAMES.stft(voice(hertz)).abs(), FRAMES)
    assert estimate[0, 5:-5].numpy() == pytest.approx(hertz, rel=0.02)
    assert (voicing[0, 5:-5] > VOICED[1]).all()


def test_noise_is_not_voiced() -> None:
    _, voicing = pitch(FRAMES.stft(NOISE[None]).abs(), FRAMES)
    assert float((voicing > VOICED[1]).double().mean()) < 0.1
    source = pitched_source(FRAMES.stft(NOISE[None]).abs(), FRAMES, NOISE[None])
    assert float(torch.corrcoef(torch.stack([source[0], NOISE]))[0, 1]) > 0.8


def test_the_high_tones_of_a_voice_pulse_at_its_pitch() -> None:
    magnitude = FRAMES.stft(voice(123.0)).abs()
    flat = torch.ones_like(magnitude)
    source = pitched_source(magnitude, FRAMES, NOISE[None])
    assert float(source[:, 400:-400].square().mean()) == pytest.approx(1.0, rel=0.1)
    lag = round((1.0 / 123.0 - 0.004) * 2000)  # place among the lags of the envelope, which begin at 4 ms
    with_pitch, without = (
        pulses(filter_source(flat, FRAMES, x).numpy(), FRAMES.rate)[0, lag] for x in (source, NOISE[None])
    )
    assert with_pitch > 0.7 and abs(without) < 0.2


def test_silence_and_short_windows() -> None:
    magnitude = torch.zeros(2, FRAMES.size // 2 + 1, COUNT)
    assert torch.isfinite(pitched_source(magnitude, FRAMES, NOISE[None])).all()
    assert (
        can_show_pitch(FRAMES)
        and not can_show_pitch(Frames(8000, 128, 32))
        and not can_show_pitch(Frames(2000, 512, 96))
    )
