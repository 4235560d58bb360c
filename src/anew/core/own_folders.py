"""Marks of the folders that Anew writes: data leaves such folders out, and commands open them."""

from __future__ import annotations

from typing import TypeGuard

from anew.core.files import JsonObject, JsonValue

RUN_MARK = "config.json"  # the file that every run has from its first instant
COMPARISON_MARK = "request.json"  # the same of a comparison
_RUN_KEYS = frozenset({"format", "status", "request"})
_COMPARISON_KEYS = frozenset({"data", "families", "settings"})  # a comparison that trains
_COMPARED_RUNS = frozenset({"runs"})  # a comparison of finished runs


def is_run_config(value: JsonValue) -> TypeGuard[JsonObject]:
    """Whether a value is what RUN_MARK holds in a run, finished or not."""
    return isinstance(value, dict) and value.keys() >= _RUN_KEYS


def is_comparison_request(value: JsonValue) -> bool:
    """Whether a value is what COMPARISON_MARK holds in a comparison."""
    return isinstance(value, dict) and (value.keys() >= _COMPARISON_KEYS or value.keys() == _COMPARED_RUNS)
