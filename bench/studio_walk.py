"""A newcomer's way through the Studio in a real browser, for each kind of data: drop it in, start a short run, close the
page and kill the Studio in the middle, then play, look inside, read the report and download.

python bench/studio_walk.py FOLDER [--kinds names text ...] [--budget 60s] [--pictures FOLDER]

FOLDER holds the data sets by the names of `KINDS`. Whatever a page writes to its console, and each request that does not
go to this machine, is a fault. Needs Playwright and a Chromium.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from _common import Table, anew_command, environ, fresh, parser
from studio import CHROMIUM, drop

HERE = ("http://127.0.0.1:", "data:", "blob:")
LONG, SHORT = 400_000, 60_000  # milliseconds that are waited for a training, and for an answer
KINDS = {  # name: where its data lies below the folder, how many files of it are dropped (0: all), further settings
    "names": ("names/names.txt", 0, {}),
    "text": ("tinyshakespeare/input.txt", 0, {}),
    "code": ("python_stdlib", 100, {}),
    "proteins": ("acylphosphatase_family/hypf.fasta", 0, {}),
    "digits": ("mnist", 0, {}),
    "colour": ("cifar10_subset", 800, {}),
    "emoji": ("emoji_noto", 300, {}),
    "sound": ("fsdd", 300, {}),
    "clips": ("sprite_gifs", 250, {}),
    "molecules": ("smiles_moses/valid.smi", 0, {}),
    "gan": ("mnist", 0, {"family": "gan"}),
    "vae": ("mnist", 0, {"family": "vae"}),
    "sound-gan": ("fsdd", 300, {"family": "gan"}),
    "sound-vae": ("fsdd", 300, {"family": "vae"}),
}


def picked(source: Path, max_count: int, place: Path) -> Path:
    """The data, or a folder with so many of its files, taken at even distances."""
    if source.is_file() or not max_count:
        return source
    files = sorted(path for path in source.rglob("*") if path.is_file())
    target = place / source.name
    for path in files[:: -(-len(files) // max_count)]:
        copy = target / path.relative_to(source)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, copy)
    return target


class StudioProcess:
    """A Studio that can be killed and started again at the same address."""

    def __init__(self, place: Path, cores: Sequence[int]) -> None:
        self.place, self.cores, self.port = place, cores, "0"
        self.start()

    def start(self) -> None:
        command = anew_command("studio", "--folder", self.place, "--port", self.port, "--json")
        self.process = subprocess.Popen(
            command, stdout=subprocess.PIPE, text=True, env=environ(self.cores), start_new_session=True
        )
        assert self.process.stdout is not None
        self.address = json.loads(self.process.stdout.readline())["address"]
        self.port = self.address.rpartition(":")[2].partition("/")[0]

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()


class Walker:
    """One kind of data through the whole Studio.

    Args:
        kind: Its name.
        browser: Of Playwright.
        studio: Where to.
        pictures: Where screenshots go; None takes none.
    """

    def __init__(self, kind: str, browser: Any, studio: StudioProcess, pictures: Path | None) -> None:
        self.kind, self.browser, self.studio, self.pictures = kind, browser, studio, pictures
        self.faults: list[str] = []
        self.seconds: dict[str, float] = {}

    @contextmanager
    def page(self) -> Iterator[Any]:
        """A new browser window; what it says or asks elsewhere is noted."""
        context = self.browser.new_context(viewport={"width": 1280, "height": 900}, color_scheme="light")
        page = context.new_page()
        page.set_default_timeout(SHORT)
        page.on(
            "console", lambda m: self.faults.append(f"console: {m.text}") if m.type in ("error", "warning") else None
        )
        page.on("pageerror", lambda error: self.faults.append(f"error: {error}"))
        page.on("response", lambda r: self.faults.append(f"{r.status}: {r.url}") if r.status >= 400 else None)
        page.on("request", lambda r: None if r.url.startswith(HERE) else self.faults.append(f"request: {r.url}"))
        page.goto(self.studio.address)
        try:
            yield page
        finally:
            context.close()

    def shoot(self, page: Any, name: str) -> None:
        """Screenshots at both widths in both themes; a page that is wider than its window is a fault."""
        if self.pictures is None:
            return
        for width in (1280, 390):
            page.set_viewport_size({"width": width, "height": 900})
            for theme in ("light", "dark"):
                page.emulate_media(color_scheme=theme)
                page.wait_for_timeout(250)
                page.screenshot(path=self.pictures / f"{self.kind}-{name}-{width}-{theme}.png", full_page=True)
            if page.evaluate("document.documentElement.scrollWidth") > width:
                self.faults.append(f"{name} is wider than {width} pixels")
        page.set_viewport_size({"width": 1280, "height": 900})
        page.emulate_media(color_scheme="light")

    def go(self, page: Any, place: str) -> None:
        page.evaluate("place => { location.hash = place }", place)

    def begin(self, data: Path, budget: str, settings: dict[str, str]) -> str:
        """Drop data in, look at it, start; the run's name."""
        with self.page() as page:
            self.go(page, "#/new")
            begun = time.monotonic()
            page.locator(".drop").wait_for()
            drop(page, data)
            page.get_by_text("What Anew sees").wait_for(timeout=LONG)
            self.seconds["look"] = time.monotonic() - begun
            self.shoot(page, "look")
            page.fill("#budget", budget)
            if "family" in settings:
                page.locator(f"input[name=family][value={settings['family']}]").check()
            begun = time.monotonic()
            page.get_by_role("button", name="Start learning").click()
            page.locator("[data-figure=step]").wait_for(timeout=LONG)
            self.seconds["first step"] = time.monotonic() - begun
            page.wait_for_timeout(8000)
            self.shoot(page, "live")
            run = page.evaluate("decodeURIComponent(location.hash.slice(6))")
        return str(run)

    def interrupt(self, run: str) -> None:
        """Kill the Studio while nobody looks; the training must go on, and the next page must show it."""
        self.studio.kill()
        self.studio.start()
        with self.page() as page:
            self.go(page, f"#/run/{run.replace('/', '%2F')}")
            page.locator(".badge").first.wait_for()
            state = page.locator(".badge").first.inner_text()
            if state not in ("training", "measuring", "finished"):
                self.faults.append(f"after the Studio was killed the run is shown as {state!r}")
            page.locator(".badge", has_text="finished").first.wait_for(timeout=LONG)
            page.wait_for_timeout(800)
            self.shoot(page, "run")
            page.get_by_role("link", name="Open the report").click()
            page.frame_locator("iframe").get_by_role("heading").first.wait_for()
            page.wait_for_timeout(500)
            self.shoot(page, "report")

    def play(self, run: str) -> None:
        """Every way to play, a download, and whether a sample is a copy."""
        with self.page() as page:
            begun = time.monotonic()
            self.go(page, f"#/play/{run.replace('/', '%2F')}")
            page.get_by_text("Done in").wait_for(timeout=LONG)
            self.seconds["generate"] = time.monotonic() - begun
            self.shoot(page, "generate")
            page.get_by_role("button", name="More of sample 1").click()
            page.get_by_role("button", name="Is it a copy?").click()
            page.get_by_role("dialog").locator(".note").wait_for(timeout=LONG)
            self.shoot(page, "nearest")
            with page.expect_download() as download:
                page.get_by_role("dialog").get_by_role("link", name="Download").click()
            if not download.value.path().stat().st_size:
                self.faults.append("the download is empty")
            page.get_by_role("button", name="Close").click()
            tabs = page.get_by_role("tab").all_inner_texts()
            for tab in tabs[1:]:
                self.open_tab(page, tab)

    def open_tab(self, page: Any, tab: str) -> None:
        """Open a way to play and use it."""
        page.get_by_role("tab", name=tab, exact=True).click()
        if tab == "Token by token":
            page.get_by_role("button", name="Continue").click()
            page.get_by_text("bits per token on average").wait_for(timeout=LONG)
            page.locator(".token").nth(1).click()
        elif tab == "Fill in":
            page.get_by_text(re.compile("Paint over|the rest stays")).first.wait_for(timeout=LONG)
            with suppress(Exception):
                page.get_by_role("button", name="Lower half").click(timeout=2000)
            page.get_by_role("button", name="Fill in", exact=True).click()
            page.get_by_text("ways to fill it in").wait_for(timeout=LONG)
        elif tab == "Walk":
            page.get_by_text("Frame 1 of").wait_for(timeout=LONG)
        else:
            page.wait_for_timeout(6000)
        self.shoot(page, tab.lower().replace(" ", "-"))


