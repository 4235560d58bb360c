"""The thread of a model: queue, cancelled requests, time limits, idle models, faults."""

from __future__ import annotations

import threading
import time
from collections.abc import Hashable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from unittest import mock

import pytest
from starlette.testclient import TestClient

from anew.errors import ConfigError, RunError
from anew.sampling.model import Model
from anew.server.catalog import Catalog
from anew.server.errors import ApiError
from anew.server.limits import MAX_ROWS, Limits
from anew.server.worker import ModelWorker, Task
from server_runs import serving


class FakeChannel:
    def __init__(self) -> None:
        self.events: list[object] = []
        self.is_cancelled = False

    def put(self, event: object) -> None:
        self.events.append(event)

    def cancel(self) -> None:
        self.is_cancelled = True


class FakeTask(Task):
    """Task that waits until it may go on, and notes which others it was carried out with."""

    def __init__(self, key: Hashable = None, size: int = 1, error: Exception | None = None) -> None:
        super().__init__()
        self.channel = FakeChannel()  # type: ignore[assignment]
        self.key, self.size, self.error = key, size, error
        self.may_go_on, self.has_begun, self.has_ended = threading.Event(), threading.Event(), threading.Event()
        self.group: Sequence[Task] = ()

    @property
    def events(self) -> list[object]:
        return self.channel.events  # type: ignore[attr-defined, no-any-return]

    def batch_key(self) -> Hashable:
        return self.key

    def run(self, model: Model, group: Sequence[Task]) -> None:
        self.group = group
        self.has_begun.set()
        assert self.may_go_on.wait(10)
        if self.error is not None:
            raise self.error
        for task in group:
            task.channel.put("done")
        self.has_ended.set()


@pytest.fixture
def worker() -> Iterator[ModelWorker]:
    worker = ModelWorker("toy", lambda: mock.sentinel.model, Limits(queue=4, stop_seconds=5))
    yield worker
    worker.stop()


def busy(worker: ModelWorker) -> FakeTask:
    """A task that the worker is carrying out."""
    task = FakeTask()
    worker.submit([task])
    assert task.has_begun.wait(10)
    return task


def until(condition: object, seconds: float = 5.0) -> bool:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if condition():  # type: ignore[operator]
            return True
        time.sleep(0.01)
    return False


def test_works_of_one_key_are_carried_out_together(worker: ModelWorker) -> None:
    first = busy(worker)
    tasks = [FakeTask("a"), FakeTask("b"), FakeTask("a"), FakeTask("b")]
    worker.submit(tasks)
    for task in tasks:
        task.may_go_on.set()
    first.may_go_on.set()
    assert until(lambda: all(task.events == ["done"] for task in tasks))
    assert tasks[0].group == [tasks[0], tasks[2]] and tasks[1].group == [tasks[1], tasks[3]]


def test_no_more_samples_together_than_allowed(worker: ModelWorker) -> None:
    first = busy(worker)
    tasks = [FakeTask("a", MAX_ROWS), FakeTask("a", MAX_ROWS - 1), FakeTask("a")]
    worker.submit(tasks)
    for task in tasks:
        task.may_go_on.set()
    first.may_go_on.set()
    assert until(lambda: all(task.events == ["done"] for task in tasks))
    assert [len(task.group) for task in tasks] == [1, 2, 0]


def test_a_full_queue_says_when_to_come_back(worker: ModelWorker) -> None:
    first = busy(worker)
    waiting = [FakeTask() for _ in range(4)]
    worker.submit(waiting)
    assert worker.counts() == (1, 4)
    with pytest.raises(ApiError) as refusal:
        worker.submit([FakeTask()])
    assert refusal.value.status == 429 and int(refusal.value.headers["Retry-After"]) >= 1
    for task in (first, *waiting):
        task.may_go_on.set()


def test_a_cancelled_work_leaves_its_place(worker: ModelWorker) -> None:
    first = busy(worker)
    waiting = [FakeTask() for _ in range(4)]
    worker.submit(waiting)
    worker.cancel(waiting[:1])
    last = FakeTask()
    worker.submit([last])
    for task in (first, *waiting, last):
        task.may_go_on.set()
    assert until(lambda: last.events == ["done"])
    assert not waiting[0].has_begun.is_set()


