"""Autoregressive Transformer over tokens: text, code, sequences.

Legend for shapes: B examples, L targets of an example, V vocabulary, N targets that count.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import ClassVar, Literal

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from anew.core.arrays import Numbers
from anew.core.machine.loop_compiler import Loops
from anew.core.random import StepContext, use_context
from anew.core.settings import to_json
from anew.core.specs import Batch, SampleRequest, Tokens
from anew.errors import ConfigError
from anew.estimators.context_mixing import compilation
from anew.families._sizes import at_size, weights_within
from anew.families.base import Family, RequestOf, Scale, TokenDraft
from anew.families.phases import Loss, OptimizerConfig, ParameterGroup
from anew.families.portable import PortableSampler, StockDecoder
from anew.families.transformer.closed_form import fit_to_records, fit_to_texts
from anew.families.transformer.config import TransformerConfig, TransformerSampling
from anew.families.transformer.contexts.context_head import ContextHead
from anew.families.transformer.contexts.context_scoring import fit_joint, pieces_of, score
from anew.families.transformer.counts.ngram_mixer import NgramMixer, batch_gate_inputs
from anew.families.transformer.drawing.error_calibration import calibrate_samples
from anew.families.transformer.drawing.known_records import KnownRecords, trained_on
from anew.families.transformer.drawing.own_passage_limit import COUNTED_TOKENS, OwnPassageLimit
from anew.families.transformer.drawing.passage_limit import PassageLimit
from anew.families.transformer.drawing.record_sampler import RecordSampler
from anew.families.transformer.drawing.recurring_keys import leave_out_recurring_keys
from anew.families.transformer.drawing.sampler import DEFAULT_NEW_TOKENS, TokenMixer, TokenSampler
from anew.families.transformer.fitted_buffers import FittedBuffers, shapes_below
from anew.families.transformer.gate_fitting import fit_mixer, record_remarks, targets_of_records
from anew.families.transformer.portable import decoder_sampler, parts_left_out, qwen3_decoder
from anew.families.transformer.taps import TokenTaps
from anew.nets import attention
from anew.nets.attention import UnpaddedRows
from anew.nets.decoder import Decoder, DecoderConfig

# At the smallest size: 8 windows of 128; on proteins, batches of 8 and 16 were within .03 bits of each other
# (docs/log.md, 2026-11-25).
TOKENS_PER_STEP = 1024
# Factor of the tokens a step, by model size: a larger network is trained for longer, where larger batches pay; chosen.
STEP_GROWTH = (1, 2, 2, 4, 4, 4, 4, 8, 16)
GRID_STEP_GROWTH = (2, 2, 2, 4, 4, 4, 4, 8, 16)  # the same for codes on a grid, whose records are short; chosen
# On a GPU a step of so many times the tokens takes as long, since small ones leave it idle; chosen, no GPU was measured.
CUDA_STEP_GROWTH = 8
LARGE_SIZES = ((12, 768), (16, 1024), (24, 1280), (28, 1792))  # up to a billion weights, for GPUs
SIZES = ((2, 128), (4, 128), (4, 192), (6, 256), (6, 384), (8, 512), *LARGE_SIZES)  # layers, width by model size
GRID_SIZES = ((3, 96), (4, 128), (4, 192), (6, 256), (6, 384), (8, 512), *LARGE_SIZES)  # for tokens on a grid
CPU_SIZES = 7  # the first so many are worth measuring on a CPU: the next has 85 million weights; chosen
MAX_COUNTED_TOKENS = 2_000_000  # bounds the memory of counting (under 1 GB) and the size of a run
# Tokens for each second of training: takes about a tenth of it, and with aligned records a fifth. Up to 2,000,000 tokens whatever
# the time, proteins took 5 s of a core, which crowded cores made 25 s of a budget of 45 s (docs/log.md, 2026-11-29).
COUNTED_A_SECOND, LEARNED_A_SECOND = 60_000, 4_000
# Counts for larger vocabularies are too sparse, and too large: sub-words are worse counters from 512 on
# (docs/log.md, 2026-11-25).
MAX_NGRAM_VOCAB = 8192
# For every pair of tokens a number is kept: 19 million numbers. Counts hold the room of a context in 15 bits, which suffice for it.
MAX_CONTEXT_VOCAB = 4400
WITHOUT_CONTEXTS = (
    "without context mixing, which predicts text better: its loops could not be compiled in the time that can be spared, "
    "so they are compiled beside the training"
)
SMALL_VOCAB = 300  # letters rather than words: longer contexts are counted, and known records may be aligned
# With fewer tokens, a smaller network learns more in the time: 4 x 128 beat 4 x 192 on proteins and molecules
# (docs/log.md, 2026-11-25).
TOKENS_PER_WEIGHT = 1.5
USUAL_EPOCHS = 6.0  # assumed without a budget: dropout helps from 4 to 6 on (docs/log.md, 2026-11-25)
# Passes over the data: weights are averaged from FEW on; they decay, and dropout is .1, from MANY on, .2 from VERY_MANY on. Below 4 to
# 6 dropout costs (docs/log.md, 2026-11-25); where it begins beyond that is chosen, as the others are.
FEW_EPOCHS, MANY_EPOCHS, VERY_MANY_EPOCHS = 2, 10, 20
# Weights x tokens a second of an ordinary machine, to estimate the epochs, on which dropout depends; sizes are timed
# instead.
CUDA_SPEED = 3e11
CPU_SPEED = 2e10  # the same for one thread of a core with bf16 products


class Transformer(Family[Tokens, TransformerConfig], TokenTaps):
    """P(token | tokens before), by a Qwen3-shaped decoder."""

    Config: ClassVar[type] = TransformerConfig
    Sampling: ClassVar[type] = TransformerSampling
    spec_types: ClassVar[tuple[type, ...]] = (Tokens,)
    follows_keys: ClassVar[bool] = True
    rationale: ClassVar[str] = "texts and other sequences are learned best one symbol after another"
    no_interpolation_reason: ClassVar[str] = (
        "it samples one symbol after another; train gan, vae or diffusion on continuous data"
    )

    def __init__(self, spec: Tokens, config: TransformerConfig) -> None:
        super().__init__(spec, config)
        c = config
        _check_config(spec, config)
        # A label is a token before the others; the last id means that none is given.
        self.num_label_tokens = 1 if spec.classes else 0
        tokens_before_grid = max(0, spec.length - math.prod(spec.shape))
        self.net = Decoder(
            DecoderConfig(
                vocab_size=spec.vocab + self.num_label_tokens * (spec.classes + 1),
                hidden_size=c.width,
                num_layers=c.layers,
                num_heads=c.heads,
                mlp_size=c.mlp_size,
                context_length=spec.length + self.num_label_tokens,
                tie_embeddings=c.tie_embeddings,
                dropout=c.dropout,
                neighbour_offsets=neighbour_offsets(spec.shape),
                num_prefix=1 + self.num_label_tokens + tokens_before_grid,
            )
        )
        never_targets = [spec.special[name] for name in ("begin", "back", "pad") if name in spec.special]
        end_id = None if spec.packed or spec.shape else spec.special.get("end")
        spellings = spec.spellings if end_id is not None else ()
        counted = (spec.vocab, c.ngram_order, c.aligned, never_targets, end_id, spec.classes, spellings)
        self.mixer = NgramMixer(*counted) if c.ngrams else None
        self.contexts = ContextHead(spec.spellings, spec.vocab, never_targets) if c.contexts else None
        self.known = None if spec.packed or spec.shape else KnownRecords(spec.special, spec.spellings)
        self.passages = PassageLimit(self.contexts) if spec.packed and (c.ngrams or c.contexts) else None
        self.own_passages = None if spec.shape else OwnPassageLimit()

    @classmethod
    def suggest(cls, spec: Tokens, scale: Scale) -> TransformerConfig:
        """With few epochs no regularisation; with many, dropout, weight decay and a wide average of weights, so that more training
        does no harm (the two regimes of the many-epoch records, and what won on one megabyte of English)."""
        on_grid = bool(spec.shape)
        layers, width = at_size(GRID_SIZES if on_grid else SIZES, scale.model_size)
        mlp_size = round(width / 12) * 32
        growth = at_size(GRID_STEP_GROWTH if on_grid else STEP_GROWTH, scale.model_size)
        growth *= CUDA_STEP_GROWTH if scale.device.startswith("cuda") else 1
        weights = _block_weights(layers, width, mlp_size) + spec.vocab * width
        epochs = expected_epochs(spec, scale, weights)
        is_small_vocab = spec.vocab <= SMALL_VOCAB
        examples = round(TOKENS_PER_STEP * growth / spec.length)
        contexts = _can_mix_contexts(spec) and scale.loops_ready
        return TransformerConfig(
            batch_size=max(4, min(examples, max(4, scale.items // 8))),
            layers=layers,
            width=width,
            heads=max(1, width // (64 if spec.packed else 32)),  # whole records gain from more heads, excerpts hardly
            mlp_size=mlp_size,
            dropout=_suggest_dropout(epochs),
            weight_decay=0.0 if epochs < MANY_EPOCHS else 0.2,
            ema_width=0.0 if epochs < FEW_EPOCHS else 0.05,
            # Counted contexts are the tokens that came last, not the neighbours on a grid.
            ngrams=spec.vocab <= MAX_NGRAM_VOCAB and not on_grid and not contexts,
            contexts=contexts,
            context_tokens=_within_budget(scale, COUNTED_A_SECOND),
            context_learned=_within_budget(scale, LEARNED_A_SECOND),
            aligned=is_small_vocab and not spec.packed and not on_grid,
            ngram_order=(6 if scale.units < 5e6 else 8) if is_small_vocab else 4,
        )

    @classmethod
    def loops_to_compile(cls, spec: Tokens, config: TransformerConfig) -> Loops | None:
        return compilation.LOOPS if config.contexts and not compilation.is_compiled() else None

    @classmethod
    def plan_notes(cls, spec: Tokens, scale: Scale, config: TransformerConfig) -> tuple[str, ...]:
        without_contexts = not scale.loops_ready and not config.contexts and _can_mix_contexts(spec)
        return (*_note_of_counts(spec, scale, config), *((WITHOUT_CONTEXTS,) if without_contexts else ()))

    @classmethod
    def candidate_sizes(cls, spec: Tokens, scale: Scale) -> tuple[int, ...]:
        return tuple(range(CPU_SIZES if scale.device == "cpu" else len(SIZES)))

    @classmethod
    def target_examples(cls, spec: Tokens, config: TransformerConfig, scale: Scale) -> float:
        """About one and a half tokens for each weight of the blocks. (The spec's length is that of the longest record; most are
        shorter.)"""
        weights = _block_weights(config.layers, config.width, config.mlp_size)
        mean_length = float(spec.length)
        if not spec.packed and not spec.shape:
            mean_length = scale.units / max(1, scale.items) + 1.0
        return TOKENS_PER_WEIGHT * weights / min(float(spec.length), max(1.0, mean_length))

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

    @property
    def _heads(self) -> dict[str, FittedBuffers]:
        """Modules of what is fitted besides the network, by the name of their buffers."""
        heads: dict[str, FittedBuffers | None] = {"mixer": self.mixer, "contexts": self.contexts}
        heads |= {"known": self.known, "passages": self.passages, "own_passages": self.own_passages}
        return {name: head for name, head in heads.items() if head is not None}

    @property
    def token_mixer(self) -> TokenMixer | None:
        """The statistical models that are mixed with the network in drawing; None before they are fitted."""
        if self.mixer is not None and self.mixer.is_fitted:
            return self.mixer.drawing()
        return self.contexts if self.contexts is not None and self.contexts.is_fitted else None

    def fit_closed_form(self, sweep: Iterable[Batch]) -> None:
        """Count tokens, their contexts and what sequences repeat of themselves, and remember the records."""
        c = self.config
        if self.known is not None:
            texts = fit_to_records(self.known, self.mixer, sweep, c.context_tokens)
        elif self.own_passages is None and self.mixer is None:
            return  # tokens of a codec: each batch that is read has to be encoded
        else:
            texts = fit_to_texts(self.mixer, self.passages, self.contexts, sweep, _max_counted(self), c.context_learned)
        if self.own_passages is not None:
            self.own_passages.count(texts, self.spec.special.get("end"))

    @property
    def sweep_limit(self) -> int | None:
        return -(-_max_counted(self) // self.spec.length) if self.spec.packed else None

    def note_partial_sweep(self) -> None:
        if self.known is not None:
            self.known.note_others()

    def allocate_buffers(self, shapes: Mapping[str, torch.Size]) -> None:
        for prefix, head in self._heads.items():
            head.allocate_buffers(shapes_below(shapes, prefix))

    def check_state(self) -> None:
        for head in self._heads.values():
            head.check()

    @property
    def max_calibrated_targets(self) -> int | None:
        return None if self.mixer is None or self.spec.shape else targets_of_records(self.spec)

    @torch.inference_mode()
    def calibrate(self, sweep: Iterable[Batch]) -> None:
        """Fit the gate that mixes the network with the statistical models, and measure how often held-out text repeats passages."""
        sweep = sweep if self.passages is None else self.passages.watched(sweep)
        if self.contexts is not None and self.contexts.is_fitted:
            fit_joint(self.contexts, sweep, self._fp32_logits)
        if self.mixer is not None and self.mixer.is_fitted:
            fit_mixer(self, self.mixer, sweep, self._fp32_logits)
        if self.passages is not None:
            self.passages.fit()

    @property
    def calibrates_drawing(self) -> bool:
        return self.own_passages is not None and self.own_passages.is_counted

    def calibrate_drawing(self, documents: Iterable[Batch], request_of: RequestOf) -> Iterator[object]:
        if self.own_passages is not None and self.own_passages.is_counted:
            if self.known is not None:
                leave_out_recurring_keys(self, self.known, request_of)
            yield from calibrate_samples(self, self.own_passages, documents, request_of)

    # -- score ----------------------------------------------------------------------------------------------------------

    def bits(self, batch: Batch, part: Literal["all", "network"] = "all") -> Tensor:
        """(B,) exact bits of the counted targets. part: the whole model, or its network alone."""
        return self._network_bits(batch) if part == "network" else self.bits_and_parts(batch)[0]

    def remarks(self) -> tuple[str, ...]:
        return record_remarks(self.mixer, self.known)

    def bits_by_part(self, batch: Batch) -> dict[str, Tensor]:
        """Bits under the network alone, which is what a stock class can load; empty if no counts are mixed with it."""
        return {"network": self._network_bits(batch)} if self.has_counts else {}

    @property
    def has_counts(self) -> bool:
        return self.token_mixer is not None

    @property
    def reads_documents(self) -> bool:
        return self.contexts is not None and self.contexts.is_fitted

    @torch.inference_mode()
    def bits_and_parts(self, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        if self.contexts is not None and self.contexts.is_fitted:
            both, network = score(self.contexts, batch, self._fp32_logits)
            return _sum_bits(both, batch), {"network": _sum_bits(network, batch)}
        if self.mixer is None or not self.mixer.is_fitted:
            return self._network_bits(batch), {}
        inputs, targets, counts = batch_gate_inputs(self.mixer, batch, self._fp32_logits)
        alone = torch.from_numpy(inputs.network[np.arange(len(targets)), targets])  # (B*L,)
        shape = (len(batch), -1)
        joint = self.mixer.joint_log_probs(inputs, targets.reshape(shape), counts.reshape(shape))
        return _sum_bits(torch.from_numpy(joint), batch), {"network": _sum_bits(alone, batch)}

    @torch.inference_mode()
    def _network_bits(self, batch: Batch) -> Tensor:
        """(B,) bits of the counted targets under the network alone."""
        nats = torch.cat([self._network_nats(piece) for piece in pieces_of(batch)])
        return _sum_bits(-nats, batch)

    # -- sample ---------------------------------------------------------------------------------------------------------

    def sample(self, request: SampleRequest, seed: int) -> Iterator[Tensor]:
        """Yields (n, t) ids while they grow: the prompt, then new tokens, and `pad` after `end`; then some records are redrawn."""
        sampler = TokenSampler if self.known is None else RecordSampler
        yield from sampler(self, request, request.sampling_as(TransformerSampling), request.sample_keys(seed))

    def num_drafts(self, request: SampleRequest) -> int:
        usual = DEFAULT_NEW_TOKENS if self.spec.packed else self.spec.length
        return request.sampling_as(TransformerSampling).max_tokens or usual

    def sample_tokens(
        self, request: SampleRequest, keys: Sequence[tuple[int, int]], reads_prompt: bool = False
    ) -> Iterator[TokenDraft]:
        sampler = TokenSampler(self, request, request.sampling_as(TransformerSampling), keys, reads_prompt, True)
        for draft in sampler:
            yield TokenDraft(draft.numpy(), sampler.weights)

    def training_records(self, rows: Sequence[Numbers]) -> list[bool | None] | None:
        return trained_on(rows, self.spec, self.known, self.contexts)

    # -- export ---------------------------------------------------------------------------------------------------------

    def stock_decoder(self) -> StockDecoder:
        """A Qwen3 with the logits of the network."""
        left_out = parts_left_out(self.config, self.contexts, self.mixer, self.known, self.own_passages)
        return qwen3_decoder(self.net, self.spec, left_out)

    def portable_sampler(self) -> PortableSampler:
        first = None
        if self.token_mixer is not None:
            first = torch.from_numpy(self.token_mixer.unigram().copy())
        sampling = to_json(TransformerSampling())
        del sampling["max_tokens"], sampling["avoid_known"], sampling["match_error_rates"]
        left_out = parts_left_out(self.config, self.contexts, self.mixer, self.known, self.own_passages)
        sampler = decoder_sampler(self.net, self.spec, first, sampling, left_out)
        return replace(sampler, may_repeat=self.known is not None and self.known.is_fitted)

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
        counts = functional.pad(batch.mask > 0, (self.num_label_tokens, 0))  # (B, labels + L)
        rows = UnpaddedRows.up_to_last(counts)
        logits = self.net(self._input_ids(batch), dtype, rows)
        return logits[rows.gather(counts.flatten()), : self.spec.vocab], targets[batch.mask > 0]

    def _input_ids(self, batch: Batch) -> Tensor:
        """(B, labels + L) ids: that of the label, if there are classes, and those before each target."""
        ids = batch.x[:, :-1]
        if not self.num_label_tokens:
            return ids
        return torch.cat((self.label_ids(batch.labels, len(batch)).to(ids.device)[:, None], ids), 1)

    def label_ids(self, labels: Tensor | None, n: int) -> Tensor:
        """(n,) ids of the tokens of labels; a negative or missing label has the token for an unknown one."""
        unknown = self.spec.vocab + self.spec.classes
        if labels is None:
            return torch.full((n,), unknown)
        return torch.where(labels < 0, unknown, self.spec.vocab + labels)


def _check_config(spec: Tokens, config: TransformerConfig) -> None:
    c = config
    if c.width % c.heads or c.width // c.heads % 2:
        raise ConfigError(
            f"width must divide into {c.heads} heads of an even size (got {c.width}); "
            f"give a multiple of {2 * c.heads}, or other heads"
        )
    if c.aligned and not c.ngrams:
        raise ConfigError("aligned=true needs ngrams=true; give aligned=false with ngrams=false", "aligned")
    if c.contexts and (c.ngrams or spec.vocab > MAX_CONTEXT_VOCAB or not spec.packed):
        raise ConfigError(
            f"contexts=true is for running text of at most {MAX_CONTEXT_VOCAB} different tokens, and takes the place of "
            "ngrams; give ngrams=false with it, or contexts=false",
            "contexts",
        )


def _max_counted(family: Transformer) -> int:
    """Tokens that are counted, or whose contexts are; without either, those that `OwnPassageLimit` counts."""
    is_alone = family.mixer is None and family.contexts is None
    return min(family.config.context_tokens, COUNTED_TOKENS) if is_alone else family.config.context_tokens


def _sum_bits(log_probs: Tensor, batch: Batch) -> Tensor:
    """(B,) bits of the counted targets. log_probs: B*L values, in nats."""
    nats = -log_probs.cpu().double().view(len(batch), -1)  # (B, L)
    if batch.mask is not None:
        nats = nats * batch.mask.to(nats.device)
    return nats.sum(1) / math.log(2.0)


def neighbour_offsets(shape: tuple[int, ...]) -> tuple[int, ...]:
    """Distance in tokens to the neighbours of a token of a grid, one along each axis but the last."""
    return tuple(math.prod(shape[axis:]) for axis in range(1, len(shape)))


def _block_weights(layers: int, width: int, mlp_size: int) -> int:
    """Weights of all blocks: four square matrices of attention and three of the gated MLP each."""
    return layers * (4 * width**2 + 3 * width * mlp_size)


def expected_epochs(spec: Tokens, scale: Scale, weights: int) -> float:
    """Number of times that the budget would see each example, at the speed of an ordinary machine."""
    if scale.seconds is None:
        return USUAL_EPOCHS
    # Threads share the memory, so that speed grows more slowly than their number.
    speed = CUDA_SPEED if scale.device.startswith("cuda") else CPU_SPEED * scale.threads**0.8
    return scale.seconds * speed / weights / max(1.0, float(scale.items) * spec.length)


def _can_mix_contexts(spec: Tokens) -> bool:
    return spec.packed and not spec.shape and bool(spec.spellings) and spec.vocab <= MAX_CONTEXT_VOCAB


def _note_of_counts(spec: Tokens, scale: Scale, config: TransformerConfig) -> tuple[str, ...]:
    """A sentence on the tokens that are counted if the time does not allow all of them."""
    tokens = min(scale.items * spec.length, scale.units + scale.items)
    is_counted = config.ngrams or config.contexts
    if not is_counted or config.context_tokens >= min(MAX_COUNTED_TOKENS, tokens):
        return ()
    return (f"in this time {config.context_tokens:,} training tokens are counted; a longer budget counts more",)


def _within_budget(scale: Scale, tokens_a_second: float) -> int:
    """Tokens that counting or learning may take in this time."""
    if scale.seconds is None:
        return MAX_COUNTED_TOKENS
    return min(MAX_COUNTED_TOKENS, round(tokens_a_second * scale.seconds / scale.crowding))


def _suggest_dropout(epochs: float) -> float:
    if epochs < MANY_EPOCHS:
        return 0.0
    return 0.1 if epochs < VERY_MANY_EPOCHS else 0.2


EXPORT = Transformer
