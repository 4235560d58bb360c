"""Who may use the Studio, what of the disk it shows, and what pages of strangers may do in it."""

from __future__ import annotations

from pathlib import Path

import pytest
from starlette.testclient import TestClient

from anew.errors import ConfigError, RunError
from anew.server.errors import ApiError
from anew.studio_app.start_folder import StartFolder
from studio_runs import OWN, TOKEN, client_of

PATHS = ["/api/runs", "/api/stream", "/static/main.js", "/nothing", "/api/sheet?run=runs/shapes&file=final.png"]


@pytest.mark.parametrize("token", [None, "", "wrong", TOKEN[:-1], f"{TOKEN}x", "\xff"])
def test_without_the_token_nothing_is_answered(token: str | None, root: Path) -> None:
    with client_of(root, None) as client:
        headers = {} if token is None else {"Authorization": f"Bearer {token}".encode("latin-1")}
        for path in PATHS:
            assert client.get(path, headers=headers).status_code == 401
        assert client.post("/api/train", json={}, headers=headers).status_code == 401
        page = client.get("/", headers=headers)
        assert page.status_code == 401 and "main.js" not in page.text


def test_the_address_gives_a_cookie_and_goes_on_without_the_token(root: Path) -> None:
    with client_of(root, None) as client:
        answer = client.get(f"/?token={TOKEN}", follow_redirects=False)
        assert answer.status_code == 303 and answer.headers["location"] == "/"
        cookie = answer.headers["set-cookie"].lower()
        assert all(word in cookie for word in ("httponly", "samesite=strict", "anew-studio-8686", "path=/"))
        assert client.get("/api/runs").status_code == 200
        assert "main.js" in client.get("/").text


@pytest.mark.parametrize("headers", [{"Host": "evil.example"}, {"Origin": "http://evil.example"}, {"Origin": "null"}, {"Origin": "http://["},
                                     {"Origin": "http://127.0.0.1:9"}, {"Sec-Fetch-Site": "cross-site"},
                                     {"Sec-Fetch-Site": "same-site"}])  # fmt: skip
def test_other_sites_are_refused(headers: dict[str, str], client: TestClient) -> None:
    assert client.get("/api/runs", headers=headers).status_code == 403
    assert client.post("/api/stop", json={"run": "x"}, headers=headers).status_code == 403


def test_only_pages_of_the_studio_change_something(client: TestClient) -> None:
    del client.headers["X-Anew-Studio"]
    try:
        assert client.post("/api/discard", json={"run": "runs/shapes"}).status_code == 403
        form = client.post("/api/discard", data={"run": "runs/shapes"})
        assert form.status_code == 403
    finally:
        client.headers.update(OWN)


def test_each_answer_carries_the_policy(client: TestClient) -> None:
    for path in ("/", "/static/main.js", "/api/runs", "/nothing"):
        headers = client.get(path).headers
        policy = headers["content-security-policy"]
        assert "default-src 'none'" in policy and "script-src 'self'" in policy and "unsafe" not in policy
        assert headers["x-content-type-options"] == "nosniff" and headers["referrer-policy"] == "no-referrer"


@pytest.mark.parametrize("name", ["..", "../..", "/etc", "runs/../../..", "runs/shapes/../../../etc/passwd", "link", "link/x",
                                  "a\0b", "x" * 1001])  # fmt: skip
def test_paths_stay_below_the_start_folder(name: str, tmp_path: Path, client: TestClient) -> None:
    root = tmp_path / "start"
    root.mkdir()
    (root / "link").symlink_to(tmp_path)
    with pytest.raises(ApiError) as refusal:
        StartFolder(root).path(name)
    assert refusal.value.status in (400, 403)
    for path in ("/api/run", "/api/curves", "/api/report"):
        assert client.get(path, params={"run": name}).status_code in (400, 403, 404)
    assert client.post("/api/look", json={"data": "/etc/passwd"}).status_code == 403


def test_a_link_in_a_run_is_not_followed(root: Path, tmp_path: Path, client: TestClient) -> None:
    (tmp_path / "secret.txt").write_text("secret")
    link = root / "runs" / "shapes" / "samples" / "secret.txt"
    link.symlink_to(tmp_path / "secret.txt")
    try:
        answer = client.get("/api/sheet", params={"run": "runs/shapes", "file": "secret.txt"})
        assert answer.status_code == 400 and "is a link" in answer.text and "secret\n" not in answer.text
    finally:
        link.unlink()


@pytest.mark.parametrize("name", ["../config.json", "..%2fconfig.json", "config.json", "a/b.png", ".png", "x.html"])
def test_sheets_are_sheets(name: str, client: TestClient) -> None:
    assert client.get("/api/sheet", params={"run": "runs/shapes", "file": name}).status_code in (400, 404)


def test_a_report_may_do_nothing(root: Path, client: TestClient) -> None:
    report = root / "runs" / "shapes" / "report"
    report.mkdir(exist_ok=True)
    (report / "report.html").write_text("<script>alert(1)</script>")
    policy = client.get("/api/report", params={"run": "runs/shapes"}).headers["content-security-policy"]
    assert policy.startswith("sandbox allow-same-origin; default-src 'none'") and "script" not in policy
    (report / "report.html").unlink()
    assert client.get("/api/report", params={"run": "runs/shapes"}).status_code == 404


def test_the_token_stays_and_is_for_this_user_alone(tmp_path: Path) -> None:
    folder = StartFolder(tmp_path)
    folder.make_state()
    token = folder.token()
    assert len(token) >= 40 and StartFolder(tmp_path).token() == token
    assert (tmp_path / ".anew-studio" / "token").stat().st_mode & 0o077 == 0


def test_a_start_that_fails_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(path: Path, data: bytes) -> None:
        raise RunError("the disk is full")

    with monkeypatch.context() as patched:
        patched.setattr("anew.core.files.write", full)
        with pytest.raises(ConfigError, match="cannot write in"):
            StartFolder(tmp_path).make_state()
    assert not list(tmp_path.iterdir())


def test_a_state_that_is_a_link_is_refused(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / ".anew-studio").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(Exception, match="cannot write in") as error:
        StartFolder(tmp_path).make_state()
    assert not isinstance(error.value, RunError)
