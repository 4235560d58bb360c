"""Processes of one machine exchange bytes and share memory, and none waits for one that is gone."""

from __future__ import annotations

import os
import resource
import socket
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import pytest

from anew.core.processes import local_link
from anew.core.processes.local_link import LocalLink
from anew.core.processes.world import is_connection_fault
from anew.errors import ProcessError
from links import in_threads, links
from processes import together

LINKED = """
import os
from anew.core.processes.world import together
if {is_wrong}:
    os.environ["LOCAL_WORLD_SIZE"] = "2"
with together() as world:
    print(world.link is not None, world.sum(world.rank + 0.5, 1.0), world.any(world.rank == 1), world.broadcast({{"a": world.rank}}))
"""


def test_all_get_the_bytes_of_all_in_order() -> None:
    for messages in in_threads(
        links(3), lambda link: [link.exchange(bytes([link.rank]) * 300_000), link.exchange(b"")]
    ):
        assert messages == [[bytes([rank]) * 300_000 for rank in range(3)], [b""] * 3]


def test_memory_is_shared_and_leaves_no_file() -> None:
    before = set(os.listdir("/dev/shm"))

    def write(link: LocalLink) -> bytes:
        memory = link.memory(3)
        memory[link.rank] = link.rank + 1
        link.exchange(b"")
        return memory[:]

    assert in_threads(links(3), write) == [b"\1\2\3"] * 3
    assert set(os.listdir("/dev/shm")) <= before


@pytest.mark.parametrize(
    "call", [lambda link: link.exchange(b"x"), lambda link: link.memory(1)], ids=["bytes", "memory"]
)
def test_who_waits_for_an_ended_process_hears_of_it(call: Callable[[LocalLink], object]) -> None:
    first, second = links(2)
    first.close()
    with pytest.raises(RuntimeError, match="connection to another process is closed") as caught:
        call(second)
    assert is_connection_fault(caught.value)
    second.close()


def test_who_waits_looks_after_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(local_link, "POLL_S", 0.01)

    def check() -> None:
        raise ProcessError("another one failed", 75)

    ends = socket.socketpair()
    with pytest.raises(ProcessError, match="another one failed"):
        LocalLink(1, 2, [ends[0]], check, 60.0).exchange(b"")
    with pytest.raises(RuntimeError, match="connection to another process timed out after 0 s"):
        LocalLink(1, 2, [ends[0]], lambda: None, 0.0).exchange(b"")
    for end in ends:
        end.close()


def test_processes_find_each_other_by_a_name_of_this_machine() -> None:
    listener, name = local_link.listen()
    with listener, ThreadPoolExecutor(2) as pool:
        others = [pool.submit(local_link.connect, name, rank) for rank in (2, 1)]
        peers = local_link.accept(listener, 3)
        for rank, other in zip((2, 1), others, strict=True):
            end = other.result()
            assert end is not None
            end.sendall(bytes([rank]))
            assert peers[rank - 1].recv(1) == bytes([rank])
            end.close()
    for peer in peers:
        peer.close()
    assert local_link.connect(name, 1) is None


@pytest.mark.parametrize("size", [1, pytest.param(3, marks=pytest.mark.slow)])
def test_processes_that_torchrun_put_on_one_machine_are_linked(size: int) -> None:
    ended = together(LINKED.format(is_wrong=False), size)
    sums = [sum(rank + 0.5 for rank in range(size)), float(size)]
    assert [process.out for process in ended] == [f"{size > 1} {sums} {size > 1} {{'a': 0}}\n"] * size, ended


def test_processes_of_several_machines_are_not() -> None:
    ended = together(LINKED.format(is_wrong=True), 3)
    assert [process.out for process in ended] == ["False [4.5, 3.0] True {'a': 0}\n"] * 3, ended


DYING = """
import os, signal
from anew.core.processes import local_link
from anew.core.processes.world import together
if os.environ["RANK"] == "1":
    local_link.connect = lambda name, rank: os.kill(os.getpid(), signal.SIGKILL)
with together():
    pass
"""


def test_a_process_that_is_killed_while_the_others_are_linked_is_named() -> None:
    """The first process advised to check host names and ports."""
    first, second = together(DYING)
    assert second.code == -9
    assert "ProcessError: process 1 on " in first.err and "has ended without saying why" in first.err, first.err


def _refuse(name: str) -> int:
    raise PermissionError(1, "Operation not permitted", name)


@pytest.mark.parametrize("lack", ["none", "refused", "no such function", "limit"])
def test_memory_that_cannot_be_shared_is_known_before_it_is_needed(lack: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a sandbox refuses it, a training on several processes was ended by a bug in Anew."""
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "2")
    monkeypatch.setenv("WORLD_SIZE", "2")
    if lack == "refused":
        monkeypatch.setattr(os, "memfd_create", _refuse)
    elif lack == "no such function":
        monkeypatch.delattr(os, "memfd_create")
    elif lack == "limit":
        monkeypatch.setattr(resource, "getrlimit", lambda limit: (2**21, 2**21))
    assert local_link.is_possible() == (lack == "none")


@pytest.mark.parametrize(
    ("sent", "reason"),
    [
        ([b"abc"], "connection to another process is closed"),
        ([(1).to_bytes(8, "little")] * 2, "connection of a process with rank 1 is refused"),
        ([(3).to_bytes(8, "little")], "connection of a process with rank 3 is refused"),
        ([], "connection of another process timed out"),
    ],
    ids=["cut short", "twice", "too high", "nobody"],
)
def test_who_cannot_be_linked_is_a_fault_of_the_connection(
    sent: list[bytes], reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A process that died while the link was formed was called a bug in Anew."""
    monkeypatch.setattr(local_link, "CONNECTING_S", 0.2)
    listener, name = local_link.listen()
    with listener, ExitStack() as ends:
        for message in sent:
            end = ends.enter_context(socket.socket(socket.AF_UNIX))
            end.connect(f"\0{name}")
            end.sendall(message)
            end.shutdown(socket.SHUT_WR)
        with pytest.raises(RuntimeError, match=reason) as caught:
            local_link.accept(listener, 3)
    assert is_connection_fault(caught.value)


def test_a_process_that_ended_before_memory_is_shared_is_a_fault_of_the_connection() -> None:
    first, second = links(2)
    second.close()
    with pytest.raises(RuntimeError, match="connection to another process is closed") as caught:
        first.memory(1)
    assert is_connection_fault(caught.value)
    first.close()
