"""The public names are these and work lazily."""

from __future__ import annotations

import inspect
import re
import subprocess
import sys

import anew


def test_every_public_name_is_there() -> None:
    for name in anew.__all__:
        assert getattr(anew, name) is not None
    assert sorted(anew.__all__) == anew.__all__


def test_import_and_help_leave_torch_alone() -> None:
    code = "import sys, anew, anew.cli.parser; sys.exit('torch' in sys.modules or 'numpy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_unknown_name_is_an_attribute_error() -> None:
    try:
        anew.nothing_of_the_sort  # noqa: B018
    except AttributeError as error:
        assert "nothing_of_the_sort" in str(error)
    else:
        raise AssertionError("no error")


def test_its_own_names_are_listed_and_its_help_names_every_function() -> None:
    assert dir(anew) == anew.__all__
    words = set(re.findall(r"[a-z]+", anew.__doc__ or ""))
    assert [name for name in anew.__all__ if inspect.isfunction(getattr(anew, name)) and name not in words] == []
