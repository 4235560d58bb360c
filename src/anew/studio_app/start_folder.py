"""The folder that the Studio was started in: names on the page are paths below it, and nothing else can be named."""

from __future__ import annotations

import contextlib
import hashlib
import os
import secrets
import shutil
from pathlib import Path

from anew.core import files
from anew.errors import ConfigError, RunError, shorten
from anew.server.faults import ApiError

STATE = ".anew-studio"  # folder of the queue, of what commands said, and of the token
IDENTITY = "identity"  # file in it: a secret name, of which the user's cache keeps a digest
TOKEN_BYTES = 32  # 256 random bits, which nobody guesses
MAX_NAME = 1000  # characters of a path within the start folder, as a page may send any


class StartFolder:
    """A folder, and what may be named in it.

    Args:
        root: The folder.

    Attributes:
        root: It, with links resolved.
        state: Where the Studio keeps what it must remember.
    """

    def __init__(self, root: Path) -> None:
        self.root = root.resolve()
        self.state = self.root / STATE

    def check_there(self) -> None:
        """Raise ApiError 410 where the folder itself was moved or deleted while the Studio is open."""
        if not self.root.is_dir():
            message = f"the folder {str(self.root)!r} that the Studio was started in no longer exists"
            raise ApiError(410, f"{message}; put it back, or start the Studio in another")

    def path(self, name: str) -> Path:
        """The path that a name stands for, links resolved.

        Raises:
            ApiError: 400 the name is malformed; 403 it leads out of the folder; 410 the folder itself is gone.
        """
        self.check_there()
        if len(name) > MAX_NAME or "\0" in name:
            raise ApiError(400, "this is not the name of a file or folder")
        try:
            place = (self.root / name).resolve()
        except (OSError, RuntimeError, ValueError):  # a loop of links, a lone surrogate
            raise ApiError(400, f"{shorten(name)} cannot be looked up") from None
        if not place.is_relative_to(self.root):
            message = f"{shorten(name)} lies outside of the folder that the Studio was started in"
            raise ApiError(403, f"{message}; start it in a folder above")
        return place

    def name(self, path: Path) -> str:
        """The name of a path below the folder; "" for the folder itself."""
        name = path.relative_to(self.root).as_posix()
        return "" if name == "." else name

    def make_state(self) -> None:
        """Make the folder of what must be remembered, which only this user can read.

        The queue in it is carried out and its token lets in, so one that came with a stranger's folder is not used.

        Raises:
            ConfigError: Nothing can be written there, or the folder is not of this user's making.
        """
        try:
            if not os.path.lexists(self.state):
                self._make_own_state()
            files.check_folder(self.state)
            if not self._is_own_state():
                raise ConfigError(
                    f"{str(self.state)!r} was not made by you on this computer, so it may hold a stranger's commands; delete it "
                    "if you need nothing of it, then start the Studio again"
                )
            if not os.access(self.state, os.W_OK):
                raise PermissionError(13, "Permission denied")
        except (OSError, RunError) as error:
            reason = files.clause(error)
            raise ConfigError(
                f"the Studio cannot write in {str(self.root)!r} ({reason}); give another `folder`"
            ) from None

    def _make_own_state(self) -> None:
        """Make it, in one step, with an identity that the user's cache knows."""
        identity = secrets.token_hex(TOKEN_BYTES)
        temporary = self.root / files.temporary_name(STATE)
        temporary.mkdir(mode=0o700)
        try:
            files.write_text(temporary / IDENTITY, identity)
            record = _known(identity)
            record.parent.mkdir(parents=True, exist_ok=True)
            files.write(record, b"")
            temporary.rename(self.state)
        except OSError:
            shutil.rmtree(temporary, ignore_errors=True)
            if not self.state.exists():  # by another Studio that begins
                raise

    def _is_own_state(self) -> bool:
        try:
            identity = files.read(self.state / IDENTITY, 1000).decode("ascii")
        except (RunError, UnicodeDecodeError):
            return False
        return _known(identity).is_file()

    def token(self) -> str:
        """The secret of the address. It stays the same when the Studio is started again, so open pages find it."""
        path = self.state / "token"
        with contextlib.suppress(RunError, UnicodeDecodeError):
            token = files.read(path, 1000).decode("ascii").strip()
            if len(token) >= TOKEN_BYTES:
                return token
        token = secrets.token_urlsafe(TOKEN_BYTES)
        path.unlink(missing_ok=True)
        with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="ascii") as file:
            file.write(token)
        return token


def _known(identity: str) -> Path:
    """The file in the user's cache that says that a folder of this identity is of the user's making."""
    return files.cache_root(None) / "studio" / hashlib.sha256(identity.encode()).hexdigest()
