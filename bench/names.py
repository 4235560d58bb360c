"""Names: the memory of a listing of millions of objects of a store, from its address to the order of its items.

    python bench/names.py [--objects 1000000 10000000] [--folders 1000]

The store is one of this process: it answers requests for pages of names as S3 does and has no network, so that time and memory are
those of Anew. Each size has a process of its own. Asked: less than 2 GB of memory for 10 million objects.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

from PIL import Image

from _common import Table, fresh, parser

PAGE = 1_000
MEMORY = 2e9
ADDRESS = "s3://bench/pictures"
ROOT = "bench/pictures/"
CHANGED = datetime(2026, 1, 1, tzinfo=UTC)


def picture() -> bytes:
    out = io.BytesIO()
    Image.effect_noise((32, 32), 80).save(out, "PNG")
    return out.getvalue()


class Store:
    """A store of pictures in folders, all with the same content."""

    anon = True

    def __init__(self, objects: int, folders: int) -> None:
        self.a_folder, self.folders, self.picture = objects // folders, folders, picture()

    def info(self, path: str) -> Mapping[str, object]:
        return {"name": ROOT.rstrip("/"), "type": "directory"}

    def invalidate_cache(self) -> None:
        pass

    def cat_file(self, path: str, start: int | None = None, end: int | None = None) -> bytes:
        return self.picture[start:end]

    def call_s3(self, method: str, **request: str) -> Mapping[str, object]:
        prefix, start = request["Prefix"], int(request.get("ContinuationToken", 0))
        is_top = prefix == "pictures/"
        count = self.folders if is_top else self.a_folder
        stop = min(start + PAGE, count)
        page: dict[str, object] = {"IsTruncated": stop < count, "NextContinuationToken": str(stop)}
        if is_top:
            page["CommonPrefixes"] = [{"Prefix": f"{prefix}class-{number:06}/"} for number in range(start, stop)]
            return page
        tags = hashlib.shake_128(f"{prefix}{start}".encode()).hexdigest(16 * (stop - start))
        page["Contents"] = [
            {
                "Key": f"{prefix}picture-{number:08}.png",
                "Size": len(self.picture),
                "ETag": f'"{tags[32 * i : 32 * i + 32]}"',
                "LastModified": CHANGED,
            }
            for i, number in enumerate(range(start, stop))
        ]
        return page


def peak() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024.0


def resident() -> float:
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


def measure(objects: int, folders: int) -> dict[str, object]:
    """The figures of one listing, in this process."""
    from anew.core.stores import addresses
    from anew.data.sources.selected_data import detect_modality

    store = Store(objects, folders)
    addresses.open_store = lambda address, *args: (store, ROOT)  # type: ignore[assignment]
    imported = peak()
    figures: dict[str, object] = {"imported_gb": imported / 1e9}
    begin = time.process_time()
    selected = detect_modality(ADDRESS, None)
    figures |= {"cpu_s": time.process_time() - begin, "peak_gb": peak() / 1e9, "resident_gb": resident() / 1e9}
    names = hashlib.blake2b("\n".join(shard.name for shard in selected.shards).encode(), digest_size=6).hexdigest()
    return figures | {"digest": f"{names} {selected.fingerprint[:12]}"}


def main() -> None:
    build = parser(__doc__)
    build.add_argument("--objects", type=int, nargs="+", default=[1_000_000, 10_000_000])
    build.add_argument("--folders", type=int, default=1_000)
    build.add_argument("--within", action="store_true", help=argparse.SUPPRESS)
    options = build.parse_args()
    if options.within:
        print(json.dumps(measure(options.objects[0], options.folders)))
        return
    rows = Table("names")
    for objects in options.objects:
        environment = {**os.environ, "ANEW_CACHE": str(fresh(options.work / "names"))}
        words = ["--within", "--objects", str(objects), "--folders", str(options.folders)]
        for state in ("listed", "listed before"):
            completed = subprocess.run(
                [sys.executable, __file__, *words], env=environment, capture_output=True, text=True
            )
            if completed.returncode:
                raise SystemExit(completed.stderr)
            figures = json.loads(completed.stdout.splitlines()[-1])
            rows.add(what=f"{objects:,} objects, {state}", **figures, passes=figures["peak_gb"] * 1e9 < MEMORY)
    rows.show()


if __name__ == "__main__":
    main()
