"""Exports to ONNX: with the same random numbers, NumPy and ONNX Runtime give the samples of the run."""

from __future__ import annotations

import importlib.util
import io
import json
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch.nn.functional import one_hot

import anew
from anew.core.random import evenly_spread, generator, normal_rows, sample_generator
from anew.data.dataset import Dataset
from anew.data.formats.sound.audio import cut_tail
from anew.data.modalities.text import Text
from anew.exporting.onnx import to_onnx
from anew.families.portable import Graph
from denoising import drawn_inputs
from samples import clips, shapes, stereo_tones, tones

from .conftest import TINY_CONV, train
from .families import OWN_FAMILY
from .network_alone import network_class_weights, strip
from .own_samples import SEED, N, values

pytest.importorskip("onnx", reason="graphs are written by onnx (pip install '.[export]')")
pytest.importorskip("onnxscript", reason="graphs are written by onnxscript (pip install '.[export]')")
pytest.importorskip("onnxruntime", reason="graphs are run by onnxruntime (pip install '.[dev]')")


def sampler_of(folder: Path) -> Any:
    """The sampler of sample.py in a folder."""
    spec = importlib.util.spec_from_file_location("exported_sample", folder / "sample.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.Sampler(folder)


def exported(run: Path, folder: Path) -> tuple[anew.Model, Any]:
    """The run in fp32, as graphs compute, and the sampler of its export."""
    from anew.exporting.sampler import set_fp32

    model = anew.load(run, "cpu")
    set_fp32(model.family)
    if model.codec is not None:
        set_fp32(model.codec)  # type: ignore[arg-type]
    return model, sampler_of(anew.export(run, "onnx", folder).folder)


def test_a_gan(tmp_path: Path) -> None:
    run = train(shapes(tmp_path / "data", 60), tmp_path / "run", TINY_CONV, steps=3, family="gan")
    model, sampler = exported(run, tmp_path / "out")
    expected, request = values(model)
    family: Any = model.family
    latents = family.initial_latents(request, SEED)
    inputs = {
        "z": latents[:, : family.config.latent_dim],
        "component": latents[:, family.config.latent_dim :].argmax(1),
    }
    output = sampler.sample(N, known={name: tensor.numpy() for name, tensor in inputs.items()})
    assert output.shape == expected.shape and np.abs(output - expected.numpy()).max() < 1e-3
    chosen = sampler.sample(40, label="disc")
    assert chosen.shape == (40, 1, 12, 12)
    with pytest.raises(ValueError, match=r"^the class 'cat' is unknown; there is 'bar', 'disc'$"):
        sampler.sample(1, label="cat")
    sampler.program["labels"] = None
    with pytest.raises(ValueError, match=r"^the class 'cat' is unknown; there is none$"):
        sampler.sample(1, label="cat")
    classes = np.array(next(step["classes"] for step in sampler.program["steps"] if step["step"] == "choose"))
    drawn = sampler._choose(sampler.program["steps"][0], 40, {"classes": np.ones(40)}, np.random.default_rng(0))
    assert (classes[drawn] == 1).all()


@pytest.mark.slow
def test_a_vae(tmp_path: Path) -> None:
    settings = {**TINY_CONV, "top_dim": 8}
    run = train(shapes(tmp_path / "data", 60), tmp_path / "run", settings, steps=4, family="vae")
    model, sampler = exported(run, tmp_path / "out")
    expected, request = values(model)
    family: Any = model.family
    size = 8 + int(np.prod(family.latent.shape))
    keys = request.sample_keys(SEED)
    noise = normal_rows([sample_generator(row_seed, "draw", index) for row_seed, index in keys], size)
    component = family.prior.sample_components(evenly_spread(keys, "component"), request.labels)
    weights = one_hot(component, family.prior.num_clusters + 1).float()
    inputs = {"weights": weights, "noise": noise[:, :8], "deviations": float(family.temperature) * noise[:, 8:]}
    output = sampler.sample(N, known={name: tensor.numpy() for name, tensor in inputs.items()})
    assert np.abs(output - expected.numpy()).max() < 1e-3
    latents = sampler.run("encoder", output.astype(np.float32))[0]
    assert np.abs(latents - family.encode(torch.from_numpy(output)).numpy()).max() < 1e-3


@pytest.mark.parametrize(
    "more",
    [
        {"space": "pixel"},
        pytest.param({"space": "pixel", "distillation": 0.5}, marks=pytest.mark.slow),
        pytest.param({"space": "latent"}, marks=pytest.mark.slow),
    ],
)
def test_diffusion_of_images(more: dict[str, object], tmp_path: Path) -> None:
    settings = {**TINY_CONV, **more}
    run = train(shapes(tmp_path / "data", 60), tmp_path / "run", settings, steps=3, family="diffusion")
    model, sampler = exported(run, tmp_path / "out")
    assert_diffusion_agrees(model, sampler)


def assert_diffusion_agrees(model: anew.Model, sampler: Any) -> np.ndarray[Any, Any]:
    expected, request = values(model)
    inputs = drawn_inputs(model.family, request, SEED)
    output: np.ndarray[Any, Any] = sampler.sample(N, known={name: tensor.numpy() for name, tensor in inputs.items()})
    assert output.shape == expected.shape and np.abs(output - expected.numpy()).max() < 1e-3
    return output


@pytest.mark.slow
@pytest.mark.parametrize("make_data", [tones, stereo_tones])
def test_sound_is_that_of_the_run(tmp_path: Path, make_data: Callable[[Path, int], Path]) -> None:
    data, settings = make_data(tmp_path / "data", 30), {**TINY_CONV, "space": "pixel"}
    run = train(data, tmp_path / "run", settings, steps=3, family="diffusion")
    model, sampler = exported(run, tmp_path / "out")
    assert_diffusion_agrees(model, sampler)
    # Rounding would decide the phases of noise
    with closing(Dataset.reopen(model.record.data, run)) as dataset:
        grids = next(iter(dataset.one_pass("train"))).x[:N].float()
    sys.path.insert(0, str(tmp_path / "out"))
    try:
        paths = sampler.save(grids.numpy(), tmp_path / "new")
    finally:
        sys.path.remove(str(tmp_path / "out"))
    import soundfile

    ours = model.modality.decode(grids)
    for whole, path in zip(ours, paths, strict=True):
        theirs, rate = soundfile.read(path)
        wave = cut_tail(whole, rate)
        assert rate == model.modality.clip_shape.rate and theirs.shape == wave.shape
        assert np.corrcoef(theirs.flatten(), wave.flatten())[0, 1] > 0.99
        assert np.abs(theirs).max() == pytest.approx(np.abs(wave).max(), rel=2e-3)


def uniforms(seed: int) -> np.ndarray[Any, Any]:
    """(tokens, N) random numbers that the tokens of samples are drawn with."""
    sources = [sample_generator(seed, "draw", i) for i in range(N)]
    return np.concatenate([np.stack([torch.rand(64, generator=s).numpy() for s in sources], 1) for _ in range(12)])


@pytest.mark.parametrize(
    "name",
    ["characters", pytest.param("labels", marks=pytest.mark.slow), pytest.param("sub-words", marks=pytest.mark.slow)],
)
def test_text(name: str, text_run: Callable[[str], Path], tmp_path: Path) -> None:
    model, sampler = exported(text_run(name), tmp_path / "out")
    card = (tmp_path / "out" / "README.md").read_text()
    assert "2.50 by the network, 2.00 by the whole run." in card and "Measured on samples of the whole run" in card
    strip(model)
    expected = model.generate(request := model.request(N, SEED), SEED).numpy()
    inputs: dict[str, Any] = {"uniform": uniforms(SEED)}
    if request.labels is not None:
        inputs["classes"] = request.labels.numpy()
        assert isinstance(model.modality, Text)
        prompt = model.modality.condition_from_prompt("ACDWY")[1:].numpy()
        weights = sampler.class_weights(model.label_shares, prompt)
        assert weights / weights.sum() == pytest.approx(network_class_weights(model, "ACDWY"), abs=1e-4)
        assert (
            sampler.sample(3, known={"prompt": np.tile(prompt, (3, 1))}, new=2)[:, : len(prompt)].tolist()
            == [prompt.tolist()] * 3
        )
    if sampler.program["steps"][0]["first"] is not None:
        sampler.program["steps"][0]["first"] = [1.0] * model.spec.vocab  # the unigram is one of the counts
    ids = sampler.sample(N, known=inputs)
    assert ids.shape == expected.shape and (ids == expected).all()
    # Elsewhere no limits are needed for valid UTF-8
    assert (sampler.program["steps"][0]["characters"] is not None) == (name == "sub-words")
    assert name == "labels" or ids.shape[1] > 300  # longer than the context
    texts = [path.read_bytes().decode("utf-8", "replace") for path in sampler.save(ids, tmp_path / "new")]
    assert texts == model.modality.decode(torch.from_numpy(expected))
    same = sampler.sample(3, temperature=0.0, new=8)
    assert same.shape[1] - 8 in (0, 1) or name == "labels"  # the first is drawn where no token begins a text


def test_texts_have_the_suffix_of_the_files_of_the_data(text_run: Callable[[str], Path], tmp_path: Path) -> None:
    """All were .txt."""
    from anew.exporting.runtime import sample
    from anew.exporting.sampler import item_format

    item = item_format(anew.load(text_run("programs"), "cpu"))
    assert item["suffix"] == ".py" and item["suffixes"] is None
    sampler = object.__new__(sample.Sampler)
    sampler.program = {"item": {**item, "tokens": ["a", "b"], "skip": []}}
    ids = np.array([[0, 1], [1, 0]])
    assert [path.name for path in sampler.save(ids, tmp_path / "one")] == ["0000.py", "0001.py"]
    sampler.program["item"]["suffixes"] = [".ml", ".mli"]
    paths = sampler.save(ids, tmp_path / "two", np.array([1, 0]))
    assert [path.name for path in paths] == ["0000.mli", "0001.ml"] and paths[0].read_text() == "ab"


def test_new_tokens_are_those_after_the_prompt() -> None:
    """Of records, the prompt was counted among them."""
    from anew.exporting.runtime import sample

    step = {"step": "tokens", "graph": "decoder", "out": "ids", "vocab": 4, "begin": 0, "opening": [], "first": None, "end": 1,
            "pad": 1, "never": [], "characters": None, "label_base": None, "packed": False, "new": 20, "context": 20, "window": 20,
            "cache": [1, 1, 2], "offsets": [], "prefix": 1, "temperature": 1.0, "top_k": 0, "top_p": 1.0, "min_p": 0.0}  # fmt: skip
    sampler = object.__new__(sample.Sampler)
    sampler.program = {"steps": [step], "labels": None}
    sampler.run = lambda graph, ids, positions, *cache: [  # type: ignore[method-assign]
        np.tile([0.0, -1e9, 1.0, 1.0], (len(ids), 1)),
        *cache,
    ]
    prompt = {"prompt": np.full((2, 10), 2)}
    assert sampler.sample(2, known=prompt, new=5).shape == (2, 15)
    assert sampler.sample(2, known=prompt, new=50).shape == (2, 20) == sampler.sample(2).shape


def test_a_passage_does_not_end_before_its_first_token() -> None:
    from anew.exporting.runtime import sample

    step = {"step": "tokens", "graph": "decoder", "out": "ids", "vocab": 4, "begin": 1, "opening": [3], "first": None, "end": 1,
            "pad": 1, "never": [], "characters": None, "label_base": None, "packed": True, "new": 20, "context": 20, "window": 20,
            "cache": [1, 1, 2], "offsets": [], "prefix": 1, "temperature": 1.0, "top_k": 0, "top_p": 1.0, "min_p": 0.0}  # fmt: skip
    sampler = object.__new__(sample.Sampler)
    sampler.program = {"steps": [step], "labels": None}
    sampler.run = lambda graph, ids, positions, *cache: [  # type: ignore[method-assign]
        np.tile([0.0, 40.0, 0.0, 0.0], (len(ids), 1)),
        *cache,
    ]
    ids = sampler.sample(5)
    assert ids.shape == (5, 2) and (ids[:, 0] != 1).all() and (ids[:, 1] == 1).all()
    assert sampler.sample(2, known={"prompt": np.full((2, 1), 2)}).tolist() == [[2, 1]] * 2


def test_filters_are_those_of_the_run(text_run: Callable[[str], Path], tmp_path: Path) -> None:
    from anew.exporting.runtime import sample
    from anew.functional.token_choice import filter_probabilities

    logits = torch.randn(6, 30, generator=generator("logits"))
    logits[:, 10:] -= 200.0  # whose probability is 0, at any temperature
    for temperature, top_k, top_p, min_p in [
        (1.0, 0, 1.0, 0.0),
        (0.7, 5, 1.0, 0.0),
        (1.5, 0, 0.6, 0.1),
        (10.0, 0, 1.0, 0.0),
        (0.0, 0, 1.0, 0.0),
    ]:
        step = {"temperature": temperature, "top_k": top_k, "top_p": top_p, "min_p": min_p}
        expected = filter_probabilities(logits.softmax(1), temperature, top_k, top_p, min_p).numpy()
        assert np.abs(sample._filter(logits.numpy(), step, np.ones((6, 30), dtype=bool)) - expected).max() < 1e-5
        only_impossible = np.arange(30)[None] >= 28  # each of these is drawn alike
        shares = sample._filter(logits.numpy(), step, only_impossible.repeat(6, 0))
        assert (shares[:, :28] == 0).all() and np.isin(shares[:, 28:], (0, 1) if temperature == 0 else (0.5,)).all()


@pytest.mark.slow
@pytest.mark.parametrize("make_data", [shapes, clips])
def test_images_and_clips_from_codes(make_data: Callable[[Path, int], Path], tmp_path: Path) -> None:
    settings = {"width": 32, "layers": 2, "heads": 2, "mlp_size": 64, "batch_size": 8, "space": "latent"}
    run = train(make_data(tmp_path / "data", 60), tmp_path / "run", settings, steps=4, family="transformer")
    model, sampler = exported(run, tmp_path / "out")
    request = model.request(N, SEED)
    *_, codes = model.family.sample(request, SEED)
    assert model.codec is not None and request.labels is not None
    expected = model.codec.decode(codes).numpy()
    output = sampler.sample(N, known={"uniform": uniforms(SEED), "classes": request.labels.numpy()})
    assert np.abs(output - expected).max() < 1e-3


@pytest.mark.slow
def test_diffusion_of_clips(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = {**TINY_CONV, "space": "pixel"}
    run = train(clips(tmp_path / "data", 40), tmp_path / "run", settings, steps=3, family="diffusion")
    model, sampler = exported(run, tmp_path / "out")
    output = assert_diffusion_agrees(model, sampler)
    drawn = sampler.sample(4, seed=1)
    assert drawn.shape == (4, *output.shape[1:])
    monkeypatch.syspath_prepend(tmp_path / "out")  # the folder of pixel_steps.py, as `python sample.py` has it
    lengths = [
        len(list(folder.iterdir())) for folder in {path.parent for path in sampler.save(drawn, tmp_path / "new")}
    ]
    assert lengths == [output.shape[2]] * 4


@pytest.mark.parametrize(("rows", "size", "columns"), [(3, 7, 2), (2, 37, 37)])
def test_systems_of_equations(rows: int, size: int, columns: int) -> None:
    import onnxruntime

    def solve(matrices: torch.Tensor, right: torch.Tensor) -> torch.Tensor:
        root = torch.linalg.cholesky_ex(matrices @ matrices.mT + torch.eye(size)).L
        return torch.linalg.solve_triangular(root, right, upper=False)

    rng = generator("equations")
    inputs = {
        "matrices": torch.randn(rows, size, size, generator=rng),
        "right": torch.randn(rows, size, columns, generator=rng),
    }
    graph = Graph("solve", torch.nn.Identity(), solve, inputs, ("x",))
    session = onnxruntime.InferenceSession(to_onnx(graph), providers=["CPUExecutionProvider"])
    more = {name: torch.cat((x, x)) for name, x in inputs.items()}  # any number of rows
    output = session.run(None, {name: x.numpy() for name, x in more.items()})[0]
    assert np.abs(output - solve(*more.values()).numpy()).max() < 1e-4


def test_the_folder_needs_nothing_else(tmp_path: Path) -> None:
    run = train(shapes(tmp_path / "data", 60), tmp_path / "run", TINY_CONV, steps=2, family="gan")
    export = anew.export(run, "onnx", tmp_path / "out")
    assert [path.name for path in export.files] == [
        "README.md",
        "detail_bands.py",
        "generator.onnx",
        "pixel_steps.py",
        "plain_areas.py",
        "sample.py",
        "sampler.json",
    ]
    words = [
        sys.executable,
        "-I",
        str(export.folder / "sample.py"),
        "-n",
        "3",
        "--label",
        "bar",
        "--out",
        str(tmp_path / "new"),
    ]
    completed = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert completed.returncode == 0, completed.stderr
    names = [path.name for path in sorted((tmp_path / "new").iterdir())]
    assert names == ["0000.png", "0001.png", "0002.png"]
    image = Image.open(io.BytesIO((tmp_path / "new" / "0000.png").read_bytes()))
    assert image.size == (12, 12) and image.mode == "L"
    again = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert again.returncode == 2 and "no file is replaced" in again.stderr
    none = subprocess.run([*words[:4], "0"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert none.returncode == 2 and "at least 1 (got 0)" in none.stderr
    assert "anew" not in (export.folder / "sample.py").read_text()
    assert json.loads((export.folder / "sampler.json").read_text())["labels"]["names"] == ["bar", "disc"]


@pytest.mark.parametrize(
    "step", [{"step": "_init__", "out": "x"}, {"step": "run", "graph": "../x", "inputs": [], "out": "x"}]
)
def test_steps_of_another_s_hand_are_refused(step: dict[str, Any], tmp_path: Path) -> None:
    from anew.exporting.runtime.sample import Sampler  # loads onnxruntime

    (tmp_path / "sampler.json").write_text(json.dumps({"labels": None, "steps": [step], "item": {"kind": "image"}}))
    with pytest.raises(ValueError, match=r"unknown step|not the name of a graph"):
        Sampler(tmp_path).sample(1)


def test_a_family_of_ones_own(tmp_path: Path) -> None:
    (tmp_path / "own.py").write_text(OWN_FAMILY)
    run = train(shapes(tmp_path / "data", 60), tmp_path / "run", {}, steps=2, family=tmp_path / "own.py")
    with pytest.raises(anew.RunError, match="give `trust_code` to run it"):
        anew.export(run, "onnx", tmp_path / "out")
    folder = anew.export(run, "onnx", tmp_path / "out", trust_code=True).folder
    model = anew.load(run, "cpu", trust_code=True)
    rows = torch.stack([torch.randn(4, generator=generator(SEED, i)) for i in range(N)])
    *_, expected = model.family.sample(model.request(N, SEED), SEED)
    assert np.abs(sampler_of(folder).sample(N, known={"z": rows.numpy()}) - expected.numpy()).max() < 1e-5
