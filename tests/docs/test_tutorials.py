"""The commands and the Python of the tutorials run, with few steps and small networks."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest

from anew.cli import main
from commands import setting_words
from pages import blocks, commands, shortened
from samples import TINY, shapes

TUTORIALS = Path(__file__).parents[2] / "docs" / "tutorials"
PICTURES = {"width": 8, "batch_size": 8, "previews": 0}

pytestmark = pytest.mark.slow


def run_page(name: str, settings: dict[str, int]) -> str:
    page = (TUTORIALS / f"{name}.md").read_text(encoding="utf-8")
    steps = itertools.count(4, 3)
    for words in commands(page):
        words = shortened(words, steps)
        if words[0] in ("train", "compare") and "--plan" not in words:
            words += setting_words(settings)
        words += ["--port", "0", "--no-browser"] if words[0] == "studio" else []
        assert main(words) == 0, words
        if words[0] == "example":
            keep_few_pictures(Path(words[2]))
    return page


def keep_few_pictures(folder: Path) -> None:
    """Remove most pictures of an example, whose reading and comparing would take minutes; texts stay."""
    pictures = sorted(folder.rglob("*.png"))
    for picture in set(pictures) - set(pictures[::25]):
        picture.unlink()


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("anew.server.app.Server.run", lambda *arguments, **keywords: None)  # it ends with a signal
    return tmp_path


def test_sprites(place: Path) -> None:
    for picture in shapes(place / "shapes", 60).rglob("*.png"):  # a folder without classes
        (place / "sprites").mkdir(exist_ok=True)
        picture.rename(place / "sprites" / picture.name)
    run_page("sprites", PICTURES)
    assert (place / "new-sprites" / "sheet.json").is_file() and (place / "nearest.png").is_file()
    assert list((place / "again").glob("0003.png"))


def test_two_families(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("anew.evaluation.reporting.ranking.BARELY_TRAINED", 1)
    page = run_page("two-families", PICTURES | {"evaluate_samples": 2})
    (block,) = blocks(page, "python")
    capsys.readouterr()
    exec(block, {})
    assert len(capsys.readouterr().out.splitlines()) == 2


def test_web_page(place: Path) -> None:
    run_page("web-page", TINY)
    assert (place / "towns.html").is_file()
