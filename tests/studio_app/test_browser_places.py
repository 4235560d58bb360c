"""Where things are on the pages of the Studio, in a real browser: nothing is hidden, cut off or a dead end."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from studio_app.test_browser import go, opened
from studio_app.test_browser_forms import PHONE

ADD_CHART = """(lines) => {
    const chart = document.createElement("line-chart");
    document.querySelector("main").prepend(chart);
    chart.show("Loss", lines);
}"""


def test_a_phone_shows_that_the_studio_is_away(address: str, browser: Any) -> None:
    """The sentence lay behind the tiles of runs."""
    with opened(browser, address, viewport=PHONE) as page:
        page.get_by_role("heading", name="shapes").wait_for()
        assert page.locator("#link").bounding_box()["height"] == 0
        page.evaluate("document.getElementById('link').textContent = 'The Studio cannot be reached.'")
        box = page.locator("#link").bounding_box()
        for x in (20, PHONE["width"] / 2):
            middle = [x, box["y"] + box["height"] / 2]
            assert page.evaluate("([x, y]) => document.elementFromPoint(x, y).id", middle) == "link"


def test_validation_is_inside_the_chart(address: str, browser: Any) -> None:
    """It was above the range where all its points were among the largest 2% of all points."""
    loss = {"name": "loss", "label": "loss", "style": "raw", "steps": list(range(300)), "values": [0.9] * 299 + [9.0]}
    validation = {
        "name": "validation",
        "label": "validation",
        "style": "held",
        "steps": [100, 200],
        "values": [1.13, 1.08],
    }
    with opened(browser, address) as page:
        page.evaluate(ADD_CHART, [loss, validation])
        points = page.locator("polyline.held").get_attribute("points").split()
        assert all(8 <= float(point.split(",")[1]) <= 220 for point in points)
        assert page.get_by_text("1 point is above the range.").is_visible()


def test_the_output_of_a_command_shows_its_end(address: str, browser: Any) -> None:
    with opened(browser, address) as page:
        places = page.evaluate("""async () => {
            const { drawWithOutput, h, outputOf } = await import("/static/dom.js");
            const side = h("div", {});
            document.querySelector("main").prepend(side);
            const lines = Array.from({ length: 60 }, (_, index) => `line ${index}`);
            const fromEnd = () => {
                const { scrollHeight, clientHeight, scrollTop } = side.querySelector("pre");
                return scrollHeight - clientHeight - scrollTop;
            };
            drawWithOutput(side, outputOf(lines));
            const first = fromEnd();
            drawWithOutput(side, outputOf([...lines, "one more"]));
            const followed = fromEnd();
            side.querySelector("pre").scrollTop = 40;
            drawWithOutput(side, outputOf([...lines, "one more", "another"]));
            return [first, followed, side.querySelector("pre").scrollTop];
        }""")
        assert places[0] <= 1 and places[1] <= 1 and places[2] == 40


def test_a_training_that_could_not_start_leads_back_to_its_data(root: Path, address: str, browser: Any) -> None:
    """A budget that was too small left nothing to press but Discard: the data and how it is read had to be chosen again."""
    run = {"id": "runs/table-1", "name": "table-1", "state": "failed", "sentence": "It could not be started.", "failed": True,
           "error_sentence": "give at least 65s", "log_tail": [], "verb": "train", "data": "table.csv", "family": "", "modality": "",
           "reading": {"data": "table.csv", "settings": {"text.layout": "list"}}, "last": None}  # fmt: skip
    (root / "table.csv").write_text("a,b\n" + "".join(f"{n},{n % 7}\n" for n in range(300)))
    with opened(browser, address) as page:
        page.route("**/api/run?*", lambda route: route.fulfill(json=run))
        go(page, "#/run/runs%2Ftable-1")
        page.get_by_text("No step was made.").wait_for()
        assert page.get_by_text("not chosen yet").count() == 0
        page.get_by_role("link", name="Change and start again").click()
        page.get_by_text("300 records, ").wait_for(timeout=120_000)
        assert page.get_by_label("layout").input_value() == "list"


def test_a_prompt_in_the_address_is_there_in_both_tabs(address: str, browser: Any) -> None:
    with opened(browser, address) as page:
        go(page, "#/play/runs%2Fnames/tokens?seed%3D0%26prompt%3DAl")
        prompt = page.get_by_label("Your text")
        prompt.wait_for(timeout=60_000)
        assert prompt.input_value() == "Al"
        page.get_by_role("button", name="Continue").click()
        page.get_by_text("Choose a token to see").wait_for(timeout=60_000)


def test_a_table_without_text_is_one_click_from_its_rows(address: str, browser: Any) -> None:
    """The refusal names a setting, which had to be found in a form. What was seen is said as what it is: an estimate."""
    error = {"message": "learn whole rows with the setting layout=list, or one column with the setting text_column"}
    report = {"modality": "text", "items": 3002, "item_name": "record", "is_estimate": True, "bytes": 2_000_000, "labels": [], "notes": [],
            "skipped": 0, "not_taken": {"code": 2, ".zip": 1}, "noted_kinds": ["code"], "sheet": [],
            "family": "diffusion", "reason": "a reason", "alternatives": {}, "columns": ["a"],
            "tried": {"families": ["diffusion", "gan"], "reason": "with 3 min or more, diffusion and gan are tried"}}  # fmt: skip
    requested_settings: list[dict[str, Any]] = []

    def answer(route: Any) -> None:
        requested_settings.append(route.request.post_data_json["settings"])
        events: list[dict[str, Any]] = [{"error": error, "columns": ["a"]}]
        if requested_settings[-1]:
            events = [{"seen": report}, {"budgets": [], "end": True}]
        route.fulfill(
            body="".join(f"data: {json.dumps(event)}\n\n" for event in events), content_type="text/event-stream"
        )

    with opened(browser, address) as page:
        page.route("**/api/look", answer)
        go(page, "#/new/names.txt")
        page.get_by_role("button", name="Learn whole rows").click()
        page.get_by_text("about 3,000 records").wait_for()
        page.get_by_text("Diffusion and GAN are tried").wait_for()
        page.get_by_text("Not used: 1 .zip.", exact=True).wait_for()  # a note names the others
    assert requested_settings == [{}, {"layout": "list"}]


def test_a_bar_agrees_with_the_time_left(address: str, browser: Any) -> None:
    """It was full at the end of the steps, beside "about 45 s left" of the report."""
    runs = [
        {"progress": 0.98, "seconds": 30.0, "seconds_left": 45.0},
        {"progress": 0.5, "seconds": 30.0, "seconds_left": None},
    ]
    with opened(browser, address) as page:
        shares = page.evaluate(
            "async (runs) => { const { doneShare } = await import('/static/runs_view.js'); return runs.map(doneShare); }",
            runs,
        )
    assert shares == [0.4, 0.5]


def test_a_message_goes_away(address: str, browser: Any) -> None:
    """A screen reader found "Discarded." on every later page."""
    with opened(browser, address) as page:
        page.evaluate("import('/static/dom.js').then(({ showToast }) => showToast('Discarded.'))")
        page.get_by_text("Discarded.").wait_for()
        page.locator("#toast:empty").wait_for(state="attached", timeout=20_000)


def test_the_keyboard_keeps_its_place(address: str, browser: Any) -> None:
    """On what is drawn again or moved; where its control is gone, it does not land on another one."""
    with opened(browser, address) as page:
        focused = page.evaluate("""async () => {
            const { h, keepFocus } = await import("/static/dom.js");
            const [list, first] = [h("div", {}), h("a", { href: "#/1" }, "1")];
            document.querySelector("main").prepend(list);
            const focused = [];
            const draw = (...controls) => {
                keepFocus(list, () => list.replaceChildren(...controls));
                focused.push(list.contains(document.activeElement) ? document.activeElement.textContent : "");
            };
            list.append(first);
            first.focus();
            draw(h("a", { href: "#/2" }, "2"), first);
            draw(h("a", { href: "#/2" }, "2"), h("a", { href: "#/1" }, "one"));
            draw(h("a", { href: "#/2" }, "2"));
            return focused;
        }""")
    assert focused == ["1", "one", ""]
