"""Start: how long `anew --help` takes (the whole process), and `import anew` (inside a process).

python bench/start.py
"""

from __future__ import annotations

import sys

from _common import Table, anew_command, fresh, parser, pinned

IMPORT = "import time; b = time.perf_counter(); import anew; print('{\"s\": %f}' % (time.perf_counter() - b))"
MODULES = "import anew, sys; print('{\"torch\": %d}' % ('torch' in sys.modules))"


def main() -> None:
    build = parser(__doc__)
    build.add_argument("--repeats", type=int, default=10, help="times each; the first one, with cold files, counts too")
    options = build.parse_args()
    place = fresh(options.work / "start")
    rows = Table("start")

    helps = [pinned(anew_command("--help"), options.cores, place).check().wall for _ in range(options.repeats)]
    imports = []
    for _ in range(options.repeats):
        completed = pinned([sys.executable, "-c", IMPORT], options.cores, place).check()
        imports.append((completed.json()["s"], completed.wall))
    torch = pinned([sys.executable, "-c", MODULES], options.cores, place).check().json()["torch"]

    def add(title: str, seconds: list[float], allowed: float | None, **more: object) -> None:
        middle = sorted(seconds)[len(seconds) // 2]
        passes = None if allowed is None else middle < allowed
        rows.add(what=title, median_s=middle, worst_s=max(seconds), allowed_s=allowed, passes=passes, **more)

    add("anew --help, whole process", helps, 0.5)
    add("import anew", [inside for inside, _ in imports], 0.3, imports_torch=bool(torch))
    add("import anew, whole process", [wall for _, wall in imports], None)
    rows.show()


if __name__ == "__main__":
    main()
