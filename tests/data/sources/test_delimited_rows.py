"""Ends of rows: those of the `csv` module where quotes quote, and of lines where they do not."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from anew.data.sources.delimited_rows import DelimitedFile, RowEnds, StrayQuotes

PLAIN = st.text(st.sampled_from("ab é"), min_size=1, max_size=9)
# What stands in a cell as it is read, and how it is written: quoted, or with quotes that are letters
QUOTED = PLAIN.map(lambda text: (f'a{text}\n,"', f'"a{text}\n,"""'))
INNER = PLAIN.map(lambda text: (f'a{text}"b', f'a{text}"b'))
OPEN = PLAIN.map(lambda text: (f'"a{text}', f'"a{text}'))
BOTH = PLAIN.map(lambda text: (f'"a{text}"b', f'"a{text}"b'))
CELLS = st.one_of(PLAIN.map(lambda text: (text, text)), QUOTED, INNER, OPEN, BOTH)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(CELLS, CELLS), min_size=1, max_size=12), st.integers(1, 60))
def test_rows_are_whole_and_stray_quotes_letters_wherever_reading_stops(
    rows: list[tuple[tuple[str, str], tuple[str, str]]], span: int
) -> None:
    data = "".join(f"{a[1]},{b[1]}\n" for a, b in rows).encode()
    ends, quotes, position, parsed_rows = RowEnds(","), StrayQuotes(","), 0, []
    for stop in range(span, len(data) + span, span):
        if position < stop:
            block, is_whole = ends.read(io.BytesIO(data), position, min(stop, len(data)))
            assert is_whole
            position += len(block)
            parsed_rows += list(csv.reader(io.StringIO(quotes.quoted(block.decode()), newline="")))
    assert position == len(data) and parsed_rows == [[a[0], b[0]] for a, b in rows]


@pytest.mark.parametrize(
    "text", ['"a, b" ,c\r\n', '"a""b",""\n', "a,b\n", '"",""""\n', '"two\r\nlines",x\r\n', 'a,"end"', 'x"y,"z"\n']
)
def test_text_without_stray_quotes_stays_as_it_is(text: str) -> None:
    assert StrayQuotes(",").quoted(text) == text
    assert RowEnds(",").read(io.BytesIO(text.encode()), 0, 1) == (text.encode(), True)


def test_columns_of_one_name_are_told_apart(tmp_path: Path) -> None:
    file = tmp_path / "rows.csv"
    file.write_text("text,text,text_2,text\n" + "".join(f"a{i},b{i},c{i},d{i}\n" for i in range(9)))
    rows = DelimitedFile(file, file.stat().st_size)
    assert rows.columns == ["text", "text_2", "text_2_2", "text_3"]
    assert [list(row.values()) for row in rows.head[:1] if isinstance(row, dict)] == [["a0", "b0", "c0", "d0"]]