def test_the_queue_is_read_only_under_the_lock(worker: ModelWorker) -> None:
    """A task that is cancelled meanwhile would leave it empty."""

    class Watched(FakeTask):
        def batch_key(self) -> Hashable:
            is_locked.append(worker._changed._is_owned())  # type: ignore[attr-defined]
            return super().batch_key()

    is_locked: list[bool] = []
    task = Watched("a")
    task.may_go_on.set()
    worker.submit([task])
    assert until(lambda: task.events == ["done"])
    assert all(is_locked) and is_locked


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_nothing_waits_for_a_thread_that_is_gone(worker: ModelWorker) -> None:
    class Broken(FakeTask):
        def batch_key(self) -> Hashable:
            raise KeyError("a bug")

    task = Broken()
    worker.submit([task])
    assert until(lambda: bool(task.events))
    (fault,) = task.events
    assert isinstance(fault, ApiError) and fault.status == 503 and "ended by a bug in Anew" in str(fault)
    with pytest.raises(ApiError, match="ended by a bug in Anew"):
        worker.submit([FakeTask()])


def test_faults_name_nothing_of_this_machine(worker: ModelWorker, capsys: pytest.CaptureFixture[str]) -> None:
    errors = [RunError("'/home/me/run' is gone"), ValueError("/home/me"), ConfigError("`top_p` is odd"), MemoryError()]
    tasks = [FakeTask(error=error) for error in errors]
    worker.submit(tasks)
    for task in tasks:
        task.may_go_on.set()
    assert until(lambda: all(task.events for task in tasks))
    faults = [task.events[0] for task in tasks]
    assert all(isinstance(fault, ApiError) and "/home" not in str(fault) for fault in faults)
    assert [fault.status for fault in faults if isinstance(fault, ApiError)] == [500, 500, 400, 503]
    assert "/home/me/run" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "sentence"), [((), "the server is stopping"), (("the run is gone",), "the run is gone")]
)
def test_a_stopped_worker_answers_all_that_wait(arguments: tuple[str, ...], sentence: str) -> None:
    worker = ModelWorker("toy", lambda: mock.sentinel.model, Limits(stop_seconds=5))
    first, waiting = busy(worker), FakeTask()
    worker.submit([waiting])
    threading.Timer(0.1, first.may_go_on.set).start()
    worker.stop(*arguments)
    assert first.events == ["done"]
    (fault,) = waiting.events
    assert isinstance(fault, ApiError) and fault.status == 503 and sentence in str(fault)
    with pytest.raises(ApiError, match=sentence):
        worker.submit([FakeTask()])


def test_an_idle_model_is_forgotten_and_loaded_again() -> None:
    loads: list[int] = []

    def load() -> Model:
        loads.append(1)
        return mock.sentinel.model  # type: ignore[no-any-return]

    with mock.patch("torch.cuda.empty_cache") as release_to_other_programs:
        worker = ModelWorker("toy", load, Limits(idle_seconds=0.1), mock.sentinel.model)
        assert worker.is_loaded
        assert until(lambda: not worker.is_loaded)
        assert until(lambda: release_to_other_programs.called)
    task = FakeTask()
    task.may_go_on.set()
    worker.submit([task])
    assert until(lambda: task.events == ["done"]) and loads == [1]
    worker.stop()


# ---- through a server ----


def ask(client: TestClient, **fields: object) -> int:
    status: int = client.post("/v1/completions", json={"model": "names", "prompt": "an", **fields}).status_code
    return status


def test_an_answer_that_takes_too_long(runs: dict[str, Path]) -> None:
    with serving([runs["book"]], Limits(request_seconds=0.3)) as client:
        body = {"model": "book", "prompt": "the", "max_tokens": 32_000}
        assert client.post("/v1/completions", json=body).status_code == 504
        events = client.post("/v1/completions", json=body | {"stream": True}).text
        assert '"code": "timeout"' in events and events.endswith("data: [DONE]\n\n")
        begin = time.monotonic()  # and the place is free again
        assert client.post("/v1/completions", json=body | {"max_tokens": 1}).status_code == 200
        assert time.monotonic() - begin < 1.0


def test_a_full_queue_through_the_server(runs: dict[str, Path]) -> None:
    with serving([runs["names"]], Limits(queue=1)) as client, ThreadPoolExecutor(8) as pool:
        statuses = set(pool.map(lambda seed: ask(client, prompt=["an", "jo"][: 1 + seed % 2], seed=seed), range(16)))
        assert 429 in statuses and statuses <= {200, 429}


def test_all_models_are_told_to_stop_before_one_is_waited_for() -> None:
    calls: list[str] = []
    worker = SimpleNamespace(request_stop=lambda: calls.append("told"), stop=lambda: calls.append("waited for"))
    catalog = Catalog([], "cpu", False, Limits())
    catalog._entries = {name: SimpleNamespace(worker=worker) for name in "ab"}  # type: ignore[misc]
    catalog.stop()
    assert calls == ["told", "told", "waited for", "waited for"]


def test_two_runs_of_one_name(runs: dict[str, Path], tmp_path: Path) -> None:
    link = tmp_path / "names"
    link.mkdir()
    with pytest.raises(ConfigError, match="two of `runs` are called 'names'"):
        Catalog([runs["names"], link], "cpu", False, Limits())
