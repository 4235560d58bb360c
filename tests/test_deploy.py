"""The recipes in deploy/ give commands that exist."""

from __future__ import annotations

import os
import re
import shlex
import signal
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from torch.distributed.run import parse_args as torchrun_arguments

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


def program(folder: Path, name: str, script: str) -> dict[str, str]:
    """An environment in which `name` is this shell script."""
    path = folder / name
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return os.environ | {"PATH": f"{folder}:{os.environ['PATH']}"}


@pytest.mark.parametrize(("code", "passed_on"), [(0, 0), (1, 1), (2, 0), (75, 75)])
def test_a_mistake_does_not_start_a_container_again(tmp_path: Path, code: int, passed_on: int) -> None:
    environment = program(tmp_path, "anew", f'echo "$@"; exit {code}')
    command = ["sh", str(DEPLOY / "docker" / "stop-on-mistake.sh"), "train", "a b"]
    completed = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert (completed.returncode, completed.stdout) == (passed_on, "train a b\n")
    assert completed.stderr.startswith("not restarted") == (code == 2)


@pytest.mark.parametrize("name", ["anew", "torchrun"])
def test_signals_reach_a_training_in_a_container(tmp_path: Path, name: str) -> None:
    environment = program(tmp_path, name, "trap 'exit 75' TERM\necho ready\nwhile :; do sleep 0.1; done")
    command = ["sh", str(DEPLOY / "docker" / "stop-on-mistake.sh")] if name == "anew" else jobset_command()
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None and process.stdout.readline() == "ready\n"
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 75


def jobset_command() -> list[str]:
    (container,) = [
        container for document in documents(DEPLOY / "kubernetes" / "jobset.yaml") for container in containers(document)
    ]
    return [str(word) for word in container["command"]]


@pytest.mark.parametrize(("code", "passed_on"), [(2, 2), (75, 1), (None, 1)])
def test_the_code_of_a_process_is_that_of_its_pod(tmp_path: Path, code: int | None, passed_on: int) -> None:
    written = (
        ""
        if code is None
        else f"""echo '{{"message": {{"errorCode": {code}, "x": 1}}}}' > "$TORCHELASTIC_ERROR_FILE"; """
    )
    environment = program(tmp_path, "torchrun", f"{written}exit 1")
    script = [word.replace("/tmp/ended.json", str(tmp_path / "ended.json")) for word in jobset_command()]
    completed = subprocess.run([*script, "-m"], env=environment, timeout=60, check=False)
    assert completed.returncode == passed_on


SLURM = {
    "SLURM_JOB_ID": "7",
    "SLURM_JOB_NODELIST": "host",
    "SLURM_JOB_NUM_NODES": "1",
    "SLURM_CPUS_PER_TASK": "8",
    "DATA": "data",
    "RUN": "run",
}


@pytest.mark.parametrize(
    ("error_code", "code", "restarts", "ended", "is_queued"),
    [
        (None, 0, 0, 0, False),
        (75, 1, 0, 1, True),
        (None, 1, 19, 1, True),  # killed by the system: no error file
        (None, 1, 20, 1, False),
        (2, 1, 0, 2, False),
        (None, 127, 0, 127, False),  # no such command
    ],
)
def test_a_training_in_slurm_that_fails_without_a_mistake_is_queued_again(
    tmp_path: Path, error_code: int | None, code: int, restarts: int, ended: int, is_queued: bool
) -> None:
    content = f'{{"message": {{"errorCode": {error_code}, "x": 1}}}}'
    written = "" if error_code is None else f"echo '{content}' > \"$TORCHELASTIC_ERROR_FILE\"; "
    program(tmp_path, "srun", f'echo "$@"; {written}exit {code}')
    environment = program(tmp_path, "scontrol", f'[ "$1" = requeue ] && touch {tmp_path}/queued; echo host')
    environment |= SLURM | {"SLURM_RESTART_COUNT": str(restarts), "TMPDIR": str(tmp_path)}
    command = ["bash", str(DEPLOY / "slurm" / "train.sbatch")]
    completed = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert completed.returncode == ended and "--cpus-per-task=8 torchrun" in completed.stdout
    assert (tmp_path / "queued").exists() == is_queued
    assert not (tmp_path / "anew-7.json").exists()


