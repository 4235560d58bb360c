"""Forms of the page in a real browser: what is refused is said there, and what works says so at once."""

from __future__ import annotations

from typing import Any


def test_a_comparison_that_is_refused_is_said_on_the_list(address: str, browser: Any) -> None:
    page = browser.new_page(viewport={"width": 390, "height": 800})  # its console tells of the refusal
    page.goto(address)
    for name in ("shapes", "names"):
        page.get_by_label(f"Compare {name}").check()
    page.get_by_role("button", name="Compare these 2").click()
    refusal = page.get_by_role("alert").get_by_text("are of different data")
    refusal.wait_for()
    assert page.get_by_role("heading", name="Runs", exact=True).count() == 1
    page.get_by_label("Compare names").uncheck()
    assert refusal.is_hidden()
    page.close()
