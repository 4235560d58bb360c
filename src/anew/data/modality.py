"""Interface of modalities, which turn items of one kind into tensors and back. `EXPORT = TheClass` in a file registers one."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal, TypeVar

import numpy as np
from numpy.typing import NDArray

from anew.core import isolation, registry
from anew.core.arrays import Integers, Numbers, Values
from anew.core.specs import Batch, Condition, Spec
from anew.data.formats.file_bytes import read_whole, with_line_feeds
from anew.data.types import Artifact, DataBudget, DataListing, DecodedItem, Item, SkippedItem
from anew.errors import ConfigError
from anew.estimators.sequence_clusters import SequenceClusters

if TYPE_CHECKING:
    from _typeshed import DataclassInstance
    from torch import Tensor

CONFIDENT = 0.8  # from this confidence on, content outweighs a file's suffix, see `Modality.sniff`; chosen

Layout = Literal["items", "list", "document"]
"""Contents of a file: independent items, a list of records, or one running text."""
R = TypeVar("R")


@dataclass(frozen=True, slots=True, kw_only=True)
class ModalityTraits:
    """Properties common to all items of a modality.

    Attributes:
        singular: Noun for one item; its plural ends in `s`.
        singular_of_list: Noun for one item of a list, if it is another one.
        is_text: Files are text. Shards follow their bytes, and a large file is read in spans of whole lines.
        record_start: Bytes at the start of a line where a record begins, so that spans hold whole records (empty: any line does).
        reads_file_slices: Files are given as a `FileSlice` instead of their bytes, large ones as several slices.
        cheap_to_encode: A small source is read and encoded whole; otherwise shards are encoded while training goes on.
        decodes_natively: C libraries decode the files, so reading goes through `each` or `encode_many`, in another process.
        supports_labels: Labels of items may be learned as classes.
        labels_from_filenames: Without class folders, classes may stand in file names (`dog_3.wav`).
        labels_from_content: The class of an item is known only from reading it (a header), not from the listing of files.
        unsupported_suffixes: Suffixes of such files that are not read, and the format to convert them to.
        folder_advice: How other files are laid out in folders so that each folder is an item (`folders`), a clause.
        max_file_bytes: Larger files are skipped; 0: no limit.
        max_cluster_bytes: A list up to this size is kept whole, and `sequence_clusters` finds relatives in it; 0: never.
        num_saved_samples: Number of samples that a run keeps.
        default_sampling: Sampling settings that suit such items, for families that have them.
        unfit_sampling: Sampling settings of such families that do not fit such items.
        tries_families: Several families are tried, because the best one differs from dataset to dataset (measured, docs/log.md).
        files_hold_comments: Files that are written have a place for a comment.
        exact_suffix: If samples are saved in several formats, the suffix of the one that keeps them as they are.
    """

    singular: str
    singular_of_list: str = ""
    is_text: bool = False
    record_start: bytes = b""
    reads_file_slices: bool = False
    cheap_to_encode: bool = False
    decodes_natively: bool = False
    supports_labels: bool = True
    labels_from_filenames: bool = False
    labels_from_content: bool = False
    unsupported_suffixes: Mapping[str, str] = field(default_factory=dict)
    folder_advice: str = ""
    max_file_bytes: int = 0
    max_cluster_bytes: int = 0
    num_saved_samples: int = 36
    default_sampling: Mapping[str, float] = field(default_factory=dict)
    unfit_sampling: frozenset[str] = frozenset()
    tries_families: bool = False
    files_hold_comments: bool = True
    exact_suffix: str = ""

    @property
    def plural(self) -> str:
        """The noun for several items."""
        return f"{self.singular}s"


class Modality(ABC):
    """One kind of item. Methods are called in this order: `survey`, `inspect`, `fit`, then `encode` and `decode`.

    `inspect` decides what an item is, `fit` learns vocabulary, shape and scale. `state` and `save` keep their results in the
    run folder; `restore` takes the place of both when a run is opened again.

    Attributes:
        name: The modality's name, that of its file.
        suffixes: Suffixes of files, lower case with the dot. They are a hint; `sniff` decides.
        Config: Dataclass of its settings.
        file_formats: Formats of files that `save_as` writes, which are their suffixes; none where items have one form of file.
        unit: Unit by which bits are divided: "character", "residue" or "dimension".
        traits: Properties of all its items.
        config: An instance of `Config`.
        generated: The items are samples of a generator: invalid ones count against it, and are not skipped.
        layout: Contents of a file; `inspect` may decide it.
        spec: Shape or vocabulary of encoded items; set by `fit` and `restore`.
        signature_version: Version of `signature`, by which data is divided; that of a saved run's data as long as it is open.
    """

    name: str
    suffixes: frozenset[str]
    Config: type
    file_formats: ClassVar[tuple[str, ...]] = ()
    unit: str
    traits: ModalityTraits

    config: DataclassInstance
    layout: Layout = "items"
    spec: Spec
    signature_version: int = 1

    def __init__(self, config: DataclassInstance, *, generated: bool = False) -> None:
        self.config = config
        self.generated = generated

    @property
    def native(self) -> bool:
        """Whether `anew.core.isolation` decodes its items in another process."""
        return self.traits.decodes_natively

    @property
    def noun(self) -> str:
        """The noun for one item of this data; its plural ends in `s`."""
        if self.layout == "list" and self.traits.singular_of_list:
            return self.traits.singular_of_list
        return self.traits.singular

    @property
    def base(self) -> Modality:
        """The modality of the items themselves, behind any codec."""
        return self

    # ---- reading sources ----

    @classmethod
    def sniff(cls, head: bytes) -> float:
        """Confidence that a file is of this modality, by its content alone.

        Args:
            head: The first KB of the file.

        Returns:
            0 (it is not, or cannot be known) to 1 (certain). From CONFIDENT on it outweighs the file's suffix, unless the modality
            of that suffix is as confident.
        """
        return 0.0

    @classmethod
    def folders(cls, root: Path, files: Mapping[str, Sequence[str]], is_requested: bool = False) -> list[str]:
        """Folders that are one item each (numbered frames); their `FileSlice` points to a folder.

        Args:
            root: The source.
            files: Paths in each folder below `root`, sorted.
            is_requested: The user says that items are of this modality, so that the names are enough to decide.
        """
        return []

    def settings_like(self, samples: Sequence[Item], real: Sequence[Item]) -> dict[str, object]:
        """Settings that read real items in the form of samples, if that is less than their own: smaller, or without transparency."""
        return {}

    def survey(self, sample: Sequence[Item]) -> None:
        """Decide from a sample, before `inspect`, how files are read (in which encoding); also for other data than a run's own."""
        return None

    def survey_listing(self, listing: DataListing) -> None:
        """Learn from the listing of new data, before `inspect`."""
        return None

    def inspect(self, sample: Sequence[Item], budget: DataBudget | None = None) -> list[str]:
        """Decide what an item is (a file of lines may be a list of records), before anything is split.

        Called once, before `split_records`; the decision is part of `state`.

        Args:
            sample: Items from all over the source.
            budget: Time and size of the source, if they are known: the length of clips may depend on them.

        Returns:
            Sentences for the user.
        """
        return []

    @property
    def holds_records(self) -> bool:
        """Whether items of the source may hold several records, see `split_records`."""
        return type(self).split_records is not Modality.split_records

    def split_records(self, item: Item) -> Iterable[Item]:
        """The records that one item of the source holds; most hold one."""
        return (item,)

    @abstractmethod
    def validate_header(self, item: Item) -> str | None:
        """Why the item cannot be used, as one clause, or None. Cheap: reads headers only."""

    def validate_body(self, item: Item) -> str | None:
        """Why `encode` would refuse a record cut out of a large file, as one clause, or None.

        Checked only if that is cheap before `fit`, so that unusable records are not held out."""
        return None

    def signature(self, item: Item) -> bytes | None:
        """Bytes that near-identical items share, so that they stay in one part; None: only identical items stay together.

        Raises ValueError (one clause) if the body was read and `encode` would refuse it.
        """
        return None

    def signature_state(self) -> dict[str, object]:
        """JSON values on which `signature` depends besides the item and the settings, for the key of cached signatures."""
        return {}

    def sequence_clusters(self, items: Sequence[Item]) -> SequenceClusters | None:
        """Clusters of related items, if whole clusters should be held out besides random items, or None."""
        return None

    def form(self) -> str:
        """The size in which pictures are learned, and their channels, in words; "" for all others."""
        return ""

    def remarks(self) -> list[str]:
        """Sentences for the user about what has been read so far (files in an old encoding, shrunk images)."""
        return []

    # ---- learning and encoding ----

    @abstractmethod
    def fit(self, items: Iterable[Item], budget: DataBudget, labels: Sequence[str]) -> Spec:
        """Learn vocabulary, shape and scale; set and return `self.spec`.

        Args:
            items: Items of the train split only.
            budget: The budget, and bytes and items of the source.
            labels: Names of the classes.
        """

    @abstractmethod
    def encode(self, item: Item) -> Numbers:
        """The stored form of an item.

        Returns:
            (n,) unsigned ids for `Tokens`; for a `Grid` an array of one shape for all items, that of `spec` or one that
            `batch` turns into it (a waveform).

        Raises:
            ValueError: The item's body turns out to be damaged (one clause).
        """

    def encode_many(self, items: Sequence[Item]) -> list[Numbers | str]:
        """`encode` of each, or the reason (one clause) why an item cannot be encoded. Some modalities override it to be faster."""
        results = isolation.each(self.encode_checked, items)
        return [str(result) if isinstance(result, ValueError) else result for result in results]

    def encode_checked(self, item: Item) -> Numbers:
        """`encode` of an item whose header is not validated yet. Raises ValueError (one clause)."""
        reason = self.validate_header(item)
        if reason is not None:
            raise ValueError(reason)
        return self.encode(item)

    @abstractmethod
    def units(self, item: Item) -> int:
        """Number of characters, residues or values of the item, by which bits are divided."""

    def widths(self) -> Numbers | None:
        """(vocab,) units that each id of `Tokens` stands for; they sum to exactly `units`. None for a `Grid`, whose units are its
        values."""
        return None

    @abstractmethod
    def batch(self, rows: Numbers, labels: Integers | None, lengths: Integers | None) -> Batch:
        """Stored rows of one step as model input.

        Args:
            rows: (B, ...) stored values for a `Grid`; (B, L+1) ids for `Tokens`.
            labels: (B,) class numbers.
            lengths: (B,) how many ids of each row are real; None: all.
        """

    def orderings(self, batch: Batch) -> list[Batch]:
        """All orders in which the same rows are learned, the given one first (a sequence from either end).

        Training draws one for each row; the probability of an item is the mean over its orders."""
        return [batch]

    def augment(self, batch: Batch, numbers: NDArray[np.uint64]) -> Batch:
        """A batch as training sees it (for example other orders of the same tokens).

        Args:
            batch: Rows as they are stored.
            numbers: (B,) evenly distributed numbers, the only source of randomness.
        """
        return batch

    # ---- back to items ----

    @abstractmethod
    def decode(self, x: Values) -> Sequence[DecodedItem]:
        """Model output (n, ...) as items: str for text, (H, W) or (H, W, C) uint8 for images, (N,) or (N, 2) float32 for sound."""

    def decode_real(self, x: Values) -> Sequence[DecodedItem]:
        """`decode` of real items, or of a codec's reconstructions: without the corrections of `calibrate`, which are for samples
        alone."""
        return self.decode(x)

    def to_items(self, rows: Numbers) -> Sequence[DecodedItem]:
        """Stored rows (n, ...) of real items as items; by default what the model's input decodes to."""
        return self.decode_real(self.batch(rows, None, None).x)

    def picture(self, item: DecodedItem) -> Numbers | None:
        """(H, W) or (H, W, C) uint8: how a decoded item looks on a sheet of many; None: it is read as text."""
        return None

    def draw_grids(self, x: Tensor) -> Tensor:
        """(n, C, *axes) of a bounded `Grid` as its items look, for a timelapse: much faster than decoding."""
        return x

    def pictures(self, items: Iterable[DecodedItem]) -> list[Numbers]:
        """The picture of each item; [] if items are read as text."""
        return [picture for item in items if (picture := self.picture(item)) is not None]

    @abstractmethod
    def save_item(self, item: DecodedItem, comment: str = "") -> Artifact:
        """A decoded item as an ordinary file, with a comment in ASCII if its format has a place for one."""

    def save_as(self, item: DecodedItem, file_format: str, comment: str = "") -> Artifact:
        """A decoded item in one of `file_formats`."""
        raise NotImplementedError

    def class_suffix(self, label: str | None) -> str:
        """The suffix of the file of a sample of a class, where suffixes are classes; "": files have that of `save_item`."""
        return ""

    def merge_files(
        self, artifacts: Sequence[Artifact], labels: Sequence[str | None], first: int = 0, continues: bool = False
    ) -> Artifact | None:
        """All samples in one file, if such items are usually kept that way; None: a file each.

        Args:
            artifacts: As `save_item` gives them.
            labels: Class of each.
            first: Number of samples before these.
            continues: Whether the samples before these are in the same file, so that this is the rest of it.
        """
        return None

    def num_on_sheet(self, item: DecodedItem) -> int:
        """How many items like this one `sheet_files` takes at most."""
        return 0

    def sheet_files(self, items: Sequence[DecodedItem], names: Sequence[str], stem: str) -> dict[str, bytes]:
        """Files with many items together, for use by programs: a sprite sheet and its cells. By default there are none.

        Args:
            names: Name of the file of each.
            stem: Names of the files without their endings.

        Returns:
            Content by name.
        """
        return {}

    def why_unlike(self) -> str:
        """Why what was read of other data, in the form of the first, is of another kind, as a clause; "" if it is not."""
        return ""

    def enlarge(self, item: DecodedItem, factor: int) -> DecodedItem:
        """A decoded picture whose pixels are squares of `factor` pixels a side.

        Raises:
            ConfigError: Items have no pixels.
        """
        raise ConfigError(f"{self.name} data has no pixels to enlarge; leave scale out")

    def calibration_size(self) -> tuple[int, int]:
        """Numbers of samples and of training items that `calibrate` needs; (0, 0): it has nothing to learn."""
        return 0, 0

    def calibrate(self, samples: Values, real: Values) -> None:
        """Learn, after training, what `decode` does to samples so that they are more like real items.

        Args:
            samples: (n, *shape) samples as the model gives them.
            real: (m, *shape) training items in the same values.
        """
        return None

    def keep_known(self, items: Sequence[DecodedItem], condition: Condition) -> Sequence[DecodedItem]:
        """Decoded samples in which the given values of a condition are restored exactly."""
        return items

    # ---- prompts ----

    def condition_from_prompt(self, prompt: str, suffix: str = "") -> Tensor | Condition:
        """The condition that samples start from, given the beginning and the end of an item as a user writes them.

        Raises:
            ConfigError: The modality takes no prompts, or no suffixes.
        """
        raise no_prompt_error(self.name, prompt, suffix)

    def prompt_file(self, path: Path) -> str:
        """The prompt that a file holds, as `condition_from_prompt` takes it: its text. Raises ValueError (one clause)."""
        try:
            return with_line_feeds(read_whole(path).decode("utf-8"))
        except UnicodeDecodeError as error:
            raise ValueError(f"it cannot be read as UTF-8 text ({error})") from None

    def truncate_at(self, x: Values, prompt_ids: Values | None, stop: str) -> list[str | None]:
        """The text of each sample up to a string.

        Args:
            x: (n, L) ids of samples.
            prompt_ids: (L,) or (n, L) ids that samples start from, which are not searched for the string; None: no prompt.
            stop: String before which new text ends.

        Returns:
            n texts, None for those in which `stop` has not appeared.

        Raises:
            ConfigError: Items are not text.
        """
        raise ConfigError(f"{self.name} data has no text to stop at; leave stop out")

    # ---- keeping ----

    @abstractmethod
    def state(self) -> dict[str, object]:
        """Results of `inspect` and `fit`, as JSON values (kept in config.json)."""

    def encoding_state(self) -> dict[str, object]:
        """The part of `state` that decides what `encode` gives: a cache knows encoded items by it. Unless overridden, all of it."""
        return self.state()

    @abstractmethod
    def restore(self, state: Mapping[str, object], folder: Path) -> None:
        """Read what `state` and `save` kept. Raises ValueError (one clause) if it does not fit."""

    def save(self, folder: Path) -> None:
        """Write further files of the run (tokenizer.json)."""
        return None


