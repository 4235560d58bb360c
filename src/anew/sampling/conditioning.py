"""Conditions that a user gives, checked: beginning and end, class, a text to stop at."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, SupportsIndex

import torch

from anew.core.settings import check_int
from anew.core.specs import Condition, Tokens
from anew.errors import ConfigError, did_you_mean, shorten

if TYPE_CHECKING:
    from anew.data.modality import Modality


def condition_from_prompt(modality: Modality, prompt: object, suffix: object) -> Condition | None:
    """The condition from the beginning and end of samples, in the values of a run.

    Args:
        modality: The kind of data as the family sees it.
        prompt: The beginning, or None. Of data that lies in files, a file.
        suffix: The end, or None.

    Returns:
        None where neither is given.

    Raises:
        ConfigError: The data takes no such thing, or it is not a string.
    """
    allowed = str | Path if modality.traits.reads_file_slices else str
    for name, text in (("prompt", prompt), ("suffix", suffix)):
        if text is not None and not isinstance(text, allowed):
            raise ConfigError(f"`{name}` must be a string (got {shorten(text)})")
    if prompt is None and not suffix:
        return None
    condition = modality.condition_from_prompt(str(prompt or ""), str(suffix or ""))
    return condition if isinstance(condition, Condition) else Condition(torch.as_tensor(condition))


def check_stop(modality: Modality, stop: object) -> str | None:
    """The text that samples end before; None where they have their own ends."""
    if stop is None:
        return None
    plain: Modality = modality.base
    if not isinstance(plain.spec, Tokens):
        raise ConfigError(f"{modality.name} data has no text to stop at; leave `stop` out")
    if not isinstance(stop, str) or not stop:
        raise ConfigError(f"`stop` must be a text of one character or more (got {shorten(stop)})")
    return stop


def class_index(names: list[str], label: object) -> int:
    """The place in `names` of a class by its name, or by this place where no class is called by a number."""
    if str(label) in names:
        return names.index(str(label))
    if isinstance(label, SupportsIndex) and not any(map(str.isdecimal, names)):
        return check_int("label", label, 0, len(names) - 1)
    raise ConfigError(f"unknown `label` {shorten(label)}{did_you_mean(str(label), names)}")
