"""Processes find those of their own attempt, whatever earlier ones left in the store, and can be stopped while they wait."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from torch import distributed as dist

from anew.core.exit_codes import STOPPED
from anew.core.processes.rendezvous import agree, check_environment
from anew.errors import ConfigError, ProcessError
from processes import SOURCES, environment, free_port

KILLED_ONCE = """
import os, signal, sys, time
from pathlib import Path
from anew.core.processes.world import together
with together() as world:
    mark = Path(sys.argv[1])
    is_first = not mark.exists()
    world.barrier()
    if is_first and world.rank == 1:
        mark.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    if is_first:
        time.sleep(60)  # not in a collective, whose failure would be one of this host too, until torchrun ends it
    print("sum", world.sum(1.0)[0], "restart", os.environ["TORCHELASTIC_RESTART_COUNT"], flush=True)
"""
WAITING = """
import signal, sys
from anew.core.processes.world import together
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs ignore it
try:
    print("begun", flush=True)
    with together():
        pass
except KeyboardInterrupt:
    sys.exit(75)
"""


def test_what_earlier_processes_left_misleads_nobody() -> None:
    store = dist.HashStore()
    dead_place = "anew/of-3/dead"
    store.set("anew/of-3/attempt", "dead")
    for rank in range(3):
        store.set(f"{dead_place}/here/{rank}", "dead")
    store.set(f"{dead_place}/members", json.dumps(["dead"] * 3))
    for _ in range(2):  # an attempt that came about misleads the next one as little
        with ThreadPoolExecutor(3) as pool:
            later = [pool.submit(agree, store, rank, 3, 20.0) for rank in (2, 1)]
            time.sleep(0.3)
            places = {place.result() for place in [*later, pool.submit(agree, store, 0, 3, 20.0)]}
        assert len(places) == 1 and dead_place not in places
        dead_place = places.pop()


def test_a_process_that_does_not_come_is_named_and_the_command_may_be_repeated() -> None:
    store = dist.HashStore()
    with ThreadPoolExecutor(2) as pool:
        attempts = [pool.submit(agree, store, rank, 3, 1.0) for rank in (0, 2)]
    failures = [attempt.exception() for attempt in attempts]
    for failure, is_reported in zip(failures, (False, True), strict=True):
        assert isinstance(failure, ProcessError) and str(failure).startswith(
            "process 1 of 3 did not connect within 1 s"
        )
        assert failure.exit_code == STOPPED and failure.is_reported is is_reported
    with pytest.raises(ProcessError, match="process 0 of 2 did not connect") as caught:
        agree(store, 1, 2, 0.3)
    assert caught.value.is_reported is False


def test_processes_without_an_address_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RANK", "0")
    monkeypatch.delenv("MASTER_ADDR", raising=False)
    monkeypatch.delenv("MASTER_PORT", raising=False)
    with pytest.raises(ConfigError, match="WORLD_SIZE is 2, but MASTER_ADDR, MASTER_PORT is not set"):
        check_environment(2)


@pytest.mark.parametrize("rank", [0, 1])
def test_a_signal_ends_the_wait_for_others(rank: int) -> None:
    """PyTorch printed fifty lines of addresses every two seconds for as long as the first process was not there."""
    command, pipe = [sys.executable, "-c", WAITING], subprocess.PIPE
    variables = environment(rank, 2, free_port())
    with subprocess.Popen(command, env=variables, stdout=pipe, stderr=pipe, text=True) as process:
        try:
            assert process.stdout is not None and process.stdout.readline() == "begun\n"
            time.sleep(3)  # until it waits
            process.send_signal(signal.SIGINT)
            _, error = process.communicate(timeout=20)
            assert process.returncode == STOPPED and "frame #" not in error
        finally:
            process.kill()


@pytest.mark.slow
def test_two_hosts_go_on_after_one_process_was_killed(tmp_path: Path) -> None:
    """torchrun counts a restart only on the host whose process failed."""
    (tmp_path / "script.py").write_text(KILLED_ONCE)
    address = f"localhost:{free_port()}"
    # fmt: off
    hosts = [
        subprocess.Popen(
            [sys.executable, "-m", "torch.distributed.run", "--nnodes", "2", "--nproc-per-node", "1", "--max-restarts", "2",
             "--rdzv-backend", "c10d", "--rdzv-endpoint", address, "--rdzv-conf", f"is_host={int(host == 0)},join_timeout=90",
             "script.py", "mark"],
            env=os.environ | {"PYTHONPATH": SOURCES, "OMP_NUM_THREADS": "1"},
            cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )
        for host in range(2)
    ]
    # fmt: on
    try:
        outputs = [host.communicate(timeout=120) for host in hosts]
    finally:
        for host in hosts:
            host.kill()
    assert [host.returncode for host in hosts] == [0, 0], outputs
    counts = sorted(line for out, _ in outputs for line in out.splitlines())
    assert counts == ["sum 2.0 restart 0", "sum 2.0 restart 1"], outputs
