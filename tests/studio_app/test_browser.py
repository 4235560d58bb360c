"""The page in a real browser: what it shows is true, it asks nobody but the Studio, and it survives what is killed."""

from __future__ import annotations

import io
import json
import os
import re
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from PIL import Image

from anew.evaluation.reporting.page import render
from anew.runs import events, snapshots
from anew.workflows import timelapse
from samples import TINY, names
from studio_app.test_explanation_tasks import with_early_weights
from studio_runs import studio_process, write_run
from workflows.test_timelapse import with_timelapse

WIDTHS = (390, 1280)
SCRIPT_BYTES = 300_000
STATIC = Path(__file__).parents[2] / "src" / "anew" / "studio_app" / "static"


@contextmanager
def opened(browser: Any, address: str, script: str = "", **options: Any) -> Iterator[Any]:
    """A page of the Studio that may complain about nothing and ask nobody else; a script may change its browser first."""
    context = browser.new_context(**options)
    page = context.new_page()
    page.add_init_script(script)
    faults: list[str] = []
    page.on("console", lambda message: faults.append(message.text) if message.type in ("error", "warning") else None)
    page.on("pageerror", lambda error: faults.append(str(error)))
    own_origins = ("http://127.0.0.1:", "data:", "blob:")
    page.on("request", lambda request: None if request.url.startswith(own_origins) else faults.append(request.url))
    page.goto(address)
    try:
        yield page
        assert faults == []
    finally:
        context.close()


def go(page: Any, place: str) -> None:
    page.evaluate("place => { location.hash = place }", place)


def test_the_list_and_a_run(root: Path, address: str, browser: Any) -> None:
    with opened(browser, address, viewport={"width": 1280, "height": 800}) as page:
        page.get_by_role("heading", name="shapes").wait_for()
        assert "token" not in page.url
        page.get_by_role("heading", name="shapes").click()
        page.locator("line-chart svg").first.wait_for()
        steps = [event for event in events.read(root / "runs/shapes/events.jsonl") if event["event"] == "step"]
        loss = page.locator("[data-figure=loss]")
        assert float(loss.get_attribute("data-exact")) == events.recent_losses(root / "runs/shapes")["loss"]
        assert page.locator("[data-figure=step]").inner_text() == str(steps[-1]["step"])
        assert page.locator("img.sheet").evaluate("image => image.complete && image.naturalWidth > 0")
        slider = page.get_by_label("Time in training")
        slider.focus()
        page.keyboard.press("ArrowLeft")
        assert "step" in slider.get_attribute("aria-valuetext")


def test_it_fits_narrow_and_wide_pages_in_both_themes(address: str, browser: Any) -> None:
    for width in WIDTHS:
        with opened(browser, address, viewport={"width": width, "height": 800}, color_scheme="dark") as page:
            for place in ("#/", "#/run/runs%2Fshapes", "#/new"):
                go(page, place)
                page.locator("h1").wait_for()
                page.locator(".tile, .figures dd, .entries li").first.wait_for()
                assert page.evaluate("document.documentElement.scrollWidth") <= width, place
            assert page.evaluate("document.documentElement.dataset.theme") == "dark"
            page.locator("#theme").click()
            assert page.evaluate("document.documentElement.dataset.theme") == "light"
            page.reload()
            assert page.evaluate("document.documentElement.dataset.theme") == "light"


