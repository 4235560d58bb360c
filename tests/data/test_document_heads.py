"""Beginnings of documents are those that samples have, and none is in the middle of one."""

from __future__ import annotations

import contextlib
from pathlib import Path

import numpy as np

from anew.data.dataset import Dataset
from anew.data.document_heads import begins_documents, document_heads, num_tokens_of
from anew.data.types import DataBudget

SIZE = DataBudget(60.0, 0, 0)


def document(number: int, num_words: int) -> str:
    rng = np.random.default_rng(number)
    words = ["".join(rng.choice(list("etaoinshr"), 6)) for _ in range(num_words)]
    return f"Document {number} begins here.\n\n" + " ".join(words) + "."


def test_long_documents_are_cut_like_samples_and_short_ones_are_whole(tmp_path: Path) -> None:
    texts = [document(number, 20 if number % 2 else 400) for number in range(80)]
    for number, text in enumerate(texts):
        (tmp_path / f"{number}.txt").write_text(text)
    with contextlib.closing(Dataset.open(tmp_path, size=SIZE)) as data:
        assert begins_documents(data.fit(SIZE))
        heads = document_heads(data, "train", 1_000, 200, 0)
        assert len(heads) > 40
        for head in heads:
            number = int(head.split()[1])
            assert texts[number].startswith(head)
            assert (head == texts[number]) == bool(number % 2)
        assert 150 <= num_tokens_of(data, heads) <= 200
        assert len(document_heads(data, "test", 3, 200, 0)) == 3
        assert document_heads(data, "train", 30, 200, 0, first=10) == heads[10:30]


def test_samples_of_fewer_documents_than_are_held_out_whole_are_passages(tmp_path: Path) -> None:
    """Spans of fewer than 50 documents are held out, so there are no beginnings to compare samples with."""
    for number in range(30):
        (tmp_path / f"{number}.txt").write_text("\n\n".join([document(number, 100)] * 2))
    with contextlib.closing(Dataset.open(tmp_path, size=SIZE)) as data:
        assert not begins_documents(data.fit(SIZE))
