"""Runs at an address (`s3://bucket/run`): a folder of the cache is the local copy, and its contents are kept in a store.

In the store, a file is an object named by its SHA-256, and `anew-run.json`, written last, says which objects make up the run. Thus a kill
at any instant leaves the run whole, as it was last written, and another machine can continue it. When it is
written: `mirror_thread.py`.
"""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import json
import os
import re
import secrets
import shutil
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

from filelock import FileLock

from anew.core import files
from anew.core.stores import addresses
from anew.core.stores.addresses import FileSystem
from anew.core.stores.store_attempts import upload
from anew.errors import RunError
from anew.runs import events, lock, snapshots, timelapse
from anew.runs.manifest import (
    MANIFEST,
    MANIFEST_BYTES,
    OBJECTS,
    Manifest,
    State,
    Stored,
    parse_manifest,
    read_state,
)
from anew.runs.paths import CONFIG, STORE_STATE, WEIGHT_FILE

PROBE_FILE = "anew-probe"  # a name in the store
SENDING = ".sending"  # the folder next to the local copy that holds files while they are sent
STREAMS = 8  # files that are sent or fetched at once, which hides the time of waiting for answers; chosen
# Number of tries to send while files change: a training changes one of them now and then; chosen
SEND_TRIES = 20
LOCAL_ONLY = re.compile(r"(\.lock|\.lock-holder|\..*\.tmp)")  # names of files that stay on this machine


class ConflictingWrite(RunError):
    """Another machine has written the run meanwhile."""


def place_of(address: str) -> Path:
    """The folder of the cache that is the local copy of a run at an address; it has the run's name."""
    digest = hashlib.blake2b(address.encode(), digest_size=12).hexdigest()
    return files.cache_root(None) / "runs" / digest / (re.sub(r"[^\w.-]", "-", address.rpartition("/")[2]) or "run")


def of_folder(folder: Path) -> Mirror | None:
    """The mirror of a folder, if it is the local copy of a run at an address."""
    state_path = folder.parent / STORE_STATE
    if not state_path.is_file():
        return None
    state = read_state(state_path)
    return Mirror(state.address) if state is not None and place_of(state.address) == folder else None


def notes_of(folder: Path) -> list[str]:
    """Messages for the user on a local copy of a run at an address: that it is not up to date, or which files were moved aside."""
    mirror = of_folder(folder)
    if mirror is None:
        return []
    notes = []
    holder = lock.holder_elsewhere(folder)
    if holder is not None:
        notes.append(
            f"The copy of {mirror.address!r} on this machine is used as it is, since {holder} writes it; if that process is "
            f"gone, remove {str(folder / lock.HOLDER)!r}."
        )
    state = mirror.state()
    if state is not None and state.set_aside is not None:
        notes.append(
            f"{mirror.address!r} was written by another machine meanwhile; what was done here is kept in {state.set_aside!r}."
        )
    return notes


