"""How results of the worker travel: values as pickles, of which only the harmless are read, and arrays as they lie in memory."""

from __future__ import annotations

import io
import pickle
from typing import IO, ClassVar, cast

import numpy as np
from numpy.typing import NDArray

# Bytes: more than memory for decoding allows, so a process that announces more speaks no protocol of ours
MESSAGE = 1 << 34
# Bytes below which an array stays in the pickle: to send it by itself costs more than to copy it; chosen.
SMALL_ARRAY = 1 << 10
_KNOWN = {
    *(("numpy", name) for name in ("ndarray", "dtype")),
    *((f"numpy.{core}.multiarray", name) for core in ("core", "_core") for name in ("_reconstruct", "scalar")),
    *((f"numpy.{core}.numeric", "_frombuffer") for core in ("core", "_core")),
    *((room, name) for room in ("pathlib", "pathlib._local") for name in ("PosixPath", "WindowsPath")),
    ("builtins", "ValueError"),
}


class _Answers(pickle.Unpickler):
    """Arrays and plain values of this package: a worker that a file has taken over shall not run anything here."""

    _allowed: ClassVar[dict[tuple[str, str], object]] = {}  # what was looked up before: an array asks for three names

    def find_class(self, module: str, name: str) -> object:
        allowed = self._allowed.get((module, name))
        if allowed is not None:
            return allowed
        if (module, name) in _KNOWN:
            return self._allowed.setdefault((module, name), super().find_class(module, name))
        if module.startswith(("anew.data.", "anew.errors")) and "." not in name:
            value = super().find_class(module, name)
            # Classes that stand there alone: functions, and what a module imports, would be called with the worker's arguments.
            if isinstance(value, type) and value.__module__ == module:
                return self._allowed.setdefault((module, name), value)
        raise pickle.UnpicklingError(f"a worker may not answer with {module}.{name}")


def put(pipe: IO[bytes], *parts: bytes) -> None:
    """Write one message."""
    pipe.write(sum(map(len, parts)).to_bytes(8, "little"))
    for part in parts:
        pipe.write(part)
    pipe.flush()


class Installment:
    """Some results, pickled. arrays: the larger ones among them, which travel as they lie in memory."""

    def __init__(self) -> None:
        self.pickles: list[bytes] = []
        self.arrays: list[memoryview] = []
        self.size = 0

    def add(self, result: object) -> None:
        """Add one result."""
        before = len(self.arrays)
        self.pickles.append(pickle.dumps(result, 5, buffer_callback=self._keep))
        self.size += len(self.pickles[-1]) + sum(array.nbytes for array in self.arrays[before:])

    def _keep(self, buffer: pickle.PickleBuffer) -> bool:
        array = buffer.raw()
        if array.nbytes < SMALL_ARRAY:
            return True  # stays in the pickle
        self.arrays.append(array)
        return False

    def send(self, pipe: IO[bytes]) -> None:
        """Write it, for `received` to read."""
        put(pipe, *(array.nbytes.to_bytes(8, "little") for array in self.arrays))
        put(pipe, *self.pickles)
        for array in self.arrays:
            pipe.write(array)
        pipe.flush()


def received(pipe: IO[bytes], max_results: int) -> list[object]:
    """The results of an installment, one or some. Raises EOFError where it holds none."""
    sizes = np.frombuffer(get(pipe), "<u8").tolist()
    stream = io.BytesIO(get(pipe))
    if sum(sizes) > MESSAGE:
        raise EOFError
    arrays = iter([_filled(pipe, size) for size in sizes])
    results: list[object] = []
    while stream.tell() < len(stream.getbuffer()) and len(results) < max_results:
        results.append(_Answers(stream, buffers=arrays).load())  # each its own: an unpickler counts on over pickles
    if not results:
        raise EOFError
    return results


def _filled(pipe: IO[bytes], size: int) -> NDArray[np.uint8]:
    array = np.empty(size, np.uint8)
    if cast(io.BufferedReader, pipe).readinto(array.data) < size:
        raise EOFError
    return array


def get(pipe: IO[bytes]) -> bytes:
    """Read one message. Raises EOFError where the other side has ended."""
    return _exactly(pipe, int.from_bytes(_exactly(pipe, 8), "little"))


def _exactly(pipe: IO[bytes], size: int) -> bytes:
    message = pipe.read(size) if size <= MESSAGE else b""
    if size > MESSAGE or len(message) < size:
        raise EOFError
    return message
