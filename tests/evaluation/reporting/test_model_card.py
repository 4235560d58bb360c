"""The model card: a block that the hub can read, and nothing that breaks it."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any

import pytest

from anew.core.specs import Tokens
from anew.evaluation.reporting.measurements import Measurements
from anew.evaluation.reporting.model_card import card, describe_kept_data, write_card
from anew.evaluation.reporting.report import EvaluationReport
from scores import score

yaml = pytest.importorskip("yaml")
SCORES = [
    score("bits_per_character", 2.1, 2.0, 2.2, n=1000, source="test part"),
    score("bits_per_character_kneser_ney", 2.3, n=1000),
    score("verbatim_share", float("nan")),
]


def report(run: str = "r", family: str = "f", modality: str = "image", scores: Any = SCORES) -> EvaluationReport:
    return EvaluationReport.of(Measurements(scores=scores), run=run, family=family, modality=modality)


def block(text: str) -> dict[str, Any]:
    assert text.startswith("---\n")
    metadata = yaml.safe_load(text.split("---\n")[1])
    assert isinstance(metadata, dict)
    return metadata


def test_metadata_block() -> None:
    metadata = block(card(report(family="transformer", modality="text"), data="d", parameters=5))
    assert metadata["license"] == "unknown" and metadata["library_name"] == "anew"
    assert metadata["pipeline_tag"] == "text-generation" and metadata["tags"] == ["anew", "transformer", "text"]
    result = metadata["model-index"][0]["results"][0]
    assert result["task"]["type"] == "text-generation" and result["dataset"]["name"] == "d"
    assert result["metrics"] == [
        {"type": "bits_per_character", "name": "Bits per character", "value": 2.1, "args": {"n": 1000}}
    ]


@pytest.mark.parametrize(
    "name", ['a: b "c" # d', "---", "x\ny: z", "[n](http://a)", "ünïcode 🐶", "'", "`tick`", "\x85\x7f"]
)
def test_names_cannot_break_it(name: str) -> None:
    text = card(report(name, "diffusion"), data=name, parameters=None)
    data = yaml.safe_load(text[4 : text.index("\n---\n")])
    assert data["model-index"][0]["name"] == name
    assert data["pipeline_tag"] == "unconditional-image-generation"


@pytest.mark.parametrize("run", ["x; touch PWNED", "$(touch PWNED)", "a b", "`touch PWNED`", "``x`` '", "a\nb", "-rf"])
def test_the_command_in_it_can_be_pasted(run: str) -> None:
    text = card(report(run), data="d", parameters=None)
    (line,) = (line for line in text.splitlines() if line.startswith("or `"))
    fence = re.match("or (`+)", line)
    assert fence is not None
    code = line.removeprefix("or ").removesuffix(".").strip("`") if "`" not in run else line.split(fence[1])[1]
    assert shlex.split(code.strip()) == ["anew", "sample", run.replace("\n", "\\x0a"), "--out", "samples/"]


def test_the_hub_s_own_reader_takes_it() -> None:
    hub = pytest.importorskip("huggingface_hub")
    data = hub.ModelCard(card(report(), data="d", parameters=1)).data
    assert data.library_name == "anew" and data.eval_results[0].metric_value == 2.1


def test_written_beside_the_weights_without_the_data_s_place(tmp_path: Path) -> None:
    run = tmp_path / "faces"
    run.mkdir()
    write_card(run, report(), data_path="/home/someone/private/faces-data", parameters=1234, kept_data="", tried="")
    text = (run / "README.md").read_text(encoding="utf-8")
    assert "1,234 parameters" in text and "faces-data" in text and "/home/someone" not in text
    assert [p.name for p in run.iterdir()] == ["README.md"]


def test_without_scores_there_is_no_index() -> None:
    text = card(report(modality="protein", scores=[]), data="d", parameters=None)
    assert "model-index" not in block(text) and "pipeline_tag" not in block(text)
    assert "Nothing was measured." in text


@pytest.mark.parametrize(
    ("config", "packed", "kept"),
    [
        ({"aligned": True, "ngrams": True}, False, "training records themselves"),
        ({"ngrams": True}, True, "training text itself"),
        ({"contexts": True}, True, "training text itself"),
        ({"ngrams": True}, False, None),
        ({"ngrams": False, "contexts": False}, True, None),
    ],
)
def test_a_model_that_keeps_its_data_says_so(config: dict[str, object], packed: bool, kept: str | None) -> None:
    sentence = describe_kept_data(config, Tokens(vocab=9, length=4, packed=packed))
    text = card(report(modality="text", scores=[]), data="d", parameters=1, kept_data=sentence)
    assert ("safetensors` contains" in text) == (kept is not None) and (kept or "") in text
