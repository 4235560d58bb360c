"""Answers that come late, and large ones, in a real browser."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import numpy as np

from studio_app.test_browser import go, opened
from studio_runs import studio_process, write_run

PIXEL = "data:image/gif;base64,R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7"
SIDE = 1024  # the largest that images may have
END = 'data: {"end": true}\n\n'


def test_the_text_of_an_earlier_step_does_not_replace_that_of_a_later(root: Path, tmp_path: Path, browser: Any) -> None:
    run = write_run(tmp_path / "runs" / "live", root / "runs" / "shapes", 300)
    (run / "samples").mkdir()
    for step in (100, 200):
        (run / "samples" / f"step-{step:08d}.txt").write_text(f"a sample of step {step}")
    routes: list[Any] = []
    with studio_process(tmp_path) as (_, address), opened(browser, address) as page:
        go(page, "#/run/runs%2Flive")
        page.get_by_text("a sample of step 200").wait_for()
        page.route("**/api/sheet*00000100*", lambda route: routes.append(route))
        slider = page.get_by_label("Time in training")
        slider.focus()
        with page.expect_request("**/api/sheet*00000100*"):
            page.keyboard.press("ArrowLeft")
        with page.expect_response("**/api/sheet*00000200*"):
            page.keyboard.press("ArrowRight")
        with page.expect_response("**/api/sheet*00000100*"):
            routes[0].continue_()
        page.wait_for_timeout(200)
        assert page.locator("pre.text").inner_text() == "a sample of step 200"


def test_a_part_of_a_large_image_is_painted_over(address: str, browser: Any) -> None:
    event = {"samples": "samples-1", "items": [{"src": PIXEL}]}
    masks: list[str] = []

    def answer(route: Any) -> None:
        body = route.request.post_data_json
        masks.extend([body["mask"]] if "mask" in body else [])
        route.fulfill(body=f"data: {json.dumps(event)}\n\n{END}", content_type="text/event-stream")

    with opened(browser, address) as page:
        page.route("**/api/play/sample", answer)
        page.evaluate(
            """async (side) => {
                const { fillPanel } = await import("/static/fill_panel.js");
                const { signal } = new AbortController();
                const about = { shape: [3, side, side] };
                document.body.append(fillPanel({ id: "runs/large", about, options: () => ({}), begin: () => signal }));
            }""",
            SIDE,
        )
        page.get_by_text("Paint over the part").wait_for()
        page.get_by_role("button", name="Right half").click()
        page.get_by_role("button", name="Fill in").click()
        page.get_by_text("Six ways to fill it in").wait_for()
    mask = np.unpackbits(np.frombuffer(base64.b64decode(masks[0], validate=True), np.uint8)).reshape(SIDE, SIDE)
    assert mask[:, : SIDE // 2].all() and not mask[:, SIDE // 2 :].any()


def test_fill_in_waits_for_the_image(address: str, browser: Any) -> None:
    """Pressed before the image was there, it did nothing, without a word."""
    routes: list[Any] = []
    body = f"data: {json.dumps({'samples': 'samples-1', 'items': [{'src': PIXEL}]})}\n\n{END}"
    with opened(browser, address) as page:
        page.route("**/api/play/sample", lambda route: routes.append(route))
        page.evaluate(
            """async () => {
                const { fillPanel } = await import("/static/fill_panel.js");
                const { signal } = new AbortController();
                document.body.append(fillPanel({ id: "runs/some", about: { shape: [1, 8, 8] }, options: () => ({}), begin: () => signal }));
            }"""
        )
        page.get_by_role("button", name="Lower half").click()
        page.get_by_role("button", name="Fill in").click()
        page.get_by_text("Generating an image to start from; then it is filled in").wait_for()
        with page.expect_request("**/api/play/sample") as request:
            routes[0].fulfill(body=body, content_type="text/event-stream")
        assert "mask" in request.value.post_data_json
        page.get_by_text("Filling in").wait_for()
        page.unroute_all(behavior="ignoreErrors")


def test_a_refused_image_leaves_nothing_of_the_one_before(address: str, browser: Any) -> None:
    """The image, and what was filled in, stayed beside the refusal."""
    event = {"samples": "samples-1", "items": [{"src": PIXEL}]}
    refusal = {"error": {"message": "the seed is too large"}}
    answers = [event, event, refusal]

    def answer(route: Any) -> None:
        route.fulfill(body=f"data: {json.dumps(answers.pop(0))}\n\n{END}", content_type="text/event-stream")

    with opened(browser, address) as page:
        page.route("**/api/play/sample", answer)
        page.evaluate(
            """async () => {
                const { fillPanel } = await import("/static/fill_panel.js");
                const { signal } = new AbortController();
                const play = { id: "runs/some", about: { shape: [1, 8, 8] }, options: () => ({}), begin: () => signal, another() {} };
                document.body.append(fillPanel(play));
            }"""
        )
        page.get_by_text("Paint over the part").wait_for()
        page.get_by_role("button", name="Right half").click()
        page.get_by_role("button", name="Fill in").click()
        page.get_by_text("Six ways to fill it in").wait_for()
        page.get_by_role("button", name="Another image").click()
        page.get_by_text("The seed is too large.").wait_for()
        assert page.locator(".items .item").count() == 0
        page.get_by_role("button", name="Right half").click()
        page.get_by_role("button", name="Fill in").click()  # asks for nothing, as there is no image
        page.wait_for_timeout(200)
    assert not answers
