"""Where a sample comes from, in the file of each format and back; comments that anybody may have written."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, cast

import numpy as np
import pytest

from anew.core import isolation
from anew.core.provenance import ORIGIN_MARK
from anew.data.formats.images import pixels
from anew.data.formats.sound import audio
from anew.data.formats.text import fasta
from anew.data.formats.video import frames
from anew.errors import ConfigError
from anew.sampling.drawing import draw_again
from anew.sampling.origins import Origin, from_comment, one_run, origins_in, side_file

if TYPE_CHECKING:
    from anew.sampling.generator import Generator

ORIGIN = Origin(
    "runs é", "0123", 5, 7, (0, 16), label="ä <b>", prompt="a\n\u2028b", settings={"steps": 3, "solver": "heun"}
)


def written(file_format: str, comment: str) -> bytes:
    """A small file with this comment."""
    picture = np.arange(12 * 12, dtype=np.uint8).reshape(12, 12)
    clip = np.stack([picture] * 8)
    if file_format in ("wav", "flac"):
        return audio.to_file(np.zeros(800, np.float32), 8000, file_format, comment)
    if file_format == "fasta":
        return fasta.to_fasta([fasta.FastaRecord(f"sample{i} {comment}", "MKV") for i in (1, 2)]).encode()
    return {
        "png": pixels.png(picture, comment=comment),
        "webp": pixels.webp(picture, comment),
        "jpeg": pixels.jpeg(picture, comment),
        "gif": frames.gif(clip, 8, comment),
        "mp4": frames.mp4(clip, 8, comment),
    }[file_format]


@pytest.mark.parametrize("file_format", ["png", "webp", "jpeg", "wav", "flac", "gif", "mp4", "fasta"])
def test_each_format_keeps_it(file_format: str, tmp_path: Path) -> None:
    path = tmp_path / f"sample.{file_format}"
    path.write_bytes(written(file_format, ORIGIN.to_comment()))
    assert origins_in(path) == [ORIGIN] * (2 if file_format == "fasta" else 1)
    path.write_bytes(written(file_format, ""))
    with pytest.raises(ConfigError, match="has no record of its origin"):
        origins_in(path)


def test_it_is_one_line_of_ascii_and_short() -> None:
    comment = Origin("run", "0123", 0, 0, (0, 1)).to_comment()
    assert (
        comment
        == 'anew={"run":"run","weights":"0123","seed":0,"index":0,"batch":[0,1],"version":"' + ORIGIN.version + '"}'
    )
    assert ORIGIN.to_comment().isascii() and ORIGIN.to_comment().isprintable()


GOOD = json.loads(ORIGIN.to_comment().removeprefix(ORIGIN_MARK))


@pytest.mark.parametrize(
    "value",
    [5, [], "x", {}, GOOD | {"seed": -1}, GOOD | {"seed": "5"}, GOOD | {"seed": 2**63}, GOOD | {"batch": [0]}, GOOD | {"batch": [8, 4]},
     GOOD | {"batch": [0, 10**9]}, GOOD | {"index": True}, GOOD | {"run": 5}, GOOD | {"settings": {"steps": []}}, GOOD | {"more": 1}],
    ids=lambda value: f"{value!r:.30}",
)  # fmt: skip
def test_a_damaged_comment(value: object, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="origin"):
        from_comment(ORIGIN_MARK + json.dumps(value))


@pytest.mark.parametrize("text", ["{", "[" * 10_000, '{"run": NaN', ""])
def test_what_is_no_json(text: str) -> None:
    with pytest.raises(ValueError, match="damaged"):
        from_comment(ORIGIN_MARK + text)


@pytest.mark.parametrize(
    "data", [b"", b"x", b"RIFF", b"\x89PNG", b"GIF8", b"0000ftyp", b">", b">\xff", b"fLaC" + b"0" * 99]
)
def test_what_is_no_file_of_ours(data: bytes, tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(data)
    with pytest.raises(ConfigError, match="give a PNG, WebP"):
        origins_in(path)


def test_native_libraries_see_it_in_another_process_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def forbidden(data: bytes) -> str:
        raise AssertionError("read in this process")

    for module in (audio, frames, pixels):
        monkeypatch.setattr(module, "read_comment", forbidden)
    for file_format in ("png", "webp", "jpeg", "wav", "gif", "mp4"):
        path = tmp_path / f"sample.{file_format}"
        path.write_bytes(written(file_format, ORIGIN.to_comment()))
        assert origins_in(path) == [ORIGIN]


def test_texts_need_no_process_that_decodes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(isolation, "call", None)
    (tmp_path / "all.txt").write_text("one\ntwo\n")
    name, data = side_file({"all.txt": [ORIGIN, ORIGIN]}, None)
    (tmp_path / name).write_bytes(data)
    assert origins_in(tmp_path / "all.txt") == [ORIGIN, ORIGIN]


def test_the_process_that_reads_comments_does_not_load_pytorch() -> None:
    program = "import sys, anew.data.formats.file_comments; sys.exit('torch' in sys.modules)"
    subprocess.run([sys.executable, "-c", program], check=True)


def test_a_pipe_is_not_waited_for_and_a_large_file_not_read(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.png")
    with pytest.raises(ConfigError, match="not a regular file"):
        origins_in(tmp_path / "pipe.png")
    with open(tmp_path / "large.png", "wb") as file:
        file.truncate(10 * 2**30)
    with pytest.raises(ConfigError, match="larger"):
        origins_in(tmp_path / "large.png")


def test_a_file_that_asks_for_more_than_anybody_draws() -> None:
    origins = [replace(ORIGIN, index=256 * i, batch=(256 * i, 256)) for i in range(4000)]
    with pytest.raises(ConfigError, match="1,024,000 samples"):
        draw_again(cast("Generator", SimpleNamespace(item_modality=None)), origins)


def test_samples_of_several_runs(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="several runs"):
        one_run([ORIGIN, replace(ORIGIN, run="other")], tmp_path)


def test_a_side_file_is_json_written_in_pieces() -> None:
    origins = {"a.txt": [ORIGIN], "b ä.txt": [ORIGIN, ORIGIN]}
    values = {name: [origin.to_json() for origin in of_file] for name, of_file in origins.items()}
    assert side_file(origins)[1].decode() == json.dumps(values, indent=1) + "\n"
    assert json.loads(side_file({})[1]) == {}
