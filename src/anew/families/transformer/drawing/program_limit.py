"""Samples of programs parse as far as they go: only tokens are drawn after which a program of the language can still follow.

A model that sees a hundred tokens does not know that a string was opened before them, or a `try:`. So another token is drawn where the
grammar finds an error before the end of the text (as in PICARD, arXiv 2109.05093), where a document would end within a block, and, as
often as the token is rarer there, where training text hardly has it in a string, in a comment or in code after the token before it.

Legend for shapes: V vocabulary, P pairs of tokens, N tokens of a document, S states of a program.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from copy import copy
from typing import NamedTuple

import numpy as np
import torch

from anew.core.arrays import Floats, Int32s, Ints
from anew.core.grammars.lexis import NUM_STATES, Lexis, lexis_of
from anew.core.grammars.viable_prefix import Grammar, grammar_of
from anew.core.specs import GAP_MARKS
from anew.errors import DataError
from anew.families.transformer.drawing.program_state import Program, ProgramLimitState
from anew.families.transformer.fitted_buffers import FittedBuffers

# Pairs of tokens are counted in so many tokens of the training data; chosen.
COUNTED_TOKENS = 1_000_000
# Tokens of training documents at which the grammar is asked, and of each of them; chosen
ASKED_TOKENS, ASKED_OF_DOCUMENT = 4000, 400
# Share of those tokens that may be refused: with more, the grammar does not fit the data, or cannot tell what may follow. Of ten
# languages, those that fit had 0.0012 at most, others 0.006 or more (docs/log.md, 2026-11-30)
MAX_REFUSED = 0.003
PRIOR_COUNT = 2.0  # occurrences as which the shares of a token after any other one count; chosen
INCONSISTENT = "the counts of tokens in code, strings and comments are inconsistent"
LEFT_OUT = "the check that programs parse as far as they go"


class Shares(NamedTuple):
    """How tokens are spread over the states of programs.

    Attributes:
        pairs: (P, 2) tokens that follow each other, in order.
        counts: (P, S) how often the second one is in each state.
        of_states: (S,) the share of all tokens.
        of_tokens: (V, S) those of each token.
    """

    pairs: Ints
    counts: Ints
    of_states: Floats
    of_tokens: Floats


class ProgramLimit(FittedBuffers):
    """How often each token follows each other one in code, strings and comments, as buffers; without any, samples are not limited.

    Args:
        name: The name of the data's grammar; "" for none.
        spellings: (V,) the bytes of each token.
        special: Ids of the symbols that are not part of a text, by name.
    """

    # "parses": (1,) whether the grammar fits the data, and is asked
    dtypes: Mapping[str, torch.dtype] = {"pairs": torch.int32, "counts": torch.int32, "parses": torch.uint8}

    def __init__(self, name: str, spellings: Sequence[bytes], special: Mapping[str, int]) -> None:
        super().__init__()
        self.spellings, self.end_id = spellings, special.get("end", -1)
        self.gap_ids = frozenset(special[mark] for mark in GAP_MARKS if mark in special)
        self._name = name if spellings and "end" in special else ""
        self._beginnings: dict[bytes, Ints] = {}
        self._lifts: dict[int, Floats] = {}
        self._shares: Shares | None = None
        self._grammar: Grammar | None = None

    @property
    def is_fitted(self) -> bool:
        return "counts" in self._buffers

    @property
    def has_grammar(self) -> bool:
        """Whether the data has a grammar, so that there is something to fit."""
        return bool(self._name)

    @property
    def left_out(self) -> tuple[str, ...]:
        return (LEFT_OUT,) if self.is_fitted else ()

    @property
    def lexis(self) -> Lexis:
        """The marks around the strings and comments of the data."""
        return lexis_of(self._name)

    def fit(self, documents: Sequence[Ints]) -> None:
        """Learn from documents (N,) in random order, each after the end token of another one."""
        self.drop_buffers(*self.dtypes)
        if not self.has_grammar:
            return
        try:
            grammar = grammar_of(self._name, self.spellings)
        except DataError:  # the package is not installed where this is trained
            parses = False
        else:
            parses = self._refused_share(documents, grammar) <= MAX_REFUSED
        if parses or not self.lexis.is_empty:
            self.set_buffers({**self._counts(documents), "parses": np.array([parses], dtype=np.uint8)})

    def _counts(self, documents: Iterable[Ints]) -> dict[str, Int32s]:
        num_tokens, remaining = len(self.spellings), COUNTED_TOKENS
        pairs, states = [np.zeros(0, dtype=np.int64)], [np.zeros(0, dtype=np.int64)]
        for document in documents:
            pairs.append(document[:-1] * num_tokens + document[1:])
            states.append(self._states(document)[1:])
            remaining -= len(document)
            if remaining <= 0:
                break
        keys, places = np.unique(np.concatenate(pairs), return_inverse=True)
        counts = np.zeros((len(keys), NUM_STATES), dtype=np.int32)
        np.add.at(counts, (places, np.concatenate(states)), 1)
        return {"pairs": np.stack(np.divmod(keys, num_tokens), 1).astype(np.int32), "counts": counts}

    def _states(self, document: Ints) -> Ints:
        """(N,) the state of the program where each token begins."""
        text = b"".join(self.spellings[token] for token in document.tolist())
        lengths = np.array([len(spelling) for spelling in self.spellings])[document]
        starts = np.cumsum(lengths) - lengths
        states: Ints = np.zeros(len(document), dtype=np.int64)
        for construct in self.lexis.constructs(text):
            # The line end after a comment is drawn within it
            stop = len(text) if construct.stop < 0 else construct.stop + (not construct.closer)
            first, last = np.searchsorted(starts, [construct.start + 1, stop])
            states[first:last] = construct.state
        return states

    def _refused_share(self, documents: Iterable[Ints], grammar: Grammar) -> float:
        """The share of the tokens of programs that the grammar refuses."""
        num_asked = num_refused = 0
        for document in documents:
            program = Program(self, copy(grammar))
            for token in document[:ASKED_OF_DOCUMENT].tolist():
                num_asked += 1
                if not program.accepts(token):
                    num_refused += 1
                    program.give_up()
                program.observe(token)
            if num_asked >= ASKED_TOKENS:
                break
        return num_refused / max(1, num_asked)

    def check(self) -> None:
        if not self.is_fitted:
            return
        arrays = self.arrays()
        if not self.has_grammar or arrays.keys() != self.dtypes.keys() or arrays["parses"].shape != (1,):
            raise ValueError(INCONSISTENT)
        pairs, counts = arrays["pairs"].astype(np.int64), arrays["counts"].astype(np.int64)
        if pairs.ndim != 2 or pairs.shape[1:] != (2,) or counts.shape != (len(pairs), NUM_STATES):
            raise ValueError(INCONSISTENT)
        keys, num_tokens = pairs @ (len(self.spellings), 1), len(self.spellings)
        is_within = bool(((pairs >= 0) & (pairs < num_tokens)).all()) and bool((counts >= 0).all())
        if not is_within or bool((np.diff(keys) <= 0).any()):
            raise ValueError(INCONSISTENT)

    def clear_cache(self) -> None:
        self._lifts, self._shares, self._grammar = {}, None, None

    def lifts(self, token: int) -> Floats:
        """(S, V) how many times as often each token that follows this one is in a state as any token that follows it."""
        if token not in self._lifts:
            if self._shares is None:
                self._shares = self._learned_shares()
            pairs, counts, of_states, of_tokens = self._shares
            first, stop = np.searchsorted(pairs[:, 0], [token, token + 1])
            after = np.zeros_like(of_tokens)
            after[pairs[first:stop, 1]] = counts[first:stop]
            shares = _smoothed(after, of_tokens)
            self._lifts[token] = (shares / _smoothed(after.sum(0), of_states)).T.copy()
        return self._lifts[token]

    def beginning_with(self, beginning: bytes) -> Ints:
        """Ids of the tokens that begin so."""
        if beginning not in self._beginnings:
            tokens = [token for token, spelling in enumerate(self.spellings) if spelling.startswith(beginning)]
            self._beginnings[beginning] = np.array(tokens, dtype=np.int64)
        return self._beginnings[beginning]

    def _learned_shares(self) -> Shares:
        pairs, counts = (self.get_buffer(name).cpu().numpy().astype(np.int64) for name in ("pairs", "counts"))
        sums = np.zeros((len(self.spellings), NUM_STATES), dtype=np.float32)
        np.add.at(sums, pairs[:, 1], counts)
        of_states = (counts.sum(0) + 1) / (counts.sum() + NUM_STATES)
        return Shares(pairs, counts, of_states.astype(np.float32), _smoothed(sums, of_states))

    def start(self, n: int) -> ProgramLimitState | None:
        """The limit of n samples of which nothing has been read; None where samples are not limited.

        Raises:
            DataError: The package with the grammar is not installed.
        """
        if not self.is_fitted:
            return None
        if self._grammar is None and bool(self.get_buffer("parses")):
            self._grammar = grammar_of(self._name, self.spellings)
        return ProgramLimitState([Program(self, copy(self._grammar)) for _ in range(n)])


def _smoothed(counts: Floats, shares: Floats) -> Floats:
    """The shares of states in counts (..., S), which few occurrences do not move far from other shares (..., S)."""
    smoothed: Floats = (counts + PRIOR_COUNT * shares) / (counts.sum(-1, keepdims=True) + PRIOR_COUNT)
    return smoothed.astype(np.float32)
