"""Clips as a grid of values in [-1, 1] over time: any common video, animated GIF, WebP and PNG in; MP4 and GIF out.

A long video is cut into clips of up to `MAX_FRAMES` frames, which stay in one part of the split. A clip that is shorter than the
grid repeats its last frame; `Batch.mask` says which frames are its own, and a sample is written up to its last change.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from PIL import Image as Pillow

from anew.core import isolation
from anew.core.arrays import Numbers, Values, as_array
from anew.core.settings import setting
from anew.core.specs import Condition, Grid, Spec
from anew.data import limits
from anew.data.formats import learned_schemas
from anew.data.formats.glimpse_samples import collect_glimpses
from anew.data.formats.images import image_size, pixel_blocks, pixels
from anew.data.formats.images.image_size import parse_size
from anew.data.formats.images.palettes import palette_note
from anew.data.formats.images.pixel_matching import PixelMatching, as_unit
from anew.data.formats.video import clip_glimpses, clip_matching, clip_shape, frame_folders, frames
from anew.data.formats.video.clip_glimpses import ClipGlimpse, ClipGlimpses
from anew.data.formats.video.clip_shape import MAX_FRAMES, MIN_FRAMES, size_limits
from anew.data.modalities.grids import GridModality
from anew.data.modalities.image import MIN_STD
from anew.data.modality import ModalityTraits
from anew.data.types import Artifact, DataBudget, DecodedItem, FileSlice, Item
from anew.errors import ConfigError, DataError

if TYPE_CHECKING:
    from torch import Tensor

DEFAULT_RATE = 10.0  # frames a second if no file says how many: that of many GIFs
MAX_SIGNATURE_PIXELS = 1 << 22  # near copies are not searched for clips with more decoded pixels


@dataclass(frozen=True)
class VideoConfig:
    """Settings for fitting clips to one shape."""

    size: str = setting("auto", "auto, a side in pixels (32), or WIDTHxHEIGHT (48x32)")
    frames: int = setting(
        0,
        "most frames of a clip; 0: suited to the data and the budget; if rate is set too, short videos are cut to this length",
        low=0,
        high=MAX_FRAMES,
    )
    rate: float = setting(
        0.0, "frames per second; 0: the most common rate of the files", unit="frames/s", low=0.0, high=240.0
    )
    channels: str = setting("auto", "grey, colour, colour with transparency", choices=("auto", "grey", "rgb", "rgba"))
    frame: str = setting("auto", "clips of another shape: crop the centre, or pad", choices=("auto", "crop", "pad"))
    match_pixels: bool = setting(
        True, "match samples to the data: its alpha values, flat colours, palette and share of specks"
    )
    labels: str = setting("auto", "condition the generator on classes", choices=("auto", "off"))


class Video(GridModality):
    """Short clips of video, stored as uint8 (C, T, H, W); with four channels, colours are multiplied by alpha."""

    name = "video"
    suffixes = frozenset(
        {".mp4", ".m4v", ".mov", ".webm", ".mkv", ".avi", ".mpg", ".mpeg", ".ogv", ".flv", ".wmv", ".3gp"}
    )
    Config = VideoConfig
    axes = "CTHW"
    encoded_by = ("shape", "frame", "block", "rate", "step", "span", "only_beginnings")
    signature_version = 2  # 1: a clip with a single rise has a contour
    encoding_version = 2  # 1: opaque pictures had white margins beside transparent ones
    file_formats = ("mp4", "gif")
    traits = ModalityTraits(
        singular="clip",
        reads_file_slices=True,
        decodes_natively=True,
        folder_advice=frame_folders.ADVICE,
        exact_suffix=".gif",  # MP4s of samples are enlarged and never transparent
    )

    config: VideoConfig

    def __init__(self, config: VideoConfig, *, generated: bool = False) -> None:
        super().__init__(config, generated=generated)
        self._block = 1
        self._fixed_size = parse_size(config.size)
        self._source_rate = float(config.rate)  # frames a second at which files are read; 0: not decided yet
        self._stride = 1  # one in so many of these frames is kept
        self._max_span = MAX_FRAMES  # most frames of a clip before some are left out
        self._only_beginnings = False  # each video is cut to its first `_max_span` frames
        self._framing = "crop"
        self.matching = PixelMatching()  # gives samples the values of real pixels

    @classmethod
    def sniff(cls, head: bytes) -> float:
        return frames.sniff_video(head)

    @classmethod
    def folders(cls, root: Path, files: Mapping[str, Sequence[str]], is_requested: bool = False) -> list[str]:
        return frame_folders.folders_of_frames(root, files, is_requested)

    @property
    def rate(self) -> float:
        """Frames a second of the grid."""
        return (self._source_rate or DEFAULT_RATE) / self._stride

    # ---- what an item is ----

    def inspect(self, sample: Sequence[Item], budget: DataBudget | None = None) -> list[str]:
        timings = [timing for timing in isolation.each(self.timing, sample) if not isinstance(timing, ValueError)]
        if not timings:
            raise DataError("no video of the sample can be read")
        notes: list[str] = []
        if not self._source_rate:
            self._source_rate = float(np.round(np.median([timing.rate for timing in timings]), 3))
        frame_counts = [len(timing.at(self._source_rate)) for timing in timings]
        budget = budget or DataBudget(None, 0, 0)
        length = clip_shape.choose_length(
            frame_counts, self._source_rate, self.config.frames, self.config.rate > 0.0, budget
        )
        self._stride, self._max_span, self._only_beginnings = length.stride, length.span, length.only_beginnings
        shown_for = "" if budget.only_compared else f"samples show each frame for {frames.gif_delay(self.rate)} ms"
        notes += clip_shape.rate_notes(timings, self._source_rate, shown_for)
        if any(timing.cut for timing in timings):
            notes.append(
                f"Only the first {frames.MAX_FRAMES:,} frames of a video, and the first {limits.GIF_FRAMES:,} of a GIF, WebP or "
                "PNG, are used."
            )
        return [*notes, *length.notes]

    def settings_like(self, samples: Sequence[Item], real: Sequence[Item]) -> dict[str, object]:
        side, max_frames = size_limits(DataBudget(None, 0, 0))
        timings, real_timings = ([self.timing(item) for item in items] for items in (samples, real))
        return clip_shape.settings_like(timings, real_timings, side, max_frames)

    def timing(self, item: Item) -> frames.Timing:
        """When each frame of the item's file is shown. Raises ValueError (one clause)."""
        return frames.timing(_file_of(item))

    def split_records(self, item: Item) -> Iterator[Item]:
        """Clips of about equal length. Clips of one video have its name as their group."""
        if not isinstance(item.data, FileSlice) or item.data.at is not None:
            yield item
            return
        handle = item.data
        total = len(frames.timing(_file_of(item)).at(self._source_rate or DEFAULT_RATE))
        if self._only_beginnings:
            if handle.index == 0:
                yield replace(item, data=replace(handle, at=(0, min(total, self._max_span))), begins=True, ends=True)
            return
        start = total * handle.index // handle.count
        stop = total * (handle.index + 1) // handle.count
        num_clips = max(1, round((stop - start) / self._max_span)) if total > self._max_span else 1
        bounds = np.linspace(start, stop, num_clips + 1).round().astype(int).tolist()
        for low, high in pairwise(bounds):
            if num_clips > 1 and high - low < 2 * self._stride:  # a single kept frame at the end of a long video
                continue
            group = item.name if total > high - low else None
            yield replace(item, data=replace(handle, at=(low, high)), begins=True, ends=True, group=group)

    def validate_header(self, item: Item) -> str | None:
        try:
            frames.timing(_file_of(item))
        except ValueError as error:
            return str(error)
        return None

    def signature(self, item: Item) -> bytes | None:
        """Bytes that most copies of one clip share, even in another encoding; None for clips cut out of longer videos, and for
        those without a contour."""
        if item.group is not None or isinstance(item.data, np.ndarray):
            return None
        timing, frame_numbers = self._kept_frames(item)
        if timing.width * timing.height * len(frame_numbers) > MAX_SIGNATURE_PIXELS:
            return None
        images = frames.pictures(_file_of(item), frame_numbers.tolist(), timing.times, 64)
        count = len(images)
        spread = [images[index] for index in (0, count // 3, 2 * count // 3, count - 1)]
        hashes = b"".join(pixels.perceptual_hash(pixels.to_eight_bits(image)) for image in spread)
        is_known = any(hashes) if self.signature_version == 1 else pixels.has_contour(hashes)
        return hashes if is_known else None

    def signature_state(self) -> dict[str, object]:
        return {"rate": self._source_rate, "step": self._stride, "span": self._max_span}

    def _kept_frames(self, item: Item) -> tuple[frames.Timing, NDArray[np.intp]]:
        """The file's timing, and the numbers in the file of the frames that a clip keeps."""
        timing = frames.timing(_file_of(item))
        in_time = timing.at(self._source_rate or timing.rate)
        clip = item.data.at if isinstance(item.data, FileSlice) else None
        start, stop = clip or (0, min(len(in_time), self._max_span))
        return timing, in_time[start:stop][:: self._stride]

    # ---- fitting ----

    def fit(self, items: Iterable[Item], budget: DataBudget, labels: Sequence[str]) -> Spec:
        self.notes = []
        max_side = size_limits(budget)[0]
        sample = ClipGlimpses()
        side = 2 * max(max_side, *(self._fixed_size or (0, 0)))
        collect_glimpses(self.glimpse, items, sample, side, budget.reading)
        if not sample.clips:
            reason = sample.first_error or "none given"
            raise DataError(f"no video of the train part can be read; the first one: {reason}")
        shortest, longest = min(sample.frame_counts), max(sample.frame_counts)
        if shortest < longest:
            learns = "" if budget.only_compared else "; the model also learns their lengths"
            self.notes.append(f"Clips have {shortest} to {longest} frames{learns}.")
        images = [Pillow.fromarray(frame) for clip in sample.clips for frame in clip]
        channels, keeps_transparency = image_size.channels(self.config.channels, images, "frames", budget, self.notes)
        self._framing = clip_shape.frame(self.config.frame, sample.sizes, keeps_transparency)
        self._block, (width, height) = clip_shape.drawn_size(
            sample.blocks, sample.sizes, budget, self._fixed_size, self._framing, self.notes
        )
        images = sample.drawings(self._block)
        rows = [pixels.to_stored_size(image, width, height, self._framing, channels) for image in images]
        if self.config.match_pixels and not budget.only_compared:
            owners = np.repeat(np.arange(len(sample.clips)), [len(clip) for clip in sample.clips])
            self.notes += palette_note(np.stack(rows), "frames", 2 * sample.num_paletted > len(sample.clips), owners)
        std = float(np.std(np.stack(rows).astype(np.float32))) / 127.5
        shape = (channels, max(longest, MIN_FRAMES), height, width)
        classes = self._num_classes(self.config.labels, labels, budget.items)
        self.spec = Grid(shape, self.axes, classes, max(std, MIN_STD))
        return self.spec

    def form(self) -> str:
        """The size in which items are learned, and their channels, in words."""
        shape = self._grid.shape
        return f"{shape[1]} frames of {image_size.form(shape)}, {self.rate:.3g} per second"

    def glimpse(self, item: Item, side: int) -> ClipGlimpse:
        """Size, length and some frames of a clip. Raises ValueError (one clause).

        Args:
            item: A clip.
            side: Pixels a side that frames need; 0: none is decoded.
        """
        timing, frame_numbers = self._kept_frames(item)
        return clip_glimpses.of_file(_file_of(item), timing, frame_numbers, side)

    # ---- tensors ----

    def encode(self, item: Item) -> NDArray[np.uint8]:
        length = self._grid.shape[1]
        clip = self.frames_of(item)[:length]
        return np.stack(clip + [clip[-1]] * (length - len(clip)), axis=1)  # (C, T, H, W)

    def frames_of(self, item: Item) -> list[NDArray[np.uint8]]:
        """(C, H, W) of each frame that a clip keeps."""
        if isinstance(item.data, np.ndarray):
            return self._stored_frames([pixels.open_image(frame) for frame in item.data])
        return self._read_frames(item, *self._kept_frames(item))

    def all_frames_of(self, item: Item) -> list[NDArray[np.uint8]]:
        """(C, H, W) of all frames of a video, at the rate of the run's files; frames without times are taken as they are."""
        file = _file_of(item)
        timing = frames.timing(file)
        rate = timing.rate if frames.is_untimed(file) else self._source_rate or timing.rate
        return self._read_frames(item, timing, timing.at(rate)[:: self._stride])

    def _read_frames(
        self, item: Item, timing: frames.Timing, frame_numbers: NDArray[np.intp]
    ) -> list[NDArray[np.uint8]]:
        """(C, H, W) of these frames of a file."""
        side = max(self._grid.shape[2:]) * self._block
        return self._stored_frames(frames.pictures(_file_of(item), frame_numbers.tolist(), timing.times, side))

    def _stored_frames(self, images: Sequence[Pillow.Image]) -> list[NDArray[np.uint8]]:
        """(C, H, W) of each frame as it is stored. Raises ValueError (one clause) if there are none."""
        channels, _, height, width = self._grid.shape
        if not images:
            raise ValueError("it has no frames")
        eight_bits = [pixels.to_eight_bits(image) for image in images]
        drawn = pixel_blocks.drawings(eight_bits, self._block, (width, height))
        return [pixels.to_stored_size(image, width, height, self._framing, channels) for image in drawn]

    def _frame_mask(self, rows: Numbers) -> Tensor:
        import torch

        return torch.from_numpy(np.arange(rows.shape[2]) < frame_counts(rows)[:, None])  # (B, T)

    def decode(self, x: Values) -> list[NDArray[np.uint8]]:
        """(n, C, T, H, W) in [-1, 1] -> (t, H, W), (t, H, W, 3) or (t, H, W, 4) uint8 each, t frames up to the last change."""
        return _until_last_change(clip_matching.match_clips(as_array(x), self.matching))

    def to_items(self, rows: Numbers) -> list[NDArray[np.uint8]]:
        return _until_last_change(as_unit(clip_matching.frames_first(row)) for row in rows)

    def calibration_size(self) -> tuple[int, int]:
        return clip_matching.sizes(self._grid.shape) if self.config.match_pixels else (0, 0)

    def calibrate(self, samples: Values, real: Values) -> None:
        self.matching = clip_matching.learn_matching(samples, real)

    def keep_known(self, items: Sequence[DecodedItem], condition: Condition) -> Sequence[DecodedItem]:
        return clip_matching.keep_known(items, condition)

    def save_item(self, item: DecodedItem, comment: str = "") -> Artifact:
        """An MP4, and a GIF of the same size beside it; a clip of fewer than `MIN_FRAMES` frames repeats its last one."""
        clip = clip_shape.padded(np.asarray(item)).repeat(self._block, 1).repeat(self._block, 2)
        gif = Artifact(".gif", frames.gif(clip, self.rate, comment), media="image/gif")
        return Artifact(".mp4", frames.mp4(clip, self.rate, comment), media="video/mp4", also=(gif,))

    def save_as(self, item: DecodedItem, file_format: str, comment: str = "") -> Artifact:
        """A decoded item in one of `file_formats`, alone."""
        artifact = self.save_item(item, comment)
        return artifact.also[0] if file_format == "gif" else replace(artifact, also=())

    def picture(self, item: DecodedItem) -> Numbers:
        """All frames side by side."""
        return np.concatenate(list(np.asarray(item)), axis=1)

    def pictures(self, items: Iterable[DecodedItem]) -> list[Numbers]:
        """Pictures of one shape: a shorter clip repeats its last frame."""
        length = self._grid.shape[1]
        clips = [np.asarray(item) for item in items]
        padded = [np.concatenate([clip, np.repeat(clip[-1:], length - len(clip), axis=0)]) for clip in clips]
        return [self.picture(clip) for clip in padded]

    def prompt_file(self, path: Path) -> str:
        return str(path)

    def condition_from_prompt(self, prompt: str, suffix: str = "") -> Condition:
        """The clips in these files as the beginning and end of samples; at least a quarter between the two is left free."""
        import torch

        if not prompt and not suffix:
            raise ConfigError("the `prompt` is empty; give a video, an image or a folder of frames")
        begin = _prompt_frames(self, prompt) if prompt else []
        end = _prompt_frames(self, suffix) if suffix else []
        row, mask = clip_matching.joined(begin, end, self._grid.shape[1])
        return Condition(self.batch(row, None, None).x[0], torch.from_numpy(mask))

    def state(self) -> dict[str, object]:
        return self._grid_state() | {
            "frame": self._framing,
            "block": self._block,
            "rate": self._source_rate,
            "step": self._stride,
            "span": self._max_span,
            "only_beginnings": self._only_beginnings,
            "matching": self.matching.model_dump(mode="json"),
        }

    def restore(self, state: Mapping[str, object], folder: Path) -> None:
        record = learned_schemas.read(learned_schemas.LearnedVideo, state)
        self._restore_grid(record)
        self._framing, self._block, self._source_rate = record.frame, record.block, record.rate
        self._stride, self._max_span, self._only_beginnings = record.step, record.span, record.only_beginnings
        record.matching.check(record.shape[0])
        self.matching = record.matching


def _file_of(item: Item) -> frames.Data:
    if not isinstance(item.data, FileSlice):
        return item.content
    return item.data.path if item.data.body is None else item.data.body


def _prompt_frames(video: Video, path: str) -> list[NDArray[np.uint8]]:
    """(C, H, W) of each frame of a clip, of a folder of frames, or of a single picture."""
    (clip,) = isolation.each(video.all_frames_of, [Item(path, FileSlice(Path(path)))])
    if isinstance(clip, ValueError):
        still = isolation.call(_decode_still, None, Path(path))
        if still is not None:
            return video.frames_of(Item(path, still))
        raise ConfigError(
            f"{path!r} cannot be used as a prompt: {clip}; give a short video, an animated GIF, a picture, or a folder of "
            "numbered pictures"
        )
    return clip


def _decode_still(_: None, path: Path) -> NDArray[np.uint8] | None:
    return frames.read_still(path)


def _until_last_change(clips: Iterable[Numbers]) -> list[NDArray[np.uint8]]:
    """Each clip, (T, C, H, W) in [-1, 1], as bytes without the repeated frames at its end."""
    return [clip[: frame_counts(clip[None, None])[0]] for clip in clip_matching.as_bytes(clips)]


def frame_counts(rows: Numbers) -> NDArray[np.intp]:
    """(B,) frames up to the last change of rows (B, C, T, ...)."""
    if rows.shape[2] < 2:
        return np.ones(len(rows), dtype=np.intp)
    moved = (rows[:, :, 1:] != rows[:, :, :-1]).any(axis=tuple(a for a in range(1, rows.ndim) if a != 2))  # (B, T - 1)
    return np.asarray((moved * np.arange(2, rows.shape[2] + 1)).max(axis=1).clip(1))


EXPORT = Video
