"""Who may import whom: downwards only."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

SRC = Path(__file__).parents[1] / "src" / "anew"
BASE = {"errors", "extras", "spec", "config", "rng", "registry", "files", "schema"}
ALLOWED = {
    "errors": set(),
    "extras": {"errors"},
    "spec": {"errors"},
    "config": {"errors"},
    "rng": {"errors"},
    "registry": {"errors"},
    "files": {"errors"},
    "schema": {"errors"},
    "maths": BASE | {"maths"},
    "nets": BASE | {"maths", "nets"},
    "families": BASE | {"maths", "nets", "families"},
    "data": BASE | {"maths", "data"},
    "runs": BASE | {"runs"},
    "training": BASE | {"maths", "families.family", "runs", "training"},
    "evaluation": BASE | {"maths", "data.modality", "data.frames", "evaluation"},
    "arguments": {"errors"},
    "cli": {"errors", "arguments", "api", "cli", "examples", "__init__"},
}


def imports(path: Path) -> list[str]:
    found = []
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] == "anew":
            inner = node.module.removeprefix("anew").lstrip(".")
            found += [inner] if inner else [alias.name for alias in node.names]
        elif isinstance(node, ast.Import):
            found += [a.name.removeprefix("anew.") for a in node.names if a.name.startswith("anew")]
    return found


def cases() -> list[tuple[str, str]]:
    pairs = []
    for path in sorted(SRC.rglob("*.py")):
        room = path.relative_to(SRC).parts[0].removesuffix(".py")
        if room in ALLOWED:
            pairs += [(str(path.relative_to(SRC)), target) for target in imports(path)]
    return pairs


def test_there_is_something_to_check() -> None:
    assert len(cases()) > 50


@pytest.mark.parametrize(("path", "target"), sorted(set(cases())))
def test_imports_go_downwards(path: str, target: str) -> None:
    room = path.split("/")[0].removesuffix(".py")
    allowed = ALLOWED[room]
    fits = any(target == a or target.startswith(f"{a}.") for a in allowed) or (room == "cli" and target == "anew")
    assert fits, f"{path} may not import anew.{target}"


def test_trainer_names_no_family() -> None:
    for path in (SRC / "training").glob("*.py"):
        text = path.read_text()
        assert "isinstance(family" not in text
        for name in ("transformer", "diffusion"):
            assert name not in text.lower(), f"{path.name} knows a family"
