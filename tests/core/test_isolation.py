"""The worker that decodes: what brings it down costs one item."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from anew.core import isolation
from anew.core.isolation import Worker
from anew.errors import DataError
from decoders import Native, acted, item


@pytest.fixture
def worker(monkeypatch: pytest.MonkeyPatch) -> Iterator[Worker]:
    monkeypatch.setattr(isolation, "SECONDS", 0.5)
    monkeypatch.setattr(isolation, "MAX_MEMORY_BYTES", 1 << 28)
    worker_process = Worker()
    yield worker_process
    worker_process.close()


def run(worker: Worker, *words: str) -> list[Any]:
    return worker.run(acted, None, list(words))


def test_values_come_back_as_they_are(worker: Worker) -> None:
    results = worker.run(acted, None, ["array", "text", "none"])
    assert np.array_equal(results[0], np.arange(6, dtype=np.int16).reshape(2, 3)) and results[0].dtype == np.int16
    assert results[1:] == ["text", None]


@pytest.mark.parametrize(
    ("word", "reason"),
    [
        ("crash", r"brings its decoder down \(SIGSEGV\)"),
        ("abort", r"brings its decoder down \(SIGABRT\)"),
        ("leave", r"brings its decoder down \(exit code 3\)"),
        ("hang", "takes more than 0.5 s"),
        ("spin", "takes more than 0.5 s"),
        ("grow", "more memory"),
        ("odd", r"cannot be decoded \(KeyError: 'odd'\)"),
        ("refuse", "^it is odd$"),
    ],
)
@pytest.mark.skipif(sys.platform == "win32", reason="signals")
def test_only_the_item_that_crashes_is_lost(worker: Worker, word: str, reason: str) -> None:
    results = run(worker, "a", "b", word, "c")
    assert isinstance(results[2], ValueError)
    with pytest.raises(ValueError, match=reason):
        raise results[2]
    assert [results[0], results[1], results[3]] == ["a", "b", "c"]
    assert run(worker, "d") == ["d"]


def test_two_items_that_crash_are_separated(worker: Worker) -> None:
    results = run(worker, "crash", "a", "leave", "b")
    assert results[1::2] == ["a", "b"] and all(isinstance(result, ValueError) for result in results[::2])


def test_what_was_answered_before_a_crash_is_not_done_again(
    worker: Worker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = ("import sys; sys.path[:] = sys.argv[1:]", "import anew.core.isolation as i; i.ANSWER_SECONDS = 0.0")
    monkeypatch.setattr(isolation, "_WORKER_PROGRAM", (*lines, *isolation._WORKER_PROGRAM))
    marks = tmp_path / "marks"
    results = run(worker, f"mark {marks} a", f"mark {marks} b", "crash", f"mark {marks} c")
    assert [type(result) for result in results] == [str, str, ValueError, str]
    assert marks.read_text() == "abc"


def test_results_that_refer_to_their_own_parts_are_not_mixed(worker: Worker) -> None:
    results = run(worker, *(f"twice {number}" for number in range(40)))
    for number, (first, second, array) in enumerate(results):
        assert first == second == f"part {number}" and array.dtype == np.uint8 and array.tolist() == [number] * 3
    assert [type(result) for result in run(worker, "twice 1", "a", "twice 2")] == [tuple, str, tuple]


@pytest.mark.parametrize("max_bytes", [1, 1 << 25])
def test_arrays_of_any_size_come_back_in_order(worker: Worker, monkeypatch: pytest.MonkeyPatch, max_bytes: int) -> None:
    lines = (
        "import sys; sys.path[:] = sys.argv[1:]",
        f"import anew.core.isolation as i; i.ANSWER_BYTES = {max_bytes}",
    )
    monkeypatch.setattr(isolation, "_WORKER_PROGRAM", (*lines, *isolation._WORKER_PROGRAM))
    sizes = [0, 1, 100, 5000, 300_000, 7]
    results = worker.run(acted, None, [f"zeros {size}" for size in sizes])
    assert [(len(result), result.flags.writeable, int(result.sum())) for result in results] == [
        (size, True, 0) for size in sizes
    ]


@pytest.mark.skipif(sys.platform == "win32", reason="signals")
def test_timers_end_it_where_their_signals_are_ignored(worker: Worker) -> None:
    before = [signal.signal(number, signal.SIG_IGN) for number in (signal.SIGALRM, signal.SIGPROF)]
    try:
        results = run(worker, "spin", "hang", "a")
    finally:
        for number, handler in zip((signal.SIGALRM, signal.SIGPROF), before, strict=True):
            signal.signal(number, handler)
    assert all("takes more than" in str(result) for result in results[:2]) and results[2] == "a"


def test_errors_of_ours_are_raised(worker: Worker) -> None:
    with pytest.raises(DataError, match="ours"):
        run(worker, "a", "ours")
    assert run(worker, "a") == ["a"]


def test_what_libraries_print_goes_nowhere(worker: Worker, capfd: pytest.CaptureFixture[str]) -> None:
    assert run(worker, "print") == ["print"]
    out, err = capfd.readouterr()
    assert out == err == ""


def test_an_answer_may_not_run_anything(worker: Worker) -> None:
    with pytest.raises(Exception, match="may not answer"):
        run(worker, "pickle")


def test_a_system_that_refuses_wide_pipes_loses_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    fcntl = pytest.importorskip("fcntl")

    def refuse(*arguments: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(fcntl, "fcntl", refuse)
    narrow = Worker()
    assert run(narrow, "a") == ["a"]
    narrow.close()


@pytest.mark.skipif(not hasattr(signal, "SIGRTMIN"), reason="real-time signals")
def test_a_decoder_ended_by_a_signal_without_a_name_costs_its_item(worker: Worker) -> None:
    assert worker._cause_of_death(-40) == "it brings its decoder down (signal 40)"


def test_killed_from_outside_it_is_started_again(worker: Worker) -> None:
    pid = worker.run(acted, None, ["pid"])[0]
    os.kill(pid, signal.SIGKILL)
    assert run(worker, "a", "b") == ["a", "b"]
    assert worker.run(acted, None, ["pid"])[0] != pid


def test_threads_share_it(worker: Worker) -> None:
    results: dict[int, list[Any]] = {}

    def ask(number: int) -> None:
        results[number] = run(worker, *(f"{number}-{i}" for i in range(20)))

    threads = [threading.Thread(target=ask, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == {n: [f"{n}-{i}" for i in range(20)] for n in range(8)}


def test_an_interrupted_question_leaves_no_answer_behind(worker: Worker, monkeypatch: pytest.MonkeyPatch) -> None:
    run(worker, "a")

    def interrupted(pipe: Any, max_results: int) -> list[Any]:
        raise KeyboardInterrupt

    with monkeypatch.context() as context:
        context.setattr(isolation, "received", interrupted)
        with pytest.raises(KeyboardInterrupt):
            run(worker, "b")
    assert run(worker, "c") == ["c"]


def test_one_that_does_not_start_says_so(worker: Worker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(isolation, "_WORKER_PROGRAM", ("raise RuntimeError('odd')",))
    with pytest.raises(Exception, match=r"does not start.*odd"):
        run(worker, "a")


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    stat = Path(f"/proc/{pid}/stat")
    return not stat.exists() or stat.read_text().rsplit(")", 1)[1].split()[0] != "Z"


@pytest.mark.skipif(sys.platform == "win32", reason="signals")
@pytest.mark.parametrize("end", ["pass", "os.kill(os.getpid(), 9)", "os._exit(0)"])
def test_it_ends_with_its_parent(end: str) -> None:
    program = (
        f"import os, sys; sys.path[:0] = {[str(Path(__file__).parents[1])]!r}\n"
        "from anew.core import isolation; from decoders import acted\n"
        f"print(isolation._worker.run(acted, None, ['pid'])[0], flush=True); {end}"
    )
    completed = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)
    assert completed.stderr == ""
    pid, late = int(completed.stdout), time.monotonic() + 10.0
    while alive(pid) and time.monotonic() < late:
        time.sleep(0.02)
    assert not alive(pid)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork")
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_fork_has_one_of_its_own(worker: Worker) -> None:
    pid = worker.run(acted, None, ["pid"])[0]
    child = os.fork()
    if not child:
        own = worker.run(acted, None, ["pid"])[0]
        worker.close()
        os._exit(0 if own != pid else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert worker.run(acted, None, ["pid"])[0] == pid


def test_every_method_of_a_modality_passes_it() -> None:
    modality = Native(None)
    words = ["a", "crash", "b"]
    encoded = modality.encode_many([item(word) for word in words])
    assert encoded[::2] == ["a", "b"] and "decoder down" in str(encoded[1])
    results = list(isolation.each(modality.expand, [item("a"), item("crash")]))
    assert results[0] == ["a", "a"] and isinstance(results[1], ValueError)
    arrays = [item(np.zeros(3)) for _ in range(2)]
    assert list(isolation.each(modality.where, arrays)) == [os.getpid()] * 2  # nothing to decode
    assert next(isolation.each(modality.where, [item("a")])) != os.getpid()


def test_pieces_are_bounded_by_number_and_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(isolation, "BATCH_BYTES", 100)
    assert [len(batch) for batch in isolation.batches([item(b"x")] * 140)] == [100, 40]
    assert [len(batch) for batch in isolation.batches([item(b"x" * 50)] * 5)] == [2, 2, 1]
