"""The run folder: complete, portable, resumable. safetensors and JSON only; a kill at any instant leaves a whole checkpoint."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from safetensors import SafetensorError, safe_open

from anew.errors import RunError, short

if TYPE_CHECKING:
    from torch import Tensor

KEEP = 2  # checkpoints kept beside the one where the decay starts
DECAY_START = "decay-start"


def write_atomic(path: Path, data: bytes) -> None:
    """The file is either the old one or the new one, whole, also after a power cut. A full disk raises RunError."""
    temporary = path.with_name(f".{path.name}.tmp")
    try:
        with open(temporary, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
        _sync_folder(path.parent)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise RunError(
            f"cannot write {str(path)!r} ({error.strerror}); free some space or give another --run"
        ) from error


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def write_json(path: Path, value: Any) -> None:
    write_atomic(path, (json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n").encode())


def read_json(path: Path) -> Any:
    """The JSON value in a file of a run; RunError where it is missing or damaged."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise RunError(
            f"{str(path.parent)!r} holds no {path.name}, so it is no run; give a folder that train made"
        ) from None
    except (OSError, ValueError) as error:
        raise RunError(f"{str(path)!r} cannot be read ({_clause(error)}); restore it or train again") from None


def write_tensors(path: Path, tensors: Mapping[str, Tensor]) -> None:
    """safetensors, atomically. Names are sorted, so that equal weights are equal bytes."""
    from safetensors.torch import save_file  # torch: a run folder opens without it

    temporary = path.with_name(f".{path.name}.tmp")
    try:
        save_file({n: tensors[n].contiguous() for n in sorted(tensors)}, str(temporary), {"format": "pt"})
        with open(temporary, "rb+") as file:
            os.fsync(file.fileno())
        umask = os.umask(0)
        os.umask(umask)
        os.chmod(temporary, 0o666 & ~umask)  # safetensors makes files that only their owner may read
        os.replace(temporary, path)
        _sync_folder(path.parent)
    except (OSError, SafetensorError) as error:
        temporary.unlink(missing_ok=True)
        raise RunError(
            f"cannot write {str(path)!r} ({_clause(error)}); free some space or give another --run"
        ) from error


