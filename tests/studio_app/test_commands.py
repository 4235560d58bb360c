"""Measuring from the page: a finished run once more, and samples of another tool against the data of a run."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from anew.runs import events
from anew.studio_app.jobs import Job, JobStore
from anew.studio_app.start_folder import STATE
from studio_app.test_browser import go
from studio_app.test_jobs import own_store
from studio_runs import client_of, studio_process, write_run

PHONE = {"width": 390, "height": 844}
RUN = "runs/old"


@pytest.fixture
def start(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A start folder with a finished run, its data, and samples; nobody works through its queue."""
    monkeypatch.setattr("anew.studio_app.studio.Studio._ensure_runner", lambda studio, jobs: None)
    shutil.copy(root / "names.txt", tmp_path / "names.txt")
    shutil.copy(root / "names.txt", tmp_path / "made.txt")
    write_run(tmp_path / RUN, root / "runs" / "names", 30)
    return tmp_path


def ended(store: JobStore, job: Job, code: int, began_at: float = 1.0) -> None:
    """Record how a job ended."""
    with store.changing():
        store.write(job.model_copy(update={"state": "ended", "exit": code, "began_at": began_at}))


def test_a_run_is_measured_as_the_command_of_a_user(start: Path) -> None:
    with client_of(start) as client:
        for body in (
            {"run": RUN, "n": 0},
            {"run": RUN, "n": 10**7},
            {"run": RUN, "n": 9, "data": "nowhere"},
            {"run": RUN},
        ):
            assert client.post("/api/evaluate", json=body).status_code == 400
        assert client.post("/api/evaluate", json={"run": RUN, "n": 500, "data": "names.txt"}).json()["id"] == RUN
        again = client.post("/api/evaluate", json={"run": RUN, "n": 500})
        assert again.status_code == 400 and "queued for it" in again.json()["error"]["message"]
        assert client.get("/api/run", params={"run": RUN}).json()["verb"] == "evaluate"
        assert client.post("/api/stop", json={"run": RUN}).status_code == 200
        (start / RUN / "config.json").write_text(
            json.dumps(json.loads((start / RUN / "config.json").read_text()) | {"status": "trained"})
        )
        unfinished = client.post("/api/evaluate", json={"run": RUN, "n": 500})
        assert unfinished.status_code == 400 and "is not finished" in unfinished.json()["error"]["message"]
    assert JobStore(start / STATE).all() == []


def test_data_that_must_not_be_read_has_the_code_of_data_that_was_moved(start: Path) -> None:
    config = json.loads((start / RUN / "config.json").read_text())
    with client_of(start) as client:
        for place in ("https://example.invalid/names.txt", "/etc"):
            config["data"]["path"] = place
            (start / RUN / "config.json").write_text(json.dumps(config))
            assert client.post("/api/evaluate", json={"run": RUN, "n": 500}).json()["error"]["code"] == "data_moved"
    assert JobStore(start / STATE).all() == []


def test_a_run_whose_data_was_moved_says_so_before_it_is_queued(start: Path) -> None:
    config = json.loads((start / RUN / "config.json").read_text())
    config["data"]["path"] = str(start / "moved.txt")
    (start / RUN / "config.json").write_text(json.dumps(config))
    with client_of(start) as client:
        refused = client.post("/api/evaluate", json={"run": RUN, "n": 500})
        error = refused.json()["error"]
        assert refused.status_code == 400 and "give its new place as `data`" in error["message"]
        assert error["code"] == "data_moved"
        assert client.post("/api/evaluate", json={"run": RUN, "n": 500, "data": "names.txt"}).status_code == 200
    (job,) = JobStore(start / STATE).all()
    assert job.words == ["evaluate", str(start / RUN), "-n", "500", f"--data={start / 'names.txt'}"]


