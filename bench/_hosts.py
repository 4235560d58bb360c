"""Hosts that share no folder: network namespaces with veth pairs on a bridge (needs root and iproute2)."""

from __future__ import annotations

import contextlib
import os
import shlex
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from _common import environ

HOST_NAME, NETWORK, PORT = "anew-host", "10.77.0", 29511
# Of namespaces: two benchmarks may run at the same time
BRIDGE, PREFIX = f"anew-bridge-{os.getpid()}", f"anew-{os.getpid()}-host"
LIMIT_S = 900.0  # until a host that has to end, or to come to a step, is given up
OUTPUT = "output.txt"  # file in the folder of a host
SWITCH = Path(__file__).with_name("_delay.py")
LARGE_FRAMES = (
    16_000  # bytes: with smaller ones the switch is slower than the link, with larger ones TCP's windows hold few
)
TAIL = 3000  # characters of what a host said, where something fails


def ip(*words: object) -> None:
    subprocess.run(["ip", *map(str, words)], check=True, capture_output=True)


@contextlib.contextmanager
def network(hosts: int, rate: str | None, delay_ms: float = 0.0) -> Iterator[None]:
    """So many hosts on one switch.

    Args:
        rate: Of each link, as tc writes it.
        delay_ms: Milliseconds that each frame takes longer.
    """
    names = [f"{PREFIX}{number}" for number in range(hosts)]
    try:
        for name in (BRIDGE, *names):
            ip("netns", "add", name)
        with _delaying(names, delay_ms) if delay_ms else _bridge(names):
            for number in range(hosts):
                _start_network(number, rate)
            yield
    finally:
        for name in (BRIDGE, *names):
            subprocess.run(["ip", "netns", "del", name], check=False, capture_output=True)


def _start_network(number: int, rate: str | None) -> None:
    """Give a host its address, and its link the rate."""
    name = f"{PREFIX}{number}"
    ip("-n", name, "addr", "add", f"{NETWORK}.{number + 1}/24", "dev", "eth0")
    ip("-n", name, "link", "set", "eth0", "up")
    ip("-n", name, "link", "set", "lo", "up")
    if rate:
        shape = ["tc", "-n", name, "qdisc", "add", "dev", "eth0", "root", "tbf", "rate", rate]
        subprocess.run([*shape, "burst", "256k", "latency", "50ms"], check=True, capture_output=True)


@contextlib.contextmanager
def _bridge(names: Sequence[str]) -> Iterator[None]:
    """A bridge of the kernel, with a port for each host."""
    ip("-n", BRIDGE, "link", "add", "br0", "type", "bridge")
    ip("-n", BRIDGE, "link", "set", "br0", "up")
    for number, name in enumerate(names):
        ip("-n", BRIDGE, "link", "add", f"port{number}", "type", "veth", "peer", "name", "eth0", "netns", name)
        ip("-n", BRIDGE, "link", "set", f"port{number}", "master", "br0", "up")
    yield


@contextlib.contextmanager
def _delaying(names: Sequence[str], delay_ms: float) -> Iterator[None]:
    """A switch in user space, through which each frame takes longer."""
    words = [sys.executable, str(SWITCH), str(delay_ms), *names]
    with subprocess.Popen(words, stdout=subprocess.PIPE) as switch:
        try:
            assert switch.stdout is not None
            if not switch.stdout.readline():
                raise SystemExit("the switch that delays frames did not start")
            for name in names:
                ip("-n", name, "link", "set", "eth0", "mtu", LARGE_FRAMES)
            yield
        finally:
            switch.kill()


@dataclass(frozen=True)
class Host:
    """A host's torchrun. place: its folder."""

    process: subprocess.Popen[bytes]
    place: Path

    @property
    def output(self) -> str:
        return (self.place / OUTPUT).read_text(errors="replace")

    def wait(self, limit_s: float = LIMIT_S) -> int | None:
        """Its exit code; None where it had to be killed after `limit_s`."""
        with suppress(subprocess.TimeoutExpired):
            return self.process.wait(timeout=limit_s)
        kill_tree(self.process.pid)
        self.process.wait()
        return None


def kill_tree(pid: int) -> None:
    """Kill a process and all below it."""
    import psutil

    root = psutil.Process(pid)
    for process in [*root.children(recursive=True), root]:
        with suppress(psutil.NoSuchProcess):
            process.kill()


def give_up(hosts: Sequence[Host], fault: str) -> NoReturn:
    """End the benchmark with what the hosts said."""
    for host in hosts:
        if host.process.poll() is None:
            kill_tree(host.process.pid)
    raise SystemExit(f"{fault}\n" + "\n".join(f"--- {host.place.name}\n{host.output[-TAIL:]}" for host in hosts))


def wait_for(hosts: Sequence[Host], has_come: Callable[[], bool], event: str) -> None:
    """Wait for an event of running hosts; end the benchmark where one of them ends before, or after LIMIT_S."""
    deadline = time.monotonic() + LIMIT_S
    while not has_come():
        if any(host.process.poll() is not None for host in hosts):
            give_up(hosts, f"a host ended before {event}")
        if time.monotonic() > deadline:
            give_up(hosts, f"{event} did not come within {LIMIT_S:.0f} s")
        time.sleep(0.1)


def start_host(
    number: int,
    hosts: int,
    place: Path,
    words: Sequence[str],
    cores: Sequence[int],
    nodes: str | None = None,
    restarts: int = 0,
    program: Sequence[str] = ("-m", "--", "anew"),
) -> Host:
    """One host's torchrun, in its folder; the folders of the others are empty there."""
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--nnodes", nodes or str(hosts)]
    torchrun += ["--max-restarts", str(restarts)]
    # Names of the hosts are not resolved here, so each is told whether it keeps the store of the rendezvous.
    meeting = ["--rdzv-backend", "c10d", "--rdzv-endpoint", f"{NETWORK}.1:{PORT}", "--rdzv-id", "bench"]
    meeting += ["--rdzv-conf", f"is_host={number == 0}"]
    own = ["--nproc-per-node", "1", "--local-addr", f"{NETWORK}.{number + 1}"]
    command = [*torchrun, *meeting, *own, *program, *words]
    others = [folder for folder in place.parent.iterdir() if folder.is_dir() and folder != place]
    hidden = [f"mount -t tmpfs none {shlex.quote(str(folder))};" for folder in others]
    naming = " ".join([f"hostname {HOST_NAME}{number};", *hidden, 'exec "$@"'])
    variables = {"GLOO_SOCKET_IFNAME": "eth0", "ANEW_CACHE": str(place / "cache"), "OMP_NUM_THREADS": "1"}
    # A file: a pipe that nobody reads while other hosts are waited for would stop the host once it is full
    with open(place / OUTPUT, "wb") as output:
        process = subprocess.Popen(
            [
                "ip",
                "netns",
                "exec",
                f"{PREFIX}{number}",
                "unshare",
                "--uts",
                "--mount",
                "sh",
                "-c",
                naming,
                "sh",
                *command,
            ],
            cwd=place,
            env=environ(cores, variables),
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    return Host(process, place)