def read_tensors(path: Path) -> dict[str, Tensor]:
    """All tensors of a safetensors file; RunError where it is missing, truncated, or only pretends to be one."""
    try:
        with safe_open(str(path), framework="pt", device="cpu") as file:
            return {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except FileNotFoundError:
        raise RunError(f"{str(path)!r} is missing; the run is not finished or was moved in part") from None
    except (SafetensorError, OSError, ValueError) as error:
        raise RunError(
            f"{str(path)!r} is no whole safetensors file ({_clause(error)}); restore it or train again"
        ) from None


def _clause(error: BaseException) -> str:
    strerror = getattr(error, "strerror", None)
    return str(strerror or error).splitlines()[0].strip()[:120] or type(error).__name__


class RunFolder:
    """Paths and atomic writes of one run."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @classmethod
    def create(cls, path: Path) -> RunFolder:
        """A new, empty run; RunError where something is in the way."""
        if path.exists() and (not path.is_dir() or any(path.iterdir())):
            if not (path / "config.json").exists():
                what = "exists and is not empty" if path.is_dir() else "is a file"
                raise RunError(f"{str(path)!r} {what}; give another --run")
            raise RunError(f"{str(path)!r} is a run already; give another --run, or go on with `anew resume {path}`")
        try:
            path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise RunError(f"cannot make the folder {str(path)!r} ({error.strerror}); give another --run") from None
        return cls(path)

    @classmethod
    def open(cls, path: str | Path) -> RunFolder:
        """RunError where there is no such folder."""
        if not isinstance(path, str | os.PathLike):
            raise RunError(f"run={short(path)} is no path; give the folder of a run that train made")
        if not Path(path).is_dir():
            raise RunError(f"{str(path)!r} is no folder; give a run that train made")
        return cls(Path(path))

    @property
    def checkpoints(self) -> Path:
        return self.path / "checkpoints"

    def config(self) -> dict[str, Any]:
        """config.json; RunError where it describes no run. Before the plan is made it holds the request alone."""
        value = read_json(self.path / "config.json")
        if not isinstance(value, dict) or "request" not in value:
            raise RunError(f"{str(self.path / 'config.json')!r} does not describe a run; restore it or train again")
        return value

    def write_config(self, config: Mapping[str, Any]) -> None:
        write_json(self.path / "config.json", dict(config))

    def save(self, name: str, state: Mapping[str, Any]) -> None:
        """A checkpoint: files under a temporary name, synced, renamed, the manifest with checksums last."""
        self.checkpoints.mkdir(exist_ok=True)
        target, temporary = self.checkpoints / name, self.checkpoints / f".{name}.tmp"
        shutil.rmtree(temporary, ignore_errors=True)
        try:
            temporary.mkdir()
            write_tensors(temporary / "state.safetensors", state["tensors"])
            write_json(temporary / "meta.json", state["meta"])
            sums = {file: _digest(temporary / file) for file in ("state.safetensors", "meta.json")}
            write_json(temporary / "manifest.json", {"step": state["meta"]["step"], "sha256": sums})
            shutil.rmtree(target, ignore_errors=True)
            os.replace(temporary, target)
            _sync_folder(self.checkpoints)
        except (RunError, OSError) as error:
            shutil.rmtree(temporary, ignore_errors=True)
            kept = ", ".join(sorted(p.name for p in self.checkpoints.iterdir() if not p.name.startswith("."))) or "none"
            reason = _clause(error.__cause__ or error)
            raise RunError(f"cannot save a checkpoint in {str(self.path)!r} ({reason}); kept: {kept}") from error
        self._drop_old()

    def _drop_old(self) -> None:
        for old in self._steps()[KEEP:]:
            shutil.rmtree(old, ignore_errors=True)

    def _steps(self) -> list[Path]:
        """Folders of step checkpoints, newest first."""
        if not self.checkpoints.is_dir():
            return []
        numbered = [p for p in self.checkpoints.iterdir() if p.name.startswith("step-")]
        return sorted(numbered, key=lambda p: int(p.name.removeprefix("step-")), reverse=True)

    def forget_after(self, step: int) -> None:
        """Remove checkpoints past a step: they are of a decay that is taken back, and a resume must not find them."""
        for folder in self._steps():
            if int(folder.name.removeprefix("step-")) > step:
                shutil.rmtree(folder, ignore_errors=True)

    def latest(self) -> tuple[dict[str, Any] | None, list[str]]:
        """The newest whole checkpoint, and a sentence for each newer one that is damaged. None where there is none."""
        notes: list[str] = []
        for folder in self._steps():
            state, fault = self._read(folder)
            if state is not None:
                return state, notes
            notes.append(f"checkpoint {folder.name} is damaged ({fault}); going back to the one before")
        return None, notes

    def checkpoint(self, name: str) -> dict[str, Any]:
        """A checkpoint by name; RunError where it is damaged."""
        state, fault = self._read(self.checkpoints / name)
        if state is None:
            raise RunError(f"checkpoint {name} of {str(self.path)!r} is damaged ({fault}); resume from the one before")
        return state

    def decay_start(self) -> tuple[dict[str, Any] | None, list[str]]:
        """The checkpoint from which a longer run goes on, None where there is none; and a sentence if it is damaged."""
        folder = self.checkpoints / DECAY_START
        if not folder.is_dir():
            return None, []
        state, fault = self._read(folder)
        return state, [] if state else [f"checkpoint {DECAY_START} is damaged ({fault}); going on without it"]

    def _read(self, folder: Path) -> tuple[dict[str, Any] | None, str]:
        try:
            manifest = read_json(folder / "manifest.json")
            for file, digest in manifest["sha256"].items():
                if _digest(folder / Path(file).name) != digest:
                    return None, f"the checksum of {file} differs"
            return {
                "tensors": read_tensors(folder / "state.safetensors"),
                "meta": read_json(folder / "meta.json"),
            }, ""
        except (RunError, OSError, KeyError, TypeError, AttributeError) as error:
            return None, _clause(error)

    def clear_temporary(self) -> None:
        """Remove what a kill left half-written."""
        for left in [*self.path.glob(".*.tmp"), *self.path.glob("*/.*.tmp")]:
            if left.is_dir():
                shutil.rmtree(left, ignore_errors=True)
            else:
                left.unlink(missing_ok=True)


def _digest(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
