"""Ends a torchrun that hangs after one of its processes has ended: a process of its own, which outlives that one.

Several times a second torchrun asks the store of its rendezvous whether other machines have joined. If the machine of the store is cut off,
PyTorch (2.13) waits for an answer, whatever `--rdzv-conf` says, until the system gives up the connection after a quarter of an hour.
Meanwhile it does not see that its processes have ended, and hears no signal but SIGKILL.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import PurePath

import psutil

from anew.core.processes.launcher import is_first_on_machine
from anew.core.programs import own_command
from anew.core.wording import ERROR_PREFIX

# Torchrun may take so long to see that a process has ended, which it looks for ten times a second; chosen
NOTICING_S = 15.0
POLL_S = 0.1  # time between looks, each of which costs microseconds; chosen
NAMES = ("RESTART_COUNT", "MAX_RESTARTS")  # variables that torchrun sets for its processes
SENTENCE = (
    "torchrun hangs, since the store of its rendezvous does not answer, and was killed; its processes had ended before"
)
_watchers: list[subprocess.Popen[bytes]] = []  # kept, as an object that is dropped while its process runs warns


def start_watching() -> None:
    """Let a process end torchrun where it hangs when this process, one of its own, has ended.

    Nothing is done where torchrun has restarts left, since it goes on once the network is back, or is not the parent.
    """
    num_restarts, max_restarts = (int(os.environ.get(f"TORCHELASTIC_{name}", "0")) for name in NAMES)
    if num_restarts < max_restarts or not is_first_on_machine():
        return
    with contextlib.suppress(OSError, psutil.Error):  # the caller has to end, whatever comes of this
        if _is_torchrun(psutil.Process(os.getppid()).cmdline()):
            words = own_command("anew.core.processes.stuck_torchrun", str(os.getpid()))
            nothing = subprocess.DEVNULL
            _watchers.append(subprocess.Popen(words, stdin=nothing, stdout=nothing, start_new_session=True))


def _is_torchrun(words: Sequence[str]) -> bool:
    return "torch.distributed.run" in words or any(PurePath(word).name == "torchrun" for word in words[:2])


def end_if_stuck(process: psutil.Process) -> bool:
    """Wait until a process has ended, and kill its parent if that does not notice it. Returns whether the parent was killed."""
    ended_at = None
    try:
        parent = psutil.Process(process.ppid())
        # It is "running" also when it has ended, until its parent has asked for its exit code
        while process.is_running() and process.ppid() == parent.pid:
            if ended_at is None and process.status() == psutil.STATUS_ZOMBIE:
                ended_at = time.monotonic()
            if ended_at is not None and time.monotonic() - ended_at > NOTICING_S:
                parent.kill()
                return True
            time.sleep(POLL_S)
    except psutil.Error:  # one of both is gone
        pass
    return False


if __name__ == "__main__" and end_if_stuck(psutil.Process(int(sys.argv[1]))):
    sys.stderr.write(f"{ERROR_PREFIX}{SENTENCE}\n")
