"""Changed bytes, names and classes are noticed where names and sizes of files stay the same; other times of files are not."""

from __future__ import annotations

import io
import json
import os
import tarfile
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

import samples
from anew.data.dataset import Dataset
from anew.data.formats import by_range
from anew.data.modalities import image as images
from anew.data.modalities.text import Text, TextConfig
from anew.data.sources import folder as folder_source
from anew.data.sources import selected_data
from anew.data.sources.selected_data import are_comparable, content_digest, detect_modality
from anew.data.types import DataBudget
from anew.errors import DataError

SIZE = DataBudget(None, 0, 0, 1, "cpu")


def write_archive(path: Path, swapped: bool = False, renamed: bool = False, changed: int | None = None) -> None:
    """An archive of 40 texts."""
    random = np.random.default_rng(0)
    names = [f"{index:03}" for index in range(40)]
    if swapped:
        names[20], names[21] = names[21], names[20]
    if renamed:
        names[20] = "920"
    with tarfile.open(path, "w") as archive:
        for index, name in enumerate(names):
            body = bytearray(" ".join(map(str, random.integers(0, 99_999, 200))), "ascii")
            body = body[:1000]
            if index == changed:
                body[500] = ord("x")
            member = tarfile.TarInfo(f"{name}.txt")
            member.size = len(body)
            archive.addfile(member, io.BytesIO(body))


def content_of(path: Path) -> str:
    digest = detect_modality(str(path), None).content
    assert digest is not None
    return digest


def test_a_byte_or_a_name_in_an_archive(tmp_path: Path) -> None:
    path = tmp_path / "a.tar"
    write_archive(path)
    before = content_of(path)
    os.utime(path, (1, 1))
    assert content_of(path) == before
    contents = {before}
    for change in ({"changed": 0}, {"changed": 23}, {"changed": 39}, {"swapped": True}, {"renamed": True}):
        write_archive(path, **change)  # type: ignore[arg-type]
        contents.add(content_of(path))
    assert len(contents) == 6


