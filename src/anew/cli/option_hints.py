"""What is said of an option that a command does not have."""

from __future__ import annotations

from collections.abc import Sequence

from anew.errors import closest_name, did_you_mean

# Options for one thing that has another name in other commands
OTHER_COMMANDS_SAY = {"--out": ("--run",), "--run": ("--out",), "--output": ("--out", "--run")}
# What other programs call a setting
OTHER_PROGRAMS_SAY = {"length": "max_tokens", "max_length": "max_tokens", "max_new_tokens": "max_tokens"}
# What no command has, and where it is, as a clause
FILLING = (
    "; parts of pictures, clips and sounds are filled in on the page of `anew studio` (Play), or in Python by "
    "model.sample(condition=(item, mask)); --suffix gives the text after a gap"
)
ELSEWHERE = dict.fromkeys(("--fill", "--inpaint", "--mask", "--condition"), FILLING)


def option_hint(option: str, options: Sequence[str], command: str) -> str:
    """The option or the setting that is probably meant, or all options, as a clause that follows a sentence.

    Args:
        option: What was given, with its dashes.
        options: Those of the command, with theirs.
        command: Its name.
    """
    meant = next((name for name in OTHER_COMMANDS_SAY.get(option, ()) if name in options), None)
    if len(option) == len("-x"):  # of one letter no other one is meant
        meant = next((name for name in options if name.startswith(f"-{option}")), None)
    if meant is not None:
        return f"; did you mean {meant!r}?"
    if command == "sample" and option in ELSEWHERE:
        return ELSEWHERE[option]
    if "--set" in options and len(option) > len("-x"):
        from anew.api.catalog import setting_names  # it imports PyTorch

        settings, name = setting_names(command), option.lstrip("-").replace("-", "_")
        name = name if name in settings else OTHER_PROGRAMS_SAY.get(name, name)
        if name in settings and closest_name(option, options) is None:
            return f"; it is a setting: --set {name}=..."
    return did_you_mean(option, options)
