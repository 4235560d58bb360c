"""How many real items fit in memory."""

from __future__ import annotations

import contextlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from anew.data.dataset import Dataset
from anew.data.sources.columns import ColumnChoice
from anew.data.types import DataBudget, DecodedItem
from anew.workflows import evaluated_items
from anew.workflows.evaluate_samples import NUM_PEEKED, ONLY_COMPARED, SampleSets
from anew.workflows.evaluated_items import EvaluatedItems
from anew.workflows.item_inputs import (
    held_out_items,
    held_out_labels,
    held_out_size,
    item_inputs,
    label_readers,
    num_items,
)
from anew.workflows.real_pools import real_pool
from samples import prose


def test_memorization_tests_of_foreign_samples_read_no_more_real_items_than_fit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """200,000 pictures of 128 by 128 were held at once, 10 GB."""
    for seed, part in enumerate(("data", "held", "new")):
        (tmp_path / part).mkdir()
        images = np.random.default_rng(seed).integers(0, 256, (60, 8, 8), np.uint8)
        for number, image in enumerate(images):
            Image.fromarray(image).save(tmp_path / part / f"{number}.png")
        Image.fromarray(np.zeros((8, 8), np.uint8)).save(tmp_path / part / "same.png")
    most: list[int] = []
    real_items = Dataset.items

    def items(data: Dataset, part: str, n: int, seed: int = 0) -> list[DecodedItem]:
        most.append(n)
        return real_items(data, part, n, seed)

    monkeypatch.setattr(evaluated_items, "pool_limit", lambda items, modality: 30)
    monkeypatch.setattr(Dataset, "items", items)
    with contextlib.closing(Dataset.open(str(tmp_path / "data"), size=ONLY_COMPARED)) as real:
        real.fit(ONLY_COMPARED)
        (tmp_path / "form").mkdir()
        real.modality.save(tmp_path / "form")
        generated, held_out = (
            Dataset.open_like(real.state(), tmp_path / "form", str(tmp_path / name)) for name in ("new", "held")
        )
        for part in (None, held_out):
            sets = SampleSets(EvaluatedItems(real, generated, part, 50, 0))
            pool = sets.inputs(None).pool
            assert pool is not None and len(pool(1_000).train) + len(pool(1_000).held_out) == 30
        assert any(note.startswith("At least 1 of 30 held-out items are also") for note in sets.notes)
    assert max(most) == NUM_PEEKED  # not 200,000


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
    num_test, n_validation = data.part_size("test"), data.part_size("validation")
    assert held_out_size(data) == num_test + n_validation >= 140
    assert sorted(held_out_items(data, 1_000)) == sorted(data.text("test") + data.text("validation"))
    assert sorted(held_out_items(data, num_test)) == sorted(data.text("test"))
    assert len(held_out_labels(data, num_test + 5, 0)[1]) == len(held_out_items(data, num_test + 5)) == num_test + 5


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
    num_train = data.scan.parts["train"]
    assert num_items(data, "train") == num_train < data.part_size("train")
    pool = real_pool(data, 160, 0)  # not all of them
    assert pool.num_train_total == num_train


def test_documents_have_the_classes_of_their_suffixes(tmp_path: Path) -> None:
    for number in range(120):
        suffix, word = ((".md", "# Title"), (".rst", "====="))[number % 2]
        text = prose(tmp_path / f"{number}{suffix}", 12, number)
        text.write_text(f"{word}\n\n{text.read_text()}")
    data = open_data(tmp_path)
    assert data.scan.labels == (".md", ".rst") and data.spec.classes == 2 and sum(data.label_shares()) == 1.0
    inputs, readers = item_inputs(data, ["# Title\n" * 50], 3), label_readers(data, 3)
    assert inputs.beginnings is not None and readers is not None
    for part, reader in zip(("train", "test"), readers, strict=True):
        heads, (labels, numbers) = inputs.beginnings(part, 50), reader(50)
        assert [labels[number] for number in numbers] == [".md" if head[0] == "#" else ".rst" for head in heads]
    assert set(data.batch(0, "main", 0, 8, 8).labels.tolist()) <= {0, 1}


def test_names_of_columns_reach_the_figures_of_rows(tmp_path: Path) -> None:
    rows = [f"n{i % 7},{i % 90 / 10},{i % 5}km of {i % 3}" for i in range(300)]
    (tmp_path / "quakes.csv").write_text("\n".join(["net,mag,place", *rows]))
    settings, size = {"layout": "list"}, DataBudget(10.0, 0, 0, 1, "cpu")
    columns = ColumnChoice.of(settings)
    with contextlib.closing(
        Dataset.open(str(tmp_path / "quakes.csv"), modality="text", settings=settings, columns=columns, size=size)
    ) as data:
        data.fit(size)
        assert item_inputs(data, list(rows[:50]), 0).field_names == ("net", "mag", "place")
