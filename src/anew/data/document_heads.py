"""The beginnings of documents, which samples of running text are compared with where they begin documents, too."""

from __future__ import annotations

import numpy as np

from anew.core.specs import Spec, Tokens
from anew.data.dataset import DEFAULT_TEXT_LIMIT, Dataset
from anew.data.modalities.text import Text
from anew.data.types import Item

# So many characters are read for each token of a beginning; where they are too few, it is read again, twice as long. Sub-words of English
# have 2.8 on average.
FIRST_CHARACTERS = 4


def begins_documents(spec: Spec) -> bool:
    """Whether samples without a prompt begin documents: long texts of which there are many. If there are few documents, samples are
    passages."""
    return isinstance(spec, Tokens) and spec.packed and "end" in spec.special and not spec.opening


def num_tokens_of(data: Dataset, samples: list[str]) -> int:
    """Tokens of the longest of some samples; 0 without samples."""
    modality = _text_modality(data)
    return max((len(modality.tokenizer.encode(sample)) for sample in samples), default=0)


def document_heads(data: Dataset, part: str, n: int, num_tokens: int, seed: int, first: int = 0) -> list[str]:
    """n random documents of a part, or all, cut as samples are that do not end within num_tokens tokens; without the `first` of them."""
    modality = _text_modality(data)
    return [_head(modality, document, num_tokens) for document in _documents(data, part, n, seed)[first:]]


def document_labels(data: Dataset, part: str, n: int, seed: int) -> list[str | None]:
    """The classes of the documents that `document_heads` gives of these arguments; None where one has none."""
    return [document.label for document in _documents(data, part, n, seed)]


def _documents(data: Dataset, part: str, n: int, seed: int) -> list[Item]:
    store, number = data.opened_part(part)
    documents = [item for item in store.text(number, DEFAULT_TEXT_LIMIT) if item.begins]
    order = np.random.default_rng(seed).permutation(len(documents))[:n]
    return [documents[i] for i in order]


def _head(modality: Text, document: Item, num_tokens: int) -> str:
    """A document, or its beginning as a sample of this length has it: cut after num_tokens tokens, up to a good end."""
    text = modality.read(document)
    size = FIRST_CHARACTERS * num_tokens
    ids = modality.tokenizer.encode(text[:size])
    while len(ids) <= num_tokens and size < len(text):
        size *= 2
        ids = modality.tokenizer.encode(text[:size])
    return text if len(ids) <= num_tokens else modality.end_well(ids[None, :num_tokens], None)[0]


def _text_modality(data: Dataset) -> Text:
    modality = data.modality.base
    assert isinstance(modality, Text)
    return modality
