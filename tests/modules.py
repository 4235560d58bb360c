"""The modules of the package, parsed once for all rules on them, and not when tests are collected, which each worker does."""

from __future__ import annotations

import ast
import functools
import gc
from pathlib import Path

SRC = Path(__file__).parents[1] / "src" / "anew"


@functools.cache
def parsed() -> dict[Path, ast.Module]:
    """Every module, by its path."""
    gc.collect()
    gc.disable()  # it would go through all trees again and again
    trees = {path: ast.parse(path.read_text(encoding="utf-8")) for path in sorted(SRC.rglob("*.py"))}
    gc.freeze()
    gc.enable()
    return trees


@functools.cache
def nodes(tree: ast.Module) -> tuple[ast.AST, ...]:
    """All nodes of a module, in the order of `ast.walk`."""
    return tuple(ast.walk(tree))
