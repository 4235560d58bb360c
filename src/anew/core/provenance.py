"""Provenance of a run: the version of this package, the command, the environment."""

from __future__ import annotations

import platform
import sys
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from anew.core.machine.cores import count_cores
from anew.core.version import __version__
from anew.core.wording import plural
from anew.errors import command, without_secrets

CPU_INFO = Path("/proc/cpuinfo")  # where Linux names its processors, which Python does not
ORIGIN_MARK = "anew="  # precedes the JSON object in the comment of a sample's file
PROGRAM_NAMES = ("anew", "anew.exe")


def command_line() -> str | None:
    """The command that began this process, as it can be pasted into a shell; None where that was not `anew`."""
    program = Path(sys.argv[0]) if sys.argv else Path()
    is_module = program.name == "__main__.py" and program.parent.name == "anew"
    return command("anew", *without_secrets(sys.argv[1:])) if program.name in PROGRAM_NAMES or is_module else None


@dataclass(frozen=True, slots=True)
class Provenance:
    """How a report was made, so that it can be cited.

    Attributes:
        date: When, in ISO 8601, UTC, to the second.
        machine: System, processor and number of its cores that may be used, and the GPU, if there is one.
        command: The command; None from Python.
        seed: Seed of the samples, and of all that was drawn to measure them.
        training_seed: Seed of the training; None for samples made elsewhere.
        data: Fingerprint of the list of files of the data.
        weights: SHA-256 of the weights; "" for samples made elsewhere.
    """

    version: str
    date: str
    machine: str
    command: str | None
    seed: int
    training_seed: int | None
    data: str
    weights: str

    @classmethod
    def now(cls, seed: int, data: str, *, training_seed: int | None = None, weights: str = "") -> Provenance:
        """The provenance of a report that is made now, by the command that began this process."""
        date = datetime.now(UTC).isoformat(timespec="seconds")
        return cls(__version__, date, machine(), command_line(), seed, training_seed, data, weights)


def machine() -> str:
    """This machine in a few words, without its name."""
    import torch

    parts = [f"{platform.system()} {platform.machine()}", f"{plural(count_cores(), 'core')} of {_processor()}"]
    parts += [torch.cuda.get_device_name()] if torch.cuda.is_available() else []
    return ", ".join(parts)


def _processor() -> str:
    try:
        lines = CPU_INFO.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        lines = []
    model = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "")
    return model or platform.processor() or "an unknown processor"


def versions() -> dict[str, str]:
    """Versions of Python, PyTorch and this package."""
    import torch

    return {"python": platform.python_version(), "torch": torch.__version__, "anew": __version__}
