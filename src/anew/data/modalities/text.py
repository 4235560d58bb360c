"""Text: documents as one stream of tokens, or lists as one record a line; characters or sub-words."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Protocol, cast

import numpy as np
from numpy.typing import NDArray

from anew.core import files
from anew.core.arrays import Integers, Numbers, Values, evenly_spaced
from anew.core.encodings import AUTO, why_not_encoding
from anew.core.settings import setting
from anew.core.specs import Batch, Spec, Tokens
from anew.core.wording import plural
from anew.data.formats import learned_schemas
from anew.data.formats.file_bytes import with_line_feeds
from anew.data.formats.gzip_files import inflate, inflate_head, is_packed
from anew.data.formats.text import line_records, text_records, tokenizer
from anew.data.formats.text.content_notes import content_notes, control_notes, header_notes
from anew.data.formats.text.encoding_recognition import sample_lines
from anew.data.formats.text.passage_ends import passage_end
from anew.data.formats.text.suffix_classes import (
    PLAIN_SUFFIX,
    SuffixClasses,
    checked_suffix,
    count_suffixes,
    file_ending,
    main_suffix,
)
from anew.data.formats.text.text_decoder import TextDecoder
from anew.data.formats.text.text_encoding import decode_text, is_unicode, looks_like_text
from anew.data.formats.text.text_pieces import spread_pieces
from anew.data.formats.text.text_records import RecordLabels
from anew.data.formats.text.token_rows import as_lists, content_ids, ordinary_ids, rows_and_prompts, token_batch
from anew.data.formats.text.tokenizer import TokenChoice, choose_tokens, record_context
from anew.data.formats.text.tokenizer_file import MAX_IDS
from anew.data.modality import Layout, Modality, ModalityTraits
from anew.data.types import Artifact, DataBudget, DataListing, DecodedItem, Item, RowTable
from anew.errors import ConfigError, DataError

if TYPE_CHECKING:
    from _typeshed import DataclassInstance
    from tokenizers import Tokenizer
    from torch import Tensor

TEXT_CONFIDENCE = 0.1  # confidence that a readable file is prose; formats known only by their suffix give half of it
MIN_LEARNED_CHARACTERS = 200  # with fewer characters nothing can be learned or held out
TOKENIZER_CHARACTERS = 2_000_000  # sub-words are trained on so many, which bounds the time; chosen
DEFAULT_SUB_WORDS = 1024  # where neither the user nor `choose_tokens` says how many; see `token_choice`
MIN_SUB_WORDS = 257  # the 256 bytes, and one sub-word
DEFAULT_CONTEXT = 128  # tokens, where nothing is known of the budget; chosen
MIN_WINDOWS, MIN_CONTEXT = 8, 8  # windows of the context length in a short text, and the tokens of one; chosen
# Characters for each token of the context from which on a text surely has a window, so that it is not encoded to find out.
LONG_TEXT_RATIO = 200
# The lengths of so many records of a list decide the context, which bounds the time; chosen.
MEASURED_RECORDS = 50_000
CELLS = "Each cell of the column {!r} is a record; without text_column, layout=list learns whole rows."
UNLABELLED = "The rows are joined into one text, without their classes: those of short records can be learned."


@dataclass(frozen=True, slots=True)
class TextConfig:
    """Settings for turning text into tokens."""

    tokens: str = setting("auto", "what one token is", choices=("auto", "characters", "bpe"))
    vocab: int = setting(0, "size of the sub-word vocabulary; 0: suited to the amount of text", low=0, high=MAX_IDS)
    context: int = setting(
        0, "context length in tokens; 0: suited to the budget and the data", unit="tokens", low=0, high=8192
    )
    layout: str = setting(
        "auto", "whether a file of lines is one document or a list of records", choices=("auto", "document", "list")
    )
    labels: str = setting(
        "auto",
        "learn classes: of the records of lists, of other texts by the suffixes of files",
        choices=("auto", "off"),
    )
    text_column: str = setting("", "table column of the text; empty: found by its name")
    label_column: str = setting("", "table column of the classes; empty: found by its name")
    header: bool = setting(True, "the first row of a table in CSV or TSV names its columns; false: it is data")
    encoding: str = setting(
        AUTO, "encoding of files that are not UTF-8, such as koi8-r; auto: recognised", why_not=why_not_encoding
    )


class TokenSettings(Protocol):
    """Settings that `Text.fit` needs, also in subclasses."""

    @property
    def tokens(self) -> str: ...

    @property
    def vocab(self) -> int: ...

    @property
    def context(self) -> int: ...


class Text(Modality):
    """Prose, and any other text. Its unit is a character; a line end counts as one, and so does the end of each record of a list.

    Attributes:
        suffix: Suffix of files of samples.
        special_names: Names of the special ids in tokenizer.json.
        only_lines: Whether texts consist of lines, not of sentences.
        sub_words_in_lists: Whether lists get sub-words, as documents do.
    """

    name = "text"
    suffixes = frozenset({".txt", ".text", ".md", ".markdown", ".rst", ".tex", ".org", ".srt", ".log", ".abc"})
    special_names: ClassVar[Mapping[str, str]] = {"begin": tokenizer.BEGIN, "end": tokenizer.END}
    only_lines: ClassVar[bool] = False
    sub_words_in_lists: ClassVar[bool] = False
    Config: type = TextConfig
    unit = "character"
    traits = ModalityTraits(
        singular="text",
        singular_of_list="record",
        is_text=True,
        cheap_to_encode=True,
        supports_labels=False,
        num_saved_samples=8,
        files_hold_comments=False,
    )

    spec: Tokens

    def __init__(self, config: DataclassInstance, *, generated: bool = False) -> None:
        super().__init__(config, generated=generated)
        self.layout: Layout = "document"
        self.tokenizer: tokenizer.TextTokenizer
        self._widths: NDArray[np.float32]
        self._record_start = ""  # see `text_records.division`
        self._notes: list[str] = []
        self._num_classes = 0
        self._labels = RecordLabels(getattr(config, "labels", "off") != "off")
        self._suffix_counts: Counter[str] = Counter()  # suffixes of the files of new data
        self._suffix_classes = SuffixClasses()
        self._table: RowTable | None = None
        self.suffix = PLAIN_SUFFIX
        self._decoder = TextDecoder(getattr(config, "encoding", None))  # molecules have no such setting: they are ASCII

    @classmethod
    def sniff(cls, head: bytes) -> float:
        return TEXT_CONFIDENCE if looks_like_text(head) else 0.0

    def survey(self, sample: Sequence[Item]) -> None:
        first_items = {item.name: item for item in reversed(sample) if isinstance(item.data, bytes)}
        self._decoder.survey(map(_lines_of, first_items.values()))

    def inspect(self, sample: Sequence[Item], budget: DataBudget | None = None) -> list[str]:
        texts = [text for item in sample if not isinstance(item.data, str) if (text := self._read_or_none(item))]
        notes = self._inspect_layout(sample, texts)
        if self.layout == "list":
            notes += self._labels.inspect(sample)
            are_learned, by_file = self._labels.are_learned, self._labels.by_file
            self.traits = replace(type(self).traits, supports_labels=are_learned, labels_from_content=by_file)
        else:
            notes += self._inspect_suffixes(budget)
            # Where several suffixes are classes, a sample gets that of its class
            self.suffix = PLAIN_SUFFIX if self._suffix_classes.suffixes else main_suffix(self._suffix_counts)
        return notes if budget is not None and budget.only_compared else [*notes, *control_notes(texts)]

    def _inspect_layout(self, sample: Sequence[Item], texts: Sequence[str]) -> list[str]:
        """Set `layout`. texts: those of the items that are files."""
        assert isinstance(self.config, TextConfig), "a subclass with other settings has an `inspect` of its own"
        if self.config.layout != "auto":
            self.layout = "list" if self.config.layout == "list" else "document"
            return _notes_on_cells(self.config)
        rows = [item.data for item in sample if isinstance(item.data, str)]
        if rows and not texts and line_records.are_short_records(rows):
            self.layout = "list"
            return ["Each row is a separate short record; layout=document joins the rows into one text."]
        if rows and not texts:
            has_labels = any(item.label is not None for item in sample) and self.config.labels != "off"
            return [UNLABELLED] if has_labels else []
        self._record_start, rules = text_records.division(texts)
        if rules:
            return rules
        objections = line_records.why_documents(texts)  # why the lines of each file are not records; None if they are
        if not objections:
            return []
        if all(objection is None for objection in objections):
            self.layout = "list"
            note = f"Each line is a record ({line_records.why_list(texts)}); layout=document reads it as one text."
            return [note, *header_notes(texts)]
        return line_records.describe_documents(texts, objections)

    def survey_listing(self, listing: DataListing) -> None:
        self._suffix_counts = count_suffixes(listing.names, listing.num_items)
        self._table = listing.table

    def _inspect_suffixes(self, budget: DataBudget | None) -> list[str]:
        """Decide whether the suffixes of files are the classes of their texts. Returns a sentence if so."""
        if not self._labels.are_learned or (budget is not None and budget.only_compared):  # passages have no class
            return []
        self._suffix_classes = SuffixClasses.of(self._suffix_counts)
        has_classes = bool(self._suffix_classes.suffixes)
        self.traits = replace(type(self).traits, supports_labels=has_classes, labels_from_content=has_classes)
        return self._suffix_classes.notes()

    def _ending(self, item: Item) -> str:
        """The suffix of an item's file; "" for none."""
        return file_ending(item)

    def class_suffix(self, label: str | None) -> str:
        return self._suffix_classes.suffix(label)

    def _read_or_none(self, item: Item) -> str | None:
        try:
            return self.read(item)
        except ValueError:
            return None

    def read(self, item: Item) -> str:
        """The item's text, with LF as its line ends.

        Raises ValueError (one clause) if it is binary, or not in the encoding that is asked for."""
        if isinstance(item.data, str):
            return self._decoder.with_line_feeds(item.name, tokenizer.clean(item.data))
        return self._decoder.decode(item.name, inflate(item.content), item.sample)

    def split_records(self, item: Item) -> Iterator[Item]:
        text = self.read(item)
        if self.layout == "document":
            is_auto = getattr(self.config, "layout", "") == "auto"
            texts = text_records.records(text, self._record_start) if is_auto else [text]
            label = self._suffix_classes.label(self._ending(item))
            yield from text_records.documents(replace(item, label=label), texts)
            return
        records, label = line_records.numbered_records(text), self._labels.label(item)
        for number, record in records:
            yield Item(f"{item.name}:{number}" if len(records) > 1 else item.name, record, label)

    def validate_header(self, item: Item) -> str | None:
        return _refusal(item)

    def remarks(self) -> list[str]:
        return [*self._decoder.notes(), *self._notes]

    # ---- learning the tokens ----

    def fit(self, items: Iterable[Item], budget: DataBudget, labels: Sequence[str]) -> Spec:
        items = list(items)
        texts = [self.read(item) for item in items]
        characters = sum(map(len, texts))
        _check_amount(characters)
        sample = spread_pieces(texts, TOKENIZER_CHARACTERS)
        self._notes = [] if budget.only_compared else content_notes(sample, characters, self.layout)
        num_distinct, total = len(set("".join(sample))), max(characters, budget.bytes)
        choice = choose_tokens(total, num_distinct, budget.seconds, self.layout, self.sub_words_in_lists)
        self.tokenizer = _fitted_tokenizer(self._token_settings, choice, texts, sample)
        self._num_classes = len(labels)
        num_documents = len({item.name for item in items})  # spans of one file have its name
        self._set_spec(_chosen_length(self, texts, choice, self._token_settings.context), num_documents > 1)
        opening = self.tokenizer.encode(line_records.passage_break(texts, num_documents)).tolist()
        self.spec = replace(self.spec, opening=tuple(opening))
        return self.spec

    @property
    def _token_settings(self) -> TokenSettings:
        return cast(TokenSettings, self.config)

    def _set_spec(self, length: int, several_documents: bool) -> None:
        """Set `spec` and `_widths`: ids of the tokenizer, then the special ones."""
        num_ids, widths = self.tokenizer.size, self.tokenizer.widths()
        special, special_widths = _special_ids(self.layout, num_ids, several_documents)
        vocab = num_ids + len(special)
        if self.tokenizer.rare is not None:
            special["rare"] = self.tokenizer.rare
        self._widths = np.concatenate([widths, np.array(special_widths, dtype=np.float32)])
        spellings = (*self.tokenizer.spellings(), *[b"\0"] * (vocab - num_ids))
        packed = self.layout == "document"
        self.spec = Tokens(vocab, length, special, self._num_classes, packed, spellings=spellings)

    # ---- ids ----

    def encode(self, item: Item) -> Numbers:
        ids = self.tokenizer.encode(self.read(item))
        special = self.spec.special
        if "begin" in special:
            return np.concatenate([[special["begin"]], ids, [special["end"]]]).astype(np.uint16)
        if "end" in special and item.ends:
            return np.append(ids, np.uint16(special["end"]))
        return ids

    def encode_many(self, items: Sequence[Item]) -> list[Numbers | str]:
        are_records = all(isinstance(item.data, str) and item.data.strip() for item in items)
        if "begin" not in self.spec.special or not are_records:
            return super().encode_many(items)
        begin, end = (np.array([self.spec.special[name]], dtype=np.uint16) for name in ("begin", "end"))
        lines = tokenizer.encode_lines(self.tokenizer, [self.read(item) for item in items])
        return [np.concatenate((begin, ids, end)) for ids in lines]

    def units(self, item: Item) -> int:
        return len(self.read(item)) + (self.layout == "list")

    def widths(self) -> Numbers:
        return self._widths

    def batch(self, rows: Numbers, labels: Integers | None, lengths: Integers | None) -> Batch:
        return token_batch(rows, labels, lengths, self._widths)

    def decode(self, x: Values | Sequence[Sequence[int]]) -> list[str]:
        return [self._decode_row(row) for row in as_lists(x)]

    def _decode_row(self, row: Sequence[int]) -> str:
        content = content_ids(row, self.spec.special)
        return self.tokenizer.decode(ordinary_ids(content, self.tokenizer.size))

    def save_item(self, item: DecodedItem, comment: str = "") -> Artifact:
        return Artifact(self.suffix, str(item).encode("utf-8", "replace"), str(item))

    def merge_files(
        self, artifacts: Sequence[Artifact], labels: Sequence[str | None], first: int = 0, continues: bool = False
    ) -> Artifact | None:
        if self._table is None or self.layout != "list":
            return None
        return Artifact(self._table.suffix, self._table.file_of([a.text or "" for a in artifacts], not continues), None)

    def truncate_at(self, x: Values, prompt_ids: Values | None, stop: str) -> list[str | None]:
        return [self._truncate_at(row, prompt, stop) for row, prompt in rows_and_prompts(x, prompt_ids)]

    def _truncate_at(self, row: Sequence[int], prompt: Sequence[int], stop: str) -> str | None:
        """The text of one sample's ids up to the first `stop` after its prompt, or None."""
        text = self._decode_row(row)
        index = text.find(stop, len(self._decode_row(prompt)))
        return None if index < 0 else text[:index]

    def end_well(self, x: Values, prompt_ids: Values | None) -> list[str]:
        """Decoded samples; those that were cut by the usual length end with a sentence, line or word. Arguments: `truncate_at`."""
        return [self._end_well(row, prompt) for row, prompt in rows_and_prompts(x, prompt_ids)]

    def _end_well(self, row: Sequence[int], prompt: Sequence[int]) -> str:
        """The text of one sample's ids, up to a good end if it is a passage that did not end by itself."""
        text = self._decode_row(row)
        if not self.spec.packed or self.spec.special.get("end") in row[len(prompt) :]:
            return text
        start = len(self._decode_row(prompt))
        return text[: start + passage_end(text[start:], self.only_lines)]

    def continuation(self, row: Sequence[int], prompt: Sequence[int]) -> str:
        """The text that a sample adds to its prompt.

        Args:
            row: Ids of the sample, the prompt first.
            prompt: Ids that it starts from.
        """
        return self._decode_row(row)[len(self._decode_row(prompt)) :]

    def grows_forwards(self, prompt: Sequence[int]) -> bool:
        """Whether further tokens are added at the end of the continuation (not at its start)."""
        return True

    def condition_from_prompt(self, prompt: str, suffix: str = "") -> Tensor:
        """(n,) int64 ids. A record begins with its begin token, a text of many documents with the end token of another one."""
        import torch

        special = self.spec.special
        if suffix:
            raise ConfigError(f"{self.name} continues a prompt and cannot fill in before a suffix; leave `suffix` out")
        prompt = _one_line(prompt, self._table) if self.layout == "list" else with_line_feeds(prompt)
        opening = special.get("begin", special.get("end"))
        ids = self.tokenizer.encode(prompt).astype(np.int64)
        return torch.from_numpy(ids if opening is None else np.concatenate([[opening], ids]))

    # ---- keeping ----

    def state(self) -> dict[str, object]:
        spec = self.spec
        return {
            "layout": self.layout,
            "tokens": self.tokenizer.state(),
            "length": spec.length,
            "many": "end" in spec.special,
            "classes": spec.classes,
            "by_file": self._labels.by_file,
            "opening": list(spec.opening),
            "record_start": self._record_start,
            "suffix": self.suffix,
            "suffixes": list(self._suffix_classes.suffixes),
            "rest": self._suffix_classes.rest,
            "files": self._decoder.state(),
            "table": None if self._table is None else asdict(self._table),
        }

    def restore(self, state: Mapping[str, object], folder: Path) -> None:
        record = learned_schemas.read(learned_schemas.LearnedText, state)
        self.layout, self._num_classes, self._record_start = record.layout, record.classes, record.record_start
        self._labels = RecordLabels(record.classes > 0, record.by_file)
        self.suffix = checked_suffix(record.suffix)
        self._suffix_classes = SuffixClasses.restored(record.suffixes, record.rest)
        self._table = None if record.table is None else RowTable(record.table.header, record.table.suffix)
        self._decoder.restore(record.files.encoding, record.files.is_sure, record.files.agree)
        self.tokenizer = tokenizer.restore_tokenizer(record.tokens, folder, tuple(self.special_names.values()))
        self._set_spec(record.length, record.many)
        self.spec = replace(self.spec, opening=record.opening)

    def stock_tokenizer(self) -> Tokenizer:
        """A `tokenizers.Tokenizer` of the ids of `spec`."""
        by_id = sorted(self.spec.special.items(), key=lambda pair: pair[1])
        return self.tokenizer.tokenizer([self.special_names[name] for name, _ in by_id if name in self.special_names])

    def save(self, folder: Path) -> None:
        files.write_text(folder / "tokenizer.json", self.stock_tokenizer().to_str(pretty=True))


