"""The items that are compared, and what is said of their number."""

from __future__ import annotations

import numpy as np

from anew.evaluation.item_sets import ItemSets
from anew.evaluation.reporting.supply import Supply

ITEMS = [str(i) for i in range(200)]


def sets(num_samples: int, num_test: int, num_train: int, counted: str = "sample") -> ItemSets[str]:
    candidates = {"samples": ITEMS[:num_samples], "test": ITEMS[:num_test], "train": ITEMS[:num_train]}
    available = min(num_samples, num_test, num_train)
    requested = {"test": num_samples, "train": num_train}
    return ItemSets(candidates, requested, Supply(num_test, compared=available), "texts", counted)


def no_naive(train: object, n: int) -> list[str]:
    return []


def test_nothing_is_taken_at_first() -> None:
    compared = sets(100, 60, 150)
    assert not compared and compared.available == 60 and compared.counts("test") == (100, 60)
    assert not ItemSets({}, {}, Supply()) and ItemSets({}, {}, Supply()).available == 0


def test_as_many_of_each_are_taken_and_the_reason_is_said() -> None:
    compared = sets(100, 60, 150)
    compared.take(60, no_naive)
    assert {part: len(items) for part, items in compared.items()} == {"samples": 60, "test": 60, "train": 60}
    assert (
        compared.compared_note
        == "Distances, variety and many other figures were measured on 60 of 100 samples, as many as there are held-out texts."
    )
    assert compared.further_train == ITEMS[60:150]
    assert compared.supply.left_out == 60  # until they are compared
    compared.note_compared()
    assert compared.supply == Supply(60, compared=60, left_out=0)


def test_fewer_for_lack_of_time() -> None:
    compared = sets(100, 100, 150, "text piece")
    compared.take(40, lambda train, n: [*train[:n]][::-1])
    assert (
        compared.compared_note
        == "Distances, variety and many other figures were measured on 40 of 100 text pieces, as many as there seemed to be time for."
    )
    assert compared["naive"] == ITEMS[:40][::-1]
    compared.note_compared()
    assert compared.supply.left_out == 60
    whole = sets(100, 100, 150)
    whole.take(100, no_naive)
    assert whole.compared_note == "" and list(whole) == ["samples", "test", "train"]


def test_it_is_said_how_many_the_classifier_takes() -> None:
    """A report had "11 figures of 1,000 text pieces" beside one of 1,524, which no note explained."""
    compared = sets(100, 100, 150, "text piece")
    compared.take(100, no_naive)
    assert compared.note_compared() == []
    many = ItemSets({part: ITEMS * 10 for part in ("samples", "test", "train")}, {}, Supply(), "texts", "text piece")
    many.take(1_500, no_naive)
    assert many.note_compared()[-1].sentence.startswith("The classifier took 1,000 text pieces of each set")


def test_of_which_there_are_too_few() -> None:
    assert sets(5, 60, 150).refuse() == "5 samples are too few; at least 20 are needed"
    pieces = sets(30, 1, 150, "text piece")
    assert pieces.refuse() == pieces.too_few == "1 piece of held-out texts is too few; at least 20 are needed"
    assert sets(30, 60, 19).refuse() == "19 training texts are too few; at least 20 are needed"


def test_near_duplicates_share_a_group_but_samples_have_groups_of_their_own() -> None:
    compared = sets(3, 3, 4)
    compared.take(3, no_naive)
    compared.group(lambda items: [int(item) // 2 for item in items])
    groups = [list(part) for part in compared.groups]
    assert groups == [[0, 0, 1], [0, 0, 1], [0, 0, 1]]
    rows = {part: np.zeros((2, 5)) for part in compared}
    features = compared.with_features(rows, "numbers")
    assert features.noun == "texts" and features.train_groups is not None
    assert features.train_groups.tolist() == [0, 0]
