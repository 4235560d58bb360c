"""What the page says of the file of a sample."""

from __future__ import annotations

import json
import subprocess
from importlib.resources import files
from typing import Any

import pytest

from exporting.interpreter import NODE, needs_node

SCRIPT = """
globalThis.document = { addEventListener() {} };
globalThis.addEventListener = () => {};
const { originFacts } = await import(process.argv[1]);
console.log(JSON.stringify(originFacts(JSON.parse(process.argv[2]))));
"""


@needs_node
@pytest.mark.parametrize(
    ("more", "facts"),
    [
        ({}, []),
        ({"stop": ".", "scale": 2, "settings": {"steps": 3}}, ['stopped before "."', "enlarged 2 times", "steps = 3"]),
    ],
)
def test_a_sample_has_its_number_in_the_seed(more: dict[str, Any], facts: list[str]) -> None:
    """The 301st sample was called "sample 301 of 256", by the size of its batch."""
    assert NODE is not None
    module = files("anew.studio_app") / "static" / "origin_drop.js"
    origin = {"run": "shapes", "seed": 5, "index": 300, "batch": [256, 256], "label": None, **more}
    words = [NODE, "--input-type=module", "--eval", SCRIPT, f"file://{module}", json.dumps(origin)]
    completed = subprocess.run(words, capture_output=True, text=True, check=False)
    assert completed.returncode == 0, completed.stderr[-2000:]
    assert json.loads(completed.stdout) == ["run shapes", "seed 5", "sample 301", *facts]
