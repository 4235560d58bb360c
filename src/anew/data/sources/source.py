"""All readers of one path."""

from __future__ import annotations

import importlib
import itertools
import os
import os.path
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, cast

import numpy as np
from numpy.typing import NDArray

from anew.core.files import clause
from anew.core.stores.addresses import GIVE_A_PLACE, address_of, is_hub_name, without_query
from anew.core.stores.text_column import ChosenTexts
from anew.core.wording import are, plural
from anew.data import limits
from anew.data.file_names import is_packed, suffix_of
from anew.data.formats import by_range
from anew.data.formats.by_range import Range
from anew.data.modality import Modality
from anew.data.skipped import name_reasons
from anew.data.sources.base import Reader, SampleReader, Shard, is_of_folder, reader_of
from anew.data.sources.beside_data import drop_side_files
from anew.data.sources.columns import ColumnChoice
from anew.data.sources.described_files import described_files
from anew.data.sources.listing import File, FileTable, Listing, list_files, shorten_path
from anew.data.sources.own_folders import drop_own_folders, refuse_own_folder
from anew.data.sources.remote import local_copy
from anew.data.sources.zip_copy import unpacked, zip_at
from anew.data.types import DataListing, Item, SkippedItem
from anew.errors import DataError

if TYPE_CHECKING:
    from anew.data.sources.tables import TableReader


def names_place(text: str) -> bool:
    """Whether something on the disk has this name, or it is an address or a hub name; nothing is fetched."""
    return os.path.exists(os.path.expanduser(text)) or is_hub_name(text) or address_of(text) is not None


def existing_place(text: str) -> Path | None:
    """The folder or the file of this name; None if it is an address or a dataset of the hub.

    Raises:
        DataError: It is none of these.
    """
    if not text:
        raise DataError(f"the path of the data is empty; {GIVE_A_PLACE}")
    try:
        place = Path(text).expanduser()
        exists = place.exists()
    except OSError as error:
        raise DataError(f"{shorten_path(text)!r} cannot be read ({clause(error)})") from None
    except RuntimeError:
        raise DataError(f"{shorten_path(text)!r} names the home of an unknown user; give a folder or a file") from None
    if exists:
        return place
    if not is_hub_name(text) and address_of(text) is not None:
        return None
    if "/" in text and Path(text.partition("/")[0] or "/").is_dir():  # a mistyped path; hf:// still reaches the hub
        parent_folder = next(parent for parent in place.parents if parent.is_dir())
        raise DataError(f"{text!r} does not exist in the folder {str(parent_folder)!r}; give a folder or a file")
    if is_hub_name(text):
        return None
    raise DataError(f"{text!r} does not exist; {GIVE_A_PLACE}")


