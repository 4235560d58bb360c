"""Exports for llama.cpp: what the file holds, and, where node-llama-cpp is there, the ids and the text that llama.cpp makes of it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
import torch

import anew
from anew.data.formats.text.tokenizer import Characters, SubWords
from anew.exporting import gguf as target

from .test_transformers import greedy_ids, held_out, prompt_ids

gguf = pytest.importorskip("gguf", reason="files are written by gguf (pip install '.[export]')")

# A folder with node_modules/node-llama-cpp, as `npm install node-llama-cpp` makes it.
NODE = Path(os.environ.get("NODE_LLAMA_CPP", "none"))
ODD = (
    "'Twas so\n'twas I'll don't DON'T father’s “so” – it's\n\n    if x:\n\ty = 1234567890123  \r\n   end   \n"
    " a1b2_c3 x²½ naïve 漢字かな एक 😀😀 \U00020000\U0001d7d9\u00a0\u2003x\u0085y " + "long" * 20 + "=" * 80
)
LLAMA = """
import {readFileSync} from "node:fs";
import {getLlama} from "node-llama-cpp";
const given = JSON.parse(readFileSync(0, "utf8"));
const llama = await getLlama({gpu: false, build: "never", logLevel: "error"});
const model = await llama.loadModel({modelPath: given.path});
const context = await model.createContext({contextSize: given.context, threads: 1});
const greedy = [];
for await (const token of context.getSequence().evaluate(given.start, {temperature: 0, yieldEogToken: true})) {
    greedy.push(token);
    if (greedy.length >= 100) break;
}
const encoded = given.texts.map((text) => model.tokenize(text));
console.log(JSON.stringify({greedy, encoded, text: model.detokenize(greedy)}));
process.exit(0);
"""


def read(path: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """Fields and tensors of a file."""
    reader = gguf.GGUFReader(path)
    return {name: field.contents() for name, field in reader.fields.items()}, {t.name: t for t in reader.tensors}


def test_weights_that_overflow_f16_stay_f32() -> None:
    added: dict[str, Any] = {}
    writer: Any = SimpleNamespace(add_tensor=lambda name, values: added.update({name: values}))
    small, large = np.ones((2, 3), np.float32), np.full((2, 3), 1e6, np.float32)
    for number_type in ("f16", "q8_0"):  # rows of three values are no whole blocks
        target._add_tensor(writer, "small", small, number_type)
        target._add_tensor(writer, "large", large, number_type)
        assert added["small"].dtype == np.float16 and added["large"].dtype == np.float32
        assert (added["large"] == large).all()


@pytest.mark.parametrize("number_type", ["f32", "f16", "q8_0"])
def test_weights_come_back(number_type: str, text_run: Callable[[str], Path], tmp_path: Path) -> None:
    run = text_run("characters")
    folder = anew.export(run, "gguf", tmp_path / "out", number_type=number_type).folder
    fields, tensors = read(folder / f"model-{number_type}.gguf")
    model = anew.load(run, "cpu")
    network: Any = model.family
    query = tensors["blk.1.attn_q.weight"]
    assert query.tensor_type.name == number_type.upper()
    values = gguf.quants.dequantize(query.data, query.tensor_type)
    assert np.abs(values - network.net.blocks[1].query.detach().numpy()).max() < {"f32": 1e-9}.get(number_type, 0.02)
    assert tensors["blk.0.attn_norm.weight"].tensor_type.name == "F32"
    assert fields["general.architecture"] == "qwen3" and fields["qwen3.context_length"] == 256
    assert fields["tokenizer.ggml.add_eos_token"] is False and fields["tokenizer.ggml.add_space_prefix"] is False
    tokens = fields["tokenizer.ggml.tokens"]
    assert "\u2581" in tokens and " " not in tokens and len(set(tokens)) == len(tokens)


@pytest.mark.parametrize("text", ["a b \u2581\u2583", "ab\u2581"])
def test_characters_with_the_sign_for_a_space_are_refused(text: str) -> None:
    tokenizer = Characters.fit([text]).tokenizer([])
    stock: Any = SimpleNamespace(
        tokenizer=tokenizer, decoder=SimpleNamespace(config={"vocab_size": tokenizer.get_vocab_size()})
    )
    with pytest.raises(
        anew.ConfigError, match=r"writes a space as .* export to transformers, or train with tokens=bpe"
    ):
        target._add_characters(SimpleNamespace(), stock)  # type: ignore[arg-type]


def test_tied_embeddings_and_merges(text_run: Callable[[str], Path], tmp_path: Path) -> None:
    folder = anew.export(text_run("sub-words"), "gguf", tmp_path / "out").folder
    fields, tensors = read(folder / "model-f32.gguf")
    assert "output.weight" not in tensors
    assert fields["tokenizer.ggml.model"] == "gpt2" and fields["tokenizer.ggml.add_bos_token"] is True
    tokens = fields["tokenizer.ggml.tokens"]
    assert tokens[fields["tokenizer.ggml.bos_token_id"]] == "<|end|>"
    assert all("".join(merge.split(" ")) in tokens for merge in fields["tokenizer.ggml.merges"])
    assert fields["tokenizer.ggml.pre"] == "gpt-2" and "ids differ" not in (folder / "README.md").read_text()


def test_sub_words_that_would_be_cut_differently_are_refused(
    text_run: Callable[[str], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = text_run("sub-words")
    assert target.differing_share(anew.load(run, "cpu").modality.stock_tokenizer(), [ODD]) == 0.0
    monkeypatch.setattr(
        target, "sub_word_rule", lambda with_marks: r"\S+|\s+"
    )  # as if the run had been fitted with another rule
    with pytest.raises(anew.ConfigError, match=r"llama.cpp would split \d+.\d% of this run's sub-words differently"):
        anew.export(run, "gguf", tmp_path / "out")
    assert not list(tmp_path.iterdir())


def test_words_whose_letters_have_marks_are_refused() -> None:
    text = "दस्तावेज़ों का प्रबंधन करें।\n" * 40
    tokens = SubWords.fit([text], 300)
    model: Any = SimpleNamespace(spec=None, sample=lambda n, max_tokens: [text])
    stock: Any = SimpleNamespace(tokenizer=tokens.tokenizer(["<|end|>"]))
    with pytest.raises(
        anew.ConfigError, match="since it cuts words at the marks on letters, which this run keeps; export to "
    ):
        target.check_word_splits(model, stock)
    model = SimpleNamespace(spec=None, sample=lambda n, max_tokens: ["plain words"])
    assert target.check_word_splits(model, stock) == 0.0


needs_llama = pytest.mark.skipif(
    shutil.which("node") is None or not (NODE / "node_modules" / "node-llama-cpp").is_dir(),
    reason="llama.cpp is run by node-llama-cpp; NODE_LLAMA_CPP names the folder where npm installed it",
)


def llama(place: Path, **request: object) -> dict[str, Any]:
    """What llama.cpp makes of a file: ids that go on greedily, ids of texts, and the text of the first."""
    (place / "node_modules").symlink_to(NODE / "node_modules")
    (place / "run.mjs").write_text(LLAMA)
    completed = subprocess.run(
        ["node", "run.mjs"], cwd=place, input=json.dumps(request), capture_output=True, text=True, check=False
    )
    assert completed.returncode == 0, completed.stderr[-2000:]
    output: dict[str, Any] = json.loads(completed.stdout.splitlines()[-1])
    return output


@pytest.mark.slow
@needs_llama
@pytest.mark.parametrize("name", ["characters", "sub-words", "list", "labels"])
def test_llama_cpp_goes_on_as_the_network_does(name: str, text_run: Callable[[str], Path], tmp_path: Path) -> None:
    run = text_run(name)
    model = anew.load(run, "cpu")
    folder = anew.export(run, "gguf", tmp_path / "out").folder
    texts, ids = held_out(run, model.modality)
    if name == "sub-words":
        texts.append(ODD)
        ids.append(prompt_ids(model.modality, ODD))
    label = [model.spec.vocab] if model.spec.classes else []
    start = [*label, *ids[0][:20]]
    room = min(100, model.spec.length - len(start))
    file = folder / "model-f32.gguf"
    output = llama(tmp_path, path=str(file), context=model.spec.length + 1, start=start, texts=texts)
    begin = model.spec.special.get("begin", model.spec.special.get("end"))
    assert output["encoded"] == [
        row if begin is None else row[1:] for row in ids
    ]  # node-llama-cpp puts nothing in front
    expected = greedy_ids(model, start, room)[len(start) :]
    assert output["greedy"][: len(expected)] == expected
    shown = [i for i in output["greedy"] if i != model.spec.special.get("end")]
    assert label or output["text"] == model.modality.decode(torch.tensor([shown]))[0]


@pytest.mark.slow
@needs_llama
@pytest.mark.parametrize(("number_type", "most"), [("f16", 0.02), ("q8_0", 0.2)])
def test_rounded_weights_go_on_with_tokens_that_are_nearly_the_most_probable(
    number_type: str, most: float, text_run: Callable[[str], Path], tmp_path: Path
) -> None:
    run = text_run("characters")
    model = anew.load(run, "cpu")
    file = anew.export(run, "gguf", tmp_path / "out", number_type=number_type).folder / f"model-{number_type}.gguf"
    start = held_out(run, model.modality)[1][0][:20]
    output = llama(tmp_path, path=str(file), context=model.spec.length + 1, start=start, texts=[])
    ids = torch.tensor([[*start, *output["greedy"]]])
    with torch.inference_mode():
        logits = cast(Any, model.family).net(ids)[0, len(start) - 1 : -1, : model.spec.vocab]  # (n, V)
    chosen = logits.gather(1, ids[0, len(start) :, None])[:, 0]
    assert len(chosen) == 100 and float((logits.max(1).values - chosen).max()) < most
