"""Features that the user computed, from a safetensors file."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from anew.errors import ConfigError
from anew.evaluation.inputs import MIN_ITEMS
from anew.evaluation.metrics.feature_sets import FeatureSets


def read_features(path: str) -> FeatureSets:
    """Read the user's own features from a safetensors file.

    It holds `samples`, `held_out` and `train`, each (n, d), and optionally `naive` for a naive generator. All are cut to
    the number of rows of the shortest.
    """
    from safetensors.numpy import load_file

    needed = ("samples", "held_out", "train")
    try:
        tensors = load_file(path)
    except Exception as error:  # a damaged file makes the reader raise errors of many types
        raise ConfigError(f"`features` {path!r} cannot be read as safetensors ({str(error)[:80]})") from None
    missing = [name for name in needed if name not in tensors]
    if missing:
        raise ConfigError(f"`features` {path!r} lacks the tensor {missing[0]!r}; expected samples, held_out and train")
    rows = {name: tensors[name].astype(np.float64) for name in (*needed, "naive") if name in tensors}
    shapes = {name: tensor.shape for name, tensor in rows.items()}
    if any(len(shape) != 2 for shape in shapes.values()) or len({shape[1] for shape in shapes.values()}) != 1:
        raise ConfigError(f"`features` {path!r} has shapes {shapes}; expected (n, d) with the same d for all")
    if not all(np.isfinite(tensor).all() for tensor in rows.values()):
        raise ConfigError(f"`features` {path!r} holds numbers that are not finite; leave those rows out")
    n = min(len(tensor) for tensor in rows.values())
    if n < MIN_ITEMS:
        raise ConfigError(f"`features` {path!r} has {n} rows of one tensor; expected at least {MIN_ITEMS} of each")
    return FeatureSets(
        samples=rows["samples"][:n],
        held_out=rows["held_out"][:n],
        train=rows["train"][:n],
        naive=rows["naive"][:n] if "naive" in rows else None,
        description=f"{shapes['samples'][1]} features of {Path(path).name}",
    )
