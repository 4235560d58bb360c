"""Names: a class name stands for one class, and no variable is called by a word that says nothing."""

from __future__ import annotations

import ast
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest

SRC = Path(__file__).parents[1] / "src" / "anew"
FILES = sorted(SRC.rglob("*.py"))
SAY_NOTHING = {"came", "given", "how", "it", "one", "some", "stuff", "thing", "told"}


def assigned(tree: ast.AST) -> Iterator[str]:
    """Variables and parameters."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.id
        elif isinstance(node, ast.arg):
            yield node.arg


def test_a_class_name_stands_for_one_class() -> None:
    places = defaultdict(list)
    for path in FILES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ClassDef):
                places[node.name.lstrip("_")].append(f"{path.relative_to(SRC)}:{node.lineno}")
    assert not {name: where for name, where in places.items() if len(where) > 1}


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(SRC)))
def test_a_variable_says_what_it_holds(path: Path) -> None:
    names = {name.lstrip("_") for name in assigned(ast.parse(path.read_text(encoding="utf-8")))}
    assert not names & SAY_NOTHING