class Source:
    """All readers of one path. Listing opens no bodies beyond a bounded sample.

    Attributes:
        path: The path as the user gave it.
        counts: Items of all readers, see `Reader`.
        bytes: Bytes of all readers.
    """

    def __init__(
        self,
        path: str,
        readers: Sequence[Reader],
        notes: Sequence[str] = (),
        refusals: Sequence[SkippedItem] = (),
        tables: Sequence[Reader] = (),
        folder: SampleReader | None = None,
    ) -> None:
        """
        Args:
            path: The path as the user gave it.
            readers: All readers.
            notes, refusals: Those of the listing itself; the readers have their own.
            tables: The readers that read columns.
            folder: The one that reads folders of files; None without it.
        """
        self.path = path
        self._tables, self._folder = list(tables), folder
        self.readers = list(readers)
        self._notes = list(notes)
        self._refusals = list(refusals)
        self._reader_of_shard: dict[str, Reader] = {}
        self.counts = _sum(reader.counts for reader in readers)
        self.bytes = _sum(reader.bytes for reader in readers)

    @classmethod
    def open(
        cls,
        path: str | Path,
        modalities: Mapping[str, type[Modality]],
        are_samples: bool = False,
        requested: str | None = None,
        choice: ColumnChoice | None = None,
    ) -> Source:
        """List a folder, a file, an address or a hub name.

        Args:
            path: The data, as the user gave it.
            modalities: All modalities by name.
            are_samples: Whether it holds samples, of which each counts once, whatever formats it is saved in.
            requested: The modality that the user names, see `Modality.folders`.
            choice: Columns of tables that the user names.

        Raises:
            DataError: There is nothing to list.
        """
        text = os.fspath(path)
        place, copy = existing_place(text), None
        if place is None:
            address = None if is_hub_name(text) else address_of(text)
            if address is None:
                hub = importlib.import_module("anew.data.sources.hub")
                reader: Reader = hub.open_hub(text, modalities, choice)
                return cls(text, [reader], tables=[reader])
            text = without_query(address)
            copy = local_copy(address, _range_rule(modalities, requested))
            place = copy.place
        archive = zip_at(place)
        if archive is not None:
            copy = unpacked(archive, text)
            place = copy.place
        listing = list_files(place) if copy is None else copy.listing
        source = cls._open_files(text, place, listing, modalities, are_samples, requested, choice or ColumnChoice())
        if copy is not None:
            source._refusals += copy.refusals
            source._notes.append(copy.note)
        return source

    @classmethod
    def _open_files(
        cls,
        text: str,
        place: Path,
        listing: Listing,
        modalities: Mapping[str, type[Modality]],
        are_samples: bool,
        requested: str | None,
        choice: ColumnChoice,
    ) -> Source:
        refuse_own_folder(text, place, listing.files)
        files, own_folders = drop_own_folders(text, listing.root, listing.files)
        refusals = [*listing.refusals, *own_folders]
        _check_not_empty(text, files, listing.hidden, refusals)
        files, side_notes = drop_side_files(files)
        described = described_files(listing.root, files)
        by_reader = _by_reader(described.files)
        _take_large_archives(by_reader)
        if "tables" not in by_reader:
            choice.check(text, ())
        readers: dict[str, Reader] = {}
        further_arguments = {"folder": (described.classes, are_samples, requested), "tables": (choice,)}
        for name, own_files in sorted(by_reader.items()):
            module = importlib.import_module(f"anew.data.sources.{name}")
            further = further_arguments.get(name, ())
            readers[name] = module.open_reader(own_files, listing.root, modalities, *further)
        notes = [*listing.notes, *side_notes, *described.notes]
        tables = [readers["tables"]] if "tables" in readers else []
        folder = cast(SampleReader | None, readers.get("folder"))
        return cls(text, list(readers.values()), notes, refusals, tables, folder)

    @property
    def table_notes(self) -> list[str]:
        """Sentences on the columns that are read."""
        return [note for reader in self._tables for note in reader.notes]

    @property
    def left_out_notes(self) -> list[str]:
        """Sentences on files that are left out, since others hold the same samples."""
        return [] if self._folder is None else self._folder.left_out_notes

    @property
    def notes(self) -> list[str]:
        """Sentences of all readers."""
        notes = [*self._notes, *(note for reader in self.readers for note in reader.notes)]
        return list(dict.fromkeys(notes))  # a reader repeats some each time that its shards are asked for

    @property
    def refusals(self) -> list[SkippedItem]:
        """Files that could not be listed."""
        return [*self._refusals, *(refusal for reader in self.readers for refusal in reader.refusals)]

    def shards(self, modality: str) -> list[Shard]:
        """The shards of all readers that hold this modality."""
        shards: list[Shard] = []
        for reader in self.readers:
            if reader.counts.get(modality):
                reader_shards = reader.shards(modality)
                # With one reader, the names of half a million shards would be held in vain
                if len(self.readers) > 1:
                    self._reader_of_shard.update((shard.name, reader) for shard in reader_shards)
                shards.extend(reader_shards)
        return shards

    @property
    def field_names(self) -> tuple[str, ...]:
        """See `TableReader.field_names`."""
        reader = self._only_tables
        return () if reader is None else reader.field_names()

    def listing(self, modality: str) -> DataListing:
        """Known facts about the items of a modality."""
        reader = self._only_tables
        table = None if reader is None else reader.row_table()
        return DataListing(self.file_names(modality), self.counts.get(modality, 0), table)

    @property
    def _only_tables(self) -> TableReader | None:
        """The reader of tables, if nothing else is read."""
        if not (len(self._tables) == len(self.readers) == 1):
            return None
        tables = importlib.import_module("anew.data.sources.tables")
        return reader if isinstance(reader := self.readers[0], tables.TableReader) else None

    def file_names(self, modality: str) -> Iterator[str]:
        """Names of the files of which each is an item of a modality, or several if it is large."""
        folder = importlib.import_module("anew.data.sources.folder")
        readers = (reader for reader in self.readers if isinstance(reader, folder.FolderReader))
        return itertools.chain.from_iterable(reader.paths(modality) for reader in readers)

    def labels(self, modality: str) -> tuple[str, ...] | None:
        """Class names if the listing knows them; None if they are known only from reading."""
        sets = [reader.labels for reader in self.readers if reader.counts.get(modality)]
        if any(labels is None for labels in sets):
            return None
        return tuple(sorted({label for labels in sets if labels for label in labels}))

    def read(self, shard: Shard, limit: int | None = None) -> Iterator[Item | SkippedItem]:
        """The items of one shard, or its first ones."""
        self.prefetch(shard, limit)
        items = self._reader(shard).read(shard)
        return items if limit is None else itertools.islice(items, limit)

    def held_out_shard(self, shard: Shard) -> Shard:
        """What is held out of a shard that is held out as a whole: of a long span its beginning, so that neither the first step nor the
        report waits for more items than of other sources."""
        reader = self._reader(shard)
        spans = importlib.import_module("anew.data.sources.tar_spans")
        if not isinstance(reader, spans.SpanReader):
            return shard
        beginning: Shard = reader.beginning(shard)
        self._reader_of_shard[beginning.name] = reader
        return beginning

    def ranges(self, shard: Shard) -> Sequence[Range]:
        """See `Reader.ranges`."""
        return self._reader(shard).ranges(shard)

    def _reader(self, shard: Shard) -> Reader:
        return self.readers[0] if len(self.readers) == 1 else self._reader_of_shard[shard.name]

    def prefetch(self, shard: Shard, limit: int | None = None) -> None:
        """Start to fetch the files of a shard, if they lie in a store.

        Args:
            shard: One of `shards`.
            limit: How many of its items are needed; None: all.
        """
        if not by_range.has_stores():
            return
        ranges = self.ranges(shard)
        if len(ranges) > 1 or limit is None:  # the beginning of a single range is fetched when it is read
            by_range.prefetch(ranges[:limit])


