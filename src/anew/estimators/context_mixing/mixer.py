"""A context-mixing model of text: fitted in one pass over the train part, and adapted to each document while it is read.

Legend for shapes: T tokens of a text, D questions of the longest path, V tokens, n rows.
"""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from weakref import WeakValueDictionary

import numpy as np
from numpy.typing import NDArray

from anew.core.arrays import Bools, Doubles, Floats, Int32s, Ints
from anew.estimators.context_mixing import drawing, reading
from anew.estimators.context_mixing.code_tree import build_tree
from anew.estimators.context_mixing.counts import CLASS, HISTORY_SIZE, NUM_KINDS, NUM_TOKEN_ORDERS, Spelling
from anew.estimators.context_mixing.error_rates import (
    NUM_ERRORS,
    acceptance_of_tokens,
    multiply_by_acceptance,
    tally_errors,
)
from anew.estimators.context_mixing.joint import NUM_JOINT_INPUTS, NUM_LEVELS, NUM_TRUSTS, JointWeights, joint_log_probs
from anew.estimators.context_mixing.mixing import (
    KNOT_RANGE,
    KNOTS_PER_UNIT,
    NUM_CORRECTIONS,
    NUM_INPUTS,
    NUM_KNOTS,
    NUM_MATCH_CLASSES,
    NUM_SIDES,
    NUM_SIZES,
    NUM_SMALL,
    NUM_SOURCES,
    SIGMOID_RANGE,
    SIGMOID_STEPS_PER_UNIT,
    TALLY_PRIOR,
    Memory,
    MixingModel,
    Parameters,
    Rates,
    Tables,
)
from anew.estimators.context_mixing.words import Words, words_of

# Learning rates and first weights were chosen on tiny Shakespeare (docs/log.md: "Text: context mixing beside the network").
# Learning rates of the weights at the beginning and at the end of the train part.
FIRST_RATE, LAST_RATE = 0.015, 0.003
CURVE_RATE = np.float32(0.02)
NO_LEARNING = Rates(np.float32(0), np.float32(0), np.float32(0))
FIRST_WEIGHT = 0.15  # initial weight of every input
FIRST_JOINT_WEIGHT = 0.55  # weight of contexts and of the network alike, so their sum is a little above 1; chosen
DOCUMENT_RATE = 0.008  # learning rate of the weights of contexts and network within a document
JOINT_RATES = (0.02, 0.02, 0.01, 0.01, 0.005, 0.002)  # learning rate of these weights in each pass over held-out text
PIECE_TOKENS = 16_384  # tokens that are read between two checks whether the table is full
# Initial slots of the train part's table: most contexts repeat, and it grows where they do not
SLOTS_PER_TOKEN = 0.6 * NUM_KINDS
MAX_FILL = 0.8  # share of slots in use above which it grows: open addressing slows down beyond
MAX_ENTRIES = 4 * NUM_KINDS  # per token: a block that moves leaves as much unused, and is half empty


NO_CLASSES: Ints = np.zeros((2, 0), dtype=np.int64)


class ReadText:
    """The train part after reading. Immutable: all mixers of a process that need the same one share it."""

    def __init__(self, memory: Memory, words: Words) -> None:
        self.memory, self.words = memory, words


_READ_TEXTS: WeakValueDictionary[bytes, ReadText] = WeakValueDictionary()
# The newest one stays in memory: a training that goes on restores its mixer several times, each of which read for 9 to 14 s
_NEWEST_READ: deque[ReadText] = deque(maxlen=1)


