"""Lists and reads small objects of S3 by `obstore`, which takes a tenth of the processor time of the store's own client to read
one and half of it to list one, beside the interpreter's lock: with a million of them, requests take most of the time before the
first step.

Address, region and credentials are those of the client that the provider's package has set up. Whatever does not work this way is
left to that client, which also says what is wrong.
"""

from __future__ import annotations

import importlib
import importlib.util
import re
import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Protocol

from anew.core.stores.addresses import FileSystem
from anew.core.stores.store_attempts import ANSWER_S, CONNECT_S
from anew.core.stores.stored_files import StoredColumns, stamp_of_object

# Keys that `obstore` leaves as they are. It writes others in a form of its own, which could be the key of another object.
_PLAIN_KEY = re.compile(r"(?!.*(//|/\.{1,2}(/|$)))[A-Za-z0-9_=+,@-](?:[A-Za-z0-9_=+,@./ -]*[A-Za-z0-9_=+,@-])?")
_AMAZON = re.compile(r"https://s3[.-][a-z0-9-]+\.amazonaws\.com/?|https://s3\.amazonaws\.com/?")
MAX_FAILURES = 3  # so many in a row, while the client succeeds: then it alone reads; chosen
# Seconds after which the client is asked for its credentials again, as it may have renewed them. `obstore` asks five minutes
# before that, and those that a client renews are good for longer.
CREDENTIALS_S = 600.0
TIMEOUT = "60s"  # longest time of a request with all its bytes
MAX_RETRIES, BACKOFF = 8, timedelta(milliseconds=1)  # tries of a request, and the pause before the first

PAGE = 1_000  # objects of a page of a listing: the most that S3 gives


class _Credentials(Protocol):
    """The part of `aiobotocore.credentials.AioCredentials` that is used here."""

    async def get_frozen_credentials(self) -> object: ...


@dataclass(frozen=True, slots=True)
class _Bucket:
    """A bucket. read: (key, size) -> the object; pages: (prefix, root) -> the objects below the
    prefix, by their paths below the root."""

    read: Callable[[str, int], bytes]
    pages: Callable[[str, str], list[StoredColumns]]


class DirectStore:
    """Lists and reads whole objects of a store. Thread-safe. system: the store, by the package of its provider."""

    def __init__(self, system: FileSystem) -> None:
        self._system = system
        self._is_direct = hasattr(system, "call_s3") and importlib.util.find_spec("obstore") is not None
        self._failures = 0
        self._buckets: dict[str, _Bucket] = {}
        self._lock = threading.Lock()

    def read(self, path: str, size: int) -> bytes:
        """An object.

        Args:
            path: Its key with its bucket.
            size: Its bytes. One more is read of an object that has grown, so that the caller notices.

        Raises:
            Exception: The exception of the store's client.
        """
        bucket, _, key = path.partition("/")
        if not self._is_direct or _PLAIN_KEY.fullmatch(key) is None:
            return self._system.cat_file(path, start=0, end=size + 1)
        try:
            data = self._bucket(bucket).read(key, size)
        except Exception:  # any error: the client tries the same, and says what it meets
            data = self._system.cat_file(path, start=0, end=size + 1)
            self._count_failure()
        else:
            self._failures = 0
        return data

    def pages(self, bucket: str, prefix: str, root: str) -> list[StoredColumns] | None:
        """All objects below a folder, by their paths below a root, in pages; None where only the client can list it.

        Args:
            prefix: The folder, which ends with a slash; "" for the whole bucket.
            root: The beginning of `prefix` that paths leave out.
        """
        if not self._is_direct or (prefix and _PLAIN_KEY.fullmatch(prefix.removesuffix("/")) is None):
            return None
        try:
            pages = self._bucket(bucket).pages(prefix, root)
        except Exception:  # any error: the client tries the same, and says what it meets
            self._count_failure()
            return None
        self._failures = 0
        # `obstore` removes the slash at the end of a key, so that the mark of a folder, which is empty, looks like a file
        return None if any((page.sizes == 0).any() for page in pages) else pages

    def _count_failure(self) -> None:
        self._failures += 1
        self._is_direct = self._failures < MAX_FAILURES

    def _bucket(self, name: str) -> _Bucket:
        with self._lock:
            if name not in self._buckets:
                self._buckets[name] = _open_bucket(self._system, name)
            return self._buckets[name]


def _open_bucket(system: object, bucket: str) -> _Bucket:
    """A bucket. Raises AttributeError where the client is another than expected."""
    obstore = importlib.import_module("obstore")
    stores = importlib.import_module("obstore.store")
    client = system.s3  # type: ignore[attr-defined]
    endpoint, style = str(client.meta.endpoint_url), (client.meta.config.s3 or {}).get("addressing_style")
    region = str(client.meta.region_name)
    options: dict[str, object] = {"region": "us-east-1" if region == "aws-global" else region}
    is_amazon = _AMAZON.fullmatch(endpoint) is not None
    if not is_amazon:
        options["aws_endpoint_url_s3"] = endpoint
    options["virtual_hosted_style_request"] = style == "virtual" or (
        is_amazon and style != "path" and "." not in bucket
    )
    if system.anon:  # type: ignore[attr-defined]
        options["skip_signature"] = True
    else:
        options["credential_provider"] = _credentials_of(system, client._request_signer._credentials)
    store = stores.S3Store(
        bucket,
        **options,
        client_options={
            "allow_http": endpoint.startswith("http://"),
            "timeout": TIMEOUT,
            "connect_timeout": f"{CONNECT_S}s",
            "read_timeout": f"{ANSWER_S}s",
        },
        # A server may close connections that are kept for further requests: a request fails on each of them once, and there are
        # as many as requests at a time. Later failures are left to the client.
        retry_config={
            "max_retries": MAX_RETRIES,
            "retry_timeout": timedelta(seconds=1),  # whatever takes longer is left to the client
            "backoff": {"init_backoff": BACKOFF, "max_backoff": 10 * BACKOFF, "base": 2.0},
        },
    )

    def read(key: str, size: int) -> bytes:
        answer = obstore.get(store, key)
        if answer.meta["size"] != size:
            raise ValueError("it has another size")
        return bytes(answer.bytes())

    def pages(prefix: str, root: str) -> list[StoredColumns]:
        start = len(root)
        return [
            StoredColumns.of(
                (entry["path"][start:], entry["size"], stamp_of_object(entry["e_tag"], entry["last_modified"]))
                for entry in page
                if entry["size"] or entry["path"] != prefix.rstrip("/")  # the mark of the folder itself
            )
            for page in obstore.list(store, prefix, chunk_size=PAGE)
        ]

    return _Bucket(read, pages)


def _credentials_of(system: object, credentials: _Credentials) -> Callable[[], dict[str, object]]:
    asyn = importlib.import_module("fsspec.asyn")

    def provide() -> dict[str, object]:
        frozen = asyn.sync(system.loop, credentials.get_frozen_credentials)  # type: ignore[attr-defined]
        return {
            "access_key_id": frozen.access_key,
            "secret_access_key": frozen.secret_key,
            "token": frozen.token,
            "expires_at": datetime.now(UTC) + timedelta(seconds=CREDENTIALS_S),
        }

    return provide
