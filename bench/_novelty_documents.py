"""Real documents divided at random, of which some samples are joined from parts of training documents, or whole ones."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from anew.evaluation.memorization.memorization_test import MemorizationOptions
from anew.evaluation.memorization.text_test import run_text_test

DOCUMENTS = 650  # most documents of a draw
TRAIN, HELD_OUT = 0.68, 0.77  # ends of the shares for training and held out; the others are samples
MIN_BYTES = 1_000
Copy = Callable[[list[str], np.random.Generator], str]


def documents(folder: Path) -> list[str]:
    """The different texts of a folder."""
    paths = sorted(path for path in folder.rglob("*") if path.is_file() and path.stat().st_size >= MIN_BYTES)
    return sorted({path.read_text(encoding="utf-8", errors="replace") for path in paths})


def joined(train: list[str], rng: np.random.Generator) -> str:
    """The first half of a training document and the second half of another."""
    first, second = (train[int(i)] for i in rng.choice(len(train), 2, replace=False))
    return first[: len(first) // 2] + second[len(second) // 2 :]


def whole(train: list[str], rng: np.random.Generator) -> str:
    """A training document."""
    return train[int(rng.integers(len(train)))]


CASES: tuple[tuple[str, Copy, float], ...] = (
    ("real documents", joined, 0.0),
    ("5% joined", joined, 0.05),
    ("15% joined", joined, 0.15),
    ("5% whole", whole, 0.05),
)


def cases(
    folder: Path, null_runs: int, runs: int, first_seed: int, chosen: Sequence[str] | None
) -> Iterator[dict[str, Any]]:
    """How often copies are detected in each case; null runs have none. chosen: names of cases; None: all."""
    texts = documents(folder)
    for name, copy, rate in (case for case in CASES if chosen is None or case[0] in chosen):
        count, detected = (runs if rate else null_runs), 0
        for seed in range(first_seed, first_seed + count):
            rng = np.random.default_rng(seed)
            drawn = [texts[i] for i in rng.permutation(len(texts))[:DOCUMENTS]]
            first, second = (round(share * len(drawn)) for share in (TRAIN, HELD_OUT))
            train, held_out, samples = drawn[:first], drawn[first:second], drawn[second:]
            num_copies = round(rate * len(samples))
            samples[:num_copies] = [copy(train, rng) for _ in range(num_copies)]
            detected += run_text_test(
                samples, train, held_out, options=MemorizationOptions(seed=seed, controls=False)
            ).detected
        yield {"data": folder.name, "case": name, "runs": count, "anew": detected}
