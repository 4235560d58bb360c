"""Pieces of one text tell of each other, so they are in the same half of a classifier's items."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from anew.evaluation.compared_texts import ComparedTexts
from anew.evaluation.inputs import EvaluationInputs
from anew.evaluation.memorization.item_types import PASSAGE
from anew.evaluation.parts_of_texts import MIN_COUNTED_TEXTS


def text_about(subject: str, seed: int) -> str:
    words = np.random.default_rng(seed).choice(["cedar", "birch", "maple", subject, "rowan", "hazel"], PASSAGE)
    return " ".join(words)[: 3 * PASSAGE]


def compared(inputs: EvaluationInputs[str], texts: list[str]) -> ComparedTexts:
    return ComparedTexts(inputs, lambda: texts, lambda: texts, lambda note: None)


def test_pieces_of_a_text_share_a_number(make_inputs: Callable[..., EvaluationInputs[str]]) -> None:
    texts = [text_about(f"{i}th", i) for i in range(MIN_COUNTED_TEXTS)]
    sets = compared(make_inputs(texts, texts, texts), texts)
    pieces = sets.pieces("test")
    keys = sets.keys_of_pieces(pieces)
    owners = [next(i for i, text in enumerate(texts) if piece in text) for piece in pieces]
    assert len(pieces) == 3 * len(texts) and len(set(keys)) == len(texts)
    assert len(set(zip(owners, keys, strict=True))) == len(texts)


def test_pieces_of_few_texts_count_by_themselves(make_inputs: Callable[..., EvaluationInputs[str]]) -> None:
    texts = [text_about(f"{i}th", i) for i in range(MIN_COUNTED_TEXTS - 1)]
    sets = compared(make_inputs(texts, texts, texts), texts)
    pieces = sets.pieces("test")
    assert len(set(sets.keys_of_pieces(pieces))) == len(pieces)
