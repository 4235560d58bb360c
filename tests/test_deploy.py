"""The recipes in deploy/ give commands that exist."""

from __future__ import annotations

import re
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from anew.cli.parser import parse

DEPLOY = Path(__file__).parents[1] / "deploy"
SCRIPTS = sorted(DEPLOY.rglob("*.sbatch"))
MANIFESTS = sorted(DEPLOY.rglob("*.yaml"))


def commands(text: str) -> list[list[str]]:
    """The words behind `anew` of each command in a shell script, variables filled in."""
    text = re.sub(r"\\\n\s*", " ", text)
    lines = [line.strip() for line in text.splitlines() if re.search(r"(^|\s)anew (train|sample)\s", line)]
    return [shlex.split(filled(line.rstrip("& ").rpartition("anew ")[2])) for line in lines if line[0] != "#"]


def filled(line: str) -> str:
    line = re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", line)
    return re.sub(r"\$\{?(\w+)\}?", lambda match: "3" if match[1] in ("N", "SLURM_ARRAY_TASK_ID") else "9", line)


def documents(path: Path) -> list[Any]:
    yaml = pytest.importorskip("yaml", reason="PyYAML, which reads the manifests, is not installed")
    return list(yaml.safe_load_all(path.read_text()))


def containers(node: Any) -> Iterator[dict[str, Any]]:
    """Objects with a command, wherever they are."""
    if isinstance(node, dict):
        if isinstance(node.get("command"), list):
            yield node
        node = list(node.values())
    for child in node if isinstance(node, list) else ():
        yield from containers(child)


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.name)
def test_scripts_of_slurm(path: Path) -> None:
    subprocess.run(["bash", "-n", str(path)], check=True)
    command_list = commands(path.read_text())
    assert command_list
    for words in command_list:
        parse(words)


@pytest.mark.parametrize("path", MANIFESTS, ids=lambda path: path.parent.name)
def test_manifests(path: Path) -> None:
    num_checked = 0
    for document in documents(path):
        for container in containers(document):
            words = [*container["command"], *container.get("args", [])]
            parse(words[words.index("anew") + 1 :] if "anew" in words else words)
            num_checked += 1
        for words in commands(document.get("run", "")):
            parse(words)
            num_checked += 1
    assert num_checked == 1
