"""Excerpts of Anew's source code that do what a page shows, read from the installed package."""

from __future__ import annotations

import ast
import threading
from functools import cache
from pathlib import Path

PACKAGE = Path(__file__).parents[1]
_parsing = threading.Lock()  # Python 3.11 may raise SystemError where two threads parse at once
SOURCES = {  # name: file below the package, and the function in it
    "noise": ("functional/ode.py", "multistep"),
    "discriminator": ("functional/adversarial.py", "relativistic_loss"),
    "map": ("families/vae/family.py", "Vae.loss"),
    "attention": ("nets/attention.py", "attention_weights"),
    "cutoffs": ("functional/token_choice.py", "filter_probabilities"),
    "plane": ("functional/plane.py", "principal_components"),
    "copies": ("evaluation/memorization/copying_test.py", "scan"),
}


@cache
def source_lines(name: str) -> dict[str, object]:
    """An excerpt of SOURCES, as JSON values: file, number of the first line, and text without the docstring."""
    path, qualified = SOURCES[name]
    text = (PACKAGE / path).read_text(encoding="utf-8")
    with _parsing:
        node: ast.AST = ast.parse(text)
    for part in qualified.split("."):
        node = next(child for child in ast.iter_child_nodes(node) if getattr(child, "name", None) == part)
    assert isinstance(node, ast.FunctionDef)
    lines = text.splitlines()[node.lineno - 1 : node.end_lineno]
    first = node.body[0]
    if ast.get_docstring(node) is not None and first.end_lineno is not None:
        start, stop = first.lineno - node.lineno, first.end_lineno - node.lineno + 1
        lines = lines[:start] + lines[stop:]
    return {"file": f"anew/{path}", "line": node.lineno, "name": qualified, "text": "\n".join(lines)}
