"""Who may import whom: downwards only, no circles, and every module belongs to exactly one layer."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

from modules import SRC, nodes, parsed

# Each layer and what it may import besides itself. A module belongs to the layer with the longest matching name, and a
# layer may import the layers that are named, with all that lies below their names.
CORE = ("errors", "core")
DATA_BASE = (*CORE, "data.types", "data.skipped", "data.limits", "data.file_names")
LAYERS: dict[str, tuple[str, ...]] = {
    "errors": (),
    "core": ("errors",),
    "functional": CORE,
    "estimators": (*CORE, "functional"),
    "runs": CORE,
    "nets": (*CORE, "functional"),
    "data.limits": (),
    "data.file_names": CORE,
    "data.types": CORE,
    "data.skipped": (*CORE, "data.types"),
    "data.formats": (*DATA_BASE, "functional"),
    "data.modality": (*DATA_BASE, "data.formats.file_bytes", "estimators"),
    "data.modalities": (*DATA_BASE, "data.formats", "data.modality", "functional", "estimators"),
    "data.sources": (*DATA_BASE, "data.formats", "data.modality"),
    "data.splitting": (*DATA_BASE, "data.modality", "data.sources", "estimators"),
    "data.loading": (*DATA_BASE, "data.modality", "data.sources", "data.splitting"),
    "data": (*CORE, "data", "estimators"),
    "families": (*CORE, "functional", "estimators", "nets"),
    "evaluation": (*CORE, "functional", "estimators", "data.types", "data.modality", "data.formats"),
    "training": (*CORE, "functional", "runs", "families.base", "families.phases"),
    "sampling": (*CORE, "functional", "estimators", "data", "families.base", "runs", "evaluation.reporting.sheet"),
    "exporting": (*CORE, "data", "families.base", "families.portable", "runs", "sampling", "evaluation.reporting"),
    "server": (*CORE, "data", "families.base", "runs", "sampling"),
    "planning": (*CORE, "functional", "data", "families.base", "families.phases", "runs", "training"),
    "workflows": (
        *CORE,
        "functional",
        "data",
        "families.base",
        "families.explaining",
        "runs",
        "training",
        "sampling",
        "planning",
        "evaluation",
    ),
    "studio_app": (
        *CORE,
        "functional",
        "data",
        "families.base",
        "families.explaining",
        "evaluation",
        "planning",
        "runs",
        "sampling",
        "server",
        "workflows",
    ),
    "api": (
        *CORE,
        "runs",
        "data.find_data",
        "data.types",
        "sampling",
        "planning",
        "workflows",
        "exporting",
        "server",
        "studio_app",
    ),
    "cli": (
        "errors",
        "api",
        "core.activity",
        "core.arguments",
        "core.wording",
        "core.machine.allocator",
        "core.exit_codes",
        "core.processes.launcher",
        "core.machine.openmp",
        "core.reporter",
        "core.stop_signals",
        "__init__",
    ),
    "__init__": ("errors", "core.version", "api", "sampling", "workflows.inspect", "exporting"),
    "__main__": ("cli",),
}


def modules() -> dict[str, Path]:
    """Path of each module by its name below `anew`; a package is named without `__init__`."""
    names = {}
    for path in sorted(SRC.rglob("*.py")):
        parts = path.relative_to(SRC).with_suffix("").parts
        names[".".join(parts[:-1] if parts[-1] == "__init__" and len(parts) > 1 else parts)] = path
    return names


MODULES = modules()


def layer_of(module: str) -> str:
    layers = [layer for layer in LAYERS if module == layer or module.startswith(f"{layer}.")]
    assert layers, f"{module} belongs to no layer: name it in LAYERS"
    return max(layers, key=len)


def imports(statements: Iterable[ast.AST]) -> set[str]:
    """Modules below `anew` that statements import; of all nodes of a module, local and type-only imports included."""
    targets: set[str] = set()
    for node in statements:
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            base = (node.module or "").split(".")
            if base[0] == "anew":
                names = [".".join([*base[1:], alias.name]) for alias in node.names]
                targets |= {name if name in MODULES else ".".join(base[1:]) or "__init__" for name in names}
        elif isinstance(node, ast.Import):
            plain = [alias.name for alias in node.names if alias.name.split(".")[0] == "anew"]
            targets |= {name.removeprefix("anew").lstrip(".") or "__init__" for name in plain}
    return targets


def violations(module: str, statements: Iterable[ast.AST]) -> list[str]:
    """Imports of a module, by its nodes, that its layer does not allow."""
    layer = layer_of(module)
    allowed = (layer, *LAYERS[layer])
    wrong = []
    for target in imports(statements):
        inside = layer_of(target) == layer
        if not inside and not any(target == name or target.startswith(f"{name}.") for name in allowed[1:]):
            wrong.append(f"{module} may not import {target}")
    return wrong


def test_imports_go_downwards() -> None:
    assert len(MODULES) > 500
    assert not [wrong for module, path in MODULES.items() for wrong in violations(module, nodes(parsed()[path]))]


ABOVE = {"cli": "__main__", "__main__": "api"}  # what a layer may not import; `cli` for all others


def test_an_upward_import_in_any_file_is_noticed() -> None:
    for module, path in MODULES.items():
        above = ABOVE.get(layer_of(module), "cli")
        late = ast.walk(ast.parse(f"def late() -> None:\n    from anew.{above} import main\n"))
        assert violations(module, (*nodes(parsed()[path]), *late)) == [f"{module} may not import {above}"]


def test_no_circles() -> None:
    graph = {}
    for name, path in MODULES.items():
        packages = [name.rsplit(".", up)[0] for up in range(1, name.count(".") + 1)]
        graph[name] = {t for t in imports(nodes(parsed()[path])) if t != name and t not in packages}
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(f"imports go in a circle: {' -> '.join(error.args[1])}")


def test_the_trainer_names_no_family() -> None:
    names = [path.parent.name for path in SRC.glob("families/*/family.py")]
    assert len(names) >= 5
    for path in (SRC / "training").glob("*.py"):
        words = path.read_text().lower()
        assert "isinstance(family" not in words
        assert not [name for name in names if f"families.{name}" in words or f'"{name}"' in words], path.name


def test_the_architecture_page_says_the_same() -> None:
    page = (SRC.parents[1] / "docs" / "architecture.md").read_text()
    rows = dict(re.findall(r"^\| `(\w+)` \| .* \| (.*?) ?\|$", page, re.MULTILINE))
    assert set(rows) == {layer.split(".")[0] for layer in LAYERS if not layer.startswith("__")}
    # `data` has a paragraph of its own, and the row of `cli` names modules of `core`
    for layer in set(rows) & set(LAYERS) - {"data", "cli"}:
        named = {name.lstrip(".") for name in re.findall(r"`([\w.]+)`", rows[layer].partition("; ")[0])}
        missing = {name for name in LAYERS[layer] if name not in CORE and not named & {name, name.partition(".")[2]}}
        assert not missing, f"the row of {layer} does not name {missing}"
    glossary = page.partition("## Terms")[2].partition("## ")[0]
    assert 10 <= glossary.count("\n| ") - 1 <= 30


def test_the_compiler_of_loops_is_imported_where_it_is_used() -> None:
    """Numba takes a second to import: no module brings it along but those that it compiles."""
    at_load = {}
    for name, path in MODULES.items():
        at_load[name] = imports(parsed()[path].body)
    with_numba = {"core.machine.compiled"}
    while more := {name for name, targets in at_load.items() if targets & with_numba} - with_numba:
        with_numba |= more
    assert len(with_numba) > 4
    assert not [
        name
        for name in with_numba
        if not name.startswith(("core.machine.compiled", "estimators.context_mixing.", "evaluation.edits."))
    ]