def _refusal(item: Item) -> str | None:
    """Why a text cannot be used, by its beginning, as one clause, or None."""
    if isinstance(item.data, str):
        return None if item.data.strip() or not (item.begins and item.ends) else "it is empty"
    head = item.content[:8192]
    text_head = inflate_head(head)
    if not text_head.strip():
        return "it is empty or damaged gzip data" if is_packed(head) else "it is empty"
    try:
        decode_text(text_head, is_complete=False)
    except ValueError as error:
        return str(error)
    return None


def _check_amount(characters: int) -> None:
    """Raise DataError if there are too few characters to learn from."""
    if characters < MIN_LEARNED_CHARACTERS:
        raise DataError(
            f"the text has only {plural(characters, 'character')} to learn from; give at least {MIN_LEARNED_CHARACTERS}, better "
            "100,000 or more"
        )


def _fitted_tokenizer(
    settings: TokenSettings, choice: TokenChoice, texts: Sequence[str], sample: Sequence[str]
) -> tokenizer.TextTokenizer:
    """The tokenizer of texts, of which sub-words are learned from a sample."""
    if (choice.tokens if settings.tokens == "auto" else settings.tokens) == "characters":
        return tokenizer.Characters.fit(texts)
    vocab = max(settings.vocab or choice.vocab or DEFAULT_SUB_WORDS, MIN_SUB_WORDS)
    return tokenizer.SubWords.fit(sample, vocab, texts)


