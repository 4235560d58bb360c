"""What a beginner asks is answered within three clicks from the list of runs, on runs of their own."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any
from unittest import mock

import pytest

import anew
from samples import TINY, names, shapes
from studio_app.test_browser import opened
from studio_runs import studio_process

DOCS = Path(__file__).parents[2] / "docs"
MOST_CLICKS = 3


def load_script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("make_questions", DOCS / "make_questions.py")
    assert spec is not None and spec.loader is not None
    script = importlib.util.module_from_spec(spec)
    sys.modules["make_questions"] = script  # its dataclass looks itself up there
    spec.loader.exec_module(script)
    return script


script = load_script()


@pytest.fixture(scope="module")
def families(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a Studio with a run of each family."""
    place = tmp_path_factory.mktemp("questions")
    pictures, texts = shapes(place / "shapes", 120), names(place / "names.txt", 400)
    small = {"width": 8, "batch_size": 8, "previews": 0}
    for family in ("gan", "vae", "diffusion", "transformer"):
        is_text = family == "transformer"
        with mock.patch("anew.workflows.train.evaluate_run", lambda *arguments, **keywords: None):
            anew.train(
                texts if is_text else pictures,
                place / "runs" / ("names" if is_text else family),
                steps=4,
                family=family,
                settings={**TINY, "previews": 0} if is_text else small,
            )
    with studio_process(place) as (_, address):
        yield address


def test_no_way_is_longer_than_three_clicks() -> None:
    assert all(len(question.clicks) <= MOST_CLICKS for question in script.QUESTIONS)
    assert all((DOCS / "assets" / f"studio-question-{question.name}.png").is_file() for question in script.QUESTIONS)


@pytest.mark.slow
@pytest.mark.parametrize("question", script.QUESTIONS, ids=[question.name for question in script.QUESTIONS])
def test_it_is_answered(question: Any, families: str, browser: Any) -> None:
    with opened(browser, families, viewport={"width": 390, "height": 700}) as page:
        page.set_default_timeout(120_000)
        pictures = script.steps(page, question)
    assert len(pictures) == len(question.clicks) + 1
