"""Files have at most 500 lines, nesting is at most 3 blocks deep, `Any` is rare; without docstrings, classes stay under 280 lines
and functions under 60."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FILES = sorted((ROOT / "src").rglob("*.py")) + sorted((ROOT / "bench").rglob("*.py"))
BLOCKS = (ast.For, ast.While, ast.If, ast.With, ast.Try, ast.AsyncFor, ast.AsyncWith)


def length(node: ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Lines without docstrings, of a class without those of its methods too: documentation makes no code hard to read."""
    lines = (node.end_lineno or node.lineno) - node.lineno + 1
    documented: list[ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef] = [node]
    if isinstance(node, ast.ClassDef):
        documented = [n for n in ast.walk(node) if isinstance(n, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)]
    return lines - sum(len((ast.get_docstring(n, clean=False) or "").splitlines()) for n in documented)


def depth(node: ast.AST) -> int:
    deepest = 0
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            continue
        chained = isinstance(node, ast.If) and child in node.orelse and isinstance(child, ast.If)  # elif is no deeper
        deepest = max(deepest, depth(child) + (isinstance(child, BLOCKS) and not chained))
    return deepest


def test_any_is_rare() -> None:
    lines = [line for path in (ROOT / "src").rglob("*.py") for line in path.read_text().splitlines()]
    assert sum(re.search(r"\bAny\b", line) is not None for line in lines) <= 60


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(ROOT)))
def test_sizes(path: Path) -> None:
    text = path.read_text()
    assert len(text.splitlines()) <= 500
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.ClassDef):
            assert length(node) <= 280, f"class {node.name}"
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            assert length(node) <= 60, f"function {node.name}"
            assert depth(node) <= 3, f"function {node.name} is nested too deep"
