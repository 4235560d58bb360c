"""Our interpreter of graphs, run by Node."""

from __future__ import annotations

import base64
import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from anew.exporting.graph import WEB, Container

NODE = shutil.which("node")
needs_node = pytest.mark.skipif(NODE is None, reason="the interpreter of graphs is run by Node")
TYPES = {torch.float32: "f32", torch.int64: "i32", torch.bool: "bool"}
DTYPES = {name: dtype for dtype, name in TYPES.items()}


def node(script: Path, *arguments: object) -> Any:
    """What a script prints, as JSON."""
    assert NODE is not None
    words = [NODE, str(script), str(WEB), *map(str, arguments)]
    completed = subprocess.run(words, capture_output=True, text=True, check=False)
    assert completed.returncode == 0, completed.stderr[-2000:]
    return json.loads(completed.stdout)


def _shown(value: float) -> float | str:
    return (
        value
        if value == value and abs(value) != float("inf")
        else str(value).replace("inf", "Infinity").replace("nan", "NaN")
    )


def run_graphs(
    container: Container, calls: list[tuple[str, list[Tensor]]], folder: Path, plain: bool = False
) -> tuple[list[list[Tensor]], dict[str, Any]]:
    """The outputs of each call of a graph, and what else the script says."""
    inputs = [
        [name, [[TYPES[x.dtype], list(x.shape), [_shown(v) for v in x.flatten().tolist()]] for x in tensors]]
        for name, tensors in calls
    ]
    block = base64.b64encode(container.block()).decode("ascii")
    request = {"container": container.to_json(), "block": block, "calls": inputs, "plain": plain}
    (folder / "graphs.json").write_text(json.dumps(request))
    answer = node(Path(__file__).with_name("run_graphs.mjs"), folder / "graphs.json")
    results = [
        [
            torch.tensor([float(v) for v in values], dtype=torch.float64).to(DTYPES[t]).view(shape)
            for t, shape, values in outputs
        ]
        for outputs in answer.pop("results")
    ]
    return results, answer
