"""The folder in which the Studio was started. Names on the page are paths below it, and nothing else can be named."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import secrets
import shutil
from pathlib import Path

from anew.core import files
from anew.errors import ConfigError, RunError, shorten
from anew.server.errors import ApiError

STATE = ".anew-studio"  # folder of the queue, the logs of commands, and the token
IDENTITY = "identity"  # file in it: a secret, whose digest is in the user's cache
TOKEN_BYTES = 32  # 256 random bits, which nobody guesses
MAX_NAME = 1000  # characters of a path in the start folder


def can_be_named(name: str) -> bool:
    """Whether the page can name a file or folder: JSON holds no bytes that are not UTF-8."""
    return not any("\ud800" <= character <= "\udfff" for character in name)


class StartFolder:
    """A start folder, and the names of paths below it.

    Args:
        root: The folder.

    Attributes:
        root: The folder, with links resolved.
        state: Folder of the Studio's state.
    """

    def __init__(self, root: Path) -> None:
        self.root = root.resolve()
        self.state = self.root / STATE

    def check_exists(self) -> None:
        """Raise ApiError 410 if the folder itself was moved or deleted while the Studio is open."""
        if not self.root.is_dir():
            message = f"the folder {str(self.root)!r} in which the Studio was started no longer exists"
            raise ApiError(410, f"{message}; put it back, or start the Studio in another")

    def path(self, name: str) -> Path:
        """The path of a name, with links resolved.

        Raises:
            ApiError: 400 the name is malformed; 403 it leads out of the folder; 410 the folder itself no longer exists.
        """
        self.check_exists()
        if len(name) > MAX_NAME or "\0" in name:
            raise ApiError(400, "this is not the name of a file or folder")
        try:
            path = (self.root / name).resolve()
        except (OSError, RuntimeError, ValueError):  # a loop of links, a lone surrogate
            raise ApiError(400, f"{shorten(name)} is not a valid path") from None
        if not path.is_relative_to(self.root):
            message = f"{shorten(name)} is outside of the folder in which the Studio was started"
            raise ApiError(403, f"{message}; start it in a folder above")
        return path

    def name(self, path: Path) -> str:
        """The name of a path below the folder; "" for the folder itself."""
        name = path.relative_to(self.root).as_posix()
        return "" if name == "." else name

    def make_state(self) -> None:
        """Create the folder of the Studio's state, which only this user can read.

        Commands in its queue are run, and its token gives access. Therefore a folder that this user did not create is refused.

        Raises:
            ConfigError: It cannot be written, or this user did not create it.
        """
        try:
            if not os.path.lexists(self.state):
                self._make_own_state()
            files.check_folder(self.state)
            if not self._is_own_state():
                raise ConfigError(
                    f"{str(self.state)!r} was not created by you on this computer, so it may hold commands of somebody else; delete it "
                    "if you do not need it, then start the Studio again"
                )
            if not os.access(self.state, os.W_OK):
                raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
        except (OSError, RunError) as error:
            reason = files.clause(error)
            raise ConfigError(
                f"the Studio cannot write in {str(self.root)!r} ({reason}); give another `folder`"
            ) from None

    def _make_own_state(self) -> None:
        """Create the folder, in one step, with an identity that the user's cache knows."""
        identity = secrets.token_hex(TOKEN_BYTES)
        temporary = self.root / files.temporary_name(STATE)
        temporary.mkdir(mode=0o700)
        try:
            files.write_text(temporary / IDENTITY, identity)
            record = _identity_record(identity)
            record.parent.mkdir(parents=True, exist_ok=True)
            files.write(record, b"")
            temporary.rename(self.state)
        except (OSError, RunError):
            shutil.rmtree(temporary, ignore_errors=True)
            if not self.state.exists():  # unless another Studio has just created it
                raise

    def _is_own_state(self) -> bool:
        try:
            identity = files.read(self.state / IDENTITY, 1000).decode("ascii")
        except (RunError, UnicodeDecodeError):
            return False
        return _identity_record(identity).is_file()

    def token(self) -> str:
        """The token of the address. It stays the same when the Studio is started again, so that open pages keep working."""
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


def _identity_record(identity: str) -> Path:
    """The file in the user's cache that records that the user created the folder of this identity."""
    return files.cache_root(None) / "studio" / hashlib.sha256(identity.encode()).hexdigest()
