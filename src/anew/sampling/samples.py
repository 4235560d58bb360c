"""Samples of a model: items in memory, which become ordinary files when they are saved or shown."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Self, overload

from anew.core import files
from anew.core.arguments import new_path, optional_text
from anew.core.arrays import Numbers
from anew.core.settings import check_int
from anew.core.wording import listed, plural
from anew.data.formats.text.tokenizer import absent_characters
from anew.data.modalities.text import Text
from anew.data.modality import Modality
from anew.data.types import Artifact, DecodedItem
from anew.errors import ConfigError, shorten
from anew.evaluation.reporting.sheet import png
from anew.sampling.origins import MAX_SCALE, Origin, side_file
from anew.sampling.output_folders import check_unused, make_empty_folder, make_folder, with_other_origins
from anew.sampling.sample_items import SampleItems
from anew.sampling.scores import NOTEBOOK_ITEMS, REPR_ITEMS

# Sheets are written in files with these suffixes.
SHEET_SUFFIXES = (".png", ".txt")
# Characters of texts from which on they have a line of hyphens between them in one file; records of a list have one line each
MAX_UNDIVIDED_LENGTH = 200
# Between the texts of a sheet: where each has one line, and else
LINE_SEPARATOR, PASSAGE_SEPARATOR = "\n", "\n\n----\n\n"
SHEET_SIZE = 100  # images on one sheet: ten by ten, small enough to see each
# Files up to which each is synced by itself: on a busy disk that takes a second; chosen
SYNCED_ONE_BY_ONE = 64
# Samples up to which their files are kept in memory, where the same ones are saved again; chosen. Of more, only the items are.
MAX_KEPT_FILES = 1000
# Bytes of a class in the name of a file: with number and temporary suffix far from the 255 of file systems
MAX_LABEL_BYTES = 60


class Samples(Sequence[DecodedItem]):
    """New items as people see them (str, or arrays). The file of an item is made when it is first needed.

    Args:
        items: Items that the model drew.
        labels: The class of each; None without classes.
        modality: The kind of data, which writes files and pictures.
        origins: Origin of each, which its file records; empty if it is not known.
        first: Number of samples before these, if they are a share.
        total: Number of samples in all shares; None if these are all.
    """

    def __init__(
        self,
        items: Iterable[DecodedItem],
        labels: Sequence[str | None],
        modality: Modality,
        origins: Sequence[Origin] = (),
        first: int = 0,
        total: int | None = None,
    ) -> None:
        self._items = SampleItems(items)
        self.labels = list(labels)
        self.modality = modality
        self.origins = list(origins)
        self.first = first
        self.total = total
        # Of samples that come in parts, the number of all: their files are numbered as if all were there; 0: these are all
        self.num_planned = 0
        self._file_format = ""
        self._artifacts: dict[int, Artifact] = {}

    @overload
    def __getitem__(self, index: int) -> DecodedItem: ...
    @overload
    def __getitem__(self, index: slice) -> Samples: ...
    def __getitem__(self, index: int | slice) -> DecodedItem | Samples:
        if not isinstance(index, slice):
            if not -len(self) <= index < len(self):
                raise IndexError(f"there is no sample {index}: there are {len(self):,}, numbered from 0")
            return self._items[index]
        places = range(*index.indices(len(self)))
        part = self._with(self._items[index], self.labels[index], self.origins[index])
        if places.step == 1:
            part.first = self.first + places.start
        else:  # others than successive samples are numbered anew
            part.first, part.total, part.num_planned = 0, None, 0
        part._artifacts = {i: self._artifacts[p] for i, p in enumerate(places) if p in self._artifacts}
        return part

    def _with(self, items: Iterable[DecodedItem], labels: Sequence[str | None], origins: Sequence[Origin]) -> Samples:
        """Samples of these items, which are numbered and written as those here."""
        samples = Samples(items, labels, self.modality, origins, self.first, self.total)
        samples.num_planned, samples._file_format = self.num_planned, self._file_format
        return samples

    def __len__(self) -> int:
        return len(self._items)

    def __add__(self, other: Samples) -> Samples:
        joined = self[:]
        joined += other
        return joined

    def __iadd__(self, other: Samples) -> Self:
        """Add samples in place, as to a list, so that many batches are joined in time proportional to their samples."""
        has_origins = len(self.origins) == len(self) and len(other.origins) == len(other)
        if has_origins:
            self.origins += other.origins
        else:
            self.origins = []
        start = len(self)
        self._artifacts |= {start + index: artifact for index, artifact in other._artifacts.items()}
        self._items.extend(other._items)
        self.labels += other.labels
        return self

    def __repr__(self) -> str:
        if not self._items:
            return "Samples(0 items)"
        shape = getattr(self._items[0], "shape", None)
        size = f"{sum(map(len, self._items)):,} characters" if shape is None else f"shape {tuple(shape)}"
        head = f"Samples({plural(len(self), 'item')}, {self.modality.name!r}, {size})"
        return "\n".join([head, *self._first_rows()])

    def _first_rows(self) -> list[str]:
        """The first items as rows of text: number, class, and a text itself; none for arrays without classes."""
        rows = []
        for index, (item, label) in enumerate(zip(self._items[:REPR_ITEMS], self.labels, strict=False)):
            captions = [*([] if label is None else [label]), *([shorten(item)] if isinstance(item, str) else [])]
            rows += [f"  {index}  {'  '.join(captions)}"] if captions else []
        return [*rows, "  ..."] if rows and len(self) > REPR_ITEMS else rows

    @property
    def absent_characters(self) -> str:
        """Characters of the prompt, each once, that the training text does not have, as far as that is known."""
        prompt = self.origins[0].prompt if self.origins else None
        return absent_characters(self.modality.tokenizer, prompt) if prompt and isinstance(self.modality, Text) else ""

    def head(self, n: int) -> Samples:
        """The first samples.

        Args:
            n: Number of samples; all, if there are fewer.

        Returns:
            The samples, with the files that were made so far.
        """
        return self[: check_int("n", n)]

    def artifact(self, index: int) -> Artifact:
        """A sample as an ordinary file, which is made once.

        Args:
            index: Index of the sample, from 0.

        Returns:
            Its bytes, suffix and media type.
        """
        if index not in self._artifacts:
            self._artifacts[index] = self._made(index)
        return self._artifacts[index]

    def _made(self, index: int) -> Artifact:
        comment = self.origins[index].to_comment() if self.origins else ""
        artifact = self._written(self._items[index], comment)
        suffix = self.modality.class_suffix(self.labels[index])
        return replace(artifact, suffix=suffix) if suffix else artifact

    def _written(self, item: DecodedItem, comment: str) -> Artifact:
        if self._file_format:
            return self.modality.save_as(item, self._file_format, comment)
        return self.modality.save_item(item, comment)

    @property
    def artifacts(self) -> list[Artifact]:
        """All samples as ordinary files."""
        return [self.artifact(index) for index in range(len(self))]

    def pictures(self) -> list[Numbers] | None:
        """A picture of each sample, (H, W) or (H, W, C) uint8; None for data that has no pictures, such as text."""
        pictures = self.modality.pictures(self._items)
        return None if self._items and not pictures else pictures

    def save(self, folder: str | Path, *, overwrite: bool = False) -> list[Path]:
        """Write one file per sample, and its other formats next to it; or one file of all, if such items are usually kept so.

        The origins of samples are recorded in their files, or in a hidden file next to them if the format has no comments.

        Args:
            folder: Folder of the files, new or empty.
            overwrite: Whether the folder may hold something. Files of the same names are then replaced; all others stay, and so do
                the origins of other samples.

        Returns:
            The path of each sample's first file, or of the one file.

        Raises:
            ConfigError: The folder is not empty, or cannot be made.
        """
        target = make_empty_folder(folder, overwrite)
        paths = []
        one_by_one = len(self) <= SYNCED_ONE_BY_ONE or not files.syncs_all()
        for names in named_files(self):
            written = [
                files.write_inside(target, name, artifact.data, sync=one_by_one) for name, artifact in names.items()
            ]
            paths.append(written[0])
        for name, data in self._side_file([saved.name for saved in paths]):
            files.write_inside(target, name, with_other_origins(target / name, data))
        if not one_by_one:
            files.sync_all()
        return paths

    def files(self) -> Iterator[tuple[str, bytes]]:
        """Yield name and content of each file that `save` writes."""
        first_names = []
        for names in named_files(self):
            first_names.append(next(iter(names)))
            yield from ((name, artifact.data) for name, artifact in names.items())
        yield from self._side_file(first_names)

    def _side_file(self, names: Sequence[str]) -> Iterator[tuple[str, bytes]]:
        """Yield name and content of the file with the origins of samples in files of these names, if it is needed."""
        if not self.origins or self.modality.traits.files_hold_comments:
            return
        by_file = [[origin] for origin in self.origins] if len(names) > 1 else [self.origins]
        origins = dict(zip(names, by_file, strict=True))
        yield side_file(origins, self.first if self.total is not None else None)

    @property
    def _digits(self) -> int:
        """Number of digits of the number in a file's name."""
        return max(4, len(str(max(self.total or len(self), self.num_planned) - 1)))

    def _stem(self, index: int) -> str:
        """The name of a sample's files without suffix."""
        number, label = f"{self.first + index:0{self._digits}d}", self.labels[index]
        if label is None or self.modality.class_suffix(label):  # the suffix says it
            return number
        return f"{number}-{_safe_name(label)}"

    @property
    def num_on_sheet(self) -> int:
        """Number of samples that `save_sheet` shows, from the first."""
        return len(self) if self.head(1).pictures() is None else min(SHEET_SIZE, len(self))

    @property
    def num_empty_continuations(self) -> int:
        """How many samples are the prompt alone, since the model ended there."""
        prompts = [None if origin.prompt is None else origin.prompt.rstrip("\n") for origin in self.origins]
        pairs = zip(self._items, prompts, strict=False) if any(prompts) else ()
        return sum(bool(prompt) and isinstance(item, str) and item.rstrip("\n") == prompt for item, prompt in pairs)

    def save_sheet(self, folder: str | Path, stem: str = "all", *, overwrite: bool = False) -> Path:
        """Write samples into one file to look at: a sheet of pictures of the first ones, or one text of all.

        Args:
            folder: Folder of the file; made if missing.
            stem: Name of the file without suffix.
            overwrite: Whether a file of this name is replaced.

        Returns:
            The path of the file.

        Raises:
            ConfigError: There are no samples, the file exists, or its folder cannot be made.
        """
        if not self:
            raise ConfigError("there are no samples to show on a sheet; draw some")
        target, stem = _sheet_folder(folder), _checked_stem(stem)
        pictures = self.head(SHEET_SIZE).pictures()
        if pictures is not None:
            from anew.evaluation.reporting.sheet import sheet

            place, data = target / f"{stem}.png", sheet(pictures)
        else:
            texts = list(map(str, self._items))
            fit_lines = all(fits_one_line(text, self.modality) for text in texts)
            separator = LINE_SEPARATOR if fit_lines else PASSAGE_SEPARATOR
            place, data = target / f"{stem}.txt", (separator.join(texts) + "\n").encode("utf-8", "replace")
        check_unused([place], overwrite)
        files.write(place, data)
        return place

    def save_sprite_sheet(self, folder: str | Path, stem: str = "sheet", *, overwrite: bool = False) -> list[Path]:
        """Write pictures into one PNG without gaps, with their alpha and palette, and a JSON with the position of each.

        The JSON has the form that TexturePacker calls a hash. The first pictures are written, as many as fit into 4096 x 4096
        pixels.

        Args:
            folder: Folder of the files; made if missing.
            stem: Name of both files without suffix.
            overwrite: Whether files of these names are replaced.

        Returns:
            The paths of the PNG and the JSON; empty if samples are not pictures, or too large for a sheet.

        Raises:
            ConfigError: One of the files exists, or the folder cannot be made.
        """
        target, stem = make_folder(folder), _checked_stem(stem)
        count = min(self.modality.num_on_sheet(self._items[0]), len(self)) if self else 0
        names = [f"{self._stem(index)}.{self._file_format or 'png'}" for index in range(count)]
        written = self.modality.sheet_files(self._items[:count], names, stem)
        check_unused([target / name for name in written], overwrite)
        return [files.write_inside(target, name, data) for name, data in written.items()]

    def enlarged(self, scale: int) -> Samples:
        """Samples in which each pixel becomes a square of `scale` x `scale` pixels, without new colours.

        Args:
            scale: Factor, 1 to 64.

        Returns:
            The enlarged samples; these samples themselves for a factor of 1.

        Raises:
            ConfigError: Samples have no pixels, are enlarged already, or the scale is out of range.
        """
        scale = check_int("scale", scale, 1, MAX_SCALE)
        if scale == 1:
            return self
        if before := next((origin.scale for origin in self.origins if origin.scale), None):
            raise ConfigError(f"the samples are enlarged {before} times already; leave `scale` out")
        items = (self.modality.enlarge(item, scale) for item in self._items)
        origins = [replace(origin, scale=scale) for origin in self.origins]
        return self._with(items, self.labels, origins)

    def in_format(self, file_format: str) -> Samples:
        """The same samples, whose files have another format.

        Args:
            file_format: "wav" or "flac" for sounds; "png", "webp" (without loss) or "jpeg" for images; "mp4" or "gif" for clips,
                which otherwise have both.

        Returns:
            The samples, for `save`.

        Raises:
            ConfigError: Files of such samples are never written in this format.
        """
        formats = self.modality.file_formats
        if not formats:
            raise ConfigError(f"`format` is for images, sounds and clips; {self.modality.name} has one form of file")
        if file_format not in formats:
            raise ConfigError(
                f"`format` must be {listed(formats, 'or')} for {self.modality.traits.plural} (got {shorten(file_format)})"
            )
        samples = self._with(self._items, self.labels, self.origins)
        samples._file_format = file_format
        return samples

    def _repr_html_(self) -> str:
        artifacts = [self.artifact(index) for index in range(min(NOTEBOOK_ITEMS, len(self)))]
        if not all(artifact.is_playable for artifact in artifacts):
            pictures = self.modality.pictures(self._items[:NOTEBOOK_ITEMS])
            artifacts = [Artifact(".png", png(picture), media="image/png") for picture in pictures]
        return f"<div>{''.join(artifact.html() for artifact in artifacts)}</div>"


