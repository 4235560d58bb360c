"""Video files -> frames and their times, and back: pure functions with PyAV and Pillow.

Legend for shapes: T frames, H rows, W columns, C channels (1 grey, 3 colour, 4 colour with transparency).
"""

from __future__ import annotations

import io
import struct
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from anew.core.extras import require
from anew.core.files import clause
from anew.core.provenance import ORIGIN_MARK
from anew.data import limits
from anew.data.formats.file_bytes import read_whole
from anew.data.formats.images import pixels
from anew.data.formats.recording_id import RecordingId
from anew.data.formats.video import animations, frame_folders
from anew.data.formats.video.shared_video import frames_from

MAX_FRAME_PIXELS = 1 << 25  # most pixels of a frame: 8K
MAX_FRAMES = 100_000  # frames of one file that are used: an hour at 25 a second
STEADY_TOLERANCE = 0.1  # largest relative difference of frame durations at a steady rate; chosen
MAX_FRAME_SECONDS = 10.0  # longest time that a frame is shown: damaged files have one that lasts for years
COMMENT_WITHIN = 4096  # first bytes of a GIF in which the comment of a sample lies: only a table of colours precedes it
HEAD_BYTES = 4096  # first bytes of a file, one block of a disk; they tell an animated WebP or PNG from a still one
MAX_HEAD_BYTES = 1 << 20  # so much of a GIF is read, as its second frame follows the pixels of the first; chosen
UNTIMED_RATE = 10.0  # frames a second in folders of frames, which have no times; that of many GIFs
Data = bytes | Path  # a file; a path may be that of a folder of numbered frames
MIN_MP4_SIDE = 128  # pixels: players show smaller clips too small
ENCODERS = ("libx264", "libopenh264", "mpeg4")
_GIF = (b"GIF87a", b"GIF89a")
_CONTAINERS = (b"\x1aE\xdf\xa3", b"\x00\x00\x01\xba", b"\x00\x00\x01\xb3", b"FLV\x01")  # Matroska, MPEG, Flash
_NO_VIDEO = (b"M4A ", b"M4B ", b"avif", b"avis", b"heic", b"heix", b"mif1", b"msf1", b"crx ")  # brands of ISO files


@dataclass(frozen=True, slots=True)
class Timing:
    """Size and times of the frames of a file.

    Attributes:
        width, height: Size in pixels.
        times: (T,) times in seconds from 0 at which frames are shown.
        length: Seconds of all frames, each of at most MAX_FRAME_SECONDS.
        steady: Whether all frames are shown equally long.
        cut: Whether the file has more frames than are used.
    """

    width: int
    height: int
    times: NDArray[np.float64]
    length: float
    steady: bool
    cut: bool = False

    @property
    def rate(self) -> float:
        """Frames a second on average."""
        return len(self.times) / self.length

    def at(self, rate: float) -> NDArray[np.intp]:
        """The numbers (n,) of the frames at 0, 1 / rate, 2 / rate, ...; all frames if that is the file's own rate."""
        if self.steady and abs(self.rate / rate - 1.0) < STEADY_TOLERANCE:
            return np.arange(len(self.times))
        requested = np.arange(min(max(1, round(self.length * rate)), MAX_FRAMES)) / rate
        starts = _without_stills(self.times)
        return np.asarray(np.searchsorted(starts, requested + 0.25 / rate, side="right") - 1).clip(0)


def sniff_video(head: bytes) -> float:
    """The confidence from 0 to 1 that a file beginning with `head` is a video."""
    if head[4:8] == b"ftyp":
        return 0.0 if head[8:12] in _NO_VIDEO else 0.9
    if head.startswith(_CONTAINERS) or (head[:4] == b"RIFF" and head[8:12] == b"AVI "):
        return 0.9
    if head[:4] == b"OggS":
        return 0.9 if b"\x80theora" in head[:512] else 0.0
    if not head.startswith(_GIF):
        return animations.sniff(head)
    return 1.0 if _is_sample(head) else sniff_animation(head)


