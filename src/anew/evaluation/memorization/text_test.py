"""The memorization test of running text: of passages, and of whole texts, for parts that were copied from a single training text.

Passages show what a text has in common with another one somewhere. Real texts have passages in common, too: where a sixth of them
do, a few copies among them are not noticed. But hardly any real text has a large part in common with a single other one, and with
no third one. Therefore whole texts are tested, too (`SoleSourceDistance`). Each test has half the usual level (TEXT_ALPHA).
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from anew.core.arrays import Int32s, Integers
from anew.evaluation.memorization.copying_test import Indices, bonferroni_p
from anew.evaluation.memorization.item_groups import exchangeable_groups
from anew.evaluation.memorization.item_types import PASSAGE, PASSAGES, WHOLE_TEXTS, Passages, cut_passages
from anew.evaluation.memorization.memorization_test import DEFAULTS, MemorizationOptions, MemorizationTest
from anew.evaluation.memorization.repeated_texts import proves_copies, repeated_texts, with_repeated_texts
from anew.evaluation.memorization.result import ClosestPair, CopyTestResult
from anew.evaluation.memorization.sole_source import WINDOW, WholeText, texts_cut_to_lengths
from anew.evaluation.memorization.texts import longest_matches
from anew.functional.text_hashes import code_points

# Passages of an excerpt: of long documents a small test compares excerpts, so that it has many documents to permute the labels of
EXCERPT = 16
SPAN_RATIO = 4.0  # held-out texts were cut out of documents if training texts are this many times longer; chosen


@dataclass(frozen=True, slots=True)
class _Chosen:
    """Passages that are compared, by their rows in all passages of one part."""

    passages: Passages
    rows: Indices

    @property
    def texts(self) -> list[str]:
        return [self.passages.texts[i] for i in self.rows]

    @property
    def groups(self) -> Indices:
        return self.passages.group[self.rows]

    @property
    def share(self) -> float:
        """The share of the passages of the part."""
        return len(self.rows) / max(len(self.passages), 1)

    @property
    def are_excerpts(self) -> bool:
        """Whether not all passages of each group are compared."""
        sizes = np.bincount(self.passages.group)
        return any(len(rows) < sizes[self.passages.group[rows[0]]] for rows in self.rows_of_groups())

    def rows_of_groups(self) -> list[Indices]:
        """The rows of each group."""
        if not len(self.rows):
            return []
        return np.split(self.rows, np.flatnonzero(np.diff(self.groups)) + 1)

    def whole_texts(self) -> list[str]:
        """The texts, or excerpts of them, that the passages of each group make up."""
        return ["".join(self.passages.texts[i] for i in rows) for rows in self.rows_of_groups()]

    def place(self, number: int, offset: int) -> tuple[int, int]:
        """The index of the text, and the offset there, of a character of one of `whole_texts`."""
        rows = self.rows_of_groups()[number]
        starts = np.cumsum([0, *(len(self.passages.texts[i]) for i in rows[:-1])])
        k = int(np.searchsorted(starts, offset, side="right")) - 1
        return int(self.passages.owner[rows[k]]), int(self.passages.start[rows[k]]) + offset - int(starts[k])


def run_text_test(
    samples: Sequence[str],
    train: Sequence[str],
    held_out: Sequence[str],
    groups: Integers | None = None,
    options: MemorizationOptions = DEFAULTS,
    *,
    max_samples: int | None = None,
    max_real: int | None = None,
    num_train_texts: int | None = None,
) -> CopyTestResult:
    """Test texts for copies, in passages and as a whole.

    Labels are permuted by what was held out as one piece: a document with its near-duplicates, or a span if spans were cut out of
    few documents.

    Args:
        samples, train, held_out: Texts.
        groups: Group of each training and then each held-out text, which near-duplicates share. None: each is its own group.
        options: Options that both tests share.
        max_samples: Number of passages of samples that are compared, drawn at random, and of the first whole samples; None: all.
        max_real: Number of passages of training and held-out texts together; None: all.
        num_train_texts: Number of all training texts, if `train` are only some of them, drawn at random.
    """
    block, rng = _block(train, held_out), np.random.default_rng(options.seed)
    sample_passages, train_passages, held_out_passages = (
        cut_passages(samples, PASSAGE, _block(samples, held_out)),
        cut_passages(train, PASSAGE, block),
        cut_passages(held_out, PASSAGE, block),
    )
    if groups is not None and block is None:
        train_passages, held_out_passages = (
            _with_groups(passages, part)
            for passages, part in zip(
                (train_passages, held_out_passages), _groups_of_parts(groups, len(train)), strict=True
            )
        )
    num_samples = len(sample_passages) if max_samples is None else min(max_samples, len(sample_passages))
    chosen_samples = _Chosen(sample_passages, np.sort(rng.permutation(len(sample_passages))[:num_samples]))
    chosen_train, chosen_held_out = _choose_real(train_passages, held_out_passages, max_real, rng)
    max_texts = np.inf if max_samples is None else max_samples
    whole_samples = _Chosen(sample_passages, np.flatnonzero(sample_passages.group < max_texts))
    if not len(sample_passages) or not len(train_passages):
        raise ValueError("a test needs samples and training texts")
    # Where spans of few documents were held out, there are too few of them to measure what would be caught
    is_cut = block is not None
    train_share = len(train) / max(num_train_texts or 0, len(train))
    bare = replace(options, controls=False)
    whole = _test_whole_texts(
        whole_samples, chosen_train, chosen_held_out, train_share, bare if is_cut else options, rng
    )
    passages = _test_passages(chosen_samples, chosen_train, chosen_held_out, train_share, options if is_cut else bare)
    if is_cut:  # no sample is a whole text
        return combined(passages, whole, passages)
    tested = [samples[i] for i in np.unique(whole_samples.passages.owner[whole_samples.rows])[: whole.samples]]
    repeats = repeated_texts(tested, train, held_out, rng)
    result = combined(passages, whole, whole, prefers_whole=proves_copies(repeats))
    return result if result.unit == "passage" else with_repeated_texts(result, repeats)


def _test_passages(
    samples: _Chosen, train: _Chosen, held_out: _Chosen, train_share: float, options: MemorizationOptions
) -> CopyTestResult:
    """Test passages. train_share: share of all training texts that `train.passages` come from."""
    first_held_out_group = int(train.passages.group.max(initial=-1)) + 1
    result = MemorizationTest(
        PASSAGES,
        samples.texts,
        train.texts,
        held_out.texts,
        np.concatenate([train.groups, held_out.groups + first_held_out_group]),
        options,
        sample_groups=samples.groups,
        num_train_total=round(len(train.passages) / train_share),
    ).run()
    pairs = [_in_texts(pair, samples, train) for pair in result.pairs]
    notes = list(result.notes)
    if result.samples < len(samples.rows):
        counts = f"{result.samples:,} of {len(samples.rows):,} passages of samples"
        notes.append(f"Copying test: there was time to compare only {counts}.")
    return replace(result, pairs=pairs, notes=notes, unit="passage")


def _test_whole_texts(
    samples: _Chosen,
    train: _Chosen,
    held_out: _Chosen,
    train_share: float,
    options: MemorizationOptions,
    rng: np.random.Generator,
) -> CopyTestResult:
    """Test whole texts. train_share: see `_test_passages`."""
    train_texts, sample_texts = train.whole_texts(), samples.whole_texts()
    real_texts = [*train_texts, *held_out.whole_texts()]
    real = texts_cut_to_lengths(real_texts, sample_texts, rng)
    sample_cuts = texts_cut_to_lengths(sample_texts, real_texts, rng)
    parts = [text.text[text.start : text.stop] for text in sample_cuts]
    # As many as the whole training part has of this length
    num_excerpts = round(len(train_texts) / (train.share * train_share))
    result = MemorizationTest(
        WHOLE_TEXTS,
        [WholeText(part, 0, len(part), len(part)) for part in parts],
        real[: len(train_texts)],
        real[len(train_texts) :],
        options=options,
        num_train_total=num_excerpts,
    ).run()
    pairs = []
    for pair in result.pairs:
        if math.isinf(pair.distance):  # no part of it stands in a single training text
            continue
        match = longest_matches([parts[pair.sample]], code_points(train_texts[pair.train]), WINDOW)[0]
        starts = (0, 0) if match is None else (sample_cuts[pair.sample].start + match.start, match.place)
        (sample, sample_start), (text, start) = (
            samples.place(pair.sample, starts[0]),
            train.place(pair.train, starts[1]),
        )
        pairs.append(replace(pair, sample=sample, train=text, sample_start=sample_start, train_start=start))
    if train.are_excerpts:
        return replace(result, pairs=pairs, n_train_total=num_excerpts, unit="excerpt")
    return replace(result, pairs=pairs, n_train_total=round(len(np.unique(train.passages.group)) / train_share))


def combined(
    passages: CopyTestResult, whole: CopyTestResult, measured: CopyTestResult, *, prefers_whole: bool = False
) -> CopyTestResult:
    """The result of the test that found copies with the smaller p-value, if any, with the p-value of both together.

    Args:
        passages, whole: The results of both tests.
        measured: The one with controls, which stand for both; the result if neither found copies.
        prefers_whole: Whether that of whole texts is given, whichever found copies.
    """
    p = bonferroni_p(passages.p, whole.p)
    results = (passages, whole)
    doubtful = [result for result in results if result.method == "shifted" or result.invalid]
    if doubtful:
        return replace(doubtful[0], p=p)
    decisive = min((result for result in results if result.detected), key=lambda result: result.p, default=measured)
    decisive = whole if prefers_whole else decisive
    return replace(
        decisive,
        p=p,
        detection_limit=measured.detection_limit,
        near=measured.near,
        controls=measured.controls,
        control_p=measured.control_p if decisive.control_p is None else decisive.control_p,
        training_distance=measured.training_distance,
        picture=measured.picture,
        shortened=passages.shortened or whole.shortened,
        notes=list(dict.fromkeys([*passages.notes, *whole.notes])),
    )


def _in_texts(pair: ClosestPair, samples: _Chosen, train: _Chosen) -> ClosestPair:
    """A pair of passages by the texts that they were cut from, and their offsets there."""
    sample, training = samples.rows[pair.sample], train.rows[pair.train]
    return replace(
        pair,
        sample=int(samples.passages.owner[sample]),
        train=int(train.passages.owner[training]),
        sample_start=int(samples.passages.start[sample]),
        train_start=int(train.passages.start[training]),
    )


def _groups_of_parts(groups: Integers, num_train: int) -> tuple[Int32s, Int32s]:
    """The groups of training and of held-out texts."""
    numbers = exchangeable_groups(np.asarray(groups), np.arange(len(groups)) < num_train)[0]
    return numbers[:num_train], numbers[num_train:]


def _with_groups(passages: Passages, groups: Integers) -> Passages:
    """The passages of texts in these groups, one group after the other."""
    order = np.argsort(groups[passages.owner], kind="stable")
    numbers = np.unique(groups[passages.owner][order], return_inverse=True)[1]
    return Passages([passages.texts[i] for i in order], passages.owner[order], passages.start[order], numbers)


def _choose_real(
    train: Passages, held_out: Passages, max_real: int | None, rng: np.random.Generator
) -> tuple[_Chosen, _Chosen]:
    """About `max_real` passages, of as many groups of either part where there are so many; all if there are no more.

    How many groups, and the longest excerpt of each, must not depend on which part the long texts are in: labels would not be
    exchangeable. A test of a few whole documents accused a model of copying the one long training document that it took.
    """
    parts = (train, held_out)
    if max_real is None or len(train) + len(held_out) <= max_real:
        chosen = [_Chosen(part, np.arange(len(part))) for part in parts]
        return chosen[0], chosen[1]
    sizes = [np.bincount(part.group) for part in parts]
    num_groups, longest = _size_of_excerpts(np.concatenate(sizes), max_real)
    num_held_out = min(len(sizes[1]), max(num_groups // 2, num_groups - len(sizes[0])))
    counts = (min(len(sizes[0]), max(num_groups - num_held_out, 1)), num_held_out)
    chosen = [
        _Chosen(part, _excerpts(size, count, longest, rng))
        for part, size, count in zip(parts, sizes, counts, strict=True)
    ]
    return chosen[0], chosen[1]


def _size_of_excerpts(sizes: Integers, max_passages: int) -> tuple[int, int]:
    """How many groups of these sizes to compare, and at most how many passages of each."""
    num_groups = int(max_passages / np.minimum(sizes, EXCERPT).mean())
    if num_groups < len(sizes):
        return num_groups, EXCERPT
    lengths = range(EXCERPT, int(sizes.max()) + 1)
    return len(sizes), lengths[bisect_right(lengths, max_passages, key=lambda k: int(np.minimum(sizes, k).sum())) - 1]


def _excerpts(sizes: Integers, num_groups: int, longest: int, rng: np.random.Generator) -> Indices:
    """Rows of an excerpt of some groups, drawn at random. sizes: the number of rows of each group, one after the other."""
    first_rows = np.cumsum(sizes) - sizes
    rows = []
    for group in np.sort(rng.permutation(len(sizes))[:num_groups]):
        length = min(int(sizes[group]), longest)
        start = int(first_rows[group]) + int(rng.integers(int(sizes[group]) - length + 1))
        rows.append(np.arange(start, start + length))
    return np.concatenate([np.zeros(0, dtype=np.intp), *rows])


def _block(train: Sequence[str], held_out: Sequence[str]) -> int | None:
    """The characters of a span if held-out texts are spans cut out of documents; None if they are documents."""
    if not held_out or not train:
        return None
    train_length, held_out_length = (float(np.median([len(text) for text in texts])) for texts in (train, held_out))
    return max(int(held_out_length), 1) if train_length > SPAN_RATIO * held_out_length else None
