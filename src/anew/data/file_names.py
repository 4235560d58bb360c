"""Information in file names: suffix, part and class."""

from __future__ import annotations

import functools
import itertools
import re
from collections.abc import Collection, Iterable, Iterator

from anew.core.stores.text_column import different, numbered_containing

_PART = {
    "train": "train",
    "training": "train",
    "validation": "validation",
    "valid": "validation",
    "val": "validation",
    "dev": "validation",
    "test": "test",
    "testing": "test",
}
# Suffixes of the languages that GitHub's linguist knows, without those that are more often something else (.pro, .cls, .ps)
_PROGRAM_NAMES = (
    "ada adb ads agda applescript asm awk bas bash bat bats bzl c c++ cbl cc cjs cl clj cljc cljs cmake cmd cob cobol coffee"
    " cpp cr cs csh csx cu cuh cxx d dart dpr dts dtsi el elm erb erl ex exp exs f f03 f08 f77 f90 f95 fish for forth"
    " fs fsi fsx g4 gawk gd gleam glsl go gradle graphql groovy h h++ hcl heex hh hlsl hpp hrl hs hx hxx idr ijs inl ino ipp"
    " itcl java jl js jsp jsx kt kts ksh lean lhs lisp lpr lsp lua m m4 mak mjs mk ml mli mll mly mm nim nims ninja"
    " nix nu odin p6 pas php pl pm pm6 pony pp proto ps1 psd1 psm1 purs pxd py pyi pyw pyx qml r rake raku rakumod rb rkt"
    " rktl rs s sc scala scm sh sld sml sol ss st sv svelte svh swift t tcl tcsh tf thrift tk tpp ts tsx v vala vapi"
    " vb vbs vert frag vh vhd vhdl vim vue wat wgsl zig zsh"
)
PROGRAM_SUFFIXES = frozenset(f".{name}" for name in _PROGRAM_NAMES.split())
_STEMS = ("train", "val", "dev", "test")  # letters that each of these words holds
# Number of files from which on a name like `coin_test.png` is a coincidence: data with one file for each part has fewer.
MANY_FILES = 10
_PACKED = frozenset({".gz", ".xz", ".bz2", ".zst"})
_WORD_ENDS = re.compile(r"[-_.]")
_PART_WORD = re.compile("|".join(_PART))
# A file with a suffix, or without one, and what follows; not if that ends in a suffix itself, as in `icon@2x.png`
_RECORD_OF_FILE = re.compile(r"(?!.*[:#@][^:#@]*\.[A-Za-z]\w{0,4}$)(?:(.+?\.\w+)[:#@](.+)|([^:#@]+)[:#@](.+))")


def suffix_of(path: str) -> str:
    """The suffix in lower case with its dot, or ""; a suffix of compression includes the one before it: ".tar.gz"."""
    # Plain string work: a path object for each of 200,000 files would take seconds.
    second = path.rfind("/") + 2  # the second character of the file's name: a dot at its beginning only hides the file
    dot = path.rfind(".", second)
    if dot < 0 or dot == len(path) - 1:
        return ""
    suffix = path[dot:].lower()
    if suffix not in _PACKED:
        return suffix
    inner = path.rfind(".", second, dot)
    return path[inner:].lower() if inner > 0 else suffix


def unpacked(suffix: str) -> str:
    """A suffix without that of gzip: ".txt.gz" -> ".txt"."""
    return suffix.removesuffix(".gz")


def is_packed(path: str) -> bool:
    """Whether a single file is compressed, by its suffix."""
    return path[path.rfind(".") :].lower() in _PACKED


def part_of(path: str) -> str | None:
    """The part that a relative path names, or None.

    A part is named by a folder (`train/`, `val/`, `test/`), or by a file stem that is such a word or begins or ends with one
    (`test.txt`, `train-00000-of-00002.parquet`, `names_valid.csv`). A program `test.py` names no part, nor does a folder `test`
    deep inside others.
    """
    folder, _, name = path.lower().rpartition("/")
    folder_part = _part_of_folder(folder)
    if folder_part is not None:
        return folder_part
    if _PART_WORD.search(name) is None or _is_program(name):
        return None
    words = _WORD_ENDS.split(name)
    stem = words[:-1] if len(words) > 1 else words
    return _PART.get(stem[0], _PART.get(stem[-1]))


