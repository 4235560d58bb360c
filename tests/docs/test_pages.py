"""The pages are true: links lead somewhere, commands and settings exist, Python fits the API, the quickstart runs."""

from __future__ import annotations

import ast
import importlib.util
import inspect
import io
import itertools
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

import anew
from anew.cli import main
from anew.cli.parser import COMMANDS, parse, parsers
from anew.core import settings as cfg
from anew.core.registry import available, load
from anew.errors import ConfigError
from anew.evaluation.reporting.report import EvaluationReport
from anew.planning.request import setting_owners
from anew.workflows.inspect import Inspection
from commands import setting_words
from pages import anchors, blocks, commands, example, links, prose, shortened
from samples import TINY, shapes

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = sorted(DOCS.rglob("*.md"))
WRITTEN = [path for path in PAGES if path.name != "log.md"]  # old commands of the log stay as they were
RETURNED = (anew.Model, anew.Samples, anew.Scores, anew.Walk, EvaluationReport, Inspection)
CLASSES = {cls.__name__: cls for cls in RETURNED}

every_page = pytest.mark.parametrize("path", PAGES, ids=lambda path: path.relative_to(DOCS).as_posix())
written_page = pytest.mark.parametrize("path", WRITTEN, ids=lambda path: path.relative_to(DOCS).as_posix())


def text(path: Path) -> str:
    return path.read_text(encoding="utf-8")


# ---- links ----


@every_page
def test_links_lead_somewhere(path: Path) -> None:
    for target, anchor in links(text(path)):
        place = (path.parent / target).resolve() if target else path
        assert place.is_file() and place.is_relative_to(DOCS), f"{target}: only what is in docs/ is on the site"
        assert not anchor or anchor in anchors(text(place)), f"{target}#{anchor}"


def test_every_page_is_in_the_navigation() -> None:
    named = re.findall(r": (\S+\.md)$", text(ROOT / "mkdocs.yml"), re.MULTILINE)
    assert sorted(named) == sorted(
        path.relative_to(DOCS).as_posix() for path in WRITTEN
    )  # pages link to parts of the log


def test_links_of_the_repository_into_the_pages() -> None:
    for name in ("README.md", "CONTRIBUTING.md"):
        for target, anchor in links(text(ROOT / name)):
            assert (ROOT / target).exists(), f"{name}: {target}"
            assert not anchor or anchor in anchors(text(ROOT / target)), f"{name}: {target}#{anchor}"


def test_pictures_are_small_and_shown() -> None:
    linked = {(path.parent / target).resolve() for path in PAGES for target, _ in links(text(path))}
    linked |= {(ROOT / target).resolve() for target, _ in links(text(ROOT / "README.md"))}
    for picture in (DOCS / "assets").iterdir():
        assert picture.stat().st_size < 60_000, picture.name
        assert picture in linked, f"no page shows {picture.name}"


def test_a_network_has_one_name() -> None:
    """A GAN's second network is the discriminator; that it has another name is said once in the guide and once in the Studio."""
    sources = [path for suffix in ("py", "js", "html") for path in (ROOT / "src").rglob(f"*.{suffix}")]
    files = [*WRITTEN, *sources, *DOCS.glob("*.py"), *(DOCS / "assets").iterdir()]
    named = [(path, path.name if path.suffix == ".png" else f"{path.name} {text(path)}") for path in files]
    pages = [path.name for path, words in named for _ in re.findall("critic(?!al)", words, re.IGNORECASE)]
    assert sorted(pages) == ["explanation_panel.js", "studio-how-it-works.md"]


# ---- commands and settings ----


