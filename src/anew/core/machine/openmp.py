"""How threads of this process wait for each other. For the command line only, whose process serves nothing else."""

from __future__ import annotations

import os

# Turns of GNU OpenMP's waiting loop before a thread sleeps. Its default of 300,000 lasts longer than a time slice: beside other
# programs a thread then burns its slice waiting for one that is not running, and a step takes 10 to 50 times as long. So few
# turns still cover the wait for a thread that is running (measured in docs/log.md, 2026-11-26).
SPIN_COUNT = 5_000
# How long NumPy's OpenBLAS waits before a thread sleeps, as a power of two of processor cycles; its default is 26 (docs/log.md,
# 2026-11-26).
BLAS_TIMEOUT = 18


def limit_spinning() -> None:
    """Let threads sleep soon where they wait. Takes effect only before NumPy and PyTorch are imported; what the user set stays."""
    os.environ.setdefault("OPENBLAS_THREAD_TIMEOUT", str(BLAS_TIMEOUT))
    if "OMP_WAIT_POLICY" not in os.environ:
        os.environ.setdefault("GOMP_SPINCOUNT", str(SPIN_COUNT))
