"""The likelihood of each record: of files, of FASTA with its headers, of documents; as JSON and as CSV."""

from __future__ import annotations

import csv
import io
import itertools
import json
import math
from pathlib import Path
from typing import Any

import pytest

import anew
from anew.sampling.scores import ItemScore, Scores, by_file
from samples import TINY, names, prose, sequences, shapes, trained

FEW = {"evaluate_samples": 1, "previews": 0}


@pytest.fixture(scope="module")
def proteins(tmp_path_factory: pytest.TempPathFactory) -> anew.Model:
    folder = tmp_path_factory.mktemp("proteins")
    return trained(sequences(folder / "some.fasta"), folder / "run", steps=5, settings={**FEW, **TINY})


@pytest.fixture(scope="module")
def text(tmp_path_factory: pytest.TempPathFactory) -> anew.Model:
    folder = tmp_path_factory.mktemp("text")
    return trained(prose(folder / "book.txt", 1000), folder / "run", steps=5, settings={**FEW, **TINY})


def test_each_sequence_has_its_header_and_the_score_that_it_has_alone(proteins: anew.Model, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.fasta").write_text(
        ">wild type\nMKVLAAGG\n>v:1#2 brighter\nMKVLAAGGMKVLAAGGMKVL\n>bad\n12?4\n>\nMKV\n"
    )
    (tmp_path / "in" / "b.fa").write_text(">other\nMKVLAAGG\n")
    scores = proteins.score(tmp_path / "in", per_item=True)
    places = [(item.file, item.record, item.name) for item in scores.items]
    assert places == [("a.fasta", 1, "wild"), ("a.fasta", 2, "v:1#2"), ("a.fasta", 4, ""), ("b.fa", 1, "other")]
    assert [item.tokens for item in scores.items] == [9, 21, 4, 9]
    assert scores.skipped == 1 and scores.tokens == 43 and scores.units == 43
    for item, sequence in zip(scores.items, ["MKVLAAGG", "MKVLAAGGMKVLAAGGMKVL", "MKV", "MKVLAAGG"], strict=True):
        assert item.bits == pytest.approx(proteins.score([sequence]).bits, rel=1e-4)
        assert item.log_likelihood == pytest.approx(-item.bits * math.log(2))
    assert [(file.file, file.records) for file in scores.files] == [("a.fasta", 3), ("b.fa", 1)]
    assert sum(file.bits for file in scores.files) == pytest.approx(scores.bits)
    totals = proteins.score(tmp_path / "in")
    assert totals.items == () and totals.files == scores.files and totals.bits == scores.bits


def test_rows_are_csv_and_json(proteins: anew.Model, tmp_path: Path) -> None:
    (tmp_path / "a.fasta").write_text(">one,two\nMKVLAAGG\n>three\nMKVL\n")
    scores = anew.score(proteins.folder.path, tmp_path / "a.fasta", per_item=True)
    rows = list(csv.DictReader(io.StringIO(scores.to_csv())))
    assert [row["name"] for row in rows] == ["one,two", "three"]
    assert list(rows[0]) == ["file", "record", "name", "tokens", "residues", "log_likelihood", "bits", "bits_per_token",
                             "bits_per_residue", "in_training"]  # fmt: skip
    assert float(rows[1]["log_likelihood"]) == pytest.approx(scores.items[1].log_likelihood, rel=1e-9)
    figures = json.loads(json.dumps(scores.to_json()))
    assert figures["items"][0]["name"] == "one,two" and figures["log_likelihood"] == pytest.approx(
        scores.log_likelihood
    )
    saved = scores.save(tmp_path / "new" / "scores.csv")
    assert saved.read_text() == scores.to_csv()
    with pytest.raises(anew.ConfigError, match="exists"):
        scores.save(saved)
    with pytest.raises(anew.ConfigError, match=r"must end in \.csv"):
        scores.save(tmp_path / "scores.txt")
    with pytest.raises(anew.ConfigError, match="`per_item`"):
        proteins.score(tmp_path / "a.fasta").to_csv()


def test_counts_are_whole_in_the_table() -> None:
    items = (ItemScore(4_512_345.678, 3_226_614.0, 1_234_567),)
    scores = Scores("character", 4_512_345.678, 3_226_614.0, {}, "exact", items, tokens=1_234_567)
    (row,) = csv.DictReader(io.StringIO(scores.to_csv()))
    assert row["characters"] == "3226614" and row["tokens"] == "1234567" and row["bits"] == "4512345.678"


def test_names_are_no_formulas_of_a_spreadsheet() -> None:
    names = ["=HYPERLINK(1)", "+1", "-1", "@x", "\t=1", "a=1", ""]
    items = tuple(ItemScore(1.0, 2.0, 3, "=f", 1, name) for name in names)
    scores = Scores("residue", 7.0, 14.0, {}, "exact", items, tokens=21)
    rows = list(csv.DictReader(io.StringIO(scores.to_csv())))
    assert [row["name"] for row in rows] == ["'=HYPERLINK(1)", "'+1", "'-1", "'@x", "'\t=1", "a=1", ""]
    assert all(row["file"] == "'=f" and float(row["log_likelihood"]) < 0 for row in rows)