def read_head(stream: IO[bytes]) -> bytes:
    """The first HEAD_BYTES of a file, and of a GIF that may move as many more as tell whether a second frame follows."""
    head = stream.read(HEAD_BYTES)
    while head.startswith(_GIF) and 0.0 < sniff_video(head) < 1.0 and len(head) < MAX_HEAD_BYTES:
        more = stream.read(len(head))
        if not more:
            break
        head += more
    return head


def _is_sample(head: bytes) -> bool:
    """Whether a GIF that begins with `head` is a sample: a clip, even if it has a single frame."""
    return f"{ORIGIN_MARK}{{".encode() in head


def sniff_animation(head: bytes) -> float:
    """The confidence from 0 to 1 that a GIF has more than one frame: 1 if a second frame begins within `head`."""
    at, frames, hints = 13 + _table(head[10:11]), 0, 0.0
    while at + 2 <= len(head) and head[at] in b"!,":
        if head[at] == 0x2C:
            frames += 1
            at += 11 + _table(head[at + 9 : at + 10])
        else:
            hints = max(hints, 0.9 if head[at + 3 : at + 14] == b"NETSCAPE2.0" else 0.0)
            field = head[at + 4 : at + 6].ljust(2, b"\0")  # `head` may end within it
            delay = struct.unpack("<H", field)[0] if head[at + 1 : at + 2] == b"\xf9" else 0
            hints = max(hints, 0.85 if delay else 0.0)
            at += 2
        if frames > 1:
            return 1.0
        while at < len(head) and head[at]:
            at += 1 + head[at]
        at += 1
    # A file that ends within `head` with one frame is a picture
    return 0.0 if at < len(head) and head[at] not in b"!," else hints


def _table(flags: bytes) -> int:
    """The size of a GIF's colour table in bytes, from its flags."""
    return 3 << ((flags[0] & 7) + 1) if flags and flags[0] & 0x80 else 0


def _ends(data: Data, size: int = 6) -> tuple[bytes, bytes]:
    """The first `size` and the last 64 bytes of a file."""
    if not isinstance(data, Path):
        return data[:size], data[-64:]
    try:
        with open(data, "rb") as stream:
            head = stream.read(size)
            stream.seek(max(0, stream.seek(0, 2) - 64))
            return head, stream.read()
    except OSError as error:
        raise ValueError(f"it cannot be read ({clause(error)})") from None


@contextmanager
def _open_file(data: Data) -> Iterator[tuple[Any, Any]]:
    """Open a file and give its container and its video stream. Raises ValueError (one clause) if there is none."""
    av = require("av", extra="video", purpose="reading video")
    head, tail = _ends(data)
    if not head:
        raise ValueError("the file is empty")
    if head in _GIF and b";" not in tail:
        raise ValueError("it is truncated")
    try:
        # Naming the format halves the time that opening takes.
        container_format = "gif" if head in _GIF else None
        path_or_stream: str | io.BytesIO = str(data) if isinstance(data, Path) else io.BytesIO(data)
        container = av.open(path_or_stream, format=container_format, metadata_errors="ignore")
    except (av.error.FFmpegError, ValueError, OSError):
        raise ValueError("it is not a video of a known format, or its header is damaged") from None
    with container:
        streams = [s for s in container.streams.video if not s.disposition & s.disposition.__class__.attached_pic]
        if not streams:
            raise ValueError("it holds no video stream")
        stream = streams[0]
        if stream.codec_context is None:
            raise ValueError("its codec is not known")
        with _readable_errors():
            yield container, stream


@contextmanager
def _readable_errors() -> Iterator[None]:
    """Within this context, errors of decoding become a ValueError with one clause."""
    av = require("av", extra="video", purpose="reading video")
    try:
        yield
    except av.error.FFmpegError:
        raise ValueError("it is damaged or truncated") from None


def timing(data: Data) -> Timing:
    """Read the times of all frames from their headers, without decoding. Raises ValueError (one clause) if it is not a video."""
    if not isinstance(data, Path):
        return _timing(data)
    try:
        stat = data.stat()
    except OSError as error:
        raise ValueError(f"it cannot be read ({clause(error)})") from None
    return _timing_of_file(data, stat.st_size, stat.st_mtime_ns)


@lru_cache(maxsize=1024)
def _timing_of_file(path: Path, size: int, stamp: int) -> Timing:
    return _timing(path)


