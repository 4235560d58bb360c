"""The audit of running text: in passages, and in whole texts, of which parts were copied from single training texts.

Passages show what a text has in common with another one somewhere. Real texts have passages in common, too: where a sixth of them
do, a few copies among them are not noticed. But hardly any real text has a large part in common with a single other one, and with
no third one. So whole texts are audited, too (`SoleSourceDistance`). Each test has half the usual level (TEXT_ALPHA).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TypedDict, Unpack

import numpy as np

from anew.evaluation.memorization.audit import audit
from anew.evaluation.memorization.copying_test import Indices, bonferroni_p
from anew.evaluation.memorization.item_types import PASSAGE, PASSAGES, WHOLE_TEXTS, Passages, cut_passages
from anew.evaluation.memorization.remembered import SearchProgress, no_progress
from anew.evaluation.memorization.result import ClosestPair, CopyTestResult
from anew.evaluation.memorization.sole_source import WINDOW, WholeText, posing_texts
from anew.evaluation.memorization.texts import codes, longest_matches

SPAN_RATIO = 4.0  # held-out texts were cut out of documents if training texts are this many times longer; chosen


class _Settings(TypedDict):
    """Arguments of both audits, see `Audit`."""

    randomly_held_out: bool
    seed: int
    brief: bool
    remaining: Callable[[], float]
    progress: SearchProgress


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
    def first_rows(self) -> Indices:
        """Row of the first passage of each group."""
        return self.rows[np.unique(self.groups, return_index=True)[1]]

    def whole_texts(self) -> list[str]:
        """The texts, or spans of them, that the passages of each group make up."""
        cuts = np.flatnonzero(np.diff(self.groups)) + 1
        return (
            ["".join(self.passages.texts[i] for i in rows) for rows in np.split(self.rows, cuts)]
            if len(self.rows)
            else []
        )


def audit_texts(
    samples: Sequence[str],
    train: Sequence[str],
    held_out: Sequence[str],
    *,
    width: int = PASSAGE,
    max_samples: int | None = None,
    max_real: int | None = None,
    randomly_held_out: bool = True,
    seed: int = 0,
    controls: bool = True,
    brief: bool = False,
    remaining: Callable[[], float] = lambda: math.inf,
    progress: SearchProgress = no_progress,
) -> CopyTestResult:
    """Audit texts for copies, in passages and as a whole.

    Labels are permuted by what was held out as one piece: a document, or a span if spans were cut out of few documents.

    Args:
        samples, train, held_out: Texts.
        width: Characters of a passage.
        max_samples: Number of passages of samples that are compared, drawn at random, and of the first whole samples; None: all.
        max_real: Number of passages of training and held-out texts together; None: all.
        randomly_held_out, seed, controls, brief, remaining, progress: See `audit`.
    """
    block, rng = _block(train, held_out), np.random.default_rng(seed)
    sample_passages, train_passages, held_out_passages = (
        cut_passages(samples, width, _block(samples, held_out)),
        cut_passages(train, width, block),
        cut_passages(held_out, width, block),
    )
    chosen_samples = _Chosen(sample_passages, _choose_groups(np.arange(len(sample_passages)), max_samples, rng))
    max_held_out = None if max_real is None else max(max_real // 2, max_real - len(train_passages))
    chosen_held_out = _Chosen(held_out_passages, _choose_groups(held_out_passages.group, max_held_out, rng))
    max_train = None if max_real is None else max_real - len(chosen_held_out.rows)
    chosen_train = _Chosen(train_passages, _choose_groups(train_passages.group, max_train, rng))
    whole_samples = _Chosen(sample_passages, np.flatnonzero(sample_passages.group < (max_samples or np.inf)))
    if not len(sample_passages) or not len(train_passages):
        raise ValueError("an audit needs samples and training texts")
    settings: _Settings = {
        "randomly_held_out": randomly_held_out,
        "seed": seed,
        "brief": brief,
        "remaining": remaining,
        "progress": progress,
    }
    # Where spans of few documents were held out, there are too few of them to measure what would be caught
    is_cut = block is not None
    whole = _audit_whole_texts(
        whole_samples, chosen_train, chosen_held_out, rng, controls=controls and not is_cut, **settings
    )
    passages = _audit_passages(chosen_samples, chosen_train, chosen_held_out, controls=controls and is_cut, **settings)
    return combined(passages, whole, passages if is_cut else whole)


def _audit_passages(
    samples: _Chosen, train: _Chosen, held_out: _Chosen, *, controls: bool, **settings: Unpack[_Settings]
) -> CopyTestResult:
    first_held_out_group = int(train.passages.group.max(initial=-1)) + 1
    result = audit(
        PASSAGES,
        samples.texts,
        train.texts,
        held_out.texts,
        np.concatenate([train.groups, held_out.groups + first_held_out_group]),
        sample_groups=samples.groups,
        n_train_total=len(train.passages),
        controls=controls,
        **settings,
    )
    pairs = [_in_texts(pair, samples, samples.rows, train, train.rows) for pair in result.pairs]
    notes = list(result.notes)
    if result.samples < len(samples.rows):
        counts = f"{result.samples:,} of {len(samples.rows):,} passages of samples"
        notes.append(f"Copying test: there was time to compare only {counts}.")
    return replace(result, pairs=pairs, notes=notes)


def _audit_whole_texts(
    samples: _Chosen,
    train: _Chosen,
    held_out: _Chosen,
    rng: np.random.Generator,
    *,
    controls: bool,
    **settings: Unpack[_Settings],
) -> CopyTestResult:
    train_texts, sample_texts = train.whole_texts(), samples.whole_texts()
    real_texts = [*train_texts, *held_out.whole_texts()]
    real = posing_texts(real_texts, sample_texts, rng)
    posing = posing_texts(sample_texts, real_texts, rng)
    parts = [text.text[text.start : text.stop] for text in posing]
    result = audit(
        WHOLE_TEXTS,
        [WholeText(part, 0, len(part), len(part)) for part in parts],
        real[: len(train_texts)],
        real[len(train_texts) :],
        n_train_total=len(np.unique(train.passages.group)),
        controls=controls,
        **settings,
    )
    pairs = []
    for pair in result.pairs:
        if math.isinf(pair.distance):  # no part of it stands in a single training text
            continue
        match = longest_matches([parts[pair.sample]], codes(train_texts[pair.train]), WINDOW)[0]
        starts = (0, 0) if match is None else (posing[pair.sample].start + match.start, match.place)
        located = _in_texts(pair, samples, samples.first_rows, train, train.first_rows)
        pairs.append(
            replace(
                located,
                sample_start=located.sample_start + starts[0],
                train_start=located.train_start + starts[1],
            )
        )
    return replace(result, pairs=pairs)


def combined(passages: CopyTestResult, whole: CopyTestResult, measured: CopyTestResult) -> CopyTestResult:
    """The result of the audit that found copies with the smaller p-value, if any, with the p-value of both together.

    Args:
        passages, whole: The results of both audits.
        measured: The one with controls, which stand for both; the result if neither found copies.
    """
    p = bonferroni_p(passages.p, whole.p)
    both = (passages, whole)
    doubtful = [result for result in both if result.method == "shifted" or result.invalid]
    if doubtful:
        return replace(doubtful[0], p=p)
    decisive = min((result for result in both if result.found), key=lambda result: result.p, default=measured)
    return replace(
        decisive,
        p=p,
        detection_limit=measured.detection_limit,
        controls=measured.controls,
        control_p=measured.control_p if decisive.control_p is None else decisive.control_p,
        training_distance=measured.training_distance,
        picture=measured.picture,
        shortened=passages.shortened or whole.shortened,
        notes=list(dict.fromkeys([*passages.notes, *whole.notes])),
    )


def _in_texts(
    pair: ClosestPair, samples: _Chosen, sample_rows: Indices, train: _Chosen, train_rows: Indices
) -> ClosestPair:
    """A pair of passages by the texts that they were cut from, and their offsets there."""
    sample, training = sample_rows[pair.sample], train_rows[pair.train]
    return replace(
        pair,
        sample=int(samples.passages.owner[sample]),
        train=int(train.passages.owner[training]),
        sample_start=int(samples.passages.start[sample]),
        train_start=int(train.passages.start[training]),
    )


def _choose_groups(groups: Indices, max_items: int | None, rng: np.random.Generator) -> Indices:
    """Sorted indices of about `max_items` items, of whole groups drawn at random; all if there are no more."""
    if max_items is None or len(groups) <= max_items:
        return np.arange(len(groups))
    different, sizes = np.unique(groups, return_counts=True)
    order = rng.permutation(len(different))
    last = max(int(np.searchsorted(np.cumsum(sizes[order]), max_items, side="right")), 1)
    return np.flatnonzero(np.isin(groups, different[order[:last]]))


def _block(train: Sequence[str], held_out: Sequence[str]) -> int | None:
    """The characters of a span if held-out texts are spans cut out of documents; None if they are documents."""
    if not held_out or not train:
        return None
    train_length, held_out_length = (float(np.median([len(text) for text in texts])) for texts in (train, held_out))
    return max(int(held_out_length), 1) if train_length > SPAN_RATIO * held_out_length else None
