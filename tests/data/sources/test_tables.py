"""Tables: columns chosen by name, rows whole whatever they hold, pictures in cells, metadata beside files."""

from __future__ import annotations

import codecs
import csv
import io
import json
import os
import sys
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.languages import OLD_ENCODINGS, RUSSIAN

from anew.data import limits
from anew.data.dataset import Dataset
from anew.data.formats.by_range import Range
from anew.data.sources import delimited_rows
from anew.data.sources.columns import ColumnChoice, Columns, TableLocation, choose, data_in_header, image_bytes
from anew.data.sources.listing import File
from anew.data.sources.selected_data import detect_modality
from anew.data.sources.tables import TableReader, metadata, names_files, open_reader
from anew.data.types import DataBudget, Item, SkippedItem
from anew.errors import ConfigError, DataError, shorten

TEXTS = [
    "first",
    'with "quotes"',
    "two\nlines",
    "semi; colon, comma\ttab",
    "Zürich 日本",
    "\u2028separator",
    " spaces ",
]


FUZZED = Path(__file__).parents[2] / "fuzz" / "corpus"


def csv_of(rows: list[list[Any]], delimiter: str = ",") -> bytes:
    out = io.StringIO(newline="")
    csv.writer(out, delimiter=delimiter).writerows(rows)
    return out.getvalue().encode()


def reader(folder: Path, files: dict[str, bytes], choice: ColumnChoice | None = None) -> TableReader:
    for name, data in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    return open_reader([File(name, (folder / name).stat().st_size, 1) for name in files], folder, {}, choice)


def everything(opened: TableReader, modality: str = "text") -> list[Item | SkippedItem]:
    return [records for shard in opened.shards(modality) for records in opened.read(shard)]


def texts(opened: TableReader) -> list[Any]:
    return [item.data for item in everything(opened)]  # type: ignore[union-attr]


def parquet_of(path: Path, columns: dict[str, Any], **options: Any) -> bytes:
    table = pytest.importorskip("pyarrow").table(columns)
    metadata = options.pop("metadata", None)
    parquet = pytest.importorskip("pyarrow.parquet")
    parquet.write_table(table.replace_schema_metadata(metadata) if metadata else table, path, **options)
    return path.read_bytes()


def test_csv_tsv_and_jsonl(tmp_path: Path) -> None:
    lines = "\n".join(json.dumps({"id": i, "text": t}, ensure_ascii=False) for i, t in enumerate(TEXTS))
    for name, data in (
        ("a.csv", csv_of([["id", "Text"], *enumerate(TEXTS)])),  # type: ignore[list-item]
        ("a.tsv", csv_of([["id", "text"], *enumerate(TEXTS)], "\t")),  # type: ignore[list-item]
        ("semicolons.csv", csv_of([["id", "text"], *enumerate(TEXTS)], ";")),  # type: ignore[list-item]
        ("bom.csv", b"\xef\xbb\xbf" + csv_of([["text", "id"], *[[t, 1] for t in TEXTS]])),
        ("a.jsonl", lines.encode()),
        ("a.ndjson", lines.encode() + b"\n"),
    ):
        opened = reader(tmp_path, {name: data})
        assert texts(opened) == TEXTS
        assert opened.counts == {"text": len(TEXTS)}
        assert opened.labels == ()
        assert "as text" in opened.notes[0]


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(st.text(st.sampled_from('ab"\n\r,;é '), min_size=1, max_size=30), min_size=1, max_size=40),
    st.integers(5, 80),
    st.booleans(),
)
def test_rows_are_whole_wherever_spans_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rows: list[str], span: int, as_csv: bool
) -> None:
    data = csv_of([["text", "n"], *[[t, 1] for t in rows]]) if as_csv else b"".join(
        json.dumps({"text": t}, ensure_ascii=False).encode() + b"\n" for t in rows
    )  # fmt: skip
    path = tmp_path / ("t.csv" if as_csv else "t.jsonl")
    path.write_bytes(data)
    table = delimited_rows.DelimitedFile(path, len(data))
    with monkeypatch.context() as patch:
        patch.setattr(delimited_rows, "SHARD_BYTES", span)
        records = [row for item in table.spans() for row in table.read(item)]
    assert not [row for row in records if isinstance(row, delimited_rows.InvalidRow)]
    assert [row["text"] for row in records] == rows  # type: ignore[index]


def test_a_first_row_longer_than_a_block(tmp_path: Path) -> None:
    rows = ["x" * (2 * delimited_rows.SHARD_BYTES), "short"]
    assert (
        texts(reader(tmp_path, {"a.jsonl": b"".join(json.dumps({"text": t}).encode() + b"\n" for t in rows)})) == rows
    )
    assert texts(reader(tmp_path, {"a.csv": csv_of([["text", "n"], *[[t, 1] for t in rows]])})) == rows


def test_many_blocks_and_a_fair_estimate(tmp_path: Path) -> None:
    rows = [["text", "label"], *[[f"record {i} " + "x" * 90 + "\ny", i % 3] for i in range(12_000)]]
    opened = reader(tmp_path, {"train.csv": csv_of(rows)})
    shards = opened.shards("text")
    assert len(shards) > 1
    assert {shard.part for shard in shards} == {"train"}
    assert len({shard.name for shard in shards}) == len(shards)
    assert sum(shard.items for shard in shards) == pytest.approx(12_000, rel=0.05)
    items = everything(opened)
    assert len(items) == 12_000
    assert len({item.name for item in items}) == 12_000
    assert opened.labels is None  # only reading tells
    assert {item.label for item in items} == {"0", "1", "2"}  # type: ignore[union-attr]


