"""The processes of one machine, joined by sockets and shared memory, which are much faster there than messages over a network.

Sockets wait without using a core, and report at once when a process dies. Shared memory has no name and no file, so a
process that is killed leaves nothing.
"""

from __future__ import annotations

import mmap
import os
import select
import socket
import struct
import sys
import time
import uuid
from collections.abc import Callable
from contextlib import ExitStack

CONNECTING_S = 20.0  # all processes must be there by then; they found each other a moment before; chosen
POLL_S = 0.5  # seconds between two checks on the other processes while this one waits; as long as their heartbeat
LENGTH_FORMAT = struct.Struct("<q")  # bytes of a message, before it
CREDENTIALS = struct.Struct("3i")  # pid, user and group of a socket's other end


class LocalLink:
    """The connection of this process to all others of its machine. Every process makes the same calls in the same order.

    Args:
        peers: On the first process a socket for each other one, in their order; on the others the one to the first.
        check: Called while this process waits; raises where it is not to wait any longer.
        limit: How many seconds another process may be late.
    """

    def __init__(
        self, rank: int, size: int, peers: list[socket.socket], check: Callable[[], None], limit: float
    ) -> None:
        self.rank = rank
        self.size = size
        self._peers = peers
        self._check = check
        self._limit = limit
        for peer in peers:
            peer.setblocking(False)

    def exchange(self, data: bytes) -> list[bytes]:
        """The bytes of all processes, in their order; also a barrier, after which each sees what the others wrote to memory.

        Raises:
            RuntimeError: Another process has ended, or did not come in time.
        """
        if self.rank:
            self._send(self._peers[0], data)
            return [self._receive(self._peers[0]) for _ in range(self.size)]
        messages = [data, *(self._receive(peer) for peer in self._peers)]
        for peer in self._peers:
            self._send(peer, *messages)
        return messages

    def memory(self, num_bytes: int) -> mmap.mmap:
        """Memory of zeros that all processes share; it lives as long as any of them.

        Raises:
            RuntimeError: Another process has ended, or did not come in time.
        """
        if self.rank:
            descriptor = self._receive_descriptor(self._peers[0])
        else:
            descriptor = os.memfd_create("anew")
            os.ftruncate(descriptor, num_bytes)
            for peer in self._peers:
                self._send_descriptor(peer, descriptor)
        try:
            return mmap.mmap(descriptor, num_bytes)
        finally:
            os.close(descriptor)

    def close(self) -> None:
        for peer in self._peers:
            peer.close()

    def _send(self, peer: socket.socket, *messages: bytes) -> None:
        rest = memoryview(
            b"".join(part for message in messages for part in (LENGTH_FORMAT.pack(len(message)), message))
        )
        while rest:
            try:
                rest = rest[peer.send(rest) :]
            except BlockingIOError:
                self._wait(peer, select.POLLOUT)
            except OSError as error:
                raise _closed(error) from error

    def _receive(self, peer: socket.socket) -> bytes:
        (length,) = LENGTH_FORMAT.unpack(self._receive_bytes(peer, LENGTH_FORMAT.size))
        return self._receive_bytes(peer, length)

    def _receive_bytes(self, peer: socket.socket, count: int) -> bytes:
        data = bytearray()
        while len(data) < count:
            try:
                piece = peer.recv(count - len(data))
            except BlockingIOError:
                self._wait(peer, select.POLLIN)
                continue
            except OSError as error:
                raise _closed(error) from error
            if not piece:
                raise _closed()
            data += piece
        return bytes(data)

    def _send_descriptor(self, peer: socket.socket, descriptor: int) -> None:
        self._wait(peer, select.POLLOUT)
        try:
            socket.send_fds(peer, [b"m"], [descriptor])
        except OSError as error:
            raise _closed(error) from error

    def _receive_descriptor(self, peer: socket.socket) -> int:
        self._wait(peer, select.POLLIN)
        try:
            _, descriptors, _, _ = socket.recv_fds(peer, 1, 1)
        except OSError as error:
            raise _closed(error) from error
        if not descriptors:
            raise _closed()
        return descriptors[0]

    def _wait(self, peer: socket.socket, event: int) -> None:
        """Wait until the socket can be read or written."""
        poll = select.poll()
        poll.register(peer, event)
        deadline = time.monotonic() + self._limit
        while not poll.poll(POLL_S * 1000):
            self._check()
            if time.monotonic() > deadline:
                raise RuntimeError(f"the connection to another process timed out after {self._limit:.0f} s")