class ContextMixer:
    """P(token | the train part and the document so far).

    Args:
        spellings: Bytes of the V tokens.
        text: (T,) the train part.
        joint: Initial weights of contexts and network for each document.
        classes: (2, k) where in the text documents of a class begin, from 0 on, and the number of the class; k = 0 without classes.
    """

    def __init__(
        self,
        spellings: Sequence[bytes],
        text: Int32s,
        parameters: Parameters,
        joint: JointWeights,
        classes: Ints = NO_CLASSES,
    ) -> None:
        self.text, self.parameters, self.joint, self.classes = text, parameters, joint, classes
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
    def fit(
        cls, spellings: Sequence[bytes], text: Int32s, max_learned: int | None = None, classes: Ints = NO_CLASSES
    ) -> ContextMixer:
        """A model fitted to a text (T,).

        Args:
            spellings: Bytes of the V tokens.
            max_learned: Curves and weights are learned from this number of last tokens, which takes three times as long as counting them;
                None for all.
            classes: As for the class.

        Raises:
            ValueError: The text has tokens outside of the vocabulary.
        """
        _check_tokens(text, len(spellings))
        mixer = cls(spellings, text, initial_parameters(len(spellings)), initial_joint(len(spellings)), classes)
        mixer._read_train(len(text) if max_learned is None else min(max_learned, len(text)))
        return mixer

    @property
    def base(self) -> Memory:
        """The counts of the train part after reading."""
        return self.read_text().memory

    @property
    def words(self) -> Words:
        """The words of the train part."""
        return self.read_text().words

    def read_text(self) -> ReadText:
        """The train part after reading; read again if this mixer was restored and no other one holds it."""
        if self._base is None:
            self._base = _READ_TEXTS.get(self._text_key()) or self._read_train(0)
        return self._base

    @property
    def model(self) -> MixingModel:
        """The model that reads documents after the train part."""
        return self._model_on(self.base)

    def _model_on(self, base: Memory) -> MixingModel:
        return MixingModel(base, self.tree, self.spelling, self.parameters, self.tables)

    def _text_key(self) -> bytes:
        """Digest of the train part and of the spellings of its tokens."""
        digest = hashlib.sha256(self.text.tobytes())
        digest.update(self.classes.tobytes())
        for array in self.spelling:
            digest.update(array.tobytes())
        return digest.digest()

    def _read_train(self, max_learned: int) -> ReadText:
        """Read the train part, and learn from about `max_learned` of its last tokens."""
        size, model = len(self.text), self._model_on(self._empty)
        slots = int(size * SLOTS_PER_TOKEN)
        memory = make_memory(size, self.vocab_size, slots)
        logits = np.zeros((PIECE_TOKENS, self.tree.nodes.shape[1]), dtype=np.float32)
        orders = np.zeros(PIECE_TOKENS, dtype=np.int64)
        for first, stop, label in self._pieces(size):
            if memory.used[1] + PIECE_TOKENS * NUM_KINDS > MAX_FILL * len(memory.heads):
                slots = 2 * len(memory.heads)
                memory = make_memory(size, self.vocab_size, slots)
                for before, end, label_before in self._pieces(first):
                    memory.history[CLASS] = label_before + 1
                    reading.recall(self.text[before:end], memory, model, True)
            memory.history[CLASS] = label + 1
            piece = self.text[first:stop]
            if size - first > max_learned:
                reading.recall(piece, memory, model, True)
                continue
            rates = _rates(max(0.0, (first + max_learned - size) / max_learned))
            document = make_memory(PIECE_TOKENS, self.vocab_size)  # each piece is read like a document
            document.history[CLASS] = label + 1
            reading.read(piece, memory, document, model, rates, logits, orders)
        self._base = _READ_TEXTS[self._text_key()] = ReadText(memory, words_of(self.text, self.spelling))
        _NEWEST_READ.append(self._base)
        return self._base

    def _pieces(self, size: int) -> Iterator[tuple[int, int, int]]:
        """Start, stop and class of pieces of the first `size` tokens of the train part, of one class each, -1 without classes."""
        starts, labels = self.classes if self.classes.shape[1] else (np.zeros(1, np.int64), np.full(1, -1))
        for start, stop, label in zip(starts.tolist(), [*starts.tolist()[1:], size], labels.tolist(), strict=True):
            for first in range(start, min(stop, size), PIECE_TOKENS):
                yield first, min(first + PIECE_TOKENS, stop, size), label

    # -- documents ------------------------------------------------------------------------------------------------------

    def document(self, capacity: int, label: int = -1) -> Memory:
        """An empty document, for at most `capacity` tokens. label: its class, -1 for none."""
        memory = make_memory(capacity, self.vocab_size)
        memory.history[CLASS] = label + 1
        return memory

    def read(self, document: Memory, ids: Int32s) -> tuple[Floats, Ints]:
        """Read on in a document, which must have room for the tokens (T,).

        Returns:
            (T, D) log odds of each question, and (T,) the order of the longest context that was seen.
        """
        _check_tokens(ids, self.vocab_size)
        logits = np.zeros((len(ids), self.tree.nodes.shape[1]), dtype=np.float32)
        orders = np.zeros(len(ids), dtype=np.int64)
        reading.read(ids, document, document, self.model, NO_LEARNING, logits, orders)
        return logits, orders

    def recall(self, document: Memory, ids: Int32s, is_counted: bool = True) -> None:
        """Read on in a document without predicting. is_counted: whether the tokens are counted and can be matched later."""
        _check_tokens(ids, self.vocab_size)
        reading.recall(ids, document, self.model, is_counted)

    def network_logits(self, probabilities: Floats, targets: Ints) -> Floats:
        """(T, D) log odds of a network for each question. probabilities: (T, V), targets: (T,)."""
        _check_tokens(targets, self.vocab_size)
        logits = np.zeros((len(targets), self.tree.nodes.shape[1]), dtype=np.float32)
        reading.network_path_logits(probabilities, targets, self.tree, logits)
        return logits

    def log_probs(
        self,
        ids: Int32s,
        contexts: Floats,
        network: Floats,
        orders: Ints,
        joint: JointWeights,
        previous: int = -1,
        rate: float = DOCUMENT_RATE,
    ) -> Doubles:
        """(T,) log-probabilities of a text under contexts and network together; see `joint_log_probs`. previous: the token before the
        first, -1 for none."""
        log_probs = np.zeros(len(ids))
        joint_log_probs(
            ids, contexts, network, orders, self.tree, joint, self.tables, previous + 1, np.float32(rate), log_probs
        )
        return log_probs

    def fit_joint(self, ids: Int32s, contexts: Floats, network: Floats, orders: Ints) -> None:
        """Fit the weights of contexts and network to held-out text."""
        self.joint = initial_joint(self.vocab_size)
        for rate in JOINT_RATES:
            self.log_probs(ids, contexts, network, orders, self.joint, rate=rate)

    # -- several documents at once --------------------------------------------------------------------------------------

    def rows(self, n: int, capacity: int, labels: Ints | None = None) -> Memory:
        """n empty documents, each for at most `capacity` tokens. labels: (n,) their classes; None for none."""
        empty = Memory._make(array[None] for array in self.document(capacity))
        rows = select_memory(empty, np.zeros(n, dtype=np.int64))
        rows.history[:, CLASS] = 0 if labels is None else labels + 1
        return rows

    def resized(self, rows: Memory, capacity: int, num_counted: int | None = None) -> Memory:
        """The same documents with room for `capacity` tokens each. If they do not fit, only the last `capacity` / 2 tokens are kept.

        Args:
            num_counted: Number of the first tokens that were counted; None: all.
        """
        used = rows.num_tokens
        first = 0 if used < capacity else used - capacity // 2
        counted = used if num_counted is None else max(first, min(num_counted, used))
        grown = self.rows(len(rows.text), capacity)
        grown.history[:, CLASS] = rows.history[:, CLASS]
        for row in range(len(rows.text)):
            self.recall(reading.row_of(grown, row), rows.text[row, first:counted])
            self.recall(reading.row_of(grown, row), rows.text[row, counted:used], is_counted=False)
        return grown

    def joints(self, n: int) -> JointWeights:
        """Weights for n new documents."""
        return select_joint(JointWeights._make(weights[None] for weights in self.joint), np.zeros(n, dtype=np.int64))

    def document_joint(self) -> JointWeights:
        """Weights for a new document."""
        return JointWeights._make(weights.copy() for weights in self.joint)

    def step(
        self,
        rows: Memory,
        joint: JointWeights,
        probabilities: Floats,
        is_wanted: Bools | None = None,
        min_p: Floats | None = None,
    ) -> Floats:
        """(n, V) distribution of the next token of each document, by contexts and network together; see `reading.next_token_probabilities`.
        Without `is_wanted` all are computed, without `min_p` exactly."""
        is_wanted = np.ones(len(probabilities), dtype=np.bool_) if is_wanted is None else is_wanted
        mixed = np.zeros(probabilities.shape, dtype=np.float32)
        min_p = np.zeros(len(probabilities), dtype=np.float32) if min_p is None else min_p
        reading.next_token_probabilities(rows, self.model, joint, probabilities, is_wanted, min_p, mixed)
        return mixed

    def draw(
        self,
        rows: Memory,
        joint: JointWeights,
        probabilities: Floats,
        uniform: Floats,
        tokens: Ints,
        *,
        rate: float = DOCUMENT_RATE,
        is_wanted: Bools | None = None,
        accepted: Floats | None = None,
        tallies: Ints | None = None,
        lowered: drawing.LoweredTokens | None = None,
        refused: Doubles | None = None,
    ) -> Doubles:
        """Draw tokens, far quicker than by `step`: from its distribution, where all kinds of errors are accepted. For arguments see
        `drawing.draw_tokens`; without them all documents are wanted, all errors accepted, and no tokens lowered.

        Args:
            refused: Needed with `lowered`.

        Returns:
            (n,) probabilities of the tokens; 0 where none is needed.
        """
        token_probabilities = np.zeros(len(uniform))
        is_wanted = np.ones(len(uniform), dtype=np.bool_) if is_wanted is None else is_wanted
        accepted = np.ones(NUM_ERRORS, dtype=np.float32) if accepted is None else accepted
        tallies = np.zeros((NUM_ERRORS, 2), dtype=np.int64) if tallies is None else tallies
        n = len(uniform)
        if lowered is None:
            lowered = drawing.LoweredTokens(np.full(n, -1), np.ones(n, dtype=np.float32), np.ones(n), np.zeros(n))
        refused = np.full(n, -1.0) if refused is None else refused
        drawing.draw_tokens(
            rows,
            self.model,
            self.words,
            joint,
            probabilities,
            uniform,
            np.float32(rate),
            accepted,
            is_wanted,
            lowered,
            tokens,
            token_probabilities,
            tallies,
            refused,
        )
        return token_probabilities

    def weights_if_accepted(
        self, rows: Memory, places: Ints, weights: Floats, accepted: Floats, min_p: Floats | None = None
    ) -> Floats:
        """Weights (k, V) of the next tokens, multiplied by the probability that each is accepted if it is drawn; see
        `error_rates.multiply_by_acceptance`."""
        min_p = np.zeros(len(weights), dtype=np.float32) if min_p is None else min_p.astype(np.float32)
        multiplied, own_words = weights.astype(np.float32), Words(rows.words, rows.num_words)
        multiply_by_acceptance(rows.history, own_words, places, self.spelling, self.words, accepted, min_p, multiplied)
        return multiplied

    def acceptance_of(self, rows: Memory, tokens: Ints, accepted: Floats) -> Floats:
        """(n,) probabilities that the next tokens (n,) are accepted if they are drawn. accepted: See `draw`."""
        result = np.zeros(len(tokens), dtype=np.float32)
        own_words = Words(rows.words, rows.num_words)
        acceptance_of_tokens(rows.history, own_words, self.spelling, self.words, accepted, tokens, result)
        return result

    def count_errors(self, document: Memory, ids: Int32s) -> Ints:
        """Read on in a document, which must have room for the tokens (T,). Returns (G,) how often each kind of error was there."""
        _check_tokens(ids, self.vocab_size)
        counts = np.zeros(NUM_ERRORS, dtype=np.int64)
        tally_errors(ids, document, self.base, self.spelling, self.words, counts)
        return counts

    def observe(self, rows: Memory, tokens: Ints, is_counted: bool = True) -> None:
        """Read the next token (n,) of each document, which must have room for it; see `recall`."""
        reading.observe(rows, self.model, tokens.astype(np.int32), is_counted)

    # -- state ----------------------------------------------------------------------------------------------------------

    def arrays(self) -> dict[str, NDArray[np.generic]]:
        """State for `restore`, besides the spellings, by name."""
        return {
            "text": self.text,
            **({"classes": self.classes} if self.classes.shape[1] else {}),
            **self.parameters._asdict(),
            **{f"joint_{k}": v for k, v in self.joint._asdict().items()},
        }

    @classmethod
    def restore(cls, spellings: Sequence[bytes], arrays: Mapping[str, NDArray[np.generic]]) -> ContextMixer:
        """A mixer from the state that `arrays` gave."""
        parameters = Parameters(*(arrays[name] for name in Parameters._fields))  # type: ignore[arg-type]
        joint = JointWeights(*(arrays[f"joint_{name}"] for name in JointWeights._fields))  # type: ignore[arg-type]
        classes = arrays.get("classes", NO_CLASSES)
        return cls(spellings, arrays["text"], parameters, joint, classes)  # type: ignore[arg-type]


