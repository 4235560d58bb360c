"""Files in which one JSON array holds all records: they are one text each, and JSON lines would be one record each."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

from anew.core.stores.text_column import ChosenTexts
from anew.core.wording import plural
from anew.data.file_names import suffix_of
from anew.data.formats.by_range import open_file

HEAD_BYTES = 4096  # an array of objects begins within so many bytes of a file
MAX_CHECKED = 20  # files of a folder: with more, each is an item of its own; chosen
_ARRAY_OF_OBJECTS = re.compile(rb'(?:\xef\xbb\xbf)?\s*\[\s*\{\s*"')
_PLAIN_NAME = re.compile(r"[\w ./()+,=@~-]+")
CONVERSION = (  # works in any shell, and writes UTF-8 on any system
    "import json, sys; rows = json.load(open(sys.argv[1], encoding='utf-8-sig')); "
    r"open(sys.argv[2], 'w', encoding='utf-8').writelines(json.dumps(row) + '\n' for row in rows)"
)


def json_array_notes(paths: ChosenTexts, root: Path) -> list[str]:
    """A note on files that begin with an array of objects, and how to learn each of these; none for many JSON files.

    Args:
        paths: Files that are read as texts, below `root`.
    """
    candidates = paths.take(paths.named(suffix_of, ".json".__eq__))
    if len(candidates) > MAX_CHECKED:
        return []
    arrays = [path for path in candidates if _ARRAY_OF_OBJECTS.match(_head(root / path))]
    if not arrays:
        return []
    name, others = arrays[0], len(arrays) - 1
    more = f", as {plural(others, 'more file')} {'does' if others == 1 else 'do'}" if others else ""
    target = str(Path(name).with_suffix(".jsonl"))
    conversion = f'python -c "{CONVERSION}" {_quoted(name)} {_quoted(target)}'
    return [
        f"{name} begins with an array of objects{more}, and is read as one text. To learn each object as an item, write "
        f"one a line into a .jsonl file, and give that: {conversion}"
    ]


def _quoted(name: str) -> str:
    """A name for a shell: in double quotes, which Windows has too, unless a shell would find something to carry out in it."""
    return f'"{name}"' if _PLAIN_NAME.fullmatch(name) else shlex.quote(name)


def _head(path: Path) -> bytes:
    try:
        with open_file(path, HEAD_BYTES) as stream:
            return stream.read(HEAD_BYTES)
    except OSError:
        return b""
