"""Loops that Numba compiles, for what goes through data one symbol after another.

Modules that import this one take about a second to load, and the first call of a function compiles it: import them where
they are used.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar, cast

import numba

from anew.core.machine.machine_code import machine_code_folder

F = TypeVar("F", bound=Callable[..., object])
INNER = {"no_cpython_wrapper": True, "no_cfunc_wrapper": True}


def compiled(function: F) -> F:
    """The function as machine code that other threads can run beside, kept on disk where there is a place to keep it."""
    return _compile(function)


def compiled_inner(function: F) -> F:
    """The same for what only other compiled functions call: without a wrapper for Python, which takes a third off the time to compile."""
    return _compile(function, **INNER)


def compiled_sum(function: F) -> F:
    """The same, where sums of floats may be taken in another order: several at once."""
    return _compile(function, **INNER, fastmath={"reassoc"})


def _compile(function: F, **options: Any) -> F:
    options |= {"nogil": True, "error_model": "numpy"}
    try:
        with _cached_in(machine_code_folder(Path(inspect.getfile(function)).parent)):
            return cast(F, numba.njit(cache=True, **options)(function))
    except (RuntimeError, OSError):  # no folder to keep it in can be written
        return cast(F, numba.njit(**options)(function))


@contextmanager
def _cached_in(folder: Path) -> Iterator[None]:
    """Numba keeps in this folder the machine code of what is decorated meanwhile."""
    previous = getattr(numba.config, "CACHE_DIR")  # noqa: B009
    setattr(numba.config, "CACHE_DIR", str(folder))  # noqa: B010 - the module makes its names as it is loaded
    try:
        yield
    finally:
        setattr(numba.config, "CACHE_DIR", previous)  # noqa: B010
