"""All loops of context mixing are compiled at once, and a machine remembers that it was done."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from anew.estimators.context_mixing import compilation, drawing, error_rates, joint, reading
from anew.estimators.context_mixing.compilation import compile_loops, is_compiled
from anew.estimators.context_mixing.mixer import ContextMixer


def test_after_compiling_nothing_is_compiled_any_more(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compilation, "machine_code_folder", lambda _: tmp_path)
    assert not is_compiled()
    shares: list[float] = []
    compile_loops(shares.append)
    assert is_compiled() and shares[0] > 0.0 and shares == sorted(shares) and shares[-1] < 1.0
    assert find_spec(compilation.LOOPS.module) is not None
    loops = [
        reading.read,
        reading.recall,
        reading.next_token_probabilities,
        drawing.draw_tokens,
        error_rates.tally_errors,
        error_rates.multiply_by_acceptance,
        reading.observe,
        joint.joint_log_probs,
    ]
    counts = [len(loop.signatures) for loop in loops]  # type: ignore[attr-defined]
    text = np.arange(3000, dtype=np.int32) % 4
    mixer = ContextMixer.fit([b"a", b"b", b"c", b"d"], text, 500)
    rows = mixer.rows(3, 64)
    mixer.draw(
        rows, mixer.joints(3), np.full((3, 4), 0.25, dtype=np.float32), np.full(3, 0.5, np.float32), np.full(3, -1)
    )
    mixer.observe(rows, np.array([0, 1, 2]))
    mixer.resized(rows, 128)
    weights = np.full((3, 4), 0.25, dtype=np.float32)
    mixer.weights_if_accepted(rows, np.arange(3), weights, np.ones(error_rates.NUM_ERRORS, dtype=np.float32))
    mixer.count_errors(mixer.document(4), text[:3])
    assert [len(loop.signatures) for loop in loops] == counts  # type: ignore[attr-defined]
