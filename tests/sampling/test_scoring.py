"""Bits of texts, of lists, of what lies on the disk; wrong arguments are one sentence."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import anew
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


@pytest.mark.parametrize(
    ("items", "message"), [([], "at least one item"), (["a", 5], "item 2 is 5"), ([b"a"], "list of strings")]
)
def test_items_that_cannot_be_scored(text: anew.Model, items: Any, message: str) -> None:
    with pytest.raises(anew.ConfigError, match=message):
        text.score(items)
    with pytest.raises(anew.ConfigError, match="`limit` is for data on the disk"):
        text.score(["a"], limit=5)
