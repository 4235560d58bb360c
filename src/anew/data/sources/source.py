"""All readers of one path.

Runs and comparisons of Anew below a data folder are left out, since samples of a model are not data.
"""

from __future__ import annotations

import importlib
import itertools
import os
import os.path
import posixpath
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from anew.core import files as stored
from anew.core.files import JsonValue, clause
from anew.core.own_folders import COMPARISON_MARK, RUN_MARK, is_comparison_request, is_run_config
from anew.core.stores.addresses import address_of, is_hub_name, without_query
from anew.core.stores.text_column import ChosenTexts
from anew.core.wording import are, listed, plural
from anew.data import limits
from anew.data.file_names import is_packed, suffix_of
from anew.data.formats import by_range
from anew.data.formats.by_range import Range
from anew.data.modality import Modality
from anew.data.skipped import name_reasons
from anew.data.sources.base import MAX_NAMED_TABLES, TABLE_SUFFIXES, Reader, Shard, is_of_folder, reader_of
from anew.data.sources.beside_data import drop_side_files
from anew.data.sources.columns import ColumnChoice
from anew.data.sources.listing import File, FileTable, Listing, list_files, shorten_path
from anew.data.sources.remote import local_copy
from anew.data.sources.zip_copy import unpacked, zip_at
from anew.data.types import DataListing, Item, SkippedItem
from anew.errors import DataError, RunError

if TYPE_CHECKING:
    from anew.data.sources.tables import TableReader

MAX_NAMED = 3  # runs that a sentence names
SAMPLE_ITEMS = 256  # items that counting and header checks may read, which bounds the time of listing
MAX_NAMING_BYTES = 64 * 1024 * 1024  # size of a table that may name the image files next to it; chosen: a million names
_MARK_SUFFIXES = frozenset(map(suffix_of, (RUN_MARK, COMPARISON_MARK)))
_METADATA = frozenset({"metadata.csv", "metadata.jsonl", "metadata.parquet"})


def drop_own_folders(text: str, root: Path, files: FileTable) -> tuple[FileTable, list[SkippedItem]]:
    """The files outside of runs and comparisons below `root`, and an entry for each of those.

    Args:
        text: The path as the user gave it.
        root: The folder that paths are relative to.

    Raises:
        DataError: There are no other files.
    """
    is_mark = files.ending(_MARK_SUFFIXES, lambda path: path.endswith((f"/{RUN_MARK}", f"/{COMPARISON_MARK}")))
    marks = files.paths.take(is_mark)
    noun_of = {path.rpartition("/")[0]: noun for path in marks if (noun := _noun_of(root / path))}
    if not noun_of:
        return files, []
    outermost = {folder: noun for folder, noun in noun_of.items() if not _is_below(folder, noun_of)}
    skipped = [
        SkippedItem(folder, f"it is a {noun} that Anew made, not data") for folder, noun in sorted(outermost.items())
    ]
    others = files.with_paths(lambda path: not _is_below(path, noun_of))
    if not others:
        raise DataError(_own_folders_alone(text, outermost))
    return others, skipped


def _own_folders_alone(text: str, own: Mapping[str, str]) -> str:
    """A sentence on a folder that holds runs and comparisons alone. own: "run" or "comparison" by folder."""
    counts = Counter(own.values())
    holds = listed([plural(counts[noun], noun) for noun in ("run", "comparison") if noun in counts])
    names = [*sorted(own)[:MAX_NAMED], *(["others"] if len(own) > MAX_NAMED else [])]
    return (
        f"{text!r} holds no data, but {holds} that Anew made: {listed(names)}; look at one of them, or give the data that "
        "they were made from"
    )


def _is_below(path: str, folders: dict[str, str]) -> bool:
    while "/" in path:
        path = path.rpartition("/")[0]
        if path in folders:
            return True
    return False


def _noun_of(mark: Path) -> str:
    """The kind of folder that a file named RUN_MARK or COMPARISON_MARK marks; "" if Anew did not write it."""
    value = _json_of(mark)
    if mark.name == RUN_MARK:
        return "run" if is_run_config(value) else ""
    return "comparison" if is_comparison_request(value) else ""


def _json_of(path: Path) -> JsonValue:
    """The JSON value in a file; None if it cannot be read."""
    try:
        return stored.read_json(path)
    except RunError:
        return None


def refuse_own_folder(text: str, place: Path, files: FileTable) -> None:
    """Raise DataError if the data is itself a run or a comparison.

    Args:
        text: The path as the user gave it.
        place: The folder, or a file.
    """
    if not place.is_dir():
        return
    marks = (RUN_MARK, COMPARISON_MARK)
    mark_paths = files.paths.take(files.ending(_MARK_SUFFIXES, marks.__contains__))
    nouns = [_noun_of(place / mark) for mark in mark_paths]
    if "comparison" in nouns:
        raise DataError(f"{text!r} is a comparison that Anew made, not data; give the data that it was made from")
    if "run" in nouns:
        data = f"the data that it was trained on{_data_phrase(place)}"
        raise DataError(
            f"{text!r} is a run that Anew made, not data; did you mean {data}, or samples that were drawn from it?"
        )