def test_a_report_has_the_theme_of_the_page(root: Path, tmp_path: Path, browser: Any) -> None:
    """Also where the system has another: the frame is shown as the page is."""
    run = tmp_path / "runs" / "shapes"
    shutil.copytree(root / "runs" / "shapes", run)
    (run / "report").mkdir(exist_ok=True)
    (run / "report" / "report.html").write_text(render("base.html"))
    with (
        studio_process(tmp_path) as (_, address),
        opened(browser, address, viewport={"width": 390, "height": 800}, color_scheme="null") as page,
    ):
        go(page, "#/report/runs%2Fshapes")
        frame = page.locator("iframe")
        frame.wait_for()
        for theme, is_dark in (("light", False), ("dark", True)):
            assert page.evaluate("document.documentElement.dataset.theme") == theme
            page.wait_for_timeout(500)
            with Image.open(io.BytesIO(frame.screenshot())) as picture:
                middle = picture.convert("L").getpixel((picture.width // 2, picture.height // 2))
            assert (middle < 64) == is_dark, (theme, middle)
            page.locator("#theme").click()


def test_the_copying_test_can_be_read_on_a_phone(root: Path, tmp_path: Path, browser: Any) -> None:
    run = tmp_path / "runs" / "shapes"
    shutil.copytree(root / "runs" / "shapes", run)
    picture = {
        "ranks": [4, 10, 40, 300],
        "shares": [1.0, 0.6, 0.6, 0.9],
        "line": [1.0, 0.9, 0.8, 0.7],
        "expected": 0.5,
        "tested": 50,
    }
    copies = {"has_report": True, "verdict": "No copies found; `anew evaluate` looks longer.", "picture": picture}
    with (
        studio_process(tmp_path) as (_, address),
        opened(browser, address, viewport={"width": 390, "height": 800}) as page,
    ):
        page.route("**/api/copies*", lambda route: route.fulfill(json=copies))
        page.route("**/api/report*", lambda route: route.fulfill(body="", content_type="text/html"))
        go(page, "#/report/runs%2Fshapes")
        page.locator(".copies-chart").wait_for()
        page.get_by_text("No copies found; anew evaluate looks longer.").wait_for()
        heights = page.locator(".copies-chart text").evaluate_all(
            "all => all.map((text) => text.getBoundingClientRect().height)"
        )
        assert min(heights) >= 11
        page.get_by_role("link", name="Open the report alone").wait_for()
        # Nothing is said of samples that are not tested, nor of ranks at which nothing could raise an alarm.
        assert page.get_by_text("The curve stays below the line for the 50 samples that are tested").count()


def test_a_curve_above_the_line_is_explained_where_nothing_was_found(root: Path, tmp_path: Path, browser: Any) -> None:
    run = tmp_path / "runs" / "shapes"
    shutil.copytree(root / "runs" / "shapes", run)
    picture = {"ranks": [4, 10, 40], "shares": [1.0, 1.0, 0.9], "line": [1.0, 0.9, 0.8], "expected": 0.5, "tested": 40}
    controls = [{"variant": "exact", "rate": 0.01, "caught": 1.0}]
    copies = {
        "has_report": True,
        "verdict": "No copies found.",
        "picture": picture,
        "detected": False,
        "reference_p": 0.07,
    }
    with studio_process(tmp_path) as (_, address), opened(browser, address) as page:
        page.route("**/api/copies*", lambda route: route.fulfill(json=copies | {"controls": controls}))
        page.route(
            "**/api/report*", lambda route: route.fulfill(body="<p style='height: 3000px'>x", content_type="text/html")
        )
        go(page, "#/report/runs%2Fshapes")
        page.get_by_text(
            "crosses the line at the 10 most suspicious samples, but the samples are no closer to your items"
        ).wait_for()
        page.get_by_text("Copies that were planted on purpose were caught by another test").wait_for()
        frame = page.locator("iframe")
        for _ in range(100):
            if frame.bounding_box()["height"] > 3000:
                return
            page.wait_for_timeout(100)
        raise AssertionError("the frame is not as high as its page")


def test_a_run_that_goes_on_is_followed_and_names_are_only_text(root: Path, tmp_path: Path, browser: Any) -> None:
    evil = "<img src=x onerror=alert(1)>"
    run = write_run(tmp_path / "runs" / "live", root / "runs" / "shapes", 500)
    write_run(tmp_path / "runs" / evil, root / "runs" / "shapes", 5)
    (run / "samples").mkdir()
    (run / "samples" / "step-00000100.txt").write_text(f"a sample {evil}")
    with studio_process(tmp_path) as (_, address), opened(browser, address) as page:
        page.get_by_role("heading", name=evil).wait_for()
        go(page, "#/run/runs%2Flive")
        page.get_by_text("a sample <img").wait_for()
        page.get_by_role("button", name="Another seed").focus()
        line = {
            "event": "step",
            "time": 1.8e9,
            "step": 501,
            "progress": 1.0,
            "examples": 4008,
            "loss": 0.123456,
            "seconds": 6.0,
        }
        warning = {"event": "warning", "time": 1.8e9, "step": 501, "text": "the generator has collapsed"}
        with open(run / "events.jsonl", "a") as file:
            file.write(f"{json.dumps(line)}\n{json.dumps(warning)}\n")
        page.locator(f"[data-figure=loss][data-exact='{events.recent_losses(run)['loss']}']").wait_for()
        page.get_by_role("alert").get_by_text("the generator has collapsed").wait_for()
        assert page.get_by_role("button", name="Another seed").evaluate("button => button === document.activeElement")
        assert page.locator("img[src=x]").count() == 0


def test_a_hidden_page_asks_nothing_until_it_is_seen(root: Path, tmp_path: Path, browser: Any) -> None:
    """Of many pages one is seen: the others would keep the Studio, and the browser's memory, busy for nobody."""
    run = write_run(tmp_path / "runs" / "long", root / "runs" / "shapes", 50)
    hide = """hidden => {
        Object.defineProperty(document, "hidden", { value: hidden, configurable: true });
        document.dispatchEvent(new Event("visibilitychange"));
    }"""
    urls: list[str] = []
    with studio_process(tmp_path) as (_, address), opened(browser, address) as page:
        go(page, "#/run/runs%2Flong")
        page.locator("[data-figure=step]").wait_for()
        page.wait_for_timeout(1500)
        page.evaluate(hide, True)
        page.on("request", lambda request: urls.append(request.url))
        for step in (51, 52):
            fields = {"step": step, "progress": 1.0, "rate": 1.0, "examples": 8, "loss": 1.0, "grad_norm": 1.0}
            with open(run / "events.jsonl", "a") as log:
                log.write(json.dumps({"event": "step", "time": 1.7e9, **fields, "seconds": 9.0}) + "\n")
            page.wait_for_timeout(1500)
        assert urls == [] and page.locator("[data-figure=step]").inner_text() == "50"
        page.evaluate(hide, False)
        page.get_by_text("52", exact=True).wait_for()
        assert urls


def test_only_tiles_of_runs_that_changed_are_drawn_again(root: Path, tmp_path: Path, browser: Any) -> None:
    live = write_run(tmp_path / "runs" / "live", root / "runs" / "shapes", 5)
    write_run(tmp_path / "runs" / "still", root / "runs" / "shapes", 5)
    with studio_process(tmp_path) as (_, address), opened(browser, address) as page:
        page.locator(".tile").nth(1).wait_for()
        page.evaluate("for (const tile of document.querySelectorAll('.tile')) tile.classList.add('seen')")
        with open(live / "events.jsonl", "a") as file:
            file.write('{"event": "step", "time": 1.8e9, "step": 6, "progress": 1.0}\n')
        page.locator(".tile:not(.seen)").wait_for()
        assert page.locator(".tile.seen").get_by_role("heading").all_inner_texts() == ["still"]
        assert page.locator(".tile").count() == 2


def test_a_run_that_vanishes_is_said(root: Path, tmp_path: Path, browser: Any) -> None:
    run = write_run(tmp_path / "runs" / "gone", root / "runs" / "shapes", 5)
    with studio_process(tmp_path) as (_, address):
        page = browser.new_page()
        page.goto(f"{address}#/run/runs%2Fgone")
        page.get_by_role("heading", name="gone", exact=True).wait_for()
        shutil.rmtree(run)
        page.get_by_text("is not a run").wait_for()
        assert page.get_by_text("is not a run").is_visible()
        page.close()


def test_the_script_is_small() -> None:
    assert sum(path.stat().st_size for path in STATIC.iterdir()) < SCRIPT_BYTES
    for path in STATIC.glob("*.js"):
        assert len(path.read_text().splitlines()) < 500, path.name
        assert "innerHTML" not in path.read_text() and "eval(" not in path.read_text()


@pytest.mark.skipif(
    shutil.which("tsc") is None, reason="the TypeScript compiler is not installed (npm install -g typescript)"
)
def test_the_types_of_the_script(tmp_path: Path) -> None:
    for path in STATIC.glob("*.js"):
        (tmp_path / path.name).write_text(path.read_text().replace('"/static/', '"./'))
    options = ["--checkJs", "--allowJs", "--noEmit", "--strict", "--target", "es2022", "--module", "es2022",
               "--moduleResolution", "bundler", "--lib", "es2022,dom,dom.iterable"]  # fmt: skip
    checked = subprocess.run(["tsc", *options, *map(str, tmp_path.glob("*.js"))], capture_output=True, text=True)
    assert checked.returncode == 0, checked.stdout


def test_places_that_are_none_and_the_keyboard(address: str, browser: Any) -> None:
    page = browser.new_page()  # its console tells of what is missing
    page.goto(address)
    page.get_by_role("heading", name="shapes").wait_for()
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")  # the link that skips to the content
    assert page.evaluate("document.activeElement.id") == "main"
    assert page.get_by_role("heading", name="shapes").count() == 1
    for place in ("#/foo", "#/run/%"):
        go(page, place)
        page.get_by_role("heading", name="There is no such page").wait_for()
        assert page.title() == "No such page - Anew Studio"
        go(page, "#/")
        page.get_by_role("heading", name="shapes").wait_for()
        assert page.evaluate("document.activeElement.id") == "main"
    for run, sentence in (("none", "is not a run"), ("names", "has no report yet")):
        go(page, f"#/report/runs%2F{run}")
        page.get_by_role("alert").get_by_text(sentence).wait_for()
        assert page.locator("iframe").count() == 0
    dropped = "document.body.dispatchEvent(new DragEvent('drop', { bubbles: true, cancelable: true }))"
    assert not page.evaluate(dropped), "the browser would open the file in place of the page"
    page.close()


def test_a_dialog_is_about_its_page_alone_and_says_what_is_refused(address: str, browser: Any) -> None:
    page = browser.new_page()  # its console tells of the refusal
    page.goto(address)
    go(page, "#/run/runs%2Fshapes")
    page.get_by_role("button", name="More time").click()
    page.fill("#more", "1s")
    page.get_by_role("button", name="Continue").click()
    page.get_by_role("dialog").get_by_role("alert").get_by_text("a budget of 1 s leaves no time to train").wait_for()
    page.keyboard.press("Escape")
    for name in ("Discard", "More time"):
        go(page, "#/run/runs%2Fshapes")
        page.get_by_role("button", name=name, exact=True).click()
        page.get_by_role("dialog").wait_for()
        go(page, "#/run/runs%2Fnames")
        page.get_by_role("heading", name="names").wait_for()
        assert page.locator("dialog").count() == 0
    page.close()


def test_a_run_with_code_of_its_own_has_no_button_that_needs_it(root: Path, tmp_path: Path, browser: Any) -> None:
    run = tmp_path / "runs" / "own"
    shutil.copytree(root / "runs" / "names", run)
    record = json.loads((run / "config.json").read_text())
    record["request"]["family"] = record["family"]["name"] = "family.py"
    (run / "config.json").write_text(json.dumps(record))
    with (
        studio_process(tmp_path) as (_, address),
        opened(browser, address, viewport={"width": 390, "height": 800}) as page,
    ):
        page.get_by_role("heading", name="own").click()
        page.get_by_text("anew sample").wait_for()
        assert page.locator(".actions").first.locator("a, button").all_inner_texts() == ["Discard"]
        page.get_by_text("None were drawn during the training.", exact=True).wait_for()
        assert page.evaluate("document.documentElement.scrollWidth") <= 390


def test_buttons_of_runs_without_a_plan_or_a_readable_record(root: Path, tmp_path: Path, browser: Any) -> None:
    source = root / "runs" / "names"
    for name, status in (("begun", "begun"), ("damaged", "of another version")):
        run = tmp_path / "runs" / name
        shutil.copytree(source, run, ignore=shutil.ignore_patterns("events.jsonl"))
        if name == "begun":
            shutil.rmtree(run / "checkpoints")
            (run / "model.safetensors").unlink()
        record = json.loads((source / "config.json").read_text())
        begun_record = {key: record[key] for key in ("format", "request")} | {"status": status}
        (run / "config.json").write_text(json.dumps(begun_record))
    with studio_process(tmp_path) as (_, address), opened(browser, address) as page:
        for name, buttons in (("begun", ["Resume", "Discard"]), ("damaged", ["Discard"])):
            go(page, f"#/run/runs%2F{name}")
            page.get_by_role("heading", name=name).wait_for()
            assert page.locator(".actions").first.locator("a, button").all_inner_texts() == buttons


@pytest.mark.slow
def test_a_column_that_an_error_asks_for_can_be_chosen(tmp_path: Path, browser: Any) -> None:
    rows = "".join(f"person {n};note {n * n} of a table\n" for n in range(60))
    (tmp_path / "table.csv").write_text(f"writer;remark\n{rows}")
    with studio_process(tmp_path) as (_, address):
        page = browser.new_page(viewport={"width": 390, "height": 800})  # its console tells of the refusal
        page.goto(address)
        go(page, "#/new/table.csv")
        page.get_by_role("alert").get_by_text("the setting text_column").wait_for(timeout=60_000)
        page.get_by_label("text_column").select_option("remark")
        page.get_by_role("button", name="Look again").click()
        page.get_by_text("What Anew sees").wait_for(timeout=60_000)
        assert page.get_by_label("text_column").input_value() == "remark"
        assert page.evaluate("document.documentElement.scrollWidth") <= 390
        page.reload()
        page.get_by_text("What Anew sees").wait_for(timeout=60_000)
        assert page.get_by_label("text_column").input_value() == "remark"
        with page.expect_request("**/api/train") as request:
            page.route("**/api/train", lambda route: route.fulfill(json={"id": "none", "job": 1}))
            page.get_by_role("button", name="Start learning").click()
        assert request.value.post_data_json["settings"] == {"text.text_column": "remark"}
        page.close()


def test_playing(address: str, browser: Any) -> None:
    with opened(browser, address, viewport={"width": 390, "height": 800}) as page:
        go(page, "#/play/runs%2Fshapes")
        page.get_by_text("Done in").wait_for(timeout=60_000)
        assert page.locator(".items img").count() == 9
        # A slider would not reach guidance above 2.
        assert page.get_attribute("#sampling-guidance", "type") == "number"
        assert page.get_attribute("#sampling-guidance", "placeholder") == "as learned"
        page.fill("#number", "")
        assert not page.locator("#number").evaluate("number => number.checkValidity()")
        page.get_by_role("button", name="More of sample 1").click()
        page.get_by_role("button", name="Is it a copy?").click()
        page.get_by_role("img", name="the nearest training item").wait_for()
        page.get_by_text("look like a copy").or_(page.get_by_text("looks like a copy")).wait_for()
        page.keyboard.press("Escape")
        page.get_by_role("tab", name="Fill in").click()
        page.get_by_text("Paint over the part").wait_for()
        page.get_by_role("button", name="Lower half").click()
        page.get_by_role("button", name="Fill in").click()
        page.get_by_text("Six ways").wait_for()
        page.get_by_role("button", name="More of 6").click()
        page.get_by_role("link", name="Download").wait_for()
        page.keyboard.press("Escape")
        page.reload()  # what was open is opened again
        page.get_by_text("Paint over the part").wait_for()
        page.get_by_role("tab", name="Walk").click()
        page.get_by_text("Frame 1 of 48").wait_for(timeout=60_000)
        assert page.evaluate("document.documentElement.scrollWidth") <= 390


def test_samples_that_are_asked_for_twice_can_still_be_stopped(address: str, browser: Any) -> None:
    """The end of the first request took the button from the second one, and said that it had been stopped."""
    with opened(browser, address) as page:
        page.route("**/api/play/sample", lambda route: None)  # no request is answered
        go(page, "#/play/runs%2Fnames")
        page.get_by_text("Starting...").wait_for()
        page.get_by_role("button", name="Generate", exact=True).click()
        page.wait_for_function("new Promise((resolve) => setTimeout(() => resolve(true), 100))")
        assert page.get_by_text("Starting...").is_visible()
        page.get_by_role("button", name="Stop", exact=True).click()
        page.get_by_text("Stopped.").wait_for()
        assert not page.get_by_role("button", name="Stop", exact=True).is_visible()


def test_a_tab_whose_request_another_one_ended_says_so(address: str, browser: Any) -> None:
    """It said "Reading..." for ever."""
    with opened(browser, address) as page:
        page.route("**/api/play/*", lambda route: route.continue_() if route.request.method == "GET" else None)
        go(page, "#/play/runs%2Fnames/tokens")
        page.get_by_role("button", name="Continue", exact=True).click()
        page.get_by_text("Reading...").wait_for()
        page.get_by_role("tab", name="Generate").click()
        page.get_by_text("Starting...").wait_for()
        page.get_by_role("tab", name="Token by token").click()
        page.get_by_text("Stopped, since another tab of this page was used.").wait_for()


def test_what_is_played_is_in_the_address(address: str, browser: Any) -> None:
    with opened(browser, address) as page:
        go(page, "#/play/runs%2Fnames")
        page.get_by_text("Done in").wait_for(timeout=60_000)
        page.fill("#seed", "7")
        page.fill("#prompt", "A")
        page.fill("#number", "2")
        page.get_by_role("button", name="Generate", exact=True).click()
        page.wait_for_url(lambda url: "seed%3D7" in url)
        page.locator(".items.big .item").nth(2).wait_for(state="detached")
        page.get_by_text("Done in").wait_for(timeout=60_000)
        texts = page.locator(".items.big pre").all_inner_texts()
        page.reload()
        page.locator(".items.big .made").nth(1).wait_for(timeout=60_000)
        assert page.input_value("#seed") == "7" and page.input_value("#prompt") == "A"
        assert page.locator(".items.big pre").all_inner_texts() == texts
        go(page, "#/families")
        page.get_by_role("heading", name="Compare families").wait_for()
        go(page, "#/play/runs%2Fnames/make?seed%3D7%26set.temperature%3D0.5%26n%3D1")
        page.locator("#sampling-temperature").wait_for()
        assert page.input_value("#sampling-temperature") == "0.5"
        assert page.get_attribute("#sampling-temperature", "max") == "10"
        assert page.get_attribute("#sampling-temperature", "type") == "number"
        go(page, "#/play/runs%2Fnames/make?seed%3D7%26first_index%3D300%26n%3D1%26stop%3Dx")
        page.get_by_role("button", name="More of sample 301").click(timeout=60_000)
        page.get_by_role("dialog").get_by_role("heading", name="Sample 301").wait_for()  # it was called Sample 1
        page.keyboard.press("Escape")
        assert page.input_value("#first") == "301" and page.input_value("#stop") == "x"
        page.get_by_text("The same in the terminal").click()
        page.get_by_text("-n 301 --seed=7 --stop=x").wait_for()


def test_weights_of_the_time_that_the_slider_says(root: Path, tmp_path: Path, browser: Any) -> None:
    run = tmp_path / "runs" / "names"
    shutil.copytree(root / "runs" / "names", run, ignore=shutil.ignore_patterns("timelapse"))
    with_early_weights(run)
    with (
        studio_process(tmp_path) as (_, address),
        opened(browser, address, viewport={"width": 390, "height": 800}) as page,
    ):
        go(page, "#/play/runs%2Fnames/explanation")
        costs = page.get_by_text("Bits per token")
        page.get_by_text("Answers come from the finished model.").wait_for()
        page.fill("#sentence", "anna")
        costs.wait_for()
        page.wait_for_timeout(1500)
        late = costs.inner_text()
        page.get_by_label("Time in training").focus()
        page.keyboard.press("ArrowLeft")
        page.get_by_text("Answers come from weights after 12 s, step 3.").wait_for()
        costs.wait_for()
        assert page.locator("#sentence").input_value() == "anna"
        assert costs.inner_text() != late
        page.keyboard.press("ArrowRight")
        page.get_by_text("Answers come from the finished model.").wait_for()
        costs.wait_for()
        assert costs.inner_text() == late
        assert page.evaluate("document.documentElement.scrollWidth") <= 390


@pytest.mark.slow
def test_weights_of_the_time_that_the_timelapse_shows(tmp_path: Path, browser: Any) -> None:
    """Its slider, and where it is stopped or ends, say whose weights answer."""
    with mock.patch.multiple(timelapse, WEIGHTS_SHARE=1e9), mock.patch.object(snapshots, "SPACING", 0.0):
        settings = {**TINY, "previews": 0}
        with_timelapse(names(tmp_path / "names.txt", 400), tmp_path / "run", steps=6, settings=settings)
    steps = [snapshot.step for snapshot in snapshots.snapshots(tmp_path / "run")]
    assert steps[-1] == 6 and len(steps) > 3
    with studio_process(tmp_path) as (_, address), opened(browser, address) as page:
        go(page, "#/play/run/explanation")
        costs = page.get_by_text("Tokens for which each came closer")
        page.get_by_text("Answers come from the finished model.").wait_for()
        page.fill("#sentence", "anna")
        costs.wait_for()
        page.wait_for_timeout(1500)
        late = costs.inner_text()
        slider, caption = page.get_by_label("Time in the timelapse"), page.locator("output[for=timelapse-time]")
        slider.focus()
        for _ in range(2):
            page.keyboard.press("ArrowLeft")
        caption.get_by_text("step 4,").wait_for()
        costs.filter(has_not_text=late).wait_for()
        assert re.fullmatch(r"Answers come from weights after .* s, step 4\.", said(page))
        assert page.locator("#sentence").input_value() == "anna"
        assert page.locator("#moment").input_value() == str(steps.index(4))
        page.keyboard.press("End")
        page.get_by_text("Answers come from the finished model.").wait_for()
        costs.filter(has_text=late).wait_for()
        play = page.get_by_role("button", name="Play", exact=True)
        slider.press("Home")
        page.get_by_text(f"step {steps[0]}.").wait_for()
        play.click()
        play.wait_for()  # it has come to its end
        page.get_by_text("Answers come from the finished model.").wait_for()


def said(page: Any) -> str:
    """Whose weights answer."""
    return str(page.locator("output[for=moment]").inner_text())


def test_controls_do_not_hide_a_clip(address: str, browser: Any) -> None:
    """They are there under the pointer, and for whoever uses the keyboard."""
    with opened(browser, address) as page:
        page.get_by_role("heading", name="shapes").wait_for()
        page.evaluate("""async () => {
            const { shownItem } = await import("/static/items.js");
            document.querySelector("main").prepend(shownItem({ type: "video", src: "", label: null }, "Clip"));
        }""")
        clip = page.locator("video")
        assert clip.get_attribute("controls") is None and clip.get_attribute("aria-label") == "Clip"
        clip.focus()
        assert clip.get_attribute("controls") is not None
        page.locator("#theme").focus()
        assert clip.get_attribute("controls") is None
        clip.hover()
        assert clip.get_attribute("controls") is not None


def test_two_runs_need_another_one(address: str, browser: Any) -> None:
    with opened(browser, address) as page:
        go(page, "#/play/runs%2Fshapes/beside")
        page.get_by_text("There is no other run of images in this folder").wait_for(timeout=60_000)
        assert page.get_by_role("button", name="Generate both").is_hidden()


def test_a_text_token_by_token(address: str, browser: Any) -> None:
    with opened(browser, address) as page:
        go(page, "#/play/runs%2Fnames")
        page.get_by_text("Done in").wait_for(timeout=60_000)
        page.get_by_role("tab", name="Token by token").click()
        page.get_by_label("Your text").fill("an")
        page.get_by_role("button", name="Continue").click()
        page.get_by_text("bits per token on average").wait_for()
        page.locator(".token").nth(1).click()
        other = page.locator(".bar-button:enabled").last
        text = other.locator(".bar-text").inner_text()
        other.click()
        page.get_by_text("bits per token on average").wait_for()
        assert page.get_by_label("Your text").input_value() == f"a{text}"


@pytest.mark.slow
def test_a_training_outlives_the_page_and_the_studio(tmp_path: Path, browser: Any) -> None:
    names(tmp_path / "names.txt", 600)
    run = tmp_path / "runs" / "names-1"
    with studio_process(tmp_path) as (studio, address):
        port = address.rpartition(":")[2].partition("/")[0]
        with opened(browser, address) as page:
            go(page, "#/new")
            page.get_by_role("button", name="names.txt").click()
            page.get_by_text("What Anew sees").wait_for(timeout=300_000)
            page.fill("#budget", "60s")
            page.get_by_role("button", name="Start learning").click()
            page.locator("[data-figure=step]").wait_for(timeout=300_000)
        studio.send_signal(signal.SIGKILL)
        studio.wait()
    job = json.loads((tmp_path / ".anew-studio" / "jobs" / "000001.json").read_text())
    os.kill(job["pid"], 0)  # it goes on
    with studio_process(tmp_path, "--port", port) as (_, again):
        assert again == address  # pages that are still open find it
        with opened(browser, again) as page:
            go(page, "#/run/runs%2Fnames-1")
            page.get_by_text("finished", exact=True).first.wait_for(timeout=300_000)
            page.get_by_role("link", name="Open the report").click()
            page.frame_locator("iframe").get_by_role("heading").first.wait_for()
    assert json.loads((run / "config.json").read_text())["status"] == "finished"


@pytest.mark.slow
def test_a_training_that_is_killed_is_shown_dead_and_resumed(tmp_path: Path, browser: Any) -> None:
    names(tmp_path / "names.txt", 600)
    with studio_process(tmp_path) as (_, address), opened(browser, address) as page:
        go(page, "#/new/names.txt")
        page.get_by_text("What Anew sees").wait_for(timeout=300_000)
        page.fill("#budget", "3m")
        page.get_by_role("button", name="Start learning").click()
        page.locator("[data-figure=step]").wait_for(timeout=300_000)
        os.kill(json.loads((tmp_path / ".anew-studio" / "jobs" / "000001.json").read_text())["pid"], signal.SIGKILL)
        page.get_by_text("ended by signal 9").wait_for(timeout=30_000)
        page.get_by_role("heading", name="The end of its output").wait_for()
        page.get_by_role("button", name="Resume").click()
        page.get_by_text("training", exact=True).first.wait_for(timeout=300_000)
        page.get_by_role("button", name="Pause").click()
        page.get_by_text("Stopped and saved").wait_for(timeout=120_000)
        page.get_by_role("button", name="Resume").click()
        page.get_by_text("training", exact=True).first.wait_for(timeout=300_000)
        page.get_by_role("button", name="Stop and discard").click()
        page.get_by_role("dialog").get_by_role("button", name="Stop and discard").click()
        page.get_by_text("Nothing here yet").wait_for(timeout=120_000)
    assert not (tmp_path / "runs" / "names-1").exists()
