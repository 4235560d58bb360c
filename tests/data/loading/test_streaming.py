"""Sources read in shards: same batches whatever was encoded before, on disk or not, in the background or not."""

from __future__ import annotations

import io
import random
import threading
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from anew.data.dataset import Dataset
from anew.data.loading import cache as cache_module
from anew.data.loading import streaming
from anew.data.loading.cache import DiskCache, EncodedShard, ShardCache
from anew.data.modalities.image import Image as ImageKind
from anew.data.modalities.text import Text
from anew.data.sources import folder, selected_data
from anew.data.splitting import streaming_split
from anew.data.types import DataBudget
from anew.errors import DataError

SIZE = DataBudget(60.0, 0, 0)


def png(seed: int, side: int = 12) -> bytes:
    rng = np.random.default_rng(seed)
    out = io.BytesIO()
    Image.fromarray(rng.integers(0, 255, (side, side, 3), dtype=np.uint8)).save(out, "PNG")
    return out.getvalue()


def pictures(folder: Path, n: int, classes: int = 2) -> Path:
    for i in range(n):
        place = folder / f"class{i % classes}"
        place.mkdir(parents=True, exist_ok=True)
        (place / f"{i}.png").write_bytes(png(i))
    return folder


@pytest.fixture
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(folder, "SHARD_ITEMS", 16)
    monkeypatch.setattr(folder, "SHARD_BYTES", 8192)
    monkeypatch.setattr(folder, "WHOLE_BYTES", 10_000)
    monkeypatch.setattr(selected_data, "WHOLE_BYTES", 10_000)
    monkeypatch.setattr(streaming, "FIT_ITEMS", 40)
    monkeypatch.setattr(streaming, "FIT_BYTES", 40_000)


def opened(path: Path, cache: Path, **more: object) -> Dataset:
    data = Dataset.open(path, cache=cache, **more)  # type: ignore[arg-type]
    data.fit(SIZE)
    return data


def test_images_batches_are_pure_and_cached(tmp_path: Path, small_blocks: None) -> None:
    folder = pictures(tmp_path / "d", 200)
    first = opened(folder, tmp_path / "c1")
    assert first.scan.labels == ("class0", "class1") and sum(first.scan.parts.values()) == 200
    batches = [first.batch(step, "main", 0, 24, 24) for step in range(12)]
    first.close()
    for cache in (tmp_path / "c1", tmp_path / "c2"):  # from disk, then encoded anew; last step first
        again = opened(folder, cache)
        for step in (11, 3, 0):
            batch = again.batch(step, "main", 8, 16, 24)
            assert torch.equal(batch.x, batches[step].x[8:])
            assert batch.labels is not None and torch.equal(batch.labels, batches[step].labels[8:])  # type: ignore[index]
        again.close()
    assert list((tmp_path / "c1").rglob("*.npz")) and not list((tmp_path / "c1").rglob("*.part"))


def test_no_image_is_encoded_twice(tmp_path: Path, small_blocks: None, monkeypatch: pytest.MonkeyPatch) -> None:
    names_read: list[str] = []
    encode = ImageKind.encode_many
    monkeypatch.setattr(
        ImageKind,
        "encode_many",
        lambda self, items: (names_read.extend(item.name for item in items), encode(self, items))[1],
    )
    data = opened(pictures(tmp_path / "d", 150), tmp_path / "c")
    assert sum(len(b) for b in data.one_pass()) == data.scan.parts["train"] == len(names_read) == len(set(names_read))
    data.close()


