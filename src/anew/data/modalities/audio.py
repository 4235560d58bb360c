"""Sound as a grid of log-mel magnitudes in [-1, 1]: any common format, rate, depth and channels in; WAV or FLAC out.

A clip is stored as its samples; `batch` makes the spectrogram, and `decode` finds a phase for one. See docs/log.md for why.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar, cast

import numpy as np
from numpy.typing import NDArray

from anew.core import isolation
from anew.core.settings import knob
from anew.core.specs import Batch, Grid, Spec
from anew.data.formats import audio, audio_clips, learned
from anew.data.formats.audio_grid import Scale
from anew.data.modality import Modality, each, usable_classes
from anew.data.types import Artifact, Handle, Item, Size
from anew.errors import ConfigError, DataError

LOOKED = 256  # clips of the train part that scale and spread are measured on
PEAK = 0.95  # largest value of a levelled clip
EDGE = 0.004  # seconds in which the ends of a clip are faded
WHOLE = 120.0  # seconds of a file that is one clip which are looked through for its loudest stretch
FLAT = 0.02  # least standard deviation reported: noise levels are measured against it
_MAGIC = (b"fLaC", b"OggS", b"ID3", b".snd", b"caff")


@dataclass(frozen=True, slots=True)
class AudioConfig:
    """How sound is brought to clips of one length, and clips to a spectrogram."""

    seconds: float = knob(0.0, "length of a clip; 0 follows files and budget", unit="s", low=0.0, high=60.0)
    rate: int = knob(0, "samples a second; 0 follows files and budget", unit="Hz", low=0, high=96_000)
    trim: bool = knob(True, "cut silence off both ends of a file")
    level: str = knob("clip", "bring every clip to the same peak, or keep loudness", choices=("clip", "keep"))
    rounds: int = knob(2, "rounds of Griffin-Lim that find the phase of a sample", low=0, high=1000)
    file: str = knob("wav", "format of samples", choices=("wav", "flac"))
    labels: str = knob("auto", "whether classes condition the generator", choices=("auto", "off"))


class Audio(Modality):
    """Clips of mono sound. Items are (N,) float32 in [-1, 1]; stored as int16."""

    name: ClassVar[str] = "audio"
    suffixes: ClassVar[frozenset[str]] = frozenset(
        {
            ".wav",
            ".wave",
            ".flac",
            ".ogg",
            ".oga",
            ".opus",
            ".mp3",
            ".aif",
            ".aiff",
            ".aifc",
            ".au",
            ".snd",
            ".caf",
            ".w64",
        }
    )
    Config: ClassVar[type] = AudioConfig
    streams: ClassVar[bool] = True
    named: ClassVar[bool] = True
    native: ClassVar[bool] = True
    foreign: ClassVar[Mapping[str, str]] = dict.fromkeys(
        (".m4a", ".m4b", ".aac", ".wma", ".amr", ".ac3"), "WAV, FLAC, OGG or MP3"
    )
    shown: ClassVar[int] = 24
    unit: ClassVar[str] = "dimension"

    def __init__(self, config: AudioConfig) -> None:
        super().__init__(config)
        if config.rate and config.rate < audio.RATES[0]:
            raise ConfigError(f"rate={config.rate} is too low; give 0 (as files and budget have it), or 1000 and more")
        self.shape: audio_clips.Shape | None = None
        self.notes: list[str] = []
        self._scale: Scale
        self._last: tuple[Any, list[audio.Samples]] = (None, [])

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_last": (None, [])}  # what was decoded last is of no use elsewhere

    @classmethod
    def claims(cls, head: bytes) -> float:
        riff = head[:4] in (b"RIFF", b"RF64") and head[8:12] == b"WAVE"
        form = head[:4] == b"FORM" and head[8:12] in (b"AIFF", b"AIFC")
        if riff or form or (head.startswith(_MAGIC) and b"theora" not in head):
            return 1.0
        # Layer III frames follow each other; two bytes alone may be anything.
        sync = len(head) > 4 and head[0] == 0xFF and head[1] & 0xE6 == 0xE2 and head[2] & 0xF0 not in (0, 0xF0)
        return 0.8 if sync and head[2] & 0x0C != 0x0C else 0.0

    @property
    def _grid(self) -> Grid:
        return cast(Grid, self.spec)

    @property
    def _cut(self) -> audio_clips.Shape:
        if self.shape is None:
            raise DataError("audio is surveyed before it is read; open it as a data set")
        return self.shape

    @property
    def rate(self) -> int:
        """Samples a second of items."""
        return self._cut.rate

    def remarks(self) -> list[str]:
        return list(self.notes)

    # ---- what clips are ----

    def survey(self, sample: Sequence[Item]) -> list[str]:
        found = isolation.each(self, "head", sample)
        heads = [
            one for one in found if not isinstance(one, ValueError)
        ]  # those are refused by name when they are read
        if not heads:
            raise DataError("no sound file of the sample can be read")
        config = self.config
        self.shape = audio_clips.choose(heads, self.size, config.seconds or None, config.rate or None)
        done = ["silence is cut off both ends"] * config.trim
        done += ["every clip is brought to the same peak"] * (config.level == "clip")
        said = [f"{' and '.join(done).capitalize()} (trim=..., level=...)."] if done else []
        return audio_clips.told(heads, self.shape, self.size) + said

    def head(self, item: Item) -> audio.Head:
        """What the header of a file says. Raises ValueError (one clause)."""
        return audio.head(item.data)

    def expand(self, item: Item) -> Iterator[Item]:
        if isinstance(item.data, np.ndarray):
            yield item
            return
        handle = item.data if isinstance(item.data, Handle) else Handle(Path(item.name), body=bytes(item.data))
        head = audio.head(handle)
        bounds = audio_clips.cuts(head.frames, head.rate, self._cut, handle.part, handle.of)
        if bounds is None:
            yield replace(item, begins=True, ends=True)
            return
        for start, stop in bounds:
            name = f"{item.name} at {start / head.rate:.2f} s"
            yield Item(name, replace(handle, at=(start, stop)), item.label, group=item.name)

    def accepts(self, item: Item) -> str | None:
        if isinstance(item.data, np.ndarray) or (isinstance(item.data, Handle) and item.data.at is not None):
            return None  # samples, or a clip whose file's header was read when it was cut
        try:
            audio.head(item.data)
        except ValueError as error:
            return str(error)
        return None

    # ---- reading ----

    def samples(self, item: Item) -> audio.Samples:
        """(N,) of a clip as it is learned. Raises ValueError (one clause)."""
        shape, at = self._cut, getattr(item.data, "at", None)
        if isinstance(item.data, np.ndarray):
            x, rate = np.asarray(item.data, dtype=np.float32).reshape(-1), shape.rate
            if not np.isfinite(x).all():
                raise ValueError("it holds values that are no numbers (NaN or infinite)")
        elif at is not None:
            x, rate = audio.read(item.data, *at)
        else:
            head = audio.head(item.data)
            x, rate = audio.read(item.data, 0, min(head.frames, round(WHOLE * head.rate)))
        x = audio.resampled(x, rate, shape.rate)
        whole = audio.trimmed(x, shape.rate)  # says where there is nothing to hear
        x = audio.fitted(whole if self.config.trim and at is None else x, shape.length)
        x = audio.faded(x, max(1, round(EDGE * shape.rate)))
        return audio.levelled(x, PEAK) if self.config.level == "clip" else x

    def damage(self, item: Item) -> str | None:
        at = getattr(item.data, "at", None)
        try:
            if at is None:
                self.samples(item)
            else:
                audio.heard(audio.read(item.data, *at)[0])
        except ValueError as error:
            return str(error)
        return None

    def signature(self, item: Item) -> bytes | None:
        """Bytes shared by most copies of one clip that differ in encoding, level or in little else: which of neighbouring
        bands and stretches of time is louder."""
        coarse = _coarse(self.samples(item))  # (12, 16)
        rises = [(np.diff(coarse, axis=axis) > 1.5).reshape(-1) for axis in (0, 1)]
        return np.packbits(np.concatenate(rises)).tobytes()

    def fit(self, items: Iterable[Item], size: Size, labels: Sequence[str]) -> Spec:
        found, refused = [], ""
        for item, one in each(self, "encode", items):
            if isinstance(one, ValueError):
                refused = refused or f"{item.name}: {one}"
            else:
                found.append(one)
            if len(found) >= LOOKED:
                break
        if not found:
            raise DataError(f"no clip of the train part can be used; the first one: {refused or 'none given'}")
        shape, self.notes = self._cut, []
        rows = np.stack(found)
        self._scale = Scale.of(shape, rows, self.config.level == "keep", PEAK)
        classes = usable_classes(self.config.labels, labels, size.items, "clips", self.notes)
        self.spec = Grid((1, shape.bands, shape.frames), "CHW", classes)
        std = float(self.batch(rows, None, None).x.std())
        if std < FLAT:
            self.notes.append("The clips sampled hold all but the same sound: there is hardly anything to learn.")
        self.spec = replace(self._grid, std=max(std, FLAT))
        return self.spec

    def encode(self, item: Item) -> NDArray[np.int16]:
        return np.asarray(np.rint(np.clip(self.samples(item), -1.0, 1.0) * 32767.0), dtype=np.int16)

    def units(self, item: Item) -> int:
        """Values of the spectrogram, which bits are divided by."""
        return int(np.prod(self._grid.shape))

    # ---- samples and spectrograms ----

    def batch(self, rows: NDArray[Any], labels: NDArray[Any] | None, lengths: NDArray[Any] | None) -> Batch:
        import torch

        classes = self._grid.classes and labels is not None
        label = torch.from_numpy(np.asarray(labels).astype(np.int64)) if classes else None  # (B,)
        units = torch.full((len(rows),), float(np.prod(self._grid.shape)))  # (B,)
        return Batch(self._scale.grid(rows)[:, None], label, None, units)

    def seen(self, rows: NDArray[Any]) -> list[audio.Samples]:
        return list(np.asarray(rows, dtype=np.float32) / np.float32(32767.0))

    def decode(self, x: Any) -> list[audio.Samples]:
        """(n, 1, M, T) in [-1, 1] -> (N,) float32 each: magnitudes of the bands, then a phase for them. The same values asked
        for again (to be written) are not decoded again."""
        if self._last[0] is not x:
            self._last = (x, self._decoded(x))
        return self._last[1]

    def _decoded(self, x: Any) -> list[audio.Samples]:
        return [self._finished(one) for one in self._scale.waves(x, self.config.rounds)]

    def _finished(self, x: audio.Samples) -> audio.Samples:
        return audio.levelled(x, PEAK) if self.config.level == "clip" else np.clip(x, -1.0, 1.0)

    def save_item(self, item: Any) -> Artifact:
        """(N,) samples as a file."""
        kind = self.config.file
        return Artifact(f".{kind}", audio.written(item, self._cut.rate, kind), media=f"audio/{kind}")

    def picture(self, item: Any) -> NDArray[np.uint8]:
        return self._scale.picture(item)

    # ---- keeping ----

    def state(self) -> dict[str, Any]:
        spec = self._grid
        return {
            "shape": list(spec.shape),
            "classes": spec.classes,
            "std": spec.std,
            "clip": self._cut.to_json(),
            "top": self._scale.top,
            "gain": self._scale.gain,
            "notes": list(self.notes),
        }

    def restore(self, state: dict[str, Any], folder: Path) -> None:
        learned.check(learned.LearnedAudio, state)
        self.spec = Grid(tuple(state["shape"]), "CHW", state["classes"], state["std"])
        self.shape = audio_clips.Shape(**state["clip"])
        self._scale, self.notes = Scale(self.shape, state["top"], state["gain"]), list(state["notes"])


def _coarse(x: audio.Samples) -> NDArray[np.float64]:
    """(12, 16) decibels in bands (each half an octave) and stretches of time."""
    pieces = np.array_split(x, 16)
    size = max(256, 2 ** int(np.ceil(np.log2(max(map(len, pieces))))))
    power = np.abs(np.fft.rfft(np.stack([np.pad(p, (0, size - len(p))) for p in pieces]), axis=1)) ** 2  # (16, F)
    edges = np.unique(np.geomspace(2, power.shape[1], 13).astype(int))
    bands = np.stack([power[:, a:b].sum(axis=1) for a, b in itertools.pairwise(edges)])
    return np.asarray(10.0 * np.log10(bands + 1e-6))


EXPORT = Audio
