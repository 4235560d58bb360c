"""What a stranger may do to a run folder before handing it on. Each function alters the folder and says what it did."""

from __future__ import annotations

import contextlib
import json
import os
import random
import shutil
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

from fuzz.mutations import BLIND

Tamper = Callable[[random.Random, Path], str]

DEEP = "[" * 100_000
CANARY = "canary"  # a file that exists beside the run if code of the stranger was executed
CODE = "import pathlib\npathlib.Path({path!r}).write_text('executed')\nclass Own: pass\nEXPORT = Own\n"
VALUES: tuple[Any, ...] = (
    None, True, False, 0, 1, -1, 3, 10**6, 10**30, 1e308, -0.5, 0.0, float("nan"), float("inf"), "", "x", "auto", "../../x",
    "/../../../x", "a\0b", "\ud800", "x" * 5000, [], [[]], [0], ["a", "b"], {}, {"x": 1}, [None], "FAMILY", "RELATIVE",
)  # fmt: skip
NO_OBJECT = (
    b"", b"null", b"[]", b"5", b'"x"', b"{}", b"\xff\xfe", b"{", DEEP.encode(), b'{"a":' + DEEP.encode(), b"NaN", b'{"request":{}}',
    b'{"request":{},"status":"begun"}', b'{"request":null,"status":"begun"}',
)  # fmt: skip
STATUS = ("begun", "training", "trained", "finished", "x", "", None, 0, [], {})


