"""Pages from the templates next to this file: whole, and opened offline. All text is escaped, whatever was sampled."""

from __future__ import annotations

import base64
from functools import cache
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

TEMPLATES = Path(__file__).with_name("templates")


@cache
def environment() -> Environment:
    """Templates, their text escaped and no unknown name let through."""
    templates = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    templates.filters["data_uri"] = data_uri
    templates.filters["number"] = format_number
    return templates


def render(template: str, **values: object) -> str:
    """The page that a template makes of values."""
    return environment().get_template(template).render(**values)


def data_uri(data: bytes, media_type: str = "image/png") -> str:
    """Bytes as an address that holds them."""
    return f"data:{media_type};base64," + base64.b64encode(data).decode("ascii")


def format_number(value: float) -> str:
    """Three significant digits, without an exponent where one is not needed."""
    if value == 0:
        return "0"
    if abs(value) < 0.0001:
        return f"{value:.1e}"
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:#.3g}"