@pytest.mark.parametrize(
    ("preempted", "mode", "is_queued"),
    [("2026-12-01T21:18:49", "REQUEUE", False), ("2026-12-01T21:18:49", "CANCEL", True), ("None", "REQUEUE", True)],
)
def test_a_training_that_slurm_queues_again_is_not_queued_twice(
    tmp_path: Path, preempted: str, mode: str, is_queued: bool
) -> None:
    """It ran once more after it was done."""
    program(tmp_path, "srun", "exit 143")
    script = (
        f'case "$1 $2" in "requeue 7") touch {tmp_path}/queued ;; '
        f'"show job") echo "   PreemptEligibleTime=2026-12-01T21:18:43 PreemptTime={preempted}" ;; '
        f'"show partition") echo "   OverTimeLimit=NONE PreemptMode={mode}" ;; *) echo host ;; esac'
    )
    environment = program(tmp_path, "scontrol", script)
    environment |= SLURM | {"SLURM_JOB_PARTITION": "low", "TMPDIR": str(tmp_path)}
    command = ["bash", str(DEPLOY / "slurm" / "train.sbatch")]
    completed = subprocess.run(command, env=environment, timeout=60, check=False)
    assert completed.returncode == 143 and (tmp_path / "queued").exists() == is_queued


@pytest.mark.parametrize("name", ["DATA", "RUN"])
@pytest.mark.parametrize("value", [None, ""])
def test_a_training_in_slurm_without_its_names_is_not_queued_again(
    tmp_path: Path, name: str, value: str | None
) -> None:
    program(tmp_path, "srun", "exit 0")
    environment = program(tmp_path, "scontrol", f'[ "$1" = requeue ] && touch {tmp_path}/queued; echo host')
    environment |= SLURM | {"TMPDIR": str(tmp_path)}
    del environment[name]
    environment |= {} if value is None else {name: value}
    command = ["bash", str(DEPLOY / "slurm" / "train.sbatch")]
    completed = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert completed.returncode == 2 and completed.stderr.startswith(f"{name} is not set")
    assert not (tmp_path / "queued").exists()


def test_the_cores_of_a_node_are_taken_where_slurm_names_none_for_a_task(tmp_path: Path) -> None:
    program(tmp_path, "srun", 'echo "$@"')
    environment = program(tmp_path, "scontrol", "echo host") | SLURM | {"TMPDIR": str(tmp_path)}
    del environment["SLURM_CPUS_PER_TASK"]
    environment |= {"SLURM_CPUS_ON_NODE": "6"}
    command = ["bash", str(DEPLOY / "slurm" / "train.sbatch")]
    completed = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert completed.returncode == 0 and "--cpus-per-task=6 torchrun" in completed.stdout


@pytest.mark.parametrize("name", ["RUN", "N", "OUT", "SLURM_ARRAY_TASK_ID"])
def test_samples_in_slurm_need_their_names(tmp_path: Path, name: str) -> None:
    environment = program(tmp_path, "anew", 'echo "$@"')
    environment |= {"SLURM_ARRAY_TASK_ID": "1", "SHARES": "2", "RUN": "run", "N": "9", "OUT": "out"}
    del environment[name]
    command = ["bash", str(DEPLOY / "slurm" / "sample.sbatch")]
    completed = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert completed.returncode == 2 and completed.stderr.startswith(f"{name} is not set")


def test_a_pod_waits_for_the_first_one(tmp_path: Path) -> None:
    environment = program(tmp_path, "torchrun", f"echo begun > {tmp_path}/begun")
    program(tmp_path, "sleep", "exec /bin/sleep 0.1")  # not the 5 s between two attempts
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [*jobset_command(), "--nnodes=2", f"--rdzv-endpoint=127.0.0.1:{port}", "-m"]
    environment |= {"JOB_COMPLETION_INDEX": "1"}
    with subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None and process.stderr.readline() == f"waiting for 127.0.0.1:{port}\n"
        assert not (tmp_path / "begun").exists()
        with socket.create_server(("127.0.0.1", port)):
            assert process.wait(60) == 0
    assert (tmp_path / "begun").exists()


