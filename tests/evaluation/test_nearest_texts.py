"""What is marked in two records that differ."""

from __future__ import annotations

from anew.evaluation.nearest_texts import edited_records


def test_characters_that_differ_are_marked_in_both_records() -> None:
    sample, train = edited_records("MKVLAAGGQ", "MKVISAAGG", 3)
    assert sample.marked == ["MKV", "L", "AAGG", "Q", ""] and train.marked == ["MKV", "IS", "AAGG"]
    assert [item.marks for item in edited_records("abc", "abc", 0)] == [(), ()]
    assert [item.marks for item in edited_records("abc", "xyz", 3)] == [(), ()]  # marking all would show nothing
