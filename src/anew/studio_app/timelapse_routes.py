"""Routes of the Studio for the timelapse of a training run, its copying test, and excerpts of source code."""

from __future__ import annotations

import ast
import threading
from dataclasses import asdict
from functools import cache
from pathlib import Path

from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from anew.errors import RunError
from anew.runs import snapshots, timelapse
from anew.server.errors import ApiError, bad_request
from anew.studio_app.run_summary import copying_test
from anew.studio_app.studio import Studio

PACKAGE_FOLDER = Path(__file__).parents[1]
_parsing = threading.Lock()  # Python 3.11 may raise SystemError where two threads parse at once
EXCERPTS = {  # name: file below the package, and the function in it
    "noise": ("functional/ode.py", "multistep"),
    "discriminator": ("functional/adversarial.py", "relativistic_loss"),
    "map": ("families/vae/family.py", "Vae.loss"),
    "attention": ("nets/attention.py", "attention_weights"),
    "cutoffs": ("functional/token_choice.py", "filter_probabilities"),
    "plane": ("functional/plane.py", "principal_components"),
    "copies": ("evaluation/memorization/copying_test.py", "scan"),
}


@cache
def source_lines(name: str) -> dict[str, object]:
    """One of EXCERPTS, as JSON values: file, number of the first line, and text without the docstring."""
    path, qualified = EXCERPTS[name]
    text = (PACKAGE_FOLDER / path).read_text(encoding="utf-8")
    with _parsing:
        node: ast.AST = ast.parse(text)
    for part in qualified.split("."):
        node = next(child for child in ast.iter_child_nodes(node) if getattr(child, "name", None) == part)
    assert isinstance(node, ast.FunctionDef)
    lines = text.splitlines()[node.lineno - 1 : node.end_lineno]
    first = node.body[0]
    if ast.get_docstring(node) is not None and first.end_lineno is not None:
        start, stop = first.lineno - node.lineno, first.end_lineno - node.lineno + 1
        lines = lines[:start] + lines[stop:]
    return {"file": f"anew/{path}", "line": node.lineno, "name": qualified, "text": "\n".join(lines)}


def add_timelapse(app: FastAPI, studio: Studio) -> None:
    """Add the routes."""

    @app.get("/api/timelapse")
    def frames(request: Request) -> Response:
        try:
            path = studio.run(request.query_params.get("run", ""))
        except ApiError as error:
            if error.status != 404:
                raise
            # A job that is queued, or has just begun, has no folder yet
            return JSONResponse({"steps": [], "weights": []})
        weights = [asdict(snapshot) for snapshot in snapshots.snapshots(path)]
        return JSONResponse({"steps": timelapse.FRAMES.steps(path), "weights": weights})

    @app.get("/api/timelapse/frame")
    def frame(request: Request) -> Response:
        path = studio.run(request.query_params.get("run", ""))
        text = request.query_params.get("step", "")
        if text and not (text.isascii() and text.isdecimal() and len(text) <= 15):
            raise bad_request("'step' must be the number of a frame")
        try:
            data = timelapse.read(path, int(text) if text else None)
        except RunError as error:
            raise ApiError(404, str(error)) from None
        return Response(data, media_type="application/octet-stream")

    @app.get("/api/copies")
    def copies(request: Request) -> Response:
        path = studio.run(request.query_params.get("run", ""))
        return JSONResponse(_copies(path))

    @app.get("/api/source")
    def source(request: Request) -> Response:
        name = request.query_params.get("name", "")
        if name not in EXCERPTS:
            raise ApiError(404, "unknown excerpt of the source code")
        return JSONResponse(source_lines(name))


def _copies(run: Path) -> dict[str, object]:
    """The copying test of a run, and whether the run has a report."""
    return copying_test(run) | {"has_report": (run / "report" / "report.html").is_file()}
