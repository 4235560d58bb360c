"""The split of sources that are read in shards: by content, by whole shards, and by the user's own parts."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any, cast

import numpy as np
import pytest

from anew.core.reading_time import ReadingTime
from anew.data.modalities.image import Image, ImageConfig
from anew.data.modalities.text import Text, TextConfig
from anew.data.sources.base import Shard
from anew.data.splitting import records, split, streaming_split
from anew.data.splitting.named_parts import parts_by_name
from anew.data.splitting.streaming_split import SourceSplit, split_source
from anew.data.types import Item
from anew.errors import DataError

IMAGE, TEXT = Image(ImageConfig()), Text(TextConfig())


class ShardList:
    """A source of items in memory, `per_shard` in a shard."""

    def __init__(self, items: list[Item], per_shard: int, part: str | None = None) -> None:
        self.items = {str(i): items[i : i + per_shard] for i in range(0, len(items), per_shard)}
        self.shards = [Shard(name, len(own), sum(i.size for i in own), None, part) for name, own in self.items.items()]
        self.refusals: list[Any] = []

    def read(self, shard: Shard) -> Iterator[Item]:
        yield from self.items[shard.name]

    def held_out_shard(self, shard: Shard) -> Shard:
        return shard

    def prefetch(self, shard: Shard) -> None:
        pass


def pictures(n: int, seed: int = 0) -> list[Item]:
    x = np.random.default_rng(seed).integers(0, 256, (n, 8, 8, 3), dtype=np.uint8)
    return [Item(f"{i}.png", np.kron(image, np.ones((4, 4, 1), dtype=np.uint8))) for i, image in enumerate(x)]


def parts_of(result: SourceSplit) -> list[int]:
    parts: list[int] = []
    for own in result.parts:
        assert not isinstance(own, int)
        parts += own.tolist()
    return parts


@pytest.mark.parametrize("max_compared", [1000, 50])
def test_copies_never_lie_in_two_parts(max_compared: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(records, "MAX_COMPARED", max_compared)
    monkeypatch.setattr(streaming_split, "MAX_COMPARED", max_compared)
    items = pictures(200)
    source: Any = ShardList([*items, *items[:100]], 60)
    result = split_source(source, source.shards, IMAGE)
    parts = parts_of(result)
    assert parts[200:] == parts[:100] and len(set(parts)) == 3
    notes = " ".join(result.division_notes)
    assert "100 of 300 items are the same as an earlier one" in notes
    assert ("Near-duplicates were searched for among 50 items only" in notes) == (max_compared == 50)


def test_of_recordings_each_class_has_its_share_of_every_part() -> None:
    lengths = np.random.default_rng(1).choice([1, 2, 3, 20], 200, p=[0.5, 0.2, 0.2, 0.1])
    recordings = np.repeat(np.arange(200), lengths).tolist()
    items = [
        replace(item, group=str(number), label="ab"[number % 2])
        for item, number in zip(pictures(len(recordings)), recordings, strict=True)
    ]
    source: Any = ShardList(items, 60)
    result = split_source(source, source.shards, IMAGE)
    is_first, parts = np.array([item.label == "a" for item in items]), np.array(parts_of(result))
    assert result.balances_classes
    for part in (split.VALIDATION, split.TEST):
        assert is_first[parts == part].mean() == pytest.approx(is_first.mean(), abs=0.06)
    single_items: Any = ShardList([replace(item, group=None) for item in items], 60)
    assert not split_source(single_items, single_items.shards, IMAGE).balances_classes


def slow_source(items: list[Item], per_shard: int, seconds_per_item: float) -> tuple[Any, ReadingTime]:
    """A source whose items take so many seconds each by the clock of the time to read them, 15 of 100 s."""
    now = [0.0]

    class SlowList(ShardList):
        def read(self, shard: Shard) -> Iterator[Item]:
            for item in super().read(shard):
                now[0] += seconds_per_item
                yield item

    return SlowList(items, per_shard), ReadingTime(100.0, clock=lambda: now[0])


def slow_pictures(seconds_per_item: float, monkeypatch: pytest.MonkeyPatch) -> ReadingTime:
    """The same for a modality that takes so long to look at each item, which itself is quickly read."""
    now, alike_keys = [0.0], records.alike_keys

    def slow_keys(
        modality: Image, items: list[Item], content_keys: list[int], known: dict[int, int]
    ) -> Iterator[int | ValueError]:
        now[0] += seconds_per_item * len(items)
        return alike_keys(modality, items, content_keys, known)

    monkeypatch.setattr(records, "alike_keys", slow_keys)
    return ReadingTime(100.0, clock=lambda: now[0])


def labelled(items: list[Item], num_classes: int) -> list[Item]:
    """The items sorted by class, as rows of many tables are."""
    return [replace(item, label=str(i * num_classes // len(items))) for i, item in enumerate(items)]


def test_rows_from_all_shards_are_read_in_time_and_again_in_a_run_that_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    items = labelled(pictures(1_600), 10)
    reading = slow_pictures(0.0225, monkeypatch)  # all would take 36 s
    source: Any = ShardList(items, 160)
    result = split_source(source, source.shards, IMAGE, reading)
    assert 11.0 < reading.elapsed <= 15.0
    assert len(result.row_steps) == 10 and all(result.row_steps)
    counts = result.counts(source.shards)
    assert all(counts.values()) and not result.is_estimate(source.shards)
    used = sum(counts.values())
    sentence = f"{used:,} of 1,600 items are used, from all over the data: the other {1600 - used:,} could not be read"
    assert any(sentence in note for note in result.division_notes)
    assert len(result.classes) == 10 and max(result.classes.values()) < 2 * min(result.classes.values())
    source, _ = slow_source(items, 160, 0.0)
    again = split_source(source, source.shards, IMAGE, row_steps=result.row_steps)
    for own, repeated in zip(result.parts, again.parts, strict=True):
        assert np.array_equal(own, repeated)
    assert again.row_steps == result.row_steps and again.division_notes == result.division_notes


def test_shards_that_take_long_to_read_are_evenly_spaced() -> None:
    source, reading = slow_source(pictures(1_600), 32, 0.0225)
    result = split_source(source, source.shards, IMAGE, reading)
    shards = [number for number, step in enumerate(result.row_steps) if step]
    assert 12 <= len(shards) <= 20 and shards[0] == 0 and shards[-1] == 49 and max(np.diff(shards)) <= 6
    assert 11.0 < reading.elapsed <= 15.0


def test_rows_of_every_class_are_read_however_short_the_time_is(monkeypatch: pytest.MonkeyPatch) -> None:
    reading, source = slow_pictures(0.08, monkeypatch), ShardList(labelled(pictures(1_600), 4), 256)
    result = split_source(cast(Any, source), source.shards, IMAGE, reading)
    assert 150 < sum(result.counts(source.shards).values()) < 400 and reading.elapsed < 35.0
    assert len(result.classes) == 4 and max(result.classes.values()) < 2 * min(result.classes.values())


def test_where_reading_is_slower_still_the_fewest_rows_are_read_of_all_shards(monkeypatch: pytest.MonkeyPatch) -> None:
    """256 rows were read, which took 256 of 100 s."""
    reading, source = slow_pictures(1.0, monkeypatch), ShardList(labelled(pictures(1_600), 4), 256)
    result = split_source(cast(Any, source), source.shards, IMAGE, reading)
    assert 24 < sum(result.counts(source.shards).values()) < 60 and reading.elapsed < 60.0
    assert all(result.row_steps) and len(result.classes) == 4


def test_classes_of_shards_that_are_read_less_densely_keep_their_shares() -> None:
    """A class of which every fourth row was taken was drawn half as often as one of which every second was."""
    source: Any = ShardList(labelled(pictures(1_600), 2), 800)
    result = split_source(source, source.shards, IMAGE, row_steps=[4, 2])
    rare, often = result.classes["0"], result.classes["1"]
    assert abs(rare - often) < 0.2 * often and 500 < often < 900


def test_steps_of_other_shards_are_refused() -> None:
    source, _ = slow_source(pictures(100), 32, 0.0)
    with pytest.raises(DataError, match="says how to read 2 shards, and the data has 4"):
        split_source(source, source.shards, IMAGE, row_steps=[1, 0])


def test_all_is_read_where_time_is_not_short() -> None:
    items = pictures(600)
    source, reading = slow_source(items, 32, 0.018)
    result, unlimited = (split_source(source, source.shards, IMAGE, limit) for limit in (reading, None))
    assert result.row_steps == [] and parts_of(result) == parts_of(unlimited)
    assert result.division_notes == unlimited.division_notes


def test_large_sources_hold_out_whole_shards_and_drop_copies(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streaming_split, "MAX_PASS_ITEMS", 100)
    items = pictures(200)
    source: Any = ShardList(items, 10)
    result = split_source(source, source.shards, IMAGE)
    held_out = [i for i, part in enumerate(result.parts) if part != split.TRAIN]
    assert len(held_out) == 2 and {result.parts[i] for i in held_out} == {split.VALIDATION, split.TEST}
    assert all(result.repeats(item) for i in held_out for item in source.items[source.shards[i].name])
    assert not any(result.repeats(item) for item in pictures(20, seed=1))
    assert result.counts(source.shards) == {"train": 180, "validation": 10, "test": 10}
    assert not result.is_estimate(source.shards)


def test_texts_that_nearly_repeat_a_held_out_one_are_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streaming_split, "MAX_PASS_BYTES", 100)
    rng = np.random.default_rng(0)
    texts = [" ".join(f"word{i}" for i in rng.integers(0, 9_999, 80)) for _ in range(1_600)]
    source: Any = ShardList([Item(str(i), text) for i, text in enumerate(texts)], 100)
    result = split_source(source, source.shards, TEXT)
    (number,) = (i for i, part in enumerate(result.parts) if part == split.TEST)
    copied = source.items[source.shards[number].name][0].text
    assert result.repeats(Item("", copied.upper()))
    assert result.repeats(Item("", f"{copied[:300]} other words {copied[300:]}"))
    assert not result.repeats(Item("", texts[0][::-1]))


@pytest.mark.parametrize(
    ("named", "held_out", "clause"),
    [
        ([None, None], [split.VALIDATION, split.TEST], None),
        (["train", "validation", "test"], [], "own train, validation and test parts are kept"),
        (["train", "test"], [split.VALIDATION], "own test part is kept; validation is split off from train"),
        (["train", "validation"], [split.VALIDATION], "own validation part is what gets scored"),
        (["test", "test"], [split.VALIDATION, split.TEST], "There is only a test part and none for training"),
    ],
)
def test_parts_that_folders_name_are_kept(named: list[str | None], held_out: list[int], clause: str | None) -> None:
    code, carved, notes = parts_by_name([Shard(str(i), 1, 1, None, part) for i, part in enumerate(named)])
    assert carved == held_out
    assert (clause is None and not notes) or (clause is not None and clause in notes[0])
    if "train" in named:
        assert code["train"] == split.TRAIN and set(code.values()) - {split.TRAIN}


def test_runs_of_earlier_versions_hold_out_whole_shards_of_a_large_list() -> None:
    modality = Text(TextConfig(layout="list"))
    items = [Item(f"{i}", f"name{i * i}") for i in range(2000)]
    modality.inspect(items)
    source: Any = ShardList(items, 40)
    earlier, now = (split_source(source, source.shards, modality, draw_records=draws) for draws in (False, True))
    assert all(isinstance(part, int) for part in earlier.parts) and not earlier.draws_records
    assert now.draws_records and sum(isinstance(part, int) for part in now.parts) == 50 - 24
    held_out = [now.counts(source.shards)[part] for part in ("validation", "test")]
    assert held_out == pytest.approx([80, 80], abs=40)  # 2 of 50 shards each


def test_of_long_spans_of_a_list_the_beginnings_are_held_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """Records from all over them would have to be read before the first step."""
    modality = Text(TextConfig(layout="list"))
    items = [Item(f"{i}", f"name{i * i}") for i in range(2000)]
    modality.inspect(items)
    source: Any = ShardList(items, 40)
    monkeypatch.setattr(source, "held_out_shard", replace)
    division = split_source(source, source.shards, modality)
    assert all(isinstance(part, int) for part in division.parts) and not division.draws_records
