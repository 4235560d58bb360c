from __future__ import annotations

import sys
from pathlib import Path

import pytest

from anew.core import files
from anew.errors import RunError


@pytest.mark.skipif(sys.platform == "win32", reason="folders of Unix")
@pytest.mark.parametrize(
    ("path", "is_private"),
    [
        ("/", True),
        ("/etc/ssl", True),
        ("/run/secrets", True),
        ("/run/media", True),
        ("/run/media/disc/photos", False),  # a disc that was plugged in
        ("/dev/shm/photos", False),  # a disc in memory
        ("~", True),
        ("~/.ssh", True),
        ("~/.cache/data", False),
        ("~/photos", False),
    ],
)
def test_folders_that_hold_no_data(path: str, is_private: bool) -> None:
    assert files.is_private(Path(path).expanduser()) is is_private


def test_json_that_would_fill_the_memory_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "config.json"
    path.write_text("[" + "[]," * 4_500_000 + "1]")
    with pytest.raises(RunError, match=r"config\.json' holds more values than such a file may have"):
        files.read_json(path)
    path.write_text('["' + "x" * 10**6 + '"]')
    assert len(files.read_json(path)[0]) == 10**6


def test_a_file_is_written_where_folders_cannot_be_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tried: list[object] = []

    def refuse(*arguments: object, **options: object) -> int:
        tried.append(arguments)
        raise PermissionError(13, "folders cannot be opened, as on Windows")

    with monkeypatch.context() as windows:
        windows.setattr(files.os, "open", refuse)
        with pytest.raises(PermissionError):
            files.sync_folder(tmp_path)
        windows.setattr(files.os, "name", "nt")
        files.sync_folder(tmp_path)
        assert len(tried) == 1


def test_a_long_reason_ends_between_words() -> None:
    assert files.clause(ValueError("word " * 10)) == ("word " * 10).strip()
    assert files.clause(ValueError("word " * 50)) == "word " * 24 + "..."
    assert files.clause(ValueError("")) == "ValueError"
