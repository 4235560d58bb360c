"""The counting head of the Transformer: Kneser-Ney probabilities, of all records, of those of a class and of the fields of rows,
and, in records of a small alphabet, those of known records that are aligned with the new one. A gate mixes them with the network's;
it sees how sure each model is and how well it did on the tokens before. How likely a record is to end follows from its length, too.
If the mixture fails, `fixed_share` turns to the network alone or to the uniform distribution or, in scoring, to `record_noise`.

Legend for shapes: n targets or rows, B records, L targets of a record, V vocabulary, F features, S models (network, counts
and perhaps aligned records).
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from copy import copy
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from anew.core.arrays import Bools, Doubles, Floats, Ints
from anew.core.specs import Batch
from anew.estimators.alignment_experts import SUBSTITUTION_TOKENS, AlignmentIndex, Prediction
from anew.estimators.kneser_ney import KneserNey
from anew.families.transformer.counts.added_counts import CombinedCounts, CountBuffers, CountContexts
from anew.families.transformer.counts.aligned_records import (
    RECORD_DTYPES,
    arrays_of_records,
    check_records,
    restore_records,
)
from anew.families.transformer.counts.class_counts import ClassCounts, known_classes
from anew.families.transformer.counts.field_counts import FieldCounts
from anew.families.transformer.counts.fixed_share import FixedShare, shared_log_probs, uniform_distribution
from anew.families.transformer.counts.gate_features import Distribution, GateInputs, gate_features, num_features
from anew.families.transformer.counts.mixer_state import MixerState
from anew.families.transformer.counts.mixing import Gate, fit_gate, mix_log_probs, normalize, softmax
from anew.families.transformer.counts.record_ends import WEIGHTS, WEIGHTS_ALONE, RecordEnds
from anew.families.transformer.counts.record_noise import RecordNoise, RecordNoises
from anew.families.transformer.token_mixer import LogitsOf, NetworkOf, RowState, TokenMixer

# Share of the bits of held-out records that aligned records must save to be kept: names get worse with them, and a run
# stores its records (docs/log.md, 2026-11-26).
MIN_GAIN = 0.005
GATE = "gate"
# The gate with which samples are drawn if they would come too near to the records
GATE_ALONE = "gate_without_records"
# Their bounds, which gates of older runs lack
BOUNDS, BOUNDS_ALONE = "gate_bounds", "gate_bounds_without_records"
MOSTLY_NEAR = 0.5  # share of places with near relatives from which on these are usual; chosen
VALUES_AT_ONCE = 8_388_608  # log-probabilities that are mixed at a time, which bounds memory (32 MB)


class NgramMixer(CountBuffers, TokenMixer):
    """Counts, known records and gate as buffers.

    Args:
        order: Longest context that is counted, in tokens.
        aligned: Whether known records are aligned with the new one.
        never_targets: Ids that never follow anything, such as the begin token of a record.
        end_id: The last id of a record; None if the lengths of known sequences do not say where it stands.
        num_classes: Number of classes of records; 0 without.
        spellings: (V,) the bytes of each token, by which rows are recognised; () where sequences are not records, or there are none.
    """

    gate: Tensor  # (F, S)

    def __init__(
        self,
        vocab_size: int,
        order: int,
        *,
        aligned: bool = False,
        never_targets: Collection[int] = (),
        end_id: int | None = None,
        num_classes: int = 0,
        spellings: Sequence[bytes] = (),
    ) -> None:
        super().__init__(vocab_size, order)
        gates = dict.fromkeys((GATE, GATE_ALONE, BOUNDS, BOUNDS_ALONE), torch.float64)
        self.dtypes = {**self.dtypes, **RECORD_DTYPES, **gates}
        self.aligned = aligned
        self.ends, self.by_class = RecordEnds(end_id), ClassCounts(vocab_size, order, num_classes)
        self.by_field = FieldCounts(vocab_size, order, spellings)
        self._records: AlignmentIndex | None = None
        self._gate: Gate | None = None
        self.uniform = uniform_distribution(vocab_size, never_targets)
        self.noise = RecordNoise(self.uniform, end_id)
        self._first_gate = np.zeros((num_features(order, aligned), self.num_models))
        self._first_gate[-1] = 1 / self.num_models
        # Those of a mixture without aligned records, where `fit` keeps the records
        self._gate_alone, self._weights_alone = Gate(self._first_gate), np.zeros(2)

    @property
    def num_models(self) -> int:
        """S."""
        return 3 if self.aligned else 2

    @property
    def is_fitted(self) -> bool:
        return "contexts_0" in self._buffers

    @property
    def left_out(self) -> tuple[str, ...]:
        if not self.is_fitted:
            return ()
        parts = [f"counts of contexts of up to {self.order} tokens, without which text is predicted less well"]
        if self.by_field.is_counted:
            parts.append("counts by the field of a row and what another field of it holds")
        if self.ends.is_counted:
            parts.append("how long training records are")
        if self.aligned:
            parts.append("training records that are similar, which are followed where they fit")
        return tuple(parts)

    def new_state(self, n: int, labels: Ints | None = None) -> MixerState:
        """The state of n rows of which nothing has been read. labels: (n,) their classes; None where no class is known."""
        experts = self.records.experts(n, classes=labels) if self.aligned else None
        return MixerState(n, self.num_models, experts, labels)

    # -- what is fitted -------------------------------------------------------------------------------------------------

    def fit_counts(
        self,
        sequences: Sequence[Ints],
        classes: Sequence[int] = (),
        substitution_tokens: int = SUBSTITUTION_TOKENS,
        first_is_given: bool = False,
    ) -> None:
        """Count token sequences that do not continue each other.

        classes: of the first sequences, -1 without; () for none. first_is_given: see `KneserNey.fit`."""
        counts = KneserNey.fit(sequences, self.vocab_size, self.order, first_is_given=first_is_given)
        arrays = {**counts.arrays(), GATE: self._first_gate}
        self.drop_buffers(BOUNDS)
        if self.aligned:
            index = AlignmentIndex.fit(sequences, self.vocab_size, substitution_tokens, classes)
            self.drop_buffers(*RECORD_DTYPES)
            arrays |= arrays_of_records(index)
        self.set_buffers(arrays)
        self.ends.count(sequences)
        if classes:
            self.by_class.count(sequences, np.array(classes[: len(sequences)], dtype=np.int64))
        self.by_field.count(sequences)

    def allocate_buffers(self, shapes: Mapping[str, torch.Size]) -> None:
        if GATE in shapes and shapes[GATE] != self._first_gate.shape:  # its fit dropped the aligned records
            self._drop_records()
        super().allocate_buffers(shapes)

    def check(self) -> None:
        if not self.is_fitted:
            return
        self.check_counts()
        self.ends.check()
        self.by_class.check()
        self.by_field.check()
        if self.aligned:
            check_records(self.arrays(), self.vocab_size, self.by_class.num_classes)
        self.fitted_gate.check()
        self.drawing().fitted_gate.check()

    def clear_cache(self) -> None:
        super().clear_cache()
        self._records = self._gate = None

    @property
    def fitted_gate(self) -> Gate:
        """The gate, on the CPU."""
        if self._gate is None:
            self._gate = Gate.restore(self.arrays(), GATE, BOUNDS)
        return self._gate

    @property
    def combined(self) -> CombinedCounts:
        """The counts of all records with those by class and by field."""
        return CombinedCounts(self.counts, (self.by_class, self.by_field))

    @property
    def records(self) -> AlignmentIndex:
        """The records of the train part, if `aligned`."""
        if self._records is None:
            self._records = restore_records(self.arrays(), self.vocab_size)
        return self._records

    def _drop_records(self) -> None:
        """Remove the aligned records, which are of no use."""
        self.drop_buffers(*RECORD_DTYPES)
        self.aligned = False

    def drawing(self) -> NgramMixer:
        """This mixer or, after `leave_records_out`, one without the aligned records."""
        if GATE_ALONE not in self._buffers:
            return self
        alone = copy(self)  # shares all buffers
        alone._counts, alone.aligned = self.counts, False
        alone._gate = Gate.restore(self.arrays(), GATE_ALONE, BOUNDS_ALONE)
        return alone

    def leave_records_out(self) -> None:
        """From now on, draw samples without the aligned records; after `fit`."""
        self.set_buffers(self._gate_alone.arrays(GATE_ALONE, BOUNDS_ALONE))
        self.ends.set_weights(WEIGHTS_ALONE, self._weights_alone)

    # -- one step -------------------------------------------------------------------------------------------------------

    def unigram(self) -> Floats:
        return self.counts.unigram

    def weights_after(self, ids: Ints, logits: Floats, state: RowState) -> Floats:
        assert isinstance(state, MixerState)
        return self.step(self.combined.last_contexts(ids, state.labels), logits, state)

    def read_prompt(
        self, ids: Ints, num_known: int, network_of: NetworkOf, adapts: bool = True, labels: Ints | None = None
    ) -> MixerState:
        """See the function `read_prompt`. Counts never learn from samples."""
        return read_prompt(self, ids, num_known, network_of, labels)

    def step(self, contexts: CountContexts, logits: Floats, state: MixerState) -> Floats:
        """(n, V) joint probabilities of the next token in each row. The state records all models' proposals until `observe` gives
        the actual token. logits: (n, V) of the network."""
        counted = self.combined.distribution(contexts)
        models = [Distribution(*softmax(logits)), Distribution(counted, np.log(counted))]
        log_odds = None
        if state.experts is not None:
            prediction = state.experts.predict()
            log_odds = prediction.log_odds
            models.append(Distribution(prediction.probabilities, np.log(prediction.probabilities)))
        mixed = normalize(self._mix(contexts, models, state.recent.means, log_odds))
        mixed = np.exp(self.ends.weigh(mixed, state.place, alone=not self.aligned))
        experts = [mixed, models[0].probs, self.uniform]
        state.propose([model.log_probs for model in models], experts)
        return state.share.mix(experts)

    # -- many targets at once -------------------------------------------------------------------------------------------

    def log_probs_by_side(self, batch: Batch, logits_of: LogitsOf) -> dict[str, Tensor]:
        inputs, flat_targets, flat_mask = batch_gate_inputs(self, batch, logits_of)
        targets = flat_targets.reshape(len(batch), -1)  # (B, L)
        network, counted = self.target_log_probs(inputs.contexts, inputs.network, targets)
        sides: dict[str, Floats | Doubles] = {"network": network, "counts": counted}
        if inputs.aligned is not None:
            of_records = inputs.aligned[np.arange(len(flat_targets)), flat_targets]
            sides["records"] = of_records.reshape(targets.shape)
        sides["together"] = self.joint_log_probs(inputs, targets, flat_mask.reshape(targets.shape))
        return {name: torch.from_numpy(np.asarray(nats, dtype=np.float64)) for name, nats in sides.items()}

    def gate_inputs(self, ids: Ints, network: Floats, state: MixerState) -> GateInputs:
        """Gate inputs of the targets ids[:, 1:], which a new state reads. ids: (B, L+1), network: (B*L, V) log-probabilities."""
        contexts = self.combined.contexts(ids[:, :-1], state.labels)
        shape = (len(ids), ids.shape[1] - 1)
        recent = np.empty((*shape, self.num_models))
        aligned = np.empty((*shape, self.vocab_size if self.aligned else 0), dtype=np.float32)
        log_odds, is_near = np.empty(shape, dtype=np.float32), np.empty(shape, dtype=bool)
        log_probs = self.target_log_probs(contexts, network, ids[:, 1:])
        for place, (means, prediction) in enumerate(self.replay(ids, log_probs, state)):
            recent[:, place] = means
            if prediction is not None:
                np.log(prediction.probabilities, out=aligned[:, place])
                log_odds[:, place], is_near[:, place] = prediction.log_odds, prediction.is_near
        places = np.tile(np.arange(1, ids.shape[1]), len(ids))
        inputs = GateInputs(contexts, network, recent.reshape(-1, self.num_models), places)
        if not self.aligned:
            return inputs
        aligned = aligned.reshape(-1, self.vocab_size)
        return replace(inputs, aligned=aligned, log_odds=log_odds.ravel(), is_near=is_near.ravel())

    def target_log_probs(self, contexts: CountContexts, network: Floats, targets: Ints) -> Floats:
        """(2, B, L) log-probabilities that network and counts gave the targets (B, L), which have these contexts. network: (B*L, V)."""
        flat = targets.ravel()
        of_network = network[np.arange(len(flat)), flat]
        of_counts = np.log(self.combined.probability(contexts, flat))
        return np.stack((of_network, of_counts)).reshape(2, *targets.shape)

    def replay(self, ids: Ints, log_probs: Floats, state: MixerState) -> Iterator[tuple[Doubles, Prediction | None]]:
        """Let the state read records token by token.

        Args:
            ids: (B, L+1) ids of the records.
            log_probs: (2, B, L) log-probabilities that network and counts gave the targets ids[:, 1:].

        Yields:
            Before each target, (B, S) how well all models did so far, and what the aligned records predict.
        """
        rows = np.arange(len(ids))
        state.begin(ids[:, 0])
        for place, tokens in enumerate(ids[:, 1:].T):
            prediction = None if state.experts is None else state.experts.predict()
            yield state.recent.means, prediction
            token_log_probs = list(log_probs[:, :, place])
            if prediction is not None:
                token_log_probs.append(np.log(prediction.probabilities[rows, tokens]))
            state.recent.add(*token_log_probs)
            state.begin(tokens)

    def joint_log_probs(self, inputs: GateInputs, targets: Ints, target_mask: Bools) -> Doubles:
        """Log-probabilities of targets under the mixture with its floor.

        Args:
            inputs: Gate inputs of B*L targets.
            targets: (B, L) ids.
            target_mask: (B, L) whether a target is scored. All up to the last one that is show which expert to trust.

        Returns:
            (B, L), 0 after the last target that is scored.
        """
        needed = np.logical_or.accumulate(target_mask[:, ::-1], 1)[:, ::-1]
        noise = RecordNoises.of_records(self.noise, self.uniform, self.counts.levels[0].tokens)
        experts = self.expert_log_probs(inputs, targets.ravel(), np.flatnonzero(needed), noise)
        return shared_log_probs(FixedShare(len(targets), noise.prior), experts.reshape(*targets.shape, -1))

    def expert_log_probs(self, inputs: GateInputs, targets: Ints, needed: Ints, noise: RecordNoises) -> Doubles:
        """(n, 2 + k) log-probabilities of targets (n,) under mixture, network and noise; 0 for all but `needed`."""
        experts = np.zeros((len(targets), len(noise.prior)))
        for rows in np.array_split(needed, 1 + needed.size * self.vocab_size // VALUES_AT_ONCE):
            experts[rows, 0] = self.mix(inputs.rows(rows))[np.arange(len(rows)), targets[rows]]
        experts[needed, 1] = inputs.network[needed, targets[needed]]
        experts[needed, 2:] = noise.log_probs(targets[needed], inputs.places[needed])
        return experts

    def mix(self, inputs: GateInputs) -> Floats:
        """(n, V) log-probabilities of all models together, without the floor."""
        models = self._models(inputs)
        mixed = normalize(self._mix(inputs.contexts, models, inputs.recent, inputs.log_odds))
        return self.ends.weigh(mixed, inputs.places, alone=not self.aligned)

    def _models(self, inputs: GateInputs) -> list[Distribution]:
        """The distributions of network, counts and perhaps aligned records."""
        counted = self.combined.distribution(inputs.contexts)
        models = [Distribution(np.exp(inputs.network), inputs.network), Distribution(counted, np.log(counted))]
        if inputs.aligned is not None:
            models.append(Distribution(np.exp(inputs.aligned), inputs.aligned))
        return models

    def _features(
        self, contexts: CountContexts, models: Sequence[Distribution], recent: Doubles, log_odds: Floats | None
    ) -> Doubles:
        return gate_features(self.counts, contexts.of_all, models, recent, log_odds)

    def _mix(
        self, contexts: CountContexts, models: Sequence[Distribution], recent: Doubles, log_odds: Floats | None
    ) -> Floats:
        """(n, V) joint log-probabilities up to each row's constant."""
        features = self._features(contexts, models, recent, log_odds)
        return mix_log_probs(features, self.fitted_gate, [model.log_probs for model in models])

    # -- the gate -------------------------------------------------------------------------------------------------------

    def fit(self, inputs: GateInputs, targets: Ints) -> None:
        """Fit the gate to held-out targets (n,). Aligned records are kept if they save MIN_GAIN of the bits."""
        self.drop_buffers(GATE_ALONE, BOUNDS_ALONE)
        self.ends.drop_weights_alone()
        without_records = replace(inputs, recent=inputs.recent[:, :2], aligned=None, log_odds=None, is_near=None)
        gate, loss = self._fit_gate(without_records, targets)
        weights = self._weights_alone = self.ends.fitted_weights
        if self.aligned:
            aligned_gate, aligned_loss = self._fit_gate(inputs, targets)
            if aligned_loss < (1.0 - MIN_GAIN) * loss:
                self._gate_alone, gate, weights = gate, aligned_gate, self.ends.fitted_weights
            else:
                self._drop_records()
        self.set_buffers(gate.arrays(GATE, BOUNDS))
        self.ends.set_weights(WEIGHTS, weights)

    def _fit_gate(self, inputs: GateInputs, targets: Ints) -> tuple[Gate, float]:
        """A gate and its mean nats. Places where a record is nearly a copy of a known one are left out, since they would teach it
        to draw copies, unless most are like that: then near relatives are what the data consists of."""
        fitted_inputs, fitted_targets = inputs, targets
        if inputs.is_near is not None and inputs.is_near.mean() <= MOSTLY_NEAR:
            far = np.flatnonzero(~inputs.is_near)
            fitted_inputs, fitted_targets = inputs.rows(far), targets[far]
        models = self._models(fitted_inputs)
        features = self._features(fitted_inputs.contexts, models, fitted_inputs.recent, fitted_inputs.log_odds)
        log_probs = [model.log_probs for model in models]
        gate = self._gate = fit_gate(features, log_probs, fitted_targets)  # `mix` below uses it
        mixed = normalize(mix_log_probs(features, gate, log_probs))
        self.ends.fit(mixed, fitted_inputs.places, fitted_targets)
        nats = -self.mix(inputs)[np.arange(len(targets)), targets]
        return gate, float(nats.mean(dtype=np.float64))