def walk(modality: str, arguments: argparse.Namespace, browser: Any, rows: Table) -> None:
    place = fresh(arguments.work / "studio_walk" / modality)
    where, max_count, settings = KINDS[modality]
    data = picked(arguments.data / where, max_count, fresh(place.with_name(f"{modality}-data")))
    studio = StudioProcess(place, arguments.cores)
    walker = Walker(modality, browser, studio, arguments.pictures)
    try:
        run = walker.begin(data, arguments.budget, settings)
        walker.interrupt(run)
        walker.play(run)
    except Exception as error:  # the walk ends where a newcomer would be stuck
        walker.faults.append(f"stuck: {str(error).splitlines()[0]}")
    finally:
        studio.kill()
        _end_trainings(place)
    rows.add(what=modality, faults=len(walker.faults), **{f"{name}_s": value for name, value in walker.seconds.items()})
    for fault in walker.faults:
        print(f"{modality}: {fault}", flush=True)


def _end_trainings(place: Path) -> None:
    """End what the Studio started and did not end itself."""
    for path in (place / ".anew-studio" / "jobs").glob("*.json"):
        job = json.loads(path.read_text())
        if job.get("pid") and job.get("exit") is None:
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(job["pid"], 9)


def main() -> None:
    build = parser(__doc__)
    build.add_argument("data", type=Path, help="folder of the data sets")
    build.add_argument("--kinds", nargs="+", default=list(KINDS), choices=list(KINDS))
    build.add_argument("--budget", default="60s")
    build.add_argument("--pictures", type=Path, help="folder for screenshots")
    arguments = build.parse_args()
    from playwright import sync_api

    if arguments.pictures is not None:
        arguments.pictures.mkdir(parents=True, exist_ok=True)
    rows = Table("studio_walk")
    with sync_api.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        for modality in arguments.kinds:
            walk(modality, arguments, browser, rows)
        browser.close()
    rows.show()


if __name__ == "__main__":
    main()
