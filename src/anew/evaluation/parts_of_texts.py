"""Parts of texts where not all of them can be measured: drawn evenly from all, never their beginning, which may be unlike the rest."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

import numpy as np

from anew.core.wording import are, plural

# Characters of the shortest piece of a longer text; chosen: a repetition or a sentence fits in
MIN_PIECE_CHARACTERS = 2_000

# Texts from which on each counts as one; what fewer of them vary by would say little of others; chosen
MIN_COUNTED_TEXTS = 20

# Largest share of all text that one text may have, or so many times that of a mean one, whichever is more: where one had 23 to 56%,
# figures of real halves varied three times as much as their intervals say (docs/log.md, 2026-11-30)
MAX_SHARE, MAX_MEANS = 0.05, 2.0

# A sample that is this many times longer than all real records, and longer than this many characters, is compared by its beginning; chosen
MAX_LENGTH_RATIO, MIN_CUT_LENGTH = 10, 10_000


def drawn_pieces(texts: Sequence[str], most: int, rng: np.random.Generator) -> list[str]:
    """One piece of each text, at a random place, `most` characters in all; whole texts if they have no more.

    If pieces of MIN_PIECE_CHARACTERS characters are too many, those of some texts are drawn at random. They stay in order.
    """
    total = sum(map(len, texts))
    if total <= most:
        return list(texts)
    lengths = np.array([len(text) for text in texts])
    wanted = np.minimum(lengths, np.maximum(lengths * most // total, MIN_PIECE_CHARACTERS))
    order = rng.permutation(len(texts))
    chosen = np.sort(order[np.cumsum(wanted[order]) <= most])
    if not len(chosen):  # no piece of the shortest length fits
        chosen, wanted = order[:1], np.minimum(lengths, most)
    starts = rng.integers(0, lengths[chosen] - wanted[chosen] + 1)
    return [texts[i][start : start + wanted[i]] for i, start in zip(chosen, starts, strict=True)]


def without_dominant_texts(texts: Sequence[str], rng: np.random.Generator) -> list[str]:
    """The texts, of which none has more than MAX_SHARE of all that is returned: longer ones are cut to a piece at a random place.

    They are cut no further than that takes. Fewer than MIN_COUNTED_TEXTS that are not empty are returned as they are.
    """
    lengths = np.sort([len(text) for text in texts if text])[::-1]
    max_share = max(MAX_SHARE, MAX_MEANS / max(len(lengths), 1))
    if len(lengths) < MIN_COUNTED_TEXTS or lengths[0] <= max_share * lengths.sum():
        return list(texts)
    # If the first c are cut to one length, this is the length of which each has its share; the others must not be longer.
    num_cut = np.arange(1, math.ceil(1.0 / max_share))
    num_cut = num_cut[max_share * num_cut < 1.0]
    shortened = max_share * (lengths.sum() - np.cumsum(lengths)[num_cut - 1]) / (1.0 - max_share * num_cut)
    longest = int(shortened[np.argmax(shortened >= lengths[num_cut])])
    starts = [int(rng.integers(max(len(text) - longest, 0) + 1)) for text in texts]
    return [text[start : start + longest] for text, start in zip(texts, starts, strict=True)]


def resampling_units(texts: Sequence[str]) -> list[list[str]]:
    """The parts of each text that count one by one in an interval: the whole text, or pieces of about MIN_PIECE_CHARACTERS of fewer than
    MIN_COUNTED_TEXTS texts. Texts of the same lengths are cut at the same places."""
    if len(texts) >= MIN_COUNTED_TEXTS:
        return [[text] for text in texts]
    return [_even_pieces(text) for text in texts]


def _even_pieces(text: str) -> list[str]:
    num_pieces = max(len(text) // MIN_PIECE_CHARACTERS, 1)
    ends = [len(text) * i // num_pieces for i in range(num_pieces + 1)]
    return [text[start:end] for start, end in itertools.pairwise(ends)]


def equal_pieces(
    samples: Sequence[str], held_out: Sequence[str], train: Sequence[str], seed: int
) -> tuple[list[str], list[str], list[str]]:
    """Equally many pieces of samples, held-out and training texts, of the same lengths, with as much text as the shortest of the
    three allows."""
    rng = np.random.default_rng(seed)
    held_out_text, train_text = "\n".join(held_out), "\n".join(train)
    pieces = drawn_pieces(samples, min(len(held_out_text), len(train_text)), rng)
    lengths = [len(piece) for piece in pieces]
    return pieces, random_pieces(held_out_text, lengths, rng), random_pieces(train_text, lengths, rng)


def shuffled_pieces(
    texts: Sequence[str], width: int, rng: np.random.Generator, *, joins_texts: bool = False, joins_rests: bool = False
) -> list[str]:
    """Pieces of `width` characters of texts, in random order.

    joins_texts, joins_rests: Whether all texts, or else what cutting leaves of each, are joined in random order and cut as one text.
    """
    if joins_texts:
        texts = ["\n".join(texts[i] for i in rng.permutation(len(texts)))]
    elif joins_rests:
        texts = _with_joined_rests(texts, width, rng)
    pieces = [piece for text in texts for piece in pieces_of(text, width)]
    return [pieces[i] for i in rng.permutation(len(pieces))]


def pieces_of(text: str, width: int) -> list[str]:
    """Pieces of `width` characters of a text, in order; a shorter rest is left out."""
    return [text[start : start + width] for start in range(0, len(text) - width + 1, width)]


def _with_joined_rests(texts: Sequence[str], width: int, rng: np.random.Generator) -> list[str]:
    """Texts cut to multiples of `width` characters, then one text of all that was cut off, in random order."""
    lengths = [len(text) - len(text) % width for text in texts]
    rests = [text[length:] for text, length in zip(texts, lengths, strict=True) if len(text) > length]
    joined = "\n".join(rests[i] for i in rng.permutation(len(rests)))
    return [*(text[:length] for text, length in zip(texts, lengths, strict=True) if length), joined]


def random_pieces(text: str, lengths: Sequence[int], rng: np.random.Generator) -> list[str]:
    """Cut pieces of these lengths from the text at random places, in order and without overlap."""
    spare = len(text) - sum(lengths)
    gaps = np.diff(np.sort(rng.integers(0, spare + 1, len(lengths))), prepend=0)
    pieces, start = [], 0
    for length, gap in zip(lengths, gaps, strict=True):
        start += int(gap)
        pieces.append(text[start : start + length])
        start += length
    return pieces


def beginnings_of_long_records(samples: Sequence[str], length: int) -> tuple[list[str], list[str]]:
    """Samples, of which the beginning alone is left where one is far longer than real records, and a note on these.

    One file that was written as a single line makes each comparison of a short list take a minute.

    Args:
        samples: Records.
        length: The tokens of the longest real record.
    """
    max_length = max(MAX_LENGTH_RATIO * length, MIN_CUT_LENGTH)
    num_long = sum(len(text) > max_length for text in samples)
    if not num_long:
        return list(samples), []
    note = f"{num_long:,} of {plural(len(samples), 'sample')} {are(num_long)} far longer than all records of the data"
    return [text[:max_length] for text in samples], [f"{note}: the first {max_length:,} characters were compared."]
