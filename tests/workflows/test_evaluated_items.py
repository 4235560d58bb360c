"""Held-out items that are also training items: taken from them, or repeated by the source of both."""

from __future__ import annotations

import contextlib
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from anew.data.dataset import Dataset
from anew.workflows.evaluate_samples import ONLY_COMPARED
from anew.workflows.evaluated_items import EvaluatedItems, overlap_p


def lines(n: int, seed: int, *, n_common: int) -> list[str]:
    """Lines of which half are one of so many common ones."""
    rng = np.random.default_rng(seed)
    return [
        f"common line {k}" if k < n_common else f"line {seed} {i}"
        for i, k in enumerate(rng.integers(2 * n_common, size=n))
    ]


def notes_and_items(folder: Path, held_out: list[str], data: list[str] | None = None) -> tuple[list[str], list[str]]:
    """The notes on held-out lines, and those that are compared. data: lines; None for 300 with some common ones."""
    parts = {"data": data or lines(300, 0, n_common=120), "held": held_out, "new": lines(60, 2, n_common=120)}
    for name, part in parts.items():
        (folder / f"{name}.txt").write_text("\n".join(part) + "\n")
    with contextlib.closing(Dataset.open(str(folder / "data.txt"), modality="text", size=ONLY_COMPARED)) as real:
        real.fit(ONLY_COMPARED)
        (folder / "form").mkdir()
        real.modality.save(folder / "form")
        generated, real_held_out = (
            Dataset.open_like(real.state(), folder / "form", str(folder / f"{name}.txt")) for name in ("new", "held")
        )
        items = EvaluatedItems(real, generated, real_held_out, 60, 0)
        notes = items.leave_out_training_items(real_held_out)
        return notes, list(map(str, items.held_out_items(1_000)))


def test_held_out_lines_that_the_data_repeats_of_itself_are_kept(tmp_path: Path) -> None:
    """Without them samples, which repeat such lines, too, were said to be copies."""
    held_out = lines(200, 1, n_common=120)
    notes, compared = notes_and_items(tmp_path, held_out)
    assert (
        len(notes) == 1
        and "are also in the training data, as a random division explains; they are compared" in notes[0]
    )
    assert Counter(compared) == Counter(held_out)


def test_of_lines_taken_from_the_data_as_many_are_kept_as_it_repeats_of_itself(tmp_path: Path) -> None:
    held_out = (
        lines(200, 1, n_common=120)[:150]
        + [line for line in lines(300, 0, n_common=120) if line.startswith("line")][:70]
    )
    notes, compared = notes_and_items(tmp_path, held_out)
    assert "more than it repeats of itself" in notes[0]
    training = lines(300, 0, n_common=120)
    repeats = Counter(training)
    share = np.mean([repeats[line] > 1 for line in training])
    assert np.isclose(np.mean([line in repeats for line in compared]), share, atol=0.01)


def test_where_none_are_left_out_it_is_not_said_that_some_are(tmp_path: Path) -> None:
    """One item of the training part, many times: more than chance explains, and as many as the data repeats of itself."""
    data = [f"line {i}" for i in range(150)] + [f"pair {i // 2}" for i in range(150)]
    held_out = [f"new line {i}" for i in range(100)] + ["line 7"] * 80
    notes, compared = notes_and_items(tmp_path, held_out, data)
    assert "no more than it repeats of itself; they are compared like all others" in notes[0]
    assert Counter(compared) == Counter(held_out)


class SaltedKey(bytes):
    """A key whose hash changes as that of bytes does from process to process."""

    salt = 0

    def __hash__(self) -> int:
        return hash((bytes(self), self.salt))


def test_the_p_of_an_overlap_is_the_same_in_each_process(monkeypatch: pytest.MonkeyPatch) -> None:
    rng, p_values = np.random.default_rng(0), set()
    items = [f"{number}".encode() for number in rng.zipf(1.3, 400)]
    for salt in range(4):
        monkeypatch.setattr(SaltedKey, "salt", salt)
        keys = [SaltedKey(item) for item in items]
        p_values.add(overlap_p(Counter(keys[:300]), Counter(keys[300:]), 0))
    assert len(p_values) == 1


def test_the_p_of_an_overlap_is_that_of_random_divisions() -> None:
    pool, rng = Counter(lines(600, 3, n_common=100)), np.random.default_rng(0)
    p_values = []
    for _ in range(12):
        items = rng.permutation(list(pool.elements()))
        p_values.append(overlap_p(Counter(items[:450]), Counter(items[450:]), 0))
    assert 0.2 < np.mean(p_values) < 0.8 and min(p_values) > 0.01
    different = Counter(str(i) for i in range(450))
    assert overlap_p(different, Counter(str(i) for i in range(440, 550)), 0) <= 0.01
    assert overlap_p(different, Counter(str(i) for i in range(449, 550)), 0) > 0.01  # one alone may be chance
