"""Hub names, against a local stub: no hub is reached."""

from __future__ import annotations

import io
import sys
import time
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image as Pillow

from anew.data.sources.hub import open_hub, split_name
from anew.data.types import Item
from anew.errors import DataError


class Rows:
    """What the reader uses of `datasets.Dataset`."""

    def __init__(self, columns: dict[str, list[Any]], features: dict[str, Any] | None = None) -> None:
        self.columns = columns
        self.features = {name: SimpleNamespace() for name in columns} | (features or {})
        self.column_names = list(columns)
        self._fingerprint = "abc"

    def __len__(self) -> int:
        return len(next(iter(self.columns.values()), []))

    def __getitem__(self, key: slice) -> dict[str, list[Any]]:
        return {name: cells[key] for name, cells in self.columns.items()}

    def select_columns(self, names: list[str]) -> Rows:
        return Rows({name: self.columns[name] for name in names}, {name: self.features[name] for name in names})

    def select(self, indices: range) -> Rows:
        return Rows({name: [cells[i] for i in indices] for name, cells in self.columns.items()}, self.features)

    def cast_column(self, name: str, feature: Any) -> Rows:
        assert feature.decode is False
        return self


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Names that the stub of `datasets` knows -> what `load_dataset` gives."""
    names: dict[str, Any] = {}

    def load_dataset(path: str, name: str | None = None) -> Any:
        try:
            return names[f"{path}:{name}" if name else path]
        except KeyError:
            raise ConnectionError(f"Couldn't reach {path!r} on the Hub\nlong advice") from None

    stub = ModuleType("datasets")
    stub.load_dataset = load_dataset  # type: ignore[attr-defined]
    stub.config = SimpleNamespace(HF_HUB_OFFLINE=False)  # type: ignore[attr-defined]
    stub.Image = lambda decode: SimpleNamespace(decode=decode)  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "datasets", stub)
    monkeypatch.setattr("anew.data.sources.hub._is_reachable", lambda path: True)
    return names


def test_the_only_column_that_holds_text_is_taken(hub: dict[str, Any]) -> None:
    ids, comments = [f"user_{i}" for i in range(99)], [f"the river was wide {i}" for i in range(99)]
    hub["me/comments"] = Rows({"user": ids, "comment": comments})
    (note,) = open_hub("me/comments", {}).notes
    assert note == "me/comments: column 'comment' as text; no other holds text."


def test_text_splits_and_configuration(hub: dict[str, Any]) -> None:
    hub["me/books:small"] = {
        "train": Rows({"text": [f"document {i} " + "x" * 3000 for i in range(400)], "id": list(range(400))}),
        "validation": Rows({"text": ["held", ""], "id": [0, 1]}),
        "empty": Rows({"text": [], "id": []}),
    }
    reader = open_hub("me/books:small", {})
    assert reader.counts == {"text": 402}
    assert reader.labels == ()
    shards = reader.shards("text")
    assert {shard.part for shard in shards} == {"train", "validation"}
    assert sum(shard.items for shard in shards) == 402
    assert len({shard.name for shard in shards}) == len(shards) >= 4
    records = [item for shard in shards for item in reader.read(shard)]
    assert sum(isinstance(item, Item) for item in records) == 401  # one is empty
    assert records[0].data.startswith("document 0")  # type: ignore[union-attr]
    assert reader.shards("image") == []


def test_images_come_encoded_with_their_class_names(hub: dict[str, Any]) -> None:
    picture = type("Image", (), {})()
    cells = [{"bytes": b"one", "path": None}, {"bytes": b"two", "path": None}]
    features = {"image": picture, "label": SimpleNamespace(names=["cat", "dog"])}
    hub["me/pets"] = {"test": Rows({"image": cells, "label": [1, 0]}, features)}
    reader = open_hub("me/pets", {})
    assert reader.labels == ("cat", "dog")
    assert reader.bytes == {"image": 6}
    (shard,) = reader.shards("image")
    assert shard.part == "test"
    assert [(i.data, i.label) for i in reader.read(shard)] == [(b"one", "dog"), (b"two", "cat")]  # type: ignore[union-attr]


def test_unknown_names_are_one_sentence(hub: dict[str, Any]) -> None:
    with pytest.raises(
        DataError, match=r"'me/none' is not a path here.*Couldn't reach 'me/none' on the Hub\)"
    ) as refusal:
        open_hub("me/none", {})
    assert "\n" not in str(refusal.value)


def test_without_a_network_only_the_cache_is_read_and_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    datasets = pytest.importorskip("datasets")
    client = pytest.importorskip("huggingface_hub")

    def refuse(*_: object, **__: object) -> None:
        raise ConnectionError("no network")

    monkeypatch.setattr(client.HfApi, "dataset_info", refuse)
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path)
    start = time.monotonic()
    with pytest.raises(
        DataError, match=r"'me/none' is not a path here, and as a hub name it cannot be loaded \(the hub does not"
    ):
        open_hub("me/none", {})
    assert time.monotonic() - start < 3 and capfd.readouterr() == ("", "")
    assert not datasets.config.HF_HUB_OFFLINE


def test_useless_and_empty_data_sets_say_so(hub: dict[str, Any]) -> None:
    hub["me/numbers"] = {"train": Rows({"a": [1], "b": [2]})}
    hub["me/empty"] = {"train": Rows({"text": []})}
    with pytest.raises(DataError, match=r"no column named text or image \(its columns: a, b\)"):
        open_hub("me/numbers", {})
    with pytest.raises(DataError, match="holds no rows"):
        open_hub("me/empty", {})


def test_without_the_package_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(DataError, match=r"pip install '\.\[hub\]'"):
        open_hub("me/books", {})


def test_names() -> None:
    assert split_name("a/b") == ("a/b", None)
    assert split_name("a/b:c") == ("a/b", "c")
    assert split_name("hf://a/b") == ("a/b", None)


@pytest.mark.slow
def test_the_real_package_on_a_local_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    datasets = pytest.importorskip("datasets")
    out = io.BytesIO()
    Pillow.fromarray(np.zeros((4, 4), np.uint8)).save(out, "PNG")
    features = datasets.Features({"image": datasets.Image(), "label": datasets.ClassLabel(names=["a", "b"])})
    columns = {"image": [{"bytes": out.getvalue(), "path": None}] * 3, "label": [0, 1, 1]}
    dataset = datasets.DatasetDict({"train": datasets.Dataset.from_dict(columns, features=features)})
    monkeypatch.setattr(datasets, "load_dataset", lambda *_: dataset)
    monkeypatch.setattr("anew.data.sources.hub._is_reachable", lambda path: True)
    reader = open_hub("me/pictures", {})
    (shard,) = reader.shards("image")
    assert [(i.data, i.label) for i in reader.read(shard)] == [(out.getvalue(), name) for name in "abb"]  # type: ignore[union-attr]