@pytest.mark.parametrize(
    ("shares", "task", "sentence"),
    [
        ("8", "3", "sample run -n 100 --share 3/8 --out out/3"),
        ("8", "0", "task 0 is not one of the shares 1 to 8"),
        ("8", "9", "task 9 is not one of the shares 1 to 8"),
        (None, "1", "SHARES must be the number of shares"),
        ("all", "1", "not 'all'"),
    ],
)
def test_the_number_of_shares_is_given_and_checked(
    tmp_path: Path, shares: str | None, task: str, sentence: str
) -> None:
    environment = program(tmp_path, "anew", 'echo "$@"')
    # Of failed tasks alone: their count is no number of shares.
    environment |= {"SLURM_ARRAY_TASK_ID": task, "SLURM_ARRAY_TASK_COUNT": "2", "RUN": "run", "N": "100", "OUT": "out"}
    environment |= {} if shares is None else {"SHARES": shares}
    command = ["bash", str(DEPLOY / "slurm" / "sample.sbatch")]
    completed = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert sentence in completed.stdout + completed.stderr
    assert completed.returncode == (0 if "sample" in sentence else 2)


@pytest.mark.parametrize(
    ("files", "output"),
    [
        (["0.png"], "is complete"),
        (["0.png", ".unfinished.json"], "sample run"),
        ([".unfinished.json.tmp"], "sample run"),
        ([], "sample run"),
    ],
)
def test_a_share_that_was_broken_off_is_drawn_again(tmp_path: Path, files: list[str], output: str) -> None:
    share = tmp_path / "out" / "3"
    share.mkdir(parents=True)
    for name in files:
        (share / name).touch()
    environment = program(tmp_path, "anew", 'echo "$@"')
    environment |= {"SLURM_ARRAY_TASK_ID": "3", "SLURM_RESTART_COUNT": "1", "SHARES": "8"}
    environment |= {"RUN": "run", "N": "100", "OUT": str(tmp_path / "out")}
    command = ["bash", str(DEPLOY / "slurm" / "sample.sbatch")]
    completed = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=True)
    assert output in completed.stdout


@pytest.mark.parametrize(
    ("bucket", "extra"),
    [("s3://my-bucket", "s3"), ("gs://my-bucket", "gcs"), ("az://my-bucket", "azure"), ("https://host/data", None)],
)
def test_the_client_of_the_bucket_is_installed(tmp_path: Path, bucket: str, extra: str | None) -> None:
    environment = program(tmp_path, "uv", 'echo "$@"') | {"BUCKET": bucket, "HOME": str(tmp_path)}
    (document,) = documents(DEPLOY / "skypilot" / "train.yaml")
    command = ["bash", "-c", document["setup"]]
    completed = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)
    home = tmp_path / "anew-env"
    expected = f"venv --python 3.12 {home}\npip install --python {home} .[audio,video,code,tables,molecules,{extra}]\n"
    assert completed.stdout == ("" if extra is None else expected)
    assert completed.returncode == (2 if extra is None else 0)


def torchrun_commands() -> Iterator[list[str]]:
    """The words behind `torchrun` in recipes and on pages."""
    docs = DEPLOY.parent / "docs"
    for path in [
        *SCRIPTS,
        *(page for page in docs.rglob("*.md") if page.name != "log.md"),
        DEPLOY.parent / "README.md",
    ]:
        text = re.sub(r"\\\n\s*", " ", path.read_text(encoding="utf-8"))
        for line in re.findall(r"^(?:srun .*?|[A-Z_]+=\S+ )?torchrun (.*-m -- anew .*)$", text, re.MULTILINE):
            yield shlex.split(filled(line.rstrip("& ")))
    for document in documents(DEPLOY / "kubernetes" / "jobset.yaml"):
        for container in containers(document):
            yield container["args"]


def test_options_of_torchrun_exist() -> None:
    commands_found = list(torchrun_commands())
    assert len(commands_found) > 5
    for words in commands_found:
        parsed = torchrun_arguments([re.sub(r"^9$", "1", word) for word in words])
        assert parsed.module and parsed.training_script == "anew"
        parse(parsed.training_script_args)