def read_prompt(
    mixer: NgramMixer,
    ids: Ints,
    num_known: int,
    network_of: NetworkOf,
    labels: Ints | None = None,
) -> MixerState:
    """State after reading prompts, before the first new token. For the arguments see `ContextHead.read_prompt`."""
    tokens = ids[:, ids.shape[1] - num_known :]
    length = tokens.shape[1] - 1
    if not length:
        state = mixer.new_state(len(tokens), labels)
        state.begin(tokens[:, 0])
        return state
    rows_at_once = max(1, VALUES_AT_ONCE // (length * mixer.vocab_size))
    parts = []
    for first in range(0, len(tokens), rows_at_once):
        rows = slice(first, first + rows_at_once)
        classes = None if labels is None else labels[rows]
        parts.append(state_after(mixer, tokens[rows], network_of(rows), classes))
    return parts[0] if len(parts) == 1 else MixerState.concatenate(parts, labels)


def state_after(mixer: NgramMixer, ids: Ints, network: Floats, labels: Ints | None = None) -> MixerState:
    """State after reading prompts. ids: (n, L+1), network: (n*L, V) log-probabilities of ids[:, 1:], labels: (n,)."""
    state, targets = mixer.new_state(len(ids), labels), ids[:, 1:]
    drawn_noise = RecordNoises(RecordNoise(mixer.uniform, None))  # samples are drawn with the uniform distribution
    inputs = mixer.gate_inputs(ids, network, state)
    experts = mixer.expert_log_probs(inputs, targets.ravel(), np.arange(targets.size), drawn_noise)
    shared_log_probs(state.share, experts.reshape(*targets.shape, -1))
    state.share.restore_uniform()
    return state


class BatchGateInputs(NamedTuple):
    """Gate inputs of all targets of a batch.

    Attributes:
        targets: (B*L,) ids.
        target_mask: (B*L,) whether each target is scored.
    """

    inputs: GateInputs
    targets: Ints
    target_mask: Bools


def batch_gate_inputs(mixer: NgramMixer, batch: Batch, logits_of: LogitsOf) -> BatchGateInputs:
    """Gate inputs of a batch, whose rows a new state reads."""
    ids = batch.x.cpu().numpy()
    network = logits_of(batch).flatten(0, 1).log_softmax(-1).cpu().numpy()
    targets = ids[:, 1:].ravel()
    target_mask = np.ones(len(targets), dtype=bool)
    if batch.mask is not None:
        target_mask = batch.mask.flatten().cpu().numpy() > 0
    state = mixer.new_state(len(ids), known_classes(batch.labels))
    return BatchGateInputs(mixer.gate_inputs(ids, network, state), targets, target_mask)
