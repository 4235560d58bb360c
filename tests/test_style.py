"""What every module keeps: names that say something, nothing that nobody uses, private names at home, reasons for broad handlers."""

from __future__ import annotations

import ast
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from modules import SRC, nodes, parsed

TESTS = Path(__file__).parent
SAY_NOTHING = {"came", "each", "given", "how", "it", "one", "some", "stuff", "thing", "told", "which", "why"}
ANY = {  # public, with `Any` in its signature, and why
    "cli/parser.py: CommandParser.__init__": "the signature of argparse",
    "cli/parser.py: CommandParser.add_argument": "the signature of argparse",
    "evaluation/modalities/code.py: judge_tree": "grammars come from a package without types",
    "exporting/runtime/sample.py: Step": "runs without Anew; each kind of step has numbers of its own, which its method names",
    "exporting/runtime/sound.py: Scale": "runs without Anew; numbers of sampler.json, which Anew wrote",
    "families/base.py: SpecT": "`Family` alone is a family of any spec",
    "families/base.py: ConfigT": "`Family` alone is a family with any settings",
}
# Functions whose True or False is a value, not a switch (defaults, elements of arrays), or that take no keywords (`isolation.each`,
# compiled loops)
POSITIONAL = {"setting", "getattr", "get", "append", "fill_diagonal", "each", "recall"}
BY_NAME = ("Sampler._",)  # methods that a file says by name: `exporting/runtime/sample.py`


def by_module(faults_of: Callable[[Path, ast.Module], Iterable[object]]) -> dict[str, list[object]]:
    """The modules in which there is something at fault, and what."""
    faults = {str(path.relative_to(SRC)): list(faults_of(path, tree)) for path, tree in parsed().items()}
    assert len(faults) > 500
    return {name: of_module for name, of_module in faults.items() if of_module}


def assigned(all_nodes: Iterable[ast.AST]) -> Iterator[str]:
    """Variables and parameters."""
    for node in all_nodes:
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
    for path, tree in parsed().items():
        for node in nodes(tree):
            if isinstance(node, ast.ClassDef):
                places[node.name.lstrip("_")].append(f"{path.relative_to(SRC)}:{node.lineno}")
    assert not {name: where for name, where in places.items() if len(where) > 1}


def test_a_variable_says_what_it_holds() -> None:
    assert not by_module(lambda path, tree: {name.lstrip("_") for name in assigned(nodes(tree))} & SAY_NOTHING)


def test_variables_of_tests_say_what_they_hold() -> None:
    vague = {}
    for path in sorted(TESTS.rglob("*.py")):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        vague[path.name] = {name.lstrip("_") for name in assigned(ast.walk(tree))} & SAY_NOTHING
    assert not {name: names for name, names in vague.items() if names}


def test_nothing_is_there_for_tests_alone() -> None:
    texts = [path for suffix in ("py", "html", "js", "mjs") for path in SRC.rglob(f"*.{suffix}")]
    uses = Counter(word for path in texts for word in re.findall(r"\w+", path.read_text(encoding="utf-8")))
    unused = {
        f"{path.relative_to(SRC)}: {name}"
        for path, tree in parsed().items()
        for name in defined(tree)
        if uses[bare := name.rpartition(".")[2]] == 1 and not bare.startswith("__") and not name.startswith(BY_NAME)
    }
    assert not unused


def private_names_of_others(path: Path, tree: ast.Module) -> list[str]:
    modules: set[str] = set()
    wrong: list[str] = []
    for node in nodes(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("anew"):
            wrong += [alias.name for alias in node.names if re.match(r"_(?!_)", alias.name)]
            modules |= {alias.asname or alias.name for alias in node.names if alias.name.islower()}
    for node in nodes(tree):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id in modules:
            wrong += [f"{node.value.id}.{node.attr}"] if re.match(r"_(?!_)", node.attr) else []
    return wrong


def test_private_names_stay_in_their_module() -> None:
    assert not by_module(private_names_of_others)


def broad_handlers_without_a_reason(path: Path, tree: ast.Module) -> list[int]:
    lines = path.read_text(encoding="utf-8").splitlines()
    broad = [
        node
        for node in nodes(tree)
        if isinstance(node, ast.ExceptHandler)
        and (node.type is None or getattr(node.type, "id", "") in ("Exception", "BaseException"))
    ]
    return [node.lineno for node in broad if "#" not in lines[node.lineno - 1]]


def test_a_handler_of_any_error_says_why() -> None:
    assert not by_module(broad_handlers_without_a_reason)


def questions_for_attributes(path: Path, tree: ast.Module) -> list[int]:
    calls = [node for node in nodes(tree) if isinstance(node, ast.Call) and len(node.args) > 1]
    of_self = [call for call in calls if isinstance(call.args[0], ast.Name) and call.args[0].id == "self"]
    return [call.lineno for call in of_self if getattr(call.func, "id", "") == "hasattr"]


def test_no_attribute_is_asked_for_to_learn_what_was_done() -> None:
    """Whether an object has an attribute yet is no state: it is None, or the state has a name."""
    assert not by_module(questions_for_attributes)


def signatures(body: list[ast.stmt], owner: str = "") -> Iterator[tuple[str, list[ast.AST | None]]]:
    """Public functions, attributes and aliases of types, with what their signatures say."""
    for node in body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            arguments = node.args
            named = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs, arguments.vararg, arguments.kwarg]
            yield owner + node.name, [node.returns, *(argument.annotation for argument in named if argument)]
            for child in ast.walk(node):
                if isinstance(child, ast.AnnAssign) and isinstance(child.target, ast.Attribute) and owner:
                    yield owner + child.target.attr, [child.annotation]
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            yield owner + node.target.id, [node.annotation]
        elif isinstance(node, ast.Assign) and not owner:
            yield from ((target.id, [node.value]) for target in node.targets if isinstance(target, ast.Name))
        elif isinstance(node, ast.ClassDef):
            yield from signatures(node.body, f"{owner}{node.name}.")


