"""The processes of one training: the rank of this one, and what they exchange. JSON and tensors, never pickles.

With a single process every call returns its argument.
"""

from __future__ import annotations

import hashlib
import json
import os
import socket
import struct
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import TypeVar

import torch
from torch import Tensor
from torch import distributed as dist
from torch.distributed import distributed_c10d as c10d

from anew.core.arrays import bytes_of
from anew.core.exit_codes import STOPPED
from anew.core.files import clause
from anew.core.machine.device import pick_device
from anew.core.processes import local_link, rendezvous
from anew.core.processes.launcher import num_processes
from anew.core.processes.local_link import LENGTH_FORMAT, LocalLink
from anew.core.processes.monitor import Monitor, pid_namespace
from anew.core.stop_signals import begin_ending
from anew.errors import AnewError, ConfigError, ProcessError, shorten

V = TypeVar("V")

GLOO_PAUSE = 0.2  # seconds that Gloo's threads get to send their last messages before the connections go; see `leave`
# How long a process may be behind the others, which wait while it writes, calibrates or samples
COLLECTIVE = timedelta(minutes=30)
MAX_NAMED, MAX_SHOWN = 3, 40  # entries that differ, and characters of a value, in a sentence
REDUCTIONS: dict[object, Callable[[Iterable[float]], float]] = {
    dist.ReduceOp.SUM: sum,
    dist.ReduceOp.MAX: max,
    dist.ReduceOp.MIN: min,
}
CONNECTION_SIGNS = ("gloo/", "connection", "timed out", "nccl", "socket", "broken pipe")


