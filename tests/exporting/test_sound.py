"""What exports do with grids of sound: the waves that the run makes of them, as loud as it makes them."""

from __future__ import annotations

import json
import subprocess

import numpy as np
import pytest
import torch

from anew.data.modalities.audio import Audio, AudioConfig
from anew.data.types import DataBudget, Item
from anew.exporting.runtime import sound
from anew.functional.envelope import pulses
from samples import tones, voice

from .interpreter import NODE, WEB, needs_node

IN_NODE = """
import { readFileSync } from "node:fs";
const { waveOf } = await import(process.argv[1]);
const { grids, item } = JSON.parse(readFileSync(0, "utf8"));
console.log(JSON.stringify(grids.map((grid) => Array.from(waveOf(grid, item)))));
"""


@pytest.fixture(scope="module")
def modality(tmp_path_factory: pytest.TempPathFactory) -> Audio:
    """Fitted to tones of three levels, and calibrated."""
    files = sorted(tones(tmp_path_factory.mktemp("tones"), 24).iterdir())
    items = [Item(file.name, file.read_bytes()) for file in files]
    modality = Audio(AudioConfig())
    modality.inspect(items, DataBudget(60.0, len(items), 100_000))
    modality.fit(items, DataBudget(60.0, len(items), 100_000), ())
    modality.calibrate(_grids(modality, 16), _grids(modality, 16))
    return modality


def _grids(modality: Audio, count: int) -> torch.Tensor:
    """Falling noise, loud and soft: grids that are no clip's."""
    source = torch.Generator().manual_seed(0)
    shape = tuple(modality.spec.shape)  # type: ignore[union-attr]
    fall = torch.linspace(0.5, -1.5, shape[2]) * torch.rand(count, 1, 1, 1, generator=source)
    return (fall + 0.2 * torch.randn(count, *shape, generator=source)).clamp(-1.0, 1.0)


def test_the_program_beside_graphs_makes_the_waves_of_the_run(modality: Audio) -> None:
    grids = _grids(modality, 8)
    assert_alike(modality, grids, sound.waves(grids.numpy(), json.loads(json.dumps(modality.sound_scale()))))


@needs_node
def test_pages_make_the_waves_of_the_run(modality: Audio) -> None:
    grids = _grids(modality, 8)
    assert_alike(modality, grids, _in_node(modality, grids))


def _in_node(modality: Audio, grids: torch.Tensor) -> list[np.ndarray]:  # type: ignore[type-arg]
    request = json.dumps({"grids": [grid.flatten().tolist() for grid in grids], "item": modality.sound_scale()})
    command = [str(NODE), "--input-type=module", "-e", IN_NODE, (WEB / "sound.js").as_uri()]
    answer = subprocess.run(command, input=request, capture_output=True, text=True, check=True, timeout=120)
    return [np.asarray(wave) for wave in json.loads(answer.stdout)]


@pytest.fixture(scope="module")
def voices() -> Audio:
    """Fitted to voices, whose high tones pulse at their pitch."""
    items = [Item(str(seed), sound.wav(voice(seed), 8000)) for seed in range(24)]
    modality = Audio(AudioConfig())
    modality.inspect(items, DataBudget(60.0, len(items), 100_000))
    modality.fit(items, DataBudget(60.0, len(items), 100_000), ())
    assert modality.sound_scale()["pitched"]
    return modality


def _voice_grids(modality: Audio) -> torch.Tensor:
    rows = np.stack([modality.encode(Item("x", sound.wav(voice(seed), 8000))) for seed in range(30, 36)])
    return modality.batch(rows, None, None).x


def test_the_program_beside_graphs_gives_voices_their_pitch(voices: Audio) -> None:
    grids = _voice_grids(voices)
    waves = sound.waves(grids.numpy(), json.loads(json.dumps(voices.sound_scale())))
    for our, their in zip(voices.decode(grids), waves, strict=True):
        high = [
            np.fft.irfft(np.where(np.arange(len(x) // 2 + 1) > len(x) // 3, np.fft.rfft(x), 0)) for x in (our, their)
        ]
        assert np.corrcoef(*high)[0, 1] > 0.9  # below, phases of many tones differ by rounding


@needs_node
def test_pages_give_voices_their_pitch(voices: Audio) -> None:
    grids = _voice_grids(voices)
    ours, theirs = (pulses(waves, 8000) for waves in (voices.decode(grids), _in_node(voices, grids)))
    assert ours.max() > 0.5 and np.abs(ours - theirs).max() < 0.2


def assert_alike(modality: Audio, grids: torch.Tensor, theirs: list[np.ndarray]) -> None:  # type: ignore[type-arg]
    ours = modality.decode(grids)
    peaks = [np.abs(wave).max() for wave in ours]
    assert max(peaks) > 1.5 * min(peaks)  # levels differ, so that this tests something
    assert [np.abs(wave).max() for wave in theirs] == pytest.approx(peaks, rel=1e-3)
    if modality.sound_scale()["noise_from"] is None:  # pages draw noise from other numbers
        for our, their in zip(ours, theirs, strict=True):
            assert len(our) == len(their) and np.corrcoef(our, their)[0, 1] > 0.98