def _check_not_empty(text: str, files: FileTable, num_hidden: int, refusals: Sequence[SkippedItem]) -> None:
    """Raise DataError if nothing was listed, or nothing but empty files. text: the path as the user gave it."""
    if not files:
        hidden = f"; {plural(num_hidden, 'hidden file')} {are(num_hidden)} left out" if num_hidden else ""
        refused = f"; {name_reasons(refusals)}" if refusals else ""
        raise DataError(f"{text!r} holds no files{hidden}{refused}; give a folder with text, images, sound or clips")
    if not files.sizes.any():
        if len(files) == 1:
            raise DataError(f"{text!r} is empty; give a file with something in it")
        raise DataError(f"all files of {text!r} are empty; give files with something in them")


def _by_reader(files: FileTable) -> dict[str, Sequence[File]]:
    """The files by the reader of each."""
    numbers: defaultdict[str, list[int]] = defaultdict(list)
    undecided = files.paths.named(suffix_of, lambda suffix: not is_of_folder(suffix))
    for number, path in zip(undecided.tolist(), files.paths.take(undecided), strict=True):
        numbers[reader_of(path)].append(number)
    numbers.pop("folder", None)
    others = {reader: np.array(chosen, dtype=np.int64) for reader, chosen in numbers.items()}
    in_folders = files.without(np.concatenate([*others.values(), np.zeros(0, dtype=np.int64)]))
    tables = {reader: files.take(chosen) for reader, chosen in others.items()}
    return {**tables, "folder": in_folders} if len(in_folders) else dict(tables)


def _take_large_archives(by_reader: dict[str, Sequence[File]]) -> None:
    """If the archives together are large, let `tar_spans` read them, which does not list them."""
    plain = [file for file in by_reader.get("tar", ()) if suffix_of(file.path) == ".tar"]
    if sum(file.bytes for file in plain) > limits.TAR_LISTED_BYTES:
        by_reader["tar_spans"] = plain
        by_reader["tar"] = [file for file in by_reader["tar"] if suffix_of(file.path) != ".tar"]
        if not by_reader["tar"]:
            del by_reader["tar"]


def _range_rule(
    modalities: Mapping[str, type[Modality]], requested: str | None
) -> Callable[[ChosenTexts], NDArray[np.bool_]]:
    """A function from names of files in a store to (n,) whether each can be read by range."""

    def reads_by_range(reader: str, suffix: str) -> bool:
        if requested is not None and modalities[requested].traits.reads_file_slices:
            return False  # pictures may be frames
        if reader in ("tables", "tar"):
            return suffix not in (".tgz", ".tar.gz")
        owners = [modality for modality in modalities.values() if suffix in modality.suffixes]
        is_plain = reader == "folder" and not is_packed(suffix)
        return is_plain and bool(owners) and not any(owner.traits.reads_file_slices for owner in owners)

    def rule(names: ChosenTexts) -> NDArray[np.bool_]:
        # There may be a million names, of a few suffixes
        suffixes, codes = names.coded(suffix_of)
        stay = np.array([reads_by_range("folder", suffix) for suffix in suffixes], dtype=np.bool_)[codes]
        undecided = names.named(suffix_of, lambda suffix: not is_of_folder(suffix))
        stay[undecided] = [reads_by_range(reader_of(name), suffix_of(name)) for name in names.take(undecided)]
        return stay

    return rule


def _sum(counts: Iterable[Mapping[str, int]]) -> dict[str, int]:
    total: dict[str, int] = {}
    for count in counts:
        for name, n in count.items():
            total[name] = total.get(name, 0) + n
    return total
