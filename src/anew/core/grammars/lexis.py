"""Where a program's strings and comments are: enough to tell code from text, not to parse it.

Mistakes do little harm, since tokens drawn in a string are compared with training text that is read by the same rules.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

# The construct that contains the next byte of a program
CODE, STRING, COMMENT = 0, 1, 2
NUM_STATES = 3


class Construct(NamedTuple):
    """A string or a comment.

    Attributes:
        state: What it is.
        start, stop: Its first byte, and the one after its last; a stop of -1: it has not ended.
        opener, closer: The marks around it; no closer where the end of the line ends it.
    """

    state: int
    start: int
    stop: int
    opener: bytes
    closer: bytes


@dataclass(frozen=True)
class Lexis:
    """The marks of a language around strings and comments.

    Attributes:
        line_comments: Beginnings of comments that end with their line.
        block_comments: Beginnings and ends of other comments.
        quotes: Marks around strings that end with their line at the latest.
        long_quotes: Beginnings and ends of other strings.
        tags: Beginning and end of a stretch of code, where files may also hold text that is none; () where all of a file is code.
    """

    line_comments: tuple[str, ...] = ()
    block_comments: tuple[tuple[str, str], ...] = ()
    quotes: tuple[str, ...] = ()
    long_quotes: tuple[tuple[str, str], ...] = ()
    tags: tuple[str, str] | tuple[()] = ()

    @cached_property
    def _marks(self) -> list[tuple[bytes, int, bytes, re.Pattern[bytes]]]:
        """For each opening mark, the longest first: its pattern, the state, the closing mark, and a pattern up to its end."""
        marks = [(mark, COMMENT, "", r"[^\n]*(?=\n)") for mark in self.line_comments]
        marks += [(mark, COMMENT, closer, f"(?s:.*?){_pattern(closer)}") for mark, closer in self.block_comments]
        marks += [(mark, STRING, mark, rf"(?s:\\.|[^\\\n{mark}])*(?:{mark}|(?=\n))") for mark in self.quotes]
        marks += [(mark, STRING, closer, rf"(?s:\\.|[^\\])*?{_pattern(closer)}") for mark, closer in self.long_quotes]
        return [
            (_pattern(mark).encode(), state, closer.encode(), re.compile(pattern.encode()))
            for mark, state, closer, pattern in sorted(marks, key=lambda entry: -len(entry[0]))
        ]

    @cached_property
    def _openers(self) -> re.Pattern[bytes]:
        return re.compile(b"|".join(b"(" + mark + b")" for mark, *_ in self._marks))

    @property
    def is_empty(self) -> bool:
        return not self._marks

    def constructs(self, text: bytes) -> Iterator[Construct]:
        """The strings and comments of a text that begins in code, in their order."""
        position = 0
        while self._marks and (match := self._openers.search(text, position)) is not None:
            _, state, closer, pattern = self._marks[(match.lastindex or 1) - 1]
            end = pattern.match(text, match.end())
            yield Construct(state, match.start(), -1 if end is None else end.end(), match.group(), closer)
            if end is None:
                return
            position = end.end()

    def opening_after(self, text: bytes) -> bytes:
        """What has to precede the code that follows a text, to be read without that text: the opening tag that it ends within, or b""."""
        if not self.tags:
            return b""
        opening, closing = (tag.encode() for tag in self.tags)
        return opening + b" " if text.rfind(opening) > text.rfind(closing) else b""

    def without_comments(self, text: bytes) -> bytes:
        """A text that begins in code, with a blank in the place of each comment that has ended."""
        pieces, start = [], 0
        for construct in self.constructs(text):
            if construct.state == COMMENT and construct.stop >= 0:
                pieces += [text[start : construct.start], b" " if construct.closer else b""]
                start = construct.stop
        return b"".join((*pieces, text[start:]))


def _pattern(mark: str) -> str:
    """A pattern of a mark. In shells and other languages, words may contain `#`. In brackets, `=` may be repeated."""
    pattern = re.escape(mark).replace("\\[=\\[", r"\[=*\[").replace("\\]=\\]", r"\]=*\]")
    return rf"(?<!\S){pattern}" if mark == "#" else pattern


class LexicalState:
    """The lexical state after the part of a program that has been read. It begins in code.

    Attributes:
        state: Construct that contains the next byte.
        opener, closer: The marks around the string or comment that it is in; b"" for none, or for the end of the line.
    """

    __slots__ = ("_lexis", "_unsure", "closer", "opener", "state")

    def __init__(self, lexis: Lexis) -> None:
        self._lexis = lexis
        self._unsure = b""  # what was read since the last line end in code: later bytes may change what it is
        self.state, self.opener, self.closer = CODE, b"", b""

    def after(self, text: bytes) -> LexicalState:
        """The state after bytes that follow those read so far."""
        after, text, stop = LexicalState(self._lexis), self._unsure + text, 0
        for construct in self._lexis.constructs(text):
            if construct.stop < 0:
                after.state, after.opener, after.closer = construct.state, construct.opener, construct.closer
                after._unsure = text[construct.start :]
                return after
            stop = construct.stop
        # The whole last line is read again: a second quote in it may end a string, or be the second of three
        line = text.rfind(b"\n") + 1
        after._unsure = text[line if line > stop or b"\n" not in text[:stop] else stop :]
        return after


_C = Lexis(("//",), (("/*", "*/"),), ('"', "'"))
_HASH = Lexis(("#",), (), (), (('"', '"'), ("'", "'")))
_LISP = Lexis((";",), (("#|", "|#"),), (), (('"', '"'),))
_ML = Lexis((), (("(*", "*)"),), (), (('"', '"'),))
_TRIPLE = (('"""', '"""'), ("'''", "'''"))
_SCRIPT = Lexis(("//",), (("/*", "*/"),), ('"', "'"), (("`", "`"),))
_TRIPLE_C = Lexis(("//",), (("/*", "*/"),), ('"', "'"), (('"""', '"""'),))
_MARKUP = Lexis((), (("<!--", "-->"),))
_LEXES = {
    "python": Lexis(("#",), (), ('"', "'"), _TRIPLE),
    "c": _C,
    "cpp": _C,
    "objc": _C,
    "csharp": _C,
    "java": _TRIPLE_C,
    "kotlin": _TRIPLE_C,
    "scala": _TRIPLE_C,
    "swift": _TRIPLE_C,
    "dart": Lexis(("//",), (("/*", "*/"),), ('"', "'"), _TRIPLE),
    "javascript": _SCRIPT,
    "typescript": _SCRIPT,
    "tsx": _SCRIPT,
    "go": _SCRIPT,
    "rust": Lexis(("//",), (("/*", "*/"),), (), (('"', '"'),)),
    "zig": Lexis(("//",), (), ('"',)),
    # `#[` begins an attribute
    "php": Lexis(("//", "# "), (("/*", "*/"),), (), (('"', '"'), ("'", "'")), ("<?php", "?>")),
    "css": Lexis((), (("/*", "*/"),), ('"', "'")),
    "scss": _C,
    "verilog": Lexis(("//",), (("/*", "*/"),), ('"',)),
    "ruby": _HASH,
    "perl": _HASH,
    "r": _HASH,
    "bash": _HASH,
    "fish": _HASH,
    "julia": Lexis(("#",), (("#=", "=#"),), (), (('"""', '"""'), ('"', '"'))),
    "elixir": Lexis(("#",), (), (), (('"""', '"""'), ('"', '"'))),
    "powershell": Lexis(("#",), (("<#", "#>"),), (), (('"', '"'), ("'", "'"))),
    "yaml": Lexis(("#",), (), ('"',)),
    "toml": Lexis(("#",), (), ('"', "'"), _TRIPLE),
    "cmake": Lexis(("#",), (("#[=[", "]=]"),), (), (('"', '"'),)),
    "nim": Lexis(("#",), (("#[", "]#"),), ('"',), (('"""', '"""'),)),
    "lua": Lexis(("--",), (("--[=[", "]=]"),), ('"', "'"), (("[=[", "]=]"),)),
    "sql": Lexis(("--",), (("/*", "*/"),), (), (("'", "'"),)),
    "haskell": Lexis(("--",), (("{-", "-}"),), ('"',)),
    "vhdl": Lexis(("--",), (), ('"',)),
    "ocaml": _ML,
    "ocaml_interface": _ML,
    "pascal": Lexis(("//",), (("(*", "*)"), ("{", "}")), ("'",)),
    "commonlisp": _LISP,
    "elisp": _LISP,
    "scheme": _LISP,
    "clojure": _LISP,
    "erlang": Lexis(("%",), (), (), (('"', '"'),)),
    "fortran": Lexis(("!",), (), ('"', "'")),
    "html": _MARKUP,
    "xml": _MARKUP,
    "json": Lexis((), (), ('"',)),
}


def lexis_of(grammar: str) -> Lexis:
    """The marks of a language, by the name of its grammar; none where they are not known."""
    return _LEXES.get(grammar, Lexis())
