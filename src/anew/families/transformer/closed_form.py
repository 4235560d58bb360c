"""The parts of a Transformer that are fitted before the training, in one pass over the train part.

Legend for shapes: L tokens of a sequence.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from anew.core.arrays import Ints, spaced_indices
from anew.core.specs import Batch
from anew.estimators.alignment_experts import SUBSTITUTION_TOKENS
from anew.families.transformer.counts.ngram_mixer import NgramMixer
from anew.families.transformer.parts import TransformerParts
from anew.families.transformer.token_sequences import (
    documents_from_beginnings,
    first_tokens,
    sequences_of,
    thinned_sequences,
)

# Most tokens of the records that are remembered: some 700,000 short records, which take 3 s and 6 MB, and 6 MB more for each key field
MAX_KNOWN_TOKENS = 8_000_000
# Substitutions are counted in this share of the tokens that are counted; chosen.
SUBSTITUTION_SHARE = 0.05


def fit_to_records(family: TransformerParts, batches: Iterable[Batch]) -> list[Ints]:
    """Remember the records of batches, and count as many of them as the settings allow. Returns the records (L,).

    If there are too many, both take records from everywhere in the batches."""
    known, config = family.known, family.config
    records, classes, are_all = thinned_sequences(batches, MAX_KNOWN_TOKENS, known.back_id)
    known.fit(records)
    if not are_all:
        known.note_others()
    family.rows.fit(records)
    family.syntax.fit(records)
    if config.ngrams:
        _count_records(family.mixer, records, classes, config.context_tokens)
    return records


def fit_to_texts(family: TransformerParts, batches: Iterable[Batch], max_tokens: int) -> list[Ints]:
    """Count at most `max_tokens` of the batches, or their contexts, as the settings say.

    Returns:
        The sequences (L,), which follow each other; documents are in random order.
    """
    classes: list[int] = []
    texts, config = list(sequences_of(batches, max_tokens, classes)), family.config
    if config.ngrams:
        end = family.spec.special.get("end") if family.spec.packed else None
        if end is None:
            family.mixer.fit_counts(texts)
        else:
            documents, document_classes = documents_from_beginnings(texts, end, classes)
            family.mixer.fit_counts(documents, document_classes, first_is_given=True)
        if family.spec.packed:
            family.passages.keep(texts)
    if family.programs.has_grammar:
        family.programs.fit(documents_from_beginnings(texts, family.programs.end_id, classes)[0])
    if config.contexts:
        family.contexts.fit(texts, config.context_learned, classes)
    return texts


def _count_records(mixer: NgramMixer, records: Sequence[Ints], classes: Sequence[int], max_tokens: int) -> None:
    """Count tokens of records, up to a limit. classes: those of the records."""
    share = min(max_tokens / max(1, sum(map(len, records))), 1.0)
    numbers = spaced_indices(len(records), max(1, round(share * len(records))))
    counted = list(first_tokens((records[number] for number in numbers), max_tokens))
    substitution_tokens = min(SUBSTITUTION_TOKENS, round(SUBSTITUTION_SHARE * max_tokens))
    mixer.fit_counts(counted, [classes[number] for number in numbers], substitution_tokens)
