"""Which suffixes of files are classes of their texts."""

from __future__ import annotations

from collections import Counter

import pytest

from anew.data.formats.text.suffix_classes import OTHER, SuffixClasses, file_ending
from anew.data.types import Item


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
    assert classes.notes()[0].startswith("each suffix is a class (.c, .h and other)")
    assert SuffixClasses().label(".h") is None and SuffixClasses().notes() == []


@pytest.mark.parametrize(("suffixes", "rest"), [(("../x", ".c"), "../x"), ((".c", ".h"), "else")])
def test_classes_of_a_run_of_somebody_else_are_checked(suffixes: tuple[str, ...], rest: str) -> None:
    with pytest.raises(ValueError, match="must be"):
        SuffixClasses.restored(suffixes, rest)


def test_suffixes_of_files_count_and_rows_have_none() -> None:
    items = [Item("a/b.MD.gz", b"x"), Item("c.md", b"x"), Item("d", b"x"), Item("t.csv:3", "x")]
    assert list(map(file_ending, items)) == [".md", ".md", "", ""]
    assert SuffixClasses.of_files([*items[:2] * 20, *[Item(f"{i}.rst", b"x") for i in range(40)]], file_ending).suffixes
