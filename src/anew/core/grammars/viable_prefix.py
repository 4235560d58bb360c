"""Whether the beginning of a program can go on to one that parses: the viable-prefix property of parsers that read from left to right.

Python is asked for by its own parser, which says that input is incomplete; other languages by tree-sitter, which logs the token at which
an error was found: where that is the end of the text, what precedes it is a beginning of some program.

As in Picard (arXiv 2109.05093), beginnings are checked while they grow. Their last word may not be complete, so it is also tried as
part of another one.
"""

from __future__ import annotations

import ast
import keyword
import re
import token
import warnings
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from typing import Any, cast

from anew.core.deadline import uninterrupted
from anew.core.grammars.lexis import lexis_of
from anew.core.grammars.names import tree_parser, with_line_end

INCOMPLETE = "incomplete input"
# PyCF_ALLOW_INCOMPLETE_INPUT, with which Python's own `codeop` compiles; `ast` does not name it.
ALLOW_INCOMPLETE = 0x4000
NEVER_ENDS = " \\\n"  # a line that goes on, at which the text ends: so it is never complete, and no tree is made
# What may follow the white space at the beginning of a line. The last five only continue an expression in brackets
BEGINNINGS = ("x", " x", "else:", "except:", "finally:", "elif x:", "case x:", "def x", ")", "]", "}", ",", "+")
NAME_REST = "_"  # what a name may go on with
_WORD = re.compile(r"\w+\Z")
_MARKS = re.compile(r"[^\w\s]+\Z")


class Grammar(ABC):
    """A language's grammar, asked about beginnings of programs that grow.

    Args:
        words, marks: Its keywords and operators.
        spellings: Spellings of the tokens of programs. Operators that one token spells are never split between two tokens.
    """

    def __init__(self, name: str, words: Iterable[str], marks: Iterable[str], spellings: Iterable[bytes]) -> None:
        whole = {spelling.strip() for spelling in spellings}
        self._words = sorted(words)
        self._split_marks = sorted(mark for mark in marks if mark.encode() not in whole)
        comments = ((mark, "\n") for mark in lexis_of(name).line_comments)
        self._comments = [
            (mark, closer) for mark, closer in (*comments, *lexis_of(name).block_comments) if len(mark) > 1
        ]

    def rest_of(self, text: str, closer: str = "") -> str | None:
        """A continuation of the last word, operator, string or white space of `text` with which some program begins; NAME_REST for
        any letter. None if no program does.

        closer: the mark that closes the string that it ends in."""
        rests = iter((closer,)) if closer else self._rests(text)
        return next((rest for rest in rests if self._is_viable(text, rest)), None)

    @abstractmethod
    def is_complete(self, text: str) -> bool:
        """Whether `text` is a program."""

    @abstractmethod
    def _is_viable(self, text: str, rest: str) -> bool:
        """Whether some program begins with `text + rest` and goes on with a further token."""

    def _rests(self, text: str) -> Iterator[str]:
        """Possible continuations of the end of a text, the likeliest first."""
        if word := _WORD.search(text):
            yield from (NAME_REST, "")
            yield from _longer(word.group(), self._words)
        elif marks := _MARKS.search(text):
            yield ""
            yield from _longer(marks.group(), self._split_marks)
            for mark, closer in self._comments:
                if text.endswith(mark[:-1]):
                    yield mark[-1] + closer


class PythonGrammar(Grammar):
    """Python's own."""

    def __init__(self, spellings: Iterable[bytes]) -> None:
        super().__init__("python", (*keyword.kwlist, *keyword.softkwlist), token.EXACT_TOKEN_TYPES, spellings)

    def is_complete(self, text: str) -> bool:
        return _python_error(text + "\n") is None

    def _is_viable(self, text: str, rest: str) -> bool:
        return _python_error(text + rest + NEVER_ENDS) == INCOMPLETE

    def _rests(self, text: str) -> Iterator[str]:
        line = text[text.rfind("\n") + 1 :]
        if line and not line.strip():
            yield from BEGINNINGS
            return
        yield from super()._rests(text)
        yield "0" if _WORD.search(text) else ""  # the rest of a number


def _python_error(text: str) -> str | None:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # odd escapes and comparisons are not errors
            compile(text, "", "exec", ALLOW_INCOMPLETE | ast.PyCF_ONLY_AST, dont_inherit=True)
    except SyntaxError as error:
        return error.msg
    except (ValueError, RecursionError, MemoryError) as error:
        return str(error)
    return None