def named_files(samples: Samples) -> Iterator[dict[str, Artifact]]:
    """Yield the files of each sample by name, or one file of all, if such items are usually kept so."""
    joint = joint_file(samples)
    if joint is not None:
        yield joint
        return
    for index, artifact in enumerate(_artifacts_in_turn(samples)):
        stem = samples._stem(index)
        yield {f"{stem}{file.suffix}": file for file in (artifact, *artifact.also)}


def joint_file(samples: Samples, *, continues: bool = False) -> dict[str, Artifact] | None:
    """One file of all samples, by its name, if such items are usually kept so. continues: see `Modality.merge_files`."""
    joint = samples.modality.merge_files(
        _artifacts_in_turn(samples), samples.labels, samples.first, continues=continues
    )
    if joint is None:
        return None
    share = "" if samples.total is None else f"-{samples.first:0{samples._digits}d}"
    return {f"samples{share}{joint.suffix}": joint}


def _artifacts_in_turn(samples: Samples) -> Sequence[Artifact]:
    return samples.artifacts if len(samples) <= MAX_KEPT_FILES else _ArtifactsInTurn(samples)


def bare(samples: Samples, n: int) -> Samples:
    """The first n samples, or all if there are fewer, without their origins and without files that were made."""
    return samples._with(samples._items[:n], samples.labels[:n], ())


