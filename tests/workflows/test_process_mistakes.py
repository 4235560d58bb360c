"""What several processes say when they were started wrongly: one sentence on the first one, exit code 2, no hang."""

from __future__ import annotations

import tarfile
from collections.abc import Sequence
from pathlib import Path

import pytest

import samples
from processes import Ended, finish, fork

SMALL = ("--steps", "4", "--set", "previews=0", "--set", "evaluate_samples=4", "--set", "width=16")
NAMES = ("-m", "anew", "train", "names.txt", "--family", "transformer", "--run", "run", *SMALL)
OTHER_RELEASE = (
    "-c",
    "import sys; from anew.workflows import agreement; agreement.__version__ = '9.9'; from anew.cli import main; sys.exit(main())",
)

PROCESSOR = (
    "-c",
    "import sys, torch; torch.cpu._is_amx_tile_supported = torch.cpu._is_avx512_bf16_supported = lambda: {has_bf16}; "
    "from anew.cli import main; sys.exit(main())",
)
OTHER_DEVICE = (
    "-c",
    "import sys; from anew.core.processes import world; world.pick_device = lambda *arguments: 'meta'; "
    "from anew.cli import main; sys.exit(main())",
)

pytestmark = pytest.mark.slow


def train(folder: Path, *commands: Sequence[str]) -> list[Ended]:
    return finish(fork(commands, [folder] * len(commands)), timeout=500)


def assert_refused(ended: Sequence[Ended], *words: str) -> None:
    assert [process.code for process in ended] == [2] * len(ended), ended
    (line,) = ended[0].err.splitlines()
    assert line.startswith("anew: ") and all(word in line for word in words)
    assert [process.err for process in ended[1:]] == [""] * (len(ended) - 1)


def test_releases_that_differ(tmp_path: Path) -> None:
    samples.names(tmp_path / "names.txt", 300)
    ended = train(tmp_path, NAMES, (*OTHER_RELEASE, *NAMES[2:]))
    assert_refused(
        ended, "process 1 on", "the version of anew ('9.9' and ", "start all processes with the same command"
    )


def test_processors_that_differ_compute_in_fp32(tmp_path: Path) -> None:
    """One sent weights in bf16, the other one in fp32."""
    samples.names(tmp_path / "names.txt", 300)
    words = (*NAMES[2:], "--set", "parallel=fsdp")
    commands = [(*[part.format(has_bf16=has_bf16) for part in PROCESSOR], *words) for has_bf16 in (True, False)]
    ended = train(tmp_path, *commands)
    assert [process.code for process in ended] == [0, 0], ended
    assert "precision=auto is fp32, since process 1 has no hardware for bf16" in ended[0].out


def test_a_machine_without_the_device_of_the_others(tmp_path: Path) -> None:
    """The others waited for half an hour."""
    samples.names(tmp_path / "names.txt", 300)
    ended = train(tmp_path, NAMES, (*OTHER_DEVICE, *NAMES[2:]))
    assert_refused(ended, "process 1 on", "the kind of device ('meta' and 'cpu')", "give device=cpu to all")


def test_settings_that_differ(tmp_path: Path) -> None:
    samples.names(tmp_path / "names.txt", 300)
    ended = train(tmp_path, NAMES, (*NAMES, "--set", "batch_size=7"))
    assert_refused(ended, "process 1 on", "the arguments of the command")


def test_classes_that_differ(tmp_path: Path) -> None:
    folders = [tmp_path / host for host in ("host1", "host2")]
    for folder, classes in zip(folders, (["cat", "dog"], ["dog", "cat"]), strict=True):
        pictures = sorted(samples.shapes(folder / "pictures", 60).rglob("*.png"))
        table = [f"{path.relative_to(folder / 'pictures')},{classes[i % 2]}" for i, path in enumerate(pictures)]
        (folder / "pictures" / "metadata.csv").write_text("\n".join(["file_name,label", *table]))
    command = ("-m", "anew", "train", "pictures", "--family", "vae", "--run", "run", *SMALL[:-2])
    ended = finish(fork([command] * 2, folders), timeout=500)
    assert_refused(ended, "process 1 on", "in the data; give all processes the same files")


def test_more_processes_than_rows_of_a_batch(tmp_path: Path) -> None:
    samples.names(tmp_path / "names.txt", 300)
    ended = train(tmp_path, *[(*NAMES, "--set", "batch_size=2")] * 3)
    assert_refused(ended, "batch_size 2 cannot be shared by 3 processes; give at least 3, or start at most 2")


def test_more_processes_than_shards_train(tmp_path: Path) -> None:
    (tmp_path / "shards").mkdir()
    pictures = sorted(samples.shapes(tmp_path / "pictures", 60).rglob("*.png"))
    with tarfile.open(tmp_path / "shards" / "0.tar", "w") as archive:
        for number, path in enumerate(pictures):
            archive.add(path, f"{number:03}.png")
    ended = train(tmp_path, *[("-m", "anew", "train", "shards", "--family", "gan", "--run", "run", *SMALL)] * 3)
    assert [process.code for process in ended] == [0, 0, 0], ended
    assert [process.err for process in ended] == ["", "", ""]
