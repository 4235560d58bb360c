"""Compiles all loops of context mixing at once, and tells whether that was done on this machine.

Numba compiles a function at its first call, and keeps the machine code on disk. Without this module some loops would be compiled
while a report is written, and take up the report's time.
"""

from __future__ import annotations

import platform
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import numpy as np

from anew.core.machine.loop_compiler import Loops
from anew.core.machine.machine_code import machine_code_folder

# 15 to 19 CPU seconds, by how busy the other half of the core is (docs/log.md, 2026-11-29)
LOOPS = Loops("context mixing", "anew.estimators.context_mixing.compilation", 15.0)
# The loops are called with a text of this size: any that reaches every loop.
VOCAB, TOKENS = 8, 256


def is_compiled() -> bool:
    """Whether `compile_loops` has run on this machine with the current source files."""
    return _marker().is_file()


def compile_loops(report: Callable[[float], None] = lambda share: None) -> None:
    """Call every loop once with arguments of the usual types, which compiles it; quick where that was done before.

    Args:
        report: Called after the long parts of the work with the share of it that is done.
    """
    from anew.estimators.context_mixing import reading  # not above: it loads Numba
    from anew.estimators.context_mixing.error_rates import NUM_ERRORS
    from anew.estimators.context_mixing.mixer import ContextMixer

    rng = np.random.default_rng(0)
    text = rng.integers(VOCAB, size=TOKENS).astype(np.int32)
    network = np.full((TOKENS, VOCAB), 1.0 / VOCAB, dtype=np.float32)
    mixer = ContextMixer.fit([bytes([65 + token]) for token in range(VOCAB)], text, TOKENS // 2)
    report(0.22)
    document = mixer.document(2 * TOKENS)
    mixer.recall(document, text)
    contexts, orders = mixer.read(document, text)
    report(0.55)
    network_logits = mixer.network_logits(network, text.astype(np.int64))
    mixer.fit_joint(text, contexts, network_logits, orders)
    experts = np.log(np.full((TOKENS, 3), 1.0 / VOCAB))
    prior = np.full(3, 1.0 / 3.0)
    reading.share_weight(experts, prior.copy(), prior, 0.01, np.empty(TOKENS))
    rows = mixer.rows(2, TOKENS)
    mixer.recall(reading.row_of(rows, 0), text[:1])
    joint = mixer.joints(2)
    report(0.65)
    mixer.step(rows, joint, network[:2])
    report(0.86)
    mixer.draw(rows, joint, network[:2], np.full(2, 0.5, dtype=np.float32), np.array([-1, 1]))
    accepted = np.ones(NUM_ERRORS, dtype=np.float32)
    mixer.weights_if_accepted(rows, np.arange(2), network[:2], accepted)
    mixer.acceptance_of(rows, np.array([2, 3]), accepted)
    mixer.count_errors(mixer.document(TOKENS + 1), text)
    mixer.observe(rows, np.array([2, 3]))
    # Without the marker, all loops are called again next time
    with suppress(OSError):
        _marker().parent.mkdir(parents=True, exist_ok=True)
        _marker().touch()


def _marker() -> Path:
    """A file next to the machine code, for this interpreter and kind of machine."""
    name = f"complete-{platform.python_version()}-{platform.machine()}"
    return machine_code_folder(Path(__file__).parent) / name


if __name__ == "__main__":
    compile_loops(lambda share: print(share, flush=True))
