"""Video: distances of single frames and of their differences, and motion, after 300 seconds on one core (`--seconds`, `--threads`).

    python bench/video.py --data FOLDER-OF-CLASSES [--seeds 3] [--only anew-train]

A fifth of the clips is held out by a hash of their names. Judges are small classifiers of single frames and of frame
differences that this benchmark trains on the other clips. The first six frames at 32 x 32 are judged (`--frames`, `--side`);
`floor` is what as many training clips get, `still` a frame of a training clip that is held, `mean` the mean clip.
"""

from __future__ import annotations

import argparse
import hashlib
import shutil
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from _clips import Clips, Subject
from _common import Table, anew, fresh, median, parser, setting_words, table
from _runs import train_seconds
from anew.data.formats.images import pixels
from anew.data.formats.video import frames

FORMS = {"anew-train": "train_seconds", "anew-whole": "budget"}
NAIVE = ("floor", "still", "mean")
FIGURES = ("distance_frame", "distance_change", "motion", "confident", "entropy")


def read(path: Path, count: int, side: int) -> Clips:
    """(count, side, side, 3) first frames of a clip on white, the last one held where there are fewer."""
    timing = frames.timing(path)
    indices = timing.at(timing.rate)
    positions = indices[np.minimum(np.arange(count), len(indices) - 1)].tolist()
    frames_at_rate = [
        pixels.fit_frame(frame, side, side, "crop") for frame in frames.pictures(path, positions, timing.times, side)
    ]
    return np.stack([pixels.to_stored(frame, 3).transpose(1, 2, 0) for frame in frames_at_rate])


def divided(source: Path, place: Path) -> dict[str, list[Path]]:
    """Every file copied into train/ or test/ under `place`, with its class folder: paths by part."""
    parts: dict[str, list[Path]] = {"train": [], "test": []}
    for path in sorted(p for p in source.glob("*/*") if frames.sniff_video(p.read_bytes()[:4096]) > 0):
        name = path.relative_to(source)
        part = "test" if hashlib.blake2b(str(name).encode(), digest_size=2).digest()[0] < 51 else "train"
        (place / part / name.parent).mkdir(parents=True, exist_ok=True)
        shutil.copy(path, place / part / name)
        parts[part].append(place / part / name)
    return parts


def naive(subject: Subject, row: str, n: int) -> Clips:
    """Clips of someone who knows next to nothing, or real ones."""
    rng = np.random.default_rng(0)
    which = rng.permutation(len(subject.clips))[:n]
    if row == "floor":
        return subject.clips[which]
    if row == "still":
        return np.repeat(subject.clips[which][:, -1:], subject.clips.shape[1], axis=1)
    mean = subject.clips.astype(np.float32).mean(0) + rng.normal(0, 4, (n, *subject.clips.shape[1:]))
    clips: Clips = mean.clip(0, 255).round().astype(np.uint8)
    return clips


def run(arguments: argparse.Namespace, subject: Subject, place: Path, row: str, seed: int) -> dict[str, Any]:
    cores = arguments.cores[: arguments.threads]
    folder = fresh(place / f"{row}-{seed}")
    time = {
        "budget": ["--budget", f"{arguments.seconds:g}s"],
        "train_seconds": ["--set", f"train_seconds={arguments.seconds:g}"],
    }
    options = [*time[FORMS[row]], "--set", f"size={arguments.side}", *setting_words(arguments.set)]
    trained = anew(
        "train", place / "clips", "--run", folder / "run", "--seed", seed, *options, cores=cores, scratch=arguments.work
    )
    drawn = anew(
        "sample",
        folder / "run",
        "--out",
        folder / "samples",
        "-n",
        arguments.samples,
        cores=cores,
        scratch=arguments.work,
    )
    generated = np.stack(
        [read(path, arguments.frames, arguments.side) for path in sorted((folder / "samples").glob("*.gif"))]
    )
    np.save(folder / "samples.npy", generated)
    sheet(generated, folder / "samples.png")
    spent, steps = train_seconds(folder / "run")
    return {
        **subject.judged(generated),
        "train_s": spent,
        "steps": steps,
        "wall": trained.wall,
        "cpu": trained.cpu,
        "sample_cpu": drawn.cpu,
    }


def sheet(clips: Clips, path: Path, rows: int = 16, zoom: int = 2) -> None:
    """The first clips, a row each."""
    whole = np.concatenate([np.concatenate(list(clip), axis=1) for clip in clips[:rows]])
    Image.fromarray(whole.repeat(zoom, 0).repeat(zoom, 1)).save(path)


def main() -> None:
    build = parser(__doc__)
    build.add_argument("--data", type=Path, required=True, help="a folder of class folders of clips")
    build.add_argument("--seconds", type=float, default=300.0)
    build.add_argument("--samples", type=int, default=500)
    build.add_argument("--frames", type=int, default=6)
    build.add_argument("--side", type=int, default=32)
    build.add_argument("--seeds", type=int, default=1)
    build.add_argument("--threads", type=int, default=1, help="cores that a run takes")
    build.add_argument("--first-seed", type=int, default=0)
    build.add_argument("--only", nargs="*", choices=(*FORMS, *NAIVE), default=[*NAIVE, *FORMS])
    build.add_argument("--trial", action="store_true", help="rows are shown, not recorded")
    arguments = build.parse_args()
    place = arguments.work / "video"
    shutil.rmtree(place / "clips", ignore_errors=True)
    parts = divided(arguments.data, place / "clips")
    names = sorted({path.parent.name for path in parts["train"]})
    clips = {
        part: np.stack([read(p, arguments.frames, arguments.side) for p in paths]) for part, paths in parts.items()
    }
    labels = {part: np.array([names.index(p.parent.name) for p in paths]) for part, paths in parts.items()}
    judges = place / f"judges-{arguments.data.name}-{arguments.frames}-{arguments.side}"
    subject = Subject(clips["train"], labels["train"], clips["test"], labels["test"], judges)
    print(f"{len(clips['train'])} clips to train on, {len(clips['test'])} held out; judges {subject.accuracy}")
    sheet(subject.held_out, place / "held.png")
    rows = Table("video", is_recorded=not arguments.trial)
    for row in arguments.only:
        if row in NAIVE:
            rows.add(row=row, **subject.judged(naive(subject, row, arguments.samples)))
            continue
        for seed in range(arguments.first_seed, arguments.first_seed + arguments.seeds):
            rows.add(
                row=row,
                seed=seed,
                seconds=arguments.seconds,
                threads=arguments.threads,
                **run(arguments, subject, place, row, seed),
            )
    rows.show(["row", "seed", *FIGURES, "samples", "steps"])
    floor = next((r for r in rows.rows if r["row"] == "floor"), None)
    if floor is not None:
        ratios = [
            {
                "row": name,
                **{f: (median([r[f] for r in rows.rows if r["row"] == name]) or 0) / floor[f] for f in FIGURES[:3]},
            }
            for name in arguments.only
        ]
        print("\nmultiples of the floor, by the medians\n" + table(ratios))


if __name__ == "__main__":
    main()
