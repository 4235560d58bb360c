"""Writes docs/reference/settings.md from `anew.settings()`: python docs/make_settings.py"""

from __future__ import annotations

from itertools import groupby
from pathlib import Path

import anew
from anew.workflows.list_settings import GROUPS, SettingInfo

PAGE = Path(__file__).parent / "reference" / "settings.md"
HEAD = """# Settings

Everything that `--set KEY=VALUE` can change; `settings={"key": value}` in Python. `anew settings NAME` shows a part of this list, and an
unknown name is refused with the nearest one. `owner.name` (`gan.width`) addresses a setting of one family in `anew compare`.

The defaults are those of the smallest useful model. The plan of a run chooses sizes to fit the data and the budget; what you set stays
as you set it.

This page is written by `docs/make_settings.py`.
"""
TITLES = {"audio": "Sound", "fsq": "FSQ codec", "gan": "GAN", "protein": "Proteins, DNA, RNA", "vae": "VAE"}


def cell(text: str) -> str:
    return text.replace("|", "\\|")


def shown(value: object) -> str:
    if isinstance(value, tuple):
        return ",".join(map(str, value))
    return str(value).lower() if isinstance(value, bool) else str(value)


def table(settings: list[SettingInfo]) -> list[str]:
    rows = ["| setting | default | values | meaning |", "|---|---|---|---|"]
    for setting in settings:
        values = f"{setting.values} {setting.unit}".strip()
        rows.append(f"| `{setting.name}` | `{shown(setting.default)}` | {cell(values)} | {cell(setting.meaning)} |")
    return rows


def page() -> str:
    lines = [HEAD]
    for group, of_group in groupby(anew.settings(), key=lambda setting: setting.group):
        lines += [f"## {GROUPS[group]}", ""]
        for owner, of_owner in groupby(of_group, key=lambda setting: setting.owner):
            if group != "training":
                lines += [f"### {TITLES.get(owner, owner.capitalize())} (`{owner}`)", ""]
            lines += [*table(list(of_owner)), ""]
    return "\n".join(lines)


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
