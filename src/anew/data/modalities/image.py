"""Images as a grid of values in [-1, 1]: any common format, colour mode, depth and size in; PNG out."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image as Pillow

from anew.core import isolation
from anew.core.arrays import Numbers, Values, as_array
from anew.core.durations import parse_duration
from anew.core.settings import setting
from anew.core.specs import Condition, Grid, Spec
from anew.data import limits
from anew.data.formats import learned_schemas
from anew.data.formats.glimpse_samples import collect_glimpses
from anew.data.formats.images import image_size, picture_sheets, pixel_blocks, pixels, sprite_sheet
from anew.data.formats.images.image_glimpses import ImageGlimpse, ImageGlimpses, glimpse_of
from anew.data.formats.images.image_size import (
    BUDGETS,
    MAX_SIDE,
    RUNGS,
    choose_size,
    enlarging_clause,
    keeping_clause,
    parse_size,
    size_notes,
    size_setting,
    usual_size,
)
from anew.data.formats.images.palettes import palette_note
from anew.data.formats.images.pixel_matching import PixelMatching, as_levels, as_unit
from anew.data.formats.video import animations
from anew.data.modalities.grids import GridModality
from anew.data.modality import CONFIDENT, ModalityTraits
from anew.data.types import Artifact, DataBudget, DecodedItem, Item
from anew.errors import DataError

MIN_STD = 0.02  # least standard deviation reported: noise levels are chosen relative to it
# Images, and pixels a side of them, by which samples and real images are compared in their transparency; chosen
COMPARED_IMAGES, COMPARED_SIDE = 64, 64
MATCHED_PIXELS = 1 << 17  # pixels of samples that are compared with real images, and that are matched at a time
# Least and most of these samples: of 64, shares of pixels are off by up to a half (docs/log.md)
MATCHED_SAMPLES = (8, 128)
PALETTE_PIXELS = 1 << 21  # pixels of real images in which a palette is searched
MATCHED_IMAGES = (16, 2048)  # least and most of these images

_MAGIC = (b"\x89PNG", b"\xff\xd8\xff", b"II*\x00", b"MM\x00*")


@dataclass(frozen=True)
class ImageConfig:
    """Settings for fitting images to one shape."""

    size: str = setting("auto", "auto, a side in pixels (64), or WIDTHxHEIGHT (64x48)")
    cell: str = setting(
        "off",
        "pictures are sheets whose cells are items: their side, WIDTHxHEIGHT, or 32x48+1 with lines of 1 pixel between; "
        "off: they are not sheets",
    )
    channels: str = setting("auto", "grey, colour, colour with transparency", choices=("auto", "grey", "rgb", "rgba"))
    frame: str = setting("auto", "images of another shape: crop the centre, or pad", choices=("auto", "crop", "pad"))
    match_pixels: bool = setting(
        True, "match samples to the data: its alpha values, flat colours, palette, plain areas and share of specks"
    )
    labels: str = setting("auto", "condition the generator on classes", choices=("auto", "off"))
    image_column: str = setting("", "table column of the images; empty: found by its name")
    label_column: str = setting("", "table column of the classes; empty: found by its name")
    header: bool = setting(True, "the first row of a table in CSV or TSV names its columns; false: it is data")


class Image(GridModality):
    """Still images, stored as uint8 (C, H, W); with four channels, colours are multiplied by alpha."""

    name = "image"
    suffixes = pixels.SUFFIXES
    Config = ImageConfig
    file_formats = ("png", "webp", "jpeg")
    encoded_by = ("shape", "frame", "block", "levels")
    signature_version = 2  # 1: all pictures without a contour share one
    encoding_version = 2  # 1: opaque pictures had white margins beside transparent ones
    traits = ModalityTraits(
        singular="image",
        decodes_natively=True,
        max_file_bytes=limits.FILE_BYTES,
        tries_families=True,
        unsupported_suffixes=dict.fromkeys((".heic", ".heif", ".jxl", ".svg", ".psd", ".xpm", ".xbm"), "PNG or JPEG"),
    )

    config: ImageConfig

    def __init__(self, config: ImageConfig, *, generated: bool = False) -> None:
        super().__init__(config, generated=generated)
        self._fixed_size = parse_size(config.size)
        self._cell = picture_sheets.parse_cell(config.cell)
        self._framing = "crop"
        self._block = 1
        self._levels: pixels.ValueRange | None = None
        self.matching = PixelMatching()

    @classmethod
    def sniff(cls, head: bytes) -> float:
        if head.startswith(b"GIF8") or animations.sniff(head):
            return CONFIDENT  # `Video` is more confident of a moving one
        if head.startswith(_MAGIC) or head[8:12] == b"WEBP":
            return 1.0
        return 0.5 if head.startswith(b"BM") else 0.0

    def inspect(self, sample: Sequence[Item], budget: DataBudget | None = None) -> list[str]:
        """Take remarks on sheets, which a refusal of too few pictures needs."""
        if self._cell is not None:
            sizes = [pixels.size_of(pixels.open_image(item.data)) for item in sample]
            self.notes = [picture_sheets.cut_note(sizes, self._cell)]
        elif len(sample) <= picture_sheets.FEW_PICTURES:
            grids = isolation.each(self.grid, sample)
            self.notes = picture_sheets.suggestion([None if isinstance(grid, ValueError) else grid for grid in grids])
        return []

    def grid(self, item: Item) -> tuple[int, int] | None:
        """The cells of a picture that looks like a sheet. Raises ValueError (one clause)."""
        return picture_sheets.grid_of(self._whole(item))

    @property
    def holds_records(self) -> bool:
        return self._cell is not None

    def split_records(self, item: Item) -> Iterator[Item]:
        image = pixels.open_image(item.data)
        if self._cell is None or self._cell.holds(pixels.size_of(image)):
            yield item
            return
        for row, column, values in picture_sheets.cells(self._whole(item), self._cell):
            yield Item(f"{item.name}:row {row}, column {column}", values, item.label)

    @staticmethod
    def _whole(item: Item) -> Pillow.Image:
        return pixels.to_eight_bits(pixels.load(pixels.open_image(item.data)))

    def validate_header(self, item: Item) -> str | None:
        try:
            pixels.open_image(item.data)
        except ValueError as error:
            return str(error)
        return None

    def signature(self, item: Item) -> bytes | None:
        """Bytes that most copies of one picture share, even if they differ in encoding or small details; of one without a contour
        (plaster, rust, a plain area) all copies in which every pixel is the same."""
        image = pixels.load(pixels.open_image(item.data), min_size=(64, 64))
        levels = pixels.levels([pixels.span(image)], image.mode == "F") if pixels.is_deep(image) else None
        small = pixels.to_eight_bits(pixels.smaller(image, 64), levels)
        hashes = pixels.perceptual_hash(small)
        is_known = self.signature_version == 1 or pixels.has_contour(hashes)
        return hashes if is_known else f"{small.mode} {small.size}".encode() + small.tobytes()

    def settings_like(self, samples: Sequence[Item], real: Sequence[Item]) -> dict[str, object]:
        images, real_images = ([pixels.open_image(item.data) for item in items] for items in (samples, real))
        sizes, real_sizes = map(pixels.size_of, images), map(pixels.size_of, real_images)
        settings = image_size.settings_like([*sizes], [*real_sizes], side_limit(DataBudget(None, 0, 0)))
        if any(image.has_transparency_data for image in real_images):
            settings |= self._channels_like(samples, real)
        return settings

    def _channels_like(self, samples: Sequence[Item], real: Sequence[Item]) -> dict[str, object]:
        """The setting that lays real images on white if many of them are transparent and no sample is, else nothing."""
        looks: list[list[Pillow.Image]] = []
        for items in (samples, real):
            sample = ImageGlimpses()
            collect_glimpses(self.glimpse, items[:: len(items) // COMPARED_IMAGES + 1], sample, side=COMPARED_SIDE)
            looks.append([pixels.to_eight_bits(image) for image in sample.thumbnails])
        of_samples, of_real = ([*map(pixels.has_transparency, images)] for images in looks)
        if any(of_samples) or not of_samples or sum(of_real) < image_size.TRANSPARENT_SHARE * max(len(of_real), 1):
            return {}
        return {"channels": "rgb" if any(map(pixels.has_colour, looks[1])) else "grey"}

    # ---- learning shape and scale ----

    def fit(self, items: Iterable[Item], budget: DataBudget, labels: Sequence[str]) -> Spec:
        self.notes = []
        max_side = side_limit(budget)
        sample = ImageGlimpses()
        side = 3 * max(max_side, *(self._fixed_size or (0, 0)))
        collect_glimpses(self.glimpse, items, sample, side, budget.reading)
        if not sample.thumbnails:
            reason = sample.first_error or "none given"
            raise DataError(f"no image of the train part can be read; the first one: {reason}")
        if sample.value_ranges:
            self._levels = pixels.levels(sample.value_ranges, sample.is_float)
        images = [pixels.to_eight_bits(thumbnail, self._levels) for thumbnail in sample.thumbnails]
        channels, keeps_transparency = image_size.channels(self.config.channels, images, "images", budget, self.notes)
        width, height = self._choose_size(sample, budget, max_side, keeps_transparency)
        whole = [
            pixel_blocks.drawing_of(image, block, self._block)
            for image, block in zip(images, sample.blocks, strict=True)
        ]
        rows = [pixels.to_stored_size(image, width, height, self._framing, channels) for image in whole]
        if self.config.match_pixels and not budget.only_compared:
            searched = np.stack(rows[: max(2, PALETTE_PIXELS // (width * height))])
            self.notes += palette_note(searched, "images", 2 * sample.num_paletted > len(images))
        std = float(np.std(np.stack(rows).astype(np.float32))) / 127.5
        if std < MIN_STD:
            self.notes.append("The sampled images are almost all one flat colour: there is hardly anything to learn.")
        classes = self._num_classes(self.config.labels, labels, budget.items)
        self.spec = Grid((channels, height, width), self.axes, classes, max(std, MIN_STD))
        return self.spec

    def form(self) -> str:
        """The size in which items are learned, and their channels, in words."""
        return image_size.form(self._grid.shape)

    def glimpse(self, item: Item, side: int) -> ImageGlimpse:
        """See `image_glimpses.glimpse_of`. Raises ValueError (one clause)."""
        return glimpse_of(item.data, side)

    def _choose_size(
        self, sample: ImageGlimpses, budget: DataBudget, max_side: int, keeps_transparency: bool
    ) -> tuple[int, int]:
        """(width, height) of all images; sets `_framing`, which says how images of another shape are fitted to it, and `_block`."""
        sizes = sample.sizes
        sizes_differ = len(set(sizes)) > 1
        self._framing = self.config.frame
        if self._framing == "auto":
            self._framing = "pad" if sizes_differ and keeps_transparency else "crop"
        self._block = 1
        if not self._fixed_size and not budget.only_compared:
            self._block, drawn = pixel_blocks.affordable(sample.blocks, sizes, max_side, self._framing)
        if self._block > 1:
            as_files = size_setting(choose_size(sizes, MAX_SIDE, self._framing), MAX_SIDE)
            self.notes.append(pixel_blocks.note("images", self._block, drawn, as_files))
            drawn_sizes = [pixel_blocks.drawn_size(size, self._block) for size in sizes]
            self.notes += size_notes(drawn_sizes, drawn, self._framing, "images", "", budget.use)
            return drawn
        chosen = self._fixed_size or choose_size(sizes, max_side, self._framing)
        reason = _reason_for_size(sizes, chosen, self._fixed_size is not None, self._framing, budget)
        self.notes += size_notes(sizes, chosen, self._framing, "images", reason, budget.use)
        return chosen

    # ---- tensors ----

    def encode(self, item: Item) -> NDArray[np.uint8]:
        channels, height, width = self._grid.shape
        image = pixels.open_image(item.data)
        if not isinstance(item.data, np.ndarray):
            image = pixels.load(image, min_size=self._decoding_size(pixels.size_of(image), width, height))
            image = pixels.smaller(image, 4 * max(width, height))
        image = pixels.to_eight_bits(image, self._levels)
        if self._block > 1 and image.size != (width, height):
            image = pixel_blocks.drawing(image, self._block)
        return pixels.to_stored_size(image, width, height, self._framing, channels)

    def _decoding_size(self, size: tuple[int, int], width: int, height: int) -> tuple[int, int]:
        """Twice the final size: enough for antialiasing, and a fraction of the work for large photographs."""
        ratios = (width / size[0], height / size[1])
        ratio = 2.0 * (min(ratios) if self._framing == "pad" else max(ratios))
        return max(1, round(size[0] * ratio)), max(1, round(size[1] * ratio))

    def encode_checked(self, item: Item) -> NDArray[np.uint8]:
        return self.encode(item)  # opens the header itself: no need to ask `validate_header` first

    def decode(self, x: Values) -> list[NDArray[np.uint8]]:
        """(n, C, H, W) in [-1, 1] -> (H, W), (H, W, 3) or (H, W, 4) uint8 each, with the pixel values that the data has."""
        values = as_array(x)
        if not self.matching.steps or not len(values):
            return [pixels.as_bytes(image) for image in values]
        count = max(1, MATCHED_PIXELS // (values.shape[2] * values.shape[3]))
        chunks = (values[start : start + count] for start in range(0, len(values), count))
        return [pixels.as_bytes(image) for chunk in chunks for image in as_unit(self.matching(as_levels(chunk)))]

    def to_items(self, rows: Numbers) -> list[NDArray[np.uint8]]:
        # One by one: as numbers of four bytes, several times over, those of a large pool would take gigabytes
        return [pixels.as_bytes(as_unit(row)) for row in rows]

    def calibration_size(self) -> tuple[int, int]:
        if not self.config.match_pixels:
            return 0, 0
        area = int(np.prod(self._grid.shape[1:]))
        samples, real = MATCHED_PIXELS // area, PALETTE_PIXELS // area
        return int(np.clip(samples, *MATCHED_SAMPLES)), int(np.clip(real, *MATCHED_IMAGES))

    def calibrate(self, samples: Values, real: Values) -> None:
        self.matching = PixelMatching.learn(as_levels(as_array(samples)), as_levels(as_array(real)))

    def keep_known(self, items: Sequence[DecodedItem], condition: Condition) -> Sequence[DecodedItem]:
        shape = self._grid.shape
        values = np.broadcast_to(as_array(condition.x), (len(items), *shape))
        mask = np.ones(1) if condition.mask is None else as_array(condition.mask)
        masks = np.broadcast_to(mask, (len(items), *shape))[:, 0] >= 1.0  # (n, H, W)
        usable = []
        for item, value, is_known in zip(items, values, masks, strict=True):
            merged = np.array(item)
            merged[is_known] = pixels.as_bytes(value)[is_known]
            usable.append(merged)
        return usable

    def save_item(self, item: DecodedItem, comment: str = "") -> Artifact:
        data = pixels.png(self._as_written(item), self.matching.is_paletted, comment)
        return Artifact(".png", data, media="image/png")

    def save_as(self, item: DecodedItem, file_format: str, comment: str = "") -> Artifact:
        """A decoded item in one of `file_formats`. PNG and WebP are without loss."""
        if file_format == "png":
            return self.save_item(item, comment)
        encode = pixels.webp if file_format == "webp" else pixels.jpeg
        return Artifact(f".{file_format}", encode(self._as_written(item), comment), media=f"image/{file_format}")

    def num_on_sheet(self, item: DecodedItem) -> int:
        return sprite_sheet.capacity(*self._as_written(item).shape[:2])

    def sheet_files(self, items: Sequence[DecodedItem], names: Sequence[str], stem: str) -> dict[str, bytes]:
        if not items:
            return {}
        images = map(self._as_written, items)
        name = f"{stem}.png"
        sheet, cells = sprite_sheet.sprite_sheet(images, names, name, self.matching.is_paletted)
        return {name: sheet, f"{stem}.json": cells}

    def enlarge(self, item: DecodedItem, factor: int) -> DecodedItem:
        return sprite_sheet.enlarge(np.asarray(item), factor)

    def _as_written(self, item: DecodedItem) -> NDArray[np.uint8]:
        """Pixels of the file of a decoded item: enlarged as the files of the data are."""
        return sprite_sheet.enlarge(np.asarray(item), self._block)

    def picture(self, item: DecodedItem) -> Numbers:
        return np.asarray(item)

    def state(self) -> dict[str, object]:
        return self._grid_state() | {
            "frame": self._framing,
            "block": self._block,
            "levels": list(self._levels) if self._levels else None,
            "matching": self.matching.model_dump(mode="json"),
        }

    def restore(self, state: Mapping[str, object], folder: Path) -> None:
        record = learned_schemas.read(learned_schemas.LearnedImage, state)
        self._restore_grid(record)
        self._framing, self._block = record.frame, record.block
        self._levels = (record.levels[0], record.levels[1]) if record.levels else None
        record.matching.check(record.shape[0])
        self.matching = record.matching


def _reason_for_size(
    sizes: list[tuple[int, int]], chosen: tuple[int, int], is_asked: bool, frame: str, budget: DataBudget
) -> str:
    """Why images are not learned in a larger size, a clause; empty if sizes differ and no larger one would be chosen."""
    if is_asked:
        return budget.reason(True)
    whole, usual = choose_size(sizes, MAX_SIDE, frame), usual_size(sizes)
    if chosen == whole and usual is None:
        return ""

    def size_within(longer: DataBudget) -> tuple[int, int]:
        return choose_size(sizes, side_limit(longer), frame)

    detail = "every pixel" if usual is not None and max(usual) <= MAX_SIDE else "more"
    setting = size_setting(usual or whole, MAX_SIDE)
    if chosen == whole:
        return budget.reason(False) + keeping_clause(setting, detail, budget, None)
    keeping = keeping_clause(setting, detail, budget, lambda longer: size_within(longer) == whole)
    if size_within(replace(budget, seconds=parse_duration(BUDGETS[-1]))) == whole:
        return budget.reason(False) + keeping
    return budget.reason(False) + keeping + enlarging_clause(chosen, budget, size_within)


def side_limit(budget: DataBudget) -> int:
    """Pixels a side that the budget can learn: 32 in a minute of one CPU thread, twice as many in sixty times that, 64 without
    a budget."""
    if budget.thread_seconds is None:
        return 64
    side = 32.0 * (budget.thread_seconds / 60.0) ** (np.log(2) / np.log(60))
    return int(np.clip(side, RUNGS[0], RUNGS[-1]))


EXPORT = Image