class Parts:
    """Which part each file of a folder belongs to.

    If no path names the train part, the same names often mean something else: a folder `test` of programs holds tests of the
    others, beside other folders it is one like them (a class), and among many files, a name like `coin_test.png` is a
    coincidence.

    Args:
        paths: Of all files of the folder.
    """

    def __init__(self, paths: Collection[str]) -> None:
        self._exist = self._has_train = False
        for path in may_name_parts(paths):
            part = part_of(path)
            self._exist |= part is not None
            if part == "train":
                self._has_train = True
                break
        is_unsure = self._exist and not self._has_train
        self._with_others = _folders_with_others(paths) if is_unsure else set()
        self._are_many = len(paths) >= MANY_FILES

    def part(self, path: str) -> str | None:
        """The part of a file, None if it belongs to none."""
        part = part_of(path) if self._exist else None
        return part if part is not None and (self._has_train or self._is_part(path)) else None

    def _is_part(self, path: str) -> bool:
        folder = path.lower().rpartition("/")[0]
        if _is_program(path.lower()):
            return False
        if _part_of_folder(folder) is None:
            return not self._are_many
        return _folder_above_part(folder) not in self._with_others


def parts_of(paths: Collection[str]) -> dict[str, str]:
    """The part of each file of a folder that belongs to one, by its path."""
    parts = Parts(paths)
    return {path: part for path in may_name_parts(paths) if (part := parts.part(path)) is not None}


def may_name_parts(paths: Iterable[str]) -> Iterator[str]:
    """The paths for which `part_of` may give a part, and some others near them."""
    return (path for _, path in numbered_parts(paths))


def numbered_parts(paths: Iterable[str]) -> Iterator[tuple[int, str]]:
    """(number, path) of the paths for which `part_of` may give a part, and of some others near them."""
    return numbered_containing(paths, _STEMS)


def folder_of(path: str) -> str:
    """The folder of a file with a slash at its end; "" at the top level."""
    return path[: path.rfind("/") + 1]


def _folders_with_others(paths: Collection[str]) -> set[str]:
    """The folders at the top and one below, in lower case, that hold a folder whose name is none of a part."""
    folders = {folder.lower().removesuffix("/") for folder in different(paths, folder_of)}
    return {
        "/".join(names[:depth])
        for names in (folder.split("/") for folder in folders if folder)
        for depth, name in enumerate(names[:2])
        if name not in _PART
    }


def _folder_above_part(folder: str) -> str:
    """The folder that holds the folder of a part. folder: one for which `_part_of_folder` is not None."""
    first = folder.partition("/")[0]
    return "" if first in _PART else first


def _is_program(path: str) -> bool:
    """Whether a path in lower case has the suffix of a programming language."""
    return suffix_of(path) in PROGRAM_SUFFIXES


@functools.lru_cache(maxsize=4096)
def _part_of_folder(folder: str) -> str | None:
    return next((_PART[name] for name in folder.split("/")[:2] if name in _PART), None)


def shared_folder(paths: Collection[str]) -> str:
    """The innermost folder that holds all files, with a slash at its end; "" if that is the top level. It is not a class."""
    if not paths:
        return ""
    # Whatever all share, the least and the greatest share
    folders = different(paths, folder_of)
    low, high = min(folders), max(folders)
    same = itertools.takewhile(lambda pair: pair[0] == pair[1], zip(low, high, strict=False))
    return low[: low.rfind("/", 0, sum(1 for _ in same)) + 1]


def label_of(path: str, has_parts: bool = True) -> str | None:
    """The class that a relative path names: its last folder that is not a part; None at the top level.

    has_parts: whether a folder with the name of a part is one, see `parts_of`.
    """
    return _label_of_folder(folder_of(path), has_parts)


@functools.lru_cache(maxsize=4096)
def _label_of_folder(folder: str, has_parts: bool) -> str | None:
    names = (name for name in reversed(folder.split("/")) if name)
    return next((name for name in names if not has_parts or name.lower() not in _PART), None)


def split_record_name(name: str) -> tuple[str, str]:
    """Split the name of an item into its file and its record: "a/b.fasta:seq1" -> ("a/b.fasta", "seq1")."""
    match = _RECORD_OF_FILE.fullmatch(name)
    if match is None:
        return name, ""
    return (match[1], match[2]) if match[1] else (match[3], match[4])