def _timing(data: Data) -> Timing:
    if isinstance(data, Path) and data.is_dir():
        paths = frame_folders.in_order(data)[:MAX_FRAMES]
        width, height = frame_folders.picture(paths[0], 1 << 15).size
        return Timing(width, height, np.arange(len(paths)) / UNTIMED_RATE, len(paths) / UNTIMED_RATE, steady=True)
    if _is_animation(data):
        return _timing_of_animation(_whole(data))
    with _open_file(data) as (container, stream):
        width, height = stream.codec_context.width, stream.codec_context.height
        if not width * height:
            raise ValueError("its video stream has no pictures")
        _check_frame_size(width, height)
        gif = container.format.name == "gif"
        used = min(limits.GIF_FRAMES, MAX_FRAMES) if gif else MAX_FRAMES
        max_pixels = limits.GIF_PIXELS if gif else limits.VIDEO_PIXELS
        base, times, more = float(stream.time_base or 1 / 1000), [], False
        for packet in container.demux(stream):
            if packet.size and packet.pts is not None:
                times.append((packet.pts * base, (packet.duration or 0) * base))
            if len(times) > used:
                times, more = times[:used], True
                break
            _check_pixels(width, height, len(times), max_pixels)
        if not more and len(times) < 0.9 * stream.frames:
            raise ValueError(f"it is truncated: {len(times)} of {stream.frames} frames are there")
        if gif and len(times) < 2 and not _ends(data)[1].rstrip(b"\0").endswith(b";"):
            raise ValueError("it is truncated")
        usual = float(stream.average_rate or 0) or 10.0
    if gif and len(times) == 1 and _is_sample(_ends(data, COMMENT_WITHIN)[0]):
        return Timing(width, height, np.zeros(1), 1.0 / usual, steady=True)
    return _timing_from_stamps(width, height, sorted(times), usual, more)


def _is_animation(data: Data) -> bool:
    """Whether a file is an animated WebP or PNG."""
    return animations.sniff(_ends(data, HEAD_BYTES)[0]) > 0.0


def _whole(data: Data) -> bytes:
    if not isinstance(data, Path):
        return data
    try:
        return read_whole(data)
    except OSError as error:
        raise ValueError(f"it cannot be read ({clause(error)})") from None


def _timing_of_animation(data: bytes) -> Timing:
    width, height, stamps = animations.read_times(data)
    _check_frame_size(width, height)
    used = stamps[: min(limits.GIF_FRAMES, MAX_FRAMES)]
    _check_pixels(width, height, len(used), limits.GIF_PIXELS)
    return _timing_from_stamps(width, height, used, UNTIMED_RATE, len(stamps) > len(used))


def _check_frame_size(width: int, height: int) -> None:
    if width * height > MAX_FRAME_PIXELS:
        raise ValueError(f"frames of {width}x{height} are over the limit of {MAX_FRAME_PIXELS >> 20} megapixels")


def _check_pixels(width: int, height: int, num_frames: int, max_pixels: int) -> None:
    if width * height * num_frames > max_pixels:
        raise ValueError(f"its frames of {width}x{height} are over {max_pixels >> 30} gigapixels together")


def _timing_from_stamps(width: int, height: int, stamps: list[tuple[float, float]], usual: float, cut: bool) -> Timing:
    if len(stamps) < 2:
        raise ValueError("it has a single frame, which makes it a picture" if stamps else "it holds no frames")
    times = np.array([time for time, _ in stamps])
    times -= times[0]
    steps = np.diff(times)
    step = float(np.median(steps)) or 1.0 / usual
    if times[-1] <= 0:  # a format without times
        times, steps = np.arange(len(stamps)) * step, np.full(len(stamps) - 1, step)
    last = stamps[-1][1] or step
    steady = bool((np.abs(np.append(steps, last) - step) < STEADY_TOLERANCE * step + 2e-3).all())
    return Timing(width, height, times, float(_without_stills(times)[-1] + min(last, MAX_FRAME_SECONDS)), steady, cut)


