"""Lists or documents, records and streams."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from anew.data.dataset import Dataset
from anew.data.formats.text.line_records import (
    describe_documents,
    header_of,
    passage_break,
    records,
    why_document,
    why_documents,
    why_list,
)
from anew.data.formats.text.tokenizer import choose_tokens
from anew.data.modalities import text as text_modality
from anew.data.modalities.text import Text, TextConfig
from anew.data.sources.columns import ColumnChoice
from anew.data.types import DataBudget, Item
from anew.errors import ConfigError, DataError

SIZE = DataBudget(60.0, 1, 1)
PROSE = "It was a bright cold day in April, and the clocks were\nstriking thirteen. Winston Smith, his chin\n\n" * 60


def names(n: int = 400) -> str:
    return "".join(
        f"{a}{b}{i % 7}\n"
        for i, (a, b) in enumerate((a, b) for a in "abcdefghijklmnopqrst" for b in "aeiouxyzlm" * 2)
        if i < n
    )


def test_what_is_a_list() -> None:
    assert why_document(names()) is None
    assert why_document("CC(=O)Nc1ccc(O)cc1\nCCO\nc1ccccc1C\n" * 100) is None
    verbs = ["rejects", "approves", "delays", "drops", "sees", "backs", "cuts"]
    headlines = "".join(
        f"{who} {v} plan for {n} new homes\n" for n in range(20) for v in verbs for who in ("Council", "City", "Mayor")
    )
    assert why_document(headlines) is None
    places = "".join(f'{{"name": "{name}", "notes": "{"long " * 50}"}}\n' for name in names().split())
    assert why_document(places) is None
    assert why_document(places + '{"name": \n') is not None
    access_log = [f'{i % 250}.14.{i % 90}.5 - "GET /a/{i}.png" 200' for i in range(300)]
    assert why_document("\n".join(access_log)) is None
    for stamp in ("2026-11-29 10:00", "29.11.2026", "10:31:05", "1.11.26"):
        assert why_document("\n".join(f"{stamp} {line}" for line in access_log)) is not None


@pytest.mark.parametrize("mark", [",", ";", "\t", "|"])
def test_rows_of_a_table_are_a_list(mark: str) -> None:
    cells = [
        ("Oak Street", f"the house of {name}", f"{i}", "" if i % 3 else "new") for i, name in enumerate(names().split())
    ]
    rows = [mark.join(row) for row in cells]
    assert why_document("\n".join(rows)) is None and why_list(["\n".join(rows)]) == "the lines are rows of a table"
    quoted = [row if i % 5 else f'"Oak{mark} Street"{mark}{i}{mark}x{mark}' for i, row in enumerate(rows)]
    assert why_document("\n".join(quoted)) is None
    uneven = [row if i % 30 else f"{row}{mark}x" for i, row in enumerate(rows)]
    assert why_document("\n".join(uneven)) is not None
    assert why_document("\n".join(mark.join(row[:2]) for row in cells)) is not None


@pytest.mark.parametrize("mark", [",", ";", "\t", "|"])
def test_rows_may_end_in_a_remark_in_brackets_and_calls_are_code(mark: str) -> None:
    songs = "\n".join(f"{i * 7 % 90}{mark}Artist {i % 9}{mark}Song {i} (live)" for i in range(300))
    assert why_document(songs) is None and why_list([songs]) == "the lines are rows of a table"
    calls = "\n".join(f"draw({i * 7 % 90}{mark} {i % 9}{mark} {i})" for i in range(300))
    assert why_document(calls) == "its lines end like speakers' names or program code"


@pytest.mark.parametrize("begin", ["2026-11-{0:02} 10:00", "{0:02}.11.2026", "10:31:{0:02}", "    {0:02}", "{0:02},5"])
def test_rows_that_begin_with_dates_and_numbers_are_a_list(begin: str) -> None:
    for mark in ";\t|":
        rows = [mark.join((begin.format(i % 60), f"{i},{i * i}", "on" * (i % 3))) for i in range(300)]
        assert why_document("\n".join(rows)) is None
        assert why_document("\n".join(row.replace(mark, " ") for row in rows)) is not None or begin == "{0:02},5"


def test_a_header_above_rows_is_said(tmp_path: Path) -> None:
    rows = "".join(f"{i * 7 % 60},{i * 31 % 97 / 10}\n" for i in range(300))
    assert header_of("mean radius,area\n" + rows) == "mean radius,area"
    assert header_of(rows) is None and header_of("a title\n" + rows) is None and header_of("x,y\n" + names()) is None
    (tmp_path / "rows.txt").write_text("mean radius,area\n" + rows)
    assert any("unlike all others ('mean radius,area')" in note for note in Dataset.open(tmp_path).scan.notes)


def test_text_that_only_repeats_itself_is_said() -> None:
    for text, is_monotonous in (("a\n" * 2500, True), (PROSE, False), ("".join(map(chr, range(97, 123))) * 8, False)):
        modality = Text(TextConfig())
        modality.fit([Item("a.txt", text)], SIZE, ())
        assert any("hardly anything to learn" in note for note in modality.remarks()) is is_monotonous


@pytest.mark.parametrize(
    "text",
    [
        names(150),
        PROSE,
        PROSE.replace("\n\n", "\n"),
        "ROMEO:\nBut soft, what light\nJULIET:\nAy me\n\n" * 80,
        "def f(x):\n    return x + 1\n" * 200,
        "".join(f"2024-05-01 12:00:{i % 60:02d} INFO server started on port {i}\n" for i in range(400)),
        ">sp|P1|A\nMKTAYIAKQR\n" * 200,
        "Shall I compare thee to a summer's day,\nThou art more lovely and more temperate;\n" * 150,
        "a" * 60 + "\n" + ("b" * 60 + "\n") * 300,
    ],
)
def test_what_is_a_document(text: str) -> None:
    assert why_document(text) is not None


def openings(move: str) -> str:
    return "".join(
        f"{move} {a}{b} Nf{i % 8} and so on to {i}\n"
        for i, (a, b) in enumerate(zip("abcd" * 75, "efgh" * 75, strict=True))
    )


def test_files_of_classes_whose_lines_each_begin_alike_are_lists() -> None:
    """Five files of chess openings were documents, since most lines of each begin with the same move."""
    assert why_document(openings("1.d4")) == "more than half of its lines begin with '1.d4'"
    assert why_documents([openings("1.d4"), openings("1.e4"), openings("1.c4")]) == [None] * 3
    assert None not in why_documents([openings("1.d4"), openings("1.d4")])
    assert None not in why_documents([openings("Ada:"), openings("Bo:"), openings("Cy:")])  # a chat


def test_of_many_files_that_may_be_lists_it_is_said_why_they_are_documents() -> None:
    texts = [openings("1.d4")] * 5
    assert describe_documents(texts, why_documents(texts)) == [
        "The texts are read as documents, not lists of lines: more than half of its lines begin with '1.d4' (of 5 of 5 files); "
        "layout=list reads each line as a record."
    ]
    prose = [PROSE * 20] * 5
    assert not describe_documents(prose, why_documents(prose)) and describe_documents(
        prose[:1], why_documents(prose[:1])
    )
    few_long = [openings("1.d4")] + ["A note.\n"] * 4
    assert not describe_documents(few_long, why_documents(few_long))


def test_records_are_named_by_their_lines() -> None:
    modality = Text(TextConfig(layout="list"))
    modality.inspect([])
    records = list(modality.split_records(Item("names.txt", "\nAda\n\n \nBo\n")))
    assert [(record.name, record.text) for record in records] == [("names.txt:2", "Ada"), ("names.txt:5", "Bo")]
    assert [record.name for record in modality.split_records(Item("name.txt", "\nAda\n"))] == ["name.txt"]


def test_records_have_no_line_ends() -> None:
    assert records("a\nb\n\n c \n") == ["a", "b", " c "]


@pytest.mark.parametrize("data", [b"a\r\nb\rc\n", "a\r\nb\rc\n".encode("utf-16"), "a\r\nb\rc\n"])
def test_line_ends_are_read_as_lf_and_a_note_says_so(data: bytes | str) -> None:
    modality = Text(TextConfig())
    assert modality.read(Item("plain.txt", b"a\n")) == "a\n" and not modality.remarks()
    assert modality.read(Item("x.txt:7", data)) == "a\nb\nc\n" and modality.units(Item("x.txt", data)) == 6
    (note,) = modality.remarks()
    assert "(CRLF, CR) are read as LF" in note and note.endswith(" x.txt.")


def test_data_of_a_part_of_windows_files_has_one_kind_of_line_end(tmp_path: Path) -> None:
    for i in range(30):
        text = f"Page {i} has {i * 7} words.\n\nAnd a second paragraph, number {i}.\n" * 20
        (tmp_path / f"{i}.txt").write_text(text, newline="\r\n" if i % 3 else "\n")
    data = Dataset.open(tmp_path)
    data.fit(SIZE)
    assert "\r" not in "".join(data.text("train"))
    assert sum("are read as LF" in note for note in data.scan.notes) == 1
    data.close()


def test_a_prompt_with_other_line_ends_is_that_with_lf() -> None:
    modality, _ = fitted("a b\nc d\n" * 60, layout="document", tokens="characters")
    assert modality.condition_from_prompt("a\r\nb\rc").tolist() == modality.condition_from_prompt("a\nb\nc").tolist()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (PROSE, "\n\n"),
        (PROSE.replace("\n", "\r\n"), "\n\n"),
        ("INSERT INTO t VALUES (1);\n" * 200 + "\n", "\n"),
        (PROSE.replace("\n\n", " ").replace(" the ", "\nthe ").replace(". ", ".\n"), ".\n"),
        ("a" * 400, ""),
    ],
)
def test_passages_of_a_long_document_begin_after_a_paragraph_or_a_line(text: str, expected: str) -> None:
    modality, _ = fitted(text)
    assert modality.decode([list(modality.spec.opening)]) == [expected]
    restored = Text(TextConfig())
    restored.restore(modality.state(), Path())
    assert restored.spec == modality.spec
    modality.fit([Item(f"{i}.txt", text) for i in range(50)], SIZE, ())
    assert modality.spec.opening == () and "end" in modality.spec.special


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("one line of words\n", ""),
        ("one line of words\n\n", ""),
        ("a title\nand a line\n", ""),
        ("a title\nand a line\nand another\n", "\n"),
        ("A title\n\none text in two paragraphs\n", ""),
    ],
)
def test_few_documents_with_hardly_a_line_begin_as_documents_do(text: str, expected: str) -> None:
    """Of 40 documents of one line, 59 of 64 samples were empty: they began after the line end that only an end can follow."""
    assert passage_break([text] * 40, 40) == expected


def test_a_single_line_end_divides_a_single_document() -> None:
    assert passage_break(["a title\nand a line\n"], 1) == "\n"


@pytest.mark.parametrize(("num_words", "is_little"), [(600, True), (6_000, False)])
def test_of_little_running_text_it_is_said_that_samples_repeat_it(num_words: int, is_little: bool) -> None:
    """A single program of 3.5 KB was learned for a minute without a word on that."""
    rng = np.random.default_rng(0)
    words = ["".join(rng.choice(list("abcdefgh"), 5)) for _ in range(400)]
    modality, _ = fitted("\n\n".join(" ".join(rng.choice(words, 30)) + "." for _ in range(num_words // 30)))
    assert modality.layout == "document"
    assert (
        any("samples will mostly repeat them; give 100,000 or more" in note for note in modality.remarks()) is is_little
    )


def fitted(text: str, **settings: object) -> tuple[Text, list[Item]]:
    modality = Text(TextConfig(**settings))  # type: ignore[arg-type]
    item = Item("file.txt", text.encode())
    modality.inspect([item])
    items = list(modality.split_records(item))
    modality.fit(items, SIZE, ())
    return modality, items


def test_list_has_begin_end_and_counts_line_ends() -> None:
    modality, items = fitted(names())
    assert modality.layout == "list" and not modality.spec.packed and len(items) == 400
    ids = modality.encode(items[5])
    assert ids[0] == modality.spec.special["begin"] and ids[-1] == modality.spec.special["end"]
    assert modality.decode(ids[None])[0] == items[5].data
    assert modality.widths()[ids[1:]].sum() == modality.units(items[5]) == len(items[5].data) + 1


def test_many_lines_at_once_are_the_same_as_one_by_one() -> None:
    modality, items = fitted(names())
    odd = [*items[:20], Item("new", "émile東"), Item("x", "z"), Item("y", "🎉")]
    for first, batched in zip([modality.encode(item) for item in odd], modality.encode_many(odd), strict=True):
        assert not isinstance(batched, str) and first.tolist() == batched.tolist()


def test_batch_masks_padding_and_counts_characters() -> None:
    modality, items = fitted(names())
    rows = np.full((2, modality.spec.length + 1), modality.spec.special["end"], dtype=np.uint16)
    lengths = []
    for row, item in zip(rows, items[:2], strict=True):
        ids = modality.encode(item)
        row[: len(ids)] = ids
        lengths.append(len(ids))
    batch = modality.batch(rows, None, np.array(lengths))
    assert batch.mask is not None and batch.mask.sum(1).tolist() == [n - 1 for n in lengths]
    assert batch.units is not None and batch.units.tolist() == [len(i.data) + 1 for i in items[:2]]


def test_layout_and_tokens_can_be_set() -> None:
    modality, items = fitted(names(), layout="document", tokens="bpe", vocab=300, context=24)
    assert modality.spec.packed and len(items) == 1 and modality.spec.length == 24
    assert 257 <= modality.spec.vocab <= 300


def test_single_document_has_no_end_and_many_have() -> None:
    modality, _ = fitted(PROSE)
    assert modality.spec.special == {"rare": len(set(PROSE))}
    other = Text(TextConfig())
    other.fit([Item("a", PROSE), Item("b", PROSE)], SIZE, ())
    end = other.spec.special["end"]
    assert other.encode(Item("a", "x"))[-1] == end
    assert other.encode(Item("a", "x", ends=False))[-1] != end
    assert other.condition_from_prompt("ab")[0] == end


def test_rare_ids_are_those_of_unseen_characters() -> None:
    for text, layout in ((PROSE, "document"), (names(), "list")):
        modality, items = fitted(text, layout=layout, tokens="characters")
        low, after = (
            modality.spec.special["rare"],
            min(modality.spec.special.get("begin", modality.spec.vocab), modality.spec.vocab),
        )
        assert after - low == 17
        assert not any(((ids >= low) & (ids < after)).any() for ids in map(modality.encode, items))
        unseen = modality.tokenizer.encode("東")
        assert ((unseen >= low) & (unseen < after)).all() and modality.tokenizer.decode(unseen.tolist()) == "東"
    batched = Text(TextConfig(tokens="characters"))
    batched.fit([Item("a", "".join(map(chr, range(0x4E00, 0x4E00 + 1100))))], SIZE, ())
    assert "rare" not in batched.spec.special  # some letters of the train part are escaped


def test_state_restores_the_same(tmp_path) -> None:  # type: ignore[no-untyped-def]
    for text, settings in ((names(), {}), (PROSE, {"tokens": "bpe"}), (PROSE, {"tokens": "characters"})):
        modality, items = fitted(text, **settings)
        modality.save(tmp_path)
        again = Text(TextConfig())
        again.restore(modality.state(), tmp_path)
        assert again.spec == modality.spec and again.encode(items[0]).tolist() == modality.encode(items[0]).tolist()


@pytest.mark.parametrize(("stop", "expected"), [("\n", "a b"), ("\nc", "a b"), ("c", "a b\n"), ("z", None)])
def test_a_stop_at_a_line_end_leaves_nothing_of_it(stop: str, expected: str | None) -> None:
    modality, _ = fitted("a b\r\nc d\r\n" * 60, layout="document", tokens="characters")
    ids = modality.tokenizer.encode("a b\nc d\n")
    assert modality.truncate_at(ids, None, stop) == [expected]


def test_a_stop_changes_nothing_of_the_prompt() -> None:
    modality, _ = fitted("a b\nc d\n" * 60, layout="document", tokens="characters")
    ids = modality.tokenizer.encode("a b\nc d\n")
    assert modality.truncate_at(ids, ids[:4], "\n") == ["a b\nc d"]


def test_too_little_text() -> None:
    with pytest.raises(DataError, match="at least"):
        Text(TextConfig()).fit([Item("a", "short")], SIZE, ())


def test_prompt_of_a_list_is_one_line() -> None:
    modality, _ = fitted(names())
    assert modality.condition_from_prompt("ab").tolist()[0] == modality.spec.special["begin"]
    with pytest.raises(ConfigError, match="one line"):
        modality.condition_from_prompt("a\nb")


def test_choice_grows_with_the_text() -> None:
    assert choose_tokens(50_000, 60, 60.0, "document").tokens == "characters"
    sizes = [choose_tokens(n, 100, 60.0, "document").vocab for n in (200_000, 1_000_000, 50_000_000, 10**9)]
    assert sizes == sorted(sizes) and len(set(sizes)) == 4
    assert choose_tokens(10**6, 40, 60.0, "list").tokens == "characters"
    assert choose_tokens(10**6, 40, 60.0, "list", sub_words_in_lists=True).tokens == "bpe"
    assert choose_tokens(50_000, 40, 60.0, "list", sub_words_in_lists=True).tokens == "characters"


def test_a_short_list_beside_a_long_one_is_a_list_too(tmp_path: Path) -> None:
    words = [f"{a}{b}{c}" for a in "bdfgklmnprst" for b in "aeiou" for c in ("na", "rin", "to", "vel", "mi", "sso")]
    for part, own in (("train", words[:300]), ("test", words[300:340])):
        (tmp_path / part).mkdir()
        (tmp_path / part / "names.txt").write_text("\n".join(own) + "\n")
    data = Dataset.open(tmp_path)
    assert data.scan.parts["test"] == 40 and sum(data.scan.parts.values()) == 340
    (tmp_path / "train" / "README.txt").write_text("About these names\n\nThey were made up,\nall of them.\n")
    assert Dataset.open(tmp_path).modality.layout == "document"  # type: ignore[attr-defined]


def test_control_characters_are_counted_and_kept() -> None:
    modality = Text(TextConfig())
    items = [Item("a.txt", b"\x1b[32mgreen\x1b[m\n" * 9), Item("b.txt", b"plain\ttext\n" * 9)]
    assert "1 file holds control characters, such as ESC" in " ".join(modality.inspect(items))
    assert "\x1b" in modality.read(items[0])
    assert "control" not in " ".join(Text(TextConfig()).inspect(items[1:]))


def lists(folder: Path, stems: list[str]) -> Path:
    for number, stem in enumerate(stems):
        path = folder / f"{stem}.txt"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("".join(f"{'xyzuvw'[number]}{line}\n" for line in names().splitlines()))
    return folder


@pytest.mark.parametrize(
    ("stems", "classes"),
    [
        (["Greek", "Polish"], ["Greek", "Polish"]),
        (["train/Greek", "train/Polish", "test/Greek", "test/Polish"], ["Greek", "Polish"]),
        (["Greek/a", "Polish/a"], ["Greek", "Polish"]),
        (["Greek/a", "Greek/b"], ["a", "b"]),
        (["names"], []),
        (["train", "test"], []),
        (["names_train", "names_test"], []),
        (["train/names", "test/names"], []),
        (["part-1", "part-2"], []),
        (["Greek", "Polish", "2024"], []),
    ],
)
def test_each_list_may_be_a_class(tmp_path: Path, stems: list[str], classes: list[str]) -> None:
    data = Dataset.open(lists(tmp_path, stems))
    data.fit(SIZE)
    assert list(data.scan.labels) == classes
    assert data.spec.classes == len(classes)
    if classes:
        x, labels = (batch := data.batch(0, "test", 0, 64, 64)).x, batch.labels
        assert labels is not None
        begins = {
            (text[0], classes[label]) for text, label in zip(data.modality.decode(x.numpy()), labels, strict=True)
        }
        assert len(begins) == len({stems.index(stem) for stem in stems} if "train" not in stems[0] else classes)


def test_labels_off_learns_no_classes(tmp_path: Path) -> None:
    data = Dataset.open(lists(tmp_path, ["Greek", "Polish"]), settings={"labels": "off"})
    data.fit(SIZE)
    assert not data.scan.labels and not data.spec.classes


@pytest.mark.parametrize(("length", "classes"), [(0, 2), (300, 0)])
def test_rows_of_a_table_have_the_classes_of_a_column(tmp_path: Path, length: int, classes: int) -> None:
    rows = "".join(f"{name}{'x' * length},{'Greek' if i % 2 else 'Polish'}\n" for i, name in enumerate(names().split()))
    (tmp_path / "rows.csv").write_text(f"text,label\n{rows}")
    data = Dataset.open(tmp_path / "rows.csv")
    data.fit(SIZE)
    assert data.spec.classes == classes
    assert any("without their classes" in note for note in data.scan.notes) is not bool(classes)


def test_the_context_of_a_list_is_that_of_records_from_everywhere_in_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """The context of a list that is sorted by length was that of its short words, so that half of the others were cut in two."""
    monkeypatch.setattr(text_modality, "MEASURED_RECORDS", 50)
    modality = Text(TextConfig(layout="list"))
    modality.layout = "list"
    records = ["ab" * (1 + number // 40) for number in range(400)]
    modality.fit([Item(f"words:{i}", record) for i, record in enumerate(records)], SIZE, ())
    assert modality.spec.length == 21


@pytest.mark.parametrize(
    ("name", "header"), [("a.csv", 'date;"a;b";score'), ("a.tsv", "date\ta\tscore"), ("a.jsonl", "")]
)
def test_samples_of_rows_are_a_table_with_the_names_of_its_columns(tmp_path: Path, name: str, header: str) -> None:
    mark = "\t" if name.endswith(".tsv") else ";"
    rows = [mark.join([f"{i % 28:02}", str(i), str(i % 5)]) if header else f'{{"id": {i}}}' for i in range(300)]
    (tmp_path / name).write_text("\n".join([header, *rows] if header else rows))
    settings = {"layout": "list"}
    data = Dataset.open(tmp_path / name, settings=settings, columns=ColumnChoice.of(settings))
    data.fit(SIZE)
    modality = Text(TextConfig())
    data.modality.save(tmp_path)
    modality.restore(data.modality.state(), tmp_path)
    joint = modality.merge_files([modality.save_item(row) for row in rows[:2]], [None, None])
    assert joint is not None and joint.suffix == Path(name).suffix
    assert joint.data.decode().splitlines() == ([header] if header else []) + rows[:2]


@pytest.mark.parametrize(
    ("suffix", "suffixes", "written"),
    [(".md", ".md", ".md"), (".abc", ".abc", ".abc"), ("", "", ".txt"), (".md", ".rst", ".txt")],
)
def test_samples_of_documents_have_the_suffix_of_most_files(
    tmp_path: Path, suffix: str, suffixes: str, written: str
) -> None:
    """A tune in a .txt file is opened by no player."""
    for number in range(4):
        text = f"Tune {number} begins.\n\nIt goes on, and on, for a while and longer. " * 40
        (tmp_path / f"{number}{suffix if number % 2 else suffixes}").write_text(text)
    data = Dataset.open(tmp_path, modality="text")
    data.fit(SIZE)
    modality = Text(TextConfig())
    data.modality.save(tmp_path)
    modality.restore(data.modality.state(), tmp_path)
    assert modality.layout == "document" and modality.save_item("x").suffix == written
    state = {name: value for name, value in data.modality.state().items() if name != "suffix"}
    modality.restore(state, tmp_path)  # the state of an older run
    assert modality.save_item("x").suffix == ".txt"


@pytest.mark.parametrize(("name", "mark"), [("a.csv", ";"), ("a.csv", ","), ("a.tsv", "\t")])
def test_a_prompt_with_more_cells_than_a_row_is_refused(tmp_path: Path, name: str, mark: str) -> None:
    rows = [mark.join([f"{i % 28:02}", str(i), str(i % 5)]) for i in range(300)]
    (tmp_path / name).write_text("\n".join([mark.join(["date", "a", "score"]), *rows]))
    settings = {"layout": "list"}
    data = Dataset.open(tmp_path / name, settings=settings, columns=ColumnChoice.of(settings))
    data.fit(SIZE)
    assert len(data.modality.condition_from_prompt(mark.join(["1", "2", "3"]))) > 1
    with pytest.raises(ConfigError, match="the prompt has 4 cells, and rows of this data have 3"):
        data.modality.condition_from_prompt(mark.join(["1", "2", "3", "4"]))


def test_that_cells_of_a_column_are_records_is_said(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("\n".join(["name,age", *(f"{name},{i}" for i, name in enumerate(names().split()))]))
    settings = {"layout": "list", "text_column": "name"}
    data = Dataset.open(tmp_path / "a.csv", settings=settings, columns=ColumnChoice.of(settings))
    assert "Each cell of the column 'name' is a record; without text_column" in "".join(data.scan.notes)


def test_samples_of_other_lists_and_of_tables_of_several_forms_are_files_each(tmp_path: Path) -> None:
    for folder, headers in (("columns", ["text,label"]), ("forms", ["a,b,c", "c,b,a"])):
        (tmp_path / folder).mkdir()
        for number, header in enumerate(headers):
            lines = [header, *(",".join([name, *"01"[: header.count(",")]]) for name in names().split())]
            (tmp_path / folder / f"{number}.csv").write_text("\n".join(lines))
        settings = {} if folder == "columns" else {"layout": "list"}
        data = Dataset.open(tmp_path / folder, settings=settings, columns=ColumnChoice.of(settings))
        data.fit(SIZE)
        assert data.modality.merge_files([data.modality.save_item("a,0,1")], [None]) is None