@dataclass(frozen=True, slots=True)
class World:
    """This process among all of a run: the main one writes files and decides on time.

    Attributes:
        rank: Number of this process, 0 for the main one.
        device: Where this process computes.
        monitor: Knows whether the others still live; None for a single process.
        link: The link to the others if all are on one machine without GPUs; else None.
    """

    rank: int = 0
    size: int = 1
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    monitor: Monitor | None = None
    link: LocalLink | None = None

    @property
    def is_main(self) -> bool:
        return self.rank == 0

    def rows(self, batch_size: int) -> tuple[int, int]:
        """First row and number of rows of the global batch that this process computes; the first processes take one more
        where it does not divide.

        Raises:
            ConfigError: The batch has fewer rows than there are processes.
        """
        if batch_size < self.size:
            raise ConfigError(
                f"`batch_size` {batch_size} cannot be shared by {self.size} processes; give at least {self.size}, "
                f"or start at most {batch_size}"
            )
        count, more = divmod(batch_size, self.size)
        return self.rank * count + min(self.rank, more), count + (self.rank < more)

    def largest_share(self, batch_size: int) -> int:
        """Most rows of the global batch that any process computes."""
        return -(-batch_size // self.size)

    # -- numbers --------------------------------------------------------------------------------------------------------

    def sum(self, *values: float) -> list[float]:
        """Each value summed over all processes."""
        return self._reduced(values, dist.ReduceOp.SUM)

    def any(self, flag: bool) -> bool:
        """Whether the flag is set on any process."""
        return bool(self._reduced([float(flag)], dist.ReduceOp.MAX)[0])

    def maximum(self, *values: float) -> list[float]:
        """The largest of each value over all processes."""
        return self._reduced(values, dist.ReduceOp.MAX)

    def minimum(self, value: int) -> int:
        """The smallest of the values of all processes."""
        return int(self._reduced([float(value)], dist.ReduceOp.MIN)[0])

    def _reduced(self, values: tuple[float, ...] | list[float], operation: dist.ReduceOp.RedOpType) -> list[float]:
        if self.size == 1:
            return list(values)
        with self._collective():
            if self.link is not None:
                layout = struct.Struct(f"{len(values)}d")
                rows = [layout.unpack(row) for row in self.link.exchange(layout.pack(*values))]
                return [float(REDUCTIONS[operation](column)) for column in zip(*rows, strict=True)]
            packed = torch.tensor(values, dtype=torch.float64)
            dist.all_reduce(packed, operation)
        return [float(v) for v in packed.tolist()]

    # -- values ---------------------------------------------------------------------------------------------------------

    def broadcast(self, value: V) -> V:
        """The main process's value, on every process; a JSON value, so that nothing is unpickled."""
        if self.size == 1:
            return value
        data = json.dumps(value).encode() if self.is_main else b""
        received: V = json.loads(bytes(self._broadcast_bytes(data).numpy()))
        return received

    def broadcast_tensors(self, tensors: Mapping[str, Tensor] | None) -> dict[str, Tensor]:
        """The main process's tensors by name, on the CPU of every process; the others give None."""
        if self.size == 1:
            return dict(tensors or {})
        return dict(self.broadcast_each(tensors))

    def broadcast_each(self, tensors: Mapping[str, Tensor] | None) -> Iterator[tuple[str, Tensor]]:
        """Yield the same one after another, so that no process has to hold all of them. All must come to the end."""
        described = self.broadcast(
            {
                name: (str(tensor.dtype).removeprefix("torch."), list(tensor.shape))
                for name, tensor in (tensors or {}).items()
            }
        )
        for name, (dtype, shape) in described.items():
            received = (
                torch.empty(shape, dtype=getattr(torch, dtype))
                if tensors is None
                else tensors[name].detach().cpu().contiguous()
            )
            if received.numel():
                with self._collective():
                    dist.broadcast(bytes_of(received), src=0)
            yield name, received

    def gather(self, value: V) -> list[V]:
        """The JSON values of all processes, in their order, on every one."""
        if self.size == 1:
            return [value]
        return [json.loads(data) for data in self.exchange(json.dumps(value).encode())]

    def exchange(self, data: bytes) -> list[bytes]:
        """The bytes of all processes, in their order, on every one."""
        if self.size == 1:
            return [data]
        if self.link is not None:
            with self._collective():
                return self.link.exchange(data)
        message = LENGTH_FORMAT.pack(len(data)) + data
        (longest,) = self.maximum(len(message))
        padded = torch.frombuffer(bytearray(message.ljust(int(longest))), dtype=torch.uint8)
        received = [torch.empty_like(padded) for _ in range(self.size)]
        with self._collective():
            dist.all_gather(received, padded)
        return [_message(part.numpy().tobytes()) for part in received]

    def check_same(self, name: str, value: object, mend: str) -> None:
        """Refuse to go on, on all processes, where one has another value than the main one.

        Args:
            name: Name of the compared value, as in "the data".
            value: A JSON value; of a mapping, also one within another, the entries that differ are named.
            mend: Advice for the user.

        Raises:
            ConfigError: The values differ; the sentence says where.
        """
        if self.size == 1:
            return
        entries = self.gather({path: [_digest(entry), _short(entry)] for path, entry in _entries(value).items()})
        hosts = self.gather(socket.gethostname())
        main, main_host = entries[0], hosts[0]
        for rank, (other, host) in enumerate(zip(entries, hosts, strict=True)):
            differing = [
                path for path in sorted({*main, *other}) if other.get(path, [""])[0] != main.get(path, [""])[0]
            ]
            if differing:
                raise ConfigError(
                    f"process {rank} on {host!r} differs from process 0 on {main_host!r} in {name}"
                    f"{_values(differing, other, main)}; {mend}"
                )

    def barrier(self) -> None:
        """Wait until every process is here."""
        if self.size > 1:
            self._reduced([0.0], dist.ReduceOp.MAX)

    def on(self, device: str) -> World:
        """The same, computing on a device as `pick_device` takes it."""
        name = pick_device(device, int(os.environ.get("LOCAL_RANK", "0")), self.size)
        if name.startswith("cuda"):
            torch.cuda.set_device(torch.device(name))
        return replace(self, device=torch.device(name))

    def _broadcast_bytes(self, data: bytes) -> Tensor:
        """(n,) uint8: the bytes of the main process."""
        if self.link is not None:
            with self._collective():
                # JSON is never empty
                return torch.frombuffer(bytearray(self.link.exchange(data)[0]), dtype=torch.uint8)
        length = torch.tensor([len(data)], dtype=torch.int64)
        with self._collective():
            dist.broadcast(length, src=0)
        buffer = torch.zeros(int(length), dtype=torch.uint8)
        if self.is_main:
            buffer.copy_(torch.frombuffer(bytearray(data), dtype=torch.uint8))
        with self._collective():
            dist.broadcast(buffer, src=0)
        return buffer

    @contextmanager
    def _collective(self) -> Iterator[None]:
        if self.monitor is not None:
            self.monitor.check()
            self.monitor.count_call()
        yield


# -- how processes come together and part ---------------------------------------------------------------------------------

_joined: list[World] = []  # the world of this process, once it is formed


def init() -> World:
    """The world that torchrun's environment describes, or a single process. A later call returns the same, linked by `together`.

    Raises:
        ProcessError: Not all processes came within five minutes.
    """
    if num_processes() == 1:
        return World()
    if not _joined:
        _joined.append(_form())
    return _joined[0]


def _form() -> World:
    size = num_processes()
    rendezvous.check_environment(size)
    rank = int(os.environ["RANK"])
    shared_store = rendezvous.connect(rank)
    place = rendezvous.agree(shared_store, rank, size)
    # Tensors of a GPU go by NCCL; numbers and JSON stay on the CPU and never wait for a GPU.
    backend = "cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo"
    store = c10d.PrefixStore(f"{place}/group", shared_store)
    dist.init_process_group(backend, store=store, rank=rank, world_size=size, timeout=COLLECTIVE)
    world = World(rank, size)
    # Only the monitor uses this connection, so it may block in it.
    client = dist.TCPStore(  # type: ignore[attr-defined]
        os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"]), is_master=False, timeout=rendezvous.FORMING
    )
    monitor = Monitor(c10d.PrefixStore(f"{place}/monitor", client), rank, size, socket.gethostname(), pid_namespace())
    monitor.announce()
    world.barrier()
    monitor.start()
    return replace(world, monitor=monitor)


def _linked(world: World, monitor: Monitor) -> World:
    """The world, with a link where that is possible. The monitor listens by now, and knows who ended meanwhile."""
    _joined[0] = replace(world, link=_link(world, monitor))
    return _joined[0]


def _link(world: World, monitor: Monitor) -> LocalLink | None:
    """Connect the processes where all are on this machine and compute on its cores."""
    if world.any(torch.cuda.is_available() or not local_link.is_possible()):
        return None
    listener, name = local_link.listen() if world.is_main else (None, "")
    name = world.broadcast(name)
    first = None if world.is_main else local_link.connect(name, world.rank)
    # The variables of torchrun may have been set by hand, and be wrong
    if world.any(not world.is_main and first is None):
        for opened in filter(None, (listener, first)):
            opened.close()
        return None
    if listener is None:
        peers = [first] if first is not None else []
    else:
        with listener:
            peers = local_link.accept(listener, world.size)
    return LocalLink(world.rank, world.size, peers, monitor.check, COLLECTIVE.total_seconds())


def shutdown() -> None:
    """Close the process group, if one was formed."""
    if _joined:
        world = _joined.pop()
        if world.monitor is not None:
            world.monitor.leave()
        if world.link is not None:
            world.link.close()
    if dist.is_initialized():
        # gloo's threads take the interpreter's lock to let go of the tensors of collectives that are done. One that
        # still waits for it when the interpreter ends aborts the whole process (C++ cannot unwind), hence the pause.
        time.sleep(GLOO_PAUSE)
        dist.destroy_process_group()


@contextmanager
def together() -> Iterator[World]:
    """The processes form a world and part at the end. An error of one ends all, and one of them says it."""
    try:
        world = init()
    except RuntimeError as error:
        raise ProcessError(
            f"the processes could not connect ({_clause_with_type(error)}); check host names and ports "
            "(with gloo, GLOO_SOCKET_IFNAME names the network), and start them all again",
            STOPPED,
        ) from error
    monitor = world.monitor
    if monitor is None:
        yield world
        return
    try:
        with _ending_on_error():
            world = _linked(world, monitor)
            yield world
            if not world.is_main:
                monitor.wait_for_main()
    except ProcessError:
        raise
    except AnewError as error:
        place = f" (process {world.rank} on {socket.gethostname()!r})" if world.rank else ""
        error.is_reported = not monitor.fail(f"{error}{place}", error.exit_code)
        raise
    except KeyboardInterrupt:
        if (reason := monitor.reason()) is not None:  # torchrun stops the others where one has ended
            raise reason from None
        monitor.fail("stopped", STOPPED)
        raise
    except Exception as error:  # whatever it is, the other processes hear of it
        if is_connection_fault(error):
            raise monitor.explain(_clause_with_type(error)) from error
        monitor.fail(f"process {world.rank} on {socket.gethostname()!r} failed ({_clause_with_type(error)})", 1)
        raise
    finally:
        shutdown()


@contextmanager
def _ending_on_error() -> Iterator[None]:
    try:
        yield
    except BaseException:  # whatever it is, it is raised again
        begin_ending()
        raise


def is_connection_fault(error: BaseException) -> bool:
    """Whether a collective failed because of another process."""
    if isinstance(error, dist.DistBackendError | dist.DistNetworkError | dist.DistStoreError):
        return True
    text = str(error).lower()
    return isinstance(error, RuntimeError) and any(sign in text for sign in CONNECTION_SIGNS)


def _clause_with_type(error: BaseException) -> str:
    name, reason = type(error).__name__, clause(error)
    return name if reason == name else f"{name}: {reason}"


def _entries(value: object, path: str = "") -> dict[str, object]:
    """Nested mappings flattened: each value by its dotted path, such as "settings.width". A value that is not a mapping has the
    path ""."""
    if not isinstance(value, Mapping):
        return {path: value}
    entries: dict[str, object] = {}
    for key, entry in value.items():
        entries |= _entries(entry, f"{path}.{key}" if path else str(key))
    return entries


def _digest(value: object) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


def _short(value: object) -> str:
    """A value as a sentence shows it; "" where it is too long."""
    return shorten(value) if len(json.dumps(value)) <= MAX_SHOWN else ""


def _message(received: bytes) -> bytes:
    """The content of a message, without its length and its padding."""
    (length,) = LENGTH_FORMAT.unpack_from(received)
    return received[LENGTH_FORMAT.size : LENGTH_FORMAT.size + length]


def _values(differing: Sequence[str], other: Mapping[str, Sequence[str]], main: Mapping[str, Sequence[str]]) -> str:
    """The paths that differ and both values, in parentheses: " (settings.width: 32 and 48)"."""
    described = []
    for path in differing[:MAX_NAMED]:
        values = [entries[path][1] if path in entries else "not given" for entries in (other, main)]
        described.append(": ".join(filter(None, [path, " and ".join(values) if all(values) else ""])))
    text = ", ".join(filter(None, described)) + (", ..." if len(differing) > MAX_NAMED else "")
    return f" ({text})" if text else ""
