"""Exports for `transformers`: loaded by a process that knows nothing of this package, they give the run's logits and texts."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import anew
from anew.nets.incremental import NumpyDecoder
from anew.runs import weights

LOAD = """
import json, sys, warnings
warnings.simplefilter("ignore")
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

def answer(given):
    model = AutoModelForCausalLM.from_pretrained(given["folder"]).eval()
    tokenizer = AutoTokenizer.from_pretrained(given["folder"])
    with torch.no_grad():
        logits = [model(torch.tensor([ids])).logits[0].tolist() for ids in given["ids"]]
    start = torch.tensor([given["start"]])
    sampling = {"do_sample": False, "temperature": None, "top_p": None, "top_k": None, "min_p": None}
    greedy = model.generate(start, attention_mask=torch.ones_like(start), max_length=start.shape[1] + 200, **sampling)[0]
    encoded = [tokenizer(text)["input_ids"] for text in given["texts"]]
    decoded = [tokenizer.decode(ids, skip_special_tokens=True) for ids in encoded]
    assert "anew" not in sys.modules
    special = [tokenizer.bos_token_id, tokenizer.eos_token_id, tokenizer.pad_token_id]
    return {"logits": logits, "greedy": greedy.tolist(), "encoded": encoded, "decoded": decoded, "class": type(model).__name__,
            "special": special}

answers, sys.stdout = sys.stdout, sys.stderr
for line in sys.stdin:
    print(json.dumps(answer(json.loads(line))), file=answers, flush=True)
"""


@pytest.fixture(scope="module")
def load_elsewhere(
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Callable[[Path, dict[str, Any]], dict[str, Any]]]:
    """What a process without this package says of an export; to import transformers takes it longer than all its answers."""
    pytest.importorskip("transformers", reason="the export is loaded by transformers (pip install '.[dev]')")
    words, errors = [sys.executable, "-W", "ignore", "-c", LOAD], tmp_path_factory.mktemp("elsewhere") / "errors.txt"
    with (
        errors.open("w") as stderr,
        subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=stderr, text=True) as process,
    ):

        def load(folder: Path, request: dict[str, Any]) -> dict[str, Any]:
            assert process.stdin is not None and process.stdout is not None
            print(json.dumps(request | {"folder": str(folder)}), file=process.stdin, flush=True)
            line = process.stdout.readline()
            assert line, errors.read_text()[-3000:]
            answer: dict[str, Any] = json.loads(line)
            return answer

        yield load


def held_out(run: Path, modality: Any) -> tuple[list[str], list[list[int]]]:
    """Texts and ids that were held out."""
    from anew.data.dataset import Dataset

    record = anew.load(run).record
    data = Dataset.reopen(record.data, run, None)
    texts = [text for text in data.text("test") if text][:20]
    return texts, [prompt_ids(modality, text) for text in texts]


def prompt_ids(modality: Any, text: str) -> list[int]:
    ids: list[int] = modality.condition_from_prompt(text).tolist()
    return ids


@torch.inference_mode()
def greedy_ids(model: anew.Model, start: Iterable[int], count: int = 200) -> list[int]:
    """What the network alone says next, so many times or until the end."""
    network: Any = model.family
    ids = list(start)
    special = model.spec.special
    rare = special.get("rare", model.spec.vocab)
    never = slice(rare, min([i for i in special.values() if i > rare], default=None))
    decoder = NumpyDecoder(network.net, 1)
    unread = ids
    for _ in range(count):
        logits = decoder.feed(np.array([unread]))[0, : model.spec.vocab].copy()
        logits[never] = -np.inf
        unread = [int(logits.argmax())]
        ids += unread
        if unread == [special.get("end")]:
            break
    return ids


@pytest.mark.parametrize(
    "name",
    [
        pytest.param("characters", marks=pytest.mark.slow),
        "list",
        pytest.param("sub-words", marks=pytest.mark.slow),
        pytest.param("labels", marks=pytest.mark.slow),
    ],
)
def test_it_loads_elsewhere_with_the_same_logits_and_texts(
    name: str,
    text_run: Callable[[str], Path],
    load_elsewhere: Callable[[Path, dict[str, Any]], dict[str, Any]],
    tmp_path: Path,
) -> None:
    run = text_run(name)
    model = anew.load(run, "cpu")
    export = anew.export(run, "transformers", tmp_path / "out")
    texts, ids = held_out(run, model.modality)
    labels = [model.spec.vocab] if model.spec.classes else []
    context = model.spec.length
    inputs = [[*labels, *row[:context]] for row in ids]
    start = [*labels, *ids[0][:20]]
    output = load_elsewhere(export.folder, {"ids": inputs, "start": start, "texts": texts})
    assert output["class"] == "Qwen3ForCausalLM"
    network: Any = model.family
    for row, logits in zip(inputs, output["logits"], strict=True):
        with torch.no_grad():
            ours = network.net(torch.tensor([row]))[0].numpy()
        assert np.abs(ours - np.array(logits)).max() < 1e-4
    if len(start) + 200 <= context:
        assert output["greedy"] == greedy_ids(model, start)
        assert name == "labels" or len(output["greedy"]) > 100
    begins = [model.spec.special.get("begin", -1)] if labels else []  # with labels the prompt says it all
    assert [[*begins, *row] for row in output["encoded"]] == ids
    assert output["decoded"] == texts
    end = model.spec.special.get("end")
    assert output["special"] == [model.spec.special.get("begin", end), end, end]


def test_weights_of_several_files_are_loaded_elsewhere(
    text_run: Callable[[str], Path],
    load_elsewhere: Callable[[Path, dict[str, Any]], dict[str, Any]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(weights, "MAX_FILE_BYTES", 20_000)
    run = text_run("list")
    folder = anew.export(run, "transformers", tmp_path / "out").folder
    assert len(list(folder.glob("model-0*.safetensors"))) > 1 and not (folder / "model.safetensors").exists()
    model = anew.load(run, "cpu")
    ids = [*range(10)]
    output = load_elsewhere(folder, {"ids": [ids], "start": ids, "texts": []})
    network: Any = model.family
    with torch.no_grad():
        ours = network.net(torch.tensor([ids]))[0].numpy()
    assert np.abs(ours - np.array(output["logits"][0])).max() < 1e-4
