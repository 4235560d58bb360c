"""Small pictures and texts, and pools of them, for tests of evaluations."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from anew.evaluation.inputs import RealPool

WORDS = [f"{a}{b}" for a in ("al", "be", "cor", "du", "es", "fi") for b in ("na", "ro", "tis", "vex", "mo", "li")]


def pictures(n: int, seed: int) -> list[Any]:
    small = np.random.default_rng(seed).normal(size=(n, 4, 4))
    return list(np.clip(128 + 50 * np.kron(small, np.ones((1, 4, 4))), 0, 255).astype(np.uint8))


def prose(n: int, seed: int) -> list[str]:
    rng = np.random.default_rng(seed)
    return [" ".join(rng.choice(WORDS, 130)) for _ in range(n)]


def pool_of(train: list[Any], held_out: list[Any], **more: Any) -> Callable[[int], RealPool]:
    return lambda n: RealPool(train, held_out, None, more.get("total", len(train)), more.get("random", True))


TRAIN, HELD = pictures(300, 0), pictures(200, 1)


PROSE, KEPT = prose(150, 0), prose(150, 1)