def test_small_tables_know_their_classes(tmp_path: Path) -> None:
    opened = reader(tmp_path, {"a.csv": b"text,label\nx,dog\ny,cat\nz,\n"})
    assert "'text' as text, 'label' as class" in opened.notes[0]
    assert opened.labels == ("cat", "dog")
    assert [item.label for item in everything(opened)] == ["dog", "cat", None]  # type: ignore[union-attr]


def test_damaged_rows_are_named_and_the_rest_read(tmp_path: Path) -> None:
    opened = reader(
        tmp_path, {"a.csv": b"text,n\ngood,1\nbad\nfine,2\n", "b.jsonl": b'{"text":"a"}\n{oops\n[1]\n{"text":""}\n'}
    )
    records = everything(opened)
    assert [item.data for item in records if isinstance(item, Item)] == ["good", "fine", "a"]
    reasons = {result.name: result.reason for result in records if isinstance(result, SkippedItem)}
    assert reasons == {
        "a.csv#2": "the row has 1 cell for 2 columns",
        "b.jsonl#2": "the line is not valid JSON",
        "b.jsonl#3": "the line is not a JSON object",
        "b.jsonl#4": "column 'text' is empty",
    }
    assert {result.group for result in records if isinstance(result, SkippedItem)} == {"a.csv", "b.jsonl"}


def test_old_encodings_are_read(tmp_path: Path) -> None:
    assert texts(reader(tmp_path, {"a.csv": "text,n\nZürich,1\n".encode("cp1252")})) == ["Zürich"]


UTF16 = (("utf-16-le", codecs.BOM_UTF16_LE), ("utf-16-be", codecs.BOM_UTF16_BE))


@pytest.mark.parametrize(("encoding", "mark"), [*UTF16, ("utf-8", codecs.BOM_UTF8)])
@pytest.mark.parametrize("delimiter", [";", "\t", ","])
def test_tables_of_spreadsheets(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, encoding: str, mark: bytes, delimiter: str
) -> None:
    monkeypatch.setattr(delimited_rows, "SHARD_BYTES", 100)  # several spans
    rows = [f"Zürich, {i}\nund 東京 {'x' * (i % 90)}" for i in range(60)]
    text = f"text{delimiter}n\r\n" + "".join(f'"{row}"{delimiter}"{i},5"\r\n' for i, row in enumerate(rows))
    opened = reader(tmp_path, {"a.csv": mark + text.encode(encoding)})
    assert texts(opened) == rows
    shards = opened.shards("text")
    assert len(shards) > 10 and sum(shard.items for shard in shards) >= 60
    whole = Range(tmp_path / "a.csv")
    assert all(opened.ranges(shard) == [whole] for shard in shards) or encoding == "utf-8"


def test_a_large_table_in_utf16_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(delimited_rows, "MAX_UTF16_BYTES", 20)
    refusal = reader(tmp_path, {"a.csv": "text\na long line\n".encode("utf-16")}).refusals[0].reason
    assert refusal == "it is a table in UTF-16 of more than 20 bytes; save it as UTF-8"


def test_names_of_columns_may_hold_other_delimiters(tmp_path: Path) -> None:
    rows = "".join(f"{i};{i},5;Zürich;Bern\n" for i in range(30))
    opened = reader(tmp_path, {"a.csv": f"id;price, net, EUR, each;text;from\n{rows}".encode()})
    assert texts(opened) == ["Zürich"] * 30


@pytest.mark.parametrize(("text", "encoding"), OLD_ENCODINGS)
def test_tables_in_any_encoding(tmp_path: Path, text: str, encoding: str) -> None:
    rows = [line for line in text.splitlines() if line.isprintable()]
    quoted = "text|n\n" + "".join(f'"{row}\n{row}"|1\n' for row in rows)
    opened = reader(tmp_path, {"a.csv": quoted.encode(encoding)})
    assert texts(opened) == [f"{row}\n{row}" for row in rows]
    assert "1 file is not UTF-8; read as" in opened.notes[-1] and "a.csv" in opened.notes[-1]


