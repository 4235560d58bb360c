"""A process that fails, falls silent or dies ends the others, with one sentence from one of them."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from anew.core.exit_codes import STOPPED, USER_ERROR
from anew.core.processes import monitor as module
from anew.core.processes.monitor import Monitor
from anew.errors import ProcessError


class Shelf:
    """A store of this process."""

    def __init__(self) -> None:
        self.values: dict[str, bytes] = {}

    def set(self, key: str, value: str) -> None:
        self.values[key] = value.encode()

    def multi_get(self, keys: list[str]) -> list[bytes]:
        return [self.values[key] for key in keys]


@pytest.fixture
def pair(monkeypatch: pytest.MonkeyPatch) -> tuple[Monitor, Monitor]:
    """The first of two processes and the second one, on machines of different names."""
    monkeypatch.setattr(module, "BEAT_S", 0.02)
    monkeypatch.setattr(module, "SUSPECT_S", 0.2)
    monkeypatch.setattr(module, "LEAVING_S", 0.2)
    monkeypatch.setattr(os, "_exit", lambda code: None)  # else it would end the process that tests
    monkeypatch.setenv("LOCAL_RANK", "0")
    shelf = Shelf()
    monitors = Monitor(shelf, 0, 2, "hosta", "namespacea"), Monitor(shelf, 1, 2, "hostb", "namespaceb")
    for monitor in monitors:
        monitor.announce()
    return monitors


def leave(*monitors: Monitor) -> None:
    for monitor in monitors:
        monitor.leave()


def within(seconds: float, condition: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + seconds
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.01)
    return condition()


def fails(monitor: Monitor) -> bool:
    try:
        monitor.check()
    except ProcessError:
        return True
    return False


def test_two_that_live_leave_in_peace(pair: tuple[Monitor, Monitor]) -> None:
    main, other = pair
    main.start()
    other.start()
    time.sleep(0.2)
    main.check()
    other.check()
    main.leave()
    other.wait_for_main()
    other.leave()
    assert not fails(main) and not fails(other)


class SlowShelf(Shelf):
    """A store that takes long for one message of a background thread, once it is armed."""

    def __init__(self) -> None:
        super().__init__()
        self.is_armed = False
        self.is_busy, self.may_go_on = threading.Event(), threading.Event()

    def set(self, key: str, value: str) -> None:
        if self.is_armed and threading.current_thread() is not threading.main_thread():
            self.is_armed = False
            self.is_busy.set()
            self.may_go_on.wait(5)
        super().set(key, value)


def test_the_last_message_says_that_a_process_has_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "BEAT_S", 0.02)
    shelf = SlowShelf()
    main, other = Monitor(shelf, 0, 2, "hosta", "namespacea"), Monitor(shelf, 1, 2, "hostb", "namespaceb")
    main.announce()
    other.announce()
    other.start()
    shelf.is_armed = True
    assert shelf.is_busy.wait(3)  # an older message is under way
    timer = threading.Timer(0.1, shelf.may_go_on.set)
    timer.start()
    other.leave()
    timer.join()
    assert json.loads(shelf.values["beat/1"])["left"] is True


def test_a_failure_ends_the_others_and_the_main_process_says_it(pair: tuple[Monitor, Monitor]) -> None:
    main, other = pair
    main.start()
    other.start()
    assert not other.fail("there is no data")
    with pytest.raises(ProcessError, match="there is no data") as raised:
        main.check()
    assert raised.value.exit_code == USER_ERROR and raised.value.is_reported is False
    leave(main, other)


def test_the_reason_is_said_if_the_launcher_interrupts_the_process_that_was_about_to_say_it(
    pair: tuple[Monitor, Monitor],
) -> None:
    main, other = pair
    main.start()
    other.start()
    other.fail("there is no data")
    assert within(5.0, lambda: fails(main))
    error = main.reason()  # as `together` asks on the KeyboardInterrupt that has replaced the error
    assert error is not None and str(error) == "there is no data" and not error.is_reported
    leave(main, other)


def test_the_reason_is_said_if_the_process_that_was_about_to_say_it_does_not_end(
    pair: tuple[Monitor, Monitor], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    main, other = pair
    monkeypatch.setattr(module, "GRACE_S", 0.1)
    main.start()
    other.start()
    other.fail("there is no data")
    assert within(5.0, lambda: fails(main))
    outputs: list[str] = []
    assert within(5.0, lambda: bool(outputs.append(capsys.readouterr().err) or "".join(outputs)))  # type: ignore[func-returns-value]
    assert "".join(outputs) == "anew: there is no data\n"
    leave(main, other)


def test_a_failure_of_the_main_process_is_said_by_itself_alone(pair: tuple[Monitor, Monitor]) -> None:
    main, other = pair
    main.start()
    other.start()
    assert main.fail("the disk is full")
    assert within(5.0, lambda: fails(other))
    with pytest.raises(ProcessError, match="the disk is full") as raised:
        other.check()
    assert raised.value.is_reported is True
    leave(main, other)


def test_a_silent_process_is_blamed_where_a_connection_broke(pair: tuple[Monitor, Monitor]) -> None:
    main, _ = pair
    main.start()
    error = main.explain("closed by peer")
    assert str(error).startswith("process 1 on 'hostb' has ended without saying why; repeat the command")
    assert error.exit_code == STOPPED and not error.is_reported
    leave(main)


def test_one_that_is_stopped_names_a_process_that_was_killed(pair: tuple[Monitor, Monitor]) -> None:
    main, other = pair
    main.start()
    other.start()
    assert main.reason() is None
    other._has_ended.set()  # its heartbeat stops
    error = main.reason()
    assert str(error).startswith("process 1 on 'hostb' has ended without saying why") and error is not None
    assert error.exit_code == STOPPED and not error.is_reported
    leave(main)


def test_one_that_is_late_is_named(pair: tuple[Monitor, Monitor]) -> None:
    main, other = pair
    main.start()
    other.start()
    main.count_call()
    assert "process 1 on 'hostb' did not reach" in str(main.explain("timed out"))
    leave(main, other)


def test_a_process_that_died_on_this_machine_is_known_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    peer = module.Peer(1)
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    namespace = module.pid_namespace()
    peer.update({"host": "hosta", "pid_namespace": namespace, "pid": child.pid})
    assert not peer.is_dead(namespace)
    child.kill()
    assert within(5.0, lambda: peer.is_dead(namespace))  # even before it is waited for
    child.communicate()
    assert peer.is_dead(namespace) and not peer.is_dead("another") and not peer.is_dead("")
    peer.update({"host": "hosta", "pid_namespace": namespace, "pid": child.pid, "left": True})
    assert not peer.is_dead(namespace)


@pytest.mark.skipif(not Path("/proc/self/ns/pid").exists(), reason="without namespaces of processes")
def test_a_process_of_another_container_that_has_the_same_host_name_is_not_dead(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    peer = module.Peer(1)
    here = module.pid_namespace()
    link = os.readlink
    monkeypatch.setattr(os, "readlink", lambda path: "pid:[1]" if path == "/proc/self/ns/pid" else link(path))
    elsewhere = module.pid_namespace()
    peer.update({"host": socket.gethostname(), "pid_namespace": elsewhere, "pid": 2**22 + 1})  # no number of a process
    assert peer.is_dead(elsewhere) and not peer.is_dead(here)


def test_one_that_is_stopped_as_its_launcher_has_ended_blames_nobody(
    pair: tuple[Monitor, Monitor], monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the launcher its store had gone, and a living process was said to have ended."""
    main, other = pair
    main.start()
    for monitor in pair:
        monkeypatch.setattr(monitor, "_parent", -1)
    assert main.reason() is None and other.reason() is None
    leave(main)