def test_pictures_of_a_group_or_two_are_in_memory(
    tmp_path: Path, small_blocks: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of shards of 18 MB, 128 were held, whatever the cache let go of."""
    monkeypatch.setattr(streaming, "GROUP_BYTES", 1)
    data = opened(pictures(tmp_path / "d", 200), tmp_path / "c")
    for step in range(12):
        data.batch(step, "main", 0, 24, 24)
    store = data.opened_part("train")[0]
    assert isinstance(store, streaming.StreamingStore) and len(store._views) <= 3
    data.end_training()
    assert not store._views
    data.close()


def test_every_image_once_an_epoch(tmp_path: Path, small_blocks: None) -> None:
    data = opened(pictures(tmp_path / "d", 150), tmp_path / "c")
    n = data.train_items
    assert n == data.scan.parts["train"]
    for epoch in range(2):
        rows = torch.cat([data.batch(epoch, "main", i, 1, n).x for i in range(n)])
        assert len(torch.unique(rows.flatten(1), dim=0)) == n
    data.close()


def test_items_reads_as_many_as_asked(tmp_path: Path, small_blocks: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streaming, "PASS_ITEMS", 20)
    data = opened(pictures(tmp_path / "d", 120), tmp_path / "c")
    assert len(data.items("train", 5)) == 5 and len(data.items("train", 10**6)) == data.scan.parts["train"]
    assert data.items("train", 1)[0].shape == (12, 12, 3)
    assert sum(len(b) for b in data.one_pass()) == 50  # small grids: two and a half times as many
    monkeypatch.setattr(streaming, "SMALL_GRID", 12 * 12 * 3 - 1)
    assert sum(len(b) for b in data.one_pass()) == 20 and not data._store.reads_all
    monkeypatch.setattr(streaming, "PASS_ITEMS", 400)
    assert sum(len(b) for b in data.one_pass()) == data.train_items and data._store.reads_all
    assert abs(sum(data.label_shares()) - 1) < 1e-9
    data.close()


def test_two_images_are_too_few(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="too few"):
        Dataset.open(pictures(tmp_path / "d", 2), cache=tmp_path / "c")


def test_where_all_are_copies_of_held_out_items_the_refusal_says_so(
    tmp_path: Path, small_blocks: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = Dataset.open(pictures(tmp_path / "d", 120), cache=tmp_path / "c")
    monkeypatch.setattr(type(data._store._split), "repeats", lambda self, record: True)
    with pytest.raises(DataError, match="is also among the held-out ones, and copies count once"):
        data.fit(SIZE)


def test_damaged_image_is_refused_by_name_and_training_goes_on(tmp_path: Path, small_blocks: None) -> None:
    folder = pictures(tmp_path / "d", 120)
    (folder / "class0" / "broken.png").write_bytes(png(500)[:100])
    data = opened(folder, tmp_path / "c")
    for step in range(8):
        assert data.batch(step, "main", 0, 16, 16).x.isfinite().all()
    list(data.scoring("validation"))
    list(data.scoring("test"))
    store = data._store
    assert store.refusals.count == 1 and store.refusals.first[0].name.endswith("broken.png")
    data.close()


def test_large_images_are_divided_by_blocks_and_twins_are_dropped(
    tmp_path: Path, small_blocks: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streaming_split, "MAX_PASS_ITEMS", 100)
    folder = pictures(tmp_path / "d", 320)
    for i in range(320):
        (folder / f"class{i % 2}" / f"copy{i}.png").write_bytes(png(i))
    data = opened(folder, tmp_path / "c")
    assert "too large for a first pass" in " ".join(data.scan.notes)
    train = torch.unique(
        torch.cat([data.batch(s, "main", 0, 32, 32).x for s in range(data.train_items // 32)]).flatten(1), dim=0
    )
    held_out = torch.cat([b.x for part in ("validation", "test") for b in data.scoring(part)]).flatten(1)
    examples = torch.cat([train, torch.unique(held_out, dim=0)])
    assert len(torch.unique(examples, dim=0)) == len(examples)
    data.close()


def text_folder(folder: Path, n: int = 80) -> Path:
    folder.mkdir()
    for i in range(n):
        rng = np.random.default_rng(i)
        words = " ".join("".join(rng.choice(list("abcdefgh"), 5)) for _ in range(200))
        (folder / f"{i}.txt").write_text(f"Document {i}.\n{words}\n\n")
    return folder


def test_streamed_text_scores_every_character_once(tmp_path: Path, small_blocks: None) -> None:
    data = opened(text_folder(tmp_path / "d"), tmp_path / "c", settings={"tokens": "characters"})
    assert isinstance(data._store, streaming.StreamingStore)
    for part in ("validation", "test"):
        held_out = sum(map(len, data.text(part)))
        assert held_out and sum(float(b.units.sum()) for b in data.scoring(part)) == held_out  # type: ignore[union-attr]
    step = data.batch(3, "main", 0, 8, 8)
    assert step.x.shape == (8, data.spec.length + 1)  # type: ignore[union-attr]
    assert 0.7 < data.train_units / sum(map(len, data.text("train"))) < 1.3
    data.close()


def test_one_large_file_and_a_large_list(tmp_path: Path, small_blocks: None) -> None:
    big = tmp_path / "big.txt"
    big.write_text("".join(f"A line about {i * i}.\n\n" for i in range(6000)))
    data = opened(big, tmp_path / "c")
    assert data.scan.parts["train"] > data.scan.parts["test"] > 0
    assert data.spec.special.keys() == {"rare"}  # type: ignore[union-attr]
    text = "".join(data.text("train", 10**9) + data.text("validation") + data.text("test"))
    assert len(text) == big.stat().st_size
    data.close()
    lines = tmp_path / "list.txt"
    lines.write_text("".join(f"n{i}x{i % 13}\n" for i in range(9000)))
    listed = opened(lines, tmp_path / "c")
    assert listed.batch(0, "main", 0, 8, 8).mask is not None
    assert listed.scan.is_estimate and not data.scan.is_estimate
    held_out = listed.text("test")
    assert not set(held_out) & set(listed.text("train"))
    assert sum(float(b.units.sum()) for b in listed.scoring("test")) == sum(len(t) + 1 for t in held_out)  # type: ignore[union-attr]
    listed.close()


def test_records_of_a_large_sorted_list_are_held_out_one_by_one(tmp_path: Path, small_blocks: None) -> None:
    """Whole shards held the names of a few letters. What was counted of first letters was not believed then, and samples began with any."""
    lines, letters = tmp_path / "list.txt", "abcdefghijklmnopqrstuvwxyz"
    lines.write_text("".join(f"{letters[i // 400]}{i * i % 99991}\n" for i in range(26 * 400)))
    data = opened(lines, tmp_path / "c")
    for part in ("validation", "test", "train"):
        assert {name[0] for name in data.text(part)} == set(letters)
    assert not set(data.text("train")) & {*data.text("validation"), *data.text("test")}
    again = Dataset.reopen(data.state(), tmp_path)
    assert again.text("test") == data.text("test") and again.train_items == data.train_items
    data.close()
    again.close()


def test_reopened_stream_gives_the_same_batches(tmp_path: Path, small_blocks: None) -> None:
    data = opened(text_folder(tmp_path / "d"), tmp_path / "c")
    data.modality.save(tmp_path)
    again = Dataset.reopen(data.state(), tmp_path)
    assert torch.equal(again.batch(5, "main", 0, 8, 8).x, data.batch(5, "main", 0, 8, 8).x)
    assert again.train_items == data.train_items
    (tmp_path / "d" / "0.txt").write_text("changed")
    with pytest.raises(DataError, match="not the data of this run"):
        Dataset.reopen(data.state(), tmp_path)
    data.close()
    again.close()


# ---- the cache itself ----


def shard(n: int) -> EncodedShard:
    return EncodedShard(
        np.full((2, 3), n, np.uint8), np.full(2, 3), np.zeros(2, np.int64), np.zeros(2, np.uint8), [["a", "b"]]
    )


def test_blocks_are_made_once_by_many_threads(tmp_path: Path) -> None:
    encoded: list[int] = []

    def make(number: int) -> EncodedShard:
        encoded.append(number)
        return shard(number)

    shards = ShardCache(str, make, DiskCache(tmp_path, "x"))
    shards.prefetch(range(30))
    threads = [threading.Thread(target=lambda: [shards.get(i) for i in range(30)]) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(encoded) == list(range(30)) and shards.get(7).values[0, 0] == 7
    shards.close()


def test_sources_of_the_next_shards_are_fetched_meanwhile(tmp_path: Path) -> None:
    disk, fetched = DiskCache(tmp_path, "x"), list[int]()
    disk.store("4", shard(4))
    shards = ShardCache(str, shard, disk, fetch=fetched.append)
    ahead = []
    for number in shards.fetching_ahead(range(7)):
        shards.get(number)
        ahead.append((number, list(fetched)))
        fetched.clear()
    assert ahead == [(0, [1, 2]), (1, [3]), (2, []), (3, [5]), (4, [6]), (5, []), (6, [])]  # 4 is on the disk


def test_what_the_disk_holds_is_let_go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After a training on 10 TB, its pictures in memory were a quarter of what the report took."""
    encoded: list[int] = []

    def make(number: int) -> EncodedShard:
        encoded.append(number)
        return shard(number)

    monkeypatch.setattr(cache_module, "RESTING_BYTES", 2 * shard(0).bytes)
    for place, num_made in ((tmp_path, 6), (tmp_path / "a file" / "x", 0)):
        if not num_made:
            (tmp_path / "a file").touch()
        shards = ShardCache(str, make, DiskCache(place, "x"))
        for _ in range(2):
            for number in range(6):
                assert shards.get(number).values[0, 0] == number
            shards.evict()
        in_memory = [number for number in range(6) if number in shards._kept]
        assert in_memory == ([4, 5] if num_made else list(range(6)))
    assert encoded == [*range(6), *range(6)]


def test_memory_is_bounded_and_disk_gives_blocks_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    encoded: list[int] = []

    def make(number: int) -> EncodedShard:
        encoded.append(number)
        return shard(number)

    monkeypatch.setattr(cache_module, "MEMORY_BYTES", 3 * shard(0).bytes)
    shards = ShardCache(str, make, DiskCache(tmp_path, "x"))
    for i in [*range(9), *range(9)]:
        assert shards.get(i).values[0, 0] == i
    assert encoded == list(range(9)) and len(shards._kept) == 3
    assert shards.get(0).refusals == [["a", "b"]]


def test_damaged_cache_file_and_full_disk_only_cost_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    disk = DiskCache(tmp_path, "x")
    disk.store("a", shard(1))
    (path,) = (tmp_path / "x").glob("*.npz")
    path.write_bytes(path.read_bytes()[:50])
    assert disk.load("a") is None

    def full(*args: object, **more: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "savez", full)
    disk.store("b", shard(2))
    assert disk.load("b") is None and not list((tmp_path / "x").glob("*.part"))


def test_a_shard_that_is_read_once_is_not_encoded_twice_at_once(tmp_path: Path) -> None:
    encoded_numbers: list[int] = []
    has_begun = threading.Event()

    def make(number: int) -> EncodedShard:
        encoded_numbers.append(number)
        has_begun.set()
        time.sleep(0.2)
        return shard(number)

    shards = ShardCache(str, make, DiskCache(tmp_path, "x"))
    shards.prefetch([0])
    assert has_begun.wait(10.0)
    assert shards.get_once(0) is shards.get(0) and encoded_numbers == [0]
    shards.close()


def test_an_error_while_making_reaches_who_needs_the_block(tmp_path: Path) -> None:
    def make(number: int) -> EncodedShard:
        raise DataError("gone")

    shards = ShardCache(str, make, DiskCache(tmp_path, "x"))
    shards.prefetch([0])
    with pytest.raises(DataError, match="gone"):
        shards.get(0)
    shards.close()


def test_a_source_that_cannot_be_fetched_ahead_keeps_nobody_waiting(tmp_path: Path) -> None:
    """The shard counted as one that was being encoded, so that whoever needed it waited for ever."""

    def fetch(number: int) -> None:
        raise OSError("connection lost")

    shards = ShardCache(str, shard, DiskCache(tmp_path, "x"), fetch)
    shards.prefetch([0, 1, 2])
    while shards._queue:
        time.sleep(0.001)
    shards.close()
    answers = list[EncodedShard]()
    threading.Thread(target=lambda: answers.append(shards.get(0)), daemon=True).start()
    ends_at = time.monotonic() + 2.0
    while not answers and time.monotonic() < ends_at:
        time.sleep(0.001)
    assert answers and not shards._making


def test_a_few_large_documents_are_divided_by_their_pieces(tmp_path: Path, small_blocks: None) -> None:
    source = random.Random(0)
    for name in "abc":
        words = [f"w{source.randint(0, 999)}" for _ in range(30_000)]
        lines = (" ".join(words[i : i + 12]) for i in range(0, len(words), 12))
        (tmp_path / f"{name}.txt").write_text("\n".join(lines), encoding="utf-8")
    data = Dataset.open(tmp_path, cache=tmp_path / "cache")
    data.fit(DataBudget(60.0, 1, 1))
    assert all(data.part_size(part) > 0 for part in ("train", "validation", "test"))
    assert data.part_size("train") > 5 * data.part_size("test")
    data.close()


def test_many_small_texts_are_streamed_and_fitted_to_some(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place = tmp_path / "d"
    for number in range(600):
        (place / f"{number % 7}").mkdir(parents=True, exist_ok=True)
        (place / f"{number % 7}" / f"{number}.txt").write_text(f"note {number}\n")
    for module in (folder, selected_data):
        monkeypatch.setattr(module, "WHOLE_ITEMS", 599)
    monkeypatch.setattr(folder, "SHARD_ITEMS", 16)
    monkeypatch.setattr(streaming, "FIT_TEXTS", 40)
    counts: list[int] = []
    fit = Text.fit
    monkeypatch.setattr(Text, "fit", lambda self, items, *more: (counts.append(len(items)), fit(self, items, *more))[1])
    data = opened(place, tmp_path / "c")
    assert isinstance(data._store, streaming.StreamingStore)
    assert sum(data.scan.parts.values()) == 600 and 40 <= counts[0] <= 40 + 16
    assert data.batch(0, "main", 0, 8, 8).x.shape[0] == 8
    data.close()
