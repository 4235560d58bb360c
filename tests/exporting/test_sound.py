"""What exports do with grids of sound: the waves that the run makes of them, as loud as it makes them."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from anew.data.formats.sound import audio
from anew.data.modalities.audio import Audio, AudioConfig
from anew.data.types import DataBudget, Item
from anew.exporting.runtime import sample, sound
from anew.functional.band_pairs import pair_bands
from anew.functional.envelope import pulses
from samples import signals, tones, voice

from .interpreter import NODE, WEB, needs_node

IN_NODE = """
import { readFileSync } from "node:fs";
const { waveOf } = await import(process.argv[1]);
const { grids, item } = JSON.parse(readFileSync(0, "utf8"));
console.log(JSON.stringify(grids.map((grid) => Array.from(waveOf(grid, item)))));
"""

SHOWN_IN_NODE = """
import { readFileSync } from "node:fs";
const [engine, tensor] = process.argv.slice(1);
const [{ Engine }, { Tensor }] = [await import(engine), await import(tensor)];
const { shape, values, items } = JSON.parse(readFileSync(0, "utf8"));
const made = (item) => Engine.prototype.items.call({ item }, { x: Tensor.from("f32", shape, values), isLast: true });
console.log(JSON.stringify(items.map((item) => made(item).map(({ wave }) => Array.from(wave)))));
"""

FILLED_IN_NODE = """
import { readFileSync } from "node:fs";
const [engine, tensor] = process.argv.slice(1);
const [{ Engine }, { Tensor }] = [await import(engine), await import(tensor)];
const { shape, values, item, fill } = JSON.parse(readFileSync(0, "utf8"));
const x = Tensor.from("f32", shape, values);
const made = [null, fill].map((given) => Engine.prototype.items.call({ item }, { x, isLast: true }, given)[0]);
console.log(JSON.stringify(made.map(({ curve, wave }) => ({ curve: Array.from(curve), wave: Array.from(wave) }))));
"""


@pytest.fixture(scope="module")
def modality(tmp_path_factory: pytest.TempPathFactory) -> Audio:
    """Fitted to tones of three levels, and calibrated."""
    files = sorted(tones(tmp_path_factory.mktemp("tones"), 24).iterdir())
    items = [Item(file.name, file.read_bytes()) for file in files]
    modality = Audio(AudioConfig())
    modality.inspect(items, DataBudget(60.0, len(items), 100_000))
    modality.fit(items, DataBudget(60.0, len(items), 100_000), ())
    modality.calibrate(_grids(modality, 16), _grids(modality, 16, noise=0.1))
    assert max(modality.sound_scale()["steadiness"][0][2]) < 0.9
    return modality


@pytest.fixture(scope="module", params=[1, 2])
def signal_modality(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Audio:
    """Fitted to signals of 2,000 Hz with nothing above 200, some of them short."""
    files = sorted(signals(tmp_path_factory.mktemp("signals"), 24, channels=request.param).iterdir())
    items = [Item(file.name, file.read_bytes()) for file in files]
    modality = Audio(AudioConfig())
    modality.inspect(items, DataBudget(60.0, len(items), 100_000))
    modality.fit(items, DataBudget(60.0, len(items), 100_000), ())
    grids = modality.batch(np.stack([modality.encode(item) for item in items]), None, None).x
    modality.calibrate(grids + 0.05 * torch.randn(grids.shape, generator=torch.Generator().manual_seed(0)), grids)
    scale = modality.sound_scale()
    assert modality.rate == 400 and scale["lag"] is not None and scale["band_levels"] is not None
    return modality


def _signal_grids(modality: Audio) -> torch.Tensor:
    """Random signals, the first of which ends early."""
    noise = torch.randn(4, *modality._shape.grid_shape, generator=torch.Generator().manual_seed(1))
    grids = torch.nn.functional.avg_pool2d(noise, (1, 9), 1, (0, 4))  # nothing near the highest frequency
    grids[0, ..., grids.shape[3] // 2 :] = 0.0
    if grids.shape[1] == 2:
        grids[1, 1] = -grids[1, 0]  # opposite, which is not silent
    return grids.clamp(-1.0, 1.0)


def test_the_program_beside_graphs_writes_the_signals_of_the_run(
    signal_modality: Audio, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    grids = _signal_grids(signal_modality)
    item = json.loads(json.dumps({"kind": "sound", **signal_modality.sound_scale()}))
    waves = signal_modality.decode(grids)
    for wave, other in zip(waves, sound.waves(grids.numpy(), item), strict=True):
        np.testing.assert_allclose(other, wave, atol=1e-5)
    monkeypatch.setitem(sys.modules, "sound", sound)
    sampler = object.__new__(sample.Sampler)  # files need no graphs
    sampler.program = {"item": item}
    for wave, path in zip(waves, sampler.save(grids.numpy(), tmp_path), strict=True):
        expected, rate = soundfile.read(io.BytesIO(signal_modality.save_item(wave).data))
        values, own_rate = soundfile.read(path)
        assert rate == own_rate == 2000 and len(values) == len(expected)
        middle = slice(100, -100)  # resampled by another window; ends differ, where nothing is known beyond
        assert np.abs(values - expected)[middle].max() < 0.05 * np.abs(expected).max()


PLAYERS_IN_NODE = """
globalThis.document = { createElement: () => new Proxy({}, { get: (target, name) => target[name] ?? (() => {}) }) };
const { Sample } = await import(process.argv[1]);
const hasPlayer = (writtenRate) => {
  let isAdded = false;
  const sample = Object.assign(Object.create(Sample.prototype), {
    item: { kind: "sound", written_rate: writtenRate }, root: { classList: { remove() {} } }, save: {},
    showFrames() {}, addPlayer() { isAdded = true; },
  });
  sample.show({ wave: [0] }, true);
  return isAdded;
};
console.log(JSON.stringify([500, 2000, 3000, 8000].map(hasPlayer)));
"""


@needs_node
def test_pages_have_no_player_for_what_browsers_do_not_play() -> None:
    command = [str(NODE), "--input-type=module", "-e", PLAYERS_IN_NODE, (WEB / "page" / "samples.js").as_uri()]
    answer = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    assert json.loads(answer.stdout) == [False, False, True, True]


@needs_node
def test_pages_make_the_signals_of_the_run(signal_modality: Audio) -> None:
    grids = _signal_grids(signal_modality)
    item = {"kind": "sound", **signal_modality.sound_scale()}
    request = json.dumps({"shape": list(grids.shape), "values": grids.flatten().tolist(), "items": [item]})
    files = [(WEB / name).as_uri() for name in ("engine.js", "tensor.js")]
    command = [str(NODE), "--input-type=module", "-e", SHOWN_IN_NODE, *files]
    answer = subprocess.run(command, input=request, capture_output=True, text=True, check=True, timeout=120)
    for row, wave, values in zip(
        sound.waves(grids.numpy(), item), signal_modality.decode(grids), json.loads(answer.stdout)[0], strict=True
    ):
        np.testing.assert_allclose(row, wave, atol=1e-5)
        expected = sound.resampled(sound.cut_tail(row, item["rate"]), item["rate"], item["written_rate"])
        np.testing.assert_allclose(np.reshape(values, expected.shape), expected, atol=1e-4)


@needs_node
def test_pages_keep_what_was_given_of_a_signal(signal_modality: Audio) -> None:
    """It is put in after the filter, and shown as it was given."""
    grids = _signal_grids(signal_modality)[1:2]
    values = grids.flatten().tolist()
    mask = [int(place % grids.shape[3] < 100) for place in range(len(values))]
    item = {"kind": "sound", **signal_modality.sound_scale(), "levels": None, "peak": 0.95}
    item |= {"written_rate": item["rate"], "trim": False, "lag": None}
    request = {"shape": list(grids.shape), "values": values, "item": item, "fill": {"mask": mask, "values": values}}
    files = [(WEB / name).as_uri() for name in ("engine.js", "tensor.js")]
    command = [str(NODE), "--input-type=module", "-e", FILLED_IN_NODE, *files]
    answer = subprocess.run(command, input=json.dumps(request), capture_output=True, text=True, check=True, timeout=120)
    drawn, filled = (np.array(signal["curve"]).reshape(grids.shape[1:]) for signal in json.loads(answer.stdout))
    known = grids[0].double().numpy()
    assert np.abs(drawn - known)[..., :100].max() > 1e-3
    np.testing.assert_array_equal(filled[..., :100], known[..., :100])
    np.testing.assert_allclose(filled[..., 100:], drawn[..., 100:], atol=1e-12)
    wave = np.array(json.loads(answer.stdout)[1]["wave"])
    channels = filled[:, 0].T if len(filled) == 2 else filled[0, 0]
    np.testing.assert_allclose(wave.reshape(channels.shape), channels * (0.95 / np.abs(channels).max()), atol=1e-5)


def _grids(modality: Audio, count: int, end: int | None = None, noise: float = 0.2) -> torch.Tensor:
    """Falling noise, loud and soft, silent from frame `end` on: grids that are no clip's."""
    source = torch.Generator().manual_seed(0)
    shape = modality._shape
    fall = torch.linspace(0.5, -1.5, shape.frames) * torch.rand(count, 1, 1, 1, generator=source)
    normal = torch.randn(count, 1 if shape.channels == 1 else 3, shape.bands, shape.frames, generator=source)
    maps = (fall + noise * normal).clamp(-1.0, 1.0)
    if end is not None:
        maps[..., end:] = -1.0
    return pair_bands(maps) if shape.bands_per_row == 2 else maps


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


