"""Pieces of texts, from all over them."""

from __future__ import annotations

import pytest

from anew.data.formats.text.text_pieces import spread_pieces


@pytest.mark.parametrize("total", [9_000, 13_000, 14_900, 31_000, 200_000])
def test_sub_words_are_trained_on_as_many_characters_as_are_allowed(total: int) -> None:
    texts = [f"{number:03d}" + "x" * (total // 100 - 3) for number in range(100)]
    sample = spread_pieces(texts, 10_000)
    assert 0.8 * min(total, 10_000) <= sum(map(len, sample)) <= 10_000
    numbers = [int(text[:3]) for text in sample]
    assert numbers == sorted(set(numbers)) and numbers[0] < 20 and numbers[-1] >= 80  # from everywhere


@pytest.mark.parametrize("lengths", [[15] * 60 + [30_000], [30_000] + [15] * 60, [3_000] * 55])
def test_sub_words_are_trained_on_all_parts_of_texts_of_any_length(lengths: list[int]) -> None:
    """Of 60 notes and one long text, only notes were read: the long text took seven times as many tokens."""
    texts = ["".join(chr(0x4E00 + place * 20 // length) for place in range(length)) for length in lengths]
    sample = spread_pieces(texts, 10_000)
    assert 9_500 < sum(map(len, sample)) <= 10_000 and all(any(piece in text for text in texts) for piece in sample)
    assert len(set("".join(sample))) == 20 and sum(map(len, sample[:5])) < 1_000
