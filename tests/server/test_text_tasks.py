"""Text as it grows: what is sent before its end, and where a stop ends it."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from anew.core.specs import PromptEnding
from anew.data.modalities.text import Text, TextConfig
from anew.data.types import DataBudget, Item
from anew.families.base import TokenDraft
from anew.server import text_tasks
from anew.server.text_tasks import GrowingText, TextPiece, TextRequest

LINES = "one two\nthree four\n"


def sent(monkeypatch: pytest.MonkeyPatch, *stops: str, max_tokens: int = 100) -> list[TextPiece]:
    """The pieces of LINES that a stream sends token by token."""
    monkeypatch.setattr(text_tasks, "SECONDS_BETWEEN_PIECES", 0.0)
    modality = Text(TextConfig(layout="document", tokens="characters"))
    item = Item("a", LINES * 40)
    modality.inspect([item])
    spec = modality.fit([item], DataBudget(60.0, 1, 1), ())
    ids = modality.tokenizer.encode(LINES).astype(np.int64)
    model: Any = SimpleNamespace(item_modality=modality, item_spec=spec)
    sampling: Any = None
    pieces: list[TextPiece] = []
    channel: Any = SimpleNamespace(is_cancelled=False, put=pieces.append)
    request = TextRequest(0, 1, 0, ids[:1], None, 0, None, max_tokens, stops, sampling, None, False, True)
    task: Any = SimpleNamespace(request=request, channel=channel)
    row = GrowingText(model, task, 0)
    for length in range(2, len(ids) + 1):
        if not row.is_finished:
            row.read(TokenDraft(ids[None, :length], np.zeros((1, 1), np.float32)), 0)
    row.finish()
    return pieces


@pytest.mark.parametrize("stops", [("\n",), ("zz", "\nth")])
def test_a_stop_at_a_line_end_leaves_nothing_of_it(stops: tuple[str, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    pieces = sent(monkeypatch, *stops)
    assert "".join(piece.text for piece in pieces) == "ne two" and len(pieces) > 3
    assert pieces[-1].finish_reason == "stop"


def test_text_without_a_stop_keeps_its_line_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "".join(piece.text for piece in sent(monkeypatch)) == LINES[1:]
    assert "".join(piece.text for piece in sent(monkeypatch, "zz")) == LINES[1:]
    assert "".join(piece.text for piece in sent(monkeypatch, "\nz", max_tokens=7)) == LINES[1:8]


@pytest.mark.parametrize(("ids", "num_known"), [("abcde", 2), ("axyze", 3), ("axbcd", 2)])
@pytest.mark.parametrize("max_tokens", [1, 2])
def test_new_tokens_are_counted_after_the_ending_that_was_drawn(ids: str, num_known: int, max_tokens: int) -> None:
    modality = Text(TextConfig(layout="document", tokens="characters"))
    item = Item("a", "abcdexyz\n" * 40)
    modality.inspect([item])
    spec = modality.fit([item], DataBudget(60.0, 1, 1), ())
    prompt, row, *sequences = (
        modality.tokenizer.encode(text).astype(np.int64) for text in ("ab", ids, "b", "xyz", "xb")
    )
    ending = PromptEnding((int(prompt[1]),), tuple(tuple(sequence.tolist()) for sequence in sequences))
    pieces: list[TextPiece] = []
    model: Any = SimpleNamespace(item_modality=modality, item_spec=spec)
    channel: Any = SimpleNamespace(is_cancelled=False, put=pieces.append)
    unused: Any = None
    request = TextRequest(0, 1, 0, prompt, ending, 0, None, max_tokens, (), unused, None, False, False)
    task: Any = SimpleNamespace(request=request, channel=channel)
    growing = GrowingText(model, task, 0)
    # The first draft may have several new tokens
    for length in (2, *range(4, len(row) + 1)):
        growing.read(TokenDraft(row[None, :length], np.zeros((1, 1), np.float32)), 0)
    assert pieces[-1].num_tokens == max_tokens and pieces[-1].finish_reason == "length"
    assert growing.ids == row[: num_known + max_tokens].tolist()
    assert "".join(piece.text for piece in pieces) == ids[2 : num_known + max_tokens]