def test_classes_of_a_table_beside_the_pictures(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    names = [f"{index}.png" for index in range(30)]
    for name in names:
        Image.fromarray(random.integers(0, 255, (8, 8, 3), dtype=np.uint8)).save(tmp_path / name)
    table = tmp_path / "metadata.csv"

    def write(classes: list[str]) -> None:
        rows = [f"{name},{classes[index % 2]}" for index, name in enumerate(names)]
        table.write_text("\n".join(["file_name,label", *rows]))

    write(["cat", "dog"])
    before = content_of(tmp_path)
    write(["dog", "cat"])
    assert content_of(tmp_path) != before


def test_one_picture_of_many_outside_the_class_folders_is_not_none(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    for name in ("cat", "dog"):
        (tmp_path / name).mkdir()
    for path in [tmp_path / ("cat", "dog")[index % 2] / f"{index}.png" for index in range(249)] + [
        tmp_path / "249.png"
    ]:
        Image.fromarray(random.integers(0, 255, (8, 8, 3), dtype=np.uint8)).save(path)
    chosen = detect_modality(str(tmp_path), None)
    modality = images.Image(images.ImageConfig())
    sample, _ = selected_data.sample_of(chosen, modality)
    classes, notes = selected_data.classes_of(chosen, modality, sample, (), 250)
    assert not classes
    assert notes == ["0.4% of the items lie outside the class folders, so no classes are learned."]


@pytest.mark.parametrize(
    ("num_folders", "items", "note"),
    [
        (2, 10, None),
        (2, 9, "9 items are too few to learn 2 folders as classes, so no classes are learned."),
        (1001, 9000, "1,001 folders are more than the 1,000 classes that are learned, so no classes are learned."),
    ],
)
def test_folders_with_few_of_the_items_that_are_used_are_no_classes(
    tmp_path: Path, num_folders: int, items: int, note: str | None
) -> None:
    """A training that had time for half of the items said that 715 folders held these alone."""
    for number in range(num_folders):
        (tmp_path / str(number)).mkdir()
        Image.new("L", (8, 8)).save(tmp_path / str(number) / "a.png")
    chosen = detect_modality(str(tmp_path), None)
    modality = images.Image(images.ImageConfig())
    sample, _ = selected_data.sample_of(chosen, modality)
    classes, notes = selected_data.classes_of(chosen, modality, sample, (), items)
    assert (len(classes), notes) == ((num_folders, []) if note is None else (0, [note]))


def change_a_byte(path: Path) -> None:
    body = bytearray(path.read_bytes())
    body[-3] ^= 1
    path.write_bytes(bytes(body))


def test_a_byte_of_any_sound_or_frame(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of more than 4 MB of sound, 32 files were read: two machines trained on different recordings without a word."""
    monkeypatch.setattr(selected_data, "DECODED_BYTES", 0)
    sounds = samples.tones(tmp_path / "sounds", 300)
    frames = tmp_path / "clips"
    for clip in range(12):
        (frames / f"clip{clip}").mkdir(parents=True)
        for number in range(6):
            picture = np.random.default_rng(clip * 6 + number).integers(0, 255, (16, 16, 3), dtype=np.uint8)
            Image.fromarray(picture).save(frames / f"clip{clip}" / f"{number:03}.bmp")
    for folder, suffix in ((sounds, "wav"), (frames, "bmp")):
        contents = {content_of(folder)}
        files = sorted(folder.rglob(f"*.{suffix}"))
        for path in files[:: len(files) // 6]:
            change_a_byte(path)
            contents.add(content_of(folder))
        assert len(contents) == 1 + len(files[:: len(files) // 6]), folder


def test_a_byte_of_a_long_recording(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(selected_data, "DECODED_BYTES", 0)
    monkeypatch.setattr(folder_source, "PART_BYTES", 4096)
    samples.tones(tmp_path, 12, seconds=3.0)
    before = content_of(tmp_path)
    assert any("@" in shard.name for shard in detect_modality(str(tmp_path), None).shards)
    change_a_byte(sorted(tmp_path.glob("*.wav"))[7])
    assert content_of(tmp_path) != before


def test_sounds_of_a_run_of_an_older_version_are_taken(tmp_path: Path) -> None:
    samples.tones(tmp_path / "sounds", 60)
    data = Dataset.open(tmp_path / "sounds")
    data.fit(SIZE)
    data.modality.save(tmp_path)
    state = data.state()
    data.close()
    older = state.model_copy(update={"content": "0" * 32})
    Dataset.reopen(older, tmp_path).close()
    change_a_byte(sorted((tmp_path / "sounds").glob("*.wav"))[50])
    with pytest.raises(DataError, match="files hold something else"):
        Dataset.reopen(state, tmp_path)


def test_of_large_data_blocks_of_all_shards_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(selected_data, "DIGESTED_BYTES", 0)
    monkeypatch.setattr(selected_data, "BLOCK", 64)
    for number in range(8):
        write_archive(tmp_path / f"{number}.tar")
    before = content_of(tmp_path)
    path = tmp_path / "5.tar"
    with tarfile.open(path) as archive:
        places = [member.offset_data for member in archive.getmembers()]
    body = bytearray(path.read_bytes())
    for place in places:
        body[place + 8 : place + 1000] = body[place + 8 : place + 1000][::-1]
    path.write_bytes(bytes(body))
    assert content_of(tmp_path) != before


def test_a_run_refuses_changed_data_and_an_older_run_takes_it(tmp_path: Path) -> None:
    path = tmp_path / "a.tar"
    write_archive(path)
    data = Dataset.open(path)
    data.fit(SIZE)
    data.modality.save(tmp_path)
    state = data.state()
    data.close()
    Dataset.reopen(state, tmp_path).close()
    write_archive(path, changed=23)
    with pytest.raises(DataError, match="names and sizes are the same, but files hold something else"):
        Dataset.reopen(state, tmp_path)
    Dataset.reopen(state.model_copy(update={"content": None}), tmp_path).close()


def test_large_rows_of_a_sorted_table_are_sampled_to_its_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(selected_data, "SAMPLE_BYTES", 20_000)
    monkeypatch.setattr("anew.data.sources.delimited_rows.SHARD_BYTES", 10_000)
    rows = [{"text": f"{i} " * 100, "label": f"class {i // 40}"} for i in range(240)]
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    chosen = detect_modality(str(tmp_path), None)
    sample, _ = selected_data.sample_of(chosen, Text(TextConfig()))
    assert {item.label for item in sample} == {f"class {i}" for i in range(6)}
    assert sum(item.size for item in sample) < 60_000


@pytest.mark.parametrize("stamp", ["0" * 32, "0" * 40, "0" * 64, "5f3c-1a2b", "1764620000", ""])
def test_changed_files_of_a_store_are_noticed_where_it_hashes_them(
    stamp: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Shards that were replaced by others of the same size were trained on without a word."""
    for index in range(3):
        write_archive(tmp_path / f"{index}.tar")
    stamps = {tmp_path / f"{index}.tar": stamp for index in range(3)}
    chosen = detect_modality(str(tmp_path), None)
    monkeypatch.setattr(by_range, "has_stores", lambda: True)
    monkeypatch.setattr(
        by_range, "find_stored", lambda path: SimpleNamespace(file=SimpleNamespace(stamp=stamps[Path(path)]))
    )
    before, again = (content_digest(chosen.source, chosen.shards) for _ in range(2))
    if len(stamp) < 32:  # it changes when the same file is written again
        assert before is None
        return
    assert before is not None and before == again
    stamps[tmp_path / "1.tar"] = "1" * len(stamp)
    after = content_digest(chosen.source, chosen.shards)
    assert after is not None and after != before and are_comparable(before, after)
    monkeypatch.undo()
    on_disk = content_digest(chosen.source, chosen.shards)
    assert on_disk is not None and not are_comparable(before, on_disk)  # a copy of the store, which is not refused
