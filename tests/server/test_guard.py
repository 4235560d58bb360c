"""Who may ask, and how much; what the server answers besides completions."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from anew.api.serving import _origins
from anew.core.stores.internal_hosts import is_loopback
from anew.errors import ConfigError
from anew.server.limits import Limits
from server_runs import serving

JSON = {"Content-Type": "application/json"}
BODY = {"model": "names", "prompt": "an"}


@pytest.fixture(scope="module")
def locked(runs: dict[str, Path]) -> Iterator[TestClient]:
    """A client without a key of a server that has two."""
    with serving([runs["names"]], Limits(body_bytes=5000), keys=("first-key", "second-key")) as client:
        yield client


def test_health_is_open(locked: TestClient) -> None:
    for path in ("/health", "/v1/health"):
        assert locked.get(path).json() == {"status": "ok"}


@pytest.mark.parametrize("header", [None, "", "Bearer", "Bearer wrong", "first-key", "Basic first-key", "Bearer first-key x",
                                    b"Bearer \xff\xfe", "Bearer first-keysecond-key"])  # fmt: skip
@pytest.mark.parametrize("path", ["/v1/models", "/v1/completions", "/openapi.json", "/nothing", "//health"])
def test_without_a_key_nothing_is_answered(header: str | bytes | None, path: str, locked: TestClient) -> None:
    headers: dict[str, Any] = {} if header is None else {"Authorization": header}
    answer = locked.post(path, headers=headers)
    assert answer.status_code == 401 and answer.headers["www-authenticate"] == "Bearer"
    assert answer.json()["error"]["code"] == "invalid_api_key" and "first" not in answer.text


@pytest.mark.parametrize("key", ["first-key", "second-key"])
def test_each_key_opens(key: str, locked: TestClient) -> None:
    for scheme in ("Bearer", "bearer"):
        assert locked.get("/v1/models", headers={"Authorization": f"{scheme} {key}"}).status_code == 200


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "localhost.evil", "", "a b", "localhost:x",
                                  "user@localhost", "[::1", "localhost/x"])  # fmt: skip
def test_other_names_of_this_machine_are_refused(host: str, client: TestClient) -> None:
    answer = client.get("/v1/models", headers={"Host": host})
    assert answer.status_code in (400, 403) and answer.json()["error"]["message"]


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:9", "127.0.0.1:8000", "[::1]:8000"])
def test_names_of_this_machine(host: str, client: TestClient) -> None:
    assert client.get("/v1/models", headers={"Host": host}).status_code == 200


@pytest.mark.parametrize(
    "origin",
    ["http://evil.example", "null", "http://127.0.0.1:8001", "http://localhost:8000", "", "http://[", "http://a\u2100"],
)
def test_pages_of_other_sites_are_refused(origin: str, client: TestClient) -> None:
    headers = {"Origin": origin.encode("utf-8")}
    assert client.post("/v1/completions", json=BODY, headers=headers).status_code == 403


def test_a_page_of_the_server_itself(client: TestClient) -> None:
    assert client.get("/v1/models", headers={"Origin": "http://127.0.0.1:8000"}).status_code == 200


def test_a_large_body_is_refused(locked: TestClient) -> None:
    headers = JSON | {"Authorization": "Bearer first-key"}
    pieces = iter([b"x" * 4000, b"x" * 4000])  # a body without a length
    for content in (b"x" * 5001, pieces):
        answer = locked.post("/v1/completions", content=content, headers=headers)
        assert answer.status_code == 413 and answer.json()["error"]["type"] == "invalid_request_error"


@pytest.mark.parametrize("media", ["text/plain", "application/x-www-form-urlencoded", "", "application/jsonp"])
def test_a_body_says_that_it_is_json(media: str, client: TestClient) -> None:
    answer = client.post("/v1/completions", content=b"{}", headers={"Content-Type": media})
    assert answer.status_code == 400 and "Content-Type" in answer.json()["error"]["message"]


@pytest.mark.parametrize(("method", "path", "status"), [("GET", "/v1/completions", 405),
                                                        ("PUT", "/v1/models", 405), ("GET", "/v1/models/nope", 404),
                                                        ("GET", "/v1/models/..%2f..%2fetc%2fpasswd", 404),
                                                        ("GET", "/../../etc/passwd", 404)])  # fmt: skip
def test_paths_that_are_not_there(method: str, path: str, status: int, client: TestClient) -> None:
    answer = client.request(method, path)
    assert answer.status_code == status and set(answer.json()) == {"error"}


def test_the_start_page_lists_the_paths_and_each_request_is_logged(
    client: TestClient, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, "anew.server.requests"):
        answer = client.get("/?key=secret")
        assert client.get("/v1/nothing%0a").status_code == 404
    assert answer.url.path == "/docs" and answer.status_code == 200
    lines = [record.getMessage() for record in caplog.records]
    assert [line.rpartition(" ")[0].rpartition(" ")[0] for line in lines] == [
        "GET / 307",
        "GET /docs 200",
        "GET /v1/nothing\\x0a 404",
    ]
    assert not any("secret" in line for line in lines)


def test_the_models(client: TestClient) -> None:
    models = {model["id"]: model for model in client.get("/v1/models").json()["data"]}
    assert set(models) == {"book", "names", "words", "proteins", "shapes", "programs", "tones", "clips"}
    assert models["names"] == client.get("/v1/models/names").json()
    assert models["names"]["architecture"]["output_modalities"] == ["text"]
    assert models["names"]["meta"]["n_vocab"] > 20 and models["names"]["meta"]["n_params"] > 1000
    assert models["shapes"]["architecture"]["output_modalities"] == ["image"]
    assert models["shapes"]["meta"]["shape"] == [1, 12, 12] and models["shapes"]["meta"]["labels"] == ["bar", "disc"]
    assert len(models["proteins"]["meta"]["labels"]) == 2
    assert "tmp" not in client.get("/v1/models").text


def test_the_schema_lists_the_fields(client: TestClient) -> None:
    schema = client.get("/openapi.json").json()
    content = schema["paths"]["/v1/completions"]["post"]["requestBody"]["content"]["application/json"]["schema"]
    assert {"model", "prompt", "max_tokens", "label"} <= set(content["properties"])
    (bound,) = (option["maximum"] for option in content["properties"]["seed"]["anyOf"] if "maximum" in option)
    assert 2**62 < bound < 2**63  # as a floating-point number, too
    for path in ("/v1/completions", "/v1/images/generations"):
        assert "text/event-stream" in schema["paths"][path]["post"]["responses"]["200"]["content"]


def test_loopback() -> None:
    assert all(map(is_loopback, ["127.0.0.1", "127.1.2.3", "::1", "localhost"]))
    assert not any(map(is_loopback, ["0.0.0.0", "::", "10.0.0.1", "example.org", ""]))


# ---- pages of other sites that are allowed ----

SITE = "https://app.example.org"
PREFLIGHT = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "authorization, content-type"}


@pytest.fixture(scope="module")
def shared(runs: dict[str, Path]) -> Iterator[TestClient]:
    """A client of a server with a key that one other site may use."""
    with serving([runs["names"]], keys=("key",), origins=(SITE,)) as client:
        yield client


def test_a_browser_learns_without_a_key_that_a_page_may_send_one(shared: TestClient) -> None:
    answer = shared.options("/v1/completions", headers=PREFLIGHT | {"Origin": SITE})
    assert answer.status_code == 200 and answer.headers["access-control-allow-origin"] == SITE
    assert "POST" in answer.headers["access-control-allow-methods"]
    assert "authorization" in answer.headers["access-control-allow-headers"].lower()
    assert "access-control-allow-credentials" not in answer.headers


def test_an_allowed_page_reads_answers_and_errors(shared: TestClient) -> None:
    for headers, status in (({"Authorization": "Bearer key"}, 200), ({}, 401)):
        answer = shared.post("/v1/completions", json=BODY, headers={**headers, "Origin": SITE})
        assert answer.status_code == status and answer.headers["access-control-allow-origin"] == SITE
        assert "origin" in answer.headers["vary"].lower()


@pytest.mark.parametrize(
    "origin", ["https://evil.example", "http://app.example.org", f"{SITE}:8443", "null", f"{SITE}.evil"]
)
def test_other_pages_stay_refused(origin: str, shared: TestClient) -> None:
    for answer in (
        shared.options("/v1/completions", headers=PREFLIGHT | {"Origin": origin}),
        shared.post("/v1/completions", json=BODY, headers={"Origin": origin, "Authorization": "Bearer key"}),
    ):
        assert answer.status_code == 403 and "access-control-allow-origin" not in answer.headers
        assert "--allow-origin" in answer.json()["error"]["message"]


def test_any_site_still_needs_the_name_of_this_machine(runs: dict[str, Path]) -> None:
    with serving([runs["names"]], origins=("*",)) as client:
        answer = client.post("/v1/completions", json=BODY, headers={"Origin": "https://a.example"})
        assert answer.status_code == 200 and answer.headers["access-control-allow-origin"] == "*"
        assert client.get("/v1/models", headers={"Host": "evil.example"}).status_code == 403


def test_without_allowed_sites_nothing_is_shared(client: TestClient) -> None:
    assert "access-control-allow-origin" not in client.get("/v1/models").headers
    assert client.options("/v1/completions", headers=PREFLIGHT | {"Origin": SITE}).status_code == 403


def test_origins_are_written_as_browsers_send_them() -> None:
    origins = ["HTTP://LocalHost:3000", "https://example.org:443/", "http://[::1]:80", "*"]
    assert _origins(origins) == ["http://localhost:3000", "https://example.org", "http://[::1]", "*"]
    assert _origins(None) == [] and _origins("https://example.org") == ["https://example.org"]


@pytest.mark.parametrize(
    "origin", ["localhost:3000", "null", "", "https://example.org/page", "file:///x", "https://*.example.org", 5]
)
def test_what_is_no_origin(origin: object) -> None:
    with pytest.raises(ConfigError, match="allow_origin"):
        _origins([origin])
