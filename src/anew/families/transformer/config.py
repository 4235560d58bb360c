"""Settings of the Transformer, for training and for sampling. Does not import PyTorch."""

from __future__ import annotations

from dataclasses import dataclass

from anew.core.registry import FamilySettings
from anew.core.settings import setting
from anew.families.training_settings import TrainingSettings, with_default


@dataclass(frozen=True, slots=True)
class TransformerConfig(TrainingSettings):
    """Settings of the network of a Transformer and its training."""

    batch_size: int = with_default("batch_size", 16)
    ema_width: float = with_default("ema_width", 0.0)
    layers: int = setting(4, "Transformer blocks", low=1, high=200)
    width: int = setting(128, "hidden size; a multiple of heads", low=8, high=65_536)
    heads: int = setting(2, "attention heads; width / heads must be even", low=1, high=4096)
    mlp_size: int = setting(352, "inner size of the gated MLP", low=8, high=262_144)
    tie_embeddings: bool = setting(False, "share one matrix between embedding and output")
    dropout: float = setting(0.0, "dropout rate of each block's output", low=0.0, high=0.9)
    embedding_lr: float = setting(0.05, "peak learning rate of the embedding (AdamW)", low=0.0, high=10.0)
    head_lr: float = setting(0.01, "peak learning rate of the output matrix (AdamW)", low=0.0, high=10.0)
    weight_decay: float = setting(
        0.0, "decoupled weight decay of the weight matrices, multiplied by their learning rate", low=0.0, high=10.0
    )
    warmup_steps: int = setting(10, "steps of linear warm-up", low=0, high=1_000_000_000)
    ngrams: bool = setting(True, "mix Kneser-Ney probabilities with the network's")
    aligned: bool = setting(False, "mix in predictions from similar places in training records; needs ngrams")
    contexts: bool = setting(
        False,
        "mix in predictions of context mixing, counted in the training data and in the document so far; replaces ngrams",
    )
    context_tokens: int = setting(
        2_000_000,
        "largest number of training tokens that are counted or aligned",
        unit="tokens",
        low=0,
        high=1_000_000_000,
    )
    context_learned: int = setting(
        2_000_000,
        "the mixing weights are learned from the last ones of these tokens, at most this many",
        unit="tokens",
        low=0,
        high=1_000_000_000,
    )
    ngram_order: int = setting(4, "longest context that is counted", unit="tokens", low=0, high=16)


@dataclass(frozen=True, slots=True)
class TransformerSampling:
    """Settings of token sampling."""

    temperature: float = setting(
        1.0, "below 1 more typical, above 1 more random; 0 always takes the most probable", low=0.0, high=10.0
    )
    top_k: int = setting(0, "choose among the k most probable tokens; 0: all", low=0)
    top_p: float = setting(
        1.0,
        "choose among the most probable tokens that add up to this probability (nucleus sampling)",
        low=0.0,
        high=1.0,
    )
    min_p: float = setting(
        0.0, "drop tokens less probable than this share of the most probable one (min-p)", low=0.0, high=1.0
    )
    max_tokens: int = setting(
        0,
        "new tokens per sample, at most; 0: a record's full length, or 500 and then back to the end of a sentence or line",
        low=0,
    )
    match_error_rates: bool = setting(
        True,
        "make errors as rare as in the data: repetition; records that are less probable than held-out ones; in rows of a table, values "
        "and pairs of values that no row of the data has, in fields whose values recur; in programs, code that does not parse; records "
        "that are not valid JSON, XML or molecules, where those of the data are; in running text with context mixing, unknown words, new "
        "pairs of characters, unbalanced brackets, and empty or badly indented lines within brackets",
    )
    avoid_known: bool = setting(
        True,
        "draw a record again if it is a training record (unless most records of the data repeat), if it has the code or name of one "
        "where hardly any two share it (dates, times, amounts and row numbers do not count), or if it repeats another sample of its "
        "batch of 256 and the data never repeats",
    )

    @property
    def cuts_only_min_p(self) -> bool:
        """Whether nothing but `min_p` changes the probabilities of tokens."""
        return (self.temperature, self.top_k, self.top_p) == (1.0, 0, 1.0)

    @property
    def is_unfiltered(self) -> bool:
        """Whether tokens are drawn by their own probabilities."""
        return self.cuts_only_min_p and self.min_p == 0.0


EXPORT = FamilySettings(
    TransformerConfig,
    TransformerSampling,
    no_interpolation_reason="it samples one symbol after another; train gan, vae or diffusion on continuous data",
)
