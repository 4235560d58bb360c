"""Small runs to serve, one of each sort, and a client of a server in this process."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

from starlette.testclient import TestClient

import anew
from anew.server.app import ServerOptions, make_app
from anew.server.catalog import Catalog
from anew.server.limits import Limits
from anew.server.listening import Server, listen
from samples import TINY, clips, names, prose, sequences, shapes, tones

SMALL: dict[str, Any] = {"width": 8, "batch_size": 8}  # settings of a small network of grids
DATA: dict[str, tuple[Callable[[Path], Path], dict[str, Any]]] = {
    "book": (lambda place: prose(place / "book.txt", 500), TINY | {"tokens": "characters"}),
    "names": (lambda place: names(place / "names.txt", 400), TINY),
    "words": (lambda place: prose(place / "words.txt", 500), TINY | {"tokens": "bpe", "vocab": 400}),
    "proteins": (lambda place: sequences(place / "seq.fasta", 200), TINY | {"labels": "organism", "direction": "both"}),
    "shapes": (lambda place: shapes(place / "shapes", 120), SMALL),
    "tones": (lambda place: tones(place / "tones", 24), SMALL),
    "clips": (lambda place: clips(place / "clips", 12), SMALL),
}
MAKE_PROGRAM = "def f{0}(x):\n    return x + {0}\n\n\n"


def _programs(place: Path) -> Path:
    place.mkdir()
    for index in range(8):
        (place / f"{index}.py").write_text("".join(MAKE_PROGRAM.format(index * 100 + i) for i in range(60)))
    return place


DATA["programs"] = (lambda place: _programs(place / "programs"), TINY | {"fim": 0.5, "context": 64})


def train_runs(place: Path) -> dict[str, Path]:
    """Runs by the name of their sort, trained for a moment."""
    folders = {}
    for name, (make, settings) in DATA.items():
        folders[name] = place / "runs" / name
        with mock.patch("anew.workflows.train.evaluate_run", lambda *arguments, **keywords: None):
            steps = 2 if settings is SMALL else 8
            anew.train(make(place), folders[name], steps=steps, settings=settings | {"previews": 0})
    return folders


@contextmanager
def serving(
    runs: list[Path],
    limits: Limits | None = None,
    keys: tuple[str, ...] = (),
    chats: bool = False,
    origins: tuple[str, ...] = (),
) -> Iterator[TestClient]:
    """A client of a server of these runs."""
    limits = limits or Limits()
    catalog = Catalog(runs, "cpu", False, limits)
    app = make_app(catalog, limits, ServerOptions(keys=keys, chats=chats, origins=origins))
    try:
        with TestClient(app, base_url="http://127.0.0.1:8000", raise_server_exceptions=False) as client:
            yield client
    finally:
        catalog.stop()


@contextmanager
def listening(runs: list[Path], limits: Limits | None = None, chats: bool = False) -> Iterator[str]:
    """The address of such a server, for clients that want a socket."""
    limits = limits or Limits()
    catalog = Catalog(runs, "cpu", False, limits)
    app = make_app(catalog, limits, ServerOptions(chats=chats))
    with socket.create_server(("127.0.0.1", 0)) as opened:
        server = Server(app, "warning", stop_seconds=1)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [opened]})
        thread.start()
        try:
            yield f"http://127.0.0.1:{opened.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join()
            catalog.stop()


@contextmanager
def answering(app: Any) -> Iterator[tuple[str, int]]:
    """The address of a server of an app in this process."""
    with listen("127.0.0.1", 0) as opened:
        server = Server(app, "error", stop_seconds=1)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [opened]})
        thread.start()
        try:
            yield opened.getsockname()
        finally:
            server.should_exit = True
            thread.join(10)
