"""The command line: arguments in, one call of `anew.api`, text or JSON out. `main` is the console script."""

from __future__ import annotations

import contextlib
import sys
import time

from anew.cli.parser import parse
from anew.errors import AnewError, UserError, printable


def process_start() -> float:
    """time.monotonic() at which this process began: a budget covers start-up too."""
    now = time.monotonic()
    with contextlib.suppress(OSError, ValueError, IndexError):
        import os

        with open("/proc/self/stat", encoding="ascii", errors="replace") as file:
            ticks = float(file.read().rpartition(")")[2].split()[19])
        age = time.clock_gettime(time.CLOCK_BOOTTIME) - ticks / os.sysconf("SC_CLK_TCK")
        if 0.0 <= age < 60.0:
            return now - age
    return now


def main(argv: list[str] | None = None) -> int:
    """Run one command. Exit code 0, 2 for a user's mistake (one sentence on standard error), 1 where training failed."""
    started = process_start()
    try:
        arguments = parse(sys.argv[1:] if argv is None else argv)
        from anew.cli import commands

        return commands.run(arguments, started)
    except UserError as error:
        print(f"anew: {printable(str(error))}", file=sys.stderr)
        return 2
    except AnewError as error:
        print(f"anew: {printable(str(error))}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("anew: stopped", file=sys.stderr)
        return 130
    except BrokenPipeError:
        # The reader of our output went away (`| head`): nothing is left to say to it.
        sys.stderr.close()
        return 0
