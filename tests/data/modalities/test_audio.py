"""Sound: what is read, refused, cut, said; and that a long recording is streamed."""

from __future__ import annotations

import copy
import dataclasses
import io
import json
import tarfile
import tracemalloc
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
import soundfile
import torch
from numpy.typing import NDArray

from anew.core.specs import Condition, Grid
from anew.data.dataset import Dataset
from anew.data.formats.sound import audio, audio_clips, audio_grid
from anew.data.loading import streaming
from anew.data.modalities.audio import Audio, AudioConfig
from anew.data.sources import folder
from anew.data.splitting import records, streaming_split
from anew.data.types import DataBudget, FileSlice, Item, SkippedItem
from anew.errors import ConfigError, DataError
from samples import signals, tone, tones

SIZE = DataBudget(60.0, 60, 400_000)


def encoded(x: Any, rate: int = 8000, form: str = "WAV", subtype: str | None = None) -> bytes:
    out = io.BytesIO()
    soundfile.write(out, x, rate, format=form, subtype=subtype)
    return out.getvalue()


def surveyed(*data: bytes, **settings: Any) -> Audio:
    modality = Audio(AudioConfig(**settings))
    modality.size = SIZE
    modality.inspect([Item(str(i), body) for i, body in enumerate(data)])
    return modality


@pytest.mark.parametrize(
    ("form", "subtype"),
    [("WAV", "PCM_U8"), ("WAV", "PCM_24"), ("WAV", "FLOAT"), ("FLAC", "PCM_16"), ("OGG", "VORBIS"), ("MP3", None)],
)
def test_formats_sound_alike(form: str, subtype: str | None) -> None:
    x = tone(1, 16_000)
    data = encoded(x, 16_000, form, subtype)
    assert Audio.sniff(data[:4096]) >= 0.8
    modality = surveyed(encoded(x, 16_000))
    output, expected = (modality.waveform(Item("x", d)) for d in (data, encoded(x, 16_000)))
    size = [np.abs(np.fft.rfft(wave))[20:400] for wave in (output, expected)]
    assert np.corrcoef(size)[0, 1] > 0.98  # MP3 and Vorbis shift a little
    assert np.abs(output).max() == pytest.approx(0.95, abs=0.01)


def test_rates_and_channels_are_brought_to_one_and_said() -> None:
    stereo = np.stack([tone(2, 44_100), tone(2, 44_100)], 1)
    modality = Audio(AudioConfig(channels="mono"))
    notes = modality.inspect([Item("a", encoded(stereo, 44_100)), Item("b", encoded(tone(2, 8000), 8000))])
    assert "Stereo is mixed to mono in 1 of the 2 files that were looked at (channels=stereo keeps two)." in notes
    assert any("Files of 8,000 to 44,100 Hz are resampled to" in s for s in notes)
    first, second = (
        modality.waveform(Item("x", d)) for d in (encoded(stereo, 44_100), encoded(tone(2, 44_100), 44_100))
    )
    assert first.shape == (modality._shape.length,) and np.abs(first - second).max() < 0.01


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "the file is empty"),
        (b"RIFF\x24\0\0\0WAVEfmt nonsense", "not a sound file of a known format"),
        (encoded(np.zeros(0)), "holds no samples"),
        (encoded(np.ones(8)), "only 1 ms long"),
        (encoded(np.zeros(4000)), "silent"),
        (encoded(np.full(4000, np.nan), subtype="FLOAT"), "not numbers"),
        (encoded(np.full(4000, np.inf), subtype="FLOAT"), "not numbers"),
    ],
)
def test_what_cannot_be_used_is_refused_with_a_reason(data: bytes, reason: str) -> None:
    modality = surveyed(encoded(tone(0)))
    (row,) = modality.encode_many([Item("x", data)])
    assert isinstance(row, str) and reason in row and "\n" not in row


