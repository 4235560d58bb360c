"""Real items of a data set, with faults from invisible to gross, and the reference that says which of them show."""

from __future__ import annotations

import io
import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from PIL import Image, ImageFilter
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import StratifiedKFold, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from _mnist import find, read_idx
from anew.core.specs import Grid, Spec, Tokens
from anew.data.formats import audio as audio_format
from anew.evaluation.features.audio import spectrograms
from anew.evaluation.features.random_conv import Embedding
from anew.evaluation.inputs import EvaluationInputs
from anew.evaluation.modalities.image import embed_images, image_tensor, radial_spectra, stack

Source = np.random.Generator
Fault = Callable[[list[Any], Source], list[Any]]
SIDE, RATE, SECONDS = 32, 8_000, 0.5
STRETCH, PIECES = 1_024, 4  # characters of a passage, and the pieces of it that are judged each
TRAINING = 1_200  # items of the training part besides those that are compared


@dataclass(frozen=True)
class Cases:
    """A data set. kind: of LOADERS; faults: by name, the first "real" changes nothing."""

    name: str
    kind: str
    items: list[Any]
    faults: dict[str, Fault] = field(default_factory=dict)

    @property
    def names(self) -> list[str]:
        return list(self.faults)

    def draw(self, n: int, seed: int) -> tuple[list[Any], list[Any], list[Any]]:
        """Disjoint (held-out, training, further) items, n judged ones of each; the further ones become samples."""
        n = n // PIECES if self.kind == "texts" else n
        order = np.random.default_rng(seed).permutation(len(self.items))
        parts = order[:n], order[2 * n : 3 * n + TRAINING], order[n : 2 * n]
        held_out, train, further = ([self.items[i] for i in part] for part in parts)
        return held_out, train, further

    def faulty(self, name: str, items: list[Any], seed: int) -> list[Any]:
        return self.faults[name](items, np.random.default_rng(seed))

    def inputs(self, train: list[Any], held_out: list[Any], samples: list[Any], seed: int) -> EvaluationInputs:
        text = self.kind in ("texts", "records")
        spec: Spec = Tokens(vocab=256, length=64, packed=self.kind == "texts") if text else Grid((1, 8, 8), "CHW")
        return EvaluationInputs(
            modality=SimpleNamespace(rate=RATE),  # type: ignore[arg-type]
            spec=spec,
            train=lambda n: train[:n],
            test=lambda n: held_out[:n],
            train_text=(lambda most: train) if text else None,
            test_text=(lambda most: held_out) if text else None,
            samples=samples,
            bits=None,
            seconds=None,
            seed=seed,
        )


def reference_auc(cases: Cases, samples: list[Any], real: list[Any]) -> float:
    """How often a logistic regression, read out in 5 folds, picks the sample out of a pair."""
    if cases.kind == "texts":
        samples, real = (
            [text[i : i + 256] for text in part for i in range(0, STRETCH, 256)] for part in (samples, real)
        )
    target = np.array([1] * len(samples) + [0] * len(real))
    model: Any
    if cases.kind in ("texts", "records"):
        rows: Any = [*samples, *real]
        model = make_pipeline(TfidfVectorizer(analyzer=_grams, sublinear_tf=True, min_df=2), LogisticRegression(C=10.0))
    else:
        features = _image_features if cases.kind == "images" else _sound_features
        rows = features([*samples, *real])
        model = make_pipeline(StandardScaler(), LogisticRegression(C=0.01, max_iter=500))
    rating = cross_val_predict(
        model, rows, target, cv=StratifiedKFold(5, shuffle=True, random_state=0), method="predict_proba"
    )
    return float(roc_auc_score(target, rating[:, 1]))


def _grams(text: str) -> list[str]:
    words = text.split()
    runs = [text[i : i + width] for width in (1, 2, 3, 4, 5) for i in range(len(text) - width + 1)]
    return [*runs, *(f"w:{w}" for w in words), *(f"w:{a} {b}" for a, b in itertools.pairwise(words))]


