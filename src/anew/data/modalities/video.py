"""Clips as a grid of values in [-1, 1] over time: any common video and animated GIFs in; MP4 and GIF out.

A long video is cut into clips of up to `CLIP` frames, which stay in one part of the split. A clip of fewer frames than the
grid's repeats its last one; `Batch.mask` tells which are its own, and what is written ends where it last changes.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from pathlib import Path
from typing import Any, ClassVar, cast

import numpy as np
from numpy.typing import NDArray
from PIL import Image as Pillow

from anew.core import isolation
from anew.core.settings import knob
from anew.core.specs import Batch, Condition, Grid, Spec
from anew.data.formats import clip_shape, frame_folders, frames, learned, pixels
from anew.data.media_limits import GIF_FRAMES
from anew.data.modalities.image import FLAT, wanted_size
from anew.data.modality import Modality, usable_classes
from anew.data.types import Artifact, Handle, Item, Size
from anew.errors import ConfigError, DataError

CLIP = 32  # most frames of a clip
LEAST = 4  # fewest frames of the grid, and of a file that is written
RUNGS = (16, 24, 32, 48, 64)  # pixels a side
DECODED = 192  # clips of the train part that decide channels and scale
ALIKE_PIXELS = 1 << 22  # decoded pixels of a clip, above which near copies of it are not looked for
COMMON = 0.95  # share of videos that are to be one clip each, where videos are short
PACE = 12.5  # frames a second of clips that are cut out of long videos: a second takes as few as look smooth


@dataclass(frozen=True)
class VideoConfig:
    """How clips are brought to one shape."""

    size: str = knob("auto", "auto, a side in pixels (32), or WIDTHxHEIGHT (48x32)")
    frames: int = knob(0, "most frames of a clip; 0 follows the data and the budget", low=0, high=CLIP)
    rate: float = knob(0.0, "frames a second; 0 takes what most files have", unit="frames/s", low=0.0, high=240.0)
    channels: str = knob("auto", "grey, colour, colour with transparency", choices=("auto", "grey", "rgb", "rgba"))
    frame: str = knob("auto", "clips of another shape: cut the middle out, or pad", choices=("auto", "crop", "pad"))
    labels: str = knob("auto", "whether classes condition the generator", choices=("auto", "off"))


@dataclass(slots=True)
class _Seen:
    """What `fit` saw: sizes and lengths of all clips looked at, frames of those decoded."""

    sizes: list[tuple[int, int]] = field(default_factory=list)
    lengths: list[int] = field(default_factory=list)
    clips: list[list[NDArray[np.uint8]]] = field(default_factory=list)
    refused: str = ""


class Video(Modality):
    """Moving pictures. Stored as uint8 (C, T, H, W); four channels hold colour multiplied by alpha."""

    name: ClassVar[str] = "video"
    suffixes: ClassVar[frozenset[str]] = frozenset(
        {".mp4", ".m4v", ".mov", ".webm", ".mkv", ".avi", ".mpg", ".mpeg", ".ogv", ".flv", ".wmv", ".3gp"}
    )
    Config: ClassVar[type] = VideoConfig
    streams: ClassVar[bool] = True
    native: ClassVar[bool] = True
    unit: ClassVar[str] = "dimension"

    def __init__(self, config: VideoConfig) -> None:
        super().__init__(config)
        self.notes: list[str] = []
        self._wanted = wanted_size(config.size)
        self._rate = float(config.rate)  # frames a second in the source's time
        self._step = 1  # one of so many of these is kept
        self._span = CLIP  # most frames of a clip before that
        self._frame = "crop"

    @classmethod
    def claims(cls, head: bytes) -> float:
        return frames.moving(head)

    @classmethod
    def folders(cls, root: Path, files: Mapping[str, Sequence[str]], asked: bool = False) -> list[str]:
        return frame_folders.folders_of_frames(root, files, asked)

    @property
    def _grid(self) -> Grid:
        return cast(Grid, self.spec)

    @property
    def rate(self) -> float:
        """Frames a second of the grid."""
        return (self._rate or 10.0) / self._step

    def remarks(self) -> list[str]:
        return list(self.notes)

    # ---- what an item is ----

    def survey(self, sample: Sequence[Item]) -> list[str]:
        found = [one for one in isolation.each(self, "timing", sample) if not isinstance(one, ValueError)]
        if not found:
            raise DataError("no video of the sample can be read")
        rates = np.array([one.rate for one in found])
        notes = []
        if not self._rate:
            self._rate = float(np.round(np.median(rates), 3))
        if not all(one.steady for one in found) or (np.abs(rates / self._rate - 1.0) >= frames.STEADY).any():
            seen = f"{rates.min():.3g} to {rates.max():.3g} frames a second, not all at a steady pace"
            notes.append(f"Videos have {seen}: all are read at {self._rate:.3g}.")
        if any(one.cut for one in found):
            most = f"over {frames.FRAMES:,} frames, and of GIFs of over {GIF_FRAMES:,},"
            notes.append(f"Of videos of {most} only the first so many are used.")
        lengths = [len(one.at(self._rate)) for one in found]
        return [*notes, *self._clips(lengths)]

    def timing(self, item: Item) -> frames.Timing:
        """When the frames of its file are shown. Raises ValueError (one clause)."""
        return frames.timing(_source(item))

    def _clips(self, lengths: list[int]) -> list[str]:
        """Settle how long a clip is and which frames are kept of it, from lengths of videos at the common rate."""
        size = self.size or Size(None, 0, 0)
        most, common = self.config.frames or limits(size)[1], float(np.quantile(lengths, COMMON))
        whole = common <= CLIP
        self._step = max(1, -(-round(common) // most) if whole else round(self._rate / PACE))
        self._span = self._step * most
        why = "as asked" if self.config.frames else f"what {clip_shape.budget_words(size)} affords"
        if not whole:
            pace = f"{most} frames at {self.rate:.3g} a second"
            return [f"Videos of up to {max(lengths):,} frames are cut into clips of {pace}: {why}."]
        if self._step > 1:
            return [f"Of each clip one frame of {self._step} is learned, at most {most}: {why}."]
        return []

    def expand(self, item: Item) -> Iterator[Item]:
        """Clips of about equal length. Those of one video have its name as their group."""
        if not isinstance(item.data, Handle) or item.data.at is not None:
            yield item
            return
        handle = item.data
        total = len(frames.timing(_source(item)).at(self._rate or 10.0))
        start, stop = (total * place // handle.of for place in (handle.part, handle.part + 1))
        pieces = max(1, round((stop - start) / self._span)) if total > self._span else 1
        bounds = np.linspace(start, stop, pieces + 1).round().astype(int).tolist()
        for low, high in pairwise(bounds):
            if high - low < 2 * self._step and pieces > 1:
                continue
            group = item.name if total > high - low else None
            yield replace(item, data=replace(handle, at=(low, high)), begins=True, ends=True, group=group)

    def accepts(self, item: Item) -> str | None:
        try:
            frames.timing(_source(item))
        except ValueError as error:
            return str(error)
        return None

    def signature(self, item: Item) -> bytes | None:
        """Bytes shared by most copies of one clip that differ in encoding alone; None of clips cut out of longer videos, and
        of those without a contour."""
        if item.group is not None or isinstance(item.data, np.ndarray):
            return None
        timing, wanted = self._wanted_frames(item)
        if timing.width * timing.height * len(wanted) > ALIKE_PIXELS:
            return None
        found = frames.pictures(_source(item), wanted.tolist(), timing.times, 64)
        some = [found[place] for place in (0, len(found) // 3, 2 * len(found) // 3, len(found) - 1)]
        hashes = b"".join(pixels.perceptual_hash(pixels.to_eight_bits(one)) for one in some)
        return hashes if any(hashes) else None

    def _wanted_frames(self, item: Item) -> tuple[frames.Timing, NDArray[np.intp]]:
        """The numbers in the file of the frames that a clip keeps."""
        timing = frames.timing(_source(item))
        at = item.data.at if isinstance(item.data, Handle) else None
        shown = timing.at(self._rate or timing.rate)
        low, high = at or (0, min(len(shown), self._span))
        return timing, shown[low:high][:: self._step]

    # ---- fitting ----

    def fit(self, items: Iterable[Item], size: Size, labels: Sequence[str]) -> Spec:
        self.notes = []
        side = limits(size)[0]
        seen = self._look(items, 2 * max(side, *(self._wanted or (0, 0))))
        if not seen.clips:
            raise DataError(f"no video of the train part can be read; the first one: {seen.refused or 'none given'}")
        length = max(max(seen.lengths), LEAST)
        if min(seen.lengths) < max(seen.lengths):
            few = f"{min(seen.lengths)} to {max(seen.lengths)} frames"
            self.notes.append(f"Clips have {few}; how long each kind is is learned too.")
        flat = [Pillow.fromarray(one) for clip in seen.clips for one in clip]
        see_through = sum(map(pixels.transparent, flat)) >= 0.1 * len(flat)
        channels = clip_shape.channels(self.config.channels, flat, see_through, self.notes)
        self._frame = clip_shape.frame(self.config.frame, seen.sizes, see_through and channels == 4, self._wanted)
        width, height = clip_shape.even_size(seen.sizes, size, side, self._wanted, self._frame, self.notes)
        ready = [pixels.stored(pixels.shaped(one, width, height, self._frame), channels) for one in flat]
        std = float(np.std(np.stack(ready).astype(np.float32))) / 127.5
        shape = (channels, length, height, width)
        classes = usable_classes(self.config.labels, labels, size.items, "videos", self.notes)
        self.spec = Grid(shape, "CTHW", classes, max(std, FLAT))
        return self.spec

    def _look(self, items: Iterable[Item], enough: int) -> _Seen:
        seen, left = _Seen(), iter(items)
        while some := list(itertools.islice(left, isolation.PIECE)):
            found = isolation.each(self, "glimpse", some, enough if len(seen.clips) < DECODED else 0)
            for item, one in zip(some, found, strict=True):
                if isinstance(one, ValueError):
                    seen.refused = seen.refused or f"{item.name}: {one}"
                    continue
                size, length, clip = one
                seen.sizes.append(size)
                seen.lengths.append(length)
                seen.clips += [clip] if clip else []
        return seen

    def glimpse(self, item: Item, enough: int) -> tuple[tuple[int, int], int, list[NDArray[np.uint8]]]:
        """((width, height), frames, some of them) of a clip. enough: see `frames.pictures`; 0: none is decoded.

        Raises ValueError (one clause)."""
        timing, wanted = self._wanted_frames(item)
        found = frames.pictures(_source(item), wanted.tolist(), timing.times, enough) if enough else []
        some = [np.asarray(pixels.to_eight_bits(one)) for one in found[:: max(1, len(found) // 4)]]
        return (timing.width, timing.height), len(wanted), some

    # ---- tensors ----

    def encode(self, item: Item) -> NDArray[np.uint8]:
        length = self._grid.shape[1]
        ready = self.frames_of(item)[:length]
        return np.stack(ready + [ready[-1]] * (length - len(ready)), axis=1)  # (C, T, H, W)

    def frames_of(self, item: Item, all_of_it: bool = False) -> list[NDArray[np.uint8]]:
        """(C, H, W) of each frame that a clip keeps, or that a whole video has at the same pace."""
        channels, _, height, width = self._grid.shape
        if isinstance(item.data, np.ndarray):
            found = [pixels.open_image(frame) for frame in item.data]
        else:
            timing, wanted = self._wanted_frames(item)
            if all_of_it:  # pictures without times are at the pace of the run's files
                untimed = timing.at(timing.rate if frames.untimed(_source(item)) else self._rate or timing.rate)
                wanted = untimed[:: self._step]
            found = frames.pictures(_source(item), wanted.tolist(), timing.times, max(height, width))
        if not found:
            raise ValueError("it has no frames")
        eight = map(pixels.to_eight_bits, found)
        return [pixels.stored(pixels.shaped(one, width, height, self._frame), channels) for one in eight]

    def units(self, item: Item) -> int:
        """Dimensions of the stored clip, which bits are divided by."""
        return int(np.prod(self._grid.shape))

    def batch(self, rows: NDArray[Any], labels: NDArray[Any] | None, lengths: NDArray[Any] | None) -> Batch:
        import torch

        x = np.multiply(rows, np.float32(1 / 127.5), dtype=np.float32)  # (B, C, T, H, W)
        x -= np.float32(1.0)
        classes = self._grid.classes and labels is not None
        label = torch.from_numpy(np.asarray(labels).astype(np.int64)) if classes else None  # (B,)
        own = np.arange(rows.shape[2]) < lengths_of(rows)[:, None]  # (B, T)
        units = torch.full((len(rows),), float(np.prod(rows.shape[1:])))  # (B,)
        return Batch(torch.from_numpy(x), label, torch.from_numpy(own), units)

    def decode(self, x: Any) -> list[NDArray[np.uint8]]:
        """(n, C, T, H, W) in [-1, 1] -> (t, H, W), (t, H, W, 3) or (t, H, W, 4) uint8 each, t frames up to the last change."""
        values = x.detach().float().cpu().numpy() if hasattr(x, "detach") else np.asarray(x)
        clips = [np.stack([pixels.shown(frame) for frame in clip.swapaxes(0, 1)]) for clip in values]
        return [clip[: lengths_of(clip[None, None])[0]] for clip in clips]

    def save_item(self, item: Any) -> Artifact:
        return _files(_long_enough(item), self.rate)

    def picture(self, item: Any) -> NDArray[Any]:
        """All frames side by side."""
        return np.concatenate(list(np.asarray(item)), axis=1)

    def prompt_file(self, path: Path) -> str:
        return str(path)

    def condition_from_prompt(self, prompt: str, suffix: str = "") -> Condition:
        """The clips in these files as what samples begin and end with; between the two at least a quarter is left free."""
        import torch

        begin, end = ([] if not path else _given(self, path) for path in (prompt, suffix))
        length = self._grid.shape[1]
        if end:
            keep = max(1, (length - length // 4) // (2 if begin else 1))
            begin, end = begin[-keep:], end[:keep]
        free = max(1, length - len(begin) - len(end)) if end or len(begin) < length else 0
        blank = [np.zeros_like((begin or end)[0])] * free
        rows = np.stack([*begin, *blank, *end], axis=1)[None]  # (1, C, T, H, W)
        mask = torch.zeros(1, rows.shape[2], 1, 1)
        mask[:, : len(begin)] = 1.0
        if end:
            mask[:, -len(end) :] = 1.0
        return Condition(self.batch(rows, None, None).x[0], mask)

    def state(self) -> dict[str, Any]:
        spec = self._grid
        return {
            "shape": list(spec.shape),
            "classes": spec.classes,
            "std": spec.std,
            "frame": self._frame,
            "rate": self._rate,
            "step": self._step,
            "span": self._span,
            "notes": list(self.notes),
        }

    def restore(self, state: dict[str, Any], folder: Path) -> None:
        learned.check(learned.LearnedVideo, state)
        self.spec = Grid(tuple(state["shape"]), "CTHW", state["classes"], state["std"])
        self._frame, self._rate = state["frame"], state["rate"]
        self._step, self._span = state["step"], state["span"]
        self.notes = list(state["notes"])


def _source(item: Item) -> frames.Data:
    if not isinstance(item.data, Handle):
        return bytes(item.data)
    return item.data.path if item.data.body is None else item.data.body


def _given(video: Video, path: str) -> list[NDArray[np.uint8]]:
    """(C, H, W) of each frame of a clip, of a folder of them, or of a single picture."""
    (found,) = isolation.each(video, "frames_of", [Item(path, Handle(Path(path)))], True)
    if isinstance(found, ValueError):
        still = isolation.call(_still, None, Path(path))
        if still is not None:
            return video.frames_of(Item(path, still))
        raise ConfigError(
            f"{path!r} cannot be used as a prompt: {found}; give a short video, an animated GIF, a picture, or a folder of "
            "numbered pictures"
        )
    return cast(list[NDArray[np.uint8]], found)


def _still(_: None, path: Path) -> NDArray[np.uint8] | None:
    return frames.still(path)


def limits(size: Size) -> tuple[int, int]:
    """(pixels a side, frames) that the budget can learn: 24 and 8 in a minute of one CPU thread, 32 and 12 in five.

    An accelerator counts as a hundred threads; without a budget (steps only) the answer is 32 and 16."""
    if size.seconds is None:
        return 32, 16
    work = size.seconds * (max(1, min(size.threads, 16)) if size.device == "cpu" else 100) / 60.0
    side = max(rung for rung in RUNGS if rung <= max(24.0 * work**0.18, RUNGS[0]))
    return side, int(np.clip(8.0 * work**0.25, LEAST, CLIP))


def lengths_of(rows: NDArray[Any]) -> NDArray[np.intp]:
    """(B,) frames up to the last change of rows (B, C, T, ...)."""
    if rows.shape[2] < 2:
        return np.ones(len(rows), dtype=np.intp)
    moved = (rows[:, :, 1:] != rows[:, :, :-1]).any(axis=tuple(a for a in range(1, rows.ndim) if a != 2))  # (B, T - 1)
    return np.asarray((moved * np.arange(2, rows.shape[2] + 1)).max(axis=1).clip(1))


def _files(clip: NDArray[np.uint8], rate: float) -> Artifact:
    gif = Artifact(".gif", frames.gif(clip, rate), media="image/gif")
    return Artifact(".mp4", frames.mp4(clip, rate), media="video/mp4", also=(gif,))


def _long_enough(clip: NDArray[np.uint8]) -> NDArray[np.uint8]:
    missing = LEAST - len(clip)
    return clip if missing <= 0 else np.concatenate([clip, clip[-1:].repeat(missing, 0)])


EXPORT = Video
