"""Which suffixes of files are classes of their texts."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from anew.data.dataset import Dataset
from anew.data.formats.text.suffix_classes import OTHER, SuffixClasses, count_suffixes, file_ending, main_suffix
from anew.data.types import Item


@pytest.mark.parametrize(
    ("counts", "suffix"),
    [
        ({".md": 3}, ".md"),
        ({".abc": 30, "": 20, ".md": 9}, ".abc"),
        ({".md": 5, ".rst": 5}, ".txt"),
        ({"": 9}, ".txt"),
        ({}, ".txt"),
    ],
)
def test_samples_have_the_suffix_of_most_files(counts: dict[str, int], suffix: str) -> None:
    assert main_suffix(Counter(counts)) == suffix


@pytest.mark.parametrize(
    ("counts", "suffixes", "rest"),
    [
        ({".ml": 129, ".mli": 104}, (".ml", ".mli"), ".ml"),
        ({".ml": 129, ".mli": 29}, (), ""),  # too few to be learned and held out
        ({".c": 200, ".h": 100, "": 5, ".s": 4}, (".c", ".h"), ".c"),
        ({".c": 120, ".h": 60, ".py": 25, ".sh": 20}, (".c", ".h"), OTHER),
        ({".md": 500, ".rst": 40}, (), ""),  # 7% of the files
        ({"": 60, ".md": 60}, (), ""),
    ],
)
def test_suffixes_are_classes_if_they_are_common(counts: dict[str, int], suffixes: tuple[str, ...], rest: str) -> None:
    classes = SuffixClasses.of(Counter(counts))
    assert classes == SuffixClasses(suffixes, rest)
    assert classes == SuffixClasses.restored(classes.suffixes, classes.rest)


def test_every_text_has_a_class_and_samples_the_suffix_of_theirs() -> None:
    classes = SuffixClasses((".c", ".h"), OTHER)
    assert [classes.label(suffix) for suffix in (".h", ".c", ".py", "")] == [".h", ".c", OTHER, OTHER]
    assert [classes.suffix(label) for label in (".h", OTHER, None)] == [".h", "", ""]
    assert classes.notes()[0].startswith("Each suffix is a class (.c, .h and other)")
    assert SuffixClasses().label(".h") is None and SuffixClasses().notes() == []


@pytest.mark.parametrize(("suffixes", "rest"), [(("../x", ".c"), "../x"), ((".c", ".h"), "else")])
def test_classes_of_a_run_of_somebody_else_are_checked(suffixes: tuple[str, ...], rest: str) -> None:
    with pytest.raises(ValueError, match="must be"):
        SuffixClasses.restored(suffixes, rest)


def test_suffixes_of_files_count_and_rows_have_none() -> None:
    items = [Item("a/b.MD.gz", b"x"), Item("c.md", b"x"), Item("d", b"x"), Item("t.csv:3", "x")]
    assert list(map(file_ending, items)) == [".md", ".md", "", ""]
    names = [item.name for item in items[:3]]
    assert count_suffixes([*names, "e.m%d"], 6) == {".md": 2, "": 4}


def test_all_files_count_not_those_alone_that_are_read_first(tmp_path: Path) -> None:
    """Of 400 files 45 are enough; of the 256 that are read, 28 would be too few."""
    for number in range(400):
        (tmp_path / f"{number}{'.md' if number % 9 else '.rst'}").write_text(f"This is text number {number}.\n" * 4)
    notes = Dataset.open(tmp_path, modality="text", settings={"layout": "document"}).scan.notes
    assert any("Each suffix is a class (.md and .rst)" in note for note in notes)
