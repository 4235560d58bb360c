"""Samples begin with their prompt, byte for byte, whatever it is and however its last word is cut into tokens."""

from __future__ import annotations

import functools

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from anew.core.specs import Batch, SampleRequest
from anew.data.formats.file_bytes import with_line_feeds
from anew.data.modalities.text import Text, TextConfig
from anew.data.types import DataBudget, Item
from anew.families.transformer.config import TransformerConfig, TransformerSampling
from anew.families.transformer.family import Transformer
from anew.sampling.conditioning import condition_from_prompt

LINE = "let rec length = function\n    | [] -> 0 (* 대화 상자 *)\n    | x :: rest -> 1 + length rest\n"
SMALL = {"layers": 1, "width": 16, "heads": 1, "mlp_size": 24, "ngram_order": 3, "precision": "fp32"}


@functools.cache
def fitted(num_documents: int) -> tuple[Text, Transformer]:
    modality = Text(TextConfig(layout="document", tokens="bpe", vocab=330))
    items = [Item(f"{number}", LINE * 8) for number in range(num_documents)]
    modality.inspect(items)
    spec = modality.fit(items, DataBudget(60.0, 1, 1), ())
    torch.manual_seed(0)
    family = Transformer(spec, TransformerConfig(**SMALL)).eval()  # type: ignore[arg-type]
    ids = np.concatenate([modality.encode(item) for item in items]).astype(np.int64)
    family.fit_closed_form([Batch(torch.from_numpy(ids)[None])])
    return modality, family


PROMPTS = st.lists(st.sampled_from(sorted(set(LINE)) + list(" \n\té")), max_size=12).map("".join) | st.text(max_size=8)


@pytest.mark.parametrize(("num_documents", "max_tokens"), [(1, 4), (5, 1)])
@settings(max_examples=25, deadline=None)
@given(prompt=PROMPTS)
def test_samples_begin_with_their_prompt(num_documents: int, max_tokens: int, prompt: str) -> None:
    modality, family = fitted(num_documents)
    condition = condition_from_prompt(modality, prompt, None)
    request = SampleRequest(3, condition=condition, sampling=TransformerSampling(max_tokens=max_tokens))
    for draft in family.sample(request, 1):
        assert all(text.startswith(with_line_feeds(prompt)) for text in modality.decode(draft))


def test_a_blank_at_the_end_is_part_of_the_next_word() -> None:
    """As the first token of a continuation, a word without its blank is one that no text has there."""
    modality, family = fitted(5)
    condition = condition_from_prompt(modality, "let rec ", None)
    assert condition is not None and condition.ending is not None
    request = SampleRequest(16, condition=condition, sampling=TransformerSampling(max_tokens=3))
    *_, last = family.sample(request, 0)
    assert sum(text.startswith("let rec leng") for text in modality.decode(last)) >= 12
