"""Folders of numbered pictures that are the frames of one video each. Their content distinguishes them from folders of pictures
that merely have numbers."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from anew.core import isolation
from anew.core.files import clause
from anew.data.formats.file_bytes import read_whole
from anew.data.formats.images import pixels

MIN_FRAMES = 4  # fewest frames of a folder: fewer show no motion
COMPARED = 8  # folders that are compared, and pairs of neighbours in each; chosen
MAX_DISTANCE_RATIO = 0.5  # largest distance of neighbouring frames, relative to unrelated pictures; chosen
MAX_MISSING = 0.5  # share of numbers that may be missing in a folder, if other folders hold frames; chosen
MIN_EQUAL_FOLDERS, EQUAL_SHARE = 10, 0.9  # folders, and their share, with the same numbers, as clips have them; chosen
ADVICE = "the numbered frames of each clip need a folder of their own (walk/001.png, walk/002.png, ...)"
_NAME = re.compile(r"(.*?)(\d+)(\.(?:png|jpe?g|bmp|webp|tiff?))", re.IGNORECASE)


def numbers(names: Sequence[str]) -> list[int] | None:
    """The numbers of pictures that have the same name otherwise; None if they have not, or two share a number."""
    matches = [_NAME.fullmatch(name) for name in names]
    if not all(matches) or len({(m[1], m[3].lower()) for m in matches if m}) != 1:
        return None
    counted = [int(m[2]) for m in matches if m]
    return counted if len(set(counted)) == len(counted) else None


def _missing(names: Sequence[str]) -> float:
    """The share of numbers between the first and the last that no picture has; 1 for too few pictures."""
    counted = numbers(names)
    if counted is None or len(counted) < MIN_FRAMES:
        return 1.0
    return 1.0 - len(counted) / (max(counted) - min(counted) + 1)


def _names(paths: Sequence[str]) -> list[str]:
    return [path.rpartition("/")[2] for path in paths]


def in_order(folder: Path) -> list[Path]:
    """The frames of a folder in the order of their numbers. Raises ValueError (one clause) if they have none."""
    with os.scandir(folder) as entries:  # file managers leave files of their own beside the frames
        names = [entry.name for entry in entries if _NAME.fullmatch(entry.name) and entry.is_file()]
    return _sorted_frames(folder, [name for name in names if not name.startswith(".")])


def _sorted_frames(folder: Path, names: Sequence[str]) -> list[Path]:
    counted = numbers(names)
    if counted is None:
        raise ValueError("its files are not numbered pictures")
    return [folder / name for _, name in sorted(zip(counted, names, strict=True))]


def folders_of_frames(root: Path, files: Mapping[str, Sequence[str]], is_requested: bool) -> list[str]:
    """The folders below a root that hold the numbered frames of one video each.

    Some folders are compared. If most of these hold frames, all folders with consecutive numbers are taken, and those with some
    missing numbers; else none.

    Args:
        files: Paths of the files of each folder.
        is_requested: Whether the user asks for video: then all folders of numbered pictures are taken without a comparison.
    """
    if is_requested:
        return [folder for folder, paths in files.items() if len(paths) > 1 and numbers(_names(paths)) is not None]
    missing = {folder: _missing(_names(paths)) for folder, paths in files.items()}
    complete = [folder for folder, share in missing.items() if not share]
    gaps = [folder for folder, share in missing.items() if 0 < share <= MAX_MISSING]
    sampled = complete[:: max(1, len(complete) // COMPARED)][:COMPARED]
    sampled_frames = [_sorted_frames(root / folder, _names(files[folder])) for folder in sampled]
    first_frames = [_read_thumbnails(frames[:1]) for frames in sampled_frames]
    confirmed = [
        _moves(frames, [frame for other, frame in enumerate(first_frames) if other != number])
        for number, frames in enumerate(sampled_frames)
    ]
    clips = 4 * sum(confirmed) >= 3 * len(confirmed) > 0
    return [*complete, *(gaps if len(gaps) <= len(complete) else [])] if clips else []


def note_on_equal_numbers(files: Mapping[str, Sequence[str]]) -> list[str]:
    """A sentence, in a list, if nearly all folders hold pictures of the same consecutive numbers, else [].

    They may be clips whose motion is too abrupt to show in `folders_of_frames`.

    files: Paths of the files of each folder.
    """
    # By hash: the names of ten million files would take a gigabyte
    hashes = {folder: hash(tuple(sorted(_names(paths)))) for folder, paths in files.items()}
    usual_hash, count = Counter(hashes.values()).most_common(1)[0] if hashes else (0, 0)
    if count < MIN_EQUAL_FOLDERS or count < EQUAL_SHARE * len(hashes):
        return []
    usual = sorted(_names(files[next(folder for folder, value in hashes.items() if value == usual_hash)]))
    if _missing(usual):
        return []
    return [
        f"{count:,} folders hold pictures of the same numbers ({usual[0]} to {usual[-1]}), whose content does not show motion: if "
        "each folder is a clip, give the modality video."
    ]


def _moves(frames: Sequence[Path], other_firsts: Sequence[NDArray[np.float32]]) -> bool:
    """Whether neighbouring pictures of a folder are far more similar than unrelated ones, half of the folder away or the first ones of
    other folders, of which thumbnails are given."""
    starts = np.linspace(0, len(frames) - 2, min(COMPARED, len(frames) - 1)).round().astype(int)
    before, after = _read_thumbnails([frames[i] for i in starts]), _read_thumbnails([frames[i + 1] for i in starts])
    other_frames = [f for f in other_firsts if len(f)] or [
        _read_thumbnails([frames[(i + len(frames) // 2) % len(frames)]]) for i in starts
    ]
    if not len(before) or len(before) != len(after):
        return False
    usual_distance = float(np.mean([np.abs(before - f).mean() for f in other_frames if len(f)] or [0.0]))
    return float(np.abs(before - after).mean()) < MAX_DISTANCE_RATIO * usual_distance


def _read_thumbnails(paths: Sequence[Path]) -> NDArray[np.float32]:
    """Grey thumbnails (n, 16, 16) of pictures; an empty array if they cannot be read."""
    try:
        return np.asarray(isolation.call(_thumbnails, None, list(paths)))
    except ValueError:
        return np.zeros((0, 16, 16), dtype=np.float32)


def _thumbnails(_: None, paths: Sequence[Path]) -> NDArray[np.float32]:
    thumbnails = []
    for path in paths:
        try:
            image = pixels.to_eight_bits(pixels.load(pixels.open_image(read_whole(path)), min_size=(32, 32)))
            grey = pixels.to_stored(image, 1)[0]
            thumbnails.append(np.asarray(Image.fromarray(grey).resize((16, 16)), dtype=np.float32))
        except OSError as error:
            raise ValueError(str(error)) from None
    return np.stack(thumbnails) if thumbnails else np.zeros((0, 16, 16), dtype=np.float32)


def picture(path: Path, min_side: int) -> Image.Image:
    """Read a frame as an 8-bit picture. Raises ValueError (one clause) if it is damaged."""
    try:
        data = read_whole(path)
    except OSError as error:
        raise ValueError(f"{path.name} cannot be read ({clause(error)})") from None
    return pixels.to_eight_bits(pixels.load(pixels.open_image(data), min_size=(2 * min_side, 2 * min_side)))