@written_page
def test_commands_parse(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for words in commands(text(path)):
        for option, value in itertools.pairwise(words):
            if option in ("--prompt-file", "--suffix-file"):
                Path(value).touch()
        arguments = parse(words)
        settings = dict(arguments.set) if "set" in arguments else {}
        check_settings(settings, sampling=words[0] in ("sample", "walk"))


@written_page
def test_commands_in_sentences_exist(path: Path) -> None:
    _, all_parsers = parsers()
    for code in re.findall(r"`anew ([^`]+)`", prose(text(path))):
        verb, *words = code.split()
        assert verb in COMMANDS or verb.startswith("--"), code
        unknown = [word for word in words if word.startswith("--") and word not in all_parsers[verb].options]
        assert not unknown, f"anew {verb} has no {', '.join(unknown)}"


def test_the_help_names_every_kind_of_data_and_every_family() -> None:
    _, all_parsers = parsers()
    helps = {action.dest: action.help or "" for action in all_parsers["train"].arguments}
    assert [name for name in available("data") if name not in helps["modality"]] == []
    generating = [name for name in available("families") if load("families", name).generates]
    assert [name for name in generating if name not in helps["family"]] == []


@written_page
def test_settings_in_sentences_exist(path: Path) -> None:
    for name, value in re.findall(r"--set ([a-z_.]+)=([^\s`]+)", prose(text(path))):
        check_settings({name: value}, sampling=None)


def check_settings(settings: dict[str, str], sampling: bool | None) -> None:
    """Raise ConfigError where no family, modality or training takes a setting. None: of either kind."""
    owners = [] if sampling else list(setting_owners(None, None).items())
    if sampling is not False:
        owners += [(name, load("families", name).Sampling) for name in available("families")]
    for name, value in settings.items():
        owner, _, key = name.rpartition(".")
        takers = [config for title, config in owners if key in cfg.settings_of(config) and owner in ("", title)]
        if not takers:
            raise ConfigError(f"no setting is called {name!r}")
        assert any(is_allowed(config, key, value) for config in takers), f"{name}={value}"


def is_allowed(config: type, key: str, value: str) -> bool:
    try:
        cfg.parse(config, key, value)
    except ConfigError:
        return False
    return True


def test_what_is_wrong_is_caught() -> None:
    with pytest.raises(ConfigError):
        check_settings({"temprature": "1"}, sampling=True)
    with pytest.raises(AssertionError):
        check_settings({"temperature": "-5"}, sampling=True)
    for invalid in ("anew.load('r').sampel()", "anew.train('d', steps_=1)", "anew.load('r').sample(1).sav('x')"):
        with pytest.raises((AssertionError, TypeError)):
            check_calls(f"import anew\n{invalid}")


# ---- Python ----


@written_page
def test_python_fits_the_api(path: Path) -> None:
    for block in blocks(text(path), "python"):
        check_calls(block)


@pytest.mark.parametrize("name", [name for name in anew.__all__ if inspect.isfunction(getattr(anew, name))])
def test_examples_of_functions_fit_the_api(name: str) -> None:
    assert example(getattr(anew, name))
    check_calls(f"import anew\n{example(getattr(anew, name))}")


def check_calls(code: str) -> None:
    """Raise where names of anew are not there or calls do not bind; what is not of anew is left alone."""
    names: dict[str, Any] = {}
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "anew":
            module = importlib.import_module(node.module or "")
            names |= {alias.asname or alias.name: getattr(module, alias.name) for alias in node.names}
        elif isinstance(node, ast.Import) and any(alias.name == "anew" for alias in node.names):
            names["anew"] = anew
    for statement in ast.walk(ast.parse(code)):
        if isinstance(statement, ast.Assign) and isinstance(statement.targets[0], ast.Name):
            names[statement.targets[0].id] = meaning(statement.value, names)
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.expr):
            meaning(node, names)


def meaning(node: ast.expr, names: dict[str, Any]) -> Any:
    """The module, function or class that an expression is (an object is its class); None where it is not of anew."""
    if isinstance(node, ast.Name):
        return names.get(node.id)
    if isinstance(node, ast.Attribute):
        owner = meaning(node.value, names)
        if owner is None:
            return None
        fields = getattr(owner, "__annotations__", {})
        assert hasattr(owner, node.attr) or node.attr in fields, f"{owner} has no {node.attr}"
        return getattr(owner, node.attr, None)
    if not isinstance(node, ast.Call):
        return None
    function = meaning(node.func, names)
    if not callable(function):
        return None
    keywords = {keyword.arg: None for keyword in node.keywords if keyword.arg}
    positions = [None] * (len(node.args) + is_method(node.func, names))
    inspect.signature(function).bind(*positions, **keywords)
    if isinstance(function, type):
        return function
    return CLASSES.get(str(getattr(function, "__annotations__", {}).get("return")))


def is_method(function: ast.expr, names: dict[str, Any]) -> bool:
    return isinstance(function, ast.Attribute) and isinstance(meaning(function.value, names), type)


# ---- the quickstart and the generated pages ----


@pytest.fixture
def quickstart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.chdir(tmp_path)
    return text(DOCS / "quickstart.md")


