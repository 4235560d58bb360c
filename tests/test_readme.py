"""The README is true: its commands parse and run, its Python runs, its links lead somewhere."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest

from anew.cli import main
from anew.cli.parser import COMMANDS, TAGLINE, parse
from anew.workflows import examples
from commands import setting_words
from pages import blocks, commands, links, shortened
from samples import TINY, prose, shapes

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
COMMANDS_SHOWN = commands(README)


def test_every_command_parses() -> None:
    assert len(COMMANDS_SHOWN) >= 9
    for words in COMMANDS_SHOWN:
        parse(words)


def test_every_command_of_the_program_is_shown() -> None:
    assert {words[0] for words in COMMANDS_SHOWN} == set(COMMANDS)


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    prose(tmp_path / "DATA" / "book.txt", 500)
    prose(tmp_path / "OTHER" / "book.txt", 80, seed=4)
    shapes(tmp_path / "faces", 120)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_commands_run_in_order(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("anew.server.app.Server.run", lambda *arguments, **keywords: None)  # it ends with a signal
    write_all = examples._image_files
    monkeypatch.setattr(examples, "_image_files", lambda images, labels: write_all(images[::10], labels[::10]))
    steps = itertools.count(4, 3)  # a resumed run takes more than it had
    for words in COMMANDS_SHOWN:
        words = shortened(words, steps) + small_networks(words)
        words = [{"DIR": "NEW"}.get(word, word) for word in words]  # the samples of "any other tool"
        words += ["--port", "0"] if words[0] in ("serve", "studio") else []
        words += ["--no-browser"] if words[0] == "studio" else []
        assert main(words) == 0, words
    assert (place / "RUN" / "report" / "report.html").exists()
    assert list((place / "NEW").glob("*.txt"))


def small_networks(words: list[str]) -> list[str]:
    """Settings of networks that take no time, for the verbs that make some."""
    images = {"width": 8, "batch_size": 8, "previews": 0}
    settings = {
        "train": images if "digits-data" in words else TINY,
        "compare": images | {"evaluate_samples": 2},
    }.get(words[0], {})
    return [] if "--runs" in words else setting_words(settings)


def test_the_python_runs(place: Path) -> None:
    (block,) = blocks(README, "python")
    exec(block.replace('budget="10m"', 'steps=3, settings={"evaluate_samples": "8"}'), {})
    assert len(list((place / "new").glob("*.png"))) == 16


def test_the_tagline_is_everywhere() -> None:
    assert f"*{TAGLINE}*" in README
    for name in ("pyproject.toml", "src/anew/__init__.py"):
        assert TAGLINE.lower() in (ROOT / name).read_text().lower(), name


def test_links_lead_somewhere() -> None:
    for path, _ in links(README):
        assert (ROOT / path).exists(), path
