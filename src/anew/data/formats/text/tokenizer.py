"""Text <-> ids without loss: single characters, or byte-level sub-words (BPE) trained on the user's own text.

Both know how many characters of the original each id stands for, so that bits per character are exact.
"""

from __future__ import annotations

import codecs
import hashlib
import itertools
import json
import re
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from anew.core import files
from anew.core.files import JsonValue
from anew.core.schema import checked
from anew.data.formats.text.tokenizer_file import TokenizerFile
from anew.data.formats.text.word_rules import BMP, SPACES, has_marks, sub_word_rule
from anew.errors import DataError

if TYPE_CHECKING:
    from tokenizers import Tokenizer

HEX = 6  # digits of an escaped code point
END, BEGIN, ESCAPE = "<|end|>", "<|begin|>", "<|escape|>"

_PIECE_CHARACTERS = 1 << 15  # characters that the regular expression reads at a time; no other thread runs meanwhile
_CHUNK_CHARACTERS = 10_000  # the trainer takes a text in pieces of this length; chosen
_JOINED_TEXTS = 10_000  # whose characters are counted at once, since calls take most of the time for short ones; chosen
_CUT = re.compile(f"[^{SPACES}]\n(?=[^{SPACES}])")
_WORD_CACHE = 400_000  # distinct words kept with their ids (about 100 MB)
_MAX_CACHED_LENGTH = 64  # most characters of a kept word; a script without spaces has words of any length
# (characters, sub-words): the vocabulary of texts with fewer characters than that
VOCAB_BY_CHARACTERS = ((400_000, 512), (20_000_000, 1024), (200_000_000, 2048))
LARGE_VOCAB = 4096  # more text has it, and scripts with many letters, which need room beside the 256 bytes
MANY_LETTERS = 1024  # scripts with more different characters have many letters
FEW_CHARACTERS = 100_000  # a shorter text is too short to learn sub-words from
LONG_BUDGET = 900  # seconds; from this budget on, the context has 256 tokens


class TextTokenizer(Protocol):
    """A way to write text as ids 0..size-1.

    Attributes:
        vocabulary_type: Its name in the settings of a run.
        size: Number of ids.
        rare: The first of the last ids, which the text that it was fitted to never takes; None if there are none.
    """

    vocabulary_type: str
    size: int
    rare: int | None

    def encode(self, text: str) -> NDArray[np.uint16]:
        """(n,) ids."""
        ...

    def decode(self, ids: Sequence[int]) -> str:
        """The text of ids; what no text can mean becomes U+FFFD."""
        ...

    def widths(self) -> NDArray[np.float32]:
        """(size,) characters of the original that each id stands for."""
        ...

    def spellings(self) -> list[bytes]:
        """The bytes of each id."""
        ...

    def state(self) -> dict[str, object]:
        """JSON values, enough to recognize it."""
        ...

    def tokenizer(self, special: Sequence[str]) -> Tokenizer:
        """A `tokenizers.Tokenizer` with the special tokens after the other ids."""
        ...


def code_points(text: str) -> NDArray[np.uint32]:
    """(n,) the characters as numbers; lone surrogates included."""
    return np.frombuffer(text.encode("utf-32-le", "surrogatepass"), dtype="<u4")


