"""Fits the gate that mixes the network with the counts to held-out targets, and says what that means for samples.

Legend for shapes: V vocabulary.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from anew.core.arrays import Ints
from anew.core.specs import Batch, Tokens
from anew.core.wording import listed
from anew.families.transformer.counts.gate_features import GateInputs
from anew.families.transformer.counts.ngram_mixer import NgramMixer, batch_gate_inputs
from anew.families.transformer.drawing.known_records import KnownRecords
from anew.families.transformer.drawing.record_nearness import draws_copies
from anew.families.transformer.parts import TransformerParts
from anew.families.transformer.token_mixer import MAX_FITTED_TARGETS, LogitsOf
from anew.families.transformer.token_sequences import sequences_of

# Log-probabilities of held-out targets together, 64 MB: fewer targets for a large vocabulary
MAX_FITTED_VALUES = 16_777_216
RECORDS_LEFT_OUT = (
    "Samples are drawn without following similar training records, since with them far more samples than held-out records came "
    "near to a training record; scores still use these records."
)
RECURRING_KEYS = (
    "Samples may have the value of a training record in {}, although hardly any two training records agree there: most samples had one "
    "when they were drawn for the first time, so drawing all of them again would prefer what is missing in the data."
)
OTHER_RECORDS = "The run remembers {:,} training records, from everywhere in the data, but not all: a sample may be one of the others."


def fit_mixer(family: TransformerParts, batches: Iterable[Batch], logits_of: LogitsOf) -> None:
    """Fit the gate of a family to held-out records, and draw without aligned records if samples would come too near to them.

    Args:
        batches: Held-out batches; no more is read than the gate needs.
        logits_of: The network's.
    """
    mixer = family.mixer
    inputs: list[GateInputs] = []
    targets: list[Ints] = []
    held_out: list[Ints] = []
    classes: list[int] = []
    for batch in batches:
        batch_inputs, batch_targets, target_mask = batch_gate_inputs(mixer, batch, logits_of)
        inputs.append(batch_inputs.rows(target_mask))
        targets.append(batch_targets[target_mask])
        held_out += sequences_of([batch], MAX_FITTED_TARGETS, classes)
        if sum(map(len, targets)) >= _max_targets(family.spec):
            break
    if not sum(map(len, targets)):
        return
    mixer.fit(GateInputs.concatenate(inputs), np.concatenate(targets))
    if mixer.aligned and draws_copies(family, mixer.records, held_out, classes):
        mixer.leave_records_out()


def targets_of_records(spec: Tokens) -> int:
    """Targets of held-out records that suffice for the gate, which reads each in all of its orders (see `Modality.orderings`)."""
    return _max_targets(spec) // (2 if "back" in spec.special else 1)


def _max_targets(spec: Tokens) -> int:
    return min(MAX_FITTED_TARGETS, MAX_FITTED_VALUES // spec.vocab)


def record_remarks(mixer: NgramMixer, known: KnownRecords) -> tuple[str, ...]:
    """Sentences on how samples and training records go together, where a reader would expect something else."""
    remarks = (RECORDS_LEFT_OUT,) if mixer.drawing() is not mixer else ()
    if not known.is_fitted:
        return remarks
    if known.recurring_fields:
        fields = listed([f"field {field.column + 1}" for field in known.recurring_fields])
        remarks = (*remarks, RECURRING_KEYS.format(fields))
    return remarks if known.are_all else (*remarks, OTHER_RECORDS.format(len(known.stored())))
