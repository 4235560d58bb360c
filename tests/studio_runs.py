"""A start folder of the Studio with small runs, clients of a Studio in this process, and browsers on one in another."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

from starlette.testclient import TestClient

import anew
from anew.studio_app.app import make_app
from anew.studio_app.start_folder import StartFolder
from anew.studio_app.studio import Studio
from processes import Forked
from samples import TINY, names, shapes

TOKEN = "t" * 43
OWN = {"X-Anew-Studio": "1"}
CHROMIUM = Path("/usr/bin/chromium")


def train_runs(root: Path) -> Path:
    """A start folder with data and the runs `shapes` and `names`, trained for a moment."""
    runs: list[tuple[str, Path, Mapping[str, Any]]] = [
        ("shapes", shapes(root / "shapes", 120), {"width": 8, "batch_size": 8}),
        ("names", names(root / "names.txt", 400), TINY),
    ]
    for name, data, settings in runs:
        with mock.patch("anew.workflows.train.evaluate_run", lambda *arguments, **keywords: None):
            anew.train(
                data, root / "runs" / name, steps=8, settings={**settings, "previews": 0 if name == "names" else 2}
            )
    return root


@contextmanager
def client_of(root: Path, token: str | None = TOKEN) -> Iterator[TestClient]:
    """A client of a Studio of this folder, with its token or without one."""
    folder = StartFolder(root)
    folder.make_state()
    app = make_app(Studio(folder, []), "127.0.0.1", 8686, TOKEN)
    headers = OWN if token is None else OWN | {"Authorization": f"Bearer {token}"}
    with TestClient(app, base_url="http://127.0.0.1:8686", headers=headers, raise_server_exceptions=False) as client:
        yield client


def play_events(client: TestClient, path: str, **body: Any) -> list[dict[str, Any]]:
    """The events with which the page Play is answered."""
    answer = client.post(f"/api/play/{path}", json=body)
    assert answer.status_code == 200, answer.text
    return [json.loads(part.removeprefix("data: ")) for part in answer.text.split("\n\n") if part]


@contextmanager
def studio_process(root: Path, *words: str) -> Iterator[tuple[Forked, str]]:
    """A Studio in a process of its own, and its address with the token."""
    command = ("-m", "anew", "studio", "--folder", str(root), "--json", *(words or ("--port", "0")))
    process = Forked(command, os.environ | {"OMP_NUM_THREADS": "1"})
    try:
        line = process.stdout.readline()
        assert line, process.stderr.read()
        yield process, json.loads(line)["address"]
    finally:
        process.kill()
        process.communicate()


def write_run(folder: Path, source: Path, steps: int) -> Path:
    """A copy of a run's record with a log of so many steps, as if it had been trained for long."""
    folder.mkdir(parents=True)
    (folder / "config.json").write_text((source / "config.json").read_text())
    (folder / "model.safetensors").write_bytes((source / "model.safetensors").read_bytes())
    lines = []
    for step in range(1, steps + 1):
        fields = {"step": step, "progress": round(step / steps, 7), "rate": 1.0, "examples": 8 * step, "loss": 3.0 / step**0.3,
                  "grad_norm": 1.0, "seconds": 0.01 * step}  # fmt: skip
        lines.append(json.dumps({"event": "step", "time": 1.7e9 + step, **fields}))
        if step % 500 == 0:
            lines.append(
                json.dumps({"event": "validation", "time": 1.7e9 + step, "step": step, "loss": 3.1 / step**0.3})
            )
    (folder / "events.jsonl").write_text("\n".join(lines) + "\n")
    return folder
