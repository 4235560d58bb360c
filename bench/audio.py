"""Sound: judge distance (README.md), digits recognised and tone of samples after 300 CPU seconds of training on one core.

    python bench/audio.py --data FSDD [--seeds 3] [--only anew wavenet complex-unet ...]

600 recordings are held out by the order of a hash. The judge is a small digit classifier on log-mel spectrograms that this
benchmark trains on the others. Rows: `anew` is what Anew chooses by itself; `wavenet` is the peer, which has the time of both
commands of `anew`, training and sampling, for the same; the others take another form of sound or another network (see
`_audio_forms.py`); `round-trip` is held-out clips through the spectrogram and back, without a model.
"""

from __future__ import annotations

import argparse
import hashlib
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from _audio_judge import LENGTH, RATE, Subject, clip, load_or_train
from _common import HERE, Table, fresh, parser, pinned, setting_words
from _runs import read_config, train_seconds
from anew.core import settings as configs
from anew.data.formats.sound import audio as sound_files
from anew.data.modalities import audio
from anew.data.types import DataBudget, FileSlice, Item

HELD = 600
AUDIBLE = 1e-3  # the least peak of a sample that is no silence
DIT = ("net=dit", "width=128", "depth=4", "patch_size=8")
PEER = "wavenet"
ROWS: dict[str, tuple[str, tuple[str, ...]]] = {
    "anew": ("mel", ()),
    "anew-unlabelled": ("mel", ("labels=off",)),
    "mel-dit": ("mel", DIT),
    "complex-unet": ("complex", ()),
    "complex-dit": ("complex", DIT),
    "raw-unet": ("raw", ()),
    "raw-dit": ("raw", DIT),
}


def load(path: Path) -> NDArray[np.float32]:
    head = sound_files.read_header(path)
    return clip(*sound_files.read(path, 0, head.frames))


def divided(data: Path) -> tuple[list[Path], list[Path]]:
    """(training files, held-out files), the same wherever they lie."""
    order = sorted(data.glob("*.wav"), key=lambda p: hashlib.sha256(p.name.encode()).digest())
    return sorted(order[HELD:]), sorted(order[:HELD])


def folder(place: Path, train: list[Path], held_out: list[Path]) -> Path:
    """What Anew is given: links to the recordings, in `train/` and `test/`."""
    folder = fresh(place / "data")
    for part, files in (("train", train), ("test", held_out)):
        (folder / part).mkdir()
        for path in files:
            (folder / part / path.name).symlink_to(path)
    return folder


def round_trip(options: argparse.Namespace, held_out: list[Path], subject: Subject) -> dict[str, Any]:
    """Held-out clips as Anew sees them in 300 s on one thread, and back: what the form costs before any model."""
    settings = dict(word.split("=") for word in options.set)
    modality = audio.Audio(
        configs.from_json(audio.AudioConfig, configs.route_settings(settings, {"a": audio.AudioConfig})["a"])
    )
    held_out = [held_out[i] for i in np.random.default_rng(1).permutation(len(held_out))[: options.samples]]
    items = [Item(path.name, FileSlice(path)) for path in held_out]
    budget = DataBudget(300.0, 0, 0)
    modality.inspect(items, budget)
    modality.fit(items, budget, ())
    begun = time.process_time()
    generated = modality.decode(modality.batch(np.stack([modality.encode(item) for item in items]), None, None).x)
    spent = time.process_time() - begun
    digits = [int(path.name[0]) for path in held_out]
    return {
        **subject.judged([clip(x, modality.rate) for x in generated], digits),
        "sample_ms": 1000 * spent / len(generated),
    }


def run(options: argparse.Namespace, data: Path, subject: Subject, name: str, seed: int) -> dict[str, Any]:
    form, settings = ROWS[name]
    place = options.work / "audio" / f"{name}-{options.seconds:g}-{seed}"
    if not options.reuse:
        fresh(place)
    command = [sys.executable, str(HERE / "_audio_command.py"), form]
    own = [f"train_seconds={options.seconds:g}", "evaluate_samples=64", "previews=0"]
    words = ["--run", place / "run", "--seed", seed, *setting_words([*settings, *options.set], own)]
    cores = options.cores[:1]
    trained = None
    if not (place / "run" / "report").exists():
        fresh(place)
        trained = pinned([*command, "train", str(data), *map(str, words)], cores, options.work).check()
    fresh(place / "samples")
    words = ["--out", place / "samples", "-n", options.samples, "--seed", seed]
    sampled = pinned([*command, "sample", str(place / "run"), *map(str, words)], cores, options.work).check()
    files = sorted((place / "samples").glob("[0-9]*.wav"))
    labels = [path.stem.partition("-")[2] for path in files]
    generated = [load(path) for path in files]
    requested = [int(label) for label in labels] if all(labels) else None
    seconds, count = train_seconds(place / "run")
    return {
        **subject.judged(generated, requested),
        "clips_s": count * read_config(place / "run").plan.batch / (seconds or 1.0),
        "steps": count,
        "sample_ms": 1000 * sampled.cpu / len(generated),
        "wall": trained and trained.wall,
        "cpu": trained and trained.cpu,
        "cpu_all": trained and trained.cpu + sampled.cpu,
    }


