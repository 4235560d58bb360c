"""The Studio opened from Python, as in a notebook, whose own loop runs in the same thread."""

from __future__ import annotations

import asyncio
import signal
import threading
import urllib.request
from collections.abc import Callable
from pathlib import Path

import pytest

import anew


def test_a_notebook_opens_the_studio_until_its_cell_is_interrupted(tmp_path: Path) -> None:
    answered: list[int] = []

    def ask(address: str) -> None:
        try:
            opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor())
            with opener.open(address, timeout=60) as answer:
                answered.append(answer.status)
        finally:
            signal.raise_signal(signal.SIGINT)  # as the stop button does

    async def cell() -> None:
        anew.studio(
            folder=tmp_path,
            port=0,
            browser=False,
            on_ready=lambda address: threading.Thread(target=ask, args=(address,), daemon=True).start(),
        )

    loop = asyncio.new_event_loop()
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # processes that tests are shared among ignore it
    try:
        loop.run_until_complete(cell())
    finally:
        signal.signal(signal.SIGINT, before)
        loop.close()
    assert answered == [200]
    for thread in threading.enumerate():
        if thread.name == "anew-server":
            thread.join(10)
            assert not thread.is_alive()


@pytest.mark.parametrize(
    ("opens", "on_ready", "is_said"), [(True, None, False), (False, None, True), (False, print, False)]
)
def test_the_address_is_said_where_no_browser_opens(
    opens: bool,
    on_ready: Callable[[str], None] | None,
    is_said: bool,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr("webbrowser.open", lambda address: opens)
    monkeypatch.setattr("anew.studio_app.app.open_studio", lambda root, runs, port, ready: ready("http://here/"))
    anew.studio(folder=tmp_path, port=0, on_ready=on_ready)
    assert ("the Studio is open at http://here/" in capsys.readouterr().out) == is_said


def test_a_model_stands_for_its_run(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[Path] = []
    monkeypatch.setattr("anew.studio_app.app.open_studio", lambda root, runs, port, ready: opened.extend(runs))
    anew.studio(anew.load(root / "runs" / "shapes"), folder=root, port=0, browser=False)
    assert opened == [root / "runs" / "shapes"]
