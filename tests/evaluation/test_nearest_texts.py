"""What is marked in two records that differ."""

from __future__ import annotations

import numpy as np

from anew.evaluation.nearest_texts import edited_records, nearest_records


def test_characters_that_differ_are_marked_in_both_records() -> None:
    sample, train = edited_records("MKVLAAGGQ", "MKVISAAGG", 3)
    assert sample.marked == ["MKV", "L", "AAGG", "Q", ""] and train.marked == ["MKV", "IS", "AAGG"]
    assert [item.marks for item in edited_records("abc", "abc", 0)] == [(), ()]
    assert [item.marks for item in edited_records("abc", "xyz", 3)] == [(), ()]  # marking all would show nothing


def test_a_short_sample_is_next_to_the_record_with_the_most_similar_part() -> None:
    """Whole records all need as many edits as they are longer, so the shortest of them was the nearest."""
    rng = np.random.default_rng(0)
    train = ["".join(rng.choice(list("ACDEFGHIKLMNPQRSTVWY"), size)) for size in (300, 320, 330, 340, 250)]
    part = train[3][100:120] + "W" + train[3][121:130]
    (pair,) = nearest_records([part], lambda n: train[:n], 1.0).pairs
    assert pair.train == 3 and pair.nearest is not None and pair.nearest.marks == ((100, 130),)
    assert pair.caption.endswith("to a part of it") and pair.distance <= 1
    (whole,) = nearest_records([train[1][:-3]], lambda n: train[:n], 1.0).pairs
    assert whole.train == 1 and whole.caption == "3 edits"
