"""Recordings in formats without seeking: decoded once, in order, within bounds of disk and memory."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from anew.data.dataset import Dataset
from anew.data.formats.recording_id import RecordingId
from anew.data.formats.sound import audio, mp3_cache
from anew.data.formats.sound.mp3_cache import DecodedFiles, Recordings, quiet
from anew.data.modalities.audio import Audio, AudioConfig
from anew.data.types import DataBudget, FileSlice, Item
from samples import tone


def mp3(path: Path, seconds: int = 60, channels: int = 1) -> Path:
    x = np.concatenate([tone(i, 8000, 1.0) for i in range(seconds)])
    soundfile.write(path, np.stack([x] * channels, 1), 8000, format="MP3")
    return path


def test_clips_are_those_of_a_reading_in_order(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    path = mp3(tmp_path / "a.mp3", channels=2)
    whole = soundfile.read(path, dtype="float32")[0].mean(axis=1)
    capfd.readouterr()
    for start in (400_000, 8_000, 200_000):  # in any order
        output, rate = audio.read(FileSlice(path, at=(start, start + 5000)), start, start + 5000)
        assert rate == 8000 and np.abs(output - whole[start : start + 5000]).max() < 1e-3
    assert capfd.readouterr().err == ""


def test_a_recording_is_decoded_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    modality = Audio(AudioConfig())
    modality.size = DataBudget(60.0, 60, 400_000)
    item = Item("a.mp3", FileSlice(mp3(tmp_path / "a.mp3")))
    modality.inspect([item])
    opened, real = [], soundfile.SoundFile
    monkeypatch.setattr(soundfile, "SoundFile", lambda file: (opened.append(file), real(file))[1])
    clips = list(modality.split_records(item))
    assert len(clips) > 40 and all(len(modality.encode(result)) for result in clips)
    assert len(opened) == 2  # its header, and what is in it
    body = Item("b.mp3", FileSlice(Path("in.tar/b.mp3"), body=(tmp_path / "a.mp3").read_bytes()))
    again = [modality.encode(result) for result in modality.split_records(body)]
    assert np.array_equal(np.stack(again), np.stack([modality.encode(result) for result in clips]))


@pytest.mark.parametrize("disk", [0, 1 << 30])
def test_without_room_on_the_disk_it_is_read_in_stretches(
    tmp_path: Path, disk: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mp3_cache, "STRETCH_SAMPLES", 100_000)
    monkeypatch.setattr(mp3_cache, "MAX_DISK_BYTES", disk)
    path = mp3(tmp_path / "a.mp3")
    whole = soundfile.read(path, dtype="float32")[0]
    recordings, recording = Recordings(), RecordingId.of_slice(FileSlice(path))
    assert recordings.read(recording, 0, 10) is None
    for start in (95_000, 300_000, 470_000, 20_000, 99_999):
        with soundfile.SoundFile(path) as file:
            records = recordings.read(recording, start, start + 20_000, file)
        assert records is not None
        expected = whole[start : start + 20_000]
        assert len(records[0]) == len(expected) and np.abs(records[0][:, 0] - expected).max() < 1e-3
    assert len(recordings._decoded) == (disk > 0) and len(recordings._stretches) <= mp3_cache.MAX_STRETCHES
    recordings.close()


def test_what_was_given_up_is_decoded_again_from_the_start(tmp_path: Path) -> None:
    path = mp3(tmp_path / "a.mp3", 10)
    first = audio.read(FileSlice(path, at=(5000, 9000)), 5000, 9000)[0]
    audio._IN_ORDER.close()
    assert np.array_equal(audio.read(FileSlice(path, at=(5000, 9000)), 5000, 9000)[0], first)


@pytest.mark.parametrize("form", ["WAV", "FLAC", "OGG"])
def test_clips_are_the_same_in_any_order(tmp_path: Path, form: str) -> None:
    path = tmp_path / f"a.{form}"
    soundfile.write(path, np.concatenate([tone(i, 8000, 1.0) for i in range(30)]), 8000, format=form)
    ranges = [(start, start + 4000) for start in range(0, 230_000, 4000)]

    def clips(order: list[tuple[int, int]]) -> dict[tuple[int, int], Any]:
        return {at: audio.read(FileSlice(path, at=at), *at)[0] for at in order}

    first, again = clips(ranges), clips(ranges[::-1])
    assert all(np.array_equal(first[at], again[at]) for at in ranges)
    soundfile.write(path, np.concatenate([tone(i, 8000, 1.0) for i in range(40, 50)]), 8000, format=form)
    assert not np.array_equal(clips(ranges[:1])[ranges[0]], first[ranges[0]])  # another file of the same name


def test_the_disk_holds_the_latest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mp3_cache, "MAX_DISK_BYTES", 5 * 160_000)
    recordings, paths = Recordings(), [mp3(tmp_path / f"{i}.mp3", 10) for i in range(8)]
    for path in paths:
        with soundfile.SoundFile(path) as file:
            recordings.read(RecordingId.of_slice(FileSlice(path)), 0, 100, file)
    assert list(recordings._decoded) == [
        RecordingId.of_slice(FileSlice(path)) for path in paths[-len(recordings._decoded) :]
    ]
    assert 3 <= len(recordings._decoded) <= 5
    recordings.close()


def test_only_the_chatter_of_the_decoder_is_kept_back(capfd: pytest.CaptureFixture[str]) -> None:
    with quiet():
        os.write(2, b"[src/libmpg123/layer3.c] error: odd\nmine\n")
    assert capfd.readouterr().err == "mine\n"


def test_a_damaged_recording_is_used_up_to_where_it_breaks(tmp_path: Path) -> None:
    data = bytearray(mp3(tmp_path / "a.mp3").read_bytes())
    data[len(data) // 2 :] = np.random.default_rng(0).bytes(len(data) // 4)
    (tmp_path / "a.mp3").write_bytes(data)
    handle = FileSlice(tmp_path / "a.mp3", at=(8000, 16_000))
    assert np.abs(audio.read(handle, 8000, 16_000)[0]).max() > 0.1
    late: Any = FileSlice(tmp_path / "a.mp3", at=(470_000, 479_000))
    with pytest.raises(ValueError, match="truncated"):
        audio.read(late, 470_000, 479_000)


def test_a_long_one_is_trained_on(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    mp3(tmp_path / "a.mp3", 120)
    capfd.readouterr()
    size = DataBudget(60.0, 0, 0)
    data = Dataset.open(tmp_path / "a.mp3", size=size, cache=tmp_path / "cache")
    data.fit(size)
    assert data.part_size("test") and data.batch(0, "main", 0, 4, 4).x.shape[0] == 4
    data.close()
    assert capfd.readouterr().err == ""


def test_what_was_not_asked_for_the_longest_time_is_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mp3_cache, "MAX_BYTES", 80)
    decoded, samples = DecodedFiles(), np.zeros(2, np.float32)
    for number in range(10):
        decoded.keep(number, samples, 8000)
    assert decoded.get(0) == (samples, 8000) and not samples.flags.writeable
    decoded.keep("another", samples, 8000)
    assert decoded.get(0) is not None and decoded.get(1) is None and decoded.get("another") is not None


def test_a_long_file_does_not_drive_out_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mp3_cache, "MAX_BYTES", 80)
    decoded = DecodedFiles()
    decoded.keep("short", np.zeros(1, np.float32), 8000)
    decoded.keep("long", np.zeros(9, np.float32), 8000)
    assert decoded.get("long") is None and decoded.get("short") is not None
