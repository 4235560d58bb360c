"""The run folder: complete, portable, resumable.

It holds only safetensors and JSON. A kill at any instant leaves a whole checkpoint."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, cast

from anew.core import files
from anew.errors import RunError, command, shorten
from anew.runs import lock, timelapse
from anew.runs.paths import CONFIG, OWN_FAMILY, STORE_STATE
from anew.runs.portable import relative_paths
from anew.runs.shards import SHARDS
from anew.runs.state import Checkpoint, CheckpointMeta
from anew.runs.tensors import check_header, read_tensors, write_tensors
from anew.runs.weights import weight_files

if TYPE_CHECKING:
    from anew.runs.checkpoint import CheckpointManifest
    from anew.runs.record import BegunRun, RunRecord

KEPT_CHECKPOINTS = 2  # checkpoints kept besides the one where the decay starts: a failing disk may damage the newest
DECAY_START = "decay-start"
STATE, META, MANIFEST = "state.safetensors", "meta.json", "manifest.json"
BUFFERS = "buffers.safetensors"  # tensors that are fitted once; checkpoints with equal buffers share one file by links
# Folders that a run may have
FOLDERS = (
    "checkpoints",
    "samples",
    timelapse.FOLDER,
    timelapse.EARLIER_FOLDER,
    "report",
    "reports",
    "codec",
    "codec/checkpoints",
    "codec/samples",
    "pilots",
)
_STEP = re.compile(r"step-(\d{1,15})")
_REPLACED = ".replaced"
_REPLACED_NAME = re.compile(rf"\.(step-\d{{1,15}}|{DECAY_START}){_REPLACED}\.[0-9a-f]+\.tmp")


class RunFolder:
    """Paths and atomic writes of one run."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @classmethod
    def create(cls, path: Path) -> RunFolder:
        """A new, empty run. Raises RunError if the folder is in use, or its name is not UTF-8."""
        try:
            str(path).encode()
        except UnicodeEncodeError:
            raise RunError(
                f"the name {str(path)!r} is not UTF-8, so weights cannot be read there; give another"
            ) from None
        if path.exists() and (not path.is_dir() or any(path.iterdir())):
            if not (path / CONFIG).exists():
                obstacle = "exists and is not empty" if path.is_dir() else "is a file"
                raise RunError(f"{str(path)!r} {obstacle}; give another folder")
            raise RunError(
                f"{str(path)!r} is already a run; give another folder, or continue it with `{command('anew', 'resume', path)}`"
            )
        files.make_folder(path, RunError)
        return cls(path)

    @classmethod
    def open(cls, path: str | Path) -> RunFolder:
        """An existing folder. Raises RunError if there is none."""
        if not isinstance(path, str | os.PathLike):
            raise RunError(f"run={shorten(path)} is not a path; give the folder of a run that train made")
        folder = Path(path)
        try:
            exists = folder.is_dir()
        except (OSError, ValueError) as error:  # a name too long, or with a zero in it
            raise RunError(
                f"run={shorten(path)} cannot be opened ({files.clause(error)}); give another folder"
            ) from None
        if not exists:
            fault = "is not a folder" if folder.exists() else "does not exist"
            raise RunError(f"{str(path)!r} {fault}; give a run that train made")
        for name in FOLDERS:
            files.check_folder(folder / name)
        return cls(folder)

    @property
    def checkpoints(self) -> Path:
        return self.path / "checkpoints"

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keep all others from writing into the run. Raises RunError, which says who does so already."""
        with lock.locked(self.path), self._kept_at_address():
            yield

    @contextmanager
    def _kept_at_address(self) -> Iterator[None]:
        """If this folder is the local copy of a run at an address, write it back there, also in the background."""
        if not self._may_be_at_address:
            yield
            return
        from anew.runs import mirror_thread

        with mirror_thread.mirrored(self.path):
            yield

    @property
    def _may_be_at_address(self) -> bool:
        return (self.path.parent / STORE_STATE).is_file()

    @property
    def address(self) -> str | None:
        """The address of the run, if this folder is a local copy."""
        if not self._may_be_at_address:
            return None
        from anew.runs import mirror

        store = mirror.of_folder(self.path)
        return None if store is None else store.address

    @property
    def notes(self) -> list[str]:
        """Messages for the user on this folder, if it is the local copy of a run at an address."""
        if not self._may_be_at_address:
            return []
        from anew.runs import mirror

        return mirror.notes_of(self.path)

    def note_checkpoint(self) -> str | None:
        """Tell the store of the run about a new checkpoint. Returns why the store could not be written lately, or None."""
        if not self._may_be_at_address:
            return None
        from anew.runs import mirror_thread

        return mirror_thread.note_change(self.path)

    def read(self) -> BegunRun | RunRecord:
        """Contents of config.json: `BegunRun` before the plan is made. Raises RunError if it does not fit."""
        from anew.runs import record  # imported late, since pydantic takes longer than everything before

        return record.read(self.path / CONFIG)

    def record(self) -> RunRecord:
        """Contents of config.json of a run that has a plan. Raises RunError if it has none yet."""
        record = self.read()
        if record.status == "begun":
            raise RunError(f"{str(self.path)!r} was stopped before training began; finish it with `anew resume`")
        return record

    def write_config(self, record: BegunRun | RunRecord) -> None:
        # A local copy of a run at an address lies elsewhere on each machine, so its paths must not be relative to it.
        config = record.model_dump() if self.address else relative_paths(record.model_dump(), self.path)
        files.write_json(self.path / CONFIG, config)

    def save(self, name: str, state: Checkpoint) -> None:
        """Write a checkpoint: files in a temporary folder, the manifest with checksums last, then the folder is renamed."""
        temporary = self.checkpoints / files.temporary_name(name)
        with self._put_in_place(temporary, self.checkpoints / name):
            files.check_folder(self.checkpoints)
            self.checkpoints.mkdir(exist_ok=True)
            temporary.mkdir()
            buffers = {n: t for n, t in state["tensors"].items() if n in state.get("buffers", ())}
            write_tensors(temporary / STATE, {n: t for n, t in state["tensors"].items() if n not in buffers})
            files.write_json(temporary / META, state["meta"])
            if buffers:
                write_tensors(temporary / BUFFERS, buffers)
            sums = {file: files.sha256(temporary / file) for file in (STATE, META, *([BUFFERS] if buffers else []))}
            if buffers:
                self._share_buffers(temporary / BUFFERS, sums[BUFFERS])
            files.write_json(temporary / MANIFEST, {"step": state["meta"]["step"], "sha256": sums})
        self._drop_old()

    def begin_shards(self, name: str) -> Path:
        """A temporary folder into which each process writes its part of a checkpoint; `finish_shards` completes it."""
        files.check_folder(self.checkpoints)
        temporary = self.checkpoints / files.temporary_name(name)
        (temporary / SHARDS).mkdir(parents=True)
        return temporary

    def finish_shards(self, name: str, temporary: Path, meta: CheckpointMeta) -> None:
        """Complete a checkpoint whose parts are all written: write its manifest, then rename it."""
        with self._put_in_place(temporary, self.checkpoints / name):
            files.write_json(temporary / META, meta)
            sums = {f"{SHARDS}/{path.name}": files.sha256(path) for path in sorted((temporary / SHARDS).iterdir())}
            sums[META] = files.sha256(temporary / META)
            files.write_json(temporary / MANIFEST, {"step": meta["step"], "sha256": sums})
        self._drop_old()

    @contextlib.contextmanager
    def _put_in_place(self, temporary: Path, target: Path) -> Iterator[None]:
        """Rename a checkpoint after it is written. If that fails, remove it; for a fault of the disk, raise a RunError that says
        why."""
        try:
            yield
            replaced = self.checkpoints / files.temporary_name(f"{target.name}{_REPLACED}")
            # Two folders cannot be exchanged at once; after a kill `clear_temporary` restores this one
            if target.exists():
                os.replace(target, replaced)
            os.replace(temporary, target)
            files.sync_folder(self.checkpoints)
            shutil.rmtree(replaced, ignore_errors=True)
        except BaseException as error:  # a bug or a signal too leaves nothing behind
            shutil.rmtree(temporary, ignore_errors=True)
            self._take_back_replaced()
            if not isinstance(error, RunError | OSError):
                raise
            if not self.path.is_dir():
                raise RunError(
                    f"the run folder {str(self.path)!r} is gone, so nothing can be saved there; if it was moved, continue it "
                    "where it is now with `anew resume`; otherwise train again"
                ) from error
            reason = files.clause(error.__cause__ or error)
            raise RunError(
                f"cannot save a checkpoint in {str(self.path)!r} ({reason}); checkpoints kept: {self._checkpoint_names()}; "
                "free some space or check the permissions, then continue with `anew resume RUN`"
            ) from error

    def _share_buffers(self, path: Path, digest: str) -> None:
        """If an earlier checkpoint has the same buffers, make this file a link to its file. digest: that of this file."""
        for folder in (*self._steps(), self.checkpoints / DECAY_START):
            candidate = folder / BUFFERS
            if not candidate.is_file() or candidate.is_symlink() or _digest_in_manifest(folder, BUFFERS) != digest:
                continue
            # The file may have been damaged since, and a link would spread that
            if files.sha256(candidate) == digest:
                link = path.with_name(files.temporary_name(path.name))
                with contextlib.suppress(OSError):  # some file systems have no such links; then the file stays as it is
                    os.link(candidate, link)
                    os.replace(link, path)
                return

    def _checkpoint_names(self) -> str:
        try:
            names = sorted(p.name for p in self.checkpoints.iterdir() if not files.is_temporary(p.name))
        except OSError:
            names = []
        return ", ".join(names) or "none"

    def _drop_old(self) -> None:
        for old in self._steps()[KEPT_CHECKPOINTS:]:
            shutil.rmtree(old, ignore_errors=True)

    def _steps(self) -> list[Path]:
        """Folders of step checkpoints, newest first; folders with other names do not count."""
        if not self.checkpoints.is_dir():
            return []
        numbered = [(int(m[1]), p) for p in self.checkpoints.iterdir() if (m := _STEP.fullmatch(p.name))]
        return [path for _, path in sorted(numbered, reverse=True)]

    def saved_step(self) -> int | None:
        """The step of the newest checkpoint, None without one."""
        return next((int(folder.name.removeprefix("step-")) for folder in self._steps()), None)

    def delete_checkpoints_after(self, step: int) -> None:
        """Remove checkpoints after a step: their decay is undone, and a resume must not find them."""
        for folder in self._steps():
            if int(folder.name.removeprefix("step-")) > step:
                shutil.rmtree(folder, ignore_errors=True)

    def latest(self) -> tuple[Checkpoint | None, list[str]]:
        """(the newest whole checkpoint or None, a sentence for each newer one that is damaged)."""
        notes: list[str] = []
        for folder in self._steps():
            state, fault = self._read(folder)
            if state is not None:
                return state, notes
            notes.append(f"Checkpoint {folder.name} is damaged ({fault}); going back to the one before.")
        return None, notes

    def checkpoint(self, name: str) -> Checkpoint:
        """A checkpoint by name. Raises RunError if it is damaged."""
        state, fault = self._read(self.checkpoints / name)
        if state is None:
            raise RunError(f"checkpoint {name} of {str(self.path)!r} is damaged ({fault}); resume from the one before")
        return state

    def decay_start(self) -> tuple[Checkpoint | None, list[str]]:
        """(the checkpoint from which a longer run continues or None, a sentence if it is damaged)."""
        folder = self.checkpoints / DECAY_START
        if not folder.is_dir():
            return None, []
        state, fault = self._read(folder)
        return state, [] if state else [f"checkpoint {DECAY_START} is damaged ({fault}); going on without it"]

    def _read(self, folder: Path) -> tuple[Checkpoint | None, str]:
        """The state in a checkpoint, or why there is none."""
        from anew.core.schema import checked
        from anew.runs.checkpoint import Meta

        try:
            files.check_folder(folder)
            manifest = _read_manifest(folder)
            for file in manifest.sha256:
                files.check_regular(folder / file)
                if file.endswith(".safetensors"):
                    check_header(folder / file)
                if files.sha256(folder / file) != manifest.sha256[file]:
                    return None, f"the checksum of {file} differs"
            numbers = files.read_json(folder / META)
            checked(Meta, numbers, META)
            meta = cast(CheckpointMeta, numbers)
            if manifest.is_sharded:
                return {"tensors": {}, "meta": meta, "shards": folder / SHARDS}, ""
            tensors = read_tensors(folder / STATE)
            if BUFFERS in manifest.sha256:
                tensors |= read_tensors(folder / BUFFERS)
            return {"tensors": tensors, "meta": meta}, ""
        except RunError as error:  # it is about a file in this folder, whose name suffices
            return None, str(error).replace(f"{folder}{os.sep}", "").partition(";")[0]
        except (OSError, ValueError) as error:
            return None, files.clause(error)

    def saved_bytes(self) -> int:
        """Bytes of the largest state in the run, of a checkpoint or of the final weights; 0 if there is none yet."""
        states = [weight_files(self.path)]
        for folder in (*self._steps(), self.checkpoints / DECAY_START):
            # A link in a stranger's run could lead anywhere
            if not folder.is_symlink():
                states.append([*folder.glob("*.safetensors"), *folder.glob(f"{SHARDS}/*.safetensors")])
        return max(sum(path.stat().st_size for path in state if path.is_file()) for state in states)

    def _take_back_replaced(self) -> None:
        """Restore the names of checkpoints whose replacement was not completed."""
        is_own = self.checkpoints.is_dir() and not self.checkpoints.is_symlink()
        for path in self.checkpoints.iterdir() if is_own else ():
            match = _REPLACED_NAME.fullmatch(path.name)
            if match and path.is_dir() and not path.is_symlink() and not (self.checkpoints / match[1]).exists():
                os.replace(path, self.checkpoints / match[1])

    def clear_temporary(self) -> None:
        """Remove files that a kill left half-written, and restore those that it left half-replaced."""
        self._take_back_replaced()
        for folder in (self.path, *(self.path / name for name in FOLDERS)):
            is_own = folder.is_dir() and (folder == self.path or not folder.is_symlink())
            for path in folder.iterdir() if is_own else ():
                if files.is_temporary(path.name):
                    _remove(path)


def remove_begun(folder: RunFolder, with_folder: bool) -> None:
    """Remove the files of a request that could not be begun, and nothing else."""
    for name in (CONFIG, "tokenizer.json", OWN_FAMILY, lock.NAME, lock.HOLDER):
        with contextlib.suppress(OSError):  # Windows keeps files that are open
            (folder.path / name).unlink(missing_ok=True)
    if with_folder:
        with contextlib.suppress(OSError):
            folder.path.rmdir()


def _remove(path: Path) -> None:
    """Remove a file, a link, or a folder with its contents."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        with contextlib.suppress(OSError):
            path.unlink(missing_ok=True)


def _read_manifest(folder: Path) -> CheckpointManifest:
    """The manifest of a checkpoint. Raises RunError, OSError or ValueError if there is no valid one."""
    from anew.core.schema import checked
    from anew.runs.checkpoint import CheckpointManifest

    return checked(CheckpointManifest, files.read_json(folder / MANIFEST), MANIFEST)


def _digest_in_manifest(folder: Path, file: str) -> str | None:
    """The SHA-256 of a file by the manifest of its checkpoint; None if there is none."""
    try:
        return _read_manifest(folder).sha256.get(file)
    except (RunError, OSError, ValueError):
        return None
