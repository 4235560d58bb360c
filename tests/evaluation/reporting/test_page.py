"""Text on pages."""

from __future__ import annotations

from anew.evaluation.reporting.page import prose


def test_commands_in_sentences_are_code_and_all_else_is_escaped() -> None:
    assert prose("`anew evaluate` takes <b> & time") == "<code>anew evaluate</code> takes &lt;b&gt; &amp; time"
    assert prose("`<script>`") == "<code>&lt;script&gt;</code>"
    assert prose("one ` alone") == "one ` alone"