def _without_stills(times: NDArray[np.float64]) -> NDArray[np.float64]:
    """The times (T,) with each frame shortened to MAX_FRAME_SECONDS."""
    return np.append(0.0, np.cumsum(np.minimum(np.diff(times), MAX_FRAME_SECONDS)))


def pictures(data: Data, requested: Sequence[int], times: NDArray[np.float64], min_side: int) -> list[Image.Image]:
    """Decode frames as RGB or RGBA.

    Args:
        data: The file, or the path of a folder of frames.
        requested: Numbers of the frames, rising; repeats are allowed.
        times: Times of all frames, from `timing`.
        min_side: Pixels of the shorter side that are needed; frames may be decoded to about twice this size.

    Raises:
        ValueError: The file is damaged or truncated (one clause).
    """
    if isinstance(data, Path) and data.is_dir():
        frame_paths = frame_folders.in_order(data)
        return [frame_folders.picture(frame_paths[number], min_side) for number in requested]
    missing = sorted(set(requested))
    if _is_animation(data):
        decoded = animations.decode(_whole(data), missing, min_side)
        return [decoded[number] for number in requested]
    by_index: dict[int, Image.Image] = {}
    try:
        recording = RecordingId.of_file(data) if isinstance(data, Path) else None
    except OSError as error:
        raise ValueError(f"it cannot be read ({clause(error)})") from None
    with _readable_errors():
        for number, frame in frames_from(missing[0], times, lambda: _open_file(data), recording):
            if number in missing:
                by_index[number] = _picture(frame, min_side)
            if number >= missing[-1]:
                break
    if not by_index or len(by_index) < len(missing) - 1:
        raise ValueError("it is damaged or truncated: frames are missing")
    indices = np.array(sorted(by_index))
    places = (np.searchsorted(indices, np.asarray(requested), side="right") - 1).clip(0)
    return [by_index[number] for number in indices[places].tolist()]


def _picture(frame: Any, min_side: int) -> Image.Image:
    ratio = min(1.0, 2.0 * min_side / min(frame.width, frame.height))
    size = max(1, round(frame.width * ratio)), max(1, round(frame.height * ratio))
    # Frames of GIFs need no conversion
    if frame.format.name == "bgra" and size == (frame.width, frame.height):
        mode, values = "BGRA", frame.to_ndarray()
    else:
        mode = "RGBA" if _has_alpha(frame.format.name) else "RGB"
        form = {"RGBA": "rgba", "RGB": "rgb24"}[mode]
        values = frame.to_ndarray(width=size[0], height=size[1], format=form, interpolation="AREA")
    values = np.ascontiguousarray(values)  # lines may be padded
    if mode == "RGB" or values[..., 3].min() < 255:
        return Image.frombuffer(mode.replace("BGR", "RGB"), size, values, "raw", mode, 0, 1)
    return Image.frombuffer("RGB", size, values, "raw", mode.replace("A", "X"), 0, 1).convert("RGB")


@lru_cache(maxsize=256)
def _has_alpha(form: str) -> bool:
    av = require("av", extra="video", purpose="reading video")
    return form == "pal8" or any(part.is_alpha for part in av.VideoFormat(form).components)


def is_gif(data: Data) -> bool:
    """Whether the file is a GIF, whose frames have palettes."""
    return not is_untimed(data) and _ends(data)[0] in _GIF


def is_lossless(data: Data) -> bool:
    """Whether the pixels of frames are those that were drawn: in GIFs, animated WebP and PNG, and folders of pictures."""
    return is_untimed(data) or is_gif(data) or _is_animation(data)


def is_untimed(data: Data) -> bool:
    """Whether the frames have no times of their own, as those of folders."""
    return isinstance(data, Path) and data.is_dir()


def read_still(path: Path) -> NDArray[np.uint8] | None:
    """Read a file that is a single picture as (1, H, W) or (1, H, W, C). Returns None for any other file."""
    try:
        with path.open("rb") as stream:
            head = read_head(stream)
        head = path.read_bytes() if animations.sniff(head) else head
        return None if sniff_video(head) else np.asarray(frame_folders.picture(path, 1 << 15))[None]
    except (OSError, ValueError):
        return None