def test_spans_of_a_table_have_its_encoding(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(delimited_rows, "SHARD_BYTES", 1000)
    monkeypatch.setattr("anew.data.sources.tables.SHARD_BYTES", 1000, raising=False)
    rows = [f"{number} {line}" for number in range(50) for line in RUSSIAN.splitlines()]
    opened = reader(tmp_path, {"a.tsv": ("text\tn\n" + "".join(f"{row}\t1\n" for row in rows)).encode("cp866")})
    assert len(opened.shards("text")) > 10 and texts(opened) == rows


def test_the_encoding_of_tables_can_be_given(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes("text,n\nЧай,1\n".encode("koi8-r"))
    files = [File("a.csv", (tmp_path / "a.csv").stat().st_size, 1)]
    opened = open_reader(files, tmp_path, {}, ColumnChoice.of({"text.encoding": "koi8-r"}))
    assert texts(opened) == ["Чай"]
    assert opened.notes[-1] == "1 file is not UTF-8; read as KOI8-R, as asked: a.csv."
    opened = open_reader(files, tmp_path, {}, ColumnChoice.of({"encoding": "euc-jp"}))
    assert "is not EUC-JP" in opened.refusals[0].reason
    with pytest.raises(ConfigError, match="encoding='koi8-rr' is not allowed; did you mean 'koi8-r'"):
        ColumnChoice.of({"encoding": "koi8-rr"})


@pytest.mark.parametrize("data", [b"", b"\n\n", b"text,n\n", b"\x00\xff\x00\xff" * 50])
def test_empty_tables(tmp_path: Path, data: bytes) -> None:
    opened = reader(tmp_path, {"a.csv": data})
    assert opened.counts.get("text", 0) == 0
    assert len(opened.refusals) == 1


def test_no_column_to_take_says_what_there_is(tmp_path: Path) -> None:
    opened = reader(tmp_path, {"a.csv": b"name,street,n\nx,y,1\n"})
    assert opened.counts == {".csv": 1}
    assert "columns: name, street, n" in opened.refusals[0].reason


def test_the_only_column_of_strings_is_text() -> None:
    assert choose(["smiles", "weight"], {"smiles": "CCO", "weight": 46.1}).text == "smiles"
    assert choose(["a", "b"], {"a": "x", "b": "y"}).text is None
    columns = choose(["image", "text", "label"], {"image": b"x", "text": "caption", "label": 1})
    assert (columns.image, columns.text, columns.label) == ("image", "text", "label")


COMMENTS = [f"the {word} river was wide {i}" for i, word in enumerate(["old", "new", "deep"] * 100)]


@pytest.mark.parametrize(
    ("name", "cells"),
    [
        ("number", [f"{i},5 €" for i in range(300)]), ("date", [f"{i % 28 + 1:02}.12.2025" for i in range(300)]),
        ("uuid", [f"{i * 7919:016x}" for i in range(300)]), ("user", [f"user_{i}" for i in range(300)]),
        ("place", ["NEAR BAY", "INLAND", ""] * 100), ("player", [f"{['ohara', 'ty'][i % 2]}{i % 40:02}" for i in range(300)]),
    ],
)  # fmt: skip
def test_the_only_column_that_holds_text_is_taken_and_said(tmp_path: Path, name: str, cells: list[str]) -> None:
    pairs = zip(cells, COMMENTS, strict=True)
    opened = reader(tmp_path, {"a.csv": csv_of([[name, "comment"], *map(list, pairs)])})
    assert texts(opened) == COMMENTS
    assert opened.notes == ["a.csv: column 'comment' as text; no other holds text (layout=list learns whole rows)."]
    rows = [[name, "n"], *([cell, i] for i, cell in enumerate(cells))]
    (refusal,) = reader(tmp_path, {"b.csv": csv_of(rows)}).refusals
    assert "not learned as tables; learn whole rows with the setting layout=list" in refusal.reason


def test_columns_of_few_values_are_offered_as_classes(tmp_path: Path) -> None:
    countries = [("DE", "US", "US", "FR")[i % 4] for i in range(300)]
    rows = zip(
        countries, COMMENTS, ["yes" if i % 3 else "no" for i in range(300)], [i % 5 for i in range(300)], strict=True
    )
    table = csv_of([["country", "comment", "public", "stars"], *map(list, rows)])
    (note,) = reader(tmp_path, {"a.csv": table}, ColumnChoice.of({"text_column": "comment"})).notes
    assert note.endswith(
        "as text. 'country' holds few values, such as 'US', 'DE' and 'FR': label_column=country learns them as classes; "
        "'public' could be classes, too."
    )
    chosen = ColumnChoice.of({"text_column": "comment", "label_column": "country"})
    assert reader(tmp_path, {"a.csv": table}, chosen).notes == ["a.csv: column 'comment' as text, 'country' as class."]
    cells = {"country": countries, "text": COMMENTS}
    (note,) = reader(tmp_path, {"b.parquet": parquet_of(tmp_path / "b.parquet", cells)}).notes
    assert "label_column=country learns them as classes" in note


def test_rows_of_a_table_without_text_are_a_list_if_it_is_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = [f'{i % 28 + 1:02}.12.1999;{i};"{i % 3}:{i % 5}"' for i in range(300)]
    table = "\n".join(["date;id;score", *rows])
    choice = ColumnChoice.of({"layout": "list"})
    monkeypatch.setattr(delimited_rows, "SHARD_BYTES", 1000)
    opened = reader(tmp_path, {"a.csv": f'{table}\r\n"two\nlines";1;2\n\n'.encode()}, choice)
    *items, refusal = everything(opened)
    assert [item.data for item in items if isinstance(item, Item)] == rows
    assert isinstance(refusal, SkippedItem) and "several lines" in refusal.reason
    assert opened.notes == ["a.csv: whole rows as they are, without the first one, which names the columns."]
    labelled = reader(tmp_path, {"a.csv": table.encode()}, ColumnChoice.of({"layout": "list", "label_column": "score"}))
    assert labelled.notes[0].endswith("which names the columns; 'score' is a part of each row, not a class.")
    with_first = reader(tmp_path, {"b.csv": table.encode()}, ColumnChoice.of({"layout": "list", "header": False}))
    assert texts(with_first) == ["date;id;score", *rows]
    assert opened.field_names() == ("date", "id", "score") and with_first.field_names() == ()
    objects = [f'{{"date": "{i % 28 + 1:02}.12.1999", "id": {i}}}' for i in range(300)]
    assert texts(reader(tmp_path, {"c.jsonl": "\n".join(objects).encode()}, choice)) == objects
    for choice in (ColumnChoice.of({"layout": "list", "text_column": "id"}), ColumnChoice.of({"text.layout": "list"})):
        named = reader(
            tmp_path, {"d.csv": csv_of([["text", "id"], *([text, i] for i, text in enumerate(COMMENTS))])}, choice
        )
        assert texts(named)[1] == ("1" if choice.text else COMMENTS[1])


def test_parquet_columns_are_judged_by_their_first_rows(tmp_path: Path) -> None:
    cells = {"user": [f"user_{i}" for i in range(300)], "comment": COMMENTS}
    assert texts(reader(tmp_path, {"a.parquet": parquet_of(tmp_path / "a.parquet", cells)})) == COMMENTS
    both = parquet_of(
        tmp_path / "b.parquet", {"n": [*range(300)], "title": COMMENTS, "body": [2 * c for c in COMMENTS]}
    )
    (refusal,) = reader(tmp_path, {"b.parquet": both}).refusals
    assert "2 hold text" in refusal.reason and "(columns: body, title, n)" in refusal.reason


def test_columns_that_hold_text_are_listed_first(tmp_path: Path) -> None:
    rows = [["n", "title", "body"], *([i, f"title {i}", text] for i, text in enumerate(COMMENTS))]
    (refusal,) = reader(tmp_path, {"a.csv": csv_of(rows)}).refusals
    assert "2 hold text" in refusal.reason and "(columns: body, title, n)" in refusal.reason


def test_a_first_row_that_looks_like_data_is_said(tmp_path: Path) -> None:
    opened = reader(tmp_path, {"a.csv": csv_of([[i, text] for i, text in enumerate(COMMENTS)])})
    assert "its first row looks like data ('0')" in opened.notes[0] and texts(opened) == COMMENTS[1:]
    rows = [["country", "2019", "2020"], *([f"land {text}", i, i] for i, text in enumerate(COMMENTS))]
    assert len(reader(tmp_path, {"b.csv": csv_of(rows)}).notes) == 1


def test_a_table_without_names_is_read_from_its_first_row(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its first row was taken for names, and the only way out was another file."""
    table = csv_of([[i, text] for i, text in enumerate(COMMENTS)])
    for header in ("false", False):
        opened = reader(tmp_path, {"a.csv": table}, ColumnChoice.of({"header": header}))
        assert texts(opened) == COMMENTS and opened.columns == ["1", "2"]
        assert opened.notes == ["a.csv: column '2' as text; no other holds text (layout=list learns whole rows)."]
    two = csv_of([["Ann", text, text[::-1]] for text in COMMENTS])
    choice = ColumnChoice.of({"header": "no", "text_column": "3"})
    assert texts(reader(tmp_path, {"b.csv": two}, choice)) == [text[::-1] for text in COMMENTS]
    monkeypatch.setattr(delimited_rows, "SHARD_BYTES", 1000)  # rows of later spans are no headers either
    assert texts(reader(tmp_path, {"c.csv": table}, ColumnChoice(header=False))) == COMMENTS
    with pytest.raises(ConfigError, match="header"):
        ColumnChoice.of({"header": "maybe"})


def test_a_run_on_a_table_without_names_reads_it_so_again(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(QUOTES.partition("\n")[2])
    named = {"text_column": "2", "header": False}
    data = Dataset.open(tmp_path, settings=named, columns=ColumnChoice.of(named))
    data.fit(DataBudget(None, 0, 0))
    assert data.scan.items == 300
    again = Dataset.reopen(data.state(), tmp_path)
    assert again.fingerprint == data.fingerprint and again.text("train", 40) == data.text("train", 40)
    (tmp_path / "other.csv").write_text("x,the day\n" * 30)
    assert Dataset.open_like(data.state(), tmp_path, str(tmp_path / "other.csv")).text("all", 7) == ["the day"]


def test_a_sentence_above_sentences_is_said_to_look_like_data(tmp_path: Path) -> None:
    name = "Real-time strategy game of ancient warfare"
    cells = [f"{'Role-playing' if i % 2 else 'Strategy'} game about {text}" for i, text in enumerate(COMMENTS)]
    opened = reader(tmp_path, {"a.csv": csv_of([[name], *([cell] for cell in cells)])})
    assert f"its first row looks like data ({shorten(name)})" in opened.notes[0]


def test_names_of_columns_are_no_data() -> None:
    """Questions, names with units, and long names above numbers and short cells."""
    answers = [f"I think that it is a {text}, mostly" for text in COMMENTS]
    for header, cells in (
        ("What do you think of this place?", answers),
        ("value(mm)[x]", answers),
        ("the name of the town", [text.split()[0] for text in COMMENTS]),
        ("smiles", ["C1=CC=C(C=C1)C(=O)N"] * 20),
    ):
        assert data_in_header([header], [{header: cell} for cell in cells], Columns(), {}) is None
    rows: list[dict[str, object]] = [{"A long name that is a sentence": cell, "size": "12.5"} for cell in answers]
    assert data_in_header(list(rows[0]), rows, Columns(), {}) is None


def test_a_first_line_that_is_no_row_of_names_is_named(tmp_path: Path) -> None:
    rows = "".join(f"CC(=O)C=CC1=O,{i}.14\n" for i in range(20))
    refusal = reader(tmp_path, {"a.csv": f"# made by a program\n{rows}".encode()}).refusals[0].reason
    assert refusal.startswith("no row has as many cells as its first line, '# made by a program', which is taken for")


def made_molecules(count: int) -> list[str]:
    return ["C" * (i % 7 + 1) + f"(=O)N{'c1ccccc1' * (i % 3 + 1)}" for i in range(count)]


@pytest.mark.parametrize("suffix", [".csv", ".jsonl", ".parquet"])
def test_a_column_of_smiles_holds_molecules(tmp_path: Path, suffix: str) -> None:
    smiles = made_molecules(60)
    path = tmp_path / f"a{suffix}"
    if suffix == ".parquet":
        parquet_of(path, {"structure": smiles, "weight": list(range(60))})
    elif suffix == ".csv":
        path.write_bytes(csv_of([["structure", "weight"], *([text, i] for i, text in enumerate(smiles))]))
    else:
        path.write_text("".join(json.dumps({"structure": text, "weight": i}) + "\n" for i, text in enumerate(smiles)))
    data = Dataset.open(path)
    assert data.modality.name == "molecule" and data.scan.items == 60
    assert any(
        "column 'structure' as molecules (modality=text would take it as text)" in note for note in data.scan.notes
    )
    as_text = Dataset.open(path, modality="text")
    assert as_text.modality.name == "text" and not any("molecule" in note for note in as_text.scan.notes)


def test_among_other_columns_of_text_that_of_smiles_is_taken_by_its_name(tmp_path: Path) -> None:
    rows = [[f"{COMMENTS[i % len(COMMENTS)]} {i}", text] for i, text in enumerate(made_molecules(40))]
    (tmp_path / "a.csv").write_bytes(csv_of([["remark", "SMILES"], *rows]))
    assert Dataset.open(tmp_path / "a.csv").modality.name == "molecule"


def test_a_few_cells_are_molecules_for_who_asks_for_them(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(csv_of([["structure", "weight"], *([text, i] for i, text in enumerate(made_molecules(5)))]))
    assert detect_modality(str(path), None).modality == "text"
    assert detect_modality(str(path), "molecule", is_requested=False).modality == "molecule"
    chosen = detect_modality(str(path), "molecule", columns=ColumnChoice(text="structure"))
    assert chosen.modality == "molecule" and "(modality=" not in chosen.source.notes[0]


@pytest.mark.parametrize("settings", [{}, {"labels": "folder"}])
def test_a_column_of_sequences_holds_proteins(tmp_path: Path, settings: dict[str, object]) -> None:
    letters, rng = list("ACDEFGHIKLMNPQRSTVWY"), np.random.default_rng(0)
    rows = [["".join(rng.choice(letters, rng.integers(9, 40))), f" {i % 2}"] for i in range(60)]
    (tmp_path / "a.csv").write_bytes(csv_of([["sequence", "class"], *rows]))
    data = Dataset.open(tmp_path / "a.csv", settings=settings)
    assert data.modality.name == "protein" and data.scan.items == 60
    assert data.scan.labels == (("0", "1") if settings else ())
    assert any("labels=folder learns them" in note for note in data.scan.notes) == (not settings)
    assert Dataset.open(tmp_path / "a.csv", modality="text").modality.name == "text"


def test_a_molecule_in_the_place_of_names_is_said(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes(csv_of([[text, i] for i, text in enumerate(made_molecules(40))]))
    notes = Dataset.open(tmp_path / "a.csv").scan.notes
    assert any("its first row looks like data ('C(=O)Nc1ccccc1')" in note for note in notes)


def test_parquet_text_in_pieces(tmp_path: Path) -> None:
    rows = [f"record {i} " + "x" * 200 for i in range(9000)]
    data = {"text": rows, "vector": [[0.5]] * 9000}
    parquet_of(tmp_path / "a.parquet", data, row_group_size=4000)
    opened = reader(tmp_path, {"a.parquet": (tmp_path / "a.parquet").read_bytes()})
    shards = opened.shards("text")
    assert len(shards) >= 3
    assert opened.counts == {"text": 9000}
    assert texts(opened) == rows


def test_parquet_images_as_hugging_face_writes_them(tmp_path: Path) -> None:
    metadata = {
        "info": {"features": {"label": {"names": ["cat", "dog"], "_type": "ClassLabel"}, "image": {"_type": "Image"}}}
    }
    columns = {
        "image": [{"bytes": b"one", "path": "a.png"}, {"bytes": b"two", "path": None}, None],
        "label": [1, 0, -1],
    }
    parquet_of(tmp_path / "test-0.parquet", columns, metadata={"huggingface": json.dumps(metadata)})
    opened = reader(tmp_path, {"test-0.parquet": (tmp_path / "test-0.parquet").read_bytes()})
    assert opened.labels == ("cat", "dog")
    assert opened.counts == {"image": 3}
    assert opened.shards("image")[0].part == "test"
    first, second, third = everything(opened, "image")
    assert (first.data, first.label, second.data, second.label) == (b"one", "dog", b"two", "cat")  # type: ignore[union-attr]
    assert isinstance(third, SkippedItem)


def test_damaged_parquet_is_refused(tmp_path: Path) -> None:
    whole = parquet_of(
        tmp_path / "b.parquet", {"text": [f"record {i} {i * i}" for i in range(5000)]}, compression="none"
    )
    opened = reader(tmp_path, {"a.parquet": whole[: len(whole) // 2]})
    assert "damaged" in opened.refusals[0].reason
    altered = whole[:100] + bytes(2000) + whole[2100:]
    for records in everything(reader(tmp_path, {"c.parquet": altered})):
        assert isinstance(records, Item | SkippedItem)


def test_a_table_that_makes_pyarrow_abort_costs_one_file(tmp_path: Path) -> None:
    pytest.importorskip("pyarrow")
    damaged = (FUZZED / "parquet-text" / "b40d60026f0a321d.parquet").read_bytes()
    opened = reader(tmp_path, {"a.parquet": damaged, "b.csv": b"text\nfirst\nsecond\n"})
    assert [item.name for item in opened.refusals] == ["a.parquet"] and "SIGABRT" in opened.refusals[0].reason
    assert texts(opened) == ["first", "second"]


def test_parquet_of_more_rows_than_its_bytes_can_tell_apart_is_refused(tmp_path: Path) -> None:
    pa = pytest.importorskip("pyarrow")
    rows = 2 * limits.PARQUET.rows
    same = pa.DictionaryArray.from_arrays(pa.array(np.zeros(rows, np.int32)), pa.array(["ab cd"]))
    packed = parquet_of(tmp_path / "a.parquet", {"text": same}, compression="zstd")
    assert len(packed) < 100_000
    opened = reader(tmp_path, {"a.parquet": packed, "b.csv": b"text\nfirst\nsecond\n"})
    assert [item.name for item in opened.refusals] == ["a.parquet"]
    assert opened.refusals[0].reason.startswith("its 2,097,152 rows repeat the same few values")


def test_parquet_pieces_can_be_read_in_any_order(tmp_path: Path) -> None:
    cells = [f"record {i} " + "x" * 300 for i in range(9000)]
    opened = reader(tmp_path, {"a.parquet": parquet_of(tmp_path / "a.parquet", {"text": cells})})
    shards = opened.shards("text")
    by_shard = {shard.name: list(opened.read(shard)) for shard in reversed(shards)}
    assert [item.data for shard in shards for item in by_shard[shard.name] if isinstance(item, Item)] == cells


def test_parquet_without_pyarrow_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    monkeypatch.setitem(sys.modules, "pyarrow.parquet", None)
    with pytest.raises(
        DataError, match=r"'a\.parquet' needs the package pyarrow; install it with `pip install '\.\[tables\]'`"
    ):
        reader(tmp_path, {"a.parquet": b"PAR1"})


def test_image_paths_are_read_beside_the_table_and_nowhere_else(tmp_path: Path) -> None:
    (tmp_path / "secret.png").write_bytes(b"secret")
    home = tmp_path / "data"
    (home / "pictures").mkdir(parents=True)
    (home / "pictures" / "a.png").write_bytes(b"pixels")
    opened = reader(home, {"a.csv": b"image,label\npictures/a.png,cat\n../secret.png,dog\nmissing.png,cat\n"})
    good, outside, missing = everything(opened, "image")
    assert (good.data, good.label) == (b"pixels", "cat")  # type: ignore[union-attr]
    assert "outside" in outside.reason  # type: ignore[union-attr]
    assert "cannot be read" in missing.reason  # type: ignore[union-attr]


def test_metadata_gives_classes_by_file_name(tmp_path: Path) -> None:
    expected = {"a.png": "cat", "sub/b.png": "dog", "c.png": None}
    (tmp_path / "metadata.csv").write_bytes(b"file_name,label\na.png,cat\nsub\\b.png,dog\n./c.png,\n")
    lines = [{"file_name": "a.png", "label": "cat"}, {"file_name": "sub/b.png", "label": "dog"}, {"file_name": "c.png"}]
    (tmp_path / "metadata.jsonl").write_text("\n".join(map(json.dumps, lines)))
    parquet_of(tmp_path / "metadata.parquet", {"file_name": list(expected), "label": list(expected.values())})
    for suffix in ("csv", "jsonl", "parquet"):
        assert metadata(tmp_path / f"metadata.{suffix}") == expected
        assert names_files(tmp_path / f"metadata.{suffix}")
    (tmp_path / "other.csv").write_bytes(b"text,n\nx,1\n")
    assert metadata(tmp_path / "other.csv") == {}
    (tmp_path / "captions.csv").write_bytes(b"file_name,caption\na.png,words\n")
    assert metadata(tmp_path / "captions.csv") == {}  # the classes of folders stay
    assert not names_files(tmp_path / "other.csv")


def test_damaged_metadata_is_one_sentence(tmp_path: Path) -> None:
    pytest.importorskip("pyarrow")
    (tmp_path / "metadata.parquet").write_bytes(b"nothing of the kind")
    with pytest.raises(DataError, match=r"metadata\.parquet.*fix or remove it"):
        metadata(tmp_path / "metadata.parquet")


@pytest.mark.parametrize("stray", ['"open', '3.5" floppy', '"so" he said', '5"'])
@pytest.mark.parametrize("row_bytes", [4096, limits.ROW_BYTES])
def test_a_stray_quote_is_a_letter_and_loses_no_row(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stray: str, row_bytes: int
) -> None:
    """One of them lost half of a table of 78 MB, or made one cell of all rows after it."""
    monkeypatch.setattr(limits, "ROW_BYTES", row_bytes)
    monkeypatch.setattr(delimited_rows, "SHARD_BYTES", 512)
    cells = ["good", stray, *(f"more {i}" for i in range(1500)), 'a "quoted" one, of two\nlines', "last"]
    lines = [f"{cell},1\n" if cell != cells[-2] else '"a ""quoted"" one, of two\nlines",1\n' for cell in cells]
    csv_texts = texts(reader(tmp_path, {"a.csv": f"text,n\n{''.join(lines)}".encode()}))
    assert csv_texts == cells
    tabs = "".join(line.replace(",1\n", "\t1\n") for line in lines)
    assert texts(reader(tmp_path, {"a.tsv": f"text\tn\n{tabs}".encode()})) == csv_texts


def test_a_row_that_is_too_long_is_refused_and_the_others_are_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "ROW_BYTES", 4096)
    monkeypatch.setattr(delimited_rows, "SHARD_BYTES", 512)
    monkeypatch.setattr(delimited_rows, "SEARCHED_BYTES", 64)
    cells = [f"more {i}" for i in range(400)]
    data = "".join(f"{cell},1\n" for cell in [*cells[:200], "x" * 7000, *cells[200:]])
    records = everything(reader(tmp_path, {"a.csv": f"text,n\n{data}".encode()}))
    assert [item.data for item in records if isinstance(item, Item)] == cells
    assert [item.reason[:17] for item in records if isinstance(item, SkippedItem)] == ["a row is longer t"]


def test_dates_times_and_decimals_of_parquet_are_read_as_their_text(tmp_path: Path) -> None:
    """A file with a column of times could not be looked at: the worker that reads it may only answer with plain values."""
    pyarrow = pytest.importorskip("pyarrow")
    begin, n = datetime(2024, 2, 29, 12, 30, tzinfo=UTC), len(TEXTS)
    columns = {
        "when": [begin] * n,
        "nanoseconds": pyarrow.array([1_000_000_001] * n, type=pyarrow.timestamp("ns")),
        "long": pyarrow.array([1_500_000_001] * n, type=pyarrow.duration("ns")),
        "clock": pyarrow.array([1_001] * n, type=pyarrow.time64("ns")),
        "price": [Decimal("1.50")] * n,
        "both": [{"at": begin, "of": 1}] * n,
        "text": TEXTS,
    }
    opened = reader(tmp_path, {"a.parquet": parquet_of(tmp_path / "a.parquet", columns)})
    assert texts(opened) == TEXTS
    for label, value in (
        ("when", "2024-02-29 12:30:00+00:00"),
        ("nanoseconds", "1970-01-01 00:00:01"),
        ("long", "0:00:01.500000"),
        ("clock", "00:00:00.000001"),
        ("price", "1.50"),
    ):
        choice = ColumnChoice(text="text", label=label)
        items = everything(open_reader([File("a.parquet", 1000, 1)], tmp_path, {}, choice))
        assert {item.label for item in items if isinstance(item, Item)} == {value}


@pytest.mark.parametrize("arrow", [True, False])
def test_a_long_cell_in_every_row_is_refused_before_it_is_copied(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arrow: bool
) -> None:
    pyarrow, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    monkeypatch.setattr(limits, "PARQUET", replace(limits.PARQUET, least=1 << 16))
    cells: Any = pyarrow.DictionaryArray.from_arrays([0] * 4000, ["x y " * 50_000])
    parquet.write_table(pyarrow.table({"text": cells}), tmp_path / "a.parquet", store_schema=arrow)
    opened = reader(tmp_path, {"b.csv": b"text\nfirst\nsecond\n"})
    two_files = open_reader([File("a.parquet", 1000, 1), File("b.csv", 20, 1)], tmp_path, {})
    assert texts(opened) == texts(two_files) == ["first", "second"]
    assert "hold far more than the file says" in two_files.refusals[0].reason


def test_a_cell_that_is_too_long_is_refused_and_the_others_are_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "PARQUET", replace(limits.PARQUET, cell=1000, batch=3000))
    cells = [f"{i} " * (600 if i == 7 else 3) for i in range(20)]
    records = everything(reader(tmp_path, {"a.parquet": parquet_of(tmp_path / "a.parquet", {"text": cells})}))
    assert [item.data for item in records if isinstance(item, Item)] == cells[:7] + cells[8:]
    assert [item.reason for item in records if isinstance(item, SkippedItem)] == [
        "the row holds 1.17 KB; at most 1000 bytes"
    ]


def test_lists_are_not_read_and_many_columns_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = parquet_of(tmp_path / "a.parquet", {"text": ["one", "two"], "label": [[1] * 1000, [2]]})
    assert [item.label for item in everything(reader(tmp_path, {"a.parquet": data}))] == [None, None]  # type: ignore[union-attr]
    monkeypatch.setattr(limits, "PARQUET", replace(limits.PARQUET, columns=1))
    assert "more than 1 columns" in reader(tmp_path, {"a.parquet": data}).refusals[0].reason


def test_rows_have_bounds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wide = csv_of([[f"c{i}" for i in range(100_000)], ["x"] * 100_000])
    deep = b'{"text": "good"}\n' + b"[" * 100_000 + b"\n"
    opened = reader(tmp_path, {"wide.csv": wide, "deep.jsonl": deep, "nul.csv": b"text\na\x00b\nc\n"})
    assert "100,000 columns" in opened.refusals[0].reason
    records = everything(opened)
    assert [item.data for item in records if isinstance(item, Item)] == ["good", "a\x00b", "c"]
    assert [item.reason for item in records if isinstance(item, SkippedItem)] == ["the line is not valid JSON"]
    monkeypatch.setattr(limits, "ROW_BYTES", 4096)
    monkeypatch.setattr(delimited_rows, "SHARD_BYTES", 512)
    assert "longer than 4 KB" in reader(tmp_path, {"line.csv": b"\0" * 50_000}).refusals[0].reason


def test_pictures_are_regular_files_and_never_those_of_this_machine_for_a_hub(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "p.png")
    (tmp_path / "loop.png").symlink_to("loop.png")
    (tmp_path / "good.png").write_bytes(b"picture")
    place = TableLocation(tmp_path, tmp_path)
    assert image_bytes("good.png", place) == image_bytes(b"picture", None) == b"picture"
    for cell, where, reason in [
        ("p.png", place, "'p.png': it is not a regular file"),
        ("loop.png", place, "'loop.png'"),
        ("a\0.png", place, "null"),
        ("x" * 5000 + ".png", place, "cannot be read"),
        ("good.png", None, "names a file"),
        ({"path": str(tmp_path / "good.png"), "bytes": None}, None, "names a file"),
    ]:
        with pytest.raises(ValueError, match=reason) as refusal:
            image_bytes(cell, where)
        assert len(str(refusal.value)) < 200


QUOTES = "author,quote,year\n" + "".join(
    f"author {i % 40},the river was wide and the day was long {i},{1900 + i}\n" for i in range(300)
)


def test_the_suggested_column_has_most_letters_not_longest_cells(tmp_path: Path) -> None:
    names = ["Jörg E.", "Käthe A.", "Clara", "Änne K."]
    rows = "".join(
        f"{names[i % 4]}{i};Bundesrepublik {chr(65 + i % 20)};{i % 28 + 1:02}.12.2025;{i},50\n" for i in range(300)
    )
    (tmp_path / "a.csv").write_text("Kunde;Land;Datum;Betrag\n" + rows)
    with pytest.raises(DataError, match=r"as in text_column=Kunde, or learn whole rows with the setting layout=list"):
        Dataset.open(tmp_path)
    (tmp_path / "a.csv").rename(tmp_path / "a.txt")
    data = Dataset.open(tmp_path)
    assert data.scan.modality == "text" and data.scan.items == 301


def test_a_column_is_chosen_by_a_setting_and_kept_in_the_run(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(QUOTES)
    with pytest.raises(DataError, match=r"choose one with the setting text_column, as in text_column=quote"):
        Dataset.open(tmp_path)
    named = {"text_column": "quote"}
    data = Dataset.open(tmp_path, settings=named, columns=ColumnChoice.of(named))
    assert data.scan.modality == "text" and "column 'quote' as text" in " ".join(data.scan.notes)
    data.fit(DataBudget(None, 0, 0))
    assert data.text("train", 40)[0].startswith("the river was wide")
    again = Dataset.reopen(data.state(), tmp_path)
    assert again.fingerprint == data.fingerprint and again.text("train", 40) == data.text("train", 40)
    (tmp_path / "other.csv").write_text("quote,text\n" + "the day,not this\n" * 30)
    assert Dataset.open_like(data.state(), tmp_path, str(tmp_path / "other.csv")).text("all", 7) == ["the day"]
    (tmp_path / "third.jsonl").write_text('{"text": "the wide day"}\n' * 30)
    like = Dataset.open_like(data.state(), tmp_path, str(tmp_path / "third.jsonl"))
    assert like.text("all", 12) == ["the wide day"]  # another table need not have the column


@pytest.mark.parametrize(
    ("choice", "message"),
    [
        ({"text_column": "quot"}, r"'.*a\.csv' has no column 'quot'; did you mean 'quote'\? \(its columns: 'author', 'quote', 'year'\)"),
        ({"text.text_column": "zzz"}, r"has no column 'zzz'; allowed: author, quote, year"),
        ({"text_column": "quote", "label_column": "writer"}, "has no column 'writer'"),
    ],
)  # fmt: skip
def test_a_column_that_is_not_there_is_named_with_those_that_are(
    tmp_path: Path, choice: dict[str, str], message: str
) -> None:
    (tmp_path / "a.csv").write_text(QUOTES)
    with pytest.raises(DataError, match=message):
        Dataset.open(tmp_path / "a.csv", columns=ColumnChoice.of(choice))


def test_a_column_without_a_name_is_listed_as_one(tmp_path: Path) -> None:
    """As that of the numbers of rows, which R writes."""
    (tmp_path / "a.csv").write_text('"","x"\n' + "".join(f'"{i}",{i / 7}\n' for i in range(300)))
    with pytest.raises(DataError, match=r'\(columns: "", x\)'):
        Dataset.open(tmp_path / "a.csv")
    with pytest.raises(DataError, match=r"has no column 'salary'; allowed: x$"):
        Dataset.open(tmp_path / "a.csv", columns=ColumnChoice(text="salary", needed=("text",)))


def test_a_column_of_what_is_no_table_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("words\n" * 100)
    with pytest.raises(DataError, match=r"text_column is for tables, and .* holds none that can be read; leave it out"):
        Dataset.open(tmp_path, columns=ColumnChoice(text="quote"))


def test_named_columns_take_the_place_of_known_names() -> None:
    columns, samples = (
        ["text", "quote", "image", "label", "kind"],
        {"text": "a", "quote": "b", "image": b"x", "label": 1},
    )
    assert choose(columns, samples, choice=ColumnChoice(text="quote")) == Columns("quote", None, "label")
    assert choose(columns, samples, choice=ColumnChoice(text="label")) == Columns("label", None, None)
    assert choose(columns, samples, choice=ColumnChoice(label="kind")) == Columns("text", "image", "kind")
    assert choose(columns, samples, choice=ColumnChoice(image="image")) == Columns(None, "image", "label")
    assert choose(columns, samples, choice=ColumnChoice(text="absent")) == choose(columns, samples)
