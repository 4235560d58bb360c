"""What a compressor that has read one text needs for the next: a process of its own, so that its time can be measured.

    python bench/_compressors.py NAME TRAIN TEST

NAME: xz, ppmd (needs pyppmd) or zpaq (the command). Prints one JSON object: nats per character and CPU seconds.
"""

from __future__ import annotations

import json
import lzma
import math
import resource
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

PPMD_ORDER, PPMD_MEMORY = 6, 256 << 20
# `zpaq -m5` for text, written out: the size of its tables follows from the size of the block, and a difference of two archives
# with tables of different sizes says nothing. The first number is that size.
ZPAQ = "x{},0w2c0,1010,255i1c256ci1,1,1,1,1,1,2ac0,2,0,255i1c0,3,0,0,255i1c0,4,0,0,0,255i1mm16ts19t0"


def xz(data: bytes, total: int) -> int:
    chain = {"id": lzma.FILTER_LZMA2, "preset": 9, "dict_size": 1 << max(total.bit_length(), 16)}
    return len(lzma.compress(data, format=lzma.FORMAT_XZ, check=lzma.CHECK_NONE, filters=[chain]))


def ppmd(data: bytes, total: int) -> int:
    import pyppmd

    encoder = pyppmd.Ppmd7Encoder(PPMD_ORDER, PPMD_MEMORY)
    return len(encoder.encode(data) + encoder.flush())


def zpaq(data: bytes, total: int) -> int:
    with tempfile.TemporaryDirectory() as folder:
        source, archive = Path(folder) / "text", Path(folder) / "text.zpaq"
        source.write_bytes(data)
        method = ZPAQ.format(max(0, (total + 4095).bit_length() - 20))
        command = ["zpaq", "a", str(archive), str(source), "-method", method, "-threads", "1"]
        subprocess.run(command, check=True, capture_output=True)
        return archive.stat().st_size


COMPRESSORS: dict[str, Callable[[bytes, int], int]] = {"xz": xz, "ppmd": ppmd, "zpaq": zpaq}


def main() -> None:
    name, *paths = sys.argv[1:]
    train, test = (Path(path).read_bytes() for path in paths)
    total = len(train) + len(test)
    added = COMPRESSORS[name](train + test, total) - COMPRESSORS[name](train, total)
    used = [resource.getrusage(processes) for processes in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    characters = len(test.decode())
    nats = added * 8 * math.log(2) / characters
    print(json.dumps({"nats": nats, "characters": characters, "cpu": sum(usage.ru_utime for usage in used)}))


if __name__ == "__main__":
    main()
