"""Files have at most 500 lines, nesting is at most 3 blocks deep, `Any` is rare; without docstrings, classes stay under 280 lines
and functions under 60."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from modules import nodes, parsed

ROOT = Path(__file__).parents[1]
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


def excesses(text: str, all_nodes: Iterable[ast.AST]) -> Iterator[str]:
    """What is too long or too deep in the text of a file with these nodes."""
    if len(text.splitlines()) > 500:
        yield "more than 500 lines"
    for node in all_nodes:
        if isinstance(node, ast.ClassDef) and length(node) > 280:
            yield f"class {node.name} has {length(node)} lines"
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            if length(node) > 60:
                yield f"function {node.name} has {length(node)} lines"
            if depth(node) > 3:
                yield f"function {node.name} is nested too deep"


def test_sizes() -> None:
    trees = {path: nodes(tree) for path, tree in parsed().items()}
    trees |= {path: tuple(ast.walk(ast.parse(path.read_text()))) for path in sorted((ROOT / "bench").rglob("*.py"))}
    large = {str(path.relative_to(ROOT)): list(excesses(path.read_text(), tree)) for path, tree in trees.items()}
    assert len(large) > 500
    assert not {name: excess for name, excess in large.items() if excess}


def test_sizes_of_javascript_and_pages() -> None:
    files = [path for suffix in ("js", "css", "html") for path in (ROOT / "src").rglob(f"*.{suffix}")]
    assert len(files) > 80
    assert not [path.name for path in files if len(path.read_text().splitlines()) > 500]


def test_what_is_too_large_is_noticed() -> None:
    body = "\n".join(f"    x = {i}" for i in range(280))
    deep = "for a in b:\n  if a:\n   while a:\n    with a:\n     pass\n".replace("\n", "\n  ")
    text = f"class Long:\n{body}\ndef long():\n{body}\ndef deep():\n  {deep}\n" + "\n" * 100
    assert list(excesses(text, ast.walk(ast.parse(text)))) == [
        "more than 500 lines",
        "class Long has 281 lines",
        "function long has 281 lines",
        "function deep is nested too deep",
    ]