class Mirror:
    """A run in a store, and its local copy. address: from `run_address`."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.folder = place_of(address)
        self._state_path = self.folder.parent / STORE_STATE
        self._system: FileSystem | None = None
        self._root = ""
        self._digests: dict[str, tuple[tuple[int, int, int], Stored]] = {}
        self._objects: set[str] = set()  # keys of the objects in the store, after it was listed
        self._is_listed = False

    # -- from the store -------------------------------------------------------------------------------------------------

    def state(self) -> State | None:
        """This machine's knowledge of the store, if any."""
        return read_state(self._state_path)

    def exists(self) -> bool:
        """Whether the store holds a run there."""
        return self._manifest() is not None

    def fetch(self, *, whole: bool) -> None:
        """Update the folder from the store, unless the store has what this machine wrote last, or the folder is being written. Files
        that this machine wrote after another one had written the run are moved aside.

        Args:
            whole: Whether checkpoints are needed too.

        Raises:
            RunError: The store cannot be read, or its files do not match the manifest.
        """
        self.folder.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(self.folder.parent / ".lock"):
            state = read_state(self._state_path)
            if state is None or state.address != self.address:
                state = State(address=self.address)
                self._write_state(state)
            if lock.is_held(self.folder):
                return
            manifest = self._manifest()
            if manifest is None:
                return
            is_here = (self.folder / CONFIG).is_file()
            is_own = is_here and manifest in (state.known, state.pending)
            if is_own and not (whole and state.is_partial):
                self._write_state(State(address=self.address, known=manifest, is_partial=state.is_partial))
                return
            aside = self.set_aside() if is_here and not is_own and self._has_work(state, manifest) else None
            is_partial = not whole
            self._replace({n: e for n, e in manifest.files.items() if whole or not _is_for_training(n)}, keep=is_own)
            set_aside = None if aside is None else str(aside)
            self._write_state(State(address=self.address, known=manifest, is_partial=is_partial, set_aside=set_aside))

    def _has_work(self, state: State, manifest: Manifest) -> bool:
        """Whether the folder has files, besides logs, that no known version of the run has."""
        versions = [version.files for version in (state.known, state.pending, manifest) if version is not None]
        names = (path.relative_to(self.folder).as_posix() for path in self._paths())
        return any(
            self._stored(name) not in [version.get(name) for version in versions]
            for name in names
            if name.rpartition("/")[2] != events.NAME
        )

    def set_aside(self) -> Path:
        """Give the folder another name, under which it is an ordinary run, and return that."""
        for name in {lock.NAME, lock.HOLDER}:
            (self.folder / name).unlink(missing_ok=True)
        stem = f"{self.folder.name}-kept-{time.strftime('%Y-%m-%dT%H-%M-%S')}"
        names = (stem if number == 1 else f"{stem}-{number}" for number in itertools.count(1))
        place = next(path for path in map(self.folder.with_name, names) if not path.exists())
        self.folder.rename(place)
        return place

    def _replace(self, wanted: dict[str, Stored], keep: bool) -> None:
        """Make the folder hold exactly these files. keep: only fetch those that are missing, and change no others."""
        for path in () if keep else list(self._paths()):
            if path.relative_to(self.folder).as_posix() not in wanted:
                path.unlink(missing_ok=True)
        names: dict[str, list[str]] = {}  # names of the files that have the same object, by its key
        for name, entry in wanted.items():
            is_missing = not (self.folder / name).is_file() if keep else self._stored(name) != entry
            if is_missing:
                names.setdefault(entry.key(name), []).append(name)
        with ThreadPoolExecutor(STREAMS) as pool:
            for _ in pool.map(lambda same: self._fetch_files(same, wanted[same[0]]), names.values()):
                pass

    def _fetch_files(self, names: list[str], entry: Stored) -> None:
        first, *others = names
        self._fetch_file(first, entry)
        for name in others:
            path = self.folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.unlink(missing_ok=True)
            with contextlib.suppress(OSError):  # some file systems have no links
                if "checkpoints/" in name:  # these files never change, so equal ones (buffers) can share the disk
                    os.link(self.folder / first, path)
            if not path.exists():
                shutil.copyfile(self.folder / first, path)

    def _fetch_file(self, name: str, entry: Stored) -> None:
        path = self.folder / name
        temporary = path.with_name(files.temporary_name(path.name))
        system, root = self._store()
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            key = f"{root}/{entry.key(name)}"
            fault = self._with_store_errors(lambda: _fetch_object(system, key, temporary, entry.bytes))
            if fault or _digest(temporary) != entry:
                fault = fault or f"is not what {MANIFEST} says"
                raise RunError(f"{name!r} of {self.address!r} {fault}; restore it or train again")
            os.replace(temporary, path)
        except OSError as error:
            raise RunError(f"{name!r} of {self.address!r} cannot be kept here ({files.clause(error)})") from None
        finally:
            temporary.unlink(missing_ok=True)

    # -- to the store ---------------------------------------------------------------------------------------------------

    def check_writable(self) -> None:
        """Write an object and remove it, so that an unusable store is reported before the work, not after it.

        Raises:
            RunError: There is no such bucket, or it may not be written.
        """
        system, root = self._store()
        key = f"{root}/{PROBE_FILE}"
        self._with_store_errors(lambda: system.pipe_file(key, b"written to see whether it can be\n"), "written")
        with contextlib.suppress(Exception):  # permission to write need not include removal
            system.rm_file(key)

    def names(self) -> list[str]:
        """The names directly below the address."""
        system, root = self._store()
        keys = self._with_store_errors(lambda: system.ls(root, detail=False) if system.exists(root) else [])
        return [str(key).rstrip("/").rpartition("/")[2] for key in keys]

    def push(self) -> None:
        """Write the folder to the store.

        Raises:
            RunError: The store cannot be written, or another machine has written the run meanwhile.
        """
        if not (self.folder / CONFIG).is_file():
            return  # nothing has begun
        state = read_state(self._state_path) or State(address=self.address)
        known = state.known.files if state.known is not None else {}
        contents = self._upload_changed(known)
        if state.is_partial:  # checkpoints that were left in the store stay there
            contents = {name: entry for name, entry in known.items() if _is_for_training(name)} | contents
        if state.known is not None and contents == known:
            return
        present = self._manifest()
        if present != state.known and (present is None or present != state.pending):
            raise ConflictingWrite(f"{self.address!r} was written by another machine meanwhile, so it is left as it is")
        generation = 1 if present is None else present.generation + 1
        manifest = Manifest(generation=generation, writer=secrets.token_hex(8), files=contents)
        self._write_state(state.model_copy(update={"known": present, "pending": manifest}))
        system, root = self._store()
        text = json.dumps(manifest.model_dump(), indent=1).encode()
        self._with_store_errors(lambda: _put_bytes(system, text, f"{root}/{MANIFEST}"), "written")
        self._write_state(state.model_copy(update={"known": manifest, "pending": None}))
        self._remove_unnamed(present, manifest)

    def _upload_changed(self, known: dict[str, Stored]) -> dict[str, Stored]:
        """Send all files of the folder that the store lacks; returns all files. Checkpoints are read before the log, so that the log
        has all of their steps; config.json is read before the files that it may mention."""
        present = {entry.key(name) for name, entry in known.items()}
        changed = ""
        for _ in range(SEND_TRIES):
            try:
                return self._upload_files(present)
            except FileNotFoundError as error:  # a file was replaced or removed meanwhile: begin again
                changed = error.filename or str(error)
            except OSError as error:
                reason = files.clause(error)
                raise RunError(
                    f"the files of {str(self.folder)!r} cannot be sent ({reason}); free some space or check the permissions"
                ) from error
        raise RunError(
            f"{changed!r} changes whenever it is sent to {self.address!r}; stop what writes it, or remove it"
        )

    def _upload_files(self, present: set[str]) -> dict[str, Stored]:
        names = sorted((path.relative_to(self.folder).as_posix() for path in self._paths()), key=_order)
        with _held(self.folder, [name for name in names if "checkpoints/" in name]) as links:
            sent = {name: self._upload(name, links.get(name, self.folder / name), present) for name in names}
        # The index of weights says nothing of what is in its files, which may have been replaced since they were sent.
        for name in names:
            if WEIGHT_FILE.fullmatch(name.rpartition("/")[2]) and self._stored(name) != sent[name]:
                raise FileNotFoundError(self.folder / name)
        return sent

    def _upload(self, name: str, path: Path, present: set[str]) -> Stored:
        if name.rpartition("/")[2] == events.NAME:  # lines are appended meanwhile, so a copy in memory is sent
            data = files.read(path, events.MAX_LOG_BYTES)
            entry = Stored(bytes=len(data), sha256=hashlib.sha256(data).hexdigest())
            self._put(name, entry, present, lambda system, key: _put_bytes(system, data, key))
            return entry
        stored = self._stored(name, path)
        if stored is None:
            raise FileNotFoundError(path)
        self._put(name, stored, present, lambda system, key: _put_object(system, path, key))
        if self._stored(name, path) != stored:
            raise FileNotFoundError(path)
        return stored

    def _put(self, name: str, entry: Stored, present: set[str], send: Callable[[FileSystem, str], object]) -> None:
        if entry.key(name) not in present:
            system, root = self._store()
            key = f"{root}/{entry.key(name)}"
            fault = self._with_store_errors(lambda: send(system, key), "written")
            if isinstance(fault, FileNotFoundError):
                raise fault
            present.add(entry.key(name))
            self._objects.add(entry.key(name))

    def _remove_unnamed(self, before: Manifest | None, now: Manifest) -> None:
        """Remove objects that are named by neither this manifest nor the previous one, which a process that has just read it may
        still fetch."""
        system, root = self._store()
        keys = {entry.key(name) for manifest in (before, now) if manifest for name, entry in manifest.files.items()}
        if not self._is_listed:
            paths = self._with_store_errors(lambda: system.find(f"{root}/{OBJECTS}", detail=True))
            self._objects = {path[path.index(f"/{OBJECTS}/") + 1 :] for path in paths}
            self._is_listed = True
        self._objects |= keys
        for key in self._objects - keys:
            with contextlib.suppress(Exception):  # the next writer of the run tries again
                system.rm_file(f"{root}/{key}")
        self._objects = set(keys)

    # -- both -----------------------------------------------------------------------------------------------------------

    def _store(self) -> tuple[FileSystem, str]:
        if self._system is None:
            self._system, root = addresses.open_store(self.address, "keeping runs at", RunError)
            self._root = root.rstrip("/")
        return self._system, self._root

    def _with_store_errors(self, action: Callable[[], addresses.R], verb: str = "read") -> addresses.R:
        return addresses.with_retries(action, self.address, RunError, verb)

    def _manifest(self) -> Manifest | None:
        """The manifest in the store; None if there is no run."""
        system, root = self._store()
        system.invalidate_cache()

        def read() -> bytes | None:
            try:
                return system.cat_file(f"{root}/{MANIFEST}", end=MANIFEST_BYTES + 1)
            except FileNotFoundError:
                return None

        data = self._with_store_errors(read)
        return None if data is None else parse_manifest(data, self.address)

    def _paths(self) -> Iterator[Path]:
        """The files of the folder that belong to the run."""
        for folder, folders, names in os.walk(self.folder):
            folders[:] = [name for name in folders if not LOCAL_ONLY.fullmatch(name)]
            for name in names:
                path = Path(folder, name)
                if not LOCAL_ONLY.fullmatch(name) and path.is_file() and not path.is_symlink():
                    yield path

    def _stored(self, name: str, path: Path | None = None) -> Stored | None:
        """Size and digest of a file, computed again only if the file changed; None if there is no file.

        Args:
            name: The file, relative to the folder.
            path: Hard link to it that is read instead, since it lasts; None: the file itself.
        """
        path = path or self.folder / name
        try:
            status = path.stat()
            stamp = (status.st_ino, status.st_mtime_ns, status.st_size)
            if name not in self._digests or self._digests[name][0] != stamp:
                self._digests[name] = (stamp, _digest(path))
        except FileNotFoundError:
            return None
        except OSError as error:
            place = str(self.folder / name)
            raise RunError(
                f"{place!r} cannot be read ({files.clause(error)}); check its permissions, or remove it"
            ) from None
        return self._digests[name][1]

    def _write_state(self, state: State) -> None:
        files.write_json(self._state_path, state.model_dump())


