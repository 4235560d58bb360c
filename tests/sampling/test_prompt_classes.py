"""Samples of a prompt without a label are of the classes that the prompt makes likely."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
import torch

import anew
from anew.core.specs import Condition, SampleRequest
from anew.data.formats.text.tokenizer import Characters
from anew.data.modalities.text import Text
from anew.families.base import SamplesTokens
from anew.sampling import prompt_classes
from anew.sampling.conditioning import condition_from_prompt
from anew.sampling.prompt_classes import class_weights
from samples import TINY, trained
from server_runs import serving
from toys import score_as_drawn

LETTERS = {"a": "abcd", "e": "efgh", "h": "hijk"}
COUNTS = (300, 200, 100)


@pytest.fixture(scope="module", params=["characters", "bpe"])
def model(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> anew.Model:
    """A model of three classes of unequal size, of which the last two share a letter."""
    folder = tmp_path_factory.mktemp("classes")
    rows = [
        f"{letters[i % 4] * 2}{letters[i // 4 % 4]} {letters[i // 16 % 4]}{letters[i // 64 % 4]},{label}"
        for (label, letters), count in zip(LETTERS.items(), COUNTS, strict=True)
        for i in range(count)
    ]
    (folder / "data.csv").write_text("\n".join(["text,label", *rows]))
    # Aligned records could be left out of drawing, but not of scoring
    settings = {"text_column": "text", "evaluate_samples": 1, "previews": 0, "context": 16, "tokens": request.param}
    model = trained(
        folder / "data.csv",
        folder / "run",
        modality="text",
        steps=30,
        settings={**TINY, **settings, "aligned": "false"},
    )
    score_as_drawn(model.family)
    return model


def weights(model: anew.Model, prompt: str) -> list[float]:
    condition = condition_from_prompt(model.modality, prompt, None)
    assert condition is not None
    shares = torch.tensor(model.label_shares, dtype=torch.float64)
    (row,) = class_weights(model.family, condition, shares, model.sampling_config())
    assert float(row.sum()) == pytest.approx(1)
    return row.tolist()


def drawn_probabilities(model: anew.Model, prompt: str) -> list[float]:
    """The probability of a prompt in each class, by the weights with which its tokens would be drawn."""
    family: Any = model.family
    assert isinstance(family, SamplesTokens) and isinstance(model.modality, Text)
    ids = model.modality.condition_from_prompt(prompt)
    request = SampleRequest(3, torch.arange(3), Condition(ids), model.sampling_config())
    probabilities = torch.ones(3, dtype=torch.float64)
    drafts = family.sample_tokens(request, request.sample_keys(0), reads_prompt=True)
    for token, draft in zip(ids[1:].tolist(), drafts, strict=False):
        assert draft.ids[:, -1].tolist() == [token] * 3
        row = torch.from_numpy(draft.weights).double()
        probabilities *= row[:, token] / row.sum(1)
    return probabilities.tolist()


def test_weights_are_shares_times_the_probability_of_the_prompt(model: anew.Model) -> None:
    assert isinstance(model.modality, Text)
    assert weights(model, "") == pytest.approx(model.label_shares)
    for prompt in ("bba", "ee", "hh", "hhh h", "x"):
        condition = condition_from_prompt(model.modality, prompt, None)
        assert condition is not None
        if condition.ending is None:
            joint = [s * p for s, p in zip(model.label_shares, drawn_probabilities(model, prompt), strict=True)]
            assert weights(model, prompt) == pytest.approx([value / sum(joint) for value in joint], abs=2e-3)
    if isinstance(model.modality.tokenizer, Characters):
        assert weights(model, "bba" * 20)[0] > 0.9  # longer than the context


@pytest.mark.parametrize("prompt", ["bbc", "b", "bbc "])
def test_a_prompt_chooses_the_class_of_its_samples(model: anew.Model, prompt: str) -> None:
    of_a, *others = weights(model, prompt)
    assert of_a > 0.9
    labels = Counter(model.sample(64, prompt=prompt).labels)
    assert labels["a"] == pytest.approx(64 * of_a, abs=2) and sum(labels.values()) == 64
    assert model.sample(4, prompt=prompt, label="h").labels == ["h"] * 4
    assert set(model.sample(64).labels) == set(LETTERS) and len(others) == 2


def test_each_prompt_of_a_condition_has_its_own_class(model: anew.Model, monkeypatch: pytest.MonkeyPatch) -> None:
    assert isinstance(model.modality, Text)
    ids = [model.modality.condition_from_prompt(text) for text in ("bb", "ff")]
    if len(ids[0]) != len(ids[1]):
        pytest.skip("the prompts have different numbers of sub-words")
    rows = Condition(torch.stack([ids[0], ids[1], ids[0]]))
    expected = model.sample_labels(3, 0, condition=rows)
    assert expected is not None and model.label_names(expected, 3) == ["a", "e", "a"]
    monkeypatch.setattr(prompt_classes, "CLASSES_AT_ONCE", 2)
    assert torch.equal(model.sample_labels(3, 0, condition=rows), expected)  # type: ignore[arg-type]
    monkeypatch.setattr(type(model.family), "scores_by_class", False)
    labels = model.sample_labels(90, 0, condition=Condition(ids[0]))
    assert labels is not None and torch.equal(labels, model.sample_labels(90, 0))  # type: ignore[arg-type]


def test_the_server_continues_with_that_class(model: anew.Model) -> None:
    name = model.folder.path.name
    with serving([model.folder.path]) as client:
        body = {"model": name, "prompt": "bb", "n": 8, "seed": 3, "max_tokens": 3}
        choices = client.post("/v1/completions", json=body).json()["choices"]
    samples = model.sample(8, prompt="bb", seed=3, max_tokens=3, avoid_known=False)
    assert ["bb" + choice["text"] for choice in choices] == list(samples)
