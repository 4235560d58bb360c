"""Autoregressive Transformer over tokens: text, code, sequences."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from anew.core.random import StepContext, use_context
from anew.core.settings import knob
from anew.core.specs import Batch, SampleRequest, Tokens
from anew.errors import ConfigError
from anew.families.base import Family, Scale
from anew.families.phases import Loss, OptimizerConfig, ParameterGroup
from anew.families.transformer.ngram_mixer import AT_ONCE, Counting, Seen, sequences
from anew.families.transformer.sampler import Drawing
from anew.nets import attention
from anew.nets.attention import Kept
from anew.nets.decoder import Decoder, Shape
from anew.nets.precision import arithmetic

TOKENS_A_STEP = 1024
MOST_COUNTED = 2_000_000  # tokens; bounds the memory of counting (under 1 GB) and the size of a run
MOST_FITTED = 131_072  # held-out targets that the gate is fitted on; fewer for a large vocabulary
SIZES = ((2, 128), (4, 128), (4, 192), (6, 256), (6, 384), (8, 512), (12, 768))  # layers, width by model_size
GRID_SIZES = ((3, 96), (4, 128), (4, 192), (6, 256), (6, 384), (8, 512), (12, 768))  # where tokens lie on a grid


@dataclass(frozen=True, slots=True)
class TransformerConfig:
    """What a Transformer is made of and how it learns."""

    batch: int = knob(16, "examples a step", low=1)
    layers: int = knob(4, "blocks of attention and gated layer", low=1, high=200)
    width: int = knob(128, "size of the stream between blocks; a multiple of heads", low=8)
    heads: int = knob(2, "attention heads; width / heads is even", low=1)
    hidden: int = knob(352, "inner size of the gated layer", low=8)
    tied: bool = knob(False, "one matrix for embedding and output")
    dropout: float = knob(0.0, "share of each block's output that is dropped in training", low=0.0, high=0.9)
    rate: float = knob(0.02, "peak learning rate of matrices (Muon)", low=0.0, high=10.0)
    rate_embed: float = knob(0.05, "peak learning rate of the embedding (AdamW)", low=0.0, high=10.0)
    rate_head: float = knob(0.01, "peak learning rate of the output matrix (AdamW)", low=0.0, high=10.0)
    weight_decay: float = knob(0.0, "decoupled weight decay of matrices, times their rate", low=0.0, high=10.0)
    warmup: int = knob(10, "steps of linear warm-up", low=0)
    decay: float = knob(0.5, "last share of the run in which the rate falls to zero", low=0.0, high=1.0)
    average: float = knob(0.0, "relative width of the average of weights; 0 keeps the last", low=0.0, high=0.28)
    counts: bool = knob(True, "join Kneser-Ney probabilities to the network's")
    aligned: bool = knob(
        False, "join what stands next in records of the train part that lie beside this one; needs counts"
    )
    order: int = knob(4, "longest context that is counted", unit="tokens", low=0, high=16)
    precision: str = knob(
        "auto", "number type of training; auto: bf16 where the hardware has it", choices=("auto", "fp32", "bf16")
    )


@dataclass(frozen=True, slots=True)
class TransformerSampling:
    """How tokens are chosen."""

    temperature: float = knob(
        1.0, "below 1 bolder, above 1 wilder; 0 always takes the most probable", low=0.0, high=10.0
    )
    top_k: int = knob(0, "choose among the k most probable tokens; 0: all", low=0)
    top_p: float = knob(1.0, "choose among the fewest tokens that hold this mass", low=0.0, high=1.0)
    min_p: float = knob(0.0, "drop tokens below this share of the most probable one", low=0.0, high=1.0)
    max_tokens: int = knob(0, "most new tokens a sample; 0: a record's full length, or 500", low=0)


class Transformer(Family):
    """P(token | tokens before), by a Qwen3-shaped decoder."""

    Config: ClassVar[type] = TransformerConfig
    Sampling: ClassVar[type] = TransformerSampling
    spec_types: ClassVar[tuple[type, ...]] = (Tokens,)
    rationale: ClassVar[str] = "a sequence of discrete symbols is best learned one symbol after another"
    no_interpolation_reason: ClassVar[str] = (
        "it draws one symbol after another; train gan, vae or diffusion on continuous data"
    )

    spec: Tokens
    config: TransformerConfig

    def __init__(self, spec: Tokens, config: TransformerConfig) -> None:
        super().__init__(spec, config)
        if config.width % config.heads or config.width // config.heads % 2:
            raise ConfigError(
                f"width={config.width} does not divide into {config.heads} heads of an even size; "
                f"give a multiple of {2 * config.heads}, or other heads"
            )
        # A label is a token in front; the last id says that none is given.
        self.prefix = 1 if spec.classes else 0
        vocab = spec.vocab + (spec.classes + 1 if spec.classes else 0)
        self.net = Decoder(
            Shape(
                vocab=vocab,
                width=config.width,
                layers=config.layers,
                heads=config.heads,
                hidden=config.hidden,
                context=spec.length + self.prefix,
                tied=config.tied,
                dropout=config.dropout,
                back=neighbours(spec.shape),
                lead=1 + self.prefix + max(0, spec.length - math.prod(spec.shape)),
            )
        )

        if config.aligned and not config.counts:
            raise ConfigError(
                "aligned=true joins known records to what is counted; give aligned=false with counts=false"
            )
        self.counting = Counting(spec.vocab, config.order, config.aligned) if config.counts else None

    @classmethod
    def suggest(cls, spec: Tokens, scale: Scale) -> TransformerConfig:
        """Few epochs: no regularisation. Many: dropout, weight decay and a wide average of weights, so that more training
        does no harm (the two regimes of the many-epoch records, and what won on one megabyte of English)."""
        sizes = SIZES if not spec.shape else GRID_SIZES
        depth, width = sizes[min(max(scale.model_size, 0), len(sizes) - 1)]
        hidden = round(width / 12) * 32
        steep = (1, 2, 2, 4) if not spec.shape else (2, 2, 2, 4)
        tokens = TOKENS_A_STEP * steep[min(max(scale.model_size, 0), 3)] * (8 if scale.device.startswith("cuda") else 1)
        epochs = expected_epochs(spec, scale, depth * (4 * width**2 + 3 * width * hidden) + spec.vocab * width)
        small = spec.vocab <= 300
        return TransformerConfig(
            batch=max(4, min(round(tokens / spec.length), max(4, scale.items // 8))),
            layers=depth,
            width=width,
            heads=max(1, width // (64 if spec.packed else 32)),  # whole records gain by more of them, excerpts hardly
            hidden=hidden,
            dropout=0.0 if epochs < 10 else 0.1 if epochs < 20 else 0.2,
            weight_decay=0.0 if epochs < 10 else 0.2,
            average=0.0 if epochs < 2 else 0.05,
            counts=spec.vocab <= 8192
            and not spec.shape,  # counted contexts are of what came last, not of what lies around
            aligned=small and not spec.packed and not spec.shape,
            order=(6 if scale.units < 5e6 else 8) if small else 4,
        )

    @classmethod
    def candidate_sizes(cls, spec: Tokens, scale: Scale) -> tuple[int, ...]:
        return tuple(range(len(SIZES)))

    @classmethod
    def target_examples(cls, spec: Tokens, config: TransformerConfig, scale: Scale) -> float:
        """About one and a half tokens for each weight of the blocks: below that a smaller network learns more in the time.
        Records are shorter than the longest one, which the length is."""
        weights = config.layers * (4 * config.width**2 + 3 * config.width * config.hidden)
        mean = spec.length if spec.packed or spec.shape else scale.units / max(1, scale.items) + 1.0
        return 1.5 * weights / min(float(spec.length), max(1.0, mean))

    def optimizer(self) -> OptimizerConfig:
        c = self.config
        groups = (
            ParameterGroup(
                lambda name, p: ".blocks." in f".{name}" and p.ndim == 2, "muon", c.rate, weight_decay=c.weight_decay
            ),
            ParameterGroup(lambda name, p: name.endswith("embed"), "adamw", c.rate_embed, eps=1e-10),
            ParameterGroup(lambda name, p: True, "adamw", c.rate_head, eps=1e-10),
        )
        return OptimizerConfig(groups, warmup_steps=c.warmup, decay=c.decay, ema_width=c.average)

    def loss(self, batch: Batch, context: StepContext) -> Loss:
        """Cross-entropy in nats, summed over the targets that count."""
        with use_context(context):
            logits, targets = self._counted(batch, self._kind())
        losses = attention.cross_entropy(logits, targets)  # (N,)
        return Loss(losses.sum(), losses.numel())

    def fit_closed_form(self, sweep: Iterable[Batch]) -> None:
        """Count tokens and their contexts."""
        if self.counting is not None:
            self.counting.learn(sequences(sweep, MOST_COUNTED))

    def allocate_buffers(self, state: Mapping[str, torch.Size]) -> None:
        if self.counting is not None:
            self.counting.make_room({name.removeprefix("counting."): shape for name, shape in state.items()})

    @torch.inference_mode()
    def calibrate(self, sweep: Iterable[Batch]) -> None:
        """Fit the gate between network and counts."""
        if self.counting is None or not self.counting.ready:
            return
        most = min(MOST_FITTED, 16_777_216 // self.spec.vocab)
        parts, targets, have = [], [], 0
        for batch in sweep:
            seen, own, counted = self._seen(batch)
            parts.append(seen.rows(counted))
            targets.append(own[counted])
            have += len(targets[-1])
            if have >= most:
                break
        if have:
            self.counting.fit(Seen.joined(parts), np.concatenate(targets))

    @torch.inference_mode()
    def bits(self, batch: Batch, part: Literal["all", "network"] = "all") -> Tensor:
        """(B,) exact bits of the counted targets. part: the whole model, or its network alone."""
        if part == "network" or self.counting is None or not self.counting.ready:
            logits = self._logits(batch, torch.float32)
            losses = functional.cross_entropy(logits.flatten(0, 1), batch.x[:, 1:].flatten(), reduction="none")
        else:
            seen, targets, counted = self._seen(batch)
            values = np.zeros(len(targets), dtype=np.float32)
            rows = np.flatnonzero(counted)
            for some in np.array_split(rows, 1 + rows.size * self.spec.vocab // AT_ONCE):
                mixed = self.counting.mix(seen.rows(some))
                values[some] = -mixed[np.arange(len(some)), targets[some]]
            losses = torch.from_numpy(values)
        losses = losses.view(len(batch), -1).double()
        if batch.mask is not None:
            losses = losses * batch.mask.to(losses.device)
        return losses.sum(1) / math.log(2.0)

    def bits_by_part(self, batch: Batch) -> dict[str, Tensor]:
        """The network alone, which is what loads in a stock class; empty where there are no counts beside it."""
        mixed = self.counting is not None and self.counting.ready
        return {"network": self.bits(batch, "network")} if mixed else {}

    def _seen(self, batch: Batch) -> tuple[Seen, NDArray[np.int64], NDArray[np.bool_]]:
        """What the gate sees of all targets of a batch; these (n,); and whether each counts (n,)."""
        assert self.counting is not None
        ids = batch.x.cpu().numpy()
        network = self._logits(batch, torch.float32).flatten(0, 1).log_softmax(-1).cpu().numpy()
        targets = ids[:, 1:].ravel()
        counted = np.ones(len(targets), dtype=bool) if batch.mask is None else batch.mask.flatten().cpu().numpy() > 0
        return self.counting.look(ids, network), targets, counted

    def sample(self, request: SampleRequest, seed: int) -> Iterator[Tensor]:
        """Yields (n, t) ids while they grow: what is known, then new tokens, `pad` after an `end`."""
        yield from Drawing(self, request, request.sampling or TransformerSampling(), seed)

    def _kind(self) -> torch.dtype:
        return arithmetic(self.config.precision, self.device)

    def _logits(self, batch: Batch, kind: torch.dtype) -> Tensor:
        """(B, L, vocab) for the targets x[:, 1:]."""
        return self.net(self._inputs(batch), kind)[:, self.prefix :, : self.spec.vocab]  # type: ignore[no-any-return]

    def _counted(self, batch: Batch, kind: torch.dtype) -> tuple[Tensor, Tensor]:
        """Logits (N, vocab) and targets (N,) of all that counts. Nothing is computed for the padding behind a record."""
        targets = batch.x[:, 1:]
        if batch.mask is None:
            return self._logits(batch, kind).flatten(0, 1), targets.flatten()
        counted = functional.pad(batch.mask > 0, (self.prefix, 0))  # (B, prefix + L)
        kept = Kept.until(counted)
        logits = self.net(self._inputs(batch), kind, kept)[kept.take(counted.flatten()), : self.spec.vocab]
        return logits, targets[batch.mask > 0]

    def _inputs(self, batch: Batch) -> Tensor:
        """(B, prefix + L) ids: a label's, where there are classes, and those before each target."""
        ids = batch.x[:, :-1]
        if not self.prefix:
            return ids
        return torch.cat((self.label_ids(batch.label, len(batch)).to(ids.device)[:, None], ids), 1)

    def label_ids(self, label: Tensor | None, n: int) -> Tensor:
        """(n,) ids of the tokens that stand for labels; negative or no label: the token for an unknown one."""
        if label is None:
            return torch.full((n,), self.spec.vocab + self.spec.classes)
        return torch.where(label < 0, self.spec.vocab + self.spec.classes, self.spec.vocab + label)


def neighbours(shape: tuple[int, ...]) -> tuple[int, ...]:
    """How many tokens before a token of a grid those stand that lie before it along each axis but the last."""
    return tuple(math.prod(shape[axis:]) for axis in range(1, len(shape)))


def expected_epochs(spec: Tokens, scale: Scale, weights: int) -> float:
    """How often the budget would see each example, at the speed of an ordinary machine; 6 where there is no budget."""
    if scale.seconds is None:
        return 6.0
    speed = 3e11 if scale.device.startswith("cuda") else 2e10 * scale.threads**0.8  # weights x tokens a second
    return scale.seconds * speed / weights / max(1.0, float(scale.items) * spec.length)


EXPORT = Transformer
