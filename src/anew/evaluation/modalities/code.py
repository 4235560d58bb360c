"""Programs: predicted as text is, and whether what was generated parses: judged by parsers, never by looking at the text.

A sample is a stretch that ends anywhere, so its last block says nothing; each block before it (a statement, function or
class at the outermost level) is judged on its own, beside blocks of as long stretches of held-out files.
"""

from __future__ import annotations

import ast
import textwrap
import warnings
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from anew.evaluation.metrics.statistics import Score, ratio_interval
from anew.evaluation.modalities.text import TEST_MOST, TextEvaluation
from anew.evaluation.reporting import verdict

# endings -> names of grammars in tree-sitter-language-pack
GRAMMARS = {
    "c": "c", "h": "c", "cc": "cpp", "cpp": "cpp", "hpp": "cpp", "cxx": "cpp", "java": "java", "js": "javascript",
    "mjs": "javascript", "jsx": "javascript", "ts": "typescript", "tsx": "tsx", "go": "go", "rs": "rust", "rb": "ruby",
    "php": "php", "pl": "perl", "pm": "perl", "lua": "lua", "r": "r", "jl": "julia", "swift": "swift", "kt": "kotlin",
    "kts": "kotlin", "scala": "scala", "clj": "clojure", "ex": "elixir", "exs": "elixir", "erl": "erlang", "hs": "haskell",
    "ml": "ocaml", "mli": "ocaml_interface", "cs": "csharp", "sh": "bash", "bash": "bash", "fish": "fish", "sql": "sql",
    "html": "html", "htm": "html", "css": "css", "scss": "scss", "xml": "xml", "yaml": "yaml", "yml": "yaml",
    "toml": "toml", "json": "json", "lisp": "commonlisp", "el": "elisp", "scm": "scheme", "vim": "vim", "dart": "dart",
    "nim": "nim", "zig": "zig", "v": "verilog", "sv": "verilog", "vhd": "vhdl", "cmake": "cmake", "m": "objc",
    "f90": "fortran", "f": "fortran", "pas": "pascal", "ps1": "powershell",
}  # fmt: skip
JOINED = 40  # blocks that a string may run over
Judge = Callable[[str], tuple[int, int]]


class CodeEvaluation(TextEvaluation):
    """What text has, and the share of blocks that parse."""

    noun = "programs"

    def own(self) -> Iterator[Score]:
        yield from self._parsed()
        yield from super().own()

    def _parsed(self) -> Iterator[Score]:
        suffix = str(getattr(self.evidence.modality, "suffix", ".py"))
        judge = python if suffix in (".py", ".pyi") else self._grammar(suffix.removeprefix("."))
        samples = [str(s) for s in self.evidence.samples if s]
        if judge is None or not samples:
            return
        source = np.random.default_rng(self.evidence.seed)
        held = [text[: len(samples[i % len(samples)])] for i, text in enumerate(self._held(source, len(samples)))]
        note = f"outermost blocks of {len(samples)} samples, the last of each left out; floor: held-out files cut alike"
        yield from self._share("parse_share", judge, samples, held, note)
        if judge is python:
            note = "functions and methods that end within their sample; floor: those of held-out files cut alike"
            yield from self._share("function_share", functions, samples, held, note)

    def _share(
        self, name: str, judge: Judge, samples: Sequence[str], held: Sequence[str], note: str
    ) -> Iterator[Score]:
        own, real = (
            np.array([judge(text) for text in part], dtype=np.float64).reshape(-1, 2) for part in (samples, held)
        )
        if not own[:, 1].sum():
            self.leave_out(verdict.term(name)[0], "no sample holds a whole one")
            return
        low, high = ratio_interval(own[:, 0], own[:, 1] + 1e-9, self.evidence.seed)
        floor = float(real[:, 0].sum() / real[:, 1].sum()) if real[:, 1].sum() else None
        value, n = float(own[:, 0].sum() / own[:, 1].sum()), int(own[:, 1].sum())
        yield Score(name, value, low, high, floor, "higher", n, f"{n:,} {note}")

    def _held(self, source: np.random.Generator, n: int) -> list[str]:
        """Held-out files, each from its beginning, as samples are."""
        texts = self._part("test", TEST_MOST)
        return [texts[i] for i in source.permutation(len(texts))[:n]]

    def _grammar(self, ending: str) -> Judge | None:
        name = GRAMMARS.get(ending)
        if name is None:
            self.leave_out("the share that parses", f"there is no grammar for .{ending} here")
            return None
        try:
            from tree_sitter_language_pack import get_parser
        except ImportError:
            self.leave_out("the share that parses", "it needs tree-sitter; install it with `pip install 'anew[code]'`")
            return None
        try:
            parser: Any = get_parser(name)  # type: ignore[arg-type,unused-ignore]
        except Exception as error:  # the package raises its own kinds, and fetches some grammars
            self.leave_out("the share that parses", f"the grammar of {name} cannot be had ({type(error).__name__})")
            return None
        return lambda text: tree(parser, text)


