"""What is asked of a model, checked: what is given of samples, of which class they are, where their text ends."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from anew.core.settings import check_int
from anew.core.specs import Condition, Tokens
from anew.errors import ConfigError, did_you_mean, shorten

if TYPE_CHECKING:
    from anew.sampling.model import Model


def given(model: Model, prompt: Any, suffix: Any, known: Any) -> Condition | None:
    """What samples start from, in the values of the run; None: from nothing. See `Model.sample`."""
    texts = str | Path if model.modality.traits.reads_file_slices else str  # of what lies in files, the file is given
    for name, text in (("prompt", prompt), ("suffix", suffix)):
        if text is not None and not isinstance(text, texts):
            raise ConfigError(f"`{name}` must be a string (got {shorten(text)})")
    if prompt is not None or suffix:
        if known is not None:
            raise ConfigError("both a prompt and known were given; give one of them")
        found = model.modality.condition_from_prompt(prompt or "", suffix or "")
        return found if isinstance(found, Condition) else Condition(torch.as_tensor(found))
    if known is None:
        return None
    from anew.sampling.latents import kept  # coding builds on the model

    return kept(model, known)


def stop_of(model: Model, stop: Any) -> str | None:
    """The text that samples end before, None where they have their own ends."""
    if stop is None:
        return None
    if not isinstance(model.item_spec, Tokens):
        raise ConfigError(f"{model.modality.name} data has no text to stop at; leave stop out")
    if not isinstance(stop, str) or not stop:
        raise ConfigError(f"stop={shorten(stop)} is not allowed; give a text of one character or more")
    return stop


def class_of(names: list[str], label: Any) -> int:
    """The place in `names` of a class by its name, or by this place where no class is called by a number."""
    if str(label) in names:
        return names.index(str(label))
    if hasattr(label, "__index__") and not any(map(str.isdecimal, names)):
        return check_int("label", label, 0, len(names) - 1)
    raise ConfigError(f"unknown `label` {shorten(label)}{did_you_mean(str(label), names)}")
