"""Listings of an S3 store page by page, of long ones folder by folder."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from pathlib import Path

import fsspec
import pytest

from anew.core.stores import text_column
from anew.core.stores.stored_files import Row, StoredColumns, StoredFile, StoredFiles
from anew.core.stores.text_column import ChosenTexts, TextColumn
from anew.data.sources import store_listing
from anew.data.sources.store_listing import MAX_NAME_BYTES, PagedStore, are_safe, is_safe, list_store
from anew.errors import DataError

A_PAGE = 10


class FakeBucket:
    """Answers list requests as S3 does, with short pages."""

    def __init__(self, keys: list[str]) -> None:
        self.keys = sorted(keys)
        self.requests: list[Mapping[str, str]] = []

    def __call__(self, method: str, **request: str) -> object:
        assert method == "list_objects_v2"
        self.requests.append(request)
        prefix, delimiter = request["Prefix"], request.get("Delimiter", "")
        names = [key for key in self.keys if key.startswith(prefix)]
        entries: list[str] = []
        for key in names:
            head, separator, _ = key[len(prefix) :].partition(delimiter) if delimiter else (key, "", "")
            entries.append(f"{prefix}{head}/" if separator else key)
        entries = [entry for entry, _ in itertools.groupby(entries)]
        start = int(request.get("ContinuationToken", 0))
        page = entries[start : start + A_PAGE]
        return {
            "Contents": [{"Key": entry, "Size": 3, "ETag": "e", "LastModified": 1} for entry in page if entry in names],
            "CommonPrefixes": [{"Prefix": entry} for entry in page if entry not in names],
            "IsTruncated": start + A_PAGE < len(entries),
            "NextContinuationToken": str(start + A_PAGE),
        }


def listed(store: PagedStore) -> list[Row]:
    return list(StoredFiles.joined("data/", store.pages("data/")).rows())


@pytest.mark.parametrize(
    ("keys", "by_folder"),
    [
        ([f"data/{i:03}.png" for i in range(125)], False),  # without folders
        ([f"data/{i % 7}/{i:03}.png" for i in range(125)] + ["data/labels.csv"], True),
        ([f"data/all/{'train' if i % 4 else 'test'}/{i % 9}/{i:03}.png" for i in range(125)], True),
        ([f"data/{i:03}/x.png" for i in range(125)], False),  # too many folders
        ([f"data/{i // 2:02}/{i}.png" for i in range(36)], False),  # many, which hold little
        ([f"data/{i // 8:02}/{i}.png" for i in range(144)], True),  # many, which hold much
        (["other/x.png"], False),
    ],
)
def test_all_objects_are_listed_once(keys: list[str], by_folder: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store_listing, "MAX_FOLDERS", 20)
    monkeypatch.setattr(store_listing, "FEW_FOLDERS", 10)
    monkeypatch.setattr(store_listing, "MIN_FOLDER_OBJECTS", 5)
    bucket = FakeBucket([*keys, "elsewhere/y.png"])
    rows = listed(PagedStore(bucket, "b", "s3://b/data"))
    assert rows == sorted((key[5:], 3, "e") for key in keys if key.startswith("data/"))
    listed_whole = any(request["Prefix"] == "data/" and "Delimiter" not in request for request in bucket.requests)
    if keys[0].startswith("data/") and "/" in keys[0][5:]:
        assert listed_whole != by_folder
    assert len(bucket.requests) <= -(-len(keys) // A_PAGE) + 30


class Direct:
    """Lists the folders in `known`; only the client can list others."""

    def __init__(self, known: Mapping[str, list[str]]) -> None:
        self.known = known

    def pages(self, bucket: str, prefix: str, root: str) -> list[StoredColumns] | None:
        keys = self.known.get(prefix)
        return None if keys is None else [StoredColumns.of((key.removeprefix(root), 3, "e") for key in keys)]


def test_folders_are_listed_directly_where_that_works() -> None:
    keys = [f"data/{i % 9}/{i:03}.png" for i in range(90)]
    bucket = FakeBucket(keys)
    known = {f"data/{folder}/": [key for key in keys if key.startswith(f"data/{folder}/")] for folder in range(8)}
    direct = Direct(known)
    rows = listed(PagedStore(bucket, "b", "s3://b/data", direct))  # type: ignore[arg-type]
    assert rows == sorted((key[5:], 3, "e") for key in keys)
    assert {request["Prefix"] for request in bucket.requests} == {"data/", "data/8/"}


def test_a_bucket_without_folders_is_listed_directly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store_listing, "PAGE_OBJECTS", 20)
    keys = [f"data/{i:03}.png" for i in range(85)]
    bucket = FakeBucket(keys)
    rows = listed(PagedStore(bucket, "b", "s3://b/data", Direct({"data/": keys})))  # type: ignore[arg-type]
    assert rows == [(key[5:], 3, "e") for key in keys]
    assert len(bucket.requests) == 2  # to look for folders


class FakeStore:
    """A store with one bucket. fault: raised when anything is asked; None: nothing is."""

    def __init__(self, keys: list[str]) -> None:
        self.call_s3 = FakeBucket(keys)
        self.fault: Exception | None = None

    def info(self, path: str) -> Mapping[str, object]:
        if self.fault is not None:
            raise self.fault
        return {"name": "b/data", "type": "directory"}

    def invalidate_cache(self) -> None:
        pass


def test_names_are_kept_and_listed_again_where_they_are_damaged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store_listing, "MAX_COPIED_FILES", 3)
    keys = ["data/c/é.png", "data/a/1.png", "data/b\\c.png", "data/folder/", "data/a/2.png", "data/d.png"]
    store = FakeStore(keys)

    def listed_paths() -> tuple[list[str], bool]:
        before = len(store.call_s3.requests)
        listing = list_store(store, "b/data", "s3://b/data", tmp_path)  # type: ignore[arg-type]
        assert [refusal.name for refusal in listing.refusals] == ["b\\c.png"]
        assert all(listing.files[path] == StoredFile(f"b/data/{path}", 3, "e") for path in listing.files)
        return list(listing.files), len(store.call_s3.requests) > before

    paths = ["a/1.png", "a/2.png", "c/é.png", "d.png"]
    assert listed_paths() == (paths, True) and listed_paths() == (paths, False)
    names = tmp_path / store_listing.NAMES
    data = names.read_bytes()
    for damaged in (data[:-200], data.replace(b"a/1.png", b"a/../pn"), b"", b"PK"):
        names.write_bytes(damaged)
        assert listed_paths() == (paths, True)


def test_kept_names_are_for_those_who_may_still_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store_listing, "MAX_COPIED_FILES", 1)
    store = FakeStore(["data/a.png", "data/b.png"])
    listings = [list_store(store, "b/data", "s3://b/data", tmp_path) for _ in range(2)]  # type: ignore[arg-type]
    assert listings[0].age == 0 < listings[1].age
    store.fault = PermissionError("Forbidden")
    with pytest.raises(DataError, match=r"'s3://b/data' cannot be read \(.*; check your permissions there"):
        list_store(store, "b/data", "s3://b/data", tmp_path)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("num_folders", "a_folder", "by_folder"),
    [(0, 0, False), (3, 5, True), (70, 2, False), (70, 12, True)],
)
def test_other_stores_are_listed_folder_by_folder(
    num_folders: int, a_folder: int, by_folder: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store_listing, "PAGE_OBJECTS", 10)
    system, root = fsspec.filesystem("memory"), f"/{tmp_path.name}"
    names = [f"{folder:02}/inner/{i}.txt" for folder in range(num_folders) for i in range(a_folder)] + [
        "01.txt",
        "zz.txt",
    ]
    for name in names:
        system.pipe_file(f"{root}/{name}", name.encode())
    searched, find = list[str](), type(system).find

    def count(self: object, path: str, **options: object) -> object:
        searched.append(path)
        return find(self, path, **options)

    monkeypatch.setattr(type(system), "find", count)
    try:
        listing = list_store(system, root, f"memory:/{root}", tmp_path)
        listed_folders = set(searched)
    finally:
        system.rm(root, recursive=True)
    assert list(listing.files) == sorted(names) and listing.files["zz.txt"].key == f"{root}/zz.txt"
    assert len(listed_folders) == num_folders if by_folder else root in listed_folders or not num_folders


@pytest.mark.parametrize("searched", [1, 2, 1000])
def test_names_are_as_safe_together_as_each_by_itself(searched: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(text_column, "SEARCHED_TEXTS", searched)
    long = "n" * MAX_NAME_BYTES
    plain = ["a.png", "a/b c/1-2_3.png", "A/9.", long, "x/y"]
    others = ["", "/a", "a/", "a//b", "a/../b", "..", ".a", "a/.b", " a", "a/ b", "a\0b", "a\nb", "a\\b", "é.png", f"{long}n", f"a/{long}n",
              ".lock", ".listing.json", "a/\udce9", "日本/1.png"]  # fmt: skip
    for names in (plain, others, plain + others, others + plain):
        assert are_safe(ChosenTexts(TextColumn.of(names))).tolist() == [is_safe(name) for name in names]
