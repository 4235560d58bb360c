"""The texts whose pieces are compared, of samples, held-out and training items: whole parts, or the beginnings of documents.

If samples begin documents, so do real ones: a beginning may be unlike the rest, as a licence is.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from functools import cached_property
from typing import NamedTuple

import numpy as np

from anew.core.wording import are, plural
from anew.evaluation.inputs import MIN_ITEMS, EvaluationInputs
from anew.evaluation.memorization.item_types import PASSAGE
from anew.evaluation.metrics.duplicate_groups import equal_keys
from anew.evaluation.metrics.text.whole_texts import have_similar_lengths
from anew.evaluation.notes import Note
from anew.evaluation.parts_of_texts import (
    MIN_COUNTED_TEXTS,
    equal_pieces,
    pieces_of,
    shuffled_pieces,
    without_dominant_texts,
)

# Pieces of documents of a part, and at least so many documents, that are read: more take seconds, and say little more
MAX_BEGINNINGS = 1_000
MIN_SAMPLE_CHARACTERS = 500  # fewer say nothing; chosen
TextSets = tuple[list[str], list[str], list[str]]  # samples, held-out texts and training texts


class Beginnings(NamedTuple):
    """Beginnings of documents. The first n of each are compared.

    Attributes:
        samples, test, train: Texts; there may be more than n.
    """

    n: int
    samples: list[str]
    test: list[str]
    train: list[str]

    def compared(self, part: str) -> list[str]:
        return self.of(part)[: self.n]

    def further(self, part: str) -> list[str]:
        return self.of(part)[self.n :]

    def of(self, part: str) -> list[str]:
        """All texts of "samples", "test" or "train"."""
        return {"samples": self.samples, "test": self.test, "train": self.train}[part]

    def equal_sets(self, seed: int) -> TextSets:
        """The texts that are compared, in random order. Texts with the same number have the same length: long ones are paired with
        long ones, and cut."""
        ranked = [sorted(self.compared(part), key=len) for part in ("samples", "test", "train")]
        lengths = [min(map(len, texts)) for texts in zip(*ranked, strict=True)]
        order = np.random.default_rng(seed).permutation(self.n)
        samples, test, train = ([texts[i][: lengths[i]] for i in order] for texts in ranked)
        return samples, test, train


class ComparedTexts:
    """The texts of an evaluation of running text, and their pieces.

    Args:
        inputs: Inputs of the evaluation.
        held_out, train: Return texts of these parts, or pieces of them.
        add_note: Takes notes on what is compared.
    """

    def __init__(
        self,
        inputs: EvaluationInputs[str],
        held_out: Callable[[], list[str]],
        train: Callable[[], list[str]],
        add_note: Callable[[Note], None],
    ) -> None:
        self._inputs, self._held_out, self._train, self._add_note = inputs, held_out, train, add_note
        self._owners: dict[str, str] = {}  # piece -> the text that it was cut from, where a part has many

    def pieces(self, part: str) -> list[str]:
        """Pieces of PASSAGE characters of "samples", "test" or "train", in random order; those of beginnings that are compared first."""
        return list(itertools.chain(*map(self._cut, self.texts(part))))

    def keys_of_pieces(self, pieces: Sequence[str]) -> Sequence[int]:
        """A number for each of some pieces, which those of one text share: they have its names and its subject.

        Near-duplicate texts share it, too. If a part has fewer than MIN_COUNTED_TEXTS texts, each piece counts by itself.
        """
        keys_of = self._inputs.near_duplicate_groups or equal_keys
        owners = [self._owners.get(piece, piece) for piece in pieces]
        different = list(dict.fromkeys(owners))  # a long text is read once, not for each of its pieces
        keys = dict(zip(different, keys_of(different), strict=True))
        return [keys[owner] for owner in owners]

    def texts(self, part: str) -> tuple[list[str], ...]:
        """The texts of a part; of beginnings first as many as there are of each part, then others."""
        if self.beginnings is not None:
            return self.beginnings.compared(part), self.beginnings.further(part)
        if part == "samples":
            return ([str(text) for text in self._inputs.samples],)
        return (self._train() if part == "train" else self._held_out(),)

    def equal_sets(self) -> TextSets | None:
        """Equally many samples, held-out and training texts, or pieces of them, of the same lengths; None if there is too little."""
        samples, seed = [str(text) for text in self._inputs.samples if text], self._inputs.seed
        if self.beginnings is not None:
            sets = self.beginnings.equal_sets(seed)
        else:
            sets = equal_pieces(samples, self._held_out(), self._train(), seed)
        num_characters, total = sum(map(len, sets[0])), sum(map(len, samples))
        if num_characters < MIN_SAMPLE_CHARACTERS:
            return None
        if self.beginnings is None and num_characters < total:
            self._add_note(_note_on_length(num_characters, total))
        return sets

    @cached_property
    def are_short_texts(self) -> bool:
        """Whether most of the training text is in short documents (quotes, messages), which would give no whole piece."""
        lengths = [len(text) for text in self._train()]
        return sum(length - length % PASSAGE for length in lengths) < sum(lengths) / 2

    @property
    def _num_read(self) -> int:
        """How many documents of a part are read: more short ones, of which several make a piece."""
        lengths = [len(text) for text in self._train()]
        return max(MAX_BEGINNINGS, MAX_BEGINNINGS * PASSAGE * len(lengths) // max(sum(lengths), 1))

    @cached_property
    def are_whole_texts(self) -> bool:
        """Whether samples are whole texts, about as long as held-out ones."""
        return self._inputs.are_whole and have_similar_lengths(list(map(str, self._inputs.samples)), self._held_out())

    @cached_property
    def _joins_rests(self) -> bool:
        """Whether what is left of each text by cutting is compared, too: where texts are whole, or were all cut as samples are."""
        beginnings = self.beginnings
        if beginnings is None:
            return self.are_whole_texts
        return have_similar_lengths(beginnings.samples, beginnings.test)

    def _cut(self, texts: Sequence[str]) -> list[str]:
        joins = {"joins_texts": self.are_short_texts, "joins_rests": self._joins_rests}
        rng = np.random.default_rng(self._inputs.seed)
        cut = without_dominant_texts(texts, rng)
        if len(cut) >= MIN_COUNTED_TEXTS and not self.are_short_texts:
            self._owners |= {piece: text for text in cut for piece in pieces_of(text, PASSAGE)}
        return shuffled_pieces(cut, PASSAGE, rng, **joins)

    @cached_property
    def beginnings(self) -> Beginnings | None:
        """Beginnings of documents, which are compared where samples begin documents; None where they do not, or too few documents
        are held out."""
        samples, read_beginnings = [str(text) for text in self._inputs.samples if text], self._inputs.beginnings
        if read_beginnings is None or not samples:
            return None
        test, train = (read_beginnings(part, self._num_read) for part in ("test", "train"))
        if min(len(test), len(train)) < min(len(samples), MIN_ITEMS):
            few, part = (len(test), "held out") if len(test) <= len(train) else (len(train), "in the train part")
            sentence = (
                f"Samples begin documents, of which only {few:,} {are(few)} {part}: they were compared with passages "
                "from anywhere in the data. Where documents begin alike, even real beginnings differ from these."
            )
            self._add_note(Note(sentence))
            return None
        n = min(len(samples), len(test), len(train))
        subject = "they" if n == len(samples) else f"{n:,} of {len(samples):,}"
        sentence = (
            f"Samples begin documents, so {subject} were compared with the beginnings of {plural(len(test), 'held-out document')}, "
            "cut to the length of samples."
        )
        self._add_note(Note(sentence))
        return Beginnings(n, samples, test, train)


def _note_on_length(num_compared: int, total: int) -> Note:
    """A note on samples of which not all characters were compared."""
    sentence = (
        f"Words, character 4-grams and repetition were measured on {num_compared:,} of the {total:,} characters of the "
        "samples, in passages drawn evenly from all samples: as much as there is held-out text."
    )
    return Note(sentence)
