"""JavaScript modules as one script, so that a page needs no other file."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

IMPORT = re.compile(r'^import \{([^}]*)\} from "\./([\w-]+)\.js";\n', re.MULTILINE)
EXPORTED = re.compile(r"^export (?=(?:async )?(?:function\*?|class|const|let) ([\w$]+))", re.MULTILINE)
COMMENT = re.compile(r"^\s*//.*\n", re.MULTILINE)


@cache
def bundle(folder: Path, entry: str) -> str:
    """The module `entry` and its imports as one script, which defines one global name for each module.

    Modules import and export by name, each at the beginning of a line: `import { a } from "./b.js";`, `export function a`.
    """
    order: list[str] = []
    _collect(folder, entry, order)
    modules = "".join(_wrap((folder / f"{name}.js").read_text(encoding="utf-8"), name) for name in order)
    return f'"use strict";\n{modules}'


def variable(module: str) -> str:
    """The variable of the script that holds what a module exports."""
    return f"${module.replace('-', '_')}"


def _collect(folder: Path, name: str, order: list[str]) -> None:
    if name in order:
        return
    for _, imported in IMPORT.findall((folder / f"{name}.js").read_text(encoding="utf-8")):
        _collect(folder, imported, order)
    order.append(name)


def _wrap(source: str, name: str) -> str:
    """A module, without its comments, as a function that is called once."""
    exports = ", ".join(EXPORTED.findall(source))
    source = IMPORT.sub(lambda match: f"const {{{match[1].replace(' as ', ': ')}}} = {variable(match[2])};\n", source)
    source = COMMENT.sub("", EXPORTED.sub("", source))
    return f"const {variable(name)} = (() => {{\n{source}return {{ {exports} }};\n}})();\n"
