"""Evaluation of programs: the metrics of text, and whether samples parse, judged by parsers.

A sample of a run may end anywhere, so its last block says nothing; of whole files it counts. Each block (a statement, function or
class at the outermost level) counts by the length of its code, without spaces; comments, which parse whatever follows, do not
count. Held-out files, cut to the same lengths if samples are, are the real baseline. If the data has several kinds of file, such as .ml and
.mli, each text, real or generated, is judged by the grammar by which most of it parses.
"""

from __future__ import annotations

import ast
import itertools
import re
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import numpy as np

from anew.core.arrays import Numbers
from anew.core.grammars.names import grammar_of_suffix, tree_parser, with_line_end
from anew.core.wording import listed
from anew.data.formats.text.passage_ends import passage_end
from anew.errors import DataError
from anew.evaluation.measure import Measure
from anew.evaluation.metrics.bootstrap import ratio_interval
from anew.evaluation.metrics.shares import share_score
from anew.evaluation.modalities.text import MAX_READ_CHARACTERS, TextEvaluation
from anew.evaluation.parts_of_texts import MIN_COUNTED_TEXTS
from anew.evaluation.score import USUALLY_ENOUGH_ITEMS, MetricSpec, Score, Tolerance, bounded_spec

PARSE_SHARE = bounded_spec(
    "parse_share",
    "Parses",
    "Share of generated code, without comments, in statements, functions and classes that parse.",
    Tolerance(
        "closeness",
        small=0.1,
        large=0.4,
        clause="{value:.0%} of the code is in statements, functions and classes that parse (real data: {real:.0%})",
        relative=True,
        least=20,
        least_to_pass=150,
    ),
    better="higher",
)
WHOLE_SHARE = bounded_spec(
    "whole_parse_share",
    "Programs parse",
    "Share of generated programs that parse as a whole.",
    Tolerance(
        "closeness",
        small=0.1,
        large=0.4,
        clause="{value:.0%} of the programs parse as a whole (real data: {real:.0%})",
        relative=True,
        least=50,
        least_to_pass=USUALLY_ENOUGH_ITEMS,
    ),
    better="higher",
)
BRACKET_SHARE = bounded_spec(
    "bracket_share",
    "Brackets close",
    "Share of generated code in outermost blocks whose brackets close in the right order, for languages without a grammar.",
    Tolerance(
        "closeness",
        small=0.1,
        large=0.4,
        clause="{value:.0%} of the code is in blocks whose brackets close (real data: {real:.0%})",
        relative=True,
        least=20,
        least_to_pass=150,
    ),
    better="higher",
)
# Least share of held-out code that must parse for the figure to mean anything: of programs in another language with the same suffix (Prolog
# read as Perl) 6% did; chosen
MIN_REAL_SHARE = 0.5
PREPROCESSED = ("c", "cpp", "objc")  # grammars that read `#if`
BRACKETS = {"(": ")", "[": "]", "{": "}"}
_CLAUSE = re.compile(r"(?:else|elif|except|finally)\b")  # of Python: continues the statement before
MAX_JOINED = 40  # blocks that a string may extend over: a long docstring has that many paragraphs at the left edge
# For each block of a program, the number of its characters that parse, and of all its characters
Blocks = list[tuple[int, int]]
Judge = Callable[[str, bool], Blocks]  # (program, whether its last block is whole) -> its blocks