def _ending_early(modality: Audio) -> tuple[torch.Tensor, list[int]]:
    """Grids that are silent from their middle on, and the lengths of the files that the run writes of them."""
    grids = _grids(modality, 3, modality._shape.frames // 2)
    files = [modality.save_item(wave).data for wave in modality.decode(grids)]
    lengths = [len(soundfile.read(io.BytesIO(file))[0]) for file in files]
    assert max(lengths) < 0.8 * modality.clip_shape.length
    return grids, lengths


def test_the_program_beside_graphs_ends_clips_as_the_run_does(
    modality: Audio, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    grids, lengths = _ending_early(modality)
    monkeypatch.setitem(sys.modules, "sound", sound)
    sampler = object.__new__(sample.Sampler)  # files need no graphs
    whole = [modality.clip_shape.length] * len(lengths)
    for trim, expected in ((True, lengths), (False, whole), (None, whole)):  # None: an older export
        item = {"kind": "sound", **modality.sound_scale(), "trim": trim}
        sampler.program = {"item": item}
        file_lengths = [len(soundfile.read(path)[0]) for path in sampler.save(grids.numpy(), tmp_path / str(trim))]
        assert np.abs(np.subtract(file_lengths, expected)).max() <= 2  # rounding: silence may begin a value earlier


@needs_node
def test_pages_end_clips_as_the_run_does(modality: Audio) -> None:
    grids, lengths = _ending_early(modality)
    item = {"kind": "sound", **modality.sound_scale()}
    longest = min(lengths) - 200
    items = [item, {**item, "trim": False}, {**item, "longest": longest}]
    request = json.dumps({"shape": list(grids.shape), "values": grids.flatten().tolist(), "items": items})
    files = [(WEB / name).as_uri() for name in ("engine.js", "tensor.js")]
    command = [str(NODE), "--input-type=module", "-e", SHOWN_IN_NODE, *files]
    answer = subprocess.run(command, input=request, capture_output=True, text=True, check=True, timeout=120)
    cut, whole, limited = ([len(wave) for wave in waves] for waves in json.loads(answer.stdout))
    assert np.abs(np.subtract(cut, lengths)).max() <= 0.01 * 8000  # pages draw noise from other numbers
    assert whole == [modality.clip_shape.length] * len(lengths)
    assert limited == [longest] * len(lengths)


@pytest.mark.parametrize("channels", [1, 2])
def test_the_silence_that_is_cut_is_that_of_the_run(channels: int) -> None:
    loud = np.linspace(0.9, 0.5, 400 * channels).reshape(400, channels)
    for peak, tail in ((1.0, 1e-5), (0.01, 1.2e-5), (0.0, 0.0)):
        wave = np.concatenate([peak * loud, np.full((600, channels), tail)]).squeeze()
        assert np.array_equal(sound.cut_tail(wave, 8000), audio.cut_tail(wave, 8000))


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
