"""Images as a grid of values in [-1, 1]: any common format, colour mode, depth and size in; PNG out."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, cast

import numpy as np
from numpy.typing import NDArray
from PIL import Image as Pillow

from anew.core import isolation
from anew.core.settings import knob
from anew.core.specs import Batch, Grid, Spec
from anew.data.formats import learned, pixels
from anew.data.formats.image_size import RUNGS, chosen_size
from anew.data.media_limits import IMAGE_BYTES
from anew.data.modality import SURE, Modality, usable_classes
from anew.data.types import Artifact, Item, Size
from anew.errors import ConfigError, DataError

LOOKED = 2048  # images of the sample whose headers decide the size
DECODED = 1024  # of these, images whose pixels decide channels, depth and scale
DECODED_PIXELS = 1 << 27  # stop decoding the sample here (about two seconds of PNG), though never below LEAST images
MOST_PIXELS = 1 << 28  # but here also where it is fewer than those
HELD_PIXELS = 1 << 24  # of the copies kept meanwhile: 50 MB as colour
LEAST, AT_ONCE = 16, 4  # images: decoded at least, and between two looks at how much was
LARGEST = 1024  # pixels a side


_MAGIC = (b"\x89PNG", b"\xff\xd8\xff", b"II*\x00", b"MM\x00*")
FLAT = 0.02  # least standard deviation reported: noise levels are measured against it


@dataclass(frozen=True)
class ImageConfig:
    """How images are brought to one shape."""

    size: str = knob("auto", "auto, a side in pixels (64), or WIDTHxHEIGHT (64x48)")
    channels: str = knob("auto", "grey, colour, colour with transparency", choices=("auto", "grey", "rgb", "rgba"))
    frame: str = knob("auto", "images of another shape: cut the middle out, or pad", choices=("auto", "crop", "pad"))
    labels: str = knob("auto", "whether classes condition the generator", choices=("auto", "off"))


@dataclass(frozen=True, slots=True)
class Glimpse:
    """size: (width, height) of an image; small: a copy, (h, w) or (h, w, C) of 8 bits, or the values of a deep one as floats;
    drawn: pixels decoded for it; span: smallest and largest value of a deep image, floating where those are floats."""

    size: tuple[int, int]
    small: NDArray[Any] | None = None
    drawn: int = 0
    span: pixels.Levels | None = None
    floating: bool = False


@dataclass(slots=True)
class _Sample:
    """What `fit` saw: (width, height) of all looked at, small copies of those decoded, (low, high) of deep ones."""

    sizes: list[tuple[int, int]] = field(default_factory=list)
    images: list[Pillow.Image] = field(default_factory=list)
    spans: list[pixels.Levels] = field(default_factory=list)
    floating: bool = False
    refused: str = ""
    drawn: int = 0  # pixels decoded
    held: int = 0  # pixels of the copies

    @property
    def decodes(self) -> bool:
        """Whether more are to be decoded."""
        spent = self.drawn >= DECODED_PIXELS or self.held > HELD_PIXELS
        few = len(self.images) < LEAST and self.drawn < MOST_PIXELS
        return len(self.images) < DECODED and (not spent or few)

    def add(self, one: Glimpse) -> None:
        """Count it in."""
        self.sizes.append(one.size)
        if one.small is None:
            return
        self.drawn += one.drawn
        if one.span is not None:
            self.spans.append(one.span)
            self.floating = self.floating or one.floating
        image = Pillow.fromarray(one.small)
        self.held += _area(image.size)
        self.images.append(image)


class Image(Modality):
    """Pictures. Stored as uint8 (C, H, W); four channels hold colour multiplied by alpha.

    After `fit`, `remarks` say which shape was chosen and why.
    """

    name: ClassVar[str] = "image"
    suffixes: ClassVar[frozenset[str]] = pixels.SUFFIXES
    native: ClassVar[bool] = True
    largest: ClassVar[int] = IMAGE_BYTES
    foreign: ClassVar[Mapping[str, str]] = dict.fromkeys((".heic", ".heif", ".svg", ".psd"), "PNG or JPEG")
    Config: ClassVar[type] = ImageConfig
    unit: ClassVar[str] = "dimension"

    def __init__(self, config: ImageConfig) -> None:
        super().__init__(config)
        self.notes: list[str] = []
        self._wanted = wanted_size(config.size)
        self._frame = "crop"
        self._levels: pixels.Levels | None = None

    @classmethod
    def claims(cls, head: bytes) -> float:
        if head.startswith(_MAGIC) or head[8:12] == b"WEBP":
            return 1.0
        if head.startswith(b"GIF8"):
            return SURE  # a moving one is claimed by more than that
        return 0.5 if head.startswith(b"BM") else 0.0

    @property
    def _grid(self) -> Grid:
        return cast(Grid, self.spec)

    def remarks(self) -> list[str]:
        return list(self.notes)

    def accepts(self, item: Item) -> str | None:
        try:
            pixels.open_image(item.data)
        except ValueError as error:
            return str(error)
        return None

    def signature(self, item: Item) -> bytes | None:
        """Bytes shared by most copies of one picture that differ in encoding alone or in little else."""
        image = pixels.load(pixels.open_image(item.data), enough=(64, 64))
        own = pixels.levels([pixels.span(image)], image.mode == "F") if pixels.is_deep(image) else None
        return pixels.perceptual_hash(pixels.to_eight_bits(pixels.smaller(image, 64), own))

    def fit(self, items: Iterable[Item], size: Size, labels: Sequence[str]) -> Spec:
        self.notes = []
        limit = side_limit(size)
        sample = self._look(items, enough=3 * max(limit, *(self._wanted or (0, 0))))
        if not sample.images:
            raise DataError(f"no image of the train part can be read; the first one: {sample.refused or 'none given'}")
        if sample.spans:
            self._levels = pixels.levels(sample.spans, sample.floating)
        eight = [pixels.to_eight_bits(image, self._levels) for image in sample.images]
        see_through = sum(map(pixels.transparent, eight)) >= 0.1 * len(eight)
        channels = self._channels(eight, see_through)
        width, height = self._shape(sample.sizes, size, limit, see_through and channels == 4)
        ready = [pixels.stored(pixels.shaped(one, width, height, self._frame), channels) for one in eight]
        std = float(np.std(np.stack(ready).astype(np.float32))) / 127.5
        if std < FLAT:
            self.notes.append("The images sampled are all but one flat colour: there is hardly anything to learn.")
        shape = (channels, height, width)
        classes = usable_classes(self.config.labels, labels, size.items, "images", self.notes)
        self.spec = Grid(shape, "CHW", classes, max(std, FLAT))
        return self.spec

    def _look(self, items: Iterable[Item], enough: int) -> _Sample:
        sample, left = _Sample(), iter(items)
        while len(sample.sizes) < LOOKED and (some := list(itertools.islice(left, AT_ONCE))):
            found = isolation.each(self, "glimpse", some, enough if sample.decodes else 0)
            for item, one in zip(some, found, strict=True):
                if isinstance(one, ValueError):
                    sample.refused = sample.refused or f"{item.name}: {one}"
                else:
                    sample.add(one)
        return sample

    def glimpse(self, item: Item, enough: int) -> Glimpse:
        """enough: pixels a side of the copy; 0: none is made. Raises ValueError (one clause)."""
        image = pixels.open_image(item.data)
        size = pixels.size_of(image)
        if not enough:
            return Glimpse(size)
        if not isinstance(item.data, np.ndarray):
            image = pixels.load(image, enough=(enough, enough))
        drawn = max(_area(image.size), _area(size) // 16)  # a JPEG decoded at an eighth still costs that
        if pixels.is_deep(image):
            small = pixels.reduced(np.asarray(image), 2 * enough)
            return Glimpse(size, small, drawn, pixels.span(image), image.mode == "F")
        image = pixels.to_eight_bits(pixels.smaller(image, 2 * enough))
        if max(image.size) > 2 * enough:  # keep the sample small in memory
            image = image.copy()
            image.thumbnail((2 * enough, 2 * enough))
        return Glimpse(size, np.asarray(image), drawn)

    def _channels(self, eight: list[Pillow.Image], see_through: bool) -> int:
        if self.config.channels != "auto":
            return {"grey": 1, "rgb": 3, "rgba": 4}[self.config.channels]
        if see_through:
            return 4
        if any(one.mode == "RGBA" for one in eight):
            self.notes.append("Few images are transparent: they are laid on white (channels=rgba keeps transparency).")
        return 3 if any(map(pixels.coloured, eight)) else 1

    def _shape(self, sizes: list[tuple[int, int]], size: Size, limit: int, see_through: bool) -> tuple[int, int]:
        """(width, height) and, in `self._frame`, how images of another shape come to it."""
        mixed = len(set(sizes)) > 1
        self._frame = self.config.frame
        if self._frame == "auto":
            self._frame = "pad" if mixed and see_through and not self._wanted else "crop"
        chosen = self._wanted or chosen_size(sizes, limit, self._frame)
        how = {"crop": "scaled to cover and cut at the middle", "pad": "set in the middle of a canvas"}[self._frame]
        if mixed:
            lows, highs = min(sizes, key=_area), max(sizes, key=_area)
            seen = f"from {lows[0]}x{lows[1]} to {highs[0]}x{highs[1]}"
            self.notes.append(f"Images differ in size ({seen}): each is {how} at {chosen[0]}x{chosen[1]}.")
        elif chosen != sizes[0]:
            why = (
                "as asked"
                if self._wanted
                else f"what {_budget(size)} affords; size={min(max(sizes[0]), LARGEST)} keeps more"
            )
            self.notes.append(f"Images of {sizes[0][0]}x{sizes[0][1]} are learned at {chosen[0]}x{chosen[1]}: {why}.")
        return chosen

    def encode(self, item: Item) -> NDArray[np.uint8]:
        channels, height, width = self._grid.shape
        image = pixels.open_image(item.data)
        if not isinstance(item.data, np.ndarray):
            image = pixels.load(image, enough=self._enough(pixels.size_of(image), width, height))
            image = pixels.smaller(image, 4 * max(width, height))
        image = pixels.to_eight_bits(image, self._levels)
        return pixels.stored(pixels.shaped(image, width, height, self._frame), channels)

    def _enough(self, size: tuple[int, int], width: int, height: int) -> tuple[int, int]:
        # Twice the final scale: what antialiasing needs, and a fraction of the work for photographs.
        ratios = (width / size[0], height / size[1])
        ratio = 2.0 * (min(ratios) if self._frame == "pad" else max(ratios))
        return max(1, round(size[0] * ratio)), max(1, round(size[1] * ratio))

    def encode_checked(self, item: Item) -> NDArray[np.uint8]:
        return self.encode(item)  # opens the header itself: no need to ask `accepts` first

    def units(self, item: Item) -> int:
        """Dimensions of the stored image, which bits are divided by."""
        return int(np.prod(self._grid.shape))

    def batch(self, rows: NDArray[Any], labels: NDArray[Any] | None, lengths: NDArray[Any] | None) -> Batch:
        import torch

        x = np.multiply(rows, np.float32(1 / 127.5), dtype=np.float32)  # (B, C, H, W)
        x -= np.float32(1.0)
        classes = self._grid.classes and labels is not None
        label = torch.from_numpy(np.asarray(labels).astype(np.int64)) if classes else None  # (B,)
        units = torch.full((len(rows),), float(np.prod(rows.shape[1:])))  # (B,)
        return Batch(torch.from_numpy(x), label, None, units)

    def decode(self, x: Any) -> list[NDArray[np.uint8]]:
        """(n, C, H, W) in [-1, 1] -> (H, W), (H, W, 3) or (H, W, 4) uint8 each."""
        values = x.detach().float().cpu().numpy() if hasattr(x, "detach") else np.asarray(x)
        return [pixels.shown(one) for one in values]

    def save_item(self, item: Any) -> Artifact:
        return Artifact(".png", pixels.png(item), media="image/png")

    def picture(self, item: Any) -> NDArray[Any]:
        return np.asarray(item)

    def state(self) -> dict[str, Any]:
        spec = self._grid
        return {
            "shape": list(spec.shape),
            "classes": spec.classes,
            "std": spec.std,
            "frame": self._frame,
            "levels": list(self._levels) if self._levels else None,
            "notes": list(self.notes),
        }

    def restore(self, state: dict[str, Any], folder: Path) -> None:
        learned.check(learned.LearnedImage, state)
        self.spec = Grid(tuple(state["shape"]), "CHW", state["classes"], state["std"])
        self._frame = state["frame"]
        self._levels = (state["levels"][0], state["levels"][1]) if state["levels"] else None
        self.notes = list(state["notes"])


def side_limit(size: Size) -> int:
    """Pixels a side that the budget can learn: 32 in a minute of one CPU thread, twice that for sixty times the work.

    An accelerator counts as a hundred threads; without a budget (steps only) the answer is 64.
    """
    if size.seconds is None:
        return 64
    work = size.seconds * (max(1, min(size.threads, 16)) if size.device == "cpu" else 100)
    return int(min(max(32.0 * (work / 60.0) ** (np.log(2) / np.log(60)), RUNGS[0]), RUNGS[-1]))


def wanted_size(text: Any) -> tuple[int, int] | None:
    """(width, height) that the knob `size` asks for, or None for "auto". Raises ConfigError."""
    match = re.fullmatch(r"\s*(\d{1,5})(?:\s*[xX×]\s*(\d{1,5}))?\s*", str(text))
    if str(text).strip().lower() in ("auto", "0"):
        return None
    sides = [int(side) for side in match.groups() if side] if match else []
    if not sides or not all(1 <= side <= LARGEST for side in sides):
        allowed = f"give auto, a side such as 64, or WIDTHxHEIGHT, up to {LARGEST}"
        raise ConfigError(f"size={text!r} is not allowed; {allowed}")
    return sides[0], sides[-1]


def _area(size: tuple[int, int]) -> int:
    return size[0] * size[1]


def _budget(size: Size) -> str:
    if size.seconds is None:
        return "a run without a budget"
    where = "1 thread" if size.threads == 1 else f"{size.threads} threads"
    return f"{size.seconds:g} s on {where if size.device == 'cpu' else size.device}"


EXPORT = Image
