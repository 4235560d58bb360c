"""Several processes of one command: started on this machine by torchrun's own launcher, or by torchrun itself."""

from __future__ import annotations

import contextlib
import glob
import json
import logging
import os
import time
from collections.abc import Sequence

from anew.core.exit_codes import MEANINGS, STOPPED
from anew.core.machine.cores import count_cores
from anew.core.programs import own_command
from anew.core.wording import plural
from anew.errors import ConfigError

# Environment variable of a launched process: `time.monotonic()` when the command began.
STARTED = "ANEW_STARTED"
ERROR_FILE = "TORCHELASTIC_ERROR_FILE"
GPU_FILES = "/dev/nvidia[0-9]*"  # the device files of all GPUs, as a pattern
# The environment that torchrun sets for each process. TORCHELASTIC_RUN_ID and the error file are not among these.
OF_GROUP = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")


def num_processes() -> int:
    """Number of processes that torchrun started for this command; 1 without it."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def is_first_process() -> bool:
    """Whether this is the first of all processes that torchrun started, which writes and speaks for them; true without it."""
    return os.environ.get("RANK", "0") == "0"


def launcher_keeps_store() -> bool:
    """Whether the launcher keeps the store by which the processes find each other; else the first process does."""
    return os.environ.get("TORCHELASTIC_USE_AGENT_STORE") == "True"


def is_first_on_machine() -> bool:
    """Whether this is the first of those on this machine."""
    return os.environ.get("LOCAL_RANK", "0") == "0"


def count_gpus() -> int:
    """GPUs that this process may use, without importing PyTorch: a guess, which `torch.cuda.device_count` confirms."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    count = len(glob.glob(GPU_FILES))
    return count if visible is None else min(count, len([name for name in visible.split(",") if name.strip()]))


def processes_to_start(requested: int, device: str) -> int:
    """Number of processes that a training starts on this machine.

    Args:
        requested: The requested number; 0 for one process for each GPU.
        device: The setting of that name.

    Returns:
        1 where this process trains by itself: one is enough, or torchrun has started it.

    Raises:
        ConfigError: More are wanted than there are GPUs or, without GPUs, cores; or several on an Apple computer's GPU.
    """
    if "WORLD_SIZE" in os.environ:
        return 1
    if requested:
        _check_count(requested, device)
        return requested
    if device not in ("auto", "cuda") or count_gpus() < 2:
        return 1
    import torch  # seconds that a machine without GPUs need not spend here

    return max(1, torch.cuda.device_count())


def _check_count(requested: int, device: str) -> None:
    gpus = 0
    if requested > 1 and device in ("auto", "cuda") and count_gpus():
        import torch

        gpus = torch.cuda.device_count()
    if requested > 1 and device == "mps":
        raise ConfigError(f"`processes` {requested} cannot share device=mps; leave it out, or give device=cpu")
    max_processes = gpus or count_cores()
    if requested > max_processes:
        units = plural(max_processes, "GPU" if gpus else "core")
        raise ConfigError(
            f"`processes` {requested} is more than this machine has room for ({units}); give at most {max_processes}"
        )


def leave_group() -> bool:
    """Take this process out of those that torchrun started, for a command that they cannot divide: the first process carries it
    out as if it were alone. Returns whether this is the first."""
    is_first = is_first_process()
    for name in OF_GROUP:
        os.environ.pop(name, None)
    return is_first


def notify_torchrun(code: int) -> None:
    """Leave the exit code where torchrun looks for it: torchrun itself ends with 1, whatever its processes end with, but copies
    this file, with the code of the process that failed first, to where its own TORCHELASTIC_ERROR_FILE says."""
    path = os.environ.get(ERROR_FILE)
    if not path or "TORCHELASTIC_RUN_ID" not in os.environ:
        return
    text = f"anew ended with exit code {code}: {MEANINGS.get(code, 'see what it printed')}"
    about = {"py_callstack": "", "timestamp": str(int(time.time()))}
    with contextlib.suppress(OSError), open(path, "w", encoding="utf-8") as file:
        json.dump({"message": {"message": text, "errorCode": code, "extraInfo": about}}, file)


def quiet_transport() -> None:
    """Let PyTorch's C++ side say errors alone in a process of several: where one of them ends early, the others would show
    stacks of broken connections beside the sentence that says why. Takes effect only before PyTorch is imported."""
    if "WORLD_SIZE" in os.environ:
        os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")


def launch(processes: int, words: Sequence[str], started: float) -> int:
    """Run a command in several processes, to its exit code: that of the process that failed first, or STOPPED where a signal ended it.

    Args:
        words: The command line without its first word.
        started: `time.monotonic()` when the command began: a budget counts from there.
    """
    from torch.distributed.elastic.multiprocessing.api import SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.launcher.api import LaunchConfig, elastic_launch

    os.environ[STARTED] = str(started)
    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, count_cores() // processes)))
    # One host, a free port, and no restarts; for those, use torchrun.
    config = LaunchConfig(
        1, 1, processes, run_id=f"anew-{os.getpid()}", rdzv_backend="c10d", rdzv_endpoint="localhost:0", max_restarts=0
    )
    # The first process says what is wrong. Each logger of the launcher sets a level of its own, so that of their parent has no effect.
    logging.disable(logging.CRITICAL)
    try:
        python, *arguments = own_command("anew", *words)
        elastic_launch(config, python)(*arguments)
    except ChildFailedError as error:
        code = int(error.get_first_failure()[1].exitcode)
        return code if code > 0 else STOPPED  # a signal is a negative number
    except (SignalException, KeyboardInterrupt):
        return STOPPED
    finally:
        logging.disable(logging.NOTSET)
    return 0