def python(text: str) -> tuple[int, int]:
    """(outermost blocks that parse, all blocks but the last) of a stretch of Python."""
    blocks = python_blocks(text)[:-1]
    return sum(map(_parses, blocks)), len(blocks)


def python_blocks(text: str) -> list[str]:
    """The stretch cut before each line that stands at the left edge and can begin a statement."""
    blocks: list[list[str]] = []
    for line in text.split("\n"):
        # A closing bracket, `else` and the like go on with the statement before; what they close is for the parser to say.
        goes_on = not line.strip() or line[0] in " \t)]}#" or _word(line) in ("else", "elif", "except", "finally")
        decorated = bool(blocks) and blocks[-1][-1].startswith("@")
        if blocks and (goes_on or decorated):
            blocks[-1].append(line)
        else:
            blocks.append([line])
    found = ["\n".join(block) for block in blocks if any(line.strip() for line in block)]
    return _rejoined(found)


def functions(text: str) -> tuple[int, int]:
    """(functions and methods that parse, all of them that end within the text) of a stretch of Python."""
    lines = text.split("\n")
    found = []
    for first, line in enumerate(lines):
        if line.lstrip().startswith(("def ", "async def ")):
            last = next((at for at in range(first + 1, len(lines)) if _leaves(lines[at], _edge(line))), None)
            if last is not None:
                found.append(textwrap.dedent("\n".join(lines[first:last])))
    return sum(map(_parses, found)), len(found)


def _edge(line: str) -> int:
    return len(line) - len(line.lstrip())


def _leaves(line: str, edge: int) -> bool:
    """Whether a line is outside of what began at this edge. A closing bracket there still ends the arguments."""
    return bool(line.strip()) and _edge(line) <= edge and line.lstrip()[0] not in ")]}"


def _rejoined(blocks: Sequence[str]) -> list[str]:
    """Strings over several lines reach the left edge: a block that fails is joined with what follows where that parses."""
    out: list[str] = []
    at = 0
    while at < len(blocks):
        stop = at + 1
        if not _parses(blocks[at]) and any(quotes in blocks[at] for quotes in ('"""', "'''")):
            stops = range(at + 2, min(at + JOINED, len(blocks)) + 1)
            stop = next((one for one in stops if _parses("\n".join(blocks[at:one]))), stop)
        out.append("\n".join(blocks[at:stop]))
        at = stop
    return out


def _word(line: str) -> str:
    return line.split(None, 1)[0].rstrip(":") if line.strip() else ""


def _parses(block: str) -> bool:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # odd escapes and comparisons are no errors
            ast.parse(block)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False
    return True


def tree(parser: Any, text: str) -> tuple[int, int]:
    """(nodes at the outermost level without an error, all of them but the last) by a tree-sitter grammar."""
    root = parser.parse(text.encode("utf-8", "replace")).root_node
    nodes = list(root.children)[:-1]
    return sum(not node.has_error for node in nodes), len(nodes)


EXPORT = CodeEvaluation
