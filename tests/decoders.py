"""What a worker is asked to do in tests: modules that it can import too."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import numpy as np

from anew.core import isolation
from anew.errors import DataError


def acted(_: Any, word: str) -> Any:
    """The word, or what it says is done."""
    if word == "crash":
        os.kill(os.getpid(), signal.SIGSEGV)
    elif word == "abort":
        os.abort()
    elif word == "leave":
        os._exit(3)
    elif word == "hang":
        time.sleep(60)
    elif word == "spin":
        while True:
            pass
    elif word == "grow":
        return len(bytearray(1 << 31))
    elif word == "odd":
        raise KeyError(word)
    elif word == "refuse":
        raise ValueError("it is odd")
    elif word == "ours":
        raise DataError("ours")
    elif word == "print":
        os.write(1, b"out\n")
        os.write(2, b"err\n")
    else:
        return _value(word)
    return word


def _value(word: str) -> Any:
    if word.startswith("zeros "):
        return np.zeros(int(word.split()[1]), np.uint8)
    if word.startswith("twice "):
        number = int(word.split()[1])
        part = f"part {number}"
        return part, part, np.full((3, 2), number, np.uint8)[:, 0]
    if word.startswith("mark "):
        _, file, text = word.split()
        with open(file, "a") as stream:
            stream.write(text)
        return text
    values = {
        "array": np.arange(6, dtype=np.int16).reshape(2, 3),
        "none": None,
        "pid": os.getpid(),
        "pickle": os.system,
    }
    return values.get(word, word)


def item(data: Any) -> Any:
    return SimpleNamespace(data=data)


class Native:
    """A modality as far as a worker knows it."""

    native = True

    def __init__(self, config: Any) -> None:
        self.config = config

    def encode(self, item: Any) -> Any:
        return acted(None, item.data)

    def expand(self, item: Any) -> Iterator[Any]:
        yield from [acted(None, item.data)] * 2

    def where(self, item: Any) -> int:
        return os.getpid()

    def encode_many(self, items: Any) -> list[Any]:
        return list(isolation.each(self.encode, items))
