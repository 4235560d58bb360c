"""Hints for options that a command does not have."""

from __future__ import annotations

from collections.abc import Sequence

from anew.errors import closest_name, did_you_mean

# The option that names the folder which a command makes, by the name that other commands use for it
OPTION_SYNONYMS = {"--out": "--run"}
# Settings by the names that other programs use
SETTING_SYNONYMS = {"length": "max_tokens", "max_length": "max_tokens", "max_new_tokens": "max_tokens"}
# Features that no command has, with a clause on where they are
FILLING = (
    "; parts of pictures, clips and sounds are filled in on the page of `anew studio` (Play), or in Python by "
    "model.sample(condition=(item, mask)); --suffix gives the text after a gap"
)
ELSEWHERE = dict.fromkeys(("--fill", "--inpaint", "--mask", "--condition"), FILLING)


def option_hint(option: str, options: Sequence[str], positional: Sequence[str], command: str) -> str:
    """The argument or the setting that is probably meant, or all options, as a clause that follows a sentence.

    Args:
        option: The unknown option, with its dashes.
        options: The options of the command, with their dashes.
        positional: Its other arguments, such as RUN.
        command: Its name, such as `evaluate`.
    """
    argument = option.lstrip("-").upper()
    if argument in positional:
        return f"; give {argument} without an option: `anew {command} {argument}`"
    synonym = OPTION_SYNONYMS.get(option)
    meant = synonym if synonym in options else None
    if len(option) == len("-x"):  # no other option is meant by a single letter
        meant = next((name for name in options if name.startswith(f"-{option}")), None)
        if meant is None:
            return f"; see `anew {command} --help`"
    if meant is not None:
        return f"; did you mean {meant!r}?"
    if command == "sample" and option in ELSEWHERE:
        return ELSEWHERE[option]
    if "--set" in options and len(option) > len("-x"):
        from anew.api.catalog import setting_names  # it imports PyTorch

        settings, name = setting_names(command), option.lstrip("-").replace("-", "_")
        name = name if name in settings else SETTING_SYNONYMS.get(name, name)
        if name in settings and closest_name(option, options) is None:
            return f"; it is a setting: --set {name}=..."
    return did_you_mean(option, options)
