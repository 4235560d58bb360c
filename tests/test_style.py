"""What every module keeps: names that say something, nothing that nobody uses, private names at home, reasons for broad handlers."""

from __future__ import annotations

import ast
import re
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SRC = ROOT / "src" / "anew"
FILES = sorted(SRC.rglob("*.py"))
PARSED = {path: ast.parse(path.read_text(encoding="utf-8")) for path in FILES}
SAY_NOTHING = {"came", "each", "given", "how", "it", "one", "some", "stuff", "thing", "told", "which", "why"}
BY_NAME = ("Sampler._",)  # methods that a file says by name: `exporting/runtime/sample.py`

each_module = pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(SRC)))


def assigned(tree: ast.AST) -> Iterator[str]:
    """Variables and parameters."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.id
        elif isinstance(node, ast.arg):
            yield node.arg


def defined(tree: ast.Module) -> Iterator[str]:
    """Functions, classes and constants of a module, and methods as `Class.name`, but for those that a decorator registers."""
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and not node.decorator_list:
            yield node.name
        elif isinstance(node, ast.Assign):
            yield from (target.id for target in node.targets if isinstance(target, ast.Name))
        elif isinstance(node, ast.ClassDef):
            yield node.name
            methods = [child for child in node.body if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef)]
            yield from (f"{node.name}.{method.name}" for method in methods if not method.decorator_list)


def test_a_class_name_stands_for_one_class() -> None:
    places = defaultdict(list)
    for path, tree in PARSED.items():
        for node in ast.walk(tree):
            if isinstance(node, ast.ClassDef):
                places[node.name.lstrip("_")].append(f"{path.relative_to(SRC)}:{node.lineno}")
    assert not {name: where for name, where in places.items() if len(where) > 1}


@each_module
def test_a_variable_says_what_it_holds(path: Path) -> None:
    assert not {name.lstrip("_") for name in assigned(PARSED[path])} & SAY_NOTHING


def test_nothing_is_there_for_tests_alone() -> None:
    texts = [path for suffix in ("py", "html", "js", "mjs") for path in SRC.rglob(f"*.{suffix}")]
    uses = Counter(word for path in texts for word in re.findall(r"\w+", path.read_text(encoding="utf-8")))
    unused = {
        f"{path.relative_to(SRC)}: {name}"
        for path, tree in PARSED.items()
        for name in defined(tree)
        if uses[bare := name.rpartition(".")[2]] == 1 and not bare.startswith("__") and not name.startswith(BY_NAME)
    }
    assert not unused


@each_module
def test_private_names_stay_in_their_module(path: Path) -> None:
    tree, modules, wrong = PARSED[path], set(), []
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("anew"):
            wrong += [alias.name for alias in node.names if re.match(r"_(?!_)", alias.name)]
            modules |= {alias.asname or alias.name for alias in node.names if alias.name.islower()}
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id in modules:
            wrong += [f"{node.value.id}.{node.attr}"] if re.match(r"_(?!_)", node.attr) else []
    assert not wrong


@each_module
def test_a_handler_of_any_error_says_why(path: Path) -> None:
    lines = path.read_text(encoding="utf-8").splitlines()
    broad = [
        node
        for node in ast.walk(PARSED[path])
        if isinstance(node, ast.ExceptHandler)
        and (node.type is None or getattr(node.type, "id", "") in ("Exception", "BaseException"))
    ]
    assert not [node.lineno for node in broad if "#" not in lines[node.lineno - 1]]


@each_module
def test_no_attribute_is_asked_for_to_learn_what_was_done(path: Path) -> None:
    """Whether an object has an attribute yet is no state: it is None, or the state has a name."""
    calls = [node for node in ast.walk(PARSED[path]) if isinstance(node, ast.Call) and len(node.args) > 1]
    of_self = [call for call in calls if isinstance(call.args[0], ast.Name) and call.args[0].id == "self"]
    assert not [call.lineno for call in of_self if getattr(call.func, "id", "") == "hasattr"]


@each_module
def test_no_table_hides_in_conditional_expressions(path: Path) -> None:
    nested = [
        node.lineno
        for node in ast.walk(PARSED[path])
        if isinstance(node, ast.IfExp)
        and isinstance(node.orelse, ast.IfExp)
        and isinstance(node.orelse.orelse, ast.IfExp)
    ]
    assert not nested
