"""An address on the internet must not lead to one inside this network."""

from __future__ import annotations

import functools
import http.server
import socket
import threading
from pathlib import Path

import pytest

from anew.core.stores.internal_hosts import InternalAddressError, is_internal, names_internal, public_socket
from anew.data.dataset import Dataset
from anew.errors import DataError


@pytest.mark.parametrize(
    ("address", "internal"),
    [
        ("127.0.0.1", True),
        ("169.254.169.254", True),
        ("10.1.2.3", True),
        ("192.168.0.1", True),
        ("0.0.0.0", True),
        ("::1", True),
        ("::ffff:127.0.0.1", True),
        ("fe80::1%eth0", True),
        ("fd00::1", True),
        ("64:ff9b::a9fe:a9fe", True),
        ("64:ff9b::7f00:1", True),
        ("64:ff9b::808:808", False),
        ("2002:7f00:1::", True),
        ("2002:808:808::", False),
        ("::127.0.0.1", True),
        ("::", True),
        ("fec0::1", True),
        ("ff0e::1", True),
        ("224.0.0.251", True),
        ("8.8.8.8", False),
        ("2001:4860:4860::8888", False),
    ],
)
def test_what_is_internal(address: str, internal: bool) -> None:
    assert is_internal(address) is internal
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    info = (family, socket.SOCK_STREAM, 0, "", (address, 80))
    if internal:
        with pytest.raises(InternalAddressError, match="inside this network"):
            public_socket(info)
        return
    public_socket(info).close()


def test_who_names_an_internal_host_means_it() -> None:
    assert names_internal("http://127.0.0.1:80/x") and names_internal("http://localhost/x")
    assert not names_internal("https://8.8.8.8/x") and not names_internal("https://no-such-host.invalid/x")


def test_a_public_address_that_leads_inside_is_refused_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("aiohttp")
    from anew.core.stores import web_client

    (tmp_path / "names.txt").write_text("name\n" * 400)
    handler = functools.partial(_Quiet, directory=str(tmp_path))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        monkeypatch.setattr(web_client, "names_internal", lambda url: False)  # as if the user had named a public one
        with pytest.raises(DataError, match=r"127\.0\.0\.1, an address inside this network"):
            Dataset.open(f"http://127.0.0.1:{server.server_port}/names.txt")
        server.shutdown()
    assert not _Quiet.was_asked


class _Quiet(http.server.SimpleHTTPRequestHandler):
    was_asked = False

    def log_message(self, *args: object) -> None:
        type(self).was_asked = True
