"""The processes of one machine, joined by sockets and shared memory, which on its cores are much faster than a network's messages.

Sockets wait without using a core, and one whose process dies says so at once. Shared memory has no name and no file, so a
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

CONNECTING_S = 20.0  # until all processes are there, which have found each other a moment before; chosen
POLL_S = 0.5  # of waiting until other processes are looked after, as often as they tell that they live
LENGTH = struct.Struct("<q")  # bytes of a message, before it
CREDENTIALS = struct.Struct("3i")  # pid, user and group of a socket's other end


class LocalLink:
    """The connection of this process to all others of its machine. Every process makes the same calls in the same order.

    Args:
        rank: Number of this process.
        size: Number of processes.
        peers: On the first process a socket for each other one, in their order; on the others the one to the first.
        check: Called while this process waits; raises where it is not to wait any longer.
        limit: Seconds that another process may be late by.
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
        """The bytes of all processes, in their order; also a barrier, behind which each sees what the others wrote to memory.

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
        """Memory of zeros that all processes share; it lives as long as any of them."""
        if self.rank:
            descriptor = self._receive_descriptor(self._peers[0])
        else:
            descriptor = os.memfd_create("anew")
            os.ftruncate(descriptor, num_bytes)
            for peer in self._peers:
                socket.send_fds(peer, [b"m"], [descriptor])
        try:
            return mmap.mmap(descriptor, num_bytes)
        finally:
            os.close(descriptor)

    def close(self) -> None:
        for peer in self._peers:
            peer.close()

    def _send(self, peer: socket.socket, *messages: bytes) -> None:
        rest = memoryview(b"".join(part for message in messages for part in (LENGTH.pack(len(message)), message)))
        while rest:
            try:
                rest = rest[peer.send(rest) :]
            except BlockingIOError:
                self._wait(peer, select.POLLOUT)
            except OSError as error:
                raise RuntimeError(f"the connection to another process is closed: {error}") from error

    def _receive(self, peer: socket.socket) -> bytes:
        (length,) = LENGTH.unpack(self._receive_bytes(peer, LENGTH.size))
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
                raise RuntimeError(f"the connection to another process is closed: {error}") from error
            if not piece:
                raise RuntimeError("the connection to another process is closed")
            data += piece
        return bytes(data)

    def _receive_descriptor(self, peer: socket.socket) -> int:
        self._wait(peer, select.POLLIN)
        _, descriptors, _, _ = socket.recv_fds(peer, 1, 1)
        if not descriptors:
            raise RuntimeError("the connection to another process is closed")
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
    return sys.platform == "linux" and local_size is not None and local_size == os.environ.get("WORLD_SIZE")


def listen() -> tuple[socket.socket, str]:
    """Of the first process: where the others can connect, and its name."""
    name = f"anew-{uuid.uuid4().hex}"
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(f"\0{name}")  # in no folder, and gone with its socket
    listener.listen()
    return listener, name


def connect(name: str, rank: int) -> socket.socket | None:
    """Of the others: a socket to the first process; None where it is not on this machine, or somebody else's."""
    first = socket.socket(socket.AF_UNIX)
    first.settimeout(CONNECTING_S)
    try:
        first.connect(f"\0{name}")
        if not _is_own(first):
            raise ConnectionRefusedError
        first.sendall(LENGTH.pack(rank))
    except OSError:
        first.close()
        return None
    return first


def accept(listener: socket.socket, size: int) -> list[socket.socket]:
    """Of the first process: sockets to all others, in their order.

    Raises:
        TimeoutError: Not all connected.
    """
    peers: dict[int, socket.socket] = {}
    deadline = time.monotonic() + CONNECTING_S
    while len(peers) < size - 1:
        listener.settimeout(max(0.01, deadline - time.monotonic()))
        peer, _ = listener.accept()
        if not _is_own(peer):  # the names of such sockets can be read by all users
            peer.close()
            continue
        peer.settimeout(CONNECTING_S)
        (rank,) = LENGTH.unpack(peer.recv(LENGTH.size, socket.MSG_WAITALL))
        peers[rank] = peer
    return [peers[rank] for rank in range(1, size)]


def _is_own(peer: socket.socket) -> bool:
    credentials = peer.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, CREDENTIALS.size)
    return bool(CREDENTIALS.unpack(credentials)[1] == os.getuid())
