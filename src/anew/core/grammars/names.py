"""Names of grammars, the endings of the files that are written in them, and their parsers."""

from __future__ import annotations

from anew.core.extras import require
from anew.errors import DataError

ENDINGS = {  # names of grammars in tree-sitter-language-pack -> endings of files; Python is parsed by Python itself
    "python": "py pyi",
    "c": "c h",
    "cpp": "cc cpp hpp cxx",
    "java": "java",
    "javascript": "js mjs jsx",
    "typescript": "ts",
    "tsx": "tsx",
    "go": "go",
    "rust": "rs",
    "ruby": "rb",
    "php": "php",
    "perl": "pl pm",
    "lua": "lua",
    "r": "r",
    "julia": "jl",
    "swift": "swift",
    "kotlin": "kt kts",
    "scala": "scala",
    "clojure": "clj",
    "elixir": "ex exs",
    "erlang": "erl",
    "haskell": "hs",
    "ocaml": "ml",
    "ocaml_interface": "mli",
    "csharp": "cs",
    "bash": "sh bash",
    "fish": "fish",
    "sql": "sql",
    "html": "html htm",
    "css": "css",
    "scss": "scss",
    "xml": "xml",
    "yaml": "yaml yml",
    "toml": "toml",
    "json": "json",
    "commonlisp": "lisp",
    "elisp": "el",
    "scheme": "scm",
    "vim": "vim",
    "dart": "dart",
    "nim": "nim",
    "zig": "zig",
    "verilog": "v sv",
    "vhdl": "vhd",
    "cmake": "cmake",
    "objc": "m",
    "fortran": "f90 f",
    "pascal": "pas",
    "powershell": "ps1",
}
# Grammars whose scanner looks for the end of the line for ever, in C, where the text ends within a comment: `foo#`. Of all those above,
# given 20,000 to 200,000 random texts each, only this one did (docs/log.md, 2026-12-03).
_NEEDS_LINE_END = frozenset({"perl"})
GRAMMARS = {ending: grammar for grammar, endings in ENDINGS.items() for ending in endings.split()}


def grammar_of_suffix(suffix: str) -> str | None:
    """The name of the grammar of files that end so, such as ".py"."""
    return GRAMMARS.get(suffix.removeprefix("."))


def with_line_end(name: str, text: bytes) -> bytes:
    """A text as the parser of a grammar can be given it: it ends with a line where that parser might never return otherwise."""
    return text + b"\n" if name in _NEEDS_LINE_END and not text.endswith(b"\n") else text


def tree_parser(name: str) -> object:
    """The parser of tree-sitter for a grammar. Texts go through `with_line_end` first.

    Raises:
        DataError: The package of grammars is not installed, or has no such grammar.
    """
    grammars = require("tree_sitter_language_pack", extra="code", purpose="parsing code")
    try:
        parser: object = grammars.get_parser(name)
    except Exception as error:  # the package has errors of its own, and downloads some grammars
        raise DataError(f"the grammar of {name} is not available ({type(error).__name__})") from None
    return parser
