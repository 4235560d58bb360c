"""The verbs, called from Python: what they refuse before anything is touched."""

from __future__ import annotations

import functools
import http.server
import json
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

import anew
from anew.core.exit_codes import STOPPED
from anew.core.stores import addresses
from anew.core.stores.addresses import with_retries
from anew.errors import DataError
from samples import TINY, names, trained


def begun(tmp_path: Path, data: Path) -> Path:
    """A run that was stopped before its plan was made."""
    run = tmp_path / "run"
    run.mkdir()
    request = {"data": str(data), "budget": None, "steps": 3, "family": None, "modality": None, "prefer": "quality",
               "seed": 0, "settings": {"evaluate_samples": "4", **{key: str(value) for key, value in TINY.items()}}}  # fmt: skip
    (run / "config.json").write_text(json.dumps({"request": request, "format": 1, "status": "begun"}))
    return run


@pytest.mark.parametrize("steps", [0, -3])
def test_a_run_that_has_only_begun_checks_its_steps(steps: int, tmp_path: Path) -> None:
    run = begun(tmp_path, names(tmp_path / "names.txt"))
    before = (run / "config.json").read_bytes()
    with pytest.raises(anew.ConfigError, match=r"steps=-?\d is out of range; give 1 to"):
        anew.resume(run, steps=steps)
    assert (run / "config.json").read_bytes() == before and not (run / "model.safetensors").exists()


def test_a_store_that_fails_while_a_run_is_continued_may_be_back_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A launcher that starts a training again took it for a mistake (exit code 2), and gave up."""

    def fail(*words: object) -> None:
        with_retries(lambda: (_ for _ in ()).throw(ConnectionResetError()), "s3://bucket/names")

    run = begun(tmp_path, names(tmp_path / "names.txt"))
    monkeypatch.setattr(addresses, "RETRY_S", 0.0)
    monkeypatch.setattr("anew.workflows.train.new_run", fail)
    with pytest.raises(DataError, match="'s3://bucket/names' cannot be read") as caught:
        anew.resume(run)
    assert caught.value.exit_code == STOPPED


def test_moved_data_is_said_and_then_remembered(tmp_path: Path) -> None:
    for place in ("one", "two", "three"):
        (tmp_path / place).mkdir()
    data, moved, again = (tmp_path / place / "names.txt" for place in ("one", "two", "three"))
    run = begun(tmp_path, names(data, 300))
    data.rename(moved)
    with pytest.raises(anew.DataError, match=r"no longer at .*names.txt'; give its new place as `data`"):
        anew.resume(run)
    anew.resume(run, data=moved)
    moved.rename(again)
    with pytest.raises(anew.DataError, match="give its new place as `data`"):
        anew.resume(run, steps=4)
    anew.resume(run, steps=4, data=again)
    assert json.loads((run / "config.json").read_text())["data"]["path"] == "../three/names.txt"
    anew.evaluate(run, 4)
    other = names(tmp_path / "other.txt", seed=5)
    with pytest.raises(anew.DataError, match="give the same, unchanged files"):
        anew.evaluate(run, 4, data=other)


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *args: object) -> None:
        pass


def test_data_that_moved_to_a_signed_address_is_found_again_without_its_key(tmp_path: Path) -> None:
    pytest.importorskip("aiohttp")
    (tmp_path / "web").mkdir()
    data = names(tmp_path / "names.txt", 300)
    run = begun(tmp_path, data)
    anew.resume(run)
    data.rename(tmp_path / "web" / "names.txt")
    handler = functools.partial(_Quiet, directory=str(tmp_path / "web"))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        address = f"http://127.0.0.1:{server.server_port}/names.txt"
        anew.resume(run, steps=4, data=f"{address}?signature=topsecret")
        anew.resume(run, steps=5)
        server.shutdown()
    assert json.loads((run / "config.json").read_text())["data"]["path"] == address
    assert not any(b"topsecret" in path.read_bytes() for path in run.rglob("*") if path.is_file())


def test_a_run_and_its_data_move_together_and_config_names_no_folder_outside(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home, elsewhere = tmp_path / "home", tmp_path / "elsewhere"
    home.mkdir()
    names(home / "names.txt", 300)
    monkeypatch.chdir(home)
    settings = {"evaluate_samples": 4, **TINY}
    anew.train("names.txt", "runs/first", steps=3, settings=settings)
    monkeypatch.chdir(tmp_path)
    anew.train("home/names.txt", "home/runs/again", plan="home/runs/first", settings={"evaluate_samples": 4})
    home.rename(elsewhere)
    for name in ("first", "again"):
        run = elsewhere / "runs" / name
        assert str(tmp_path) not in (run / "config.json").read_text()
        assert anew.load(run).record.data.path == str(elsewhere / "names.txt")
    anew.resume("elsewhere/runs/first", steps=4)
    monkeypatch.chdir(elsewhere)
    anew.evaluate("runs/again", 4)


def test_a_mistyped_path_names_the_folder_that_is_there(tmp_path: Path) -> None:
    with pytest.raises(anew.DataError, match=rf"does not exist in the folder '{tmp_path}'"):
        anew.look(tmp_path / "no" / "such")


def test_what_is_no_path_is_said(tmp_path: Path) -> None:
    data = names(tmp_path / "names.txt")
    with pytest.raises(anew.ConfigError, match="`run` must be a path"):
        anew.train(data, 5)  # type: ignore[arg-type]
    with pytest.raises(anew.ConfigError, match="`run` must be a path"):
        anew.resume(None)  # type: ignore[arg-type]


REFUSED = """
import sys
import anew
from anew.api.training import load_for

