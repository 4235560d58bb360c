"""What a text shares with a single other text: against a plain loop, and how texts are cut to equal lengths."""

from __future__ import annotations

import numpy as np
import pytest

from anew.evaluation.memorization.sole_source import (
    USUAL_SHARE,
    WINDOW,
    SoleSourceDistance,
    WholeText,
    cut_lengths,
    joined_parts,
    texts_cut_to_lengths,
)

LETTERS = list("abcdefgh ")


def whole(text: str) -> WholeText:
    return WholeText(text, 0, len(text), len(text))


def plain_share(query: str, others: list[str]) -> float:
    windows = {query[i : i + WINDOW] for i in range(len(query) - WINDOW + 1)}
    shared = np.zeros(len(others))
    for window in windows:
        holders = [i for i, other in enumerate(others) if window in other]
        if len(holders) == 1:
            shared[holders[0]] += 1
    return float(shared[shared >= USUAL_SHARE * len(windows)].sum() / max(len(windows), 1))


def test_shares_equal_a_plain_loop() -> None:
    rng = np.random.default_rng(0)
    parts = ["".join(rng.choice(LETTERS, 60)) for _ in range(12)]
    texts = ["".join(parts[i] for i in rng.choice(12, 5)) for _ in range(9)]
    distance = SoleSourceDistance([whole(text) for text in texts], np.arange(9))
    pool = np.array([0, 2, 3, 4, 6])
    item, away = distance.nearest(np.arange(9), pool)
    for query in range(9):
        share = plain_share(texts[query], [texts[i] for i in pool if i != query])
        assert 1.0 / away[query] == pytest.approx(share)
        assert item[query] in pool or share == 0.0


def test_what_two_texts_hold_has_no_single_source() -> None:
    rng = np.random.default_rng(1)
    licence, own, other = ("".join(rng.choice(LETTERS, 400)) for _ in range(3))
    distance = SoleSourceDistance([*map(whole, [licence + own, licence + other, licence, own, "short"])], np.arange(5))
    item, away = distance.nearest(np.array([2, 3, 4]), np.array([0, 1]))
    assert np.isinf(away[0]) and away[1] == 1.0 and item[1] == 0 and np.isinf(away[2])
    assert distance.nearest_real(np.array([3]), np.array([0, 1])).ratio[0] == pytest.approx(USUAL_SHARE)


def test_only_the_part_that_poses_is_compared() -> None:
    rng = np.random.default_rng(2)
    shared, own = ("".join(rng.choice(LETTERS, 200)) for _ in range(2))
    items = [whole(shared), WholeText(shared + own, 200, 400, 200), WholeText(shared + own, 100, 300, 200)]
    distance = SoleSourceDistance(items, np.arange(3))
    away = distance.nearest(np.array([1, 2]), np.array([0]))[1]
    assert np.isinf(away[0]) and 1.0 / away[1] == pytest.approx(0.46, abs=0.01)  # 85 of 185 windows


def test_planted_copies_are_joined_from_parts_of_two_texts() -> None:
    rng = np.random.default_rng(3)
    first, second = ("".join(rng.choice(LETTERS, 1000)) for _ in range(2))
    copied = joined_parts(WholeText(first, 200, 800, 600), whole(second), rng)
    assert copied.size == len(copied.text) == 600
    assert any(copied.text[i : i + 360] in first[200:800] for i in (0, 240))
    items = [whole(first), whole(second), copied]
    assert SoleSourceDistance(items, np.arange(3)).nearest(np.array([2]), np.array([0, 1]))[0].tolist() == [0]


def test_texts_are_cut_to_the_lengths_of_the_others() -> None:
    lengths, others = np.array([100, 2000, 500, 900]), np.array([300, 300, 700, 800])
    assert cut_lengths(lengths, others).tolist() == [100, 800, 300, 700]
    assert cut_lengths(others, lengths).tolist() == [100, 300, 700, 800]
    rng = np.random.default_rng(4)
    text = "".join(rng.choice(LETTERS, 900))
    part = texts_cut_to_lengths([text], ["x" * 300], rng)[0]
    assert part.stop - part.start == part.size == 300 and part.text == text
