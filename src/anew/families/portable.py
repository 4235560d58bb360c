"""What a family hands to programs that do not know it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor


@dataclass(frozen=True)
class StockDecoder:
    """A network over tokens, in the names of a class that other libraries have.

    Attributes:
        state: Weights by the names of `transformers.Qwen3ForCausalLM`; without `lm_head.weight` where it is the embedding.
        config: What its config.json holds. Ids from the spec's vocabulary on are those of labels, the last one of no label.
        left_behind: What else the family samples from, which the class cannot hold; one clause each.
    """

    state: Mapping[str, Tensor]
    config: Mapping[str, Any]
    left_behind: tuple[str, ...] = ()
