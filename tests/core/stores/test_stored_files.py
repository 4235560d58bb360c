"""Files of a store in columns."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
import pytest

from anew.core.stores.stored_files import StoredColumns, StoredFile, StoredFiles, stamp_of, stamp_of_object


def test_files_are_found_by_path_in_the_order_of_paths() -> None:
    rows = [("b/2.png", 7, "y"), ("a.png", None, "x"), ("b/10.png", 9, "z"), ("a.png", 3, "newer")]
    files = StoredFiles.of("bucket/data/", rows, {"b/2.png": "elsewhere/2.png"})
    assert list(files) == ["a.png", "b/10.png", "b/2.png"] and len(files) == 3
    assert files["a.png"] == StoredFile("bucket/data/a.png", 3, "newer")
    assert files["b/2.png"] == StoredFile("elsewhere/2.png", 7, "y")
    assert "c" not in files and "a" not in files and files.get("b") is None
    with pytest.raises(KeyError):
        files["z.png"]


def test_some_of_the_files() -> None:
    files = StoredFiles.of("b/", [(f"{i}.png", i, "s") for i in range(4)])
    assert files.where(files.sizes >= 0) is files
    chosen = files.where(files.sizes != 2)
    assert list(chosen.rows()) == [("0.png", 0, "s"), ("1.png", 1, "s"), ("3.png", 3, "s")]
    assert chosen["3.png"].key == "b/3.png" and "2.png" not in chosen


@pytest.mark.parametrize("tag", ['"abc"', 'W/"abc"', "abc", "", '""', None])
def test_the_stamp_of_an_object_is_that_of_its_description(tag: str | None) -> None:
    changed = datetime(2026, 11, 29, 22, 58, 35, 247_000, tzinfo=UTC)
    assert stamp_of_object(tag, changed) == stamp_of({"ETag": tag, "LastModified": changed}) != ""


def test_listings_are_joined_in_the_order_of_paths() -> None:
    pages = [[("c", 1, "x"), ("e", None, "x")], [], [("a", 2, "y"), ("c", 3, "z")]]
    files = StoredFiles.joined("b/", map(StoredColumns.of, pages))
    assert list(files.rows()) == [("a", 2, "y"), ("c", 3, "z"), ("e", None, "x")] and files.bytes == 5
    others = files.where(files.sizes != 3)
    assert list(others) == ["a", "e"] and list(files.without(others)) == ["c"] and others["e"].bytes is None
    assert files.rows_of(["e", "a"]).tolist() == [2, 0] and not list(StoredFiles.of("b/", []))


def test_the_digest_changes_with_each_file_that_is_among_them() -> None:
    rows = [("a", 1, "x"), ("b", None, "y"), ("c", 3, ""), ("d", 4, "z")]
    files, is_chosen = StoredFiles.of("b/", rows), np.array([True, False, True, True])
    assert files.are_stamped.tolist() == [True, False, False, True]
    assert files.where(is_chosen).are_stamped.tolist() == [True, False, True]
    digests = {files.digest(), files.where(is_chosen).digest()}
    for number, changed in enumerate([("aa", 1, "x"), ("b", 2, "y"), ("c", 3, "s"), ("d", 5, "z")]):
        others = StoredFiles.of("b/", [*rows[:number], changed, *rows[number + 1 :]])
        digests.add(others.digest())
        assert (others.where(is_chosen).digest() == files.where(is_chosen).digest()) == (number == 1)
    assert len(digests) == 6
