from __future__ import annotations

import time

import pytest

from anew.core.stores import download_pace


def test_downloads_that_fall_behind_are_given_up() -> None:
    begin = time.monotonic() - download_pace.MAX_LAG_S - 10.0
    download_pace.check_pace(11 * download_pace.MIN_BYTES_PER_SECOND, begin)
    with pytest.raises(ValueError, match="it sends fewer than 1,024 bytes a second"):
        download_pace.check_pace(9 * download_pace.MIN_BYTES_PER_SECOND, begin)
