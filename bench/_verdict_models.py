"""Samples of our own models as cases of verdicts: trained on one half of the items and judged against the other, or runs that
are there already, of the same data."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
from PIL import Image

from _common import anew, fresh
from _verdict_cases import Cases, Fault
from _verdict_media import CLIP_RATE, RATE, SECONDS, clip
from _verdict_sequences import STRETCH
from anew.data.formats.sound import audio as audio_format
from anew.evaluation.modalities.protein import ProteinEvaluation

SAMPLES = 640  # samples of a model: the reference takes 400, and an answer that is open may ask for more
SAMPLES_OF_PASSAGES = 170  # four pieces of each are judged
MOST_TRAINING_ITEMS = 1_500


def models(cases: Cases, names: Sequence[str], options: argparse.Namespace) -> Cases:
    """Samples of models as the cases. names: budgets, of models that see one half of the items; or folders of runs."""
    place = fresh(options.work / "verdicts" / cases.name)
    runs = [name for name in names if Path(name).is_dir()]
    if runs:
        drawn = {Path(run).name: samples(cases, Path(run), place, options) for run in runs}
        return of_models(cases, cases.items, drawn)
    order = np.random.default_rng(5).permutation(len(cases.items))
    if cases.pieces > 1:  # neighbours of a passage tell of it
        order = np.sort(order)
    half = len(order) // 2
    write(cases, [cases.items[i] for i in order[:half][:MOST_TRAINING_ITEMS]], place / "data")
    drawn = {}
    for budget in names:
        run = place / f"run-{budget}"
        anew("train", place / "data", "--run", run, "--budget", budget, cores=options.cores, scratch=place)
        drawn[f"model of {budget}"] = samples(cases, run, place, options)
    return of_models(cases, [cases.items[i] for i in order[half:]], drawn)


def of_models(cases: Cases, items: list[Any], drawn: dict[str, list[Any]]) -> Cases:
    """Samples by case, against items."""
    faults = {name: of_samples(samples) for name, samples in drawn.items()}
    return replace(cases, items=items, faults=faults, most_samples=cases.pieces * min(map(len, drawn.values())))


def of_samples(samples: list[Any]) -> Fault:
    """What a model made instead of the items."""
    return lambda items, source: [samples[i] for i in source.permutation(len(samples))[: len(items)]]


def samples(cases: Cases, run: Path, place: Path, options: argparse.Namespace) -> list[Any]:
    """What a run's model draws."""
    out, n = place / f"samples-{run.name}", SAMPLES
    words: list[object] = ["--format", "gif"] if is_clip(cases.items[0]) else []
    if cases.pieces > 1:
        n, words = SAMPLES_OF_PASSAGES, ["--set", f"max_tokens={STRETCH}"]
    anew("sample", run, "--out", out, "-n", n, *words, cores=options.cores, scratch=place)
    samples = read(cases, out)
    print(f"  {cases.name}, {run}: {len(samples)} samples", flush=True)
    return samples


def is_clip(item: Any) -> bool:
    """Whether an item is a series of pictures (T, H, W, C)."""
    return not isinstance(item, str) and item.ndim == 4


def write(cases: Cases, items: list[Any], folder: Path) -> None:
    """Items as the files that a user would have."""
    folder.mkdir(parents=True)
    suffix = getattr(cases.modality, "suffix", "")
    if cases.evaluation is ProteinEvaluation:
        records = (f">{number}\n{item}\n" for number, item in enumerate(items))
        (folder / "data.fasta").write_text("".join(records), encoding="utf-8")
        return
    if isinstance(items[0], str) and not suffix:
        (folder / "data.txt").write_text(("" if cases.pieces > 1 else "\n").join(items) + "\n", encoding="utf-8")
        return
    for number, item in enumerate(items):
        if isinstance(item, str):
            (folder / f"{number:05d}{suffix}").write_text(item, encoding="utf-8")
        elif is_clip(item):
            first, *others = map(Image.fromarray, item)
            duration = round(1_000 / CLIP_RATE)
            path = folder / f"{number:05d}.webp"
            first.save(path, lossless=True, save_all=True, append_images=others, duration=duration)
        elif item.dtype == np.uint8:
            Image.fromarray(item).save(folder / f"{number:05d}.png")
        else:
            soundfile.write(folder / f"{number:05d}.wav", item, RATE, subtype="PCM_16")


def read(cases: Cases, folder: Path) -> list[Any]:
    """Samples as items of the same form as the real ones."""
    real = cases.items[0]
    visible = sorted(path for path in folder.iterdir() if not path.name.startswith("."))
    paths = [
        path for path in visible if path.name[0].isdigit()
    ] or visible  # one file a sample, beside a sheet; or one file
    if isinstance(real, str):
        texts = [path.read_text(encoding="utf-8") for path in paths]
        if cases.pieces > 1:
            return [text[:STRETCH] for text in texts if len(text) >= STRETCH]
        if texts[0].startswith(">"):
            return ["".join(record.split("\n")[1:]) for text in texts for record in text.split(">")[1:]]
        return [line for text in texts for line in text.split("\n") if line]
    if is_clip(real):
        return list(map(clip, paths))
    if real.dtype == np.uint8:
        return [picture(path, real) for path in paths]
    size, clips = round(SECONDS * RATE), []
    for path in paths:
        x, rate = audio_format.read(path.read_bytes(), 0, 10 * size)
        x = audio_format.resample(x, rate, RATE)[:size]
        clips.append(np.pad(x, (0, size - len(x))).astype(np.float32))
    return clips


def picture(path: Path, real: Any) -> Any:
    """A picture in the form of a real one: its mode, and its size by padding (digits) or shrinking."""
    mode = "L" if real.ndim == 2 else "RGB" if real.shape[2] == 3 else "RGBA"
    image = Image.open(path).convert(mode)
    if mode == "L" and image.size == (28, 28) and real.shape == (32, 32):
        return np.pad(np.asarray(image), 2)
    return np.asarray(image.resize((real.shape[1], real.shape[0]), Image.Resampling.BOX))