def test_the_quickstart_runs(quickstart: str, tmp_path: Path) -> None:
    example, *others = (words for words in commands(quickstart) if "digits" not in " ".join(words))
    others = [[*words, *setting_words(TINY)] if words[0] == "train" else words for words in others]
    run_commands(iter([example]))
    towns = tmp_path / "towns-data" / "towns.txt"
    towns.write_text("".join(towns.read_text(encoding="utf-8").splitlines(keepends=True)[::30]), encoding="utf-8")
    run_commands(iter(others))
    assert (tmp_path / "new-towns" / "all.txt").exists() and (tmp_path / "towns" / "report" / "report.html").exists()
    (block,) = blocks(quickstart, "python")
    exec(block.replace('budget="2m"', 'steps=3, settings={"evaluate_samples": "2"}').replace("2000", "8"), {})
    assert len(list((tmp_path / "python-towns").glob("*.txt"))) == 20


@pytest.mark.slow
def test_the_pictures_of_the_quickstart_run(quickstart: str, tmp_path: Path) -> None:
    run_commands(words for words in commands(quickstart) if "digits" in " ".join(words))
    assert (tmp_path / "digits" / "samples" / "final.png").exists() and (tmp_path / "digits-walk" / "walk.gif").exists()


def run_commands(commands_shown: Iterator[list[str]]) -> None:
    steps = itertools.count(4, 3)
    for words in commands_shown:
        words = shortened(words, steps)
        assert main(words) == 0, words


def test_the_family_of_the_page_trains_and_samples(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = text(DOCS / "guide" / "own-family.md")
    monkeypatch.chdir(tmp_path)
    shapes(tmp_path / "DATA", 60)
    (tmp_path / "my_family.py").write_text(blocks(page, "python")[0], encoding="utf-8")
    for words in commands(page):
        words = [*words, "--steps", "3", "--set", "evaluate_samples=2"] if words[0] == "train" else words
        assert main(words) == 0, words
    assert list((tmp_path / "NEW").glob("*.png"))


def test_each_figure_that_decides_is_explained() -> None:
    page = " ".join(text(DOCS / "reference" / "figures.md").lower().split())
    deciding = [spec.title for spec in load_script("make_figures").all_specs() if spec.tolerance is not None]
    assert [title for title in deciding if title.lower() not in page] == []


@pytest.mark.parametrize("name", ["cli", "figures"])
def test_generated_pages_are_those_that_the_scripts_make(name: str) -> None:
    script = load_script(f"make_{name}")
    assert text(script.PAGE) == script.page(), f"run docs/make_{name}.py, or `make docs`"


def test_the_pages_of_settings_are_those_that_the_script_makes() -> None:
    script = load_script("make_settings")
    pages = {path: text(path) for path in script.FOLDER.glob("*.md")}
    assert pages == script.pages(), "run docs/make_settings.py, or `make docs`"


def test_the_titles_of_figures_are_those_of_the_metrics() -> None:
    script = load_script("make_figures")
    assert text(script.MODULE) == script.module(), "run docs/make_figures.py"


def test_each_family_has_a_picture(tmp_path: Path) -> None:
    script = load_script("make_pictures")
    assert set(script.PICTURES) == set(available("families"))
    for name in script.PICTURES:
        assert f"](../assets/{name}.png)" in text(DOCS / "families" / f"{name}.md")
    drawn = script.PICTURES["diffusion"](tmp_path)  # the one that trains nothing
    assert size(drawn) == size((DOCS / "assets" / "diffusion.png").read_bytes())


def size(picture: bytes) -> tuple[int, int]:
    with Image.open(io.BytesIO(picture)) as image:
        return image.size


def load_script(name: str) -> Any:
    spec = importlib.util.spec_from_file_location(name, DOCS / f"{name}.py")
    assert spec is not None and spec.loader is not None
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    return script


def test_cells_of_tables_have_the_heads_of_their_columns() -> None:
    """On a phone cells are stacked, and "one / a few / one" said nothing."""
    head = "<thead><tr><th></th><th style='x'>takes <code>n</code></th></tr></thead>"
    table = f"<table>\n{head}<tbody><tr><td>a</td><td>1</td></tr></tbody></table>"
    labelled = load_script("make_site").labelled(f"<p>before</p>{table}")
    assert (
        labelled.startswith("<p>before</p>") and '<td data-label="">a</td><td data-label="takes n">1</td>' in labelled
    )
