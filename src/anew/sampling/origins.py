"""The origin of a sample, which is kept as a comment in its file, and suffices to draw it again."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

from pydantic import Field
from torch import nn

from anew.core import files, isolation
from anew.core.arrays import bytes_of
from anew.core.provenance import ORIGIN_MARK
from anew.core.schema import Flag, Real, Record, Text, Whole, checked
from anew.core.settings import MAX_INT
from anew.core.version import __version__
from anew.data.formats.file_bytes import read_whole
from anew.data.formats.file_comments import comments_with, has_comments
from anew.errors import ConfigError, RunError, shorten

MAX_SIDE_BYTES, MAX_SIDE_MEMORY = 1 << 28, 1 << 30  # size of a side file with the origins of a million samples
SHEETS = ("all", "sheet", "final")  # names of files that show many samples
SIDE = ".origins"  # beginning of the name of a side file, which is next to files of samples
NAMED = re.compile(r"(samples\.|\d{4})")  # beginning of the names of files that `Samples.save` writes
SAMPLE_BATCH = 256  # samples in one pass of the network: what fits in the memory of a small machine
MAX_SCALE = 64  # largest factor by which pictures are enlarged: bounds memory; chosen
MAX_TEXT = 1000  # characters of a prompt in a comment: players and viewers show comments; chosen
StoredSetting = Flag | Whole | Real | Text
# The end of JSON with one list.
_SIDE_END = "\n ]\n}"
Seed = Annotated[int, Field(ge=0, le=MAX_INT, strict=True)]


@dataclass(frozen=True, slots=True)
class Origin:
    """Origin of a sample.

    Attributes:
        run: Name of the run's folder.
        weights: Digest of the weights.
        batch: Index of the first sample, and number of samples, of the batch that it was drawn in: sums round by its size.
        label: The class that was requested.
        prompt: The text that it begins with.
        suffix: The text that it ends with.
        stop: The text before which it ends.
        settings: Sampling settings that are not the usual ones; None if there are none.
        scale: The factor by which its pixels were enlarged; None: they were not.
        is_given: Whether it depends on something that a comment cannot hold: pixels, frames, a long prompt.
    """

    run: str
    weights: str
    seed: int
    index: int
    batch: tuple[int, int]
    label: str | None = None
    prompt: str | None = None
    suffix: str | None = None
    stop: str | None = None
    settings: dict[str, bool | int | float | str] | None = None
    scale: int | None = None
    is_given: bool = False
    version: str = __version__

    def to_json(self) -> dict[str, object]:
        """The values that are not defaults, as JSON values."""
        values = dataclasses.asdict(self).items()
        return {name: value for name, value in values if value is not None and value is not False}

    def to_comment(self) -> str:
        """The comment for a file, one line of ASCII."""
        return ORIGIN_MARK + json.dumps(self.to_json(), separators=(",", ":"))


class _StoredOrigin(Record):
    """Schema of an origin in a file that anybody may have written."""

    run: Text
    weights: Text
    seed: Seed
    index: Seed
    batch: Annotated[list[Seed], Field(min_length=2, max_length=2)]
    label: Text | None = None
    prompt: Text | None = None
    suffix: Text | None = None
    stop: Text | None = None
    settings: Annotated[dict[str, StoredSetting], Field(max_length=100)] | None = None
    scale: Annotated[int, Field(ge=1, le=MAX_SCALE, strict=True)] | None = None
    is_given: Flag = False
    version: Text


def from_comment(comment: str) -> Origin | None:
    """The origin in a comment; None if there is none. Raises ValueError (one clause) if it is damaged."""
    _, mark, text = comment.partition(ORIGIN_MARK)
    if not mark:
        return None
    try:
        value, _ = json.JSONDecoder().raw_decode(text)
    except (ValueError, RecursionError):
        raise ValueError("its record of origin is damaged") from None
    return from_json(value)


def from_json(value: object) -> Origin:
    """The origin in JSON values of an untrusted file. Raises ValueError (one clause) if they are damaged."""
    stored = checked(_StoredOrigin, value, "its origin")
    first, count = stored.batch
    if not 1 <= count <= SAMPLE_BATCH or not first <= stored.index < first + count:
        raise ValueError("its record of origin is damaged")
    return Origin(**{**stored.model_dump(), "batch": (first, count)})


def origins_in(path: Path) -> list[Origin]:
    """The origins of the samples in a file that this package wrote: one, or one for each record.

    Raises:
        ConfigError: The file cannot be read, or has no record of its origin.
    """
    advice = (
        "give a PNG, WebP, JPEG, WAV, FLAC, GIF, MP4 or FASTA file that `anew sample` or a training wrote, or a text beside its "
        ".origins.json"
    )
    try:
        data = read_whole(path)
        # The file may be a stranger's, so native libraries read it only in another process.
        comments = isolation.call(comments_with, ORIGIN_MARK, data) if has_comments(data) else None
        origins = _origins_beside(path) if comments is None else [from_comment(comment) for comment in comments]
    except OSError as error:
        raise ConfigError(f"{str(path)!r} cannot be read ({files.clause(error)}); {advice}") from None
    except ValueError as error:
        raise ConfigError(f"{str(path)!r} cannot be used: {error}; {advice}") from None
    present = [origin for origin in origins if origin is not None]
    if not present and path.stem in SHEETS:
        raise ConfigError(
            f"{str(path)!r} has no record of its origin: a sheet of many samples has none; give the file of one of them"
        )
    if not present:
        raise ConfigError(f"{str(path)!r} has no record of its origin; {advice}")
    return present


def side_file(origins: Mapping[str, Sequence[Origin]], first: int | None = None) -> tuple[str, bytes]:
    """Name and content of a file with the origins of samples in other files, by their names. It is hidden, so it is not read as data.

    first: Index of the first sample, if the folder may hold other shares."""
    content, pieces = bytearray(), SidePieces()
    # Each file has its own values: those of a million samples at once would take 1.6 GB
    for name, file_origins in origins.items():
        content += pieces.piece(name, file_origins)
    return side_name(first), bytes(content) + pieces.end


def side_name(first: int | None = None) -> str:
    """Name of a `side_file`."""
    return f"{SIDE}{'' if first is None else f'-{first}'}.json"


class SidePieces:
    """The content of a `side_file`, one piece after another."""

    def __init__(self) -> None:
        self._name: str | None = None

    def piece(self, name: str, origins: Sequence[Origin]) -> bytes:
        """The next piece: origins of samples in a file, which may be the rest of those of the piece before."""
        entry = json.dumps({name: [origin.to_json() for origin in origins]}, indent=1)
        content = entry[1:].removesuffix(_SIDE_END)
        if name == self._name:
            content = "," + content.removeprefix(f"\n {json.dumps(name)}: [")
        else:
            content = ("{" if self._name is None else "\n ],") + content
        self._name = name
        return content.encode()

    @property
    def end(self) -> bytes:
        """What follows the last piece."""
        return b"{\n}\n" if self._name is None else f"{_SIDE_END}\n".encode()


def _origins_beside(path: Path) -> list[Origin | None]:
    """The origins of a file's samples from the `side_file` next to it; empty if there is none."""
    for side_file in sorted(path.parent.glob(f"{SIDE}*.json")):
        try:
            values = files.read_json(side_file, MAX_SIDE_BYTES, MAX_SIDE_MEMORY)
        except RunError:
            raise ValueError(f"{side_file.name} beside it is damaged") from None
        if isinstance(values, dict) and isinstance(entries := values.get(path.name), list):
            return [from_json(value) for value in entries]
    return []


