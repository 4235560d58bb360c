"""Autoregressive Transformer over tokens: text, code, sequences.

Legend for shapes: B examples, L targets of an example, V vocabulary, N targets that count.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn import functional

from anew.core.arrays import Numbers
from anew.core.deadline import UNLIMITED_TURNS
from anew.core.machine.loop_compiler import Loops
from anew.core.random import StepContext, use_context
from anew.core.settings import to_json
from anew.core.specs import Batch, SampleRequest, Tokens
from anew.estimators.context_mixing import compilation
from anew.families._sizes import weights_within
from anew.families.base import RequestOf, Scale, TokenDraft
from anew.families.phases import Loss, OptimizerConfig, ParameterGroup
from anew.families.portable import PortableSampler, StockDecoder
from anew.families.transformer.closed_form import fit_to_records, fit_to_texts
from anew.families.transformer.config import EXPORT as SETTINGS
from anew.families.transformer.config import TransformerConfig, TransformerSampling
from anew.families.transformer.drawing.acceptance_calibration import HeldOutRecords, calibrate_acceptance
from anew.families.transformer.drawing.error_calibration import calibrate_samples
from anew.families.transformer.drawing.known_records import are_documents_of
from anew.families.transformer.drawing.own_passage_limit import COUNTED_TOKENS
from anew.families.transformer.drawing.record_sampler import RecordSampler
from anew.families.transformer.drawing.recurring_keys import leave_out_recurring_keys
from anew.families.transformer.drawing.sampler import DEFAULT_NEW_TOKENS, TokenSampler
from anew.families.transformer.gate_fitting import fit_mixer, record_remarks, targets_of_records
from anew.families.transformer.parts import TransformerParts
from anew.families.transformer.portable import decoder_sampler, qwen3_decoder
from anew.families.transformer.sizes import (
    CPU_SIZES,
    SIZES,
    enough_examples,
    fitting_seconds,
    implied_counts,
    notes_on_counts,
    suggest_config,
)
from anew.families.transformer.token_sequences import pieces_of
from anew.nets import attention
from anew.nets.attention import UnpaddedRows


class Transformer(TransformerParts):
    """P(token | tokens before), by a Qwen3-shaped decoder with which statistical models are mixed."""

    Config: ClassVar[type] = TransformerConfig
    Sampling: ClassVar[type] = TransformerSampling
    spec_types: ClassVar[tuple[type, ...]] = (Tokens,)
    follows_keys: ClassVar[bool] = True
    rationale: ClassVar[str] = "texts and other sequences are learned best one symbol after another"
    no_interpolation_reason: ClassVar[str] = SETTINGS.no_interpolation_reason
    _held_out: HeldOutRecords | None = None  # kept from `calibrate` to `calibrate_drawing`

    @classmethod
    def suggest(cls, spec: Tokens, scale: Scale) -> TransformerConfig:
        return suggest_config(spec, scale)

    @classmethod
    def implied(cls, overrides: Mapping[str, object]) -> Mapping[str, object]:
        return implied_counts(overrides)

    @classmethod
    def loops_to_compile(cls, spec: Tokens, config: TransformerConfig) -> Loops | None:
        return compilation.LOOPS if config.contexts and not compilation.is_compiled() else None

    @classmethod
    def plan_notes(cls, spec: Tokens, scale: Scale, config: TransformerConfig) -> tuple[str, ...]:
        return notes_on_counts(spec, scale, config)

    @classmethod
    def candidate_sizes(cls, spec: Tokens, scale: Scale) -> tuple[int, ...]:
        return tuple(range(CPU_SIZES if scale.device == "cpu" else len(SIZES)))

    @classmethod
    def target_examples(cls, spec: Tokens, config: TransformerConfig, scale: Scale) -> float:
        return enough_examples(spec, config, scale)

    @classmethod
    def fitting_seconds(cls, spec: Tokens, config: TransformerConfig, scale: Scale) -> float:
        return fitting_seconds(spec, config, scale)

    # -- learn ----------------------------------------------------------------------------------------------------------

    def optimizer(self) -> OptimizerConfig:
        c = self.config
        matrices, dtype = weights_within("blocks", ndims=(2,)), self.block_dtype
        groups = (
            ParameterGroup(matrices, "muon", c.muon_lr, weight_decay=c.weight_decay, dtype=dtype),
            ParameterGroup(lambda name, p: name.endswith("embedding"), "adamw", c.embedding_lr, eps=1e-10),
            ParameterGroup(lambda name, p: True, "adamw", c.head_lr, eps=1e-10),
        )
        return OptimizerConfig(groups, warmup_steps=c.warmup_steps, decay=c.decay, ema_width=c.ema_width)

    def loss(self, batch: Batch, context: StepContext) -> Loss:
        """Cross-entropy in nats, summed over the targets that count."""
        with use_context(context):
            losses = attention.cross_entropy(*self._counted_logits(batch, self.block_dtype))  # (N,)
        return Loss(losses.sum(), losses.numel())

    def fit_closed_form(self, batches: Iterable[Batch], turns: Iterator[object] = UNLIMITED_TURNS) -> None:
        """Count tokens, their contexts and what sequences repeat of themselves, and remember the records."""
        if self.is_of_records:
            texts = fit_to_records(self, batches)
        elif self.spec.shape and not self.config.ngrams:
            return  # tokens of a codec: each batch that is read has to be encoded
        else:
            texts = fit_to_texts(self, batches, _max_counted(self.config))
        if not self.spec.shape:
            self.own_passages.count(texts, self.spec.special.get("end"))

    @property
    def max_fitted_examples(self) -> int | None:
        return -(-_max_counted(self.config) // self.spec.length) if self.spec.packed else None

    def note_partial_pass(self) -> None:
        self.known.note_others()

    @property
    def max_calibrated_targets(self) -> int | None:
        return targets_of_records(self.spec) if self.config.ngrams and not self.spec.shape else None

    @torch.inference_mode()
    def calibrate(self, batches: Iterable[Batch]) -> None:
        """Fit the gate that mixes the network with the statistical models, and measure how often held-out text repeats passages."""
        batches = self.passages.watched(batches)
        if self.is_of_records:
            special = self.spec.special
            batches = self._held_out = HeldOutRecords(batches, special.get("begin"), special.get("end"))
        if self.contexts.is_fitted:
            self.contexts.fit_joint(batches, self._fp32_logits)
        if self.mixer.is_fitted:
            fit_mixer(self, batches, self._fp32_logits)
        self.passages.fit()

    def prepare_drawing(self) -> None:
        if self.contexts.is_fitted:
            self.contexts.mixer.read_text()

    @property
    def calibrates_drawing(self) -> bool:
        return self.own_passages.is_counted

    def calibrate_drawing(self, documents: Iterable[Batch], request_of: RequestOf) -> Iterator[object]:
        if self.calibrates_drawing:
            yield from leave_out_recurring_keys(self, request_of)
            if self._held_out is not None:
                yield from calibrate_acceptance(self, self._held_out, self._fp32_logits, request_of)
                self._held_out = None
            yield from calibrate_samples(self, documents, request_of)

    # -- score ----------------------------------------------------------------------------------------------------------

    def bits(self, batch: Batch) -> Tensor:
        """(B,) exact bits of the counted targets."""
        return self.bits_and_parts(batch)[0]

    def remarks(self) -> tuple[str, ...]:
        return record_remarks(self.mixer, self.known)

    def bits_by_part(self, batch: Batch) -> dict[str, Tensor]:
        """Bits under the network alone, the part that a stock class can load; empty if no counts are mixed with it."""
        return {"network": self._network_bits(batch)} if self.has_counts else {}

    @property
    def has_counts(self) -> bool:
        return self.fitted_mixer is not None

    @property
    def reads_documents(self) -> bool:
        return self.contexts.is_fitted

    @torch.inference_mode()
    def bits_and_parts(self, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        if self.fitted_mixer is None:
            return self._network_bits(batch), {}
        sides = self.fitted_mixer.log_probs_by_side(batch, self._fp32_logits)
        return _sum_bits(sides["together"], batch), {"network": _sum_bits(sides["network"], batch)}

    @torch.inference_mode()
    def _network_bits(self, batch: Batch) -> Tensor:
        """(B,) bits of the counted targets under the network alone."""
        nats = torch.cat([self._network_nats(piece) for piece in pieces_of(batch)])
        return _sum_bits(-nats, batch)

    def _network_nats(self, batch: Batch) -> Tensor:
        """(B * L,) under the network alone, of all targets."""
        logits = self._fp32_logits(batch)
        return functional.cross_entropy(logits.flatten(0, 1), batch.x[:, 1:].flatten(), reduction="none")

    # -- sample ---------------------------------------------------------------------------------------------------------

    def sample(self, request: SampleRequest, seed: int) -> Iterator[Tensor]:
        """Yields (n, t) ids while they grow: the prompt, then new tokens, and `pad` after `end`; then some records are redrawn."""
        sampler = RecordSampler if self.is_of_records else TokenSampler
        yield from sampler(self, request, request.sampling_as(TransformerSampling), request.sample_keys(seed))

    def num_drafts(self, request: SampleRequest) -> int:
        usual = DEFAULT_NEW_TOKENS if self.spec.packed else self.spec.length
        return request.sampling_as(TransformerSampling).max_tokens or usual

    def sample_tokens(
        self, request: SampleRequest, keys: Sequence[tuple[int, int]], reads_prompt: bool = False
    ) -> Iterator[TokenDraft]:
        sampler = TokenSampler(
            self, request, request.sampling_as(TransformerSampling), keys, reads_prompt=reads_prompt, keeps_weights=True
        )
        for draft in sampler:
            yield TokenDraft(draft.numpy(), sampler.weights)

    def training_records(self, rows: Sequence[Numbers]) -> list[bool | None] | None:
        if self.is_of_records:
            return self.known.are_known(rows, self.spec.length)
        end = self.spec.special.get("end")  # None where all text is one document
        text = self.passages.stored_text
        return None if text is None or end is None else are_documents_of(text.cpu().numpy(), end, rows)

    # -- explain --------------------------------------------------------------------------------------------------------

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
        if self.fitted_mixer is not None:
            return self.fitted_mixer.log_probs_by_side(batch, self._fp32_logits)
        network = self.network_log_probs(batch).cpu().double()
        return {"network": network, "together": network}

    # -- export ---------------------------------------------------------------------------------------------------------

    def stock_decoder(self) -> StockDecoder:
        """A Qwen3 with the logits of the network."""
        return qwen3_decoder(self.net, self.spec, self.left_out)

    def portable_sampler(self) -> PortableSampler:
        mixer = self.fitted_mixer
        first = None if mixer is None else torch.from_numpy(mixer.unigram().copy())
        sampling = to_json(TransformerSampling())
        del sampling["max_tokens"], sampling["avoid_known"], sampling["match_error_rates"]
        sampler = decoder_sampler(self.net, self.spec, first, sampling, self.left_out)
        return replace(sampler, may_repeat=self.known.is_fitted)

    # -- network --------------------------------------------------------------------------------------------------------

    def _logits(self, batch: Batch, dtype: torch.dtype) -> Tensor:
        """(B, L, V) logits for the targets x[:, 1:]."""
        logits: Tensor = self.net(self._input_ids(batch), dtype)
        return logits[:, self.num_label_tokens :, : self.spec.vocab]

    def _fp32_logits(self, batch: Batch) -> Tensor:
        return self._logits(batch, torch.float32)

    def _counted_logits(self, batch: Batch, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
        """Logits (N, V) and targets (N,) of all targets that count. Nothing is computed for the padding after a record."""
        targets = batch.x[:, 1:]
        if batch.mask is None:
            return self._logits(batch, dtype).flatten(0, 1), targets.flatten()
        mask = batch.mask > 0
        input_mask = functional.pad(mask, (self.num_label_tokens, 0))  # (B, labels + L)
        rows = UnpaddedRows.up_to_last(input_mask)
        logits = self.net(self._input_ids(batch), dtype, rows)
        return logits[rows.gather(input_mask.flatten()), : self.spec.vocab], targets[mask]

    def _input_ids(self, batch: Batch) -> Tensor:
        """(B, labels + L) ids: that of the label, if there are classes, and those before each target."""
        ids = batch.x[:, :-1]
        if not self.num_label_tokens:
            return ids
        return torch.cat((self.label_ids(batch.labels, len(batch)).to(ids.device)[:, None], ids), 1)


def _max_counted(config: TransformerConfig) -> int:
    """Tokens that are counted, or whose contexts are; without either, those that `OwnPassageLimit` counts."""
    is_alone = not config.ngrams and not config.contexts
    return min(config.context_tokens, COUNTED_TOKENS) if is_alone else config.context_tokens


def _sum_bits(log_probs: Tensor, batch: Batch) -> Tensor:
    """(B,) bits of the counted targets. log_probs: B*L values, in nats."""
    nats = -log_probs.cpu().double().view(len(batch), -1)  # (B, L)
    if batch.mask is not None:
        nats = nats * batch.mask.to(nats.device)
    return nats.sum(1) / math.log(2.0)


EXPORT = Transformer