def select_memory(rows: Memory, places: Ints) -> Memory:
    """Documents (k,) of these, by their rows; one may be taken several times."""
    return Memory._make(array[places] for array in rows)


def select_joint(rows: JointWeights, places: Ints) -> JointWeights:
    """The weights of documents (k,) of these, by their rows; one may be taken several times."""
    return JointWeights._make(weights[places] for weights in rows)


def make_memory(capacity: int, vocab_size: int, slots: int | None = None) -> Memory:
    """An empty memory. capacity: most tokens; slots: of its table, None for as many as `capacity` tokens may take."""
    # Few tokens begin more than one new word; that of the train part has them all elsewhere
    word_slots = _power_of_two(4 * capacity + 1) if slots is None else 1
    slots = int(capacity * NUM_KINDS / MAX_FILL) if slots is None else slots
    return Memory(
        np.zeros((_power_of_two(max(slots, 1)), 4), np.int32),
        np.zeros(MAX_ENTRIES * capacity + 2, np.uint32),
        np.zeros(2, np.int64),
        np.zeros((vocab_size, 2), np.int32),
        np.zeros(capacity + 1, np.int32),
        np.zeros(_power_of_two(2 * capacity + 1), np.int32),
        np.zeros(4, np.int64),
        np.zeros(HISTORY_SIZE, np.uint64),
        np.zeros(word_slots, np.uint64),
        np.zeros(1, np.int64),
    )


