"""What a user calls says in its docstring what its signature cannot: each argument, what comes back, and when it refuses."""

from __future__ import annotations

import ast
import dataclasses
import inspect
import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import anew
from modules import parsed

CLASSES = (anew.Model, anew.Samples, anew.Scores, anew.Walk)
VERBS = [name for name in anew.__all__ if inspect.isfunction(getattr(anew, name))]


def methods() -> Iterator[tuple[str, Callable[..., Any]]]:
    """What can be called of the public classes, also what they inherit from a class of this package."""
    for owner in CLASSES:
        for name, member in inspect.getmembers(owner, inspect.isroutine):
            function = inspect.unwrap(member)
            if not name.startswith("_") and getattr(function, "__module__", "").startswith("anew."):
                yield f"{owner.__name__}.{name}", member


CALLABLES = {**{name: getattr(anew, name) for name in VERBS}, **dict(methods())}


def section(text: str, title: str) -> str:
    """What stands under a title of a Google-style docstring; empty where there is none."""
    match = re.search(rf"^{title}:\n((?:[ ]+.*\n|\n)+)", text + "\n", re.MULTILINE)
    return "" if match is None else match[1]


@pytest.mark.parametrize("name", sorted(CALLABLES))
def test_arguments_and_results_are_explained(name: str) -> None:
    function = CALLABLES[name]
    text = inspect.getdoc(function) or ""
    assert text, "no docstring"
    signature = inspect.signature(function)
    stars = {inspect.Parameter.VAR_KEYWORD: r"\*\*", inspect.Parameter.VAR_POSITIONAL: r"\*"}
    arguments = section(text, "Args")
    for parameter in signature.parameters.values():
        if parameter.name != "self":
            pattern = rf"^ +{stars.get(parameter.kind, '')}{parameter.name}: \S"
            assert re.search(pattern, arguments, re.MULTILINE), f"{parameter.name} is not under Args"
    result = str(signature.return_annotation)
    if signature.parameters.keys() - {"self"} and result != "None":
        assert section(text, "Returns") or section(text, "Yields"), "no Returns"


@pytest.mark.parametrize("name", sorted(VERBS))
def test_verbs_name_their_errors(name: str) -> None:
    if inspect.signature(CALLABLES[name]).parameters:
        assert section(inspect.getdoc(CALLABLES[name]) or "", "Raises"), "no Raises"


@pytest.mark.parametrize("owner", CLASSES)
def test_classes_explain_their_fields(owner: type) -> None:
    text = inspect.getdoc(owner) or ""
    explained = section(text, "Attributes") + section(text, "Args")
    names = [field.name for field in dataclasses.fields(owner)] if dataclasses.is_dataclass(owner) else []
    for name in names or [name for name in inspect.signature(owner).parameters]:
        assert re.search(rf"^ +{name}: \S", explained, re.MULTILINE), f"{name} is not explained"
    for name, member in inspect.getmembers(owner, lambda member: isinstance(member, property)):
        assert inspect.getdoc(member), f"{name} has no docstring"


def test_errors_say_when_they_are_raised() -> None:
    for name in anew.__all__:
        member = getattr(anew, name)
        if inspect.isclass(member) and issubclass(member, Exception):
            assert inspect.getdoc(member)


def described_names(text: str) -> Iterator[str]:
    """Names that a docstring describes: under Args, and as "; name: what it is" in a sentence before any section."""
    for line in section(text, "Args").splitlines():
        match = re.match(r" {4}([\w, *]+): ", line)
        yield from re.findall(r"\w+", match[1]) if match else ()
    prose = re.split(r"^(?:Args|Attributes|Returns|Raises|Yields):$", text, maxsplit=1, flags=re.MULTILINE)[0]
    for match in re.finditer(r"[.;] ([a-z]+(?:_[a-z]+)*): ", prose):
        yield match[1]


def functions(node: ast.AST) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    """The functions that stand in the body of a module, a class or a function, whatever they stand in there."""
    for statement in getattr(node, "body", ()):
        if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef):
            yield statement
        yield from functions(statement)


def test_arguments_that_are_described_exist() -> None:
    stale = []
    for path, tree in parsed().items():
        for function in functions(tree):
            parameters = {argument.arg for argument in ast.walk(function.args) if isinstance(argument, ast.arg)}
            names = set(described_names(ast.get_docstring(function) or "")) - parameters
            stale += [f"{path.name}:{function.lineno} {function.name}: {name}" for name in names]
    assert not stale


def test_results_are_noun_phrases() -> None:
    verbal = []
    for path, tree in parsed().items():
        for function in functions(tree):
            if re.match(r"Returns?\b", ast.get_docstring(function) or ""):
                verbal.append(f"{path.name}:{function.lineno} {function.name}")
    assert not verbal
