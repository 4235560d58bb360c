"""What began this process, for reports: so that a reader can do it again."""

from __future__ import annotations

import sys
from pathlib import Path

from anew.errors import command


def command_line() -> str:
    """The `anew` command of this process, as it can be pasted into a shell.

    Returns:
        The command, or a clause that says so where the library was called by another program: its arguments (those of a
        notebook's kernel, say) would be of no use to anybody.
    """
    program = Path(sys.argv[0]) if sys.argv else Path()
    is_console_script = program.stem == "anew"
    is_module = program.name == "__main__.py" and program.parent.name == "anew"
    if not is_console_script and not is_module:
        return "(called from Python)"
    return command("anew", *sys.argv[1:])


__all__ = ["command_line"]
