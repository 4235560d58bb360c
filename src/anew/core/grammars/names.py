"""Names of grammars, and the endings of the files that are written in them."""

from __future__ import annotations

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
GRAMMARS = {ending: grammar for grammar, endings in ENDINGS.items() for ending in endings.split()}


def grammar_of_suffix(suffix: str) -> str | None:
    """The name of the grammar of files that end so, such as ".py"."""
    return GRAMMARS.get(suffix.removeprefix("."))