def heard(x: NDArray[np.float32]) -> NDArray[np.float32]:
    """A sample of the peer as the judge hears it: silence, which cannot be trimmed, stays silence."""
    return clip(x, RATE) if np.abs(x).max() > AUDIBLE else np.zeros(LENGTH, np.float32)


def run_peer(
    options: argparse.Namespace, train: tuple[list[Any], NDArray[np.int64]], subject: Subject, seconds: float, seed: int
) -> dict[str, Any]:
    """WaveNet after `seconds` of CPU time for training and sampling, on the clips and labels of `train`."""
    place = fresh(options.work / "audio" / f"{PEER}-{seconds:.0f}-{seed}")
    clips, labels = train
    np.save(place / "clips.npy", clips)
    np.save(place / "labels.npy", labels)
    files = ("--clips", place / "clips.npy", "--labels", place / "labels.npy", "--out", place / "samples.npz")
    words = (*files, "--seconds", seconds, "--samples", options.samples, "--seed", seed)
    command = [sys.executable, str(HERE / "_peer_wavenet.py"), *map(str, words)]
    completed = pinned(command, options.cores[:1], options.work).check()
    samples = np.load(place / "samples.npz")
    figures = subject.judged([heard(x) for x in samples["clips"]], samples["labels"].tolist())
    silent = float((np.abs(samples["clips"]).max(1) <= AUDIBLE).mean())
    return {**figures, "silent": silent, **completed.json(), "wall": completed.wall, "cpu": completed.cpu}


def arguments() -> argparse.Namespace:
    build = parser(__doc__)
    build.add_argument("--data", type=Path, required=True, help="folder of fsdd's recordings")
    build.add_argument("--seconds", type=float, default=300.0, help="CPU seconds of training")
    build.add_argument("--samples", type=int, default=500)
    build.add_argument("--seeds", type=int, default=1)
    build.add_argument("--first-seed", type=int, default=0)
    build.add_argument("--only", nargs="+", choices=[*ROWS, PEER, "round-trip"], default=["anew", PEER])
    build.add_argument("--reuse", action="store_true", help="judge runs that are there already, train the others")
    build.add_argument("--trial", action="store_true", help="print the rows, record none")
    return build.parse_args()


def main() -> None:
    options = arguments()
    torch.set_num_threads(1)
    rows = Table("audio", is_recorded=not options.trial)
    train, held_out = divided(options.data)
    expected, apart = [load(p) for p in train], [load(p) for p in held_out]
    labels = np.array([int(p.name[0]) for p in train])
    judge = load_or_train(options.work / "audio" / "judge.pt", expected, labels)
    subject = Subject(judge, expected, apart)
    digits = [int(p.name[0]) for p in held_out]
    subset = np.random.default_rng(0).permutation(len(expected))[: options.samples]
    rows.add(row="floor", **subject.judged([expected[i] for i in subset], labels[subset].tolist()))
    rows.add(row="held-out", recognised=subject.judged(apart, digits)["recognised"])
    data = folder(options.work / "audio", train, held_out)
    for seed in range(options.first_seed, options.first_seed + options.seeds):
        whole = options.seconds  # what `anew` took for both of its commands, where it ran before
        for name in options.only:
            if name == "round-trip":
                rows.add(row=name, settings=" ".join(options.set), **round_trip(options, held_out, subject))
            elif name == PEER:
                row = run_peer(options, (expected, labels), subject, whole, seed)
                rows.add(row=name, seconds=whole, seed=seed, **row)
            else:
                row = run(options, data, subject, name, seed)
                rows.add(row=name, seconds=options.seconds, seed=seed, **row)
                whole = row["cpu_all"] if name == "anew" and row["cpu_all"] else whole
    rows.show()


if __name__ == "__main__":
    main()
