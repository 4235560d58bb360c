"""Origin of a file that Anew generated: its run in this Studio, and the request."""

from __future__ import annotations

import dataclasses
import tempfile
from pathlib import Path

from anew.errors import ConfigError
from anew.sampling.origins import origins_in
from anew.server.faults import bad_request
from anew.studio_app.studio import Studio


def origin_of(studio: Studio, data: bytes) -> dict[str, object]:
    """The origin that is recorded in a file, as JSON values, with the runs of this Studio that have its run's name.

    Raises:
        ApiError: 400 the file records none.
    """
    with tempfile.TemporaryDirectory(prefix="anew-") as temporary:
        path = Path(temporary) / "the file"
        path.write_bytes(data)
        try:
            origin = origins_in(path)[0]
        except ConfigError as error:
            raise bad_request(str(error).replace(repr(str(path)), "this file")) from None
    runs = [name for name, folder in studio.runs().items() if folder.name == origin.run]
    return {**dataclasses.asdict(origin), "runs": runs}
