"""What samples repeat of the data, passages of text and values that should be unique: figures of it, in words."""

from __future__ import annotations

import math
from collections.abc import Sequence

from anew.evaluation.metrics.records.known_keys import KNOWN_KEYS
from anew.evaluation.metrics.text.text_statistics import PASSAGE, VERBATIM_SHARE, known_records
from anew.evaluation.score import Score

# Samples are copied text if more than this share of what is new in held-out text is verbatim in them, at the better end of both
# intervals, and their verbatim share is larger by so much; if only the latter holds, they are at best partly new. Chosen: young
# models are at 0.2, one that recites is at 0.8 (docs/log.md, 2026-11-28).
RECITED, FAR_ABOVE = 0.5, 0.2
# Samples are at best partly new if so many more of them than of held-out records have a value that does not repeat in the data, at
# the worse ends of both intervals; chosen.
MANY_KNOWN_KEYS = 0.05
MIN_SHOWN_SHARE = 0.0005  # a smaller share would be shown as 0.0%


def repeated_text(scores: Sequence[Score]) -> Score | None:
    """The verbatim share of samples, if it is far above that of held-out items; else None."""
    score = next((score for score in scores if score.name == VERBATIM_SHARE.name), None)
    return score if score is not None and _beyond_held_out(score) > FAR_ABOVE else None


def is_recited(score: Score) -> bool:
    """Whether the verbatim share of samples is so far above that of held-out text that they are copied."""
    return score.real_high is not None and _beyond_held_out(score) > RECITED * (1.0 - score.real_high)


def repeated_keys(scores: Sequence[Score]) -> Score | None:
    """The share of samples with a value that never repeats in the data and stands there already, if it is plain; else None."""
    score = next((score for score in scores if score.name == KNOWN_KEYS.name), None)
    return score if score is not None and _beyond_held_out(score) > MANY_KNOWN_KEYS else None


def _beyond_held_out(score: Score) -> float:
    """How far a share is above that of held-out text, at the nearer ends of both intervals; -inf if one has none."""
    return -math.inf if score.low is None or score.real_high is None else score.low - score.real_high


def keys_clause(score: Score) -> str:
    """The share of samples with a value that exists already, as a clause. score: of `KNOWN_KEYS`."""
    real = f"held-out records: {score.real_baseline or 0.0:.0%}"
    return f"{score.value:.0%} of the samples have a value of {score.note} that the data has already ({real})"


def verbatim_clause(score: Score, further: str) -> str:
    """The verbatim share as a clause, and a further clause."""
    clause = f"{score.value:.0%} of the text is word for word in the training data (held-out text: {score.real_baseline:.0%})"
    if score.spec == known_records():
        clause = f"{score.value:.0%} of the samples are training records (held-out records: {score.real_baseline:.0%})"
    return f"{clause}; {further}" if further else clause


def verbatim_sentence(score: Score | None) -> str:
    """The verbatim share in a sentence; "" if it was not measured, or is as good as 0."""
    if score is None or score.real_baseline is None or max(score.value, score.real_baseline) < MIN_SHOWN_SHARE:
        return ""
    if score.spec == known_records():
        return f"{score.value:.1%} of the samples are one of the training records (held-out records: {score.real_baseline:.1%})."
    return (
        f"{score.value:.1%} of the generated text appears word for word, in passages of {PASSAGE} characters or more, in the "
        f"training data (held-out text: {score.real_baseline:.1%})."
    )
