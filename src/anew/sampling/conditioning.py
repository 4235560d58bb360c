"""Checks of conditions that a user gives: the beginning and end of samples, a text to stop at."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import torch

from anew.core.specs import Condition, Tokens
from anew.data.formats.file_bytes import with_line_feeds
from anew.data.formats.text.prompt_endings import prompt_ending
from anew.data.modalities.text import Text
from anew.errors import ConfigError, shorten

if TYPE_CHECKING:
    from anew.data.modality import Modality


def condition_from_prompt(modality: Modality, prompt: object, suffix: object) -> Condition | None:
    """The condition for the given beginning and end of samples, in the values of a run; None if neither is given.

    Args:
        modality: The kind of data as the family sees it.
        prompt: The beginning, or None. A path for data that is read from files in slices.

    Raises:
        ConfigError: The data takes no prompt or suffix, or it is not a string.
    """
    allowed = str | Path if modality.traits.reads_file_slices else str
    for name, text in (("prompt", prompt), ("suffix", suffix)):
        if text is not None and not isinstance(text, allowed):
            raise ConfigError(f"`{name}` must be a string (got {shorten(text)})")
    if prompt is None and not suffix:
        return None
    condition = modality.condition_from_prompt(str(prompt or ""), str(suffix or ""))
    if isinstance(condition, Condition):
        return condition
    ids = torch.as_tensor(condition)
    return Condition(
        ids, ending=prompt_ending(modality.tokenizer, ids.tolist()) if isinstance(modality, Text) else None
    )


def check_stop(modality: Modality, stop: object) -> str | None:
    """The text before which samples end; None if there is none. Raises ConfigError if it cannot be used."""
    if stop is None:
        return None
    plain: Modality = modality.base
    if not isinstance(plain.spec, Tokens):
        raise ConfigError(f"{modality.name} data has no text to stop at; leave `stop` out")
    if not isinstance(stop, str) or not stop:
        raise ConfigError(f"`stop` must be a text of one character or more (got {shorten(stop)})")
    return with_line_feeds(stop)