class Characters:
    """Ids are the characters of the training text by code point; any other is an escape id and six hexadecimal digits."""

    vocabulary_type = "characters"

    def __init__(self, letters: str, complete: bool = False) -> None:
        """complete: the letters are all that occurred, so that nothing is escaped in the text they come from."""
        self.letters = letters
        self.escape = len(letters)
        self.rare = self.escape if complete else None
        self.size = len(letters) + 1 + 16
        table = code_points(letters)
        self._table = np.full(max(int(table.max(initial=0)) + 1, 128), self.escape, dtype=np.uint16)
        self._table[table] = np.arange(len(letters), dtype=np.uint16)

    @classmethod
    def fit(cls, texts: Iterable[str], max_characters: int = 1024) -> Characters:
        """The `max_characters` most frequent characters of the texts."""
        counts = Counter[int]()
        for joined in _joined(texts):
            points, times = np.unique(code_points(joined), return_counts=True)
            counts.update(dict(zip(points.tolist(), times.tolist(), strict=True)))
        frequent = sorted(sorted(counts, key=lambda point: (-counts[point], point))[:max_characters])
        return cls("".join(map(chr, frequent)), complete=len(frequent) == len(counts))

    def encode(self, text: str) -> NDArray[np.uint16]:
        points = code_points(text)
        ids = self._table[np.minimum(points, len(self._table) - 1)]
        ids[points >= len(self._table)] = self.escape
        unknown = np.flatnonzero(ids == self.escape)
        if not len(unknown):
            return ids
        digits = (points[unknown][:, None] >> np.arange(4 * (HEX - 1), -1, -4, dtype=np.uint32)) & 15
        repeats = np.ones(len(ids), dtype=np.int64)
        repeats[unknown] = 1 + HEX
        escaped = np.repeat(ids, repeats)
        digit_starts = np.cumsum(repeats)[unknown] - HEX
        escaped[digit_starts[:, None] + np.arange(HEX)] = self.escape + 1 + digits
        return escaped

    def decode(self, ids: Sequence[int]) -> str:
        if max(ids, default=0) < self.escape:  # nearly all texts, in a fifth of the time
            return "".join(map(self.letters.__getitem__, ids))
        letters: list[str] = []
        position, n = 0, len(ids)
        while position < n:
            index = ids[position]
            position += 1
            if index < self.escape:
                letters.append(self.letters[index])
                continue
            point, digits, stop = 0, 0, min(position + HEX, n)
            while index == self.escape and position < stop and ids[position] > self.escape:
                point = point * 16 + (ids[position] - self.escape - 1)
                digits += 1
                position += 1
            is_character = digits == HEX and point <= 0x10FFFF and not 0xD800 <= point <= 0xDFFF
            letters.append(chr(point) if is_character else "\ufffd")
        return "".join(letters)

    def widths(self) -> NDArray[np.float32]:
        widths = np.ones(self.size, dtype=np.float32)
        widths[self.escape + 1 :] = 0  # the digits of an escaped character
        return widths

    def spellings(self) -> list[bytes]:
        return [*(letter.encode() for letter in self.letters), b"\x1b", *(f"{digit:x}".encode() for digit in range(16))]

    def state(self) -> dict[str, object]:
        return {"kind": self.vocabulary_type, "letters": self.letters, "complete": self.rare is not None}

    def tokenizer(self, special: Sequence[str]) -> Tokenizer:
        from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers

        names = [*self.letters, ESCAPE, *(f"<|{digit:x}|>" for digit in range(16))]
        tokenizer = Tokenizer(models.WordLevel({name: i for i, name in enumerate(names)}, unk_token=ESCAPE))
        tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex(r"[\s\S]"), "isolated")
        tokenizer.decoder = decoders.Fuse()
        tokenizer.add_special_tokens([AddedToken(name, special=True, normalized=False) for name in special])
        return tokenizer


def _joined(texts: Iterable[str]) -> Iterator[str]:
    """The texts, many of them at once."""
    remaining = iter(texts)
    while batch := list(itertools.islice(remaining, _JOINED_TEXTS)):
        yield "".join(batch)


def word_pattern(tokenizer_json: str) -> str:
    """The regular expression by which a tokenizer in the format of `tokenizers` splits words."""
    pattern: str = json.loads(tokenizer_json)["pre_tokenizer"]["pretokenizers"][0]["pattern"]["Regex"]
    return pattern


