"""Several processes of one command on this machine, by torchrun's own launcher."""

from __future__ import annotations

import glob
import logging
import os
from collections.abc import Mapping, Sequence

from anew.core.programs import own_command

STARTED = "ANEW_STARTED"  # of a launched process: time.monotonic() when the command began
STOPPED = 75  # exit code EX_TEMPFAIL, as in `cli/faults.py`: the same command goes on


def count_gpus(environment: Mapping[str, str] = os.environ, devices: str = "/dev/nvidia[0-9]*") -> int:
    """GPUs that this process may use, without importing PyTorch: a guess, which `torch.cuda.device_count` confirms.

    Args:
        environment: Where CUDA_VISIBLE_DEVICES may choose some.
        devices: What matches the device files of all.
    """
    visible = environment.get("CUDA_VISIBLE_DEVICES")
    count = len(glob.glob(devices))
    return count if visible is None else min(count, len([name for name in visible.split(",") if name.strip()]))


def processes_to_start(requested: int, device: str) -> int:
    """Number of processes that a training starts on this machine.

    Args:
        requested: What the user wants; 0 for one for each GPU.
        device: The setting of that name.

    Returns:
        1 where this process trains by itself: one is enough, or torchrun has started it.
    """
    if "WORLD_SIZE" in os.environ:
        return 1
    if requested:
        return requested
    if device not in ("auto", "cuda") or count_gpus() < 2:
        return 1
    import torch  # seconds that a machine without GPUs need not spend here

    return max(1, torch.cuda.device_count())


def quiet_transport() -> None:
    """Let PyTorch's C++ side say errors alone in a process of several: where one of them ends early, the others would show
    stacks of broken connections beside the sentence that says why. Takes effect only before PyTorch is imported."""
    if "WORLD_SIZE" in os.environ:
        os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")


def launch(processes: int, words: Sequence[str], started: float) -> int:
    """Run a command in several processes, to its exit code.

    Args:
        processes: How many.
        words: The command line without its first word.
        started: `time.monotonic()` when the command began: a budget counts from there.
    """
    from torch.distributed.elastic.multiprocessing.api import SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.launcher.api import LaunchConfig, elastic_launch

    logging.getLogger("torch.distributed").setLevel(logging.CRITICAL + 1)  # the first process says what is wrong
    os.environ[STARTED] = str(started)
    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, (os.cpu_count() or 1) // processes)))
    # One host, a free port, and no restarts: who wants those calls torchrun.
    config = LaunchConfig(
        1, 1, processes, run_id=f"anew-{os.getpid()}", rdzv_backend="c10d", rdzv_endpoint="localhost:0", max_restarts=0
    )
    try:
        python, *arguments = own_command("anew", *words)
        elastic_launch(config, python)(*arguments)
    except ChildFailedError as error:
        return int(error.get_first_failure()[1].exitcode)
    except (SignalException, KeyboardInterrupt):
        return STOPPED
    return 0
