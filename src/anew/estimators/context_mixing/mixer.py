"""A model of text by context mixing: fitted in one pass over the train part, adapted to each document while it is read.

Legend for shapes: T tokens of a text, D questions of the longest path, V tokens, n rows.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from weakref import WeakValueDictionary

import numpy as np
from numpy.typing import NDArray

from anew.estimators.context_mixing import reading
from anew.estimators.context_mixing.code_tree import build_tree
from anew.estimators.context_mixing.counts import HISTORY, KINDS, TOKEN_ORDERS, Spelling
from anew.estimators.context_mixing.joint import JOINT_INPUTS, LEVELS, TRUSTS, Joint, weigh
from anew.estimators.context_mixing.mixing import (
    CORRECTIONS,
    INPUTS,
    KNOT_RANGE,
    KNOTS,
    KNOTS_A_UNIT,
    LINE_PRIOR,
    MATCHES,
    SIDES,
    SIZES,
    SMALL,
    SOURCES,
    SQUASH_RANGE,
    SQUASHES_A_UNIT,
    Maps,
    Memory,
    Rates,
    Tables,
)

# Learning rates and first weights were chosen on tiny Shakespeare (docs/log.md: "Text: context mixing beside the network").
FIRST_RATE, LAST_RATE = 0.015, 0.003  # of weights, at the beginning and the end of the train part
CURVE_RATE = np.float32(0.02)
NO_LEARNING = Rates(np.float32(0), np.float32(0), np.float32(0))
FIRST_WEIGHT = 0.15  # of every input
DOCUMENT_RATE = 0.008  # of the weights of contexts and network together, within a document
JOINT_RATES = (0.02, 0.02, 0.01, 0.01, 0.005, 0.002)  # of these weights, in the passes over held-out text
PIECE_TOKENS = 16_384  # tokens that are read before the fill of the table is checked
# Slots of the train part's table at first: most contexts repeat; it grows where they do not
SLOTS_A_TOKEN = 0.6 * KINDS
MAX_FILL = 0.8  # share of slots in use from which it grows: open addressing slows down beyond
MAX_ENTRIES = 4 * KINDS  # entries a token: doubled blocks leave as much unused, and are half empty
Doubles = NDArray[np.float64]
Floats = NDArray[np.float32]
Ints = NDArray[np.int64]
Tokens = NDArray[np.int32]


class ReadText:
    """The training text after reading, immutable: all mixers of a process that need it share one."""

    def __init__(self, memory: Memory) -> None:
        self.memory = memory


_READ_TEXTS: WeakValueDictionary[bytes, ReadText] = WeakValueDictionary()


class ContextMixer:
    """P(token | what was read before), of the train part and of the document so far.

    Args:
        spellings: Bytes of the V tokens.
        text: (T,) the train part.
        maps: Parameters learned from it.
        joint: Weights of the sum with a network, which go on learning in each document.
    """

    def __init__(self, spellings: Sequence[bytes], text: Tokens, maps: Maps, joint: Joint) -> None:
        self.text, self.maps, self.joint = text, maps, joint
        self.vocab_size = len(spellings)
        frequencies: Doubles = np.bincount(text, minlength=self.vocab_size) + np.float64(0.5)
        self.unigram: Floats = (frequencies / frequencies.sum()).astype(np.float32)
        self.tree = build_tree(spellings, frequencies)
        lengths = np.array([len(spelling) for spelling in spellings], dtype=np.int64)
        starts = np.concatenate(([0], np.cumsum(lengths)))
        self.spelling = Spelling(np.frombuffer(b"".join(spellings) or b"\0", dtype=np.uint8), starts)
        self.tables = _tables()
        self._empty = make_memory(0, self.vocab_size)
        self._base: ReadText | None = None

    @classmethod
    def fit(cls, spellings: Sequence[bytes], text: Tokens, most_learned: int | None = None) -> ContextMixer:
        """Read a text.

        Args:
            spellings: Bytes of the V tokens.
            text: (T,).
            most_learned: Number of the last tokens from which curves and weights are learned, which takes three times as long as
                counting them; None for all.

        Raises:
            ValueError: The text has other tokens.
        """
        _check_tokens(text, len(spellings))
        mixer = cls(spellings, text, first_maps(len(spellings)), first_joint(len(spellings)))
        mixer._read_train(len(text) if most_learned is None else min(most_learned, len(text)))
        return mixer

    @property
    def base(self) -> Memory:
        """The train part, as it is after a pass over it; made anew where this was restored and no other mixer has it."""
        if self._base is None:
            self._base = _READ_TEXTS.get(self._text_key()) or self._read_train(0)
        return self._base.memory

    def _text_key(self) -> bytes:
        """Stands for the train part and the tokens that it is made of."""
        digest = hashlib.sha256(self.text.tobytes())
        for array in self.spelling:
            digest.update(array.tobytes())
        return digest.digest()

    def _read_train(self, most_learned: int) -> ReadText:
        """A pass over the train part, which learns from about so many of its last tokens."""
        size = len(self.text)
        slots = int(size * SLOTS_A_TOKEN)
        memory = make_memory(size, self.vocab_size, slots)
        logits = np.zeros((PIECE_TOKENS, self.tree.nodes.shape[1]), dtype=np.float32)
        orders = np.zeros(PIECE_TOKENS, dtype=np.int64)
        for first in range(0, size, PIECE_TOKENS):
            if memory.used[1] + PIECE_TOKENS * KINDS > MAX_FILL * len(memory.heads):
                slots = 2 * len(memory.heads)
                memory = make_memory(size, self.vocab_size, slots)
                reading.recall(self.text[:first], memory, self._empty, self.tree, self.spelling, True)
            piece = self.text[first : first + PIECE_TOKENS]
            if size - first > most_learned:
                reading.recall(piece, memory, self._empty, self.tree, self.spelling, True)
                continue
            reading.read(
                piece,
                memory,
                self._empty,
                make_memory(PIECE_TOKENS, self.vocab_size),  # as if each piece were a document
                self.tree,
                self.spelling,
                self.maps,
                self.tables,
                _rates(max(0.0, (first + most_learned - size) / most_learned)),
                logits,
                orders,
            )
        self._base = _READ_TEXTS[self._text_key()] = ReadText(memory)
        return self._base

    # -- documents ------------------------------------------------------------------------------------------------------

    def document(self, room: int) -> Memory:
        """An empty document, for at most `room` tokens."""
        return make_memory(room, self.vocab_size)

    def read(self, document: Memory, ids: Tokens) -> tuple[Floats, Ints]:
        """Read on in a document.

        Args:
            document: With room for the tokens.
            ids: (T,).

        Returns:
            (T, D) log odds of each question, and the longest orders (T,) that were seen.
        """
        _check_tokens(ids, self.vocab_size)
        logits = np.zeros((len(ids), self.tree.nodes.shape[1]), dtype=np.float32)
        orders = np.zeros(len(ids), dtype=np.int64)
        reading.read(
            ids,
            document,
            self.base,
            document,
            self.tree,
            self.spelling,
            self.maps,
            self.tables,
            NO_LEARNING,
            logits,
            orders,
        )
        return logits, orders

    def recall(self, document: Memory, ids: Tokens, is_counted: bool = True) -> None:
        """Read on in a document, without predicting. is_counted: whether this tells anything of what comes later."""
        _check_tokens(ids, self.vocab_size)
        reading.recall(ids, document, self.base, self.tree, self.spelling, is_counted)

    def network_logits(self, probabilities: Floats, targets: Ints) -> Floats:
        """(T, D) log odds of a network for each question. probabilities: (T, V), targets: (T,)."""
        _check_tokens(targets, self.vocab_size)
        logits = np.zeros((len(targets), self.tree.nodes.shape[1]), dtype=np.float32)
        reading.network_path_logits(probabilities, targets, self.tree, logits)
        return logits

    def log_probs(
        self,
        ids: Tokens,
        contexts: Floats,
        network: Floats,
        orders: Ints,
        joint: Joint,
        opening: int = -1,
        rate: float = DOCUMENT_RATE,
    ) -> Doubles:
        """(T,) of contexts and network together; see `weigh`.

        Args:
            ids, contexts, network, orders: See `weigh`.
            joint: Weights, which learn from the text.
            opening: The token in front, -1 for none.
            rate: Learning rate.
        """
        log_probs = np.zeros(len(ids))
        weigh(ids, contexts, network, orders, self.tree, joint, self.tables, opening + 1, np.float32(rate), log_probs)
        return log_probs

    def fit_joint(self, ids: Tokens, contexts: Floats, network: Floats, orders: Ints) -> None:
        """Learn the weights of contexts and network from held-out text."""
        self.joint = first_joint(self.vocab_size)
        for rate in JOINT_RATES:
            self.log_probs(ids, contexts, network, orders, self.joint, rate=rate)

    # -- rows that grow together ----------------------------------------------------------------------------------------

    def rows(self, n: int, room: int) -> Memory:
        """n empty documents, each for at most `room` tokens."""
        return select_memory(Memory._make(array[None] for array in self.document(room)), np.zeros(n, dtype=np.int64))

    def regrown(self, rows: Memory, room: int, num_counted: int | None = None) -> Memory:
        """The same rows with room for `room` tokens each; where they do not fit, only the latest half of the room is kept.

        Args:
            rows: Memories of the rows.
            room: Tokens of each row.
            num_counted: How many of the first tokens were counted; None: all.
        """
        used = int(rows.link[0, 0])
        first = 0 if used < room else used - room // 2
        counted = used if num_counted is None else max(first, min(num_counted, used))
        grown = self.rows(len(rows.text), room)
        for row in range(len(rows.text)):
            self.recall(reading.row_of(grown, row), rows.text[row, first:counted])
            self.recall(reading.row_of(grown, row), rows.text[row, counted:used], is_counted=False)
        return grown

    def joints(self, n: int) -> Joint:
        """The weights of n documents that are yet to be read."""
        return select_joint(Joint._make(weights[None] for weights in self.joint), np.zeros(n, dtype=np.int64))

    def document_joint(self) -> Joint:
        """The weights of a document that is yet to be read."""
        return Joint._make(weights.copy() for weights in self.joint)

    def step(self, rows: Memory, joint: Joint, probabilities: Floats) -> Floats:
        """(n, V) distribution of the next token of each row, by contexts and network together.

        Args:
            rows: Memory of each row.
            joint: The weights of each row.
            probabilities: (n, V) of the network.
        """
        mixed = np.zeros(probabilities.shape, dtype=np.float32)
        reading.draw_step(rows, self.base, self.tree, self.maps, joint, self.tables, probabilities, mixed)
        return mixed

    def draw(
        self,
        rows: Memory,
        joint: Joint,
        probabilities: Floats,
        uniform: Floats,
        tokens: Ints,
        rate: float = DOCUMENT_RATE,
    ) -> Doubles:
        """Draw tokens from the distribution of `step`; far quicker than `step`.

        Args:
            rows: Memory of each row.
            joint: The weights of each row, which learn from its token.
            probabilities: (n, V) of the network.
            uniform: (n,) in [0, 1), which decide the tokens.
            tokens: (n,) receives them; what is not -1 there stays.
            rate: Learning rate.

        Returns:
            (n,) probabilities of the tokens.
        """
        token_probabilities = np.zeros(len(uniform))
        reading.draw_tokens(
            rows,
            self.base,
            self.tree,
            self.maps,
            joint,
            self.tables,
            probabilities,
            uniform,
            np.float32(rate),
            tokens,
            token_probabilities,
        )
        return token_probabilities

    def observe(self, rows: Memory, tokens: Ints, is_counted: bool = True) -> None:
        """Read a token (n,) in each row, which has room for it; see `recall`."""
        reading.observe(rows, self.base, self.tree, self.spelling, tokens.astype(np.int32), is_counted)

    # -- state ----------------------------------------------------------------------------------------------------------

    def arrays(self) -> dict[str, NDArray[np.generic]]:
        """All that `restore` needs besides the spellings, by name."""
        return {"text": self.text, **self.maps._asdict(), **{f"joint_{k}": v for k, v in self.joint._asdict().items()}}

    @classmethod
    def restore(cls, spellings: Sequence[bytes], arrays: Mapping[str, NDArray[np.generic]]) -> ContextMixer:
        """Undo `arrays`."""
        maps = Maps(*(arrays[name] for name in Maps._fields))  # type: ignore[arg-type]
        joint = Joint(*(arrays[f"joint_{name}"] for name in Joint._fields))  # type: ignore[arg-type]
        return cls(spellings, arrays["text"], maps, joint)  # type: ignore[arg-type]


def select_memory(rows: Memory, places: Ints) -> Memory:
    """Rows (k,) of these, by their places; a row may be taken several times."""
    return Memory._make(array[places] for array in rows)


def select_joint(rows: Joint, places: Ints) -> Joint:
    """The weights of rows (k,) of these, by their places; a row may be taken several times."""
    return Joint._make(weights[places] for weights in rows)


def joint_of(rows: Joint, row: int) -> Joint:
    """The weights of one of several rows, not a copy."""
    return Joint._make(weights[row] for weights in rows)


def make_memory(room: int, vocab_size: int, slots: int | None = None) -> Memory:
    """An empty memory. room: most tokens; slots: of its table, None for as many as so many tokens may take."""
    slots = int(room * KINDS / MAX_FILL) if slots is None else slots
    return Memory(
        np.zeros((_power_of_two(max(slots, 1)), 4), np.int32),
        np.zeros(MAX_ENTRIES * room + 2, np.uint32),
        np.zeros(2, np.int64),
        np.zeros((vocab_size, 2), np.int32),
        np.zeros(room + 1, np.int32),
        np.zeros(_power_of_two(2 * room + 1), np.int32),
        np.zeros(4, np.int64),
        np.zeros(HISTORY, np.uint64),
    )


def first_maps(vocab_size: int) -> Maps:
    """Curves that keep what they are given, and equal weights."""
    line = ((np.arange(KNOTS) / KNOTS_A_UNIT) - KNOT_RANGE).astype(np.float32)

    def full(value: float, *shape: int) -> Floats:
        return np.full(shape, value, dtype=np.float32)

    return Maps(
        np.tile(line, SOURCES * SIZES * SIDES),
        full(1.0, MATCHES),
        full(FIRST_WEIGHT, vocab_size - 1, INPUTS),
        full(FIRST_WEIGHT, TOKEN_ORDERS * MATCHES, INPUTS),
        full(FIRST_WEIGHT, vocab_size + 1, INPUTS),
        full(1 / 3, TOKEN_ORDERS * MATCHES, 3),
        np.tile(line, (CORRECTIONS, 1)),
    )


def first_joint(vocab_size: int) -> Joint:
    """Initial weights: equal ones, with a sum a little above 1."""
    row = np.array([0.55, 0.55, 0.0], dtype=np.float32)
    assert len(row) == JOINT_INPUTS
    num_rows = (TOKEN_ORDERS * LEVELS, TRUSTS * TRUSTS, vocab_size - 1, vocab_size + 1)
    return Joint(*(np.tile(row, (rows, 1)) for rows in num_rows))


def _rates(progress: float) -> Rates:
    """Rates that fall while the train part is learned. progress: 0 to 1."""
    return Rates(np.float32(FIRST_RATE * (LAST_RATE / FIRST_RATE) ** progress), CURVE_RATE, CURVE_RATE)


def _tables() -> Tables:
    log_odds = np.arange(2 * SQUASH_RANGE * SQUASHES_A_UNIT + 2) / SQUASHES_A_UNIT - SQUASH_RANGE
    tallies = np.arange(SMALL) + LINE_PRIOR
    return Tables(
        (1 / (1 + np.exp(-log_odds))).astype(np.float32),
        np.log(tallies[:, None] / tallies[None]).astype(np.float32),
    )


def _check_tokens(ids: Tokens | Ints, vocab_size: int) -> None:
    """Raise ValueError for invalid tokens: compiled code does not check its indices."""
    if len(ids) and not 0 <= int(ids.min()) <= int(ids.max()) < vocab_size:
        raise ValueError(f"tokens must be among 0 to {vocab_size - 1} (got {int(ids.min())} to {int(ids.max())})")


def _power_of_two(at_least: int) -> int:
    return 1 << max(0, at_least - 1).bit_length()