class SubWords:
    """Byte-level BPE: every text has ids, since every byte has one."""

    vocabulary_type = "bpe"

    def __init__(self, tokenizer_json: str, rare: int | None = None) -> None:
        """rare: the first of the last ids, whose bytes the text that it was fitted to does not have; None: there are none."""
        from tokenizers import Tokenizer

        self.json = tokenizer_json
        self.rare = rare
        self._model = Tokenizer.from_str(tokenizer_json)
        rule = word_pattern(tokenizer_json)
        self._split = re.compile(rule)
        # `re` searches sets with characters beyond the basic plane range by range, which takes four times as long.
        with_marks = next((marks for marks in (False, True) if sub_word_rule(marks) == rule), None)
        self._split_bmp = self._split if with_marks is None else re.compile(sub_word_rule(with_marks, BMP))
        self._words: dict[str, NDArray[np.uint16]] = {}
        self._pieces_of = self._model.model.tokenize  # kept, since each access of `model` copies it
        letters = _byte_of_letter()
        self._letters = {byte: letter for letter, byte in letters.items()}
        pieces = sorted(self._model.get_vocab(with_added_tokens=False).items(), key=lambda pair: pair[1])
        self.pieces = [bytes(letters[c] for c in piece) for piece, _ in pieces]
        self.size = len(self.pieces)

    @classmethod
    def fit(cls, sample: Sequence[str], vocab: int, texts: Iterable[str] | None = None) -> SubWords:
        """At most `vocab` ids (at least 257), trained on a sample of the texts. No id goes past the end of a word.

        Words are cut by the rule of GPT-2, so that exported runs cut text as llama.cpp does, unless letters of the sample have marks.
        Bytes that occur in none of the texts (None: of the sample) get the last ids, which sampling can leave out together."""
        from tokenizers import Regex, Tokenizer, models, pre_tokenizers, trainers

        model = Tokenizer(models.BPE())
        model.pre_tokenizer = pre_tokenizers.Sequence(
            [
                pre_tokenizers.Split(Regex(sub_word_rule(has_marks(sample))), "isolated"),
                pre_tokenizers.ByteLevel(False, use_regex=False),
            ]
        )
        alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
        trainer = trainers.BpeTrainer(vocab_size=vocab, initial_alphabet=alphabet, show_progress=False)
        chunks = (
            clean(text[start : start + _CHUNK_CHARACTERS])
            for text in sample
            for start in range(0, len(text), _CHUNK_CHARACTERS)
        )
        model.train_from_iterator(chunks, trainer)
        from tokenizers import decoders

        model.decoder = decoders.ByteLevel()
        return cls(*_with_absent_last(model.to_str(), _absent_bytes(sample if texts is None else texts)))

    def encode(self, text: str) -> NDArray[np.uint16]:
        pieces = [self._encode(piece) for piece in _pieces(clean(text))]
        return np.concatenate(pieces) if pieces else np.zeros(0, dtype=np.uint16)

    def words(self, text: str) -> list[str]:
        """The text in the words that are cut into sub-words one by one."""
        words: list[str] = self._split.findall(text)
        return words

    def encode_bytes(self, data: bytes) -> tuple[int, ...]:
        """The ids of a text as `encode` gives them, where the text may end within a character. UnicodeDecodeError if it is none."""
        text = codecs.getincrementaldecoder("utf-8")().decode(data)
        words = [word.encode() for word in self.words(text)] or [b""]
        words[-1] += data[len(text.encode()) :]
        letters = ["".join(self._letters[byte] for byte in word) for word in words]
        return tuple(token.id for word in letters for token in self._pieces_of(word))

    def _encode(self, text: str) -> NDArray[np.uint16]:
        split = self._split_bmp if text.isascii() or ord(max(text)) <= BMP else self._split
        pieces = split.findall(text)
        if not pieces:
            return np.zeros(0, dtype=np.uint16)
        # The library takes about a second for a megabyte; most words repeat, so each distinct one is encoded once.
        numbers: dict[str, int] = {}
        word_index = np.fromiter((numbers.setdefault(word, len(numbers)) for word in pieces), np.int64, len(pieces))
        cached = self._words
        new_words = [word for word in numbers if word not in cached]
        encoded: dict[str, NDArray[np.uint16]] = {}
        if new_words:
            encodings = self._model.encode_batch_fast(new_words, add_special_tokens=False)
            encoded = {word: np.array(row.ids, np.uint16) for word, row in zip(new_words, encodings, strict=True)}
            # When the dict is full, a new one takes its place, since another thread may be reading the old one.
            if len(cached) + len(new_words) > _WORD_CACHE:
                cached = self._words = {word: cached[word] for word in numbers if word in cached}
            cached.update((word, ids) for word, ids in encoded.items() if len(word) <= _MAX_CACHED_LENGTH)
        return _concatenate_words([cached[word] if word in cached else encoded[word] for word in numbers], word_index)

    def decode(self, ids: Sequence[int]) -> str:
        return b"".join([self.pieces[i] for i in ids]).decode("utf-8", "replace")

    def widths(self) -> NDArray[np.float32]:
        # A character counts for the id that has its first byte; bytes 10xxxxxx are never the first of a character.
        return np.array([sum((b & 0xC0) != 0x80 for b in piece) for piece in self.pieces], dtype=np.float32)

    def spellings(self) -> list[bytes]:
        return list(self.pieces)

    def state(self) -> dict[str, object]:
        digest = hashlib.sha256(self.json.encode()).hexdigest()[:32]
        state: dict[str, object] = {"kind": self.vocabulary_type, "size": self.size, "digest": digest}
        return state if self.rare is None else {**state, "rare": self.rare}  # runs of older versions have no such block

    def tokenizer(self, special: Sequence[str]) -> Tokenizer:
        from tokenizers import AddedToken, Tokenizer

        tokenizer = Tokenizer.from_str(self.json)
        tokenizer.add_special_tokens([AddedToken(name, special=True, normalized=False) for name in special])
        return tokenizer


