"""Views into how a Transformer reads: attention weights, and the probabilities of each side of the mixture.

Legend for shapes: B texts, L targets, T targets that are read, D questions of the longest path.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from anew.core.arrays import Bools, Doubles, Floats, Int32s, Ints
from anew.core.specs import Batch
from anew.families.transformer.contexts.context_head import ContextHead
from anew.families.transformer.contexts.context_scoring import LogitsOf, path_logits
from anew.families.transformer.counts.gate_features import GateInputs
from anew.families.transformer.counts.ngram_mixer import NgramMixer, batch_gate_inputs
from anew.families.transformer.sweep_sequences import segments_of

if TYPE_CHECKING:
    from anew.nets.decoder import Decoder


class TokenTaps:
    """The methods of `families.explaining.Attends`, for the Transformer, which inherits from this class."""

    net: Decoder
    mixer: NgramMixer | None
    contexts: ContextHead | None

    def _input_ids(self, batch: Batch) -> Tensor:
        raise NotImplementedError

    def _fp32_logits(self, batch: Batch) -> Tensor:
        raise NotImplementedError

    def _network_nats(self, batch: Batch) -> Tensor:
        """(B * L,) under the network alone, of all targets."""
        logits = self._fp32_logits(batch)
        return functional.cross_entropy(logits.flatten(0, 1), batch.x[:, 1:].flatten(), reduction="none")

    @torch.inference_mode()
    def attention_weights(self, batch: Batch) -> Tensor:
        """(layers, heads, B, L, L) attention weights over the inputs of a batch; a label comes first."""
        return self.net.attention_weights(self._input_ids(batch)).transpose(1, 2)

    @torch.inference_mode()
    def network_log_probs(self, batch: Batch) -> Tensor:
        """(B, L) log-probability of each target in nats under the network alone."""
        return -self._network_nats(batch).view(len(batch), -1)

    @torch.inference_mode()
    def log_probs_by_side(self, batch: Batch) -> dict[str, Tensor]:
        """(B, L) log-probability of each target in nats under the network, the counts, and both together."""
        if self.contexts is not None and self.contexts.is_fitted:
            return context_sides(self.contexts, batch, self._fp32_logits)
        if self.mixer is not None and self.mixer.is_fitted:
            inputs, targets, counts = batch_gate_inputs(self.mixer, batch, self._fp32_logits)
            shape = (len(batch), -1)
            return mixer_sides(self.mixer, inputs, targets.reshape(shape), counts.reshape(shape))
        network = self.network_log_probs(batch).cpu().double()
        return {"network": network, "together": network}


def mixer_sides(mixer: NgramMixer, inputs: GateInputs, targets: Ints, counts: Bools) -> dict[str, Tensor]:
    """(B, L) nats by side. inputs: gate inputs of the targets (B, L); counts: (B, L) which of them count."""
    network, counted = mixer.target_log_probs(inputs.contexts, inputs.network, targets)
    sides = {"network": network, "counts": counted}
    if inputs.aligned is not None:
        flat = targets.ravel()
        sides["records"] = inputs.aligned[np.arange(len(flat)), flat].reshape(targets.shape)
    sides["together"] = mixer.joint_log_probs(inputs, targets, counts)
    return {name: torch.from_numpy(np.asarray(nats, dtype=np.float64)) for name, nats in sides.items()}


def context_sides(head: ContextHead, batch: Batch, logits_of: LogitsOf) -> dict[str, Tensor]:
    """(B, L) nats by side; 0 for targets that are not read."""
    shape = (len(batch), batch.x.shape[1] - 1)
    ids = batch.x[:, 1:].flatten().cpu().numpy().astype(np.int32)
    network, segments = path_logits(head, batch, logits_of), list(segments_of(batch))
    counted = np.zeros(len(ids))
    if segments:
        places = np.concatenate([segment.places for segment in segments])
        counted[places] = _path_log_probs(head, ids[places], head.read(ids, segments)[0])
    joint = head.joint_log_probs(ids, network, segments)
    sides = {"network": network.log_probs.astype(np.float64), "counts": counted, "together": joint}
    return {name: torch.from_numpy(nats).view(shape) for name, nats in sides.items()}


def _path_log_probs(head: ContextHead, ids: Int32s, logits: Floats) -> Doubles:
    """(T,) nats of tokens (T,) whose answers have these log odds (T, D)."""
    tree = head.mixer.tree
    answers, depth = tree.bits[ids].astype(bool), tree.depth[ids]  # (T, D), (T,)
    signed = np.where(answers, logits, -logits).astype(np.float64)  # (T, D)
    nats = -np.logaddexp(0.0, -signed)
    is_asked = np.arange(nats.shape[1]) < depth[:, None]  # (T, D)
    total: Doubles = (nats * is_asked).sum(1)
    return total
