"""Compiled blocks train as the others do, and are used for training alone."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch._dynamo.exc import BackendCompilerFailed

from anew.core.random import StepContext, use_context
from anew.core.registry import load
from anew.core.specs import Batch, Grid, Spec, Tokens
from anew.errors import ConfigError
from anew.families.base import Family, Scale
from anew.planning.build import build_family
from anew.training import compilation
from anew.training.compilation import can_use_graphs, compilable_blocks, compile_blocks, missing_compiler

CPU = torch.device("cpu")
WORDS = Tokens(30, 16, {}, 0, True)
PICTURES = Grid((1, 12, 12), "CHW", 0, 0.5)
TRANSFORMER = {
    "layers": 2,
    "width": 32,
    "heads": 2,
    "mlp_size": 64,
    "dropout": 0.3,
    "ngrams": False,
    "precision": "fp32",
}
needs_compiler = pytest.mark.skipif(bool(missing_compiler(CPU)), reason="no C++ compiler")


def build(name: str, spec: Spec, **settings: object) -> Family:
    family_class = load("families", name)
    suggested = family_class.suggest(spec, Scale(256, 5000.0, 10.0, 0))
    config = family_class.Config(**{**{n: getattr(suggested, n) for n in suggested.__slots__}, **settings})
    return build_family(family_class, spec, config, 0, CPU)


def gradients(family: Family, batch: Batch) -> list[torch.Tensor]:
    for phase in family.phases():
        with use_context(context := StepContext(0, 3, phase=phase.name)):
            phase.loss(batch, context).total.backward()
    return [p.grad for p in family.parameters() if p.grad is not None]


def assert_same_gradients(name: str, spec: Spec, batch: Batch, **settings: object) -> None:
    plain, compiled = (build(name, spec, **settings) for _ in range(2))
    compile_blocks(compiled)
    expected = gradients(plain, batch)
    assert expected
    torch.testing.assert_close(gradients(compiled, batch), expected, rtol=1e-3, atol=1e-4)


@pytest.mark.slow
@needs_compiler
@pytest.mark.filterwarnings("ignore:.*should not be instantiated:DeprecationWarning")  # Dynamo's own
def test_compiled_blocks_have_the_same_gradients_dropout_included() -> None:
    rows = torch.randint(0, 30, (4, 17), generator=torch.Generator().manual_seed(0))
    assert_same_gradients("transformer", WORDS, Batch(rows), **TRANSFORMER)


@pytest.mark.slow
@needs_compiler
@pytest.mark.parametrize("name", ["gan", "vae", "diffusion", "fsq"])
def test_networks_of_pictures_have_the_same_gradients(name: str) -> None:
    pictures = torch.rand((8, 1, 12, 12), generator=torch.Generator().manual_seed(0)) * 2 - 1
    assert_same_gradients(name, PICTURES, Batch(pictures), precision="fp32", width=16)


def test_what_is_differentiated_twice_is_not_compiled() -> None:
    family = build("gan", PICTURES, width=16)
    blocks = compilable_blocks(family.phases())
    inside = {id(module) for module in family.generator.modules()}
    assert blocks and all(id(block) in inside for block in blocks)


def test_samples_and_losses_that_are_only_measured_are_not_compiled(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: object, **kwargs: object) -> object:
        raise AssertionError("compiled")

    monkeypatch.setattr(compilation.torch, "compile", lambda forward, dynamic, mode: refuse)
    family = build("transformer", WORDS, **TRANSFORMER)
    compile_blocks(family)
    batch = Batch(torch.zeros((2, 17), dtype=torch.long))
    with torch.no_grad():
        family.loss(batch, StepContext(0, 0))
    family.eval().loss(batch, StepContext(0, 0, training=False))
    with pytest.raises(AssertionError, match="compiled"):
        family.train().loss(batch, StepContext(0, 0))


@pytest.mark.parametrize(
    ("cause", "reason"), [(ValueError("a reason\nand more"), "a reason"), (ValueError(), "ValueError")]
)
def test_why_compiling_failed_is_said(cause: Exception, reason: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*args: object, **kwargs: object) -> object:
        raise BackendCompilerFailed(fail, cause, None)

    monkeypatch.setattr(compilation.torch, "compile", lambda forward, dynamic, mode: fail)
    family = build("transformer", WORDS, **TRANSFORMER)
    compile_blocks(family)
    batch = Batch(torch.zeros((2, 17), dtype=torch.long))
    with pytest.raises(ConfigError, match=rf"\({reason}\); train them with compile=off"):
        family.train().loss(batch, StepContext(0, 0))


def test_libraries_that_an_interrupted_compilation_left_are_compiled_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path))
    libraries = [tmp_path / "op" / name for name in ("first.so", "second.so")]
    for library in libraries:
        library.parent.mkdir(exist_ok=True)
        library.touch()

    def load(x: torch.Tensor) -> torch.Tensor:
        for library in libraries:
            if library.exists():
                error = ImportError(f"{library}: file too short", path=str(library))
                raise BackendCompilerFailed(load, error, None)
        return 2 * x

    monkeypatch.setattr(compilation.torch, "compile", lambda forward, dynamic, mode: load)
    compiled = compilation._compiled_in_training(torch.nn.Identity(), torch.neg, None, None)
    assert compiled(torch.ones(())) == 2.0
    library = tmp_path.parent / "elsewhere.so"
    library.touch()
    libraries.append(library)
    with pytest.raises(ConfigError, match=r"elsewhere\.so: file too short"):
        compiled(torch.ones(()))
    assert library.exists()


def test_graphs_are_for_cuda_and_inputs_of_one_shape() -> None:
    records = Tokens(30, 16, {"begin": 27, "end": 28, "pad": 29}, 0, False)
    assert [can_use_graphs(spec, torch.device("cuda", 0)) for spec in (WORDS, PICTURES, records)] == [True, True, False]
    assert not can_use_graphs(PICTURES, CPU)


@pytest.mark.parametrize(("graphs", "mode"), [(False, None), (True, "reduce-overhead")])
def test_graphs_are_a_mode_of_the_compiler(graphs: bool, mode: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    modes: list[str | None] = []
    monkeypatch.setattr(compilation.torch, "compile", lambda forward, dynamic, mode: modes.append(mode))
    compile_blocks(build("vae", PICTURES, width=16), graphs)
    assert modes and set(modes) == {mode}


def test_a_compiler_is_looked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compilation.shutil, "which", lambda name: None)
    assert missing_compiler(CPU) == "a C++ compiler"
    monkeypatch.setattr(compilation.shutil, "which", lambda name: name if name == "clang++" else None)
    assert missing_compiler(CPU) == ""
    monkeypatch.setenv("CXX", "g++-99 -O2")
    assert missing_compiler(CPU) == "a C++ compiler (CXX=g++-99 -O2 is not there)"
    monkeypatch.setenv("CXX", "clang++ -O2")
    assert missing_compiler(CPU) == ""
