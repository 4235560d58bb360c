"""Bits of texts, of lists, of what lies on the disk; wrong arguments are one sentence."""

from __future__ import annotations

import contextlib
import csv
import io
import json
from pathlib import Path
from typing import Any

import pytest

import anew
from anew.data.dataset import Dataset
from anew.sampling.scoring import OWN_DATA, PART_OF_OWN_DATA
from samples import TINY, names, prose, trained

FEW = {"evaluate_samples": 1, "previews": 0}


@pytest.fixture(scope="module")
def text(tmp_path_factory: pytest.TempPathFactory) -> anew.Model:
    folder = tmp_path_factory.mktemp("text")
    return trained(prose(folder / "book.txt", 1000), folder / "run", steps=5, settings={**FEW, **TINY})


@pytest.fixture(scope="module")
def records(tmp_path_factory: pytest.TempPathFactory) -> anew.Model:
    folder = tmp_path_factory.mktemp("names")
    return trained(names(folder / "names.txt"), folder / "run", steps=5, settings={**FEW, **TINY})


@pytest.mark.parametrize("run_fixture", ["text", "records"])
def test_each_item_is_scored_by_itself(run_fixture: str, request: pytest.FixtureRequest) -> None:
    model: anew.Model = request.getfixturevalue(run_fixture)
    together = model.score(["anna", "the river", "zq"])
    assert together.items[0].units in (4, 5)  # a record's end counts
    for item, alone in zip(together.items, ["anna", "the river", "zq"], strict=True):
        assert model.score([alone]).bits == pytest.approx(item.bits, rel=1e-4)
    assert together.bits == pytest.approx(sum(item.bits for item in together.items))
    figures = json.loads(json.dumps(together.to_json()))
    assert len(figures["items"]) == 3 and figures["bits_per_character"] == pytest.approx(together.bits_per_unit)


def test_training_records_are_counted_and_marked(records: anew.Model, tmp_path: Path) -> None:
    """They are more likely than new ones, which said nothing of new ones and was not said."""
    trained_on = (records.folder.path.parent / "names.txt").read_text().splitlines()
    scores = records.score(records.folder.path.parent / "names.txt", per_item=True)
    count = sum(item.in_training is True for item in scores.items)
    assert 0.5 * len(trained_on) < count < len(trained_on)  # some were held out
    assert scores.notes[0].startswith(
        f"{count:,} of {len(scores.items):,} records are training records, whose likelihood"
    )
    others = [item for item in scores.items if item.in_training is False]
    bits = sum(item.bits for item in others) / sum(item.units for item in others)
    assert f"those that are not take {bits:.4g} bits per character." in scores.notes[0]
    row = next(csv.DictReader(io.StringIO(scores.to_csv())))
    assert row["in_training"] in ("True", "False")
    new = records.score(["nnn", "aaa"])
    assert not new.notes and [item.in_training for item in new.items] == [False, False]
    alone = records.score([trained_on[next(item.record for item in scores.items if item.in_training) - 1]])
    assert alone.notes == ("1 of 1 record is a training record, whose likelihood says nothing about new data.",)


def test_the_data_of_the_run_itself_is_said_to_be_that(text: anew.Model, tmp_path: Path) -> None:
    book = text.folder.path.parent / "book.txt"
    assert text.score(book).notes == (OWN_DATA,)
    (tmp_path / "new.txt").write_text(book.read_text()[:2_000])
    assert text.score(tmp_path / "new.txt").notes == ()


def test_a_file_of_the_data_of_the_run_is_said_to_be_one(tmp_path: Path) -> None:
    """One novel of six scored 1.79 bits a character, without a word on having been trained on."""
    data = tmp_path / "data"
    for name in ("a.txt", "b.txt", "test/c.txt"):
        prose(data / name, 600)
    model = trained(data, tmp_path / "run", steps=2, settings={**FEW, **TINY})
    assert model.score(data / "a.txt").notes == (PART_OF_OWN_DATA,)
    assert model.score(data / "test").notes == model.score(data / "test" / "c.txt").notes == ()
    (tmp_path / "a.txt").write_text((data / "a.txt").read_text() + "New.")
    assert model.score(tmp_path / "a.txt").notes == ()


def test_a_string_names_a_place_and_is_never_a_text(text: anew.Model, tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.chdir(tmp_path)
    Path("river").write_text("The river and the river.")
    assert text.score("river").units == 24 and not text.score("river").items
    for mistyped in ("The river.", "no.txt", "my holdout/texts", "two\nlines", "river and river"):
        with pytest.raises(anew.DataError, match=r"names no file or folder; .* in a list"):
            text.score(mistyped)


def test_a_text_in_a_list_is_looked_up_nowhere(text: anew.Model, tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.chdir(tmp_path)
    Path("river").write_text("The river and the river.")
    monkeypatch.setattr("anew.data.sources.source.Source.open", None)
    assert [item.units for item in text.score(["his/her", "river"]).items] == [7, 5]


@pytest.mark.parametrize("batches", [[1], ["text"], "text", 5, None])
def test_bits_are_of_batches(text: anew.Model, batches: Any) -> None:
    with pytest.raises(anew.ConfigError, match=r"^`batches` must be batches") as error:
        text.bits(batches)
    assert "\n" not in str(error.value)


def test_a_part_that_the_model_lacks_is_refused(records: anew.Model) -> None:
    """It was scored as the whole model, without a word."""
    with contextlib.closing(Dataset.reopen(records.record.data, records.folder.path)) as data:
        batches = list(data.scoring("test"))
    assert records.bits(batches, part="network") != records.bits(batches)
    with pytest.raises(anew.ConfigError, match="no part 'netwrok'; expected 'network'"):
        records.bits(batches, part="netwrok")


def test_a_part_of_a_model_that_is_no_mixture_is_refused(records: anew.Model, monkeypatch: pytest.MonkeyPatch) -> None:
    """It was scored as the whole model, without a word."""
    with contextlib.closing(Dataset.reopen(records.record.data, records.folder.path)) as data:
        batches = list(data.scoring("test"))
    monkeypatch.setattr(type(records.family), "has_counts", False)
    with pytest.raises(anew.ConfigError, match="no part 'network'; it is no mixture, so leave `part` out"):
        records.bits(batches, part="network")


@pytest.mark.parametrize(
    ("items", "message"), [([], "at least one item"), (["a", 5], "item 2 is 5"), ([b"a"], "list of strings")]
)
def test_items_that_cannot_be_scored(text: anew.Model, items: Any, message: str) -> None:
    with pytest.raises(anew.ConfigError, match=message):
        text.score(items)
    with pytest.raises(anew.ConfigError, match="`limit` is for data on the disk"):
        text.score(["a"], limit=5)


def test_each_sample_of_a_folder_is_scored_once(records: anew.Model, tmp_path: Path) -> None:
    """The file of all records beside them was scored, too."""
    samples = records.sample(4)
    samples.save(tmp_path / "new")
    samples.save_sheet(tmp_path / "new")
    scores = records.score(tmp_path / "new", per_item=True)
    assert [item.file for item in scores.items] == [f"000{i}.txt" for i in range(4)] and "all.txt" in scores.notes[-1]
    assert len(records.score(tmp_path / "new" / "all.txt", per_item=True).items) == 4
