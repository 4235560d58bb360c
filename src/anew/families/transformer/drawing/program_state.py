"""Where samples are in their programs, and which tokens may come next; see `ProgramLimit`.

Legend for shapes: n samples, k of them, V vocabulary, S states of a program.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Protocol

import numpy as np

from anew.core.arrays import Doubles, Floats, Ints
from anew.core.grammars.lexis import CODE, COMMENT, STRING, LexicalState, Lexis
from anew.core.grammars.viable_prefix import NAME_REST, Grammar
from anew.core.splitmix import splitmix64
from anew.functional import token_choice

# Tokens that are tried at a place. If the grammar accepts none, the first is taken, and it is not asked until the next part begins
MAX_TRIES = 128
# Tokens that are refused one by one. After so many, few can follow, so with each refused token go all that begin like it, by the shortest
# beginning of at most so many bytes that the grammar refuses by itself
SINGLE_TRIES, MAX_BEGINNING = 6, 3
# The line end before a part: a line at the left edge whose first word is whole and does not go on with the part before it
_PART = re.compile(rb"\n(?=[^\s)\]}#])(?!(?:else|elif|except|finally|end|fi|done|esac|then|do)\b)(?=\w*\W)")
_WORD = re.compile(rb"\w+\Z")
NO_TOKEN = -1


class Language(Protocol):
    """The common part of programs; see `ProgramLimit`."""

    spellings: Sequence[bytes]
    end_id: int
    gap_ids: frozenset[int]

    @property
    def lexis(self) -> Lexis: ...

    def lifts(self, token: int) -> Floats: ...

    def beginning_with(self, beginning: bytes) -> Ints: ...


class Program:
    """A program that is drawn token by token. Until the end of another document was read, it is not known where it begins.

    Args:
        language: The common part of all programs.
        grammar: One that no other program uses; None to ask none.
    """

    __slots__ = (
        "_grammar",
        "_is_free",
        "_is_known",
        "_is_name",
        "_lexical",
        "_name_token",
        "_text",
        "_token",
        "language",
    )

    def __init__(self, language: Language, grammar: Grammar | None) -> None:
        self.language, self._grammar = language, grammar
        self._lexical = LexicalState(language.lexis)
        self._text = b""  # the part that is not complete yet, without comments
        self._token = NO_TOKEN
        # Whether the text is the beginning of a part; whether any letter may follow, and the token after which it may
        self._is_known, self._is_name, self._name_token = False, False, NO_TOKEN
        self._is_free = False  # it has ended, or is not a text from its beginning to its end

    def is_usual(self, token: int, uniform: float) -> bool:
        """Whether a token is accepted in what the program is in: a string, a comment, or code. uniform: in [0, 1), which decides."""
        in_line_comment = self._lexical.state == COMMENT and not self._lexical.closer
        if self._is_free or self._token == NO_TOKEN or token == self.language.end_id or in_line_comment:
            return True
        return uniform <= float(self.language.lifts(self._token)[self._lexical.state, token])

    def accepts(self, token: int) -> bool:
        """Whether the grammar accepts a token next: any where there is none, or where it is not known how the program begins."""
        if self._is_free or not self._is_known or self._grammar is None:
            return True
        if token == self.language.end_id:
            return self._lexical.state == CODE and self._grammar.is_complete(_decoded(self._text))
        return self._can_spell(self.language.spellings[token], token)

    def refused_beginning(self, token: int) -> bytes:
        """The shortest beginning of a token that the grammar refuses: with it, all tokens that begin so."""
        spelling = self.language.spellings[token]
        sizes = range(1, 1 + min(len(spelling), MAX_BEGINNING))
        return next((spelling[:size] for size in sizes if not self._can_spell(spelling[:size])), spelling)

    def _can_spell(self, spelling: bytes, token: int = NO_TOKEN) -> bool:
        """Whether the grammar accepts these bytes next. token: the one that they are."""
        before = self._lexical
        if before.state == CODE and self._is_name and _WORD.match(spelling):
            return True
        after = before.after(spelling)
        is_within = before.state == STRING and (after.state, after.opener) == (STRING, before.opener)
        if after.state == COMMENT or is_within:
            return True
        closer = after.closer.decode() if after.state == STRING else ""
        assert self._grammar is not None
        rest = self._grammar.rest_of(_decoded(self._text + spelling), closer)
        self._name_token = token if rest == NAME_REST else NO_TOKEN
        return rest is not None

    def begins_comment(self, token: int) -> bool:
        """Whether a token of code begins a comment."""
        is_text = not self._is_free and token != self.language.end_id and self._lexical.state == CODE
        return is_text and self._lexical.after(self.language.spellings[token]).state == COMMENT

    def give_up(self) -> None:
        """Accept any text, until the next part begins."""
        self._is_known = False

    def observe(self, token: int) -> None:
        """Read the next token."""
        if self._is_free:
            return
        self._token = token
        if token == self.language.end_id:
            self._is_free, self._is_known = bool(self._text), True
            return
        if token in self.language.gap_ids:
            self._is_free = True
            return
        spelling, state = self.language.spellings[token], self._lexical.state
        self._lexical = self._lexical.after(spelling)
        self._text += spelling
        self._is_name = token == self._name_token or (self._is_name and bool(_WORD.match(spelling)))
        if state == COMMENT and self._lexical.state != COMMENT:
            self._text = self.language.lexis.without_comments(self._text)
        if self._lexical.state == CODE and b"\n" in self._text:
            self._begin_part()

    def _begin_part(self) -> None:
        """Forget the parts of the program that are complete."""
        starts = _part_starts(self._text)
        if not starts:
            return
        before = _decoded(self._text[: starts[-1]])
        if not self._is_known or self._grammar is None or self._grammar.is_complete(before):
            opening = self.language.lexis.opening_after(self._text[: starts[-1]])
            self._text, self._is_known = opening + self._text[starts[-1] :], True


def _part_starts(text: bytes) -> list[int]:
    """Where parts begin in a text, but for its beginning."""
    return [match.end() for match in _PART.finditer(text)]


def _decoded(text: bytes) -> str:
    return text.decode("utf-8", "ignore")


class ProgramLimitState:
    """The programs of n samples."""

    def __init__(self, programs: Sequence[Program]) -> None:
        self._programs = programs

    def select(self, rows: Ints) -> ProgramLimitState:
        """State of samples (k,) of these, each at most once, by their numbers."""
        return ProgramLimitState([self._programs[row] for row in rows.tolist()])

    def observe(self, tokens: Ints) -> None:
        """Read the tokens (n,) that follow those read so far."""
        for program, token in zip(self._programs, tokens.tolist(), strict=True):
            program.observe(token)

    def refused(self, tokens: Ints, uniforms: Floats) -> Ints:
        """(k,) the samples that must not have these tokens (n,) next. uniforms: (n,) in [0, 1), which decide."""
        decisive = _further_uniforms(uniforms, 0, 1)[:, 0]
        drawn = zip(self._programs, tokens.tolist(), decisive.tolist(), strict=True)
        return np.flatnonzero([not _accepts(*values) for values in drawn])

    def drawn_again(self, rows: Ints, candidates: Floats, weights: Floats, tokens: Ints, uniforms: Floats) -> Ints:
        """(k,) other tokens for these samples (k,), in place of refused ones (k,).

        Args:
            candidates: (k, V) weights by which they are drawn.
            weights: (k, V) those of all tokens, if none of the candidates is accepted.
            uniforms: (k,) in [0, 1), which decide.
        """
        others = np.where(candidates > 0, 0.0, weights)
        numbers = _further_uniforms(uniforms, 1, 2 * MAX_TRIES + 1).reshape(-1, MAX_TRIES, 2)
        values = zip(rows.tolist(), tokens.tolist(), candidates, others, numbers, strict=True)
        return np.array([self._drawn_for(*of_row) for of_row in values], dtype=np.int64)

    def _drawn_for(self, row: int, refused: int, candidates: Floats, others: Floats, numbers: Doubles) -> int:
        """A token for one sample. numbers: (MAX_TRIES, 2) to draw each token by, and to accept it."""
        program, rare = self._programs[row], NO_TOKEN
        weights = candidates.astype(np.float64)
        weights[refused] = others[refused] = 0.0
        for attempt, (draw, decisive) in enumerate(numbers):
            if not weights.any():
                weights, others = others.astype(np.float64), np.zeros_like(others)
            if not weights.any():
                break
            sums = np.cumsum(weights)
            token = int(np.searchsorted(sums, draw * sums[-1], side="right"))
            same_beginning: Ints = np.zeros(0, dtype=np.int64)
            if program.accepts(token):
                # With a comment in the place of each refused token, samples would be comments for the most part
                if program.is_usual(token, decisive) and not program.begins_comment(token):
                    return token
                rare = token if rare == NO_TOKEN else rare
            elif attempt >= SINGLE_TRIES:
                same_beginning = program.language.beginning_with(program.refused_beginning(token))
            weights[token] = others[token] = weights[same_beginning] = others[same_beginning] = 0.0
        if rare != NO_TOKEN:
            return rare
        program.give_up()
        return refused


def drawn_tokens(
    candidates: Floats, uniform: Floats, programs: ProgramLimitState | None, weights: Floats | None
) -> Ints:
    """(n,) tokens by the weights (n, V) that are left after the cuts.

    Args:
        uniform: (n,) in [0, 1), which decide.
        programs: The limit of the samples; None for none.
        weights: (n, V) those of all tokens, where there is a limit.
    """
    tokens = token_choice.sample_tokens(candidates, uniform)
    if programs is not None and weights is not None and len(rows := programs.refused(tokens, uniform)):
        tokens[rows] = programs.drawn_again(rows, candidates[rows], weights[rows], tokens[rows], uniform[rows])
    return tokens


def _accepts(program: Program, token: int, uniform: float) -> bool:
    return program.is_usual(token, uniform) and program.accepts(token)


def _further_uniforms(uniforms: Floats, first: int, stop: int) -> Doubles:
    """(n, stop - first) numbers in [0, 1): of the sequence that each uniform number (n,) seeds, those from `first` to `stop`."""
    bits = (uniforms.astype(np.float64) * 2.0**53).astype(np.uint64)
    hashed = splitmix64(bits[:, None] ^ splitmix64(np.arange(first, stop, dtype=np.uint64)))
    return (hashed >> np.uint64(11)).astype(np.float64) / 2.0**53
