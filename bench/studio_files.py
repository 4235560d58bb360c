"""Very many small files in the Studio: a folder of them chosen or dropped on the page, and a look at what was copied.

python bench/studio_files.py [--files 100000] [--ways chosen dropped]

A page in Chromium copies them; meanwhile a timer in it notes the longest time in which it did nothing else.
"""

from __future__ import annotations

import json
import re
import time
from pathlib import Path
from typing import Any

from _common import Table, anew_command, end_group, fresh, parser, peak_of, start
from studio import CHROMIUM, Client, drop

FOLDERS = 100
MONITOR = """() => {
    const seen = window.seen = { gap: 0, heap: 0 };
    let last = performance.now();
    setInterval(() => {
        const now = performance.now();
        seen.gap = Math.max(seen.gap, now - last - 20);
        seen.heap = Math.max(seen.heap, performance.memory.usedJSHeapSize);
        last = now;
    }, 20);
}"""

# The system's window for folders cannot be operated by a driver; what it would give comes from a drop instead.
PICKER = """() => addEventListener("drop", async event => {
    event.preventDefault();
    event.stopPropagation();
    const folder = await event.dataTransfer.items[0].getAsFileSystemHandle();
    window.showDirectoryPicker = async () => folder;
    window.isReady = true;
}, { capture: true, once: true })"""


def write_files(folder: Path, count: int) -> None:
    """Texts of some hundred bytes in FOLDERS folders."""
    for number in range(count):
        place = folder / f"{number % FOLDERS:02d}"
        if number < FOLDERS:
            place.mkdir(parents=True)
        (place / f"{number:06d}.txt").write_text(f"text number {number} " * (5 + number % 20))


def copy(browser: Any, client: Client, folder: Path, count: int, way: str, pid: int) -> dict[str, Any]:
    """Choose or drop the folder on the page, and wait until the page asks what is in it."""
    page = browser.new_page()
    page.set_default_timeout(3_600_000)
    page.goto(client.address)
    page.evaluate("location.hash = '#/new'")
    page.locator(".drop").wait_for()
    if way == "chosen":
        page.evaluate(PICKER)
        drop(page, folder)
        page.wait_for_function("window.isReady")
    page.evaluate(MONITOR)
    begun = time.perf_counter()
    if way == "chosen":
        page.get_by_role("button", name="Choose a folder").click()
    else:
        drop(page, folder)
    page.get_by_text(re.compile("^Copied")).wait_for()
    first_count_s = time.perf_counter() - begun
    page.wait_for_url(lambda url: "#/new/" in url)
    seconds = time.perf_counter() - begun
    measured = page.evaluate("window.seen")
    upload = page.evaluate("decodeURIComponent(location.hash.slice(6))")
    page.close()
    return {
        "upload": upload,
        "seconds": seconds,
        "first_count_s": first_count_s,
        "files_a_second": count / seconds,
        "longest_pause_ms": measured["gap"],
        "page_heap_mb": measured["heap"] / 1e6,
        "studio_peak_mb": peak_of(pid) / 1e6,
    }


def main() -> None:
    from playwright.sync_api import sync_playwright

    build = parser(__doc__)
    build.add_argument("--files", type=int, default=100_000)
    build.add_argument("--ways", nargs="+", default=["chosen", "dropped"], choices=["chosen", "dropped"])
    options = build.parse_args()
    place = fresh(options.work / "studio-files")
    (place / "start").mkdir()
    many = options.work / f"many-{options.files}"
    if not many.exists():  # made once: it takes longer than what is measured
        write_files(many, options.files)
    rows = Table("studio")
    out = place / "studio.out"
    command = anew_command("studio", "--folder", place / "start", "--port", "0", "--json")
    process = start(command, options.cores, out.with_suffix(""))
    try:
        while not out.read_text().endswith("\n"):
            time.sleep(0.02)
        client = Client(json.loads(out.read_text())["address"])
        with sync_playwright() as driver:
            arguments = ["--no-sandbox", "--enable-precise-memory-info"]
            browser = driver.chromium.launch(executable_path=CHROMIUM, args=arguments)
            for way in options.ways:
                copied = copy(browser, client, many, options.files, way, process.pid)
                upload = copied.pop("upload")
                num_arrived = sum(1 for _ in (place / "start" / upload).rglob("*.txt"))
                rows.add(what=f"{options.files:,} small files, {way} as a folder", arrived=num_arrived, **copied)
            browser.close()
        begun = time.perf_counter()
        answer = client.post("/api/look", json.dumps({"data": upload}), {"Content-Type": "application/json"}).decode()
        events = [json.loads(part.removeprefix("data: ")) for part in answer.split("\n\n") if part]
        inspection: dict[str, Any] = next((event["seen"] for event in events if "seen" in event), {})
        seconds = time.perf_counter() - begun
        rows.add(what=f"a look at {options.files:,} small files", items=inspection.get("items"), seconds=seconds)
    finally:
        end_group(process)
    rows.show()


if __name__ == "__main__":
    main()
