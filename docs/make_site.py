"""Writes the generated pages and builds the site into site/: python docs/make_site.py

Zensical's strict mode stops at broken links, but only prints what mkdocstrings finds wrong in docstrings.
So whatever else it prints to standard error counts as a failure here.
"""

from __future__ import annotations

import html
import json
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
BUILD = (sys.executable, "-m", "zensical", "build", "--strict", "--clean")  # pages from the cache would hide warnings
ALL_IS_WELL = "No issues found"
# Pages that the search leaves out: they hold the words of all others, and only those who extend Anew read them
UNSEARCHED = ("reference/api/extending/",)
TABLE = re.compile(r"<table>.*?</table>", re.DOTALL)


def labelled(page: str) -> str:
    """A page whose table cells have the heads of their columns as `data-label`: on a narrow screen cells are stacked, without heads."""
    return TABLE.sub(lambda table: _with_labels(table[0]), page)


def _with_labels(table: str) -> str:
    heads = [
        html.unescape(re.sub("<[^>]+>", "", head)).strip()
        for head in re.findall(r"<th\b[^>]*>(.*?)</th>", table, re.DOTALL)
    ]

    def row(match: re.Match[str]) -> str:
        labels = iter(heads)
        return re.sub(r"<td\b", lambda _: f'<td data-label="{html.escape(next(labels, ""))}"', match[0])

    return re.sub(r"<tr>.*?</tr>", row, table, flags=re.DOTALL)


def without_unsearched(index: str) -> str:
    """The index of the search, JSON, without the pages that it leaves out."""
    contents = json.loads(index)
    contents["items"] = [item for item in contents["items"] if not item["location"].startswith(UNSEARCHED)]
    return json.dumps(contents, ensure_ascii=False)


def main() -> int:
    for script in ("make_cli.py", "make_settings.py", "make_figures.py"):
        subprocess.run([sys.executable, ROOT / "docs" / script], check=True)
    build = subprocess.run(BUILD, check=False, cwd=ROOT, stderr=subprocess.PIPE, text=True)
    sys.stderr.write(build.stderr)
    for page in (ROOT / "site").rglob("*.html"):
        page.write_text(labelled(page.read_text(encoding="utf-8")), encoding="utf-8")
    index = ROOT / "site" / "search.json"
    index.write_text(without_unsearched(index.read_text(encoding="utf-8")), encoding="utf-8")
    return build.returncode or int(build.stderr.strip() != ALL_IS_WELL)


if __name__ == "__main__":
    sys.exit(main())
