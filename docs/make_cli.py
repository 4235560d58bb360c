"""Writes docs/reference/cli.md from the parsers of the commands: python docs/make_cli.py"""

from __future__ import annotations

import argparse
from pathlib import Path

from anew.cli.parser import COMMANDS, CommandParser, parsers

PAGE = Path(__file__).parent / "reference" / "cli.md"
HEAD = """# Command line

Every command takes `--help`, `--json` (one JSON object on standard output, progress on standard error) and `--debug`
(show the traceback of an error; also `ANEW_DEBUG=1`). `anew --version` prints the version.

| exit code | meaning |
|---|---|
| 0 | done |
| 1 | a bug in Anew; a file with the traceback is named |
| 2 | an argument, the data or the machine's limits; one sentence says what to change |
| 3 | a condition of `anew evaluate --fail-on` holds, or was not measured |
| 75 | stopped by Ctrl-C or SIGTERM; `anew resume RUN`, or the same `anew compare`, continues |

Times are written `90s`, `10m` or `2h`. This page is written by `docs/make_cli.py`.
"""
COMMON = {"help", "json", "debug"}


def shown(action: argparse.Action) -> str:
    """How an argument is written: `DATA`, `-n N`, `--set KEY=VALUE`."""
    if not action.option_strings:
        return f"`{action.dest.upper()}`"
    takes_value = action.nargs != 0
    value = f" {action.metavar or action.dest.upper()}" if takes_value else ""
    return f"`{action.option_strings[-1]}{value}`".replace("|", "\\|")


def section(name: str, parser: CommandParser) -> list[str]:
    actions = [action for action in parser.arguments if action.dest not in COMMON]
    summary = COMMANDS[name][0]
    lines = [f"## anew {name}", "", f"{summary[0].upper()}{summary[1:]}.", ""]
    rows = [f"| {shown(action)} | {(action.help or '').replace('|', chr(92) + '|')} |" for action in actions]
    return [*lines, "| argument | meaning |", "|---|---|", *rows, ""]


def page() -> str:
    _, commands = parsers()
    lines = [HEAD]
    for name, parser in commands.items():
        lines += section(name, parser)
    return "\n".join(lines)


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
