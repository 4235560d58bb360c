"""Where a sound stands between two channels, and that it can be put there again."""

from __future__ import annotations

import math

import pytest
import torch

from anew.functional.spectrogram import Frames, mel_bank
from anew.functional.stereo import MAX_BALANCE_DB, MAX_IMAGE, stereo_image, to_stereo

FRAMES = Frames(16_000, 1024, 160)
BANK = mel_bank(16_000, 1024, 64)


def noise(seed: int) -> torch.Tensor:
    return torch.randn(1, 160 * 64, generator=torch.Generator().manual_seed(seed))


def image_of(left: torch.Tensor, right: torch.Tensor) -> torch.Tensor:
    return stereo_image(FRAMES.stft(left), FRAMES.stft(right), BANK)


@pytest.mark.parametrize(
    ("left", "right", "decibels", "alike"),
    [
        (noise(0), noise(0), 0.0, 1.0),
        (noise(0), 0.5 * noise(0), 6.02, 1.0),
        (0.25 * noise(0), noise(0), -12.04, 1.0),
        (noise(0), noise(1), 0.0, 0.0),
        (noise(0), -noise(0), 0.0, -1.0),
        (noise(0) + 0.5 * noise(1), noise(0) - 0.5 * noise(1), 0.0, 1.0 - 2.0 / math.pi * math.acos(0.6)),
    ],
)
def test_channels_are_described_and_made_again(
    left: torch.Tensor, right: torch.Tensor, decibels: float, alike: float
) -> None:
    image = image_of(left, right)
    assert image.shape == (1, 2, 64, 64) and float(image.abs().max()) <= MAX_IMAGE
    sound = torch.stack(list(to_stereo(noise(2), image, FRAMES, BANK).unbind(2)))[:, 0]
    for balance, likeness in (image[0], image_of(sound[:1], sound[1:])[0]):
        # The lowest bands are of two bins, of which any two channels look alike.
        assert float(balance[16:].mean()) * MAX_BALANCE_DB / MAX_IMAGE == pytest.approx(decibels, abs=0.7)
        assert float(likeness[16:].mean()) / MAX_IMAGE == pytest.approx(alike, abs=0.08)


def test_silence_stands_in_the_middle() -> None:
    nothing = torch.zeros(1, 160 * 64)
    assert torch.equal(
        image_of(nothing, nothing)[0], torch.stack([torch.zeros(64, 64), torch.full((64, 64), MAX_IMAGE)])
    )


def test_one_channel_twice_stays_as_it_is() -> None:
    image = torch.stack([torch.zeros(1, 64, 64), torch.full((1, 64, 64), MAX_IMAGE)], 1)
    stereo = to_stereo(noise(0), image, FRAMES, BANK)
    torch.testing.assert_close(stereo, noise(0)[:, :, None].expand(-1, -1, 2), atol=2e-3, rtol=0.0)
