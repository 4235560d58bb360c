"""Writes how the Studio answers a beginner's questions, click by click, into docs/assets/: python docs/make_questions.py FOLDER [NAME ...]

FOLDER is a start folder with the runs that QUESTIONS name in `runs/`, as docs/make_studio.py trains them. Needs Playwright and
a Chromium. tests/studio_app/test_questions.py takes the same ways.
"""

from __future__ import annotations

import io
import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image

ASSETS = Path(__file__).parent / "assets"
CHROMIUM = "/usr/bin/chromium"
WAIT, SETTLED_MS = 600_000, 10_000  # milliseconds
WIDTH, HEIGHT, GAP = 390, 700, 16  # pixels of a step's picture, and between two of them
MAX_WIDTH, COLOURS = 900, 40  # of the picture of a way


@dataclass(frozen=True)
class Question:
    """A question, and the way to its answer from the list of runs.

    Attributes:
        name: Of its picture.
        text: The question.
        run: Whose page is opened first.
        clicks: What is clicked, "role:name" each, the run itself first.
        answer: Words of the answer, which stand on the page then.
    """

    name: str
    text: str
    run: str
    clicks: Sequence[str]
    answer: str


QUESTIONS = (
    Question(
        "discriminator",
        "What does the discriminator do?",
        "gan",
        ("heading:gan", "link:How it works"),
        "The discriminator says how real each item looks to it",
    ),
    Question(
        "softer",
        "Why is the VAE softer?",
        "vae",
        ("heading:vae", "link:How it works"),
        "an average of everything that would fit, and so it is softer",
    ),
    Question(
        "temperature",
        "What is temperature?",
        "names",
        ("heading:names", "link:How it works", "button:What if temperature were 0?"),
        "At temperature 0 all but the most likely token are cut",
    ),
    Question(
        "start",
        "Where does diffusion start?",
        "diffusion",
        ("heading:diffusion", "link:How it works"),
        "A sample starts as a rough draft",
    ),
    Question(
        "copy",
        "Is this a copy?",
        "diffusion",
        ("heading:diffusion", "link:Play", "button:Is sample 1 a copy?"),
        "like a copy",
    ),
)


def steps(page: Any, question: Question, settled_ms: int = 500) -> list[bytes]:
    """The page before each click, what is clicked framed, and with the answer, which is framed too; as PNG.

    Args:
        page: Of Playwright, at the list of runs.
        question: What is asked.
        settled_ms: How long the answer may take to be whole.
    """
    pictures = []
    for click in question.clicks:
        role, _, name = click.partition(":")
        target = page.get_by_role(role, name=name, exact=True)
        target.wait_for(timeout=WAIT)
        page.wait_for_timeout(settled_ms // 4)  # the list is drawn again when the Studio has looked at the runs
        pictures.append(framed(page, target))
        target.click()
    answer = page.get_by_text(question.answer).first
    answer.wait_for(timeout=WAIT)
    page.wait_for_timeout(settled_ms)
    return [*pictures, framed(page, answer)]


def framed(page: Any, target: Any) -> bytes:
    """The page as it is seen, with an element in the middle and framed."""
    target.evaluate(
        "e => { e.scrollIntoView({block: 'center'}); e.style.outline = '4px solid #e08600'; e.style.outlineOffset = '4px' }"
    )
    picture: bytes = page.screenshot()
    target.evaluate("e => { e.style.outline = ''; e.style.outlineOffset = '' }")
    return picture


def write_row(pictures: Sequence[bytes], path: Path) -> None:
    """Pictures side by side, in few colours."""
    images = [Image.open(io.BytesIO(picture)).convert("RGB") for picture in pictures]
    width = sum(image.width for image in images) + GAP * (len(images) - 1)
    row = Image.new("RGB", (width, max(image.height for image in images)), "#888888")
    left = 0
    for image in images:
        row.paste(image, (left, 0))
        left += image.width + GAP
    row.thumbnail((MAX_WIDTH, 10_000), Image.Resampling.LANCZOS)
    row.quantize(COLOURS, method=Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE).save(path, optimize=True)


def main(folder: Path, names: Sequence[str]) -> None:
    from playwright.sync_api import sync_playwright

    command = [sys.executable, "-m", "anew", "studio", "--folder", str(folder), "--port", "0", "--json"]
    studio = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert studio.stdout is not None
        address = json.loads(studio.stdout.readline())["address"]
        with sync_playwright() as driver:
            browser = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
            for question in QUESTIONS:
                if names and question.name not in names:
                    continue
                page = browser.new_page(viewport={"width": WIDTH, "height": HEIGHT}, color_scheme="light")
                page.goto(address)
                write_row(steps(page, question, SETTLED_MS), ASSETS / f"studio-question-{question.name}.png")
                print(f"studio-question-{question.name}.png", flush=True)
                page.close()
            browser.close()
    finally:
        studio.kill()


if __name__ == "__main__":
    main(Path(sys.argv[1]).resolve(), sys.argv[2:])
