"""What exports to other programs have of a run: its network, without counts and contexts."""

from __future__ import annotations

from typing import Any

import torch

import anew
from anew.sampling.conditioning import condition_from_prompt
from anew.sampling.prompt_classes import class_weights


def strip(model: anew.Model) -> None:
    """Leave the counts and contexts of a Transformer out."""
    network: Any = model.family
    alone = type(network)(network.spec, network.config)
    network.mixer, network.contexts = alone.mixer, alone.contexts


def network_class_weights(model: anew.Model, prompt: str) -> list[float]:
    """How likely each class is of a prompt, under the network alone."""
    strip(model)
    condition = condition_from_prompt(model.modality, prompt, None)
    assert condition is not None
    shares = torch.tensor(model.label_shares, dtype=torch.float64)
    weights: list[float] = class_weights(model.family, condition, shares, model.sampling_config())[0].tolist()
    return weights