def each(
    method: Callable[[Item], R], items: Iterable[Item | SkippedItem], at_once: int = isolation.BATCH_ITEMS
) -> Iterator[tuple[Item | SkippedItem, R | ValueError | None]]:
    """Call a method of a modality on each item, and pass refusals through; `at_once` items at most are read ahead.

    Yields:
        The item with the method's result (an iterator as a list), with a ValueError (one clause) if the item cannot be used, or
        the refusal with None.
    """
    for batch in isolation.batches(items, at_once):
        results = isolation.each(method, [item for item in batch if isinstance(item, Item)])
        for item in batch:
            yield item, next(results) if isinstance(item, Item) else None


def reasons(
    method: Callable[[Item], str | None], items: Iterable[Item | SkippedItem]
) -> Iterator[tuple[Item | SkippedItem, str | None]]:
    """Each item with the reason why it cannot be used, or None; a refusal with its own reason.

    The method gives the reason: `validate_header` or `validate_body`."""
    for item, reason in each(method, items):
        if isinstance(item, SkippedItem):
            yield item, item.reason
        else:
            yield item, None if reason is None else str(reason)


def no_prompt_error(name: str, prompt: str, suffix: str) -> ConfigError:
    """The ConfigError for a modality without prompts, which names the argument that was given."""
    argument = "suffix" if suffix and not prompt else "prompt"
    return ConfigError(f"{name} data takes no {argument}; leave `{argument}` out")


def load_modality(name: str) -> type[Modality]:
    """The modality of this name. Raises ConfigError with the nearest name if there is none."""
    modality = registry.load("data", name)
    assert issubclass(modality, Modality)
    return modality
