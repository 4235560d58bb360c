"""What the project's own files say is true: versions agree, and every path that is named is there."""

from __future__ import annotations

import re
import tomllib
from itertools import pairwise
from pathlib import Path

import anew

ROOT = Path(__file__).parents[1]


def read(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def test_one_version() -> None:
    assert "version" not in tomllib.loads(read("pyproject.toml"))["project"]  # it is read from anew.__version__
    newest = re.search(r"^## \[(.+?)\]", read("CHANGELOG.md"), re.MULTILINE)
    cited = re.search(r"^version: (.+)$", read("CITATION.cff"), re.MULTILINE)
    assert newest is not None and cited is not None
    assert newest[1] == cited[1] == anew.__version__


def test_paths_that_are_named_are_there() -> None:
    for name in ("CONTRIBUTING.md", "docs/architecture.md"):
        for path in re.findall(r"`((?:src|tests|docs|bench)/[^` ]*)`", read(name)):
            assert (ROOT / path).exists(), f"{name} names {path}"


def test_what_decodes_bytes_of_strangers_has_an_upper_bound() -> None:
    project = tomllib.loads(read("pyproject.toml"))["project"]
    extras = project["optional-dependencies"]
    requirements = project["dependencies"] + [
        line for name in extras if name not in ("all", "dev") for line in extras[name]
    ]
    assert len(requirements) >= 20
    assert [line for line in requirements if "<" not in line] == []


def test_actions_are_pinned_by_commit() -> None:
    uses = re.findall(r"uses: (\S+)(.*)", read(".github/workflows/ci.yml"))
    assert len(uses) >= 10
    for action, comment in uses:
        assert re.fullmatch(r"[\w/-]+@[0-9a-f]{40}", action) and re.fullmatch(r" # v\d+\.\d+\.\d+", comment), action


def test_an_empty_line_stands_before_every_heading() -> None:
    """A merge that keeps what both branches added at one place leaves none between them."""
    for name in ("CHANGELOG.md", "docs/log.md"):
        lines = read(name).splitlines()
        assert [line for above, line in pairwise(lines) if line.startswith("## ") and above] == []
