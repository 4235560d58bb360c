"""The settings of the Transformer, for training and for sampling."""

from __future__ import annotations

from dataclasses import dataclass

from anew.core.settings import setting


@dataclass(frozen=True, slots=True)
class TransformerConfig:
    """What a Transformer consists of and how it learns."""

    batch_size: int = setting(16, "examples a step", low=1, high=1_000_000)
    layers: int = setting(4, "blocks of attention and gated MLP", low=1, high=200)
    width: int = setting(128, "size of the stream between blocks; a multiple of heads", low=8, high=65_536)
    heads: int = setting(2, "attention heads; width / heads is even", low=1, high=4096)
    mlp_size: int = setting(352, "inner size of the gated MLP", low=8, high=262_144)
    tie_embeddings: bool = setting(False, "one matrix for embedding and output")
    dropout: float = setting(0.0, "share of each block's output that is dropped in training", low=0.0, high=0.9)
    muon_lr: float = setting(0.02, "peak learning rate of matrices (Muon)", low=0.0, high=10.0)
    embedding_lr: float = setting(0.05, "peak learning rate of the embedding (AdamW)", low=0.0, high=10.0)
    head_lr: float = setting(0.01, "peak learning rate of the output matrix (AdamW)", low=0.0, high=10.0)
    weight_decay: float = setting(
        0.0, "decoupled weight decay of matrices, times their learning rate", low=0.0, high=10.0
    )
    warmup_steps: int = setting(10, "steps of linear warm-up", low=0, high=1_000_000_000)
    decay: float = setting(0.5, "last share of the run in which the learning rate falls to zero", low=0.0, high=1.0)
    ema_width: float = setting(0.0, "relative width of the average of weights; 0 keeps the last", low=0.0, high=0.28)
    ngrams: bool = setting(True, "mix Kneser-Ney probabilities with the network's")
    aligned: bool = setting(
        False, "mix what stands next in records of the train part that lie beside this one; needs ngrams"
    )
    contexts: bool = setting(
        False,
        "mix what followed many kinds of context, in the train part and in the document so far, with the network's; "
        "takes the place of ngrams",
    )
    context_tokens: int = setting(
        2_000_000, "most tokens of the train part whose contexts are counted", unit="tokens", low=0, high=1_000_000_000
    )
    context_learned: int = setting(
        2_000_000,
        "most of them, from the end, that the weights of contexts are learned from",
        unit="tokens",
        low=0,
        high=1_000_000_000,
    )
    ngram_order: int = setting(4, "longest context that is counted", unit="tokens", low=0, high=16)
    precision: str = setting(
        "auto", "number type of training; auto: bf16 where the hardware has it", choices=("auto", "fp32", "bf16")
    )


@dataclass(frozen=True, slots=True)
class TransformerSampling:
    """How tokens are chosen."""

    temperature: float = setting(
        1.0, "below 1 more conservative, above 1 more random; 0 always takes the most probable", low=0.0, high=10.0
    )
    top_k: int = setting(0, "choose among the k most probable tokens; 0: all", low=0)
    top_p: float = setting(1.0, "choose among the fewest tokens that hold this mass", low=0.0, high=1.0)
    min_p: float = setting(0.0, "drop tokens below this share of the most probable one", low=0.0, high=1.0)
    max_tokens: int = setting(0, "most new tokens a sample; 0: a record's full length, or 500", low=0)
