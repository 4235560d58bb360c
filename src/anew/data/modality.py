"""How one kind of item becomes a tensor and back. One file a modality; `EXPORT = TheClass` registers it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from anew.core import isolation
from anew.core.specs import Batch, Spec
from anew.data.formats.reading import read_whole
from anew.data.types import Artifact, Item, Refusal, Size
from anew.errors import ConfigError
from anew.estimators.sequence_clusters import Kin

SURE = 0.8  # a claim that outweighs a file's ending, see `Modality.claims`


class Modality(ABC):
    """A kind of item. Stateless until `fit`; what fit learns is saved by `save` into the run folder and read by `load`.

    suffixes: file endings it takes, lower case with the dot: a hint, `claims` decides. light: items cost little to encode,
    so that a small source is read and encoded whole; otherwise blocks are encoded in the background while training goes on.
    textual: files are text, so blocks follow their bytes, and a large file is read in spans of whole lines. record: the
    bytes that open a line where a record begins; spans then hold whole records ("": any line does).
    streams: files are handed over as a `Handle` instead of their bytes, large ones as several parts (`expand` cuts them).
    classed: the labels of items may be learned as classes. named: classes may stand in file names (`dog_3.wav`) where there
    are no class folders. labels_read: reading tells the classes (a header), the listing does not. shown: samples that a
    run keeps. noun: what one item is called, where that is not NAME item. sampling: knobs that suit samples of this kind, for
    families that have them. foreign: endings of such items that are not read, and what to convert them to. related: bytes of
    a list, up to which it is kept whole and `kin` finds relatives in it; 0: the kind knows no relatives. native: libraries in C
    decode its files, so whatever reads one goes through `each` or `encode_many`, which do it in another process. largest: bytes
    of a file, 0: any.
    """

    name: ClassVar[str]
    suffixes: ClassVar[frozenset[str]]
    Config: ClassVar[type]
    light: ClassVar[bool] = False
    textual: ClassVar[bool] = False
    record: ClassVar[bytes] = b""
    streams: ClassVar[bool] = False
    classed: bool = True
    named: ClassVar[bool] = False
    labels_read: bool = False
    shown: ClassVar[int] = 36
    noun: ClassVar[str] = ""
    foreign: ClassVar[Mapping[str, str]] = {}
    related: ClassVar[int] = 0
    sampling: ClassVar[Mapping[str, Any]] = {}
    native: ClassVar[bool] = False
    largest: ClassVar[int] = 0
    unit: ClassVar[str]  # what bits are divided by: "character", "residue", "dimension"

    config: Any
    spec: Spec
    made: bool = False  # what is read are samples: a generator's faults count, and are no reason to refuse one
    size: Size | None = None  # the budget, where it is known before `survey`: what a record is may depend on it

    def __init__(self, config: Any) -> None:
        self.config = config

    @classmethod
    def claims(cls, head: bytes) -> float:
        """How surely a file that begins with `head` (some KB) is of this kind, whatever it is called: 0 not at all or not to
        be told, 1 certainly. From SURE up the content outweighs the file's ending, unless its own kind claims it as surely."""
        return 0.0

    @classmethod
    def called(cls) -> str:
        """What one item is called; an `s` behind it makes it several."""
        return cls.noun or f"{cls.name} item"

    @classmethod
    def many(cls) -> str:
        """What its items are called together."""
        return f"{cls.noun}s" if cls.noun else cls.name

    @classmethod
    def folders(cls, root: Path, files: Mapping[str, Sequence[str]], asked: bool = False) -> list[str]:
        """Those folders below `root` that are one item each (numbered frames); files: paths in each folder, sorted. Their
        `Handle` then points to a folder. asked: the user says that items are of this kind, so names are enough."""
        return []

    def survey(self, sample: Sequence[Item]) -> list[str]:
        """Decide, before the split, what an item is (a file of lines may be a list of records) from a sample of the source;
        sentences for the user. Called once, before `expand`; the decision is part of `state`."""
        return []

    def expand(self, item: Item) -> Iterable[Item]:
        """The records that one item of the source holds; most hold one."""
        return (item,)

    def signature(self, item: Item) -> bytes | None:
        """The same bytes for near-identical items, so that they land in one part; None: the content itself decides.

        Raises ValueError (one clause) where it reads the body and finds that `encode` would refuse the item."""
        return None

    def kin(self, items: Sequence[Item]) -> Kin | None:
        """Who is related to whom among items, where whole clusters of relatives should be held out besides items at random;
        None where the kind knows no such thing."""
        return None

    def widths(self) -> NDArray[Any] | None:
        """(vocab,) units that each id stands for, Tokens only (sums are exact); None for a Grid, whose units are its values."""
        return None

    def remarks(self) -> list[str]:
        """Sentences for the user about what has been read so far (files in an old encoding, shrunk images)."""
        return []

    @abstractmethod
    def accepts(self, item: Item) -> str | None:
        """None if the item's content can be used, else the reason as one clause (`Refusal`). Cheap: reads headers only."""

    def damage(self, item: Item) -> str | None:
        """Why `encode` would refuse a record cut out of a large file, as one clause, where that is cheap to tell from its body
        before `fit`: nobody holds out what cannot be used."""
        return None

    @abstractmethod
    def fit(self, items: Iterable[Item], size: Size, labels: Sequence[str]) -> Spec:
        """Learn vocabulary, shape and scale from items of the train split only, set and return `self.spec`."""

    @abstractmethod
    def encode(self, item: Item) -> NDArray[Any]:
        """What the cache stores: (n,) unsigned ids for Tokens; for a Grid an array of one shape for all items, that of
        `spec` or whatever `batch` turns into it (a waveform).

        Raises ValueError (one clause) for an item whose body turns out to be damaged."""

    def encode_many(self, items: Sequence[Item]) -> list[NDArray[Any] | str]:
        """`encode` for each, or the reason (one clause) why an item cannot be. Faster where a modality can work in bulk."""
        found = isolation.each(self, "encode_checked", items)
        return [str(one) if isinstance(one, ValueError) else one for one in found]

    def encode_checked(self, item: Item) -> NDArray[Any]:
        """`encode` of an item whose header was not looked at yet. Raises ValueError (one clause)."""
        reason = self.accepts(item)
        if reason is not None:
            raise ValueError(reason)
        return self.encode(item)

    @abstractmethod
    def units(self, item: Item) -> int:
        """Characters, residues or pixels of the original item."""

    @abstractmethod
    def batch(self, rows: NDArray[Any], labels: NDArray[Any] | None, lengths: NDArray[Any] | None) -> Batch:
        """Stored rows of one step -> model input. Grid: (B, ...) stored values. Tokens: (B, L+1) ids; lengths (B,) the
        number of ids that are real in each row (None: all)."""

    def views(self, batch: Batch) -> list[Batch]:
        """All codings of the same rows, this one first (a sequence from either end). Training draws one for each row; the
        probability of an item is the mean of those of its codings."""
        return [batch]

    def trained(self, batch: Batch, numbers: NDArray[np.uint64]) -> Batch:
        """What training makes of a batch (other orders of the same tokens); numbers: (B,) well-spread, all its chance."""
        return batch

    @abstractmethod
    def decode(self, x: Any) -> list[Any]:
        """Model output (n, ...) -> items as people see them: str for text, (H, W) or (H, W, C) uint8 for images, float32 for
        sound."""

    def seen(self, rows: NDArray[Any]) -> list[Any]:
        """Stored rows of real items -> items as people see them; by default what the model's side of them decodes to."""
        return self.decode(self.batch(rows, None, None).x)

    def picture(self, item: Any) -> NDArray[Any] | None:
        """(H, W) or (H, W, C) uint8: how an item, as people see it, looks on a sheet of many; None: it is read as text."""
        return None

    def pictures(self, items: Iterable[Any]) -> list[Any]:
        """The picture of each item, or the item itself where there is none."""
        return [item if (one := self.picture(item)) is None else one for item in items]

    @abstractmethod
    def save_item(self, item: Any) -> Artifact:
        """An item as people see it -> an ordinary file."""

    def ended(self, x: Any, known: Any, stop: str) -> list[str | None]:
        """The text of each sample (n, L) without what follows the first `stop` in what was drawn, and without it; None where
        it has not appeared. known: ids (L,) or (n, L) that samples start from, or None. `files(texts)` then writes them."""
        raise ConfigError(f"{self.name} data has no text to stop at; leave stop out")

    def prompt_file(self, path: Path) -> str:
        """What `condition_from_prompt` takes for the prompt that lies in a file: its text. Raises ValueError (one clause)."""
        try:
            return read_whole(path).decode("utf-8")
        except UnicodeDecodeError as error:
            raise ValueError(f"it cannot be read as UTF-8 text ({error})") from None

    def together(self, artifacts: Sequence[Artifact], labels: Sequence[str | None]) -> Artifact | None:
        """All samples in one file, where that is how such items are kept; None: a file each."""
        return None

    def condition_from_prompt(self, prompt: str, suffix: str = "") -> Any:
        """What a user gives of a sample, its beginning and its end -> ids or values that samples start from. Raises ConfigError
        where the modality has no prompts, or no ends."""
        raise takes_no_prompt(self.name, prompt, suffix)

    @abstractmethod
    def state(self) -> dict[str, Any]:
        """What fit learned, as JSON values (kept in config.json)."""

    @abstractmethod
    def restore(self, state: dict[str, Any], folder: Path) -> None:
        """Undo `state` and `save`."""

    def save(self, folder: Path) -> None:
        """Write further files that belong to the run (tokenizer.json)."""
        return None