def initial_parameters(vocab_size: int) -> Parameters:
    """Identity curves and equal weights."""
    line = ((np.arange(NUM_KNOTS) / KNOTS_PER_UNIT) - KNOT_RANGE).astype(np.float32)

    def full(value: float, *shape: int) -> Floats:
        return np.full(shape, value, dtype=np.float32)

    return Parameters(
        np.tile(line, NUM_SOURCES * NUM_SIZES * NUM_SIDES),
        full(1.0, NUM_MATCH_CLASSES),
        full(FIRST_WEIGHT, vocab_size - 1, NUM_INPUTS),
        full(FIRST_WEIGHT, NUM_TOKEN_ORDERS * NUM_MATCH_CLASSES, NUM_INPUTS),
        full(FIRST_WEIGHT, vocab_size + 1, NUM_INPUTS),
        full(1 / 3, NUM_TOKEN_ORDERS * NUM_MATCH_CLASSES, 3),
        np.tile(line, (NUM_CORRECTIONS, 1)),
    )


def initial_joint(vocab_size: int) -> JointWeights:
    """Weights of contexts and network before any document: equal ones."""
    row = np.array([FIRST_JOINT_WEIGHT, FIRST_JOINT_WEIGHT, 0.0], dtype=np.float32)
    assert len(row) == NUM_JOINT_INPUTS
    num_rows = (NUM_TOKEN_ORDERS * NUM_LEVELS, NUM_TRUSTS * NUM_TRUSTS, vocab_size - 1, vocab_size + 1)
    return JointWeights(*(np.tile(row, (rows, 1)) for rows in num_rows))


def _rates(progress: float) -> Rates:
    """Learning rates at a point of the train part. progress: 0 to 1."""
    return Rates(np.float32(FIRST_RATE * (LAST_RATE / FIRST_RATE) ** progress), CURVE_RATE, CURVE_RATE)


def _tables() -> Tables:
    log_odds = np.arange(2 * SIGMOID_RANGE * SIGMOID_STEPS_PER_UNIT + 2) / SIGMOID_STEPS_PER_UNIT - SIGMOID_RANGE
    tallies = np.arange(NUM_SMALL) + TALLY_PRIOR
    return Tables(
        (1 / (1 + np.exp(-log_odds))).astype(np.float32),
        np.log(tallies[:, None] / tallies[None]).astype(np.float32),
    )


def _check_tokens(ids: Int32s | Ints, vocab_size: int) -> None:
    """Raise ValueError for invalid tokens: compiled code does not check its indices."""
    if len(ids) and not 0 <= int(ids.min()) <= int(ids.max()) < vocab_size:
        raise ValueError(f"tokens must be among 0 to {vocab_size - 1} (got {int(ids.min())} to {int(ids.max())})")


def _power_of_two(at_least: int) -> int:
    return 1 << max(0, at_least - 1).bit_length()
