"""Pictures, clips and sounds whose faults are known: see `_verdict_cases`."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from PIL import Image, ImageFilter
from sklearn.preprocessing import StandardScaler

from _mnist import find, read_idx
from _verdict_cases import Cases, Fault, Source, each, least, repeated
from anew.data.formats.sound import audio as audio_format
from anew.data.formats.video import frames
from anew.evaluation.features.audio import spectrograms
from anew.evaluation.features.random_conv import Embedding
from anew.evaluation.modalities.audio import AudioEvaluation
from anew.evaluation.modalities.image import ImageEvaluation, image_tensor, radial_spectra, stack
from anew.evaluation.modalities.video import VideoEvaluation

SIDE, RATE, SECONDS, FRAMES = 32, 8_000, 0.5, 6
CLIP_RATE = 10.0
STRENGTH = 0.01  # regularisation of the regression on so many features


# ---- images ----


def images(path: Path) -> Cases:
    """Pictures of a folder (or MNIST's idx files), at most 32 x 32."""
    if list(path.glob("*idx3*")):
        items = [np.pad(x, 2) for x in read_idx(find(path, "train-images-idx3-ubyte"))[:6_000]]
    else:
        paths = sorted(p for p in path.rglob("*") if p.suffix.lower() in (".png", ".jpg"))
        chosen = [paths[i] for i in np.random.default_rng(0).permutation(len(paths))[:4_000]]
        modes = {Image.open(p).mode for p in chosen[:50]}
        mode = "RGBA" if modes & {"RGBA", "P"} else "L" if modes == {"L"} else "RGB"
        side = min(SIDE, max(Image.open(chosen[0]).size))
        items = [np.asarray(Image.open(p).convert(mode).resize((side, side), Image.Resampling.BOX)) for p in chosen]
    return Cases(path.name, ImageEvaluation, items, image_faults(), image_features, StandardScaler(), STRENGTH)


def image_faults() -> dict[str, Fault]:
    faults: dict[str, Fault] = {"real": lambda x, _: x}
    faults |= {f"blur {r}": each(lambda x, _, r=r: _blurred(x, r)) for r in (0.3, 0.6, 1.0)}
    faults |= {f"noise {s}": each(lambda x, source, s=s: _added(x, source.normal(0, s, x.shape))) for s in (2, 6, 20)}
    faults |= {f"grid {s}": each(lambda x, _, s=s: _added(x, s * _checkerboard(x))) for s in (1, 4, 16)}
    faults |= {f"seams {s}": each(lambda x, _, s=s: _added(x, s * _seams(x))) for s in (4, 16)}
    faults |= {f"modes {share}": least(share, np.mean) for share in (0.9, 0.6, 0.3)}
    faults |= {f"repeat {k}": repeated(k) for k in (2, 8)}
    faults |= {f"faded {share}": each(lambda x, _, share=share: _faded(x, share)) for share in (0.95, 0.7)}
    faults["jpeg 30"] = each(lambda x, _: _jpeg(x, 30))
    positions: dict[str, Callable[[Any], Any]] = {
        "mirrored": lambda x: x[:, ::-1],
        "upside down": lambda x: x[::-1],
        "turned by 90": np.rot90,
        "turned by 180": lambda x: x[::-1, ::-1],
        "transposed": lambda x: x.swapaxes(0, 1),
    }
    faults |= {name: each(lambda x, _, f=f: np.ascontiguousarray(f(x))) for name, f in positions.items()}
    faults["mixed"] = _mixed
    return faults


def image_features(pictures: Sequence[Any]) -> np.ndarray:
    x = stack(pictures).astype(np.float64).reshape(len(pictures), *pictures[0].shape[:2], -1)
    fine = x[:, 1:-1, 1:-1] - (x[:, :-2, 1:-1] + x[:, 2:, 1:-1] + x[:, 1:-1, :-2] + x[:, 1:-1, 2:]) / 4.0
    side = min(8, *fine.shape[1:3])
    rows, columns = fine.shape[1] // side, fine.shape[2] // side
    tile = fine[:, : rows * side, : columns * side]
    tile = tile.reshape(len(x), rows, side, columns, side, -1).mean((1, 3)).reshape(len(x), -1)
    spread = np.stack([np.histogram(row, bins=[0, 0.5, 1, 2, 4, 8, 16, 32, 256])[0] for row in np.abs(fine)])
    levels = np.stack([np.histogram(row, bins=32, range=(0, 256))[0] for row in x])
    parts = (
        *(embedded(image_tensor(pictures), more_channels) for more_channels in (1, 2)),
        np.log(radial_spectra(stack(pictures)) + 1e-6),
        tile,
        np.log1p(spread),
        np.log1p(levels),
    )
    return np.concatenate(parts, axis=1)


def embedded(x: torch.Tensor, more_channels: int) -> np.ndarray:
    """Features (n, d) of pictures (n, C, H, W). Constant channels more give other first filters than those of reports."""
    padded = torch.nn.functional.pad(x, (0, 0, 0, 0, 0, more_channels), value=1.0)  # (n, C + more_channels, H, W)
    embedding = Embedding(padded.shape[1], 2).fit(padded)
    return np.concatenate([embedding(chunk) for chunk in torch.split(padded, 256)])


def _blurred(x: Any, radius: float) -> Any:
    return np.asarray(Image.fromarray(x).filter(ImageFilter.GaussianBlur(radius)))


def _added(x: Any, change: Any) -> Any:
    return np.clip(np.round(x + change), 0, 255).astype(np.uint8)


def _checkerboard(x: Any) -> Any:
    board = 1.0 - 2.0 * (np.indices(x.shape[:2]).sum(0) % 2)
    return board if x.ndim == 2 else board[..., None]


def _seams(x: Any) -> Any:
    """Every eighth row and column."""
    rows, columns = np.indices(x.shape[:2])
    lines = ((rows % 8 == 0) | (columns % 8 == 0)).astype(np.float64)
    return lines if x.ndim == 2 else lines[..., None]


def _faded(x: Any, share: float) -> Any:
    """Contrast around the mean of each picture lowered."""
    colour = x if x.ndim == 2 else x[..., :3]
    faded = np.round(colour.mean((0, 1)) + share * (colour - colour.mean((0, 1)))).astype(np.uint8)
    return faded if x.ndim == 2 else np.concatenate([faded, x[..., 3:]], axis=2)


def _mixed(items: list[Any], source: Source) -> list[Any]:
    """The mean of two pictures."""
    other = source.permutation(len(items))
    return [((x.astype(np.uint16) + items[i]) // 2).astype(np.uint8) for x, i in zip(items, other, strict=True)]


def _jpeg(x: Any, quality: int) -> Any:
    out = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(x[..., :3] if x.ndim == 3 else x)).save(out, "JPEG", quality=quality)
    coded = np.asarray(Image.open(out))
    return np.concatenate([coded, x[..., 3:]], axis=2) if x.ndim == 3 and x.shape[2] == 4 else coded


# ---- clips ----


def clips(path: Path) -> Cases:
    """The first frames of GIFs and MP4s, at 32 x 32."""
    items = [clip(file) for file in sorted(file for file in path.rglob("*") if file.suffix in (".gif", ".mp4"))]
    faults: dict[str, Fault] = {"real": lambda x, _: x}
    faults["still"] = each(lambda x, _: np.repeat(x[:1], FRAMES, axis=0))
    faults["frames shuffled"] = each(lambda x, source: x[source.permutation(FRAMES)])
    faults["frame lost"] = each(lambda x, source: x[np.r_[0, 0, 2:FRAMES]])
    faults["backwards"] = each(lambda x, _: np.ascontiguousarray(x[::-1]))
    faults["mirrored"] = each(lambda x, _: np.ascontiguousarray(x[:, :, ::-1]))
    faults["half speed"] = each(lambda x, _: x[np.arange(FRAMES) // 2])
    faults |= {f"flicker {s}": each(lambda x, source, s=s: _flickering(x, source, s)) for s in (2, 20)}
    faults |= {f"noise {s}": each(lambda x, source, s=s: _added(x, source.normal(0, s, x.shape))) for s in (2, 12)}
    faults["blur 0.7"] = each(lambda x, _: np.stack([_blurred(frame, 0.7) for frame in x]))
    faults |= {f"modes {share}": least(share, np.mean) for share in (0.9, 0.5)}
    faults |= {f"repeat {k}": repeated(k) for k in (2, 8)}
    modality = SimpleNamespace(rate=CLIP_RATE)
    return Cases(
        path.name, VideoEvaluation, items, faults, _clip_features, StandardScaler(), STRENGTH, modality=modality
    )


def clip(file: Path) -> Any:
    data = file.read_bytes()
    times = frames.timing(data).times
    shown = frames.pictures(data, np.minimum(np.arange(FRAMES), len(times) - 1).tolist(), times, SIDE)
    return np.stack([np.asarray(frame.convert("RGB").resize((SIDE, SIDE))) for frame in shown])


def _flickering(x: Any, source: Source, strength: float) -> Any:
    return _added(x, source.normal(0.0, strength, (len(x), 1, 1, 1)))


def _clip_features(items: Sequence[Any]) -> np.ndarray:
    """Features of the first frame and of the mean change, and how much each change is."""
    x = np.stack(items).astype(np.float64)
    change = np.abs(np.diff(x, axis=1))  # (n, T - 1, H, W, C)
    amounts = np.log(change.mean((2, 3, 4)) + 1e-3)
    level = np.abs(np.diff(x.mean((2, 3, 4)), axis=1))
    pictures = image_features([clip[0] for clip in items]), image_features(list(change.mean(1).astype(np.uint8)))
    return np.concatenate([*pictures, amounts, np.sort(amounts, axis=1), np.log(level + 1e-3)], axis=1)


# ---- sound ----


def sounds(path: Path) -> Cases:
    """Clips of half a second at 8 kHz."""
    size = round(SECONDS * RATE)
    paths = sorted(file for file in path.rglob("*") if file.suffix in (".wav", ".flac", ".ogg"))
    items = []
    for i in np.random.default_rng(0).permutation(len(paths))[:2_600]:
        x, rate = audio_format.read(paths[i].read_bytes(), 0, 10 * size)
        x = audio_format.resample(x, rate, RATE)[:size]
        items.append(np.pad(x, (0, size - len(x))).astype(np.float32))
    faults: dict[str, Fault] = {"real": lambda x, _: x}
    faults |= {f"hiss {db} dB": each(lambda x, source, db=db: _hissing(x, source, db)) for db in (-60, -30, -12)}
    faults |= {f"buzz {depth}": each(lambda x, _, depth=depth: _buzzing(x, depth)) for depth in (0.05, 0.5, 3.0)}
    faults |= {
        f"quiet {db} dB": each(lambda x, _, db=db: (x * 10 ** (-db / 20)).astype(np.float32)) for db in (1, 6, 20)
    }
    faults |= {f"low-pass {hz} Hz": each(lambda x, _, hz=hz: _low_passed(x, hz)) for hz in (3_500, 2_000, 700)}
    faults |= {f"silent from {share}": each(lambda x, _, share=share: _silent(x, share)) for share in (0.9, 0.5)}
    faults |= {f"clipped {db} dB": each(lambda x, _, db=db: _clipped(x, db)) for db in (3, 20)}
    faults |= {f"repeat {k}": repeated(k) for k in (2, 8)}
    faults |= {f"modes {share}": least(share, lambda x: float(np.square(x).mean())) for share in (0.9, 0.5)}
    faults["backwards"] = each(lambda x, _: np.ascontiguousarray(x[::-1]))
    shape = SimpleNamespace(is_signal=False)
    modality = SimpleNamespace(rate=RATE, compared_rate=RATE, trims=False, clip_shape=shape)
    return Cases(
        path.name, AudioEvaluation, items, faults, _sound_features, StandardScaler(), STRENGTH, modality=modality
    )


def _sound_features(items: Sequence[Any]) -> np.ndarray:
    level = spectrograms(items, RATE)  # (n, M, T)
    coarse = torch.nn.functional.adaptive_avg_pool2d(level, (32, 16)).flatten(1)
    change = (level[:, :, 1:] - level[:, :, :-1]).abs().mean(2)
    loud = np.log(np.sqrt(np.square(np.stack(items)).reshape(len(items), 20, -1).mean(2)) + 1e-5)
    return np.concatenate([coarse.numpy(), change.numpy(), level.std(2).numpy(), loud], axis=1)


def _hissing(x: Any, source: Source, db: float) -> Any:
    return (x + source.normal(0, float(np.abs(x).max()) * 10 ** (db / 20), len(x))).astype(np.float32)


def _buzzing(x: Any, depth: float) -> Any:
    return (x * (1.0 + depth * (np.arange(len(x)) % 128 < 16))).astype(np.float32)


def _low_passed(x: Any, hz: float) -> Any:
    spectrum = np.fft.rfft(x)
    spectrum[np.fft.rfftfreq(len(x), 1.0 / RATE) > hz] = 0.0
    return np.fft.irfft(spectrum, len(x)).astype(np.float32)


def _silent(x: Any, share: float) -> Any:
    return np.where(np.arange(len(x)) < share * len(x), x, 0.0).astype(np.float32)


def _clipped(x: Any, db: float) -> Any:
    peak = float(np.abs(x).max()) * 10 ** (-db / 20)
    return np.clip(x, -peak, peak).astype(np.float32)