def each(modality: Modality, method: str, ones: Iterable[Item | Refusal]) -> Iterator[tuple[Item | Refusal, Any]]:
    """Each with what this method of the modality makes of it: a list instead of an iterator, a ValueError (one clause) where
    the item cannot be used, None beside a refusal. A few are read ahead."""
    for piece in isolation.pieces(ones):
        found = isolation.each(modality, method, [one for one in piece if isinstance(one, Item)])
        for one in piece:
            yield one, next(found) if isinstance(one, Item) else None


def reasons(
    modality: Modality, method: str, ones: Iterable[Item | Refusal]
) -> Iterator[tuple[Item | Refusal, str | None]]:
    """The same of methods that say why an item cannot be used (`accepts`, `damage`), and the reason of a refusal."""
    for one, reason in each(modality, method, ones):
        yield one, one.reason if isinstance(one, Refusal) else None if reason is None else str(reason)


def takes_no_prompt(name: str, prompt: str, suffix: str) -> ConfigError:
    """The ConfigError that names what was given."""
    given = "suffix" if suffix and not prompt else "prompt"
    return ConfigError(f"{name} data takes no {given}; leave `{given}` out")


def usable_classes(wanted: str, labels: Sequence[str], items: int, what: str, notes: list[str]) -> int:
    """How many classes condition the generator: all, or none where labels are "off" or too many for the items (a note
    says so). what: the items in the plural."""
    if wanted == "off" or len(labels) < 2:
        return 0
    if 2 * len(labels) > max(items, 1):
        notes.append(f"{len(labels)} classes for {items} {what} are too many: labels are not used.")
        return 0
    return len(labels)
