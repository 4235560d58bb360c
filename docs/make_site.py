"""Writes the generated pages and builds the site into site/: python docs/make_site.py

Zensical's strict mode stops at broken links, but only prints what mkdocstrings finds wrong in docstrings.
So whatever else it prints to standard error counts as a failure here.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
BUILD = (sys.executable, "-m", "zensical", "build", "--strict", "--clean")  # pages from the cache would hide warnings
ALL_IS_WELL = "No issues found"


def main() -> int:
    for script in ("make_cli.py", "make_settings.py", "make_figures.py"):
        subprocess.run([sys.executable, ROOT / "docs" / script], check=True)
    build = subprocess.run(BUILD, check=False, cwd=ROOT, stderr=subprocess.PIPE, text=True)
    sys.stderr.write(build.stderr)
    return build.returncode or int(build.stderr.strip() != ALL_IS_WELL)


if __name__ == "__main__":
    sys.exit(main())