class RepeatedSamples:
    """Counts which samples of one request are those of files in the samples/ of their run.

    Args:
        folder: That samples/.
    """

    def __init__(self, folder: Path) -> None:
        paths = sorted(path for path in folder.glob("*") if NAMED.match(path.name))
        try:
            stored = origins_in(paths[0]) if paths else []
        except ConfigError:
            stored = []
        self._first = stored[0] if stored else None
        self._num_stored = len(stored) if len(stored) > 1 else len({path.stem for path in paths})
        self._count = 0
        self._is_same = False

    def add(self, origins: Iterable[Origin]) -> None:
        """Count further samples."""
        for origin in origins:
            self._count += origin.index < self._num_stored
            self._is_same |= self._first is not None and _is_same_draw(origin, self._first)

    @property
    def count(self) -> int:
        """How many are; 0 where that is not known."""
        return self._count if self._is_same else 0


def _is_same_draw(origin: Origin, other: Origin) -> bool:
    """Whether two origins are those of one sample, perhaps drawn in other batches, or in a run that was renamed."""
    if origin.index != other.index:
        return False
    return replace(origin, run=other.run, batch=other.batch, version=other.version) == other


def state_digest(modules: Sequence[nn.Module]) -> str:
    """A short digest of all weights and buffers."""
    digest = hashlib.blake2b(digest_size=8)
    for module in modules:
        for name, tensor in sorted(module.state_dict().items()):
            digest.update(f"{name} {tuple(tensor.shape)} {tensor.dtype}".encode())
            digest.update(bytes_of(tensor).numpy().tobytes())
    return digest.hexdigest()


def one_run(origins: Sequence[Origin], path: Path) -> str:
    """The name of the run that all origins share. Raises ConfigError if they are of several runs."""
    names = {origin.run for origin in origins}
    if len(names) > 1:
        raise ConfigError(f"{str(path)!r} holds samples of several runs ({shorten(sorted(names))}); give one")
    return names.pop()
