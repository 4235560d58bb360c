"""The README is true: its commands parse and run, its Python runs, its links lead somewhere."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from anew.cli import main
from anew.cli.parser import COMMANDS, TAGLINE, parse
from samples import prose, shapes

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()


def commands() -> list[list[str]]:
    blocks = re.findall(r"```sh\n(.*?)```", README, re.DOTALL)
    lines = [line.partition("#")[0].strip() for block in blocks for line in block.splitlines()]
    return [shlex.split(line)[1:] for line in lines if line.startswith("anew ")]


def test_every_command_parses() -> None:
    assert len(commands()) >= 9
    for words in commands():
        parse(words)


def test_every_command_of_the_program_is_shown() -> None:
    assert {words[0] for words in commands()} == set(COMMANDS)


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    prose(tmp_path / "DATA" / "book.txt", 500)
    prose(tmp_path / "OTHER" / "book.txt", 80, seed=4)
    shapes(tmp_path / "faces", 120)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_commands_run_in_order(place: Path) -> None:
    steps = 4
    for words in commands():
        if "--budget" in words:
            at = words.index("--budget")
            words = [*words[:at], "--steps", str(steps), *words[at + 2 :]]
            steps += 3
        if words[0] == "train":
            words = [*words, "--set", "evaluate_samples=2"]
        words = ["8" if word == "5000" else word for word in words]
        words = [{"DIR": "NEW"}.get(word, word) for word in words]  # the samples of "any other tool"
        assert main(words) == 0, words
    assert (place / "RUN" / "report" / "report.html").exists()
    assert list((place / "NEW").glob("*.txt"))


def test_the_python_runs(place: Path) -> None:
    block = re.search(r"```python\n(.*?)```", README, re.DOTALL)
    assert block is not None
    exec(block[1].replace('budget="10m"', 'steps=3, settings={"evaluate_samples": "8"}'), {})
    assert len(list((place / "new").glob("*.png"))) == 16


def test_the_tagline_is_everywhere() -> None:
    assert f"*{TAGLINE}*" in README
    for name in ("pyproject.toml", "src/anew/__init__.py"):
        assert TAGLINE.lower() in (ROOT / name).read_text().lower(), name


def test_links_lead_somewhere() -> None:
    for target in re.findall(r"\]\(([^)#]+)\)", README):
        assert (ROOT / target).exists(), target
