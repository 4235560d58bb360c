"""A switch between hosts that delivers each frame some time later: `_delay.py MILLISECONDS NAMESPACE ...` (needs root).

Not every kernel has netem. Each namespace gets a device `eth0`, whose frames come here. A line is printed once all are there.
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import os
import select
import struct
import sys
import time
from collections import deque
from pathlib import Path

NAMESPACES = Path("/var/run/netns")
TUNSETIFF, IFF_TAP, IFF_NO_PI = 0x400454CA, 0x0002, 0x1000  # linux/if_tun.h
FRAME = 65_600  # bytes; more than the longest


def open_port(namespace: str) -> int:
    """The other end of a new `eth0` in a network namespace."""
    libc = ctypes.CDLL(None, use_errno=True)
    here = os.open("/proc/self/ns/net", os.O_RDONLY)
    there = os.open(NAMESPACES / namespace, os.O_RDONLY)
    try:
        _enter(libc, there)
        port = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
        fcntl.ioctl(port, TUNSETIFF, struct.pack("16sH22x", b"eth0", IFF_TAP | IFF_NO_PI))
        return port
    finally:
        _enter(libc, here)
        os.close(there)
        os.close(here)


def _enter(libc: ctypes.CDLL, namespace: int) -> None:
    if libc.setns(namespace, 0):
        raise OSError(ctypes.get_errno(), "setns")


def switch(ports: list[int], delay: float) -> None:
    """Hand frames on for ever. As all wait equally long, they leave in the order in which they came."""
    waiting: deque[tuple[float, bytes, int]] = deque()
    places: dict[bytes, int] = {}  # the port behind which an address is
    while True:
        timeout = max(0.0, waiting[0][0] - time.monotonic()) if waiting else None
        for port in select.select(ports, [], [], timeout)[0]:
            frame = os.read(port, FRAME)
            places[frame[6:12]] = port
            waiting.append((time.monotonic() + delay, frame, port))
        while waiting and waiting[0][0] <= time.monotonic():
            _, frame, origin = waiting.popleft()
            known = places.get(frame[:6])
            _write([port for port in (ports if known is None else [known]) if port != origin], frame)


def _write(ports: list[int], frame: bytes) -> None:
    for port in ports:
        with contextlib.suppress(OSError):  # the device is not up yet, or full: links lose frames, too
            os.write(port, frame)


def main() -> None:
    milliseconds, *namespaces = sys.argv[1:]
    ports = [open_port(namespace) for namespace in namespaces]
    # Before the hosts, which share its cores: a cable does not wait for a processor
    os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))
    print("ready", flush=True)
    switch(ports, float(milliseconds) / 1e3)


if __name__ == "__main__":
    main()
