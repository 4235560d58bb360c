"""WCAG by axe, and the keyboard."""

from __future__ import annotations

from typing import Any

import pytest

from studio_app.test_browser import go, opened

PLACES = ("#/", "#/run/runs%2Fshapes", "#/new", "#/families")
WAYS = ("Generate", "Fill in", "Walk", "How it works", "Two runs")


def violations(page: Any) -> list[str]:
    """What axe finds on a page as it is now."""
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe-playwright-python is not installed")
    violations = axe.Axe().run(page).response["violations"]
    return [f"{rule['id']}: {node['target']}" for rule in violations for node in rule["nodes"]]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_pages_have_no_violation(scheme: str, address: str, browser: Any) -> None:
    with opened(browser, address, color_scheme=scheme) as page:
        for place in PLACES:
            go(page, place)
            page.locator("h1").wait_for()
            page.locator(".tile, .figures dd, .entries li, .families .card").first.wait_for()
            assert violations(page) == [], place


@pytest.mark.slow
def test_ways_to_play_have_no_violation(address: str, browser: Any) -> None:
    for run, ways in (("runs%2Fshapes", WAYS), ("runs%2Fnames", ("Generate", "Token by token", "How it works"))):
        with opened(browser, address) as page:
            go(page, f"#/play/{run}")
            page.get_by_text("Done in").wait_for(timeout=120_000)
            for tab in ways:
                page.get_by_role("tab", name=tab, exact=True).click()
                page.wait_for_timeout(1500)
                assert violations(page) == [], tab
