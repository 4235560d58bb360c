"""What callers learn from an error besides its sentence."""

from __future__ import annotations

from pathlib import Path

import pytest

import anew
from anew.errors import ConfigError


def test_an_error_says_which_argument_was_wrong(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        anew.compare(out=tmp_path / "out", families=[3])  # type: ignore[list-item]
    assert caught.value.argument == "families"
    assert ConfigError("run `anew evaluate RUN`").argument is None and ConfigError("too small").argument is None
