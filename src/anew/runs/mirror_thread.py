"""While a run at an address is locked for writing, its store is written in the background, and once more at the end."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from anew.core.activity import CurrentWork, progress_lines
from anew.errors import RunError, UnsentError, shorten
from anew.runs.manifest import OBJECTS
from anew.runs.mirror import PROBE_FILE, ConflictingWrite, Mirror, of_folder

INTERVAL_S = 15.0  # seconds between two writes to the store: that much of the log is lost if the machine fails; chosen


class MirrorThread:
    """Writes a folder to its store repeatedly in the background."""

    def __init__(self, mirror: Mirror) -> None:
        self.mirror = mirror
        self.error: Exception | None = None  # why the last write failed
        self._wake, self._is_over = threading.Event(), False
        self._thread = threading.Thread(target=self._run, name="mirror", daemon=True)
        self._thread.start()

    def wake(self) -> None:
        """Write soon, since something changed."""
        self._wake.set()

    def _run(self) -> None:
        while True:
            self._wake.wait(INTERVAL_S)
            self._wake.clear()
            if self._is_over:
                return
            try:
                self.mirror.push()
                self.error = None
            except Exception as error:  # whatever it is, the next write may succeed, and `finish` raises it otherwise
                self.error = error

    def finish(self, is_done: bool) -> None:
        """Stop the background thread and write once more. is_done: whether the work on the run has ended as it should."""
        self._is_over = True
        self._wake.set()
        try:
            with progress_lines(CurrentWork(f"sending the run to {self.mirror.address}")):
                self._thread.join()
                self.mirror.push()
        except ConflictingWrite as error:
            raise RunError(f"{error}; what was done here is kept in {str(self.mirror.set_aside())!r}") from None
        except RunError as error:
            sentence = f"{error}; the run lies in {str(self.mirror.folder)!r}, and `anew resume` writes it again"
            failure = UnsentError(sentence, self.mirror.folder) if is_done else RunError(sentence)
            failure.exit_code = error.exit_code
            raise failure from None


@contextmanager
def mirrored(folder: Path) -> Iterator[None]:
    """If a folder is the local copy of a run at an address, keep the store up to date; at the end it equals the folder."""
    mirror = of_folder(folder)
    if mirror is None:
        yield
        return
    _check_free(mirror)
    mirror.check_writable()
    thread = _threads[folder] = MirrorThread(mirror)
    is_done = False
    try:
        yield
        is_done = True
    finally:
        del _threads[folder]
        thread.finish(is_done)


def _check_free(mirror: Mirror) -> None:
    """Refuse an address of a new run below which other things lie, as a folder that is not empty is refused."""
    state = mirror.state()
    if (state is not None and state.known is not None) or mirror.exists():
        return
    others = sorted({*mirror.names()} - {OBJECTS, PROBE_FILE, ""})
    if others:
        raise RunError(
            f"{mirror.address!r} is not empty (it holds {shorten(others[0])}); give an address below it, like "
            f"'{mirror.address}/run'"
        )


_threads: dict[Path, MirrorThread] = {}


def note_change(folder: Path) -> str | None:
    """Tell the store of a folder, if it has one, about a new checkpoint.

    Returns:
        Why the store could not be written lately, or None.

    Raises:
        ConflictingWrite: Another machine has written the run, so further work here would be lost.
    """
    thread = _threads.get(folder)
    if thread is None:
        return None
    if isinstance(thread.error, ConflictingWrite):
        raise thread.error
    thread.wake()
    return None if thread.error is None else str(thread.error)
