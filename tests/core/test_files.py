from __future__ import annotations

import sys
from pathlib import Path

import pytest

from anew.core import files


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