def _write(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    path.write_bytes(data)


def _places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The way to every value inside a JSON value."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(place for key, result in inner for place in _places(result, (*path, key)))]


def _own_code(run: Path) -> tuple[str, str]:
    """Put a family of the stranger's own into the run; its path from anywhere, and from beside the run."""
    canary = run.parent / CANARY
    (run / "family.py").write_text(CODE.format(path=str(canary)))
    return str((run / "family.py").resolve()), f"{run.name}/family.py"


def alter(source: random.Random, run: Path, value: Any) -> tuple[Any, str]:
    """A JSON value with one place in it changed in type, or removed, or one added; and what was done."""
    *path_keys, last = source.choice([place for place in _places(value) if place] or [()]) or [None]
    if last is None:
        return source.choice(VALUES), "all of it"
    holder = value
    for key in path_keys:
        holder = holder[key]
    name = ".".join(map(str, [*path_keys, last]))
    act = source.random()
    if act < 0.2:
        del holder[last]
        return value, f"{name} removed"
    if act < 0.3 and isinstance(holder, dict):
        holder[source.choice(("x", "", "name", "config", "path", "seed"))] = source.choice(VALUES)
        return value, f"a key beside {name}"
    new = source.choice(VALUES)
    if isinstance(holder[last], int | float) and source.random() < 0.4:
        new = source.choice(
            (holder[last] * 1000, -holder[last], holder[last] + 1, float(holder[last]), str(holder[last]))
        )
    if new in ("FAMILY", "RELATIVE"):
        new = _own_code(run)[new == "RELATIVE"]
    holder[last] = new
    return value, f"{name} = {repr(new)[:60]}"


def _json_file(source: random.Random, run: Path, path: Path) -> str:
    """A JSON file with one to three values altered, or made into something that is no JSON object."""
    name = str(path.relative_to(run))
    if source.random() < 0.15:
        broken = source.choice(NO_OBJECT)
        _write(path, broken)
        return f"{name} is {broken[:20]!r}"
    value, changes = json.loads(path.read_text()), []
    for _ in range(source.choice((1, 1, 2, 3))):
        value, change = alter(source, run, value)
        changes.append(change)
    _write(path, json.dumps(value).encode())
    return f"{name}: {', '.join(changes)}"


def config(source: random.Random, run: Path) -> str:
    return _json_file(source, run, run / "config.json")


def config_on_purpose(source: random.Random, run: Path) -> str:
    """The places that lead to code, to files elsewhere, or to another way through the verbs."""
    value = json.loads((run / "config.json").read_text())
    absolute, relative = _own_code(run)
    code = source.choice((absolute, relative, "./" + relative, "family", "../" + relative, f"{run.name}/family"))
    where = source.choice(
        ("family", "codec", "modality", "request", "request begun", "suffix", "status", "data", "data modality")
    )
    if where in ("family", "codec"):
        if where == "codec" and value.get("codec") is None:
            value["codec"] = {}
        holder = value["codec"] if where == "codec" else value
        holder.setdefault("family", {})["name"] = code
    elif where.startswith("request"):
        value["request"]["family"] = code
        value["request"]["modality"] = source.choice((None, code))
        value["status"] = "begun" if where.endswith("begun") else value.get("status")
    elif where == "modality":
        value["data"]["modality"] = code
    elif where == "suffix":
        value["data"].setdefault("learned", {})["suffix"] = source.choice(
            ("/../../../x", "/../../x.txt", "\0", "", "." * 300)
        )
        (run / "samples" / "0000").mkdir(parents=True, exist_ok=True)
    elif where == "status":
        value["status"] = source.choice(STATUS)
    elif where == "data":
        value["request"]["data"] = value["data"]["path"] = source.choice(
            ("", ".", "/", "/nowhere", "a/b", "/dev/zero", "x" * 5000)
        )
    else:
        value["data"]["modality"] = source.choice(("image", "text", "audio", "x", None))
    _write(run / "config.json", json.dumps(value).encode())
    return f"config.json: {where} on purpose ({code if where not in ('status', 'data') else value.get('status')})"


def weights(source: random.Random, run: Path) -> str:
    """model.safetensors (or the codec's, or a checkpoint's): values, names, shapes, header, length."""
    paths = sorted(run.rglob("*.safetensors"))
    path = source.choice(paths)
    data = path.read_bytes()
    size = int.from_bytes(data[:8], "little")
    header, body = json.loads(data[8 : 8 + size]), data[8 + size :]
    act = source.choice(
        (
            "nan",
            "inf",
            "huge",
            "bytes",
            "shape",
            "dtype",
            "drop",
            "rename",
            "offsets",
            "length",
            "cut",
            "blind",
            "empty",
        )
    )
    names = [name for name in header if name != "__metadata__"]
    name = source.choice(names)
    begin, end = header[name]["data_offsets"]
    fill = {
        "nan": b"\x00\x00\xc0\x7f",
        "inf": b"\x00\x00\x80\x7f",
        "huge": b"\xff\xff\x7f\x7f",
        "bytes": source.randbytes(4),
    }
    if act in fill:
        body = body[:begin] + (fill[act] * ((end - begin) // 4 + 1))[: end - begin] + body[end:]
    elif act == "shape":
        shape = header[name]["shape"]
        header[name]["shape"] = source.choice(
            (shape[::-1], [*shape, 1], [end - begin], [0, *shape], [2**40], shape[1:])
        )
    elif act == "dtype":
        header[name]["dtype"] = source.choice(("F16", "I32", "BOOL", "F64", "U8", "X", "F8_E4M3"))
    elif act == "drop":
        del header[name]
    elif act == "rename":
        header[source.choice(("x", "__metadata__", "", "tokens_5"))] = header.pop(name)
    elif act == "offsets":
        header[name]["data_offsets"] = source.choice(([0, 2**40], [end, begin], [begin + 4, end + 4], [-4, 0]))
    text = json.dumps(header).encode()
    claim = source.choice((0, len(text) * 2, 2**40, 2**63)) if act == "length" else len(text)
    data = struct.pack("<Q", claim) + text + body
    if act in ("cut", "empty"):
        data = data[: source.randrange(len(data)) if act == "cut" else 0]
    if act == "blind":
        data = source.choice(BLIND)(source, data)
    _write(path, data)
    return f"{path.relative_to(run)}: {act} {name}"


def events(source: random.Random, run: Path) -> str:
    path = run / "events.jsonl"
    lines = path.read_text().splitlines()
    act = source.random()
    if act < 0.7:
        at = source.randrange(len(lines))
        value, change = alter(source, run, json.loads(lines[at]))
        lines[at] = json.dumps(value)
    else:
        change = source.choice(
            ("null", "[]", '{"event":"step"}', '{"event":"warning"}', DEEP, "\0\0", '{"event":"step","step":1e400}')
        )
        lines.insert(source.randrange(len(lines) + 1), change)
    _write(path, ("\n".join(lines) + "\n").encode())
    return f"events.jsonl: {change[:80]}"


def checkpoint(source: random.Random, run: Path) -> str:
    """Checkpoints of a run that was stopped: the folder's name, the description, the manifest."""
    value = json.loads((run / "config.json").read_text())
    value["status"] = "training"
    _write(run / "config.json", json.dumps(value).encode())
    if source.random() < 0.2:
        name = source.choice(("step-foo", "step-", "step--1", "step-99999999999999999999", "step-1.5", "decay-startx"))
        (run / "checkpoints" / name).mkdir()
        return f"a checkpoint named {name}"
    folder = source.choice(sorted((run / "checkpoints").iterdir()))
    marker = _json_file(source, run, folder / source.choice(("meta.json", "meta.json", "manifest.json")))
    if source.random() < 0.8:  # checksums that say nothing, so that the rest is read
        (folder / "manifest.json").write_text('{"step": 2, "sha256": {}}')
    return f"{marker}, stopped"


def tokenizer(source: random.Random, run: Path) -> str:
    path = run / "tokenizer.json"
    return _json_file(source, run, path) if path.is_file() else config(source, run)


def report(source: random.Random, run: Path) -> str:
    """What was measured, which pages, cards and lists show."""
    path = run / "report" / "report.json"
    return _json_file(source, run, path) if path.is_file() else config(source, run)


def codec(source: random.Random, run: Path) -> str:
    """The run of the codec inside a run on latents."""
    path = run / "codec" / "config.json"
    return _json_file(source, run, path) if path.is_file() else config(source, run)


def sample_files(source: random.Random, run: Path) -> str:
    """A sample, with what it says of its origin."""
    paths = sorted(path for path in (run / "samples").glob("*") if path.is_file())
    if not paths:
        return config(source, run)
    path = source.choice(paths)
    _write(path, source.choice(BLIND)(source, path.read_bytes()))
    return f"{path.relative_to(run)} is damaged"


def links(source: random.Random, run: Path) -> str:
    """A link that leads out of the run, where a verb may write or read."""
    name = source.choice((".README.md.tmp", ".config.json.tmp", ".events.jsonl.tmp", ".model.safetensors.tmp", "report", "samples",
                          "checkpoints", "config.json", "README.md", "events.jsonl", "model.safetensors", "report/.report.json.tmp",
                          "report/.report.html.tmp", "report/report.json", "report/report.html", "samples/final.png", "codec"))  # fmt: skip
    path = run / name
    victim = run.parent / ("victims" if (path.is_dir() and not path.is_symlink()) or name == "codec" else "victim.txt")
    with contextlib.suppress(OSError):
        shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
    path.parent.mkdir(parents=True, exist_ok=True)
    itself = source.random() < 0.15
    path.symlink_to(path.name if itself else victim)
    return f"{name} is a link to {'itself' if itself else victim.name}"


def not_files(source: random.Random, run: Path) -> str:
    """A FIFO, a folder or nothing where a file should be."""
    names = ("config.json", "events.jsonl", "model.safetensors", "tokenizer.json", "README.md", "report/report.json", "report",
             "checkpoints/decay-start/meta.json", "samples", "checkpoints")  # fmt: skip
    path = run / source.choice(names)
    path.parent.mkdir(parents=True, exist_ok=True)
    act = source.choice(("fifo", "folder", "missing", "file"))
    with contextlib.suppress(OSError):
        shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
    if act == "fifo":
        os.mkfifo(path)
    elif act == "folder":
        path.mkdir()
    elif act == "file":
        path.write_bytes(b"x")
    return f"{path.relative_to(run)} is a {act}"


TAMPERS: tuple[Tamper, ...] = (
    config, config, config, config_on_purpose, config_on_purpose, weights, weights, events, checkpoint, checkpoint,
    tokenizer, links, not_files, report, codec, sample_files,
)  # fmt: skip