@pytest.mark.parametrize(("code", "failed"), [(0, False), (75, False), (2, True)])
def test_how_measuring_ended_is_said(code: int, failed: bool, start: Path) -> None:
    store = own_store(start)
    job = store.add("evaluate", RUN, ["evaluate", RUN])
    log = start / RUN / events.NAME
    ended(store, job, code, log.stat().st_mtime + 5.0)
    store.log_path(job).write_text("anew: there is no room\n")
    with client_of(start) as client:
        run = client.get("/api/run", params={"run": RUN}).json()
        assert run["state"] == "finished" and run["failed"] == failed and bool(run["error_sentence"]) == failed
        os.utime(log, (log.stat().st_mtime + 9.0,) * 2)  # a report was written after all
        assert not client.get("/api/run", params={"run": RUN}).json()["failed"]


def test_samples_of_another_tool_are_measured_against_the_data_of_a_run(start: Path) -> None:
    config = json.loads((start / RUN / "config.json").read_text())
    config["request"]["settings"] = {"text.encoding": "utf-8", "transformer.width": "16"}
    (start / RUN / "config.json").write_text(json.dumps(config))
    body = {"run": RUN, "samples": "made.txt", "n": 100, "held_out": "names.txt"}
    with client_of(start) as client:
        for name in ("samples", "held_out"):
            refused = client.post("/api/evaluate-samples", json=body | {name: "nowhere"})
            assert refused.status_code == 400 and "does not exist" in refused.json()["error"]["message"]
        name = client.post("/api/evaluate-samples", json=body).json()["id"]
        assert name == "runs/made-report-1"
        value = client.get("/api/comparison", params={"id": name}).json()
        assert (value["state"], value["of"]) == ("queued", "made.txt, against names.txt")
        (job,) = JobStore(start / STATE).all()
        assert job.words == [
            "evaluate", f"--samples={start / 'made.txt'}", f"--data={start / 'names.txt'}", "--out", name, "-n", "100",
            f"--modality={config['data']['modality']}", f"--held-out={start / 'names.txt'}", "--set=text.encoding=utf-8",
        ]  # fmt: skip
        store = own_store(start)
        ended(store, job, 75)
        assert client.get("/api/comparison", params={"id": name}).json()["state"] == "stopped"
        (start / name).mkdir()
        (start / name / "report.html").write_text("<p>the report</p>")
        assert client.get("/api/comparison", params={"id": name}).json()["state"] == "finished"
        assert "the report" in client.get("/api/comparison/page", params={"id": name}).text
        listed = client.get("/api/runs").json()
        assert [entry["id"] for entry in listed["comparisons"]] == [name]
        assert [run["id"] for run in listed["runs"]] == [RUN]


def test_buttons_beside_the_report(start: Path, browser: Any) -> None:
    (start / RUN / "model.safetensors").touch()
    with studio_process(start) as (_, address):
        page = browser.new_page(viewport=PHONE)
        page.goto(address)
        go(page, "#/run/runs%2Fold")
        page.get_by_role("button", name="Measure", exact=True).click()
        dialog = page.get_by_role("dialog")
        routes: list[Any] = []
        page.route("**/api/evaluate", lambda route: routes.append(route))
        page.fill("#measured", "0")
        dialog.get_by_role("button", name="Measure").click()
        page.fill("#measured", "300")
        dialog.get_by_role("button", name="Measure").click()
        dialog.get_by_role("button", name="Checking...").wait_for()
        (request,) = routes
        assert request.request.post_data_json == {"run": RUN, "n": 300}
        request.fulfill(status=400, json={"error": {"message": "it is elsewhere", "code": "data_moved"}})
        dialog.get_by_label("Where the data is now").wait_for()
        assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
        page.keyboard.press("Escape")
        page.get_by_role("link", name="Measure other samples").click()
        page.get_by_role("button", name="made.txt").click()
        page.get_by_text("choose others").wait_for()
        page.reload()
        page.route("**/api/evaluate-samples", lambda route: route.fulfill(json={"id": "runs/made-report-1", "job": 1}))
        with page.expect_request("**/api/evaluate-samples") as sent:
            page.get_by_role("button", name="Measure").click()
        assert sent.value.post_data_json == {"run": RUN, "samples": "made.txt", "n": 2000}
        page.get_by_text("is not a comparison or report").wait_for()
        go(page, "#/measure/none")
        page.get_by_role("alert").get_by_text("is not a run").wait_for()
        assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
        page.close()
