"""What the Markdown pages of the project hold: commands, Python, links, headings; and the examples of docstrings."""

from __future__ import annotations

import doctest
import inspect
import re
import shlex
import unicodedata
from collections.abc import Iterator

FENCE = re.compile(r"^```(\w*)[^\n]*\n(.*?)^```", re.DOTALL | re.MULTILINE)


def blocks(page: str, language: str | None = None) -> list[str]:
    """The fenced blocks of a language, or all of them."""
    return [body for name, body in FENCE.findall(page) if language in (None, name)]


def prose(page: str) -> str:
    """The page without its fenced blocks."""
    return FENCE.sub("", page)


def commands(page: str) -> list[list[str]]:
    """The words behind `anew` of each line in a fenced block that runs it; torchrun's own words are left out."""
    lines = [line.partition("#")[0].strip() for block in blocks(page) for line in block.splitlines()]
    lines = [line.partition(" -- ")[2] if line.startswith("torchrun ") else line for line in lines]
    return [shlex.split(line)[1:] for line in lines if line.startswith("anew ")]


def shortened(words: list[str], steps: Iterator[int]) -> list[str]:
    """A command with the next of `steps` in place of a budget, and few samples."""
    if "--budget" in words:
        at = words.index("--budget")
        words = [*words[:at], "--steps", str(next(steps)), *words[at + 2 :]]
    if words[0] == "train":
        words = [*words, "--set", "evaluate_samples=2"]
    if "--families" in words:
        words = [*words, "-n", "20"]
    return ["8" if re.fullmatch(r"\d{4,}", word) else word for word in words]


def example(function: object) -> str:
    """The code of the example in a docstring; "" where there is none."""
    parts = doctest.DocTestParser().get_examples(inspect.getdoc(function) or "")
    return "".join(part.source for part in parts)


def links(page: str) -> list[tuple[str, str]]:
    """Path and anchor of each link or picture that does not lead to another host; "" stands for the page itself."""
    targets = re.findall(r"\]\(([^)\s]+)\)", prose(page)) + re.findall(r'(?:src|href)="([^"]+)"', prose(page))
    return [(path, anchor) for path, _, anchor in (t.partition("#") for t in targets) if not re.match(r"\w+:", path)]


def anchors(page: str) -> set[str]:
    """The anchors of the headings, as Python-Markdown and GitHub make them."""
    return {_slug(title) for title in re.findall(r"^#+ (.+)$", prose(page), re.MULTILINE)}


def _slug(title: str) -> str:
    ascii_title = unicodedata.normalize("NFKD", title).encode("ascii", "ignore").decode()
    return re.sub(r"[-\s]+", "-", re.sub(r"[^\w\s-]", "", ascii_title).strip().lower())