def fits_one_line(text: str, modality: Modality) -> bool:
    """Whether a text may have one line of a sheet, if all others do."""
    return (modality.layout == "list" or len(text) < MAX_UNDIVIDED_LENGTH) and "\n" not in text


class _ArtifactsInTurn(Sequence[Artifact]):
    """The files of samples, each made when it is asked for and not kept."""

    def __init__(self, samples: Samples) -> None:
        self._samples = samples

    @overload
    def __getitem__(self, index: int) -> Artifact: ...
    @overload
    def __getitem__(self, index: slice) -> list[Artifact]: ...
    def __getitem__(self, index: int | slice) -> Artifact | list[Artifact]:
        places = range(len(self))[index]
        return self._samples._made(places) if isinstance(places, int) else list(map(self._samples._made, places))

    def __len__(self) -> int:
        return len(self._samples)


def _sheet_folder(folder: str | Path) -> Path:
    """The folder of a sheet, made if missing; refused if it is meant as the name of the file."""
    name = new_path("folder", folder)
    if name.suffix.lower() in SHEET_SUFFIXES and not name.is_dir():
        raise ConfigError(
            f"`folder` is where the sheet is written (got {str(folder)!r}); give its name as `stem`: "
            f"save_sheet({str(name.parent)!r}, {name.stem!r})"
        )
    return make_folder(folder)


def _checked_stem(stem: str) -> str:
    name = optional_text("stem", stem) or ""
    if Path(name).name != name:
        raise ConfigError(f"`stem` must be the beginning of a file's name (got {name!r})")
    return name


def _safe_name(label: str) -> str:
    name = "".join(c if c.isalnum() or c in "-_" else " " for c in label)
    return "_".join(name.split()).encode()[:MAX_LABEL_BYTES].decode(errors="ignore") or "label"