class TreeGrammar(Grammar):
    """One of tree-sitter's, for one program that grows: what has not changed is not parsed again.

    Args:
        name: See `anew.core.grammars.names`.
        spellings: See `Grammar`.

    Raises:
        DataError: The package of grammars is not installed, or has no such grammar.
    """

    def __init__(self, name: str, spellings: Iterable[bytes]) -> None:
        self._parser = cast(Any, tree_parser(name))
        language = self._parser.language
        kinds = {language.node_kind_for_id(number) or "" for number in range(language.node_kind_count)}
        words = (kind for kind in kinds if kind.isidentifier())
        super().__init__(name, words, filter(_MARKS.fullmatch, kinds), spellings)
        self._name = name
        self._last: tuple[bytes, Any] | None = None  # a text, and the tree of it and its rest

    def is_complete(self, text: str) -> bool:
        program = with_line_end(self._name, text.encode("utf-8", "replace"))
        return not self._parser.parse(program).root_node.has_error

    def _is_viable(self, text: str, rest: str) -> bool:
        known, both = (part.encode("utf-8", "replace") for part in (text, text + rest))
        log = _ErrorLog(both)
        both = with_line_end(self._name, both)
        tree = self._logged_tree(both, log)
        if log.is_at_end:
            self._last = known, (tree, both)
        return log.is_at_end

    def _logged_tree(self, text: bytes, log: _ErrorLog) -> object:
        """The tree of a text, whose parsing is logged."""
        self._parser.logger = log
        try:
            # Tree-sitter does not look at what is raised within its logger, and calls it again
            with uninterrupted():
                return self._parser.parse(text, *self._earlier(text))
        except SystemError as error:
            raise _first_cause(error) from None  # Ctrl-C
        finally:
            self._parser.logger = None

    def _earlier(self, text: bytes) -> tuple[Any, ...]:
        """The tree of a text that this one goes on from, with what has changed marked in it; nothing without."""
        if self._last is None or not text.startswith(self._last[0]):
            return ()
        known, (tree, both) = self._last
        tree = tree.copy()
        tree.edit(len(known), len(both), len(text), *map(_point, (known, both, text)))
        return (tree,)

    def _rests(self, text: str) -> Iterator[str]:
        yield from super()._rests(text)
        if not _WORD.search(text) and not _MARKS.search(text):
            yield ""
        yield from ("", "x", " x", "0", "x>")


def _first_cause(error: BaseException) -> BaseException:
    while error.__cause__ is not None:
        error = error.__cause__
    return error


def _point(text: bytes) -> tuple[int, int]:
    """Row and column of the end of a text."""
    return text.count(b"\n"), len(text) - text.rfind(b"\n") - 1


class _ErrorLog:
    """Reads what a parser logs, up to its first error: several readings of a text may be tried, and each may end in one.

    Scanners of some grammars give tokens without a character, such as empty words, also where the text ends.

    Attributes:
        is_at_end: Whether there was none, or one of the readings came to the end of the text.
    """

    __slots__ = ("_ends", "_has_recovered", "_is_empty", "_place", "_reached_end")

    def __init__(self, text: bytes) -> None:
        self._reached_end = self._has_recovered = self._is_empty = False
        row, column = _point(text)
        # The white space before the end is not a character of a token, either
        blanks = column - len(text[len(text) - column :].rstrip())
        self._ends = tuple(f"row:{row}, column:{column - before}" for before in range(blanks + 1))
        self._place = ""

    def __call__(self, kind: object, message: str) -> None:
        if self._has_recovered:
            return
        if message.startswith("lex_"):
            self._place = message
        elif message.startswith("lexed"):
            self._is_empty = message.endswith("size:0")
        elif message.startswith("detect_error"):
            is_empty = self._is_empty and self._place.endswith(self._ends)
            self._reached_end |= is_empty or message.endswith("lookahead:end")
        elif message.startswith("resume"):
            self._has_recovered = True

    @property
    def is_at_end(self) -> bool:
        return self._reached_end or not self._has_recovered


def _longer(beginning: str, texts: Iterable[str]) -> Iterator[str]:
    """Continuations of texts that begin so."""
    return (text[len(beginning) :] for text in texts if text.startswith(beginning) and text != beginning)


def grammar_of(name: str, spellings: Iterable[bytes]) -> Grammar:
    """The grammar of this name. Raises DataError if it is not available."""
    return PythonGrammar(spellings) if name == "python" else TreeGrammar(name, spellings)
