"""Parts of texts are drawn evenly from all of them."""

from __future__ import annotations

import numpy as np

from anew.evaluation.parts_of_texts import (
    MIN_COUNTED_TEXTS,
    MIN_PIECE_CHARACTERS,
    beginnings_of_long_records,
    drawn_pieces,
    equal_pieces,
    random_pieces,
    resampling_units,
    shuffled_pieces,
    without_dominant_texts,
)

RNG = np.random.default_rng


def test_texts_that_fit_are_whole() -> None:
    assert drawn_pieces(["ab", "c"], 3, RNG(0)) == ["ab", "c"] and drawn_pieces([], 3, RNG(0)) == []


def test_each_long_text_gives_a_piece_in_proportion() -> None:
    texts = [chr(97 + i) * 10_000 * (1 + i % 2) for i in range(10)]
    drawn = drawn_pieces(texts, 75_000, RNG(0))
    assert [part[0] for part in drawn] == [text[0] for text in texts]
    assert [len(part) for part in drawn] == [5_000, 10_000] * 5


def test_some_of_many_short_texts_are_drawn_whole_wherever_they_lie() -> None:
    texts = [chr(0x4E00 + i) * 100 for i in range(1_000)]
    drawn = drawn_pieces(texts, 20_000, RNG(0))
    places = [ord(part[0]) - 0x4E00 for part in drawn]
    assert len(drawn) == 200 and set(map(len, drawn)) == {100} and places == sorted(places)
    assert 70 < sum(place >= 500 for place in places) < 130


def test_one_text_is_cut() -> None:
    assert [len(part) for part in drawn_pieces(["x" * 9_000] * 3, MIN_PIECE_CHARACTERS // 2, RNG(0))] == [
        MIN_PIECE_CHARACTERS // 2
    ]


def test_sets_are_equal() -> None:
    sets = equal_pieces(["s" * 3_000] * 9, ["h" * 6_000, "h" * 2_000], ["t" * 50_000], seed=0)
    lengths = [list(map(len, part)) for part in sets]
    assert lengths[0] == lengths[1] == lengths[2] and 4_000 <= sum(lengths[0]) <= 8_001
    assert all(set("".join(part)) <= {letter, "\n"} for part, letter in zip(sets, "sht", strict=True))


def test_pieces_do_not_overlap_and_come_from_the_whole() -> None:
    text = "".join(chr(0x4E00 + i) for i in range(1_000))
    pieces = random_pieces(text, [100, 50, 300], np.random.default_rng(0))
    assert [len(p) for p in pieces] == [100, 50, 300]
    assert len(set("".join(pieces))) == 450 and all(p in text for p in pieces)


def test_what_cutting_leaves_of_texts_is_joined() -> None:
    texts = ["a" * 25, "b" * 17, "c" * 20, "", "d"]
    assert sorted(shuffled_pieces(texts, 10, RNG(0))) == ["a" * 10] * 2 + ["b" * 10] + ["c" * 10] * 2
    *joined, rest = sorted(shuffled_pieces(texts, 10, RNG(0), joins_rests=True), key=lambda piece: "\n" in piece)
    assert sorted(joined) == ["a" * 10] * 2 + ["b" * 10] + ["c" * 10] * 2 and set(rest) <= set("abd\n")
    assert len(shuffled_pieces(texts, 10, RNG(0), joins_texts=True)) == 6


def test_a_record_that_is_far_longer_than_all_others_is_compared_by_its_beginning() -> None:
    assert beginnings_of_long_records(["Ada", "x" * 9_000], 16) == (["Ada", "x" * 9_000], [])
    records, notes = beginnings_of_long_records(["Ada", "x" * 3_000_000], 16)
    assert records == ["Ada", "x" * 10_000]
    assert notes == [
        "1 of 2 samples is far longer than all records of the data: the first 10,000 characters were compared."
    ]
    assert beginnings_of_long_records(["x" * 90_000], 16_384)[1] == []


def test_few_long_texts_count_by_their_pieces() -> None:
    text = "".join(map(chr, range(100, 100 + 2 * MIN_PIECE_CHARACTERS + 700)))
    assert resampling_units([text, "ab", ""]) == [[text[: len(text) // 2], text[len(text) // 2 :]], ["ab"], [""]]
    assert resampling_units([text] * MIN_COUNTED_TEXTS) == [[text]] * MIN_COUNTED_TEXTS


def test_no_text_has_most_of_what_is_compared() -> None:
    texts = ["a" * 300] * 30 + ["b" * 90_000, "c" * 5_000]
    cut = without_dominant_texts(texts, RNG(0))
    assert [text[0] for text in cut] == [text[0] for text in texts] and cut[:30] == texts[:30]
    assert max(map(len, cut)) <= 2 / 32 * sum(map(len, cut))
    assert without_dominant_texts(texts[:31], RNG(0))[:30] == texts[:30]
    for unchanged in (
        texts[:10] + texts[30:],
        [""] * 30 + ["a" * 9_000],
        ["a" * (300 + i) for i in range(25)],
        [],
        [""] * 30,
    ):
        assert without_dominant_texts(unchanged, RNG(0)) == list(unchanged)


def test_articles_beside_stubs_are_cut_no_further_than_their_share_asks() -> None:
    """All articles were once cut to the length of the stubs: of 770,000 characters 20,000 were left."""
    cut = without_dominant_texts(["a" * 20] * 985 + [""] * 9 + ["b" * 50_000] * 15, RNG(0))
    assert [*map(len, cut)] == [20] * 985 + [0] * 9 + [3_940] * 15
    assert 3_940 <= 0.05 * sum(map(len, cut)) < 3_941
    lengths = np.exp(np.random.default_rng(0).normal(7, 2.5, 400)).astype(int)
    longest = max(len(text) for text in without_dominant_texts(["a" * int(length) for length in lengths], RNG(0)))
    assert (
        longest <= 0.05 * np.minimum(lengths, longest).sum()
        and longest + 1 > 0.05 * np.minimum(lengths, longest + 1).sum()
    )