def test_public_signatures_say_their_types() -> None:
    """`Any` would end type checking wherever such a value goes: JSON is a `JsonValue`, what is known of it a record."""
    vague = set()
    for path, tree in parsed().items():
        for name, parts in signatures(tree.body):
            is_public = not any(re.match(r"_(?!_init__)", part) for part in name.split("."))
            names = {getattr(node, "id", "") for part in parts if part is not None for node in ast.walk(part)}
            if is_public and "Any" in names:
                vague.add(f"{path.relative_to(SRC)}: {name}")
    assert vague == set(ANY)


def is_number(node: ast.expr) -> bool:
    """Whether it is a number, or a tuple or dictionary that holds one."""
    if isinstance(node, ast.Constant):
        return isinstance(node.value, int | float) and not isinstance(node.value, bool)
    if isinstance(node, ast.BinOp):
        return is_number(node.left) and is_number(node.right)
    if isinstance(node, ast.Tuple | ast.List):
        return any(map(is_number, node.elts))
    if isinstance(node, ast.Dict):
        return any(map(is_number, node.values))
    return isinstance(node, ast.UnaryOp) and is_number(node.operand)


def numbers_without_a_reason(path: Path, tree: ast.Module) -> list[str]:
    lines = path.read_text(encoding="utf-8").splitlines()
    silent: list[str] = []
    for node in tree.body:
        value = node.value if isinstance(node, ast.Assign | ast.AnnAssign) else None
        if value is None or not is_number(value):
            continue
        own = lines[node.lineno - 1 : node.end_lineno]
        above = lines[max(0, node.lineno - 4) : node.lineno - 1]
        if not any("  # " in line for line in own) and not any(line.startswith("#") for line in above):
            silent.append(f"{node.lineno}: {own[0]}")
    return silent


def test_a_numeric_constant_says_why() -> None:
    """Behind it, or in the three lines above: what it trades, where it was measured, or that it was chosen."""
    assert not by_module(numbers_without_a_reason)


def tables_of_conditions(path: Path, tree: ast.Module) -> list[int]:
    return [
        node.lineno
        for node in nodes(tree)
        if isinstance(node, ast.IfExp)
        and isinstance(node.orelse, ast.IfExp)
        and isinstance(node.orelse.orelse, ast.IfExp)
    ]


def test_no_table_hides_in_conditional_expressions() -> None:
    assert not by_module(tables_of_conditions)


def unnamed_switches(path: Path, tree: ast.Module) -> list[str]:
    """Calls with several arguments, of which a literal True or False is passed by its place."""
    calls = [node for node in nodes(tree) if isinstance(node, ast.Call) and len(node.args) > 1]
    return [
        ast.unparse(call)
        for call in calls
        if any(isinstance(argument, ast.Constant) and isinstance(argument.value, bool) for argument in call.args)
        and ast.unparse(call.func).rpartition(".")[2] not in POSITIONAL
    ]


def test_a_literal_switch_is_passed_by_its_name() -> None:
    """At a call such as `Extent(False, 0, n)` nobody knows what is off."""
    assert not by_module(unnamed_switches)


def unnamed_arguments(path: Path, tree: ast.Module) -> Iterator[str]:
    """Sentences of ConfigError that begin with `name=`, without the name beside them."""
    for node in nodes(tree):
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "ConfigError" and len(node.args) == 1:
            begin = ast.unparse(node.args[0]).lstrip("f'\"")
            if re.match(r"(\w+|{name})=", begin) and not node.keywords:
                yield begin


def test_an_error_about_a_setting_names_it() -> None:
    """Its sentence shows the value, as in `size=abc is not allowed`; `error.argument` and the server need the name."""
    assert not by_module(unnamed_arguments)
