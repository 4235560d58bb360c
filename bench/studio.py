"""The Studio under load: many long runs listed and opened, a large upload, many pages open at once.

python bench/studio.py [--runs 50] [--steps 10000] [--upload-mb 1000] [--pages 20] [--seconds 600]

Half of the pages show the list, half a run whose log grows twice a second, in Chromium; as many bare streams are open
beside them, as from other browsers.
"""

from __future__ import annotations

import argparse
import http.client
import json
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

from _common import Table, anew, anew_command, end_group, fresh, parser, peak_of, start, tree_memory

CHUNK = b"\x00" * 2**20
CHROMIUM = "/usr/bin/chromium"
# A browser of its own, without a driver, which would keep what pages receive; hidden pages work as shown ones do.
SWITCHES = ("--headless=new", "--no-sandbox", "--no-first-run", "--disable-background-timer-throttling",
            "--disable-renderer-backgrounding", "--disable-backgrounding-occluded-windows", "--remote-debugging-port=0")  # fmt: skip


def drop(page: Any, path: Path) -> None:
    """Drop a file or a folder where the page takes it, as a file manager does; through Chromium's protocol."""
    box = page.locator(".drop").bounding_box()
    session = page.context.new_cdp_session(page)
    place = {"x": box["x"] + box["width"] / 2, "y": box["y"] + 10}
    for event in ("dragEnter", "dragOver", "drop"):
        data = {"items": [], "files": [str(path.resolve())], "dragOperationsMask": 1}
        session.send("Input.dispatchDragEvent", {"type": event, **place, "data": data})
    session.detach()


class Client:
    """Requests to a Studio, each with its seconds."""

    def __init__(self, address: str) -> None:
        self.address = address
        place, _, self.token = address.removeprefix("http://").partition("/?token=")
        self.host, _, port = place.partition(":")
        self.port = int(port)

    def connection(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection(self.host, self.port, timeout=600)

    @property
    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.token}", "X-Anew-Studio": "1"}

    def get(self, path: str) -> tuple[float, bytes]:
        begun, connection = time.perf_counter(), self.connection()
        connection.request("GET", path, headers=self.headers)
        answer = connection.getresponse()
        body = answer.read()
        if answer.status != 200:
            raise SystemExit(f"{path}: {answer.status} {body[:200]!r}")
        return time.perf_counter() - begun, body

    def post(self, path: str, body: Any, headers: dict[str, str]) -> bytes:
        connection = self.connection()
        connection.request("POST", path, body, self.headers | headers)
        return connection.getresponse().read()


def make_runs(place: Path, options: argparse.Namespace) -> None:
    """One run of a few steps, and copies of its record with long logs."""
    anew("example", "names", place / "names", cores=options.cores, scratch=place).check()
    words = ["train", place / "names", "--run", place / "first", "--steps", "2"]
    for setting in ("width=32", "layers=1", "evaluate_samples=20", "previews=0"):
        words += ["--set", setting]
    anew(*words, cores=options.cores, scratch=place).check()
    lines = []
    for step in range(1, options.steps + 1):
        fields = {
            "progress": step / options.steps,
            "rate": 1.0,
            "examples": 64 * step,
            "loss": 3 / step**0.3,
            "grad_norm": 1.0,
        }
        lines.append(json.dumps({"event": "step", "time": 1.7e9 + step, "step": step, **fields, "seconds": step / 50}))
    log = "\n".join(lines) + "\n"
    for number in range(options.runs - 1):
        run = place / "runs" / f"long-{number}"
        run.mkdir(parents=True)
        shutil.copy(place / "first" / "config.json", run)
        (run / "events.jsonl").write_text(log)


def zeros(megabytes: int) -> Iterator[bytes]:
    for _ in range(megabytes):
        yield CHUNK


def measure(options: argparse.Namespace, place: Path) -> None:
    rows = Table("studio")
    out = place / "studio.out"
    begun = time.perf_counter()
    command = anew_command("studio", "--folder", place, "--port", "0", "--json")
    process = start(command, options.cores, out.with_suffix(""))
    try:
        while not out.read_text().endswith("\n"):
            time.sleep(0.02)
        client = Client(json.loads(out.read_text())["address"])
        client.get("/")
        rows.add(what="start until the first page", seconds=time.perf_counter() - begun, allowed_s=2.0)
        first, body = client.get("/api/runs")
        count = len(json.loads(body)["runs"])
        rows.add(what=f"list of {count} runs of {options.steps:,} steps, first", seconds=first, allowed_s=1.0)
        rows.add(what="list, again", seconds=client.get("/api/runs")[0], allowed_s=1.0)
        opened = [
            sum(client.get(f"/api/{part}?run=runs/long-{n}")[0] for part in ("run", "curves"))
            for n in range(min(5, count - 1))
        ]
        rows.add(what="a run opened, worst of 5", seconds=max(opened), allowed_s=1.0)
        upload = json.loads(client.post("/api/uploads", '{"name": "big"}', {"Content-Type": "application/json"}))["id"]
        size = str(options.upload_mb * len(CHUNK))
        begun = time.perf_counter()
        client.post(f"/api/upload?to={upload}&path=zeros.bin", zeros(options.upload_mb), {"Content-Length": size})
        seconds, peak = time.perf_counter() - begun, peak_of(process.pid) / 1e6
        rows.add(what=f"{options.upload_mb} MB uploaded", seconds=seconds, peak_mb=peak, allowed_mb=300.0)
        shutil.rmtree(place / upload)
        keep_open(options, place, client, process.pid, rows)
    finally:
        end_group(process)
    rows.show()


