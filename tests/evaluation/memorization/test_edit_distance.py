"""Distances of records by edits, against tables of all pairs."""

from __future__ import annotations

import weakref

import numpy as np
import pytest
from rapidfuzz.distance import Levenshtein

from anew.evaluation.memorization import edit_distance
from anew.evaluation.memorization.edit_distance import EditDistance, rare_piece_size
from anew.evaluation.memorization.item_types import edit_text


@pytest.mark.parametrize("cells", [8_000_000, 7])
@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("pool_at_once", [16_384, 4])
def test_edit_distance_equals_the_table(
    monkeypatch: pytest.MonkeyPatch, cells: int, threads: int, pool_at_once: int
) -> None:
    monkeypatch.setattr("anew.evaluation.memorization.edit_distance.POOL_AT_ONCE", pool_at_once)
    monkeypatch.setattr("anew.evaluation.memorization.edit_distance.PAIRS_AT_ONCE", cells)
    monkeypatch.setattr("anew.evaluation.memorization.edit_distance.available_threads", lambda: threads)
    rng = np.random.default_rng(0)
    records = ["".join(rng.choice(list("abc"), rng.integers(1, 8))) for _ in range(40)]
    groups = np.arange(40) // 2
    pool = np.arange(10, 40)
    item, distances = EditDistance(records, groups).nearest(np.arange(40), pool)
    longest = np.array([len(r) for r in records])
    for query in range(40):
        table = np.array([Levenshtein.distance(records[query], r) for r in records]) / np.maximum(
            longest, longest[query]
        )
        table[groups == groups[query]] = np.inf
        assert distances[query] == pytest.approx(table[pool].min())
        assert table[item[query]] == pytest.approx(distances[query])


def test_relatives_of_long_records_are_told_exactly() -> None:
    """The search within a small distance first, then beyond, gives what the whole table gives."""
    rng = np.random.default_rng(1)
    letters = list("ACDEFGHIKLMNPQRSTVWY")
    records = ["".join(rng.choice(letters, 100)) for _ in range(30)]
    records += [records[0][:50] + "A" * n + records[0][50 + n :] for n in range(1, 11)]
    item, distances = EditDistance(records, np.arange(40)).nearest(np.arange(40), np.arange(40))
    for query in range(40):
        table = [Levenshtein.normalized_distance(records[query], record) for record in records]
        table[query] = np.inf
        assert distances[query] == pytest.approx(min(table)) and table[item[query]] == pytest.approx(distances[query])


def test_copies_of_long_records_are_found_by_their_pieces() -> None:
    """Unrelated proteins are as good as equally far, so only those that share pieces are compared; copies are told exactly."""
    rng = np.random.default_rng(2)
    letters = list("ACDEFGHIKLMNPQRSTVWY")
    records = ["".join(rng.choice(letters, rng.integers(150, 300))) for _ in range(200)]
    copies = [*records[:20], *(edit_text(record, rng, 0.05) for record in records[:20])]
    copies += [edit_text(record, rng, 0.2) for record in records[:20]]
    queries, pool = np.arange(200, 260), np.arange(200)
    assert rare_piece_size(records) == 4
    item, distances = EditDistance([*records, *copies], np.arange(260)).nearest(queries, pool)
    assert item.tolist() == [*range(20)] * 3
    expected = [Levenshtein.normalized_distance(copies[i], records[i % 20]) for i in range(60)]
    assert distances == pytest.approx(expected)
    groups = np.append(np.arange(200), [*range(20)] * 3)  # each copy in the group of its original
    item, distances = EditDistance([*records, *copies], groups).nearest(queries, pool[::2])
    assert not (item == groups[200:]).any() and set(item.tolist()) <= {*pool[::2]} and (distances > 0.6).all()
    item, distances = EditDistance([*records, "W" * 200], np.arange(201)).nearest(np.array([200]), pool[3:])
    assert item.tolist() == [3] and distances.tolist() == [1.0]  # it shares nothing


def test_pieces_are_those_that_records_hardly_share() -> None:
    rng = np.random.default_rng(3)
    dna, ancestor = (["".join(rng.choice(list("ACGT"), 400)) for _ in range(n)] for n in (100, 1))
    assert rare_piece_size(dna) == 8
    assert rare_piece_size([edit_text(ancestor[0], rng, 0.1) for _ in range(100)]) is None
    assert rare_piece_size([record[:100] for record in dna]) is None and rare_piece_size(dna[:49]) is None


def test_edit_distances_are_computed_in_threads_that_python_started(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where memory was limited, a thread of rapidfuzz could not start, and the process waited for it for ever."""
    worker_counts: list[object] = []

    def cdist(*arguments: object, workers: int, **options: object) -> object:
        worker_counts.append(workers)
        return compute(*arguments, workers=workers, **options)

    compute = edit_distance.process.cdist
    monkeypatch.setattr(edit_distance.process, "cdist", cdist)
    EditDistance(["ab", "ac", "abd", "x"], np.arange(4)).nearest(np.arange(4), np.arange(4))
    assert worker_counts and set(worker_counts) == {1}


@pytest.mark.parametrize("threads", [1, 3])
def test_leaving_out_what_cannot_be_nearest_changes_nothing(monkeypatch: pytest.MonkeyPatch, threads: int) -> None:
    """Records of any alphabet and length, empty and equal ones too; where several are equally near, the first."""
    monkeypatch.setattr("anew.evaluation.edits.record_index.available_threads", lambda: threads)
    monkeypatch.setattr("anew.evaluation.edits.record_index.AT_ONCE", 100)
    rng = np.random.default_rng(4)
    alphabets = [list("ab"), list("abcdefghijklmnopqrstuvwxyz "), list("日本語é\0😀"), ["A", "C", "G", "T"]]
    records = ["".join(rng.choice(alphabets[i % 4], rng.integers(0, [12, 20, 6, 200][i % 4]))) for i in range(300)]
    records += [edit_text(record, rng) for record in records[:40]] + records[:10]
    groups, pool = rng.integers(-5, 200, 350), np.flatnonzero(rng.random(350) < 0.8)
    expected = EditDistance(records, groups).nearest(np.arange(350), pool)
    monkeypatch.setattr(edit_distance, "MIN_SIGNED", 0)
    distance = EditDistance(records, np.arange(350))
    assert all(
        np.array_equal(*pair)
        for pair in zip(distance.with_groups(groups).nearest(np.arange(350), pool), expected, strict=True)
    )
    item, away = distance.nearest(np.array([3, 7]), pool[:0])
    assert item.tolist() == [-1, -1] and np.isinf(away).all()


def test_a_pool_that_was_searched_is_not_kept() -> None:
    """The numbers of ten million records take 80 MB, and a test searches several parts of them."""
    distance = EditDistance(["ab", "ac", "abd", "x"], np.arange(4))
    pool = np.arange(3)
    assert distance._are_in(pool) is distance._are_in(pool)
    gone = weakref.ref(pool)
    del pool
    assert gone() is None
    assert distance._are_in(np.arange(1)).tolist() == [True, False, False, False]
