"""Files whose records are divided by lines of %: each record is a document; comments divide nothing."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from anew.data.dataset import Dataset
from anew.data.formats.text.text_records import division, record_start, records
from anew.data.types import DataBudget

SIZE = DataBudget(60.0, 0, 0)
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


TUNES = [f"X:{i}\nT: Tune {i}\nK: G\nGABc d2 |{i % 7}\n" for i in range(40)]
GAMES = [f'[Event "{i}"]\n[Site "?"]\n[Date "19{i}.??.??"]\n\n1. e4 e5 2. Nf{i % 8}\n' for i in range(40)]
BOOKS = [f"@{'article' if i % 2 else 'book'}{{key{i},\n  title = {{{i}}},\n  year = 19{i}\n}}\n" for i in range(40)]


CARDS = [f"BEGIN:VCARD\nVERSION:3.0\nFN:Ann {i}\nTEL:{i * 37}\nEND:VCARD\n" for i in range(40)]


@pytest.mark.parametrize(("parts", "start"), [(TUNES, "X:"), (GAMES, "[Event"), (BOOKS, "@"), (CARDS, "BEGIN:")])
def test_records_that_begin_alike_after_an_empty_line_are_documents(parts: list[str], start: str) -> None:
    """8,514 tunes in 31 songbooks were 31 documents, and samples broke off within a tune."""
    text = "\n".join(parts)
    assert record_start(text) == start and [part.strip() for part in records(text, start)] == [
        part.strip() for part in parts
    ]
    beginning, (rule,) = division([text, text])
    assert beginning == start and repr(start) in rule and "layout=document" in rule


@pytest.mark.parametrize(
    "text",
    [
        "\n\n".join(f"- item {i} of a list" for i in range(60)),
        "\n\n".join(f"# Heading {i}\n\nSome prose. And more of it, in {i % 9 + 1} words" for i in range(60)),
        "\n\n".join(f"{('Hamlet', 'Ophelia', 'Horatio')[i % 3]}: a line of a play {i}" for i in range(60)),
        "\n\n".join(f"Well, paragraph {i} begins with a word and a comma." for i in range(60)),
        "\n\n".join(f"{'AB'[i % 2]}: I say thing {i}, as one does." for i in range(80)),
        "\n\n".join(f"{'AB'[i % 2]}: I say thing {i},\nand more: as one does,\nand so on" for i in range(80)),
        "\n\n".join(f"User: why {i}?\nBot: because\nof {i}\nUser: oh" for i in range(80)),
        "\n\n".join(f"@anna: why {i}?\n@ben: because" for i in range(80)),
        "\n\n".join(f"{('HAMLET', 'OPHELIA')[i % 2]}:\nA line of verse {i},\nanother one" for i in range(80)),
        "\n\n".join(f"2024-01-{i % 28 + 1:02} wrote {i} pages and slept." for i in range(60)),
        "\n\n".join(f"{('Monday', 'Tuesday')[i % 2]}: wrote {i} pages\nand slept" for i in range(60)),
        "\n\n".join(f"*Note* {i}, as some text says" for i in range(60)),
        "\n\n".join(f"[2024-01-01 10:{i:02}] ERROR\n  at a.b(c:{i})\n  at d.e(f:{i})" for i in range(60)),
        "\n\n".join([*(f"Paragraph {i} of a novel" for i in range(100)), *TUNES]),
        "\n\n".join(TUNES[:10]),
        "",
    ],
)
def test_paragraphs_lists_headings_and_plays_are_no_records(text: str) -> None:
    assert record_start(text) == "" and division([text]) == ("", [])


@settings(max_examples=50, deadline=None)
@given(st.lists(st.text(" \t\f", max_size=2), min_size=1, max_size=3), st.text("\n \t", max_size=3), st.booleans())
def test_lines_of_blanks_divide_as_empty_lines_do(blanks: list[str], end: str, has_preamble: bool) -> None:
    gap = "".join(f"{line}\n" for line in blanks)
    text = "% a songbook\n" * has_preamble + gap * has_preamble + gap.join(TUNES) + end
    start = record_start(text)
    parts = records(text, start)
    assert start == "X:" and len(parts) == len(TUNES) + has_preamble
    assert [part.strip() for part in parts[has_preamble:]] == [tune.strip() for tune in TUNES]


def test_empty_lines_are_no_records() -> None:
    assert (
        records("\n\n\nX:1\n", "X:") == ["X:1\n"] and records("", "X:") == [""] and records("\n \n", "X:") == ["\n \n"]
    )


def test_songbooks_are_learned_tune_by_tune_and_runs_remember_that(tmp_path: Path) -> None:
    for number in range(4):
        book = [f"X:{i}\nT: Song {number} {i * 37 % 101}\nK: G\nGA{'Bc' * (i % 9)} d{i} |\n" for i in range(60)]
        (tmp_path / f"{number}.abc").write_text("% a songbook\n\n" + "\n".join(book))
    data = Dataset.open(tmp_path, size=SIZE)
    assert data.scan.items in (240, 244) and any("begins with 'X:'" in note for note in data.scan.notes)
    data.fit(SIZE)
    assert "end" in data.spec.special and not data.spec.opening
    assert data.state().learned["record_start"] == "X:"
    assert all(text.startswith("X:") or "songbook" in text for text in data.text("train"))
    (whole,) = {Dataset.open(tmp_path, size=SIZE, settings={"layout": "document"}).scan.items}
    assert whole == 4
