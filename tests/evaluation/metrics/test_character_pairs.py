"""Pairs of characters of Chinese, Japanese and Thai text, which have no words that could be counted."""

from __future__ import annotations

import numpy as np
import pytest

from anew.evaluation.metrics.text_statistics import TextStatistics
from anew.evaluation.metrics.words import is_unspaced, pair_scores
from anew.evaluation.reporting.grading import part_of

LEXICON = [chr(0x4E00 + 40 * i) + chr(0x4E00 + 40 * i + 7 * (i % 5) + 3) for i in range(300)]


def prose(n: int, seed: int) -> list[str]:
    """Texts of words of two characters, without spaces between them; about a hundred of many pairs at their borders are usual."""
    rng = np.random.default_rng(seed)
    texts = []
    for _ in range(n):
        word, text = int(rng.integers(300)), ""
        for _ in range(60):
            text += LEXICON[word] + ("，" if rng.random() < 0.1 else "")
            word = (7 * word + int(rng.integers(3))) % 300
        texts.append(f"{text}。")
    return texts


def disturbed(texts: list[str], share: float) -> list[str]:
    rng = np.random.default_rng(9)
    return ["".join(rng.choice(LEXICON)[0] if rng.random() < share else c for c in text) for text in texts]


def test_scripts_without_spaces() -> None:
    assert all(map(is_unspaced, (["这篇文章的主要内容"], ["ファイルを隠す。 a b"], ["ภาษาไทยไม่มีช่องว่าง"])))
    assert not any(
        map(is_unspaced, (["a text"], ["한국어 에는 공백이 있다"], ["12 34"], [], ["the sign 中 means middle"]))
    )


@pytest.mark.parametrize("records", [False, True])
def test_a_few_wrong_characters_are_told(records: bool) -> None:
    """Nothing looked at single words of such text: with each seventh character wrong nothing was said."""
    train, held_out, samples = prose(400, 0), prose(200, 1), prose(200, 2)
    same, wrong = (
        {score.name: part_of(score) for score in pair_scores(made, held_out, train, records, 0)}
        for made in (samples, disturbed(samples, 0.15))
    )
    assert all(part is not None and part.grade == "good" for part in same.values())
    assert len(wrong) == 2 - records
    assert all(part is not None and part.grade in ("fair", "poor") for part in wrong.values())


def test_text_whose_pairs_are_all_new_has_no_scores() -> None:
    assert not list(pair_scores(prose(50, 1), disturbed(prose(50, 2), 1.0), prose(50, 0), False, 0))


def test_words_are_counted_where_there_are_some() -> None:
    names = {}
    for noun, texts in (("pairs", prose(60, 0)), ("words", ["the house is red and the garden is green " * 6] * 60)):
        statistics = TextStatistics(texts, texts, texts, texts, lambda texts=texts: texts, False, 0)  # type: ignore[misc]
        names[noun] = {score.name for score in statistics.words(texts)}
    assert names["pairs"] == {"known_character_pairs", "unknown_character_pairs"} and "known_words" in names["words"]