def enlarge(clip: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Enlarge (T, H, W) or (T, H, W, C) by a whole factor until the shorter side reaches MIN_MP4_SIDE pixels.

    Smaller clips are hard to see in a player, and lose their colours in an MP4, which halves the resolution of colour.
    """
    factor = max(1, -(-MIN_MP4_SIDE // min(clip.shape[1:3])))
    return clip.repeat(factor, 1).repeat(factor, 2)


def mp4(clip: NDArray[np.uint8], rate: float, comment: str = "") -> bytes:
    """Encode frames (T, H, W) or (T, H, W, C) as an MP4 that any player opens, perhaps with a comment in ASCII.

    Small clips are enlarged (`enlarge`), sides are made even, and transparent pixels become white.
    """
    from fractions import Fraction

    av = require("av", extra="video", purpose="writing video")
    frames = [np.asarray(pixels.on_white(Image.fromarray(frame)).convert("RGB")) for frame in enlarge(clip)]
    frames = [np.pad(f, ((0, f.shape[0] % 2), (0, f.shape[1] % 2), (0, 0)), "edge") for f in frames]
    out = io.BytesIO()
    codec = next(name for name in ENCODERS if name in av.codecs_available)
    options = {"crf": "12", "preset": "medium"} if codec == "libx264" else {"b": "4000000"}
    with av.open(out, "w", format="mp4") as container:
        if comment:
            container.metadata["comment"] = comment
        stream: Any = container.add_stream(codec, rate=Fraction(rate).limit_denominator(1001), options=options)
        stream.height, stream.width = frames[0].shape[:2]
        stream.pix_fmt = "yuv420p"
        for values in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(np.ascontiguousarray(values), format="rgb24")))
        container.mux(stream.encode())
    return out.getvalue()


def read_comment(data: bytes) -> str:
    """The comment of a video file, "" without one. Raises ValueError (one clause)."""
    av = require("av", extra="video", purpose="reading video")
    try:
        with av.open(io.BytesIO(data)) as container:
            return str(container.metadata.get("comment", ""))
    except av.error.FFmpegError as error:
        raise ValueError(f"it is not a video file ({clause(error)})") from None


def gif(clip: NDArray[np.uint8], rate: float, comment: str = "") -> bytes:
    """Encode frames (T, H, W) or (T, H, W, C) as a GIF that loops, perhaps with a comment in ASCII.

    All frames share one palette, which is exact if there are at most 255 colours.
    """
    values = clip if clip.ndim == 4 else clip[..., None].repeat(3, 3)
    clear = values[..., 3] < 128 if values.shape[3] == 4 else np.zeros(values.shape[:3], dtype=bool)
    places, palette = _indexed(np.where(clear[..., None], 0, values[..., :3]).astype(np.uint8))
    places[clear] = 255
    images = [Image.fromarray(place) for place in places]
    for image in images:
        image.putpalette(palette)
    out = io.BytesIO()
    more: dict[str, Any] = {"transparency": 255, "disposal": 2} if clear.any() else {}
    if comment:
        more["comment"] = comment
    images[0].save(
        out,
        "GIF",
        save_all=True,
        append_images=images[1:],
        duration=gif_delay(rate),
        loop=0,
        optimize=False,
        **more,
    )
    return out.getvalue()


def gif_delay(rate: float) -> int:
    """Milliseconds that each frame of a GIF is shown: the format has hundredths of a second."""
    return max(20, 10 * round(100 / rate))


def _indexed(values: NDArray[np.uint8]) -> tuple[NDArray[np.uint8], bytes]:
    """(T, H, W) indices into a palette, and the palette of at most 255 colours, for frames (T, H, W, 3)."""
    packed = values.astype(np.uint32) @ np.array([65536, 256, 1], dtype=np.uint32)
    colours, places = np.unique(packed, return_inverse=True)
    if len(colours) <= 255:
        table = np.stack([colours >> 16, colours >> 8 & 255, colours & 255], 1).astype(np.uint8)
        return places.reshape(packed.shape).astype(np.uint8), table.tobytes()
    tall = Image.fromarray(values.reshape(-1, values.shape[2], 3))
    palette = tall.quantize(255, Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE)
    return np.array(palette).reshape(packed.shape), bytes(palette.getpalette() or [])
