"""Answers that come as streams: a page hears of one that breaks off."""

from __future__ import annotations

import json
import subprocess
from importlib.resources import files

import pytest

from exporting.interpreter import NODE, needs_node

SCRIPT = """
globalThis.document = { addEventListener() {} };
globalThis.fetch = async () => new Response(process.argv[2]);
const { follow } = await import(process.argv[1]);
const events = [];
let fault = null;
await follow("/api/toy-comparison", {}, new AbortController().signal, (event) => events.push(event))
  .catch((error) => (fault = error.message));
console.log(JSON.stringify({ events, fault }));
"""
EVENT = 'data: {"number": 1}\n\n'


@needs_node
@pytest.mark.parametrize(
    ("stream", "fault"),
    [(EVENT + 'data: {"end": true}\n\n', None), (EVENT, "The answer broke off."), (EVENT + 'data: {"en', "broke off")],
)
def test_a_stream_that_breaks_off_is_a_fault(stream: str, fault: str | None) -> None:
    assert NODE is not None
    module = files("anew.studio_app") / "static" / "api.js"
    words = [NODE, "--input-type=module", "--eval", SCRIPT, f"file://{module}", stream]
    completed = subprocess.run(words, capture_output=True, text=True, check=False)
    assert completed.returncode == 0, completed.stderr[-2000:]
    answer = json.loads(completed.stdout)
    assert answer["events"][0] == {"number": 1}
    assert answer["fault"] is None if fault is None else fault in answer["fault"]