def _special_ids(layout: Layout, num_ids: int, several_documents: bool) -> tuple[dict[str, int], list[float]]:
    """Ids with a meaning that follow those of the tokenizer, and the characters that each stands for."""
    if layout == "list":  # the end token counts as the line end of a record
        return {"begin": num_ids, "end": num_ids + 1}, [0.0, 1.0]
    return ({"end": num_ids}, [0.0]) if several_documents else ({}, [])


def _chosen_length(text: Text, texts: Sequence[str], choice: TokenChoice, context: int) -> int:
    """Tokens that the model sees at once. context: the number that the user chose; 0: none."""
    if text.layout == "list":
        measured = [*evenly_spaced(texts, MEASURED_RECORDS), max(texts, key=len)]
        record_lengths = np.array([len(ids) for ids in tokenizer.encode_lines(text.tokenizer, measured)]) + 1
        return record_context(record_lengths, context)
    length = int(context or choice.context or DEFAULT_CONTEXT)
    if sum(map(len, texts)) > LONG_TEXT_RATIO * length:
        return length
    ids = sum(len(text.tokenizer.encode(part)) for part in texts)
    return max(min(length, ids // MIN_WINDOWS), MIN_CONTEXT)


def _notes_on_cells(config: TextConfig) -> list[str]:
    """A sentence on what a record is, where both a column and lists were asked for."""
    is_of_cells = config.layout == "list" and config.text_column
    return [CELLS.format(config.text_column)] if is_of_cells else []


def _one_line(prompt: str, table: RowTable | None) -> str:
    """The prompt without its line end, which a file of one line has. Raises ConfigError if it has several lines, or more
    cells than a row of the table."""
    line = with_line_feeds(prompt).removesuffix("\n")
    if "\n" in line:
        raise ConfigError(
            "the prompt has several lines but each record of this list is one line; give one line", "prompt"
        )
    if table is not None:
        table.check_prompt(line)
    return line


def _lines_of(item: Item) -> bytes:
    """Lines beyond ASCII from all over the file of an item; none of a file that is UTF-8 or damaged."""
    if item.sample is not None:
        return item.sample
    try:
        data = inflate(item.content)
    except ValueError:  # it is refused when it is read
        return b""
    return b"" if is_unicode(data) else sample_lines(lambda start, stop: data[start:stop], len(data))


EXPORT = Text
