"""How many samples reports and comparisons draw: of records, of passages, and of short documents."""

from __future__ import annotations

from pathlib import Path

import pytest

from anew.core.specs import Tokens
from anew.data.dataset import Dataset
from anew.data.types import DataBudget
from anew.evaluation.inputs import RealItems
from anew.evaluation.memorization_schedule import samples_needed
from anew.workflows.timing.sample_counts import SampleCounts, sample_targets
from samples import prose, shapes

SIZE = DataBudget(10.0, 0, 0, 1, "cpu")


def opened(path: Path) -> Dataset:
    data = Dataset.open(str(path), seed=0, size=SIZE)
    data.fit(SIZE)
    return data


def test_samples_are_ample_where_copies_among_all_real_items_can_be_proven(tmp_path: Path) -> None:
    data = opened(shapes(tmp_path / "data", 400))
    targets = sample_targets(data)
    available = RealItems(data.part_size("train"), 400 - data.part_size("train"))
    assert targets.least <= targets.ample == max(300, samples_needed(available))
    data.close()


def test_few_passages_of_long_text_say_as_much_as_many_records(tmp_path: Path) -> None:
    data = opened(prose(tmp_path / "book.txt", 12_000))
    counts = SampleCounts.of(data)
    assert counts.pieces == 4 and counts.held_out > 60
    assert (counts.enough(), counts.of_report(1000), counts.of_comparison(1000)) == (75, 125, 32)
    assert sample_targets(data).required == 20
    data.close()


def test_of_short_documents_many_more_are_drawn(tmp_path: Path) -> None:
    """A quote of 60 characters is a quarter of a piece: a thousand of them are as much text as 60 passages."""
    (tmp_path / "quotes").mkdir()
    lines = prose(tmp_path / "source.txt", 4000).read_text().replace("\n\n", " ").split(". ")
    (tmp_path / "quotes" / "quotes").write_text("\n%\n".join(f"{line}.\n" for line in lines))
    data = opened(tmp_path / "quotes")
    assert isinstance(data.spec, Tokens) and data.spec.packed
    counts = SampleCounts.of(data)
    assert counts.pieces < 0.5 and counts.of_report(1000) == 1000 and counts.of_comparison(1000) > 250
    assert counts.enough() == pytest.approx(300 / counts.pieces, abs=1)
    assert sample_targets(data).required > 20 / counts.pieces  # any figure needs 20 pieces, not 20 quotes
    held_out = "".join(data.text("test"))
    assert counts.held_out == len(held_out) // 256
    assert len(held_out) > 0.95 * min(80_000, 0.1 * sum(map(len, lines)))  # as much of them as of one long text
    data.close()
