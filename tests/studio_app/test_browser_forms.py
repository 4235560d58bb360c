"""Forms of the page in a real browser: what is refused is said there, and what works says so at once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from samples import names
from studio_app.test_browser import go
from studio_runs import studio_process

PHONE = {"width": 390, "height": 844}


def test_a_comparison_that_is_refused_is_said_on_the_list(address: str, browser: Any) -> None:
    page = browser.new_page(viewport=PHONE)  # its console tells of the refusal
    page.goto(address)
    page.get_by_label("Compare shapes").check()
    assert page.get_by_role("button", name="Choose another to compare").is_disabled()
    page.get_by_label("Compare names").check()
    page.get_by_role("button", name="Compare these 2").click()
    refusal = page.get_by_role("alert").get_by_text("are of different data")
    refusal.wait_for()
    assert page.get_by_role("heading", name="Runs", exact=True).count() == 1
    page.get_by_label("Compare names").uncheck()
    assert refusal.is_hidden()
    page.close()


@pytest.mark.slow
def test_a_training_starts_once_and_says_so_at_once(tmp_path: Path, browser: Any) -> None:
    """The first one waits for PyTorch. The button can be reached without a long way on a phone."""
    names(tmp_path / "names.txt", 400)
    with studio_process(tmp_path) as (_, address):
        page = browser.new_page(viewport=PHONE)
        page.goto(address)
        go(page, "#/new/names.txt")
        start = page.get_by_role("button", name="Start learning")
        start.wait_for(timeout=300_000)
        page.get_by_role("button", name="Learn from it").click()
        assert start.bounding_box()["y"] < PHONE["height"]
        for seed in ("-1", "1.5", ""):
            page.fill("#seed", seed)
            page.get_by_role("alert").get_by_text("A seed is a whole number").wait_for()
            start.click()
        page.fill("#seed", "7")
        routes: list[Any] = []
        page.route("**/api/train", lambda route: routes.append(route))
        start.click()
        page.get_by_role("button", name="Starting...").wait_for()
        page.get_by_role("status").get_by_role("progressbar").wait_for()
        page.locator("#seed").press("Enter")
        page.wait_for_timeout(300)
        (request,) = routes
        assert request.request.post_data_json["seed"] == 7
        request.fulfill(status=400, json={"error": {"message": "the disk is full"}})
        page.get_by_role("alert").get_by_text("The disk is full.").wait_for()
        assert start.is_enabled()
        page.close()


@pytest.mark.slow
def test_a_form_that_cannot_be_made_says_so_and_can_be_opened_again(tmp_path: Path, browser: Any) -> None:
    names(tmp_path / "names.txt", 400)
    with studio_process(tmp_path) as (_, address):
        page = browser.new_page()
        page.goto(address)
        go(page, "#/new/names.txt")
        page.get_by_role("button", name="Start learning").wait_for(timeout=300_000)
        for summary in ("Change how it is read", "All settings"):
            page.route(
                "**/api/settings", lambda route: route.fulfill(status=500, json={"error": {"message": "not now"}})
            )
            page.get_by_text(summary, exact=True).click()
            page.get_by_text("Not now.").last.wait_for()
            page.unroute("**/api/settings")
            page.get_by_text(summary, exact=True).click()
            form = page.locator("details[open]").filter(has_text=summary)
            assert not form.count()
            page.get_by_text(summary, exact=True).click()
            form.locator("input, select, details").first.wait_for(state="attached")
        page.close()


def test_a_seed_is_never_changed_in_silence(address: str, browser: Any) -> None:
    page = browser.new_page(viewport=PHONE)  # its console tells of the refusals
    page.goto(address)
    go(page, "#/play/runs%2Fnames")
    page.get_by_text("Done in").wait_for(timeout=60_000)
    for seed, sentence in (
        ("-1", "Seed must be greater"),
        ("1.5", "Seed must be a valid integer"),
        ("9007199254740993", "Seed must be less"),
        ("", "Seed is missing."),
    ):
        page.fill("#seed", seed)
        page.get_by_role("alert").get_by_text("A seed is a whole number").wait_for()
        page.get_by_role("button", name="Generate", exact=True).click()
        page.get_by_role("status").get_by_text(sentence).wait_for()
    page.get_by_role("button", name="Random").click()
    assert page.get_by_text("A seed is a whole number").is_hidden()
    page.close()


def test_a_sheet_of_sounds_is_one_row_on_a_phone(address: str, browser: Any) -> None:
    page = browser.new_page(viewport=PHONE)
    page.goto(address)
    page.get_by_role("heading", name="shapes").wait_for()
    page.evaluate("""async () => {
        const { itemSheet } = await import("/static/items.js");
        const sound = { type: "sound", src: "", picture: "", label: null };
        document.querySelector("main").prepend(itemSheet(Array.from({ length: 9 }, () => sound)));
    }""")
    assert page.locator(".items.sound").bounding_box()["height"] < 300
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
    page.close()


def test_a_curve_of_one_point_is_a_dot(address: str, browser: Any) -> None:
    page = browser.new_page(viewport=PHONE)
    page.goto(address)
    page.get_by_role("heading", name="shapes").wait_for()
    page.evaluate("""() => {
        const chart = document.createElement("line-chart");
        document.querySelector("main").prepend(chart);
        chart.show("Loss", [{ name: "loss", label: "loss", style: "trend", steps: [1], values: [0.9] }]);
    }""")
    assert page.locator("line-chart").get_by_text("step 1", exact=True).count() == 1
    assert len(page.locator("polyline.dot").get_attribute("points").split()) == 2
    page.close()