def _image_features(images: Sequence[Any]) -> np.ndarray:
    embedding = Embedding(images[0].shape[2] if images[0].ndim == 3 else 1, 2, features=256, seed=7)
    embedding.fit(image_tensor(images[: len(images)]))
    x = stack(images).astype(np.float64).reshape(len(images), *images[0].shape[:2], -1)
    fine = x[:, 1:-1, 1:-1] - (x[:, :-2, 1:-1] + x[:, 2:, 1:-1] + x[:, 1:-1, :-2] + x[:, 1:-1, 2:]) / 4.0
    tile = fine[:, : fine.shape[1] // 8 * 8, : fine.shape[2] // 8 * 8]
    tile = tile.reshape(len(x), tile.shape[1] // 8, 8, tile.shape[2] // 8, 8, -1).mean((1, 3)).reshape(len(x), -1)
    spread = np.stack([np.histogram(row, bins=[0, 0.5, 1, 2, 4, 8, 16, 32, 256])[0] for row in np.abs(fine)])
    levels = np.stack([np.histogram(row, bins=32, range=(0, 256))[0] for row in x])
    parts = (
        embed_images(embedding, images),
        np.log(radial_spectra(stack(images)) + 1e-6),
        tile,
        np.log1p(spread),
        np.log1p(levels),
    )
    return np.concatenate(parts, axis=1)


def _sound_features(clips: Sequence[Any]) -> np.ndarray:
    level = spectrograms(clips, RATE)  # (n, M, T)
    coarse = torch.nn.functional.adaptive_avg_pool2d(level, (32, 16)).flatten(1)
    change = (level[:, :, 1:] - level[:, :, :-1]).abs().mean(2)
    loud = np.log(np.sqrt(np.square(np.stack(clips)).reshape(len(clips), 20, -1).mean(2)) + 1e-5)
    return np.concatenate([coarse.numpy(), change.numpy(), level.std(2).numpy(), loud], axis=1)


# ---- images ----


def images(path: Path) -> Cases:
    """Pictures of a folder (or MNIST's idx files) at 32 x 32."""
    if list(path.glob("*idx3*")):
        items = [np.pad(x, 2) for x in read_idx(find(path, "train-images-idx3-ubyte"))[:6_000]]
    else:
        paths = sorted(p for p in path.rglob("*") if p.suffix.lower() in (".png", ".jpg"))
        chosen = [paths[i] for i in np.random.default_rng(0).permutation(len(paths))[:4_000]]
        mode = "RGBA" if Image.open(chosen[0]).mode in ("RGBA", "P") else "RGB"
        items = [np.asarray(Image.open(p).convert(mode).resize((SIDE, SIDE), Image.Resampling.BOX)) for p in chosen]
    faults: dict[str, Fault] = {"real": lambda x, _: x}
    faults |= {f"blur {r}": _each(lambda x, _, r=r: _blurred(x, r)) for r in (0.3, 0.6, 1.0)}
    faults |= {f"noise {s}": _each(lambda x, source, s=s: _added(x, source.normal(0, s, x.shape))) for s in (2, 6, 20)}
    faults |= {f"grid {s}": _each(lambda x, _, s=s: _added(x, s * _checkerboard(x))) for s in (1, 4, 16)}
    faults |= {f"modes {share}": lambda x, _, share=share: _darkest(x, share) for share in (0.9, 0.6, 0.3)}
    faults |= {f"repeat {k}": lambda x, _, k=k: [x[i // k] for i in range(len(x))] for k in (2, 8)}
    faults["jpeg 30"] = _each(lambda x, _: _jpeg(x, 30))
    return Cases(path.name, "images", items, faults)


def _each(change: Callable[..., Any]) -> Fault:
    return lambda items, source: [change(item, source) for item in items]


def _blurred(x: Any, radius: float) -> Any:
    return np.asarray(Image.fromarray(x).filter(ImageFilter.GaussianBlur(radius)))


def _added(x: Any, change: Any) -> Any:
    return np.clip(np.round(x + change), 0, 255).astype(np.uint8)


def _checkerboard(x: Any) -> Any:
    board = 1.0 - 2.0 * (np.indices(x.shape[:2]).sum(0) % 2)
    return board if x.ndim == 2 else board[..., None]


def _jpeg(x: Any, quality: int) -> Any:
    out = io.BytesIO()
    Image.fromarray(x[..., :3] if x.ndim == 3 else x).save(out, "JPEG", quality=quality)
    coded = np.asarray(Image.open(out))
    return np.concatenate([coded, x[..., 3:]], axis=2) if x.ndim == 3 and x.shape[2] == 4 else coded


def _darkest(items: list[Any], share: float) -> list[Any]:
    order = np.argsort([x.mean() for x in items], kind="stable")[: max(round(share * len(items)), 1)]
    return [items[order[i % len(order)]] for i in range(len(items))]


# ---- text ----


def texts(path: Path) -> Cases:
    """Passages of the texts of a folder or of a file."""
    paths = [path] if path.is_file() else sorted(p for p in path.rglob("*") if p.suffix in (".txt", ".py"))[:80]
    whole = "\n".join(p.read_text(encoding="utf-8") for p in paths)[:4_000_000]
    items = [whole[i : i + STRETCH] for i in range(0, len(whole) - STRETCH, STRETCH)]
    faults: dict[str, Fault] = {"real": lambda x, _: x}
    faults |= {f"letters {r}": _each(lambda x, source, r=r: _letters(x, source, r)) for r in (0.002, 0.02, 0.1)}
    faults |= {f"shuffled {r}": _each(lambda x, source, r=r: _shuffled(x, source, r)) for r in (0.05, 0.3, 1.0)}
    faults |= {f"repeat {k}": lambda x, _, k=k: [x[i // k] for i in range(len(x))] for k in (2, 8)}
    faults["loops"] = _each(lambda x, _: (x[: STRETCH // 4] * 4)[:STRETCH])
    return Cases(path.stem, "texts", items, faults)


def records(path: Path) -> Cases:
    """One record a line."""
    lines = [line for line in dict.fromkeys(path.read_text(encoding="utf-8").split("\n")) if line and line[0] != ">"]
    lines = [lines[i] for i in np.random.default_rng(0).permutation(len(lines))[:6_000]]
    faults: dict[str, Fault] = {"real": lambda x, _: x}
    faults |= {f"letters {r}": _each(lambda x, source, r=r: _letters(x, source, r)) for r in (0.01, 0.1, 0.4)}
    faults |= {f"repeat {k}": lambda x, _, k=k: [x[i // k] for i in range(len(x))] for k in (2, 8)}
    faults["backwards"] = _each(lambda x, _: x[::-1])
    return Cases(path.stem, "records", lines, faults)


def _letters(text: str, source: Source, rate: float) -> str:
    """A share of the letters exchanged for letters of the same text."""
    letters = np.array(list(text))
    places = np.flatnonzero(source.random(len(letters)) < rate)
    letters[places] = letters[source.integers(0, len(letters), len(places))]
    return "".join(letters)


def _shuffled(text: str, source: Source, share: float) -> str:
    words = np.array(text.split(" "), dtype=object)
    places = np.flatnonzero(source.random(len(words)) < share)
    words[places] = words[source.permutation(places)]
    return " ".join(words)


# ---- sound ----


def sounds(path: Path) -> Cases:
    """Clips of half a second at 8 kHz."""
    size = round(SECONDS * RATE)
    paths = sorted(path.rglob("*.wav"))
    items = []
    for i in np.random.default_rng(0).permutation(len(paths))[:2_600]:
        x, rate = audio_format.read(paths[i].read_bytes(), 0, 10 * size)
        x = audio_format.resampled(x, rate, RATE)[:size]
        items.append(np.pad(x, (0, size - len(x))).astype(np.float32))
    faults: dict[str, Fault] = {"real": lambda x, _: x}
    faults |= {f"hiss {db} dB": _each(lambda x, source, db=db: _hissing(x, source, db)) for db in (-60, -30, -12)}
    faults |= {f"buzz {depth}": _each(lambda x, _, depth=depth: _buzzing(x, depth)) for depth in (0.05, 0.5, 3.0)}
    faults |= {f"quiet {db} dB": _each(lambda x, _, db=db: (x * 10 ** (-db / 20)).astype(np.float32)) for db in (1, 6)}
    faults["repeat 8"] = lambda x, _: [x[i // 8] for i in range(len(x))]
    return Cases(path.name, "sounds", items, faults)


def _hissing(x: Any, source: Source, db: float) -> Any:
    return (x + source.normal(0, float(np.abs(x).max()) * 10 ** (db / 20), len(x))).astype(np.float32)


def _buzzing(x: Any, depth: float) -> Any:
    return (x * (1.0 + depth * (np.arange(len(x)) % 128 < 16))).astype(np.float32)


LOADERS: dict[str, Callable[[Path], Cases]] = {"images": images, "texts": texts, "records": records, "sounds": sounds}
