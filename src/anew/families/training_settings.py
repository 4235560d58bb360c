"""Settings of training that most families have, so that they are explained alike."""

from __future__ import annotations

from anew.core.settings import setting


def muon_lr(default: float) -> float:
    """Peak learning rate of Muon."""
    return setting(default, "peak learning rate of Muon, which trains the weight matrices", low=0.0, high=1.0)


def adamw_lr(default: float) -> float:
    """Peak learning rate of AdamW."""
    return setting(default, "peak learning rate of AdamW, which trains all other weights", low=0.0, high=1.0)


def decay(default: float) -> float:
    """Share of the run in which the learning rate decays."""
    return setting(default, "share of the run, at its end, in which the learning rate decays", low=0.0, high=1.0)


def ema_width(default: float) -> float:
    """Width of the moving average of the weights."""
    return setting(default, "relative width of the moving average of the weights", low=0.0, high=0.25)


def weight_decay(default: float) -> float:
    """Decoupled weight decay."""
    return setting(default, "decoupled weight decay of the weight matrices", low=0.0, high=10.0)


def precision() -> str:
    """Numerical precision."""
    return setting("auto", "numerical precision of the networks", choices=("auto", "fp32", "bf16"))
