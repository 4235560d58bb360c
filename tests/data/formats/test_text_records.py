"""Files whose records are divided by lines of %: each record is a document; comments divide nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from anew.data.dataset import Dataset
from anew.data.formats.text_records import records
from anew.data.types import DataBudget

QUOTES = [f"Quote {i} is short,\nand has 100% of its {i * 7} words.\n\t\t-- Author {i % 9}\n" for i in range(300)]
JAR = "%\n".join(QUOTES)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (JAR, QUOTES),
        (JAR.replace("\n%\n", "\n%%\n") + "%\n", QUOTES),
        ("%\n".join(QUOTES[:5]), ["%\n".join(QUOTES[:5])]),
        ("%\n% a comment of TeX\n\\def\\x{1}\n" * 60, ["%\n% a comment of TeX\n\\def\\x{1}\n" * 60]),
        ("plain words\n" * 60, ["plain words\n" * 60]),
    ],
)
def test_records_are_what_lines_of_percent_divide(text: str, expected: list[str]) -> None:
    assert records(text) == expected


def test_a_jar_is_many_documents(tmp_path: Path) -> None:
    (tmp_path / "fortunes").write_text(JAR)
    data = Dataset.open(tmp_path)
    assert data.scan.items == 300 and any("lines that hold % alone" in note for note in data.scan.notes)
    data.fit(DataBudget(None, 0, 0))
    texts = [text for part in ("train", "validation", "test") for text in data.text(part)]
    assert sorted(texts) == sorted(QUOTES) and "end" in data.spec.special
    whole = Dataset.open(tmp_path, settings={"layout": "document"})
    whole.fit(DataBudget(None, 0, 0))
    assert "%\n" in "".join(whole.text("train"))


def test_lines_of_percent_in_programs_are_comments(tmp_path: Path) -> None:
    for i in range(12):
        (tmp_path / f"{i}.erl").write_text("%\n" + JAR.replace("Quote", f"f{i}"))
    assert Dataset.open(tmp_path).scan.items == 12
