"""The default tokens of a text: characters or sub-words, the size of their vocabulary, and the context length."""

from __future__ import annotations

from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray


class TokenChoice(NamedTuple):
    """The default tokens: "characters" or "bpe", ids of the vocabulary, and tokens that the model sees at once (0: any)."""

    tokens: str
    vocab: int
    context: int


# (characters, sub-words): the vocabulary of texts with fewer characters than that
VOCAB_BY_CHARACTERS = ((400_000, 512), (20_000_000, 1024), (200_000_000, 2048))
LARGE_VOCAB = 4096  # for more text, and for scripts with many letters, which need room beside the 256 bytes
MANY_LETTERS = 1024  # scripts with more different characters have many letters
FEW_CHARACTERS = 100_000  # a shorter text is too short to learn sub-words from
LONG_BUDGET = 900  # seconds; from this budget on, the context has 256 tokens


def choose_tokens(
    characters: int, distinct: int, seconds: float | None, layout: Literal["items", "list", "document"]
) -> TokenChoice:
    """The default tokens for a text.

    Lists get characters: their records are short, and a sub-word hides how a molecule or a name is built. Documents get
    sub-words, which have more text in each token: 1,024 of them won at short budgets on one megabyte of English and on code.

    Args:
        characters: Number of characters of the train part.
        distinct: How many different ones.
        seconds: The budget; None: a number of steps was given instead.
        layout: Whether files are lists or documents.
    """
    if layout == "list" and distinct <= MANY_LETTERS:
        return TokenChoice("characters", 0, 0)
    if characters < FEW_CHARACTERS and distinct <= 256:
        return TokenChoice("characters", 0, 128)
    vocab = next((vocab for limit, vocab in VOCAB_BY_CHARACTERS if characters < limit), LARGE_VOCAB)
    if distinct > MANY_LETTERS:
        vocab = LARGE_VOCAB
    context = 256 if seconds is not None and seconds >= LONG_BUDGET else 128
    return TokenChoice("bpe", vocab, context)


def record_context(record_lengths: NDArray[np.int64], context: int) -> int:
    """Tokens of the longest record that is read whole. context: the setting; 0: hardly any of these lengths (n,) are cut."""
    longest = int(record_lengths.max())
    if context:
        return min(context, longest)
    usual = float(np.percentile(record_lengths, 99.5))
    return int(min(longest, max(1.5 * usual, 16.0), 1024))
