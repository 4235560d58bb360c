"""Bodies are decoded once for all commands: their signatures and encoded items lie in the cache."""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image as Pillow

from anew.core import isolation
from anew.data.dataset import Dataset
from anew.data.types import DataBudget, Item

DECODING = ("validate_header", "signature", "glimpse", "encode_checked")  # methods that open or decode a body


def picture(place: Path, seed: int) -> None:
    x = np.random.default_rng(seed).integers(0, 255, (8, 8, 3), dtype=np.uint8)
    out = io.BytesIO()
    Pillow.fromarray(np.kron(x, np.ones((3, 3, 1), dtype=np.uint8))).save(out, "PNG")
    place.write_bytes(out.getvalue())


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "data").mkdir()
    for i in range(40):
        picture(tmp_path / "data" / f"{i:02}.png", i)
    return tmp_path / "data"


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """How many items each method was called for."""
    counts: Counter[str] = Counter()
    original = isolation.each

    def counted(method: Callable[..., object], items: Iterable[Item], *more: object) -> Iterator[object]:
        listed = list(items)
        counts[method.__name__] += len(listed)
        return original(method, listed, *more)

    monkeypatch.setattr(isolation, "each", counted)
    return counts


def learned(folder: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> Dataset:
    monkeypatch.setenv("ANEW_CACHE", str(cache))
    data = Dataset.open(folder)
    data.fit(DataBudget(60.0, 0, 0))
    data.items("train", 40)
    return data


def test_an_opened_run_decodes_nothing_that_training_decoded(
    tmp_path: Path, folder: Path, decoded: Counter[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    data = learned(folder, tmp_path / "cache", monkeypatch)
    parts = {part: data.items(part, 40) for part in ("train", "validation", "test")}
    x = data.batch(0, "main", 0, 8, 8).x
    data.modality.calibrate(torch.zeros_like(x), x)  # what it learns is not about real items
    assert decoded["signature"] == decoded["encode_checked"] == 40
    decoded.clear()
    again = Dataset.reopen(data.state(), tmp_path)
    for part, items in parts.items():
        assert all(np.array_equal(a, b) for a, b in zip(items, again.items(part, 40), strict=True))
    assert {name: decoded[name] for name in DECODING} == {
        **dict.fromkeys(DECODING, 0),
        "validate_header": 40,
    }  # the sample
    data.close()
    again.close()


def test_a_second_training_decodes_nothing(
    tmp_path: Path, folder: Path, decoded: Counter[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    first = learned(folder, tmp_path / "cache", monkeypatch)
    decoded.clear()
    second = learned(folder, tmp_path / "cache", monkeypatch)
    assert {name: decoded[name] for name in DECODING} == {**dict.fromkeys(DECODING, 0), "validate_header": 40}
    assert second.state() == first.state() and second.spec == first.spec
    assert torch.equal(second.batch(3, "main", 0, 8, 8).x, first.batch(3, "main", 0, 8, 8).x)
    monkeypatch.setenv("ANEW_CACHE", str(tmp_path / "cache"))
    longer = Dataset.open(folder)
    longer.fit(DataBudget(6000.0, 0, 0))  # by another budget, sizes may differ
    assert decoded["glimpse"] == longer.scan.parts["train"]
    for data in (first, second, longer):
        data.close()


def test_a_changed_picture_is_read_again_and_a_damaged_cache_is_made_again(
    tmp_path: Path, folder: Path, decoded: Counter[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    first = learned(folder, tmp_path / "cache", monkeypatch)
    picture(folder / "07.png", 99)
    decoded.clear()
    changed = learned(folder, tmp_path / "cache", monkeypatch)
    assert decoded["signature"] == 1 and decoded["encode_checked"] == changed.scan.parts["train"]
    for place in (tmp_path / "cache").rglob("*.npz"):
        place.write_bytes(place.read_bytes()[:-30])
    decoded.clear()
    damaged = learned(folder, tmp_path / "cache", monkeypatch)
    assert decoded["signature"] == 40 and decoded["encode_checked"] == damaged.scan.parts["train"]
    assert changed.scan.parts == damaged.scan.parts
    for data in (first, changed, damaged):
        data.close()


def test_a_second_training_knows_the_classes_that_the_first_one_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the parts were given, it knew none, and read the data once for their shares."""
    data = tmp_path / "data"
    for number, (part, label) in enumerate([("train", "a")] * 30 + [("train", "b")] * 10 + [("test", "a")] * 10):
        (data / part / label).mkdir(parents=True, exist_ok=True)
        picture(data / part / label / f"{number}.png", number)
    first, second = (learned(data, tmp_path / "cache", monkeypatch) for _ in range(2))
    for opened in (first, second):
        monkeypatch.setattr(opened._store, "rows", lambda part: pytest.fail("a pass was read"))
        counts = opened._store.label_counts()
        assert set(counts) == {0, 1} and counts[0] > counts[1] > 0
        opened.close()
    assert first._store.label_counts() == second._store.label_counts()


@pytest.mark.parametrize(
    ("module", "method"), [("fitting", "glimpse"), ("signature_cache", "signature")], ids=["learned", "signatures"]
)
def test_another_version_of_anew_learns_again(
    module: str,
    method: str,
    tmp_path: Path,
    folder: Path,
    decoded: Counter[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    learned(folder, tmp_path / "cache", monkeypatch).close()
    first = decoded[method]
    monkeypatch.setattr(f"anew.data.loading.{module}.__version__", "other")
    learned(folder, tmp_path / "cache", monkeypatch).close()
    assert first > 0 and decoded[method] == 2 * first