class CodeEvaluation(TextEvaluation):
    """Metrics of text, and the share of blocks that parse."""

    noun = "source files"

    def text_metrics(self) -> dict[str, Measure]:
        return {"the share that parses": Measure(self._parsing), **super().text_metrics()}

    def _parsing(self) -> Iterator[Score]:
        samples = [str(text) for text in self.inputs.samples if text]
        if not samples:
            return
        held_out = self._held_out_files(np.random.default_rng(self.inputs.seed), len(samples))
        if not held_out:
            self.note_not_measured("the share that parses", "there is no held-out code")
            return
        kinds = self._kinds()
        judge = self._judge(kinds)
        are_whole, cut = self._compared.are_whole_texts, ""
        if not are_whole:
            samples = list(map(_whole_lines, samples))
            held_out = [_whole_lines(text[: len(samples[i % len(samples)])]) for i, text in enumerate(held_out)]
            cut = ", cut alike; the last block of each is left out"
        unit_clause = f"characters of code in the outermost blocks of {len(samples)} samples; real: held-out files{cut}"
        real_blocks = [] if judge is None else [judge(text, are_whole) for text in held_out]
        if judge is None or not self._fits(_sums(real_blocks), kinds):
            blocks, real_blocks = ([judge_brackets(text, are_whole) for text in part] for part in (samples, held_out))
            if _share_of(_sums(real_blocks)) >= MIN_REAL_SHARE:
                yield from self._share(BRACKET_SHARE, _rows(blocks), _rows(real_blocks), unit_clause)
            return
        blocks = [judge(text, are_whole) for text in samples]
        yield from self._share(PARSE_SHARE, _rows(blocks), _rows(real_blocks), unit_clause)
        yield from _whole_programs(_sums(blocks), _sums(real_blocks), cut)

    def _kinds(self) -> tuple[str, ...]:
        """The suffixes of the data whose grammars judge its programs."""
        modality = self.inputs.modality
        return tuple(getattr(modality, "kinds", ())) or (str(getattr(modality, "suffix", "")),)

    def _fits(self, real_rows: Numbers, kinds: Sequence[str]) -> bool:
        """Whether held-out programs parse by a grammar that their suffixes stand for; says so if not.

        real_rows: (n, 2) characters that parse, and all characters, of each."""
        share = _share_of(real_rows)
        if share >= MIN_REAL_SHARE:
            return True
        names = _grammars_of(kinds)
        subject = f"the grammar of {names[0]} does" if len(names) == 1 else f"the grammars of {listed(names)} do"
        self.note_not_measured(
            "the share that parses", f"{subject} not fit: {share:.0%} of held-out {listed(kinds)} code parses"
        )
        return False

    def _share(self, spec: MetricSpec, rows: Numbers, real_rows: Numbers, unit_clause: str) -> Iterator[Score]:
        """Yield the score of the share of units that parse.

        Args:
            rows: (n, 2) units that parse, and all units, of each generated text, or of each block of few texts.
            real_rows: (m, 2) the same of held-out texts.
            unit_clause: Description of the units, a clause for the score's source.
        """
        size, real_size = int(rows[:, 1].sum()), int(real_rows[:, 1].sum())
        if not size:
            self.note_not_measured(spec.title, "no sample holds a complete one")
            return
        low, high = ratio_interval(rows[:, 0], rows[:, 1] + 1e-9, self.inputs.seed)
        yield Score(
            spec,
            float(rows[:, 0].sum() / size),
            low=low,
            high=high,
            real_baseline=float(real_rows[:, 0].sum() / real_size) if real_size else None,
            n=int((rows[:, 1] > 0).sum()),
            source=f"{size:,} {unit_clause}",
        )

    def _held_out_files(self, rng: np.random.Generator, n: int) -> list[str]:
        """`n` held-out files in random order, each from its beginning, as samples are."""
        texts = self._part("test", MAX_READ_CHARACTERS)
        return [texts[i] for i in rng.permutation(len(texts))[:n]]

    def _judge(self, kinds: Sequence[str]) -> Judge | None:
        """Judges a text by the grammar, of those of these suffixes, by which most of it parses. None without any: says why."""
        names = _grammars_of(kinds)
        if not names:
            self.note_not_measured("the share that parses", f"there is no grammar for {listed(kinds)} files")
            return None
        judges, reasons = [], []
        for name in names:
            try:
                judges.append(_judge_by(name))
            except DataError as error:
                reasons.append(str(error))
        if not judges:
            self.note_not_measured("the share that parses", reasons[0])
            return None
        return lambda text, is_whole: max(
            (judge(text, is_whole) for judge in judges), key=lambda blocks: _share_of(_sums([blocks]))
        )


def _grammars_of(kinds: Sequence[str]) -> list[str]:
    """The grammars of these suffixes, each once."""
    names = map(grammar_of_suffix, kinds)
    return list(dict.fromkeys(name for name in names if name is not None))


def _judge_by(name: str) -> Judge:
    """A judge by one grammar. Raises DataError if it is not available."""
    if name == "python":
        return judge_python
    parser: Any = tree_parser(name)

    def judge(text: str, is_whole: bool) -> Blocks:
        program = without_open_guards(text) if name in PREPROCESSED else text
        return judge_tree(parser, with_line_end(name, program.encode("utf-8", "replace")), is_whole)

    return judge


def _whole_lines(text: str) -> str:
    """A text without the last line if that may be cut off: samples of the usual length end with a whole line."""
    return text[: passage_end(text, only_lines=True)]


def _array(rows: Iterable[tuple[int, int]]) -> Numbers:
    """(n, 2) units that parse, and all units."""
    return np.array(list(rows), dtype=np.float64).reshape(-1, 2)


def _sums(programs: Iterable[Blocks]) -> Numbers:
    """(n, 2) characters that parse, and all characters, of each program."""
    return _array((sum(good for good, _ in blocks), sum(size for _, size in blocks)) for blocks in programs)


def _share_of(rows: Numbers) -> float:
    """The share that parses of programs (n, 2), see `_sums`; 0 if there is nothing to judge, as where one error takes up all of them."""
    good, size = rows.sum(axis=0).tolist()
    return float(good / size) if size else 0.0


def _rows(programs: Sequence[Blocks]) -> Numbers:
    """(n, 2) characters that parse, and all characters, of each program, or of each block of few programs."""
    return _sums(programs) if len(programs) >= MIN_COUNTED_TEXTS else _array(itertools.chain(*programs))