def _data_phrase(run: Path) -> str:
    """`, 'PATH'` of the data that a run names; "" if it names none."""
    value = _json_of(run / RUN_MARK)
    request = value.get("request") if is_run_config(value) else None
    data = request.get("data") if isinstance(request, dict) else None
    if not isinstance(data, str):
        return ""
    # Runs name data by its place relative to their own folder.
    return f", {os.path.normpath(run.resolve() / data) if data.startswith(('./', '../')) else data!r}"


def names_place(text: str) -> bool:
    """Whether something on the disk has this name, or it is an address or a hub name; nothing is fetched."""
    return os.path.exists(os.path.expanduser(text)) or is_hub_name(text) or address_of(text) is not None


def existing_place(text: str) -> Path | None:
    """The folder or the file of this name; None if it is an address or a dataset of the hub.

    Raises:
        DataError: It is none of these.
    """
    if not text:
        raise DataError(
            "the path of the data is empty; give a folder, a file, an address, or a hub dataset as owner/name"
        )
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
    raise DataError(f"{text!r} does not exist; give a folder, a file, an address, or a hub dataset as owner/name")


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
    ) -> None:
        """notes, refusals: of the listing itself; the readers have their own; tables: the readers that read columns."""
        self.path = path
        self._tables = list(tables)
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
        root, files, hidden, refusals, _ = listing
        refuse_own_folder(text, place, files)
        files, own_folders = drop_own_folders(text, root, files)
        refusals = [*refusals, *own_folders]
        if not files:
            left_out = f"; {plural(hidden, 'hidden file')} {are(hidden)} left out" if hidden else ""
            left_out += f"; {name_reasons(refusals)}" if refusals else ""
            raise DataError(f"{text!r} holds no files{left_out}; give a folder with text, images, sound or clips")
        if not files.sizes.any():
            sentence = f"{text!r} is empty" if len(files) == 1 else f"all files of {text!r} are empty"
            raise DataError(f"{sentence}; give data that holds something to learn")
        files, side_notes = drop_side_files(files)
        classes, files, notes = _metadata(root, files)
        notes = [*listing.notes, *side_notes, *notes]
        by_reader = _by_reader(files)
        _take_large_archives(by_reader)
        if "tables" not in by_reader:
            choice.check(text, ())
        readers: list[Reader] = []
        tables: list[Reader] = []
        for name, reader_files in sorted(by_reader.items()):
            if name == "folder":
                from anew.data.sources import folder

                readers.append(folder.open_reader(reader_files, root, modalities, classes, are_samples, requested))
            else:
                more = (choice,) if name == "tables" else ()
                module = importlib.import_module(f"anew.data.sources.{name}")
                readers.append(module.open_reader(reader_files, root, modalities, *more))
                tables += readers[-1:] if name == "tables" else []
        return cls(text, readers, notes, refusals, tables)

    @property
    def table_notes(self) -> list[str]:
        """Sentences on the columns that are read."""
        return [note for reader in self._tables for note in reader.notes]

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


def _metadata(root: Path, files: FileTable) -> tuple[dict[str, str | None], FileTable, list[str]]:
    """(class by path, the files without tables that give classes, notes).

    Classes come from every `metadata.csv|jsonl|parquet` and every other small table that names image files next to it
    (`labels.csv`)."""
    listed = files.take(files.paths.named(suffix_of, TABLE_SUFFIXES.__contains__))
    if not listed or len(listed) == len(files):
        return {}, files, []
    from anew.data.sources import tables

    plain = [f for f in listed if suffix_of(f.path) != ".parquet" and f.bytes <= MAX_NAMING_BYTES][:SAMPLE_ITEMS]
    described = {f for f in listed if PurePosixPath(f.path).name.lower() in _METADATA}
    described |= {f for f in plain if f not in described and tables.names_files(root / f.path)}
    classes: dict[str, str | None] = {}
    damaged: list[DataError] = []
    for file in sorted(described):
        folder = PurePosixPath(file.path).parent
        try:
            rows = tables.metadata(root / file.path)
        except DataError as error:
            damaged.append(error)
            continue
        classes |= {posixpath.normpath(folder / name): label for name, label in rows.items()}
    if damaged and len(damaged) == len(described):  # no table is left that gives classes
        raise damaged[0]
    described_paths = {f.path for f in described}
    data_files = files.with_paths(lambda path: path not in described_paths)
    unused = set(classes)
    unused.difference_update(data_files.paths)
    missing = sorted(unused)
    notes = [f"{error}; what it describes has no class." for error in damaged[:MAX_NAMED_TABLES]]
    notes += [f"{len(damaged)} tables cannot be read in all."] if len(damaged) > MAX_NAMED_TABLES else []
    return classes, data_files, [*notes, *([_missing_note(missing, described)] if missing else [])]


def _missing_note(names: Sequence[str], tables: Iterable[File]) -> str:
    """A note on files that tables name but the folder does not hold; files outside the folder are never read."""
    where = " and ".join(sorted(f.path for f in tables)[:3])
    outside = sum(name.startswith(("../", "/")) for name in names)
    lie = f", {outside} of them outside the folder" if outside else ""
    return (
        f"{len(names)} files that {where} names are not in the folder and are left out{lie}; the first is {names[0]!r}."
    )


def _sum(counts: Iterable[Mapping[str, int]]) -> dict[str, int]:
    total: dict[str, int] = {}
    for count in counts:
        for name, n in count.items():
            total[name] = total.get(name, 0) + n
    return total
