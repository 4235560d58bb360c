"""Transforms of sound: exact where they can be, and a phase that lets tones go on."""

from __future__ import annotations

import math

import pytest
import torch

from anew.functional.envelope import pulses
from anew.functional.spectrogram import (
    Frames,
    filter_source,
    from_mel,
    griffin_lim,
    match_bands,
    mel_bank,
    noise_share,
    steady_phase,
)

FRAMES = Frames(8000, 512, 96)


def test_the_transform_is_undone_exactly() -> None:
    x = torch.randn(3, 96 * 20)
    spectrum = FRAMES.stft(x)
    assert tuple(spectrum.shape) == (3, 257, 20)
    assert torch.allclose(FRAMES.istft(spectrum, 96 * 20), x, atol=1e-5)


def test_no_mel_band_is_empty_and_each_sums_to_one() -> None:
    for rate, size, bands in ((8000, 512, 64), (8000, 128, 64), (44_100, 4096, 128)):
        bank = mel_bank(rate, size, bands)
        assert torch.allclose(bank.sum(1), torch.ones(bands), atol=1e-5) and bool((bank >= 0).all())


def test_magnitudes_come_back_from_mel_bands() -> None:
    magnitude = FRAMES.stft(torch.randn(2, 96 * 20)).abs()
    bank = mel_bank(8000, 512, 64)
    magnitudes = from_mel(bank @ magnitude, bank)
    assert bool((magnitudes >= 0).all())
    assert float((bank @ magnitudes - bank @ magnitude).abs().mean() / (bank @ magnitude).mean()) < 0.05


def test_quiet_mel_bands_beside_loud_ones_come_back() -> None:
    bank = mel_bank(8000, 512, 64)
    magnitude = torch.full((1, 257, 4), 1e-3)
    magnitude[:, 100] = 10.0  # 80 dB above its neighbours
    mel = bank @ magnitude
    decibels = (20 * ((bank @ from_mel(mel, bank)) / mel).log10()).abs()
    assert float(decibels.mean()) < 0.75


def test_tones_go_on_through_magnitudes_alone() -> None:
    t = torch.arange(96 * 40) / 8000
    x = (torch.sin(2 * math.pi * 210 * t) + 0.5 * torch.sin(2 * math.pi * 437 * t))[None]
    magnitude = FRAMES.stft(x).abs()
    phase = steady_phase(magnitude, FRAMES)
    y = FRAMES.istft(torch.polar(magnitude, phase), x.shape[1])
    error = (FRAMES.stft(y).abs() - magnitude).norm() / magnitude.norm()
    assert float(error) < 0.15
    random = 2 * math.pi * torch.rand(magnitude.shape, generator=torch.Generator().manual_seed(0))
    rough = FRAMES.istft(torch.polar(magnitude, random), x.shape[1])
    assert float((FRAMES.stft(rough).abs() - magnitude).norm() / magnitude.norm()) > 0.4


def test_more_rounds_come_nearer() -> None:
    magnitude = FRAMES.stft(torch.randn(1, 96 * 20)).abs()
    phase = steady_phase(magnitude, FRAMES)
    errors = [
        float((FRAMES.stft(griffin_lim(magnitude, FRAMES, 96 * 20, n, phase)).abs() - magnitude).norm())
        for n in (0, 5, 30)
    ]
    assert errors[0] > errors[1] > errors[2]


def test_shaped_has_the_spectrogram_and_no_pulses() -> None:
    magnitude = torch.ones(1, FRAMES.size // 2 + 1, 60) * torch.linspace(1.0, 0.1, 60)
    noise = torch.randn(1, 60 * FRAMES.hop, generator=torch.Generator().manual_seed(0))
    sound = filter_source(magnitude, FRAMES, noise)
    levels = FRAMES.stft(sound).abs().mean(1)[0]  # (T,)
    assert float(torch.corrcoef(torch.stack([levels, magnitude[0, 0]]))[0, 1]) > 0.9
    made_up = griffin_lim(magnitude, FRAMES, 60 * FRAMES.hop, 0, steady_phase(magnitude, FRAMES))
    of_sound, of_pulses = (float(pulses(x.numpy(), FRAMES.rate).max()) for x in (sound, made_up))
    assert of_sound < 0.4 < of_pulses


def test_bands_are_matched_and_what_is_finer_stays() -> None:
    bank = mel_bank(FRAMES.rate, FRAMES.size, 64)
    noise = torch.randn(1, 60 * FRAMES.hop, generator=torch.Generator().manual_seed(0))
    hit = noise * torch.cat([torch.zeros(20 * FRAMES.hop), torch.linspace(1.0, 0.0, 40 * FRAMES.hop)])  # sudden
    mel = bank @ FRAMES.stft(hit).abs()
    source = torch.randn(1, 60 * FRAMES.hop, generator=torch.Generator().manual_seed(1))
    first = filter_source(from_mel(mel, bank), FRAMES, source)
    matched = match_bands(first, mel, FRAMES, bank)

    def error(sound: torch.Tensor) -> float:
        return float((bank @ FRAMES.stft(sound).abs() - mel).norm() / mel.norm())

    def share_before(sound: torch.Tensor) -> float:
        return float(sound[0, : 19 * FRAMES.hop].square().sum() / sound.square().sum())

    assert error(matched) < 0.6 * error(first)
    assert share_before(matched) < 0.5 * share_before(first)
    assert float(pulses(matched.numpy(), FRAMES.rate).max()) < 0.4


def test_noise_begins_where_it_is_said_to() -> None:
    share = noise_share(FRAMES, 2000.0)[:, 0]
    hertz = torch.arange(len(share)) * FRAMES.rate / FRAMES.size
    assert (share[hertz < 1000.0] < 0.05).all() and (share[hertz > 3000.0] > 0.95).all()


@pytest.mark.parametrize("hertz", [196.0, 311.1, 440.0, 523.3, 987.8])
def test_tones_that_come_back_from_mel_bands_are_in_tune(hertz: float) -> None:
    time = torch.arange(96 * 64) / FRAMES.rate
    tone = sum((2 * math.pi * hertz * k * time).sin() / k for k in (1, 2, 3))
    bank = mel_bank(FRAMES.rate, FRAMES.size, 64)
    magnitude = from_mel(bank @ FRAMES.stft(tone[None]).abs(), bank)
    again = griffin_lim(magnitude, FRAMES, len(time), 2, steady_phase(magnitude, FRAMES))[0, 1000:-1000]
    spectrum = torch.fft.rfft(again * torch.hann_window(len(again)), 2**18).abs()
    step = FRAMES.rate / 2**18
    near = slice(round(0.9 * hertz / step), round(1.1 * hertz / step))
    peak = (near.start + int(spectrum[near].argmax())) * step
    assert abs(1200.0 * math.log2(peak / hertz)) < 6.0  # cents: fewer are not heard
