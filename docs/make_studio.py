"""Writes the images of the Studio's guide into docs/assets/: python docs/make_studio.py [FOLDER]

FOLDER is a start folder with the runs `gan`, `vae`, `diffusion` (of images) and `names` (of text) in `runs/`; those that are
not there are trained for a few minutes on small data first. Needs Playwright and a Chromium.
"""

from __future__ import annotations

import io
import json
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

import anew

ASSETS = Path(__file__).parent / "assets"
CHROMIUM = "/usr/bin/chromium"
WAIT = 600_000  # milliseconds
RUNS = {  # name: data, family, minutes
    "gan": ("rings", "gan", 2),
    "vae": ("rings", "vae", 2),
    "diffusion": ("rings", "diffusion", 2),
    "names": ("names.txt", "transformer", 1),
}


@dataclass(frozen=True)
class Shot:
    """A picture of a page.

    Attributes:
        run: Which run's page, or *Play* with it.
        tab: Of *Play*; "" is the page of the run.
        wanted: Words that stand on the page when it is whole.
        part: What is shown of it, a selector; "" is the window.
        width: Of the window.
        theme: "light" or "dark".
        typed: Selectors of fields, and what is written there.
        clicked: Selectors of what is clicked then.
        max_width: Of the picture.
        colours: Of the picture; noise of many colours makes a large file.
        place: Address behind #, where it is not that of the run.
    """

    run: str
    tab: str
    wanted: str
    part: str = ""
    width: int = 1280
    theme: str = "light"
    typed: Sequence[tuple[str, str]] = ()
    clicked: Sequence[str] = ()
    max_width: int = 900
    colours: int = 24
    place: str = ""


SHOTS = {
    "studio-runs": Shot("", "", "finished", colours=200, place="/"),
    "studio-look": Shot(
        "", "", "Learn from it", width=390, theme="dark", max_width=390, colours=64, place="/new/names.txt"
    ),
    "studio-run": Shot("diffusion", "", "(each step, and smoothed)", theme="dark"),
    "studio-timelapse": Shot(
        "gan", "", "On the map", ".timelapse-card", theme="dark", clicked=(".timelapse-map",), colours=80
    ),
    "studio-tokens": Shot(
        "names",
        "Token by token",
        "bits per token on average",
        "section.two-thirds",
        390,
        typed=(("#token-prompt", "mar"),),
        clicked=("text=Continue", ".token >> nth=3"),
    ),
    "studio-sentence": Shot(
        "names",
        "How it works",
        "Bits per token",
        "section.two-thirds",
        typed=(("#sentence", "mariana"),),
        max_width=560,
        colours=48,
    ),
    "studio-noise": Shot("diffusion", "How it works", "Above: what the model was given", colours=32),
    "studio-discriminator": Shot(
        "gan", "How it works", "it would look more real if", "section.two-thirds", theme="dark", colours=48
    ),
}


def make_data(root: Path) -> None:
    """Images of rings in two colours, and names."""
    if not (root / "rings").exists():
        (root / "rings").mkdir(parents=True)
        source = np.random.default_rng(0)
        ticks = np.arange(24)
        for number in range(1000):
            x, y = source.uniform(8, 16, 2)
            radius = source.uniform(4, 7)
            distance = np.abs(np.hypot(ticks - x, ticks[:, None] - y) - radius)
            ink = np.clip(1.8 - distance, 0, 1)[..., None]
            colour = np.array([40, 90, 200] if number % 2 else [210, 90, 50])
            picture = 255 * (1 - ink) + colour * ink
            Image.fromarray(picture.round().astype(np.uint8)).save(root / "rings" / f"{number:03d}.png")
    if not (root / "names.txt").exists():
        anew.example("names", root / "names")
        (root / "names.txt").write_text(next((root / "names").glob("*.txt")).read_text())


def make_runs(root: Path, wanted: set[str]) -> None:
    """The runs that are not there."""
    missing = [name for name in RUNS if name in wanted and not (root / "runs" / name / "model.safetensors").exists()]
    if missing:
        print(f"training {', '.join(missing)}", flush=True)
    for name in missing:
        data, family, minutes = RUNS[name]
        anew.train(root / data, root / "runs" / name, budget=60 * minutes, family=family)


def write_small(png: bytes, path: Path, max_width: int, colours: int) -> None:
    """A picture of a page in few colours."""
    with Image.open(io.BytesIO(png)) as whole:
        picture = whole.convert("RGB")
        picture.thumbnail((max_width, 10_000), Image.Resampling.LANCZOS)
        picture.quantize(colours, Image.Quantize.MAXCOVERAGE).save(path, optimize=True)


def shoot(browser: Any, address: str, name: str) -> None:
    """One picture."""
    shot = SHOTS[name]
    page = browser.new_page(viewport={"width": shot.width, "height": 900}, color_scheme=shot.theme)
    page.set_default_timeout(WAIT)
    page.goto(address)
    place = shot.place or f"/{'play' if shot.tab else 'run'}/runs%2F{shot.run}"
    page.evaluate("place => { location.hash = place }", place)
    if shot.tab:
        page.get_by_text("Done in").wait_for()
        page.get_by_role("tab", name=shot.tab, exact=True).click()
    for selector, text in shot.typed:
        page.fill(selector, text)
    for selector in shot.clicked:
        page.click(selector)
    page.get_by_text(shot.wanted).first.wait_for()
    page.wait_for_timeout(1500)
    shown = page.locator(shot.part).first if shot.part else page
    write_small(shown.screenshot(), ASSETS / f"{name}.png", shot.max_width, shot.colours)
    page.close()


def main(folder: Path, names: Sequence[str]) -> None:
    from playwright.sync_api import sync_playwright

    make_data(folder)
    make_runs(folder, set(RUNS) if "studio-runs" in names else {SHOTS[name].run for name in names})
    command = [sys.executable, "-m", "anew", "studio", "--folder", str(folder), "--port", "0", "--json"]
    studio = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert studio.stdout is not None
        address = json.loads(studio.stdout.readline())["address"]
        with sync_playwright() as driver:
            browser = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
            for name in names:
                shoot(browser, address, name)
                print(f"{name}.png", flush=True)
            browser.close()
    finally:
        studio.kill()


if __name__ == "__main__":
    if len(sys.argv) > 1:
        main(Path(sys.argv[1]).resolve(), sys.argv[2:] or list(SHOTS))
    else:
        with tempfile.TemporaryDirectory(prefix="anew-studio-") as place:
            main(Path(place), list(SHOTS))
