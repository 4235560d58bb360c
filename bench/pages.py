"""Pages of `anew export --to html` in Chromium without a network: size, time to read the model, to the first sample and to all.

anew export RUN --to html --out page.html
python bench/pages.py page.html [...] [--cores 0,1] [--browser /usr/bin/chromium]

CPU seconds are those of the page's own processes, from its opening to its last sample: other programs change them little.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import time
from pathlib import Path
from typing import Any

import psutil

from _common import ROOT, core_list

RESULTS = ROOT / "bench" / "results" / "pages.jsonl"


def cpu_seconds() -> float:
    """Processor time of all processes of the browser so far."""
    total = 0.0
    for process in psutil.Process().children(recursive=True):
        try:
            times = process.cpu_times()
        except psutil.Error:  # it has ended meanwhile
            continue
        total += times.user + times.system
    return total


def visit(browser: Any, path: Path) -> dict[str, object]:
    """Figures of one page; times in seconds."""
    context = browser.new_context(offline=True)
    page = context.new_page()
    faults: list[str] = []
    requests: list[str] = []
    page.on("console", lambda message: faults.append(message.text))
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.on("request", lambda request: requests.append(request.url))
    cpu, begun = cpu_seconds(), time.monotonic()
    page.goto(path.resolve().as_uri())
    page.wait_for_selector("body[data-state=made], .status.wrong", state="attached", timeout=300_000)
    seconds, cpu = time.monotonic() - begun, cpu_seconds() - cpu
    figures = page.evaluate("({...document.body.dataset})")
    count = page.locator("#grid figure").count()
    context.close()
    return {
        "page": path.name,
        "mb": path.stat().st_size / 1e6,
        "kernel": figures.get("kernel"),
        "read_s": float(figures.get("loaded", "nan")) / 1000,
        "first_s": float(figures.get("first") or "nan") / 1000,
        "all_s": seconds,
        "cpu_s": cpu,
        "samples": count,
        "requests": sum(not url.startswith(("file:", "blob:", "data:")) for url in requests),
        "faults": faults,
    }


def main() -> None:
    build = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    build.add_argument("pages", nargs="+", type=Path)
    build.add_argument("--cores", type=core_list, help="cores that the browser uses, e.g. 0,1 (default: all)")
    build.add_argument("--browser", default="/usr/bin/chromium", help="a Chromium (default: %(default)s)")
    options = build.parse_args()
    from playwright.sync_api import sync_playwright

    if options.cores is not None:
        os.sched_setaffinity(0, options.cores)
    print("| page | MB | products | read, s | first sample, s | all, s | all, CPU s | samples | requests | faults |")
    print("|---|---|---|---|---|---|---|---|---|---|")
    with sync_playwright() as playwright:
        for path in options.pages:
            # One each: the processes of an earlier page end meanwhile, and their seconds with them.
            browser = playwright.chromium.launch(executable_path=options.browser, args=["--no-sandbox"])
            figures = visit(browser, path)
            browser.close()
            numbers = " | ".join(f"{figures[name]:.2f}" for name in ("read_s", "first_s", "all_s", "cpu_s"))
            counts = f"{figures['samples']} | {figures['requests']} | {len(figures['faults'])}"  # type: ignore[arg-type]
            print(f"| {path.stem} | {figures['mb']:.1f} | {figures['kernel']} | {numbers} | {counts} |", flush=True)
            with RESULTS.open("a", encoding="utf-8") as file:
                load = os.getloadavg()[0]
                file.write(json.dumps({**figures, "machine": platform.machine(), "load": load}) + "\n")


if __name__ == "__main__":
    main()
