"""What was skipped is counted, and said a file and a reason at a time."""

from __future__ import annotations

from anew.data.skipped import MAX_KEPT, SkippedItems, describe_skipped, name_reasons
from anew.data.types import DatasetSummary, SkippedItem


def test_many_stretches_of_one_recording_are_one_line() -> None:
    skipped_items = SkippedItems()
    skipped_items.add(SkippedItem(f"long.wav at {i}.00 s", "it is silent", "long.wav") for i in range(250))
    skipped_items.add(
        [SkippedItem("long.wav at 7.50 s", "it holds NaN", "long.wav"), SkippedItem("bad.wav", "it is silent")]
    )
    assert skipped_items.count == 252
    assert [(skipped.name, skipped.reason) for skipped in skipped_items.first] == [
        ("long.wav", "it is silent (250 stretches, one at 0.00 s)"),
        ("long.wav at 7.50 s", "it holds NaN"),
        ("bad.wav", "it is silent"),
    ]
    assert skipped_items.sentence() == (
        ": long.wav: it is silent (250 stretches, one at 0.00 s); long.wav at 7.50 s: it holds NaN; bad.wav: it is silent"
    )


def test_many_rows_of_one_table_are_one_line() -> None:
    skipped_items, scan = SkippedItems(), DatasetSummary("text", 0, 0)
    skipped_items.add(SkippedItem(f"t.csv#{i}", "column 'text' is empty", "t.csv") for i in (53, 60, 71))
    skipped_items.write_to(scan)
    lines = ["skipped t.csv: column 'text' is empty (3 rows, such as #53)"]
    assert describe_skipped(scan) == lines


def test_a_long_reason_is_said_once_and_then_only_what_differs() -> None:
    """A folder with six tables of numbers told six times what tables of numbers need."""
    reason = "its columns hold numbers, not text or images, and such tables are not learned as tables; learn whole rows"
    items = [SkippedItem(f"{name}.csv", f"{reason} (columns: {name}, y)") for name in "ab"]
    items.append(SkippedItem("c.csv", "it is empty (0 bytes)"))
    scan = DatasetSummary("text", 0, 0, skipped=3, skipped_items=items)
    assert describe_skipped(scan) == [
        f"skipped a.csv: {reason} (columns: a, y)",
        "skipped b.csv: likewise (columns: b, y)",
        "skipped c.csv: it is empty (0 bytes)",
    ]
    assert name_reasons(items[:2]) == f"a.csv: {reason} (columns: a, y); b.csv: likewise (columns: b, y)"


def test_one_file_in_many_spans_is_all_there_is() -> None:
    assert name_reasons([SkippedItem("a.txt", "it is binary") for _ in range(9)]) == "a.txt: it is binary"
    others = [SkippedItem("a.txt", "it is binary"), SkippedItem("b.txt", "it is binary")]
    assert name_reasons(others) == "a.txt: it is binary; and others"


def test_many_files_of_one_reason_do_not_hide_another_reason() -> None:
    skipped_items, scan = SkippedItems(), DatasetSummary("audio", 0, 0)
    skipped_items.add(SkippedItem(f"{i}.wav", "it is empty") for i in range(1000))
    skipped_items.add([SkippedItem("z.wav", "it holds NaN")])
    skipped_items.write_to(scan)
    lines = describe_skipped(scan)
    assert lines[:2] == ["skipped 0.wav: it is empty", "skipped z.wav: it holds NaN"]
    assert len(lines) == 6 and lines[-1] == "skipped in all: 1001"
    assert len(scan.skipped_items) == MAX_KEPT


def test_what_is_kept_is_bounded() -> None:
    skipped_items = SkippedItems()
    skipped_items.add(SkippedItem(f"{i}.wav", f"reason {i}") for i in range(1000))
    assert (
        skipped_items.count == 1000
        and len(skipped_items.first) == MAX_KEPT
        and len(skipped_items._by_reason) == MAX_KEPT
    )
    assert describe_skipped(DatasetSummary("audio", 0, 0)) == []
    skipped_items = SkippedItems()
    skipped_items.add([SkippedItem("a.txt", "it is empty")] * 2)
    assert skipped_items.first == [SkippedItem("a.txt", "it is empty (2 times)")]


def test_names_and_reasons_are_printable() -> None:
    skipped_item = SkippedItem("a\x1b[2J\udce9\n.png", "it names '\u202e'", "a\x07")
    fields = (skipped_item.name, skipped_item.reason, skipped_item.group)
    assert fields == (r"a\x1b[2J\xe9\x0a.png", r"it names '\u202e'", r"a\x07")
    assert SkippedItem("Zürich 日本.png", "it is empty").name == "Zürich 日本.png"
