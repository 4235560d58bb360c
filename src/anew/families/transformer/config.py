"""The settings of the Transformer, for training and for sampling."""

from __future__ import annotations

from dataclasses import dataclass

from anew.core.settings import knob


@dataclass(frozen=True, slots=True)
class TransformerConfig:
    """What a Transformer consists of and how it learns."""

    batch_size: int = knob(16, "examples a step", low=1, high=1_000_000)
    layers: int = knob(4, "blocks of attention and gated MLP", low=1, high=200)
    width: int = knob(128, "size of the stream between blocks; a multiple of heads", low=8, high=65_536)
    heads: int = knob(2, "attention heads; width / heads is even", low=1, high=4096)
    mlp_size: int = knob(352, "inner size of the gated MLP", low=8, high=262_144)
    tie_embeddings: bool = knob(False, "one matrix for embedding and output")
    dropout: float = knob(0.0, "share of each block's output that is dropped in training", low=0.0, high=0.9)
    muon_lr: float = knob(0.02, "peak learning rate of matrices (Muon)", low=0.0, high=10.0)
    embedding_lr: float = knob(0.05, "peak learning rate of the embedding (AdamW)", low=0.0, high=10.0)
    head_lr: float = knob(0.01, "peak learning rate of the output matrix (AdamW)", low=0.0, high=10.0)
    weight_decay: float = knob(0.0, "decoupled weight decay of matrices, times their learning rate", low=0.0, high=10.0)
    warmup_steps: int = knob(10, "steps of linear warm-up", low=0, high=1_000_000_000)
    decay: float = knob(0.5, "last share of the run in which the learning rate falls to zero", low=0.0, high=1.0)
    ema_width: float = knob(0.0, "relative width of the average of weights; 0 keeps the last", low=0.0, high=0.28)
    ngrams: bool = knob(True, "mix Kneser-Ney probabilities with the network's")
    aligned: bool = knob(
        False, "mix what stands next in records of the train part that lie beside this one; needs ngrams"
    )
    ngram_order: int = knob(4, "longest context that is counted", unit="tokens", low=0, high=16)
    precision: str = knob(
        "auto", "number type of training; auto: bf16 where the hardware has it", choices=("auto", "fp32", "bf16")
    )


@dataclass(frozen=True, slots=True)
class TransformerSampling:
    """How tokens are chosen."""

    temperature: float = knob(
        1.0, "below 1 more conservative, above 1 more random; 0 always takes the most probable", low=0.0, high=10.0
    )
    top_k: int = knob(0, "choose among the k most probable tokens; 0: all", low=0)
    top_p: float = knob(1.0, "choose among the fewest tokens that hold this mass", low=0.0, high=1.0)
    min_p: float = knob(0.0, "drop tokens below this share of the most probable one", low=0.0, high=1.0)
    max_tokens: int = knob(0, "most new tokens a sample; 0: a record's full length, or 500", low=0)
