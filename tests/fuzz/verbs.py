"""What is done with a run folder of a stranger: every verb, in this process, with as little work as it can be given.

Each takes a place with `run` (altered), `clean` (the same run, not altered), `data` (of both), `other` (data like it) and `out`.
An AnewError is an answer; any other exception is a fault.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path

from starlette.testclient import TestClient

import anew
from anew.core.registry import available
from anew.server.app import make_app as server_app
from anew.server.catalog import Catalog
from anew.server.limits import Limits
from anew.studio_app.app import make_app as studio_app
from anew.studio_app.start_folder import StartFolder
from anew.studio_app.studio import Studio

N = 20  # samples that are measured: the fewest that can be
TOKEN = "t" * 43
Verb = Callable[[Path], None]


class ServerFault(Exception):
    """A server answered that the fault is its own."""


def look(place: Path) -> None:
    str(anew.look(place / "run"))


def sample(place: Path) -> None:
    anew.load(place / "run", "cpu").sample(2).save(place / "out" / "samples")


def again(place: Path) -> None:
    for file in sorted((place / "run" / "samples").glob("*"))[:3]:
        anew.again(file, place / "run", device="cpu")


def walk(place: Path) -> None:
    anew.walk(place / "run", 3, stops=2).save(place / "out" / "walk")


def score(place: Path) -> None:
    anew.load(place / "run", "cpu").score(place / "other", limit=50)


def export(place: Path, target: str) -> None:
    anew.export(place / "run", target, place / "out" / f"export-{target}")


def _answers(client: TestClient, method: str, path: str, body: object = None) -> None:
    answer = client.request(method, path, json=body)
    if answer.status_code >= 500 and answer.status_code != 503:
        raise ServerFault(f"{method} {path}: {answer.status_code} {answer.text[:200]}")


def serve(place: Path) -> None:
    limits = Limits()
    catalog = Catalog([place / "run"], "cpu", False, limits)
    app = server_app(catalog, limits, "127.0.0.1", (), True)
    with TestClient(app, base_url="http://127.0.0.1:8000", raise_server_exceptions=False) as client:
        _answers(client, "GET", "/v1/models")
        _answers(client, "POST", "/v1/completions", {"model": "run", "prompt": "a", "max_tokens": 3})
        _answers(client, "POST", "/v1/samples", {"model": "run", "n": 1})
        _answers(client, "POST", "/v1/images/generations", {"model": "run", "prompt": "", "n": 1})
        _answers(client, "POST", "/v1/score", {"model": "run", "input": ["the river"]})
    catalog.stop()


def studio(place: Path) -> None:
    folder = StartFolder(place)
    folder.make_state()
    headers = {"X-Anew-Studio": "1", "Authorization": f"Bearer {TOKEN}"}
    app = studio_app(Studio(folder, []), "127.0.0.1", 8686, TOKEN)
    with TestClient(app, base_url="http://127.0.0.1:8686", headers=headers, raise_server_exceptions=False) as client:
        for path in ("runs", "run?run=run", "curves?run=run", "report?run=run", "play/about?run=run"):
            _answers(client, "GET", f"/api/{path}")
        _answers(client, "GET", "/api/sheet?run=run&file=final.png")
        _answers(client, "POST", "/api/play/sample", {"run": "run", "n": 1, "seed": 0})
        _answers(client, "POST", "/api/play/tokens", {"run": "run", "seed": 0, "max_tokens": 3})


def evaluate(place: Path) -> None:
    anew.evaluate(place / "run", n=N)


def resume(place: Path) -> None:
    anew.resume(place / "run")


def resume_longer(place: Path) -> None:
    anew.resume(place / "run", steps=3)


def compare(place: Path) -> None:
    anew.compare(out=place / "out" / "compare", runs=[place / "run", place / "clean"], n=N)


def replay(place: Path) -> None:
    anew.train(place / "other", place / "out" / "replay", plan=place / "run", settings={"evaluate_samples": "1"})


SHORT: dict[str, Verb] = {
    "look": look, "sample": sample, "sample --again": again, "walk": walk, "score": score, "serve": serve, "studio": studio,
    **{f"export {name}": functools.partial(export, target=name) for name in available("exporting") if name not in ("onnx", "html")},
}  # fmt: skip
LONG: dict[str, Verb] = {
    "evaluate": evaluate, "resume": resume, "resume --steps": resume_longer, "compare --runs": compare, "train --plan": replay,
    "export onnx": functools.partial(export, target="onnx"), "export html": functools.partial(export, target="html"),
}  # fmt: skip