def keep_open(options: argparse.Namespace, place: Path, client: Client, pid: int, rows: Table) -> None:
    """Keep pages open on a run that goes on, and note the memory of the Studio and of the browser."""
    streams = [client.connection() for _ in range(options.pages)]
    for stream in streams:
        stream.request("GET", "/api/stream", headers=client.headers)
    shown = ("#/", "#/run/runs%2Flong-0")
    pages = [client.address + shown[number % len(shown)] for number in range(options.pages)]
    profile = place / "profile"
    browser = start([CHROMIUM, *SWITCHES, f"--user-data-dir={profile}"], options.cores, place / "browser")
    try:
        port = open_pages(profile / "DevToolsActivePort", pages)
        step = let_learn(place, options.steps, options.warm_up)
        collected_sizes = [without_garbage(port, browser.pid)]
        sizes = [(tree_memory(pid), tree_memory(browser.pid))]
        end = time.monotonic() + options.seconds
        while time.monotonic() < end:
            step = let_learn(place, step, min(options.seconds, 10.0))
            sizes.append((tree_memory(pid), tree_memory(browser.pid)))
        collected_sizes.append(without_garbage(port, browser.pid))
    finally:
        end_group(browser)
    load = f"{options.pages} pages and {options.pages} streams for {options.seconds:.0f} s"
    for program, values in zip(("Studio", "browser"), zip(*sizes, strict=True), strict=True):
        part = [value / 1e6 for value in values]
        quarters = {f"quarter_{n}_mb": part[n * (len(part) - 1) // 4] for n in range(5)}
        rows.add(what=f"{load}: {program}", steps=step - options.steps, **quarters, peak_mb=max(part))
    rows.add(
        what=f"{load}: browser, garbage collected", first_mb=collected_sizes[0] / 1e6, last_mb=collected_sizes[1] / 1e6
    )


def without_garbage(port: int, pid: int) -> int:
    """Memory of the browser once the pages have given up what they no longer use: they do so when they like."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as driver:
        attached = driver.chromium.connect_over_cdp(f"http://127.0.0.1:{port}", timeout=600_000)
        for page in attached.contexts[0].pages:
            session = page.context.new_cdp_session(page)
            session.send("HeapProfiler.collectGarbage")
            session.detach()
        attached.close()
    time.sleep(5.0)
    return tree_memory(pid)


def open_pages(port_file: Path, addresses: list[str]) -> int:
    """Open each in a tab of a browser that has begun, or is about to; the port that it listens on."""
    while not port_file.exists():
        time.sleep(0.1)
    port = int(port_file.read_text().splitlines()[0])
    for address in addresses:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
        connection.request("PUT", f"/json/new?{quote(address, safe='')}")
        answer = connection.getresponse()
        if answer.status != 200:
            raise SystemExit(f"the browser does not open a page: {answer.status} {answer.read()[:200]!r}")
        answer.read()
    return port


def let_learn(place: Path, step: int, seconds: float) -> int:
    """Write steps of a run to its log for so long; the last step."""
    for _ in range(max(1, round(2 * seconds))):
        step += 1
        fields = {"progress": 1.0, "rate": 1.0, "examples": 64 * step, "loss": 3 / step**0.3, "grad_norm": 1.0}
        line = {"event": "step", "time": time.time(), "step": step, **fields, "seconds": step / 50}
        with open(place / "runs" / "long-0" / "events.jsonl", "a") as file:
            file.write(json.dumps(line) + "\n")
        time.sleep(0.5)
    return step


def main() -> None:
    build = parser(__doc__)
    build.add_argument("--runs", type=int, default=50)
    build.add_argument("--steps", type=int, default=10_000)
    build.add_argument("--upload-mb", type=int, default=1000)
    build.add_argument("--pages", type=int, default=20)
    build.add_argument("--warm-up", type=float, default=60.0, help="seconds before memory is first noted: pages load")
    build.add_argument("--seconds", type=float, default=600.0, help="how long the pages stay open")
    options = build.parse_args()
    place = fresh(options.work / "studio")
    make_runs(place, options)
    measure(options, place)


if __name__ == "__main__":
    main()
