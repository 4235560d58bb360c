"""Pages from the templates next to this file. They are self-contained and open offline; all text in them is escaped."""

from __future__ import annotations

import base64
import html
import re
from functools import cache
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from anew.core.wording import plural

CODE = re.compile(r"`([^`]+)`")
TEMPLATES = Path(__file__).with_name("templates")


@cache
def environment() -> Environment:
    """The environment of the templates, which escapes text and raises an error for unknown names."""
    templates = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    templates.filters["data_uri"] = data_uri
    templates.filters["plural"] = plural
    templates.filters["number"] = format_number
    templates.filters["prose"] = prose
    return templates


def render(template: str, **values: object) -> str:
    """Render a template with these values."""
    return environment().get_template(template).render(**values)


def data_uri(data: bytes, media_type: str = "image/png") -> str:
    """A data: URI that contains these bytes."""
    return f"data:{media_type};base64," + base64.b64encode(data).decode("ascii")


def prose(sentence: str) -> str:
    """A sentence as safe HTML: what stands between backticks is code, all else is escaped."""
    return CODE.sub(r"<code>\1</code>", html.escape(sentence))


def format_number(value: float) -> str:
    """Format a number with three significant digits, without an exponent unless it is tiny."""
    if value == 0:
        return "0"
    if abs(value) < 0.0001:
        return f"{value:.1e}"
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:#.3g}"