def _whole_programs(rows: Numbers, real_rows: Numbers, cut: str) -> Iterator[Score]:
    """Yield the share of texts of which every block parses.

    Args:
        rows, real_rows: (n, 2) characters that parse, and all characters, of each text.
        cut: How texts were cut, a clause; "" if they are whole.
    """
    whole, real_whole = (part[part[:, 1] > 0, 0] == part[part[:, 1] > 0, 1] for part in (rows, real_rows))
    if len(whole) and len(real_whole):
        source = f"{len(whole):,} programs with a block to judge; real: held-out files{cut}"
        yield share_score(WHOLE_SHARE, whole, real_whole, source)


def judge_python(text: str, is_whole: bool) -> Blocks:
    """Characters of code of each outermost block of a piece of Python: those that parse, and all. The last block counts if the
    text is whole."""
    blocks = python_blocks(text)
    sizes = [(block, _code_size(block)) for block in (blocks if is_whole else blocks[:-1])]
    return [(size if size and _parses(block) else 0, size) for block, size in sizes]


def _code_size(block: str) -> int:
    """Characters of a block of Python without spaces and lines of comments."""
    return sum(len("".join(line.split())) for line in block.split("\n") if not line.lstrip().startswith("#"))


def python_blocks(text: str) -> list[str]:
    """Cut a piece of Python before each line at the left edge that can begin a statement."""
    blocks: list[list[str]] = []
    for line in text.split("\n"):
        # A closing bracket, `else` and the like continue the statement before; the parser decides whether they fit it.
        is_continuation = not line.strip() or line[0] in " \t)]}#" or _CLAUSE.match(line) is not None
        follows_decorator = bool(blocks) and blocks[-1][-1].startswith("@")
        if blocks and (is_continuation or follows_decorator):
            blocks[-1].append(line)
        else:
            blocks.append([line])
    return _rejoin(["\n".join(block) for block in blocks if any(line.strip() for line in block)])


def _rejoin(blocks: Sequence[str]) -> list[str]:
    """Join blocks that parse only together, such as the parts of a long string."""
    rejoined: list[str] = []
    start = 0
    while start < len(blocks):
        stop = start + 1
        if not _parses(blocks[start]) and any(quotes in blocks[start] for quotes in ('"""', "'''")):
            stops = range(start + 2, min(start + MAX_JOINED, len(blocks)) + 1)
            stop = next((end for end in stops if _parses("\n".join(blocks[start:end]))), stop)
        rejoined.append("\n".join(blocks[start:stop]))
        start = stop
    return rejoined


def _parses(block: str) -> bool:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # odd escapes and comparisons are not errors
            ast.parse(block)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False
    return True


def judge_tree(parser: Any, program: bytes, is_whole: bool) -> Blocks:
    """The same as `judge_python` for nodes at the outermost level by a tree-sitter grammar.

    Neighbours of an error do not count as parsing either: from broken code, a grammar recovers pieces that nobody meant.
    """
    children = parser.parse(program).root_node.children
    nodes = [node for node in children if node.is_error or node.is_missing or not node.is_extra]  # no comments
    nodes = nodes if is_whole else nodes[:-1]
    is_error = [False, *(node.is_error or node.is_missing for node in nodes), False]
    blocks = []
    for index, node in enumerate(nodes):
        # Loose tokens, as `{` and the name of a block that was cut off, are not statements.
        is_statement = node.is_named and node.child_count > 0
        if node.is_error or is_statement:
            size = len(b"".join(program[node.start_byte : node.end_byte].split()))
            blocks.append((0 if node.has_error or any(is_error[index : index + 3]) else size, size))
    return blocks


def judge_brackets(text: str, is_whole: bool) -> Blocks:
    """The same as `judge_python` where no grammar is known: blocks begin at the left edge after an empty line, and those count whose
    brackets close in the right order. Brackets in strings and comments are wrong in real code as often as in samples."""
    blocks: list[list[str]] = []
    is_after_gap = True
    for line in text.split("\n"):
        if line.strip() and is_after_gap and line[0] not in " \t)]}":
            blocks.append([])
        is_after_gap = not line.strip()
        if blocks:
            blocks[-1].append(line)
    sizes = [("".join(block), len("".join("".join(block).split()))) for block in blocks]
    return [(size if _brackets_close(block) else 0, size) for block, size in (sizes if is_whole else sizes[:-1])]


def _brackets_close(block: str) -> bool:
    """Whether each bracket of a block closes the one that was opened last."""
    opened: list[str] = []
    for bracket in re.findall(r"[()\[\]{}]", block):
        if bracket in BRACKETS:
            opened.append(BRACKETS[bracket])
        elif not opened or opened.pop() != bracket:
            return False
    return not opened


def without_open_guards(text: str) -> str:
    """A piece of C without the lines of `#if` blocks that do not end in it, such as the guard around a whole header."""
    lines = text.split("\n")
    open_blocks: list[list[int]] = []
    for index, line in enumerate(lines):
        directive = re.match(r"\s*#\s*(if|el|endif)", line)
        if directive and directive[1] == "if":
            open_blocks.append([index])
        elif directive and open_blocks:
            if directive[1] == "el":
                open_blocks[-1].append(index)
            else:
                open_blocks.pop()
    for index in itertools.chain(*open_blocks):
        lines[index] = ""
    return "\n".join(lines)


EXPORT = CodeEvaluation
