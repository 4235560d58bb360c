"""The page of all paths and fields: it needs no network, and says what the schema says."""

from __future__ import annotations

import re
from types import SimpleNamespace
from typing import Any

import pytest
from starlette.testclient import TestClient

from anew.server.app import ServerOptions, make_app
from anew.server.limits import Limits


def client_of(keys: tuple[str, ...] = ()) -> TestClient:
    """A client of a server whose models are never asked."""
    names = ["names", "<b>&"]
    catalog: Any = SimpleNamespace(
        entries=[SimpleNamespace(name=name) for name in names],
        names_for=lambda *modalities: names,
        counts=dict,
    )
    return TestClient(make_app(catalog, Limits(), ServerOptions(keys=keys)), base_url="http://127.0.0.1:8000")


@pytest.fixture(scope="module")
def page() -> str:
    answer = client_of().get("/docs")
    assert answer.status_code == 200 and answer.headers["content-type"].startswith("text/html")
    return answer.text


def test_it_asks_nobody_for_anything(page: str) -> None:
    assert "<script" not in page and "default-src 'none'" in page
    assert not re.search(r"(?:src|href)=\"(?!#|openapi\.json)", page)


def test_all_paths_and_fields_are_there(page: str) -> None:
    schema = client_of().get("/openapi.json").json()
    for path, methods in schema["paths"].items():
        assert all(f"{method.upper()} {path}</code></h2>" in page for method in methods)
    assert "<td><code>temperature</code></td><td>a number from 0 to 10</td>" in page
    assert "<td><code>image</code></td><td>a file</td><td>required</td>" in page
    assert "<td><code>logit_bias</code></td>" not in page  # what is only accepted in its default does nothing


def test_numbers_and_answers_are_readable(page: str) -> None:
    assert "<td>a whole number, 0 or larger</td>" in page and "<td>a whole number from -1 to 16,777,216</td>" in page
    assert "e+18" not in page and ".0</td>" not in page
    assert (
        "The answer is application/zip." in page
        and "The answer is JSON, or with stream=true events as they come." in page
        and "<td></td>" not in page
    )


def test_it_is_in_english_and_its_links_lead_somewhere(page: str) -> None:
    assert "<td>a list of objects</td>" in page and "a list of an" not in page
    links = set(re.findall(r'href="#([^"]*)"', page))
    assert "get-v1-models-name" in links and links == set(re.findall(r'id="([^"]*)"', page))


def test_names_are_text(page: str) -> None:
    assert "&lt;b&gt;&amp;" in page and "<b>" not in page
    assert "curl http://127.0.0.1:8000/v1/completions" in page


def test_it_needs_a_key_like_all_else() -> None:
    assert client_of(("key",)).get("/docs").status_code == 401
