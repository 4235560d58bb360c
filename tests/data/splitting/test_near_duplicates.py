"""Near-duplicates of texts share a key; what is compared is bounded."""

from __future__ import annotations

import numpy as np
import pytest

from anew.data.modalities.text import Text, TextConfig
from anew.data.splitting import near_duplicates
from anew.data.splitting.near_duplicates import (
    NearDuplicateIndex,
    are_usual,
    group_keys,
    keys_of_decoded,
    minhash,
    similarity,
)
from anew.data.types import Item

TEXT = Text(TextConfig())


def text(seed: int, n: int = 80) -> str:
    return " ".join(f"word{i}" for i in np.random.default_rng(seed).integers(0, 9_999, n))


def edited(document: str) -> str:
    """The same with a few words more in the middle."""
    return f"{document[:300]} some other words {document[300:]}"


def test_similarity_estimates_the_share_of_common_shingles() -> None:
    base = text(0, 400)
    shingles, other = (
        {x[i : i + near_duplicates.SHINGLE] for i in range(len(x) - near_duplicates.SHINGLE + 1)}
        for x in (base, base[:3000])
    )
    true = len(shingles & other) / len(shingles | other)
    signature, part = minhash(base), minhash(base[:3000])
    assert signature is not None and part is not None
    assert similarity(signature, part) == pytest.approx(true, abs=0.18) and similarity(signature, signature) == 1.0


def test_short_texts_are_near_duplicates_only_if_they_are_equal() -> None:
    assert minhash("short") is None
    keys = group_keys([Item("", x) for x in ("A name", "a  name", "a names")], TEXT)
    assert keys[0] == keys[1] != keys[2]


def test_an_index_finds_what_nearly_repeats_an_earlier_text() -> None:
    index = NearDuplicateIndex()
    for key in range(20):
        index.add(key, minhash(text(key)))
    assert [index.match(minhash(edited(text(key)))) for key in range(20)] == list(range(20))
    assert index.match(minhash(text(99))) is None and index.match(None) is None


@pytest.mark.parametrize("count", [10, 11, 15, 19, 20, 21, 35])
def test_no_more_than_so_many_documents_are_compared(count: int, monkeypatch: pytest.MonkeyPatch) -> None:
    compared: list[str] = []

    def counted(document: str, max_characters: int) -> near_duplicates.Signature | None:
        compared.append(document)
        return minhash(document, max_characters)

    monkeypatch.setattr(near_duplicates, "MAX_DOCUMENTS", 10)
    monkeypatch.setattr(near_duplicates, "minhash", counted)
    documents = [text(seed) for seed in range(count)]
    group_keys([Item("", document) for document in documents], TEXT)
    assert len(compared) == 10 and compared[0] == documents[0] and compared[-1] == documents[-1]


def test_equal_documents_share_a_key_however_many_there_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(near_duplicates, "MAX_DOCUMENTS", 10)
    documents = [text(seed % 30) for seed in range(60)]
    for keys in (group_keys([Item("", x) for x in documents], TEXT), keys_of_decoded(documents, TEXT).tolist()):
        assert keys[:30] == keys[30:] and len(set(keys)) == 30


@pytest.mark.parametrize(
    ("sizes", "expected"), [([1] * 90 + [4] * 10, False), ([1] * 95 + [5], False), ([1] * 90 + [6], True)]
)
def test_near_duplicates_are_usual_where_large_groups_hold_many_items(sizes: list[int], expected: bool) -> None:
    keys = [group for group, size in enumerate(sizes) for _ in range(size)]
    assert are_usual(range(len(keys)), keys) == expected
    assert not are_usual(keys, keys)  # exact copies are no different items
