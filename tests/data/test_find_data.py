"""Where the data of a run may lie."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from anew.data.find_data import check_present
from anew.errors import DataError


@pytest.mark.skipif(sys.platform == "win32", reason="folders of Unix")
@pytest.mark.parametrize("place", ["/", "/etc", "/proc/self", "~", "~/.ssh", "link"])
def test_a_run_may_not_name_the_system_or_a_home_as_its_data(
    place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path / "home" / "me"
    (home / ".ssh").mkdir(parents=True)
    (home / "data").mkdir()
    (home / ".anew-studio" / "data").mkdir(parents=True)
    (tmp_path / "link").symlink_to("/")
    monkeypatch.setenv("HOME", str(home))
    path = str(tmp_path / "link") if place == "link" else place.replace("~", str(home))
    with pytest.raises(DataError, match="a folder of the system or of your settings"):
        check_present(path)
    check_present(str(home / "data"))
    check_present(str(home / ".anew-studio" / "data"))


@pytest.mark.parametrize("place", ["/" + "x" * 5_000, "/a\0b"])
def test_a_run_may_name_what_no_system_can_hold(place: str) -> None:
    with pytest.raises(DataError, match="is no longer at"):
        check_present(place)