def test_a_store_that_is_lost_is_called_lost(pair: tuple[Monitor, Monitor], monkeypatch: pytest.MonkeyPatch) -> None:
    main, other = pair
    monkeypatch.setenv("TORCHELASTIC_USE_AGENT_STORE", "True")
    monkeypatch.setenv("MASTER_ADDR", "hostc")
    monkeypatch.setenv("MASTER_PORT", "29500")
    monkeypatch.setattr(module, "LIMIT_S", 0.3)
    for monitor in pair:
        monkeypatch.setattr(monitor, "_store", None)
        monitor.start()
    for monitor in pair:
        assert within(5.0, lambda monitor=monitor: fails(monitor))  # type: ignore[misc]
        with pytest.raises(
            ProcessError, match="the store of the launcher at hostc:29500 did not answer for "
        ) as caught:
            monitor.check()
        assert caught.value.exit_code == STOPPED
    assert str(main.explain("closed")).startswith("the store of the launcher at hostc:29500 ")
    leave(main, other)


# As in a collective that nobody else joins; and as while it waits for a message of another process of its machine
WAITS = {
    "hangs": "time.sleep(60)",
    "looks": """
from anew.errors import ProcessError
while True:
    time.sleep(0.001)
    try:
        own.check()
    except ProcessError as error:
        own.leave()  # it waits for the silent process
        if not error.is_reported:
            sys.stderr.write(f"anew: {error}\\n")
        from anew.core.processes.launcher import notify_torchrun
        notify_torchrun(error.exit_code)
        sys.exit(error.exit_code)
""",
}


@pytest.mark.parametrize(("silent", "wait"), [(0, "hangs"), (1, "hangs"), (1, "looks")])
def test_silence_ends_a_process(silent: int, wait: str, tmp_path: Path) -> None:
    """The sentence of a process that looked after the others was lost: it ended while its main thread was leaving."""
    script = f"""
import sys, time
from core.processes.test_monitor import Shelf
from anew.core.processes import monitor as module
module.BEAT_S, module.LEAVING_S, module.LIMIT_S = 0.05, 1.0, 0.5
shelf = Shelf()
monitors = [module.Monitor(shelf, rank, 2, f"host{{rank}}", f"namespace{{rank}}") for rank in (0, 1)]
for monitor in monitors:
    monitor.announce()
own = monitors[1 - {silent}]
own.start()
{WAITS[wait]}
"""
    completed = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
        env=os.environ
        | {"PYTHONPATH": os.pathsep.join(sys.path)}
        | {"TORCHELASTIC_RUN_ID": "a", "TORCHELASTIC_ERROR_FILE": str(tmp_path / "ended.json")},
    )
    assert completed.returncode == STOPPED
    assert json.loads((tmp_path / "ended.json").read_text())["message"]["errorCode"] == STOPPED
    name = f"process {silent} on 'host{silent}'"
    assert completed.stderr == (
        f"anew: nothing was heard of {name} for 0.5 s; repeat the command, which continues from the last checkpoint\n"
    )