def clean(text: str) -> str:
    """The text with each lone surrogate (from broken JSON escapes) as U+FFFD: the same number of characters."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return re.sub("[\ud800-\udfff]", "\ufffd", text)
    return text


def restore_tokenizer(state: Mapping[str, object], folder: Path, special: Sequence[str]) -> TextTokenizer:
    """The tokenizer of a saved run. Raises DataError if its tokenizer.json is missing or belongs to another run."""
    if state["kind"] == Characters.vocabulary_type:
        letters, complete = state["letters"], state["complete"]
        if not isinstance(letters, str) or not isinstance(complete, bool):
            raise DataError("the letters of the text are not as they were saved; the run folder is damaged")
        return Characters(letters, complete)
    path = folder / "tokenizer.json"
    data = files.read_json(path)
    try:
        plain_data = _without_tokens(data, special)
        checked(TokenizerFile, plain_data, "it")
        tokenizer = SubWords(_as_library_writes(plain_data), _first_rare(state))
    except Exception as error:  # the library raises a bare Exception for a tokenizer that it cannot read
        raise DataError(f"{str(path)!r} cannot be read as a tokenizer ({error}); the run folder is damaged") from None
    if tokenizer.state() != state:
        raise DataError(f"{str(path)!r} is not the tokenizer that the run was trained with")
    return tokenizer


def _first_rare(state: Mapping[str, object]) -> int | None:
    rare, size = state.get("rare"), state.get("size")
    if rare is None:
        return None
    if type(rare) is int and isinstance(size, int) and 0 <= size - 256 <= rare < size:  # not a bool
        return rare
    raise ValueError(f"bytes that do not occur cannot begin at {rare!r}")


def _absent_bytes(texts: Iterable[str]) -> set[int]:
    """The bytes that occur in none of the texts as UTF-8."""
    counts = np.zeros(256, dtype=np.int64)
    for joined in _joined(texts):
        counts += np.bincount(np.frombuffer(clean(joined).encode(), dtype=np.uint8), minlength=256)
    return set(np.flatnonzero(counts == 0).tolist())


def _with_absent_last(tokenizer_json: str, absent: set[int]) -> tuple[str, int | None]:
    """The same tokenizer with these bytes as its last ids, and the first of them (None without any).

    Merges are stored by the text of the pieces, so that ids may have any order."""
    data = json.loads(tokenizer_json)
    vocab: dict[str, int] = data["model"]["vocab"]
    last = {letter for letter, byte in _byte_of_letter().items() if byte in absent}
    data["model"]["vocab"] = {
        piece: index for index, piece in enumerate(sorted(vocab, key=lambda piece: (piece in last, vocab[piece])))
    }
    return _as_library_writes(data), len(vocab) - len(last) if last else None


def _without_tokens(data: JsonValue, special: Sequence[str]) -> JsonValue:
    """Contents of tokenizer.json without some of the added tokens."""
    if not isinstance(data, dict) or not isinstance(added := data.get("added_tokens", []), list):
        return data
    ordinary: list[JsonValue] = [t for t in added if not isinstance(t, dict) or t.get("content") not in special]
    return {**data, "added_tokens": ordinary}


def _as_library_writes(data: JsonValue) -> str:
    from tokenizers import Tokenizer

    return str(Tokenizer.from_str(json.dumps(data)).to_str())


def _pieces(text: str) -> Iterator[str]:
    """The text in pieces of about _PIECE_CHARACTERS characters, cut at line ends between two words, which leaves ids the same.

    Other threads may run between two pieces; they cannot run while the regular expression searches."""
    start = 0
    while start < len(text):
        if start:
            time.sleep(0)
        cut = _CUT.search(text, start + _PIECE_CHARACTERS)
        stop = cut.end() if cut else len(text)
        yield text[start:stop]
        start = stop


def _concatenate_words(parts: list[NDArray[np.uint16]], word_index: NDArray[np.int64]) -> NDArray[np.uint16]:
    """parts[word_index[0]] + parts[word_index[1]] + ... without a Python loop."""
    lengths = np.fromiter(map(len, parts), dtype=np.int64, count=len(parts))
    flat = np.concatenate(parts)
    starts = np.cumsum(lengths) - lengths
    n = lengths[word_index]
    ends = np.cumsum(n)
    joined: NDArray[np.uint16] = flat[np.arange(ends[-1]) + np.repeat(starts[word_index] - (ends - n), n)]
    return joined


def _byte_of_letter() -> dict[str, int]:
    """The byte that each letter of the ByteLevel alphabet stands for: printable bytes for themselves, the rest from 256 on."""
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    unprintable = [byte for byte in range(256) if byte not in printable]
    return {chr(byte): byte for byte in printable} | {chr(256 + i): byte for i, byte in enumerate(unprintable)}


def absent_characters(tokens: TextTokenizer, text: str) -> str:
    """Characters of a text, each once, that the text to which a tokenizer was fitted lacks, as far as its ids tell. No spaces."""
    rare = tokens.rare
    if rare is None:
        return ""
    return "".join(c for c in dict.fromkeys(text) if not c.isspace() and bool((tokens.encode(c) >= rare).any()))


def encode_lines(tokens: TextTokenizer, lines: Sequence[str]) -> list[NDArray[np.uint16]]:
    """The ids of each line. If tokens are characters, all lines are encoded in one call, since calls take most of the time."""
    if not lines or not isinstance(tokens, Characters):
        return [tokens.encode(line) for line in lines]
    ids = tokens.encode("".join(lines))
    starts = np.append(np.flatnonzero(tokens.widths()[ids] > 0), len(ids))  # where each character begins
    bounds = starts[np.cumsum([0, *map(len, lines)])].tolist()
    # `np.split` takes six times as long for short pieces
    return [ids[begin:end] for begin, end in itertools.pairwise(bounds)]


class TokenChoice(NamedTuple):
    """The default tokens: "characters" or "bpe", ids of the vocabulary, and tokens that the model sees at once (0: any)."""

    tokens: str
    vocab: int
    context: int


def choose_tokens(
    characters: int,
    distinct: int,
    seconds: float | None,
    layout: Literal["items", "list", "document"],
    sub_words_in_lists: bool = False,
) -> TokenChoice:
    """The default tokens for a text.

    Lists of names and other words get characters: their records are short, and a sub-word hides how a name is built. Documents get
    sub-words, which have more text in each token: 1,024 of them won at short budgets on one megabyte of English and on code.

    Args:
        characters: Number of characters of the train part.
        distinct: How many different ones.
        seconds: The budget; None: a number of steps was given instead.
        layout: Whether files are lists or documents.
        sub_words_in_lists: Whether lists get sub-words as documents do.
    """
    if layout == "list" and distinct <= MANY_LETTERS and not sub_words_in_lists:
        return TokenChoice("characters", 0, 0)
    if characters < FEW_CHARACTERS and distinct <= 256:
        return TokenChoice("characters", 0, 128)
    vocab = next((vocab for limit, vocab in VOCAB_BY_CHARACTERS if characters < limit), LARGE_VOCAB)
    if distinct > MANY_LETTERS:
        vocab = LARGE_VOCAB
    context = 256 if seconds is not None and seconds >= LONG_BUDGET else 128
    return TokenChoice("bpe", vocab, context)


def record_context(record_lengths: NDArray[np.int64], context: int) -> int:
    """Tokens of the longest record that is read whole. context: the setting; 0: hardly any of these lengths (n,) are cut."""
    longest = int(record_lengths.max())
    if context:
        return min(context, longest)
    usual = float(np.percentile(record_lengths, 99.5))
    return int(min(longest, max(1.5 * usual, 16.0), 1024))