def _fetch_object(system: FileSystem, key: str, place: Path, size: int) -> str:
    """Fetch an object of this size to a place; returns what is wrong with it, or ""."""
    try:
        system.get_file(key, str(place), callback=addresses.size_limit(size))
    except FileNotFoundError:
        return f"is missing: there is no object {key!r}"
    except addresses.TooLongError:
        return f"is longer than {MANIFEST} says"
    return ""


@contextlib.contextmanager
def _held(folder: Path, names: list[str]) -> Iterator[dict[str, Path]]:
    """Links to files that never change, by name. The training removes old checkpoints while they are sent, which may take longer than
    the next ones last."""
    place = folder.with_name(SENDING)
    shutil.rmtree(place, ignore_errors=True)  # left by a process that was killed
    place.mkdir()
    links = {}
    try:
        for number, name in enumerate(names):
            link = place / f"{number}-{name.rpartition('/')[2]}"
            with contextlib.suppress(OSError):  # where it is gone, or links are not possible, the file itself is tried
                os.link(folder / name, link)
                links[name] = link
        yield links
    finally:
        shutil.rmtree(place, ignore_errors=True)


def _put_bytes(system: FileSystem, data: bytes, key: str) -> None:
    upload(system, partial(system.pipe_file, key, data), len(data))


def _put_object(system: FileSystem, path: Path, key: str) -> FileNotFoundError | None:
    """Send a file; returns an error where the file is gone. Where the bucket is, such an error is raised."""
    try:
        upload(system, partial(system.put_file, str(path), key), path.stat().st_size)
    except FileNotFoundError as error:
        if path.is_file():
            raise
        return error
    return None


def _is_for_training(name: str) -> bool:
    """Whether a file is needed only to continue the training or to look back at it, not to sample or to measure."""
    folder, _, file = name.partition("/")
    is_snapshot = folder in (timelapse.FOLDER, timelapse.EARLIER_FOLDER) and file.startswith(snapshots.WEIGHTS.prefix)
    return "checkpoints/" in name or folder == "pilots" or is_snapshot


def _order(name: str) -> tuple[int, str]:
    """Key that sorts names: the settings first, then checkpoints, other files, the log."""
    last = name.rpartition("/")[2]
    if last == CONFIG:
        return 0, name
    if "checkpoints/" in name:
        return 1, name
    return 3 if last == events.NAME else 2, name


def _digest(path: Path) -> Stored:
    return Stored(bytes=path.stat().st_size, sha256=files.sha256(path))
