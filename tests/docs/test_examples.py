"""The examples in the docstrings of the functions run, in the order of the page that shows them."""

from __future__ import annotations

import contextlib
import inspect
import re
from pathlib import Path

import pytest

import anew
from pages import blocks, example
from samples import TINY, shapes

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "api" / "functions.md"
ORDER = re.findall(r"^::: anew\.(\w+)$", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
SMALL = 'settings={"evaluate_samples": 2, "previews": 0, "width": 8, "batch_size": 8}'
# What takes time in an example, and what stands there in the test.
QUICK = {
    "train": ('budget="2m"', f"steps=3, settings={ {'evaluate_samples': 8, 'previews': 0, **TINY} }"),
    "resume": ('budget="2m"', "steps=5"),
    "evaluate": ("n=2000", "n=8"),
    "compare": ('budget="5m"', f"steps=3, n=20, {SMALL}"),
    "serve": ("port=8000", "port=0"),
    "studio": ('"towns"', '"towns", port=0'),
}


def run_example(name: str) -> None:
    code = example(getattr(anew, name))
    slow, quick = QUICK.get(name, ("", ""))
    assert code and slow in code
    exec(code.replace(slow, quick) if slow else code, {"anew": anew})


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with what the first lines of the page make, with few pictures and steps."""
    folder = tmp_path_factory.mktemp("examples")
    (code,) = blocks(PAGE.read_text(encoding="utf-8"), "python")
    example_call = 'anew.example("digits", "digits-data")\n'
    assert example_call in code and 'budget="2m"' in code
    shapes(folder / "digits-data", 60)
    with contextlib.chdir(folder):
        exec(code.replace(example_call, "").replace('budget="2m"', f"steps=2, {SMALL}"), {})
    return folder


def test_every_function_is_on_the_page_and_has_an_example() -> None:
    functions = {name for name in anew.__all__ if inspect.isfunction(getattr(anew, name))}
    assert set(ORDER) == functions and len(ORDER) == len(functions)
    assert [name for name in ORDER if not example(getattr(anew, name))] == []


@pytest.mark.slow
def test_the_examples_run(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(place)
    monkeypatch.setattr("anew.server.app.Server.run", lambda *arguments, **keywords: None)  # it ends with a signal
    monkeypatch.setattr("webbrowser.open", lambda address: True)
    run_example("example")
    towns = place / "towns-data" / "towns.txt"
    towns.write_text("".join(towns.read_text(encoding="utf-8").splitlines(keepends=True)[::30]), encoding="utf-8")
    for name in ORDER[1:]:
        if name != "compare":
            run_example(name)
    assert (place / "again").is_dir() and (place / "towns-qwen").is_dir()


@pytest.mark.slow
def test_the_comparison_runs(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(place)
    run_example("compare")
    assert (place / "duel" / "compare.html").is_file()
