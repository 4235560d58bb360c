"""A run on texts of several suffixes: samples of each, and the files that they become."""

from __future__ import annotations

from pathlib import Path

import pytest

import anew
from anew.errors import ConfigError
from samples import TINY, prose, trained


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> anew.Model:
    folder = tmp_path_factory.mktemp("kinds")
    for number in range(90):
        prose(folder / "data" / f"{number}{('.md', '.rst', '.rst')[number % 3]}", 12, number)
    settings = {**TINY, "ngrams": "false", "contexts": "false", "context": "32"}
    return trained(folder / "data", folder / "run", steps=2, settings=settings)


def test_each_sample_has_the_suffix_of_its_class(model: anew.Model, tmp_path: Path) -> None:
    assert model.labels == [".rst", ".md"] or model.labels == [".md", ".rst"]
    samples = model.sample(9, max_tokens=5)
    assert samples.labels.count(".rst") == 6  # as among the files
    paths = samples.save(tmp_path / "all")
    assert [path.name for path in paths] == [f"000{i}{label}" for i, label in enumerate(samples.labels)]
    assert [path.suffix for path in model.sample(3, label="md", max_tokens=5).save(tmp_path / "md")] == [".md"] * 3
    assert model.sample(1, label=".md", max_tokens=5).labels == [".md"]
    with pytest.raises(ConfigError, match="unknown `label` 'txt'"):
        model.sample(1, label="txt")


def test_texts_are_scored_by_their_suffix_and_others_under_all_classes(model: anew.Model, tmp_path: Path) -> None:
    text = "One two three four five six seven eight nine ten. " * 8
    for suffix in (".md", ".rst"):
        (tmp_path / f"a{suffix}").write_text(text)
    scores = model.score(tmp_path, per_item=True)
    by_label = [model.score([text], label=label).bits for label in ("md", "rst")]
    assert [item.bits for item in scores.items] == pytest.approx(by_label)
    mixed = model.score([text])
    assert min(by_label) <= mixed.bits <= max(by_label) and "2 classes" in mixed.notes[-1]
