"""What commands print beside their results."""

from __future__ import annotations

import io
import logging
from contextlib import redirect_stderr

from anew.cli.printing import requests_printed


def test_requests_are_printed_only_while_the_command_serves() -> None:
    logger = logging.getLogger("anew.server.requests")
    before = list(logger.handlers), logger.level, logger.propagate
    err = io.StringIO()
    with redirect_stderr(err), requests_printed():
        logger.info("GET / 200")
    logger.info("later")  # where the stream of the first server is closed, this was a "Logging error"
    assert err.getvalue().endswith("GET / 200\n") and "later" not in err.getvalue()
    assert (list(logger.handlers), logger.level, logger.propagate) == before
