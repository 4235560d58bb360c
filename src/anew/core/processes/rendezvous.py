"""How processes find each other: each connects to a store that all reach, and they agree there on an attempt of this one group.

A launcher's store outlives processes that it restarts, and holds what the ones before wrote. The launcher tells its
processes no number that is the same on all hosts and new for each attempt: torchrun counts restarts per host, and none
where a host came or went. Therefore the first process makes up an attempt, and the others join the newest one that answers them.
"""

from __future__ import annotations

import json
import os
import socket
import time
import uuid
from datetime import timedelta

from torch import distributed as dist
from torch.distributed import distributed_c10d as c10d

from anew.core.exit_codes import STOPPED
from anew.core.processes.launcher import is_first_on_machine, launcher_keeps_store
from anew.errors import ConfigError, ProcessError

FORMING = timedelta(minutes=5)  # all processes must be there by then
CONNECTING = timedelta(seconds=2)  # time of one try to connect. No signal is heard meanwhile, so it is short; chosen
POLL_S = 0.1  # time between looks into the store, which a thousand processes may share; chosen
ATTEMPT, MEMBERS = "attempt", "members"  # keys: the newest attempt; who belongs to it
NEEDED = ("RANK", "MASTER_ADDR", "MASTER_PORT")


def connect(rank: int) -> c10d.Store:
    """The store that the launcher's environment names. Unless the launcher keeps it, the first process does.

    Raises:
        RuntimeError: It could not be reached within FORMING, or the first process cannot open its port.
    """
    is_keeper = rank == 0 and not launcher_keeps_store()
    deadline = time.monotonic() + FORMING.total_seconds()
    address = os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"])
    while True:
        if not is_keeper and time.monotonic() < deadline and not _answers(address):
            time.sleep(POLL_S)
            continue
        try:
            store = dist.TCPStore(  # type: ignore[attr-defined]
                *address,
                is_master=is_keeper,
                timeout=CONNECTING,
                wait_for_workers=False,
                multi_tenant=True,
            )
            break
        except RuntimeError:
            if is_keeper or time.monotonic() > deadline:
                raise
            time.sleep(POLL_S)
    store.set_timeout(FORMING)
    return store


def _answers(address: tuple[str, int]) -> bool:
    """Whether anything listens there. PyTorch prints fifty lines for each try to connect to nothing."""
    try:
        with socket.create_connection(address, CONNECTING.total_seconds()):
            return True
    except OSError:
        return False


def check_environment(size: int) -> None:
    """Refuse processes that were not told how to find each other."""
    missing = [name for name in NEEDED if name not in os.environ]
    if missing:
        raise ConfigError(
            f"WORLD_SIZE is {size}, but {', '.join(missing)} is not set; start the processes with torchrun, or unset WORLD_SIZE"
        )


def agree(store: c10d.Store, rank: int, size: int, limit: float = FORMING.total_seconds()) -> str:
    """Wait until all processes are there.

    Args:
        store: Reached by all processes, and maybe by those of earlier attempts before.

    Returns:
        A prefix of keys that this group alone uses.

    Raises:
        ProcessError: Some did not come in time; the sentence names them.
    """
    group, own_name = f"anew/of-{size}", f"{socket.gethostname()}/{os.getpid()}/{uuid.uuid4().hex}"
    if rank == 0:
        store.set(f"{group}/{ATTEMPT}", own_name)
    place = ""
    deadline = time.monotonic() + limit
    while time.monotonic() < deadline:
        if not place or rank != 0:
            place = _join(store, group, place, rank, own_name)
        if place and _is_complete(store, place, rank, size, own_name):
            return place
        time.sleep(POLL_S)  # not a wait in the store, which no signal could end
    raise _incomplete(store, place, rank, size, limit)


def _join(store: c10d.Store, group: str, place: str, rank: int, own_name: str) -> str:
    """The place of the newest attempt, in which this process is present; "" before there is one."""
    if not store.check([f"{group}/{ATTEMPT}"]):
        return ""
    newest = f"{group}/{store.get(f'{group}/{ATTEMPT}').decode()}"
    if newest != place:
        store.set(_presence(newest, rank), own_name)
    return newest


def _is_complete(store: c10d.Store, place: str, rank: int, size: int, own_name: str) -> bool:
    """Whether the first process has counted this one, and all others, to its attempt."""
    if rank == 0:
        keys = [_presence(place, other) for other in range(size)]
        if not store.check(keys):
            return False
        store.set(f"{place}/{MEMBERS}", json.dumps([name.decode() for name in store.multi_get(keys)]))
        return True
    if not store.check([f"{place}/{MEMBERS}"]):
        return False
    # An attempt of processes that are gone by now counts another process of this number.
    return bool(json.loads(store.get(f"{place}/{MEMBERS}"))[rank] == own_name)


def _presence(place: str, rank: int) -> str:
    return f"{place}/here/{rank}"


def _incomplete(store: c10d.Store, place: str, rank: int, size: int, limit: float) -> ProcessError:
    absent = [other for other in range(size) if not place or not store.check([_presence(place, other)])]
    if not place or not absent:  # nobody leads, or one that has ended
        absent = [0]
    failure = ProcessError(
        f"process {', '.join(map(str, absent))} of {size} did not connect within {limit:.0f} s; "
        "check its host and what it printed, and start them all with the same rendezvous",
        STOPPED,
    )
    speaks = is_first_on_machine() if 0 in absent else rank == 0
    failure.is_reported = not speaks
    return failure
