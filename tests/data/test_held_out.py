"""Which items samples are compared with."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from anew.data.dataset import Dataset
from anew.data.held_out import held_out_items, held_out_labels, held_out_size
from anew.data.types import DataBudget


def names(n: int) -> str:
    rng = np.random.default_rng(1)
    return "".join("".join(rng.choice(list("abcdefgh"), rng.integers(3, 9))) + "\n" for _ in range(n))


def open_data(path: Path) -> Dataset:
    data = Dataset.open(path)
    data.fit(DataBudget(60.0, 0, 0))
    return data


def test_samples_are_compared_with_validation_items_where_the_test_part_is_small(tmp_path: Path) -> None:
    (tmp_path / "names.txt").write_text(names(500))
    data = open_data(tmp_path)
    n_test, n_validation = data.part_size("test"), data.part_size("validation")
    assert held_out_size(data) == n_test + n_validation >= 140
    assert sorted(held_out_items(data, 1_000)) == sorted(data.text("test") + data.text("validation"))
    assert sorted(held_out_items(data, n_test)) == sorted(data.text("test"))
    assert len(held_out_labels(data, n_test + 5)[1]) == len(held_out_items(data, n_test + 5)) == n_test + 5


def test_a_test_part_of_the_users_own_is_compared_with_alone(tmp_path: Path) -> None:
    (tmp_path / "train.txt").write_text(names(900))
    (tmp_path / "test.txt").write_text(names(60))
    data = open_data(tmp_path)
    assert held_out_size(data) == data.part_size("test") == len(held_out_items(data, 200))


def test_a_long_record_that_is_cut_into_several_examples_counts_once(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    lengths = np.where(np.arange(300) % 10, 30, 3_000)
    sequences = ["".join(rng.choice(list("ACDEFGHIKLMNPQRSTVWY"), n)) for n in lengths]
    (tmp_path / "a.fasta").write_text("".join(f">{i}\n{sequence}\n" for i, sequence in enumerate(sequences)))
    data = open_data(tmp_path)
    assert held_out_size(data) == len(held_out_items(data, 1_000)) < sum(map(data.part_size, ("test", "validation")))