def is_possible() -> bool:
    """Whether this system has what a link needs, and torchrun has started all processes on one machine."""
    local_size = os.environ.get("LOCAL_WORLD_SIZE")
    is_local = local_size is not None and local_size == os.environ.get("WORLD_SIZE")
    return sys.platform == "linux" and is_local and _can_share_memory()


def _can_share_memory() -> bool:
    """Whether memory can be made that is handed to other processes: sandboxes and settings of the kernel refuse it, some Pythons
    are built without it, and a limit on the size of files holds for it, too."""
    import resource  # Windows has none

    if resource.getrlimit(resource.RLIMIT_FSIZE)[0] != resource.RLIM_INFINITY:
        return False
    try:
        descriptor = os.memfd_create("anew")
    except (AttributeError, OSError):
        return False
    try:
        os.ftruncate(descriptor, 1)
        mmap.mmap(descriptor, 1).close()
    except OSError:
        return False
    finally:
        os.close(descriptor)
    return True


def listen() -> tuple[socket.socket, str]:
    """Open a socket to which the other processes can connect. Called by the first one; returns the name of the socket, too."""
    name = f"anew-{uuid.uuid4().hex}"
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(f"\0{name}")  # the name is in no folder, and gone with its socket
    listener.listen()
    return listener, name


def connect(name: str, rank: int) -> socket.socket | None:
    """Connect to the socket of the first process. Called by the others; None if it is on another machine, or somebody else's."""
    first = socket.socket(socket.AF_UNIX)
    first.settimeout(CONNECTING_S)
    try:
        first.connect(f"\0{name}")
        if not _is_own(first):
            raise ConnectionRefusedError
        first.sendall(LENGTH_FORMAT.pack(rank))
    except OSError:
        first.close()
        return None
    return first


def accept(listener: socket.socket, size: int) -> list[socket.socket]:
    """Accept the connections of all other processes, in their order. Called by the first one.

    Raises:
        RuntimeError: Not all connected in time, one that did has ended, or two have the same rank.
    """
    peers: dict[int, socket.socket] = {}
    deadline = time.monotonic() + CONNECTING_S
    with ExitStack() as opened:
        while len(peers) < size - 1:
            peer = opened.enter_context(_accept_own(listener, deadline))
            rank = _rank_of(peer)
            if rank in peers or not 0 < rank < size:
                raise RuntimeError(
                    f"the connection of a process with rank {rank} is refused: rank taken, or not below {size}"
                )
            peers[rank] = peer
        opened.pop_all()
    return [peers[rank] for rank in range(1, size)]


def _accept_own(listener: socket.socket, deadline: float) -> socket.socket:
    """A socket to the next process of this user that connects."""
    while True:
        listener.settimeout(max(0.01, deadline - time.monotonic()))
        try:
            peer, _ = listener.accept()
        except TimeoutError as error:
            raise RuntimeError(f"the connection of another process timed out after {CONNECTING_S:.0f} s") from error
        if _is_own(peer):  # the names of such sockets can be read by all users
            return peer
        peer.close()


def _rank_of(peer: socket.socket) -> int:
    """The rank of another process, which it sends first."""
    peer.settimeout(CONNECTING_S)
    try:
        message = peer.recv(LENGTH_FORMAT.size, socket.MSG_WAITALL)
    except OSError as error:
        raise _closed(error) from error
    if len(message) < LENGTH_FORMAT.size:
        raise _closed()
    return int(LENGTH_FORMAT.unpack(message)[0])


def _closed(error: OSError | None = None) -> RuntimeError:
    return RuntimeError(f"the connection to another process is closed{'' if error is None else f': {error}'}")


def _is_own(peer: socket.socket) -> bool:
    credentials = peer.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, CREDENTIALS.size)
    return bool(CREDENTIALS.unpack(credentials)[1] == os.getuid())
