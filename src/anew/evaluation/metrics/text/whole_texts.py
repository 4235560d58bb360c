"""Whole texts compared by how they begin and end, by the order of their lines and by what their parts share.

Other figures are taken on passages of joined text, so they hardly notice lines in another order, or texts joined from pieces of
others. Such passages hold several short texts, which dilutes what tells each of them.

Legend for shapes: n texts, d numbers of a text.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence

import numpy as np

from anew.core.arrays import Integers
from anew.evaluation.metrics.distances import Array
from anew.evaluation.metrics.duplicate_groups import KeysOf, equal_keys
from anew.evaluation.metrics.feature_sets import FeatureSets
from anew.evaluation.metrics.item_statistics import effect_size
from anew.evaluation.metrics.records.date_fields import wrong_weekdays
from anew.evaluation.metrics.text.words import WORD
from anew.evaluation.metrics.two_sample import classifier_score
from anew.evaluation.score import Score, guessing_spec
from anew.functional.text_hashes import code_points, window_hashes

MIN_TEXTS = 60  # texts of each set; chosen: a classifier that learns from fewer sees next to nothing
MAX_TEXTS = 600  # texts of each set: more take seconds
MIN_TEXTS_TO_COUNT = 300  # texts from which on agreement counts: with fewer, intervals of real texts often are too wide
WHOLE_TEXTS_AUC = guessing_spec(
    "whole_texts_auc",
    "Classifier of whole texts",
    "How often a classifier picks the generated text out of a pair of a sample and a real text by how they begin and end, by the "
    "order of their lines and by what their parts share",
    "a classifier of whole texts (beginnings, ends, order of lines, what their parts share) picks the sample out of a pair",
    least=MIN_TEXTS,
    least_to_pass=MIN_TEXTS_TO_COUNT,
)
MAX_CHARACTERS = 20_000  # so much of a text is read; chosen: its words and lines say enough by then
MAX_WORDS = 400  # words of the beginning that are compared in halves; chosen
LONG_WORD = 5  # letters from which on a word says what a text is about; chosen
SIMILAR = 2.0  # multiple up to which typical lengths of samples and real texts count as similar; chosen
ENDS, OPENING, CLOSING = ".!?…。！？", "([{", ")]}"
CHARACTER_TYPES = (
    "a capital",
    "a small letter",
    "a digit",
    "the end of a sentence",
    "a quote or bracket",
    "another character",
)
# Characters in a row that a first or last line and the rest of a text have in common: a part of a name or of a version; two are
# a word of Chinese. A heading of another text shares fewer of them (docs/log.md, 2026-11-29).
WIDTHS = (4, 2)
# Size of the hash table of characters in a row: a few that share a cell do no harm.
CELLS = 1 << 18
# Characters of a first or last line, and of the rest next to it, that are compared; chosen
MAX_LINE, MAX_REST = 300, 5_000
_NUMBER = re.compile(r"\d+(?:[.,:]\d+)*")
_COUNTED = re.compile(rf"({_NUMBER.pattern})[ \u00a0]+([^\W\d_]+)")  # a number and the word after it
_COUNTED_WORD = re.compile(rf"{_NUMBER.pattern}[ \u00a0]+([^\W\d_]+)")
# Names of the numbers of `text_numbers`
NUMBERS = (
    *(f"whether the text begins with {name}" for name in CHARACTER_TYPES),
    *(f"whether the text ends with {name}" for name in CHARACTER_TYPES),
    *(f"whether the last line begins with {name}" for name in CHARACTER_TYPES),
    "the length of the text",
    "the number of lines",
    "the length of the first line",
    "the length of the last line",
    "the order of long and short lines",
    "the change of length from line to line",
    "the place of the longest line",
    "the place of the shortest line",
    "the indentation of the first line",
    "the indentation of the last line",
    "the order of indented lines",
    "the change of indentation from line to line",
    "lines that begin with a capital",
    "lines that end a sentence",
    "small letters at the beginning of lines after the end of a sentence",
    "capitals at the beginning of lines within a sentence",
    "the place of the line with fewest letters",
    "brackets without their counterpart",
    "quotes without their counterpart",
    "different words of the beginning",
    "long words that both halves share",
    "words that are repeated soon",
    "numbers that recur",
    "the same number before the same word",
    "wrong weekdays of dates",
)
# Names of the numbers of `_recurrences`
RECURRENCES = (
    "the share of the first line that the rest repeats, by four characters",
    "the share of the first line that the rest repeats, by two characters",
    "the share of the last line that the rest repeats, by four characters",
    "the share of the last line that the rest repeats, by two characters",
)


def have_similar_lengths(samples: Sequence[str], held_out: Sequence[str]) -> bool:
    """Whether samples are about as long as held-out texts; ends of excerpts and of whole texts cannot be compared."""
    a, b = (float(np.median([len(text) for text in part])) for part in (samples, held_out))
    return max(a, b) <= SIMILAR * min(a, b)


def whole_text_scores(
    samples: Sequence[str],
    held_out: Sequence[str],
    train: Sequence[str],
    seed: int,
    keys_of: KeysOf[str] = equal_keys,
) -> Iterator[Score]:
    """Yield the score of whole texts; none for fewer than MIN_TEXTS of each.

    keys_of: Returns a number for each of some texts, which near-duplicates share.
    """
    rng = np.random.default_rng(seed)
    n = min(len(samples), len(held_out), len(train), MAX_TEXTS)
    if n < MIN_TEXTS:
        return
    chosen = [[part[i] for i in rng.permutation(len(part))[:n]] for part in (samples, held_out, train)]
    num_words = min(int(np.quantile([len(WORD.findall(text[:MAX_CHARACTERS])) for text in chosen[2]], 0.25)), MAX_WORDS)
    recurrences = _recurrences([*chosen[0], *chosen[1], *chosen[2]]).reshape(len(chosen), n, -1)
    rows = (
        np.concatenate([[text_numbers(text, num_words) for text in part], shared], axis=1)
        for part, shared in zip(chosen, recurrences, strict=True)
    )
    sets = FeatureSets.with_duplicates(rows, [[text[:MAX_CHARACTERS] for text in part] for part in chosen], keys_of)
    effects = [effect_size(a, b).value for a, b in zip(sets.samples.T, sets.held_out.T, strict=True)]
    best = int(np.argmax(effects))
    source = (
        f"a kernel classifier of {len(effects)} numbers of whole texts, trained on one half and tested on the other; the "
        f"number that tells most by itself: {(*NUMBERS, *RECURRENCES)[best]} ({effects[best]:.0%})"
    )
    yield classifier_score(WHOLE_TEXTS_AUC, sets, seed, source)


def text_numbers(text: str, num_words: int) -> Array:
    """The NUMBERS of a text, (d,). num_words: how many words of its beginning are compared."""
    text = text.strip("\n")[:MAX_CHARACTERS]
    lines = [line for line in text.split("\n") if line.strip()] or [""]
    bodies = [line.strip() for line in lines]
    first, last = bodies[0], bodies[-1]
    return np.array(
        [
            *_character_type(first[:1]),
            *_character_type(last[-1:]),
            *_character_type(last[:1]),
            np.log1p(len(text)),
            np.log1p(len(lines)),
            *_line_numbers(lines),
            *_sentence_numbers(bodies),
            *_pair_numbers(text),
            *_word_numbers(WORD.findall(text.lower()), num_words),
            *_repeated_numbers(text.lower()),
            wrong_weekdays(text),
        ],
        dtype=np.float64,
    )


def _character_type(character: str) -> list[bool]:
    """Which of CHARACTER_TYPES a character is."""
    flags = [
        character.isupper(),
        character.islower(),
        character.isdigit(),
        character != "" and character in ENDS,
        character != "" and character in OPENING + CLOSING + "\"'“”‘’«»`",
    ]
    return [*flags, not any(flags)]


def _line_numbers(lines: Sequence[str]) -> list[float]:
    """Lengths and indentations of lines, and their order."""
    lengths = np.array([len(line) for line in lines], dtype=np.float64)
    indents = np.array([len(line) - len(line.lstrip()) for line in lines], dtype=np.float64)
    mean, last = max(float(lengths.mean()), 1.0), max(len(lines) - 1, 1)
    return [
        float(lengths[0] / mean),
        float(lengths[-1] / mean),
        _trend(lengths),
        _roughness(lengths),
        float(lengths.argmax() / last),
        float(lengths.argmin() / last),
        float(np.log1p(indents[0])),
        float(np.log1p(indents[-1])),
        _trend(indents),
        _roughness(indents),
    ]


def _trend(values: Array) -> float:
    """Correlation of values with their place; 0 if either is constant."""
    place = np.arange(len(values)) - (len(values) - 1) / 2.0
    scale = float(np.sqrt((place**2).sum() * ((values - values.mean()) ** 2).sum()))
    return float(place @ values) / scale if scale > 1e-9 else 0.0


def _roughness(values: Array) -> float:
    """Mean squared difference of adjacent values as a multiple of what a random order gives, which is 1."""
    if len(values) < 3 or values.std() < 1e-9:
        return 1.0
    return float((np.diff(values) ** 2).mean() / (2.0 * values.var(ddof=1)))


def _sentence_numbers(bodies: Sequence[str]) -> list[float]:
    """How the beginnings of lines go with the ends of the lines before; bodies: lines without blanks at their ends."""
    capitals = np.array([body[:1].isupper() for body in bodies])
    small = np.array([body[:1].islower() for body in bodies])
    ends = np.array([body.rstrip("\"'”’)")[-1:] in ("", *ENDS) for body in bodies])
    letters = np.array([sum(map(str.isalpha, body)) / max(len(body), 1) for body in bodies])
    later = max(len(bodies) - 1, 1)
    return [
        float(capitals.mean()),
        float(ends.mean()),
        float((small[1:] & ends[:-1]).sum()) / later,
        float((capitals[1:] & ~ends[:-1]).sum()) / later,
        float(letters.argmin()) / later,
    ]


def _pair_numbers(text: str) -> list[float]:
    """Brackets and double quotes without their counterpart, as logarithms of their numbers."""
    brackets = sum(abs(text.count(a) - text.count(b)) for a, b in zip(OPENING, CLOSING, strict=True))
    quotes = text.count('"') % 2 + abs(text.count("“") - text.count("”"))
    return [float(np.log1p(brackets)), float(np.log1p(quotes))]


def _word_numbers(words: Sequence[str], count: int) -> list[float]:
    """Shares of words of the beginning that differ, that both of its halves hold, and that are repeated soon."""
    words = words[:count]
    if len(words) < 4:
        return [1.0, 0.0, 0.0]
    middle = len(words) // 2
    first, second = ({word for word in half if len(word) >= LONG_WORD} for half in (words[:middle], words[middle:]))
    long_words = [word for word in words if len(word) >= LONG_WORD]
    window = max(len(long_words) // 4, 1)
    soon = sum(word in long_words[max(i - window, 0) : i] for i, word in enumerate(long_words))
    return [len(set(words)) / len(words), len(first & second) / max(len(second), 1), soon / max(len(long_words), 1)]


def _repeated_numbers(text: str) -> list[float]:
    """The share of the different numbers of a text that recur in it, and of pairs of equal words after numbers ("13 days ... 13
    days"), the share with equal numbers, too; half where there are none."""
    counts = Counter(_NUMBER.findall(text))
    repeated_share = sum(count > 1 for count in counts.values()) / len(counts) if counts else 0.5
    pairs = Counter(_COUNTED.findall(text))
    words = Counter(_COUNTED_WORD.findall(text))
    equal, all_pairs = (sum(count * (count - 1) for count in part.values()) for part in (pairs, words))
    return [repeated_share, equal / all_pairs if all_pairs else 0.5]


def _recurrences(texts: Sequence[str]) -> Array:
    """(n, 4) how much of the first and of the last line of each text its rest repeats, in WIDTHS.

    It is the sum of the rarities of characters in a row (logarithms of shares of texts with them in their rest), as a logarithm.
    Rarities are those among all texts that are compared, each counted once: those of training texts would favour them.
    """
    bodies = [text.strip("\n")[:MAX_CHARACTERS].lower() for text in texts]
    cut = [(body.strip().partition("\n"), body.strip().rpartition("\n")) for body in bodies]
    pairs = [
        [(head[:MAX_LINE], rest[:MAX_REST]) for (head, _, rest), _ in cut],
        [(tail[-MAX_LINE:], rest[-MAX_REST:]) for _, (rest, _, tail) in cut],
    ]
    distinct = np.unique(equal_keys(bodies), return_index=True)[1]
    return np.stack([_repeated_rarity(side, width, distinct) for side in pairs for width in WIDTHS], axis=1)


def _repeated_rarity(pairs: Sequence[tuple[str, str]], width: int, distinct: Integers) -> Array:
    """(n,) how much of each line the rest of its text repeats, by rarity.

    Args:
        pairs: (n) lines, each with the rest of its text.
        width: Characters in a row that are compared.
        distinct: Numbers of the texts that rarities are learned from.
    """
    lines, rests = ([_cells(pair[i], width) for pair in pairs] for i in range(2))
    counts = np.bincount(np.concatenate([rests[i] for i in distinct]), minlength=CELLS)
    rarity = np.log((len(distinct) + 1.0) / (counts + 1.0))
    shared = (np.intersect1d(line, rest, assume_unique=True) for line, rest in zip(lines, rests, strict=True))
    return np.log1p([float(rarity[cells].sum()) for cells in shared])


def _cells(text: str, width: int) -> Integers:
    """The different cells of so many characters in a row of a text."""
    return np.unique((window_hashes(code_points(text), width) % np.uint64(CELLS)).astype(np.intp))