def test_documents_begin_anew(text: anew.Model, tmp_path: Path) -> None:
    for number in range(3):
        prose(tmp_path / "in" / f"{number}.txt", 30, seed=number + 5)
    scores = text.score(tmp_path / "in", per_item=True)
    assert [item.file for item in scores.items] == ["0.txt", "1.txt", "2.txt"]
    for item in scores.items:
        alone = text.score(tmp_path / "in" / item.file)
        assert item.bits == pytest.approx(alone.bits, rel=1e-4)
        assert item.units == len((tmp_path / "in" / item.file).read_text())


def test_settings_say_which_column_is_scored(text: anew.Model, tmp_path: Path) -> None:
    table = tmp_path / "table.csv"
    table.write_text("author,quote\nsomeone,the river\nnobody,a river\n")
    scores = anew.score(text.folder.path, table, settings={"text_column": "quote"}, per_item=True)
    assert [item.units for item in scores.items] == [9, 7]
    with pytest.raises(
        anew.ConfigError,
        match="'layout' cannot be set for texts that are only read; only text_column, label_column, encoding or",
    ):
        text.score(table, settings={"layout": "list"})
    with pytest.raises(anew.ConfigError, match="leave them out for items"):
        text.score(["the river"], settings={"encoding": "koi8-r"})


def test_many_records_of_many_lengths_and_the_progress(tmp_path: Path) -> None:
    model = trained(names(tmp_path / "names.txt"), tmp_path / "run", steps=5, settings={**FEW, **TINY})
    reports: list[tuple[str, int, int]] = []

    class Shower:
        def message(self, text: str) -> None: ...
        def step(self, result: Any, seconds_left: float | None) -> None: ...
        def progress(self, task: str, count: int, total: int) -> None:
            reports.append((task, count, total))

    other = names(tmp_path / "other.txt", 3000, seed=9)
    other.write_text("\n" + other.read_text().replace("\n", "\n\n", 1))
    scores = model.score(other, per_item=True, reporter=Shower())
    lines = other.read_text().split()
    assert [item.record for item in scores.items] == [2, *range(4, len(lines) + 3)]  # the lines of the file
    assert [item.units for item in scores.items] == [len(line) + 1 for line in lines]
    assert reports[-1] == ("scoring tokens", reports[-1][2], reports[-1][2]) and len(reports) > 1
    assert all(before[1] <= after[1] for before, after in itertools.pairwise(reports))


def test_bounds_of_pictures_have_no_tokens(tmp_path: Path) -> None:
    settings = {**FEW, "width": 8, "batch_size": 16}
    model = trained(shapes(tmp_path / "in"), tmp_path / "run", steps=4, family="vae", settings=settings)
    scores = model.score(shapes(tmp_path / "other", 40), per_item=True)
    assert scores.bound == "an upper bound" and len(scores.items) == 40
    # Records of one file have numbers; a column of names was there, and empty
    assert scores.to_csv().startswith("file,record,dimensions,log_likelihood,bits,bits_per_dimension\n")
    assert scores.items[0].file.endswith(".png")


def test_a_part_of_the_data_has_tokens_and_no_files(text: anew.Model, tmp_path: Path) -> None:
    scores = text.score(prose(tmp_path / "a.txt", 300), limit=500)
    assert scores.tokens == scores.units and not scores.files  # its tokens are characters


def test_wrong_arguments(text: anew.Model, tmp_path: Path) -> None:
    other = prose(tmp_path / "a.txt", 30)
    with pytest.raises(anew.ConfigError, match="`per_item` must be True or False"):
        text.score(other, per_item="yes")  # type: ignore[arg-type]
    with pytest.raises(anew.ConfigError, match="leave one of them out"):
        text.score(other, per_item=True, limit=100)
    with pytest.raises(anew.ConfigError, match="`reporter` must have"):
        text.score(other, reporter=5)  # type: ignore[arg-type]


def test_files_are_in_natural_order() -> None:
    items = [ItemScore(1.0, 2.0, 3, file) for file in ("b/10.txt", "b/2.txt", "a.txt", "b/2.txt", "b/2b.txt")]
    scored = by_file(items)
    assert [(file.file, file.records) for file in scored] == [
        ("a.txt", 1),
        ("b/2.txt", 2),
        ("b/2b.txt", 1),
        ("b/10.txt", 1),
    ]


def test_what_their_repr_says() -> None:
    items = tuple(ItemScore(bits=2.0 * i, units=i, record=i) for i in range(1, 8))
    scores = Scores("character", 56.0, 28, {}, "exact", items, notes=("1 record is <empty>",))
    first, *rows = repr(scores).split("\n")
    assert first == "Scores(2 bits per character, exact, 28 characters, 7 records)"
    assert rows == [*(f"  {i}  2" for i in range(1, 6)), "  ...", "  1 record is <empty>"]
    assert "<td>7<td>2" in scores._repr_html_() and "&lt;empty&gt;" in scores._repr_html_()