def test_files_whose_end_is_missing_are_named() -> None:
    """They were used without a word."""
    whole = encoded(tone(0))
    notes = Audio(AudioConfig()).inspect([Item("a.wav", whole), Item("cut.wav", whole[: len(whole) // 2])])
    assert "The end of cut.wav is missing (up to 50% of a file): what is there is used." in notes
    assert not any("is missing" in note for note in Audio(AudioConfig()).inspect([Item("a.wav", whole)]))


def test_a_cut_off_file_keeps_what_is_there_or_is_refused() -> None:
    modality = surveyed(encoded(tone(0)))
    lengths: dict[str, int] = {}  # samples that are there
    for form in ("WAV", "FLAC", "OGG", "MP3"):
        whole = encoded(tone(0), form=form)
        (row,) = modality.encode_many([Item("x", whole[: len(whole) // 2])])
        if isinstance(row, str):
            continue
        assert row.shape == (modality._shape.length + 1,)
        cut, sound = (modality.waveform(Item("x", data)) for data in (whole[: len(whole) // 2], whole))
        lengths[form] = int(np.flatnonzero(np.abs(cut) > 1e-3)[-1])
        assert np.corrcoef(cut[: lengths[form]], sound[: lengths[form]])[0, 1] > 0.99
    assert lengths["WAV"] > 0.45 * len(tone(0))


def test_one_bad_file_among_many_is_named_and_skipped(tmp_path: Path) -> None:
    folder = tones(tmp_path / "d", 30)
    (folder / "a_99.wav").write_bytes(b"RIFF" + bytes(100))
    (folder / "a_98.wav").write_bytes(b"")
    data = Dataset.open(folder, size=SIZE)
    assert data.scan.skipped == 2 and {r.name for r in data.scan.skipped_items} == {"a_99.wav", "a_98.wav"}
    assert sum(data.scan.parts.values()) == 30 and data.scan.labels == ("a", "b")
    assert any("first word of every file name" in note for note in data.scan.notes)
    data.fit(SIZE)
    batch = data.batch(0, "main", 0, 4, 4)
    assert tuple(batch.x.shape) == (4, *data.spec.shape) and batch.labels is not None
    data.close()


def test_bad_bodies_are_named_before_training(tmp_path: Path) -> None:
    folder = tones(tmp_path / "d", 60)
    (folder / "a_98.wav").write_bytes(encoded(np.zeros(4000)))
    (folder / "a_99.wav").write_bytes(encoded(np.full(4000, np.nan), subtype="FLOAT"))
    data = Dataset.open(folder, size=SIZE)
    assert {r.name: r.reason for r in data.scan.skipped_items}.keys() == {
        "a_98.wav",
        "a_99.wav",
    } and data.scan.skipped == 2
    assert sum(data.scan.parts.values()) == 60
    data.close()


def test_a_folder_of_bad_files_is_one_sentence(tmp_path: Path) -> None:
    for i in range(12):
        (tmp_path / f"{i}.wav").write_bytes(b"RIFF\x24\0\0\0WAVE" + bytes(20))
    with pytest.raises(DataError, match=r"holds no usable sound: .*wav: it is not a sound file"):
        Dataset.open(tmp_path, size=SIZE)


def test_too_few_good_files_name_some_of_the_bad_ones(tmp_path: Path) -> None:
    for index in range(2):
        (tmp_path / f"good{index}.wav").write_bytes(encoded(tone(index)))
    (tmp_path / "empty.wav").write_bytes(b"")
    for index in range(5):
        (tmp_path / f"bad{index}.wav").write_bytes(b"RIFF" + bytes(9 + index))
    with pytest.raises(
        DataError, match=r"2 sounds are too few.*cannot be used: bad\d.wav: .*empty.wav: it is empty; and others"
    ):
        Dataset.open(tmp_path, size=SIZE)


def long_file(path: Path, seconds: int, rate: int = 8000) -> Path:
    """A WAV whose samples are a hole in the file, with a second of tone in the middle."""
    size = 2 * seconds * rate
    head = b"RIFF" + (36 + size).to_bytes(4, "little") + b"WAVEfmt " + (16).to_bytes(4, "little")
    head += b"\1\0\1\0" + rate.to_bytes(4, "little") + (2 * rate).to_bytes(4, "little") + b"\2\0\x10\0"
    with open(path, "wb") as out:
        out.write(head + b"data" + size.to_bytes(4, "little"))
        out.seek(44 + size // 2)
        out.write((tone(0, rate, 1.0) * 32767).astype("<i2").tobytes())
        out.truncate(44 + size)
    return path


def hits(folder: Path, singles: int, loops: int, rate: int = 8000) -> Path:
    """Strokes that die away in 4 s, the first moment the loudest, and as long files with a stroke each second."""
    folder.mkdir()
    t = np.arange(4 * rate) / rate
    for i in range(singles + loops):
        decay = np.exp(-t / 0.5) if i < singles else np.exp(-(t % 1.0) / 0.2)
        noise = np.random.default_rng(i).normal(0.0, 0.2, len(t))
        soundfile.write(folder / f"{'hit' if i < singles else 'loop'}{i}.wav", decay * noise, rate)
    return folder


def test_a_long_sound_that_dies_away_is_one_clip_from_its_beginning(tmp_path: Path) -> None:
    data = Dataset.open(hits(tmp_path / "d", 40, 10), settings={"seconds": 0.75}, size=SIZE)
    assert data.scan.items == 40 + 10 * 5
    assert (
        "Of 50 files of 1.5 s and more, 40 hold a single sound that dies away: each is one clip, its loudest 0.77 s, "
        "and the fainter rest (160 clips) is left out."
    ) in data.scan.notes
    assert "Other files of 1.5 s and more are cut into clips." in data.scan.notes
    data.fit(SIZE)
    assert min(np.abs(clip).max() for clip in data.items("train", 100)) > 0.2
    path = tmp_path / "d" / "hit0.wav"
    (item,) = data.modality.split_records(Item("hit0.wav", FileSlice(path)))
    assert np.abs(data.modality.encode(item)[:800]).max() > 20_000  # it begins with the stroke
    # Runs of before cut every long file, and are reopened with the same items.
    state = data.state()
    data.close()
    again = Dataset.reopen(state, tmp_path)
    assert again.scan.parts == state.parts
    again.close()
    older = Audio(AudioConfig(seconds=0.75))
    older.restore({key: value for key, value in state.learned.items() if key != "singles"}, tmp_path)
    assert len(list(older.split_records(Item("hit0.wav", FileSlice(path))))) == 5


def test_runs_of_before_keep_the_parts_that_they_were_divided_into(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for i, seconds in enumerate(rng.choice([0.5, 1.0, 8.0], 45, p=[0.6, 0.25, 0.15])):
        path = tmp_path / "d" / "ab"[i % 2] / f"{i}.wav"
        path.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(path, rng.normal(size=round(8000 * seconds)) * 0.1, 8000)

    def held_out(data: Dataset) -> set[str]:
        items = {str(data.near_duplicate_groups(data.items(part, 1000))) for part in ("validation", "test")}
        data.close()
        return items

    data = Dataset.open(tmp_path / "d", settings={"seconds": 0.5}, size=SIZE)
    data.fit(SIZE)
    state = data.state()
    parts = held_out(data)
    assert state.balances_classes and held_out(Dataset.reopen(state, tmp_path)) == parts
    older = state.model_copy(update={"balances_classes": False, "parts": {}})
    again = Dataset.reopen(older, tmp_path)
    assert not again.state().balances_classes and held_out(again) != parts


def test_loops_with_a_few_strokes_among_them_are_cut_as_ever(tmp_path: Path) -> None:
    data = Dataset.open(hits(tmp_path / "d", 2, 38), settings={"seconds": 0.75}, size=SIZE)
    assert data.scan.items == 40 * 5
    assert "Files of 1.5 s and more are cut into clips (40 of the 40 files that were looked at)." in data.scan.notes
    data.close()


def test_of_notes_of_one_length_only_the_beginnings_are_learned(tmp_path: Path) -> None:
    folder = tmp_path / "d"
    folder.mkdir()
    t = np.arange(round(2.5 * 8000)) / 8000
    for i in range(30):  # sustained, and louder at the end
        soundfile.write(folder / f"{i}.wav", np.sin(2 * np.pi * (200 + 40 * i) * t) * (0.2 + 0.2 * t), 8000)
    data = Dataset.open(folder, size=SIZE)
    seconds = data.modality.clip_shape.seconds
    assert 2 * seconds <= 2.5 <= 4 * seconds and data.scan.items == 30
    remark = f"Most files are 2.5 s long: each is one clip, its first {seconds:.2f} s, and the rest is left out"
    assert any(note.startswith(remark) and "seconds=2.5" in note for note in data.scan.notes)
    data.fit(SIZE)
    (item,) = data.modality.split_records(Item("0.wav", FileSlice(folder / "0.wav")))
    clip = data.modality.encode(item).astype(np.float32)
    loudness = np.sqrt(np.square(clip[: 8000 // 4]).mean()) / np.abs(clip).max()
    assert loudness < 0.85 * np.sqrt(0.5)  # it begins softly, as the file does
    state = data.state()
    data.close()
    again = Dataset.reopen(state, folder)
    assert again.scan.parts == state.parts
    again.close()
    pieces = Dataset.open(folder, settings={"seconds": 0.8}, size=SIZE)
    assert pieces.scan.items == 90  # whoever asks for a length has files cut
    pieces.close()


def test_what_a_lower_rate_loses_is_said_and_what_keeps_it() -> None:
    t = np.arange(44_100) / 44_100
    hiss = np.sin(2 * np.pi * 300 * t) + 0.3 * np.sin(2 * np.pi * 12_000 * t)
    items = [Item("hiss", encoded(0.4 * hiss, 44_100)), Item("hum", encoded(0.4 * np.sin(2 * np.pi * 300 * t), 44_100))]
    budget = DataBudget(150.0, 0, 0)
    (note,) = (note for note in Audio(AudioConfig()).inspect(items, budget) if "resampled" in note)
    assert note == (
        "Files of 44,100 Hz are resampled to 16,000 Hz: what lies above 8,000 Hz is lost, 4.1% of the energy of a file on "
        "average and up to 8.3%; rate=44100 keeps all of it, as a budget of 5m would."
    )
    (note,) = (note for note in Audio(AudioConfig(rate=16_000)).inspect(items, budget) if "resampled" in note)
    assert note.endswith("4.1% of the energy of a file on average and up to 8.3%.")
    (note,) = (note for note in Audio(AudioConfig()).inspect(items[1:], budget) if "resampled" in note)
    assert note == "Files of 44,100 Hz are resampled to 16,000 Hz."


def test_sounds_whose_high_tones_are_loud_keep_their_rate() -> None:
    t = np.arange(44_100) / 44_100
    hiss = np.sin(2 * np.pi * 300 * t) + 0.5 * np.sin(2 * np.pi * 12_000 * t)
    items = [Item(f"{number}", encoded(0.4 * hiss, 44_100)) for number in range(3)]
    modality = Audio(AudioConfig())
    notes = modality.inspect(items, DataBudget(60.0, 0, 0))
    assert modality.rate == 44_100 and not any("resampled" in note for note in notes)
    assert (
        "High tones are kept: 20% of the energy of a file lies above 5,512 Hz, on average of the 3 that were listened to."
        in notes
    )
    modality = Audio(AudioConfig(rate=16_000))  # as asked
    modality.inspect(items, DataBudget(60.0, 0, 0))
    assert modality.rate == 16_000


def test_a_day_of_sound_is_streamed(tmp_path: Path) -> None:
    path = long_file(tmp_path / "day.wav", 24 * 3600)
    modality = Audio(AudioConfig())
    modality.size = SIZE
    modality.inspect([Item("day.wav", FileSlice(path))])
    tracemalloc.start()
    parts = [Item("day.wav", FileSlice(path, number, 100)) for number in range(100)]
    records = [item for part in parts for item in modality.split_records(part)]
    seconds = modality._shape.seconds
    assert len(records) == int(24 * 3600 / seconds)
    starts = [item.data.at[0] for item in records]
    assert starts == sorted(set(starts)) and len({item.group for item in records}) == 1
    middle = min(records, key=lambda item: abs(item.data.at[0] - 12 * 3600 * 8000 - 2000))
    assert np.abs(modality.encode(middle)).max() > 30_000
    with pytest.raises(ValueError, match="silent"):
        modality.encode(records[0])
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 64 << 20


def test_large_files_are_listed_in_parts_that_cover_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    soundfile.write(tmp_path / "long.wav", np.tile(tone(3), 200), 8000)
    monkeypatch.setattr(folder, "PART_BYTES", 200_000)
    data = Dataset.open(tmp_path / "long.wav", size=SIZE)
    assert len(data._chosen.shards) == 6
    assert any("neighbouring clips stay in one part" in note for note in data.scan.notes)
    data.fit(SIZE)
    assert sum(data.part_size(p) for p in ("train", "validation", "test")) == sum(data.scan.parts.values()) > 50
    data.close()


def recording(path: Path, silent: slice, seconds: int = 120) -> Path:
    x = np.concatenate([tone(i, 8000, 1.0) for i in range(seconds)])
    x[silent] = 0
    soundfile.write(path, x, 8000, subtype="FLOAT")
    return path


@pytest.mark.parametrize(("alike", "shards"), [(2048, 1), (2048, 12), (20, 12), (0, 12)])
def test_a_long_silence_is_refused_and_the_rest_trained_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, alike: int, shards: int
) -> None:
    monkeypatch.setattr(records, "MAX_COMPARED", alike)
    monkeypatch.setattr(records, "MAX_BODIES", 2 * alike)
    monkeypatch.setattr(folder, "PART_BYTES", 4 * 8000 * 120 // shards)
    recording(tmp_path / "a.wav", slice(0, 90 * 8000))
    data = Dataset.open(tmp_path, size=SIZE, cache=tmp_path / "cache")
    data.fit(SIZE)
    assert min(data.part_size(part) for part in ("train", "validation", "test")) > 0
    held_out = [data.part_size(part) for part in ("validation", "test")]
    assert held_out == [data.scan.parts[part] for part in ("validation", "test")]  # all of them can be used
    (line,) = data.scan.skipped_items
    assert line.name == "a.wav" and line.reason.startswith("it is silent (") and " stretches, one at " in line.reason
    assert data.items("train", 5) and data.batch(0, "main", 0, 4, 4).x.isfinite().all()
    data.close()


def test_blocks_without_sound_are_not_held_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streaming_split, "MAX_STREAM_BYTES", 1000)
    monkeypatch.setattr(folder, "PART_BYTES", 4 * 8000 * 120 // 16)
    monkeypatch.setattr(streaming, "FIT_ITEMS", 10)
    recording(tmp_path / "a.wav", slice(20 * 8000, 110 * 8000))
    data = Dataset.open(tmp_path, size=SIZE, cache=tmp_path / "cache")
    assert "too large for a first pass" in " ".join(data.scan.notes)
    data.fit(SIZE)
    assert min(data.part_size(part) for part in ("train", "validation", "test")) > 0
    assert data.batch(0, "main", 0, 4, 4).x.isfinite().all()
    data.close()


def test_shapes_follow_files_and_budget() -> None:
    def shape(rate: int, seconds: float, budget: float | None, threads: int = 1) -> audio_clips.Shape:
        size = None if budget is None else DataBudget(budget, 100, 0, threads)
        return audio_clips.choose([audio.Header(rate, 1, round(rate * seconds))] * 20, size, None, None)

    minute, longer, hours = shape(8000, 0.7, 60), shape(8000, 0.7, 300), shape(44_100, 30.0, 36_000, 16)
    assert (minute.bands, minute.frames) == (48, 48) and (longer.bands, longer.frames) == (64, 64)
    assert minute.seconds == pytest.approx(0.7, abs=0.1) and longer.rate == 8000
    assert hours.rate == 44_100 and hours.bands == 128 and hours.seconds > 3 * longer.seconds
    assert shape(44_100, 30.0, 60).rate < 20_000
    whole = audio_clips.choose([audio.Header(48_000, 2, 48_000)], DataBudget(180.0, 9, 9, 2), None, None)
    assert (whole.rate, whole.bands) == (48_000, 80)  # three minutes on two threads keep the rate
    for entry in (minute, longer, hours):
        assert entry.window >= 4 * entry.hop and entry.frames % 16 == 0
    requested = audio_clips.choose([audio.Header(44_100, 2, 44_100)], None, 4.0, 22_050)
    assert requested.rate == 22_050 and requested.seconds == pytest.approx(4.0, rel=0.05)


def test_twins_at_another_level_and_depth_share_a_signature() -> None:
    modality = surveyed(encoded(tone(0)))
    signature = modality.signature(Item("a", encoded(tone(5))))
    assert signature == modality.signature(Item("b", encoded(0.5 * tone(5), subtype="PCM_24")))
    others = {modality.signature(Item(str(i), encoded(tone(i)))) for i in range(40)}
    assert len(others) >= 36
    with pytest.raises(ValueError, match="silent"):
        modality.signature(Item("c", encoded(np.zeros(4000))))


def test_loudness_is_kept_where_asked() -> None:
    loud, quiet = encoded(tone(1)), encoded(0.1 * tone(1))
    modality = surveyed(loud, level="keep")
    modality.fit([Item(str(i), d) for i, d in enumerate((loud, quiet) * 6)], SIZE, ())
    rows = np.stack([modality.encode(Item("x", d)) for d in (loud, quiet)])
    decoded = modality.decode(modality.batch(rows, None, None).x)
    assert 5 < np.abs(decoded[0]).max() / np.abs(decoded[1]).max() < 20


def test_samples_are_as_loud_as_the_data_and_sound_alike_at_any_level() -> None:
    rng = np.random.default_rng(0)
    soft = [0.05 * rng.normal(0.0, 0.2, 3200) for _ in range(20)]  # noise is soft, tones are loud
    files = [encoded(x) for pair in zip(map(tone, range(20)), soft, strict=True) for x in pair]
    modality = surveyed(*files)
    modality.fit([Item(str(i), data) for i, data in enumerate(files)], SIZE, ())
    rows = np.stack([modality.encode(Item("x", data)) for data in files])
    peaks = [np.abs(x).max() for x in (np.concatenate(soft), modality.to_items(rows)[0], tone(0))]
    assert np.abs(modality.to_items(rows)[1]).max() <= peaks[0] and peaks[1] == pytest.approx(peaks[2], rel=0.05)
    grids = modality.batch(rows, None, None).x
    assert float(grids[::2].amax((1, 2, 3)).std()) < 0.05  # learned at one peak
    modality.calibrate(grids, grids)
    again = Audio(AudioConfig())
    again.restore(modality.state(), Path())
    waves = again.decode(grids)
    loud, quiet = (np.median([np.abs(x).max() for x in waves[start::2]]) for start in (0, 1))
    assert loud == pytest.approx(0.5, rel=0.3) and quiet == pytest.approx(0.035, rel=0.5)
    assert np.array_equal(again.decode(grids[3:4])[0], waves[3])  # a sample's level is its own
    assert len(again.save_item(waves[0] * 0.35).data) == len(again.save_item(waves[0]).data)  # and cuts no more off it


def test_where_all_clips_have_one_peak_samples_have_it_too() -> None:
    files = [encoded(2.0 * tone(i)) for i in range(12)]
    modality = surveyed(*files)
    modality.fit([Item(str(i), data) for i, data in enumerate(files)], SIZE, ())
    rows = np.stack([modality.encode(Item("x", data)) for data in files])
    waves = modality.decode(modality.batch(rows, None, None).x)
    assert [np.abs(x).max() for x in waves] == pytest.approx([1.0] * 12, abs=0.06)  # but for the fade


@pytest.mark.parametrize("field", ["weights", "sums", "decibels"])
def test_levels_that_do_not_fit_are_refused(field: str) -> None:
    modality = surveyed(*(files := [encoded(tone(i)) for i in range(8)]))
    modality.fit([Item(str(i), data) for i, data in enumerate(files)], SIZE, ())
    state: Any = modality.state()
    state["levels"][field] = [1.0]
    with pytest.raises(ValueError, match=r"data\.learned"):
        Audio(AudioConfig()).restore(state, Path())


def test_samples_begin_and_end_without_a_click() -> None:
    rng = np.random.default_rng(0)
    files = [encoded(rng.normal(0.0, 0.2, 4000)) for _ in range(8)]
    modality = surveyed(*files)
    modality.fit([Item(str(i), data) for i, data in enumerate(files)], SIZE, ())
    for item in modality.decode(np.ones((2, *modality.spec.shape), np.float32)):
        assert item[0] == item[-1] == 0.0 and np.abs(item[[1, -2]]).max() < 0.1 < np.abs(item[1000:-1000]).max()


def panned(seed: int) -> NDArray[np.float32]:
    """(N, 2) a tone, left and right in turn, in noise of each channel's own."""
    far = 0.25 if seed % 2 else 1.0
    noise = np.random.default_rng(seed).normal(0.0, 0.02, (len(tone(0)), 2)).astype(np.float32)
    return tone(seed)[:, None] * np.asarray([far, 1.25 - far], np.float32) + noise


def test_stereo_is_kept_where_files_have_it() -> None:
    files = [encoded(panned(i)) for i in range(12)]
    modality = surveyed(*files)
    spec = modality.fit([Item(str(i), data) for i, data in enumerate(files)], SIZE, ())
    assert isinstance(spec, Grid) and spec.shape[0] == 3 and modality.sound_scale()["channels"] == 2
    assert spec.brightness_channels == 1
    rows = np.stack([modality.encode(Item("x", data)) for data in files])
    for seed, item in enumerate(modality.decode(modality.batch(rows, None, None).x)):
        assert item.shape == (modality.clip_shape.length, 2)
        left, right = np.abs(item).max(0)
        assert (left > 2 * right) == (seed % 2 == 0) and (right > 2 * left) == (seed % 2 == 1)
    x, _ = soundfile.read(io.BytesIO(modality.save_item(item).data))
    assert x.ndim == 2 and x.shape[1] == 2
    again = Audio(AudioConfig())
    again.restore(modality.state(), Path())
    assert again.spec == spec
    assert np.array_equal(
        again.decode(modality.batch(rows, None, None).x)[0], modality.decode(modality.batch(rows, None, None).x)[0]
    )


def barely_stereo(seed: int, side_db: float) -> bytes:
    """A tone of two channels whose side, noise, has so many decibels of their mean."""
    middle = tone(seed)
    side = np.random.default_rng(seed).normal(0.0, 1.0, len(middle)) * np.sqrt(np.square(middle).mean())
    side *= 10.0 ** (side_db / 20.0)
    return encoded(np.stack([middle + side, middle - side], 1).astype(np.float32))


@pytest.mark.parametrize(
    ("num_stereo", "channels", "side_db", "sentence"),
    [
        (
            12,
            1,
            -40.0,
            "Both channels of the clips sampled are alike: mono sound is learned (channels=stereo keeps two).",
        ),
        (
            3,
            1,
            -20.0,
            "-30 dB of their mean or more in 25% of the clips sampled, too few for stereo: mono sound is learned",
        ),
        (
            9,
            2,
            -20.0,
            "-30 dB of their mean or more in 75% of the clips sampled: both are learned (channels=mono mixes them).",
        ),
    ],
)
def test_stereo_is_learned_where_it_can_be_heard(num_stereo: int, channels: int, side_db: float, sentence: str) -> None:
    """What a codec had left between two channels was learned as stereo, as their headers say."""
    files = [barely_stereo(i, side_db if i < num_stereo else -60.0) for i in range(12)]
    modality = surveyed(*files)
    items = [Item(str(i), data) for i, data in enumerate(files)]
    modality.fit(items, SIZE, ())
    assert modality.sound_scale()["channels"] == channels
    assert any(sentence in remark for remark in modality.remarks())
    forced = surveyed(*files, channels="stereo")
    forced.fit(items, SIZE, ())
    assert forced.sound_scale()["channels"] == 2


def test_channels_that_are_alike_are_one() -> None:
    files = [encoded(np.stack([tone(i)] * 2, 1)) for i in range(8)]
    modality = surveyed(*files)
    spec = modality.fit([Item(str(i), data) for i, data in enumerate(files)], SIZE, ())
    assert isinstance(spec, Grid) and spec.shape == modality._shape.grid_shape and modality._shape.channels == 1
    assert any("Both channels" in remark for remark in modality.remarks())
    assert modality.encode(Item("x", files[0])).ndim == 1


def test_shards_hold_sound_too(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "a.tar", "w") as out:
        for i in range(30):
            for ending, data in (("flac", encoded(tone(i), form="FLAC")), ("cls", b"xy"[i % 2 : i % 2 + 1])):
                info = tarfile.TarInfo(f"{i:03d}.{ending}")
                info.size = len(data)
                out.addfile(info, io.BytesIO(data))
    data = Dataset.open(tmp_path / "a.tar", size=SIZE)
    assert data.modality.name == "audio" and data.scan.labels == ("x", "y") and sum(data.scan.parts.values()) == 30
    data.fit(SIZE)
    assert data.batch(0, "main", 0, 4, 4).x.shape[0] == 4
    data.close()


def test_a_low_rate_is_refused() -> None:
    with pytest.raises(ConfigError, match="rate=10 is too low"):
        Audio(AudioConfig(rate=10))


def test_files_are_ordinary() -> None:
    for file_format in ("wav", "flac"):
        modality = surveyed(encoded(tone(0)), file=file_format)
        modality.fit([Item(str(seed), encoded(tone(seed))) for seed in range(4)], SIZE, ())
        artifact = modality.save_item(tone(1))
        x, rate = soundfile.read(io.BytesIO(artifact.data))
        assert artifact.media == f"audio/{file_format}" and rate == 8000 and np.abs(x - tone(1)).max() < 1e-4


def test_a_vanished_file_is_a_refusal(tmp_path: Path) -> None:
    folder = tones(tmp_path / "d", 20)
    data = Dataset.open(folder, size=SIZE)
    (folder / "a_0.wav").unlink()
    records = [item for shard in data._chosen.shards for item in data._chosen.source.read(shard)]
    assert [item.name for item in records if isinstance(item, SkippedItem)] == ["a_0.wav"]
    data.close()


def test_samples_end_as_clips_do_and_their_files_are_cut_there() -> None:
    rng = np.random.default_rng(0)
    clips = [rng.normal(0, 0.2, round(8000 * rng.uniform(0.1, 0.3))) for _ in range(12)]
    modality = surveyed(encoded(np.pad(clips[0], (0, 4000 - len(clips[0])))))
    modality.fit([Item(str(i), encoded(np.pad(clip, (0, 4000 - len(clip))))) for i, clip in enumerate(clips)], SIZE, ())
    rows = np.stack([modality.encode(Item("x", encoded(clip))) for clip in clips])
    real = modality.batch(rows, None, None).x
    hissing = real.clamp_min(-0.8)  # samples whose ends are not silent
    seconds = []
    for is_calibrated in (False, True):
        if is_calibrated:
            modality.calibrate(hissing, real)
        files = [modality.save_item(item).data for item in modality.decode(hissing)]
        seconds.append(np.mean([len(audio.read(data, 0, 9999)[0]) for data in files]) / 8000)
    mean = np.mean([len(clip) for clip in clips]) / 8000
    assert seconds[1] < seconds[0] and abs(seconds[1] - mean) < 0.06


def test_samples_are_no_longer_than_files_of_one_length() -> None:
    """Files of 3,200 values are learned in clips of 3,456: samples of up to 3,456 were told by their length 93% of the time."""
    rng = np.random.default_rng(0)
    clips = [rng.normal(0, 0.2, 3200) for _ in range(12)]
    modality = surveyed(encoded(clips[0]))
    modality.fit([Item(str(i), encoded(clip)) for i, clip in enumerate(clips)], SIZE, ())
    rows = np.stack([modality.encode(Item("x", encoded(clip))) for clip in clips])
    assert modality.clip_shape is not None and modality.clip_shape.length > 3200
    noisy = modality.batch(rows, None, None).x.clamp_min(-0.5)
    waves = modality.decode(noisy)
    assert all(3100 < audio.end_of(wave) <= 3200 for wave in waves)
    saved = [soundfile.info(io.BytesIO(modality.save_item(wave).data)).frames for wave in waves]
    assert max(saved) <= 3200  # nor with the silence that is kept after a sound
    again = Audio(AudioConfig())
    again.restore(json.loads(json.dumps(modality.state())), Path())
    assert again.sound_scale() == modality.sound_scale() and again.sound_scale()["longest"] <= 3200


def test_short_sounds_come_back_as_short() -> None:
    rng = np.random.default_rng(0)
    clips = [rng.normal(0, 0.2, round(8000 * rng.uniform(0.06, 0.12))) for _ in range(30)]
    modality = surveyed(encoded(np.pad(clips[0], (0, 2000 - len(clips[0])))))
    items = [Item(str(i), encoded(np.pad(clip, (0, 2000 - len(clip))))) for i, clip in enumerate(clips)]
    modality.fit(items, SIZE, ())
    waves = modality.decode(modality.batch(np.stack([modality.encode(item) for item in items]), None, None).x)
    lengths = np.array([audio.end_of(wave) for wave in waves]) / 8000
    assert abs(np.mean(lengths) - np.mean([len(clip) for clip in clips]) / 8000) < 0.005
    steady = torch.full((8, *modality.spec.shape), -1.0)
    steady[:, :, ::4] = 0.6
    flutter = 0.1 * torch.randn(steady.shape, generator=torch.Generator().manual_seed(0))
    modality.calibrate((steady + flutter).clamp(-1.0, 1.0), steady)
    assert len(modality.sound_scale()["steadiness"]) == 3
    steadied, as_it_is = modality.decode(steady + flutter), modality.decode_real(steady + flutter)
    uncalibrated = copy.copy(modality)
    uncalibrated._scale = dataclasses.replace(modality._scale, steadiness=())
    expected = uncalibrated.decode(steady + flutter)
    assert all(map(np.array_equal, as_it_is, expected)) and not any(map(np.array_equal, steadied, expected))
    again = Audio(AudioConfig())
    again.restore(json.loads(json.dumps(modality.state())), Path())
    assert again.sound_scale() == modality.sound_scale()
    assert again.sound_scale()["lag"] < 0
    for stage in ([4, [-1.0, 1.0], [0.5, 0.5]], [3, [-1.0, 1.0], [0.5]], [3, [1.0, -1.0], [0.5, 0.5]]):
        with pytest.raises(ValueError, match="a window must be odd, and each of some rising levels must have a factor"):
            again.restore(modality.state() | {"steadiness": [stage]}, Path())


def test_a_grid_is_drawn_as_its_sound_is_pictured(tmp_path: Path) -> None:
    """A film shows grids without decoding them; they look like the pictures of the sounds: in colour, low tones below."""
    data = Dataset.open(str(tones(tmp_path / "tones", 24)), size=SIZE)
    try:
        data.fit(SIZE)
        modality = data.modality
        x = data.batch(0, "film", 0, 8, 8).x
        drawn = ((modality.draw_grids(x).numpy() + 1) * 127.5).round().astype(np.uint8)  # (n, 3, M, T)
        maps = audio_grid.maps_of(x, modality._shape.bands_per_row)
        assert drawn.shape == (8, 3, *maps.shape[2:])
        silent, loudest = audio_grid.level_colours(np.array([0.0, 1.0]))
        level = maps[:, 0].flip(1).numpy()
        assert (drawn.transpose(0, 2, 3, 1)[level <= -1] == silent).all()
        assert (drawn.transpose(0, 2, 3, 1)[level >= 1] == loudest).all()
        assert drawn[:, :, -1].mean() > drawn[:, :, 0].mean()  # these tones are low
    finally:
        data.close()


def test_real_clips_come_in_the_form_of_smaller_samples(tmp_path: Path) -> None:
    def form(*sounds: tuple[float, int], real: tuple[float, int] = (1.0, 11025)) -> dict[str, object]:
        items = []
        for number, (seconds, rate) in enumerate((*sounds, real)):
            soundfile.write(tmp_path / f"{number}.wav", np.zeros(int(seconds * rate)), rate)
            items.append(Item(str(number), FileSlice(tmp_path / f"{number}.wav")))
        return Audio(AudioConfig()).settings_like(items[:-1], items[-1:])

    assert form((0.5, 8000), (0.25, 8000)) == {"rate": 8000, "seconds": 0.5}
    assert form((0.5, 8000), (0.5, 11025)) == {"seconds": 0.5}
    assert form((2.0, 16000)) == form((1.0, 16000), real=(1.0, 8000)) == {}


def test_tones_are_learned_in_pairs_of_bands_and_runs_without_pairs_load() -> None:
    rng = np.random.default_rng(0)
    time = np.arange(6400) / 8000
    waves = [sum(np.sin(2 * np.pi * hertz * k * time) / k for k in range(1, 13)) for hertz in rng.uniform(120, 260, 12)]
    files = [encoded(0.5 * wave / np.abs(wave).max()) for wave in waves]
    modality = surveyed(*files)
    bands = modality._shape.bands
    modality.fit([Item(str(i), data) for i, data in enumerate(files)], SIZE, ())
    assert modality._shape.bands == 2 * bands and any(
        f"bands in pairs instead of {bands} bands" in remark for remark in modality.remarks()
    )
    state = modality.state()
    again = Audio(AudioConfig())
    again.restore(state, Path())
    assert again.spec == modality.spec
    clip = {name: value for name, value in cast(dict[str, int], state["clip"]).items() if name != "bands_per_row"}
    with pytest.raises(ValueError, match=r"data\.learned\.shape"):
        Audio(AudioConfig()).restore(state | {"clip": clip}, Path())
    older = Audio(AudioConfig())
    older.restore(state | {"clip": clip, "shape": [1, 2 * bands, modality._shape.frames]}, Path())
    assert older.spec is not None and older.spec.shape == (1, 2 * bands, modality._shape.frames)


def test_slow_signals_are_learned_whole_at_a_rate_that_loses_nothing(tmp_path: Path) -> None:
    items = [Item(file.name, file.read_bytes()) for file in sorted(signals(tmp_path, 24).iterdir())]
    modality = Audio(AudioConfig())
    notes = modality.inspect(items, SIZE)
    assert notes == [
        "Clips are 0.50 s at 400 Hz, 200 values each, learned as they are, without a spectrogram, since these are slow signals.",
        "Hardly anything lies above 200 Hz, so files of 2,000 Hz are learned at 400 Hz, and samples are written at 2,000 Hz (rate=2000 "
        "learns that rate).",
    ]
    assert modality.fit(items, SIZE, ()).shape == (1, 1, 200)  # type: ignore[union-attr]
    whole = next(item for item in items if len(soundfile.read(io.BytesIO(item.data))[0]) == 1000)
    expected = audio.resample(soundfile.read(io.BytesIO(whole.data), dtype="float32")[0], 2000, 400)
    np.testing.assert_allclose(modality.waveform(whole), expected * (0.95 / np.abs(expected).max()), atol=1e-5)
    restored = Audio(AudioConfig())
    restored.restore(json.loads(json.dumps({"levels": None, **modality.state()}, default=list)), tmp_path)
    wave, rate = soundfile.read(io.BytesIO(restored.save_item(modality.waveform(whole)).data))
    assert rate == 2000 and len(wave) == 1000
    assert restored.picture(modality.waveform(whole)).shape == (96, 200, 3)
    assert not restored.save_item(modality.waveform(whole)).is_playable  # by browsers


def test_levels_of_bands_are_kept_and_checked(tmp_path: Path) -> None:
    items = [Item(file.name, file.read_bytes()) for file in sorted(signals(tmp_path, 24).iterdir())]
    modality = Audio(AudioConfig())
    modality.inspect(items, SIZE)
    modality.fit(items, SIZE, ())
    grids = modality.batch(np.stack([modality.encode(item) for item in items]), None, None).x
    modality.calibrate(grids + 0.05 * torch.randn(grids.shape, generator=torch.Generator().manual_seed(0)), grids)
    restored = Audio(AudioConfig())
    state = json.loads(json.dumps(modality.state(), default=list))
    restored.restore(state, tmp_path)
    assert restored.sound_scale() == modality.sound_scale() and restored.sound_scale()["band_levels"] is not None
    np.testing.assert_array_equal(restored.decode(grids), modality.decode(grids))
    clips = np.stack(restored.decode_real(grids))
    assert np.abs(clips - np.stack(restored.decode(grids))).max() > 1e-3  # clips stay as they are
    edges, *tables = state["band_levels"]
    for broken in (
        [[1, *edges[1:]], *tables],
        [edges[:-1], *tables],
        [edges[::-1], *tables],
        [[*edges[:-1], 999], *tables],
    ):
        with pytest.raises(ValueError, match=r"edges of bands|each band of each channel"):
            restored.restore(state | {"band_levels": broken}, tmp_path)


@pytest.mark.parametrize("channels", [1, 2])
def test_what_a_mask_keeps_of_a_signal_comes_back_as_it_was_given(tmp_path: Path, channels: int) -> None:
    """Samples are filtered, and as loud as their levels say; what is given is neither."""
    items = [Item(file.name, file.read_bytes()) for file in sorted(signals(tmp_path, 24, channels=channels).iterdir())]
    modality = Audio(AudioConfig())
    modality.inspect(items, SIZE)
    modality.fit(items, SIZE, ())
    grids = modality.batch(np.stack([modality.encode(item) for item in items]), None, None).x
    noisy = grids + 0.05 * torch.randn(grids.shape, generator=torch.Generator().manual_seed(0))
    modality.calibrate(noisy, grids)
    mask = torch.zeros(1, 1, grids.shape[3])
    mask[..., :100] = 1.0
    original = modality.decode_real(grids[:1])[0]
    samples = noisy[:3].clone()
    samples[..., :100] = grids[0, ..., :100]
    decoded = modality.decode(samples)
    assert max(np.abs(wave - original)[:100].max() for wave in decoded) > 1e-3
    for wave, sample in zip(modality.keep_known(decoded, Condition(grids[0], mask)), decoded, strict=True):
        np.testing.assert_array_equal(wave[:100], original[:100])
        assert np.corrcoef(wave[100:].ravel(), sample[100:].ravel())[0, 1] > 0.9999  # one factor
        assert wave.shape == sample.shape and np.abs(wave).max() <= 1.0
    sound = Audio(AudioConfig())
    items = [Item(file.name, file.read_bytes()) for file in sorted(tones(tmp_path / "tones", 8).iterdir())]
    sound.inspect(items, SIZE)
    assert sound.keep_known(decoded, Condition(grids[0], mask)) is decoded
