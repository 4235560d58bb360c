"""Lists of lines are told from documents; see also `tests/data/modalities/test_text.py`, which reads files."""

from __future__ import annotations

from anew.data.formats.text.line_records import MIN_LINES, why_documents, why_list


def test_empty_lines_before_json_beside_another_list() -> None:
    """There were no lines to look at for the reason."""
    texts = ["\n" * MIN_LINES + '{"a": 1}\n' * MIN_LINES, "".join(f"name {i}\n" for i in range(MIN_LINES))]
    assert why_documents(texts) == [None, None]
    assert why_list(texts) == "the lines are short, and none continues in the next"
    assert why_list(texts[:1]) == "the lines are JSON objects"