anew.settings()
for refused in (
    lambda: anew.train("names.txt", "run", settings={"steps_": 3}),
    lambda: anew.train("names.txt", "run", family="gna"),
    lambda: anew.look("names.txt", settings={"vocabulary": 3}),
    lambda: anew.load("no-run"),
    lambda: load_for("run", label="C", trust_code=False),
    lambda: load_for("run", settings={"temprature": 1}, trust_code=False),
):
    try:
        refused()
    except anew.UserError as error:
        print(error)
    else:
        sys.exit("not refused")
sys.exit("torch" in sys.modules)
"""


def test_what_is_misspelt_is_refused_without_pytorch(tmp_path: Path) -> None:
    for label in "AB":
        names(tmp_path / "names" / label / "names.txt")
    trained(tmp_path / "names", tmp_path / "run", steps=1, settings=TINY)
    names(tmp_path / "names.txt")
    command = [sys.executable, "-c", REFUSED]
    completed = subprocess.run(command, cwd=tmp_path, check=False, capture_output=True, text=True)
    assert completed.returncode == 0, completed.stderr
    for sentence in ("unknown setting 'steps_'", "family 'gna'", "did you mean 'vocab'", "label", "did you mean 'temp"):
        assert sentence in completed.stdout


@pytest.mark.parametrize(
    "call",
    [
        "look('no/data')",
        "train('no/data', 'run')",
        "score('run', 'no/data')",
        "loaded_together('run', False, n=0, request={}).__enter__()",
    ],
)
def test_a_mistyped_path_and_a_wrong_count_are_refused_without_pytorch(call: str, tmp_path: Path) -> None:
    """It took 13 s on busy cores."""
    code = f"""
import sys
from anew import api
from anew.errors import UserError
try:
    api.{call}
except UserError:
    sys.exit('torch' in sys.modules)
"""
    (tmp_path / "no").mkdir()
    result = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=False)
    assert result.returncode == 0 and not (tmp_path / "run").exists()


def test_a_budget_that_loading_uses_up_ends_then_and_leaves_no_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Slow:
        def find_spec(self, name: str, *_: object) -> None:
            if name == "anew.workflows.train":
                time.sleep(30.0)

    monkeypatch.setattr(sys, "meta_path", [Slow(), *sys.meta_path])
    monkeypatch.delitem(sys.modules, "anew.workflows.train", raising=False)
    begin = time.monotonic()
    with pytest.raises(anew.BudgetError, match="was over before PyTorch was loaded"):
        anew.train(names(tmp_path / "names.txt"), tmp_path / "run", budget=60.0, started=begin - 59.7)
    assert time.monotonic() - begin < 10.0 and not (tmp_path / "run").exists()


MISTAKES = """
import sys
from anew.cli import main
run = sys.argv[1]
for words in (
    ["serve", "nowhere"],
    ["serve", run, "--host", "0.0.0.0"],
    ["serve", run, "--allow-origin", "x"],
    ["export", run, "--to", "html", "--out", "page"],
    ["evaluate", run, "--fail-on", "coverage=0.8"],
    ["evaluate", run, "--fail-on", "coverag<0.8"],
):
    assert main(words) == 2, words
sys.exit("torch" in sys.modules or "fastapi" in sys.modules)
"""


def test_mistakes_are_refused_before_anything_heavy_is_imported(tmp_path: Path) -> None:
    run = tmp_path / "run"
    run.mkdir()
    (run / "config.json").write_text("{}")
    completed = subprocess.run([sys.executable, "-c", MISTAKES, str(run)], capture_output=True, text=True, timeout=60)
    assert completed.returncode == 0, completed.stderr
    assert completed.stderr.count("anew: ") == 6
