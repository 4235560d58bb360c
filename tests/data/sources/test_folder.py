"""Records are found in one pass over a file, in whatever order they are asked for."""

from __future__ import annotations

import io
import random

import pytest

from anew.data.sources import folder
from anew.data.sources.folder import RecordStarts


class Counted(io.BytesIO):
    taken = 0

    def read(self, size: int | None = -1, /) -> bytes:
        data = super().read(size)
        self.taken += len(data)
        return data


def body(seed: int, records: int) -> bytes:
    draw = random.Random(seed)
    return b"".join(b">r\n" + b"ACDE\n" * draw.choice([0, 1, 5, 900]) for _ in range(records))


@pytest.mark.parametrize("seed", range(4))
def test_every_search_finds_the_next_record(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(folder, "CHUNK_BYTES", 64)
    data = body(seed, 20)
    places = [i for i in range(1, len(data)) if data[i : i + 1] == b">" and data[i - 1 : i] == b"\n"]
    positions = list(range(1, len(data)))
    random.Random(seed).shuffle(positions)
    starts, stream = RecordStarts(), io.BytesIO(data)
    for at in positions[:3000]:
        expected = next((place for place in places if place >= at), len(data))
        assert starts.after(stream, at, len(data), b"\n", b">") == expected


def test_one_long_record_is_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(folder, "CHUNK_BYTES", 1024)
    data = b">r\n" + b"ACDE\n" * 20_000
    places = list(range(1, len(data), 500))
    random.Random(1).shuffle(places)
    starts, stream = RecordStarts(), Counted(data)
    assert {starts.after(stream, at, len(data), b"\n", b">") for at in places} == {len(data)}
    assert stream.taken < 3 * len(data)
